"""Stage 3: what it trains, what it keeps, and that it does what it is for."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from tiny_corpus import WORDS
from tiny_stages import (
    ALONE,
    CONTROL,
    NETWORK,
    NO_STEP,
    PPO,
    SMOOTH,
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
    reward_model,
    stage,
    weights_of,
)

import baselines.lr2ppo.ppo as ppo
import baselines.lr2ppo.rewards as rewards_module
from baselines.data import TrainingData, subset
from baselines.learning.machine import Machine
from baselines.learning.running import dev_ndcg
from baselines.lr2ppo.actor_ranker import predict
from baselines.lr2ppo.ppo import PPORanker
from baselines.lr2ppo.presets import PairData
from baselines.lr2ppo.rollout import drawn_clips
from baselines.preference import PreferenceRanker
from lrmovienet.errors import UserError


@pytest.fixture(scope="module")
def data(filled) -> TrainingData:
    return data_of(filled)


# --- Training ------------------------------------------------------------------------------------


def test_without_a_step_everything_stays_and_the_actor_is_the_bases(data, tmp_path):
    ranker = stage("ppo", optimisation=NO_STEP)
    ranker.fit(data, tmp_path)
    before = actor()
    kept = weights_of(ranker)
    assert all(torch.equal(kept[name], weight) for name, weight in before.state_dict().items())
    assert [entry["iteration"] for entry in ranker.metrics] == [0, 1, 2]
    assert [entry["step"] for entry in ranker.metrics] == [0, 3, 6]
    dev = dev_ndcg(partial(predict, before, Machine()), data.dev, ALONE)
    for entry in ranker.metrics:
        assert {name: entry[name] for name in dev} == dev
    assert not ranker.actor.training


@pytest.mark.parametrize("best", [0, 1, 2, 3])
def test_keeps_the_iteration_that_is_best_on_dev_also_none(data, tmp_path, best):
    values = [0.5] * 4
    values[best] = 0.6
    ranker = stage("ppo", iterations=3)
    with made_up("ppo", values) as seen:
        ranker.fit(data, tmp_path)
    kept = weights_of(ranker)
    for i, weights in enumerate(seen):
        assert all(torch.equal(kept[name], weights[name]) for name in kept) == (i == best)


def test_evaluations_may_be_rare_and_means_are_over_all_since_the_last(data, tmp_path):
    ranker = stage("ppo", iterations=3, evaluate_every=2)
    with counted(ppo, "roll_out") as rolled:
        ranker.fit(data, tmp_path)
    assert [entry["iteration"] for entry in ranker.metrics] == [0, 2, 3]
    both = torch.cat([seen.reward for seen in rolled[:2]])
    assert ranker.metrics[1]["reward"] == pytest.approx(both.mean().item(), abs=1e-6)
    assert ranker.metrics[2]["reward"] == pytest.approx(rolled[2].reward.mean().item(), abs=1e-6)


def test_what_it_starts_from_is_not_changed(data, tmp_path):
    ranker = stage("ppo", optimisation=replace(USUAL, learning_rate=0.01))
    with made_up("ppo", [0.1, 0.2, 0.3]) as seen:
        ranker.fit(data, tmp_path)
    for model, as_made in ((ranker.base, actor()), (ranker.rewards[0], reward_model())):
        for name, weight in as_made.state_dict().items():
            assert torch.equal(model.state_dict()[name], weight)
    assert not torch.equal(seen[0]["head.weight"], seen[2]["head.weight"])


def test_without_stage_1_it_starts_from_random_weights(data, tmp_path):
    ranker = stage("ppo", start="scratch", optimisation=NO_STEP)
    ranker.fit(data, tmp_path)
    assert not torch.equal(ranker.actor.head.weight, actor().head.weight)
    for missing in (PPORanker(PPO, None, [reward_model()]), PPORanker(PPO, actor())):
        with pytest.raises(ValueError, match="stages 1 and 2, which were not given"):
            missing.fit(data, tmp_path)
    alone = tuple(subset(record, [0]) for record in data.unlabelled)
    with pytest.raises(UserError, match="target_pairs: no record has two labels"):
        stage("ppo").fit(replace(data, unlabelled=alone), tmp_path)


def test_it_may_start_from_the_scores_within_the_reward_model(data, tmp_path):
    ranker = stage("ppo", start="reward", optimisation=NO_STEP)
    ranker.fit(data, tmp_path)
    first = reward_model()
    assert torch.equal(ranker.actor.head.weight, first.label_score.weight)
    for name, weight in first.trunk.state_dict().items():
        assert torch.equal(ranker.actor.trunk.state_dict()[name], weight)
    classifier, narrow = replace(NETWORK, outputs=3), replace(NETWORK, head_hidden=8)
    plain = replace(NETWORK, pair_scores=False)
    for base, model in ((NETWORK, plain), (classifier, NETWORK), (narrow, NETWORK)):
        ranker = PPORanker(replace(PPO, start="reward"), actor(base), [reward_model(model)])
        with pytest.raises(UserError, match="--start reward: needs a reward model"):
            ranker.fit(data, tmp_path)


def test_an_iteration_may_take_every_clip_once(data, tmp_path):
    """And all pairs of each in both orders: nothing is drawn but the order of steps."""
    ranker = stage("ppo", clips_an_iteration=0, pairs_a_clip=0)
    with counted(ppo, "roll_out") as rolled:
        ranker.fit(data, tmp_path)
    sizes = [len(record.labels) for record in data.unlabelled]
    for seen in rolled:
        states = set(zip(*(part.tolist() for part in seen.state), strict=True))
        assert len(states) == len(seen.reward) == sum(n * (n - 1) for n in sizes)


def test_pairs_are_drawn_anew_in_every_iteration(data, tmp_path):
    """Of the only clip there is, so that it is not the clips' order that makes them others."""
    ranker = stage("ppo", clips_an_iteration=0, pairs_a_clip=3, iterations=4)
    with counted(ppo, "roll_out") as rolled:
        ranker.fit(replace(data, unlabelled=data.unlabelled[:1]), tmp_path)
    drawn = {str(seen.state) for seen in rolled}
    assert len(rolled) == len(drawn) == 4


