"""Losses on annotated pairs that hold the actor to stage 1: DPO, IPO, hinge, and DPO on lists.

Each takes residuals, what the actor's score s has moved from the score s_ref that the frozen stage
1 gives to the same label. DPO (Rafailov et al. 2023) has β log(π / π_ref) in their place: with the
Bradley–Terry policy over the two orders of a pair, log π(ij) − log π(ji) is s_i − s_j, so that

    β (log π(ij) / π_ref(ij) − log π(ji) / π_ref(ji)) = β ((s_i − s_j) − (s_ref,i − s_ref,j)).

A `gain` below is that difference without β, (n,), of n pairs of which label i is the better one.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional


def dpo(gain: Tensor, beta: float, label_smoothing: float = 0.0) -> Tensor:
    """DPO (Rafailov et al. 2023, Eq. 7): the mean of −log σ(β gain), RankNet on β times residuals.

    With label smoothing ε, −(1 − ε) log σ(β gain) − ε log σ(−β gain) (conservative DPO, Mitchell
    2023): a pair is wrong with probability ε, and the loss is least at σ(β gain) = 1 − ε.

    Args:
        gain: (n,) see above.
        beta: above 0; the smaller, the farther from stage 1.
        label_smoothing: ε, from 0 to below 0.5.

    Returns:
        A scalar; log 2 where nothing has moved, whatever β and ε.

    Raises:
        ValueError: β or ε is out of bounds.
    """
    _require_above_zero(beta)
    if not 0 <= label_smoothing < 0.5:
        raise ValueError(f"label_smoothing must be 0 to below 0.5, not {label_smoothing}")
    right, wrong = functional.softplus(-beta * gain), functional.softplus(beta * gain)
    return ((1 - label_smoothing) * right + label_smoothing * wrong).mean()


def ipo(gain: Tensor, beta: float) -> Tensor:
    """IPO (Azar et al. 2024, Eq. 17, their τ is β): the mean of (gain − 1 / (2 β))².

    Least where every better label has gained 1 / (2 β) over the worse one, and no more.
    """
    _require_above_zero(beta)
    return ((gain - 1 / (2 * beta)) ** 2).mean()


def hinge(gain: Tensor, beta: float) -> Tensor:
    """SLiC-HF's hinge (Zhao et al. 2023) on residuals: the mean of max(0, 1 − β gain).

    A pair whose better label has gained 1 / β counts no more. SLiC takes it of log π alone; against
    a reference it is the hinge of RSO (Liu et al. 2024).
    """
    _require_above_zero(beta)
    return (1 - beta * gain).clamp(min=0).mean()


def plackett_luce_dpo(residuals: Tensor, pairs: Tensor, beta: float) -> Tensor:
    """DPO under Plackett–Luce (Rafailov et al. 2023, appendix A.3), for what is known of an order.

    A ranking is a row of choices: each label is chosen before all that stand below it. A partial
    order names, of each label i, only some labels W_i that are worse, so that its choice is

        −log( e^{b_i} / (e^{b_i} + Σ_{j in W_i} e^{b_j}) ),   b = β residual,

    summed over all labels i that are better than any. Of a strict order of all labels this is
    Plackett–Luce's own loss; of grades each label is chosen among itself and all of lower grades,
    and equal grades say nothing; of a single worse label it is DPO.

    Args:
        residuals: (n,) of the labels of some clips.
        pairs: (m, 2) places of a better and a worse label; both are of one clip.
        beta: above 0.

    Returns:
        A scalar, the sum over better labels divided by the m pairs; 0 without pairs.
    """
    _require_above_zero(beta)
    if not len(pairs):
        return residuals.sum() * 0
    better, row = torch.unique(pairs[:, 0], return_inverse=True)
    rivals = torch.zeros(len(better), len(residuals), dtype=torch.bool, device=residuals.device)
    rivals[row, pairs[:, 1]] = True
    rivals[torch.arange(len(better), device=residuals.device), better] = True
    b = beta * residuals
    among = b.expand(len(better), -1).masked_fill(~rivals, -math.inf).logsumexp(1)
    return (among - b[better]).sum() / len(pairs)


def _require_above_zero(beta: float) -> None:
    if not beta > 0:
        raise ValueError(f"beta must be above 0, not {beta}")
