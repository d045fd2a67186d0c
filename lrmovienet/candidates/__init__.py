"""`lrmovienet merge`: image and text labels -> the candidate labels of each clip.

The paper gathers labels from the tagger and the language model, screens them by hand and has 20 a
clip and domain graded; which rules it screens by and in which order it cuts is not said. Ours are
in `rules`, one by one, and every label that goes leaves a row in dropped.
"""

import csv
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from eval.messages import listed
from lrmovienet.candidates.forms import key
from lrmovienet.candidates.near import Vectors, label_vectors
from lrmovienet.candidates.order import Found, Order
from lrmovienet.candidates.report import print_report
from lrmovienet.candidates.rules import Rules, select
from lrmovienet.config import VerbConfig
from lrmovienet.errors import UserError
from lrmovienet.files import sha256_given
from lrmovienet.runner import Columns
from lrmovienet.runner.local import run_once
from lrmovienet.workspace import Manifest, Workspace

VERSION = "merge-2"
KINDS = ("event", "entity", "image")


def _default_kinds() -> list[str]:
    return list(KINDS)


def _default_block() -> list[str]:
    return [
        "clip", "film", "frame", "image", "movie", "photo", "photograph", "picture", "scene",
        "screenshot", "sentence", "shot", "something", "someone", "thing", "video",
    ]  # fmt: skip


@dataclass(frozen=True)
class MergeConfig(VerbConfig):
    """Options of `lrmovienet merge`."""

    kinds: list[str] = field(default_factory=_default_kinds)
    """Kinds of label to use, in the order in which they take turns."""
    min_image_score: float | None = None
    """A label that only the tagger gave must score more than this; by default more than its own
    threshold in the table (RAM's published ones, 0.05 of imagenet)."""
    thresholds: Path | None = None
    """CSV with the columns label and threshold: thresholds of your own for some image labels."""
    min_frames: int = 1
    """In how many frames such a label must be above its threshold."""
    block: list[str] = field(default_factory=_default_block)
    """Words that say nothing about any clip in particular."""
    block_file: Path | None = None
    """CSV with the column label and, where a label is to go from one clip only, clip_id."""
    drop_actors: bool = True
    """Drop actors' names where the film's cast is known: characters are meant."""
    ceiling: float = 0.3
    """Labels in more than this share of the clips (and in more than 20) tell none from another."""
    near: float = 0.92
    """Labels of a clip whose meanings have at least this cosine are one; 1 compares none."""
    text_model: Path | None = None
    """Folder of the text encoder that compares them; the packaged MiniLM by default."""
    order: Order = "turns"
    """Kinds take turns (turns), labels that more kinds found come first (agreement), or one kind
    comes after the other (kinds)."""
    most: int = 20
    """Most candidates a clip and domain (the paper's 20)."""
    cap_by: Literal["domain", "clip"] = "domain"
    """Whether source and target labels of a clip are cut apart, by the domains that `split` would
    make of them, or together."""
    tail_genres: int | None = None
    """How many genres make the target domain, as in `split`."""
    report: bool = False
    """Print how many labels each rule took, with examples."""


def run(config: MergeConfig) -> None:
    """Make the table candidates.

    Raises:
        UserError: a table is missing or was made from other clips, or an option is out of range.
    """
    _check(config)
    workspace = Workspace(config.workspace)
    clips = workspace.require("clips")
    inputs = {"clips": clips.digest}
    for table in _tables(config.kinds):
        manifest = workspace.require(table)
        _check_clips(manifest, clips)
        inputs[table] = manifest.digest
    if (films := workspace.manifest("films")) and config.drop_actors:
        inputs["films"] = films.digest
    for name in ("thresholds", "block_file"):
        if path := getattr(config, name):
            inputs[name] = sha256_given(path, name)
    options = {
        name: value
        for name, value in config.__dict__.items()
        if name not in ("workspace", "report", "thresholds", "block_file", "text_model")
    }
    vectors = None
    if config.near < 1:
        from lrmovienet.sentences import sentence_encoder

        encoder = sentence_encoder(config.text_model)
        inputs["text_model"] = encoder.identity["sha256"]

        def vectors(labels: Sequence[str]) -> Vectors:
            return label_vectors(labels, encoder, workspace.root / "cache" / "labels.sqlite")

    outcome = run_once(
        workspace,
        "candidates",
        lambda: _make(workspace, config, vectors),
        version=VERSION,
        inputs=inputs,
        config=options,
    )
    Console().print(str(outcome))
    if config.report:
        print_report(workspace, config.kinds)


def _check(config: MergeConfig) -> None:
    unknown = [kind for kind in config.kinds if kind not in KINDS]
    if unknown or not config.kinds or len(set(config.kinds)) < len(config.kinds):
        raise UserError(f"--kinds {config.kinds}: give some of {list(KINDS)}, each once.")
    for name in ("most", "min_frames"):
        if getattr(config, name) < 1:
            raise UserError(f"--{name} {getattr(config, name)}: give 1 or more.")
    for name in ("min_image_score", "ceiling", "near"):
        value = getattr(config, name)
        if value is not None and not 0 <= value <= 1:
            raise UserError(f"--{name} {value}: give a number from 0 to 1.")


def _tables(kinds: Sequence[str]) -> list[str]:
    return sorted({"image_labels" if kind == "image" else "text_labels" for kind in kinds})


