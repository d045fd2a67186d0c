"""`lrmovienet split`: which label belongs to which domain, and which clip to which split.

Domains (paper, §5.1): genres ranked by their number of clips are cut into a head set S_P and a tail
set S_Q. Labels that occur in a clip of an S_Q genre are the target domain, all others the source
domain. A *record* is one clip with its labels of one domain; a clip can give two records.

Protocols. ``paper``: every clip with source labels trains the base model, and target clips are
drawn one by one into test (1,000 of 3,206) and training (2,206), so that a film (even a clip, with
other labels) can stand on both sides. The paper has no development split, and chose among models on
its test; here a part of the 2,206 is kept for that, unless ``dev_share`` is 0. ``strict``: the same
domains, but test films and development films are in no other split.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rich.console import Console

from lrmovienet.config import VerbConfig
from lrmovienet.domains import (
    Clip,
    NoGenre,
    first_ten,
    genres_by_clips,
    named_genres,
    tail_genres,
    target_labels,
    without_genre,
)
from lrmovienet.errors import UserError
from lrmovienet.runner import Columns
from lrmovienet.runner.local import run_once
from lrmovienet.schema import PAIR_PERCENTS, SPLITS
from lrmovienet.workspace import Workspace

VERSION = "split-1"
PAPER_TEST_SHARE = 1000 / 3206
"""Target test clips among all clips (paper, §5.1)."""

SCORED = ("target_dev", "target_test")
EQUAL = "one grade for all labels of the record: "

Protocol = Literal["strict", "paper"]
EqualGrades = Literal["refuse", "drop", "keep"]


@dataclass(frozen=True)
class SplitConfig(VerbConfig):
    """Options of `lrmovienet split`."""

    protocol: Protocol = "strict"
    """strict: test and development films are in no other split. paper: as in the paper, where
    splits share films and clips."""
    tail_genres: int | None = None
    """How many of the rarest genres make the target domain; by default the number that brings the
    share of target label classes nearest to the paper's 4,841 of 15,234."""
    target_genres: list[str] = field(default_factory=list)
    """The genres that make the target domain, by name, instead of the rarest."""
    test_share: float = PAPER_TEST_SHARE
    """Share of all clips whose target records are the test; clips without target labels, which
    give none, count too."""
    dev_share: float = 0.1
    """Share of clips whose target records are for choosing among models. With the protocol paper it
    may be 0: 2,206 clips of 3,206 for pairs, and nothing to choose on, as in the paper."""
    no_genre: NoGenre = "refuse"
    """Clips of films without a genre. refuse: stop and name them; source: all their labels that no
    target clip has are source labels; drop: leave them out."""
    equal_grades: EqualGrades = "refuse"
    """Records of development or test whose labels all have one grade, so that every order is right.
    refuse: stop and name them; drop: leave them out; keep: leave them to the scorer's rule."""
    max_labels: int = 20
    """Labels a record; those beyond are dropped, in the order of candidates."""
    min_labels: int = 2
    """A record with fewer labels is dropped: there is nothing to rank."""
    seed: int = 0
    """Of the draw of films, clips and pairs; 0 or more."""


def run(config: SplitConfig) -> None:
    """Make `records` and `pairs`."""
    test, dev = config.test_share, config.dev_share
    no_dev = dev == 0 and config.protocol == "paper"
    if not (test > 0 and (dev > 0 or no_dev) and test + dev < 1):  # so put, it refuses nan too
        raise UserError(
            f"--test_share {test} and --dev_share {dev}: give two "
            "numbers above 0 that leave something for training."
        )
    if config.target_genres and config.tail_genres is not None:
        raise UserError("give --target_genres or --tail_genres, not both.")
    workspace = Workspace(config.workspace)
    names = ("clips", workspace.candidates_table, "relevance")
    inputs = {name: workspace.require(name).digest for name in names}
    preferences = workspace.manifest("preferences")
    if preferences is not None:
        inputs["preferences"] = preferences.digest
    options = {k: v for k, v in config.__dict__.items() if k != "workspace"}
    console = Console()
    records = run_once(
        workspace, "records", lambda: make_records(workspace, config),
        version=VERSION, inputs=inputs, config=options,
    )  # fmt: skip
    console.print(str(records))
    if preferences is None:
        console.print("pairs: none, there is no table preferences (nobody has compared labels)")
    inputs = {
        "records": records.manifest.digest,
        **({"preferences": preferences.digest} if preferences else {}),
    }
    pairs = run_once(
        workspace, "pairs", lambda: make_pairs(workspace, config.seed),
        version=VERSION, inputs=inputs, config={"seed": config.seed},
    )  # fmt: skip
    console.print(str(pairs))
    there = {*workspace.read("pairs", ["percent"])["percent"].to_pylist()} if preferences else {40}
    smallest = [percent for percent in PAIR_PERCENTS if percent < min(there)]
    if smallest:
        named = ", ".join(f"{percent} %" for percent in smallest)
        console.print(f"pairs: too few for a subset of {named}")


