"""`lrmovienet aggregate`: what several people said -> one grade a label, one order a pair.

Ratings become relevance by their median; with an even number of ratings, by the lower of the two
middle ones, so that a label is called relevant only if most say so. Pair choices become a
preference by majority; ties and skips vote for neither side, and a pair without a majority is
dropped.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from statistics import median_low
from typing import Any

from rich.console import Console

from lrmovienet.config import VerbConfig
from lrmovienet.runner import Columns
from lrmovienet.runner.local import run_once
from lrmovienet.workspace import Workspace

METHOD = "median-low"
VERSION = "aggregate-1"


@dataclass(frozen=True)
class AggregateConfig(VerbConfig):
    """Options of `lrmovienet aggregate`."""

    min_ratings: int = 1
    """A label with fewer ratings is dropped."""


def run(config: AggregateConfig) -> None:
    """Make `relevance`, and `preferences` where there are pair choices."""
    workspace = Workspace(config.workspace)
    console = Console()
    outcome = run_once(
        workspace,
        "relevance",
        lambda: relevance(workspace.read("ratings").to_pylist(), config.min_ratings),
        version=VERSION,
        inputs={"ratings": workspace.require("ratings").digest},
        config={"min_ratings": config.min_ratings, "method": METHOD},
    )
    console.print(str(outcome))
    if workspace.manifest("pair_ratings") is None:
        console.print("preferences: none, there is no table pair_ratings")
        return
    outcome = run_once(
        workspace,
        "preferences",
        lambda: preferences(workspace.read("pair_ratings").to_pylist()),
        version=VERSION,
        inputs={"pair_ratings": workspace.require("pair_ratings").digest},
        config={},
    )
    console.print(str(outcome))


def relevance(ratings: list[dict[str, Any]], min_ratings: int = 1) -> Columns:
    """Rows of the table `ratings` -> columns of `relevance`, by clip and label."""
    grades: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in ratings:
        grades[row["clip_id"], row["label"]].append(row["grade"])
    rows = []
    for (clip_id, label), given in sorted(grades.items()):
        few = f"rated {len(given)} times, fewer than {min_ratings}"
        rows.append(
            {
                "clip_id": clip_id,
                "label": label,
                "grade": median_low(given),
                "n_ratings": len(given),
                "spread": max(given) - min(given),
                "method": METHOD,
                "drop_reason": few if len(given) < min_ratings else None,
            }
        )
    names = ("clip_id", "label", "grade", "n_ratings", "spread", "method", "drop_reason")
    return {name: [row[name] for row in rows] for name in names}


def preferences(choices: list[dict[str, Any]]) -> Columns:
    """Rows of the table `pair_ratings` -> columns of `preferences`, by clip and pair.

    The two labels may have been shown in either order; `agreement` is the share of the a/b choices
    that are for the better label.
    """
    votes: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for row in choices:
        first, second = sorted((row["label_a"], row["label_b"]))
        side = {"a": row["label_a"], "b": row["label_b"]}.get(row["choice"])
        chosen = "neither" if side is None else "first" if side == first else "second"
        votes[row["clip_id"], first, second][chosen] += 1
    names = ("clip_id", "better", "worse", "n", "agreement", "drop_reason")
    columns: Columns = {name: [] for name in names}
    for (clip_id, first, second), counted in sorted(votes.items()):
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
