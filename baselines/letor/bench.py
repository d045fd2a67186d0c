"""The track's benchmark from its options to its results: what is there is kept, the rest is done.

OUT holds ``METHOD.REGIME.sSEED.json`` of each run, as `eval.result` has it, over the test parts of
all folds; ``gold.parquet`` and ``predictions/``, which `eval/score.py` takes; ``scores/`` and
``rankers/`` of each fold; ``cache/`` with the files as arrays, and ``logs/``.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from baselines.benchmark.bench import locked, say
from baselines.benchmark.pool import Pool
from baselines.benchmark.work import Done
from baselines.data import Regime
from baselines.letor.documents import Documents
from baselines.letor.folds import Folds
from baselines.letor.methods import METHODS
from baselines.letor.queries import grades_of
from baselines.letor.read import read
from baselines.letor.released import resampled
from baselines.letor.study import Setting, grade_limit
from baselines.letor.verb import LetorBenchConfig
from baselines.letor.work import (
    Job,
    Task,
    options_of_method,
    ranker_digest,
    read_scores,
)
from baselines.ranker import Scores
from baselines.train import RANKER_VERSION
from eval.ndcg import Empty
from eval.result import About, ResultError, Training, to_json, write
from eval.runs import RunError
from eval.score import judge
from eval.scoring import Options
from lrmovienet.errors import UserError
from lrmovienet.files import atomic_open, sha256_of
from lrmovienet.progress import progress

VERSION = 1
"""Raised when the same files and options would give other rankers."""


class Bench:
    """One call of `lrmovienet letor bench`."""

    def __init__(self, config: LetorBenchConfig) -> None:
        """Look at all that can be seen to be wrong, and read what is tested.

        Raises:
            UserError: an option or a file is wrong.
        """
        regimes = regimes_of(config)
        self.config, self.out = config, config.out
        self.setting = Setting(
            tuple(config.target), tuple(config.source), config.out / "cache", config.protocol,
            config.space, config.scaling, config.percent, config.parts,
        )  # fmt: skip
        self.target = self.setting.folds
        self.folds = folds_of(config.folds, self.target)
        self.runs = [
            Job(0, name, regime, seed)
            for name in chosen(
                [n for word in config.methods for n in word.split(",") if n], regimes
            )
            for regime in METHODS[name].regimes
            if regime in regimes
            for seed in range(config.seeds if METHODS[name].seeded else 1)
        ]
        wanted = [replace(run, fold=fold) for fold in self.folds for run in self.runs]
        self.jobs = list(dict.fromkeys(each for job in wanted for each in (*before(job), job)))
        self.keys: dict[Job, str] = {}
        """Of the jobs that are done."""
        self.failed: dict[Job, str] = {}
        self.lost: set[Job] = set()
        """Jobs that were not tried, as what they start from failed."""

    def run(self) -> None:
        """Do all jobs that are not done, and write results of all runs that are whole.

        Raises:
            UserError: some failed; all others are done.
        """
        refusal = f"{self.out}: another benchmark writes here. Wait for it, or give another --out."
        with locked(self.out / ".lock", refusal):
            self.tests = [self._test(number) for number in self.folds]
            limit = max(map(grade_limit, self.tests))
            if self.config.protocol == "honest" and not any(grades_of(t).any() for t in self.tests):
                raise UserError(f"{self.tests[0].name}: no document that is tested is relevant.")
            self.files = {number: self._files(number) for number in self.folds}
            self._train()
            self._write_gold()
            for run in self.runs:
                jobs = [replace(run, fold=fold) for fold in self.folds]
                if all(job in self.keys for job in jobs):
                    self._write_result(run, jobs, limit)
            self._close()

    def _test(self, number: int) -> Documents:
        """The test part of a fold as it is scored.

        Raises:
            UserError: it has no grades, or nothing that is relevant is there to choose weights by.
        """
        fold = self.target[number]
        grades_of(fold.test)
        if self.config.protocol == "released":
            return resampled(fold.test)
        if not grades_of(fold.vali).any():
            raise UserError(
                f"{fold.vali.name}: of fold {number}, the queries that weights are chosen by "
                f"({len(fold.vali)}) have no relevant document. Give other or more queries."
            )
        return fold.test

    def _files(self, number: int) -> list[str]:
        """Hashes of all that a fold and its source are made of."""
        files = self.target.files(number)
        if self.config.source:
            files = [*files, *Folds(self.config.source, None).files(number)]
        return [read(path, self.setting.cache).sha256 for path in files]

    def _train(self) -> None:
        todo, running, kept = list(self.jobs), dict[str, Job](), 0
        workers = min(self.config.processes, len(todo))
        with progress("letor bench", len(todo), "trainings") as advance, Pool(workers, 0) as pool:
            while todo or running:
                job = self._next(todo) if pool.free else None
                if job is not None:
                    todo.remove(job)
                    task = self._begin(job)
                    if task is None:
                        kept += job in self.keys
                        advance(1)
                    else:
                        pool.give(task)
                        running[job.name] = job
                    continue
                for task, done in pool.wait():
                    self._end(running.pop(task.job.name), task, done)
                    advance(1)
        if kept:
            say(f"{kept} of {len(self.jobs)} trainings were done before")

    def _next(self, todo: Sequence[Job]) -> Job | None:
        """The first job that waits for nothing; what can never be done is one, too."""
        settled = {*self.keys, *self.failed, *self.lost}
        return next((job for job in todo if settled.issuperset(job.starts_from.values())), None)

    def _begin(self, job: Job) -> Task | None:
        """The task of a job, or None where it is done, or cannot be."""
        starts = list(job.starts_from.values())
        if any(of not in self.keys for of in starts):
            self.lost.add(job)
            return None
        config = self.config
        key = sha256_of([
            VERSION, RANKER_VERSION, job.name, options_of_method(job.method, config.device),
            self.files[job.fold], config.protocol, config.space, config.scaling, config.parts,
            job.regime != "R0" and config.percent, len(config.target),
            [self.keys[of] for of in starts],
        ])  # fmt: skip
        if self._read(job, key) is not None:
            self.keys[job] = key
            return None
        return Task(job, self.setting, self.out, key, config.device)

    def _read(self, job: Job, key: str) -> tuple[Scores, dict[str, Any]] | None:
        documents = len(grades_of(self.tests[self.folds.index(job.fold)]))
        return read_scores(self.out, job, key, documents)

    def _end(self, job: Job, task: Task, done: Done) -> None:
        if done.failure:
            self.failed[job] = done.failure
            say(f"{job.said}: failed: {done.failure}")
            return
        self.keys[job] = task.key
        chosen_by = "" if done.score is None else f"NDCG@20 on vali {done.score:.4f}, "
        say(f"{job.said}: {chosen_by}trained in {done.seconds:.1f} s")

    def _write_gold(self) -> None:
        """The grades of all that is tested, as `eval/score.py` takes them; a query is a film."""
        columns = self._columns()
        columns["movie_id"] = columns["clip_id"]
        columns["grade"] = np.concatenate([grades_of(test) for test in self.tests])
        self._write_table("gold.parquet", columns)

    def _columns(self) -> dict[str, Any]:
        """Query and document of each row; a query's name says in which fold it is tested."""
        queries = [
            f"{fold}/{query}"
            for fold, test in zip(self.folds, self.tests, strict=True)
            for query in test.queries
        ]
        lengths = np.concatenate([test.lengths for test in self.tests])
        places = np.concatenate([np.arange(1, length + 1) for length in lengths])
        return {"clip_id": np.repeat(queries, lengths), "label": places.astype(str)}

    def _write_table(self, name: str, columns: dict[str, Any]) -> None:
        with atomic_open(self.out / name) as file:
            pq.write_table(pa.table(columns), file)

    def _write_result(self, run: Job, jobs: Sequence[Job], limit: int) -> None:
        """Score a run on the tests of all folds, and write what came of it."""
        found = self._found(jobs)
        name = f"predictions/{run.run}.parquet"
        self._write_table(name, self._columns() | {"score": np.concatenate([s for s, _ in found])})
        facts = [fact for _, fact in found]
        parameters = [fact["parameters"] for fact in facts if fact["parameters"] is not None]
        config = self.config
        about = About(config.dataset, None, config.protocol, run.regime)
        empty: Empty = "one" if config.protocol == "released" else "skip"
        try:
            result = judge(
                [self.out / "gold.parquet"], [(run.run, [self.out / name])],
                Options(max_grade=limit, empty=empty, about=about),
            )  # fmt: skip
            training = Training(
                run.method, run.seed if METHODS[run.method].seeded else None,
                sha256_of([self.keys[job] for job in jobs]),
                sha256_of([ranker_digest(self.out, job) for job in jobs]),
                self._told(run.regime), 0, max(parameters, default=None),
                float(np.mean([fact["seconds"] for fact in facts])), self._before(jobs),
                self._command(run), max(fact["date"] for fact in facts),
                max(fact["hardware"] for fact in facts),
                METHODS[run.method].published,
            )  # fmt: skip
            scored = replace(result.runs[0], training=training)
            write({self.out / f"{run.run}.json": to_json(replace(result, runs=(scored,))).encode()})
        except (RunError, ResultError) as error:
            raise UserError(str(error)) from None

    def _found(self, jobs: Sequence[Job]) -> list[tuple[Scores, dict[str, Any]]]:
        kept = [self._read(job, self.keys[job]) for job in jobs]
        return [each for each in kept if each is not None]

    def _before(self, jobs: Sequence[Job]) -> float:
        """Mean over folds of the wall time of all that a job starts from."""
        times = [sum(facts["seconds"] for _, facts in self._found(before(job))) for job in jobs]
        return float(np.mean(times))

    def _told(self, regime: Regime) -> dict[str, str]:
        """What is not as usual, or has to be said of a number."""
        config, told = self.config, {"folds": " ".join(map(str, self.folds))}
        if config.source:
            told["space"] = config.space or "usual"
            told |= {"percent": str(config.percent)} if regime != "R0" else {}
        return told if config.scaling == "log" else {**told, "scaling": config.scaling}

    def _command(self, run: Job) -> str:
        """The command that makes the run, without what is of this machine."""
        config = self.config
        words = [run.method, "--target", *(path.name for path in config.target)]
        words += ["--source", *(path.name for path in config.source)] if config.source else []
        words += ["--protocol", config.protocol, "--regimes", run.regime]
        usual = LetorBenchConfig()
        for name in ("percent", "space", "scaling", "parts"):
            if name == "percent" and run.regime == "R0":  # which sees no pairs
                continue
            if getattr(config, name) != getattr(usual, name):
                words += [f"--{name}", str(getattr(config, name))]
        words += ["--folds", *map(str, config.folds)] if config.folds else []
        return " ".join(["lrmovienet letor bench", *words])

    def _close(self) -> None:
        """Say what to do next, and what failed."""
        if not self.failed:
            say(f"{len(self.runs)} results in {self.out}; lrmovienet letor table {self.out}")
            return
        lines = [f"{job.said}: {why} (log: {self.out}/logs/{job.name}.log)"
                 for job, why in self.failed.items()]  # fmt: skip
        more = [f"… and {len(lines) - 10} more"] if len(lines) > 10 else []
        also = f", and {len(self.lost)} that start from them were not tried" if self.lost else ""
        raise UserError(
            f"{len(lines)} of {len(self.jobs)} trainings failed{also}; the other {len(self.keys)} "
            "are done. Put it right and run the same command again.\n  "
            + "\n  ".join([*lines[:10], *more])
        )


