"""Do intervals hold the truth, and tests err, as often as they say? On data with a known truth.

``python tests/eval/test_coverage.py`` prints the table of docs/scoring.md.

Clips have values like NDCG: between 0 and 1, skewed, and alike within a film. Films have 2 to 40
clips, most of them few. Sizes do not depend on values, so the mean over clips has the expectation
of a single clip.
"""

import sys
from contextlib import contextmanager

import numpy as np
import pytest

from eval import significance
from eval.significance import bootstrap, sign_flip

MEAN = 0.75
SPREAD = 0.2
"""Standard deviation of a clip's value."""
DATA_SETS, SIZES = 200, 10
"""As many data sets are drawn for each of ten sets of film sizes."""


def sizes(rng, films):
    return np.clip(np.round(rng.lognormal(2.2, 0.8, films)), 2, 40).astype(int)


def generated(rng, film_of, alike):
    """Values (n_clips, DATA_SETS): beta distributed about their film's mean, itself beta.

    `alike` is the intraclass correlation, the share of the variance that lies between films.
    """
    share = SPREAD**2 / (MEAN * (1 - MEAN))
    shape = (film_of.max() + 1, DATA_SETS)
    means = np.full(shape, MEAN)
    if alike:
        between = 1 / (share * alike) - 1
        means = rng.beta(MEAN * between, (1 - MEAN) * between, shape).clip(1e-9, 1 - 1e-9)
        within = alike * between / (1 - alike) - 1
    else:
        within = 1 / share - 1
    return rng.beta(means[film_of] * within, (1 - means[film_of]) * within)


def designs(seed, films):
    for i in range(SIZES):
        rng = np.random.default_rng([seed, films, i])
        yield rng, np.repeat(np.arange(films), sizes(rng, films))


def coverage(values, film_of, truth):
    low, high = bootstrap(values, film_of, replicates=2000)
    return np.mean((low <= truth) & (truth <= high))


@contextmanager
def plain_percentiles():
    """Not widened for the number of films."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(significance, "_level", lambda films, confidence: (1 - confidence) / 2)
        yield


def test_the_data_are_what_they_should_be():
    rng = np.random.default_rng(0)
    film_of = np.repeat(np.arange(500), sizes(rng, 500))
    values = generated(rng, film_of, 0.3)
    assert values.mean() == pytest.approx(MEAN, abs=0.003)
    assert values.std() == pytest.approx(SPREAD, abs=0.003)
    first = np.unique(film_of, return_index=True)[1]
    pairs = [np.corrcoef(values[first, j], values[first + 1, j])[0, 1] for j in range(DATA_SETS)]
    assert np.mean(pairs) == pytest.approx(0.3, abs=0.02)
    counts = np.bincount(film_of)
    assert (counts.min(), counts.max()) == (2, 40)


@pytest.mark.parametrize("films", [30, 100])
def test_intervals_hold_the_truth_as_often_as_they_say(films):
    by_films, by_clips, apart = [], [], []
    for rng, film_of in designs(0, films):
        values = generated(rng, film_of, 0.3)
        by_films.append(coverage(values, film_of, MEAN))
        by_clips.append(coverage(values[:, :40], np.arange(len(film_of)), MEAN))
        apart.append(coverage(generated(rng, film_of, 0.0), film_of, MEAN))
    assert 0.93 < np.mean(by_films) < 0.97
    assert 0.93 < np.mean(apart) < 0.97  # films do no harm where clips are independent
    assert np.mean(by_clips) < 0.7  # clips do, where they are not


def test_intervals_of_differences_hold_the_truth():
    """Of two runs that films suit differently, one of them better by .05."""
    by_films, by_clips = [], []
    for rng, film_of in designs(1, 30):
        differences = generated(rng, film_of, 0.3) - generated(rng, film_of, 0.3) + 0.05
        by_films.append(coverage(differences, film_of, 0.05))
        by_clips.append(coverage(differences[:, :40], np.arange(len(film_of)), 0.05))
    assert 0.93 < np.mean(by_films) < 0.97
    assert np.mean(by_clips) < 0.7


def test_plain_percentiles_would_be_too_narrow_for_few_films():
    widened, plain = [], []
    for rng, film_of in designs(2, 10):
        values = generated(rng, film_of, 0.3)
        widened.append(coverage(values, film_of, MEAN))
        with plain_percentiles():
            plain.append(coverage(values, film_of, MEAN))
    assert 0.92 < np.mean(widened) < 0.97
    assert np.mean(plain) < 0.905


@pytest.mark.parametrize("films", [12, 60])
def test_equal_runs_are_called_different_as_seldom_as_said(films):
    """Patterns of 12 films are all taken, those of 60 are drawn."""
    by_films, by_clips, unequal = [], [], []
    for rng, film_of in designs(3, films):
        differences = generated(rng, film_of, 0.3) - generated(rng, film_of, 0.3)
        by_films.append(sign_flip(differences, film_of, draws=4096))
        by_clips.append(sign_flip(differences[:, :40], np.arange(len(film_of)), draws=999))
        unequal.append(sign_flip(differences + 0.15, film_of, draws=999))
    p = np.concatenate(by_films)
    for level in (0.05, 0.2, 0.5):
        assert np.mean(p <= level) == pytest.approx(level, abs=0.02 if level == 0.05 else 0.04)
    assert np.mean(np.concatenate(by_clips) <= 0.05) > 0.2
    assert np.mean(np.concatenate(unequal) <= 0.05) > 0.5


def table():
    """Coverage by number of films: ours, plain percentiles, clips instead of films."""
    lines = ["| films | expanded percentile (ours) | plain percentile | clips instead of films |"]
    lines.append("|--:|--:|--:|--:|")
    for films in (2, 3, 4, 5, 7, 10, 30, 100):
        found = []
        for rng, film_of in designs(4, films):
            values = generated(rng, film_of, 0.3)
            with plain_percentiles():
                plain = coverage(values, film_of, MEAN)
            by_clips = coverage(values, np.arange(len(film_of)), MEAN)
            found.append((coverage(values, film_of, MEAN), plain, by_clips))
        lines.append(
            f"| {films} | " + " | ".join(f"{x:.1%}" for x in np.mean(found, axis=0)) + " |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
