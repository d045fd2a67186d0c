"""`lrmovienet letor leaks`: what files of learning to rank share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baselines.letor.look_verb import NONE, named
from lrmovienet.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from baselines.letor.leaks import Printed

EXAMPLES = 10
KINDS = {"query": "queries", "document": "documents"}
"""What has an id -> where the report has those that are in both."""


@dataclass(frozen=True)
class LeaksConfig:
    """Options of `lrmovienet letor leaks`: a word that is no option is a FILE."""

    files: list[Path] = field(default_factory=list)
    """Files to compare, each with each: LETOR or svmlight rows, also as .gz, or arrays as .npz."""
    against: list[Path] = field(default_factory=list)
    """Files of a second side; the others together are then the first, and files of one side are not
    compared."""
    json: Path | None = None
    """A JSON file for everything that was found, with all ids."""
    fail: bool = False
    """Exit with code 1 if a query, a document or a row is on both sides of a comparison."""
    cache: Path | None = None
    """Folder that keeps files as arrays: they are read once, and need not fit into memory."""


def run(config: LeaksConfig) -> None:
    """Print what files share, and write it where asked.

    Raises:
        UserError: there is nothing to compare, a file was given twice, or one is no such file.
        SystemExit: 1 with --fail where anything is shared.
    """
    from eval.report import console, fitted
    from lrmovienet.files import write_json

    report = _report(config)
    out = console()
    out.print(fitted(table(report), out.width), crop=False)
    for line in notes(report):
        out.print(line, soft_wrap=True, markup=False, highlight=False)
    if config.json is not None:
        write_json(config.json, report)
        out.print(str(config.json), soft_wrap=True, markup=False, highlight=False)
    if config.fail and any(entry["second_queries_touched"] for entry in report["shared"]):
        raise SystemExit(1)


def _report(config: LeaksConfig) -> dict[str, Any]:
    """Read, compare, and put in plain values."""
    from baselines.letor.leaks import printed
    from baselines.letor.read import read
    from lrmovienet.progress import progress

    if len(config.files) < (1 if config.against else 2):
        raise UserError(
            "give two files or more, to compare each with each, or FILE … --against FILE …"
        )
    names = named([*config.files, *config.against])
    files = {name: printed(read(path, config.cache)) for name, path in names.items()}
    sides = [({a: files[a]}, {b: files[b]}) for a, b in combinations(files, 2)]
    if config.against:
        all_of_them, n = [*files.items()], len(config.files)
        sides = [(dict(all_of_them[:n]), dict(all_of_them[n:]))]
    with progress("comparing", len(sides), "pairs") as advance:
        shared = []
        for a, b in sides:
            shared.append(_entry(a, b))
            advance(1)
    listed = [
        {
            "name": name,
            "sha256": file.documents.sha256,
            "queries": len(file.documents),
            "rows": len(file.documents.x),
            "features": file.documents.x.shape[1],
        }
        for name, file in files.items()
    ]
    return {"files": listed, "shared": shared}


def _entry(a: "Mapping[str, Printed]", b: "Mapping[str, Printed]") -> dict[str, Any]:
    """One comparison of two sides in plain values; pairs of numbers are of the first and second."""
    from baselines.letor.leaks import compare

    found = compare([*a.values()], [*b.values()])
    examples = [[_row(a, int(i)), _row(b, int(j))] for i, j in found.equal[:EXAMPLES]]
    return {
        "first": [*a],
        "second": [*b],
        "queries": _ids(found.queries),
        "documents": _ids(found.documents),
        "placeholder_rows": [*found.placeholders],
        "rows_compared": [*found.compared],
        "rows_saying_nothing": [*found.silent],
        "equal_rows": {
            "shared": len(found.equal),
            "same_grade": found.same_grade,
            "other_grade": found.other_grade,
            "only_of_other_documents": found.alike,
            "examples": examples,
        },
        "rows": [sum(len(file.prints) for file in side.values()) for side in (a, b)],
        "second_rows_touched": found.rows,
        "second_queries": sum(len(file.documents) for file in b.values()),
        "second_queries_touched": found.queries_touched,
    }


def _ids(ids: Sequence[str] | None) -> dict[str, Any] | None:
    return None if ids is None else {"shared": len(ids), "ids": [*ids]}


def _row(side: "Mapping[str, Printed]", row: int) -> dict[str, Any]:
    """A row that is numbered through the files of a side, as one can find it."""
    files = iter(side.items())
    name, file = next(files)
    while row >= len(file.documents.x):
        row -= len(file.documents.x)
        name, file = next(files)
    of = file.documents
    query = int(of.offsets.searchsorted(row, side="right")) - 1
    return {
        "file": name,
        "query": of.queries[query],
        "place": row - int(of.offsets[query]) + 1,
        "document": (of.documents[row] or None) if of.documents else None,
        "grade": None if of.grades is None else int(of.grades[row]),
    }


def table(report: Mapping[str, Any]) -> "Table":
    """A row for each comparison."""
    from rich.table import Table
    from rich.text import Text

    from eval.messages import printable

    shown = Table()
    shown.add_column("first")
    shown.add_column("second")
    for name in ("queries", "documents", "equal rows", "same grade", "placeholder", "touched"):
        shown.add_column(name, justify="right")
    for entry in report["shared"]:
        equal = entry["equal_rows"] if _compared(entry) else {}
        numbers = [(entry[kind] or {}).get("shared") for kind in KINDS.values()]
        numbers += [equal.get("shared"), equal.get("same_grade")]
        cells = [NONE if n is None else f"{n:,}" for n in numbers]
        cells.append("{:,}, {:,}".format(*entry["placeholder_rows"]))
        cells.append(f"{entry['second_queries_touched']:,}/{entry['second_queries']:,}")
        names = [Text(printable(", ".join(entry[side]))) for side in ("first", "second")]
        shown.add_row(*names, *cells)
    return shown


def _compared(entry: Mapping[str, Any]) -> bool:
    """Whether rows of both sides have one number of features."""
    return bool(entry["rows_compared"][0])


def notes(report: Mapping[str, Any]) -> list[str]:
    """Examples of what is shared, and what it means."""
    from eval.messages import printable

    lines = [
        "touched: queries of the second that are in the first, or have a document or row that is"
    ]
    for entry in report["shared"]:
        lines += _said(entry, {file["name"]: file for file in report["files"]})
    return list(map(printable, lines))


def _said(entry: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One comparison in words: a heading, and below it what is worth knowing."""
    from baselines.letor.leaks import PLACEHOLDER

    first, second = (", ".join(entry[side]) for side in ("first", "second"))
    digests = {files[name]["sha256"]: name for name in entry["first"]}
    lines = [
        f"{name} is {digests[files[name]['sha256']]}, byte for byte"
        for name in entry["second"]
        if files[name]["sha256"] in digests
    ]
    for what, kind in KINDS.items():
        if entry[kind] and (n := entry[kind]["shared"]):
            seen = f"a model that learned from {first} has seen {'it' if n == 1 else 'them'}"
            lines.append(f"{_in_both(n, what)}: {seen}: {_some(entry[kind]['ids'])}")
    lines += _of_rows(entry)
    if not entry["second_queries_touched"]:
        lines.insert(0, "no query, document or row is in both")
    if entry["documents"] is None:
        lines.append("documents are not compared: a side has no ids")
    if entry["queries"] is None:
        lines.append("queries without ids, numbered from 1 in both, are not compared")
    if any(entry["placeholder_rows"]):
        a, b = entry["placeholder_rows"]
        lines.append(f"the placeholder {PLACEHOLDER} is no document: it is in {a:,} and {b:,} rows")
    return [f"{first} -> {second}:", *(f"  {line}" for line in lines)]


