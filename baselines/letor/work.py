"""What a process of the track's benchmark does: train a method on a fold, and score its test."""

import io
import json
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from baselines.benchmark.work import Done, hardware, parameters
from baselines.data import Regime
from baselines.lambdamart import STOP_AT
from baselines.learning.files import placed
from baselines.learning.machine import Machine
from baselines.learning.running import SELECT_AT
from baselines.letor.methods import METHODS, Started
from baselines.letor.study import Setting, fold_seen, in_regime, levels_of
from baselines.ranker import Scores
from lrmovienet.files import sha256_file, sha256_of, write_bytes, write_json


@dataclass(frozen=True)
class Job:
    """One training."""

    fold: int
    method: str
    regime: Regime
    seed: int

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.run}.fold{self.fold}"

    @property
    def run(self) -> str:
        """What it has in common with the other folds of the same run."""
        return f"{self.method}.{self.regime}.s{self.seed}"

    @property
    def said(self) -> str:
        """The job in words."""
        return f"{self.method} {self.regime} seed {self.seed} fold {self.fold}"

    @property
    def starts_from(self) -> dict[str, "Job"]:
        """Method -> the job whose ranker it starts from: same fold, same seed."""
        return {
            of: Job(self.fold, of, METHODS[of].regimes[0], self.seed)
            for of in METHODS[self.method].starts_from
        }


@dataclass(frozen=True)
class Task:
    """A job, ready to be done by any process."""

    job: Job
    setting: Setting
    out: Path
    key: str
    """Hash of all that the ranker is made from."""
    device: str

    @property
    def log(self) -> Path:
        """Where all that is printed goes."""
        return log_of(self.out, self.job)

    @property
    def said(self) -> str:
        """The job in words."""
        return self.job.said

    def do(self) -> Done:
        """Train, score the test part, and write ``scores/NAME.npy`` and the ranker.

        Raises:
            UserError: files or options are wrong, or training came to nothing.
        """
        job, method = self.job, METHODS[self.job.method]
        seen = fold_seen(self.setting, job.fold, method.trees)
        started = {of: self._started(other) for of, other in job.starts_from.items()}
        machine = Machine(seed=job.seed, device=self.device)
        ranker = method.make(machine, levels_of(seen.data), started)
        working = self.out / ".working" / job.name / self.key
        working.mkdir(parents=True, exist_ok=True)
        begun = time.monotonic()
        ranker.fit(in_regime(seen.data, job.regime), working)
        seconds = time.monotonic() - begun
        scores = np.concatenate([ranker.score(record) for record in seen.test])
        folder = ranker_folder(self.out, job)
        # Facts of an earlier ranker must not outlive it.
        (self.out / "scores" / f"{job.name}.json").unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        ranker.save(folder)
        best = chosen_at(getattr(ranker, "metrics", []), method.trees)
        facts = {
            "key": self.key, "seconds": round(seconds, 3), "parameters": parameters(folder),
            "chosen_at": best, "date": time.strftime("%Y-%m-%d"), "hardware": hardware(self.device),
        }  # fmt: skip
        write_scores(self.out, job, scores, facts)
        shutil.rmtree(working.parent)
        return Done(best, seconds)

    def _started(self, job: Job) -> Any:
        kind = type(METHODS[job.method].make(Machine(), 2, {}))
        ranker = kind.load(ranker_folder(self.out, job))
        placed(ranker, self.device)
        return ranker


def log_of(out: Path, job: Job) -> Path:
    """Where all that a job prints goes."""
    return out / "logs" / f"{job.name}.log"


def ranker_folder(out: Path, job: Job) -> Path:
    """Where a job's ranker is."""
    return out / "rankers" / job.name


def ranker_digest(out: Path, job: Job) -> str:
    """A hash of a job's ranker: of the names and bytes of its files."""
    folder = ranker_folder(out, job)
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return sha256_of({str(path.relative_to(folder)): sha256_file(path) for path in paths})


def chosen_at(metrics: list[dict[str, Any]], trees: bool) -> float | None:
    """NDCG@20 of what was kept, on the queries that chose it; None where none chose by NDCG."""
    by = f"dev_ndcg@{STOP_AT}" if trees else SELECT_AT
    found = [entry for entry in metrics if by in entry]
    return max(found, key=lambda entry: entry[by])[SELECT_AT] if found else None


def write_scores(out: Path, job: Job, scores: Scores, facts: dict[str, Any]) -> None:
    """Keep what came of a job; the facts last, as they say that it is done."""
    content = io.BytesIO()
    np.save(content, scores, allow_pickle=False)
    write_bytes(out / "scores" / f"{job.name}.npy", content.getvalue())
    write_json(out / "scores" / f"{job.name}.json", facts)


def read_scores(
    out: Path, job: Job, key: str, documents: int
) -> tuple[Scores, dict[str, Any]] | None:
    """What came of a job, where that is there, made of the same, and of so many documents."""
    path = out / "scores" / f"{job.name}.json"
    try:
        facts = json.loads(path.read_bytes())
        scores: Scores = np.load(path.with_suffix(".npy"), allow_pickle=False)
        there = ranker_folder(out, job).is_dir()
    except (OSError, ValueError, EOFError):  # not there, or damaged: it is made again
        return None
    same = isinstance(facts, dict) and facts.get("key") == key
    return (scores, facts) if same and there and scores.shape == (documents,) else None


def options_of_method(name: str, device: str) -> dict[str, Any]:
    """All that a method's ranker is told, but for the seed; a part of the key."""
    none: Started = {}
    ranker = METHODS[name].make(Machine(device=device), 2, none)
    parts = {
        part: asdict(value)
        for part in ("config", "network_config", "options")
        if (value := getattr(ranker, part, None)) is not None
    }
    if "config" in parts:
        parts["config"]["machine"].pop("workers")
    return parts
