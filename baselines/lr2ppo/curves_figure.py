"""Figures C.4 and 3 of the paper, drawn of one's own training and of the released logs."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from baselines.lr2ppo.curves_groups import Curve, Group, running_mean
from baselines.lr2ppo.curves_legend import Shown, chosen, height, how, legend, running
from baselines.lr2ppo.curves_released import KS, SOURCE, Released
from lrmovienet.stats.figures import INK, SOFT, settled
from lrmovienet.stats.words import cut

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

RELEASED_NAME = "released log (validation, four models)"
_WIDTH, _PANEL, _MARGIN = 12.0, 2.05, 0.7
"""Inches of a figure, a row of panels, and what stands below them."""
_WRAP = 190
"""Letters of a line below the panels."""
_LINE, _LONG_LINE, _THIN = 1.5, 1.1, 0.6
"""Widths of a line, of one with many points, and of one where seeds are missing."""
_DASHES = (0, (4, 2))
_MOST_MARKED, _MANY = 12, 100
"""Points of a line that are marked, since there are so few; and of one that is long."""


@dataclass(frozen=True)
class Panel:
    """What one pair of axes shows."""

    title: str
    stage: int
    ylabel: str
    """The quantity with its unit."""
    solid: str
    """Quantity that is drawn with its band."""
    dashed: str = ""
    """Quantity that is drawn as a thin dashed line beside it."""


C4 = (
    Panel("(a) reward", 3, "mean reward", "reward"),
    Panel("(b) value; dashed: before the update", 3, "mean value", "value", "old_value"),
    Panel("(c) policy loss", 3, "policy loss", "policy_loss"),
    Panel("(d) value loss", 3, "value loss", "value_loss"),
    Panel("(e) KL", 3, "mean KL, nats", "kl"),
    Panel("(f) entropy", 3, "mean entropy, nats", "entropy"),
    Panel("(g) advantage", 3, "mean advantage", "advantage"),
    Panel("(h) rank loss", 3, "mean of −r′ (or of r)", "rank_loss"),
    *(
        Panel(f"({letter}) NDCG@{k}", 3, f"dev NDCG@{k}", f"dev_ndcg@{k}")
        for letter, k in zip("ijklm", KS, strict=True)
    ),
    Panel(
        "(n) stage 2: accuracy; dashed: training", 2, "dev accuracy",
        "dev_accuracy", "train_accuracy",
    ),
    Panel("(o) stage 1: NDCG@20; dashed: @1", 1, "dev NDCG", "dev_ndcg@20", "dev_ndcg@1"),
    Panel("(p) spread of scores", 3, "sd of scores", "score_sd"),
)  # fmt: skip
"""In the paper (a) to (m) are stage 3, (n) is stage 2 and (o) stage 1; (p) is ours."""
FIGURE_3 = tuple(Panel(f"NDCG@{k}", 3, f"dev NDCG@{k}", f"dev_ndcg@{k}") for k in KS)

_X_LABELS = {1: "step of the optimizer", 2: "step of the optimizer", 3: "iteration"}
_RELEASED_X_LABELS = {1: "evaluation", 2: "evaluation", 3: "iteration (update)"}
_WARNING = (
    "Another data set and another protocol: scores on the validation set that also chose the "
    "checkpoint, means over four models trained without one another. Compare shapes with one's "
    f"own curves, not levels. Parsed from the {SOURCE}."
)


def draw(
    panels: Sequence[Panel],
    title: str,
    groups: Sequence[Group],
    names: Sequence[str],
    released: Mapping[int, Released],
    smooth: int,
) -> "Figure":
    """One figure: a block of panels of one's own curves, then one of the released logs.

    Args:
        panels: what to show, row by row.
        title: over the legend.
        groups: with their means over seeds; the first seven of a stage are drawn.
        names: of the groups, for the legend.
        released: by stage; empty for no such block.
        smooth: evaluations of the running mean that `groups` are already; the released curves
            become it here.
    """
    from matplotlib.figure import Figure

    columns = 3 if len(panels) < 9 else 4
    rows = -(-len(panels) // columns)
    shown, more = chosen(groups, names, {panel.stage for panel in panels})
    own = bool(groups) or not released
    heights = [_PANEL * rows + _MARGIN + height(shown)] * own
    heights += [_PANEL * rows + _MARGIN] * bool(released)
    with settled():
        figure = Figure(figsize=(_WIDTH, sum(heights)), facecolor="white", layout="constrained")
        figure.get_layout_engine().set(w_pad=0.08)  # type: ignore[union-attr, call-arg]
        parts = list(figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0])
        if own:
            for panel, axes in _cells(parts[0], panels, rows, columns):
                _own(axes, panel, [one for one in shown if one.group.stage == panel.stage])
            legend(parts[0], title, shown)
            _below(parts[0], how(smooth, shown, more))
        if released:
            for panel, axes in _cells(parts[-1], panels, rows, columns):
                _released(axes, panel, released[panel.stage], smooth)
            parts[-1].suptitle(RELEASED_NAME, x=0.008, ha="left", size=10.5, weight="bold")
            _below(parts[-1], running(smooth) + _WARNING)
        return figure


def _cells(
    part: "SubFigure", panels: Sequence[Panel], rows: int, columns: int
) -> "list[tuple[Panel, Axes]]":
    """Axes for the panels, row by row, with all that does not hang on a curve."""
    from matplotlib.ticker import MaxNLocator

    cells = list(part.subplots(rows, columns, squeeze=False).flat)
    for axes in cells[len(panels) :]:
        axes.axis("off")
    found = list(zip(panels, cells, strict=False))
    for panel, axes in found:
        axes.set_title(panel.title, loc="left")
        axes.set_ylabel(panel.ylabel)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3, lw=0.6)
        axes.tick_params(labelsize=7.5, color=SOFT)
        axes.margins(x=0.02)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        # Written out: a common factor over the axis would stand where the title does.
        axes.yaxis.set_major_formatter(
            lambda value, _: f"{value:.4g}" if abs(value) > 1e-12 else "0"
        )
    return found


def _own(axes: "Axes", panel: Panel, shown: Sequence[Shown]) -> None:
    axes.set_xlabel(_X_LABELS[panel.stage])
    drawn = [one for one in shown if panel.solid in one.group.curves]
    if not drawn:
        by_critic = " (no critic)" if panel.solid in ("value", "value_loss") else ""
        absent = f"not recorded{by_critic}"
        _nothing(axes, absent if shown else f"no ranker of stage {panel.stage}")
        return
    for one in drawn:
        curves, seeds = one.group.curves, len(one.group.seeds)
        _line(axes, curves[panel.solid], seeds, one.colour)
        if panel.dashed in curves:
            beside = curves[panel.dashed]
            axes.plot(beside.x, beside.mean, color=one.colour, lw=0.9, ls=_DASHES)
    without = ", ".join(cut(one.group.name, 20) for one in shown if one not in drawn)
    if without:
        axes.set_xlabel(
            f"{_X_LABELS[panel.stage]}\nnot recorded: {cut(without, 36)}", parse_math=False
        )


def _line(axes: "Axes", curve: Curve, seeds: int, colour: str) -> None:
    """The mean, thin where seeds are missing, and the band of those that are there."""
    if seeds > 1:
        axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.18, lw=0)
    marker = "o" if len(curve.x) <= _MOST_MARKED else ""
    width = _LINE if len(curve.x) <= _MANY else _LONG_LINE
    start = 0
    for i in range(1, len(curve.x) + 1):
        whole = curve.n[start] == seeds
        if i == len(curve.x) or (curve.n[i] == seeds) != whole:
            # A piece goes on to the first point of the next, so that there is no gap.
            axes.plot(
                curve.x[start : i + 1], curve.mean[start : i + 1], color=colour,
                lw=width if whole else _THIN, marker=marker, ms=3, mew=0,
            )  # fmt: skip
            start = i


def _released(axes: "Axes", panel: Panel, log: Released, smooth: int) -> None:
    axes.set_xlabel(_RELEASED_X_LABELS[panel.stage])
    axes.set_ylabel(panel.ylabel.replace("dev ", "validation "))
    if panel.solid == "rank_loss":  # the code divides by the pairs that violate the margin
        axes.set_ylabel("mean of −r′ > 0")
    if panel.solid not in log.values:
        _nothing(axes, "not in the released log")
        return
    axes.plot(log.x, running_mean(log.values[panel.solid], smooth), color=SOFT, lw=0.8)
    if panel.dashed in log.values:
        beside = running_mean(log.values[panel.dashed], smooth)
        axes.plot(log.x, beside, color=SOFT, lw=0.7, ls=_DASHES)


def _nothing(axes: "Axes", why: str) -> None:
    axes.set(xticks=[], yticks=[])
    axes.text(0.5, 0.5, why, ha="center", va="center", color=SOFT, transform=axes.transAxes)


def _below(part: "SubFigure", text: str) -> None:
    if text:
        lines = textwrap.fill(text.strip(), _WRAP)
        part.supxlabel(lines, x=0.008, ha="left", size=8.5, color=INK)
