"""Text with one row a line, as JSON Lines, CSV or TREC, as columns of `eval.rows.TYPES`.

Cells are looked at a column at a time; only a batch of rows in which something is wrong is gone
through cell by cell, to name it.
"""

import csv
import io
import itertools
import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from eval.messages import LISTED, listed, short
from eval.rows import (
    NUMBERS,
    TEXT,
    TYPES,
    Ints,
    Layout,
    Part,
    RunError,
    cell_error,
)

_BATCH = 1 << 18
"""Characters of text that are made into Python objects at a time."""

_ROWS = 4_000
"""The same for CSV, in rows."""

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
# Possessive (++), so that a long field costs neither memory nor a second try.
_WORD = re.compile(r'[ \t\r]*((?:"(?:[^"\\]++|\\.)*+"|[^ \t\r"\\]++|\\.)++)', re.DOTALL)
_PIECE = re.compile(r'"((?:[^"\\]++|\\.)*+)"|((?:[^"\\]++|\\.)++)', re.DOTALL)
_OTHER_SPACE = re.compile(r"[^\S \t\r\n]")

Row = Sequence[Any]
Line = str | list[str]
"""A line, or the cells of one."""


class WrongLines(RunError):
    """A message that names file and lines by itself."""


class _Builder:
    """Columns that grow by batches of rows, and the lines that were wrong."""

    def __init__(
        self,
        file: str,
        layout: Layout,
        cell: Callable[[str, Any], Any],
        fits: Callable[[str, Row], Row | None],
    ) -> None:
        """Builder of one file's rows.

        Args:
            file: its name.
            layout: its columns.
            cell: name of a column and what is written -> value; raises ValueError or OverflowError.
            fits: name of a column and what is written in each row -> values, or None where a cell
                may be wrong.
        """
        self.file = file
        self.layout = layout
        self.names = (*layout.required, *layout.optional)
        self.cell = cell
        self.fits = fits
        self.tables: list[pa.Table] = []
        self.numbers: list[Ints] = []
        self.wrong: list[tuple[int, str]] = []
        self.n_wrong = 0

    def reject(self, number: int, reason: object, line: Line) -> None:
        """Note a line that is wrong; to be called in the order of lines."""
        self.n_wrong += 1
        if len(self.wrong) < LISTED:
            self._note(number, reason, line)

    def _note(self, number: int, reason: object, line: Line) -> None:
        text = line if isinstance(line, str) else ",".join(line)
        self.wrong.append((number, f"{self.file}, line {number}: {reason}; it reads {short(text)}"))

    def add(self, cells: Iterable[Row], numbers: list[int], lines: Sequence[Line]) -> None:
        """Take rows.

        Args:
            cells: for each column of the layout, in its order, what is written in each row.
            numbers: of their lines; nothing is taken when there is none.
            lines: as they are written, for messages.
        """
        if not numbers:
            return
        columns = dict(zip(self.names, cells, strict=True))
        try:
            fitting = {name: self.fits(name, cells) for name, cells in columns.items()}
            table = None if None in fitting.values() else _table(fitting)
        except (ValueError, OverflowError):
            table = None
        if table is None and (values := self._one_by_one(columns, numbers, lines)):
            table = _table(values)
        if table is not None:
            self.tables.append(table)
            self.numbers.append(np.array(numbers, dtype=np.int64))

    def _one_by_one(
        self, columns: dict[str, Row], numbers: list[int], lines: Sequence[Line]
    ) -> dict[str, list[Any]] | None:
        """The values of these cells, or None if any of them is wrong."""
        values: dict[str, list[Any]] = {name: [] for name in columns}
        wrong = 0
        for i, number in enumerate(numbers):
            try:
                for name, cells in columns.items():
                    values[name].append(self.cell(name, cells[i]))
            except (ValueError, OverflowError) as error:
                wrong += 1
                if wrong <= LISTED:
                    self._note(number, error, lines[i])
        self.n_wrong += wrong
        # Of this batch, lines that could not be taken apart have been noted already.
        self.wrong = sorted(self.wrong)[:LISTED]
        return None if wrong else values

    def part(self) -> Part:
        """All rows. Raises RunError if a line was wrong, or there is none."""
        if self.wrong:
            heading = f"{self.file}: wrong lines: {self.n_wrong}"
            raise WrongLines(listed(heading, [text for _, text in self.wrong], self.n_wrong))
        if not self.tables:
            raise RunError("holds no rows")
        table = pa.concat_tables(self.tables)
        kept = [
            name for name in self.names
            if name in self.layout.required or table[name].null_count < len(table)
        ]  # fmt: skip
        return Part(table.select(kept), np.concatenate(self.numbers), "line")


