"""The policy of DCPG: what it draws, how likely that was, and what its gradient is worth."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from baselines.dcpg.attention import (
    LEAST_STD,
    AttentionConfig,
    Policy,
    draw_actions,
    gumbel,
    log_normal,
)
from baselines.dcpg.losses import policy_loss
from baselines.dcpg.towers import GraphReasoning, Tower, last_state, padded, unit, weigh

MODES = ("both", "discrete", "continuous", "soft")
LAMBDA = 7.0


def policy(mode="both", dim=6, **options) -> Policy:
    torch.manual_seed(1)
    return Policy(4, dim, AttentionConfig(mode, actions=5, scale=LAMBDA, **options))


def sequences(lengths=(5, 1, 3), dim=4):
    torch.manual_seed(2)
    return padded([torch.randn(length, dim) for length in lengths])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("training", [True, False])
def test_weights_lie_between_0_and_lambda_and_padding_has_none(mode, training):
    items, mask = sequences()
    attended = policy(mode).train(training)(items, mask)
    assert attended.weights.shape == (3, 5, 2)
    there = attended.weights[mask]
    # Of a single item the softmax is all of λ; the first discrete action is 0.
    assert (there <= LAMBDA).all() if mode == "soft" else (there < LAMBDA).all()
    assert (there >= 0).all() if mode == "discrete" else (there > 0).all()
    assert (attended.weights[~mask] == 0).all()
    if mode == "soft":
        torch.testing.assert_close(attended.weights.sum(1), torch.full((3, 2), LAMBDA))


def test_evaluation_takes_the_likeliest_action_and_the_mean():
    """μ = logistic(argmax / n), Att = sigmoid(μ): by hand from the recurrent states."""
    items, mask = sequences()
    for mode in ("both", "discrete", "continuous"):
        it = policy(mode).eval()
        out = it.mean(it.gru(items)[0]).detach().numpy()
        if mode == "continuous":
            expected = LAMBDA / (1 + np.exp(-out))
        else:
            level = out.reshape(3, 5, 2, 5).argmax(3) / 5
            mu = 1 / (1 + np.exp(-level))
            expected = LAMBDA * (level if mode == "discrete" else 1 / (1 + np.exp(-mu)))
        found = it(items, mask)
        expected = expected * mask.numpy()[:, :, None]
        np.testing.assert_allclose(found.weights.detach().numpy(), expected, atol=1e-5)
        assert torch.equal(found.weights, it(items, mask).weights)


def test_in_training_weights_are_drawn():
    items, mask = sequences()
    for mode in ("both", "discrete", "continuous"):
        it = policy(mode).train()
        assert not torch.equal(it(items, mask).weights, it(items, mask).weights)


@pytest.mark.parametrize("mode", MODES)
def test_padding_and_company_do_not_matter(mode):
    items, mask = sequences((5, 1, 3, 2, 4))
    it = policy(mode).eval()
    together = it(items, mask)
    for i, length in enumerate(mask.sum(1)):
        alone = it(items[i : i + 1, :length], mask[i : i + 1, :length])
        torch.testing.assert_close(together.weights[i, :length], alone.weights[0])
        torch.testing.assert_close(together.discrete[i], alone.discrete[0])
        torch.testing.assert_close(together.continuous[i], alone.continuous[0])
    noise = torch.where(mask[:, :, None], items, torch.randn_like(items) * 9)
    torch.testing.assert_close(it(noise, mask), together)


def test_log_density_by_hand_and_as_torch_has_it():
    """log N(1; 0, 2²) = −1/8 − log 2 − ½ log 2π."""
    one = log_normal(torch.tensor(1.0), torch.tensor(0.0), torch.tensor(2.0))
    assert one.item() == pytest.approx(-1 / 8 - math.log(2) - 0.5 * math.log(2 * math.pi), abs=1e-6)
    x, mu, std = torch.randn(20), torch.randn(20), torch.rand(20) + 0.1
    torch.testing.assert_close(log_normal(x, mu, std), Normal(mu, std).log_prob(x))


def test_the_density_is_that_of_the_draw_that_gave_the_weight_summed_over_items_and_heads():
    items, mask = sequences()
    it = policy("continuous").train()
    attended = it(items, mask)
    states = it.gru(items)[0]
    x = torch.logit(attended.weights / LAMBDA)
    std = torch.nn.functional.softplus(it.std(states)) + LEAST_STD
    each = Normal(it.mean(states), std).log_prob(x.where(mask[:, :, None], torch.zeros_like(x)))
    expected = (each * mask[:, :, None]).sum((1, 2))
    torch.testing.assert_close(attended.continuous, expected, atol=1e-3, rtol=1e-4)
    assert attended.discrete.tolist() == [0, 0, 0]
    official = policy("continuous", log_probability="official").train()(items, mask)
    assert not torch.allclose(official.continuous, expected, atol=1e-2)


def test_actions_have_the_value_of_what_was_drawn_and_the_gradient_of_the_relaxed():
    """The relaxed probabilities again, from the same noise."""
    logits = torch.randn(40, 3, 6, requires_grad=True)
    torch.manual_seed(5)
    actions = draw_actions(logits, 0.7)
    torch.manual_seed(5)
    relaxed = ((logits + gumbel(logits)) / 0.7).softmax(-1)
    chosen = actions.hard.argmax(-1)
    hard = torch.nn.functional.one_hot(chosen, 6).float()
    torch.testing.assert_close(actions.hard, hard, atol=1e-6, rtol=0)
    expected = relaxed.gather(-1, chosen[..., None]).squeeze(-1).log()
    torch.testing.assert_close(actions.log_probability, expected)
    weights = torch.randn(6)
    (found,) = torch.autograd.grad((actions.hard * weights).sum(), logits, retain_graph=True)
    (wanted,) = torch.autograd.grad((relaxed * weights).sum(), logits)
    torch.testing.assert_close(found, wanted)


def test_gumbel_noise_has_its_mean_and_variance():
    """Euler's constant and π² / 6."""
    torch.manual_seed(0)
    noise = gumbel(torch.zeros(200_000))
    assert noise.mean().item() == pytest.approx(0.5772157, abs=4 * (math.pi**2 / 6 / 2e5) ** 0.5)
    assert noise.var().item() == pytest.approx(math.pi**2 / 6, rel=0.02)


