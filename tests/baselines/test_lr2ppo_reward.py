"""Stage 2: what the reward model says of pairs, how it learns it, and which weights are kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_stages import (
    ALONE,
    NETWORK,
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
    record,
    reward_model,
    stage,
    weights_of,
)

import baselines.lr2ppo.reward as reward
from baselines.data import Graded, TrainingData, subset
from baselines.learning.machine import Machine
from baselines.lr2ppo.batch import Batch, collate
from baselines.lr2ppo.pairs import PairSteps, all_pairs
from baselines.lr2ppo.presets import PairData
from baselines.lr2ppo.reward import RewardRanker, dev_accuracy, transitions
from baselines.lr2ppo.rewards import borda, preference, reward_table, right_shares
from lrmovienet.errors import UserError


@pytest.fixture(scope="module")
def data(filled) -> TrainingData:
    return data_of(filled)


# --- A table of rewards --------------------------------------------------------------------------

RECORD = record("dog-rain-king-dog-snow", "fear", "rain", "snow", "gun", "king")


@pytest.mark.parametrize("pair_scores", [True, False])
def test_a_table_is_what_the_model_says_of_each_transition_alone(pair_scores):
    """Each pair encoded by itself, for each of its four transitions: [ij, ij], [ij, ji], …"""
    model = reward_model(replace(NETWORK, pair_scores=pair_scores))
    model.train()  # as after a step of training
    table = reward_table(model, RECORD, Machine())
    assert table.shape == (5, 5, 2) and table.dtype == torch.float32
    slots = torch.tensor([[0, 1, 0, 1], [0, 1, 1, 0]])
    for i, j in all_pairs(5):
        with torch.no_grad():
            expected = model.eval()(collate([subset(RECORD, [i, j])]), slots)
        # In single precision values near 1 come in steps of 6e-8; sums in another order.
        torch.testing.assert_close(table[i, j], expected, rtol=0, atol=4e-6)
    assert (table[..., 0] - table[..., 1]).abs().mean() > 0.1


def table_of(gains) -> torch.Tensor:
    """A table in which keeping i before j gains so much over turning it."""
    gains = torch.tensor(gains, dtype=torch.float64)
    return torch.stack([gains + 7, torch.full_like(gains, 7)], 2)


THREE = table_of([[9, 2, -4], [1, 9, 6], [0, -3, 9]])
"""On the diagonal stands what nobody may read."""


def test_preference_and_borda_by_hand():
    """i before j: the gain where it stood so, and the loss of turning it there where it did not.

    (0, 1): (2 − 1) / 2; (0, 2): (−4 − 0) / 2; (1, 2): (6 + 3) / 2.
    """
    assert preference(THREE).tolist() == [[0, 0.5, -2], [-0.5, 0, 4.5], [2, -4.5, 0]]
    assert borda(THREE).tolist() == [(0.5 - 2) / 2, (-0.5 + 4.5) / 2, (2 - 4.5) / 2]
    assert borda(table_of([[9.0]])).tolist() == [0.0]


@given(st.integers(0, 2**32), st.integers(1, 6))
def test_preference_turns_its_sign_with_the_pair_and_means_cancel(seed, n):
    table = torch.randn(n, n, 2, generator=torch.Generator().manual_seed(seed)).double()
    found = preference(table)
    assert torch.equal(found, -found.T)
    assert borda(table).sum().item() == pytest.approx(0, abs=1e-12)


def test_right_shares_by_hand():
    """Both initial orders are asked: in one the right order is kept, in the other turned to."""
    better, worse = torch.tensor([0, 1, 0, 2]), torch.tensor([1, 0, 2, 1])
    # 0 before 1: 2 > 0 right; from (1, 0), keeping gains 1, so turning loses.
    # 2 before 1: keeping (2, 1) gains −3, wrong; keeping (1, 2) gains 6, wrong.
    # 0 before 2: −4 wrong; from (2, 0) the gain is 0, a tie, which is half right.
    assert right_shares(THREE, better, worse).tolist() == [0.5, 0.5, 0.25, 0.0]
    assert right_shares(THREE, torch.tensor([1]), torch.tensor([2])).tolist() == [1.0]


def test_dev_accuracy_weighs_the_three_kinds_of_pairs_alike(monkeypatch):
    """High-medium 1; high-low (1/2 + 1 + 1) / 3; medium-low 1/4: their mean, not the pairs'."""
    gains = {
        "x": [[9, 1, -1], [-1, 9, 0], [-1, 2, 9]],
        "y": [[9, 5, 5], [-5, 9, 0], [-5, 0, 9]],
        "z": [[9, 3], [-3, 9]],
    }
    monkeypatch.setattr(reward, "reward_table", lambda m, r, _: table_of(gains[r.clip_id]))
    dev = [
        Graded(record(name, *"abc"[: len(grades)]), np.array(grades))
        for name, grades in (("x", [2, 1, 0]), ("y", [2, 0, 0]), ("z", [1, 1]))
    ]
    found = dev_accuracy(reward_model(), dev, Machine(), ALONE)
    assert found == pytest.approx((1 + 2.5 / 3 + 0.25) / 3, abs=1e-12)
    # A kind that dev lacks does not count: high-low alone.
    assert dev_accuracy(reward_model(), dev[1:], Machine(), ALONE) == 1.0
    with pytest.raises(UserError, match="no record has labels of two grades"):
        dev_accuracy(reward_model(), dev[2:], Machine(), ALONE)


