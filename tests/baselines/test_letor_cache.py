"""Files of learning to rank that were read once: the same again, whatever happened to the entry."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import baselines.letor.read as reading
from baselines.letor import cache as entries
from baselines.letor.documents import Documents
from baselines.letor.read import read
from lrmovienet.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def rows(tmp_path):
    """Writes a file of rows and reads it."""

    def written(text: str, cache: Path | None = None) -> Documents:
        path = tmp_path / "rows.txt"
        path.write_text(text)
        return read(path, cache)

    return written


def equal(a: Documents, b: Documents) -> bool:
    return (
        a.x.shape == b.x.shape
        and a.x.tobytes() == b.x.tobytes()
        and a.grades.tolist() == b.grades.tolist()
        and a.offsets.tolist() == b.offsets.tolist()
        and (a.name, a.sha256, a.queries, a.documents, a.first_feature)
        == (b.name, b.sha256, b.queries, b.documents, b.first_feature)
    )


TEXT = "0 qid:4 1:1.5 3:NULL # docid = a\n3 qid:4 2:2\n1 qid:9 3:4 # docid = b\n"


def test_from_the_cache_it_is_the_same(rows, tmp_path):
    cache = tmp_path / "cache"
    plain, made = rows(TEXT), rows(TEXT, cache=cache)
    again = rows(TEXT, cache=cache)
    assert equal(plain, made)
    assert equal(plain, again)
    assert isinstance(again.x, np.memmap)
    assert not again.x.flags.writeable
    assert len(list(cache.iterdir())) == 1
    assert rows(TEXT + "0 qid:10 1:1\n", cache=cache).queries == ("4", "9", "10")
    assert len(list(cache.iterdir())) == 2


def test_a_hit_reads_no_row(rows, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    first = rows(TEXT, cache=cache)
    monkeypatch.setattr(reading, "_parsed", None)
    assert equal(first, rows(TEXT, cache=cache))
    other = tmp_path / "other.txt"
    other.write_text(TEXT)
    assert read(other, cache).name == "other.txt"


def test_another_version_reads_anew(rows, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    rows(TEXT, cache=cache)
    monkeypatch.setattr(entries, "VERSION", 10**6)
    rows(TEXT, cache=cache)
    assert len(list(cache.iterdir())) == 2


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def replaced(old: str, new: str):
    return lambda path: path.write_text(path.read_text().replace(old, new))


def narrowed(path: Path) -> None:
    np.save(path, np.load(path)[:, :1].astype(np.float64))


@pytest.mark.parametrize(
    ("name", "damage"),
    [(name, damage) for name in ("x.npy", "rows.npz", "documents.json")
     for damage in (cut, Path.unlink, lambda path: path.write_bytes(b""),
                    lambda path: path.write_bytes(b"PK\3\4 damaged"))]
    + [("x.npy", narrowed), ("documents.json", lambda path: path.write_text("{}")),
       ("documents.json", lambda path: path.write_text("[]")),
       ("documents.json", replaced('"9"', '"9", "8"')),
       ("documents.json", replaced('"b"', '"b", ""')),
       ("documents.json", replaced('"a"', "1")),
       ("rows.npz", lambda path: np.savez(path, grades=[0, 3], offsets=[0, 2, 3])),
       ("rows.npz", lambda path: np.savez(path, grades=[0, 3, 1], offsets=[0, 3, 3]))],
)  # fmt: skip
def test_a_damaged_entry_is_made_again(rows, tmp_path, name, damage):
    cache = tmp_path / "cache"
    first = rows(TEXT)
    rows(TEXT, cache=cache)  # not held: what is mapped must not be cut
    (entry,) = cache.iterdir()
    damage(entry / name)
    assert entries.load(entry, first.name, first.sha256) is None
    assert equal(first, rows(TEXT, cache=cache))
    assert entries.load(entry, first.name, first.sha256) is not None
    assert list(cache.iterdir()) == [entry]


def test_what_fails_leaves_nothing_in_the_cache(rows, tmp_path):
    cache = tmp_path / "cache"
    with pytest.raises(UserError):
        rows(TEXT + "x\n", cache=cache)
    assert list(cache.iterdir()) == []


def test_what_killed_runs_left_goes_after_a_day(rows, tmp_path):
    cache = tmp_path / "cache"
    for name, hours in (("old", 25), ("new", 1)):
        (cache / f".making-{name}").mkdir(parents=True)
        then = time.time() - hours * 3600
        os.utime(cache / f".making-{name}", (then, then))
    rows(TEXT, cache=cache)
    assert sorted(p.name for p in cache.glob(".making-*")) == [".making-new"]


def test_a_file_that_changes_while_it_is_read(rows, tmp_path, monkeypatch):
    hashed = reading._sha256

    def then_changed(path, lengths):
        before = hashed(path, lengths)
        path.write_text(TEXT + "0 qid:10 1:1\n")
        return before

    monkeypatch.setattr(reading, "_sha256", then_changed)
    with pytest.raises(UserError, match="changed while it was read"):
        rows(TEXT, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


READ = """
import sys
from pathlib import Path
from baselines.letor.read import read
found = read(Path(sys.argv[1]), Path(sys.argv[2]))
print(len(found.x), float(found.x.sum()))
"""


def started(*arguments: object, code: str = READ, **more) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE,
        text=True, **more,
    )  # fmt: skip


@pytest.mark.slow
def test_two_processes_at_once(tmp_path):
    path, cache = tmp_path / "rows.txt", tmp_path / "cache"
    path.write_text("1 qid:1 1:1 2:2 3:0.5\n" * 300_000)
    both = [started(path, cache) for _ in range(2)]
    assert [p.communicate()[0] for p in both] == ["300000 1050000.0\n"] * 2
    assert [p.returncode for p in both] == [0, 0]
    assert len(list(cache.iterdir())) == 1


@pytest.mark.slow
def test_a_killed_run_leaves_nothing_that_is_taken_for_an_entry(tmp_path):
    path, cache = tmp_path / "rows.txt", tmp_path / "cache"
    path.write_text("1 qid:1 1:1 2:2 3:0.5\n" * 2_000_000)
    process = started(path, cache)
    while not list(cache.glob(".making-*/x.npy")):
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert [p for p in cache.iterdir() if not p.name.startswith(".")] == []
    assert read(path, cache).x.shape == (2_000_000, 3)


@pytest.mark.slow
def test_it_reads_where_no_machine_code_can_be_kept(tmp_path):
    """An install that nobody may write to, and no home."""
    path = tmp_path / "rows.txt"
    path.write_text(TEXT)
    code = f"import numba.core.caching as c\nc.CacheImpl._locator_classes = []\n{READ}"
    process = started(path, tmp_path / "cache", code=code)
    assert process.communicate()[0] == "3 nan\n"
