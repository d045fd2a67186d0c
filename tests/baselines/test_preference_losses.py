"""Losses against stage 1: values by hand, gradients by differences, and what each comes down to."""

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.lr2ppo.losses import pairwise_logistic
from baselines.preference_losses import dpo, hinge, ipo, plackett_luce_dpo

GAINS = st.lists(st.floats(-4, 4), min_size=1, max_size=6)
BETAS = st.floats(0.05, 5)


def doubles(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_values_by_hand():
    gain = doubles([1.0, -2.0])
    # β gain is 0.5 and −1.
    right = (math.log(1 + math.exp(-0.5)) + math.log(1 + math.exp(1))) / 2
    wrong = (math.log(1 + math.exp(0.5)) + math.log(1 + math.exp(-1))) / 2
    assert dpo(gain, 0.5).item() == pytest.approx(right, abs=1e-12)
    assert dpo(gain, 0.5, 0.1).item() == pytest.approx(0.9 * right + 0.1 * wrong, abs=1e-12)
    # 1 / (2 β) is 1: (1 − 1)² and (−2 − 1)².
    assert ipo(gain, 0.5).item() == pytest.approx(4.5, abs=1e-12)
    # 1 − 0.5 and 1 + 1; with β 2: 1 − 2 is cut to 0, 1 + 4.
    assert hinge(gain, 0.5).item() == pytest.approx(1.25, abs=1e-12)
    assert hinge(gain, 2.0).item() == pytest.approx(2.5, abs=1e-12)


def test_lists_by_hand():
    """0 before 1 and 2, 1 before 2; 3 before 4, of another clip; 5 is in no pair."""
    residuals = doubles([1.0, 0.0, -1.0, 0.5, 0.0, 100.0])
    pairs = torch.tensor([[0, 1], [3, 4], [0, 2], [1, 2]])
    e = math.exp
    of_0 = -math.log(e(2) / (e(2) + e(0) + e(-2)))
    of_1 = -math.log(e(0) / (e(0) + e(-2)))
    of_3 = -math.log(e(1) / (e(1) + e(0)))
    found = plackett_luce_dpo(residuals, pairs, 2.0).item()
    assert found == pytest.approx((of_0 + of_1 + of_3) / 4, abs=1e-12)


def test_where_nothing_has_moved():
    zero = torch.zeros(3, dtype=torch.float64)
    assert dpo(zero, 0.3).item() == pytest.approx(math.log(2), abs=1e-12)
    assert dpo(zero, 0.3, 0.2).item() == pytest.approx(math.log(2), abs=1e-12)
    assert ipo(zero, 0.25).item() == pytest.approx(4, abs=1e-12)
    assert hinge(zero, 0.3).item() == 1
    pairs = torch.tensor([[0, 1], [0, 2]])
    found = plackett_luce_dpo(zero, pairs, 0.3).item()
    assert found == pytest.approx(math.log(3) / 2, abs=1e-12)


@given(
    st.lists(st.tuples(*[st.floats(-3, 3)] * 4), min_size=1, max_size=5), BETAS
)  # fmt: skip
def test_dpo_is_ranknet_on_beta_times_residuals(rows, beta):
    better, worse, of_better, of_worse = doubles(rows).unbind(1)
    gain = (better - worse) - (of_better - of_worse)
    expected = pairwise_logistic(beta * (better - of_better), beta * (worse - of_worse))
    assert dpo(gain, beta).item() == pytest.approx(expected.item(), abs=1e-9)


@given(GAINS, BETAS)
def test_dpo_on_lists_is_dpo_where_each_choice_is_among_two(gains, beta):
    residuals = doubles([x for gain in gains for x in (gain, 0.0)])
    pairs = torch.arange(len(residuals)).view(-1, 2)
    found = plackett_luce_dpo(residuals, pairs, beta).item()
    assert found == pytest.approx(dpo(doubles(gains), beta).item(), abs=1e-9)


def test_dpo_on_a_strict_order_is_plackett_luce():
    """e^−loss is the probability of the order, which sums to 1 over all orders."""
    rng = np.random.default_rng(0)
    residuals, beta = doubles(rng.normal(size=4)), 0.7
    chances = []
    for order in permutations(range(4)):
        pairs = [(i, j) for place, i in enumerate(order) for j in order[place + 1 :]]
        loss = plackett_luce_dpo(residuals, torch.tensor(pairs), beta) * len(pairs)
        e = [math.exp(beta * residuals[i]) for i in order]
        expected = math.prod(e[place] / sum(e[place:]) for place in range(4))
        assert loss.item() == pytest.approx(-math.log(expected), abs=1e-12)
        chances.append(math.exp(-loss.item()))
    assert sum(chances) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("beta", [0.1, 0.5, 2.0])
def test_ipo_is_least_at_one_over_two_beta(beta):
    best = 1 / (2 * beta)
    assert ipo(doubles([best, best]), beta).item() == pytest.approx(0, abs=1e-15)
    gain = doubles([best]).requires_grad_()
    ipo(gain, beta).backward()
    assert gain.grad.item() == 0
    assert ipo(doubles([best + 0.1]), beta).item() == pytest.approx(0.01, abs=1e-12)


@pytest.mark.parametrize("smoothing", [0.05, 0.2, 0.4])
def test_smoothed_dpo_is_least_where_a_pair_is_wrong_that_often(smoothing):
    best = math.log((1 - smoothing) / smoothing) / 1.7
    gain = doubles([best]).requires_grad_()
    dpo(gain, 1.7, smoothing).backward()
    assert gain.grad.item() == pytest.approx(0, abs=1e-12)
    for other in (best - 0.1, best + 0.1):
        assert dpo(doubles([other]), 1.7, smoothing) > dpo(gain, 1.7, smoothing)


def test_a_hinge_that_is_reached_pulls_no_more():
    gain = doubles([0.4, 0.6]).requires_grad_()
    hinge(gain, 2.0).backward()
    assert gain.grad.tolist() == [-1.0, 0.0]


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: dpo(x[:3] - x[3:], 0.8, 0.1),
        lambda x: ipo(x[:3] - x[3:], 0.8),
        lambda x: hinge(x[:3] - x[3:], 0.8),
        lambda x: plackett_luce_dpo(x, torch.tensor([[0, 1], [0, 4], [1, 5], [2, 5]]), 0.8),
    ],
)
def test_gradients_are_those_of_differences(loss):
    x = doubles([0.3, -1.2, 0.7, 0.1, 1.4, -0.6]).requires_grad_()
    assert torch.autograd.gradcheck(loss, (x,), eps=1e-6, atol=1e-7)


def test_labels_that_are_never_better_nor_worse_get_no_gradient():
    x = doubles([0.3, -1.2, 0.7]).requires_grad_()
    plackett_luce_dpo(x, torch.tensor([[0, 1]]), 1.0).backward()
    assert x.grad[0] < 0 < x.grad[1] and x.grad[2] == 0


def test_without_pairs_a_list_has_no_loss_and_no_gradient():
    x = doubles([0.3, 0.4]).requires_grad_()
    loss = plackett_luce_dpo(x, torch.zeros(0, 2, dtype=torch.int64), 1.0)
    loss.backward()
    assert loss.item() == 0 and x.grad.tolist() == [0, 0]


def test_numbers_out_of_bounds_are_refused():
    gain, pairs = doubles([1.0, 2.0]), torch.tensor([[0, 1]])
    for beta in (0.0, -1.0, math.nan):
        for loss in (dpo, ipo, hinge, lambda x, b: plackett_luce_dpo(x, pairs, b)):
            with pytest.raises(ValueError, match="beta must be above 0"):
                loss(gain, beta)
    for smoothing in (-0.1, 0.5):
        with pytest.raises(ValueError, match=r"label_smoothing must be 0 to below 0\.5"):
            dpo(gain, 1.0, smoothing)
