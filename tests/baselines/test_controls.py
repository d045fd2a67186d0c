"""What the controls that go on from stage 1 share, and what each of them keeps."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from test_lr2ppo_parallel import by_processes, trainings
from tiny_stages import (
    ALONE,
    NO_STEP,
    USUAL,
    actor,
    check_at_once,
    check_bytes,
    check_killed,
    check_killed_between,
    check_state,
    check_torch,
    data_of,
    fit,
    made_up,
    record,
    stage,
    weights_of,
)

import baselines.fine_tuning as fine_tuning
from baselines.data import TrainingData
from baselines.fine_tuning import ClipSteps, scores_of
from baselines.learning.machine import Machine
from baselines.learning.parallel import World
from baselines.learning.running import dev_ndcg
from baselines.lr2ppo.actor_ranker import predict
from lrmovienet.errors import UserError

KINDS = ("distillation", "pl-rank", "grpo")


@pytest.fixture(scope="module")
def data(filled) -> TrainingData:
    return data_of(filled)


# --- Steps over whole clips ----------------------------------------------------------------------


def test_every_clip_is_in_one_step_of_an_epoch_whatever_the_processes():
    records = [record(f"a-{i}", *map(str, range(2 + i % 3))) for i in range(11)]
    alone = ClipSteps(records, 4, 9, Machine(seed=2), ALONE)
    assert alone.an_epoch == 3
    orders = []
    for epoch in (0, 1):
        numbers = range(3 * epoch, 3 * epoch + 3)
        steps = [alone(step) for step in numbers]
        orders.append([place for step in steps for _, places in step.parts for place in places])
        assert sorted(orders[-1]) == list(range(11))
        assert sorted(step.clips for step in steps) == [3, 4, 4]
        for number, step in zip(numbers, steps, strict=True):
            ((batch, places),) = step.parts
            assert places == alone.places(number)
            assert batch.record.tolist() == np.repeat(
                np.arange(len(places)), [len(records[place].labels) for place in places]
            ).tolist()  # fmt: skip
            shared = []
            for rank in (0, 1):
                at_once = Machine(seed=2, records_at_once=1)
                mine = ClipSteps(records, 4, 9, at_once, World(rank, 2))(number)
                assert mine.clips == len(places)
                shared += [place for _, part in mine.parts for place in part]
            assert sorted(shared) == sorted(places)
    assert orders[0] != orders[1]
    other = ClipSteps(records, 4, 8, Machine(seed=2), ALONE)
    assert other.places(0) != alone.places(0)


def test_scores_of_many_records_are_those_of_each():
    records = [record(f"a-{i}", *map(str, range(1 + i % 4))) for i in range(19)]
    network = actor()
    found = scores_of(network, records, Machine(), ALONE)
    for item, scores in zip(records, found, strict=True):
        assert scores == pytest.approx(predict(network, Machine(), [item]), abs=1e-5)


# --- What every control keeps --------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_step_it_is_stage_1(data, tmp_path, kind):
    ranker = stage(kind, optimisation=NO_STEP)
    ranker.fit(data, tmp_path)
    kept, base = weights_of(ranker), actor()
    assert all(torch.equal(kept[name], weight) for name, weight in base.state_dict().items())
    dev = dev_ndcg(partial(predict, base, Machine()), data.dev, ALONE)
    for entry in ranker.metrics:
        assert {name: entry[name] for name in dev} == dev
    assert [(entry["epoch"], entry["step"]) for entry in ranker.metrics] == [(0, 0), (1, 3), (2, 6)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("best", [0, 1, 2])
def test_keeps_the_epoch_that_is_best_on_dev_also_none(data, tmp_path, kind, best):
    values = [0.5] * 3
    values[best] = 0.6
    ranker = stage(kind)
    with made_up(kind, values) as seen:
        ranker.fit(data, tmp_path)
    kept = weights_of(ranker)
    for i, weights in enumerate(seen):
        assert all(torch.equal(kept[name], weights[name]) for name in kept) == (i == best)
    assert not ranker.actor.training
    for name, weight in actor().state_dict().items():  # stage 1 is as it was
        assert torch.equal(ranker.base.state_dict()[name], weight)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_scores_alike(data, tmp_path, kind):
    ranker = stage(kind)
    fit(ranker, data, tmp_path)
    loaded = type(ranker).load(tmp_path / "saved")
    x = data.dev[0].record
    assert np.array_equal(loaded.score(x), ranker.score(x))
    assert loaded.config == ranker.config and loaded.metrics == ranker.metrics


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_starts_from_is_needed_and_a_divergence_is_named(data, tmp_path, kind):
    bare = stage(kind)
    bare.base = None
    with pytest.raises(ValueError, match=r"starts from stages? 1"):
        bare.fit(data, tmp_path)
    steep = replace(USUAL, learning_rate=1e30, clip_norm=0.0, warmup=0.0)
    with pytest.raises(UserError, match=r"Try a lower --learning_rate"):
        stage(kind, optimisation=steep).fit(data, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_bytes_another_seed_others(data, tmp_path, kind):
    check_bytes(kind, data, tmp_path)


@pytest.mark.parametrize("kind", ["distillation", "pl-rank"])
def test_torch_is_made_deterministic_and_left_as_it_was(data, tmp_path, kind):
    check_torch(kind, data, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_killed_it_goes_on_and_gives_the_same_bytes(data, tmp_path, kind):
    check_killed_between(kind, data, tmp_path / "between")
    left = check_killed(kind, data, tmp_path / "judged", fine_tuning, "dev_ndcg", [1, 3])
    assert left == [6, 3]


@pytest.mark.parametrize("kind", KINDS)
def test_state_of_another_training_is_not_taken_over(data, tmp_path, kind):
    check_state(kind, data, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_records_at_once_gives_the_same_weights(data, tmp_path, kind):
    changes = {"annotated_weight": 0.5} if kind == "distillation" else {}
    check_at_once(kind, data, tmp_path, **changes)


@pytest.mark.slow
def test_two_processes_train_as_one(filled, tmp_path):
    """Whether a clip's rankings, its teacher and its score by stage 1 are met in either process."""
    options = {
        "preference": {"loss": "dpo"}, "distillation": {"annotated_weight": 0.5},
        "pl-rank": {}, "grpo": {},
    }  # fmt: skip
    kinds = tuple(options)
    alone = trainings(ALONE, filled.root, kinds, options, tmp_path / "alone")
    both = by_processes(trainings, filled.root, kinds, options, tmp_path)
    for kind in kinds:
        weights, metrics, moved, _ = alone[kind]
        assert moved > 1e-3
        for found, entries, _, _ in (of_rank[kind] for of_rank in both):
            for name, weight in weights.items():
                torch.testing.assert_close(found[name], weight, rtol=0, atol=1e-5, msg=kind)
            for entry, expected in zip(entries, metrics, strict=True):
                assert entry == pytest.approx(expected, abs=1e-5)
