"""NDCG against values worked out by hand, against brute force over all orders, and scikit-learn."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

import eval.ranking
from eval.measures import tied_pairs
from eval.ndcg import MAX_GRADE, dcg, gains, ndcg, reference_scores
from eval.ranking import blocks

KS = (1, 2, 3, 5, 50)
LOG3 = math.log2(3)


def one(scores, grades, k, **options):
    """NDCG@k of a single clip."""
    return ndcg(scores, grades, [0, len(grades)], [k], **options)[0, 0]


def reference_orders(grades, offsets, ks, **options):
    """NDCG@k of random order (expected), oracle and worst order."""
    orders = reference_scores(grades).items()
    return {name: ndcg(scores, grades, offsets, ks, **options) for name, scores in orders}


def plain_dcg(grades, k, gain="exp"):
    worth = grades if gain == "linear" else [2**g - 1 for g in grades]
    return sum(w / math.log2(i + 1) for i, w in enumerate(worth[:k], start=1))


def orders(scores, grades):
    """Grades in every order that descending scores allow, each as often as any other."""
    runs = [
        [g for s, g in zip(scores, grades, strict=True) if s == score]
        for score in sorted(set(scores), reverse=True)
    ]
    for parts in itertools.product(*(itertools.permutations(run) for run in runs)):
        yield list(itertools.chain(*parts))


def brute(scores, grades, k, gain="exp"):
    """NDCG@k under every order that the scores allow."""
    ideal = plain_dcg(sorted(grades, reverse=True), k, gain)
    return [plain_dcg(order, k, gain) / ideal for order in orders(scores, grades)]


# Few different scores, so that ties are the rule.
clip = st.integers(1, 7).flatmap(
    lambda n: st.tuples(
        st.lists(st.sampled_from([-1.5, 0.0, 0.25, 7.0]), min_size=n, max_size=n),
        st.lists(st.integers(0, 2), min_size=n, max_size=n).filter(any),
    )
)
batch = st.lists(clip, min_size=1, max_size=6)
# Also clips without labels, and clips without a relevant one.
any_clip = st.integers(0, 7).flatmap(
    lambda n: st.tuples(
        st.lists(st.sampled_from([-np.inf, 0.0, 0.25, 7.0]), min_size=n, max_size=n),
        st.lists(st.integers(0, 2), min_size=n, max_size=n),
    )
)
any_batch = st.lists(any_clip, max_size=8)
TIES = ("average", "stable", "optimistic", "pessimistic")
GAINS = ("exp", "linear")


def flat(clips):
    scores = [s for one_clip, _ in clips for s in one_clip]
    grades = [g for _, one_clip in clips for g in one_clip]
    return scores, grades, np.cumsum([0, *(len(g) for _, g in clips)])


def test_by_hand_without_ties():
    # Ranked: low, high, medium, so gains 0, 3, 1. Ideal: 3, 1, 0.
    scores, grades = [0.9, 0.5, 0.1], [0, 2, 1]
    assert one(scores, grades, 1) == 0.0  # 0 / 3
    # DCG@2 = 0 + 3 / log2(3); IDCG@2 = 3 + 1 / log2(3).
    assert one(scores, grades, 2) == pytest.approx((3 / LOG3) / (3 + 1 / LOG3), abs=1e-12)
    # DCG@3 adds 1 / log2(4) = 0.5; IDCG@3 adds nothing.
    assert one(scores, grades, 3) == pytest.approx((3 / LOG3 + 0.5) / (3 + 1 / LOG3), abs=1e-12)
    assert one(scores, grades, 3) == pytest.approx(0.6590018048, abs=1e-9)


def test_by_hand_with_a_tie():
    # medium first; high and low share positions 2 and 3, (3 + 0) / 2 = 1.5 each.
    scores, grades = [2.0, 1.0, 1.0], [1, 2, 0]
    ideal = 3 + 1 / LOG3
    assert one(scores, grades, 2) == pytest.approx((1 + 1.5 / LOG3) / (3 + 1 / LOG3), abs=1e-12)
    assert one(scores, grades, 3) == pytest.approx((1 + 1.5 / LOG3 + 1.5 / 2) / ideal, abs=1e-12)
    assert one(scores, grades, 3, ties="optimistic") == pytest.approx((1 + 3 / LOG3) / ideal)
    assert one(scores, grades, 3, ties="pessimistic") == pytest.approx((1 + 3 / 2) / ideal)
    assert one(scores, grades, 3, ties="stable") == pytest.approx((1 + 3 / LOG3) / ideal)
    assert one(scores, [1, 0, 2], 3, ties="stable") == pytest.approx((1 + 3 / 2) / ideal)


def test_a_constant_score_is_worth_a_random_order_not_the_truth():
    grades = [2, 2, 1, 0, 0]
    assert one([0.0] * 5, grades, 1) == pytest.approx(7 / 5 / 3)  # mean gain (3+3+1) / 5, of 3
    random = reference_orders(grades, [0, 5], KS)["random"]
    np.testing.assert_allclose(ndcg([0.0] * 5, grades, [0, 5], KS), random, rtol=1e-12)


def test_a_k_beyond_the_list_takes_the_whole_list():
    scores, grades = [0.1, 0.9], [2, 1]
    assert one(scores, grades, 1000) == one(scores, grades, 2)
    assert one(scores, grades, 2) == pytest.approx((1 + 3 / LOG3) / (3 + 1 / LOG3))


@pytest.mark.parametrize(("empty", "worth"), [("skip", math.nan), ("one", 1.0), ("zero", 0.0)])
def test_clips_without_a_relevant_label(empty, worth):
    values = ndcg([3, 2, 1, 0], [0, 0, 1, 2], [0, 2, 4], [1, 5], empty=empty)
    np.testing.assert_array_equal(values[0], [worth, worth])
    # Ranked medium, high: 1 / 3 at 1.
    np.testing.assert_allclose(values[1], [1 / 3, (1 + 3 / LOG3) / (3 + 1 / LOG3)])
    for floor in reference_orders([0, 0, 1, 2], [0, 2, 4], [1, 5], empty=empty).values():
        np.testing.assert_array_equal(floor[0], [worth, worth])


def test_clips_without_labels_are_empty_and_harmless():
    values = ndcg([1.0, 2.0], [2, 0], [0, 0, 2, 2], [1])
    np.testing.assert_array_equal(values, [[np.nan], [0.0], [np.nan]])
    assert ndcg([], np.array([], dtype=int), [0], [1, 2]).shape == (0, 2)
    np.testing.assert_array_equal(ndcg([], np.array([], dtype=int), [0, 0], [1]), [[np.nan]])


@pytest.mark.parametrize(
    ("high", "medium", "low", "k", "random"),
    [  # closed form, worked out independently: mean gain × Σ discounts / IDCG
        (5, 7, 8, 1, 0.367), (5, 7, 8, 3, 0.367), (5, 7, 8, 10, 0.479), (5, 7, 8, 20, 0.705),
        (3, 6, 11, 1, 0.250), (3, 6, 11, 5, 0.307), (3, 6, 11, 10, 0.400), (3, 6, 11, 20, 0.620),
    ],
)  # fmt: skip
def test_random_order_of_twenty_labels(high, medium, low, k, random):
    grades = [2] * high + [1] * medium + [0] * low
    assert reference_orders(grades, [0, 20], [k])["random"][0, 0] == pytest.approx(random, abs=5e-4)


@pytest.mark.parametrize(
    ("mix", "worst"), [((5, 5, 10), 0.465), ((10, 5, 5), 0.608), ((2, 4, 14), 0.357)]
)
def test_worst_order_of_twenty_labels(mix, worst):
    grades = np.repeat([2, 1, 0], mix)
    assert reference_orders(grades, [0, 20], [20])["worst"][0, 0] == pytest.approx(worst, abs=5e-4)


@given(clip, st.sampled_from(GAINS))
@settings(deadline=None)
def test_ties_are_averaged_and_bounded_over_all_orders(data, gain):
    scores, grades = data
    for k in (1, 2, len(grades), 9):
        values = brute(scores, grades, k, gain)
        found = [one(scores, grades, k, gain=gain, ties=ties) for ties in TIES]
        average, stable, optimistic, pessimistic = found
        assert average == pytest.approx(np.mean(values), abs=1e-12)
        assert optimistic == pytest.approx(max(values), abs=1e-12)
        assert pessimistic == pytest.approx(min(values), abs=1e-12)
        assert pessimistic - 1e-12 <= stable <= optimistic + 1e-12


@given(clip, st.sampled_from(GAINS))
def test_stable_is_what_a_stable_sort_gives(data, gain):
    scores, grades = data
    ranked = [g for _, g in sorted(zip(scores, grades, strict=True), key=lambda pair: -pair[0])]
    for k in (1, 3, 9):
        ideal = plain_dcg(sorted(grades, reverse=True), k, gain)
        value = one(scores, grades, k, gain=gain, ties="stable")
        assert value == pytest.approx(plain_dcg(ranked, k, gain) / ideal, abs=1e-12)


def test_stable_holds_for_more_labels_than_a_small_sort_takes():
    # Sorts of few values are stable whatever their kind; this is 1 at every second place.
    grades = np.tile([0, 1], 500)
    value = one(np.zeros(1000), grades, 1000, ties="stable")
    places = np.arange(2, 1001, 2)
    ideal = (1 / np.log2(np.arange(1, 501) + 1)).sum()
    assert value == pytest.approx((1 / np.log2(places + 1)).sum() / ideal, abs=1e-12)


@given(clip, st.sampled_from(GAINS))
@settings(deadline=None)
def test_reference_orders_are_those_over_all_orders(data, gain):
    _, grades = data
    for k in (1, 3, 9):
        values = brute([0.0] * len(grades), grades, k, gain)
        floors = reference_orders(grades, [0, len(grades)], [k], gain=gain)
        assert floors["random"][0, 0] == pytest.approx(np.mean(values), abs=1e-12)
        assert floors["worst"][0, 0] == pytest.approx(min(values), abs=1e-12)
        assert floors["oracle"][0, 0] == 1.0


def test_rounding_takes_no_order_above_the_ideal():
    # Behind thousands of high gains, a tie of 1 and 0 costs less than the last digit of the sum.
    rng = np.random.default_rng(6)
    values = []
    for high in range(3800, 3990):
        grades = np.repeat([30, 1, 0], [high, 5, 4001 - high - 5])
        grades[:high] = -np.sort(-rng.integers(28, 31, high))
        scores = -np.arange(4001.0)
        scores[high + 5] = scores[high + 4]
        values.append(one(scores, grades, 4001))
    assert max(values) == 1.0
    assert min(values) > 1 - 1e-12


@given(batch)
def test_agrees_with_scikit_learn_given_gains_as_relevance(clips):
    values = ndcg(*flat(clips), KS)
    for row, (scores, grades) in zip(values, clips, strict=True):
        if len(grades) == 1:
            continue  # scikit-learn does not rank a single label
        for value, k in zip(row, KS, strict=True):
            expected = ndcg_score([2.0 ** np.array(grades) - 1], [scores], k=k)
            assert value == pytest.approx(expected, abs=1e-9)


def test_agrees_with_scikit_learn_on_twenty_labels():
    rng = np.random.default_rng(5)
    grades = rng.integers(0, 3, (50, 20))
    scores = rng.normal(size=(50, 20)).round(1)
    values = ndcg(scores.ravel(), grades.ravel(), np.arange(51) * 20, [1, 10, 20])
    for column, k in enumerate((1, 10, 20)):
        gains = 2.0**grades - 1
        for row in range(50):
            expected = ndcg_score(gains[row : row + 1], scores[row : row + 1], k=k)
            assert values[row, column] == pytest.approx(expected, abs=1e-9)


@given(any_batch, st.sampled_from(TIES), st.sampled_from(GAINS))
def test_a_batch_is_its_clips_one_by_one(clips, ties, gain):
    scores, grades, offsets = flat(clips)
    whole = np.array(grades, dtype=int)
    together = ndcg(scores, whole, offsets, KS, ties=ties, gain=gain)
    apart = [
        ndcg(s, np.array(g, dtype=int), [0, len(g)], KS, ties=ties, gain=gain)[0] for s, g in clips
    ]
    np.testing.assert_array_equal(together, np.reshape(apart, together.shape))


@given(any_batch, st.randoms(use_true_random=False))
def test_the_order_of_clips_does_not_matter(clips, random):
    order = list(range(len(clips)))
    random.shuffle(order)
    scores, grades, offsets = flat(clips)
    again = flat([clips[i] for i in order])
    for ties in TIES:
        np.testing.assert_array_equal(
            ndcg(again[0], np.array(again[1], dtype=int), again[2], KS, ties=ties),
            ndcg(scores, np.array(grades, dtype=int), offsets, KS, ties=ties)[order],
        )


@given(clip, st.sampled_from(GAINS), st.randoms(use_true_random=False))
def test_the_order_of_labels_does_not_matter(data, gain, random):
    scores, grades = data
    order = list(range(len(grades)))
    random.shuffle(order)
    shuffled = [scores[i] for i in order], [grades[i] for i in order]
    for ties in ("average", "optimistic", "pessimistic"):
        # Not a bit of difference: sums over equal scores are of whole numbers, and exact.
        np.testing.assert_array_equal(
            ndcg(*shuffled, [0, len(order)], KS, ties=ties, gain=gain),
            ndcg(scores, grades, [0, len(order)], KS, ties=ties, gain=gain),
        )


def test_the_order_of_many_tied_labels_does_not_matter():
    rng = np.random.default_rng(2)
    scores, grades = rng.integers(0, 3, 900) / 3, rng.integers(0, MAX_GRADE + 1, 900)
    expected = ndcg(scores, grades, [0, 900], (1, 7, 900))
    for _ in range(5):
        order = rng.permutation(900)
        np.testing.assert_array_equal(
            ndcg(scores[order], grades[order], [0, 900], (1, 7, 900)), expected
        )


@given(batch, st.sampled_from(TIES))
def test_only_the_order_of_scores_matters(clips, ties):
    scores, grades, offsets = flat(clips)
    expected = ndcg(scores, grades, offsets, KS, ties=ties)
    for change in (lambda s: np.exp(s) - 5, lambda s: 8 * s, lambda s: s**3, np.cbrt):
        changed = ndcg(change(np.array(scores)), grades, offsets, KS, ties=ties)
        np.testing.assert_array_equal(changed, expected)


@given(batch, st.sampled_from(GAINS), st.sampled_from(TIES))
def test_gold_scores_one_and_nothing_leaves_the_range(clips, gain, ties):
    scores, grades, offsets = flat(clips)
    np.testing.assert_array_equal(ndcg(grades, grades, offsets, KS, gain=gain, ties=ties), 1.0)
    values = ndcg(scores, grades, offsets, KS, gain=gain, ties=ties)
    assert (values >= 0).all()
    assert (values <= 1).all()
    worst = reference_orders(grades, offsets, KS, gain=gain)["worst"]
    assert (values >= worst - 1e-12).all()


def test_an_ideal_order_is_worth_exactly_one():
    # Long lists of unequal gains in another order of equal ones: rounding must not show.
    rng = np.random.default_rng(4)
    grades = rng.integers(0, MAX_GRADE + 1, (200, 150))
    ks, offsets = tuple(range(1, 151)), np.arange(201) * 150
    for gain in GAINS:
        for scores in (grades, grades * 3.7 - 11, np.exp(grades / 9)):
            values = ndcg(scores.ravel(), grades.ravel(), offsets, ks, gain=gain)
            np.testing.assert_array_equal(values, 1.0)


@pytest.mark.parametrize("ties", TIES)
def test_the_size_of_blocks_does_not_show(monkeypatch, ties):
    rng = np.random.default_rng(3)
    offsets = np.append(0, rng.integers(0, 9, 80).cumsum())
    scores, grades = rng.integers(0, 4, offsets[-1]) / 4, rng.integers(0, 3, offsets[-1])
    expected = ndcg(scores, grades, offsets, KS, ties=ties)
    for block in (1, 3, 64):
        monkeypatch.setattr(eval.ranking, "_BLOCK", block)
        np.testing.assert_array_equal(ndcg(scores, grades, offsets, KS, ties=ties), expected)


@given(st.lists(st.integers(0, 5), max_size=12), st.sampled_from([1, 3, 64]))
def test_blocks_hold_every_clip_once(lengths, size):
    offsets = np.append(0, np.cumsum(lengths, dtype=int))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(eval.ranking, "_BLOCK", size)
        found = list(blocks(offsets))
    entries = np.arange(offsets[-1])
    for clips, length, place in found:
        assert len(clips) == 1 or len(clips) * length <= size or length == 0
        expected = [entries[offsets[c] : offsets[c + 1]] for c in clips]
        mine = entries[place].reshape(len(clips), length)
        np.testing.assert_array_equal(mine, np.reshape(expected, mine.shape))
    assert sorted(c for clips, _, _ in found for c in clips.tolist()) == list(range(len(lengths)))


def test_single_precision_scores_tie_as_they_are():
    # Half of 2⁻²³ beside 1 is lost in single precision and kept in double.
    scores, grades = np.array([1.0, 1.0 + 2**-24]), [1, 0]
    assert one(scores, grades, 1) == 0.0
    assert one(scores.astype(np.float32), grades, 1) == 0.5


def test_infinities_and_signed_zeros_are_ordinary_scores():
    assert one([0.0, -0.0], [1, 0], 1) == 0.5
    assert one([np.inf, 1e308], [0, 1], 1) == 0.0
    assert one([np.inf, np.inf, 5e-324], [1, 0, 0], 1) == 0.5
    assert one([5e-324, 0.0], [1, 0], 1) == 1.0


@pytest.mark.parametrize("ties", TIES)
def test_labels_ranked_last_by_minus_infinity_are_tied_under_every_rule(ties):
    # low first; then high and medium missing: (3 + 1) / 2 = 2 each at positions 2 and 3.
    value = one([0.5, -np.inf, -np.inf], [0, 2, 1], 3, ties=ties)
    assert value == pytest.approx((2 / LOG3 + 2 / 2) / (3 + 1 / LOG3))
    # Nothing predicted is a random order, not that of gold nor the best of all.
    assert one([-np.inf, -np.inf], [1, 0], 1, ties=ties) == 0.5


def test_equal_scores_of_neighbouring_clips_are_no_tie():
    # Clip 1 ends and clip 2 begins with the same score.
    values = ndcg([1.0, 0.0, 0.0, -1.0], [0, 1, 2, 0], [0, 2, 4], [1])
    np.testing.assert_array_equal(values, [[0.0], [1.0]])
    tied, pairs = tied_pairs([1.0, 0.0, 0.0, -1.0], [0, 2, 4])
    assert (tied.tolist(), pairs.tolist()) == ([0, 0], [1, 1])


def test_tied_pairs_by_hand():
    # Three of four equal: 3 of 6 pairs; a clip of one has none; two and two equal: 2 of 6.
    scores = [1, 2, 1, 1, 5, 3, 4, 3, 4]
    tied, pairs = tied_pairs(scores, [0, 4, 5, 9])
    assert tied.tolist() == [3, 0, 2]
    assert pairs.tolist() == [6, 0, 6]


def test_gain_is_that_of_the_paper():
    assert gains([0, 1, 2]).tolist() == [0.0, 1.0, 3.0]


@pytest.mark.parametrize(
    ("scores", "grades", "offsets", "ks", "what"),
    [
        ([np.nan, 1], [0, 1], [0, 2], [1], "NaN"),
        ([1, 2], [0, -1], [0, 2], [1], "grades"),
        ([1, 2], [0.5, 1], [0, 2], [1], "grades"),
        ([1, 2], [0.0, 1.0], [0, 2], [1], "grades"),
        ([1, 2], [False, True], [0, 2], [1], "grades"),
        ([1, 2], [0, MAX_GRADE + 1], [0, 2], [1], "grades"),
        ([1, 2], [0, 1], [0, 2], [0], "cut-offs"),
        ([1, 2], [0, 1], [0, 2], [], "cut-offs"),
        ([1, 2], [0, 1], [0, 3], [1], "offsets end at 3"),
        ([1, 2], [0, 1], [1, 2], [1], "begins with 0"),
        ([], np.zeros(0, dtype=int), [], [1], "begins with 0"),
        ([1, 2], [0, 1], [[0, 2]], [1], "one row"),
        ([1, 2], [0, 1], [0, 2, 1, 2], [1], "never falls"),
        ([1, 2], [0, 1, 2], [0, 2], [1], "offsets end at 2"),
        ([[1, 2]], [0, 1], [0, 2], [1], "shape"),
    ],
)
def test_refuses_what_it_cannot_score(scores, grades, offsets, ks, what):
    with pytest.raises(ValueError, match=what):
        ndcg(scores, grades, offsets, ks)


def test_refuses_unknown_rules():
    with pytest.raises(ValueError, match="ties"):
        one([1], [1], 1, ties="mean")
    with pytest.raises(ValueError, match="gain"):
        one([1], [1], 1, gain="log")
    with pytest.raises(ValueError, match="relevant"):
        one([1], [1], 1, empty="nan")


@given(st.lists(st.integers(0, 2), min_size=1, max_size=30))
def test_dcg_never_falls_with_k(order):
    values = dcg(gains([order]), range(1, len(order) + 3))[0]
    # Row sums are not added in the order of k; that can cost the last digit.
    assert (np.diff(values) >= -1e-14 * values[-1]).all()
    expected = sum((2**g - 1) / math.log2(i + 2) for i, g in enumerate(order))
    assert values[-1] == pytest.approx(expected, rel=1e-12)


def test_linear_gain_by_hand():
    # Ranked medium, high: (1 + 2 / log2(3)) of (2 + 1 / log2(3)).
    log3 = math.log2(3)
    assert one([2.0, 1.0], [1, 2], 2, gain="linear") == pytest.approx(
        (1 + 2 / log3) / (2 + 1 / log3)
    )
    assert gains([0, 1, 2, 30], "linear").tolist() == [0, 1, 2, 30]
    assert gains([[MAX_GRADE]]).tolist() == [[2.0**30 - 1]]
    assert gains(np.zeros(0, dtype=np.int8)).shape == (0,)
    # Medium first; high and low share positions 2 and 3, (2 + 0) / 2 each.
    value = one([2.0, 1.0, 1.0], [1, 2, 0], 3, gain="linear")
    assert value == pytest.approx((1 + 1 / log3 + 1 / 2) / (2 + 1 / log3), abs=1e-12)
