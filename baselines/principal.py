"""Principal components, with the sign of each fixed, so that equal data gives equal bytes."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats32 = npt.NDArray[np.float32]
_ROWS = 4096
"""Rows in double precision at a time."""
_NOTHING = 1e-10
"""A direction with less than this share of the first one's variance is rounding."""


class Components(NamedTuple):
    """A projection onto the directions in which training varied most."""

    mean: Floats32
    """(d,) of the training rows."""
    directions: Floats32
    """(k, d) of length 1, right-angled to each other, that of the largest variance first."""

    def __call__(self, x: Floats32) -> Floats32:
        """(n, d) -> (n, k), how far each row stands from the mean along each direction."""
        mean, directions = self.mean.astype(np.float64), self.directions.astype(np.float64).T
        result = np.empty((len(x), directions.shape[1]), np.float32)
        for start in range(0, len(x), _ROWS):
            # In double precision, since a row's last bits hang on how many rows there are.
            rows = x[start : start + _ROWS].astype(np.float64)
            result[start : start + _ROWS] = (rows - mean) @ directions
        return result


def principal_components(x: Floats32, k: int) -> Components:
    """The `k` principal components of the rows of `x`, or as many as the rows vary in.

    Of each direction, the entry that is largest without its sign is made positive.

    Args:
        x: (n, d) rows, n at least 1.
        k: how many are kept, 1 or more.
    """
    mean = x.mean(0, dtype=np.float64)
    scatter = np.zeros((x.shape[1], x.shape[1]))
    for start in range(0, len(x), _ROWS):
        rows = x[start : start + _ROWS] - mean
        scatter += rows.T @ rows
    variances, vectors = np.linalg.eigh(scatter)
    variances, directions = variances[::-1], vectors.T[::-1]
    rounding = len(x) * (np.finfo(np.float32).eps * np.abs(mean).max()) ** 2
    directions = directions[:k][variances[:k] > max(_NOTHING * variances[0], rounding)]
    largest = np.abs(directions).argmax(1)
    signs = np.sign(np.take_along_axis(directions, largest[:, None], 1))
    return Components(mean.astype(np.float32), (directions * signs).astype(np.float32))
