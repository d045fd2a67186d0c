"""Ratings to one grade, choices to one order, by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.preferences import preferences
from annotation.relevance import relevance


def rated(*grades: int) -> list[dict]:
    return [
        {"clip_id": "c", "label": "dog", "annotator": f"a{i}", "grade": grade}
        for i, grade in enumerate(grades)
    ]


@pytest.mark.parametrize(
    ("grades", "grade", "spread"),
    [
        ((2,), 2, 0),
        ((0, 2), 0, 2),  # even: the lower of the two middle ones, not their mean
        ((1, 2), 1, 1),
        ((0, 2, 2), 2, 2),
        ((0, 0, 2), 0, 2),  # the mean would round to 1
        ((0, 1, 2, 2), 1, 2),
    ],
)
def test_the_grade_is_the_lower_median(grades, grade, spread):
    found = relevance(rated(*grades))
    assert (found["grade"], found["spread"], found["n_ratings"]) == (
        [grade],
        [spread],
        [len(grades)],
    )


def test_too_few_ratings_are_dropped_with_a_reason():
    assert relevance(rated(2, 2), min_ratings=3)["drop_reason"] == ["rated 2 times, fewer than 3"]
    assert relevance(rated(2, 2, 2), min_ratings=3)["drop_reason"] == [None]


def chose(*choices: tuple[str, str, str]) -> list[dict]:
    return [{"clip_id": "c", "label_a": a, "label_b": b, "choice": c} for a, b, c in choices]


def test_both_orders_of_a_pair_are_one_pair():
    found = preferences(chose(("x", "y", "a"), ("y", "x", "b"), ("x", "y", "b")))
    assert (found["better"], found["worse"], found["n"]) == (["x"], ["y"], [3])
    assert found["agreement"] == [pytest.approx(2 / 3)]
    assert found["drop_reason"] == [None]


def test_ties_and_skips_vote_for_neither():
    found = preferences(chose(("x", "y", "tie"), ("x", "y", "skip"), ("x", "y", "b")))
    assert (found["better"], found["n"], found["agreement"]) == (["y"], [1], [1.0])


@pytest.mark.parametrize(
    "choices",
    [
        [("x", "y", "tie")],
        [("x", "y", "a"), ("x", "y", "b")],
        [("x", "y", "skip"), ("y", "x", "skip")],
    ],
)
def test_without_a_majority_the_pair_is_dropped(choices):
    assert preferences(chose(*choices))["drop_reason"] == ["no majority between 'x' and 'y'"]


def test_labels_may_be_called_like_choices():
    found = preferences(chose(("tie", "a", "a"), ("a", "tie", "b")))
    assert (found["better"], found["worse"], found["n"]) == (["tie"], ["a"], [2])


def test_a_label_compared_with_itself_is_no_preference():
    found = preferences(chose(("x", "x", "a")))
    assert found["drop_reason"] == ["'x' was compared with itself"]


def test_clips_are_counted_apart_and_sorted():
    rows = [
        {**row, "clip_id": clip}
        for clip in ("d", "c")
        for row in chose(("x", "y", "ab"[clip == "d"]))
    ]
    found = preferences(rows)
    assert list(zip(found["clip_id"], found["better"], found["n"], strict=True)) == [
        ("c", "x", 1),
        ("d", "y", 1),
    ]
    graded = relevance([{**row, "clip_id": clip} for clip in ("d", "c") for row in rated(2)])
    assert (graded["clip_id"], graded["n_ratings"]) == (["c", "d"], [1, 1])


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["a", "b", "tie", "skip"])), min_size=1))
def test_what_was_shown_first_does_not_matter(votes):
    """Every vote as cast, against the same votes with the labels swapped on the screen."""
    other = {"a": "b", "b": "a", "tie": "tie", "skip": "skip"}
    straight = preferences(chose(*(("x", "y", vote) for _, vote in votes)))
    mixed = [("y", "x", other[vote]) if swap else ("x", "y", vote) for swap, vote in votes]
    assert preferences(chose(*reversed(mixed))) == straight
    cast = [vote for _, vote in votes]
    for_x, for_y = cast.count("a"), cast.count("b")
    assert (straight["drop_reason"] == [None]) == (for_x != for_y)
    if for_x != for_y:
        assert straight["better"] == ["x" if for_x > for_y else "y"]
        assert straight["agreement"] == [max(for_x, for_y) / (for_x + for_y)]
