"""The official files put together: each record once, its pairs, and what is wrong with them."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lrmovienet.errors import ItemError, UserError, shorten
from lrmovienet.runner import Columns
from lrmovienet.schema import CLIPS, DOMAINS, RECORDS
from lrmovienet.schema import PAIRS as PAIRS_TABLE
from lrmovienet.upstream.hdf5 import Features
from lrmovienet.upstream.items import Entry, entry_of, id_of, index_of, is_annotated, tags_of
from lrmovienet.upstream.layout import PAIRS, STAGES, UNKNOWN, Problems, domain_of
from lrmovienet.upstream.read_json import items_of

OTHER_TAGS = "this id has other tags, or another order of tags, in another file"


@dataclass(frozen=True)
class Files:
    """What the files of a folder hold."""

    entries: dict[str, Entry] = field(default_factory=dict)
    """By id: one id has one list of tags and one dataset of texts."""
    records: dict[tuple[str, str], tuple[str, str, tuple[int | None, ...]]] = field(
        default_factory=dict
    )
    """Clip and domain -> id, split and grades."""
    pairs: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """Clip, better and worse -> smallest percent whose file has the pair."""
    clips: dict[str, str] = field(default_factory=dict)
    """Clip -> the first id of it."""
    counts: Counter[str] = field(default_factory=Counter)
    """What is read otherwise than it stands there, or left out, and how often."""
    absent: list[str] = field(default_factory=list)
    """Files that are not there."""

    def in_order(self) -> list[tuple[str, list[str]]]:
        """Each clip with its ids, by film and clip: the order in which `encode` goes."""
        ids: dict[str, list[str]] = {}
        for clip_id, domain in sorted(self.records):
            name = self.records[clip_id, domain][0]
            if name not in ids.setdefault(clip_id, []):
                ids[clip_id].append(name)
        film = {clip_id: self.entries[name].movie_id for clip_id, name in self.clips.items()}
        return sorted(ids.items(), key=lambda pair: (film[pair[0]], pair[0]))


def gather(folder: Path, features: Features, advance: Callable[[int], None]) -> Files:
    """Read and check all files of a folder but the features' numbers.

    Args:
        folder: of the files.
        features: the open file of features.
        advance: called with the number of records done.

    Raises:
        UserError: no file is there, one is no JSON list, or items are wrong; ten are listed.
    """
    files, problems = Files(), Problems()
    files.absent.extend(
        name for name in (*STAGES.values(), *PAIRS.values()) if not (folder / name).is_file()
    )
    if all(name in files.absent for name in STAGES.values()):
        raise UserError(
            f"{folder}: none of the official files is here ({', '.join(STAGES.values())})."
        )
    for split, name in STAGES.items():
        for where, item in _items(folder, name, files, problems):
            try:
                _record(item, split, name, files, features)
            except ItemError as error:
                problems.add(where, str(error))
            advance(1)
    for percent, name in PAIRS.items():
        smaller, again = len(files.pairs), 0
        for where, item in _items(folder, name, files, problems):
            try:
                again += _pairs(item, percent, name, files)
            except ItemError as error:
                problems.add(where, str(error))
        if name not in files.absent:
            files.counts[f"pairs of smaller files that {name} lacks, read as in it"] += (
                smaller - again
            )
    problems.stop(f"{folder}: what the official code could not read", "Nothing was changed.")
    if not files.records:
        raise UserError(f"{folder}: the files hold no records.")
    return files


def _items(
    folder: Path, name: str, files: Files, problems: Problems
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The items of a file that have an id, each with its place in words."""
    if name in files.absent:
        return
    for number, item in enumerate(items_of(folder / name)):
        try:
            found = id_of(item.get("id"))
        except ItemError as error:
            problems.add(f"{name}, item {number}", str(error))
        else:
            yield f"{name}, {shorten(found)}", item


