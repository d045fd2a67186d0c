"""Stage 3's environment by hand: which pairs are drawn, what the actor does, what it is worth."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_stages import PPO

from baselines.lr2ppo.pairs import Pairs
from baselines.lr2ppo.rollout import Seen, drawn_clips, drawn_pairs, pool_of, roll_out


def double(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def pairs(*triples) -> Pairs:
    return Pairs(*np.array(triples, dtype=np.int64).T)


def triples(pairs: Pairs) -> list[tuple[int, ...]]:
    return list(zip(*(part.tolist() for part in pairs), strict=True))


# --- One clip of three labels, and one of two, padded --------------------------------------------

SCORES = double([[0.5, 0.9, 0.1], [0.3, 0.3, 0.0]])
# Keeping the pair (i, j) is worth ij, a digit each; turning it is worth minus that. Padding: 99.
KEPT = double([[[99, 1, 2], [10, 99, 12], [20, 21, 99]], [[99, 4, 99], [5, 99, 99], [99, 99, 99]]])
REWARDS = torch.stack([KEPT, -KEPT], 3)
VALUES = double(
    [
        [[99, 0.01, 0.02], [0.10, 99, 0.12], [0.20, 0.21, 99]],
        [[99, 0.4, 99], [0.5, 99, 99], [99, 99, 99]],
    ]
)
WITH_CRITIC = Seen(SCORES, REWARDS, VALUES)
WITHOUT = Seen(SCORES, REWARDS, None)
STATES = pairs((0, 0, 1), (0, 1, 2), (0, 2, 0), (1, 0, 1), (1, 1, 0))
SORTED = [(0, 1, 0), (0, 1, 2), (0, 0, 2), (1, 0, 1), (1, 1, 0)]
"""(0, 1) is turned, for .5 < .9; (1, 2) kept; (2, 0) turned; labels with equal scores stay."""


def test_one_timestep_with_a_critic_by_hand():
    """T = 1, γ = 0: the target is the reward, the advantage the reward less V of the state."""
    seen = roll_out(WITH_CRITIC, STATES, replace(PPO, timesteps=1, gamma=0.0))
    assert triples(seen.state) == triples(STATES)
    assert triples(seen.action) == SORTED
    assert seen.old_first.tolist() == [0.9, 0.9, 0.5, 0.3, 0.3]
    assert seen.old_second.tolist() == [0.5, 0.1, 0.1, 0.3, 0.3]
    rewards = [-1, 12, -20, 4, 5]
    values = [0.01, 0.12, 0.20, 0.4, 0.5]
    assert seen.reward.tolist() == seen.target.tolist() == rewards
    assert seen.old_value.tolist() == values
    expected = [r - v for r, v in zip(rewards, values, strict=True)]
    assert seen.advantage.tolist() == pytest.approx(expected, abs=1e-12)


def test_one_timestep_with_a_discount_counts_what_comes_after():
    """T = 1, γ = .5: r + .5 V of the sorted pair."""
    seen = roll_out(WITH_CRITIC, STATES, replace(PPO, timesteps=1, gamma=0.5))
    targets = [-1 + 0.05, 12 + 0.06, -20 + 0.01, 4 + 0.2, 5 + 0.25]
    assert seen.target.tolist() == pytest.approx(targets, abs=1e-12)
    values = [0.01, 0.12, 0.20, 0.4, 0.5]
    expected = [t - v for t, v in zip(targets, values, strict=True)]
    assert seen.advantage.tolist() == pytest.approx(expected, abs=1e-12)


def test_the_exact_baseline_by_hand():
    """No critic: the reward of the action less that of the other one, twice the reward here."""
    for gamma in (0.0, 0.5):
        seen = roll_out(WITHOUT, STATES, replace(PPO, advantage="flip", gamma=gamma))
        assert seen.reward.tolist() == seen.target.tolist() == [-1, 12, -20, 4, 5]
        assert seen.advantage.tolist() == [-2, 24, -40, 8, 10]
        assert seen.old_value is None
        assert triples(seen.action) == SORTED


def test_three_timesteps_with_a_critic_by_hand():
    """T = 3, γ = .5: sorted once, a pair stays as it is, and its state is the sorted pair.

    (0, 1): turned for −1, then (1, 0) kept for 10 twice; V(s₃) = V(1, 0) = .10.
    Targets: 10 + .05; 10 + .5 · 10.05; −1 + .5 · 15.025.
    (1, 2): kept for 12 three times; V(s₃) = .12. Targets: 12.06; 18.03; 21.015.
    """
    states = pairs((0, 0, 1), (0, 1, 2))
    seen = roll_out(WITH_CRITIC, states, replace(PPO, timesteps=3, gamma=0.5))
    assert triples(seen.state) == [*triples(states), *SORTED[:2], *SORTED[:2]]
    assert triples(seen.action) == SORTED[:2] * 3
    assert seen.reward.tolist() == [-1, 12, 10, 12, 10, 12]
    assert seen.old_first.tolist() == [0.9] * 6
    assert seen.old_second.tolist() == [0.5, 0.1] * 3
    targets = [6.5125, 21.015, 15.025, 18.03, 10.05, 12.06]
    assert seen.target.tolist() == pytest.approx(targets, abs=1e-12)
    values = [0.01, 0.12, 0.10, 0.12, 0.10, 0.12]
    assert seen.old_value.tolist() == values
    expected = [t - v for t, v in zip(targets, values, strict=True)]
    assert seen.advantage.tolist() == pytest.approx(expected, abs=1e-12)


def test_three_timesteps_without_a_critic_by_hand():
    seen = roll_out(WITHOUT, pairs((0, 0, 1)), replace(PPO, advantage="flip", timesteps=3))
    assert triples(seen.state) == [(0, 0, 1), (0, 1, 0), (0, 1, 0)]
    assert seen.reward.tolist() == seen.target.tolist() == [-1, 10, 10]
    assert seen.advantage.tolist() == [-2, 20, 20]


def test_taking_some_transitions_takes_all_of_each():
    seen = roll_out(WITH_CRITIC, STATES, replace(PPO, gamma=0.5))
    rows = np.array([3, 0])
    found = seen.take(rows)
    assert triples(found.state) == [(1, 0, 1), (0, 0, 1)]
    assert triples(found.action) == [(1, 0, 1), (0, 1, 0)]
    for name in ("old_first", "old_second", "reward", "target", "old_value", "advantage"):
        assert getattr(found, name).tolist() == getattr(seen, name)[rows].tolist(), name
    assert roll_out(WITHOUT, STATES, PPO).take(rows).old_value is None


@given(st.integers(0, 2**32), st.integers(2, 6), st.integers(1, 4), st.booleans())
def test_whatever_the_scores_the_higher_one_stands_first(seed, n, timesteps, critic):
    """And the reward is that of [state, action] in the table."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, 4, (2, n), generator=generator).double()  # with ties
    rewards = torch.randn(2, n, n, 2, generator=generator).double()
    values = torch.randn(2, n, n, generator=generator).double() if critic else None
    every = [(c, i, j) for c in range(2) for i in range(n) for j in range(n) if i != j]
    config = replace(PPO, timesteps=timesteps, gamma=0.9)
    seen = roll_out(Seen(scores, rewards, values), pairs(*every), config)
    assert len(seen.reward) == timesteps * len(every)
    steps = list(zip(triples(seen.state), triples(seen.action), strict=True))
    for t, ((c, i, j), (of, first, second)) in enumerate(steps):
        turned = bool(scores[c, j] > scores[c, i])
        assert (of, first, second) == ((c, j, i) if turned else (c, i, j))
        assert seen.reward[t] == rewards[c, i, j, int(turned)]
        assert seen.old_first[t] == scores[c, first] >= scores[c, second] == seen.old_second[t]
        if not critic:
            other = rewards[c, i, j, int(not turned)]
            assert seen.advantage[t].item() == pytest.approx((seen.reward[t] - other).item())
        elif t + len(every) < len(steps):  # Eq. 5, one timestep after the other
            later = seen.target[t + len(every)]
            assert seen.target[t].item() == pytest.approx((seen.reward[t] + 0.9 * later).item())
            assert steps[t + len(every)][0] == (of, first, second)
        else:
            last = values[of, first, second]
            assert seen.target[t].item() == pytest.approx((seen.reward[t] + 0.9 * last).item())


