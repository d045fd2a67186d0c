"""GRPO on rankings as a control of LR²PPO: stage 1, then whole rankings are drawn and compared.

Group relative policy optimisation (Shao et al. 2024): of each clip the old actor draws a group of
rankings from Plackett–Luce; what one is better than the group is its advantage, so that neither
critic nor reward model is needed. The reward is that of `list_rewards`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from baselines.data import Regime, TrainingData
from baselines.fine_tuning import (
    ClipStep,
    ClipSteps,
    FineTuned,
    begin,
    copy_of,
    judge,
    of_clips,
    scores_of,
)
from baselines.learning.loop import Run
from baselines.learning.machine import Machine, Optimisation
from baselines.learning.parallel import World
from baselines.learning.running import SELECT_AT, autocast
from baselines.list_rewards import Rewarded, rewarded
from baselines.lr2ppo.losses import clipped_policy_loss
from baselines.lr2ppo.model import Actor
from baselines.plackett_luce import gumbel_rankings, place_log_probabilities
from baselines.ranker import Scores
from lrmovienet.progress import progress

STAGE = 7
TIE = 1e-6
"""A group whose rewards differ by less, as standard deviation, says nothing."""


@dataclass(frozen=True)
class GRPOConfig:
    """Fine-tuning of stage 1 by GRPO."""

    optimisation: Optimisation = field(default_factory=lambda: Optimisation(learning_rate=3e-4))
    machine: Machine = field(default_factory=Machine)
    epochs: int = 3
    """Times that rankings are drawn of each clip."""
    clips_a_step: int = 8
    """Clips a step, of the source and of the target."""
    steps_a_draw: int = 8
    """Steps whose clips' rankings are drawn at once, by the actor before the first of them."""
    passes: int = 1
    """Times through what was drawn."""
    samples: int = 16
    """G, rankings drawn of a clip."""
    temperature: float = 1.0
    """Scores are divided by it; the lower, the less the drawn rankings differ."""
    clip: float = 0.2
    """Epsilon of the clipped ratio."""
    kl_weight: float = 0.01
    """Of the divergence from stage 1."""


class Group(NamedTuple):
    """What the old actor drew of one clip."""

    rankings: Tensor
    """(G, n)"""
    old: Tensor
    """(G,) log probabilities of the rankings, as far as they matter."""
    reference: Tensor
    """(G, depth) log probabilities at each place by stage 1."""
    advantage: Tensor
    """(G,)"""
    reward: float
    """The mean."""


