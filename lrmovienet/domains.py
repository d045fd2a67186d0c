"""Which genres make the target domain, and so which label belongs to which domain (paper, §5.1)."""

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from lrmovienet.errors import UserError, shorten

PAPER_TARGET_SHARE = 4841 / 15234
"""Target label classes among all label classes (paper, §5.1)."""

NoGenre = Literal["refuse", "source", "drop"]
Clip = dict[str, Any]


def genres_by_clips(clips: Iterable[Clip]) -> list[str]:
    """Genres, the commonest first; of equally common ones, by name."""
    counted = Counter(genre for clip in clips for genre in set(clip["genres"]))
    return sorted(counted, key=lambda genre: (-counted[genre], genre))


def target_labels(
    clips: Iterable[Clip], labels: Mapping[str, list[dict[str, Any]]], tail: Sequence[str]
) -> set[str]:
    """All labels that occur in a clip of a tail genre."""
    return {
        row["label"]
        for clip in clips
        if set(clip["genres"]) & set(tail)
        for row in labels.get(clip["clip_id"], ())
    }


def tail_genres(
    clips: Iterable[Clip], labels: Mapping[str, list[dict[str, Any]]], wanted: int | None
) -> list[str]:
    """The tail set S_Q: the `wanted` rarest genres, or as many as give the paper's share."""
    clips = list(clips)
    ranked = genres_by_clips(clips)
    if len(ranked) < 2:
        raise UserError(
            f"clips: {len(ranked)} genres; a split into domains needs at least two. Give the "
            "films' genres when ingesting (column genres, or MovieNet's meta files)."
        )
    if wanted is not None:
        if not 1 <= wanted < len(ranked):
            raise UserError(f"--tail_genres {wanted}: give 1 to {len(ranked) - 1}.")
        return ranked[-wanted:]
    used = [clip["clip_id"] for clip in clips]
    classes = {row["label"] for clip_id in used for row in labels.get(clip_id, ())}

    def distance(n: int) -> float:
        share = len(target_labels(clips, labels, ranked[-n:])) / len(classes)
        return abs(share - PAPER_TARGET_SHARE)

    return ranked[-min(range(1, len(ranked)), key=distance) :]


def named_genres(clips: Iterable[Clip], wanted: Sequence[str]) -> list[str]:
    """The genres asked for, the commonest first. Raises UserError for one that no clip has."""
    ranked = genres_by_clips(clips)
    for genre in wanted:
        if genre not in ranked:
            near = difflib.get_close_matches(genre, ranked, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UserError(
                f"--target_genres {shorten(genre)}: no clip has this genre.{hint} There are "
                f"{', '.join(ranked)}."
            )
    if wanted and len({*wanted}) == len(ranked):
        raise UserError("--target_genres: names all genres there are; leave some for the source.")
    return [genre for genre in ranked if genre in wanted]


def without_genre(
    clips: Mapping[str, Clip], labels: Mapping[str, Any], no_genre: NoGenre
) -> set[str]:
    """Clips to be left out for want of a genre. Raises UserError where that is to be refused."""
    without = sorted(c for c in clips if c in labels and not clips[c]["genres"])
    if not without or no_genre == "source" or len(without) == len(labels):
        return set()  # where none has one, it is said that a cut needs genres
    if no_genre == "drop":
        return set(without)
    films = sorted({clips[clip_id]["movie_id"] for clip_id in without})
    raise UserError(
        f"clips: {len(without)} clips of {len(films)} films have no genre, so that it is open "
        f"which domain their labels belong to: {first_ten(films)}. Give their genres when "
        "ingesting (column genres, --genres FILE, or MovieNet's meta files), or say "
        "--no_genre drop or --no_genre source."
    )


def first_ten(names: Sequence[str]) -> str:
    """The first ten of some names, and how many more there are."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more
