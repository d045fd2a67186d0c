"""Options of `lrmovienet tag` that do not go together or are out of range: one message, code 2."""

import contextlib
import os
import pty
import re
import subprocess
import sys

import pytest
from tagged import demo_frames, five_clips, tag, workspace_of

from lrmovienet import progress


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    root = tmp_path_factory.mktemp("options")
    five_clips(root)
    (root / "w.pth").write_bytes(b"no weights")
    (root / "t.jsonl").write_text('{"clip_id": "tt1_0001", "label": "dog"}\n')
    return root


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--tagger ram_plus", "--tagger ram_plus needs its weights: give --checkpoint with "
         "the path of ram_plus_swin_large_14m.pth, or with a hub id"),
        ("--tagger ram", "--tagger ram needs its weights: give --checkpoint with the path of "
         "ram_swin_large_14m.pth"),
        ("--tagger ram --checkpoint /no/such/w.pth", "--checkpoint /no/such/w.pth: no such file"),
        ("--tagger ram --checkpoint {root}", "no such file. Give a path, or a hub id"),
        ("--tagger ram --checkpoint {root}/w.pth", "{root}/w.pth"),
        ("--checkpoint {root}/w.pth", "--checkpoint, --precision and --device are of ram_plus and "
         "ram, not imagenet"),
        ("--precision bf16", "are of ram_plus and ram, not imagenet"),
        ("--device cuda", "are of ram_plus and ram, not imagenet"),
        ("--tagger precomputed --tags {root}/t.jsonl --device cuda", "ram, not precomputed"),
        ("--tagger ram_plus --checkpoint {root}/w.pth --device nonsense",
         "--device nonsense: cannot be used here"),
        ("--tagger precomputed", "--tags FILE and --tagger precomputed belong together"),
        ("--tags {root}/t.jsonl", "--tags FILE and --tagger precomputed belong together"),
        ("--tagger ram --checkpoint {root}/w.pth --tags {root}/t.jsonl", "belong together"),
        ("--tagger precomputed --tags {root}/none.jsonl", "--tags {root}/none.jsonl: no such file"),
        ("--tagger precomputed --tags {root}", "{root}"),
        ("--tagger precomputed --tags {root}/t.jsonl --explain tt1_0001", "the file says it"),
        ("--floor 0", "--floor 0.0: give a probability above 0, up to 1."),
        ("--floor -0.1", "--floor -0.1: give a probability"),
        ("--floor 1.01", "--floor 1.01: give a probability"),
        ("--floor .nan", "--floor nan: give a probability"),
        ("--floor nan", "--floor"),
        ("--floor low", "--floor"),
        ("--batch_size 0", "--batch_size 0: give 1 or more."),
        ("--batch_size -3", "--batch_size -3: give 1 or more."),
        ("--batch_size 1.5", "--batch_size"),
        ("--shard_size 0", "--shard_size 0: give 1 or more"),
        ("--tagger clip", "--tagger"),
        ("--precision fp64", "--precision"),
        ("--explain none", "no clip 'none' in this workspace"),
        ("--top 3", "--top"),
    ],
)  # fmt: skip
def test_one_message_and_code_2(workspace, capsys, words, message):
    try:
        code = tag(workspace, *words.format(root=workspace).split())
    except SystemExit as left:
        code = left.code
    err = capsys.readouterr().err
    assert code == 2
    assert message.format(root=workspace) in err
    assert "Traceback" not in err
    assert not (workspace / "image_labels").exists()
    assert not (workspace / "cache" / "frames.sqlite").exists()


def test_floor_one_is_allowed(tmp_path):
    workspace_of(tmp_path, {"tt1_0001": demo_frames()[:1]})
    assert tag(tmp_path, "--floor", 1) == 0


def test_without_clips_it_says_what_to_run(tmp_path, capsys):
    assert tag(tmp_path) == 2
    assert "no table 'clips' here yet. Run first: lrmovienet ingest" in capsys.readouterr().err


def test_a_log_has_the_rate_and_what_is_left(tmp_path, monkeypatch, capsys):
    five_clips(tmp_path)
    monkeypatch.setattr(progress, "LOG_EVERY_S", 0.0)
    tag(tmp_path, "--batch_size", 2)
    lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith("tagging: ")]
    counts = []
    for line in lines:
        done, rate, left = line.split(", ")
        counts.append(done)
        per_s, left_s = float(rate.removesuffix("/s")), float(left.split()[1])
        frames = int(done.split()[1].split("/")[0])
        assert left_s == pytest.approx((6 - frames) / per_s, abs=0.51)
        assert left.endswith(" s left")
    assert counts == ["tagging: 2/6 frames", "tagging: 4/6 frames"]


BAR = """
from lrmovienet.progress import progress
with progress("tagging", 6, "frames") as advance:
    for _ in range(3):
        advance(2)
"""


def test_a_terminal_has_a_bar_with_the_rate():
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", BAR], stderr=theirs, env={**os.environ, "TERM": "xterm"}
    )
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # which is how the end of the other side is said
        while read := os.read(ours, 4096):
            seen += read
    os.close(ours)
    assert process.wait(60) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.decode())
    assert "tagging" in text and "6/6 frames" in text
    assert re.search(r"6/6 frames [0-9.e+]+/s ", text)
