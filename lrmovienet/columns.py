"""What a table's columns are made of, and vectorised tests of their values."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from eval.labels import normal_form

MAX_LABEL_LENGTH = 200

Check = Callable[[pa.Array], pa.Array]
"""A vectorised test: a column's values in, one boolean a row out."""


@dataclass(frozen=True)
class Column:
    """One column: its type, whether it may be empty, and what its values must be, in words."""

    name: str
    type: pa.DataType
    expected: str
    ok: Check | None = None
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """A table of the contract: its columns and the columns that together are unique."""

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    schema: pa.Schema = field(init=False)

    def __post_init__(self) -> None:
        fields = [pa.field(c.name, c.type, nullable=c.nullable) for c in self.columns]
        object.__setattr__(self, "schema", pa.schema(fields))

    def empty(self) -> pa.Table:
        """The table without rows."""
        return self.schema.empty_table()


def is_id(values: pa.Array) -> pa.Array:
    """No blanks, no slashes, not empty."""
    return pc.match_substring_regex(values, r"^[^\s/\\]+$")


def is_normal_label(values: pa.Array) -> pa.Array:
    """A label in normal form, of 1 to `MAX_LABEL_LENGTH` characters."""
    return pa.array([0 < len(v) <= MAX_LABEL_LENGTH and v == normal_form(v) for v in _py(values)])


def one_of(*allowed: object) -> Check:
    """One of the given values."""
    return lambda values: pc.is_in(values, value_set=pa.array(allowed, type=values.type))


def at_least(low: float) -> Check:
    """A finite number, `low` or more."""
    return lambda values: pc.and_(pc.is_finite(values), pc.greater_equal(values, low))


def between(low: float, high: float) -> Check:
    """A number from `low` to `high`, both included."""
    return lambda values: pc.and_(at_least(low)(values), pc.less_equal(values, high))


def not_blank(values: pa.Array) -> pa.Array:
    """Text with something in it."""
    return pc.match_substring_regex(values, r"\S")


def is_range(values: pa.Array) -> pa.Array:
    """Two numbers, 0 <= first <= last."""
    return pa.array([len(v) == 2 and 0 <= v[0] <= v[1] for v in _py(values)])


def not_empty(values: pa.Array) -> pa.Array:
    """A list with something in it."""
    return pc.greater(pc.list_value_length(values), 0)


def _py(values: pa.Array) -> list[Any]:
    return list(values.to_pylist())
