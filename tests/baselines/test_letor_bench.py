"""`lrmovienet letor bench` on small files: what it makes, keeps and refuses."""

import fcntl
import json
import shutil
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from letor_bench import (
    JOBS,
    NAMES,
    RUNS,
    bench,
    contents,
    fill,
    kept,
    lines,
    pair,
    refused,
)  # fmt: skip

from baselines.letor.methods import METHODS
from eval.result import read
from eval.score import main as scorer
from lrmovienet.cli import main

# What it makes.


def test_there_is_a_result_of_each_run_and_a_ranker_of_each_training(trained):
    out = trained / "out"
    assert {path.stem for path in out.glob("*.json")} == RUNS
    assert {path.stem for path in (out / "predictions").iterdir()} == RUNS
    folds = {f"{job}.fold{fold}" for job in JOBS for fold in (1, 2)}
    assert {path.name for path in (out / "rankers").iterdir()} == folds
    assert {path.stem for path in (out / "logs").iterdir()} == folds
    assert {path.name for path in (out / "scores").iterdir()} == {
        f"{name}.{end}" for name in folds for end in ("json", "npy")
    }
    assert not list((out / ".working").glob("*"))


def test_every_query_is_tested_once_with_its_grades_in_the_order_of_the_file(trained):
    gold = pq.read_table(trained / "out" / "gold.parquet").to_pylist()
    expected = []
    for fold, name in enumerate(("a.txt", "b.txt"), 1):
        places: dict[str, int] = {}
        for line in (trained / name).read_text().splitlines():
            grade, query = line.split()[0], line.split()[1].removeprefix("qid:")
            places[query] = places.get(query, 0) + 1
            expected.append((f"{fold}/{query}", str(places[query]), int(grade)))
    assert [(row["clip_id"], row["label"], row["grade"]) for row in gold] == expected
    assert all(row["movie_id"] == row["clip_id"] for row in gold)


def test_the_scorer_alone_comes_to_the_same_numbers(trained, tmp_path, capsys):
    """The files that are left, through the scorer's own command."""
    out = trained / "out"
    for run in sorted(RUNS):
        made_by = read(out / f"{run}.json")
        own = tmp_path / f"{run}.json"
        words = ["--gold", str(out / "gold.parquet"), "--predictions",
                 f"{run}={out / 'predictions' / run}.parquet", "--json", str(own)]  # fmt: skip
        assert scorer(words) == 0
        found = read(own)
        assert found.runs[0].measures == made_by.runs[0].measures
        assert found.runs[0].by_film == made_by.runs[0].by_film
        assert found.references == made_by.references and found.gold == made_by.gold
    capsys.readouterr()


def test_predictions_are_the_scores_of_the_folds_one_after_the_other(trained):
    out = trained / "out"
    gold = pq.read_table(out / "gold.parquet")
    for run in RUNS:
        scores = [np.load(out / "scores" / f"{run}.fold{fold}.npy") for fold in (1, 2)]
        table = pq.read_table(out / "predictions" / f"{run}.parquet")
        assert table["score"].to_numpy().tolist() == np.concatenate(scores).tolist()
        assert table.select(["clip_id", "label"]) == gold.select(["clip_id", "label"])


def test_a_result_says_what_it_is_of(trained):
    result = read(trained / "out" / "lr2ppo.R2.s0.json")
    about = result.about
    assert (about.dataset, about.protocol, about.regime) == ("tiny", "honest", "R2")
    assert result.conventions.empty == "skip" and result.conventions.max_grade == 4
    assert (result.gold.clips, result.gold.clips_without_relevant_label) == (14, 1)
    (run,) = result.runs
    told = run.training
    assert (run.name, told.method, told.seed) == ("lr2ppo.R2.s0", "lr2ppo", 0)
    assert told.published == "table 2: LR2PPO"
    of_source = {"folds": "1 2", "source": "source.txt", "space": "principal"}
    assert told.options == {**of_source, "percent": "10"}
    assert told.command == (
        "lrmovienet letor bench lr2ppo --target a.txt b.txt --source source.txt "
        "--protocol honest --regimes R2 --dataset tiny"
    )
    assert str(trained) not in (trained / "out" / "lr2ppo.R2.s0.json").read_text()
    facts = [json.loads((trained / "out/scores" / f"lr2ppo.R2.s0.fold{fold}.json").read_bytes())
             for fold in (1, 2)]  # fmt: skip
    assert told.seconds == pytest.approx(np.mean([fact["seconds"] for fact in facts]))
    assert told.parameters == max(fact["parameters"] for fact in facts) > 0
    before = [
        sum(json.loads((trained / f"out/scores/{job}.fold{fold}.json").read_bytes())["seconds"]
            for job in ("lr2ppo-base.R0.s0", "lr2ppo-reward.R1.s0"))
        for fold in (1, 2)
    ]  # fmt: skip
    assert told.seconds_before == pytest.approx(np.mean(before))
    usual = read(trained / "out" / "listnet.R0.s0.json").runs[0].training
    assert usual.options == of_source and usual.seconds_before == 0
    trees = read(trained / "out" / "lambdamart.R0.s0.json").runs[0].training
    assert trees.seed is None


