"""Losses and rewards of DCPG (section 3, Eqs. 6 to 10 and 14), and their forms for label ranking.

b clips, images or captions, in a batch; n labels; s scores. Rewards are numbers, not tensors with a
gradient: R@1, AP and NDCG have none.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from eval.ndcg import ndcg

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
MatchingReward = Literal["r1+ap", "ap", "r1"]
RankingReward = Literal["ndcg+ap", "ap", "ndcg"]


# --- Policy gradient -----------------------------------------------------------------------------


def leave_one_out(rewards: Floats) -> Floats:
    """Eq. 10: b_k = Σ_{j≠k} R_j / (K − 1), (b,) to (b,). One reward alone has the baseline 0.

    The released code calls so a mean that has the instance itself in it.
    """
    if len(rewards) < 2:
        return np.zeros_like(rewards)
    found: Floats = (rewards.sum() - rewards) / (len(rewards) - 1)
    return found


def policy_loss(log_probability: Tensor, rewards: Floats, beta: float = 0.5) -> Tensor:
    """Eqs. 7 and 8: the mean of −(Σ_t log π_t)(R − β b) over the batch, b of Eq. 10.

    The paper sums over the batch, and counts R once an item (Σ_t R). Both would let the weight of
    this loss hang on the size of the batch and on the length of the texts, so here it is a mean and
    R counts once.

    Args:
        log_probability: (b,) Σ_t log π_t of what was drawn.
        rewards: (b,) what it earned.
        beta: share of the baseline that is taken off; the paper's is 0.5, 0 for none.
    """
    gain = torch.from_numpy(rewards - beta * leave_one_out(rewards))
    return -(log_probability * gain.to(log_probability)).mean()


# --- Rewards -------------------------------------------------------------------------------------


def average_precision(scores: Floats, relevant: Bools) -> Floats:
    """AP of each query: the mean, over its relevant items, of the precision at their ranks.

    Of equal scores the irrelevant stands first, so that a tie earns nothing. A query without a
    relevant item has 0.

    Args:
        scores: (q, n) higher is better; −∞ where there is no item.
        relevant: (q, n)

    Returns:
        (q,) from 0 to 1.
    """
    order = np.lexsort((relevant, -scores), axis=-1)
    hits = np.take_along_axis(relevant, order, 1)
    precision = hits.cumsum(1) / np.arange(1, hits.shape[1] + 1)
    found: Floats = (precision * hits).sum(1) / hits.sum(1).clip(min=1)
    return found


def recall_at_1(scores: Floats, relevant: Bools) -> Floats:
    """1 where a relevant item stands above every irrelevant one, else 0: (q, n), (q, n) to (q,)."""
    best = np.where(relevant, scores, -np.inf).max(1)
    worst = np.where(relevant, -np.inf, scores).max(1)
    found: Floats = (best > worst).astype(np.float64)
    return found


def matching_rewards(scores: Floats, relevant: Bools, kind: MatchingReward = "r1+ap") -> Floats:
    """Eq. 9: R = R@1 + AP of every query with the batch as its gallery, or one of the two."""
    parts = {"r1": recall_at_1, "ap": average_precision}
    found: Floats = np.sum([parts[name](scores, relevant) for name in kind.split("+")], axis=0)
    return found


def ranking_rewards(
    scores: Floats, grades: npt.NDArray[np.int64], kind: RankingReward = "ndcg+ap"
) -> Floats:
    """What takes the place of Eq. 9 for labels: NDCG@5 + AP of high (grade 2) against the rest.

    Args:
        scores: (c, n) of c clips' labels.
        grades: (c, n) 2, 1 or 0; −1 where there is no label.
        kind: both, or one of the two. A clip without a relevant label earns 0.

    Returns:
        (c,) from 0 to 2.
    """
    total = np.zeros(len(scores))
    there = grades >= 0
    if "ndcg" in kind:
        offsets = np.concatenate([[0], there.sum(1).cumsum()])
        total += ndcg(scores[there], grades[there], offsets, [5], empty="zero")[:, 0]
    if "ap" in kind:
        total += average_precision(np.where(there, scores, -np.inf), grades == 2)
    return total


# --- Metric learning -----------------------------------------------------------------------------


def hardest_triplet(similarity: Tensor, negative: Tensor, margin: float = 0.2) -> Tensor:
    """Eq. 14, the mean over pairs, both directions added.

        [α − S(I, T) + S(I, T̂)]₊ + [α − S(I, T) + S(Î, T)]₊

    Args:
        similarity: (b, b) of image i and caption j; pairs are on the diagonal.
        negative: (b, b) true where caption j is not of image i. A row or column without any
            negative adds nothing.
        margin: α.
    """
    right = similarity.diagonal()
    wrong = similarity.masked_fill(~negative, -torch.inf)
    captions = (margin - right + wrong.amax(1)).clamp(min=0)
    images = (margin - right + wrong.amax(0)).clamp(min=0)
    return (captions + images).mean()


def graded_triplet(scores: Tensor, grades: Tensor, margin: float = 0.2) -> Tensor:
    """Eq. 14 for the grades of a clip: the margin grows with how far two grades are apart.

    For each label i the hardest of those below it, max over j with y_j < y_i of
    [α (y_i − y_j) − s_i + s_j]₊; the mean over all labels that have one below them.

    Args:
        scores: (c, n)
        grades: (c, n) 2, 1 or 0; −1 where there is no label.
        margin: α, a step of grade.
    """
    apart = (grades[:, :, None] - grades[:, None, :]).to(scores)
    below = (apart > 0) & (grades >= 0)[:, None, :]
    short = margin * apart - scores[:, :, None] + scores[:, None, :]
    hardest = short.masked_fill(~below, -torch.inf).amax(2).clamp(min=0)
    return hardest.sum() / below.any(2).sum().clamp(min=1)


def foreign_triplet(
    similarity: Tensor, positive: Tensor, negative: Tensor, margin: float = 0.2
) -> Tensor:
    """Eq. 14 between clips: a clip's high labels against the hardest of other clips, both ways.

    Args:
        similarity: (c, n) of each clip and every label of the batch.
        positive: (c, n) true where the label is the clip's own, with grade high.
        negative: (c, n) true where the label is not one of the clip's.
        margin: α.

    Returns:
        The mean over all positives of two hinges; 0 without positives.
    """
    wrong = similarity.masked_fill(~negative, -torch.inf)
    labels = (margin - similarity + wrong.amax(1, keepdim=True)).clamp(min=0)
    clips = (margin - similarity + wrong.amax(0, keepdim=True)).clamp(min=0)
    total = (labels + clips).where(positive, torch.zeros_like(similarity)).sum()
    return total / positive.sum().clamp(min=1)


def instance_loss(logits: Tensor, instances: Tensor) -> Tensor:
    """Cross-entropy with a class an image or clip (section 3.4): (m, classes), (m,) to a scalar.

    0 where there is nothing to classify.
    """
    if not len(instances):
        return logits.sum()
    return functional.cross_entropy(logits, instances)
