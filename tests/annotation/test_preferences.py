"""Choices between two labels: majorities, strengths and circles, by hand and by brute force."""

from itertools import permutations
from math import exp

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from annotation.preferences import PRIOR, cycles, preferences, strengths, votes


def chose(*choices: tuple[str, str, str], clip_id: str = "c") -> list[dict]:
    return [{"clip_id": clip_id, "label_a": a, "label_b": b, "choice": c} for a, b, c in choices]


def test_votes_by_hand():
    counted = votes(
        chose(("x", "y", "a"), ("y", "x", "a"), ("y", "x", "b"), ("y", "x", "tie"),
              ("x", "y", "skip"), ("x", "z", "b"))
    )  # fmt: skip
    assert counted == {
        ("c", "x", "y"): {"first": 2, "second": 1, "tie": 1, "skip": 1},
        ("c", "x", "z"): {"second": 1},
    }


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
    rows = chose(("x", "x", "a"))
    assert preferences(rows)["drop_reason"] == ["'x' was compared with itself"]
    assert strengths(rows)["label"] == []


def test_clips_are_counted_apart_and_sorted():
    found = preferences(
        chose(("x", "y", "b"), clip_id="d") + chose(("x", "y", "a"), clip_id="c")
    )  # fmt: skip
    assert list(zip(found["clip_id"], found["better"], found["n"], strict=True)) == [
        ("c", "x", 1),
        ("d", "y", 1),
    ]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["a", "b", "tie", "skip"])), min_size=1))
def test_what_was_shown_first_does_not_matter(cast):
    """Every vote as cast, against the same votes with the labels swapped on the screen."""
    other = {"a": "b", "b": "a", "tie": "tie", "skip": "skip"}
    straight = preferences(chose(*(("x", "y", vote) for _, vote in cast)))
    mixed = [("y", "x", other[vote]) if swap else ("x", "y", vote) for swap, vote in cast]
    assert preferences(chose(*reversed(mixed))) == straight
    said = [vote for _, vote in cast]
    for_x, for_y = said.count("a"), said.count("b")
    assert (straight["drop_reason"] == [None]) == (for_x != for_y)
    if for_x != for_y:
        assert straight["better"] == ["x" if for_x > for_y else "y"]
        assert straight["agreement"] == [max(for_x, for_y) / (for_x + for_y)]


# Strengths.


def logistic(x: float) -> float:
    return 1 / (1 + exp(-x))


def of(columns: dict) -> dict[str, float]:
    return dict(zip(columns["label"], columns["strength"], strict=True))


@pytest.mark.parametrize(
    ("won", "lost", "tied"), [(1, 0, 0), (3, 1, 0), (3, 1, 1), (0, 2, 3), (5, 0, 0), (9, 3, 4)]
)
def test_two_labels_stand_where_the_prior_and_the_wins_balance(won, lost, tied):
    """With x at s and y at -s: wins x (1 - p) - losses x p = 2 PRIOR s, where p is the chance that
    x is chosen, and a tie is half of each."""
    rows = chose(*[("x", "y", "a")] * won, *[("x", "y", "b")] * lost, *[("y", "x", "tie")] * tied)
    up, down = won + tied / 2, lost + tied / 2
    s = brentq(
        lambda s: up * logistic(-2 * s) - down * logistic(2 * s) - 2 * PRIOR * s,
        -50,
        50,
        xtol=1e-14,
    )
    found = strengths(rows + chose(("x", "y", "skip"), ("x", "y", "skip")))
    assert of(found) == pytest.approx({"x": s, "y": -s}, abs=1e-6)
    assert found["n"] == [won + lost + tied] * 2  # skips are not counted


def test_without_a_prior_it_is_the_logarithm_of_the_odds():
    """With many choices the prior fades: 3,000 to 1,000 is log 3 apart."""
    found = of(strengths(chose(*[("x", "y", "a")] * 3000, *[("x", "y", "b")] * 1000)))
    assert found["x"] - found["y"] == pytest.approx(np.log(3), abs=2e-3)


def test_ties_alone_are_equal_and_skips_alone_are_nothing():
    assert of(strengths(chose(("x", "y", "tie")))) == {"x": 0.0, "y": 0.0}
    assert strengths(chose(("x", "y", "skip")))["label"] == []
    assert strengths([])["strength"] == []


pairs_of_four = st.tuples(
    st.permutations("wxyz").map(lambda p: tuple(p[:2])), st.sampled_from(["a", "b", "tie", "skip"])
).map(lambda drawn: (*drawn[0], drawn[1]))


