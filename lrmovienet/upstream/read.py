"""`lrmovienet upstream read`: files that the official LR2PPO code reads, as a workspace.

Files of `lrmovienet upstream write` come back exactly. In those of others, without our keys,

- the file says the domain (first_stage_data.json: source) and the split;
- an id is one list of tags, in whatever files it stands. A record of first_second_stage_data.json
  that first_stage_data.json has too is that source record listed again. A record that two files of
  the target list belongs to the first of them;
- a target is the grade, but in target_pairs, where only pairs are known;
- the film is the id up to its last underscore;
- a text is all of its 196 tokens, and all of them are the label's, for nothing says where it lies.

What the official code could not read, or would read wrongly without a word, is refused.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from lrmovienet.config import VerbConfig
from lrmovienet.errors import UserError
from lrmovienet.files import sha256_file
from lrmovienet.progress import progress
from lrmovienet.runner.local import run_once
from lrmovienet.upstream.layout import FEATURES, PAIRS, STAGES
from lrmovienet.workspace import Workspace

if TYPE_CHECKING:
    from lrmovienet.upstream.gather import Files
    from lrmovienet.upstream.hdf5 import Features

VERSION = "upstream-1"
TABLES = ("clips", "records", "pairs")


@dataclass(frozen=True)
class ReadConfig(VerbConfig):
    """Options of `lrmovienet upstream read`."""

    folder: Path = Path("LRMovieNet")
    """Folder of first_stage_data.json and the others, and of clean_feat.h5."""
    frames: Path | None = None
    """Root of the keyframes (it holds 240P/), where they are at hand and named as MovieNet names
    them; only `show` and `encode` with other encoders need it."""


def run(config: ReadConfig) -> None:
    """Make the tables clips, records and pairs, and the feature store.

    Raises:
        UserError: files are missing or wrong (the first ten problems are listed; nothing is
            changed), or the workspace has tables that other verbs made.
    """
    from lrmovienet.upstream.gather import gather, tables
    from lrmovienet.upstream.hdf5 import opened
    from lrmovienet.upstream.read_features import make_arrays

    started = time.monotonic()
    workspace, console = Workspace(config.workspace), Console(emoji=False)
    _refuse_others(workspace)
    made_with = {"clips": _frames_root(config)}
    with opened(config.folder / FEATURES) as features:
        with progress("checking", features.ids, "records") as advance:
            files = gather(config.folder, features, advance)
        whole = workspace.root / ".building" / "features.whole"
        with (
            workspace.locked(),
            _fresh(whole.with_name("upstream"), keep=False) as building,
            _fresh(whole, keep=True),
            progress("features", len(files.clips), "clips") as advance,
        ):
            counts = make_arrays(files, features, building, whole, advance)
    inputs = {
        name: sha256_file(config.folder / name)
        for name in (*STAGES.values(), *PAIRS.values())
        if name not in files.absent
    }
    lines = []
    for name, columns in tables(files).items():
        made = run_once(
            workspace, name, columns.copy, version=VERSION, inputs=inputs,
            config=made_with.get(name, {}),
        )  # fmt: skip
        lines.append(str(made))
    with workspace.locked():
        _put(workspace, whole, features, counts, started)
    wall_s = time.monotonic() - started
    lines.append(f"features: {counts['texts']} texts, {counts['frames']} frames, {wall_s:.1f} s")
    for line in lines + _remarks(files, features):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _frames_root(config: ReadConfig) -> dict[str, str]:
    """What the manifest of clips says of the keyframes: where they lie, from the workspace."""
    if config.frames is None:
        return {}
    if not config.frames.is_dir():
        raise UserError(f"--frames {config.frames}: no such folder.")
    return {"frames_root": os.path.relpath(config.frames.resolve(), config.workspace.resolve())}


@contextlib.contextmanager
def _fresh(folder: Path, keep: bool) -> Iterator[Path]:
    """An empty folder, which goes when the block fails, or always."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    except BaseException:
        keep = False
        raise
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _refuse_others(workspace: Workspace) -> None:
    for name in TABLES:
        manifest = workspace.manifest(name)
        if manifest and manifest.stage_version != VERSION:
            raise UserError(
                f"{workspace.root}: has a table {name!r} already, made by {manifest.stage_version}"
                ". Give another --workspace, so that it stays as it is."
            )


def _put(
    workspace: Workspace, whole: Path, features: "Features", counts: dict[str, int], started: float
) -> None:
    """Make the workspace's store of what was read, as `encode` would have made it."""
    from lrmovienet.features import FILES
    from lrmovienet.store_writer import put_store

    hashes = {name: sha256_file(whole / name) for name in FILES}
    encoders = features.encoders or {
        # Nothing says what made them: they are known by what they are.
        kind: {"name": FEATURES, "sha256": hashes[file], "dim": counts[dim]}
        for kind, file, dim in (
            ("text", "text.npy", "text_dim"),
            ("image", "frames.npy", "frame_dim"),
        )
    }
    put_store(workspace, whole, counts, encoders, started, like=features.manifest)


def _remarks(files: "Files", features: "Features") -> list[str]:
    """What was read otherwise than it stands in the files, and what was not there."""
    lines = [f"{what}: {n}" for what, n in files.counts.items() if n]
    if files.absent:
        lines.append(f"not there: {', '.join(files.absent)}")
    others = features.ids - len(files.entries)
    if others > 0:
        lines.append(f"ids in {FEATURES} that no file lists: {others}")
    if features.encoders is None:
        lines.append(
            f"{FEATURES} does not say what made it: it is known by its sha256, and each text "
            "counts as the label's from its first to its last token"
        )
    return lines
