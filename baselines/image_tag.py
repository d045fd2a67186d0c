"""A floor of the image alone: how sure the tagger was of the label in this clip."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from baselines.data import Record, Regime, TrainingData
from baselines.ranker import Scores
from lrmovienet.errors import UserError, shorten
from lrmovienet.files import write_json
from lrmovienet.workspace import Workspace

_FILE = "image_tag.json"
NOT_SEEN = -1.0
"""Score of a label that no tagger gave; taggers' scores are 0 to 1."""


class ImageTagRanker:
    """The tagger's score of a label in the clip; labels that are from the text alone come last."""

    regimes: ClassVar[tuple[Regime, ...]] = ("R0",)
    uses_features: ClassVar[bool] = False

    def fit(self, data: TrainingData, working: Path) -> None:
        """Nothing to learn."""

    def score(self, record: Record) -> Scores:
        """(n_labels,) the record's `tag_scores`, from `with_tag_scores`."""
        if record.tag_scores is None:
            raise ValueError(f"record {record.clip_id} was made without the taggers' scores")
        return np.array(record.tag_scores, dtype=np.float64)

    def save(self, folder: Path) -> None:
        """Nothing to keep but that it was made."""
        write_json(folder / _FILE, {})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Check that it was made. Raises UserError where it was not."""
        if not (folder / _FILE).is_file():
            raise UserError(f"{folder / _FILE}: missing. Delete the folder and train again.")
        return cls()


def tag_inputs(workspace: Workspace) -> dict[str, str]:
    """The table that holds the taggers' scores and its digest, to be noted as an input.

    Raises:
        UserError: the workspace has no such table.
    """
    table = workspace.candidates_table
    manifest = workspace.manifest(table)
    if manifest is None:
        raise UserError(
            f"{workspace.root}: no table {table!r} here, which holds the taggers' scores that "
            "image-tag ranks by; releases do not carry it. Use the workspace in which the corpus "
            "was built, or leave image-tag out."
        )
    return {table: manifest.digest}


def with_tag_scores(workspace: Workspace, records: Iterable[Record]) -> tuple[Record, ...]:
    """The records, each with the best score a tagger gave to each label.

    Raises:
        UserError: there is no table of candidates, it lacks a label, or tags came without scores.
    """
    table = next(iter(tag_inputs(workspace)))
    best: dict[tuple[str, str], float | None] = {}
    for row in workspace.read(table, ["clip_id", "label", "sources"]).to_pylist():
        scores = [source["score"] for source in row["sources"] if source["kind"] == "image"]
        known = [score for score in scores if score is not None]
        nothing = None if scores else NOT_SEEN
        best[row["clip_id"], row["label"]] = max(known) if known else nothing

    def score_of(record: Record, label: str) -> float:
        score = best.get((record.clip_id, label))
        if score is None:
            there = (record.clip_id, label) in best
            raise UserError(
                f"{workspace.folder(table)}: label {shorten(label)} of clip {record.clip_id} "
                + ("was tagged without a score. " if there else "is not there. ")
                + "Make the tables again (lrmovienet tag, merge, split), or leave image-tag out."
            )
        return score

    return tuple(
        replace(record, tag_scores=tuple(score_of(record, label) for label in record.labels))
        for record in records
    )
