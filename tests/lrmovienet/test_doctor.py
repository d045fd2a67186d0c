"""`lrmovienet doctor`: what it finds, what it says of what is broken; it reads no picture."""

import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any, get_args

import pytest

from lrmovienet.cli import main
from lrmovienet.synthetic import Layout
from lrmovienet.synthetic.layouts import write_movienet


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trees")
    for layout in get_args(Layout):
        write_movienet(folder / layout, layout, "tiny", 0, True, 1)
    return folder


@pytest.fixture
def tree(trees: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(trees / "tars", tmp_path / "tree"))


def inventory(root: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["doctor", str(root), "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def films(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {film["movie_id"]: film for film in found["films"]}


@pytest.mark.parametrize("layout", get_args(Layout))
def test_every_layout_has_the_same_inventory(
    trees: Path, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = inventory(trees / layout, capsys)
    assert found["totals"] == {
        "films": 6, "annotations": 6, "films with stories": 6, "stories": 24,
        "described stories": 24, "films with keyframes": 6, "films with meta": 6,
        "films with shot files": 6, "keyframes counted": 198, "clips with frames": 24,
        "films with clips": 6,
    }  # fmt: skip
    assert (found["problems"], found["missing"], found["not_clips"]) == ([], [], {})
    assert found["ranges_include_end"] == {"yes": 6, "no": 0, "undecided": 0}
    first = films(found)["tt99000001"] | {"keyframes": None}
    assert first == {
        "movie_id": "tt99000001", "split": "train", "stories": 6, "described": 6, "clips": 6,
        "meta": True, "shot_file": True, "keyframes": None, "frames": 48, "shots_with_frames": 16,
        "shots": 16, "problems": [],
    }  # fmt: skip
    assert all(found["parts"].values())


def test_what_it_prints(trees: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(trees / "zips"), "--rows", "2"]) == 0
    printed = capsys.readouterr().out
    for words in (
        "movie1K.keyframes.240p.v1.zip", "tar in zip", "16/16", "… and 4 more films (--rows 0",
        "24  clips with frames", "ranges include their ends: 6 films say yes",
        f"lrmovienet ingest --workspace workspace --movienet {trees / 'zips'}",
    ):  # fmt: skip
        assert words in printed
    assert "tt99000003" not in printed


def test_no_picture_is_read_and_nothing_changes(
    tree: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    pread = os.pread

    def counted(fd: int, size: int, offset: int) -> bytes:
        sizes.append(size)
        return pread(fd, size, offset)

    before = {p: p.stat().st_mtime_ns for p in tree.rglob("*")}
    monkeypatch.setattr(os, "pread", counted)
    inventory(tree, capsys)
    assert sizes.count(512) == 198 + 6  # a header a frame, and one end mark a tar
    assert sorted(set(sizes)) == [2, 512]  # 2: whether it is compressed
    assert {p: p.stat().st_mtime_ns for p in tree.rglob("*")} == before


def test_gaps_are_counted(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "240P/tt99000001.tar").unlink()
    (tree / "meta/tt99000002.json").unlink()
    shutil.rmtree(tree / "shot_detection")
    annotation = tree / "annotation/tt99000003.json"
    value = json.loads(annotation.read_text())
    value["story"][0]["description"] = None
    value["story"][1]["shot"] = [500, 501]
    value["story"][2]["duration"] = None
    annotation.write_text(json.dumps(value))
    found = inventory(tree, capsys)
    assert found["totals"]["clips with frames"] == 24 - 6 - 2
    assert found["not_clips"] == {
        "no description": 1, "no keyframe": 1, "times from frames": 1
    }  # fmt: skip
    of = films(found)
    assert (of["tt99000001"]["keyframes"], of["tt99000001"]["clips"]) == (None, None)
    assert (of["tt99000003"]["described"], of["tt99000003"]["clips"]) == (2, 1)
    assert not of["tt99000002"]["meta"]
    text = "\n".join(found["missing"])
    assert "keyframes of 1 films with stories: tt99000001. Put <film>.tar into 240P" in text
    assert "meta of 1 films with stories: tt99000002." in text
    assert "shot_detection/ (movie1K.shot_detection.v1.zip): not needed" in text


def test_what_is_broken_is_named_and_the_rest_still_seen(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "annotation/tt99000001.json").write_text('{"story": [')
    (tree / "240P/tt99000002.tar").write_bytes(b"no tar\n" * 1000)
    (tree / "240P/tt99000003.tar").write_bytes((tree / "240P/tt99000004.tar").read_bytes()[:9000])
    (tree / "meta.v1.zip").write_bytes(b"PK\3\4 no zip")
    (tree / "movie1K.keyframes.240p.v1.zip").write_bytes(b"no zip either")
    (tree / "movie1K.split.v1.json").write_text('{"train": 3}')
    found = inventory(tree, capsys)
    of = films(found)
    assert "tt99000001.json: not readable JSON" in of["tt99000001"]["problems"][0]
    for film in ("tt99000002", "tt99000003"):
        assert "Copy the file again" in of[film]["problems"][0]
    assert of["tt99000004"]["clips"] == 5
    problems = "\n".join(found["problems"])
    for words in (
        "meta.v1.zip: not a readable zip",
        "240p.v1.zip: not a readable zip",
        "'train' is",
    ):
        assert words in problems
    assert main(["doctor", str(tree)]) == 0
    printed = capsys.readouterr().out
    assert "cannot be read" in printed
    assert "Traceback" not in printed


def test_names_that_point_outside_are_told_and_not_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    story = {"id": "tt1_0000", "shot": [0, 0], "frame": [0, 9], "description": "A scene."}
    with zipfile.ZipFile(tmp_path / "annotation.v1.zip", "w") as archive:
        for name in ("../tt2.json", "/etc/tt3.json", "annotation/../../tt4.json"):
            archive.writestr(name, json.dumps({"story": [story]}))
        archive.writestr("annotation/tt1.json", json.dumps({"story": [story]}))
    found = inventory(tmp_path, capsys)
    assert list(films(found)) == ["tt1"]
    assert "3 names point outside of the zip, such as '../tt2.json'" in found["problems"][0]


def test_names_cannot_move_the_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(tmp_path / "annotation.v1.zip", "w") as archive:
        archive.writestr("annotation/\x1b[31mtt1.json", '{"story": [{}]}')
    assert main(["doctor", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "tt1" in printed
    assert "\x1b[31mtt1" not in printed


def test_an_empty_folder_and_what_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "MovieNet.tar.gz").write_bytes(b"")
    found = inventory(tmp_path, capsys)
    assert found["totals"]["films"] == 0
    text = "\n".join(found["missing"])
    for words in (
        "tar xf MovieNet.tar.gz", "annotation/ or annotation.v1.zip", "240P/ or", "meta/ or",
        "OpenDataLab", "movie1K.split.v1.json",
    ):  # fmt: skip
        assert words in text
    assert main(["doctor", str(tmp_path)]) == 0
    assert "no clip: that takes an annotated story and its keyframes" in capsys.readouterr().out
    for argv, message in (
        (["doctor", str(tmp_path / "nowhere")], "no such folder"),
        (["doctor"], "give the folder that holds your MovieNet"),
    ):
        assert main(argv) == 2
        assert message in capsys.readouterr().err


def test_the_real_index(capsys: pytest.CaptureFixture[str]) -> None:
    extra = os.environ.get("LRMOVIENET_EXTRA_DATA")
    if not extra:
        pytest.skip("LRMOVIENET_EXTRA_DATA is unset: MovieNet's lists of films are not here")
    found = inventory(Path(extra) / "movienet_index", capsys)
    of = films(found)
    assert found["totals"]["films"] == len(of) == 1100
    assert sum(film["shots"] for film in of.values()) == 1_599_471
    splits = [film["split"] for film in of.values()]
    assert [splits.count(name) for name in ("train", "val", "test")] == [660, 220, 220]
    assert (of["tt0035423"]["shots"], of["tt0035423"]["split"]) == (1374, "train")
    assert not any(film["problems"] for film in of.values())