def _table(values: dict[str, Any]) -> pa.Table:
    columns = {}
    for name, cells in values.items():
        array = pa.array(cells, pa.string() if TYPES[name] == TEXT else TYPES[name])
        columns[name] = array.dictionary_encode() if TYPES[name] == TEXT else array
    return pa.table(columns)


def _batches(text: str) -> Iterator[tuple[int, list[str]]]:
    """Number of the first line, and some lines, without their line feeds."""
    begin, number = 0, 1
    while begin < len(text):
        end = text.find("\n", begin + _BATCH)
        end = len(text) if end < 0 else end
        lines = text[begin:end].split("\n")
        yield number, lines
        begin, number = end + 1, number + len(lines)


def _places(names: Sequence[str], layout: Layout) -> list[int]:
    """Where the layout's columns are among these; those that are not there come after the last.

    Raises:
        RunError: a column is missing, unknown, or there twice.
    """
    layout.check(names)
    place = {our: names.index(their) for their, our in layout.theirs().items() if their in names}
    return [place.get(our, len(names)) for our in (*layout.required, *layout.optional)]


def jsonl(file: str, text: str, layout: Layout) -> Part:
    """Rows of JSON Lines. Raises RunError with the lines that are wrong."""
    builder = _Builder(file, layout, json_cell, _json_column)
    decoder = json.JSONDecoder(object_pairs_hook=tuple)
    picks: dict[tuple[str, ...], Callable[[Row], Row]] = {}
    for first, lines in _batches(text):
        rows: list[Row] = []
        numbers: list[int] = []
        for number, line in enumerate(lines, first):
            try:
                try:
                    pairs, end = decoder.raw_decode(line)
                except json.JSONDecodeError:
                    end = -1
                if end != len(line):  # blanks around it, or something wrong
                    if not line or line.isspace():
                        continue
                    pairs = decoder.decode(line)
                if type(pairs) is not tuple:
                    raise RunError("not a JSON object")
                names, cells = zip(*pairs, strict=True) if pairs else ((), ())
                if (pick := picks.get(names)) is None:
                    pick = picks[names] = operator.itemgetter(*_places(names, layout))
            except (ValueError, RecursionError) as error:
                said = f"not JSON ({error})" if isinstance(error, json.JSONDecodeError) else error
                builder.reject(number, said, line)
            else:
                rows.append(pick((*cells, None)))
                numbers.append(number)
        builder.add(zip(*rows, strict=True), numbers, [lines[n - first] for n in numbers])
    return builder.part()


def json_cell(name: str, value: Any) -> Any:
    """A JSON value as its column needs it. Raises ValueError, also for text that is no Unicode."""
    if value is None:
        return None
    if name in NUMBERS:
        if type(value) in (int, float):
            return float(value)
        raise cell_error(name, value)
    texts = value if name == "genres" else [value]
    if not isinstance(texts, list) or any(type(text) is not str for text in texts):
        raise cell_error(name, value)
    for text in texts:
        text.encode()
    return value


def _json_column(name: str, cells: Row) -> Row | None:
    types = {*map(type, cells)}
    if name in NUMBERS:
        return list(map(float, cells)) if types <= {int, float} else None
    kind = list if name == "genres" else str
    fits = types <= {kind, type(None)}
    if fits and kind is list:
        fits = {*map(type, itertools.chain.from_iterable(filter(None, cells)))} <= {str}
    return cells if fits else None


def csv_lines(file: str, text: str, layout: Layout) -> Part:
    """Rows of CSV (RFC 4180) with a header. Raises RunError with the lines that are wrong."""
    builder = _Builder(file, layout, _text_cell, _text_column)
    # StringIO would take four bytes a character.
    lines = io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8", newline="")
    reader = csv.reader(lines, strict=True)
    end = 0  # the last line of the row before
    try:
        for header in reader:
            end = reader.line_num
            if header:
                break
        else:
            raise RunError("holds no rows")
        places = _places(header, layout)
        more = True
        while more:
            rows: list[list[str]] = []
            numbers: list[int] = []
            for row in itertools.islice(reader, _ROWS):
                rows.append(row)
                numbers.append(end + 1)
                end = reader.line_num
            more = bool(rows)
            if {*map(len, rows)} - {len(header)}:
                rows, numbers = _of_width(len(header), rows, numbers, builder)
            if rows:
                cells = [*zip(*rows, strict=True), (None,) * len(rows)]
                builder.add([cells[i] for i in places], numbers, rows)
    except csv.Error as error:
        raise RunError(f"line {end + 1} is not CSV ({error})") from None
    return builder.part()


