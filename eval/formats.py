"""One file of gold or predictions, in each format there is, as columns of `eval.rows.TYPES`."""

import codecs
import csv
import io
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from eval import rows as limits
from eval.parquet import read_parquet
from eval.rows import (
    LISTED,
    NUMBERS,
    TEXT,
    TYPES,
    Layout,
    Part,
    RunError,
    cell_error,
    listed,
    short,
)

FORMATS = {
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".trec": "trec",
    ".run": "trec",
    ".qrels": "trec",
    ".json": "json",
}
"""By the end of a file's name, ``.gz`` taken off. Other files are known by their content."""

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_WORD = re.compile(r'[ \t\r]*((?:"(?:[^"\\]|\\.)*"|[^ \t\r"\\]|\\.)+)', re.DOTALL)
_BATCH = 100_000
"""Rows that are kept as Python objects at a time."""


def parse(file: Path, data: bytes, layout: Layout) -> Part:
    """Read one file.

    Args:
        file: its name, for messages and to know the format; ``-`` is standard input.
        data: its bytes.
        layout: the columns to read.

    Raises:
        RunError: the file is not of its format, a column is missing, or a cell is of another type.
    """
    suffix = Path(file.name.removesuffix(".gz")).suffix
    try:
        if data[:2] == b"\x1f\x8b":
            data = _unpack(data)
        elif file.suffix == ".gz":
            raise RunError("not a gzip file")
        kind = FORMATS.get(suffix) or _guess(data, layout)
        if kind == "parquet":
            return read_parquet(data, layout)
        text = _decode(data)
        if kind == "json":
            return _official(text, layout)
        return {"jsonl": _jsonl, "csv": _csv, "trec": _trec}[kind](str(file), text, layout)
    except _WrongLines as error:
        raise RunError(str(error)) from None
    except RunError as error:
        raise RunError(f"{file}: {error}.") from None


class _WrongLines(RunError):
    """A message that names file and lines by itself."""


class _Builder:
    """Columns that grow cell by cell, and the lines that were wrong."""

    def __init__(self, file: str, layout: Layout) -> None:
        self.file = file
        self.names = (*layout.required, *layout.optional)
        self.required = layout.required
        self.cells: dict[str, list[Any]] = {name: [] for name in self.names}
        self.done: list[pa.Table] = []
        self.numbers: list[int] = []
        self.wrong: list[str] = []
        self.n_wrong = 0

    def add(self, number: int, cells: dict[str, Any]) -> None:
        self.numbers.append(number)
        for name, column in self.cells.items():
            column.append(cells.get(name))
        if len(self.cells["clip_id"]) >= _BATCH:
            self.flush()

    def reject(self, number: int, reason: object, line: str) -> None:
        self.n_wrong += 1
        if self.n_wrong <= LISTED:
            self.wrong.append(f"{self.file}, line {number}: {reason}; it reads {short(line)}")

    def flush(self) -> None:
        columns = {}
        for name, cells in self.cells.items():
            array = pa.array(cells, pa.string() if TYPES[name] == TEXT else TYPES[name])
            columns[name] = array.dictionary_encode() if TYPES[name] == TEXT else array
            cells.clear()
        self.done.append(pa.table(columns))

    def part(self) -> Part:
        if self.wrong:
            heading = f"{self.file}: wrong lines: {self.n_wrong}"
            raise _WrongLines(listed(heading, self.wrong, self.n_wrong))
        self.flush()
        table = pa.concat_tables(self.done)
        kept = [n for n in self.names if n in self.required or table[n].null_count < len(table)]
        numbers = np.array(self.numbers, dtype=np.int64)
        return Part(table.select(kept), numbers, "line")


