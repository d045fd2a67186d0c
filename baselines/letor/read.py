"""Files of learning to rank: LETOR 3 and 4, MSLR-WEB, svmlight, LightGBM's and XGBoost's, npz.

The grammar of rows, which is what svmlight and LETOR agree on. Bytes, not characters:

    file    = line*, each with LF at its end, which the last may lack
    line    = blank* [row blank*] ["#" comment] [CR]
    row     = grade [blank+ "qid:" query] (blank+ feature ":" value)*
    blank   = space | tab
    grade   = digit+ ["." "0"*], 0 to 30
    query   = 1 to 18 digits: a number, so that 12 and 00012 are one query
    feature = digit+, 0 to 65535; no feature twice in a row, in whatever order
    value   = [sign] (digit+ ["." digit*] | "." digit+) [("e" | "E") [sign] digit+]
            | "NULL" | "NaN" | "nan"
    comment = blank* "docid" blank* "=" blank* document … | anything but LF

A value is the double nearest to the text, then the float32 nearest to that; above the largest
float32 it is an error. NULL is NaN; a feature that is left out is 0. `document` goes to the next
blank and is UTF-8. The rows of a query stand together. A line has at most 16 MiB.

Rows with qid and rows without do not mix. Where they have none, the lists' lengths stand in the
file beside it, PATH.query or PATH.group: a whole number of 1 or more a line. Where they have, and
such a file is there, it must say the same.

Features are counted from 1, as LETOR does; from 0 where a feature 0 occurs or rows have no qid, as
LightGBM does. A file in gzip is told by its first bytes, and so is npz.
"""

import gzip
import hashlib
import os
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from io import BufferedReader
from pathlib import Path

import numpy as np

from baselines.data import Ints
from baselines.letor import cache as entries
from baselines.letor.cache import Table
from baselines.letor.documents import MAX_BYTES, SMALL, Documents
from baselines.letor.npz import read_npz
from lrmovienet.errors import UserError, shorten
from lrmovienet.progress import progress

MAX_GROWTH = 100
"""Features as float32 take at most so many times the bytes of the text, or 64 MiB."""
MAX_UNPACKED = 200
"""A file in gzip grows to at most so many times its size, or 64 MiB."""
_MAX_LINE = 16 * 2**20
_CHUNK = 2 * 2**20
_BLOCK = 2**20
"""Values that the kernel writes before they are stored, 4 MiB."""
_ROWS = 2**16
"""Rows that the kernel reads before they are stored."""
_LONG = 200_000_000
"""Bytes of a file from which on progress is shown."""
_LENGTHS = (".query", ".group")
_TOO_LARGE = 2.0**128 - 2.0**103
"""From here on a number is nearer to 2^128 than to the largest float32."""
_MESSAGES = {
    "BAD_GRADE": (
        "no grade",
        "A row begins with a whole number from 0 to 30: GRADE qid:ID FEATURE:VALUE ….",
    ),
    "BAD_QUERY": ("no query", "Give it as qid: and a number of at most 18 digits."),
    "MIXED": ("out of place: some rows have qid and some have none", "Give all rows one, or none."),
    "BAD_FEATURE": ("no feature", "After GRADE and qid:ID there is only FEATURE:VALUE …."),
    "LARGE_FEATURE": ("too large a feature", "Number features up to 65535."),
    "TWICE": ("a feature that the row has already", "Leave one of them."),
    "BAD_VALUE": ("no feature with its value", "Give a decimal number as value, or NULL."),
    "LARGE_VALUE": ("too large a value", "Give numbers of at most 3.4e38, which float32 holds."),
}


def read(path: Path, cache: Path | None = None, *, _chunk: int = _CHUNK) -> Documents:
    """The queries and documents of a file.

    Args:
        path: rows as above, plain or in gzip, or an npz file as in `npz.read_npz`.
        cache: a folder to keep what was read in, by its hash: the next time the features are
            mapped from there. Without it they are held in memory.

    Returns:
        Features as float32, C order; read only where they come from the cache.

    Raises:
        UserError: the file is not there, or something in it is wrong; with the line.
        OSError: the cache cannot be written.
    """
    with opened(path) as file:
        if file.peek(2)[:2] == b"PK" or path.suffix == ".npz":
            return read_npz(path, file)
    lengths = _beside(path)
    if cache is None:
        try:
            return _parsed(path, lengths, Table(), _chunk)
        except MemoryError:
            raise UserError(
                f"{path}: its features need more memory than there is. Read it with a cache."
            ) from None
    sha256 = _sha256(path, lengths)
    folder = entries.entry(cache, sha256)
    found = entries.load(folder, path.name, sha256)
    if found is not None:
        return found
    with entries.making(cache) as made:
        parsed = _parsed(path, lengths, entries.table(made), _chunk)
        if parsed.sha256 != sha256:
            raise UserError(f"{path}: changed while it was read. Read it again when it is whole.")
        return entries.keep(made, folder, parsed)


