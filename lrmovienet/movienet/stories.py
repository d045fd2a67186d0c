"""A story of an annotation -> a clip but for its frames; or the reason why it cannot be one.

Every reason begins with what it is a case of, before a colon, so that reasons can be counted.
"""

import re
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from lrmovienet.errors import shorten
from lrmovienet.movienet.annotation import (
    MAX_FRAME,
    MAX_SHOT,
    Shot,
    as_range,
    as_seconds,
    clean,
)
from lrmovienet.movienet.ranges import FrameRate, Range


@dataclass(frozen=True)
class Wanted:
    """Which stories are taken."""

    min_words: int = 1
    min_consistency: float = 0.0


@dataclass(frozen=True)
class FilmFacts:
    """What is known of a film when its stories are read."""

    movie_id: str
    shots_include_end: bool = True
    frames_include_end: bool = True
    rate: FrameRate | None = None
    shots: list[Shot] = field(default_factory=list)
    """From the film's shot file; empty where it has none."""


class _Reason(Exception):
    pass


def read_story(
    number: int, story: Any, ids: Counter[str], film: FilmFacts, wanted: Wanted
) -> dict[str, Any]:
    """A story as plain values, from which the stage makes a clip.

    Args:
        number: the story's place in its film, which names it where it has no id.
        story: as it stands in the annotation.
        ids: how often each id occurs among the film's stories.
        film: what is known of it.
        wanted: what a story must have to be taken.

    Returns:
        ``clip_id, description, shot, frame, start_s, end_s``; ``outside``, the pictures of its
        first and last shot that are not in its range of frames, as [shot, picture]; ``reason``,
        why it is dropped, or None; ``notes``, what had to be left out or made up.
    """
    row: dict[str, Any] = {
        "clip_id": f"{film.movie_id}_story_{number}", "description": None, "shot": None,
        "frame": None, "start_s": None, "end_s": None, "outside": [], "reason": None, "notes": [],
    }  # fmt: skip
    try:
        if not isinstance(story, dict):
            raise _Reason("no object: the story is no JSON object")
        row["clip_id"] = _clip_id(story.get("id"), ids, film.movie_id)
        row["description"] = _description(story.get("description"), wanted.min_words)
        _check_consistency(story.get("consistency"), wanted.min_consistency)
        _fill_ranges(row, story, film)
        _fill_times(row, story.get("duration"), film.rate)
        row["outside"] = _outside(row, film.shots)
    except _Reason as reason:
        row["reason"] = str(reason)
    return row


def _clip_id(value: Any, ids: Counter[str], movie_id: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(
        rf"{re.escape(movie_id)}_\d{{1,12}}", value, re.ASCII if movie_id.isascii() else 0
    ):
        raise _Reason(f"wrong id: the story's id is {shorten(value)}, expected {movie_id}_0000")
    if ids[value] > 1:
        raise _Reason(f"duplicate id: the film has several stories with the id {value}")
    return value


def _description(value: Any, min_words: int) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _Reason("no description: the story has none")
    text = clean(value).strip()
    if not text or (words := len(text.split())) < min_words:
        raise _Reason(f"too few words: {words if text else 0}, wanted are {min_words} or more")
    return text


def _check_consistency(value: Any, least: float) -> None:
    if least <= 0:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Reason(f"low consistency: it is {shorten(value)}, wanted is {least} or more")
    if not value >= least:  # nan is not
        raise _Reason(f"low consistency: {shorten(value)}, wanted is {least} or more")


def _fill_ranges(row: dict[str, Any], story: dict[str, Any], film: FilmFacts) -> None:
    shot = _given(story.get("shot"), MAX_SHOT, film.shots_include_end)
    frame = _given(story.get("frame"), MAX_FRAME, film.frames_include_end)
    times = as_seconds(story.get("duration"))
    if frame is None and story.get("frame") is not None:
        row["notes"].append(f"wrong frames: {shorten(story['frame'])}, expected [first, last]")
    if shot is None:
        if story.get("shot") is not None or frame is None or not film.shots:
            raise _Reason(f"wrong shots: {shorten(story.get('shot'))}, expected [first, last]")
        shot = _shots_of(frame, film.shots)
        row["notes"].append("shots from frames: the story names none")
    if frame is None and shot[1] < len(film.shots):
        frame = film.shots[shot[0]].first, film.shots[shot[1]].last
        row["notes"].append("frames from shots: the story names none that can be used")
    if frame is None and film.rate is not None and times is not None:
        frame = film.rate.frames(times)
        row["notes"].append("frames from times: the story names none that can be used")
    if frame is None:
        raise _Reason(f"wrong frames: {shorten(story.get('frame'))}, expected [first, last]")
    row["shot"], row["frame"] = list(shot), list(frame)


def _given(value: Any, limit: int, includes_end: bool) -> Range | None:
    given = as_range(value, limit)
    if given is None or includes_end:
        return given
    return given[0], max(given[0], given[1] - 1)


def _shots_of(frame: Range, shots: list[Shot]) -> Range:
    firsts = [shot.first for shot in shots]
    first, last = (max(0, bisect_right(firsts, f) - 1) for f in frame)
    if frame[0] > shots[-1].last:
        raise _Reason(f"beyond the end: frame {frame[0]}, the last shot ends at {shots[-1].last}")
    return first, last


def _fill_times(row: dict[str, Any], value: Any, rate: FrameRate | None) -> None:
    times = as_seconds(value)
    if times is None:
        if value is not None:
            row["notes"].append(f"wrong times: {shorten(value)}, expected [start, end]")
        if rate is None:
            row["notes"].append("no times: the story has none, and no frame rate could be fitted")
            return
        row["notes"].append("times from frames: the story has none that can be used")
        times = rate.seconds((row["frame"][0], row["frame"][1]))
    row["start_s"], row["end_s"] = times


def _outside(row: dict[str, Any], shots: list[Shot]) -> list[list[int]]:
    """The pictures of the range's two outer shots that are of frames beyond it.

    A clip shorter than the step between keyframes holds none of them; then the one nearest to its
    middle is left in.
    """
    (first, last), (start, end) = row["shot"], row["frame"]
    if not shots:
        return []
    if last >= len(shots) or not (
        shots[first].first <= start <= shots[first].last
        and shots[last].first <= end <= shots[last].last
    ):
        row["notes"].append("shot file differs: the story's frames are not in its shots")
        return []
    outer = {
        (shot, image): frame
        for shot in {first, last}
        for image, frame in enumerate(shots[shot].keyframes)
    }
    outside = {key for key, frame in outer.items() if not start <= frame <= end}
    if outside and len(outside) == len(outer) and last - first < 2:
        outside.remove(min(outer, key=lambda key: (abs(2 * outer[key] - start - end), key)))
    return [list(key) for key in sorted(outside)]
