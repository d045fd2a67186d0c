"""`lrmovienet letor bench` on small files: damage, kills, processes, ways to ask, single jobs."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from letor_bench import (
    NAMES,
    bench,
    contents,
    kept,
    lines,
    made,
    pair,
    refused,
    results,
    said,
    same,
)  # fmt: skip
from tiny_letor import made as documents

from baselines.learning.machine import Machine
from baselines.letor.documents import Documents
from baselines.letor.folds import Fold, Folds
from baselines.letor.methods import METHODS
from baselines.letor.overlap import Overlap
from baselines.letor.queries import grades_of
from baselines.letor.read import read as read_documents
from baselines.letor.released import resampled
from baselines.letor.study import Setting, fold_seen
from baselines.letor.work import Job, Task, ranker_digest, ranker_folder
from eval.result import read
from lrmovienet.cli import main
from lrmovienet.errors import UserError


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
    assert "**Trained on the target's own training parts**" in capsys.readouterr().out


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


# Words.


def test_another_name_of_the_sets_keeps_all(root, trained, capsys):
    name = "WEB's 10K → MQ 2008; $x"
    words = pair(root, *NAMES, "--dataset", name)
    assert kept(words, capsys) == "16 of 16"
    of_results = ("best-feature.", "lambdamart.", "listnet.", "lr2ppo.")
    assert same(root, trained, but=of_results)
    for path in (root / "out").glob("*.json"):
        result = read(path)
        assert result.about.dataset == name
        told = shlex.split(result.runs[0].training.command)
        assert told[told.index("--dataset") :] == ["--dataset", name]
        before = read(trained / "out" / path.name)
        again = replace(result.runs[0].training, command=before.runs[0].training.command)
        assert replace(result.runs[0], training=again) == before.runs[0]


def test_a_space_that_was_settled_is_told_and_one_that_was_asked_for_is_not(root, capsys):
    words = pair(root, "lambdamart", "--dataset", "tiny")
    line = "features of the two sets meet by --space principal"
    assert line in said(words, capsys).splitlines()
    assert "meet" not in said([*words, "--space", "principal"], capsys)


# What a training is given.


def task(setting: Setting, job: Job, out: Path) -> Task:
    return Task(job, setting, out, "key", "cpu")


def settings(root: Path, source: bool = True) -> Setting:
    learned = (root / "source.txt",) if source else ()
    return Setting(
        (root / "a.txt", root / "b.txt"), learned, None, "honest", None, "log", 10, 5
    )  # fmt: skip


def scores_of(out: Path, job: Job) -> np.ndarray:
    return np.load(out / "scores" / f"{job.name}.npy")


def test_another_seed_gives_other_scores_and_the_same_one_the_same(trained, tmp_path):
    """In this process as in that of the benchmark."""
    job = Job(1, "listnet", "R0", 0)
    of_benchmark = scores_of(trained / "out", job)
    task(settings(trained), job, tmp_path).do()
    assert scores_of(tmp_path, job).tobytes() == of_benchmark.tobytes()
    other = replace(job, seed=1)
    task(settings(trained), other, tmp_path).do()
    assert (scores_of(tmp_path, other) != of_benchmark).mean() > 0.9


@pytest.mark.slow
def test_another_seed_reaches_all_that_is_started_from(root):
    """Slow, as it trains three stages."""
    out = root / "out"
    for method, regime in (("lr2ppo-base", "R0"), ("lr2ppo-reward", "R1"), ("lr2ppo", "R2")):
        job = Job(1, method, regime, 0)
        other = replace(job, seed=1)
        task(settings(root), other, out).do()
        assert (scores_of(out, other) != scores_of(out, job)).mean() > 0.9
        assert ranker_digest(out, other) != ranker_digest(out, job)


def test_a_network_over_grades_knows_the_highest_that_is_learned(files, tmp_path):
    """The source's is 4, the target's 2."""
    text = (files / "source.txt").read_text()
    (files / "source.txt").write_text(text.replace("3 qid", "4 qid", 1))
    grades = [read_documents(files / name, None).grades.max() for name in ("source.txt", "a.txt")]
    assert grades == [4, 2]
    job = Job(1, "context", "R0", 0)
    task(settings(files), job, tmp_path).do()
    saved = json.loads((ranker_folder(tmp_path, job) / "config.json").read_bytes())
    assert saved["network"]["levels"] == 4


@pytest.mark.parametrize(("method", "trees"), [("lambdamart", True), ("listnet", False)])
def test_trees_read_values_as_they_are_and_networks_scaled_ones(files, tmp_path, method, trees):
    for i, name in enumerate(("a.txt", "b.txt")):  # enough for trees to be cut
        (files / name).write_text(lines(i, 1 + 100 * i, 40, 4))
    alone = settings(files, source=False)
    job = Job(1, method, "R0", 0)
    task(alone, job, tmp_path).do()
    found = scores_of(tmp_path, job)
    kind = type(METHODS[method].make(Machine(), 2, {}))
    ranker = kind.load(ranker_folder(tmp_path, job))
    mine, others = (
        np.concatenate([ranker.score(record) for record in fold_seen(alone, 1, as_trees).test])
        for as_trees in (trees, not trees)
    )
    assert np.array_equal(mine, found) and not np.array_equal(others, found)


# What source and target share.


def copied(source: Documents, taken: Documents, rows: int) -> Documents:
    """A source whose first rows are those of other documents."""
    x = np.concatenate([taken.x[:rows], source.x[rows:]])
    return replace(source, x=x)


def a_fold(number: int = 1, named: bool = False) -> tuple[Documents, Fold]:
    """A source of 30 rows, and a fold whose vali and test parts have 20 each."""
    parts = [
        documents(4, seed=i + 10 * number, lengths=[5] * 4, first_query=1 + 100 * i, named=named)
        for i in range(3)
    ]
    source = documents(6, seed=99, lengths=[5] * 6, first_query=1000 * number, named=named)
    return source, Fold(number, *parts)


def test_more_than_a_twentieth_of_what_chooses_or_is_tested_is_refused():
    """Of 40 rows 2 may be in the source, and no third, wherever they are."""
    source, fold = a_fold()
    for part in (fold.vali, fold.test):
        for rows, fits in ((0, True), (1, True), (2, True), (3, False), (20, False)):
            overlap, learned = Overlap(), copied(source, part, rows)
            if fits:
                overlap.add(learned, fold)
                assert overlap.rows == rows and bool(overlap) == (rows > 0)
                continue
            with pytest.raises(UserError) as refusal:
                overlap.add(learned, fold)
            assert f"made.txt: {rows} of the 40 rows of made.txt that choose" in str(refusal.value)
            assert "tested in fold 1 are in it" in str(refusal.value)
    of_both = copied(source, fold.vali, 2)
    x = np.concatenate([of_both.x[:2], fold.test.x[7:8], of_both.x[3:]])
    with pytest.raises(UserError, match="3 of the 40 rows"):
        Overlap().add(replace(of_both, x=x), fold)


def test_rows_of_the_targets_training_part_may_be_in_the_source():
    """Nothing of them chooses or is tested."""
    source, fold = a_fold()
    overlap = Overlap()
    overlap.add(copied(source, fold.train, 20), fold)
    assert not overlap and overlap.rows == 0


def test_what_is_shared_is_counted_over_folds():
    """Rows are added, and an id counts once; ids alone are told, too."""
    overlap = Overlap()
    for number, rows in ((1, 2), (2, 1)):
        source, fold = a_fold(number, named=True)
        learned = copied(source, fold.test, rows)
        ids = (*fold.test.documents[:rows], *learned.documents[rows:29], "same")
        vali = replace(fold.vali, documents=(*fold.vali.documents[:19], "same"))
        queries, of = (*learned.queries[:5], "301"), f"source {number}"
        learned = replace(learned, queries=queries, documents=ids, sha256=of)
        vali = replace(vali, queries=("301", *vali.queries[1:]))
        overlap.add(learned, fold._replace(vali=vali))
    assert (overlap.rows, overlap.queries, len(overlap.documents)) == (3, {"301"}, 4)
    assert str(overlap) == (
        "the source and what chooses or is tested share 3 equal rows, 1 ids of queries and 4 of "
        "documents"
    )
    source, fold = a_fold()
    alone = Overlap()
    alone.add(replace(source, queries=(fold.test.queries[0], *source.queries[1:])), fold)
    assert alone and alone.rows == 0
