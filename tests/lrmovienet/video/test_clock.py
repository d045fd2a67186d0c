import itertools
from fractions import Fraction

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from written_films import shots_of, write_film

from lrmovienet.video.decode import Clock, _rising, check_video, open_film
from lrmovienet.video.shots import Detection, cut_film

STAMPS = [0, 3, 4, 10, 20, 21, 30]
"""In tenths of a second: frames of 0.3, 0.1, 0.6, 1.0, 0.1, 0.9 s and a last one."""
UNEVEN = Clock(0.1, [3, 1, 6, 10, 1, 9, 6])


def clock_of(path, tmp_path):
    cut = cut_film(path, "film", Detection(), tmp_path / "film.tar")
    return cut.clock, cut.notes


def test_frames_of_an_even_film_by_hand():
    clock = Clock(1 / 25, [1] * 325)
    assert clock.seconds == pytest.approx(13.0, abs=1e-12)
    assert clock.frames_between(0, 8.08) == (0, 201)  # 8.08 * 25 is 202.00000000000003 or so
    assert clock.frames_between(8.08, 13.0) == (202, 324)
    assert clock.frames_between(0.5, 0.51) == (12, 12)
    assert clock.frames_between(0.0, 0.001) == (0, 0)
    assert clock.frames_between(12.99, 60.0) == (324, 324)


def test_frames_at_23_976_by_hand():
    # Frame 239 appears at 239 * 1001 / 24000 = 9.968 s, 240 at 10.010 s; 479 at 19.978 s.
    clock = Clock(1 / 24000, [1001] * 600)
    assert clock.fps == pytest.approx(24000 / 1001, rel=1e-12)
    assert clock.frames_between(10.0, 20.0) == (239, 479)
    assert clock.frames_between(10.01, 20.02) == (240, 479)
    assert clock.frames_between(20.02, 20.03) == (480, 480)


def test_frames_of_an_uneven_film_by_hand():
    assert UNEVEN.starts().tolist() == pytest.approx([0, 0.3, 0.4, 1.0, 2.0, 2.1, 3.0], abs=1e-12)
    assert UNEVEN.seconds == pytest.approx(3.6, abs=1e-12)
    assert UNEVEN.fps == pytest.approx(7 / 3.6, rel=1e-12)
    assert UNEVEN.frames_between(0.3, 1.0) == (1, 2)
    assert UNEVEN.frames_between(0.35, 0.36) == (1, 1)
    assert UNEVEN.frames_between(0.2, 2.05) == (0, 4)
    assert UNEVEN.frames_between(2.0, 2.1) == (4, 4)
    assert UNEVEN.frames_between(3.5, 9.0) == (6, 6)


ticks = st.lists(st.integers(1, 5000), min_size=1, max_size=40)


@given(ticks, st.data())
def test_frames_between_are_those_on_screen(ticks, data):
    """Held against whole milliseconds, frame by frame."""
    length = sum(ticks)
    start = data.draw(st.integers(0, length - 1))
    end = data.draw(st.integers(start + 1, length + 10))
    begins = [sum(ticks[:i]) for i in range(len(ticks))]
    shown = [
        i for i, (begin, tick) in enumerate(zip(begins, ticks, strict=True))
        if begin < end and begin + tick > start
    ]  # fmt: skip
    assert Clock(1e-3, ticks).frames_between(start / 1000, end / 1000) == (shown[0], shown[-1])


@given(
    st.lists(st.integers(180, 90_000), min_size=2, max_size=40),
    st.sampled_from([Fraction(1, 90_000), Fraction(1001, 90_000 * 1000), Fraction(1, 12_800)]),
    st.data(),
)
def test_neighbours_neither_share_nor_lose_a_frame(ticks, tick, data):
    """Clips that meet where a frame appears, their times typed to the millisecond."""
    clock = Clock(float(tick), ticks)
    cuts = data.draw(st.sets(st.integers(1, len(ticks) - 1)))
    bounds = [0, *sorted(cuts), len(ticks)]
    times = [round(float(sum(ticks[:b]) * tick), 3) for b in bounds]
    frames = [clock.frames_between(a, b) for a, b in itertools.pairwise(times)]
    assert frames == [(a, b - 1) for a, b in itertools.pairwise(bounds)]


