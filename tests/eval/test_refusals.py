"""What is refused, and how it is said, in every format."""

import gzip

import numpy as np
import pytest
from written import (
    GOLD,
    SCORES,
    SUFFIXES,
    TEXTS,
    gold_rows,
    meaning,
    refused,
    score_rows,
    to_official,
    write,
)

from eval.formats import quote_trec
from eval.runs import read_gold, read_run
from eval.scoring import Options, score

# ---------------------------------------------------------------- numbers

GOOD = {
    "1": 1.0,
    "-1": -1.0,
    "+2": 2.0,
    ".5": 0.5,
    "1.": 1.0,
    "1e-3": 1e-3,
    "1E+2": 100.0,
    "-0": 0.0,
}
BAD = [
    "",
    "high",
    "1_000",
    "0x10",
    "1,5",
    "１",
    "٣",
    "1e",
    "--1",
    "1 2",
    "true",
    "None",
    "1d",
    "²",
    "e5",
    ".",
]


@pytest.mark.parametrize("cell", GOOD)
@pytest.mark.parametrize("suffix", [".csv", ".trec"])
def test_numbers_of_text_formats(tmp_path, gold, suffix, cell):
    rows = score_rows([*SCORES[:4], ("c2", "dog", cell)])
    assert read_run(write(tmp_path / f"r{suffix}", rows), gold, "r").scores[-1] == GOOD[cell]


@pytest.mark.parametrize("cell", BAD)
@pytest.mark.parametrize("suffix", [".csv", ".trec"])
def test_what_is_no_number_in_text_formats(tmp_path, gold, suffix, cell):
    if suffix == ".trec":
        cell = quote_trec(cell) if cell else '""'
    rows = score_rows([*SCORES[:4], ("c2", "dog", cell)])
    message = refused(read_run, write(tmp_path / f"r{suffix}", rows), gold, "r")
    assert f"r{suffix}, line {6 if suffix == '.csv' else 5}" in message
    assert "score" in message


@pytest.mark.parametrize("cell", ["nan", "NaN", "-nan", "inf", "Infinity", "-INF", "1e999"])
@pytest.mark.parametrize("suffix", [".csv", ".trec"])
def test_what_is_no_finite_number_in_text_formats(tmp_path, gold, suffix, cell):
    rows = score_rows([*SCORES[:4], ("c2", "dog", cell)])
    message = refused(read_run, write(tmp_path / f"r{suffix}", rows), gold, "r")
    assert "finite number" in message
    assert "clip 'c2', label 'dog'" in message


@pytest.mark.parametrize("suffix", [".csv", ".trec", ".jsonl", ".parquet", ".json"])
@pytest.mark.parametrize("grade", [3, -1, 0.5])
def test_grades_off_the_scale(tmp_path, suffix, grade):
    rows = gold_rows([*GOLD[:4], ("c2", "car", grade)])
    path = tmp_path / f"g{suffix}"
    if suffix == ".json":
        path.write_bytes(to_official(rows))
    else:
        write(
            path,
            [{**r, "grade": float(r["grade"])} for r in rows] if suffix == ".parquet" else rows,
        )
    message = refused(read_gold, path)
    assert "clip 'c2', label 'car'" in message
    assert "from 0 to 2" in message


def test_a_wider_scale_can_be_declared(tmp_path):
    path = write(tmp_path / "g.csv", gold_rows([*GOLD[:4], ("c2", "car", 4)]))
    assert read_gold(path, max_grade=4).grades.max() == 4
    assert "from 0 to 3" in refused(read_gold, path, max_grade=3)


def test_whole_numbers_too_long_for_a_float_are_rounded_alike(tmp_path, gold):
    rows = score_rows([*SCORES[:4], ("c2", "dog", 2**60 + 1)])
    for suffix in TEXTS:
        assert read_run(write(tmp_path / f"r{suffix}", rows), gold, "r").scores[-1] == 2.0**60
    whole = [{**row, "score": int(row["score"])} for row in rows]
    assert read_run(write(tmp_path / "r.parquet", whole), gold, "r").scores[-1] == 2.0**60


