"""Losses of learning to rank as pure functions on padded lists.

Shapes: `scores` (b, n) floats, `grades` (b, n) integers 0, 1, 2, …, `mask` (b, n) true where there
is an item; what stands at padding does not matter, wherever in a row it stands. Each loss is the
mean over the lists that have an item above grade 0. The others contribute nothing, not even to the
number that is divided by; a batch of them alone gives 0, with a graph.

s = scores, y = grades of one list's n items, D_r = log2(1 + r). A gain is 2^y − 1, and
G_i = (2^{y_i} − 1) / maxDCG with the list's own maxDCG, over all its items.
"""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from lrmovienet.errors import UserError

LambdaWeights = Literal["lambdarank", "ndcg_loss2", "ndcg_loss2pp"]

# --- Cross-entropies of a softmax over the list --------------------------------------------------


def listnet_top_one(scores: Tensor, grades: Tensor, mask: Tensor) -> Tensor:
    """ListNet (Cao et al. 2007, top-one probabilities): −Σ_i softmax(y)_i log softmax(s)_i."""
    _same_shape(scores, grades, mask)
    return _cross_entropy(_softmax(grades.to(scores.dtype), mask), scores, grades, mask)


def attention_rank(scores: Tensor, grades: Tensor, mask: Tensor) -> Tensor:
    """DLCM's loss (Ai et al. 2018), also SetRank's: −Σ_i a_i log softmax(s)_i.

    a_i = e^{y_i} / Σ_{y_j > 0} e^{y_j} where y_i > 0, else 0.
    """
    _same_shape(scores, grades, mask)
    target = _softmax(grades.to(scores.dtype), mask & (grades > 0))
    return _cross_entropy(target, scores, grades, mask)


def softmax_cross_entropy(
    scores: Tensor, grades: Tensor, mask: Tensor, over: Literal["one", "grades", "items"] = "one"
) -> Tensor:
    """−Σ_i y_i log softmax(s)_i, divided by 1, by Σ_i y_i (GSF) or by n (RankFormer)."""
    _same_shape(scores, grades, mask)
    target = grades.to(scores.dtype).masked_fill(~mask, 0)
    if over == "grades":
        target = target / target.sum(1, keepdim=True).clamp(min=1)
    elif over == "items":
        target = target / mask.sum(1, keepdim=True).clamp(min=1)
    return _cross_entropy(target, scores, grades, mask)


def list_mle(scores: Tensor, grades: Tensor, mask: Tensor, keys: Tensor) -> Tensor:
    """ListMLE (Xia et al. 2008): −Σ_k log(e^{s_π(k)} / Σ_{r ≥ k} e^{s_π(r)}), π the order by grade.

    Args:
        scores: (b, n)
        grades: (b, n)
        mask: (b, n)
        keys: (b, n) what breaks ties: of equal grades, the higher key stands first. Draw them
            anew for every step. Items whose keys are equal too each have all the others of them
            among their rivals, Breslow's way with ties: with keys of zeros the loss has no chance.
    """
    _same_shape(scores, grades, mask, keys)
    y, y_other = grades[:, :, None], grades[:, None, :]
    tied = (y_other == y) & (keys[:, None, :] <= keys[:, :, None])
    # [i, j]: j stands at i's place or behind it. i itself does, so that no row is empty.
    behind = ((y_other < y) | tied) & mask[:, None, :]
    rivals = scores[:, None, :].masked_fill(~behind, torch.finfo(scores.dtype).min).logsumexp(2)
    return over_lists((rivals - scores).masked_fill(~mask, 0).sum(1), grades, mask)


# --- Pairs ---------------------------------------------------------------------------------------


def ranknet(scores: Tensor, grades: Tensor, mask: Tensor) -> Tensor:
    """RankNet (Burges et al. 2005): the mean of log(1 + e^{−(s_i − s_j)}) over a list's y_i > y_j.

    A list all of whose items have one grade above 0 has no pair: its loss is 0, and counts.
    """
    _same_shape(scores, grades, mask)
    better = _better(grades, mask)
    losses = functional.softplus(-_differences(scores)).masked_fill(~better, 0).sum((1, 2))
    return over_lists(losses / better.sum((1, 2)).clamp(min=1), grades, mask)


def lambda_loss(
    scores: Tensor,
    grades: Tensor,
    mask: Tensor,
    weights: LambdaWeights = "ndcg_loss2pp",
    sigma: float = 1.0,
    mu: float = 10.0,
) -> Tensor:
    """LambdaLoss (Wang et al. 2018): Σ over y_i > y_j of w_ij log2(1 + e^{−σ (s_i − s_j)}).

    The weights are constants, see `lambda_weights`; `mu` is used by NDCGLoss2++ alone.
    """
    _same_shape(scores, grades, mask)
    better = _better(grades, mask)
    w = lambda_weights(scores, grades, mask, weights, mu)
    losses = functional.softplus(-sigma * _differences(scores)) / math.log(2)
    return over_lists((w * losses).masked_fill(~better, 0).sum((1, 2)), grades, mask)


