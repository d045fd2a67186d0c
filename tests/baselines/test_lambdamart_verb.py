"""`lrmovienet train lambdamart`, from options to predictions."""

import json
import shutil
from dataclasses import asdict, fields

import pytest

from baselines.lambdamart import TreeOptions
from baselines.lambdamart_verb import BOUNDS, TrainLambdaMART
from lrmovienet.cli import main
from lrmovienet.workspace import Workspace

FEW = ["--trees", "5", "--min_data", "2"]


@pytest.fixture
def workspace(filled, tmp_path) -> Workspace:
    return Workspace(shutil.copytree(filled.root, tmp_path / "w"))


@pytest.fixture
def lambdamart(workspace, capsys):
    """Run the verb; its exit status and all that it said."""

    def lambdamart(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        status = main(["train", "lambdamart", *words, "--workspace", str(workspace.root)])
        said = capsys.readouterr()
        return status, said.out + said.err

    return lambdamart


def manifest(workspace: Workspace, name: str) -> dict:
    return json.loads((workspace.root / "rankers" / name / "manifest.json").read_bytes())


def test_from_options_to_predictions(workspace, lambdamart, capsys):
    status, said = lambdamart(*FEW)
    assert status == 0 and "rankers/lambdamart: 16 source records, " in said
    assert "target pairs" not in said
    assert lambdamart(*FEW) == (0, "rankers/lambdamart: up to date\n")
    made = manifest(workspace, "lambdamart")
    assert (made["regime"], made["percent"], made["seed"]) == ("R0", 0, 0)
    assert made["options"] == asdict(TreeOptions(trees=5, min_data=2))
    assert "pairs" not in made["inputs"] and "features" in made["inputs"]
    for _ in range(2):
        assert main(["predict", "--ranker", "lambdamart", "--workspace", str(workspace.root)]) == 0
    assert "up to date" in capsys.readouterr().out.splitlines()[-1]
    rows = workspace.read("predictions/target_test/lambdamart").to_pylist()
    assert len({row["score"] for row in rows}) > 3


def test_pairs_make_it_r1_under_a_name_of_its_own(workspace, lambdamart):
    pairs = sum(row["percent"] <= 20 for row in workspace.read("pairs").to_pylist())
    status, said = lambdamart(*FEW, "--regime", "R1", "--percent", "20", "--seed", "3")
    assert status == 0
    assert f"rankers/lambdamart-R1-pct20-seed3: 16 source records, {pairs} target pairs, " in said
    made = manifest(workspace, "lambdamart-R1-pct20-seed3")
    assert (made["regime"], made["percent"], made["seed"]) == ("R1", 20, 3)
    assert lambdamart(*FEW, "--regime", "R1")[1].startswith("rankers/lambdamart-R1: ")
    assert manifest(workspace, "lambdamart-R1")["percent"] == 10
    assert lambdamart(*FEW, "--objective", "xendcg")[1].startswith("rankers/lambdamart-xendcg: ")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--percent 7", "--percent 7"),
        ("--regime R1 --percent 0", "--percent 0: with --regime R1"),
        ("--seed -1", "--seed -1"),
        ("--trees 0", "--trees 0: give 1 to"),
        ("--learning_rate 0", "--learning_rate 0.0: give"),
        ("--leaves 1", "--leaves 1: give 2 to"),
        ("--column_share 1.5", "--column_share 1.5: give 0.01 to 1"),
        ("--pair_weight -1", "--pair_weight -1.0: give 0 to 1e+06"),
    ],
)
def test_wrong_numbers_are_refused(words, named, workspace, lambdamart):
    status, said = lambdamart(*words.split())
    assert status == 2 and named in said
    assert not (workspace.root / "rankers").exists()


def test_options_are_those_of_the_trees():
    """An option that no tree knows of would be taken and do nothing."""
    common = {"workspace", "data", "name", "features", "regime", "percent"}
    given = {field.name: field.default for field in fields(TrainLambdaMART)}
    assert {name: given[name] for name in given if name not in common} == asdict(TreeOptions())
    assert set(BOUNDS) == {f.name for f in fields(TreeOptions)} - {"objective", "seed"}
