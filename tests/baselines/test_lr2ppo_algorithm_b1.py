"""Stage 3: Algorithm B.1 once more in plain sums, and what it is fed with, pair by pair."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_stages import (
    NETWORK,
    NO_STEP,
    PPO,
    STILL,
    Sums,
    actor,
    counted,
    data_of,
    record,
    reward_model,
)

import baselines.lr2ppo.ppo as ppo
from baselines.data import TrainingData, subset
from baselines.lr2ppo.batch import collate
from baselines.lr2ppo.pairs import Pairs, all_pairs
from baselines.lr2ppo.ppo import PPORanker
from baselines.lr2ppo.rollout import Seen, Transitions, drawn_clips, roll_out


@pytest.fixture(scope="module")
def data(filled) -> TrainingData:
    return data_of(filled)


# --- The loss of a step --------------------------------------------------------------------------

RECORDS = (
    record("dog-rain-king", "fear", "rain", "snow", "gun"),
    record("fire-night-fire-car", "car", "love"),
)


def transitions(config, old_actor, seed: int = 0) -> Transitions:
    """Of all ordered pairs of `RECORDS`, with rewards and values of either sign."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.zeros(2, 4)
    with torch.no_grad():
        for place, of_clip in enumerate(RECORDS):
            scores[place, : len(of_clip.labels)] = old_actor(collate([of_clip]))
    rewards = torch.randn(2, 4, 4, 2, generator=generator)
    values = torch.randn(2, 4, 4, generator=generator) if config.advantage == "critic" else None
    states = Pairs.join([(i, all_pairs(len(r.labels))) for i, r in enumerate(RECORDS)])
    return roll_out(Seen(scores, rewards, values), states, config)


def algorithm_b1(config, actor, critic, records, seen: Transitions) -> torch.Tensor:
    """Lines 27 to 38, one example after the other; each pair is encoded by itself."""
    ratios, of_values, entropies, kls, worths = [], [], [], [], []
    for e in range(len(seen.reward)):
        clip = records[seen.action.record[e]]
        action = [seen.action.first[e], seen.action.second[e]]
        p1, p2 = actor(collate([subset(clip, action)]))
        chance = 1 / (1 + (p2 - p1).exp())
        old = 1 / (1 + math.exp(seen.old_second[e] - seen.old_first[e]))
        kl = old * (old / chance).log() + (1 - old) * ((1 - old) / (1 - chance)).log()
        entropies.append(-chance * chance.log() - (1 - chance) * (1 - chance).log())
        kls.append(kl)
        taken = 0.0 if config.ratio == "kl" else config.c3 * kl.item()  # appendix C.3
        worth = seen.advantage[e].item() - taken
        worths.append(worth)
        if config.ratio == "partial":
            gap = p1 - p2 if worth >= config.delta else p2 - p1
            ratios.append(-max(0 * gap, config.margin - gap))
        else:
            ratios.append(chance if config.ratio == "expected" else chance / old)
        if critic is not None:
            state = [seen.state.first[e], seen.state.second[e]]
            value = critic(collate([subset(clip, state)]), torch.tensor([[0, 1]]))[0]
            target, before = seen.target[e].item() - taken, seen.old_value[e].item()
            square = (value - target) ** 2
            if config.value_clip:
                near = before + (value - before).clamp(-config.value_clip, config.value_clip)
                square = max(square, (near - target) ** 2)
            of_values.append(square)
    n = len(worths)
    if config.weighting == "batch":
        violators = max(1, sum(ratio.item() < 0 for ratio in ratios))
        policy = -sum(ratios) / violators * sum(map(abs, worths)) / n
    elif config.ratio == "partial":
        policy = -sum(r * abs(w) for r, w in zip(ratios, worths, strict=True)) / n
    elif config.ratio == "clipped":
        low, high = 1 - config.clip, 1 + config.clip
        both = zip(ratios, worths, strict=True)
        policy = -sum(min(r * w, r.clamp(low, high) * w) for r, w in both) / n
    else:
        policy = -sum(r * w for r, w in zip(ratios, worths, strict=True)) / n
    total = policy - config.c2 * sum(entropies) / n
    total = total + (config.c3 * sum(kls) / n if config.ratio == "kl" else 0)
    return total + (config.c1 * sum(of_values) / n if critic is not None else 0)


