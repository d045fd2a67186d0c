"""Simulated people: grades and choices between two labels, with bias, noise and slips."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from lrmovienet.runner import Columns
from lrmovienet.schema import PAIR_RATINGS, RATINGS
from lrmovienet.synthetic import world
from lrmovienet.synthetic.calibration import Calibration
from lrmovienet.synthetic.world import Scene

GUIDELINES_VERSION = "1"
PROJECT = "synthetic"
_BEGIN = datetime(2026, 1, 5, 9, tzinfo=UTC)


def annotator_names(calibration: Calibration) -> list[str]:
    """One name for each simulated person."""
    return [f"annotator-{i + 1}" for i in range(len(calibration.annotator_bias))]


def rate(scenes: Sequence[Scene], seed: int, calibration: Calibration) -> Columns:
    """Every annotator's grade for every label of a film's clips: rows of `ratings`."""
    columns: Columns = {c.name: [] for c in RATINGS.columns}
    rng = world.film_rng(seed, scenes[0].film, world.RATINGS)
    clock = _Clock(scenes[0].film.index)
    names = annotator_names(calibration)
    for scene in scenes:
        utilities = np.array([label.utility for label in scene.labels])
        for name, bias, spread in zip(
            names, calibration.annotator_bias, calibration.annotator_sd, strict=True
        ):
            seen = utilities + bias + rng.normal(0, spread, len(utilities))
            grades = (seen >= calibration.medium_from) * 1 + (seen >= calibration.high_from) * 1
            slips = rng.random(len(grades)) < calibration.slip
            grades = np.where(slips, rng.integers(0, 3, len(grades)), grades)
            times = np.round(rng.lognormal(1.2, 0.4, len(grades)), 2).tolist()
            rows = len(times)
            columns["clip_id"] += [scene.clip_id] * rows
            columns["label"] += [label.text for label in scene.labels]
            columns["annotator"] += [name] * rows
            columns["grade"] += grades.tolist()
            columns["lead_time_s"] += times
            columns["created_at"] += [clock.after(seconds) for seconds in times]
            columns["guidelines_version"] += [GUIDELINES_VERSION] * rows
            columns["project"] += [PROJECT] * rows
            columns["position"] += [None] * rows
            columns["preannotated"] += [False] * rows
    return columns


def compare(scenes: Sequence[Scene], seed: int, calibration: Calibration) -> Columns:
    """Choices between target labels for a share of all pairs of each clip: `pair_ratings`."""
    columns: Columns = {c.name: [] for c in PAIR_RATINGS.columns}
    rng = world.film_rng(seed, scenes[0].film, world.PAIRS)
    clock = _Clock(scenes[0].film.index)
    names = annotator_names(calibration)
    for scene in scenes:
        target = [label for label in scene.labels if label.world == "tail"]
        a, b = np.triu_indices(len(target), 1)
        chosen = np.sort(rng.permutation(len(a))[: round(len(a) * calibration.pair_share)])
        swapped = rng.random(len(chosen)) < 0.5
        first = np.where(swapped, b[chosen], a[chosen])
        second = np.where(swapped, a[chosen], b[chosen])
        utilities = np.array([label.utility for label in target])
        difference = utilities[first] - utilities[second]
        main = rng.integers(0, len(names), len(chosen))
        others = (main + rng.integers(1, len(names), len(chosen))) % len(names)
        twice = rng.random(len(chosen)) < calibration.second_opinion
        for who, judged in ((main, np.ones(len(chosen), bool)), (others, twice)):
            choices = choose(difference, calibration, rng)
            times = np.round(rng.lognormal(0.9, 0.4, len(chosen)), 2).tolist()
            for i in np.flatnonzero(judged):
                labels = (target[first[i]].text, target[second[i]].text)
                moment = clock.after(times[i])
                row = (
                    scene.clip_id, *labels, names[who[i]], choices[i], times[i], moment,
                    GUIDELINES_VERSION, PROJECT, None,
                )  # fmt: skip
                for values, value in zip(columns.values(), row, strict=True):
                    values.append(value)
    return columns


def choose(
    difference: npt.NDArray[np.float64], calibration: Calibration, rng: np.random.Generator
) -> list[str]:
    """What a person says about pairs whose utilities differ by `difference`: a, b, tie or skip."""
    seen = difference + rng.normal(0, calibration.pair_sd, len(difference))
    choices = np.where(seen > 0, "a", "b").astype(object)
    choices[np.abs(seen) < calibration.tie_below] = "tie"
    choices[rng.random(len(difference)) < calibration.skip] = "skip"
    return [str(choice) for choice in choices]


class _Clock:
    """Times of day of a film's annotation: each film is begun on a day of its own."""

    def __init__(self, film: int) -> None:
        self._now = _BEGIN + timedelta(days=film)

    def after(self, seconds: float) -> str:
        self._now += timedelta(seconds=seconds)
        return self._now.isoformat(timespec="seconds")
