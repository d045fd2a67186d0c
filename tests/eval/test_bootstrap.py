"""Intervals by hand, against all resamples, and against SciPy."""

import itertools
import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from generated_clips import NAN, clips, films_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from eval import significance
from eval.significance import bootstrap, film_sums, sign_flip, t_quantile


def quick(values, film_of, **options):
    return bootstrap(values, film_of, replicates=200, **options)


# Sums over films.


def test_sums_and_counts_by_hand():
    values = [[1.0, NAN], [2.0, 0.5], [4.0, NAN], [8.0, 0.25]]
    sums, counts = film_sums(values, [2, 0, 2, 0], 4)
    np.testing.assert_array_equal(sums, [[10, 0.75], [0, 0], [5, 0], [0, 0]])
    np.testing.assert_array_equal(counts, [[2, 2], [0, 0], [2, 0], [0, 0]])
    assert film_sums(values, [2, 0, 2, 0])[0].shape == (3, 2)
    assert film_sums(np.empty((0, 3)), [], 2)[1].tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("values", "film_of", "n_films", "reason"),
    [
        ([1.0, 2.0], [0, 1], 2, "shape"),
        ([[1.0], [2.0]], [0], 2, "shape"),
        ([[1.0], [2.0]], [[0], [1]], 2, "shape"),
        ([[1.0], [2.0]], [0, 2], 2, "0 to 1"),
        ([[1.0], [2.0]], [0, -1], None, "0 to"),
        ([[1.0], [2.0]], [0.0, 1.5], 2, "whole"),
        ([[1.0], [math.inf]], [0, 1], 2, "finite"),
        (np.empty((0, 1)), [], -1, "0 to"),
    ],
)
def test_what_cannot_be_summed(values, film_of, n_films, reason):
    with pytest.raises(ValueError, match=reason):
        film_sums(values, film_of, n_films)
    if n_films != -1 and "0 to 1" not in reason:
        for refuses in (bootstrap, sign_flip):
            with pytest.raises(ValueError, match=reason):
                refuses(values, film_of)


# The bootstrap.


def widened_level(films, confidence):
    """Hesterberg's α'/2, by SciPy."""
    t = stats.t.ppf(1 - (1 - confidence) / 2, films - 1)
    return stats.norm.cdf(-math.sqrt(films / (films - 1)) * t)


def exact_quantile(sums, counts, level):
    """Quantile of the ratio over all resamples, each as likely; and how far from the next jump."""
    films = range(len(sums))
    ratios = Counter(
        Fraction(sum(sums[i] for i in drawn), sum(counts[i] for i in drawn))
        for drawn in itertools.product(films, repeat=len(sums))
    )
    means = sorted(ratios)
    reached = np.cumsum([ratios[mean] for mean in means]) / len(sums) ** len(sums)
    place = min(int(np.searchsorted(reached, level, side="right")), len(means) - 1)
    return float(means[place]), np.abs(np.append(0.0, reached) - level).min()


@pytest.mark.parametrize(
    ("sums", "counts", "confidences"),
    [  # some of which tell widened levels from others
        ((0, 5), (1, 6), (0.1, 0.3, 0.4, 0.6)),
        ((1, 0, 3), (1, 2, 3), (0.4, 0.6, 0.75, 0.8)),
        ((1, 2, 4, 0), (2, 2, 5, 1), (0.4, 0.75, 0.8)),
        ((1, 2, 1, 3), (1, 3, 4, 3), (0.5, 0.75, 0.8)),
    ],
)
def test_against_all_resamples(sums, counts, confidences):
    values = np.repeat(np.divide(sums, counts), counts)[:, np.newaxis]
    for confidence in confidences:
        level = widened_level(len(sums), confidence)
        low, near = exact_quantile(sums, counts, level)
        high, far = exact_quantile(sums, counts, 1 - level)
        # The level is where chance does not decide, by five standard errors.
        assert min(near, far) > 5 * math.sqrt(level * (1 - level) / 60_000)
        limits = bootstrap(values, films_of(counts), replicates=60_000, confidence=confidence)
        np.testing.assert_allclose(np.ravel(limits), [low, high], atol=1e-12)


def test_two_films_by_hand():
    # One clip worth .2, three clips worth 1: (.2), (.2 + 3) / 4 = .8 half of the time, and (1).
    values, film_of = np.array([[0.2], [1.0], [1.0], [1.0]]), films_of([1, 3])
    low, high = bootstrap(values, film_of)
    assert (low[0], high[0]) == (pytest.approx(0.2, abs=1e-12), 1.0)
    # The mean of the film means, .6, would be wrong.
    low, high = bootstrap(values, film_of, confidence=0.1)
    assert (low[0], high[0]) == pytest.approx((0.8, 0.8), abs=1e-12)


