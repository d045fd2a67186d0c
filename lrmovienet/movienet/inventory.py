"""What a copy of MovieNet holds, film by film, and what can be made of it."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lrmovienet.errors import ItemError
from lrmovienet.keyframes import KeyframeReader, parse_ref
from lrmovienet.movienet.clips import shards_of
from lrmovienet.movienet.films import Film, Ranges, decide_ranges, read_film
from lrmovienet.movienet.layout import Tree
from lrmovienet.movienet.stories import Wanted
from lrmovienet.places import films_in
from lrmovienet.progress import progress

_HOW_TO_GET = (
    "It is on OpenDataLab's page of MovieNet (movienet.github.io leads there; an account is needed)"
)


@dataclass
class FilmInventory:
    """What there is of a film."""

    movie_id: str
    split: str | None = None
    stories: int = 0
    described: int = 0
    """Stories that can be clips as far as the annotation goes."""
    clips: int | None = None
    """Those of them that have a keyframe; None where the keyframes were not looked at."""
    meta: bool = False
    shot_file: bool = False
    keyframes: str | None = None
    """What holds them, below the root."""
    frames: int | None = None
    shots_with_frames: int | None = None
    shots: int | None = None
    """How many there should be, as far as anything says so."""
    problems: list[str] = field(default_factory=list)


@dataclass
class Inventory:
    """What there is below a root."""

    root: str
    parts: dict[str, list[str]]
    """Part -> the folders and zips that hold it."""
    films: list[FilmInventory]
    """Those with a story, with keyframes, or in a split."""
    annotations: int
    """How many films have an annotation; most are of trailers and have no story."""
    not_clips: dict[str, int]
    """Why described stories would not become clips, or lack something -> how often."""
    ranges_include_end: dict[str, int]
    """How many films say so of their shots: yes, no, undecided."""
    problems: list[str]
    """What cannot be read."""
    missing: list[str]
    """What is not there, what it is for, and how to get it."""

    @property
    def totals(self) -> dict[str, int]:
        """What all films have together."""
        films = self.films
        return {
            "films": len(films),
            "annotations": self.annotations,
            "films with stories": sum(f.stories > 0 for f in films),
            "stories": sum(f.stories for f in films),
            "described stories": sum(f.described for f in films),
            "films with keyframes": sum(f.keyframes is not None for f in films),
            "films with meta": sum(f.meta for f in films),
            "films with shot files": sum(f.shot_file for f in films),
            "keyframes counted": sum(f.frames or 0 for f in films),
            "clips with frames": sum(f.clips or 0 for f in films),
            "films with clips": sum((f.clips or 0) > 0 for f in films),
        }

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        value = asdict(self)
        return {"version": 1, "totals": self.totals, **value}


def take_inventory(root: Path) -> Inventory:
    """Look at all that is below a root. Reads the small files and archives' directories.

    Of films without stories it is only seen whether they have keyframes.

    Raises:
        UserError: `root` is no folder. What is broken below it is listed, not raised.
    """
    tree = Tree.find(root)
    problems = list(tree.problems)
    splits = _tried(tree.split_films, {}, problems)
    shots = _tried(tree.expected_shots, {}, problems)
    annotated = tree.films("annotation")
    films = {m: FilmInventory(m) for names in splits.values() for m in names}
    for name, movie_ids in splits.items():
        for movie_id in movie_ids if name != "full" else ():
            films[movie_id].split = name
    for place in tree.keyframes:
        for movie_id in _tried(lambda place=place: films_in(place), set(), problems):
            films.setdefault(movie_id, FilmInventory(movie_id))
    read = _read(tree, annotated, films)
    ranges = decide_ranges(read)
    reasons = _look(tree, read, ranges, films, shots)
    includes = [r.shots_by != "nothing, by default" and r for r in ranges.values()]
    inventory = Inventory(
        root=str(root),
        parts={
            **{name: [_below(s.path, root) for s in of] for name, of in tree.parts.items()},
            "keyframes": [_below(p, root) for p in tree.keyframes],
            "split": [_below(p, root) for p in tree.splits],
            "shot counts": [_below(p, root) for p in tree.shot_counts],
        },
        films=[films[m] for m in sorted(films)],
        annotations=len(annotated),
        not_clips=dict(reasons.most_common()),
        ranges_include_end={
            "yes": sum(bool(r and r.shots_include_end) for r in includes),
            "no": sum(bool(r and not r.shots_include_end) for r in includes),
            "undecided": sum(not r for r in includes),
        },
        problems=problems,
        missing=[],
    )
    for source in (s for of in tree.parts.values() for s in of):
        if refused := source.refused():
            inventory.problems.append(
                f"{source.path}: {len(refused)} names point outside of the zip, such as "
                f"{refused[0]!r}; they are not opened."
            )
    inventory.missing += _missing(tree, inventory)
    return inventory


def _read(tree: Tree, annotated: list[str], films: dict[str, FilmInventory]) -> list[Film]:
    """The films with stories; those with damaged files are noted as such."""
    read: list[Film] = []
    with progress("annotations", len(annotated), "films") as advance:
        for movie_id in annotated:
            advance(1)
            film, _ = read_film(tree, movie_id, None)
            if film is None:
                continue
            found = films.setdefault(movie_id, FilmInventory(movie_id))
            if film.damage is not None:
                found.problems.append(film.damage)
                continue
            read.append(film)
    return read


def _look(
    tree: Tree,
    read: list[Film],
    ranges: dict[str, Ranges],
    films: dict[str, FilmInventory],
    expected: dict[str, int],
) -> Counter[str]:
    """Fill in what each film has. Returns why stories would not be clips, or lack something."""
    reader = KeyframeReader(tree.root)
    by_id = {film.movie_id: film for film in read}
    shards = shards_of(read, ranges, tree.root, Wanted(), {})
    stories = {shard["movie_id"][0]: shard["stories"][0] for shard in shards}
    reasons: Counter[str] = Counter()
    meta, shot_files = (
        {m for m in films if any(s.has(m) for s in tree.parts[part])} for part in ("meta", "shots")
    )
    with progress("keyframes", len(films), "films") as advance:
        for movie_id, found in sorted(films.items()):
            advance(1)
            found.meta, found.shot_file = movie_id in meta, movie_id in shot_files
            of_film = stories.get(movie_id, [])
            usable = [s for s in of_film if s["reason"] is None]
            found.stories, found.described = len(of_film), len(usable)
            film = by_id.get(movie_id)
            found.shots = expected.get(movie_id) or (len(film.shots or []) if film else 0) or None
            reasons.update(s["reason"].split(":")[0] for s in of_film if s["reason"])
            reasons.update(note.split(":")[0] for s in usable for note in s["notes"])
            try:
                place = reader.place(movie_id)
                found.keyframes = _below(Path(place), tree.root) if place else None
                if place is None or not of_film:
                    continue
                refs = [parse_ref(ref)[1] for ref in reader.refs(movie_id)]
            except ItemError as error:
                found.problems.append(str(error))
                continue
            shots = set(refs)
            found.frames, found.shots_with_frames = len(refs), len(shots)
            have = [_covered(s["shot"], shots) for s in usable]
            found.clips = sum(n > 0 for n, _ in have)
            reasons["no keyframe"] += sum(n == 0 for n, _ in have)
            reasons["kept, absent frames"] += sum(0 < n < total for n, total in have)
    return +reasons


def _covered(shot: list[int], shots: set[int]) -> tuple[int, int]:
    """How many of a range's shots have a keyframe, and how many there are."""
    first, last = shot
    return sum(first <= s <= last for s in shots), last - first + 1


