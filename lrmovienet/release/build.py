"""`lrmovienet release build`: a workspace -> a folder that others can load, cite and rebuild."""

import datetime
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console

from lrmovienet import __version__
from lrmovienet.config import VerbConfig
from lrmovienet.errors import UserError
from lrmovienet.files import json_bytes, sha256_file, write_bytes, write_json
from lrmovienet.folders import replacing
from lrmovienet.leaks import BITS, NEAR
from lrmovienet.leaks.measure import measure
from lrmovienet.pseudonyms import fingerprint
from lrmovienet.release import card, tables
from lrmovienet.release.describe import croissant, evaluation
from lrmovienet.release.layout import (
    CARD,
    CHANGELOG,
    CROISSANT,
    EVALUATION,
    FORMAT,
    LEAKS,
    MANIFEST,
    Release,
    digest_of,
    membership,
    others,
    path_of,
)
from lrmovienet.release.origins import agreement, generated, provenance
from lrmovienet.release.versions import number, refusal
from lrmovienet.release.write import write_config
from lrmovienet.schema import SCHEMA_VERSION
from lrmovienet.splits import VERSION as SPLIT_VERSION
from lrmovienet.splits import genres_of_domains
from lrmovienet.workspace import Workspace

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,95}", re.ASCII)


@dataclass(frozen=True)
class BuildConfig(VerbConfig):
    """Options of `lrmovienet release build`."""

    out: Path = Path("release")
    """Folder of the release; an older release there is replaced when this one is whole."""
    version: str = "1.0.0"
    """Its version. Same number, same content; another test set takes another first number."""
    name: str = "lrmovienet"
    """Its name for machines: small letters, digits, '.', '_' and '-'."""
    title: str = "LRMovieNet"
    """Its name for people, on the card."""
    description: str = "Film clips with labels graded by how relevant they are to the clip."
    """What it is, in a sentence, for machines and catalogues."""
    license: str | None = None
    """The Hub's name of its licence; by default what the card's YAML says, or other: what comes
    from MovieNet has MovieNet's terms."""
    homepage: str = "https://huggingface.co/datasets"
    """Where more is to be read about it."""
    date: str | None = None
    """Day of publication, such as 2026-11-22; left out where none is given."""
    card: Path | None = None
    """A card of your own to be filled; without it, the project's DATASET_CARD.md."""
    ratings: bool = True
    """Take in what single people said, under pseudonyms."""
    features: bool = False
    """Take in the workspace's feature store, so that nobody has to encode again."""
    hash_frames: bool = False
    """Read every keyframe and keep 64 bits of how it looks: frames that look alike are then
    counted as leaks, and copies with other bytes can be told to be the same picture."""
    include_frames: Path | None = None
    """A second folder for the pictures themselves, meant for a gated repository. Films belong to
    their owners: see that you may pass them on."""
    previous: Path | None = None
    """The release before this one, for the changelog; it also says which version may follow."""