def opened(path: Path) -> BufferedReader:
    """A user's file, open. Raises UserError where it cannot be."""
    try:
        if path.is_file():
            return path.open("rb")
        what = "no file" if path.exists() else "no such file"
    except (OSError, ValueError) as error:
        what = f"cannot be read ({error})"
    raise UserError(f"{path}: {what}. Give a file of rows, as train.txt of a fold.")


def _sha256(path: Path, lengths: Path | None) -> str:
    digest = hashlib.sha256()
    for some in (path, lengths):
        if some is not None:
            with opened(some) as file:
                while data := file.read(_CHUNK):
                    digest.update(data)
    return digest.hexdigest()


def _parsed(path: Path, lengths: Path | None, table: Table, chunk: int) -> Documents:
    rows = _Rows(path, table)
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        shown = (
            progress(f"read {path.name}", size, "bytes") if size >= _LONG else nullcontext(_mute)
        )
        with shown as advance:
            source = _Source(file, advance)
            try:
                for data in _whole_lines(rows, _ahead(_unpacked(path, source, size, chunk))):
                    rows.read(data)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise UserError(
                    f"{path}: the gzip data are damaged ({error}). Fetch the file again."
                ) from None
    if not table.rows:
        raise UserError(f"{path}: has no rows. Give a file of rows, as train.txt of a fold.")
    if not rows.width:
        raise UserError(f"{path}: no row has a feature. Rows are GRADE qid:ID FEATURE:VALUE ….")
    if not rows.with_query and lengths is None:
        raise UserError(
            f"{path}: the rows have no qid. Write the lengths of the lists, one a line, to "
            f"{path}{_LENGTHS[0]}."
        )
    offsets = np.array([*rows.starts, table.rows], dtype=np.int64)
    if lengths is not None:
        with opened(lengths) as file:
            text = file.read(32 * table.rows + SMALL)
        source.hash.update(text)
        given = _lengths(lengths, text, table.rows)
        if rows.with_query and not np.array_equal(given, np.diff(offsets)):
            raise UserError(
                f"{lengths}: other lists than those that qid gives in {path}. Delete it, or give "
                "the one that belongs to it."
            )
        offsets = np.cumsum([0, *given], dtype=np.int64)
    return Documents(
        name=path.name,
        sha256=source.hash.hexdigest(),
        x=table.whole(rows.first),
        grades=np.concatenate(rows.grades),
        offsets=offsets,
        queries=tuple(map(str, rows.lines or range(1, len(offsets)))),
        documents=tuple(rows.documents) if any(rows.documents) else None,
        first_feature=rows.first,
    )


def _mute(n: int) -> None:
    """Progress of what is soon done."""


class _Source:
    """A file's bytes, hashed and counted as they are read."""

    def __init__(self, file: BufferedReader, advance: Callable[[int], None]) -> None:
        self.file, self.advance = file, advance
        self.hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self.hash.update(data)
        self.advance(len(data))
        return data


def _unpacked(path: Path, source: _Source, size: int, chunk: int) -> Iterator[bytes]:
    if source.file.peek(2)[:2] != b"\x1f\x8b":
        while data := source.read(chunk):
            yield data
        return
    left = MAX_UNPACKED * size + SMALL
    packed = gzip.GzipFile(fileobj=source)  # type: ignore[call-overload]
    while data := packed.read(chunk):
        left -= len(data)
        if left < 0:
            raise UserError(
                f"{path}: unpacks to more than {MAX_UNPACKED} times its size, which ranking data "
                "do not. Unpack it, look at it, and give the file that came out."
            )
        yield data


