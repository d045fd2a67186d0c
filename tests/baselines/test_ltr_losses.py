"""Losses of learning to rank: by hand, against plain loops, in the limit, padded, at the edges."""

import math
from functools import partial

import numpy as np
import plain_ltr_losses as plain
import pytest
import torch
from equations import agrees, double
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.ltr import losses
from eval.ndcg import ndcg
from lrmovienet.errors import UserError

LN2, LN3, LN4, LN6 = map(math.log, (2, 3, 4, 6))
E, E2 = math.e, math.e**2
D2 = math.log2(3)
SCORES = [0.0, LN2, LN3]
"""Softmax 1/6, 2/6, 3/6; ranks 3, 2, 1; sigmoids of differences are ratios of whole numbers."""

# (name, ours, the same for one list in plain loops)
KEYS = [0.3, -0.2, 0.9, 0.1, 0.5, -0.7, 0.0]


def with_keys(scores, grades, mask):
    """Keys that stay with the items of a row, however it is padded."""
    keys = torch.zeros_like(scores)
    for row, there in zip(keys, mask, strict=True):
        row[there] = scores.new_tensor(KEYS)[: int(there.sum())]
    return losses.list_mle(scores, grades, mask, keys)


LOSSES = {
    "listnet": (losses.listnet_top_one, plain.listnet),
    "attention rank": (losses.attention_rank, plain.attention_rank),
    **{
        f"softmax over {over}": (
            partial(losses.softmax_cross_entropy, over=over),
            partial(plain.softmax_cross_entropy, over=over),
        )
        for over in ("one", "grades", "items")
    },
    "list mle": (with_keys, lambda s, y: plain.list_mle(s, y, KEYS)),
    "ranknet": (losses.ranknet, plain.ranknet),
    **{
        f"{weights} {sigma} {mu}": (
            partial(losses.lambda_loss, weights=weights, sigma=sigma, mu=mu),
            partial(plain.lambda_loss, weights=weights, sigma=sigma, mu=mu),
        )
        for weights, sigma, mu in [
            ("lambdarank", 1.0, 10.0), ("ndcg_loss2", 1.0, 10.0), ("ndcg_loss2pp", 1.0, 10.0),
            ("ndcg_loss2pp", 0.5, 3.0),
        ]
    },
    "lambda loss": (
        losses.lambda_loss, lambda s, y: plain.lambda_loss(s, y, "ndcg_loss2pp", 1, 10),
    ),
    "approx ndcg": (losses.approx_ndcg, partial(plain.approx_ndcg, alpha=10.0)),
    "approx ndcg 2": (partial(losses.approx_ndcg, alpha=2), partial(plain.approx_ndcg, alpha=2)),
    "neural ndcg": (losses.neural_ndcg, partial(plain.neural_ndcg, tau=1.0)),
    "neural ndcg .3": (partial(losses.neural_ndcg, tau=0.3), partial(plain.neural_ndcg, tau=0.3)),
}  # fmt: skip
each_loss = pytest.mark.parametrize(("ours", "one_list"), LOSSES.values(), ids=LOSSES)


def of(fn, grades, **options):
    """The loss of one list without padding, of its scores alone."""
    y, there = torch.tensor([grades]), torch.ones(1, len(grades), dtype=torch.bool)
    return lambda scores: fn(scores, y, there, **options)


# --- By hand -------------------------------------------------------------------------------------


def test_listnet_is_the_cross_entropy_of_two_softmaxes():
    z = E2 + E + 1
    slopes = [[1 / 6 - E2 / z, 2 / 6 - E / z, 3 / 6 - 1 / z]]
    value = (E2 * LN6 + E * LN3 + LN2) / z
    agrees(of(losses.listnet_top_one, [2, 1, 0]), ([SCORES],), value, (slopes,))


def test_attention_rank_gives_nothing_to_items_of_grade_0():
    z = E2 + E
    slopes = [[1 / 6 - E2 / z, 2 / 6 - E / z, 3 / 6]]
    value = (E2 * LN6 + E * LN3) / z
    agrees(of(losses.attention_rank, [2, 1, 0]), ([SCORES],), value, (slopes,))
    agrees(of(losses.attention_rank, [0, 0, 2]), ([SCORES],), LN2)


