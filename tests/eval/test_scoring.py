"""What stands beside a score: parts of gold, films, comparisons; by hand where it can be."""

import json
import math
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from eval.measures import measure, names
from eval.report import interval, markdown, notes, p_value, show, tex, warnings
from eval.result import Estimate, from_json, to_json
from eval.runs import RunError, read_gold, read_run
from eval.scoring import Options, per_clip, resolve, score
from eval.significance import FEWEST, bootstrap, holm, sign_flip

LOG3 = math.log2(3)
QUICK = Options(ks=(1, 3), bootstrap=200)

# Film a has two clips, film b one, film c one in which nothing is relevant.
GOLD = [
    ("a_0", "dog", 2, ["Drama"], "image"), ("a_0", "walk", 0, ["Drama"], "event"),
    ("a_0", "man", 1, ["Drama"], "entity"),
    ("a_1", "dog", 0, ["Drama", "War"], "image"), ("a_1", "cat", 1, ["Drama", "War"], "image"),
    ("b_0", "run", 1, ["War"], "event"), ("b_0", "cat", 0, ["War"], "image"),
    ("c_0", "run", 0, [], "event"), ("c_0", "cat", 0, [], "image"),
]  # fmt: skip
SCORES = [0.0, 1.0, 2.0, 5.0, 4.0, 1.0, 0.0, 0.0, 0.0]


@pytest.fixture(autouse=True)
def _any_number_of_films(monkeypatch):
    """Cases worked out by hand have three films; the rule itself is tested below."""
    monkeypatch.setattr("eval.scoring.FEWEST", 2)


def files(folder: Path, *scores):
    """Gold and predictions, as a program would be given them."""
    keys = ("clip_id", "label", "grade", "genres", "source")
    rows = [dict(zip(keys, row, strict=True)) for row in GOLD]
    gold = folder / "gold.jsonl"
    gold.write_text("".join(json.dumps(row) + "\n" for row in rows))
    graded = read_gold(gold)
    runs = []
    for i, column in enumerate(scores):
        path = folder / f"run{i}.jsonl"
        lines = [
            {"clip_id": row[0], "label": row[1], "score": value}
            for row, value in zip(GOLD, column, strict=True)
        ]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        runs.append(read_run(path, graded, f"run{i}"))
    return graded, runs


def test_films_are_told_from_clip_ids(tmp_path):
    gold, runs = files(tmp_path, SCORES)
    result, values = score(gold, runs, QUICK)
    assert result.gold.film_ids == ("a", "b", "c")
    # The clip of c is skipped.
    assert result.gold.film_clips == (2, 1, 0)
    assert (result.gold.films, result.gold.clips, result.gold.clips_skipped) == (3, 4, 1)
    by_clip = values[0][:, 0]
    assert result.runs[0].by_film["ndcg@1"] == pytest.approx((by_clip[0] + by_clip[1], 1.0, 0.0))
    mean = sum(result.runs[0].by_film["ndcg@3"]) / sum(result.gold.film_clips)
    assert result.runs[0].measures["ndcg@3"].mean == pytest.approx(mean)


def test_a_genre_is_scored_on_its_clips(tmp_path):
    gold, runs = files(tmp_path, SCORES)
    result, _ = score(gold, runs, QUICK)
    groups = result.runs[0].by_genre
    assert list(groups) == ["Drama", "War"]
    assert (groups["Drama"].clips, groups["Drama"].films) == (2, 1)
    assert (groups["War"].clips, groups["War"].films) == (2, 2)
    drama, war = (groups[name].measures["ndcg@1"] for name in ("Drama", "War"))
    # a_0 puts man (gain 1 of 3) first, a_1 the wrong one, b_0 the right one.
    assert drama.mean == pytest.approx((1 / 3 + 0) / 2)
    assert war.mean == pytest.approx((0 + 1) / 2)
    assert (drama.low, drama.high) == (None, None)  # one film says nothing of others
    assert (war.low, war.high) == (0.0, 1.0)


def test_a_source_is_scored_on_its_labels_alone(tmp_path):
    gold, runs = files(tmp_path, SCORES)
    result, _ = score(gold, runs, QUICK)
    groups = result.runs[0].by_source
    assert list(groups) == ["entity", "event", "image"]
    # Images: a_0 has dog alone, a_1 has the wrong one of two first; b_0 and c_0 are irrelevant.
    assert (groups["image"].clips, groups["image"].films) == (2, 1)
    assert groups["image"].measures["ndcg@1"].mean == pytest.approx((1 + 0) / 2)
    assert groups["image"].measures["ndcg@3"].mean == pytest.approx((1 + 1 / LOG3) / 2)
    # Events: only b_0 has a relevant one. Entities: only a_0 has any, also when empty clips count.
    assert groups["event"].clips == 1
    one, _ = score(gold, runs, replace(QUICK, empty="one"))
    assert one.runs[0].by_source["entity"].clips == 1
    assert one.runs[0].by_source["image"].clips == 4


