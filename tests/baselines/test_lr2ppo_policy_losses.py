"""Eqs. 7 to 10 and the released code's forms of them: by hand, by plain loops, against wrong ones.

A check takes an implementation: ours must pass it, and each wrong variant of it must not.
"""

import numpy as np
import pytest
import torch
from equations import DIFFERENT_SHAPES, agrees, double, each, each_wrong
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.nn import functional

from baselines.lr2ppo.losses import (
    batch_policy_loss,
    clipped_value_loss,
    partial_order,
    partial_order_ratio,
    policy_loss,
    value_loss,
)

TWO_TENSORS = [partial_order, policy_loss, batch_policy_loss, value_loss]


# --- Eq. 7 ---------------------------------------------------------------------------------------


def check_partial_order(fn):
    # 1 − 0.7; 1 + 0.7; equal: 1; 1 − 1.5 < 0. Each pair by itself; what is far apart has no slope.
    first, second = [1.2, 0.5, 0.4, 2.0], [0.5, 1.2, 0.4, 0.5]
    slopes = [-1, -1, -1, 0], [1, 1, 1, 0]
    agrees(fn, (first, second), [0.3, 1.7, 1, 0], slopes)
    agrees(fn, (first, second), [0.3, 1.7, 1, 0], slopes, margin=1.0)
    # The released margin: 0.01 − 0.7 < 0; 0.01 + 0.7; 0.01; 0.
    agrees(fn, (first, second), [0, 0.71, 0.01, 0], ([0, -1, -1, 0], [0, 1, 1, 0]), margin=0.01)
    # Margin 0: what is in order costs nothing. Just at the margin: nothing either.
    agrees(fn, ([1.0, 0.0], [0.0, 1.0]), [0, 1], ([0, -1], [0, 1]), margin=0.0)
    agrees(fn, ([1.5], [0.5]), [0])


WRONG_PARTIAL_ORDER = {
    "sides swapped": lambda a, b, margin=1.0: partial_order(b, a, margin),
    "abs of the difference": lambda a, b, margin=1.0: (margin - (a - b).abs()).clamp(min=0),
    "no hinge": lambda a, b, margin=1.0: margin - (a - b),
    "min": lambda a, b, margin=1.0: (margin - (a - b)).clamp(max=0),
    "margin on the wrong side": lambda a, b, margin=1.0: (b - a - margin).clamp(min=0),
    "margin behind the hinge": lambda a, b, margin=1.0: margin + (b - a).clamp(min=0),
    "squared": lambda a, b, margin=1.0: partial_order(a, b, margin) ** 2,
    "smooth": lambda a, b, margin=1.0: functional.softplus(margin - (a - b)),
    "the released margin": lambda a, b, margin=0.01: partial_order(a, b, margin),
    "mean": lambda a, b, margin=1.0: partial_order(a, b, margin).mean(),
    "the second is a constant": lambda a, b, margin=1.0: partial_order(a, b.detach(), margin),
}


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0, 3))
def test_a_pair_and_the_pair_turned_round(a, b, margin):
    one, other = (partial_order(double([x]), double([y]), margin) for x, y in ((a, b), (b, a)))
    assert one.item() >= 0
    assert (one + other).item() == pytest.approx(max(2 * margin, margin + abs(a - b)), abs=1e-12)
    # H(p¹, p²) − H(p², p¹) is what lies between the scores, where neither has its margin.
    if abs(a - b) <= margin:
        assert (one - other).item() == pytest.approx(2 * (b - a), abs=1e-12)


# --- Eq. 8 ---------------------------------------------------------------------------------------


def check_partial_order_ratio(fn):
    # The first leads by 0.7: kept −(1 − 0.7), turned −(1 + 0.7). Advantages: good; bad but above
    # δ = −0.1, so kept; just at δ, so kept; below, so turned.
    first, second, worth = [1.2] * 4, [0.5] * 4, [0.3, -0.05, -0.1, -0.2]
    value, slopes = [-0.3, -0.3, -0.3, -1.7], ([1, 1, 1, -1], [-1, -1, -1, 1], [0] * 4)
    agrees(fn, (first, second, worth), value, slopes)
    agrees(fn, (first, second, worth), value, slopes, margin=1.0, delta=-0.1)
    # The first trails by 1.5: kept −(1 + 1.5), turned 0.
    agrees(fn, ([0.5, 0.5], [2.0, 2.0], [1, -1]), [-2.5, 0], ([1, 0], [-1, 0], [0, 0]))
    # The released margin: kept 0, turned −(0.01 + 0.7).
    agrees(fn, (first, second, worth), [0, 0, 0, -0.71], margin=0.01)
    # δ = 0: nothing gained is kept still, anything lost is turned. δ = 0.5: 0.3 is not enough.
    agrees(fn, ([1.2] * 2, [0.5] * 2, [0.0, -0.05]), [-0.3, -1.7], delta=0.0)
    agrees(fn, ([1.2] * 2, [0.5] * 2, [0.5, 0.3]), [-0.3, -1.7], delta=0.5)


