"""Run a stage over shards on this machine: resume, processes, progress, failed items.

A shard is done when a part exists under the shard's key (a hash of the stage's version and the
shard's input rows). Parts of an earlier run are taken over wherever in the table they lay, so a
killed run goes on where it was, and a run in which one film changed does that film only.
"""

import errno
import logging
import multiprocessing
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from eval.messages import printable
from lrmovienet.errors import UserError
from lrmovienet.files import sha256_file, sha256_of
from lrmovienet.progress import progress
from lrmovienet.runner import Columns, Stage, count, take
from lrmovienet.schema import DROPPED, SCHEMA_VERSION, TABLES
from lrmovienet.validation import from_columns
from lrmovienet.workspace import (
    Manifest,
    Part,
    Workspace,
    building_name,
    link,
    read_rows,
    write_rows,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A table to be made: the stage, its shards, and what goes into the manifest."""

    table: str
    """Name in the workspace; its first component names the schema."""
    stage: Stage
    shards: Sequence[Columns]
    """Input rows; shard i becomes part i."""
    item: str
    """The input column that names an item, for failures."""
    inputs: dict[str, str]
    """Name of each input table or file -> sha256."""
    config: dict[str, Any]
    models: dict[str, str] = field(default_factory=dict)
    prompts: dict[str, str] = field(default_factory=dict)
    processes: int = 1
    fail_fast: bool = False
    """Stop at the first item that fails."""
    prepared_s: float = 0.0
    """Seconds that went into what the stage rests on, before it runs."""
    keep_failures: bool = True
    """Keep failed items as dropped rows; otherwise they end the run once all others are done."""


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    manifest: Manifest
    up_to_date: bool
    shards_kept: int
    wall_s: float

    def __str__(self) -> str:
        m = self.manifest
        rows = f"{m.rows} rows" + (f", {m.rows_dropped} dropped" if m.rows_dropped else "")
        if self.up_to_date:
            return f"{m.table}: up to date ({rows})"
        kept = (
            f"; {self.shards_kept} of {len(m.parts)} parts were there" if self.shards_kept else ""
        )
        return f"{m.table}: {rows}, {self.wall_s:.1f} s{kept}"


@dataclass(frozen=True)
class Failure:
    """An item that a stage could not process."""

    item: str
    reason: str


def run_table(workspace: Workspace, job: Job) -> Outcome:
    """Make a table, doing only the shards that are not done yet.

    Raises:
        UserError: every item failed, or `keep_failures` is off and one failed. Done shards stay.
        OSError: the disk is full or not writable. Finished tables and shards stay.
    """
    started = time.monotonic() - job.prepared_s
    keys, table_key = _keys(job)
    # Tables of predictions hang on nothing that another of them, or a training, may change.
    predictions = job.table.startswith("predictions/")
    with workspace.locked_for(job.table) if predictions else workspace.locked():
        manifest = workspace.manifest(job.table)
        if manifest and manifest.key == table_key and _in_place(workspace, manifest):
            # The rows are right; what they were asked with, or where frames lie, may have changed.
            manifest = replace(
                manifest, config=job.config, inputs=job.inputs, models=job.models,
                prompts=job.prompts,
            )  # fmt: skip
            workspace.rewrite(manifest)
            return Outcome(manifest, True, len(keys), time.monotonic() - started)
        building = workspace.building(job.table)
        kept = _take_over(workspace, manifest, building, keys)
        todo = [i for i in range(len(keys)) if i not in kept]
        failures = _run_shards(job, building, keys, todo)
        _stop_on_failures(job, [f for of_shard in failures.values() for f in of_shard])
        failed = [len(failures.get(i, ())) for i in range(len(keys))]
        manifest = workspace.commit(_manifest(job, table_key, building, keys, failed))
        wall_s = time.monotonic() - started
        workspace.log_run(
            table=job.table, digest=manifest.digest, rows=manifest.rows, wall_s=round(wall_s, 3),
            shards=len(keys), shards_kept=len(kept), processes=job.processes,
            finished=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            python=platform.python_version(), platform=platform.platform(), cores=os.cpu_count(),
        )  # fmt: skip
    return Outcome(manifest, False, len(kept), wall_s)


def run_once(
    workspace: Workspace,
    table: str,
    make: Callable[[], Columns],
    *,
    version: str,
    inputs: dict[str, str],
    config: dict[str, Any],
) -> Outcome:
    """Make a table in one piece, unless version, inputs and config are those it was made from.

    `make` gives the columns, with a ``drop_reason`` where a row is to be dropped. It is called only
    when needed; what it raises ends the run.
    """
    shard: Columns = {"made_from": [sha256_of([inputs, config])]}
    job = Job(table, _Once(version, make), [shard], "made_from", inputs, config, fail_fast=True)
    return run_table(workspace, job)


@dataclass(frozen=True)
class _Once:
    version: str
    make: Callable[[], Columns]

    def __call__(self, batch: Columns) -> Columns:
        return self.make()


def pending(workspace: Workspace, job: Job) -> list[int]:
    """The shards that `run_table` would have to run, by number, for what is made ready for them."""
    keys, _ = _keys(job)
    done = _done(workspace, workspace.manifest(job.table))
    building = workspace.root / ".building" / job.table
    return [
        i
        for i, key in enumerate(keys)
        if key not in done and not (building / building_name(key, "part", 0)).exists()
    ]


def _keys(job: Job) -> tuple[list[str], str]:
    """The key of each shard's part, and the table's."""
    identity = [SCHEMA_VERSION, job.table, job.stage.version]
    keys = [sha256_of([*identity, shard]) for shard in job.shards]
    return keys, sha256_of([*identity, keys])


def _done(workspace: Workspace, manifest: Manifest | None) -> set[str]:
    """The keys of a table's parts that are right, with their dropped rows, and without failures."""
    if manifest is None:
        return set()
    folder, parts = workspace.folder(manifest.table), (*manifest.parts, *manifest.dropped)
    wrong = {p.key for p in parts if p.failed or not _is_whole(folder / p.file, p.sha256)}
    return {p.key for p in manifest.parts} - wrong


def _is_whole(path: Path, sha256: str) -> bool:
    return path.exists() and sha256_file(path) == sha256


def _in_place(workspace: Workspace, manifest: Manifest) -> bool:
    folder = workspace.folder(manifest.table)
    parts = (*manifest.parts, *manifest.dropped)
    return all(not p.failed and _is_whole(folder / p.file, p.sha256) for p in parts)


def _take_over(
    workspace: Workspace, manifest: Manifest | None, building: Path, keys: list[str]
) -> set[int]:
    """Bring what is still right of the finished table into `building`. Returns the shards done."""
    if manifest is not None:
        folder = workspace.folder(manifest.table)
        wanted = set(keys) & _done(workspace, manifest)
        # The part comes last: where it is, its dropped rows are too. Failed items are tried again.
        for part in (*manifest.dropped, *manifest.parts):
            target = building / building_name(part.key, part.kind, 0)
            if part.key in wanted and not target.exists():
                link(folder / part.file, target)
    return {i for i, key in enumerate(keys) if (building / building_name(key, "part", 0)).exists()}


def _run_shards(
    job: Job, building: Path, keys: list[str], todo: list[int]
) -> dict[int, list[Failure]]:
    failures: dict[int, list[Failure]] = {}
    items = sum(count(job.shards[i]) for i in todo)
    with progress(job.table, items, job.item.removesuffix("_id") + "s") as advance:
        if job.processes <= 1 or len(todo) <= 1:
            for i in todo:
                failures[i] = _run_shard(job, job.shards[i], building, keys[i])
                advance(count(job.shards[i]))
            return failures
        # Spawned, not forked: torch and OpenCV keep threads that do not survive a fork.
        context = multiprocessing.get_context("spawn")
        workers = min(job.processes, len(todo))
        pool = ProcessPoolExecutor(workers, context, start_worker, (os.getpid(),))
        light = replace(job, shards=())
        try:
            futures = {
                pool.submit(_run_shard, light, job.shards[i], building, keys[i]): i for i in todo
            }
            for future in as_completed(futures):
                failures[futures[future]] = future.result()
                advance(count(job.shards[futures[future]]))
        except BrokenProcessPool:
            raise UserError(
                f"{job.table}: a worker process was ended from outside, most often because memory "
                f"ran out. Run again with fewer --processes (now {workers}); what is done is kept."
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return failures


def start_worker(parent: int) -> None:
    """Leave Ctrl-C to the parent, and end when it is gone, however it went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run_shard(job: Job, shard: Columns, building: Path, key: str) -> list[Failure]:
    """Run one shard and write its part. Returns the items that failed.

    Where a batch fails, its items are run one by one, so that one bad item costs only itself.
    """
    failures: list[Failure] = []
    outputs: list[Columns] = []
    try:
        outputs.append(job.stage(shard))
    except Exception as error:
        if job.fail_fast or _is_the_machines(error):
            raise
        if count(shard) == 1:
            failures.append(_failure(job, str(shard[job.item][0]), error))
        for row in range(count(shard) if not failures else 0):
            try:
                outputs.append(job.stage(take(shard, [row])))
            except Exception as item_error:
                if _is_the_machines(item_error):
                    raise
                failures.append(_failure(job, str(shard[job.item][row]), item_error))
    rows, dropped = _collect(job, outputs, failures)
    if dropped.num_rows:
        write_rows(building / building_name(key, "dropped", len(failures)), dropped)
    write_rows(building / building_name(key, "part", len(failures)), rows)
    return failures


def _is_the_machines(error: Exception) -> bool:
    """Whether trying the next item is pointless: no disk, no memory, no file handles."""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EMFILE, errno.ENOMEM)
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in full)


def _failure(job: Job, item: str, error: Exception) -> Failure:
    if isinstance(error, UserError):
        if job.keep_failures:  # otherwise it is in the message that ends the run
            log.warning("%s: %s", job.table, printable(str(error)))
        return Failure(item, str(error))
    # Not an error we foresaw: keep going, but keep the traceback where a person will see it.
    log.warning("%s: %s failed unexpectedly", job.table, item, exc_info=error)
    return Failure(item, f"{type(error).__name__}: {error}")


def _collect(
    job: Job, outputs: list[Columns], failures: list[Failure]
) -> tuple[pa.Table, pa.Table]:
    """Split a shard's output into the table's rows and the dropped rows, both validated."""
    schema = TABLES[job.table.split("/")[0]]
    where = f"{job.table}: output of stage {job.stage.version}"
    kept: Columns = {c.name: [] for c in schema.columns}
    dropped: Columns = {c.name: [] for c in DROPPED.columns}

    def drop(clip_id: str, label: str | None, reason: str) -> None:
        for name, value in zip(dropped, (clip_id, label, job.table, reason), strict=True):
            dropped[name].append(value)

    for output in outputs:
        reasons = output.pop("drop_reason", [None] * count(output))
        labels = output.get("label", [None] * len(reasons))
        for row, reason in enumerate(reasons):
            if reason is not None:
                drop(output["clip_id"][row], labels[row], reason)
        good = [row for row, reason in enumerate(reasons) if reason is None]
        for name, values in take(output, good).items():
            kept.setdefault(name, []).extend(values)
    for failure in failures:
        drop(failure.item, None, failure.reason)
    return from_columns(kept, schema, where), from_columns(dropped, DROPPED, where)


def _stop_on_failures(job: Job, failures: list[Failure]) -> None:
    items = sum(count(shard) for shard in job.shards)
    if not failures or (job.keep_failures and len(failures) < items):
        return
    lines = [f.reason if f.item in f.reason else f"{f.item}: {f.reason}" for f in failures[:10]]
    more = f"\n  … and {len(failures) - 10} more" if len(failures) > 10 else ""
    others = " What succeeded is kept for the next run." if len(failures) < items else ""
    raise UserError(
        f"{job.table}: {len(failures)} of {items} failed; the table was not written.{others}\n  "
        + "\n  ".join(lines)
        + more
    )


def _manifest(
    job: Job, table_key: str, building: Path, keys: list[str], failed: list[int]
) -> Manifest:
    def parts(kind: str) -> Iterator[Part]:
        for i, key in enumerate(keys):
            path = building / building_name(key, kind, failed[i])
            if path.exists():
                name = f"{kind}-{i:05d}.parquet"
                yield Part(name, key, read_rows(path).num_rows, sha256_file(path), failed[i])

    kept, dropped = tuple(parts("part")), tuple(parts("dropped"))
    return Manifest(
        table=job.table, key=table_key, stage_version=job.stage.version, config=job.config,
        inputs=job.inputs, models=job.models, prompts=job.prompts, parts=kept, dropped=dropped,
        rows=sum(p.rows for p in kept), rows_dropped=sum(p.rows for p in dropped),
    )  # fmt: skip
