"""Plackett–Luce by enumeration: all rankings of a few labels, their chances and their worth."""

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.plackett_luce import (
    agreement,
    discounts,
    expected_agreement,
    gumbel_rankings,
    ndcg_of,
    normalised_gains,
    pl_rank,
    place_log_probabilities,
)
from eval.ndcg import ndcg

SCORES = torch.tensor([0.4, -1.1, 0.9, 2.0, -0.3], dtype=torch.float64)
RHO = torch.tensor([0.0, 1.0, 3.0, 0.5, 0.0], dtype=torch.float64)
EVERY = torch.tensor(list(permutations(range(5))))


def chance(scores, ranking) -> float:
    """Of a ranking, by its definition: label after label among those left."""
    left, found = list(range(len(scores))), 1.0
    for label in ranking:
        found *= math.exp(scores[label]) / sum(math.exp(scores[i]) for i in left)
        left.remove(label)
    return found


@settings(deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=5))
def test_log_probabilities_are_those_of_the_definition_and_sum_to_one(values):
    scores = torch.tensor(values, dtype=torch.float64)
    every = torch.tensor(list(permutations(range(len(values)))))
    found = place_log_probabilities(scores, every).sum(1)
    for ranking, log in zip(every.tolist(), found.tolist(), strict=True):
        assert log == pytest.approx(math.log(chance(values, ranking)), abs=1e-9)
    assert found.exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_the_first_places_have_the_chance_of_all_rankings_that_begin_so():
    logs = place_log_probabilities(SCORES, EVERY)
    begins = [i for i, ranking in enumerate(EVERY.tolist()) if ranking[:2] == [2, 0]]
    expected = sum(chance(SCORES.tolist(), EVERY[i].tolist()) for i in begins)
    for i in begins:
        assert logs[i, :2].sum().exp().item() == pytest.approx(expected, abs=1e-12)


def test_by_hand():
    """e^s are 1, 2 and 3: 2 first 3/6, then 0 among 0 and 1: 1/3."""
    scores = torch.tensor([1.0, 2.0, 3.0]).log().double()
    found = place_log_probabilities(scores, torch.tensor([[2, 0, 1]])).exp()
    assert found[0].tolist() == pytest.approx([1 / 2, 1 / 3, 1], abs=1e-6)


def test_far_scores_lose_no_label():
    """e^−800 is 0 in double precision."""
    scores = torch.tensor([0.0, -800.0, -801.0], dtype=torch.float64)
    logs = place_log_probabilities(scores, torch.tensor([[0, 2, 1], [1, 0, 2]]))
    later = -1 - math.log(1 + math.exp(-1))
    assert logs[0].tolist() == pytest.approx([0, later, 0], abs=1e-9)
    assert logs[1].tolist() == pytest.approx([-800, 0, 0], abs=1e-9)


def test_scores_with_gumbel_noise_in_order_are_draws_of_plackett_luce():
    noise = torch.from_numpy(np.random.default_rng(1).gumbel(size=(40_000, 5)))
    rankings = gumbel_rankings(SCORES, noise)
    assert (rankings.sort(1).values == torch.arange(5)).all()
    numbers = {tuple(ranking): i for i, ranking in enumerate(EVERY.tolist())}
    counts = np.bincount([numbers[tuple(r)] for r in rankings.tolist()], minlength=120)
    expected = np.array([chance(SCORES.tolist(), r) for r in EVERY.tolist()])
    # Pearson's statistic over the 120 rankings: 119 ± 15 where they are right.
    statistic = ((counts - 40_000 * expected) ** 2 / (40_000 * expected)).sum()
    assert statistic < 119 + 5 * math.sqrt(2 * 119)


def test_discounts_and_gains_by_hand():
    assert discounts(4, 2).tolist() == pytest.approx([1, 1 / math.log2(3), 0, 0], abs=1e-12)
    assert discounts(2, 10).tolist() == pytest.approx([1, 1 / math.log2(3)], abs=1e-12)
    ideal = 3 + 1 / math.log2(3)
    found = normalised_gains(np.array([0, 2, 1]), 2).tolist()
    assert found == pytest.approx([0, 3 / ideal, 1 / ideal], abs=1e-12)
    only = normalised_gains(np.array([1, 2, 1]), 1).tolist()
    assert only == pytest.approx([1 / 3, 1, 1 / 3], abs=1e-12)
    with pytest.raises(ValueError, match="no NDCG"):
        normalised_gains(np.array([0, 0]), 2)


