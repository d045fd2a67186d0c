"""The reader against a plain one: whatever the bytes, the same documents or the same line."""

import gzip
import re
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from plain_letor import Plain, WrongError, parse, same

from baselines.letor.kernel import MAX_FEATURE
from baselines.letor.read import read
from lrmovienet.errors import UserError

SHARED = {"suppress_health_check": [HealthCheck.function_scoped_fixture]}
CHUNKS = st.sampled_from([3, 16, 17, 64, 1 << 20])

blanks = st.sampled_from([" ", " ", " ", "\t", "  ", " \t "])
numbers = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(repr),
    st.floats(-3e38, 3e38).map(repr),
    st.floats(-3e38, 3e38).map(lambda v: f"{v:.30f}" if abs(v) < 1e9 else f"{v:e}"),
    st.from_regex(
        r"[+-]?([0-9]{1,25}\.?[0-9]{0,25}|\.[0-9]{1,25})([eE]-[0-9]{1,3})?", fullmatch=True
    ),
    st.sampled_from(["NULL", "NaN", "nan", "0", "-0", "-0.0", "1.", ".5", "0e9999999999", "1e-99"]),
)  # fmt: skip
features = st.dictionaries(st.integers(0, 40) | st.integers(0, MAX_FEATURE), numbers, max_size=6)
comments = st.one_of(
    st.just(""),
    st.sampled_from(
        ["#", " # x", "#docid = GX1", " #docid=é inc = 1", "# docid =\t0-a#b", "#docid ="]
    ),
)  # fmt: skip


@st.composite
def files(draw, lengths: bool = False) -> tuple[bytes, bytes | None]:
    """A good file, with qid or with the lists' lengths."""
    counts = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    ids = draw(st.lists(st.integers(0, 10**18 - 1), min_size=4, max_size=4, unique=True))
    lines = []
    for query, count in zip(ids, counts, strict=False):
        for _ in range(count):
            lines += draw(st.lists(st.sampled_from(["", "  ", "# docid = no", "\t#"]), max_size=1))
            items = draw(features).items()
            words = [draw(st.sampled_from(["0", "2", "30", "1.0", "04"]))]
            words += [] if lengths else [f"qid:{query}"]
            words += [f"{feature}:{text}" for feature, text in items]
            line = "".join(word + draw(blanks) for word in words)
            lines.append(draw(st.sampled_from(["", " "])) + line + draw(comments))
    lines.insert(draw(st.integers(0, len(lines))), "")
    end = draw(st.sampled_from(["\n", "\r\n"]))
    last = draw(st.sampled_from(["", end]))
    given = "\n".join(map(str, counts)).encode() if lengths else None
    return (end.join(lines) + last).encode(), given


def write(folder: Path, data: bytes, lengths: bytes | None, name: str = "rows") -> Path:
    path = folder / name
    path.write_bytes(data)
    beside = folder / "rows.query"
    beside.unlink(missing_ok=True)
    if lengths is not None:
        beside.write_bytes(lengths)
    return path


def expected_of(data: bytes, lengths: bytes | None) -> Plain | WrongError:
    try:
        return parse(data, lengths)
    except WrongError as error:
        return error


def check(folder: Path, data: bytes, lengths: bytes | None, chunk: int) -> None:
    path = write(folder, data, lengths)
    expected = expected_of(data, lengths)
    if isinstance(expected, Plain):
        same(read(path, _chunk=chunk), expected)
        return
    with pytest.raises(UserError) as caught:
        read(path, _chunk=chunk)
    line = re.match(rf"{re.escape(str(path))}, line (\d+): ", str(caught.value))
    assert (line and int(line[1])) == expected.args[0]


@settings(max_examples=150, **SHARED)
@given(files() | files(lengths=True), CHUNKS)
def test_good_files_are_read_as_a_plain_parser_reads_them(tmp_path, file, chunk):
    check(tmp_path, *file, chunk)  # one with no feature or too large a number is wrong