def of_clips(seen, iteration: int, data) -> list[tuple[int, int, int]]:
    """(clip, first, second) of each state, where an iteration takes every clip."""
    clips = drawn_clips(len(data.unlabelled), len(data.unlabelled), iteration, 0)
    place, first, second = (part.tolist() for part in seen.state)
    return list(zip([clips[i] for i in place], first, second, strict=True))


def test_a_share_of_each_clips_pairs_is_all_that_is_ever_drawn(data, tmp_path):
    """Half of them, in both orders, and in every iteration the same."""
    ranker = stage("ppo", clips_an_iteration=0, pairs_a_clip=0, pool_share=0.5)
    with counted(ppo, "roll_out") as rolled:
        ranker.fit(data, tmp_path)
    seen = [sorted(of_clips(one, i, data)) for i, one in enumerate(rolled)]
    sizes = [len(record.labels) for record in data.unlabelled]
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == len(seen[0]) == sum(2 * round(n * (n - 1) / 4) for n in sizes)


def test_one_number_a_step_cannot_be_had_from_parts(data, tmp_path):
    ranker = stage("ppo", weighting="batch", machine=Machine(records_at_once=1))
    with pytest.raises(UserError, match=r"--weighting batch: .*Leave out --records_at_once"):
        ranker.fit(data, tmp_path)


@pytest.mark.parametrize("advantage", ["critic", "flip"])
@pytest.mark.parametrize("ratio", ["partial", "batch", "original", "clipped", "kl", "expected"])
def test_every_kind_of_step_trains(data, tmp_path, advantage, ratio):
    """Twice through what was collected: in the second pass the policy is no longer the old one."""
    changes = {"weighting": "batch"} if ratio == "batch" else {"ratio": ratio}
    ranker = stage(
        "ppo", STILL, advantage=advantage, passes=2, timesteps=2, gamma=0.5,
        pairs=PairData(True, 20), **changes,
    )  # fmt: skip
    with made_up("ppo", [0.1, 0.2, 0.3]) as seen, counted(ppo, "into_steps") as orders:
        ranker.fit(data, tmp_path)
    assert not torch.equal(seen[1]["head.weight"], seen[2]["head.weight"])
    # First the number of steps is planned; then each pass has an order of its own.
    assert len(orders) == 5 and len({str(order) for order in orders[1:]}) > 2
    for entry in ranker.metrics[1:]:
        assert entry["kl"] > 0
        assert ("value_loss" in entry) == (advantage == "critic")
        assert all(math.isfinite(v) for v in entry.values() if isinstance(v, float))
    # An iteration: 4 clips of 4 pairs (one has 3) and two timesteps, at 20 a step, twice.
    assert [entry["step"] for entry in ranker.metrics] == [0, 4, 8]