def test_as_a_ranker_it_orders_labels_by_their_mean_preference(data):
    """From the model's own answers to single transitions, in both initial orders."""
    ranker = RewardRanker(REWARD)
    ranker.model = reward_model()
    found = ranker.score(RECORD)
    assert found.dtype == np.float64
    n, batch = len(RECORD.labels), collate([RECORD])

    def of(*slots: int) -> float:
        with torch.no_grad():
            return ranker.model(batch, torch.tensor([slots])).item()

    for i in range(n):
        gains = [
            (of(i, j, i, j) - of(i, j, j, i) + of(j, i, i, j) - of(j, i, j, i)) / 2
            for j in range(n) if j != i
        ]  # fmt: skip
        assert found[i] == pytest.approx(np.mean(gains), abs=1e-5)


# --- Training ------------------------------------------------------------------------------------


def test_transitions_by_hand():
    """[g_ini, g_c] and [g_ini, flip(g_c)]; the coin says whether g_ini is g_c."""
    found = transitions(np.array([[4, 7], [2, 0]]), np.array([True, False]))
    assert found.tolist() == [[[4, 7, 4, 7], [4, 7, 7, 4]], [[0, 2, 2, 0], [0, 2, 0, 2]]]


def slot_by_slot(model, step, margin: float):
    """Eq. 4 with every slot of every transition encoded by itself, and the share that is right."""
    losses, right = [], 0
    for batch, places, coins in step.parts:
        for (better, worse), coin in zip(places.tolist(), coins, strict=True):
            initial = [better, worse] if coin else [worse, better]
            rewards = []
            for order in ([better, worse], [worse, better]):
                slots = torch.tensor(initial + order)
                rows = (batch.text[slots], batch.text_mask[slots], batch.label_mask[slots])
                alone = Batch(*rows, batch.frames, batch.frame_mask, batch.record[slots])
                rewards.append(model(alone, torch.arange(4)[None])[0])
            losses.append((margin - (rewards[0] - rewards[1])).clamp(min=0))
            right += (rewards[0] > rewards[1]).item()
    return torch.stack(losses).mean(), right


def test_a_step_is_equation_4_of_pairs_encoded_slot_by_slot(data, tmp_path):
    """Loss, accuracy in training and gradients; no step is taken, nothing is dropped out."""
    margin = 0.3  # some pairs are beyond it, some are not
    ranker = stage("reward", STILL, optimisation=replace(NO_STEP, clip_norm=0.0), margin=margin)
    with counted(PairSteps, "__call__") as steps:
        ranker.fit(data, tmp_path)
    model = ranker.model
    found = [(g.clone() if (g := p.grad) is not None else None) for p in model.parameters()]
    model.zero_grad()
    an_epoch = len(steps) // REWARD.epochs
    for epoch, entry in enumerate(ranker.metrics):
        of_epoch = steps[epoch * an_epoch : (epoch + 1) * an_epoch]
        losses, right = zip(*(slot_by_slot(model, step, margin) for step in of_epoch), strict=True)
        assert entry["loss"] == pytest.approx(torch.stack(losses).mean().item(), abs=1e-6)
        count = sum(step.pairs for step in of_epoch)
        assert entry["train_accuracy"] == pytest.approx(sum(right) / count, abs=1e-12)
    losses[-1].backward()
    assert max(g.abs().max() for g in found) > 1e-2
    for gradient, parameter in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=0, atol=1e-5)


@pytest.mark.parametrize("initial_order", ["fixed", "redrawn"])
def test_the_initial_order_is_drawn_once_or_in_each_epoch(data, tmp_path, initial_order):
    """With all pairs in one step and a network that stays, an epoch's loss tells its pairs."""
    options = {"initial_order": initial_order, "source_pairs": 99, "pairs": PairData(True, 999)}
    ranker = stage("reward", STILL, optimisation=NO_STEP, **options)
    ranker.fit(data, tmp_path)
    one, other = (entry["loss"] for entry in ranker.metrics)
    assert (abs(one - other) < 1e-6) == (initial_order == "fixed")


def test_it_starts_from_stage_1_which_it_does_not_change(data, tmp_path):
    ranker = stage("reward", optimisation=NO_STEP)
    ranker.fit(data, tmp_path / "still")
    base = actor()
    for name, weight in base.trunk.state_dict().items():
        assert torch.equal(ranker.model.trunk.state_dict()[name], weight)
    assert torch.equal(ranker.model.label_score.weight, base.head.weight)
    moving = stage("reward")
    before = {name: weight.clone() for name, weight in moving.base.state_dict().items()}
    moving.fit(data, tmp_path / "moving")
    assert all(torch.equal(before[k], w) for k, w in moving.base.state_dict().items())
    assert not torch.equal(moving.model.trunk.out.out.weight, before["trunk.out.out.weight"])


