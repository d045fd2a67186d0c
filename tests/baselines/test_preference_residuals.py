"""The control with losses against stage 1: residuals, and that they are learned."""

import math
from dataclasses import replace

import numpy as np
import pytest
from tiny_stages import (
    NO_STEP,
    STILL,
    USUAL,
    actor,
    counted,
    data_of,
    made_up,
    stage,
)

import baselines.fine_tuning as fine_tuning
from baselines.data import TrainingData
from baselines.learning.machine import Machine
from baselines.lr2ppo.actor_ranker import predict
from baselines.lr2ppo.pairs import PairSteps
from baselines.lr2ppo.presets import PairData

STEEP = replace(USUAL, learning_rate=1e-2)


@pytest.fixture(scope="module")
def data(filled) -> TrainingData:
    return data_of(filled)


UNMOVED = {"dpo": math.log(2), "ipo": 4.0, "hinge": 1.0}


@pytest.mark.parametrize("loss", UNMOVED)
@pytest.mark.parametrize("at_once", [0, 2])
def test_an_actor_that_has_not_moved_has_no_residuals(data, tmp_path, loss, at_once):
    """So every label meets its own score by stage 1."""
    ranker = stage(
        "preference", STILL, optimisation=NO_STEP, loss=loss, beta=0.25,
        machine=Machine(records_at_once=at_once),
    )  # fmt: skip
    ranker.fit(data, tmp_path)
    for entry in ranker.metrics[1:]:
        assert entry["loss"] == pytest.approx(UNMOVED[loss], abs=1e-5)


def test_on_lists_each_better_label_is_chosen_among_its_worse_ones(data, tmp_path):
    """Unmoved, a choice among m worse labels costs log(1 + m)."""
    ranker = stage("preference", STILL, optimisation=NO_STEP, loss="pl-dpo", source_pairs=999)
    with counted(PairSteps, "__call__") as steps:
        ranker.fit(data, tmp_path)
    expected, most = [], 0
    for step in steps[: len(steps) // 2]:
        costs = 0.0
        for _, places, _ in step.parts:
            _, counts = np.unique(places[:, 0], return_counts=True)
            most = max(most, counts.max())
            costs += np.log1p(counts).sum()
        expected.append(costs / step.pairs)
    assert most > 2
    assert ranker.metrics[1]["loss"] == pytest.approx(np.mean(expected), abs=1e-5)


def test_a_loss_sees_what_scores_have_moved_and_not_the_scores(data, tmp_path):
    """A second epoch of DPO, by hand, from the weights at the end of the first."""
    ranker = stage(
        "preference", STILL, optimisation=replace(STEEP, schedule="constant"), loss="dpo",
        beta=0.5, label_smoothing=0.1, source_pairs=0, epochs=2, pairs=PairData(True, 999),
    )  # fmt: skip
    with made_up("preference", [0.1, 0.2, 0.3]) as seen:
        ranker.fit(data, tmp_path)
    base, moved = actor(STILL), actor(STILL)
    moved.load_state_dict(seen[1])
    losses = []
    for paired in data.pairs:
        before, after = (predict(network, Machine(), [paired.record]) for network in (base, moved))
        for better, worse in paired.pairs:
            x = 0.5 * ((after - before)[better] - (after - before)[worse])
            losses.append(0.9 * math.log1p(math.exp(-x)) + 0.1 * math.log1p(math.exp(x)))
    assert abs(ranker.metrics[2]["loss"] - math.log(2)) > 0.01
    assert ranker.metrics[2]["loss"] == pytest.approx(np.mean(losses), abs=1e-5)


def test_stage_1_is_scored_once_and_ranknet_does_not_ask_it(data, tmp_path):
    for loss, calls in (("ranknet", 0), ("dpo", 1), ("pl-dpo", 1)):
        with counted(fine_tuning, "scores_of"), counted(fine_tuning, "predict") as scored:
            stage("preference", loss=loss).fit(data, tmp_path / loss)
        labels = sum(len(i.record.labels) for i in (*data.graded, *data.pairs))
        assert sum(map(len, scored)) == calls * labels + 3 * sum(len(i.grades) for i in data.dev)


@pytest.mark.parametrize(("loss", "beta"), [("dpo", 0.5), ("hinge", 0.1), ("pl-dpo", 0.5)])
def test_pairs_are_learned_until_all_stand_right(data, tmp_path, loss, beta):
    ranker = learned(data, tmp_path, loss, beta)
    assert ranker.metrics[-1]["train_accuracy"] == 1.0 > ranker.metrics[1]["train_accuracy"]
    assert ranker.metrics[-1]["loss"] < 0.05


def test_ipo_learns_how_far_to_move_and_not_which_stands_first(data, tmp_path):
    """1 / (2 β) is 5."""
    ranker = learned(data, tmp_path, "ipo", 0.1)
    for paired in data.pairs:
        before = predict(actor(STILL), Machine(), [paired.record])
        moved = ranker.score(paired.record) - before
        gains = moved[paired.pairs[:, 0]] - moved[paired.pairs[:, 1]]
        assert gains == pytest.approx(5, abs=1)


def learned(data, folder, loss, beta):
    """From the target's pairs alone, so that every epoch sees the same ones."""
    ranker = stage(
        "preference", STILL, optimisation=STEEP, loss=loss, beta=beta, source_pairs=0, epochs=20,
        pairs=PairData(True, 99),
    )  # fmt: skip
    with made_up("preference", [0.1 * i for i in range(21)]):
        ranker.fit(data, folder)
    return ranker