def before(job: Job) -> list[Job]:
    """All that a job starts from, directly or not; what is first needed first."""
    found: list[Job] = []
    for of in job.starts_from.values():
        found += [*before(of), of]
    return list(dict.fromkeys(found))


def regimes_of(config: LetorBenchConfig) -> list[Regime]:
    """The regimes that are asked for, or that the sets allow.

    Raises:
        UserError: an option is out of bounds, or does not go with another.
    """
    for name, least in (("seeds", 1), ("processes", 1), ("parts", 2)):
        if not least <= getattr(config, name) <= 4096:
            raise UserError(f"--{name} {getattr(config, name)}: give {least} to 4096.")
    if not config.target:
        raise UserError("--target: say what is tested: a folder with Fold1 to Fold5, or files.")
    if config.device != "cpu":
        from lrmovienet.encoders import require_device

        require_device(config.device)
    asked: list[Regime] = list(config.regimes)
    if not config.source:
        wrong = [name for name in ("space",) if getattr(config, name) is not None]
        wrong += ["protocol"] if config.protocol == "released" else []
        wrong += ["regimes"] if {"R1", "R2"} & set(asked) else []
        if wrong:
            raise UserError(
                f"--{wrong[0]}: is about two sets. Give the set whose grades are learned: --source."
            )
        return ["R0"]
    if config.protocol == "released" and config.space is not None:
        raise UserError("--space: the released protocol maps features by a network. Leave it out.")
    if config.space == "layers" and "R0" in asked:
        raise UserError(
            "--space layers: in R0 nothing trains the target's layer. Give --regimes R1 R2, or "
            "another --space."
        )
    return asked or (["R1", "R2"] if config.space == "layers" else ["R0", "R1", "R2"])


def chosen(names: Sequence[str], regimes: Sequence[Regime]) -> list[str]:
    """The methods that are asked for; without names, all of the regimes.

    Raises:
        UserError: a name is unknown, or a method has none of the regimes.
    """
    if unknown := [name for name in names if name not in METHODS]:
        raise UserError(f"no method {unknown[0]!r}; there are: {', '.join(METHODS)}.")
    for name in names:
        if not set(METHODS[name].regimes) & set(regimes):
            raise UserError(
                f"{name}: is of {' and '.join(METHODS[name].regimes)}, not of "
                f"{' or '.join(regimes)}. Leave it out, or give another --regimes (R1 and R2 need "
                "a --source)."
            )
    return [
        name for name, method in METHODS.items()
        if (not names or name in names) and set(method.regimes) & set(regimes)
    ]  # fmt: skip


def folds_of(asked: Sequence[int], target: Folds) -> list[int]:
    """The folds that are tested. Raises UserError where one is not there."""
    if wrong := [fold for fold in asked if not 1 <= fold <= len(target)]:
        raise UserError(f"--folds {wrong[0]}: there are the folds 1 to {len(target)}.")
    return sorted(set(asked)) or list(range(1, len(target) + 1))
