"""Every reason for which a story is no clip, and every note on one that is, by hand."""

from collections import Counter

import pytest
from trees import (
    ONE,
    as_tars,
    clips_of,
    dropped_of,
    frames,
    ids_of,
    ingest,
    one_film,
    put,
    shot_lines,
    story,
)

from lrmovienet.movienet.annotation import Shot, parse_shots
from lrmovienet.movienet.ranges import FrameRate
from lrmovienet.movienet.stories import FilmFacts, Wanted, read_story

TEN = parse_shots(shot_lines(10))
RATE = FrameRate(25.0, 0.0, 0.0, 0.0, 0.0, 4)


def read(value, film=None, wanted=None, ids=()):
    return read_story(5, value, Counter(ids), film or FilmFacts(ONE), wanted or Wanted())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"description": None}, "no description: the story has none"),
        ({"description": " \n"}, "no description: the story has none"),
        ({"description": ["a"]}, "no description: the story has none"),
        ({"shot": [50, 60]}, "no keyframe: none of its shots 50 to 60 has one"),
        ({"shot": [3, 2]}, "wrong shots: [3, 2], expected [first, last]"),
        ({"shot": [0, 2**31]}, "wrong shots: [0, 2147483648], expected [first, last]"),
        ({"shot": [True, 1]}, "wrong shots: [True, 1], expected [first, last]"),
        ({"shot": None}, "wrong shots: None, expected [first, last]"),
        ({"frame": None, "duration": None}, "wrong frames: None, expected [first, last]"),
        ({"frame": [5, 4], "duration": [2, 1]}, "wrong frames: [5, 4], expected [first, last]"),
        ({"id": "tt9999999_0001"}, "wrong id: the story's id is 'tt9999999_0001', expected tt012"),
        ({"id": None}, "wrong id: the story's id is None, expected tt0120338_0000"),
        ({"id": f"{ONE}_1\n"}, "wrong id: the story's id is 'tt0120338_1\\n', expected"),
        ({"id": f"{ONE}_٣"}, "wrong id: "),
        ({"id": f"{ONE}_{'1' * 13}"}, "wrong id: "),
        ({"id": "tt0120338_0000"}, "duplicate id: the film has several stories with the id tt012"),
        (None, "no object: the story is no JSON object"),
    ],
)
def test_stories_that_cannot_be_clips(tmp_path, changes, reason):
    middle = changes if changes is None else story(ONE, 1, [1, 1]) | changes
    stories = [story(ONE, 0, [0, 0]), middle, story(ONE, 2, [2, 2])]
    put(tmp_path / "m", as_tars(one_film(stories, 3)))
    assert ingest(tmp_path / "w", tmp_path / "m") == 0
    twice = changes is not None and changes.get("id") == "tt0120338_0000"
    kept = [f"{ONE}_0002"] if twice else [f"{ONE}_0000", f"{ONE}_0002"]
    assert ids_of(tmp_path / "w") == kept
    dropped = dropped_of(tmp_path / "w")
    dropped = [row for row in dropped if not row[1].startswith("kept, ")]
    assert len(dropped) == (2 if twice else 1)
    assert all(why.startswith(reason) for _, why in dropped)
    named = changes is not None and "id" not in changes
    assert dropped[-1][0] == f"{ONE}_0001" or not named
    assert named or twice or dropped[0][0] == f"{ONE}_story_1"


def test_a_run_says_how_many_of_each_kind(tmp_path, capsys):
    stories = [story(ONE, i, [i, i], description=None) for i in range(3)]
    stories += [story(ONE, 3, [50, 51]), story(ONE, 4, [0, 0])]
    put(tmp_path / "m", as_tars(one_film(stories)))
    assert ingest(tmp_path / "w", tmp_path / "m") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert any(line.startswith("clips: 1 rows, 4 dropped") for line in lines)
    assert lines[-2:] == ["3 no description", "1 no keyframe"]


