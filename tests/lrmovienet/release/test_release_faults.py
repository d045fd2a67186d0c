"""A build that cannot be done says why in one message, and leaves an older release as it was."""

import errno
import json
import os
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from making import build, contents, copied, everything, people, put, refused, rows_of

from lrmovienet import splits
from lrmovienet.cli import main
from lrmovienet.errors import UserError
from lrmovienet.release.check import check
from lrmovienet.release.layout import Release
from lrmovienet.workspace import Workspace


@pytest.fixture
def workspace(tiny, tmp_path) -> Path:
    """A copy of the tiny corpus, to be changed; a release stands beside it in `release`."""
    return copied(tiny, tmp_path / "w")


@pytest.mark.parametrize(
    ("table", "command"),
    [
        ("records", "split"), ("pairs", "split"), ("clips", "ingest"), ("relevance", "aggregate"),
        ("preferences", "aggregate"), ("candidates", "merge"),
    ],
)  # fmt: skip
def test_a_table_that_is_missing_is_named_with_the_command_that_makes_it(
    workspace, release, capsys, table, command
):
    shutil.rmtree(workspace / table)
    before = everything(release.root)
    message = refused(workspace, release.root, capsys)
    assert f"'{table}'" in message
    assert f"lrmovienet {command} --workspace {workspace}" in message
    assert everything(release.root) == before


def test_no_workspace_at_all(tmp_path, release, capsys):
    message = refused(tmp_path / "none", release.root, capsys)
    assert "lrmovienet split" in message
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("table", ["records", "clips", "ratings", "pairs"])
def test_a_damaged_table_is_refused(workspace, release, capsys, table):
    path = workspace / table / "part-00000.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    before = everything(release.root)
    assert "damaged" in refused(workspace, release.root, capsys)
    assert everything(release.root) == before


@pytest.mark.parametrize("table", ["clips", "candidates", "relevance", "preferences"])
def test_records_of_other_tables_than_the_present_are_stale(workspace, release, capsys, table):
    rows = Workspace(workspace).read(table).to_pylist()
    put(Workspace(workspace), table, rows[:-1])
    before = everything(release.root)
    message = refused(workspace, release.root, capsys)
    assert f"'{table}'" in message
    assert "lrmovienet split --workspace" in message
    assert everything(release.root) == before


def test_pairs_of_other_records_than_the_present_are_stale(workspace, tmp_path, monkeypatch):
    """A `split` that was stopped between its two tables: old pairs lie within the new test."""

    def stopped(*_):
        raise KeyboardInterrupt

    before = Workspace(workspace).require("pairs")
    monkeypatch.setattr(splits, "make_pairs", stopped)
    with pytest.raises(KeyboardInterrupt):
        splits.run(splits.SplitConfig(workspace, protocol="paper", equal_grades="drop"))
    assert Workspace(workspace).require("pairs") == before
    try:
        release = build(workspace, tmp_path / "out")
    except UserError as error:
        assert "pairs" in str(error)
        assert "lrmovienet split" in str(error)
        return
    held = {
        (row["clip_id"], row["label"])
        for split in ("target_test", "target_dev")
        for row in release.read("relevance", split).to_pylist()
    }
    pairs = release.read("preferences").to_pylist()
    told = [p for p in pairs if {(p["clip_id"], p["better"]), (p["clip_id"], p["worse"])} & held]
    pytest.fail(f"built, with {len(told)} of {len(pairs)} preferences about labels of dev and test")


@pytest.mark.parametrize(
    ("table", "follows"), [("ratings", "relevance"), ("pair_ratings", "preferences")]
)
def test_grades_of_other_ratings_than_the_present_are_stale(workspace, release, table, follows):
    """Answers came in after `aggregate`: what is released of people would not give the grades."""
    rows = Workspace(workspace).read(table).to_pylist()
    put(Workspace(workspace), table, rows[:-30])
    with pytest.raises(UserError, match="lrmovienet aggregate") as error:
        build(workspace, release.root)
    assert follows in str(error.value)