def genres_of_domains(workspace: Workspace) -> tuple[list[str], list[str]]:
    """The head set S_P and the tail set S_Q that the workspace's records were made with.

    Raises:
        UserError: there are no records.
    """
    config = SplitConfig(workspace.root, **workspace.require("records").config)
    used, labels, _ = _usable(workspace, config)
    tail = _tail(used, labels, config)
    return [genre for genre in genres_by_clips(used) if genre not in tail], tail


def make_records(workspace: Workspace, config: SplitConfig) -> Columns:
    """Columns of `records`, by clip, domain and position.

    Raises:
        UserError: clips have no genres, a genre is unknown, a genre cut leaves a domain empty, a
            record to be scored has one grade only, or a split is empty.
    """
    used, labels, clips = _usable(workspace, config)
    without = {*clips} - {clip["clip_id"] for clip in used}
    target = target_labels(used, labels, _tail(used, labels, config))
    films = _films(used)
    splits = (
        strict_splits(films, config)
        if config.protocol == "strict"
        else paper_splits(sorted(clip["clip_id"] for clip in used), config)
    )
    rows: list[dict[str, Any]] = []
    for clip_id in sorted(labels):
        clip, of_clip = clips[clip_id], splits.get(clip_id, "target_pairs")
        for domain in ("source", "target"):
            own = [
                row for row in labels[clip_id] if (row["label"] in target) == (domain == "target")
            ]
            split = of_clip if domain == "target" else "source_train"
            held_out = config.protocol == "strict" and of_clip != "target_pairs"
            equal = split in SCORED and len({row["grade"] for row in own[: config.max_labels]}) == 1
            for position, row in enumerate(own):
                reason = None
                if clip_id in without:
                    reason = "its film has no genre"
                elif len(own) < config.min_labels:
                    reason = f"{domain} record has fewer than {config.min_labels} labels"
                elif domain == "source" and held_out:
                    reason = f"source label of a film of {splits[clip_id]}"
                elif position >= config.max_labels:
                    reason = f"beyond the {config.max_labels} labels of a {domain} record"
                elif equal and config.equal_grades != "keep":
                    reason = f"{EQUAL}{row['grade']}"
                rows.append(
                    {
                        "clip_id": clip_id,
                        "domain": domain,
                        "split": split,
                        "position": position,
                        "label": row["label"],
                        "grade": None if split == "target_pairs" else row["grade"],
                        "movie_id": clip["movie_id"],
                        "genres": clip["genres"],
                        "source": row["source"],
                        "drop_reason": reason,
                    }
                )
    if config.equal_grades == "refuse":
        _refuse_equal(rows)
    _check_splits(rows, config)
    return {name: [row[name] for row in rows] for name in rows[0]}


def _usable(workspace: Workspace, config: SplitConfig) -> tuple[list[Clip], Any, dict[str, Clip]]:
    """The clips that can be split, the graded candidates of each clip, and all clips."""
    clips: dict[str, Clip] = {c["clip_id"]: c for c in workspace.read("clips").to_pylist()}
    labels = _labels_of_clips(workspace, clips)
    without = without_genre(clips, labels, config.no_genre)
    return [clip for clip_id, clip in clips.items() if clip_id not in without], labels, clips


def _tail(clips: Sequence[Clip], labels: Any, config: SplitConfig) -> list[str]:
    named = named_genres(clips, config.target_genres)
    return named or tail_genres(clips, labels, config.tail_genres)


def _labels_of_clips(
    workspace: Workspace, clips: Mapping[str, Clip]
) -> dict[str, list[dict[str, Any]]]:
    """The graded candidates of each clip, in the order of candidates."""
    grades = {
        (row["clip_id"], row["label"]): row["grade"]
        for row in workspace.read("relevance", ["clip_id", "label", "grade"]).to_pylist()
    }
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in workspace.read(workspace.candidates_table).to_pylist():
        grade = grades.get((row["clip_id"], row["label"]))
        if grade is not None and row["clip_id"] in clips:
            row["grade"], row["source"] = grade, row["sources"][0]["kind"]
            found[row["clip_id"]].append(row)
    if not found:
        raise UserError(
            f"{workspace.root}: no clip has both candidates and relevance. Are clips, candidates "
            "and ratings from the same corpus?"
        )
    for rows in found.values():
        rows.sort(key=lambda row: row["position"])
    return found


