"""Where films' keyframes lie below a root: tars, folders, or tars in a zip, and how each is read.

See `lrmovienet.keyframes`, which readers use.
"""

import functools
import os
import re
import tempfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lrmovienet.archives import (
    Index,
    Stretch,
    inflate,
    is_safe,
    open_zip,
    size_and_time,
    stored_at,
    tar_index,
)
from lrmovienet.errors import ItemError, shorten

MAX_FRAME_BYTES = 20_000_000
"""A keyframe of MovieNet has some 15 kB; whatever is larger than this is no keyframe."""
MAX_TAR_BYTES = 20_000_000_000
"""The largest film of MovieNet has 12,000 frames in some 400 MB."""
FOLDER = "240P"
_HEIGHT = re.compile(r"\d{2,4}[Pp]", re.ASCII)
_ZIP = re.compile(r"(?i).*(key_?frames|\d{3,4}p).*\.zip", re.ASCII)
REF = re.compile(r"(?P<movie>[^\s/\\]+)/shot_(?P<shot>\d{4,9})_img_(?P<img>\d)\.jpg", re.ASCII)


def keyframe_places(root: Path) -> tuple[Path, ...]:
    """The folders and zips that hold films' keyframes, at most two folders below a root.

    Folders come before zips, and pictures 240 pixels high before others.
    """
    return _keyframe_places(root, root.stat().st_mtime_ns) if root.is_dir() else ()


@functools.lru_cache(maxsize=8)
def _keyframe_places(root: Path, mtime_ns: int) -> tuple[Path, ...]:
    folders = [root] if _HEIGHT.fullmatch(root.name) else []
    zips: list[Path] = []
    looked_at = [root]
    for _ in range(3):
        below: list[Path] = []
        for folder in looked_at:
            for path, is_folder in _entries(folder):
                if not is_folder and _ZIP.fullmatch(path.name):
                    zips.append(path)
                elif is_folder and _HEIGHT.fullmatch(path.name):
                    folders.append(path)
                elif is_folder:
                    below.append(path)
        looked_at = below
    return (*sorted(folders, key=lambda p: (int(p.name[:-1]) != 240, p)), *sorted(zips))


def _entries(folder: Path) -> list[tuple[Path, bool]]:
    """What is in a folder, in order, and whether it is a folder; hidden names left out."""
    with os.scandir(folder) as entries:  # which tells it without asking for each of 375,000 files
        found = [(Path(e.path), e.is_dir()) for e in entries if not e.name.startswith(".")]
    return sorted(found)


class FilmKeyframes(ABC):
    """A film's keyframes, wherever they lie."""

    name: str
    """What holds them, for messages."""

    @abstractmethod
    def is_current(self) -> bool:
        """Whether what was learned of the place is still right."""

    @abstractmethod
    def stamp(self) -> Any:
        """See `KeyframeReader.stamp`."""

    def open(self) -> None:
        """Make ready to be read by several threads. Raises ItemError."""
        return

    @abstractmethod
    def names(self) -> Iterable[str]:
        """All names there, those that are no keyframe's among them. Raises ItemError."""

    @abstractmethod
    def other_name(self) -> str | None:
        """The name of something there, whatever it is."""

    @abstractmethod
    def read(self, ref: str) -> bytes:
        """One keyframe's bytes. Raises ItemError where it is not there or too large."""

    def by_shot(self, movie_id: str) -> dict[int, list[str]]:
        """Shot -> the references of its keyframes, both in order. Raises ItemError."""
        found = [
            (int(m["shot"]), int(m["img"]), name)
            for name in self.names()
            if (m := REF.fullmatch(name)) and m["movie"] == movie_id
        ]
        if not found and (other := self.other_name()) is not None:
            raise ItemError(
                f"{self.name}: has no {movie_id}/shot_0000_img_0.jpg or the like, but "
                f"{shorten(other)}. Rename what is in it, or take it out."
            )
        shots: dict[int, list[str]] = {}
        for shot, _, name in sorted(found):
            shots.setdefault(shot, []).append(name)
        return shots


