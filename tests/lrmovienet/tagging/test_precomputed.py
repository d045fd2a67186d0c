"""Tags made elsewhere: every form of the file, and the rows that it becomes."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tag_files import CLIPS, REFS, as_csv, jsonl, of, rows_of
from tagged import dropped, labels, tag, write_clips

from lrmovienet.errors import UserError
from lrmovienet.tagging.precomputed import Found, Tag, read
from lrmovienet.workspace import Workspace

# --- what a file may look like ---

LONG = [
    {"clip_id": "tt1_0001", "label": "dog", "score": 0.9},
    {"clip_id": "tt1_0001", "label": "cat", "score": 0.25},
    {"clip_id": "tt1_0002", "label": "  New\u00a0 YORK ", "score": 1},
]
EXPECTED = [
    ("tt1_0001", "dog", 0.9, 1, None),
    ("tt1_0001", "cat", 0.25, 1, None),
    ("tt1_0002", "new york", 1.0, 1, None),
]


@pytest.mark.parametrize("kind", ["jsonl", "ndjson", "parquet", "csv", "tsv", "CSV"])
def test_one_tag_a_row_in_every_kind_of_file(tmp_path, kind):
    path = tmp_path / f"tags.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(LONG), path)
    elif kind in ("csv", "tsv", "CSV"):
        as_csv(path, LONG, "\t" if kind == "tsv" else ",")
    else:
        path.write_text("\n\n".join(json.dumps(row) for row in LONG))
    assert rows_of(path) == EXPECTED


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "csv", "tsv"])
def test_rams_own_strings_in_every_kind_of_file(tmp_path, kind):
    rows = [
        {"clip_id": "tt1_0001", "tags": "dog | Grass |run | "},
        {"clip_id": "tt1_0002", "tags": ""},
    ]
    path = tmp_path / f"tags.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind in ("csv", "tsv"):
        as_csv(path, rows, "\t" if kind == "tsv" else ",")
    else:
        jsonl(tmp_path, *rows)
    found, left_out = of(read(path))
    assert [row[:4] for row in found] == [
        ("tt1_0001", x, None, 1) for x in ("dog", "grass", "run")
    ]  # without scores in the order of the file
    assert left_out == [
        ("tt1_0002", "no tags of this clip in t.jsonl"),
        ("tt2_0001", "no tags of this clip in t.jsonl"),
    ]


def test_lists_of_names_and_of_scored_labels(tmp_path):
    nested = [{"label": "cat", "score": 0.2}, {"label": "dog", "score": 0.8}, {"label": "emu"}]
    rows = [{"clip_id": "tt1_0001", "tags": ["b", "a"]}, {"clip_id": "tt1_0002", "tags": nested}]
    expected = [
        ("tt1_0001", "b", None, 1, None), ("tt1_0001", "a", None, 1, None),
        ("tt1_0002", "dog", 0.8, 1, None), ("tt1_0002", "cat", 0.2, 1, None),
        ("tt1_0002", "emu", None, 1, None),
    ]  # fmt: skip
    assert rows_of(jsonl(tmp_path, *rows)) == expected
    path = tmp_path / "tags.parquet"
    pq.write_table(pa.Table.from_pylist(rows[1:]), path)
    assert rows_of(path) == expected[2:]


@pytest.mark.parametrize("column", ["ref", "image"])
@pytest.mark.parametrize("before", ["", "240P/", "/data/movienet/240P/", "C:\\a b\\240P\\", "./"])
def test_a_frame_by_any_path_that_ends_in_its_name(tmp_path, column, before):
    name = REFS[0] if "\\" not in before else REFS[0].replace("/", "\\")
    path = jsonl(tmp_path, {column: before + name, "label": "dog", "score": 0.5})
    assert read(path) == [Found(REFS[0], REFS[0], [Tag("dog", 0.5)])]


def test_empty_cells_are_nothing(tmp_path):
    """In a table every row has every column: what is empty was not given."""
    path = tmp_path / "tags.csv"
    path.write_text(f"clip_id,ref,label,score,tags\ntt1_0001,,dog,,\n,{REFS[2]},,,cat | emu\n")
    assert rows_of(path) == [
        ("tt1_0001", "dog", None, 1, None),
        ("tt1_0002", "cat", None, 1, None), ("tt1_0002", "emu", None, 1, None),
    ]  # fmt: skip


# --- rows of image_labels by hand ---


def frames(*scores, label="dog"):
    return [Found(ref, ref, [Tag(label, s)]) for ref, s in zip(REFS, scores, strict=False)]


def test_a_label_of_several_frames_and_of_shared_ones():
    assert of(frames(0.2, 0.7, 0.4))[0] == [
        ("tt1_0001", "dog", 0.7, 2, [0.2, 0.7]),
        ("tt1_0002", "dog", 0.7, 2, [0.7, 0.4]),
    ]


def test_a_frame_without_the_label_has_no_score():
    found = [*frames(0.2), *frames(None, label="cat"), Found(REFS[1], REFS[1], [Tag("cat", 0.3)])]
    assert of(found)[0] == [
        ("tt1_0001", "cat", 0.3, 2, [None, 0.3]),
        ("tt1_0001", "dog", 0.2, 1, [0.2, None]),
        ("tt1_0002", "cat", 0.3, 1, [0.3, None]),
    ]


def test_a_label_given_twice_has_its_best_score():
    twice = [Found("tt1_0001", None, [Tag("dog", 0.3), Tag("dog", 0.6), Tag("dog", None)])]
    assert of(twice)[0] == [("tt1_0001", "dog", 0.6, 1, None)]
    assert of([*frames(0.3), *frames(0.6)])[0] == [("tt1_0001", "dog", 0.6, 1, [0.6, None])]


@pytest.mark.parametrize("scores", [(0.0,), (None, 0.0), (0.0, None), (0.0, 0.0)])
def test_a_score_of_zero_is_a_score(scores):
    of_clip = [Found("tt1_0001", None, [Tag("dog", s)]) for s in scores]
    assert of(of_clip)[0] == [("tt1_0001", "dog", 0.0, 1, None)]


def test_a_score_of_zero_is_a_frames_score():
    assert of(frames(0.0, 0.5))[0][0] == ("tt1_0001", "dog", 0.5, 2, [0.0, 0.5])


def test_a_frame_shown_twice_in_a_clip_counts_twice():
    clips = {"tt1_0001": [{"ref": REFS[0], "sha256": "0"}] * 2}
    assert of(frames(0.4), clips)[0] == [("tt1_0001", "dog", 0.4, 2, [0.4, 0.4])]


def test_labels_by_score_then_by_frames_then_by_their_place():
    found = [
        Found(REFS[0], REFS[0], [Tag("a", None), Tag("b", 0.5), Tag("c", None), Tag("d", 0.9)]),
        Found(REFS[1], REFS[1], [Tag("c", None), Tag("e", 0.5)]),
    ]
    assert [row[1] for row in of(found)[0] if row[0] == "tt1_0001"] == ["d", "b", "e", "c", "a"]


def test_never_more_frames_than_the_clip_has():
    """A label given for the clip and for its frames is no further frame."""
    found = [*frames(0.2, 0.7), Found("tt1_0001", None, [Tag("dog", 0.1)])]
    row = of(found)[0][0]
    assert row[:3] == ("tt1_0001", "dog", 0.7)
    assert row[3] == 2


def test_strangers_are_dropped_with_a_reason_once_each():
    found = [
        Found("tt9_0001", None, [Tag("dog", 0.1)]), Found("tt9_0001", None, [Tag("cat", 0.1)]),
        Found("tt9/shot_0000_img_0.jpg", "tt9/shot_0000_img_0.jpg", [Tag("dog", 0.1)]),
        Found("tt2_0001", None, []), *frames(0.2, 0.2, 0.2),
    ]  # fmt: skip
    assert of(found)[1] == [
        ("tt9_0001", "tagged in t.jsonl, but not in this workspace"),
        ("tt9/shot_0000_img_0.jpg", "tagged in t.jsonl, but not in this workspace"),
        ("tt2_0001", "no tags of this clip in t.jsonl"),
    ]


def test_a_clips_id_is_no_frame_and_a_frame_no_clip():
    with pytest.raises(UserError, match=r"^t.jsonl: none of its rows belongs to a clip or keyfr"):
        of([Found(REFS[0], None, [Tag("dog", 0.1)]), Found("x", "tt1_0001", [Tag("dog", 0.1)])])


# --- the command ---


def run(root, path, *options):
    return tag(root, "--tagger", "precomputed", "--tags", path, *options)


def test_the_command_makes_the_table_and_only_once(tmp_path, capsys):
    write_clips(tmp_path, CLIPS)
    path = jsonl(tmp_path, *LONG, {"clip_id": "tt9_0001", "tags": "dog | cat"})
    assert run(tmp_path, path) == 0
    assert capsys.readouterr().out.startswith("image_labels: 3 rows, 2 dropped, ")
    assert [(r["clip_id"], r["label"]) for r in labels(tmp_path)] == [r[:2] for r in EXPECTED]
    assert {r["tagger"] for r in labels(tmp_path)} == {"precomputed:tags"}
    assert dropped(tmp_path) == [
        ("tt9_0001", "tagged in tags.jsonl, but not in this workspace"),
        ("tt2_0001", "no tags of this clip in tags.jsonl"),
    ]
    assert run(tmp_path, path) == 0
    assert "up to date" in capsys.readouterr().out
    jsonl(tmp_path, LONG[0])
    assert run(tmp_path, path) == 0
    assert len(labels(tmp_path)) == 1
    manifest = Workspace(tmp_path).require("image_labels")
    assert manifest.config == {"tagger": "precomputed", "tags": "tags.jsonl"}
