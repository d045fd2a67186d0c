"""The equations of LR²PPO as pure functions. Numbers are the paper's (ECCV 2024, arXiv 2407.13221).

Shapes: n label pairs, or transitions, of a minibatch; T timesteps. `p_first` and `p_second` are the
actor's scores of the two labels of a pair in the order that the action gave them. Nothing here
detaches anything: what is a constant (advantages, targets, old scores) is passed as one.
"""

import torch
from torch import Tensor
from torch.nn import functional

# --- Stage 1 -------------------------------------------------------------------------------------


def smooth_l1(p: Tensor, y: Tensor, beta: float = 0.3) -> Tensor:
    """Stage 1 (Eq. 3), the mean over all labels.

        L(p) = 0.5 (p − y)² / β   if |p − y| < β,
               |p − y| − 0.5 β    otherwise.

    Both branches meet at |p − y| = β with the value β / 2 and the slope 1.

    Args:
        p: (n,) predicted relevance.
        y: (n,) relevance in the data: 2 high, 1 medium, 0 low.
        beta: where the parabola turns into a line, above 0; the paper's appendix C.3 says 0.3.

    Returns:
        A scalar.

    Raises:
        ValueError: shapes differ (they would broadcast), or beta is not above 0.
    """
    _same_shape(p, y)
    if beta <= 0:
        raise ValueError(f"beta must be above 0, not {beta}")
    distance = (p - y).abs()
    losses = (0.5 * distance**2 / beta).where(distance < beta, distance - 0.5 * beta)
    return losses.mean()


