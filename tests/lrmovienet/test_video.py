import hashlib
import os
import struct
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrmovienet.errors import ItemError
from lrmovienet.video import (
    VideoStage,
    check_video,
    find_shots,
    frames_between,
    keyframes_of,
    write_keyframes,
)

DEMO = Path(__file__).parents[2] / "demo"
NASA, BUNNY = DEMO / "nasa_13013.mp4", DEMO / "bigbuckbunny.mp4"


def make_video(path: Path, shots: list[int], size: tuple[int, int] = (96, 64)) -> Path:
    """A film of shots of the given lengths; each has another colour and a bar that moves."""
    codec = "MJPG" if path.suffix == ".avi" else "mp4v"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 25.0, size)
    colours = [(30, 30, 30), (230, 230, 230), (200, 40, 40), (250, 250, 250)]
    for number, length in enumerate(shots):
        for i in range(length):
            frame = np.full((size[1], size[0], 3), colours[number % 4], np.uint8)
            frame[:, i % size[0]] = 0
            writer.write(frame)
    writer.release()
    return path


def frames_at(path: Path, numbers: set[int]) -> dict[int, np.ndarray]:
    """Frames by number, by plain OpenCV: the oracle for what is a film's n-th frame."""
    capture, frames, number = cv2.VideoCapture(str(path)), {}, 0
    while (read := capture.read())[0]:
        if number in numbers:
            frames[number] = read[1]
        number += 1
    capture.release()
    return frames


def moov_first(data: bytes) -> bytes:
    """An MP4 with its index in front of the pictures, as films for the web have it."""
    atoms, at = {}, 0
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        atoms[kind] = data[at : at + size]
        at += size
    moov = bytearray(atoms.pop(b"moov"))
    at = 0
    while (at := moov.find(b"stco", at + 1)) > 0:
        count = struct.unpack(">I", moov[at + 8 : at + 12])[0]
        offsets = struct.unpack(f">{count}I", moov[at + 12 : at + 12 + 4 * count])
        moved = [o + len(moov) for o in offsets]
        moov[at + 12 : at + 12 + 4 * count] = struct.pack(f">{count}I", *moved)
    return atoms.pop(b"ftyp") + bytes(moov) + b"".join(atoms.values())


def test_keyframes_are_where_movienet_has_them() -> None:
    # Three lines of a shot file of MovieNet. Plain quarters would give 346 in the last.
    assert keyframes_of((0, 57)) == (14, 28, 42)
    assert keyframes_of((58, 210)) == (96, 134, 172)
    assert keyframes_of((211, 481)) == (278, 345, 412)


@given(st.integers(0, 10**6), st.integers(0, 10**5))
def test_keyframes_lie_inside_their_shot(first: int, length: int) -> None:
    a, b, c = keyframes_of((first, first + length))
    assert first <= a <= b <= c <= first + length
    assert len({a, b, c}) == (3 if length >= 4 else 1)


def test_frames_between_times() -> None:
    assert frames_between(0, 8.08, 25.0) == (0, 201)  # 8.08 * 25 is 202.00000000000003 or so
    assert frames_between(8.08, 13.0, 25.0) == (202, 324)
    assert frames_between(0.5, 0.51, 25.0) == (12, 12)
    assert frames_between(0.0, 0.001, 25.0) == (0, 0)
    assert frames_between(10.0, 20.0, 24000 / 1001) == (239, 479)


@given(st.integers(0, 10**5), st.integers(1, 10**4), st.sampled_from([10, 23.976, 24, 25, 29.97]))
def test_times_at_cuts_neither_share_nor_lose_a_frame(cut: int, length: int, fps: float) -> None:
    start, middle, end = (cut / fps, (cut + length) / fps, (cut + 2 * length) / fps)
    assert frames_between(start, middle, fps) == (cut, cut + length - 1)
    assert frames_between(middle, end, fps) == (cut + length, cut + 2 * length - 1)


