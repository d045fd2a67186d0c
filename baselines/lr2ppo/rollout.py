"""Stage 3's environment: pairs of labels, an actor that sorts them, rewards (Algorithm B.1, 5–20).

The state is the order of a pair, the action sorts it by the actor's scores, the reward is that of
the transition. Scores, rewards and values of a clip are had from one encoding of its labels, so
that a trajectory of any length is looked up, not computed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from baselines.data import Ints, Record, subset
from baselines.learning.parallel import World
from baselines.learning.running import autocast, parts
from baselines.lr2ppo.batch import collate
from baselines.lr2ppo.losses import advantages, flip_advantages, target_values
from baselines.lr2ppo.model import Actor, PairModel
from baselines.lr2ppo.pairs import Pairs, all_pairs
from baselines.lr2ppo.presets import PPOConfig
from baselines.lr2ppo.rewards import KEEP, TURN, values_of_pairs

AT_ONCE = 8
"""Clips a forward pass while an iteration's pairs are collected."""


class Seen(NamedTuple):
    """Some clips as the old networks see them; n is the most labels of one, padded with zeros."""

    scores: Tensor
    """(c, n) of the actor."""
    rewards: Tensor
    """(c, n, n, 2) of the reward model, for keeping and for turning each ordered pair."""
    values: Tensor | None
    """(c, n, n) V_old of each ordered pair as a state; None without a critic."""


class Transitions(NamedTuple):
    """What the actor did: m transitions, timestep after timestep."""

    state: Pairs
    """(m,) the pair, in the order of the state."""
    action: Pairs
    """(m,) the same pair as the action put it."""
    old_first: Tensor
    """(m,) the old actor's score of the label that was put first."""
    old_second: Tensor
    """(m,) of the other."""
    reward: Tensor
    """(m,) r_t."""
    target: Tensor
    """(m,) V_t^target, Eq. 5; the reward, where there is no critic."""
    old_value: Tensor | None
    """(m,) V_old(s_t)."""
    advantage: Tensor
    """(m,) Eq. 6, or the exact one."""

    def take(self, rows: Ints) -> "Transitions":
        """The transitions at some places."""
        old_value = None if self.old_value is None else self.old_value[rows]
        return Transitions(
            self.state.take(rows), self.action.take(rows), self.old_first[rows],
            self.old_second[rows], self.reward[rows], self.target[rows], old_value,
            self.advantage[rows],
        )  # fmt: skip


def drawn_clips(clips: int, wanted: int, iteration: int, seed: int) -> list[int]:
    """The clips of an iteration: all clips in a new order again and again, cut into iterations."""
    found: list[int] = []
    for place in range(iteration * wanted, (iteration + 1) * wanted):
        lap, index = divmod(place, clips)
        if not found or not index:
            order = np.random.default_rng([seed, 3, lap]).permutation(clips)
        found.append(int(order[index]))
    return found


def drawn_pairs(pool: Ints, pairs_a_clip: int, draw: np.random.Generator) -> Ints:
    """(m, 2) initial states of one clip: drawn without repetition, each in a random order.

    With ``pairs_a_clip`` 0 all of `pool`, (p, 2) unordered pairs, in both orders.
    """
    if not pairs_a_clip:
        return np.concatenate([pool, pool[:, ::-1]])
    chosen = pool[draw.permutation(len(pool))[:pairs_a_clip]]
    turned = draw.integers(0, 2, len(chosen)).astype(bool)
    return np.where(turned[:, None], chosen[:, ::-1], chosen)


def pool_of(labels: int, share: float, seed: int, clip: int) -> Ints:
    """(p, 2) the unordered pairs of a clip that may be drawn at all: a fixed share of them."""
    every = all_pairs(labels)
    every = every[every[:, 0] < every[:, 1]]
    count = max(1, round(share * len(every)))
    kept = np.random.default_rng([seed, 3, clip, 1]).permutation(len(every))[:count]
    return every[np.sort(kept)]


