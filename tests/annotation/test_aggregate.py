"""`aggregate`: tables in, tables out, and what is said of circles."""

import json

import pytest

from annotation.aggregate import AggregateConfig, run
from annotation.relevance import ADJUDICATION
from annotation.report import AgreementConfig, measure
from lrmovienet.cli import main
from lrmovienet.runner.local import run_once
from lrmovienet.schema import TABLES
from lrmovienet.workspace import Workspace

COMMON = {"lead_time_s": None, "created_at": None, "guidelines_version": "1", "position": None}
CIRCLE = [("x", "y"), ("y", "z"), ("z", "x")]


def put(workspace: Workspace, table: str, rows: list[dict]) -> None:
    names = rows[0] if rows else TABLES[table].schema.names
    columns = {name: [row[name] for row in rows] for name in names}
    run_once(
        workspace, table, lambda: columns, version="pull-1", inputs={"n": repr(rows)}, config={}
    )


def rating(label: str, annotator: str, grade: int, project: str = "grading") -> dict:
    return {"clip_id": "c", "label": label, "annotator": annotator, "grade": grade,
            "project": project, "preannotated": False, **COMMON}  # fmt: skip


def choice(a: str, b: str, said: str, clip_id: str = "c") -> dict:
    return {"clip_id": clip_id, "label_a": a, "label_b": b, "annotator": "ann", "choice": said,
            "project": "pairs", **COMMON}  # fmt: skip


def screening(label: str, verdict: str, correction: str | None = None) -> dict:
    return {"clip_id": "c", "label": label, "annotator": "ann", "verdict": verdict,
            "correction": correction, "project": "screening", **COMMON}  # fmt: skip


def candidate(label: str, position: int) -> dict:
    source = {"kind": "event", "model": "m", "score": None}
    return {"clip_id": "c", "label": label, "position": position, "sources": [source]}


def test_everything_that_people_said_becomes_tables(tmp_path, capsys):
    workspace = Workspace(tmp_path)
    put(workspace, "candidates", [candidate(x, i) for i, x in enumerate(("dgo", "cat", "asdf"))])
    put(workspace, "screenings", [screening("dgo", "correct", "dog"), screening("asdf", "drop")])
    put(workspace, "ratings", [rating("dog", "ann", 2), rating("dog", "bob", 0),
                               rating("cat", "ann", 1)])  # fmt: skip
    put(workspace, "pair_ratings", [choice("dog", "cat", "a"), choice("rain", "cat", "tie")])
    run(AggregateConfig(tmp_path, min_ratings=2))
    assert workspace.read("screened").column("label").to_pylist() == ["dog", "cat"]
    assert workspace.candidates_table == "screened"
    (dropped,) = workspace.read_dropped("screened").to_pylist()
    assert (dropped["label"], dropped["reason"]) == ("asdf", "screening: dropped by 1 of 1")
    assert workspace.read("relevance").to_pylist() == [
        {"clip_id": "c", "label": "dog", "grade": 0, "n_ratings": 2, "spread": 2,
         "method": "median-low"}
    ]  # fmt: skip
    (dropped,) = workspace.read_dropped("relevance").to_pylist()
    assert (dropped["label"], dropped["reason"]) == ("cat", "rated 1 times, fewer than 2")
    (preferred,) = workspace.read("preferences").to_pylist()
    assert (preferred["better"], preferred["worse"], preferred["n"]) == ("dog", "cat", 1)
    (dropped,) = workspace.read_dropped("preferences").to_pylist()
    assert dropped["reason"] == "no majority between 'cat' and 'rain'"
    strengths = {
        r["label"]: (r["strength"], r["n"]) for r in workspace.read("strengths").to_pylist()
    }
    assert strengths["dog"][0] > strengths["rain"][0] > strengths["cat"][0]
    assert [n for _, n in strengths.values()] == [2, 1, 1]
    assert "circles in 0 of 1 clips" in " ".join(capsys.readouterr().out.split())


def test_a_second_run_changes_nothing_and_another_method_does(tmp_path, capsys):
    workspace = Workspace(tmp_path)
    put(workspace, "ratings", [rating("dog", f"a{i}", g) for i, g in enumerate((0, 0, 1, 2, 2))])
    run(AggregateConfig(tmp_path))
    first = workspace.require("relevance")
    capsys.readouterr()
    run(AggregateConfig(tmp_path))
    assert "relevance: up to date (1 rows)" in capsys.readouterr().out
    assert workspace.require("relevance") == first
    for method, grade in (("majority", 0), ("median", 1)):
        run(AggregateConfig(tmp_path, method=method))
        assert workspace.read("relevance").column("grade").to_pylist() == [grade]


