"""Documents of queries as what rankers take: records, grades, and pairs.

A query is a record whose labels are its documents, numbered from 1 in the order of the file.
"""

import numpy as np

from baselines.data import Graded, Ints, Paired, Record
from baselines.letor.documents import Documents
from baselines.lr2ppo.pairs import graded_pairs
from lrmovienet.errors import UserError


def records_of(documents: Documents, domain: str) -> tuple[Record, ...]:
    """One record a query; features should be scaled before, and without gaps for networks."""
    found = []
    for i, query in enumerate(documents.queries):
        start, end = documents.offsets[i], documents.offsets[i + 1]
        labels = tuple(str(place + 1) for place in range(end - start))
        sources = ("document",) * len(labels)
        x = documents.x[start:end]
        found.append(Record(query, domain, labels, sources, (), "", vectors=x))
    return tuple(found)


def graded_of(documents: Documents, domain: str) -> tuple[Graded, ...]:
    """The same with grades. Raises UserError where the file has none."""
    grades = grades_of(documents)
    return tuple(
        Graded(record, grades[documents.offsets[i] : documents.offsets[i + 1]])
        for i, record in enumerate(records_of(documents, domain))
    )


def grades_of(documents: Documents) -> Ints:
    """(documents,) grades. Raises UserError where the file has none."""
    if documents.grades is None:
        raise UserError(f"{documents.name}: has no grades, so nothing can be learned or scored.")
    return documents.grades


def pairs_of(documents: Documents, domain: str, percent: int, seed: int) -> tuple[Paired, ...]:
    """Some of all pairs of documents of one query with different grades, better document first.

    Args:
        documents: with grades, of which nothing else is told.
        domain: of the records.
        percent: share of all pairs, drawn at random over all queries; a larger share holds the
            pairs of a smaller one.
        seed: of the draw.

    Raises:
        UserError: the file has no grades, or no query has documents of two grades.
    """
    graded = graded_of(documents, domain)
    pairs = [graded_pairs(item.grades) for item in graded]
    ends = np.cumsum([0, *map(len, pairs)])
    if not ends[-1]:
        raise UserError(f"{documents.name}: no query has documents of two grades: no pairs.")
    drawn = np.random.default_rng([seed, 17]).permutation(ends[-1])
    kept = np.sort(drawn[: max(1, round(percent / 100 * ends[-1]))])
    cuts = np.searchsorted(kept, ends)
    found = []
    for i, item in enumerate(graded):
        mine = kept[cuts[i] : cuts[i + 1]] - ends[i]
        if len(mine):
            found.append(Paired(item.record, pairs[i][mine]))
    return tuple(found)
