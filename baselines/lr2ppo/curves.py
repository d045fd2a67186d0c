"""`lrmovienet curves`: how LR²PPO trained, as figures C.4 and 3 of the paper."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrmovienet.config import VerbConfig
from lrmovienet.errors import UserError

if TYPE_CHECKING:
    from baselines.lr2ppo.curves_groups import Group
    from baselines.lr2ppo.curves_released import Released

NUMBERS, C4_NAME, FIGURE_3_NAME = "curves.json", "figure-c4", "figure-3"


@dataclass(frozen=True)
class CurvesConfig(VerbConfig):
    """Options of `lrmovienet curves`."""

    rankers: list[str] = field(default_factory=list)
    """Names under rankers/, in the order of the legend; default: all that have training curves.
    Those that differ only by their seed are one curve with a band."""
    out: Path | None = None
    """Folder for figures and numbers. Default: curves/ in the workspace."""
    released: Path | None = None
    """Folder of the tables parsed from the released logs, to draw those curves too."""
    smooth: int = 1
    """Evaluations of a running mean, this one and those before it; 1 draws what was measured."""


def run(config: CurvesConfig) -> None:
    """Draw, write, and print what was left out.

    Raises:
        UserError: there is no ranker with training curves, a file is damaged, or an option is
            wrong. Nothing is written then.
    """
    from rich.console import Console
    from rich.text import Text

    from lrmovienet.files import write_bytes
    from lrmovienet.stats.words import one_line

    out = config.out or config.workspace / "curves"
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: is a file; give a folder.")
    files, notes = make(config)
    for name, content in files.items():
        write_bytes(out / name, content)
    console = Console(emoji=False)
    for line in (*notes, str(out)):
        console.print(Text(one_line(line)), soft_wrap=True)


def make(config: CurvesConfig) -> tuple[dict[str, bytes], list[str]]:
    """Every file by its name, and what is to be said beside them.

    Raises:
        UserError: as `run`.
    """
    from baselines.lr2ppo.curves_figure import C4, FIGURE_3, draw
    from baselines.lr2ppo.curves_groups import grouped
    from baselines.lr2ppo.curves_legend import MOST_GROUPS, labels, seeds_said
    from baselines.lr2ppo.curves_read import read_runs
    from baselines.lr2ppo.curves_released import read_released
    from lrmovienet.files import json_bytes
    from lrmovienet.progress import progress
    from lrmovienet.stats.figures import saved

    if config.smooth < 1:
        raise UserError(f"--smooth {config.smooth}: give a number of evaluations, 1 or more.")
    released = read_released(config.released) if config.released is not None else {}
    folder = config.workspace / "rankers"
    runs, notes = read_runs(folder, config.rankers)
    if not runs and not released:
        why = "".join(f"; {note}" for note in notes)
        raise UserError(
            f"{folder}: no ranker with training curves here{why}. Run first: lrmovienet train "
            f"lr2ppo --workspace {config.workspace}"
        )
    groups, same = grouped(runs, config.smooth)
    groups.sort(key=lambda group: -group.stage)  # within a stage, they stay in the order given
    names = labels(groups)
    for stage in sorted({group.stage for group in groups}):
        count = sum(group.stage == stage for group in groups)
        if count > MOST_GROUPS:
            notes.append(
                f"stage {stage}: the first {MOST_GROUPS} of {count} groups are drawn, and all are "
                f"in {NUMBERS}; name fewer to draw others"
            )
    for group, name in zip(groups, names, strict=True):
        notes.append(f"stage {group.stage}, {name}: {seeds_said(group)}")
    plans = (
        (C4_NAME, C4, "Training curves of LR²PPO (figure C.4 of the paper)"),
        (FIGURE_3_NAME, FIGURE_3, "NDCG in stage 3 (figure 3 of the paper)"),
    )
    files = {}
    with progress("drawing", len(plans), "figures") as advance:
        for file, panels, title in plans:
            figure = draw(panels, title, groups, names, released, config.smooth)
            files[f"{file}.png"], files[f"{file}.svg"] = saved(figure)
            advance(1)
    files[NUMBERS] = json_bytes(numbers(groups, names, released, config.smooth))
    return files, [*same, *notes]


def numbers(
    groups: "Sequence[Group]", names: Sequence[str], released: "Mapping[int, Released]", smooth: int
) -> dict[str, Any]:
    """All curves as numbers, those too that no panel shows.

    Args:
        groups: rankers that differ by their seed alone, each with its curves.
        names: one a group.
        released: the released logs, by stage.
        smooth: evaluations of the running mean that the groups' curves are. The released logs are
            given as they are.
    """
    from baselines.lr2ppo.curves_figure import RELEASED_NAME
    from baselines.lr2ppo.curves_read import X_OF
    from baselines.lr2ppo.curves_released import SOURCE

    found: dict[str, Any] = {
        "smooth": smooth,
        "band": "low and high: the smallest and the largest of the n seeds that have a value at x",
        "groups": [
            {
                "name": name, "ranker": group.ranker, "stage": group.stage,
                "x": X_OF[group.stage], "rankers": group.rankers, "seeds": group.seeds,
                "made_from": group.made_from,
                "quantities": {q: asdict(curve) for q, curve in group.curves.items()},
            }
            for group, name in zip(groups, names, strict=True)
        ],
    }  # fmt: skip
    if released:
        found["released"] = {
            "name": RELEASED_NAME, "source": SOURCE,
            "stages": {
                str(log.stage): {"sha256": log.sha256, "x": log.x, "quantities": log.values}
                for log in released.values()
            },
        }  # fmt: skip
    return found