# ---------------------------------------------------------------- the same refusals in every format


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_refusals_name_file_place_clip_and_label(tmp_path, gold, suffix):
    """Each wrong row is the sixth; a Parquet row counts from 0, and a CSV file has a header."""
    path = tmp_path / f"r{suffix}"
    place = f"{path}, " + {".p": "row 5", ".c": "line 7"}.get(suffix[:2], "line 6")

    def said(row):
        return refused(read_run, write(path, score_rows([*SCORES, row])), gold, "r")

    again = said(("c1", "DOG", 9.0))
    assert f"{place}, clip 'c1', label 'DOG': appears twice" in again
    unknown = said(("c3", "dog", 1.0))
    assert f"{place}, clip 'c3', label 'dog': this clip is not in gold" in unknown
    near = said(("c1", "old mann", 1.0))
    assert f"{place}, clip 'c1', label 'old mann': gold has no such label in this clip" in near
    assert "did you mean 'old man'?" in near
    assert "did you mean" not in said(("c1", "zebra", 1.0))
    missing = refused(read_run, write(path, score_rows(SCORES[:4])), gold, "r")
    assert "no prediction for 1 of 5 gold labels, in 1 of 2 clips" in missing
    assert "--allow-missing" in missing
    assert "clip 'c2', label 'dog'; gold: " in missing
    run = read_run(path, gold, "r", allow_missing=True)
    assert run.missing == 1
    assert run.scores.tolist() == [3.0, -1.0, 2.5, 0.5, -np.inf]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_two_grades_for_one_label_and_one_grade_twice(tmp_path, suffix):
    path = tmp_path / f"g{suffix}"
    place = {".p": ("row 5", "row 0"), ".c": ("line 7", "line 2")}.get(
        suffix[:2], ("line 6", "line 1")
    )
    message = refused(read_gold, write(path, gold_rows([*GOLD, ("c1", "Dog", 0)])))
    assert f"{path}, {place[0]}, clip 'c1', label 'Dog': two grades for one label" in message
    assert f"0 here, 2 in {path}, {place[1]}" in message
    message = refused(read_gold, write(path, gold_rows([*GOLD, ("c1", "Dog", 2)])))
    assert f"appears twice, before in {path}, {place[1]}" in message


@pytest.mark.parametrize("blank", ["", "  ", "\t", "\u00a0", "\u3000", "\x1f", "\x85"])
@pytest.mark.parametrize("column", ["clip_id", "label"])
@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv", ".trec"])
def test_blank_names(tmp_path, gold, suffix, column, blank):
    rows = [*score_rows(), {"clip_id": "c1", "label": "dog", "score": 1.0, column: blank}]
    path = tmp_path / f"r{suffix}"
    if suffix == ".trec":
        cells = {"clip_id": "c1", "label": "dog", column: f'"{blank}"'}
        path.write_text(
            f"{cells['clip_id']} Q0 {cells['label']} 1 1 t\n", encoding="utf-8", newline=""
        )
    else:
        write(path, rows)
    assert f"{column} is missing or blank" in refused(read_run, path, gold, "r")


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_a_clip_has_one_film_and_one_list_of_genres(tmp_path, suffix):
    def said(**cells):
        rows = [{**row, "movie_id": "m", "genres": ["War", "Drama"]} for row in gold_rows()]
        rows[2].update(cells)
        return refused(read_gold, write(tmp_path / f"g{suffix}", rows))

    place = {".parquet": "row 2", ".jsonl": "line 3", ".csv": "line 4"}[suffix]
    first = {".parquet": "row 0", ".jsonl": "line 1", ".csv": "line 2"}[suffix]
    message = said(movie_id="n")
    assert f"{place}, clip 'c1', label 'old man': movie_id is 'n', but 'm' in " in message
    assert first in message
    message = said(genres=["War"])
    assert (
        f"{place}, clip 'c1', label 'old man': genres are ['War'], but ['War', 'Drama'] in "
        in message
    )
    assert f"{place}, clip 'c1', label 'old man': movie_id is missing or blank" in said(
        movie_id=" "
    )


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_a_clip_without_genres_beside_one_that_has_some(tmp_path, suffix):
    rows = [{**row, "genres": ["War"] if row["clip_id"] == "c1" else []} for row in gold_rows()]
    gold = read_gold(write(tmp_path / f"g{suffix}", rows))
    assert meaning(gold)["genres"] == [["War"], []]


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
@pytest.mark.parametrize("blank", ["", " "])
def test_a_blank_genre_is_refused_in_every_format(tmp_path, suffix, blank):
    rows = [{**row, "genres": ["War", blank]} for row in gold_rows()]
    if suffix != ".csv":
        rows[3:] = [{**row, "genres": ["War"]} for row in rows[3:]]
    message = refused(read_gold, write(tmp_path / f"g{suffix}", rows))
    assert f"g{suffix}, " in message
    assert "genres" in message
    assert "wrong rows: 3" in message or suffix != ".parquet"


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_a_genre_that_is_null_is_refused(tmp_path, suffix):
    rows = [{**row, "genres": ["War", None]} for row in gold_rows()]
    assert "genres" in refused(read_gold, write(tmp_path / f"g{suffix}", rows))


def test_a_clip_may_have_no_list_of_genres(tmp_path):
    rows = [{**row, "genres": None if row["clip_id"] == "c1" else ["War"]} for row in gold_rows()]
    graded = read_gold(write(tmp_path / "g.parquet", rows))
    run = read_run(write(tmp_path / "r.parquet", score_rows()), graded, "r")
    result, _ = score(graded, [run], Options(bootstrap=0))
    assert [(name, g.clips) for name, g in result.runs[0].by_genre.items()] == [("War", 1)]


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
@pytest.mark.parametrize("blank", ["", " ", None])
def test_a_blank_source_is_none_in_every_format(tmp_path, suffix, blank):
    rows = [{**row, "source": blank if row["label"] == "dog" else "image"} for row in gold_rows()]
    graded = read_gold(write(tmp_path / f"g{suffix}", rows))
    assert graded.sources.to_pylist() == [None, "image", "image", None, "image"]
    run = read_run(write(tmp_path / "r.jsonl", score_rows()), graded, "r")
    result, _ = score(graded, [run], Options(bootstrap=0))
    assert list(result.runs[0].by_source) == ["image"]


