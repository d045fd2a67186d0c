"""`lrmovienet ingest`: videos with descriptions, or a MovieNet tree, -> the table `clips`."""

import csv
import glob
import io
import math
import os
import re
import shutil
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from lrmovienet.config import StageConfig
from lrmovienet.errors import ItemError, UserError, shorten
from lrmovienet.files import sha256_file
from lrmovienet.movienet import MovieNetStage, list_films
from lrmovienet.runner import Columns
from lrmovienet.runner.local import Job, Outcome, run_table
from lrmovienet.video import SHOT_FOLDER, VideoInfo, VideoStage, check_video, frames_between
from lrmovienet.workspace import Workspace

REQUIRED_COLUMNS = ("video", "description")
OPTIONAL_COLUMNS = ("start_s", "end_s", "title", "genres")
MAX_CSV_BYTES = 100_000_000
HEADER = (
    "Its first line must be: "
    + ",".join(REQUIRED_COLUMNS + OPTIONAL_COLUMNS)
    + " (the last four may go)."
)


@dataclass(frozen=True)
class IngestConfig(StageConfig):
    """Options of `lrmovienet ingest`. Give --videos and --descriptions, or --movienet."""

    videos: str | list[str] | None = None
    """Video files: a path, a quoted pattern ('films/*.mp4'), or a list ('[a.mp4, b.mkv]')."""
    descriptions: Path | None = None
    """CSV for --videos: columns video, description; and start_s, end_s, title, genres (by |)."""
    movienet: Path | None = None
    """Folder of a MovieNet tree: annotation/, meta/ and 240P/ (tars or folders of keyframes)."""
    frames_per_clip: int = 6
    """At most so many keyframes a clip, spread evenly over those of its shots."""
    threshold: float = 27.0
    """Videos: how different two frames must be to begin a new shot (0 to 255)."""
    height: int = 240
    """Videos: height of the keyframes in pixels; smaller films keep theirs."""
    skip_failed: bool = False
    """Leave films out that cannot be read (they are listed as dropped) instead of stopping."""


class Row(NamedTuple):
    """One clip: a video, or a stretch of it, and what is to be seen."""

    line: int
    video: str
    """The file's name without its folder."""
    description: str
    start_s: float | None
    end_s: float | None
    title: str | None
    genres: list[str]

    def as_clip(self) -> dict[str, object]:
        """The row as a stage takes it: what the clip's content hangs on, and nothing else."""
        return {
            name: getattr(self, name)
            for name in ("description", "start_s", "end_s", "title", "genres")
        }


def run(config: IngestConfig) -> None:
    """Make the table `clips`, one part a film, and for videos the keyframes under ``frames/``."""
    if (config.videos is None) == (config.movienet is None):
        raise UserError("give either --videos with --descriptions, or --movienet (one of the two).")
    for name in ("frames_per_clip", "height", "threshold"):
        if not getattr(config, name) > 0:
            raise UserError(f"--{name} is {getattr(config, name)}; it must be more than 0.")
    if config.movienet is not None:
        if config.descriptions is not None:
            raise UserError("--descriptions goes with --videos; a MovieNet tree has its own.")
        outcome = _ingest_movienet(config, config.movienet)
    elif config.descriptions is None:
        raise UserError(
            "--videos needs --descriptions FILE.csv with the columns video,description."
        )
    else:
        outcome = _ingest_videos(config, _expand(config.videos or []), config.descriptions)
    Console().print(str(outcome), highlight=False)


def movie_id_of(path: Path) -> str:
    """A video's name without its ending, with ``_`` for what an id or a file name may not have."""
    stem = unicodedata.normalize("NFC", path.stem)
    return re.sub(r"[^\w.-]+", "_", stem).lstrip(".") or "_"


def _ingest_movienet(config: IngestConfig, root: Path) -> Outcome:
    films, inputs = list_films(root)
    return _run(
        config,
        MovieNetStage(root.resolve(), config.frames_per_clip),
        films,
        inputs,
        {"source": "movienet", "frames_root": _relative(root, config.workspace)},
    )


def _ingest_videos(config: IngestConfig, videos: list[Path], descriptions: Path) -> Outcome:
    paths = _by_id(videos)
    checked = _check(paths, config.skip_failed)
    rows = read_descriptions(descriptions)
    clips = _match(rows, paths, checked, descriptions)
    sha256 = {m: sha256_file(path) if m in checked else "" for m, path in paths.items()}
    films: list[Columns] = [
        {"movie_id": [m], "file": [path.name], "sha256": [sha256[m]], "clips": [clips[m]]}
        for m, path in paths.items()
    ]
    workspace = Workspace(config.workspace)
    stage = VideoStage(
        paths=paths,
        folder=workspace.root / ".building" / "frames",
        threshold=config.threshold,
        height=config.height,
        frames_per_clip=config.frames_per_clip,
    )
    inputs = {paths[m].name: digest for m, digest in sha256.items() if digest}
    inputs[descriptions.name] = sha256_file(descriptions)
    made_with = {"source": "videos", "threshold": config.threshold, "height": config.height}
    outcome = _run(config, stage, films, inputs, {**made_with, "frames_root": "frames"})
    with workspace.locked():
        for movie_id in sorted(set(workspace.read("clips", ["movie_id"])["movie_id"].to_pylist())):
            _publish(stage, movie_id, sha256[movie_id], workspace.root / "frames")
        if not outcome.up_to_date:  # what is left belongs to runs that were given up
            shutil.rmtree(stage.folder, ignore_errors=True)
    return outcome


