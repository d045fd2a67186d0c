"""Where the parts of MovieNet lie below a root, in each of the layouts in which people have it.

Parts go by their names on the download page, as folders or as the zips themselves, in the root or a
folder deeper::

    annotation/ annotation.v1/ annotation.v1.zip              one JSON a film
    meta/ meta.v1/ meta.v1.zip                                one JSON a film
    240P/ 240p/ movie1K.keyframes.240p.v1.zip                 see `lrmovienet.keyframes`
    shot_detection/ movie1K.shot_detection.v1.zip             one text file a film; optional
    movie1K.split.v1.json MovieNet_shot_num.json              lists of films; optional

Where a film is in two places, folders come before zips.
"""

import functools
import os
import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lrmovienet.archives import is_safe, open_zip, read_member, size_and_time
from lrmovienet.errors import ItemError, UserError, shorten
from lrmovienet.movienet.annotation import json_object
from lrmovienet.places import keyframe_places

PartName = Literal["annotation", "meta", "shots"]
MAX_FILE_BYTES = 32_000_000
"""The largest annotations, with a box for every face, have some megabytes."""

PART_FILES: dict[PartName, str] = {
    "annotation": "annotation/{}.json",
    "meta": "meta/{}.json",
    "shots": "shot_detection/{}.txt",
}
"""Where a film's file lies in the plainest layout."""

_NAMES: dict[PartName, re.Pattern[str]] = {
    "annotation": re.compile(r"(?i)annotations?(\.v\d+)?"),
    "meta": re.compile(r"(?i)meta(data)?(\.v\d+)?"),
    "shots": re.compile(r"(?i)(movie1k\.)?shot_detection(\.v\d+)?|shot_txt|shot_movie\d+"),
}
_SPLIT = re.compile(r"(?i).*split.*\.json")
_SHOT_COUNTS = re.compile(r"(?i).*shot_num.*\.json")
_BUNDLE = re.compile(r"(?i).*\.(tar\.gz|tgz|7z|rar)|movienet.*\.(zip|tar)")


@dataclass(frozen=True)
class FilmFiles:
    """Small files, one a film, in a folder or a zip."""

    path: Path
    ending: str

    def check(self) -> None:
        """Open it. Raises ItemError for a damaged zip."""
        if self._is_zip:
            self._members()

    def has(self, movie_id: str) -> bool:
        """Whether a film has a file here."""
        if self._is_zip:
            return movie_id in self._members()
        return (self.path / f"{movie_id}{self.ending}").is_file()

    def films(self) -> list[str]:
        """The ids of the films that have a file here. Raises ItemError for a damaged zip."""
        if self._is_zip:
            return sorted(self._members())
        names = (path.name for path in self.path.iterdir())
        return sorted(n.removesuffix(self.ending) for n in names if self._is_ours(n))

    def read(self, movie_id: str) -> bytes | None:
        """A film's file, or None where it has none.

        Raises:
            ItemError: it is too large or damaged, or the zip is.
        """
        if self._is_zip:
            members = self._members().get(movie_id, [])
            if len(members) > 1:
                names = " and ".join(repr(m.filename) for m in members[:2])
                raise ItemError(f"{self.path}: has {names}; take one of them out.")
            archive = self._directory.archive
            return read_member(archive, members[0], MAX_FILE_BYTES) if members else None
        path = self.path / f"{movie_id}{self.ending}"
        try:
            if not path.is_file():
                return None
            if path.stat().st_size > MAX_FILE_BYTES:
                raise ItemError(f"{path}: larger than {MAX_FILE_BYTES} bytes; no file of MovieNet.")
            return path.read_bytes()
        except OSError as error:
            raise ItemError(f"{path}: cannot be read: {error.strerror}.") from None

    def refused(self) -> list[str]:
        """Names in the zip that point outside of it; they are never opened."""
        if not self._is_zip:
            return []
        return self._directory.refused

    @property
    def _directory(self) -> "_Directory":
        return _directory(self.path, self.ending, *size_and_time(self.path))

    @property
    def _is_zip(self) -> bool:
        return self.path.suffix.lower() == ".zip"

    def _is_ours(self, name: str) -> bool:
        return name.endswith(self.ending) and not name.startswith(".")

    def _members(self) -> dict[str, list[zipfile.ZipInfo]]:
        return self._directory.members


