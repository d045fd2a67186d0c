"""Texts that say the same, and pictures that look alike."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lrmovienet.phash import BITS

WORD = re.compile(r"\w+")
_AT_ONCE = 512
Pairs = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]


def shingles(text: str) -> set[tuple[str, ...]]:
    """The triples of consecutive words of a text; of fewer than three words, all of them as one.

    A text without words has none, and is near nothing. Scripts that put no blanks between words are
    compared by what stands between punctuation.
    """
    words = WORD.findall(text.lower())
    if not words:
        return set()
    return {tuple(words[i : i + 3]) for i in range(max(len(words) - 2, 1))}


def near_texts(texts: Sequence[str], near: float) -> Pairs:
    """Pairs of texts whose sets of word triples are nearly the same.

    Args:
        texts: all different from each other.
        near: smallest Jaccard index (Broder, On the resemblance and containment of documents, 1997:
            triples of both over triples of either), above 0.

    Returns:
        i, j and Jaccard index of each pair, with i < j, by i and j.
    """
    from scipy.sparse import csr_matrix, triu

    if not texts:
        return _joined([])
    number: dict[tuple[str, ...], int] = {}
    columns, ends = [], [0]
    for text in texts:
        columns += [number.setdefault(s, len(number)) for s in sorted(shingles(text))]
        ends.append(len(columns))
    shape = (len(texts), len(number))
    having = csr_matrix((np.ones(len(columns), np.int32), columns, ends), shape=shape)
    sizes = np.diff(ends)
    found = []
    for start in range(0, len(texts), _AT_ONCE):  # so that memory does not grow with the square
        both = triu(having[start : start + _AT_ONCE] @ having.T, k=start + 1).tocoo()
        rows, others = both.row + start, both.col
        index = both.data / (sizes[rows] + sizes[others] - both.data)
        chosen = np.flatnonzero(index >= near)
        chosen = chosen[np.lexsort((others[chosen], rows[chosen]))]
        found.append((rows[chosen], others[chosen], index[chosen]))
    return _joined(found)


def alike(hashes: Sequence[int], bits: int) -> Pairs:
    """Pairs of perceptual hashes that differ in few bits.

    Args:
        hashes: of 64 bits, all different from each other.
        bits: most bits that differ.

    Returns:
        i, j and number of bits of each pair, with i < j, by i and j.
    """
    words = np.array(hashes, np.uint64)
    # As signs, so that the number of bits that differ is a scalar product: (64 - a·b) / 2.
    signs = np.unpackbits(words[:, None].view(np.uint8), axis=1).astype(np.float32) * 2 - 1
    found = []
    for start in range(0, len(words), _AT_ONCE):
        differ = (BITS - signs[start : start + _AT_ONCE] @ signs[start:].T) / 2
        rows, others = np.nonzero(differ <= bits)
        rows, others = rows[rows < others], others[rows < others]
        found.append((rows + start, others + start, differ[rows, others]))
    return _joined(found)


def _joined(parts: Sequence[tuple[Any, Any, Any]]) -> Pairs:
    rows, others, values = ([part[k] for part in parts] for k in range(3))
    return (
        np.concatenate([np.empty(0, np.int64), *rows]).astype(np.int64),
        np.concatenate([np.empty(0, np.int64), *others]).astype(np.int64),
        np.concatenate([np.empty(0), *values]).astype(np.float64),
    )
