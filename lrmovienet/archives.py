"""Tars and zips read in place: where a member's bytes lie, without unpacking anything.

Archives come from elsewhere. Only regular members are looked at, nothing is ever written under a
name that an archive gives, and nothing is inflated beyond the size that it says it has.
"""

import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from io import RawIOBase
from pathlib import Path
from typing import IO

from lrmovienet.errors import ItemError

MAX_INFLATION = 20
"""JPEGs hardly shrink; a tar of them that grows more than this is made to fill a disk."""
_BLOCK = tarfile.BLOCKSIZE
_ZEROS = bytes(_BLOCK)
MAX_HEADER = 8192
"""A long name or a set of attributes. Python's tarfile takes the square of it in time."""
MAX_TEXT_INFLATION = 100
"""Indented JSON shrinks to a thirtieth."""
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_PIECE = 1 << 16
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The two that say, piece by piece, how far they grow."""
_DAMAGE = (
    zipfile.BadZipFile, EOFError, ValueError, OverflowError, RuntimeError, OSError, zlib.error,
    struct.error,
)  # fmt: skip

Index = dict[str, tuple[int, int]]
"""An archive's members: name -> (offset in bytes, size in bytes)."""


class Stretch(RawIOBase):
    """A part of an open file as a file of its own: a tar that lies whole inside a zip."""

    def __init__(self, fd: int, start: int, size: int) -> None:
        self.fd, self.start, self.size, self.at = fd, start, size, 0

    def pread(self, size: int, offset: int) -> bytes:
        """`size` bytes from `offset`, fewer at the end. Does not move the reading position."""
        left = min(size, self.size - offset)
        return os.pread(self.fd, left, self.start + offset) if left > 0 <= offset else b""

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the reading position; see `io.IOBase.seek`."""
        at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.at, os.SEEK_END: self.size}[whence]
        if at < 0:
            raise ValueError(f"position {at} is before the beginning")
        self.at = at
        return at

    def tell(self) -> int:
        """The reading position."""
        return self.at

    def read(self, size: int = -1) -> bytes:
        """Read on from the reading position, no more than an honest header has."""
        if not 0 <= size <= MAX_HEADER:
            raise ValueError(f"a header of {size} bytes")
        data = self.pread(size, self.at)
        self.at += len(data)
        return data


def tar_index(tar: Stretch, wanted: Callable[[str], object]) -> Index:
    """Where the regular members of a plain tar lie whose names are `wanted`.

    Reads the members' headers only. Names lose a leading ``./``; of two with one name the last one
    counts, as when unpacking.

    Raises:
        ItemError: it is no plain tar, is cut off, or has garbage between its members. The message
            does not name the file.
    """
    if tar.pread(2, 0) == b"\x1f\x8b":
        raise ItemError("is compressed, though its name says that it is a plain tar: gunzip it.")
    index = _plain_index(tar, wanted)
    return _any_index(tar, wanted) if index is None else index


def _plain_index(tar: Stretch, wanted: Callable[[str], object]) -> Index | None:
    """The index of a tar with nothing but files and folders under short names; else None.

    This is what every copy of MovieNet has, and it is several times faster than `tarfile`, which
    matters for millions of headers.
    """
    index: Index = {}
    at = 0
    while True:
        header = tar.pread(_BLOCK, at)
        if header == _ZEROS:
            return index
        if len(header) < _BLOCK or header[156] not in b"05\0" or header[345]:
            return None
        try:
            size = int(header[124:136].rstrip(b" \0"), 8)
            checksum = int(header[148:156].rstrip(b" \0"), 8)
            name = header[:100].split(b"\0", 1)[0].decode("ascii")
        except ValueError:
            return None
        # The checksum counts its own field as eight spaces. The lower half of Adler-32 is the sum
        # of all bytes and 1, modulo 65521, in a fifteenth of the time of adding them up.
        expected = checksum - 256 + sum(header[148:156]) + 1
        if size < 0 or zlib.adler32(header) & 0xFFFF != expected % 65521:
            return None
        name = name.removeprefix("./")
        at += _BLOCK
        if header[156] == ord("5"):  # a folder's size is not that of anything that follows
            continue
        if wanted(name):
            index[name] = (at, size)
        at += -(-size // _BLOCK) * _BLOCK


def _any_index(tar: Stretch, wanted: Callable[[str], object]) -> Index:
    index: Index = {}
    try:
        # "r:" takes plain tars only, so that no small file can unfold into a large one. Sparse
        # members are left out for the same reason: their bytes are not one stretch of the file.
        tar.seek(0)
        with tarfile.open(fileobj=tar, mode="r:") as members:
            for member in members:
                end = member.offset_data + member.size
                if member.size < 0 or (end > tar.size and not member.issparse()):
                    raise ValueError(f"{member.name[:80]!r} has {member.size} bytes")
                name = member.name.removeprefix("./")
                if member.isreg() and not member.issparse() and wanted(name):
                    index[name] = (member.offset_data, member.size)
                elif member.islnk() and wanted(name):  # the same bytes, stored once
                    target = index.get(member.linkname.removeprefix("./"))
                    if target is not None:
                        index[name] = target
            end = members.offset  # where it stopped reading
    except (tarfile.TarError, EOFError, ValueError, OverflowError, OSError) as error:
        raise ItemError(f"not a readable tar ({error}). Copy the file again.") from None
    if tar.pread(_BLOCK, end) != _ZEROS:
        # Python's tarfile takes garbage between members for the end; a film would lose its tail.
        raise ItemError("the tar is damaged or cut off. Copy the file again.")
    return index


def size_and_time(path: Path) -> tuple[int, int]:
    """What changes when a file does: its size, and when it was changed last in nanoseconds."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip and read its directory.

    Raises:
        ItemError: it is not a readable zip.
    """
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, struct.error) as error:
        raise ItemError(f"{path}: not a readable zip ({error}). Copy the file again.") from None


def is_safe(name: str) -> bool:
    """Whether a member's name stays below the place where one would unpack it."""
    parts = name.replace("\\", "/").split("/")
    return not name.startswith(("/", "\\")) and ".." not in parts and ":" not in parts[0]


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> bytes:
    """One member's bytes, its checksum verified.

    Raises:
        ItemError: it is larger than `limit`, encrypted or damaged.
    """
    return b"".join(_pieces(archive, info, limit))