def _refuse_equal(rows: Sequence[dict[str, Any]]) -> None:
    equal = {
        row["clip_id"]: f"{row['clip_id']} ({row['split']}, all {row['grade']})"
        for row in rows
        if (row["drop_reason"] or "").startswith(EQUAL)
    }
    if equal:
        raise UserError(
            f"relevance: {len(equal)} records to be scored have one grade for all their labels, so "
            f"that every order of them is right: {first_ten(list(equal.values()))}. Look at their "
            "grades, or say --equal_grades drop, or --equal_grades keep to leave them to the "
            "scorer's rule."
        )


def paper_splits(clip_ids: Sequence[str], config: SplitConfig) -> dict[str, str]:
    """Each clip's target split, drawn clip by clip."""
    drawn = sorted(clip_ids, key=lambda clip_id: _draw(config.seed, clip_id))
    n_test = round(config.test_share * len(drawn))
    n_dev = round(config.dev_share * len(drawn))
    names = ["target_test"] * n_test + ["target_dev"] * n_dev
    names += ["target_pairs"] * (len(drawn) - len(names))
    return dict(zip(drawn, names, strict=True))


def strict_splits(films: Mapping[str, list[Clip]], config: SplitConfig) -> dict[str, str]:
    """Each clip's target split, film by film, strata of genres spread over the splits.

    Films are taken by their rarest genre and, within a genre, in a seeded order; each goes to the
    split that is furthest below its share of the clips so far.
    """
    common = genres_by_clips(clip for clips in films.values() for clip in clips)
    rank = {genre: i for i, genre in enumerate(common)}
    strata: dict[int, list[str]] = defaultdict(list)
    for movie_id, clips in films.items():
        strata[max((rank[g] for clip in clips for g in clip["genres"]), default=-1)].append(
            movie_id
        )
    shares = {
        "target_test": config.test_share,
        "target_dev": config.dev_share,
        "target_pairs": 1 - config.test_share - config.dev_share,
    }
    total, given = 0, dict.fromkeys(shares, 0)
    splits: dict[str, str] = {}
    for stratum in sorted(strata):
        for movie_id in sorted(strata[stratum], key=lambda film: _draw(config.seed, film)):
            total += len(films[movie_id])
            # Shares run on across strata, so that small strata do not all fall to one split.
            behind = max(shares, key=lambda name: shares[name] * total - given[name])
            given[behind] += len(films[movie_id])
            splits.update((clip["clip_id"], behind) for clip in films[movie_id])
    return splits


def make_pairs(workspace: Workspace, seed: int) -> Columns:
    """Columns of `pairs`: the preferences within target_pairs, in nested subsets.

    The preferences at hand count as 40 % of all pairs (the most that the paper annotates); a seeded
    draw makes an eighth of them the 5 % subset, a quarter the 10 % one, half the 20 % one.
    """
    place: dict[tuple[str, str], str] = {}
    for row in workspace.read("records", ["clip_id", "domain", "label", "split"]).to_pylist():
        if row["domain"] == "target":
            place[row["clip_id"], row["label"]] = row["split"]
    rows: list[dict[str, Any]] = []
    if workspace.manifest("preferences"):
        rows = workspace.read("preferences", ["clip_id", "better", "worse"]).to_pylist()
    kept = []
    for row in rows:
        sides = {place.get((row["clip_id"], row[side])) for side in ("better", "worse")}
        row["drop_reason"] = None
        if None in sides:
            row["drop_reason"] = "not two labels of a target record"
        elif sides != {"target_pairs"}:
            row["drop_reason"] = f"held out: the record is in {sides.pop()}"
        else:
            kept.append(row)
    if rows and not kept:
        raise UserError(f"{workspace.root}: no preference lies within a record of target_pairs.")
    kept.sort(key=lambda r: _draw(seed, f"{r['clip_id']}\n{r['better']}\n{r['worse']}"))
    for number, row in enumerate(kept):
        share = PAIR_PERCENTS[-1] * (number + 1) / len(kept)
        row["percent"] = next(p for p in PAIR_PERCENTS if share <= p or p == PAIR_PERCENTS[-1])
    names = ("clip_id", "better", "worse", "percent", "drop_reason")
    return {name: [row.get(name, PAIR_PERCENTS[-1]) for row in rows] for name in names}


def _films(clips: Iterable[Clip]) -> dict[str, list[Clip]]:
    films: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        films[clip["movie_id"]].append(clip)
    return films


def _draw(seed: int, name: str) -> bytes:
    """A place in a random order that is the same on every machine."""
    return hashlib.sha256(f"{seed}\n{name}".encode()).digest()


def _check_splits(rows: Sequence[dict[str, Any]], config: SplitConfig) -> None:
    there = Counter(row["split"] for row in rows if row["drop_reason"] is None)
    for split in SPLITS:
        if not there[split] and (split != "target_dev" or config.dev_share):
            raise UserError(
                f"records: the split {split} would be empty. Use more films, another --seed, or "
                "another --test_share, --dev_share or --tail_genres."
            )