def test_films_are_drawn_not_clips():
    # Any resample of two films is all of one or half of each; of a hundred clips, about half.
    values, film_of = np.repeat([[0.0], [1.0]], 50, axis=0), films_of([50, 50])
    assert np.ravel(bootstrap(values, film_of)).tolist() == [0.0, 1.0]
    low, high = bootstrap(values, np.arange(100))
    assert 0.38 < low[0] < 0.42
    assert 0.58 < high[0] < 0.62


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("films", [2, 3, 5, 10, 30, 201, 1100])
def test_levels_are_those_of_the_t_distribution(films, confidence):
    expected = widened_level(films, confidence)
    assert significance._level(films, confidence) == pytest.approx(expected, rel=1e-5)
    assert expected < (1 - confidence) / 2


def test_a_level_by_hand():
    # t at .975 with 9 degrees is 2.2622; times √(10/9) it is 2.3846; the normal tail is .00855.
    assert significance._level(10, 0.95) == pytest.approx(0.00855, abs=5e-6)


@pytest.mark.parametrize("degrees", [*range(1, 12), 30, 99, 199, 200, 201, 500, 10_000, 10**6])
def test_t_quantiles(degrees):
    for p in (0.5, 0.6, 0.75, 0.9, 0.95, 0.975, 0.995, 0.9995):
        assert t_quantile(p, degrees) == pytest.approx(stats.t.ppf(p, degrees), rel=1e-6, abs=1e-12)


def test_many_films_give_the_interval_of_the_normal_theory():
    rng = np.random.default_rng(1)
    sizes = rng.integers(2, 41, 1500)
    film_of = films_of(sizes)
    values = rng.normal(0.3, 0.1, len(sizes))[film_of] + rng.normal(0, 0.2, len(film_of))
    mean = values.mean()
    # The linearised variance of a ratio (Cochran 1977, "Sampling Techniques", section 6.4).
    residuals = np.bincount(film_of, values - mean)
    error = math.sqrt(1500 / 1499 * (residuals**2).sum()) / len(film_of)
    low, high = bootstrap(values[:, np.newaxis], film_of, replicates=40_000)
    assert low[0] == pytest.approx(mean - 1.96 * error, abs=0.04 * error)
    assert high[0] == pytest.approx(mean + 1.96 * error, abs=0.04 * error)
    # Clips pretend to know far more.
    low, high = bootstrap(values[:, np.newaxis], np.arange(len(film_of)), replicates=500)
    assert high[0] - low[0] < 0.7 * 2 * 1.96 * error


@settings(max_examples=25)
@given(clips(), st.integers(-3, 3), st.sampled_from([0.5, 1.0, 3.0]))
def test_shift_and_scale(data, shift, scale):
    values, film_of = data
    low, high = quick(values, film_of)
    moved = quick(shift + scale * values, film_of)
    np.testing.assert_allclose(moved, [shift + scale * low, shift + scale * high], atol=1e-10)
    np.testing.assert_array_equal(quick(-values, film_of), [-high, -low])


@settings(max_examples=25)
@given(clips())
def test_limits_are_within_the_films_means(data):
    values, film_of = data
    low, high = quick(values, film_of)
    sums, counts = film_sums(values, film_of)
    for j in range(2):
        there = counts[:, j] > 0
        if there.sum() < 2:
            assert math.isnan(low[j])
            assert math.isnan(high[j])
            continue
        means = sums[there, j] / counts[there, j]
        assert means.min() - 1e-12 <= low[j] <= high[j] <= means.max() + 1e-12
        assert low[j] <= np.nanmean(values[:, j]) <= high[j]
        assert low[j] >= 0
        assert high[j] <= 1


def test_nothing_leaves_the_range_of_values_by_rounding():
    film_of = films_of([3, 7, 11, 2, 40])
    limits = np.ravel(quick(np.ones((len(film_of), 1)), film_of))
    assert limits.tolist() == [1.0, 1.0]
    # Just below 1, sums are rounded up to whole clips, but not beyond.
    rounded = quick(np.full((len(film_of), 1), np.nextafter(1, 0)), film_of)
    assert np.max(rounded) <= 1


@settings(max_examples=25)
@given(clips(), st.integers(2, 3))
def test_the_same_clips_again_tell_nothing_new(data, times):
    values, film_of = data
    again = quick(np.repeat(values, times, axis=0), np.repeat(film_of, times))
    np.testing.assert_allclose(again, quick(values, film_of), atol=1e-12)


def test_more_films_narrow_the_interval():
    rng = np.random.default_rng(0)
    film_of = films_of(rng.integers(2, 20, 20))
    values = rng.random((len(film_of), 1))
    low, high = bootstrap(values, film_of)
    quadruple = np.concatenate([film_of + 20 * i for i in range(4)])
    narrow = np.ptp(bootstrap(np.tile(values, (4, 1)), quadruple))
    # Half as wide, and a bit less as the levels of 20 films are wider than those of 80.
    assert 0.42 < narrow / (high[0] - low[0]) < 0.5


