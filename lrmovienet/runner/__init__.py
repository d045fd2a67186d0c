"""How a stage runs over shards. `local` needs nothing; other engines take the same stages.

A stage is a callable object: columns in, columns out, a batch at a time::

    stage(batch: dict[str, list]) -> dict[str, list]
    stage.version: str      # changes when its output would

It is light to make and to pickle: models are loaded on first use, in the process that runs it. A
row that comes back with a ``drop_reason`` goes into the stage's dropped rows instead of the table.
"""

from typing import Any, Protocol

from lrmovienet.errors import UserError

Columns = dict[str, list[Any]]


class Stage(Protocol):
    """What a runner needs of a stage."""

    @property
    def version(self) -> str:
        """Changes when the stage's output would."""
        ...

    def __call__(self, batch: Columns) -> Columns:
        """Input rows -> output rows. Raises ItemError for an item it cannot do."""
        ...


def count(columns: Columns) -> int:
    """Number of rows. Columns of different length are a defect of the stage that made them."""
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"columns of different length: {lengths}")
    return next(iter(lengths.values()), 0)


def take(columns: Columns, rows: list[int]) -> Columns:
    """The given rows of some columns."""
    return {name: [values[row] for row in rows] for name, values in columns.items()}


def split(columns: Columns, size: int) -> list[Columns]:
    """Consecutive batches of at most `size` rows. Raises UserError for a size below 1."""
    if size < 1:
        raise UserError(f"--shard_size {size}: give 1 or more.")
    total = count(columns)
    return [
        take(columns, list(range(start, min(start + size, total))))
        for start in range(0, total, size)
    ]
