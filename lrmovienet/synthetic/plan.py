"""Which films there are, how many clips each has, and their genres.

At size ``paper`` every genre has exactly the clips of the paper's Table C.1a, and the long-tail
genres together exactly 655 = 3206 - 2551: the clips of films without a tail genre are those that
have labels in the source domain (section 5.1).
"""

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np

SizeName = Literal["tiny", "small", "paper"]

GENRE_CLIPS = {
    "Drama": 1765, "Action": 1224, "Thriller": 1154, "Sci-Fi": 869, "Crime": 829,
    "Adventure": 814, "Comedy": 562, "Mystery": 525, "Fantasy": 520, "Romance": 427,
    "Biography": 232, "War": 171, "Horror": 147, "Family": 140, "History": 132, "Music": 82,
    "Western": 66, "Sport": 51, "Musical": 21,
}  # fmt: skip
"""Clips in films of each genre (paper, Table C.1a); a film has several genres."""

TAIL_GENRES = ("War", "Horror", "Family", "History", "Music", "Western", "Sport", "Musical")
MAX_HEAD_GENRES = 5

_TAIL_CELLS = {
    ("War",): 93, ("Horror",): 147, ("Family",): 93, ("History",): 36, ("Music",): 44,
    ("Western",): 56, ("Sport",): 31, ("War", "History"): 78, ("Family", "Music"): 18,
    ("Music", "Musical"): 12, ("Family", "Musical"): 9, ("Family", "Sport"): 20,
    ("Western", "History"): 10, ("Music", "History"): 8,
}  # fmt: skip
"""How many clips carry which tail genres: the sums are Table C.1a's, the whole is 655. The paper
gives only the sums; the overlaps are ours."""


@dataclass(frozen=True)
class Size:
    """How big a corpus is."""

    clips: int
    films: int
    tail_cells: dict[tuple[str, ...], int]
    concepts: float
    """Share of all concepts that its scenes are made of: with few films, the long-tail ones would
    else not hold most of what the others do, and few labels would be shared."""


SIZES: dict[SizeName, Size] = {
    "tiny": Size(24, 6, {("War", "History"): 4, ("Family", "Music"): 3}, 0.15),
    "small": Size(
        320, 48,
        {
            ("War",): 9, ("Horror",): 15, ("Family",): 9, ("History",): 4, ("Music",): 4,
            ("Western",): 6, ("Sport",): 5, ("War", "History"): 8, ("Family", "Music"): 3,
            ("Music", "Musical"): 2,
        },
        0.35,
    ),
    "paper": Size(3206, 219, _TAIL_CELLS, 1.0),
}  # fmt: skip


@dataclass(frozen=True)
class Film:
    """A film of the plan."""

    index: int
    movie_id: str
    clips: int
    genres: tuple[str, ...]
    size: SizeName

    @property
    def is_tail(self) -> bool:
        """Whether it has a long-tail genre: its clips then have target labels only."""
        return any(genre in TAIL_GENRES for genre in self.genres)


@functools.lru_cache(maxsize=8)
def plan(size: SizeName, seed: int) -> tuple[Film, ...]:
    """All films of a corpus. Equal arguments give equal plans."""
    rng = np.random.default_rng([seed, len(size)])
    wanted = SIZES[size]
    tail_clips = sum(wanted.tail_cells.values())
    mean = wanted.clips / wanted.films
    films: list[tuple[int, list[str]]] = []
    for genres, clips in wanted.tail_cells.items():
        films += [(n, list(genres)) for n in _cut(clips, max(1, round(clips / mean)), rng)]
    rest = wanted.clips - tail_clips
    films += [(n, []) for n in _cut(rest, wanted.films - len(films), rng)]
    films = [films[i] for i in rng.permutation(len(films))]
    _add_head_genres(films, wanted.clips, rng)
    order = list(GENRE_CLIPS)
    return tuple(
        Film(i, f"tt99{i + 1:06d}", clips, tuple(sorted(genres, key=order.index)), size)
        for i, (clips, genres) in enumerate(films)
    )


def _cut(clips: int, parts: int, rng: np.random.Generator) -> list[int]:
    """`clips` as `parts` whole numbers of at least 1 (or half the mean) that vary about it."""
    least = max(1, clips // parts // 2)
    shares = rng.gamma(4.0, size=parts)
    spare = clips - least * parts
    exact = shares / shares.sum() * spare
    sizes = np.floor(exact).astype(int)
    for i in np.argsort(sizes - exact, kind="stable")[: spare - int(sizes.sum())]:
        sizes[i] += 1
    return [int(n) + least for n in sizes]


def _add_head_genres(
    films: list[tuple[int, list[str]]], clips: int, rng: np.random.Generator
) -> None:
    """Give each head genre films whose clips sum to its count, and every film a genre."""
    sizes = [n for n, _ in films]
    head = [genre for genre in GENRE_CLIPS if genre not in TAIL_GENRES]
    for position, genre in enumerate(head):
        # Among the commonest genres chance decides; later ones take films without any genre first.
        urgent = position >= 4
        priority = rng.random(len(films))
        for i, (_, genres) in enumerate(films):
            if urgent and not genres:
                priority[i] -= 1
            if len(genres) >= MAX_HEAD_GENRES:
                priority[i] += 1
        target = round(GENRE_CLIPS[genre] * clips / sum_of_clips())
        order = [int(i) for i in np.argsort(priority, kind="stable")]
        for i in exact_subset([sizes[i] for i in order], target):
            films[order[i]][1].append(genre)
    for _, genres in films:
        if not genres:  # in the small sizes the counts may not reach every film
            genres.append("Drama")


def sum_of_clips() -> int:
    """Clips of the paper's dataset."""
    return SIZES["paper"].clips


def exact_subset(sizes: list[int], target: int) -> list[int]:
    """Positions whose sizes sum to `target`, or as near as any subset comes; early ones first.

    Bit s of ``reachable[i]`` says that some subset of ``sizes[i:]`` sums to s. A position is taken
    whenever the rest can still make up the remainder.
    """
    reachable = [1]
    for size in reversed(sizes):
        reachable.append(reachable[-1] | reachable[-1] << size)
    reachable.reverse()
    best = min(
        (s for s in range(sum(sizes) + 1) if reachable[0] >> s & 1), key=lambda s: abs(s - target)
    )
    chosen = []
    for i, size in enumerate(sizes):
        if size <= best and reachable[i + 1] >> (best - size) & 1:
            chosen.append(i)
            best -= size
    return chosen