def _unpack(data: bytes) -> bytes:
    """All members of a gzip file, no further than the limit."""
    pieces, size = [], 0
    try:
        while data:
            member = zlib.decompressobj(wbits=31)
            while not member.eof:
                piece = member.decompress(data, 1 << 24)
                size += len(piece)
                if size > limits.MAX_BYTES:
                    raise RunError(f"unpacks to more than {limits.MAX_BYTES // 2**20} MiB")
                pieces.append(piece)
                data = member.unconsumed_tail
                if not piece and not data and not member.eof:
                    raise RunError("the gzip file is cut short")
            data = member.unused_data.lstrip(b"\0")
    except zlib.error as error:
        raise RunError(f"not a readable gzip file ({error})") from None
    return b"".join(pieces)


def _guess(data: bytes, layout: Layout) -> str:
    """The format of a file whose name does not tell it."""
    if data[:4] == b"PAR1":
        return "parquet"
    text = data[: 1 << 16].removeprefix(codecs.BOM_UTF8).lstrip()
    if text[:1] in (b"[", b"{"):
        return "json" if text[:1] == b"[" else "jsonl"
    line = text.split(b"\n", 1)[0].decode(errors="replace").strip()
    theirs = layout.names.get("clip_id", "clip_id")
    if theirs in [cell.strip('" ') for cell in line.split(",")]:
        return "csv"
    if len(list(_fields(line))) in (4, 6):
        return "trec"
    raise RunError(
        "of no known format. Give Parquet, JSON Lines, CSV with a header that names the column "
        f"{theirs!r}, or TREC, in a file named .parquet, .jsonl, .csv, .run or .qrels"
    )


def _decode(data: bytes) -> str:
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RunError(f"line {line} is not UTF-8 text (byte {error.start} of the file)") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise RunError(f"line {line} holds a NUL character, so this is no text file")
    return text


def _jsonl(file: str, text: str, layout: Layout) -> Part:
    builder = _Builder(file, layout)
    decode = json.JSONDecoder(object_pairs_hook=tuple).decode
    theirs = layout.theirs()
    known: set[tuple[str, ...]] = set()  # names of columns that were checked already
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            pairs = decode(line)
            if not isinstance(pairs, tuple):
                raise RunError("not a JSON object")
            if (names := tuple(name for name, _ in pairs)) not in known:
                layout.check(names)
                known.add(names)
            cells = {theirs[name]: value for name, value in pairs if name in theirs}
            builder.add(number, {name: _cell(name, value) for name, value in cells.items()})
        except (ValueError, OverflowError, RecursionError) as error:
            said = f"not JSON ({error})" if isinstance(error, json.JSONDecodeError) else error
            builder.reject(number, said, line)
    return builder.part()


def _cell(name: str, value: Any) -> Any:
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


def _csv(file: str, text: str, layout: Layout) -> Part:
    builder = _Builder(file, layout)
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    theirs = layout.theirs()
    begin = 1
    try:
        header = next(lines, None)
        while header is not None and not header:
            header = next(lines, None)
        if header is None:
            raise RunError("holds no rows")
        layout.check(header)
        wanted = [(i, theirs[name]) for i, name in enumerate(header) if name in theirs]
        begin = lines.line_num + 1
        for row in lines:
            if row:
                try:
                    if len(row) != len(header):
                        raise RunError(f"has {len(row)} cells, the header {len(header)}")
                    builder.add(begin, {name: _text_cell(name, row[i]) for i, name in wanted})
                except RunError as error:
                    builder.reject(begin, error, ",".join(row))
            begin = lines.line_num + 1
    except csv.Error as error:
        raise RunError(f"line {begin} is not CSV ({error})") from None
    return builder.part()


def _text_cell(name: str, text: str) -> Any:
    """A cell of a text format as its column needs it."""
    if name in NUMBERS:
        if _NUMBER.fullmatch(text) or _NOT_FINITE.fullmatch(text):
            return float(text)
        raise RunError(f"{name} is {short(text)}, expected a number")
    if name == "genres":
        return [genre for genre in text.split("|") if genre.strip()]
    return text


