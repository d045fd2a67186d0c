"""The losses of learning to rank once more: one list, without padding, in plain loops."""

import itertools
import math

import numpy as np


def softmax(values):
    powers = [math.exp(v - max(values)) for v in values]
    return [power / sum(powers) for power in powers]


def log_softmax(values):
    top = max(values)
    total = top + math.log(sum(math.exp(v - top) for v in values))
    return [v - total for v in values]


def listnet(s, y):
    return -sum(p * q for p, q in zip(softmax(y), log_softmax(s), strict=True))


def attention_rank(s, y):
    total = sum(math.exp(grade) for grade in y if grade > 0)
    weights = [math.exp(grade) / total if grade > 0 else 0 for grade in y]
    return -sum(a * q for a, q in zip(weights, log_softmax(s), strict=True))


def softmax_cross_entropy(s, y, over):
    divisor = {"one": 1, "grades": sum(y), "items": len(y)}[over]
    return -sum(a * q for a, q in zip(y, log_softmax(s), strict=True)) / divisor


def list_mle(s, y, keys):
    order = sorted(range(len(s)), key=lambda i: (-y[i], -keys[i]))
    return -sum(log_softmax([s[i] for i in order[k:]])[0] for k in range(len(s)))


def pairs_of(y):
    return [(i, j) for i in range(len(y)) for j in range(len(y)) if y[i] > y[j]]


def ranknet(s, y):
    losses = [math.log(1 + math.exp(-(s[i] - s[j]))) for i, j in pairs_of(y)]
    return sum(losses) / len(losses) if losses else 0.0


def ranks_of(s):
    """1 for the highest; of equal scores, the first is above."""
    order = sorted(range(len(s)), key=lambda i: -s[i])
    return [order.index(i) + 1 for i in range(len(s))]


def gains_of(y):
    gains = [2**grade - 1 for grade in y]
    best = sum(g / math.log2(2 + k) for k, g in enumerate(sorted(gains, reverse=True)))
    return [g / best for g in gains]


def lambda_loss(s, y, weights, sigma, mu):
    g, r = gains_of(y), ranks_of(s)
    total = 0.0
    for i, j in pairs_of(y):
        swapped = abs(1 / math.log2(1 + r[i]) - 1 / math.log2(1 + r[j]))
        apart = abs(r[i] - r[j])
        moved = abs(1 / math.log2(1 + apart) - 1 / math.log2(2 + apart))
        factor = {
            "lambdarank": swapped, "ndcg_loss2": moved, "ndcg_loss2pp": swapped + mu * moved,
        }[weights]  # fmt: skip
        total += abs(g[i] - g[j]) * factor * math.log2(1 + math.exp(-sigma * (s[i] - s[j])))
    return total


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def approx_ndcg(s, y, alpha):
    total, g = 0.0, gains_of(y)
    for i in range(len(s)):
        rank = 1 + sum(sigmoid(alpha * (s[j] - s[i])) for j in range(len(s)) if j != i)
        total -= g[i] / math.log2(1 + rank)
    return total


def neural_sort(s, tau):
    n = len(s)
    apart = [sum(abs(a - b) for b in s) for a in s]
    return np.array(
        [
            softmax([((n + 1 - 2 * k) * s[i] - apart[i]) / tau for i in range(n)])
            for k in range(1, n + 1)
        ]
    )


def sinkhorn(matrix, iterations, tolerance):
    for _ in range(iterations):
        if max(abs(matrix.sum(axis) - 1).max() for axis in (0, 1)) <= tolerance:
            break
        matrix = matrix / matrix.sum(0, keepdims=True)
        matrix = matrix / matrix.sum(1, keepdims=True)
    return matrix


def neural_ndcg(s, y, tau):
    placed = sinkhorn(neural_sort(s, tau), 50, 1e-6) @ np.array(gains_of(y))
    return -sum(gain / math.log2(2 + k) for k, gain in enumerate(placed))


def ordinal(logits, y):
    total = 0.0
    for row, grade in zip(logits, y, strict=True):
        for level, logit in enumerate(row, 1):
            p = sigmoid(logit)
            total -= math.log(p if grade >= level else 1 - p)
    return total / len(y)


def ndcg(s, y):
    """For scores without ties."""
    g, r = gains_of(y), ranks_of(s)
    return sum(gain / math.log2(1 + rank) for gain, rank in zip(g, r, strict=True))


def orders(n):
    return list(itertools.permutations(range(n)))