def test_it_starts_from_a_classifier_too(data, tmp_path):
    """Its trunk is taken; a head of three classes has no score of a label to begin with."""
    base = actor(replace(NETWORK, outputs=3))
    ranker = RewardRanker(replace(REWARD, optimisation=NO_STEP), base)
    ranker.fit(data, tmp_path)
    assert ranker.model.config.outputs == 1
    assert torch.equal(ranker.model.trunk.out.out.weight, base.trunk.out.out.weight)


def test_from_scratch_it_needs_no_stage_1(data, tmp_path):
    network = replace(NETWORK, text_dim=768, frame_dim=768, pair_scores=False)
    ranker = RewardRanker(replace(REWARD, start="scratch", network=network))
    ranker.fit(data, tmp_path)
    assert (ranker.model.config.text_dim, ranker.model.config.frame_dim) == (12, 8)
    assert ranker.model.label_score is None
    with pytest.raises(ValueError, match="stage 1, which was not given"):
        RewardRanker(REWARD).fit(data, tmp_path)


def test_it_learns_the_order_of_its_pairs(data, tmp_path):
    """Of pairs that stay the same it puts all right, whatever their initial order."""
    steep = replace(USUAL, learning_rate=2e-2)
    options = {"initial_order": "fixed", "epochs": 15, "optimisation": steep}
    ranker = stage("reward", STILL, pairs=PairData(True, 99), **options)
    with made_up("reward", [0.1 * i for i in range(15)]):
        ranker.fit(data, tmp_path)
    assert ranker.metrics[0]["train_accuracy"] < 0.8 < ranker.metrics[0]["loss"]
    assert ranker.metrics[-1]["train_accuracy"] == 1.0 and ranker.metrics[-1]["loss"] < 0.1
    for paired in data.pairs:
        table = reward_table(ranker.model, paired.record, Machine())
        better, worse = torch.from_numpy(paired.pairs).unbind(1)
        assert right_shares(table, better, worse).mean() > 0.6  # one of the two was never seen


def test_keeps_the_epoch_that_is_best_on_dev(data, tmp_path):
    ranker = stage("reward", epochs=4)
    with made_up("reward", [0.5, 0.4, 0.7, 0.7]) as seen:
        ranker.fit(data, tmp_path)
    kept = weights_of(ranker)
    assert all(torch.equal(kept[k], seen[2][k]) for k in kept)
    assert not all(torch.equal(kept[k], seen[3][k]) for k in kept)
    assert not ranker.model.training


def test_what_is_saved_scores_alike(data, tmp_path):
    ranker = stage("reward")
    fit(ranker, data, tmp_path)
    loaded = RewardRanker.load(tmp_path / "saved")
    assert np.array_equal(loaded.score(RECORD), ranker.score(RECORD))
    assert loaded.config == ranker.config and loaded.metrics == ranker.metrics
    assert [(e["stage"], e["epoch"], e["step"]) for e in loaded.metrics] == [(2, 1, 3), (2, 2, 6)]
    best = max(entry["dev_accuracy"] for entry in loaded.metrics)
    assert dev_accuracy(loaded.model, data.dev, Machine(), ALONE) == best
    for use in (lambda r: r.score(RECORD), lambda r: r.save(tmp_path)):
        with pytest.raises(ValueError, match="neither trained nor loaded"):
            use(stage("reward"))


def test_a_training_that_diverges_is_stopped(data, tmp_path):
    steep = replace(USUAL, learning_rate=1e30, clip_norm=0.0, warmup=0.0)
    with pytest.raises(UserError, match=r"stage 2: the loss is (nan|inf).*in step \d of 6"):
        stage("reward", optimisation=steep).fit(data, tmp_path)


# --- What every stage keeps ----------------------------------------------------------------------


def test_same_seed_same_bytes_another_seed_others_and_cores_do_not_matter(data, tmp_path):
    check_bytes("reward", data, tmp_path)


def test_torch_is_made_deterministic_and_left_as_it_was(data, tmp_path):
    check_torch("reward", data, tmp_path)


def test_killed_in_a_step_it_goes_on_and_gives_the_same_bytes(data, tmp_path):
    check_killed_between("reward", data, tmp_path)


def test_killed_while_it_is_judged_it_goes_on_after_the_last_whole_epoch(data, tmp_path):
    assert check_killed("reward", data, tmp_path, reward, "dev_accuracy", [2]) == [3]


def test_state_of_another_training_is_not_taken_over_and_a_damaged_one_is_named(data, tmp_path):
    check_state("reward", data, tmp_path)


def test_any_number_of_records_at_once_gives_the_same_weights(data, tmp_path):
    check_at_once("reward", data, tmp_path)