# What ann and bob say of a label, what one or two adjudicators do, and what it is in the end.
JUDGED = {
    "l0": ("02", "12", 1), "l1": ("20", "21", 1), "l2": ("02", "02", 0), "l3": ("20", "20", 0),
    "l4": ("02", "22", 2), "l5": ("21", ".2", 2),
}  # fmt: skip


@pytest.mark.parametrize("turn", [1, -1])
def test_of_two_adjudicators_report_and_relevance_take_the_same_word(turn, tmp_path):
    """The lower one, whoever says it: not the first or last that was said, nor the higher one."""
    workspace, rows = Workspace(tmp_path), []
    for label, (said, last, _) in JUDGED.items():
        for name, grade in zip(("ann", "bob"), said, strict=True):
            rows.append(rating(label, name, int(grade)))
        for name, grade in zip(("judge", "umpire"), last, strict=True):
            if grade != ".":
                rows.append(rating(label, name, int(grade), ADJUDICATION))
    put(workspace, "ratings", rows[::turn])
    run(AggregateConfig(tmp_path))
    decided = {label: word for label, (_, _, word) in JUDGED.items()}
    final = workspace.read("relevance").to_pylist()
    assert {row["label"]: row["grade"] for row in final} == decided
    assert {row["method"] for row in final} == {"adjudicated"}
    found = measure(workspace, AgreementConfig(tmp_path, resamples=100))["grading"]
    # ann is right on l2 and l5 and far off on l3 and l4, bob right on l3 and l4 and far off on l2.
    assert [found["annotators"][name]["adjudicated"] for name in ("ann", "bob")] == [
        {"n": 6, "right": 2, "one_off": 2, "far": 2},
        {"n": 6, "right": 2, "one_off": 3, "far": 1},
    ]
    assert found["disputed"]["far_apart_and_adjudicated"] == 5
    # With the last words in it, everybody says what was decided.
    assert found["alpha_after_adjudication"]["value"] == 1.0
    assert set(found["annotators"]) == {"ann", "bob"}


def test_circles_are_counted_and_written_down(tmp_path, capsys):
    workspace = Workspace(tmp_path)
    rows = [choice(a, b, "a") for a, b in CIRCLE] + [choice("x", "y", "a", "d")]
    put(workspace, "pair_ratings", rows)
    run(AggregateConfig(tmp_path))
    said = " ".join(capsys.readouterr().out.split())
    assert "circles in 1 of 2 clips (1 of 3 labels)" in said
    path = tmp_path / "annotation" / "cycles.json"
    assert json.loads(path.read_bytes()) == {
        "clips": 2, "clips_with_cycles": 1, "cycles": {"c": [["x", "y", "z"]]},
    }  # fmt: skip
    # A circle makes all three equal.
    found = {(r["clip_id"], r["label"]): r for r in workspace.read("strengths").to_pylist()}
    assert all(abs(found["c", x]["strength"]) < 1e-8 for x in "xyz")
    # Once it is broken, the file says so too.
    put(workspace, "pair_ratings", rows[1:])
    run(AggregateConfig(tmp_path))
    assert json.loads(path.read_bytes())["cycles"] == {}


def test_answers_that_nobody_gave_yet_are_empty_tables(tmp_path):
    """Pulled before anybody began."""
    workspace = Workspace(tmp_path)
    put(workspace, "candidates", [candidate("dog", 0)])
    for table in ("screenings", "ratings", "pair_ratings"):
        put(workspace, table, [])
    for method in ("median", "majority", "dawid-skene"):
        run(AggregateConfig(tmp_path, method=method))
        for table in ("relevance", "preferences", "strengths"):
            assert workspace.require(table).rows == 0
    assert workspace.read("screened").column("label").to_pylist() == ["dog"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nobody has said anything here yet. Run first: lrmovienet annotate pull"),
        (["--method", "mean"], "median"),
        (["--min_ratings", "two"], "--min_ratings"),
    ],
)
def test_what_is_wrong_ends_in_one_message(words, message, tmp_path, capsys):
    try:
        code = main(["aggregate", "--workspace", str(tmp_path), *words])
    except SystemExit as left:
        code = left.code
    err = capsys.readouterr().err
    assert code == 2
    assert message in err
    assert "Traceback" not in err


def test_screenings_without_candidates_say_what_is_missing(tmp_path, capsys):
    put(Workspace(tmp_path), "screenings", [screening("dog", "keep")])
    assert main(["aggregate", "--workspace", str(tmp_path)]) == 2
    assert "no table 'candidates' here yet. Run first: lrmovienet merge" in capsys.readouterr().err
