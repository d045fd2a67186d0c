"""What the benchmark plans: methods, draws of options, and what waits for what."""

import itertools
import json
import math
import shutil
from dataclasses import fields, replace
from pathlib import Path

import pytest

from baselines.benchmark.jobs import Job, chosen, draws, jobs, starting_point, waits_for
from baselines.benchmark.methods import METHODS, Method
from baselines.benchmark.usual import usual_options
from baselines.benchmark.work import config_of, parameters, plain_options
from eval.published import PUBLISHED
from lrmovienet.cli import main
from lrmovienet.errors import UserError
from lrmovienet.verbs import VERBS

ALL = ["R0", "R1", "R2"]
TUNED = [name for name, method in METHODS.items() if method.search]


def words(options):
    return tuple(f"--{name}={str(v).lower() if isinstance(v, bool) else v}"
                 for name, v in options.items())  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_a_verb_that_takes_what_it_is_told(name):
    method = METHODS[name]
    assert method.verb in VERBS and method.verb.startswith("train ")
    needed = dict.fromkeys(method.needs, "x")
    for regime, own in method.regimes.items():
        options = {**method.options, **own, **needed}
        config = config_of(method.verb, words(options))
        known = {field.name for field in fields(config)}
        assert method.starts_from.keys() <= known
        assert not method.seeded or "seed" in known
        if "regime" in known:
            assert config.regime == regime
    for option, values in method.search.items():
        assert len(values) == len(set(values)) >= 2
        assert option not in options, "what is always told cannot be drawn"
    # Each value once, that of an option that has fewer again.
    for i in range(max(map(len, method.search.values()), default=0)):
        drawn = {option: values[i % len(values)] for option, values in method.search.items()}
        told = config_of(method.verb, words({**options, **drawn}))
        assert {option: getattr(told, option) for option in drawn} == drawn
    assert method.published is None or method.published in PUBLISHED


def test_names_are_of_files_and_folders():
    assert all("." not in name and "/" not in name and len(name) < 60 for name in METHODS)
    job = Job("gsf", "R1", 3)
    assert (job.name, job.ranker) == ("gsf.R1.s3", "bench.gsf.R1.s3")
    assert replace(job, trial=2).ranker == "bench.gsf.R1.t2"


def test_what_is_started_from_is_before_it_and_of_one_regime():
    order = list(METHODS)
    for name, method in METHODS.items():
        for of in method.starts_from.values():
            assert order.index(of) < order.index(name)
            assert len(METHODS[of].regimes) == 1


# Draws.


@pytest.mark.parametrize("trials", [1, 2, 8])
def test_every_tuned_method_has_the_same_number_of_trials(trials):
    for name in TUNED:
        for regime in METHODS[name].regimes:
            drawn = draws(name, regime, METHODS[name], trials)
            assert len(drawn) == trials
            assert drawn[0] == {}, "the usual options are tried first"
            assert len({tuple(sorted(d.items())) for d in drawn}) == trials


def test_draws_are_from_the_space_and_the_same_each_time():
    method = METHODS["lr2ppo-base"]
    drawn = draws("lr2ppo-base", "R0", method, 8)
    assert drawn == draws("lr2ppo-base", "R0", method, 8)
    for options in drawn[1:]:
        assert options.keys() == method.search.keys()
        assert all(value in method.search[name] for name, value in options.items())
    assert draws("lr2ppo-base", "R0", method, 3) == drawn[:3], "fewer are the first of more"
    assert draws("another", "R0", method, 8) != drawn
    assert draws("lr2ppo-base", "R1", replace(method, regimes={"R1": {}}), 8) != drawn


def test_a_small_space_is_drawn_whole_but_for_the_usual_options_and_no_space_not_at_all():
    method = Method("train random", {"R0": {}}, search={"seed": (0, 1), "x": (3, 4)})
    drawn = draws("x", "R0", method, 100)
    pairs = [(d["seed"], d["x"]) for d in drawn[1:]]
    assert sorted(pairs) == sorted(itertools.product((0, 1), (3, 4)))
    drawn = draws("x", "R0", replace(method, search={"seed": (0, 1, 2)}), 100)
    assert drawn[0] == {} and sorted(d["seed"] for d in drawn[1:]) == [1, 2]
    assert draws("x", "R0", replace(method, search={}), 100) == []
    assert draws("x", "R0", method, 0) == []