def test_without_genres_or_sources_there_are_no_parts(tmp_path):
    path = tmp_path / "gold.csv"
    path.write_text("clip_id,label,grade\na_0,dog,1\na_0,cat,0\n")
    gold = read_gold(path)
    path = tmp_path / "run.csv"
    path.write_text("clip_id,label,score\na_0,dog,1\na_0,cat,0\n")
    result, _ = score(gold, [read_run(path, gold, "x")], QUICK)
    assert result.runs[0].by_genre == result.runs[0].by_source == {}
    assert result.runs[0].measures["ndcg@1"] == Estimate(1.0, None, None)


def test_intervals_and_tests_are_those_of_the_clips(tmp_path):
    gold, runs = files(tmp_path, SCORES, [-s for s in SCORES], [1.0] * len(SCORES))
    result, values = score(gold, runs, QUICK, [(0, 1), (2, 1)])
    film_of = np.array([0, 0, 1, 2])
    for run, clips in zip(result.runs, values, strict=True):
        low, high = bootstrap(clips, film_of, replicates=200)
        for j, name in enumerate(names((1, 3))):
            estimate = run.measures[name]
            assert estimate.mean == pytest.approx(np.nanmean(clips[:, j]))
            assert (estimate.low, estimate.high) == pytest.approx((low[j], high[j]))
    differences = np.hstack(
        [values[0][:, :2] - values[1][:, :2], values[2][:, :2] - values[1][:, :2]]
    )
    p = sign_flip(differences, film_of, draws=200)
    assert [c.p for c in result.comparisons] == p.tolist()
    # All four stand in one family.
    assert [c.p_holm for c in result.comparisons] == holm(p).tolist()
    assert [(c.a, c.b, c.measure) for c in result.comparisons] == [
        ("run0", "run1", "ndcg@1"), ("run0", "run1", "ndcg@3"),
        ("run2", "run1", "ndcg@1"), ("run2", "run1", "ndcg@3"),
    ]  # fmt: skip
    low, high = bootstrap(differences, film_of, replicates=200)
    assert result.comparisons[3].difference == Estimate(
        pytest.approx(np.nanmean(differences[:, 3])), pytest.approx(low[3]), pytest.approx(high[3])
    )


def test_the_order_of_rows_and_clips_changes_nothing(tmp_path):
    gold, runs = files(tmp_path, SCORES)
    whole, _ = score(gold, runs, QUICK)
    turned = tmp_path / "turned"
    turned.mkdir()
    lines = (tmp_path / "run0.jsonl").read_text().splitlines()
    (turned / "run0.jsonl").write_text("\n".join(reversed(lines)))
    again, _ = score(gold, [read_run(turned / "run0.jsonl", gold, "run0")], QUICK)
    assert replace(again.runs[0], sha256="") == replace(whole.runs[0], sha256="")


def test_references_are_those_of_their_orders(tmp_path):
    gold, runs = files(tmp_path, SCORES)
    result, _ = score(gold, runs, QUICK)
    grades = np.array([2, 0, 1, 0, 1, 1, 0, 0, 0])
    offsets = np.array([0, 3, 5, 7, 9])
    for name, scores in {"oracle": grades, "worst": -grades, "random": grades * 0.0}.items():
        means = np.nanmean(measure(scores, grades, offsets, (1, 3)), axis=0)
        assert list(result.references[name].values()) == pytest.approx(means.tolist())
    assert result.references["random"]["pair_accuracy"] == 0.5
    assert result.references["oracle"]["tau_b"] == 1.0
    # Normalised: between random and oracle, for every measure.
    value, random = result.runs[0].measures["mrr"].mean, result.references["random"]["mrr"]
    assert result.runs[0].normalised["mrr"] == pytest.approx((value - random) / (1 - random))


def test_a_result_goes_through_json_unchanged(tmp_path):
    gold, runs = files(tmp_path, SCORES, [-s for s in SCORES])
    result, _ = score(gold, runs, QUICK, [(0, 1)])
    assert from_json(to_json(result)) == result
    assert "NaN" not in to_json(result)


