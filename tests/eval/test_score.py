"""The scoring program, as people run it."""

import json
import math
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_args, get_type_hints

import pyarrow.parquet as pq
import pytest
from three_clips import C1_AT_3, C2_AT_3, GOLD, LOG3, SCORES, jsonl, means

import eval.score
from eval.result import SCHEMA_VERSION, SCORER_VERSION
from eval.score import main, named, parser
from eval.scoring import Options
from lrmovienet.score import ScoreConfig

SCRIPT = Path(eval.score.__file__)


@pytest.fixture(autouse=True)
def _any_number_of_films(monkeypatch):
    """Cases worked out by hand have three films, too few for the intervals that people get."""
    monkeypatch.setattr("eval.scoring.FEWEST", 2)


def scored(*arguments):
    """The JSON of a run that must succeed."""
    assert main(["--gold", "gold.jsonl", "--json", "out.json", *arguments]) == 0
    return json.loads(Path("out.json").read_text())


def failed(capsys, *arguments):
    """The message of a run that must fail and write nothing."""
    before = sorted(Path.cwd().rglob("*"))
    assert main([*arguments]) == 2
    assert sorted(Path.cwd().rglob("*")) == before
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("score: error: ")
    return captured.err


def test_numbers_worked_out_by_hand(files):
    result = scored("--predictions", "mine.jsonl", "best.jsonl", "--k", "1", "3")
    mine, best = (means(run) for run in result["runs"])
    assert mine["ndcg@1"] == pytest.approx((0 + 1 / 2) / 2)
    # The mean over the two clips that have a relevant label; c3 is left out.
    assert mine["ndcg@3"] == pytest.approx((C1_AT_3 + C2_AT_3) / 2, abs=1e-12)
    assert (best["ndcg@1"], best["ndcg@3"]) == (1.0, 1.0)
    assert result["runs"][0]["tied_pairs"] == pytest.approx(2 / 5)  # of 3 + 1 + 1 pairs
    # Random at 1: c1 (3 + 1 + 0) / 3 of 3, c2 (1 + 0) / 2 of 1.
    random = (4 / 9 + 1 / 2) / 2
    references, normalised = result["references"], result["runs"][0]["normalised"]
    assert references["random"]["ndcg@1"] == pytest.approx(random)
    assert normalised["ndcg@1"] == pytest.approx((1 / 4 - random) / (1 - random))
    assert result["runs"][1]["normalised"]["ndcg@3"] == 1.0
    assert (references["oracle"]["ndcg@1"], references["oracle"]["ndcg@3"]) == (1.0, 1.0)
    # Worst: c1 low, medium, high; c2 low, medium.
    worst = ((1 / LOG3 + 3 / 2) / (3 + 1 / LOG3) + 1 / LOG3) / 2
    assert references["worst"]["ndcg@3"] == pytest.approx(worst)
    # The first relevant label of c1 is second; that of c2 is first or second.
    assert mine["mrr"] == pytest.approx((1 / 2 + 3 / 4) / 2)
    # c1 has both pairs with the low label wrong and high above medium; the pair of c2 is tied.
    assert mine["pair_accuracy"] == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert mine["tau_b"] == pytest.approx(((1 - 2) / 3 + 0) / 2)
    assert mine["precision@3"] == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert mine["recall@1"] == pytest.approx((0 + 1 / 2) / 2)


