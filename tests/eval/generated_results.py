"""Results made up for tests of the leaderboard."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from markdown_it import MarkdownIt

from eval.boards import Entry
from eval.result import (
    About,
    Bootstrap,
    Conventions,
    Estimate,
    GoldInfo,
    Result,
    RunResult,
    to_json,
)

VERSION_1 = Path(__file__).parent / "results" / "version-1.json"
FILMS = 20
CLIPS = 5
"""Clips a film of the generated results."""


def generated_run(name, films, *, ks=(5,), width=0.03, sums=True, sha256=None, **more):
    """A run whose clips are all worth the same within a film: `films` (n_films,) at every k.

    Its interval is made up, `width` to either side; None for none.
    """
    mean = float(np.mean(films))
    ends = (None, None) if width is None else (mean - width, mean + width)
    return RunResult(
        name,
        sha256 or name.encode().hex().ljust(64, "0")[:64],
        {f"ndcg@{k}": Estimate(mean, *ends) for k in ks},
        {},
        0.0,
        more.get("missing", 0),
        0,
        by_film={f"ndcg@{k}": tuple(float(CLIPS * x) for x in films) for k in ks} if sums else {},
    )


def generated_result(*runs, ks=(5,), regime="R1", confidence=0.95, **more):
    """A result made up here, with films of equal size."""
    gold = GoldInfo(
        "records", "feedfacecafe" + "0" * 52, "target_test", FILMS * CLIPS + 2, FILMS, 999, 2, 2,
        tuple(f"tt{i}" for i in range(FILMS)), (CLIPS,) * FILMS,
    )  # fmt: skip
    references = {
        name: {f"ndcg@{k}": value for k in ks}
        for name, value in (("random", 0.4), ("oracle", 1.0), ("worst", 0.125))
    }
    result = Result(
        Conventions("exp", "average", "skip", 1, 2), About("LRMovieNet", "1.0", "strict", regime),
        gold, tuple(ks), confidence and Bootstrap(1000, 0, confidence), references, tuple(runs),
    )  # fmt: skip
    return replace(result, **more)


def entries(*results):
    return [
        Entry(Path(f"{i}.json"), result, run)
        for i, result in enumerate(results)
        for run in result.runs
    ]


def level(mean):
    return np.full(FILMS, mean)


WAVE = np.tile([1.0, -1.0], FILMS // 2)
"""Differences of films that cancel out."""


def saved(folder, **results):
    """Results as files, by name."""
    for name, result in results.items():
        (folder / f"{name}.json").write_text(to_json(result), encoding="utf-8")
    return folder


def rows_of(text):
    """Markdown by a parser that is not ours: tables, each a list of rows of cell texts."""
    tables, row = [], []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            row = []
            tables[-1].append(row)
        elif token.type == "table_close":
            row = []
        elif token.type == "inline":
            row.append("".join(part.content for part in token.children))
    return tables


def marks(board, column=0):
    return {row.name: row.cells[column][1] for rows in board.tables.values() for row in rows}
