"""What a folder of results was made of, so that nothing of something else is mixed with it."""

import json
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, get_args

from baselines.data import Regime
from baselines.letor.methods import METHODS
from baselines.letor.work import Job
from eval.result import ResultError, Training, read
from lrmovienet.errors import UserError
from lrmovienet.files import write_json

SETTING = "setting"
"""Beside the results; it is none, and so not ``*.json``."""
_RESULT = re.compile(rf"(.+)\.({'|'.join(get_args(Regime))})\.s(\d+)")
Files = dict[str, dict[str, list[str]]]
"""Fold -> "target" and "source" -> hashes of the files that it is made of."""


def known_files(out: Path, common: dict[str, Any], files: Files) -> Files:
    """See that a folder is new, or of the same sets and options.

    Args:
        out: the folder.
        common: what all its results have in common.
        files: of the folds that are asked for; others may follow in another call.

    Returns:
        The files of all folds that are known of the folder, with those that are asked for.

    Raises:
        UserError: it is of other sets or options, or nobody can say of which.
    """
    path = out / SETTING
    if not path.exists() and not any(_results(out)):
        return files
    try:
        there = json.loads(path.read_bytes())
        known: Files = there["folds"]
        other = [name for name in common if there["common"].get(name) != common[name]]
        other += [
            side for side in ("target", "source")
            if any(known[fold][side] != files[fold][side] for fold in files if fold in known)
        ]  # fmt: skip
        every = {**known, **files}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(
            f"{path}: not readable, so nobody can say of which sets the results beside it are. "
            "Give another --out, or delete the folder."
        ) from None
    if other:
        raise UserError(
            f"{out}: holds results of other sets or options ({', '.join(other)} "
            "differ), which must not be mixed. Give another --out, or delete it."
        )
    return every


def write_setting(out: Path, common: dict[str, Any], files: Files) -> None:
    """Write down what a folder is of."""
    write_json(out / SETTING, {"common": common, "folds": files})


def require_current(
    out: Path, asked: Collection[Job], known: Files, is_current: Callable[[str, list[Job]], bool]
) -> list[Path]:
    """Results that are asked for and were made otherwise than they would be now.

    Args:
        out: the folder.
        asked: the runs that are asked for, of fold 0.
        known: as `known_files` gives them.
        is_current: from a result's key and the jobs of its folds.

    Raises:
        UserError: there are others beside them, which a table would mix with what is made now.
    """
    asked_for: list[Path] = []
    beside: list[Path] = []
    for path, job, training in _results(out):
        folds = training.options.get("folds", "").split()
        jobs = [Job(int(fold), job.method, job.regime, job.seed) for fold in folds if fold in known]
        if len(jobs) == len(folds) and is_current(training.key, jobs):
            continue
        (asked_for if job in asked else beside).append(path)
    if beside:
        more = f" and {len(beside) - 5} more" if len(beside) > 5 else ""
        names = ", ".join(path.stem for path in beside[:5])
        raise UserError(
            f"{out}: {names}{more}: made with other options of these methods than they have now, "
            "so they must not stand in one table with new ones. Ask for them too (by name, "
            "regime and --seeds), and they are made again; or delete these files, or give another "
            "--out."
        )
    return asked_for


def _results(out: Path) -> Iterator[tuple[Path, Job, Training]]:
    """The results of a folder that bear the names of runs, and say how they were trained."""
    for path in sorted(out.glob("*.json")):
        named = _RESULT.fullmatch(path.stem)
        if named is None or named[1] not in METHODS:
            continue
        regime: Any = named[2]
        try:
            training = read(path).runs[0].training
        except (ResultError, IndexError):  # `letor table` says so
            continue
        if training is not None:
            yield path, Job(0, named[1], regime, int(named[3])), training
