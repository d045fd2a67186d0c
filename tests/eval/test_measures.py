"""The other measures by hand, by brute force over the orders of equal scores, and against SciPy."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

import eval.ranking
from eval.measures import measure, names, tied_pairs
from eval.ndcg import ndcg

KS = (1, 2, 3, 5, 10)

clip = st.integers(1, 6).flatmap(
    lambda n: st.tuples(
        st.lists(st.sampled_from([-1.5, 0.0, 0.25, 7.0]), min_size=n, max_size=n),
        st.lists(st.integers(0, 2), min_size=n, max_size=n),
    )
)


def one(scores, grades, **options):
    """The measures of a single clip, by name."""
    values = measure(scores, grades, [0, len(grades)], KS, **options)
    return dict(zip(names(KS), values[0].tolist(), strict=True))


def orders(scores, grades):
    """The grades in every order that the scores allow, each as often as any other."""
    groups = [
        [g for s, g in zip(scores, grades, strict=True) if s == score]
        for score in sorted(set(scores), reverse=True)
    ]
    for parts in itertools.product(*(itertools.permutations(group) for group in groups)):
        yield [grade for part in parts for grade in part]


def plain(order, relevant_from):
    """Measures of one strict order, as they are defined."""
    hits = [grade >= relevant_from for grade in order]
    found = [i for i, hit in enumerate(hits, 1) if hit]
    result = {"mrr": 1 / found[0] if found else 0.0}
    for k in KS:
        result[f"precision@{k}"] = sum(hits[:k]) / k
        result[f"recall@{k}"] = sum(hits[:k]) / max(sum(hits), 1)
    return result


def test_by_hand():
    # Ranked: low, high, medium, low. Relevant from medium: places 2 and 3.
    values = one([4.0, 3.0, 2.0, 1.0], [0, 2, 1, 0])
    assert values["mrr"] == 1 / 2
    assert [values[f"precision@{k}"] for k in KS] == [0, 1 / 2, 2 / 3, 2 / 5, 2 / 10]
    assert [values[f"recall@{k}"] for k in KS] == [0, 1 / 2, 1, 1, 1]
    # Pairs of different grades: 5. Right: high above medium and the last low, medium above it.
    assert values["pair_accuracy"] == 3 / 5
    assert values["tau_b"] == pytest.approx((3 - 2) / math.sqrt(5 * 6))
    # Relevant from high: place 2 alone.
    high = one([4.0, 3.0, 2.0, 1.0], [0, 2, 1, 0], relevant_from=2)
    assert (high["mrr"], high["precision@3"], high["recall@1"]) == (1 / 2, 1 / 3, 0)


def test_ties_by_hand():
    # Low alone comes first; then high and two lows in any order: places 2, 3 or 4.
    values = one([1.0, 0.0, 0.0, 0.0], [0, 2, 0, 0])
    assert values["mrr"] == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 3)
    assert values["precision@2"] == pytest.approx(1 / 3 / 2)
    # High against three lows: one wrong, two tied that count half.
    assert values["pair_accuracy"] == pytest.approx((2 * 0.5) / 3)
    # Equal scores throughout: a random order in expectation.
    flat = one([0.0] * 4, [0, 2, 0, 0])
    assert flat["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert (flat["pair_accuracy"], flat["tau_b"]) == (0.5, 0.0)


def test_the_columns_are_those_of_the_names():
    rng = np.random.default_rng(0)
    scores, grades = rng.normal(size=60), rng.integers(0, 3, 60)
    offsets = [0, 20, 40, 60]
    values = measure(scores, grades, offsets, (5, 1))
    assert values.shape == (3, len(names((5, 1))))
    assert names((5, 1))[:2] == ["ndcg@5", "ndcg@1"]
    np.testing.assert_array_equal(values[:, :2], ndcg(scores, grades, offsets, (5, 1)))
    assert names((5, 1))[2:] == [
        "precision@5", "precision@1", "recall@5", "recall@1", "mrr", "pair_accuracy", "tau_b",
    ]  # fmt: skip


@given(clip, st.sampled_from([1, 2]))
@settings(max_examples=200)
def test_an_average_is_the_mean_over_all_orders_of_equal_scores(clip, relevant_from):
    scores, grades = clip
    values = one(scores, grades, relevant_from=relevant_from, empty="zero")
    every = [plain(order, relevant_from) for order in orders(scores, grades)]
    for name in every[0]:
        mean = sum(order[name] for order in every) / len(every)
        assert values[name] == pytest.approx(mean, abs=1e-12), name


@pytest.mark.parametrize("relevant", [1, 2, 7, 30])
def test_many_equal_scores_by_counting_their_orders(relevant):
    """Of n labels in random order, C(n − j, r − 1) of C(n, r) have the first of r at place j."""
    for n in range(relevant, 64):
        first = [math.comb(n - j, relevant - 1) / j for j in range(1, n + 1)]
        values = one([0.0] * n, [1] * relevant + [0] * (n - relevant))
        assert values["mrr"] == pytest.approx(sum(first) / math.comb(n, relevant), abs=1e-12)
        assert values["recall@10"] == pytest.approx(min(10, n) / n, abs=1e-12)


@given(clip)
def test_the_first_and_the_last_order_bound_the_average(clip):
    scores, grades = clip
    low, mean, high = (
        one(scores, grades, ties=ties, empty="zero")
        for ties in ("pessimistic", "average", "optimistic")
    )
    for name in names(KS):
        if not math.isnan(mean[name]):
            assert low[name] - 1e-12 <= mean[name] <= high[name] + 1e-12, name


@given(clip)
def test_a_stable_order_is_that_of_the_rows(clip):
    scores, grades = clip
    ranked = [grades[i] for i in sorted(range(len(scores)), key=lambda i: -scores[i])]
    values = one(scores, grades, ties="stable", empty="zero")
    for name, value in plain(ranked, 1).items():
        assert values[name] == pytest.approx(value, abs=1e-12), name


@given(clip)
def test_pairs_by_a_double_loop(clip):
    scores, grades = clip
    pairs = [
        (a, b) for a, b in itertools.permutations(range(len(grades)), 2) if grades[a] > grades[b]
    ]
    right = sum((scores[a] > scores[b]) + (scores[a] == scores[b]) / 2 for a, b in pairs)
    values = one(scores, grades)
    if pairs:
        assert values["pair_accuracy"] == pytest.approx(right / len(pairs), abs=1e-12)
    else:
        assert math.isnan(values["pair_accuracy"])
        assert math.isnan(values["tau_b"])


@given(clip)
def test_tau_b_is_scipys(clip):
    scores, grades = clip
    expected = kendalltau(scores, grades).statistic if len(scores) > 1 else math.nan
    value = one(scores, grades)["tau_b"]
    if len(set(grades)) > 1 and len(set(scores)) == 1:
        assert value == 0.0  # SciPy leaves 0 / 0 open
    else:
        np.testing.assert_allclose(value, expected, atol=1e-12)


@pytest.mark.parametrize(("empty", "worth"), [("skip", math.nan), ("one", 1.0), ("zero", 0.0)])
def test_clips_without_a_relevant_label(empty, worth):
    # The first has a medium label, which is not relevant from high; NDCG counts it.
    values = measure(
        [1.0, 0.0, 1.0, 0.0], [1, 0, 0, 0], [0, 2, 4], (1,), empty=empty, relevant_from=2
    )
    table = dict(zip(names((1,)), values.T.tolist(), strict=True))
    np.testing.assert_array_equal(table["ndcg@1"], [1.0, worth])
    for name in ("precision@1", "recall@1", "mrr"):
        np.testing.assert_array_equal(table[name], [worth, worth])
    # No pair to order in the second, whatever the rule.
    np.testing.assert_array_equal(table["pair_accuracy"], [1.0, math.nan])
    np.testing.assert_array_equal(table["tau_b"], [1.0, math.nan])


def test_missing_labels_come_last():
    values = one([0.5, -np.inf, -np.inf], [0, 2, 1])
    assert values["mrr"] == pytest.approx(1 / 2)
    assert values["pair_accuracy"] == pytest.approx((0 + 0 + 0.5) / 3)


@pytest.mark.parametrize("ties", ["average", "stable", "optimistic", "pessimistic"])
def test_clips_are_measured_each_by_itself(monkeypatch, ties):
    rng = np.random.default_rng(1)
    lengths = rng.integers(0, 7, 60)
    offsets = np.append(0, lengths.cumsum())
    scores, grades = rng.integers(0, 4, offsets[-1]) / 4, rng.integers(0, 3, offsets[-1])
    whole = measure(scores, grades, offsets, KS, ties=ties)
    for block in (1, 5, 64):
        monkeypatch.setattr(eval.ranking, "_BLOCK", block)
        np.testing.assert_array_equal(measure(scores, grades, offsets, KS, ties=ties), whole)
    for i, (begin, end) in enumerate(itertools.pairwise(offsets)):
        alone = measure(scores[begin:end], grades[begin:end], [0, end - begin], KS, ties=ties)
        np.testing.assert_array_equal(alone[0], whole[i])
    turned = np.concatenate([np.arange(b, e)[::-1] for b, e in itertools.pairwise(offsets)])
    if ties != "stable":
        again = measure(
            scores[turned.astype(int)], grades[turned.astype(int)], offsets, KS, ties=ties
        )
        np.testing.assert_allclose(again, whole, rtol=1e-12)


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int16, np.int64])
@pytest.mark.parametrize("ties", ["average", "optimistic", "pessimistic"])
def test_any_whole_number_type_will_do(kind, ties):
    scores, grades = [1.0, 1.0, 0.0, 1.0], np.array([0, 2, 1, 1])
    expected = measure(scores, grades.tolist(), [0, 4], KS, ties=ties)
    np.testing.assert_array_equal(
        measure(scores, grades.astype(kind), [0, 4], KS, ties=ties), expected
    )
    np.testing.assert_array_equal(
        ndcg(scores, grades.astype(kind), [0, 4], KS, ties=ties), expected[:, : len(KS)]
    )


def test_tied_pairs_are_counted_once():
    tied, pairs = tied_pairs([0.0, -0.0, 1.0, -np.inf, -np.inf], [0, 5])
    assert (tied.tolist(), pairs.tolist()) == ([2], [10])


@pytest.mark.parametrize(
    ("arguments", "options", "what"),
    [
        (([1.0], [0, 1], [0, 1]), {}, "offsets end at 1"),
        (([np.nan], [0], [0, 1]), {}, "NaN"),
        (([1.0], [31], [0, 1]), {}, "grades"),
        (([1.0], [1], [0, 1]), {"relevant_from": 0}, "relevant"),
        (([1.0], [1], [0, 1]), {"ties": "mean"}, "ties"),
        (([1.0], [1], [0, 1]), {"gain": "log"}, "gain"),
        (([1.0], [1], [0, 1]), {"empty": "nan"}, "relevant label"),
    ],
)
def test_what_cannot_be_measured(arguments, options, what):
    with pytest.raises(ValueError, match=what):
        measure(*arguments, KS, **options)
