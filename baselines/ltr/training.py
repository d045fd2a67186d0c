"""Training of any network of learning to rank, from vectors of items: clips' labels or documents.

The source's lists teach by the method's own loss. In R1 the target's annotated pairs teach too, by
the logistic loss of the difference of their scores (RankNet), in the same steps: a whole list is
scored, whatever few of its pairs are known.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from baselines.data import Ints
from baselines.learning.learner import Learner
from baselines.learning.loop import Run, by_epochs
from baselines.learning.machine import Machine, Optimisation
from baselines.learning.parallel import World
from baselines.learning.running import (
    SELECT_AT,
    autocast,
    ndcg_of,
    require_relevant,
)
from baselines.lr2ppo.losses import pairwise_logistic
from baselines.ltr.lists import Lists
from baselines.ltr.vectors import Vectors
from baselines.ranker import Scores

CELLS = 2_000_000
"""Pairs of places, padding included, that a pass may score where nothing is learned."""
LEARNED_CELLS = 500_000
"""… and where something is, which holds every layer for its gradient. A longer list stands alone;
lists of clips come nowhere near."""


@dataclass(frozen=True)
class ListTraining:
    """How a network is trained; the same for all methods."""

    optimisation: Optimisation = field(default_factory=Optimisation)
    machine: Machine = field(default_factory=Machine)
    epochs: int = 20
    """Times through the source's lists."""
    lists_a_step: int = 16
    """Lists a step."""
    pair_weight: float = 1.0
    """Weight of the target pairs' loss beside the method's own (R1)."""


class ListNetwork(Protocol):
    """What the networks of this room keep."""

    def __call__(self, lists: Lists) -> Tensor:
        """(b, n) scores, 0 at padding."""
        ...

    def loss(self, lists: Lists, grades: Tensor) -> Tensor:
        """The method's own loss: a scalar, the mean over the lists with something relevant."""
        ...


@dataclass(frozen=True)
class Items:
    """The items of some lists, one list after the other."""

    offsets: Ints
    """(lists + 1,) list i owns the items offsets[i]:offsets[i + 1]."""
    read: Callable[[Ints], tuple[Tensor, Tensor]]
    """Numbers of lists -> (items, d) vectors and (items,) initial scores, one list after the other.
    """

    def __len__(self) -> int:
        """How many lists."""
        return len(self.offsets) - 1

    @classmethod
    def of(cls, x: Vectors, initial: Vectors, offsets: Ints, device: str = "cpu") -> "Items":
        """From arrays: (items, d) vectors, (items,) initial scores, and offsets."""

        def read(chosen: Ints) -> tuple[Tensor, Tensor]:
            rows = np.concatenate([np.arange(offsets[i], offsets[i + 1]) for i in chosen])
            vectors = torch.from_numpy(np.asarray(x[rows])).to(device)
            return vectors, torch.from_numpy(initial[rows]).to(device)

        return cls(offsets, read)

    def lists(self, chosen: Ints) -> Lists:
        """Some of the lists, padded to the longest of them."""
        x, initial = self.read(chosen)
        lengths = torch.from_numpy(np.diff(self.offsets)[chosen])
        return padded(x, initial, lengths)


def padded(x: Tensor, initial: Tensor, lengths: Tensor) -> Lists:
    """(items, d), (items,), (b,) -> lists padded to the longest."""
    mask = (torch.arange(int(lengths.max()))[None, :] < lengths[:, None]).to(x.device)
    full = x.new_zeros(*mask.shape, x.shape[1]).masked_scatter(mask[:, :, None], x)
    return Lists(full, mask, initial.new_zeros(mask.shape).masked_scatter(mask, initial))


class Task(NamedTuple):
    """What a network learns, and by what its weights are chosen."""

    graded: Items
    grades: Ints
    """(items,) of `graded`, one list after the other."""
    dev: Items
    dev_grades: Ints
    paired: Items | None = None
    pairs: Sequence[Ints] = ()
    """Of each list of `paired`: (m, 2) places of better and worse items in it."""


class ListStep(NamedTuple):
    """This process's part of a step."""

    graded: Ints
    paired: Ints
    relevant: int
    """Lists of the step, of all processes, with something relevant."""
    pairs: int
    """Pairs of the step, of all processes."""


