"""Results put together that may be compared, and which of their differences are noise.

A table holds one gold, one set of conventions, one protocol and one regime.
"""

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np

from eval.facts import Facts
from eval.messages import listed, printable
from eval.result import Bootstrap, Estimate, Result, ResultError, RunResult, read
from eval.seeds import CONFIDENCE, REPLICATES, interval, p_values, row_of, together
from eval.significance import FEWEST, holm

MOST_CLIPS = 5_000_000
"""A result that says to have more is refused, lest a small file ask for all memory."""

REGIMES = {
    "R0": "R0: source grades only",
    "R1": "R1: R0 and the target's preference pairs",
    "R2": "R2: R1 and unlabelled target records",
    None: "Regime not stated",
}
FLOORS = {"random": "random order, expected", "worst": "worst order"}

Mark = Literal["best", "paired", "overlap", ""]


@dataclass(frozen=True)
class Entry:
    """One run, with the file and the scoring that it is from."""

    path: Path
    result: Result
    run: RunResult
    facts: Facts | None = None
    """Of a run that a benchmark trained; it is the mean over its seeds then."""
    seeds: tuple["Entry", ...] = ()
    """What it is the mean over, then."""

    @property
    def films(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """Entries can be paired where these are equal: the films, and the clips of each."""
        return self.result.gold.film_ids, self.result.gold.film_clips


@dataclass(frozen=True)
class Row:
    """A method, or a floor."""

    name: str
    sha256: str
    """Of the predictions; empty for a floor."""
    cells: tuple[tuple[Estimate, Mark], ...]
    """(n_k,); the mean is None where there is none."""
    facts: Facts | None = None
    """Of a method that a benchmark trained."""
    p: float | None = None
    """That it is as good as the best in the last column, corrected for the rows of the table."""
    entries: tuple[Entry, ...] = ()
    """The runs that it shows, each once: one, or all seeds of a method; none of a floor."""


@dataclass(frozen=True)
class Board:
    """What may be compared."""

    setting: dict[str, str]
    """Dataset, gold and conventions."""
    differs: tuple[str, ...]
    """What of that is unlike the first board; empty in the first."""
    clips: str
    ks: tuple[int, ...]
    tables: dict[str, tuple[Row, ...]]
    """Regime -> methods from best to worst. A table never mixes regimes."""
    floors: tuple[Row, ...]

    @property
    def entries(self) -> list[Entry]:
        """The runs that it shows, each once."""
        return [e for rows in self.tables.values() for row in rows for e in row.entries]


def find(patterns: Sequence[str]) -> list[Path]:
    """Files, folders (their ``*.json``) and globs -> the files, each once, sorted.

    Raises:
        ResultError: a folder holds none, or a glob fits none.
    """
    found: dict[Path, Path] = {}
    for pattern in patterns:
        if Path(pattern).is_dir():
            paths = list(Path(pattern).glob("*.json"))
        elif glob.has_magic(pattern) and not Path(pattern).exists():
            # Path.glob takes no absolute pattern.
            paths = [Path(path) for path in glob.glob(pattern, recursive=True)]  # noqa: PTH207
        else:
            paths = [Path(pattern)]
        if not paths:
            raise ResultError(f"{pattern}: no results here (*.json, as eval/score.py writes them).")
        found |= {path.resolve(): path for path in paths}
    return [found[path] for path in sorted(found)]


def load(paths: Sequence[Path]) -> list[Entry]:
    """Every run of every result.

    Raises:
        ResultError: files are no results, or contradict themselves; the first ten.
    """
    entries, failures = [], []
    for path in paths:
        try:
            result = read(path)
            if wrong := _contradiction(result):
                raise ResultError(f"{path}: {wrong}.")
            entries += [Entry(path, result, run) for run in result.runs]
        except ResultError as error:
            failures.append(str(error))
    if failures:
        heading = f"{len(failures)} of {len(paths)} files cannot be used"
        raise ResultError(listed(heading, failures, len(failures)))
    return entries


def _contradiction(result: Result) -> str:
    """Why the numbers of a result cannot belong together; empty where they can."""
    gold, clips = result.gold, result.gold.film_clips
    if not result.runs or not result.k or not 1 <= min(result.k) <= max(result.k) <= MOST_CLIPS:
        return "it has no run, no k, or a k that cannot be"
    if len(clips) != len(gold.film_ids) or min(clips, default=0) < 0 or sum(clips) > MOST_CLIPS:
        return "gold.film_clips are not the clips of gold.film_ids"
    for run in result.runs:
        for name, estimate in run.measures.items():
            if not name.startswith("ndcg@") or estimate.mean is None:
                continue
            what = f"{name} of {plain(run.name)!r}"
            ends = [end for end in (estimate.mean, estimate.low, estimate.high) if end is not None]
            if min(ends) < -1e-9 or max(ends) > 1 + 1e-9:
                return f"{what} is outside 0 to 1"
            if (sums := run.by_film.get(name)) is None:
                continue
            if len(sums) != len(clips) or not sum(clips):
                return f"{what} has not one sum for each film"
            if abs(sum(sums) / sum(clips) - estimate.mean) > 1e-6:
                return f"{what} is not the mean of its films"
    return ""


def boards(entries: Sequence[Entry]) -> list[Board]:
    """Put runs together that may be compared; the board with most runs comes first.

    Raises:
        ResultError: two files disagree on what must be one number.
    """
    by_setting: dict[tuple[str, ...], list[Entry]] = {}
    for entry in sorted(entries, key=lambda e: e.path):
        by_setting.setdefault(tuple(_setting(entry.result).values()), []).append(entry)
    groups = [(setting, group, _distinct(group)) for setting, group in by_setting.items()]
    groups.sort(key=lambda each: (-len(each[2]), each[0]))
    first = _setting(groups[0][1][0].result) if groups else {}
    return [_board(group, distinct, first) for _, group, distinct in groups]


def _setting(result: Result) -> dict[str, str]:
    """What must be equal for two numbers to be comparable."""
    about, gold, rules = result.about, result.gold, result.conventions
    parts = {
        "dataset": about.dataset, "revision": about.revision, "split": gold.split,
        "protocol": about.protocol, "gold": gold.sha256, "gain": rules.gain, "ties": rules.ties,
        "empty": rules.empty, "relevant_from": rules.relevant_from, "max_grade": rules.max_grade,
        "compat": rules.compat or "none", "scorer": result.scorer_version,
    }  # fmt: skip
    return {name: "not stated" if part is None else str(part) for name, part in parts.items()}


def _board(entries: Sequence[Entry], distinct: list[Entry], first: Mapping[str, str]) -> Board:
    gold, setting = entries[0].result.gold, _setting(entries[0].result)
    shown, known = _shown(setting), _shown(first)
    ks = tuple(sorted({k for entry in entries for k in entry.result.k}))
    films = "" if gold.films is None else f" of {gold.films:,} films"
    tables = {
        title: _rows([e for e in distinct if e.result.about.regime == regime], ks)
        for regime, title in REGIMES.items()
    }
    return Board(
        shown,
        tuple(
            f"{name}: {shown[name]} instead of {known[name]}"
            for name in setting
            if setting[name] != first[name]
        ),
        f"{gold.clips:,} clips{films}, {gold.clips_skipped:,} of them left out",
        ks,
        {title: rows for title, rows in tables.items() if rows},
        _floors(entries, ks),
    )


def _shown(setting: Mapping[str, str]) -> dict[str, str]:
    return {name: plain(part[:12] if name == "gold" else part) for name, part in setting.items()}


def _distinct(entries: Sequence[Entry]) -> list[Entry]:
    """Every run once. The same one may be in several files if these agree."""
    kept: dict[tuple[str, ...], Entry] = {}
    for entry in entries:
        # Predictions of two rows may be the same: those of what both start from.
        row = () if entry.run.training is None else row_of(entry.run.training)
        key = (entry.run.name, entry.run.sha256, *row)
        kept[key] = _merge(kept[key], entry) if key in kept else entry
    return list(kept.values())


def _merge(a: Entry, b: Entry) -> Entry:
    """One entry of two with the same predictions; measures that only one has are kept."""
    where = f"{a.path} and {b.path}: run {a.run.name!r}, of the same predictions and gold,"
    regimes = [entry.result.about.regime or "no regime" for entry in (a, b)]
    if regimes[0] != regimes[1]:
        raise ResultError(f"{where} has {' and '.join(regimes)}. Remove the file that is wrong.")
    for name in sorted(a.run.measures.keys() & b.run.measures.keys()):
        x, y = a.run.measures[name].mean, b.run.measures[name].mean
        if not _same(x, y):
            raise ResultError(f"{where} has {name} {x} and {y}. Remove the file that is wrong.")
    b, a = sorted((b, a), key=lambda e: (len(e.run.by_film), e.result.bootstrap is not None))
    by_film = b.run.by_film | a.run.by_film if a.films == b.films else a.run.by_film
    measures = b.run.measures | a.run.measures
    return replace(a, run=replace(a.run, measures=measures, by_film=by_film))


def _same(x: float | None, y: float | None) -> bool:
    """Equal but for the last digits, which may depend on the machine."""
    return x == y or (x is not None and y is not None and abs(x - y) < 1e-9)


def _floors(entries: Sequence[Entry], ks: Sequence[int]) -> tuple[Row, ...]:
    """Oracle, random and worst order, on which all files must agree."""
    found: dict[tuple[str, str], tuple[float | None, Path]] = {}
    for entry in entries:
        for name, means in entry.result.references.items():
            for measure, mean in means.items():
                known, path = found.setdefault((name, measure), (mean, entry.path))
                if not _same(known, mean):
                    raise ResultError(
                        f"{path} and {entry.path}: {measure} of the {name!r} order is {known} and "
                        f"{mean}, of the same gold. Remove the file that is wrong."
                    )
    return tuple(
        Row(
            plain(FLOORS.get(name, name)),
            "",
            tuple((Estimate(found.get((name, f"ndcg@{k}"), (None,))[0]), "") for k in ks),
        )
        for name in sorted({name for name, _ in found})
    )


def _rows(entries: list[Entry], ks: Sequence[int]) -> tuple[Row, ...]:
    """The methods of one regime by their last measure; those that lack it come last."""
    entries = _methods(entries)

    def place(entry: Entry) -> tuple[float, str, str]:
        last = entry.run.measures.get(f"ndcg@{ks[-1]}", Estimate(None)).mean
        return np.inf if last is None else -last, entry.run.name, entry.run.sha256

    entries = sorted(entries, key=place)
    marks = _marks(entries, [f"ndcg@{k}" for k in ks])
    corrected = _corrected(entries, f"ndcg@{ks[-1]}")
    rows = []
    for i, entry in enumerate(entries):
        run, sure = entry.run, entry.result.bootstrap
        estimates = [run.measures.get(f"ndcg@{k}", Estimate(None)) for k in ks]
        name = plain(run.name)
        if any(e.mean is not None and e.low is None for e in estimates):
            name += " †"
        if sure is not None and sure.confidence != CONFIDENCE:
            name += f" ({100 * sure.confidence:g}% intervals)"
        if run.missing_labels:
            name += f" ({run.missing_labels:,} labels missing)"
        cells = [(e, marks.get((i, f"ndcg@{k}"), "")) for e, k in zip(estimates, ks, strict=True)]
        p = corrected.get(i) if entry.facts else None
        shows = entry.seeds or (entry,)
        rows.append(Row(name, plain(run.sha256[:8]), tuple(cells), entry.facts, p, shows))
    return tuple(rows)


def _methods(entries: Sequence[Entry]) -> list[Entry]:
    """The runs of each method that differ in their seed alone as one; others as they are."""
    found: dict[int | tuple[str, str], list[Entry]] = {}
    for i, entry in enumerate(entries):
        training = entry.run.training
        # A number is no method's name, so that every other run stays by itself.
        found.setdefault(i if training is None else row_of(training), []).append(entry)
    result = []
    for group in found.values():
        first = group[0]
        if first.run.training is None:
            result.append(first)
            continue
        try:
            if any(entry.films != first.films for entry in group):
                raise ResultError(f"{first.run.training.method!r}: its seeds have other films")
            run, facts = together([entry.run for entry in group], first.films[1])
        except ResultError as error:
            raise ResultError(
                f"{', '.join(str(entry.path) for entry in group)}: {error}."
            ) from None
        same = replace(first.result, bootstrap=Bootstrap(REPLICATES, 0, CONFIDENCE))
        result.append(Entry(first.path, same, run, facts, tuple(group)))
    return result


def _corrected(entries: Sequence[Entry], measure: str) -> dict[int, float]:
    """Place -> p that a run is as good as the first, which is the best, corrected by Holm."""
    pairs = [(i, e) for i, e in enumerate(entries) if i and _paired(entries[0], e, measure)]
    if not pairs:
        return {}
    p = p_values(
        entries[0].run.by_film.get(measure, ()), [e.run.by_film[measure] for _, e in pairs]
    )
    return dict(zip((i for i, _ in pairs), holm(p).tolist(), strict=True))


def _marks(entries: Sequence[Entry], measures: Sequence[str]) -> dict[tuple[int, str], Mark]:
    """(place, measure) of what is best by a measure, or cannot be told from the best."""
    marks: dict[tuple[int, str], Mark] = {}
    pairs: list[tuple[Entry, int, str]] = []
    for measure in measures:
        found = [(i, entry.run.measures.get(measure)) for i, entry in enumerate(entries)]
        means = {i: e.mean for i, e in found if e is not None and e.mean is not None}
        if not means:
            continue
        best = entries[max(means, key=lambda i: means[i])]
        for i, mean in means.items():
            if mean == max(means.values()):
                marks[i, measure] = "best"
            elif _paired(best, entries[i], measure):
                pairs.append((best, i, measure))
            elif _overlap(best, entries[i], measure):
                marks[i, measure] = "overlap"
    # One bootstrap for all pairs on the same films: drawing the resamples is most of its cost.
    pairs.sort(key=lambda pair: pair[0].films)
    for (_, clips), group in groupby(pairs, key=lambda pair: pair[0].films):
        same = list(group)
        sums = [np.subtract(best.run.by_film[m], entries[i].run.by_film[m]) for best, i, m in same]
        low, high = interval(sums, clips)
        for (_, i, measure), holds in zip(same, (low <= 0) & (high >= 0), strict=True):
            marks[i, measure] = "paired" if holds else ""
    return marks


def _paired(a: Entry, b: Entry, measure: str) -> bool:
    """Whether both have sums over the same films, and these are enough to resample."""
    enough = sum(clips > 0 for clips in a.films[1]) >= FEWEST
    return enough and a.films == b.films and all(measure in e.run.by_film for e in (a, b))


def _overlap(a: Entry, b: Entry, measure: str) -> bool:
    """Whether both have an interval of the same confidence, and these overlap."""
    sure = [e.result.bootstrap.confidence for e in (a, b) if e.result.bootstrap is not None]
    x, y = a.run.measures[measure], b.run.measures[measure]
    if len(sure) < 2 or sure[0] != sure[1]:
        return False
    if x.low is None or x.high is None or y.low is None or y.high is None:
        return False
    return x.low <= y.high and y.low <= x.high


def plain(text: str) -> str:
    """One line of visible characters, and not endless."""
    line = printable(" ".join(text.split()))
    return (line if len(line) <= 100 else line[:99] + "…") or "(no name)"
