"""The folder of pictures that goes with a release: whole, gated, in pieces of bounded size."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from making import contents, copied, sealed
from small_releases import (
    clip,
    hydrate,
    picture,
    put_frames,
    record,
    ref,
    refused,
    sha256,
    write_release,
)

from lrmovienet.cli import main
from lrmovienet.errors import UserError
from lrmovienet.keyframes import KeyframeReader
from lrmovienet.release import frames as module
from lrmovienet.release.check import check
from lrmovienet.release.frames import write_frames
from lrmovienet.release.layout import Release
from lrmovienet.workspace import Workspace

SIZES = [300, 700, 10, 999, 500, 500, 1, 2500, 400, 60, 1200, 80]
"""Bytes of the pictures of one clip after the other; the reader does not mind what they show."""


def data_of(size, number):
    return np.random.default_rng(number).bytes(size)


def with_pictures(root, pictures):
    """A release and a workspace of it: a clip for each list of pictures, two clips a film."""
    clips, frames = [], {}
    for n, of_clip in enumerate(pictures):
        film = f"f{n // 2}"
        mine = {ref(film, n, i): data for i, data in enumerate(of_clip)}
        clips.append(clip(f"{film}_{n:04d}", [(r, sha256(d), None) for r, d in mine.items()]))
        frames |= mine
    labels = [row for c in clips for row in record(c["clip_id"], "source_train", {"dog": 1})]
    about = {"title": "Tiny <films>", "license": "apache-2.0", "date": None}
    release = write_release(root / "r", clips, labels, about=about, version="1.2.3")
    films = put_frames(root / "films", frames)
    return release, hydrate(release.root, root / "h", "--frames", films), frames


@pytest.fixture
def made(tmp_path):
    return with_pictures(tmp_path, [[data_of(size, n)] for n, size in enumerate(SIZES)])


def groups(path):
    """Row groups: of each, the bytes of the pictures of each of its rows."""
    file = pq.ParquetFile(path)
    return [
        [sum(len(p["bytes"]) for p in row["frames"]) for row in file.read_row_group(i).to_pylist()]
        for i in range(file.num_row_groups)
    ]


def test_the_corpus_pictures_byte_for_byte(tiny, tmp_path):
    """By the command line; twice, with the same bytes, the second in the place of the first."""
    release, out = tmp_path / "r", tmp_path / "pictures"
    argv = ["release", "build", "--workspace", str(tiny), "--out", str(release),
            "--include_frames", str(out)]  # fmt: skip
    assert main(argv) == 0
    before = contents(out)
    clips = Release.open(release).read("clips").to_pylist()
    reader = KeyframeReader(tiny / "movienet")
    rows = Release.open(out).read("frames").to_pylist()
    assert [row["clip_id"] for row in rows] == [row["clip_id"] for row in clips]
    for row, of_clip in zip(rows, clips, strict=True):
        assert row["refs"] == [frame["ref"] for frame in of_clip["keyframes"]]
        assert [p["bytes"] for p in row["frames"]] == [reader.read(r) for r in row["refs"]]
        assert [sha256(p["bytes"]) for p in row["frames"]] == [
            frame["sha256"] for frame in of_clip["keyframes"]
        ]
        assert [p["path"] for p in row["frames"]] == [r.replace("/", "_") for r in row["refs"]]
    assert check(Release.open(out)) == []
    assert main(argv) == 0
    assert contents(out) == before
    assert not [p for p in tmp_path.iterdir() if p.name not in ("r", "pictures")]


def test_the_release_itself_has_no_picture(tiny, tmp_path):
    release = tmp_path / "r"
    assert main(["release", "build", "--workspace", str(tiny), "--out", str(release),
                 "--include_frames", str(tmp_path / "p")]) == 0  # fmt: skip
    assert "frames" not in Release.open(release).configs
    reader = KeyframeReader(tiny / "movienet")
    clips = Release.open(release).read("clips").to_pylist()
    some = [reader.read(c["keyframes"][0]["ref"]) for c in clips]
    for data in contents(release).values():
        assert not any(jpeg[:200] in data for jpeg in some)


def test_the_card_asks_for_consent_and_says_what_it_goes_with(made, tmp_path):
    release, workspace, _ = made
    assert write_frames(release, workspace, tmp_path / "p") == 12
    text = (tmp_path / "p" / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    head = yaml.safe_load(front)
    # The labels may be free; the pictures are the films' owners'.
    assert head["license"] == "other"
    assert head["pretty_name"] == "Tiny <films>: frames"
    assert "research" in head["extra_gated_prompt"]
    assert head["extra_gated_fields"] == {"Institution": "text", "I agree": "checkbox"}
    assert head["configs"] == [{"config_name": "frames", "data_files": [
        {"split": "full", "path": ["frames/frames-00000.parquet"]}]}]  # fmt: skip
    (info,) = head["dataset_info"]
    assert info["splits"][0]["num_examples"] == 12
    assert {"name": "frames", "list": "image"} in info["features"]
    assert f"version 1.2.3 of it (content `{release.digest[:12]}`): 12 clips, 12 pictures" in body
    manifest = Release.open(tmp_path / "p").manifest
    assert (manifest["kind"], manifest["of"], manifest["version"], manifest["pictures"]) == (
        "frames", release.digest, "1.2.3", 12,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("group_bytes", "rows", "expected"),
    [
        # A group ends with the picture that reaches the bound; the last may be smaller.
        (1000, 100, [[300, 700], [10, 999], [500, 500], [1, 2500], [400, 60, 1200], [80]]),
        (1001, 100, [[300, 700, 10], [999, 500], [500, 1, 2500], [400, 60, 1200], [80]]),
        (10**9, 5, [[300, 700, 10, 999, 500], [500, 1, 2500, 400, 60], [1200, 80]]),
        (10**9, 100, [SIZES]),
        (1, 100, [[size] for size in SIZES]),
    ],
)
def test_row_groups_end_by_bytes_or_by_rows(
    made, tmp_path, monkeypatch, group_bytes, rows, expected
):
    release, workspace, _ = made
    monkeypatch.setattr(module, "GROUP_BYTES", group_bytes)
    monkeypatch.setattr(module, "PICTURES_A_GROUP", rows)
    write_frames(release, workspace, tmp_path / "p")
    assert groups(tmp_path / "p" / "frames" / "frames-00000.parquet") == expected


@pytest.mark.parametrize(
    ("file_bytes", "expected"),
    [
        (1, [[[300, 700]], [[10, 999]], [[500, 500]], [[1, 2500]], [[400, 60, 1200]], [[80]]]),
        (2000, [[[300, 700], [10, 999]], [[500, 500], [1, 2500]], [[400, 60, 1200], [80]]]),
        (2009, [[[300, 700], [10, 999]], [[500, 500], [1, 2500]], [[400, 60, 1200], [80]]]),
        (2010, [[[300, 700], [10, 999], [500, 500]], [[1, 2500]], [[400, 60, 1200], [80]]]),
        (sum(SIZES), [[[300, 700], [10, 999], [500, 500], [1, 2500], [400, 60, 1200], [80]]]),
    ],
)  # fmt: skip
def test_a_file_ends_with_the_group_that_fills_it(
    made, tmp_path, monkeypatch, file_bytes, expected
):
    """Of 1,000 bytes a group: 1000, 1009, 1000, 2501, 1660, 80."""
    release, workspace, frames = made
    monkeypatch.setattr(module, "GROUP_BYTES", 1000)
    monkeypatch.setattr(module, "FILE_BYTES", file_bytes)
    write_frames(release, workspace, tmp_path / "p")
    files = sorted((tmp_path / "p" / "frames").iterdir())
    assert [path.name for path in files] == [
        f"frames-{i:05d}.parquet" for i in range(len(expected))
    ]
    assert [groups(path) for path in files] == expected
    folder = Release.open(tmp_path / "p")
    rows = folder.read("frames").to_pylist()
    assert [d["bytes"] for row in rows for d in row["frames"]] == list(frames.values())
    assert check(folder) == []


def test_a_clip_with_more_pictures_than_a_group_holds_stays_one_row(tmp_path, monkeypatch):
    pictures = [[data_of(400, i) for i in range(9)], [data_of(10, 20)]]
    release, workspace, frames = with_pictures(tmp_path, pictures)
    monkeypatch.setattr(module, "GROUP_BYTES", 1000)
    monkeypatch.setattr(module, "FILE_BYTES", 1000)
    assert write_frames(release, workspace, tmp_path / "p") == 10
    rows = Release.open(tmp_path / "p").read("frames").to_pylist()
    assert [len(row["frames"]) for row in rows] == [9, 1]
    assert [d["bytes"] for row in rows for d in row["frames"]] == list(frames.values())


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    """Three files of pictures."""
    release, workspace, _ = made
    monkeypatch.setattr(module, "GROUP_BYTES", 1000)
    monkeypatch.setattr(module, "FILE_BYTES", 2000)
    write_frames(release, workspace, tmp_path / "p")
    assert check(Release.open(tmp_path / "p")) == []
    return tmp_path / "p"


def turned(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def fewer_rows(path):
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda p: turned(p / "frames" / "frames-00001.parquet"), "frames-00001.parquet"),
        (lambda p: (p / "frames" / "frames-00002.parquet").unlink(), "frames-00002.parquet"),
        (lambda p: (p / "frames" / "frames-00003.parquet").write_bytes(b"x"), "does not belong"),
        (lambda p: (p / "film.mp4").write_bytes(b"x"), "film.mp4"),
        (lambda p: (p / "README.md").write_text("free for all"), "README.md"),
        (lambda p: (p / "README.md").unlink(), "README.md"),
    ],
)
def test_what_is_tampered_with_is_found(folder, harm, said):
    harm(folder)
    problems = check(Release.open(folder))
    assert problems
    assert any(said in problem for problem in problems)


def test_tampering_with_a_manifest_to_match_is_found_where_it_can_be(folder):
    """Fewer rows, or a card without a gate, under new hashes."""
    fewer_rows(folder / "frames" / "frames-00001.parquet")
    assert any("frames-00001" in problem for problem in check(sealed(folder)))


def test_a_card_that_asks_for_nothing_is_found_under_new_hashes(folder):
    card = folder / "README.md"
    text = card.read_text()
    ungated = "\n".join(line for line in text.splitlines() if "extra_gated" not in line) + "\n"
    assert ungated != text
    card.write_text(ungated)
    assert any("README.md" in problem for problem in check(sealed(folder)))


def test_a_picture_that_is_gone_or_another_one_leaves_the_older_folder(made, tmp_path):
    release, workspace, frames = made
    out = tmp_path / "p"
    write_frames(release, workspace, out)
    before = contents(out)
    path = tmp_path / "films" / "240P" / list(frames)[5]
    path.write_bytes(b"another picture")
    with pytest.raises(UserError, match=r"clip f2_0005: .*f2/shot_0005_img_0\.jpg"):
        write_frames(release, workspace, out)
    path.unlink()
    with pytest.raises(UserError, match="clip f2_0005"):
        write_frames(release, workspace, out)
    assert contents(out) == before
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".p")]


def test_what_build_refuses(tiny, tmp_path, capsys):
    """And no release is made where the pictures cannot be."""
    out = tmp_path / "r"

    def said(pictures, workspace=tiny):
        return refused(
            capsys, "build", "--workspace", workspace, "--out", out, "--include_frames", pictures,
            verb="release",
        )  # fmt: skip

    assert "a folder of its own" in said(out / "pictures")
    assert "a folder of its own" in said(out)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    assert "holds something that is no release" in said(tmp_path / "mine")
    assert contents(tmp_path / "mine") == {"notes.txt": b"mine"}
    without = copied(tiny, tmp_path / "w")  # whose films lie elsewhere now
    assert "keyframes' folder is not there" in said(tmp_path / "p", without)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "w"]


def test_pictures_do_not_take_the_place_of_a_release_of_labels(tiny, built, tmp_path, capsys):
    """That folder's name goes to an open repository; and the release would be gone."""
    older = shutil.copytree(built, tmp_path / "older")
    argv = ["build", "--workspace", tiny, "--out", tmp_path / "r", "--include_frames", older]
    said = refused(capsys, *argv, verb="release")
    assert str(older) in said
    assert contents(older) == contents(built)


