"""`lrmovienet letor bench` on small files: damage, kills, processes, and other ways to ask."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from letor_bench import (
    NAMES,
    bench,
    contents,
    lines,
    made,
    pair,
    refused,
    results,
)  # fmt: skip

from baselines.letor.folds import Folds
from baselines.letor.queries import grades_of
from baselines.letor.read import read as read_documents
from baselines.letor.released import resampled
from eval.result import read
from lrmovienet.cli import main


@pytest.mark.slow
def test_what_is_damaged_is_made_again_to_the_same(root, trained, capsys):
    """Each in its own way; a start that is made again to the same leaves the rest as it is."""
    scores = root / "out" / "scores"
    (scores / "listnet.R0.s0.fold1.npy").write_bytes(
        (scores / "listnet.R0.s0.fold1.npy").read_bytes()[:100]
    )
    (scores / "listnet.R1.s0.fold2.npy").write_bytes(b"")
    (scores / "best-feature.R0.s0.fold1.json").write_text('{"key": "other"}')
    (scores / "best-feature.R0.s0.fold2.json").write_text("[1, 2]")
    (scores / "lambdamart.R0.s0.fold1.json").write_text('{"key"')
    np.save(scores / "lambdamart.R1.s0.fold1.npy", np.zeros(3))
    (scores / "lambdamart.R1.s0.fold2.npy").unlink()
    shutil.rmtree(root / "out" / "rankers" / "lr2ppo-reward.R1.s0.fold2")
    assert made(pair(root, *NAMES, "--dataset", "tiny"), capsys) == {
        "listnet R0 seed 0 fold 1", "listnet R1 seed 0 fold 2", "best-feature R0 seed 0 fold 1",
        "best-feature R0 seed 0 fold 2", "lambdamart R0 seed 0 fold 1",
        "lambdamart R1 seed 0 fold 1", "lambdamart R1 seed 0 fold 2",
        "lr2ppo-reward R1 seed 0 fold 2",
    }  # fmt: skip
    assert results(root / "out") == results(trained / "out")


@pytest.mark.slow
def test_more_seeds_leave_the_others_as_they_are(root, capsys):
    before = contents(root / "out")
    words = pair(root, "listnet", "lambdamart", "--dataset", "tiny", "--seeds", "2")
    assert made(words, capsys) == {
        f"listnet {regime} seed 1 fold {fold}" for regime in ("R0", "R1") for fold in (1, 2)
    }
    after = contents(root / "out")
    assert {name: content for name, content in after.items() if name in before} == before


@pytest.mark.slow
def test_one_set_alone_has_r0_only(files, capsys):
    assert main(bench(files, "best-feature", "lambdamart", "--scaling", "standard")) == 0
    out = files / "out"
    assert {p.stem for p in out.glob("*.json")} == {"best-feature.R0.s0", "lambdamart.R0.s0"}
    told = read(out / "lambdamart.R0.s0.json").runs[0].training
    assert told.options == {"folds": "1 2", "scaling": "standard"}
    assert "--source" not in told.command and "--scaling standard" in told.command
    assert main(["letor", "table", str(out)]) == 0
    assert "**Trained on the grades of the other folds**" in capsys.readouterr().out


@pytest.mark.slow
def test_layers_have_no_r0(files, capsys):
    words = pair(files, "lambdamart", "listnet", "--space", "layers", "--folds", "2")
    assert main(words) == 0
    assert {p.stem for p in (files / "out").glob("*.json")} == {"lambdamart.R1.s0", "listnet.R1.s0"}
    gold = pq.read_table(files / "out" / "gold.parquet")["clip_id"].to_pylist()
    assert set(gold) == {f"2/{query}" for query in range(9, 15)}
    told = read(files / "out" / "listnet.R1.s0.json").runs[0].training
    assert told.options == {
        "folds": "2", "source": "source.txt", "space": "layers", "percent": "10",
    }  # fmt: skip
    assert "--folds 2" in told.command and "--space layers" in told.command


@pytest.mark.slow
def test_the_released_protocol_tests_lists_of_20_and_counts_empty_ones(files, capsys):
    assert main(pair(files, "lambdamart", "--protocol", "released", "--regimes", "R0")) == 0
    out = files / "out"
    gold = pq.read_table(out / "gold.parquet").to_pydict()
    parts = [resampled(read_documents(files / name, None)) for name in ("a.txt", "b.txt")]
    assert gold["label"] == [str(place) for place in range(1, 21)] * 14
    assert gold["grade"] == np.concatenate([grades_of(part) for part in parts]).tolist()
    result = read(out / "lambdamart.R0.s0.json")
    assert result.conventions.empty == "one" and result.about.protocol == "released"
    assert result.gold.clips_without_relevant_label >= 1
    assert main(["letor", "table", str(out)]) == 0
    said = capsys.readouterr().out
    assert "protocol of the released scripts" in said
    assert "In the columns of k they are counted as 1." in said


@pytest.mark.slow
def test_folders_of_folds_and_one_file_that_is_cut(files, tmp_path, capsys):
    """Both ways to give a target end in results whose gold is what the folds say."""
    for fold in (1, 2, 3):
        for i, part in enumerate(("train", "vali", "test")):
            path = tmp_path / "set" / f"Fold{fold}" / f"{part}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(lines(10 * fold + i, 100 * fold + 10 * i, 6, 4))
    whole = tmp_path / "set"
    out = tmp_path / "out"
    words = ["letor", "bench", "best-feature", "--out", str(out), "--target"]
    assert main([*words, str(whole)]) == 0
    queries = pq.read_table(out / "gold.parquet")["clip_id"].to_pylist()
    assert list(dict.fromkeys(queries)) == [
        f"{fold}/{100 * fold + 20 + i}" for fold in (1, 2, 3) for i in range(6)
    ]
    (whole / "Fold2" / "train.txt").write_text(lines(77, 200, 6, 4))
    assert "(target differ)" in refused([*words, str(whole)], capsys, empty=False)
    shutil.rmtree(out)
    assert main([*words, str(files / "a.txt"), "--parts", "3"]) == 0
    queries = pq.read_table(out / "gold.parquet")["clip_id"].to_pylist()
    folds = Folds([files / "a.txt"], None, 3)
    assert list(dict.fromkeys(queries)) == [
        f"{fold}/{query}" for fold in (1, 2, 3) for query in folds[fold].test.queries
    ]
    assert len({query.split("/")[1] for query in queries}) == 8
    told = read(out / "best-feature.R0.s0.json").runs[0].training
    assert told.command.endswith("--parts 3")


# Processes.


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_make_what_one_does(trained, files):
    assert main(pair(files, *NAMES, "--dataset", "tiny", "--processes", "2")) == 0
    assert results(files / "out") == results(trained / "out")


def started(words: list[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "lrmovienet", *words]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def wait_for(out: Path, pattern: str) -> None:
    deadline = time.monotonic() + 120
    while not list(out.glob(pattern)):
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_benchmark_that_was_killed_goes_on_to_the_same(trained, files):
    words = pair(files, *NAMES, "--dataset", "tiny")
    out = files / "out"
    for pattern in ("scores/lr2ppo-base*.json", ".working/lr2ppo.R2*/*/*", "scores/listnet.R1*"):
        process = started(words)
        wait_for(out, pattern)
        process.kill()
        process.communicate(timeout=60)
    process = started(words)
    said, wrong = process.communicate(timeout=200)
    assert process.returncode == 0, wrong
    assert "of 16 trainings were done before" in said
    assert results(out) == results(trained / "out")
    assert not list((out / ".working").glob("*"))


def children(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            content = path.read_text()
        except OSError:
            continue
        if (
            int(content.rsplit(")", 1)[1].split()[1]) == pid
            and "spawn_main" in (path.parent / "cmdline").read_text()
        ):
            found.append(int(path.parent.name))
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found by /proc")
def test_a_process_that_is_killed_fails_its_training_alone(trained, files):
    words = pair(files, *NAMES, "--dataset", "tiny")
    out = files / "out"
    process = started(words)
    wait_for(out, ".working/lr2ppo-reward.R1.s0.fold1/*/*")
    for child in children(process.pid):
        os.kill(child, signal.SIGKILL)
    _, wrong = process.communicate(timeout=200)
    assert process.returncode == 2 and "was ended by SIGKILL (out of memory?)" in wrong
    assert "1 of 16 trainings failed, and 1 that wait for them were not tried" in wrong
    assert "the other 14 are done" in wrong
    assert not (out / "lr2ppo.R2.s0.json").exists() and (out / "listnet.R1.s0.json").exists()
    assert main(words) == 0
    assert results(out) == results(trained / "out")
