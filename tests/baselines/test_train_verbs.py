"""The verbs of `train`: which rankers each makes, takes as they are, or refuses."""

import json
import shutil
from dataclasses import fields, replace
from pathlib import Path
from typing import get_args

import pytest
from small_presets import SMALL, small_presets  # noqa: F401
from tiny_corpus import Pictures, Words, write_table

from baselines.lr2ppo.presets import PRESETS
from baselines.lr2ppo.stages import stage_of
from baselines.lr2ppo.verbs import TrainBase, TrainPPO, TrainReward
from baselines.options import BOUNDS, MachineOptions, PresetName
from baselines.train import trained
from lrmovienet.cli import main
from lrmovienet.encode import encode
from lrmovienet.errors import UserError
from lrmovienet.workspace import Workspace

pytestmark = pytest.mark.usefixtures("small_presets")
STAGES = ["lr2ppo-base", "lr2ppo-reward", "lr2ppo"]


@pytest.fixture
def workspace(filled, tmp_path) -> Workspace:
    return Workspace(shutil.copytree(filled.root, tmp_path / "w"))


@pytest.fixture
def train(workspace, capsys):
    """Run a verb of `train` and give its lines: ranker -> what came of it."""

    def train(words: str, root: Path = workspace.root) -> dict[str, str]:
        capsys.readouterr()
        assert main(["train", *words.split(), "--workspace", str(root)]) == 0, words
        lines = capsys.readouterr().out.splitlines()
        assert all(line.startswith("rankers/") for line in lines)
        return dict(line.removeprefix("rankers/").split(": ", 1) for line in lines)

    return train


@pytest.fixture
def refused(workspace, capsys):
    """Run a verb of `train` that must fail and change nothing, and give its one message."""

    def refused(words: str) -> str:
        before = contents(workspace.root)
        capsys.readouterr()
        try:
            code = main(["train", *words.split(), "--workspace", str(workspace.root)])
        except SystemExit as left:
            code = left.code
        said = capsys.readouterr()
        assert (code, said.out) == (2, "")
        assert said.err.count("error:") == 1 and "Traceback" not in said.err
        assert contents(workspace.root) == before
        return said.err

    return refused


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


def manifest(workspace: Workspace, name: str) -> dict:
    return json.loads((workspace.root / "rankers" / name / "manifest.json").read_bytes())


def up_to_date(lines: dict[str, str]) -> list[str]:
    return [name for name, came in lines.items() if came == "up to date"]


def test_the_last_stage_makes_those_before_it_and_then_nothing(workspace, train):
    lines = train("lr2ppo")
    assert list(lines) == STAGES and up_to_date(lines) == []
    assert lines["lr2ppo-base"].startswith("16 source records, ")
    pairs = sum(row["percent"] <= 10 for row in workspace.read("pairs").to_pylist())
    records = len({r["clip_id"] for r in rows_of(workspace, "target_pairs")})
    assert f", {pairs} target pairs, {records} target records, " in lines["lr2ppo"]
    before = contents(workspace.root)
    assert up_to_date(train("lr2ppo")) == STAGES
    assert contents(workspace.root) == before
    found = [manifest(workspace, name) for name in STAGES]
    assert [m["ranker"] for m in found] == STAGES
    assert [m["regime"] for m in found] == ["R0", "R1", "R2"]
    assert [m["after"] for m in found] == [[], STAGES[:1], STAGES[:2]]
    assert found[2]["inputs"]["rankers/lr2ppo-reward"] == found[1]["digest"]


def rows_of(workspace: Workspace, split: str) -> list[dict]:
    return [row for row in workspace.read("records").to_pylist() if row["split"] == split]


@pytest.mark.slow
def test_what_is_unusual_is_in_the_name_and_the_rest_is_shared(train):
    train("lr2ppo")
    few = train("lr2ppo --percent 5")
    assert list(few) == ["lr2ppo-base", "lr2ppo-reward-pct5", "lr2ppo-pct5"]
    assert up_to_date(few) == ["lr2ppo-base"]
    seed = [f"{name}-seed1" for name in STAGES]
    assert list(train("lr2ppo --seed 1")) == seed
    both = train("lr2ppo --seed 1 --percent 40")
    assert list(both) == [seed[0], "lr2ppo-reward-pct40-seed1", "lr2ppo-pct40-seed1"]
    assert up_to_date(both) == seed[:1]
    assert list(train("lr2ppo --preset paper")) == [f"{name}-paper" for name in STAGES]
    assert list(train("lr2ppo --name mine")) == [*STAGES[:2], "mine"]
    assert list(train("preference --percent 20")) == ["lr2ppo-base", "preference-pct20"]
    assert list(train("random --seed 2")) == ["random-seed2"]


