"""Small workspaces with features that need no encoder, and files as others would make them."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lrmovienet.features import FILES, save, write_arrays, write_index
from lrmovienet.files import sha256_file, sha256_of, write_json
from lrmovienet.runner.local import run_once
from lrmovienet.schema import TABLES
from lrmovienet.workspace import Workspace

Text = tuple[np.ndarray, tuple[int, int, int]]
"""Tokens in half precision; begin and end of the label, tokens cut off."""

ENCODERS = {
    "text": {"name": "words", "sha256": "0" * 64, "max_tokens": 64},
    "image": {"name": "colours", "sha256": "1" * 64, "max_frames": 16},
}


def clip(clip_id: str, frames: int = 2, **other: Any) -> dict[str, Any]:
    film = clip_id.split("_")[0]
    keyframes = [
        {"ref": f"{film}/shot_0003_img_{i}.jpg", "sha256": f"{film}{i}".rjust(64, "0")}
        for i in range(frames)
    ]
    return {
        "clip_id": clip_id, "movie_id": film, "title": None, "genres": ["Drama"],
        "description": f"A scene of {film}.", "shot": [3, 5], "frame": [70, 95], "start_s": 2.5,
        "end_s": None, "keyframes": keyframes, **other,
    }  # fmt: skip


def record(
    clip: dict[str, Any], split: str, labels: Sequence[str], grades: Sequence[int | None]
) -> list[dict[str, Any]]:
    return [
        {
            "clip_id": clip["clip_id"],
            "domain": "source" if split == "source_train" else "target",
            "split": split, "position": i, "label": label, "grade": grade,
            "movie_id": clip["movie_id"], "genres": clip["genres"],
            "source": ("image", "event", "entity")[i % 3],
        }
        for i, (label, grade) in enumerate(zip(labels, grades, strict=True))
    ]  # fmt: skip


def put(
    root: Path,
    clips: list[dict[str, Any]],
    records: list[dict[str, Any]],
    pairs: list[dict[str, Any]],
) -> Workspace:
    """A workspace with these rows."""
    workspace = Workspace(root)
    for table, rows in (("clips", clips), ("records", records), ("pairs", pairs)):
        columns = {name: [row[name] for row in rows] for name in TABLES[table].schema.names}
        run_once(workspace, table, columns.copy, version=str(rows), inputs={}, config={})
    return workspace


def number(*what: object) -> np.random.Generator:
    """Random numbers that are the same for the same thing."""
    return np.random.default_rng(int(sha256_of([str(w) for w in what])[:12], 16))


def text_of(label: str, description: str, dim: int, most: int = 7) -> Text:
    draw = number("text", label, description)
    n = int(draw.integers(2, most + 1))
    start = int(draw.integers(0, n - 1))
    end = int(draw.integers(start + 1, n + 1))
    return draw.normal(size=(n, dim)).astype(np.float16), (start, end, int(draw.integers(0, 3)))


def features(
    workspace: Workspace,
    dims: tuple[int, int] = (768, 768),
    text: Callable[[str, str, int], Text] = text_of,
    frames: Callable[[int], int] = lambda n: n,
) -> None:
    """A feature store as `encode` lays it out: by film, clip and label, equal things once."""
    shards = workspace.root / "shards"
    shards.mkdir(exist_ok=True)
    wanted: dict[str, set[str]] = {}
    for row in workspace.read("records").to_pylist():
        wanted.setdefault(row["clip_id"], set()).add(row["label"])
    clips = sorted(workspace.read("clips").to_pylist(), key=lambda c: (c["movie_id"], c["clip_id"]))
    text_of: dict[tuple[str, str], int] = {}
    frame_of: dict[str, int] = {}
    rows, frames_of, spans, tokens, pictures, left_out = [], [], [], [], [], 0
    for one in (c for c in clips if c["clip_id"] in wanted):
        for label in sorted(wanted[one["clip_id"]]):
            key = (label, one["description"])
            if key not in text_of:
                text_of[key] = len(text_of)
                found, span = text(*key, dims[0])
                tokens.append(found)
                spans.append((len(found), *span))
            rows.append((one["clip_id"], label, text_of[key]))
        kept = frames(len(one["keyframes"]))
        left_out += len(one["keyframes"]) - kept
        for frame in one["keyframes"][:kept]:
            if frame["sha256"] not in frame_of:
                frame_of[frame["sha256"]] = len(frame_of)
                pictures.append(number(frame["sha256"]).normal(size=dims[1]).astype(np.float16))
        frames_of.append((one["clip_id"], [frame_of[f["sha256"]] for f in one["keyframes"][:kept]]))
    save(shards / "spans.npy", np.array(spans, np.int64))
    save(shards / "tokens.npy", np.concatenate(tokens))
    save(shards / "frames.npy", np.array(pictures, np.float16).reshape(-1, dims[1]))
    folder = workspace.root / "features"
    counts = write_arrays(
        folder, [(shards / "spans.npy", shards / "tokens.npy")], [shards / "frames.npy"]
    )
    write_index(folder, rows, frames_of)
    encoders = {
        kind: {**ENCODERS[kind], "dim": counts.pop(name)}
        for kind, name in (("text", "text_dim"), ("image", "frame_dim"))
    }
    hashes = {name: sha256_file(folder / name) for name in FILES}
    write_json(folder / "manifest.json", {
        "store_version": 1, "key": "k", "files": hashes, "digest": sha256_of(hashes),
        "inputs": {name: workspace.require(name).digest for name in ("records", "clips")},
        "counts": {**counts, "frames_left_out": left_out}, "encoders": encoders,
        "text_shards": [["s", counts["texts"]]], "frame_shards": [["f", counts["frames"]]],
    })  # fmt: skip


def films(root: Path, dims: tuple[int, int] = (768, 768)) -> Workspace:
    """Four clips in every split; the first has a source and a target record."""
    a, b, c, d = clip("a_0"), clip("a_1", 1), clip("b_0", 3, title="B"), clip("c_0", 1)
    workspace = put(
        root,
        [a, b, c, d],
        [
            *record(a, "source_train", ["dog", "rain", "sea"], [2, 0, 1]),
            *record(a, "target_pairs", ["fear", "love", "war"], [None] * 3),
            *record(b, "source_train", ["dog", "car"], [1, 1]),
            *record(c, "target_dev", ["love", "gun"], [0, 2]),
            *record(d, "target_test", ["war", "fear", "gun"], [1, 2, 0]),
        ],
        [
            {"clip_id": "a_0", "better": "war", "worse": "love", "percent": 5},
            {"clip_id": "a_0", "better": "fear", "worse": "love", "percent": 20},
            {"clip_id": "a_0", "better": "war", "worse": "fear", "percent": 40},
        ],
    )
    features(workspace, dims)
    return workspace


def theirs(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The official files as the official project would have them: no key of ours."""

    def item(name: str, tags: str, targets: Sequence[object], **more: Any) -> dict[str, Any]:
        return {
            "id": name, "filename": f"{name}.mp4", "description": f"What happens in {name}.",
            "tags": [{"tag": t, "target": g} for t, g in zip(tags.split(), targets, strict=True)],
            "image": [f"frames/{name}/0.jpg", f"frames/{name}/1.jpg"], **more,
        }  # fmt: skip

    files = {
        "first_stage_data": [item("m1_0001", "dog rain sea", [2, 0, 1])],
        "first_second_stage_data": [item("m2_0001", "fear love war", [1, 0, 2])],
        "val_data": [item("m3_0001", "love gun", [0, 2])],
        "test_data": [item("m4_0001", "war fear", [1, 2])],
        "first_second_data_pair/first_second_data_pair_10pct": [
            item("m2_0001", "fear love war", [1, 0, 2], index=[[2, 1], [0, 1]]),
            item("m1_0001", "dog rain sea", [2, 0, 1], index=[[0, 1]]),
        ],
    }
    with h5py.File(_parent(folder / "clean_feat.h5"), "w") as file:
        for one in [i for items in list(files.values())[:4] for i in items]:
            draw = number(one["id"])
            shape = (len(one["tags"]), 196, 768)
            file[f"{one['id']}/text_emb"] = draw.normal(size=shape).astype(np.float32)
            file[f"{one['id']}/img_emb"] = draw.normal(size=(1, 2, 768)).astype(np.float32)
    write_items(folder, files)
    return files


def write_items(folder: Path, files: dict[str, list[dict[str, Any]]]) -> None:
    for name, items in files.items():
        _parent(folder / f"{name}.json").write_text(json.dumps(items, indent=1))


def _parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
