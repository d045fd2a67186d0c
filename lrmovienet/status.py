"""`lrmovienet status`: what a workspace holds, and what was dropped on the way."""

from collections import Counter
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval.messages import printable
from lrmovienet.config import VerbConfig
from lrmovienet.schema import TABLES
from lrmovienet.workspace import Workspace


@dataclass(frozen=True)
class StatusConfig(VerbConfig):
    """Options of `lrmovienet status`."""

    reasons: int = 5
    """How many of the commonest reasons for dropping to list, a table."""


def run(config: StatusConfig) -> None:
    """Print one line a table, then why rows were dropped."""
    workspace = Workspace(config.workspace)
    names = sorted(
        str(path.parent.relative_to(workspace.root))
        for path in workspace.root.glob("**/manifest.json")
        if path.relative_to(workspace.root).parts[0] in TABLES
    )
    tables = Table(title=Text(str(config.workspace)), title_justify="left")
    for heading in ("table", "rows", "dropped", "parts", "content"):
        tables.add_column(heading, justify="left" if heading in ("table", "content") else "right")
    reasons = Table(title="dropped", title_justify="left")
    for heading in ("table", "rows", "reason"):
        reasons.add_column(heading)
    for name in names:
        manifest = workspace.require(name)
        tables.add_row(
            Text(name), str(manifest.rows), str(manifest.rows_dropped), str(len(manifest.parts)),
            manifest.digest[:12],
        )  # fmt: skip
        counted = Counter(workspace.read_dropped(name)["reason"].to_pylist())
        for reason, rows in counted.most_common(config.reasons):
            # As Text: a reason quotes file names, whose brackets are not markup.
            reasons.add_row(Text(name), str(rows), Text(printable(reason)))
    console = Console()
    console.print(tables if names else Text(f"{config.workspace}: no tables yet"))
    if reasons.row_count:
        console.print(reasons)
