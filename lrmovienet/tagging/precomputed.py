"""Image labels from tags that were made elsewhere.

A file of JSON Lines, Parquet, CSV or tab-separated values. Each row says whose tags it has, in one
of the columns

- ``clip_id``: a clip of the workspace,
- ``ref`` or ``image``: a keyframe, by a path that ends in ``<movie_id>/shot_0012_img_1.jpg``,

and which, in one of

- ``label`` with, where there is one, ``score``: one tag a row,
- ``tags``: all of them, as the original RAM package's ``"dog | grass | run"``, a list of names, or
  a list of ``{"label": …, "score": …}``.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from eval.labels import normal_form
from eval.messages import listed
from lrmovienet.columns import MAX_LABEL_LENGTH
from lrmovienet.errors import UserError, shorten
from lrmovienet.movienet.annotation import clean
from lrmovienet.places import REF
from lrmovienet.runner import Columns

VERSION = "precomputed-1"
COLUMNS = ("clip_id", "ref", "image", "label", "score", "tags")
MAX_LINE = 10_000_000


class Tag(NamedTuple):
    """One tag of a clip or of a frame."""

    label: str
    score: float | None


class Found(NamedTuple):
    """The tags of one row."""

    clip_id: str
    """The clip; of a keyframe's tags its reference."""
    ref: str | None
    tags: list[Tag]


def read(path: Path) -> list[Found]:
    """Read a file of tags.

    Raises:
        UserError: it is missing or of no known kind, or rows are wrong: the first ten are listed.
    """
    try:
        rows = list(_rows(path))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file. Give the file of tags as --tags.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text.") from None
    problems: list[str] = []
    found = []
    for where, row in rows:
        try:
            found.append(_found(row))
        except ValueError as error:
            problems.append(f"{where}: {error}")
    if problems:
        raise UserError(listed(f"{path}: not readable as tags", problems, len(problems)))
    if not found:
        raise UserError(f"{path}: no tags in it.")
    return found


def image_labels(
    found: Iterable[Found], clips: Mapping[str, list[dict[str, str]]], tagger: str, source: str
) -> Columns:
    """Columns of image_labels, clip by clip, labels by score and then by their place in the file.

    A label's score is its best; one without any score has none. A label given for frames has a
    score a frame, and `frames_hit` counts them; one given for the clip counts once.

    Args:
        found: the rows of the file.
        clips: clip_id -> its keyframes.
        tagger: what the column ``tagger`` says.
        source: the file, for reasons and messages.

    Raises:
        UserError: no row belongs to any clip or keyframe of the workspace.
    """
    shown_in: dict[str, list[tuple[str, int]]] = {}
    for clip_id, keyframes in clips.items():
        for number, frame in enumerate(keyframes):
            shown_in.setdefault(frame["ref"], []).append((clip_id, number))
    # clip -> label -> place among the keyframes, or None for the whole clip -> score
    of_clip: dict[str, dict[str, dict[int | None, float | None]]] = {c: {} for c in clips}
    rows: list[dict[str, Any]] = []
    used, strangers = 0, dict[str, None]()
    for one in found:
        places: list[tuple[str, int | None]] = []
        if one.ref is not None:
            places += shown_in.get(one.ref, [])
        elif one.clip_id in clips:
            places.append((one.clip_id, None))
        used += bool(places)
        if not places:
            strangers[one.clip_id] = None
        for clip_id, place in places:
            for tag in one.tags:
                scores = of_clip[clip_id].setdefault(tag.label, {})
                scores[place] = _better(scores.get(place), tag.score)
    if not used:
        raise UserError(
            f"{source}: none of its rows belongs to a clip or keyframe of this workspace. They are "
            "matched by clip_id, or by the end of ref or image, <movie_id>/shot_0012_img_1.jpg."
        )
    reason = f"tagged in {source}, but not in this workspace"
    rows += [{"clip_id": stranger, "drop_reason": reason} for stranger in strangers]
    for clip_id, labels in of_clip.items():
        rows += _clip_rows(clip_id, len(clips[clip_id]), labels, tagger)
        if not labels:
            rows.append({"clip_id": clip_id, "drop_reason": f"no tags of this clip in {source}"})
    names = ("clip_id", "label", "score", "frames_hit", "frame_scores", "threshold", "tagger")
    return {name: [row.get(name) for row in rows] for name in (*names, "drop_reason")}


