"""An item of the official files, held to what the official code does with it."""

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from eval.labels import normal_form
from eval.messages import short
from lrmovienet.columns import MAX_LABEL_LENGTH
from lrmovienet.errors import ItemError
from lrmovienet.upstream.layout import ANNOTATED, FROM_GRADES, UNKNOWN

_ID = re.compile(r"(?!\.{1,2}$)[^\s/\\\x00]{1,500}")
UNKNOWN_SOURCE = "unknown"
"""Where labels came from, in files that do not say it."""


@dataclass(frozen=True)
class Entry:
    """A record as the files tell of it."""

    id: str
    clip_id: str
    movie_id: str
    labels: tuple[str, ...]
    grades: tuple[int | None, ...]
    sources: tuple[str, ...]
    genres: tuple[str, ...]
    description: str
    frames: tuple[tuple[str, str | None], ...]
    """Reference and, where known, sha256 of each."""
    clip: dict[str, Any] = field(default_factory=dict)
    """Title, shot, frame, start_s and end_s, where the file has them."""


def entry_of(item: dict[str, Any], split: str, counts: Counter[str]) -> Entry:
    """An item of a file of records.

    Args:
        item: as the file has it.
        split: the split that the file stands for.
        counts: counts what is read otherwise than it stands there.

    Raises:
        ItemError: what is wrong, without saying where.
    """
    labels, grades = tags_of(item, counts)
    if split == "target_pairs" and len(labels) < 2:
        raise ItemError("has one tag; pairs need two")
    known = item.get("grades") != UNKNOWN
    if not known and split != "target_pairs":
        raise ItemError(f"its grades are unknown, and {split} needs them")
    frames = _texts(item, "image")
    if not frames:
        raise ItemError("has no frames: `image` is missing or empty")
    clip = item.get("clip", {})
    if not isinstance(clip, dict):
        raise ItemError("`clip` is no object")
    _refuse_odd(clip)
    hashes = clip.get("frames_sha256", [""] * len(frames))
    if not isinstance(hashes, list) or len(hashes) != len(frames):
        raise ItemError("has not one frames_sha256 a frame")
    sources = _texts(item, "sources") or [UNKNOWN_SOURCE] * len(labels)
    if len(sources) != len(labels):
        raise ItemError("has not one source a tag")
    description = text_of(item.get("description"), "`description`")
    if not description.strip():
        raise ItemError("has a blank description")
    clip_id = id_of(item.get("clip_id", item["id"]), "`clip_id`")
    return Entry(
        id_of(item["id"]),
        clip_id,
        id_of(item.get("movie_id", stem(clip_id)), "`movie_id`"),
        labels,
        (None,) * len(labels) if split == "target_pairs" else grades,
        tuple(sources),
        tuple(_texts(item, "genres")),
        description,
        tuple((ref, text_of(h, "a sha256") or None) for ref, h in zip(frames, hashes, strict=True)),
        {name: value for name, value in clip.items() if name != "frames_sha256"},
    )


def _refuse_odd(clip: dict[str, Any]) -> None:
    """Raises ItemError where what we wrote of a clip is not of the kind we wrote."""
    if clip.get("title") is not None:
        text_of(clip["title"], "`clip.title`")
    for name in ("shot", "frame"):
        value = clip.get(name, [0, 0])
        whole = isinstance(value, list) and [*map(type, value)] == [int, int]
        if not whole or not 0 <= value[0] <= value[1] < 2**31:
            raise ItemError(f"`clip.{name}` is not a first and a last number")
    for name in ("start_s", "end_s"):
        value = clip.get(name)
        if value is not None and (
            type(value) not in (int, float) or not (math.isfinite(value) and value >= 0)
        ):
            raise ItemError(f"`clip.{name}` is no number of seconds")


def index_of(item: dict[str, Any], labels: int) -> list[tuple[int, int]]:
    """The pairs of an item: places of the better and of the worse label.

    Raises:
        ItemError: a pair is no two different places among so many labels.
    """
    if labels < 2:
        raise ItemError("has one tag; pairs need two")
    pairs = item.get("index")
    if not isinstance(pairs, list):
        raise ItemError("`index` is missing or no list")
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or any(type(i) is not int for i in pair):
            raise ItemError(f"`index` holds {short(pair)}, which is no [better, worse]")
        if not all(0 <= i < labels for i in pair):
            raise ItemError(f"`index` holds {short(pair)}, and there are {labels} tags (from 0)")
        if pair[0] == pair[1]:
            raise ItemError(f"`index` holds {short(pair)}: a label with itself")
    return [(better, worse) for better, worse in pairs]


def is_annotated(item: dict[str, Any]) -> bool | None:
    """Whether an item's pairs come from people; None where it does not say so."""
    return {ANNOTATED: True, FROM_GRADES: False}.get(str(item.get("pairs")))


def tags_of(item: dict[str, Any], counts: Counter[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Labels in their normal form, and grades.

    Raises:
        ItemError: there are none, two are the same, or a target is no grade.
    """
    tags = item.get("tags")
    if not isinstance(tags, list) or any(not isinstance(tag, dict) for tag in tags):
        raise ItemError("`tags` is missing or no list of objects")
    if not tags:
        raise ItemError("has no tags")
    labels, grades = [], []
    for tag in tags:
        given = text_of(tag.get("tag"), "a `tag`")
        label = normal_form(given)
        if not 0 < len(label) <= MAX_LABEL_LENGTH:
            raise ItemError(f"tag {short(given)} has not 1 to {MAX_LABEL_LENGTH} characters")
        counts["tags brought to lower case and single spaces"] += label != given
        labels.append(label)
        grades.append(_grade(tag, label, counts))
    twice = [label for label, n in Counter(labels).items() if n > 1]
    if twice:
        raise ItemError(f"tag {short(twice[0])} stands there twice")
    return tuple(labels), tuple(grades)


def id_of(value: object, what: str = "`id`") -> str:
    """An id. Raises ItemError where it has blanks or slashes or is none."""
    if not isinstance(value, str) or not _ID.fullmatch(value) or not _is_utf8(value):
        raise ItemError(f"{what} is {short(value)}, no id without blanks and slashes")
    return value


def text_of(value: object, what: str) -> str:
    """A text. Raises ItemError where it is none."""
    if not isinstance(value, str) or not _is_utf8(value):
        raise ItemError(f"{what} is {short(value)}, which is no text")
    return value


def stem(clip_id: str) -> str:
    """The film of a clip: its id up to the last underscore."""
    return clip_id.rpartition("_")[0] or clip_id


def _grade(tag: dict[str, Any], label: str, counts: Counter[str]) -> int:
    target = tag.get("target")
    if isinstance(target, str) and target.strip() in ("0", "1", "2"):
        counts['targets that are text, such as "2"'] += 1
        target = int(target)
    if isinstance(target, bool) or not isinstance(target, int | float) or target not in (0, 1, 2):
        raise ItemError(f"target of {short(label)} is {short(target)}; it must be 0, 1 or 2")
    return int(target)


def _texts(item: dict[str, Any], name: str) -> list[str]:
    value = item.get(name, [])
    if not isinstance(value, list):
        raise ItemError(f"`{name}` is no list")
    return [text_of(one, f"an entry of `{name}`") for one in value]


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a character that JSON can write
        return False
    return True
