"""`lrmovienet leaks`: real pictures in folders, what it prints and writes, and what it refuses."""

import json

import pytest
from leak_releases import jpeg, picture, release_of, sha256, shared, tree

from lrmovienet.cli import main
from lrmovienet.phash import phash

OTHER, SAME = picture(7), picture(1)


def look(data):
    return f"{phash(data):016x}"


@pytest.fixture
def films(tmp_path):
    """Two films: fb shows a picture of fa's encoded anew, one byte for byte, and one of its own."""
    frames = {
        "fa/shot_0000_img_0.jpg": jpeg(SAME, 95), "fa/shot_0001_img_0.jpg": jpeg(picture(2)),
        "fb/shot_0000_img_0.jpg": jpeg(SAME, 60), "fb/shot_0001_img_0.jpg": jpeg(picture(2)),
        "fb/shot_0002_img_0.jpg": jpeg(OTHER),
    }  # fmt: skip
    return tree(tmp_path / "films", frames), frames


def release_with(root, frames, hashed=False):
    """fa trains and fb is the test; references and hashes as the frames are."""
    clips = {
        f"{film}_0000": (
            text,
            [(r, sha256(data), look(data) if hashed else None) for r, data in frames.items()
             if r.startswith(film)],
        )
        for film, text in (("fa", "A dog sleeps here."), ("fb", "Two ships meet at sea."))
    }  # fmt: skip
    labels = {"source_train": {"fa_0000": ["dog"]}, "target_test": {"fb_0000": ["ship", "sea"]}}
    return release_of(root, clips, labels).root


def leaks(*options, out):
    assert main(["leaks", *map(str, options), "--out", str(out)]) == 0
    return json.loads(out.read_bytes())


def test_a_picture_encoded_anew_is_alike_and_another_is_not(tmp_path, films, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    root, frames = films
    # What the test rests on: the two encodings differ, and look the same within the default bits.
    one, two = (phash(frames[f"{f}/shot_0000_img_0.jpg"]) for f in ("fa", "fb"))
    assert sha256(jpeg(SAME, 95)) != sha256(jpeg(SAME, 60))
    assert bin(one ^ two).count("1") <= 4 < bin(one ^ phash(jpeg(OTHER))).count("1")
    release = release_with(tmp_path / "r", frames)
    report = leaks(release, "--frames", root, out=tmp_path / "a.json")
    counts = shared(report, "source_train", "target_test")
    assert (counts["frames_equal"], counts["frames_alike"]) == (1, 2)
    assert report["shared"][0]["frames_alike"]["examples"] == [
        # The equal frame is called by its first name, which is fa's.
        ["fa/shot_0001_img_0.jpg", "fa_0000"], ["fb/shot_0000_img_0.jpg", "fa_0000"],
    ]  # fmt: skip
    shown = " ".join(capsys.readouterr().out.split())
    assert "source_train, target_test 0/1 0/1 0/2 0/1 1/3 2/3" in shown
    assert "4 of 4 frames have a perceptual hash" in shown


def test_hashes_of_the_release_and_of_ones_own_pictures_say_the_same(tmp_path, films):
    root, frames = films
    hashed = leaks(release_with(tmp_path / "h", frames, hashed=True), out=tmp_path / "h.json")
    read = leaks(release_with(tmp_path / "r", frames), "--frames", root, out=tmp_path / "r.json")
    assert hashed == read


def test_frames_that_were_not_looked_at_are_said_to_be_so(tmp_path, films, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    report = leaks(release_with(tmp_path / "r", films[1]), out=tmp_path / "a.json")
    assert report["frames_hashed"] == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "0 of 4 frames have a perceptual hash: whether others look alike was not looked" in shown
    assert "source_train, target_test 0/1 0/1 0/2 0/1 1/3 ?" in shown  # not 0/3


def test_a_frame_that_is_no_picture_is_counted_as_not_hashed(tmp_path, films, capsys):
    root, frames = films
    frames = {**frames, "fa/shot_0000_img_0.jpg": b"no picture"}
    report = leaks(
        release_with(tmp_path / "r", frames), "--frames", tree(root, frames),
        out=tmp_path / "a.json",
    )  # fmt: skip
    assert (report["frames"], report["frames_hashed"]) == (4, 3)
    assert "3 of 4 frames have a perceptual hash" in " ".join(capsys.readouterr().out.split())
    assert shared(report, "source_train", "target_test")["frames_alike"] == 1


def test_the_report_is_written_once_and_only_where_asked(tmp_path, films):
    release, out = release_with(tmp_path / "r", films[1]), tmp_path / "reports" / "a.json"
    before = sorted(release.rglob("*"))
    first = leaks(release, "--near", "0.25", "--bits", "0", out=out)
    assert (first["near"], first["bits"]) == (0.25, 0)
    stamp = out.stat().st_mtime_ns, out.stat().st_ino
    leaks(release, "--near", "0.25", "--bits", "0", out=out)
    assert (out.stat().st_mtime_ns, out.stat().st_ino) == stamp
    assert sorted(release.rglob("*")) == before


def test_the_splits_names_can_be_read_in_a_terminal_of_80_columns(
    tmp_path, films, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "80")
    leaks(release_with(tmp_path / "r", films[1]), out=tmp_path / "a.json")
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert "source_train" in shown
    assert "target_test" in shown


def refused(capsys, *argv):
    assert main(["leaks", *map(str, argv)]) == 2
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    "option",
    [
        ("--near", "0"), ("--near", "1.01"), ("--near", "-0.5"), ("--near", ".nan"),
        ("--bits", "-1"), ("--bits", "65"),
    ],
)  # fmt: skip
def test_thresholds_that_mean_nothing_are_refused(tmp_path, films, capsys, option):
    release = release_with(tmp_path / "r", films[1])
    assert "give --near above 0 and up to 1, and --bits from 0 to 64" in refused(
        capsys, release, *option
    )


def test_folders_that_are_not_what_they_should_be(tmp_path, films, capsys):
    root, frames = films
    release = release_with(tmp_path / "r", frames)
    assert "no release here" in refused(capsys, root)
    assert "no such folder of frames" in refused(capsys, release, "--frames", tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    assert "none of the frames is here" in refused(capsys, release, "--frames", tmp_path / "empty")


def test_of_a_copy_in_part_what_is_there_is_looked_at(tmp_path, films, capsys):
    """One frame is gone, another is another picture now; that one stands under fa's name, too."""
    root, frames = films
    release = release_with(tmp_path / "r", frames)
    (root / "240P" / "fb" / "shot_0002_img_0.jpg").unlink()
    tree(root, {"fb/shot_0001_img_0.jpg": jpeg(picture(9))})
    out = tmp_path / "a.json"
    assert main(["leaks", str(release), "--frames", str(root), "--out", str(out)]) == 0
    report = json.loads(out.read_bytes())
    assert (report["frames_hashed"], report["frames"]) == (3, 4)
    assert "3 of 4 frames have a perceptual hash" in " ".join(capsys.readouterr().out.split())


def test_a_damaged_release_is_refused(tmp_path, films, capsys):
    release = release_with(tmp_path / "r", films[1])
    clips = release / "clips" / "clips.parquet"
    clips.write_bytes(clips.read_bytes()[:-1] + b"\0")
    assert "damaged" in refused(capsys, release)
    clips.unlink()
    assert "not there" in refused(capsys, release)
