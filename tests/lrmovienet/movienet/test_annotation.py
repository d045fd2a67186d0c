"""Annotations, meta and shot files of any content: never a traceback, and no story vanishes."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trees import (
    ONE,
    TITANIC,
    SmallFilm,
    as_tars,
    clips_of,
    dropped_of,
    frames,
    ingest,
    put,
    shot_lines,
    story,
)

from lrmovienet.errors import ItemError
from lrmovienet.movienet.annotation import (
    Shot,
    as_range,
    as_seconds,
    clean,
    is_film_id,
    parse_annotation,
    parse_meta,
    parse_shots,
)
from lrmovienet.movienet.ranges import Votes
from lrmovienet.movienet.stories import FilmFacts, Wanted, read_story

NESTED = json.loads("[" * 90 + "]" * 90)
odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**31, 2**53, 2**63, 2**64, 10**400, -1, float("nan"), float("inf"), 1e308]),
    st.floats(),
    st.text(st.characters(), max_size=6),
    st.sampled_from(["\ud800", "\udfff é\U0001f600", "", " \n", "\0", "夜のシーン"]),
    st.just(NESTED),
    st.lists(st.integers(-1, 9), max_size=3),
    st.lists(st.floats(), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)
good = st.integers(0, 3).map(lambda n: story(ONE, n, [n, n]))
changed = st.builds(
    lambda whole, changes, without: {
        k: v for k, v in (whole | changes).items() if k not in without
    },
    good,
    st.dictionaries(st.sampled_from([*story(ONE, 0, [0, 0]), "extra", "\ud800"]), odd, max_size=3),
    st.sets(st.sampled_from([*story(ONE, 0, [0, 0])]), max_size=1),
)
reversed_ranges = st.builds(
    lambda s, n: s | {n: s[n][::-1]}, good, st.sampled_from(["shot", "frame"])
)
stories_of_any_kind = st.lists(st.one_of(good, changed, changed, reversed_ranges, odd), max_size=6)
annotations = st.fixed_dictionaries(
    {"story": st.one_of(stories_of_any_kind, stories_of_any_kind, odd)},
    optional={
        "imdb_id": st.one_of(st.just(ONE), st.just(ONE), odd),
        "scene": st.one_of(odd, st.lists(st.one_of(changed, odd), max_size=4)),
        "cast": odd,
        "\udc00": odd,
    },
)
metas = st.one_of(
    st.just(TITANIC),
    odd,
    st.dictionaries(
        st.sampled_from(["title", "genres"]), st.one_of(odd, st.lists(odd, max_size=2))
    ),
)
shot_files = st.one_of(
    st.just(shot_lines(4)),
    st.binary(max_size=40),
    st.text(st.sampled_from("0123456789 \n\t-+.é"), max_size=60).map(str.encode),
    st.lists(st.integers(0, 10**16), max_size=12).map(
        lambda n: "\n".join(" ".join(map(str, n[i : i + 5])) for i in range(0, len(n), 5)).encode()
    ),
)


def written(value):
    """As JSON; NaN and Infinity as Python writes them, half a character as its escape."""
    return json.dumps(value, ensure_ascii=True).encode()


@settings(max_examples=400, deadline=None)
@given(annotations, shot_files)
def test_any_annotation_is_refused_or_each_story_is_a_clip_or_has_a_reason(annotation, shots):
    try:
        parsed = parse_annotation(ONE, written(annotation))
    except ItemError:
        return
    try:
        listed = parse_shots(shots)
    except ItemError:
        listed = []
    stories = parsed.stories
    assert len(stories) == len(annotation["story"] or [])
    ids = Counter(s["id"] for s in stories if isinstance(s, dict) and isinstance(s.get("id"), str))
    facts = FilmFacts(ONE, True, True, parsed.rate, listed)
    for number, value in enumerate(stories):
        row = read_story(number, value, ids, facts, Wanted())
        json.dumps(row, ensure_ascii=False).encode()  # no half a character is left
        if row["reason"] is None:
            assert row["description"].strip()
            assert 0 <= row["shot"][0] <= row["shot"][1] < 2**31
            assert 0 <= row["frame"][0] <= row["frame"][1] < 2**63
            assert row["start_s"] is None or 0 <= row["start_s"] <= row["end_s"] < 1e300
        else:
            assert ": " in row["reason"]
            assert len(row["reason"]) < 300


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(annotations, metas, shot_files)
def test_the_whole_verb_loses_no_story(tmp_path_factory, capsys, annotation, meta, shots):
    film = SmallFilm(ONE, shots=shots, pictures=frames(ONE, 4), whole=written(annotation))
    film.meta = written(meta)
    folder = tmp_path_factory.mktemp("any")
    status = ingest(folder / "w", put(folder / "m", as_tars([film])))
    err = capsys.readouterr().err
    assert "Traceback" not in err
    if status:
        assert status == 2
        assert f"/{ONE}.json: " in err or "no JSON file has a story" in err
        return
    given = annotation["story"]
    dropped = [reason for _, reason in dropped_of(folder / "w") if not reason.startswith("kept, ")]
    assert len(clips_of(folder / "w")) + len(dropped) == len(given)


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_or_read(data):
    for read in (lambda d: parse_annotation(ONE, d), parse_meta, parse_shots):
        try:
            read(data)
        except ItemError as error:
            assert str(error)


@pytest.mark.parametrize("depth", [50, 900, 940, 960, 970, 980, 990, 1000, 100_000])
@pytest.mark.parametrize("name", ["id", "shot", "consistency", "cast", "subtitle"])
def test_nesting_of_any_depth(tmp_path, capsys, depth, name):
    text = written({"story": [story(ONE, 0, [0, 0]) | {name: "HERE"}]}).decode()
    text = text.replace('"HERE"', "[" * depth + "]" * depth)
    film = SmallFilm(ONE, pictures=frames(ONE, 1), whole=text.encode())
    root = put(tmp_path / "m", as_tars([film]))
    status = ingest(tmp_path / "w", root, "--min_consistency", "0.5")
    assert status == 2 or len(clips_of(tmp_path / "w")) + len(dropped_of(tmp_path / "w")) >= 1
    assert "Traceback" not in capsys.readouterr().err


def test_the_documented_example(tmp_path):
    """MovieNet's own, docs/wiki/annotation.md, without what it leaves out by dots."""
    data = {
        "imdb_id": "tt1210166",
        "cast": [{"id": "tt1210166_000001", "frame_idx": None, "pid": "others"}],
        "scene": [{"id": "tt1210166_0000", "shot": [0, 1], "frame": [0, 841], "place_tag": None}],
        "story": [{
            "id": "tt1210166_0000", "shot": [60, 424], "frame": [6257, 44851],
            "duration": [260.97997833333335, 1870.6211273333333], "consistency": 0.963081028938084,
            "description": "Oakland Athletics general manager Billy Beane is upset ...",
            "subtitle": [{"shot": 60, "duration": [260.26, 262.51225], "sentences": ["You--"]}],
        }],
        "cinematic_style": {"movie": [{"shot": 1, "scale": "closeup"}], "trailer": None},
    }  # fmt: skip
    parsed = parse_annotation("tt1210166", written(data))
    assert parsed.unknown == []
    assert parsed.rate.fps == 24000 / 1001
    row = read_story(0, parsed.stories[0], Counter(), FilmFacts("tt1210166"), Wanted())
    assert row["reason"] is None
    assert row["notes"] == []
    assert (row["shot"], row["frame"]) == ([60, 424], [6257, 44851])


