"""Rows of learning to rank read plainly, line by line, as the grammar says them."""

import re
from dataclasses import dataclass

import numpy as np

GRADE = re.compile(rb"([0-9]+)(?:\.0*)?")
QUERY = re.compile(rb"qid:([0-9]{1,18})")
FEATURE = re.compile(rb"([0-9]+):(.*)", re.DOTALL)
VALUE = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
DOCUMENT = re.compile(rb"[ \t]*docid[ \t]*=[ \t]*([^ \t\r]*)")


class WrongError(Exception):
    """A file that is none; its argument is the line, or None where it is no line's fault."""


@dataclass
class Plain:
    x: np.ndarray
    grades: list[int]
    offsets: list[int]
    queries: list[str]
    documents: list[str] | None
    first_feature: int


@dataclass
class Row:
    grade: int
    query: int | None
    features: dict[int, np.float32]
    document: str


def value(text: bytes, line: int) -> np.float32:
    if text in (b"NULL", b"NaN", b"nan"):
        return np.float32(np.nan)
    if not VALUE.fullmatch(text):
        raise WrongError(line)
    with np.errstate(over="ignore"):
        found = np.float32(float(text))
    if np.isinf(found):
        raise WrongError(line)
    return found


def row(text: bytes, comment: bytes, line: int) -> Row:
    words = re.split(rb"[ \t]+", text)
    grade = GRADE.fullmatch(words.pop(0))
    if not grade or int(grade[1]) > 30:
        raise WrongError(line)
    query = None
    if words and words[0].startswith(b"qid:"):
        match = QUERY.fullmatch(words.pop(0))
        if not match:
            raise WrongError(line)
        query = int(match[1])
    features: dict[int, np.float32] = {}
    for word in words:
        match = FEATURE.fullmatch(word)
        if not match or int(match[1]) > 65_535 or int(match[1]) in features:
            raise WrongError(line)
        features[int(match[1])] = value(match[2], line)
    named = DOCUMENT.match(comment)
    try:
        return Row(int(grade[1]), query, features, named[1].decode() if named else "")
    except UnicodeDecodeError:
        raise WrongError(line) from None


def rows_of(data: bytes) -> list[tuple[int, Row]]:
    """With their lines."""
    lines = data.split(b"\n")
    found: list[tuple[int, Row]] = []
    ended: set[int] = set()
    for number, line in enumerate(lines, start=1):
        text, _, comment = line.removesuffix(b"\r").partition(b"#")
        if not text.strip(b" \t"):
            continue
        new = row(text.strip(b" \t"), comment, number)
        if found:
            before = found[-1][1].query
            if (before is None) != (new.query is None):
                raise WrongError(number)
            if before is not None and new.query != before:
                ended.add(before)
                if new.query in ended:
                    raise WrongError(number)
        found.append((number, new))
    return found


def parse(data: bytes, lengths: bytes | None = None) -> Plain:
    rows = [found for _, found in rows_of(data)]
    ids = [i for found in rows for i in found.features]
    if not rows or not ids:
        raise WrongError(None)
    given = None
    if lengths is not None:
        words = [word for word in map(bytes.strip, lengths.splitlines()) if word]
        if not all(re.fullmatch(rb"[0-9]{1,18}", word) and int(word) for word in words):
            raise WrongError(None)
        given = [int(word) for word in words]
        if sum(given) != len(rows):
            raise WrongError(None)
    if rows[0].query is not None:
        queries: list[str] = []
        counts: list[int] = []
        for found in rows:
            if not queries or queries[-1] != str(found.query):
                queries.append(str(found.query))
                counts.append(0)
            counts[-1] += 1
        if given is not None and given != counts:
            raise WrongError(None)
    elif given is None:
        raise WrongError(None)
    else:
        counts, queries = given, [str(i + 1) for i in range(len(given))]
    first = 0 if min(ids) == 0 or rows[0].query is None else 1
    x = np.zeros((len(rows), max(ids) - first + 1), np.float32)
    for i, found in enumerate(rows):
        for feature, number in found.features.items():
            x[i, feature - first] = number
    names = [found.document for found in rows]
    return Plain(
        x, [found.grade for found in rows], [0, *np.cumsum(counts).tolist()], queries,
        names if any(names) else None, first,
    )  # fmt: skip


def same(found, expected: Plain) -> None:
    """The reader's documents are these, bit for bit; which NaN it is does not matter."""
    nan = np.isnan(expected.x)
    assert np.array_equal(np.isnan(found.x), nan)
    assert found.x.dtype == np.float32
    assert found.x.flags.c_contiguous
    assert np.where(nan, 0, found.x).tobytes() == np.where(nan, 0, expected.x).tobytes()
    assert found.grades.tolist() == expected.grades
    assert found.offsets.tolist() == expected.offsets
    assert list(found.queries) == expected.queries
    assert (None if found.documents is None else list(found.documents)) == expected.documents
    assert found.first_feature == expected.first_feature
    assert found.grades.dtype == found.offsets.dtype == np.int64