LARGE = replace(PPO, c1=0.7, c2=0.3, c3=0.4)  # so that each term shows


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"value_clip": 0.05},
        {"weighting": "batch", "margin": 0.3},
        {"gamma": 0.5, "delta": 0.3, "margin": 0.2},
        {"ratio": "original"},
        {"ratio": "clipped"},
        {"ratio": "kl"},
        {"ratio": "expected"},
        {"advantage": "flip"},
        {"advantage": "flip", "ratio": "expected"},
    ],
    ids=str,
)
def test_a_step_is_algorithm_b1_pair_by_pair(changes):
    """Loss and gradients; the actor and the critic have moved on from what they were."""
    config = replace(LARGE, **changes)
    now, critic = actor(NETWORK), reward_model(NETWORK)
    if config.advantage == "flip":
        critic = None
    seen = transitions(config, actor(NETWORK))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in now.parameters():
            parameter.add_(0.03 * torch.randn(parameter.shape, generator=generator))
    turned = (seen.state.first != seen.action.first).sum()
    assert 3 < turned < 11  # of 14
    assert 3 < (seen.advantage < config.delta).sum() < 12
    models = [model for model in (now, critic) if model is not None]
    noted = Sums({})
    found = PPORanker(config)._loss(now, critic, RECORDS, seen, 14, noted)
    found.backward()
    gradients = [parameter.grad for model in models for parameter in model.parameters()]
    for model in models:
        model.zero_grad(set_to_none=True)
    expected = algorithm_b1(config, now, critic, RECORDS, seen)
    expected.backward()
    assert found.item() == pytest.approx(expected.item(), abs=2e-5)
    assert max(g.abs().max() for g in gradients) > 1e-2
    parameters = [parameter for model in models for parameter in model.parameters()]
    for gradient, parameter in zip(gradients, parameters, strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-5, atol=1e-5)
    assert noted.sums["kl"] / 14 > 1e-4
    # A share of the step weighs as much as it has of it.
    part = PPORanker(config)._loss(now, critic, RECORDS, seen, 56, Sums({}))
    assert part.item() == pytest.approx(found.item() / 4, abs=1e-6)


@pytest.mark.parametrize("advantage", ["critic", "flip"])
def test_labels_encoded_once_a_clip_are_those_encoded_pair_by_pair(advantage):
    """The same transitions, once grouped by clip and once each as a record of its own."""
    config = replace(LARGE, advantage=advantage)
    seen = transitions(config, actor())
    n = len(seen.reward)
    pairs, found = [], []
    for record_, first, second in zip(*seen.state, strict=True):
        pairs.append(subset(RECORDS[record_], [first, second]))
    turned = (seen.state.first != seen.action.first).astype(np.int64)
    zeros = np.zeros(n, np.int64)
    alone = seen._replace(
        state=Pairs(np.arange(n), zeros, zeros + 1), action=Pairs(np.arange(n), turned, 1 - turned)
    )
    for records, of_records in ((RECORDS, seen), (pairs, alone)):
        models = [actor(STILL), reward_model(STILL) if advantage == "critic" else None]
        for model in filter(None, models):
            model.train()
        loss = PPORanker(config)._loss(*models, records, of_records, n, Sums({}))
        loss.backward()
        found.append(
            [loss.detach(), *(p.grad for m in filter(None, models) for p in m.parameters())]
        )
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


# --- What the networks say of the pairs that were drawn ------------------------------------------


def test_transitions_are_those_of_pairs_encoded_one_by_one(data, tmp_path):
    """Scores of the actor, the mean of two reward models, V of the first; for two laps of clips."""
    models = [reward_model(seed=1), reward_model(seed=2)]
    config = replace(PPO, iterations=1, clips_an_iteration=7, optimisation=NO_STEP)
    ranker = PPORanker(config, actor(), models)
    with counted(ppo, "roll_out") as rolled:
        ranker.fit(data, tmp_path)
    (seen,) = rolled
    clips = drawn_clips(len(data.unlabelled), 7, 0, 0)
    assert len(set(clips)) < len(clips)
    assert set(seen.state.record) == set(range(7)) and len(seen.reward) > 20
    base = actor()
    for e, (place, first, second) in enumerate(zip(*seen.state, strict=True)):
        batch = collate([subset(data.unlabelled[clips[place]], [first, second])])
        with torch.no_grad():
            p1, p2 = base(batch)
            action = [1, 0] if p2 > p1 else [0, 1]
            slots = torch.tensor([[0, 1, *action]])
            rewards = [model(batch, slots).item() for model in models]
            value = models[0](batch, slots[:, :2]).item()
        assert [seen.action.first[e], seen.action.second[e]] == [(first, second)[i] for i in action]
        assert seen.old_first[e].item() == pytest.approx(max(p1, p2).item(), abs=1e-5)
        assert seen.old_second[e].item() == pytest.approx(min(p1, p2).item(), abs=1e-5)
        assert seen.reward[e].item() == pytest.approx(sum(rewards) / 2, abs=1e-5)
        assert seen.old_value[e].item() == pytest.approx(value, abs=1e-5)
    entry = ranker.metrics[1]
    # What dropout alone makes of KL and entropy.
    assert 0 < entry["kl"] < 0.1 and 0.1 < entry["entropy"] < math.log(2)
    penalty = 1e-3 * entry["kl"]
    for name, of, less in (
        ("reward", seen.reward, 0), ("penalised_reward", seen.reward, penalty),
        ("old_value", seen.old_value, 0), ("advantage", seen.advantage, penalty),
    ):  # fmt: skip
        assert entry[name] == pytest.approx(of.mean().item() - less, abs=1e-6)
