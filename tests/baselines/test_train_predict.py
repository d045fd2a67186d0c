"""`train` and `predict` on a workspace: once is enough, kills leave no trace, mixing is refused."""

import json
import shutil
from dataclasses import replace

import pytest
from tiny_corpus import Pictures, Words, fill, write_table

import baselines.lr2ppo.base as base
from baselines.data import load_records
from baselines.lr2ppo.base import dev_ndcg
from baselines.predict import PredictConfig, predict
from baselines.predict import run as run_predict
from baselines.train import TrainConfig, read_ranker, train, trained
from lrmovienet.encode import encode
from lrmovienet.errors import UserError


@pytest.fixture
def workspace(tmp_path):
    return fill(tmp_path / "w")


def config(workspace, **options) -> TrainConfig:
    if options.get("ranker", "lr2ppo-base") == "lr2ppo-base":
        options = {"epochs": 2, **options}
    return TrainConfig(workspace.root, **options)


def content(folder) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def test_trains_once_and_predicts_every_label_of_the_split(workspace, capsys):
    for ranker in ("random", "prior", "lexical", "lr2ppo-base"):
        train(workspace, config(workspace, ranker=ranker))
    assert trained(workspace) == ["lexical", "lr2ppo-base", "prior", "random"]
    before = {name: content(workspace.root / "rankers" / name) for name in trained(workspace)}
    for ranker in before:
        assert "up to date" in train(workspace, config(workspace, ranker=ranker))
    run_predict(PredictConfig(workspace.root))
    out = capsys.readouterr().out
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
    run_predict(PredictConfig(workspace.root, ranker=["prior"]))
    assert "up to date" in capsys.readouterr().out


def test_predictions_follow_the_ranker_and_the_split(workspace):
    options = config(workspace, ranker="random", name="x")
    train(workspace, options)
    first = predict(workspace, "x", "target_test").manifest
    train(workspace, replace(options, seed=1))
    assert predict(workspace, "x", "target_test").manifest.digest != first.digest
    assert predict(workspace, "x", "target_dev").manifest.digest != first.digest
    train(workspace, options)
    assert predict(workspace, "x", "target_test").manifest == first


def test_manifest_says_what_the_ranker_was_made_from(workspace):
    train(workspace, config(workspace, seed=3))
    manifest = json.loads((workspace.root / "rankers/lr2ppo-base-seed3/manifest.json").read_bytes())
    assert manifest["inputs"] == {
        "clips": workspace.require("clips").digest,
        "records": workspace.require("records").digest,
        "features": json.loads((workspace.root / "features/manifest.json").read_bytes())["digest"],
    }
    assert (manifest["seed"], manifest["options"]["seed"], manifest["regime"]) == (3, 3, "R0")
    assert manifest["encoders"]["text"]["name"] == "words"


def test_killed_training_leaves_no_trace(workspace, tmp_path, monkeypatch):
    other = fill(tmp_path / "other")
    train(other, config(other))

    def killed(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(base, "dev_ndcg", killed)
    with pytest.raises(KeyboardInterrupt):
        train(workspace, config(workspace))
    assert trained(workspace) == []
    monkeypatch.setattr(base, "dev_ndcg", dev_ndcg)
    train(workspace, config(workspace))
    name = "rankers/lr2ppo-base"
    assert content(workspace.root / name) == content(other.root / name)
    assert not list((workspace.root / ".building").glob("**/*.pt"))


def test_changed_records_train_again(workspace):
    train(workspace, config(workspace, ranker="prior"))
    rows = workspace.read("records").to_pylist()
    rows[0]["grade"] = 2 - rows[0]["grade"]
    write_table(workspace, "records", rows)
    assert "up to date" not in train(workspace, config(workspace, ranker="prior"))
    with pytest.raises(UserError, match=r"another table 'records'.*lrmovienet encode"):
        train(workspace, config(workspace))


def test_another_encoders_features_are_refused(workspace):
    train(workspace, config(workspace))
    encode(workspace, Words("letters"), Pictures(), 16)
    with pytest.raises(UserError, match=r"made by letters.*the ranker 'lr2ppo-base' wants words"):
        predict(workspace, "lr2ppo-base", "target_test")
    assert "up to date" not in train(workspace, config(workspace))
    predict(workspace, "lr2ppo-base", "target_test")


def test_floors_need_no_features(workspace):
    shutil.rmtree(workspace.root / "features")
    train(workspace, config(workspace, ranker="lexical"))
    predict(workspace, "lexical", "target_test")
    with pytest.raises(UserError, match=r"no features here yet.*lrmovienet encode"):
        train(workspace, config(workspace))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ranker": "prior", "regime": "R1"}, "--regime R1: prior learns in R0 only"),
        ({"regime": "R2"}, "--regime R2: lr2ppo-base learns in R0 only"),
        ({"seed": -1}, "--seed -1: give 0 or more"),
        ({"name": "../up"}, "--name '../up'"),
        ({"name": ""}, "--name ''"),
        ({"epochs": 0}, "--epochs 0: give a number above 0"),
        ({"learning_rate": float("nan")}, "--learning_rate nan"),
        ({"ranker": "random", "epochs": 3}, "--epochs: the ranker random has no such option"),
        ({"device": "nonsense"}, "--device nonsense: cannot be used here"),
    ],
)
def test_wrong_options(workspace, options, message):
    with pytest.raises(UserError, match=message):
        train(workspace, config(workspace, **options))
    assert not (workspace.root / "rankers").exists()


def test_no_ranker_or_a_damaged_one(workspace):
    with pytest.raises(UserError, match=r"no rankers here yet.*lrmovienet train"):
        run_predict(PredictConfig(workspace.root))
    train(workspace, config(workspace, ranker="prior"))
    with pytest.raises(UserError, match=r"no ranker 'pror' here \(there are: prior\)"):
        predict(workspace, "pror", "target_test")
    path = workspace.root / "rankers" / "prior" / "floor.json"
    path.write_text(path.read_text().replace("1", "2"))
    with pytest.raises(UserError, match="damaged"):
        predict(workspace, "prior", "target_test")
    assert "up to date" not in train(workspace, config(workspace, ranker="prior"))
    predict(workspace, "prior", "target_test")
