"""Labels as they are found, clips, and workspaces that hold them."""

import math

import numpy as np

from lrmovienet.candidates.order import Found
from lrmovienet.candidates.rules import Rules, select
from lrmovienet.runner.local import run_once
from lrmovienet.workspace import Workspace

REF = [{"ref": "tt1/shot_0000_img_0.jpg", "sha256": ""}]


def event(label, rank=0):
    return Found(label, "event", "llm", rank)


def entity(label, rank=0):
    return Found(label, "entity", "llm", rank)


def image(label, score=0.5, counts=True):
    return Found(label, "image", "tagger", 0, score, counts)


def clip(clip_id, genres=(), description="A scene."):
    return {
        "clip_id": clip_id, "movie_id": clip_id.split("_")[0], "genres": list(genres),
        "description": description,
    }  # fmt: skip


def clips_of(found):
    return [clip(clip_id) for clip_id in found]


def labels(candidates):
    return [candidate.label for candidate in candidates]


def one_clip(found, rules=None, **context):
    """A clip's candidates and what was dropped from it."""
    kept, dropped = select({"a": found}, [clip("a")], rules or Rules(), **context)
    return kept["a"], dropped["a"]


def angles(**degrees):
    """A text encoder that knows these labels only; all others are far from each other."""

    def vectors(asked):
        flat = {}
        for number, label in enumerate(asked):
            flat[label] = np.zeros(2 + len(asked), np.float32)
            if (degree := degrees.get(label)) is None:
                flat[label][2 + number] = 1
            else:
                radians = math.radians(degree)
                flat[label][:2] = math.cos(radians), math.sin(radians)
        return flat

    return vectors


def put(root, table, columns, inputs):
    """Write a table as a stage would. Returns its manifest."""
    config = {"columns": columns}
    return run_once(
        Workspace(root), table, lambda: columns, version="1", inputs=inputs, config=config
    ).manifest


def put_clips(root, clips):
    n = len(clips)
    columns = {name: [c[name] for c in clips] for name in clip("x")}
    columns |= {
        "title": [None] * n, "shot": [[0, 1]] * n, "frame": [[0, 9]] * n, "start_s": [None] * n,
        "end_s": [None] * n, "keyframes": [REF] * n,
    }  # fmt: skip
    return put(root, "clips", columns, {})


def put_films(root, casts):
    """The table films, from movie_id -> [(actor, character), …]."""
    n = len(casts)
    lists = {name: [[]] * n for name in ("genres", "notes")}
    nothing = (
        "title", "file", "stories", "shots", "frames", "fps", "fps_points", "fps_residual_s",
        "fps_worst_s", "shots_include_end", "shots_by", "frames_include_end", "frames_by", "tick_s",
        "ticks", "frames_sha256",
    )  # fmt: skip
    cast = [[{"actor": a, "character": c} for a, c in people] for people in casts.values()]
    columns = {"movie_id": list(casts), "source": ["movienet"] * n, "cast": cast, **lists}
    return put(root, "films", columns | {name: [None] * n for name in nothing}, {})


def put_image_labels(root, rows, inputs):
    """From (clip_id, label, score, frames_hit, frame_scores, threshold) rows."""
    names = ("clip_id", "label", "score", "frames_hit", "frame_scores", "threshold")
    columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    return put(root, "image_labels", columns | {"tagger": ["tagger"] * len(rows)}, inputs)


def put_text_labels(root, rows, inputs):
    """From (clip_id, label, kind, rank) rows."""
    names = ("clip_id", "label", "kind", "rank")
    columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    n = len(rows)
    columns |= {"generator": ["llm"] * n, "prompt_version": ["p"] * n}
    return put(root, "text_labels", columns, inputs)
