"""Shards are done once, whatever happens to the run; what fails is kept with its reason."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import stages

from lrmovienet.errors import ItemError, UserError
from lrmovienet.runner import split
from lrmovienet.runner.local import Job, pending, run_table
from lrmovienet.workspace import Workspace


@pytest.fixture
def tag(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))  # for spawned workers
    workspace = Workspace(tmp_path / "w")

    def job(clips: str, size=2, version="1", **options):
        shards = split({"clip_id": clips.split()}, size)
        stage = stages.Tagger(tmp_path / "log", version)
        return Job("image_labels", stage, shards, "clip_id", {}, {}, **options)

    def run(clips: str, **options):
        return run_table(workspace, job(clips, **options))

    run.workspace, run.log = workspace, tmp_path / "log"
    run.pending = lambda clips, **options: pending(workspace, job(clips, **options))
    return run


def kept(tag) -> list[str]:
    return tag.workspace.read("image_labels")["clip_id"].to_pylist()


def dropped(tag) -> list[tuple]:
    rows = tag.workspace.read_dropped("image_labels").to_pylist()
    return [(r["clip_id"], r["label"], r["stage"], r["reason"]) for r in rows]


def calls(tag) -> list[str]:
    text = tag.log.read_text().splitlines()
    tag.log.unlink()
    return text


def test_order_and_parts_follow_the_shards(tag):
    outcome = tag("c1 c2 c3 c4 c5")
    assert kept(tag) == ["c1", "c2", "c3", "c4", "c5"]
    assert [part.rows for part in outcome.manifest.parts] == [2, 2, 1]


def test_a_second_run_does_nothing(tag):
    tag("c1 c2 c3")
    calls(tag)
    assert tag("c1 c2 c3").up_to_date
    assert not tag.log.exists()


def test_only_a_changed_shard_is_run_again(tag):
    tag("c1 c2 c3 c4 c5 c6")
    calls(tag)
    tag("c3 c4 c1 c9 c5 c6")  # one shard changed, the others moved
    assert calls(tag) == ["c1 c9"]
    assert kept(tag) == ["c3", "c4", "c1", "c9", "c5", "c6"]


def test_another_version_runs_everything_again(tag):
    tag("c1 c2 c3")
    calls(tag)
    tag("c1 c2 c3", version="2")
    assert len(calls(tag)) == 2


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_do_not_change_the_result(tag, tmp_path, processes):
    clips = "c1 low2 c3 bad4 c5 c6"
    one = tag(clips).manifest
    tag.workspace.root.rename(tmp_path / "first")
    assert tag(clips, processes=processes).manifest == one


def test_a_stages_own_drops_keep_label_and_reason(tag):
    tag("c1 low2")
    assert kept(tag) == ["c1"]
    assert dropped(tag) == [("low2", "dog", "image_labels", "too low")]


def test_a_failed_item_costs_only_itself_and_is_tried_again(tag, tmp_path):
    tag("c1 bad2 c3 c4")
    assert kept(tag) == ["c1", "c3", "c4"]
    assert dropped(tag) == [("bad2", None, "image_labels", "bad2: no frames")]
    calls(tag)
    (tmp_path / "mended").touch()
    assert not tag("c1 bad2 c3 c4").up_to_date
    assert calls(tag) == ["c1 bad2"]
    assert kept(tag) == ["c1", "bad2", "c3", "c4"]
    assert dropped(tag) == []


def test_a_failing_shard_of_one_item_is_run_once(tag):
    tag("c1 bad2", size=1)
    assert calls(tag) == ["c1", "bad2"]


def test_an_unforeseen_error_is_kept_with_its_type(tag, caplog):
    tag("c1 bug2")
    assert dropped(tag) == [("bug2", None, "image_labels", "KeyError: 'oh'")]
    assert "Traceback" in caplog.text


def test_fail_fast_stops_at_the_first(tag):
    with pytest.raises(ItemError, match="bad2: no frames"):
        tag("c1 bad2 c3 c4", fail_fast=True)
    assert calls(tag) == ["c1 bad2"]


def test_if_all_fail_the_old_table_stays(tag):
    tag("c1")
    with pytest.raises(UserError, match=r"2 of 2 failed; the table was not written"):
        tag("bad1 bad2")
    assert kept(tag) == ["c1"]
    with pytest.raises(UserError, match="failed"):  # and is not taken for done the next time
        tag("bad1 bad2")


def test_without_keep_failures_one_is_enough_and_the_rest_is_kept(tag, tmp_path):
    with pytest.raises(UserError, match=r"1 of 3 failed.*What succeeded is kept"):
        tag("c1 c2 bad3", keep_failures=False)
    assert tag.workspace.manifest("image_labels") is None
    calls(tag)
    (tmp_path / "mended").touch()
    tag("c1 c2 bad3", keep_failures=False)
    assert calls(tag) == ["bad3"]


def test_a_killed_worker_is_one_message(tag):
    with pytest.raises(UserError, match=r"ended from outside.*fewer --processes"):
        tag("c1 kill2 c3 c4", processes=2)


def test_pending_is_what_a_run_would_do(tag, tmp_path):
    """At every step: the shards that are named are those that the stage then gets."""
    shards = "c1 c2 c3 bad4 c5 c6 c7 c8"
    assert tag.pending(shards) == [0, 1, 2, 3]
    assert not tag.workspace.root.exists()  # asking makes nothing
    tag(shards)
    assert calls(tag) == ["c1 c2", "c3 bad4", "c3", "bad4", "c5 c6", "c7 c8"]
    assert tag.pending(shards) == [1]  # of which an item failed
    tag(shards)
    assert calls(tag) == ["c3 bad4", "c3", "bad4"]
    (tmp_path / "mended").touch()
    assert tag.pending(shards) == [1]
    tag(shards)
    calls(tag)
    assert tag.pending(shards) == []
    moved = "c7 c8 c1 c2 c9 c6 c3 bad4"
    assert tag.pending(moved) == [2]
    assert tag.pending(shards, version="2") == [0, 1, 2, 3]
    assert tag.pending(shards, size=4) == [0, 1]
    tag(moved)
    assert calls(tag) == ["c9 c6"]


def test_pending_knows_what_a_broken_run_has_done(tag):
    with pytest.raises(UserError, match="1 of 6 failed"):
        tag("c1 c2 bad3 c4 c5 c6", keep_failures=False)
    assert tag.workspace.manifest("image_labels") is None
    assert tag.pending("c1 c2 bad3 c4 c5 c6") == [1]


@pytest.mark.parametrize("kind", ["part", "dropped"])
@pytest.mark.parametrize("how", ["damaged", "gone"])
def test_a_bad_file_of_the_table_is_pending_and_made_again(tag, kind, how):
    tag("c1 c2 c3 low4 c5 low6")
    kept_first, dropped_first = kept(tag), dropped(tag)
    calls(tag)
    path = tag.workspace.folder("image_labels") / f"{kind}-00001.parquet"
    whole = path.read_bytes()
    path.unlink()  # its bytes may be linked from elsewhere
    if how == "damaged":
        path.write_bytes(whole[:-1] + b"X")
    assert tag.pending("c1 c2 c3 low4 c5 low6") == [1]
    tag("c1 c2 c3 low4 c5 low6")
    assert calls(tag) == ["c3 low4"]
    assert (kept(tag), dropped(tag)) == (kept_first, dropped_first)
    assert path.read_bytes() == whole
    assert tag.pending("c1 c2 c3 low4 c5 low6") == []


CHILD = """
import sys
from pathlib import Path
from stages import Tagger
from lrmovienet.runner import split
from lrmovienet.runner.local import Job, run_table
from lrmovienet.workspace import Workspace
if __name__ == "__main__":
    root, log = map(Path, sys.argv[1:])
    shards = split({"clip_id": [f"slow{i}" for i in range(8)]}, 1)
    job = Job("image_labels", Tagger(log), shards, "clip_id", {}, {}, processes=2)
    print(run_table(Workspace(root), job).manifest.digest)
"""


@pytest.mark.slow
def test_killed_at_several_moments_it_ends_as_unbroken(tmp_path):
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}

    def start(name: str) -> subprocess.Popen[str]:
        command = [sys.executable, script, tmp_path / name, tmp_path / f"{name}.log"]
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)

    unbroken = start("unbroken").communicate()[0]
    for done in (1, 3, 5):
        process = start("broken")
        log = tmp_path / "broken.log"
        while not log.exists() or len(log.read_text().splitlines()) < done:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert start("broken").communicate()[0] == unbroken
    ran = (tmp_path / "broken.log").read_text().splitlines()
    assert len(ran) <= 8 + 3 * 2, "a kill costs at most the shards under way, two processes' worth"
