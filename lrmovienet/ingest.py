"""`lrmovienet ingest`: a MovieNet tree, or videos with descriptions, -> `films` and `clips`."""

import os
import shutil
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from eval.messages import printable
from lrmovienet.config import StageConfig
from lrmovienet.descriptions import Row, film_facts
from lrmovienet.errors import UserError, shorten
from lrmovienet.files import HashCache, sha256_file, sha256_of
from lrmovienet.movienet.clips import MovieNetStage, shards_of
from lrmovienet.movienet.films import (
    Film,
    all_that_tell,
    concluded,
    decide_ranges,
    film_rows,
    read_films,
)
from lrmovienet.movienet.genres import genres_from
from lrmovienet.movienet.layout import Tree
from lrmovienet.movienet.stories import Wanted
from lrmovienet.phash import BITS
from lrmovienet.progress import progress
from lrmovienet.runner import Columns
from lrmovienet.runner.local import Job, Outcome, run_once, run_table
from lrmovienet.video.decode import Clock
from lrmovienet.video.given import by_id, check_all, files_of, match, read_rows
from lrmovienet.video.shots import DETECTORS, Detection, DetectorName
from lrmovienet.video.stage import VideoStage
from lrmovienet.video.tree import (
    FOLDER,
    annotation_of,
    claim,
    publish_frames,
    refuse_foreign,
    remove_other_films,
    write_film,
)
from lrmovienet.workspace import Workspace

HASHES = ".hashes.json"
MOST_MIN_SHOT = 100
"""So many frames wait in memory for a cut that is found late."""
KEPT = "kept, "
"""Begins the reasons of what was left out of clips that are in the table."""


@dataclass(frozen=True)
class IngestConfig(StageConfig):
    """Options of `lrmovienet ingest`. Give --movienet, or --videos and --descriptions."""

    movienet: Path | None = None
    """Folder of a MovieNet copy, in any layout that `lrmovienet doctor` knows."""
    videos: str | list[str] | None = None
    """Video files: a path, a quoted pattern ('films/*.mp4'), or a list ('[a.mp4, b.mkv]')."""
    descriptions: str | list[str] | None = None
    """For --videos: a CSV or JSON Lines file with video, description; and start_s, end_s, title,
    genres. Or subtitles, one file a video: a path or a quoted pattern ('films/*.srt')."""
    films: list[str] = field(default_factory=list)
    """MovieNet: only these films, by id; or files with one id a line."""
    split: str | None = None
    """MovieNet: only the films of this split of the split file (train, val, test)."""
    min_words: int = 1
    """Drop clips whose description has fewer words."""
    min_consistency: float = 0.0
    """MovieNet: drop stories on which its annotators agreed less (0 to 1)."""
    genres: Path | None = None
    """MovieNet: a CSV or TSV with a film's id and genres, instead of those in meta."""
    frames_per_clip: int = 6
    """At most so many keyframes a clip, spread evenly over its shots."""
    near_duplicates: int = 0
    """Leave keyframes out whose perceptual hash (64 bits) differs from an earlier one's in at most
    so many bits; 8 is a good start, 0 keeps all."""
    detector: DetectorName = "content"
    """Videos: how cuts are found. adaptive holds each change against those around it, which helps
    where the camera moves fast."""
    threshold: float | None = None
    """Videos: from which change on it is a cut. content: 27 of 255; adaptive: 3 times the changes
    before and after."""
    min_shot: int = 15
    """Videos: cuts closer together than so many frames are one."""
    height: int = 240
    """Videos: height of the keyframes in pixels; smaller films keep theirs."""
    window_s: float = 60.0
    """Subtitles: a clip is a stretch of at most so many seconds."""
    skip_failed: bool = False
    """Leave films out that cannot be read (they are listed as dropped) instead of stopping."""

    @property
    def detection(self) -> Detection:
        """How cuts are found, the threshold filled in."""
        threshold = DETECTORS[self.detector] if self.threshold is None else self.threshold
        return Detection(self.detector, threshold, self.min_shot, self.height)


ONLY_VIDEOS = ("descriptions", "detector", "threshold", "min_shot", "height", "window_s")
ONLY_MOVIENET = ("films", "split", "min_consistency", "genres")


def run(config: IngestConfig) -> None:
    """Make the tables `films` and `clips`, one part a film; for videos, a MovieNet tree too."""
    _check_options(config)
    if config.movienet is not None:
        outcome = _ingest_movienet(config, config.movienet)
    else:
        outcome = _ingest_videos(config)
    reasons = Workspace(config.workspace).read_dropped("clips")["reason"].to_pylist()
    notes = sum(reason.startswith(KEPT) for reason in reasons)
    _say(outcome, notes)
    if not outcome.up_to_date:
        for kind, number in Counter(map(_kind, reasons)).most_common():
            Console().print(Text(f"  {number:>6}  {kind}"))


