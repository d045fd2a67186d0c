"""Tables are whole or not there, and say so when they are damaged."""

import json
import multiprocessing
import shutil
from pathlib import Path

import pytest

from lrmovienet.errors import UserError
from lrmovienet.runner.local import run_once
from lrmovienet.status import StatusConfig, run
from lrmovienet.workspace import Workspace, link

ROWS = {"clip_id": ["a", "b"], "label": ["dog", "cat"], "score": [0.5, 1.5]}


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace(tmp_path / "w")
    make(workspace)
    return workspace


def make(workspace, version="1"):
    rows = {name: list(values) for name, values in ROWS.items()}
    return run_once(workspace, "predictions/x", lambda: rows, version=version, inputs={}, config={})


def content(workspace) -> dict[str, bytes]:
    folder = workspace.folder("predictions/x")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_what_is_written_is_read(workspace):
    assert workspace.read("predictions/x").to_pydict() == ROWS
    assert workspace.read("predictions/x", ["label"]).to_pydict() == {"label": ["dog", "cat"]}
    assert workspace.read_dropped("predictions/x").num_rows == 0


def test_equal_runs_write_equal_bytes(workspace, tmp_path):
    other = Workspace(tmp_path / "other")
    make(other)
    assert content(other) == content(workspace)


def test_a_missing_table_names_the_command(workspace):
    with pytest.raises(UserError, match=r"no table 'clips' here yet.*lrmovienet ingest"):
        workspace.read("clips")


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_part_is_refused_by_name(workspace, damage):
    path = workspace.folder("predictions/x") / "part-00000.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes({"flip": data, "cut": data[:50], "empty": b""}[damage])
    with pytest.raises(UserError, match=r"part-00000.parquet: damaged.*make the table again"):
        workspace.read("predictions/x")
    assert not make(workspace).up_to_date
    assert workspace.read("predictions/x").to_pydict() == ROWS


def test_a_missing_part_is_refused_by_name(workspace):
    (workspace.folder("predictions/x") / "part-00000.parquet").unlink()
    with pytest.raises(UserError, match=r"part-00000.parquet: named in the manifest but not there"):
        workspace.read("predictions/x")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"parts": 1}', '{"parts": [{}]}'])
def test_a_broken_manifest_is_refused(workspace, text):
    (workspace.folder("predictions/x") / "manifest.json").write_text(text)
    with pytest.raises(UserError, match="not a readable manifest"):
        workspace.read("predictions/x")


def test_another_schema_version_is_refused(workspace):
    path = workspace.folder("predictions/x") / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 99}))
    with pytest.raises(UserError, match="schema version 99"):
        workspace.read("predictions/x")


def hold(root, held, done):
    with Workspace(root).locked():
        held.set()
        done.wait(30)


def test_a_second_writer_is_told(workspace):
    context = multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    other = context.Process(target=hold, args=(workspace.root, held, done))
    other.start()
    assert held.wait(30)
    with pytest.raises(UserError, match="another lrmovienet run is writing here"):
        make(workspace, version="2")
    done.set()
    other.join()
    make(workspace, version="2")


def hold_one(root, name, held, done):
    with Workspace(root).locked_for(name):
        held.set()
        done.wait(30)


def test_rankers_are_made_side_by_side_and_tables_are_not(workspace, tmp_path):
    context = multiprocessing.get_context("spawn")
    held, done, second = context.Event(), context.Event(), context.Event()
    one = context.Process(target=hold_one, args=(workspace.root, "rankers/a", held, done))
    one.start()
    assert held.wait(30)
    with workspace.locked_for("rankers/b"):
        pass
    with (
        pytest.raises(UserError, match="another lrmovienet run is writing here"),
        workspace.locked(),
    ):
        pass
    same = context.Process(target=hold_one, args=(workspace.root, "rankers/a", second, done))
    same.start()
    assert not second.wait(2)  # waits for the one before it
    done.set()
    assert second.wait(30)
    for process in (one, same):
        process.join()


def test_who_makes_a_ranker_leaves_the_remains_of_others_alone(workspace):
    remains = workspace.root / ".replaced" / "rankers" / "a"
    remains.mkdir(parents=True)
    (remains / "manifest.json").write_text("{}")
    with workspace.locked_for("rankers/b"):
        assert remains.exists()
    with workspace.locked_for("rankers/a"):
        assert (workspace.root / "rankers" / "a" / "manifest.json").exists()
    assert not remains.exists()


def test_killed_between_the_two_renames_the_old_table_is_still_there(workspace):
    before = content(workspace)
    replaced = workspace.root / ".replaced" / "predictions" / "x"
    replaced.parent.mkdir(parents=True)
    workspace.folder("predictions/x").rename(replaced)
    assert workspace.read("predictions/x").to_pydict() == ROWS
    assert make(workspace).up_to_date
    assert content(workspace) == before
    assert (workspace.root / "predictions" / "x").exists()
    assert not replaced.exists()


def test_a_file_as_workspace_is_refused(tmp_path):
    (tmp_path / "w").write_text("")
    with pytest.raises(UserError, match="is a file"):
        make(Workspace(tmp_path / "w"))


def test_killed_before_the_old_table_was_removed_the_new_one_stays(workspace):
    older, replaced = workspace.folder("predictions/x"), workspace.root / ".replaced/predictions/x"
    shutil.copytree(older, replaced)
    shutil.rmtree(older)
    make(Workspace(workspace.root.with_name("new")), version="2")
    workspace.root.with_name("new").joinpath("predictions/x").rename(older)
    assert make(workspace, version="2").up_to_date
    assert workspace.require("predictions/x").stage_version == "2"
    assert not replaced.exists()


def test_a_file_system_without_hard_links_gets_whole_copies(tmp_path, monkeypatch):
    def refuse(self, target):
        raise OSError(1, "Operation not permitted")

    (tmp_path / "a").write_bytes(b"rows")
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    link(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"rows"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_status_lists_tables_and_reasons_as_they_are(workspace, capsys):
    rows = {**ROWS, "drop_reason": [None, "films/[/x].mp4: no frames"]}
    run_once(workspace, "predictions/y", lambda: rows, version="1", inputs={}, config={})
    run(StatusConfig(workspace.root))
    out = " ".join(capsys.readouterr().out.split())
    assert "predictions/x" in out
    assert "films/[/x].mp4: no frames" in out
    run(StatusConfig(workspace.root / "[b]nothing[/b]"))
    assert "w/[b]nothing[/b]:" in capsys.readouterr().out.replace("\n", "")  # may be wrapped
