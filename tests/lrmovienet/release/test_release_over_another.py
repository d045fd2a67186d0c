"""Builds that are killed, and builds over an older release: which of the two stands when."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from making import build, contents, copied, everything, refused, verb

from lrmovienet.release.check import check
from lrmovienet.release.layout import Release


@pytest.fixture
def workspace(tiny, tmp_path) -> Path:
    """A copy of the tiny corpus, to be changed; a release stands beside it in `release`."""
    return copied(tiny, tmp_path / "w")


KILLED = """
import os, signal, sys
from pathlib import Path
kind, left = sys.argv[1].split(":")
left = int(left)

def counted(real):
    def call(*given, **options):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return real(*given, **options)
    return call

import lrmovienet.release.build as build
if kind == "fsync":
    os.fsync = counted(os.fsync)
if kind == "rename":
    Path.rename = counted(Path.rename)
if kind == "rmtree":
    import shutil
    shutil.rmtree = counted(shutil.rmtree)
build.run(build.BuildConfig(Path(sys.argv[2]), out=Path(sys.argv[3]), title="Another"))
"""


def killed_at(moment: str, workspace: Path, out: Path) -> int:
    command = [sys.executable, "-c", KILLED, moment, str(workspace), str(out)]
    return subprocess.run(command, capture_output=True, check=False).returncode


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "stands"),
    [
        ("fsync:0", "old"), ("fsync:9", "old"), ("fsync:15", "old"),
        # Before the two renames, between them, and after them with the older one still beside it.
        ("rename:0", "old"), ("rename:1", "nothing"), ("rmtree:1", "new"),
    ],
)  # fmt: skip
def test_a_killed_build_leaves_the_older_release_or_the_newer(
    tiny, release, tmp_path, capsys, moment, stands
):
    old = contents(release.root)
    new = contents(build(tiny, tmp_path / "new", title="Another").root)
    assert old != new
    assert killed_at(moment, tiny, release.root) == -signal.SIGKILL
    if stands == "nothing":
        assert not release.root.exists()
        shown = old
    else:
        shown = {"old": old, "new": new}[stands]
        assert contents(release.root) == shown
    # A next build that fails brings back what was there, one that does not leaves nothing behind.
    refused(tiny, release.root, capsys, "--card", str(tmp_path / "none.md"))
    assert contents(release.root) == shown
    assert contents(build(tiny, release.root, title="Another").root) == new
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "release"]


@pytest.mark.slow
def test_a_release_moved_away_by_a_killed_build_is_found_as_the_previous_one(tiny, release):
    """Who builds the next version over the older one says --previous and --out of one folder."""
    assert killed_at("rename:1", tiny, release.root) == -signal.SIGKILL
    assert not release.root.exists()
    new = build(tiny, release.root, version="1.0.1", previous=release.root)
    assert new.manifest["previous"] == {"version": "1.0.0", "digest": release.digest}


def test_building_the_next_version_over_the_one_before(tiny, release):
    new = build(tiny, release.root, version="1.0.1", previous=release.root)
    assert new.manifest["previous"]["digest"] == release.digest
    assert "## 1.0.1" in (release.root / "CHANGELOG.md").read_text()
    assert check(Release.open(release.root)) == []


def test_same_version_with_another_content_is_refused(tiny, release, capsys):
    before = everything(release.root)
    options = ("--previous", str(release.root), "--title", "Another")
    message = refused(tiny, release.root, capsys, *options)
    assert "higher version" in message
    assert everything(release.root) == before


def test_another_test_set_takes_another_first_number(workspace, release, capsys):
    verb("split", workspace, "--equal_grades", "drop", "--protocol", "paper")
    before = everything(release.root)
    options = ("--previous", str(release.root), "--version", "1.1.0")
    message = refused(workspace, release.root, capsys, *options)
    assert "2.0.0" in message
    assert everything(release.root) == before
    new = build(workspace, release.root, previous=release.root, version="2.0.0")
    assert check(new) == []
