"""The plan: films, clips and genres of the generated corpus, against the paper's Table C.1a."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrmovienet.synthetic.plan import GENRE_CLIPS, SIZES, TAIL_GENRES, SizeName, exact_subset, plan


def clips_of(genre: str, size: SizeName, seed: int) -> int:
    return sum(film.clips for film in plan(size, seed) if genre in film.genres)


@pytest.mark.parametrize("seed", [0, 1, 7, 2026])
def test_paper_counts_are_those_of_table_c1a(seed: int) -> None:
    films = plan("paper", seed)
    assert len(films) == 219
    assert sum(film.clips for film in films) == 3206
    assert {genre: clips_of(genre, "paper", seed) for genre in GENRE_CLIPS} == {
        "Drama": 1765, "Action": 1224, "Thriller": 1154, "Sci-Fi": 869, "Crime": 829,
        "Adventure": 814, "Comedy": 562, "Mystery": 525, "Fantasy": 520, "Romance": 427,
        "Biography": 232, "War": 171, "Horror": 147, "Family": 140, "History": 132, "Music": 82,
        "Western": 66, "Sport": 51, "Musical": 21,
    }  # fmt: skip


@pytest.mark.parametrize("seed", [0, 1, 7, 2026])
def test_clips_without_a_tail_genre_are_the_2551_of_the_first_stage(seed: int) -> None:
    assert sum(film.clips for film in plan("paper", seed) if not film.is_tail) == 2551
    assert all(
        film.is_tail == bool(set(film.genres) & set(TAIL_GENRES)) for film in plan("paper", seed)
    )


@pytest.mark.parametrize("size", SIZES)
def test_films_are_numbered_distinct_and_have_clips_and_genres(size: SizeName) -> None:
    films = plan(size, 3)
    assert [film.index for film in films] == list(range(SIZES[size].films))
    assert sum(film.clips for film in films) == SIZES[size].clips
    assert len({film.movie_id for film in films}) == len(films)
    assert all(film.clips >= 1 and film.genres for film in films)
    assert all(len(set(film.genres)) == len(film.genres) for film in films)
    assert any(film.is_tail for film in films)
    assert not all(film.is_tail for film in films)


def test_small_keeps_the_proportions_of_the_genres() -> None:
    for genre, clips in GENRE_CLIPS.items():
        assert abs(clips_of(genre, "small", 0) - clips * 320 / 3206) <= 3, genre


def test_plans_depend_on_the_seed_alone() -> None:
    first = plan("paper", 5)
    plan.cache_clear()
    assert plan("paper", 5) == first
    assert plan("paper", 6) != first


@given(st.lists(st.integers(1, 9), max_size=9), st.integers(0, 60))
def test_exact_subset_is_as_near_as_any_subset(sizes: list[int], target: int) -> None:
    chosen = exact_subset(sizes, target)
    assert len(set(chosen)) == len(chosen)
    every = (
        sum(subset) for n in range(len(sizes) + 1) for subset in itertools.combinations(sizes, n)
    )
    assert abs(sum(sizes[i] for i in chosen) - target) == min(abs(s - target) for s in every)


def test_exact_subset_takes_early_positions_first() -> None:
    # 5 = 5 alone would do, but 2 + 3 come first.
    assert exact_subset([2, 3, 5], 5) == [0, 1]
    assert exact_subset([5, 2, 3], 5) == [0]
