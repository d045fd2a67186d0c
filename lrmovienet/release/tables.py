"""The tables of a workspace as the configs of a release, each file's rows in a fixed order."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lrmovienet.errors import UserError
from lrmovienet.pseudonyms import published
from lrmovienet.release.layout import CONFIGS
from lrmovienet.schema import PAIR_PERCENTS, SPLITS
from lrmovienet.workspace import Workspace

Files = dict[tuple[str, str], pa.Table]
"""(config, file) -> its rows."""


@dataclass(frozen=True)
class Tables:
    """What a release holds, before it is written."""

    files: Files
    withheld: dict[str, int]
    """Config -> rows that are kept back: what people said of labels whose grades the release does
    not show."""


def collect(workspace: Workspace, ratings: bool) -> Tables:
    """The rows of every config but `features`.

    Args:
        workspace: holds clips, records, pairs, relevance and preferences.
        ratings: take in what single people said, too.

    Raises:
        UserError: a table is missing, or tables do not fit together.
    """
    records = workspace.read("records")
    clips = workspace.read("clips")
    files: Files = {("clips", "clips"): _clips(clips, records)}
    relevance = _relevance(workspace, records)
    for split in SPLITS:
        of_split = relevance.filter(pc.equal(relevance["split"], split))
        if of_split.num_rows:
            files["relevance", split] = of_split
    preferences = CONFIGS["preferences"].empty()
    if workspace.manifest("preferences"):
        preferences = _preferences(workspace)
    for percent in PAIR_PERCENTS:
        of_subset = preferences.filter(pc.equal(preferences["percent"], percent))
        if of_subset.num_rows:
            files["preferences", f"pct{percent}"] = of_subset
    withheld: dict[str, int] = {}
    if ratings:
        graded = relevance.filter(pc.is_valid(relevance["grade"]))
        pairs = relevance.filter(pc.equal(relevance["split"], "target_pairs"))
        for name, shown, columns in (
            ("ratings", graded, ("label",)),
            ("pair_ratings", pairs, ("label_a", "label_b")),
        ):
            if workspace.manifest(name) is None:
                continue
            said = published(workspace, name)
            kept = said.filter(_within(said, shown, columns))
            withheld[name] = said.num_rows - kept.num_rows
            if kept.num_rows:
                files[name, name] = kept
    return Tables(files, withheld)


def _clips(clips: pa.Table, records: pa.Table) -> pa.Table:
    """The clips that have a record, by id; frames without perceptual hashes."""
    wanted = pc.unique(records["clip_id"])
    kept = clips.filter(pc.is_in(clips["clip_id"], value_set=wanted)).sort_by("clip_id")
    if kept.num_rows < len(wanted):
        lost = [i for i in wanted.to_pylist() if i not in set(clips["clip_id"].to_pylist())]
        raise UserError(
            f"records: {len(lost)} of their clips are not in the table clips, such as {lost[0]}. "
            "Make the records again: lrmovienet split"
        )
    return with_hashes(kept, None)


def with_hashes(clips: pa.Table, hashes: "list[str | None] | None") -> pa.Table:
    """Clips with a perceptual hash for each keyframe, in their order; None: without any."""
    frames = clips["keyframes"].combine_chunks()
    flat = frames.flatten()
    looks = pa.array(hashes, pa.string()) if hashes else pa.nulls(len(flat), pa.string())
    schema = CONFIGS["clips"].schema
    kind = schema.field("keyframes").type.value_type
    structs = pa.StructArray.from_arrays(
        [flat.field("ref"), flat.field("sha256"), looks], fields=list(kind)
    )
    offsets = np.concatenate([[0], np.cumsum(frames.value_lengths().to_numpy())])
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), structs)
    place = clips.schema.get_field_index("keyframes")
    return clips.set_column(place, "keyframes", lists).select(schema.names).cast(schema)


def _relevance(workspace: Workspace, records: pa.Table) -> pa.Table:
    """Records, and for graded ones how the grade came about; by clip, domain and position."""
    names = ["n_ratings", "spread", "method"]
    graded = workspace.read("relevance", ["clip_id", "label", *names])
    row_of = {key: i for i, key in enumerate(_keys(graded, ("clip_id", "label")))}
    shown = pc.is_valid(records["grade"]).to_pylist()
    rows = [
        row_of.get(key) if show else None
        for key, show in zip(_keys(records, ("clip_id", "label")), shown, strict=True)
    ]
    taken = graded.take(pa.array(rows, pa.int64()))
    for name in names:
        records = records.append_column(name, taken[name])
    order = [("clip_id", "ascending"), ("domain", "ascending"), ("position", "ascending")]
    schema = CONFIGS["relevance"].schema
    return records.sort_by(order).select(schema.names).cast(schema)


def _preferences(workspace: Workspace) -> pa.Table:
    """Pairs, with how many people chose so and how far they agree; by clip and labels."""
    key = ("clip_id", "better", "worse")
    pairs, preferences = workspace.read("pairs"), workspace.read("preferences")
    row_of = {key: i for i, key in enumerate(_keys(preferences, key))}
    rows = pa.array([row_of.get(k) for k in _keys(pairs, key)], pa.int64())
    for name in ("n", "agreement"):
        pairs = pairs.append_column(name, preferences[name].take(rows))
    schema = CONFIGS["preferences"].schema
    ordered = pairs.sort_by([(name, "ascending") for name in key])
    return ordered.select(schema.names).cast(schema)


def _within(said: pa.Table, shown: pa.Table, columns: tuple[str, ...]) -> pa.Array:
    """Whether each judgement is about labels of records in `shown`."""
    known = {*_keys(shown, ("clip_id", "label"))}
    each = [_keys(said, ("clip_id", column)) for column in columns]
    return pa.array([all(k in known for k in keys) for keys in zip(*each, strict=True)], pa.bool_())


def _keys(rows: pa.Table, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    return list(zip(*(rows[column].to_pylist() for column in columns), strict=True))