def test_a_full_disk_leaves_the_older_release(tiny, release, monkeypatch, capsys):
    """Whatever file it is that does not fit."""
    before = everything(release.root)
    real, written = os.fsync, 0
    for at in (0, 3, 11, 14, 15):
        left = at

        def fsync(file):
            nonlocal left, written
            written += 1
            if left == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            left -= 1
            real(file)

        monkeypatch.setattr(os, "fsync", fsync)
        message = refused(tiny, release.root, capsys, "--title", "Another")
        assert "No space left on device" in message
        assert str(release.root.parent) in message
        assert everything(release.root) == before
    assert written == sum(at + 1 for at in (0, 3, 11, 14, 15))
    monkeypatch.setattr(os, "fsync", real)
    assert check(build(tiny, release.root, title="Another")) == []


def test_a_place_where_nothing_can_be_written_is_refused(tiny, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "out", tmp_path / "file" / "a" / "b"):
        assert str(tmp_path / "file") in refused(tiny, out, capsys)
    assert (tmp_path / "file").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    if Path("/proc/self").is_dir():
        assert "/proc" in refused(tiny, Path("/proc/release"), capsys)


@pytest.mark.parametrize("name", ["notes.txt", "manifest.json", "a/b.txt", ".git/HEAD"])
def test_a_folder_that_holds_something_else_is_left_alone(tiny, tmp_path, capsys, name):
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text('{"name": "a web page\'s"}')
    assert "holds something that is no release" in refused(tiny, tmp_path / "out", capsys)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert {*contents(tmp_path / "out")} == {name}


def test_workspaces_and_tables_are_no_releases(workspace, capsys):
    before = contents(workspace)
    for out in (workspace, workspace / "records", workspace.parent):
        assert "no release" in refused(workspace, out, capsys)
    assert contents(workspace) == before


@pytest.mark.parametrize("name", ["notes.txt", ".git/HEAD", "relevance/mine.csv"])
def test_what_somebody_put_into_a_release_is_not_deleted_without_a_word(
    tiny, release, capsys, name
):
    """A clone of the repository, or one's notes beside the tables."""
    path = release.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    options = ["--workspace", str(tiny), "--out", str(release.root), "--title", "Another"]
    if main(["release", "build", *options]) == 2:
        assert name.split("/")[0] in capsys.readouterr().err
    assert path.is_file()
    assert path.read_text() == "mine"


def test_an_empty_folder_and_the_one_where_one_stands_will_do(tiny, built, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    assert contents(build(tiny, tmp_path / "out").root) == contents(built)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert main(["release", "build", "--workspace", str(tiny), "--out", "."]) in (0, 2)
    monkeypatch.chdir(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["here", "out"]


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("version", ["1.0", "1", "v1.0.0", "1.0.0-rc1", "01.0.0", "1.0.0 ", "", "1.0.²", "-1.0.0"]),
        ("name", ["", "Upper", "a b", "-a", "a/b", "ä", "a\n", "x" * 97]),
        ("title", ["", "  ", "a\nb", "x" * 301]),
        ("description", ["", "a\nb", "x" * 301]),
        ("license", ["", " ", "a\nb"]),
        ("homepage", ["", "example.org", "ftp://example.org", "javascript:0", "a\nb"]),
        ("date", ["", "2026-13-01", "2026-02-30", "22.11.2026", "today", "20261122", "2026-W47-7",
                  "2026-11-22T10:00:00"]),
    ],
)  # fmt: skip
def test_a_wrong_option_is_named(tiny, release, capsys, option, values):
    before, taken = everything(release.root), []
    for value in values:
        try:
            message = refused(tiny, release.root, capsys, f"--{option}={value}")
        except AssertionError:
            taken.append(value)
            before = everything(release.root)
            continue
        assert f"--{option}" in message
        assert everything(release.root) == before
    assert taken == []


def test_options_that_are_right_are_taken(tiny, tmp_path):
    about = {
        "name": "a-1_b.c", "title": "T" * 300, "description": "Über", "license": "cc0-1.0",
        "homepage": "http://example.org", "date": "2024-02-29",
    }  # fmt: skip
    release = build(tiny, tmp_path / "out", version="10.20.30", **about)
    assert release.version == "10.20.30"
    assert release.manifest["about"] == about


