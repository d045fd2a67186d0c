"""A second run: what is right is not made again, and what was broken off is finished."""

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import pytest
from trees import (
    ONE,
    TWO,
    SmallFilm,
    as_folders,
    as_tars,
    as_zips,
    bytes_of,
    clips_of,
    digest_of,
    frames,
    ingest,
    put,
    said_of,
    story,
    tar_of,
    two_films,
)

KEYFRAMES = "movie1K.keyframes.240p.v1.zip"


def spoil(path):
    """Other bytes of the same length, changed at the same time: whoever reads it will notice."""
    stat = path.stat()
    path.write_bytes(b"\x07" * stat.st_size)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("layout", [as_tars, as_folders])
def test_a_second_run_reads_no_frame(tmp_path, capsys, layout):
    root = put(tmp_path / "m", layout(two_films()))
    assert ingest(tmp_path / "w", root) == 0
    before = bytes_of(tmp_path / "w" / "clips") | bytes_of(tmp_path / "w" / "films")
    for path in root.glob("240P/**/*"):
        if path.is_file():
            spoil(path)
    capsys.readouterr()
    assert ingest(tmp_path / "w", root) == 0
    after = bytes_of(tmp_path / "w" / "clips") | bytes_of(tmp_path / "w" / "films")
    assert after == before
    # The test is sharp: a new workspace does read them, and fails or takes other bytes.
    assert ingest(tmp_path / "v", root) == 2 or digest_of(tmp_path / "v") != digest_of(
        tmp_path / "w"
    )


def test_a_second_run_says_so(tmp_path, capsys):
    root = put(tmp_path / "m", as_tars(two_films()))
    assert ingest(tmp_path / "w", root) == 0
    capsys.readouterr()
    assert ingest(tmp_path / "w", root) == 0
    out = capsys.readouterr().out
    assert "films: up to date (2 rows)\n" in out
    assert "clips: up to date (4 rows" in out


@pytest.mark.parametrize("layout", ["tars", "folders", "zips"])
def test_one_changed_film_is_read_and_no_other(tmp_path, capsys, layout):
    films = two_films()
    write = {"tars": as_tars, "folders": as_folders, "zips": as_zips}[layout]
    root = put(tmp_path / "m", write(films))
    assert ingest(tmp_path / "w", root) == 0
    if layout != "zips":
        for path in root.glob(f"240P/{ONE}*"):
            for file in [path] if path.is_file() else path.iterdir():
                spoil(file)
    films[0].pictures = {name: data + b" new" for name, data in frames(TWO, 1).items()}
    changed = {k: v for k, v in write(films).items() if TWO in k or k == KEYFRAMES}
    put(root, changed)
    capsys.readouterr()
    assert ingest(tmp_path / "w", root) == 0
    assert said_of("clips", capsys).endswith("; 1 of 2 parts were there")
    fresh = put(tmp_path / "fresh", write(films))
    assert ingest(tmp_path / "v", fresh) == 0
    assert digest_of(tmp_path / "v") == digest_of(tmp_path / "w")


def test_a_changed_story_is_one_film(tmp_path, capsys):
    films = two_films()
    root = put(tmp_path / "m", as_tars(films))
    assert ingest(tmp_path / "w", root) == 0
    spoil(root / f"240P/{ONE}.tar")
    films[0].stories[0]["description"] = "Another."
    put(root, films[0].files())
    capsys.readouterr()
    assert ingest(tmp_path / "w", root) == 0
    assert said_of("clips", capsys).endswith("; 1 of 2 parts were there")
    assert clips_of(tmp_path / "w")[3]["description"] == "Another."


def test_what_no_clip_is_made_from_is_no_reason_to_read_frames(tmp_path, capsys):
    films = two_films()
    root = put(tmp_path / "m", as_tars(films))
    assert ingest(tmp_path / "w", root) == 0
    films[1].stories[0]["subtitle"] = []
    films[1].scene = [{"shot": [0, 3], "frame": [0, 399]}]
    put(root, films[1].files())
    for film in (ONE, TWO):
        spoil(root / f"240P/{film}.tar")
    assert ingest(tmp_path / "w", root) == 0
    assert len(clips_of(tmp_path / "w")) == 4