def roll_out(seen: Seen, states: Pairs, config: PPOConfig) -> Transitions:
    """Let the old actor sort pairs for T timesteps, and judge what it did.

    Args:
        seen: the clips that ``states.record`` counts.
        states: (m,) initial states s_0.
        config: T, discount, and which baseline.

    Returns:
        m T transitions.
    """
    visited, actions, firsts, seconds, taken, other = [], [], [], [], [], []
    state = states
    for _ in range(config.timesteps):
        p1, p2 = (seen.scores[state.record, labels] for labels in (state.first, state.second))
        turn = p2 > p1
        rewards = seen.rewards[state.record, state.first, state.second]
        taken.append(torch.where(turn, rewards[:, TURN], rewards[:, KEEP]))
        other.append(torch.where(turn, rewards[:, KEEP], rewards[:, TURN]))
        firsts.append(torch.maximum(p1, p2))
        seconds.append(torch.minimum(p1, p2))
        visited.append(state)
        mask = turn.numpy()
        state = Pairs(
            state.record,
            np.where(mask, state.second, state.first),
            np.where(mask, state.first, state.second),
        )
        actions.append(state)
    reward = torch.stack(taken)
    if seen.values is None:
        target, old_value = reward, None
        advantage = flip_advantages(reward, torch.stack(other))
    else:
        values = [seen.values[s.record, s.first, s.second] for s in (*visited, state)]
        old_value = torch.stack(values[:-1])
        target = target_values(reward, values[-1], config.gamma)
        advantage = advantages(target, old_value)
    return Transitions(
        _join(visited), _join(actions), torch.cat(firsts), torch.cat(seconds), reward.flatten(),
        target.flatten(), None if old_value is None else old_value.flatten(), advantage.flatten(),
    )  # fmt: skip


def _join(parts: Sequence[Pairs]) -> Pairs:
    return Pairs(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def look(
    actor: Actor,
    critic: PairModel | None,
    records: Sequence[Record],
    states: Pairs,
    rewards: Tensor,
    config: PPOConfig,
    world: World,
) -> Seen:
    """Scores and values that some states need, by the networks as they are, nothing dropped out."""
    machine = config.machine
    actor.eval()
    if critic is not None:
        critic.eval()
    scores = torch.zeros(rewards.shape[:2])
    values = None if critic is None else torch.zeros(rewards.shape[:3])
    by_record = np.argsort(states.record, kind="stable")
    cuts = np.searchsorted(states.record[by_record], np.arange(1, len(records)))
    wanted = [
        np.union1d(states.first[mine], states.second[mine]) for mine in np.split(by_record, cuts)
    ]
    found: list[tuple[int, Tensor, Tensor | None]] = []
    for run in parts(world.share(range(len(records))), AT_ONCE):
        batch = collate([subset(records[place], wanted[place]) for place in run])
        ends = np.cumsum([len(wanted[place]) for place in run])[:-1].tolist()
        with torch.inference_mode(), autocast(machine):
            batch = batch.to(machine.device)
            of_labels = actor(batch).cpu().tensor_split(ends)
            of_pairs: list[Tensor | None] = [None] * len(run)
            if critic is not None:
                vectors = critic.trunk(batch).tensor_split(ends)
                of_pairs = [state_values(critic, of_clip) for of_clip in vectors]
        found += zip(run, of_labels, of_pairs, strict=True)
    for share in world.gather(found):
        for place, of_label, of_pair in share:
            labels = wanted[place]
            scores[place, labels] = of_label
            if values is not None and of_pair is not None:
                values[place, labels[:, None], labels[None, :]] = of_pair
    return Seen(scores, rewards, values)


def state_values(critic: PairModel, vectors: Tensor) -> Tensor:
    """(n, n) V of every ordered pair of a clip's labels, from their (n, width) vectors."""
    return values_of_pairs(critic, vectors, [0, 1])
