"""`lrmovienet merge`: image and text labels -> the candidate labels of each clip.

The paper gathers labels from the tagger and the language model, screens them and has up to 20 a
clip graded; how it screens and in which order it cuts is not said. The rules here are:

1. Equal labels are one candidate with all their sources. So are labels whose last words differ only
   in number ("red car", "red cars"); the one that comes first stays.
2. Labels on the block list go, and those that only the tagger saw, with too low a score.
3. The kinds take turns (an event, an entity, an image label, an event, …), each in its own order:
   events and entities by their place in the answer, image labels by score. That order gives
   `position`, and what comes after the first `most` goes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from eval.labels import normal_form
from lrmovienet.config import VerbConfig
from lrmovienet.errors import UserError
from lrmovienet.runner import Columns
from lrmovienet.runner.local import run_once
from lrmovienet.workspace import Manifest, Workspace

VERSION = "merge-1"
KINDS = ("event", "entity", "image")

VARIANT = "singular or plural of another label"
BLOCKED = "on the block list"
IRREGULAR = {
    "children": "child", "feet": "foot", "geese": "goose", "knives": "knife", "leaves": "leaf",
    "lives": "life", "men": "man", "mice": "mouse", "people": "person", "policemen": "policeman",
    "teeth": "tooth", "thieves": "thief", "wives": "wife", "wolves": "wolf", "women": "woman",
    "glasses": "glasses", "news": "news", "series": "series", "species": "species",
}  # fmt: skip


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
    min_image_score: float = 0.05
    """Lowest score of a label that only the tagger gave."""
    most: int = 20
    """Most candidates a clip (the paper's 20)."""
    block: list[str] = field(default_factory=_default_block)
    """Words that say nothing about any clip in particular."""


@dataclass(frozen=True)
class Found:
    """One row of image_labels or text_labels."""

    label: str
    kind: str
    """event, entity or image."""
    model: str
    rank: int
    """Place among the clip's labels of that kind, from 0."""
    score: float | None = None


@dataclass
class Candidate:
    """A label and where it was found."""

    label: str
    sources: list[Found]


def run(config: MergeConfig) -> None:
    """Make the table candidates.

    Raises:
        UserError: a table is missing or was made from other clips, or an option is out of range.
    """
    unknown = [kind for kind in config.kinds if kind not in KINDS]
    if unknown or not config.kinds or len(set(config.kinds)) < len(config.kinds):
        raise UserError(f"--kinds {config.kinds}: give some of {list(KINDS)}, each once.")
    if config.most < 1:
        raise UserError(f"--most {config.most}: give the most candidates a clip, 1 or more.")
    if not 0 <= config.min_image_score <= 1:
        raise UserError(f"--min-image-score {config.min_image_score}: give a number from 0 to 1.")
    workspace = Workspace(config.workspace)
    clips = workspace.require("clips")
    inputs = {"clips": clips.digest}
    for table in _tables(config.kinds):
        manifest = workspace.require(table)
        _check_clips(manifest, clips)
        inputs[table] = manifest.digest
    options: dict[str, Any] = {
        "kinds": config.kinds,
        "min_image_score": config.min_image_score,
        "most": config.most,
        "block": sorted({normal_form(word) for word in config.block}),
    }
    outcome = run_once(
        workspace,
        "candidates",
        lambda: _make(workspace, config),
        version=VERSION,
        inputs=inputs,
        config=options,
    )
    Console().print(str(outcome))


def _tables(kinds: Iterable[str]) -> list[str]:
    return sorted({"image_labels" if kind == "image" else "text_labels" for kind in kinds})


def _check_clips(made: Manifest, clips: Manifest) -> None:
    if made.inputs.get("clips") not in (None, clips.digest):
        verb = {"image_labels": "tag", "text_labels": "extract"}[made.table]
        raise UserError(
            f"{made.table} was made from other clips than the workspace holds now. "
            f"Run again: lrmovienet {verb}"
        )


def _make(workspace: Workspace, config: MergeConfig) -> Columns:
    clip_ids = workspace.read("clips", ["clip_id"])["clip_id"].to_pylist()
    found: dict[str, list[Found]] = {clip_id: [] for clip_id in clip_ids}
    for table in _tables(config.kinds):
        for row in workspace.read(table).to_pylist():
            if table == "image_labels":
                score = round(row["score"], 4)  # as it was before it became 32 bits wide
                one = Found(row["label"], "image", row["tagger"], 0, score)
            else:
                one = Found(row["label"], row["kind"], row["generator"], row["rank"])
            if one.kind in config.kinds:
                found[row["clip_id"]].append(one)
    rows: list[dict[str, Any]] = []
    for clip_id in clip_ids:
        kept, dropped = merge(
            found[clip_id],
            kinds=config.kinds,
            min_image_score=config.min_image_score,
            most=config.most,
            block=config.block,
        )
        rows += [
            {
                "clip_id": clip_id,
                "label": candidate.label,
                "position": position,
                "sources": [
                    {"kind": s.kind, "model": s.model, "score": s.score} for s in candidate.sources
                ],
            }
            for position, candidate in enumerate(kept)
        ]
        rows += [{"clip_id": clip_id, "label": x, "drop_reason": why} for x, why in dropped]
        if not kept:
            reason = "no candidate label" + (" is left" if dropped else " was found")
            rows.append({"clip_id": clip_id, "drop_reason": reason})
    names = ("clip_id", "label", "position", "sources", "drop_reason")
    return {name: [row.get(name) for row in rows] for name in names}


def merge(
    found: Iterable[Found],
    *,
    kinds: Sequence[str] = KINDS,
    min_image_score: float = 0.0,
    most: int = 20,
    block: Iterable[str] = (),
) -> tuple[list[Candidate], list[tuple[str, str]]]:
    """One clip's labels -> its candidates in order of position, and the dropped with a reason.

    Every label that goes in comes out once: as a candidate, or dropped. The rules are those at the
    head of this module.
    """
    in_order = sorted(
        found, key=lambda f: (kinds.index(f.kind), -(f.score or 0.0), f.rank, f.label)
    )
    candidates: dict[str, Candidate] = {}
    queues: dict[str, list[str]] = {kind: [] for kind in kinds}
    variants: dict[str, None] = {}  # a set that keeps its order
    for one in in_order:
        key = singular(one.label)
        candidate = candidates.setdefault(key, Candidate(one.label, []))
        candidate.sources.append(one)
        queues[one.kind].append(key)
        if one.label != candidate.label:
            variants[one.label] = None
    dropped = [(label, VARIANT) for label in variants]
    blocked = {singular(normal_form(word)) for word in block}
    for key, candidate in list(candidates.items()):
        reason = None
        if key in blocked:
            reason = BLOCKED
        elif all(
            s.kind == "image" and (s.score or 0.0) < min_image_score for s in candidate.sources
        ):
            reason = f"image score below {min_image_score}"
        if reason:
            dropped.append((candidate.label, reason))
            del candidates[key]
    order = [candidates[key] for key in _take_turns(queues.values(), set(candidates))]
    dropped += [(candidate.label, f"beyond the first {most}") for candidate in order[most:]]
    return order[:most], dropped


def _take_turns(queues: Iterable[Iterable[str]], left: set[str]) -> list[str]:
    """Each queue in turn gives its first key that is still left, until none has any."""
    order: list[str] = []
    waiting = [iter(queue) for queue in queues]
    while left:
        for queue in waiting:
            key = next((key for key in queue if key in left), None)
            if key is not None:
                order.append(key)
                left.remove(key)
    return order


def singular(label: str) -> str:
    """A label with its last word in the singular, by spelling alone: the key of its variants.

    ``-ies`` becomes ``-y`` and ``-ches, -shes, -sses, -xes, -zzes`` lose ``es``; a final ``s``
    goes, unless it follows ``s``, ``u`` or ``i`` or leaves fewer than three letters ("dress",
    "bus").
    """
    head, _, word = label.rpartition(" ")
    if word in IRREGULAR:
        word = IRREGULAR[word]
    elif word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith(("ches", "shes", "sses", "xes", "zzes")):
        word = word[:-2]
    elif word.endswith("s") and word[-2:-1] not in ("s", "u", "i") and len(word) > 3:
        word = word[:-1]
    return f"{head} {word}" if head else word