SCRIPT = """
import json, sys
from datasets import load_dataset
root, cache, out = sys.argv[1:]
rows = load_dataset(root, cache_dir=cache)["full"]
found = {"features": str(rows.features["frames"]), "rows": []}
for row in rows:
    found["rows"].append([row["clip_id"], row["refs"],
                          [[list(p.size), p.format, p.convert("RGB").getpixel((3, 5))]
                           for p in row["frames"]]])
open(out, "w").write(json.dumps(found))
"""


def test_datasets_reads_the_pictures_as_images(tmp_path, monkeypatch):
    import io

    from PIL import Image

    pictures = [[picture(n + i) for i in range(1 + n % 2)] for n in range(0, 12, 2)]
    release, workspace, frames = with_pictures(tmp_path, pictures)
    monkeypatch.setattr(module, "FILE_BYTES", 1)  # a file a group
    monkeypatch.setattr(module, "PICTURES_A_GROUP", 2)
    write_frames(release, workspace, tmp_path / "p")
    assert len(list((tmp_path / "p" / "frames").iterdir())) == 3
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    out = tmp_path / "found.json"
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "p"), str(tmp_path / "c"), str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(out.read_text())
    assert "Image(" in found["features"]
    expected = []
    for row in release.read("clips").to_pylist():
        refs = [frame["ref"] for frame in row["keyframes"]]
        shown = [Image.open(io.BytesIO(frames[r])) for r in refs]
        expected.append([row["clip_id"], refs, [
            [list(p.size), "JPEG", list(p.convert("RGB").getpixel((3, 5)))] for p in shown
        ]])  # fmt: skip
    assert found["rows"] == expected


def test_a_workspace_without_pictures_is_told_so(tmp_path):
    release, _, _ = with_pictures(tmp_path, [[b"1"]])
    without = hydrate(release.root, tmp_path / "without")
    with pytest.raises(UserError, match="made without pictures"):
        write_frames(release, Workspace(without.root), tmp_path / "p")
    assert not (tmp_path / "p").exists()
