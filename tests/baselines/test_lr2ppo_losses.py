"""Eqs. 3 to 6 and the control: by hand, against other implementations, against wrong ones.

A check takes an implementation: ours must pass it, and each wrong variant of it must not.
"""

import math
from functools import partial

import numpy as np
import pytest
import torch
from equations import DIFFERENT_SHAPES, agrees, double, each, each_wrong
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import log_softmax
from torch.nn import functional

from baselines.lr2ppo.losses import (
    advantages,
    flip_advantages,
    grade_cross_entropy,
    pairwise_logistic,
    reward_margin,
    smooth_l1,
    target_values,
)

LN2, LN3, LN4, LN5 = map(math.log, (2, 3, 4, 5))
TWO_TENSORS = [smooth_l1, reward_margin, pairwise_logistic, advantages, flip_advantages]


# --- Eq. 3 ---------------------------------------------------------------------------------------


def check_smooth_l1(fn):
    # The parabola: 0.5 · 0.1² / 0.3 = 1/60, its slope 0.1 / 0.3 = 1/3.
    agrees(fn, ([1.1], [1.0]), 1 / 60, ([1 / 3], [-1 / 3]), beta=0.3)
    agrees(fn, ([0.9], [1.0]), 1 / 60, ([-1 / 3], [1 / 3]), beta=0.3)
    # The line: 1.5 − 0.5 · 0.3 = 1.35, its slope 1 towards the grade.
    agrees(fn, ([0.5], [2.0]), 1.35, ([-1], [1]), beta=0.3)
    agrees(fn, ([2.5], [1.0]), 1.35, ([1], [-1]), beta=0.3)
    # Where they meet: 0.5 · 0.3, from either side with the slope 1.
    agrees(fn, ([0.3], [0.0]), 0.15, ([1], [-1]), beta=0.3)
    agrees(fn, ([0.0], [0.3]), 0.15, ([-1], [1]), beta=0.3)
    agrees(fn, ([2.0], [2.0]), 0, ([0], [0]), beta=0.3)
    # 0.6 is on the parabola of β = 1 (0.5 · 0.36) and on the line of β = 0.5 (0.6 − 0.25).
    agrees(fn, ([0.6], [0.0]), 0.18, ([0.6], [-0.6]), beta=1.0)
    agrees(fn, ([0.6], [0.0]), 0.35, ([1], [-1]), beta=0.5)
    # The mean of three labels, with the paper's β: (1/60 + 1.35 + 0) / 3.
    slopes = [1 / 9, -1 / 3, 0], [-1 / 9, 1 / 3, 0]
    agrees(fn, ([1.1, 0.5, 2.0], [1.0, 2.0, 2.0]), (1 / 60 + 1.35) / 3, slopes)


def _smooth_l1(inside, outside):
    def fn(p, y, beta=0.3):
        d = (p - y).abs()
        return torch.where(d < beta, inside(d, beta), outside(d, beta)).mean()

    return fn


def _parabola(d, beta):
    return 0.5 * d**2 / beta


WRONG_SMOOTH_L1 = {
    "not divided by beta": _smooth_l1(lambda d, b: 0.5 * d**2, lambda d, b: d - 0.5 * b),
    "no half": _smooth_l1(lambda d, b: d**2 / b, lambda d, b: d - 0.5 * b),
    "no offset": _smooth_l1(_parabola, lambda d, b: d),
    "whole offset": _smooth_l1(_parabola, lambda d, b: d - b),
    "branches swapped": _smooth_l1(lambda d, b: d - 0.5 * b, _parabola),
    "parabola throughout": _smooth_l1(_parabola, _parabola),
    "no abs": lambda p, y, beta=0.3: torch.where(
        p - y < beta, 0.5 * (p - y) ** 2 / beta, p - y - 0.5 * beta
    ).mean(),
    "Huber's, beta times as much": lambda p, y, beta=0.3: functional.huber_loss(p, y, delta=beta),
    "sum": lambda p, y, beta=0.3: smooth_l1(p, y, beta) * len(p),
    "torch's default beta": lambda p, y, beta=1.0: smooth_l1(p, y, beta),
    "beta does nothing": lambda p, y, beta=0.3: smooth_l1(p, y, 0.3),
    "gradient cut": lambda p, y, beta=0.3: smooth_l1(p.detach(), y, beta),
}

pairs_of_numbers = arrays(np.float64, (6, 2), elements=st.floats(-5, 5))


