"""Reading files of learning to rank: each trap by hand, the real files, the cache."""

import gzip
import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

import baselines.letor.read as reading
from baselines.letor.read import read
from lrmovienet.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
NAN = float("nan")


@pytest.fixture
def rows(tmp_path):
    """Writes a file of rows and reads it."""

    def written(text: str | bytes, lengths: str | None = None, cache: Path | None = None):
        path = tmp_path / "rows.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        if lengths is not None:
            path.with_name("rows.txt.query").write_text(lengths)
        return read(path, cache)

    return written


def test_rows_of_letor(rows):
    found = rows(
        "0 qid:7 1:1.5 2:NULL #docid = GX015-44-4118282 inc = 1 prob = 0.109181\n"
        "2 qid:7 1:-2e-3 3:4\n"
        "1 qid:12 2:+.5 #docid=GX1\n"
    )
    expected = np.array([[1.5, NAN, 0], [-0.002, 0, 4], [0, 0.5, 0]], np.float32)
    np.testing.assert_array_equal(found.x, expected)
    assert found.x.dtype == np.float32
    assert found.grades.tolist() == [0, 2, 1]
    assert found.queries == ("7", "12")
    assert found.offsets.tolist() == [0, 2, 3]
    assert found.documents == ("GX015-44-4118282", "", "GX1")
    assert (found.name, found.first_feature) == ("rows.txt", 1)


@pytest.mark.parametrize(
    "text",
    [
        "1 qid:1 1:2 2:3\n0 qid:1 2:1\n",
        "1 qid:1 1:2 2:3\r\n0 qid:1 2:1\r\n",
        "1 qid:1 1:2 2:3\n0 qid:1 2:1",
        "1 qid:1 1:2 2:3\n0 qid:1 2:1\r",
        "\t1\tqid:1  1:2 \t 2:3 \t\n 0 qid:1 2:1 \n",
        "\n# head\n1 qid:1 1:2 2:3\n\n  \n \t# docid = GX\n0 qid:1 2:1\n\n",
        "1.0 qid:1 2:3. 1:2.0#docid\n0. qid:01 0002:1e0 # docid GX\n",
        "01 qid:001 2:30E-1 1:0.2e+1 # doc docid = GX\n0 qid:1 1:0 2:+1#docid = \n",
    ],
)
def test_dresses_of_the_same_rows(rows, text):
    found = rows(text)
    assert found.x.tolist() == [[2, 3], [0, 1]]
    assert (found.grades.tolist(), found.queries) == ([1, 0], ("1",))
    assert found.documents is None


@pytest.mark.parametrize(("text", "value"), [("NULL", NAN), ("NaN", NAN), ("nan", NAN), ("-0", 0)])
def test_what_is_not_there_is_nan_and_what_is_left_out_is_0(rows, text, value):
    found = rows(f"0 qid:1 1:{text} 3:1\n")
    np.testing.assert_array_equal(found.x, np.array([[value, 0, 1]], np.float32))


def test_a_feature_0_counts_all_from_0_whenever_it_comes(rows):
    found = rows("0 qid:1 2:5\n1 qid:1 1:6\n0 qid:2 0:7 1:8\n0 qid:2 3:9\n")
    assert found.first_feature == 0
    assert found.x.tolist() == [[0, 0, 5, 0], [0, 6, 0, 0], [7, 8, 0, 0], [0, 0, 0, 9]]


def test_rows_that_grow_wider_are_filled_with_0(rows):
    """More rows than are stored at once, so that stored ones have to move."""
    many = 70_000
    text = "0 qid:1\n" + "1 qid:1 1:3\n" * many + "0 qid:1 5:1\n" + "2 qid:1 2:4\n" * many
    found = rows(text)
    expected = np.zeros((2 * many + 2, 5), np.float32)
    expected[1 : many + 1, 0] = 3
    expected[many + 1, 4] = 1
    expected[many + 2 :, 1] = 4
    np.testing.assert_array_equal(found.x, expected)
    np.testing.assert_array_equal(rows(text, cache=Path("cache_of_wide")).x, expected)