def test_what_is_kept_of_an_annotation():
    first, second = story(ONE, 0, [0, 0], mood="sad"), story(ONE, 1, [1, 1])
    scenes = [{"shot": [0, 0], "frame": [0, 99]}, {"shot": [1, 1], "frame": [100, 199]}, 7]
    data = {"story": [first, "x", second], "scene": scenes, "b": 1, "a\ud800": None}
    parsed = parse_annotation(ONE, written(data))
    kept = ("id", "shot", "frame", "duration", "consistency", "description")
    assert parsed.stories == [{k: first[k] for k in kept}, None, {k: second[k] for k in kept}]
    assert parsed.unknown == ["a\ufffd", "b", "story.mood"]
    assert parsed.shot_votes == Votes(inclusive=3, half_open=0)
    assert parsed.frame_votes == Votes(inclusive=1, half_open=0)
    for absent in ({}, {"story": None}, {"story": []}):
        assert parse_annotation(ONE, written(absent)).stories == []


def test_shot_files():
    data = (shot := b"0 57 14 28 42\n58 210 96 134 172\n211 481 278 345 412")
    expected = [
        Shot(0, 57, (14, 28, 42)), Shot(58, 210, (96, 134, 172)), Shot(211, 481, (278, 345, 412)),
    ]  # fmt: skip
    assert parse_shots(data) == expected
    assert parse_shots(b"\r\n" + shot.replace(b"\n", b"\r\n") + b"\n\n") == expected
    assert parse_shots(b"") == []
    assert parse_shots(b"5 5\n7 9 8") == [Shot(5, 5, ()), Shot(7, 9, (8,))]  # a gap is allowed


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"0 57\n57 90", "line 2: 57 90 is not after the shot before it"),
        (b"9 8", "line 1: 9 8 is not after"),
        (b"\n\n1", "line 3 is '1', expected start end kf0 kf1 kf2"),
        (b"0 1 -2", "line 1 is '0 1 -2', expected"),
        (b"0 1.0", "expected start end"),
        ("0 ١".encode(), "expected start end"),
        (b"0 " + b"9" * 16, "expected start end"),
        (b"\xff\xfe0 1", "expected start end"),
        (b"x" * 10_000, "expected start end"),
    ],
)  # fmt: skip
def test_shot_files_that_are_none(data, message):
    with pytest.raises(ItemError, match=message) as error:
        parse_shots(data)
    assert len(str(error.value)) < 200


