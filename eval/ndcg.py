"""NDCG@k over many clips at once, with gain, ties, empty clips and short lists spelled out.

The metric is that of the LR²PPO paper, appendix C.2: gain 2^rel − 1, discount 1 / log2(i + 1) at
position i = 1, 2, …, and NDCG@k = DCG@k / IDCG@k (equations C.1 to C.3). The paper does not say
what happens to equal scores or to clips without a relevant label; here the caller says it.

Flat arrays and ``offsets`` are those of `eval.ranking`. All arithmetic is in float64.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from eval.ranking import Floats, Ranking, Ties, blocks, check_offsets, check_scores, rank

Gain = Literal["exp", "linear"]
"""What a grade is worth: ``exp`` is 2^grade − 1 (the paper), ``linear`` the grade itself."""

Empty = Literal["skip", "one", "zero"]
"""What a clip without a relevant label (IDCG = 0) is worth: NaN, 1 (as in the LR²PPO code) or 0."""

MAX_GRADE = 30
"""Sums of gains up to 2^30 are exact in float64 for any list there is."""

WORTH: dict[Empty, float] = {"skip": np.nan, "one": 1.0, "zero": 0.0}


def gains(grades: npt.ArrayLike, rule: Gain = "exp") -> Floats:
    """What grades are worth: low 0, medium 1, high 3 with ``exp``; 0, 1, 2 with ``linear``.

    Args:
        grades: integers of any shape, 0 to `MAX_GRADE`.
        rule: see `Gain`.

    Raises:
        ValueError: a grade is out of range or not an integer, or there is no such rule.
    """
    values = np.asarray(grades)
    whole = np.issubdtype(values.dtype, np.integer)
    if not whole or (values.size and not 0 <= values.min() <= values.max() <= MAX_GRADE):
        raise ValueError(f"grades must be integers, 0 to {MAX_GRADE}")
    if rule not in ("exp", "linear"):
        raise ValueError(f"unknown gain: {rule!r}")
    levels = np.arange(MAX_GRADE + 1)
    worth = np.ldexp(1.0, levels) - 1.0 if rule == "exp" else levels.astype(np.float64)
    result: Floats = worth[values]
    return result


def ndcg(
    scores: npt.ArrayLike,
    grades: npt.ArrayLike,
    offsets: npt.ArrayLike,
    ks: Sequence[int],
    *,
    gain: Gain = "exp",
    ties: Ties = "average",
    empty: Empty = "skip",
) -> Floats:
    """NDCG@k of every clip (paper, C.1 to C.3).

    Args:
        scores: (n_labels,) higher is more relevant. −inf is allowed and comes last; NaN is not.
        grades: (n_labels,) integers, 0 to `MAX_GRADE`.
        offsets: (n_clips + 1,) where each clip begins and ends.
        ks: cut-offs, 1 or more. A k beyond a clip's list takes the whole list, in DCG and IDCG.
        gain: what a grade is worth.
        ties: what equal scores are worth.
        empty: what a clip without a relevant label is worth.

    Returns:
        (n_clips, n_k) values in [0, 1]; NaN in the rows of skipped clips.

    Raises:
        ValueError: shapes do not fit, a score is NaN, a grade is no grade, or a k is below 1.
    """
    flat = check_scores(scores)
    bounds = check_offsets(offsets, flat.shape)
    worth = gains(grades, gain)
    check_offsets(bounds, worth.shape)
    result = np.empty((len(bounds) - 1, len(ks)))
    for clips, length, entries in blocks(bounds):
        shape = (len(clips), length)
        block = worth[entries].reshape(shape)
        ranking = rank(flat[entries].reshape(shape), block, ties)
        result[clips] = ndcg_of(ranking, block, ks, empty)
    return result


def ndcg_of(ranking: Ranking, worth: Floats, ks: Sequence[int], empty: Empty) -> Floats:
    """NDCG@k of clips with one number of labels, (m, n_k), from their gains (m, L)."""
    ideal = -dcg(np.sort(-worth, axis=1), ks)
    # An ideal order in another order of equal gains must not come out at 1 + 1e-16.
    reached = np.minimum(dcg(ranking.place(worth), ks), ideal)
    return ratio(reached, ideal, empty)


def dcg(placed: Floats, ks: Sequence[int]) -> Floats:
    """DCG@k of gains that already stand in ranked order (paper, C.1).

    Args:
        placed: (m, L) the (expected) gain at each position.
        ks: cut-offs, 1 or more.

    Returns:
        (m, n_k).
    """
    # 1 / log2(i + 1) at the positions i = 1, …, L.
    return sums_to(placed, 1.0 / np.log2(np.arange(placed.shape[1]) + 2.0), ks)


def sums_to(values: Floats, weights: Floats, ks: Sequence[int]) -> Floats:
    """(m, n_k) weighted sums over the first k places of (m, L), or over all where there are fewer.

    Row by row: in a matrix product, a clip's last digit would depend on the clips beside it.
    """
    if not ks or min(ks) < 1:
        raise ValueError(f"cut-offs must be 1 or more, not {list(ks)}")
    return np.stack([np.einsum("ij,j->i", values[:, :k], weights[:k]) for k in ks], axis=1)


def ratio(reached: npt.NDArray[Any], possible: npt.NDArray[Any], empty: Empty) -> Floats:
    """A share of what was possible, with the rule for clips where that is 0 / 0 (paper, C.3)."""
    if empty not in WORTH:
        raise ValueError(f"unknown rule for clips without a relevant label: {empty!r}")
    result: Floats = np.full(possible.shape, WORTH[empty])
    np.divide(reached, possible, out=result, where=possible > 0)
    return result


def reference_scores(grades: npt.ArrayLike) -> dict[str, Floats]:
    """Scores of three orders that need no model, to be ranked with ties ``average``.

    ``random`` expects the mean gain at every place, mean gain × Σ discounts / IDCG in closed form;
    ``oracle`` is the ideal order; ``worst`` is the ideal order reversed.
    """
    values = np.asarray(grades, dtype=np.float64)
    return {"random": np.zeros_like(values), "oracle": values, "worst": -values}
