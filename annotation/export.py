"""`lrmovienet annotate export`: every single rating, as it may be published.

Names become pseudonyms and moments days (`lrmovienet.pseudonyms`).
"""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from lrmovienet.config import VerbConfig
from lrmovienet.pseudonyms import published
from lrmovienet.workspace import Workspace, write_rows

EXPORTED = ("ratings", "pair_ratings", "screenings")


@dataclass(frozen=True)
class ExportConfig(VerbConfig):
    """Options of `lrmovienet annotate export`."""

    out: Path = Path("published")
    """Folder for ratings.parquet, pair_ratings.parquet and screenings.parquet."""


def run(config: ExportConfig) -> None:
    """Write what people said, under pseudonyms.

    Raises:
        UserError: nobody has said anything yet, or the key of the pseudonyms is damaged.
    """
    workspace, console = Workspace(config.workspace), Console(emoji=False)
    there = [name for name in EXPORTED if workspace.manifest(name)]
    if not there:
        workspace.require("ratings")
    tables = {name: published(workspace, name) for name in there}
    for name, table in tables.items():
        write_rows(config.out / f"{name}.parquet", table)
        console.print(
            f"{config.out / name}.parquet: {table.num_rows} rows", markup=False, soft_wrap=True
        )
