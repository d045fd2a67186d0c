"""Every format of gold and predictions: the same rows, and the same refusals."""

import csv
import gzip
import hashlib
import io
import json
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from eval.formats import quote_trec
from eval.runs import RunError, read_gold, read_run

GOLD = [
    ("c1", "dog", 2),
    ("c1", "cat", 0),
    ("c1", "old man", 1),
    ("c2", "dog", 0),
    ("c2", "car", 2),
]
SCORES = [("c2", "car", 0.5), ("c1", "old man", 3.0), ("c1", "cat", -1.0), ("c1", "dog", 2.5),
          ("c2", "dog", 0.5)]  # fmt: skip


def gold_rows(rows=GOLD):
    return [dict(zip(("clip_id", "label", "grade"), row, strict=True)) for row in rows]


def score_rows(rows=SCORES):
    return [dict(zip(("clip_id", "label", "score"), row, strict=True)) for row in rows]


def to_parquet(rows, **options):
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink, **options)
    return sink.getvalue()


def to_jsonl(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def to_csv(rows):
    text = io.StringIO(newline="")
    writer = csv.writer(text)  # RFC 4180: comma, CRLF, quotes doubled
    writer.writerow(rows[0])
    for row in rows:
        cells = ["|".join(v) if isinstance(v, list) else v for v in row.values()]
        writer.writerow(cells)
    return text.getvalue().encode()


def to_trec(rows):
    lines = []
    for i, row in enumerate(rows):
        clip, label = quote_trec(row["clip_id"]), quote_trec(row["label"])
        if "grade" in row:
            lines.append(f"{clip} 0 {label} {row['grade']}\n")
        else:
            lines.append(f"{clip} Q0 {label} {i + 1} {row['score']} me\n")
    return "".join(lines).encode()


def to_official(rows):
    items = {}
    for row in rows:
        item = items.setdefault(row["clip_id"], {"id": row["clip_id"], "image": [], "tags": []})
        item["tags"].append({"tag": row["label"], "target": row["grade"]})
    return json.dumps(list(items.values())).encode()


WRITERS = {".parquet": to_parquet, ".jsonl": to_jsonl, ".csv": to_csv, ".trec": to_trec}
TEXTS = (".jsonl", ".csv", ".trec")
SUFFIXES = [suffix + gz for suffix in WRITERS for gz in ("", ".gz")]


def write(path, rows):
    """The rows in the format that the name asks for."""
    data = WRITERS[Path(path.name.removesuffix(".gz")).suffix](rows)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def refused(read, *arguments, **options):
    with pytest.raises(RunError) as error:
        read(*arguments, **options)
    message = str(error.value)
    assert message.strip(), "a refusal says something"
    return message


@pytest.fixture
def gold(tmp_path):
    return read_gold(write(tmp_path / "the_gold.jsonl", gold_rows()))


def meaning(gold):
    """Gold as plain values."""
    return {
        "clips": gold.clip_ids.to_pylist(),
        "offsets": gold.offsets.tolist(),
        "clip_of": gold.clip_of.tolist(),
        "labels": gold.labels.to_pylist(),
        "grades": gold.grades.tolist(),
        "films": [gold.film_ids[i].as_py() for i in gold.film_of.tolist()],
        "genres": None if gold.genres is None else [g or [] for g in gold.genres.to_pylist()],
        "sources": None if gold.sources is None else gold.sources.to_pylist(),
    }


# ---------------------------------------------------------------- the same rows in every format


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_gold_and_predictions_worked_out_by_hand(tmp_path, suffix):
    mixed = [GOLD[3], GOLD[0], GOLD[4], GOLD[1], GOLD[2]]  # clips interleaved
    gold = read_gold(write(tmp_path / f"g{suffix}", gold_rows(mixed)))
    assert meaning(gold) == {
        "clips": ["c2", "c1"],
        "offsets": [0, 2, 5],
        "clip_of": [0, 0, 1, 1, 1],
        "labels": ["dog", "car", "dog", "cat", "old man"],
        "grades": [0, 2, 2, 0, 1],
        "films": ["c2", "c1"],
        "genres": None,
        "sources": None,
    }
    run = read_run(write(tmp_path / f"r{suffix}", score_rows()), gold, "mine")
    assert run.scores.tolist() == [0.5, 0.5, 3.0, -1.0, 2.5]
    assert run.gold_rows.tolist() == [1, 0, 4, 3, 2]
    assert (run.missing, run.normalised) == (0, 0)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".json", ".json.gz"])
