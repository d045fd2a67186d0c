"""Files are whole or not there: also when writers fail, are killed, or are two at once."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from lrmovienet.files import atomic_open, write_bytes

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


def test_what_a_killed_writer_leaves_the_next_one_takes_over(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == [".x.tmp", "x"]
    write_bytes(path, b"new")
    assert names(tmp_path) == ["x"]
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("first_fails", [False, True])
def test_the_second_of_two_writers_waits_and_writes_a_file_of_its_own(tmp_path, first_fails):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    begun, go_on = threading.Event(), threading.Event()

    def second() -> None:
        with atomic_open(path) as file:
            begun.set()
            file.write(b"second")
            file.flush()
            assert go_on.wait(30)

    other = threading.Thread(target=second)
    try:
        with atomic_open(path) as file:
            file.write(b"first, and longer")
            other.start()
            assert not begun.wait(0.3)
            if first_fails:
                raise RuntimeError
    except RuntimeError:
        pass
    assert begun.wait(30)
    assert path.read_bytes() == (b"old" if first_fails else b"first, and longer")
    go_on.set()
    other.join()
    assert path.read_bytes() == b"second"
    assert names(tmp_path) == ["x"]


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