def test_softmax_cross_entropy_over_one_the_grades_and_the_items():
    fn = losses.softmax_cross_entropy
    agrees(of(fn, [2, 0, 0]), ([SCORES],), 2 * LN6, ([[2 / 6 - 2, 4 / 6, 1]],))
    agrees(of(fn, [2, 0, 0], over="grades"), ([SCORES],), LN6)
    agrees(of(fn, [2, 0, 0], over="items"), ([SCORES],), 2 / 3 * LN6)
    agrees(of(fn, [1, 2, 0]), ([SCORES],), LN6 + 2 * LN3)


def test_list_mle_draws_the_best_first_and_keys_break_ties():
    fn = partial(losses.list_mle, keys=double([[0, 0, 0]]))
    agrees(of(fn, [2, 1, 0]), ([SCORES],), math.log(15))  # 1/6 · 2/5
    agrees(of(fn, [0, 1, 2]), ([SCORES],), LN3)  # 3/6 · 2/3
    fn = losses.list_mle
    agrees(of(fn, [1, 1, 0], keys=double([[0, 1, 5]])), ([SCORES],), math.log(12))  # 2/6 · 1/4
    agrees(of(fn, [1, 1, 0], keys=double([[1, 0, 5]])), ([SCORES],), math.log(15))
    # Breslow: both of the tied have all of 1/6, 2/6, 3/6 as rivals.
    agrees(of(fn, [1, 1, 0], keys=double([[7, 7, 5]])), ([SCORES],), math.log(18))


@given(st.lists(st.floats(-3, 3), min_size=4, max_size=4))
def test_list_mle_is_a_distribution_over_all_orders(scores):
    total = 0.0
    for order in plain.orders(4):
        fn = of(losses.list_mle, list(order), keys=torch.zeros(1, 4, dtype=torch.float64))
        total += math.exp(-fn(double([scores])).item())
    assert total == pytest.approx(1, abs=1e-12)


def test_the_keys_of_list_mle_average_to_a_tie():
    """Over both orders of two tied items the probabilities sum to that of the pair as a set."""
    found = [
        math.exp(-of(losses.list_mle, [1, 1, 0], keys=double([keys]))(double([SCORES])).item())
        for keys in ([0, 1, 0], [1, 0, 0])
    ]
    assert sum(found) == pytest.approx(1 / 12 + 1 / 15, abs=1e-12)


def test_ranknet_is_the_mean_over_pairs_of_different_grades():
    # 1 + e^{-(s_i - s_j)}: 1 + 2/1, 1 + 3/1 and 1 + 3/2.
    value = (LN3 + LN4 + math.log(2.5)) / 3
    slopes = [[-(2 / 3 + 3 / 4) / 3, (2 / 3 - 3 / 5) / 3, (3 / 4 + 3 / 5) / 3]]
    agrees(of(losses.ranknet, [2, 1, 0]), ([SCORES],), value, (slopes,))
    agrees(of(losses.ranknet, [1, 1, 0]), ([SCORES],), (LN4 + math.log(2.5)) / 2)
    agrees(of(losses.ranknet, [2, 2, 2]), ([SCORES],), 0, ([[0, 0, 0]],))


def test_lambda_loss_weighs_a_pair_by_what_it_is_worth():
    # Gains 3, 1, 0, at best 3 + 1 / D2; ranks 3, 2, 1, so 1 / D is 1/2, 1 / D2, 1.
    best = 3 + 1 / D2
    pairs = {(0, 1): (2, 3 / 1, 1 / D2 - 1 / 2, 1), (0, 2): (3, 4, 1 / 2, 2),
             (1, 2): (1, 5 / 2, 1 - 1 / D2, 1)}  # fmt: skip
    moved = {1: 1 - 1 / D2, 2: 1 / D2 - 1 / 2}
    first = sum(g / best * w * math.log2(z) for g, z, w, _ in pairs.values())
    second = sum(g / best * moved[apart] * math.log2(z) for g, z, _, apart in pairs.values())
    for weights, value in (
        ("lambdarank", first), ("ndcg_loss2", second), ("ndcg_loss2pp", first + 10 * second),
    ):  # fmt: skip
        agrees(of(losses.lambda_loss, [2, 1, 0], weights=weights), ([SCORES],), value)
    agrees(of(losses.lambda_loss, [2, 1, 0], mu=2.0), ([SCORES],), first + 2 * second)


