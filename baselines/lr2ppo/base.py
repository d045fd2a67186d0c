"""Stage 1 of LR²PPO: the actor learns the source's grades (paper, section 3.2, Eq. 3).

Which epoch's weights are kept is chosen by NDCG@20 on target_dev. The released code chose, and
reported, on one and the same set.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from baselines.data import Graded, Record, Regime, TrainingData
from baselines.learning.files import fingerprint
from baselines.learning.learner import Learner
from baselines.learning.loop import Run, by_epochs
from baselines.learning.machine import Machine, options_of
from baselines.learning.parallel import World, join
from baselines.learning.running import (
    SELECT_AT,
    autocast,
    dev_ndcg,
    parts,
    reproducible,
    seed_of,
)
from baselines.lr2ppo.actor_ranker import ActorRanker, predict
from baselines.lr2ppo.batch import Batch, collate
from baselines.lr2ppo.losses import grade_cross_entropy, smooth_l1
from baselines.lr2ppo.model import Actor, NetworkConfig
from baselines.lr2ppo.presets import RECOMMENDED, BaseConfig
from lrmovienet.errors import UserError
from lrmovienet.files import sha256_of


class GradedStep(NamedTuple):
    """This process's part of a step: batches, their grades, and how many labels the step has."""

    batches: list[tuple[Batch, Tensor]]
    labels: int


class BaseRanker(ActorRanker):
    """The base model, ``LR²PPO (S1)`` in the paper's tables."""

    regimes: ClassVar[tuple[Regime, ...]] = ("R0",)
    config_class = BaseConfig
    config: BaseConfig

    def __init__(self, config: BaseConfig = RECOMMENDED.base) -> None:
        super().__init__(config)

    def fit(self, data: TrainingData, working: Path) -> None:
        """Train, and keep the weights of the best epoch on `data.dev`.

        The state goes to ``working/trainer_state.pt`` after each epoch and now and then between; a
        run that finds it goes on from there and ends with the same bytes.

        Raises:
            UserError: training diverges, or no dev record has a relevant label.
        """
        with reproducible(self.config.machine):
            self._fit(data, working, join(self.config.machine.device))

    def _fit(self, data: TrainingData, working: Path, world: World) -> None:
        config, machine = self.config, self.config.machine
        graded = data.graded
        torch.manual_seed(seed_of(machine.seed, 1))
        network = fitted(config.network, graded[0].record)
        grades = max(2, *(int(item.grades.max()) for item in graded)) + 1
        outputs = grades if config.loss == "classification" else 1
        actor = Actor(replace(network, outputs=outputs)).to(machine.device)
        compile_trunk(actor, machine)
        an_epoch = math.ceil(len(graded) / config.records_a_step)
        steps = config.epochs * an_epoch
        learner = Learner(actor, config.optimisation, steps, world, "stage 1")
        made_from = sha256_of(
            [options_of(config), asdict(actor.config), fingerprint(data), world.size]
        )
        run = Run(working, made_from, learner, actor, self.watch)

        @lru_cache(maxsize=1)
        def order(epoch: int) -> list[int]:
            draw = np.random.default_rng([machine.seed, 1, epoch])
            return [int(i) for i in draw.permutation(len(graded))]

        def make(step: int) -> GradedStep:
            epoch, index = divmod(step, an_epoch)
            start = index * config.records_a_step
            chosen = [graded[i] for i in order(epoch)[start : start + config.records_a_step]]
            return GradedStep(
                [_batch(items) for items in parts(world.share(chosen), machine.records_at_once)],
                sum(len(item.grades) for item in chosen),
            )

        def measure(sums: dict[str, float]) -> tuple[dict[str, float], float]:
            dev = dev_ndcg(partial(predict, actor, machine), data.dev, world)
            return {"loss": sums["loss"] / an_epoch, **dev}, dev[SELECT_AT]

        by_epochs(run, machine, 1, an_epoch, make, partial(self._losses, actor), measure)
        self.actor, self.metrics = actor, run.metrics

    def _losses(self, actor: Actor, step: GradedStep) -> Iterator[Tensor]:
        config, machine = self.config, self.config.machine
        for batch, grades in step.batches:
            y = grades.to(machine.device)
            with autocast(machine):
                raw = actor.raw(batch.to(machine.device))
            if config.loss == "classification":
                loss = grade_cross_entropy(raw, y)
            else:
                loss = smooth_l1(raw.squeeze(1), y.float(), config.beta)
            yield loss * (len(y) / step.labels)


def fitted(network: NetworkConfig, record: Record) -> NetworkConfig:
    """The network for features such as a record's.

    Raises:
        UserError: its head cannot read them.
    """
    if (network.head == "token") != (record.vectors is not None):
        has, other = "texts and frames", "pooled"
        if record.vectors is not None:
            has, other = "one vector a label", "token"
        raise UserError(
            f"record {record.clip_id}: has {has}, which a network with the head {network.head!r} "
            f"cannot read. Give it the head {other!r}."
        )
    if record.vectors is not None:
        return replace(network, text_dim=record.vectors.shape[1])
    return replace(
        network, text_dim=record.text(0).tokens.shape[1], frame_dim=record.frames.shape[1]
    )


def compile_trunk(model: Any, machine: Machine) -> None:
    """Compile a model's trunk in place, if asked for. Its weights keep their names."""
    if machine.compile:
        model.trunk.compile(dynamic=True)


def _batch(items: Sequence[Graded]) -> tuple[Batch, Tensor]:
    grades = torch.from_numpy(np.concatenate([item.grades for item in items]))
    return collate([item.record for item in items]), grades
