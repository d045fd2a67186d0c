"""`lrmovienet hydrate`: a release, and frames of one's own -> a workspace to train and score in."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from lrmovienet.config import VerbConfig
from lrmovienet.errors import UserError
from lrmovienet.files import json_bytes, sha256_of, write_if_changed
from lrmovienet.keyframes import KeyframeReader, parse_ref
from lrmovienet.leaks import BITS
from lrmovienet.progress import progress
from lrmovienet.release.join import ABSENT, HERE, KINDS, Found, coverage, join_film
from lrmovienet.release.layout import Release
from lrmovienet.runner import Columns
from lrmovienet.runner.local import run_once
from lrmovienet.schema import CLIPS, PAIRS, RECORDS, TABLES
from lrmovienet.workspace import Workspace

VERSION = "hydrate-1"
COVERAGE = "coverage.json"
THREADS = 4


@dataclass(frozen=True)
class HydrateConfig(VerbConfig):
    """Options of `lrmovienet hydrate`."""

    release: Path = Path("release")
    """Folder of the release."""
    frames: Path | None = None
    """Your copy of MovieNet, or the frames/ of a workspace of your own films. Without it, the
    workspace has texts and grades only."""
    missing: Literal["keep", "drop"] = "keep"
    """Frames that are not in your copy. keep: they stay referred to, and `encode` will name them;
    drop: they go, and clips without any frame go with their records."""
    bits: int = BITS
    """Most of 64 bits in which a frame with other bytes may look different and still be the same
    picture; needs a release with perceptual hashes."""


def run(config: HydrateConfig) -> None:
    """Make the tables clips, records and pairs, and say how much of the release is covered.

    Raises:
        UserError: there is no release, it is damaged, the frames' folder is not there or has none
            of its frames, or the workspace has tables that other verbs made.
    """
    if not 0 <= config.bits <= 64:
        raise UserError(f"--bits {config.bits}: give 0 to 64.")
    release, workspace = Release.open(config.release, "labels"), Workspace(config.workspace)
    console = Console(emoji=False)
    _refuse_others(workspace)
    clips = release.read("clips").to_pylist()
    joined: dict[str, Found] = {}
    made_with: dict[str, Any] = {"missing": config.missing}
    report: dict[str, Any] | None = None
    if config.frames is not None:
        films, problems = _join(config, clips)
        report = {**coverage(films), "problems": problems}
        console.print(_table(report))
        if not report["frames"]["joined"]:
            raise UserError(
                f"--frames {config.frames}: none of the release's {report['frames']['all']} frames "
                "is there, so nothing was made. Give the folder that holds 240P/, or none."
                + "".join(f"\n  cannot be read: {problem}" for problem in problems[:10])
            )
        for problem in problems[:10]:
            console.print(f"cannot be read: {problem}", markup=False, soft_wrap=True)
        joined = {ref: found for of_film in films.values() for ref, found in of_film.items()}
        made_with["frames_root"] = os.path.relpath(
            config.frames.resolve(), workspace.root.resolve()
        )
    tables = _tables(release, clips, joined, config.missing)
    here = [[ref, found.kind, found.ref, found.sha256] for ref, found in sorted(joined.items())]
    inputs = {"release": release.digest, "frames": sha256_of(here)}
    for name, columns in tables.items():
        made = run_once(
            workspace, name, columns.copy, version=VERSION, inputs=inputs, config=made_with
        )
        console.print(str(made), markup=False, highlight=False, soft_wrap=True)
    kept = _kept(tables["records"])
    if any(n < all_of for n, all_of in kept.values()):
        told = ", ".join(f"{n} of {all_of} records of {s}" for s, (n, all_of) in kept.items())
        console.print(
            f"left after what was dropped: {told}. Scores on these are not the release's.",
            style="yellow", markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
    if report is not None:
        report["records"] = {s: {"kept": n, "all": all_of} for s, (n, all_of) in kept.items()}
    if report is None:
        (workspace.root / COVERAGE).unlink(missing_ok=True)
    else:
        write_if_changed(workspace.root / COVERAGE, json_bytes(report))
    if release.has("features"):
        from lrmovienet.release.features import read_features

        console.print(read_features(release, workspace), markup=False, soft_wrap=True)


def hydrate_once(workspace: Workspace, folder: Path) -> None:
    """Make a workspace of a release without frames, unless it was made of it already.

    One that was made of it with frames of one's own stays as it is.

    Raises:
        UserError: there is no release, the workspace is of another with frames, or of none.
    """
    from lrmovienet.features import FeatureStore
    from lrmovienet.release.features import read_features

    release = Release.open(folder, "labels")
    made = {name: workspace.manifest(name) for name in ("clips", "records", "pairs")}
    whole = all(m is not None and m.inputs.get("release") == release.digest for m in made.values())
    if not whole:
        clips = made["clips"]
        if clips is not None and clips.stage_version == VERSION and "frames_root" in clips.config:
            raise UserError(
                f"{workspace.root}: was made of another release with frames of your own, or not "
                "wholly of this one. Give a --workspace of its own for the release, or make this "
                f"one again: lrmovienet hydrate {folder} --frames ROOT --workspace {workspace.root}"
            )
        run(HydrateConfig(workspace.root, release=folder))
    elif release.has("features"):
        try:
            FeatureStore.of(workspace)
        except UserError:  # a run that was killed before it, or features of something else
            Console().print(read_features(release, workspace), markup=False, soft_wrap=True)


def _refuse_others(workspace: Workspace) -> None:
    for name in TABLES:
        made = workspace.manifest(name) if name != "predictions" else None
        if made is not None and made.stage_version != VERSION:
            raise UserError(
                f"{workspace.folder(name)}: was made by another verb ({made.stage_version}). Give "
                "a --workspace of its own for the release."
            )


def _join(
    config: HydrateConfig, clips: list[dict[str, Any]]
) -> tuple[dict[str, dict[str, Found]], list[str]]:
    """Film -> what became of each of its frames; and what could not be read, in words."""
    if config.frames is None or not config.frames.is_dir():
        raise UserError(f"--frames {config.frames}: no such folder.")
    wanted: dict[str, dict[str, dict[str, Any]]] = {}
    for clip in clips:
        for frame in clip["keyframes"]:
            wanted.setdefault(parse_ref(frame["ref"])[0], {})[frame["ref"]] = frame
    reader = KeyframeReader(config.frames)
    films = sorted(wanted)

    problems: list[str] = []

    def look(movie_id: str) -> dict[str, Found]:
        frames = list(wanted[movie_id].values())
        return join_film(reader, movie_id, frames, config.bits, problems)

    found = {}
    with progress("frames", len(films), "films") as advance, ThreadPoolExecutor(THREADS) as pool:
        for movie_id, of_film in zip(films, pool.map(look, films), strict=True):
            found[movie_id] = of_film
            advance(1)
    return found, sorted({*problems})


def _tables(
    release: Release, clips: list[dict[str, Any]], joined: dict[str, Found], missing: str
) -> dict[str, Columns]:
    """The workspace's tables, with a ``drop_reason`` for what is left out."""
    gone: dict[str, str] = {}
    for clip in clips:
        found = [joined.get(frame["ref"]) for frame in clip["keyframes"]]
        frames = [
            {"ref": f.ref, "sha256": f.sha256} if f else {k: frame[k] for k in ("ref", "sha256")}
            for f, frame in zip(found, clip["keyframes"], strict=True)
            if not (f and f.kind in ABSENT and missing == "drop")
        ]
        if not frames:
            gone[clip["clip_id"]] = "none of its frames is in the copy"
            frames = [{k: clip["keyframes"][0][k] for k in ("ref", "sha256")}]
        clip["keyframes"] = frames
        clip["drop_reason"] = gone.get(clip["clip_id"])
    records = release.read("relevance", columns=RECORDS.schema.names).to_pylist()
    pairs = []
    if release.has("preferences"):
        pairs = release.read("preferences", columns=PAIRS.schema.names).to_pylist()
    found_rows = {"clips": clips, "records": records, "pairs": pairs}
    for rows in (records, pairs):
        for row in rows:
            row["drop_reason"] = gone.get(row["clip_id"])
    schemas = {"clips": CLIPS, "records": RECORDS, "pairs": PAIRS}
    return {
        name: {
            column: [row[column] for row in rows]
            for column in (*schemas[name].schema.names, "drop_reason")
        }
        for name, rows in found_rows.items()
    }


def _kept(records: Columns) -> dict[str, tuple[int, int]]:
    """Split -> the records that are left, of all."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    columns = ("split", "clip_id", "domain", "drop_reason")
    for split, clip_id, domain, reason in zip(*(records[c] for c in columns), strict=True):
        left, whole = found.setdefault(split, (set(), set()))
        whole.add(f"{clip_id} {domain}")
        if reason is None:
            left.add(f"{clip_id} {domain}")
    return {split: (len(left), len(whole)) for split, (left, whole) in sorted(found.items())}


def _table(report: dict[str, Any]) -> Table:
    shown = Table(title="frames of the release in your copy", title_justify="left")
    for heading in ("frames", "", "share"):
        shown.add_column(heading, justify="left" if heading == "" else "right")
    whole = report["frames"]["all"]
    for kind in (*HERE, *ABSENT):
        n = report["frames"][kind]
        shown.add_row(f"{n:,}", KINDS[kind], f"{n / whole:.1%}")
    films = report["films"]
    shown.caption = (
        f"{films['whole']} of {films['all']} films whole, {films['in part']} in part, "
        f"{films['absent']} absent"
    )
    return shown