def test_lambdaranks_weight_is_what_a_swap_changes_in_ndcg():
    scores, grades = np.array([0.3, -1.0, 2.0, 0.9, -0.1]), np.array([1, 2, 0, 2, 1])
    there = torch.ones(1, 5, dtype=torch.bool)
    w = losses.lambda_weights(
        double([scores.tolist()]), torch.tensor([grades.tolist()]), there, "lambdarank"
    )[0]
    before = ndcg(scores, grades, [0, 5], [5]).item()
    for i, j in plain.pairs_of(grades):
        swapped = scores.copy()
        swapped[[i, j]] = scores[[j, i]]
        change = abs(ndcg(swapped, grades, [0, 5], [5]).item() - before)
        assert w[i, j].item() == pytest.approx(change, abs=1e-12)


def test_approx_ndcg_counts_who_stands_above_in_shares():
    # sigmoid(s_j - s_i) = e^{s_j} / (e^{s_i} + e^{s_j}).
    places = [1 + 2 / 3 + 3 / 4, 1 + 1 / 3 + 3 / 5, 1 + 1 / 4 + 2 / 5]
    best = 3 + 1 / D2
    value = -(3 / math.log2(1 + places[0]) + 1 / math.log2(1 + places[1])) / best
    agrees(of(losses.approx_ndcg, [2, 1, 0], alpha=1.0), ([SCORES],), value)


def test_neural_sort_by_hand_and_its_rows_are_distributions():
    # s = 0, ln 2: A 1 = ln 2 for both; row 1: (0 - ln 2, ln 2 - ln 2), row 2: (-ln 2, -2 ln 2).
    there = torch.ones(1, 2, dtype=torch.bool)
    found = losses.neural_sort(double([[0, LN2]]), there)
    np.testing.assert_allclose(found[0], [[1 / 3, 2 / 3], [2 / 3, 1 / 3]], atol=1e-15)
    found = losses.neural_sort(double([[0, LN2]]), there, tau=0.5)
    np.testing.assert_allclose(found[0], [[1 / 5, 4 / 5], [4 / 5, 1 / 5]], atol=1e-15)
    # It is doubly stochastic already: gains 3, 0 are placed 1, 2 (row 1: a third of 3).
    agrees(of(losses.neural_ndcg, [2, 0]), ([[0, LN2]],), -(1 + 2 / D2) / 3)


def test_sinkhorn_scales_each_matrix_by_itself_columns_first():
    matrix = np.array([[2.0, 1.0], [1.0, 3.0]])
    once = matrix / matrix.sum(0)
    once = once / once.sum(1, keepdims=True)
    ready, zero = np.eye(2)[::-1], np.array([[5.0, 0.0], [0.0, 0.0]])
    all_three = double(np.stack([matrix, ready, zero]))
    found = losses.sinkhorn(all_three, iterations=1)
    np.testing.assert_allclose(found, np.stack([once, ready, np.diag([1.0, 0.0])]), atol=1e-15)
    found = losses.sinkhorn(all_three)
    np.testing.assert_allclose(found[0].sum(0), 1, atol=1e-6)
    np.testing.assert_allclose(found[0].sum(1), 1, atol=1e-6)
    # Scaling rows and columns keeps the cross ratio; for [[p, 1 - p], [1 - p, p]] it is
    # (p / (1 - p))² = 6.
    p = math.sqrt(6) / (1 + math.sqrt(6))
    np.testing.assert_allclose(found[0], [[p, 1 - p], [1 - p, p]], atol=1e-6)
    np.testing.assert_array_equal(losses.sinkhorn(all_three[:1])[0], found[0])
    np.testing.assert_array_equal(losses.sinkhorn(all_three, iterations=0), all_three)
    rough = losses.sinkhorn(all_three[:1], tolerance=0.2)[0]
    np.testing.assert_allclose(rough, once, atol=1e-15)


