"""`lrmovienet aggregate`: what several people said -> one grade a label, one order a pair."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from annotation.preferences import cycles, preferences, strengths
from annotation.relevance import Method, relevance
from annotation.screening import screened
from lrmovienet.config import VerbConfig
from lrmovienet.errors import UserError
from lrmovienet.files import json_bytes, write_if_changed
from lrmovienet.runner.local import run_once
from lrmovienet.workspace import Workspace

VERSION = "aggregate-2"


@dataclass(frozen=True)
class AggregateConfig(VerbConfig):
    """Options of `lrmovienet aggregate`."""

    method: Method = "median"
    """How grades become one: median, majority, or dawid-skene, which weighs annotators by how
    often they err. Of two grades that are as good, the lower one."""
    min_ratings: int = 1
    """A label with fewer ratings is dropped."""


def run(config: AggregateConfig) -> None:
    """Make `screened` of screenings, `relevance` of ratings, and of pairs what they say.

    Raises:
        UserError: there is nothing to aggregate.
    """
    workspace, console = Workspace(config.workspace), Console(emoji=False)
    there = {
        name: manifest
        for name in ("screenings", "ratings", "pair_ratings")
        if (manifest := workspace.manifest(name)) is not None
    }
    if not there:
        raise UserError(
            f"{workspace.root}: nobody has said anything here yet. Run first: lrmovienet annotate "
            f"pull --workspace {workspace.root}"
        )
    if "screenings" in there:
        outcome = run_once(
            workspace, "screened",
            lambda: screened(
                workspace.read("candidates").to_pylist(), workspace.read("screenings").to_pylist()
            ),
            version=VERSION, config={},
            inputs={
                "candidates": workspace.require("candidates").digest,
                "screenings": there["screenings"].digest,
            },
        )  # fmt: skip
        console.print(str(outcome))
    if "ratings" in there:
        outcome = run_once(
            workspace, "relevance",
            lambda: relevance(
                workspace.read("ratings").to_pylist(), config.min_ratings, config.method
            ),
            version=VERSION, inputs={"ratings": there["ratings"].digest},
            config={"min_ratings": config.min_ratings, "method": config.method},
        )  # fmt: skip
        console.print(str(outcome))
    if "pair_ratings" not in there:
        console.print("preferences: none, there is no table pair_ratings")
        return
    inputs = {"pair_ratings": there["pair_ratings"].digest}
    for table, make in (("preferences", preferences), ("strengths", strengths)):
        outcome = run_once(
            workspace, table,
            lambda make=make: make(workspace.read("pair_ratings").to_pylist()),  # type: ignore[misc]
            version=VERSION, inputs=inputs, config={},
        )  # fmt: skip
        console.print(str(outcome))
    _report_cycles(console, workspace)


def _report_cycles(console: Console, workspace: Workspace) -> None:
    """Say how many clips' preferences go round in circles, and write down which."""
    better: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in workspace.read("preferences").to_pylist():
        better[row["clip_id"]].append((row["better"], row["worse"]))
    found = cycles(better)
    path = workspace.root / "annotation" / "cycles.json"
    report: dict[str, Any] = {"clips": len(better), "clips_with_cycles": len(found)}
    write_if_changed(path, json_bytes({**report, "cycles": found}))
    lengths = Counter(len(circle) for circles in found.values() for circle in circles)
    said = ", ".join(f"{n} of {length} labels" for length, n in sorted(lengths.items()))
    console.print(
        f"  preferences go round in circles in {len(found)} of {len(better)} clips"
        + (f" ({said}): {path}" if found else ""),
        markup=False,
        soft_wrap=True,
    )
