"""A result for people: tables in a terminal, and rows for a paper."""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from eval.messages import printable
from eval.result import Comparison, Estimate, Group, Result, RunResult
from eval.significance import FEWEST

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

GAIN = {
    "exp": "2^grade - 1 (low 0, medium 1, high 3)",
    "linear": "the grade itself (low 0, medium 1, high 2)",
}
TIES = {
    "average": "expectation over all orders of equal scores",
    "stable": "equal scores keep the order of the predictions file",
    "optimistic": "of equal scores, the more relevant label first; an upper bound",
    "pessimistic": "of equal scores, the less relevant label first; a lower bound",
}
EMPTY = {"skip": "are left out of the mean", "one": "count as 1", "zero": "count as 0"}
REFERENCES = ("(random)", "(oracle)", "(worst)")
"""What the rows of orders that need no model are called."""
FEW = 10
"""Films; with fewer, an interval is somewhat too narrow."""
NAME = 12
"""Characters; a column of names is not folded to less."""


def show(result: Result, *, full: bool = False) -> None:
    """Print tables, and under them what their numbers mean.

    Args:
        result: what to print.
        full: also precision and recall, and tables by genre and by source.
    """
    out = console()
    tables = [_scores(result), _others(result)]
    if full:
        tables += [_at_k(result, name) for name in ("precision", "recall")]
        tables += [
            _groups(result, run, title, groups)
            for title in ("genre", "source")
            for run in result.runs
            if (groups := getattr(run, f"by_{title}"))
        ]
    if result.comparisons:
        tables.append(_comparisons(result))
    for table in tables:
        out.print(fitted(table, out.width), crop=False)
    for line in notes(result):
        out.print(line, soft_wrap=True, markup=False, highlight=False)


def show_rows(result: Result, rows: Callable[[Result], str]) -> None:
    """Print what `markdown` or `tex` makes, and on standard error what to know before using it."""
    sys.stdout.write(rows(result))
    sys.stderr.writelines(f"{line}\n" for line in warnings(result))


