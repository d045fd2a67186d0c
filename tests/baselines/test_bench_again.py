"""`lrmovienet bench` beside others, and where trials or earlier results are not what they were."""

import fcntl
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_corpus import fill

from baselines.benchmark.methods import METHODS
from eval.result import read
from lrmovienet.cli import main


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """A workspace that is only read."""
    return fill(tmp_path_factory.mktemp("corpus") / "w", films=24).root


@pytest.fixture
def root(corpus, tmp_path) -> Path:
    return Path(shutil.copytree(corpus, tmp_path / "w"))


def bench(root: Path, *words: str) -> int:
    return main(["bench", *words, "--workspace", str(root)])


@pytest.fixture
def rates(monkeypatch) -> None:
    """A space of three rates for stage 1: one that cannot be, the usual one, and another."""
    method = replace(METHODS["lr2ppo-base"], search={"learning_rate": (1e30, 1e-3, 3e-3)})
    monkeypatch.setitem(METHODS, "lr2ppo-base", method)


STAGE_1 = ["lr2ppo-base", "--seeds", "1", "--trials", "3", "--given", "lr2ppo-base.epochs=1"]


def trials(root: Path) -> dict[str, dict]:
    folder = root / "bench" / "trials"
    return {path.stem: json.loads(path.read_bytes()) for path in folder.glob("*.json")}


@pytest.mark.slow
def test_a_trial_that_diverges_is_an_answer_and_leaves_nothing(root, rates, capsys):
    assert bench(root, *STAGE_1) == 0
    found = trials(root)
    assert len(found) == 3 and found["lr2ppo-base.R0.t0"]["options"] == {}
    drawn = {trial["options"].get("learning_rate"): trial for trial in found.values()}
    assert drawn.keys() == {None, 1e30, 3e-3}, "the usual rate is not drawn again"
    assert drawn[1e30]["score"] is None and "Try a lower" in drawn[1e30]["failure"]
    told = read(root / "bench" / "lr2ppo-base.R0.s0.json").runs[0].training
    best = max((None, 3e-3), key=lambda rate: drawn[rate]["score"])
    usual = {} if best is None else {"learning_rate": str(best)}
    assert (told.options, told.trials) == ({"epochs": "1"} | usual, 3)
    assert not list((root / ".building" / "rankers").glob("bench.*"))


def test_a_trial_that_another_run_keeps_out_fails_its_method(root, capsys):
    """It says nothing of the options, so that they do not count as tried."""
    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert bench(root, *STAGE_1) == 2
    said = capsys.readouterr()
    why = f"{root}: another lrmovienet run is writing here."
    assert f"lr2ppo-base R0 trial 0: failed: {why}" in said.out
    assert "3 of 4 trainings failed, and 1 that wait for them were not tried" in said.err
    assert said.err.count(why) == 3
    assert not list((root / "bench").glob("**/*.json"))


@pytest.mark.slow
def test_trials_of_other_options_are_made_again(root, rates, capsys):
    assert bench(root, *STAGE_1) == 0
    before = trials(root)
    path = root / "bench" / "trials" / "lr2ppo-base.R0.t0.json"
    path.write_text(json.dumps(before[path.stem] | {"options": {"nosuch": 3}, "score": 9.0}))
    assert bench(root, *STAGE_1) == 0
    after = trials(root)
    assert after[path.stem]["score"] == before[path.stem]["score"]
    assert after[path.stem]["options"] == {}


def test_two_benchmarks_do_not_train_in_one_workspace(root, tmp_path, capsys):
    (root / ".locks").mkdir(exist_ok=True)
    with (root / ".locks" / "bench.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert bench(root, "prior", "--out", str(tmp_path / "other")) == 2
    said = capsys.readouterr()
    assert f"error: {root}: another benchmark trains here. Wait for it." in said.err
    assert said.out == "" and not (root / "rankers").exists()
    assert bench(root, "prior", "--out", str(tmp_path / "other")) == 0


def test_old_results_of_more_seeds_do_not_stand_beside_new_ones(root, capsys):
    def there() -> set[str]:
        return {path.stem for path in (root / "bench").glob("*.json")}

    def run(*words: str) -> str:
        capsys.readouterr()
        assert bench(root, "random", "prior", *words) == 0
        return capsys.readouterr().out

    three = {"random.R0.s0", "random.R0.s1", "random.R0.s2", "prior.R0.s0"}
    run("--seeds", "3")
    assert there() == three
    assert "removed" not in run("--seeds", "1")
    assert there() == three, "they are of the same options still"
    said = run("--seeds", "2", "--revision", "8")
    assert there() == three - {"random.R0.s2"}
    path = root / "bench" / "random.R0.s2.json"
    assert said.count("removed") == 1 and f"{path}: removed; it is of other data" in said
    assert {read(path).about.revision for path in (root / "bench").glob("*.json")} == {"8"}


def test_a_method_that_draws_nothing_any_more_is_one_run(root, monkeypatch, capsys):
    assert bench(root, "random", "--seeds", "2") == 0
    monkeypatch.setitem(METHODS, "random", replace(METHODS["random"], seeded=False))
    assert bench(root, "random", "--seeds", "2") == 0
    (path,) = (root / "bench").glob("*.json")
    assert (path.stem, read(path).runs[0].training.seed) == ("random.R0.s0", None)


@pytest.mark.slow
def test_options_without_effect_are_taken(root, capsys):
    words = ["--seeds", "1", "--given", "lr2ppo-base.epochs=1", "lr2ppo-base.workers=1"]
    assert bench(root, "lr2ppo-base", *words) == 0
    told = read(root / "bench" / "lr2ppo-base.R0.s0.json").runs[0].training
    assert told.options == {"epochs": "1"}


# What draws and what does not.

SEEDED = {
    "random": [], "lr2ppo-base": ["epochs=1"], "listnet": ["epochs=1"], "gsf": ["epochs=1"],
    "setrank": ["epochs=1"],
}  # fmt: skip


@pytest.mark.slow
def test_two_seeds_of_a_method_that_draws_differ(root):
    told = [f"{name}.{option}" for name, options in SEEDED.items() for option in options]
    words = ["--regimes", "R0", "--seeds", "2", "--given", *told]
    assert bench(root, *SEEDED, *words) == 0
    for name in SEEDED:
        assert METHODS[name].seeded
        runs = [read(root / "bench" / f"{name}.R0.s{seed}.json").runs[0] for seed in (0, 1)]
        assert runs[0].sha256 != runs[1].sha256
        assert runs[0].training.ranker != runs[1].training.ranker


@pytest.mark.slow
def test_two_seeds_of_trees_do_not_differ(root):
    pytest.importorskip("lightgbm")
    assert not METHODS["lambdamart"].seeded
    found = []
    for seed in ("0", "1"):
        words = ["--trees", "5", "--min_data", "2", "--seed", seed, "--name", f"t{seed}"]
        assert main(["train", "lambdamart", *words, "--workspace", str(root)]) == 0
        assert main(["predict", "--ranker", f"t{seed}", "--workspace", str(root)]) == 0
        found.append({
            path.name: path.read_bytes()
            for path in (root / "predictions" / "target_test" / f"t{seed}").glob("*.parquet")
        })  # fmt: skip
    assert found[0] and found[0] == found[1]