def test_a_repeated_label_is_shown_as_it_was_written(tmp_path):
    rows = gold_rows([("c1", "OLD MAN", 1), ("c1", "old man", 1)])
    message = refused(read_gold, write(tmp_path / "g.csv", rows))
    assert "line 3, clip 'c1', label 'old man': appears twice, before in" in message
    assert message.endswith("line 2 as 'OLD MAN'")


@pytest.mark.parametrize(("grade", "shown"), [("2.9999999", "2.9999999"), ("3", "3")])
def test_a_wrong_grade_is_shown_with_all_its_digits(tmp_path, grade, shown):
    (tmp_path / "g.csv").write_text(f"clip_id,label,grade\nc1,dog,{grade}\n")
    assert f"grade is {shown}; expected" in refused(read_gold, tmp_path / "g.csv")


@pytest.mark.parametrize("column", ["split", "domain"])
def test_rows_of_no_split_are_not_mixed_with_those_of_one(tmp_path, column):
    rows = [{**row, column: None if row["clip_id"] == "c1" else "x"} for row in gold_rows()]
    message = refused(read_gold, write(tmp_path / "g.parquet", rows))
    assert f"holds more than one {column}: ['None', 'x']" in message


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_wrong_columns(tmp_path, gold, suffix):
    rows = [{"query": c, "label": label, "score": s, "rank": 1} for c, label, s in SCORES]
    message = refused(read_run, write(tmp_path / f"r{suffix}", rows), gold, "r")
    assert "missing column 'clip_id'" in message
    assert "unknown column 'query'" in message
    assert "unknown column 'rank'" in message
    assert "--predictions-columns clip_id=query" in message or "such as clip_id=query" in message
    rows = [{"query": c, "label": label, "grade": g, "rank": 1} for c, label, g in GOLD]
    message = refused(read_gold, write(tmp_path / f"g{suffix}", rows))
    assert "missing column 'clip_id'" in message
    assert "--gold-columns" in message


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_columns_by_other_names(tmp_path, suffix):
    rows = [
        {"query": c, "doc": label, "rel": g, "label": "not this", "split": "a"}
        for c, label, g in GOLD
    ]
    path = write(tmp_path / f"g{suffix}", rows)
    gold = read_gold(path, "a", columns={"clip_id": "query", "label": "doc", "grade": "rel"})
    assert meaning(gold)["labels"] == ["dog", "cat", "old man", "dog", "car"]
    rows = [{"query": c, "label": label, "score": s} for c, label, s in SCORES]
    run = read_run(write(tmp_path / f"r{suffix}", rows), gold, "r", columns={"clip_id": "query"})
    assert run.scores.tolist() == [3.0, -1.0, 2.5, 0.5, 0.5]


def test_columns_that_cannot_be_named(tmp_path, gold):
    path = write(tmp_path / "r.csv", score_rows())
    message = refused(read_run, path, gold, "r", columns={"clip": "query"})
    assert "--predictions-columns" in message
    assert "'clip'" in message
    # A column of gold is no column of predictions; and one column cannot be two.
    assert "'grade'" in refused(read_run, path, gold, "r", columns={"grade": "score"})
    assert "'score'" in refused(read_run, path, gold, "r", columns={"label": "score"})
    assert "'x'" in refused(read_run, path, gold, "r", columns={"label": "x", "clip_id": "x"})


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".trec"])
def test_text_that_is_not_utf_8_or_not_text(tmp_path, gold, suffix):
    path = write(tmp_path / f"r{suffix}", score_rows())
    whole = path.read_bytes()
    line = 1 + whole.count(b"\n", 0, whole.index(b"old man"))
    path.write_bytes(whole.replace(b"old man", b"old m\xffn"))
    message = refused(read_run, path, gold, "r")
    assert f"line {line}" in message
    assert "UTF-8" in message
    path.write_bytes(whole.replace(b"old man", b"old m\0n"))
    message = refused(read_run, path, gold, "r")
    assert f"line {line}" in message
    assert "NUL" in message
    path.write_bytes(whole.decode().encode("utf-16"))
    assert "UTF-8" in refused(read_run, path, gold, "r")


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".trec"])
def test_a_byte_order_mark_and_windows_line_ends(tmp_path, gold, suffix):
    path = write(tmp_path / f"r{suffix}", score_rows())
    text = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text)
    assert read_run(path, gold, "r").scores.tolist() == [3.0, -1.0, 2.5, 0.5, 0.5]


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".json", ".txt"])
def test_files_without_a_row(tmp_path, suffix):
    path = tmp_path / f"g{suffix}"
    for data in (b"", b"\n\n"):
        path.write_bytes(gzip.compress(data) if suffix.endswith(".gz") else data)
        refused(read_gold, path)
    path.write_bytes(b"")
    refused(read_gold, path)
