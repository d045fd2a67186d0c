"""`lrmovienet bench` on a small workspace: what it trains, keeps, tells and refuses."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_corpus import Pictures, Words, fill, write_table

from baselines.benchmark.pool import Pool
from baselines.benchmark.work import Done, Task, seconds_of
from eval.leaderboard import main as leaderboard
from eval.result import read
from lrmovienet.cli import main
from lrmovienet.encode import encode
from lrmovienet.workspace import Workspace

METHODS = ["random", "prior", "lr2ppo-base"]
WORDS = [
    ",".join(METHODS), "--seeds", "2", "--trials", "2", "--processes", "2", "--given",
    "lr2ppo-base.epochs=1",
]  # fmt: skip


def bench(root: Path, *words: str) -> list[str]:
    return ["bench", *words, "--workspace", str(root)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """A workspace whose splits say that they are strict. It is only read."""
    workspace = fill(tmp_path_factory.mktemp("corpus") / "w", films=24)
    workspace.rewrite(replace(workspace.require("records"), config={"protocol": "strict"}))
    return workspace.root


@pytest.fixture(scope="module")
def done(corpus, tmp_path_factory) -> Path:
    """A workspace in which a benchmark was run: floors, and stage 1 with two trials."""
    root = Path(shutil.copytree(corpus, tmp_path_factory.mktemp("done") / "w"))
    words = [*WORDS, "--dataset", "tiny", "--revision", "7", "--protocol", "strict"]
    assert main(bench(root, *words)) == 0
    return root


@pytest.fixture
def root(corpus, tmp_path) -> Path:
    return Path(shutil.copytree(corpus, tmp_path / "w"))


def results(root: Path) -> dict[str, dict]:
    """What came of a benchmark, but for what the clock says."""
    found = {}
    for path in sorted((root / "bench").glob("**/*.json")):
        content = json.loads(path.read_bytes())
        content.pop("seconds", None)
        for run in content.get("runs", ()):
            for name in ("seconds", "seconds_before", "date"):
                del run["training"][name]
        found[path.name] = content
    return found


def refused(root: Path, *words: str, capsys) -> str:
    """A benchmark that must not begin, and its one message."""
    capsys.readouterr()
    try:
        code = main(bench(root, *words))
    except SystemExit as left:
        code = left.code
    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    assert said.err.count("error:") == 1 and "Traceback" not in said.err
    assert not (root / "rankers").exists() and not (root / "bench").exists()
    return said.err


# What it makes.


def test_rankers_predictions_and_results_of_all(done):
    names = {"random.R0.s0", "random.R0.s1", "prior.R0.s0", "lr2ppo-base.R0.s0",
             "lr2ppo-base.R0.s1"}  # fmt: skip
    assert {path.stem for path in (done / "bench").glob("*.json")} == names
    assert {path.name for path in (done / "rankers").iterdir()} == {f"bench.{n}" for n in names}
    tested = done / "predictions" / "target_test"
    assert {path.name for path in tested.iterdir()} == {f"bench.{n}" for n in names}
    assert {path.stem for path in (done / "bench" / "logs").glob("*.log")} == names | {
        "lr2ppo-base.R0.t0", "lr2ppo-base.R0.t1",
    }  # fmt: skip


def test_a_result_says_what_it_is_of(done):
    path = done / "bench" / "lr2ppo-base.R0.s1.json"
    result = read(path)
    assert path.stat().st_size < 8000
    about = result.about
    assert (about.dataset, about.revision, about.protocol, about.regime) == (
        "tiny", "7", "strict", "R0",
    )  # fmt: skip
    (run,) = result.runs
    assert run.name == "bench.lr2ppo-base.R0.s1"
    told = run.training
    assert (told.method, told.seed, told.trials) == ("lr2ppo-base", 1, 2)
    assert told.published == "LR2PPO (S1)"
    manifest = json.loads((done / "rankers" / run.name / "manifest.json").read_bytes())
    assert told.ranker == manifest["digest"]
    assert manifest["options"]["machine"]["seed"] == 1 and manifest["options"]["epochs"] == 1
    assert told.options["epochs"] == "1"
    assert told.command.startswith("lrmovienet train lr2ppo-base --epochs 1")
    assert told.command.endswith("--seed 1") and str(done) not in path.read_text()
    assert told.seconds == seconds_of(Workspace(done), run.name)[0] > 0
    assert told.seconds_before == 0
    import safetensors.torch

    weights = safetensors.torch.load_file(done / "rankers" / run.name / "model.safetensors")
    assert told.parameters == sum(w.numel() for w in weights.values())
    prior = read(done / "bench" / "prior.R0.s0.json").runs[0].training
    assert (prior.seed, prior.trials, prior.parameters) == (None, 0, None)


def test_the_score_is_that_of_the_scorer(done, capsys):
    """The same predictions through `lrmovienet score`, as a person runs it."""
    out = done.parent / "own.json"
    tested = done / "predictions" / "target_test" / "bench.lr2ppo-base.R0.s0"
    words = ["score", "--workspace", str(done), "--predictions", f"x={tested}"]
    assert main([*words, "--json", str(out)]) == 0
    own, ours = (read(p) for p in (out, done / "bench" / "lr2ppo-base.R0.s0.json"))
    assert own.runs[0].measures == ours.runs[0].measures
    assert own.runs[0].by_film == ours.runs[0].by_film
    assert own.references == ours.references


def test_all_is_kept_where_nothing_changed(done, capsys):
    before = {path: path.stat().st_mtime_ns for path in done.rglob("*") if path.is_file()}
    words = [*WORDS, "--dataset", "tiny", "--revision", "7"]
    assert main(bench(done, *words)) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "7 of 7 trainings were done before"
    after = {path: path.stat().st_mtime_ns for path in done.rglob("*") if path.is_file()}
    locks = {path for path in before if path.name.endswith(".lock")}
    assert {p: t for p, t in after.items() if p not in locks} == {
        p: t for p, t in before.items() if p not in locks
    }


def test_the_table_of_its_results(done, capsys):
    assert leaderboard([str(done / "bench")]) == 0
    text = capsys.readouterr().out
    row = next(line for line in text.splitlines() if line.startswith("| lr2ppo-base "))
    cells = [cell.strip() for cell in row.split("|")]
    assert cells[8:10] == ["2", "2"] and cells[13] == ".633 .602 .606 .667 .802"
    means = [
        read(done / "bench" / f"lr2ppo-base.R0.s{s}.json").runs[0].measures["ndcg@20"].mean
        for s in (0, 1)
    ]
    mean, spread = np.mean(means), np.std(means, ddof=1)
    assert f"{mean:.3f} ± {spread:.3f}".replace("0.", ".") in cells[7].replace("*", "")
    assert "| prior |" in text and "| – | 0 | – |" in text


# Tuning.


def test_trials_choose_the_options_of_the_runs(done):
    trials = [json.loads((done / "bench" / "trials" / f"lr2ppo-base.R0.t{i}.json").read_bytes())
              for i in (0, 1)]  # fmt: skip
    assert trials[0]["options"] == {} and trials[1]["options"].keys() == {"beta", "learning_rate"}
    best = max(trials, key=lambda trial: trial["score"])
    for seed in (0, 1):
        told = read(done / "bench" / f"lr2ppo-base.R0.s{seed}.json").runs[0].training
        chosen = {name: str(value) for name, value in best["options"].items()}
        assert told.options == {"epochs": "1", **chosen}
    # A trial's score is its NDCG@20 on target_dev, and nothing of it is left but that.
    assert not list((done / "rankers").glob("*.t*"))
    assert not list((done / "predictions" / "target_dev").glob("*"))
    same = max(range(2), key=lambda i: trials[i]["score"])
    assert trials[same]["score"] == pytest.approx(_dev_score(done, "bench.lr2ppo-base.R0.s0"))


def _dev_score(root: Path, ranker: str) -> float:
    """NDCG@20 on target_dev by the training's own measure: the weights it chose had the best."""
    lines = (root / "rankers" / ranker / "metrics.jsonl").read_text().splitlines()
    return max(json.loads(line).get("dev_ndcg@20", 0.0) for line in lines)


