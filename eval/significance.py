"""How sure a mean over clips is: bootstrap and randomisation over films, and Holm's correction.

Clips of one film are not independent: a model that suits a film suits most of its clips. Films are
therefore what is resampled and what changes sign; resampling clips gives intervals that are far too
narrow (`tests/eval/test_coverage.py` shows by how much).
"""

from collections.abc import Iterator
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from eval.ranking import Floats, Ints

FEWEST = 5
"""Films that an interval should rest on. A 95 % interval covered the mean of generated data in .92
of data sets of five films, in .87 of four, .75 of three and .50 of two: resampling cannot show what
was not seen. `tests/eval/test_coverage.py` prints this."""

_CELLS = 1 << 20
"""Weights held at a time, replicates × films: 8 MiB, for any number of replicates. A few arrays of
that size exist at once. The choice changes the speed, not the result."""


def film_sums(
    values: npt.ArrayLike, film_of: npt.ArrayLike, n_films: int | None = None
) -> tuple[Floats, Floats]:
    """Sums over the clips of each film, and how many clips were counted.

    Args:
        values: (n_clips, n); NaN where a clip is not counted.
        film_of: (n_clips,) each clip's film, 0 to n_films − 1.
        n_films: how many there are; by default as many as are named.

    Returns:
        Two arrays (n_films, n).

    Raises:
        ValueError: shapes do not fit, a value is infinite, or a film is out of range.
    """
    cells, named = np.asarray(values, dtype=np.float64), np.asarray(film_of)
    if cells.ndim != 2 or named.shape != cells.shape[:1]:
        raise ValueError(f"values of shape {cells.shape} for clips of shape {named.shape}")
    if named.size and named.dtype.kind not in "iu":
        raise ValueError(f"films must be whole numbers, not {named.dtype}")
    if np.isinf(cells).any():
        raise ValueError("values must be finite, or NaN for clips that are not counted")
    films: Ints = named.astype(np.int64)
    n_films = int(films.max(initial=-1)) + 1 if n_films is None else n_films
    if n_films < 0 or (films.size and not 0 <= films.min() <= films.max() < n_films):
        raise ValueError(f"films must be 0 to {n_films - 1}")
    sums, counts = np.zeros((n_films, cells.shape[1])), np.zeros((n_films, cells.shape[1]))
    for j, column in enumerate(cells.T):
        counted = ~np.isnan(column)
        sums[:, j] = np.bincount(films, np.where(counted, column, 0.0), n_films)
        counts[:, j] = np.bincount(films, counted, n_films)
    return sums, counts


def bootstrap(
    values: npt.ArrayLike,
    film_of: npt.ArrayLike,
    *,
    replicates: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
    fewest: int = 2,
) -> tuple[Floats, Floats]:
    """Intervals of means over clips, from films drawn with replacement.

    A replicate draws as many films as there are and takes the mean over their clips. The limits are
    percentiles of the replicates at levels widened for the number of films (Hesterberg 2015, "What
    teachers should know about the bootstrap", The American Statistician 69(4), the expanded
    percentile interval): plain percentiles are too narrow when films are few. Limits are means of
    replicates, not between two, so for values in [0, 1] they are in [0, 1] too.

    The films of a column are those with a clip that it counts; the others are as if they were not
    there. So no replicate is without clips, and no column depends on those beside it.

    Args:
        values: (n_clips, n); NaN where a clip is not counted. Columns that count the same films
            share the resamples.
        film_of: (n_clips,) each clip's film, from 0.
        replicates: how many.
        confidence: between 0 and 1.
        seed: of the resamples.
        fewest: films, 2 or more; with fewer there is no interval.

    Returns:
        Lower and upper limits (n,); NaN in columns with clips of fewer films than that.

    Raises:
        ValueError: an argument is out of range, or shapes do not fit.
    """
    if not 0 < confidence < 1 or replicates < 1:
        raise ValueError("confidence must be between 0 and 1, and replicates 1 or more")
    sums, counts = film_sums(values, film_of)
    low, high = np.full(sums.shape[1], np.nan), np.full(sums.shape[1], np.nan)
    alike: dict[bytes, list[int]] = {}
    for j, column in enumerate(counts.T):
        alike.setdefault((column > 0).tobytes(), []).append(j)
    for columns in alike.values():
        there = counts[:, columns[0]] > 0
        films = int(there.sum())
        if films < max(fewest, 2):
            continue
        both = np.hstack([_exact(sums[there][:, columns], films), counts[there][:, columns]])
        drawn = np.vstack([weights @ both for weights in _resamples(films, replicates, seed)])
        means = drawn[:, : len(columns)] / drawn[:, len(columns) :]
        place = max(int((replicates + 1) * _level(films, confidence)) - 1, 0)
        means = np.partition(means, (place, replicates - 1 - place), axis=0)
        low[columns], high[columns] = means[place], means[replicates - 1 - place]
    return low, high


