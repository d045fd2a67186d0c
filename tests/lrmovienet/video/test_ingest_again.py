import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ingesting import dropped, finished, ingest, make_video, rows

from lrmovienet.files import HashCache
from lrmovienet.workspace import Workspace

DEMO = Path(__file__).parents[3] / "demo"
COMMAND = [sys.executable, "-c", "from lrmovienet.cli import entry; entry()", "ingest"]


def test_a_second_run_does_nothing(tmp_path, films, capsys):
    assert ingest(tmp_path / "w", f"[{films}/a.avi, {films}/b.avi]", films / "d.csv") == 0
    first = finished(tmp_path / "w")
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "w" / "frames").rglob("*.*")}
    capsys.readouterr()
    # Neither the order of the films nor that of the rows matters.
    (tmp_path / "d.csv").write_text("description,video\nDark.,b.avi\nDark then bright.,a.avi\n")
    assert ingest(tmp_path / "w", f"[{films}/b.avi, {films}/a.avi]", tmp_path / "d.csv") == 0
    assert capsys.readouterr().out == ("films: up to date (2 rows)\nclips: up to date (2 rows)\n")
    second = finished(tmp_path / "w")
    # The manifest says which files were given; that of the descriptions is another.
    assert {name for name in first if second[name] != first[name]} == {"clips/manifest.json"}
    assert set(second) == set(first)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "w" / "frames").rglob("*.*")} == stamps


def test_processes_and_place_do_not_matter(tmp_path, films):
    (tmp_path / "other").mkdir()
    for name in ("a.avi", "b.avi", "d.csv"):
        shutil.copy(films / name, tmp_path / "other")
    assert ingest(tmp_path / "1", f"{films}/*.avi", films / "d.csv") == 0
    other = tmp_path / "other"
    assert ingest(tmp_path / "2", f"{other}/*.avi", other / "d.csv", "--processes", "2") == 0
    assert finished(tmp_path / "1") == finished(tmp_path / "2")


def test_only_what_changed_is_done_again(tmp_path, films, capsys):
    folder = tmp_path / "films"
    shutil.copytree(films, folder)
    assert ingest(tmp_path / "w", f"{folder}/*.avi", folder / "d.csv") == 0
    old = finished(tmp_path / "w")
    make_video(folder / "b.avi", [30, 30])
    capsys.readouterr()
    assert ingest(tmp_path / "w", f"{folder}/*.avi", folder / "d.csv") == 0
    assert capsys.readouterr().out.count("1 of 2 parts were there") == 2
    new = finished(tmp_path / "w")
    assert {name for name in new if new[name] != old.get(name)} == {
        "films/part-00001.parquet", "films/manifest.json", "clips/part-00001.parquet",
        "clips/manifest.json", "frames/240P/b.tar", "frames/shot_detection/b.txt",
        "frames/annotation/b.json",
    }  # fmt: skip
    assert not (tmp_path / "w/.building/frames").exists()


def test_other_words_decode_no_film_again(tmp_path, films, workspace, capsys):
    (tmp_path / "d.csv").write_text("video,description,genres\na.avi,Other words.,War\n")
    tar = workspace / "frames/240P/a.tar"
    before = tar.stat().st_mtime_ns
    assert ingest(workspace, films / "a.avi", tmp_path / "d.csv") == 0
    assert capsys.readouterr().out.startswith("films: up to date (1 rows)\nclips: 1 rows")
    (row,) = rows(Workspace(workspace))
    assert (row["description"], row["genres"]) == ("Other words.", ["War"])
    assert tar.stat().st_mtime_ns == before
    assert ingest(tmp_path / "fresh", films / "a.avi", tmp_path / "d.csv") == 0
    assert finished(workspace) == finished(tmp_path / "fresh")


def test_another_height_replaces_the_tars(tmp_path, films, workspace):
    csv = tmp_path / "before.csv"
    assert ingest(workspace, films / "a.avi", csv, "--height", "32") == 0
    assert [str(p.relative_to(workspace)) for p in workspace.rglob("*.tar")] == ["frames/32P/a.tar"]
    assert ingest(tmp_path / "fresh", films / "a.avi", csv, "--height", "32") == 0
    assert finished(workspace) == finished(tmp_path / "fresh")