def _run(
    config: IngestConfig,
    stage: VideoStage | MovieNetStage,
    films: list[Columns],
    inputs: dict[str, str],
    made_with: dict[str, object],
) -> Outcome:
    job = Job(
        table="clips",
        stage=stage,
        shards=films,
        item="movie_id",
        inputs=inputs,
        config={**made_with, "frames_per_clip": config.frames_per_clip},
        processes=config.processes,
        fail_fast=config.fail_fast,
        keep_failures=config.skip_failed,
    )
    return run_table(Workspace(config.workspace), job)


def _expand(videos: str | list[str]) -> list[Path]:
    """Paths and patterns -> paths."""
    paths: list[Path] = []
    for given in [videos] if isinstance(videos, str) else videos:
        if Path(given).is_dir():
            raise UserError(f"{given}: is a folder; give its files, such as '{given}/*.mp4'.")
        if Path(given).exists() or not glob.has_magic(given):
            paths.append(Path(given))
            continue
        found = sorted(glob.glob(given, recursive=True))  # noqa: PTH207 - Path's takes no absolute one
        if not found:
            raise UserError(f"--videos {given}: no file matches this pattern.")
        paths += [Path(f) for f in found if Path(f).is_file()]
    if not paths:
        raise UserError("--videos is empty; give at least one video file.")
    return paths


def _by_id(videos: list[Path]) -> dict[str, Path]:
    """The films by id, in the order of their ids."""
    paths: dict[str, Path] = {}
    for path in videos:
        other = paths.setdefault(movie_id_of(path), path)
        if other is not path:
            raise UserError(
                f"--videos: {other} and {path} would both be the film {movie_id_of(path)!r}. "
                "Give each film once, and rename one of two that have the same name."
            )
    return dict(sorted(paths.items()))


def _check(paths: dict[str, Path], skip_failed: bool) -> dict[str, VideoInfo]:
    """Open every film before any work begins. Raises UserError listing all that are bad."""
    checked: dict[str, VideoInfo] = {}
    bad = []
    for movie_id, path in paths.items():
        try:
            checked[movie_id] = check_video(path)
        except ItemError as error:
            bad.append(f"{path}: {error}")
    if bad and not skip_failed:
        raise UserError(
            f"{len(bad)} of {len(paths)} videos cannot be read; nothing was done. Put them right, "
            "or leave them out with --skip_failed.\n  " + "\n  ".join(bad)
        )
    return checked


def _match(
    rows: list[Row], paths: dict[str, Path], checked: dict[str, VideoInfo], file: Path
) -> dict[str, list[dict[str, object]]]:
    """Give each film its rows of the descriptions, in the order of time."""
    ids = {path.name: movie_id for movie_id, path in paths.items()}
    clips: dict[str, list[dict[str, object]]] = {movie_id: [] for movie_id in paths}
    problems = []
    for row in sorted(rows, key=lambda row: (row.video, row.start_s or 0.0, row.end_s or 0.0)):
        movie_id = ids.get(row.video)
        if movie_id is None:
            problems.append(
                f"line {row.line}: {row.video} is not among --videos ({', '.join(sorted(ids))}). "
                "Add the video or remove the row."
            )
            continue
        clips[movie_id].append(row.as_clip())
        info = checked.get(movie_id)
        if info is None or not info.frames or row.start_s is None or row.end_s is None:
            continue
        if frames_between(row.start_s, row.end_s, info.fps)[1] > info.frames:
            problems.append(
                f"line {row.line}: end_s {row.end_s:g} is beyond the end of {row.video}, which "
                f"lasts {info.seconds:.2f} s. Put the time right."
            )
    problems += [
        f"no row describes {paths[movie_id].name}. Add one, or leave the video out."
        for movie_id, described in clips.items()
        if not described
    ]
    if problems:
        raise UserError("\n  ".join([f"{file}: does not fit the videos:", *problems]))
    return clips