def test_all_stories_dropped_is_an_empty_table(tmp_path):
    put(tmp_path / "m", as_tars(one_film([story(ONE, 0, [0, 0], description="")])))
    assert ingest(tmp_path / "w", tmp_path / "m") == 0
    assert clips_of(tmp_path / "w") == []
    assert dropped_of(tmp_path / "w") == [(f"{ONE}_0000", "no description: the story has none")]


def test_words_and_consistency():
    text = story(ONE, 0, [0, 0], description="two words", consistency=0.5)
    assert read(text, wanted=Wanted(2, 0.5))["reason"] is None
    assert read(text, wanted=Wanted(3))["reason"] == "too few words: 2, wanted are 3 or more"
    why = read(text, wanted=Wanted(1, 0.51))["reason"]
    assert why == "low consistency: 0.5, wanted is 0.51 or more"
    for odd in (None, "0.9", True, [1]):
        row = read(text | {"consistency": odd}, wanted=Wanted(1, 0.1))
        assert row["reason"] == f"low consistency: it is {odd!r}, wanted is 0.1 or more"
        assert read(text | {"consistency": odd})["reason"] is None, "nobody asked for it"
    assert read(text | {"consistency": float("nan")}, wanted=Wanted(1, 0.1))["reason"]
    huge = read(text | {"consistency": -(10**4000)}, wanted=Wanted(1, 0.1))["reason"]
    assert len(huge) < 300
    assert read(story(ONE, 0, [0, 0], description="\ud800 b"))["description"] == "\ufffd b"


def test_what_can_be_used_is_used_and_noted():
    """A film of ten shots of a hundred frames, at 25 frames a second."""
    film = FilmFacts(ONE, rate=RATE, shots=TEN)
    whole = read(story(ONE, 0, [3, 4]), film)
    assert (whole["notes"], whole["shot"], whole["frame"]) == ([], [3, 4], [300, 499])
    assert (whole["start_s"], whole["end_s"]) == (12.0, 19.96)

    row = read(story(ONE, 0, [3, 4], shot=None, frame=[350, 420]), film)
    assert (row["shot"], row["frame"]) == ([3, 4], [350, 420])
    assert row["notes"] == ["shots from frames: the story names none"]

    row = read(story(ONE, 0, [3, 4], frame="all"), film)
    assert row["frame"] == [300, 499]
    assert row["notes"] == [
        "wrong frames: 'all', expected [first, last]",
        "frames from shots: the story names none that can be used",
    ]

    row = read(story(ONE, 0, [3, 4], frame=None, duration=[1, 2.5]), FilmFacts(ONE, rate=RATE))
    assert row["frame"] == [25, 62]  # 2.5 s are 62.5 frames; half a frame goes to the even one
    assert row["notes"] == ["frames from times: the story names none that can be used"]

    row = read(story(ONE, 0, [3, 4], duration=[5, 4]), film)
    assert (row["start_s"], row["end_s"]) == (12.0, 19.96)
    assert row["notes"] == [
        "wrong times: [5, 4], expected [start, end]",
        "times from frames: the story has none that can be used",
    ]

    row = read(story(ONE, 0, [3, 4], duration=None), FilmFacts(ONE))
    assert (row["start_s"], row["end_s"], row["reason"]) == (None, None, None)
    assert row["notes"] == ["no times: the story has none, and no frame rate could be fitted"]


def test_shots_of_frames_at_their_bounds():
    film = FilmFacts(ONE, shots=TEN)
    for frame, shot in {
        (0, 0): [0, 0], (99, 100): [0, 1], (100, 199): [1, 1], (999, 999): [9, 9],
        (950, 5000): [9, 9],
    }.items():  # fmt: skip
        assert read(story(ONE, 0, [0, 0], shot=None, frame=[*frame]), film)["shot"] == shot
    row = read(story(ONE, 0, [0, 0], shot=None, frame=[1000, 1001]), film)
    assert row["reason"] == "beyond the end: frame 1000, the last shot ends at 999"


def test_half_open_ranges_lose_their_end():
    film = FilmFacts(ONE, shots_include_end=False, frames_include_end=False)
    row = read(story(ONE, 0, [3, 5], frame=[300, 500]), film)
    assert (row["shot"], row["frame"]) == ([3, 4], [300, 499])
    row = read(story(ONE, 0, [3, 3], frame=[300, 300]), film)  # it would be empty
    assert (row["shot"], row["frame"]) == ([3, 3], [300, 300])


