"""The corpus as a MovieNet tree: the files of each film in MovieNet's own formats.

Keys and nesting are those of the MovieNet wiki (annotation.md, data.md). Frame and shot ranges
include their last member, as MovieNet's shot files do.
"""

import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrmovienet.synthetic import world
from lrmovienet.synthetic.draw import Drawing
from lrmovienet.synthetic.plan import Film
from lrmovienet.synthetic.vocabulary import listed
from lrmovienet.synthetic.words import (
    FIRST_NAMES,
    LAST_NAMES,
    LINES,
    TITLE_ADJECTIVES,
    TITLE_NOUNS,
)
from lrmovienet.synthetic.world import Scene

FPS = 24000 / 1001
IMAGES_PER_SHOT = 3
RESOLUTION = (432, 240)


@dataclass(frozen=True)
class Shot:
    """A shot: its frames, both ends included, and the scene it belongs to (none: the titles)."""

    first: int
    last: int
    scene: int | None
    scale: str
    movement: str

    @property
    def keyframes(self) -> tuple[int, int, int]:
        """Frames at a quarter, a half and three quarters of the shot."""
        first, length = self.first, self.last - self.first
        return first + length // 4, first + length // 2, first + length * 3 // 4


def film_files(film: Film, scenes: Sequence[Scene], seed: int, frames: bool) -> dict[str, bytes]:
    """All files of a film: path inside the MovieNet tree -> content.

    Args:
        film: the film.
        scenes: its scenes, see `lrmovienet.synthetic.world.scenes`.
        seed: the corpus' seed.
        frames: whether to draw the keyframes.
    """
    rng = world.film_rng(seed, film, world.FRAMES)
    shots = _shots(len(scenes), rng)
    files = {
        f"annotation/{film.movie_id}.json": _json(_annotation(film, scenes, shots, rng)),
        f"meta/{film.movie_id}.json": _json(_meta(film, scenes, shots, rng)),
        f"shot_detection/{film.movie_id}.txt": _shot_file(shots),
    }
    if frames:
        files[f"240P/{film.movie_id}.tar"] = _tar(film, scenes, shots, rng)
    return files


def _shots(scenes: int, rng: np.random.Generator) -> list[Shot]:
    """The titles, and two or three shots a scene, one after the other without a gap."""
    scales = ("long", "full", "medium", "closeup", "extreme closeup")
    movements = ("static", "moving", "zoom in", "zoom out")
    belongs: list[int | None] = [None]
    for scene in range(scenes):
        belongs += [scene] * int(rng.integers(2, 4))
    shots, first = [], 0
    for scene_or_none in belongs:
        last = first + int(rng.integers(48, 240)) - 1
        scale, movement = scales[int(rng.integers(5))], movements[int(rng.integers(4))]
        shots.append(Shot(first, last, scene_or_none, scale, movement))
        first = last + 1
    return shots


def _annotation(
    film: Film, scenes: Sequence[Scene], shots: list[Shot], rng: np.random.Generator
) -> dict[str, Any]:
    lines = listed(LINES, "|")
    titles = _range([0], shots)
    parts: list[dict[str, Any]] = [
        {"id": f"{film.movie_id}_0000", **titles, "place_tag": None, "action_tag": None}
    ]
    story = []
    for i, scene in enumerate(scenes):
        numbers = [n for n, shot in enumerate(shots) if shot.scene == i]
        extent = _range(numbers, shots)
        concepts = {e.role: e.concept for e in scene.elements}
        parts.append(
            {
                "id": f"{film.movie_id}_{i + 1:04d}", **extent,
                "place_tag": concepts["setting"].names[0],
                "action_tag": concepts["theme"].names[0],
            }
        )  # fmt: skip
        start, end = (frame / FPS for frame in extent["frame"])
        line = {
            "shot": numbers[0],
            "duration": [start + 0.25, min(start + 2.0, end)],
            "sentences": [lines[int(rng.integers(len(lines)))]],
        }
        story.append(
            {
                "id": scene.clip_id, **extent, "duration": [start, end],
                "consistency": round(float(rng.uniform(0.8, 1.0)), 6),
                "description": scene.description, "subtitle": [line],
            }
        )  # fmt: skip
    style = [
        {"shot": n, "scale": shot.scale, "movement": shot.movement} for n, shot in enumerate(shots)
    ]
    return {
        "imdb_id": film.movie_id, "cast": None, "scene": parts, "story": story,
        "cinematic_style": {"movie": style, "trailer": None},
    }  # fmt: skip


def _range(numbers: list[int], shots: list[Shot]) -> dict[str, list[int]]:
    return {
        "shot": [numbers[0], numbers[-1]],
        "frame": [shots[numbers[0]].first, shots[numbers[-1]].last],
    }


def _meta(
    film: Film, scenes: Sequence[Scene], shots: list[Shot], rng: np.random.Generator
) -> dict[str, Any]:
    def person(number: int) -> dict[str, str]:
        first, last = (_pick(names, rng) for names in (FIRST_NAMES, LAST_NAMES))
        return {"id": f"nm99{film.index * 10 + number:06d}", "name": f"{first} {last}"}

    title = f"The {_pick(TITLE_ADJECTIVES, rng)} {_pick(TITLE_NOUNS, rng)} {film.index + 1}"
    minutes = max(1, round((shots[-1].last + 1) / FPS / 60))
    writer = person(0)
    return {
        "imdb_id": film.movie_id,
        "tmdb_id": f"99{film.index + 1:06d}",
        "douban_id": f"98{film.index + 1:06d}",
        "title": f"{title} (generated)",
        "genres": list(film.genres),
        "country": "Nowhere",
        "version": [{"runtime": f"{minutes} min", "description": ""}],
        "imdb_rating": round(float(rng.uniform(4, 9)), 1),
        "director": [person(1)],
        "writer": [{**writer, "description": "written by"}],
        "cast": [{**person(n), "character": _pick(FIRST_NAMES, rng)} for n in (2, 3, 4)],
        "overview": f"A generated film. {scenes[0].description}",
    }


def _pick(text: str, rng: np.random.Generator) -> str:
    entries = listed(text)
    return entries[int(rng.integers(len(entries)))]


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _shot_file(shots: list[Shot]) -> bytes:
    """``start end kf0 kf1 kf2``, one shot a line, the end included."""
    lines = (" ".join(map(str, (shot.first, shot.last, *shot.keyframes))) for shot in shots)
    return ("\n".join(lines) + "\n").encode()


def _tar(film: Film, scenes: Sequence[Scene], shots: list[Shot], rng: np.random.Generator) -> bytes:
    """Keyframes under MovieNet's names; nothing in the tar depends on when or where it is made."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number, shot in enumerate(shots):
            drawing = Drawing(
                RESOLUTION,
                None if shot.scene is None else scenes[shot.scene],
                film,
                shot.scale,
                rng,
            )
            for image in range(IMAGES_PER_SHOT):
                member = tarfile.TarInfo(f"{film.movie_id}/shot_{number:04d}_img_{image}.jpg")
                content = drawing.jpeg(image)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
