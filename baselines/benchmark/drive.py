"""Jobs that wait for each other, given to processes as they can be begun."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, TypeVar

from baselines.benchmark.pool import Pool
from baselines.benchmark.work import Done
from lrmovienet.errors import UserError

J = TypeVar("J")


def drive(
    pool: Pool,
    jobs: Iterable[J],
    waits: Callable[[J], AbstractSet[J]],
    settled: Callable[[], AbstractSet[J]],
    begin: Callable[[J], Any],
    end: Callable[[J, Any, Done], None],
    advance: Callable[[int], None],
) -> None:
    """Do all jobs, each when what it waits for is settled.

    Args:
        pool: the processes.
        jobs: what is to be done, the first first.
        waits: job -> jobs that must be settled before.
        settled: those that are done, have failed, or were not tried.
        begin: job -> its task, or None where there is nothing to be done; it is settled then.
        end: takes note of what came of a job's task, which settles it.
        advance: counts jobs.
    """
    todo, running = list(jobs), dict[int, J]()
    while todo or running:
        known = settled()
        job = next((job for job in todo if waits(job) <= known), None) if pool.free else None
        if job is not None:
            todo.remove(job)
            task = begin(job)
            if task is None:
                advance(1)
            else:
                pool.give(task)
                running[id(task)] = job
            continue
        assert running, "a job waits for one that is not there"
        for task, done in pool.wait():
            end(running.pop(id(task)), task, done)
            advance(1)


def refuse_failures(
    failed: Mapping[str, tuple[str, Path]], lost: int, done: int, jobs: Sequence[Any]
) -> None:
    """Say what failed, and where to look.

    Args:
        failed: job in words -> why, and its log.
        lost: jobs that were not tried, as what they wait for failed.
        done: jobs that are done.
        jobs: all.

    Raises:
        UserError: something failed.
    """
    if not failed:
        return
    lines = [f"{said}: {why} (log: {log})" for said, (why, log) in failed.items()]
    more = [f"… and {len(lines) - 10} more"] if len(lines) > 10 else []
    also = f", and {lost} that wait for them were not tried" if lost else ""
    raise UserError(
        f"{len(failed)} of {len(jobs)} trainings failed{also}; the other {done} are done. Put it "
        "right and run the same command again.\n  " + "\n  ".join([*lines[:10], *more])
    )
