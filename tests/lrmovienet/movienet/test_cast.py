"""Who plays whom: read from a film's meta as far as it says, and kept in the table films."""

import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import (
    ONE,
    TITANIC,
    TWO,
    SmallFilm,
    as_tars,
    clips_of,
    digest_of,
    dropped_of,
    frames,
    ingest,
    put,
    said_of,
    story,
    two_films,
)

from lrmovienet.errors import ItemError
from lrmovienet.movienet.annotation import parse_cast
from lrmovienet.schema import CAST
from lrmovienet.workspace import Workspace

MAIN = {"id": "nm0000138", "name": "Leonardo DiCaprio", "character": "Jack Dawson"}
OTHER = {"id": "nm0000701", "name": "Kate Winslet", "character": "Rose"}


def who(actor, character):
    return {"actor": actor, "character": character}


def cast_of(value):
    return parse_cast(json.dumps({"cast": value}).encode())


def films_of(workspace):
    rows = Workspace(workspace).read("films").to_pylist()
    return {row["movie_id"]: row["cast"] for row in rows}


def film(cast):
    meta = TITANIC | {"cast": cast}
    return SmallFilm(ONE, [story(ONE, 0, [0, 0])], pictures=frames(ONE, 1), meta=meta)


def test_names_by_hand():
    assert cast_of([MAIN, OTHER]) == [
        who("Leonardo DiCaprio", "Jack Dawson"), who("Kate Winslet", "Rose"),
    ]  # fmt: skip
    assert cast_of([{"name": " Été \n", "character": "\ud800x"}]) == [who("Été", "\ufffdx")]
    assert cast_of([{"name": "A"}, {"character": "B"}]) == [who("A", None), who(None, "B")]


@pytest.mark.parametrize("missing", [None, "", "  ", 7, ["A"]])
def test_what_is_no_name_is_missing(missing):
    assert cast_of([{"name": "A", "character": missing}]) == [who("A", None)]
    assert cast_of([{"name": missing, "character": "B"}]) == [who(None, "B")]
    assert cast_of([{"name": missing, "character": missing}]) == []


@pytest.mark.parametrize("value", [None, [], {}, "Leonardo", 7, [None, "A", ["A"], {}, {"pid": 1}]])
def test_what_is_no_cast_is_empty(value):
    assert cast_of(value) == []
    assert parse_cast(b"{}") == []


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff"])
def test_a_file_that_is_no_object_is_refused(data):
    with pytest.raises(ItemError):
        parse_cast(data)


odd = st.recursive(
    st.one_of(st.none(), st.integers(), st.floats(), st.text(st.characters(), max_size=4)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "character", "id", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(odd)
def test_any_value_gives_rows_that_can_be_stored(value):
    people = cast_of(value)
    assert pa.array(people, CAST).to_pylist() == people
    for person in people:
        assert set(person) == {"actor", "character"}
        assert any(person.values())
        assert all(text == text.strip() for text in person.values() if text is not None)


def test_it_stands_in_the_table_films(tmp_path):
    others = [f for f in two_films() if f.movie_id != ONE]  # TWO has no meta
    root = put(tmp_path / "m", as_tars([film([MAIN, {"id": "nm1"}, OTHER]), *others]))
    assert ingest(tmp_path / "w", root) == 0
    assert films_of(tmp_path / "w") == {
        ONE: [who("Leonardo DiCaprio", "Jack Dawson"), who("Kate Winslet", "Rose")], TWO: [],
    }  # fmt: skip
    assert Workspace(tmp_path / "w").read("films").schema.field("cast").type.value_type == CAST


def test_an_odd_cast_costs_no_clip(tmp_path):
    root = put(tmp_path / "m", as_tars([film({"name": ["x"]})]))
    assert ingest(tmp_path / "w", root) == 0
    assert films_of(tmp_path / "w") == {ONE: []}
    assert len(clips_of(tmp_path / "w")) == 1
    assert not [reason for _, reason in dropped_of(tmp_path / "w") if "cast" in reason]


def test_a_changed_cast_changes_films_and_no_clip(tmp_path, capsys):
    root = put(tmp_path / "m", as_tars([film([MAIN])]))
    ingest(tmp_path / "w", root)
    clips = digest_of(tmp_path / "w")
    meta = f"meta/{ONE}.json"
    put(root, {meta: film([OTHER]).files()[meta]})
    capsys.readouterr()
    assert ingest(tmp_path / "w", root) == 0
    assert "up to date" in said_of("clips", capsys)
    assert films_of(tmp_path / "w") == {ONE: [who("Kate Winslet", "Rose")]}
    assert digest_of(tmp_path / "w") == clips
