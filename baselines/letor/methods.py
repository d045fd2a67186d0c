"""What is trained on documents: a method is how its ranker is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Literal

from baselines.data import Regime
from baselines.distillation import DistillationConfig, DistillationRanker
from baselines.grpo import GRPOConfig, GRPORanker
from baselines.lambdamart import LambdaMARTRanker
from baselines.learning.machine import Machine
from baselines.letor.best_feature import BestFeatureRanker
from baselines.lr2ppo.base import BaseRanker
from baselines.lr2ppo.ppo import PPORanker
from baselines.lr2ppo.presets import ONE_TOKEN, RECOMMENDED
from baselines.lr2ppo.reward import RewardRanker
from baselines.ltr.ranker import ListConfig, ListRanker
from baselines.ltr.rankers import (
    ContextRanker,
    DASALCRanker,
    DLCMRanker,
    GSFRanker,
    ListNetRanker,
    PRMRanker,
    RankFormerRanker,
    SetRankRanker,
)
from baselines.pl_rank import PLRankConfig, PLRankRanker
from baselines.preference import RECOMMENDED as PREFERENCES
from baselines.preference import Loss, PreferenceRanker
from baselines.tree_options import TreeOptions

Started = Mapping[str, Any]
"""Rankers that one starts from, by the names of their methods; empty to see options alone."""
Make = Callable[[Machine, int, Started], Any]
"""From the machine, the highest grade and what it starts from: the untrained ranker."""
BASE, REWARD = "lr2ppo-base", "lr2ppo-reward"
EPOCHS = 12
"""Of the networks over lists: they are at their best on vali after five to ten."""

ORDER = 500
"""Pairs of a source list for PL-DPO, which takes all of a clip's: a list of a thousand has half a
million."""


@dataclass(frozen=True)
class Method:
    """How a method's ranker is made, and where it can be trained."""

    make: Make
    regimes: tuple[Regime, ...]
    starts_from: tuple[str, ...] = ()
    trees: bool = False
    """Whether it reads features as they are, with gaps."""
    seeded: bool = True
    """Whether a seed changes anything."""
    published: str | None = None
    """Its row in the paper's table 2."""


def _list(kind: type[ListRanker], options: dict[str, Any], personal: bool = False) -> Make:
    def make(machine: Machine, levels: int, started: Started) -> ListRanker:
        network = kind.network_class.config_class(**options)
        if "levels" in {field.name for field in fields(network)}:
            network = replace(network, levels=levels)
        if kind is GSFRanker and network.group > 1:
            machine = replace(machine, records_at_once=2)  # lists of hundreds, squared
        config = ListConfig(machine=machine, personal=personal, epochs=EPOCHS)
        return kind(config, network, _actor(started))

    return make


def _trees(machine: Machine, levels: int, started: Started) -> LambdaMARTRanker:
    return LambdaMARTRanker(TreeOptions(threads=machine.threads, seed=machine.seed))


def _base(
    loss: Literal["regression", "classification"], machine: Machine, levels: int, started: Started
) -> BaseRanker:
    return BaseRanker(replace(RECOMMENDED.base, network=ONE_TOKEN, machine=machine, loss=loss))


def _reward(machine: Machine, levels: int, started: Started) -> RewardRanker:
    config = replace(RECOMMENDED.reward, network=ONE_TOKEN, machine=machine)
    return RewardRanker(config, _actor(started))


def _ppo(machine: Machine, levels: int, started: Started) -> PPORanker:
    config = replace(RECOMMENDED.ppo, machine=machine)
    return PPORanker(config, _actor(started), _rewards(started))


def _preference(loss: Loss, machine: Machine, levels: int, started: Started) -> PreferenceRanker:
    config = replace(PREFERENCES[loss], machine=machine)
    if loss == "pl-dpo":
        config = replace(config, source_pairs=ORDER)
    return PreferenceRanker(config, _actor(started))


def _distillation(machine: Machine, levels: int, started: Started) -> DistillationRanker:
    config = DistillationConfig(machine=machine)
    return DistillationRanker(config, _actor(started), _rewards(started))


def _pl_rank(machine: Machine, levels: int, started: Started) -> PLRankRanker:
    return PLRankRanker(PLRankConfig(machine=machine), _actor(started))


def _grpo(machine: Machine, levels: int, started: Started) -> GRPORanker:
    return GRPORanker(GRPOConfig(machine=machine), _actor(started))


def _actor(started: Started) -> Any:
    return started[BASE].actor if BASE in started else None


def _rewards(started: Started) -> list[Any]:
    return [started[REWARD].model] if REWARD in started else []


BOTH: tuple[Regime, ...] = ("R0", "R1")
GROUPS = {"group": 2, "width": 64}
"""GSF of two: all pairs of lists of a hundred are many, so its layers are half as wide."""
METHODS: dict[str, Method] = {
    "best-feature": Method(lambda *_: BestFeatureRanker(), ("R0",), seeded=False, trees=True),
    "lambdamart": Method(_trees, BOTH, trees=True, seeded=False),
    BASE: Method(partial(_base, "regression"), ("R0",)),
    "lr2ppo-base-cls": Method(partial(_base, "classification"), ("R0",)),
    REWARD: Method(_reward, ("R1",), (BASE,)),
    "lr2ppo": Method(_ppo, ("R2",), (BASE, REWARD), published="table 2: LR2PPO"),
    "preference": Method(partial(_preference, "ranknet"), ("R1",), (BASE,)),
    "preference-dpo": Method(partial(_preference, "dpo"), ("R1",), (BASE,)),
    "preference-ipo": Method(partial(_preference, "ipo"), ("R1",), (BASE,)),
    "preference-hinge": Method(partial(_preference, "hinge"), ("R1",), (BASE,)),
    "preference-pl-dpo": Method(partial(_preference, "pl-dpo"), ("R1",), (BASE,)),
    "distillation": Method(_distillation, ("R2",), (BASE, REWARD)),
    "pl-rank": Method(_pl_rank, BOTH, (BASE,)),
    "grpo": Method(_grpo, BOTH, (BASE,)),
    "listnet": Method(_list(ListNetRanker, {}), BOTH, published="table 2: ListNet"),
    "dlcm": Method(_list(DLCMRanker, {}), BOTH, (BASE,), published="table 2: DLCM"),
    "prm": Method(_list(PRMRanker, {}, personal=True), BOTH, (BASE,), published="table 2: PRM"),
    "gsf-1": Method(_list(GSFRanker, {"group": 1}), BOTH),
    "gsf": Method(_list(GSFRanker, GROUPS), BOTH, published="table 2: GSF"),
    "setrank": Method(_list(SetRankRanker, {}), BOTH, published="table 2: SetRank"),
    "setrank-imsab": Method(_list(SetRankRanker, {"inducing": 20}), BOTH),
    "rankformer": Method(_list(RankFormerRanker, {}), BOTH, published="table 2: RankFormer"),
    "context": Method(_list(ContextRanker, {}), BOTH),
    "dasalc": Method(_list(DASALCRanker, {}), BOTH),
}
"""Name in the table -> how it is trained; what others start from comes before them."""