def test_sha256_is_of_the_bytes_as_stored(tmp_path, suffix):
    path = tmp_path / f"g{suffix}"
    if ".json" in suffix and "jsonl" not in suffix:
        data = to_official(gold_rows())
        path.write_bytes(gzip.compress(data) if suffix.endswith(".gz") else data)
    else:
        write(path, gold_rows())
    assert read_gold(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


# Every character that a format, or a careless reader of it, could stumble over.
ODD = "\"\\,|'\t \n\r;#{}[]:0Aaéİßﬁ\u00a0\u2028\u0307\ufeff\x0b\x1f\x7f😀"
characters = st.one_of(st.sampled_from(ODD), st.characters(codec="utf-8", exclude_characters="\0"))
words = st.text(characters, min_size=1, max_size=6)


def normal(label):
    """An independent spelling of the normal form: lower case, NFC, single blanks."""
    text = unicodedata.normalize("NFC", label).lower()
    return " ".join(unicodedata.normalize("NFC", text).split())


@st.composite
def tables(draw, texts=words):
    """Rows of gold: clips with a film, genres and labels that differ in normal form."""
    clips = draw(st.lists(texts.filter(normal), min_size=1, max_size=4, unique=True))
    rows = []
    for clip in clips:
        film = draw(texts.filter(normal))
        genres = draw(
            st.lists(st.sampled_from(["Drama", "War", "Sci-Fi, old"]), max_size=2, unique=True)
        )
        for label in draw(st.lists(texts.filter(normal), min_size=1, max_size=4, unique_by=normal)):
            source = draw(st.sampled_from(["image", "event", "entity"]))
            grade = draw(st.integers(0, 2))
            rows.append({"clip_id": clip, "label": label, "grade": grade, "movie_id": film,
                         "genres": genres, "source": source})  # fmt: skip
    return draw(st.permutations(rows))


def expected(rows):
    """What gold means, by dictionaries."""
    clips = {}
    for row in rows:
        clips.setdefault(row["clip_id"], []).append(row)
    flat = [row for part in clips.values() for row in part]
    ends = np.cumsum([0, *(len(part) for part in clips.values())])
    genres = [part[0]["genres"] for part in clips.values()]
    return {
        "clips": list(clips),
        "offsets": ends.tolist(),
        "clip_of": [i for i, part in enumerate(clips.values()) for _ in part],
        "labels": [normal(row["label"]) for row in flat],
        "grades": [row["grade"] for row in flat],
        "films": [part[0]["movie_id"] for part in clips.values()],
        "genres": genres,
        "sources": [row["source"] for row in flat],
    }


relaxed = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@relaxed
@given(tables())
@example([{"clip_id": "İ", "label": 'a "b"\\,\n', "grade": 1, "movie_id": "\ufeffx",
           "genres": [], "source": "image"}])  # fmt: skip
def test_any_table_is_the_same_in_every_format_that_holds_all_columns(tmp_path, rows):
    want = expected(rows)
    for suffix in (".parquet", ".jsonl", ".csv", ".csv.gz", ".jsonl.gz", ".parquet.gz"):
        got = meaning(read_gold(write(tmp_path / f"g{suffix}", rows)))
        # No genre anywhere is the same as no column of genres.
        if not any(want["genres"]):
            got["genres"] = want["genres"]
        assert got == want, suffix


@relaxed
@given(tables(words.filter(lambda text: "\n" not in text and "\r" not in text)))
def test_any_table_without_line_breaks_is_the_same_in_trec_and_official_json(tmp_path, rows):
    plain = [{k: row[k] for k in ("clip_id", "label", "grade")} for row in rows]
    by_clip = sorted(plain, key=lambda row: [r["clip_id"] for r in plain].index(row["clip_id"]))
    keys = ("clips", "offsets", "labels", "grades")
    (tmp_path / "g.json").write_bytes(to_official(by_clip))
    for path in (write(tmp_path / "g.qrels.trec", plain), write(tmp_path / "g.trec.gz", plain),
                 tmp_path / "g.json"):  # fmt: skip
        got = meaning(read_gold(path))
        assert {k: got[k] for k in keys} == {k: expected(rows)[k] for k in keys}, path.name
        assert got["films"] == [clip.rpartition("_")[0] or clip for clip in got["clips"]]


@relaxed
@given(tables(), st.data())
def test_any_predictions_find_their_gold_in_every_format(tmp_path, rows, data):
    floats = st.floats(allow_nan=False, allow_infinity=False)
    scores = data.draw(st.lists(floats, min_size=len(rows), max_size=len(rows)))
    mixed = data.draw(st.permutations(range(len(rows))))
    gold = read_gold(write(tmp_path / "g.jsonl", rows))
    held = [
        (gold.clip_ids[c].as_py(), label.as_py())
        for c, label in zip(gold.clip_of, gold.labels, strict=True)
    ]
    run_rows = [
        {"clip_id": rows[i]["clip_id"], "label": rows[i]["label"], "score": scores[i]}
        for i in mixed
    ]
    line_breaks = any(c in row[k] for row in run_rows for k in ("clip_id", "label") for c in "\r\n")
    # By hand: clip after clip in gold's order, within a clip in the order of the predictions.
    clips = gold.clip_ids.to_pylist()
    order = sorted(run_rows, key=lambda row: clips.index(row["clip_id"]))
    for suffix in (".parquet", ".jsonl", ".csv", ".run"):
        if suffix == ".run" and line_breaks:
            continue
        path = tmp_path / f"r{suffix}"
        path.write_bytes(WRITERS[".trec" if suffix == ".run" else suffix](run_rows))
        run = read_run(path, gold, "r")
        assert run.scores.tolist() == [row["score"] for row in order]
        assert [held[i] for i in run.gold_rows] == [
            (r["clip_id"], normal(r["label"])) for r in order
        ]
        assert (run.missing, run.normalised) == (0, 0)


@relaxed
@given(words.filter(lambda text: "\n" not in text and "\r" not in text))
def test_a_quoted_field_is_one_field_and_comes_back(tmp_path, label):
    path = tmp_path / "g.qrels"
    path.write_text(
        f"{quote_trec('c ' + label)} 0 {quote_trec('x' + label)} 1\n", encoding="utf-8", newline=""
    )
    gold = read_gold(path)
    assert gold.rows.table["clip_id"].to_pylist() == ["c " + label]
    assert gold.rows.table["label"].to_pylist() == ["x" + label]


# ---------------------------------------------------------------- TREC


@pytest.mark.parametrize(
    "line",
    ['c 0 "old man" 1', "c 0 old\\ man 1", '"c" 0 "old\\ man" 1', "  c\t0 \t old\\ man 1 ",
     'c 0 "old man" 1\r', "c 0 \\old\\ m\\an 1"],
)  # fmt: skip
def test_blanks_in_a_trec_field(tmp_path, line):
    (tmp_path / "g.qrels").write_bytes(line.encode() + b"\n")
    assert meaning(read_gold(tmp_path / "g.qrels"))["labels"] == ["old man"]


def test_a_quote_and_a_backslash_in_a_trec_field(tmp_path):
    (tmp_path / "g.qrels").write_bytes(rb'c 0 "say \"hi\" \\ now" 1' + b"\n" + rb"c 0 5\"\\x 2")
    assert meaning(read_gold(tmp_path / "g.qrels"))["labels"] == ['say "hi" \\ now', '5"\\x']


@pytest.mark.parametrize(
    "line", ['c 0 "old man 1', "c 0 old man 1", "c 0 dog", "c 0 dog 1 2", "c 0 dog\\ 1"]
)
def test_trec_lines_with_other_fields_are_refused(tmp_path, line):
    (tmp_path / "g.qrels").write_text(f"c 0 a 1\n{line}\n")
    message = refused(read_gold, tmp_path / "g.qrels")
    assert "g.qrels, line 2" in message
    assert "clip_id 0 label grade" in message


def test_only_blanks_and_tabs_separate_trec_fields(tmp_path):
    (tmp_path / "g.qrels").write_text("c 0 rock\u00a0band 1\nc 0 a\u2028b 0\n", encoding="utf-8")
    assert meaning(read_gold(tmp_path / "g.qrels"))["labels"] == ["rock band", "a b"]


def test_a_run_is_not_qrels_and_the_other_way_round(tmp_path, gold):
    assert "expected 4" in refused(read_gold, write(tmp_path / "r.run.trec", score_rows()))
    assert "expected 6" in refused(read_run, write(tmp_path / "g.trec", gold_rows()), gold, "r")


def test_rank_and_tag_of_a_run_are_ignored(tmp_path, gold):
    lines = [f"{c} Q0 {quote_trec(label)} what {score} tag\n" for c, label, score in SCORES]
    (tmp_path / "r.run").write_text("".join(lines))
    assert read_run(tmp_path / "r.run", gold, "r").scores.tolist() == [3.0, -1.0, 2.5, 0.5, 0.5]


def test_quote_trec_refuses_what_a_line_cannot_hold():
    with pytest.raises(ValueError, match="line break"):
        quote_trec("a\nb")


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


# ---------------------------------------------------------------- gzip


def test_gzip_is_known_by_its_first_bytes_and_may_have_several_members(tmp_path):
    data = to_csv(gold_rows())
    cut = data.index(b"\n") + 1
    path = tmp_path / "g.csv"
    path.write_bytes(gzip.compress(data[:cut]) + gzip.compress(data[cut:]))
    assert meaning(read_gold(path))["grades"] == [2, 0, 1, 0, 2]
    path = tmp_path / "g.csv.gz"
    path.write_bytes(data)
    assert "not a gzip file" in refused(read_gold, path)


@pytest.mark.parametrize("suffix", [".csv.gz", ".jsonl.gz", ".trec.gz", ".parquet.gz"])
def test_damaged_gzip(tmp_path, suffix):
    path = write(tmp_path / f"g{suffix}", gold_rows())
    whole = path.read_bytes()
    middle = bytearray(whole)
    middle[len(whole) // 2] ^= 0xFF
    for data in (whole[:-9], whole[:20], whole[:3], bytes(middle), whole + b"rest"):
        path.write_bytes(data)
        assert "gzip" in refused(read_gold, path)


def test_gzip_is_not_unpacked_beyond_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("eval.rows.MAX_BYTES", 1 << 20)
    path = tmp_path / "g.csv.gz"
    path.write_bytes(gzip.compress(b"x" * (1 << 26)))
    assert "unpacks to more than 1 MiB" in refused(read_gold, path)


# ---------------------------------------------------------------- CSV


def test_line_numbers_after_a_quoted_line_break(tmp_path):
    path = tmp_path / "g.csv"
    path.write_bytes(b'clip_id,label,grade\r\nc,"two\r\nlines",1\r\n\r\nc,dog,7\r\n')
    assert f"{path}, line 5, clip 'c', label 'dog'" in refused(read_gold, path)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("c,dog", "2"),
        ("c,dog,1,2", "4"),
        ('c,"dog,1', "line 3"),
        ('c,"d"og,1', "line 3"),
        (f"c,{'x' * 200_000},1", "line 3"),
    ],
)
def test_broken_lines_of_csv(tmp_path, line, what):
    path = tmp_path / "g.csv"
    path.write_text(f"clip_id,label,grade\nc,a,1\n{line}\n")
    message = refused(read_gold, path)
    assert "line 3" in message
    assert what in message
    assert len(message) < 1000


