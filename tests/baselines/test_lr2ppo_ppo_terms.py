"""Eq. 11 and what PPO brings to it (appendix A): by hand, by others' code, against wrong ones.

A check takes an implementation: ours must pass it, and each wrong variant of it must not.
"""

import math
from functools import partial

import numpy as np
import pytest
import torch
from equations import DIFFERENT_SHAPES, agrees, double, each, each_wrong
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import log_softmax, rel_entr
from torch.distributions import Categorical, kl_divergence

from baselines.lr2ppo.losses import (
    clipped_policy_loss,
    entropy,
    kl_penalty,
    order_log_probabilities,
    original_policy_loss,
    original_ratio,
    partial_order_ratio,
    penalised_rewards,
    policy_loss,
    total_loss,
    value_loss,
)

LN2, LN3, LN4 = map(math.log, (2, 3, 4))
TWO_TENSORS = [
    order_log_probabilities, entropy, penalised_rewards, original_policy_loss, clipped_policy_loss,
]  # fmt: skip


# --- The policy as a distribution over the two orders --------------------------------------------

scores = st.floats(-9, 9)


def check_order_log_probabilities(fn):
    # ln 3 apart: 3/4 and 1/4. Equal: one half each. A row a pair; the level means nothing.
    expected = [[LN3 - LN4, -LN4], [-LN2, -LN2], [-LN4, LN3 - LN4]]
    slopes = [1 - 2 * 3 / 4, 0, 1 - 2 * 1 / 4], [1 - 2 * 1 / 4, 0, 1 - 2 * 3 / 4]
    agrees(fn, ([LN3, 0.5, 7.0], [0.0, 0.5, 7.0 + LN3]), expected, slopes)
    # So far apart that the probability itself would be 0.
    agrees(fn, ([1000.0], [0.0]), [[0, -1000]], ([-1], [1]))


WRONG_LOG_PROBABILITIES = {
    "columns swapped": lambda f, s: order_log_probabilities(s, f),
    "over the pairs": lambda f, s: torch.stack([f, s], 1).log_softmax(0),
    "no log": lambda f, s: torch.stack([f, s], 1).softmax(1),
    "log of a probability that is 0": lambda f, s: torch.stack([f, s], 1).softmax(1).log(),
    "in bits": lambda f, s: order_log_probabilities(f, s) / LN2,
    "raw scores": lambda f, s: torch.stack([f, s], 1),
    "pairs as columns": lambda f, s: order_log_probabilities(f, s).T,
}


def check_entropy(fn):
    # One half each: ln 2, and no slope. 3/4 and 1/4: ¾ ln 4/3 + ¼ ln 4 = ln 4 − ¾ ln 3, with the
    # slope −gap · π · (1 − π) by the first score. Either label may lead.
    value, slope = [LN2, LN4 - 0.75 * LN3, LN4 - 0.75 * LN3], np.array([0, -1, 1]) * LN3 * 3 / 16
    agrees(fn, ([0.3, LN3, 0.0], [0.3, 0.0, LN3]), value, (slope, -slope))
    # Far apart there is no doubt, and 0 · log 0 is 0.
    agrees(fn, ([2000.0, 0.0], [0.0, 2000.0]), [0, 0], ([0, 0], [0, 0]))


def _plogp(p):
    return -(p * p.log()).sum(1)


def _from_logs(total):
    return lambda f, s: total(order_log_probabilities(f, s))


WRONG_ENTROPY = {
    "sign": _from_logs(lambda logs: (logs.exp() * logs).sum(1)),
    "in bits": _from_logs(lambda logs: -(logs.exp() * logs).sum(1) / LN2),
    "of the action alone": _from_logs(lambda logs: -(logs.exp() * logs)[:, 0]),
    "surprise": _from_logs(lambda logs: -logs[:, 0]),
    "not weighted": _from_logs(lambda logs: -logs.mean(1)),
    "mean of the two": _from_logs(lambda logs: -(logs.exp() * logs).mean(1)),
    "mean of the pairs": _from_logs(lambda logs: -(logs.exp() * logs).sum(1).mean()),
    "0 log 0 is not a number": lambda f, s: _plogp(torch.stack([f, s], 1).softmax(1)),
    "gradient cut": _from_logs(lambda logs: -(logs.exp() * logs).sum(1).detach()),
}


