"""One step of training: AdamW with and without bias correction, schedules, limits, refusals."""

import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_stages import ALONE
from torch import nn

from baselines.learning.learner import Learner, learning_rate
from baselines.learning.machine import Optimisation
from lrmovienet.errors import UserError

WEIGHT = [[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]]
BIAS = [0.5, -0.75]


def constant(**changes) -> Optimisation:
    options = {
        "learning_rate": 0.1, "schedule": "constant", "warmup": 0.0, "horizon": 1.0,
        "weight_decay": 0.0, "eps": 1e-6, "bias_correction": True, "clip_norm": 0.0,
    }  # fmt: skip
    return Optimisation(**{**options, **changes})


def layer() -> nn.Linear:
    model = nn.Linear(3, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor(WEIGHT))
        model.bias.copy_(torch.tensor(BIAS))
    return model


def learner_of(model, optimisation, steps=10) -> Learner:
    return Learner(model, optimisation, steps, ALONE, "stage 1")


def slope(model, of_weight, of_bias):
    """A loss whose gradient is what is given."""
    return (model.weight * torch.tensor(of_weight)).sum() + (
        model.bias * torch.tensor(of_bias)
    ).sum()


GRADIENTS = (
    ([[3.0, -0.5, 0.0], [1e-3, -2.0, 0.25]], [1.0, -4.0]),
    ([[-1.0, -0.5, 2.0], [1e-3, 6.0, 0.0]], [0.5, 4.0]),
    ([[0.1, 0.2, 0.3], [-0.4, 0.5, 0.6]], [-0.7, 0.8]),
)


def adamw(values, gradients, rates, decay, eps, corrected):
    """AdamW (Loshchilov and Hutter 2019, algorithm 2) in double precision, from the paper."""
    x = np.array(values)
    m, v = np.zeros_like(x), np.zeros_like(x)
    for t, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        g = np.array(gradient)
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        m_hat = m / (1 - 0.9**t) if corrected else m
        v_hat = v / (1 - 0.999**t) if corrected else v
        x = x - rate * m_hat / (np.sqrt(v_hat) + eps) - rate * decay * x
    return x


# --- AdamW ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("corrected", [True, False])
@pytest.mark.parametrize("eps", [1e-6, 0.5])
def test_steps_are_those_of_adamw_by_hand(corrected, eps):
    """Moments from 0; the rate times m / (sqrt(v) + eps); decay beside it, on weights alone."""
    model = layer()
    learner = learner_of(
        model, constant(bias_correction=corrected, eps=eps, weight_decay=0.3, learning_rate=0.02)
    )
    for count, gradients in enumerate(GRADIENTS, start=1):
        learner.update([slope(model, *gradients)])
        rates = [0.02] * count
        for found, start, part, decay in (
            (model.weight, WEIGHT, 0, 0.3), (model.bias, BIAS, 1, 0.0),
        ):  # fmt: skip
            given_ = [pair[part] for pair in GRADIENTS[:count]]
            expected = adamw(start, given_, rates, decay, eps, corrected)
            np.testing.assert_allclose(found.detach(), expected, rtol=0, atol=2e-6)


def test_the_first_step_without_bias_correction_is_longer_by_the_root_of_ten():
    """m = g / 10 and v = g² / 1000, so m / sqrt(v) = sign(g) sqrt(10); with correction, sign(g)."""
    for corrected, length in ((True, 0.1), (False, 0.1 * math.sqrt(10))):
        model = layer()
        learner = learner_of(model, constant(bias_correction=corrected, eps=1e-12))
        learner.update([slope(model, [[3.0, -0.5, 7.0], [1e-3, -2.0, 0.25]], [1.0, -4.0])])
        signs = torch.tensor([[1.0, -1, 1], [1, -1, 1]])
        moved = torch.tensor(WEIGHT) - model.weight.detach()
        torch.testing.assert_close(moved, length * signs, rtol=1e-5, atol=0)


