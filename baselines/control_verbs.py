"""`lrmovienet train distillation`, `pl-rank`, `grpo`: controls of LR²PPO, after its first stages.

Each makes the stages that it starts from, where they are not there yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, cast

from baselines.data import Regime
from baselines.options import (
    MachineOptions,
    events_of,
    machine_of,
    ready,
    require_percent,
    require_tensorboard,
    watched,
    with_options,
)
from baselines.train import Job, name_of, read_ranker, say, train

if TYPE_CHECKING:
    from baselines.lr2ppo.base import BaseRanker
    from baselines.ranker import Ranker


@dataclass(frozen=True)
class TrainDistillation(MachineOptions):
    """Options of `lrmovienet train distillation`."""

    percent: int = 10
    """Share of the target's pairs that the reward model learns from: 5, 10, 20 or 40; 0: none."""
    base: str | None = None
    """Ranker of stage 1 to start from. Default: that of LR²PPO, made if it is not there."""
    reward: list[str] = field(default_factory=list)
    """Rankers of stage 2 whose mean is the teacher. Default: that of LR²PPO, made if not there."""
    start: Literal["base", "reward"] | None = None
    """The actor's first weights: stage 1's, or the reward model's."""
    temperature: float | None = None
    """The teacher's scores are divided by it, above 0."""
    annotated_weight: float | None = None
    """Weight of the annotated pairs' own loss beside the teacher's."""
    epochs: int | None = None
    """Times through the records, instead of the usual."""
    clips_a_step: int | None = None
    """Records a step, instead of the usual."""
    learning_rate: float | None = None
    """Learning rate at its highest, instead of the usual."""


@dataclass(frozen=True)
class TrainPLRank(MachineOptions):
    """Options of `lrmovienet train pl-rank`."""

    percent: int = 10
    """Share of the target's pairs to learn from: 5, 10, 20 or 40; 0: source grades alone."""
    base: str | None = None
    """Ranker of stage 1 to start from. Default: that of LR²PPO, made if it is not there."""
    samples: int | None = None
    """Rankings drawn of a source record and step, instead of the usual."""
    temperature: float | None = None
    """Scores are divided by it where rankings are drawn, above 0."""
    epochs: int | None = None
    """Times through the clips, instead of the usual."""
    clips_a_step: int | None = None
    """Clips a step, instead of the usual."""
    learning_rate: float | None = None
    """Learning rate at its highest, instead of the usual."""


@dataclass(frozen=True)
class TrainGRPO(TrainPLRank):
    """Options of `lrmovienet train grpo`."""

    passes: int | None = None
    """Times through the rankings that were drawn, instead of the usual."""
    clip: float | None = None
    """Epsilon of the clipped ratio, instead of the usual."""
    kl_weight: float | None = None
    """Weight of the divergence from stage 1, instead of the usual."""


def run(config: TrainDistillation | TrainPLRank) -> None:
    """Train a control, and the stages before it that are not there yet.

    Raises:
        UserError: a table is missing, an option is wrong, or training came to nothing.
    """
    from baselines.distillation import DistillationConfig
    from baselines.grpo import GRPOConfig, GRPORanker
    from baselines.pl_rank import PLRankConfig, PLRankRanker

    require_percent(config.percent)
    machine = machine_of(config)
    if isinstance(config, TrainDistillation):
        _distil(config, with_options(DistillationConfig(), config, machine))
        return
    regime: Regime = "R1" if config.percent else "R0"
    if isinstance(config, TrainGRPO):
        stage = with_options(GRPOConfig(), config, machine)
        train_after_base(config, "grpo", [], regime, stage, GRPORanker)
    else:
        of_pl_rank = with_options(PLRankConfig(), config, machine)
        train_after_base(config, "pl-rank", [], regime, of_pl_rank, PLRankRanker)


def train_after_base(
    config: Any, kind: str, named: Sequence[str], regime: Regime, stage: Any, ranker_class: Any
) -> None:
    """Train a ranker that starts from stage 1 alone.

    Args:
        config: the verb's options, with `base` and `percent`.
        kind: its name in `RANKERS`.
        named: what its usual name says beside its kind.
        regime: whose data it sees.
        stage: its own options.
        ranker_class: makes it, from `stage` and the actor of stage 1.

    Raises:
        UserError: as `run`.
    """
    from baselines.learning.machine import options_of
    from baselines.lr2ppo.stages import digest_of, given_or_own_base, unusual

    require_tensorboard(config)
    name = name_of(config, kind, *named, *unusual("recommended", config.percent))
    at = ready(config, regime, config.percent)
    base = given_or_own_base(at, config, name, "recommended")
    after = {base: digest_of(at, base, "lr2ppo-base", "--base")}
    events = events_of(config, name)

    def make() -> "Ranker":
        actor = cast("BaseRanker", read_ranker(at.workspace, base)[0]).actor
        return cast("Ranker", watched(ranker_class(stage, actor), events))

    options = options_of(stage)
    say(train(at, Job(kind, name, regime, make, options, config.percent, after, events)))


def _distil(config: TrainDistillation, stage: Any) -> None:
    from baselines.distillation import DistillationRanker
    from baselines.learning.machine import options_of
    from baselines.lr2ppo.stages import digests_of, given_or_own_stages, read_stages, unusual

    require_tensorboard(config)
    name = name_of(config, "distillation", *unusual("recommended", config.percent))
    at = ready(config, "R2", config.percent)
    base, rewards = given_or_own_stages(at, config, name, "recommended", stage.rewards)
    stage = replace(stage, rewards=len(rewards))
    after = digests_of(at, base, rewards)
    events = events_of(config, name)

    def make() -> "Ranker":
        actor, found = read_stages(at, base, rewards, config.device)
        return watched(DistillationRanker(stage, actor, found), events)

    options = options_of(stage)
    say(train(at, Job("distillation", name, "R2", make, options, config.percent, after, events)))
