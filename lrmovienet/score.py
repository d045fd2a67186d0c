"""`lrmovienet score`: every prediction of a workspace against its gold, as `eval/score.py` does."""

from dataclasses import dataclass, field
from pathlib import Path

from eval.ndcg import Empty, Ties
from lrmovienet.config import VerbConfig
from lrmovienet.errors import UserError
from lrmovienet.workspace import Workspace


@dataclass(frozen=True)
class ScoreConfig(VerbConfig):
    """Options of `lrmovienet score`."""

    gold: Path | None = None
    """Graded labels: a folder of Parquet parts, .parquet or .jsonl; default: the table records."""
    predictions: list[str] = field(default_factory=list)
    """PATH or NAME=PATH of each; default: every table under predictions/<split>/."""
    split: str = "target_test"
    """The split of gold to score on."""
    k: tuple[int, ...] = (1, 3, 5, 10, 20)
    """Cut-offs of NDCG@k."""
    ties: Ties = "mean"
    """What equal scores are worth: the mean over their orders, or a single order."""
    empty: Empty = "skip"
    """What clips without a relevant label are worth."""
    allow_missing: bool = False
    """Rank gold labels without a prediction last instead of refusing the file."""
    floors: bool = True
    """Add rows for random order (expected), the oracle and the worst order."""
    out: Path | None = None
    """Where the JSON goes; default: results/<split>.json in the workspace."""


def run(config: ScoreConfig) -> None:
    """Print one table, one row a set of predictions, and write it as JSON."""
    from rich.console import Console

    from eval.runs import RunError
    from eval.score import named, score_files, show

    workspace = Workspace(config.workspace)
    gold = config.gold
    if gold is None:
        workspace.require("records")
        gold = workspace.folder("records")
    out = config.out or workspace.root / "results" / f"{config.split}.json"
    try:
        predictions = named(config.predictions) or _predictions(workspace, config.split)
        result = score_files(
            gold, predictions, split=config.split, ks=config.k, ties=config.ties,
            empty=config.empty,
            allow_missing=config.allow_missing, out=out,
        )  # fmt: skip
    except RunError as error:
        raise UserError(str(error)) from None
    show(result, floors=config.floors)
    Console().print(f"written: {out}", markup=False, soft_wrap=True)


def _predictions(workspace: Workspace, split: str) -> list[tuple[str, Path]]:
    """Every folder of Parquet parts under predictions/<split>/, named by its place there."""
    root = workspace.root / "predictions" / split
    folders = sorted({path.parent for path in root.glob("**/*.parquet")})
    if not folders:
        raise UserError(
            f"{root}: no predictions here yet. Run first: lrmovienet predict --workspace "
            f"{workspace.root} --split {split}"
        )
    return [
        (root.name if folder == root else folder.relative_to(root).as_posix(), folder)
        for folder in folders
    ]
