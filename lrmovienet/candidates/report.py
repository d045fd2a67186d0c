"""`lrmovienet merge --report`: how many labels each rule took, with examples."""

from collections import Counter
from collections.abc import Iterable
from statistics import median

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval.messages import printable
from lrmovienet.candidates.rules import RULES
from lrmovienet.workspace import Workspace

EXAMPLES = 5


def print_report(workspace: Workspace, kinds: Iterable[str]) -> None:
    """Print what went in, what each rule took, and what is left.

    Raises:
        UserError: there are no candidates yet.
    """
    rows = workspace.read("candidates", ["clip_id", "label", "sources"]).to_pylist()
    dropped = [r for r in workspace.read_dropped("candidates").to_pylist() if r["label"]]
    clips = workspace.require("clips").rows
    per_clip = Counter(row["clip_id"] for row in rows)
    numbers = sorted([per_clip[c] for c in per_clip] + [0] * (clips - len(per_clip)))
    console = Console()
    console.print(
        f"{len(rows)} candidates, {len({row['label'] for row in rows})} different labels, "
        + (f"{numbers[0]} to {numbers[-1]} a clip (median {median(numbers):g}, " if clips else "(")
        + f"{clips} clips)"
    )
    seen = {kind: sum(any(s["kind"] == kind for s in r["sources"]) for r in rows) for kind in kinds}
    both = sum(len({s["kind"] for s in r["sources"]}) > 1 for r in rows)
    console.print(
        "found as " + ", ".join(f"{kind} {n}" for kind, n in seen.items())
        + f"; {both} by more than one kind"
    )  # fmt: skip
    table = Table(title="what the rules took", title_justify="left")
    for heading in ("rule", "labels", "clips", "why", "most often"):
        table.add_column(heading, justify="right" if heading in ("labels", "clips") else "left")
    of_rule: dict[str, list[dict[str, str]]] = {rule: [] for rule in RULES}
    for row in dropped:
        of_rule[row["reason"].partition(":")[0]].append(row)
    for rule, why in RULES.items():
        counted = Counter(_example(row) for row in of_rule[rule])
        ranked = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))[:EXAMPLES]
        table.add_row(
            rule, str(len(of_rule[rule])), str(len({row["clip_id"] for row in of_rule[rule]})),
            why, Text(printable(", ".join(f"{label} ({n})" for label, n in ranked))),
        )  # fmt: skip
    console.print(table)


def _example(row: dict[str, str]) -> str:
    """A dropped label, with what took its place if something did."""
    rule, _, detail = row["reason"].partition(": ")
    other = {"form": detail.removeprefix("written as "), "near": detail.rpartition(" (")[0]}
    return f"{row['label']} → {other[rule][1:-1]}" if rule in other else row["label"]
