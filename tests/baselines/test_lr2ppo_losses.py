"""Eq. 3 against hand-worked values and torch's own."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from baselines.lr2ppo.losses import smooth_l1


@pytest.mark.parametrize(
    ("p", "y", "beta", "value"),
    [
        # 0.5 · 0.1² / 0.3 = 1/60; without the division by beta it would be 0.005
        (1.1, 1.0, 0.3, 1 / 60),
        (0.9, 1.0, 0.3, 1 / 60),
        # at the joint: 0.5 · 0.3; without the offset it would be 0.3
        (0.3, 0.0, 0.3, 0.15),
        # 1.5 − 0.15; without the offset it would be 1.5
        (0.5, 2.0, 0.3, 1.35),
        (2.0, 2.0, 0.3, 0.0),
        # another beta, on either side: 0.5 · 0.6² / 1 and 0.6 − 0.25
        (0.6, 0.0, 1.0, 0.18),
        (0.6, 0.0, 0.5, 0.35),
    ],
)
def test_by_hand(p, y, beta, value):
    loss = smooth_l1(torch.tensor([p], dtype=torch.float64), torch.tensor([y]).double(), beta)
    assert loss.item() == pytest.approx(value, abs=1e-12)


def test_mean_over_labels():
    p, y = torch.tensor([1.1, 0.5, 2.0]), torch.tensor([1.0, 2.0, 2.0])
    assert smooth_l1(p, y).item() == pytest.approx((1 / 60 + 1.35 + 0) / 3, abs=1e-7)


numbers = arrays(np.float64, (6, 2), elements=st.floats(-5, 5))


@given(numbers, st.floats(0.01, 3))
def test_agrees_with_torch_in_value_and_gradient(values, beta):
    losses, gradients = [], []
    for function in (smooth_l1, lambda p, y, b: torch.nn.functional.smooth_l1_loss(p, y, beta=b)):
        p = torch.tensor(values[:, 0], requires_grad=True)
        loss = function(p, torch.tensor(values[:, 1]), beta)
        loss.backward()
        losses.append(loss.item())
        gradients.append(p.grad.numpy())
    assert losses[0] == pytest.approx(losses[1], rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(gradients[0], gradients[1], atol=1e-12)


def test_shapes_that_would_broadcast_are_refused():
    with pytest.raises(ValueError, match="predicted"):
        smooth_l1(torch.zeros(3, 1), torch.zeros(3))
    with pytest.raises(ValueError, match="beta"):
        smooth_l1(torch.zeros(3), torch.zeros(3), 0.0)
