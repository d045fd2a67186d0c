"""Keyframes by MovieNet's names, read in place from tars, folders or the zip they come in.

Below a root lie ``240P/<movie_id>.tar``, with members named ``<movie_id>/shot_0012_img_1.jpg``, or
the same files in folders ``240P/<movie_id>/``, or a zip of such tars; some copies of MovieNet say
``240p``, and all of it may lie a folder or two deeper. The member's name is the frame's reference
in the table `clips`, so that a table does not hang on the layout. Nothing is unpacked: an archive's
directory is read once, and only regular members with such a name are ever opened.
"""

import functools
import hashlib
import os
import re
import tempfile
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lrmovienet.archives import Index, Stretch, inflate, is_safe, open_zip, stored_at, tar_index
from lrmovienet.errors import ItemError, UserError, shorten
from lrmovienet.workspace import Workspace

MAX_FRAME_BYTES = 20_000_000
"""A keyframe of MovieNet has some 15 kB; whatever is larger than this is no keyframe."""
MAX_TAR_BYTES = 20_000_000_000
"""The largest film of MovieNet has 12,000 frames in some 400 MB."""
FOLDER = "240P"
FILMS_OPEN = 8
"""How many films' indexes are kept in memory, a process; one of 12,000 frames has about 3 MB."""

_HEIGHT = re.compile(r"\d{2,4}[Pp]", re.ASCII)
_ZIP = re.compile(r"(?i).*(key_?frames|\d{3,4}p).*\.zip", re.ASCII)
_REF = re.compile(r"(?P<movie>[^\s/\\]+)/shot_(?P<shot>\d{4,9})_img_(?P<img>\d)\.jpg", re.ASCII)

Item = TypeVar("Item")


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


def frames_root(workspace: Workspace) -> Path:
    """The folder that the keyframes of the workspace's clips lie under.

    Raises:
        UserError: there are no clips yet, they have no frames, or the folder is gone.
    """
    manifest = workspace.require("clips")
    relative = manifest.config.get("frames_root")
    if not isinstance(relative, str):
        raise UserError(
            f"{workspace.folder('clips')}: these clips were made without pictures. Make clips with "
            f"pictures: lrmovienet ingest --workspace {workspace.root}"
        )
    root = (workspace.root.resolve() / relative).resolve()
    if not root.is_dir():
        raise UserError(
            f"{root}: the keyframes' folder is not there. Put it back, or run lrmovienet ingest "
            f"--workspace {workspace.root} again with the place where it is now."
        )
    return root


def parse_ref(ref: str) -> tuple[str, int, int]:
    """A reference -> film, number of the shot, number of the picture in the shot.

    Raises:
        ItemError: it is not of the form ``<movie_id>/shot_0012_img_1.jpg``.
    """
    match = _REF.fullmatch(ref)
    if match is None or match["movie"] in (".", ".."):
        raise ItemError(
            f"{shorten(ref)} is not a keyframe's name such as tt1210166/shot_0012_img_1.jpg"
        )
    return match["movie"], int(match["shot"]), int(match["img"])