_ours = partial_order_ratio


def _eq_8(which, sign=-1, turned=lambda f, s, m: partial_order(s, f, m)):
    def fn(p_first, p_second, advantage, margin=1.0, delta=-0.1):
        kept = partial_order(p_first, p_second, margin)
        other = turned(p_first, p_second, margin)
        return sign * torch.where(which(advantage, delta), kept, other)

    return fn


WRONG_RATIO = {
    "above delta": _eq_8(lambda a, d: a > d),
    "branches swapped": _eq_8(lambda a, d: a < d),
    "at zero": _eq_8(lambda a, d: a >= 0),
    "delta's sign": _eq_8(lambda a, d: a >= -d),
    "abs of the advantage": _eq_8(lambda a, d: a.abs() >= d),
    "always kept": _eq_8(lambda a, d: a == a),
    "one decision a minibatch": _eq_8(lambda a, d: a.mean() >= d),
    "sign": _eq_8(lambda a, d: a >= d, sign=1),
    "margin does nothing": lambda f, s, a, margin=1.0, delta=-0.1: _ours(f, s, a, 1.0, delta),
    "delta does nothing": lambda f, s, a, margin=1.0, delta=-0.1: _ours(f, s, a, margin),
    "the released margin": lambda f, s, a, margin=0.01, delta=-0.1: _ours(f, s, a, margin, delta),
    "delta 0 unless given": lambda f, s, a, margin=1.0, delta=0.0: _ours(f, s, a, margin, delta),
    "turned is 0": _eq_8(lambda a, d: a >= d, turned=lambda f, s, m: 0 * f),
    "sign of the turned": _eq_8(lambda a, d: a >= d, turned=lambda f, s, m: s - f - m),
}


scored_pairs = arrays(np.float64, (7, 3), elements=st.floats(-3, 3))


@given(scored_pairs, st.floats(0, 2), st.floats(-1, 1))
def test_ratio_is_never_positive_and_turns_with_the_pair(numbers, margin, delta):
    first, second, worth = torch.tensor(numbers).T
    ratio = partial_order_ratio(first, second, worth, margin, delta)
    assert (ratio <= 0).all()
    # The other order, and an advantage on the other side of δ: the same demand.
    across = torch.where(worth >= delta, delta - 1, delta)
    assert torch.equal(partial_order_ratio(second, first, across, margin, delta), ratio)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("delta", [-0.1, 0.0, 0.3])
def test_an_advantage_of_just_delta_keeps_the_order_in_any_precision(dtype, delta):
    scores = torch.tensor([1.2], dtype=dtype), torch.tensor([0.5], dtype=dtype)
    ratio = partial_order_ratio(*scores, torch.tensor([delta], dtype=dtype), delta=delta)
    assert ratio.item() == pytest.approx(-0.3, abs=1e-6)


# --- Eq. 9 ---------------------------------------------------------------------------------------

RATIO, WORTH = [-0.3, -1.7, 0.0], [0.5, -2.0, 4.0]


def check_policy_loss(fn):
    # 0.3 · 0.5 + 1.7 · 2 + 0 · 4 = 3.55, a third of it. Slopes: −|Â| / 3, and |r'| / 3 with the
    # sign of Â.
    slopes = [-0.5 / 3, -2 / 3, -4 / 3], [0.1, -1.7 / 3, 0]
    agrees(fn, (RATIO, WORTH), 3.55 / 3, slopes)
    agrees(fn, (RATIO[:1], WORTH[:1]), 0.15)


WRONG_POLICY_LOSS = {
    "no abs": lambda r, a: -(r * a).mean(),
    "abs of the mean": lambda r, a: -r.mean() * a.mean().abs(),
    "sign": lambda r, a: -policy_loss(r, a),
    "sum": lambda r, a: policy_loss(r, a) * len(r),
    "mean over violators": lambda r, a: policy_loss(r, a) * len(r) / (r < 0).sum(),
    "square of the advantage": lambda r, a: -(r * a**2).mean(),
    "advantage not used": lambda r, a: -r.mean(),
    "negative advantages dropped": lambda r, a: -(r * a.clamp(min=0)).mean(),
    "the released form": lambda r, a: batch_policy_loss(r, a),
    "product of means": lambda r, a: -r.mean() * a.abs().mean(),
}