@pytest.fixture(autouse=True)
def _in_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_lists_lengths_from_the_file_beside_it(tmp_path):
    text = b"0 1:0.5\n1 3:2\n2 2:1\n"
    for name, beside in (
        ("rank.train", "rank.train.query"), ("a.group.txt", "a.group.txt.group"),
        ("rank2.train.gz", "rank2.train.query"), ("rank3.train.gz", "rank3.train.gz.query"),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
        (tmp_path / beside).write_bytes(b"1\r\n2")
        found = read(tmp_path / name)
        assert found.x.tolist() == [[0, 0.5, 0, 0], [0, 0, 0, 2], [0, 0, 1, 0]]
        assert (found.first_feature, found.queries) == (0, ("1", "2"))
        assert found.offsets.tolist() == [0, 1, 3]


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ("1\n1\n", r"query: the lengths of 2 lists add up to 2, but there are 3 rows"),
        ("1\n0\n2\n", r"query, line 2: '0' is no list's length"),
        ("1\n-1\n", r"query, line 2: '-1' is no list's length"),
        ("1 2\n", r"query, line 1: '1 2' is no list's length"),
        ("1\n" + "9" * 19, r"query, line 2: '9999999999999999999' is no list's length"),
        ("", r"query: the lengths of 0 lists add up to 0"),
        (None, r"rows.txt: the rows have no qid. Write the lengths of .* rows.txt.query\."),
    ],
)  # fmt: skip
def test_wrong_lengths(rows, lengths, message, tmp_path):
    message = message.replace(" rows.txt.query", f" {tmp_path}/rows.txt.query")
    with pytest.raises(UserError, match=message):
        rows("0 1:0.5\n1 3:2\n2 2:1\n", lengths)


def test_lengths_beside_rows_with_qid_must_say_the_same(rows):
    text = "0 qid:5 1:1\n0 qid:5 1:2\n0 qid:6 1:3\n"
    alone = rows(text)
    both = rows(text, "2\n1\n")
    assert both.queries == ("5", "6")
    assert both.sha256 != alone.sha256
    with pytest.raises(UserError, match="other lists than those that qid gives"):
        rows(text, "1\n2\n")


GOOD = "0 qid:1 1:1\n\n1 qid:1 2:2\n"
WRONG = [
    ("-1 qid:1 1:1", "'-1' is no grade"),
    ("1.5 qid:1 1:1", "'1.5' is no grade"),
    ("31 qid:1 1:1", "'31' is no grade"),
    ("99999999999999999999999999 qid:1 1:1", "is no grade"),
    ("qid:1 1:1", "'qid:1' is no grade"),
    ("+1 qid:1 1:1", "is no grade"),
    ("1.00001 qid:1", "is no grade"),
    ("\ufeff0 qid:1 1:1", "is no grade"),
    ("0 qid: 1:1", "'qid:' is no query"),
    ("0 qid:x 1:1", "'qid:x' is no query"),
    ("0 qid:1234567890123456789 1:1", "is no query"),
    ("0 qid:-1 1:1", "is no query"),
    ("0 1:1", "'1:1' is out of place: some rows have qid and some have none"),
    ("0", "is out of place"),
    ("0 qid:1 1:1 qid:1", "'qid:1' is no feature"),
    ("0 qid:1 1", "'1' is no feature"),
    ("0 qid:1 :1", "':1' is no feature"),
    ("0 qid:1 -1:1", "'-1:1' is no feature"),
    ("0 qid:1 1.5:1", "is no feature"),
    ("0 qid:1 1 :1", "is no feature"),
    ("0 qid:1 x:1", "is no feature"),
    ("0 qid:1 1:1\r2:2", "is no feature with its value"),
    ("0 qid:1 65536:1", "'65536:1' is too large a feature"),
    ("0 qid:1 99999999999999999999999:1", "is too large a feature"),
    ("0 qid:1 2:1 1:1 2:1", "'2:1' is a feature that the row has already"),
    ("0 qid:1 2:1 002:1", "'002:1' is a feature that the row has already"),
    ("0 qid:1 1:", "'1:' is no feature with its value"),
    ("0 qid:1 1: 2:2", "'1:' is no feature with its value"),
    *((f"0 qid:1 1:1 2:{value} 3:1", f"'2:{value}' is no feature with its value") for value in (
        "x", "inf", "-inf", "Infinity", "0x10", "1_000", "1e", "1e+", "1,5", "--1", ".", "+", "e5",
        "1.2.3", "NUL", "NULLS", "null", "NAN", "-nan", "nans", "1:2", "١", "1f",
    )),
    ("0 qid:1 1:3.5e38", "'1:3.5e38' is too large a value"),
    ("0 qid:1 1:-1e400", "is too large a value"),
    ("0 qid:1 1:" + "9" * 400, "is too large a value"),
    ("0 qid:1 1:1 #docid = \udcff", "is no document's id in UTF-8"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), WRONG)
