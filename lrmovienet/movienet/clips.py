"""The stories of a MovieNet tree -> clips, read film by film."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lrmovienet.errors import ItemError
from lrmovienet.keyframes import KeyframeReader, evenly, parse_ref
from lrmovienet.movienet.films import Film, Ranges
from lrmovienet.movienet.stories import FilmFacts, Wanted, read_story
from lrmovienet.phash import distinct, phash
from lrmovienet.places import FilmKeyframes
from lrmovienet.runner import Columns

OVERSAMPLED = 4
"""So many times the wanted frames are looked at where near-duplicates go."""

_COLUMNS = (
    "clip_id", "movie_id", "title", "genres", "description", "shot", "frame", "start_s", "end_s",
    "keyframes", "drop_reason",
)  # fmt: skip


def shards_of(
    films: list[Film],
    ranges: dict[str, Ranges],
    root: Path,
    wanted: Wanted,
    stamps: dict[str, str] | None = None,
) -> list[Columns]:
    """One shard a film: ``movie_id, title, genres, stories, notes, frames, damage``.

    `frames` changes when the film's keyframes do: it is the film's stamp where `stamps` are given,
    otherwise what `KeyframeReader.stamp` says. A shard holds all that its clips hang on.
    """
    reader = KeyframeReader(root)
    shards: list[Columns] = []
    for film in films:
        row: dict[str, Any] = {
            "movie_id": film.movie_id, "title": film.title, "genres": film.genres or [],
            "stories": [], "notes": film.notes or [], "frames": None, "damage": film.damage,
        }  # fmt: skip
        if film.annotation is not None:
            known = ranges[film.movie_id]
            facts = FilmFacts(
                film.movie_id, known.shots_include_end, known.frames_include_end,
                film.annotation.rate, film.shots or [],
            )  # fmt: skip
            stories = film.annotation.stories
            ids = Counter(
                s["id"] for s in stories if isinstance(s, dict) and isinstance(s.get("id"), str)
            )
            row["stories"] = [
                read_story(i, story, ids, facts, wanted) for i, story in enumerate(stories)
            ]
        try:
            if stamps is not None:
                row["frames"] = stamps.get(film.movie_id)
            elif row["damage"] is None:
                row["frames"] = reader.stamp(film.movie_id)
        except ItemError as error:
            row["damage"] = str(error)
        shards.append({name: [value] for name, value in row.items()})
    return shards


@dataclass(frozen=True)
class MovieNetStage:
    """Films with their stories -> clips."""

    root: Path
    frames_per_clip: int
    near_duplicates: int = 0
    """Frames go whose perceptual hash differs from an earlier one's in at most so many bits."""

    @property
    def version(self) -> str:
        """Changes with every option that changes the table."""
        return f"movienet-2:{self.frames_per_clip}:{self.near_duplicates}"

    def __call__(self, batch: Columns) -> Columns:
        """Rows of films -> rows of clips. Raises ItemError for a film with damaged files."""
        columns: Columns = {name: [] for name in _COLUMNS}

        def add(row: dict[str, Any]) -> None:
            for name in _COLUMNS:
                columns[name].append(row.get(name))

        for film in _rows(batch):
            if film["damage"] is not None:
                raise ItemError(film["damage"])
            for note in film["notes"]:
                add({"clip_id": film["movie_id"], "drop_reason": note})
            frames = _frames_of(self.root, film)
            for story in film["stories"]:
                clip = story | {k: film[k] for k in ("movie_id", "title", "genres")}
                reason, notes = story["reason"], list(story["notes"])
                if reason is None:
                    try:
                        clip["keyframes"] = self._keyframes(story, frames, notes)
                    except _NoKeyframe as error:
                        reason = str(error)
                add(clip | {"drop_reason": reason})
                if reason is None:
                    for note in notes:
                        add({"clip_id": story["clip_id"], "drop_reason": f"kept, {note}"})
        return columns

    def _keyframes(
        self, story: dict[str, Any], frames: "_Frames | None", notes: list[str]
    ) -> list[dict[str, str]]:
        first, last = story["shot"]
        if frames is None:
            raise _NoKeyframe("no keyframe: the film has no tar and no folder of them")
        found = {s: refs for s, refs in frames.by_shot.items() if first <= s <= last}
        if not found:
            raise _NoKeyframe(f"no keyframe: none of its shots {first} to {last} has one")
        absent = last - first + 1 - len(found)
        if absent:
            missing = next(s for s in range(first, last + 1) if s not in found)
            notes.append(
                f"absent frames: {absent} of {last - first + 1} shots have no keyframe, the first "
                f"is shot {missing}"
            )
        found = _inside(found, story["outside"])
        if self.near_duplicates:
            found = self._without_near_duplicates(frames, found, notes)
        return [
            {"ref": ref, "sha256": hashlib.sha256(frames.source.read(ref)).hexdigest()}
            for ref in over_shots(found, self.frames_per_clip)
        ]

    def _without_near_duplicates(
        self, frames: "_Frames", found: dict[int, list[str]], notes: list[str]
    ) -> dict[int, list[str]]:
        looked_at = over_shots(found, OVERSAMPLED * self.frames_per_clip)
        hashes = {ref: phash(frames.source.read(ref)) for ref in looked_at}
        pictures = [(ref, value) for ref, value in hashes.items() if value is not None]
        if not pictures:
            raise _NoKeyframe("no keyframe: none of its frames can be decoded")
        if len(pictures) < len(looked_at):
            notes.append(f"broken pictures: {len(looked_at) - len(pictures)} frames are no JPEG")
        kept = distinct([value for _, value in pictures], self.near_duplicates)
        if len(kept) < len(pictures):
            notes.append(f"near-duplicates: {len(pictures) - len(kept)} of {len(pictures)} frames")
        left: dict[int, list[str]] = {}
        for i in kept:
            left.setdefault(parse_ref(pictures[i][0])[1], []).append(pictures[i][0])
        return left


def _inside(found: dict[int, list[str]], outside: list[list[int]]) -> dict[int, list[str]]:
    """Frames by shot without those that are outside of the story; all, if that leaves none."""
    left = dict(found)
    for shot, image in outside:
        if shot in left:
            left[shot] = [ref for ref in left[shot] if parse_ref(ref)[2] != image]
    return {shot: refs for shot, refs in left.items() if refs} or found


def over_shots(found: dict[int, list[str]], at_most: int) -> list[str]:
    """At most so many frames, spread evenly over the shots: the middle one of each chosen shot.

    Where there are fewer shots than frames are wanted, all shots give, and some give several.
    """
    if len(found) >= at_most:
        return [evenly(found[shot], 1)[0] for shot in evenly(sorted(found), at_most)]
    return evenly([ref for shot in sorted(found) for ref in found[shot]], at_most)


class _NoKeyframe(Exception):
    pass


def _rows(batch: Columns) -> Iterable[dict[str, Any]]:
    for values in zip(*batch.values(), strict=True):
        yield dict(zip(batch, values, strict=True))


class _Frames(NamedTuple):
    """A film's keyframes: where they lie, and which there are of each shot."""

    source: FilmKeyframes
    by_shot: dict[int, list[str]]


def _frames_of(root: Path, film: dict[str, Any]) -> _Frames | None:
    """A film's keyframes; None where it has none or none is needed."""
    if film["frames"] is None or all(story["reason"] for story in film["stories"]):
        return None
    source = KeyframeReader(root).film(film["movie_id"])
    return _Frames(source, source.by_shot(film["movie_id"]))