@given(pairs_of_numbers, st.floats(0.01, 3))
def test_smooth_l1_is_torchs_in_value_and_gradient(values, beta):
    losses, gradients = [], []
    for function in (smooth_l1, lambda p, y, b: functional.smooth_l1_loss(p, y, beta=b)):
        p = torch.tensor(values[:, 0], requires_grad=True)
        loss = function(p, torch.tensor(values[:, 1]), beta)
        loss.backward()
        losses.append(loss.item())
        gradients.append(p.grad.numpy())
    assert losses[0] == pytest.approx(losses[1], rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(gradients[0], gradients[1], atol=1e-12)


@pytest.mark.parametrize("beta", [0.0, -0.3])
def test_smooth_l1_needs_a_positive_beta(beta):
    with pytest.raises(ValueError, match="beta must be above 0"):
        smooth_l1(torch.zeros(3), torch.zeros(3), beta)


# --- Stage 1 as classification -------------------------------------------------------------------


def check_grade_cross_entropy(fn):
    # softmax(0, ln 2, ln 5) is 1/8, 2/8, 5/8, so −log of it is ln 8, ln 4, ln 1.6.
    logits = [0, LN2, LN5]
    for grade, value in enumerate((math.log(8), LN4, math.log(1.6))):
        slope = np.array([1 / 8, 2 / 8, 5 / 8]) - np.eye(3)[grade]
        agrees(partial(fn, y=torch.tensor([grade])), ([logits],), value, ([slope],))
        agrees(partial(fn, y=torch.tensor([float(grade)])), ([logits],), value, ([slope],))
    # The mean of two: (ln 8 + ln 1.6) / 2 = ln 12.8 / 2.
    both = partial(fn, y=torch.tensor([0, 2]))
    slopes = [[-7 / 16, 2 / 16, 5 / 16], [1 / 16, 2 / 16, -3 / 16]]
    agrees(both, ([logits, logits],), math.log(12.8) / 2, (slopes,))
    # Nothing known: ln 3, at any level. Certain and right: 0. Certain and wrong: the difference.
    agrees(both, ([[7.0] * 3] * 2,), LN3)
    agrees(both, ([[900.0, 0, 0], [0, 0, 900.0]],), 0)
    agrees(both, ([[0, 900.0, 0], [0, 0, 900.0]],), 450)


WRONG_CROSS_ENTROPY = {
    "no softmax": lambda x, y: -x[range(len(y)), y.long()].mean(),
    "no log": lambda x, y: -x.softmax(1)[range(len(y)), y.long()].mean(),
    "grades turned round": lambda x, y: grade_cross_entropy(x, 2 - y),
    "softmax over labels": lambda x, y: -x.log_softmax(0)[range(len(y)), y.long()].mean(),
    "sum": lambda x, y: grade_cross_entropy(x, y) * len(y),
    "sign": lambda x, y: -grade_cross_entropy(x, y),
    "smoothed": lambda x, y: functional.cross_entropy(x, y.long(), label_smoothing=0.1),
}


@given(
    arrays(np.float64, (5, 3), elements=st.floats(-50, 50)),
    arrays(np.int64, 5, elements=st.integers(0, 2)),
)
def test_cross_entropy_is_scipys(logits, grades):
    expected = -log_softmax(logits, axis=1)[range(5), grades].mean()
    found = grade_cross_entropy(torch.tensor(logits), torch.tensor(grades)).item()
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_cross_entropy_needs_a_grade_for_each_label():
    with pytest.raises(ValueError, match="batch_size"):
        grade_cross_entropy(torch.zeros(4, 3), torch.zeros(1))


# --- Eq. 4 ---------------------------------------------------------------------------------------


def check_reward_margin(fn):
    # 1 − (0.9 − 0.4) = 0.5; 1 − (0 − 1) = 2; 1 − (2 − 0.5) < 0. The mean is 2.5 / 3; only the two
    # that violate the margin have a slope.
    chosen, flipped = [0.9, 0.0, 2.0], [0.4, 1.0, 0.5]
    slopes = [-1 / 3, -1 / 3, 0], [1 / 3, 1 / 3, 0]
    agrees(fn, (chosen, flipped), 2.5 / 3, slopes)
    agrees(fn, (chosen, flipped), 2.5 / 3, slopes, margin=1.0)
    # Margin 0.2: 0.2 − 0.5 < 0; 0.2 + 1 = 1.2; 0.2 − 1.5 < 0.
    agrees(fn, (chosen, flipped), 0.4, ([0, -1 / 3, 0], [0, 1 / 3, 0]), margin=0.2)
    # Margin 0: what is in order costs nothing, what is not costs its distance.
    agrees(fn, ([3.0], [1.0]), 0, ([0], [0]), margin=0.0)
    agrees(fn, ([1.0], [3.0]), 2, ([-1], [1]), margin=0.0)
    # Just at the margin, and indifferent.
    agrees(fn, ([1.5], [0.5]), 0)
    agrees(fn, ([0.7], [0.7]), 1)


WRONG_REWARD_MARGIN = {
    "orders swapped": lambda c, f, margin=1.0: reward_margin(f, c, margin),
    "margin behind the hinge": lambda c, f, margin=1.0: margin + (f - c).clamp(min=0).mean(),
    "margin on the wrong side": lambda c, f, margin=1.0: (f - c - margin).clamp(min=0).mean(),
    "no hinge": lambda c, f, margin=1.0: (margin - (c - f)).mean(),
    "hinge of the mean": lambda c, f, margin=1.0: (margin - (c - f)).mean().clamp(min=0),
    "abs of the difference": lambda c, f, margin=1.0: reward_margin((c - f).abs(), f * 0, margin),
    "squared": lambda c, f, margin=1.0: ((margin - (c - f)).clamp(min=0) ** 2).mean(),
    "mean over violators": lambda c, f, margin=1.0: (
        reward_margin(c, f, margin) * len(c) / (c - f < margin).sum().clamp(min=1)
    ),
    "sum": lambda c, f, margin=1.0: reward_margin(c, f, margin) * len(c),
    "margin of the code for MQ2008": lambda c, f, margin=0.01: reward_margin(c, f, margin),
    "margin does nothing": lambda c, f, margin=1.0: reward_margin(c, f),
    "only the chosen learn": lambda c, f, margin=1.0: reward_margin(c, f.detach(), margin),
}


@given(pairs_of_numbers, st.floats(0, 3))
def test_reward_margin_is_torchs_ranking_loss(values, margin):
    chosen, flipped = torch.tensor(values).T
    ones = torch.ones(len(values), dtype=torch.float64)
    expected = functional.margin_ranking_loss(chosen, flipped, ones, margin=margin).item()
    assert reward_margin(chosen, flipped, margin).item() == pytest.approx(expected, abs=1e-12)


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0, 3), st.floats(-9, 9))
def test_both_orders_of_a_pair_cost_two_margins_or_more(a, b, margin, shift):
    one, other = (reward_margin(double([x]), double([y]), margin) for x, y in ((a, b), (b, a)))
    # One difference is the other's negative, so two margins, or one and the distance beyond it.
    assert (one + other).item() == pytest.approx(max(2 * margin, margin + abs(a - b)), abs=1e-12)
    # The level of the rewards means nothing.
    moved = reward_margin(double([a + shift]), double([b + shift]), margin)
    assert moved.item() == pytest.approx(one.item(), abs=1e-12)


