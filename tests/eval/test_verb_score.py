"""`lrmovienet score`: the program of the same name, and a workspace to find files in."""

import json
import shutil
from pathlib import Path

import pytest
from three_clips import C1_AT_3, C2_AT_3, GOLD, SCORES, means

from eval.score import main
from lrmovienet import cli
from lrmovienet.runner.local import run_once
from lrmovienet.workspace import Workspace


@pytest.fixture(autouse=True)
def _any_number_of_films(monkeypatch):
    """Cases worked out by hand have three films, too few for the intervals that people get."""
    monkeypatch.setattr("eval.scoring.FEWEST", 2)


def _workspace(root):
    workspace = Workspace(root)

    def columns(names, rows):
        return {name: [row[i] for row in rows] for i, name in enumerate(names.split())}

    def records():
        rest = ("tt1", [], "image")
        rows = [
            (c, "target", "target_test", i, *graded, *rest) for i, (c, *graded) in enumerate(GOLD)
        ]
        rows.append(("c9", "target", "target_dev", 0, "dog", 2, *rest))
        return columns("clip_id domain split position label grade movie_id genres source", rows)

    def predictions():
        return columns("clip_id label score", SCORES)

    run_once(workspace, "records", records, version="1", inputs={}, config={})
    for name in ("predictions/target_test/mine", "predictions/target_test/lr2ppo/s1"):
        run_once(workspace, name, predictions, version="1", inputs={}, config={})
    return workspace


def test_the_verb_scores_every_prediction_of_a_workspace(files, capsys):
    _workspace(files / "w")
    assert cli.main(["score", "--workspace", "w", "--k", "1", "3"]) == 0
    printed = capsys.readouterr().out
    assert "(random)" in printed
    assert "written: w/results/target_test.json" in printed
    result = json.loads(Path("w/results/target_test.json").read_text())
    assert [run["name"] for run in result["runs"]] == ["lr2ppo/s1", "mine"]
    value = (C1_AT_3 + C2_AT_3) / 2
    assert means(result["runs"][0])["ndcg@3"] == pytest.approx(value, abs=1e-12)
    # The same numbers as the program that people submit to.
    mine = [
        "--predictions",
        "mine=w/predictions/target_test/mine",
        "--split",
        "target_test",
        "--k",
        "1",
        "3",
    ]
    assert main(["--gold", "w/records", *mine, "--json", "out.json"]) == 0
    assert json.loads(Path("out.json").read_text())["runs"] == result["runs"][1:]


def test_the_verb_says_what_is_wrong(files, capsys):
    assert cli.main(["score", "--workspace", "w"]) == 2
    assert "lrmovienet split" in capsys.readouterr().err
    workspace = _workspace(files / "w")
    shutil.copytree("w/predictions/target_test", "w/predictions/target_dev")
    assert cli.main(["score", "--workspace", "w", "--split", "target_dev"]) == 2
    assert "this clip is not in gold (split target_dev)" in capsys.readouterr().err
    assert not (files / "w" / "results").exists()
    shutil.rmtree(workspace.root / "predictions")
    assert cli.main(["score", "--workspace", "w"]) == 2
    assert "lrmovienet predict" in capsys.readouterr().err


def test_the_verb_takes_files_and_options(files, capsys):
    options = ["--gold", "gold.jsonl", "--predictions", "A=mine.jsonl", "--json", "out.json"]
    more = ["--ties", "optimistic", "--empty", "one", "--markdown"]
    rows = [{"clip_id": c, "label": label, "grade": g, "split": "s"} for c, label, g in GOLD]
    Path("gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert cli.main(["score", "--split", "s", *options, *more]) == 0
    assert "| A | " in capsys.readouterr().out
    result = json.loads(Path("out.json").read_text())
    assert (result["conventions"]["ties"], result["conventions"]["empty"]) == ("optimistic", "one")
    assert [run["name"] for run in result["runs"]] == ["A"]
