"""The films of a MovieNet tree that have stories, and what their small files say."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from lrmovienet.errors import ItemError, UserError
from lrmovienet.movienet.annotation import (
    Annotation,
    Shot,
    clean,
    parse_annotation,
    parse_cast,
    parse_meta,
    parse_shots,
)
from lrmovienet.movienet.layout import PART_FILES, PartName, Tree
from lrmovienet.movienet.ranges import FrameRate, Votes
from lrmovienet.progress import progress
from lrmovienet.runner import Columns
from lrmovienet.schema import FILMS

GenresOf = Callable[[str], list[str] | None]
"""movie_id -> its genres, or None where the source does not know the film."""


@dataclass
class Film:
    """A film that has stories, as far as its small files go."""

    movie_id: str
    title: str | None = None
    genres: list[str] | None = None
    cast: list[dict[str, str | None]] = field(default_factory=list)
    annotation: Annotation | None = None
    shots: list[Shot] | None = None
    notes: list[str] | None = None
    damage: str | None = None

    def note(self, text: str) -> None:
        """Add to what was left out or is missing."""
        self.notes = [*(self.notes or []), text]


def read_films(
    tree: Tree, movie_ids: Iterable[str] | None, genres_of: GenresOf | None
) -> tuple[list[Film], dict[str, str]]:
    """The films of a tree that have stories, in the order of their ids, and the files read.

    A film whose files are damaged is one of them; its `damage` says why.

    Args:
        tree: where to look.
        movie_ids: only these; None for all.
        genres_of: another source of genres than the tree's ``meta``.

    Returns:
        The films, and file -> sha256. Names of files do not depend on the tree's layout.

    Raises:
        UserError: there is no annotation, or none has a story.
    """
    if not tree.parts["annotation"]:
        problems = "".join(f"\n  {p}" for p in tree.problems)
        raise UserError(
            f"{tree.root}: not a MovieNet tree: no annotation/, annotation.v1/ or "
            f"annotation.v1.zip in it. See what is there: lrmovienet doctor {tree.root}{problems}"
        )
    everything = tree.films("annotation")
    chosen = everything if movie_ids is None else sorted(set(everything) & set(movie_ids))
    films: list[Film] = []
    inputs: dict[str, str] = {}
    with progress("annotations", len(chosen), "films") as advance:
        for movie_id in chosen:
            film, read = read_film(tree, movie_id, genres_of)
            if film is not None:
                films.append(film)
                inputs |= read
            advance(1)
    if movie_ids is not None and not chosen:
        raise UserError(f"{tree.root}: no film with an annotation is left by --films and --split.")
    if not films:
        chosen_of = "" if movie_ids is None else f" of the {len(chosen)} chosen films"
        raise UserError(
            f"{tree.parts['annotation'][0].path}: no JSON file{chosen_of} has a story. MovieNet "
            "keeps the stories in annotation.v1, and only some 300 of its films have them."
        )
    return films, inputs


@dataclass(frozen=True)
class Ranges:
    """Whether a film's ranges include their ends, and what says so."""

    shots_include_end: bool
    frames_include_end: bool
    shots_by: str
    frames_by: str


def all_that_tell(tree: Tree, films: list[Film]) -> list[Film]:
    """The films, and the tree's others where some of these do not tell how their ranges are meant.

    So that what a film's clips are does not hang on which other films are chosen with it.
    """
    told = [v.answer for f in films if (a := f.annotation) for v in (a.shot_votes, a.frame_votes)]
    if None not in told:
        return films
    known = {film.movie_id for film in films}
    others = [m for m in tree.films("annotation") if m not in known]
    with progress("other annotations", len(others), "films") as advance:
        for movie_id in others:
            film, _ = read_film(tree, movie_id, None)
            films = [*films, film] if film is not None else films
            advance(1)
    return films


def decide_ranges(films: list[Film]) -> dict[str, Ranges]:
    """For each film, by its own scenes; where they do not tell, by those of most other films."""
    votes = {f.movie_id: f.annotation for f in films if f.annotation is not None}
    shots = _decide({m: a.shot_votes for m, a in votes.items()})
    frames = _decide({m: a.frame_votes for m, a in votes.items()})
    return {m: Ranges(shots[m][0], frames[m][0], shots[m][1], frames[m][1]) for m in votes}