def test_columns_of_csv_come_in_any_order_and_others_are_ignored_in_gold(tmp_path):
    path = tmp_path / "g.csv"
    path.write_text("note,grade,label,clip_id\nx,2,dog,c\n,1,cat,c\n")
    assert meaning(read_gold(path))["grades"] == [2, 1]
    path.write_text("clip_id,label,label,grade\nc,a,b,1\n")
    assert "column 'label' twice" in refused(read_gold, path)


def test_genres_of_csv(tmp_path):
    path = tmp_path / "g.csv"
    path.write_text("clip_id,label,grade,genres\nc,a,1,Drama|Comedy\nd,b,1,\n")
    assert meaning(read_gold(path))["genres"] == [["Drama", "Comedy"], []]


# ---------------------------------------------------------------- the official project's JSON


def official(path, items):
    path.write_text(json.dumps(items))
    return path


def test_the_official_json(tmp_path, gold):
    path = tmp_path / "val_data.json"
    path.write_bytes(to_official(gold_rows()))
    assert meaning(read_gold(path)) == meaning(gold)
    assert "gold" in refused(read_run, path, gold, "r")


@pytest.mark.parametrize(
    ("item", "what"),
    [
        ({"id": "b", "tags": []}, "'b'"),
        ({"id": "b"}, "'b'"),
        ({"id": "b", "tags": {"tag": "x"}}, "'b'"),
        ({"tags": [{"tag": "x", "target": 1}]}, "id"),
        ({"id": 7, "tags": [{"tag": "x", "target": 1}]}, "id"),
        ({"id": "b", "tags": ["x"]}, "'b'"),
        ({"id": "b", "tags": [{"tag": 3, "target": 1}]}, "3"),
        ({"id": "b", "tags": [{"tag": "x", "target": "1"}]}, "'1'"),
        ({"id": "b", "tags": [{"tag": "x", "target": True}]}, "True"),
        ({"id": "b", "tags": [{"tag": "x", "target": None}]}, "'b'"),
        ({"id": "b", "tags": [{"tag": "x"}]}, "'b'"),
        ({"id": "b", "tags": [{"target": 1}]}, "label"),
        ({"id": "b", "tags": [{"tag": " ", "target": 1}]}, "label"),
        ({"id": "a", "tags": [{"tag": "z", "target": 1}]}, "'a'"),
        ("b", "item 1"),
        (None, "item 1"),
    ],
)
def test_broken_items_of_the_official_json(tmp_path, item, what):
    path = official(tmp_path / "g.json", [{"id": "a", "tags": [{"tag": "x", "target": 1}]}, item])
    message = refused(read_gold, path)
    assert "item 1" in message
    assert what in message


