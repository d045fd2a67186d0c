"""What the controls of LR²PPO share: an actor that goes on from stage 1, judged after each epoch.

The first judgement is of the weights as they came: stage 1's, or where distillation begins with the
reward model, its own. So on target_dev a control never ends below what it starts from.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from baselines.data import Ints, Record, TrainingData
from baselines.learning.files import fingerprint, weights_digest
from baselines.learning.learner import Learner
from baselines.learning.loop import Run, by_epochs
from baselines.learning.machine import Machine, options_of
from baselines.learning.parallel import World, join
from baselines.learning.running import SELECT_AT, dev_ndcg, parts, reproducible, scored
from baselines.lr2ppo.actor_ranker import ActorRanker, predict
from baselines.lr2ppo.base import compile_trunk
from baselines.lr2ppo.batch import Batch, collate
from baselines.lr2ppo.model import Actor
from baselines.ranker import Scores
from lrmovienet.files import sha256_of

T = TypeVar("T")


class FineTuned(ActorRanker, ABC):
    """A ranker whose actor goes on from stage 1."""

    def __init__(self, config: Any = None, base: Actor | None = None) -> None:
        """`base` is the actor of stage 1; it is not changed."""
        super().__init__(config or self.config_class())
        self.base = base

    def fit(self, data: TrainingData, working: Path) -> None:
        """Train, and keep the weights of the best epoch on `data.dev`; the first may be stage 1's.

        Raises:
            UserError: training diverges, there is nothing to learn from, or no dev record has a
                relevant label.
        """
        with reproducible(self.config.machine):
            self._fit(data, working, join(self.config.machine.device))

    @abstractmethod
    def _fit(self, data: TrainingData, working: Path, world: World) -> None:
        """What `fit` does in one of the processes."""


class ClipStep(NamedTuple):
    """This process's part of a step over whole clips."""

    parts: list[tuple[Batch, list[int]]]
    """Batches, and the places of their clips in the list of all, in the order of the batch."""
    clips: int
    """Clips of the step in all processes."""


class ClipSteps:
    """The steps of all epochs over whole clips, each made from its number alone."""

    def __init__(
        self, records: Sequence[Record], clips_a_step: int, stage: int, machine: Machine,
        world: World,
    ) -> None:  # fmt: skip
        """`stage` is a part of the seed of an epoch's order."""
        self.records, self.stage, self.machine, self.world = records, stage, machine, world
        self.an_epoch = math.ceil(len(records) / clips_a_step)
        self._order: Callable[[int], list[list[int]]] = lru_cache(maxsize=1)(self._dealt)

    def __call__(self, step: int) -> ClipStep:
        """The part of this process."""
        chosen = self.places(step)
        runs = parts(self.world.share(chosen), self.machine.records_at_once)
        found = [
            (collate([self.records[i] for i in places]), list(places)) for places in runs if places
        ]
        return ClipStep(found, len(chosen))

    def places(self, step: int) -> list[int]:
        """Which clips a step has in all processes."""
        epoch, index = divmod(step, self.an_epoch)
        return self._order(epoch)[index]

    def _dealt(self, epoch: int) -> list[list[int]]:
        draw = np.random.default_rng([self.machine.seed, self.stage, epoch])
        dealt = np.array_split(draw.permutation(len(self.records)), self.an_epoch)
        return [[int(i) for i in step] for step in dealt]


def copy_of(base: Actor | None, machine: Machine) -> Actor:
    """An actor of its own with the weights of stage 1, on the machine's device."""
    if base is None:
        raise ValueError("the control starts from stage 1, which was not given")
    actor = Actor(base.config)
    actor.load_state_dict(base.state_dict())
    actor.to(machine.device)
    compile_trunk(actor, machine)
    return actor


def of_clips(scores: Tensor, records: Sequence[Record]) -> list[Tensor]:
    """Scores of a batch's labels, (n_labels,) of each of its clips, in double precision.

    On the CPU: sums along a list are not reproducible elsewhere, and lists are short.
    """
    lengths = [len(record.labels) for record in records]
    return list(torch.split(scores.double().cpu(), lengths))


def scores_of(
    actor: Actor, records: Sequence[Record], machine: Machine, world: World
) -> list[Scores]:
    """(n_labels,) scores of each record by the actor as it is, nothing dropped out."""
    return scored(partial(predict, actor, machine), records, world)


def begin(
    ranker: ActorRanker, actor: Actor, data: TrainingData, working: Path, world: World, *,
    stage: int, called: str, steps: int, also: Sequence[str] = (),
) -> Run:  # fmt: skip
    """A run where it goes on, the actor judged as it came if it is new.

    Args:
        ranker: whose options and watch it is.
        actor: what is trained, with its first weights.
        data: for its fingerprint, and for dev.
        working: where state is kept.
        world: the processes.
        stage: its number, a part of its seeds and of its metrics.
        called: its name, in messages.
        steps: of the whole training.
        also: hashes of what else decides the training.
    """
    config = ranker.config
    made_from = sha256_of(
        [options_of(config), fingerprint(data), weights_digest(actor), *also, world.size]
    )
    learner = Learner(actor, config.optimisation, steps, world, called)
    run = Run(working, made_from, learner, actor, ranker.watch)
    if not run.metrics:
        dev = judge(actor, config.machine, data, world)
        run.measured({"stage": stage, "step": 0, "epoch": 0, **dev}, dev[SELECT_AT])
    return run


def judge(actor: Actor, machine: Machine, data: TrainingData, world: World) -> dict[str, float]:
    """``dev_ndcg@k`` of the actor as it is."""
    return dev_ndcg(partial(predict, actor, machine), data.dev, world)


def tune(
    ranker: ActorRanker, actor: Actor, data: TrainingData, working: Path, world: World, *,
    stage: int, called: str, an_epoch: int, make: Callable[[int], T],
    losses: Callable[[Run, T], Iterator[Tensor]],
    means: Callable[[dict[str, float]], dict[str, float]], also: Sequence[str] = (),
) -> None:  # fmt: skip
    """Train the actor epoch by epoch, and give it to the ranker with its best weights.

    Args:
        ranker: its config has `epochs`, `optimisation` and `machine`.
        actor: what is trained, with its first weights.
        data: as in `begin`.
        working: as in `begin`.
        world: the processes.
        stage: its number, as in `begin`.
        called: its name, in messages.
        an_epoch: steps of an epoch.
        make: this process's part of a step, from its number alone.
        losses: of a step, each divided by what the step has of all processes.
        means: from the sums of an epoch, what its metrics say beside the loss and dev.
        also: hashes of what else decides the training.
    """
    config, machine = ranker.config, ranker.config.machine
    run = begin(
        ranker, actor, data, working, world, stage=stage, called=called,
        steps=config.epochs * an_epoch, also=also,
    )  # fmt: skip

    def measure(sums: dict[str, float]) -> tuple[dict[str, float], float]:
        dev = judge(actor, machine, data, world)
        return {"loss": sums["loss"] / an_epoch, **means(sums), **dev}, dev[SELECT_AT]

    by_epochs(run, machine, stage, an_epoch, make, partial(losses, run), measure)
    ranker.actor, ranker.metrics = actor, run.metrics


def on(device: str, places: Ints) -> Tensor:
    """Places as an index on a device."""
    return torch.from_numpy(places).to(device)
