"""Gold and predictions: read them, check them, and put them beside each other.

Both come as a Parquet file, a folder of Parquet parts (such as a table of a workspace) or a JSONL
file with one row a label. Nothing is repaired or left out silently: what is wrong is refused with
the first ten rows concerned, and what may be left out is counted.
"""

import codecs
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from eval.labels import normal_form

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

LISTED = 10
"""How many wrong rows a message lists."""

MAX_ROWS = 50_000_000
"""A Parquet file that claims more rows than this is not unpacked."""

_TEXTS = ("clip_id", "label", "movie_id", "source", "split", "domain")
_NUMBERS = ("score", "grade")
_TYPES = {
    **dict.fromkeys(_TEXTS, pa.string()),
    **dict.fromkeys(_NUMBERS, pa.float64()),
    "genres": pa.list_(pa.string()),
}

Layout = tuple[tuple[str, ...], tuple[str, ...]]  # the columns required, and the optional ones
_GOLD: Layout = (("clip_id", "label", "grade"), ("movie_id", "genres", "source", "split", "domain"))
_PREDICTIONS: Layout = (("clip_id", "label", "score"), ())


class RunError(ValueError):
    """Gold or predictions are wrong. The message says what, where, and what to do."""


@dataclass(frozen=True)
class Rows:
    """Rows of one or more files, and where each came from."""

    path: Path
    table: pa.Table
    """One column a field, in the types of this module."""
    files: tuple[Path, ...]
    file_of: Ints
    """(n_rows,) index into `files`."""
    row_of: Ints
    """(n_rows,) row of a Parquet file, from 0, or line of a JSONL file, from 1."""
    sha256: str
    """Over the bytes of the file, or of the parts one after another in the order of their names."""

    def where(self, row: int) -> str:
        """File and row or line, for messages."""
        file = self.files[self.file_of[row]]
        return f"{file}, {'row' if file.suffix == '.parquet' else 'line'} {self.row_of[row]}"

    def take(self, rows: Ints) -> "Rows":
        """Some of the rows, in the order given."""
        return replace(
            self, table=self.table.take(rows), file_of=self.file_of[rows], row_of=self.row_of[rows]
        )


@dataclass(frozen=True)
class Gold:
    """Graded labels of one split, the labels of a clip side by side."""

    rows: Rows
    """clip_id, label (as written), grade, and those of the optional columns that are there."""
    split: str | None
    clip_ids: pa.Array
    """(n_clips,) in the order in which they first appear."""
    offsets: Ints
    """(n_clips + 1,) clip c owns the rows ``offsets[c]:offsets[c + 1]``."""
    clip_of: Ints
    """(n_labels,) index into `clip_ids`."""
    grades: Ints
    """(n_labels,)"""
    labels: pa.Array
    """(n_labels,) in `eval.labels.normal_form`."""


@dataclass(frozen=True)
class Run:
    """Predictions set beside gold: a score for every gold label."""

    name: str
    scores: npt.NDArray[np.float64]
    """(n_labels,) clip after clip by gold's offsets, within a clip in the order of the predictions
    (so that a stable sort keeps the order submitted). −inf where a label has no prediction."""
    gold_rows: Ints
    """(n_labels,) the gold row of each score."""
    missing: int
    """Gold labels without a prediction."""
    normalised: int
    """Predictions that found their label only in normal form."""
    sha256: str


def read_gold(path: Path, split: str | None = None) -> Gold:
    """Read graded labels.

    Args:
        path: a folder of Parquet parts, a Parquet file or a JSONL file with the columns clip_id,
            label, grade, and optionally movie_id, genres, source, split, domain (others are
            ignored).
        split: keep the rows of this split only.

    Raises:
        RunError: the file is not readable, the split is not there (or several are and none was
            chosen), a cell is empty, a grade is not 0, 1 or 2, or a clip has a label twice.
    """
    rows = _of_split(_read(path, _GOLD), split)
    grade = rows.table["grade"].to_numpy()
    _refuse(
        rows, ~np.isin(grade, (0, 1, 2)), lambda i: f"grade is {grade[i]:g}; expected 0, 1 or 2"
    )
    clips = rows.table["clip_id"].combine_chunks().dictionary_encode()
    clip_of = clips.indices.to_numpy().astype(np.int64)
    together = np.argsort(clip_of, kind="stable")
    rows, clip_of = rows.take(together), clip_of[together]
    labels = _normal(rows.table["label"])
    _refuse_repeated(rows, clip_of, labels)
    offsets = np.append(0, np.cumsum(np.bincount(clip_of)))
    grades = rows.table["grade"].to_numpy().astype(np.int64)
    return Gold(rows, split, clips.dictionary, offsets, clip_of, grades, labels)


