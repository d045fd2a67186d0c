"""The control of LR²PPO: stage 1, then a plain loss on the very pairs that stage 2 sees.

No reward model, no critic, no unlabelled pair. What both gain over stage 1 is what the annotated
pairs add; only what LR²PPO gains over this can be due to reinforcement learning.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from baselines import preference_losses
from baselines.data import Regime, TrainingData
from baselines.fine_tuning import FineTuned, copy_of, on, scores_of, tune
from baselines.learning.loop import Run
from baselines.learning.machine import Machine, Optimisation
from baselines.learning.parallel import World
from baselines.learning.running import autocast
from baselines.lr2ppo.losses import pairwise_logistic
from baselines.lr2ppo.model import Actor
from baselines.lr2ppo.pairs import PairStep, PairSteps
from baselines.lr2ppo.presets import PairData

Loss = Literal["ranknet", "dpo", "ipo", "hinge", "pl-dpo"]


@dataclass(frozen=True)
class PreferenceConfig:
    """Fine-tuning of stage 1 on pairs. All but the loss is as in stage 2 of `recommended`."""

    optimisation: Optimisation = field(default_factory=Optimisation)
    machine: Machine = field(default_factory=Machine)
    pairs: PairData = field(default_factory=PairData)
    loss: Loss = "ranknet"
    """RankNet on scores; or one of `preference_losses`, on what scores have moved from stage 1."""
    beta: float = 1.0
    """How much a move from stage 1 counts; not used by RankNet."""
    label_smoothing: float = 0.0
    """Of dpo alone: how often a pair is held to be wrong."""
    epochs: int = 4
    """Times through the pairs."""
    source_pairs: int = 20
    """Pairs of different grades drawn a source record and epoch."""


EVERY = 10**6
"""More pairs than a record has."""

RECOMMENDED = {
    "ranknet": PreferenceConfig(),
    "dpo": PreferenceConfig(loss="dpo"),
    "ipo": PreferenceConfig(loss="ipo", beta=0.5),
    "hinge": PreferenceConfig(loss="hinge"),
    "pl-dpo": PreferenceConfig(
        loss="pl-dpo", source_pairs=EVERY, pairs=PairData(pairs_a_step=480)
    ),
}  # fmt: skip
"""The usual options of each loss. PL-DPO takes the whole order that a source record's grades give,
in as many steps."""


class PreferenceRanker(FineTuned):
    """The actor of stage 1 after a loss on annotated pairs."""

    regimes: ClassVar[tuple[Regime, ...]] = ("R1",)
    config_class = PreferenceConfig
    config: PreferenceConfig

    def _fit(self, data: TrainingData, working: Path, world: World) -> None:
        config, machine = self.config, self.config.machine
        actor = copy_of(self.base, machine)
        make = PairSteps(data, config.pairs, config.source_pairs, True, machine, world)
        reference = None
        if config.loss != "ranknet":  # frozen, so once for all steps
            scores = np.concatenate(scores_of(actor, make.records, machine, world))
            reference = torch.from_numpy(scores).float().to(machine.device)
        tune(
            self, actor, data, working, world, stage=4, called="pairwise control",
            an_epoch=make.an_epoch, make=make, losses=partial(self._losses, actor, reference),
            means=lambda sums: {"train_accuracy": sums["right"] / sums["pairs"]},
        )  # fmt: skip

    def _losses(
        self, actor: Actor, reference: Tensor | None, run: Run, step: PairStep
    ) -> Iterator[Tensor]:
        machine = self.config.machine
        for (batch, places, _), labels in zip(step.parts, step.labels, strict=True):
            with autocast(machine):
                scores = actor(batch.to(machine.device))
            pairs = on(machine.device, places)
            better, worse = scores[pairs].unbind(1)
            run.add(right=(better > worse).sum().item(), pairs=len(places))
            if reference is None:
                loss = pairwise_logistic(better, worse)
            else:
                loss = self._residual(scores - reference[on(machine.device, labels)], pairs)
            yield loss * (len(places) / step.pairs)

    def _residual(self, residuals: Tensor, pairs: Tensor) -> Tensor:
        """The loss of some pairs, from what the scores of their labels have moved."""
        config = self.config
        better, worse = residuals[pairs].unbind(1)
        if config.loss == "dpo":
            return preference_losses.dpo(better - worse, config.beta, config.label_smoothing)
        if config.loss == "ipo":
            return preference_losses.ipo(better - worse, config.beta)
        if config.loss == "hinge":
            return preference_losses.hinge(better - worse, config.beta)
        return preference_losses.plackett_luce_dpo(residuals, pairs, config.beta)
