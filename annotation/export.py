"""`lrmovienet annotate export`: every single rating, as it may be published.

Names of annotators become pseudonyms, and moments become days: who worked when is nobody's
business. The key that makes the pseudonyms stays in the workspace, so that the next export gives
everybody the same one.
"""

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from lrmovienet.config import VerbConfig
from lrmovienet.errors import UserError
from lrmovienet.schema import TABLES, from_columns
from lrmovienet.workspace import Workspace, write_rows

EXPORTED = ("ratings", "pair_ratings", "screenings")
KEY_FILE, KEY_BYTES = "pseudonyms.key", 32


@dataclass(frozen=True)
class ExportConfig(VerbConfig):
    """Options of `lrmovienet annotate export`."""

    out: Path = Path("published")
    """Folder for ratings.parquet, pair_ratings.parquet and screenings.parquet."""


def run(config: ExportConfig) -> None:
    """Write what people said, under pseudonyms.

    Raises:
        UserError: nobody has said anything yet, or a name would still show.
    """
    workspace, console = Workspace(config.workspace), Console(emoji=False)
    there = [name for name in EXPORTED if workspace.manifest(name)]
    if not there:
        workspace.require("ratings")
    key = _key(workspace.root / "annotation" / KEY_FILE)
    tables = {}
    for name in there:
        rows = workspace.read(name).to_pylist()
        names = {row["annotator"] for row in rows}
        for row in rows:
            row["annotator"] = pseudonym(row["annotator"], key)
            row["created_at"] = row["created_at"] and row["created_at"][:10]
        rows.sort(key=lambda row: [row[column] for column in TABLES[name].key])
        columns: dict[str, list[Any]] = {
            column.name: [row[column.name] for row in rows] for column in TABLES[name].columns
        }
        if len({*columns["annotator"]}) != len(names):
            raise UserError("two annotators got one pseudonym; delete the key and export again.")
        tables[name] = from_columns(columns, TABLES[name], name)
    for name, table in tables.items():
        write_rows(config.out / f"{name}.parquet", table)
        console.print(
            f"{config.out / name}.parquet: {table.num_rows} rows", markup=False, soft_wrap=True
        )


def pseudonym(name: str, key: bytes) -> str:
    """A name as it may be published. Without the key nobody can try names out."""
    return "annotator-" + hmac.new(key, name.encode(), hashlib.sha256).hexdigest()[:8]


def _key(path: Path) -> bytes:
    """The workspace's key, made once, for its owner's eyes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = path.read_bytes()
        if len(key) != KEY_BYTES:
            raise UserError(
                f"{path}: is damaged. Put a copy back; or delete it, and everybody gets a new "
                "pseudonym."
            ) from None
        return key
    key = secrets.token_bytes(KEY_BYTES)
    with os.fdopen(file, "wb") as opened:
        opened.write(key)
        opened.flush()
        os.fsync(opened.fileno())
    return key
