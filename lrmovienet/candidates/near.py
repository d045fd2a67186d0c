"""Labels that mean nearly the same, by a text encoder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lrmovienet.cache import Cache, damaged
from lrmovienet.files import sha256_of
from lrmovienet.progress import progress
from lrmovienet.sentences import SentenceEncoder

Vectors = Mapping[str, npt.NDArray[np.float32]]
_AT_ONCE = 512


def label_vectors(labels: Sequence[str], encoder: SentenceEncoder, cache: Path) -> Vectors:
    """Each label's vector of length one; those that are in the cache are not made again.

    Raises:
        UserError: the encoder cannot be loaded.
    """
    about = sha256_of(encoder.identity)[:16]
    kept = Cache(cache)
    known = {k.partition(":")[2]: v for k, v in kept.get(f"{about}:{x}" for x in labels).items()}
    todo = [label for label in labels if label not in known]
    if todo:
        with progress("comparing", len(todo), "labels") as advance:
            for start in range(0, len(todo), _AT_ONCE):
                some = todo[start : start + _AT_ONCE]
                made = {
                    label: vector.tobytes()
                    for label, vector in zip(some, encoder(some), strict=True)
                }
                kept.put({f"{about}:{label}": value for label, value in made.items()})
                known |= made
                advance(len(some))
    try:
        vectors = {label: np.frombuffer(known[label], np.float32) for label in labels}
        if len({len(vector) for vector in vectors.values()}) > 1:
            raise ValueError("vectors of different length")
        if any(abs(float(vector @ vector) - 1) > 1e-3 for vector in vectors.values()):
            raise ValueError("a vector whose length is not one")
    except ValueError as error:
        raise damaged(cache, error) from None
    return vectors


def near_duplicates(
    labels: Sequence[str], vectors: Vectors, near: float
) -> dict[str, tuple[str, float]]:
    """Labels of one clip that mean nearly the same as one before them.

    Args:
        labels: in their order; the first of two stays.
        vectors: of length one.
        near: smallest cosine of two that are the same.

    Returns:
        Each label that goes -> the one it is near to, the nearest of those that stay, and their
        cosine.
    """
    if not labels:
        return {}
    matrix = np.stack([vectors[label] for label in labels])
    cosines: Any = matrix @ matrix.T
    gone: dict[str, tuple[str, float]] = {}
    kept: list[int] = []
    for i, label in enumerate(labels):
        if kept:
            best = max(kept, key=lambda k: cosines[i, k])  # of equal ones the first
            if cosines[i, best] >= near:
                gone[label] = (labels[best], float(cosines[i, best]))
                continue
        kept.append(i)
    return gone