@settings(max_examples=25)
@given(clips())
def test_a_clip_that_is_not_counted_is_as_if_it_were_not_there(data):
    values, film_of = data
    for j in range(2):
        there = ~np.isnan(values[:, j])
        without = quick(values[there][:, [j]], film_of[there])
        np.testing.assert_array_equal(np.ravel(without), np.stack(quick(values, film_of))[:, j])


def test_columns_are_drawn_alike_but_do_not_depend_on_each_other():
    rng = np.random.default_rng(0)
    film_of = films_of(rng.integers(1, 5, 12))
    values = rng.random((len(film_of), 4))
    values[film_of == 3, 1] = NAN
    values[film_of > 0, 2] = NAN  # one film
    values[:, 3] = values[:, 0] / 2
    low, high = quick(values, film_of)
    for j in (0, 1, 3):
        one = np.ravel(quick(values[:, [j]], film_of))
        np.testing.assert_array_equal(one, [low[j], high[j]])
    assert (low[3], high[3]) == pytest.approx((low[0] / 2, high[0] / 2), abs=1e-14)
    assert np.isnan([low[2], high[2]]).all()


def test_few_films_among_many_have_their_own_number():
    # Two films of 40 count in a column: drawn from those two, not from 40 with most draws void.
    film_of = films_of([2] * 40)
    values = np.full((80, 1), NAN)
    values[:4, 0] = 0.0, 0.0, 1.0, 1.0
    limits = np.ravel(bootstrap(values, film_of, confidence=0.1))
    assert limits.tolist() == [0.5, 0.5]


def test_one_film_says_nothing_of_others():
    assert np.isnan(bootstrap([[0.1], [0.9]], [0, 0])).all()
    assert np.isnan(bootstrap([[NAN], [NAN]], [0, 1])).all()
    assert np.isnan(bootstrap(np.empty((0, 2)), [])).all()
    assert bootstrap(np.empty((4, 0)), [0, 1, 2, 3])[0].shape == (0,)


def test_a_seed_gives_the_same_numbers_bit_for_bit_however_work_is_divided(other_chunks):
    rng = np.random.default_rng(0)
    film_of = films_of(rng.integers(1, 30, 53))
    values = rng.random((len(film_of), 3))
    first = quick(values, film_of)
    np.testing.assert_array_equal(quick(values, film_of), first)
    assert not np.array_equal(quick(values, film_of, seed=1), first)
    other_chunks()
    np.testing.assert_array_equal(quick(values, film_of), first)


def test_sums_of_a_resample_are_exact():
    """They are what rational arithmetic gives, so no order of addition can change them."""
    rng = np.random.default_rng(0)
    sums = rng.normal(0, [1.0, 1e-9, 1e6], (60, 3))
    rounded = significance._exact(sums, 60)
    np.testing.assert_allclose(rounded, sums, rtol=0, atol=60 * 2**-53 * np.abs(sums).max())
    for j in range(3):
        assert np.abs(rounded - sums)[:, j].max() < 1e-13 * np.abs(sums)[:, j].max()
    weights = np.vstack([*significance._resamples(60, 50, 0), 60 * np.eye(60)])
    for row, totals in zip(weights, weights @ rounded, strict=True):
        for total, column in zip(totals, rounded.T, strict=True):
            parts = zip(row.tolist(), column.tolist(), strict=True)
            assert Fraction(total) == sum(Fraction(w) * Fraction(x) for w, x in parts)
    np.testing.assert_array_equal(significance._exact(np.zeros((4, 1)), 4), np.zeros((4, 1)))


def test_every_resample_is_as_likely():
    drawn = np.vstack(list(significance._resamples(3, 27_000, 0)))
    assert (drawn.sum(axis=1) == 3).all()
    found = Counter(map(tuple, drawn.astype(int).tolist()))
    ways = Counter(
        tuple(np.bincount(films, minlength=3).tolist())
        for films in itertools.product(range(3), repeat=3)
    )
    assert found.keys() == ways.keys()
    expected = [1000 * ways[pattern] for pattern in ways]
    assert stats.chisquare([found[pattern] for pattern in ways], expected).pvalue > 0.001


@pytest.mark.parametrize("options", [{"confidence": c} for c in (0, 1, -0.1, 95, NAN)]
                         + [{"replicates": 0}, {"replicates": -5}])  # fmt: skip
def test_options_of_the_bootstrap_out_of_range(options):
    with pytest.raises(ValueError, match="confidence must be between 0 and 1, and replicates"):
        bootstrap([[0.1], [0.9]], [0, 1], **options)


@pytest.mark.parametrize("replicates", [1, 2, 3])
def test_very_few_replicates(replicates):
    low, high = bootstrap([[0.0], [1.0], [1.0]], [0, 1, 2], replicates=replicates)
    assert 0 <= low[0] <= high[0] <= 1