def _missing(tree: Tree, inventory: Inventory) -> list[str]:
    totals = inventory.totals
    missing = [
        f"{_below(path, tree.root)} is not looked into: it may hold parts of MovieNet. Unpack it "
        f"here: tar xf {path.name}"
        for path in tree.bundles
    ]
    if not tree.parts["annotation"]:
        missing.append(
            "annotation/ or annotation.v1.zip: the stories with their descriptions; without it "
            f"there are no clips. {_HOW_TO_GET}, in MovieNet.tar.gz."
        )
    elif not totals["films with stories"]:
        missing.append("stories: no annotation has one. Is it all of annotation.v1?")
    if not tree.keyframes:
        missing.append(
            "240P/ or movie1K.keyframes.240p.v1.zip (160 GB): the keyframes; clips need them. "
            f"{_HOW_TO_GET}. The zip may stay as it is."
        )
    without = [f.movie_id for f in inventory.films if f.described and not f.keyframes]
    if tree.keyframes and without:
        missing.append(
            f"keyframes of {len(without)} films with stories: {_some(without)}. Put <film>.tar "
            f"into {_below(tree.keyframes[0], tree.root)}, or go on without these films."
        )
    if not tree.parts["meta"]:
        missing.append(
            "meta/ or meta.v1.zip: titles and genres; splits by genre need them, or a file with "
            f"genres (ingest --genres FILE). {_HOW_TO_GET}, in MovieNet.tar.gz."
        )
    elif no_meta := [f.movie_id for f in inventory.films if f.stories and not f.meta]:
        missing.append(f"meta of {len(no_meta)} films with stories: {_some(no_meta)}.")
    if not tree.parts["shots"]:
        missing.append(
            "shot_detection/ (movie1K.shot_detection.v1.zip): not needed. Its download is gone; "
            "times come from the stories."
        )
    if not tree.splits:
        missing.append("movie1K.split.v1.json: only needed for ingest --split.")
    return missing


def _some(movie_ids: list[str]) -> str:
    more = ", …" if len(movie_ids) > 5 else ""
    return ", ".join(movie_ids[:5]) + more


def _below(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _tried(do: Any, otherwise: Any, problems: list[str]) -> Any:
    try:
        return do()
    except ItemError as error:
        problems.append(str(error))
        return otherwise
