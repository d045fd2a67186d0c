"""Results of the track as tables: what each number rests on, and what the conventions do to it.

Built on `eval.boards`, which puts together what may be compared; a query takes the place of a film,
so intervals and tests are over queries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eval.boards import Board, Entry, Row, boards, plain
from eval.facts import p_value, three_digits
from eval.leaderboard import SIGNS, escaped, written
from eval.published import NOTE_2, TABLE_2

SHOWN = 10
"""NDCG at this k is shown under each convention."""
PROTOCOLS = {"honest": "honest protocol", "released": "protocol of the released scripts"}
CONVENTIONS = {"skip": "left out", "one": "counted as 1", "zero": "counted as 0"}
"""For queries without a relevant document, in the order of `Rests.conventions`."""
REGIMES = {
    "R0": "R0: grades of the source",
    "R1": "R1: R0 and some of the target's pairs",
    "R2": "R2: R1 and the target's training documents",
}
SPACES = {
    "same": "taken to be the same",
    "named": "those of the same name",
    "principal": "principal components of each",
    "layers": "in columns of their own",
}
"""Where the features of two sets meet, by ``--space``."""
SCALINGS = {
    "log": "z scores of the signed logarithm",
    "standard": "z scores of the values themselves",
}
BESIDE = {
    "honest": "In all regimes the grades of the fold's vali part choose among weights.",
    "released": (
        "In all regimes the grades of the test part choose among weights, and features come from a "
        "network that saw the target's training grades."
    ),
}
LEGEND = (
    "A number is the mean NDCG over queries, and of several seeds their mean; brackets hold its "
    "95% interval, from a bootstrap over queries, each of which is tested in one fold alone (that "
    "folds share training queries and some documents is not in it). ± is the standard deviation of "
    "one seed's training. Bold is the best of a column within its table; "
    "≈ cannot be told from it (the interval of the difference, paired by query, holds 0).",
    "A query without a relevant document has no NDCG. Left out, counted as 1 (as in the released "
    "code and so in the paper) and counted as 0 are three numbers for one ranking; with a share q "
    "of such queries and x where they are left out, they are x, (1 − q) x + q and (1 − q) x.",
    "† lacks intervals: fewer than five queries.",
    "Folds: mean over folds of the mean over their queries.",
    "p: that the method is as good as the best of the table at the last k, by signs of queries "
    "(10,000 draws, two-sided), corrected for the rows of the table (Holm).",
    "Random is the expectation over all orders of the same lists, under the same conventions.",
)


@dataclass(frozen=True)
class Rests:
    """What a board's numbers rest on."""

    queries: int
    irrelevant: int
    """Without a relevant document."""
    folds: int

    @property
    def share(self) -> float:
        """Of queries without a relevant document."""
        return self.irrelevant / self.queries

    def conventions(self, mean: float, empty: str) -> tuple[float, float, float]:
        """A mean as it is with such queries left out, counted as 1, and counted as 0."""
        none = {"one": self.share, "zero": 0.0, "skip": 0.0}[empty]
        counted = 1.0 - self.share
        x = mean if empty == "skip" else (mean - none) / counted if counted else 0.0
        return x, counted * x + self.share, counted * x

    def __str__(self) -> str:
        """The line under a heading."""
        folds = f"{self.folds} folds" if self.folds > 1 else "one fold"
        return (
            f"These numbers rest on {self.queries - self.irrelevant:,} queries with a relevant "
            f"document; {self.irrelevant:,} of {self.queries:,} have none. Tested in {folds}."
        )


def markdown(entries: Sequence[Entry]) -> str:
    """Tables of all results, one heading a pair of sets and protocol."""
    lines: list[str] = []
    for board in sorted(boards(entries), key=_place):
        lines += _board(board)
    return "\n".join([*lines, *(f"- {line}" for line in (*LEGEND, NOTE_2))]) + "\n"


def _place(board: Board) -> tuple[str, str]:
    return board.setting["dataset"], board.setting["protocol"]


