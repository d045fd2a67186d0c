"""Label pairs of many clips, put into steps so that no label is encoded more often than needed."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from baselines.data import Ints, Record, TrainingData, subset
from baselines.learning.machine import Machine
from baselines.learning.parallel import World
from baselines.lr2ppo.batch import Batch, collate
from baselines.lr2ppo.presets import PairData
from lrmovienet.errors import UserError


class Pairs(NamedTuple):
    """Some pairs: of which record, and which two of its labels, in an order that means something.

    In stage 2 `first` is the better label; in stage 3 the two stand in their initial order.
    """

    record: Ints
    """(n,) place of the record in a list."""
    first: Ints
    """(n,) position of a label in its record."""
    second: Ints
    """(n,) position of the other."""

    @classmethod
    def join(cls, parts: Sequence[tuple[int, npt.NDArray[np.int64]]]) -> Self:
        """From (record, (m, 2) positions) one after the other."""
        owner = np.repeat([record for record, _ in parts], [len(pairs) for _, pairs in parts])
        both = np.concatenate([pairs.reshape(-1, 2) for _, pairs in parts])
        return cls(owner.astype(np.int64), both[:, 0], both[:, 1])

    def take(self, rows: npt.NDArray[np.int64]) -> "Pairs":
        """The pairs at some places."""
        return Pairs(self.record[rows], self.first[rows], self.second[rows])


def into_steps(
    pairs: Pairs, options: PairData, draw: np.random.Generator
) -> list[npt.NDArray[np.int64]]:
    """Rows of `pairs` for each step, in a random order that takes every pair once.

    Grouped, the clips are dealt out evenly, so that a step has about `pairs_a_step` pairs and the
    number of steps does not depend on the draw; otherwise pairs are shuffled and cut into runs.
    """
    count = len(pairs.record)
    if not options.grouped:
        rows = draw.permutation(count)
        return np.split(rows, range(options.pairs_a_step, count, options.pairs_a_step))
    by_record = np.argsort(pairs.record, kind="stable")
    groups = np.split(by_record, np.flatnonzero(np.diff(pairs.record[by_record])) + 1)
    steps = min(len(groups), -(-count // options.pairs_a_step))
    dealt = np.array_split(draw.permutation(len(groups)), steps)
    return [np.concatenate([groups[i] for i in step]) for step in dealt]


def shares(
    pairs: Pairs, rows: npt.NDArray[np.int64], rank: int, size: int, at_once: int
) -> Iterator[npt.NDArray[np.int64]]:
    """One process's rows of a step, in runs of at most `at_once` clips (0: all in one).

    Whole clips go to one process, every `size`-th of those in the step.
    """
    clips = np.unique(pairs.record[rows])[rank::size]
    run = at_once or max(len(clips), 1)
    for start in range(0, len(clips), run):
        yield rows[np.isin(pairs.record[rows], clips[start : start + run])]


def needed(records: Sequence[Record], pairs: Pairs) -> tuple[list[Record], Ints]:
    """The labels that some pairs need, each once, and where the pairs' labels stand among them.

    Returns:
        Records with only those labels, in their order, and (n, 2) positions of each pair's two
        labels among all labels of these records.
    """
    found, places = [], np.zeros((len(pairs.record), 2), np.int64)
    before = 0
    for i in np.unique(pairs.record):
        rows = np.flatnonzero(pairs.record == i)
        both = np.stack([pairs.first[rows], pairs.second[rows]], 1)
        labels, where = np.unique(both, return_inverse=True)
        places[rows] = before + where.reshape(both.shape)
        found.append(subset(records[i], labels))
        before += len(labels)
    return found, places


def all_pairs(labels: int) -> Ints:
    """(labels (labels − 1), 2) every pair of different positions, in both orders."""
    return np.argwhere(~np.eye(labels, dtype=bool)).astype(np.int64)


def graded_pairs(grades: Ints) -> Ints:
    """(n, 2) every pair of positions of which the first has the higher grade."""
    return np.argwhere(grades[:, None] > grades[None, :]).astype(np.int64)


def training_pairs(data: TrainingData, source_pairs: int, draw: np.random.Generator) -> Pairs:
    """An epoch's pairs, better label first: some of each source record's, and all of the target's.

    `record` counts in the source records and then in those with target pairs.

    Raises:
        UserError: there are none.
    """
    parts = []
    for i, item in enumerate(data.graded):
        every = graded_pairs(item.grades)
        chosen = draw.permutation(len(every))[:source_pairs]
        parts.append((i, every[np.sort(chosen)]))
    for i, paired in enumerate(data.pairs, start=len(data.graded)):
        parts.append((i, paired.pairs))
    if not sum(len(pairs) for _, pairs in parts):
        raise UserError(
            "there are no pairs to learn from: no source record has labels of two grades (or "
            "--source_pairs is 0), and the target has no pairs at this --percent."
        )
    return Pairs.join(parts)


Plan = tuple[Pairs, list[Ints], npt.NDArray[np.bool_]]
"""An epoch's pairs, the rows of each of its steps, and a coin a pair."""


class PairStep(NamedTuple):
    """This process's part of a step that learns from annotated pairs."""

    parts: list[tuple[Batch, Ints, npt.NDArray[np.bool_]]]
    """Batches; (n, 2) places of better and worse labels; (n,) true where the initial order, drawn
    with a coin, is the right one."""
    pairs: int
    """Pairs of the step in all processes."""
    labels: list[Ints]
    """Of each batch, which labels it has, in its order: numbers among all labels of the records
    that `PairSteps` counts."""


class PairSteps:
    """The steps of all epochs over annotated pairs, each made from its number alone."""

    def __init__(
        self,
        data: TrainingData,
        options: PairData,
        source_pairs: int,
        redrawn: bool,
        machine: Machine,
        world: World,
    ) -> None:
        self.data, self.options, self.source_pairs = data, options, source_pairs
        self.redrawn, self.machine, self.world = redrawn, machine, world
        self.records = [item.record for item in data.graded]
        self.records += [item.record for item in data.pairs]
        self._before = np.cumsum([0, *(len(record.labels) for record in self.records)])
        self._epoch: Callable[[int], Plan] = lru_cache(maxsize=1)(self._plan)
        self.an_epoch = len(self._plan(0)[1])

    def __call__(self, step: int) -> PairStep:
        """The part of this process."""
        epoch, index = divmod(step, self.an_epoch)
        pairs, rows, coins = self._epoch(epoch)
        world, at_once = self.world, self.machine.records_at_once
        parts, labels = [], []
        for mine in shares(pairs, rows[index], world.rank, world.size, at_once):
            chosen = pairs.take(mine)
            subsets, places = needed(self.records, chosen)
            parts.append((collate(subsets), places, coins[mine]))
            before = self._before[chosen.record]
            labels.append(np.union1d(before + chosen.first, before + chosen.second))
        return PairStep(parts, len(rows[index]), labels)

    def _plan(self, epoch: int) -> Plan:
        seed = self.machine.seed
        draw = np.random.default_rng([seed, 2, epoch if self.redrawn else 0])
        pairs = training_pairs(self.data, self.source_pairs, draw)
        coins = draw.integers(0, 2, len(pairs.record)).astype(bool)
        order = np.random.default_rng([seed, 2, epoch, 1])
        return pairs, into_steps(pairs, self.options, order), coins
