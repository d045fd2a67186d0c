"""Files of rows that were read once: a folder each, named by what it was made of.

An entry is made in a folder of its own and takes its name when it is whole and on disk: a killed
run leaves nothing that is taken for one, and of two processes that make the same, one is kept.
"""

import contextlib
import io
import json
import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from baselines.data import Ints
from baselines.letor.documents import Documents, Features
from lrmovienet.files import sha256_of, write_json

VERSION = 1
"""Of what `read` makes of bytes, and of how it is kept."""
_VALUES, _ARRAYS, _REST = "x.npy", "rows.npz", "documents.json"
_HEADER = 128
_FORGOTTEN_S = 24 * 3600.0

Flat = npt.NDArray[np.float32]


class Table:
    """Rows of features that grow in number and in width, in memory or in a file."""

    def __init__(self, path: Path | None = None) -> None:
        """`path`: of the npy file; without it they are held in memory."""
        self.path = path
        self.flat = np.empty(0, np.float32)
        self.file = None if path is None else path.open("xb")
        if self.file is not None:
            self.file.write(bytes(_HEADER))  # takes its place at the end
        self.pieces: list[tuple[int, int, int]] = []
        """(rows, columns, feature of the first column)."""
        self.rows = 0

    def append(self, values: Flat, rows: int, first: int) -> None:
        """More rows. `values`: (rows · columns,); `first`: the feature of the first column."""
        if self.file is None:
            size = len(self.flat)
            # Large blocks grow by their pages, without a second copy.
            self.flat.resize(size + len(values), refcheck=False)
            self.flat[size:] = values
        else:
            self.file.write(values.data)
        width = len(values) // rows
        self.rows += rows
        if self.pieces and self.pieces[-1][1:] == (width, first):
            rows += self.pieces.pop()[0]
        self.pieces.append((rows, width, first))

    def whole(self, first: int) -> Features:
        """All rows, as wide as the widest; column 0 is feature `first`, which none is below."""
        columns = max(width + low - first for _, width, low in self.pieces)
        size = self.rows * columns
        if self.file is None:
            self.flat.resize(size, refcheck=False)
            self._widen(self.flat, columns, first)
            return self.flat.reshape(self.rows, columns)
        assert self.path is not None
        self.file.seek(0)
        self.file.write(_header(self.rows, columns))
        self.file.truncate(_HEADER + 4 * size)
        self.file.flush()
        values = np.memmap(self.path, np.float32, "r+", _HEADER, (size,))
        self._widen(values, columns, first)
        values.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        return values.reshape(self.rows, columns)

    def _widen(self, values: Flat, columns: int, first: int) -> None:
        from baselines.letor.kernel import widen

        old = sum(rows * width for rows, width, _ in self.pieces)
        new = self.rows * columns
        for rows, width, low in reversed(self.pieces):
            old -= rows * width
            new -= rows * columns
            if old == new and width == columns:  # and so is all before
                break
            widen(values, old, rows, width, new, columns, low - first)


def _header(rows: int, columns: int) -> bytes:
    out, npy = io.BytesIO(), cast(Any, np.lib.format)
    described = {
        "descr": npy.dtype_to_descr(np.dtype(np.float32)),
        "fortran_order": False,
        "shape": (rows, columns),
    }
    npy.write_array_header_1_0(out, described)
    assert len(out.getvalue()) == _HEADER
    return out.getvalue()


def entry(cache: Path, sha256: str) -> Path:
    """The folder of what is read from bytes with this hash."""
    return cache / sha256_of({"bytes": sha256, "version": VERSION})


def load(folder: Path, name: str, sha256: str) -> Documents | None:
    """What an entry holds, its features mapped from disk; None without one, or a damaged one.

    Args:
        folder: of the entry.
        name: of the file that is read now; equal bytes may have several.
        sha256: of its bytes.
    """
    try:
        rest = json.loads((folder / _REST).read_bytes())
        x = np.load(folder / _VALUES, mmap_mode="r", allow_pickle=False)
        with np.load(folder / _ARRAYS, allow_pickle=False) as arrays:
            grades, offsets = arrays["grades"], arrays["offsets"]
        found = Documents(
            name, sha256, x, grades, offsets, tuple(rest["queries"]),
            None if rest["documents"] is None else tuple(rest["documents"]),
            rest["first_feature"],
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    return found if rest.get("sha256") == sha256 and _sound(found) else None


def _sound(found: Documents) -> bool:
    rows, ids = len(found.x), (*found.queries, *(found.documents or ()))
    return (
        found.x.ndim == 2
        and found.x.dtype == np.float32
        and _is_ints(found.grades, rows)
        and _is_ints(found.offsets, len(found.queries) + 1)
        and found.offsets[0] == 0
        and found.offsets[-1] == rows
        and bool((found.lengths > 0).all())
        and (found.documents is None or len(found.documents) == rows)
        and all(isinstance(name, str) for name in ids)
        and found.first_feature in (0, 1)
    )


def _is_ints(array: Ints | None, size: int) -> bool:
    return array is not None and array.shape == (size,) and array.dtype == np.int64


@contextlib.contextmanager
def making(cache: Path) -> Iterator[Path]:
    """A folder to make an entry in, gone at the end; those that killed runs left go too."""
    cache.mkdir(parents=True, exist_ok=True)
    for left in cache.glob(".making-*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _FORGOTTEN_S:
                shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix=".making-", dir=cache))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def keep(made: Path, folder: Path, documents: Documents) -> Documents:
    """Make an entry of a folder in which a `Table` is whole; give what it then holds.

    Raises:
        OSError: the disk is full, or the cache cannot be written.
    """
    assert documents.grades is not None
    with (made / _ARRAYS).open("wb") as file:
        np.savez(file, grades=documents.grades, offsets=documents.offsets)
        file.flush()
        os.fsync(file.fileno())
    rest = {
        "queries": documents.queries,
        "documents": documents.documents,
        "first_feature": documents.first_feature,
        "sha256": documents.sha256,
    }
    write_json(made / _REST, rest)
    made.chmod(0o755)
    for _ in range(2):
        with contextlib.suppress(OSError):  # it is there: damaged, or made by another process
            made.rename(folder)
        found = load(folder, documents.name, documents.sha256)
        if found is not None:
            return found
        with contextlib.suppress(OSError), making(folder.parent) as away:
            folder.rename(away / "damaged")
    raise OSError(f"{folder}: cannot be written")


def table(made: Path) -> Table:
    """The table of an entry that is being made."""
    return Table(made / _VALUES)