# --- Control: RankNet ----------------------------------------------------------------------------


def check_pairwise_logistic(fn):
    # Equal scores: log 2, and a slope of one half.
    agrees(fn, ([0.3], [0.3]), LN2, ([-1 / 2], [1 / 2]))
    # ln 3 apart the better is preferred with 3/4: −log 3/4 the right way round, −log 1/4 the wrong.
    agrees(fn, ([LN3], [0.0]), LN4 - LN3, ([-1 / 4], [1 / 4]))
    agrees(fn, ([0.0], [LN3]), LN4, ([-3 / 4], [3 / 4]))
    # The mean: (2 ln 4 − ln 3) / 2.
    slopes = [-1 / 8, -3 / 8], [1 / 8, 3 / 8]
    agrees(fn, ([LN3, 5.0], [0.0, 5.0 + LN3]), LN4 - LN3 / 2, slopes)
    # Far apart: nothing to learn, or the difference, and no overflow.
    agrees(fn, ([1000.0], [0.0]), 0, ([0], [0]))
    agrees(fn, ([0.0], [1000.0]), 1000, ([-1], [1]))


WRONG_LOGISTIC = {
    "orders swapped": lambda b, w: pairwise_logistic(w, b),
    "no log": lambda b, w: torch.sigmoid(w - b).mean(),
    "in bits": lambda b, w: pairwise_logistic(b, w) / LN2,
    "log of the mean": lambda b, w: -torch.sigmoid(b - w).mean().log(),
    "exp overflows": lambda b, w: (w - b).exp().log1p().mean(),
    "no difference": lambda b, w: functional.softplus(-b).mean(),
    "sum": lambda b, w: pairwise_logistic(b, w) * len(b),
    "sign": lambda b, w: -pairwise_logistic(b, w),
    "only the better learn": lambda b, w: pairwise_logistic(b, w.detach()),
}


