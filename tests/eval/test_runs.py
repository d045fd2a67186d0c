"""Reading and checking gold and predictions: what is right is read, what is wrong is named."""

import hashlib
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eval import rows
from eval.runs import RunError, read_gold, read_run

GOLD = [
    ("c1", "dog", 2), ("c1", "cat", 0), ("c1", "old man", 1),
    ("c2", "dog", 0), ("c2", "car", 2),
]  # fmt: skip
SCORES = [("c2", "car", 0.5), ("c1", "old man", 3), ("c1", "cat", -1), ("c1", "dog", 2.5),
          ("c2", "dog", 0.5)]  # fmt: skip


def frame(rows, columns):
    return [dict(zip(columns, row, strict=True)) for row in rows]


def gold_rows(rows=GOLD):
    return frame(rows, ("clip_id", "label", "grade"))


def score_rows(rows=SCORES):
    return frame(rows, ("clip_id", "label", "score"))


def jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def parquet(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def folder(path, rows):
    parquet(path / "part-00000.parquet", rows[:2])
    parquet(path / "part-00001.parquet", rows[2:])
    # What a workspace keeps beside a table's rows, and leftovers of a killed copy.
    parquet(path / "dropped-00000.parquet", [{"clip_id": "c9", "reason": "dark"}])
    (path / ".part-00002.parquet").write_bytes(b"half")
    return path


WRITERS = {"x.jsonl": jsonl, "x.parquet": parquet, "x": folder}


@pytest.fixture
def gold(tmp_path):
    return read_gold(jsonl(tmp_path / "gold.jsonl", gold_rows()))


def refused(read, *arguments, **options):
    with pytest.raises(RunError) as error:
        read(*arguments, **options)
    return str(error.value)


@pytest.mark.parametrize("name", WRITERS)
def test_gold_of_every_format(tmp_path, name):
    mixed = [GOLD[3], GOLD[0], GOLD[4], GOLD[1], GOLD[2]]  # clips interleaved
    gold = read_gold(WRITERS[name](tmp_path / name, gold_rows(mixed)))
    assert gold.clip_ids.to_pylist() == ["c2", "c1"]
    assert gold.offsets.tolist() == [0, 2, 5]
    assert gold.clip_of.tolist() == [0, 0, 1, 1, 1]
    assert gold.grades.tolist() == [0, 2, 2, 0, 1]
    assert gold.labels.to_pylist() == ["dog", "car", "dog", "cat", "old man"]


@pytest.mark.parametrize("name", WRITERS)
def test_predictions_of_every_format_keep_their_order_within_a_clip(tmp_path, gold, name):
    run = read_run(WRITERS[name](tmp_path / name, score_rows()), gold, "mine")
    assert run.name == "mine"
    assert run.scores.tolist() == [3, -1, 2.5, 0.5, 0.5]
    assert run.gold_rows.tolist() == [2, 1, 0, 4, 3]
    assert (run.missing, run.normalised) == (0, 0)


def test_sha256_is_over_the_bytes_of_the_files(tmp_path):
    file = jsonl(tmp_path / "gold.jsonl", gold_rows())
    assert read_gold(file).rows.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    parts = folder(tmp_path / "gold", gold_rows())
    content = b"".join((parts / f"part-0000{i}.parquet").read_bytes() for i in range(2))
    assert read_gold(parts).rows.sha256 == hashlib.sha256(content).hexdigest()


def test_labels_are_compared_in_normal_form_and_counted(tmp_path):
    gold = read_gold(
        jsonl(tmp_path / "gold.jsonl", gold_rows([("c", "Café", 2), ("c", "old man", 1)]))
    )
    rows = score_rows([("c", "CAFE\u0301", 1), ("c", "old  man ", 2)])
    run = read_run(jsonl(tmp_path / "run.jsonl", rows), gold, "run")
    assert run.gold_rows.tolist() == [0, 1]
    assert run.normalised == 2
    rows = score_rows([("c", "Café", 1), ("c", "old  man ", 2)])
    assert read_run(jsonl(tmp_path / "run.jsonl", rows), gold, "run").normalised == 1
    # Written so in gold too, but not in this clip.
    twice = gold_rows([("c", "Old Man", 1), ("d", "old man", 1)])
    gold = read_gold(jsonl(tmp_path / "gold.jsonl", twice))
    rows = score_rows([("c", "old man", 1), ("d", "old man", 2)])
    assert read_run(jsonl(tmp_path / "run.jsonl", rows), gold, "run").normalised == 1


def test_one_split_of_a_records_table(tmp_path):
    columns = ("clip_id", "domain", "split", "position", "label", "grade", "genres")
    rows = [
        ("c1", "source", "source_train", 0, "dog", 2, ["Drama"]),
        ("c1", "target", "target_pairs", 0, "cat", None, ["Drama"]),
        ("c1", "target", "target_test", 0, "dog", 1, []),
        ("c2", "target", "target_test", 0, "dog", 0, ["Drama", "War"]),
    ]
    path = parquet(tmp_path / "records" / "part-00000.parquet", frame(rows, columns)).parent
    gold = read_gold(path, "target_test")
    assert gold.clip_ids.to_pylist() == ["c1", "c2"]
    assert gold.grades.tolist() == [1, 0]
    assert gold.rows.table["genres"].to_pylist() == [[], ["Drama", "War"]]

    assert "['source_train', 'target_pairs', 'target_test']" in refused(read_gold, path, "test")
    assert "more than one split" in refused(read_gold, path)
    message = refused(read_gold, path, "target_pairs")
    assert "row 1, clip 'c1', label 'cat': grade is missing; expected a whole number" in message
    plain = jsonl(tmp_path / "gold.jsonl", gold_rows())
    assert "it has no column split" in refused(read_gold, plain, "target_test")


def test_records_of_two_domains_are_not_mixed(tmp_path):
    rows = frame([("c", "a", 1, "source"), ("c", "b", 1, "target")],
                 ("clip_id", "label", "grade", "domain"))  # fmt: skip
    assert "more than one domain" in refused(read_gold, jsonl(tmp_path / "g.jsonl", rows))


@pytest.mark.parametrize("grade", [3, -1, 0.5, None, float("nan"), float("inf")])
@pytest.mark.parametrize("name", WRITERS)
def test_grades_outside_the_scale(tmp_path, name, grade):
    rows = gold_rows([*((c, label, float(g)) for c, label, g in GOLD[:4]), ("c2", "car", grade)])
    message = refused(read_gold, WRITERS[name](tmp_path / name, rows))
    place = {"x.jsonl": "x.jsonl, line 5", "x.parquet": "x.parquet, row 4"}
    assert place.get(name, "part-00001.parquet, row 2") in message
    assert "clip 'c2', label 'car': grade is" in message


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf"), None])
@pytest.mark.parametrize("name", WRITERS)
def test_scores_that_are_not_finite(tmp_path, gold, name, score):
    path = WRITERS[name](tmp_path / name, score_rows([*SCORES[:4], ("c2", "dog", score)]))
    message = refused(read_run, path, gold, "run")
    assert "clip 'c2', label 'dog': score is" in message
    assert "expected a finite number" in message


@pytest.mark.parametrize("score", ['"high"', '"0.5"', "true", "[1]", "{}", "1" + "0" * 400])
def test_scores_that_are_not_numbers(tmp_path, gold, score):
    path = jsonl(tmp_path / "run.jsonl", score_rows(SCORES[:4]))
    with path.open("a") as file:
        file.write(f'{{"clip_id": "c2", "label": "dog", "score": {score}}}\n')
    message = refused(read_run, path, gold, "run")
    assert "run.jsonl, line 5" in message
    assert '"c2", "label": "dog"' in message


@pytest.mark.parametrize("value", ["0.5", True])
def test_a_parquet_column_of_the_wrong_type(tmp_path, gold, value):
    rows = score_rows([(c, label, value) for c, label, _ in SCORES])
    message = refused(read_run, parquet(tmp_path / "run.parquet", rows), gold, "run")
    assert "column 'score' has type" in message
    rows = score_rows([(7, label, score) for _, label, score in SCORES])
    message = refused(read_run, parquet(tmp_path / "run.parquet", rows), gold, "run")
    assert "column 'clip_id' has type int64, expected string" in message


def test_numbers_and_text_that_pandas_writes(tmp_path, gold):
    table = pd.DataFrame(score_rows()).astype({"clip_id": "category", "score": "float32"})
    table.iloc[[4, 3, 2, 1, 0]].to_parquet(tmp_path / "run.parquet", index=True)
    assert "__index_level_0__" in pq.read_schema(tmp_path / "run.parquet").names
    run = read_run(tmp_path / "run.parquet", gold, "run")
    assert run.gold_rows.tolist() == [0, 1, 2, 3, 4]
    assert run.scores.tolist() == [2.5, -1, 3, 0.5, 0.5]


def test_repeated_labels(tmp_path, gold):
    path = jsonl(tmp_path / "run.jsonl", score_rows([*SCORES, ("c1", "Dog", 9), SCORES[0]]))
    message = refused(read_run, path, gold, "run")
    assert "wrong rows: 2" in message
    assert f"line 6, clip 'c1', label 'Dog': appears twice, before in {path}, line 4" in message
    assert f"line 7, clip 'c2', label 'car': appears twice, before in {path}, line 1" in message
    path = jsonl(tmp_path / "twice.jsonl", gold_rows([*GOLD, ("c1", "DOG", 1)]))
    assert (
        f"line 6, clip 'c1', label 'DOG': two grades for one label: 1 here, 2 in {path}, line 1"
        in refused(read_gold, path)
    )


def test_unknown_clips_and_labels(tmp_path, gold):
    path = jsonl(tmp_path / "run.jsonl", score_rows([*SCORES, ("c3", "dog", 1)]))
    message = refused(read_run, path, gold, "run")
    assert "line 6, clip 'c3', label 'dog': this clip is not in gold" in message
    # Known in another clip, unknown altogether: both are unknown here.
    for clip, label in (("c1", "car"), ("c2", "old man"), ("c1", "tree"), ("c2", "tree")):
        path = jsonl(tmp_path / "run.jsonl", score_rows([*SCORES, (clip, label, 1)]))
        message = refused(read_run, path, gold, "run")
        assert f"line 6, clip {clip!r}, label {label!r}: gold has no such label in this" in message
        assert "wrong rows: 1" in message


def test_missing_labels(tmp_path, gold):
    path = jsonl(tmp_path / "run.jsonl", score_rows(SCORES[1:3]))
    message = refused(read_run, path, gold, "run")
    assert "no prediction for 3 of 5 gold labels, in 2 of 2 clips" in message
    assert f"clip 'c1', label 'dog'; gold: {tmp_path / 'gold.jsonl'}, line 1" in message
    assert f"clip 'c2', label 'car'; gold: {tmp_path / 'gold.jsonl'}, line 5" in message

    run = read_run(path, gold, "run", allow_missing=True)
    assert run.missing == 3
    assert run.scores.tolist() == [3, -1, -np.inf, -np.inf, -np.inf]
    assert run.gold_rows.tolist() == [2, 1, 0, 3, 4]


def test_the_first_ten_are_listed(tmp_path, gold):
    rows = score_rows([*((f"x{i:02d}", "dog", 1) for i in range(13)), *SCORES])
    message = refused(read_run, jsonl(tmp_path / "run.jsonl", rows), gold, "run")
    assert "wrong rows: 13" in message
    assert [f"x{i:02d}" in message for i in range(13)] == [True] * 10 + [False] * 3
    assert message.endswith("… and 3 more")


def test_a_hostile_cell_does_not_flood_the_message(tmp_path, gold):
    rows = score_rows([("c1", "x\x1b[2J\n" * 10_000, 1), *SCORES])
    message = refused(read_run, jsonl(tmp_path / "run.jsonl", rows), gold, "run")
    assert len(message) < 1000
    assert "\x1b" not in message


@pytest.mark.parametrize("blank", [None, "", "  \t"])
@pytest.mark.parametrize("column", ["clip_id", "label"])
@pytest.mark.parametrize("name", WRITERS)
def test_blank_names(tmp_path, gold, name, column, blank):
    rows = [*score_rows(), {"clip_id": "c1", "label": "dog", "score": 1.0, column: blank}]
    message = refused(read_run, WRITERS[name](tmp_path / name, rows), gold, "run")
    assert f"{column} is missing or blank" in message


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b'{"clip_id": "c1", "label"', "not JSON"),
        (b"c1,dog,0.5", "not JSON"),
        (b'["c1", "dog", 0.5]', "not a JSON object"),
        (b"{}", "missing column 'clip_id'"),
        (b'{"clip_id": "c1", "label": "dog"}', "missing column 'score'"),
        (b'{"clip_id": "c1", "label": "dog", "score": 1, "rank": 2}', "unknown column 'rank'"),
        (b'{"clip_id": "c1", "label": "dog", "score": 1, "score": 2}', "column 'score' twice"),
        (b'{"clip_id": "c1", "label": "\\ud800", "score": 1}', "surrogates not allowed"),
        (b'{"clip_id": ["c1"], "label": "dog", "score": 1}', "clip_id is ['c1'], expected text"),
        (b"[" * 100_000, "recursion"),
    ],
)
def test_broken_lines(tmp_path, gold, line, what):
    path = jsonl(tmp_path / "run.jsonl", score_rows())
    path.write_bytes(path.read_bytes() + b"\n" + line + b"\n")
    message = refused(read_run, path, gold, "run")
    assert "run.jsonl, line 7: " in message
    assert what in message