def test_without_a_bootstrap_there_are_means_alone(tmp_path):
    gold, runs = files(tmp_path, SCORES)
    result, _ = score(gold, runs, replace(QUICK, bootstrap=0))
    assert result.bootstrap is None
    assert result.runs[0].measures["ndcg@1"].low is None
    assert not any("interval" in line for line in notes(result))


def test_per_clip_rows(tmp_path):
    gold, runs = files(tmp_path, SCORES)
    _, values = score(gold, runs, QUICK)
    table = per_clip(gold, runs, values, (1, 3))
    assert table.column_names == ["run", "clip_id", "movie_id", *names((1, 3))]
    assert table["movie_id"].to_pylist() == ["a", "a", "b", "c"]
    assert table["ndcg@1"].to_pylist() == [pytest.approx(1 / 3), 0.0, 1.0, None]


def test_conventions_given_and_not_given():
    assert resolve(None, None, None, None) == ("exp", "average", "skip")
    assert resolve(None, "linear", None, "one") == ("linear", "average", "one")
    assert resolve("paper", None, "stable", None) == ("exp", "stable", "one")
    with pytest.raises(RunError, match="--compat paper means --empty one, not skip"):
        resolve("paper", None, None, "skip")


def test_everything_is_printed_in_full(tmp_path, capsys):
    gold, runs = files(tmp_path, SCORES, [-s for s in SCORES])
    result, _ = score(gold, runs, QUICK, [(0, 1)])
    show(result, full=True)
    printed = capsys.readouterr().out
    for text in ("run0 by genre", "run1 by source", "precision", "recall", "@3", "run0 − run1"):
        assert text in printed
    assert "relevant from grade 1" in printed


@pytest.mark.parametrize("ties", ["average", "stable", "optimistic", "pessimistic"])
def test_random_order_oracle_and_worst_are_the_same_under_every_rule_for_ties(tmp_path, ties):
    gold, runs = files(tmp_path, SCORES)
    references = score(gold, runs, replace(QUICK, ties=ties))[0].references
    # a_0: one of the gains 3, 0, 1 stands first; a_1: 0 or 1; b_0: 1 or 0.
    assert references["random"]["ndcg@1"] == pytest.approx((4 / 9 + 1 / 2 + 1 / 2) / 3)
    assert references["oracle"]["ndcg@1"] == 1.0
    assert references["worst"]["ndcg@1"] == 0.0


def test_a_film_is_what_stands_before_the_last_underscore(tmp_path):
    clips = ("my_film_0", "my_film_1", "my_other_0", "alone")
    for column in ("grade", "score"):
        rows = "".join(f"{clip},dog,1\n" for clip in clips)
        (tmp_path / column).write_text(f"clip_id,label,{column}\n" + rows)
    gold = read_gold(tmp_path / "grade")
    assert gold.film_ids.to_pylist() == ["my_film", "my_other", "alone"]
    assert gold.film_of.tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize(
    ("ties", "second"),
    [("average", 0.5), ("stable", 0.0), ("optimistic", 1.0), ("pessimistic", 0.0)],
)
def test_the_rule_for_ties_holds_within_a_source(tmp_path, ties, second):
    # Of the image labels, a_0 has one, and a_1 dog before the better cat with the same score.
    scores = [0.0, 1.0, 2.0, 4.0, 4.0, 1.0, 0.0, 0.0, 0.0]
    gold, runs = files(tmp_path, scores)
    group = score(gold, runs, replace(QUICK, ties=ties))[0].runs[0].by_source["image"]
    assert group.measures["ndcg@1"].mean == pytest.approx((1.0 + second) / 2)


def test_a_genre_named_twice_counts_a_clip_once(tmp_path):
    gold, runs = files(tmp_path, SCORES)
    twice = replace(gold, genres=pa.array([["War", "War"], ["War"], [], ["War"]]))
    group = score(twice, runs, QUICK)[0].runs[0].by_genre["War"]
    assert (group.clips, group.films) == (2, 1)


def test_the_seed_reaches_intervals_and_tests(tmp_path):
    rng = np.random.default_rng(0)
    keys = [f"f{film}_0,{label}" for film in range(40) for label in "abcd"]
    columns = {"grade": rng.integers(0, 3, 160), "0": rng.random(160), "1": rng.random(160)}
    for name, column in columns.items():
        kind = name if name == "grade" else "score"
        rows = "".join(f"{key},{x}\n" for key, x in zip(keys, column, strict=True))
        (tmp_path / name).write_text(f"clip_id,label,{kind}\n" + rows)
    gold = read_gold(tmp_path / "grade")
    runs = [read_run(tmp_path / name, gold, name) for name in "01"]
    found = [score(gold, runs, replace(QUICK, seed=seed), [(0, 1)])[0] for seed in (0, 0, 1)]
    lows = [[e.low for e in result.runs[0].measures.values()] for result in found]
    ps = [[c.p for c in result.comparisons] for result in found]
    assert lows[0] == lows[1] != lows[2]
    assert ps[0] == ps[1] != ps[2]
    few, _ = score(gold, runs, replace(QUICK, bootstrap=100), [(0, 1)])
    assert all(round(c.p * 101, 6).is_integer() for c in few.comparisons)