@settings(max_examples=60)
@given(st.lists(pairs_of_four, min_size=1, max_size=12))
def test_strengths_are_the_most_likely_ones(choices):
    """The slope of the penalised log-likelihood, written out here, is zero in every direction."""
    found = strengths(chose(*choices))
    at = of(found)
    slope = {label: -2 * PRIOR * at[label] for label in at}
    counted = dict.fromkeys(at, 0)
    for a, b, choice in choices:
        if choice == "skip":
            continue
        share = {"a": 1.0, "b": 0.0, "tie": 0.5}[choice]
        missing = share - logistic(at[a] - at[b])
        slope[a] += missing
        slope[b] -= missing
        counted[a] += 1
        counted[b] += 1
    assert max(map(abs, slope.values()), default=0.0) < 1e-6
    assert abs(sum(at.values())) < 1e-8
    assert dict(zip(found["label"], found["n"], strict=True)) == counted


@given(st.lists(pairs_of_four, min_size=1, max_size=8))
def test_the_opposite_choices_give_the_opposite_strengths(choices):
    other = {"a": "b", "b": "a", "tie": "tie", "skip": "skip"}
    straight = of(strengths(chose(*choices)))
    opposite = of(strengths(chose(*((a, b, other[c]) for a, b, c in choices))))
    swapped = of(strengths(chose(*((b, a, other[c]) for a, b, c in reversed(choices)))))
    assert opposite == pytest.approx({label: -s for label, s in straight.items()}, abs=1e-7)
    assert swapped == straight


def test_a_chain_is_ordered_and_clips_do_not_meet():
    chain = [("w", "x", "a"), ("x", "y", "a"), ("y", "z", "a")] * 3
    alone = of(strengths(chose(*chain)))
    assert sorted(alone, key=alone.get, reverse=True) == list("wxyz")
    both = strengths(chose(*chain) + chose(("z", "w", "a"), clip_id="b"))
    assert both["clip_id"] == ["b", "b", "c", "c", "c", "c"]
    assert dict(zip(both["label"][2:], both["strength"][2:], strict=True)) == alone


# Circles.


def simple_circles(edges: set[tuple[str, str]]) -> set[tuple[str, ...]]:
    """All circles without a repeated label, each beginning with its first label by name."""
    labels = sorted({label for edge in edges for label in edge})
    return {
        way
        for length in range(2, len(labels) + 1)
        for way in permutations(labels, length)
        if way[0] == min(way) and all(e in edges for e in zip(way, way[1:] + way[:1], strict=True))
    }


def tangles(circles: set[tuple[str, ...]]) -> list[set[str]]:
    """Labels that hang together by circles."""
    found: list[set[str]] = []
    for circle in circles:
        touching = [tangle for tangle in found if tangle & set(circle)]
        found = [tangle for tangle in found if tangle not in touching]
        found.append(set(circle).union(*touching))
    return found


edges_of_five = st.sets(st.permutations("vwxyz").map(lambda p: (p[0], p[1])), max_size=20)


@settings(max_examples=300)
@given(edges_of_five)
def test_a_shortest_circle_of_each_tangle_is_told(edges):
    every = simple_circles(edges)
    found = cycles({"c": sorted(edges)})
    if not every:
        assert found == {}
        return
    told = [tuple(circle) for circle in found["c"]]
    assert set(told) <= every
    assert told == sorted(told)
    shortest = {
        frozenset(tangle): min(len(circle) for circle in every if set(circle) <= tangle)
        for tangle in tangles(every)
    }
    of_tangle = {tangle: [c for c in told if set(c) <= tangle] for tangle in shortest}
    assert sum(map(len, of_tangle.values())) == len(told) == len(shortest)
    assert {tangle: len(only) for tangle, (only,) in of_tangle.items()} == shortest


def test_circles_by_hand():
    assert cycles({}) == {}
    assert cycles({"c": [("x", "y"), ("y", "z"), ("x", "z")]}) == {}
    better = {
        "d": [("x", "y")],
        "c": [("y", "z"), ("z", "x"), ("x", "y"), ("z", "w"), ("w", "x"), ("x", "out")],
        "b": [("b", "a"), ("a", "c"), ("c", "b"), ("p", "q"), ("q", "r"), ("r", "p"), ("a", "p")],
    }
    assert cycles(better) == {
        "b": [["a", "c", "b"], ["p", "q", "r"]],
        "c": [["x", "y", "z"]],
    }