@pytest.mark.parametrize(("empty", "c3"), [("one", 1.0), ("zero", 0.0)])
def test_empty_clips_can_count(files, empty, c3):
    result = scored("--predictions", "mine.jsonl", "--k", "3", "--empty", empty)
    value = (C1_AT_3 + C2_AT_3 + c3) / 3
    assert means(result["runs"][0])["ndcg@3"] == pytest.approx(value, abs=1e-12)
    assert result["gold"]["clips_skipped"] == 0
    assert result["gold"]["clips_without_relevant_label"] == 1
    oracle, random = (result["references"][name]["ndcg@3"] for name in ("oracle", "random"))
    assert oracle == pytest.approx((2 + c3) / 3)
    expected = (value - random) / (oracle - random)
    assert result["runs"][0]["normalised"]["ndcg@3"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("ties", "c2_at_1"), [("stable", 1), ("optimistic", 1), ("pessimistic", 0), ("average", 0.5)]
)
def test_ties_can_be_ordered(files, ties, c2_at_1):
    result = scored("--predictions", "mine.jsonl", "--k", "1", "--ties", ties)
    assert means(result["runs"][0])["ndcg@1"] == pytest.approx((0 + c2_at_1) / 2)
    assert result["conventions"]["ties"] == ties


def test_stable_keeps_the_order_of_the_predictions_not_that_of_gold(files):
    # Gold lists the relevant label of c2 first; the predictions list it last.
    swapped = [*SCORES[:3], SCORES[4], SCORES[3], *SCORES[5:]]
    jsonl(files / "mine.jsonl", swapped, "score")
    result = scored("--predictions", "mine.jsonl", "--k", "1", "--ties", "stable")
    assert means(result["runs"][0])["ndcg@1"] == 0.0


def test_everything_that_defines_the_number_is_in_the_json(files):
    result = scored("--predictions", "mine.jsonl", "B=best.jsonl")
    assert result["schema_version"] == SCHEMA_VERSION
    assert result["scorer_version"] == SCORER_VERSION
    assert result["k"] == [1, 3, 5, 10, 20]
    assert result["conventions"] == {
        "gain": "exp", "ties": "average", "empty": "skip", "relevant_from": 1, "max_grade": 2,
        "compat": None,
    }  # fmt: skip
    assert result["bootstrap"] == {
        "replicates": 10_000, "seed": 0, "confidence": 0.95, "resampled": "films"
    }  # fmt: skip
    assert [run["name"] for run in result["runs"]] == ["mine", "B"]
    gold = {key: result["gold"][key] for key in ("name", "split", "clips", "labels")}
    assert gold == {"name": "gold.jsonl", "split": None, "clips": 3, "labels": 7}
    sums = subprocess.run(
        ["sha256sum", "gold.jsonl", "mine.jsonl", "best.jsonl"],
        capture_output=True, text=True, check=True,
    ).stdout.split()[::2]  # fmt: skip
    assert [result["gold"]["sha256"], *(run["sha256"] for run in result["runs"])] == sums
    assert str(files) not in Path("out.json").read_text()


def test_the_table(files, capsys):
    scored("--predictions", "[bold]=mine.jsonl", "best.jsonl", "--k", "1", "3")
    printed = capsys.readouterr().out
    rows = [line.strip("│").split("│") for line in printed.splitlines() if line.startswith("│")]
    cells = [[cell.strip() for cell in row] for row in rows]
    assert [row[0] for row in cells] == [
        "[bold]", "95 %", "normalised", "best", "95 %", "normalised", "(random)", "(oracle)",
        "(worst)", "[bold]", "95 %", "best", "95 %", "(random)",
    ]  # fmt: skip
    assert cells[0] == ["[bold]", "0.2500", f"{(C1_AT_3 + C2_AT_3) / 2:.4f}"]
    assert cells[2] == ["normalised", "-0.4211", "-0.3072"]
    assert cells[4] == ["95 %", "[1.000, 1.000]", "[1.000, 1.000]"]
    assert cells[6][:2] == ["(random)", "0.4722"]
    assert cells[9] == ["[bold]", "0.6250", "0.4167", "-0.1667", "40.0%"]
    assert cells[13] == ["(random)", cells[13][1], "0.5000", "0.0000", ""]
    for line in (
        "gold: gold.jsonl: 7 labels of 3 clips of 3 films; sha256 ",
        "gain: 2^grade - 1",
        "ties: average: expectation over all orders",
        "empty: skip: the 1 clips without a relevant label are left out of the mean",
        "95% intervals: bootstrap over films, 10000 replicates, seed 0",
        "the intervals rest on 3 films only",
        f"[bold]: with 1 skipped clip as 1, NDCG@3 would read {(C1_AT_3 + C2_AT_3 + 1) / 3:.4f}",
    ):
        assert line in printed


