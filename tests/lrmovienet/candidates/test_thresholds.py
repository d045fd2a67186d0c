"""Which of the tagger's labels count, by whose threshold, and in how many frames."""

import pytest
from finding import clip, put_clips, put_image_labels

from lrmovienet.cli import main
from lrmovienet.workspace import Workspace

TAGS = [
    # label, score, frames_hit, frame_scores, threshold
    ("dog", 0.8, 2, [0.8, 0.7, None], 0.65),
    ("cat", 0.6, 1, [None, 0.6, 0.2], 0.65),
    ("gun", 0.65, 1, [0.65, None, None], 0.65),  # just its threshold
    ("men", 0.7, 2, None, 0.65),  # no score a frame
    ("bus", 0.05, 3, None, 0.05),  # 0.05 in 32 bits is a little more
    ("car", 0.4321, 1, [0.4321], None),  # no threshold of its own
    ("neo", None, 2, None, None),  # no scores at all
]


@pytest.fixture
def workspace(tmp_path):
    clips = put_clips(tmp_path, [clip("tt1_0")])
    rows = [("tt1_0", *tag) for tag in TAGS]
    put_image_labels(tmp_path, rows, {"clips": clips.digest})
    return Workspace(tmp_path)


def merged(workspace, *options):
    """The labels that count, given options."""
    arguments = ["--workspace", str(workspace.root), "--kinds", "image", "--near", "1", *options]
    assert main(["merge", *arguments]) == 0
    return set(workspace.read("candidates")["label"].to_pylist())


def thresholds(tmp_path, text):
    path = tmp_path / "mine.csv"
    path.write_bytes(text.encode())
    return ["--thresholds", str(path)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", "dog men car neo"),
        ("--min_image_score 0.5", "dog cat gun men neo"),
        ("--min_image_score 0.7", "dog neo"),  # more than it, not as much
        ("--min_image_score 0.6999", "dog men neo"),
        ("--min_image_score 0.4321", "dog cat gun men neo"),  # in 32 bits a little less
        ("--min_image_score 0", "dog cat gun men bus car neo"),
        ("--min_image_score 1", "neo"),
        ("--min_frames 2", "dog men neo"),
        ("--min_frames 2 --min_image_score 0.7", "neo"),
        ("--min_frames 2 --min_image_score 0.1", "dog cat men neo"),
        ("--min_frames 3", ""),
        ("--min_frames 3 --min_image_score 0.01", "bus"),
    ],
)
def test_thresholds_and_frames(workspace, options, expected):
    assert merged(workspace, *options.split()) == set(expected.split())


def test_thresholds_of_ones_own_win(workspace, tmp_path):
    """For a label in any form; the others keep the table's, or the one of all."""
    own = thresholds(tmp_path, "label,threshold\nThe Dogs,0.8\ncat,0.59\nneo,0.9\ncar,0.5\n")
    assert merged(workspace, *own) == {"cat", "men", "neo"}
    assert merged(workspace, *own, "--min_image_score", "0.3") == {"cat", "gun", "men", "neo"}


def test_files_as_spreadsheets_write_them(workspace, tmp_path):
    text = '\ufefflabel,note,threshold\r\n"dog","no, it is",0.9\r\n\r\n cat , , 0.1 \r\n'
    assert merged(workspace, *thresholds(tmp_path, text)) == {"cat", "men", "car", "neo"}


def test_what_is_too_weak_says_its_score(workspace):
    merged(workspace)
    dropped = workspace.read_dropped("candidates").to_pylist()
    assert {(r["label"], r["reason"]) for r in dropped} == {
        ("cat", "score: 0.60"), ("gun", "score: 0.65"), ("bus", "score: 0.05"),
    }  # fmt: skip
    merged(workspace, "--min_frames", "3")
    dropped = workspace.read_dropped("candidates").to_pylist()
    assert ("neo", "score: seen in too few frames") in {(r["label"], r["reason"]) for r in dropped}


def test_a_good_score_in_too_few_frames_says_so(workspace):
    """Its score is above the threshold and explains nothing."""
    merged(workspace, "--min_frames", "3")
    reasons = {r["label"]: r["reason"] for r in workspace.read_dropped("candidates").to_pylist()}
    assert "frames" in reasons["dog"]


def test_another_threshold_needs_only_merge(workspace, tmp_path):
    before = workspace.require("image_labels").digest
    first = merged(workspace)
    own = thresholds(tmp_path, "label,threshold\ndog,0.9\n")
    assert merged(workspace, *own) == first - {"dog"}
    own = thresholds(tmp_path, "label,threshold\nman,0.9\n")  # the same file, another content
    assert merged(workspace, *own) == first - {"men"}
    assert merged(workspace) == first
    assert workspace.require("image_labels").digest == before


def test_no_thresholds_in_a_file(workspace, tmp_path):
    assert merged(workspace, *thresholds(tmp_path, "label,threshold\n")) == merged(workspace)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"label,threshold\ndog,high\n", "line 2: expected a label and a number from 0 to 1"),
        (b"label,threshold\ncat,1\ndog,1.5\n", "line 3: expected a label"),
        (b"label,threshold\ndog,nan\n", "line 2: expected"),
        (b"label,threshold\ndog\n", "line 2: expected"),
        (b"label,threshold\n,0.5\n", "line 2: expected"),
        (b"name,threshold\ndog,1\n", "no column label in its first line"),
        (b"label;threshold\ndog;1\n", "no column label, threshold in its first line"),
        (b"", "no column label, threshold in its first line"),
        (b"label,threshold\n\xff,1\n", "not a readable CSV"),
        (b"label,threshold\n" + b"x" * 200_000, "not a readable CSV"),
        (b"label,threshold\n" + b"dog,2\n" * 30, "and 20 more"),
    ],
)
def test_wrong_files(workspace, tmp_path, capsys, content, message):
    merged(workspace)
    before = workspace.require("candidates")
    (tmp_path / "mine.csv").write_bytes(content)
    arguments = ["merge", "--workspace", str(tmp_path), "--kinds", "image", "--near", "1"]
    assert main([*arguments, "--thresholds", str(tmp_path / "mine.csv")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("lrmovienet merge: error: ")
    assert "mine.csv" in error
    assert len(error) < 2000
    assert workspace.require("candidates") == before
