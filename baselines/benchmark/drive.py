"""Jobs that wait for each other, given to processes as they can be begun."""

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Generic, TypeVar

from baselines.benchmark.pool import Pool
from baselines.benchmark.work import Done
from lrmovienet.errors import UserError

J = TypeVar("J")


class Ledger(Generic[J]):
    """What came of jobs."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.keys: dict[J, str] = {}
        """Of the jobs that are done: what each was made from."""
        self.kept = 0
        """How many of these were done before."""
        self.failed: dict[J, str] = {}
        """Why."""
        self.lost: set[J] = set()
        """Jobs that were not tried, as what they wait for failed."""

    @property
    def settled(self) -> set[J]:
        """The jobs that nobody need wait for any more."""
        return {*self.keys, *self.failed, *self.lost}

    def keep(self, job: J, key: str) -> None:
        """Take note of a job that was done before."""
        self.keys[job] = key
        self.kept += 1

    def refuse_failures(self, jobs: Sequence[J], log: Callable[[J], Path]) -> None:
        """Say what failed, and where to look.

        Args:
            jobs: all; ``said`` is a job in words.
            log: of a job.

        Raises:
            UserError: something failed.
        """
        if not self.failed:
            return
        failed: dict[Any, str] = {**self.failed}
        lines = [f"{job.said}: {why} (log: {log(job)})" for job, why in failed.items()]
        more = [f"… and {len(lines) - 10} more"] if len(lines) > 10 else []
        also = f", and {len(self.lost)} that wait for them were not tried" if self.lost else ""
        raise UserError(
            f"{len(lines)} of {len(jobs)} trainings failed{also}; the other {len(self.keys)} are "
            "done. Put it right and run the same command again.\n  "
            + "\n  ".join([*lines[:10], *more])
        )


def drive(
    pool: Pool,
    jobs: Iterable[J],
    waits: Callable[[J], AbstractSet[J]],
    ledger: Ledger[J],
    begin: Callable[[J], Any],
    end: Callable[[J, Any, Done], None],
    advance: Callable[[int], None],
) -> None:
    """Do all jobs, each when what it waits for is settled; not those that wait for what failed.

    Args:
        pool: the processes.
        jobs: what is to be done, the first first.
        waits: job -> jobs that must be settled before.
        ledger: what came of them.
        begin: job -> its task, or None where there is nothing to be done; it is settled then.
        end: takes note of what came of a job's task, which settles it.
        advance: counts jobs.
    """
    todo, running = list(jobs), dict[int, J]()
    while todo or running:
        known = ledger.settled
        job = next((job for job in todo if waits(job) <= known), None) if pool.free else None
        if job is not None:
            todo.remove(job)
            task = None
            if waits(job) <= ledger.keys.keys():
                task = begin(job)
            else:
                ledger.lost.add(job)
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