@given(arrays(np.float64, (6, 2), elements=st.floats(-9, 9)))
def test_ranknet_is_binary_cross_entropy_of_the_difference(values):
    better, worse = torch.tensor(values).T
    expected = functional.binary_cross_entropy_with_logits(
        better - worse, torch.ones(len(values), dtype=torch.float64)
    ).item()
    assert pairwise_logistic(better, worse).item() == pytest.approx(expected, abs=1e-12)


@given(st.floats(-9, 9), st.floats(-9, 9))
def test_turning_a_pair_round_costs_the_difference(a, b):
    # −log σ(x) + log σ(−x) = −x
    one, other = (pairwise_logistic(double([x]), double([y])) for x, y in ((a, b), (b, a)))
    assert (one - other).item() == pytest.approx(b - a, abs=1e-12)


# --- Eq. 5 ---------------------------------------------------------------------------------------


def check_target_values(fn):
    # T = 1 with the paper's γ: the reward, whatever V_old(s_1) is.
    agrees(fn, ([[3.0, -1.0]], [9.0, 7.0]), [[3, -1]], ([[1, 1]], [0, 0]))
    # T = 1, γ = 0.5: 3 + 0.5 · 9, −1 + 0.5 · 7.
    agrees(fn, ([[3.0, -1.0]], [9.0, 7.0]), [[7.5, 2.5]], ([[1, 1]], [0.5, 0.5]), gamma=0.5)
    # T = 3, γ = 0.5, two trajectories that have nothing to do with each other.
    #   t = 2: 3 + 0.5 · 16                           = 11      0.5 · 8   = 4
    #   t = 1: 2 + 0.5 · 3 + 0.25 · 16                = 7.5     0.25 · 8  = 2
    #   t = 0: 1 + 0.5 · 2 + 0.25 · 3 + 0.125 · 16    = 4.75    0.125 · 8 = 1
    rewards, last = [[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]], [16.0, 8.0]
    # r_0 stands in one target, r_1 in two, r_2 in three.
    slopes = [[1, 1], [1.5, 1.5], [1.75, 1.75]], [0.875, 0.875]
    agrees(fn, (rewards, last), [[4.75, 1], [7.5, 2], [11, 4]], slopes, gamma=0.5)
    agrees(fn, (rewards, last), rewards)
    # γ = 1: sums of what is to come.
    agrees(fn, (rewards, last), [[22, 8], [21, 8], [19, 8]], gamma=1.0)


def _eq_5(own=0, last=0, with_last=True):
    """Eq. 5 term by term, with what may be added to its powers of γ."""

    def fn(rewards, last_value, gamma=0.0):
        steps = len(rewards)
        rows = []
        for t in range(steps):
            row = sum(gamma ** (k - t + own) * rewards[k] for k in range(t, steps))
            rows.append(row + with_last * gamma ** (steps - t + last) * last_value)
        return torch.stack(rows)

    return fn


WRONG_TARGET_VALUES = {
    "own reward discounted": _eq_5(own=1),
    "last value discounted once too often": _eq_5(last=1),
    "last value discounted once too little": _eq_5(last=-1),
    "no last value": _eq_5(with_last=False),
    "discount 1 unless given": lambda r, v, gamma=1.0: target_values(r, v, gamma),
    "time runs backwards": lambda r, v, gamma=0.0: target_values(r.flip(0), v, gamma),
    "rows backwards": lambda r, v, gamma=0.0: target_values(r, v, gamma).flip(0),
    "only the next": lambda r, v, gamma=0.0: r + gamma * torch.cat([r[1:], v[None]]),
    "rewards of all trajectories": lambda r, v, gamma=0.0: target_values(
        r.mean(1, keepdim=True).expand_as(r), v, gamma
    ),
}


@given(arrays(np.float64, (4, 3), elements=st.floats(-5, 5)), st.floats(0, 1))
def test_target_values_are_eq_5_term_by_term(numbers, gamma):
    rewards, last = numbers[:3], numbers[3]
    expected = [
        sum(gamma**k * rewards[t + k] for k in range(3 - t)) + gamma ** (3 - t) * last
        for t in range(3)
    ]
    found = target_values(torch.tensor(rewards), torch.tensor(last), gamma)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@given(st.floats(-5, 5), st.floats(0, 0.9), st.integers(1, 6))
