"""The compiled part of the reader: bytes of whole lines into numbers. The grammar: `read.py`.

Correct rounding. A decimal number is m · 10^s. With m < 2^53 and |s| ≤ 22 both m and 10^|s| are
doubles, so one multiplication or division gives the nearest double (Clinger, "How to Read Floating
Point Numbers Accurately", 1990). All else is worked out with a relative error below 2^-50; where
both ends of that interval round to the same float32, so does the nearest double, as rounding is
monotonic. What is left, about one number in 2^25 and those made for it, is marked for Python.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba
import numpy as np

MAX_FEATURE = 65_535
MAX_GRADE = 30

# How a run of the kernel ended.
DONE, FULL, WIDER, FROM_0 = 0, 1, 2, 3
BAD_GRADE, BAD_QUERY, MIXED, BAD_FEATURE, LARGE_FEATURE, TWICE, BAD_VALUE, LARGE_VALUE = range(
    4, 12
)
ERRORS = range(BAD_GRADE, LARGE_VALUE + 1)

# What the kernel keeps between runs, in one array of int64.
AT, LINE, ROWS, MARKS, SERIAL, WITH_QUERY, NEEDED, WRONG = range(8)
STATE = 8

_POWERS = np.array([float(f"1e{i}") for i in range(65)])
_EXACT = 2**53
_DIGITS = 10**17
"""A mantissa below takes one more digit and stays below 2^63."""
_SLACK = 2.0**-50

_LF, _CR, _TAB, _SPACE, _HASH, _PLUS, _MINUS, _POINT, _COLON = 10, 13, 9, 32, 35, 43, 45, 46, 58
_ZERO, _NINE, _E, _SMALL_E = 48, 57, 69, 101
_OK, _TEXT, _OVER, _HARD = 0, 1, 2, 3

P = ParamSpec("P")
R = TypeVar("R")


def _compiled(function: Callable[P, R]) -> Callable[P, R]:
    try:
        made = numba.njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError:  # no folder to keep machine code in: compiled anew by each process
        made = numba.njit(nogil=True, error_model="numpy")(function)
    return cast(Callable[P, R], made)


def _inlined(function: Callable[P, R]) -> Callable[P, R]:
    return cast(Callable[P, R], numba.njit(inline="always", error_model="numpy")(function))


@_inlined
def _blank(c):  # type: ignore[no-untyped-def]
    return c in (_SPACE, _TAB)


@_inlined
def _last(data, at):  # type: ignore[no-untyped-def]
    """Whether a row ends before `at`."""
    return data[at] in (_LF, _HASH) or (data[at] == _CR and data[at + 1] == _LF)


@_inlined
def _ends(data, at):  # type: ignore[no-untyped-def]
    """Whether a word may end before `at`."""
    return _blank(data[at]) or _last(data, at)


@_inlined
def _is(data, at, a, b, c):  # type: ignore[no-untyped-def]
    return data[at] == a and data[at + 1] == b and data[at + 2] == c


@_inlined
def _number(data, at, limit):  # type: ignore[no-untyped-def]
    """A whole number, held at `limit` or somewhat above it, and the place after it."""
    value = np.int64(0)
    while True:
        digit = np.int64(data[at]) - _ZERO
        if digit < 0 or digit > 9:
            return value, at
        if value <= limit:
            value = value * 10 + digit
        at += 1


@_compiled
def _rounded(m, scale):  # type: ignore[no-untyped-def]
    """Kind and float32 of m · 10^scale, where that is no exact operation on doubles."""
    if scale > 40:
        return _OVER, np.float32(0)
    if scale < -64:  # below 10^-46, half of the smallest float32
        return _OK, np.float32(0)
    value = m * _POWERS[scale] if scale >= 0 else m / _POWERS[-scale]
    low, high = np.float32(value * (1 - _SLACK)), np.float32(value * (1 + _SLACK))
    if low != high:
        return _HARD, low
    if np.isinf(low):
        return _OVER, low
    return _OK, low


@_compiled
def _long(data, at, end):  # type: ignore[no-untyped-def]
    """Digits with or without a point: the first 18 that count, and the power of ten after them."""
    m, scale, fraction = np.int64(0), np.int64(0), 0
    while at < end:
        digit = np.int64(data[at]) - _ZERO
        at += 1
        if digit == _POINT - _ZERO:
            fraction = 1
        elif m < _DIGITS:
            m = m * 10 + digit
            scale -= fraction
        else:
            scale += 1 - fraction
    return m, scale


@_inlined
def _value(data, at):  # type: ignore[no-untyped-def]
    """A value: kind, float32 and the place after it."""
    c = data[at]
    negative = c == _MINUS
    if negative or c == _PLUS:
        at += 1
    elif c > _NINE:
        if c == 78 and _is(data, at + 1, 85, 76, 76):  # NULL
            return _OK, np.float32(np.nan), at + 4
        if _is(data, at, 78, 97, 78) or _is(data, at, 110, 97, 110):  # NaN, nan
            return _OK, np.float32(np.nan), at + 3
    begin, m, digits, scale = at, np.int64(0), np.int64(0), np.int64(0)
    while True:
        digit = np.int64(data[at]) - _ZERO
        if digit < 0 or digit > 9:
            break
        m = m * 10 + digit
        at += 1
    digits = at - begin
    if data[at] == _POINT:
        at += 1
        point = at
        while True:
            digit = np.int64(data[at]) - _ZERO
            if digit < 0 or digit > 9:
                break
            m = m * 10 + digit
            at += 1
        scale = point - at
        digits -= scale
    if digits == 0:
        return _TEXT, np.float32(0), at
    if digits > 18:  # m may have run over
        m, scale = _long(data, begin, at)
    if data[at] in (_E, _SMALL_E):
        at += 1
        down = data[at] == _MINUS
        if down or data[at] == _PLUS:
            at += 1
        exponent, end = _number(data, at, 10**9)
        if end == at:
            return _TEXT, np.float32(0), at
        at = end
        scale += -exponent if down else exponent
    kind, value = _OK, np.float32(0)
    if scale == 0 and digits <= 15:
        value = np.float32(m)
    elif m == 0:
        pass
    elif m < _EXACT and digits <= 18 and -22 <= scale <= 22:
        value = np.float32(m / _POWERS[-scale] if scale < 0 else m * _POWERS[scale])
    else:
        kind, value = _rounded(m, scale)
    return kind, -value if negative else value, at


@_compiled
def parse(  # type: ignore[no-untyped-def]
    data, block, width, first, grades, queries, lines, names, marks, seen, state
):
    """Read rows until the data end, a buffer is full, or something is wrong.

    Args:
        data: (n,) uint8, whole lines; the last byte is a line feed.
        block: (floats,) float32, takes rows of `width` values one after the other.
        width: columns; a row that needs more ends the run with WIDER.
        first: the feature of column 0, 1 or 0; a row that needs 0 ends the run with FROM_0.
        grades: (rows,) int64, takes them.
        queries: (rows,) int64, takes each row's, -1 without one.
        lines: (rows,) int64, takes each row's.
        names: (rows, 2) int64, where its id begins and ends in `data`; equal without one.
        marks: (MAX_FEATURE + 1, 3) int64, takes place in the block, begin and end in `data` of
            values that Python has to read.
        seen: (MAX_FEATURE + 1,) int64, zeros at first: the last row that had a feature.
        state: (STATE,) int64, zeros at first; WITH_QUERY -1 until a row tells.

    Returns:
        How it ended; state[AT] is where to go on, state[WRONG] where something is wrong.
    """
    rows, n_marks = 0, 0
    at, line = state[AT], state[LINE]
    with_query = state[WITH_QUERY]
    most = len(grades) if width == 0 else min(len(grades), len(block) // width)
    status = DONE
    while at < len(data):
        begin = at
        while _blank(data[at]):
            at += 1
        if data[at] == _CR and data[at + 1] == _LF:
            at += 1
        if data[at] == _HASH:
            while data[at] != _LF:
                at += 1
        if data[at] == _LF:
            at += 1
            line += 1
            continue
        if rows == most:
            at = begin
            status = FULL
            break
        wrong = at
        grade, end = _number(data, at, MAX_GRADE)
        if end == at or grade > MAX_GRADE:
            status = BAD_GRADE
            break
        at = end
        if data[at] == _POINT:
            at += 1
            while data[at] == _ZERO:
                at += 1
        if not _ends(data, at):
            status = BAD_GRADE
            break
        while _blank(data[at]):
            at += 1
        wrong = at
        has_query, query = 0, np.int64(-1)
        if data[at] == 113 and _is(data, at + 1, 105, 100, _COLON):  # qid:
            has_query = 1
            query, end = _number(data, at + 4, 10**17)
            if end == at + 4 or end > at + 4 + 18 or not _ends(data, end):
                status = BAD_QUERY
                break
            at = end
        if with_query >= 0 and has_query != with_query:
            status = MIXED
            break
        state[SERIAL] += 1
        serial = state[SERIAL]
        base = rows * width
        block[base : base + width] = 0
        largest, lowest, marks_before = -1, MAX_FEATURE, n_marks
        if has_query == 0:
            lowest = 0  # counted from 0, as LightGBM does
        while True:
            while _blank(data[at]):
                at += 1
            if _last(data, at):
                break
            wrong = at
            feature, end = _number(data, at, MAX_FEATURE)
            if end == at or data[end] != _COLON:
                status = BAD_FEATURE
                break
            if feature > MAX_FEATURE:
                status = LARGE_FEATURE
                break
            if seen[feature] == serial:
                status = TWICE
                break
            seen[feature] = serial
            largest, lowest = max(largest, feature), min(lowest, feature)
            at = end + 1
            digit = np.int64(data[at]) - _ZERO
            if 0 <= digit <= 9 and _blank(data[at + 1]):  # many are: a quarter faster on the whole
                kind, value, at = _OK, np.float32(digit), at + 1
            else:
                kind, value, at = _value(data, at)
            if kind == _TEXT or not _ends(data, at):
                status = BAD_VALUE
                break
            if kind == _OVER:
                status = LARGE_VALUE
                break
            column = feature - first
            if 0 <= column < width:  # else the row is read again
                block[base + column] = value
                if kind == _HARD:
                    if n_marks == len(marks):
                        status = FULL
                        break
                    marks[n_marks, 0] = base + column
                    marks[n_marks, 1] = end + 1
                    marks[n_marks, 2] = at
                    n_marks += 1
        if status == DONE and lowest < first:
            status = FROM_0
        if status == DONE and largest - first >= width:
            status = WIDER
            state[NEEDED] = largest - first + 1
        if status != DONE:
            n_marks = marks_before
            if status < BAD_GRADE:
                at = begin
            break
        names[rows, 0] = names[rows, 1] = 0
        if data[at] == _HASH:
            at += 1
            while _blank(data[at]):
                at += 1
            if data[at] == 100 and _is(data, at + 1, 111, 99, 105) and data[at + 4] == 100:  # docid
                at += 5
                while _blank(data[at]):
                    at += 1
                if data[at] == 61:  # =
                    at += 1
                    while _blank(data[at]):
                        at += 1
                    names[rows, 0] = at
                    while not (_blank(data[at]) or data[at] == _CR or data[at] == _LF):
                        at += 1
                    names[rows, 1] = at
            while data[at] != _LF:
                at += 1
        while data[at] != _LF:
            at += 1
        at += 1
        line += 1
        with_query = has_query
        grades[rows], queries[rows], lines[rows] = grade, query, line
        rows += 1
    if status >= BAD_GRADE:
        state[WRONG] = wrong
    state[AT], state[LINE], state[ROWS], state[MARKS] = at, line, rows, n_marks
    state[WITH_QUERY] = with_query
    return status


@_compiled
def widen(values, old, rows, old_width, new, new_width, shift):  # type: ignore[no-untyped-def]
    """Move rows to where wider ones stand, in place; those that stand later must have gone before.

    Args:
        values: (floats,) float32.
        old: where the rows begin now.
        rows: how many.
        old_width: values of each now.
        new: where they shall begin, `old` or later.
        new_width: values of each then, those without an old one 0.
        shift: the column that their first value then has.
    """
    for row in range(rows - 1, -1, -1):
        source, target = old + row * old_width - shift, new + row * new_width
        for column in range(new_width - 1, -1, -1):
            inside = shift <= column < shift + old_width
            values[target + column] = values[source + column] if inside else 0