@settings(max_examples=60, **SHARED)
@given(files() | files(lengths=True), CHUNKS)
def test_the_same_rows_in_another_dress_are_the_same_documents(tmp_path, file, chunk):
    data, lengths = file
    expected = expected_of(data, lengths)
    if not isinstance(expected, Plain):
        return
    plain = data.replace(b"\r\n", b"\n")
    for dressed in (
        plain, plain.replace(b"\n", b"\r\n"), plain.rstrip(b"\n"), plain + b"\n\n", b"\n" + plain,
        gzip.compress(plain), gzip.compress(plain[:9]) + gzip.compress(plain[9:]),
    ):  # fmt: skip
        same(read(write(tmp_path, dressed, lengths), _chunk=chunk), expected)


REAL = (
    b"0 qid:15928 1:1.000000 2:0.000000 46:0.000000 #docid = GX015-44-4118282 inc = 1 prob = 0\r\n"
    b"1 qid:15928 1:107 2:107 3:85 4:NULL 21:131 #docid = GX000-24-12369390 inc = 0.60031883637\n"
    b"2 qid:1 1:3 2:3 3:0 16:6.931275 136:-71.75 \n"
    b"# a comment\n"
    b"1 qid:321 1:-1 4:6.520804200793011e-08 5:0.03703703703703703\n"
)
LENGTHS = b"0 10:0.89 11:0.75 12:0.01\n4 1:0.74 300:.5\n1 7:1e3\n"
edits = st.lists(
    st.tuples(
        st.integers(0, 10**6),
        st.integers(0, 3),
        st.binary(min_size=1, max_size=2)
        | st.sampled_from([bytes([c]) for c in b"0123456789::..##qdeE+-NLa \t\r\n\n\0\xff"])
        | st.sampled_from([b"\r\n", b"NULL", b"qid:", b"#docid =", b"1e400", b"1e39", b"inf"])
        | st.sampled_from([b"0x1", b"1_0", b"\n0 qid:1 ", b" 0:1 ", b" 65536:0 ", b"\r#"]),
    ),
    min_size=1, max_size=4,
)  # fmt: skip


def edited(data: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for where, cut, put in changes:
        at = where % (len(data) + 1)
        data = data[:at] + put + data[at + cut :]
    return data


@settings(max_examples=500, **SHARED)
@given(st.sampled_from([(REAL, None), (LENGTHS, b"2\n1\n")]), edits, CHUNKS)
@example((REAL, None), [(0, 0, b"\xef\xbb\xbf")], 64)
def test_rows_with_some_bytes_changed(tmp_path, file, changes, chunk):
    data, lengths = file
    data = edited(data, changes)
    if not data.startswith((b"PK", b"\x1f\x8b")):
        check(tmp_path, data, lengths, chunk)


@settings(max_examples=100, **SHARED)
@given(edits)
def test_lengths_with_some_bytes_changed(tmp_path, changes):
    check_lengths = edited(b"2\n1\n", changes)
    path = write(tmp_path, LENGTHS, check_lengths)
    expected = expected_of(LENGTHS, check_lengths)
    if isinstance(expected, Plain):
        same(read(path), expected)
        return
    with pytest.raises(UserError, match=r"rows\.query"):
        read(path)


@settings(max_examples=300, **SHARED)
@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda t: t.encode("utf-16")), CHUNKS)
def test_any_bytes(tmp_path, data, chunk):
    if not data.startswith((b"PK", b"\x1f\x8b")):
        check(tmp_path, data, None, chunk)


@settings(max_examples=200, **SHARED)
@given(edits, st.integers(0, 400))
def test_damaged_gzip(tmp_path, changes, cut):
    packed = gzip.compress(REAL, mtime=0)
    path = write(tmp_path, edited(packed, changes)[: cut or None], None)
    try:
        found = read(path)
    except UserError as error:
        assert str(error).startswith(str(path))
    else:  # what was changed stands in the header, which no sum covers
        same(found, parse(REAL))


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("npz") / "some.npz"
    np.savez(path, qid=[1, 1, 2], X=np.arange(6.0).reshape(3, 2), y=[0, 1, 2])
    return path.read_bytes()