def test_a_reward_model_from_scratch_needs_no_stage_1(workspace, train):
    assert list(train("lr2ppo-reward --preset paper")) == ["lr2ppo-reward-paper"]
    assert manifest(workspace, "lr2ppo-reward-paper")["after"] == []


def test_several_reward_models_are_made_of_seeds_far_apart(workspace, train, monkeypatch):
    ppo = replace(SMALL.ppo, rewards=2)
    monkeypatch.setitem(PRESETS, "recommended", replace(SMALL, ppo=ppo))
    made = ["lr2ppo-base-seed1", "lr2ppo-reward-seed1", "lr2ppo-reward-seed1001", "lr2ppo-seed1"]
    assert list(train("lr2ppo --seed 1")) == made
    assert up_to_date(train("lr2ppo --seed 1")) == made
    assert manifest(workspace, made[2])["after"] == made[:1]
    assert manifest(workspace, made[3])["after"] == made[:3]


def test_stages_that_are_named_are_taken_as_they_are(workspace, train, refused):
    train("lr2ppo-base --epochs 1 --name x")
    lines = train("lr2ppo-reward --base x")
    assert list(lines) == ["lr2ppo-reward-x"]
    train("lr2ppo-reward --base x --seed 7 --name z")
    lines = train("lr2ppo --base x --reward lr2ppo-reward-x z")
    assert list(lines) == ["lr2ppo"]
    made = manifest(workspace, "lr2ppo")
    assert made["after"] == ["x", "lr2ppo-reward-x", "z"]
    assert made["options"]["rewards"] == 2
    # The mean of two is another reward than either.
    weights = workspace.root / "rankers" / "lr2ppo" / "metrics.jsonl"
    of_both = weights.read_bytes()
    train("lr2ppo --base x --reward z")
    assert weights.read_bytes() != of_both
    # Of a named stage 1 comes another reward model than of the usual one.
    assert list(train("lr2ppo --base x")) == ["lr2ppo-reward-x", "lr2ppo"]
    assert trained(workspace) == ["lr2ppo", "lr2ppo-reward-x", "x", "z"]
    assert "names one twice" in refused("lr2ppo --base x --reward z z")


@pytest.mark.slow
def test_the_order_of_reward_models_counts(workspace, train):
    """A critic begins as the first of them."""
    train("lr2ppo-reward --name y")
    train("lr2ppo-reward --name z --seed 1 --base lr2ppo-base")
    train("lr2ppo --reward y z")
    assert up_to_date(train("lr2ppo --reward z y")) == ["lr2ppo-base"]


def test_a_stage_that_was_trained_otherwise_is_not_overwritten(workspace, train, refused):
    train("lr2ppo-base --epochs 1")
    for verb in ("lr2ppo", "lr2ppo-reward", "preference"):
        said = refused(verb)
        assert "rankers/lr2ppo-base: was trained with other options" in said
        assert "(epochs 1)" in said and "--base lr2ppo-base" in said and "--name" in said
    assert list(train("lr2ppo-reward --base lr2ppo-base --margin 0.5")) == ["lr2ppo-reward"]
    said = refused("lr2ppo --base lr2ppo-base")
    assert "(margin 0.5)" in said and "--reward lr2ppo-reward" in said
    assert list(train("lr2ppo --base lr2ppo-base --reward lr2ppo-reward")) == ["lr2ppo"]


def test_a_stage_2_of_another_stage_1_is_not_overwritten(train, refused):
    train("lr2ppo-base --epochs 1 --name x")
    train("lr2ppo-reward --base x --name lr2ppo-reward")
    train("lr2ppo-base")
    assert "(--base x)" in refused("lr2ppo")