def grade_cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Stage 1 as classification (S1-CLS, appendix C.4): −log softmax(logits)[y], the mean.

    Args:
        logits: (n, 3) one a grade, grade g's in column g.
        y: (n,) relevance in the data: 2, 1 or 0, as integers or as floats.

    Returns:
        A scalar.
    """
    return functional.cross_entropy(logits, y.long())


# --- Stage 2 -------------------------------------------------------------------------------------


def reward_margin(chosen: Tensor, flipped: Tensor, margin: float = 1.0) -> Tensor:
    """Stage 2 (Eq. 4), the mean of max(0, m_R − (R([g_ini, g_c]) − R([g_ini, flip(g_c)]))).

    Args:
        chosen: (n,) reward of each pair in ground-truth order.
        flipped: (n,) reward of the same pairs the other way round, from the same initial order.
        margin: m_R; appendix C.3: 1.

    Returns:
        A scalar.

    Raises:
        ValueError: shapes differ.
    """
    _same_shape(chosen, flipped)
    return (margin - (chosen - flipped)).clamp(min=0).mean()


# --- Stage 3 -------------------------------------------------------------------------------------


def target_values(rewards: Tensor, last_value: Tensor, gamma: float = 0.0) -> Tensor:
    """Eq. 5: V_t^target = r_t + γ r_{t+1} + … + γ^{T−t−1} r_{T−1} + γ^{T−t} V_old(s_T).

    Args:
        rewards: (T, n) r_0 … r_{T−1}.
        last_value: (n,) V_old(s_T) of the state after the last transition.
        gamma: discount; appendix C.3: 0, with which V_t^target is r_t.

    Returns:
        (T, n)
    """
    _same_shape(rewards[0], last_value)
    targets, later = [], last_value
    for reward in rewards.flip(0):
        later = reward + gamma * later
        targets.append(later)
    return torch.stack(targets[::-1])


def advantages(targets: Tensor, values: Tensor) -> Tensor:
    """Eq. 6: Â_t = V_t^target − V_old(s_t). All shapes alike."""
    _same_shape(targets, values)
    return targets - values


def flip_advantages(rewards: Tensor, flipped: Tensor) -> Tensor:
    """Not in the paper: Â = R([s, a]) − R([s, flip(a)]), what the action gains over the only other.

    A pair has two orders and the reward model is at hand, so the baseline that Eq. 6 learns can
    be had exactly. All shapes alike.
    """
    _same_shape(rewards, flipped)
    return rewards - flipped


def partial_order(p1: Tensor, p2: Tensor, margin: float = 1.0) -> Tensor:
    """Eq. 7: H(p¹, p²) = max(0, m − (p¹ − p²)).

    Args:
        p1: (n,) scores of the labels that should stand first.
        p2: (n,) scores of the others.
        margin: m; appendix C.3: 1. The released code: 0.01.

    Returns:
        (n,)
    """
    _same_shape(p1, p2)
    return (margin - (p1 - p2)).clamp(min=0)


def partial_order_ratio(
    p_first: Tensor, p_second: Tensor, advantage: Tensor, margin: float = 1.0, delta: float = -0.1
) -> Tensor:
    """Eq. 8: r' = −H(p¹, p²) if Â ≥ δ, else −H(p², p¹).

    The paper calls p¹ and p² the scores of the input pair. Â says what the order that the action
    gave is worth, so that order is meant; the released code reads it so too.

    Args:
        p_first: (n,) scores of the labels that the action put first.
        p_second: (n,) scores of those it put second.
        advantage: (n,) of the action.
        margin: m of Eq. 7.
        delta: δ; appendix C.3: −0.1.

    Returns:
        (n,) at most 0.
    """
    _same_shape(p_first, advantage)
    kept = partial_order(p_first, p_second, margin)
    turned = partial_order(p_second, p_first, margin)
    return -torch.where(advantage >= delta, kept, turned)


def policy_loss(ratio: Tensor, advantage: Tensor) -> Tensor:
    """Eq. 9: −E[r' · abs(Â)]. Shapes (n,) and (n,), to a scalar."""
    _same_shape(ratio, advantage)
    return -(ratio * advantage.abs()).mean()


def batch_policy_loss(ratio: Tensor, advantage: Tensor) -> Tensor:
    """Eq. 9 as the released code has it: −(mean of r' over r' < 0) · (mean of abs(Â)).

    The hinge is brought to one number a minibatch, over its violators alone, before advantages
    weight it: which pair had the large advantage is lost. 0 where no pair violates its margin.
    """
    _same_shape(ratio, advantage)
    violators = (ratio < 0).sum().clamp(min=1)
    return -(ratio.sum() / violators) * advantage.abs().mean()


def value_loss(values: Tensor, targets: Tensor) -> Tensor:
    """Eq. 10: E[(V(s_t) − V_t^target)²]. Shapes (n,) and (n,), to a scalar."""
    _same_shape(values, targets)
    return ((values - targets) ** 2).mean()


def clipped_value_loss(
    values: Tensor, old_values: Tensor, targets: Tensor, clip: float = 0.5
) -> Tensor:
    """Eq. 10 as the released code has it: the larger of two squares, one with V kept near V_old.

        E[max((V − V^target)², (V_old + clip(V − V_old, −c, c) − V^target)²)]

    All shapes (n,), to a scalar. Where V has moved towards the target by more than `clip`, its
    gradient is 0, until it is farther beyond the target than the limited V is short of it.
    """
    _same_shape(values, targets)
    _same_shape(values, old_values)
    near = old_values + (values - old_values).clamp(-clip, clip)
    return torch.maximum((values - targets) ** 2, (near - targets) ** 2).mean()


def order_log_probabilities(p_first: Tensor, p_second: Tensor) -> Tensor:
    """The policy π(·|s) as logarithms: log softmax of the two scores. (n,) and (n,) to (n, 2).

    The first column is the log probability that the first label stands first.
    """
    _same_shape(p_first, p_second)
    return torch.stack([p_first, p_second], dim=1).log_softmax(dim=1)


def entropy(p_first: Tensor, p_second: Tensor) -> Tensor:
    """Eq. A.4, pair by pair: −Σ_a π(a|s) log π(a|s), (n,), from 0 to log 2."""
    logs = order_log_probabilities(p_first, p_second)
    return -(logs.exp() * logs).sum(1)


def kl_penalty(old_first: Tensor, old_second: Tensor, p_first: Tensor, p_second: Tensor) -> Tensor:
    """Eq. A.6, pair by pair: KL(π_old(·|s), π(·|s)), (n,), at least 0."""
    _same_shape(old_first, p_first)
    old = order_log_probabilities(old_first, old_second)
    new = order_log_probabilities(p_first, p_second)
    return (old.exp() * (old - new)).sum(1)


def penalised_rewards(rewards: Tensor, kl: Tensor, c3: float = 1e-3) -> Tensor:
    """Appendix C.3: r − c₃ KL. The penalty is taken from the reward, not added to the loss."""
    _same_shape(rewards, kl)
    return rewards - c3 * kl


def original_ratio(
    old_first: Tensor, old_second: Tensor, p_first: Tensor, p_second: Tensor
) -> Tensor:
    """Eq. A.1: r = π(a|s) / π_old(a|s), with the order as the action, (n,), above 0.

    π(a|s) is the softmax of the two scores at the label that the action put first: "the maximum
    component in the vector of predicted action probability distribution" (section 3.2).
    """
    _same_shape(old_first, p_first)
    old = order_log_probabilities(old_first, old_second)[:, 0]
    new = order_log_probabilities(p_first, p_second)[:, 0]
    return (new - old).exp()


def original_policy_loss(ratio: Tensor, advantage: Tensor) -> Tensor:
    """Eq. A.2: −E[r Â], the surrogate objective of PPO without a limit."""
    _same_shape(ratio, advantage)
    return -(ratio * advantage).mean()


def clipped_policy_loss(ratio: Tensor, advantage: Tensor, clip: float = 0.2) -> Tensor:
    """Eq. A.3: −E[min(r Â, clip(r, 1 − ε, 1 + ε) Â)]. Shapes (n,) and (n,), to a scalar.

    The paper names no ε. The released code has 0.2 as a default and does not use it.
    """
    _same_shape(ratio, advantage)
    limited = ratio.clamp(1 - clip, 1 + clip)
    return -torch.minimum(ratio * advantage, limited * advantage).mean()


def total_loss(
    policy: Tensor, value: Tensor, entropy: Tensor, kl: Tensor, c1: float, c2: float, c3: float
) -> Tensor:
    """Eq. 11: L = L^PF + c₁ L^VF − c₂ S + c₃ KL. Scalars, to a scalar.

    Appendix C.3 takes the KL penalty from the reward instead; c₃ is 0 here then.
    """
    for term in (value, entropy, kl):
        _same_shape(policy, term)
    return policy + c1 * value - c2 * entropy + c3 * kl


# --- Control -------------------------------------------------------------------------------------


def pairwise_logistic(better: Tensor, worse: Tensor) -> Tensor:
    """RankNet (Burges et al. 2005): the mean of log(1 + exp(−(s_better − s_worse))).

    The negative log likelihood of the annotated orders under Bradley–Terry. (n,) and (n,), to a
    scalar.
    """
    _same_shape(better, worse)
    return functional.softplus(worse - better).mean()


def _same_shape(x: Tensor, y: Tensor) -> None:
    if x.shape != y.shape:
        raise ValueError(f"shapes {tuple(x.shape)} and {tuple(y.shape)} would broadcast")