@pytest.mark.parametrize("text", ["{", "[", "[1]", "{}", "[]", "[" * 100_000, "7", '"x"', "[{}]"])
def test_what_is_no_official_json(tmp_path, text):
    (tmp_path / "g.json").write_text(text)
    refused(read_gold, tmp_path / "g.json")


# ---------------------------------------------------------------- known by content, standard input


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv", ".trec"])
@pytest.mark.parametrize("gz", [False, True])
def test_other_names_are_known_by_content(tmp_path, gold, suffix, gz):
    for name in ("g.txt", "g", "g.data"):
        data = WRITERS[suffix](gold_rows())
        (tmp_path / name).write_bytes(gzip.compress(data) if gz else data)
        assert meaning(read_gold(tmp_path / name)) == meaning(gold)
    data = WRITERS[suffix](score_rows())
    (tmp_path / "r.txt").write_bytes(gzip.compress(data) if gz else data)
    assert read_run(tmp_path / "r.txt", gold, "r").scores.tolist() == [3.0, -1.0, 2.5, 0.5, 0.5]


@pytest.mark.parametrize(
    "data", [b"hello", b"<html></html>", b"\x89PNG\r\n\x1a\n\0\0", b"a;b;c\n1;2;3\n"]
)
def test_content_of_no_format(tmp_path, data):
    (tmp_path / "g.txt").write_bytes(data)
    message = refused(read_gold, tmp_path / "g.txt")
    for name in ("Parquet", "JSON Lines", "CSV", "TREC"):
        assert name in message


