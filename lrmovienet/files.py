"""Files that are either whole or not there, and their hashes."""

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from lrmovienet.errors import UserError


@contextlib.contextmanager
def atomic_open(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that appears under its name only when complete and on disk.

    Until then it is ``.<name>.tmp`` beside it. What a killed writer left there is removed by the
    next one of the same file; of several at once, the last to finish wins.

    Raises:
        OSError: as the file system gives it (full disk, no permission), with the file's name. What
            was at `path` before stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        temporary, file = _new_beside(path)
        with file:
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)  # here it is still locked, and so ours
                raise
    except OSError as error:
        error.filename = str(path)
        raise


def _new_beside(path: Path) -> tuple[Path, IO[bytes]]:
    """A new file, locked while it is open: what is not locked was left behind."""
    usual = path.with_name(f".{path.name}.tmp")
    while True:
        _remove_abandoned(usual)
        try:
            file = usual.open("xb")
        except FileExistsError:  # somebody writes it, or nobody can say so: take a name of our own
            own = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
            return own, own.open("xb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lost = not _is_at(file, usual)
        except BlockingIOError:
            lost = True
        except OSError:  # a file system without locks, where nobody removes anything either
            lost = False
        if not lost:
            return usual, file
        file.close()  # it was taken for abandoned before it was locked


def _remove_abandoned(path: Path) -> None:
    """Remove a file that no writer has open, where that can be told."""
    try:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(file, path):
                path.unlink()
    except OSError:  # not there, being written, somebody else's, or no locks here
        return


def _is_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file, atomically."""
    with atomic_open(path) as file:
        file.write(data)


def write_json(path: Path, value: Any) -> None:
    """Write JSON with a fixed layout, so that equal values are equal bytes."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """JSON with a fixed layout."""
    return (json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n").encode()


def write_if_changed(path: Path, data: bytes) -> None:
    """Write a whole file, atomically, unless that is what it holds already."""
    if not path.exists() or path.read_bytes() != data:
        write_bytes(path, data)


def sha256_file(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_given(path: Path, option: str) -> str:
    """As `sha256_file`, of a file that an option names. Raises UserError where there is none."""
    if not path.is_file():
        raise UserError(f"--{option} {path}: no such file.")
    return sha256_file(path)


class HashCache:
    """The sha256 of large files, remembered while their size and time of change stay the same.

    A file changed within the last two seconds is not remembered: it could change once more without
    its time showing it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            known = json.loads(path.read_bytes())
            self.known: dict[str, list[Any]] = known if isinstance(known, dict) else {}
        except (OSError, ValueError):  # it only saves time
            self.known = {}

    def sha256(self, path: Path) -> str:
        """As `sha256_file`."""
        stat, name = path.stat(), str(path.resolve())
        stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
        known = self.known.get(name)
        if isinstance(known, list) and len(known) == 2 and known[0] == stamp:
            return str(known[1])
        digest = sha256_file(path)
        if time.time_ns() - stat.st_mtime_ns > 2_000_000_000:
            self.known[name] = [stamp, digest]
            write_json(self.path, self.known)
        return digest


def sha256_of(value: Any) -> str:
    """The sha256 of a plain value (numbers, strings, lists, dicts), independent of dict order."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