USUAL = {
    "lr2ppo-base": {"learning_rate": 1e-3, "epochs": 6, "beta": 0.3},
    "lr2ppo": {"learning_rate": 3e-4, "iterations": 4, "annotated_weight": 1.0},
    "preference": {"learning_rate": 1e-3, "epochs": 4, "source_pairs": 20},
    "pl-rank": {"learning_rate": 1e-3, "epochs": 4, "temperature": 1.0},
    "lambdamart": {"learning_rate": 0.05, "leaves": 31, "min_data": 50},
    "dcpg": {"learning_rate": 4e-4, "scale": 20.0, "policy_weight": 0.1},
}
"""What trainers do where their verbs are told nothing, as it stands in their configs."""


@pytest.mark.parametrize("name", TUNED)
def test_the_usual_options_are_drawn_once(name):
    method = METHODS[name]
    size = math.prod(map(len, method.search.values()))
    for regime in method.regimes:
        usual = {option: usual_options(method, regime)[option] for option in method.search}
        inside = all(usual[option] in values for option, values in method.search.items())
        drawn = draws(name, regime, method, 1000)
        assert usual not in drawn and len(drawn) == 1 + size - inside
        assert usual == USUAL.get(name, usual)


def test_the_usual_options_are_those_that_are_trained_with(filled, tmp_path):
    """What the ranker of a verb that is told nothing says that it was trained with."""
    root = Path(shutil.copytree(filled.root, tmp_path / "w"))
    assert main(["train", "gsf", "--epochs", "1", "--workspace", str(root)]) == 0
    told = json.loads(next((root / "rankers").glob("gsf*/manifest.json")).read_bytes())["options"]
    usual = usual_options(METHODS["gsf"], "R0")
    assert told["network"]["dropout"] == usual["dropout"]
    assert told["optimisation"]["learning_rate"] == usual["learning_rate"]
    assert told["optimisation"]["weight_decay"] == usual["weight_decay"]


def test_options_that_are_given_are_the_usual_ones():
    method = chosen(["preference"], ALL, {"preference": {"loss": "pl-dpo", "epochs": "7"}})
    usual = usual_options(method["preference"], "R1")
    assert (usual["loss"], usual["epochs"], usual["source_pairs"]) == ("pl-dpo", 7, 1_000_000)


def test_pl_dpo_learns_from_whole_orders_in_all_trials():
    assert set(METHODS["preference-pl-dpo"].search) == {"learning_rate", "epochs"}


# Choosing methods.


def test_what_a_method_starts_from_comes_with_it():
    found = chosen(["lr2ppo"], ["R2"], {})
    assert list(found) == ["lr2ppo-base", "lr2ppo-reward", "lr2ppo"]
    # It is trained in its own regime, whatever regimes were asked for.
    assert list(found["lr2ppo-base"].regimes) == ["R0"]


def test_regimes_are_those_asked_for():
    found = chosen(["listnet", "random"], ["R0"], {})
    assert {name: list(method.regimes) for name, method in found.items()} == {
        "random": ["R0"], "listnet": ["R0"],
    }  # fmt: skip
    assert list(chosen(["listnet"], ALL, {})["listnet"].regimes) == ["R0", "R1"]


def test_all_methods_are_those_that_need_nothing():
    assert list(chosen([], ALL, {})) == [n for n, method in METHODS.items() if not method.needs]


def test_what_a_person_gives_is_not_tuned(monkeypatch):
    method = chosen(["lr2ppo-base"], ALL, {"lr2ppo-base": {"epochs": "3"}})["lr2ppo-base"]
    assert method.regimes == {"R0": {"epochs": "3"}}
    assert "epochs" not in method.search and "learning_rate" in method.search