@pytest.mark.slow
def test_tuning_sees_nothing_of_the_test(done, root, capsys):
    """Where target_test has no grades, trials come to the same, and only then the runs fail."""
    workspace = Workspace(root)
    rows = workspace.read("records").to_pylist()
    for row in rows:
        if row["split"] == "target_test":
            row["grade"] = None
    write_table(workspace, "records", rows)
    encode(workspace, Words(), Pictures(), 16)
    assert main(bench(root, "lr2ppo-base", *WORDS[1:])) == 2
    said = capsys.readouterr()
    assert "2 of 4 trainings failed; the other 2 are done" in said.err
    for i in (0, 1):
        name = f"lr2ppo-base.R0.t{i}.json"
        found, usual = (results(where)[name] for where in (root, done))
        assert (found["score"], found["options"]) == (usual["score"], usual["options"])
    assert not list((root / "bench").glob("*.json"))


# What goes wrong.


def test_a_method_that_fails_stops_no_other(root, capsys):
    words = ["prior", "preference", "--seeds", "2", "--given", "lr2ppo-base.epochs=0"]
    assert main(bench(root, *words)) == 2
    said = capsys.readouterr()
    assert [line.split(":")[0] for line in said.out.splitlines()] == [
        "lr2ppo-base R0 seed 0", "lr2ppo-base R0 seed 1", "prior R0 seed 0",
    ]  # fmt: skip
    heading, *lines = said.err[said.err.index("lrmovienet bench: error") :].splitlines()
    assert heading == (
        "lrmovienet bench: error: 2 of 5 trainings failed, and 2 that wait for them were not "
        "tried; the other 1 are done. Put it right and run the same command again."
    )
    log = root / "bench" / "logs" / "lr2ppo-base.R0.s1.log"
    assert (
        lines[1]
        == f"  lr2ppo-base R0 seed 1: --epochs 0: give 1 or more, 1e+09 at most. (log: {log})"
    )
    assert "--epochs 0: give 1 or more" in log.read_text()
    assert {path.stem for path in (root / "bench").glob("*.json")} == {"prior.R0.s0"}