def learn(
    network: Any,
    model: nn.Module,
    task: Task,
    config: ListTraining,
    world: World,
    run_of: Callable[[Learner], Run],
    name: str,
) -> Run:
    """Train a network, and give `model` the weights of the epoch that is best on dev.

    Args:
        network: a `ListNetwork`, a part of `model`.
        model: all that is trained.
        task: the data.
        config: the training's options.
        world: the processes that train together.
        run_of: from the learner, the run (which may go on from a saved state).
        name: of the method, for messages.

    Raises:
        UserError: training diverges, or no dev list has something relevant.
    """
    require_relevant(task.dev_grades)
    has_relevant = np.maximum.reduceat(task.grades, task.graded.offsets[:-1]) > 0
    an_epoch = math.ceil(len(task.graded) / config.lists_a_step)
    machine = config.machine
    learner = Learner(model, config.optimisation, config.epochs * an_epoch, world, name)
    run = run_of(learner)

    @lru_cache(maxsize=1)
    def plan(epoch: int) -> tuple[list[Ints], list[Ints]]:
        draw = np.random.default_rng([machine.seed, 5, epoch])
        graded = draw.permutation(len(task.graded))
        cuts = range(config.lists_a_step, len(graded), config.lists_a_step)
        paired = draw.permutation(len(task.paired) if task.paired else 0)
        return np.split(graded, cuts), np.array_split(paired, an_epoch)

    def make(step: int) -> ListStep:
        epoch, index = divmod(step, an_epoch)
        graded, paired = (part[index] for part in plan(epoch))
        share = slice(world.rank, None, world.size)
        return ListStep(
            graded[share], paired[share], int(has_relevant[graded].sum()),
            sum(len(task.pairs[i]) for i in paired),
        )  # fmt: skip

    def losses(step: ListStep) -> Iterator[Tensor]:
        relevant = step.graded[has_relevant[step.graded]]
        for graded in _parts(task.graded, relevant, machine.records_at_once):
            lists = task.graded.lists(graded)
            with autocast(machine):
                own = network.loss(lists, _padded_grades(task, graded, lists.mask))
            yield own * (len(graded) / step.relevant)
        if task.paired is None or not config.pair_weight:
            return
        for paired in _parts(task.paired, step.paired, machine.records_at_once):
            with autocast(machine):
                scores = network(task.paired.lists(paired))
            rows = np.repeat(np.arange(len(paired)), [len(task.pairs[i]) for i in paired])
            places = np.concatenate([task.pairs[i] for i in paired])
            better, worse = scores[rows[:, None], places].float().unbind(1)
            run.add(right=(better > worse).sum().item(), pairs=len(places))
            share = len(places) / step.pairs
            yield config.pair_weight * pairwise_logistic(better, worse) * share

    def measure(sums: dict[str, float]) -> tuple[dict[str, float], float]:
        dev = ndcg_of(
            scores_of(network, model, task.dev, machine), task.dev_grades, task.dev.offsets
        )
        found = {"loss": sums["loss"] / an_epoch, **dev}
        if sums.get("pairs"):
            found["train_accuracy"] = sums["right"] / sums["pairs"]
        return found, dev[SELECT_AT]

    by_epochs(run, machine, 5, an_epoch, make, losses, measure)
    return run


def scores_of(
    network: Any, model: nn.Module, items: Items, machine: Machine, at_once: int = 64
) -> Scores:
    """(items,) scores of all lists, one after the other, at most `at_once` lists a pass."""
    model.eval()
    found = []
    with torch.inference_mode(), autocast(machine):
        for chosen in _passes(np.diff(items.offsets), at_once, CELLS):
            lists = items.lists(chosen)
            found.append(network(lists)[lists.mask].double().cpu().numpy())
    return np.concatenate(found)


def _parts(items: Items, chosen: Ints, at_once: int) -> Iterator[Ints]:
    """Some lists, in runs of which each goes through the network at once; 0: as many as fit."""
    lengths = np.diff(items.offsets)[chosen]
    for places in _passes(lengths, at_once or max(len(chosen), 1), LEARNED_CELLS):
        yield chosen[places]


def _passes(lengths: Ints, at_once: int, most: int) -> Iterator[Ints]:
    """The numbers of the lists of each pass: a run of them, at least one.

    Networks hold something of every two places of a list, of which `most` are taken at once.
    """
    start = 0
    while start < len(lengths):
        longest = np.maximum.accumulate(lengths[start : start + at_once])
        cells = longest**2 * np.arange(1, len(longest) + 1)
        end = start + max(1, np.count_nonzero(cells <= most))
        yield np.arange(start, end)
        start = end


def _padded_grades(task: Task, chosen: Ints, mask: Tensor) -> Tensor:
    offsets = task.graded.offsets
    rows = np.concatenate([task.grades[offsets[i] : offsets[i + 1]] for i in chosen])
    grades = torch.zeros(mask.shape, dtype=torch.int64, device=mask.device)
    return grades.masked_scatter(mask, torch.from_numpy(rows).to(mask.device))