def test_a_wide_table_in_a_pipe_loses_nothing(files, capsys):
    ks = [str(k) for k in range(1, 31)]
    scored("--predictions", "a-name-of-some-length=mine.jsonl", "--k", *ks)
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("│"))
    assert sum(cell.strip().startswith("0.") for cell in row.split("│")) == 30


def test_missing_predictions_are_refused_or_ranked_last_and_counted(files, capsys):
    jsonl(files / "part.jsonl", SCORES[:2], "score")
    arguments = ("--gold", "gold.jsonl", "--predictions", "part.jsonl", "--json", "out.json")
    assert "no prediction for 5 of 7 gold labels, in 3 of 3 clips" in failed(capsys, *arguments)
    result = scored("--predictions", "part.jsonl", "--k", "3", "--allow-missing")
    # c1 as it should be (the missing label is the low one), c2 wholly tied.
    value = (1 + C2_AT_3) / 2
    assert means(result["runs"][0])["ndcg@3"] == pytest.approx(value)
    assert result["runs"][0]["missing_labels"] == 5
    assert "part: 5 of 7 gold labels had no prediction" in capsys.readouterr().out


def test_labels_matched_only_in_normal_form_are_counted(files, capsys):
    jsonl(files / "mine.jsonl", [("c1", "DOG", 2.0), *SCORES[1:]], "score")
    assert scored("--predictions", "mine.jsonl")["runs"][0][
        "labels_matched_in_normal_form_only"
    ] == 1  # fmt: skip
    assert "mine: 1 label matched only in lower case" in capsys.readouterr().out


def test_predictions_are_named_by_their_file_or_as_asked(files):
    (files / "ranker-1.5").mkdir()
    (files / "a=b.jsonl").touch()
    assert named(["x/mine.jsonl", "A=mine.jsonl", "ranker-1.5/", "a=b.jsonl", "k=v=w"]) == [
        ("mine", [Path("x/mine.jsonl")]),
        ("A", [Path("mine.jsonl")]),
        ("ranker-1.5", [Path("ranker-1.5")]),
        ("a=b", [Path("a=b.jsonl")]),
        ("k", [Path("v=w")]),
    ]
    assert named(["x/mine.jsonl.gz", "-", "A=1.csv", "B=2.csv", "A=3.csv"]) == [
        ("mine", [Path("x/mine.jsonl.gz")]),
        ("stdin", [Path("-")]),
        ("A", [Path("1.csv"), Path("3.csv")]),
        ("B", [Path("2.csv")]),
    ]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--predictions", "mine.jsonl", "--k", "0"], "different numbers, 1 or more"),
        (["--predictions", "mine.jsonl", "--k", "3", "3"], "different numbers, 1 or more"),
        (["--predictions", "mine.jsonl", "mine.jsonl"], "two predictions are called 'mine'"),
        (["--predictions", "mine.jsonl", "nowhere.jsonl"], "nowhere.jsonl: no such file"),
        (["--predictions", "mine.jsonl", "--split", "test"], "no split 'test'"),
        (["--predictions", "mine.jsonl", "--json", "mine.jsonl"], "is given twice"),
        (["--predictions", "mine.jsonl", "--json", "."], "is a folder"),
        (["--predictions", "mine.jsonl", "--json", "gold.jsonl/x"], "cannot be written"),
    ],
)
def test_wrong_options(files, capsys, arguments, what):
    assert what in failed(capsys, "--gold", "gold.jsonl", *arguments)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--compat", "paper", "--ties", "average"], "--compat paper means --ties stable"),
        (["--gold-columns", "query"], "give OURS=THEIRS"),
        (["--gold-columns", "x=query"], "x"),
        (["--max-grade", "0"], "--max-grade 0"),
        (["--max-grade", "1"], "grade is 2"),
        (["--relevant-from", "3"], "give a grade from 1 to 2"),
        (["--bootstrap", "5"], "give 100 to 1000000"),
        (["--bootstrap", "1000001"], "give 100 to 1000000"),
        (["--compare", "best.jsonl", "--bootstrap", "0"], "comparing needs --bootstrap"),
        (["--compare", "mine.jsonl"], "two predictions are called 'mine'"),
        (["--seed", "-1"], "--seed -1"),
        (["--json", "x", "--per-clip", "x"], "x: is given twice"),
        (["--gold", "-", "--compare", "-"], "read only once"),
    ],
)
def test_more_wrong_options(files, capsys, arguments, what):
    start = ["--gold", "gold.jsonl", "--predictions", "mine.jsonl"]
    assert what in failed(capsys, *start, *arguments)