@given(arrays(np.float64, (5, 2), elements=scores))
def test_order_probabilities_and_entropy_are_those_of_scipy_and_torch(numbers):
    logs = order_log_probabilities(*torch.tensor(numbers).T)
    np.testing.assert_allclose(logs, log_softmax(numbers, axis=1), rtol=0, atol=1e-12)
    np.testing.assert_allclose(logs.exp().sum(1), np.ones(5), rtol=0, atol=1e-12)
    found = entropy(*torch.tensor(numbers).T)
    expected = Categorical(logits=torch.tensor(numbers)).entropy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert ((found >= 0) & (found <= LN2 + 1e-15)).all()


# --- Eq. A.6 -------------------------------------------------------------------------------------

# Old 3/4 and 1/4, new one half each; old one half, new 3/4; both alike, at another level.
FOUR_SCORES = [LN3, 0.0, LN3], [0.0, 0.0, 0.0], [0.0, LN3, 5.0 + LN3], [0.0, 0.0, 5.0]


def check_kl_penalty(fn):
    # ¾ ln (¾ / ½) + ¼ ln (¼ / ½) = ¾ ln 3 − ln 2; ½ ln (½ / ¾) + ½ ln (½ / ¼) = ln 2 − ½ ln 3; 0.
    value = [0.75 * LN3 - LN2, LN2 - 0.5 * LN3, 0]
    # By the new scores: π − π_old. By the old: π_old (1 − π_old) times what the log odds differ by.
    old, new = np.array([3 / 16 * LN3, -LN3 / 4, 0]), np.array([-1 / 4, 1 / 4, 0])
    agrees(fn, FOUR_SCORES, value, (old, -old, new, -new))
    # Sure of one order and then of the other: the distance, finite.
    agrees(fn, ([1000.0], [0.0], [0.0], [1000.0]), [1000])


def _from_both(total):
    return lambda a, b, c, d: total(order_log_probabilities(a, b), order_log_probabilities(c, d))


WRONG_KL = {
    "old and new swapped": lambda a, b, c, d: kl_penalty(c, d, a, b),
    "symmetric": lambda a, b, c, d: (kl_penalty(a, b, c, d) + kl_penalty(c, d, a, b)) / 2,
    "labels of the new swapped": lambda a, b, c, d: kl_penalty(a, b, d, c),
    "sign": lambda a, b, c, d: -kl_penalty(a, b, c, d),
    "mean of the pairs": lambda a, b, c, d: kl_penalty(a, b, c, d).mean(),
    "of the action alone": _from_both(lambda old, new: (old.exp() * (old - new))[:, 0]),
    "log ratio": _from_both(lambda old, new: (old - new)[:, 0]),
    "weighted by the new": _from_both(lambda old, new: (new.exp() * (old - new)).sum(1)),
    "cross entropy": _from_both(lambda old, new: -(old.exp() * new).sum(1)),
    "squared distance": _from_both(lambda old, new: ((old - new)[:, 0] ** 2) / 2),
    "in bits": lambda a, b, c, d: kl_penalty(a, b, c, d) / LN2,
}