def test_how_features_are_read_makes_no_other_ranker(train):
    train("lr2ppo-base")
    assert up_to_date(train("lr2ppo-base --workers 1")) == ["lr2ppo-base"]
    assert up_to_date(train("lr2ppo-base --threads 2")) == []


@pytest.mark.slow
def test_what_follows_changed_tables_is_made_again(workspace, train):
    train("lr2ppo")
    rows = workspace.read("pairs").to_pylist()
    write_table(workspace, "pairs", rows[1:])
    assert up_to_date(train("lr2ppo")) == ["lr2ppo-base"]
    rows = workspace.read("records").to_pylist()
    rows[0]["grade"] = 2 - rows[0]["grade"]
    write_table(workspace, "records", rows)
    encode(workspace, Words(), Pictures(), 16)
    assert up_to_date(train("lr2ppo")) == []
    assert up_to_date(train("lr2ppo")) == STAGES


def test_a_ranker_of_the_wrong_kind_is_refused_by_name(train, refused):
    train("lr2ppo-reward")
    said = refused("lr2ppo --reward lr2ppo-base")
    assert "--reward lr2ppo-base: is a ranker of lr2ppo-base; give one of lr2ppo-reward." in said
    for verb in ("lr2ppo", "lr2ppo-reward", "preference"):
        said = refused(f"{verb} --base lr2ppo-reward --name y")
        assert "--base lr2ppo-reward: is a ranker of lr2ppo-reward; give one of lr2ppo-base" in said
        assert "no ranker 'none' here (there are: lr2ppo-base, " in refused(f"{verb} --base none")
    assert "no ranker '../w' here" in refused("lr2ppo --base ../w")
    for name in ("lr2ppo-base", "lr2ppo-reward"):
        assert "is the ranker that this one starts from" in refused(f"lr2ppo --name {name}")
    assert "starts from" in refused("lr2ppo-reward --base lr2ppo-base --name lr2ppo-base")


