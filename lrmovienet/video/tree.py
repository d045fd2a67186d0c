"""A workspace's films as a MovieNet tree: annotation, meta, shot files and tars of keyframes."""

import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lrmovienet.errors import UserError
from lrmovienet.files import HashCache, json_bytes, write_if_changed
from lrmovienet.movienet.layout import PART_FILES
from lrmovienet.video.decode import Clock
from lrmovienet.video.stage import VideoStage

FOLDER = "frames"
OURS = ".ingest.json"
"""Lists the films that ingest wrote; no others are ever taken out."""


def annotation_of(
    movie_id: str, clips: list[dict[str, Any]], clock: Clock, shots: list[tuple[int, int]]
) -> dict[str, Any]:
    """A film's clips as MovieNet's annotation has them; ranges include their ends.

    A clip without times is the whole film. One that begins after the last frame that could be
    decoded keeps its frames, which are then beyond the shots, so that it is known for what it is.
    """
    story = []
    for number, clip in enumerate(clips):
        start_s, end_s = clip["start_s"], clip["end_s"]
        if start_s is None:
            start_s, end_s = 0.0, clock.seconds
        if start_s >= clock.seconds:
            first = round(start_s * clock.fps)
            frames = (first, max(first, round(end_s * clock.fps) - 1))
            overlapped = None
        else:
            frames = clock.frames_between(start_s, end_s)
            over = [n for n, (a, b) in enumerate(shots) if a <= frames[1] and frames[0] <= b]
            overlapped = [over[0], over[-1]]
            end_s = end_s if end_s < clock.seconds + 1 else clock.seconds
        story.append(
            {
                "id": f"{movie_id}_{number:04d}", "shot": overlapped, "frame": list(frames),
                "duration": [start_s, end_s], "consistency": None,
                "description": clip["description"], "subtitle": [],
            }
        )  # fmt: skip
    return {
        "imdb_id": movie_id, "cast": None, "scene": None, "story": story, "cinematic_style": None,
    }  # fmt: skip


def write_film(root: Path, movie_id: str, annotation: Any, title: str | None, genres: Any) -> None:
    """Write a film's annotation and meta, where they are not as they should be already."""
    meta = {"imdb_id": movie_id, "title": title, "genres": genres}
    for part, value in ((PART_FILES["annotation"], annotation), (PART_FILES["meta"], meta)):
        path = root / part.format(movie_id)
        data = (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
        write_if_changed(path, data)


def refuse_foreign(root: Path) -> None:
    """Raise UserError where there is a tree that this did not write, such as MovieNet's own."""
    if root.is_dir() and any(root.iterdir()) and not (root / OURS).exists():
        raise UserError(
            f"{root}: holds files that ingest did not write there. Give another --workspace, or "
            "move them away."
        )


def claim(root: Path, movie_ids: Iterable[str]) -> set[str]:
    """Note in the tree which films are ours, before any is written. Returns those of runs before.

    Raises:
        UserError: as `refuse_foreign` does.
    """
    refuse_foreign(root)
    path = root / OURS
    before = set(json.loads(path.read_bytes())["films"]) if path.exists() else set()
    write_if_changed(path, json_bytes({"films": sorted(before | set(movie_ids))}))
    return before


def remove_other_films(root: Path, before: set[str], movie_ids: Iterable[str]) -> None:
    """Take films of earlier runs out of the tree that are no longer among the videos."""
    kept = set(movie_ids)
    for path in root.glob("*/*"):
        ours = path.suffix == _FILES.get(path.parent.name, ".tar" if _is_pictures(path) else None)
        if ours and path.stem in before - kept:
            _take_out(path)
    write_if_changed(root / OURS, json_bytes({"films": sorted(kept)}))


def publish_frames(
    stage: VideoStage, film: dict[str, Any], sha256: str, root: Path, hashes: HashCache
) -> None:
    """Move a film's tar and shot file to where readers look; make them again if they are not whole.

    Until the table `films` is whole, the frames of the run before stay, so that a run that fails
    leaves both as they were.
    """
    movie_id = film["movie_id"]
    waiting = stage.frames_of(movie_id, sha256)
    pictures = f"{stage.detection.height}P"
    final = (root / pictures / f"{movie_id}.tar", root / PART_FILES["shots"].format(movie_id))
    whole = all(p.exists() for p in final) and hashes.sha256(final[0]) == film["frames_sha256"]
    if not waiting[0].exists() and not whole:
        stage.make_frames(movie_id, film["file"], sha256)
    for source, target in zip(waiting, final, strict=True):
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
    for other in root.glob("*P/*.tar"):
        if other.stem == movie_id and _is_pictures(other) and other.parent.name != pictures:
            _take_out(other)  # of a run with another --height
    shutil.rmtree(waiting[0].parent, ignore_errors=True)


_FILES = {Path(name).parent.name: Path(name).suffix for name in PART_FILES.values()}


def _take_out(path: Path) -> None:
    """Delete a file, and its folder with the last one."""
    path.unlink()
    if not any(path.parent.iterdir()):
        path.parent.rmdir()


def _is_pictures(path: Path) -> bool:
    return bool(re.fullmatch(r"\d+P", path.parent.name))
