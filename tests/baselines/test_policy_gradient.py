"""PL-Rank and GRPO as controls: what they draw, what it is worth, what they learn."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_stages import (
    ALONE,
    NO_STEP,
    PL_RANK,
    STILL,
    USUAL,
    actor,
    counted,
    data_of,
    made_up,
    record,
    stage,
)

from baselines.data import Graded, Paired, TrainingData
from baselines.fine_tuning import ClipSteps
from baselines.learning.learner import Learner
from baselines.learning.machine import Machine
from baselines.list_rewards import rewarded
from baselines.lr2ppo.actor_ranker import predict
from eval.ndcg import ndcg
from lrmovienet.errors import UserError

STEEP = replace(USUAL, learning_rate=1e-2)


@pytest.fixture(scope="module")
def data(filled) -> TrainingData:
    return data_of(filled)


# --- PL-Rank -------------------------------------------------------------------------------------


def test_the_reward_is_the_mean_ndcg_of_what_was_drawn_and_the_agreement_expected(data, tmp_path):
    """Every draw from seed, step and clip; NDCG by the scorer, of scores that fall along it."""
    ranker = stage("pl-rank", STILL, optimisation=NO_STEP, temperature=0.5)
    ranker.fit(data, tmp_path)
    clips = rewarded(data)
    steps = ClipSteps([c.record for c in clips], PL_RANK.clips_a_step, 6, Machine(), ALONE)
    base, of_step = actor(STILL), []
    for step in range(2 * steps.an_epoch):
        worth = []
        for place in steps.places(step):
            clip = clips[place]
            logits = predict(base, Machine(), [clip.record]) / 0.5
            if clip.pairs is not None:
                gaps = logits[clip.pairs[:, 0]] - logits[clip.pairs[:, 1]]
                worth.append(np.mean(1 / (1 + np.exp(-gaps))))
                continue
            draw = np.random.default_rng([0, 6, step, place])
            keys = logits + draw.gumbel(size=(PL_RANK.samples, len(logits)))
            grades = data.graded[place].grades
            bounds = np.arange(len(keys) + 1) * len(grades)
            worth.append(
                ndcg(keys.ravel(), np.tile(grades, len(keys)), bounds, [10]).mean()
            )  # fmt: skip
        of_step.append(worth)
    for epoch in (0, 1):
        mine = of_step[epoch * steps.an_epoch : (epoch + 1) * steps.an_epoch]
        entry = ranker.metrics[epoch + 1]
        assert entry["reward"] == pytest.approx(np.mean(np.concatenate(mine)), abs=1e-6)
        assert entry["loss"] == pytest.approx(-np.mean([np.mean(w) for w in mine]), abs=1e-6)
    assert ranker.metrics[1]["reward"] != ranker.metrics[2]["reward"]  # other draws


@pytest.mark.parametrize("kind", ["pl-rank", "grpo"])
@pytest.mark.parametrize("domain", ["source", "target"])
def test_policy_gradient_raises_the_reward(data, tmp_path, kind, domain):
    part = replace(data, pairs=()) if domain == "source" else replace(data, graded=())
    # Tempered, for scores of this stage 1 lie so far apart that it draws one ranking only.
    ranker = stage(kind, STILL, optimisation=STEEP, epochs=20, samples=16, temperature=3.0)
    with made_up(kind, [0.1 * i for i in range(21)]):
        ranker.fit(part, tmp_path)
    rewards = [entry["reward"] for entry in ranker.metrics[1:]]
    assert rewards[-1] > 0.9 > rewards[0] + 0.1


def test_what_can_be_learned_from_is_kept_with_the_labels_that_matter():
    x = record("a", "p", "q", "r", "s")
    data = TrainingData(
        (
            Graded(x, np.array([0, 2, 1, 0])), Graded(x, np.array([0, 0, 0, 0])),
            Graded(record("b", "p"), np.array([2])),
        ),
        (), (Paired(x, np.array([[3, 1], [0, 1]])),),
    )  # fmt: skip
    source, target = rewarded(data)
    assert source.record is x and source.pairs is None and source.depth == 4
    assert source.rho.argmax() == 1 and (source.rho > 0).tolist() == [False, True, True, False]
    assert target.rho is None and target.record.labels == ("p", "q", "s") and target.depth == 3
    assert target.pairs.tolist() == [[2, 1], [0, 1]]
    best = torch.tensor([[1, 2, 0, 3], [3, 0, 2, 1]])
    worst = (1 / math.log2(4) + 3 / math.log2(5)) / (3 + 1 / math.log2(3))
    assert source.worth(best).tolist() == pytest.approx([1, worst], abs=1e-12)
    assert target.worth(torch.tensor([[2, 0, 1], [2, 1, 0]])).tolist() == [1, 0.5]
    long = record("a", *map(str, range(14)))
    (clip,) = rewarded(TrainingData((Graded(long, np.arange(14) % 3),), ()))
    assert clip.depth == 10 and (clip.theta > 0).sum() == 10
    with pytest.raises(UserError, match="no ranking is worth more than another"):
        rewarded(replace(data, graded=data.graded[1:], pairs=()))


# --- GRPO ----------------------------------------------------------------------------------------


def test_grpo_is_trained_as_it_acts_with_nothing_dropped_out(data, tmp_path):
    """Its first ratios are 1: nothing is clipped, and of dropout there is none in the weights."""
    modes, real = set(), Learner.update

    def update(learner, losses):
        modes.add((learner.model.training, torch.are_deterministic_algorithms_enabled()))
        return real(learner, losses)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "update", update)
        ranker = stage("grpo", optimisation=NO_STEP)
        ranker.fit(data, tmp_path)
    assert modes == {(False, True)}
    for entry in ranker.metrics[1:]:
        assert entry["clipped"] == 0 and entry["kl"] == pytest.approx(0, abs=1e-9)


def test_grpo_draws_again_after_some_steps(data, tmp_path):
    """Rankings are drawn by the actor of that moment, each clip once an epoch."""
    for steps, draws in ((1, 3), (2, 2), (99, 1)):
        ranker = stage("grpo", steps_a_draw=steps, epochs=1, optimisation=STEEP)
        with counted(ranker, "_drawn") as drawn:
            ranker.fit(data, tmp_path / str(steps))
        assert len(drawn) == draws
        assert sorted(place for groups in drawn for place in groups) == list(range(12))
    ranker = stage("grpo", steps_a_draw=99)
    with counted(ranker, "_drawn") as drawn:
        ranker.fit(data, tmp_path / "epochs")
    assert list(drawn[0]) != list(drawn[1])  # in another order
    clipped = []
    for passes in (1, 4):
        ranker = stage("grpo", STILL, passes=passes, steps_a_draw=1, epochs=1, optimisation=STEEP)
        with counted(Learner, "update") as updates:
            ranker.fit(data, tmp_path / f"passes {passes}")
        assert len(updates) == 3 * passes
        clipped.append(ranker.metrics[1]["clipped"])
    assert clipped[0] == 0 < clipped[1]  # of a fresh draw all ratios are 1
