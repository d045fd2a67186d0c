"""Distillation: its teacher, what it learns from it, and where it starts."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_stages import (
    NO_STEP,
    STILL,
    USUAL,
    actor,
    counted,
    data_of,
    fit,
    made_up,
    record,
    reward_model,
    stage,
    weights_of,
)

from baselines.data import Graded, TrainingData
from baselines.distillation import divergence, teacher
from baselines.learning.learner import Learner
from baselines.learning.machine import Machine
from baselines.lr2ppo.actor_ranker import predict
from baselines.lr2ppo.reward import RewardRanker
from lrmovienet.errors import UserError

STEEP = replace(USUAL, learning_rate=1e-2)


@pytest.fixture(scope="module")
def data(filled) -> TrainingData:
    return data_of(filled)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum()


def test_the_teacher_is_the_softmax_of_the_mean_reward_models_borda_scores(data, tmp_path):
    ranker = stage("distillation", STILL, optimisation=NO_STEP, temperature=0.5)
    models = [reward_model(STILL), reward_model(STILL, 2)]
    ranker.rewards = models
    ranker.fit(data, tmp_path)
    expected = []
    for item in (*(item.record for item in data.graded), *data.unlabelled):
        found = []
        for model in models:
            of_model = RewardRanker()
            of_model.model = model
            found.append(of_model.score(item))
        t = softmax(np.mean(found, axis=0) / 0.5)
        s = softmax(predict(actor(STILL), Machine(), [item]))
        expected.append((t * np.log(t / s)).sum())
    assert len(expected) == 12
    for entry in ranker.metrics[1:]:
        assert entry["divergence"] == pytest.approx(np.mean(expected), abs=1e-5)
        assert entry["loss"] == pytest.approx(np.mean(expected), abs=1e-5)  # steps of four each


def test_divergence_by_hand():
    scores = torch.tensor([math.log(2), 0.0, 0.0]).double()
    target = torch.tensor([0.25, 0.25, 0.5]).double()
    expected = 0.25 * math.log(0.5) + 0.25 * math.log(1) + 0.5 * math.log(2)
    assert divergence(target, scores).item() == pytest.approx(expected, abs=1e-6)
    found = teacher(torch.tensor([1.0, 0.0]).double(), 0.5)
    assert found.tolist() == pytest.approx([math.e**2 / (math.e**2 + 1), 1 / (math.e**2 + 1)])
    own = torch.tensor([0.3, -1.0, 2.0]).double()
    assert divergence(teacher(own, 2.0), own / 2 + 7).item() == pytest.approx(0, abs=1e-12)
    for temperature in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="temperature must be above 0"):
            teacher(own, temperature)


def test_it_learns_what_the_reward_model_prefers(data, tmp_path):
    ranker = stage("distillation", STILL, optimisation=STEEP, epochs=15)
    with made_up("distillation", [0.1 * i for i in range(16)]):
        ranker.fit(data, tmp_path)
    assert ranker.metrics[-1]["divergence"] < ranker.metrics[1]["divergence"] / 10


def test_it_starts_where_it_is_told(data, tmp_path):
    base, reward = actor(), reward_model()
    for start in ("base", "reward"):
        ranker = stage("distillation", start=start, optimisation=NO_STEP)
        ranker.fit(data, tmp_path / start)
        kept = weights_of(ranker)
        source = base if start == "base" else reward
        for name, weight in source.trunk.state_dict().items():
            assert torch.equal(kept[f"trunk.{name}"], weight)
        head = base.head if start == "base" else reward.label_score
        assert torch.equal(kept["head.weight"], head.weight)
    ranker = stage("distillation", start="reward")
    ranker.rewards = [reward_model(replace(STILL, pair_scores=False))]
    with pytest.raises(UserError, match="needs a reward model with pair_scores"):
        ranker.fit(data, tmp_path)


def test_annotated_pairs_are_learned_beside_the_teacher(data, tmp_path):
    """The loss is then both; by weight."""
    losses = {}
    for weight in (0.0, 1.0, 3.0):
        ranker = stage(
            "distillation", STILL, optimisation=NO_STEP, annotated_weight=weight, source_pairs=0,
            annotated_a_step=999,
        )  # fmt: skip
        ranker.fit(data, tmp_path / str(weight))
        losses[weight] = ranker.metrics[1]["loss"]
        assert ranker.metrics[1]["divergence"] == pytest.approx(losses[0.0], abs=1e-5)
    gaps = []
    for paired in data.pairs:
        scores = predict(actor(STILL), Machine(), [paired.record])
        gaps += [scores[better] - scores[worse] for better, worse in paired.pairs]
    own = np.mean(np.log1p(np.exp(-np.array(gaps))))
    assert losses[1.0] - losses[0.0] == pytest.approx(own, abs=1e-5)
    assert losses[3.0] - losses[0.0] == pytest.approx(3 * own, abs=1e-5)


def test_clips_of_one_label_are_left_out_and_none_is_an_error(data, tmp_path):
    one = record("a", "x")
    few = replace(data, graded=(Graded(one, np.array([2])),), unlabelled=(one,))
    with pytest.raises(UserError, match="none has two labels"):
        stage("distillation").fit(few, tmp_path)


def test_the_state_of_another_teacher_is_not_taken_over(data, tmp_path):
    fit(stage("distillation"), data, tmp_path / "one")
    other = stage("distillation")
    other.rewards = [reward_model(seed=3)]
    with counted(Learner, "update") as steps:
        fit(other, data, tmp_path / "one")
    assert len(steps) == 6
