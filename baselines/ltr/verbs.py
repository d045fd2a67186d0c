"""`lrmovienet train listnet`, `dlcm` and the other methods of learning to rank: one verb each."""

from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from baselines.options import (
    MachineOptions,
    events_of,
    machine_of,
    percent_in,
    ready,
    require_tensorboard,
    watched,
    with_options,
)
from baselines.train import Job, name_of, read_ranker, say, train

if TYPE_CHECKING:
    from baselines.ranker import Ranker


@dataclass(frozen=True)
class ListOptions(MachineOptions):
    """Options of every method of this room."""

    kind: ClassVar[str]
    """The ranker's name in `RANKERS`."""

    regime: Literal["R0", "R1"] = "R0"
    """What it may see: the source's grades, or also the target's annotated pairs (RankNet)."""
    percent: int = 10
    """R1: share of the target's pairs to learn from: 5, 10, 20 or 40."""
    track: Literal["features", "stage1", "trunk"] = "features"
    """What is read of a label: a frozen vector, stage 1's vector, or its trunk, trained along."""
    base: str | None = None
    """Ranker of stage 1, where it is needed. Default: that of LR²PPO, made if it is not there."""
    epochs: int | None = None
    """Times through the source's lists, instead of the usual."""
    lists_a_step: int | None = None
    """Lists a step, instead of the usual."""
    learning_rate: float | None = None
    """Learning rate at its highest, instead of the usual."""
    weight_decay: float | None = None
    """Weight decay of AdamW, instead of the usual."""
    pair_weight: float | None = None
    """R1: weight of the target pairs' loss beside the method's own."""
    width: int | None = None
    """Width of the network, instead of the usual."""
    dropout: float | None = None
    """Share of values dropped in training, instead of the usual."""


@dataclass(frozen=True)
class TrainListNet(ListOptions):
    """Options of `lrmovienet train listnet`."""

    kind: ClassVar[str] = "listnet"


@dataclass(frozen=True)
class TrainDLCM(ListOptions):
    """Options of `lrmovienet train dlcm`."""

    kind: ClassVar[str] = "dlcm"


@dataclass(frozen=True)
class TrainPRM(ListOptions):
    """Options of `lrmovienet train prm`."""

    kind: ClassVar[str] = "prm"

    personal: bool = True
    """Features track: also read stage 1's vector, in the place of PRM's personalised one."""


@dataclass(frozen=True)
class TrainGSF(ListOptions):
    """Options of `lrmovienet train gsf`."""

    kind: ClassVar[str] = "gsf"

    group: int = 2
    """Labels scored together: 1 or 2; all ordered groups are made."""


@dataclass(frozen=True)
class TrainSetRank(ListOptions):
    """Options of `lrmovienet train setrank`."""

    kind: ClassVar[str] = "setrank"

    inducing: int = 0
    """Induced points of IMSAB (the paper: 20); 0 for MSAB, full self-attention."""


@dataclass(frozen=True)
class TrainRankFormer(ListOptions):
    """Options of `lrmovienet train rankformer`."""

    kind: ClassVar[str] = "rankformer"

    strength: float | None = None
    """Weight of the list-wide loss beside the items' own, instead of the usual."""


@dataclass(frozen=True)
class TrainContext(ListOptions):
    """Options of `lrmovienet train context`."""

    kind: ClassVar[str] = "context"

    objective: (
        Literal[
            "ndcg_loss2pp",
            "ordinal",
            "ndcg_loss2",
            "lambdarank",
            "ranknet",
            "list_mle",
            "approx_ndcg",
            "neural_ndcg",
        ]
        | None
    ) = None
    """The loss, instead of NDCGLoss2++."""


@dataclass(frozen=True)
class TrainDASALC(ListOptions):
    """Options of `lrmovienet train dasalc`."""

    kind: ClassVar[str] = "dasalc"

    noise: float | None = None
    """Spread of the Gaussian noise on inputs in training, instead of the usual."""


def run(config: ListOptions) -> None:
    """Train a method, after stage 1 where that is a part of it and not there yet.

    Raises:
        UserError: a table is missing, an option is wrong, or training came to nothing.
    """
    from baselines.learning.machine import options_of
    from baselines.lr2ppo.base import BaseRanker
    from baselines.lr2ppo.stages import digest_of, given_or_own_base, unusual
    from baselines.ltr.ranker import ListConfig, ListRanker
    from baselines.ranker import ranker_class
    from lrmovienet.errors import UserError

    require_tensorboard(config)
    percent = percent_in(config.regime, config.percent)
    if config.compile and config.track != "trunk":
        raise UserError("--compile: only a trunk is worth it. Leave it out, or give --track trunk.")
    kind = cast(type[ListRanker], ranker_class(config.kind))
    stage = with_options(ListConfig(), config, machine_of(config))
    network = _network_of(kind.network_class.config_class(), config)
    if config.base is not None and not kind.needs_base(stage):
        raise UserError(
            f"--base {config.base}: this ranker does not read stage 1; leave it out, or give "
            "--track stage1."
        )
    parts: list[str] = [config.track] if config.track != "features" else []
    parts += [config.regime, *unusual("recommended", percent)] if percent else []
    name = name_of(config, config.kind, *_variant(config), *parts)
    at = ready(config, config.regime, percent)
    after = {}
    if kind.needs_base(stage):
        base = given_or_own_base(at, config, name, "recommended")
        after[base] = digest_of(at, base, "lr2ppo-base", "--base")
    events = events_of(config, name)

    def make() -> "Ranker":
        actors = [cast(BaseRanker, read_ranker(at.workspace, base)[0]).actor for base in after]
        cache = at.workspace.root / ".vectors"
        return watched(kind(stage, network, next(iter(actors), None), cache), events)

    options = {**options_of(stage), "network": asdict(network)}
    job = Job(config.kind, name, config.regime, make, options, percent, after, events)
    say(train(at, job))


def _network_of(network: Any, config: ListOptions) -> Any:
    """The network's dimensions, with the options that were given in the place of the usual.

    Raises:
        UserError: the network cannot be so.
    """
    from lrmovienet.errors import UserError

    own = {field.name for field in fields(network)}
    given = {f.name: getattr(config, f.name) for f in fields(config) if f.name in own}
    given = {name: value for name, value in given.items() if value is not None}
    for name, (least, most) in BOUNDS.items():
        if name in given and not least <= given[name] <= most:
            raise UserError(f"--{name} {given[name]}: give {least} to {most}.")
    found = replace(network, **given)
    heads = getattr(found, "heads", 1) if config.kind != "dlcm" else 1
    if found.width % heads:
        raise UserError(f"--width {found.width}: give a multiple of {heads}, one part a head.")
    return found


BOUNDS = {
    "width": (4, 65536), "dropout": (0, 0.9), "group": (1, 2), "inducing": (0, 1000),
    "strength": (0, 1000), "noise": (0, 1000),
}  # fmt: skip
"""The least and the most that each number of a network may be."""


def _variant(config: ListOptions) -> list[str]:
    """What a ranker's name says of its network, where that is not the usual one."""
    if isinstance(config, TrainGSF) and config.group != 2:
        return [f"group{config.group}"]
    if isinstance(config, TrainSetRank) and config.inducing:
        return ["imsab"]
    if isinstance(config, TrainContext) and config.objective not in (None, "ndcg_loss2pp"):
        return [str(config.objective)]
    if isinstance(config, TrainPRM) and not config.personal:
        return ["impersonal"]
    return []
