"""The control: RankNet on annotated pairs, from stage 1, and the very pairs that stage 2 sees."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from tiny_stages import (
    ALONE,
    CONTROL,
    NO_STEP,
    REWARD,
    STILL,
    USUAL,
    actor,
    check_at_once,
    check_bytes,
    check_killed,
    check_killed_between,
    check_state,
    check_torch,
    counted,
    data_of,
    fit,
    made_up,
    stage,
    weights_of,
)

import baselines.fine_tuning as fine_tuning
from baselines.data import TrainingData
from baselines.learning.machine import Machine
from baselines.learning.running import dev_ndcg
from baselines.lr2ppo.actor_ranker import predict
from baselines.lr2ppo.pairs import PairSteps
from baselines.lr2ppo.presets import PairData
from baselines.preference import PreferenceRanker
from lrmovienet.errors import UserError


@pytest.fixture(scope="module")
def data(filled) -> TrainingData:
    return data_of(filled)


def test_without_a_step_it_is_stage_1(data, tmp_path):
    ranker = stage("preference", optimisation=NO_STEP)
    ranker.fit(data, tmp_path)
    kept, base = weights_of(ranker), actor()
    assert all(torch.equal(kept[name], weight) for name, weight in base.state_dict().items())
    dev = dev_ndcg(partial(predict, base, Machine()), data.dev, ALONE)
    for entry in ranker.metrics:
        assert {name: entry[name] for name in dev} == dev
    assert [(entry["epoch"], entry["step"]) for entry in ranker.metrics] == [(0, 0), (1, 3), (2, 6)]
    assert len({entry["stage"] for entry in ranker.metrics}) == 1


def test_its_loss_is_ranknets_over_the_pairs_of_a_step(data, tmp_path):
    """The mean of log(1 + exp(s_worse − s_better)), and the share that stands right."""
    ranker = stage("preference", STILL, optimisation=NO_STEP)
    with counted(PairSteps, "__call__") as steps:
        ranker.fit(data, tmp_path)
    an_epoch = len(steps) // CONTROL.epochs
    for epoch, entry in enumerate(ranker.metrics[1:]):
        losses, right, count = [], 0, 0
        for step in steps[epoch * an_epoch : (epoch + 1) * an_epoch]:
            of_step = []
            for batch, places, _ in step.parts:
                with torch.no_grad():
                    scores = ranker.actor(batch).tolist()
                gaps = [scores[better] - scores[worse] for better, worse in places]
                of_step += [math.log(1 + math.exp(-gap)) for gap in gaps]
                right += sum(gap > 0 for gap in gaps)
            losses.append(sum(of_step) / len(of_step))
            count += len(of_step)
        assert entry["loss"] == pytest.approx(np.mean(losses), abs=1e-5)
        assert entry["train_accuracy"] == pytest.approx(right / count, abs=1e-12)
        assert 0 < entry["train_accuracy"] < 1


def test_its_loss_falls_until_all_its_pairs_stand_right(data, tmp_path):
    """Of the target's pairs alone, so that every epoch sees the same ones."""
    steep = replace(USUAL, learning_rate=1e-2)
    ranker = stage(
        "preference", STILL, optimisation=steep, source_pairs=0, epochs=20,
        pairs=PairData(True, 99),
    )  # fmt: skip
    with made_up("preference", [0.1 * i for i in range(21)]):
        ranker.fit(data, tmp_path)
    losses = [entry["loss"] for entry in ranker.metrics[1:]]
    assert losses[-1] < 0.1 < losses[0] / 3
    assert ranker.metrics[-1]["train_accuracy"] == 1.0
    for paired in data.pairs:
        scores = ranker.score(paired.record)
        assert (scores[paired.pairs[:, 0]] > scores[paired.pairs[:, 1]]).all()


def test_its_pairs_are_those_of_stage_2_of_the_same_seed(data, tmp_path):
    """Step by step, in the order better, worse; told apart by the features of their labels."""
    assert (CONTROL.pairs, CONTROL.source_pairs) == (REWARD.pairs, REWARD.source_pairs)
    seen = []
    for kind in ("preference", "reward"):
        with counted(PairSteps, "__call__") as steps:
            stage(kind, machine=Machine(seed=3)).fit(data, tmp_path / kind)
        seen.append([(b.text[p[:, 0]], b.text[p[:, 1]]) for s in steps for b, p, _ in s.parts])
    assert len(seen[0]) == len(seen[1]) == 6
    for ours, theirs in zip(*seen, strict=True):
        assert torch.equal(ours[0], theirs[0]) and torch.equal(ours[1], theirs[1])


@pytest.mark.parametrize("best", [0, 1, 2])
def test_keeps_the_epoch_that_is_best_on_dev_also_none(data, tmp_path, best):
    values = [0.5] * 3
    values[best] = 0.6
    ranker = stage("preference")
    with made_up("preference", values) as seen:
        ranker.fit(data, tmp_path)
    kept = weights_of(ranker)
    for i, weights in enumerate(seen):
        assert all(torch.equal(kept[name], weights[name]) for name in kept) == (i == best)
    assert not ranker.actor.training
    for name, weight in actor().state_dict().items():  # stage 1 is as it was
        assert torch.equal(ranker.base.state_dict()[name], weight)


def test_what_is_saved_scores_alike(data, tmp_path):
    ranker = stage("preference")
    fit(ranker, data, tmp_path)
    loaded = PreferenceRanker.load(tmp_path / "saved")
    record = data.dev[0].record
    assert np.array_equal(loaded.score(record), ranker.score(record))
    assert loaded.config == ranker.config and loaded.metrics == ranker.metrics
    for use in (lambda r: r.score(record), lambda r: r.save(tmp_path)):
        with pytest.raises(ValueError, match="neither trained nor loaded"):
            use(stage("preference"))


def test_it_needs_stage_1_and_pairs(data, tmp_path):
    with pytest.raises(ValueError, match="stage 1, which was not given"):
        PreferenceRanker(CONTROL).fit(data, tmp_path)
    with pytest.raises(UserError, match="no pairs to learn from"):
        stage("preference", source_pairs=0).fit(replace(data, pairs=()), tmp_path)
    steep = replace(USUAL, learning_rate=1e30, clip_norm=0.0, warmup=0.0)
    with pytest.raises(UserError, match=r"pairwise control: the loss is .* in step \d of 6"):
        stage("preference", optimisation=steep).fit(data, tmp_path)


# --- What every stage keeps ----------------------------------------------------------------------


def test_same_seed_same_bytes_another_seed_others_and_cores_do_not_matter(data, tmp_path):
    check_bytes("preference", data, tmp_path)


def test_torch_is_made_deterministic_and_left_as_it_was(data, tmp_path):
    check_torch("preference", data, tmp_path)


def test_killed_in_a_step_it_goes_on_and_gives_the_same_bytes(data, tmp_path):
    check_killed_between("preference", data, tmp_path)


def test_killed_while_it_is_judged_it_goes_on_after_the_last_whole_epoch(data, tmp_path):
    """The first judgement is of stage 1 itself, before any step."""
    left = check_killed("preference", data, tmp_path, fine_tuning, "dev_ndcg", [1, 3])
    assert left == [6, 3]


def test_state_of_another_training_is_not_taken_over_and_a_damaged_one_is_named(data, tmp_path):
    check_state("preference", data, tmp_path)


def test_any_number_of_records_at_once_gives_the_same_weights(data, tmp_path):
    check_at_once("preference", data, tmp_path)
