"""`lrmovienet train …`: records and features -> a ranker under ``<workspace>/rankers/<name>/``.

Each ranker is a verb of its own, with its own options; what they share is here.
"""

import contextlib
import json
import os
import platform
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from baselines.data import Regime
from baselines.prepare import Ready, by_first
from lrmovienet import __version__
from lrmovienet.config import VerbConfig
from lrmovienet.errors import UserError
from lrmovienet.files import sha256_file, sha256_of, write_json
from lrmovienet.torchrun import is_first
from lrmovienet.workspace import Workspace

if TYPE_CHECKING:
    from baselines.data import TrainingData
    from baselines.ranker import Ranker

RANKER_VERSION = 3
"""Raised when the same data and options would give another ranker."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class TrainConfig(VerbConfig):
    """Options of every ranker's training."""

    data: Path | None = None
    """Folder of a release; it becomes the workspace first (`hydrate`). Default: the workspace as
    it is."""
    name: str | None = None
    """The ranker's folder under rankers/. Default: its kind, with regime, track, preset and seed
    where they are not the usual. A ranker of that name with other options is replaced."""


@dataclass(frozen=True)
class Job:
    """One ranker to be trained."""

    kind: str
    """Its name in `RANKERS`."""
    name: str
    """Its folder's name."""
    regime: Regime
    make: Callable[[], "Ranker"]
    """The untrained ranker; called where it has to be trained."""
    options: dict[str, Any]
    """All that makes it what it is, but for data."""
    percent: int = 0
    """Share of the target's pairs; 0 in R0."""
    after: dict[str, str] = field(default_factory=dict)
    """Rankers it starts from, in an order that may matter, and their digests."""
    events: Path | None = None
    """Folder of what is written for TensorBoard; emptied where training begins anew."""


def train(ready: Ready, job: Job) -> str:
    """Train one ranker and put it in place, unless it is there. Returns what came of it.

    Under torchrun all processes call this; the first one alone writes.

    Raises:
        UserError: a table is missing, or training came to nothing.
    """
    with _locked(ready, job.name):
        return _train(ready, job)


def _train(ready: Ready, job: Job) -> str:
    from baselines.data import training_data

    started = time.monotonic()
    workspace, store, world = ready.workspace, ready.store, ready.world
    tables = ["clips", "records"] + (["pairs"] if job.regime != "R0" else [])
    inputs = {table: workspace.require(table).digest for table in tables}
    if store:
        inputs["features"] = store.digest
    inputs |= {f"rankers/{name}": digest for name, digest in job.after.items()}
    made_from = {
        "ranker": job.kind, "ranker_version": RANKER_VERSION, "regime": job.regime,
        "percent": job.percent, "seed": seed_in(job.options), "options": job.options,
        "inputs": inputs, "after": list(job.after), "encoders": store.encoders if store else {},
    }  # fmt: skip
    key = sha256_of(made_from)
    if world.gather([is_whole(workspace.root / "rankers" / job.name, key)])[0][0]:
        return f"rankers/{job.name}: up to date"
    note = _what_goes(workspace.root / "rankers" / job.name, job)
    data = training_data(workspace, job.regime, job.percent, store)
    building = workspace.root / ".building" / "rankers" / job.name
    working = building / key
    by_first(world, lambda: _make_room(job, building, working))
    ranker = job.make()
    ranker.fit(data, working)
    manifest = {**made_from, "key": key, "processes": world.size, "code_version": __version__}

    def put() -> None:
        _put(workspace, job, ranker, manifest, started)
        shutil.rmtree(building)

    by_first(world, put)
    return f"rankers/{job.name}: {_seen(data)}, {time.monotonic() - started:.1f} s{note}"


