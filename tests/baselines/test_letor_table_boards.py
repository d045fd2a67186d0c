"""Tables of the documents' track: whose numbers stand in a row, and where features met."""

import math
from dataclasses import replace
from pathlib import Path

import letor_bench
import pytest
from test_letor_table import HOSTILE, ONE, digits, number, result, row, rows_of

from baselines.letor.spaces import Space
from baselines.letor.table import SPACES, markdown
from eval.boards import Entry, load
from eval.result import Estimate
from lrmovienet.cli import main

RIGHT, WRONG = [3, 2, 1], [1, 2, 3]
"""Scores of `ONE`."""
WORST = (1 / math.log2(3) + 3 / 2) / (3 + 1 / math.log2(3))
"""NDCG of `WRONG`."""


def one(folder: Path, first=RIGHT, second=RIGHT, **more) -> Path:
    """A result of two folds, of two queries and one."""
    return result(folder, [[ONE] * 2, [ONE]], [[first] * 2, [second]], **more)


def of_folds(text: str) -> list[str]:
    """The column of means over folds, of methods alone."""
    return [r["@10, folds"] for r in rows_of(text) if not r["method"].startswith("*")]


# What is put together.


def halved(entry: Entry, **parts) -> Entry:
    """The same run with half its numbers, from a result with other `parts`, in another file."""
    measures = {
        name: Estimate(None if e.mean is None else e.mean / 2)
        for name, e in entry.run.measures.items()
    }
    sums = {name: tuple(x / 2 for x in values) for name, values in entry.run.by_film.items()}
    run = replace(entry.run, measures=measures, by_film=sums)
    return Entry(Path("other.json"), replace(entry.result, runs=(run,), **parts), run)


def otherwise(entry: Entry, name: str):
    """One of the things that must be equal on a board, changed."""
    scored = entry.result
    about = {"dataset": "others", "revision": "r2", "protocol": "released"}
    rules = {"gain": "linear", "ties": "stable", "empty": "one", "relevant_from": 2,
             "max_grade": 6, "compat": "paper"}  # fmt: skip
    gold = {"split": "test", "sha256": scored.gold.sha256[:12] + "0" * 52}
    if name in about:
        return {"about": replace(scored.about, **{name: about[name]})}
    if name in rules:
        return {"conventions": replace(scored.conventions, **{name: rules[name]})}
    if name in gold:
        return {"gold": replace(scored.gold, **{name: gold[name]})}
    return {"scorer_version": "1"}


@pytest.mark.parametrize(
    "name",
    ["dataset", "revision", "protocol", "gain", "ties", "empty", "relevant_from", "max_grade",
     "compat", "split", "sha256", "scorer"],
)  # fmt: skip
def test_boards_do_not_mix(tmp_path, name):
    """A run that was scored twice, the second time otherwise; whatever it is that was other."""
    (entry,) = load([one(tmp_path, RIGHT, WRONG, source="a.txt", space="named")])
    other = halved(entry, **otherwise(entry, name))
    options = {"space": "principal"}  # no source
    other = replace(
        other, run=replace(other.run, training=replace(other.run.training, options=options))
    )
    for order in ([entry, other], [other, entry]):
        text = markdown(order)
        assert sorted(of_folds(text)) == sorted([digits((1 + WORST) / 2), digits((1 + WORST) / 4)])
        parts = text.split("### ")[1:]
        (mine,) = [part for part in parts if "(`named`)" in part]
        (its,) = [part for part in parts if "(`principal`)" in part]
        assert of_folds(mine) == [digits((1 + WORST) / 2)]
        assert "**R0: grades of the source**" in mine and "**Trained on" in its


def test_boards_of_two_conventions_do_not_mix(tmp_path):
    folds, scores = [[ONE], [[0, 0], [0, 1]]], [[[3, 2, 1]], [[2, 1], [2, 1]]]
    paths = [result(tmp_path / e, folds, scores, empty=e) for e in ("skip", "one")]
    found = of_folds(markdown(load(paths)))
    second = 1 / math.log2(3)
    assert sorted(found) == sorted([digits((1 + second) / 2), digits((1 + (1 + second) / 2) / 2)])


def test_a_file_that_is_there_twice_counts_once(tmp_path):
    paths = [one(tmp_path / "a", RIGHT, RIGHT, seed=0), one(tmp_path / "b", WRONG, WRONG, seed=1)]
    text = markdown(load(paths))
    assert of_folds(text) == [digits((1 + WORST) / 2)]
    copy = tmp_path / "copy.json"
    copy.write_bytes(paths[0].read_bytes())
    assert markdown(load([*paths, copy])) == text


# Whose numbers stand in a row.


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"method": "listnet", "percent": "10"}, {"method": "listnet, 10 % of pairs"}),
        ({"method": "x" * 120 + "1"}, {"method": "x" * 120 + "2"}),
        ({"method": "a  b"}, {"method": "a b"}),
    ],
)
def test_rows_of_one_name_keep_their_numbers(tmp_path, first, second):
    paths = [
        one(tmp_path / "a", RIGHT, WRONG, **first), one(tmp_path / "b", WRONG, WRONG, **second),
    ]  # fmt: skip
    found = [r for r in rows_of(markdown(load(paths))) if not r["method"].startswith("*")]
    assert [number(r["NDCG@10"]) for r in found] == [digits((2 + WORST) / 3), digits(WORST)]
    assert [r["@10, folds"] for r in found] == [digits((1 + WORST) / 2), digits(WORST)]


