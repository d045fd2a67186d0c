"""What a ranker sees: records to score, and the training data its regime allows.

Regimes: ``R0`` source grades only; ``R1`` R0 and some of the target's preference pairs; ``R2`` R1
and the target's records without their pairs or grades. A `Record` never carries grades, so what
is scored cannot leak into a score.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from lrmovienet.errors import UserError, shorten
from lrmovienet.schema import PAIR_PERCENTS
from lrmovienet.workspace import Workspace

if TYPE_CHECKING:
    from lrmovienet.encoders import Halfs, TokenFeatures
    from lrmovienet.features import FeatureStore
    from lrmovienet.keyframes import KeyframeReader

Regime = Literal["R0", "R1", "R2"]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pictures:
    """A clip's keyframes as files, which lie where the workspace's clips say."""

    workspace: Workspace
    frames: tuple[tuple[str, str | None], ...]
    """Each keyframe's reference and, where it is known, sha256, in the order of the film."""

    @property
    def reader(self) -> "KeyframeReader":
        """What reads them. Raises UserError where the workspace has no frames."""
        from lrmovienet.keyframes import KeyframeReader, frames_root

        clips = self.workspace.require("clips")
        if "release" in clips.inputs and "frames_root" not in clips.config:
            raise UserError(
                f"{self.workspace.root}: the frames themselves are needed, and this workspace was "
                "made of a release without them. Make one with frames of your own: lrmovienet "
                "hydrate RELEASE --frames ROOT --workspace NEW"
            )
        return KeyframeReader(frames_root(self.workspace))


@dataclass(frozen=True)
class Record:
    """One clip in one domain: the labels to be ranked, and what is known about them."""

    clip_id: str
    domain: str
    labels: tuple[str, ...]
    sources: tuple[str, ...]
    """Where each label came from: image, event or entity."""
    genres: tuple[str, ...]
    description: str
    features: "FeatureStore | None" = field(default=None, repr=False, compare=False)
    pictures: Pictures | None = field(default=None, repr=False, compare=False)
    """The keyframes themselves, for rankers that bring an encoder of their own."""
    tag_scores: tuple[float, ...] | None = field(default=None, repr=False)
    """What taggers gave each label, where they were asked for (`baselines.image_tag`)."""
    vectors: npt.NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    """(n_labels, d) where all that is known of a label is one vector, instead of a text beside
    frames: the documents of a query (`baselines.letor`)."""

    def text(self, label: int) -> "TokenFeatures":
        """Token vectors of the label at this position with the description, read from disk."""
        return self._store.text(self.clip_id, self.labels[label])

    @property
    def frames(self) -> "Halfs":
        """(n_frames, dim) vectors of the clip's keyframes, read from disk."""
        return self._store.frames(self.clip_id)

    @property
    def _store(self) -> "FeatureStore":
        if self.features is None:
            raise ValueError(f"record {self.clip_id} was made without a feature store")
        return self.features


@dataclass(frozen=True)
class Graded:
    """A record and its grades."""

    record: Record
    grades: Ints
    """(n_labels,) 2 high, 1 medium, 0 low."""


@dataclass(frozen=True)
class Paired:
    """A record and which of its labels are preferred to which."""

    record: Record
    pairs: Ints
    """(n_pairs, 2) positions of the better and of the worse label."""


@dataclass(frozen=True)
class TrainingData:
    """What a ranker may learn from."""

    graded: tuple[Graded, ...]
    """Source records (all regimes)."""
    dev: tuple[Graded, ...]
    """Target records for choosing among models, never for a gradient (all regimes)."""
    pairs: tuple[Paired, ...] = ()
    """Target pairs (R1 and R2)."""
    unlabelled: tuple[Record, ...] = ()
    """Target records without pairs or grades (R2)."""


def training_data(
    workspace: Workspace, regime: Regime, percent: int, features: "FeatureStore | None"
) -> TrainingData:
    """The data that a regime allows, from a workspace's tables.

    Args:
        workspace: holds clips and records, and for R1 and R2 pairs.
        regime: R0, R1 or R2.
        percent: share of the target's pairs, 0, 5, 10, 20 or 40; not used in R0.
        features: where records read their features.

    Raises:
        UserError: a table is missing, a split is empty, a grade is missing, or a pair names a label
            that its record does not have.
    """
    graded = load_graded(workspace, "source_train", features)
    dev = load_graded(workspace, "target_dev", features)
    if regime == "R0":
        return TrainingData(graded, dev)
    if percent not in (0, *PAIR_PERCENTS):
        raise UserError(f"--percent {percent}: give one of {(0, *PAIR_PERCENTS)}.")
    targets = tuple(record for record, _ in _load(workspace, "target_pairs", features))
    workspace.require_current("pairs")
    pairs = _load_pairs(workspace, targets, percent)
    return TrainingData(graded, dev, pairs, targets if regime == "R2" else ())


