"""`lrmovienet encode`: every label and keyframe of the records through frozen encoders.

The work is cut in a fixed way: a shard is up to 256 texts, or 64 frames, of one film. A shard's
bytes depend on its own content only, so a killed run goes on where it was, a workspace to which
films were added encodes those only, and each of them ends with the bytes of an unbroken run.
"""

import contextlib
import hashlib
import os
import platform
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from lrmovienet import __version__
from lrmovienet.config import VerbConfig
from lrmovienet.errors import ItemError, UserError
from lrmovienet.files import sha256_file, sha256_of, write_json
from lrmovienet.progress import progress
from lrmovienet.workspace import Workspace

if TYPE_CHECKING:
    from lrmovienet.encoders import ImageEncoder, TextEncoder
    from lrmovienet.keyframes import KeyframeReader

TEXTS_A_SHARD = 256
FRAMES_A_SHARD = 64


@dataclass(frozen=True)
class EncodeConfig(VerbConfig):
    """Options of `lrmovienet encode`."""

    text_model: Path | None = None
    """Folder of a text encoder in the Hugging Face layout (the paper: RoBERTa). Without it, the
    packaged MiniLM."""
    image_model: Path | None = None
    """Folder of a vision transformer in the Hugging Face layout (the paper: ViT). Without it, the
    packaged EfficientNet-lite0."""
    max_tokens: int = 64
    """Longest text of label and description, in tokens; what is cut is the description's end."""
    max_frames: int = 16
    """Most keyframes a clip, evenly spread over it (the paper's code: the first 16)."""
    device: str = "cpu"
    """Where the encoders run: cpu or cuda. Another device can change a feature's last bit."""


def run(config: EncodeConfig) -> None:
    """Make the feature store.

    Raises:
        UserError: there are no records yet, a keyframe cannot be read, or an option is wrong.
    """
    for name in ("max_tokens", "max_frames"):
        if getattr(config, name) < 1:
            raise UserError(f"--{name} {getattr(config, name)}: give 1 or more.")
    from lrmovienet.encoders import image_encoder, require_device, text_encoder

    require_device(config.device)
    text = text_encoder(config.text_model, config.max_tokens, config.device)
    image = image_encoder(config.image_model, config.device)
    outcome = encode(Workspace(config.workspace), text, image, config.max_frames)
    Console().print(outcome, markup=False, highlight=False, soft_wrap=True)


def encode(
    workspace: Workspace, text: "TextEncoder", image: "ImageEncoder", max_frames: int
) -> str:
    """Make the feature store of a workspace with the given encoders. Returns what came of it.

    Raises:
        UserError: there is nothing to encode, or a keyframe cannot be read.
    """
    from lrmovienet.features import FILES, STORE_VERSION, is_whole, read_manifest
    from lrmovienet.keyframes import KeyframeReader, frames_root

    started = time.monotonic()
    with workspace.locked():
        reader = KeyframeReader(frames_root(workspace))
        plan = _plan(workspace, reader, max_frames)
        texts = {
            sha256_of([STORE_VERSION, text.identity, plan.texts[s.start : s.stop]]): s
            for s in plan.text_shards
        }
        frames = {
            sha256_of([STORE_VERSION, image.identity, plan.hashes[s.start : s.stop]]): s
            for s in plan.frame_shards
        }
        key = sha256_of([[*texts], [*frames], plan.rows, plan.frames_of, plan.inputs])
        final = workspace.root / "features"
        with contextlib.suppress(UserError):  # none yet, or damaged: made again below
            manifest = read_manifest(final)
            if manifest["key"] == key and is_whole(final, manifest):
                return f"features: up to date ({_counts(manifest)})"
        building = workspace.building("features")
        _take_over(final, building, {*texts, *frames})
        todo_texts = {k: s for k, s in texts.items() if not _tokens(building, k).exists()}
        todo_frames = {k: s for k, s in frames.items() if not _tokens(building, k).exists()}
        todo = sum(map(len, [*todo_texts.values(), *todo_frames.values()]))
        with progress("features", todo, "texts and frames") as advance:
            for shard_key, shard in todo_texts.items():
                _encode_texts(text, plan, shard, building, shard_key)
                advance(len(shard))
            failed: list[str] = []
            for shard_key, shard in todo_frames.items():
                failed += _encode_frames(image, plan, shard, building, shard_key, reader)
                advance(len(shard))
        _stop_on_failures(failed)
        whole = workspace.root / ".building" / "features.whole"
        shutil.rmtree(whole, ignore_errors=True)
        counts = _write(whole, building, plan, list(texts), list(frames))
        files = {name: sha256_file(whole / name) for name in FILES}
        manifest = {
            "store_version": STORE_VERSION, "code_version": __version__, "key": key,
            "inputs": plan.inputs, "files": files, "digest": sha256_of(files), "counts": counts,
            "encoders": {
                "text": {**text.identity, "dim": counts.pop("text_dim")},
                "image": {
                    **image.identity, "dim": counts.pop("frame_dim"), "max_frames": max_frames,
                },
            },
            "text_shards": [[k, len(s)] for k, s in texts.items()],
            "frame_shards": [[k, len(s)] for k, s in frames.items()],
        }  # fmt: skip
        write_json(whole / "manifest.json", manifest)
        workspace.put_in_place(whole, "features")
        shutil.rmtree(building, ignore_errors=True)
        wall_s = time.monotonic() - started
        workspace.log_run(
            table="features", digest=manifest["digest"], encoded=todo, wall_s=round(wall_s, 3),
            finished=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            python=platform.python_version(), platform=platform.platform(), cores=os.cpu_count(),
        )  # fmt: skip
    everything = len(plan.texts) + len(plan.hashes)
    kept = f"; {everything - todo} of {everything} were there" if todo < everything else ""
    return f"features: {_counts(manifest)}, {wall_s:.1f} s{kept}"


