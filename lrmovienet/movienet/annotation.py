"""MovieNet's files of one film -> what a clip needs of them.

Formats as in movienet-tools, docs/wiki/annotation.md and data.md, and, for shot files,
``start end kf0 kf1 kf2``, one shot a line, the end included. What they say is not trusted: a field
may be missing, null, of another type or absurd.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from lrmovienet.errors import ItemError, shorten
from lrmovienet.movienet.ranges import FrameRate, Point, Range, Votes, fit_fps, vote

MAX_SHOT, MAX_FRAME, MAX_SECONDS = 2**31, 2**53, 1e6
"""No film has more shots than a 32-bit number holds, or lasts eleven days."""
MAX_STORIES = 10_000
USED = ("id", "shot", "frame", "duration", "consistency", "description")
KNOWN = {
    "film": {"imdb_id", "cast", "scene", "story", "cinematic_style"},
    "story": {*USED, "subtitle"},
}

_FILM = re.compile(r"\w[\w.-]*")


class Shot(NamedTuple):
    """A line of a shot file: first and last frame, and the frames of its keyframes."""

    first: int
    last: int
    keyframes: tuple[int, ...]


@dataclass(frozen=True)
class Annotation:
    """A film's annotation: its stories as they are, and what all of it says of its numbers."""

    stories: list[Any]
    shot_votes: Votes
    frame_votes: Votes
    rate: FrameRate | None
    unknown: list[str]
    """Fields that MovieNet's documentation does not know."""


def is_film_id(name: str) -> bool:
    """Whether a file's name can be a film's id: no blank, slash, or leading dot."""
    return bool(_FILM.fullmatch(name)) and name.isprintable()


def parse_annotation(movie_id: str, data: bytes) -> Annotation:
    """Read a film's annotation.

    Raises:
        ItemError: it is no JSON object, is of another film, or its stories are no list.
    """
    if not is_film_id(movie_id):
        raise ItemError("the file's name is no film id such as tt1210166.")
    value = json_object(data)
    if value.get("imdb_id") not in (None, movie_id):
        raise ItemError(f"says that it is of film {shorten(value['imdb_id'])}.")
    stories = value.get("story")
    stories = [] if stories is None else stories
    if not isinstance(stories, list):
        raise ItemError(f"'story' is {shorten(stories)}, expected a list or null.")
    if len(stories) > MAX_STORIES:
        raise ItemError(f"has {len(stories)} stories; no film has more than {MAX_STORIES}.")
    scenes = value.get("scene")
    scenes = [s for s in scenes if isinstance(s, dict)] if isinstance(scenes, list) else []
    objects = [s for s in stories if isinstance(s, dict)]
    unknown = {f"{name}" for name in value if name not in KNOWN["film"]}
    unknown |= {f"story.{name}" for s in objects for name in s if name not in KNOWN["story"]}
    return Annotation(
        # Only what a clip is made from: a change elsewhere is no reason to read frames again.
        stories=[{k: s.get(k) for k in USED} if isinstance(s, dict) else None for s in stories],
        shot_votes=vote(_ranges(scenes, "shot", MAX_SHOT)),
        frame_votes=vote(_ranges(scenes, "frame", MAX_FRAME)),
        rate=_rate(objects),
        unknown=sorted(clean(name) for name in unknown),
    )


def parse_meta(data: bytes) -> tuple[str | None, list[str]]:
    """A film's title and genres.

    Raises:
        ItemError: it is no JSON object, or one of the two is of the wrong type.
    """
    value = json_object(data)
    title, genres = value.get("title"), value.get("genres")
    if not isinstance(title, str | None):
        raise ItemError(f"'title' is {shorten(title)}, expected text.")
    genres = [] if genres is None else genres
    if not isinstance(genres, list) or not all(isinstance(g, str) for g in genres):
        raise ItemError(f"'genres' is {shorten(genres)}, expected a list of names.")
    cleaned = [clean(g).strip() for g in genres]
    return (clean(title).strip() or None) if title else None, [g for g in cleaned if g]


def parse_cast(data: bytes) -> list[dict[str, str | None]]:
    """The ``actor`` and ``character`` of each of a film's cast, as far as its meta names them.

    What is not as MovieNet writes it is left out: nothing hangs on it but a check of labels.

    Raises:
        ItemError: the file is no JSON object.
    """
    cast = json_object(data).get("cast")
    people = [p for p in cast if isinstance(p, dict)] if isinstance(cast, list) else []
    named = [
        {"actor": _name(person.get("name")), "character": _name(person.get("character"))}
        for person in people
    ]
    return [person for person in named if any(person.values())]


def parse_shots(data: bytes) -> list[Shot]:
    """A shot file: the frames of each shot, and of its keyframes where the line has them.

    Raises:
        ItemError: a line does not hold numbers, or the shots are not in the order of time.
    """
    shots: list[Shot] = []
    for number, line in enumerate(data.splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) < 2 or not all(re.fullmatch(rb"\d{1,15}", word) for word in words):
            text = line.decode("utf-8", "replace")
            raise ItemError(f"line {number} is {shorten(text)}, expected start end kf0 kf1 kf2.")
        first, last, *keyframes = map(int, words)
        if last < first or (shots and first <= shots[-1].last):
            raise ItemError(f"line {number}: {first} {last} is not after the shot before it.")
        shots.append(Shot(first, last, tuple(keyframes)))
    return shots


def clean(text: str) -> str:
    """Text that can be stored: JSON may hold half a character, which no encoding can write."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _name(value: Any) -> str | None:
    return clean(value).strip() or None if isinstance(value, str) else None


def as_range(value: Any, limit: int) -> Range | None:
    """``[first, last]`` with 0 <= first <= last < limit; None for anything else."""
    if isinstance(value, list) and [type(v) for v in value] == [int, int]:
        first, last = value
        if 0 <= first <= last < limit:
            return first, last
    return None


def as_seconds(value: Any) -> tuple[float, float] | None:
    """``[start, end]`` in seconds, 0 <= start <= end; None for anything else."""
    if isinstance(value, list) and len(value) == 2 and {type(v) for v in value} <= {int, float}:
        start_s, end_s = value
        if 0 <= start_s <= end_s < MAX_SECONDS:
            return float(start_s), float(end_s)
    return None


def json_object(data: bytes) -> dict[str, Any]:
    """A JSON object, as MovieNet's files all are. Raises ItemError."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ItemError(f"not readable JSON ({error}). Copy it again.") from None
    if not isinstance(value, dict):
        raise ItemError("holds no JSON object. Copy it again.")
    return value


def _ranges(parts: list[dict[str, Any]], name: str, limit: int) -> list[Range]:
    return [r for part in parts if (r := as_range(part.get(name), limit)) is not None]


def _rate(stories: list[dict[str, Any]]) -> FrameRate | None:
    starts: list[Point] = []
    ends: list[Point] = []
    for story in stories:
        frames, times = as_range(story.get("frame"), MAX_FRAME), as_seconds(story.get("duration"))
        if frames is not None and times is not None:
            starts.append((frames[0], times[0]))
            ends.append((frames[1], times[1]))
    return fit_fps(starts, ends)
