"""`train` and `predict` on a workspace: once is enough, kills leave no trace, mixing is refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from small_presets import small_presets  # noqa: F401
from tiny_corpus import Pictures, Words, fill, write_table

import baselines.lr2ppo.base as base
from baselines.data import load_records
from baselines.learning.running import dev_ndcg
from baselines.predict import predict
from baselines.train import read_ranker, trained
from lrmovienet.cli import main
from lrmovienet.encode import encode
from lrmovienet.errors import UserError
from lrmovienet.features import FeatureStore
from lrmovienet.files import sha256_file, sha256_of
from lrmovienet.workspace import Workspace

pytestmark = pytest.mark.usefixtures("small_presets")


@pytest.fixture
def workspace(filled, tmp_path) -> Workspace:
    return Workspace(shutil.copytree(filled.root, tmp_path / "w"))


@pytest.fixture
def run(capsys):
    """Run a verb and give what it prints."""

    def run(workspace: Workspace, *words: str) -> str:
        capsys.readouterr()
        assert main([*words, "--workspace", str(workspace.root)]) == 0
        return capsys.readouterr().out

    return run


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def test_trains_once_and_predicts_every_label_of_the_split(workspace, run):
    for ranker in ("random", "prior", "lexical", "lr2ppo-base"):
        assert run(workspace, "train", ranker).startswith(f"rankers/{ranker}: 16 source records, ")
    assert trained(workspace) == ["lexical", "lr2ppo-base", "prior", "random"]
    before = {name: content(workspace.root / "rankers" / name) for name in trained(workspace)}
    for ranker in before:
        assert run(workspace, "train", ranker) == f"rankers/{ranker}: up to date\n"
    out = run(workspace, "predict")
    records = load_records(workspace, "target_test", None)
    wanted = [(r.clip_id, label) for r in records for label in r.labels]
    for name in before:
        assert content(workspace.root / "rankers" / name) == before[name]
        rows = workspace.read(f"predictions/target_test/{name}").to_pydict()
        assert list(zip(rows["clip_id"], rows["label"], strict=True)) == wanted
        assert f"predictions/target_test/{name}: {len(wanted)} rows" in out
    ranker, _ = read_ranker(workspace, "prior")
    scores = [s for r in records for s in ranker.score(r).tolist()]
    assert workspace.read("predictions/target_test/prior")["score"].to_pylist() == scores
    assert "up to date" in run(workspace, "predict", "--ranker", "prior")


def test_predicts_with_all_three_stages_and_the_control(workspace, run):
    run(workspace, "train", "lr2ppo")
    run(workspace, "train", "preference", "--epochs", "1")
    run(workspace, "predict", "--split", "target_dev")
    for name in ("lr2ppo", "lr2ppo-base", "lr2ppo-reward", "preference"):
        rows = workspace.read(f"predictions/target_dev/{name}").num_rows
        assert rows == sum(len(r.labels) for r in load_records(workspace, "target_dev", None))


def test_predictions_follow_the_ranker_and_the_split(workspace, run):
    words = ["train", "random", "--name", "x"]
    run(workspace, *words)
    first = predict(workspace, "x", "target_test").manifest
    run(workspace, *words, "--seed", "1")
    assert predict(workspace, "x", "target_test").manifest.digest != first.digest
    assert predict(workspace, "x", "target_dev").manifest.digest != first.digest
    run(workspace, *words)
    assert predict(workspace, "x", "target_test").manifest == first


def test_manifest_says_what_the_ranker_was_made_from(workspace, run):
    run(workspace, "train", "lr2ppo-base", "--seed", "3")
    manifest = json.loads((workspace.root / "rankers/lr2ppo-base-seed3/manifest.json").read_bytes())
    assert manifest["inputs"] == {
        "clips": workspace.require("clips").digest,
        "records": workspace.require("records").digest,
        "features": json.loads((workspace.root / "features/manifest.json").read_bytes())["digest"],
    }
    assert (manifest["seed"], manifest["options"]["machine"]["seed"]) == (3, 3)
    assert (manifest["regime"], manifest["percent"], manifest["after"]) == ("R0", 0, [])
    assert manifest["encoders"]["text"]["name"] == "words"
    assert manifest["processes"] == 1


def test_killed_training_leaves_no_trace_and_goes_on(workspace, tmp_path, run, capsys, monkeypatch):
    other = fill(tmp_path / "other")
    run(other, "train", "lr2ppo-base")
    epochs = []

    def killed(*arguments):
        epochs.append(1)
        if len(epochs) == 2:
            raise KeyboardInterrupt
        return dev_ndcg(*arguments)

    monkeypatch.setattr(base, "dev_ndcg", killed)
    command = ["train", "lr2ppo-base", "--workspace", str(workspace.root)]
    assert main(command) == 130
    assert "interrupted; run the same command to go on" in capsys.readouterr().err
    assert trained(workspace) == []
    assert list((workspace.root / ".building/rankers/lr2ppo-base").glob("*/trainer_state.pt"))
    assert main(command) == 0
    assert len(epochs) == 3, "the first epoch was done again"
    name = "rankers/lr2ppo-base"
    assert content(workspace.root / name) == content(other.root / name)
    assert not list((workspace.root / ".building").rglob("*.pt"))


def test_the_state_of_a_training_with_other_options_goes(workspace, run, monkeypatch):
    def killed(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(base, "dev_ndcg", killed)
    building = workspace.root / ".building" / "rankers" / "lr2ppo-base"
    for rate in ("0.01", "0.02"):
        words = ["train", "lr2ppo-base", "--learning_rate", rate]
        assert main([*words, "--workspace", str(workspace.root)]) == 130
        assert len(list(building.iterdir())) == 1


def test_changed_records_train_again(workspace, run, capsys):
    run(workspace, "train", "prior")
    rows = workspace.read("records").to_pylist()
    rows[0]["grade"] = 2 - rows[0]["grade"]
    write_table(workspace, "records", rows)
    assert "up to date" not in run(workspace, "train", "prior")
    assert main(["train", "lr2ppo-base", "--workspace", str(workspace.root)]) == 2
    err = capsys.readouterr().err
    assert "made for another table 'records'" in err and "lrmovienet encode" in err


def test_another_encoders_features_are_refused(workspace, run):
    run(workspace, "train", "lr2ppo-base")
    encode(workspace, Words("letters"), Pictures(), 16)
    with pytest.raises(UserError, match=r"made by letters.*the ranker 'lr2ppo-base' wants words"):
        predict(workspace, "lr2ppo-base", "target_test")
    assert "up to date" not in run(workspace, "train", "lr2ppo-base")
    predict(workspace, "lr2ppo-base", "target_test")


def test_floors_need_no_features(workspace, run, capsys):
    shutil.rmtree(workspace.root / "features")
    run(workspace, "train", "lexical")
    predict(workspace, "lexical", "target_test")
    assert main(["train", "lr2ppo-base", "--workspace", str(workspace.root)]) == 2
    err = capsys.readouterr().err
    assert "no features here yet" in err and "lrmovienet encode" in err


def test_predicts_with_features_that_lie_elsewhere(workspace, tmp_path, run, capsys):
    run(workspace, "train", "lr2ppo-base")
    run(workspace, "predict")
    before = workspace.manifest("predictions/target_test/lr2ppo-base")
    store = shutil.move(workspace.root / "features", tmp_path / "store")
    assert "up to date" in run(workspace, "predict", "--features", str(store))
    assert workspace.manifest("predictions/target_test/lr2ppo-base") == before
    assert main(["predict", "--workspace", str(workspace.root), "--features", str(tmp_path)]) == 2
    assert f"--features {tmp_path}: no feature store here" in capsys.readouterr().err


def test_labels_without_features_are_named_before_anything_is_predicted(workspace, run):
    run(workspace, "train", "lr2ppo-base")
    rows = workspace.read("records").to_pylist()
    for number, row in enumerate(r for r in rows if r["split"] == "target_test"):
        row["label"] = f"new {number}"
    store = shutil.copytree(workspace.root / "features", workspace.root / "store")
    write_table(workspace, "records", rows)
    lacking = sum(row["split"] == "target_test" for row in rows)
    with pytest.raises(UserError, match=f"missing of {lacking} of the {lacking} labels") as error:
        predict(workspace, "lr2ppo-base", "target_test", store)
    assert str(error.value).count("\n  clip ") == 10
    assert f"… and {lacking - 10} more" in str(error.value)
    assert not (workspace.root / "predictions").exists()


def test_a_clip_without_frames_is_named_beside_its_labels(filled):
    store = FeatureStore.of(filled)
    rows = filled.read("records").to_pylist()
    known = [(row["clip_id"], row["label"]) for row in rows]
    store.require_labels(known * 2)
    with pytest.raises(UserError) as error:
        store.require_labels([*known, ("tt9_0000", "dog"), (rows[0]["clip_id"], "no such label")])
    said = str(error.value).splitlines()
    labels, clips = len(set(known)) + 2, len({clip_id for clip_id, _ in known}) + 1
    assert f"missing of 3 of the {labels} labels and {clips} clips" in said[0]
    assert said[1:] == [
        "  clip 'tt9_0000': its frames",
        "  clip 'tt9_0000': label 'dog'",
        f"  clip {rows[0]['clip_id']!r}: label 'no such label'",
    ]


def test_a_ranker_that_was_trained_on_a_gpu_scores_on_a_machine_without(workspace, run):
    run(workspace, "train", "lr2ppo")
    run(workspace, "predict")
    for name in ("lr2ppo-base", "lr2ppo-reward", "lr2ppo"):
        before = workspace.read(f"predictions/target_test/{name}")["score"].to_pylist()
        folder = workspace.root / "rankers" / name
        training = json.loads((folder / "training.json").read_bytes())
        training["machine"]["device"] = "cuda"
        (folder / "training.json").write_text(json.dumps(training))
        manifest = json.loads((folder / "manifest.json").read_bytes())
        manifest["files"]["training.json"] = sha256_file(folder / "training.json")
        manifest["digest"] = sha256_of(manifest["files"])
        (folder / "manifest.json").write_text(json.dumps(manifest))
        assert not predict(workspace, name, "target_test").up_to_date
        after = workspace.read(f"predictions/target_test/{name}")["score"].to_pylist()
        assert after == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there(workspace, capsys):
    assert main(["predict", "--workspace", str(workspace.root), "--device", "cuda"]) == 2
    assert "--device cuda: cannot be used here" in capsys.readouterr().err


@pytest.mark.gpu
def test_a_gpu_scores_as_the_cpu_does(workspace, run):
    run(workspace, "train", "lr2ppo")
    for name in ("lr2ppo-base", "lr2ppo-reward", "lr2ppo"):
        found = []
        for device in ("cpu", "cuda"):
            predict(workspace, name, "target_test", None, device)
            found.append(workspace.read(f"predictions/target_test/{name}")["score"].to_pylist())
        assert found[1] == pytest.approx(found[0], abs=1e-4)


def test_no_ranker_or_a_damaged_one(workspace, run, capsys):
    assert main(["predict", "--workspace", str(workspace.root)]) == 2
    err = capsys.readouterr().err
    assert "no rankers here yet" in err and "lrmovienet train" in err
    run(workspace, "train", "prior")
    with pytest.raises(UserError, match=r"no ranker 'pror' here \(there are: prior\)"):
        predict(workspace, "pror", "target_test")
    path = workspace.root / "rankers" / "prior" / "floor.json"
    path.write_text(path.read_text().replace("1", "2"))
    with pytest.raises(UserError, match="damaged"):
        predict(workspace, "prior", "target_test")
    assert "up to date" not in run(workspace, "train", "prior")
    predict(workspace, "prior", "target_test")
