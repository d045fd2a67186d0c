"""NDCG@k over many clips at once, with ties, empty clips and short lists spelled out.

The metric is that of the LR²PPO paper, appendix C.2: gain 2^rel − 1, discount 1 / log2(i + 1) at
position i = 1, 2, …, and NDCG@k = DCG@k / IDCG@k (equations C.1 to C.3). The paper does not say
what happens to equal scores or to clips without a relevant label; here the caller says it.

Clips are ragged, so a batch is flat: ``offsets`` has n_clips + 1 entries, and clip c owns the
entries ``offsets[c]:offsets[c + 1]`` of every flat array. All arithmetic is in float64.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Ties = Literal["mean", "stable", "optimistic", "pessimistic"]
"""What equal scores are worth: ``mean`` is the exact expectation over all their orders (McSherry
and Najork 2008, "Computing information retrieval performance measures efficiently in the presence
of tied scores"), ``stable`` keeps the order given, ``optimistic`` and ``pessimistic`` put the more
or the less relevant label first and bound the others."""

Empty = Literal["skip", "one", "zero"]
"""What a clip without a relevant label (IDCG = 0) is worth: NaN, 1 (as in the LR²PPO code) or 0."""


def gain(grades: npt.ArrayLike) -> Floats:
    """2^grade − 1, exactly: low 0, medium 1, high 3.

    Args:
        grades: integers of any shape, 0 or more.

    Raises:
        ValueError: a grade is negative or not an integer.
    """
    values = np.asarray(grades)
    if not np.issubdtype(values.dtype, np.integer) or (values.size and values.min() < 0):
        raise ValueError("grades must be integers, 0 or more")
    gains: Floats = np.ldexp(1.0, values) - 1.0
    return gains


def ndcg(
    scores: npt.ArrayLike,
    grades: npt.ArrayLike,
    offsets: npt.ArrayLike,
    ks: Sequence[int],
    *,
    ties: Ties = "mean",
    empty: Empty = "skip",
) -> Floats:
    """NDCG@k of every clip (paper, C.1 to C.3).

    Args:
        scores: (n_labels,) higher is more relevant. −inf is allowed and comes last; NaN is not.
        grades: (n_labels,) integers, 0 or more.
        offsets: (n_clips + 1,) where each clip begins and ends.
        ks: cut-offs, 1 or more. A k beyond a clip's list takes the whole list, in DCG and IDCG.
        ties: what equal scores are worth.
        empty: what a clip without a relevant label is worth.

    Returns:
        (n_clips, n_k) values in [0, 1]; NaN in the rows of skipped clips.

    Raises:
        ValueError: shapes do not fit, a score is NaN, a grade is no grade, or a k is below 1.
    """
    scores, bounds = _scores(scores), _offsets(offsets, np.shape(scores))
    gains = _gains(grades, bounds)
    reached = dcg(_by_score(scores, gains, bounds, ties), bounds, ks)
    return _normalise(reached, dcg(_ideal(gains, bounds), bounds, ks), empty)


def reference_orders(
    grades: npt.ArrayLike, offsets: npt.ArrayLike, ks: Sequence[int], *, empty: Empty = "skip"
) -> dict[str, Floats]:
    """NDCG@k of three orders that need no model, to print beside every score.

    ``random`` is the expectation over all orders in closed form, mean gain × Σ discounts / IDCG;
    ``oracle`` is the ideal order; ``worst`` is the ideal order reversed.

    Args:
        grades: (n_labels,) as in `ndcg`.
        offsets: (n_clips + 1,) as in `ndcg`.
        ks: cut-offs as in `ndcg`.
        empty: as in `ndcg`.

    Returns:
        Name -> (n_clips, n_k), as `ndcg` gives them.
    """
    bounds = _offsets(offsets, np.shape(grades))
    gains = _gains(grades, bounds)
    ideal = dcg(_ideal(gains, bounds), bounds, ks)
    ordered = {
        # Equal scores throughout: every position expects the clip's mean gain.
        "random": _by_score(np.zeros_like(gains), gains, bounds, "mean"),
        "oracle": _ideal(gains, bounds),
        "worst": _by_score(-gains, gains, bounds, "stable"),
    }
    return {
        name: _normalise(dcg(placed, bounds, ks), ideal, empty) for name, placed in ordered.items()
    }


def tied_pairs(scores: npt.ArrayLike, offsets: npt.ArrayLike) -> tuple[Ints, Ints]:
    """How many pairs of a clip's labels have equal scores, and how many pairs there are.

    Args:
        scores: (n_labels,) as in `ndcg`.
        offsets: (n_clips + 1,) as in `ndcg`.

    Returns:
        Two arrays (n_clips,): tied pairs, all pairs n (n − 1) / 2.
    """
    scores, bounds = _scores(scores), _offsets(offsets, np.shape(scores))
    starts, sizes = _tie_groups(scores[_order((-scores,), bounds)], bounds)
    tied = np.bincount(
        _clip_of(bounds)[starts], weights=sizes * (sizes - 1) // 2, minlength=len(bounds) - 1
    )
    lengths = np.diff(bounds)
    return tied.astype(np.int64), lengths * (lengths - 1) // 2


def dcg(placed: Floats, offsets: Ints, ks: Sequence[int]) -> Floats:
    """DCG@k of gains that already stand in ranked order (paper, C.1).

    Args:
        placed: (n_labels,) the (expected) gain at each position, clip after clip.
        offsets: (n_clips + 1,) where each clip begins and ends.
        ks: cut-offs, 1 or more.

    Returns:
        (n_clips, n_k).
    """
    if not ks or min(ks) < 1:
        raise ValueError(f"cut-offs must be 1 or more, not {list(ks)}")
    lengths = np.diff(offsets)
    result = np.zeros((len(lengths), len(ks)))
    filled = lengths > 0  # reduceat would give an empty clip its neighbour's first term
    if not filled.any():
        return result
    position = np.arange(len(placed)) - np.repeat(offsets[:-1], lengths)
    terms = placed * (1.0 / np.log2(np.arange(lengths.max()) + 2.0))[position]
    for column, k in enumerate(ks):
        counted = np.where(position < k, terms, 0.0)
        result[filled, column] = np.add.reduceat(counted, offsets[:-1][filled])
    return result


def _by_score(scores: Floats, gains: Floats, offsets: Ints, ties: Ties) -> Floats:
    """(n_labels,) the gain at each position when labels stand by descending score."""
    if ties in ("optimistic", "pessimistic"):
        first = -gains if ties == "optimistic" else gains
        return gains[_order((first, -scores), offsets)]
    if ties not in ("mean", "stable"):
        raise ValueError(f"unknown rule for ties: {ties!r}")
    order = _order((-scores,), offsets)
    placed = gains[order]
    if ties == "stable" or not len(placed):
        return placed
    # A random order of equal scores gives each of their positions their mean gain.
    starts, sizes = _tie_groups(scores[order], offsets)
    return np.repeat(np.add.reduceat(placed, starts) / sizes, sizes)


def _order(keys: tuple[Floats, ...], offsets: Ints) -> Ints:
    """(n_labels,) the stable order within each clip by ascending keys, the last key first.

    Clips of one length are sorted together as rows of a matrix, which is several times faster than
    one flat sort with the clip as a further key, and needs no padding.
    """
    lengths = np.diff(offsets)
    order = np.empty(offsets[-1], dtype=np.int64)
    for length in np.unique(lengths):
        starts = offsets[:-1][lengths == length, None]
        entries = starts + np.arange(length)
        order[entries] = starts + np.lexsort([key[entries] for key in keys], axis=-1)
    return order


def _ideal(gains: Floats, offsets: Ints) -> Floats:
    return _by_score(gains, gains, offsets, "stable")


def _tie_groups(ranked: Floats, offsets: Ints) -> tuple[Ints, Ints]:
    """Where each run of equal scores within a clip starts, and how long it is."""
    begins = np.ones(len(ranked), dtype=bool)
    begins[1:] = ranked[1:] != ranked[:-1]
    begins[offsets[:-1][np.diff(offsets) > 0]] = True
    starts = np.flatnonzero(begins)
    return starts, np.diff(np.append(starts, len(ranked)))


def _clip_of(offsets: Ints) -> Ints:
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def _normalise(reached: Floats, ideal: Floats, empty: Empty) -> Floats:
    """DCG@k / IDCG@k, with the rule for clips where that is 0 / 0 (paper, C.3)."""
    worth = {"skip": np.nan, "one": 1.0, "zero": 0.0}
    if empty not in worth:
        raise ValueError(f"unknown rule for clips without a relevant label: {empty!r}")
    result = np.full_like(ideal, worth[empty])
    return np.divide(reached, ideal, out=result, where=ideal > 0)


def _scores(scores: npt.ArrayLike) -> Floats:
    values = np.asarray(scores, dtype=np.float64)
    if np.isnan(values).any():
        raise ValueError("scores must not be NaN")
    return values


def _gains(grades: npt.ArrayLike, offsets: Ints) -> Floats:
    gains = gain(grades)
    if gains.shape != (offsets[-1],):
        raise ValueError(f"{gains.shape} grades for {offsets[-1]} labels")
    return gains


def _offsets(offsets: npt.ArrayLike, shape: tuple[Any, ...]) -> Ints:
    bounds = np.asarray(offsets, dtype=np.int64)
    if bounds.ndim != 1 or not len(bounds) or bounds[0] != 0 or (np.diff(bounds) < 0).any():
        raise ValueError("offsets must be one row that begins with 0 and never falls")
    if shape != (bounds[-1],):
        raise ValueError(f"an array of shape {shape}, but offsets end at {bounds[-1]}")
    return bounds
