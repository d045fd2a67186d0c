"""`train --data RELEASE`: a release becomes a workspace once, and trains as where it was made."""

import shutil
from pathlib import Path

import pytest
from making import build, contents, copied
from small_releases import Pictures, Words, hydrate

from lrmovienet.cli import main
from lrmovienet.encode import encode
from lrmovienet.workspace import Workspace

BASE = ("train", "lr2ppo-base", "--epochs", "1")
TABLES = ("clips", "records", "pairs", "features")


@pytest.fixture(scope="module")
def builders(tiny, tmp_path_factory) -> Path:
    """The workspace of the release's builder, with features and a ranker. Read only."""
    root = copied(tiny, tmp_path_factory.mktemp("builders") / "w")
    shutil.copytree(tiny / "movienet", root / "movienet")
    encode(Workspace(root), Words(), Pictures(), 4)
    assert main([*BASE, "--workspace", str(root)]) == 0
    return root


@pytest.fixture(scope="module")
def with_features(builders, tmp_path_factory) -> Path:
    """Its release with features. Read only."""
    out = tmp_path_factory.mktemp("with_features") / "r"
    return build(builders, out, features=True).root


@pytest.fixture
def run(capsys):
    """Run a verb; gives its exit code and what it said."""

    def run(*words: object) -> tuple[int, str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        assert said.err.count("error:") == (code == 2)
        return code, said.out + said.err

    return run


def tables(root: Path) -> dict[str, bytes]:
    """What the tables of a workspace hold."""
    return {name: data for name, data in contents(root).items() if name.split("/")[0] in TABLES}


def weights(root: Path) -> bytes:
    return (root / "rankers/lr2ppo-base/model.safetensors").read_bytes()


def test_a_release_trains_to_the_bits_that_its_builder_has(builders, with_features, tmp_path, run):
    root = tmp_path / "w"
    words = (*BASE, "--data", with_features, "--workspace", root)
    code, said = run(*words)
    assert code == 0
    lines = said.splitlines()
    assert [line.split(":")[0] for line in lines] == [*TABLES, "rankers/lr2ppo-base"]
    assert weights(root) == weights(builders)
    before = contents(root)
    assert run(*words) == (0, "rankers/lr2ppo-base: up to date\n")
    assert contents(root) == before


def test_features_from_elsewhere_do_as_well(builders, built, tmp_path, run):
    root = tmp_path / "w"
    words = (*BASE, "--data", built, "--workspace", root)
    code, said = run(*words)
    assert code == 2
    assert "the release that this workspace was made of has none" in said
    assert "--features" in said and "lrmovienet hydrate" in said and "lrmovienet encode" in said
    assert not (root / "rankers").exists() and not (root / ".building" / "rankers").exists()
    assert run(*words, "--features", builders / "features")[0] == 0
    assert weights(root) == weights(builders)
    assert run("predict", "--workspace", root)[0] == 2
    assert run("predict", "--workspace", root, "--features", builders / "features")[0] == 0
    name = "predictions/target_test/lr2ppo-base"
    predicted = Workspace(root).read(name).to_pylist()
    copy = copied(builders, tmp_path / "builders")
    assert run("predict", "--workspace", copy)[0] == 0
    theirs = Workspace(copy).read(name).to_pylist()
    assert sorted(predicted, key=str) == sorted(theirs, key=str)


def test_a_workspace_of_other_origin_is_refused_and_stays(tiny, built, tmp_path, run):
    root = copied(tiny, tmp_path / "w")
    before = tables(root)
    code, said = run("train", "prior", "--data", built, "--workspace", root)
    assert code == 2
    assert "was made by another verb" in said and "--workspace" in said
    assert tables(root) == before and not (root / "rankers").exists()


def test_a_workspace_with_frames_of_ones_own_stays_as_it_is(
    tiny, built, with_features, tmp_path, run
):
    root = hydrate(built, tmp_path / "w", "--frames", tiny / "movienet").root
    encode(Workspace(root), Words(), Pictures(), 4)
    before = tables(root)
    code, said = run(*BASE, "--data", built, "--workspace", root)
    assert (code, said.split(":")[0]) == (0, "rankers/lr2ppo-base")
    assert tables(root) == before
    code, said = run("train", "prior", "--data", with_features, "--workspace", root)
    assert code == 2
    assert "was made of another release with frames of your own" in said
    assert tables(root) == before


def test_a_workspace_without_frames_becomes_another_release(built, with_features, tmp_path, run):
    root = hydrate(built, tmp_path / "w").root
    assert run(*BASE, "--data", with_features, "--workspace", root)[0] == 0
    assert (root / "features").exists()


@pytest.mark.parametrize("lost", [["records", "pairs", "features"], ["pairs"], ["features"]])
def test_what_a_killed_run_left_out_is_made(with_features, tmp_path, run, lost):
    root = hydrate(with_features, tmp_path / "w").root
    before = {name: d for name, d in tables(root).items() if not name.endswith("manifest.json")}
    for name in lost:
        shutil.rmtree(root / name)
    assert run(*BASE, "--data", with_features, "--workspace", root)[0] == 0
    after = tables(root)
    assert {name: after[name] for name in before} == before
