"""`lrmovienet upstream write`: a workspace as the files that the official LR2PPO code reads.

Records are read from the tables one by one and go to all files at once, so memory does not grow
with the number of records. The folder is made beside the wanted one and takes its place when it is
whole.
"""

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from lrmovienet.config import VerbConfig
from lrmovienet.errors import UserError
from lrmovienet.files import atomic_open
from lrmovienet.folders import replacing
from lrmovienet.progress import progress
from lrmovienet.schema import PAIR_PERCENTS
from lrmovienet.upstream.layout import ANNOTATED, FEATURES, FROM_GRADES, PAIR_FOLDER, PAIRS, STAGES
from lrmovienet.upstream.records import Record, Tables
from lrmovienet.workspace import Workspace

Add = Callable[[dict[str, Any]], None]
"""Appends an item to a JSON file."""


@dataclass(frozen=True)
class WriteConfig(VerbConfig):
    """Options of `lrmovienet upstream write`."""

    out: Path = Path("LRMovieNet")
    """Folder of the files: a new or empty one, or one that this verb wrote before. The official
    code looks for LRMovieNet in the folder in which it runs."""
    source_pairs: int = 20
    """Pairs drawn from the grades of each source record, behind the annotated ones of the target;
    a record that has fewer gives those."""
    seed: int = 0
    """Of the draw of source pairs; another seed draws others."""
    any_dimension: bool = False
    """Write vectors that have not 768 numbers, which the official networks need."""


def run(config: WriteConfig) -> None:
    """Write the files and say what they hold.

    Raises:
        UserError: a table or the features are missing, a record is none that the official code can
            read, or the folder holds other files.
    """
    from lrmovienet.features import FeatureStore
    from lrmovienet.upstream.write_features import bytes_needed, check_store, features_file

    if config.source_pairs < 0:
        raise UserError(f"--source_pairs {config.source_pairs}: give 0 or more.")
    workspace = Workspace(config.workspace)
    tables = Tables.read(workspace)
    store = FeatureStore.of(workspace)
    check_store(store, config.any_dimension)
    sizes = tables.sizes
    needed = bytes_needed(store, sum(sizes), len(sizes))
    counts: Counter[str] = Counter()
    with replacing(config.out, needed, _refuse_others) as folder, contextlib.ExitStack() as stack:
        (folder / PAIR_FOLDER).mkdir()
        stages = {s: stack.enter_context(_list_file(folder / n)) for s, n in STAGES.items()}
        pairs = {p: stack.enter_context(_list_file(folder / n)) for p, n in PAIRS.items()}
        features = stack.enter_context(features_file(folder / FEATURES, store, max(sizes)))
        advance = stack.enter_context(progress("upstream", len(sizes), "records"))
        for record in tables.records():
            item = tables.item(record)
            stages[record.split](item)
            counts[record.split] += 1
            if record.split == "target_pairs":
                _write_annotated(tables, record, item, pairs, counts)
            features(record.id, record.clip_id, record.labels)
            advance(1)
        if config.source_pairs:
            for record in tables.records():  # behind the annotated ones
                if record.split == "source_train":
                    _write_drawn(config, tables, record, pairs, counts)
    _say(config, tables, counts, needed)


def _write_annotated(
    tables: Tables,
    record: Record,
    item: dict[str, Any],
    files: Mapping[int, Add],
    counts: Counter[str],
) -> None:
    """Add the pairs of a target record to the files whose percent holds them."""
    pairs = tables.pairs(record)
    for percent, add in files.items():
        index = sorted(pair for pair, smallest in pairs if smallest <= percent)
        counts[f"{percent}"] += len(index)
        if index:
            add({**item, "index": index, "pairs": ANNOTATED})


def _write_drawn(
    config: WriteConfig,
    tables: Tables,
    record: Record,
    files: Mapping[int, Add],
    counts: Counter[str],
) -> None:
    """Add pairs drawn from the grades of a source record to every file."""
    index = pairs_of_grades(record.id, record.grades, config.source_pairs, config.seed)
    counts["drawn"] += len(index)
    counts["without"] += not index
    for add in files.values() if index else ():
        add({**tables.item(record), "index": index, "pairs": FROM_GRADES})


def pairs_of_grades(
    name: str, grades: Sequence[int | None], most: int, seed: int
) -> list[list[int]]:
    """Up to `most` pairs ``[better, worse]`` of places whose grades differ, by a hashed draw.

    Args:
        name: the record's id: each record has a draw of its own.
        grades: (n_labels,) the grades in the order of the labels.
        most: how many pairs at most.
        seed: of the draw.

    Returns:
        The pairs drawn, by place.
    """
    found = [
        (hashlib.sha256(f"{seed}\n{name}\n{i}\n{j}".encode()).digest(), [i, j])
        for i, high in enumerate(grades)
        for j, low in enumerate(grades)
        if high is not None and low is not None and high > low
    ]
    return sorted(pair for _, pair in sorted(found)[:most])


@contextlib.contextmanager
def _list_file(path: Path) -> Iterator[Add]:
    """A JSON list, one item a line. Yields a function that appends an item."""
    with atomic_open(path) as file:
        between = b"[\n"

        def add(item: dict[str, Any]) -> None:
            nonlocal between
            text = json.dumps(item, ensure_ascii=False, allow_nan=False)
            file.write(between + text.encode())
            between = b",\n"

        yield add
        file.write(b"\n]\n" if between == b",\n" else b"[]\n")


def _say(config: WriteConfig, tables: Tables, counts: Counter[str], size: int) -> None:
    out = config.out
    lines = [f"{out / name}: {counts[split]} records" for split, name in STAGES.items()]
    annotated = ", ".join(f"{counts[str(p)]} ({p} %)" for p in PAIR_PERCENTS)
    without = f" ({counts['without']} records have no two grades)" if counts["without"] else ""
    lines.append(
        f"{out / PAIR_FOLDER}: {annotated} annotated pairs, and behind them {counts['drawn']} "
        f"drawn from source grades{without}"
    )
    lines.append(f"{out / FEATURES}: about {size / 1e9:.3g} GB")
    if tables.unused_clips:
        lines.append(f"left out: {tables.unused_clips} clips without a record")
    lines += [
        f"{name} is empty: the workspace has no records in {split}"
        for split, name in STAGES.items()
        if not counts[split]
    ]
    ranked = {
        len(record.labels)
        for record in tables.records()
        if record.split in ("target_dev", "target_test")
    }
    if len(ranked) > 1:
        lines.append(
            f"the lists to be ranked have {min(ranked)} to {max(ranked)} labels: the official "
            "evaluation takes different lengths with a batch size of 1 only"
        )
    for line in lines:
        Console(emoji=False).print(line, markup=False, highlight=False, soft_wrap=True)


def _refuse_others(out: Path) -> None:
    """Raises UserError where the folder holds what an export does not: it would be lost."""
    own = {*STAGES.values(), *PAIRS.values(), FEATURES, PAIR_FOLDER}
    names = sorted(str(path.relative_to(out)) for path in out.rglob("*"))
    others = [name for name in names if name not in own]
    if others:
        raise UserError(
            f"{out}: holds other files than an export, such as {', '.join(others[:3])}. Give a "
            "new or empty folder: the whole folder is replaced."
        )
