"""How fast MovieNet and films go in, beside what must be read at least: ``make bench``.

All data is generated: a tree with as many shots as MovieNet's films have, whose "pictures" are
random bytes of the usual size (ingest does not decode them), and a film joined from the demo's
clips. Needs 7 GB of disk for the whole tree; files just written lie in memory when they are read.
"""

import argparse
import hashlib
import io
import json
import os
import random
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

from machine import ROOT, hardware, process, publish

SHOTS, IMAGES, FRAME_BYTES, STORIES = 1400, 3, 15_000, 15
FPS = 24000 / 1001
MOVIENET_FILMS, MOVIENET_BYTES = 1100, 160e9
LRMOVIENET = "from lrmovienet.cli import main; import sys; sys.exit(main(sys.argv[1:]))"


def seconds_of(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def write_film(root: Path, number: int) -> None:
    """A film of the tree: annotation, meta, and a tar of random bytes under keyframes' names."""
    film = f"tt{number:07d}"
    rng = random.Random(number)
    step = SHOTS // STORIES
    ranges = [(i * step, (i + 1) * step - 1) for i in range(STORIES)]
    story = [
        {
            "id": f"{film}_{i:04d}", "shot": list(shot), "frame": [shot[0] * 90, shot[1] * 90 + 89],
            "duration": [shot[0] * 90 / FPS, (shot[1] * 90 + 89) / FPS], "consistency": 0.9,
            "description": " ".join(rng.choices(["a", "man", "walks", "home", "again"], k=40)),
            "subtitle": [],
        }
        for i, shot in enumerate(ranges)
    ]  # fmt: skip
    box = {"type": "detected", "bbox": [22, 27, 1148, 675]}
    cast = [  # as many persons as a film of MovieNet has on the average
        {"id": f"{film}_{i:06d}", "shot_idx": i, "img_idx": 0, "body": box, "pid": "others"}
        for i in range(1000)
    ]  # fmt: skip
    for folder, value in (
        ("annotation", {"imdb_id": film, "cast": cast, "scene": None, "story": story}),
        ("meta", {"imdb_id": film, "title": f"Film {number}", "genres": ["Drama"]}),
    ):
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / f"{film}.json").write_text(json.dumps(value, indent=2))
    (root / "240P").mkdir(exist_ok=True)
    with tarfile.open(root / "240P" / f"{film}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for shot in range(SHOTS):
            for image in range(IMAGES):
                data = rng.randbytes(FRAME_BYTES + rng.randrange(-3000, 3000))
                member = tarfile.TarInfo(f"{film}/shot_{shot:04d}_img_{image}.jpg")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


def tars(root: Path, films: int) -> list[Path]:
    """The tars of the first films."""
    return sorted((root / "240P").iterdir())[:films]


def hash_everything(paths: list[Path]) -> None:
    """The floor for all frames: read the tars from end to end and hash every byte."""
    for path in paths:
        with path.open("rb", buffering=0) as file:
            digest = hashlib.sha256()
            while piece := file.read(1 << 20):
                digest.update(piece)


def hash_members(paths: list[Path], every: int) -> None:
    """The same by Python's tarfile, for each so-manieth member."""
    for path in paths:
        with tarfile.open(path) as tar:
            for i, member in enumerate(tar):
                if i % every == 0:
                    file = tar.extractfile(member)
                    assert file is not None
                    hashlib.sha256(file.read()).hexdigest()


def hash_known(paths: list[Path], offsets: dict[Path, list[tuple[int, int]]], every: int) -> None:
    """The floor where few frames are wanted: read each header, and of some members the bytes."""
    for path in paths:
        file = os.open(path, os.O_RDONLY)
        for i, (offset, size) in enumerate(offsets[path]):
            os.pread(file, 512, offset - 512)
            if i % every == 0:
                hashlib.sha256(os.pread(file, size, offset)).hexdigest()
        os.close(file)


def offsets_of(path: Path) -> list[tuple[int, int]]:
    """Where a tar's members lie."""
    with tarfile.open(path) as tar:
        return [(member.offset_data, member.size) for member in tar]


def ingest(workspace: Path, root: Path, *options: str) -> tuple[float, float]:
    """Seconds and peak memory in GB of `lrmovienet ingest`, its start included."""
    command = [sys.executable, "-c", LRMOVIENET, "ingest", "--workspace", str(workspace)]
    seconds, peak, _ = process([*command, "--movienet", str(root), *options])
    return seconds, peak / 2**20


def part_of(root: Path, films: int, folder: Path) -> Path:
    """A tree of the first films, by links."""
    for path in root.rglob("*.*"):
        if path.is_file() and int(path.stem[2:]) < films:
            target = folder / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.hardlink_to(path)
    return folder


def tree_lines(folder: Path, films: int) -> Iterator[str]:
    """The table about a MovieNet tree."""
    root = folder / "movienet"
    for number in range(films):
        write_film(root, number)
    paths = tars(root, films)
    total = sum(path.stat().st_size for path in paths)
    frames = films * SHOTS * IMAGES
    offsets = {path: offsets_of(path) for path in paths}
    every = SHOTS * IMAGES // (STORIES * 6)
    floor_all = seconds_of(lambda: hash_everything(paths))
    floor_few = seconds_of(lambda: hash_known(paths, offsets, every))
    by_tarfile_all = seconds_of(lambda: hash_members(paths, 1))
    by_tarfile_few = seconds_of(lambda: hash_members(paths, every))
    all_frames = ("--frames_per_clip", "100000")
    ours_all, peak_all = ingest(folder / "all", root, *all_frames)
    ours, peak = ingest(folder / "w", root)
    two_all, _ = ingest(folder / "two all", root, *all_frames, "--processes", "2")
    again, _ = ingest(folder / "w", root)
    again_all, _ = ingest(folder / "all", root, *all_frames)
    with tarfile.open(paths[0], "a") as tar:
        tar.addfile(tarfile.TarInfo(f"{paths[0].stem}/shot_{SHOTS:04d}_img_0.jpg"))
    changed, _ = ingest(folder / "all", root, *all_frames)
    few = part_of(root, max(films // 4, 1), folder / "few")
    _, peak_few = ingest(folder / "w few", few, *all_frames)

    yield (
        f"A generated tree of {films} films × {SHOTS:,} shots × {IMAGES} frames ({frames:,} frames "
        f"of random bytes, {total / 1e9:.1f} GB), {STORIES} stories a film that are all shots."
    )
    yield from ("", "| what | seconds | MB/s of tar | beside the floor |", "|---|--:|--:|--:|")

    def line(what: str, seconds: float, floor: float | None) -> str:
        share = "" if floor is None else f"{floor / seconds:.0%}"
        return f"| {what} | {seconds:.2f} | {total / 1e6 / seconds:,.0f} | {share} |"

    yield line("every frame: floor, reading the tars and hashing every byte", floor_all, None)
    yield line("every frame: `ingest`, the program's start included", ours_all, floor_all)
    yield line("every frame: `ingest --processes 2`", two_all, floor_all)
    yield line("every frame: Python's tarfile and hashlib alone", by_tarfile_all, floor_all)
    yield line(
        "six frames a clip: floor, reading each header and hashing the same", floor_few, None
    )
    yield line("six frames a clip: `ingest`", ours, floor_few)
    yield line("six frames a clip: Python's tarfile and hashlib alone", by_tarfile_few, floor_few)
    yield line("run again, nothing changed (six frames)", again, None)
    yield line("run again, nothing changed (every frame)", again_all, None)
    yield line("run again, one film changed (every frame)", changed, None)
    yield from (
        "",
        f"- Two workers: {ours_all / two_all:.2f} times as fast as one.",
        f"- Peak memory of the largest process: {peak_few:.2f} GB for {max(films // 4, 1)} films, "
        f"{peak_all:.2f} GB for {films} (every frame); {peak:.2f} GB for six frames a clip.",
        f"- A second run: {again / films * 100:.1f} s a hundred films.",
    )
    rate = total / ours_all
    yield (
        f"- MovieNet has {MOVIENET_FILMS:,} films in 160 GB. Reading and hashing every frame would "
        f"take {MOVIENET_BYTES / rate / 60:.0f} min on this machine were the files in memory, six "
        f"frames a clip {ours / films * MOVIENET_FILMS / 60:.1f} min. Neither is the limit: a disk "
        f"of 150 MB/s needs {MOVIENET_BYTES / 150e6 / 60:.0f} min for 160 GB, one of 2 GB/s "
        f"{MOVIENET_BYTES / 2e9 / 60:.1f} min. Only films with stories are read, some 300."
    )


def write_video(path: Path, frames: int, static: bool) -> None:
    """A film of 1280 x 720 joined from the demo's clips; static: one picture all the time."""
    import av

    pictures = []
    for name in ("bigbuckbunny.mp4", "nasa_13013.mp4"):
        with av.open(str(ROOT / "demo" / name)) as film:
            pictures += [
                f.reformat(1280, 720, "yuv420p") for f in film.decode(film.streams.video[0])
            ]
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "23"}
        for i in range(frames):
            picture = pictures[0 if static else i % len(pictures)]
            picture.pts, picture.time_base = i, Fraction(1, 25)
            film.mux(stream.encode(picture))
        film.mux(stream.encode(None))


def opencv_decode(path: Path) -> None:
    """Decode a film once, as anybody would."""
    import cv2

    film = cv2.VideoCapture(str(path))
    while film.read()[0]:
        pass


def cut(path: Path, tar: Path) -> None:
    """Shots and keyframes by `lrmovienet`."""
    from lrmovienet.video.shots import Detection, cut_film

    cut_film(path, "film", Detection(), tar)


def detect(path: Path) -> None:
    """Shots alone, by scenedetect's own loop."""
    import scenedetect

    scenedetect.detect(str(path), scenedetect.ContentDetector())


def video_lines(folder: Path, frames: int) -> Iterator[str]:
    """The table about a film."""
    film, still = folder / "film.mp4", folder / "still.mp4"
    write_video(film, frames, static=False)
    write_video(still, frames, static=True)
    opencv_decode(film)
    decode, ours, shots = [], [], []
    for _ in range(3):  # one after the other, so that whatever else runs disturbs all alike
        decode.append(seconds_of(lambda: opencv_decode(film)))
        ours.append(seconds_of(lambda: cut(film, folder / "film.tar")))
        shots.append(seconds_of(lambda: detect(film)))
    once, mine, found = (sorted(times)[1] for times in (decode, ours, shots))
    program = str(Path(sys.executable).parent / "scenedetect")
    command = [program, "-q", "-i", str(film), "-o", str(folder / "images")]
    theirs, _, _ = process([*command, "detect-content", "save-images", "-n", "3"])
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, 'tests/bench'); "
        "from ingest import cut; cut(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    peaks = [
        process([sys.executable, "-c", code, str(path), str(folder / "x.tar")])[1] / 2**20
        for path in (film, still)
    ]
    yield f"A film of 1280 × 720, {frames:,} frames, joined from the demo's clips; H.264."
    yield from ("", "| what | seconds | frames/s | times one decoding |", "|---|--:|--:|--:|")
    for what, seconds in (
        ("OpenCV, decoding once", once),
        ("`lrmovienet`: shots, three keyframes a shot, tar", mine),
        ("scenedetect's detection alone", found),
        ("`scenedetect detect-content save-images -n 3`", theirs),
    ):
        yield f"| {what} | {seconds:.2f} | {frames / seconds:,.0f} | {seconds / once:.2f} |"
    yield from (
        "",
        f"- `lrmovienet` takes {mine / theirs:.2f} of the time of the `scenedetect` command.",
        f"- Peak memory {peaks[0]:.2f} GB; {peaks[1]:.2f} GB where all {frames:,} frames are one "
        "shot.",
    )


def main() -> None:
    """Measure, print, and write the sections where they are asked for."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--write", type=Path, help="the file whose sections are replaced")
    options.add_argument("--films", type=int, default=100, help="default: %(default)s")
    options.add_argument("--frames", type=int, default=3000, help="default: %(default)s")
    options.add_argument("--folder", type=Path, help="where the tree goes; default: a new one")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        lines = list(video_lines(folder, given.frames))
        shutil.rmtree(folder / "images", ignore_errors=True)
        packages = ("av", "opencv-python-headless", "scenedetect-headless", "pyarrow")
        publish("\n".join([hardware(*packages), "", *lines]), "video", given.write)
        lines = list(tree_lines(folder, given.films))
        publish("\n".join([hardware("pyarrow"), "", *lines]), "movienet", given.write)


if __name__ == "__main__":
    main()