def _publish(stage: VideoStage, movie_id: str, sha256: str, frames: Path) -> None:
    """Move a film's frames to where readers look, now that the table `clips` names them.

    Until then the frames of the table before stay, so that a run that fails leaves both whole.
    """
    waiting = stage.frames_of(movie_id, sha256)
    final = (frames / "240P" / f"{movie_id}.tar", frames / SHOT_FOLDER / f"{movie_id}.txt")
    if not waiting[0].exists() and not all(path.exists() for path in final):
        stage.make_frames(movie_id, sha256)  # someone deleted them
    for source, target in zip(waiting, final, strict=True):
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
    shutil.rmtree(waiting[0].parent, ignore_errors=True)


def _relative(path: Path, workspace: Path) -> str:
    return os.path.relpath(path.resolve(), workspace.resolve())


def read_descriptions(path: Path) -> list[Row]:
    """Read a CSV of descriptions, in UTF-8, one row a clip.

    Without ``start_s`` and ``end_s`` the whole video is one clip; a video of several clips needs
    both on every row.

    Raises:
        UserError: the file is missing, not UTF-8, or has rows that are wrong; up to ten of them
            are listed with their line.
    """
    rows: list[Row] = []
    problems: list[str] = []
    reader = csv.DictReader(io.StringIO(_csv_text(path), newline=""), restval="", strict=True)
    try:
        _check_header(path, list(reader.fieldnames or []))
        for values in reader:
            try:
                rows.append(_row(reader.line_num, values))
            except ValueError as error:
                problems.append(f"line {reader.line_num}: {error}")
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: not readable as CSV ({error}).") from None
    if not rows and not problems:
        raise UserError(f"{path}: has no rows. Add one row a clip.")
    problems += _repeated(rows)
    if problems:
        more = f"\n  … and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise UserError(f"{path}: rows are wrong:\n  " + "\n  ".join(problems[:10]) + more)
    return rows


def _csv_text(path: Path) -> str:
    if not path.is_file():
        raise UserError(f"{path}: no such file of descriptions. {HEADER}")
    if path.stat().st_size > MAX_CSV_BYTES:
        raise UserError(f"{path}: larger than {MAX_CSV_BYTES} bytes; is it the right file?")
    data = path.read_bytes()
    if not data.strip():
        raise UserError(f"{path}: the file is empty. {HEADER}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}, line {line}: not UTF-8 text (byte {data[error.start]:#04x}). "
            "Save the file as CSV in UTF-8."
        ) from None


def _check_header(path: Path, names: list[str]) -> None:
    missing = [f"missing column {n!r}" for n in REQUIRED_COLUMNS if n not in names]
    unknown = [
        f"unknown column {shorten(n)}"
        for n in names
        if n not in REQUIRED_COLUMNS + OPTIONAL_COLUMNS
    ]
    twice = [f"column {n!r} twice" for n in sorted(set(names)) if names.count(n) > 1]
    if missing or unknown or twice:
        raise UserError(f"{path}: {'; '.join(missing + unknown + twice)}. {HEADER}")


def _row(line: int, values: dict[str, str]) -> Row:
    """One line -> one row. Raises ValueError saying what is wrong with it."""
    if None in values:
        raise ValueError("more values than columns. Put quotes around text with commas in it.")
    video = Path(values["video"].strip()).name
    if not video:
        raise ValueError("column 'video' is empty. Write the video's file name.")
    description = values["description"].strip()
    if not description:
        raise ValueError(f"the description of {video} is blank. Write what is to be seen.")
    start_s, end_s = _seconds(values, "start_s"), _seconds(values, "end_s")
    if (start_s is None) != (end_s is None):
        raise ValueError(f"{video} has only one of start_s and end_s. Give both or neither.")
    if start_s is not None and end_s is not None and start_s >= end_s:
        raise ValueError(f"{video}: start_s {start_s:g} is not before end_s {end_s:g}.")
    genres = [g.strip() for g in values.get("genres", "").split("|")]
    title = values.get("title", "").strip() or None
    return Row(line, video, description, start_s, end_s, title, [g for g in genres if g])


def _seconds(values: dict[str, str], name: str) -> float | None:
    text = values.get(name, "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"{name} is {shorten(text)}; expected seconds such as 12.5, 0 or more.")
    return seconds


def _repeated(rows: list[Row]) -> list[str]:
    """Rows that say the same stretch twice, or that leave open which part of a film they mean."""
    problems = []
    first: dict[tuple[str, float | None, float | None], int] = {}
    whole = {row.video: row.line for row in rows if row.start_s is None}
    for row in rows:
        line = first.setdefault((row.video, row.start_s, row.end_s), row.line)
        if line != row.line:
            problems.append(
                f"line {row.line}: duplicate clip, {row.video} with the times of line {line}. "
                "Remove one, or give different times."
            )
        elif whole.get(row.video, row.line) != row.line:
            problems.append(
                f"line {row.line}: line {whole[row.video]} makes the whole of {row.video} one "
                "clip. Give start_s and end_s on every row of a video with several."
            )
    return problems
