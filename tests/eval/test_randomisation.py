"""P values by hand, against all patterns, and against SciPy; Holm's correction."""

import itertools
import math

import numpy as np
import pytest
from generated_clips import NAN, clips, films_of
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from eval import significance
from eval.significance import holm, sign_flip

# Sign flips.


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1, 2, 3], 2 / 8),  # 6 and −6 alone reach 6
        ([-1, -2, -3], 2 / 8),
        ([3, 1, -1], 6 / 8),  # 5, 3, 3 and 1, and their negatives; 3 is observed
        ([1, 2, -3], 8 / 8),
        ([0.6, 0.2, -0.2], 6 / 8),  # .6 + .2 − .2 is more than .6 + (.2 − .2) in floats
        ([5], 2 / 2),
        ([0, 4, 4, 0], 2 / 4),  # a film without a difference has no sign
        ([1, 2, 3] + [0] * 60, 2 / 8),  # so all patterns can be taken here
        ([0, 0], 1.0),
        ([NAN, NAN], 1.0),
        ([NAN, 2, 2, 2, 2], 2 / 16),
        ([], 1.0),
    ],
)
def test_patterns_by_hand(differences, p):
    column = np.array(differences, dtype=float)[:, np.newaxis]
    assert sign_flip(column, np.arange(len(differences))).tolist() == [p]


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=8))
def test_patterns_against_rational_arithmetic(tenths):
    """Decimals tie where their floats do not: .1 + .2 is as far from 0 as .3."""
    patterns = list(itertools.product((1, -1), repeat=len(tenths)))
    reached = [
        abs(sum(s * t for s, t in zip(signs, tenths, strict=True))) >= abs(sum(tenths))
        for signs in patterns
    ]
    differences = np.array(tenths)[:, np.newaxis] / 10
    expected = sum(reached) / len(patterns)
    assert sign_flip(differences, np.arange(len(tenths)))[0] == pytest.approx(expected, abs=1e-12)


def test_against_scipy():
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.3, -0.8):
        a, b = rng.normal(shift, 1, 9), rng.normal(0, 1, 9)
        expected = stats.permutation_test(
            (a, b), lambda x, y: abs(np.mean(x - y)), permutation_type="samples",
            n_resamples=np.inf, alternative="greater",
        ).pvalue  # fmt: skip
        p = sign_flip((a - b)[:, np.newaxis], np.arange(9))
        assert p[0] == pytest.approx(expected, abs=1e-12)


def test_a_film_changes_sign_as_a_whole():
    # Each of a hundred clips is better, but that is two films: (+ +) and (− −) of four.
    differences = np.full((100, 1), 0.1)
    assert sign_flip(differences, films_of([50, 50])).tolist() == [0.5]
    assert sign_flip(differences, np.arange(100))[0] < 0.001


def test_no_p_is_zero():
    # No random pattern of 60 films reaches the one observed, which counts itself.
    differences = np.ones((60, 1))
    assert sign_flip(differences, np.arange(60), draws=99).tolist() == [1 / 100]
    assert sign_flip(-differences, np.arange(60), draws=199).tolist() == [1 / 200]


def test_all_patterns_are_taken_where_they_are_no_more_than_draws():
    column = np.array([[1.0], [2.0], [3.0]])
    assert sign_flip(column, range(3), draws=8).tolist() == [2 / 8]
    drawn = {sign_flip(column, range(3), draws=7, seed=seed)[0] for seed in range(20)}
    assert drawn <= {(1 + i) / 8 for i in range(8)}
    assert len(drawn) > 1


def test_random_patterns_come_near_all_of_them():
    rng = np.random.default_rng(3)
    differences = rng.normal([0.0, 0.3, 0.6], 1, (14, 3))
    every = sign_flip(differences, np.arange(14), draws=2**14)
    drawn = sign_flip(differences, np.arange(14), draws=2**14 - 1)
    assert not np.array_equal(every, drawn)
    np.testing.assert_allclose(drawn, every, atol=4 * 0.5 / 2**7)
    assert np.ptp(every) > 0.1


def test_many_films_give_the_p_of_the_normal_theory():
    rng = np.random.default_rng(0)
    film_of = films_of(rng.integers(2, 20, 800))
    differences = rng.normal(0.0, 1, 800)[film_of] + rng.normal(0, 1, len(film_of)) + 0.08
    sums = np.bincount(film_of, differences)
    expected = 2 * stats.norm.sf(abs(sums.sum()) / math.sqrt((sums**2).sum()))
    assert 0.1 < expected < 0.2
    p = sign_flip(differences[:, np.newaxis], film_of, draws=40_000)
    assert p[0] == pytest.approx(expected, abs=0.012)


def test_each_sign_is_as_likely_and_on_its_own():
    signs = np.vstack(list(significance._signs(40, 20_000, 0)))
    assert set(np.unique(signs)) == {-1.0, 1.0}
    products = signs.T @ signs / 20_000
    assert np.abs(products - np.eye(40)).max() < 5 / math.sqrt(20_000)
    assert np.abs(signs.mean(axis=0)).max() < 5 / math.sqrt(20_000)


@given(clips(least_films=1))
def test_either_run_may_come_first(data):
    values, film_of = data
    for draws in (50, 1000):
        p = sign_flip(values - 0.6, film_of, draws=draws)
        np.testing.assert_array_equal(sign_flip(0.6 - values, film_of, draws=draws), p)
        assert ((p > 0) & (p <= 1)).all()
        np.testing.assert_array_equal(sign_flip((values - 0.6) * 4, film_of, draws=draws), p)


def test_patterns_do_not_depend_on_how_work_is_divided(other_chunks):
    differences = np.random.default_rng(0).normal(0.1, 1, (45, 3))
    few = differences[:10]
    first = sign_flip(differences, range(45), draws=300), sign_flip(few, range(10))
    other_chunks()
    again = sign_flip(differences, range(45), draws=300), sign_flip(few, range(10))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(sign_flip(differences, range(45), draws=300, seed=1), first[0])


def test_no_draws():
    with pytest.raises(ValueError, match="draws must be 1 or more"):
        sign_flip([[0.1]], [0], draws=0)


# Holm's correction.


@pytest.mark.parametrize(
    ("p", "adjusted"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # ×3, ×1 but not below, ×2, ×4
        ([0.02], [0.02]),
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.02, 0.02, 0.02], [0.06, 0.06, 0.06]),
        ([NAN, 0.02, NAN, 0.03], [NAN, 0.04, NAN, 0.04]),
        ([], []),
        ([[0.01, 0.02], [0.5, NAN]], [[0.03, 0.04], [0.5, NAN]]),
    ],
)
def test_holm_by_hand(p, adjusted):
    corrected = holm(p)
    assert corrected.shape == np.shape(p)
    np.testing.assert_allclose(corrected, adjusted, rtol=1e-12)


def rejected(p, alpha):
    """Holm's procedure itself: from the smallest on, until one is not small enough."""
    out = set()
    for i, place in enumerate(sorted(range(len(p)), key=lambda j: p[j])):
        if p[place] > alpha / (len(p) - i):
            break
        out.add(place)
    return out


@given(st.lists(st.integers(0, 200).map(lambda i: i / 200), min_size=1, max_size=7))
def test_holm_is_the_least_level_at_which_the_procedure_rejects(p):
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= 1).all()
    for alpha in {*adjusted.tolist(), 0.05, 0.1}:
        for level in (alpha - 1e-9, alpha + 1e-9):
            if level < 1:
                assert rejected(p, level) == set(np.flatnonzero(adjusted <= level).tolist())