def test_shots_of_the_demo_films() -> None:
    # A hard cut before frame 202; the dissolve from the wide view begins at 127.
    assert find_shots(NASA, 27.0) == ([(0, 126), (127, 201), (202, 324)], 25.0)
    assert find_shots(NASA, 50.0) == ([(0, 201), (202, 324)], 25.0)
    assert find_shots(BUNNY, 27.0) == ([(0, 131)], 25.0)
    assert check_video(NASA) == (325, 25.0)


def test_shots_are_those_of_scenedetects_own_loop() -> None:
    import scenedetect

    scenes = scenedetect.detect(str(NASA), scenedetect.ContentDetector())
    expected = [(start.frame_num, end.frame_num - 1) for start, end in scenes]
    assert find_shots(NASA, 27.0)[0] == expected


@pytest.mark.parametrize("name", ["film.avi", "film.mp4"])
def test_known_cuts_are_found(tmp_path: Path, name: str) -> None:
    path = make_video(tmp_path / name, [20, 35, 16, 40])
    assert find_shots(path, 27.0) == ([(0, 19), (20, 54), (55, 70), (71, 110)], 25.0)


def test_films_of_one_frame_and_of_less_than_a_shot(tmp_path: Path) -> None:
    for length in (1, 2, 5):
        path = make_video(tmp_path / f"{length}.avi", [length])
        assert find_shots(path, 27.0)[0] == [(0, length - 1)]
        written = write_keyframes(path, "x", [(0, length - 1)], 240, tmp_path / "x.tar")
        assert [k.frame for k in written] == list(keyframes_of((0, length - 1)))


@pytest.mark.parametrize(("path", "size"), [(NASA, (180, 320)), (BUNNY, (240, 427))])
def test_keyframes_are_the_frames_they_say(
    tmp_path: Path, path: Path, size: tuple[int, int]
) -> None:
    shots = [(0, 201), (202, 324)] if path is NASA else [(0, 131)]
    written = write_keyframes(path, "film", shots, 240, tmp_path / "film.tar")
    frames = frames_at(path, {k.frame for k in written})
    with tarfile.open(tmp_path / "film.tar") as tar:
        members = tar.getmembers()
        stored = [tar.extractfile(m).read() for m in members]  # type: ignore[union-attr]
    assert [m.name for m in members] == [k.ref for k in written]
    assert [m.name for m in members] == [
        f"film/shot_{s:04d}_img_{i}.jpg" for s in range(len(shots)) for i in range(3)
    ]
    assert [k.frame for k in written] == [f for shot in shots for f in keyframes_of(shot)]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}
    for keyframe, data in zip(written, stored, strict=True):
        picture = frames[keyframe.frame]
        if picture.shape[0] > 240:
            picture = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
        expected = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
        assert data == expected
        assert hashlib.sha256(data).hexdigest() == keyframe.sha256
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert decoded.shape == (*size, 3)