def test_what_is_wrong_is_said_with_its_line(rows, tmp_path, line, message):
    text = f"{GOOD}{line}\n{GOOD}".encode(errors="surrogateescape")
    with pytest.raises(UserError) as caught:
        rows(text)
    said = str(caught.value)
    assert said.startswith(f"{tmp_path}/rows.txt, line 4: ")
    assert message in said
    assert len(said) < 400


def test_a_query_that_comes_again(rows):
    with pytest.raises(UserError, match=r"line 6: query 12 again, which began in line 2; others"):
        rows("\n0 qid:12 1:1\n0 qid:12 1:1\n\n0 qid:3 1:1\n0 qid:0012 1:2\n")


@pytest.mark.parametrize("text", ["", "\n\n", "# only\n", " \t\r\n"])
def test_no_rows(rows, text):
    with pytest.raises(UserError, match=r"rows\.txt: has no rows"):
        rows(text)


def test_no_features(rows):
    with pytest.raises(UserError, match=r"rows\.txt: no row has a feature"):
        rows("0 qid:1\n1 qid:1\n")


def test_files_that_are_none(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read(tmp_path / "none.txt")
    with pytest.raises(UserError, match="no file"):
        read(tmp_path)
    utf16 = tmp_path / "utf16"
    utf16.write_bytes(GOOD.encode("utf-16"))
    with pytest.raises(UserError, match=r"utf16, line 1: .* is no grade"):
        read(utf16)
    long = tmp_path / "long"
    long.write_bytes(b"0 qid:1 1:1\n0 qid:1 1:" + b"1" * (25 << 20))
    with pytest.raises(UserError, match="long, line 2: longer than 16 MiB"):
        read(long)


def test_rows_far_wider_than_their_text(rows):
    """A few are well; many would fill the memory."""
    assert rows("0 qid:1 65535:1\n" * 200).x.shape == (200, 65_535)
    with pytest.raises(UserError, match=r"line \d+: \d+ rows of 65535 features would take"):
        rows("0 qid:1 65535:1\n" * 5_000)


def test_gzip_that_unpacks_without_end(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b"\n" * (120 << 20)))
    with pytest.raises(UserError, match="unpacks to more than 200 times its size"):
        read(path)


def test_gzip_is_told_by_its_bytes_and_damage_is_said(rows):
    packed = gzip.compress(GOOD.encode())
    assert rows(packed).x.tolist() == [[1, 0], [0, 2]]
    for damaged in (packed[:-9], packed[:-8] + bytes(8), packed[:3], packed + b"more"):
        with pytest.raises(UserError, match="the gzip data are damaged"):
            rows(damaged)