def test_a_floor_has_not_the_numbers_of_a_method_of_its_name(tmp_path):
    folds = [[ONE] * 3, [ONE] * 2]  # enough for intervals, so that names have no †
    path = result(tmp_path, folds, [[WRONG] * 3, [WRONG] * 2], method="oracle")
    found = row(markdown(load([path])), "oracle")
    assert found["@10, folds"] == digits(WORST)
    assert row(markdown(load([path])), "*oracle*")["@10, folds"] == ""


def test_a_row_that_says_more_than_its_name_has_its_numbers(tmp_path):
    (entry,) = load([one(tmp_path, RIGHT, WRONG)])
    less = replace(entry, run=replace(entry.run, missing_labels=3))
    found = row(markdown([less]), "listnet † (3 labels missing)")
    assert found["@10, folds"] == digits((1 + WORST) / 2)


def test_a_run_that_no_benchmark_made_has_its_mean_over_folds(tmp_path):
    (entry,) = load([one(tmp_path, RIGHT, WRONG)])
    own = replace(entry, run=replace(entry.run, name="mine", training=None))
    found = row(markdown([own]), "mine †")
    assert found["@10, folds"] == digits((1 + WORST) / 2)


def test_seeds_without_sums_have_no_mean_over_folds(tmp_path):
    """What is known of some seeds alone is not the mean over all."""
    entries = load([one(tmp_path / "a", seed=0), one(tmp_path / "b", WRONG, WRONG, seed=1)])
    assert of_folds(markdown(entries)) == [digits((1 + WORST) / 2)]
    entries[1] = replace(entries[1], run=replace(entries[1].run, by_film={}))
    assert of_folds(markdown(entries)) == [""]


# Where features met.

OF_TWO = {
    "same": "taken to be the same (`same`)",
    "named": "those of the same name (`named`)",
    "principal": "principal components of each (`principal`)",
    "layers": "in columns of their own (`layers`)",
}
STANDARD = "z scores of the values themselves (`--scaling standard`)"


def under(text: str) -> str:
    """What stands between the first line's numbers and what chooses."""
    (line,) = [line for line in text.splitlines() if line.startswith("These numbers rest on")]
    return line.partition(" left out.")[2].partition("In all regimes the grades of")[0].strip()


def test_every_space_has_words():
    assert set(SPACES) == set(OF_TWO) == set(Space.__args__)


@pytest.mark.parametrize("space", OF_TWO)
def test_where_features_met_is_said(tmp_path, space):
    more = {"source": "a.txt", "space": space}
    text = markdown(load([one(tmp_path, **more)]))
    assert under(text) == f"Features of the two sets: {OF_TWO[space]}."
    text = markdown(load([one(tmp_path, scaling="standard", **more)]))
    assert under(text) == f"Features of the two sets: {OF_TWO[space]}. Networks read {STANDARD}."


def test_what_is_usual_or_not_known_is_not_said(tmp_path):
    assert under(markdown(load([one(tmp_path)]))) == ""
    text = markdown(load([one(tmp_path, scaling="standard")]))
    assert under(text) == f"Networks read {STANDARD}."
    text = markdown(load([one(tmp_path, protocol="released", source="a.txt", empty="one")]))
    assert "counted as 1. In all regimes the grades of the test part" in text
    (entry,) = load([one(tmp_path)])
    assert under(markdown([replace(entry, run=replace(entry.run, training=None))])) == ""


def test_all_spaces_of_a_board_are_said(tmp_path):
    """Files without a revision may come from benchmarks with other options."""
    paths = [
        one(tmp_path / "a", method="a", source="a.txt", space="same"),
        one(tmp_path / "b", method="b", source="a.txt", space="named", scaling="standard"),
        one(tmp_path / "c", method="c", space="named", regime="R1"),
    ]
    for order in (paths, paths[::-1]):
        text = markdown(load(order))
        assert "**R0: grades of the source**" in text and "**R1: R0 and some" in text
        assert under(text) == (
            f"Features of the two sets: {OF_TWO['named']} or {OF_TWO['same']}. Networks read "
            f"z scores of the signed logarithm (`--scaling log`) or {STANDARD}."
        )


def test_options_in_results_are_never_markup(tmp_path):
    text = markdown(load([one(tmp_path, source="a", space=HOSTILE, scaling=HOSTILE)]))
    for part in ("<b>", "](", "`", "\x1b", "~", "# big", "a|b", "http:"):
        assert part not in text, part
    assert under(text).startswith("Features of the two sets: a&#124;b ")
    assert ". Networks read a&#124;b " in under(text)


@pytest.mark.slow
def test_benchmarks_of_the_same_sets_with_another_space_are_told_apart(tmp_path, capsys):
    """From the command line to the table: the text under equal headings says what is other."""
    root = letor_bench.fill(tmp_path / "files")
    (root / "source.txt").write_text(letor_bench.lines(1, 101, 6, features=4))
    spaces = ["same", "principal"]
    for space in spaces:
        words = ["best-feature", "--folds", "1", "--space", space]
        assert main(letor_bench.pair(root, *words, out=space)) == 0
    entries = load([root / space / "best-feature.R0.s0.json" for space in spaces])
    assert len({entry.result.about.revision for entry in entries}) == 2
    assert len({entry.result.gold.sha256 for entry in entries}) == 1
    capsys.readouterr()
    assert main(["letor", "table", *(str(root / space) for space in spaces)]) == 0
    _, *parts = f"\n{capsys.readouterr().out}".split("\n### ")
    assert len({part.splitlines()[0] for part in parts}) == 1
    assert sorted(map(under, parts)) == [
        f"Features of the two sets: {OF_TWO['principal']}.",
        f"Features of the two sets: {OF_TWO['same']}.",
    ]
