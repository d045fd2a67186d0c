"""Agreement against published examples, other implementations, and what must hold."""

import json

import krippendorff
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import cohen_kappa_score

from annotation.agreement import (
    NO_DRAW,
    ONE_CLIP,
    ONE_RATING,
    ONE_VALUE,
    Alpha,
    alpha,
    bias,
    coincidences,
    seconds,
    value_counts,
    weighted_kappa,
    with_interval,
)

MISSING = -1
# Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C: four observers, twelve
# units, five values. Nobody but one judged the last unit.
EXAMPLE = np.array([
    [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
    [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
]) - 1  # fmt: skip


def counts_of(table: np.ndarray, n_values: int) -> np.ndarray:
    """A table of observers and units, with MISSING in it, as counts of values a unit."""
    raters, units = np.nonzero(table != MISSING)
    counts = value_counts(units, table[raters, units], n_values)
    rest = table.shape[1] - len(counts)
    return np.vstack([counts, np.zeros((rest, n_values))])


def alpha_of(table: np.ndarray, n_values: int, metric: str) -> float:
    return float(alpha(coincidences(counts_of(table, n_values)).sum(axis=0), metric))


def same(found: float, expected: float, tolerance: float = 1e-9) -> bool:
    return found == pytest.approx(expected, rel=0, abs=tolerance, nan_ok=True)


def test_the_published_coincidences_come_out():
    """Thirds, as a unit of four observers gives each pair of values a third."""
    found = coincidences(counts_of(EXAMPLE, 5)).sum(axis=0)
    printed = np.array(
        [[21, 4, 1, 1, 0], [4, 30, 4, 1, 0], [1, 4, 24, 1, 0], [1, 1, 1, 12, 0], [0, 0, 0, 0, 9]]
    )
    assert np.abs(3 * found - printed).max() < 1e-12
    assert found.sum(axis=1) == pytest.approx([9, 13, 10, 5, 3], abs=1e-12)


def test_the_published_nominal_alpha_comes_out():
    # 40 values were paired, 32 of them with an equal one; of each value there are 9, 13, 10, 5, 3.
    by_hand = 1 - 39 * (40 - 32) / (40 * 40 - (81 + 169 + 100 + 25 + 9))
    found = alpha_of(EXAMPLE, 5, "nominal")
    assert same(found, by_hand, 1e-12)
    assert round(found, 3) == 0.743


def test_the_published_ordinal_alpha_comes_out():
    n = [9, 13, 10, 5, 3]
    # Half of both ends and all between: 1 to 2 is 4.5 + 6.5, 1 to 3 is 4.5 + 13 + 5, and so on.
    far = {(0, 1): 11.0, (0, 2): 22.5, (0, 3): 30.0, (0, 4): 34.0, (1, 2): 11.5, (1, 3): 19.0,
           (1, 4): 23.0, (2, 3): 7.5, (2, 4): 11.5, (3, 4): 4.0}  # fmt: skip
    met = {(0, 1): 4 / 3, (0, 2): 1 / 3, (0, 3): 1 / 3, (1, 2): 4 / 3, (1, 3): 1 / 3, (2, 3): 1 / 3}
    observed = sum(times * far[pair] ** 2 for pair, times in met.items())
    expected = sum(n[c] * n[k] * d**2 for (c, k), d in far.items())
    found = alpha_of(EXAMPLE, 5, "ordinal")
    assert same(found, 1 - 39 * observed / expected, 1e-12)
    assert round(found, 3) == 0.815


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    n_values = draw(st.integers(2, 5))
    shape = (draw(st.integers(1, 5)), draw(st.integers(1, 14)))
    table = draw(arrays(int, shape, elements=st.integers(MISSING, n_values - 1)))
    assume((table != MISSING).any())
    return table, n_values


@given(tables(), st.sampled_from(["nominal", "ordinal"]))
def test_alpha_is_that_of_another_implementation(drawn, metric):
    table, n_values = drawn
    judged_twice = (table != MISSING).sum(axis=0) > 1
    paired = table[:, judged_twice]
    found = alpha_of(table, n_values, metric)
    if len(np.unique(paired[paired != MISSING])) < 2:
        assert np.isnan(found)
        return
    other = krippendorff.alpha(
        reliability_data=np.where(table == MISSING, np.nan, table.astype(float)),
        value_domain=range(n_values),
        level_of_measurement=metric,
    )
    assert same(found, other)


@given(tables(), st.integers(0, 2**32 - 1))
def test_order_reversal_and_single_ratings_change_nothing(drawn, seed):
    table, n_values = drawn
    rng = np.random.default_rng(seed)
    mixed = table[rng.permutation(len(table))][:, rng.permutation(table.shape[1])]
    alone = np.full((len(table), 1), MISSING)
    alone[0] = rng.integers(n_values)
    other_names = np.append(rng.permutation(n_values), MISSING)  # indexed by value, -1 is the last
    for metric in ("nominal", "ordinal"):
        expected = alpha_of(table, n_values, metric)
        reversed_scale = np.where(table == MISSING, MISSING, n_values - 1 - table)
        for other in (mixed, np.hstack([table, alone]), reversed_scale):
            assert same(alpha_of(other, n_values, metric), expected)
    renamed = other_names[table]
    assert same(alpha_of(renamed, n_values, "nominal"), alpha_of(table, n_values, "nominal"))


@pytest.mark.parametrize("metric", ["nominal", "ordinal"])
def test_full_agreement_is_one_and_one_slip_among_equals_is_none(metric):
    assert alpha_of(np.array([[0, 1, 2], [0, 1, 2]]), 3, metric) == 1.0
    # A value given once says nothing beyond chance: 1 - 19 * 2 / (400 - 361 - 1).
    slip = np.zeros((2, 10), int)
    slip[1, 4] = 1
    assert same(alpha_of(slip, 3, metric), 0.0, 1e-12)


def test_ordinal_counts_how_far():
    near = np.array([[0, 1, 2, 0, 2], [0, 1, 2, 1, 2]])
    far = np.array([[0, 1, 2, 0, 2], [0, 1, 2, 2, 2]])
    assert alpha_of(near, 3, "ordinal") > alpha_of(far, 3, "ordinal")


# Intervals.


@pytest.mark.parametrize(
    ("table", "clips", "expected"),
    [
        ([[0, 2, 1]], [0, 0, 1], Alpha(None, None, None, 0, 0, ONE_RATING)),
        ([[0, -1], [-1, 2]], [0, 1], Alpha(None, None, None, 0, 0, ONE_RATING)),
        ([[1, 1, 2], [1, 1, -1]], [0, 1, 2], Alpha(None, None, None, 2, 2, ONE_VALUE)),
        ([[0, 2], [0, 2]], [7, 7], Alpha(1.0, None, None, 2, 1, ONE_CLIP)),
        # Who never met another adds neither a unit nor a clip.
        ([[0, 2, 1], [0, 2, -1]], [0, 0, 1], Alpha(1.0, None, None, 2, 1, ONE_CLIP)),
        # A draw of one clip twice has no alpha; all others have 1.
        ([[0, 2], [0, 2]], [0, 1], Alpha(1.0, 1.0, 1.0, 2, 2)),
    ],
)
def test_what_is_undefined_says_why(table, clips, expected):
    found = with_interval(counts_of(np.array(table), 3), clips)
    assert found == expected
    plain = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert plain.get("why") == expected.why
    assert ("why" in plain) == (expected.why is not None)


def test_nothing_at_all_is_said_too():
    assert with_interval(value_counts([], [], 3), []).why == ONE_RATING


def test_where_no_resample_has_an_alpha_there_is_no_interval():
    """Two clips, each of one grade: a draw of one of them twice is undefined, which is every second
    one. Drawn once, either nothing is known or alpha is 1, and never a number that is no number."""
    counts = counts_of(np.array([[0, 2], [0, 2]]), 3)
    found = [with_interval(counts, [0, 1], resamples=1, seed=seed) for seed in range(40)]
    without = Alpha(1.0, None, None, 2, 2, NO_DRAW)
    assert all(one in (without, Alpha(1.0, 1.0, 1.0, 2, 2)) for one in found)
    # Of 40, three standard deviations beside the half are 10 and 30.
    assert 10 <= found.count(without) <= 30
    assert json.loads(json.dumps(without.as_json(), allow_nan=False))["why"] == NO_DRAW


def noisy(seed: int, clips: int, labels: int, share: float = 0.3) -> np.ndarray:
    """Two people grade as many labels a clip; a share of the second's grades is by chance."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 3, clips * labels)
    other = rng.integers(0, 3, clips * labels)
    return np.array([first, np.where(rng.random(len(first)) < share, other, first)])


def test_the_seed_decides_the_interval_and_nothing_else_does():
    counts, clips = counts_of(noisy(0, 20, 4), 3), np.repeat(np.arange(20), 4)
    first = with_interval(counts, clips, resamples=300, seed=1)
    assert with_interval(counts, clips, resamples=300, seed=1) == first
    assert with_interval(counts, clips, resamples=300, seed=2) != first
    assert first.value == with_interval(counts, clips, resamples=300, seed=2).value
    order = np.random.default_rng(0).permutation(80)
    mixed = with_interval(counts[order], clips[order], resamples=300, seed=1)
    assert (mixed.low, mixed.high) == pytest.approx((first.low, first.high), abs=1e-12)


@pytest.mark.parametrize("metric", ["nominal", "ordinal"])
def test_the_interval_is_that_of_a_plain_bootstrap(metric):
    """Clips drawn one by one, their labels copied, alpha by the other implementation."""
    table, labels = noisy(3, 30, 4), np.arange(120).reshape(30, 4)
    found = with_interval(counts_of(table, 3), np.repeat(np.arange(30), 4), metric, resamples=4000)
    rng = np.random.default_rng(11)
    drawn = [
        krippendorff.alpha(
            reliability_data=table[:, labels[rng.integers(0, 30, 30)].ravel()].astype(float),
            value_domain=range(3),
            level_of_measurement=metric,
        )
        for _ in range(800)
    ]
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.01)
    assert found.low < found.value < found.high


def test_whole_clips_are_drawn():
    """Where the labels of a clip are judged alike, ten of them tell no more than one."""
    one_each = noisy(5, 40, 1)
    ten_each = np.repeat(one_each, 10, axis=1)
    alike = with_interval(counts_of(ten_each, 3), np.repeat(np.arange(40), 10))
    single = with_interval(counts_of(one_each, 3), np.arange(40))
    by_labels = with_interval(counts_of(ten_each, 3), np.arange(400))
    assert (alike.units, alike.clips) == (400, 40)
    # Widths go with the root of what is drawn: the root of 10 is 3.2.
    assert alike.high - alike.low > 2.7 * (by_labels.high - by_labels.low)
    assert (alike.low, alike.high) == pytest.approx((single.low, single.high), abs=0.02)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    """Clips differ in how hard they are: in some nobody agrees. 200 studies of 40 clips each."""

    def study(rng: np.random.Generator, clips: int) -> np.ndarray:
        first, other = rng.integers(0, 3, (2, clips * 5))
        hard = np.repeat(rng.choice([0.1, 0.9], clips), 5)
        return counts_of(np.array([first, np.where(rng.random(clips * 5) < hard, other, first)]), 3)

    truth = float(alpha(coincidences(study(np.random.default_rng(0), 40_000)).sum(axis=0)))
    clips = np.repeat(np.arange(40), 5)
    inside = 0
    for seed in range(1, 201):
        found = with_interval(study(np.random.default_rng(seed), 40), clips, resamples=400)
        inside += found.low <= truth <= found.high
    # Of 200 at 95 %, three standard deviations below are 181; labels drawn singly reach 173.
    assert 181 <= inside <= 199


# Two people.


def pairs_of(table: list[list[int]]) -> tuple[list[int], list[int]]:
    cells = [(a, b) for a, row in enumerate(table) for b, n in enumerate(row) for _ in range(n)]
    return [a for a, _ in cells], [b for _, b in cells]


def test_weighted_kappa_by_hand():
    """The diagnoses of Cohen (1968), table 1, as counts of 100, with quadratic weights."""
    first, second = pairs_of([[44, 7, 9], [5, 20, 5], [1, 3, 6]])
    # One apart: 7 + 5 + 5 + 3, two apart: 4 * (9 + 1). By chance, from the sums 60, 30, 10 and
    # 50, 30, 20: (18 + 15 + 6 + 3) and 4 * (12 + 5).
    assert weighted_kappa(first, second, 3) == pytest.approx(1 - 60 / 110, abs=1e-12)


def test_the_published_weighted_kappa_comes_out():
    """The data set `anxiety` of the R package irr, whose manual has .297 for squared weights."""
    first = [3, 3, 3, 4, 5, 5, 2, 3, 5, 2, 2, 6, 1, 5, 2, 2, 1, 2, 4, 3]
    second = [3, 6, 4, 6, 2, 4, 2, 4, 3, 3, 2, 3, 3, 3, 2, 2, 1, 3, 3, 4]
    found = weighted_kappa(np.array(first) - 1, np.array(second) - 1, 6)
    assert round(found, 3) == 0.297


two_people = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60)


@given(two_people)
def test_weighted_kappa_is_that_of_another_implementation(pairs):
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    found = weighted_kappa(first, second, 3)
    if len({*first, *second}) == 1:  # all is expected by chance: 0 / 0
        assert found is None
        return
    other = cohen_kappa_score(first, second, labels=[0, 1, 2], weights="quadratic")
    assert same(found, other)
    assert same(weighted_kappa(second, first, 3), found)


def test_kappa_of_nothing_is_undefined_and_of_opposites_none():
    assert weighted_kappa([], [], 3) is None
    assert weighted_kappa([0, 0], [2, 2], 3) == 0.0
    assert weighted_kappa([0, 2], [2, 0], 3) == -1.0


# One person.


def test_bias_by_hand():
    # Unit 0: A says 2 and B 0. Unit 1: A 2, B 1, C 0. Unit 2: C alone. D says nothing.
    found, n = bias([0, 0, 1, 1, 1, 2], [0, 1, 0, 1, 2, 2], [2, 0, 2, 1, 0, 2], 4)
    assert found[:3] == pytest.approx([(2 + 1.5) / 2, (-2 + 0) / 2, -1.5], abs=1e-12)
    assert np.isnan(found[3])
    assert n.tolist() == [2, 2, 1, 0]
    empty, n = bias([], [], [], 0)
    assert (len(empty), len(n)) == (0, 0)


@given(arrays(int, st.tuples(st.integers(2, 5), st.integers(1, 8)), elements=st.integers(0, 2)))
def test_where_all_judge_all_biases_cancel(table):
    raters, units = np.indices(table.shape)
    found, n = bias(units.ravel(), raters.ravel(), table.ravel(), len(table))
    assert abs(found.sum()) < 1e-9
    assert set(n) == {table.shape[1]}


@pytest.mark.parametrize(
    ("times", "median", "mean"),
    [
        ([], None, None),
        ([None, None], None, None),
        ([7.0], 7.0, 7.0),
        # The 95th percentile of five lies four fifths of the way from 4 to 1000: 800.8.
        ([3.0, None, 1000.0, 1.0, 4.0, 2.0], 3.0, (1 + 2 + 3 + 4 + 800.8) / 5),
        ([10.0] * 20 + [40_000.0], 10.0, 10.0),  # one night among 21 pages
        ([0.0, 0.0, 1.0, 2.0], 0.5, (0 + 0 + 1 + 1.85) / 4),
    ],
)
def test_idle_hours_do_not_rule_the_time(times, median, mean):
    found = seconds(times)
    assert found == (median, mean if mean is None else pytest.approx(mean, abs=1e-9))
