"""`lrmovienet letor look`: what files of learning to rank hold."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lrmovienet.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from baselines.letor.look import Extreme, Grades, Look

EMPTY = {"skip": "left out", "one": "as 1", "zero": "as 0"}
"""Rule for queries without a relevant document -> how it is said."""
NONE = "–"


@dataclass(frozen=True)
class LookConfig:
    """Options of `lrmovienet letor look`: a word that is no option is a FILE."""

    files: list[Path] = field(default_factory=list)
    """Files to look at: LETOR or svmlight rows, also as .gz, or arrays as .npz."""
    json: Path | None = None
    """A JSON file for all the numbers."""
    cache: Path | None = None
    """Folder that keeps files as arrays, so that each is read only once; default: none."""


def run(config: LookConfig) -> None:
    """Print a column of numbers a file, and what to know before training on it.

    Raises:
        UserError: no file was given, one twice, or one is no such file.
    """
    from baselines.letor.look import look
    from baselines.letor.read import read
    from eval.report import console, fitted
    from lrmovienet.files import write_json

    if not config.files:
        raise UserError("give a file: lrmovienet letor look FILE FILE …")
    found = {name: look(read(path, config.cache)) for name, path in named(config.files).items()}
    out = console()
    out.print(fitted(table(found), out.width), crop=False)
    for line in notes(found):
        out.print(line, soft_wrap=True, markup=False, highlight=False)
    if config.json is not None:
        entries = [asdict(one) | {"name": name} for name, one in found.items()]
        write_json(config.json, {"files": entries})
        out.print(str(config.json), soft_wrap=True, markup=False, highlight=False)


def named(paths: Sequence[Path]) -> dict[str, Path]:
    """Files by name, with as many folders before it as tell them apart.

    Raises:
        UserError: a path is no file, or a file was given twice.
    """
    places = [path.resolve() for path in paths]
    for i, (path, place) in enumerate(zip(paths, places, strict=True)):
        if not path.is_file():
            raise UserError(f"{path}: no such file.")
        if place in places[:i]:
            raise UserError(f"{path}: the same file twice. Give each once.")
    for depth in range(1, max(len(place.parts) for place in places) + 1):
        names = ["/".join(place.parts[-depth:]) for place in places]
        if len({*names}) == len(names):
            break
    return dict(zip(names, paths, strict=True))


def table(found: dict[str, "Look"]) -> "Table":
    """A column a file."""
    from rich.table import Table
    from rich.text import Text

    from eval.messages import printable

    shown = Table()
    shown.add_column("")
    for name in found:
        shown.add_column(Text(printable(name)), justify="right")
    top = max((max(one.grades.counts) for one in found.values() if one.grades), default=0)
    columns = [_cells(one) | _graded(one.grades, top) for one in found.values()]
    for what in dict.fromkeys(what for cells in columns for what in cells):
        shown.add_row(what, *(cells.get(what, NONE) for cells in columns))
    return shown


def _cells(one: "Look") -> dict[str, str]:
    """What is counted -> how it is shown."""
    return {
        "queries": f"{one.queries:,}",
        "documents": f"{one.rows:,}",
        "a query: fewest": f"{one.shortest:,}",
        "a query: median": f"{one.median:g}",
        "a query: most": f"{one.longest:,}",
        "features": f"{one.features:,}",
        "first feature": str(one.first_feature),
        "constant features": f"{len(one.constant):,}",
        "smallest value": _extreme(one.smallest),
        "largest value": _extreme(one.largest),
        "NULL": f"{one.null:.1%}",
        "rows all NULL": f"{one.null_rows:,}",
        "rows with an id": f"{one.with_ids:,}",
        "placeholder ids": f"{one.placeholders:,}",
    }


def _graded(grades: "Grades | None", top: int) -> dict[str, str]:
    """The same of grades up to the highest of any file."""
    if grades is None:
        return {"grades": "none"}
    return {
        "grades": f"{min(grades.counts)} to {max(grades.counts)}",
        **{f"grade {grade}": f"{grades.counts.get(grade, 0):,}" for grade in range(top + 1)},
        "without a relevant one": f"{grades.queries_without_relevant:,}",
        "their share p0": f"{grades.share_without_relevant:.4f}",
        "queries of one grade": f"{grades.queries_all_equal:,}",
        **{
            f"{name.upper()}, {EMPTY[rule]}": NONE if value is None else f"{value:.4f}"
            for rule, values in grades.random.items()
            for name, value in values.items()
        },
    }


def _extreme(end: "Extreme | None") -> str:
    return NONE if end is None else f"{end.value:g} in {end.feature}"


def notes(found: dict[str, "Look"]) -> list[str]:
    """What the numbers mean, and what to know before training."""
    from baselines.letor.look import RAW
    from eval.messages import printable

    lines = [
        "NDCG: expected of a random order, gain 2^grade - 1; queries without a relevant document "
        "are left out of the mean, or count as 1, or as 0"
    ]
    for name, one in found.items():
        if one.raw:
            lines.append(
                f"{name}: raw features, from {_extreme(one.smallest)} to {_extreme(one.largest)} "
                f"(beyond {RAW:g}): normalise them before a network learns from them"
            )
        if one.constant:
            some = ", ".join(map(str, one.constant[:10])) + (
                ", …" if len(one.constant) > 10 else ""
            )
            lines.append(f"{name}: the same in every row, so of no use: features {some}")
    return list(map(printable, lines))