@dataclass(frozen=True)
class KeyframeReader:
    """Reads keyframes below a root. It holds no open files, so it can be sent anywhere."""

    root: Path

    def read(self, ref: str, sha256: str | None = None) -> bytes:
        """The JPEG bytes of one keyframe, checked against their sha256 where one is given.

        Raises:
            ItemError: it is not there, too large, in a damaged tar, or not the frame that was
                ingested.
        """
        movie_id, _, _ = parse_ref(ref)
        source = self.film(movie_id)
        data = source.read(ref)
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise ItemError(
                f"{source.name}: keyframe {ref} is not the picture that was ingested (its sha256 "
                "differs). Put the old file back, or delete the table clips and run ingest again."
            )
        return data

    def refs(self, movie_id: str) -> list[str]:
        """The references of all of a film's keyframes, by shot and picture.

        Raises:
            ItemError: the film has no keyframes here, or its tar is damaged.
        """
        return [ref for refs in self.film(movie_id).by_shot(movie_id).values() for ref in refs]

    def place(self, movie_id: str) -> str | None:
        """What holds a film's keyframes (a tar, a folder, a tar in a zip); None where nothing does.

        Raises:
            ItemError: the zip that would hold them is damaged.
        """
        source = _find(self.root, movie_id)
        return source.name if source else None

    def stamp(self, movie_id: str) -> Any:
        """What changes when a film's keyframes do, without reading them; None: it has none.

        That is the size and the time of the last change of a tar or of each file of a folder, and
        the checksum that a zip keeps. Reading 160 GB at each run is too much.
        """
        source = _find(self.root, movie_id)
        return source.stamp() if source else None

    def film(self, movie_id: str) -> "FilmKeyframes":
        """The film's tar or folder; an open tar is used again while its file stays as it is.

        Raises:
            ItemError: the film has no keyframes here.
        """
        key = (self.root, movie_id)
        source = _OPEN.get(key)
        if source is None or not source.is_current():
            source = _find(self.root, movie_id)
            if source is None:
                raise ItemError(
                    f"{self.root}: no keyframes of {movie_id} here; looked for {FOLDER}/{movie_id}"
                    f".tar, the folder {FOLDER}/{movie_id} and a zip with such tars"
                )
            _OPEN[key] = source
        _OPEN.move_to_end(key)
        while len(_OPEN) > FILMS_OPEN:
            _OPEN.popitem(last=False)
        return source


class FilmKeyframes:
    """A film's keyframes, wherever they lie."""

    name: str
    """What holds them, for messages."""

    def is_current(self) -> bool:
        """Whether what was learned of the place is still right."""
        raise NotImplementedError

    def stamp(self) -> Any:
        """See `KeyframeReader.stamp`."""
        raise NotImplementedError

    def names(self) -> Iterable[str]:
        """All names there, those that are no keyframe's among them. Raises ItemError."""
        raise NotImplementedError

    def read(self, ref: str) -> bytes:
        """One keyframe's bytes. Raises ItemError where it is not there or too large."""
        raise NotImplementedError

    def by_shot(self, movie_id: str) -> dict[int, list[str]]:
        """Shot -> the references of its keyframes, both in order. Raises ItemError."""
        found = [
            (int(m["shot"]), int(m["img"]), name)
            for name in self.names()
            if (m := _REF.fullmatch(name)) and m["movie"] == movie_id
        ]
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
        self._opened = _size_and_time(path)

    def is_current(self) -> bool:
        try:
            return _size_and_time(self.path) == self._opened
        except FileNotFoundError:
            return False

    def stamp(self) -> Any:
        if self.member is not None:
            return ["zip", self.member.CRC, self.member.file_size]
        return ["tar", *self._opened]

    def names(self) -> Iterable[str]:
        return self._read_index()

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
                self._index = tar_index(self._bytes(), _REF.fullmatch)
            except ItemError as error:
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
            if info.filename.endswith(".tar") and is_safe(info.filename):
                self.films.setdefault(Path(info.filename).stem, []).append(info)

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


_OPEN: OrderedDict[tuple[Path, str], FilmKeyframes] = OrderedDict()


def _find(root: Path, movie_id: str) -> FilmKeyframes | None:
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
        return [path.name, *_size_and_time(path)]
    except OSError as error:  # a link to nowhere; reading it will say so
        return [path.name, error.errno, 0]


def _zip(path: Path) -> _Zip:
    return _open_zip(path, *_size_and_time(path))


@functools.lru_cache(maxsize=4)
def _open_zip(path: Path, size: int, mtime_ns: int) -> _Zip:
    return _Zip(path)


def _size_and_time(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _too_large(ref: str, size: int) -> ItemError:
    return ItemError(f"{ref}: {size} bytes; a keyframe has at most {MAX_FRAME_BYTES}")


def evenly(items: Sequence[Item], at_most: int) -> list[Item]:
    """At most so many items, spread evenly: the middle one of each of `at_most` equal stretches."""
    total = len(items)
    if total <= at_most:
        return list(items)
    return [items[(2 * i + 1) * total // (2 * at_most)] for i in range(at_most)]
