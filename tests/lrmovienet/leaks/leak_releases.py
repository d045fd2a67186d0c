"""Small releases for the tests of `lrmovienet leaks`, and pictures that films could have."""

import hashlib
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
from PIL import Image

from lrmovienet.release.layout import CONFIGS, FORMAT, MANIFEST, Release, digest_of, path_of
from lrmovienet.release.write import write_config


def film_of(clip_id):
    return clip_id.split("_")[0]


def release_of(root: Path, clips, splits) -> Release:
    """A release.

    `clips`: id -> description, [(reference, sha256, perceptual hash or None), …]; `splits`: split
    -> clip -> its labels. Every row of a split is of the domain that the split has.
    """
    rows = {("clips", "clips"): []}
    for clip_id, (description, frames) in clips.items():
        rows["clips", "clips"].append({
            "clip_id": clip_id, "movie_id": film_of(clip_id), "title": None, "genres": [],
            "description": description, "shot": [0, 0], "frame": [0, 9], "start_s": None,
            "end_s": None,
            "keyframes": [{"ref": r, "sha256": s, "phash": p} for r, s, p in frames],
        })  # fmt: skip
    for split, of_split in splits.items():
        rows["relevance", split] = [
            {
                "clip_id": clip_id, "domain": "source" if split == "source_train" else "target",
                "split": split, "position": i, "label": label,
                "grade": None if split == "target_pairs" else 1, "movie_id": film_of(clip_id),
                "genres": [], "source": "image", "n_ratings": None, "spread": None, "method": None,
            }
            for clip_id, labels in of_split.items() for i, label in enumerate(labels)
        ]  # fmt: skip
    files = {}
    for (config, file), of_file in rows.items():
        path = root / path_of(config, file)
        write_config(path, pa.Table.from_pylist(of_file, schema=CONFIGS[config].schema))
        data = path.read_bytes()
        files[path_of(config, file)] = {"sha256": sha256(data), "bytes": len(data)}
    manifest = {
        "format": FORMAT, "version": "1.0.0", "digest": digest_of(files), "files": files,
        "splits": {},
    }  # fmt: skip
    (root / MANIFEST).write_text(json.dumps(manifest))
    return Release.open(root)


def picture(seed):
    """A picture with a few large shapes, as pixels."""
    rng = np.random.default_rng(seed)
    pixels = np.full((96, 144, 3), rng.integers(40, 200, 3), np.uint8)
    for _ in range(7):
        where = tuple(int(v) for v in (rng.integers(0, 144), rng.integers(0, 96)))
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        cv2.circle(pixels, where, int(rng.integers(10, 36)), colour, -1)
    return pixels


def jpeg(pixels, quality=95):
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=quality)
    return data.getvalue()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def tree(root, frames):
    """Write frames, reference -> bytes, as a MovieNet tree with folders."""
    for ref, data in frames.items():
        path = root / "240P" / ref
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def shared(report, first, second):
    """Kind -> how many of the second split's the first has, too."""
    (entry,) = [e for e in report["shared"] if e["splits"] == [first, second]]
    return {kind: of["shared"] for kind, of in entry.items() if kind != "splits"}
