"""`lrmovienet stats` as a command: what it writes, says and refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from stats_releases import SETS, small_release

import lrmovienet
from lrmovienet.cli import main
from lrmovienet.stats.measure import measure

pytestmark = pytest.mark.slow

NAMES = {"clips_per_genre", "classes_per_genre", "label_frequencies", "labels_per_record",
         "grades_by_genre", "grades_by_source"}  # fmt: skip


def contents(folder):
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_the_files_and_the_words_and_then_fewer_samples(release, tmp_path, capsys):
    before = contents(release.root)
    frames = tmp_path / "my\x1b[2Jframes"
    frames.mkdir()
    options = [str(release.root), "--frames", str(frames)]
    assert main(["stats", *options, "--samples", "3"]) == 0
    out = release.root.with_name("rel-stats")
    figures = {f"figures/{name}.{kind}" for name in NAMES for kind in ("png", "svg")}
    cards = {"cards/01-source.png", "cards/02-source.png", "cards/03-target.png"}
    assert set(contents(out)) == {"index.html", "stats.json"} | figures | cards
    report = json.loads((out / "stats.json").read_bytes())
    named = {"name": "Tiny", "version": "1.2.0", "digest": release.digest, "generated": False}
    assert report == {**named, **measure(release)}
    assert list(report["grades_by_source"]["image"]) == ["low", "medium", "high"]  # not by name
    said = capsys.readouterr().out
    assert "Tiny 1.2.0: 5 clips" in said
    rows = {line.split("│")[1].strip(): line for line in said.splitlines() if "│" in line}
    split = ["2", "1", "5", "4", "1", "1", "3"]
    assert [cell.strip() for cell in rows["source_train"].split("│")[2:-1]] == split
    everything = ["5", "3", "12", "8", "2", "2", "3"]
    assert [cell.strip() for cell in rows["all"].split("│")[2:-1]] == everything
    # One line for all frames, with a reason; the page, which is sent on, has no folder of ours.
    assert said.splitlines()[-1] == str(out)
    assert said.splitlines()[-2].startswith("6 of 6 frames are not shown: ")
    assert "no keyframes of f1 here" in said.splitlines()[-2]
    assert "\x1b" not in said
    assert b"6 of 6 frames are not shown</p>" in (out / "index.html").read_bytes()
    assert not [name for name, data in contents(out).items() if str(tmp_path).encode() in data]
    assert contents(release.root) == before

    (out / "cards" / "mine.png").write_bytes(b"mine")
    assert main(["stats", *options, "--samples", "1"]) == 0
    assert sorted(p.name for p in (out / "cards").iterdir()) == ["01-source.png", "mine.png"]


def test_the_same_bytes_again_and_in_another_process(generated, tmp_path, capsys):
    release, frames = generated
    options = [str(release.root), "--samples", "2", "--frames", str(frames), "--seed", "5"]
    assert main(["stats", *options, "--out", str(tmp_path / "a")]) == 0
    assert "frames" not in capsys.readouterr().out  # every one of them is there
    script = "import sys; from lrmovienet.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", script, "stats", *options, "--out", str(tmp_path / "b")],
        env={**os.environ, "PYTHONHASHSEED": "77", "COLUMNS": "40", "TZ": "Asia/Tokyo"},
        cwd=Path(lrmovienet.__file__).parents[1], capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    assert len(first) == 2 + 12 + 2


@pytest.mark.parametrize("file", ["relevance/target_test", "clips/clips", "preferences/pct10"])
def test_a_damaged_release_gives_one_message_and_writes_nothing(release, capsys, file):
    path = release.root / f"{file}.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    assert main(["stats", str(release.root)]) == 2
    error = capsys.readouterr().err
    assert "damaged" in error
    assert error.count("\n") == 1
    assert not release.root.with_name("rel-stats").exists()


def test_no_release_no_statistics(tmp_path, capsys):
    assert main(["stats", str(tmp_path)]) == 2
    assert "no release here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--samples", "-1"], "--samples -1: give a number, 0 or more"),
        (["--seed", "-1"], "--seed -1: give a number, 0 or more"),
        (["--frames", "nowhere"], "--frames nowhere: no such folder"),
        (["--out", "rel"], "accounts for every file"),
        (["--out", "rel/deeper/still"], "accounts for every file"),
        (["--out", "other/../rel/x"], "accounts for every file"),
        (["--out", "linked/x"], "accounts for every file"),
        (["--out", "file"], "is a file"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(
    release, monkeypatch, capsys, options, said
):
    root = release.root.parent
    monkeypatch.chdir(root)
    (root / "file").write_text("")
    (root / "linked").symlink_to(release.root, target_is_directory=True)
    before = contents(root)
    assert main(["stats", "rel", *options]) == 2
    assert said in capsys.readouterr().err
    assert contents(root) == before


@pytest.mark.parametrize(
    "genres", ["Drama", ["Drama"], {"head": ["Drama"]}, {"head": 1, "tail": []}]
)
def test_a_manifest_whose_genres_are_something_else(tmp_path, capsys, genres):
    small_release(tmp_path / "rel", genres=genres)
    assert main(["stats", str(tmp_path / "rel")]) == 2
    assert "two lists, head and tail" in capsys.readouterr().err


def test_a_release_here_with_a_hostile_title(tmp_path, monkeypatch, capsys):
    strange = "[red]\x1b[31m\x07\u202e"
    root = small_release(tmp_path / "rel", about={"title": strange}, genres=SETS).root
    monkeypatch.chdir(root)
    assert main(["stats", ".", "--samples", "0"]) == 0
    said = capsys.readouterr().out
    assert "[red]\ufffd[31m\ufffd\ufffd 1.2.0" in said
    assert (tmp_path / "rel-stats" / "index.html").is_file()
    assert not (tmp_path / "rel-stats" / "cards").exists()