def test_names_cannot_break_a_table(tmp_path):
    gold, runs = files(tmp_path, SCORES)
    hostile = "a|b`<script>\n& 100%_$ \\end{x}"
    result, _ = score(gold, [replace(runs[0], name=hostile)], QUICK)
    row = markdown(result).splitlines()[2]
    assert row.replace("\\|", "").count("|") == 4
    assert "<script>" not in row.replace("\\<", "")
    line = tex(result).splitlines()[1]
    assert line.startswith(r"a|b`<script> \& 100\%\_\$ \textbackslash{}end\{x\} & ")
    assert line.endswith(r" \\")


def test_too_few_films_have_no_interval(tmp_path, monkeypatch):
    monkeypatch.setattr("eval.scoring.FEWEST", FEWEST)
    lines = "".join(f"f{i}_0,dog,1\nf{i}_0,cat,0\n" for i in range(10))
    for films in (10, 9, FEWEST, FEWEST - 1):
        rows = "".join(lines.splitlines(keepends=True)[: 2 * films])
        for column in ("grade", "score"):
            (tmp_path / column).write_text(f"clip_id,label,{column}\n" + rows)
        gold = read_gold(tmp_path / "grade")
        result, _ = score(gold, [read_run(tmp_path / "score", gold, "x")], QUICK)
        low = result.runs[0].measures["ndcg@1"].low
        assert low == (1.0 if films >= FEWEST else None)
        narrow = f"the intervals rest on {films} films only and are somewhat too narrow"
        assert (narrow in warnings(result)) == (FEWEST <= films < 10)
    assert "no intervals: fewer films than 5 cannot be resampled" in warnings(result)
    assert not any("% intervals" in line for line in notes(result))


@pytest.mark.parametrize("width", [30, 63, 64, 70, 80, 100, 200])
def test_no_digit_is_lost_in_a_narrow_terminal(tmp_path, capsys, monkeypatch, width):
    gold, runs = files(tmp_path, SCORES, [-s for s in SCORES])
    runs = [replace(run, name=f"a_rather_long_name_{i}") for i, run in enumerate(runs)]
    result, _ = score(gold, runs, Options(bootstrap=200), [(0, 1)])
    printed = []
    for columns in (10_000, width):
        monkeypatch.setattr("eval.report.console", lambda w=columns: Console(width=w))
        show(result, full=True)
        printed.append([line for line in capsys.readouterr().out.splitlines() if line[0] in "┃│┏"])
    wide, narrow = printed
    cells = [set(re.findall(r"[^\s┃│]*\d[^\s┃│]*", " ".join(lines))) for lines in printed]
    assert {cell for cell in cells[0] if "name" not in cell} <= cells[1]
    assert "…" not in " ".join(narrow)
    assert "a_rather_lon" in " ".join(narrow)
    longest = max(map(len, narrow))
    assert longest <= max(width, 63)  # the tables by genre cannot be narrower
    assert (width == 200) == (narrow == wide)


def test_small_things_of_the_report():
    assert interval(Estimate(0.5, 0.1234, 0.9996)) == "[.123, 1.000]"
    assert interval(Estimate(-0.5, -0.1234, 0.02), "+") == "[-.123, +.020]"
    assert interval(Estimate(0.5)) == ""
    assert (p_value(0.0001), p_value(0.0314), p_value(1.0)) == ("< .001", ".031", "1.000")


def test_what_a_reader_should_know_first(tmp_path):
    gold, runs = files(tmp_path, SCORES)
    result, _ = score(gold, runs, QUICK)
    mean = result.runs[0].measures["ndcg@3"].mean
    text = f"run0: with 1 skipped clip as 1, NDCG@3 would read {(3 * mean + 1) / 4:.4f}"
    assert text in warnings(result)
    one, _ = score(gold, runs, replace(QUICK, empty="one"))
    assert one.runs[0].measures["ndcg@3"].mean == pytest.approx((3 * mean + 1) / 4)
    assert any("rest on 3 films only" in line for line in warnings(result))
    assert asdict(result)["schema_version"] == 3