def load_graded(
    workspace: Workspace, split: str, features: "FeatureStore | None"
) -> tuple[Graded, ...]:
    """The records of a split with their grades. Raises UserError where a grade is missing."""
    found = []
    for record, grades in _load(workspace, split, features):
        for label, grade in zip(record.labels, grades, strict=True):
            if grade is None:
                raise UserError(
                    f"{workspace.folder('records')}: label {shorten(label)} of clip "
                    f"{record.clip_id} in {split} has no grade. Make the records again: "
                    f"lrmovienet split --workspace {workspace.root}"
                )
        found.append(Graded(record, np.array(grades, dtype=np.int64)))
    return tuple(found)


def load_records(
    workspace: Workspace, split: str, features: "FeatureStore | None"
) -> tuple[Record, ...]:
    """The records of a split, by clip. Raises UserError where the split has none."""
    return tuple(record for record, _ in _load(workspace, split, features))


def _load(
    workspace: Workspace, split: str, features: "FeatureStore | None"
) -> list[tuple[Record, list[int | None]]]:
    """The records of a split, by clip and domain, with their grades in the order of positions."""
    columns = ["clip_id", "description", "keyframes"]
    clips = {row["clip_id"]: row for row in workspace.read("clips", columns).to_pylist()}
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in workspace.read("records").to_pylist():
        if row["split"] == split:
            rows.setdefault((row["clip_id"], row["domain"]), []).append(row)
    if not rows:
        raise UserError(
            f"{workspace.folder('records')}: no records in the split {split!r}. Choose another "
            f"split, or make the records of more films: lrmovienet split --workspace "
            f"{workspace.root}"
        )
    found = []
    for (clip_id, domain), labels in sorted(rows.items()):
        labels.sort(key=lambda row: row["position"])
        if clip_id not in clips:
            raise UserError(
                f"{workspace.folder('records')}: clip {clip_id} is not in the table clips. Make "
                f"the records again: lrmovienet split --workspace {workspace.root}"
            )
        frames = tuple((frame["ref"], frame["sha256"]) for frame in clips[clip_id]["keyframes"])
        record = Record(
            clip_id,
            domain,
            tuple(row["label"] for row in labels),
            tuple(row["source"] for row in labels),
            tuple(labels[0]["genres"]),
            clips[clip_id]["description"],
            features,
            pictures=Pictures(workspace, frames),
        )
        found.append((record, [row["grade"] for row in labels]))
    return found


def _load_pairs(
    workspace: Workspace, targets: Sequence[Record], percent: int
) -> tuple[Paired, ...]:
    place = {
        (record.clip_id, label): position
        for record in targets
        for position, label in enumerate(record.labels)
    }
    pairs: dict[str, list[tuple[int, int]]] = {}
    for row in workspace.read("pairs").to_pylist():
        if row["percent"] > percent:
            continue
        try:
            better, worse = (place[row["clip_id"], row[side]] for side in ("better", "worse"))
        except KeyError as error:
            raise UserError(
                f"{workspace.folder('pairs')}: {shorten(error.args[0])} is no label of a record in "
                f"target_pairs. Make both again: lrmovienet split --workspace {workspace.root}"
            ) from None
        pairs.setdefault(row["clip_id"], []).append((better, worse))
    return tuple(
        Paired(record, np.array(sorted(pairs[record.clip_id]), dtype=np.int64))
        for record in targets
        if record.clip_id in pairs
    )


def subset(record: Record, positions: Iterable[int]) -> Record:
    """The record with the labels at `positions` only, in that order."""
    chosen, tags = list(positions), record.tag_scores
    return Record(
        record.clip_id,
        record.domain,
        tuple(record.labels[i] for i in chosen),
        tuple(record.sources[i] for i in chosen),
        record.genres,
        record.description,
        record.features,
        pictures=record.pictures,
        tag_scores=None if tags is None else tuple(tags[i] for i in chosen),
        vectors=None if record.vectors is None else record.vectors[chosen],
    )