@pytest.mark.parametrize(
    ("shot", "frame", "outside"),
    [
        ([3, 4], [300, 499], []),
        ([3, 4], [326, 499], [[3, 0]]),  # keyframes are at 325, 350 and 375
        ([3, 4], [325, 475], []),
        ([3, 4], [325, 474], [[4, 2]]),
        ([3, 4], [376, 424], [[3, 0], [3, 1], [4, 0], [4, 1], [4, 2]]),  # 375 is nearest to 400
        ([3, 3], [300, 310], [[3, 1], [3, 2]]),  # shorter than the step: the nearest stays
        ([3, 3], [390, 399], [[3, 0], [3, 1]]),
        ([3, 5], [376, 524], [[3, 0], [3, 1], [3, 2], [5, 0], [5, 1], [5, 2]]),  # 4 has its own
    ],
)
def test_pictures_outside_of_the_frames(shot, frame, outside):
    row = read(story(ONE, 0, shot, frame=frame), FilmFacts(ONE, shots=TEN))
    assert row["outside"] == outside
    assert row["notes"] == []


@pytest.mark.parametrize(
    ("shot", "frame"),
    [
        ([3, 12], [300, 310]),  # the shot file does not know shot 12
        ([3, 4], [200, 499]),  # the story begins before its first shot
        ([0, 4], [0, 4999]),  # and this ends after its last: a file of another cutting
    ],
)
def test_a_shot_file_of_another_cutting_takes_no_picture_away(shot, frame):
    film = FilmFacts(ONE, shots=[Shot(n * 100, n * 100 + 99, (n * 100,)) for n in range(10)])
    row = read(story(ONE, 0, shot, frame=frame), film)
    assert (row["outside"], row["reason"]) == ([], None)
    assert row["notes"] == ["shot file differs: the story's frames are not in its shots"]


def test_a_shot_file_of_another_cut_is_said():
    row = read(story(ONE, 0, [3, 4], frame=[700, 800]), FilmFacts(ONE, shots=TEN))
    assert row["notes"] == ["shot file differs: the story's frames are not in its shots"]
    assert row["outside"] == []


def test_notes_of_films_and_clips_come_out_of_the_verb(tmp_path):
    stories = [
        story(ONE, 0, [0, 1]) | {"mood": "sad"},
        story(ONE, 1, [8, 12], duration=None),
        story(ONE, 2, [2, 2], shot=None),
    ]
    (film,) = one_film(stories)
    film.shots, film.meta = b"0 99\n50 60", {"title": "x"}
    put(tmp_path / "m", as_tars([film]))
    assert ingest(tmp_path / "w", tmp_path / "m") == 0
    found = dropped_of(tmp_path / "w")
    assert found == [
        (ONE, "kept, unknown fields left out: story.mood"),
        (ONE, "kept, shot file not used: line 2: 50 60 is not after the shot before it."),
        (ONE, "kept, no genres: meta names none"),
        (f"{ONE}_0001", "kept, times from frames: the story has none that can be used"),
        (f"{ONE}_0001", "kept, absent frames: 3 of 5 shots have no keyframe, the first is shot 10"),
        (f"{ONE}_0002", "wrong shots: None, expected [first, last]"),
    ]
    film.meta, film.shots = None, None
    film.pictures = {}
    other = one_film([story("tt5", 0, [0, 0])])[0]
    other.movie_id, other.pictures = "tt5", frames("tt5", 1)
    other.meta = None
    put(tmp_path / "n", as_tars([film, other]))
    assert ingest(tmp_path / "v", tmp_path / "n") == 0
    found = dropped_of(tmp_path / "v")
    assert (ONE, "kept, no meta: title and genres are not known") in found
    why = "no keyframe: the film has no tar and no folder of them"
    assert (f"{ONE}_0000", why) in found
    assert (f"{ONE}_0001", why) in found
    assert ids_of(tmp_path / "v") == ["tt5_0000"]
