"""`lrmovienet score`: every prediction of a workspace against its gold, as `eval/score.py` does."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from eval.ndcg import Empty, Gain
from eval.ranking import Ties
from lrmovienet.config import VerbConfig
from lrmovienet.errors import UserError
from lrmovienet.workspace import Workspace

if TYPE_CHECKING:
    from eval.result import Result
    from eval.score import Named


@dataclass(frozen=True)
class ScoreConfig(VerbConfig):
    """Options of `lrmovienet score`, those of `eval/score.py` and a workspace to find files in."""

    gold: list[str] = field(default_factory=list)
    """Graded labels, in any format of `eval/score.py`; default: the table records."""
    predictions: list[str] = field(default_factory=list)
    """PATH or NAME=PATH of each; default: every table under predictions/<split>/."""
    compare: list[str] = field(default_factory=list)
    """Other predictions: paired differences, intervals and randomisation tests."""
    split: str | None = None
    """The split of gold to score on; default: target_test, unless --gold is given."""
    gold_columns: list[str] = field(default_factory=list)
    """Other names of columns of gold, OURS=THEIRS, such as clip_id=query."""
    predictions_columns: list[str] = field(default_factory=list)
    """Other names of columns of predictions, OURS=THEIRS."""
    allow_missing: bool = False
    """Rank gold labels without a prediction last instead of refusing the file."""
    max_grade: int = 2
    """The highest grade."""
    k: tuple[int, ...] = (1, 3, 5, 10, 20)
    """Cut-offs of NDCG, precision and recall."""
    gain: Gain | None = None
    """What a grade is worth: exp (2^grade - 1, the default) or linear."""
    ties: Ties | None = None
    """What equal scores are worth: average (over their orders, the default), or a single order."""
    empty: Empty | None = None
    """What clips without a relevant label are worth; default: skip, and count them."""
    compat: Literal["paper"] | None = None
    """Do as the evaluator of the released LR2PPO code: exp, stable, one."""
    relevant_from: int = 1
    """Lowest relevant grade in MRR, precision and recall."""
    bootstrap: int = 10_000
    """Replicates over films, and draws of the tests; 0 for none."""
    seed: int = 0
    """Seed of the bootstrap and of the tests."""
    markdown: bool = False
    """Print NDCG as a Markdown table."""
    tex: bool = False
    """Print NDCG as rows of a LaTeX tabular."""
    full: bool = False
    """Print also precision, recall, and NDCG by genre and by source of the label."""
    json: Path | None = None
    """Where the result goes; default: results/<split>.json in the workspace."""
    per_clip: Path | None = None
    """Write each clip's measures here, as Parquet."""
    dataset: str | None = None
    """Name of the dataset, kept in the JSON for the leaderboard."""
    revision: str | None = None
    """Revision of the dataset, likewise."""
    protocol: str | None = None
    """Protocol of the splits, likewise; default: that of the workspace's records."""
    regime: Literal["R0", "R1", "R2"] | None = None
    """What the methods were allowed to see, likewise."""


def run(config: ScoreConfig) -> None:
    """Print the scores of each set of predictions, and write them as JSON."""
    from rich.console import Console

    from eval.report import markdown, show, show_rows, tex

    if config.markdown and config.tex:
        raise UserError("--markdown and --tex: give one of them.")
    workspace = Workspace(config.workspace)
    out = config.json or workspace.root / "results" / f"{split_of(config) or 'gold'}.json"
    result = judged(config, json=out, clips=config.per_clip)
    if config.markdown or config.tex:
        show_rows(result, markdown if config.markdown else tex)
        return
    show(result, full=config.full)
    Console().print(f"written: {out}", markup=False, soft_wrap=True)


def judged(config: ScoreConfig, **more: Any) -> "Result":
    """Score the files that a config names, or finds in its workspace.

    Raises:
        UserError: a file or an option is wrong.
    """
    from eval.result import About, ResultError
    from eval.runs import RunError
    from eval.score import columns, judge, named
    from eval.scoring import Options, resolve

    workspace = Workspace(config.workspace)
    gold, protocol = [Path(path) for path in config.gold], config.protocol
    split = split_of(config)
    if not gold:
        manifest = workspace.require("records")
        gold = [workspace.folder("records")]
        protocol = protocol or manifest.config.get("protocol")
    try:
        gain, ties, empty = resolve(config.compat, config.gain, config.ties, config.empty)
        options = Options(
            ks=config.k, gain=gain, ties=ties, empty=empty, compat=config.compat,
            relevant_from=config.relevant_from, max_grade=config.max_grade,
            bootstrap=config.bootstrap, seed=config.seed,
            about=About(config.dataset, config.revision, protocol, config.regime),
        )  # fmt: skip
        return judge(
            gold, named(config.predictions) or found(workspace, split), options,
            compare=named(config.compare), split=split,
            gold_columns=columns(config.gold_columns, "--gold-columns"),
            predictions_columns=columns(config.predictions_columns, "--predictions-columns"),
            allow_missing=config.allow_missing, **more,
        )  # fmt: skip
    except (RunError, ResultError) as error:
        raise UserError(str(error)) from None


def split_of(config: ScoreConfig) -> str | None:
    """The split that is scored; a workspace's records hold several, another gold need not."""
    return config.split or (None if config.gold else "target_test")


def found(workspace: Workspace, split: str | None) -> "list[Named]":
    """Every folder of Parquet parts under predictions/<split>/, named by its place there."""
    if split is None:
        raise UserError("give --predictions, or --split to take a workspace's.")
    root = workspace.root / "predictions" / split
    folders = sorted({path.parent for path in root.glob("**/*.parquet")})
    if not folders:
        raise UserError(
            f"{root}: no predictions here yet. Run first: lrmovienet predict --workspace "
            f"{workspace.root} --split {split}"
        )
    return [
        (root.name if folder == root else folder.relative_to(root).as_posix(), [folder])
        for folder in folders
    ]