@settings(max_examples=400, **SHARED)
@given(edits, st.integers(0, 1000))
def test_damaged_npz(tmp_path, archive, changes, cut):
    path = write(tmp_path, edited(archive, changes)[: cut or None], None, "rows.npz")
    try:
        found = read(path)
    except UserError as error:
        assert str(error).startswith(str(path))
    else:
        assert len(found.x) == len(found.grades) == found.offsets[-1]


def one_column(folder: Path, texts: list[str]) -> np.ndarray:
    data = "".join(f"0 qid:1 1:{text}\n" for text in texts).encode()
    return read(write(folder, data, None)).x[:, 0]


def bits(values) -> list[int]:
    return np.asarray(values, np.float32).view(np.int32).tolist()


def test_numbers_are_rounded_as_python_rounds_them(tmp_path):
    rng = np.random.default_rng(0)
    mantissas = rng.integers(0, 10**18, 40_000)
    texts = [f"{m}e{e}" for m, e in zip(mantissas, rng.integers(-70, 20, 40_000), strict=True)]
    floats = rng.standard_normal(20_000) * 10.0 ** rng.integers(-46, 38, 20_000)
    texts += map(repr, floats.tolist())
    texts += [f"{m % 10**9}.{m}{m}" for m in mantissas[:5_000].tolist()]
    texts += [f"0.{'0' * (m % 50)}{m}" for m in mantissas[:5_000].tolist()]
    texts += [f"{m}{'0' * (m % 20)}.5e-{m % 20}" for m in mantissas[:5_000].tolist()]
    assert bits(one_column(tmp_path, texts)) == bits([np.float32(float(t)) for t in texts])


def middles(count: int) -> list[str]:
    """What lies in the middle of two float32, and just beside it: exact, with all digits."""
    rng = np.random.default_rng(1)
    low = rng.integers(0, 0x7F7FFFFF, count, dtype=np.int32).view(np.float32)
    high = np.nextafter(low, np.float32(np.inf))
    texts = []
    for a, b in zip(low.tolist(), high.tolist(), strict=True):
        middle = Decimal(a) / 2 + Decimal(b) / 2 if a > 1e-30 else Decimal((a + b) / 2)
        text = f"{middle:f}" if "." in f"{middle:f}" else f"{middle:f}.0"
        texts += [text, f"{text}{'0' * 30}1", f"-{text}"]
    return texts


def test_the_middle_of_two_numbers_goes_to_the_even_one(tmp_path):
    """These are left to Python: more of them than the kernel marks in one run."""
    texts = middles(24_000)
    assert len(texts) > MAX_FEATURE + 1
    assert bits(one_column(tmp_path, texts)) == bits([np.float32(float(t)) for t in texts])


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("3.4028234663852886e38", True),
        ("3.402823567797336e38", True),  # rounds down to the largest
        ("3.4028235677973366e38", False),  # the middle, and 2^128 is the even one
        ("-3.4028235677973367e38", False),
        ("34028235677973366" + "0" * 22, False),
        ("0." + "0" * 400 + "1e430", True),
        ("1" + "0" * 400 + "e-400", True),
        ("1e1000000000000", False), ("0.0e99999999999", True), ("1e-99999999999", True),
        ("7.006492321624085e-46", True),  # the middle of 0 and the smallest, and just above
        ("7.006492321624086e-46", True),
        ("1.401298464324817e-45", True), ("9007199254740993", True), ("16777217", True),
        ("1.00000005960464477539062500001", True),
    ],
)  # fmt: skip
def test_numbers_at_the_ends(tmp_path, text, good):
    if good:
        assert bits(one_column(tmp_path, [text])) == bits([np.float32(float(text))])
    else:
        with pytest.raises(UserError, match=r"line 1: .* too large a value"):
            one_column(tmp_path, [text])
