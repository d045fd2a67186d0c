"""Digests of all that rankers are made from, so that results are kept only where it is the same."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from baselines.benchmark.work import ELSEWHERE
from lrmovienet.errors import UserError
from lrmovienet.files import sha256_file, sha256_of
from lrmovienet.workspace import Workspace


def of_workspace(workspace: Workspace, features: Path | None) -> dict[str, str]:
    """Digests of the tables and features that a ranker may be made from."""
    tables = ("clips", "records", "pairs")
    found = {table: workspace.manifest(table) for table in tables}
    inputs = {table: manifest.digest for table, manifest in found.items() if manifest}
    store = features or workspace.root / "features"
    if (store / "manifest.json").exists():
        from baselines.prepare import open_features

        inputs["features"] = open_features(workspace, features).digest
    return inputs


def of_method(workspace: Workspace, verb: str, config: Any) -> dict[str, str]:
    """Digests of what one method alone reads: files that an option names, taggers' scores.

    Raises:
        UserError: it is not there.
    """
    found = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name not in ELSEWHERE and isinstance(value, Path):
            found[f"--{field.name}"] = _of_path(value, field.name)
    if verb == "train image-tag":
        from baselines.image_tag import tag_inputs

        found |= tag_inputs(workspace)
    return found


def _of_path(path: Path, option: str) -> str:
    """The hash of a file, or of all files of a folder."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return sha256_of({file.relative_to(path).as_posix(): sha256_file(file) for file in files})
    if not path.is_file():
        raise UserError(f"--{option} {path}: no such file or folder.")
    return sha256_file(path)