def console() -> "Console":
    """Standard output. A pipe has no width; a table cut to a terminal's would lose numbers."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 10_000)


def fitted(table: "Table", width: int) -> "Table":
    """A table made to fit a terminal without losing a digit: its cells take two lines at their
    blanks, names fold, room between columns goes; what is too wide even so stays so.
    """
    from rich.cells import cell_len

    def longest(texts: Iterable[str]) -> int:
        return max(map(cell_len, texts), default=0)

    columns = [[str(column.header), *map(str, column.cells)] for column in table.columns]
    if sum(longest(texts) + 3 for texts in columns) + 1 <= width:
        return table
    words = [longest(word for text in texts for word in text.split()) for texts in columns[1:]]
    for column, least in zip(table.columns[1:], words, strict=True):
        column.width = least
    name = longest(columns[0])
    for padding in (2, 0):
        between = len(columns) * (padding + 1) + 1
        left = min(name, max(width - between - sum(words), NAME))
        table.padding = (0, padding // 2)
        table.width = between + sum(words) + left
        table.columns[0].width = left
        if table.width <= width:
            break
    return table


def notes(result: Result) -> list[str]:
    """What the numbers mean, a line each, in words that need no manual."""
    gold, rules = result.gold, result.conventions
    films = "" if gold.films is None else f" of {_count(gold.films, 'film')}"
    lines = [
        f"gold: {gold.name}" + (f", split {gold.split}" if gold.split else "")
        + f": {_count(gold.labels, 'label')} of {_count(gold.clips, 'clip')}{films}; "
        + f"sha256 {gold.sha256[:12]}…",
        f"measure: {result.measure}, scorer version {result.scorer_version}"
        + (f", as --compat {rules.compat}" if rules.compat else ""),
        f"gain: {GAIN[rules.gain]}; discount: 1 / log2(position + 1)",
        f"ties: {rules.ties}: {TIES[rules.ties]}",
        f"empty: {rules.empty}: the {gold.clips_without_relevant_label} clips without a relevant "
        f"label {EMPTY[rules.empty]}",
        "k: a k beyond a clip's labels takes all of them; mean: over clips, each counted once",
        "random: expected over all orders; normalised: 0 random, 1 oracle, of the means",
    ]  # fmt: skip
    if rules.relevant_from is not None:
        lines.append(f"MRR, precision, recall: relevant from grade {rules.relevant_from}")
    if (sure := result.bootstrap) and _sure(result):
        lines.append(
            f"{sure.confidence:.0%} intervals: bootstrap over {sure.resampled}, "
            f"{sure.replicates} replicates, seed {sure.seed}"
        )
    lines += [f"{run.name}: sha256 {run.sha256[:12]}…" for run in result.runs]
    return [*map(printable, lines), *warnings(result)]


def warnings(result: Result) -> list[str]:
    """What a reader should know before believing a number."""
    gold, lines = result.gold, []
    counted = gold.clips - gold.clips_skipped
    if gold.clips_skipped:
        last = f"ndcg@{result.k[-1]}"
        for run in result.runs:
            mean = run.measures[last].mean
            assert mean is not None
            other = (mean * counted + gold.clips_skipped) / gold.clips
            lines.append(
                f"{run.name}: with {_count(gold.clips_skipped, 'skipped clip')} as 1, "
                f"NDCG@{result.k[-1]} would read {other:.4f}"
            )
    if result.bootstrap and gold.films is not None and gold.films < FEW:
        lines.append(
            f"the intervals rest on {gold.films} films only and are somewhat too narrow"
            if _sure(result)
            else f"no intervals: fewer films than {FEWEST} cannot be resampled"
        )
    for run in result.runs:
        if run.missing_labels:
            lines.append(
                f"{run.name}: {run.missing_labels} of {gold.labels} gold labels had no prediction "
                "and were ranked last"
            )
        if run.labels_matched_in_normal_form_only:
            matched = _count(run.labels_matched_in_normal_form_only, "label")
            lines.append(f"{run.name}: {matched} matched only in lower case, NFC and single-spaced")
    return list(map(printable, lines))


def _sure(result: Result) -> bool:
    return any(e.low is not None for e in result.runs[0].measures.values())


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def markdown(result: Result) -> str:
    """NDCG as a Markdown table: a row a run, the references, paired differences with Holm's p."""
    ks = [f"ndcg@{k}" for k in result.k]
    heads = ["method", *(f"NDCG@{k}" for k in result.k)]
    rows = [
        [" − ".join(map(_markdown_text, names)), *cells] for names, cells in _rows(result, ks, " ")
    ]
    rule = ["---", *("--:" for _ in ks)]
    return "".join("| " + " | ".join(row) + " |\n" for row in [heads, rule, *rows])


def tex(result: Result) -> str:
    """NDCG as rows of a LaTeX tabular, as `markdown`; the columns are named in a comment."""
    ks = [f"ndcg@{k}" for k in result.k]
    lines = ["% method & " + " & ".join(f"NDCG@{k}" for k in result.k)]
    for names, cells in _rows(result, ks, r" {\scriptsize "):
        closed = [cell + "}" if "{" in cell else cell for cell in cells]
        signs = [cell.replace("-", "$-$").replace("<", "$<$") for cell in closed]
        lines.append(" & ".join([" $-$ ".join(map(_tex_text, names)), *signs]) + r" \\")
    return "\n".join(lines) + "\n"


def _rows(
    result: Result, measures: Sequence[str], gap: str
) -> Iterable[tuple[tuple[str, ...], list[str]]]:
    """Each run, the references and each paired difference: one name or two, and the cells."""
    for run in result.runs:
        estimates = [run.measures[name] for name in measures]
        yield (
            (run.name,),
            [_mean(e.mean) + (gap + interval(e) if e.low is not None else "") for e in estimates],
        )
    for name, means in result.references.items():
        yield (f"({name})",), [_mean(means[measure]) for measure in measures]
    for a, b in dict.fromkeys((c.a, c.b) for c in result.comparisons):
        of = {c.measure: c for c in result.comparisons if (c.a, c.b) == (a, b)}
        yield (a, b), [difference(of[name], gap) for name in measures]


def _scores(result: Result) -> "Table":
    """NDCG, its intervals and its normalised form, then the references."""
    ks = [f"ndcg@{k}" for k in result.k]
    table = _table("predictions", [f"NDCG@{k}" for k in result.k])
    for run in result.runs:
        estimates = [run.measures[name] for name in ks]
        _add(table, run.name, [_mean(e.mean) for e in estimates])
        if any(e.low is not None for e in estimates):
            _add(table, "  95 %", [interval(e) for e in estimates], "dim")
        values = [run.normalised[name] for name in ks]
        _add(table, "  normalised", [_mean(v) for v in values], "dim", True)
    for name, means in result.references.items():
        _add(table, f"({name})", [_mean(means[k]) for k in ks])
    return table


