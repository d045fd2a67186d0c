"""Files of gold or predictions -> one table: several files, folders, patterns, standard input."""

import difflib
import glob
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from eval import rows as limits
from eval.formats import FORMATS, parse, read_bounded
from eval.messages import short
from eval.rows import Layout, Rows, RunError, blank


def read(paths: Sequence[Path], layout: Layout) -> Rows:
    """Read all files of a table.

    Args:
        paths: files, folders, patterns such as ``part-*.csv``, or ``-`` for standard input.
        layout: the columns to read.

    Raises:
        RunError: a file is not there or not readable, a column is missing, or a clip id or label
            is blank.
    """
    digest, parts, name = hashlib.sha256(), [], ", ".join(map(str, paths))
    files = [file for path in paths for file in _files(path, layout)]
    for file in files:
        data = _bytes(file)
        digest.update(data)
        parts.append(parse(file, data, layout))
    if len({tuple(sorted(part.table.column_names)) for part in parts}) > 1:
        raise RunError(f"{name}: its parts have different columns.")
    order = parts[0].table.column_names
    whole = pa.concat_tables([part.table.select(order) for part in parts])
    if not whole.num_rows:
        raise RunError(f"{name}: holds no rows.")
    file_of = np.repeat(np.arange(len(files), dtype=np.int32), [len(p.numbers) for p in parts])
    rows = Rows(
        name, whole.unify_dictionaries().combine_chunks(), tuple(map(str, files)),
        tuple(part.unit for part in parts), file_of,
        np.concatenate([part.numbers for part in parts]), digest.hexdigest(),
    )  # fmt: skip
    for column in ("clip_id", "label"):
        rows.refuse(blank(rows, column), f"{column} is missing or blank")
    return rows


def _files(path: Path, layout: Layout) -> list[Path]:
    if str(path) == "-":
        return [path]
    try:
        path.stat()
    except FileNotFoundError:
        return _pattern(path)
    except (OSError, ValueError) as error:  # too long, or with a NUL character
        reason = error.strerror if isinstance(error, OSError) else error
        raise RunError(f"{short(str(path))}: {reason}.") from None
    if not path.is_dir():
        return [path]
    for name in layout.subfolders:  # a workspace, or a release, whatever else lies there
        if (path / name).is_dir():
            return _files(path / name, replace(layout, subfolders=()))
    # A workspace keeps beside a table its manifest and the rows that it leaves out.
    skipped = ("dropped-", ".", "_")
    found: dict[str, list[Path]] = {}
    for file in sorted(path.iterdir()):
        kind = FORMATS.get(Path(file.name.removesuffix(".gz")).suffix)
        if kind not in (None, "json") and not file.is_dir() and not file.name.startswith(skipped):
            found.setdefault(str(kind), []).append(file)
    if len(found) > 1:
        names = ", ".join(files[0].name for files in found.values())
        raise RunError(f"{path}: holds files of several formats ({names}); give one of them.")
    if found:
        return next(iter(found.values()))
    raise RunError(f"{path}: no Parquet, JSON Lines, CSV or TREC files in this folder.")


def _pattern(path: Path) -> list[Path]:
    if glob.has_magic(str(path)):
        found = sorted(Path(name) for name in glob.glob(str(path)) if Path(name).is_file())  # noqa: PTH207
        if found:
            return found
        raise RunError(f"{path}: no file has such a name.")
    near: list[str] = []
    if path.parent.is_dir():
        names = [p.name for p in path.parent.iterdir() if not p.name.startswith(".")]
        near = difflib.get_close_matches(path.name, names, n=1)
    hint = f" Did you mean {path.parent / near[0]}?" if near else ""
    raise RunError(f"{path}: no such file or folder.{hint}")


def _bytes(file: Path) -> bytes:
    if str(file) == "-" and sys.stdin is None:
        raise RunError("-: standard input is closed.")
    try:
        if str(file) == "-":
            data = read_bounded(sys.stdin.buffer)
        else:
            with file.open("rb") as stream:
                data = read_bounded(stream)
    except OSError as error:
        raise RunError(f"{file}: {error.strerror}.") from None
    if str(file) == "-" and data == b"":
        raise RunError("-: standard input is empty; it can be read only once.")
    if data is None:
        raise RunError(f"{file}: larger than {limits.MAX_BYTES // 2**20} MiB.")
    return data
