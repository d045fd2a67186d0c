"""A film -> shots -> keyframes, in one pass.

A shot's keyframes are known only at its end, so its frames are kept, reduced, until then. Of a shot
of more than `KEPT` frames, of fewer where they are large, every second, fourth, … one is kept, so
that memory has a bound whatever a shot's length; its keyframes are then that much less exact.
"""

import hashlib
import io
import tarfile
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from lrmovienet.errors import ItemError
from lrmovienet.files import atomic_open
from lrmovienet.video.decode import (
    Clock,
    Film,
    Look,
    Picture,
    encode_jpeg,
    open_film,
    planes_of,
    reduced,
)

KEPT = 512
"""So many frames of a shot are kept; at 24 frames a second, shots of 21 s are kept whole."""
KEPT_BYTES = 320_000_000
"""Where so many frames are larger than this, fewer are kept."""
JPEG_QUALITY = 90
JUMP_S = 10.0
"""A frame that stands longer, in a film whose others do not, is a gap in the time stamps."""
DETECT_WIDTH = 256
"""Width in pixels at which cuts are looked for; finer detail is noise to the detector."""
DETECTORS: dict[str, float] = {"content": 27.0, "adaptive": 3.0}
"""Detector -> its default threshold, PySceneDetect's own."""
DetectorName = Literal["content", "adaptive"]

Range = tuple[int, int]
"""First and last frame."""


class Keyframe(NamedTuple):
    """A picture in a film's tar."""

    frame: int
    ref: str
    sha256: str


class Detection(NamedTuple):
    """How cuts are found, and how large keyframes are."""

    detector: DetectorName = "content"
    threshold: float = DETECTORS["content"]
    min_shot: int = 15
    """Cuts closer together than so many frames are one."""
    height: int = 240