@pytest.mark.slow
def test_trials_that_all_fail_are_tried_again(root, capsys):
    rate = "lr2ppo-base.learning_rate=1e30"
    words = ["lr2ppo-base", "--seeds", "1", "--trials", "2", "--given", rate]
    assert main(bench(root, *words)) == 2
    said = capsys.readouterr()
    assert "lr2ppo-base R0 seed 0: none of its trials came to anything: stage 1: the" in said.err
    assert not list((root / "bench" / "trials").glob("*.json"))


def test_a_process_that_dies_fails_its_task_alone(root):
    def task(method: str, *words: str) -> Task:
        return Task(
            root, f"bench.{method}", f"train {method}",
            (f"--workspace={root}", f"--name=bench.{method}", *words),
            root / f"{method}.json", root / f"{method}.log",
            {"method": method, "regime": "R0", "trial": 0, "options": {}, "key": "k"}, {}, True,
        )  # fmt: skip

    with Pool(1, 0) as pool:
        assert pool.free == 1
        pool.give(task("lr2ppo-base", "--epochs=1000"))
        assert pool.free == 0
        pool.workers[0].process.kill()
        ((_, killed),) = pool.wait()
        assert killed == Done(None, None, "its process was ended by SIGKILL (out of memory?)")
        pool.give(task("prior"))
        ((told, came),) = pool.wait()
    assert (told.ranker, came.failure) == ("bench.prior", "")
    assert 0 < came.score < 1
    assert json.loads((root / "prior.json").read_bytes())["score"] == came.score


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nosuch"], "no method 'nosuch'; there are: random"),
        (["prior", "--regimes", "R3"], "regimes"),
        (["lr2ppo", "--regimes", "R0"], "lr2ppo: is of R2, not of R0"),
        (["prior", "--protocol", "paper"], "the splits of {root} are of the protocol strict"),
        (["prior", "--seeds", "0"], "--seeds 0: give 1 to 4096"),
        (["prior", "--trials", "-1"], "--trials -1: give 0 to 4096"),
        (["prior", "--processes", "0"], "--processes 0: give 1 to 4096"),
        (["prior", "--given", "prior.epochs"], "give METHOD.OPTION=VALUE"),
        (["prior", "--given", "prior.epochs=3"], "epochs"),
        (["lr2ppo-base", "--given", "lr2ppo-base.epochs=many"], "epochs"),
    ],
)
def test_wrong_options_are_one_message(root, capsys, words, message):
    said = refused(root, *words, capsys=capsys)
    assert message.format(root=root) in said


