"""Queries and their documents: what a file of learning to rank holds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from baselines.data import Ints

Features = npt.NDArray[np.float32]
MAX_BYTES = 64 * 2**30
"""Of all features of a file as float32."""
SMALL = 64 * 2**20
"""Bytes that any file may take in memory, however well it is packed."""


@dataclass(frozen=True)
class Documents:
    """The documents of some queries, one query after the other."""

    name: str
    """Of the file, without its place on this machine."""
    sha256: str
    """Of its bytes, and of those of the file with list lengths, where there is one."""
    x: Features
    """(documents, features); NaN where the file says NULL, 0 where it leaves a feature out."""
    grades: Ints | None
    """(documents,) 0 or more; None where the file has none."""
    offsets: Ints
    """(queries + 1,) query i owns the rows offsets[i]:offsets[i + 1]."""
    queries: tuple[str, ...]
    """(queries,) their ids, each once; of lists without ids, their numbers from 1."""
    documents: tuple[str, ...] | None
    """(documents,) ids, "" where a row has none; None where no row has one."""
    first_feature: int = 1
    """The feature that stands in column 0: 1, or 0 where ids are counted from 0."""

    def __len__(self) -> int:
        """How many queries."""
        return len(self.queries)

    @property
    def lengths(self) -> Ints:
        """(queries,) documents of each."""
        return np.diff(self.offsets)

    def rows(self, chosen: Sequence[int] | Ints) -> Ints:
        """The rows of some queries, one query after the other."""
        parts = [np.arange(self.offsets[i], self.offsets[i + 1]) for i in chosen]
        return np.concatenate([np.zeros(0, np.int64), *parts])

    def take(self, chosen: Sequence[int] | Ints) -> "Documents":
        """Some of the queries, in the order given."""
        rows = self.rows(chosen)
        return replace(
            self,
            x=self.x[rows],
            grades=None if self.grades is None else self.grades[rows],
            offsets=np.cumsum([0, *self.lengths[np.asarray(chosen, dtype=np.int64)]]),
            queries=tuple(self.queries[i] for i in chosen),
            documents=None if self.documents is None else tuple(self.documents[i] for i in rows),
        )
