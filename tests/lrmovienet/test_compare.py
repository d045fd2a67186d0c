"""`lrmovienet compare`: every pair of predictions, with its words and its matrix."""

import json

import pytest

from lrmovienet.cli import main, parse
from lrmovienet.compare import CompareConfig
from lrmovienet.score import ScoreConfig


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Gold of twelve films, and predictions that are right, wrong and constant."""
    monkeypatch.chdir(tmp_path)
    rows = [(f"f{i}_0", label, g) for i in range(12) for label, g in (("dog", 2), ("cat", 0))]
    head = "clip_id,label,{}\n"
    lines = {
        "gold": [f"{c},{label},{g}\n" for c, label, g in rows],
        "right": [f"{c},{label},{g}\n" for c, label, g in rows],
        "wrong": [f"{c},{label},{-g}\n" for c, label, g in rows],
        "same": [f"{c},{label},0\n" for c, label, _ in rows],
    }
    for name, body in lines.items():
        column = "grade" if name == "gold" else "score"
        (tmp_path / f"{name}.csv").write_text(head.format(column) + "".join(body))
    (tmp_path / "config.yaml").write_text("compare: {gold: [gold.csv]}\n")
    return tmp_path


def test_the_matrix(folder, capsys):
    words = ["right.csv", "A=wrong.csv", "same.csv", "--config", "config.yaml", "--json", "o.json"]
    assert main(["compare", *words, "--k", "1", "3"]) == 0
    printed = capsys.readouterr().out
    rows = [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in printed.splitlines()
        if line.startswith("│")
    ]
    # 12 films of one sign: 2 of 4096 patterns, times at most six comparisons.
    assert rows[:3] == [
        ["right", "1.0000", "", "+1.0000**", "+0.5000**"],
        ["A", "0.0000", "-1.0000**", "", "-0.5000**"],
        ["same", "0.5000", "-0.5000**", "+0.5000**", ""],
    ]
    assert len(rows) == 6
    assert "corrected (Holm) for all 6 comparisons here" in printed
    result = json.loads((folder / "o.json").read_text())
    assert [(c["a"], c["b"]) for c in result["comparisons"]][::2] == [
        ("right", "A"), ("right", "same"), ("A", "same")
    ]  # fmt: skip
    assert {c["p"] for c in result["comparisons"]} == {2 / 4096}
    assert {c["p_holm"] for c in result["comparisons"]} == {12 / 4096}


def test_one_alone_cannot_be_compared(folder, capsys):
    assert main(["compare", "right.csv", "--config", "config.yaml"]) == 2
    assert "two or more sets of predictions" in capsys.readouterr().err
    assert main(["compare", "right.csv", "right.csv", "--config", "config.yaml"]) == 2
    assert "two predictions are called 'right'" in capsys.readouterr().err


def test_words_and_lists_of_options():
    given = parse(
        "compare", CompareConfig, ["a", "--k", "1", "5", "--gold", "g", "h", "--seed", "3"]
    )
    assert (given.predictions, given.k, given.seed) == (["a"], (1, 5), 3)
    assert given.gold == ["g", "h"]
    again = parse("compare", CompareConfig, ["--predictions=x", "y", "--k=[2]", "--full", "z"])
    assert (again.predictions, again.k, again.full) == (["x", "y", "z"], (2,), True)
    assert parse("score", ScoreConfig, ["--predictions", "a b", "c=d"]).predictions == [
        "a b",
        "c=d",
    ]


def test_a_verb_without_words_refuses_them(capsys):
    with pytest.raises(SystemExit) as left:
        main(["status", "stray"])
    assert left.value.code == 2
    assert "stray" in capsys.readouterr().err
