"""GRPO's parts by enumeration on three labels."""

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from tiny_stages import GRPO, Sums, record, stage

from baselines.grpo import Group, divergence, group_advantages
from baselines.list_rewards import Rewarded
from baselines.plackett_luce import place_log_probabilities

EVERY = torch.tensor(list(permutations(range(3))))
WORTH = torch.tensor([0.9, 0.1, 0.5, 0.3, 0.8, 0.2], dtype=torch.float64)
SCORES = torch.tensor([0.3, -0.4, 0.8], dtype=torch.float64)


def test_advantages_by_hand():
    found = group_advantages(torch.tensor([1.0, 2.0, 3.0, 2.0], dtype=torch.float64))
    root = math.sqrt(0.5)
    assert found.tolist() == pytest.approx([-1 / root, 0, 1 / root, 0], abs=1e-12)


def test_a_group_that_ties_says_nothing():
    for spread in (0.0, 1e-9):
        rewards = torch.tensor([0.7, 0.7 + spread, 0.7], dtype=torch.float64)
        assert group_advantages(rewards).tolist() == [0, 0, 0]


def test_divergence_by_hand_and_on_average_over_all_rankings():
    now = torch.tensor([[-1.0, -2.0]], dtype=torch.float64)
    start = torch.tensor([[-1.5, -1.0]], dtype=torch.float64)
    expected = math.exp(-0.5) + 0.5 - 1 + math.e - 1 - 1
    assert divergence(now, start).item() == pytest.approx(expected, abs=1e-12)
    assert divergence(torch.cat([now, now]), torch.cat([start, now])).item() == pytest.approx(
        expected / 2, abs=1e-12
    )
    # Drawn from the policy, its mean is KL(π, π_ref) of whole rankings.
    first = torch.tensor([1.0, 0.2, -0.5], dtype=torch.float64)
    now, start = (place_log_probabilities(s, EVERY) for s in (SCORES, first))
    of_each = [divergence(now[i : i + 1], start[i : i + 1]) for i in range(6)]
    p = now.sum(1).exp()
    kl = (p * (now.sum(1) - start.sum(1))).sum().item()
    assert sum(p[i] * of_each[i] for i in range(6)).item() == pytest.approx(kl, abs=1e-12)


def group(old: torch.Tensor, reference: torch.Tensor, depth: int = 3) -> Group:
    logs = place_log_probabilities(old, EVERY)[:, :depth].sum(1)
    start = place_log_probabilities(reference, EVERY)[:, :depth]
    return Group(EVERY, logs, start, group_advantages(WORTH), 0.0)


def loss_of(scores: torch.Tensor, of: Group, depth: int = 3, **changes) -> torch.Tensor:
    return stage("grpo", **changes)._loss(scores, depth, of, Sums({}))


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_before_the_first_step_it_is_the_policy_gradient_of_the_advantages(depth, temperature):
    """By enumeration: the gradient of −mean of Â log π(y), the ratio being 1 and KL flat."""
    leaf = SCORES.clone().requires_grad_()
    of = group(SCORES / temperature, SCORES / temperature, depth)
    loss_of(leaf, of, depth, temperature=temperature).backward()
    other = SCORES.clone().requires_grad_()
    logs = []
    for ranking in EVERY.tolist():
        left, log = [0, 1, 2], 0.0
        for label in ranking[:depth]:
            log = log + other[label] / temperature - (other[left] / temperature).logsumexp(0)
            left.remove(label)
        logs.append(log)
    spread = WORTH.numpy().std()
    advantage = [(w - WORTH.mean().item()) / spread for w in WORTH.tolist()]
    expected = -sum(a * log for a, log in zip(advantage, logs, strict=True)) / 6
    expected.backward()
    assert other.grad.abs().max() > 0.05
    torch.testing.assert_close(leaf.grad, other.grad, rtol=0, atol=1e-12)


def test_a_step_down_the_loss_raises_the_expected_reward():
    """Of an even policy each ranking is drawn as often, so that all six are a fair group."""
    even = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    of = group(even.detach(), even.detach())
    before = (place_log_probabilities(even, EVERY).sum(1).exp() * WORTH).sum()
    loss_of(even, of, kl_weight=0.0).backward()
    after = even.detach() - 0.1 * even.grad
    assert (place_log_probabilities(after, EVERY).sum(1).exp() * WORTH).sum() > before + 1e-3


def test_a_ratio_beyond_its_limit_pulls_no_more():
    """Only rankings whose advantage would push the ratio on are cut off."""
    old = torch.zeros(3, dtype=torch.float64)
    of = group(old, old)
    leaf = SCORES.clone().requires_grad_()
    sums = Sums({})
    stage("grpo", kl_weight=0.0)._loss(leaf, 3, of, sums).backward()
    other = SCORES.clone().requires_grad_()
    ratio = (place_log_probabilities(other, EVERY).sum(1) - of.old).exp()
    cut = ((ratio > 1.2) & (of.advantage > 0)) | ((ratio < 0.8) & (of.advantage < 0))
    assert 0 < cut.sum() < 6
    (-(ratio * of.advantage)[~cut].sum() / 6).backward()
    torch.testing.assert_close(leaf.grad, other.grad, rtol=0, atol=1e-12)
    beyond = ((ratio - 1).abs() > 0.2).double().mean().item()
    assert sums.sums["clipped"] == pytest.approx(beyond, abs=1e-12)


def test_the_divergence_counts_by_its_weight_and_pulls_back():
    of = group(SCORES, torch.zeros(3, dtype=torch.float64))._replace(
        advantage=torch.zeros(6, dtype=torch.float64)
    )
    leaf = SCORES.clone().requires_grad_()
    loss = loss_of(leaf, of, kl_weight=0.5)
    now = place_log_probabilities(SCORES, EVERY)
    assert loss.item() == pytest.approx(0.5 * divergence(now, of.reference).item(), abs=1e-12)
    loss.backward()
    spread = (SCORES - SCORES.mean()).square().sum()
    after = SCORES - 0.1 * leaf.grad
    assert (after - after.mean()).square().sum() < spread


def test_what_is_drawn_is_of_seed_epoch_and_clip_alone():
    clip = Rewarded(
        record("a-b", "x", "y", "z"), None, torch.tensor([[0, 1], [2, 1]], dtype=torch.int64)
    )
    ranker = stage("grpo")
    old = np.array([0.2, 0.1, 0.0])
    found = ranker._draw(clip, old, old, 1, 5)
    again = ranker._draw(clip, old, old, 1, 5)
    assert torch.equal(found.rankings, again.rankings) and len(found.rankings) == GRPO.samples
    for epoch, place in ((2, 5), (1, 6)):
        assert not torch.equal(ranker._draw(clip, old, old, epoch, place).rankings, found.rankings)
    noise = np.random.default_rng([0, 7, 1, 5, 1]).gumbel(size=(GRPO.samples, 3))
    assert found.rankings.tolist() == np.argsort(-(old + noise), axis=1).tolist()
    share = [(r.index(0) < r.index(1)) / 2 + (r.index(2) < r.index(1)) / 2
             for r in found.rankings.tolist()]  # fmt: skip
    assert found.reward == pytest.approx(np.mean(share), abs=1e-12)
    logs = place_log_probabilities(torch.from_numpy(old), found.rankings)
    torch.testing.assert_close(found.old, logs.sum(1))
    torch.testing.assert_close(found.reference, logs)
