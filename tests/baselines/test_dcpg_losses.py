"""Losses and rewards of DCPG against loops and values worked out by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from baselines.dcpg.losses import (
    average_precision,
    foreign_triplet,
    graded_triplet,
    hardest_triplet,
    instance_loss,
    leave_one_out,
    matching_rewards,
    policy_loss,
    ranking_rewards,
    recall_at_1,
)

SCORES = st.sampled_from([-0.5, 0.0, 0.25, 0.5, 1.0])


def test_the_baseline_leaves_its_own_reward_out():
    """(1, 2, 6): the others' means are 4, 3.5 and 1.5."""
    assert leave_one_out(np.array([1.0, 2.0, 6.0])).tolist() == [4.0, 3.5, 1.5]
    assert leave_one_out(np.array([7.0])).tolist() == [0.0]


def test_policy_loss_by_hand():
    """Gains with β = .5: 1 − 2 = −1, 2 − 1.75 = .25, 6 − .75 = 5.25."""
    logs = torch.tensor([-1.0, -2.0, -4.0], requires_grad=True)
    loss = policy_loss(logs, np.array([1.0, 2.0, 6.0]), 0.5)
    assert loss.item() == pytest.approx(-(1 - 0.5 - 21) / 3)
    loss.backward()
    np.testing.assert_allclose(logs.grad.numpy(), [1 / 3, -0.25 / 3, -5.25 / 3], rtol=1e-6)
    plain = policy_loss(logs, np.array([1.0, 2.0, 6.0]), 0.0)
    assert plain.item() == pytest.approx((1 + 4 + 24) / 3)