def _trec(file: str, text: str, layout: Layout) -> Part:
    builder = _Builder(file, layout)
    number = "score" if "score" in layout.required else "grade"
    shape = {"score": "clip_id Q0 label rank score tag", "grade": "clip_id 0 label grade"}[number]
    expected, place = (6, 4) if number == "score" else (4, 3)
    for i, line in enumerate(text.split("\n"), 1):
        words = list(_fields(line)) if '"' in line or "\\" in line else _split(line)
        if not words:
            continue
        try:
            if len(words) != expected:
                raise RunError(
                    f"has {len(words)} fields, expected {expected}: {shape} (a label with spaces "
                    'is quoted: "old man")'
                )
            cells = {"clip_id": words[0], "label": words[2]}
            builder.add(i, cells | {number: _text_cell(number, words[place])})
        except RunError as error:
            builder.reject(i, error, line)
    return builder.part()


def _split(line: str) -> list[str]:
    """The fields of a line without quotes: only blanks and tabs part them, no other white space."""
    return [word for word in re.split(r"[ \t\r]", line) if word]


def _fields(line: str) -> Iterator[str]:
    """The fields of a TREC line; in quotes or after a backslash, a space is part of a field."""
    begin = 0
    line = line.rstrip(" \t\r") if not line.rstrip(" \t\r").endswith("\\") else line.rstrip("\r")
    while begin < len(line):
        match = _WORD.match(line, begin)
        if not match:  # a quote that does not end: the line has a wrong number of fields
            yield line[begin:]
            return
        begin = match.end()
        word = match.group(1)
        if '"' not in word and "\\" not in word:
            yield word
        else:
            pieces = (m.group(1) if m.group(2) is None else m.group(2) for m in _pieces(word))
            yield "".join(re.sub(r"\\(.)", r"\1", piece, flags=re.DOTALL) for piece in pieces)


def _pieces(word: str) -> Iterator[re.Match[str]]:
    return re.finditer(r'"((?:[^"\\]|\\.)*)"|((?:[^"\\]|\\.)+)', word, flags=re.DOTALL)


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


def _official(text: str, layout: Layout) -> Part:
    """The official LR²PPO project's JSON: ``[{"id": …, "tags": [{"tag": …, "target": 0}, …]}]``."""
    if "grade" not in layout.required:
        raise RunError("a JSON list is gold only; give predictions as JSON Lines or CSV")
    try:
        items = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RunError(f"not JSON ({error})") from None
    if not isinstance(items, list):
        raise RunError("not a JSON list of items with id and tags")
    columns: dict[str, list[Any]] = {name: [] for name in layout.required}
    numbers, wrong = [], []
    known: set[str] = set()
    for number, item in enumerate(items):
        try:
            clip, tags = (item.get("id"), item.get("tags")) if type(item) is dict else (None, None)
            if type(clip) is not str or type(tags) is not list or not tags:
                raise RunError(
                    f"id is {short(clip)}; expected an object with the text id and the list tags, "
                    "not empty"
                )
            if clip in known:
                raise RunError(f"the id {short(clip)} appears twice")
            known.add(clip)
            for tag in tags:
                if type(tag) is not dict:
                    raise RunError(f"clip {short(clip)}: a tag is {short(tag)}")
                cells = (clip, tag.get("tag"), tag.get("target"))
                checked = [_cell(n, v) for n, v in zip(columns, cells, strict=True)]
                for name, cell in zip(columns, checked, strict=True):
                    columns[name].append(cell)
                numbers.append(number)
        except (ValueError, OverflowError) as error:
            wrong.append(f"item {number}: {error}")
    if wrong:
        raise RunError(listed(f"wrong items: {len(wrong)}", wrong, len(wrong)))
    table = {
        name: pa.array(cells, pa.float64())
        if name == "grade"
        else pa.array(cells, pa.string()).dictionary_encode()
        for name, cells in columns.items()
    }
    return Part(pa.table(table), np.array(numbers, dtype=np.int64), "item")