def test_ordinal_asks_whether_the_grade_is_reached():
    logits = [[[LN2, -LN2], [0.0, LN3]]]  # P(y ≥ 1), P(y ≥ 2): 2/3, 1/3; 1/2, 3/4
    fn = of(losses.ordinal, [1, 0])
    value = (math.log(3 / 2) * 2 + LN2 + LN4) / 2
    slopes = [[[(2 / 3 - 1) / 2, 1 / 3 / 2], [1 / 2 / 2, 3 / 4 / 2]]]
    agrees(fn, (logits,), value, (slopes,))
    agrees(
        of(losses.ordinal, [2, 2]), (logits,), (math.log(3 / 2) + LN3 + LN2 + math.log(4 / 3)) / 2
    )
    with pytest.raises(UserError, match="grade 3, but outputs for grades up to 2"):
        of(losses.ordinal, [3, 0])(double(logits))


def test_ranks_count_from_1_ties_by_place_padding_last():
    mask = torch.tensor([[True, False, True, True, True]])
    found = losses.ranks(double([[0.5, 99.0, 0.7, 0.5, -1.0]]), mask)
    assert found.tolist() == [[2, 5, 1, 3, 4]]
    # Long rows are sorted in another way, which would shuffle ties.
    found = losses.ranks(torch.arange(600)[None] % 2 * 1.0, torch.ones(1, 600, dtype=torch.bool))
    assert found[0].tolist() == [i // 2 + 1 + (0 if i % 2 else 300) for i in range(600)]


# --- Against plain loops -------------------------------------------------------------------------

numbers = st.floats(-4, 4).map(lambda value: round(value, 3))


@st.composite
def one_list(draw):
    scores = draw(st.lists(numbers, min_size=1, max_size=7, unique=True))
    grades = draw(st.lists(st.integers(0, 2), min_size=len(scores), max_size=len(scores)))
    return scores, grades


def padded(lists, places, garbage):
    """Scores, grades and mask of lists, each spread over `places` wherever its seed says."""
    scores = np.full((len(lists), places), garbage)
    grades = np.full((len(lists), places), 2)
    mask = np.zeros((len(lists), places), bool)
    for row, (s, y) in enumerate(lists):
        where = np.sort(np.random.default_rng(row).permutation(places)[: len(s)])
        scores[row, where], grades[row, where], mask[row, where] = s, y, True
    return double(scores), torch.from_numpy(grades), torch.from_numpy(mask)


@each_loss
@settings(max_examples=30)
@given(lists=st.lists(one_list(), min_size=1, max_size=4), more=st.integers(0, 3))
def test_a_batch_gives_the_mean_over_its_relevant_lists(ours, one_list, lists, more):
    expected = [one_list(s, y) for s, y in lists if max(y) > 0]
    found = ours(*padded(lists, max(len(s) for s, _ in lists) + more, 9.0))
    assert found.item() == pytest.approx(np.mean(expected) if expected else 0, rel=1e-9, abs=1e-9)


@given(lists=st.lists(one_list(), min_size=1, max_size=3), more=st.integers(0, 3))
def test_ordinal_gives_the_mean_too(lists, more):
    scores, grades, mask = padded(lists, max(len(s) for s, _ in lists) + more, 9.0)
    logits = torch.stack([scores, 1 - scores / 2], dim=2)
    expected = [plain.ordinal([(a, 1 - a / 2) for a in s], y) for s, y in lists if max(y) > 0]
    found = losses.ordinal(logits, grades.masked_fill(~mask, 7), mask)
    assert found.item() == pytest.approx(np.mean(expected) if expected else 0, rel=1e-9, abs=1e-9)


LISTS = [([0.4, -0.9, 1.3, 0.1], [0, 2, 1, 1]), ([0.2], [2]), ([0.7, -0.1, 0.5], [0, 0, 0]),
         ([1.1, 0.3, -0.6], [0, 0, 2])]  # fmt: skip


@each_loss
def test_gradients_are_those_of_the_value_and_none_reaches_padding(ours, one_list):
    scores, grades, mask = padded(LISTS, 5, 3.0)
    scores.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: ours(s, grades, mask), (scores,))
    (gradient,) = torch.autograd.grad(ours(scores, grades, mask), [scores])
    assert gradient[~mask].abs().max() == 0
    assert gradient[2].abs().max() == 0  # nothing relevant there


