"""`tag --explain`: a clip's frames with what was seen in them, and no table."""

import re

import numpy as np
import pytest
from PIL import Image
from tagged import demo_frames, five_clips, tag, workspace_of

from lrmovienet.keyframes import KeyframeReader
from lrmovienet.tagging.explain import MOST, OFF, ON, explain
from lrmovienet.tagging.frames import ENTRY
from lrmovienet.tagging.imagenet import ImageNetTagger


def scores_of(jpeg):
    tagger = ImageNetTagger("any")
    row = tagger.scores(tagger.pixels(jpeg)[None])[0].tolist()
    pairs = zip(tagger.labels, row, strict=True)
    return sorted(((label, s) for label, s in pairs if s >= 0.02), key=lambda pair: -pair[1])


def colour_of(text):
    return tuple(int(text[i : i + 2], 16) for i in (1, 3, 5))


def panels(png):
    """The pictures on the left: stretches of rows that hold film, by their many colours."""
    pixels = np.asarray(Image.open(png).convert("RGB")).astype(int)
    left = pixels[:, 20 : pixels.shape[1] // 3]
    busy = (np.abs(np.diff(left, axis=1)).sum(2) > 6).mean(1) > 0.1
    edges = np.flatnonzero(np.diff(np.r_[False, busy, False].astype(int)))
    return [(a, b) for a, b in edges.reshape(-1, 2).tolist() if b - a > 40]


def test_frames_labels_scores_and_thresholds_are_said(tmp_path, capsys):
    five_clips(tmp_path)
    assert tag(tmp_path, "--explain", "tt1_0001") == 0
    out = capsys.readouterr().out
    first, second = out.split("tt1/shot_0001_img_1.jpg")
    assert "tt1/shot_0001_img_0.jpg" in first
    for text, jpeg in ((first, demo_frames()[0]), (second, demo_frames()[1])):
        expected = scores_of(jpeg)[:MOST]
        found = re.findall(r"│ (\S.*?) +│ +(0\.\d{3}) │ +(0\.\d\d) │ +(yes)? +│", text)
        assert [(label, score) for label, score, _, _ in found] == [
            (label, f"{score:.3f}") for label, score in expected
        ]
        assert {threshold for _, _, threshold, _ in found} == {"0.05"}
        assert [counts == "yes" for *_, counts in found] == [s > 0.05 for _, s in expected]
        assert "yes" in text and expected[-1][1] < 0.05  # both occur
    assert not (tmp_path / "image_labels").exists()
    assert not (tmp_path / ".building" / "image_labels").exists()


def test_the_picture_has_a_panel_a_frame(tmp_path, capsys):
    five_clips(tmp_path)
    for clip_id, frames in (("tt1_0001", 2), ("tt1_0002", 1)):
        assert tag(tmp_path, "--explain", clip_id) == 0
        png = tmp_path / "explain" / f"{clip_id}.png"
        assert str(png) in "".join(capsys.readouterr().out.split("\n"))
        assert len(panels(png)) == frames
    assert sorted(p.name for p in (tmp_path / "explain").iterdir()) == [
        "tt1_0001.png", "tt1_0002.png",
    ]  # fmt: skip


def test_the_path_of_the_picture_is_one_word(tmp_path, capsys):
    """A path that is broken over lines cannot be copied, or read by a program."""
    five_clips(tmp_path)
    assert tag(tmp_path, "--explain", "tt1_0002") == 0
    assert f"picture: {tmp_path / 'explain' / 'tt1_0002.png'}\n" in capsys.readouterr().out


def test_frames_are_scored_once_for_both(tmp_path):
    five_clips(tmp_path)
    tag(tmp_path, "--explain", "tt1_0001")
    cache = (tmp_path / "cache/frames.sqlite").read_bytes()
    tag(tmp_path, "--explain", "tt3_0001")  # its frames are among them
    assert (tmp_path / "cache/frames.sqlite").read_bytes() == cache


def test_it_changes_no_table(tmp_path):
    five_clips(tmp_path)
    tag(tmp_path)
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "image_labels").iterdir()}
    tag(tmp_path, "--explain", "tt1_0001", "--floor", "0.3")
    after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "image_labels").iterdir()}
    assert after == before


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("tt1_001", "no clip 'tt1_001' in this workspace. Did you mean tt1_0001"),
        ("nonsense", "no clip 'nonsense' in this workspace. There are 5."),
    ],
)
def test_an_unknown_clip(tmp_path, capsys, asked, message):
    five_clips(tmp_path)
    assert tag(tmp_path, "--explain", asked) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "explain").exists()


def test_a_clip_whose_frame_is_missing(tmp_path, capsys):
    workspace_of(tmp_path, {"tt1_0001": demo_frames()[:2]})
    (tmp_path / "frames/240P/tt1/shot_0001_img_1.jpg").unlink()
    assert tag(tmp_path, "--explain", "tt1_0001") == 2
    err = capsys.readouterr().err
    assert "tt1_0001: keyframe tt1/shot_0001_img_1.jpg" in err and "Traceback" not in err
    assert tag(tmp_path, "--explain", "tt1_0001", "--floor", "0.9") == 2


def test_a_frame_that_has_gone_since_keeps_its_labels(tmp_path, capsys):
    workspace_of(tmp_path, {"tt1_0001": demo_frames()[:2]})
    tag(tmp_path)
    (tmp_path / "frames/240P/tt1/shot_0001_img_1.jpg").unlink()
    assert tag(tmp_path, "--explain", "tt1_0001") == 0
    assert len(panels(tmp_path / "explain/tt1_0001.png")) == 1
    assert scores_of(demo_frames()[1])[0][0] in capsys.readouterr().out


def test_bars_above_their_thresholds_are_green(tmp_path, capsys):
    class Two:
        name, labels, thresholds = "two $x_1$", ("on [red]$\\a$", "off"), (0.5, 0.625)

    frame = {"ref": "tt1/shot_0001_img_0.jpg", "sha256": "0" * 64}
    reader = KeyframeReader(tmp_path)
    for entries, colours in (
        ([(0, 0.9), (1, 0.55)], {ON, OFF}), ([(0, 0.5), (1, 0.625)], {OFF}), ([(1, 0.63)], {ON}),
    ):  # fmt: skip
        tags = [np.array(entries, ENTRY)]
        explain("c", [frame], tags, Two(), reader, tmp_path / "x.png")
        pixels = np.asarray(Image.open(tmp_path / "x.png").convert("RGB"))
        right = pixels[:, pixels.shape[1] // 2 :].reshape(-1, 3)
        seen = {c for c in (ON, OFF) if (right == colour_of(c)).all(1).sum() > 500}
        assert seen == colours
    assert "on [red]$\\a$" in capsys.readouterr().out