class GRPORanker(FineTuned):
    """The actor of stage 1 after GRPO."""

    regimes: ClassVar[tuple[Regime, ...]] = ("R0", "R1")
    config_class = GRPOConfig
    config: GRPOConfig

    def _fit(self, data: TrainingData, working: Path, world: World) -> None:
        config, machine = self.config, self.config.machine
        actor = copy_of(self.base, machine)
        clips = rewarded(data)
        records = [clip.record for clip in clips]
        reference = scores_of(actor, records, machine, world)
        make = ClipSteps(records, config.clips_a_step, STAGE, machine, world)
        an_epoch = make.an_epoch * config.passes
        run = begin(
            self, actor, data, working, world, stage=STAGE, called="GRPO",
            steps=config.epochs * an_epoch,
        )  # fmt: skip
        learner = run.learner
        with progress("GRPO", learner.steps - learner.step, "steps") as advance:
            for epoch in range(run.done, config.epochs):
                rate, rewards = learner.rate, 0.0
                for first in range(0, make.an_epoch, config.steps_a_draw):
                    steps = range(first, min(first + config.steps_a_draw, make.an_epoch))
                    numbers = [epoch * make.an_epoch + step for step in steps]
                    groups = self._drawn(actor, clips, reference, make, numbers, epoch, world)
                    rewards += sum(group.reward for group in groups.values())
                    # A ratio is of the policy that acts, and none of its values is dropped out.
                    actor.eval()
                    for number in numbers * config.passes:
                        losses = self._losses(actor, clips, groups, run, make(number))
                        run.add(loss=learner.update(losses))
                        advance(1)
                sums = world.sum_of(run.sums)
                seen = len(clips) * config.passes
                dev = judge(actor, machine, data, world)
                entry = {
                    "stage": STAGE, "step": learner.step, "epoch": epoch + 1,
                    "loss": sums["loss"] / an_epoch, "kl": sums["kl"] / seen,
                    "clipped": sums["clipped"] / seen, "learning_rate": rate,
                    "reward": rewards / len(clips), **dev,
                }  # fmt: skip
                run.measured(entry, dev[SELECT_AT])
                run.passed(now=True)
        run.finish()
        self.actor, self.metrics = actor, run.metrics

    def _drawn(
        self, actor: Actor, clips: Sequence[Rewarded], reference: Sequence[Scores],
        make: ClipSteps, steps: Sequence[int], epoch: int, world: World,
    ) -> dict[int, Group]:  # fmt: skip
        """By place, groups of the clips of some steps."""
        places = [place for step in steps for place in make.places(step)]
        records = [clips[place].record for place in places]
        old = scores_of(actor, records, self.config.machine, world)
        return {
            place: self._draw(clips[place], scores, reference[place], epoch, place)
            for place, scores in zip(places, old, strict=True)
        }

    def _draw(
        self, clip: Rewarded, old: Scores, reference: Scores, epoch: int, place: int
    ) -> Group:
        """A group of a clip's rankings, by the old actor; of seed, epoch and clip alone."""
        config = self.config
        draw = np.random.default_rng([config.machine.seed, STAGE, epoch, place, 1])
        noise = torch.from_numpy(draw.gumbel(size=(config.samples, len(old))))
        logits, first = (torch.from_numpy(x) / config.temperature for x in (old, reference))
        rankings = gumbel_rankings(logits, noise)
        rewards = clip.worth(rankings)
        before, start = (
            place_log_probabilities(scores, rankings)[:, : clip.depth] for scores in (logits, first)
        )
        return Group(
            rankings, before.sum(1), start, group_advantages(rewards), rewards.mean().item()
        )

    def _losses(
        self, actor: Actor, clips: Sequence[Rewarded], groups: Mapping[int, Group], run: Run,
        step: ClipStep,
    ) -> Iterator[Tensor]:  # fmt: skip
        machine = self.config.machine
        for batch, places in step.parts:
            with autocast(machine):
                flat = actor(batch.to(machine.device))
            scores = of_clips(flat, [clips[place].record for place in places])
            losses = [
                self._loss(of_clip, clips[place].depth, groups[place], run)
                for place, of_clip in zip(places, scores, strict=True)
            ]
            yield torch.stack(losses).sum() / step.clips

    def _loss(self, scores: Tensor, depth: int, group: Group, run: Run) -> Tensor:
        """Of one clip: the clipped surrogate, and the divergence from stage 1."""
        config = self.config
        logits = scores / config.temperature
        now = place_log_probabilities(logits, group.rankings)[:, :depth]
        ratio = (now.sum(1) - group.old).exp()
        kl = divergence(now, group.reference)
        clipped = ((ratio - 1).abs() > config.clip).double().mean()
        run.add(kl=kl.item(), clipped=clipped.item())
        return clipped_policy_loss(ratio, group.advantage, config.clip) + config.kl_weight * kl


def group_advantages(rewards: Tensor) -> Tensor:
    """Â = (r − mean) / std over the group, (G,) to (G,); 0 for all where they tie."""
    spread = rewards.std(correction=0)
    if spread < TIE:
        return torch.zeros_like(rewards)
    return (rewards - rewards.mean()) / spread


def divergence(now: Tensor, reference: Tensor) -> Tensor:
    """GRPO's estimate of KL(π, π_ref) (Shao et al. 2024, Eq. 4), summed over places: a scalar.

        e^d − d − 1,   d = log π_ref − log π of the label at a place, given those before it.

    The mean over rankings; unbiased where they are drawn from π, and never below 0.

    Args:
        now: (G, depth) log probabilities by the actor.
        reference: (G, depth) by stage 1.
    """
    d = reference - now
    return (d.exp() - d - 1).sum(1).mean()
