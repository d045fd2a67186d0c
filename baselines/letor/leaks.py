"""What two sides of learning to rank share: queries, documents, and rows that are the same.

A ranker that learned from one side has seen whatever it shares with the other. Documents of one
collection turn up in many sets, each time with the features of another query; a row that is the
same in every feature is most likely the same document of the same query, unless its id is another:
where features are few, coarse or NULL, documents look alike.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from baselines.data import Ints
from baselines.letor.documents import Documents, Features

PLACEHOLDER = "GX000-00-0000000"
"""What LETOR's aggregation sets write where a document is unknown: no document."""
VALUES_AT_ONCE = 1 << 17
"""So that what is worked on stays in the processor's cache."""
Bits = npt.NDArray[np.uint64]
Marks = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Printed:
    """A file with a fingerprint of each row."""

    documents: Documents
    prints: Bits
    """(documents,) equal for rows that are equal; seldom equal for others."""
    silent: Marks
    """(documents,) rows that say nothing: one value, or NULL, in every feature."""


@dataclass(frozen=True)
class Shared:
    """What side a and side b have in common. Pairs of numbers are of a and of b."""

    queries: tuple[str, ...] | None
    """Ids in both, in the order of b; None where both sides only number their queries from 1."""
    documents: tuple[str, ...] | None
    """Ids in both, in the order of b, without the placeholder; None where a side has no ids."""
    placeholders: tuple[int, int]
    """Rows with the placeholder instead of an id."""
    compared: tuple[int, int]
    """Rows for which the other side has rows with as many features, silent ones included."""
    silent: tuple[int, int]
    """Of these, rows that have one value, or NULL, in every feature; never called equal."""
    equal: Ints
    """(n, 2) second, each row of b that is equal to rows of a which are not known to be of another
    document; first, one of these: the first with the same grade, or else the first. Rows are
    numbered through all files of a side."""
    same_grade: int
    """Of these rows of b, how many are equal to a row of a with the same grade."""
    other_grade: int
    """How many are equal to rows with other grades only; rows without grades are in neither."""
    alike: int
    """Rows of b that are equal to rows of a, but only to those whose ids say: another document."""
    rows: int
    """Rows of b whose document is in a, or that are in `equal`."""
    queries_touched: int
    """Queries of b that have such a row, or whose id is in a."""


def shared(a: Documents, b: Documents) -> Shared:
    """What two sets of documents have in common; of folds of one file just as of two files.

    Rows are equal where every feature is, as 32-bit numbers: NULL equals NULL, and 0 equals -0.
    Only rows with the same number of features are compared.
    """
    return compare([printed(a)], [printed(b)])


def printed(documents: Documents) -> Printed:
    """Read all features once, and keep 9 bytes a row.

    A fingerprint is the sum of the values' bits, each times an odd number drawn for its column,
    modulo 2^64 (multilinear hashing). By itself it never makes rows equal.
    """
    n, width = documents.x.shape
    drawn = np.random.default_rng(width).integers(0, 1 << 63, width, dtype=np.uint64)
    factors = drawn * np.uint64(2) + np.uint64(1)
    prints, silent = np.empty(n, np.uint64), np.empty(n, np.bool_)
    for rows in chunks(n, width):
        values = documents.x[rows] + np.float32(0)  # a copy, in which -0 has become 0
        values[np.isnan(values)] = np.nan  # of the many NaNs, one
        bits = values.view(np.uint32)
        prints[rows] = np.einsum("ij,j->i", bits, factors)
        silent[rows] = (bits == bits[:, :1]).all(axis=1)
    return Printed(documents, prints, silent)


def compare(a: Sequence[Printed], b: Sequence[Printed]) -> Shared:
    """As `shared`, of sides of one or more files; what a file of a side has, the side has."""
    left, right = _Side(a), _Side(b)
    widths = left.widths & right.widths
    equal, same, other, alike = _equal(left, right, widths)
    ids = {*left.names} - {"", PLACEHOLDER}
    touched = np.array([name in ids for name in right.names], np.bool_)
    touched[equal[:, 1]] = True
    rows = np.flatnonzero(touched)
    queries = np.zeros(len(right.queries), np.bool_)
    queries[np.searchsorted(right.offsets, rows, side="right") - 1] = True
    asked: tuple[str, ...] | None = None
    if not (left.numbered and right.numbered):
        known = {*left.queries}
        queries |= [query in known for query in right.queries]
        asked = tuple(dict.fromkeys(query for query in right.queries if query in known))
    have_ids = left.have_ids and right.have_ids
    return Shared(
        queries=asked,
        documents=tuple(dict.fromkeys(n for n in right.names if n in ids)) if have_ids else None,
        placeholders=(left.names.count(PLACEHOLDER), right.names.count(PLACEHOLDER)),
        compared=(int(left.has(widths).sum()), int(right.has(widths).sum())),
        silent=(
            int((left.has(widths) & left.silent).sum()),
            int((right.has(widths) & right.silent).sum()),
        ),
        equal=equal,
        same_grade=same,
        other_grade=other,
        alike=alike,
        rows=len(rows),
        queries_touched=int(queries.sum()),
    )


