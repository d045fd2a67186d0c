"""A check of rows against a table of the contract, that says which are wrong and why."""

import pyarrow as pa
import pyarrow.compute as pc

from lrmovienet.columns import Column, Table
from lrmovienet.errors import UserError, shorten


def validate(rows: pa.Table, table: Table, where: str) -> pa.Table:
    """Return `rows` in the table's exact schema, or say what is wrong with them.

    Args:
        rows: the columns, in any order; extra columns are an error.
        table: the contract to hold them to.
        where: the file (or the stage) the rows came from, for the message.

    Raises:
        UserError: a column is missing, unknown or of another type, or rows break the contract. Up
            to ten of them are listed with row number (from 0), column, value and what was expected.
    """
    _validate_columns(rows, table, where)
    problems: list[str] = []
    columns = []
    for column in table.columns:
        try:
            values = rows[column.name].combine_chunks().cast(column.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise UserError(
                f"{where}: column {column.name!r} has type {rows[column.name].type}, "
                f"expected {column.type} ({column.expected}). {_first_line(error)}"
            ) from None
        columns.append(values)
        for row in _bad_rows(values, column):
            value = values[row].as_py()
            problems.append(
                f"row {row}, column {column.name!r}: {shorten(value)}; expected {column.expected}"
            )
    result = pa.Table.from_arrays(columns, schema=table.schema)
    if not problems:
        problems = _repeated_keys(result, table)
    if problems:
        more = f"\n  … and {len(problems) - 10} more" if len(problems) > 10 else ""
        listed = "\n  ".join(problems[:10])
        raise UserError(f"{where}: not a valid {table.name!r} table:\n  {listed}{more}")
    return result


def from_columns(columns: dict[str, list[object]], table: Table, where: str) -> pa.Table:
    """Plain Python columns as a validated Arrow table. Raises UserError as `validate` does."""
    arrays = {}
    for name, values in columns.items():
        known = name in table.schema.names
        try:
            wanted = table.schema.field(name).type if known else None
            if wanted is not None and pa.types.is_integer(wanted):
                # Given the type at once, pyarrow would cut 1.5 to 1 without a word.
                arrays[name] = pa.array(values).cast(wanted)
            else:
                arrays[name] = pa.array(values, type=wanted)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise UserError(f"{where}: column {name!r}: {_first_line(error)}") from None
    return validate(pa.table(arrays), table, where)


def _validate_columns(rows: pa.Table, table: Table, where: str) -> None:
    names = [c.name for c in table.columns]
    missing = [n for n in names if n not in rows.column_names]
    unknown = [n for n in rows.column_names if n not in names]
    if missing or unknown:
        parts = [f"missing column {n!r}" for n in missing] + [
            f"unknown column {n!r}" for n in unknown
        ]
        raise UserError(
            f"{where}: {'; '.join(parts)}. "
            f"A {table.name!r} table has the columns {', '.join(names)}."
        )


def _bad_rows(values: pa.Array, column: Column) -> list[int]:
    bad: set[int] = set()
    if not column.nullable:
        bad.update(pc.indices_nonzero(pc.is_null(values)).to_pylist())
    if column.ok is not None:
        present = pc.indices_nonzero(pc.is_valid(values))
        if len(present):
            good = column.ok(values.take(present))
            bad.update(pc.filter(present, pc.invert(good)).to_pylist())
    return sorted(bad)


def _repeated_keys(rows: pa.Table, table: Table) -> list[str]:
    if not table.key or rows.num_rows == 0:
        return []
    numbered = rows.select(table.key).append_column("row", pa.array(range(rows.num_rows)))
    groups = numbered.group_by(list(table.key)).aggregate([("row", "count"), ("row", "max")])
    repeated = groups.filter(pc.greater(groups["row_count"], 1)).sort_by("row_max")
    return [
        f"row {group['row_max']}: repeats the key "
        + ", ".join(f"{name}={shorten(group[name])}" for name in table.key)
        for group in repeated.to_pylist()
    ]


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