def _clip_rows(
    clip_id: str,
    n_frames: int,
    labels: Mapping[str, Mapping[int | None, float | None]],
    tagger: str,
) -> Iterator[dict[str, Any]]:
    best = {
        label: max((s for s in scores.values() if s is not None), default=None)
        for label, scores in labels.items()
    }
    order = sorted(labels, key=lambda x: (-(best[x] or 0.0), -len(labels[x])))  # keeps the file's
    for label in order:
        scores = labels[label]
        by_frame = None
        if best[label] is not None and None not in scores:
            by_frame = [scores.get(place) for place in range(n_frames)]
        yield {
            "clip_id": clip_id, "label": label, "score": best[label],
            "frames_hit": len(scores.keys() - {None}) or 1, "frame_scores": by_frame,
            "threshold": None, "tagger": tagger,
        }  # fmt: skip


def _better(a: float | None, b: float | None) -> float | None:
    return max((a, b), key=lambda score: -1.0 if score is None else score)


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Each row with its place in the file."""
    kind = path.suffix.lower()
    if kind == ".parquet":
        from lrmovienet.workspace import read_rows

        table = read_rows(path)
        table = table.select([name for name in COLUMNS if name in table.column_names])
        try:
            rows = table.to_pylist()
        except (OverflowError, ValueError) as error:
            raise UserError(f"{path}: not readable as tags ({error}).") from None
        yield from ((f"row {i}", row) for i, row in enumerate(rows))
    elif kind in (".csv", ".tsv"):
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t" if kind == ".tsv" else ",")
            try:
                for row in reader:
                    yield f"line {reader.line_num}", row
            except csv.Error as error:
                raise UserError(f"{path}: line {reader.reader.line_num}: {error}") from None
    elif kind in (".jsonl", ".ndjson"):
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE):
                number += 1
                if len(line) == MAX_LINE:
                    raise UserError(f"{path}: line {number} is longer than {MAX_LINE} bytes.")
                if line.strip():
                    yield f"line {number}", line
    else:
        raise UserError(f"{path}: give a file that ends in .jsonl, .parquet, .csv or .tsv.")


def _found(row: Any) -> Found:
    """One row, checked. Raises ValueError saying what is wrong."""
    if isinstance(row, bytes):
        try:
            row = json.loads(row)
        except (ValueError, RecursionError):
            raise ValueError("not JSON") from None
    if not isinstance(row, dict):
        raise ValueError(f"{shorten(row)} is not an object")
    given = [name for name in ("clip_id", "ref", "image") if row.get(name) not in (None, "")]
    if len(given) != 1 or not isinstance(row[given[0]], str):
        raise ValueError("expected one of clip_id, ref and image, as text")
    name = row[given[0]]
    if not name.strip() or clean(name) != name:
        raise ValueError(f"{given[0]} is {shorten(name)}; expected text that is not blank")
    ref = None if given == ["clip_id"] else _ref(name)
    clip_id = name if ref is None else ref
    label, tags = row.get("label"), row.get("tags")
    if tags == "" and label not in (None, ""):
        tags = None  # a CSV with both columns
    if (label in (None, "")) == (tags is None):
        raise ValueError("expected either label or tags")
    if tags is None:
        return Found(clip_id, ref, [_tag(row)])
    if isinstance(tags, str):
        parts = tags.split("|")
        return Found(clip_id, ref, [_tag({"label": part}) for part in parts if part.strip()])
    if not isinstance(tags, list):
        raise ValueError(f"tags is {shorten(tags)}; expected 'a | b | c' or a list")
    return Found(clip_id, ref, [_tag({"label": t} if isinstance(t, str) else t) for t in tags])


def _ref(path: str) -> str:
    """The end of a frame's path that is its reference."""
    ref = "/".join(path.replace("\\", "/").split("/")[-2:])
    if not REF.fullmatch(ref):
        raise ValueError(f"{shorten(path)} does not end in <movie_id>/shot_0012_img_1.jpg")
    return ref


def _tag(value: Any) -> Tag:
    if not isinstance(value, dict) or not isinstance(value.get("label"), str):
        raise ValueError(f"{shorten(value)} is no tag; expected a label and, if any, a score")
    label = normal_form("".join(c if c.isprintable() else " " for c in value["label"]))
    if not 0 < len(label) <= MAX_LABEL_LENGTH:
        raise ValueError(f"label {shorten(value['label'])}: give 1 to {MAX_LABEL_LENGTH} letters")
    score = value.get("score")
    if score is None or score == "":
        return Tag(label, None)
    try:
        number = float(score)
    except (TypeError, ValueError, OverflowError):
        number = -1.0
    if isinstance(score, bool) or not 0 <= number <= 1:
        raise ValueError(f"score {shorten(score)}: expected a number from 0 to 1")
    return Tag(label, round(number, 4))
