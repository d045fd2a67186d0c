"""The report of agreement as a picture."""

import io
from collections.abc import Mapping
from typing import Any

INK, SOFT, LINE = "#1f2937", "#6b7280", "#7c3aed"
SHADES = {"low": "#ddd6fe", "medium": "#a78bfa", "high": "#6d28d9"}
MOST_GROUPS = 24


def draw(grading: Mapping[str, Any]) -> bytes:
    """Alphas with their intervals, and each annotator's grades and bias, as PNG.

    Args:
        grading: the part `grading` of `annotation.report.measure`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    groups = [("all", grading["alpha"])]
    if "alpha_after_adjudication" in grading:
        groups.append(("after adjudication", grading["alpha_after_adjudication"]))
    for name in ("by_suggestion", "by_source", "by_genre"):
        groups += grading.get(name, {}).items()
    left_out, groups = len(groups) - MOST_GROUPS, groups[:MOST_GROUPS]
    people = list(grading["annotators"].items())
    height = max(2.5, 0.3 * max(len(groups), 2 * len(people)) + 1.2)
    figure = Figure(figsize=(11, height), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    alphas, grades, biases = figure.subplots(1, 3, width_ratios=[3, 2, 2])
    _alphas(alphas, groups, left_out)
    names = [name[:20] for name, _ in people]
    rows = range(len(people))
    begin = [0.0] * len(people)
    for word, colour in SHADES.items():
        share = [one["grades"][word] / max(one["ratings"], 1) for _, one in people]
        grades.barh(rows, share, left=begin, color=colour, label=word, height=0.6)
        begin = [a + b for a, b in zip(begin, share, strict=True)]
    grades.set(title="grades given", xlim=(0, 1))
    grades.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3, frameon=False)
    biases.barh(rows, [one["bias"] or 0.0 for _, one in people], color=LINE, height=0.6)
    biases.axvline(0, color=SOFT, lw=0.8)
    biases.set(title="bias, in grades")
    for axes in (grades, biases):
        axes.set_yticks(rows, names, parse_math=False)
        axes.invert_yaxis()
    for axes in (alphas, grades, biases):
        axes.spines[["top", "right"]].set_visible(False)
        axes.title.set_size(11)
    png = io.BytesIO()
    figure.savefig(png, format="png", metadata={"Software": None})
    return png.getvalue()


def _alphas(axes: Any, groups: list[tuple[str, Mapping[str, Any]]], left_out: int) -> None:
    labels = []
    for row, (name, alpha) in enumerate(groups):
        labels.append(f"{name[:28]} ({alpha['units']})")
        if alpha["value"] is None:
            axes.text(0.02, row, "undefined", va="center", color=SOFT, size=9)
            continue
        if alpha["low"] is not None:
            axes.plot([alpha["low"], alpha["high"]], [row, row], color=LINE, lw=2)
        axes.plot(alpha["value"], row, "o", color=LINE if row else INK, ms=6)
    axes.set_yticks(range(len(groups)), labels, parse_math=False)
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.axvline(0, color=SOFT, lw=0.8)
    axes.set_xlim(right=1.02)
    axes.grid(axis="x", alpha=0.3)
    axes.set_title("ordinal alpha, 95 % interval (labels judged twice)")
    if left_out > 0:
        axes.set_xlabel(f"and {left_out} groups more in agreement.json", color=SOFT)
