"""Score runs against gold: the measures, what stands beside them, and how sure they are."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from eval.measures import measure, names, tied_pairs
from eval.ndcg import MAX_GRADE, Empty, Gain, ndcg, reference_scores
from eval.ranking import Floats, Ints, Ties
from eval.result import (
    About,
    Bootstrap,
    Comparison,
    Conventions,
    Estimate,
    GoldInfo,
    Group,
    Result,
    RunResult,
    estimates,
    number,
)  # fmt: skip
from eval.runs import Gold, Run, RunError
from eval.significance import FEWEST, bootstrap, film_sums, holm, sign_flip

MOST = 1_000_000
"""Replicates; all are kept in memory."""
KS = (1, 3, 5, 10, 20)
"""The cut-offs of the paper's tables."""

PAPER: tuple[Gain, Ties, Empty] = ("exp", "stable", "one")
"""What the evaluator of the released LR²PPO code does (its sort is not stable on a GPU, so what it
does with ties is not defined there)."""


@dataclass(frozen=True)
class Options:
    """How to score."""

    ks: tuple[int, ...] = KS
    gain: Gain = "exp"
    ties: Ties = "average"
    empty: Empty = "skip"
    relevant_from: int = 1
    max_grade: int = 2
    compat: Literal["paper"] | None = None
    bootstrap: int = 10_000
    """Replicates, and draws of the randomisation test; 0 for neither."""
    seed: int = 0
    about: About = field(default_factory=About)

    def check(self) -> None:
        """Raises RunError for what cannot be."""
        if not self.ks or min(self.ks) < 1 or len(set(self.ks)) < len(self.ks):
            raise RunError(f"--k {' '.join(map(str, self.ks))}: give different numbers, 1 or more.")
        if not 1 <= self.max_grade <= MAX_GRADE:
            raise RunError(f"--max-grade {self.max_grade}: give a number from 1 to {MAX_GRADE}.")
        if not 1 <= self.relevant_from <= self.max_grade:
            raise RunError(
                f"--relevant-from {self.relevant_from}: give a grade from 1 to {self.max_grade}."
            )
        if self.bootstrap != 0 and not 100 <= self.bootstrap <= MOST:
            raise RunError(f"--bootstrap {self.bootstrap}: give 100 to {MOST}, or 0 for none.")
        if self.seed < 0:
            raise RunError(f"--seed {self.seed}: give 0 or more.")


def resolve(
    compat: Literal["paper"] | None,
    gain: Gain | None,
    ties: Ties | None,
    empty: Empty | None,
) -> tuple[Gain, Ties, Empty]:
    """Conventions as given, as `compat` sets them, or the defaults.

    Raises:
        RunError: one was given that `compat` sets otherwise.
    """
    if not compat:
        return gain or "exp", ties or "average", empty or "skip"
    names = ("gain", "ties", "empty")
    for name, given, paper in zip(names, (gain, ties, empty), PAPER, strict=True):
        if given not in (None, paper):
            raise RunError(f"--compat {compat} means --{name} {paper}, not {given}.")
    return PAPER