WRONG = {
    "lr2ppo --preset best": "--preset best: give recommended, paper or released",
    "lr2ppo --seed -1": "--seed -1: give 0 or more",
    "random --seed -1": "--seed -1: give 0 or more",
    "lr2ppo --percent 7": "--percent 7: give 0, 5, 10, 20 or 40",
    "lr2ppo-reward --percent -5": "--percent -5: give 0, 5, 10, 20 or 40",
    "preference --percent 100": "--percent 100: give 0, 5, 10, 20 or 40",
    "lr2ppo --learning_rate 0": "--learning_rate 0.0: give a number above 0",
    "lr2ppo-base --learning_rate -1": "--learning_rate -1.0: give a number above 0",
    "lr2ppo-base --learning_rate nan": "--learning_rate nan: give a number",
    "lr2ppo-base --learning_rate .nan": "--learning_rate nan: give a number above 0",
    "preference --learning_rate .inf": "--learning_rate inf: give a number above 0",
    "lr2ppo-base --epochs 0": "--epochs 0: give 1 or more",
    "lr2ppo --pool_share 2": "--pool_share 2.0: give a number above 0, 1 at most",
    "lr2ppo --pool_share 0": "--pool_share 0.0: give a number above 0, 1 at most",
    "lr2ppo --gamma 2": "--gamma 2.0: give 0 or more, 1 at most",
    "lr2ppo --delta .nan": "--delta nan: give a finite number",
    "lr2ppo --threads 0": "--threads 0: give 1 to 4096",
    "lr2ppo --device tpu": "--device tpu: give cpu or cuda",
    "lr2ppo --name ../x": "--name '../x': give letters",
    "lr2ppo --name=": "--name '': give letters",
    "prior --seed 1": "--seed 1",
    "lr2ppo --epochs 3": "--epochs 3",
    "lr2ppo-reward --start scratch --base x": "--base x: this stage starts from random weights",
    "lr2ppo --features nowhere": "--features nowhere: no feature store here",
    "lr2ppo --data nowhere": "nowhere: no release here",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_option_is_one_message_and_nothing_is_made(words, refused):
    assert WRONG[words] in refused(words)


@pytest.mark.parametrize("verb", ["lr2ppo", "lr2ppo-reward", "preference"])
def test_pairs_are_looked_for_before_anything_is_trained(workspace, train, refused, verb):
    rows = workspace.read("pairs").to_pylist()
    write_table(workspace, "pairs", [row | {"percent": 40} for row in rows])
    said = refused(verb)
    assert f"no pair of the target's labels to learn from at --percent 10 (of {len(rows)}" in said
    train(f"{verb} --percent 40")
    assert f"{verb}-pct0" in train(f"{verb} --percent 0")
    shutil.rmtree(workspace.root / "pairs")
    said = refused(f"{verb} --percent 5")
    assert "no table 'pairs' here yet. Run first: lrmovienet split" in said


def test_a_split_without_records_is_one_message(workspace, refused):
    rows = [r for r in workspace.read("records").to_pylist() if r["split"] != "target_dev"]
    write_table(workspace, "records", rows)
    assert "no records in the split 'target_dev'" in refused("prior")


@pytest.mark.parametrize(
    ("verb", "split", "refuses"),
    [
        ("lr2ppo-base", "source_train", True), ("lr2ppo-base", "target_dev", True),
        ("lr2ppo-base", "target_pairs", False), ("lr2ppo", "target_pairs", True),
        ("lr2ppo", "target_test", False),
    ],
)  # fmt: skip
def test_features_that_the_regime_needs_are_looked_for_first(
    workspace, tmp_path, train, refused, verb, split, refuses
):
    store = shutil.copytree(workspace.root / "features", tmp_path / "store")
    rows = workspace.read("records").to_pylist()
    changed = next(row for row in rows if row["split"] == split)
    clip_id, changed["label"] = changed["clip_id"], "unheard of"
    write_table(workspace, "records", rows)
    pairs = [p for p in workspace.read("pairs").to_pylist() if p["clip_id"] != clip_id]
    write_table(workspace, "pairs", pairs)
    if not refuses:
        train(f"{verb} --features {store}")
        return
    said = refused(f"{verb} --features {store}")
    assert f"{store}: features are missing of 1 of the " in said
    assert f"\n  clip '{clip_id}': label 'unheard of'\n" in said


def test_stages_of_another_encoders_features_are_refused(workspace, train, refused):
    train("lr2ppo-reward")
    encode(workspace, Words("letters"), Pictures(), 16)
    for words in (
        "lr2ppo --base lr2ppo-base", "lr2ppo --reward lr2ppo-reward",
        "lr2ppo-reward --base lr2ppo-base", "preference --base lr2ppo-base",
    ):  # fmt: skip
        said = refused(words)
        assert "made by letters" in said and "wants words" in said
    assert up_to_date(train("lr2ppo")) == []


def test_every_preset_can_be_named():
    assert get_args(PresetName) == ("recommended", "paper", "released")
    assert set(PRESETS) == set(get_args(PresetName))


@pytest.mark.parametrize("kind", [TrainBase, TrainReward, TrainPPO])
def test_every_option_of_a_stage_reaches_its_config(kind):
    """An option that no config has would be taken and do nothing."""
    usual = stage_of(kind())
    common = {f.name for f in fields(MachineOptions)} | {"preset", "percent", "base", "reward"}
    for field in fields(kind):
        if field.name in common:
            continue
        least, most = BOUNDS.get(field.name, (None, None))
        words = get_args(get_args(field.type)[0])
        values = [0.5, 3, 7] if least is not None else list(words) or [True, False]
        allowed = [v for v in values if least is None or least <= v <= most]
        found = [stage_of(kind(**{field.name: value})) for value in allowed]
        assert any(stage != usual for stage in found), field.name


def test_a_ranker_of_other_options_says_which(train, refused):
    train("lr2ppo-base --learning_rate 0.5 --threads 2")
    assert "(threads 2, learning_rate 0.5)" in refused("lr2ppo")


def test_release_and_features_are_no_options_of_rankers_without(refused):
    assert "--features x" in refused("lexical --features x")


def test_user_errors_are_named_in_every_process():
    """What fails in the first of several processes fails in all of them."""
    from baselines.learning.parallel import World
    from baselines.prepare import by_first

    class Second(World):
        def gather(self, items):
            return [["the disk is full"], list(items)]

    with pytest.raises(UserError, match="the disk is full"):
        by_first(Second(1, 2), lambda: pytest.fail("the second process did it too"))
    with pytest.raises(OSError, match="full"):
        by_first(World(), lambda: (_ for _ in ()).throw(OSError("full")))
