"""`lrmovienet train dcpg`: the ranker of `ranker`, and the rows of its ablation."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from baselines.options import (
    MachineOptions,
    events_of,
    machine_of,
    percent_in,
    ready,
    require_tensorboard,
    watched,
)
from baselines.train import Job, name_of, say, train
from lrmovienet.errors import UserError

if TYPE_CHECKING:
    from baselines.ranker import Ranker


@dataclass(frozen=True)
class TrainDCPG(MachineOptions):
    """Options of `lrmovienet train dcpg`."""

    regime: Literal["R0", "R1"] = "R0"
    """Source grades alone (R0), or the target's preference pairs too (R1)."""
    percent: int = 10
    """Share of the target's pairs in R1: 5, 10, 20 or 40."""
    variant: Literal["a", "b"] | None = None
    """Whether the description is read with the label (a) or with the frames (b, usual)."""
    mode: Literal["both", "discrete", "continuous", "soft", "uniform", "none"] | None = None
    """Attention: the paper's, one of its halves, softmax, all weights 1, or mean pooling."""
    log_probability: Literal["fixed", "official"] | None = None
    """Density of the draw that was used, or of another draw, as in the released code."""
    reward: Literal["ndcg+ap", "ap", "ndcg"] | None = None
    """What attention is rewarded for, instead of both NDCG@5 and AP."""
    scale: float | None = None
    """Lambda of Eqs. 11 and 12, above 0, instead of 20."""
    heads: int | None = None
    """Attention weights an item, instead of 2; must divide 128."""
    actions: int | None = None
    """n, discrete actions, instead of 100."""
    temperature: float | None = None
    """Of the Gumbel-softmax, above 0, instead of 1."""
    policy_weight: float | None = None
    """Weight of the policy gradient; 0 for none."""
    beta: float | None = None
    """Share of the rewards' leave-one-out baseline, instead of 0.5."""
    margin: float | None = None
    """Margin of the triplet losses, instead of 0.2."""
    foreign_weight: float | None = None
    """Weight of the triplet loss between clips; 0 for none."""
    instance_weight: float | None = None
    """Weight of the classification of clips; 0 for none."""
    pair_weight: float | None = None
    """R1: weight of RankNet on the target's pairs, instead of 1."""
    epochs: int | None = None
    """Times through the source records, instead of the usual."""
    records_a_step: int | None = None
    """Source records a step, instead of the usual."""
    learning_rate: float | None = None
    """Learning rate of the first half of training, instead of the usual."""


NETWORK = ("variant", "mode", "log_probability", "scale", "heads", "actions", "temperature")
"""Options of the network."""
TRAINING = (
    "reward", "policy_weight", "beta", "margin", "foreign_weight", "instance_weight", "pair_weight",
    "epochs", "records_a_step",
)  # fmt: skip
"""Options of its training."""
COUNTS = (
    "heads", "actions", "epochs", "records_a_step", "pairs_a_step", "least_count", "dim", "folds",
    "threads",
)  # fmt: skip
"""Numbers from 1."""
ABOVE_ZERO = ("scale", "temperature", "learning_rate")
MOST = 10**6


def run(config: TrainDCPG) -> None:
    """Train the ranker.

    Raises:
        UserError: a table is missing, an option is wrong, or training came to nothing.
    """
    from baselines.dcpg.ranker import DCPGConfig, DCPGRanker
    from baselines.learning.machine import options_of

    require_tensorboard(config)
    require_sane(config, (*NETWORK, *TRAINING, "learning_rate"))
    if config.compile:
        raise UserError("--compile: recurrent networks are not compiled. Leave it out.")
    percent = percent_in(config.regime, config.percent)
    unusual = [config.regime, *([f"pct{percent}"] if percent != 10 else [])] if percent else []
    name = name_of(config, "dcpg", *unusual)
    usual, machine = DCPGConfig(), machine_of(config)
    require_heads(config, usual.network.dim)
    stage = replace(
        usual, machine=machine, network=replace(usual.network, **given(config, NETWORK)),
        optimisation=replace(usual.optimisation, **given(config, ("learning_rate",))),
        **given(config, TRAINING),
    )  # fmt: skip
    at = ready(config, config.regime, percent)
    events = events_of(config, name)

    def make() -> "Ranker":
        return watched(DCPGRanker(stage), events)

    say(
        train(at, Job("dcpg", name, config.regime, make, options_of(stage), percent, events=events))
    )


def given(config: object, names: Iterable[str]) -> dict[str, Any]:
    """The options among `names` that were given: those that are not None."""
    return {name: value for name in names if (value := getattr(config, name)) is not None}


def require_sane(config: object, names: Iterable[str]) -> None:
    """Refuse numbers out of bounds among the options in `names`, with a UserError."""
    for name, value in given(config, names).items():
        if isinstance(value, str):
            continue
        least = 1 if name in COUNTS else 0
        if not least <= value <= MOST or (value == 0 and name in ABOVE_ZERO):
            wanted = "a number above 0" if name in ABOVE_ZERO else f"{least} or more"
            raise UserError(f"--{name} {value}: give {wanted}, {MOST} at most.")


def require_heads(config: object, channels: int) -> None:
    """Refuse heads that cannot share the channels, with a UserError."""
    heads = given(config, ("heads",)).get("heads", 1)
    if channels % heads:
        raise UserError(
            f"--heads {heads}: each has a share of {channels} channels; give a divisor."
        )