def test_films_that_are_no_longer_given_leave_the_tree_and_nothing_else_does(
    tmp_path, films, workspace
):
    mine = workspace / "frames/notes/a.md"
    mine.parent.mkdir()
    mine.write_text("Mine.")
    (tmp_path / "b.csv").write_text("video,description\nb.avi,Dark.\n")
    assert ingest(workspace, films / "b.avi", tmp_path / "b.csv") == 0
    after = finished(workspace)
    assert after.pop("frames/notes/a.md") == b"Mine."
    assert ingest(tmp_path / "fresh", films / "b.avi", tmp_path / "b.csv") == 0
    assert after == finished(tmp_path / "fresh")


@pytest.mark.parametrize(
    "lost",
    [
        "240P/a.tar",
        "shot_detection/a.txt",
        "annotation/a.json",
        "meta/a.json",
    ],
)
def test_frames_that_were_deleted_are_made_again(tmp_path, films, workspace, lost):
    before = finished(workspace)
    (workspace / "frames" / lost).unlink()
    assert ingest(workspace, films / "a.avi", tmp_path / "before.csv") == 0
    assert finished(workspace) == before


STEPS = ["remove_other_films", "publish_frames", "_annotate", "_warn", "read_films", "shards_of"]


@pytest.mark.parametrize("step", STEPS)
def test_a_run_killed_between_its_steps_is_finished(tmp_path, films, workspace, monkeypatch, step):
    def stop(*args):
        raise KeyboardInterrupt

    options = ["--height", "32", "--threshold", "5"]
    videos = f"[{films}/a.avi, {films}/b.avi]"
    with monkeypatch.context() as patched:
        patched.setattr(f"lrmovienet.ingest.{step}", stop)
        assert ingest(workspace, videos, films / "d.csv", *options) == 130
    assert ingest(workspace, videos, films / "d.csv", *options) == 0
    assert ingest(tmp_path / "fresh", videos, films / "d.csv", *options) == 0
    assert finished(workspace) == finished(tmp_path / "fresh")


@pytest.mark.parametrize("then", ["the same", "the old"])
def test_a_run_killed_at_any_rename_is_finished(
    tmp_path, films, made_before, monkeypatch, capsys, then
):
    """Nothing gets its final name but by a rename. Half way through, other options may follow."""
    videos = f"[{films}/a.avi, {films}/b.avi]"
    new = (videos, films / "d.csv", "--threshold", "200")
    old = (films / "a.avi", made_before / "before.csv")
    after = new if then == "the same" else old
    assert ingest(tmp_path / "fresh", *after) == 0
    expected = finished(tmp_path / "fresh")
    rename, code, number = Path.replace, 130, 0
    while code:
        assert code == 130
        number += 1
        left = [number]

        def replace(path, target, left=left):
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt
            return rename(path, target)

        folder = tmp_path / str(number)
        shutil.copytree(made_before / "w", folder)
        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", replace)
            code = ingest(folder, *new)
        assert ingest(folder, *after) == 0
        assert finished(folder) == expected, number
        shutil.rmtree(folder)
    assert number > 10


def test_films_can_be_skipped(tmp_path, films, capsys):
    (tmp_path / "b.avi").write_text("no film")
    videos = f"[{films}/a.avi, {tmp_path}/b.avi]"
    assert ingest(tmp_path / "w", videos, films / "d.csv", "--skip_failed") == 0
    assert "films: 1 rows, 1 dropped" in capsys.readouterr().out
    workspace = Workspace(tmp_path / "w")
    assert [r["clip_id"] for r in rows(workspace)] == ["a_0000"]
    ((film, reason),) = dropped(workspace, "films")
    assert film == "b"
    assert reason.startswith("b.avi: not a video that can be opened")
    assert not list((tmp_path / "w/frames").rglob("b.*"))
    # Put right, it is taken up without another word.
    shutil.copy(films / "b.avi", tmp_path / "b.avi")
    assert ingest(tmp_path / "w", videos, films / "d.csv", "--skip_failed") == 0
    assert [r["clip_id"] for r in rows(workspace)] == ["a_0000", "b_0000"]