def test_a_workspace_without_records_is_refused(tmp_path, capsys):
    assert "no table 'records' here yet" in refused(tmp_path / "w", "prior", capsys=capsys)


def test_two_benchmarks_do_not_write_into_one_folder(root, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    with (out / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(bench(root, "prior", "--out", str(out))) == 2
    assert f"{out}: another benchmark writes here" in capsys.readouterr().err


# Kept or made again.


@pytest.mark.slow
def test_what_changed_is_made_again_and_nothing_else(done, tmp_path, capsys):
    root = Path(shutil.copytree(done, tmp_path / "w"))
    words = ["random", "prior", "--seeds", "2", "--dataset", "tiny", "--revision", "7"]

    def kept(*more: str) -> str:
        capsys.readouterr()
        assert main(bench(root, *words, *more)) == 0
        return capsys.readouterr().out.splitlines()[-2]

    assert kept() == "3 of 3 trainings were done before"
    path = root / "bench" / "prior.R0.s0.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    assert kept() == "2 of 3 trainings were done before"
    assert read(path).runs == read(done / "bench" / path.name).runs
    # Another seed is one more; another dataset's name is in all of them.
    words[3] = "3"
    assert kept() == "3 of 4 trainings were done before"
    words[5] = "huge"
    assert "were done before" not in kept()
    assert {read(p).about.dataset for p in (root / "bench").glob("random*.json")} == {"huge"}


@pytest.mark.slow
def test_a_start_that_another_benchmark_replaced_is_trained_again(done, tmp_path, capsys):
    """Rankers of one name lie in one place, whichever --out their results go to."""
    root = Path(shutil.copytree(done, tmp_path / "w"))
    same = ["preference", "--seeds", "1", "--dataset", "tiny", "--revision", "7",
            "--given", "preference.epochs=1"]  # fmt: skip
    other = ["lr2ppo-base", "--seeds", "1", "--out", str(tmp_path / "other")]
    first, base = [*same, "lr2ppo-base.epochs=1"], root / "rankers" / "bench.lr2ppo-base.R0.s0"
    assert main(bench(root, *first)) == 0
    before = (base / "manifest.json").read_bytes()
    assert main(bench(root, *other, "--given", "lr2ppo-base.epochs=2")) == 0
    assert (base / "manifest.json").read_bytes() != before
    capsys.readouterr()
    assert main(bench(root, *first)) == 0
    assert "lr2ppo-base R0 seed 0: NDCG@20" in capsys.readouterr().out
    assert (base / "manifest.json").read_bytes() == before


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_one_process_makes_what_two_do(done, root):
    words = [*WORDS, "--processes", "1", "--dataset", "tiny", "--revision", "7"]
    assert main(bench(root, *words)) == 0
    assert results(root) == results(done)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("ended", [signal.SIGKILL, signal.SIGINT])
def test_a_benchmark_that_was_ended_goes_on_to_the_same(done, root, ended):
    command = [sys.executable, "-m", "lrmovienet", *bench(root, *WORDS)]
    command += ["--dataset", "tiny", "--revision", "7"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
            # Ctrl-C is not listened to in what a script started in the background.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip

    for what in ("trials/*.json", "*.json"):
        process = start()
        deadline = time.monotonic() + 120
        while not list((root / "bench").glob(what)) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(ended)
        process.communicate(timeout=60)
        assert process.returncode == (130 if ended == signal.SIGINT else -9)
    process = start()
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert "of 7 trainings were done before" in out
    assert results(root) == results(done)
    assert not list((root / ".building").rglob("*.*"))
