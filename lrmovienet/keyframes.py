"""Keyframes by MovieNet's names, read in place from tars or folders.

A frames root holds ``240P/<movie_id>.tar``, with members named ``<movie_id>/shot_0012_img_1.jpg``,
or the same files in folders ``240P/<movie_id>/``; some copies of MovieNet say ``240p``. The member
name is the frame's reference in the table `clips`. Tars are never unpacked: their index is read
once, and only regular members with such a name are ever opened.
"""

import functools
import hashlib
import re
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from lrmovienet.errors import ItemError, UserError, shorten
from lrmovienet.workspace import Workspace

MAX_FRAME_BYTES = 20_000_000
"""A keyframe of MovieNet has some 15 kB; whatever is larger than this is no keyframe."""
FOLDERS = ("240P", "240p")
TARS_INDEXED = 8
"""How many tars' indexes are kept in memory, a process; one of 12,000 frames has about 3 MB."""

_REF = re.compile(r"(?P<movie>[^\s/\\]+)/shot_(?P<shot>\d{4,9})_img_(?P<img>\d)\.jpg", re.ASCII)

Item = TypeVar("Item")
Index = dict[str, tuple[int, int]]
"""A tar's frames: reference -> (offset in bytes, size in bytes)."""


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
    """Reads keyframes under a frames root. It holds no open files, so it can be sent anywhere."""

    root: Path

    def read(self, ref: str, sha256: str | None = None) -> bytes:
        """The JPEG bytes of one keyframe, checked against their sha256 where one is given.

        Raises:
            ItemError: it is not there, too large, in a damaged tar, or not the frame that was
                ingested.
        """
        movie_id, _, _ = parse_ref(ref)
        place = self._place(movie_id)
        if place.is_dir():
            data = self._read_file(place.parent / ref, ref)
        else:
            found = _tar_index(place).get(ref)
            if found is None:
                raise ItemError(f"{place}: keyframe {ref} is not in this tar")
            offset, size = found
            if size > MAX_FRAME_BYTES:
                raise _too_large(ref, size)
            with place.open("rb") as file:
                file.seek(offset)
                data = file.read(size)
            if len(data) < size:
                raise ItemError(f"{place}: cut off inside {ref}. Copy the file again.")
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise ItemError(
                f"{place}: keyframe {ref} is not the picture that was ingested (its sha256 "
                "differs). Put the old file back, or delete the table clips and run ingest again."
            )
        return data

    def refs(self, movie_id: str) -> list[str]:
        """The references of all of a film's keyframes, by shot and picture.

        Raises:
            ItemError: the film has neither tar nor folder, or the tar is damaged.
        """
        place = self._place(movie_id)
        if place.is_dir():
            names = [f"{movie_id}/{path.name}" for path in place.iterdir()]
        else:
            names = list(_tar_index(place))
        ours = [name for name in names if (m := _REF.fullmatch(name)) and m["movie"] == movie_id]
        return sorted(ours, key=parse_ref)

    def _place(self, movie_id: str) -> Path:
        """The film's tar or folder."""
        for folder in FOLDERS:
            for name in (f"{movie_id}.tar", movie_id):
                path = self.root / folder / name
                if path.exists():
                    return path
        raise ItemError(
            f"{self.root}: no keyframes of {movie_id} here; looked for "
            f"{FOLDERS[0]}/{movie_id}.tar and the folder {FOLDERS[0]}/{movie_id}"
        )

    @staticmethod
    def _read_file(path: Path, ref: str) -> bytes:
        if not path.is_file():
            raise ItemError(f"{path}: no such keyframe")
        with path.open("rb") as file:
            data = file.read(MAX_FRAME_BYTES + 1)
        if len(data) > MAX_FRAME_BYTES:
            raise _too_large(ref, path.stat().st_size)
        return data


def _too_large(ref: str, size: int) -> ItemError:
    return ItemError(f"{ref}: {size} bytes; a keyframe has at most {MAX_FRAME_BYTES}")


def _tar_index(path: Path) -> Index:
    """A tar's index, kept while the file stays as it is."""
    stat = path.stat()
    return _read_index(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=TARS_INDEXED)
def _read_index(path: Path, size: int, mtime_ns: int) -> Index:
    index: Index = {}
    try:
        # "r:" takes plain tars only, so that no small file can unfold into a large one. Sparse
        # members are left out for the same reason: their bytes are not one stretch of the file.
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                if member.isreg() and not member.issparse() and _REF.fullmatch(name):
                    index[name] = (member.offset_data, member.size)
            ended_well = _is_end_mark(file, tar.offset)
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise ItemError(f"{path}: not a readable tar ({error}). Copy the file again.") from None
    if not ended_well:
        # Python's tarfile takes garbage between members for the end; a film would lose its tail.
        raise ItemError(f"{path}: the tar is damaged or cut off. Copy the file again.")
    return index


def _is_end_mark(file: BinaryIO, offset: int) -> bool:
    file.seek(offset)
    block = file.read(tarfile.BLOCKSIZE)
    return len(block) == tarfile.BLOCKSIZE and not any(block)


def evenly(items: Sequence[Item], at_most: int) -> list[Item]:
    """At most so many items, spread evenly: the middle one of each of `at_most` equal stretches."""
    total = len(items)
    if total <= at_most:
        return list(items)
    return [items[(2 * i + 1) * total // (2 * at_most)] for i in range(at_most)]
