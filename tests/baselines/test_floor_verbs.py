"""The verbs of the floors, from options to predictions."""

import json
import shutil

import pytest

from baselines.data import load_records
from baselines.learning.files import placed
from baselines.text_cosine import TextCosineRanker
from baselines.train import read_ranker
from lrmovienet.cli import main
from lrmovienet.features import FeatureStore
from lrmovienet.workspace import Workspace


@pytest.fixture
def workspace(filled, tmp_path) -> Workspace:
    return Workspace(shutil.copytree(filled.root, tmp_path / "w"))


@pytest.fixture
def run(workspace, capsys):
    """Run a verb; its exit status and what it said."""

    def run(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        status = main([*words, "--workspace", str(workspace.root)])
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


@pytest.mark.parametrize("kind", ["frequency", "bm25", "text-cosine", "sentence-cosine"])
def test_from_the_verb_to_predictions(kind, workspace, run):
    status, said = run("train", kind)
    assert status == 0 and said.startswith(f"rankers/{kind}: 16 source records, ")
    assert run("train", kind) == (0, f"rankers/{kind}: up to date\n")
    assert run("predict", "--ranker", kind)[0] == 0
    ranker, manifest = read_ranker(workspace, kind)
    assert manifest["regime"] == "R0"
    assert ("features" in manifest["inputs"]) == (kind == "text-cosine")
    store = FeatureStore.of(workspace) if kind == "text-cosine" else None
    expected = {
        (record.clip_id, label): score
        for record in load_records(workspace, "target_test", store)
        for label, score in zip(record.labels, ranker.score(record), strict=True)
    }
    rows = workspace.read(f"predictions/target_test/{kind}").to_pylist()
    assert {(row["clip_id"], row["label"]): row["score"] for row in rows} == expected
    assert len(set(expected.values())) > 1


def test_bm25s_constants_reach_the_ranker(workspace, run):
    assert run("train", "bm25", "--k1", "0.5", "--b", "0.25")[0] == 0
    ranker, manifest = read_ranker(workspace, "bm25")
    assert (ranker.k1, ranker.b) == (0.5, 0.25)
    assert manifest["options"] == {"k1": 0.5, "b": 0.25}
    for wrong in ("--k1=-1", "--b=1.5", "--b=-0.5"):
        status, said = run("train", "bm25", wrong)
        assert status == 2 and f"{wrong.replace('=', ' ')}" in said


def test_the_cosine_needs_the_features_of_its_records(workspace, run, tmp_path):
    elsewhere = workspace.root / "features"
    elsewhere.rename(tmp_path / "store")
    status, said = run("train", "text-cosine")
    assert status == 2 and "lrmovienet encode" in said
    assert run("train", "text-cosine", "--features", str(tmp_path / "store"))[0] == 0
    encoders = json.loads((tmp_path / "store" / "manifest.json").read_bytes())["encoders"]
    assert read_ranker(workspace, "text-cosine")[1]["encoders"] == encoders


def test_rankers_without_a_network_stay_where_they_are():
    ranker = TextCosineRanker()
    placed(ranker, "cuda")
    assert vars(ranker) == {}