@each_loss
def test_gradients_pull_the_best_up_and_the_worst_down(ours, one_list):
    scores = torch.zeros(1, 4, dtype=torch.float64) + double([[0.0, 0.01, 0.02, 0.03]])
    scores.requires_grad_()
    grades, mask = torch.tensor([[2, 1, 1, 0]]), torch.ones(1, 4, dtype=torch.bool)
    (gradient,) = torch.autograd.grad(ours(scores, grades, mask), [scores])
    assert gradient[0, 0] < 0 < gradient[0, 3]


@each_loss
def test_without_a_relevant_list_the_loss_is_0_and_has_a_graph(ours, one_list):
    scores = double([[0.5, 0.1], [0.3, 9.0]]).requires_grad_()
    mask = torch.tensor([[True, True], [True, False]])
    loss = ours(scores, torch.tensor([[0, 0], [0, 2]]), mask)
    loss.backward()
    assert loss.item() == 0 and loss.shape == ()
    assert scores.grad.abs().max() == 0


@each_loss
@pytest.mark.parametrize("size", [1e4, 1e-6])
def test_single_precision_stays_finite(ours, one_list, size):
    scores = torch.linspace(-1, 1, 6)[None].mul(size).requires_grad_()
    mask = torch.tensor([[True] * 5 + [False]])
    grades = torch.tensor([[2, 0, 1, 0, 2, 0]])
    loss = ours(scores, grades, mask)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite() and scores.grad.isfinite().all()


# --- In the limit --------------------------------------------------------------------------------


@given(one_list().filter(lambda one: max(one[1]) > 0))
def test_smooth_ndcgs_tend_to_ndcg(one):
    scores, grades = one[0], np.array(one[1])
    exact = ndcg(np.array(scores), grades, [0, len(scores)], [len(scores)]).item()
    assert plain.ndcg(scores, one[1]) == pytest.approx(exact, abs=1e-12)
    # Scores differ by .001 or more; 20 / .001 makes every sigmoid and softmax 0 or 1.
    approx = of(losses.approx_ndcg, one[1], alpha=2e5)(double([scores]))
    neural = of(losses.neural_ndcg, one[1], tau=1e-5)(double([scores]))
    assert -approx.item() == pytest.approx(exact, abs=1e-7)
    assert -neural.item() == pytest.approx(exact, abs=1e-5)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "list mle"])
def test_no_loss_depends_on_the_order_of_the_row(name):
    """ListMLE's keys go with the places of the row here."""
    ours, _ = LOSSES[name]
    scores, grades, mask = padded(LISTS, 5, 3.0)
    turn = torch.tensor([3, 0, 4, 2, 1])
    again = ours(scores[:, turn], grades[:, turn], mask[:, turn])
    assert again.item() == pytest.approx(ours(scores, grades, mask).item(), abs=1e-12)


@pytest.mark.parametrize("one_row", [0, 1, 2])
def test_shapes_that_would_broadcast_are_refused(one_row):
    """Two lists of three, but for one of scores, grades and mask, which has one."""
    rows = [1 if place == one_row else 2 for place in range(3)]
    scores, grades = torch.zeros(rows[0], 3), torch.ones(rows[1], 3, dtype=torch.int64)
    mask = torch.ones(rows[2], 3, dtype=torch.bool)
    for fn in (
        *(ours for ours, _ in LOSSES.values() if ours is not with_keys),
        partial(losses.list_mle, keys=torch.zeros(2, 3)),
        lambda s, y, there: losses.ordinal(torch.stack([s, s], 2), y, there),
    ):
        with pytest.raises(ValueError, match="would broadcast"):
            fn(scores, grades, mask)
