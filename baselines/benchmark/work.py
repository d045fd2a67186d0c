"""What a process of the benchmark does: train by the verb, predict, score, and write what came."""

import importlib
import json
import os
import platform
import re
import shutil
import struct
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from lrmovienet import cli
from lrmovienet.errors import UserError
from lrmovienet.files import write_json
from lrmovienet.verbs import VERBS
from lrmovienet.workspace import Workspace

SELECT = "ndcg@20"
"""What trials are judged by, on target_dev."""
ELSEWHERE = ("workspace", "data", "name", "features")
"""Options of verbs that say where something is; what is there is known by its digests."""
WITHOUT_EFFECT = ("tensorboard", "workers", "records_at_once")
"""Options of verbs that change no ranker."""


@dataclass(frozen=True)
class Task:
    """A job, ready to be done by any process."""

    workspace: Path
    ranker: str
    """Name of the ranker."""
    verb: str
    words: tuple[str, ...]
    """What the verb is told, as on the command line."""
    out: Path
    """Where the JSON of the result goes."""
    log: Path
    """Where all that is printed goes."""
    facts: dict[str, Any]
    """What is written beside the scores: fields of `eval.result.Training`, or of a trial."""
    about: dict[str, Any]
    """Options of `lrmovienet score`: dataset, revision, regime."""
    trial: bool

    @property
    def said(self) -> str:
        """The command."""
        return f"lrmovienet {self.verb} {' '.join(self.words)}"

    def do(self) -> "Done":
        """See `do`."""
        return do(self)


@dataclass(frozen=True)
class Done:
    """What came of a task."""

    score: float | None
    """NDCG@20, on target_dev for a trial and on target_test for a run; None where it failed."""
    seconds: float | None
    """Wall time of the training."""
    failure: str = ""
    diverged: bool = False
    """Whether it failed by its options alone (`Diverged`), so that the same would fail again."""


def do(task: Task) -> Done:
    """Train, predict, score and write the result of one job.

    Raises:
        Diverged: training came to nothing.
        UserError: an option or a table is wrong, or another run holds the workspace.
    """
    config = config_of(task.verb, task.words)
    importlib.import_module(VERBS[task.verb].module).run(config)
    workspace = Workspace(task.workspace)
    seconds, before = seconds_of(workspace, task.ranker)
    split = "target_dev" if task.trial else "target_test"
    folder = _predicted(workspace, task.ranker, split, getattr(config, "features", None))
    if task.trial:
        score = judged_on_dev(workspace, task.ranker, folder)
        _remove(workspace, task.ranker, folder)
        write_json(task.out, {**task.facts, "score": score, "seconds": seconds})
        return Done(score, seconds)
    return Done(_write_result(task, workspace, folder, config, seconds, before), seconds)


def config_of(verb: str, words: tuple[str, ...]) -> Any:
    """The options of a verb, checked as those of a person are.

    Raises:
        SystemExit: 2 for a wrong option; what is wrong is on standard error.
    """
    module = importlib.import_module(VERBS[verb].module)
    return cli.parse(verb, getattr(module, VERBS[verb].config), list(words))


def _predicted(workspace: Workspace, ranker: str, split: str, features: Path | None) -> Path:
    """Make the predictions of a split, and give their folder."""
    from baselines.predict import predict

    predict(workspace, ranker, split, features)
    return workspace.root / "predictions" / split / ranker


def judged_on_dev(workspace: Workspace, ranker: str, folder: Path) -> float:
    """NDCG@20 of predictions on target_dev."""
    from lrmovienet.score import ScoreConfig, judged

    result = judged(
        ScoreConfig(
            workspace.root, predictions=[f"{ranker}={folder}"], split="target_dev", bootstrap=0
        )
    )
    mean = result.runs[0].measures[SELECT].mean
    if mean is None:
        raise UserError("target_dev: no clip counts, so nothing can be tuned. Give --trials 0.")
    return mean


def _remove(workspace: Workspace, ranker: str, predictions: Path) -> None:
    """Take a judged trial away; the ranker goes last, as all else can be made of it."""
    shutil.rmtree(predictions, ignore_errors=True)
    shutil.rmtree(workspace.root / "rankers" / ranker, ignore_errors=True)


