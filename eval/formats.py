"""One file of gold or predictions, in each format there is, as columns of `eval.rows.TYPES`."""

import codecs
import gzip
import io
import json
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from eval import rows as limits
from eval.lines import WrongLines, csv_lines, fields_of, json_cell, jsonl, quote_trec, trec
from eval.messages import listed, short
from eval.parquet import read_parquet
from eval.rows import Layout, Part, RunError

__all__ = ["FORMATS", "parse", "quote_trec"]

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
        if kind == "json" and not text.lstrip().startswith("{"):  # JSON Lines are called so, too
            return _official(text, layout)
        readers = {"json": jsonl, "jsonl": jsonl, "csv": csv_lines, "trec": trec}
        return readers[kind](str(file), text, layout)
    except WrongLines as error:
        raise RunError(str(error)) from None
    except RunError as error:
        raise RunError(f"{file}: {error}.") from None


def _unpack(data: bytes) -> bytes:
    """All members of a gzip file, no further than the limit."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            unpacked = read_bounded(stream)
    except EOFError:
        raise RunError("the gzip file is cut short") from None
    except (OSError, zlib.error) as error:
        raise RunError(f"not a readable gzip file ({error})") from None
    if unpacked is None:
        raise RunError(f"unpacks to more than {limits.MAX_BYTES // 2**20} MiB")
    return unpacked


def read_bounded(stream: BinaryIO | gzip.GzipFile) -> bytes | None:
    """All bytes, or None where there are more than the limit.

    In slices: asking for all of the limit at once would ask for the memory as well.
    """
    pieces, size = [], 0
    while piece := stream.read(1 << 24):
        size += len(piece)
        if size > limits.MAX_BYTES:
            return None
        pieces.append(piece)
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
    if len(list(fields_of(line))) in (4, 6):
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
                checked = [json_cell(n, v) for n, v in zip(columns, cells, strict=True)]
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
