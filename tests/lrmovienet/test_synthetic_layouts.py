"""The generated MovieNet tree in every layout: `synth --as_movienet`."""

import hashlib
import json
import zipfile
from pathlib import Path
from typing import get_args

import pytest

from lrmovienet.cli import main
from lrmovienet.keyframes import KeyframeReader, frames_root
from lrmovienet.synthetic import Layout
from lrmovienet.workspace import Workspace

LAYOUTS = get_args(Layout)


def synth(root: Path, layout: str, *options: str) -> int:
    return main(
        ["synth", "--as_movienet", str(root), "--layout", layout, "--size", "tiny", *options]
    )


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trees")
    for layout in LAYOUTS:
        assert synth(folder / layout, layout) == 0
    return folder


def content(root: Path) -> dict[str, tuple[str, int]]:
    """Each file's hash, and when it was changed last."""
    return {
        str(p.relative_to(root)): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns)
        for p in sorted(root.rglob("*"))
        if p.is_file()
    }  # fmt: skip


@pytest.fixture(scope="module")
def tables(trees: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Workspace]:
    folder = tmp_path_factory.mktemp("tables")
    for layout in LAYOUTS:
        options = ["--workspace", str(folder / layout), "--movienet", str(trees / layout)]
        assert main(["ingest", *options]) == 0
    return {layout: Workspace(folder / layout) for layout in LAYOUTS}


def test_every_layout_gives_the_same_tables(tables: dict[str, Workspace]) -> None:
    for table, rows in (("films", 6), ("clips", 24)):
        manifests = [workspace.require(table) for workspace in tables.values()]
        assert {m.digest for m in manifests} == {manifests[0].digest}
        assert {m.rows for m in manifests} == {rows}
        assert {m.rows_dropped for m in manifests} == {0}
        assert len({json.dumps(m.inputs) for m in manifests}) == 1  # names too


@pytest.mark.parametrize("layout", LAYOUTS)
def test_readers_find_every_frame(tables: dict[str, Workspace], layout: str) -> None:
    workspace = tables[layout]
    reader = KeyframeReader(frames_root(workspace))
    frames = [f for row in workspace.read("clips").to_pylist() for f in row["keyframes"]]
    assert len(frames) > 100
    for frame in frames:
        assert reader.read(frame["ref"], frame["sha256"]).startswith(b"\xff\xd8")


def test_what_is_in_each_layout(trees: Path) -> None:
    def names(layout: str) -> set[str]:
        return {p.name for p in (trees / layout).iterdir() if not p.name.startswith(".")}

    lists = {"movie1K.split.v1.json", "MovieNet_shot_num.json"}
    folders = {"annotation", "meta", "shot_detection"}
    zips = {
        "annotation.v1.zip", "meta.v1.zip", "movie1K.shot_detection.v1.zip",
        "movie1K.keyframes.240p.v1.zip",
    }  # fmt: skip
    assert names("tars") == lists | folders | {"240P", "synthetic.json"}
    assert names("folders") == lists | folders | {"240p"}
    assert names("deeper") == lists | {"MovieNet"}
    assert names("zips") == names("compressed") == lists | zips
    for layout, method in (("zips", zipfile.ZIP_STORED), ("compressed", zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(trees / layout / "movie1K.keyframes.240p.v1.zip") as archive:
            assert {i.compress_type for i in archive.infolist()} == {method}
            assert archive.namelist() == [f"240P/tt9900000{i}.tar" for i in range(1, 7)]


def test_the_lists_are_movienets(trees: Path) -> None:
    split = json.loads((trees / "zips/movie1K.split.v1.json").read_text())
    assert {name: len(films) for name, films in split.items()} == {
        "train": 4, "val": 1, "test": 1, "full": 6,
    }  # fmt: skip
    assert sorted(split["train"] + split["val"] + split["test"]) == split["full"]
    shots = json.loads((trees / "zips/MovieNet_shot_num.json").read_text())
    for name, films in shots.items():
        assert sorted(films) == sorted(split[name])
        for film, number in films.items():
            listed = (trees / f"tars/shot_detection/{film}.txt").read_text()
            assert number == len(listed.splitlines())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_second_run_changes_nothing_and_another_folder_gets_the_same(
    trees: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], layout: str
) -> None:
    before = content(trees / layout)
    assert synth(trees / layout, layout) == 0
    assert capsys.readouterr().out == "movienet: up to date (6 films)\n"
    assert content(trees / layout) == before
    if layout in ("folders", "zips"):
        assert synth(tmp_path / "other", layout) == 0
        assert {k: v[0] for k, v in content(tmp_path / "other").items()} == {
            k: v[0] for k, v in before.items()
        }


def test_frames_have_the_time_of_their_corpus(trees: Path, tmp_path: Path) -> None:
    """Readers go by sizes and times; equal corpora are to look equal, others are not."""
    assert synth(tmp_path / "same", "tars") == 0
    assert synth(tmp_path / "other", "tars", "--seed", "1") == 0

    def times(root: Path) -> set[float]:
        return {p.stat().st_mtime for p in (root / "240P").iterdir()}

    assert times(tmp_path / "same") == times(trees / "tars")
    assert len(times(trees / "tars")) == 1
    assert times(tmp_path / "other").isdisjoint(times(trees / "tars"))


def test_a_run_that_was_killed_goes_on(
    trees: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    root = tmp_path / "tree"
    for step in ("_write_lists", "_zip"):
        with monkeypatch.context() as patched:
            patched.setattr(f"lrmovienet.synthetic.layouts.{step}", stop)
            assert synth(root, "zips") == 130
    assert synth(root, "zips") == 0
    assert {k: v[0] for k, v in content(root).items()} == {
        k: v[0] for k, v in content(trees / "zips").items()
    }


def test_what_is_refused(trees: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "mine.txt").write_text("mine")
    assert synth(tmp_path / "films", "zips") == 2
    assert "is not empty, and `synth` did not write it" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "films").iterdir()] == ["mine.txt"]
    before = content(trees / "zips")
    assert synth(trees / "zips", "tars") == 2
    assert "holds a generated tree of other options (--frames True, --layout" in (
        capsys.readouterr().err
    )
    assert content(trees / "zips") == before
    assert main(["synth", "--workspace", str(tmp_path / "w"), "--layout", "zips"]) == 2
    assert "--layout zips goes with --as_movienet FOLDER only" in capsys.readouterr().err
