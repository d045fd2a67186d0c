"""Rows of files, with where each came from, and the refusal that names those that are wrong.

Nothing is repaired or left out silently: what is wrong is refused with the first ten rows
concerned.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from eval.messages import LISTED, listed, short

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

MAX_ROWS = 50_000_000
"""A file that claims more rows than this is not unpacked."""

MAX_BYTES = 4 * 2**30
"""A file, or what it unpacks to, is not read beyond this."""

NUMBERS = ("score", "grade")
TEXT = pa.dictionary(pa.int32(), pa.string())
TYPES = {
    **dict.fromkeys(("clip_id", "label", "movie_id", "source", "split", "domain"), TEXT),
    **dict.fromkeys(NUMBERS, pa.float64()),
    "genres": pa.list_(pa.string()),
}
"""The columns there are. Text is coded, so that work on it is done once a different value."""


_SEEN = r"[^\s\p{Z}\x00-\x1f\x85]"
"""A character that is surely no white space."""


class RunError(ValueError):
    """Gold or predictions are wrong. The message says what, where, and what to do."""


@dataclass(frozen=True)
class Layout:
    """The columns of a kind of table, and what they are called in the files."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    option: str
    """The option that gives other names, for messages."""
    subfolders: tuple[str, ...] = ()
    """Where a folder without files may have them."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Our name -> theirs."""

    def renamed(self, names: Mapping[str, str] | None) -> "Layout":
        """The same columns under other names. Raises RunError for a column there is not."""
        names = names or {}
        ours = (*self.required, *self.optional)
        if unknown := [name for name in names if name not in ours]:
            raise RunError(
                f"{self.option}: no column {short(unknown[0])}; ours are {', '.join(ours)}."
            )
        theirs = [names.get(name, name) for name in ours]
        if twice := [name for name in theirs if theirs.count(name) > 1]:
            raise RunError(f"{self.option}: two columns would be read from {short(twice[0])}.")
        return replace(self, names=dict(names))

    def theirs(self) -> dict[str, str]:
        """Their name -> ours."""
        return {self.names.get(name, name): name for name in (*self.required, *self.optional)}

    def check(self, names: Sequence[str]) -> None:
        """Raises RunError unless a file with these columns has what is needed, each once."""
        theirs = self.theirs()
        needed = [their for their, our in theirs.items() if our in (*self.required, *self.names)]
        wrong = [f"missing column {name!r}" for name in needed if name not in names]
        wrong += [f"column {short(n)} twice" for n, times in Counter(names).items() if times > 1]
        if not self.optional:
            wrong += [f"unknown column {short(name)}" for name in names if name not in theirs]
        if wrong:
            raise RunError(
                f"{'; '.join(wrong[:LISTED])}. Expected columns: {', '.join(needed)}; other names "
                f"are given by {self.option}, such as {self.required[0]}=query"
            )


@dataclass(frozen=True)
class Part:
    """One file's rows."""

    table: pa.Table
    numbers: Ints
    """(n_rows,) of each row: a row of a Parquet file or an item of a JSON list, from 0, or a line,
    from 1."""
    unit: str
    """What is counted: row, line or item."""


@dataclass(frozen=True)
class Rows:
    """Rows of one or more files, and where each came from."""

    name: str
    """The files, for messages."""
    table: pa.Table
    """One column a field, in one chunk each, of `TYPES`."""
    files: tuple[str, ...]
    units: tuple[str, ...]
    """(n_files,) what `row_of` counts."""
    file_of: npt.NDArray[np.int32]
    """(n_rows,) index into `files`."""
    row_of: Ints
    """(n_rows,) as `Part.numbers`."""
    sha256: str
    """Over the bytes of the files, one after another in the order of `files`."""

    def where(self, row: int) -> str:
        """File and row or line, for messages."""
        file = self.file_of[row]
        return f"{self.files[file]}, {self.units[file]} {self.row_of[row]}"

    def take(self, rows: Ints) -> "Rows":
        """Some of the rows, in the order given."""
        table = pa.table(
            {name: one_chunk(self.table[name]).take(rows) for name in self.table.column_names}
        )
        return replace(self, table=table, file_of=self.file_of[rows], row_of=self.row_of[rows])

    def has(self, column: str) -> bool:
        """Whether there is such a column."""
        return column in self.table.column_names

    def codes(self, column: str) -> tuple[Ints, pa.Array]:
        """A text column: (n_rows,) places in the different values, −1 for none; and those."""
        coded = one_chunk(self.table[column])
        codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return codes.astype(np.int64), coded.dictionary

    def numbers(self, column: str) -> npt.NDArray[np.float64]:
        """A column of numbers; NaN for none."""
        return np.asarray(one_chunk(self.table[column]).to_numpy(zero_copy_only=False))

    def refuse(self, wrong: Mask, why: str | Callable[[int], str]) -> None:
        """Raise RunError with the first rows that are wrong, if there are any."""
        bad = np.flatnonzero(wrong)
        if not len(bad):
            return
        first = bad[np.lexsort((self.row_of[bad], self.file_of[bad]))][:LISTED]
        lines = []
        for i in first.tolist():
            clip, label = (short(self.table[name][i].as_py()) for name in ("clip_id", "label"))
            reason = why if isinstance(why, str) else why(i)
            lines.append(f"{self.where(i)}, clip {clip}, label {label}: {reason}")
        raise RunError(listed(f"{self.name}: wrong rows: {len(bad)}", lines, len(bad)))


def blank(rows: Rows, column: str) -> Mask:
    """(n_rows,) where a text column has nothing, or only white space."""
    codes, values = rows.codes(column)
    # Also what only Unicode calls a space: its normal form would be nothing.
    filled = pc.match_substring_regex(values, _SEEN).to_numpy(zero_copy_only=False).copy()
    for i in np.flatnonzero(~filled).tolist():
        filled[i] = bool(values[i].as_py().strip())
    mask: Mask = ~np.append(filled, False)[codes]
    return mask


def stable_order(keys: Ints) -> Ints:
    """What a stable argsort of keys gives, several times faster where they are small.

    Key and place are sorted as one number.

    Args:
        keys: (n,) −1 or more.
    """
    bits = len(keys).bit_length()
    if not len(keys) or (int(keys.max()) + 1).bit_length() + bits > 63:
        return np.argsort(keys, kind="stable")
    packed = (keys + 1) << bits
    packed |= np.arange(len(keys))
    packed.sort()
    packed &= (1 << bits) - 1
    return packed


def one_chunk(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column as one array."""
    if isinstance(column, pa.Array):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def cell_error(column: str, value: Any) -> RunError:
    """A cell of another type than its column."""
    kind = {"genres": "a list of texts", "score": "a number", "grade": "a number"}
    return RunError(f"{column} is {short(value)}, expected {kind.get(column, 'text')}")
