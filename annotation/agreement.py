"""How far people agree: Krippendorff's alpha, weighted kappa, bias. Pure functions on arrays.

Values are 0, 1, …, V-1. Units are what was judged: a clip's label, or a pair.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Metric = Literal["ordinal", "nominal"]

ONE_RATING = "undefined: nothing was judged by two people"
ONE_CLIP = "no interval: all of it is one clip"
NO_DRAW = "no interval: no resample of the clips has an alpha"
ONE_VALUE = "undefined: everybody gave the same value, so there is nothing to agree about"


@dataclass(frozen=True)
class Alpha:
    """An alpha with its interval. What is undefined is None, and `why` says why."""

    value: float | None
    low: float | None
    high: float | None
    units: int
    """Units with two values or more; others say nothing about agreement."""
    clips: int
    """Clips that those are of, which the interval rests on."""
    why: str | None = None

    def as_json(self) -> dict[str, Any]:
        """A plain dict, without `why` where everything is defined."""
        found = asdict(self)
        return found if self.why else {k: v for k, v in found.items() if k != "why"}


def value_counts(units: npt.ArrayLike, values: npt.ArrayLike, n_values: int) -> Floats:
    """How often each unit got each value.

    Args:
        units: (n_ratings,) the unit of each rating, from 0.
        values: (n_ratings,) its value.
        n_values: V.

    Returns:
        (n_units, V)
    """
    units, values = np.asarray(units, int), np.asarray(values, int)
    n_units = int(units.max()) + 1 if len(units) else 0
    flat = np.bincount(units * n_values + values, minlength=n_units * n_values)
    return flat.reshape(n_units, n_values).astype(float)


def coincidences(counts: Floats) -> Floats:
    """Each unit's coincidence matrix: Krippendorff, Computing Krippendorff's Alpha-Reliability
    (2011), step C, before summing over units.

    Each ordered pair of values that a unit got from two people counts 1 / (m - 1), where m is how
    many values it got.

    Args:
        counts: (n_units, V).

    Returns:
        (n_units, V, V), zero for units with fewer than two values.
    """
    m = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :]
    v = np.arange(counts.shape[1])
    pairs[:, v, v] -= counts
    return np.asarray(pairs / np.where(m > 1, m - 1, np.inf)[:, None, None])


def alpha(coincidence: Floats, metric: Metric = "ordinal") -> Floats:
    """Krippendorff's alpha: 1 less the observed disagreement over the one expected by chance.

    Krippendorff (2011), step D, and its ordinal difference: between c and k lie half of c's and of
    k's values and all of those between.

    Args:
        coincidence: (..., V, V) summed over units.
        metric: how far two values are from each other.

    Returns:
        (...) nan where nothing or only one value was paired.
    """
    n_c = coincidence.sum(axis=-1)
    n = n_c.sum(axis=-1)
    size = coincidence.shape[-1]
    if metric == "nominal":
        distance = np.broadcast_to(1.0 - np.eye(size), coincidence.shape)
    else:
        middle = np.cumsum(n_c, axis=-1) - n_c / 2
        distance = (middle[..., :, None] - middle[..., None, :]) ** 2
    observed = (coincidence * distance).sum(axis=(-2, -1)) / np.where(n > 0, n, np.nan)
    by_chance = (n_c[..., :, None] * n_c[..., None, :] * distance).sum(axis=(-2, -1))
    expected = by_chance / np.where(n > 1, n * (n - 1), np.nan)
    return np.asarray(1 - observed / np.where(expected > 0, expected, np.nan))


def with_interval(
    counts: Floats,
    clusters: npt.ArrayLike,
    metric: Metric = "ordinal",
    resamples: int = 2000,
    seed: int = 0,
) -> Alpha:
    """Alpha with a 95 % interval by resampling clips: a clip's labels are judged together.

    Args:
        counts: (n_units, V).
        clusters: (n_units,) the clip of each unit, from 0.
        metric: as in `alpha`.
        resamples: how many times to draw as many clips as there are, with replacement.
        seed: of the draw.
    """
    clusters = np.asarray(clusters, int)
    size = counts.shape[1]
    judged = counts.sum(axis=1) > 1
    units = int(judged.sum())
    if not units:
        return Alpha(None, None, None, 0, 0, ONE_RATING)
    names, of = np.unique(clusters[judged], return_inverse=True)
    per_clip = np.zeros((len(names), size, size))
    np.add.at(per_clip, of, coincidences(counts[judged]))
    value = float(alpha(per_clip.sum(axis=0), metric))
    if np.isnan(value):
        return Alpha(None, None, None, units, len(names), ONE_VALUE)
    if len(names) == 1:
        return Alpha(value, None, None, units, 1, ONE_CLIP)
    rng = np.random.default_rng(seed)
    flat, drawn = per_clip.reshape(len(names), -1), []
    for begin in range(0, resamples, 200):
        n = min(200, resamples - begin)
        weights = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=n)
        drawn.append(alpha((weights @ flat).reshape(n, size, size), metric))
    # A draw in which all values are equal has no alpha; it says nothing about the interval.
    known = np.concatenate(drawn)
    known = known[~np.isnan(known)]
    if not len(known):
        return Alpha(value, None, None, units, len(names), NO_DRAW)
    low, high = np.quantile(known, [0.025, 0.975])
    return Alpha(value, float(low), float(high), units, len(names))


def weighted_kappa(first: npt.ArrayLike, second: npt.ArrayLike, n_values: int) -> float | None:
    """Cohen's kappa of two people with quadratic weights; None where chance alone would do.

    Cohen, Weighted kappa, Psychological Bulletin 70 (1968).

    Args:
        first: (n,) the values that one gave.
        second: (n,) the values that the other gave to the same units.
        n_values: V.
    """
    table = value_counts(first, second, n_values)
    table = np.vstack([table, np.zeros((n_values - len(table), n_values))])
    steps = np.arange(n_values)
    weights = (steps[:, None] - steps[None, :]) ** 2.0
    total = table.sum()
    if not total:
        return None
    expected = (np.outer(table.sum(axis=1), table.sum(axis=0)) * weights).sum() / total
    return None if expected == 0 else float(1 - (table * weights).sum() / expected)


def bias(
    units: npt.ArrayLike, raters: npt.ArrayLike, values: npt.ArrayLike, n_raters: int
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """By how much each person's values are above the mean of the others' for the same units.

    Args:
        units: (n_ratings,) from 0.
        raters: (n_ratings,) from 0.
        values: (n_ratings,)
        n_raters: R.

    Returns:
        (R,) mean difference, nan for who never judged what somebody else did; (R,) how many units
        that rests on.
    """
    units, raters = np.asarray(units, int), np.asarray(raters, int)
    values = np.asarray(values, float)
    n_units = int(units.max()) + 1 if len(units) else 0
    total = np.bincount(units, values, n_units)[units]
    number = np.bincount(units, minlength=n_units)[units]
    shared = number > 1
    difference = values[shared] - (total - values)[shared] / (number[shared] - 1)
    n = np.bincount(raters[shared], minlength=n_raters)
    sums = np.bincount(raters[shared], difference, n_raters)
    return sums / np.where(n > 0, n, np.nan), n


def seconds(lead_times: Sequence[float | None]) -> tuple[float | None, float | None]:
    """A typical time, and a mean that idle hours do not rule.

    Label Studio's times go on while nobody is there, and count drafts: the mean is of times cut at
    their 95th percentile.

    Returns:
        Median and cut mean; None where no time is known.
    """
    known = np.array([time for time in lead_times if time is not None], float)
    if not len(known):
        return None, None
    cut = np.minimum(known, np.quantile(known, 0.95))
    return float(np.median(known)), float(cut.mean())