def test_the_continuous_gradient_reaches_w_mu_through_the_discrete_actions():
    items, mask = sequences()
    it = policy("both").train()
    it(items, mask).continuous.sum().backward()
    assert it.mean.weight.grad.abs().max() > 0.01
    assert it.gru.weight_ih_l0.grad.abs().max() > 0


@pytest.mark.parametrize("mode", ["both", "discrete", "continuous"])
def test_weights_that_were_drawn_let_no_gradient_through(mode):
    items, mask = sequences()
    for training in (True, False):
        assert not policy(mode).train(training)(items, mask).weights.requires_grad
    assert policy("soft")(items, mask).weights.requires_grad


# --- What the gradient is worth ------------------------------------------------------------------

BATCH, BATCHES = 4000, 60


def estimates(it: Policy, reward, which: str, beta: float) -> dict[str, np.ndarray]:
    """Gradients of −policy loss over many batches of one and the same item: (batches, …) each."""
    item = torch.tensor([[[0.5, -1.0, 0.3, 0.8]]]).expand(BATCH, -1, -1)
    mask = torch.ones(BATCH, 1, dtype=torch.bool)
    found: dict[str, list] = {"mean": [], "std": []}
    for _ in range(BATCHES):
        it.zero_grad()
        attended = it.train()(item, mask)
        rewards = reward(attended.weights.detach().squeeze(1).double().numpy())
        loss = policy_loss(getattr(attended, which), rewards, beta)
        (-loss).backward()
        for name, values in found.items():
            if hasattr(it, name):
                values.append(getattr(it, name).weight.grad.numpy().copy())
    return {name: np.array(values) for name, values in found.items() if values}


def standard_errors_apart(estimated: np.ndarray, exact: np.ndarray) -> np.ndarray:
    error = estimated.std(0, ddof=1) / math.sqrt(len(estimated))
    return np.abs(estimated.mean(0) - exact) / error


