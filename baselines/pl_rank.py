"""PL-Rank as a control of LR²PPO: stage 1, then the exact reward of rankings, by its gradient.

The policy is Plackett–Luce over the rankings of a clip. Its expected NDCG@10 on source records has
a gradient that is estimated without bias by PL-Rank-3 (Oosterhuis 2022); the expected agreement
with annotated pairs of the target has one in closed form. Neither reward model nor critic.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from baselines.data import Regime, TrainingData
from baselines.fine_tuning import ClipStep, ClipSteps, FineTuned, copy_of, of_clips, tune
from baselines.learning.loop import Run
from baselines.learning.machine import Machine, Optimisation
from baselines.learning.parallel import World
from baselines.learning.running import autocast
from baselines.list_rewards import Rewarded, rewarded
from baselines.lr2ppo.model import Actor
from baselines.plackett_luce import expected_agreement, gumbel_rankings, ndcg_of, pl_rank

STAGE = 6


@dataclass(frozen=True)
class PLRankConfig:
    """Fine-tuning of stage 1 by PL-Rank."""

    optimisation: Optimisation = field(default_factory=Optimisation)
    machine: Machine = field(default_factory=Machine)
    epochs: int = 4
    """Times through the clips."""
    clips_a_step: int = 8
    """Clips a step, of the source and of the target."""
    samples: int = 64
    """Rankings drawn of a source record and step."""
    temperature: float = 1.0
    """Scores are divided by it; the lower, the less the drawn rankings differ."""


class PLRankRanker(FineTuned):
    """The actor of stage 1 after PL-Rank."""

    regimes: ClassVar[tuple[Regime, ...]] = ("R0", "R1")
    config_class = PLRankConfig
    config: PLRankConfig

    def _fit(self, data: TrainingData, working: Path, world: World) -> None:
        config, machine = self.config, self.config.machine
        actor = copy_of(self.base, machine)
        clips = rewarded(data)
        records = [clip.record for clip in clips]
        make = ClipSteps(records, config.clips_a_step, STAGE, machine, world)
        tune(
            self, actor, data, working, world, stage=STAGE, called="PL-Rank",
            an_epoch=make.an_epoch, make=make, losses=partial(self._losses, actor, clips),
            means=lambda sums: {"reward": sums["reward"] / len(clips)},
        )  # fmt: skip

    def _losses(
        self, actor: Actor, clips: list[Rewarded], run: Run, step: ClipStep
    ) -> Iterator[Tensor]:
        machine = self.config.machine
        for batch, places in step.parts:
            with autocast(machine):
                flat = actor(batch.to(machine.device))
            scores = of_clips(flat, [clips[place].record for place in places])
            worth = torch.stack(
                [
                    self._worth(clips[place], of_clip, place, run.learner.step)
                    for place, of_clip in zip(places, scores, strict=True)
                ]
            )
            run.add(reward=worth.sum().item())
            yield -worth.sum() / step.clips

    def _worth(self, clip: Rewarded, scores: Tensor, place: int, step: int) -> Tensor:
        """The expected reward of a clip's rankings, with (an estimate of) its gradient."""
        logits = scores / self.config.temperature
        if clip.rho is None:
            assert clip.pairs is not None
            return expected_agreement(logits, clip.pairs)
        # Of the clip and the step alone, whichever process has it and whatever is beside it.
        draw = np.random.default_rng([self.config.machine.seed, STAGE, step, place])
        noise = torch.from_numpy(draw.gumbel(size=(self.config.samples, len(logits))))
        rankings = gumbel_rankings(logits, noise)
        gradient = pl_rank(logits, rankings, clip.rho, clip.theta)
        # The mean reward as value; as gradient the estimate, times that of the logits.
        value = ndcg_of(rankings, clip.rho, clip.theta).mean()
        return value + (gradient * (logits - logits.detach())).sum()