# --- What is drawn -------------------------------------------------------------------------------


@given(st.integers(1, 9), st.integers(1, 25), st.integers(0, 5))
def test_every_clip_is_drawn_once_a_lap_whatever_the_sizes(clips, wanted, seed):
    iterations = 3 * clips // wanted + 2
    drawn = [drawn_clips(clips, wanted, i, seed) for i in range(iterations)]
    assert all(len(of_iteration) == wanted for of_iteration in drawn)
    flat = [clip for of_iteration in drawn for clip in of_iteration]
    for start in range(0, len(flat) - clips + 1, clips):
        assert sorted(flat[start : start + clips]) == list(range(clips))


def test_laps_are_drawn_anew_and_an_iteration_by_itself():
    laps = [drawn_clips(8, 8, lap, 0) for lap in range(30)]
    assert len({tuple(lap) for lap in laps}) > 25 and sorted(laps[0]) != laps[0]
    assert drawn_clips(8, 8, 17, 0) == laps[17]
    assert drawn_clips(8, 16, 3, 0) == laps[6] + laps[7]
    assert drawn_clips(8, 5, 4, 0) == [*laps[2][4:], laps[3][0]]
    assert drawn_clips(8, 8, 0, 1) != laps[0]


POOL = np.array([[0, 1], [0, 3], [1, 2], [2, 3]])