def test_a_folder_of_frames_must_not_lie_in_the_release(tiny, tmp_path, capsys):
    for frames in (tmp_path / "out", tmp_path / "out" / "frames"):
        message = refused(tiny, tmp_path / "out", capsys, "--include_frames", str(frames))
        assert "--include_frames" in message
    assert [*tmp_path.iterdir()] == []


def test_a_release_that_is_no_release_cannot_be_the_previous(tiny, tmp_path, capsys):
    message = refused(tiny, tmp_path / "out", capsys, "--previous", str(tmp_path / "none"))
    assert "no release here" in message


def test_splits_that_cannot_be_made_leave_the_release(workspace, release, capsys):
    """Wrong options of `split` leave records, and so the next release, as they were."""
    before = contents(release.root)
    assert main(["split", "--workspace", str(workspace), "--target_genres", "Dramma"]) == 2
    assert "Did you mean 'Drama'?" in capsys.readouterr().err
    assert contents(build(workspace, release.root).root) == before


def test_frames_that_cannot_be_looked_at_are_named(tiny, workspace, release, capsys):
    """No frames, a film less, other bytes under the old name."""
    before = contents(release.root)
    message = refused(workspace, release.root, capsys, "--hash_frames")
    assert str(workspace / "movienet") in message
    shutil.copytree(tiny / "movienet", workspace / "movienet")
    ref = Release.open(release.root).read("clips")["keyframes"][0][0]["ref"].as_py()
    movie_id, name = ref.split("/")
    (film,) = (workspace / "movienet").rglob(f"{movie_id}.tar")
    with tarfile.open(film) as tar:
        member = next(m for m in tar if m.name.endswith(name))
    data = bytearray(film.read_bytes())
    film.unlink()
    message = refused(workspace, release.root, capsys, "--hash_frames")
    assert movie_id in message
    assert "lrmovienet hydrate" in message
    data[member.offset_data + member.size // 2] ^= 1
    film.write_bytes(data)
    assert ref in refused(workspace, release.root, capsys, "--hash_frames")
    assert contents(release.root) == before


def test_a_record_whose_clip_is_gone_is_refused(tmp_path):
    """Tables that fit each other by their hashes, and yet not by their rows."""
    workspace = people(tmp_path / "w")
    rows = workspace.read("records").to_pylist()
    made = workspace.require("records")
    rows[0] |= {"clip_id": "tt9999_0000", "movie_id": "tt9999"}
    put(workspace, "records", rows, version=made.stage_version, inputs=made.inputs,
        config=made.config)  # fmt: skip
    workspace.rewrite(
        replace(
            workspace.require("pairs"),
            inputs={**workspace.require("pairs").inputs,
                    "records": workspace.require("records").digest},
        )
    )  # fmt: skip
    with pytest.raises(
        UserError, match=r"1 of their clips are not in the table clips.*tt9999_0000"
    ):
        build(workspace.root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_of_a_refused_build_stays(tiny, tmp_path, capsys):
    refused(tiny, tmp_path / "deep" / "out", capsys, "--card", str(tmp_path / "none"))
    assert not list(tmp_path.rglob("*.parquet"))
    assert not (tmp_path / "deep" / "out").exists()
    manifest = json.dumps({"format": 99, "files": {}, "version": "1.0.0", "digest": ""})
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "manifest.json").write_text(manifest)
    with pytest.raises(UserError, match="format 99; this program reads format 1"):
        Release.open(tmp_path / "newer")


def test_rows_do_not_hang_on_a_workspace_that_is_being_used(tiny, built, tmp_path):
    """Reading takes no lock, so that a release can be built while a stage waits."""
    workspace = Workspace(copied(tiny, tmp_path / "w"))
    with workspace.locked():
        release = build(workspace.root, tmp_path / "out")
    name = "relevance/target_test.parquet"
    assert rows_of(release.root, name) == rows_of(built, name)
