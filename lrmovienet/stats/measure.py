"""What a release holds, in numbers: Table C.1 and figure C.1 of the paper, and more.

Everything is counted on the release's own rows, so that it can be counted again by anybody.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from lrmovienet.release.layout import Release
from lrmovienet.schema import DOMAINS, GRADES, PAIR_PERCENTS, SPLITS

Row = dict[str, Any]
GRADE_NAMES = {grade: name for name, grade in GRADES.items()}
COLUMNS = ("clip_id", "domain", "split", "label", "grade", "movie_id", "genres", "source")


def measure(release: Release) -> dict[str, Any]:
    """Counts of a release, as plain values.

    Returns:
        ``totals`` of clips, films, labels (rows) and classes (different labels); ``splits`` with
        records, labels, classes, clips, films, labels a record and grades of each; ``genres``, the
        commonest first, with the clips and classes of each (Table C.1 a and b); ``frequencies``,
        how many classes occur so many times (figure C.1 c); ``labels_per_record``, how many records
        of a domain have so many labels; ``grades_by_genre`` and ``grades_by_source``; ``pairs`` of
        each nested subset, and their share of all pairs that the records have.

    Raises:
        UserError: a file of the release is missing or damaged.
    """
    rows = release.read("relevance", columns=COLUMNS).to_pylist()
    clips = release.read("clips", columns=["clip_id", "genres"]).to_pylist()
    classes: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        for genre in set(row["genres"]):
            classes[genre].add(row["label"])
    per_genre = Counter(genre for clip in clips for genre in set(clip["genres"]))
    ranked = sorted({*per_genre, *classes}, key=lambda genre: (-per_genre[genre], genre))
    used = Counter(row["label"] for row in rows)
    by_split: dict[str, list[Row]] = {split: [] for split in SPLITS}
    for row in rows:
        by_split[row["split"]].append(row)
    sizes = Counter((row["domain"], row["clip_id"]) for row in rows)
    return {
        "totals": {
            "clips": len(clips),
            "films": len({row["movie_id"] for row in rows}),
            "labels": len(rows),
            "classes": len(used),
        },
        "splits": {split: _split(of) for split, of in by_split.items() if of},
        "genres": {g: {"clips": per_genre[g], "classes": len(classes[g])} for g in ranked},
        "classes_by_domain": {
            "all": len(used),
            **{d: len({r["label"] for r in rows if r["domain"] == d}) for d in DOMAINS},
        },
        "without_genre": sum(not clip["genres"] for clip in clips),
        "frequencies": _sorted(Counter(used.values())),
        "labels_per_record": {
            domain: _sorted(Counter(n for (d, _), n in sizes.items() if d == domain))
            for domain in DOMAINS
        },
        "grades_by_genre": _grades_by(
            ((g, row) for row in rows for g in set(row["genres"])), ranked
        ),
        "grades_by_source": _grades_by(((row["source"], row) for row in rows), None),
        "pairs": _pairs(release, by_split["target_pairs"]),
    }


def _split(rows: list[Row]) -> dict[str, Any]:
    records = Counter((row["clip_id"], row["domain"]) for row in rows)
    return {
        "records": len(records),
        "clips": len({row["clip_id"] for row in rows}),
        "films": len({row["movie_id"] for row in rows}),
        "labels": len(rows),
        "classes": len({row["label"] for row in rows}),
        "labels_a_record": {
            "least": min(records.values()),
            "mean": round(len(rows) / len(records), 2),
            "most": max(records.values()),
        },
        "grades": _grades(rows),
    }


def _grades(rows: Iterable[Row]) -> dict[str, int]:
    """Rows of each grade, low first; rows whose grade is not shown are not counted."""
    counted = Counter(row["grade"] for row in rows)
    return {GRADE_NAMES[grade]: counted[grade] for grade in sorted(GRADE_NAMES)}


def _grades_by(
    named: Iterable[tuple[str, Row]], order: list[str] | None
) -> dict[str, dict[str, int]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for name, row in named:
        groups[name].append(row)
    return {
        name: _grades(groups[name])
        for name in (sorted(groups) if order is None else order)
        if name in groups
    }


def _pairs(release: Release, rows: list[Row]) -> dict[str, Any]:
    """Pairs of the nested subsets, beside all pairs that the records of target_pairs have."""
    sizes = Counter(row["clip_id"] for row in rows)
    possible = sum(n * (n - 1) // 2 for n in sizes.values())
    added: Mapping[int, int] = {}
    if release.has("preferences"):
        added = Counter(release.read("preferences", columns=["percent"])["percent"].to_pylist())
    subsets = {
        f"pct{percent}": sum(n for at, n in added.items() if at <= percent)
        for percent in PAIR_PERCENTS
    }
    shares = {name: round(n / possible, 4) if possible else None for name, n in subsets.items()}
    return {"possible": possible, "pairs": subsets, "share": shares}


def _sorted(counted: Mapping[int, int]) -> dict[str, int]:
    return {str(value): counted[value] for value in sorted(counted)}
