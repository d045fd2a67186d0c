"""Where tables lie, how they are replaced, and what is written beside them.

A workspace is a folder with one folder a table::

    clips/part-00000.parquet      rows, in the schema of `lrmovienet.schema`
    clips/dropped-00000.parquet   what this stage left out, and why (only where there is something)
    clips/manifest.json           what the table was made from, and the sha256 of each part
    runs.jsonl                    when each table was made, how long it took, with which versions

A table is built under ``.building/`` part by part and moved into place when it is whole: a
finished table is never half-replaced. Manifests hold nothing that differs between two equal runs;
the clock is in ``runs.jsonl``.
"""

import contextlib
import fcntl
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lrmovienet import __version__
from lrmovienet.columns import Table
from lrmovienet.errors import UserError
from lrmovienet.files import (
    json_bytes,
    sha256_file,
    sha256_of,
    write_bytes,
    write_if_changed,
    write_json,
)
from lrmovienet.schema import DROPPED, SCHEMA_VERSION, TABLES

MADE_BY = {
    "films": "ingest",
    "clips": "ingest",
    "image_labels": "tag",
    "text_labels": "extract",
    "candidates": "merge",
    "screenings": "annotate pull",
    "screened": "aggregate",
    "ratings": "annotate pull",
    "pair_ratings": "annotate pull",
    "relevance": "aggregate",
    "preferences": "aggregate",
    "strengths": "aggregate",
    "records": "split",
    "pairs": "split",
    "predictions": "predict",
}
"""The verb that makes each table, for messages that say what to run."""


@dataclass(frozen=True)
class Part:
    """One Parquet file of a table."""

    file: str
    key: str
    rows: int
    sha256: str
    failed: int = 0
    """Items of this part that failed; they are tried again in the next run."""

    @property
    def kind(self) -> str:
        """``part`` or ``dropped``."""
        return self.file.split("-")[0]


@dataclass(frozen=True)
class Manifest:
    """What a table was made from. Equal runs write equal manifests."""

    table: str
    key: str
    """Hash of the stage's version and every shard's input: equal keys mean nothing to do."""
    stage_version: str
    config: dict[str, Any]
    inputs: dict[str, str]
    """Name of each input table or file -> sha256."""
    models: dict[str, str]
    """Model id -> sha256 of its weights."""
    prompts: dict[str, str]
    """Prompt version -> its full text."""
    parts: tuple[Part, ...]
    dropped: tuple[Part, ...]
    rows: int
    rows_dropped: int
    schema_version: int = SCHEMA_VERSION
    code_version: str = __version__
    digest: str = field(default="")
    """Hash over the parts' hashes: the table's content in one number."""

    @classmethod
    def read(cls, path: Path) -> "Manifest":
        """Read a manifest. Raises UserError where it is damaged or from another schema version."""
        try:
            raw = json.loads(path.read_bytes())
            for name in ("parts", "dropped"):
                raw[name] = tuple(Part(**part) for part in raw[name])
            manifest = cls(**raw)
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(
                f"{path}: not a readable manifest ({error}). "
                f"Delete the folder {path.parent} and make the table again."
            ) from None
        if manifest.schema_version != SCHEMA_VERSION:
            raise UserError(
                f"{path}: written with schema version {manifest.schema_version}, this is version "
                f"{SCHEMA_VERSION}. Delete the folder {path.parent} and make the table again."
            )
        return manifest


