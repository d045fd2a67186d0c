"""Training curves over seeds: mean, smallest and largest of rankers alike but for their seed."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from baselines.lr2ppo.curves_read import Run
from lrmovienet.files import sha256_of

_MOST_DIFFERENCES = 2


@dataclass(frozen=True)
class Curve:
    """A quantity over the seeds of a group. All of one length."""

    x: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    """The smallest of the seeds."""
    high: tuple[float, ...]
    """The largest of the seeds."""
    n: tuple[int, ...]
    """Seeds that have a value here."""


@dataclass(frozen=True)
class Group:
    """Rankers that differ in nothing but their seed."""

    name: str
    """What their names share."""
    ranker: str
    stage: int
    made_from: dict[str, Any]
    rankers: tuple[str, ...]
    seeds: tuple[int, ...]
    evaluations: Curve
    """How many seeds were evaluated where; its values are those positions."""
    curves: dict[str, Curve]
    """Quantity -> curve, for the quantities that any seed has."""


def grouped(runs: Iterable[Run], smooth: int = 1) -> tuple[list[Group], list[str]]:
    """Runs that differ only by their seed, as one group each, in order of first appearance.

    Args:
        runs: of any stages.
        smooth: evaluations of a running mean, which is taken of each seed before the mean over
            seeds: of this evaluation and those before it, as many as there are.

    Returns:
        The groups, and what is to be said: runs left out because another has their seed.
    """
    alike: dict[str, dict[int, Run]] = {}
    notes = []
    for run in runs:
        seeds = alike.setdefault(sha256_of([run.stage, run.ranker, run.made_from]), {})
        if run.seed in seeds:
            notes.append(
                f"{run.name}: left out, for it has the seed and the options of "
                f"{seeds[run.seed].name}"
            )
            continue
        seeds[run.seed] = run
    return [_group(list(seeds.values()), smooth) for seeds in alike.values()], notes


def running_mean(values: Sequence[float], smooth: int) -> list[float]:
    """Mean of each value and of up to ``smooth - 1`` before it."""
    windows = (values[max(0, i + 1 - smooth) : i + 1] for i in range(len(values)))
    return [math.fsum(window) / len(window) for window in windows]


def differences(groups: Sequence[Group]) -> list[str]:
    """The options that set some groups apart, such as ``delta −0.1``; one text a group.

    Empty where no option does or more than two do: names are to tell then.
    """
    said = ("regime", "percent", "options")
    flat = [dict(_leaves({part: group.made_from.get(part) for part in said})) for group in groups]
    names = dict.fromkeys(name for options in flat for name in options)
    apart = [name for name in names if len({repr(options.get(name)) for options in flat}) > 1]
    if len(apart) > _MOST_DIFFERENCES:
        return [""] * len(groups)
    return [
        ", ".join(f"{name.split('.')[-1]} {_said(options.get(name))}" for name in apart)
        for options in flat
    ]


def _group(runs: Sequence[Run], smooth: int) -> Group:
    """The curves of runs that differ by their seed alone."""
    per_seed = [
        {
            name: (xs, running_mean(values, smooth))
            for name, (xs, values) in _columns(run.rows).items()
        }
        for run in runs
    ]
    quantities = dict.fromkeys(name for columns in per_seed for name in columns)
    first = runs[0]
    evaluations = _curve([([x for x, _ in run.rows], [x for x, _ in run.rows]) for run in runs])
    return Group(
        common_name([run.name for run in runs]), first.ranker, first.stage, first.made_from,
        tuple(run.name for run in runs), tuple(run.seed for run in runs), evaluations,
        {
            name: _curve([columns[name] for columns in per_seed if name in columns])
            for name in sorted(quantities)
        },
    )  # fmt: skip


def _columns(
    rows: Iterable[tuple[int, dict[str, float]]],
) -> dict[str, tuple[list[int], list[float]]]:
    """Quantity -> where it was measured, and its values."""
    columns: dict[str, tuple[list[int], list[float]]] = {}
    for x, values in rows:
        for name, value in values.items():
            xs, ys = columns.setdefault(name, ([], []))
            xs.append(x)
            ys.append(value)
    return columns


def _curve(seeds: Sequence[tuple[Sequence[int], Sequence[float]]]) -> Curve:
    """Mean, smallest and largest at each position that any seed has."""
    at: dict[int, list[float]] = {}
    for xs, ys in seeds:
        for x, y in zip(xs, ys, strict=True):
            at.setdefault(x, []).append(y)
    found = [at[x] for x in sorted(at)]
    return Curve(
        tuple(sorted(at)), tuple(math.fsum(values) / len(values) for values in found),
        tuple(map(min, found)), tuple(map(max, found)), tuple(map(len, found)),
    )  # fmt: skip


def common_name(names: Sequence[str]) -> str:
    """What names share, in whole words and without the word seed at its end."""
    if len(names) == 1:
        return names[0]
    columns = zip(*(re.split(r"([-_.])", name) for name in names), strict=False)
    shared = "".join(words[0] for words in takewhile(lambda words: len({*words}) == 1, columns))
    shared = shared.rstrip("-_.")
    shared = re.sub(r"(?<=.)[-_.]+seed$", "", shared)
    return shared or f"{names[0]} …"


def _leaves(value: Any, name: str = "") -> Iterable[tuple[str, Any]]:
    """Every option of nested ones, by its names with dots between."""
    if not isinstance(value, dict):
        yield name, value
        return
    for key, inner in value.items():
        yield from _leaves(inner, f"{name}.{key}" if name else key)


def _said(value: Any) -> str:
    if value is None:
        return "–"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text.replace("-", "−") if isinstance(value, int | float) else text