def _write_result(
    task: Task, workspace: Workspace, folder: Path, config: Any, seconds: float | None,
    before: float | None,
) -> float | None:  # fmt: skip
    """Score a run on target_test and write the result. Returns NDCG@20."""
    from baselines.train import read_manifest
    from eval.result import ResultError, Training, to_json, write
    from lrmovienet.score import ScoreConfig, judged

    result = judged(
        ScoreConfig(
            workspace.root, predictions=[f"{task.ranker}={folder}"], split="target_test",
            **task.about,
        )
    )  # fmt: skip
    ranker = workspace.root / "rankers" / task.ranker
    training = Training(
        **task.facts, ranker=read_manifest(workspace, task.ranker)["digest"],
        parameters=parameters(ranker), seconds=seconds,
        seconds_before=before, date=time.strftime("%Y-%m-%d"),
        hardware=hardware(getattr(config, "device", "cpu")),
    )  # fmt: skip
    # Parts of gold are most of a result; they can be scored again from the predictions.
    run = replace(result.runs[0], training=training, by_genre={}, by_source={})
    try:
        write({task.out: to_json(replace(result, runs=(run,))).encode()})
    except ResultError as error:
        raise UserError(str(error)) from None
    return run.measures[SELECT].mean


def seconds_of(workspace: Workspace, ranker: str) -> tuple[float | None, float | None]:
    """Wall time of a ranker's training, and of those of all that it started from, directly or not.

    None where it is not known: ``runs.jsonl`` was removed, or the ranker came from elsewhere.
    A training that was killed and went on has the time of its last part alone.
    """
    known: dict[tuple[str, str], float] = {}
    path = workspace.root / "runs.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            entry = json.loads(line)
            known[entry["table"], entry["digest"]] = float(entry["wall_s"])
        except (ValueError, KeyError, TypeError):  # a line that a kill cut off, or another's
            continue
    found: dict[str, float | None] = {}
    todo = [ranker]
    while todo:
        name = todo.pop()
        manifest = json.loads((workspace.root / "rankers" / name / "manifest.json").read_bytes())
        found[name] = known.get((f"rankers/{name}", manifest["digest"]))
        todo += [other for other in manifest["after"] if other not in found]
    own = found.pop(ranker)
    before = [seconds for seconds in found.values() if seconds is not None]
    return own, round(sum(before), 3) if len(before) == len(found) else None


def parameters(folder: Path) -> int | None:
    """Trained numbers of a ranker: weights of its networks, leaves of its trees; None without."""
    counts = [_weights(path) for path in sorted(folder.glob("*.safetensors"))]
    # LightGBM's text form has one such line a tree.
    for path in sorted(folder.glob("*.txt")):
        leaves = re.findall(r"^num_leaves=(\d+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        counts += [sum(map(int, leaves))] if leaves else []
    return sum(counts) if counts else None


def _weights(path: Path) -> int:
    """Numbers in a file of safetensors, from its header: 8 bytes of length, then JSON."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    total = 0
    for name, tensor in header.items():
        if name != "__metadata__":
            size = 1
            for side in tensor["shape"]:
                size *= side
            total += size
    return total


def hardware(device: str) -> str:
    """The machine in words: its GPU where that was used, or else its processor."""
    if device == "cuda":
        import torch

        return str(torch.cuda.get_device_name())
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.exists() else ""
    model = re.search(r"model name\s*:\s*(.+)", text)
    return f"{model.group(1) if model else platform.machine()}, {os.cpu_count()} cores"


def plain_options(config: Any) -> dict[str, Any]:
    """All options of a verb that can change its ranker; paths by their last part."""
    return {
        field.name: _plain(getattr(config, field.name))
        for field in fields(config)
        if field.name not in (*ELSEWHERE, *WITHOUT_EFFECT)
    }


def word(value: Any) -> str:
    """A value as on the command line."""
    if isinstance(value, list):
        return " ".join(map(word, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return value.name
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value
