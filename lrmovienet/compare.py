"""`lrmovienet compare A B C …`: each set of predictions against each other, as a matrix."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lrmovienet.config import VerbConfig
from lrmovienet.errors import UserError
from lrmovienet.score import ScoreConfig, found, judged, split_of
from lrmovienet.workspace import Workspace

if TYPE_CHECKING:
    from rich.table import Table

    from eval.result import Result


@dataclass(frozen=True)
class CompareConfig(ScoreConfig, VerbConfig):
    """Options of `lrmovienet compare`: those of `lrmovienet score`.

    A word that is no option is a PATH, NAME=PATH or the name of a table under predictions/<split>/.
    """


def run(config: CompareConfig) -> None:
    """Print a matrix of differences for each cut-off; written as JSON where --json is given.

    Raises:
        UserError: fewer than two sets of predictions, or a file or an option is wrong.
    """
    from eval.report import console, fitted, markdown, notes, show_rows, tex

    workspace = Workspace(config.workspace)
    texts = [_named(workspace, config, text) for text in config.predictions]
    if not texts:
        texts = [f"{name}={path}" for name, (path,) in found(workspace, split_of(config))]
    if len(texts) < 2 or config.compare:
        raise UserError("give two or more sets of predictions, without --compare.")
    result = judged(
        replace(config, predictions=texts), matrix=True, json=config.json, clips=config.per_clip
    )
    out = console()
    if config.markdown or config.tex:
        show_rows(result, markdown if config.markdown else tex)
        return
    for k in result.k:
        out.print(fitted(matrix(result, f"ndcg@{k}"), out.width), crop=False)
    out.print(
        "row − column; * below .05, ** below .01, *** below .001: sign-flip randomisation over "
        f"films, corrected (Holm) for all {len(result.comparisons)} comparisons here",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip
    for line in notes(result):
        out.print(line, soft_wrap=True, markup=False, highlight=False)


def _named(workspace: Workspace, config: CompareConfig, text: str) -> str:
    """The name of a table of the workspace -> NAME=PATH; anything else as it is."""
    folder = workspace.root / "predictions" / str(split_of(config)) / text
    return f"{text}={folder}" if folder.is_dir() else text


def matrix(result: "Result", measure: str) -> "Table":
    """Means of a measure, and row − column for each pair."""
    from rich.table import Table
    from rich.text import Text

    signs = {}
    for c in result.comparisons:
        if c.measure == measure and c.difference.mean is not None:
            stars = "*" * sum(c.p_holm < level for level in (0.05, 0.01, 0.001))
            signs[c.a, c.b] = f"{c.difference.mean:+.4f}{stars}"
            signs[c.b, c.a] = f"{0.0 - c.difference.mean:+.4f}{stars}"
    table = Table()
    table.add_column(Text(measure.upper()), overflow="fold")
    table.add_column("mean", justify="right")
    for run in result.runs:
        table.add_column(Text(f"− {run.name}"), justify="right")
    for a in result.runs:
        mean = a.measures[measure].mean
        cells = [signs.get((a.name, b.name), "") for b in result.runs]
        table.add_row(*map(Text, (a.name, "–" if mean is None else f"{mean:.4f}", *cells)))
    return table