class Stdin:
    """A standard input that holds these bytes."""

    def __init__(self, data):
        self.buffer = io.BytesIO(data)


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv", ".trec"])
def test_standard_input(tmp_path, gold, monkeypatch, suffix):
    data = gzip.compress(WRITERS[suffix](score_rows()))
    monkeypatch.setattr(sys, "stdin", Stdin(data))
    run = read_run(Path("-"), gold, "r")
    assert run.scores.tolist() == [3.0, -1.0, 2.5, 0.5, 0.5]
    assert run.sha256 == hashlib.sha256(data).hexdigest()


def test_standard_input_is_read_only_once(gold, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Stdin(to_csv(score_rows())))
    assert "only once" in refused(read_run, [Path("-"), Path("-")], gold, "r")
    monkeypatch.setattr(sys, "stdin", Stdin(to_csv(score_rows())))
    read_run(Path("-"), gold, "r")
    assert "only once" in refused(read_run, Path("-"), gold, "r")


# ---------------------------------------------------------------- folders, patterns, parts


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl.gz", ".csv", ".qrels"])
def test_a_folder_is_its_files_of_one_format(tmp_path, gold, suffix):
    folder = tmp_path / "gold"
    folder.mkdir()
    writer = WRITERS[".trec" if suffix == ".qrels" else suffix.removesuffix(".gz")]
    content = b""
    for i, part in enumerate((GOLD[:2], GOLD[2:])):
        data = writer(gold_rows(part))
        data = gzip.compress(data) if suffix.endswith(".gz") else data
        (folder / f"part-{i}{suffix}").write_bytes(data)
        content += data
        for skipped in ("dropped-", ".", "_"):
            (folder / f"{skipped}part-{i}{suffix}").write_bytes(b"not this")
    (folder / "manifest.json").write_text("{}")
    (folder / "README.md").write_text("hello")
    read = read_gold(folder)
    assert meaning(read) == meaning(gold)
    assert read.sha256 == hashlib.sha256(content).hexdigest()
    (folder / "more.csv" if suffix != ".csv" else folder / "more.jsonl").write_text("x")
    assert "several formats" in refused(read_gold, folder)