def test_equal_films_give_equal_tars(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_keyframes(NASA, "film", [(0, 201), (202, 324)], 90, tmp_path / f"{name}.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_a_tar_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "film.tar").write_bytes(b"old")
    with pytest.raises(ItemError, match="frame 367 could be decoded once but not again"):
        write_keyframes(NASA, "film", [(0, 201), (202, 423)], 90, tmp_path / "film.tar")
    assert [p.name for p in tmp_path.iterdir()] == ["film.tar"]
    assert (tmp_path / "film.tar").read_bytes() == b"old"


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("kind", ["mp4", "avi"])
def test_films_that_lost_their_tail_are_refused(tmp_path: Path, kind: str, share: float) -> None:
    path = tmp_path / f"film.{kind}"
    if kind == "mp4":
        path.write_bytes(moov_first(NASA.read_bytes()))
        assert find_shots(path, 27.0) == find_shots(NASA, 27.0)
    else:
        make_video(path, [40, 60])
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    whole = check_video(path).frames  # its beginning is fine
    assert whole == (325 if kind == "mp4" else 100)
    with pytest.raises(ItemError, match=rf"cut off or damaged: \d+ of {whole} frames"):
        find_shots(path, 27.0)


def test_codecs_that_are_missing(tmp_path: Path) -> None:
    extra = os.environ.get("LRMOVIENET_EXTRA_DATA")
    if not extra:
        pytest.skip("LRMOVIENET_EXTRA_DATA is unset: no AV1 film here")
    with pytest.raises(ItemError, match=r"no frame of it can be decoded.*ffmpeg -i IN -c:v libx26"):
        check_video(Path(extra) / "open_video/av1_video.mkv")


def stage_for(tmp_path: Path, path: Path, **options: object) -> VideoStage:
    defaults = {"threshold": 27.0, "height": 240, "frames_per_clip": 6}
    return VideoStage({"film": path}, tmp_path / "frames", **(defaults | options))  # type: ignore[arg-type]


def run_stage(stage: VideoStage, times: list[tuple[float | None, float | None]]) -> dict[str, list]:
    clips = [
        {"description": "d", "title": None, "genres": [], "start_s": a, "end_s": b}
        for a, b in times
    ]
    return stage({"movie_id": ["film"], "file": ["film.avi"], "sha256": ["s"], "clips": [clips]})


def refs(output: dict[str, list], row: int) -> list[str]:
    return [k["ref"].removeprefix("film/") for k in output["keyframes"][row]]


def test_clips_take_the_keyframes_of_their_stretch(tmp_path: Path) -> None:
    path = make_video(tmp_path / "film.avi", [20, 35, 16, 40])  # keyframes from 4 to 98
    stage = stage_for(tmp_path, path)
    output = run_stage(stage, [(None, None), (0, 0.8), (0.8, 2.84), (1.0, 1.2)])
    assert output["clip_id"] == ["film_0000", "film_0001", "film_0002", "film_0003"]
    assert output["shot"] == [[0, 3], [0, 0], [1, 2], [1, 1]]
    assert output["frame"] == [[0, 110], [0, 19], [20, 70], [25, 29]]
    assert (output["start_s"][0], output["end_s"][0]) == (0.0, 111 / 25)
    assert refs(output, 0) == [  # six of twelve
        f"shot_{s:04d}_img_{i}.jpg" for s, i in [(0, 1), (1, 0), (1, 2), (2, 1), (3, 0), (3, 2)]
    ]
    assert refs(output, 1) == [f"shot_0000_img_{i}.jpg" for i in range(3)]
    assert refs(output, 2) == [f"shot_{s:04d}_img_{i}.jpg" for s in (1, 2) for i in range(3)]
    # Frames 25 to 29 hold the keyframe at 28 only; a clip that holds none gets the nearest.
    assert refs(output, 3) == ["shot_0001_img_0.jpg"]
    assert refs(run_stage(stage, [(1.2, 1.28)]), 0) == ["shot_0001_img_0.jpg"]
    assert refs(run_stage(stage, [(1.28, 1.36)]), 0) == ["shot_0001_img_1.jpg"]


def test_times_are_held_against_what_was_decoded(tmp_path: Path) -> None:
    stage = stage_for(tmp_path, make_video(tmp_path / "film.avi", [50]))
    assert run_stage(stage, [(1.0, 2.0)])["frame"] == [[25, 49]]
    assert run_stage(stage, [(1.0, 2.04)])["frame"] == [[25, 49]]  # one frame of rounding
    with pytest.raises(ItemError, match=r"film\.avi: .*1\.0 s to 2\.05 s, but only 2\.00 s"):
        run_stage(stage, [(1.0, 2.05)])


def test_the_version_names_every_option(tmp_path: Path) -> None:
    versions = {
        stage_for(tmp_path, NASA, **options).version
        for options in ({}, {"threshold": 26.0}, {"height": 120}, {"frames_per_clip": 3})
    }
    assert len(versions) == 4
    assert stage_for(tmp_path / "elsewhere", BUNNY).version in versions  # no path in it
