"""Results, as `eval/score.py` writes them, as tables: ``python eval/leaderboard.py RESULTS…``.

A table holds only what may be compared: one gold, one set of conventions, one protocol and one
regime. Which of its differences are noise is marked, by a rule that stands under it.
"""

import argparse
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path

if not __package__:
    # Run as a script, Python looks for modules in this folder; they are in the one above it.
    here = Path(__file__).resolve().parent
    sys.path[:] = [str(here.parent), *(p for p in sys.path if Path(p).resolve() != here)]

from eval import facts
from eval.boards import FLOORS, Board, Mark, Row, boards, find, load
from eval.facts import three_digits
from eval.messages import printable
from eval.result import Estimate, ResultError, write
from eval.seeds import CONFIDENCE, REPLICATES
from eval.terminal import leave

RESULTS = Path(__file__).parent / "results"
"""The results that come with this checkout."""

BEGIN, END = "<!-- leaderboard -->", "<!-- /leaderboard -->"
"""`publish` replaces what stands between these."""

SIGNS: dict[Mark, str] = {"best": "", "paired": "≈", "overlap": "~", "": ""}

APART = (
    "Made with other gold or other conventions",
    "These must not be compared with the numbers above, nor one heading with another.",
)
LEGEND = (
    f"A number is the mean NDCG over clips; its {CONFIDENCE:.0%} interval is from a bootstrap over "
    "films. Bold is the best of a column within its table.",
    f"≈ cannot be told from the best: the {CONFIDENCE:.0%} interval of the difference, paired by "
    f"film ({REPLICATES:,} resamples of films, seed 0), holds 0.",
    "~ has an interval that overlaps that of the best. This is the rule where a file lacks the "
    "sums by film that pairs need; it sees fewer differences than pairs do.",
    "† lacks intervals (fewer than five films, no bootstrap, or an earlier scorer). Without sums "
    "by film too, it is not set against the best, and where it is the best, nothing is. Nor are "
    "intervals of different confidence.",
    "Marks are made column by column, against a best that was picked by looking, and are not "
    "corrected for so many looks: in a long table a mark is missing here and there by chance.",
    "Random order, oracle and worst order are no methods; they say what the scale is worth. "
    "– was not scored.",
)


def _heading(board: Board) -> str:
    parts = ("dataset", "revision", "split", "protocol")
    text = ", ".join(f"{name} {board.setting[name]}" for name in parts)
    return text[0].upper() + text[1:]


def _about(board: Board) -> str:
    rules = ("gain", "ties", "empty", "relevant_from", "max_grade", "compat", "scorer")
    listed = ", ".join(f"{name}={board.setting[name]}" for name in rules)
    return f"Gold {board.setting['gold']} (sha256): {board.clips}. NDCG with {listed}."


def _caption(regime: str, board: Board) -> str:
    return f"{regime}; sorted by NDCG@{board.ks[-1]}"


def written(estimate: Estimate) -> tuple[str, str]:
    """A mean and its interval; a dash where there is no mean, nothing where no interval."""
    mean = "–" if estimate.mean is None else three_digits(estimate.mean)
    if estimate.low is None or estimate.high is None:
        return mean, ""
    return mean, f"[{three_digits(estimate.low)}, {three_digits(estimate.high)}]"


def markdown(made: Sequence[Board]) -> str:
    """Boards as Markdown tables, with the legend under them."""
    lines = []
    for place, board in enumerate(made):
        if place == 1:
            lines += [f"### {APART[0]}", "", APART[1], ""]
        lines += [
            f"{'####' if place else '###'} {escaped(_heading(board))}",
            "",
            escaped(_about(board)),
            "",
        ]
        if board.differs:
            lines += [f"Differs in {escaped('; '.join(board.differs))}.", ""]
        for regime, rows in board.tables.items():
            lines += [f"**{_caption(regime, board)}**", ""]
            more = facts.COLUMNS if any(row.facts for row in rows) else ()
            heads = ["method", "predictions", *(f"NDCG@{k}" for k in board.ks), *more]
            lines.append(f"| {' | '.join(heads)} |")
            lines.append("|---|---|" + "--:|" * (len(heads) - 2))
            for row in (*rows, *board.floors):
                name = escaped(row.name) if row.sha256 else f"*{escaped(row.name)}*"
                cells = [_md_cell(*cell) for cell in _spread(board, row)]
                beside = [escaped(text) for text in facts.cells(row.facts, row.p)] if more else []
                lines.append(f"| {' | '.join([name, escaped(row.sha256), *cells, *beside])} |")
            lines.append("")
    return "\n".join([*lines, *(f"- {line}" for line in _legend(made))]) + "\n"


