"""Every measure of a set of scores, clip by clip: NDCG and what is printed beside it.

Flat arrays and ``offsets`` are those of `eval.ranking`. A label is *relevant* from a grade given.
Reciprocal rank, precision and recall look at an order, so the rule for ties applies to them as to
NDCG; pair accuracy and tau-b look at pairs of scores and have their own, stated below.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from eval.ndcg import Empty, Gain, gains, ndcg_of, ratio, sums_to
from eval.ranking import Floats, Ints, Ranking, Ties, blocks, check_offsets, check_scores, rank


def names(ks: Sequence[int]) -> list[str]:
    """The measures in the order of the columns of `measure`."""
    at_k = [f"{name}@{k}" for name in ("ndcg", "precision", "recall") for k in ks]
    return [*at_k, "mrr", "pair_accuracy", "tau_b"]


def measure(
    scores: npt.ArrayLike,
    grades: npt.ArrayLike,
    offsets: npt.ArrayLike,
    ks: Sequence[int],
    *,
    gain: Gain = "exp",
    ties: Ties = "average",
    empty: Empty = "skip",
    relevant_from: int = 1,
) -> Floats:
    """All measures of every clip.

    Args:
        scores: (n_labels,) higher is more relevant. −inf is allowed and comes last; NaN is not.
        grades: (n_labels,) integers, 0 or more.
        offsets: (n_clips + 1,) where each clip begins and ends.
        ks: cut-offs, 1 or more.
        gain: what a grade is worth in NDCG.
        ties: what equal scores are worth in an order.
        empty: what a clip without a label that counts is worth: for NDCG one with a gain, for
            reciprocal rank, precision and recall a relevant one. Clips whose grades are all equal
            have no pair to order, and pair accuracy and tau-b leave them out under every rule.
        relevant_from: the lowest relevant grade, 1 or more.

    Returns:
        (n_clips, n_measures), columns as in `names`; NaN where a measure leaves a clip out.

    Raises:
        ValueError: shapes do not fit, a score is NaN, a grade is no grade, or a k is below 1.
    """
    flat = check_scores(scores)
    bounds = check_offsets(offsets, flat.shape)
    levels = np.asarray(grades)
    worth = gains(levels, gain)
    check_offsets(bounds, worth.shape)
    levels = levels.astype(np.int8)
    if relevant_from < 1:
        raise ValueError("relevant labels begin at grade 1 or above")
    result = np.empty((len(bounds) - 1, len(names(ks))))
    for clips, length, entries in blocks(bounds):
        shape = (len(clips), length)
        some, level = flat[entries].reshape(shape), levels[entries].reshape(shape)
        tied = rank(some, level, "average")
        ranking = tied if ties == "average" else rank(some, level, ties)
        relevant = (level >= relevant_from).astype(np.float64)
        found = ranking.place(relevant)
        hits = sums_to(found, np.ones(length), ks)
        total = relevant.sum(axis=1, keepdims=True)
        counted = np.broadcast_to(total, hits.shape)
        result[clips] = np.hstack(
            [
                ndcg_of(ranking, worth[entries].reshape(shape), ks, empty),
                # Divided by k even where a list is shorter, as trec_eval does.
                np.where(counted > 0, hits / np.asarray(ks), ratio(hits, counted, empty)),
                ratio(hits, counted, empty),
                ratio(reciprocal_rank(ranking, relevant), np.sign(total), empty),
                *pair_measures(tied, level),
            ]
        )
    return result


def reciprocal_rank(ranking: Ranking, relevant: Floats) -> Floats:
    """1 / (place of the first relevant label), exactly expected over the orders of equal scores.

    Args:
        ranking: of m clips.
        relevant: (m, L) 1 or 0.

    Returns:
        (m, 1); 0 where nothing is relevant.
    """
    m, length = relevant.shape
    if not length:
        return np.zeros((m, 1))
    share = ranking.place(relevant)
    rows = np.arange(m)
    place = np.argmax(share > 0, axis=1)
    begin = place if ranking.first is None else ranking.first[rows, place]
    end = place if ranking.last is None else ranking.last[rows, place]
    size = end - begin + 1
    hits = np.rint(share[rows, place] * size)
    # Of a run of n labels with r relevant ones in random order, the first relevant one is the
    # j-th with probability C(n − j, r − 1) / C(n, r); each probability gives the next.
    probability = hits / size
    expected = np.zeros(m)
    for j in range(1, int(size.max()) + 1):
        expected += probability / (begin + j)
        left = np.maximum(size - j, 1)
        probability = probability * np.maximum(size - j - hits + 1, 0) / left
    return expected[:, None]


def pair_measures(ranking: Ranking, grades: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    """Pair accuracy and Kendall's tau-b.

    Pair accuracy, the reward model's measure (paper, section 4), is the share of the pairs of
    labels of different grades in which the better one has the higher score; equal scores count
    half. Tau-b (Kendall 1945) is (concordant − discordant) / √(pairs of different grades × pairs of
    different scores), and 0 where all scores are equal.

    Args:
        ranking: of m clips, with ties ``average``.
        grades: (m, L).

    Returns:
        Two arrays (m, 1); NaN where all grades are equal.
    """
    m, length = grades.shape
    ranked = ranking.ordered(grades)
    concordant, tied, different = (np.zeros(m) for _ in range(3))
    for level in np.unique(grades)[1:].tolist():
        here, below = ranked == level, ranked < level
        upto = np.cumsum(below, axis=1)
        after = upto[:, -1:] - upto
        if ranking.first is not None and ranking.last is not None:
            after = np.take_along_axis(after, ranking.last, axis=1)
            before = np.take_along_axis(upto - below, ranking.first, axis=1)
            tied += ((upto[:, -1:] - before - after) * here).sum(axis=1)
        concordant += (after * here).sum(axis=1)
        different += here.sum(axis=1) * upto[:, -1]
    scored = length * (length - 1) / 2 - _tied_pairs(ranking, m)
    discordant = different - concordant - tied
    accuracy = np.full(m, np.nan)
    np.divide(concordant + tied / 2, different, out=accuracy, where=different > 0)
    tau = np.where(different > 0, 0.0, np.nan)
    both = np.sqrt(different) * np.sqrt(scored)
    np.divide(concordant - discordant, both, out=tau, where=both > 0)
    return accuracy[:, None], tau[:, None]


def tied_pairs(scores: npt.ArrayLike, offsets: npt.ArrayLike) -> tuple[Ints, Ints]:
    """How many pairs of a clip's labels have equal scores, and how many pairs there are.

    Args:
        scores: (n_labels,) as in `measure`.
        offsets: (n_clips + 1,) as in `measure`.

    Returns:
        Two arrays (n_clips,): tied pairs, all pairs n (n − 1) / 2.
    """
    flat = check_scores(scores)
    bounds = check_offsets(offsets, flat.shape)
    tied = np.zeros(len(bounds) - 1, dtype=np.int64)
    for clips, length, entries in blocks(bounds):
        some = flat[entries].reshape(len(clips), length)
        tied[clips] = _tied_pairs(rank(some, some, "average"), len(clips))
    lengths = np.diff(bounds)
    return tied, lengths * (lengths - 1) // 2


def _tied_pairs(ranking: Ranking, m: int) -> Ints:
    """(m,) pairs of equal scores: each label with those after it in its run."""
    if ranking.last is None:
        return np.zeros(m, dtype=np.int64)
    count: Ints = (ranking.last - np.arange(ranking.last.shape[1])).sum(axis=1)
    return count
