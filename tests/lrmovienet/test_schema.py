"""Every rule of the tables refuses what it should, by row and column."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.labels import normal_form
from lrmovienet.errors import UserError
from lrmovienet.schema import IMAGE_LABELS, PREDICTIONS, RECORDS, TABLES, from_columns, validate

GOOD = {
    "clip_id": ["c1"], "label": ["dog"], "score": [0.5], "frames_hit": [1], "tagger": ["t"],
}  # fmt: skip


@given(st.text())
def test_normal_form_is_reached_in_one_step(text):
    once = normal_form(text)
    assert normal_form(once) == once
    assert once == once.strip() and "  " not in once


@pytest.mark.parametrize(
    ("text", "expected"),
    [(" Red \t Car\n", "red car"), ("E\u0301te\u0301", "\u00e9t\u00e9"), ("STRASSE", "strasse")],
)
def test_normal_form_by_hand(text, expected):
    assert normal_form(text) == expected


def test_good_rows_come_back_in_the_schema():
    rows = from_columns(dict(reversed(GOOD.items())), IMAGE_LABELS, "x")
    assert rows.schema == IMAGE_LABELS.schema
    assert rows.to_pydict() == GOOD


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("clip_id", "a b", "an id without spaces"),
        ("clip_id", "a/b", "an id without spaces"),
        ("clip_id", None, "an id without spaces"),
        ("label", "Dog", "lower-case"),
        ("label", "red  car", "single-spaced"),
        ("label", "e\u0301", "NFC"),
        ("label", "", "1 to 200"),
        ("label", "x" * 201, "1 to 200"),
        ("score", float("nan"), "between 0 and 1"),
        ("score", float("inf"), "between 0 and 1"),
        ("score", 1.1, "between 0 and 1"),
        ("score", -0.1, "between 0 and 1"),
        ("frames_hit", 0, "1 or more"),
        ("tagger", " ", "the tagger's name"),
    ],
)
def test_a_wrong_value_is_named(column, value, expected):
    with pytest.raises(UserError) as error:
        from_columns({**GOOD, column: [value]}, IMAGE_LABELS, "film.parquet")
    message = str(error.value)
    assert message.startswith("film.parquet: not a valid 'image_labels' table:")
    assert f"row 0, column '{column}'" in message
    assert expected in message
    assert len(message) < 400


def test_ten_are_listed_and_the_rest_counted():
    columns = {"clip_id": [f"c{i}" for i in range(25)], "label": ["X"] * 25, "score": [1.0] * 25}
    with pytest.raises(UserError) as error:
        from_columns(columns, PREDICTIONS, "x")
    lines = str(error.value).splitlines()
    assert [line.split(",")[0].strip() for line in lines[1:11]] == [f"row {i}" for i in range(10)]
    assert lines[11].strip() == "… and 15 more"
    assert len(lines) == 12


def test_a_repeated_key_is_named():
    columns = {"clip_id": ["a", "b", "a"], "label": ["x", "x", "x"], "score": [1.0, 2.0, 3.0]}
    with pytest.raises(UserError, match="row 2: repeats the key clip_id='a', label='x'"):
        from_columns(columns, PREDICTIONS, "x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": None}, "missing column 'score'"),
        ({"extra": [1]}, "unknown column 'extra'"),
        ({"score": ["high"]}, "column 'score'"),
        ({"frames_hit": [1.5]}, "column 'frames_hit'"),
    ],
)
def test_wrong_columns_are_named(change, message):
    columns = {k: v for k, v in {**GOOD, **change}.items() if v is not None}
    with pytest.raises(UserError, match=message):
        from_columns(columns, IMAGE_LABELS, "x")


def test_grades_may_be_missing_only_where_the_contract_says():
    row = {
        "clip_id": ["c"], "domain": ["target"], "split": ["target_pairs"], "position": [0],
        "label": ["x"], "grade": [None], "movie_id": ["m"], "genres": [[]], "source": ["image"],
    }  # fmt: skip
    assert from_columns(row, RECORDS, "x")["grade"].to_pylist() == [None]
    for column, value in (("grade", 3), ("grade", -1), ("domain", "both"), ("split", "test")):
        with pytest.raises(UserError, match=f"column '{column}'"):
            from_columns({**row, column: [value]}, RECORDS, "x")


@pytest.mark.parametrize("name", TABLES)
def test_an_empty_table_is_valid(name):
    assert validate(TABLES[name].empty(), TABLES[name], "x").num_rows == 0