@given(scored_pairs, st.floats(0, 4))
def test_policy_loss_is_never_negative_and_scales_with_the_advantage(numbers, scale):
    first, second, worth = torch.tensor(numbers).T
    ratio = partial_order_ratio(first, second, worth)
    loss = policy_loss(ratio, worth).item()
    assert loss >= 0
    assert policy_loss(ratio, -scale * worth).item() == pytest.approx(scale * loss, abs=1e-12)
    assert policy_loss(ratio.flip(0), worth.flip(0)).item() == pytest.approx(loss, abs=1e-12)


@pytest.mark.parametrize("loss", [policy_loss, batch_policy_loss])
@pytest.mark.parametrize(("worth", "up"), [(0.4, 1), (-0.4, -1)])
def test_a_step_down_moves_the_first_label_up_if_the_order_was_good(loss, worth, up):
    first, second = double([0.2]).requires_grad_(), double([0.1]).requires_grad_()
    loss(partial_order_ratio(first, second, double([worth])), double([worth])).backward()
    assert -first.grad.item() == pytest.approx(up * 0.4, abs=1e-12)
    assert -second.grad.item() == pytest.approx(-up * 0.4, abs=1e-12)


def check_batch_policy_loss(fn):
    # Two violators, on average 2 / 2 = 1 out; |Â| is on average 6.5 / 3. Each ratio has the slope
    # −6.5 / 3 / 2, whatever its own advantage.
    slopes = [-6.5 / 6] * 3, [1 / 3, -1 / 3, 1 / 3]
    agrees(fn, (RATIO, WORTH), 6.5 / 3, slopes)
    # No violator: nothing, and nothing that is not a number.
    agrees(fn, ([0.0, 0.0], [3.0, -1.0]), 0, ([-2, -2], [0, 0]))
    # A single pair: Eq. 9.
    agrees(fn, (RATIO[:1], WORTH[:1]), 0.15)


WRONG_BATCH_POLICY_LOSS = {
    "mean over all": lambda r, a: -r.mean() * a.abs().mean(),
    "Eq. 9": lambda r, a: policy_loss(r, a),
    "Eq. 9 over violators": lambda r, a: -(r * a.abs()).sum() / (r < 0).sum().clamp(min=1),
    "abs of the mean": lambda r, a: -r.sum() / (r < 0).sum().clamp(min=1) * a.mean().abs(),
    "violators' advantages": lambda r, a: (
        r.sum() / (r < 0).sum().clamp(min=1) ** 2 * -(a.abs() * (r < 0)).sum()
    ),
    "sum of hinges": lambda r, a: -r.sum() * a.abs().mean(),
    "sum of advantages": lambda r, a: -r.sum() / (r < 0).sum().clamp(min=1) * a.abs().sum(),
    "no violator is 0 / 0": lambda r, a: -r.sum() / (r < 0).sum() * a.abs().mean(),
    "ties are violators": lambda r, a: -r.sum() / (r <= 0).sum().clamp(min=1) * a.abs().mean(),
    "sign": lambda r, a: -batch_policy_loss(r, a),
}


def released_policy_loss(first, second, worth, margin, delta):
    """What the released code computes, pair by pair in plain numbers."""
    hinges = []
    for one, other, advantage in zip(first, second, worth, strict=True):
        front, back = (one, other) if advantage >= delta else (other, one)
        hinges.append(max(0.0, margin - (front - back)))
    count = sum(hinge > 0 for hinge in hinges)
    rank_loss = sum(hinges) / count if count else 0.0
    return np.mean([rank_loss * abs(advantage) for advantage in worth])


@given(scored_pairs, st.floats(0, 2), st.floats(-1, 1))
def test_batch_policy_loss_is_the_released_one_pair_by_pair(numbers, margin, delta):
    expected = released_policy_loss(*numbers.T, margin, delta)
    first, second, worth = torch.tensor(numbers).T
    ratio = partial_order_ratio(first, second, worth, margin, delta)
    assert batch_policy_loss(ratio, worth).item() == pytest.approx(expected, abs=1e-12)


