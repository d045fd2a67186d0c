import shutil
import tarfile
from pathlib import Path

import av
import numpy as np
import pytest
from ingesting import dropped, ingest, rows
from written_films import cut_tail, decoded, moov_first, number_in, shots_of, write_film

from lrmovienet.keyframes import KeyframeReader
from lrmovienet.video.decode import check_video, open_film
from lrmovienet.video.shots import Detection, cut_film, keyframes_of
from lrmovienet.workspace import Workspace

NASA = Path(__file__).parents[3] / "demo/nasa_13013.mp4"
KINDS = {
    "nasa.mp4": None, "fast.mp4": ("libx264", {"movflags": "faststart"}),
    "film.mkv": ("libx264", {}), "h265.mkv": ("libx265", {}), "film.avi": ("mpeg4", {}),
    "jpegs.avi": ("mjpeg", {}),
}  # fmt: skip


def make(path):
    if KINDS[path.name] is None:
        path.write_bytes(moov_first(NASA.read_bytes()))
    else:
        codec, mux = KINDS[path.name]
        write_film(path, shots_of([40, 60]), codec=codec, mux=mux)
    return path


def decodable(path):
    """How many frames one thread gets out of a file, packet by packet, none given up."""
    number = 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return number
            except av.FFmpegError:
                return number + len(stream.codec_context.decode(None))
            try:
                number += len(packet.decode())
            except av.FFmpegError:
                continue


@pytest.mark.parametrize("share", [0.7, 0.9])
@pytest.mark.parametrize("name", KINDS)
def test_a_film_that_lost_its_tail_keeps_all_that_can_be_decoded(tmp_path, name, share):
    """As much as one thread gets, on any machine: threads must not take frames with them."""
    path = make(tmp_path / name)
    whole = cut_film(path, "film", Detection(), tmp_path / "film.tar")
    assert whole.notes == []
    cut_tail(path, share)
    expected = decodable(path)
    assert 0 < expected <= whole.clock.frames
    cut = cut_film(path, "film", Detection(), tmp_path / "film.tar")
    assert cut.clock.frames == expected
    assert cut.shots[-1][1] == expected - 1
    kept = [shot for shot in whole.shots if shot[1] < expected - 20]
    assert cut.shots[: len(kept)] == kept
    if expected < whole.clock.frames - 7:
        assert cut.notes[0] == (
            f"truncated: {expected} of {whole.clock.frames} frames can be decoded, the first "
            f"{cut.clock.seconds:.2f} s"
        )


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", KINDS)
def test_garbage_in_the_middle_is_left_out_and_told(tmp_path, name, seed):
    path = make(tmp_path / name)
    whole = check_video(path).frames
    data = bytearray(path.read_bytes())
    at, size = len(data) * 6 // 10, max(300, len(data) // 25)
    data[at : at + size] = np.random.default_rng(seed).bytes(size)
    path.write_bytes(data)
    expected = decodable(path)
    cut = cut_film(path, "film", Detection(), tmp_path / "film.tar")
    assert cut.clock.frames == expected
    assert len(cut.clock.ticks) == expected
    assert min(cut.clock.ticks) > 0
    flat = [frame for a, b in cut.shots for frame in range(a, b + 1)]
    assert flat == list(range(expected))
    if expected < whole - 7:
        assert cut.notes


def test_frames_before_the_damage_are_those_of_the_whole_film(tmp_path):
    path = cut_tail(make(tmp_path / "film.mkv"), 0.9)
    cut = cut_film(path, "film", Detection(), tmp_path / "film.tar")
    assert cut.shots[0] == (0, 39)
    with tarfile.open(tmp_path / "film.tar") as tar:
        shown = [number_in(decoded(tar.extractfile(m).read())) for m in tar.getmembers()]
    assert shown == [frame for shot in cut.shots for frame in keyframes_of(shot)]


def test_a_cut_off_film_goes_all_the_way(tmp_path, capsys):
    """13 s of film, of which the first 6.64 s are left."""
    path = tmp_path / "film.mp4"
    path.write_bytes(moov_first(NASA.read_bytes()))
    cut_tail(path, 0.5)
    frames = decodable(path)
    assert frames == 166
    (tmp_path / "d.csv").write_text(
        "video,description,start_s,end_s\nfilm.mp4,Inside.,1,3\nfilm.mp4,Over the end.,6,8\n"
        "film.mp4,Beyond the end.,10,12\n"
    )
    assert ingest(tmp_path / "w", path, tmp_path / "d.csv") == 0
    note = "truncated: 166 of 325 frames can be decoded, the first 6.68 s"
    captured = capsys.readouterr()
    assert captured.err.replace("\n", " ").strip() == f"film.mp4: {note}"
    workspace = Workspace(tmp_path / "w")
    (film,) = rows(workspace, "films")
    assert (film["frames"], film["notes"]) == (166, [note])
    clips = {r["clip_id"]: r for r in rows(workspace)}
    assert sorted(clips) == ["film_0000", "film_0001"]
    assert clips["film_0000"]["frame"] == [25, 74]
    assert clips["film_0001"]["frame"][0] >= 148
    assert clips["film_0001"]["frame"][1] == 165
    assert clips["film_0001"]["keyframes"]
    reasons = dropped(workspace)
    assert ("film", f"kept, {note}") in reasons
    (beyond,) = [reason for clip, reason in reasons if clip == "film_0002"]
    assert beyond.startswith("beyond the end: frame ")
    reader = KeyframeReader(tmp_path / "w/frames")
    for clip in clips.values():
        for keyframe in clip["keyframes"]:
            assert reader.read(keyframe["ref"], keyframe["sha256"])


def test_a_film_of_which_nothing_can_be_decoded_is_refused(tmp_path):
    data = bytearray(write_film(tmp_path / "a.avi", shots_of([20])).read_bytes())
    at = data.index(b"movi") + 4
    data[at:] = bytes(len(data) - at)
    (tmp_path / "a.avi").write_bytes(data)
    with pytest.raises(Exception, match="no frame of it can be decoded"):
        check_video(tmp_path / "a.avi")


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_film_behind_its_own_index_opens_at_its_first_frames(tmp_path, number):
    """Opening twice gives the same frames: nothing is left over from a first look."""
    path = make(tmp_path / list(KINDS)[number])
    seen = []
    for _ in range(2):
        check_video(path)
        with open_film(path) as film:
            seen.append(sum(1 for _ in film.frames()))
    assert seen[0] == seen[1] == check_video(path).frames


def test_a_damaged_film_gives_the_same_bytes_each_time(tmp_path, capsys):
    path = cut_tail(make(tmp_path / "film.avi"), 0.8)
    (tmp_path / "d.csv").write_text("video,description\nfilm.avi,Cut off.\nb.avi,Whole.\n")
    shutil.copy(write_film(tmp_path / "c.avi", shots_of([20])), tmp_path / "b.avi")
    trees = []
    for name, processes in (("one", "1"), ("two", "2")):
        videos = f"[{path}, {tmp_path}/b.avi]"
        assert ingest(tmp_path / name, videos, tmp_path / "d.csv", "--processes", processes) == 0
        trees.append((tmp_path / name / "frames/240P/film.tar").read_bytes())
        assert "film.avi: truncated: " in capsys.readouterr().err
    assert trees[0] == trees[1]
