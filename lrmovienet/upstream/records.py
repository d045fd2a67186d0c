"""The records of a workspace as the items of the official files."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from eval.messages import short
from lrmovienet.errors import UserError
from lrmovienet.upstream.layout import GIVEN, UNKNOWN, Problems, domain_of, without_nothing
from lrmovienet.workspace import Workspace

CLIP_COLUMNS = ("title", "shot", "frame", "start_s", "end_s")
"""Of a clip, what no key of the official items has a place for."""


@dataclass(frozen=True)
class Record:
    """One clip in one domain, as its rows in the table records have it."""

    clip_id: str
    domain: str
    split: str
    labels: list[str]
    grades: list[int | None]
    sources: list[str]
    genres: list[str]
    movie_id: str

    @property
    def id(self) -> str:
        """The record's name in the files."""
        return f"{self.clip_id}-{self.domain}"


@dataclass(frozen=True)
class Tables:
    """A workspace's tables in Arrow, and where the rows of each record begin and end."""

    workspace: Workspace
    rows: pa.Table
    """The table records, by clip, domain and position."""
    records_at: list[tuple[int, int]]
    clips: pa.Table
    clip_at: dict[str, int]
    preferences: pa.Table
    """The table pairs, by clip."""
    preferences_at: dict[str, tuple[int, int]]

    @classmethod
    def read(cls, workspace: Workspace) -> "Tables":
        """Read and check the tables records, clips and pairs.

        Raises:
            UserError: one is missing, or a record is none that the official code can read.
        """
        rows = workspace.read("records")
        if not rows.num_rows:
            raise UserError(f"{workspace.folder('records')}: no records, so nothing to write.")
        rows = rows.sort_by([(n, "ascending") for n in ("clip_id", "domain", "position")])
        clips = workspace.read("clips")
        clip_at = {c: i for i, c in enumerate(clips["clip_id"].to_pylist())}
        pairs = workspace.read("pairs").sort_by([("clip_id", "ascending")])
        at = {pairs["clip_id"][a].as_py(): (a, b) for a, b in _runs(pairs, "clip_id")}
        runs = _runs(rows, "clip_id", "domain")
        tables = cls(workspace, rows, runs, clips, clip_at, pairs, at)
        tables._check()
        return tables

    @property
    def sizes(self) -> list[int]:
        """Labels of each record."""
        return [stop - start for start, stop in self.records_at]

    @property
    def unused_clips(self) -> int:
        """Clips that have no record."""
        return len(self.clip_at) - len(pc.unique(self.rows["clip_id"]))

    def records(self) -> Iterator[Record]:
        """The records, by clip and domain."""
        for start, stop in self.records_at:
            rows = self.rows.slice(start, stop - start).to_pydict()
            yield Record(
                rows["clip_id"][0], rows["domain"][0], rows["split"][0], rows["label"],
                rows["grade"], rows["source"], rows["genres"][0], rows["movie_id"][0],
            )  # fmt: skip

    def item(self, record: Record) -> dict[str, Any]:
        """A record as an item of a JSON file; see `lrmovienet.upstream.layout`."""
        clip = self.clips.slice(self.clip_at[record.clip_id], 1).to_pylist()[0]
        frames = clip["keyframes"]
        known = record.split != "target_pairs"
        tags = zip(record.labels, record.grades, strict=True)
        more = {name: clip[name] for name in CLIP_COLUMNS}
        more["frames_sha256"] = [frame["sha256"] or "" for frame in frames]
        return {
            "id": record.id,
            "filename": record.clip_id,
            "description": clip["description"],
            "tags": [{"tag": tag, "target": grade if known else 0} for tag, grade in tags],
            "image": [frame["ref"] for frame in frames],
            "clip_id": record.clip_id,
            "domain": record.domain,
            "movie_id": record.movie_id,
            "genres": record.genres,
            "sources": record.sources,
            "grades": GIVEN if known else UNKNOWN,
            "clip": without_nothing(more),
        }

    def pairs(self, record: Record) -> list[tuple[list[int], int]]:
        """The pairs of a record of target_pairs as places, with the smallest percent of each.

        Raises:
            KeyError: a pair names a label that the record does not have.
        """
        start, stop = self.preferences_at.get(record.clip_id, (0, 0))
        rows = self.preferences.slice(start, stop - start).to_pylist()
        place = {label: i for i, label in enumerate(record.labels)}
        return [([place[r["better"]], place[r["worse"]]], r["percent"]) for r in rows]

    def _check(self) -> None:
        """Raises UserError where a record could not be written, or not be read by the others."""
        problems = Problems()
        paired = 0
        for (start, stop), record in zip(self.records_at, self.records(), strict=True):
            what = self._wrong(record, self.rows.slice(start, stop - start))
            if what:
                problems.add(record.id, what)
            if record.split == "target_pairs":
                try:
                    paired += len(self.pairs(record))
                except KeyError as error:
                    problems.add(record.id, f"pair with {short(error.args[0])}, no label of it")
        if not problems.total and paired < self.preferences.num_rows:
            others = self.preferences.num_rows - paired
            problems.add("pairs", f"{others} are not of a record of target_pairs")
        problems.stop(
            f"{self.workspace.root}: what the official files cannot hold",
            f"Make the tables again: lrmovienet split --workspace {self.workspace.root}",
        )

    def _wrong(self, record: Record, rows: pa.Table) -> str:
        """What is wrong with a record, in words; nothing where all is right."""
        clip = self.clip_at.get(record.clip_id)
        unknown = record.grades.count(None)
        if any(len(pc.unique(rows[n])) > 1 for n in ("split", "movie_id")):
            return "its rows have different splits or films"
        if any(genres != record.genres for genres in rows["genres"].to_pylist()):
            return "its rows have different genres"
        if rows["position"].to_pylist() != list(range(len(record.labels))):
            return "the positions of its labels are not 0, 1, 2, …"
        if domain_of(record.split) != record.domain:
            return f"a {record.domain} record in {record.split}"
        if clip is None:
            return "its clip is not in the table clips"
        if [self.clips[n][clip].as_py() for n in ("movie_id", "genres")] != [
            record.movie_id, record.genres,
        ]:  # fmt: skip
            return "film or genres are not those of its clip"
        if record.split != "target_pairs":
            return "a label has no grade" if unknown else ""
        if unknown < len(record.labels):
            return "has grades, where only pairs are known"
        if len(record.labels) < 2:
            return "has one label; the official code needs two for a pair"
        return ""


def _runs(rows: pa.Table, *names: str) -> list[tuple[int, int]]:
    """Where consecutive rows with equal values in these columns begin and end."""
    if not rows.num_rows:
        return []
    changes = np.zeros(rows.num_rows, bool)
    changes[0] = True
    for name in names:
        column = rows[name].combine_chunks()
        changes[1:] |= pc.not_equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False)
    return list(pairwise([*np.flatnonzero(changes).tolist(), rows.num_rows]))