@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_the_continuous_gradient_is_that_of_the_expected_reward(beta):
    """R = x², so that E[R] = μ² + σ²: ∂/∂μ = 2μ, ∂/∂σ = 2σ. The official form's mean is 0."""
    it = policy("continuous", dim=3, heads=1)
    with torch.no_grad():
        it.mean.weight.mul_(3)
    item = torch.tensor([[[0.5, -1.0, 0.3, 0.8]]])
    state = it.gru(item)[0].detach()[0, 0]
    raw = (it.std.weight @ state).item()
    mu, std = (it.mean.weight @ state).item(), math.log1p(math.exp(raw)) + LEAST_STD
    exact = {"mean": 2 * mu * state.numpy()[None]}
    exact["std"] = 2 * std / (1 + math.exp(-raw)) * state.numpy()[None]

    def reward(weights):
        att = weights[:, 0] / LAMBDA
        return np.log(att / (1 - att)) ** 2

    fixed = estimates(it, reward, "continuous", beta)
    it.config = replace(it.config, log_probability="official")
    official = estimates(it, reward, "continuous", beta)
    for name, gradient in exact.items():
        assert standard_errors_apart(fixed[name], gradient).max() < 4
        assert standard_errors_apart(fixed[name], 0 * gradient).min() > 10
        assert standard_errors_apart(official[name], 0 * gradient).max() < 4


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_the_discrete_gradient_is_that_of_the_expected_reward(temperature):
    """Of two actions the second earns 1. p(second) = E[sigmoid((d + L) / τ)], L logistic noise."""
    torch.manual_seed(3)
    config = AttentionConfig("discrete", heads=1, actions=2, scale=LAMBDA, temperature=temperature)
    it = Policy(4, 3, config)
    state = it.gru(torch.tensor([[[0.5, -1.0, 0.3, 0.8]]]))[0].detach()[0, 0]
    first, second = (it.mean.weight @ state).tolist()
    u = (np.arange(1_000_000) + 0.5) / 1_000_000
    p = 1 / (1 + np.exp(-((second - first + np.log(u / (1 - u))) / temperature)))
    slope = (p * (1 - p)).mean() / temperature
    exact = np.outer([-slope, slope], state.numpy())
    found = estimates(it, lambda w: (w[:, 0] > 0).astype(float), "discrete", 0.5)["mean"]
    assert standard_errors_apart(found, exact).max() < 4
    assert standard_errors_apart(found, 0 * exact).min() > 10


# --- Towers --------------------------------------------------------------------------------------


def test_graph_reasoning_by_loops_and_at_first_the_identity():
    torch.manual_seed(4)
    layer = GraphReasoning(4)
    items, mask = sequences((3, 2))
    assert torch.equal(layer(items, mask), items)
    torch.nn.init.normal_(layer.norm.weight)
    found = layer(items, mask)
    for b, length in enumerate((3, 2)):
        for i in range(length):
            total = torch.zeros(4)
            for j in range(length):
                relation = layer.query(items[b, i]) @ layer.key(items[b, j])
                total = total + relation * layer.value(items[b, j]) / length
            expected = items[b, i] + layer.norm(layer.out(total))
            torch.testing.assert_close(found[b, i], expected)


@pytest.mark.parametrize("mode", ["both", "uniform", "none"])
def test_fusion_is_the_last_state_plus_the_mean_of_weighted_items(mode):
    torch.manual_seed(4)
    tower = Tower(4, 4, AttentionConfig(mode, heads=2, actions=5, scale=LAMBDA)).eval()
    items, mask = sequences((3, 1))
    found = tower(items, mask).vectors
    for b, length in enumerate((3, 1)):
        own = items[b : b + 1, :length]
        if mode == "both":  # the first half of the channels is the first head's
            weights = tower.policy(own, mask[b : b + 1, :length]).weights
            own = torch.cat([own[..., :2] * weights[..., :1], own[..., 2:] * weights[..., 1:]], 2)
        expected = own[0].mean(0)
        if mode != "none":
            expected = expected + tower.gru(own)[0][0, -1]
        torch.testing.assert_close(found[b], expected)


def test_a_sequence_without_items_has_the_vector_0():
    for mode in ("both", "soft", "none"):
        tower = Tower(4, 6, AttentionConfig(mode)).train()
        items, mask = padded([torch.zeros(0, 4), torch.zeros(0, 4)])
        vectors = tower(items, mask).vectors
        vectors.sum().backward()
        assert (vectors == 0).all()
        assert all(p.grad is None or p.grad.isfinite().all() for p in tower.parameters())


def test_small_parts():
    items, mask = sequences((3, 1))
    assert torch.equal(last_state(items, mask)[0], items[0, 2])
    assert torch.equal(last_state(items, mask)[1], items[1, 0])
    weights = torch.tensor([[[2.0, 3.0]]])
    assert weigh(torch.ones(1, 1, 4), weights).tolist() == [[[2, 2, 3, 3]]]
    of_length_1 = torch.tensor([[0.6, 0.8], [0.0, 0.0]])
    torch.testing.assert_close(unit(torch.tensor([[3.0, 4.0], [0.0, 0.0]])), of_length_1)
    with pytest.raises(ValueError, match="4 channels cannot be shared out to 3 heads"):
        Tower(4, 4, AttentionConfig(heads=3))
    for wrong in ({"heads": 0}, {"actions": 0}, {"scale": 0.0}, {"temperature": -1.0}):
        with pytest.raises(ValueError, match="must be above 0"):
            AttentionConfig(**wrong)