@pytest.mark.parametrize(
    ("names", "regimes", "told", "message"),
    [
        (["nosuch"], ALL, {}, "no method 'nosuch'; there are: random, "),
        ([], ALL, {"nosuch": {"a": "1"}}, "no method 'nosuch'"),
        (["lr2ppo"], ["R0"], {}, "lr2ppo: is of R2, not of R0"),
        (["needy"], ALL, {}, "needy: has to be told more: --given needy.checkpoint=…"),
    ],
)
def test_what_cannot_be_chosen(monkeypatch, names, regimes, told, message):
    needy = Method("train random", {"R0": {}}, needs=("checkpoint",))
    monkeypatch.setitem(METHODS, "needy", needy)
    with pytest.raises(UserError) as caught:
        chosen(names, regimes, told)
    assert str(caught.value).startswith(message)
    assert "needy" not in chosen([], ALL, {})
    assert "needy" in chosen([], ALL, {"needy": {"checkpoint": "x"}})


# Order.


def test_seeds_trials_and_order():
    methods = chosen(["random", "prior", "listnet", "lr2ppo-base", "preference"], ALL, {})
    found = jobs(methods, seeds=2, trials=3)
    assert len(found) == len(set(found))
    count = {name: sum(j.method == name for j in found) for name in methods}
    # Two regimes; a method without seeds runs once, one without a space has no trials.
    assert count == {
        "random": 2, "prior": 1, "lr2ppo-base": 5, "preference": 5, "listnet": 10,
    }  # fmt: skip
    assert all(job.seed == 0 for job in found if job.trial is not None)
    assert [job.method for job in found[:5]] == ["lr2ppo-base"] * 5, "others start from it"
    assert [job.method for job in found[5:10]] == ["preference"] * 5, "the longest of the others"


def test_what_waits_for_what():
    methods = chosen(["lr2ppo"], ALL, {})
    found = jobs(methods, seeds=2, trials=2)
    waits = {job: waits_for(job, methods, found) for job in found}
    base, reward = Job("lr2ppo-base", "R0", 1), Job("lr2ppo-reward", "R1", 1)
    assert waits[Job("lr2ppo", "R2", 1)] == {
        base, reward, Job("lr2ppo", "R2", 0, 0), Job("lr2ppo", "R2", 0, 1),
    }  # fmt: skip
    assert waits[Job("lr2ppo", "R2", 0, 1)] == {replace(base, seed=0), replace(reward, seed=0)}
    assert waits[base] == {Job("lr2ppo-base", "R0", 0, 0), Job("lr2ppo-base", "R0", 0, 1)}
    assert waits[Job("lr2ppo-base", "R0", 0, 0)] == set()
    # Nothing waits for what is not done, and nothing for itself by others.
    done: set[Job] = set()
    while len(done) < len(found):
        ready = [job for job in found if job not in done and waits[job] <= done]
        assert ready
        done |= set(ready)


def test_a_start_without_seeds_is_the_same_for_all():
    methods = {"a": Method("train a", {"R0": {}}, seeded=False)}
    assert starting_point("a", 3, methods) == Job("a", "R0", 0)


# Facts.


def test_options_that_change_nothing_are_left_out(tmp_path):
    told = ("--workspace=/x", "--name=n", "--seed=2", "--features=/y/z", "--workers=3")
    options = plain_options(config_of("train lr2ppo", (*told, "--reward=a", "--reward=b")))
    assert (options["seed"], options["reward"], options["iterations"]) == (2, ["a", "b"], None)
    assert not {"workspace", "name", "features", "workers", "data", "tensorboard"} & set(options)


def test_parameters_by_hand(tmp_path):
    import safetensors.torch
    import torch

    assert parameters(tmp_path) is None
    (tmp_path / "notes.txt").write_text("no trees here\n")
    assert parameters(tmp_path) is None
    weights = {"a": torch.zeros(2, 3), "b": torch.zeros(4), "c": torch.zeros(())}
    safetensors.torch.save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    assert parameters(tmp_path) == 6 + 4 + 1
    trees = tmp_path / "trees"
    trees.mkdir()
    (trees / "model.txt").write_text("tree\nTree=0\nnum_leaves=31\n\nTree=1\nnum_leaves=7\n")
    assert parameters(trees) == 38


def test_paths_are_not_told():
    class Config:
        pass

    from dataclasses import dataclass

    @dataclass
    class Checkpoint:
        checkpoint: Path

    assert plain_options(Checkpoint(Path("/home/me/clip"))) == {"checkpoint": "clip"}