def _board(board: Board) -> list[str]:
    gold = board.entries[0].result.gold
    numbers = {film.split("/")[0] for film in gold.film_ids}
    rests = Rests(gold.clips, gold.clips_without_relevant_label, len(numbers))
    empty, protocol = board.setting["empty"], board.setting["protocol"]
    about = [
        f"{rests} In the columns of k they are {CONVENTIONS[empty]}.",
        *_features(board), *([BESIDE[protocol]] if protocol in BESIDE else []),
    ]  # fmt: skip
    how = escaped(PROTOCOLS.get(protocol, protocol))
    lines = [f"### {escaped(board.setting['dataset'])}, {how}", "", " ".join(about), ""]
    alone = not any("source" in options for options in _options(board))
    for regime, rows in board.tables.items():
        seen = REGIMES.get(regime[:2], regime)
        heading = "Trained on the target's own training parts" if alone else seen
        lines += [f"**{heading}**", "", *_table(board, rows, rests, empty), ""]
    return lines


def _options(board: Board) -> list[dict[str, str]]:
    """What its runs were trained with."""
    return [entry.run.training.options for entry in board.entries if entry.run.training]


def _features(board: Board) -> list[str]:
    """Where the features of two sets met, and how they were scaled, where that is not as usual."""
    spaces = {options["space"] for options in _options(board) if "space" in options}
    scalings = {options.get("scaling", "log") for options in _options(board)}
    lines = []
    if spaces:
        lines.append(f"Features of the two sets: {_either(spaces, SPACES, '')}.")
    if scalings - {"log"}:
        lines.append(f"Networks read {_either(scalings, SCALINGS, '--scaling ')}.")
    return lines


def _either(found: set[str], words: Mapping[str, str], option: str) -> str:
    """An option in words; a benchmark has one choice of it, but results may come from anywhere."""
    return " or ".join(
        f"{words[name]} (`{option}{name}`)" if name in words else escaped(plain(name))
        for name in sorted(found)
    )


def _table(board: Board, rows: Sequence[Row], rests: Rests, empty: str) -> list[str]:
    others = [i for i, convention in enumerate(CONVENTIONS) if convention != empty]
    said = list(CONVENTIONS.values())
    heads = [
        "method", *(f"NDCG@{k}" for k in board.ks), *(f"@{SHOWN}, {said[i]}" for i in others),
        f"@{SHOWN}, folds", "seeds", "p", "paper's table 2",
    ]  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", "|---|" + "--:|" * (len(heads) - 1)]
    for row in (*rows, *board.floors):
        shown = row.cells[board.ks.index(SHOWN)][0].mean if SHOWN in board.ks else None
        under = rests.conventions(shown, empty) if shown is not None else None
        published = TABLE_2.get(row.facts.published or "", ()) if row.facts else ()
        cells = [
            escaped(row.name) if row.sha256 else f"*{escaped(row.name)}*",
            *(_cell(row, i, k) for i, k in enumerate(board.ks)),
            *("–" if under is None else three_digits(under[i]) for i in others),
            _of_folds(row),
            str(row.facts.seeds or "–") if row.facts else "",
            p_value(row.p) if row.facts else "",
            " ".join(map(three_digits, published)),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _cell(row: Row, i: int, k: int) -> str:
    """A mean with its spread over seeds, and at `SHOWN` with its interval."""
    estimate, mark = row.cells[i]
    mean, interval = written(estimate)
    spread = row.facts.spread.get(f"ndcg@{k}") if row.facts else None
    parts = (
        f"**{mean}**" if mark == "best" else mean,
        "" if spread is None else f"± {three_digits(spread)}",
        interval if k == SHOWN else "", SIGNS[mark],
    )  # fmt: skip
    return " ".join(part for part in parts if part)


def _of_folds(row: Row) -> str:
    """The mean over folds of NDCG at `SHOWN`, over all seeds; empty where one lacks its sums."""
    means: list[float] = []
    for entry in row.entries:
        sums = entry.run.by_film.get(f"ndcg@{SHOWN}")
        if sums is None:
            return ""
        films, clips = entry.films
        folds = np.array([film.split("/")[0] for film in films])
        counts = np.array(clips)
        means += [
            np.sum(np.array(sums)[folds == fold]) / counts[folds == fold].sum()
            for fold in np.unique(folds)
            if counts[folds == fold].any()
        ]
    return three_digits(float(np.mean(means))) if means else ""
