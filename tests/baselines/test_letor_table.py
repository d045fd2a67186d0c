"""Tables of the documents' track: conventions, folds, and text that comes from result files."""

import math
import re
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.letor.table import Rests, markdown
from eval.boards import load
from eval.ndcg import ndcg
from eval.published import NOTE_2, TABLE_2
from eval.result import About, Training, to_json
from eval.score import judge
from eval.scoring import Options

NAMES = count()
EMPTY = ("skip", "one", "zero")


def training(method: str, seed: int | None, published: str | None, **options: str) -> Training:
    told = {"folds": "1 2", **options}
    return Training(
        method, seed, "k", "r", told, 0, 5, 1.0, 0.0, "lrmovienet letor bench", "2026-01-01",
        "cpu", published,
    )  # fmt: skip


def result(
    folder: Path, folds, scores=None, *, method="listnet", seed=0, regime="R0", empty="skip",
    dataset="sets", protocol="honest", published=None, max_grade=2, **options,
) -> Path:  # fmt: skip
    """A result file as the benchmark writes it.

    Args:
        folder: where it goes.
        folds: lists of grades, by fold.
        scores: the same shape; default: random ones, of the method's seed.
    """
    draw = np.random.default_rng(seed or 0)
    rows = [
        (f"{fold}/{query}", str(place), grade)
        for fold, lists in enumerate(folds, 1)
        for query, grades in enumerate(lists, 1)
        for place, grade in enumerate(grades, 1)
    ]
    flat = (
        draw.normal(size=len(rows)) if scores is None
        else np.array([s for lists in scores for one in lists for s in one], np.float64)
    )  # fmt: skip
    columns = {"clip_id": [row[0] for row in rows], "label": [row[1] for row in rows]}
    gold = {**columns, "movie_id": columns["clip_id"], "grade": [row[2] for row in rows]}
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "gold.parquet", folder / "p.parquet"]
    for path, table in zip(paths, (gold, {**columns, "score": flat}), strict=True):
        pq.write_table(pa.table(table), path)
    found = judge(
        [paths[0]], [(f"{method}.{regime}", [paths[1]])],
        Options(max_grade=max_grade, empty=empty, bootstrap=100,
                about=About(dataset, None, protocol, regime)),
    )  # fmt: skip
    run = replace(found.runs[0], training=training(method, seed, published, **options))
    out = folder / f"{next(NAMES)}.json"
    out.write_text(to_json(replace(found, runs=(run,))))
    return out


def rows_of(text: str) -> list[dict[str, str]]:
    """Head -> cell of each row of all tables; what a reader of the Markdown gets."""
    found, heads = [], None
    for line in text.splitlines():
        if not line.startswith("|"):
            heads = None
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if heads is None:
            heads = cells
        elif not set(line) <= set("|-:"):
            assert len(cells) == len(heads)
            found.append(dict(zip(heads, cells, strict=True)))
    return found


def row(text: str, name: str) -> dict[str, str]:
    (found,) = [r for r in rows_of(text) if r["method"] == name]
    return found