@given(arrays(np.float64, 5, elements=st.floats(0.01, 3)), st.floats(-3, 3))
def test_batch_policy_loss_is_eq_9_if_all_violate_and_matter_alike(hinges, worth):
    ratio, worths = torch.tensor(-hinges), double([worth] * 5)
    assert batch_policy_loss(ratio, worths).item() == pytest.approx(
        policy_loss(ratio, worths).item(), abs=1e-12
    )


# --- Eq. 10 --------------------------------------------------------------------------------------


def check_value_loss(fn):
    # ((1 − 0)² + (3 − 5)²) / 2 = 2.5, with the slopes 2 · 1 / 2 and 2 · (−2) / 2.
    agrees(fn, ([1.0, 3.0], [0.0, 5.0]), 2.5, ([1, -2], [-1, 2]))
    agrees(fn, ([0.7], [0.7]), 0, ([0], [0]))


WRONG_VALUE_LOSS = {
    "half": lambda v, t: ((v - t) ** 2).mean() / 2,
    "sum": lambda v, t: ((v - t) ** 2).sum(),
    "abs": lambda v, t: (v - t).abs().mean(),
    "square of the mean": lambda v, t: (v - t).mean() ** 2,
    "square of the sum": lambda v, t: ((v + t) ** 2).mean(),
    "sign": lambda v, t: -((v - t) ** 2).mean(),
    "learned by the target": lambda v, t: ((v.detach() - t) ** 2).mean(),
}


@given(arrays(np.float64, (6, 2), elements=st.floats(-5, 5)))
def test_value_loss_is_torchs(numbers):
    values, targets = torch.tensor(numbers).T
    expected = functional.mse_loss(values, targets).item()
    assert value_loss(values, targets).item() == pytest.approx(expected, abs=1e-12)


MOVES = [
    # How V moved from V_old = 1, two below its target, with a limit of 0.5; the loss; its slopes by
    # V, by V_old and by the target.
    (0.25, 1.75**2, -3.5, 0, 3.5),  # within the limit: Eq. 10
    (-0.25, 2.25**2, -4.5, 0, 4.5),
    (1.0, 1.5**2, 0, -3, 3),  # past it, the right way: 1² is less than 1.5², V stays where it is
    (3.0, 1.5**2, 0, -3, 3),  # past the target too, and nearer to it than the limited V
    (4.0, 2.0**2, 4, 0, -4),  # far past the target: 2² is more than 1.5², V is called back
    (-1.0, 3.0**2, -6, 0, 6),  # past the limit, the wrong way: 3² is more than 2.5²
]


def check_clipped_value_loss(fn):
    for move, loss, *slopes in MOVES:
        agrees(fn, ([1 + move], [1.0], [3.0]), loss, [[slope] for slope in slopes])
        # The mirror image: two above its target.
        agrees(fn, ([1 - move], [1.0], [-1.0]), loss, [[-slope] for slope in slopes])
    # All six at once: the mean.
    moves, losses, *slopes = np.array(MOVES).T
    agrees(fn, (1 + moves, [1.0] * 6, [3.0] * 6), losses.mean(), np.array(slopes) / 6, clip=0.5)
    # A wider limit: the move of 1 is within it.
    agrees(fn, ([2.0], [1.0], [3.0]), 1, ([-2], [0], [2]), clip=2.0)
    # A limit of 0: V has come nearer, so the square is V_old's.
    agrees(fn, ([2.0], [1.0], [3.0]), 4, ([0], [-4], [4]), clip=0.0)


def _clipped(better_of=torch.maximum, near=None, clip=0.5):
    def fn(values, old_values, targets, clip=clip):
        limited = (near or _near_old)(values, old_values, targets, clip)
        return better_of((values - targets) ** 2, (limited - targets) ** 2).mean()

    return fn


def _near_old(values, old_values, targets, clip):
    return old_values + (values - old_values).clamp(-clip, clip)