def _of_width(
    width: int, rows: list[list[str]], numbers: list[int], builder: _Builder
) -> tuple[list[list[str]], list[int]]:
    """The rows of this many cells; empty lines are nothing, others are rejected."""
    kept = []
    for row, number in zip(rows, numbers, strict=True):
        if len(row) == width:
            kept.append((row, number))
        elif row:
            said = f"has {len(row)} cells, the header {width}"
            builder.reject(number, said, row)
    return [row for row, _ in kept], [number for _, number in kept]


def _text_cell(name: str, text: str | None) -> Any:
    """A cell of a format without types as its column needs it. Raises RunError."""
    if text is None:
        return None
    if name in NUMBERS:
        if _NUMBER.fullmatch(text) or _NOT_FINITE.fullmatch(text):
            return float(text)
        raise RunError(f"{name} is {short(text)}, expected a number")
    if name == "genres":
        genres = text.split("|") if text.strip() else []
        if not all(genre.strip() for genre in genres):
            raise RunError(f"genres is {short(text)}, with a blank one")
        return genres
    return text


def _text_column(name: str, cells: Row) -> Row | None:
    if cells[0] is None:  # a column that is not there
        return cells
    if name in NUMBERS:
        return list(map(float, cells)) if all(map(_NUMBER.fullmatch, cells)) else None
    if name == "genres":
        different = {text: _text_cell(name, text) for text in {*cells}}
        return [different[text] for text in cells]
    return cells


def trec(file: str, text: str, layout: Layout) -> Part:
    """Rows of a TREC run, or of qrels. Raises RunError with the lines that are wrong."""
    builder = _Builder(file, layout, _text_cell, _text_column)
    if "score" in layout.required:
        shape, place = "clip_id Q0 label rank score tag", 4
    else:
        shape, place = "clip_id 0 label grade", 3
    width = len(shape.split())
    none = (None,) * len(layout.optional)
    # Only blanks and tabs part fields; str.split parts them at any white space.
    split = _split if _OTHER_SPACE.search(text) else str.split
    for first, lines in _batches(text):
        rows: list[Row] = []
        numbers: list[int] = []
        for number, line in enumerate(lines, first):
            fields = fields_of(line, split)
            if len(fields) == width:
                rows.append((fields[0], fields[2], fields[place], *none))
                numbers.append(number)
            elif fields:
                said = (
                    f"has {len(fields)} fields, expected {width}: {shape} (a label with spaces is "
                    'quoted: "old man")'
                )
                builder.reject(number, said, line)
        builder.add(zip(*rows, strict=True), numbers, [lines[n - first] for n in numbers])
    return builder.part()


def _split(line: str) -> list[str]:
    return [word for word in re.split(r"[ \t\r]", line) if word]


def fields_of(line: str, split: Callable[[str], list[str]] = _split) -> list[str]:
    """The fields of a TREC line; in quotes or after a backslash, a space is part of a field."""
    if "\\" not in line:
        if '"' not in line:
            return split(line)
        pieces = line.split('"')
        # One field in quotes, with spaces around it.
        if len(pieces) == 3 and pieces[0][-1:] in " \t\r" and pieces[2][:1] in " \t\r":
            return [*split(pieces[0]), pieces[1], *split(pieces[2])]
    line = line.removesuffix("\r")
    fields, begin = [], 0
    while match := _WORD.match(line, begin):
        begin = match.end()
        parts = (quoted or plain for quoted, plain in _PIECE.findall(match[1]))
        fields.append("".join(re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL) for part in parts))
    rest = line[begin:].strip(" \t\r")  # a quote that does not end, or a last backslash
    return [*fields, rest] if rest else fields


def quote_trec(label: str) -> str:
    """A label as a field of a TREC line; the inverse of how one is read.

    Raises:
        ValueError: the label holds a line break, which a TREC file cannot.
    """
    if "\n" in label or "\r" in label:
        raise ValueError("a TREC file cannot hold a line break")
    if label and not re.search(r'[ \t\r"\\]', label):
        return label
    return '"' + re.sub(r'(["\\])', r"\\\1", label) + '"'
