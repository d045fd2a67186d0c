import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from written_films import decoded, number_in, shots_of, write_film

from lrmovienet.video.shots import (
    DETECTORS,
    KEPT,
    Detection,
    _Kept,
    cut_film,
    kept_of,
    keyframes_of,
    stride_of,
)


def test_keyframes_are_where_movienet_has_them():
    # Three lines of a shot file of MovieNet. Plain quarters would give 346 in the last.
    assert keyframes_of((0, 57)) == (14, 28, 42)
    assert keyframes_of((58, 210)) == (96, 134, 172)
    assert keyframes_of((211, 481)) == (278, 345, 412)


@given(st.integers(0, 10**6), st.integers(1, 10**5))
def test_keyframes_lie_inside_their_shot_near_its_quarters(first, length):
    last = first + length - 1
    keyframes = keyframes_of((first, last))
    assert first <= keyframes[0]
    assert keyframes[2] <= last
    assert len(set(keyframes)) == (3 if length >= 5 else 1)
    stride = stride_of(length)
    for k, frame in enumerate(keyframes, start=1):
        assert -stride - k < frame - (first + k * (last - first) / 4) <= 0


def test_the_stride_by_hand():
    assert [stride_of(n) for n in (1, 512, 513, 1024, 1025, 2048, 2049)] == [1, 1, 2, 2, 4, 4, 8]


def test_keyframes_of_long_shots_by_hand():
    # 1000 frames: step 249, every second frame is kept: 249 -> 248, 498, 747 -> 746.
    assert keyframes_of((0, 999)) == (248, 498, 746)
    assert keyframes_of((7, 1006)) == (255, 505, 753)
    assert keyframes_of((0, 511)) == (127, 254, 381)  # all are kept


@given(
    st.lists(st.integers(1, 3000), min_size=1, max_size=4),
    st.integers(1, 40),
    st.data(),
)
def test_what_is_kept_holds_the_keyframes_of_every_shot(lengths, behind, data):
    """A detector may tell of a cut up to `behind` - 1 frames late."""
    kept = _Kept(0, behind)
    total, first, most = sum(lengths), 0, 0
    told, shots = {}, []
    for i in range(1, len(lengths)):
        cut = sum(lengths[:i])
        at = cut + data.draw(st.integers(0, behind - 1))
        told.setdefault(min(at, total - 1), []).append(cut)
    for number in range(total):
        kept.add(number, number)
        most = max(most, len(kept.of_shot) + len(kept.latest))
        for cut in sorted(told.get(number, ())):
            if cut > first:
                shots.append(((first, cut - 1), kept.cut(cut)))
                first = cut
    shots.append(((first, total - 1), kept.cut(total)))
    for shot, pictures in shots:
        assert set(keyframes_of(shot)) <= set(pictures)
        assert all(number == picture for number, picture in pictures.items())
        assert shot[0] <= min(pictures)
        assert max(pictures) <= shot[1]
    assert most <= KEPT + behind


@pytest.mark.parametrize(("detector", "min_shot"), [("content", 15), ("adaptive", 60)])
def test_keyframes_of_long_shots_show_their_number(tmp_path, detector, min_shot):
    lengths = [600, 1100, 90]
    path = tmp_path / "film.avi"
    write_film(path, shots_of(lengths), codec="mpeg4")
    detection = Detection(detector, DETECTORS[detector], min_shot)
    cut = cut_film(path, "film", detection, tmp_path / "film.tar")
    assert cut.shots == [(0, 599), (600, 1699), (1700, 1789)]
    expected = [frame for shot in cut.shots for frame in keyframes_of(shot)]
    with tarfile.open(tmp_path / "film.tar") as tar:
        shown = [number_in(decoded(tar.extractfile(m).read())) for m in tar.getmembers()]
    assert shown == expected == [keyframe.frame for keyframe in cut.keyframes]


def test_cuts_told_late_have_the_right_frames(tmp_path):
    """A flash of three frames is one cut, at its end, and is told only fifteen frames later."""
    path = write_film(tmp_path / "film.mp4", shots_of([40, 16, 3, 40]))
    cut = cut_film(path, "film", Detection(min_shot=17), tmp_path / "film.tar")
    with tarfile.open(tmp_path / "film.tar") as tar:
        shown = [number_in(decoded(tar.extractfile(m).read())) for m in tar.getmembers()]
    assert shown == [frame for shot in cut.shots for frame in keyframes_of(shot)]
    assert cut.shots[0] == (0, 39)
    assert cut.shots[-1][1] == 98


def test_fewer_large_pictures_are_kept():
    """At most 320 MB of them, and always a power of two."""
    at_240 = 426 * 478 * 3 // 2  # the largest that 240 rows leave of a wide film
    assert kept_of(at_240) == KEPT == 512
    assert kept_of(1920 * 1080 * 3 // 2) == 64  # 3.1 MB each
    assert kept_of(3840 * 2160 * 3 // 2) == 16
    assert keyframes_of((0, 999), 64) == (240, 496, 736)  # every 16th: 249, 498, 747 rounded down