def _legend(made: Sequence[Board]) -> list[str]:
    rows = [row for board in made for rows in board.tables.values() for row in rows]
    return [*LEGEND, *facts.legend([row.facts for row in rows if row.facts is not None])]


def _spread(board: Board, row: Row) -> list[tuple[Estimate, Mark, str]]:
    """Cells, each with the spread over seeds where there are several."""
    spread = {} if row.facts is None else row.facts.spread
    texts = [
        f"± {three_digits(spread[k])}" if k in spread else ""
        for k in map("ndcg@{}".format, board.ks)
    ]
    return [(*cell, text) for cell, text in zip(row.cells, texts, strict=True)]


def escaped(text: str) -> str:
    """Text that Markdown shows as it is: an entity is never markup, the end of a cell or a link."""
    safe = " .,;-–+()/=%'…†→"
    text = "".join(c if c.isalnum() or c in safe else f"&#{ord(c)};" for c in text)
    return text.replace("&#95;", r"\_").replace("&#58; ", ": ").replace("www.", "www&#46;")


def _md_cell(estimate: Estimate, mark: Mark, spread: str) -> str:
    mean, interval = written(estimate)
    parts = (f"**{mean}**" if mark == "best" else mean, spread, interval, SIGNS[mark])
    return " ".join(part for part in parts if part)


STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1b1f; --quiet: #5c5f66;
  --line: #d5d8de; --bar: #86a8d6; --mean: #123f78; --random: #b3541e; }
