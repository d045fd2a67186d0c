"""How networks are run: precision, seeds, shares of work, scores on dev."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch

from baselines.data import Graded, Ints, Record
from baselines.learning.machine import Machine
from baselines.learning.parallel import World
from baselines.ranker import Scores
from eval.ndcg import ndcg
from lrmovienet.errors import Diverged, UserError

T = TypeVar("T")
KS = (1, 3, 5, 10, 20)
SELECT_AT = "dev_ndcg@20"
"""What chooses an actor's weights; the paper's lists have 20 labels."""
DIVERGED = 1e4
"""Scores beyond this mean that training has diverged; grades are 0 to 2."""


def autocast(machine: Machine) -> torch.autocast:
    """bf16 where the machine's options say so."""
    return torch.autocast(machine.device, torch.bfloat16, enabled=machine.precision == "bf16")


@contextlib.contextmanager
def reproducible(machine: Machine) -> Iterator[None]:
    """Torch made deterministic; its settings and generator are given back as they were."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else CUDA refuses
    before, cores = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(machine.threads)
    devices = range(torch.cuda.device_count()) if machine.device != "cpu" else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warns)
        torch.set_num_threads(cores)


def seed_of(*parts: int) -> int:
    """One seed of several numbers: the run's, then what it is for."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def parts(items: Sequence[T], at_once: int) -> Iterator[Sequence[T]]:
    """`items` in runs of `at_once`; 0: all in one."""
    size = at_once or max(len(items), 1)
    for start in range(0, len(items), size):
        yield items[start : start + size]


def scored(
    score: Callable[[Sequence[Record]], Scores],
    records: Sequence[Record],
    world: World,
    at_once: int = 8,
) -> list[Scores]:
    """(n_labels,) scores of each record, in their order, in every process.

    Args:
        score: records -> scores of all their labels, one record after the other.
        records: shared out among the processes.
        world: the processes.
        at_once: records that are scored together.
    """
    found: list[tuple[int, Scores]] = []
    for run in parts(world.share(list(enumerate(records))), at_once):
        scores = score([record for _, record in run])
        ends = np.cumsum([len(record.labels) for _, record in run])[:-1]
        found += zip([i for i, _ in run], np.split(scores, ends), strict=True)
    of_record = dict(pair for share in world.gather(found) for pair in share)
    return [of_record[i] for i in range(len(records))]


def dev_ndcg(
    score: Callable[[Sequence[Record]], Scores],
    dev: Sequence[Graded],
    world: World,
    at_once: int = 8,
) -> dict[str, float]:
    """``dev_ndcg@k``: mean NDCG@k over the records that have a relevant label.

    Args:
        score: as in `scored`.
        dev: records and their grades.
        world: as in `scored`.
        at_once: as in `scored`.

    Raises:
        UserError: there is none, or scores have left every bound.
    """
    grades = np.concatenate([item.grades for item in dev])
    offsets = np.cumsum([0, *(len(item.grades) for item in dev)])
    require_relevant(grades)
    scores = scored(score, [item.record for item in dev], world, at_once)
    return ndcg_of(np.concatenate(scores), grades, offsets)


def ndcg_of(scores: Scores, grades: Ints, offsets: Ints) -> dict[str, float]:
    """``dev_ndcg@k`` of scores: the mean over the lists that have something relevant.

    Args:
        scores: (n,) of the items of some lists, one list after the other.
        grades: (n,) theirs.
        offsets: (lists + 1,) list i owns the items offsets[i]:offsets[i + 1].

    Raises:
        Diverged: scores have left every bound.
    """
    if not (np.abs(scores) < DIVERGED).all():
        raise Diverged(
            f"training has diverged: scores reach {np.abs(scores).max():.3g} where grades are 0 to "
            "2. Try a lower --learning_rate."
        )
    values = np.nanmean(ndcg(scores, grades, offsets, KS, empty="skip"), axis=0)
    return {f"dev_ndcg@{k}": float(value) for k, value in zip(KS, values, strict=True)}


def require_relevant(grades: Ints) -> None:
    """Refuse grades by which no weights can be chosen, with a UserError."""
    if not (grades > 0).any():
        raise UserError("target_dev: no record has a label above low, so no weights can be chosen.")