@dataclass
class Tree:
    """What lies below a root."""

    root: Path
    parts: dict[PartName, list[FilmFiles]]
    keyframes: list[Path]
    splits: list[Path]
    shot_counts: list[Path]
    bundles: list[Path]
    """Archives in which parts may lie that are not looked into."""
    problems: list[str] = field(default_factory=list)
    """What of it cannot be read, and why."""

    @classmethod
    def find(cls, root: Path) -> "Tree":
        """Look below a root. Raises UserError where it is no folder."""
        if not root.is_dir():
            raise UserError(f"{root}: no such folder. Give the folder that holds your MovieNet.")
        parts: dict[PartName, list[FilmFiles]] = {name: [] for name in _NAMES}
        keyframes = list(keyframe_places(root))
        tree = cls(root, parts, keyframes, [], [], [])
        taken = set(keyframes)
        for path in _entries(root):
            if path in taken or tree._take(path) or not path.is_dir():
                continue
            for inner in _entries(path):
                if inner not in taken:
                    tree._take(inner)
        for sources in parts.values():
            sources.sort(key=lambda s: (s.path.suffix.lower() == ".zip", str(s.path)))
            for source in list(sources):
                try:
                    source.check()
                except ItemError as error:
                    tree.problems.append(str(error))
                    sources.remove(source)
        return tree

    def films(self, part: PartName) -> list[str]:
        """The ids of all films that have a file of this part, in order."""
        return sorted({film for source in self.parts[part] for film in source.films()})

    def read(self, part: PartName, movie_id: str) -> bytes | None:
        """A film's file of a part, or None. Raises ItemError where it is damaged."""
        for source in self.parts[part]:
            data = source.read(movie_id)
            if data is not None:
                return data
        return None

    def split_films(self) -> dict[str, list[str]]:
        """Split name -> its films, of all split files; names that occur twice are joined.

        Raises:
            ItemError: a file does not hold lists of ids under names.
        """
        found: dict[str, list[str]] = {}
        for path in self.splits:
            for name, films in _read_json(path).items():
                if not isinstance(films, list) or not all(isinstance(f, str) for f in films):
                    raise ItemError(f"{path}: {shorten(name)} is not a list of film ids.")
                found[name] = sorted({*found.get(name, []), *films})
        return found

    def expected_shots(self) -> dict[str, int]:
        """Film -> its number of shots, as the file with shot counts says.

        Raises:
            ItemError: the file does not hold numbers of shots by film and split.
        """
        found: dict[str, int] = {}
        for path in self.shot_counts:
            for films in _read_json(path).values():
                if not isinstance(films, dict) or not all(type(n) is int for n in films.values()):
                    raise ItemError(f"{path}: expected numbers of shots by split and film.")
                found |= films
        return found

    def _take(self, path: Path) -> bool:
        """Note what a file or folder is. Returns whether it is a part of MovieNet."""
        is_dir, name = path.is_dir(), path.name
        for part, pattern in _NAMES.items():
            is_zip = not is_dir and name.lower().endswith(".zip")
            if (is_dir or is_zip) and pattern.fullmatch(name[:-4] if is_zip else name):
                inner = _folders(path) if is_dir else []
                # annotation.v1.zip unpacked into its own folder gives annotation.v1/annotation/.
                deeper = [p for p in inner if pattern.fullmatch(p.name)]
                for place in deeper or [path]:
                    self.parts[part].append(FilmFiles(place, Path(PART_FILES[part]).suffix))
                return True
        if is_dir:
            return False
        if _SPLIT.fullmatch(name):
            self.splits.append(path)
        elif _SHOT_COUNTS.fullmatch(name):
            self.shot_counts.append(path)
        elif _BUNDLE.fullmatch(name):
            self.bundles.append(path)
        return False


class _Directory:
    """What a zip holds: movie_id -> its members of the right ending."""

    def __init__(self, path: Path, ending: str) -> None:
        self.archive = open_zip(path)
        self.members: dict[str, list[zipfile.ZipInfo]] = {}
        self.refused: list[str] = []
        for info in self.archive.infolist():
            folder, _, name = info.filename.rpartition("/")
            if not is_safe(info.filename):
                self.refused.append(info.filename)
            elif name.endswith(ending) and not name.startswith(".") and "__MACOSX" not in folder:
                self.members.setdefault(name.removesuffix(ending), []).append(info)

    def __del__(self) -> None:
        if hasattr(self, "archive"):
            self.archive.close()


@functools.lru_cache(maxsize=8)
def _directory(path: Path, ending: str, size: int, mtime_ns: int) -> _Directory:
    return _Directory(path, ending)


def _entries(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if not p.name.startswith("."))


def _folders(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:  # of a folder with a file for each of 375,000 films
        return sorted(Path(e.path) for e in entries if e.is_dir() and not e.name.startswith("."))


def _read_json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ItemError(f"{path}: larger than {MAX_FILE_BYTES} bytes; no file of MovieNet.")
    try:
        return json_object(path.read_bytes())
    except ItemError as error:
        raise ItemError(f"{path}: {error}") from None
