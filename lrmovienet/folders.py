"""A folder that takes its place when it is whole."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from lrmovienet.errors import UserError


@contextlib.contextmanager
def replacing(out: Path, needed: int, refuse: Callable[[Path], None]) -> Iterator[Path]:
    """Yield an empty folder beside `out`, which replaces it when the block ends well.

    A block that fails leaves `out` as it was. A run that is killed leaves the unfinished folder
    behind, and the next one deletes it.

    Args:
        out: where the folder goes.
        needed: bytes that will be written, to be said beforehand where they do not fit.
        refuse: raises UserError where what is there now must not be replaced.

    Raises:
        UserError: `out` is a file, one stands in it, there is no room, the place cannot be written,
            another run writes there, or `refuse` says so.
    """
    target = out.resolve()
    beside = target.with_name(f".{target.name}.building")
    aside = target.with_name(f".{target.name}.replaced")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"{target.parent}: cannot be written ({error.strerror}).") from None
    with _locked(beside, out):
        try:
            if aside.is_dir() and not target.exists():  # killed between the two renames
                aside.rename(target)
            _refuse_places(target, out)
            if target.is_dir() and any(target.iterdir()):
                refuse(target)
            _refuse_small_disk(beside, out, needed)
            _empty(beside)
            yield beside
            _sync(beside)
            _swap(beside, target, aside)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise


@contextlib.contextmanager
def _locked(folder: Path, out: Path) -> Iterator[None]:
    opened = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{out}: another run is writing there. Wait for it.") from None
        yield
    finally:
        os.close(opened)


def _swap(beside: Path, target: Path, aside: Path) -> None:
    """Put the new folder in place of the old one, which stays where that fails."""
    shutil.rmtree(aside, ignore_errors=True)
    if target.exists():
        target.rename(aside)
    try:
        beside.rename(target)
    except OSError:
        if aside.exists():
            aside.rename(target)
        raise
    _sync(target.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _refuse_small_disk(beside: Path, out: Path, needed: int) -> None:
    free = shutil.disk_usage(beside).free
    if needed > free:
        raise UserError(
            f"{out}: {needed / 1e9:.3g} GB are to be written, and {free / 1e9:.3g} GB are free. "
            "Give an --out on a larger disk."
        )


def _refuse_places(target: Path, out: Path) -> None:
    if target.exists() and not target.is_dir():
        raise UserError(f"{out}: is a file; give a folder.")
    if Path.cwd().is_relative_to(target):
        raise UserError(f"{out}: you are standing in it, and it will be replaced. Go elsewhere.")


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _sync(folder: Path) -> None:
    """Have the names in a folder on disk."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