WRONG_CLIPPED_VALUE_LOSS = {
    "the smaller square": _clipped(torch.minimum),
    "the clipped square alone": _clipped(lambda free, limited: limited),
    "the free square alone": _clipped(lambda free, limited: free),
    "mean of both": _clipped(lambda free, limited: (free + limited) / 2),
    "limited upwards only": _clipped(near=lambda v, o, t, c: o + (v - o).clamp(max=c)),
    "limited downwards only": _clipped(near=lambda v, o, t, c: o + (v - o).clamp(min=-c)),
    "near zero": _clipped(near=lambda v, o, t, c: v.clamp(-c, c)),
    "near the target": _clipped(near=lambda v, o, t, c: t + (v - t).clamp(-c, c)),
    "a share of V_old": _clipped(near=lambda v, o, t, c: o * (v / o).clamp(1 - c, 1 + c)),
    "the move alone": _clipped(near=lambda v, o, t, c: (v - o).clamp(-c, c)),
    "the limit of PPO's ratio": _clipped(clip=0.2),
    "limit does nothing": lambda v, o, t, clip=0.5: clipped_value_loss(v, o, t),
    "targets and old values swapped": lambda v, o, t, clip=0.5: clipped_value_loss(v, t, o, clip),
    "sum": lambda v, o, t, clip=0.5: clipped_value_loss(v, o, t, clip) * len(v),
    "larger of the means": lambda v, o, t, clip=0.5: torch.maximum(
        value_loss(v, t), value_loss(_near_old(v, o, t, clip), t)
    ),
}


@given(scored_pairs, st.floats(0, 3))
def test_clipped_value_loss_is_eq_10_or_more(numbers, clip):
    values, old_values, targets = torch.tensor(numbers).T
    free = value_loss(values, targets).item()
    assert clipped_value_loss(values, old_values, targets, clip).item() >= free - 1e-12
    # No value can have moved by more than 6.
    wide = clipped_value_loss(values, old_values, targets, 6.5).item()
    assert wide == pytest.approx(free, abs=1e-12)


# --- All -----------------------------------------------------------------------------------------

CHECKS = [
    (check_partial_order, partial_order, WRONG_PARTIAL_ORDER),
    (check_partial_order_ratio, partial_order_ratio, WRONG_RATIO),
    (check_policy_loss, policy_loss, WRONG_POLICY_LOSS),
    (check_batch_policy_loss, batch_policy_loss, WRONG_BATCH_POLICY_LOSS),
    (check_value_loss, value_loss, WRONG_VALUE_LOSS),
    (check_clipped_value_loss, clipped_value_loss, WRONG_CLIPPED_VALUE_LOSS),
]


@each(CHECKS)
def test_by_hand(check, fn):
    check(fn)


@each_wrong(CHECKS)
def test_a_wrong_variant_does_not_pass(check, wrong):
    with pytest.raises(AssertionError):
        check(wrong)


@pytest.mark.parametrize(
    ("fn", "inputs"),
    [
        (partial_order, ([0.1, 2.0, 0.3], [0.3, -1.0, 0.2])),
        (partial_order_ratio, ([0.1, 2.0, 0.3], [0.3, -1.0, 0.2], [0.4, 0.3, -0.2])),
        (policy_loss, ([-0.3, -1.7], [0.4, -0.2])),
        (batch_policy_loss, ([-0.3, -1.7], [0.4, -0.2])),
        (value_loss, ([0.1, 2.0], [0.3, -1.0])),
        (clipped_value_loss, ([0.1, 2.0, -2.0], [0.3, 1.0, 1.0], [1.0, 5.0, 3.0])),
    ],
)
def test_gradients_are_those_of_finite_differences(fn, inputs):
    assert torch.autograd.gradcheck(fn, [double(values).requires_grad_() for values in inputs])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_is_kept(dtype):
    x, y = torch.tensor([-0.1, -1.0], dtype=dtype), torch.tensor([1.0, 2.0], dtype=dtype)
    outs = [fn(x, y) for fn in TWO_TENSORS]
    outs += [partial_order_ratio(x, y, x), clipped_value_loss(x, y, y)]
    assert {out.dtype for out in outs} == {dtype}


@pytest.mark.parametrize("shapes", DIFFERENT_SHAPES, ids=str)
@pytest.mark.parametrize("fn", TWO_TENSORS)
def test_shapes_that_would_broadcast_are_refused(fn, shapes):
    for one, other in (shapes, shapes[::-1]):
        with pytest.raises(ValueError, match="would broadcast"):
            fn(torch.zeros(one), torch.zeros(other))


@pytest.mark.parametrize("shapes", DIFFERENT_SHAPES, ids=str)
def test_scores_and_values_that_would_broadcast_are_refused(shapes):
    one, other = (torch.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match="would broadcast"):
        partial_order_ratio(one, other, other)
    with pytest.raises(ValueError, match="would broadcast"):
        partial_order_ratio(one, one, other)
    with pytest.raises(ValueError, match="would broadcast"):
        clipped_value_loss(one, one, other)
    with pytest.raises(ValueError, match="would broadcast"):
        clipped_value_loss(one, other, one)