def digits(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def number(cell: str) -> str:
    """The mean in a cell, without marks, spread and interval."""
    return cell.replace("*", "").split()[0]


HEADS = {"skip": "left out", "one": "counted as 1", "zero": "counted as 0"}


def columns_of(text: str, name: str, empty: str) -> dict[str, str]:
    """NDCG@10 of a row under each convention."""
    found = row(text, name)
    return {
        each: number(found["NDCG@10"]) if each == empty else found[f"@10, {HEADS[each]}"]
        for each in EMPTY
    }


# Conventions.

LISTS = st.lists(
    st.lists(st.tuples(st.integers(0, 4), st.integers(-3, 3)), min_size=1, max_size=14),
    min_size=1, max_size=12,
).filter(lambda lists: any(grade for one in lists for grade, _ in one))  # fmt: skip


@given(LISTS, st.sampled_from(EMPTY))
def test_the_three_conventions_are_those_of_the_metric(lists, shown):
    """Brute force: the same scores through the metric under each convention."""
    grades = [grade for one in lists for grade, _ in one]
    scores = [float(score) for one in lists for _, score in one]
    offsets = np.cumsum([0, *map(len, lists)])
    true = {
        empty: float(np.nanmean(ndcg(scores, grades, offsets, (10,), empty=empty)))
        for empty in EMPTY
    }
    none = sum(not any(grade for grade, _ in one) for one in lists)
    rests = Rests(len(lists), none, 1)
    assert rests.conventions(true[shown], shown) == pytest.approx(
        tuple(true[empty] for empty in EMPTY), abs=1e-12
    )


def test_conventions_by_hand():
    """4 queries, 1 without a relevant document, and .6 where it is left out."""
    rests = Rests(4, 1, 2)
    expected = pytest.approx((0.6, 0.7, 0.45), abs=1e-15)
    assert rests.conventions(0.6, "skip") == expected
    assert rests.conventions(0.7, "one") == expected
    assert rests.conventions(0.45, "zero") == expected
    assert Rests(2, 2, 1).conventions(1.0, "one") == (0.0, 1.0, 0.0)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(EMPTY))
def test_what_a_table_shows_is_what_the_scorer_says(tmp_path_factory, seed, shown):
    """The whole way: files of the same predictions, scored under each convention by the scorer."""
    draw = np.random.default_rng(seed)
    folds = [[draw.integers(0, 3, draw.integers(1, 13)).tolist() for _ in range(4)] + [[0, 0, 0]]
             for _ in range(2)]  # fmt: skip
    folds[0][0] = [0, 2, 1]
    folder = tmp_path_factory.mktemp("table")
    true = {}
    for empty in EMPTY:
        path = result(folder, folds, empty=empty, seed=seed)
        (entry,) = load([path])
        true[empty] = entry
    text = markdown([true[shown]])
    expected = {empty: digits(e.run.measures["ndcg@10"].mean) for empty, e in true.items()}
    assert columns_of(text, "listnet", shown) == expected
    for floor in ("oracle", "random", "worst"):
        expected = {
            empty: digits(e.result.references[floor]["ndcg@10"]) for empty, e in true.items()
        }
        names = {"oracle": "*oracle*", "random": "*random order, expected*",
                 "worst": "*worst order*"}  # fmt: skip
        assert columns_of(text, names[floor], shown) == expected
    gold = true["skip"].result.gold
    none = gold.clips_without_relevant_label
    assert none >= 2
    assert (
        f"These numbers rest on {10 - none} queries with a relevant document; {none} of 10 have "
        f"none. Tested in 2 folds. In the columns of k they are {HEADS[shown]}."
    ) in text


# Folds.

ONE = [2, 1, 0]  # ideal order is the file's


def test_the_mean_over_folds_is_not_that_over_queries(tmp_path):
    """Fold 1: five queries ranked ideally. Fold 2: one in which the only gain comes second."""
    folds = [[ONE] * 5, [[0, 1, 0], [0, 0]]]
    scores = [[[3, 2, 1]] * 5, [[3, 2, 1], [2, 1]]]
    second = 1 / math.log2(3)
    for empty, (pooled, by_fold) in {
        "skip": ((5 + second) / 6, (1 + second) / 2),
        "one": ((6 + second) / 7, (1 + (second + 1) / 2) / 2),
        "zero": ((5 + second) / 7, (1 + second / 2) / 2),
    }.items():
        path = result(tmp_path / empty, folds, scores, empty=empty)
        found = row(markdown(load([path])), "listnet")
        assert number(found["NDCG@10"]) == digits(pooled)
        assert found["@10, folds"] == digits(by_fold)