def _counts(manifest: dict[str, Any]) -> str:
    """What a store holds, and what was left out of it, in words."""
    counts = manifest["counts"]
    text = f"{counts['texts']} texts, {counts['frames']} frames"
    if counts["texts_cut"]:
        text += f"; {counts['texts_cut']} descriptions cut at --max_tokens"
    if counts["frames_left_out"]:
        text += f"; {counts['frames_left_out']} frames beyond --max_frames left out"
    return text


@dataclass(frozen=True)
class _Plan:
    """What is to be encoded, in a fixed order: by film, clip and label."""

    inputs: dict[str, str]
    texts: list[tuple[str, str]] = field(default_factory=list)
    """(label, description), each once."""
    rows: list[tuple[str, str, int]] = field(default_factory=list)
    """clip_id, label, number of its text."""
    hashes: list[str] = field(default_factory=list)
    """The sha256 of each frame, each once."""
    refs: list[str] = field(default_factory=list)
    """A reference to each frame."""
    frames_of: list[tuple[str, list[int]]] = field(default_factory=list)
    """clip_id, numbers of its frames."""
    text_shards: list[range] = field(default_factory=list)
    frame_shards: list[range] = field(default_factory=list)
    frames_left_out: list[int] = field(default_factory=list)
    """Frames of each clip beyond the most it may have."""


def _plan(workspace: Workspace, reader: "KeyframeReader", max_frames: int) -> _Plan:
    records, clips = workspace.require("records"), workspace.require("clips")
    labels: dict[str, set[str]] = {}
    rows = workspace.read("records", ["clip_id", "label"]).to_pydict()
    for clip_id, label in zip(rows["clip_id"], rows["label"], strict=True):
        labels.setdefault(clip_id, set()).add(label)
    if not labels:
        raise UserError(
            f"{workspace.folder('records')}: no records, so nothing to encode. Run lrmovienet "
            f"split --workspace {workspace.root} on a workspace with relevance grades."
        )
    columns = ["movie_id", "clip_id", "description", "keyframes"]
    wanted = [c for c in workspace.read("clips", columns).to_pylist() if c["clip_id"] in labels]
    absent = sorted(labels.keys() - {clip["clip_id"] for clip in wanted})
    if absent:
        raise UserError(
            f"{workspace.folder('records')}: {len(absent)} clips are not in the table clips, such "
            f"as {', '.join(absent[:3])}. Make the records again: lrmovienet split --workspace "
            f"{workspace.root}"
        )
    plan = _Plan({"records": records.digest, "clips": clips.digest})
    text_of: dict[tuple[str, str], int] = {}
    frame_of: dict[str, int] = {}
    film = None
    text_start = frame_start = 0
    for clip in sorted(wanted, key=lambda clip: (clip["movie_id"], clip["clip_id"])):
        if clip["movie_id"] != film:
            plan.text_shards.extend(_cut(text_start, len(plan.texts), TEXTS_A_SHARD))
            plan.frame_shards.extend(_cut(frame_start, len(plan.hashes), FRAMES_A_SHARD))
            film, text_start, frame_start = clip["movie_id"], len(plan.texts), len(plan.hashes)
        for label in sorted(labels[clip["clip_id"]]):
            text = (label, clip["description"])
            if text not in text_of:
                text_of[text] = len(plan.texts)
                plan.texts.append(text)
            plan.rows.append((clip["clip_id"], label, text_of[text]))
        chosen = spread(len(clip["keyframes"]), max_frames)
        numbers = []
        for frame in (clip["keyframes"][i] for i in chosen):
            ref = frame["ref"]
            digest = frame["sha256"] or hashlib.sha256(reader.read(ref)).hexdigest()
            if digest not in frame_of:
                frame_of[digest] = len(plan.hashes)
                plan.hashes.append(digest)
                plan.refs.append(ref)
            numbers.append(frame_of[digest])
        plan.frames_of.append((clip["clip_id"], numbers))
        plan.frames_left_out.append(len(clip["keyframes"]) - len(chosen))
    plan.text_shards.extend(_cut(text_start, len(plan.texts), TEXTS_A_SHARD))
    plan.frame_shards.extend(_cut(frame_start, len(plan.hashes), FRAMES_A_SHARD))
    return plan