@pytest.mark.parametrize("ratio", ["partial", "expected"])
def test_with_an_exact_baseline_it_learns_the_rewards_own_order(data, tmp_path, ratio):
    """The reward of an order is how much more its first label is worth; words have worths."""
    worth = {word: i for i, word in enumerate(np.random.default_rng(0).permutation(WORDS))}

    def known(_model, record, _machine):
        of = torch.tensor([worth[label] for label in record.labels]) / len(worth)
        gain = of[:, None] - of[None, :]
        return torch.stack([gain, -gain], 2)

    steep = replace(USUAL, learning_rate=0.02)
    ranker = stage(
        "ppo", STILL, start="scratch", advantage="flip", delta=0.0, ratio=ratio, iterations=60,
        optimisation=steep, pairs_a_clip=0, pairs=PairData(True, 999), evaluate_every=30,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch, made_up("ppo", [0.1, 0.2, 0.3]):
        patch.setattr(rewards_module, "reward_table", known)
        ranker.fit(data, tmp_path)
    for record_ in data.unlabelled:
        scores = dict(zip(record_.labels, ranker.score(record_), strict=True))
        ranked = sorted(scores, key=lambda label: -scores[label])
        assert ranked == sorted(scores, key=lambda label: -worth[label])
    assert ranker.metrics[1]["reward"] < ranker.metrics[2]["reward"]
    assert ranker.metrics[2]["advantage"] > 0


def no_reward(_model, record, _machine):
    n = len(record.labels)
    return torch.zeros(n, n, 2)


def test_annotated_pairs_alone_are_the_control(data, tmp_path):
    """With no reward anywhere and no other term, only the annotated pairs' own loss is left."""
    nothing = {"advantage": "flip", "c2": 0.0, "c3": 0.0, "optimisation": SMOOTH}
    ranker = stage(
        "ppo", STILL, annotated_weight=1.0, annotated_a_step=15, source_pairs=5, **nothing
    )
    control = PreferenceRanker(replace(CONTROL, optimisation=SMOOTH), actor(STILL))
    with pytest.MonkeyPatch.context() as patch, made_up("ppo", [0.1, 0.2, 0.3]):
        patch.setattr(rewards_module, "reward_table", no_reward)
        ranker.fit(data, tmp_path / "ppo")
    with made_up("preference", [0.1, 0.2, 0.3]) as seen:
        control.fit(data, tmp_path / "control")
    assert ranker.metrics[-1]["step"] == control.metrics[-1]["step"] == 6
    expected = weights_of(control)
    assert max((expected[k] - w).abs().max() for k, w in seen[0].items()) > 1e-3
    for name, weight in weights_of(ranker).items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-6)


def test_annotated_pairs_weigh_as_much_as_they_are_told(data, tmp_path):
    gradients = []
    for weight in (1.0, 3.0):
        ranker = stage(
            "ppo", STILL, annotated_weight=weight, annotated_a_step=99, advantage="flip", c2=0.0,
            c3=0.0, pairs=PairData(True, 99), iterations=1, optimisation=SMOOTH,
        )  # fmt: skip
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rewards_module, "reward_table", no_reward)
            ranker.fit(data, tmp_path / str(weight))
        gradients.append([parameter.grad for parameter in ranker.actor.parameters()])
    assert max(g.abs().max() for g in gradients[0]) > 1e-3
    for one, three in zip(*gradients, strict=True):
        torch.testing.assert_close(3 * one, three, rtol=1e-5, atol=1e-6)


def test_what_is_saved_scores_alike(data, tmp_path):
    ranker = stage("ppo")
    fit(ranker, data, tmp_path)
    loaded = PPORanker.load(tmp_path / "saved")
    found = loaded.score(data.dev[0].record)
    assert found.dtype == np.float64 and np.array_equal(found, ranker.score(data.dev[0].record))
    assert loaded.config == ranker.config and loaded.metrics == ranker.metrics
    for use in (lambda r: r.score(data.dev[0].record), lambda r: r.save(tmp_path)):
        with pytest.raises(ValueError, match="neither trained nor loaded"):
            use(stage("ppo"))


# --- What every stage keeps ----------------------------------------------------------------------


def test_same_seed_same_bytes_another_seed_others_and_cores_do_not_matter(data, tmp_path):
    check_bytes("ppo", data, tmp_path)


def test_torch_is_made_deterministic_and_left_as_it_was(data, tmp_path):
    check_torch("ppo", data, tmp_path)


def test_killed_in_a_step_it_goes_on_and_gives_the_same_bytes(data, tmp_path):
    check_killed_between("ppo", data, tmp_path)


def test_killed_while_it_is_judged_it_begins_again(data, tmp_path):
    """No minute has passed, so no state was written."""
    assert check_killed("ppo", data, tmp_path, ppo, "dev_ndcg", [2]) == [6]


def test_state_of_another_training_is_not_taken_over_and_a_damaged_one_is_named(data, tmp_path):
    check_state("ppo", data, tmp_path)


@pytest.mark.parametrize("advantage", ["critic", "flip"])
def test_any_number_of_records_at_once_gives_the_same_weights(data, tmp_path, advantage):
    all_in_one = PairData(True, 99)
    check_at_once(
        "ppo", data, tmp_path, advantage=advantage, annotated_weight=0.5, pairs=all_in_one
    )