def test_the_mean_over_folds_is_of_one_methods_seeds_of_one_regime(tmp_path):
    """Seeds are averaged; another method, regime, share of pairs or set stays out."""
    folds = [[ONE, ONE], [ONE, ONE, ONE]]
    right, wrong = [3, 2, 1], [1, 2, 3]
    worst = (1 / math.log2(3) + 3 / 2) / (3 + 1 / math.log2(3))

    def scored(first, second):
        return [[first] * 2, [second] * 3]

    paths = [
        result(tmp_path / "a", folds, scored(right, right), seed=0),
        result(tmp_path / "b", folds, scored(right, wrong), seed=1),
        result(tmp_path / "c", folds, scored(wrong, wrong), method="listnet-2"),
        result(tmp_path / "d", folds, scored(wrong, wrong), regime="R1", percent="10"),
        result(tmp_path / "e", folds, scored(wrong, right), regime="R1", percent="20"),
        result(tmp_path / "f", folds, scored(wrong, wrong), dataset="others"),
        result(tmp_path / "g", folds, scored(wrong, wrong), protocol="released"),
        result(tmp_path / "h", [*folds, [ONE]], [*scored(wrong, wrong), [wrong]]),
    ]
    text = markdown(load(paths))
    parts = [each for each in text.split("\n### ") if "sets, honest" in each.splitlines()[0]]
    (part,) = [each for each in parts if "listnet-2" in each]
    assert row(part, "listnet")["@10, folds"] == digits((3 + worst) / 4)
    assert row(part, "listnet")["seeds"] == "2"
    assert row(part, "listnet-2")["@10, folds"] == digits(worst)
    assert row(part, "listnet, 10 % of pairs")["@10, folds"] == digits(worst)
    assert row(part, "listnet, 20 % of pairs")["@10, folds"] == digits((1 + worst) / 2)
    assert text.count("\n### ") == 3 and text.startswith("### ")
    assert "### others, honest protocol" in text
    assert "### sets, protocol of the released scripts" in text
    for each in text.split("### ")[1:]:
        assert "Tested in 3 folds" in each or "Tested in 2 folds" in each


def test_the_mean_over_folds_of_one_regime_is_not_that_of_another(tmp_path):
    folds, options = [[ONE], [ONE]], {"percent": "10", "space": "named"}
    worst = (1 / math.log2(3) + 3 / 2) / (3 + 1 / math.log2(3))
    paths = [
        result(tmp_path / "a", folds, [[[3, 2, 1]], [[3, 2, 1]]], regime="R1", **options),
        result(tmp_path / "b", folds, [[[1, 2, 3]], [[1, 2, 3]]], regime="R2", **options),
    ]
    found = [r for r in rows_of(markdown(load(paths))) if r["method"].startswith("listnet")]
    assert [r["@10, folds"] for r in found] == ["1.000", digits(worst)]


def test_folds_of_few_queries_have_a_mean_too(tmp_path):
    """Fewer than five queries have no interval; the row's name says so with a †."""
    path = result(tmp_path, [[ONE], [[0, 1]]], [[[3, 2, 1]], [[2, 1]]])
    found = row(markdown(load([path])), "listnet †")
    assert found["@10, folds"] == digits((1 + 1 / math.log2(3)) / 2)
    assert "[" not in found["NDCG@10"]
    assert "- † lacks intervals" in markdown(load([path]))


# Rows.