def score(
    gold: Gold, runs: Sequence[Run], options: Options, pairs: Sequence[tuple[int, int]] = ()
) -> tuple[Result, list[Floats]]:
    """Score runs against one gold.

    Args:
        gold: graded labels of one split.
        runs: predictions set beside that gold.
        options: how.
        pairs: which runs to compare, by their places in `runs`.

    Returns:
        What the JSON holds, and for each run (n_clips, n_measures) values in the order of
        `eval.measures.names`; NaN where a measure leaves a clip out.

    Raises:
        RunError: an option is wrong, or no clip has a relevant label.
    """
    options.check()
    columns = names(options.ks)
    n_ndcg = len(options.ks)
    values = [_measure(gold, run.scores, run.gold_rows, options) for run in runs]
    counted = ~np.isnan(values[0][:, 0])
    irrelevant = _irrelevant(gold)
    if irrelevant.all() and options.empty == "skip":
        raise RunError(f"{gold.name}: no clip has a relevant label, so nothing can be scored.")
    rows = np.arange(len(gold.grades))
    references = {
        # Whatever the rule, random order is an expectation over orders, not one of them.
        name: _means(_measure(gold, scores, rows, replace(options, ties="average")))
        for name, scores in reference_scores(gold.grades).items()
    }
    differences = [values[a][:, :n_ndcg] - values[b][:, :n_ndcg] for a, b in pairs]
    film_of = gold.film_of
    low, high = _intervals(np.hstack([*values, *differences]), film_of, options)
    lows, highs = (np.split(x, _ends(values, differences)) for x in (low, high))

    results = []
    for i, (run, clips) in enumerate(zip(runs, values, strict=True)):
        means = _means(clips)
        room = references["oracle"] - references["random"]
        normalised = np.full_like(means, np.nan)
        np.divide(means - references["random"], room, out=normalised, where=room > 1e-12)
        tied, all_pairs = tied_pairs(run.scores, gold.offsets)
        sums, _ = film_sums(clips[:, :n_ndcg], film_of, len(gold.film_ids))
        results.append(
            RunResult(
                run.name,
                run.sha256,
                estimates(columns, means.tolist(), lows[i].tolist(), highs[i].tolist()),
                dict(zip(columns, map(number, normalised.tolist()), strict=True)),
                float(tied.sum() / max(all_pairs.sum(), 1)),
                run.missing,
                run.normalised,
                _by_genre(gold, clips, options),
                _by_source(gold, run, options),
                # Nine decimals are enough for any comparison, and halve the file.
                {
                    column: tuple(np.round(sums[:, j], 9).tolist())
                    for j, column in enumerate(columns[:n_ndcg])
                },
            )
        )
    after = len(values)
    comparisons = _compare(runs, pairs, differences, gold, options, lows[after:], highs[after:])
    film_clips = np.bincount(film_of[counted], minlength=len(gold.film_ids))
    rules = Conventions(
        options.gain, options.ties, options.empty, options.relevant_from, options.max_grade,
        options.compat,
    )  # fmt: skip
    info = GoldInfo(
        gold.name, gold.sha256, gold.split, len(irrelevant), len(gold.film_ids), len(gold.grades),
        int(irrelevant.sum()), int((~counted).sum()), tuple(gold.film_ids.to_pylist()),
        tuple(film_clips.tolist()),
    )  # fmt: skip
    by_name = {
        name: dict(zip(columns, map(number, means.tolist()), strict=True))
        for name, means in references.items()
    }
    sure = Bootstrap(options.bootstrap, options.seed, 0.95) if options.bootstrap else None
    about, ks = options.about, tuple(options.ks)
    return Result(rules, about, info, ks, sure, by_name, tuple(results), comparisons), values


def _measure(gold: Gold, scores: Floats, rows: Ints, options: Options) -> Floats:
    return measure(
        scores, gold.grades[rows], gold.offsets, options.ks, gain=options.gain, ties=options.ties,
        empty=options.empty, relevant_from=options.relevant_from,
    )  # fmt: skip


def _irrelevant(gold: Gold) -> npt.NDArray[np.bool_]:
    highest: npt.NDArray[np.bool_] = np.maximum.reduceat(gold.grades, gold.offsets[:-1]) == 0
    return highest


def _means(values: Floats) -> Floats:
    """(n_measures,) mean over the clips that count; NaN where none does."""
    counted = ~np.isnan(values)
    means: Floats = np.full(values.shape[1], np.nan)
    sums = np.where(counted, values, 0.0).sum(axis=0)
    np.divide(sums, counted.sum(axis=0), out=means, where=counted.any(axis=0))
    return means


def _intervals(values: Floats, film_of: Ints, options: Options) -> tuple[Floats, Floats]:
    if not options.bootstrap:
        none = np.full(values.shape[1], np.nan)
        return none, none
    return bootstrap(
        values, film_of, replicates=options.bootstrap, seed=options.seed, fewest=FEWEST
    )


def _ends(*groups: Sequence[Floats]) -> Ints:
    """Where each matrix ends when all stand side by side."""
    widths = [matrix.shape[1] for group in groups for matrix in group]
    return np.cumsum(widths)[:-1]


