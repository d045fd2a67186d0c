"""The track's benchmark from its options to its results: what is there is kept, the rest is done.

OUT holds ``METHOD.REGIME.sSEED.json`` of each run, as `eval.result` has it, over the test parts of
all folds; ``gold.parquet`` and ``predictions/``, which `eval/score.py` takes; ``scores/`` and
``rankers/`` of each fold; ``cache/`` with the files as arrays, and ``logs/``.
"""

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from baselines.benchmark.bench import locked, say
from baselines.benchmark.drive import Ledger, drive
from baselines.benchmark.pool import Pool
from baselines.benchmark.work import Done
from baselines.data import Regime
from baselines.letor.asked import before, chosen, folds_of, regimes_of, waits
from baselines.letor.documents import Documents
from baselines.letor.folds import Fold, Folds
from baselines.letor.kept import known_files, require_current, write_setting
from baselines.letor.methods import METHODS
from baselines.letor.overlap import Overlap
from baselines.letor.queries import grades_of
from baselines.letor.read import read
from baselines.letor.released import PAIRS
from baselines.letor.spaces import require as require_space
from baselines.letor.spaces import usual_space
from baselines.letor.study import Setting, grade_limit, require_apart, tested
from baselines.letor.verb import LetorBenchConfig
from baselines.letor.work import (
    Job,
    Task,
    log_of,
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
        """Look at all options that can be seen to be wrong.

        Raises:
            UserError: an option is.
        """
        regimes = regimes_of(config)
        self.config, self.out = config, config.out
        cache = config.cache or config.out / "cache"
        self.setting = Setting(
            tuple(config.target), tuple(config.source), cache, config.protocol, config.space,
            config.scaling or "log", config.percent or 10, config.parts,
        )  # fmt: skip
        self.target = self.setting.folds
        self.source = Folds(config.source, cache) if config.source else None
        self.folds = folds_of(config.folds, self.target)
        names = [name for word in config.methods for name in word.split(",") if name]
        self.runs = [
            Job(0, name, regime, seed)
            for name in chosen(names, regimes)
            for regime in METHODS[name].regimes
            if regime in regimes
            for seed in range(config.seeds if METHODS[name].seeded else 1)
        ]
        wanted = [replace(run, fold=fold) for fold in self.folds for run in self.runs]
        self.jobs = list(dict.fromkeys(each for job in wanted for each in (*before(job), job)))
        self.ledger = Ledger[Job]()

    def run(self) -> None:
        """Do all jobs that are not done, and write results of all runs that are whole.

        Raises:
            UserError: a file is wrong, OUT is of other sets or options, or some trainings failed;
                all others are done then.
        """
        refusal = f"{self.out}: another benchmark writes here. Wait for it, or give another --out."
        with locked(self.out / ".lock", refusal):
            self._look()
            self._take_up()
            self._write_gold()
            if self.setting.space != self.config.space:
                say(f"features of the two sets meet by --space {self.setting.space}")
            if self.overlap:
                say(f"{self.overlap}; look: lrmovienet letor leaks")
            say(f"{len(self.runs)} runs over {len(self.folds)} folds: {len(self.jobs)} trainings")
            self._train()
            for run in self.runs:
                jobs = [replace(run, fold=fold) for fold in self.folds]
                if all(job in self.ledger.keys for job in jobs):
                    self._write_result(run, jobs)
            self.ledger.refuse_failures(self.jobs, lambda job: log_of(self.out, job))
            shutil.rmtree(self.out / ".working", ignore_errors=True)
            say(f"{len(self.runs)} results in {self.out}; lrmovienet letor table {self.out}")

    def _look(self) -> None:
        """Read all folds, and keep their test parts as they are scored.

        Raises:
            UserError: files do not go together, or nothing that is relevant is there to choose by
                or to be tested.
        """
        self.tests: list[Documents] = []
        self.overlap = Overlap()
        for number in self.folds:
            fold = self.target[number]
            if self.config.protocol == "honest" and not grades_of(fold.vali).any():
                raise UserError(
                    f"{fold.vali.name}: of fold {number}, the queries that weights are chosen by "
                    f"({len(fold.vali)}) have no relevant document. Give other or more queries."
                )
            if self.source is not None:
                source = self.source.whole(number)
                require_apart(source, fold)
                self._settle_space(source, fold)
                self.overlap.add(source, fold)
            self.tests.append(tested(fold, self.config.protocol))
        if not any(grades_of(test).any() for test in self.tests):
            raise UserError(f"{self.tests[0].name}: no document that is tested is relevant.")

    def _settle_space(self, source: Documents, fold: Fold) -> None:
        """Choose the usual space where none is asked for; see that the features allow it."""
        if self.config.protocol == "released":
            return
        space = self.setting.space or usual_space(source, fold.train)
        require_space(source, fold.train, space)
        self.setting = replace(self.setting, space=space)

    def _take_up(self) -> None:
        """See that OUT is of these sets and options, and that no older result is in the way.

        Raises:
            UserError: it is of others, or holds results that would not be made so now.
        """
        setting, cache = self.setting, self.setting.cache

        def hashes(paths: Sequence[Path]) -> list[str]:
            return [read(path, cache).sha256 for path in paths]

        of_two = self.source is not None and setting.protocol == "honest"
        single = len(setting.target) == 1 and self.target.official is None
        self.common = {
            "version": [VERSION, RANKER_VERSION], "protocol": setting.protocol,
            "space": setting.space if of_two else None,
            "percent": setting.percent if of_two else None,
            "scaling": setting.scaling if setting.protocol == "honest" else None,
            "parts": setting.parts if single else None,
        }  # fmt: skip
        files = {
            str(number): {
                "target": hashes(self.target.files(number)),
                "source": hashes(self.source.learned(number) if self.source else []),
            }
            for number in self.folds
        }
        self.files = known_files(self.out, self.common, files)
        older = require_current(self.out, self.runs, self.files, self._is_current)
        write_setting(self.out, self.common, self.files)
        for path in older:
            path.unlink()
            say(f"{path.stem}: its method has other options now, so it is made again")

    def _is_current(self, key: str, jobs: Sequence[Job]) -> bool:
        """Whether a result would be made so now, on whatever device."""
        devices = ("cpu", "cuda")
        return any(key == sha256_of([self.key(job, on) for job in jobs]) for on in devices)

    def _dataset(self) -> str:
        """The name of the sets."""
        if self.config.dataset:
            return self.config.dataset
        names = [", ".join(dict.fromkeys(path.resolve().name for path in paths))
                 for paths in (self.config.source, self.config.target) if paths]  # fmt: skip
        return " → ".join(names)

    def _train(self) -> None:
        config, jobs = self.config, self.jobs
        workers = min(config.processes, len(jobs))
        gpus = config.gpus * (config.device == "cuda")
        with (
            progress("letor bench", len(jobs), "trainings") as advance,
            Pool(workers, gpus) as pool,
        ):
            drive(pool, jobs, waits, self.ledger, self._begin, self._end, advance)
        if self.ledger.kept:
            say(f"{self.ledger.kept} of {len(jobs)} trainings were done before")

    def _begin(self, job: Job) -> Task | None:
        """The task of a job, or None where it is done."""
        key = self.key(job, self.config.device)
        if self._read(job, key) is not None:
            self.ledger.keep(job, key)
            return None
        return Task(job, self.setting, self.out, key, self.config.device)

    def key(self, job: Job, device: str) -> str:
        """Hash of all that a job's ranker is made from."""
        options = options_of_method(job.method, device)
        after = [self.key(of, device) for of in job.starts_from.values()]
        return sha256_of([self.common, self.files[str(job.fold)], job.name, options, after])

    def _read(self, job: Job, key: str) -> tuple[Scores, dict[str, Any]] | None:
        documents = len(grades_of(self.tests[self.folds.index(job.fold)]))
        return read_scores(self.out, job, key, documents)

    def _end(self, job: Job, task: Task, done: Done) -> None:
        if done.failure:
            self.ledger.failed[job] = done.failure
            say(f"{job.said}: failed: {done.failure}")
            return
        self.ledger.keys[job] = task.key
        by = "vali" if self.config.protocol == "honest" else "the test part, which chooses"
        reached = "" if done.score is None else f"NDCG@20 on {by} {done.score:.4f}, "
        say(f"{job.said}: {reached}trained in {done.seconds:.1f} s")

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

    def _write_result(self, run: Job, jobs: Sequence[Job]) -> None:
        """Score a run on the tests of all folds, and write what came of it."""
        found = self._found(jobs)
        name = f"predictions/{run.run}.parquet"
        self._write_table(name, self._columns() | {"score": np.concatenate([s for s, _ in found])})
        facts = [fact for _, fact in found]
        parameters = [fact["parameters"] for fact in facts if fact["parameters"] is not None]
        config = self.config
        of_sets = {name: part for name, part in self.common.items() if name != "percent"}
        files = {str(fold): self.files[str(fold)] for fold in self.folds}
        revision = sha256_of([of_sets, files])[:12]
        about = About(self._dataset(), revision, config.protocol, run.regime)
        limit = max(map(grade_limit, self.tests))
        empty: Empty = "one" if config.protocol == "released" else "skip"
        try:
            result = judge(
                [self.out / "gold.parquet"], [(run.run, [self.out / name])],
                Options(max_grade=limit, empty=empty, about=about),
            )  # fmt: skip
            training = Training(
                run.method, run.seed if METHODS[run.method].seeded else None,
                sha256_of([self.ledger.keys[job] for job in jobs]),
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
        kept = [self._read(job, self.ledger.keys[job]) for job in jobs]
        return [each for each in kept if each is not None]

    def _before(self, jobs: Sequence[Job]) -> float:
        """Mean over folds of the wall time of all that a job starts from."""
        times = [sum(facts["seconds"] for _, facts in self._found(before(job))) for job in jobs]
        return float(np.mean(times))

    def _told(self, regime: Regime) -> dict[str, str]:
        """What has to be said of a number: the source, and what of the target was seen."""
        told = {"folds": " ".join(map(str, self.folds))}
        if self.setting.scaling != "log":
            told["scaling"] = self.setting.scaling
        if self.source is None:
            return told
        told["source"] = ", ".join(path.resolve().name for path in self.config.source)
        if self.config.protocol == "released":
            return told | {"pairs": f"{PAIRS} a query"} if regime != "R0" else told
        told["space"] = str(self.setting.space)
        return told | {"percent": str(self.setting.percent)} if regime != "R0" else told

    def _command(self, run: Job) -> str:
        """The command that makes the run, without what is of this machine."""
        config = self.config
        words = [run.method, "--target", *(path.resolve().name for path in config.target)]
        if config.source:
            words += ["--source", *(path.resolve().name for path in config.source)]
        words += ["--protocol", config.protocol, "--regimes", run.regime]
        usual = LetorBenchConfig()
        words += ["--seeds", str(run.seed + 1)] if run.seed >= usual.seeds else []
        for name in ("percent", "space", "scaling", "parts", "device"):
            if name == "percent" and run.regime == "R0":  # which sees no pairs
                continue
            if getattr(config, name) != getattr(usual, name):
                words += [f"--{name}", str(getattr(config, name))]
        words += ["--folds", *map(str, config.folds)] if config.folds else []
        words += ["--dataset", config.dataset] if config.dataset else []
        return " ".join(["lrmovienet letor bench", *map(shlex.quote, words)])
