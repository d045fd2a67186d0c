"""The verbs of LR²PPO's controls: what each makes, names, takes as it is, or refuses."""

import json
import shutil
from dataclasses import fields
from typing import get_args

import pytest
from small_presets import small_presets  # noqa: F401

import baselines.distillation as distillation
import baselines.grpo as grpo
import baselines.pl_rank as pl_rank
import baselines.preference as preference
from baselines.control_verbs import TrainDistillation, TrainGRPO, TrainPLRank
from baselines.learning.machine import Machine
from baselines.options import BOUNDS, MachineOptions, with_options
from baselines.preference_verb import TrainPreference
from lrmovienet.cli import main
from lrmovienet.workspace import Workspace

pytestmark = pytest.mark.usefixtures("small_presets")


@pytest.fixture
def workspace(filled, tmp_path) -> Workspace:
    return Workspace(shutil.copytree(filled.root, tmp_path / "w"))


@pytest.fixture
def run(workspace, capsys):
    """Run a verb of `train`: its code, its lines ranker -> what came of it, and its message."""

    def run(words: str):
        capsys.readouterr()
        try:
            code = main(["train", *words.split(), "--workspace", str(workspace.root)])
        except SystemExit as left:
            code = left.code
        said = capsys.readouterr()
        lines = said.out.splitlines()
        return code, dict(x.removeprefix("rankers/").split(": ", 1) for x in lines), said.err

    return run


def manifest(workspace: Workspace, name: str) -> dict:
    return json.loads((workspace.root / "rankers" / name / "manifest.json").read_bytes())


def test_a_loss_that_is_not_usual_is_in_the_name(workspace, run):
    code, lines, _ = run("preference --epochs 1")
    assert (code, list(lines)) == (0, ["lr2ppo-base", "preference"])
    for loss in ("dpo", "ipo", "hinge", "pl-dpo"):
        code, lines, _ = run(f"preference --loss {loss} --epochs 1 --beta 0.3 --percent 20")
        name = f"preference-{loss}-pct20"
        assert (code, list(lines)) == (0, ["lr2ppo-base", name])
        assert lines["lr2ppo-base"] == "up to date"
        made = manifest(workspace, name)
        assert (made["ranker"], made["regime"]) == ("preference", "R1")
        options = made["options"]
        assert (options["loss"], options["beta"], options["epochs"]) == (loss, 0.3, 1)
    assert manifest(workspace, "preference-pl-dpo-pct20")["options"]["source_pairs"] > 190
    assert list(run("preference --loss dpo --seed 1 --epochs 1")[1])[-1] == "preference-dpo-seed1"


@pytest.mark.parametrize("verb", ["pl-rank", "grpo"])
def test_policy_gradients_see_pairs_or_grades_alone(workspace, run, verb):
    code, lines, _ = run(f"{verb} --epochs 1")
    assert (code, list(lines)) == (0, ["lr2ppo-base", verb])
    pairs = sum(row["percent"] <= 10 for row in workspace.read("pairs").to_pylist())
    assert f", {pairs} target pairs, " in lines[verb] and "target records" not in lines[verb]
    assert manifest(workspace, verb)["regime"] == "R1"
    assert run(f"{verb} --epochs 1")[1][verb] == "up to date"
    shutil.rmtree(workspace.root / "pairs")
    code, lines, _ = run(f"{verb} --epochs 1 --percent 0 --base lr2ppo-base")
    assert (code, list(lines)) == (0, [f"{verb}-pct0"])
    made = manifest(workspace, f"{verb}-pct0")
    assert (made["regime"], made["after"]) == ("R0", ["lr2ppo-base"])
    assert "pairs" not in made["inputs"]


