"""What a table says of a trained method beside its scores: seeds, size, time, the paper's row."""

from collections.abc import Sequence
from dataclasses import dataclass

from eval.published import NOTE, PUBLISHED


@dataclass(frozen=True)
class Facts:
    """Of one method in one regime."""

    seeds: int
    """Runs that were put together; 0: one run of a method that draws nothing."""
    spread: dict[str, float]
    """Measure -> standard deviation over seeds (n − 1); without entries for one run."""
    trials: int
    parameters: int | None
    """The most of any seed; they differ where a method chooses its size."""
    seconds: float | None
    """Mean wall time of a training alone."""
    seconds_before: float | None
    """Mean wall time of what a training starts from."""
    published: str | None
    """Row of `eval.published`."""


COLUMNS = ("seeds", "trials", "parameters", "training", "p", "paper: other data")
"""Heads of the columns that `cells` fills."""

LEGEND = (
    "Seeds: the number of trainings that differ in their seed alone. The mean is taken over them "
    "film by film, and the interval is that of this mean over the draw of films; ± is the standard "
    "deviation of one training about it. A method without seeds draws nothing.",
    "Trials: draws of options, the usual ones among them, each trained with seed 0 and judged by "
    "NDCG@20 on the development split; the best is what is shown. 0: the usual options. What a "
    "method starts from was tuned by itself before, with as many trials of its own.",
    "Training: mean wall time of a training alone, and after + that of the trainings that it "
    "starts from. Parameters: trained numbers; of trees, leaves. – is not known, or nothing.",
    "p: that the method is as good as the best of the table in its last column, by signs of films "
    "(10,000 draws, two-sided), corrected for the rows of the table (Holm).",
)


def cells(facts: Facts | None, p: float | None) -> list[str]:
    """What stands in `COLUMNS` for a row; all empty for a floor."""
    if facts is None:
        return [""] * len(COLUMNS)
    return [
        str(facts.seeds or "–"), str(facts.trials),
        "–" if facts.parameters is None else f"{facts.parameters:,}",
        _training(facts.seconds, facts.seconds_before),
        p_value(p),
        " ".join(three_digits(value) for value in PUBLISHED.get(facts.published or "", ())),
    ]  # fmt: skip


def legend(facts: Sequence[Facts]) -> list[str]:
    """What has to be said under tables with such rows."""
    shown = any(entry.published in PUBLISHED for entry in facts)
    return [*LEGEND, NOTE] if shown else [*LEGEND] if facts else []


def _training(own: float | None, before: float | None) -> str:
    if own is None:
        return "–"
    return _time(own) + (f" + {_time(before)}" if before else "")


def _time(seconds: float) -> str:
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"


def p_value(p: float | None) -> str:
    """A p value as in tables; a dash where there is none."""
    if p is None:
        return "–"
    return "<.001" if p < 0.001 else three_digits(p)


def three_digits(value: float) -> str:
    """A number as in tables: .123, without the 0 before."""
    return f"{value:.3f}".removeprefix("0")
