"""`lrmovienet annotate agreement`: how far people agree, as JSON, table and figure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from annotation.agreement import (
    Alpha,
    Metric,
    bias,
    seconds,
    value_counts,
    weighted_kappa,
    with_interval,
)
from annotation.queue import PAIRS_ADJUDICATION, is_disputed
from annotation.relevance import ADJUDICATION, last_words
from annotation.store import opened
from lrmovienet.config import VerbConfig
from lrmovienet.errors import UserError
from lrmovienet.files import json_bytes, write_if_changed
from lrmovienet.schema import GRADES, VERDICTS
from lrmovienet.workspace import Workspace

NO_INTERVAL = "(the data with the last words in it, not people's agreement)"
CHOICES = ("first", "second", "tie")
"""Of a pair in alphabetical order; a skip is no judgement."""
Row = dict[str, Any]


@dataclass(frozen=True)
class AgreementConfig(VerbConfig):
    """Options of `lrmovienet annotate agreement`."""

    resamples: int = 2000
    """How many resamples of clips the intervals rest on."""
    seed: int = 0
    """Of the resamples; 0 or more."""
    out: Path | None = None
    """Folder for agreement.json and agreement.png. Default: `annotation` in the workspace."""


def run(config: AgreementConfig) -> None:
    """Measure agreement of what was pulled, print it, and write agreement.json and agreement.png.

    Raises:
        UserError: there are no ratings.
    """
    if config.resamples < 100 or config.seed < 0:
        raise UserError("give 100 --resamples or more, and a --seed of 0 or more.")
    workspace, console = Workspace(config.workspace), Console(emoji=False)
    folder = config.out or workspace.root / "annotation"
    report = measure(workspace, config)
    write_if_changed(folder / "agreement.json", json_bytes(report))
    show(console, report)
    console.print(f"{folder / 'agreement.json'}", markup=False, soft_wrap=True)
    if "grading" in report:
        from annotation.figure import draw

        write_if_changed(folder / "agreement.png", draw(report["grading"]))
        console.print(f"{folder / 'agreement.png'}", markup=False, soft_wrap=True)


def measure(workspace: Workspace, config: AgreementConfig) -> dict[str, Any]:
    """Everything that is reported, as plain values. Raises UserError where nobody said anything."""
    made = {name: workspace.manifest(name) for name in ("ratings", "pair_ratings", "screenings")}
    made_from = {name: manifest.digest for name, manifest in made.items() if manifest}
    if not made_from:
        workspace.require("ratings")
    report: dict[str, Any] = {
        "resamples": config.resamples, "seed": config.seed, "made_from": made_from,
    }  # fmt: skip

    def nominal(rows: Iterable[tuple[str, tuple[str, ...], int]], size: int) -> dict[str, Any]:
        units = list(rows)
        return _alpha(units, size, "nominal", config).as_json()

    if made["ratings"]:
        report["grading"] = _grading(workspace, config)
    if made["pair_ratings"]:
        report["pairs"] = {"alpha": nominal(_pairs(workspace), len(CHOICES))}
    if made["screenings"]:
        rows = workspace.read("screenings", ["clip_id", "label", "verdict"]).to_pylist()
        found = ((r["clip_id"], (r["label"],), VERDICTS.index(r["verdict"])) for r in rows)
        report["screening"] = {"alpha": nominal(found, len(VERDICTS))}
    return report


def _pairs(workspace: Workspace) -> Iterable[tuple[str, tuple[str, ...], int]]:
    for row in workspace.read("pair_ratings").to_pylist():
        if row["choice"] != "skip" and row["project"] != PAIRS_ADJUDICATION:
            a, b = row["label_a"], row["label_b"]
            said = CHOICES.index("tie")
            if row["choice"] != "tie":
                said = int((row["choice"] == "a") != (a < b))
            yield row["clip_id"], (min(a, b), max(a, b)), said


def _alpha(
    rows: Sequence[tuple[str, tuple[str, ...], int]],
    size: int,
    metric: Metric,
    config: AgreementConfig,
) -> Alpha:
    """Alpha of clip, what was judged of it, and value."""
    units = {key: i for i, key in enumerate(sorted({(clip, *what) for clip, what, _ in rows}))}
    clips = {clip: i for i, clip in enumerate(sorted({clip for clip, _, _ in rows}))}
    counts = value_counts(
        [units[clip, *what] for clip, what, _ in rows], [value for _, _, value in rows], size
    )
    of = [clips[key[0]] for key in units]
    return with_interval(counts, of, metric, config.resamples, config.seed)


def _grading(workspace: Workspace, config: AgreementConfig) -> dict[str, Any]:
    rows = workspace.read("ratings").to_pylist()
    first = [row for row in rows if row["project"] != ADJUDICATION]
    last_word = last_words(rows)

    def alpha_of(some: Iterable[Row]) -> dict[str, Any]:
        judged = [(row["clip_id"], (row["label"],), row["grade"]) for row in some]
        return _alpha(judged, len(GRADES), "ordinal", config).as_json()

    report: dict[str, Any] = {
        "ratings": len(first),
        "labels": len({(row["clip_id"], row["label"]) for row in first}),
        "clips": len({row["clip_id"] for row in first}),
        "guidelines": sorted({row["guidelines_version"] for row in rows}),
        "alpha": alpha_of(first),
    }
    report["disputed"] = _disputed(first, last_word)
    if last_word:
        settled = [
            {**row, "grade": last_word.get((row["clip_id"], row["label"]), row["grade"])}
            for row in first
        ]
        # It describes the data that is left, and says nothing of people: so it has no interval.
        after = alpha_of(settled)
        why = after.get("why", NO_INTERVAL)
        report["alpha_after_adjudication"] = {**after, "low": None, "high": None, "why": why}
    report["annotators"] = _annotators(workspace, first, last_word)
    report["pairs_of_annotators"] = _kappas(first)
    groups: dict[str, Callable[[Row], list[str]]] = {
        "by_genre": _genres(workspace),
        "by_source": _sources(workspace),
        "by_suggestion": _suggestion,
    }
    for name, groups_of in groups.items():
        members: dict[str, list[Row]] = defaultdict(list)
        for row in first:
            for group in groups_of(row):
                members[group].append(row)
        if name != "by_suggestion" or len(members) > 1:
            report[name] = {group: alpha_of(some) for group, some in sorted(members.items())}
    return report


def _disputed(first: Sequence[Row], last_word: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    """How many labels people are far apart on, and how many of those have the last word."""
    grades: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in first:
        grades[row["clip_id"], row["label"]].append(row["grade"])
    shared = {key: given for key, given in grades.items() if len(given) > 1}
    far = {key for key, given in shared.items() if is_disputed(given, "far")}
    return {
        "labels_rated_twice_or_more": len(shared),
        "not_unanimous": sum(is_disputed(given, "any") for given in shared.values()),
        "far_apart": len(far),
        "far_apart_and_adjudicated": len(far & set(last_word)),
    }


def _annotators(
    workspace: Workspace, first: Sequence[Row], last_word: Mapping[tuple[str, str], int]
) -> dict[str, Any]:
    """Each annotator's bias, speed, accuracy on gold and on what was adjudicated."""
    names = sorted({row["annotator"] for row in first})
    units = {
        key: i for i, key in enumerate(sorted({(row["clip_id"], row["label"]) for row in first}))
    }
    above, shared = bias(
        [units[row["clip_id"], row["label"]] for row in first],
        [names.index(row["annotator"]) for row in first],
        [row["grade"] for row in first],
        len(names),
    )
    gold = _gold(workspace)
    found = {}
    for i, name in enumerate(names):
        own = [row for row in first if row["annotator"] == name]
        times = [row["lead_time_s"] for row in own]
        median, mean = seconds(times)
        found[name] = {
            "ratings": len(own),
            "grades": {
                word: sum(row["grade"] == grade for row in own) for word, grade in GRADES.items()
            },
            "bias": None if np.isnan(above[i]) else float(above[i]),
            "bias_rests_on": int(shared[i]),
            "seconds_a_label_median": median,
            "hours": None if mean is None else mean * sum(t is not None for t in times) / 3600,
            "gold": _accuracy(own, gold),
            "adjudicated": _accuracy(own, last_word),
        }
    return found