def spread(count: int, most: int) -> list[int]:
    """Up to `most` of `count` places, evenly spread: the middles of `most` equal stretches."""
    if count <= most:
        return list(range(count))
    return [(2 * i + 1) * count // (2 * most) for i in range(most)]


def _cut(start: int, stop: int, size: int) -> list[range]:
    return [range(first, min(first + size, stop)) for first in range(start, stop, size)]


def _encode_texts(
    encoder: "TextEncoder", plan: _Plan, shard: range, building: Path, key: str
) -> None:
    import numpy as np

    from lrmovienet.features import save

    found = encoder(plan.texts[shard.start : shard.stop])
    shapes = [(len(f.tokens), f.label_start, f.label_end, left_out) for f, left_out in found]
    save(_shapes(building, key), np.array(shapes, dtype=np.int64))
    save(_tokens(building, key), np.concatenate([f.tokens for f, _ in found]))


def _encode_frames(
    encoder: "ImageEncoder",
    plan: _Plan,
    shard: range,
    building: Path,
    key: str,
    reader: "KeyframeReader",
) -> list[str]:
    """Encode a shard, unless a frame of it cannot be read. Returns why, for each such frame."""
    from lrmovienet.features import save

    images, failed = [], []
    for i in shard:
        try:
            images.append(reader.read(plan.refs[i], plan.hashes[i]))
        except ItemError as error:
            failed.append(str(error))
    if failed:
        return failed
    try:
        features = encoder(images)
    except ItemError:  # a batch does not say which of its images it was
        for i, image in zip(shard, images, strict=True):
            try:
                encoder([image])
            except ItemError as error:
                failed.append(f"{plan.refs[i]}: {error}")
        return failed
    save(_tokens(building, key), features)
    return []


def _stop_on_failures(failed: list[str]) -> None:
    if failed:
        more = f"\n  … and {len(failed) - 10} more" if len(failed) > 10 else ""
        raise UserError(
            f"features: {len(failed)} keyframes cannot be read; the features were not written. "
            "What succeeded is kept for the next run.\n  " + "\n  ".join(failed[:10]) + more
        )


def _tokens(building: Path, key: str) -> Path:
    """A shard's features. Written last: a shard is done when this file is there."""
    return building / f"{key}.npy"


def _shapes(building: Path, key: str) -> Path:
    """(n, 4) of each text of a shard: tokens, begin and end of the label, tokens cut off."""
    return building / f"{key}.shapes.npy"


def _write(
    whole: Path, building: Path, plan: _Plan, texts: list[str], frames: list[str]
) -> dict[str, int]:
    """Put the store together from its shards. Returns how many there are of what."""
    from lrmovienet.features import write_arrays, write_index

    counts = write_arrays(
        whole,
        [(_shapes(building, key), _tokens(building, key)) for key in texts],
        [_tokens(building, key) for key in frames],
    )
    write_index(whole, plan.rows, plan.frames_of)
    return {**counts, "frames_left_out": sum(plan.frames_left_out)}


def _take_over(final: Path, building: Path, wanted: set[str]) -> None:
    """Bring what is still right of the finished store into `building`, shard by shard."""
    from lrmovienet.features import FeatureStore, is_whole, save

    try:
        store = FeatureStore(final)
    except UserError:  # none, or damaged: nothing to take over
        return
    if not is_whole(final, store.manifest):
        return
    start = 0
    for key, count in store.manifest["text_shards"]:
        if key in wanted and not _tokens(building, key).exists():
            shapes, tokens = store.text_shard(start, start + count)
            save(_shapes(building, key), shapes)
            save(_tokens(building, key), tokens)
        start += count
    start = 0
    for key, count in store.manifest["frame_shards"]:
        if key in wanted and not _tokens(building, key).exists():
            save(_tokens(building, key), store.frame_shard(start, start + count))
        start += count
