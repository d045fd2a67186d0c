"""Texts that say the same, and pictures that look alike."""

import re
from collections.abc import Sequence

import numpy as np

from lrmovienet.phash import BITS

WORD = re.compile(r"\w+")
_AT_ONCE = 4096


def shingles(text: str) -> set[tuple[str, ...]]:
    """The triples of consecutive words of a text; of fewer than three words, all of them as one."""
    words = WORD.findall(text.lower())
    return {tuple(words[i : i + 3]) for i in range(max(len(words) - 2, 1))}


def near_texts(texts: Sequence[str], near: float) -> list[tuple[int, int, float]]:
    """Pairs of texts whose sets of word triples are nearly the same.

    Args:
        texts: all different from each other.
        near: smallest Jaccard index (Broder, On the resemblance and containment of documents, 1997:
            triples of both over triples of either), above 0.

    Returns:
        (i, j, Jaccard index) with i < j, by i and j.
    """
    from scipy.sparse import csr_matrix, triu

    if not texts:
        return []
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
        found += [(int(rows[k]), int(others[k]), float(index[k])) for k in chosen]
    return sorted(found)


def alike(hashes: Sequence[int], bits: int) -> list[tuple[int, int, int]]:
    """Pairs of perceptual hashes that differ in few bits.

    Args:
        hashes: of 64 bits, all different from each other.
        bits: most bits that differ.

    Returns:
        (i, j, number of bits) with i < j, by i and j.
    """
    words = np.array(hashes, np.uint64)
    # As signs, so that the number of bits that differ is a scalar product: (64 - a·b) / 2.
    signs = np.unpackbits(words[:, None].view(np.uint8), axis=1).astype(np.float32) * 2 - 1
    found = []
    for start in range(0, len(words), _AT_ONCE):
        differ = (BITS - signs[start : start + _AT_ONCE] @ signs.T) / 2
        for row, other in np.argwhere(differ <= bits):
            if start + row < other:
                found.append((int(start + row), int(other), int(differ[row, other])))
    return found