def _gold(workspace: Workspace) -> Mapping[tuple[str, str], int]:
    if not (workspace.root / "annotation" / "store.sqlite").exists():
        return {}
    with opened(workspace) as store:
        asked = {(p.clip_id, *q) for p in store.pages() if p.gold for q in p.questions}
        return {key: grade for key, grade in store.gold().items() if key in asked}


def _accuracy(own: Sequence[Row], right: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    """How many of somebody's grades are right, of those whose right grade is known."""
    away = [
        abs(row["grade"] - right[row["clip_id"], row["label"]])
        for row in own
        if (row["clip_id"], row["label"]) in right
    ]
    return {"n": len(away), "right": away.count(0), "one_off": away.count(1), "far": away.count(2)}


def _kappas(first: Sequence[Row]) -> list[dict[str, Any]]:
    """Quadratically weighted kappa of each two annotators, on the labels that both graded."""
    grades: dict[str, dict[tuple[str, str], int]] = defaultdict(dict)
    for row in first:
        grades[row["annotator"]][row["clip_id"], row["label"]] = row["grade"]
    found = []
    for a, b in combinations(sorted(grades), 2):
        both = sorted(grades[a].keys() & grades[b].keys())
        ones, others = [grades[a][key] for key in both], [grades[b][key] for key in both]
        kappa = weighted_kappa(ones, others, len(GRADES))
        same = sum(x == y for x, y in zip(ones, others, strict=True))
        entry = {"a": a, "b": b, "labels": len(both), "same": same, "weighted_kappa": kappa}
        if kappa is None:
            entry["why"] = (
                "undefined: no label was graded by both"
                if not both
                else "undefined: both gave one and the same grade throughout"
            )
        found.append(entry)
    return found


def _genres(workspace: Workspace) -> Callable[[Row], list[str]]:
    genres: dict[str, list[str]] = {}
    if workspace.manifest("clips"):
        for row in workspace.read("clips", ["clip_id", "genres"]).to_pylist():
            genres[row["clip_id"]] = row["genres"]
    return lambda row: genres.get(row["clip_id"]) or ["no genre"]


def _sources(workspace: Workspace) -> Callable[[Row], list[str]]:
    kinds: dict[tuple[str, str], list[str]] = {}
    for table in ("candidates", "screened"):
        if workspace.manifest(table):
            for row in workspace.read(table, ["clip_id", "label", "sources"]).to_pylist():
                found = {source["kind"] for source in row["sources"]}
                kinds[row["clip_id"], row["label"]] = sorted(found)
    return lambda row: kinds.get((row["clip_id"], row["label"])) or ["unknown"]


def _suggestion(row: Row) -> list[str]:
    return ["suggestion shown" if row["preannotated"] else "no suggestion"]


def _written(alpha: Mapping[str, Any]) -> str:
    if alpha["value"] is None:
        return str(alpha["why"])
    interval = alpha.get("why") or f"[{alpha['low']:.3f}, {alpha['high']:.3f}]"
    return f"{alpha['value']:.3f} {interval}"


def show(console: Console, report: Mapping[str, Any]) -> None:
    """Print a report."""
    for form in ("screening", "pairs"):
        if form in report:
            console.print(
                f"{form}: nominal alpha {_written(report[form]['alpha'])}",
                markup=False,
                soft_wrap=True,
            )
    if "grading" not in report:
        return
    grading = report["grading"]
    console.print(
        f"grading: {grading['ratings']} ratings of {grading['labels']} labels in "
        f"{grading['clips']} clips, guidelines {', '.join(grading['guidelines'])}",
        markup=False,
        soft_wrap=True,
    )
    table = Table("ordinal alpha", "value [95 % interval]", "labels", "clips", box=None)
    shown = [("all", grading["alpha"])]
    if "alpha_after_adjudication" in grading:
        shown.append(("after adjudication", grading["alpha_after_adjudication"]))
    for name in ("by_genre", "by_source", "by_suggestion"):
        shown += [(f"  {group}", alpha) for group, alpha in grading.get(name, {}).items()]
    for name, alpha in shown:
        table.add_row(Text(name), _written(alpha), str(alpha["units"]), str(alpha["clips"]))
    console.print(table)
    people = Table(
        "annotator", "ratings", "bias", "s a label", "hours", "gold right", "last word right",
        box=None,
    )  # fmt: skip
    for name, one in grading["annotators"].items():
        people.add_row(
            Text(name), str(one["ratings"]), _number(one["bias"], "+.2f"),
            _number(one["seconds_a_label_median"], ".1f"), _number(one["hours"], ".2f"),
            f"{one['gold']['right']} of {one['gold']['n']}",
            f"{one['adjudicated']['right']} of {one['adjudicated']['n']}",
        )  # fmt: skip
    console.print(people)
    for pair in grading["pairs_of_annotators"]:
        kappa = pair["weighted_kappa"]
        said = pair.get("why", f"weighted kappa {_number(kappa, '.3f')}")
        console.print(
            f"  {pair['a']} and {pair['b']}: {said}, {pair['labels']} labels", markup=False
        )
    disputed = grading["disputed"]
    console.print(
        f"far apart on {disputed['far_apart']} of {disputed['labels_rated_twice_or_more']} labels "
        f"({disputed['far_apart_and_adjudicated']} adjudicated)",
        markup=False,
        soft_wrap=True,
    )


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