def lambda_weights(
    scores: Tensor,
    grades: Tensor,
    mask: Tensor,
    weights: LambdaWeights = "ndcg_loss2pp",
    mu: float = 10.0,
) -> Tensor:
    """(b, n, n) w_ij of `lambda_loss`; i, j in D are the ranks by the scores, 1 at the top.

    ============  =========================================================
    lambdarank    abs(G_i − G_j) abs(1 / D_i − 1 / D_j)
    ndcg_loss2    abs(G_i − G_j) abs(1 / D_{abs(i−j)} − 1 / D_{abs(i−j)+1})
    ndcg_loss2pp  the first + mu times the second
    ============  =========================================================

    Made of ranks and grades, so that no gradient comes through. Of no meaning where i = j and at
    padding.
    """
    place = ranks(scores, mask).to(scores.dtype)
    gain = _normalised_gains(scores, grades, mask)
    discount = 1 / torch.log2(1 + place)
    swapped = (discount[:, :, None] - discount[:, None, :]).abs()
    apart = (place[:, :, None] - place[:, None, :]).abs().clamp(min=1)
    moved = 1 / torch.log2(1 + apart) - 1 / torch.log2(2 + apart)
    factor = {"lambdarank": swapped, "ndcg_loss2": moved, "ndcg_loss2pp": swapped + mu * moved}
    return (gain[:, :, None] - gain[:, None, :]).abs() * factor[weights]


# --- Smooth forms of NDCG ------------------------------------------------------------------------


def approx_ndcg(scores: Tensor, grades: Tensor, mask: Tensor, alpha: float = 10.0) -> Tensor:
    """ApproxNDCG (Qin et al. 2010): −Σ_i G_i / log2(1 + rank_i), between −1 and 0.

    rank_i = 1 + Σ_{j ≠ i} sigmoid(α (s_j − s_i)). Usual code has α = 1, with which the gradients of
    small scores are nearly flat.
    """
    _same_shape(scores, grades, mask)
    above = torch.sigmoid(-alpha * _differences(scores)).masked_fill(~mask[:, None, :], 0)
    rank = above.sum(2) + 0.5  # the sum has sigmoid(0) of the item itself
    gain = _normalised_gains(scores, grades, mask)
    return over_lists(-(gain / torch.log2(1 + rank)).sum(1), grades, mask)


def neural_ndcg(
    scores: Tensor,
    grades: Tensor,
    mask: Tensor,
    tau: float = 1.0,
    iterations: int = 50,
    tolerance: float = 1e-6,
) -> Tensor:
    """NeuralNDCG (Pobrotyn and Białobrzeski 2021): −DCG of softly sorted gains / maxDCG.

    The gains are sorted by `neural_sort`'s matrix after Sinkhorn scaling.
    """
    _same_shape(scores, grades, mask)
    sorting = sinkhorn(neural_sort(scores, mask, tau), iterations, tolerance)
    gain = _normalised_gains(scores, grades, mask)
    placed = (sorting * gain[:, None, :]).sum(2)
    places = torch.arange(1, placed.shape[1] + 1, dtype=placed.dtype, device=placed.device)
    return over_lists(-(placed / torch.log2(1 + places)).sum(1), grades, mask)


def neural_sort(scores: Tensor, mask: Tensor, tau: float = 1.0) -> Tensor:
    """NeuralSort (Grover et al. 2019): (b, k, i) how much item i stands at place k.

    Row k of a list of n is softmax(((n + 1 − 2k) s − A 1) / τ), A_ij = abs(s_i − s_j). Rows beyond
    n, and columns of padding, are 0.
    """
    count = mask.sum(1, keepdim=True)
    distances = _differences(scores).abs().masked_fill(~mask[:, None, :], 0).sum(2)
    place = torch.arange(1, mask.shape[1] + 1, device=mask.device)[None, :]
    slope = (count + 1 - 2 * place).to(scores.dtype)
    energy = (slope[:, :, None] * scores[:, None, :] - distances[:, None, :]) / tau
    energy = energy.masked_fill(~mask[:, None, :], torch.finfo(scores.dtype).min)
    there = (place <= count)[:, :, None] & mask[:, None, :]
    return energy.softmax(2).masked_fill(~there, 0)