def _ahead(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The next chunk is read, hashed and unpacked while this one is parsed."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, chunks, b"")
        while data := coming.result():
            coming = pool.submit(next, chunks, b"")
            yield data


def _whole_lines(rows: "_Rows", chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for data in chunks:
        cut = data.rfind(b"\n") + 1
        if cut:
            yield rest + data[:cut]
            rest = b""
        rest += data[cut:]
        if len(rest) > _MAX_LINE:
            raise UserError(
                f"{rows.path}, line {rows.line + 1}: longer than {_MAX_LINE // 2**20} MiB, which "
                "no row is. Is this another kind of file?"
            )
    if rest:
        yield rest + b"\n"


class _Rows:
    """What was read of a file of rows."""

    def __init__(self, path: Path, table: Table) -> None:
        from baselines.letor import kernel  # here: compiling takes its library a second to load

        self.path, self.table, self.kernel = path, table, kernel
        self.first, self.width = 1, 0
        self.bytes = 0
        self.grades: list[Ints] = []
        self.documents: list[str] = []
        self.lines: dict[int, int] = {}
        """Of each query's first row."""
        self.starts: list[int] = []
        """Each query's first row."""
        self.last = -1
        self.block = np.empty(_BLOCK, np.float32)
        self.columns = np.empty((3, _ROWS), np.int64)
        self.names = np.empty((_ROWS, 2), np.int64)
        self.marks = np.empty((kernel.MAX_FEATURE + 1, 3), np.int64)
        self.seen = np.zeros(kernel.MAX_FEATURE + 1, np.int64)
        self.state = np.zeros(kernel.STATE, np.int64)
        self.state[kernel.WITH_QUERY] = -1

    @property
    def line(self) -> int:
        """The last one that was read."""
        return int(self.state[self.kernel.LINE])

    @property
    def with_query(self) -> bool:
        """Whether the rows have qid."""
        return bool(self.state[self.kernel.WITH_QUERY] == 1)

    def read(self, data: bytes) -> None:
        """Take whole lines."""
        kernel, state = self.kernel, self.state
        self.bytes += len(data)
        state[kernel.AT] = 0
        status = kernel.FULL
        while status != kernel.DONE:
            status = kernel.parse(
                np.frombuffer(data, np.uint8), self.block, self.width, self.first, *self.columns,
                self.names, self.marks, self.seen, state,
            )  # fmt: skip
            if state[kernel.ROWS]:
                self._store(data, int(state[kernel.ROWS]), int(state[kernel.MARKS]))
            if status == kernel.FROM_0:
                self.first = 0
                self.width += bool(self.width)
            elif status == kernel.WIDER:
                self.width = int(state[kernel.NEEDED])
            elif status in kernel.ERRORS:
                raise self._error(status, data)

    def _store(self, data: bytes, rows: int, marks: int) -> None:
        grades, queries, lines = self.columns[:, :rows]
        for place, begin, end in self.marks[:marks].tolist():
            value = np.float64(data[begin:end])
            if abs(value) >= _TOO_LARGE:
                line = lines[place // self.width]
                raise _wrong(self.path, line, data[begin:end], *_MESSAGES["LARGE_VALUE"])
            self.block[place] = value
        if self.with_query:
            changes = np.flatnonzero(np.diff(queries, prepend=self.last))
            for row in changes.tolist():
                self._begin(int(queries[row]), int(lines[row]), self.table.rows + row)
            self.last = int(queries[-1])
        if self.table.rows + rows > 0:
            self._check_size(int(lines[-1]), rows)
        self.grades.append(grades.copy())
        names = self.names[:rows]
        if (names[:, 1] > names[:, 0]).any():
            self.documents += self._names(data, names, lines)
        else:
            self.documents += [""] * rows
        self.table.append(self.block[: rows * self.width], rows, self.first)

    def _begin(self, query: int, line: int, row: int) -> None:
        if query in self.lines:
            raise UserError(
                f"{self.path}, line {line}: query {query} again, which began in line "
                f"{self.lines[query]}; others stand between. Sort the rows by query."
            )
        self.lines[query] = line
        self.starts.append(row)

    def _check_size(self, line: int, rows: int) -> None:
        size = 4 * (self.table.rows + rows) * self.width
        if size > min(MAX_BYTES, max(SMALL, MAX_GROWTH * self.bytes)):
            raise UserError(
                f"{self.path}, line {line}: {self.table.rows + rows} rows of {self.width} features "
                f"would take {size / 2**30:.1f} GiB, of {self.bytes / 2**20:.1f} MiB of text. "
                "Number the features that occur from 1 on."
            )

    def _names(self, data: bytes, names: Ints, lines: Ints) -> list[str]:
        found = []
        for (begin, end), line in zip(names.tolist(), lines.tolist(), strict=True):
            try:
                found.append(data[begin:end].decode())
            except UnicodeDecodeError:
                raise _wrong(
                    self.path, line, data[begin:end], "no document's id in UTF-8",
                    "Write the file in UTF-8.",
                ) from None  # fmt: skip
        return found

    def _error(self, status: int, data: bytes) -> UserError:
        wrong = int(self.state[self.kernel.WRONG])
        word = data[wrong : wrong + 200].split(b"\n")[0].rstrip(b"\r").split(b"#")[0]
        name = next(name for name in _MESSAGES if getattr(self.kernel, name) == status)
        what, todo = _MESSAGES[name]
        return _wrong(self.path, self.line + 1, (word.split() or [b""])[0], what, todo)


def _wrong(path: Path, line: int, word: bytes, what: str, todo: str) -> UserError:
    shown = shorten(word.decode(errors="backslashreplace"))
    return UserError(f"{path}, line {line}: {shown} is {what}. {todo}")


def _beside(path: Path) -> Path | None:
    """The file with the lists' lengths."""
    names = [path.name, path.stem] if path.suffix == ".gz" else [path.name]
    some = (path.with_name(name + end) for name in names for end in _LENGTHS)
    return next((found for found in some if found.is_file()), None)


def _lengths(path: Path, text: bytes, rows: int) -> Ints:
    """(lists,) from a file with one a line, which add up to `rows`."""
    found = []
    for line, word in enumerate(text.splitlines(), start=1):
        word = word.strip()
        if not word:
            continue
        if not word.isdigit() or len(word) > 18 or int(word) == 0:
            raise _wrong(path, line, word, "no list's length", "Give a whole number of 1 or more.")
        found.append(int(word))
    if sum(found) != rows:
        raise UserError(
            f"{path}: the lengths of {len(found)} lists add up to {sum(found)}, but there are "
            f"{rows} rows in the file beside it. Give the lengths that belong to it."
        )
    return np.array(found, dtype=np.int64)