def test_the_table_of_its_results(trained, capsys):
    assert main(["letor", "table", str(trained / "out")]) == 0
    text = capsys.readouterr().out
    assert "### tiny, honest protocol" in text and "13 queries with a relevant" in text
    shown = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    assert [name for name in shown if "*" not in name and name != "method"].count("lambdamart") == 1
    assert "lr2ppo, 10 % of pairs" in shown and "*random order, expected*" in shown


def test_a_feature_that_says_the_grade_is_found(trained):
    """Not only do files fit together: what is learned ranks the target."""
    measures = {
        run: read(trained / "out" / f"{run}.json").runs[0].measures["ndcg@10"].mean for run in RUNS
    }
    random = read(trained / "out" / "listnet.R1.s0.json").references["random"]["ndcg@10"]
    assert measures["listnet.R1.s0"] > random + 0.1


# Kept.


def test_a_second_call_does_nothing(root, capsys, monkeypatch):
    """Not even on another day."""
    before = contents(root / "out")
    real = time.strftime
    monkeypatch.setattr(time, "strftime", lambda form, *of: real(form, *of) if of else "2999-01-01")
    words = pair(root, *NAMES, "--dataset", "tiny")
    assert kept(words, capsys) == "16 of 16"
    assert contents(root / "out") == before
    # A part of the methods is no other benchmark, nor are more processes, nor words by commas.
    assert kept(pair(root, "lr2ppo,listnet", "--dataset", "tiny", "--processes", "3"),
                capsys) == "10 of 10"  # fmt: skip
    assert contents(root / "out") == before


@pytest.mark.parametrize(
    ("words", "other"),
    [
        (["--dataset", "tiny", "--percent", "20"], "percent"),
        (["--dataset", "tiny", "--space", "layers"], "space"),
        (["--dataset", "tiny", "--scaling", "standard"], "scaling"),
        (["--dataset", "tiny", "--protocol", "released"], "protocol, space, percent, scaling"),
    ],
)
def test_one_folder_holds_results_of_one_choice(root, words, other, capsys):
    before = contents(root / "out")
    said = refused(pair(root, "lambdamart", *words), capsys, empty=False)
    assert f"holds results of other sets or options ({other} differ)" in said
    assert contents(root / "out") == before


@pytest.mark.parametrize("name", ["source.txt", "b.txt"])
def test_nor_of_other_files(root, name, capsys):
    before = contents(root / "out")
    first = int((root / name).read_text().split("qid:")[1].split()[0])
    (root / name).write_text(lines(99, first, 6, 6 if name == "source.txt" else 4))
    said = refused(pair(root, "lambdamart", "--dataset", "tiny"), capsys, empty=False)
    assert f"({'source' if name == 'source.txt' else 'target'} differ)" in said
    after = contents(root / "out")  # beside it, the new file is in the cache
    assert {name: content for name, content in after.items() if name in before} == before


def test_a_source_that_holds_what_is_tested_is_refused(files, capsys):
    """Also where it is a part of a file, or packed: bytes say nothing."""
    both = (files / "a.txt").read_text() + lines(7, 201, 5, 4)
    (files / "source.txt").write_text(both)
    said = refused(pair(files, "lambdamart"), capsys)
    assert "source.txt: " in said
    assert "54 of the 59 rows of b.txt and a.txt that choose or are tested in fold 1" in said


def test_files_elsewhere_with_the_same_bytes_are_the_same(root, tmp_path, capsys):
    moved = fill(tmp_path / "moved")
    shutil.move(root / "out", moved / "out")
    assert kept(pair(moved, *NAMES, "--dataset", "tiny"), capsys) == "16 of 16"


# What goes wrong.


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nosuch"], "no method 'nosuch'; there are: best-feature"),
        (["listnet", "--regimes", "R2"], "listnet: is of R0 and R1, not of R2"),
        (["best-feature", "--space", "layers"], "best-feature: is of R0, not of R1 or R2"),
        (["--folds", "9"], "--folds 9: there are the folds 1 to 2"),
        (["--folds", "0"], "--folds 0: there are the folds 1 to 2"),
        (["--parts", "1"], "--parts 1: give 2 to 4096"),
        (["--processes", "0"], "--processes 0: give 1 to 4096"),
        (["--seeds", "0"], "--seeds 0: give 1 to 4096"),
        (["--percent", "7"], "percent"),
        (["--space", "layers", "--regimes", "R0"], "--space layers: in R0 nothing trains"),
        (["--protocol", "released", "--space", "same"], "--space: the released protocol"),
        (["--protocol", "released", "--percent", "10"], "--percent: the released protocol"),
        (["--protocol", "released", "--scaling", "log"], "--scaling: the released protocol"),
        (["--device", "cuda"], "cuda"),
    ],
)
def test_wrong_options_are_one_message(files, words, message, capsys):
    if "cuda" in words:
        import torch

        if torch.cuda.is_available():
            pytest.skip("a GPU is here")
    said = refused(pair(files, *words), capsys)
    assert message in said
    assert not (files / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--protocol", "released"], "--protocol: is about two sets"),
        (["--space", "principal"], "--space: is about two sets"),
        (["--percent", "10"], "--percent: is about two sets"),
        (["--regimes", "R0", "R1"], "--regimes: is about two sets"),
        (["lr2ppo"], "lr2ppo: is of R2, not of R0"),
    ],
)
def test_what_needs_a_source_says_so(files, words, message, capsys):
    said = refused(bench(files, *words), capsys)
    assert message in said and "--source" in said
    assert not (files / "out").exists()


