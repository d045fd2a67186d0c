"""What the rankers of a workspace wrote down while they were trained."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrmovienet.errors import UserError, shorten
from lrmovienet.files import sha256_of

METRICS, MANIFEST = "metrics.jsonl", "manifest.json"
X_OF = {1: "step", 2: "step", 3: "iteration"}
"""Stage -> what its evaluations are numbered by: steps of the optimizer, or PPO iterations."""
_AGAIN = "Delete the ranker's folder and train it again."
_POSITIONS = ("stage", "step", "iteration", "epoch")
_REFERENCE = "rankers/"


@dataclass(frozen=True)
class Run:
    """One trained ranker and its evaluations."""

    name: str
    """Its folder under rankers/."""
    ranker: str
    stage: int
    seed: int
    made_from: dict[str, Any]
    """All that decides the training, but for its seed and the seeds of rankers it builds on."""
    rows: tuple[tuple[int, dict[str, float]], ...]
    """(step or iteration, quantity -> value), rising."""


def read_runs(folder: Path, names: Sequence[str]) -> tuple[list[Run], list[str]]:
    """The rankers of a workspace that have training curves.

    Args:
        folder: the workspace's ``rankers``.
        names: of the rankers, in the order wanted; empty for all, by name.

    Returns:
        The rankers, and what is to be said: which were left out and why.

    Raises:
        UserError: a named ranker is not there or has no curve, or a file is damaged.
    """
    manifests = {
        path.parent.name: _read_manifest(path) for path in sorted(folder.glob(f"*/{MANIFEST}"))
    }
    there = ", ".join(manifests) or "none"
    runs, notes, without = [], list[str](), []
    for name in dict.fromkeys(names or manifests):
        if name not in manifests:
            raise UserError(
                f"{folder}: no ranker {shorten(name)} here (there are: {there}). Give a name of "
                "those, or train it first: lrmovienet train."
            )
        rows, said = _read_metrics(folder / name / METRICS)
        if isinstance(rows, str):
            if names:
                raise UserError(
                    f"{folder / name}: {rows}, so there is no curve of it. Leave it out."
                )
            without.append(f"{name} ({rows})")
            continue
        notes += said
        stage, evaluations = rows
        manifest = manifests[name]
        runs.append(
            Run(
                name, manifest["ranker"], stage, manifest["seed"],
                _seedless(name, manifests), tuple(evaluations),
            )
        )  # fmt: skip
    if without:
        notes.append(f"without a curve: {', '.join(without)}")
    return runs, notes


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_bytes())
        whole = (
            isinstance(manifest["ranker"], str)
            and type(manifest["seed"]) is int
            and isinstance(manifest.get("digest", ""), str)
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise UserError(
            f"{path}: damaged, or of another version. Delete its folder and train again."
        )
    found: dict[str, Any] = manifest
    return found


def _seedless(
    name: str, manifests: Mapping[str, dict[str, Any]], above: tuple[str, ...] = ()
) -> dict[str, Any]:
    """All that decides a ranker but its seed.

    A ranker that it started from stands in its inputs by name and digest. Both are replaced by a
    hash of what that ranker is without its seed, since stage 3 of seed 1 commonly starts from stage
    1 of seed 1. A ranker that is no longer there, or was trained anew, stays as it is named.
    """
    by_digest = {one["digest"]: other for other, one in manifests.items() if "digest" in one}

    def built_on(other: str) -> str:
        if other in (*above, name):  # in a circle: the files are of different trainings
            return other
        inner = _seedless(other, manifests, (*above, name))
        return f"{manifests[other]['ranker']} {sha256_of(inner)[:8]}"

    def cleaned_key(key: str) -> str:
        other = key.removeprefix(_REFERENCE)
        known = key.startswith(_REFERENCE) and other in manifests
        return _REFERENCE + built_on(other) if known else key

    def cleaned(value: Any) -> Any:
        if isinstance(value, dict):
            return {cleaned_key(k): cleaned(v) for k, v in value.items() if k != "seed"}
        if isinstance(value, list):
            return [cleaned(v) for v in value]
        known = isinstance(value, str) and value in by_digest
        return built_on(by_digest[value]) if known else value

    manifest = manifests[name]
    parts = ("regime", "percent", "options", "inputs", "encoders")
    return {part: cleaned(manifest[part]) for part in parts if part in manifest}


def _read_metrics(
    path: Path,
) -> tuple[tuple[int, list[tuple[int, dict[str, float]]]] | str, list[str]]:
    """(stage, evaluations), or why there are none; and what is to be said."""
    if not path.is_file():
        return f"no {METRICS}", []
    content = path.read_bytes()
    lines = content.split(b"\n")
    notes = []
    # A line's end is its last byte: what lacks it was cut, unless it reads as a whole object.
    if lines[-1] and _parsed(lines[-1]) is None:
        notes.append(f"{path.parent.name}: the last line of {METRICS} was cut off, and is left out")
        lines[-1] = b""
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    stages, rows = set[int](), list[tuple[int, dict[str, float]]]()
    for number, line in numbered:
        where = f"{path}, line {number}"
        entry = _parsed(line)
        if entry is None:
            raise UserError(f"{where}: not a JSON object: {shorten(line)}. {_AGAIN}")
        stage = entry.get("stage")
        if not rows and (stage is None or (type(stage) is int and stage not in X_OF)):
            named = "no stage" if stage is None else f"stage {stage}"
            return f"its metrics are of {named}, and LR²PPO has 1, 2 and 3", []
        if type(stage) is not int or stage not in X_OF or (stages and stage not in stages):
            before = f"; the lines before are of stage {min(stages)}" if stages else ""
            raise UserError(f"{where}: stage {shorten(stage)}{before}. {_AGAIN}")
        stages.add(stage)
        x = entry.get(X_OF[stage])
        if type(x) is not int or x < 0 or (rows and x <= rows[-1][0]):
            after = f" after {rows[-1][0]}" if rows else ""
            raise UserError(f"{where}: {X_OF[stage]} {shorten(x)}{after}. {_AGAIN}")
        rows.append((x, _quantities(entry, where)))
    if not rows:
        return "no evaluation yet", notes
    return (stages.pop(), rows), notes


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _quantities(entry: Mapping[str, Any], where: str) -> dict[str, float]:
    """The numbers of a line but for those that say where it stands. What is null is absent."""
    found = {}
    for name, value in entry.items():
        if name in _POSITIONS or value is None:
            continue
        try:
            number = math.nan if isinstance(value, bool | str) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise UserError(f"{where}: {shorten(name)} is {shorten(value)}, no number. {_AGAIN}")
        found[name] = number
    return found