def test_seeds_spread_intervals_and_the_row_of_table_2(tmp_path):
    draw = np.random.default_rng(5)
    folds = [[draw.integers(0, 3, 8).tolist() for _ in range(6)] for _ in range(2)]
    paths = [
        result(tmp_path / str(seed), folds, seed=seed, published="table 2: ListNet")
        for seed in (0, 1, 2)
    ]
    paths.append(result(tmp_path / "trees", folds, seed=None, method="lambdamart"))
    entries = load(paths)
    text = markdown(entries)
    mine, trees = row(text, "listnet"), row(text, "lambdamart")
    for k in (1, 3, 5, 10, 20):
        means = [e.run.measures[f"ndcg@{k}"].mean for e in entries if "listnet" in e.run.name]
        cell = mine[f"NDCG@{k}"]
        assert number(cell) == digits(np.mean(means))
        assert f"± {digits(np.std(means, ddof=1))}" in cell
        assert ("[" in cell) == (k == 10)
        assert "±" not in trees[f"NDCG@{k}"]
    assert (mine["seeds"], trees["seeds"]) == ("3", "–")
    assert mine["paper's table 2"] == ".545 .557 .570 .632 .747" and not trees["paper's table 2"]
    assert mine["paper's table 2"] == " ".join(map(digits, TABLE_2["table 2: ListNet"]))
    best = [r for r in (mine, trees) if r["NDCG@20"].startswith("**")]
    assert len(best) == 1 and {mine["p"], trees["p"]} >= {"–"}
    assert text.endswith(f"- {NOTE_2}\n")


def test_each_regime_is_a_table_with_its_floors(tmp_path):
    folds = [[ONE, [0, 1]], [[0, 0, 2], [0, 0]]]
    paths = [
        result(tmp_path / regime, folds, regime=regime, source="a.txt") for regime in
        ("R2", "R0", "R1")
    ]  # fmt: skip
    text = markdown(load(paths))
    heads = [line for line in text.splitlines() if line.startswith("**")]
    assert [head[2:4] for head in heads] == ["R0", "R1", "R2"]
    names = [each["method"] for each in rows_of(text)]
    floors = ["*oracle*", "*random order, expected*", "*worst order*"]
    assert names == ["listnet †", *floors] * 3
    oracle = row(text.split("**R1")[0], "*oracle*")
    assert (oracle["NDCG@10"], oracle["@10, counted as 1"], oracle["@10, counted as 0"]) == (
        "1.000", "1.000", ".750",
    )  # fmt: skip
    assert [oracle[head] for head in ("@10, folds", "seeds", "p", "paper's table 2")] == [""] * 4


def test_one_collection_alone_is_told_as_that(tmp_path):
    text = markdown(load([result(tmp_path, [[ONE], [ONE]])]))
    assert "**Trained on the target's own training parts**" in text and "R0:" not in text


def test_where_no_document_is_relevant_all_is_as_it_is_counted(tmp_path):
    text = markdown(load([result(tmp_path, [[[0, 0], [0]]], empty="one")]))
    found = rows_of(text)[0]
    assert [found[head] for head in ("@10, counted as 0", "@10, folds")] == [".000", "1.000"]
    assert number(found["NDCG@10"]) == "1.000"
    assert "rest on 0 queries with a relevant document; 2 of 2 have none. Tested in one" in text


HOSTILE = "a|b\n# big [x](http://e.vil) <b>*`~_ \x1b[31m  z"


def test_names_in_results_are_never_markup(tmp_path):
    path = result(
        tmp_path, [[ONE, ONE], [ONE]], dataset=HOSTILE, protocol=HOSTILE, method=HOSTILE,
    )  # fmt: skip
    text = markdown(load([path]))
    for part in ("<b>", "](", "`", "\x1b", "~", "\n# ", "# big", "a|b", "http:"):
        assert part not in text, part
    found = rows_of(text)
    assert len(found) == 4 and found[0]["method"].startswith("a&#124;b ")
    assert found[0]["@10, folds"], "the row is found again by its name"
    assert len([line for line in text.splitlines() if line.startswith("#")]) == 1


@pytest.mark.parametrize("dataset", ["", " a  b ", "x" * 300, "MSLR-WEB10K → MQ2008", None])
def test_a_set_of_any_name_has_its_table(tmp_path, dataset):
    text = markdown(load([result(tmp_path, [[ONE, ONE], [ONE]], dataset=dataset)]))
    assert text.startswith("### ") and rows_of(text)[0]["@10, folds"]
