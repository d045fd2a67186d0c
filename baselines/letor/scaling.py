"""Features brought to one scale, by what training documents say of them; no grade is looked at.

``log``: z = (sign(x) log(1 + abs(x)) − mean) / spread. Counts and lengths span eight orders of
magnitude, in which a network sees nothing (Qin et al. 2021, "Are neural rankers still outperformed
by gradient boosted decision trees?"). ``standard`` leaves the logarithm out. A value that is not
known becomes the mean, 0, and where training lacks values of a feature, one more column says which
those are: that a page was not found by a search engine is most of what its position says.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from baselines.data import Ints
from baselines.letor.documents import Features

Kind = Literal["log", "standard"]
_ROWS = 1 << 16
"""Documents at a time: temporary arrays stay small, whatever the file."""


@dataclass(frozen=True)
class Scaling:
    """What a collection's features are brought to one scale by."""

    kind: Kind
    mean: npt.NDArray[np.float64]
    """(features,) in training, after the logarithm."""
    spread: npt.NDArray[np.float64]
    """(features,) standard deviation; 1 where a feature hardly moves in training."""
    gaps: Ints
    """Features of which training lacks values; each has a column of its own behind the others."""

    @classmethod
    def fit(cls, x: Features, kind: Kind = "log") -> Self:
        """From (documents, features) of training; NaN where a value is not known."""
        count = np.zeros(x.shape[1])
        total, squares = np.zeros(x.shape[1]), np.zeros(x.shape[1])
        for rows in _blocks(len(x)):
            values = _of(x[rows], kind)
            count += (~np.isnan(values)).sum(0)
            total += np.nansum(values, axis=0)
        mean = total / np.maximum(count, 1)
        for rows in _blocks(len(x)):
            squares += np.nansum((_of(x[rows], kind) - mean) ** 2, axis=0)
        spread = np.sqrt(squares / np.maximum(count, 1))
        # What hardly moves in training says nothing; it must not shout where it moves later.
        # Probabilities may move little and say much, so that only rounding is absolute.
        spread[spread < np.maximum(1e-7, 1e-4 * np.abs(mean))] = 1.0
        return cls(kind, mean, spread, np.flatnonzero(count < len(x)))

    @property
    def columns(self) -> int:
        """How many columns the scaled features have."""
        return len(self.mean) + len(self.gaps)

    def __call__(self, x: Features) -> Features:
        """(documents, features) -> (documents, columns), without NaN.

        Raises:
            ValueError: there are other features than in training.
        """
        if x.shape[1] != len(self.mean):
            raise ValueError(f"{x.shape[1]} features, where training had {len(self.mean)}")
        out = np.empty((len(x), self.columns), np.float32)
        for rows in _blocks(len(x)):
            scaled = (_of(x[rows], self.kind) - self.mean) / self.spread
            unknown = np.isnan(scaled)
            out[rows, : len(self.mean)] = np.where(unknown, 0.0, scaled)
            out[rows, len(self.mean) :] = unknown[:, self.gaps]
        return out


def _of(x: Features, kind: Kind) -> npt.NDArray[np.float64]:
    values = x.astype(np.float64)
    return np.sign(values) * np.log1p(np.abs(values)) if kind == "log" else values


def _blocks(rows: int) -> Iterator[slice]:
    for start in range(0, rows, _ROWS):
        yield slice(start, min(start + _ROWS, rows))
