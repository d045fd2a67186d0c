"""Whether ranges include their end, and the frame rate: inferred, recorded, applied."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import (
    ONE,
    TITANIC,
    TWO,
    SmallFilm,
    as_tars,
    clips_of,
    frames,
    ingest,
    put,
    shot_lines,
    story,
)

from lrmovienet.movienet.ranges import KNOWN_FPS, FrameRate, Votes, fit_fps, vote
from lrmovienet.workspace import Workspace

THREE = "tt0000003"


def scenes(including, film=ONE, shots=(0, 3, 5, 10)):
    """Scenes without a gap; frames are written as the shots are."""
    extra = 0 if including else 1
    return [
        {
            "id": f"{film}_{i:04d}", "shot": [a, b - 1 + extra],
            "frame": [a * 100, b * 100 - 1 + extra],
        }
        for i, (a, b) in enumerate(itertools.pairwise(shots))
    ]  # fmt: skip


def film(movie_id, including, **changes):
    """A film with one clip, of shots 3 to 8 and frames 300 to 899."""
    given = (
        {"shot": [3, 8], "frame": [300, 899]}
        if including
        else {"shot": [3, 9], "frame": [300, 900]}
    )
    return SmallFilm(
        movie_id, [story(movie_id, 0, [3, 8]) | given], None, frames(movie_id, 10), TITANIC,
        scenes(including, movie_id),
    )  # fmt: skip


def films_of(workspace):
    return {row["movie_id"]: row for row in Workspace(workspace).read("films").to_pylist()}


@pytest.mark.parametrize(
    ("ranges", "votes"),
    [
        ([], (0, 0)),
        ([(0, 4)], (0, 0)),
        ([(0, 4), (5, 9)], (1, 0)),
        ([(0, 5), (5, 9)], (0, 1)),
        ([(5, 9), (0, 5)], (0, 1)),  # in any order
        ([(0, 4), (7, 9)], (0, 0)),  # a gap tells nothing
        ([(3, 3)], (1, 0)),  # half open, this would be empty
        ([(0, 1), (2, 3), (3, 5), (6, 6)], (3, 1)),
    ],
)
def test_votes_by_hand(ranges, votes):
    assert vote(ranges) == votes


def test_the_answer_of_votes():
    answers = [Votes(a, b).answer for a, b in [(0, 0), (2, 2), (1, 0), (3, 2), (0, 1)]]
    assert answers == [None, None, True, True, False]


def test_both_ways_of_writing_give_the_same_clip(tmp_path):
    put(tmp_path / "m", as_tars([film(ONE, True), film(TWO, False)]))
    assert ingest(tmp_path / "w", tmp_path / "m") == 0
    one, two = clips_of(tmp_path / "w")
    assert one["shot"] == two["shot"] == [3, 8]
    assert one["frame"] == two["frame"] == [300, 899]
    assert [k["ref"].split("/")[1] for k in one["keyframes"]] == [
        k["ref"].split("/")[1] for k in two["keyframes"]
    ]
    films = films_of(tmp_path / "w")
    assert films[ONE]["shots_include_end"] and films[ONE]["frames_include_end"]
    assert not films[TWO]["shots_include_end"] and not films[TWO]["frames_include_end"]
    assert {films[m][by] for m in (ONE, TWO) for by in ("shots_by", "frames_by")} == {
        "2 of 2 neighbours"
    }


@pytest.mark.parametrize("including", [True, False])
def test_films_without_evidence_follow_most_others(tmp_path, including):
    silent = film(THREE, including)
    silent.scene = None
    others = [film(ONE, including), film(TWO, including), film("tt0000004", not including)]
    put(tmp_path / "m", as_tars([*others, silent]))
    assert ingest(tmp_path / "w", tmp_path / "m") == 0
    row = films_of(tmp_path / "w")[THREE]
    assert (row["shots_include_end"], row["frames_include_end"]) == (including, including)
    assert (row["shots_by"], row["frames_by"]) == ("most films", "most films")
    assert {(tuple(c["shot"]), tuple(c["frame"])) for c in clips_of(tmp_path / "w")} == {
        ((3, 8), (300, 899))
    }
    # What a film's clips are does not hang on which others are chosen with it.
    assert ingest(tmp_path / "one", tmp_path / "m", "--films", THREE) == 0
    assert films_of(tmp_path / "one")[THREE] == row


def test_shots_and_frames_are_decided_apart(tmp_path):
    mixed = film(ONE, True)
    for scene, other in zip(mixed.scene, scenes(False), strict=True):
        scene["frame"] = other["frame"]
    mixed.stories[0]["frame"] = [300, 900]
    put(tmp_path / "m", as_tars([mixed]))
    assert ingest(tmp_path / "w", tmp_path / "m") == 0
    row = films_of(tmp_path / "w")[ONE]
    assert (row["shots_include_end"], row["frames_include_end"]) == (True, False)
    assert (clips_of(tmp_path / "w")[0]["shot"], clips_of(tmp_path / "w")[0]["frame"]) == (
        [3, 8], [300, 899],
    )  # fmt: skip


def test_without_any_evidence_the_end_is_included(tmp_path):
    silent = film(ONE, True)
    silent.scene = "none"
    put(tmp_path / "m", as_tars([silent]))
    assert ingest(tmp_path / "w", tmp_path / "m") == 0
    row = films_of(tmp_path / "w")[ONE]
    assert row["shots_include_end"] and row["frames_include_end"]
    assert row["shots_by"] == row["frames_by"] == "nothing, by default"


def test_a_majority_of_a_films_own_scenes_decides(tmp_path):
    mixed = film(ONE, True)
    mixed.scene += [{"shot": [9, 9], "frame": [99, 100]}, {"shot": [10, 12], "frame": [1, 2]}]
    put(tmp_path / "m", as_tars([mixed]))
    assert ingest(tmp_path / "w", tmp_path / "m") == 0
    # Shots 0-2, 3-4, 5-9, 9-9, 10-12: 2|3, 4|5, 9-9 itself and 9|10 speak for it; 9|9 against.
    assert films_of(tmp_path / "w")[ONE]["shots_by"] == "4 of 5 neighbours"


def test_what_the_table_says_of_a_film(tmp_path):
    whole = film(ONE, True)
    whole.stories.append(story(ONE, 1, [0, 0]))
    whole.shots = shot_lines(10)
    put(tmp_path / "m", as_tars([whole]))
    assert ingest(tmp_path / "w", tmp_path / "m") == 0
    row = films_of(tmp_path / "w")[ONE]
    expected = {
        "movie_id": ONE, "title": "Titanic (1997)", "genres": ["Drama", "Romance"],
        "source": "movienet", "stories": 2, "shots": 10, "fps": 25.0, "fps_points": 4,
        "file": None, "notes": [],
    }  # fmt: skip
    assert {k: row[k] for k in expected} == expected
    assert row["fps_residual_s"] == pytest.approx(0, abs=1e-9)
    assert row["fps_worst_s"] == pytest.approx(0, abs=1e-9)


def test_movienets_documented_example_by_hand():
    """(44851 - 6257) / (1870.62112733 - 260.97997833) = 38594 / 1609.641149 = 23.9768."""
    rate = fit_fps([(6257, 260.97997833333335), (44851, 1870.6211273333333)])
    assert rate.fps == 24000 / 1001
    # 6257 * 1001 / 24000 = 260.968 and 44851 * 1001 / 24000 = 1870.660: off by 0.0109 and -0.0393.
    assert rate.start_offset_s == pytest.approx((0.010936 - 0.039331) / 2, abs=1e-4)
    assert rate.worst_s == rate.residual_s == pytest.approx((0.010936 + 0.039331) / 2, abs=1e-4)
    assert rate.points == 2


def test_one_wrong_story_does_not_bend_the_line():
    points = [(f, f / 25 + 3) for f in range(0, 40_000, 1000)]
    for i in (0, 7, 39):
        bent = list(points)
        bent[i] = (bent[i][0], 900_000.0)
        rate = fit_fps(bent)
        assert rate.fps == 25
        assert rate.start_offset_s == pytest.approx(3, abs=1e-9)
        assert rate.residual_s == pytest.approx(0, abs=1e-9)
        assert rate.worst_s == pytest.approx(900_000 - points[i][1], rel=1e-9)


@given(
    st.one_of(st.sampled_from(KNOWN_FPS), st.floats(10, 70)),
    st.floats(-5, 600),
    st.lists(st.integers(500, 1500), min_size=20, max_size=250),
    st.integers(0, 2**32),
)
def test_the_rate_of_generated_points_is_found(fps, offset_s, steps, seed):
    """Although one time of eight is anything."""
    draw = random.Random(seed)
    points = [(f, f / fps + offset_s) for f in itertools.accumulate(steps)]
    for i in draw.sample(range(len(points)), len(points) // 8):
        points[i] = (points[i][0], draw.uniform(0, 9000))
    rate = fit_fps(points)
    assert rate.fps == pytest.approx(fps, rel=3.1e-4)
    if fps in KNOWN_FPS:
        assert rate.fps == fps
        assert rate.start_offset_s == pytest.approx(offset_s, abs=1e-6)
        assert rate.residual_s == pytest.approx(0, abs=1e-6)


def test_24_and_its_ntsc_twin_are_told_apart():
    for fps in (24.0, 24000 / 1001):
        assert fit_fps([(0, 0.0), (1000, 1000 / fps)]).fps == fps
    assert fit_fps([(0, 0.0), (1000, 1000 / 23.5)]).fps == pytest.approx(23.5)  # none of the known


@pytest.mark.parametrize(
    "points",
    [
        [], [(5, 1.0)], [(5, 1.0), (5, 2.0)], [(0, 1.0), (100, 1.0)], [(0, 5.0), (100, 1.0)],
        [(0, 0.0), (1, 2.0)], [(0, 0.0), (10_000, 5.0)],
    ],
)  # fmt: skip
def test_points_that_give_no_rate(points):
    assert fit_fps(points) is None


def test_starts_and_ends_are_lines_of_their_own():
    """An end may be the time at which the last frame comes, or goes: one frame apart."""
    starts = [(f, f / 25 + 1) for f in (0, 300, 900)]
    for late in (0, 0.04):
        ends = [(f, f / 25 + 1 + late) for f in (200, 450, 1000)]
        rate = fit_fps(starts, ends)
        assert rate.fps == 25
        assert rate.start_offset_s == pytest.approx(1)
        assert rate.end_offset_s == pytest.approx(1 + late)
        assert rate.worst_s == pytest.approx(0, abs=1e-9)
        assert rate.points == 6


@pytest.mark.parametrize(("last", "fps"), [(131, 25.0), (132, 25.0), (120, 120 / 5.28)])
def test_a_single_story_counts_its_last_frame_as_gives_a_known_rate(last, fps):
    """132 frames of 1/25 s last 5.28 s, whether the last is called 131 or, excluded, 132."""
    rate = fit_fps([(0, 0.0)], [(last, 5.28)])
    assert rate.fps == pytest.approx(fps, rel=1e-12)
    assert rate.frames(rate.seconds((0, last))) == (0, last)


def test_there_and_back():
    rate = FrameRate(25.0, 2.0, 3.0, 0, 0, 9)
    assert rate.seconds((100, 200)) == (6.0, 11.0)
    assert rate.frames((6.0, 11.0)) == (100, 200)
    assert rate.frames((1.0, 2.0)) == (0, 0)
    assert FrameRate(25.0, -2.0, -3.0, 0, 0, 9).seconds((10, 20)) == (0.0, 0.0)
