"""The figures of a release: Fig. C.1 of the paper, and how labels are graded.

Each function makes a `Figure` of numbers that `measure` gave; `saved` makes files of it. Equal
numbers are equal bytes, whatever the user has set for matplotlib.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lrmovienet.stats.words import cut

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, LINE = "#1f2937", "#6b7280", "#7c3aed"
SHADES = {"low": "#ddd6fe", "medium": "#a78bfa", "high": "#6d28d9"}
"""The grades, as in the report of agreement."""
SETS = {"head": "#7c3aed", "tail": "#ea580c", "neither": "#9ca3af"}
"""Genres by the set they are in (paper, §5.1): S_P, S_Q or none that the release names."""
SET_NAMES = {"head": "head genres", "tail": "tail genres", "neither": "in neither set"}

WIDTH, ROW, MOST_ROWS, MOST_LETTERS = 4.9, 0.22, 40, 24
"""Inches of a figure and of a bar's row; bars of a figure, and letters of a bar's name."""
DPI = 180
PLATES = 6
"""How many figures `plates` makes."""


@dataclass(frozen=True)
class Plate:
    """A figure with its words."""

    name: str
    """Of its files, without an ending."""
    caption: str
    figure: "Figure"


def plates(report: Mapping[str, Any], sets: Mapping[str, str]) -> Iterator[Plate]:
    """All figures of a release, one after the other.

    Args:
        report: what `lrmovienet.stats.measure.measure` gave.
        sets: genre -> head or tail; empty where the release does not say.
    """
    genres = report["genres"]
    yield Plate(
        "clips_per_genre", "Clips per genre. A clip of several genres counts in each.",
        bars({name: of["clips"] for name, of in genres.items()}, sets, "clips"),
    )  # fmt: skip
    yield Plate(
        "classes_per_genre", "Label classes (different labels) per genre.",
        bars({name: of["classes"] for name, of in genres.items()}, sets, "label classes"),
    )  # fmt: skip
    yield Plate(
        "label_frequencies", "Label classes by the number of clips that have them.",
        frequencies(report["frequencies"]),
    )  # fmt: skip
    yield Plate(
        "labels_per_record", "Records by their number of labels, in each domain.",
        sizes(report["labels_per_record"]),
    )  # fmt: skip
    yield Plate(
        "grades_by_genre", "Grades per genre: shares, and how many labels they are.",
        grades(report["grades_by_genre"]),
    )  # fmt: skip
    yield Plate(
        "grades_by_source", "Grades by where a label came from: shares, and how many labels.",
        grades(report["grades_by_source"]),
    )  # fmt: skip


def bars(counts: Mapping[str, int], sets: Mapping[str, str], what: str) -> "Figure":
    """One bar a name, the highest count first, on a logarithmic scale.

    Args:
        counts: name -> count; equal counts go by name.
        sets: name -> head or tail, where known.
        what: what is counted.
    """
    ranked = sorted(counts, key=lambda name: (-counts[name], name))
    shown = ranked[:MOST_ROWS]
    with settled():
        figure, axes = _rows(len(shown))
        if not shown:
            return _nothing(figure, axes, f"no genres, so no {what} of them")
        at = range(len(shown))
        values = [counts[name] for name in shown]
        kinds = [sets.get(name, "neither") for name in shown]
        colours = [SETS[kind] if sets else SETS["head"] for kind in kinds]
        axes.barh(at, values, color=colours, height=0.7, log=True)
        for row, value in zip(at, values, strict=True):
            axes.text(max(value, 1) * 1.05, row, f"{value:,}", va="center", size=8, color=INK)
        # What a count takes beside the longest bar is about a tenth of a log axis.
        axes.set_xlim(0.7, max(2.0, max(values) * max(1.4, (max(values) / 0.7) ** 0.11)))
        _names(axes, shown)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.xaxis.set_minor_formatter(lambda value, _: "")
        axes.set_xlabel(_with_rest(what, len(ranked) - len(shown)))
        axes.grid(axis="x", alpha=0.3)
        if sets:
            _legend(figure, {SET_NAMES[k]: colour for k, colour in SETS.items() if k in kinds})
        return figure


def frequencies(classes: Mapping[str, int]) -> "Figure":
    """How many label classes occur so many times, on logarithmic scales.

    Args:
        classes: number of clips, as text -> label classes that so many clips have.
    """
    from matplotlib.ticker import NullFormatter

    with settled():
        figure, axes = _rows(12)
        if not classes:
            return _nothing(figure, axes, "no labels")
        times = [int(value) for value in classes]
        axes.loglog(times, list(classes.values()), "o", ms=4, color=LINE, alpha=0.8, mew=0)
        axes.set_xlim(0.8, max(max(times) * 1.5, 10))
        axes.set_ylim(0.8, max(max(classes.values()) * 1.5, 10))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:,.0f}")
            axis.set_minor_formatter(NullFormatter())
        axes.set(xlabel="clips that have the label", ylabel="label classes")
        axes.grid(alpha=0.3)
        return figure


def sizes(domains: Mapping[str, Mapping[str, int]]) -> "Figure":
    """How many records of each domain have so many labels; a panel a domain.

    Args:
        domains: domain -> number of labels, as text -> records.
    """
    from matplotlib.ticker import MaxNLocator

    with settled():
        figure, _ = _rows(10)
        figure.clear()
        panels = figure.subplots(1, len(domains), squeeze=False)[0]
        for axes, (domain, records) in zip(panels, domains.items(), strict=True):
            axes.set_title(f"{domain}: {sum(records.values()):,} records")
            if not records:
                _nothing(figure, axes, "no records")
                continue
            at = [int(size) for size in records]
            axes.bar(at, list(records.values()), color=LINE, width=0.8)
            axes.set_xlim(min(at) - 1, max(at) + 1)
            axes.set(xlabel="labels a record", ylabel="records")
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(axis="y", alpha=0.3)
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(MaxNLocator(integer=True, nbins=5))
        return figure


def grades(groups: Mapping[str, Mapping[str, int]]) -> "Figure":
    """Shares of low, medium and high, a bar a group, with their counts; in the order given."""
    shown = list(groups)[:MOST_ROWS]
    with settled():
        figure, axes = _rows(len(shown))
        if not shown:
            return _nothing(figure, axes, "no grades")
        totals = [sum(groups[name].values()) for name in shown]
        begin = [0.0] * len(shown)
        for grade, colour in SHADES.items():
            counts = [groups[name][grade] for name in shown]
            shares = [n / max(total, 1) for n, total in zip(counts, totals, strict=True)]
            axes.barh(range(len(shown)), shares, left=begin, color=colour, height=0.7, label=grade)
            for row, (share, n) in enumerate(zip(shares, counts, strict=True)):
                if share >= 0.02 + 0.019 * len(f"{n:,}"):  # else it would not fit
                    axes.text(
                        begin[row] + share / 2, row, f"{n:,}", ha="center", va="center", size=7.5,
                        color="white" if grade == "high" else INK,
                    )  # fmt: skip
            begin = [a + b for a, b in zip(begin, shares, strict=True)]
        for row, total in enumerate(totals):
            axes.text(
                1.015 if total else 0.01, row, f"{total:,}" if total else "no grades shown",
                va="center", size=8, color=INK if total else SOFT,
            )  # fmt: skip
        axes.set_xlim(0, 1.12)
        axes.set_xticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
        axes.set_xlabel(
            _with_rest("share of labels; at the end, how many", len(groups) - len(shown))
        )
        _names(axes, shown)
        _legend(figure, SHADES)
        return figure


def saved(figure: "Figure") -> tuple[bytes, bytes]:
    """A figure as PNG and as SVG, whose letters are drawn, so that no font is needed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    png, svg = io.BytesIO(), io.BytesIO()
    with settled():
        FigureCanvasAgg(figure)
        figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
        figure.set_layout_engine("none")  # everything has its place now; finding it takes long
        FigureCanvasSVG(figure)
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return png.getvalue(), svg.getvalue()


