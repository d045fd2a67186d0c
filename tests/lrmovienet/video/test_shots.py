import tarfile
from pathlib import Path

import pytest
import scenedetect
from written_films import (
    COLOURS,
    DARK,
    LIGHT,
    RED,
    colour_in,
    decoded,
    mixed,
    number_in,
    plain,
    shots_of,
    write_film,
)

from lrmovienet.video.shots import DETECTORS, Detection, cut_film, keyframes_of
from lrmovienet.video.stage import VideoStage

DEMO = Path(__file__).parents[3] / "demo"
NASA, BUNNY = DEMO / "nasa_13013.mp4", DEMO / "bigbuckbunny.mp4"
BOTH = pytest.mark.parametrize("detector", ["content", "adaptive"])


def shots(path, detector="content", threshold=None, min_shot=15):
    threshold = DETECTORS[detector] if threshold is None else threshold
    detection = Detection(detector, threshold, min_shot)
    return cut_film(path, "film", detection, path.parent / "film.tar").shots


def ranges(lengths):
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    return [(end - length, end - 1) for end, length in zip(ends, lengths, strict=True)]


def test_shots_of_the_demo_films(tmp_path):
    # A hard cut before frame 202; the dissolve from the wide view begins at 127.
    for path in (NASA, BUNNY):
        (tmp_path / path.name).symlink_to(path)
    nasa, bunny = tmp_path / NASA.name, tmp_path / BUNNY.name
    assert shots(nasa) == [(0, 126), (127, 201), (202, 324)]
    assert shots(nasa, threshold=50.0) == [(0, 201), (202, 324)]
    assert shots(nasa, "adaptive")[-1] == (202, 324)
    assert shots(bunny) == [(0, 131)]


@BOTH
def test_shots_are_those_of_pyscenedetects_own_loop(tmp_path, detector):
    made = {
        "content": scenedetect.ContentDetector, "adaptive": scenedetect.AdaptiveDetector,
    }[detector]  # fmt: skip
    path = tmp_path / "nasa.mp4"
    path.symlink_to(NASA)
    flashes = write_film(tmp_path / "a.mp4", shots_of([30, 3, 2, 40, 15, 14, 30, 1, 30, 5, 20]))
    for film in (path, flashes):
        scenes = scenedetect.detect(str(film), made())
        expected = [(start.frame_num, end.frame_num - 1) for start, end in scenes]
        assert len(expected) > 1
        assert shots(film, detector) == expected


@BOTH
@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.avi", "mjpeg"), ("b.avi", "mpeg4"), ("a.mkv", "libx265")],
)
def test_hard_cuts_are_found_to_the_frame(tmp_path, detector, name, codec):
    lengths = [20, 35, 16, 40]
    path = write_film(tmp_path / name, shots_of(lengths), codec=codec)
    assert shots(path, detector) == ranges(lengths)


@BOTH
def test_a_cut_at_the_least_length_of_a_shot_is_found_and_one_before_it_is_not(tmp_path, detector):
    exact = write_film(tmp_path / "a.mp4", shots_of([15, 15, 15, 20]))
    assert shots(exact, detector) == ranges([15, 15, 15, 20])
    assert shots(exact, detector, min_shot=16) != shots(exact, detector)
    early = write_film(tmp_path / "b.mp4", shots_of([14, 20]))
    assert shots(early, detector) == [(0, 33)]
    assert shots(early, detector, min_shot=14) == ranges([14, 20])
    between = write_film(tmp_path / "c.mp4", shots_of([20, 14, 20]))
    assert shots(between, detector) == [(0, 19), (20, 53)]


def test_very_short_shots_and_no_frame_on_the_wrong_side_of_a_cut(tmp_path):
    """Shots of one frame and more: each is a keyframe of its own shot, by number and colour."""
    lengths = [5, 1, 2, 3, 1, 4, 1, 1, 6]
    path = write_film(tmp_path / "a.mp4", shots_of(lengths))
    detection = Detection("content", 15.0, 1)
    cut = cut_film(path, "film", detection, tmp_path / "film.tar")
    assert cut.shots == ranges(lengths)
    assert sum(lengths) == cut.clock.frames
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(lengths))]
    pictures = [decoded(data) for data in members(tmp_path / "film.tar")]
    assert [number_in(p) for p in pictures] == [f for shot in cut.shots for f in keyframes_of(shot)]
    assert [colour_in(p) for p in pictures] == [c for c in colours for _ in range(3)]


