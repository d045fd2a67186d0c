"""`lrmovienet bench`: methods × regimes × seeds -> rankers, predictions and results."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lrmovienet.config import VerbConfig


@dataclass(frozen=True)
class BenchConfig(VerbConfig):
    """Options of `lrmovienet bench`."""

    methods: list[str] = field(default_factory=list)
    """Names of methods, with or without the option, also joined by commas; default: all that need
    nothing given. What a method starts from is trained and scored with it."""
    regimes: list[Literal["R0", "R1", "R2"]] = field(default_factory=list)
    """What methods may see; each is trained in those it knows. Default: all."""
    seeds: int = 5
    """Seeds a method and regime, from 0; a method that draws nothing is run once."""
    trials: int = 0
    """Draws of options a method and regime, the usual ones first, judged on target_dev; 0: none."""
    processes: int = 1
    """Trainings at a time, each in a process of one thread. Results are the same for any number."""
    out: Path | None = None
    """Folder of results, trials and logs. Default: bench in the workspace."""
    given: list[str] = field(default_factory=list)
    """METHOD.OPTION=VALUE of a method's verb, as lr2ppo-base.epochs=3; it is then not tuned."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where networks are trained; predictions are made on the CPU."""
    gpus: int = 1
    """With --device cuda: GPUs that are shared out among the processes."""
    features: Path | None = None
    """Folder of a feature store. Default: the workspace's own."""
    protocol: Literal["strict", "paper"] | None = None
    """Refuse a workspace whose splits are of another protocol."""
    dataset: str | None = None
    """Name of the dataset, kept in the results for the leaderboard."""
    revision: str | None = None
    """Revision of the dataset, kept likewise."""


def run(config: BenchConfig) -> None:
    """Train, predict and score all that is not there yet.

    Raises:
        UserError: an option is wrong, or a training failed; all others are done then.
    """
    from baselines.benchmark.bench import Bench

    Bench(config).run()
