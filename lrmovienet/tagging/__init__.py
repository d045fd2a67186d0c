"""`lrmovienet tag`: keyframes -> image labels."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from lrmovienet.config import VerbConfig
from lrmovienet.errors import ItemError, UserError
from lrmovienet.files import HashCache, sha256_given
from lrmovienet.hub import model_file
from lrmovienet.keyframes import KeyframeReader, frames_root
from lrmovienet.progress import progress
from lrmovienet.runner import split
from lrmovienet.runner.local import Job, pending, run_once, run_table
from lrmovienet.tagging import precomputed
from lrmovienet.tagging.frames import ClipLabels, Frame, FrameTags, Tagger
from lrmovienet.workspace import Workspace

FLOORS = {"imagenet": 0.02, "ram_plus": 0.3, "ram": 0.3}
CHECKPOINTS = {"ram_plus": "ram_plus_swin_large_14m.pth", "ram": "ram_swin_large_14m.pth"}


@dataclass(frozen=True)
class TagConfig(VerbConfig):
    """Options of `lrmovienet tag`."""

    tagger: Literal["imagenet", "ram_plus", "ram", "precomputed"] = "imagenet"
    """What names the things in a frame: RAM++ or RAM (4,585 tags; the paper's), tags that were made
    elsewhere, or the packaged ImageNet classifier: 1000 classes, so that everything runs."""
    checkpoint: str | None = None
    """The weights of RAM++ or RAM: a path, or a hub id (owner/name or owner/name:file)."""
    tags: Path | None = None
    """For precomputed: JSON Lines, Parquet, CSV or TSV with clip_id, ref or image, and label and
    score, or tags."""
    floor: float | None = None
    """Lowest score that is kept of a frame; by default 0.02 of imagenet, 0.3 of RAM++ and RAM. Keep
    it low: `merge` has thresholds, which can be changed without tagging again."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Of RAM++ and RAM."""
    device: str = "cpu"
    """Where RAM++ and RAM run: cpu or cuda."""
    batch_size: int | None = None
    """Frames a forward pass; by default 8 of RAM++ and RAM, 1 of imagenet, which gains nothing."""
    explain: str | None = None
    """A clip's id: show its frames with their labels, and make no table."""
    shard_size: int = 64
    """Clips a part of the table. Frames are kept a batch at a time, whatever this is."""
    fail_fast: bool = False
    """Stop at the first clip that fails, instead of keeping it in the dropped rows."""


def run(config: TagConfig) -> None:
    """Make the table image_labels.

    Raises:
        UserError: there are no clips yet, an option is out of range, or a model is not there.
    """
    _check(config)
    workspace = Workspace(config.workspace)
    clips = workspace.require("clips")
    rows = workspace.read("clips", ["clip_id", "keyframes"]).to_pydict()
    if config.tagger == "precomputed":
        assert config.tags is not None  # by _check
        outcome = run_once(
            workspace,
            "image_labels",
            lambda: _precomputed(config, dict(zip(*rows.values(), strict=True))),
            version=precomputed.VERSION,
            inputs={"clips": clips.digest, "tags": sha256_given(config.tags, "tags")},
            config={"tagger": config.tagger, "tags": config.tags.name},
        )
        Console().print(str(outcome))
        return
    if config.device != "cpu":
        from lrmovienet.encoders import require_device

        require_device(config.device)
    floor = FLOORS[config.tagger] if config.floor is None else config.floor
    tagger, weights = _tagger(config, workspace)
    tags = FrameTags(workspace.root / "cache" / "frames.sqlite", tagger, floor)
    if config.explain is not None:
        _explain(config, workspace, tags, dict(zip(*rows.values(), strict=True)))
        return
    shards = split(rows, config.shard_size)
    failed: dict[str, str] = {}
    options = {"tagger": config.tagger, "floor": floor, "precision": config.precision}
    job = Job(
        table="image_labels",
        stage=ClipLabels(tags, failed),
        shards=shards,
        item="clip_id",
        inputs={"clips": clips.digest},
        config=options,
        models={tagger.name: weights},
        fail_fast=config.fail_fast,
    )
    todo = pending(workspace, job)
    frames = [f for i in todo for frames in shards[i]["keyframes"] for f in frames]
    started = time.monotonic()
    with workspace.locked():
        failed |= _make(config, workspace, tags, frames)
    job = replace(job, prepared_s=time.monotonic() - started)
    Console().print(str(run_table(workspace, job)))


def _check(config: TagConfig) -> None:
    if config.floor is not None and not 0 < config.floor <= 1:
        raise UserError(f"--floor {config.floor}: give a probability above 0, up to 1.")
    if config.batch_size is not None and config.batch_size < 1:
        raise UserError(f"--batch_size {config.batch_size}: give 1 or more.")
    ram = config.tagger in CHECKPOINTS
    if ram and config.checkpoint is None:
        raise UserError(
            f"--tagger {config.tagger} needs its weights: give --checkpoint with the path of "
            f"{CHECKPOINTS[config.tagger]}, or with a hub id (see docs/candidates.md)."
        )
    if not ram and (config.checkpoint, config.precision, config.device) != (None, "fp32", "cpu"):
        raise UserError(
            f"--checkpoint, --precision and --device are of ram_plus and ram, not {config.tagger}."
        )
    if (config.tags is None) == (config.tagger == "precomputed"):
        raise UserError("--tags FILE and --tagger precomputed belong together: give both.")
    if config.explain is not None and config.tagger == "precomputed":
        raise UserError("--explain shows what a model saw; of precomputed tags the file says it.")


def _tagger(config: TagConfig, workspace: Workspace) -> tuple[Tagger, str]:
    """The tagger and the sha256 of its weights."""
    if config.tagger == "imagenet":
        from lrmovienet.tagging.imagenet import ImageNetTagger, weights_sha256

        weights = weights_sha256()
        return ImageNetTagger(weights), weights
    from lrmovienet.tagging.ram_plus import RAM, RAM_PLUS, RamTagger

    path = model_file(str(config.checkpoint), "checkpoint", CHECKPOINTS[config.tagger])
    weights = HashCache(workspace.root / "cache" / "hashes.json").sha256(path)
    size = RAM if config.tagger == "ram" else RAM_PLUS
    return RamTagger(config.tagger, path, weights, config.precision, config.device, size), weights


def _make(
    config: TagConfig, workspace: Workspace, tags: FrameTags, frames: list[Frame]
) -> dict[str, str]:
    """Score those frames that are not known yet. Returns what failed."""
    places: dict[str, dict[str, Frame]] = {}
    for frame in frames:
        places.setdefault(frame["sha256"], {})[frame["ref"]] = frame
    known = tags.read(frames)
    waiting = {sha: list(found.values()) for sha, found in places.items() if sha not in known}
    if not waiting:
        return {}
    reader = KeyframeReader(frames_root(workspace))
    batch_size = config.batch_size or (1 if config.tagger == "imagenet" else 8)
    failed: dict[str, str] = {}
    with progress("tagging", len(waiting), "frames") as advance:
        while waiting:  # of equal pictures in several places one that can be read is enough
            tried = [found.pop(0) for found in waiting.values()]
            new = tags.make(tried, reader, batch_size, config.device, advance)
            failed = {sha: why for sha, why in failed.items() if sha not in waiting} | new
            waiting = {sha: waiting[sha] for sha in new if waiting[sha]}
    return failed


def _explain(
    config: TagConfig, workspace: Workspace, tags: FrameTags, clips: Mapping[str, list[Frame]]
) -> None:
    from lrmovienet.cards import choose
    from lrmovienet.tagging.explain import explain

    (clip_id,) = choose([str(config.explain)], list(clips), 1)
    with workspace.locked():
        failed = _make(config, workspace, tags, clips[clip_id])
    if failed:
        raise ItemError(f"{clip_id}: {next(iter(failed.values()))}")
    known = tags.read(clips[clip_id])
    entries = [known[frame["sha256"]] for frame in clips[clip_id]]
    reader = KeyframeReader(frames_root(workspace))
    png = config.workspace / "explain" / f"{clip_id}.png"
    explain(clip_id, clips[clip_id], entries, tags.tagger, reader, png)


def _precomputed(config: TagConfig, clips: Mapping[str, list[Frame]]) -> dict[str, list[Any]]:
    assert config.tags is not None
    found = precomputed.read(config.tags)
    return precomputed.image_labels(
        found, clips, f"precomputed:{config.tags.stem}", config.tags.name
    )