def test_the_hash_is_that_of_the_bytes(rows):
    import hashlib

    assert rows(GOOD).sha256 == hashlib.sha256(GOOD.encode()).hexdigest()
    packed = gzip.compress(GOOD.encode())
    assert rows(packed).sha256 == hashlib.sha256(packed).hexdigest()
    of_both = hashlib.sha256(b"0 1:1\n" + b"1\n").hexdigest()
    assert rows("0 1:1\n", "1\n").sha256 == of_both


def saved(path: Path, **arrays) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def test_npz(tmp_path):
    x = np.array([[1.5, NAN], [0, -2], [1e-3, 3]])
    found = read(saved(tmp_path / "a.npz", qid=np.array([7, 7, 3]), X=x))
    np.testing.assert_array_equal(found.x, x.astype(np.float32))
    assert found.x.flags.c_contiguous
    assert found.grades is None
    assert (found.queries, found.offsets.tolist(), found.documents) == (("7", "3"), [0, 2, 3], None)
    graded = read(saved(tmp_path / "b.npz", qid=[1, 1, 2], x=np.asfortranarray(x), y=[0.0, 2, 1]))
    np.testing.assert_array_equal(graded.x, found.x)
    assert graded.grades.tolist() == [0, 2, 1]
    assert graded.grades.dtype == np.int64


X32 = np.ones((3, 2))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": X32}, "has no array qid"),
        ({"qid": [1, 1, 2]}, "has no array X"),
        ({"qid": [1, 2, 1], "X": X32}, "the rows of a query do not stand together"),
        ({"qid": [1, 2], "X": X32}, "qid is .* X has 3 rows"),
        ({"qid": [1, 2, -3], "X": X32}, "qid is -3 in row 2"),
        ({"qid": [1, 2, NAN], "X": X32}, "qid is nan in row 2"),
        ({"qid": ["a", "b", "c"], "X": X32}, "qid is"),
        ({"qid": [1, 2, 3], "X": np.ones(3)}, "X is"),
        ({"qid": [], "X": np.ones((0, 2))}, "X is"),
        ({"qid": [1, 2, 3], "X": X32 * 1j}, "X is"),
        ({"qid": [1, 2, 3], "X": np.full((3, 2), 1e39)}, "X has a value in row 0"),
        ({"qid": [1, 2, 3], "X": X32, "y": [0, 1, 31]}, "grades is 31 in row 2"),
        ({"qid": [1, 2, 3], "X": X32, "y": [0, 1, 0.5]}, "grades is 0.5 in row 2"),
        ({"qid": np.array([1, None, 2], dtype=object), "X": X32}, "no npz file, or a damaged one"),
    ],
)
def test_wrong_npz(tmp_path, arrays, message):
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    with pytest.raises(UserError, match=message):
        read(path)


def test_npz_whose_array_claims_more_than_there_is(tmp_path):
    header = io.BytesIO()
    described = {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**3)}
    np.lib.format.write_array_header_1_0(header, described)
    path = saved(tmp_path / "a.npz", qid=[1, 2, 3])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("X.npy", header.getvalue() + bytes(80))
    with pytest.raises(UserError, match=r"X\.npy has another shape than bytes"):
        read(path)
    bomb = saved(tmp_path / "b.npz", qid=[1], X=np.zeros((1, 10_000_000)))
    with pytest.raises(UserError, match=r"X.npy would take 0.1 GiB, of 0.1 MiB"):
        read(bomb)
    text = tmp_path / "c.npz"
    text.write_text(GOOD)
    with pytest.raises(UserError, match="no npz file"):
        read(text)


def test_messages_name_every_status():
    from baselines.letor import kernel

    named = {getattr(kernel, name) for name in reading._MESSAGES}
    assert named == set(kernel.ERRORS)
    assert re.search(r"from 0 to (\d+)", reading._MESSAGES["BAD_GRADE"][1])[1] == str(
        kernel.MAX_GRADE
    )
    assert str(kernel.MAX_FEATURE) in reading._MESSAGES["LARGE_FEATURE"][1]
