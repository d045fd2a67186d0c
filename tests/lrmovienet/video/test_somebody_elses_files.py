"""Whose files they are: a tree that ingest did not write is left alone, its own is kept whole."""

import json
import shutil
import unicodedata

import pytest
from ingesting import finished, ingest

from lrmovienet.cli import main
from lrmovienet.workspace import Workspace


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_movienet_in_the_place_of_ours_is_left_alone(tmp_path, films, capsys):
    frames = tmp_path / "w" / "frames"
    assert main(["synth", "--as_movienet", str(frames), "--size", "tiny"]) == 0
    before = content(frames)
    assert ingest(tmp_path / "w", films / "a.avi", tmp_path / "d.csv") == 2  # no descriptions
    (tmp_path / "d.csv").write_text("video,description\na.avi,Dark.\n")
    assert ingest(tmp_path / "w", films / "a.avi", tmp_path / "d.csv") == 2
    assert "holds files that ingest did not write there" in capsys.readouterr().err
    assert content(frames) == before
    assert not (tmp_path / "w" / "films").exists()


def test_what_a_person_put_beside_our_films_stays(tmp_path, films, workspace):
    frames = workspace / "frames"
    for name in ("240P/holiday.tar", "meta/mine.json", "360P/a.txt", "notes/a.json"):
        (frames / name).parent.mkdir(exist_ok=True)
        (frames / name).write_bytes(b"mine")
    (tmp_path / "d.csv").write_text("video,description\nb.avi,Bright.\n")
    assert ingest(workspace, films / "b.avi", tmp_path / "d.csv") == 0
    for name in ("240P/holiday.tar", "meta/mine.json", "360P/a.txt", "notes/a.json"):
        assert (frames / name).read_bytes() == b"mine"
    assert not (frames / "240P/a.tar").exists()  # a film of the run before
    assert json.loads((frames / ".ingest.json").read_text()) == {"films": ["b"]}


@pytest.mark.parametrize("damage", [b"", b"not the tar that was written"])
def test_a_damaged_tar_of_ours_is_made_again(tmp_path, films, workspace, damage):
    before = finished(workspace)
    (workspace / "frames/240P/a.tar").write_bytes(damage)
    assert ingest(workspace, films / "a.avi", tmp_path / "before.csv") == 0
    assert finished(workspace) == before


def test_a_moved_tree_is_found_where_it_is_now(tmp_path, capsys):
    """And the manifest says with which options a table is up to date."""
    tree, workspace = tmp_path / "tree", Workspace(tmp_path / "w")
    assert main(["synth", "--as_movienet", str(tree), "--size", "tiny"]) == 0

    def ingest_tree(*options):
        argv = ["ingest", "--workspace", str(workspace.root), "--movienet", str(tree)]
        assert main([*argv, *options]) == 0
        return capsys.readouterr().out

    ingest_tree()
    digest = workspace.require("clips").digest
    tree = tree.rename(tmp_path / "moved")
    assert "clips: up to date (24 rows)" in ingest_tree("--min_words", "2")
    manifest = workspace.require("clips")
    assert manifest.digest == digest
    assert (manifest.config["frames_root"], manifest.config["min_words"]) == ("../moved", 2)


def test_umlauts_are_the_same_in_either_spelling(tmp_path, films):
    name = "Müller Bär"
    shutil.copy(films / "b.avi", tmp_path / unicodedata.normalize("NFD", f"{name}.avi"))
    (tmp_path / "d.csv").write_text(f"video,description\n{name}.avi,Bright.\n")
    assert ingest(tmp_path / "w", f"{tmp_path}/*.avi", tmp_path / "d.csv") == 0
    subtitle = "1\n00:00:00,000 --> 00:00:01,000\nHello.\n"
    (tmp_path / f"{name}.srt").write_text(subtitle)
    assert ingest(tmp_path / "s", f"{tmp_path}/*.avi", tmp_path / f"{name}.srt") == 0
    for workspace in ("w", "s"):
        assert Workspace(tmp_path / workspace).read("clips")["movie_id"].to_pylist() == [
            "Müller_Bär"
        ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("notes.txt", "Bring the film to the lab.\n" * 50, "is no video, but 'Tele-typewriter'"),
        ("list.mp4", "ffconcat version 1.0\nfile a.avi\n", "is no video, but 'Virtual concaten"),
        ("x" * 230 + ".avi", "", "its name is too long"),
    ],
)
def test_text_and_lists_are_no_films(tmp_path, films, capsys, name, text, message):
    shutil.copy(films / "a.avi", tmp_path / "a.avi")
    (tmp_path / name).write_text(text)
    (tmp_path / "d.csv").write_text(f"video,description\n{name},Nothing.\n")
    assert ingest(tmp_path / "w", tmp_path / name, tmp_path / "d.csv") == 2
    assert message in capsys.readouterr().err


def test_a_folder_with_brackets_is_meant_as_it_is_named(tmp_path, films):
    folder = tmp_path / "films [2020]"
    folder.mkdir()
    for name in ("a.avi", "b.avi"):
        shutil.copy(films / name, folder)
    shutil.copy(films / "d.csv", tmp_path)
    assert ingest(tmp_path / "w", f"{folder}/*.avi", tmp_path / "d.csv") == 0
    assert Workspace(tmp_path / "w").read("films")["movie_id"].to_pylist() == ["a", "b"]