def read_run(path: Path, gold: Gold, name: str, *, allow_missing: bool = False) -> Run:
    """Read predictions and set them beside gold.

    Args:
        path: a folder of Parquet parts, a Parquet file or a JSONL file with exactly the columns
            clip_id, label, score.
        gold: what they are to be judged by.
        name: what to call them.
        allow_missing: rank gold labels without a prediction last in their clip, tied.

    Raises:
        RunError: the file is not readable, a score is not a finite number, a label appears twice in
            a clip, a clip or label is not in gold, or (unless allowed) one of gold is missing.
    """
    rows = _read(path, _PREDICTIONS)
    score = rows.table["score"].to_numpy()
    _refuse(rows, ~np.isfinite(score), lambda i: f"score is {score[i]:g}; expected a finite number")
    found = _find(rows, gold)
    given = np.full(len(gold.grades), -1)
    given[found] = np.arange(len(found))
    missing = np.flatnonzero(given < 0)
    if len(missing) and not allow_missing:
        raise RunError(_say_missing(path, gold, missing))
    given[missing] = len(found)
    order = np.lexsort((given, gold.clip_of))
    scores = np.append(score, -np.inf)[given[order]]
    as_written = pc.equal(rows.table["label"], gold.rows.table["label"].take(found)).to_numpy()
    return Run(name, scores, order, len(missing), int((~as_written).sum()), rows.sha256)


def _of_split(rows: Rows, split: str | None) -> Rows:
    """The rows of one split, of which each clip has one record."""

    def held(column: str) -> list[str]:
        return sorted(map(str, pc.unique(rows.table[column]).to_pylist()))

    names = rows.table.column_names
    if split is not None:
        there = held("split") if "split" in names else []
        if split not in there:
            raise RunError(f"{rows.path}: no split {split!r}; its splits: {_short(there)}.")
        chosen = pc.fill_null(pc.equal(rows.table["split"], split), False).to_numpy()
        rows = rows.take(np.flatnonzero(chosen))
    for column in ("split", "domain"):
        if column in names and len(held(column)) > 1:
            raise RunError(
                f"{rows.path}: holds more than one {column}: {_short(held(column))}. They must not "
                "be mixed; choose with --split."
            )
    return rows


def _normal(labels: pa.ChunkedArray) -> pa.Array:
    """Labels in normal form; each different one is worked out once."""
    coded = labels.combine_chunks().dictionary_encode()
    normal = pa.array([normal_form(label) for label in coded.dictionary.to_pylist()], pa.string())
    return normal.take(coded.indices)


def _refuse_repeated(rows: Rows, clip_of: Ints, labels: pa.Array) -> None:
    label_of = labels.dictionary_encode().indices.to_numpy()
    # Stable: of equal keys, the first in the file comes first.
    order = np.lexsort((label_of, clip_of))
    same = (np.diff(clip_of[order]) == 0) & (np.diff(label_of[order]) == 0)
    repeated = np.zeros(len(order), dtype=bool)
    repeated[order[1:][same]] = True
    before = np.zeros(len(order), dtype=np.int64)
    before[order[1:]] = order[:-1]
    _refuse(rows, repeated, lambda i: f"appears twice, before in {rows.where(before[i])}")


