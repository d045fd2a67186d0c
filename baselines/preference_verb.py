"""`lrmovienet train preference`: the control of LR²PPO."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

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
    from baselines.ranker import Ranker


@dataclass(frozen=True)
class TrainPreference(MachineOptions):
    """Options of `lrmovienet train preference`."""

    percent: int = 10
    """Share of the target's pairs to learn from: 5, 10, 20 or 40; 0: pairs of the source alone."""
    base: str | None = None
    """Ranker of stage 1 to start from. Default: that of LR²PPO, made if it is not there."""
    epochs: int | None = None
    """Times through the pairs, instead of the usual."""
    source_pairs: int | None = None
    """Pairs a source record and epoch, instead of the usual; 0 for none."""
    pairs_a_step: int | None = None
    """Pairs a step, instead of the usual."""
    learning_rate: float | None = None
    """Learning rate at its highest, instead of the usual."""


def run(config: TrainPreference) -> None:
    """Train the control, after stage 1 where that is not there yet.

    Raises:
        UserError: a table is missing, an option is wrong, or training came to nothing.
    """
    from baselines.learning.machine import options_of
    from baselines.lr2ppo.base import BaseRanker
    from baselines.lr2ppo.stages import digest_of, given_or_own_base, unusual
    from baselines.preference import PreferenceConfig, PreferenceRanker

    require_tensorboard(config)
    require_percent(config.percent)
    name = name_of(config, "preference", *unusual("recommended", config.percent))
    stage = with_options(PreferenceConfig(), config, machine_of(config))
    at = ready(config, "R1", config.percent)
    base = given_or_own_base(at, config, name, "recommended")
    after = {base: digest_of(at, base, "lr2ppo-base", "--base")}
    events = events_of(config, name)

    def make() -> "Ranker":
        actor = cast(BaseRanker, read_ranker(at.workspace, base)[0]).actor
        return watched(PreferenceRanker(stage, actor), events)

    options = options_of(stage)
    say(train(at, Job("preference", name, "R1", make, options, config.percent, after, events)))
