"""Clips of films with values made up, for the tests of intervals and p values."""

import math

import numpy as np
from hypothesis import strategies as st

NAN = math.nan


def films_of(sizes):
    return np.repeat(np.arange(len(sizes)), sizes)


@st.composite
def clips(draw, least_films=2):
    """Values (n_clips, 2) in [0, 1], some not counted, and the film of each, out of order."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=least_films, max_size=8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    film_of = rng.permutation(films_of(sizes))
    values = rng.beta(2, 1, (len(film_of), 2))
    values[rng.random(values.shape) < draw(st.sampled_from([0, 0.3]))] = NAN
    return values, film_of