def _others(result: Result) -> "Table":
    titles = {"mrr": "MRR", "pair_accuracy": "pair accuracy", "tau_b": "tau-b"}
    there = [name for name in titles if name in result.runs[0].measures]
    table = _table("predictions", [*(titles[name] for name in there), "tied pairs"])
    for run in result.runs:
        estimates = [run.measures[name] for name in there]
        _add(table, run.name, [*(_mean(e.mean) for e in estimates), f"{run.tied_pairs:.1%}"])
        if any(e.low is not None for e in estimates):
            _add(table, "  95 %", [*(interval(e) for e in estimates), ""], "dim")
    if there:
        random = result.references["random"]
        _add(table, "(random)", [*(_mean(random[name]) for name in there), ""])
    return table


def _at_k(result: Result, name: str) -> "Table":
    columns = [f"{name}@{k}" for k in result.k]
    table = _table(name, [f"@{k}" for k in result.k])
    for run in result.runs:
        if columns[0] in run.measures:
            _add(table, run.name, [_mean(run.measures[column].mean) for column in columns])
            _add(table, "  95 %", [interval(run.measures[c]) for c in columns], "dim")
    for reference, means in result.references.items():
        if columns[0] in means:
            _add(table, f"({reference})", [_mean(means[column]) for column in columns])
    return table


def _groups(result: Result, run: RunResult, title: str, groups: dict[str, Group]) -> "Table":
    ks = [f"ndcg@{k}" for k in result.k]
    table = _table(f"{run.name} by {title}", [*(f"NDCG@{k}" for k in result.k), "clips", "films"])
    for name, group in groups.items():
        estimates = [group.measures[k] for k in ks]
        counts = [str(group.clips), str(group.films)]
        _add(table, name, [*(_mean(e.mean) for e in estimates), *counts])
        if any(e.low is not None for e in estimates):
            _add(table, "  95 %", [*(interval(e) for e in estimates), "", ""], "dim")
    return table


def _comparisons(result: Result) -> "Table":
    heads = ["measure", "difference", "95 %", "p", "p (Holm)"]
    table = _table("paired difference", heads)
    for c in result.comparisons:
        difference = "–" if c.difference.mean is None else f"{c.difference.mean:+.4f}"
        cells = [c.measure.upper(), difference, interval(c.difference, "+")]
        _add(table, f"{c.a} − {c.b}", [*cells, p_value(c.p), p_value(c.p_holm)])
    return table


def _table(first: str, others: Sequence[str]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table()
    table.add_column(Text(printable(first)), overflow="fold")
    for heading in others:
        table.add_column(heading, justify="right")
    return table


def _add(
    table: "Table", name: str, cells: Sequence[str], style: str = "", end: bool = False
) -> None:
    from rich.text import Text

    table.add_row(Text(printable(name)), *map(Text, cells), style=style, end_section=end)


def _mean(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def interval(estimate: Estimate, sign: str = "") -> str:
    """``[.534, .611]``, or nothing where there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    low, high = (f"{x:{sign}.3f}".replace("0.", ".", 1) for x in (estimate.low, estimate.high))
    return f"[{low}, {high}]"


def difference(comparison: Comparison, gap: str = " ") -> str:
    """``+.0381 [+.027, +.050] p .012``: a paired difference, its interval and Holm's p."""
    found = comparison.difference
    if found.mean is None:
        return "–"
    sure = [interval(found, "+")] if found.low is not None else []
    return f"{found.mean:+.4f}{gap}" + " ".join([*sure, f"p {p_value(comparison.p_holm)}"])


def p_value(p: float) -> str:
    """Three decimals, and never a p of 0."""
    return "< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def _markdown_text(text: str) -> str:
    """Text that a Markdown table takes literally."""
    flat = printable(" ".join(text.split()))
    return "".join("\\" + c if c in "\\`*_{}[]<>|#!~$&" else c for c in flat)


def _tex_text(text: str) -> str:
    """Text that LaTeX takes literally."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    flat = printable(" ".join(text.split()))
    return "".join(special.get(c, "\\" + c if c in "&%$#_{}" else c) for c in flat)
