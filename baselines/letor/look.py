"""What a file of learning to rank holds, in numbers that show its traps."""

from dataclasses import dataclass

import numpy as np

from baselines.data import Ints
from baselines.letor.documents import Documents, Features
from baselines.letor.leaks import PLACEHOLDER, chunks
from eval.ndcg import Empty, ndcg, reference_scores

KS = (1, 3, 5, 10, 20)
RULES: tuple[Empty, ...] = ("skip", "one", "zero")
RAW = 1e4
"""Features are raw where a value is further from 0: networks need them normalised."""


@dataclass(frozen=True)
class Extreme:
    """A value, and where it stands."""

    value: float
    feature: int
    """The first that has it, as the file numbers features."""


@dataclass(frozen=True)
class Grades:
    """Numbers of a file that grades documents."""

    counts: dict[int, int]
    """Grade -> its documents, of grades that occur."""
    queries_without_relevant: int
    """All their documents have grade 0."""
    share_without_relevant: float
    """p0: these by all queries."""
    queries_all_equal: int
    """All their documents have one grade, 0 or another: no order is better than another."""
    random: dict[Empty, dict[str, float | None]]
    """Rule for queries without a relevant document -> ``ndcg@k`` -> what a random order gets, the
    expectation's mean over queries; None where no query is counted."""


@dataclass(frozen=True)
class Look:
    """Numbers of one file."""

    name: str
    sha256: str
    rows: int
    queries: int
    features: int
    first_feature: int
    """The feature in column 0."""
    shortest: int
    """Documents of the shortest list, of the median and of the longest."""
    median: float
    longest: int
    grades: Grades | None
    """None where the file has none."""
    null: float
    """Share of values that are NULL."""
    null_rows: int
    """Rows that are NULL in every feature."""
    with_ids: int
    """Rows with the id of a document; the placeholder is none."""
    placeholders: int
    """Rows with the placeholder instead of an id."""
    constant: tuple[int, ...]
    """Features with one value, or NULL, in every row."""
    smallest: Extreme | None
    """Of all values; None where all are NULL."""
    largest: Extreme | None

    @property
    def raw(self) -> bool:
        """Whether a value is further from 0 than `RAW`."""
        return any(end and abs(end.value) > RAW for end in (self.smallest, self.largest))


def look(documents: Documents) -> Look:
    """Count; all features are read once.

    Args:
        documents: of one file, of one query or more.
    """
    n, width = documents.x.shape
    low, high = (np.full(width, np.nan, np.float32) for _ in range(2))
    nulls, null_rows = np.zeros(width, np.int64), 0
    for rows in chunks(n, width):
        values = documents.x[rows]
        null = np.isnan(values)
        nulls += null.sum(axis=0)
        null_rows += int(null.all(axis=1).sum())
        low = np.fmin(low, np.fmin.reduce(values, axis=0))  # of a number and NULL, the number
        high = np.fmax(high, np.fmax.reduce(values, axis=0))
    constant = (nulls == n) | ((nulls == 0) & (low == high))
    first, lengths, ids = documents.first_feature, documents.lengths, documents.documents or ()
    return Look(
        name=documents.name,
        sha256=documents.sha256,
        rows=n,
        queries=len(documents),
        features=width,
        first_feature=first,
        shortest=int(lengths.min()),
        median=float(np.median(lengths)),
        longest=int(lengths.max()),
        grades=None if documents.grades is None else _grades(documents.grades, documents.offsets),
        null=float(nulls.sum()) / max(n * width, 1),
        null_rows=null_rows,
        with_ids=len(ids) - ids.count("") - ids.count(PLACEHOLDER),
        placeholders=ids.count(PLACEHOLDER),
        constant=tuple((np.flatnonzero(constant) + first).tolist()),
        smallest=None if np.isnan(low).all() else _extreme(low, int(np.nanargmin(low)), first),
        largest=None if np.isnan(high).all() else _extreme(high, int(np.nanargmax(high)), first),
    )


def _grades(grades: Ints, offsets: Ints) -> Grades:
    counts = np.bincount(grades)
    best = np.maximum.reduceat(grades, offsets[:-1])
    worst = np.minimum.reduceat(grades, offsets[:-1])
    scores = reference_scores(grades)["random"]
    random: dict[Empty, dict[str, float | None]] = {}
    for rule in RULES:
        values = ndcg(scores, grades, offsets, KS, empty=rule)
        counted = values[~np.isnan(values).any(axis=1)]
        means = counted.mean(axis=0).tolist() if len(counted) else [None] * len(KS)
        random[rule] = {f"ndcg@{k}": mean for k, mean in zip(KS, means, strict=True)}
    return Grades(
        counts={grade: int(n) for grade, n in enumerate(counts) if n},
        queries_without_relevant=int((best == 0).sum()),
        share_without_relevant=float((best == 0).mean()),
        queries_all_equal=int((best == worst).sum()),
        random=random,
    )


def _extreme(values: Features, column: int, first: int) -> Extreme:
    return Extreme(float(values[column]), column + first)