def brute_average_precision(scores, relevant):
    """Precision at each relevant item, counting every wrong item that is not below it."""
    found = []
    for i in np.flatnonzero(relevant):
        wrong = sum(scores[j] >= scores[i] for j in np.flatnonzero(~relevant))
        # Relevant items of one score stand one after the other.
        equal = [j for j in np.flatnonzero(relevant) if scores[j] == scores[i]]
        right = sum(scores[j] > scores[i] for j in np.flatnonzero(relevant)) + equal.index(i) + 1
        found.append(right / (right + wrong))
    return sum(found) / len(found) if found else 0.0


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_average_precision_and_recall_by_brute_force(data):
    q, n = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 7))
    scores = data.draw(arrays(float, (q, n), elements=SCORES))
    relevant = data.draw(arrays(bool, (q, n)))
    found = average_precision(scores, relevant)
    expected = [brute_average_precision(s, r) for s, r in zip(scores, relevant, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    for i in range(q):
        first = max(range(n), key=lambda j: (scores[i, j], not relevant[i, j]))
        assert recall_at_1(scores, relevant)[i] == relevant[i, first]


def test_average_precision_by_hand():
    """Right items at ranks 1 and 3: (1 + 2/3) / 2. All tied, one right of four: 1/4."""
    scores = np.array([[0.9, 0.8, 0.7, 0.6], [0.5, 0.5, 0.5, 0.5]])
    relevant = np.array([[True, False, True, False], [False, True, False, False]])
    np.testing.assert_allclose(average_precision(scores, relevant), [5 / 6, 1 / 4])
    both = matching_rewards(scores, relevant)
    np.testing.assert_allclose(both, [11 / 6, 1 / 4])
    np.testing.assert_allclose(matching_rewards(scores, relevant, "r1"), [1, 0])
    np.testing.assert_allclose(matching_rewards(scores, relevant, "ap"), [5 / 6, 1 / 4])


def test_ranking_rewards_by_hand():
    """Grades in ranked order 1, 2, 0 and, in a list one shorter, 0, 0."""
    scores = np.array([[0.1, 0.9, 0.5], [0.3, 0.2, 9.0]])
    grades = np.array([[0, 1, 2], [0, 0, -1]])
    dcg, ideal = 1 + 3 / math.log2(3), 3 + 1 / math.log2(3)
    np.testing.assert_allclose(ranking_rewards(scores, grades, "ndcg"), [dcg / ideal, 0])
    np.testing.assert_allclose(ranking_rewards(scores, grades, "ap"), [1 / 2, 0])
    np.testing.assert_allclose(ranking_rewards(scores, grades), [dcg / ideal + 1 / 2, 0])


def test_of_ndcg_only_the_first_five_count():
    scores = np.arange(8, 0, -1.0)[None]
    grades = np.array([[0, 0, 0, 0, 0, 2, 0, 0]])
    assert ranking_rewards(scores, grades, "ndcg")[0] == 0
    assert ranking_rewards(scores, grades, "ap")[0] == pytest.approx(1 / 6)


@settings(max_examples=40, deadline=None)
@given(
    arrays(float, (5, 5), elements=st.floats(-1, 1)),
    arrays(np.int64, 5, elements=st.integers(0, 3)),
)
def test_hardest_triplet_by_loops(similarity, image_of):
    total = 0.0
    for i in range(5):
        wrong = [j for j in range(5) if image_of[j] != image_of[i]]
        if wrong:
            total += max(0.0, 0.2 - similarity[i, i] + max(similarity[i, j] for j in wrong))
            total += max(0.0, 0.2 - similarity[i, i] + max(similarity[j, i] for j in wrong))
    negative = torch.from_numpy(image_of[:, None] != image_of)
    found = hardest_triplet(torch.from_numpy(similarity), negative, 0.2)
    assert found.item() == pytest.approx(total / 5, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    arrays(float, (3, 6), elements=st.floats(-1, 1)),
    arrays(np.int64, (3, 6), elements=st.integers(-1, 2)),
)
def test_graded_triplet_by_loops(scores, grades):
    found = []
    for s, y in zip(scores, grades, strict=True):
        for i in range(6):
            below = [j for j in range(6) if 0 <= y[j] < y[i]]
            if below:
                short = [0.2 * (y[i] - y[j]) - s[i] + s[j] for j in below]
                found.append(max(0.0, *short))
    loss = graded_triplet(torch.from_numpy(scores), torch.from_numpy(grades), 0.2)
    assert loss.item() == pytest.approx(np.mean(found) if found else 0.0, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    arrays(float, (3, 7), elements=st.floats(-1, 1)),
    arrays(np.int64, (3, 7), elements=st.integers(0, 2)),
)
def test_foreign_triplet_by_loops(similarity, kind):
    """0: the clip's own and high, 1: no label of the clip, 2: its own and not high."""
    found = []
    for c in range(3):
        for i in range(7):
            if kind[c, i] == 0:
                labels = [similarity[c, j] for j in range(7) if kind[c, j] == 1]
                clips = [similarity[d, i] for d in range(3) if kind[d, i] == 1]
                hinges = [
                    max(0.0, 0.2 - similarity[c, i] + max(side)) if side else 0.0
                    for side in (labels, clips)
                ]
                found.append(sum(hinges))
    kinds = torch.from_numpy(kind)
    loss = foreign_triplet(torch.from_numpy(similarity), kinds == 0, kinds == 1, 0.2)
    assert loss.item() == pytest.approx(np.mean(found) if found else 0.0, abs=1e-12)


def test_losses_without_anything_to_learn_have_no_gradient_and_no_nan():
    scores = torch.zeros(2, 3, requires_grad=True)
    loss = graded_triplet(scores, torch.ones(2, 3, dtype=torch.long))
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    loss = loss + foreign_triplet(scores, nothing, nothing)
    square = scores @ scores.T
    loss = loss + hardest_triplet(square, torch.zeros(2, 2, dtype=torch.bool))
    loss = loss + instance_loss(scores[:0], torch.zeros(0, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0 and scores.grad.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_instance_loss_by_hand():
    """Two classes, logits 0 and log 3: 1/4 and 3/4."""
    logits = torch.tensor([[0.0, math.log(3)], [0.0, math.log(3)]])
    found = instance_loss(logits, torch.tensor([0, 1])).item()
    assert found == pytest.approx((math.log(4) + math.log(4 / 3)) / 2, abs=1e-6)
