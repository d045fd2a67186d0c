"""Files of results: read whole or refused, written all or none."""

import os
from pathlib import Path

import pytest
from generated_results import generated_result, generated_run, level

from eval.result import ResultError, read, to_json, write

RESULT = generated_result(generated_run("mine", level(0.5)))


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "latin.json").write_bytes(b'{"name": "\xe9"}')
    (tmp_path / "folder.json").mkdir()
    for name, reason in (("absent", "No such file"), ("folder", "directory"), ("latin", "decode")):
        with pytest.raises(ResultError, match=f"{name}.json: .*{reason}"):
            read(tmp_path / f"{name}.json")
    (tmp_path / "mark.json").write_text("\ufeff" + to_json(RESULT), encoding="utf-8")
    assert read(tmp_path / "mark.json") == RESULT


def test_an_endless_file_is_not_read(tmp_path):
    path = tmp_path / "result.json"
    with path.open("wb") as file:
        file.truncate(2**40)  # takes no room on the disk
    with pytest.raises(ResultError, match="larger than 256 MiB"):
        read(path)


def snapshot(folder):
    return {p: p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def test_files_are_written_whole_and_readable_by_all(tmp_path):
    old = tmp_path / "old.json"
    old.write_text("old, and longer than what comes")
    long = os.urandom(3 * 2**20)
    write({old: b"new", tmp_path / "a" / "b": long, tmp_path / "c": b"c"})
    assert old.read_bytes() == b"new"
    assert (tmp_path / "a" / "b").read_bytes() == long
    assert (tmp_path / "c").read_text() == "c"
    assert {p.stat().st_mode & 0o777 for p in tmp_path.rglob("*") if p.is_file()} == {0o644}
    assert len(list(tmp_path.rglob("*"))) == 4  # no temporary file stays


def open_files():
    """How many this process has; None where the system does not say."""
    listed = Path("/proc/self/fd")
    return len(list(listed.iterdir())) if listed.is_dir() else None


@pytest.mark.parametrize(
    ("name", "raised", "error", "message"),
    [
        ("folder", None, ResultError, "folder: is a folder"),
        ("old.json/x", None, ResultError, "cannot be written"),
        ("x", OSError(28, "No space left on device"), ResultError, "x: .*No space left"),
        ("x", OSError("the disk says so"), ResultError, "x: .*the disk says so"),
        ("x", ValueError("a bug"), ValueError, "a bug"),
        ("x", KeyboardInterrupt("stop"), KeyboardInterrupt, "stop"),
    ],
)
@pytest.mark.parametrize("place", ["first", "last"])
def test_all_files_are_written_or_none(tmp_path, monkeypatch, name, raised, error, message, place):
    written = Path.write_bytes

    def write_bytes(path, data):
        written(path, data[:4])
        if data == b"half of this" and raised:
            raise raised
        return written(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    (tmp_path / "folder").mkdir()
    (tmp_path / "old.json").write_text("old")
    before = snapshot(tmp_path)
    files = {tmp_path / "old.json": b"new", tmp_path / "new.json": b"new"}
    wrong = {tmp_path / name: b"half of this"}
    handles = open_files()
    with pytest.raises(error, match=message):
        write(wrong | files if place == "first" else files | wrong)
    assert snapshot(tmp_path) == before
    assert open_files() == handles
