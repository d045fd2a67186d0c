"""A small workspace with real tables and a real feature store, by encoders without models."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lrmovienet.encode import encode
from lrmovienet.encoders import EncodedText, TokenFeatures
from lrmovienet.files import write_bytes
from lrmovienet.runner.local import run_once
from lrmovienet.workspace import Workspace

WORDS = [
    "dog", "car", "rain", "fear", "man", "house", "night", "love", "gun", "sea", "tree", "road",
    "king", "fire", "snow", "boat",
]  # fmt: skip
TEXT_DIM, FRAME_DIM = 12, 8


def vector(name: str, dim: int) -> np.ndarray:
    """The vector of a word or picture: random, and always the same."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).normal(size=dim)


class Words:
    """One vector a word."""

    def __init__(self, name: str = "words", scale: float = 1.0) -> None:
        self.identity: dict[str, Any] = {"name": name, "sha256": "0" * 64, "max_tokens": 64}
        self.scale = scale

    def __call__(self, texts):
        found = []
        for label, description in texts:
            words = [*label.split(), *description.split()]
            tokens = np.array([vector(word, TEXT_DIM) for word in words]) * self.scale
            features = TokenFeatures(tokens.astype(np.float16), 0, len(label.split()))
            found.append(EncodedText(features, 0))
        return found


class Pictures:
    """One vector a picture."""

    identity: dict[str, Any] = {"name": "pictures", "sha256": "1" * 64}  # noqa: RUF012

    def __call__(self, images):
        found = [vector(hashlib.sha256(image).hexdigest(), FRAME_DIM) for image in images]
        return np.array(found, np.float16)


def grade_of(label: str, description: str) -> int:
    """A rule a model can learn from the features: some words matter."""
    return 2 * (label in WORDS[:5]) or int(label in description.split())


def fill(root: Path, films: int = 8, words: Words | None = None) -> Workspace:
    """A workspace of two clips a film. A clip has a source and a target record.

    Films 0, 4, … give target_dev, 1, 5, … target_test, the others target_pairs.
    """
    rng = np.random.default_rng(0)
    workspace = Workspace(root)
    tables: dict[str, list[dict[str, Any]]] = {"clips": [], "records": [], "pairs": []}
    for film in range(films):
        for scene in range(2):
            clip_id = f"tt{film}_{scene:04d}"
            description = " ".join(rng.choice(WORDS, rng.integers(3, 9)))
            keyframes = []
            for i in range(int(rng.integers(1, 4))):
                data = io.BytesIO()
                colour = tuple(int(c) for c in rng.integers(0, 256, 3))
                Image.new("RGB", (16, 16), colour).save(data, "JPEG")
                ref = f"tt{film}/shot_{scene:04d}_img_{i}.jpg"
                write_bytes(root / "frames" / "240P" / ref, data.getvalue())
                digest = hashlib.sha256(data.getvalue()).hexdigest()
                keyframes.append({"ref": ref, "sha256": digest})
            tables["clips"].append({
                "clip_id": clip_id, "movie_id": f"tt{film}", "title": None, "genres": ["Drama"],
                "description": description, "shot": [0, 1], "frame": [0, 9], "start_s": None,
                "end_s": None, "keyframes": keyframes,
            })  # fmt: skip
            labels = [str(w) for w in rng.permutation(WORDS)[: rng.integers(6, 13)]]
            held = ["target_dev", "target_test", "target_pairs", "target_pairs"][film % 4]
            for domain, split, own in (
                ("source", "source_train", labels[::2]), ("target", held, labels[1::2]),
            ):  # fmt: skip
                for position, label in enumerate(own):
                    grade = grade_of(label, description)
                    tables["records"].append({
                        "clip_id": clip_id, "domain": domain, "split": split, "position": position,
                        "label": label, "grade": None if split == "target_pairs" else grade,
                        "movie_id": f"tt{film}", "genres": ["Drama"],
                        "source": ("image", "event", "entity")[position % 3],
                    })  # fmt: skip
            if held == "target_pairs":
                ranked = sorted(labels[1::2], key=lambda w: -grade_of(w, description))
                for percent, worse in zip((5, 10, 20, 40), ranked[1:], strict=False):
                    tables["pairs"].append({
                        "clip_id": clip_id, "better": ranked[0], "worse": worse,
                        "percent": percent,
                    })  # fmt: skip
    for name, rows in tables.items():
        write_table(workspace, name, rows)
    encode(workspace, words or Words(), Pictures(), 16)
    return workspace


def write_table(workspace: Workspace, name: str, rows: list[dict[str, Any]]) -> None:
    columns = {column: [row[column] for row in rows] for column in rows[0]}
    config = {"frames_root": "frames"} if name == "clips" else {}
    run_once(workspace, name, lambda: columns, version=str(rows), inputs={}, config=config)