@pytest.mark.skipif("LRMOVIENET_EXTRA_DATA" not in os.environ, reason="no MovieNet files here")
def test_movienets_own_shot_files():
    folder = Path(os.environ["LRMOVIENET_EXTRA_DATA"]) / "movienet_tools_tests/tests/data/shot_txt"
    paths = sorted(folder.glob("*.txt"))
    assert paths
    for path in paths:
        shots = parse_shots(path.read_bytes())
        assert [(s.first, s.last) for s in shots] == [(0, 57), (58, 210), (211, 481)]
        assert all(s.first <= k <= s.last for s in shots for k in s.keyframes)


def test_meta():
    assert parse_meta(written(TITANIC)) == ("Titanic (1997)", ["Drama", "Romance"])
    assert parse_meta(b"{}") == parse_meta(b'{"title": null, "genres": null}') == (None, [])
    assert parse_meta(b'{"title": " \\n", "genres": ["", " Drama "]}') == (None, ["Drama"])
    assert parse_meta(b'{"title": "a\\ud800", "genres": ["\\ud83d\\ude00"]}') == (
        "a\ufffd", ["\U0001f600"],
    )  # fmt: skip
    assert parse_meta("\ufeff{}".encode()) == (None, [])
    for bad in (b'{"genres": [1]}', b'{"genres": {}}', b'{"title": 3}', b"3", b"", b"\xff"):
        with pytest.raises(ItemError):
            parse_meta(bad)


def test_ranges_and_times():
    assert as_range([3, 3], 4) == (3, 3)
    assert as_seconds([0, 1.5]) == (0.0, 1.5)
    assert as_seconds([2, 2]) == (2.0, 2.0)
    for bad in ([3, 2], [0, 4], [-1, 2], [True, 1], [0, 1.0], [0], [0, 1, 2], "01", None, {}, 0):
        assert as_range(bad, 4) is None, bad
    nan, inf = float("nan"), float("inf")
    for bad in ([2, 1], [-1, 2], [nan, 1], [0, nan], [0, inf], [0, 1e6], [False, 1], [0], None):
        assert as_seconds(bad) is None, bad


def test_film_ids_and_clean_text():
    assert all(map(is_film_id, ["tt0120338", "tt12345678", "Été-1_b.c", "夜"]))
    assert not any(
        map(is_film_id, ["", ".a", "-a", "a b", "a/b", "a\\b", "a\n", "tt\udcff", "a\0"])
    )
    assert clean("a\ud800b\udc00\U0001f600") == "a\ufffdb\ufffd\U0001f600"
    assert clean("\ud83d\ude00") == "\U0001f600"