def _what_goes(folder: Path, job: Job) -> str:
    """Words for a ranker of other options that the new one takes the place of; else nothing."""
    try:
        there = json.loads((folder / "manifest.json").read_bytes())
        same = (there["ranker"], there["options"]) == (
            job.kind,
            json.loads(json.dumps(job.options)),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return "" if same else "; it replaces one with other options (--name keeps both)"


def _make_room(job: Job, building: Path, working: Path) -> None:
    """Leave the state of a killed run of the same training, and no other."""
    building.mkdir(parents=True, exist_ok=True)
    for other in building.iterdir():
        if other != working:
            shutil.rmtree(other)
    if job.events and not working.exists():
        shutil.rmtree(job.events, ignore_errors=True)
    working.mkdir(exist_ok=True)


def _put(
    workspace: Workspace, job: Job, ranker: "Ranker", manifest: dict[str, Any], started: float
) -> None:
    # Its name begins as no ranker's does.
    whole = workspace.root / ".building" / "rankers" / f".{job.name}.whole"
    shutil.rmtree(whole, ignore_errors=True)
    ranker.save(whole)
    files = {path.name: sha256_file(path) for path in sorted(whole.iterdir())}
    manifest |= {"files": files, "digest": sha256_of(files)}
    write_json(whole / "manifest.json", manifest)
    workspace.put_in_place(whole, f"rankers/{job.name}")
    workspace.log_run(
        table=f"rankers/{job.name}", digest=manifest["digest"], processes=manifest["processes"],
        wall_s=round(time.monotonic() - started, 3), finished=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        python=platform.python_version(), platform=platform.platform(), cores=os.cpu_count(),
    )  # fmt: skip


def _seen(data: "TrainingData") -> str:
    """What a ranker learned from, in words."""
    text = f"{len(data.graded)} source records"
    if data.pairs:
        text += f", {sum(len(item.pairs) for item in data.pairs)} target pairs"
    if data.unlabelled:
        text += f", {len(data.unlabelled)} target records"
    return text


def name_of(config: TrainConfig, ranker: str, *unusual: str) -> str:
    """The folder's name: as given, or the ranker's with what is not as usual.

    Raises:
        UserError: the name cannot be a folder's.
    """
    name = config.name if config.name is not None else usual_name(config, ranker, *unusual)
    require_name(name)
    return name


def require_name(name: str) -> None:
    """Refuse a name that cannot be a folder's, with a UserError."""
    if not NAME.fullmatch(name):
        raise UserError(
            f"--name {name!r}: give letters, digits, '.', '_' and '-', a letter or digit first, "
            "100 at most."
        )


def usual_name(config: TrainConfig, ranker: str, *unusual: str) -> str:
    """The name of a ranker that was not given one."""
    seed = getattr(config, "seed", 0)
    return "-".join([ranker, *unusual, *([f"seed{seed}"] if seed else [])])


def require_seed(seed: int) -> None:
    """Refuse a negative seed, with a UserError."""
    if seed < 0:
        raise UserError(f"--seed {seed}: give 0 or more.")


def say(line: str) -> None:
    """What came of a training, on standard output; by the first process alone."""
    if is_first():
        Console().print(line, markup=False, highlight=False, soft_wrap=True)


def read_ranker(
    workspace: Workspace, name: str, device: str = "cpu"
) -> tuple["Ranker", dict[str, Any]]:
    """A trained ranker of the workspace on a device, wherever it was trained, and its manifest.

    Raises:
        UserError: there is none of that name, or its files are not those that were trained.
    """
    from baselines.ranker import ranker_class

    manifest = read_manifest(workspace, name)
    ranker = ranker_class(manifest["ranker"]).load(workspace.root / "rankers" / name)
    if device != "cpu" and ranker.uses_features:
        from baselines.learning.files import placed

        placed(ranker, device)
    return ranker, manifest


def read_manifest(workspace: Workspace, name: str) -> dict[str, Any]:
    """What a trained ranker of the workspace was made from, its files being as they were written.

    Raises:
        UserError: there is none of that name, or it is damaged.
    """
    from baselines.ranker import RANKERS

    folder = workspace.root / "rankers" / name
    path = folder / "manifest.json"
    if not NAME.fullmatch(name) or not path.exists():
        there = ", ".join(trained(workspace)) or "none yet"
        raise UserError(
            f"{workspace.root / 'rankers'}: no ranker {name!r} here (there are: {there}). Train it "
            f"first: lrmovienet train lr2ppo --workspace {workspace.root}, or another `train` verb."
        )
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        whole = manifest["ranker"] in RANKERS and is_whole(folder, manifest["key"])
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole or manifest.get("ranker_version") != RANKER_VERSION:
        raise UserError(f"{folder}: damaged, or of another version. Delete it and train again.")
    return manifest


def trained(workspace: Workspace) -> list[str]:
    """Names of the rankers in a workspace."""
    return sorted(path.parent.name for path in (workspace.root / "rankers").glob("*/manifest.json"))


def is_whole(folder: Path, key: str) -> bool:
    """Whether the ranker that `key` stands for is in a folder, with all its files as written."""
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        return bool(manifest["key"] == key) and all(
            sha256_file(folder / name) == digest for name, digest in manifest["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def seed_in(options: dict[str, Any]) -> int:
    """The seed among a ranker's options; 0 for one that draws nothing."""
    return int(options.get("machine", options).get("seed", 0))


@contextlib.contextmanager
def _locked(ready: Ready, name: str) -> Iterator[None]:
    """The ranker's lock, in the first process; the others are let in once it has it."""
    with contextlib.ExitStack() as stack:
        lock = ready.workspace.locked_for(f"rankers/{name}")
        by_first(ready.world, lambda: stack.enter_context(lock))
        yield