@pytest.mark.parametrize("name", ["records", "relevance"])
def test_a_workspace_or_release_stands_for_its_table_of_grades(tmp_path, gold, name):
    (tmp_path / "w" / name).mkdir(parents=True)
    (tmp_path / "w" / "README.md").write_text("hello")
    (tmp_path / "w" / "croissant.json").write_text("{}")
    write(tmp_path / "w" / name / "part-0.parquet", gold_rows())
    assert meaning(read_gold(tmp_path / "w")) == meaning(gold)
    refused(read_run, tmp_path / "w", gold, "r")  # of predictions there is no one table


def test_several_paths_and_patterns_are_parts_of_one_table(tmp_path, gold):
    a = write(tmp_path / "part-a.csv", gold_rows(GOLD[:2]))
    b = write(tmp_path / "part-b.csv", gold_rows(GOLD[2:]))
    whole = read_gold([a, b])
    assert meaning(whole) == meaning(gold)
    assert whole.sha256 == hashlib.sha256(a.read_bytes() + b.read_bytes()).hexdigest()
    pattern = read_gold(tmp_path / "part-*.csv")
    assert (meaning(pattern), pattern.sha256) == (meaning(whole), whole.sha256)
    # Lines are counted in each part by itself.
    write(b, gold_rows([*GOLD[2:], ("c9", "x", 5)]))
    assert f"{b}, line 5, clip 'c9'" in refused(read_gold, [a, b])
    assert "appears twice" in refused(read_gold, [a, a])
    message = refused(read_gold, tmp_path / "none-*.csv")
    assert "none-*.csv" in message


def test_a_file_whose_name_looks_like_a_pattern(tmp_path, gold):
    path = write(tmp_path / "g[1].csv", gold_rows())
    assert meaning(read_gold(path)) == meaning(gold)