def test_all_pairs_come_in_both_orders():
    found = drawn_pairs(POOL, 0, np.random.default_rng(0)).tolist()
    assert sorted(found) == sorted(POOL.tolist() + POOL[:, ::-1].tolist())


def test_some_pairs_come_once_each_and_in_a_random_order():
    draw = np.random.default_rng(0)
    drawn = [drawn_pairs(POOL, 3, draw) for _ in range(200)]
    for found in drawn:
        assert found.shape == (3, 2)
        unordered = {tuple(sorted(pair)) for pair in found.tolist()}
        assert len(unordered) == 3 and unordered <= {tuple(pair) for pair in POOL.tolist()}
    flat = [tuple(pair) for found in drawn for pair in found.tolist()]
    # 600 pairs of eight ordered ones: 75 each, give or take four deviations of 8.
    counts = [flat.count(tuple(pair)) for pair in [*POOL.tolist(), *POOL[:, ::-1].tolist()]]
    assert min(counts) > 43 and max(counts) < 107
    assert len(drawn_pairs(POOL, 99, draw)) == 4


@given(st.integers(2, 20), st.floats(0.01, 1.0), st.integers(0, 9), st.integers(0, 9))
def test_a_clips_pool_is_a_fixed_share_of_its_unordered_pairs(labels, share, seed, clip):
    pool = pool_of(labels, share, seed, clip)
    every = labels * (labels - 1) // 2
    assert len(pool) == max(1, round(share * every))
    assert (pool[:, 0] < pool[:, 1]).all() and pool.min() >= 0 and pool.max() < labels
    assert len({tuple(pair) for pair in pool.tolist()}) == len(pool)
    assert pool_of(labels, share, seed, clip).tolist() == pool.tolist()


def test_pools_are_drawn_for_each_clip_and_seed():
    """The paper's 40 % of the 190 pairs of 20 labels."""
    pools = [pool_of(20, 0.4, seed, clip).tolist() for seed in range(4) for clip in range(5)]
    assert all(len(pool) == 76 for pool in pools)
    assert len({str(pool) for pool in pools}) == 20
    seen = [sum(pair in pool for pool in pools) for pair in pool_of(20, 1.0, 0, 0).tolist()]
    assert len(seen) == 190
    assert min(seen) > 0 and max(seen) < 20  # no pair is always in, and none never