@given(st.lists(st.integers(0, 2), min_size=2, max_size=14).filter(any), st.integers(0, 99))
def test_the_worth_of_a_ranking_is_its_ndcg(grades, seed):
    """As the scorer has it: of scores that fall along the ranking."""
    rng = np.random.default_rng(seed)
    ranking = rng.permutation(len(grades))
    scores = np.empty(len(grades))
    scores[ranking] = -np.arange(len(grades))
    expected = ndcg(scores, np.array(grades), [0, len(grades)], [10])[0, 0]
    rho = normalised_gains(np.array(grades), 10)
    found = ndcg_of(torch.from_numpy(ranking)[None], rho, discounts(len(grades), 10))
    assert found.item() == pytest.approx(expected, abs=1e-12)


# --- PL-Rank -------------------------------------------------------------------------------------


def exact(scores: torch.Tensor, depth: int) -> tuple[float, torch.Tensor]:
    """The expected DCG and its gradient, by all beginnings of `depth` labels and autograd."""
    leaf = scores.clone().requires_grad_()
    total = torch.zeros((), dtype=torch.float64)
    for begin in permutations(range(len(scores)), depth):
        left, logs, worth = list(range(len(scores))), 0.0, 0.0
        for place, label in enumerate(begin, start=1):
            logs = logs + leaf[label] - leaf[left].logsumexp(0)
            left.remove(label)
            worth += RHO[label].item() / math.log2(1 + place)
        total = total + logs.exp() * worth
    total.backward()
    return total.item(), leaf.grad


@pytest.mark.parametrize("depth", [1, 3, 5])
def test_pl_rank_of_all_rankings_is_the_exact_gradient(depth):
    value, gradient = exact(SCORES, depth)
    theta = discounts(5, depth)
    found, worth = torch.zeros(5, dtype=torch.float64), 0.0
    for ranking in EVERY:
        p = chance(SCORES.tolist(), ranking.tolist())
        found += p * pl_rank(SCORES, ranking[None], RHO, theta)
        worth += p * ndcg_of(ranking[None], RHO, theta).item()
    assert worth == pytest.approx(value, abs=1e-12)
    assert gradient.abs().max() > 0.05
    torch.testing.assert_close(found, gradient, rtol=0, atol=1e-12)


def test_pl_rank_is_unbiased_and_varies_less_than_the_policy_gradient():
    _, gradient = exact(SCORES, 3)
    theta = discounts(5, 3)
    noise = torch.from_numpy(np.random.default_rng(2).gumbel(size=(4_000, 5)))
    rankings = gumbel_rankings(SCORES, noise)
    each = torch.stack([pl_rank(SCORES, r[None], RHO, theta) for r in rankings])
    error = each.std(0) / math.sqrt(len(each))
    assert ((each.mean(0) - gradient).abs() < 4 * error + 1e-12).all()
    torch.testing.assert_close(pl_rank(SCORES, rankings, RHO, theta), each.mean(0))
    # REINFORCE: the worth of a ranking times the gradient of its log probability.
    leaf = SCORES.clone().requires_grad_()
    worth = ndcg_of(rankings, RHO, theta)
    policy = []
    for ranking, reward in zip(rankings[:1000], worth, strict=False):
        log = place_log_probabilities(leaf, ranking[None])[0, :3].sum()
        policy.append(reward * torch.autograd.grad(log, leaf)[0])
    assert each.var(0).sum() < 0.5 * torch.stack(policy).var(0).sum()


def test_pl_rank_does_not_hang_on_a_shift_of_the_scores():
    theta = discounts(5, 3)
    there = pl_rank(SCORES, EVERY, RHO, theta)
    for shift in (1.0, 600.0):
        torch.testing.assert_close(pl_rank(SCORES + shift, EVERY, RHO, theta), there)


# --- Agreement with pairs ------------------------------------------------------------------------


def test_agreement_by_hand():
    rankings = torch.tensor([[2, 0, 1], [1, 0, 2]])
    pairs = torch.tensor([[2, 0], [2, 1], [0, 1], [1, 0]])
    assert agreement(rankings, pairs).tolist() == [0.75, 0.25]


def test_expected_agreement_is_the_mean_over_all_rankings():
    pairs = torch.tensor([[0, 1], [3, 2], [1, 4]])
    expected = sum(
        chance(SCORES.tolist(), ranking.tolist()) * agreement(ranking[None], pairs).item()
        for ranking in EVERY
    )
    assert expected_agreement(SCORES, pairs).item() == pytest.approx(expected, abs=1e-12)
