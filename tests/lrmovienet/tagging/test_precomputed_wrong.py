"""Files of tags of any content: each wrong row is named, and nothing ends in a traceback."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tag_files import CLIPS, REFS, jsonl, rows_of
from tagged import tag, write_clips

from lrmovienet.errors import UserError
from lrmovienet.schema import DROPPED, IMAGE_LABELS
from lrmovienet.tagging.precomputed import MAX_LINE, image_labels, read
from lrmovienet.validation import from_columns

CLIP = {"clip_id": "tt1_0001"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "not JSON"),
        ("\xff", "not JSON"),
        ("[1]", r"\[1\] is not an object"),
        ("null", "None is not an object"),
        ({"label": "dog"}, "expected one of clip_id, ref and image, as text"),
        ({"clip_id": 7, "label": "dog"}, "expected one of clip_id, ref and image, as text"),
        ({"clip_id": "", "label": "dog"}, "expected one of clip_id, ref and image, as text"),
        (CLIP | {"ref": REFS[0], "label": "dog"}, "expected one of clip_id, ref and image"),
        (CLIP, "expected either label or tags"),
        (CLIP | {"label": ""}, "expected either label or tags"),
        (CLIP | {"label": "dog", "tags": ["dog"]}, "expected either label or tags"),
        (CLIP | {"label": 7}, "is no tag; expected a label and, if any, a score"),
        (CLIP | {"label": ["dog"]}, "is no tag"),
        (CLIP | {"label": " \t"}, r"label ' \\t': give 1 to \d+ letters"),
        (CLIP | {"label": "\0"}, "give 1 to"),
        (CLIP | {"label": "x" * 5000}, "give 1 to"),
        (CLIP | {"tags": 7}, r"tags is 7; expected 'a \| b \| c' or a list"),
        (CLIP | {"tags": {"dog": 0.5}}, r"tags is \{'dog': 0.5\}; expected"),
        (CLIP | {"tags": [["dog", 0.5]]}, r"\['dog', 0.5\] is no tag"),
        (CLIP | {"tags": [{"score": 0.5}]}, "is no tag"),
        (CLIP | {"tags": [None]}, "is no tag"),
        (CLIP | {"tags": [{"label": "dog", "score": "high"}]}, "score 'high': expected a number"),
        (CLIP | {"label": "dog", "score": 1.5}, r"score 1.5: expected a number from 0 to 1"),
        (CLIP | {"label": "dog", "score": -0.1}, "score -0.1: expected"),
        (CLIP | {"label": "dog", "score": 68.3}, "score 68.3: expected"),
        (CLIP | {"label": "dog", "score": True}, "score True: expected"),
        (CLIP | {"label": "dog", "score": [0.5]}, r"score \[0.5\]: expected"),
        (CLIP | {"label": "dog", "score": "nan"}, "score 'nan': expected"),
        (CLIP | {"label": "dog", "score": float("nan")}, "score nan: expected"),
        (CLIP | {"label": "dog", "score": float("inf")}, "score inf: expected"),
        (CLIP | {"label": "dog", "score": 10**400}, "score 1000.*: expected"),
        ({"image": "frame1.jpg", "label": "dog"}, "'frame1.jpg' does not end in <movie_id>/shot_"),
        ({"image": "tt1/shot_1_img_0.jpg", "label": "dog"}, "does not end in <movie_id>/shot_"),
        ({"image": REFS[0] + "/", "label": "dog"}, "does not end in <movie_id>/shot_"),
        ({"image": "shot_0000_img_0.jpg", "label": "dog"}, "does not end in <movie_id>/shot_"),
    ],
)  # fmt: skip
def test_a_wrong_row_is_named(tmp_path, row, message):
    path = jsonl(tmp_path, CLIP | {"label": "good"})
    text = row if isinstance(row, str) else json.dumps(row)
    path.write_bytes(path.read_bytes() + b"\n" + text.encode("latin-1") + b"\n")
    with pytest.raises(UserError, match=rf"\n  line 3: .*{message}") as error:
        read(path)
    assert str(error.value).startswith(f"{path}: not readable as tags:\n  line 3: ")
    assert len(str(error.value)) < len(str(path)) + 250


def test_ten_wrong_rows_are_listed_and_the_others_counted(tmp_path):
    path = jsonl(tmp_path, *[CLIP] * 14, CLIP | {"label": "good"})
    with pytest.raises(UserError) as error:
        read(path)
    lines = str(error.value).splitlines()
    assert lines[1:11] == [f"  line {i}: expected either label or tags" for i in range(1, 11)]
    assert lines[11:] == ["  … and 4 more"]


def test_places_in_tables(tmp_path):
    path = tmp_path / "tags.csv"
    path.write_text('clip_id,label,score\n"tt1_0001","a\nb",0.5\ntt1_0001,dog,2\n')
    with pytest.raises(UserError, match="line 4: score '2': expected a number from 0 to 1"):
        read(path)
    path = tmp_path / "tags.parquet"
    pq.write_table(pa.table({"clip_id": ["a", "b"], "label": ["x", None]}), path)
    with pytest.raises(UserError, match="row 1: expected either label or tags"):
        read(path)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.csv", "clip_id,label\ntt1_0001,caf\xe9\n".encode("latin-1"), "not UTF-8 text"),
        ("t.tsv", "clip_id\tlabel\n".encode("utf-16"), "not UTF-8 text"),
        ("t.jsonl", b"", "no tags in it"),
        ("t.jsonl", b"\n \n", "no tags in it"),
        ("t.csv", b"", "no tags in it"),
        ("t.csv", b"clip_id,label\n", "no tags in it"),
        ("t.csv", b'clip_id,label\na,"' + b"x" * 140_000, r"line 2: field larger than"),
        ("t.csv", b"a;b\n1;2\n", "line 2: expected one of clip_id, ref and image"),
        ("t.parquet", b"no parquet", "not a readable Parquet file"),
        ("t.parquet", b"", "not a readable Parquet file"),
        ("t.txt", b"{}", "give a file that ends in .jsonl, .parquet, .csv or .tsv"),
        ("t", b"{}", "give a file that ends in .jsonl"),
        ("t.json", b"[]", "give a file that ends in .jsonl"),
    ],
)  # fmt: skip
def test_a_file_that_is_none(tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(UserError, match=message) as error:
        read(path)
    assert str(error.value).startswith(f"{path}: ")


def test_a_line_without_end_is_refused_early(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes(b'{"clip_id": "a", "label": "b"}\n' + b" " * (MAX_LINE + 5))
    with pytest.raises(UserError, match=f"line 2 is longer than {MAX_LINE} bytes"):
        read(path)


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(UserError, match=r"no such file\. Give the file of tags as --tags"):
        read(tmp_path / "t.jsonl")
    with pytest.raises((UserError, IsADirectoryError)):
        read(tmp_path)


@pytest.mark.parametrize("depth", [50, 900, 940, 950, 960, 970, 980, 990, 1000, 100_000])
def test_nesting_of_any_depth(tmp_path, depth):
    path = tmp_path / "t.jsonl"
    path.write_text('{"clip_id": "a", "tags": [' + "[" * depth + "]" * depth + "]}")
    with pytest.raises(UserError, match=r"line 1: (not JSON|.* is no tag)"):
        read(path)


# --- rows of any kind ---

odd = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(),
    st.sampled_from([10**400, "\ud800", "", " ", "\0", "a|b", "0.5", "1e400", "İ", "ﬁ", "\u2028"]),
    st.text(st.characters(), max_size=5), st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=1),
)  # fmt: skip
STRANGERS = ["tt9_0001", "tt\ud8009/shot_0000_img_0.jpg"]
names = st.one_of(st.sampled_from([*CLIPS, *REFS, *STRANGERS]), odd)
scored = st.fixed_dictionaries({"label": odd}, optional={"score": odd})
tags_of_any_kind = st.one_of(st.lists(st.one_of(odd, scored), max_size=3), odd)
any_row = st.one_of(
    odd,
    st.fixed_dictionaries(
        {}, optional={"clip_id": names, "ref": names, "image": names, "label": odd, "score": odd,
                      "tags": tags_of_any_kind},
    ),
    st.builds(
        lambda clip, label, score: {"clip_id": clip, "label": label, "score": score},
        names, st.text(st.characters(), min_size=1, max_size=4), st.sampled_from([0, 0.5, None]),
    ),
)  # fmt: skip


def tables_of(path):
    """Both tables as the runner would check them; None where the file is refused."""
    try:
        found = read(path)
        columns = image_labels(found, CLIPS, "precomputed:t", "t.jsonl")
    except UserError as error:
        assert str(error)
        return None
    reasons = columns["drop_reason"]
    kept = [i for i, reason in enumerate(reasons) if reason is None]
    table = {c: [columns[c][i] for i in kept] for c in IMAGE_LABELS.schema.names}
    lost = {
        "clip_id": [columns["clip_id"][i] for i, r in enumerate(reasons) if r is not None],
        "label": [None] * (len(reasons) - len(kept)), "stage": ["t"] * (len(reasons) - len(kept)),
        "reason": [r for r in reasons if r is not None],
    }  # fmt: skip
    from_columns(lost, DROPPED, "test")
    return found, from_columns(table, IMAGE_LABELS, "test").to_pylist()


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(any_row, min_size=1, max_size=5))
@example([{"clip_id": "tt1_0001", "label": "dog", "score": 10**400}])
@example([{"clip_id": "tt1_0001", "label": "dog"}, {"clip_id": "\ud800", "label": "dog"}])
@example([{"clip_id": "tt1_0001", "label": "dog"}, {"clip_id": " ", "label": "dog"}])
@example([{"clip_id": "tt1_0001", "label": "\ud800dog"}])
def test_any_json_is_refused_or_a_table(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("any") / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = tables_of(path)
    if made is None:
        return
    found, table = made
    given_to = {c: {t.label for f in found for t in f.tags if f.clip_id == c} for c in CLIPS}
    for clip_id, keyframes in CLIPS.items():
        refs = {frame["ref"] for frame in keyframes}
        given_to[clip_id] |= {t.label for f in found for t in f.tags if f.ref in refs}
    assert {(r["clip_id"], r["label"]) for r in table} == {
        (clip_id, label) for clip_id, those in given_to.items() for label in those
    }


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=80), st.sampled_from([".jsonl", ".csv", ".tsv", ".parquet"]))
def test_any_bytes_are_refused_or_read(tmp_path_factory, data, kind):
    path = tmp_path_factory.mktemp("any") / f"t{kind}"
    path.write_bytes((b"clip_id,label\n" if kind == ".csv" else b"") + data)
    tables_of(path)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([10**17], pa.timestamp("ms")),  # beyond the year 9999
        pa.array([b"\xff"]).cast(pa.binary()),
        pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
        pa.array(["dog"]).dictionary_encode(),
        pa.array([{"label": "dog"}]),
    ],
    ids=lambda column: str(column.type),
)
def test_columns_of_any_type(tmp_path, column):
    path = tmp_path / "t.parquet"
    clips = pa.array(["tt1_0001"])
    pq.write_table(pa.table({"clip_id": clips, "label": ["dog"], "other": column}), path)
    assert rows_of(path) == [("tt1_0001", "dog", None, 1, None)]
    for name in ("label", "tags", "clip_id"):
        pq.write_table(pa.table({"clip_id": clips, "label": ["a"]} | {name: column}), path)
        tables_of(path)


@pytest.mark.parametrize(
    "rows",
    [
        [{"clip_id": "tt7_0001", "label": "dog"}],
        [CLIP | {"label": "dog", "score": 2}],
        [CLIP | {"label": "dog"}, {"clip_id": "\ud800", "label": "dog"}],
        [CLIP | {"label": "dog", "score": 10**400}],
    ],
)
def test_the_command_says_in_a_message_what_is_wrong_with_the_file(tmp_path, capsys, rows):
    write_clips(tmp_path, CLIPS)
    path = jsonl(tmp_path, *rows)
    assert tag(tmp_path, "--tagger", "precomputed", "--tags", path) == 2
    err = capsys.readouterr().err
    assert "tags.jsonl" in err and "Traceback" not in err
    assert not (tmp_path / "image_labels").exists()