@contextlib.contextmanager
def settled() -> Iterator[None]:
    """Matplotlib as it comes, but for our font and fixed ids, whatever a user's settings say."""
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a box stands in its place
        warnings.filterwarnings("ignore", "Matplotlib currently does not support")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "font.family": "DejaVu Sans", "font.size": 8.5, "text.color": INK,
                "axes.labelcolor": INK, "axes.labelsize": 8.5, "axes.titlesize": 9.5,
                "axes.edgecolor": SOFT, "xtick.color": INK, "ytick.color": INK,
                "axes.axisbelow": True, "svg.fonttype": "path", "svg.hashsalt": "lrmovienet",
            }
        )  # fmt: skip
        yield


def _rows(rows: int) -> "tuple[Figure, Axes]":
    """A figure that is high enough for so many rows of bars."""
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(WIDTH, 1.0 + ROW * max(rows, 4)), facecolor="white", layout="constrained"
    )
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _names(axes: "Axes", names: Sequence[str]) -> None:
    """The rows' names, from the top down."""
    texts = [cut(name, MOST_LETTERS) for name in names]
    # A dollar sign is a dollar sign, not the beginning of a formula.
    axes.set_yticks(range(len(names)), texts, parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def _legend(figure: "Figure", colours: Mapping[str, str]) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(color=colour, label=name) for name, colour in colours.items()]
    figure.legend(
        handles=patches, loc="outside upper left", ncols=len(patches), frameon=False,
        handlelength=1, handleheight=1, borderpad=0,
    )  # fmt: skip


def _with_rest(text: str, rest: int) -> str:
    return f"{text}\n({rest:,} rows more in stats.json)" if rest else text


def _nothing(figure: "Figure", axes: "Axes", why: str) -> "Figure":
    axes.axis("off")
    axes.text(0.5, 0.5, why, ha="center", va="center", color=SOFT, transform=axes.transAxes)
    return figure