def _find(rows: Rows, gold: Gold) -> Ints:
    """(n_predictions,) the gold row of each prediction. Refuses unknown and repeated ones."""
    split = f" (split {gold.split})" if gold.split else ""
    clip_of = pc.index_in(rows.table["clip_id"].combine_chunks(), value_set=gold.clip_ids)
    _refuse(rows, pc.is_null(clip_of).to_numpy(False), f"this clip is not in gold{split}")
    clips = clip_of.to_numpy().astype(np.int64)
    labels = _normal(rows.table["label"])
    _refuse_repeated(rows, clips, labels)
    gold_labels = gold.labels.dictionary_encode()
    width = len(gold_labels.dictionary) + 1
    codes = pc.fill_null(pc.index_in(labels, value_set=gold_labels.dictionary), width - 1)
    wanted = clips * width + codes.to_numpy()
    keys = gold.clip_of * width + gold_labels.indices.to_numpy()
    order = np.argsort(keys)
    found: Ints = order[np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)]
    _refuse(rows, keys[found] != wanted, f"gold{split} has no such label in this clip")
    return found


def _say_missing(path: Path, gold: Gold, missing: Ints) -> str:
    clips = gold.rows.table["clip_id"].take(missing)
    lines = [
        f"clip {_short(clip)}, label {_short(gold.labels[i].as_py())}; gold: {gold.rows.where(i)}"
        for clip, i in zip(clips[:LISTED].to_pylist(), missing[:LISTED], strict=True)
    ]
    heading = (
        f"{path}: no prediction for {len(missing)} of {len(gold.grades)} gold labels, in "
        f"{pc.count_distinct(clips)} of {len(gold.clip_ids)} clips. Predict them, or give "
        "--allow_missing to rank them last"
    )
    return _list(heading, lines, len(missing))


def _refuse(rows: Rows, wrong: Mask, why: str | Callable[[int], str]) -> None:
    """Raise RunError with the first rows that are wrong, if there are any."""
    bad = np.flatnonzero(wrong)
    if not len(bad):
        return
    first = bad[np.lexsort((rows.row_of[bad], rows.file_of[bad]))][:LISTED]
    lines = []
    for i in first.tolist():
        clip, label = (_short(rows.table[name][i].as_py()) for name in ("clip_id", "label"))
        reason = why if isinstance(why, str) else why(i)
        lines.append(f"{rows.where(i)}, clip {clip}, label {label}: {reason}")
    raise RunError(_list(f"{rows.path}: wrong rows: {len(bad)}", lines, len(bad)))


def _list(heading: str, lines: list[str], total: int) -> str:
    more = f"\n  … and {total - LISTED} more" if total > LISTED else ""
    return heading + ":\n  " + "\n  ".join(lines[:LISTED]) + more


def _short(value: object) -> str:
    """`repr` of a value, cut so that a hostile cell cannot flood the terminal."""
    text = repr(value)
    return text if len(text) <= 100 else text[:99] + "…"


def _read(path: Path, layout: Layout) -> Rows:
    """Read one file or all parts of a folder."""
    digest = hashlib.sha256()
    tables, numbers = [], []
    files = _files(path)
    for file in files:
        try:
            data = file.read_bytes()
        except OSError as error:
            raise RunError(f"{file}: {error.strerror}.") from None
        digest.update(data)
        reader = _read_parquet if file.suffix == ".parquet" else _read_jsonl
        table, row_of = reader(file, data, layout)
        tables.append(table)
        numbers.append(row_of)
    if len({tuple(table.column_names) for table in tables}) > 1:
        raise RunError(f"{path}: its parts have different columns.")
    if not (whole := pa.concat_tables(tables)).num_rows:
        raise RunError(f"{path}: holds no rows.")
    file_of = np.repeat(np.arange(len(files)), [len(n) for n in numbers])
    rows = Rows(path, whole, files, file_of, np.concatenate(numbers), digest.hexdigest())
    for name in ("clip_id", "label"):
        filled = pc.fill_null(pc.match_substring_regex(whole[name], r"\S"), False).to_numpy()
        _refuse(rows, ~filled, f"{name} is missing or blank")
    return rows


def _files(path: Path) -> tuple[Path, ...]:
    if not path.exists():
        raise RunError(f"{path}: no such file or folder.")
    if path.is_dir():
        # A workspace keeps the rows that a table leaves out in files beside it.
        skipped = ("dropped-", ".", "_")
        files = sorted(p for p in path.glob("*.parquet") if not p.name.startswith(skipped))
        if not files:
            raise RunError(f"{path}: no Parquet files (*.parquet) in this folder.")
        return tuple(files)
    if path.suffix not in (".parquet", ".jsonl"):
        raise RunError(f"{path}: give a .parquet or .jsonl file, or a folder of Parquet parts.")
    return (path,)


