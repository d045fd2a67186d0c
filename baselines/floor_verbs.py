"""`lrmovienet train random`, `prior` and `lexical`: the rankers of `floors`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from baselines.prepare import prepare
from baselines.train import Job, TrainConfig, name_of, require_seed, say, train

if TYPE_CHECKING:
    from baselines.ranker import Ranker


@dataclass(frozen=True)
class TrainRandom(TrainConfig):
    """Options of `lrmovienet train random`."""

    seed: int = 0
    """Seed of the random order; 0 or more."""


@dataclass(frozen=True)
class TrainPrior(TrainConfig):
    """Options of `lrmovienet train prior`."""


@dataclass(frozen=True)
class TrainLexical(TrainConfig):
    """Options of `lrmovienet train lexical`."""


def run(config: TrainRandom | TrainPrior | TrainLexical) -> None:
    """Train one of the floors, or say that it is there.

    Raises:
        UserError: a table is missing or an option is wrong.
    """
    from baselines.floors import LexicalRanker, PriorRanker, RandomRanker

    options: dict[str, Any] = {}
    make: Callable[[], Ranker]
    if isinstance(config, TrainRandom):
        require_seed(config.seed)
        kind, make, options = "random", lambda: RandomRanker(config.seed), {"seed": config.seed}
    elif isinstance(config, TrainPrior):
        kind, make = "prior", PriorRanker
    else:
        kind, make = "lexical", LexicalRanker
    name = name_of(config, kind)
    say(train(prepare(config), Job(kind, name, "R0", make, options)))
