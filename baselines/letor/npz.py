"""npz files of learning to rank: arrays of queries, features and, maybe, grades."""

import hashlib
import math
import zipfile
import zlib
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from baselines.data import Ints
from baselines.letor.documents import MAX_BYTES, SMALL, Documents
from lrmovienet.errors import UserError

MAX_UNPACKED = 1000
"""Arrays take at most so many times the bytes of the file, or 64 MiB."""
_FORMAT: Any = np.lib.format
_WANTED = "Give arrays qid (rows,), X or x (rows, features) and, if there are any, grades or y."


def read_npz(path: Path, file: BufferedReader) -> Documents:
    """Arrays `qid` (rows,), `X` or `x` (rows, features), and `y` or `grades` (rows,) if there.

    Feature 1 is the first column. A query's rows stand together. No other array is looked at.

    Args:
        path: what messages call it.
        file: its bytes.

    Raises:
        UserError: damaged, larger than `MAX_BYTES` or suspiciously well packed; an array is
            missing, or has another shape, type or values; a feature beyond float32.
    """
    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    size = file.seek(0, 2)
    try:
        with zipfile.ZipFile(file) as archive:
            queries = _array(path, archive, size, "qid")
            features = _array(path, archive, size, "X", "x")
            graded = _array(path, archive, size, "grades", "y")
    except (
        OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, SyntaxError,
        RuntimeError, TypeError, MemoryError, OverflowError, NotImplementedError,
    ) as error:  # fmt: skip
        raise UserError(f"{path}: no npz file, or a damaged one ({error}). {_WANTED}") from None
    if queries is None or features is None:
        missing = "qid" if queries is None else "X"
        raise UserError(f"{path}: has no array {missing}. {_WANTED}")
    if features.ndim != 2 or not features.size or features.dtype.kind not in "fiu":
        raise UserError(f"{path}: X is {_said(features)}. {_WANTED}")
    ids = _whole(path, "qid", queries, len(features), 10**18 - 1)
    starts = np.flatnonzero(np.diff(ids, prepend=-1))
    if len(np.unique(ids)) != len(starts):
        raise UserError(f"{path}: the rows of a query do not stand together. Sort them by qid.")
    with np.errstate(over="ignore"):
        x = np.ascontiguousarray(features, dtype=np.float32)
    if np.isinf(x).any():
        row = int(np.flatnonzero(np.isinf(x).any(1))[0])
        raise UserError(f"{path}: X has a value in row {row} that float32 does not hold.")
    return Documents(
        name=path.name,
        sha256=sha256,
        x=x,
        grades=None if graded is None else _whole(path, "grades", graded, len(x), 30),
        offsets=np.array([*starts, len(x)], dtype=np.int64),
        queries=tuple(map(str, ids[starts].tolist())),
        documents=None,
    )


def _array(path: Path, archive: zipfile.ZipFile, size: int, *names: str) -> Any:
    """The array of the first name that there is, of no more memory than there are bytes."""
    given = archive.namelist()
    name = next((f"{name}.npy" for name in names if f"{name}.npy" in given), None)
    if name is None:
        return None
    declared = archive.getinfo(name).file_size
    if declared > min(MAX_BYTES, max(SMALL, MAX_UNPACKED * size)):
        raise UserError(
            f"{path}: {name} would take {declared / 2**30:.1f} GiB, of {size / 2**20:.1f} MiB of "
            "file. Is it made to do harm? Split it if not."
        )
    with archive.open(name) as file:
        version = _FORMAT.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{name} in version {version}")
        one = version == (1, 0)
        header = _FORMAT.read_array_header_1_0 if one else _FORMAT.read_array_header_2_0
        shape, _, dtype = header(file)
        if math.prod(shape) * dtype.itemsize != declared - file.tell():
            raise ValueError(f"{name} has another shape than bytes")
    with archive.open(name) as file:
        return _FORMAT.read_array(file, allow_pickle=False)


def _whole(path: Path, name: str, array: Any, rows: int, largest: int) -> Ints:
    if array.shape != (rows,) or array.dtype.kind not in "iuf":
        raise UserError(f"{path}: {name} is {_said(array)}, X has {rows} rows. {_WANTED}")
    good = (array >= 0) & (array <= largest)
    with np.errstate(invalid="ignore"):
        good &= array == np.floor(array)
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        raise UserError(
            f"{path}: {name} is {array[row]} in row {row}. Give whole numbers from 0 to {largest}."
        )
    whole: Ints = array.astype(np.int64)
    return whole


def _said(array: Any) -> str:
    return f"{array.shape} of {array.dtype}"