def _record(item: dict[str, Any], split: str, name: str, files: Files, features: Features) -> None:
    """Take an item of a file of records."""
    entry = entry_of(item, split, files.counts)
    domain = domain_of(split)
    if item.get("domain", domain) != domain:
        raise ItemError(
            f"is of the domain {shorten(item['domain'])}, in a file of {domain} records"
        )
    known = files.entries.get(entry.id)
    if known is not None:
        _same(entry, known)
    else:
        rows, _ = features.check(entry.id, len(entry.labels))
        files.counts["rows of text_emb without a tag, left out"] += rows - len(entry.labels)
        if entry.clip_id in files.clips:
            _same_clip(entry, files.entries[files.clips[entry.clip_id]])
    before = files.records.get((entry.clip_id, domain))
    if before is not None:
        if before[0] != entry.id:
            raise ItemError(f"is a second {domain} record of clip {entry.clip_id}")
        if before[1] == split:
            raise ItemError("stands twice in this file")
        if None not in before[2] and before[2] != entry.grades:
            raise ItemError(f"has other targets than in {STAGES[before[1]]}")
        files.counts[f"records of {name} that {STAGES[before[1]]} has too, read from there"] += 1
        return
    if known is not None and split == "target_pairs":
        # The file of both stages lists source records again, which makes them no target records.
        files.counts[f"records of {name} that are source records listed again"] += 1
        return
    if split == "target_pairs" and item.get("grades") != UNKNOWN:
        files.counts["targets in target_pairs, where only pairs are known, left out"] += len(
            entry.labels
        )
    files.records[entry.clip_id, domain] = (entry.id, split, entry.grades)
    files.entries.setdefault(entry.id, entry)
    files.clips.setdefault(entry.clip_id, entry.id)


def _same(entry: Entry, known: Entry) -> None:
    """Raises ItemError where an id has other tags than before: it has one text_emb."""
    if entry.labels != known.labels:
        raise ItemError(OTHER_TAGS)
    if entry.clip_id != known.clip_id:
        raise ItemError("this id is another clip in another file")
    _same_clip(entry, known)


def _same_clip(entry: Entry, known: Entry) -> None:
    for name in ("description", "movie_id", "genres", "frames", "clip"):
        if getattr(entry, name) != getattr(known, name):
            raise ItemError(f"its clip {entry.clip_id} has another {name} in another item")


def _pairs(item: dict[str, Any], percent: int, name: str, files: Files) -> int:
    """Take an item of a file of pairs. Returns how many of them a smaller file has too."""
    labels, _ = tags_of(item, Counter())
    index = index_of(item, len(labels))
    entry = files.entries.get(item["id"])
    if entry is None:
        raise ItemError("is in none of the files of records")
    if entry.labels != labels:
        raise ItemError(OTHER_TAGS)
    split = {
        record[1]
        for domain in DOMAINS
        if (record := files.records.get((entry.clip_id, domain))) and record[0] == entry.id
    }
    annotated = is_annotated(item)
    if annotated is None:
        annotated = "target_pairs" in split or "source_train" not in split
    if not annotated:
        files.counts[f"pairs of source records in {name}, left out"] += len(index)
        return 0
    if "target_pairs" not in split:
        raise ItemError(f"has annotated pairs, and is not in {STAGES['target_pairs']}")
    files.counts[f"pairs that stand twice in {name}"] += len(index) - len({*index})
    again = 0
    for better, worse in {*index}:
        smallest = files.pairs.setdefault((entry.clip_id, labels[better], labels[worse]), percent)
        again += smallest < percent
    return again


def tables(files: Files) -> dict[str, Columns]:
    """The rows of clips, records and pairs, as columns."""
    found: dict[str, Columns] = {
        table.name: {column.name: [] for column in table.columns}
        for table in (CLIPS, RECORDS, PAIRS_TABLE)
    }

    def add(table: str, *values: object) -> None:
        for column, value in zip(found[table].values(), values, strict=True):
            column.append(value)

    for clip_id in sorted(files.clips):
        entry = files.entries[files.clips[clip_id]]
        clip = entry.clip
        if "shot" not in clip or "frame" not in clip:
            files.counts["clips without shots and frames, for which 0 stands"] += 1
        add(
            "clips", clip_id, entry.movie_id, clip.get("title"), [*entry.genres],
            entry.description, clip.get("shot", [0, 0]), clip.get("frame", [0, 0]),
            clip.get("start_s"), clip.get("end_s"),
            [{"ref": ref, "sha256": sha256} for ref, sha256 in entry.frames],
        )  # fmt: skip
    for (clip_id, domain), (name, split, grades) in sorted(files.records.items()):
        entry = files.entries[name]
        rows = zip(entry.labels, grades, entry.sources, strict=True)
        for position, (label, grade, source) in enumerate(rows):
            add(
                "records", clip_id, domain, split, position, label, grade, entry.movie_id,
                [*entry.genres], source,
            )  # fmt: skip
    for (clip_id, better, worse), percent in sorted(files.pairs.items()):
        add("pairs", clip_id, better, worse, percent)
    return found
