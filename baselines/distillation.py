"""Distillation of the reward model as a control of LR²PPO: what stage 3 learns, without a policy.

The teacher is stage 2's reward model, whose Borda scores say how far a label is preferred to the
others of its clip. The student learns them list by list, of source and target records, of which
neither grades nor pairs are asked. What LR²PPO gains over this is not in the reward model alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from baselines.data import Record, Regime, TrainingData
from baselines.fine_tuning import ClipStep, ClipSteps, FineTuned, of_clips, tune
from baselines.learning.files import weights_digest
from baselines.learning.loop import Run
from baselines.learning.machine import Machine, Optimisation
from baselines.learning.parallel import World
from baselines.learning.running import autocast
from baselines.lr2ppo.base import compile_trunk
from baselines.lr2ppo.model import Actor, PairModel
from baselines.lr2ppo.pairs import PairStep, PairSteps
from baselines.lr2ppo.ppo import annotated_losses, first_actor
from baselines.lr2ppo.presets import PairData
from baselines.lr2ppo.rewards import reward_scores
from lrmovienet.errors import UserError

STAGE = 5


@dataclass(frozen=True)
class DistillationConfig:
    """How an actor learns what the reward model prefers."""

    optimisation: Optimisation = field(default_factory=Optimisation)
    machine: Machine = field(default_factory=Machine)
    rewards: int = 1
    """Reward models whose mean is the teacher, of different seeds."""
    start: Literal["base", "reward"] = "reward"
    """The actor's first weights: stage 1's, or those with which the (first) reward model scores
    single labels."""
    epochs: int = 3
    """Times through the records."""
    clips_a_step: int = 8
    """Records a step, of the source and of the target."""
    temperature: float = 1.0
    """The teacher's scores are divided by it; the lower, the more its first label counts."""
    annotated_weight: float = 0.0
    """Weight of RankNet on stage 2's annotated pairs beside the teacher."""
    source_pairs: int = 20
    """Pairs of different grades drawn a source record for it."""
    annotated_a_step: int = 80
    """Annotated pairs a step, by whole clips."""


class Both(NamedTuple):
    """A step: whole clips for the teacher, and annotated pairs, if any are learned from."""

    clips: ClipStep
    annotated: PairStep | None


class DistillationRanker(FineTuned):
    """An actor that has learned the reward model's order of each clip's labels."""

    regimes: ClassVar[tuple[Regime, ...]] = ("R2",)
    config_class = DistillationConfig
    config: DistillationConfig

    def __init__(
        self,
        config: DistillationConfig | None = None,
        base: Actor | None = None,
        rewards: Sequence[PairModel] = (),
    ) -> None:
        """`base` and `rewards` come from stages 1 and 2, and are not changed."""
        super().__init__(config, base)
        self.rewards = rewards

    def _fit(self, data: TrainingData, working: Path, world: World) -> None:
        config, machine = self.config, self.config.machine
        if self.base is None or not self.rewards:
            raise ValueError("distillation starts from stages 1 and 2, which were not given")
        actor = first_actor(config.start, self.base, self.rewards).to(machine.device)
        compile_trunk(actor, machine)
        every = [*(item.record for item in data.graded), *data.unlabelled]
        records = [record for record in every if len(record.labels) > 1]
        if not records:
            raise UserError("records: none has two labels, so there is no order to be learned.")
        scores = reward_scores(self.rewards, records, machine, world)
        targets = [teacher(of_record, config.temperature) for of_record in scores]
        clips = ClipSteps(records, config.clips_a_step, STAGE, machine, world)
        annotated = None
        if config.annotated_weight:
            of_step = PairData(pairs_a_step=config.annotated_a_step)
            annotated = PairSteps(data, of_step, config.source_pairs, True, machine, world)
        tune(
            self, actor, data, working, world, stage=STAGE, called="distillation",
            an_epoch=clips.an_epoch, make=partial(_step, clips, annotated),
            losses=partial(self._losses, actor, records, targets),
            means=lambda sums: {"divergence": sums["divergence"] / len(records)},
            also=[weights_digest(reward) for reward in self.rewards],
        )  # fmt: skip

    def _losses(
        self, actor: Actor, records: Sequence[Record], targets: Sequence[Tensor], run: Run,
        step: Both,
    ) -> Iterator[Tensor]:  # fmt: skip
        config, machine = self.config, self.config.machine
        for batch, places in step.clips.parts:
            with autocast(machine):
                flat = actor(batch.to(machine.device))
            scores = of_clips(flat, [records[place] for place in places])
            losses = [
                divergence(targets[place], of_clip)
                for place, of_clip in zip(places, scores, strict=True)
            ]
            total = torch.stack(losses).sum()
            run.add(divergence=total.item())
            yield total / step.clips.clips
        if step.annotated is not None:
            yield from annotated_losses(actor, machine, step.annotated, config.annotated_weight)


def _step(clips: ClipSteps, annotated: PairSteps | None, step: int) -> Both:
    return Both(clips(step), None if annotated is None else annotated(step))


def teacher(scores: Tensor, temperature: float) -> Tensor:
    """(n,) the teacher's distribution over a clip's labels: softmax(scores / temperature)."""
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, not {temperature}")
    return (scores / temperature).softmax(0)


def divergence(target: Tensor, scores: Tensor) -> Tensor:
    """KL(target, softmax(scores)) = Σ_i t_i (log t_i − log softmax(scores)_i), a scalar.

    But for the teacher's entropy, which is a constant, it is ListNet's cross-entropy (Cao et al.
    2007) with the teacher in the place of grades: 0 where scores are the teacher's logits, up to a
    constant. Both are (n,).
    """
    return functional.kl_div(scores.log_softmax(0), target, reduction="sum")
