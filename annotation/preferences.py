"""Choices between two labels -> preferences, strengths, and a report of cycles."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lrmovienet.runner import Columns

PRIOR = 0.1
"""Weight of the squared strengths in what is minimised, beside the log-likelihood (a Gaussian prior
of variance 1 / (2 * PRIOR)): it keeps a label that always won from an infinite strength."""


def votes(choices: Iterable[dict[str, Any]]) -> dict[tuple[str, str, str], Counter[str]]:
    """Clip and pair, in alphabetical order -> how many said first, second, tie or skip.

    The two labels may have been shown in either order.
    """
    found: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for row in choices:
        first, second = sorted((row["label_a"], row["label_b"]))
        side = {"a": row["label_a"], "b": row["label_b"]}.get(row["choice"])
        said = row["choice"] if side is None else "first" if side == first else "second"
        found[row["clip_id"], first, second][said] += 1
    return found


def preferences(choices: Iterable[dict[str, Any]]) -> Columns:
    """Rows of the table `pair_ratings` -> columns of `preferences`, by clip and pair.

    The majority of a and b choices decides; ties and skips vote for neither side, and a pair
    without a majority is dropped. `agreement` is the share of the a/b choices that are for the
    better label.
    """
    names = ("clip_id", "better", "worse", "n", "agreement", "drop_reason")
    columns: Columns = {name: [] for name in names}
    for (clip_id, first, second), counted in sorted(votes(choices).items()):
        ahead = counted["first"] >= counted["second"]
        better, worse = (first, second) if ahead else (second, first)
        n = counted["first"] + counted["second"]
        won = max(counted["first"], counted["second"])
        reason = None
        if first == second:
            reason = f"{first!r} was compared with itself"
        elif 2 * won <= n or n == 0:
            reason = f"no majority between {first!r} and {second!r}"
        values = (clip_id, better, worse, n, won / n if n else 0.5, reason)
        for name, value in zip(names, values, strict=True):
            columns[name].append(value)
    return columns


def strengths(choices: Iterable[dict[str, Any]]) -> Columns:
    """Rows of `pair_ratings` -> columns of `strengths`, by clip and label.

    Bradley–Terry: a is chosen over b with probability 1 / (1 + exp(b's strength - a's)). A tie is
    half a win for each; a skip is nothing. Strengths of a clip have mean 0 and say nothing across
    clips. Estimated by choix, with a weak Gaussian prior.
    """
    import choix

    of_clip: dict[str, list[tuple[str, str, Counter[str]]]] = defaultdict(list)
    for (clip_id, first, second), counted in votes(choices).items():
        if first != second and counted["first"] + counted["second"] + counted["tie"]:
            of_clip[clip_id].append((first, second, counted))
    columns: Columns = {name: [] for name in ("clip_id", "label", "strength", "n", "drop_reason")}
    for clip_id, pairs in sorted(of_clip.items()):
        labels = sorted({label for first, second, _ in pairs for label in (first, second)})
        place = {label: i for i, label in enumerate(labels)}
        wins: list[tuple[int, int]] = []  # each counted twice, so that half a win is one
        n: Counter[str] = Counter()
        for first, second, counted in sorted(pairs, key=lambda pair: pair[:2]):
            a, b = place[first], place[second]
            wins += [(a, b)] * (2 * counted["first"] + counted["tie"])
            wins += [(b, a)] * (2 * counted["second"] + counted["tie"])
            for label in (first, second):
                n[label] += counted["first"] + counted["second"] + counted["tie"]
        found = choix.opt_pairwise(len(labels), wins, alpha=2 * PRIOR, tol=1e-9)
        found = found - found.mean()
        columns["clip_id"] += [clip_id] * len(labels)
        columns["label"] += labels
        columns["strength"] += [round(float(x), 9) for x in found]
        columns["n"] += [n[label] for label in labels]
        columns["drop_reason"] += [None] * len(labels)
    return columns


def cycles(better: Mapping[str, Sequence[tuple[str, str]]]) -> dict[str, list[list[str]]]:
    """Clips whose preferences go round in circles, with one shortest circle for each tangle.

    Args:
        better: clip -> its preferences, as (better, worse).

    Returns:
        Clip -> circles; each label is preferred to the next, and the last to the first.
    """
    import numpy as np
    from scipy.sparse.csgraph import connected_components, shortest_path

    found: dict[str, list[list[str]]] = {}
    for clip_id, pairs in sorted(better.items()):
        labels = sorted({label for pair in pairs for label in pair})
        place = {label: i for i, label in enumerate(labels)}
        graph = np.zeros((len(labels), len(labels)))
        for a, b in pairs:
            graph[place[a], place[b]] = 1
        tangles, of = connected_components(graph, directed=True, connection="strong")
        if tangles == len(labels):
            continue
        steps, before = shortest_path(graph, unweighted=True, return_predecessors=True)
        for tangle in range(tangles):
            inside = np.argwhere(graph * (of[:, None] == tangle) * (of[None, :] == tangle))
            if len(inside):
                # From a to b, and the shortest way back.
                a, b = min(inside, key=lambda edge: (steps[edge[1], edge[0]], *edge))
                circle = [a]
                while circle[-1] != b:
                    circle.append(before[b, circle[-1]])
                back = [labels[i] for i in reversed(circle)]
                first = back.index(min(back))
                found.setdefault(clip_id, []).append(back[first:] + back[:first])
        found[clip_id].sort()
    return found