@dataclass
class Cut:
    """A film cut into shots."""

    clock: Clock
    shots: list[Range] = field(default_factory=list)
    keyframes: list[Keyframe] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is wrong with the film."""


def keyframes_of(shot: Range, kept: int = KEPT) -> tuple[int, int, int]:
    """The three frames that stand for a shot: a quarter, a half and three quarters into it.

    The step is a whole number of frames, as in MovieNet's shot files: ``58 210`` -> 96 134 172. In
    a shot of more frames than are kept they are among those that are.
    """
    first, last = shot
    step, stride = (last - first) // 4, stride_of(last - first + 1, kept)
    at = [first + k * step // stride * stride for k in (1, 2, 3)]
    return at[0], at[1], at[2]


def kept_of(picture_bytes: int) -> int:
    """How many frames of a shot are kept where each has so many bytes."""
    kept = KEPT
    while kept > 16 and kept * picture_bytes > KEPT_BYTES:
        kept //= 2
    return kept


def stride_of(length: int, kept: int = KEPT) -> int:
    """Of a shot of so many frames every so-manieth is kept: a power of two, 1 up to `kept`."""
    stride = 1
    while -(-length // stride) > kept:
        stride *= 2
    return stride


def cut_film(
    path: Path,
    movie_id: str,
    detection: Detection,
    tar_path: Path,
    advance: Callable[[int], None] = lambda n: None,
) -> Cut:
    """Decode a film once, find its shots and write three JPEGs a shot into a tar.

    Equal films give equal bytes: the tar has no dates, owners or padding of its own. What cannot be
    decoded is left out and said in the result's notes; a film that ends early is one that ends
    there.

    Args:
        path: the film.
        movie_id: names the tar's members, ``<movie_id>/shot_0000_img_0.jpg``.
        detection: how cuts are found.
        tar_path: where the tar goes.
        advance: called with 1 for each frame.

    Returns:
        Its shots, which together are all frames that could be decoded; the keyframes in the order
        of the film (in very short shots one occurs more than once); and its clock.

    Raises:
        ItemError: nothing of it can be decoded. It does not name the film.
        OSError: the tar cannot be written; nothing is left under its name.
    """
    cut, whole = _cut_film(path, movie_id, detection, tar_path, advance, parallel=True)
    if not whole:
        cut, _ = _cut_film(path, movie_id, detection, tar_path, lambda n: None, parallel=False)
    if not cut.shots:
        tar_path.unlink(missing_ok=True)
        raise ItemError("no frame of it can be decoded.")
    return cut


def _cut_film(
    path: Path,
    movie_id: str,
    detection: Detection,
    tar_path: Path,
    advance: Callable[[int], None],
    *,
    parallel: bool,
) -> tuple[Cut, bool]:
    """As `cut_film`, once; and whether the film is whole as far as anything tells."""
    keyframes: list[Keyframe] = []
    shots: list[Range] = []
    with (
        open_film(path, parallel) as film,
        atomic_open(tar_path) as file,
        tarfile.open(fileobj=file, mode="w") as tar,
    ):
        for shot, look, pictures in _shots(film, detection, advance):
            made: dict[int, bytes] = {}
            kept = kept_of(next(iter(pictures.values())).nbytes)
            for image, frame in enumerate(keyframes_of(shot, kept)):
                if frame not in made:
                    made[frame] = encode_jpeg(pictures[frame], look, detection.height, JPEG_QUALITY)
                member = tarfile.TarInfo(f"{movie_id}/shot_{len(shots):04d}_img_{image}.jpg")
                member.size = len(made[frame])
                tar.addfile(member, io.BytesIO(made[frame]))
                digest = hashlib.sha256(made[frame]).hexdigest()
                keyframes.append(Keyframe(frame, member.name, digest))
            shots.append(shot)
        clock, untimed = film.clock()
        notes = _notes(film, clock, untimed)
        counted = film.stream.frames in (0, clock.frames)  # 0: the container does not count them
        return Cut(clock, shots, keyframes, notes), counted and not notes


def _shots(
    film: Film, detection: Detection, advance: Callable[[int], None]
) -> Iterator[tuple[Range, Look, dict[int, Picture]]]:
    """Each shot with what is kept of its frames, as soon as it is over."""
    from scenedetect.common import FrameTimecode

    detector = _detector(detection)
    behind = max(detector.event_buffer_length, detection.min_shot) + 1
    look, first, number = None, 0, -1
    kept = _Kept(0, behind)
    picture = None
    for number, frame in enumerate(film.frames()):
        picture = reduced(frame, detection.height, picture)
        if look is None:
            look = Look.of(frame, film)
            kept.at_most = kept_of(picture.nbytes)
        kept.add(number, picture)
        now = FrameTimecode(number, film.info.fps)
        for cut in detector.process_frame(now, _to_detect(picture)):
            if cut.frame_num > first:
                yield (first, cut.frame_num - 1), look, kept.cut(cut.frame_num)
                first = cut.frame_num
        advance(1)
    if look is not None:
        yield (first, number), look, kept.cut(number + 1)


class _Kept:
    """The frames of the shot that is under way, thinned; and the latest ones, which may be of the
    next: a detector may say that a cut was some frames ago.
    """

    def __init__(self, first: int, behind: int) -> None:
        self.first, self.stride, self.behind, self.at_most = first, 1, behind, KEPT
        self.of_shot: dict[int, Picture] = {}
        self.latest: deque[tuple[int, Picture]] = deque()

    def add(self, number: int, picture: Picture) -> None:
        self.latest.append((number, picture))
        if len(self.latest) > self.behind:
            self._keep(*self.latest.popleft())

    def cut(self, start: int) -> dict[int, Picture]:
        """End the shot before frame `start`. Returns what is kept of it."""
        while self.latest and self.latest[0][0] < start:
            self._keep(*self.latest.popleft())
        ended, self.of_shot, self.first, self.stride = self.of_shot, {}, start, 1
        return ended

    def _keep(self, number: int, picture: Picture) -> None:
        if (number - self.first) % self.stride:
            return
        self.of_shot[number] = picture
        if len(self.of_shot) > self.at_most:
            self.stride *= 2
            self.of_shot = {
                n: p for n, p in self.of_shot.items() if (n - self.first) % self.stride == 0
            }


def _detector(detection: Detection) -> Any:
    from scenedetect.detectors import AdaptiveDetector, ContentDetector

    if detection.detector == "adaptive":
        return AdaptiveDetector(
            adaptive_threshold=detection.threshold, min_scene_len=detection.min_shot
        )
    return ContentDetector(threshold=detection.threshold, min_scene_len=detection.min_shot)


def _to_detect(picture: Picture) -> npt.NDArray[np.uint8]:
    """A picture as the detector takes it: blue, green and red, `DETECT_WIDTH` wide at most."""
    import cv2

    tall, wide = picture.shape[0] * 2 // 3, picture.shape[1]
    if wide > DETECT_WIDTH:
        tall, wide = max(2, round(tall * DETECT_WIDTH / wide / 2) * 2), DETECT_WIDTH
        sizes = ((wide, tall), (wide // 2, tall // 2), (wide // 2, tall // 2))
        smaller = [
            np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR), np.uint8).ravel()
            for plane, size in zip(planes_of(picture), sizes, strict=True)
        ]
        picture = np.concatenate(smaller).reshape(-1, wide)
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_YUV2BGR_I420), np.uint8)


def _notes(film: Film, clock: Clock, untimed: int) -> list[str]:
    """What is wrong with a film that was decoded to its end."""
    notes = []
    info = film.info
    slack = max(2, info.frames / 50)
    # Both fall short of what the container says. Either alone may: containers without an index
    # estimate the number of frames from the length, and some say a wrong rate.
    missing = (info.frames - clock.frames, (info.seconds - clock.seconds) * info.fps)
    if min(missing) > slack:
        notes.append(
            f"truncated: {clock.frames} of {info.frames} frames can be decoded, the first "
            f"{clock.seconds:.2f} s"
        )
    if film.broken:
        notes.append(f"damaged: {film.broken} pieces of it could not be decoded")
    longest = max(clock.ticks, default=0)
    if longest * clock.tick_s > JUMP_S and longest > 100 * sorted(clock.ticks)[clock.frames // 2]:
        notes.append(
            f"times jump: by {longest * clock.tick_s:.0f} s after frame "
            f"{clock.ticks.index(longest)}, as in recordings that were joined"
        )
    if untimed:
        notes.append(
            f"no times: {untimed} of {clock.frames} frames have no time stamp that can be used; "
            "theirs are filled in"
        )
    return notes