@given(arrays(np.float64, (5, 4), elements=scores))
def test_kl_is_that_of_scipy_and_torch(numbers):
    old, new = torch.tensor(numbers[:, :2]), torch.tensor(numbers[:, 2:])
    found = kl_penalty(*old.T, *new.T)
    expected = kl_divergence(Categorical(logits=old), Categorical(logits=new))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    expected = rel_entr(old.softmax(1).numpy(), new.softmax(1).numpy()).sum(1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert (found >= -1e-14).all()
    assert not kl_penalty(*old.T, *old.T).any()


# --- Eqs. A.1 to A.3 -----------------------------------------------------------------------------


def check_original_ratio(fn):
    # ½ / ¾, ¾ / ½, 1; by the first new score r (1 − π), by the first old one −r (1 − π_old).
    old, new = np.array([-1 / 6, -3 / 4, -1 / 4]), np.array([1 / 3, 3 / 8, 1 / 4])
    agrees(fn, FOUR_SCORES, [2 / 3, 3 / 2, 1], (old, -old, new, -new))
    # An action that the old policy was sure of, and the new one is sure not to take.
    agrees(fn, ([1000.0], [0.0], [0.0], [1000.0]), [0])


WRONG_ORIGINAL_RATIO = {
    "inverted": lambda a, b, c, d: 1 / original_ratio(a, b, c, d),
    "of the second label": lambda a, b, c, d: original_ratio(b, a, d, c),
    "of the larger probability each": lambda a, b, c, d: (
        torch.maximum(c, d).sigmoid() / torch.maximum(a, b).sigmoid()
    ),
    "log": lambda a, b, c, d: original_ratio(a, b, c, d).log(),
    "difference": _from_both(lambda old, new: (new.exp() - old.exp())[:, 0]),
    "of scores": lambda a, b, c, d: (c - a).exp(),
    "both labels": _from_both(lambda old, new: (new - old).sum(1).exp()),
    "new policy alone": _from_both(lambda old, new: new.exp()[:, 0]),
}


@given(arrays(np.float64, (5, 4), elements=scores))
def test_original_ratio_is_on_average_1_under_the_old_policy(numbers):
    a, b, c, d = torch.tensor(numbers).T
    ratio, other = original_ratio(a, b, c, d), original_ratio(b, a, d, c)
    assert (ratio > 0).all()
    old = order_log_probabilities(a, b).exp()
    np.testing.assert_allclose(old[:, 0] * ratio + old[:, 1] * other, np.ones(5), atol=1e-12)


def check_original_policy_loss(fn):
    # −(1.5 · 3 + 0.5 · (−2) + 1 · 4) / 3 = −2.5.
    ratio, worth = [1.5, 0.5, 1.0], [3.0, -2.0, 4.0]
    agrees(fn, (ratio, worth), -2.5, ([-1, 2 / 3, -4 / 3], [-1 / 2, -1 / 6, -1 / 3]))


WRONG_ORIGINAL_POLICY_LOSS = {
    "abs of the advantage": lambda r, a: policy_loss(r, a),
    "sign": lambda r, a: (r * a).mean(),
    "sum": lambda r, a: -(r * a).sum(),
    "product of means": lambda r, a: -r.mean() * a.mean(),
    "log ratio": lambda r, a: -(r.log() * a).mean(),
    "clipped": lambda r, a: clipped_policy_loss(r, a),
}

CLIPPED = [
    # r, Â, ε; the loss; its slope by r. With ε = 0.2 the limits are 0.8 and 1.2.
    (1.5, 1.0, 0.2, -1.2, 0),  # good and likelier already: no more of it
    (1.5, -1.0, 0.2, 1.5, 1),  # bad and likelier: min takes the whole of it
    (0.5, 1.0, 0.2, -0.5, -1),  # good and less likely: min takes the whole of it
    (0.5, -1.0, 0.2, 0.8, 0),  # bad and less likely already: no more of it
    (1.1, 2.0, 0.2, -2.2, -2),  # within the limits
    (0.9, -2.0, 0.2, 1.8, 2),
    (1.1, 2.0, 0.05, -2.1, 0),  # a narrower limit
    (0.9, -2.0, 0.05, 1.9, 0),
]


def check_clipped_policy_loss(fn):
    for ratio, worth, clip, loss, slope in CLIPPED:
        by_worth = loss / worth  # the loss is linear in the advantage
        agrees(fn, ([ratio], [worth]), loss, ([slope], [by_worth]), clip=clip)
    # The paper gives no ε; 0.2 is the released code's. The mean of the first six.
    ratio, worth, _, loss, slope = np.array(CLIPPED[:6]).T
    agrees(fn, (ratio, worth), loss.mean(), (slope / 6, loss / worth / 6))


def _limited(better_of=torch.minimum, low=1, high=1, clip=0.2):
    def fn(ratio, advantage, clip=clip):
        limited = ratio.clamp(1 - low * clip, 1 + high * clip)
        return -better_of(ratio * advantage, limited * advantage).mean()

    return fn


WRONG_CLIPPED_POLICY_LOSS = {
    "max": _limited(torch.maximum),
    "clipped alone": _limited(lambda free, limited: limited),
    "not clipped": _limited(lambda free, limited: free),
    "clipped above only": _limited(low=99),
    "clipped below only": _limited(high=99),
    "another epsilon": _limited(clip=0.1),
    "limits of the value loss": _limited(clip=0.5),
    "epsilon does nothing": lambda r, a, clip=0.2: clipped_policy_loss(r, a),
    "about 0": lambda r, a, clip=0.2: -torch.minimum(r * a, r.clamp(-clip, clip) * a).mean(),
    "min of the ratios": lambda r, a, clip=0.2: -(r.clamp(max=1 + clip) * a).mean(),
    "abs of the advantage": lambda r, a, clip=0.2: clipped_policy_loss(r, a.abs(), clip),
    "product clipped": lambda r, a, clip=0.2: -(r * a).clamp(1 - clip, 1 + clip).mean(),
    "sign": lambda r, a, clip=0.2: -clipped_policy_loss(r, a, clip),
    "sum": lambda r, a, clip=0.2: clipped_policy_loss(r, a, clip) * len(r),
}


@given(
    arrays(np.float64, 5, elements=st.floats(0.01, 3)),
    arrays(np.float64, 5, elements=st.floats(-3, 3)),
    st.floats(0, 0.9),
)
def test_clipped_policy_loss_is_never_more_hopeful_than_the_original(ratio, worth, clip):
    ratio, worth = torch.tensor(ratio), torch.tensor(worth)
    free = original_policy_loss(ratio, worth).item()
    assert clipped_policy_loss(ratio, worth, clip).item() >= free - 1e-12
    within = ratio.clamp(1 - clip, 1 + clip)
    free = original_policy_loss(within, worth).item()
    assert clipped_policy_loss(within, worth, clip).item() == pytest.approx(free, abs=1e-12)


# --- Appendix C.3 and Eq. 11 ---------------------------------------------------------------------


def check_penalised_rewards(fn):
    agrees(fn, ([1.0, 0.5], [2.0, 0.0]), [0.998, 0.5], ([1, 1], [-1e-3, -1e-3]))
    agrees(fn, ([[1.0], [0.5]], [[2.0], [4.0]]), [[0], [-1.5]], c3=0.5)


WRONG_PENALISED_REWARDS = {
    "added": lambda r, kl, c3=1e-3: r + c3 * kl,
    "c3 squared": lambda r, kl, c3=1e-3: r - c3**2 * kl,
    "weights both": lambda r, kl, c3=1e-3: c3 * (r - kl),
    "mean of KL": lambda r, kl, c3=1e-3: r - c3 * kl.mean(),
    "another c3": lambda r, kl, c3=1e-2: r - c3 * kl,
    "c3 does nothing": lambda r, kl, c3=1e-3: r - 1e-3 * kl,
}


def check_total_loss(fn):
    # 2 + 0.5 · 3 − 0.1 · 0.5 + 4 · 0.25 = 4.45
    terms = partial(agrees, fn, (2.0, 3.0, 0.5, 0.25))
    terms(4.45, (1, 0.5, -0.1, 4), c1=0.5, c2=0.1, c3=4.0)
    terms(2, (1, 0, 0, 0), c1=0.0, c2=0.0, c3=0.0)
    # The paper's coefficients, with KL in the reward: Eq. A.5.
    terms(4.9995, (1, 1, -1e-3, 0), c1=1.0, c2=1e-3, c3=0.0)


WRONG_TOTAL_LOSS = {
    "entropy added": lambda p, v, s, kl, c1, c2, c3: p + c1 * v + c2 * s + c3 * kl,
    "KL taken away": lambda p, v, s, kl, c1, c2, c3: p + c1 * v - c2 * s - c3 * kl,
    "value taken away": lambda p, v, s, kl, c1, c2, c3: p - c1 * v - c2 * s + c3 * kl,
    "no c1": lambda p, v, s, kl, c1, c2, c3: p + v - c2 * s + c3 * kl,
    "c1 and c2 swapped": lambda p, v, s, kl, c1, c2, c3: p + c2 * v - c1 * s + c3 * kl,
    "c2 and c3 swapped": lambda p, v, s, kl, c1, c2, c3: p + c1 * v - c3 * s + c2 * kl,
    "c1 weights the policy": lambda p, v, s, kl, c1, c2, c3: c1 * (p + v) - c2 * s + c3 * kl,
    "no KL": lambda p, v, s, kl, c1, c2, c3: p + c1 * v - c2 * s,
    "critic does not learn": lambda p, v, s, kl, c1, c2, c3: p + c1 * v.detach() - c2 * s + c3 * kl,
}


def algorithm_b1(transitions, c1, c2, c3, margin, delta):
    """Lines 26 to 38 of Algorithm B.1, one transition at a time in plain numbers."""
    policy = value = doubt = kl = 0.0
    for old_1, old_2, p1, p2, worth, v, target in transitions:
        ahead, behind = (p1, p2) if worth >= delta else (p2, p1)
        policy -= -max(0.0, margin - (ahead - behind)) * abs(worth)
        value += (v - target) ** 2
        for old, other_old, p, other in ((old_1, old_2, p1, p2), (old_2, old_1, p2, p1)):
            was, now = 1 / (1 + math.exp(other_old - old)), 1 / (1 + math.exp(other - p))
            doubt -= now * math.log(now)
            kl += was * math.log(was / now)
    return (policy + c1 * value - c2 * doubt + c3 * kl) / len(transitions)


@given(
    arrays(np.float64, (6, 7), elements=st.floats(-3, 3)),
    st.floats(0, 2), st.floats(0, 2), st.floats(0, 2), st.floats(0, 2), st.floats(-1, 1),
)  # fmt: skip
def test_all_together_is_algorithm_b1(transitions, c1, c2, c3, margin, delta):
    old_1, old_2, p1, p2, worth, v, target = torch.tensor(transitions).T
    policy = policy_loss(partial_order_ratio(p1, p2, worth, margin, delta), worth)
    kl = kl_penalty(old_1, old_2, p1, p2).mean()
    found = total_loss(policy, value_loss(v, target), entropy(p1, p2).mean(), kl, c1, c2, c3)
    expected = algorithm_b1(transitions.tolist(), c1, c2, c3, margin, delta)
    assert found.item() == pytest.approx(expected, rel=1e-12, abs=1e-12)


# --- All -----------------------------------------------------------------------------------------

CHECKS = [
    (check_order_log_probabilities, order_log_probabilities, WRONG_LOG_PROBABILITIES),
    (check_entropy, entropy, WRONG_ENTROPY),
    (check_kl_penalty, kl_penalty, WRONG_KL),
    (check_original_ratio, original_ratio, WRONG_ORIGINAL_RATIO),
    (check_original_policy_loss, original_policy_loss, WRONG_ORIGINAL_POLICY_LOSS),
    (check_clipped_policy_loss, clipped_policy_loss, WRONG_CLIPPED_POLICY_LOSS),
    (check_penalised_rewards, penalised_rewards, WRONG_PENALISED_REWARDS),
    (check_total_loss, total_loss, WRONG_TOTAL_LOSS),
]


@each(CHECKS)
def test_by_hand(check, fn):
    check(fn)


@each_wrong(CHECKS)
def test_a_wrong_variant_does_not_pass(check, wrong):
    with pytest.raises(AssertionError):
        check(wrong)


PAIR, OTHER = [0.1, 2.0], [0.3, -1.0]


@pytest.mark.parametrize(
    ("fn", "inputs"),
    [
        (order_log_probabilities, (PAIR, OTHER)),
        (entropy, (PAIR, OTHER)),
        (kl_penalty, (PAIR, OTHER, OTHER, [0.4, 0.6])),
        (original_ratio, (PAIR, OTHER, OTHER, [0.4, 0.6])),
        (penalised_rewards, (PAIR, OTHER)),
        (original_policy_loss, (PAIR, OTHER)),
        (clipped_policy_loss, ([0.5, 0.6, 1.1, 1.5, 1.6], [1.0, -1.0, 0.7, 2.0, -0.3])),
        (partial(total_loss, c1=0.5, c2=0.1, c3=2.0), (0.3, 0.4, 0.5, 0.6)),
    ],
)
def test_gradients_are_those_of_finite_differences(fn, inputs):
    assert torch.autograd.gradcheck(fn, [double(values).requires_grad_() for values in inputs])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_is_kept(dtype):
    x, y = torch.tensor(PAIR, dtype=dtype), torch.tensor(OTHER, dtype=dtype)
    outs = [fn(x, y) for fn in TWO_TENSORS]
    outs += [fn(x, y, y, x) for fn in (kl_penalty, original_ratio)]
    outs += [total_loss(*x, *y, 1.0, 1e-3, 1e-3)]
    assert {out.dtype for out in outs} == {dtype}


@pytest.mark.parametrize("shapes", DIFFERENT_SHAPES, ids=str)
@pytest.mark.parametrize("fn", TWO_TENSORS)
def test_shapes_that_would_broadcast_are_refused(fn, shapes):
    for one, other in (shapes, shapes[::-1]):
        with pytest.raises(ValueError, match="would broadcast"):
            fn(torch.zeros(one), torch.zeros(other))


@pytest.mark.parametrize("shapes", DIFFERENT_SHAPES, ids=str)
@pytest.mark.parametrize("fn", [kl_penalty, original_ratio])
def test_scores_of_either_policy_that_would_broadcast_are_refused(fn, shapes):
    one, other = (torch.zeros(shape) for shape in shapes)
    for arguments in ((one, other, one, one), (one, one, one, other), (one, one, other, other)):
        with pytest.raises(ValueError, match="would broadcast"):
            fn(*arguments)


@pytest.mark.parametrize("place", [1, 2, 3])
def test_a_term_that_is_no_scalar_is_refused(place):
    terms = [torch.zeros(3 if i == place else ()) for i in range(4)]
    with pytest.raises(ValueError, match="would broadcast"):
        total_loss(*terms, 1.0, 1e-3, 1e-3)