def _of_rows(entry: Mapping[str, Any]) -> list[str]:
    """What to say of rows that are equal, or cannot be."""
    rows, lines = entry["equal_rows"], []
    if not _compared(entry):
        lines.append("rows are not comparable: they have other numbers of features")
    elif entry["rows_compared"] != entry["rows"]:
        a, b = entry["rows_compared"]
        lines.append(
            f"only {a:,} and {b:,} rows are comparable: the others' features are not as many"
        )
    if n := rows["shared"]:
        known = {"the same grade": rows["same_grade"], "other grades": rows["other_grade"]}
        known["no grade to compare"] = n - sum(known.values())
        said = ", ".join(f"{count:,} with {what}" for what, count in known.items() if count)
        lines.append(f"rows of the second equal to rows of the first: {n:,}, {said}, such as")
        lines += [f"  {_place(a)} = {_place(b)}" for a, b in rows["examples"]]
    if n := rows["only_of_other_documents"]:
        lines.append(f"rows of the second that only look like other documents: {n:,}, no leak")
    if any(entry["rows_saying_nothing"]):
        a, b = entry["rows_saying_nothing"]
        lines.append(f"{a:,} and {b:,} rows have one value, or NULL, throughout: not compared")
    return lines


def _place(row: Mapping[str, Any]) -> str:
    """Such as ``S1.txt, query 10, document 3 (GX000-24-12369390), grade 1``."""
    name = f" ({row['document']})" if row["document"] else ""
    grade = "" if row["grade"] is None else f", grade {row['grade']}"
    return f"{row['file']}, query {row['query']}, document {row['place']}{name}{grade}"


def _in_both(n: int, what: str) -> str:
    if n == 1:
        return f"1 {what} is in both"
    return f"{n:,} {what[:-1] + 'ies' if what.endswith('y') else what + 's'} are in both"


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:EXAMPLES]) + (", …" if len(ids) > EXAMPLES else "")