def _check_columns(names: tuple[str, ...], layout: Layout) -> None:
    required, optional = layout
    wrong = [f"missing column {name!r}" for name in required if name not in names]
    wrong += [f"column {_short(name)} twice" for name in sorted({*names}) if names.count(name) > 1]
    if not optional:
        wrong += [f"unknown column {_short(name)}" for name in names if name not in required]
    if wrong:
        raise RunError(f"{'; '.join(wrong[:LISTED])}. Expected columns: {', '.join(required)}")


def _read_parquet(file: Path, data: bytes, layout: Layout) -> tuple[pa.Table, Ints]:
    try:
        parquet = pq.ParquetFile(pa.BufferReader(data))
        if parquet.metadata.num_rows > MAX_ROWS:
            raise RunError(f"claims {parquet.metadata.num_rows} rows, more than {MAX_ROWS}")
        # pandas leaves its row numbers behind under such names.
        names = parquet.schema_arrow.names
        names = tuple(name for name in names if not name.startswith("__index_level_"))
        _check_columns(names, layout)
        wanted = [name for name in sum(layout, ()) if name in names]
        table = parquet.read(columns=wanted)
        table.validate(full=True)
        cast = {name: _cast(name, table[name]) for name in wanted}
    except RunError as error:
        raise RunError(f"{file}: {error}.") from None
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{file}: not a readable Parquet file ({reason}).") from None
    return pa.table(cast), np.arange(table.num_rows)


def _cast(name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column in its type of `_TYPES`; text is never taken for a number, nor a number for text."""
    types, wanted = pa.types, _TYPES[name]
    kind = values.type.value_type if types.is_dictionary(values.type) else values.type
    tests: tuple[Callable[[pa.DataType], bool], ...] = (types.is_list, types.is_large_list)
    if name in _NUMBERS:
        tests = (types.is_integer, types.is_floating, types.is_decimal)
    elif name in _TEXTS:
        tests = (types.is_string, types.is_large_string, types.is_string_view)
    if not any(test(kind) for test in (*tests, types.is_null)):
        raise RunError(f"column {name!r} has type {values.type}, expected {wanted}")
    return values.cast(kind).cast(wanted)


def _read_jsonl(file: Path, data: bytes, layout: Layout) -> tuple[pa.Table, Ints]:
    columns: dict[str, list[Any]] = {name: [] for name in sum(layout, ())}
    numbers, wrong = [], []
    parse = json.JSONDecoder(object_pairs_hook=tuple).decode
    known: set[tuple[str, ...]] = set()  # names of columns that were checked already
    for number, line in enumerate(data.removeprefix(codecs.BOM_UTF8).split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            pairs = parse(line.decode())
            if not isinstance(pairs, tuple):
                raise RunError("not a JSON object")
            if (names := tuple(name for name, _ in pairs)) not in known:
                _check_columns(names, layout)
                known.add(names)
            cells = {name: _cell(name, value) for name, value in pairs if name in columns}
        except (ValueError, OverflowError, RecursionError) as error:
            reason = f"not JSON ({error})" if isinstance(error, json.JSONDecodeError) else error
            text = _short(line.decode(errors="replace"))
            wrong.append(f"{file}, line {number}: {reason}; it reads {text}")
        else:
            numbers.append(number)
            for name, values in columns.items():
                values.append(cells.get(name))
    if wrong:
        raise RunError(_list(f"{file}: wrong lines: {len(wrong)}", wrong, len(wrong)))
    given = [n for n in columns if n in layout[0] or any(v is not None for v in columns[n])]
    table = pa.table({name: pa.array(columns[name], _TYPES[name]) for name in given})
    return table, np.array(numbers, dtype=np.int64)


def _cell(name: str, value: Any) -> Any:
    """A JSON value as its column needs it. Raises ValueError, also for text that is no Unicode."""
    if value is None:
        return None
    if name in _NUMBERS and type(value) in (int, float):
        return float(value)
    texts = [value] if name in _TEXTS else value
    if name in _NUMBERS or not isinstance(texts, list) or any(type(v) is not str for v in texts):
        raise RunError(f"{name} is {_short(value)}, expected {_TYPES[name]}")
    for text in texts:
        text.encode()
    return value