def test_another_layout_of_the_same_makes_the_same_bytes_and_a_new_stamp(tmp_path):
    put(tmp_path / "m", as_zips(two_films()))
    assert ingest(tmp_path / "w", tmp_path / "m") == 0
    digest = digest_of(tmp_path / "w")
    shutil.rmtree(tmp_path / "m")
    put(tmp_path / "m", as_zips(two_films(), zipfile.ZIP_DEFLATED))
    assert ingest(tmp_path / "w", tmp_path / "m") == 0
    assert digest_of(tmp_path / "w") == digest


def test_a_run_that_failed_goes_on_after_repair(tmp_path, capsys):
    files = as_tars(two_films())
    root = put(tmp_path / "m", files | {f"240P/{TWO}.tar": b"no tar"})
    assert ingest(tmp_path / "w", root) == 2
    capsys.readouterr()
    spoil(root / f"240P/{ONE}.tar")  # it was read by the first run
    put(root, {f"240P/{TWO}.tar": files[f"240P/{TWO}.tar"]})
    assert ingest(tmp_path / "w", root) == 0
    assert said_of("clips", capsys).endswith("; 1 of 2 parts were there")
    assert ingest(tmp_path / "v", put(tmp_path / "whole", files)) == 0
    assert digest_of(tmp_path / "w") == digest_of(tmp_path / "v")


def many_films(count, shots=3):
    """Films of one story each."""
    ids = [f"tt{i:07d}" for i in range(1, count + 1)]
    return [SmallFilm(m, [story(m, 0, [0, shots - 1])], None, frames(m, shots)) for m in ids]


def test_two_processes_give_the_same_bytes(tmp_path):
    root = put(tmp_path / "m", as_tars(many_films(5)))
    assert ingest(tmp_path / "one", root) == 0
    assert ingest(tmp_path / "two", root, "--processes", "2") == 0
    for table in ("clips", "films"):
        assert bytes_of(tmp_path / "one" / table) == bytes_of(tmp_path / "two" / table)


@pytest.mark.slow
def test_a_killed_run_ends_in_the_bytes_of_an_unbroken_one(tmp_path, capsys):
    count = 60
    root = put(tmp_path / "m", as_tars(many_films(count, 20)))
    program = "from lrmovienet.cli import entry; entry()"
    command = [sys.executable, "-c", program, "ingest", "--workspace", str(tmp_path / "w")]
    run = subprocess.Popen([*command, "--movienet", str(root)], stdout=subprocess.DEVNULL)
    building = tmp_path / "w/.building/clips"
    while run.poll() is None and len(list(building.glob("*.part.parquet"))) < 5:
        time.sleep(0.005)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL, "it was killed before it was done"
    done = {p.name.split(".")[0] for p in building.glob("*.part.parquet")}
    assert 5 <= len(done) < count
    assert ingest(tmp_path / "w", root) == 0
    kept = int(said_of("clips", capsys).split("; ")[1].split(" of ")[0])
    assert kept == len(done)
    assert ingest(tmp_path / "v", root) == 0
    for table in ("clips", "films"):
        assert bytes_of(tmp_path / "w" / table) == bytes_of(tmp_path / "v" / table)


def test_a_tar_put_back_later_is_looked_for_again(tmp_path):
    files = as_tars(two_films())
    tar = f"240P/{ONE}.tar"
    root = put(tmp_path / "m", {k: v for k, v in files.items() if k != tar})
    assert ingest(tmp_path / "w", root) == 0
    assert len(clips_of(tmp_path / "w")) == 1
    put(root, {tar: tar_of(frames(ONE, 10))})
    assert ingest(tmp_path / "w", root) == 0
    assert len(clips_of(tmp_path / "w")) == 4
