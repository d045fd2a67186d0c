"""Every format of gold and predictions: the same rows, and what is peculiar to each."""

import gzip
import hashlib
import json
import unicodedata

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from written import (
    GOLD,
    SCORES,
    SUFFIXES,
    WRITERS,
    gold_rows,
    meaning,
    refused,
    score_rows,
    to_official,
    to_parquet,
    write,
)

from eval.formats import quote_trec
from eval.runs import read_gold, read_run

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