@pytest.mark.parametrize("begin", [0, 50])
@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_a_films_own_times_count_from_its_first_frame(tmp_path, name, begin):
    """The last frame's length is not in its stamp: each container has its own guess."""
    path = write_film(
        tmp_path / name, shots_of([7]), fps=10, tick=Fraction(1, 10),
        stamps=[begin + s for s in STAMPS],
    )  # fmt: skip
    clock, notes = clock_of(path, tmp_path)
    assert clock.starts().tolist() == pytest.approx([s / 10 for s in STAMPS], abs=1e-9)
    assert notes == []
    assert clock.frames_between(0.4, 2.0) == (2, 3)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.avi", "mpeg4"), ("b.avi", "mjpeg"), ("a.mkv", "libx265"),
     ("a.ts", "libx264"), ("b.mkv", "libvpx-vp9")],
)  # fmt: skip
def test_23_976_frames_a_second_in_every_container(tmp_path, name, codec):
    """Matroska has whole milliseconds and MPEG-TS 90,000ths: no time is further off than that."""
    rate = Fraction(24000, 1001)
    path = write_film(tmp_path / name, shots_of([48]), codec=codec, fps=rate)
    clock, notes = clock_of(path, tmp_path)
    expected = [i * 1001 / 24000 for i in range(48)]
    assert clock.starts().tolist() == pytest.approx(expected, abs=0.00051)
    assert clock.seconds == pytest.approx(48 * 1001 / 24000, abs=0.0015)
    assert notes == []
    assert check_video(path).fps == pytest.approx(float(rate), rel=1e-6)
    # Frame 24 appears at 1.001 s.
    assert clock.frames_between(0, 1.001) == (0, 23)
    assert clock.frames_between(1.001, 2.002) == (24, 47)


def test_a_stream_without_time_stamps_goes_by_its_rate(tmp_path):
    path = tmp_path / "film.h264"  # nothing but pictures, no container
    write_film(path, shots_of([30]), fps=25)
    with av.open(str(path)) as container:
        assert None in [frame.pts for frame in container.decode(video=0)]
    clock, notes = clock_of(path, tmp_path)
    assert clock.frames == 30
    assert clock.starts().tolist() == pytest.approx([i / 25 for i in range(30)], abs=1e-9)
    assert notes == [
        "no times: 30 of 30 frames have no time stamp that can be used; theirs are filled in"
    ]


@pytest.mark.parametrize(
    ("stamps", "bad", "milliseconds"),
    [
        ([0, 3, 4, 10], 0, [0, 3, 4, 10]),
        ([7], 0, [0]),
        ([0, 3, 3, 10], 1, [0, 2, 3, 10]),  # 1.5, between 0 and 3, rounds to even
        ([0, 4, 900, 10], 1, [0, 4, 7, 10]),  # one jumps ahead
        ([0, 20, 5, 10], 1, [0, 2, 5, 10]),  # 2.5 rounds to even
        ([0, None, 8, 12], 1, [0, 4, 8, 12]),
        ([None, 5, 9, 13], 1, [0, 4, 8, 12]),  # as long before the first as usual
        ([0, 5, 10, None, None], 2, [0, 5, 10, 15, 20]),
        ([None], 1, [0]),
        ([None, None, None, 6], 3, [0, 50, 100, 150]),  # by the rate, 20 a second
        ([9, 6, 3, 0], 3, [0, 50, 100, 150]),
    ],
)
def test_stamps_that_are_missing_or_do_not_rise_are_filled_in(tmp_path, stamps, bad, milliseconds):
    path = write_film(tmp_path / "film.mkv", shots_of([4]), fps=20)
    with open_film(path) as film:
        list(film.frames())
        film.stamps = stamps
        clock, filled = film.clock()
    assert filled == bad
    assert clock.frames == len(stamps)
    assert clock.starts().tolist() == pytest.approx([ms / 1000 for ms in milliseconds])
    assert clock.ticks[-1] > 0


@given(st.lists(st.one_of(st.none(), st.integers(0, 30)), max_size=12))
def test_as_many_stamps_as_can_rise_together_are_kept(stamps):
    kept = _rising(stamps)
    values = [stamps[i] for i in kept]
    assert kept == sorted(set(kept))
    assert all(a < b for a, b in itertools.pairwise(values))
    best = [0] * len(stamps)  # the longest run that ends at each
    for i, stamp in enumerate(stamps):
        if stamp is not None:
            before = [best[j] for j in range(i) if stamps[j] is not None and stamps[j] < stamp]
            best[i] = 1 + max(before, default=0)
    assert len(kept) == max(best, default=0)


def test_a_film_of_one_frame_lasts_as_long_as_a_frame(tmp_path):
    path = write_film(tmp_path / "film.mp4", shots_of([1]), fps=25)
    clock, notes = clock_of(path, tmp_path)
    assert (clock.frames, notes) == (1, [])
    assert clock.seconds == pytest.approx(0.04, abs=1e-6)


def test_a_jump_in_the_times_is_told(tmp_path):
    """As in recordings that were joined; nobody can say which of the two clocks is right."""
    stamps = [*range(20), *range(20 + 25 * 60, 40 + 25 * 60)]
    path = write_film(tmp_path / "film.mkv", shots_of([40]), stamps=stamps, tick=Fraction(1, 25))
    clock, notes = clock_of(path, tmp_path)
    assert clock.frames == 40
    assert notes == ["times jump: by 60 s after frame 19, as in recordings that were joined"]