def test_without_a_target_nothing_is_tested(files, capsys):
    said = refused(["letor", "bench", "--out", str(files / "out")], capsys)
    assert "--target: say what is tested" in said


def zeros(text: str) -> str:
    return "".join("0" + line[1:] for line in text.splitlines(True))


def test_a_set_without_relevant_documents_is_refused_before_anything_is_trained(tmp_path, capsys):
    fold = tmp_path / "set" / "Fold1"
    fold.mkdir(parents=True)
    for i, part in enumerate(("train", "vali", "test")):
        (fold / f"{part}.txt").write_text(lines(i, 10 * i, 3, 4))
    words = ["letor", "bench", "--target", str(fold.parent), "--out", str(tmp_path / "out")]
    kept = (fold / "vali.txt").read_text()
    (fold / "vali.txt").write_text(zeros(kept))
    assert (
        "vali.txt: of fold 1, the queries that weights are chosen by (3) have no relevant document"
        in refused(words, capsys)
    )
    (fold / "vali.txt").write_text(kept)
    (fold / "test.txt").write_text(zeros((fold / "test.txt").read_text()))
    assert "test.txt: no document that is tested is relevant" in refused(words, capsys)


def test_files_without_grades_are_refused_by_name(files, capsys):
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    np.savez(files / "bare.npz", X=x, qid=np.array([51, 51, 52, 52, 53, 53]))
    words = ["letor", "bench", "best-feature", "--out", str(files / "out"), "--target"]
    said = refused([*words, str(files / "bare.npz"), "--parts", "3"], capsys)
    assert "bare.npz: has no grades, so nothing can be learned or scored" in said


def test_files_that_do_not_fit_are_told_by_name(files, capsys):
    """Before anything is trained."""
    words = ["letor", "bench", "best-feature", "--out", str(files / "out"), "--target"]
    for more, message in [
        ([str(files / "nosuch.txt"), str(files / "a.txt")], "nosuch.txt"),
        ([str(files)], "has no folders Fold1, Fold2"),
        ([str(files / "a.txt"), "--parts", "9"], "a.txt: 8 queries cannot be cut into 9 parts"),
        ([str(files / "a.txt"), str(files / "a.txt")], "a.txt: query 1 is in a.txt too"),
        ([str(files / "a.txt"), str(files / "source.txt")], "files of one set have the same"),
    ]:
        assert message in refused([*words, *more], capsys), more


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("same", "--space same: source.txt has 6 features and b.txt 4"),
        ("named", "--space named: source.txt has 6 features; what they are is known of"),
    ],
)
def test_a_space_that_does_not_fit_is_refused(files, space, message, capsys):
    words = pair(files, "best-feature", "lr2ppo-reward", "--space", space, "--folds", "1")
    assert message in refused(words, capsys)


def test_two_benchmarks_do_not_write_into_one_folder(files, capsys):
    out = files / "out"
    out.mkdir()
    with (out / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = refused(bench(files, "best-feature"), capsys)
    assert f"{out}: another benchmark writes here" in said


def test_tested_documents_are_those_that_rankers_score(trained):
    """A ranker of a fold, loaded again, gives the kept scores on its own test part."""
    from baselines.letor.study import Setting, fold_seen
    from baselines.letor.work import Job, ranker_folder

    target, source = (trained / "a.txt", trained / "b.txt"), (trained / "source.txt",)
    setting = Setting(target, source, None, "honest", None, "log", 10, 5)
    for method, regime in (("listnet", "R1"), ("lr2ppo", "R2"), ("lambdamart", "R0")):
        for fold in (1, 2):
            seen = fold_seen(setting, fold, METHODS[method].trees)
            kind = type(METHODS[method].make(_machine(), 2, {}))
            job = Job(fold, method, regime, 0)
            ranker = kind.load(ranker_folder(trained / "out", job))
            scores = np.concatenate([ranker.score(record) for record in seen.test])
            assert np.array_equal(scores, np.load(trained / "out" / "scores" / f"{job.name}.npy"))


def _machine():
    from baselines.learning.machine import Machine

    return Machine()
