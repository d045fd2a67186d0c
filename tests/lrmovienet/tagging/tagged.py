"""Workspaces with a few clips of real frames, and what `lrmovienet tag` makes of them."""

import functools
import hashlib
import io
from pathlib import Path

import cv2
from PIL import Image

from lrmovienet.cli import main
from lrmovienet.runner.local import run_once
from lrmovienet.workspace import Workspace

DEMO = Path(__file__).parents[3] / "demo"
TAKEN = {"nasa_13013.mp4": (100, 250, 40), "bigbuckbunny.mp4": (70, 100, 20)}


@functools.cache
def demo_frames():
    """Six JPEGs from the two demo films: spotlight, stage, …, then three of the rabbit."""
    found = []
    for video, numbers in TAKEN.items():
        capture = cv2.VideoCapture(str(DEMO / video))
        read = [capture.read() for _ in range(max(numbers) + 1)]
        for number in numbers:
            ok, bgr = read[number]
            assert ok
            buffer = io.BytesIO()
            image = Image.fromarray(bgr[:, :, ::-1]).resize((320, 180))
            image.save(buffer, "jpeg", quality=95)
            found.append(buffer.getvalue())
    return found


def put(root, ref, jpeg):
    """Write a frame where readers look for it; its entry in a clip's keyframes."""
    path = root / "240P" / ref
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg)
    return {"ref": ref, "sha256": hashlib.sha256(jpeg).hexdigest()}


def write_clips(root, keyframes):
    """The table clips of a new or an old workspace, from clip_id -> keyframes."""
    n = len(keyframes)
    columns = {
        "clip_id": list(keyframes), "keyframes": list(keyframes.values()),
        "movie_id": [i.split("_")[0] for i in keyframes], "title": [None] * n, "genres": [[]] * n,
        "description": ["A scene."] * n, "shot": [[0, 1]] * n, "frame": [[0, 9]] * n,
        "start_s": [None] * n, "end_s": [None] * n,
    }  # fmt: skip
    config = {"frames_root": "frames", "clips": keyframes}
    run_once(Workspace(root), "clips", lambda: columns, version="1", inputs={}, config=config)


def workspace_of(root, clips):
    """A workspace whose clips have the given JPEGs. Returns clip_id -> keyframes."""
    keyframes = {
        clip_id: [
            put(root / "frames", f"{clip_id[:3]}/shot_{clip_id[4:]}_img_{n}.jpg", jpeg)
            for n, jpeg in enumerate(jpegs)
        ]
        for clip_id, jpegs in clips.items()
    }
    write_clips(root, keyframes)
    return keyframes


def five_clips(root):
    """Six different frames in nine places, among them a clip that shows one frame twice."""
    a, b, c, d, e, f = demo_frames()
    clips = {
        "tt1_0001": [a, b], "tt2_0001": [d, e], "tt3_0001": [a, a], "tt1_0002": [c],
        "tt2_0002": [f, d],
    }  # fmt: skip
    return workspace_of(root, clips)


def tag(root, *options):
    return main(["tag", "--workspace", str(root), *map(str, options)])


def labels(root):
    return Workspace(root).read("image_labels").to_pylist()


def of_clip(root, clip_id):
    return [row for row in labels(root) if row["clip_id"] == clip_id]


def dropped(root):
    rows = Workspace(root).read_dropped("image_labels").to_pylist()
    return [(row["clip_id"], row["reason"]) for row in rows]


def written(root):
    """The bytes of all that the table consists of, the manifest among it."""
    folder = Path(root) / "image_labels"
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