@media (prefers-color-scheme: dark) { :root { --paper: #16171a; --ink: #e8e8ea;
  --quiet: #a3a6ad; --line: #3c3e45; --bar: #47699a; --mean: #cfe2ff; --random: #f0a070; } }
body { margin: 0 auto; padding: 1rem; max-width: 70rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; } h3 { font-size: 1.05rem; }
p, li, small, code { color: var(--quiet); }
.scroll { overflow-x: auto; margin: 1rem 0 2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
caption span { position: sticky; left: 0; display: inline-block; max-width: calc(100vw - 3rem); }
th, td { padding: .35rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: top; white-space: nowrap; font-weight: 400; }
th:first-child { position: sticky; left: 0; background: var(--paper); text-align: left;
  white-space: normal; min-width: 7rem; max-width: 40vw; }
thead th { font-weight: 600; vertical-align: bottom; padding-right: 1.7rem; }
td span { display: inline-block; width: 1rem; }
td small, td svg { margin-right: 1rem; }
small, code { font-size: .78rem; font-weight: 400; display: block; }
svg { display: block; width: 7rem; height: .8rem; margin-left: auto; }
.axis { fill: var(--line); } .bar { fill: var(--bar); } .mean { fill: var(--mean); }
.random { fill: var(--random); }
.floor th, .floor td { font-style: italic; color: var(--quiet); }
@media (max-width: 40rem) { th, td { padding: .35rem .2rem; } th:first-child { max-width: 30vw; }
  thead th { padding-right: 1.2rem; } svg { width: 5.5rem; } }
"""

HEAD = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Label relevance ranking: leaderboard</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>Label relevance ranking: leaderboard</h1>
"""

BARS = (
    "A bar is the interval and its tick the mean, on the axis given in the head of the column, "
    "which is the same in every table of a heading. The thin line, where the axis reaches it, is "
    "random order."
)


def html(made: Sequence[Board]) -> str:
    """Boards as one page that needs nothing else, with every interval drawn."""
    parts = []
    for place, board in enumerate(made):
        if place == 1:
            parts.append(f"<h2>{APART[0]}</h2>\n<p>{APART[1]}</p>")
        tag = "h3" if place else "h2"
        parts.append(f"<{tag}>{escape(_heading(board))}</{tag}>\n<p>{escape(_about(board))}</p>")
        if board.differs:
            parts.append(f"<p>Differs in {escape('; '.join(board.differs))}.</p>")
        parts += [_table(board, regime, rows) for regime, rows in board.tables.items()]
    listed = "\n".join(f"<li>{escape(line)}</li>" for line in (*_legend(made), BARS))
    parts.append(f"<h2>How to read this</h2>\n<ul>\n{listed}\n</ul>\n</main>\n</body>\n</html>")
    return HEAD + "\n".join(parts) + "\n"


def _table(board: Board, regime: str, rows: Sequence[Row]) -> str:
    axes = [_axis(board, column) for column in range(len(board.ks))]
    heads = "".join(
        f'<th scope="col">NDCG@{k}<small>{three_digits(low)} to {three_digits(high)}</small></th>'
        for k, (low, high) in zip(board.ks, axes, strict=True)
    )
    caption = escape(_caption(regime, board))
    lines = [
        f'<div class="scroll" role="region" aria-label="{caption}" tabindex="0">',
        f"<table>\n<caption><span>{caption}</span></caption>",
        f'<thead><tr><th scope="col">method</th>{heads}</tr></thead>\n<tbody>',
    ]
    for row in (*rows, *board.floors):
        spreads = [spread for *_, spread in _spread(board, row)]
        cells = [_td(board, i, row, axis, spreads[i]) for i, axis in enumerate(axes)]
        code = f"<code>{escape(row.sha256)}</code>" if row.sha256 else ""
        beside = zip(facts.COLUMNS, facts.cells(row.facts, row.p), strict=True)
        code += "".join(
            f"<small>{escape(f'{name} {text}')}</small>" for name, text in beside if text
        )
        start = "<tr>" if row.sha256 else '<tr class="floor">'
        lines.append(f'{start}<th scope="row">{escape(row.name)}{code}</th>{"".join(cells)}</tr>')
    return "\n".join([*lines, "</tbody>\n</table>\n</div>"])


def _random(board: Board, column: int) -> float | None:
    floors = {row.name: row.cells[column][0].mean for row in board.floors}
    return floors.get(FLOORS["random"])


def _axis(board: Board, column: int) -> tuple[float, float]:
    """From the lowest to the highest number of a column, with some air."""
    estimates = [row.cells[column][0] for rows in board.tables.values() for row in rows]
    ends = [end for e in estimates for end in (e.low, e.mean, e.high)]
    known = [end for end in ends if end is not None] or [0.0, 1.0]
    air = max(0.05 * (max(known) - min(known)), 0.005)
    return max(min(known) - air, 0.0), min(max(known) + air, 1.0)


def _td(board: Board, column: int, row: Row, axis: tuple[float, float], spread: str) -> str:
    estimate, mark = row.cells[column]
    mean, interval = written(estimate)
    number = f"<strong>{mean}</strong>" if mark == "best" else mean
    number += f"<span>{SIGNS[mark]}</span>"
    interval = " ".join(filter(None, (spread, interval)))
    if not row.sha256 or estimate.mean is None:
        return f"<td>{number}</td>"

    def rect(kind: str, start: float, width: float, height: float) -> str:
        size = f'width="{width:g}" height="{height:g}"'
        return f'<rect class="{kind}" x="{start:.1f}" y="{(10 - height) / 2:g}" {size}/>'

    def place(value: float) -> float:
        return 100 * (value - axis[0]) / (axis[1] - axis[0])

    drawn = [rect("axis", 0, 100, 1)]
    if estimate.low is not None and estimate.high is not None:
        start = place(estimate.low)
        drawn.append(rect("bar", start, round(place(estimate.high) - start, 1), 5))
    random = _random(board, column)
    if random is not None and axis[0] <= random <= axis[1]:
        drawn.append(rect("random", place(random) - 0.5, 1, 10))
    drawn.append(rect("mean", place(estimate.mean) - 1, 2, 9))
    svg = '<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
    return f"<td>{number}<small>{interval}</small>{svg}{''.join(drawn)}</svg></td>"


def publish(
    patterns: Sequence[str],
    *,
    markdown_to: Path | None = None,
    html_to: Path | None = None,
    into: Path | None = None,
    check: bool = False,
) -> tuple[str, list[Path]]:
    """Read results and write tables; nothing is written when anything is wrong.

    Args:
        patterns: as `find` takes them.
        markdown_to: a file for the Markdown.
        html_to: a file for the page.
        into: a file in which the Markdown replaces what stands between the two markers.
        check: write nothing.

    Returns:
        The Markdown, and the files that were written, or with `check` would change.

    Raises:
        ResultError: an input is wrong, or an output cannot be written.
    """
    targets = [path for path in (markdown_to, html_to, into) if path is not None]
    if check and not targets:
        raise ResultError("--check needs a file to look at: --markdown, --html or --into.")
    paths = find(patterns)
    taken = {path.resolve() for path in paths}
    for path in targets:
        if path.resolve() in taken:
            raise ResultError(f"{path}: is given twice, or is one of the results.")
        taken.add(path.resolve())
    made = boards(load(paths))
    text = markdown(made)
    files = {}
    if markdown_to is not None:
        files[markdown_to] = text.encode()
    if html_to is not None:
        files[html_to] = html(made).encode()
    if into is not None:
        files[into] = inserted(into, text, BEGIN, END)
    if check:
        return text, [p for p, new in files.items() if not p.is_file() or p.read_bytes() != new]
    write(files)
    return text, targets


def said(text: str, files: Sequence[Path], *, check: bool) -> str:
    """What to print of what `publish` gave: the files, or where none was asked for the tables."""
    done = "would change" if check else "written"
    lines = "".join(f"{done}: {path}\n" for path in files)
    return lines or ("up to date\n" if check else text)


def inserted(path: Path, text: str, begin: str, end: str) -> bytes:
    """A file's content with `text` between two marks, each of which stands there once.

    Raises:
        ResultError: the file cannot be read, or lacks the marks.
    """
    try:
        old = path.read_bytes().decode()
    except OSError as error:
        raise ResultError(f"{path}: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise ResultError(f"{path}: not UTF-8 ({error}).") from None
    before, found, rest = old.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed) or begin in rest or end in before + after:
        raise ResultError(f"{path}: needs one line {begin} and after it one line {end}.")
    new = f"{begin}\n{text}{end}"
    return (before + (new.replace("\n", "\r\n") if "\r\n" in old else new) + after).encode()


def parser() -> argparse.ArgumentParser:
    """The options of the program."""
    options = argparse.ArgumentParser(
        prog="leaderboard",
        description="Tables of results (docs/scoring.md). Without an option, Markdown is printed.",
    )
    add = options.add_argument
    add(
        "results",
        nargs="*",
        default=[str(RESULTS)],
        help="JSON of eval/score.py: files, folders or globs (default: eval/results)",
    )
    add("--markdown", type=Path, metavar="FILE", help="write Markdown here")
    add("--html", type=Path, metavar="FILE", help="write a page with drawn intervals here")
    add("--into", type=Path, metavar="FILE", help=f"replace what stands here in {BEGIN} … {END}")
    add("--check", action="store_true", help="write nothing; exit 1 if a file would change")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program. Returns 0; 1 when a checked file would change; 2 when an input is wrong."""
    given = parser().parse_intermixed_args(argv)  # results may stand after options, too
    try:
        text, files = publish(
            given.results, markdown_to=given.markdown, html_to=given.html, into=given.into,
            check=given.check,
        )  # fmt: skip
    except ResultError as error:
        sys.stderr.write(f"leaderboard: error: {printable(str(error))}\n")
        return 2
    sys.stdout.write(said(text, files, check=given.check))
    return int(given.check and bool(files))


if __name__ == "__main__":
    leave(main)