class _Side:
    """Files that stand together, their rows and queries numbered through all of them."""

    def __init__(self, parts: Sequence[Printed]) -> None:
        files = [part.documents for part in parts]
        self.x = [file.x for file in files]
        self.widths = {x.shape[1] for x in self.x}
        self.offsets = np.cumsum([0, *(n for file in files for n in file.lengths)])
        self.queries = [query for file in files for query in file.queries]
        self.numbered = all(
            file.queries == tuple(str(i + 1) for i in range(len(file))) for file in files
        )
        self.have_ids = any(file.documents is not None for file in files)
        self.names = [name for file in files for name in file.documents or [""] * len(file.x)]
        self.grades = np.concatenate([
            np.full(len(file.x), -1) if file.grades is None else file.grades for file in files
        ])  # fmt: skip
        self.prints = np.concatenate([part.prints for part in parts])
        self.silent = np.concatenate([part.silent for part in parts])

    def has(self, widths: set[int]) -> Marks:
        """(rows,) which have one of these numbers of features."""
        return np.repeat([x.shape[1] in widths for x in self.x], [len(x) for x in self.x])


def _equal(a: _Side, b: _Side, widths: set[int]) -> tuple[Ints, int, int, int]:
    """`equal`, `same_grade`, `other_grade` and `alike` of `Shared`."""
    found, same, other, alike = [np.zeros((0, 2), np.int64)], 0, 0, 0
    for width in sorted(widths):
        mine, yours = (np.flatnonzero(side.has({width}) & ~side.silent) for side in (a, b))
        mine = mine[np.isin(a.prints[mine], b.prints[yours])]
        yours = yours[np.isin(b.prints[yours], a.prints[mine])]
        prints = np.concatenate([a.prints[mine], b.prints[yours]])
        group = _groups(a.x + b.x, np.concatenate([mine, yours + len(a.prints)]), prints)
        of_a, of_b = group[: len(mine)], group[len(mine) :]
        shown = np.isin(of_b, of_a)
        yours, of_b = yours[shown], of_b[shown]
        ids = _numbers([a.names[i] for i in mine], [b.names[i] for i in yours])
        first = _partners(of_a, of_b, *ids)
        # A group and a grade as one number; there is one more level, for no grade.
        levels = 2 + max(int(a.grades.max()), int(b.grades.max()))
        graded, of_mine = b.grades[yours] >= 0, np.flatnonzero(a.grades[mine] >= 0)
        agreeing = _partners(of_a * levels + a.grades[mine], of_b * levels + b.grades[yours], *ids)
        agreed = graded & (agreeing < len(mine))
        against = _partners(of_a[of_mine], of_b, ids[0][of_mine], ids[1]) < len(of_mine)
        same += int(agreed.sum())
        other += int((graded & against & ~agreed).sum())
        partner = np.where(agreed, agreeing, first)
        known = partner < len(mine)
        alike += int((~known).sum())
        found.append(np.stack([mine[partner[known]], yours[known]], axis=1))
    pairs = np.concatenate(found)
    return pairs[np.argsort(pairs[:, 1])], same, other, alike


def _numbers(a: Sequence[str], b: Sequence[str]) -> tuple[Ints, Ints]:
    """Ids of documents as numbers from 1; 0 where the document is unknown."""
    number = {name: i for i, name in enumerate(dict.fromkeys(["", *a, *b]))}
    number[PLACEHOLDER] = 0
    one, other = (np.array([number[name] for name in names], np.int64) for names in (a, b))
    return one, other


def _partners(of_a: Ints, of_b: Ints, ids_a: Ints, ids_b: Ints) -> Ints:
    """Where in a each of b first has its value, of a document that is not known to be another.

    Returns:
        (rows of b,) places in a; their number where there is none.
    """
    step = 1 + max(ids_a.max(initial=0), ids_b.max(initial=0))
    of_its_own = _first(of_a * step + ids_a, of_b * step + ids_b)
    of_unknown = _first(of_a * step + ids_a, of_b * step)
    return np.where(ids_b == 0, _first(of_a, of_b), np.minimum(of_its_own, of_unknown))


def _groups(x: Sequence[Features], rows: Ints, prints: Bits) -> Ints:
    """Rows of one width -> a number each, equal for equal rows and for no others.

    Rows with one fingerprint are compared with the first of them; those that differ from it, with
    the first of those, and so on.
    """
    group = np.empty(len(rows), np.int64)
    left = np.argsort(prints, kind="stable")
    while len(left):
        _, first, of = np.unique(prints[left], return_index=True, return_inverse=True)
        heads = left[first[of]]
        same = heads == left
        others = np.flatnonzero(~same)
        for some in chunks(len(others), x[0].shape[1]):
            chosen = others[some]
            one, two = _take(x, rows[left[chosen]]), _take(x, rows[heads[chosen]])
            same[chosen] = ((one == two) | (np.isnan(one) & np.isnan(two))).all(axis=1)
        group[left[same]] = heads[same]
        left = left[~same]
    return group


def _first(values: Ints, wanted: Ints) -> Ints:
    """Where each wanted value stands first among the values; their number where it does not."""
    known, first = np.unique(values, return_index=True)
    place = np.searchsorted(known, wanted)
    there = place < len(known)
    there[there] = known[place[there]] == wanted[there]
    found = np.full(len(wanted), len(values))
    found[there] = first[place[there]]
    return found


def _take(x: Sequence[Features], rows: Ints) -> Features:
    """(n, width) rows of several arrays, numbered through all; those asked for have one width."""
    starts = np.cumsum([0, *map(len, x)])
    part = np.searchsorted(starts, rows, side="right") - 1
    found = np.empty((len(rows), x[part[0]].shape[1]), np.float32)
    for i in np.unique(part):
        found[part == i] = x[i][rows[part == i] - starts[i]]
    return found


def chunks(rows: int, width: int) -> Iterator[slice]:
    """Slices of rows that hold a bounded number of values each."""
    step = max(VALUES_AT_ONCE // max(width, 1), 1)
    for start in range(0, rows, step):
        yield slice(start, start + step)
