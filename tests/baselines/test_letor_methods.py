"""The methods of the documents' benchmark: each can be made, and says truly where it belongs."""

from dataclasses import replace
from itertools import combinations
from typing import get_args

import pytest

from baselines.data import Regime
from baselines.learning.machine import Machine
from baselines.letor.methods import BASE, METHODS, REWARD
from baselines.letor.work import Job, options_of_method
from baselines.ltr.ranker import ListRanker
from eval.published import KS, NOTE_2, TABLE_2

NAMES = list(METHODS)


def made(name: str, levels: int = 2, seed: int = 0):
    return METHODS[name].make(Machine(seed=seed, device="cpu"), levels, {})


@pytest.mark.parametrize("name", NAMES)
def test_a_method_is_made_of_nothing_and_belongs_where_its_ranker_does(name):
    method, ranker = METHODS[name], made(name)
    assert ranker.uses_features
    assert set(method.regimes) <= set(ranker.regimes), "it would be given what it must not see"
    assert len(set(method.regimes)) == len(method.regimes) > 0
    assert set(method.regimes) <= set(get_args(Regime))
    # An order in which results of one regime are never missed: from the least that is seen.
    assert list(method.regimes) == sorted(method.regimes)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_method_starts_from_is_trained_before(name):
    starts = METHODS[name].starts_from
    assert all(NAMES.index(of) < NAMES.index(name) for of in starts)
    assert set(starts) <= {BASE, REWARD}
    for of in starts:
        job = Job(3, name, METHODS[name].regimes[-1], 2).starts_from[of]
        # Its one regime: what a start saw is no more than what the method may see.
        assert job == Job(3, of, METHODS[of].regimes[0], 2)
        assert len(METHODS[of].regimes) == 1
        assert METHODS[of].regimes[0] <= min(METHODS[name].regimes)


def test_a_reward_is_started_from_only_where_pairs_may_be_seen():
    """The reward model learned target pairs: nothing of R0 may start from it."""
    users = {name for name in NAMES if REWARD in METHODS[name].starts_from}
    assert users == {"lr2ppo", "distillation"}
    assert all(METHODS[name].regimes == ("R2",) for name in users)


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_and_the_device_reach_what_draws(name):
    method = METHODS[name]
    ranker = made(name, seed=7)
    config = getattr(ranker, "config", None)
    machine = getattr(config, "machine", None)
    if method.seeded:
        assert (machine.seed, machine.device) == (7, "cpu")
    else:
        assert machine is None
    assert method.trees == (name in ("best-feature", "lambdamart")) == (not method.seeded)


@pytest.mark.parametrize("name", NAMES)
def test_options_are_in_the_key_and_the_seed_is_not(name):
    """Where options change, rankers are trained again; where nothing does, they are kept."""
    found = options_of_method(name, "cpu")
    assert found == options_of_method(name, "cpu")
    if name == "best-feature":
        assert found == {}
        return
    if name == "lambdamart":
        assert found["options"]["seed"] == 0 and "trees" in str(found)
        return
    assert found["config"]["machine"]["device"] == "cpu"
    assert found["config"]["machine"]["seed"] == 0 and "workers" not in found["config"]["machine"]
    assert found["config"]["optimisation"]["learning_rate"] > 0
    if isinstance(made(name), ListRanker):
        assert found["network_config"], "the network's sizes are options, too"


def test_methods_of_other_options_have_other_keys():
    networks = [name for name in NAMES if name != "best-feature"]
    for a, b in combinations(networks, 2):
        if type(made(a)) is type(made(b)) or {a, b} == {"listnet", "gsf-1"}:
            assert options_of_method(a, "cpu") != options_of_method(b, "cpu"), (a, b)


def test_a_variant_is_what_its_name_says():
    losses = {"": "ranknet", "-dpo": "dpo", "-ipo": "ipo", "-hinge": "hinge", "-pl-dpo": "pl-dpo"}
    for suffix, loss in losses.items():
        config = made(f"preference{suffix}").config
        assert config.loss == loss
        assert config.source_pairs == (500 if loss == "pl-dpo" else 20)
    assert made("preference-ipo").config.beta == 0.5
    assert made(BASE).config.loss == "regression"
    assert made("lr2ppo-base-cls").config.loss == "classification"
    assert made("setrank").network_config.inducing == 0
    assert made("setrank-imsab").network_config.inducing == 20


def test_grades_reach_the_network_whose_loss_needs_their_number():
    for name in NAMES:
        ranker = made(name, 4)
        if not isinstance(ranker, ListRanker):
            continue
        if name in ("rankformer", "context"):
            found = [made(name, levels).network_config.levels for levels in (2, 3, 4)]
            assert found == [2, 3, 4]
        else:
            assert ranker.network_config == made(name, 2).network_config


def test_each_row_of_table_2_is_that_of_the_method_of_its_name():
    used = {name: method.published for name, method in METHODS.items() if method.published}
    assert sorted(used.values()) == sorted(TABLE_2)  # each once
    for name, row in used.items():
        assert row.removeprefix("table 2: ").lower() == name


def test_table_2_as_printed():
    """NDCG@1 and @20 of each row once more, by hand, and what cannot be otherwise."""
    ends = {name.removeprefix("table 2: "): (row[0], row[-1]) for name, row in TABLE_2.items()}
    assert ends == {
        "PRM": (0.5726, 0.7603), "DLCM": (0.5983, 0.7744), "ListNet": (0.5449, 0.7467),
        "GSF": (0.6004, 0.7892), "SetRank": (0.5299, 0.7365), "RankFormer": (0.5684, 0.7458),
        "LR2PPO": (0.6496, 0.8240),
    }  # fmt: skip
    assert {len(row) for row in TABLE_2.values()} == {len(KS)}
    best = TABLE_2["table 2: LR2PPO"]
    assert all(all(a <= b for a, b in zip(row, best, strict=True)) for row in TABLE_2.values())
    assert "must not be compared" in NOTE_2 and "counted as 1" in NOTE_2


def test_only_prm_reads_the_vector_of_stage_1_beside_the_features():
    personal = {
        name for name in NAMES
        if isinstance(made(name), ListRanker) and made(name).config.personal
    }  # fmt: skip
    assert personal == {"prm"}
    assert BASE in METHODS["prm"].starts_from


def test_gsf_of_two_takes_few_lists_at_a_time_and_no_other_method_does():
    few = {
        name for name in NAMES
        if isinstance(made(name), ListRanker) and made(name).config.machine.records_at_once == 2
    }  # fmt: skip
    assert few == {"gsf"}
    assert made("gsf").network_config.group == 2 and made("gsf-1").network_config.group == 1
    # But for that, the machine is the one that was given.
    machine = Machine(seed=5, device="cpu")
    changed = METHODS["gsf"].make(machine, 2, {}).config.machine
    assert replace(changed, records_at_once=machine.records_at_once) == machine
