"""Processes that do tasks: each lives as long as there is work, so that torch is imported once."""

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol, Self

from baselines.benchmark.work import Done
from lrmovienet.errors import Diverged, UserError
from lrmovienet.runner.local import start_worker

_SPAWN = multiprocessing.get_context("spawn")
STOP_S = 10.0
"""How long a process may take to end before it is killed."""


class Task(Protocol):
    """What a process can be given; it must be such that pickle can carry it."""

    @property
    def log(self) -> Path:
        """Where all that is printed goes."""
        ...

    @property
    def said(self) -> str:
        """The task as a command, for the log."""
        ...

    def do(self) -> Done:
        """Do it."""
        ...


class Worker:
    """One process, and the end of the pipe to it."""

    def __init__(self, place: int, gpus: int) -> None:
        """With GPUs, the process sees one of them alone.

        Args:
            place: its number, from 0.
            gpus: how many GPUs are shared out; 0 for none.
        """
        self.task: Task | None = None
        self.pipe, theirs = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=serve, args=(theirs, os.getpid()))
        # Numbers of threads change the last bits, so they are the same for any --processes.
        changes = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        if gpus:
            visible = os.environ.get("CUDA_VISIBLE_DEVICES")
            names = visible.split(",") if visible else [str(i) for i in range(gpus)]
            changes["CUDA_VISIBLE_DEVICES"] = names[place % min(gpus, len(names))]
        with _environment(changes):
            self.process.start()
        theirs.close()

    def give(self, task: Task) -> None:
        """Have it do a task."""
        self.task = task
        self.pipe.send(task)

    def answer(self) -> Done:
        """What came of its task, once its pipe has something to read or has ended."""
        self.task = None
        try:
            done: Done = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join(STOP_S)
            code = self.process.exitcode
            if code is not None and code < 0:
                why = f"was ended by {signal.Signals(-code).name}"
                why += " (out of memory?)" if code == -signal.SIGKILL else ""
            else:
                why = f"ended by itself (exit code {code})"
            return Done(None, None, f"its process {why}")
        return done

    def close(self) -> None:
        """End the process; what it was doing goes on from its last state another time."""
        self.pipe.close()
        if self.task is not None or not self.process.is_alive():
            self.process.terminate()
        self.process.join(STOP_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class Pool:
    """Some workers. One that dies fails its task alone; another takes its place."""

    def __init__(self, processes: int, gpus: int) -> None:
        self.gpus = gpus
        self.workers: list[Worker | None] = [None] * processes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self.workers:
            if worker is not None and worker.task is not None:
                worker.process.terminate()  # all at once, before each is waited for
        for worker in self.workers:
            if worker is not None:
                worker.close()

    @property
    def free(self) -> int:
        """How many tasks can be given now."""
        return sum(worker is None or worker.task is None for worker in self.workers)

    def give(self, task: Task) -> None:
        """Have a free worker do a task; it is started where there is none yet."""
        place = next(i for i, w in enumerate(self.workers) if w is None or w.task is None)
        worker = self.workers[place]
        if worker is None:
            worker = self.workers[place] = Worker(place, self.gpus)
        with contextlib.suppress(OSError):  # it died while it was idle; `wait` tells
            worker.give(task)

    def wait(self) -> Iterator[tuple[Any, Done]]:
        """What came of the tasks that are done next; at least one."""
        busy = {w.pipe: i for i, w in enumerate(self.workers) if w is not None and w.task}
        for pipe in wait(list(busy)):
            place = busy[pipe]  # type: ignore[index]
            worker = self.workers[place]
            assert worker is not None and worker.task is not None
            task = worker.task
            done = worker.answer()
            if not worker.process.is_alive():
                worker.close()
                self.workers[place] = None
            yield task, done


def serve(pipe: "Connection[Any, Any]", parent: int) -> None:
    """Do tasks until there are no more. Runs in a process of its own."""
    start_worker(parent)
    # What a training starts (--workers) is started as in one by hand, not as this process was.
    multiprocessing.set_start_method(None, force=True)
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        with _printing_to(task.log):
            done = _done(task)
        gc.collect()  # networks and what trains them hold each other
        try:
            pipe.send(done)
        except OSError:  # nobody waits any more
            return


def _done(task: Task) -> Done:
    """What came of a task, whatever goes wrong in it."""
    sys.stdout.write(f"{task.said}\n")
    try:
        return task.do()
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return Done(None, None, str(error), diverged=isinstance(error, Diverged))
    except ModuleNotFoundError as error:
        traceback.print_exc()
        return Done(None, None, f"needs the package {error.name!r}, which is not installed")
    except MemoryError:
        return Done(None, None, "memory ran out; use fewer --processes")
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        return Done(None, None, f"{type(error).__name__}: {error}")


@contextlib.contextmanager
def _printing_to(log: Path) -> Iterator[None]:
    """Have all that is printed, by Python or by libraries beneath it, added to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with log.open("ab") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, was in zip((1, 2), kept, strict=True):
            os.dup2(was, number)
            os.close(was)


@contextlib.contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    """Variables that a process started within inherits."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
