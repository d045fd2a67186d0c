"""Which frames a clip gets: spread over its shots, and without near-duplicates."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import (
    ONE,
    SmallFilm,
    as_folders,
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
    two_films,
)

from lrmovienet.movienet.clips import over_shots


def shots_of(*counts):
    """Frames named by shot and place: shots_of(2, 1) is {0: ["0a", "0b"], 1: ["1a"]}."""
    return {s: [f"{s}{'abcdefgh'[i]}" for i in range(n)] for s, n in enumerate(counts)}


@pytest.mark.parametrize(
    ("found", "at_most", "expected"),
    [
        (shots_of(3, 3), 6, "0a 0b 0c 1a 1b 1c"),
        (shots_of(3, 3), 2, "0b 1b"),
        (shots_of(3, 3), 1, "1b"),
        (shots_of(3, 3), 3, "0b 1a 1c"),  # of six, the middles of three pairs: 1, 3, 5
        (shots_of(3, 3, 3, 3, 3, 3), 6, "0b 1b 2b 3b 4b 5b"),
        (shots_of(1, 2, 4, 1), 4, "0a 1b 2c 3a"),
        (shots_of(*[3] * 10), 3, "1b 5b 8b"),  # stretches of 3 1/3 shots; middles 1.67, 5, 8.33
        (shots_of(8), 2, "0c 0g"),
        (shots_of(1), 6, "0a"),
        ({7: ["7a"], 2: ["2a"]}, 2, "2a 7a"),
    ],
)
def test_over_shots_by_hand(found, at_most, expected):
    assert over_shots(found, at_most) == expected.split()


@given(st.lists(st.integers(1, 5), min_size=1, max_size=30), st.integers(1, 12))
def test_over_shots_takes_as_many_as_it_may_in_order_and_of_as_many_shots(counts, at_most):
    found = shots_of(*counts)
    chosen = over_shots(found, at_most)
    everything = [ref for shot in found for ref in found[shot]]
    places = [everything.index(ref) for ref in chosen]
    assert places == sorted(set(places))
    if len(counts) >= at_most:
        assert len(chosen) == at_most == len({ref[:-1] for ref in chosen})
    else:
        assert len(chosen) == min(at_most, len(everything))


def refs(workspace, row=0):
    return [k["ref"].split("/")[1][5:-4] for k in clips_of(workspace)[row]["keyframes"]]


def test_frames_per_clip(tmp_path):
    put(tmp_path / "m", as_tars(two_films()))
    assert ingest(tmp_path / "w", tmp_path / "m", "--frames-per-clip", "2") == 0
    assert [len(row["keyframes"]) for row in clips_of(tmp_path / "w")] == [2, 2, 2, 2]
    assert refs(tmp_path / "w") == ["0000_img_1", "0001_img_1"]
    assert refs(tmp_path / "w", 1) == ["0004_img_1", "0007_img_1"]


def test_frames_outside_of_the_story_are_not_taken(tmp_path):
    film = one_film([story(ONE, 0, [3, 4], frame=[340, 460])], shots=10)[0]
    film.shots = shot_lines(10)
    put(tmp_path / "m", as_tars([film]))
    assert ingest(tmp_path / "w", tmp_path / "m") == 0
    # Keyframes of shot 3 are frames 325, 350, 375; those of shot 4 are 425, 450, 475.
    assert refs(tmp_path / "w") == ["0003_img_1", "0003_img_2", "0004_img_0", "0004_img_1"]


def test_if_only_frames_outside_are_there_they_are_taken(tmp_path):
    pictures = {f"{ONE}/shot_0003_img_0.jpg": b"the only one"}
    film = SmallFilm(ONE, [story(ONE, 0, [3, 3], frame=[340, 380])], shot_lines(10), pictures)
    put(tmp_path / "m", as_tars([film]))
    assert ingest(tmp_path / "w", tmp_path / "m") == 0
    assert refs(tmp_path / "w") == ["0003_img_0"]


def test_names_that_are_no_frames_of_the_film_are_not_taken(tmp_path):
    pictures = frames(ONE, 1, images=1)
    pictures |= {
        f"{ONE}/{name}": b"x" for name in ("shot_0000_img_9.png", "thumbs.db", "shot_1.jpg")
    }
    pictures |= {f"{ONE}x/shot_0000_img_1.jpg": b"x"}
    film = SmallFilm(ONE, [story(ONE, 0, [0, 0])], None, pictures)
    put(tmp_path / "m", as_tars([film]))
    assert ingest(tmp_path / "w", tmp_path / "m") == 0
    assert refs(tmp_path / "w") == ["0000_img_0"]


def scene(seed):
    rng = np.random.default_rng(seed)
    picture = np.full((64, 96, 3), 90, np.uint8)
    for _ in range(6):
        where = (int(rng.integers(0, 96)), int(rng.integers(0, 64)))
        cv2.circle(
            picture, where, int(rng.integers(8, 26)), [int(v) for v in rng.integers(0, 255, 3)], -1
        )
    return cv2.GaussianBlur(picture, (0, 0), 2)


def jpeg(picture, quality=90):
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def near_and_far():
    """Shot 0: one picture thrice, changed a little; shots 1 and 2: others; shot 3: the first."""
    one, two, three = scene(1), scene(2), scene(3)
    shown = [
        [jpeg(one), jpeg(one, 50), jpeg(cv2.convertScaleAbs(one, beta=12))],
        [jpeg(two), jpeg(cv2.resize(two, (192, 128))), jpeg(two, 40)],
        [jpeg(three)],
        [jpeg(one, 70)],
    ]
    return {
        f"{ONE}/shot_{s:04d}_img_{i}.jpg": data
        for s, of_shot in enumerate(shown)
        for i, data in enumerate(of_shot)
    }


def test_near_duplicates_are_left_out_and_counted(tmp_path):
    film = SmallFilm(
        ONE, [story(ONE, 0, [0, 3])], None, near_and_far(), {"title": "x", "genres": ["y"]}
    )
    put(tmp_path / "m", as_folders([film]))
    assert ingest(tmp_path / "w", tmp_path / "m", "--near_duplicates", "8") == 0
    assert refs(tmp_path / "w") == ["0000_img_0", "0001_img_0", "0002_img_0"]
    assert dropped_of(tmp_path / "w") == [(f"{ONE}_0000", "kept, near-duplicates: 5 of 8 frames")]
    assert ingest(tmp_path / "w", tmp_path / "m", "--near_duplicates", "0") == 0
    assert len(refs(tmp_path / "w")) == 6, "0 keeps all"


def test_pictures_that_cannot_be_decoded(tmp_path):
    pictures = near_and_far()
    broken = {f"{ONE}/shot_0000_img_{i}.jpg": b"\xff\xd8 no jpeg" for i in range(3)}
    stories = [story(ONE, 0, [0, 2]), story(ONE, 1, [0, 0])]
    film = SmallFilm(ONE, stories, None, pictures | broken, {"title": "x", "genres": ["y"]})
    put(tmp_path / "m", as_tars([film]))
    assert ingest(tmp_path / "w", tmp_path / "m", "--near_duplicates", "8") == 0
    assert refs(tmp_path / "w") == ["0001_img_0", "0002_img_0"]
    assert dropped_of(tmp_path / "w") == [
        (f"{ONE}_0000", "kept, broken pictures: 3 frames are no JPEG"),
        (f"{ONE}_0000", "kept, near-duplicates: 2 of 4 frames"),
        (f"{ONE}_0001", "no keyframe: none of its frames can be decoded"),
    ]


def test_an_empty_tar_is_a_film_without_frames(tmp_path):
    film = one_film([story(ONE, 0, [0, 0])])[0]
    put(tmp_path / "m", as_tars([film]))
    (tmp_path / f"m/240P/{ONE}.tar").write_bytes(bytes(10240))
    assert ingest(tmp_path / "w", tmp_path / "m") == 0
    assert ids_of(tmp_path / "w") == []
    why = "no keyframe: none of its shots 0 to 0 has one"
    assert dropped_of(tmp_path / "w") == [(f"{ONE}_0000", why)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--frames_per_clip", "0"), "--frames_per_clip is 0; it must be more than 0."),
        (("--near_duplicates", "-1"), "--near_duplicates is -1; give 0 to 64 bits."),
        (("--near_duplicates", "65"), "--near_duplicates is 65; give 0 to 64 bits."),
        (("--min_consistency", "1.5"), "--min_consistency is 1.5; give 0 to 1."),
        (("--min_words", "0"), "--min_words is 0; it must be more than 0."),
        (("--window_s", "9"), "--window_s goes with --videos only."),
    ],
)
def test_options_that_make_no_sense(tmp_path, capsys, options, message):
    put(tmp_path / "m", {f"annotation/{ONE}.json": json.dumps({}).encode()})
    assert ingest(tmp_path / "w", tmp_path / "m", *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "w").exists()