def run(config: BuildConfig) -> None:
    """Build a release.

    Raises:
        UserError: a table is missing or stale, an option is wrong, frames cannot be read, or the
            folder holds something else. An older release there stays as it is.
    """
    _refuse(config)
    console = Console(emoji=False)
    with replacing(config.out, 0, lambda out: refuse_others(out, "labels")) as building:
        previous = Release.open(config.previous, "labels") if config.previous else None
        if previous is not None and previous.version == config.version:
            raise UserError(
                f"--version {config.version}: is that of --previous. Give a higher version, or "
                "leave --previous out to build the same version again."
            )
        release = build(config, building, previous)
        if config.include_frames is not None:
            from lrmovienet.release.frames import write_frames

            frames = write_frames(release, Workspace(config.workspace), config.include_frames)
            console.print(
                f"{config.include_frames}: {frames} frames. These are pictures of films: publish "
                "them only where you may, to a gated repository of their own.",
                markup=False, soft_wrap=True,
            )  # fmt: skip
    files = release.manifest["files"].values()
    size = sum(of["bytes"] for of in files)
    console.print(
        f"{config.out}: version {release.version}, {len(files) + 1} files, {size:,} bytes, content "
        f"{release.digest[:12]}",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip


def build(config: BuildConfig, folder: Path, previous: Release | None) -> Release:
    """Write a whole release into an empty folder.

    Raises:
        UserError: as `run`.
    """
    workspace = Workspace(config.workspace)
    template = card.read_template(config.card)
    if workspace.require("records").stage_version != SPLIT_VERSION:
        raise UserError(
            f"{workspace.root}: its records were read from a release or from other files, not made "
            "by `lrmovienet split`. A release is built where its dataset was made."
        )
    workspace.require_current("records", "pairs", "relevance")
    if workspace.manifest("preferences"):
        workspace.require_current("preferences")
    head, tail = genres_of_domains(workspace)
    split = workspace.require("records").config
    content = tables.collect(workspace, config.ratings)
    if config.hash_frames:
        clips = _hashed(content.files["clips", "clips"], workspace)
        content.files["clips", "clips"] = clips
    files: dict[str, dict[str, Any]] = {}
    for (of_config, file), rows in sorted(content.files.items()):
        path = path_of(of_config, file)
        write_config(folder / path, rows)
        files[path] = {**_entry(folder / path), "rows": rows.num_rows}
    features = None
    if config.features:
        from lrmovienet.release.features import write_features

        path = path_of("features", "features")
        rows_written, features = write_features(
            folder / path, workspace, content.files["clips", "clips"]
        )
        files[path] = {**_entry(folder / path), "rows": rows_written}
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "about": {
            "name": config.name, "title": config.title, "description": config.description,
            "license": config.license or card.licence_of(template) or "other",
            "homepage": config.homepage, "date": config.date,
        },
        "version": config.version,
        "code_version": __version__,
        "schema_version": SCHEMA_VERSION,
        "protocol": split["protocol"],
        "split_options": split,
        "genres": {"head": head, "tail": tail},
        "generated": generated(workspace),
        "provenance": provenance(workspace),
        "agreement": agreement(workspace),
        "pseudonyms": fingerprint(workspace) if config.ratings else None,
        "withheld": content.withheld,
        "features": features,
        "previous": previous and {"version": previous.version, "digest": previous.digest},
        "files": files,
    }  # fmt: skip
    release = Release(folder, manifest)
    manifest["splits"] = {s: {"membership": of} for s, of in membership(release).items()}
    leaks = measure(release, NEAR, BITS)
    texts = {LEAKS: json_bytes(leaks)}
    texts[CROISSANT] = json_bytes(croissant(release))
    texts[EVALUATION] = evaluation(release).encode()
    texts[CARD] = card.fill(template, release, leaks).encode()
    if previous is not None:
        from lrmovienet.release.diff import changelog

        texts[CHANGELOG] = changelog(previous, release).encode()
    for name, text in texts.items():
        write_bytes(folder / name, text)
        files[name] = _entry(folder / name)
    manifest["digest"] = digest_of(files)
    if previous is not None and (why := refusal(manifest, previous.manifest)):
        raise UserError(f"--version {config.version} after {config.previous}: {why}")
    write_json(folder / MANIFEST, manifest)
    return release


def _entry(path: Path) -> dict[str, Any]:
    return {"sha256": sha256_file(path), "bytes": path.stat().st_size}


def _hashed(clips: pa.Table, workspace: Workspace) -> pa.Table:
    from lrmovienet.keyframes import frames_root
    from lrmovienet.release.looks import perceptual_hashes

    frames = [frame for of_clip in clips["keyframes"].to_pylist() for frame in of_clip]
    sha256 = {frame["ref"]: frame["sha256"] for frame in frames}
    looks = perceptual_hashes(frames_root(workspace), sha256)
    return tables.with_hashes(clips, [looks[frame["ref"]] for frame in frames])


def _refuse(config: BuildConfig) -> None:
    if number(config.version) is None:
        raise UserError(f"--version {config.version!r}: give three numbers, such as 1.0.0.")
    if not _NAME.fullmatch(config.name):
        raise UserError(
            f"--name {config.name!r}: give small letters, digits, '.', '_' and '-', a letter or "
            "digit first."
        )
    for option in ("title", "description", "license", "homepage"):
        value = getattr(config, option)
        if value is None:
            continue
        if not value.strip() or "\n" in value or len(value) > 300:
            raise UserError(f"--{option}: give one line of up to 300 characters.")
    if not config.homepage.startswith(("https://", "http://")):
        raise UserError(f"--homepage {config.homepage}: give an address that begins with https://.")
    if config.date is not None:
        try:
            day = datetime.date.fromisoformat(config.date).isoformat()
        except ValueError:
            day = None
        if day != config.date:  # other forms of ISO 8601 are not what the catalogues read
            raise UserError(f"--date {config.date}: give a day such as 2026-11-22.")
    if config.include_frames is not None:
        out, frames = config.out.resolve(), config.include_frames.resolve()
        if frames == out or frames in out.parents or out in frames.parents:
            raise UserError("--include_frames: give a folder of its own, not one in the release.")


def refuse_others(folder: Path, kind: str) -> None:
    """Refuse a folder with something in it that a release of that kind must not replace.

    Raises:
        UserError: it holds anything but such a release.
    """
    try:
        old = Release.open(folder)
    except UserError as error:
        raise UserError(
            f"{folder}: holds something that is no release. Give another folder. ({error})"
        ) from None
    if old.kind != kind:
        raise UserError(f"{folder}: holds a release of {old.kind}. Give another folder.")
    strangers = others(old, (".gitattributes", ".cache"))
    if strangers:
        raise UserError(
            f"{folder}: holds what does not belong to the release that is there, such as "
            f"{strangers[0]}. Take it out, or give another folder."
        )