def test_with_bias_correction_it_is_torchs_own_adamw():
    model, other = layer(), layer()
    learner = learner_of(model, constant(weight_decay=0.3))
    torchs = torch.optim.AdamW(
        [
            {"params": [other.weight], "weight_decay": 0.3},
            {"params": [other.bias], "weight_decay": 0.0},
        ],
        lr=0.1, eps=1e-6, foreach=False, fused=False,
    )  # fmt: skip
    for gradients in GRADIENTS:
        learner.update([slope(model, *gradients)])
        torchs.zero_grad()
        slope(other, *gradients).backward()
        torchs.step()
    for found, expected in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_weights_decay_and_biases_do_not():
    """Also the weights of norms, as the docstring of weight_decay says."""
    model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2), nn.Embedding(3, 2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(2.0)
    learner = learner_of(model, constant(weight_decay=0.5))
    learner.update([sum((p * 0).sum() for p in model.parameters())])
    for name, parameter in model.named_parameters():
        expected = 2.0 if name.endswith("bias") else 2.0 * (1 - 0.1 * 0.5)
        assert parameter.tolist() == torch.full_like(parameter, expected).tolist(), name


# --- A step --------------------------------------------------------------------------------------


def test_losses_of_a_step_are_added_up_and_let_go_one_by_one():
    model, whole = layer(), layer()
    options = constant(eps=1.0)

    def losses():
        yield slope(model, *GRADIENTS[0])
        # By now the first one is done with: its gradient is there.
        assert model.bias.grad.tolist() == GRADIENTS[0][1]
        yield 2 * slope(model, *GRADIENTS[1])

    learner = learner_of(model, options)
    total = learner.update(losses())
    expected = slope(whole, *GRADIENTS[0]) + 2 * slope(whole, *GRADIENTS[1])
    assert total == pytest.approx(expected.item())
    learner_of(whole, options).update([expected])
    assert learner.step == 1
    for found, other in zip(model.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(found, other, rtol=0, atol=1e-6)


def test_the_norm_of_all_gradients_together_is_limited():
    """Gradients 3 and 4 have the norm 5: with a limit of 1 they are 0.6 and 0.8; 0 is no limit."""
    for limit, factor in ((1.0, 0.2), (10.0, 1.0), (0.0, 1.0)):
        model = layer()
        learner = learner_of(model, constant(clip_norm=limit, eps=1.0))
        learner.update([slope(model, [[3.0, 0, 0], [0, 0, 0]], [0.0, 4.0])])
        gradients = [3 * factor, 4 * factor]
        start = [WEIGHT[0][0], BIAS[1]]
        expected = [
            adamw(x, [g], [0.1], 0.0, 1.0, True) for x, g in zip(start, gradients, strict=True)
        ]
        found = [model.weight[0, 0].item(), model.bias[1].item()]
        assert found == pytest.approx(expected, abs=1e-6)


def test_each_step_takes_the_rate_of_its_own_place():
    """Four rising steps: with eps so small, the first step of weights moves by a quarter."""
    model = layer()
    learner = learner_of(model, constant(warmup=0.4, bias_correction=True), steps=10)
    rates = []
    for gradients in GRADIENTS:
        rates.append(learner.rate)
        learner.update([slope(model, *gradients)])
    assert rates == pytest.approx([0.025, 0.05, 0.075])
    expected = adamw(BIAS, [pair[1] for pair in GRADIENTS], rates, 0.0, 1e-6, True)
    np.testing.assert_allclose(model.bias.detach(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("corrected", [True, False])
def test_a_saved_state_goes_on_as_if_nothing_had_been(corrected):
    options = constant(bias_correction=corrected, schedule="cosine", weight_decay=0.1)
    model = layer()
    learner = learner_of(model, options)
    learner.update([slope(model, *GRADIENTS[0])])
    file = io.BytesIO()
    torch.save(learner.state(), file)
    other = nn.Linear(3, 2)
    again = learner_of(other, options)
    again.restore(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    for gradients in GRADIENTS[1:]:
        learner.update([slope(model, *gradients)])
        again.update([slope(other, *gradients)])
    assert again.step == 3 and again.rate == learner.rate
    assert torch.equal(model.weight, other.weight) and torch.equal(model.bias, other.bias)


def not_a_number(model):
    return slope(model, *GRADIENTS[1]) * math.nan


def infinite_gradient(model):
    """A loss of 0 whose slope at its place is infinite: the root at 0."""
    return (model.weight - model.weight.detach()).sqrt().sum()


def infinite_loss(model):
    """The gradient is finite."""
    return slope(model, *GRADIENTS[1]) + torch.tensor(math.inf)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (not_a_number, r"the loss is nan and its gradient's norm nan"),
        (infinite_gradient, r"the loss is 0\.0 and its gradient's norm inf"),
        (infinite_loss, r"the loss is inf and its gradient's norm \d"),
    ],
)
@pytest.mark.parametrize("limit", [0.0, 1.0])
def test_what_is_not_finite_stops_the_training_before_anything_changes(loss, said, limit):
    model = layer()
    learner = learner_of(model, constant(clip_norm=limit))
    learner.update([slope(model, *GRADIENTS[0])])
    before = {name: w.clone() for name, w in model.state_dict().items()}
    with pytest.raises(UserError, match=rf"stage 1: {said}.* in step 2 of 10\. .*now 0\.1"):
        learner.update([loss(model)])
    assert learner.step == 1
    assert all(torch.equal(w, before[name]) for name, w in model.state_dict().items())
    # Nor did moments take any of it: the next steps are those of a run without it.
    other = layer()
    unharmed = learner_of(other, constant(clip_norm=limit))
    unharmed.update([slope(other, *GRADIENTS[0])])
    for one, of in ((learner, model), (unharmed, other)):
        one.update([slope(of, *GRADIENTS[2])])
    assert torch.equal(model.weight, other.weight)


# --- The schedule --------------------------------------------------------------------------------


def rates(optimisation, steps, upto=None):
    return [learning_rate(optimisation, step, steps) for step in range(upto or steps)]


def test_constant_by_hand():
    options = constant(learning_rate=1.0, warmup=0.2)
    assert rates(options, 10) == [0.5] + [1.0] * 9
    assert rates(constant(learning_rate=1.0), 3) == [1.0] * 3


def test_linear_by_hand():
    """Two of ten steps rise; the ninth step after the peak would be the first at 0."""
    options = constant(learning_rate=8.0, warmup=0.2, schedule="linear")
    assert rates(options, 10, 12) == pytest.approx([4, 8, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0])


def test_cosine_by_hand():
    """cos(0), cos(60°), cos(90°), cos(120°), cos(180°) and what lies between."""
    options = constant(learning_rate=1.0, warmup=0.25, schedule="cosine")
    expected = [0.5, 1.0, 1.0, (2 + math.sqrt(3)) / 4, 0.75, 0.5, 0.25, (2 - math.sqrt(3)) / 4, 0]
    assert rates(options, 8, 9) == pytest.approx(expected, abs=1e-12)


def test_a_longer_horizon_cuts_the_schedule_off():
    whole = constant(learning_rate=1.0, warmup=0.1, schedule="linear")
    planned = constant(learning_rate=1.0, warmup=0.1, schedule="linear", horizon=4.0)
    assert rates(planned, 100) == rates(whole, 400, 100)


def test_the_released_schedule_of_stage_1():
    """4 × 4,785 steps planned, 4,785 run: up to 2e-5 at step 1,914, then down to 1.67e-5."""
    options = constant(learning_rate=2e-5, warmup=0.1, schedule="linear", horizon=4.0)
    found = rates(options, 4785, 4786)
    assert found.index(max(found)) + 1 == 1914 and max(found) == pytest.approx(2e-5, rel=1e-12)
    assert found[0] == pytest.approx(2e-5 / 1914, rel=1e-12)
    assert found[4785] == pytest.approx(2e-5 * (19140 - 4785) / (19140 - 1914), rel=1e-12)
    assert found[4784] - found[4785] == pytest.approx(2e-5 / (19140 - 1914), rel=1e-6)
    assert found[4785] == pytest.approx(1.67e-5, rel=5e-3)


def test_the_released_schedule_of_stage_3():
    """412 updates of 341,301 planned: the rate gets no higher than in the logs, 1.20e-5."""
    options = constant(learning_rate=1e-3, warmup=0.1, schedule="linear", horizon=828.4)
    found = rates(options, 412)
    np.testing.assert_allclose(np.diff(found), 1e-3 / 34130.08, rtol=1e-6)
    assert found[0] == pytest.approx(1e-3 / 34130.08, rel=1e-6)
    assert found[-1] == pytest.approx(1.207e-5, rel=1e-3)


@given(
    st.sampled_from(["constant", "cosine", "linear"]), st.floats(0, 1), st.floats(1, 50),
    st.integers(1, 60),
)  # fmt: skip
def test_a_rate_rises_to_its_highest_and_never_rises_again(schedule, warmup, horizon, steps):
    options = constant(learning_rate=2.0, warmup=warmup, schedule=schedule, horizon=horizon)
    found = np.array(rates(options, steps, 2 * steps))
    assert (found >= 0).all() and (found <= 2.0).all()
    assert (found[:steps] > 0).all()
    top = int(found.argmax())
    assert (np.diff(found[: top + 1]) > 0).all() and (np.diff(found[top:]) <= 0).all()