class Workspace:
    """A folder of tables. Reading never changes it; writing goes by `building` and `commit`."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def folder(self, table: str) -> Path:
        """Where a table lies now (a run killed while replacing it leaves it in ``.replaced``)."""
        replaced = self.root / ".replaced" / table
        final = self.root / table
        return replaced if replaced.exists() and not final.exists() else final

    def manifest(self, table: str) -> Manifest | None:
        """A table's manifest, or None where the table was not made yet."""
        path = self.folder(table) / "manifest.json"
        return Manifest.read(path) if path.exists() else None

    def require(self, table: str) -> Manifest:
        """A table's manifest. Raises UserError naming the command to run where it is missing."""
        manifest = self.manifest(table)
        if manifest is None:
            verb = MADE_BY.get(table.split("/")[0], "the command that makes it")
            raise UserError(
                f"{self.root}: no table {table!r} here yet. Run first: lrmovienet {verb} "
                f"--workspace {self.root}"
            )
        return manifest

    def require_current(self, *tables: str) -> None:
        """Refuse tables that were made of others than the present ones.

        Raises:
            UserError: naming the table and the verb to run.
        """
        for table in tables:
            for name, digest in self.require(table).inputs.items():
                if name in TABLES and self.require(name).digest != digest:
                    raise UserError(
                        f"{self.folder(table)}: made of another table {name!r} than the present "
                        f"one. Make it again: lrmovienet {MADE_BY[table]} --workspace {self.root}"
                    )

    @property
    def candidates_table(self) -> str:
        """The table of what is graded: what screening left, or all candidates."""
        return "screened" if self.manifest("screened") else "candidates"

    def read(self, table: str, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows of a table, in the order of its parts.

        Raises:
            UserError: the table is missing, or a part is not what the manifest says.
        """
        manifest = self.require(table)
        return self._read_parts(table, manifest.parts, TABLES[table.split("/")[0]], columns)

    def read_dropped(self, table: str) -> pa.Table:
        """What a table's stage left out, and why."""
        return self._read_parts(table, self.require(table).dropped, DROPPED, None)

    def _read_parts(
        self, table: str, parts: tuple[Part, ...], schema: Table, columns: Sequence[str] | None
    ) -> pa.Table:
        folder = self.folder(table)
        tables = []
        for part in parts:
            path = folder / part.file
            fix = f"Delete the folder {folder} and make the table again."
            if not path.exists():
                raise UserError(f"{path}: named in the manifest but not there. {fix}")
            if sha256_file(path) != part.sha256:
                raise UserError(f"{path}: damaged (its sha256 is not the manifest's). {fix}")
            tables.append(read_rows(path, columns))
        if tables:
            return pa.concat_tables(tables)
        return schema.empty().select(columns) if columns else schema.empty()

    def building(self, table: str) -> Path:
        """The folder in which a table's parts gather, named by their keys, until it is whole."""
        folder = self.root / ".building" / table
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def commit(self, manifest: Manifest) -> Manifest:
        """Put a table together from the parts in `building` and move it into place.

        The manifest names the parts by key; they get their numbers here. An older table of that
        name is replaced in one rename, and stays as it was if anything fails before that.
        """
        building = self.building(manifest.table)
        whole = self.root / ".building" / f"{manifest.table}.whole"
        shutil.rmtree(whole, ignore_errors=True)
        whole.mkdir(parents=True)
        for part in (*manifest.parts, *manifest.dropped):
            link(building / building_name(part.key, part.kind, part.failed), whole / part.file)
        content = [[p.file, p.sha256] for p in (*manifest.parts, *manifest.dropped)]
        manifest = replace(manifest, digest=sha256_of(content))
        write_json(whole / "manifest.json", asdict(manifest))
        self.put_in_place(whole, manifest.table)
        shutil.rmtree(building, ignore_errors=True)
        return manifest

    def rewrite(self, manifest: Manifest) -> None:
        """Write the manifest of a table whose parts stay, unless it is as it was."""
        path = self.folder(manifest.table) / "manifest.json"
        write_if_changed(path, json_bytes(asdict(manifest)))

    def put_in_place(self, whole: Path, name: str) -> None:
        """Move a finished folder to its place; an older one goes in the same step.

        A run killed in between leaves the older folder in ``.replaced``, where it is found.
        """
        final, replaced = self.root / name, self.root / ".replaced" / name
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.exists():
            replaced.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(replaced, ignore_errors=True)
            final.rename(replaced)
        whole.rename(final)
        shutil.rmtree(replaced, ignore_errors=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the workspace for writing; a second writer is told so instead of waiting.

        Raises:
            UserError: another run holds it, or the folder cannot be made.
        """
        with self._lock(fcntl.LOCK_EX):
            self._recover(self.root / ".replaced")
            yield

    @contextlib.contextmanager
    def locked_for(self, name: str) -> Iterator[None]:
        """Hold one ranker or one table of predictions for writing; others may be made beside it.

        Nothing else of the workspace may change meanwhile. Another writer of the same `name` waits.

        Raises:
            UserError: a run that may change anything holds the workspace.
        """
        own = self.root / ".locks" / f"{name}.lock"
        with self._lock(fcntl.LOCK_SH):
            own.parent.mkdir(parents=True, exist_ok=True)
            with own.open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._recover(self.root / ".replaced" / name)
                yield

    @contextlib.contextmanager
    def _lock(self, kind: int) -> Iterator[None]:
        if self.root.exists() and not self.root.is_dir():
            raise UserError(f"{self.root}: is a file; give a folder as --workspace.")
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"{self.root}: another lrmovienet run is writing here. Wait for it, or give "
                    "another --workspace."
                ) from None
            yield

    def _recover(self, within: Path) -> None:
        """Finish what a run that was killed inside `commit` had begun."""
        for path in sorted(within.glob("**/manifest.json")):
            folder = path.parent
            final = self.root / folder.relative_to(self.root / ".replaced")
            if final.exists():
                shutil.rmtree(folder)
            else:
                final.parent.mkdir(parents=True, exist_ok=True)
                folder.rename(final)

    def log_run(self, **entry: Any) -> None:
        """Append one line to ``runs.jsonl``."""
        with (self.root / "runs.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False, sort_keys=True) + "\n")


def building_name(key: str, kind: str, failed: int) -> str:
    """A part's name while its table is being built. One with failed items is never taken over."""
    return f"{key}.{kind}{'.retry' if failed else ''}.parquet"


def write_rows(path: Path, rows: pa.Table) -> None:
    """Write one Parquet file atomically; equal rows are equal bytes."""
    buffer = pa.BufferOutputStream()
    pq.write_table(rows.replace_schema_metadata(None), buffer, compression="zstd")
    write_bytes(path, buffer.getvalue())


def read_rows(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read one Parquet file. Raises UserError where it is not a readable Parquet file."""
    try:
        return pq.read_table(path, columns=columns, partitioning=None)
    except (pa.ArrowInvalid, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: not a readable Parquet file ({reason})") from None


def link(source: Path, target: Path) -> None:
    """Give a file a second name, or where the file system has no hard links, a whole copy."""
    try:
        target.hardlink_to(source)
    except OSError:
        write_bytes(target, source.read_bytes())