class _Folder(FilmKeyframes):
    """A film's keyframes as files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    def is_current(self) -> bool:
        return self.path.is_dir()

    def stamp(self) -> Any:
        return ["folder", sorted(_stamp(path) for path in self.path.iterdir())]

    def names(self) -> Iterable[str]:
        return [f"{self.path.name}/{path.name}" for path in self.path.iterdir()]

    def other_name(self) -> str | None:
        return next(iter(sorted(self.names())), None)

    def read(self, ref: str) -> bytes:
        path = self.path.parent / ref
        if not path.is_file():
            raise ItemError(f"{path}: no such keyframe")
        with path.open("rb") as file:
            data = file.read(MAX_FRAME_BYTES + 1)
        if len(data) > MAX_FRAME_BYTES:
            raise _too_large(ref, path.stat().st_size)
        return data


class _Tar(FilmKeyframes):
    """A film's keyframes in a tar, which is a file or lies in a zip. Opened when first read."""

    def __init__(self, path: Path, member: zipfile.ZipInfo | None = None) -> None:
        self.path, self.member = path, member
        self.name = f"{path}, {member.filename}" if member else str(path)
        self._file: Any = None
        self._stretch: Stretch | None = None
        self._index: Index | None = None
        self._opened = size_and_time(path)

    def is_current(self) -> bool:
        try:
            return size_and_time(self.path) == self._opened
        except FileNotFoundError:
            return False

    def stamp(self) -> Any:
        if self.member is not None:
            return ["zip", self.member.CRC, self.member.file_size]
        return ["tar", *self._opened]

    def open(self) -> None:
        self._read_index()

    def names(self) -> Iterable[str]:
        return self._read_index()

    def other_name(self) -> str | None:
        return next(iter(tar_index(self._bytes(), lambda name: True)), None)

    def read(self, ref: str) -> bytes:
        found = self._read_index().get(ref)
        if found is None:
            raise ItemError(f"{self.name}: keyframe {ref} is not in this tar")
        offset, size = found
        if size > MAX_FRAME_BYTES:
            raise _too_large(ref, size)
        data = self._bytes().pread(size, offset)
        if len(data) < size:
            raise ItemError(f"{self.name}: cut off inside {ref}. Copy the file again.")
        return data

    def _read_index(self) -> Index:
        if self._index is None:
            try:
                self._index = tar_index(self._bytes(), REF.fullmatch)
            except ItemError as error:
                if self._stretch is None:  # the zip could not be read, and says so itself
                    raise
                raise ItemError(f"{self.name}: {error}") from None
        return self._index

    def _bytes(self) -> Stretch:
        if self._stretch is None:
            start, size = 0, self._opened[0]
            if self.member is None:
                self._file = self.path.open("rb", buffering=0)
            else:
                archive = _zip(self.path).archive
                at = stored_at(archive, self.member)
                if at is not None:
                    self._file = self.path.open("rb", buffering=0)
                    start, size = at, self.member.file_size
                else:  # compressed: it has to be inflated once to be read in any order
                    self._file = tempfile.TemporaryFile()  # noqa: SIM115 - as long as this is open
                    inflate(archive, self.member, self._file, MAX_TAR_BYTES)
                    self._file.flush()
                    size = self.member.file_size
            self._stretch = Stretch(self._file.fileno(), start, size)
        return self._stretch

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()


class _Zip:
    """A zip of films' tars: movie_id -> member."""

    def __init__(self, path: Path) -> None:
        self.archive = open_zip(path)
        self.films: dict[str, list[zipfile.ZipInfo]] = {}
        for info in self.archive.infolist():
            name = Path(info.filename).name
            hidden = name.startswith(".") or "__MACOSX" in info.filename
            if name.endswith(".tar") and not hidden and is_safe(info.filename):
                self.films.setdefault(name.removesuffix(".tar"), []).append(info)
        if not self.films and self.archive.infolist():
            raise ItemError(
                f"{path}: has no {FOLDER}/<film>.tar in it, but such as "
                f"{self.archive.infolist()[-1].filename!r}. Unpack it."
            )

    def film(self, movie_id: str) -> zipfile.ZipInfo | None:
        """The film's tar, if there is one. Raises ItemError where there are several."""
        members = self.films.get(movie_id, [])
        if len(members) > 1:
            names = " and ".join(repr(m.filename) for m in members[:2])
            raise ItemError(f"{self.archive.filename}: has {names}; take one of them out.")
        return members[0] if members else None

    def __del__(self) -> None:
        if hasattr(self, "archive"):
            self.archive.close()


def find(root: Path, movie_id: str) -> FilmKeyframes | None:
    """A film's keyframes below a root, or None. Raises ItemError where the zip is damaged."""
    for place in keyframe_places(root):
        if _is_zip(place):
            member = _zip(place).film(movie_id)
            if member is not None:
                return _Tar(place, member)
        elif (tar := place / f"{movie_id}.tar").is_file():
            return _Tar(tar)
        elif (folder := place / movie_id).is_dir():
            return _Folder(folder)
    return None


def films_in(place: Path) -> set[str]:
    """The ids of all films whose keyframes a folder or zip holds. Raises ItemError: damaged zip."""
    if _is_zip(place):
        return set(_zip(place).films)
    return {
        p.name if is_folder else p.stem
        for p, is_folder in _entries(place)
        if is_folder or p.suffix == ".tar"
    }


def _is_zip(place: Path) -> bool:
    return place.suffix.lower() == ".zip"


def _stamp(path: Path) -> list[Any]:
    try:
        return [path.name, *size_and_time(path)]
    except OSError as error:  # a link to nowhere; reading it will say so
        return [path.name, error.errno, 0]


def _zip(path: Path) -> _Zip:
    return _open_zip(path, *size_and_time(path))


@functools.lru_cache(maxsize=4)
def _open_zip(path: Path, size: int, mtime_ns: int) -> _Zip:
    return _Zip(path)


def _too_large(ref: str, size: int) -> ItemError:
    return ItemError(f"{ref}: {size} bytes; a keyframe has at most {MAX_FRAME_BYTES}")
