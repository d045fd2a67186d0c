"""`lrmovienet train preference`: the control of LR²PPO."""

from dataclasses import dataclass
from typing import Literal

from baselines.control_verbs import train_after_base
from baselines.options import MachineOptions, machine_of, require_percent, with_options
from lrmovienet.errors import UserError


@dataclass(frozen=True)
class TrainPreference(MachineOptions):
    """Options of `lrmovienet train preference`."""

    percent: int = 10
    """Share of the target's pairs to learn from: 5, 10, 20 or 40; 0: pairs of the source alone."""
    base: str | None = None
    """Ranker of stage 1 to start from. Default: that of LR²PPO, made if it is not there."""
    loss: Literal["ranknet", "dpo", "ipo", "hinge", "pl-dpo"] = "ranknet"
    """RankNet on scores; or, on what they have moved from stage 1: DPO, IPO, a hinge, or DPO
    under Plackett-Luce."""
    beta: float | None = None
    """Beta of a loss against stage 1, instead of the usual: the smaller, the farther from it."""
    label_smoothing: float | None = None
    """How often dpo holds a pair to be wrong, 0 to 0.49."""
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
    from baselines.preference import RECOMMENDED, PreferenceRanker

    require_percent(config.percent)
    stage = with_options(RECOMMENDED[config.loss], config, machine_of(config))
    if config.loss == "ranknet" and config.beta is not None:
        raise UserError(
            f"--beta {config.beta}: ranknet has none. Leave it out, or give --loss dpo."
        )
    if config.loss != "dpo" and config.label_smoothing is not None:
        raise UserError(
            f"--label_smoothing {config.label_smoothing}: {config.loss} has none. Leave it out, or "
            "give --loss dpo."
        )
    named = [] if config.loss == "ranknet" else [config.loss]
    train_after_base(config, "preference", named, "R1", stage, PreferenceRanker)