def members(path):
    with tarfile.open(path) as tar:
        return [tar.extractfile(m).read() for m in tar.getmembers()]


BLACK = (0, 0, 0)
FADE = [
    *[plain(LIGHT)] * 30, *mixed(LIGHT, BLACK, 12), *[plain(BLACK)] * 6, *mixed(BLACK, RED, 12),
    *[plain(RED)] * 30,
]  # fmt: skip
SLOW = [*[plain(DARK)] * 30, *mixed(DARK, LIGHT, 40), *[plain(LIGHT)] * 30]
QUICK = [*[plain(DARK)] * 30, *mixed(DARK, LIGHT, 2), *[plain(LIGHT)] * 30]


@BOTH
@pytest.mark.parametrize("share", [1.0, 0.3, 0.1])
@pytest.mark.parametrize(("pictures", "last"), [(FADE, 60), (SLOW, 70), (QUICK, 32)])
def test_cuts_of_fades_and_dissolves_are_inside_them(tmp_path, detector, pictures, last, share):
    """At any sensitivity. All begin at frame 30, the first that is not the old picture; `last` is
    the first that is wholly the new one."""
    path = write_film(tmp_path / "a.mp4", pictures)
    found = shots(path, detector, DETECTORS[detector] * share)
    assert all(30 <= first <= last for first, _ in found[1:])
    assert (found[0][0], found[-1][1]) == (0, len(pictures) - 1)


@pytest.mark.parametrize(
    ("pictures", "detector", "share", "cuts"),
    [
        (FADE, "content", 1.0, [48]),  # the first frame with red in it
        (FADE, "adaptive", 1.0, [48]),
        (SLOW, "content", 1.0, []),  # no two frames differ enough
        (SLOW, "adaptive", 1.0, []),
        (QUICK, "content", 0.5, [30]),  # three large steps, 65 of 255 each: one cut
        (QUICK, "adaptive", 1.0, []),  # each is like those around it
    ],
)
def test_what_each_detector_makes_of_transitions(tmp_path, pictures, detector, share, cuts):
    path = write_film(tmp_path / "a.mp4", pictures)
    found = shots(path, detector, DETECTORS[detector] * share)
    assert [first for first, _ in found[1:]] == cuts


def test_a_tar_holds_nothing_but_its_pictures_and_is_the_same_each_time(tmp_path):
    path = write_film(tmp_path / "a.mp4", shots_of([20, 30]))
    for name in ("a", "b"):
        cut_film(path, "film", Detection(), tmp_path / f"{name}.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as tar:
        names = tar.getmembers()
    assert [m.name for m in names] == [
        f"film/shot_{s:04d}_img_{i}.jpg" for s in (0, 1) for i in range(3)
    ]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.isreg()) for m in names} == {
        (0, 0, 0, "", "", True)
    }


def test_a_film_that_fails_leaves_the_old_tar(tmp_path):
    (tmp_path / "film.tar").write_bytes(b"old")
    path = write_film(tmp_path / "a.mp4", shots_of([20]))
    with pytest.raises(RuntimeError, match="stop"):
        cut_film(path, "film", Detection(), tmp_path / "film.tar", _stop_at(10))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "film.tar"]
    assert (tmp_path / "film.tar").read_bytes() == b"old"


def _stop_at(number):
    seen = []

    def advance(n):
        seen.append(n)
        if len(seen) == number:
            raise RuntimeError("stop")

    return advance


def test_each_frame_is_told_of_once(tmp_path):
    told = []
    path = write_film(tmp_path / "a.mp4", shots_of([20, 17]))
    cut_film(path, "film", Detection(), tmp_path / "film.tar", told.append)
    assert told == [1] * 37


def test_the_version_names_every_option_and_no_place(tmp_path):
    plain_one = Detection()
    others = [
        Detection("adaptive", 27.0), Detection("content", 26.0), Detection(min_shot=14),
        Detection(height=120),
    ]  # fmt: skip
    versions = {VideoStage({"a": NASA}, tmp_path, d).version for d in (plain_one, *others)}
    assert len(versions) == 5
    assert VideoStage({"b": BUNNY}, tmp_path / "else", plain_one).version in versions