def _decide(votes: dict[str, Votes]) -> dict[str, tuple[bool, str]]:
    answers = [v.answer for v in votes.values()]
    yes, no = answers.count(True), answers.count(False)
    rest = (yes >= no, "most films") if yes + no else (True, "nothing, by default")
    return {
        movie_id: rest if v.answer is None else (v.answer, f"{max(v)} of {sum(v)} neighbours")
        for movie_id, v in votes.items()
    }


def film_rows(films: list[Film], ranges: dict[str, Ranges]) -> Columns:
    """Rows of the table `films`, without those of damaged files."""
    columns: Columns = {name: [] for name in FILMS.schema.names}
    for film in films:
        if film.annotation is None:
            continue
        known, rate = ranges[film.movie_id], film.annotation.rate
        row: dict[str, Any] = {
            "movie_id": film.movie_id, "title": film.title, "genres": film.genres or [],
            "cast": film.cast, "source": "movienet", "stories": len(film.annotation.stories),
            "shots": len(film.shots) if film.shots else None, "notes": film.notes or [],
            "shots_include_end": known.shots_include_end, "shots_by": known.shots_by,
            "frames_include_end": known.frames_include_end, "frames_by": known.frames_by,
        }  # fmt: skip
        if rate:
            row |= {
                "fps": rate.fps, "fps_points": rate.points, "fps_residual_s": rate.residual_s,
                "fps_worst_s": rate.worst_s,
            }  # fmt: skip
        for name, values in columns.items():
            values.append(row.get(name))
    return columns


def concluded(films: list[Film], ranges: dict[str, Ranges]) -> list[str]:
    """In a line each: what was concluded of the films' ranges and frame rates."""
    of = [ranges[film.movie_id] for film in films if film.annotation is not None]
    yes = sum(r.shots_include_end for r in of)
    told = sum(r.shots_by.endswith("neighbours") for r in of)
    lines = [
        f"ranges of shots include their end in {yes} films, not in {len(of) - yes}; {told} of "
        f"{len(of)} films tell"
    ]
    rates = [f.annotation.rate for f in films if f.annotation and f.annotation.rate]
    if rates:
        counted = Counter(f"{rate.fps:.3f}" for rate in rates).most_common(4)
        which = ", ".join(f"{fps} ({number} films)" for fps, number in counted)
        lines.append(
            f"frames a second: {which}; times miss them by {_median(rates):.3f} s (median film), "
            f"at worst by {max(rate.worst_s for rate in rates):.3f} s"
        )
    return lines


def _median(rates: list[FrameRate]) -> float:
    return sorted(rate.residual_s for rate in rates)[len(rates) // 2]


def read_film(
    tree: Tree, movie_id: str, genres_of: GenresOf | None
) -> tuple[Film | None, dict[str, str]]:
    """A film and the sha256 of the files that were read for it; no film where it has no story.

    A film whose files are damaged is one too; its `damage` says why.
    """
    film = Film(clean(movie_id))
    read: dict[str, str] = {}

    def file(part: PartName) -> bytes | None:
        data = tree.read(part, movie_id)
        if data is not None:
            read[PART_FILES[part].format(film.movie_id)] = hashlib.sha256(data).hexdigest()
        return data

    doing = "annotation"
    try:
        data = file("annotation")
        if data is None:
            raise ItemError("is listed, but is no file that can be read.")
        film.annotation = parse_annotation(movie_id, data)
        if not film.annotation.stories:
            return None, {}
        if film.annotation.unknown:
            film.note("kept, unknown fields left out: " + ", ".join(film.annotation.unknown[:10]))
        doing = "meta"
        meta = file("meta")
        if meta is None:
            film.note("kept, no meta: title and genres are not known")
        else:
            film.title, film.genres = parse_meta(meta)
            film.cast = parse_cast(meta)
    except ItemError as error:
        film.annotation = None
        film.damage = f"{doing}/{film.movie_id}.json: {error}"
        return film, read
    try:
        if (data := file("shots")) is not None:
            film.shots = parse_shots(data)
    except ItemError as error:  # it is optional
        film.note(f"kept, shot file not used: {error}")
    if genres_of is not None:
        film.genres = genres_of(movie_id)
        if film.genres is None:
            film.note("kept, no genres: the file given by --genres does not know the film")
    elif meta is not None and not film.genres:
        film.note("kept, no genres: meta names none")
    return film, read
