"""Results as tables: what is put together, what is kept apart, and which differences are noise."""

import itertools
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from eval import leaderboard
from eval.boards import Entry, boards, find, load
from eval.leaderboard import BEGIN, END, html, main, markdown
from eval.result import (
    About,
    Bootstrap,
    Conventions,
    Estimate,
    GoldInfo,
    Result,
    ResultError,
    RunResult,
    to_json,
)
from lrmovienet import cli

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


class Page(HTMLParser):
    """HTML by a parser that is not ours: its tags, balanced, and the text of each."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append([tag, dict(attributes), ""])
        if tag != "meta":
            self.open.append(self.found[-1])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_startendtag(self, tag, attributes):
        self.found.append([tag, dict(attributes), ""])

    def handle_data(self, data):
        for element in self.open:
            element[2] += data

    def all(self, *tags):
        return [element for element in self.found if element[0] in tags]


def marks(board, column=0):
    return {row.name: row.cells[column][1] for rows in board.tables.values() for row in rows}


# What is noise.


def test_pairs_by_film_decide_where_both_have_sums():
    """Intervals of .03 to either side overlap in all three; only pairs tell them apart."""
    films = 0.6 + 0.1 * WAVE
    (board,) = boards(
        entries(
            generated_result(
                generated_run("best", films),
                # .01 lower in every film: every resample says so.
                generated_run("always lower", films - 0.01),
                # .01 lower on average, but .1 to either side of that by film.
                generated_run("lower by chance", 0.59 - 0.1 * WAVE),
            )
        )
    )
    assert marks(board) == {"best": "best", "always lower": "", "lower by chance": "paired"}


def test_films_are_resampled_and_not_clips():
    """20 films differ by .1 · ±1 + .02. Films: standard error .1 / √20 = .022, so 0 is within.

    100 clips taken as independent would have .01, and the same difference would be two of them.
    """
    films = 0.6 + 0.02 + 0.1 * WAVE
    results = generated_result(generated_run("a", films), generated_run("b", level(0.6)))
    (board,) = boards(entries(results))
    assert marks(board) == {"a": "best", "b": "paired"}


def test_films_weigh_by_their_clips():
    """One film with most clips decides; by the mean over films the other run would be best."""
    counts = (200, *[1] * (FILMS - 1))
    gold = replace(generated_result().gold, film_clips=counts, clips=221)

    def run(name, films):
        mean = float(np.average(films, weights=counts))
        sums = {"ndcg@5": tuple(float(c * x) for c, x in zip(counts, films, strict=True))}
        return replace(
            generated_run(name, films, sums=False),
            measures={"ndcg@5": Estimate(mean, mean - 0.001, mean + 0.001)},
            by_film=sums,
        )

    big = run("big", [0.8, *[0.5] * (FILMS - 1)])
    small = run("small", [0.5, *[0.6] * (FILMS - 1)])
    path = entries(generated_result(big, small, gold=gold))
    (board,) = boards(path)
    # In a third of the resamples the large film is not drawn, and `small` is ahead.
    assert marks(board) == {"big": "best", "small": "paired"}


def test_the_mark_is_that_of_the_scorers_own_comparison():
    """The same bootstrap of the same differences, clip by clip, as `--compare` makes it."""
    from eval.significance import bootstrap

    rng = np.random.default_rng(0)
    film_of = np.repeat(np.arange(FILMS), CLIPS)
    ahead, told = rng.uniform(0.4, 0.6, FILMS * CLIPS), set()
    for shift in np.linspace(0.0, 0.06, 25):
        behind = np.clip(ahead - shift + rng.normal(0, 0.1, ahead.shape), 0, 1)
        runs = []
        for name, clips in (("a", ahead), ("b", behind)):
            sums = np.bincount(film_of, clips)
            run = generated_run(name, sums / CLIPS)
            runs.append(replace(run, by_film={"ndcg@5": tuple(sums.tolist())}))
        low, high = bootstrap((ahead - behind)[:, None], film_of, replicates=10_000, seed=0)
        (board,) = boards(entries(generated_result(*runs)))
        if ahead.mean() > behind.mean():
            assert marks(board) == {"a": "best", "b": "paired" if low[0] <= 0 <= high[0] else ""}
            told.add(marks(board)["b"])
    assert told == {"", "paired"}


@pytest.mark.parametrize(("mean", "mark"), [(0.57, "overlap"), (0.55, "overlap"), (0.53, "")])
def test_overlapping_intervals_decide_where_sums_are_lacking(mean, mark):
    for lacking in ("best", "other"):
        best = generated_run("best", level(0.6), sums=lacking != "best")
        other = generated_run("other", level(mean), sums=lacking != "other")
        (board,) = boards(entries(generated_result(best), generated_result(other)))
        assert marks(board) == {"best": "best", "other": mark}


def test_films_that_are_not_the_same_are_not_paired():
    """The film of a clip may come from another column; then only intervals can be compared."""
    a = generated_result(generated_run("a", level(0.6)))
    b = generated_result(generated_run("b", level(0.59)))
    other = replace(b, gold=replace(b.gold, film_ids=tuple(f"xx{i}" for i in range(FILMS))))
    assert marks(boards(entries(a, b))[0]) == {"a": "best", "b": ""}
    assert marks(boards(entries(a, other))[0]) == {"a": "best", "b": "overlap"}


def test_without_intervals_nothing_is_marked_and_a_dagger_says_so():
    sure = generated_result(generated_run("sure", level(0.59), sums=False))
    unsure = generated_run("unsure", level(0.6), sums=False, width=None)
    (board,) = boards(entries(sure, generated_result(unsure, confidence=None)))
    assert marks(board) == {"unsure †": "best", "sure": ""}
    assert "- † lacks intervals" in markdown([board])


def test_intervals_of_another_confidence_are_said_and_not_compared():
    a = generated_result(generated_run("a", level(0.6), sums=False))
    b = generated_result(generated_run("b", level(0.59), sums=False), confidence=0.9)
    (board,) = boards(entries(a, b))
    assert marks(board) == {"a": "best", "b (90% intervals)": ""}


def test_equal_best_runs_are_all_best():
    same = [generated_run(name, level(0.6)) for name in "ab"]
    assert marks(boards(entries(generated_result(*same)))[0]) == {"a": "best", "b": "best"}


def test_each_column_has_its_own_best():
    a = generated_run("a", level(0.6), ks=(1, 5))
    b = generated_run("b", level(0.5), ks=(1, 5))
    b.measures["ndcg@1"] = Estimate(0.7, 0.69, 0.71)
    b.by_film["ndcg@1"] = tuple([CLIPS * 0.7] * FILMS)
    (board,) = boards(entries(generated_result(a, b, ks=(1, 5))))
    assert marks(board, 0) == {"a": "", "b": "best"}
    assert marks(board, 1) == {"a": "best", "b": ""}


def test_one_film_gives_no_mark():
    gold = replace(generated_result().gold, films=1, film_ids=("tt0",), film_clips=(CLIPS,))
    runs = [
        replace(generated_run(name, [x], width=None), by_film={"ndcg@5": (CLIPS * x,)})
        for name, x in (("a", 0.6), ("b", 0.599))
    ]
    (board,) = boards(entries(generated_result(*runs, gold=gold)))
    assert marks(board) == {"a †": "best", "b †": ""}


# What is put together.


def test_regimes_are_tables_of_their_own_in_order():
    results = [
        generated_result(generated_run(f"of {regime}", level(mean)), regime=regime)
        for regime, mean in (("R2", 0.9), (None, 0.8), ("R0", 0.5), ("R1", 0.7))
    ]
    (board,) = boards(entries(*results))
    assert [title[:7] for title in board.tables] == ["R0: sou", "R1: R0 ", "R2: R1 ", "Regime "]
    assert [[row.name for row in rows] for rows in board.tables.values()] == [
        ["of R0"], ["of R1"], ["of R2"], ["of None"],
    ]  # fmt: skip
    assert set(marks(board).values()) == {"best"}
    # The floors stand under each.
    tables = rows_of(markdown([board]))
    assert [[row[0] for row in table[-3:]] for table in tables] == [
        ["oracle", "random order, expected", "worst order"]
    ] * 4


def test_rows_are_sorted_by_the_last_k_then_by_name():
    def run(name, at_1, at_5):
        given = ((1, at_1), (5, at_5))
        measures = {f"ndcg@{k}": Estimate(x) for k, x in given if x is not None}
        return replace(generated_run(name, level(0.5), sums=False), measures=measures)

    runs = [run("b", 0.1, 0.6), run("c", 0.9, None), run("a", 0.2, 0.6), run("d", 0.8, 0.7)]
    runs[2] = replace(runs[2], sha256="f" * 64)  # the name counts before the predictions
    (board,) = boards(entries(generated_result(*runs, ks=(5, 1), confidence=None)))
    (rows,) = board.tables.values()
    assert board.ks == (1, 5)
    assert [row.name for row in rows] == ["d †", "a †", "b †", "c †"]
    (table,) = rows_of(markdown([board]))
    assert table[0] == ["method", "predictions", "NDCG@1", "NDCG@5"]
    assert table[4] == ["c †", "63000000"[:8], ".900", "–"]
    assert "sorted by NDCG@5" in markdown([board])


def test_columns_are_those_of_all_files():
    a = generated_result(generated_run("a", level(0.6), ks=(1, 5)), ks=(1, 5))
    b = generated_result(generated_run("b", level(0.5), ks=(3,)), ks=(3,))
    (table,) = rows_of(markdown(boards(entries(a, b))))
    assert table[0][2:] == ["NDCG@1", "NDCG@3", "NDCG@5"]
    assert table[1] == ["a", "61000000", ".600 [.570, .630]", "–", ".600 [.570, .630]"]
    assert table[2] == ["b", "62000000", "–", ".500 [.470, .530]", "–"]
    assert table[4] == ["random order, expected", "", ".400", ".400", ".400"]


CHANGES = {
    "dataset": {"about": About("Other", "1.0", "strict", "R1")},
    "revision": {"about": About("LRMovieNet", "2.0", "strict", "R1")},
    "protocol": {"about": About("LRMovieNet", "1.0", "paper", "R1")},
    "split": {"gold": replace(generated_result().gold, split="target_dev")},
    "gold": {"gold": replace(generated_result().gold, sha256="0123456789abcdef" * 4)},
    "gain": {"conventions": Conventions("linear", "average", "skip", 1, 2)},
    "ties": {"conventions": Conventions("exp", "stable", "skip", 1, 2)},
    "empty": {"conventions": Conventions("exp", "average", "one", 1, 2)},
    "relevant_from": {"conventions": Conventions("exp", "average", "skip", 2, 2)},
    "max_grade": {"conventions": Conventions("exp", "average", "skip", 1, 3)},
    "compat": {"conventions": Conventions("exp", "average", "skip", 1, 2, "paper")},
    "scorer": {"scorer_version": "1"},
}
SHOWN = {
    "dataset": "Other instead of LRMovieNet",
    "gold": "0123456789ab instead of feedfacecafe",
    "ties": "stable instead of average",
    "relevant_from": "2 instead of 1",
    "scorer": "1 instead of 2",
    "compat": "paper instead of none",
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_made_otherwise_stands_apart(name):
    usual = generated_result(generated_run("a", level(0.6)), generated_run("b", level(0.5)))
    changed = generated_result(generated_run("other", level(0.9)), **CHANGES[name])
    made = boards(entries(changed, usual))
    assert [list(marks(board)) for board in made] == [["a", "b"], ["other"]]
    assert made[0].differs == ()
    (difference,) = made[1].differs
    assert difference.startswith(f"{name}: ")
    assert difference.removeprefix(f"{name}: ") == SHOWN.get(name, difference.split(": ")[1])
    text = markdown(made)
    apart = text.index("### Made with other gold or other conventions")
    assert text.index("| a |") < apart < text.index("| other |")
    assert "must not be compared" in text[apart:]
    page = html(made)
    assert page.index(">a<") < page.index("must not be compared") < page.index(">other<")


def test_the_largest_board_comes_first_and_the_order_of_files_does_not_matter():
    results = [
        generated_result(*[generated_run(f"{name}{i}", level(0.5 + i / 100)) for i in range(n)],
                         **change)
        for name, n, change in (("x", 1, {}), ("y", 3, CHANGES["ties"]), ("z", 1, CHANGES["gain"]))
    ]  # fmt: skip
    listed = entries(*results)
    texts = {markdown(boards(order)) for order in itertools.permutations(listed, len(listed))}
    assert len(texts) == 1
    assert [len(next(iter(b.tables.values()))) for b in boards(listed)] == [3, 1, 1]


def test_version_1_stands_apart_from_a_new_result(tmp_path):
    saved(tmp_path, new=generated_result(generated_run("a", level(0.6)),
                                         generated_run("b", level(0.5))))  # fmt: skip
    made = boards(load([VERSION_1, tmp_path / "new.json"]))
    assert [list(marks(board)) for board in made] == [["a", "b"], ["mine †"]]
    assert "scorer: 1 instead of 2" in made[1].differs
    tables = rows_of(markdown(made))
    assert tables[1][1] == ["mine †", "2999d2cd", ".250", ".737"]
    assert tables[1][3] == ["random order, expected", "", ".472", ".799"]


def test_a_run_that_is_in_two_files_is_shown_once():
    """And what only one of them has is kept; digits that depend on the machine do not matter."""
    a = generated_result(generated_run("a", level(0.6), ks=(1, 5), sums=False), ks=(1, 5))
    b = generated_result(generated_run("a", level(0.6 + 1e-12), ks=(5, 9)), ks=(5, 9))
    for order in ((a, b), (b, a)):
        (board,) = boards(entries(*order))
        ((row,),) = board.tables.values()
        assert [estimate.mean is None for estimate, _ in row.cells] == [False] * 3
    # The sums by film are kept as well, so that both k can be paired.
    ahead = generated_result(generated_run("b", level(0.61), ks=(5, 9), width=0.001), ks=(5, 9))
    by_5 = generated_result(generated_run("a", 0.6 + 0.1 * WAVE, ks=(5,), width=0.001), ks=(5,))
    by_9 = generated_result(generated_run("a", 0.6 + 0.1 * WAVE, ks=(9,), width=0.001), ks=(9,))
    (board,) = boards(entries(ahead, by_5, by_9))
    assert [marks(board, column)["a"] for column in (0, 1)] == ["paired", "paired"]
    once = generated_run("a", level(0.6))
    assert len(rows_of(markdown(boards(entries(generated_result(once, once)))))[0]) == 1 + 1 + 3


def test_other_predictions_of_the_same_name_are_another_run():
    runs = [generated_run("a", level(x), sha256=x_) for x, x_ in ((0.6, "1" * 64), (0.5, "2" * 64))]
    (table,) = rows_of(markdown(boards(entries(generated_result(*runs)))))
    assert [row[1] for row in table[1:3]] == ["11111111", "22222222"]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            generated_result(generated_run("a", level(0.601))),
            r"has ndcg@5 0\.[56]\d* and 0\.60[01]\d*",
        ),
        (generated_result(generated_run("a", level(0.6)), regime="R2"), "has R1 and R2"),
        (generated_result(generated_run("a", level(0.6)), regime=None), "has R1 and no regime"),
        (
            generated_result(
                generated_run("b", level(0.6)), references={"random": {"ndcg@5": 0.5}}
            ),
            "ndcg@5 of the 'random' order is 0.4 and 0.5",
        ),
    ],
)
def test_files_that_contradict_each_other_are_both_named(other, message):
    with pytest.raises(ResultError, match=f"^0.json and 1.json: .*{message}.* Remove the file"):
        boards(entries(generated_result(generated_run("a", level(0.6))), other))


def test_missing_labels_are_said():
    run = generated_run("a", level(0.6), missing=1234)
    assert list(marks(boards(entries(generated_result(run)))[0])) == ["a (1,234 labels missing)"]


# Numbers and names as they are written.


@pytest.mark.parametrize(
    ("mean", "written"),
    [(0.7424, ".742"), (0.7426, ".743"), (0.0, ".000"), (1.0, "1.000"), (0.99951, "1.000")],
)
def test_three_decimals(mean, written):
    runs = [generated_run("a", level(mean), width=0), generated_run("b", level(0.0), width=None)]
    cells = {r[0]: r[2] for r in rows_of(markdown(boards(entries(generated_result(*runs)))))[0]}
    assert cells["a"] == f"{written} [{written}, {written}]"


def test_signs_in_both_forms():
    runs = [
        generated_run("best", 0.6 + 0.1 * WAVE),
        generated_run("close", 0.599 - 0.1 * WAVE),
        generated_run("alone", level(0.59), sums=False),
        generated_run("far", level(0.2)),
    ]
    made = boards(entries(generated_result(*runs)))
    text = markdown(made)
    assert "| best | 62657374 | **.600** [.570, .630] |" in text
    assert "| close | 636c6f73 | .599 [.569, .629] ≈ |" in text
    assert "| alone | 616c6f6e | .590 [.560, .620] ~ |" in text
    assert "| far | 66617200 | .200 [.170, .230] |" in text
    cells = [element[2] for element in Page(html(made)).all("td")]
    assert cells[:4] == [".600[.570, .630]", ".599≈[.569, .629]", ".590~[.560, .620]",
                         ".200[.170, .230]"]  # fmt: skip
    assert [element[2] for element in Page(html(made)).all("strong")] == [".600"]
    for sentence in leaderboard.LEGEND:
        assert f"\n- {sentence}\n" in text
        assert sentence in Page(html(made)).all("main")[0][2]
    for needed in ("≈", "~", "†", "–", "95%", "paired by film", "not corrected", "overlaps"):
        assert any(needed in sentence for sentence in leaderboard.LEGEND)


NASTY = [
    "a|b", "`code`", "**bold**", "_x_", "[a](http://evil)", "<script>alert(1)</script>", "a\nb",
    "a\r\n\r\n# b", "\u2028|", END, "--- | ---", "&lt;", "&#124;", "\\|", "\\", "http://evil.org",
    "www.evil.org", "![x](y)", "$x$", "\t", "", " ", "\u202etxt", "\x00", "~~x~~", "’”", "日本語",
    "'\"><img src=x onerror=alert(1)>", "</td></tr></table>", "<!--", "]]>", "{{x}}", "a" * 5000,
]  # fmt: skip


def seen(name):
    """What should be read, whatever the markup: one line of visible characters, not endless."""
    line = re.sub(r"\s+", " ", name).strip()
    line = re.sub("[\x00-\x1f\u202e\x7f-\x9f]", "\ufffd", line)
    return (line[:99] + "…" if len(line) > 100 else line) or "(no name)"


@pytest.mark.parametrize("name", NASTY)
def test_hostile_names_are_only_names(name):
    about = About(name, name, name, "R1")
    run = generated_run(name, level(0.6), sha256=name or "0")
    gold = replace(generated_result().gold, split=name, sha256=name, name=name)
    nasty = generated_result(run, about=about, gold=gold, scorer_version=name)
    usual = generated_result(generated_run("a", level(0.6)), generated_run("b", level(0.5)))
    made = boards(entries(nasty, usual))
    text = markdown(made)
    tables = rows_of(text)
    assert [len(table) for table in tables] == [1 + 2 + 3, 1 + 1 + 3]
    assert {len(row) for table in tables for row in table} == {3}
    assert tables[1][1][0] == seen(name)
    assert tables[1][1][2] == ".600 [.570, .630]"
    assert text.count(BEGIN) == text.count(END) == 0
    assert "http://evil" not in text
    assert "www.evil" not in text
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    assert not {"html_block", "fence", "code_block", "hr"} & {token.type for token in tokens}
    parts = {part.type for token in tokens for part in token.children or ()}
    assert parts <= {"text", "text_special", "strong_open", "strong_close", "em_open", "em_close"}

    page = Page(html(made))
    names = [e[2] for e in page.all("th") if e[1]["scope"] == "row"]
    assert names[5] == seen(name) + seen(name[:8] or "0")
    expected = {
        "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "p", "div",
        "table", "caption", "thead", "tbody", "tr", "th", "td", "small", "code", "strong", "span",
        "svg", "rect", "ul", "li",
    }  # fmt: skip
    assert {element[0] for element in page.found} == expected


@settings(max_examples=50)
@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=30))
def test_every_name_is_read_as_it_is(name):
    made = boards(entries(generated_result(generated_run(name, level(0.6)))))
    assert rows_of(markdown(made))[0][1][0] == name
    assert Page(html(made)).all("th")[2][2].startswith(name)


# The page.


def test_the_page_is_accessible_and_needs_nothing_else():
    runs = [generated_run(name, level(0.6), ks=(1, 5)) for name in "ab"]
    text = html(boards(entries(generated_result(*runs, ks=(1, 5)))))
    page = Page(text)
    (document,) = page.all("html")
    assert text.startswith("<!doctype html>")
    assert document[1] == {"lang": "en"}
    assert [e[2] for e in page.all("caption")] == [
        "R1: R0 and the target's preference pairs; sorted by NDCG@5"
    ]
    assert [e[1]["scope"] for e in page.all("th")] == ["col"] * 3 + ["row"] * 5
    assert all(e[1]["aria-hidden"] == "true" for e in page.all("svg"))
    (region,) = page.all("div")
    assert (region[1]["role"], region[1]["tabindex"]) == ("region", "0")
    assert "prefers-color-scheme: dark" in text
    assert "width=device-width" in text
    for outside in ("http:", "https:", "<script", "src=", "url(", "@import", "<link"):
        assert outside not in text
    # A style cannot be broken out of, and every class in the page has one.
    style = page.all("style")[0][2]
    classes = {e[1]["class"] for e in page.found if "class" in e[1]}
    assert classes == {"scroll", "floor", "axis", "bar", "mean"}
    assert all(f".{name} " in style for name in classes)


def test_bars_are_where_their_numbers_are():
    """.5 ± .1 and .7 ± .1: from .4 to .8 with 5 % of air, the axis is .38 to .82."""
    runs = [generated_run(name, level(x), width=0.1) for name, x in (("a", 0.5), ("b", 0.7))]
    page = Page(html(boards(entries(generated_result(*runs)))))
    assert page.all("th")[1][2] == "NDCG@5.380 to .820"

    def drawn(kind):
        found = [e[1] for e in page.all("rect") if e[1]["class"] == kind]
        return [(float(a["x"]), float(a["width"])) for a in found]

    # Sorted from best to worst: b, then a. 0.2 of 0.44 is 45.45 %.
    assert drawn("bar") == [(50.0, pytest.approx(45.5)), (4.5, pytest.approx(45.5))]
    # A mean is the middle of its tick, which is 2 wide; .7 is at 72.7 and .5 at 27.3.
    assert [x + width / 2 for x, width in drawn("mean")] == pytest.approx([72.7, 27.3])
    # Random order, .4, is at 4.5.
    assert [x + width / 2 for x, width in drawn("random")] == [pytest.approx(4.5)] * 2


def test_tables_of_a_board_have_the_same_axes():
    low = generated_result(generated_run("a", level(0.5), width=0.1), regime="R0")
    high = generated_result(generated_run("b", level(0.7), width=0.1), regime="R1")
    heads = [e[2] for e in Page(html(boards(entries(low, high)))).all("th") if "NDCG" in e[2]]
    assert heads == ["NDCG@5.380 to .820"] * 2


# Files.


def failed(capsys, *arguments):
    """The message of a call that must fail and write nothing."""
    before = {p: p.read_bytes() for p in sorted(Path.cwd().rglob("*")) if p.is_file()}
    assert main([*arguments]) == 2
    assert {p: p.read_bytes() for p in sorted(Path.cwd().rglob("*")) if p.is_file()} == before
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("leaderboard: error: ")
    return captured.err


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder, the current one, with results/a.json and results/b.json."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    saved(
        tmp_path / "results",
        a=generated_result(generated_run("a", level(0.6))),
        b=generated_result(generated_run("b", level(0.5)), regime="R0"),
    )
    return tmp_path


def test_files_folders_and_globs(folder):
    saved(folder / "results", c=generated_result(generated_run("c", level(0.5))))
    (folder / "results" / "notes.txt").write_text("not a result")
    (folder / "x[1].json").write_text("a name that looks like a glob")

    def names(*patterns):
        return [path.name for path in find(patterns)]

    assert names("results") == names("results/*.json") == ["a.json", "b.json", "c.json"]
    assert names("**/b.json", f"{folder}/results/[ab].json", "results/../results/a.json") == [
        "a.json", "b.json",
    ]  # fmt: skip
    assert names("x[1].json") == ["x[1].json"]
    (folder / "empty").mkdir()
    for nothing in ("empty", "results/*.parquet", "[q].json"):
        with pytest.raises(ResultError, match=re.escape(f"{nothing}: no results here")):
            find([nothing])


def test_what_cannot_be_read_is_all_named(folder, capsys):
    for i in range(12):
        (folder / "results" / f"wrong{i:02}.json").write_text("{}")
    message = failed(capsys, "results", "--html", "x.html", "--markdown", "x.md")
    assert message.startswith("leaderboard: error: 12 of 14 files cannot be used:\n")
    lines = message.splitlines()
    assert lines[1] == (
        "  results/wrong00.json: no result of eval/score.py: it has no schema_version."
    )
    assert [line.split(":")[0][-7:-5] for line in lines[1:-1]] == [f"{i:02}" for i in range(10)]
    assert lines[-1] == "  … and 2 more"


def changed(**change):
    return generated_result(replace(generated_run("a", level(0.6)), **change))


def in_gold(**change):
    return generated_result(
        generated_run("a", level(0.6)), gold=replace(generated_result().gold, **change)
    )


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (generated_result(), "no run"),
        (replace(changed(), k=()), "no k"),
        (replace(changed(), k=(0,)), "a k that cannot be"),
        (replace(changed(), k=(10**400,)), "a k that cannot be"),
        (in_gold(film_clips=(1,)), "film_clips"),
        (in_gold(film_clips=(-1, *[CLIPS] * (FILMS - 1))), "film_clips"),
        (in_gold(film_clips=(10**9,) * FILMS), "film_clips"),
        (in_gold(film_clips=(10**400,) * FILMS), "film_clips"),
        (in_gold(film_clips=(0,) * FILMS), "ndcg@5 of 'a' has not one sum for each film"),
        (in_gold(film_clips=(CLIPS + 1,) * FILMS), "ndcg@5 of 'a' is not the mean of its films"),
        (changed(by_film={"ndcg@5": (3.0,)}), "has not one sum for each film"),
        (changed(by_film={"ndcg@5": (3.001,) * FILMS}), "is not the mean of its films"),
        (changed(measures={"ndcg@5": Estimate(1.01)}), "is outside 0 to 1"),
        (changed(measures={"ndcg@5": Estimate(-0.01)}), "is outside 0 to 1"),
        (changed(measures={"ndcg@5": Estimate(0.6, 0.5, 1.5)}), "is outside 0 to 1"),
    ],
)
def test_results_that_contradict_themselves_are_refused(folder, capsys, result, message):
    saved(folder, odd=result)
    assert message in failed(capsys, "results", "odd.json")


def test_wrong_calls_are_refused(folder, capsys):
    (folder / "README.md").write_text("no place for it")
    (folder / "latin.md").write_bytes(b"\xe9")
    assert "absent.json: No such file" in failed(capsys, "absent.json")
    assert "x.md: is given twice" in failed(capsys, "results", "--html", "x.md", "--into", "./x.md")
    assert "one of the results" in failed(capsys, "results", "--html", "results/a.json")
    assert "--check needs a file" in failed(capsys, "results", "--check")
    assert "results: is a folder" in failed(
        capsys, "results", "--html", "results", "--markdown", "x.md"
    )
    assert "latin.md: not UTF-8" in failed(capsys, "results", "--into", "latin.md")
    assert "absent.md: No such file" in failed(capsys, "results", "--into", "absent.md")


@pytest.mark.parametrize(
    "text",
    ["", BEGIN, END, f"{END}\n{BEGIN}", f"{BEGIN}\n{BEGIN}\n{END}", f"{BEGIN}\n{END}\n{END}",
     f"{END}{BEGIN}{END}", f"{BEGIN}{END}{BEGIN}"],
)  # fmt: skip
def test_markers_must_stand_there_once(folder, capsys, text):
    (folder / "README.md").write_text(text)
    message = failed(capsys, "results", "--into", "README.md", "--html", "x.html")
    assert f"README.md: needs one line {BEGIN} and after it one line {END}" in message


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_what_stands_between_the_markers_is_replaced(folder, capsys, ending):
    before, after = f"# Title{ending}", f"{ending}{ending}end, no line feed"
    readme = folder / "README.md"
    readme.write_bytes(f"{before}{BEGIN}old{END}{after}".encode())
    assert main(["results", "--into", "README.md"]) == 0
    assert capsys.readouterr().out == "written: README.md\n"
    assert main(["results"]) == 0
    table = capsys.readouterr().out
    assert "| a | 61000000 | **.600** [.570, .630] |" in table
    body = f"\n{table}".replace("\n", ending)
    assert readme.read_bytes().decode() == f"{before}{BEGIN}{body}{END}{after}"
    new = readme.read_bytes()
    assert main(["results", "--into", "README.md"]) == 0
    assert readme.read_bytes() == new


def test_check_writes_nothing_and_says_what_would_change(folder, capsys):
    targets = ["--markdown", "x.md", "--html", "site/x.html", "--into", "README.md"]
    (folder / "README.md").write_text(f"{BEGIN}{END}")
    assert main(["results", *targets, "--check"]) == 1
    assert not (folder / "x.md").exists()
    assert not (folder / "site").exists()
    assert capsys.readouterr().out == (
        "would change: x.md\nwould change: site/x.html\nwould change: README.md\n"
    )
    assert main(["results", *targets]) == 0
    assert main(["results", *targets, "--check"]) == 0
    (folder / "x.md").write_text("by hand")
    assert main(["results", *targets, "--check"]) == 1
    assert (folder / "x.md").read_text() == "by hand"


def test_it_runs_alone_from_anywhere(folder):
    script = Path(leaderboard.__file__)
    command = [sys.executable, str(script), "results", "--html", "page.html"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "written: page.html\n", "")
    assert "</html>" in (folder / "page.html").read_text(encoding="utf-8")
    done = subprocess.run([*command, "absent"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 2
    assert "Traceback" not in done.stderr


def verb(*arguments):
    return cli.main(["leaderboard", *arguments])


def test_the_verb_does_the_same(folder, capsys):
    assert main(["results"]) == 0
    text = capsys.readouterr().out
    for words in (
        ("--results", "results/a.json", "--results", "results/b.json"),
        ("results/a.json", "results/b.json"),
        ("results/*.json",),
    ):
        assert verb(*words) == 0
        assert capsys.readouterr().out.strip() == text.strip()
    assert verb("--results", "results", "--html", "x.html") == 0
    assert capsys.readouterr().out == "written: x.html\n"
    assert verb("--results", "results", "--html", "x.html", "--check") == 0
    assert capsys.readouterr().out == "up to date\n"
    (folder / "x.html").write_text("")
    with pytest.raises(SystemExit) as stopped:
        verb("--results", "results", "--html", "x.html", "--check")
    assert stopped.value.code == 1
    assert capsys.readouterr().out == "would change: x.html\n"
    assert verb("--results", "absent") == 2
    assert "absent: No such file" in capsys.readouterr().err


def test_the_verb_takes_a_workspaces_results_or_the_published_ones(folder, capsys, monkeypatch):
    assert verb("--workspace", str(folder)) == 0
    assert "| a |" in capsys.readouterr().out
    published = folder / "published"
    published.mkdir()
    saved(published, c=generated_result(generated_run("published", level(0.5))))
    monkeypatch.setattr(leaderboard, "RESULTS", published)
    assert verb() == 0
    out = capsys.readouterr().out
    assert "| published |" in out
    assert "| a |" not in out


def test_the_default_is_the_folder_beside_the_program():
    assert Path(leaderboard.__file__).parent / "results" == leaderboard.RESULTS
    assert leaderboard.parser().parse_args([]).results == [str(leaderboard.RESULTS)]


def test_marks_are_those_of_the_scorers_comparisons(folder, capsys):
    """From files of labels to the table: scored, compared by the scorer, and then ranked here."""
    from eval import score

    rng = np.random.default_rng(1)
    noise = {"a": 0.8, "b": 0.82, "c": 0.9, "d": 1.8}
    lines = {name: [] for name in ("gold", *noise)}
    for film, clip, label in itertools.product(range(FILMS), range(4), range(6)):
        key = {"clip_id": f"tt{film}_{clip:04}", "label": f"label {label}"}
        grade = int(rng.integers(0, 3))
        lines["gold"].append(key | {"grade": grade})
        for name, sigma in noise.items():
            lines[name].append(key | {"score": grade + float(rng.normal(0, sigma))})
    for name, rows in lines.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    results = []
    for name in noise:  # a file for each, in which it is compared with all others
        others = [f"{other}.jsonl" for other in noise if other != name]
        arguments = ["--gold", "gold.jsonl", "--predictions", f"{name}.jsonl", "--compare", *others]
        assert score.main([*arguments, "--json", f"scored/{name}.json"]) == 0
        results += [entry.result for entry in load([folder / "scored" / f"{name}.json"])]
    (board,) = boards(load(find(["scored"])))
    compared = {(c.a, c.b, c.measure): c.difference for r in results for c in r.comparisons}
    told = set()
    for column, k in enumerate(board.ks):
        found = marks(board, column)
        (best,) = [name for name, mark in found.items() if mark == "best"]
        for name in found.keys() - {best}:
            difference = compared[best, name, f"ndcg@{k}"]
            assert found[name] == ("paired" if difference.low <= 0 <= difference.high else "")
            told.add(found[name])
    assert told == {"", "paired"}


def test_output_is_the_same_whatever_python_hashes(folder):
    code = "import sys; from eval.leaderboard import main; sys.exit(main(sys.argv[1:]))"
    outputs = set()
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code, "results"], cwd=folder, capture_output=True,
            env=environment, check=True,
        )  # fmt: skip
        outputs.add(done.stdout)
    assert len(outputs) == 1


def test_published_results_can_be_read():
    published = sorted(leaderboard.RESULTS.glob("*.json"))
    if not published:
        pytest.skip("no results are published yet")
    assert boards(load(published))
    assert all(json.loads(path.read_text())["schema_version"] for path in published)
