"""Releases of a few rows and films of a few pictures, written by hand for the tests."""

import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
from PIL import Image

from lrmovienet.cli import main
from lrmovienet.encoders import EncodedText, TokenFeatures
from lrmovienet.phash import phash
from lrmovienet.release.layout import (
    CONFIGS,
    FORMAT,
    MANIFEST,
    Release,
    digest_of,
    membership,
    path_of,
)
from lrmovienet.release.write import write_config
from lrmovienet.workspace import Workspace


def picture(seed, quality=95):
    """A JPEG with a few large shapes; another seed, another picture."""
    rng = np.random.default_rng(seed)
    pixels = np.full((96, 144, 3), rng.integers(40, 200, 3), np.uint8)
    for _ in range(7):
        where = (int(rng.integers(0, 144)), int(rng.integers(0, 96)))
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        cv2.circle(pixels, where, int(rng.integers(10, 36)), colour, -1)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=quality)
    return data.getvalue()


def again(jpeg, quality=50):
    """A picture encoded anew."""
    data = io.BytesIO()
    Image.open(io.BytesIO(jpeg)).save(data, "JPEG", quality=quality)
    return data.getvalue()


def differ(a, b):
    """In how many bits two pictures' looks differ."""
    return bin(phash(a) ^ phash(b)).count("1")


def look(jpeg):
    return f"{phash(jpeg):016x}"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def ref(film, shot, img=0):
    return f"{film}/shot_{shot:04d}_img_{img}.jpg"


def put_frames(root: Path, frames, layout="folders") -> Path:
    """Write pictures, reference -> bytes, as people keep MovieNet's."""
    films = sorted({name.split("/")[0] for name in frames})
    if layout == "folders":
        for name, data in frames.items():
            path = root / "240P" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return root
    (root / "240P").mkdir(parents=True, exist_ok=True)
    for film in films:
        with tarfile.open(root / "240P" / f"{film}.tar", "w") as tar:
            for name in sorted(n for n in frames if n.startswith(f"{film}/")):
                info = tarfile.TarInfo(name)
                info.size = len(frames[name])
                tar.addfile(info, io.BytesIO(frames[name]))
    if layout == "zip":
        tars = sorted((root / "240P").iterdir())
        with zipfile.ZipFile(root / "movie1K.keyframes.240p.v1.zip", "w") as archive:
            for path in tars:
                archive.write(path, f"240P/{path.name}")
                path.unlink()
        (root / "240P").rmdir()
    return root


def clip(clip_id, frames=(), **changed):
    """A row of clips. `frames`: (reference, bytes) or (reference, sha256, perceptual hash)."""
    found = [
        (f[0], sha256(f[1]), look(f[1])) if isinstance(f[1], bytes) else f
        for f in frames or [(ref(clip_id.split("_")[0], int(clip_id[-4:])), "0" * 64, None)]
    ]
    return {
        "clip_id": clip_id, "movie_id": clip_id.split("_")[0], "title": "A film",
        "genres": ["Drama"], "description": f"What happens in {clip_id}.", "shot": [0, 1],
        "frame": [0, 9], "start_s": 1.0, "end_s": 2.5,
        "keyframes": [{"ref": r, "sha256": s, "phash": p} for r, s, p in found], **changed,
    }  # fmt: skip


def record(clip_id, split, labels, **changed):
    """Rows of relevance: label -> grade (None in target_pairs)."""
    domain = "source" if split == "source_train" else "target"
    return [
        {
            "clip_id": clip_id, "domain": domain, "split": split, "position": i, "label": label,
            "grade": grade, "movie_id": clip_id.split("_")[0], "genres": ["Drama"],
            "source": "image", "n_ratings": None if grade is None else 3,
            "spread": None if grade is None else 0,
            "method": None if grade is None else "median", **changed,
        }
        for i, (label, grade) in enumerate(labels.items())
    ]  # fmt: skip


def pair(clip_id, better, worse, percent):
    return {"clip_id": clip_id, "better": better, "worse": worse, "percent": percent, "n": 1,
            "agreement": 1.0}  # fmt: skip


def write_release(root: Path, clips, relevance, pairs=(), version="1.0.0", **manifest) -> Release:
    """Write rows as a release; `manifest` adds to its manifest or takes the place of a part."""
    rows = {("clips", "clips"): sorted(clips, key=lambda row: row["clip_id"])}
    order = ("clip_id", "domain", "position")
    for row in sorted(relevance, key=lambda row: [row[name] for name in order]):
        rows.setdefault(("relevance", row["split"]), []).append(row)
    for row in sorted(pairs, key=lambda row: [row[n] for n in ("clip_id", "better", "worse")]):
        rows.setdefault(("preferences", f"pct{row['percent']}"), []).append(row)
    files = {}
    for (config, file), of_file in rows.items():
        path = root / path_of(config, file)
        write_config(path, pa.Table.from_pylist(of_file, schema=CONFIGS[config].schema))
        files[path_of(config, file)] = {
            "sha256": sha256(path.read_bytes()), "bytes": path.stat().st_size,
            "rows": len(of_file),
        }  # fmt: skip
    content = {
        "format": FORMAT, "version": version, "protocol": "strict", "files": files,
        "about": {"title": "Tiny", "name": "tiny", "date": None}, "digest": digest_of(files),
    } | manifest  # fmt: skip
    release = Release(root, content)
    content["splits"] = {s: {"membership": m} for s, m in membership(release).items()}
    (root / MANIFEST).write_text(json.dumps(content))
    return Release.open(root)


class Words:
    """A text encoder without a model: a vector a word, cut after `longest` words."""

    def __init__(self, name="words", longest=8):
        self.identity = {"name": name, "sha256": "0" * 64, "max_tokens": longest}
        self.longest = longest

    def __call__(self, texts):
        found = []
        for label, description in texts:
            mine, others = label.split(), description.split()
            words = [*mine, *others][: self.longest]
            tokens = np.array([vector(word, 6) for word in words], np.float16)
            cut = len(mine) + len(others) - len(words)
            found.append(EncodedText(TokenFeatures(tokens, 0, len(mine)), cut))
        return found


class Pictures:
    """An image encoder without a model: a vector a picture."""

    identity = {"name": "pictures", "sha256": "1" * 64}  # noqa: RUF012

    def __call__(self, images):
        return np.array([vector(sha256(image), 5) for image in images], np.float16)


def vector(name, dim):
    """Random, and always the same; with a subnormal and a negative zero among its numbers."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    numbers = np.random.default_rng(seed).normal(size=dim)
    numbers[:2] = (6e-8, -0.0) if seed % 2 else numbers[:2]
    return numbers


def hydrate(release, workspace, *options):
    """Run the verb as on the command line."""
    argv = ["hydrate", str(release), "--workspace", str(workspace), *map(str, options)]
    assert main(argv) == 0
    return Workspace(workspace)


def refused(capsys, *argv, verb="hydrate"):
    """What a verb says that does not do what it is asked."""
    capsys.readouterr()
    assert main([verb, *map(str, argv)]) == 2
    return " ".join(capsys.readouterr().err.split())


def coverage(workspace):
    return json.loads((workspace.root / "coverage.json").read_bytes())


def rows(workspace, table):
    """A workspace's rows, by their key."""
    names = {"clips": ("clip_id",), "records": ("clip_id", "domain", "position"),
             "pairs": ("clip_id", "better", "worse")}[table]  # fmt: skip
    return sorted(workspace.read(table).to_pylist(), key=lambda row: [row[n] for n in names])