def _check_options(config: IngestConfig) -> None:
    if (config.videos is None) == (config.movienet is None):
        raise UserError("give either --videos with --descriptions, or --movienet (one of the two).")
    for name in ("frames_per_clip", "height", "threshold", "min_shot", "window_s", "min_words"):
        value = getattr(config, name)
        if value is not None and not value > 0:
            raise UserError(f"--{name} is {value}; it must be more than 0.")
    if not 10 <= config.height <= 4320:
        raise UserError(f"--height is {config.height}; give 10 to 4320 pixels.")
    if config.min_shot > MOST_MIN_SHOT:
        raise UserError(f"--min_shot is {config.min_shot}; give {MOST_MIN_SHOT} frames or fewer.")
    if not 0 <= config.near_duplicates <= BITS:
        raise UserError(f"--near_duplicates is {config.near_duplicates}; give 0 to {BITS} bits.")
    if not 0 <= config.min_consistency <= 1:
        raise UserError(f"--min_consistency is {config.min_consistency}; give 0 to 1.")
    other, names = ("--videos", ONLY_VIDEOS) if config.movienet else ("--movienet", ONLY_MOVIENET)
    default = IngestConfig()
    wrong = [f"--{name}" for name in names if getattr(config, name) != getattr(default, name)]
    if wrong:
        verb = "goes" if len(wrong) == 1 else "go"
        raise UserError(f"{', '.join(wrong)} {verb} with {other} only.")
    if config.videos is not None and not config.descriptions:
        raise UserError(
            "--videos needs --descriptions FILE: a CSV with the columns video,description, JSON "
            "Lines, or subtitles."
        )


def _ingest_movienet(config: IngestConfig, root: Path) -> Outcome:
    tree = Tree.find(root)
    if tree.parts["annotation"] and not tree.keyframes:
        raise UserError(
            f"{root}: has annotations, but no keyframes: no 240P/ and no movie1K.keyframes.240p.v1"
            f".zip in it. See what is there: lrmovienet doctor {root}"
        )
    genres_of = None if config.genres is None else genres_from(config.genres)
    chosen = _chosen(config, tree)
    films, inputs = read_films(tree, chosen, genres_of)
    if config.genres is not None:
        inputs[config.genres.name] = sha256_file(config.genres)
    workspace = Workspace(config.workspace)
    _stop_on_damage(tree, films, config)
    ranges = decide_ranges(all_that_tell(tree, films))
    told = sha256_of([[movie_id, asdict(r)] for movie_id, r in sorted(ranges.items())])
    outcome = run_once(
        workspace, "films", lambda: film_rows(films, ranges), version=f"films-1:{told[:16]}",
        inputs=inputs, config=_kept_in_manifest(config),
    )  # fmt: skip
    _say(outcome)
    if not outcome.up_to_date:
        without = len(chosen or ()) - len(films)
        said = [f"{without} of the {len(chosen)} chosen films have no story"] if chosen else []
        for line in [*said[: without > 0], *concluded(films, ranges)]:
            Console().print(Text(f"  {line}"), soft_wrap=True)
    shards = shards_of(films, ranges, root, _wanted(config))
    made_with: dict[str, object] = {"source": "movienet"}
    made_with["frames_root"] = _relative(root, config.workspace)
    return _make_clips(config, root.resolve(), shards, inputs, made_with)


def _chosen(config: IngestConfig, tree: Tree) -> set[str] | None:
    """The ids of the films that are wanted; None for all."""
    chosen: set[str] | None = None
    if config.films:
        named: list[str] = []
        for given in config.films:
            named += _listed(Path(given)) if _is_file(given) else [given]
        there = set(tree.films("annotation")) if tree.parts["annotation"] else set(named)
        absent = sorted(set(named) - there)
        if absent:
            more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
            names = ", ".join(shorten(name)[1:-1] for name in absent[:5])
            raise UserError(
                f"--films: {names}{more}: no annotation of "
                f"{'it' if len(absent) == 1 else 'them'} below {tree.root}, and no such file."
            )
        chosen = set(named)
    if config.split is not None:
        splits = tree.split_films()
        if config.split not in splits:
            known = ", ".join(sorted(splits)) or "none: no movie1K.split.v1.json was found"
            raise UserError(f"--split {config.split}: no such split; there is {known}.")
        of_split = set(splits[config.split])
        chosen = of_split if chosen is None else chosen & of_split
    return chosen