def sign_flip(
    differences: npt.ArrayLike, film_of: npt.ArrayLike, *, draws: int = 10_000, seed: int = 0
) -> Floats:
    """P of the hypothesis that two runs differ by chance alone: paired randomisation over films.

    If runs a and b were interchangeable, a film's differences a − b could as well have the other
    sign. All clips of a film change sign together. Two-sided, for the sum of the differences.

    Args:
        differences: (n_clips, n), one column a measure; NaN where a clip is not counted.
        film_of: (n_clips,) each clip's film, from 0.
        draws: random sign patterns; where there are no more patterns than that, each is taken once.
        seed: of the patterns.

    Returns:
        (n,) (1 + patterns at least as far from 0) / (1 + draws), or the exact share of patterns; 1
        where no clip differs or none is counted.

    Raises:
        ValueError: draws is below 1, or shapes do not fit.
    """
    if draws < 1:
        raise ValueError("draws must be 1 or more")
    sums, _ = film_sums(differences, film_of)
    sums = sums[sums.any(axis=1)]  # a film without a difference has no sign to change
    observed = np.abs(sums.sum(axis=0))
    # Sums in another order differ in the last digits; a pattern must not lose against itself.
    least = observed - 1e-12 * np.abs(sums).sum(axis=0)
    exact = len(sums) < 63 and 2 ** len(sums) <= draws
    patterns = _all_signs(len(sums)) if exact else _signs(len(sums), draws, seed)
    reached = np.zeros(sums.shape[1], dtype=np.int64)
    for signs in patterns:
        reached += (np.abs(signs @ sums) >= least).sum(axis=0)
    p: Floats = reached / 2 ** len(sums) if exact else (1 + reached) / (1 + draws)
    return p


def holm(p: npt.ArrayLike) -> Floats:
    """P values corrected for their number (Holm 1979, "A simple sequentially rejective multiple
    test procedure"): the i-th smallest of m is multiplied by m − i + 1, and none falls below a
    smaller one's.

    Args:
        p: of any shape. NaN stays NaN and is not counted.
    """
    values = np.asarray(p, dtype=np.float64)
    result = np.full(values.shape, np.nan)
    there = ~np.isnan(values)
    tested = values[there]
    order = np.argsort(tested, kind="stable")
    factors = len(tested) - np.arange(len(tested))
    adjusted = np.minimum(np.maximum.accumulate(tested[order] * factors), 1.0)
    corrected = np.empty_like(adjusted)
    corrected[order] = adjusted
    result[there] = corrected
    return result


def t_quantile(p: float, degrees: int) -> float:
    """Quantile of Student's t, for p of at least .5, to six digits or better.

    With t = √d · tan θ the density is cos^(d−1) θ, which is summed on a grid: no SciPy is needed.
    Beyond 200 degrees the expansion about the normal quantile is used (Abramowitz and Stegun 1964,
    26.7.5), as the grid would be too coarse.
    """
    if degrees > 200:
        z, d = NormalDist().inv_cdf(p), degrees
        first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
        third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
        return z + first / d + second / d**2 + third / d**3
    angles = np.linspace(0.0, np.pi / 2, 20_001)
    density = np.cos(angles) ** (degrees - 1)
    area = np.append(0.0, np.cumsum((density[1:] + density[:-1]) / 2))
    return float(np.sqrt(degrees) * np.tan(np.interp((p - 0.5) * 2 * area[-1], area, angles)))


@lru_cache
def _level(films: int, confidence: float) -> float:
    """The percentile that gives the coverage wanted with so many films (Hesterberg 2015)."""
    wide = np.sqrt(films / (films - 1)) * t_quantile(0.5 + confidence / 2, films - 1)
    return NormalDist().cdf(-float(wide))


def _exact(sums: Floats, films: int) -> Floats:
    """Sums rounded to a grid on which any `films` of them add up without rounding.

    Whatever order a machine's matrix product adds in, the result is then the same bit for bit.
    The grid is at most 2 · films · 2⁻⁵³ of the largest sum apart.
    """
    _, exponent = np.frexp(films * np.abs(sums).max(axis=0))
    rounded: Floats = np.ldexp(np.rint(np.ldexp(sums, 53 - exponent)), exponent - 53)
    return rounded


def _resamples(films: int, replicates: int, seed: int) -> Iterator[Floats]:
    """How often each film is drawn, (some replicates, films) at a time.

    Counting draws is five times as fast as drawing the counts (multinomial) of many films, and
    32 bits are the fastest to draw; 16 would also depend on how the draws are divided into calls.
    """
    rng = np.random.default_rng(seed)
    step = max(1, _CELLS // films)
    for begin in range(0, replicates, step):
        drawn = rng.integers(0, films, (min(step, replicates - begin), films), dtype=np.uint32)
        weights: Floats = np.empty(drawn.shape)
        for i, row in enumerate(drawn):
            weights[i] = np.bincount(row, minlength=films)
        yield weights


def _signs(films: int, draws: int, seed: int) -> Iterator[Floats]:
    """Random patterns of ±1, (some draws, films) at a time: a bit each, rows of whole words."""
    rng = np.random.default_rng(seed)
    step, width = max(1, _CELLS // films), 4 * -(-films // 32)
    for begin in range(0, draws, step):
        n = min(step, draws - begin)
        words = np.frombuffer(rng.bytes(n * width), dtype=np.uint8).reshape(n, width)
        yield np.where(np.unpackbits(words, axis=1, count=films), 1.0, -1.0)


def _all_signs(films: int) -> Iterator[Floats]:
    """Every pattern once, in steps."""
    step = max(1, _CELLS // max(films, 1))
    for begin in range(0, 2**films, step):
        numbers = np.arange(begin, min(begin + step, 2**films))
        yield np.where(numbers[:, None] >> np.arange(films) & 1, 1.0, -1.0)