def test_lines_end_with_line_feeds_alone(tmp_path):
    # Windows line ends, a byte order mark, and a character that str.splitlines would split at.
    text = '{"clip_id": "c", "label": "a\u2028b", "grade": 1}\r\n'
    path = tmp_path / "gold.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_gold(path).labels.to_pylist() == ["a b"]


def test_wrong_columns_in_parquet(tmp_path, gold):
    rows = [{"clip": "c1", "label": "dog", "score": 1.0, "rank": 1}]
    message = refused(read_run, parquet(tmp_path / "run.parquet", rows), gold, "run")
    assert "missing column 'clip_id'; unknown column 'clip'; unknown column 'rank'" in message
    twice = pa.table([["c1"], ["dog"], [1.0], [2.0]], names=["clip_id", "label", "score", "score"])
    pq.write_table(twice, tmp_path / "run.parquet")
    assert "column 'score' twice" in refused(read_run, tmp_path / "run.parquet", gold, "run")


def test_parts_must_have_the_same_columns(tmp_path):
    path = tmp_path / "gold"
    parquet(path / "part-0.parquet", gold_rows(GOLD[:3]))
    parquet(path / "part-1.parquet", [{**row, "split": "a"} for row in gold_rows(GOLD[3:])])
    assert "different columns" in refused(read_gold, path)


