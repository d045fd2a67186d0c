import hashlib
import io
import itertools
import os
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrmovienet.errors import ItemError, UserError
from lrmovienet.keyframes import (
    KeyframeReader,
    evenly,
    frames_root,
    parse_ref,
)
from lrmovienet.places import MAX_FRAME_BYTES
from lrmovienet.runner.local import run_once
from lrmovienet.workspace import Workspace

FRAMES = {
    f"tt1/shot_{s:04d}_img_{i}.jpg": f"jpeg {s} {i}".encode() for s in range(4) for i in (0, 1)
}


def add(tar: tarfile.TarFile, name: str, data: bytes = b"", **header: object) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for key, value in header.items():
        setattr(member, key, value)
    tar.addfile(member, io.BytesIO(data))


def write_tar(path: Path, frames: dict[str, bytes], mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for name, data in frames.items():
            add(tar, name, data)
    return path


def write_folder(folder: Path, frames: dict[str, bytes]) -> None:
    for name, data in frames.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


@pytest.mark.parametrize("folder", ["240P", "240p"])
@pytest.mark.parametrize("form", ["tar", "dotted tar", "folder"])
def test_tar_and_folder_give_the_same_frames(tmp_path: Path, folder: str, form: str) -> None:
    if form == "folder":
        write_folder(tmp_path / folder, FRAMES)
    else:
        dot = "./" if form == "dotted tar" else ""
        write_tar(tmp_path / folder / "tt1.tar", {dot + k: v for k, v in reversed(FRAMES.items())})
    reader = KeyframeReader(tmp_path)
    assert reader.refs("tt1") == list(FRAMES)
    assert {ref: reader.read(ref) for ref in FRAMES} == FRAMES


def test_refs_are_in_the_order_of_the_film_beyond_four_digits(tmp_path: Path) -> None:
    names = ["tt1/shot_9999_img_2.jpg", "tt1/shot_10000_img_0.jpg", "tt1/shot_10000_img_1.jpg"]
    write_tar(tmp_path / "240P/tt1.tar", dict.fromkeys(reversed(names), b"x"))
    assert KeyframeReader(tmp_path).refs("tt1") == names


def test_a_frame_is_checked_against_its_sha256(tmp_path: Path) -> None:
    write_tar(tmp_path / "240P/tt1.tar", FRAMES)
    ref, data = next(iter(FRAMES.items()))
    reader = KeyframeReader(tmp_path)
    assert reader.read(ref, hashlib.sha256(data).hexdigest()) == data
    with pytest.raises(ItemError, match=r"tt1\.tar: keyframe .* is not the picture that was ing"):
        reader.read(ref, hashlib.sha256(b"another").hexdigest())


def test_absent_film_frame_and_wrong_names(tmp_path: Path) -> None:
    write_tar(tmp_path / "240P/tt1.tar", FRAMES)
    write_folder(tmp_path / "240P", {"tt2/shot_0000_img_0.jpg": b"x"})
    os.mkfifo(tmp_path / "240P/tt2/shot_0001_img_0.jpg")  # reading it would wait for ever
    reader = KeyframeReader(tmp_path)
    with pytest.raises(ItemError, match=r"shot_0009_img_0\.jpg is not in this tar"):
        reader.read("tt1/shot_0009_img_0.jpg")
    for name in ("shot_0001_img_0.jpg", "shot_0002_img_0.jpg"):
        with pytest.raises(ItemError, match="no such keyframe"):
            reader.read(f"tt2/{name}")
    with pytest.raises(ItemError, match=r"no keyframes of tt3 here; looked for 240P/tt3\.tar"):
        reader.read("tt3/shot_0000_img_0.jpg")


@pytest.mark.parametrize(
    "ref",
    [
        "", "tt1", "../shot_0000_img_0.jpg", "./shot_0000_img_0.jpg", "/shot_0000_img_0.jpg",
        "a/../shot_0000_img_0.jpg", "tt1/../../etc/passwd", "tt1\\shot_0000_img_0.jpg",
        "tt1/shot_0000_img_0.jpg\n", "tt1/shot_0000_img_0.png", "tt1/shot_٠٠٠٠_img_0.jpg",
        "tt1/shot_0000000000_img_0.jpg",
    ],
)  # fmt: skip
def test_only_keyframe_names_are_names(ref: str, tmp_path: Path) -> None:
    write_folder(tmp_path, {"shot_0000_img_0.jpg": b"secret", "240P/shot_0000_img_0.jpg": b"x"})
    with pytest.raises(ItemError, match="is not a keyframe's name"):
        KeyframeReader(tmp_path).read(ref)


def test_parse_ref() -> None:
    assert parse_ref("tt1210166/shot_0012_img_1.jpg") == ("tt1210166", 12, 1)


def test_hostile_members_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "240P").mkdir()
    name = "tt1/shot_{:04d}_img_0.jpg".format
    with tarfile.open(tmp_path / "240P/tt1.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        add(tar, "/" + name(0), b"absolute")
        add(tar, "../" + name(1), b"above")
        add(tar, "tt1/../" + name(2), b"around")
        add(tar, "tt2/" + name(3), b"deeper")
        add(tar, name(4), type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(tar, name(5), type=tarfile.LNKTYPE, linkname=name(9))
        add(tar, name(6), type=tarfile.FIFOTYPE)
        add(tar, name(7), type=tarfile.DIRTYPE)
        add(tar, name(9), b"good")
    reader = KeyframeReader(tmp_path)
    assert reader.refs("tt1") == [name(9)]
    assert reader.read(name(9)) == b"good"
    for number in range(8):
        with pytest.raises(ItemError, match="is not in this tar"):
            reader.read(name(number))
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["240P", "tt1.tar"]  # nothing unpacked


def test_members_with_holes_are_not_there(tmp_path: Path) -> None:
    """A sparse member's bytes are not one stretch of the tar; its size may be anything."""
    (tmp_path / "240P").mkdir()
    with tarfile.open(tmp_path / "240P/tt1.tar", "w") as tar:
        holes = {"GNU.sparse.map": "0,4", "GNU.sparse.size": "1000000"}
        add(tar, "tt1/shot_0000_img_0.jpg", b"data", pax_headers=holes)
        add(tar, "tt1/shot_0001_img_0.jpg", b"good")
    assert KeyframeReader(tmp_path).refs("tt1") == ["tt1/shot_0001_img_0.jpg"]


def test_huge_frames_are_refused_unread(tmp_path: Path) -> None:
    ref = "tt1/shot_0000_img_0.jpg"
    (tmp_path / "240P/tt2").mkdir(parents=True)
    header = tarfile.TarInfo(ref)
    header.size = MAX_FRAME_BYTES + 1
    with (tmp_path / "240P/tt1.tar").open("wb") as file:
        file.write(header.tobuf())
        file.truncate(512 + 512 * (header.size // 512 + 1) + 1024)
    with (tmp_path / "240P/tt2/shot_0000_img_0.jpg").open("wb") as file:
        file.truncate(MAX_FRAME_BYTES + 1)
    for film in ("tt1", "tt2"):
        with pytest.raises(ItemError, match="20000001 bytes; a keyframe has at most 20000000"):
            KeyframeReader(tmp_path).read(f"{film}/shot_0000_img_0.jpg")


def test_compressed_tars_are_no_tars(tmp_path: Path) -> None:
    write_tar(tmp_path / "240P/tt1.tar", FRAMES, "w:gz")
    with pytest.raises(
        ItemError, match="is compressed, though its name says that it is a plain tar"
    ):
        KeyframeReader(tmp_path).refs("tt1")


@given(st.data())
def test_a_tar_cut_anywhere_is_noticed(tmp_path_factory: pytest.TempPathFactory, data) -> None:  # type: ignore[no-untyped-def]
    root = tmp_path_factory.mktemp("cut")
    path = write_tar(root / "240P/tt1.tar", FRAMES)
    whole = path.read_bytes()
    end = whole.rindex(b"jpeg") + 512 - whole.rindex(b"jpeg") % 512  # of the last member
    cut = data.draw(st.integers(0, end + 511))
    path.write_bytes(whole[:cut])
    with pytest.raises(ItemError, match=r"tt1\.tar: .*Copy the file again"):
        KeyframeReader(root).refs("tt1")


def test_garbage_between_members_is_noticed(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "240P/tt1.tar", FRAMES)
    data = bytearray(path.read_bytes())
    data[3 * 1024 : 3 * 1024 + 512] = b"\x07" * 512  # the fourth member's header
    path.write_bytes(data)
    with pytest.raises(ItemError, match="damaged or cut off"):
        KeyframeReader(tmp_path).refs("tt1")


def test_a_replaced_tar_is_indexed_again(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "240P/tt1.tar", FRAMES)
    reader = KeyframeReader(tmp_path)
    assert len(reader.refs("tt1")) == len(FRAMES)
    write_tar(path, {"tt1/shot_0007_img_0.jpg": b"new"})
    assert reader.refs("tt1") == ["tt1/shot_0007_img_0.jpg"]


def test_a_used_reader_works_in_another_process(tmp_path: Path) -> None:
    write_tar(tmp_path / "240P/tt1.tar", FRAMES)
    reader = KeyframeReader(tmp_path)
    ref, data = next(iter(FRAMES.items()))
    assert reader.read(ref) == data
    pickled = pickle.dumps(reader)
    assert len(pickled) < 1000  # no index, no file goes along
    code = (
        "import pickle, sys; "
        "sys.stdout.buffer.write(pickle.loads(bytes.fromhex(sys.argv[1])).read(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, pickled.hex(), ref]
    assert subprocess.run(command, capture_output=True, check=True).stdout == data


def make_clips(workspace: Workspace, config: dict[str, object]) -> None:
    frames = [{"ref": "tt1/shot_0000_img_0.jpg", "sha256": "0"}]
    columns = {
        "clip_id": ["tt1_0000"], "movie_id": ["tt1"], "title": [None], "genres": [[]],
        "description": ["text"], "shot": [[0, 0]], "frame": [[0, 0]], "start_s": [None],
        "end_s": [None], "keyframes": [frames],
    }  # fmt: skip
    run_once(workspace, "clips", lambda: dict(columns), version="1", inputs={}, config=config)


def test_frames_root_is_relative_to_the_workspace(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    with pytest.raises(UserError, match="Run first: lrmovienet ingest"):
        frames_root(workspace)
    make_clips(workspace, {"frames_root": "../films"})
    with pytest.raises(UserError, match=r"films: the keyframes' folder is not there"):
        frames_root(workspace)
    (tmp_path / "films").mkdir()
    assert frames_root(workspace) == (tmp_path / "films").resolve()
    (tmp_path / "w").rename(tmp_path / "moved")
    assert frames_root(Workspace(tmp_path / "moved")) == (tmp_path / "films").resolve()


def test_clips_without_pictures_say_so(tmp_path: Path) -> None:
    make_clips(Workspace(tmp_path), {})
    with pytest.raises(UserError, match="made without pictures"):
        frames_root(Workspace(tmp_path))


def test_evenly_by_hand() -> None:
    assert evenly("abc", 6) == ["a", "b", "c"]
    assert evenly("abc", 3) == ["a", "b", "c"]
    assert evenly("abc", 1) == ["b"]
    # six stretches of 1.5: 0-1.5, 1.5-3, ...; their middles 0.75, 2.25, 3.75, 5.25, 6.75, 8.25
    assert evenly(range(9), 6) == [0, 2, 3, 5, 6, 8]
    # the documented MovieNet story has some 1,095 keyframes
    assert evenly(range(1095), 6) == [91, 273, 456, 638, 821, 1003]


@given(st.integers(0, 200), st.integers(1, 50))
def test_evenly_keeps_order_and_leaves_no_gap(total: int, at_most: int) -> None:
    chosen = evenly(range(total), at_most)
    assert len(chosen) == min(total, at_most)
    steps = [b - a for a, b in itertools.pairwise(chosen)]
    assert all(step >= 1 for step in steps)
    if steps:
        assert max(steps) - min(steps) <= 1
        assert abs(chosen[0] - (total - 1 - chosen[-1])) <= 1
