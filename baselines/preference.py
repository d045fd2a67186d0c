"""The control of LR²PPO: stage 1, then a plain pairwise loss on the very pairs stage 2 sees.

No reward model, no critic, no unlabelled pair. What both gain over stage 1 is what the annotated
pairs add; only what LR²PPO gains over this can be due to reinforcement learning.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from baselines.data import Regime, TrainingData
from baselines.learning.files import (
    fingerprint,
    weights_digest,
)
from baselines.learning.learner import Learner
from baselines.learning.loop import Run, by_epochs
from baselines.learning.machine import Machine, Optimisation, options_of
from baselines.learning.parallel import World, join
from baselines.learning.running import (
    SELECT_AT,
    autocast,
    dev_ndcg,
    reproducible,
)
from baselines.lr2ppo.actor_ranker import ActorRanker, predict
from baselines.lr2ppo.losses import pairwise_logistic
from baselines.lr2ppo.model import Actor
from baselines.lr2ppo.pairs import PairStep, PairSteps
from baselines.lr2ppo.presets import PairData
from lrmovienet.files import sha256_of


@dataclass(frozen=True)
class PreferenceConfig:
    """Fine-tuning of stage 1 on pairs. All but the loss is as in stage 2 of `recommended`."""

    optimisation: Optimisation = field(default_factory=Optimisation)
    machine: Machine = field(default_factory=Machine)
    pairs: PairData = field(default_factory=PairData)
    epochs: int = 4
    """Times through the pairs."""
    source_pairs: int = 20
    """Pairs of different grades drawn a source record and epoch."""


class PreferenceRanker(ActorRanker):
    """The actor of stage 1 after RankNet on annotated pairs."""

    regimes: ClassVar[tuple[Regime, ...]] = ("R1",)
    config_class = PreferenceConfig
    config: PreferenceConfig

    def __init__(self, config: PreferenceConfig | None = None, base: Actor | None = None) -> None:
        """`base` is the actor of stage 1; it is not changed."""
        super().__init__(config or PreferenceConfig())
        self.base = base

    def fit(self, data: TrainingData, working: Path) -> None:
        """Train, and keep the weights of the best epoch on `data.dev`; the first may be stage 1's.

        Raises:
            UserError: training diverges, there are no pairs, or no dev record has a relevant label.
        """
        with reproducible(self.config.machine):
            self._fit(data, working, join(self.config.machine.device))

    def _fit(self, data: TrainingData, working: Path, world: World) -> None:
        config, machine = self.config, self.config.machine
        if self.base is None:
            raise ValueError("the control starts from stage 1, which was not given")
        actor = Actor(self.base.config)
        actor.load_state_dict(self.base.state_dict())
        actor.to(machine.device)
        made_from = sha256_of(
            [options_of(config), fingerprint(data), weights_digest(actor), world.size]
        )
        make = PairSteps(data, config.pairs, config.source_pairs, True, machine, world)
        steps = config.epochs * make.an_epoch
        learner = Learner(actor, config.optimisation, steps, world, "pairwise control")
        run = Run(working, made_from, learner, actor, self.watch)
        if not run.metrics:
            dev = dev_ndcg(partial(predict, actor, machine), data.dev, world)
            run.measured({"stage": 4, "step": 0, "epoch": 0, **dev}, dev[SELECT_AT])

        def measure(sums: dict[str, float]) -> tuple[dict[str, float], float]:
            dev = dev_ndcg(partial(predict, actor, machine), data.dev, world)
            found = {
                "loss": sums["loss"] / make.an_epoch,
                "train_accuracy": sums["right"] / sums["pairs"], **dev,
            }  # fmt: skip
            return found, dev[SELECT_AT]

        losses = partial(self._losses, actor, run)
        by_epochs(run, machine, 4, make.an_epoch, make, losses, measure)
        self.actor, self.metrics = actor, run.metrics

    def _losses(self, actor: Actor, run: Run, step: PairStep) -> Iterator[Tensor]:
        machine = self.config.machine
        for batch, places, _ in step.parts:
            with autocast(machine):
                scores = actor(batch.to(machine.device))
            better, worse = scores[torch.from_numpy(places).to(machine.device)].unbind(1)
            run.add(right=(better > worse).sum().item(), pairs=len(places))
            yield pairwise_logistic(better, worse) * (len(places) / step.pairs)