def test_a_film_is_read_for_its_hash_once(tmp_path):
    """What a file held is remembered, and forgotten when its size or time changes."""
    path = tmp_path / "film.avi"
    path.write_bytes(b"first")
    os.utime(path, ns=(10**18, 10**18))
    first = HashCache(tmp_path / "hashes.json").sha256(path)
    # Other bytes of the same size with the old time stamp: only a cache cannot see them.
    path.write_bytes(b"other")
    os.utime(path, ns=(10**18, 10**18))
    assert HashCache(tmp_path / "hashes.json").sha256(path) == first
    os.utime(path, ns=(10**18, 10**18 + 1))
    other = HashCache(tmp_path / "hashes.json").sha256(path)
    assert other != first
    (tmp_path / "hashes.json").write_text(json.dumps({str(path.resolve()): "nonsense"}))
    assert HashCache(tmp_path / "hashes.json").sha256(path) == other
    (tmp_path / "hashes.json").write_text("{")
    assert HashCache(tmp_path / "hashes.json").sha256(path) == other


def test_a_film_that_was_changed_just_now_is_not_remembered(tmp_path):
    path = tmp_path / "film.avi"
    path.write_bytes(b"first")
    cache = HashCache(tmp_path / "hashes.json")
    stamp, first = path.stat(), cache.sha256(path)
    path.write_bytes(b"other")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert cache.sha256(path) != first


def test_a_film_of_the_same_size_is_noticed(tmp_path, films, workspace):
    """The last byte of a comment in the file: same size, same pictures, another film."""
    folder = tmp_path / "films"
    folder.mkdir()
    shutil.copy(films / "a.avi", folder)
    os.utime(folder / "a.avi", ns=(10**18, 10**18))
    assert ingest(workspace, folder / "a.avi", tmp_path / "before.csv") == 0
    first = Workspace(workspace).require("films").inputs
    data = (folder / "a.avi").read_bytes()
    assert b"Lavf" in data
    (folder / "a.avi").write_bytes(data.replace(b"Lavf", b"Lavg"))
    assert ingest(workspace, folder / "a.avi", tmp_path / "before.csv") == 0
    assert Workspace(workspace).require("films").inputs != first


def test_a_full_disk(tmp_path, workspace):
    """The kernel lets no file grow over 60 kB, as a full disk would; the tar has some 110 kB."""
    before = finished(workspace)
    options = [
        "--workspace", workspace, "--videos", DEMO / "nasa_13013.mp4",
        "--descriptions", tmp_path / "d.csv",
    ]  # fmt: skip
    (tmp_path / "d.csv").write_text("video,description\nnasa_13013.mp4,A mirror.\n")
    done = subprocess.run(
        [*COMMAND, *map(str, options)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)),
    )
    assert done.returncode == 2
    assert done.stderr.startswith("lrmovienet ingest: error: ")
    assert "nasa_13013.tar: File too large. Finished tables are as they were" in done.stderr
    assert done.stderr.count("\n") == 1
    assert finished(workspace) == before
    assert not list(workspace.rglob("*.tmp"))


def test_a_really_full_disk(tmp_path):
    tiny = tmp_path / "tiny"
    tiny.mkdir()
    script = (
        'mount -t tmpfs -o size=80k tmpfs "$1" && shift && "$@"; code=$?; ls -A "$0"; exit $code'
    )
    options = [
        "--workspace", tiny / "w", "--videos", DEMO / "nasa_13013.mp4",
        "--descriptions", tmp_path / "d.csv",
    ]  # fmt: skip
    (tmp_path / "d.csv").write_text("video,description\nnasa_13013.mp4,A mirror.\n")
    unshare = ["unshare", "-rm", "sh", "-c"]
    if (
        shutil.which("unshare") is None
        or subprocess.run(
            [*unshare, f"mount -t tmpfs tmpfs {tiny}"], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("this machine lets nobody mount a small disk (unshare -rm)")
    done = subprocess.run(
        [*unshare, script, str(tiny / "w"), str(tiny), *COMMAND, *map(str, options)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "nasa_13013.tar: No space left on device. Finished tables" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "clips" not in done.stdout.split()