def test_a_steady_reward_is_worth_the_geometric_series_at_any_time(reward, gamma, steps):
    worth = reward / (1 - gamma)
    found = target_values(double([[reward]] * steps), double([worth]), gamma)
    np.testing.assert_allclose(found, [[worth]] * steps, rtol=1e-12, atol=1e-12)


# --- Eq. 6 and the exact baseline ----------------------------------------------------------------


def check_advantage(fn):
    # Better than expected is positive, worse negative; the whole of it, in any shape.
    agrees(fn, ([1.5, 0.5, 2.0], [0.5, 1.5, 2.0]), [1, -1, 0], ([1, 1, 1], [-1, -1, -1]))
    agrees(fn, ([[0.25], [4.0]], [[1.0], [-1.0]]), [[-0.75], [5]], ([[1], [1]], [[-1], [-1]]))


WRONG_ADVANTAGES = {
    "sides swapped": lambda x, y: y - x,
    "abs": lambda x, y: (x - y).abs(),
    "no baseline": lambda x, y: x + 0 * y,
    "mean as the baseline": lambda x, y: x - y.mean(),
    "brought to mean 0 and variance 1": lambda x, y: (x - y - (x - y).mean()) / (x - y).std(),
    "baseline is a constant": lambda x, y: x - y.detach(),
}


# --- All -----------------------------------------------------------------------------------------

CHECKS = [
    (check_smooth_l1, smooth_l1, WRONG_SMOOTH_L1),
    (check_grade_cross_entropy, grade_cross_entropy, WRONG_CROSS_ENTROPY),
    (check_reward_margin, reward_margin, WRONG_REWARD_MARGIN),
    (check_pairwise_logistic, pairwise_logistic, WRONG_LOGISTIC),
    (check_target_values, target_values, WRONG_TARGET_VALUES),
    (check_advantage, advantages, WRONG_ADVANTAGES),
    (check_advantage, flip_advantages, {}),
]


@each(CHECKS)
def test_by_hand(check, fn):
    check(fn)


@each_wrong(CHECKS)
def test_a_wrong_variant_does_not_pass(check, wrong):
    with pytest.raises(AssertionError):
        check(wrong)


@pytest.mark.parametrize(
    ("fn", "inputs"),
    [
        (smooth_l1, ([0.1, 1.0, 2.4, -0.6], [0.0, 2.0, 2.3, 1.0])),
        (partial(grade_cross_entropy, y=torch.tensor([0, 2])), ([[0.1, 2, -1], [3, 0.2, 0.4]],)),
        (reward_margin, ([0.1, 1.9, -0.6], [0.0, 0.3, 1.0])),
        (pairwise_logistic, ([0.1, 4.0, -0.6], [0.0, 1.0, 2.0])),
        (partial(target_values, gamma=0.7), ([[0.1, 2.0], [0.3, -1.0]], [3.0, 4.0])),
        (advantages, ([0.1, 2.0], [0.3, -1.0])),
        (flip_advantages, ([0.1, 2.0], [0.3, -1.0])),
    ],
)
def test_gradients_are_those_of_finite_differences(fn, inputs):
    assert torch.autograd.gradcheck(fn, [double(values).requires_grad_() for values in inputs])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_is_kept(dtype):
    x, y = torch.tensor([0.1, 1.0], dtype=dtype), torch.tensor([1.0, 2.0], dtype=dtype)
    assert {fn(x, y).dtype for fn in TWO_TENSORS} == {dtype}
    assert grade_cross_entropy(torch.zeros(2, 3, dtype=dtype), y).dtype == dtype
    assert target_values(x[None], y, 0.5).dtype == dtype


@pytest.mark.parametrize("shapes", DIFFERENT_SHAPES, ids=str)
@pytest.mark.parametrize("fn", TWO_TENSORS)
def test_shapes_that_would_broadcast_are_refused(fn, shapes):
    for one, other in (shapes, shapes[::-1]):
        with pytest.raises(ValueError, match="would broadcast"):
            fn(torch.zeros(one), torch.zeros(other))


def test_a_last_value_that_would_broadcast_is_refused():
    for shape in ((), (1,), (2, 3)):
        with pytest.raises(ValueError, match="would broadcast"):
            target_values(torch.zeros(2, 3), torch.zeros(shape), 0.5)
