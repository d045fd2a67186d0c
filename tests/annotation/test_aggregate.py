"""Ratings to one grade, choices to one order, by hand."""

import pytest

from annotation.aggregate import preferences, relevance


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
