"""What the figures of training say about their curves: names, colours, seeds."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from baselines.lr2ppo.curves_groups import Group, differences
from baselines.lr2ppo.curves_read import X_OF
from lrmovienet.stats.words import cut

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#56b4e9", "#e69f00")
"""Of Okabe and Ito (2008): told apart by people who do not see red or green."""
MOST_GROUPS = len(COLOURS)
"""Groups of a stage in one figure."""
_LETTERS = 48
"""Of a group's name."""


class Shown(NamedTuple):
    """A group as a figure has it."""

    group: Group
    label: str
    colour: str


def labels(groups: Sequence[Group]) -> list[str]:
    """A name a group: with the options that set it apart from the others of its stage.

    Names that are equal still get the name of their first ranker.
    """
    found: list[str] = []
    for group in groups:
        alike = [other for other in groups if other.stage == group.stage]
        text = differences(alike)[alike.index(group)]
        text = f" ({cut(text, _LETTERS * 5 // 8)})" if text else ""
        found.append(cut(group.name, _LETTERS - len(text)) + text)
    return [
        f"{cut(label, _LETTERS // 2)} [{cut(group.rankers[0], _LETTERS // 2)}]"
        if found.count(label) > 1
        else label
        for label, group in zip(found, groups, strict=True)
    ]


def chosen(
    groups: Sequence[Group], names: Sequence[str], stages: Collection[int]
) -> tuple[list[Shown], int]:
    """The groups that a figure of some stages draws, and how many more there are.

    Args:
        groups: of any stages.
        names: their labels.
        stages: that the figure has panels of.
    """
    shown: list[Shown] = []
    more = 0
    for stage in sorted(stages, reverse=True):
        of_stage = [pair for pair in zip(groups, names, strict=True) if pair[0].stage == stage]
        more += len(of_stage[MOST_GROUPS:])
        for group, label in of_stage[:MOST_GROUPS]:
            # Going on with the colours of the stage before, few groups all have their own.
            shown.append(Shown(group, label, COLOURS[len(shown) % len(COLOURS)]))
    return shown, more


def seeds_said(group: Group) -> str:
    """How many seeds a group has, and where fewer are left."""
    counts, at = group.evaluations.n, group.evaluations.x
    if len(group.seeds) == 1:
        return f"seed {group.seeds[0]}"
    text = f"{len(group.seeds)} seeds"
    if list(counts) != sorted(counts, reverse=True):
        return f"{text}, {min(counts)} to {max(counts)} at a point"
    ends = [i for i in range(1, len(counts)) if counts[i] < counts[i - 1]]
    return text + "".join(f", {counts[i]} after {X_OF[group.stage]} {at[i - 1]:,}" for i in ends)


def height(shown: Sequence[Shown]) -> float:
    """Inches that the legend takes."""
    return 0.35 + 0.3 * max(map(len, _columns(shown)), default=0)


def legend(part: "SubFigure", title: str, shown: Sequence[Shown]) -> None:
    """The legend over a block of panels."""
    from matplotlib.lines import Line2D

    columns = _columns(shown)
    longest = max(map(len, columns), default=0)
    nothing = Line2D([], [], alpha=0)
    handles, texts = list[Any](), list[str]()
    for column in columns:
        handles += [Line2D([], [], color=one.colour, lw=2) for one in column]
        texts += [
            f"{one.label}\nstage {one.group.stage}, {seeds_said(one.group)}" for one in column
        ]
        handles += [nothing] * (longest - len(column))
        texts += [""] * (longest - len(column))
    # Texts come after: older versions of matplotlib leave out labels that begin with _.
    made = part.legend(
        handles, ["."] * len(handles), loc="outside upper left", ncols=max(len(columns), 1),
        frameon=False, title=title, alignment="left", borderpad=0, handlelength=1.6,
        columnspacing=3, title_fontproperties={"size": 10.5, "weight": "bold"},
    )  # fmt: skip
    for found, text in zip(made.get_texts(), texts, strict=True):
        found.set_parse_math(False)
        found.set_text(text)


def how(smooth: int, shown: Sequence[Shown], more: int) -> str:
    """How the curves were made, and how many are not there."""
    text = running(smooth)
    if any(len(one.group.seeds) > 1 for one in shown):
        text += "Line: mean over seeds; band: from the smallest to the largest seed. "
    if any(min(one.group.evaluations.n) < len(one.group.seeds) for one in shown):
        text += "Thin: fewer seeds. "
    return text + (f"{more} groups more are in curves.json. " if more else "")


def running(smooth: int) -> str:
    """What is said of a running mean, where there is one."""
    if smooth == 1:
        return ""
    return f"Running mean over {smooth} evaluations, this one and those before it. "


def _columns(shown: Sequence[Shown]) -> list[list[Shown]]:
    """A column a stage; of one stage alone, up to three columns."""
    stages = dict.fromkeys(one.group.stage for one in shown)
    if len(stages) > 1:
        return [[one for one in shown if one.group.stage == stage] for stage in stages]
    rows = -(-len(shown) // 3)
    return [list(shown[i : i + rows]) for i in range(0, len(shown), rows or 1)]