def test_the_help_names_every_option_and_the_verb_has_them_all(capsys):
    options = {word for action in parser()._actions for word in action.option_strings}
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    for option in options:
        assert option in text
    verb = {field.name: field for field in fields(ScoreConfig)}
    for action in parser()._actions:
        name = action.dest
        if name != "help":
            assert name in verb, name
            assert not action.choices or set(action.choices) <= set(str_choices(ScoreConfig, name))
    kept = Options()
    given = parser().parse_args(["--gold", "g", "--predictions", "p"])
    assert (tuple(given.k), given.bootstrap, given.seed) == (kept.ks, kept.bootstrap, kept.seed)
    assert (given.max_grade, given.relevant_from) == (kept.max_grade, kept.relevant_from)
    assert ScoreConfig().k == kept.ks
    assert (ScoreConfig().bootstrap, ScoreConfig().max_grade) == (kept.bootstrap, kept.max_grade)


def str_choices(config, name):
    """The words that a field's type allows."""
    return [
        word
        for part in (get_type_hints(config)[name], *get_args(get_type_hints(config)[name]))
        for word in get_args(part)
        if isinstance(word, str)
    ]


def test_compat_is_what_the_released_evaluator_does(files):
    compat = scored("--predictions", "mine.jsonl", "--compat", "paper")
    same = scored("--predictions", "mine.jsonl", "--ties", "stable", "--empty", "one")
    assert compat["conventions"].pop("compat") == "paper"
    assert same["conventions"].pop("compat") is None
    assert compat == same
    # c2 keeps the order of the predictions, its relevant label first; c3 counts as 1.
    assert means(compat["runs"][0])["ndcg@3"] == pytest.approx((C1_AT_3 + 1 + 1) / 3)


def test_linear_gain(files):
    linear = scored("--predictions", "mine.jsonl", "--k", "3", "--gain", "linear")
    # c1: 2 / log2(3) + 1 / 2 of 2 + 1 / log2(3); grades of 1 are worth the same.
    c1 = (2 / LOG3 + 1 / 2) / (2 + 1 / LOG3)
    assert means(linear["runs"][0])["ndcg@3"] == pytest.approx((c1 + C2_AT_3) / 2)


def test_a_wider_scale(files):
    jsonl(files / "gold.jsonl", [(c, label, 2 * g) for c, label, g in GOLD], "grade")
    result = scored("--predictions", "mine.jsonl", "--k", "1", "--max-grade", "4")
    assert means(result["runs"][0])["ndcg@1"] == pytest.approx((0 + 1 / 2) / 2)


def test_the_measures_of_every_clip(files):
    scored("--predictions", "mine.jsonl", "best.jsonl", "--k", "3", "--per-clip", "clips.parquet")
    rows = pq.read_table("clips.parquet").to_pylist()
    assert [(row["run"], row["clip_id"]) for row in rows] == [
        (run, clip) for run in ("mine", "best") for clip in ("c1", "c2", "c3")
    ]
    assert [row["ndcg@3"] for row in rows[:3]] == [
        pytest.approx(C1_AT_3), pytest.approx(C2_AT_3), None
    ]  # fmt: skip
    assert rows[0]["movie_id"] == "c1"
    assert rows[2]["tau_b"] is None


