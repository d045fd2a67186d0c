"""What a person gave to `ingest --videos`: films and descriptions, checked before work begins."""

import glob
import re
import unicodedata
from pathlib import Path

from lrmovienet.descriptions import (
    Row,
    film_facts,
    plain_name,
    read_descriptions,
    read_subtitles,
)
from lrmovienet.errors import ItemError, UserError
from lrmovienet.video.decode import VideoInfo, check_video

MAX_NAME_BYTES = 200
"""Of a film's id, which names files of its own."""
SUBTITLES = (".srt", ".vtt", ".ass")


def files_of(given: str | list[str], option: str) -> list[Path]:
    """Paths and patterns -> paths."""
    paths: list[Path] = []
    for name in [given] if isinstance(given, str) else given:
        if Path(name).is_dir():
            raise UserError(
                f"{option}: {name} is a folder; give its files, such as '{name}/*.mp4'."
            )
        if Path(name).exists() or not glob.has_magic(name):
            paths.append(Path(name))
            continue
        found = _matching(name) or _matching(_escaped(name))
        if not found:
            raise UserError(f"{option} {name}: no file matches this pattern.")
        paths += [Path(f) for f in found if Path(f).is_file()]
    if not paths:
        raise UserError(f"{option} is empty; give at least one file.")
    return paths


def _matching(pattern: str) -> list[str]:
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path's takes no absolute one


def _escaped(pattern: str) -> str:
    """A pattern whose folders, where there are such, are meant as named: 'films [2020]/*.mp4'."""
    escaped, so_far = [], Path()
    for part in Path(pattern).parts:
        so_far = so_far / part
        escaped.append(glob.escape(part) if so_far.exists() else part)
    return str(Path(*escaped))


def movie_id_of(path: Path) -> str:
    """A video's name without its ending, with ``_`` for what an id or a file name may not have."""
    stem = unicodedata.normalize("NFC", path.stem)
    return re.sub(r"[^\w.-]+", "_", stem).lstrip(".-") or "_"


def by_id(videos: list[Path]) -> dict[str, Path]:
    """The films by id, in the order of their ids."""
    paths: dict[str, Path] = {}
    for path in videos:
        if len(movie_id_of(path).encode()) > MAX_NAME_BYTES:
            raise UserError(f"--videos: {path.name[:60]}…: rename it; its name is too long.")
        other = paths.setdefault(movie_id_of(path), path)
        if other is not path:
            raise UserError(
                f"--videos: {other} and {path} would both be the film {movie_id_of(path)!r}. "
                "Give each film once, and rename one of two that have the same name."
            )
    return dict(sorted(paths.items()))


def check_all(paths: dict[str, Path], skip_failed: bool) -> dict[str, VideoInfo]:
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


def read_rows(files: list[Path], videos: list[Path], window_s: float) -> list[Row]:
    """Read the descriptions, whichever kind they are. Raises UserError."""
    if all(path.suffix.lower() in SUBTITLES for path in files):
        return read_subtitles(files, videos, window_s)
    if len(files) > 1:
        raise UserError("--descriptions: give one CSV or JSON Lines file, or subtitles only.")
    return read_descriptions(files[0])


def match(
    rows: list[Row], paths: dict[str, Path], checked: dict[str, VideoInfo], files: list[Path]
) -> dict[str, list[Row]]:
    """Give each film its rows of the descriptions, in the order of time."""
    ids = {plain_name(path.name): movie_id for movie_id, path in paths.items()}
    subtitles = files[0].suffix.lower() in SUBTITLES  # the last may stand longer than the film
    described: dict[str, list[Row]] = {movie_id: [] for movie_id in paths}
    problems = []
    for row in sorted(rows, key=lambda row: (row.video, row.start_s or 0.0, row.end_s or 0.0)):
        movie_id = ids.get(row.video)
        if movie_id is None:
            problems.append(
                f"line {row.line}: {row.video} is not among --videos ({', '.join(sorted(ids))}). "
                "Add the video or remove the row."
            )
            continue
        described[movie_id].append(row)
        info = checked.get(movie_id)
        if info is None or not info.frames or row.start_s is None or row.end_s is None:
            continue
        if not subtitles and row.end_s > info.seconds + 1.5 / info.fps:
            problems.append(
                f"line {row.line}: end_s {row.end_s:g} is beyond the end of {row.video}, which "
                f"lasts {info.seconds:.2f} s. Put the time right."
            )
    for movie_id, of_film in described.items():
        if not of_film:
            problems.append(
                f"no row describes {paths[movie_id].name}. Add one, or leave the video out."
            )
        problems += [
            f"{problem} A film has one; write it on one row, or the same on all."
            for problem in film_facts(of_film)[2]
        ]
    if problems:
        name = ", ".join(map(str, files[:3]))
        raise UserError("\n  ".join([f"{name}: does not fit the videos:", *problems]))
    return described
