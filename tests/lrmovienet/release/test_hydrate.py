"""`lrmovienet hydrate` on the generated corpus: what a ranker's author gets, in every layout."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from making import build, contents, copied
from small_releases import Pictures, Words, coverage, hydrate, refused, rows

from lrmovienet.cli import main
from lrmovienet.encode import encode
from lrmovienet.errors import UserError
from lrmovienet.keyframes import KeyframeReader, frames_root
from lrmovienet.workspace import Workspace

LAYOUTS = ("tars", "folders", "deeper", "zips", "compressed")
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def hashed(tiny, tmp_path_factory):
    """The tiny corpus' release with perceptual hashes. Read only."""
    return build(tiny, tmp_path_factory.mktemp("hashed") / "release", hash_frames=True).root


@pytest.fixture(scope="module")
def laid_out(tiny, tmp_path_factory):
    """Layout -> the corpus' films in it. Read only."""
    folder, made = tmp_path_factory.mktemp("layouts"), {}

    def of(layout):
        root = folder / layout
        if layout not in made:
            # `synth` goes on with the tree that a killed run had drawn.
            shutil.copytree(tiny / "movienet", root if layout == "tars" else root / ".tars")
            if layout != "tars":
                options = ("--size", "tiny", "--as_movienet", str(root), "--layout", layout)
                assert main(["synth", *options]) == 0
            made[layout] = root
        return made[layout]

    return of


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_tables_are_those_that_the_release_was_built_from(
    tiny, hashed, laid_out, tmp_path, layout
):
    films = laid_out(layout)
    workspace = hydrate(hashed, tmp_path / "h", "--frames", films)
    original = Workspace(tiny)
    for table in ("records", "pairs"):
        assert rows(workspace, table) == rows(original, table)
    used = {row["clip_id"] for row in rows(original, "records")}
    clips = [row for row in rows(original, "clips") if row["clip_id"] in used]
    assert rows(workspace, "clips") == clips
    frames = {f["ref"]: f["sha256"] for c in clips for f in c["keyframes"]}
    assert coverage(workspace)["frames"] == {
        "same": len(frames), "moved": 0, "alike": 0, "other": 0, "missing": 0,
        "all": len(frames), "joined": len(frames),
    }  # fmt: skip
    # What `encode` will do: each frame can be read from where the workspace says that films lie.
    reader = KeyframeReader(frames_root(workspace))
    assert reader.root.samefile(films)
    for name, digest in frames.items():
        assert reader.read(name, digest)


def test_without_frames_there_are_texts_and_grades(tiny, built, tmp_path):
    workspace = hydrate(built, tmp_path / "h")
    for table in ("records", "pairs"):
        assert rows(workspace, table) == rows(Workspace(tiny), table)
    assert not (workspace.root / "coverage.json").exists()
    with pytest.raises(UserError, match="made without pictures"):
        encode(workspace, Words(), Pictures(), 16)
    # Frames that come later are joined.
    workspace = hydrate(built, tmp_path / "h", "--frames", tiny / "movienet")
    assert coverage(workspace)["films"]["whole"] == coverage(workspace)["films"]["all"]
    assert frames_root(workspace).samefile(tiny / "movienet")


def test_a_second_run_does_nothing(tiny, hashed, tmp_path, capsys):
    root = hydrate(hashed, tmp_path / "h", "--frames", tiny / "movienet").root

    def state():
        return {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in root.rglob("*")
                if p.is_file() and p.name != ".lock"}  # fmt: skip

    before = state()
    capsys.readouterr()
    hydrate(hashed, root, "--frames", tiny / "movienet")
    assert capsys.readouterr().out.count("up to date") == 3
    assert state() == before


def test_equal_runs_give_equal_bytes(tiny, hashed, tmp_path):
    one, two = (
        hydrate(hashed, tmp_path / name, "--frames", tiny / "movienet").root for name in "ab"
    )
    assert {name: data for name, data in contents(one).items() if name != "runs.jsonl"} == {
        name: data for name, data in contents(two).items() if name != "runs.jsonl"
    }


@pytest.mark.parametrize("table", ["clips", "records", "pairs", "candidates", "ratings"])
def test_a_workspace_with_tables_of_other_verbs_is_refused_and_stays(
    tiny, built, tmp_path, capsys, table
):
    whole, root = copied(tiny, tmp_path / "w"), tmp_path / "some"
    shutil.copytree(whole / table, root / table)
    before = contents(root)
    assert "--workspace" in refused(capsys, built, "--workspace", root)
    assert {n: data for n, data in contents(root).items() if n != ".lock"} == before


def test_a_ranker_trained_here_is_judged_as_it_is_with_the_builder(tiny, built, tmp_path):
    """Of the release's own folder, of the hydrated records and of the builder's: one number."""
    workspace = hydrate(built, tmp_path / "h", "--frames", tiny / "movienet")
    encode(workspace, Words(), Pictures(), 16)
    builders = Workspace(copied(tiny, tmp_path / "w"))
    for at in (workspace, builders):
        for words in (["train", "prior"], ["predict"], ["score", "--bootstrap", "0"]):
            assert main([*words, "--workspace", str(at.root)]) == 0
    name = "predictions/target_test/prior"
    mine, theirs = (at.read(name).to_pylist() for at in (workspace, builders))
    assert sorted(mine, key=str) == sorted(theirs, key=str)
    out = tmp_path / "judged.json"
    argv = ["--gold", built, "--split", "target_test", "--predictions",
            f"prior={workspace.root / name}", "--json", out, "--bootstrap", "0"]  # fmt: skip
    subprocess.run(  # the program that people are told to run, in a process of its own
        [sys.executable, ROOT / "eval" / "score.py", *argv], check=True, cwd=ROOT
    )
    files = [out, *(at.root / "results" / "target_test.json" for at in (workspace, builders))]
    found = [json.loads(path.read_bytes())["runs"][0]["measures"] for path in files]
    assert 0 < found[0]["ndcg@5"]["mean"] < 1
    assert found[0] == found[1] == found[2]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_with_the_packaged_encoders_from_zips(tiny, hashed, laid_out, tmp_path):
    """The features of the hydrated workspace are those of the builder's, encoded on one machine."""
    from lrmovienet.features import FeatureStore

    one = hydrate(hashed, tmp_path / "h", "--frames", laid_out("zips"))
    two = copied(tiny, tmp_path / "w")
    shutil.copytree(tiny / "movienet", two / "movienet")
    for root in (one.root, two):
        assert main(["encode", "--workspace", str(root)]) == 0
    mine, theirs = FeatureStore.of(one), FeatureStore.of(Workspace(two))
    for row in rows(one, "records"):
        a, b = (s.text(row["clip_id"], row["label"]) for s in (mine, theirs))
        assert a.tokens.tobytes() == b.tokens.tobytes()
        assert mine.frames(row["clip_id"]).tobytes() == theirs.frames(row["clip_id"]).tobytes()
