"""A stage from its first step to its best weights: state that survives a kill, metrics, choice.

A stage's every draw is a function of its seed and of the number of the step, and nothing else, so
that a run that goes on from a saved state ends with the same bytes as one that was never stopped.
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from baselines.learning.learner import Learner
from baselines.learning.machine import Machine
from baselines.learning.running import seed_of
from lrmovienet.errors import UserError
from lrmovienet.files import atomic_open, write_bytes
from lrmovienet.progress import progress

T = TypeVar("T")
SAVE_S = 60.0
"""Seconds of work that a kill may cost."""
SAVE_SHARE = 20.0
"""… and at least so many times what saving takes: states of large networks are gigabytes."""
STATE, METRICS = "trainer_state.pt", "metrics.jsonl"


class Run:
    """A training's way from its first step to its best weights, kept on disk as it goes."""

    def __init__(
        self,
        folder: Path,
        made_from: str,
        learner: Learner,
        kept: nn.Module,
        watch: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        """Take up the state in `folder`, where it is of the same training.

        Args:
            folder: where state and metrics lie.
            made_from: hash of all that decides the training.
            learner: what is trained.
            kept: the network whose best weights are wanted.
            watch: is told of every entry of the metrics.
        """
        self.folder, self.made_from, self.learner, self.kept = folder, made_from, learner, kept
        self.watch = watch
        self.metrics: list[dict[str, Any]] = []
        self.best: dict[str, Tensor] = {}
        self.highest = -math.inf
        self.sums: dict[str, float] = {}
        self.done = 0
        """Steps, or iterations, that are finished."""
        self._saved_at, self._saving_s = time.monotonic(), 0.0
        state = _resume(folder / STATE, made_from)
        if state:
            learner.restore(state["learner"])
            self.metrics, self.best = state["metrics"], state["best"]
            self.sums = state["sums"][learner.world.rank]
            self.highest, self.done = state["highest"], state["done"]

    def add(self, **values: float) -> None:
        """Add to what the next `measured` reports as means."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def measured(self, entry: dict[str, Any], value: float) -> None:
        """Note an evaluation, and keep the weights if `value` is the highest so far."""
        self.metrics.append(entry)
        self.sums = {}
        if value > self.highest:
            self.highest = value
            state = self.kept.state_dict()
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
        if self.learner.world.rank == 0:
            write_metrics(self.folder / METRICS, self.metrics)
        if self.watch:
            self.watch(entry)

    def passed(self, now: bool = False) -> None:
        """Count a step as done, and save what is there, at once or now and then."""
        self.done += 1
        late = time.monotonic() - self._saved_at > max(SAVE_S, SAVE_SHARE * self._saving_s)
        if now or self.learner.world.gather([late])[0][0]:  # all save, or none
            self.save()

    def save(self) -> None:
        """Write the state (process 0 only, but all have to come: their sums are a part of it)."""
        sums = [share[0] for share in self.learner.world.gather([self.sums])]
        started = time.monotonic()
        if self.learner.world.rank == 0:
            state = {
                "made_from": self.made_from, "learner": self.learner.state(),
                "metrics": self.metrics, "best": self.best, "sums": sums,
                "highest": self.highest, "done": self.done,
            }  # fmt: skip
            with atomic_open(self.folder / STATE) as file:
                torch.save(state, file)
        self._saved_at = time.monotonic()
        self._saving_s = self._saved_at - started

    def finish(self) -> None:
        """Give the network its best weights, and put it into evaluation mode."""
        self.kept.load_state_dict(self.best)
        self.kept.eval()


def by_epochs(
    run: Run,
    machine: Machine,
    stage: int,
    an_epoch: int,
    make: Callable[[int], T],
    losses: Callable[[T], Iterable[Tensor]],
    measure: Callable[[dict[str, float]], tuple[dict[str, float], float]],
) -> None:
    """All steps of a stage that goes through its data epoch after epoch.

    Args:
        run: the run, at the step where it goes on.
        machine: seed, and how steps are made ahead.
        stage: its number, a part of every seed.
        an_epoch: steps of an epoch.
        make: this process's part of a step, from the step's number alone.
        losses: its losses, each divided by what the step has of all processes.
        measure: from the sums of an epoch, what its entry in the metrics says, and the value by
            which the best epoch is chosen.
    """
    learner = run.learner
    steps = range(run.done, learner.steps)
    with progress(learner.stage, len(steps), "steps") as advance:
        for step in ahead(steps, make, machine.workers):
            torch.manual_seed(seed_of(machine.seed, stage, learner.step, learner.world.rank))
            learner.model.train()
            rate = learner.rate
            run.add(loss=learner.update(losses(step)))
            epoch, left = divmod(learner.step, an_epoch)
            if not left:
                found, value = measure(learner.world.sum_of(run.sums))
                place = {"stage": stage, "step": learner.step, "epoch": epoch}
                run.measured({**place, **found, "learning_rate": rate}, value)
            run.passed(now=not left)
            advance(1)
    run.finish()


def ahead(steps: Iterable[int], make: Callable[[int], T], workers: int) -> Iterator[T]:
    """make(step) for each step in order; with `workers`, made by other processes beforehand."""
    if not workers:
        yield from map(make, steps)
        return
    numbers: Any = list(steps)  # a list will do for a dataset
    each: Any = make  # with batch_size None it is given one item, not a list
    yield from torch.utils.data.DataLoader(
        numbers, batch_size=None, num_workers=workers, collate_fn=each
    )


def write_metrics(path: Path, metrics: Sequence[dict[str, Any]]) -> None:
    """One JSON object a line."""
    lines = [json.dumps(entry, sort_keys=True) + "\n" for entry in metrics]
    write_bytes(path, "".join(lines).encode())


def _resume(path: Path, made_from: str) -> dict[str, Any] | None:
    """The state of a killed run of the same training, or None."""
    if not path.exists():
        return None
    try:
        state: Any = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
    except Exception as error:  # torch names a dozen kinds of damage
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: damaged ({reason}). Delete it and train again.") from None
    return state if isinstance(state, dict) and state.get("made_from") == made_from else None
