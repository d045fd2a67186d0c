"""The benchmark from its options to its results: what is there is kept, the rest is done.

A folder of results holds ``METHOD.REGIME.sSEED.json`` of each run, as `eval.result` has it, under
``trials/`` what came of each draw of options, and under ``logs/`` what was printed.
"""

import contextlib
import fcntl
import importlib
import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console

from baselines.benchmark.drive import Ledger, drive
from baselines.benchmark.given import given, in_regime
from baselines.benchmark.inputs import of_method, of_workspace
from baselines.benchmark.jobs import Job, chosen, draws, jobs, starting_point, waits_for
from baselines.benchmark.methods import METHODS, Options, Value
from baselines.benchmark.pool import Pool
from baselines.benchmark.verb import BenchConfig
from baselines.benchmark.work import Done, Task, config_of, plain_options, word
from baselines.train import RANKER_VERSION, read_manifest
from lrmovienet.errors import UserError
from lrmovienet.files import sha256_of, write_json
from lrmovienet.progress import progress
from lrmovienet.verbs import VERBS
from lrmovienet.workspace import Workspace


class Bench:
    """One call of `lrmovienet bench`."""

    def __init__(self, config: BenchConfig) -> None:
        """Look at all that can be seen to be wrong.

        Raises:
            UserError: an option or a table is.
        """
        for name, least in (("seeds", 1), ("trials", 0), ("processes", 1), ("gpus", 1)):
            if not least <= getattr(config, name) <= 4096:
                raise UserError(f"--{name} {getattr(config, name)}: give {least} to 4096.")
        self.config = config
        self.workspace = Workspace(config.workspace)
        self.out = config.out or config.workspace / "bench"
        self.given = given(config.given)
        regimes = config.regimes or ["R0", "R1", "R2"]
        named = [name for word in config.methods for name in word.split(",") if name]
        self.methods = chosen(named, regimes, self.given)
        if not self.methods:
            raise UserError(f"no method can be trained in {' or '.join(regimes)}.")
        self.protocol = self.workspace.require("records").config.get("protocol")
        if config.protocol not in (None, self.protocol):
            raise UserError(
                f"--protocol {config.protocol}: the splits of {config.workspace} are of the "
                f"protocol {self.protocol or 'that nobody stated'}. Leave it out, or make them "
                f"anew: lrmovienet split --protocol {config.protocol}"
            )
        if config.device != "cpu":
            from lrmovienet.encoders import require_device

            require_device(config.device)
        self._leave_out_tags()
        self.jobs = jobs(self.methods, config.seeds, config.trials)
        self.waits = {job: waits_for(job, self.methods, self.jobs) for job in self.jobs}
        self.needed = {of for method in self.methods.values() for of in method.starts_from.values()}
        self.own_inputs: dict[str, dict[str, str]] = {}
        """Method -> digests of what it alone reads."""
        for job in self.jobs:
            if job.trial is None and job.seed == 0:
                verb = self.methods[job.method].verb
                own = of_method(self.workspace, verb, config_of(verb, tuple(self.words(job, {}))))
                self.own_inputs[job.method] = own
        self.inputs = of_workspace(self.workspace, config.features)
        self.ledger = Ledger[Job]()
        self.trials: dict[Job, dict[str, Any]] = {}
        """What came of those that are done."""

    def _leave_out_tags(self) -> None:
        """Leave image-tag out of "all methods" where there is nothing that it could rank by."""
        tags = self.workspace.candidates_table
        if "image-tag" in self.methods and not self.config.methods and (
            self.workspace.manifest(tags) is None
        ):  # fmt: skip
            del self.methods["image-tag"]
            say(f"image-tag is left out: no table {tags!r} here, which holds the taggers' scores")

    def run(self) -> None:
        """Do all jobs that are not done.

        Raises:
            UserError: some failed; all others are done.
        """
        config, jobs = self.config, self.jobs
        with (
            self._alone(),
            progress("bench", len(jobs), "trainings") as advance,
            Pool(min(config.processes, len(jobs)), config.gpus * (config.device == "cuda")) as pool,
        ):
            waits = self.waits.__getitem__
            drive(pool, jobs, waits, self.ledger, self._begin, self._end, advance)
        if self.ledger.kept:
            say(f"{self.ledger.kept} of {len(jobs)} trainings were done before")
        self.ledger.refuse_failures(jobs, self.log)
        runs = [job for job in self.ledger.keys if job.trial is None]
        say(f"{len(runs)} results in {self.out}; as tables: lrmovienet leaderboard {self.out}")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the workspace's rankers of benchmarks, and the folder of results."""
        root = self.workspace.root
        trains = f"{root}: another benchmark trains here. Wait for it."
        writes = f"{self.out}: another benchmark writes here. Wait for it, or give another --out."
        with (
            locked(root / ".locks" / "bench.lock", trains),
            locked(self.out / ".lock", writes),
        ):
            yield

    def _begin(self, job: Job) -> Task | None:
        """The task of a job, or None where it is done, or has come to nothing."""
        try:
            drawn = self._drawn(job)
        except UserError as error:
            self._fail(job, str(error))
            return None
        method = self.methods[job.method]
        words = self.words(job, drawn)
        config = config_of(method.verb, tuple(words))
        tried = [] if job.trial is not None else self._trials_of(job)
        starts = sorted(self._starts(job), key=lambda of: of.name)
        key = sha256_of({
            "ranker_version": RANKER_VERSION, "verb": method.verb, "options": plain_options(config),
            "inputs": {**self.inputs, **self.own_inputs[job.method]}, "trials": len(tried),
            "about": self._about(job),
            "after": [self.ledger.keys[of] for of in starts],
        })  # fmt: skip
        if self._is_done(job, key, drawn):
            self.ledger.keep(job, key)
            return None
        facts: dict[str, Any] = {"method": job.method, "key": key}
        # A path is of one machine; its last part says which checkpoint it was.
        told = {
            **in_regime(METHODS[job.method], job.regime, self.given.get(job.method, {})),
            **drawn,
        }
        plain = plain_options(config)
        shown = {name: str(plain[name]) for name in told if name in plain}
        if job.trial is None:
            facts |= {
                "seed": job.seed if method.seeded else None, "options": shown, "trials": len(tried),
                "command": self._command(job, drawn, config), "published": method.published,
            }  # fmt: skip
        else:
            facts |= {"regime": job.regime, "trial": job.trial, "options": drawn}
        return Task(
            self.config.workspace, job.ranker, method.verb, tuple(words), self.path(job),
            self.log(job), facts, self._about(job), job.trial is not None,
        )  # fmt: skip

    def _end(self, job: Job, task: Task, done: Done) -> None:
        """Take note of what came of a task."""
        if job.trial is not None and (not done.failure or done.diverged):
            # Options with which training comes to nothing are an answer, too.
            if done.failure:
                building = self.workspace.root / ".building" / "rankers" / job.ranker
                shutil.rmtree(building, ignore_errors=True)
                write_json(task.out, {**task.facts, "score": None, "failure": done.failure})
            self.trials[job] = json.loads(task.out.read_bytes())
        elif done.failure:
            self._fail(job, done.failure)
            return
        self.ledger.keys[job] = task.facts["key"]
        split = "target_test" if job.trial is None else "target_dev"
        came = done.failure if done.score is None else f"NDCG@20 on {split} {done.score:.4f}"
        time = "" if done.seconds is None else f", trained in {done.seconds:.1f} s"
        say(f"{job.said}: {came}{time}")

    def _fail(self, job: Job, why: str) -> None:
        self.ledger.failed[job] = why
        say(f"{job.said}: failed: {why}")

    def _is_done(self, job: Job, key: str, drawn: Options) -> bool:
        """Whether the result of a job is there, made of the same; a trial's is read."""
        from eval.result import ResultError, read

        path = self.path(job)
        if not path.exists():
            return False
        if job.trial is not None:
            try:
                found = json.loads(path.read_bytes())
                same = bool(found["key"] == key and found["options"] == drawn)
                # A trial that came to nothing has no number, and is tried again.
                same &= math.isfinite(found["score"])
            except (ValueError, KeyError, TypeError, OverflowError):
                return False
            if same:
                self.trials[job] = found
            return same
        try:
            training = read(path).runs[0].training
        except (ResultError, IndexError):
            return False
        seed = job.seed if self.methods[job.method].seeded else None
        if training is None or (training.key, training.seed) != (key, seed):
            self._remove_beyond(job)
            return False
        # Others start from this one: it must be there, and not be another benchmark's by now.
        return job.method not in self.needed or training.ranker == self._digest(job)

    def _remove_beyond(self, job: Job) -> None:
        """Remove results of seeds that are not asked for: old ones, beside those made now."""
        planned = {self.path(each) for each in self.jobs if each.trial is None}
        for path in sorted(self.out.glob(f"{job.method}.{job.regime}.s*.json")):
            if path not in planned:
                path.unlink()
                say(f"{path}: removed; it is of other data or options than {job.said} is now")

    def _digest(self, job: Job) -> str | None:
        """What `Training.ranker` would say of the ranker that is there."""
        try:
            return str(read_manifest(self.workspace, job.ranker)["digest"])
        except UserError:
            return None

    def _trials_of(self, job: Job) -> list[Job]:
        return [of for of in self.waits[job]
                if of.trial is not None and of.method == job.method]  # fmt: skip

    def _starts(self, job: Job) -> list[Job]:
        """The runs whose rankers a job starts from."""
        starts = self.methods[job.method].starts_from.values()
        return [starting_point(of, job.seed, self.methods) for of in starts]

    def _drawn(self, job: Job) -> dict[str, Value]:
        """The options that a trial tries, or that a run's trials found best.

        Raises:
            UserError: no trial came to anything.
        """
        if job.trial is not None:
            method, trials = self.methods[job.method], self.config.trials
            return draws(job.method, job.regime, method, trials)[job.trial]
        tried = sorted(self._trials_of(job), key=lambda of: of.trial or 0)
        if not tried:
            return {}
        scored = [of for of in tried if self.trials[of]["score"] is not None]
        if not scored:
            why = self.trials[tried[0]]["failure"]
            for of in tried:  # it may be no fault of the options, so they are tried again
                self.path(of).unlink(missing_ok=True)
            raise UserError(f"none of its trials came to anything: {why}")
        best = max(scored, key=lambda of: self.trials[of]["score"])  # the first of equals
        found: dict[str, Value] = self.trials[best]["options"]
        return found

    def words(self, job: Job, drawn: Options) -> list[str]:
        """What a job's verb is told."""
        config = self.config
        told: dict[str, Any] = {"workspace": config.workspace, "name": job.ranker}
        verb = VERBS[self.methods[job.method].verb]
        known = {f.name for f in fields(getattr(importlib.import_module(verb.module), verb.config))}
        if "features" in known and config.features is not None:
            told["features"] = config.features
        return [f"--{name}={word(value)}" for name, value in
                {**told, **self._told(job, drawn, known)}.items()]  # fmt: skip

    def _told(self, job: Job, drawn: Options, known: set[str]) -> dict[str, Any]:
        """What makes a job's ranker what it is."""
        method = self.methods[job.method]
        starts = zip(method.starts_from, self._starts(job), strict=True)
        told = {**method.options, **method.regimes[job.regime], **drawn}
        told |= {option: of.ranker for option, of in starts}
        told |= {"device": self.config.device} if "device" in known and (
            self.config.device != "cpu") else {}  # fmt: skip
        return told | ({"seed": job.seed} if method.seeded else {})

    def _command(self, job: Job, drawn: Options, config: Any) -> str:
        """The command that trains a run's ranker, without what is of this machine."""
        known = {field.name for field in fields(config)}
        plain = plain_options(config)
        told = self._told(job, drawn, known)
        words = [f"--{name} {word(plain.get(name, value))}" for name, value in told.items()]
        return " ".join(["lrmovienet", self.methods[job.method].verb, *words])

    def _about(self, job: Job) -> dict[str, Any]:
        config = self.config
        about = {"dataset": config.dataset, "revision": config.revision, "regime": job.regime}
        return about if job.trial is None else {}

    def path(self, job: Job) -> Path:
        """Where what came of a job is written."""
        folder = self.out if job.trial is None else self.out / "trials"
        return folder / f"{job.name}.json"

    def log(self, job: Job) -> Path:
        """Where what a job prints is written."""
        return self.out / "logs" / f"{job.name}.log"


@contextlib.contextmanager
def locked(path: Path, refusal: str) -> Iterator[None]:
    """Hold a file.

    Raises:
        UserError: another benchmark holds it; it says `refusal`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(refusal) from None
        yield


def say(line: str) -> None:
    """A line of what came of something."""
    Console().print(line, markup=False, highlight=False, soft_wrap=True)