def sinkhorn(matrices: Tensor, iterations: int = 50, tolerance: float = 1e-6) -> Tensor:
    """Scale (b, n, n) matrices until the sums of rows and columns are 1, columns first, then rows.

    Each matrix stops by itself, once all its sums are within `tolerance` of 1, so that it does not
    hang on the others of the batch. Rows and columns of 0 (below 1e-10) are left as they are; to
    divide by a small number instead would drown all gradients in those of padding.
    """
    for _ in range(iterations):
        columns, rows = _sums(matrices, 1), _sums(matrices, 2)
        off = torch.maximum(_off(columns), _off(rows)) > tolerance
        if not off.any():
            break
        scaled = matrices / columns
        scaled = scaled / _sums(scaled, 2)
        matrices = torch.where(off[:, None, None], scaled, matrices)
    return matrices


def _off(sums: Tensor) -> Tensor:
    return (sums - 1).abs().amax((1, 2))


def _sums(matrices: Tensor, dim: int) -> Tensor:
    sums = matrices.sum(dim, keepdim=True)
    return sums.where(sums > 1e-10, 1.0)


# --- Ordinal regression --------------------------------------------------------------------------


def ordinal(logits: Tensor, grades: Tensor, mask: Tensor) -> Tensor:
    """Of a list, the mean over its items of `ordinal_losses`. `logits` (b, n, K)."""
    _same_shape(logits[..., 0], grades, mask)
    losses = ordinal_losses(logits, grades.masked_fill(~mask, 0)).masked_fill(~mask, 0)
    return over_lists(losses.sum(1) / mask.sum(1).clamp(min=1), grades, mask)


def ordinal_losses(logits: Tensor, grades: Tensor) -> Tensor:
    """Binary cross-entropies of the K questions whether y ≥ 1, …, K, summed (Niu et al. 2016).

    Args:
        logits: (…, K) of yes.
        grades: (…)

    Returns:
        (…)

    Raises:
        UserError: a grade is above K; it would be taken for K.
    """
    levels = torch.arange(1, logits.shape[-1] + 1, device=logits.device)
    if grades.numel() and int(grades.max()) > len(levels):
        raise UserError(
            f"grade {int(grades.max())}, but outputs for grades up to {len(levels)}: set the "
            "network's levels to the highest grade there is."
        )
    targets = (grades[..., None] >= levels).to(logits.dtype)
    losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return losses.sum(-1)


# --- Parts ---------------------------------------------------------------------------------------


def over_lists(losses: Tensor, grades: Tensor, mask: Tensor) -> Tensor:
    """Mean of (b,) losses over the lists with an item above grade 0; without, 0 with a graph."""
    relevant = ((grades > 0) & mask).any(1)
    return losses.masked_fill(~relevant, 0).sum() / relevant.sum().clamp(min=1)


def ranks(scores: Tensor, mask: Tensor) -> Tensor:
    """(b, n) integers: 1 for the highest score; of equal scores the first in the row is above.

    Padding comes after all items.
    """
    order = scores.masked_fill(~mask, -math.inf).argsort(dim=1, descending=True, stable=True)
    return order.argsort(dim=1) + 1


def _cross_entropy(target: Tensor, scores: Tensor, grades: Tensor, mask: Tensor) -> Tensor:
    lowest = torch.finfo(scores.dtype).min
    logs = scores.masked_fill(~mask, lowest).log_softmax(1).masked_fill(~mask, 0)
    return over_lists(-(target * logs).sum(1), grades, mask)


def _softmax(values: Tensor, where: Tensor) -> Tensor:
    lowest = torch.finfo(values.dtype).min
    return values.masked_fill(~where, lowest).softmax(1).masked_fill(~where, 0)


def _better(grades: Tensor, mask: Tensor) -> Tensor:
    """[i, j]: both are items, and i has the higher grade."""
    both = mask[:, :, None] & mask[:, None, :]
    return (grades[:, :, None] > grades[:, None, :]) & both


def _differences(scores: Tensor) -> Tensor:
    """[i, j]: s_i − s_j."""
    return scores[:, :, None] - scores[:, None, :]


def _normalised_gains(scores: Tensor, grades: Tensor, mask: Tensor) -> Tensor:
    """(b, n) G_i, in the precision of the scores; 0 where a list has nothing relevant."""
    gain = (2.0 ** grades.to(scores.dtype) - 1).masked_fill(~mask, 0)
    places = torch.arange(1, gain.shape[1] + 1, dtype=gain.dtype, device=gain.device)
    highest = (gain.sort(dim=1, descending=True).values / torch.log2(1 + places)).sum(1)
    return gain / highest.where(highest > 0, 1.0)[:, None]


def _same_shape(*tensors: Tensor) -> None:
    shapes = [tuple(tensor.shape) for tensor in tensors]
    if len(set(shapes)) > 1:
        raise ValueError(f"shapes {', '.join(map(str, shapes))} would broadcast")