def _group(values: Floats, film_of: Ints, options: Options) -> Group:
    """NDCG of some clips by themselves."""
    values = values[:, : len(options.ks)]
    counted = ~np.isnan(values[:, 0])
    films, within = np.unique(film_of[counted], return_inverse=True)
    low, high = _intervals(values[counted], within, options)
    means = _means(values[counted])
    columns = names(options.ks)[: len(options.ks)]
    return Group(
        int(counted.sum()),
        len(films),
        estimates(columns, means.tolist(), low.tolist(), high.tolist()),
    )


def _by_genre(gold: Gold, values: Floats, options: Options) -> dict[str, Group]:
    """Each genre's clips; a clip of two genres is in both."""
    if gold.genres is None:
        return {}
    clip_of = np.repeat(np.arange(len(gold.genres)), gold.genres.value_lengths().fill_null(0))
    coded = gold.genres.flatten().dictionary_encode()
    codes = coded.indices.to_numpy(zero_copy_only=False)
    groups = {
        str(genre): np.unique(clip_of[codes == code])
        for code, genre in enumerate(coded.dictionary.to_pylist())
    }
    return {
        genre: group
        for genre, clips in sorted(groups.items())
        if (group := _group(values[clips], gold.film_of[clips], options)).clips
    }


def _by_source(gold: Gold, run: Run, options: Options) -> dict[str, Group]:
    """The labels of one source, ranked among themselves."""
    if gold.sources is None:
        return {}
    codes = gold.sources.indices.to_numpy(zero_copy_only=False)[run.gold_rows]
    groups = {}
    for code, source in enumerate(gold.sources.dictionary.to_pylist()):
        rows = np.flatnonzero(codes == code)
        counts = np.bincount(gold.clip_of[rows], minlength=len(gold.clip_ids))
        there = counts > 0
        if not there.any():
            continue
        values = ndcg(
            run.scores[rows], gold.grades[run.gold_rows[rows]],
            np.append(0, np.cumsum(counts[there])), options.ks, gain=options.gain,
            ties=options.ties, empty=options.empty,
        )  # fmt: skip
        group = _group(values, gold.film_of[there], options)
        if group.clips:
            groups[str(source)] = group
    return dict(sorted(groups.items()))


def _compare(
    runs: Sequence[Run],
    pairs: Sequence[tuple[int, int]],
    differences: Sequence[Floats],
    gold: Gold,
    options: Options,
    lows: Sequence[Floats],
    highs: Sequence[Floats],
) -> tuple[Comparison, ...]:
    if not pairs or not options.bootstrap:
        return ()
    draws, seed = options.bootstrap, options.seed
    p = sign_flip(np.hstack(differences), gold.film_of, draws=draws, seed=seed)
    ks = options.ks
    corrected = holm(p)
    result = []
    for i, (a, b) in enumerate(pairs):
        means = _means(differences[i])
        for j, k in enumerate(ks):
            place = i * len(ks) + j
            difference = Estimate(number(means[j]), number(lows[i][j]), number(highs[i][j]))
            result.append(
                Comparison(
                    runs[a].name,
                    runs[b].name,
                    f"ndcg@{k}",
                    difference,
                    float(p[place]),
                    float(corrected[place]),
                )
            )
    return tuple(result)


def per_clip(
    gold: Gold, runs: Sequence[Run], values: Sequence[Floats], ks: Sequence[int]
) -> pa.Table:
    """One row a run and clip: run, clip_id, movie_id and the measures; null where left out."""
    tables = []
    for run, matrix in zip(runs, values, strict=True):
        columns = {
            "run": pa.array([run.name] * len(gold.clip_ids), pa.string()),
            "clip_id": gold.clip_ids.cast(pa.string()),
            "movie_id": gold.film_ids.take(pa.array(gold.film_of)).cast(pa.string()),
        }
        for name, column in zip(names(ks), matrix.T, strict=True):
            columns[name] = pa.array(column, from_pandas=True)
        tables.append(pa.table(columns))
    return pa.concat_tables(tables)
