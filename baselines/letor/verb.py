"""`lrmovienet letor bench`: methods × regimes × seeds × folds of documents -> results."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class LetorBenchConfig:
    """Options of `lrmovienet letor bench`."""

    methods: list[str] = field(default_factory=list)
    """Names of methods, with or without the option, also joined by commas; default: all."""
    target: list[Path] = field(default_factory=list)
    """The set that is tested: a folder with Fold1 to Fold5, or files, each a part; one is cut."""
    source: list[Path] = field(default_factory=list)
    """The set whose grades are learned, given likewise. Default: the target's training parts."""
    out: Path = Path("letor")
    """Folder of results, scores, rankers and logs, of one choice of sets and options."""
    cache: Path | None = None
    """Folder in which files are kept as arrays, which several OUT may share. Default: OUT/cache."""
    protocol: Literal["honest", "released"] = "honest"
    """A fair measure, or what the official scripts do (docs/letor.md)."""
    regimes: list[Literal["R0", "R1", "R2"]] = field(default_factory=list)
    """What methods may see of the target: nothing, pairs, pairs and documents. Default: all."""
    seeds: int = 3
    """Seeds a method and regime, from 0; a method that draws nothing is run once."""
    percent: Literal[5, 10, 20, 40] | None = None
    """Share of the target's training pairs that R1 and R2 see. Default: 10."""
    space: Literal["same", "named", "principal", "layers"] | None = None
    """Where features of two sets meet. Default: same, or named for 136 and 46, or principal."""
    scaling: Literal["log", "standard"] | None = None
    """Networks' features: z scores of the signed logarithm (log, the default), or of themselves."""
    parts: int = 5
    """Parts that a single file is cut into; each is tested once."""
    folds: list[int] = field(default_factory=list)
    """Folds that are tested, from 1, such as 1 alone as in the paper. Default: all."""
    processes: int = 1
    """Trainings at a time, each in a process of one thread. Results are the same for any number."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where networks are trained and score."""
    gpus: int = 1
    """With --device cuda: GPUs that are shared out among the processes."""
    dataset: str | None = None
    """Name of the sets, kept in the results for the tables. Default: the names of the files."""


def run(config: LetorBenchConfig) -> None:
    """Train, predict and score all that is not there yet.

    Raises:
        UserError: an option or a file is wrong, or a training failed; all others are done then.
    """
    from baselines.letor.bench import Bench

    Bench(config).run()
