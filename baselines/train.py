"""`lrmovienet train`: records and features -> a ranker under ``<workspace>/rankers/<name>/``."""

import json
import os
import platform
import re
import shutil
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from baselines.data import Regime
from lrmovienet import __version__
from lrmovienet.config import VerbConfig
from lrmovienet.errors import UserError
from lrmovienet.files import sha256_file, sha256_of, write_json
from lrmovienet.workspace import Workspace

if TYPE_CHECKING:
    from baselines.ranker import Ranker

RANKER_VERSION = 2
"""Raised when the same data and options would give another ranker."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class TrainConfig(VerbConfig):
    """Options of `lrmovienet train`."""

    ranker: Literal["lr2ppo-base", "prior", "lexical", "random"] = "lr2ppo-base"
    """lr2ppo-base: stage 1 of LR²PPO; prior: a label's mean grade in training; lexical: how much of
    the label stands in the description; random: a random order."""
    regime: Regime = "R0"
    """What it may learn from: R0 source grades; R1 and some target pairs; R2 and target records."""
    percent: int = 10
    """Share of the target's pairs that R1 and R2 may use: 5, 10, 20 or 40."""
    seed: int = 0
    """Of everything random in training; 0 or more."""
    name: str | None = None
    """Its folder under rankers/. Default: the ranker's name, then the regime unless it is R0, then
    the seed unless it is 0."""
    preset: Literal["small", "paper"] = "small"
    """lr2ppo-base: numbers for the packaged encoders and a CPU, or the paper's."""
    epochs: int | None = None
    """lr2ppo-base: times through the records, instead of the preset's."""
    learning_rate: float | None = None
    """lr2ppo-base: instead of the preset's."""
    batch_size: int | None = None
    """lr2ppo-base: records a step, instead of the preset's."""
    device: str = "cpu"
    """lr2ppo-base: cpu or cuda."""


def run(config: TrainConfig) -> None:
    """Train one ranker, or say that it is there.

    Raises:
        UserError: a table is missing or an option is wrong.
    """
    outcome = train(Workspace(config.workspace), config)
    Console().print(outcome, markup=False, highlight=False, soft_wrap=True)


def train(workspace: Workspace, config: TrainConfig) -> str:
    """Train one ranker and put it in place. Returns what came of it."""
    from baselines.data import training_data
    from baselines.ranker import ranker_class
    from lrmovienet.features import FeatureStore

    started = time.monotonic()
    name = _name(config)
    kind = ranker_class(config.ranker)
    if config.regime not in kind.regimes:
        raise UserError(
            f"--regime {config.regime}: {config.ranker} learns in {', '.join(kind.regimes)} only; "
            "a row of that regime would be the same row under another name."
        )
    ranker, options = _make(config)
    with workspace.locked():
        tables = ["clips", "records"] + (["pairs"] if config.regime != "R0" else [])
        inputs = {table: workspace.require(table).digest for table in tables}
        features = FeatureStore.of(workspace) if kind.uses_features else None
        if features:
            inputs["features"] = features.digest
        made_from = {
            "ranker": config.ranker, "ranker_version": RANKER_VERSION, "regime": config.regime,
            "percent": config.percent if config.regime != "R0" else 0, "seed": config.seed,
            "options": options, "inputs": inputs,
            "encoders": features.encoders if features else {},
        }  # fmt: skip
        key = sha256_of(made_from)
        final = workspace.root / "rankers" / name
        if _is_whole(final, key):
            return f"rankers/{name}: up to date"
        data = training_data(workspace, config.regime, config.percent, features)
        building = workspace.building(f"rankers/{name}")
        for other in building.iterdir():
            if other.name != key:
                shutil.rmtree(other)
        working = building / key
        working.mkdir(exist_ok=True)
        ranker.fit(data, working)
        whole = workspace.root / ".building" / "rankers" / f"{name}.whole"
        shutil.rmtree(whole, ignore_errors=True)
        ranker.save(whole)
        files = {path.name: sha256_file(path) for path in sorted(whole.iterdir())}
        manifest = {
            **made_from, "key": key, "files": files, "digest": sha256_of(files),
            "code_version": __version__,
        }  # fmt: skip
        write_json(whole / "manifest.json", manifest)
        workspace.put_in_place(whole, f"rankers/{name}")
        shutil.rmtree(building)
        wall_s = time.monotonic() - started
        workspace.log_run(
            table=f"rankers/{name}", digest=manifest["digest"], wall_s=round(wall_s, 3),
            finished=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            python=platform.python_version(), platform=platform.platform(), cores=os.cpu_count(),
        )  # fmt: skip
    return f"rankers/{name}: {len(data.graded)} source records, {wall_s:.1f} s"


def read_ranker(workspace: Workspace, name: str) -> tuple["Ranker", dict[str, Any]]:
    """A trained ranker of the workspace, and its manifest.

    Raises:
        UserError: there is none of that name, or its files are not those that were trained.
    """
    from baselines.ranker import RANKERS, ranker_class

    folder = workspace.root / "rankers" / name
    path = folder / "manifest.json"
    if not NAME.fullmatch(name) or not path.exists():
        there = ", ".join(trained(workspace)) or "none yet"
        raise UserError(
            f"{workspace.root / 'rankers'}: no ranker {name!r} here (there are: {there}). Run "
            f"first: lrmovienet train --workspace {workspace.root} --ranker …"
        )
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        whole = manifest["ranker"] in RANKERS and _is_whole(folder, manifest["key"])
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise UserError(f"{folder}: damaged, or of another version. Delete it and train again.")
    return ranker_class(manifest["ranker"]).load(folder), manifest


def trained(workspace: Workspace) -> list[str]:
    """Names of the rankers in a workspace."""
    return sorted(path.parent.name for path in (workspace.root / "rankers").glob("*/manifest.json"))


def _name(config: TrainConfig) -> str:
    if config.seed < 0:
        raise UserError(f"--seed {config.seed}: give 0 or more.")
    parts: list[str] = [config.ranker]
    if config.regime != "R0":
        parts += [config.regime, str(config.percent)]
    if config.seed:
        parts.append(f"seed{config.seed}")
    name = config.name if config.name is not None else "-".join(parts)
    if not NAME.fullmatch(name):
        raise UserError(
            f"--name {name!r}: give letters, digits, '.', '_' and '-', a letter or digit first."
        )
    return name


def _make(config: TrainConfig) -> tuple["Ranker", dict[str, Any]]:
    """The untrained ranker, and the options that make it what it is."""
    given = {
        name: getattr(config, name)
        for name in ("epochs", "learning_rate", "batch_size")
        if getattr(config, name) is not None
    }
    if config.ranker == "lr2ppo-base":
        from baselines.lr2ppo.base import BaseRanker
        from baselines.lr2ppo.presets import PRESETS
        from lrmovienet.encoders import require_device

        require_device(config.device)
        for name, value in given.items():
            if not 0 < value < float("inf"):
                raise UserError(f"--{name} {value}: give a number above 0.")
        base = replace(PRESETS[config.preset], seed=config.seed, device=config.device, **given)
        return BaseRanker(base), asdict(base)
    if given:
        raise UserError(f"--{next(iter(given))}: the ranker {config.ranker} has no such option.")
    from baselines.floors import LexicalRanker, PriorRanker, RandomRanker

    if config.ranker == "random":
        return RandomRanker(config.seed), {}
    return (PriorRanker() if config.ranker == "prior" else LexicalRanker()), {}


def _is_whole(folder: Path, key: str) -> bool:
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        return bool(manifest["key"] == key) and all(
            sha256_file(folder / name) == digest for name, digest in manifest["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
