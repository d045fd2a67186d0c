"""`lrmovienet train lambdamart`: boosted trees on vectors of the labels."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from baselines.options import percent_in
from baselines.prepare import prepare
from baselines.train import Job, TrainConfig, name_of, require_seed, say, train
from baselines.tree_options import TreeOptions
from lrmovienet.errors import UserError

if TYPE_CHECKING:
    from baselines.ranker import Ranker


@dataclass(frozen=True)
class TrainLambdaMART(TreeOptions, TrainConfig):
    """Options of `lrmovienet train lambdamart`."""

    features: Path | None = None
    """Folder of a feature store. Default: the workspace's own."""
    regime: Literal["R0", "R1"] = "R0"
    """R0: the source's grades alone; R1: and the target's annotated pairs."""
    percent: int = 10
    """R1: share of the target's pairs to learn from: 5, 10, 20 or 40."""


BOUNDS = {
    "trees": (1, 10**6), "patience": (1, 10**6), "learning_rate": (1e-6, 1), "leaves": (2, 2**16),
    "min_data": (1, 10**9), "column_share": (0.01, 1), "truncation": (1, 10**6),
    "components": (1, 10**5), "pair_weight": (0, 10**6), "threads": (1, 4096),
}  # fmt: skip
"""The least and the most that each number may be."""


def run(config: TrainLambdaMART) -> None:
    """Grow the trees, or say that they are there.

    Raises:
        UserError: a table is missing or an option is wrong.
    """
    require_seed(config.seed)
    percent = percent_in(config.regime, config.percent)
    for option, (least, most) in BOUNDS.items():
        value = getattr(config, option)
        if not least <= value <= most:
            raise UserError(f"--{option} {value}: give {least:g} to {most:g}.")
    import lightgbm  # noqa: F401  # said now where it is not installed

    from baselines.lambdamart import LambdaMARTRanker
    from baselines.lr2ppo.stages import unusual

    of_trees = {field.name: getattr(config, field.name) for field in fields(TreeOptions)}
    parts: list[str] = [config.objective] if config.objective != "lambdarank" else []
    parts += [config.regime, *unusual("recommended", percent)] if percent else []
    name = name_of(config, "lambdamart", *parts)
    at = prepare(config, config.regime, percent, config.features, "cpu")

    def make() -> "Ranker":
        return LambdaMARTRanker(TreeOptions(**of_trees), at.workspace.root / ".vectors")

    say(train(at, Job("lambdamart", name, config.regime, make, of_trees, percent)))
