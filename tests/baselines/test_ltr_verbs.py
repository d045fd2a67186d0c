"""`train listnet` and the other methods of learning to rank, as they are typed."""

import json
import shutil

import pytest
from small_presets import small_presets  # noqa: F401

from baselines.ltr.verbs import ListOptions
from baselines.predict import predict
from lrmovienet.cli import main
from lrmovienet.verbs import VERBS
from lrmovienet.workspace import Workspace

pytestmark = pytest.mark.usefixtures("small_presets")
METHODS = ["listnet", "dlcm", "prm", "gsf", "setrank", "rankformer", "context", "dasalc"]


@pytest.fixture
def workspace(filled, tmp_path) -> Workspace:
    return Workspace(shutil.copytree(filled.root, tmp_path / "w"))


@pytest.fixture
def typed(workspace, capsys):
    """Run a verb of `train`: its exit code, and what it said."""

    def typed(words: str) -> tuple[int, str]:
        capsys.readouterr()
        try:
            code = main(["train", *words.split(), "--workspace", str(workspace.root)])
        except SystemExit as left:
            code = left.code
        said = capsys.readouterr()
        return code, said.out if code == 0 else said.err

    return typed


def manifest(workspace, name):
    return json.loads((workspace.root / "rankers" / name / "manifest.json").read_bytes())


def test_every_method_of_the_room_has_its_verb():
    verbs = [f"train {name}" for name in METHODS]
    assert [v for v, verb in VERBS.items() if verb.module == "baselines.ltr.verbs"] == verbs
    assert {kind.kind for kind in ListOptions.__subclasses__()} == set(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_each_is_trained_in_both_regimes_and_predicts(method, workspace, typed):
    for regime, name in (("R0", method), ("R1", f"{method}-R1")):
        code, said = typed(f"{method} --regime {regime} --epochs 1")
        assert code == 0, said
        assert said.splitlines()[-1].startswith(f"rankers/{name}: 16 source records")
        assert ("target pairs" in said) == (regime == "R1")
        written = manifest(workspace, name)
        assert (written["ranker"], written["regime"]) == (method, regime)
        assert written["percent"] == (10 if regime == "R1" else 0)
        assert set(written["after"]) == ({"lr2ppo-base"} if method in ("dlcm", "prm") else set())
        rows = predict(workspace, name, "target_test").manifest.rows
        assert rows > 0
    assert "up to date" in typed(f"{method} --epochs 1")[1]


def test_names_say_what_is_not_as_usual(workspace, typed):
    for words, name in (
        ("gsf --group 1", "gsf-group1"), ("setrank --inducing 4", "setrank-imsab"),
        ("context --objective ordinal", "context-ordinal"),
        ("prm --personal false", "prm-impersonal"), ("listnet --seed 3", "listnet-seed3"),
        ("listnet --track stage1 --regime R1 --percent 20", "listnet-stage1-R1-pct20"),
        ("rankformer --track trunk", "rankformer-trunk"), ("dasalc --name mine", "mine"),
    ):  # fmt: skip
        code, said = typed(f"{words} --epochs 1")
        assert code == 0 and f"rankers/{name}: " in said


def test_a_ranker_of_other_options_is_replaced_with_a_word(workspace, typed):
    assert "replaces" not in typed("listnet --epochs 1")[1]
    assert "replaces one with other options (--name keeps both)" in typed("listnet --epochs 2")[1]
    assert "replaces" not in typed("listnet --epochs 3 --name third")[1]


def test_options_reach_network_and_training(workspace, typed):
    typed("rankformer --epochs 1 --width 8 --dropout 0.4 --strength 2 --learning_rate 0.01 "
          "--weight_decay 0.5 --lists_a_step 3")  # fmt: skip
    options = manifest(workspace, "rankformer")["options"]
    network = options["network"]
    assert (network["width"], network["dropout"], network["strength"]) == (8, 0.4, 2)
    assert options["optimisation"]["learning_rate"] == 0.01
    assert options["optimisation"]["weight_decay"] == 0.5
    assert (options["epochs"], options["lists_a_step"]) == (1, 3)
    steps = (workspace.root / "rankers" / "rankformer" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in steps] == [6]  # 16 records, 3 a step


def test_prm_reads_stage_1s_vector_unless_told_not_to(workspace, typed):
    typed("prm --epochs 1")
    typed("prm --epochs 1 --personal false --name plain")
    inputs = [
        json.loads((workspace.root / "rankers" / name / "config.json").read_bytes())["inputs"]
        for name in ("prm", "plain")
    ]
    assert inputs[0] == inputs[1] + 16


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("gsf --group 3", "--group 3: give 1 to 2"),
        ("setrank --dropout 1", "--dropout 1.0: give 0 to 0.9"),
        ("listnet --regime R1 --percent 0", "--percent 0: with --regime R1 give 5, 10, 20 or 40"),
        ("listnet --percent 7", "--percent 7: give"),
        ("listnet --base lr2ppo-base", "this ranker does not read stage 1"),
        ("listnet --track stage1 --base nothing", "no ranker 'nothing' here"),
        ("listnet --learning_rate 0", "--learning_rate 0.0: give a number above 0"),
        ("listnet --regime R2", "regime"),
        ("setrank --heads 3", "heads"),
        ("setrank --width 6", "--width 6: give a multiple of 4"),
        ("setrank --compile", "only a trunk is worth it"),
    ],
)
def test_wrong_options_are_one_message_and_make_nothing(words, said, workspace, typed):
    code, message = typed(words)
    assert code == 2 and said in message and message.count("error:") == 1
    assert not (workspace.root / "rankers").exists()
