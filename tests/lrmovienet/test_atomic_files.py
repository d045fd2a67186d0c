"""Files are whole or not there: also when writers fail, are killed, or are two at once."""

import fcntl
import os
import signal
import subprocess
import sys
import threading

import pytest

from lrmovienet.files import _remove_abandoned, atomic_open, write_bytes

KILLED = """
import os, signal, sys
from pathlib import Path
from lrmovienet.files import atomic_open
with atomic_open(Path(sys.argv[1])) as file:
    file.write(b"half" * 100_000)
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic_open(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert names(tmp_path) == ["x"]
    assert path.read_bytes() == b"old"


def test_an_unwritable_place_is_named_and_nothing_is_left(tmp_path):
    (tmp_path / "x").mkdir()  # a folder where the file would go
    with pytest.raises(OSError) as error, atomic_open(tmp_path / "x") as file:
        file.write(b"new")
    assert error.value.filename == str(tmp_path / "x")
    assert names(tmp_path) == ["x"]


def test_a_file_has_the_rights_that_any_new_file_has(tmp_path):
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "x", b"new")
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


def test_what_a_killed_writer_leaves_the_next_one_removes(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == [".x.tmp", "x"]
    write_bytes(path, b"new")
    assert names(tmp_path) == ["x"]
    assert path.read_bytes() == b"new"


def test_a_killed_writers_file_stays_where_the_next_may_not_touch_it(tmp_path, monkeypatch):
    """Another user's, or on a file system without locks: what is written is as whole as ever."""
    path, left = tmp_path / "x", tmp_path / ".x.tmp"
    left.write_bytes(b"half")

    def no_locks(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", no_locks)
        write_bytes(path, b"new")
        left.unlink()
        write_bytes(path, b"newer")
        assert names(tmp_path) == ["x"]
    left.write_bytes(b"half")
    open_, asked = type(path).open, []

    def forbidden(self, mode="r", *rest, **more):
        if self == left and mode == "r+b":
            asked.append(mode)
            raise PermissionError(13, "Permission denied")
        return open_(self, mode, *rest, **more)

    monkeypatch.setattr(type(path), "open", forbidden)
    write_bytes(path, b"newest")
    assert asked
    assert (path.read_bytes(), left.read_bytes()) == (b"newest", b"half")
    assert names(tmp_path) == [".x.tmp", "x"]


@pytest.mark.parametrize("first_fails", [False, True])
def test_two_writers_do_not_wait_for_each_other_or_touch_the_others_file(tmp_path, first_fails):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    try:
        with atomic_open(path) as first:
            first.write(b"first")
            with atomic_open(path) as second:
                second.write(b"second")
                assert len(names(tmp_path)) == 3
            assert path.read_bytes() == b"second"
            with atomic_open(path) as third:
                third.write(b"third")
                if first_fails:
                    raise RuntimeError
    except RuntimeError:
        pass
    assert path.read_bytes() == (b"second" if first_fails else b"first")
    assert names(tmp_path) == ["x"]


def test_a_file_taken_for_abandoned_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    """Another process looks between the creation of the file and its lock."""
    path, lock, looks = tmp_path / "x", fcntl.flock, []

    def late(file, how):
        if not looks:
            looks.append(names(tmp_path))
            _remove_abandoned(tmp_path / ".x.tmp")
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    write_bytes(path, b"new")
    assert looks == [[".x.tmp"]]
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["x"]


def test_nor_does_a_writer_keep_a_file_that_is_being_removed(tmp_path, monkeypatch):
    """Another process holds it, to remove it as abandoned, when its maker would lock it."""
    left, lock, held = tmp_path / ".x.tmp", fcntl.flock, []

    def late(file, how):
        if not held:
            held.append(left.open("r+b"))
            lock(held[0], how)
            left.unlink()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    write_bytes(tmp_path / "x", b"new")
    held[0].close()
    assert (tmp_path / "x").read_bytes() == b"new"
    assert names(tmp_path) == ["x"]


def test_a_newer_file_of_the_name_is_not_taken_for_the_abandoned_one(tmp_path, monkeypatch):
    """Between a look at the file and its lock its writer has finished, and another has begun."""
    left, lock = tmp_path / ".x.tmp", fcntl.flock
    left.write_bytes(b"first")

    def late(file, how):
        left.replace(tmp_path / "x")
        left.write_bytes(b"second")
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    _remove_abandoned(left)
    assert left.read_bytes() == b"second"
    assert (tmp_path / "x").read_bytes() == b"first"


def test_many_writers_at_once_leave_one_of_their_files_whole(tmp_path):
    path, wrong = tmp_path / "x", []

    def write(number: int) -> None:
        for _ in range(20):
            write_bytes(path, bytes([number]) * (1000 + number))
            found = path.read_bytes()
            if found != found[:1] * (1000 + found[0]):
                wrong.append(found)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert not wrong
    assert names(tmp_path) == ["x"]
