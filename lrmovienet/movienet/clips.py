"""A MovieNet tree on disk -> clips: one a story segment that has a description.

The tree is read as MovieNet's documentation gives it (movienet-tools, docs/wiki)::

    annotation/tt1210166.json   "story": [{"id", "shot", "frame", "duration", "description"}]
    meta/tt1210166.json         "title", "genres"; may be absent
    240P/tt1210166.tar          keyframes: tt1210166/shot_0060_img_0.jpg, …; or a folder

The ranges ``shot`` and ``frame`` are taken to include both their ends.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrmovienet.errors import ItemError, UserError, shorten
from lrmovienet.files import sha256_of
from lrmovienet.keyframes import FOLDERS, KeyframeReader, evenly, parse_ref
from lrmovienet.runner import Columns

MAX_JSON_BYTES = 200_000_000
"""The largest annotations, with a box for every face, have some megabytes."""
MAX_SECONDS = 1e6
"""No film lasts eleven days."""

_FILM = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
_COLUMNS = (
    "clip_id", "movie_id", "title", "genres", "description", "shot", "frame", "start_s", "end_s",
    "keyframes", "drop_reason",
)  # fmt: skip


def list_films(root: Path) -> tuple[list[Columns], dict[str, str]]:
    """The films of a tree that have stories, one shard each, and the files they were read from.

    A film whose JSON is damaged is a shard too: the stage says so when it comes to it.

    Returns:
        Shards of one row, ``movie_id, title, genres, stories, frames, damage``, in the order of
        their ids; and file -> sha256. `frames` changes with the names and sizes of the keyframes.

    Raises:
        UserError: `root` is no MovieNet tree, or has no story.
    """
    _check_root(root)
    shards: list[Columns] = []
    inputs: dict[str, str] = {}
    for path in sorted((root / "annotation").glob("[!.]*.json")):
        movie_id = path.stem
        film: dict[str, Any] = {"title": None, "genres": [], "stories": [], "damage": None}
        read: dict[str, str] = {}
        try:
            film["stories"] = _stories(movie_id, _read_json(path, root, read))
            if not film["stories"]:
                continue
            meta = root / "meta" / path.name
            if meta.exists():
                film["title"], film["genres"] = _meta(_read_json(meta, root, read))
        except ItemError as error:
            film["damage"] = f"{path.name}: {error}"
        inputs |= read
        film |= {"movie_id": movie_id, "frames": _fingerprint(root, movie_id)}
        shards.append({name: [value] for name, value in film.items()})
    if not shards:
        raise UserError(
            f"{root / 'annotation'}: no JSON file here has a story. MovieNet keeps the stories in "
            "annotation.v1; unpack it here."
        )
    return shards, inputs


@dataclass(frozen=True)
class MovieNetStage:
    """Films with their stories -> clips."""

    root: Path
    frames_per_clip: int

    @property
    def version(self) -> str:
        """Changes with every option that changes the table."""
        return f"movienet-1:{self.frames_per_clip}"

    def __call__(self, batch: Columns) -> Columns:
        """Rows of films -> rows of clips. Raises ItemError for a film with damaged files."""
        columns: Columns = {name: [] for name in _COLUMNS}
        names = ("movie_id", "title", "genres", "stories", "damage")
        for movie_id, title, genres, stories, damage in zip(
            *(batch[name] for name in names), strict=True
        ):
            if damage is not None:
                raise ItemError(damage)
            reader = KeyframeReader(self.root)
            refs = reader.refs(movie_id)
            clip_ids = [s.get("id") for s in stories if isinstance(s, dict)]
            for number, story in enumerate(stories):
                clip = _clip(movie_id, number, story, refs, clip_ids, self.frames_per_clip)
                clip["keyframes"] = [
                    {"ref": ref, "sha256": hashlib.sha256(reader.read(ref)).hexdigest()}
                    for ref in clip["keyframes"]
                ]
                clip |= {"movie_id": movie_id, "title": title, "genres": genres}
                for name in _COLUMNS:
                    columns[name].append(clip[name])
        return columns


def _clip(
    movie_id: str,
    number: int,
    story: Any,
    refs: list[str],
    clip_ids: list[Any],
    frames_per_clip: int,
) -> dict[str, Any]:
    """A story as a clip; or, where it cannot be one, with the reason and empty values."""
    clip: dict[str, Any] = {
        "clip_id": f"{movie_id}_story_{number}", "description": None, "shot": None, "frame": None,
        "start_s": None, "end_s": None, "keyframes": [], "drop_reason": None,
    }  # fmt: skip
    try:
        if not isinstance(story, dict):
            raise ValueError("the story is no JSON object")
        clip_id = story.get("id")
        if not isinstance(clip_id, str) or not re.fullmatch(
            rf"{re.escape(movie_id)}_\d+", clip_id, re.ASCII
        ):
            raise ValueError(f"the story's id is {shorten(clip_id)}, expected {movie_id}_0000")
        if clip_ids.count(clip_id) > 1:
            raise ValueError(f"the film has several stories with the id {clip_id}")
        clip["clip_id"] = clip_id
        description = story.get("description")
        if not isinstance(description, str) or not description.strip():
            raise ValueError("the story has no description")
        first, last = clip["shot"] = _range(story, "shot", 2**31)
        clip["frame"] = _range(story, "frame", 2**63)
        clip["start_s"], clip["end_s"] = _duration(story)
        clip["description"] = description.strip()
        of_shots = [ref for ref in refs if first <= parse_ref(ref)[1] <= last]
        if not of_shots:
            raise ValueError(f"none of its shots {first} to {last} has a keyframe")
        clip["keyframes"] = evenly(of_shots, frames_per_clip)
    except ValueError as error:
        clip["drop_reason"] = str(error)
    return clip


def _range(story: dict[str, Any], name: str, limit: int) -> list[int]:
    value = story.get(name)
    if isinstance(value, list) and [type(v) for v in value] == [int, int]:
        first, last = value
        if 0 <= first <= last < limit:
            return [first, last]
    raise ValueError(f"the story's {name!r} is {shorten(value)}, expected [first, last]")


def _duration(story: dict[str, Any]) -> tuple[float | None, float | None]:
    value = story.get("duration")
    if value is None:
        return None, None
    if isinstance(value, list) and len(value) == 2 and {type(v) for v in value} <= {int, float}:
        start_s, end_s = value
        if 0 <= start_s <= end_s < MAX_SECONDS:
            return float(start_s), float(end_s)
    raise ValueError(f"the story's 'duration' is {shorten(value)}, expected [start, end]")


def _check_root(root: Path) -> None:
    missing = [] if (root / "annotation").is_dir() else ["annotation/ (annotation.v1)"]
    if not any((root / folder).is_dir() for folder in FOLDERS):
        missing.append("240P/ (the 240p keyframes)")
    if missing:
        raise UserError(
            f"{root}: not a MovieNet tree; missing in it: {' and '.join(missing)}. Unpack the "
            "parts of MovieNet that you have into one folder and give that as --movienet."
        )


def _read_json(path: Path, root: Path, read: dict[str, str]) -> dict[str, Any]:
    if path.stat().st_size > MAX_JSON_BYTES:
        raise ItemError(f"larger than {MAX_JSON_BYTES} bytes; not a file of MovieNet.")
    data = path.read_bytes()
    read[str(path.relative_to(root))] = hashlib.sha256(data).hexdigest()
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ItemError(
            f"{path.parent.name}/{path.name} is not readable JSON ({error}). Copy it again."
        ) from None
    if not isinstance(value, dict):
        raise ItemError(f"{path.parent.name}/{path.name} holds no JSON object. Copy it again.")
    return value


def _stories(movie_id: str, annotation: dict[str, Any]) -> list[Any]:
    if not _FILM.fullmatch(movie_id):
        raise ItemError("the file's name is no film id such as tt1210166.")
    if annotation.get("imdb_id", movie_id) != movie_id:
        raise ItemError(f"says that it is of film {shorten(annotation['imdb_id'])}.")
    stories = annotation.get("story")
    if stories is None:
        return []
    if not isinstance(stories, list):
        raise ItemError(f"'story' is {shorten(stories)}, expected a list or null.")
    # Only what a clip is made from: a change elsewhere in a story is no reason to read it again.
    used = ("id", "shot", "frame", "duration", "description")
    return [{k: s.get(k) for k in used} if isinstance(s, dict) else s for s in stories]


def _meta(meta: dict[str, Any]) -> tuple[str | None, list[str]]:
    title, genres = meta.get("title"), meta.get("genres")
    if not isinstance(title, str | None):
        raise ItemError(f"meta: 'title' is {shorten(title)}, expected text.")
    genres = [] if genres is None else genres
    if not isinstance(genres, list) or not all(isinstance(g, str) for g in genres):
        raise ItemError(f"meta: 'genres' is {shorten(genres)}, expected a list of names.")
    return title, genres


def _fingerprint(root: Path, movie_id: str) -> str:
    """A hash of the film's keyframes' names and sizes; reading 160 GB at each run is too much."""
    for folder in FOLDERS:
        tar, extracted = root / folder / f"{movie_id}.tar", root / folder / movie_id
        if tar.exists():
            return sha256_of(["tar", tar.stat().st_size])
        if extracted.is_dir():
            return sha256_of(sorted([p.name, p.stat().st_size] for p in extracted.iterdir()))
    return "absent"
