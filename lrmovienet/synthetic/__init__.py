"""`lrmovienet synth`: a generated corpus with known relevance, in every real format.

Films with drawn keyframes as a MovieNet tree, and the tables `candidates`, `ratings` and
`pair_ratings`. `lrmovienet ingest --movienet <workspace>/movienet` makes `clips` of the tree, as it
would of the real MovieNet. What is generated and how it was calibrated: docs/synthetic.md.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from lrmovienet.config import VerbConfig

Layout = Literal["tars", "folders", "deeper", "zips", "compressed"]


@dataclass(frozen=True)
class SynthConfig(VerbConfig):
    """Options of `lrmovienet synth`."""

    size: Literal["tiny", "small", "paper"] = "small"
    """tiny: 6 films, 24 clips; small: 48 films, 320 clips; paper: 219 films, 3206 clips, the genre
    counts of the paper's Table C.1a."""
    seed: int = 0
    """Another seed, another corpus; 0 or more."""
    frames: bool = True
    """Draw the keyframes. Without them, the tables and texts are the same and it is quicker."""
    ratings: bool = True
    """Draw what people say, too. Without it, there are candidates to be graded."""
    shard_size: int = 8
    """Films a part of the table."""
    as_movienet: Path | None = None
    """Write only the tree, into this folder, with MovieNet's split file and numbers of shots."""
    layout: Layout = "tars"
    """How that tree is laid out. tars: 240P/<film>.tar; folders: pictures as files; deeper: zips
    unpacked, each into its own folder; zips: as downloaded; compressed: zips of compressed tars."""
    processes: int = 1
    """Worker processes. The result is the same for any number."""


def run(config: SynthConfig) -> None:
    """Generate the corpus, doing only what is not done yet. Prints one line a product."""
    from lrmovienet.errors import UserError
    from lrmovienet.runner import split
    from lrmovienet.runner.local import Job, run_table
    from lrmovienet.synthetic.calibration import CALIBRATION
    from lrmovienet.synthetic.plan import plan
    from lrmovienet.synthetic.tables import TableName, TableStage
    from lrmovienet.synthetic.tree import FOLDER, write_tree
    from lrmovienet.workspace import Workspace

    for name, least in (("seed", 0), ("shard_size", 1), ("processes", 1)):
        if getattr(config, name) < least:
            raise UserError(f"--{name} is {getattr(config, name)}; expected {least} or more.")
    console = Console()
    if config.as_movienet is not None:
        from lrmovienet.synthetic.layouts import write_movienet

        tree = write_movienet(
            config.as_movienet, config.layout, config.size, config.seed, config.frames,
            config.processes,
        )  # fmt: skip
        console.print(str(tree))
        return
    if config.layout != "tars":
        raise UserError(f"--layout {config.layout} goes with --as_movienet FOLDER only.")
    workspace = Workspace(config.workspace)
    with workspace.locked():
        tree = write_tree(
            workspace.root / FOLDER, config.size, config.seed, config.frames, config.processes,
            CALIBRATION,
        )  # fmt: skip
    console.print(str(tree))
    films = plan(config.size, config.seed)
    rows: dict[str, list[Any]] = {
        "movie_id": [f.movie_id for f in films],
        "film": [f.index for f in films],
    }
    shards = split(rows, config.shard_size)
    tables: tuple[TableName, ...] = ("candidates", "ratings", "pair_ratings")
    for table in tables if config.ratings else tables[:1]:
        outcome = run_table(
            workspace,
            Job(
                table=table, stage=TableStage(table, config.size, config.seed), shards=shards,
                item="movie_id", inputs={}, config={"size": config.size, "seed": config.seed},
                processes=config.processes, fail_fast=True,
            ),
        )  # fmt: skip
        console.print(str(outcome))
