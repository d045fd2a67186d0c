"""Runs of one method that differ in their seed alone, put together as one run.

The mean over seeds is taken film by film, so that intervals and tests say how far the method's
average depends on the films; the spread says how far a single training is from that average.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from eval.facts import Facts
from eval.ranking import Floats
from eval.result import Estimate, ResultError, RunResult, Training, number
from eval.significance import FEWEST, bootstrap, sign_flip

REPLICATES = 10_000
CONFIDENCE = 0.95


def together(runs: Sequence[RunResult], clips: Sequence[int]) -> tuple[RunResult, Facts]:
    """One run of several seeds, or of a single one.

    Args:
        runs: of one method and regime, on the same gold; each has `training`.
        clips: (n_films,) clips that NDCG counts.

    Returns:
        The mean run: its name is the method's `title`, its hash one of the predictions' hashes.
        NDCG has the interval of the mean over seeds; other measures are left out. And the facts.

    Raises:
        ResultError: a seed is there twice, or runs had other options or numbers of trials.
    """
    runs = sorted(runs, key=lambda run: (_of(run).seed or 0, run.sha256))
    trainings = [_of(run) for run in runs]
    first = trainings[0]
    for other in trainings[1:]:
        if (other.options, other.trials) != (first.options, first.trials):
            raise ResultError(
                f"{first.method!r}: its seeds {first.seed} and {other.seed} were trained with "
                "other options or trials; remove the results of an earlier benchmark"
            )
    seeds = [training.seed for training in trainings]
    if twice := [seed for i, seed in enumerate(seeds) if seed in seeds[:i]]:
        raise ResultError(
            f"{first.method!r}: seed {twice[0]} is there twice, with other predictions; remove one"
        )
    names = [name for name in runs[0].measures if name.startswith("ndcg@")]
    names = [name for name in names if all(_mean(run, name) is not None for run in runs)]
    by_film = {
        name: tuple(np.mean([run.by_film[name] for run in runs], axis=0).tolist())
        for name in names
        if all(name in run.by_film for run in runs)
    }
    values = {name: [_mean(run, name) or 0.0 for run in runs] for name in names}
    measures = {name: Estimate(float(np.mean(values[name]))) for name in names}
    if by_film and sum(count > 0 for count in clips) >= FEWEST:
        low, high = interval(list(by_film.values()), clips)
        measures |= {
            name: Estimate(measures[name].mean, number(low[i]), number(high[i]))
            for i, name in enumerate(by_film)
        }
    digest = hashlib.sha256("\n".join(run.sha256 for run in runs).encode()).hexdigest()
    mean = RunResult(
        title(first), runs[0].sha256 if len(runs) == 1 else digest, measures, {},
        float(np.mean([run.tied_pairs for run in runs])), max(run.missing_labels for run in runs),
        0, by_film=by_film,
    )  # fmt: skip
    spread = {name: float(np.std(values[name], ddof=1)) for name in names if len(runs) > 1}
    facts = Facts(
        0 if first.seed is None else len(runs), spread, first.trials,
        max((t.parameters for t in trainings if t.parameters is not None), default=None),
        _average([t.seconds for t in trainings]), _average([t.seconds_before for t in trainings]),
        first.published,
    )  # fmt: skip
    return mean, facts


def row_of(training: Training) -> tuple[str, str]:
    """What runs of one row have in common: the method, and the share of pairs if one was given."""
    return training.method, training.options.get("percent", "")


def title(training: Training) -> str:
    """The name of a row."""
    method, share = row_of(training)
    return f"{method}, {share} % of pairs" if share else method


def interval(sums: Sequence[npt.ArrayLike], clips: Sequence[int]) -> tuple[Floats, Floats]:
    """Interval of means over clips, of which only the sums by film are known.

    Only sums over films matter to the bootstrap, so every clip may stand for the mean of its film.

    Args:
        sums: n × (n_films,), one entry a measure or difference.
        clips: (n_films,) clips that are counted.

    Returns:
        Lower and upper limits (n,).
    """
    counts = np.asarray(clips)
    means = np.column_stack([np.asarray(column) for column in sums])
    means = means / np.maximum(counts, 1)[:, np.newaxis]
    return bootstrap(
        np.repeat(means, counts, axis=0), np.repeat(np.arange(len(counts)), counts),
        replicates=REPLICATES, confidence=CONFIDENCE, seed=0,
    )  # fmt: skip


def p_values(best: Sequence[float], others: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    """P that each of some runs is as good as the best, by signs of films (`sign_flip`).

    Args:
        best: (n_films,) sums of the best run.
        others: n × (n_films,) sums of the others, of which there is one at least.
    """
    differences = np.subtract(np.asarray(best)[:, np.newaxis], np.column_stack(list(others)))
    return sign_flip(differences, np.arange(len(best)), draws=REPLICATES, seed=0)


def _of(run: RunResult) -> Training:
    assert run.training is not None
    return run.training


def _mean(run: RunResult, name: str) -> float | None:
    return run.measures.get(name, Estimate(None)).mean


def _average(seconds: Sequence[float | None]) -> float | None:
    known = [value for value in seconds if value is not None]
    return float(np.mean(known)) if len(known) == len(seconds) else None
