"""Writes the MovieNet tree, film by film, and only what is not there yet."""

import json
import multiprocessing
import os
import re
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrmovienet.errors import UserError
from lrmovienet.files import sha256_file, sha256_of, write_bytes, write_json
from lrmovienet.progress import progress
from lrmovienet.runner.local import start_worker
from lrmovienet.synthetic.calibration import Calibration
from lrmovienet.synthetic.movienet_files import film_files
from lrmovienet.synthetic.plan import SizeName, plan
from lrmovienet.synthetic.tables import fingerprint
from lrmovienet.synthetic.world import scenes

FOLDER = "movienet"
INDEX = "synthetic.json"
_MOVIE_ID = re.compile(r"tt99\d{6}")
EARLIEST = 946_684_800
"""The beginning of 2000."""
TREE_VERSION = "2"
"""Raised when the files of equal scenes change: drawing, formats."""


@dataclass(frozen=True)
class TreeOutcome:
    """What writing the tree came to."""

    films: int
    kept: int

    def __str__(self) -> str:
        if self.kept == self.films:
            return f"{FOLDER}: up to date ({self.films} films)"
        kept = f"; {self.kept} were there" if self.kept else ""
        return f"{FOLDER}: {self.films} films{kept}"


def write_tree(
    root: Path, size: SizeName, seed: int, frames: bool, processes: int, calibration: Calibration
) -> TreeOutcome:
    """Bring the tree under `root` to what size and seed ask for.

    Each film's files are hashed in an index beside them, so that a killed run goes on, a damaged
    or deleted file is made again and films of another plan go.

    Raises:
        UserError: the folder holds files that this generator did not write.
    """
    index = _read_index(root)
    films = plan(size, seed)
    key = sha256_of([TREE_VERSION, fingerprint(size, seed, calibration), frames])
    _remove_others(root, index, {film.movie_id for film in films}, frames)
    todo = [f.index for f in films if not _is_right(root, index.get(f.movie_id), key)]

    def record(movie_id: str, hashes: dict[str, str]) -> None:
        index[movie_id] = {"key": key, "files": hashes}
        write_json(root / INDEX, {"generator": "lrmovienet synth", "films": index})

    with progress(FOLDER, len(todo), "films") as advance:
        time = EARLIEST + int(key[:6], 16)
        job = _FilmJob(root, size, seed, frames, calibration, time)
        if processes <= 1 or len(todo) <= 1:
            for film in todo:
                record(*job(film))
                advance(1)
        else:
            for done in _in_processes(job, todo, processes):
                record(*done)
                advance(1)
    return TreeOutcome(len(films), len(films) - len(todo))


@dataclass(frozen=True)
class _FilmJob:
    root: Path
    size: SizeName
    seed: int
    frames: bool
    calibration: Calibration
    time: int
    """When the files are to have been changed last, in seconds; it says what made them."""

    def __call__(self, index: int) -> tuple[str, dict[str, str]]:
        """Write one film's files. Returns its id and their hashes."""
        film = plan(self.size, self.seed)[index]
        found = scenes(film, self.seed, self.calibration)
        files = film_files(film, found, self.seed, self.frames)
        for name, content in files.items():
            write_bytes(self.root / name, content)
            # Readers tell by a file's time whether it changed; equal corpora are to look equal.
            os.utime(self.root / name, (self.time, self.time))
        return film.movie_id, {name: sha256_file(self.root / name) for name in files}


def _in_processes(job: _FilmJob, todo: list[int], processes: int) -> Any:
    # Spawned, not forked: OpenCV keeps threads that do not survive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(processes, len(todo)), context, start_worker, (os.getpid(),))
    try:
        futures: list[Future[tuple[str, dict[str, str]]]] = [pool.submit(job, i) for i in todo]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool:
        raise UserError(
            f"{FOLDER}: a worker process was ended from outside. Run again with fewer --processes "
            f"(now {processes}); finished films are kept."
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _read_index(root: Path) -> dict[str, Any]:
    path = root / INDEX
    if not path.exists():
        # A killed first run may have left files of its first films; others' files are not ours.
        foreign = [p for p in sorted(root.glob("*/*")) if not p.name.lstrip(".").startswith("tt99")]
        if foreign:
            raise UserError(
                f"{root}: holds {foreign[0].relative_to(root)}, which `synth` did not write. Give "
                "another --workspace, or move that folder away."
            )
        return {}
    try:
        index = dict(json.loads(path.read_bytes())["films"])
        for movie_id, entry in index.items():
            # Files named here may be deleted: none but a generated film's own may be named.
            if not _MOVIE_ID.fullmatch(movie_id) or not set(entry["files"]) <= _names(movie_id):
                raise ValueError(f"{movie_id!r} is no generated film, or names files of others")
        return index
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not a readable index ({error}). Delete the folder {root} and run again."
        ) from None


def _names(movie_id: str) -> set[str]:
    """Every file that a film can have."""
    folders = {"annotation": "json", "meta": "json", "shot_detection": "txt", "240P": "tar"}
    return {f"{folder}/{movie_id}.{ending}" for folder, ending in folders.items()}


def _remove_others(root: Path, index: dict[str, Any], wanted: set[str], frames: bool) -> None:
    """Delete what earlier runs wrote and this corpus does not have."""
    for leftover in root.glob("*/.tt99*.tmp"):  # of a run that was killed while writing
        leftover.unlink()
    for movie_id in sorted(index):
        for name in list(index[movie_id]["files"]):
            if movie_id not in wanted or (name.endswith(".tar") and not frames):
                (root / name).unlink(missing_ok=True)
        if movie_id not in wanted:
            del index[movie_id]


def _is_right(root: Path, entry: dict[str, Any] | None, key: str) -> bool:
    return (
        entry is not None
        and entry["key"] == key
        and all(
            (root / name).exists() and sha256_file(root / name) == sha256
            for name, sha256 in entry["files"].items()
        )
    )