def test_files_that_are_no_parquet(tmp_path, gold, monkeypatch):
    path = parquet(tmp_path / "run.parquet", score_rows())
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 4 : len(whole) // 2] = b"\xff" * (len(whole) // 2 - len(whole) // 4)
    for data in (b"", b"PAR1", whole[:-20], b'{"clip_id": "c1"}', bytes(damaged)):
        path.write_bytes(data)
        assert f"{path}: not a readable Parquet" in refused(read_run, path, gold, "run")
    bad = pa.array([b"c1", b"\xff"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"clip_id": bad, "label": ["a", "b"], "score": [1, 2]}), path)
    assert "UTF8" in refused(read_run, path, gold, "run")
    path.write_bytes(whole)
    monkeypatch.setattr(rows, "MAX_ROWS", 4)
    assert "claims 5 rows, more than 4" in refused(read_run, path, gold, "run")


@pytest.mark.parametrize("name", WRITERS)
def test_no_rows(tmp_path, name):
    schema = pa.schema([("clip_id", pa.string()), ("label", pa.string()), ("grade", pa.int8())])
    path = tmp_path / name
    if name == "x.jsonl":
        path.write_text("\n\n")
    elif name == "x.parquet":
        pq.write_table(schema.empty_table(), path)
    else:
        path.mkdir()
        pq.write_table(schema.empty_table(), path / "part-00000.parquet")
    assert f"{path}: holds no rows" in refused(read_gold, path)


def test_paths_that_cannot_be_read(tmp_path):
    assert "no such file" in refused(read_gold, tmp_path / "nowhere")
    assert "no Parquet, JSON Lines, CSV or TREC files" in refused(read_gold, tmp_path)
    (tmp_path / "gold.csv").write_text("clip_id,label,grade\n")
    assert "holds no rows" in refused(read_gold, tmp_path / "gold.csv")
    (tmp_path / "gold.csv").unlink()
    (tmp_path / "part.parquet").mkdir()
    assert "no Parquet, JSON Lines, CSV or TREC files" in refused(read_gold, tmp_path)


@pytest.mark.parametrize("scale", [1, 10**6, 2**60])
def test_packed_sorts_are_stable_sorts(scale):
    rng = np.random.default_rng(0)
    keys = rng.integers(-1, 6, 500) * scale
    keys[keys < -1] = -1
    expected = np.argsort(keys, kind="stable")
    np.testing.assert_array_equal(rows.stable_order(keys), expected)
    assert rows.stable_order(keys[:0]).tolist() == []