def inflate(archive: zipfile.ZipFile, info: zipfile.ZipInfo, file: IO[bytes], limit: int) -> None:
    """Write a member into a file, a piece at a time. Raises ItemError as `read_member` does."""
    if info.file_size > MAX_INFLATION * info.compress_size + (1 << 20):
        raise ItemError(
            f"{_called(archive, info)}: would grow from {info.compress_size} to {info.file_size} "
            "bytes; such a file is made to do harm and is not opened."
        )
    for piece in _pieces(archive, info, limit):
        file.write(piece)


def stored_at(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> int | None:
    """Where a member's bytes begin in the zip's file, if they lie there as they are.

    Raises:
        ItemError: the zip's directory points to something that is no member.
    """
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        return None
    assert archive.fp is not None
    try:
        header = os.pread(archive.fp.fileno(), _LOCAL_HEADER.size, info.header_offset)
    except (OSError, OverflowError) as error:
        raise _damaged(archive, info, error) from None
    if len(header) < _LOCAL_HEADER.size or header[:4] != b"PK\3\4":
        raise _damaged(archive, info, "its directory is wrong")
    _, name, extra = _LOCAL_HEADER.unpack(header)
    return info.header_offset + _LOCAL_HEADER.size + int(name) + int(extra)


def _pieces(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> Iterator[bytes]:
    """A member's bytes, a piece at a time: no more than it says it has, which is checked first."""
    where = _called(archive, info)
    if info.file_size > MAX_TEXT_INFLATION * info.compress_size + (1 << 20):
        raise ItemError(
            f"{where}: would grow from {info.compress_size} to {info.file_size} bytes; such a file "
            "is made to do harm and is not opened."
        )
    if info.file_size > limit:
        raise ItemError(f"{where}: {info.file_size} bytes; at most {limit} are read.")
    if info.flag_bits & 1:
        raise ItemError(f"{where}: is encrypted. Unpack the zip with its password first.")
    if info.compress_type not in _METHODS:
        raise ItemError(
            f"{where}: is compressed by method {info.compress_type}, which is not read. Unpack it."
        )
    try:
        with archive.open(info) as member:
            while piece := member.read(_PIECE):
                yield piece
    except _DAMAGE as error:
        raise _damaged(archive, info, error) from None


def _damaged(archive: zipfile.ZipFile, info: zipfile.ZipInfo, error: object) -> ItemError:
    return ItemError(f"{_called(archive, info)}: damaged ({error}). Copy the zip again.")


def _called(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> str:
    return f"{archive.filename}, {info.filename!r}"