def _ingest_videos(config: IngestConfig) -> Outcome:
    paths = by_id(files_of(config.videos or [], "--videos"))
    checked = check_all(paths, config.skip_failed)
    files = files_of(config.descriptions or [], "--descriptions")
    rows = read_rows(files, list(paths.values()), config.window_s)
    described = match(rows, paths, checked, files)
    workspace = Workspace(config.workspace)
    refuse_foreign(workspace.root / FOLDER)
    cache = HashCache(workspace.root / HASHES)
    sha256: dict[str, str] = {}
    with progress("reading", len(paths), "films") as advance:
        for movie_id, path in paths.items():
            sha256[movie_id] = cache.sha256(path) if movie_id in checked else ""
            advance(1)
    stage = VideoStage(paths, workspace.root / ".building" / FOLDER, config.detection)
    inputs = {paths[m].name: digest for m, digest in sha256.items() if digest}
    made_with: dict[str, object] = {"source": "videos", "detection": config.detection._asdict()}
    outcome = run_table(
        workspace,
        Job(
            table="films", stage=stage, item="movie_id", inputs=inputs, config=made_with,
            shards=[
                {"movie_id": [m], "file": [path.name], "sha256": [sha256[m]]}
                for m, path in paths.items()
            ],
            processes=config.processes, fail_fast=config.fail_fast,
            keep_failures=config.skip_failed,
        ),
    )  # fmt: skip
    _say(outcome)
    root = workspace.root / FOLDER
    films = {film["movie_id"]: film for film in workspace.read("films").to_pylist()}
    with workspace.locked():
        before = claim(root, films)
        remove_other_films(root, before, films)
        for movie_id, film in films.items():
            publish_frames(stage, film, sha256[movie_id], root, cache)
            _annotate(root, film, described[movie_id])
        shutil.rmtree(stage.folder, ignore_errors=True)  # what is left is of runs given up
    _warn(films)
    read, _ = read_films(Tree.find(root), films, None)
    for film in read:
        film.notes = [f"kept, {note}" for note in films[film.movie_id]["notes"]]
    stamps = {movie_id: film["frames_sha256"] for movie_id, film in films.items()}
    shards = shards_of(read, decide_ranges(read), root, _wanted(config), stamps)
    inputs |= {path.name: sha256_file(path) for path in files}
    return _make_clips(config, root, shards, inputs, {**made_with, "frames_root": FOLDER})


def _make_clips(
    config: IngestConfig,
    root: Path,
    shards: list[Columns],
    inputs: dict[str, str],
    made_with: dict[str, object],
) -> Outcome:
    job = Job(
        table="clips",
        stage=MovieNetStage(root, config.frames_per_clip, config.near_duplicates),
        shards=shards,
        item="movie_id",
        inputs=inputs,
        config={**made_with, **_kept_in_manifest(config)},
        processes=config.processes,
        fail_fast=config.fail_fast,
        keep_failures=config.skip_failed,
    )
    return run_table(Workspace(config.workspace), job)


def _kept_in_manifest(config: IngestConfig) -> dict[str, object]:
    """The options that decide which clips there are, and with which frames."""
    return {
        **asdict(_wanted(config)),
        "split": config.split,
        "frames_per_clip": config.frames_per_clip,
        "near_duplicates": config.near_duplicates,
    }


def _wanted(config: IngestConfig) -> Wanted:
    return Wanted(config.min_words, config.min_consistency)


def _kind(reason: str) -> str:
    """What a reason is a case of: what stands before its colon, unless that is a file's name."""
    kind = reason.split(":")[0]
    return "damaged files" if "/" in kind or "." in kind else kind


def _listed(path: Path) -> list[str]:
    """The ids in a file, one a line."""
    try:
        return path.read_text(encoding="utf-8-sig").split()
    except UnicodeDecodeError:
        raise UserError(f"--films {path}: not UTF-8 text. Save the list in UTF-8.") from None


def _is_file(given: str) -> bool:
    return len(given) < 4096 and os.path.isfile(given)  # noqa: PTH113 - false for whatever it is


def _stop_on_damage(tree: Tree, films: list[Film], config: IngestConfig) -> None:
    """Say of damaged files before any frame is read."""
    damaged = [film.damage for film in films if film.damage is not None]
    if not (damaged or tree.problems):
        return
    problems = [*tree.problems, *damaged]
    more = f"\n  … and {len(problems) - 10} more" if len(problems) > 10 else ""
    listed = "\n  ".join(problems[:10]) + more
    if config.skip_failed:
        Console(stderr=True).print(Text(printable(f"left out:\n  {listed}")), soft_wrap=True)
        return
    raise UserError(
        f"{tree.root}: some files cannot be read; nothing was done. Put them right, or go on "
        f"without them by --skip_failed.\n  {listed}"
    )


def _annotate(root: Path, film: dict[str, Any], rows: list[Row]) -> None:
    """Write a film's annotation and meta into the workspace's tree."""
    movie_id = film["movie_id"]
    listed = (root / "shot_detection" / f"{movie_id}.txt").read_text().splitlines()
    shots = [(int(line.split()[0]), int(line.split()[1])) for line in listed]
    clock = Clock(film["tick_s"], film["ticks"])
    annotation = annotation_of(movie_id, [row._asdict() for row in rows], clock, shots)
    title, genres, _ = film_facts(rows)
    write_film(root, movie_id, annotation, title, genres)


def _say(outcome: Outcome, notes: int = 0) -> None:
    """Print what a table came to. Notes on rows that were kept are not called dropped."""
    both = outcome.manifest.rows_dropped
    dropped = f", {both - notes} dropped" if both > notes else ""
    text = str(outcome).replace(
        f", {both} dropped", f"{dropped}, {notes} notes" if notes else dropped
    )
    Console().print(text, highlight=False)


def _warn(films: dict[str, dict[str, Any]]) -> None:
    console = Console(stderr=True)
    for film in films.values():
        for note in film["notes"]:
            console.print(Text(f"{film['file']}: {note}"))


def _relative(path: Path, workspace: Path) -> str:
    return os.path.relpath(path.resolve(), workspace.resolve())