def test_a_comparison(files, capsys):
    result = scored("--predictions", "mine.jsonl", "--compare", "best.jsonl", "--k", "1", "3")
    first = result["comparisons"][0]
    assert (first["a"], first["b"], first["measure"]) == ("mine", "best", "ndcg@1")
    assert first["difference"]["mean"] == pytest.approx((0 + 1 / 2) / 2 - 1)
    # Two films differ, in the same direction: two of the four sign patterns are as far from 0.
    assert [c["p"] for c in result["comparisons"]] == [0.5, 0.5]
    assert [c["p_holm"] for c in result["comparisons"]] == [1.0, 1.0]
    printed = capsys.readouterr().out
    assert "mine − best" in printed
    assert "-0.7500" in printed
    assert result["comparisons"][1]["difference"]["low"] <= (C1_AT_3 + C2_AT_3) / 2 - 1


def test_rows_for_a_paper(files, capsys):
    words = ["--gold", "gold.jsonl", "--predictions", "a_b|*=mine.jsonl", "--k", "1"]
    assert main([*words, "--markdown", "--bootstrap", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["| method | NDCG@1 |", "| --- | --: |", r"| a\_b\|\* | 0.2500 |"]
    assert main([*words, "--tex"]) == 0
    assert r"a\_b|* & 0.2500 {\scriptsize [.000, .500]} \\" in capsys.readouterr().out


def test_predictions_come_through_a_pipe(files):
    lines = "".join(f"{c} Q0 {label} 0 {score} x\n" for c, label, score in SCORES)
    done = subprocess.run(
        [sys.executable, SCRIPT, "--gold", "gold.jsonl", "--predictions", "-", "--json", "o.json"],
        input=lines, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "stdin" in done.stdout
    run = json.loads(Path("o.json").read_text())["runs"][0]
    assert means(run)["ndcg@1"] == pytest.approx(1 / 4)


def test_a_wrong_file_among_right_ones_writes_nothing(files, capsys):
    jsonl(files / "bad.jsonl", [*SCORES[:6], ("c3", "cat", math.nan)], "score")
    arguments = ["--predictions", "mine.jsonl", "bad.jsonl", "--json", "new/out.json"]
    message = failed(capsys, "--gold", "gold.jsonl", *arguments)
    assert "bad.jsonl, line 7, clip 'c3', label 'cat': score is nan" in message


def test_gold_without_any_relevant_label(files, capsys):
    jsonl(files / "gold.jsonl", [(c, label, 0) for c, label, _ in GOLD], "grade")
    arguments = ("--gold", "gold.jsonl", "--predictions", "mine.jsonl")
    assert "no clip has a relevant label" in failed(capsys, *arguments)
    result = scored("--predictions", "mine.jsonl", "--empty", "one")
    # Nothing lies between random and oracle, so there is no such scale.
    assert set(result["runs"][0]["normalised"].values()) == {None}


def test_an_interrupted_write_leaves_the_old_result(files, monkeypatch, capsys):
    Path("out.json").write_text("old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
    arguments = ("--gold", "gold.jsonl", "--predictions", "mine.jsonl", "--json", "out.json")
    assert "out.json: cannot be written (No space left)" in failed(capsys, *arguments)
    assert Path("out.json").read_text() == "old"


def test_a_result_replaces_the_old_one_in_one_step(files):
    Path("out.json").write_text("old")
    Path("same-file.json").hardlink_to("out.json")
    scored("--predictions", "mine.jsonl")
    # Written over in place, the old file would have changed too, and for a moment been half.
    assert Path("same-file.json").read_text() == "old"
    assert not list(files.glob(".out*"))