def _check_clips(made: Manifest, clips: Manifest) -> None:
    if made.inputs.get("clips") not in (None, clips.digest):
        verb = {"image_labels": "tag", "text_labels": "extract"}[made.table]
        raise UserError(
            f"{made.table} was made from other clips than the workspace holds now. "
            f"Run again: lrmovienet {verb}"
        )


def _make(workspace: Workspace, config: MergeConfig, vectors: Any) -> Columns:
    names = ["clip_id", "movie_id", "genres", "description"]
    clips = workspace.read("clips", names).to_pylist()
    cast = {}
    if config.drop_actors and workspace.manifest("films"):
        films = workspace.read("films", ["movie_id", "cast"]).to_pylist()
        cast = {film["movie_id"]: film["cast"] for film in films}
    block, of_clip = _blocked(config, {clip["clip_id"] for clip in clips})
    rules = Rules(
        kinds=config.kinds, block=block, block_of_clip=of_clip, ceiling=config.ceiling,
        near=config.near, cap=config.most, by_domain=config.cap_by == "domain",
        tail_genres=config.tail_genres, order=config.order,
    )  # fmt: skip
    found = _found(workspace, config)
    kept, dropped = select(found, clips, rules, cast=cast, vectors_of=vectors)
    rows: list[dict[str, Any]] = []
    for clip in clips:
        clip_id = clip["clip_id"]
        rows += [
            {
                "clip_id": clip_id,
                "label": candidate.label,
                "position": position,
                "sources": [
                    {"kind": s.kind, "model": s.model, "score": s.score}
                    for s in sorted(candidate.sources, key=lambda s: config.kinds.index(s.kind))
                ],
            }
            for position, candidate in enumerate(kept[clip_id])
        ]
        rows += [
            {"clip_id": clip_id, "label": x, "drop_reason": why} for x, why in dropped[clip_id]
        ]
        if not kept[clip_id]:
            reason = "no candidate label" + (" is left" if dropped[clip_id] else " was found")
            rows.append({"clip_id": clip_id, "drop_reason": reason})
    columns = ("clip_id", "label", "position", "sources", "drop_reason")
    return {name: [row.get(name) for row in rows] for name in columns}


def _found(workspace: Workspace, config: MergeConfig) -> dict[str, list[Found]]:
    """The rows of image_labels and text_labels, by clip."""
    found: dict[str, list[Found]] = {}
    for table in _tables(config.kinds):
        thresholds = _thresholds(config) if table == "image_labels" else {}
        for row in workspace.read(table).to_pylist():
            if table == "image_labels":
                one = _image(row, thresholds, config)
            else:
                one = Found(row["label"], row["kind"], row["generator"], row["rank"])
            if one.kind in config.kinds:
                found.setdefault(row["clip_id"], []).append(one)
    return found


def _image(row: Mapping[str, Any], thresholds: Mapping[str, float], config: MergeConfig) -> Found:
    """A row of image_labels, with whether it counts."""
    threshold = thresholds.get(key(row["label"]), config.min_image_score)
    if threshold is None:
        threshold = row["threshold"]
    score, by_frame = row["score"], row["frame_scores"]
    if threshold is None or score is None:
        frames = row["frames_hit"]
    elif by_frame is None:
        frames = row["frames_hit"] if round(score, 4) > round(threshold, 4) else 0
    else:  # rounded: as they were before they became 32 bits wide
        frames = sum(s is not None and round(s, 4) > round(threshold, 4) for s in by_frame)
    return Found(
        row["label"], "image", row["tagger"], 0, None if score is None else round(score, 4),
        frames >= config.min_frames, frames,
    )  # fmt: skip


def _thresholds(config: MergeConfig) -> dict[str, float]:
    """Thresholds of the user's own, by the label's key."""
    result: dict[str, float] = {}
    problems = []
    for line, row in _csv(config.thresholds, "thresholds", ("label", "threshold")):
        try:
            value = float(row["threshold"])
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1 or not key(row["label"]):
            problems.append(f"line {line}: expected a label and a number from 0 to 1")
        elif result.get(key(row["label"]), value) != value:
            problems.append(f"line {line}: {row['label']!r} has another threshold before")
        result[key(row["label"])] = value
    if problems:
        raise UserError(listed(f"{config.thresholds}", problems, len(problems)))
    return result


def _blocked(
    config: MergeConfig, clips: Collection[str]
) -> tuple[frozenset[str], dict[str, frozenset[str]]]:
    """What is blocked in all clips, and in each."""
    everywhere = set(config.block)
    of_clip: dict[str, frozenset[str]] = {}
    problems = []
    for line, row in _csv(config.block_file, "block_file", ("label",)):
        if row.get("clip_id") and row["label"] and row["clip_id"] not in clips:
            problems.append(f"line {line}: no clip {row['clip_id']!r} in this workspace")
        if clip_id := row.get("clip_id"):
            of_clip[clip_id] = of_clip.get(clip_id, frozenset()) | {row["label"]}
        else:
            everywhere.add(row["label"])
    if problems:
        raise UserError(listed(f"{config.block_file}", problems, len(problems)))
    return frozenset(everywhere), of_clip


def _csv(path: Path | None, option: str, needed: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """The rows of a CSV with their lines; none where there is no file."""
    if path is None:
        return []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            rows = [(reader.line_num, {k: v.strip() for k, v in r.items() if isinstance(v, str)})
                    for r in reader]  # fmt: skip
            names = reader.fieldnames or []
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"--{option} {path}: not a readable CSV ({error}).") from None
    missing = [name for name in needed if name not in names]
    if missing:
        raise UserError(f"--{option} {path}: no column {', '.join(missing)} in its first line.")
    return rows