def test_names_nearly_right_are_suggested(tmp_path):
    write(tmp_path / "predictions.csv", gold_rows())
    assert "predictions.csv" in refused(read_gold, tmp_path / "predictoins.csv")
    assert "Did you mean" not in refused(read_gold, tmp_path / "zzz")
    refused(read_gold, tmp_path / "no" / "such" / "folder.csv")
    refused(read_gold, tmp_path / ("x" * 300))
    refused(read_gold, tmp_path / ("*" + "x" * 300))
    refused(read_gold, Path("a\0b"))


def test_a_device_or_an_empty_folder(tmp_path):
    refused(read_gold, tmp_path)
    refused(read_gold, Path("/dev/null"))


# ---------------------------------------------------------------- Parquet


@pytest.mark.parametrize(
    "options",
    [
        {"use_dictionary": False},
        {"use_dictionary": False, "column_encoding": {"clip_id": "DELTA_BYTE_ARRAY"}},
        {"use_dictionary": False, "column_encoding": {"label": "DELTA_LENGTH_BYTE_ARRAY"}},
        {"row_group_size": 1},
        {"compression": "zstd", "data_page_version": "2.0"},
        {"store_schema": False, "version": "1.0"},
    ],
)
def test_parquet_as_others_write_it(tmp_path, gold, options):
    rows = [{**row, "genres": ["War"], "movie_id": "m"} for row in gold_rows()]
    (tmp_path / "g.parquet").write_bytes(to_parquet(rows, **options))
    got = meaning(read_gold(tmp_path / "g.parquet"))
    assert got["labels"] == meaning(gold)["labels"]
    assert got["genres"] == [["War"], ["War"]]


@pytest.mark.parametrize(
    "kind",
    [pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()),
     pa.dictionary(pa.int32(), pa.large_string())],
)  # fmt: skip
@pytest.mark.parametrize("number", [pa.int8(), pa.uint64(), pa.float32(), pa.decimal128(5, 1)])
def test_parquet_types(tmp_path, gold, kind, number):
    columns = list(zip(*GOLD, strict=True))
    texts = [pa.array(column, pa.string()) for column in columns[:2]]
    if pa.types.is_dictionary(kind):
        texts = [t.dictionary_encode().cast(kind) for t in texts]
    else:
        texts = [t.cast(kind) for t in texts]
    grades = pa.array(columns[2], pa.float32()).cast(number)
    table = pa.table([*texts, grades], names=["clip_id", "label", "grade"])
    pq.write_table(table, tmp_path / "g.parquet")
    assert meaning(read_gold(tmp_path / "g.parquet")) == meaning(gold)


@pytest.mark.parametrize("column", ["clip_id", "label", "grade", "genres", "movie_id"])
def test_parquet_columns_of_another_type(tmp_path, column):
    for value in (b"x", {"a": 1}, [{"a": 1}], [[1]], True):
        rows = [{**row, "movie_id": "m", "genres": ["a"], column: value} for row in gold_rows()]
        (tmp_path / "g.parquet").write_bytes(to_parquet(rows))
        message = refused(read_gold, tmp_path / "g.parquet")
        assert f"column {column!r} has type" in message


def test_a_split_that_gold_does_not_have(tmp_path):
    path = write(tmp_path / "g.csv", [{**row, "split": "a"} for row in gold_rows()])
    assert read_gold(path, "a").split == "a"
    assert "no split 'b'" in refused(read_gold, path, "b")
    assert "no split 'b'" in refused(read_gold, write(tmp_path / "h.csv", gold_rows()), "b")


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_rows_of_other_splits_are_not_read(tmp_path, suffix):
    rows = [{**row, "split": "test"} for row in gold_rows()]
    rows.insert(0, {"clip_id": "c1", "label": "dog", "grade": 0, "split": "train"})
    gold = read_gold(write(tmp_path / f"g{suffix}", rows), "test")
    assert meaning(gold)["grades"] == [2, 0, 1, 0, 2]
    assert "more than one split" in refused(read_gold, tmp_path / f"g{suffix}")