def test_distillation_makes_both_stages_before_it_or_takes_those_named(workspace, run):
    code, lines, _ = run("distillation --epochs 1")
    assert (code, list(lines)) == (0, ["lr2ppo-base", "lr2ppo-reward", "distillation"])
    assert " target records, " in lines["distillation"]
    made = manifest(workspace, "distillation")
    assert made["regime"] == "R2" and made["after"] == ["lr2ppo-base", "lr2ppo-reward"]
    run("lr2ppo-reward --base lr2ppo-base --seed 7 --name z")
    words = "distillation --epochs 1 --base lr2ppo-base --reward lr2ppo-reward z --name both"
    code, lines, _ = run(words)
    assert (code, list(lines)) == (0, ["both"])
    made = manifest(workspace, "both")
    assert made["after"] == ["lr2ppo-base", "lr2ppo-reward", "z"]
    assert made["options"]["rewards"] == 2
    # The very stages of LR²PPO are shared with it.
    lines = run("lr2ppo")[1]
    assert [name for name, came in lines.items() if came == "up to date"] == [
        "lr2ppo-base", "lr2ppo-reward",
    ]  # fmt: skip


@pytest.mark.parametrize("verb", ["preference --loss dpo", "pl-rank", "grpo", "distillation"])
def test_what_was_trained_predicts(workspace, run, verb, capsys):
    assert run(f"{verb} --epochs 1 --name x")[0] == 0
    words = ["predict", "--workspace", str(workspace.root), "--ranker", "x"]
    assert main([*words, "--split", "target_dev"]) == 0


WRONG = {
    "preference --beta 0.5": "--beta 0.5: ranknet has none. Leave it out, or give --loss dpo",
    "preference --loss ipo --label_smoothing 0.1": "--label_smoothing 0.1: ipo has none",
    "preference --loss dpo --label_smoothing 0.5": "--label_smoothing 0.5: give 0 or more, 0.49",
    "preference --loss dpo --beta 0": "--beta 0.0: give a number above 0",
    "preference --loss kto": "--loss kto: give ranknet, dpo, ipo, hinge or pl-dpo",
    "pl-rank --samples 1": "--samples 1: give 2 or more",
    "pl-rank --temperature 0": "--temperature 0.0: give a number above 0",
    "pl-rank --passes 2": "--passes 2",
    "grpo --percent 7": "--percent 7: give 0, 5, 10, 20 or 40",
    "grpo --kl_weight -1": "--kl_weight -1.0: give 0 or more",
    "grpo --clips_a_step 0": "--clips_a_step 0: give 1 or more",
    "grpo --base none": "no ranker 'none' here",
    "distillation --reward none": "no ranker 'none' here",
    "distillation --start scratch": "--start scratch: give base or reward",
    "distillation --name ../x": "--name '../x': give letters",
    "distillation --name lr2ppo-reward": "is the ranker that this one starts from",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_option_is_one_message_and_nothing_is_made(workspace, run, words):
    code, lines, said = run(words)
    assert code == 2 and not lines and said.count("error:") == 1
    assert WRONG[words] in said
    assert not (workspace.root / "rankers").exists()


@pytest.mark.parametrize(
    ("kind", "usual"),
    [
        (TrainPreference, preference.RECOMMENDED["dpo"]), (TrainPLRank, pl_rank.PLRankConfig()),
        (TrainGRPO, grpo.GRPOConfig()), (TrainDistillation, distillation.DistillationConfig()),
    ],
)  # fmt: skip
def test_every_option_reaches_its_config(kind, usual):
    """An option that no config has would be taken and do nothing."""
    common = {f.name for f in fields(MachineOptions)} | {"percent", "base", "reward", "loss"}
    for field in fields(kind):
        if field.name in common:
            continue
        least, most = BOUNDS.get(field.name, (None, None))
        words = get_args(get_args(field.type)[0])
        values = [0.4, 3, 7] if least is not None else list(words)
        allowed = [v for v in values if least is None or least <= v <= most]
        found = [with_options(usual, kind(**{field.name: value}), Machine()) for value in allowed]
        assert any(config != usual for config in found), field.name
