"""Plackett–Luce: a distribution over rankings, given a score a label.

A ranking y is drawn place by place, each label with a probability in proportion to e^s among those
that are left (Luce 1959; Plackett 1975):

    π(y) = Π_k e^{s_{y_k}} / S_k,   S_k = Σ over the labels not in y_1 … y_{k−1} of e^s.

Everything here is of one clip: scores (n,), rankings (N, n) of positions, best first.
"""

import torch
from torch import Tensor

from baselines.data import Ints
from eval.ndcg import gains


def gumbel_rankings(scores: Tensor, noise: Tensor) -> Tensor:
    """(N, n) rankings drawn from Plackett–Luce: labels in descending order of score plus noise.

    Args:
        scores: (n,)
        noise: (N, n) independent draws of the standard Gumbel distribution.
    """
    return (scores.detach() + noise).argsort(dim=1, descending=True, stable=True)


def place_log_probabilities(scores: Tensor, rankings: Tensor) -> Tensor:
    """(N, n) log probability of each label of a ranking at its place, given those before it.

    Their sum along a row is log π(y); the sum of the first k is that of all rankings that begin so.
    """
    placed = scores[rankings]
    left = placed.flip(1).logcumsumexp(1).flip(1)
    return placed - left


def discounts(labels: int, depth: int) -> Tensor:
    """θ_k = 1 / log2(1 + k) at the places k = 1 … `depth`, and 0 at those after it: (labels,)."""
    place = torch.arange(1, labels + 1, dtype=torch.float64)
    return (1 / torch.log2(1 + place)) * (place <= depth)


def normalised_gains(grades: Ints, depth: int) -> Tensor:
    """(n,) ρ = (2^grade − 1) / IDCG@depth, so that Σ_k θ_k ρ_{y_k} is NDCG@depth of a ranking y.

    Raises:
        ValueError: no grade is above 0, so that NDCG is not defined.
    """
    worth = torch.from_numpy(gains(grades))
    ideal = (worth.sort(descending=True).values * discounts(len(worth), depth)).sum()
    if not ideal > 0:
        raise ValueError("no label has a grade above 0, so there is no NDCG")
    return worth / ideal


def ndcg_of(rankings: Tensor, rho: Tensor, theta: Tensor) -> Tensor:
    """(N,) Σ_k θ_k ρ_{y_k} of some rankings."""
    return rho[rankings] @ theta


def pl_rank(scores: Tensor, rankings: Tensor, rho: Tensor, theta: Tensor) -> Tensor:
    """PL-Rank-3 (Oosterhuis 2022): the gradient of the expected Σ_k θ_k ρ_{y_k} by the scores.

    Of each ranking y, with rank(d) the place of label d in it,

        PR_i = Σ_{k ≥ i} θ_k ρ_{y_k},   RI_i = Σ_{k ≤ i} PR_k / S_k,   DR_i = Σ_{k ≤ i} θ_k / S_k,
        dV / ds_d = E_y[ PR_{rank(d)+1} + e^{s_d} (ρ_d DR_{rank(d)} − RI_{rank(d)}) ].

    A label's own gain is taken at every place where it could have stood, which is why this varies
    less than a policy gradient over as many rankings. The paper's rankings end at K, here they go
    on, with θ = 0: PR, RI and DR then stay what they are at K.

    Args:
        scores: (n,)
        rankings: (N, n) drawn with these scores.
        rho: (n,) what a label is worth.
        theta: (n,) what a place is worth.

    Returns:
        (n,) the mean over the rankings, without a gradient of its own.
    """
    with torch.no_grad():
        weights = (scores - scores.max()).exp()  # a shift cancels between e^s and S
        left = weights[rankings].flip(1).cumsum(1).flip(1)
        placed = theta * rho[rankings]
        from_here = placed.flip(1).cumsum(1).flip(1)  # PR_i
        risk = (from_here / left).cumsum(1)
        direct = (theta / left).cumsum(1)
        of_place = from_here - placed + weights[rankings] * (rho[rankings] * direct - risk)
        return torch.zeros_like(of_place).scatter(1, rankings, of_place).mean(0)


def expected_agreement(scores: Tensor, pairs: Tensor) -> Tensor:
    """The expected share of pairs (m, 2), better label first, that a ranking puts right: a scalar.

    Under Plackett–Luce i stands before j with probability σ(s_i − s_j), whatever the other labels
    (Luce's choice axiom), so that nothing need be drawn.
    """
    better, worse = scores[pairs].unbind(1)
    return torch.sigmoid(better - worse).mean()


def agreement(rankings: Tensor, pairs: Tensor) -> Tensor:
    """(N,) the share of pairs (m, 2), better label first, that each ranking puts right."""
    place = rankings.argsort(dim=1)  # of a permutation: its inverse
    return (place[:, pairs[:, 0]] < place[:, pairs[:, 1]]).double().mean(1)
