"""Video files -> numbered frames with their times, by PyAV (FFmpeg).

Frames are numbered from 0 in the order in which they are shown, in the first video stream that is
not a cover picture. A frame's time is its own time stamp, counted from the first frame's, so that
films of a variable frame rate have true times. PyAV and not OpenCV, because OpenCV's builds lack
AV1 and give neither time stamps nor damaged packets.
"""

import itertools
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lrmovienet.errors import ItemError

Picture = npt.NDArray[np.uint8]
"""Planar YUV 4:2:0 (height * 3 / 2, width), as OpenCV's I420; height and width are even."""

TOLERANCE_S = 6e-4
"""Times are typed to the millisecond: a clip that begins half of one before a frame means it."""
NO_FILMS = {"concat", "dash", "ffmetadata", "hls", "image2", "imf", "lavfi", "sdp", "tty"}
"""What FFmpeg opens and is text, or names other files to be opened."""
_FIX = "Re-encode it: ffmpeg -i IN -c:v libx264 OUT.mp4"
_PLAIN = ("yuv420p", "yuvj420p")


class VideoInfo(NamedTuple):
    """What a film's container says of it."""

    frames: int
    """0 where it does not say; in some containers an estimate."""
    fps: float

    @property
    def seconds(self) -> float:
        """Length of the film."""
        return self.frames / self.fps


@dataclass
class Clock:
    """When each frame of a film is shown."""

    tick_s: float
    """The unit of time, in seconds."""
    ticks: list[int] = field(default_factory=list)
    """How long each frame is shown."""

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return len(self.ticks)

    @property
    def seconds(self) -> float:
        """Length of the film."""
        return sum(self.ticks) * self.tick_s

    @property
    def fps(self) -> float:
        """Frames a second, on the average."""
        return self.frames / self.seconds

    def starts(self) -> npt.NDArray[np.float64]:
        """The time at which each frame appears, in seconds."""
        ends = np.cumsum(np.array(self.ticks, dtype=np.int64))
        return np.concatenate([[0], ends[:-1]]) * self.tick_s

    def frames_between(self, start_s: float, end_s: float) -> tuple[int, int]:
        """First and last of the frames that are on screen between two times, the end excluded."""
        starts = self.starts()
        first = int(np.searchsorted(starts, start_s + TOLERANCE_S, side="right")) - 1
        last = int(np.searchsorted(starts, end_s - TOLERANCE_S, side="left")) - 1
        return max(first, 0), max(first, last, 0)


@dataclass
class Film:
    """An opened film, to be decoded once."""

    container: Any
    stream: Any
    info: VideoInfo
    broken: int = 0
    """Pieces that could not be decoded so far."""
    stamps: list[int | None] = field(default_factory=list)
    last_duration: int = 0

    def frames(self) -> Iterator[Any]:
        """Decode the film. What is damaged is left out and counted; frames keep their order."""
        import av

        packets = self.container.demux(self.stream)
        ended = False
        while not ended:
            try:
                packet = next(packets)
                ended = packet.dts is None and not packet.size  # what is left in the decoder
            except StopIteration:
                return
            except (av.FFmpegError, ValueError):  # the rest of the file cannot be taken apart
                self.broken += 1
                packet, ended = None, True
            try:
                decoded = self.stream.codec_context.decode(None if ended else packet)
            except (av.FFmpegError, ValueError):
                self.broken += 1
                continue
            for frame in decoded:
                self.stamps.append(frame.pts)
                self.last_duration = frame.duration or 0
                yield frame

    def clock(self) -> tuple[Clock, int]:
        """The times of the frames decoded so far, and how many of them had no time of their own.

        Stamps that are missing or do not rise are filled in from those around them; where most are,
        each frame lasts as long as any other.
        """
        good = _rising(self.stamps)
        bad = len(self.stamps) - len(good)
        if not good or (len(good) < 2 and bad) or bad > len(good):
            return Clock(1 / self.info.fps, [1] * len(self.stamps)), bad
        tick_s = float(self.stream.time_base)
        stamps = [self.stamps[i] or 0 for i in good]
        gaps = zip(itertools.pairwise(good), itertools.pairwise(stamps), strict=True)
        each = sorted((b - a) // (j - i) for (i, j), (a, b) in gaps)
        usual = each[len(each) // 2] if each else max(1, round(1 / self.info.fps / tick_s))
        last = self.last_duration if 0 < self.last_duration <= 10 * usual else usual
        filled = _filled(good, stamps, len(self.stamps), usual)
        ticks = [b - a for a, b in itertools.pairwise([*filled, filled[-1] + last])]
        return Clock(tick_s, ticks), bad


@contextmanager
def open_film(path: Path, parallel: bool = False) -> Iterator[Film]:
    """Open a film.

    Args:
        path: the film.
        parallel: decode several frames at once. It is faster and gives the same frames, unless the
            film is damaged: then what is lost hangs on the number of cores.

    Raises:
        ItemError: there is no such file, or it is no video. The message does not name the file; the
            caller knows by what name to call it.
    """
    import av

    if not path.is_file():
        raise ItemError("there is no such file.")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise ItemError(f"cannot be read: {error.strerror}.") from None
    if empty:
        raise ItemError("the file is empty. Copy it again.")
    try:
        # A playlist that calls itself a film must not make FFmpeg open network addresses.
        container = av.open(
            str(path.resolve()), metadata_errors="replace", options={"protocol_whitelist": "file"}
        )
    except (av.FFmpegError, ValueError):
        raise ItemError(
            "not a video that can be opened: another kind of file, or cut off so that its index is "
            "missing. Copy it again."
        ) from None
    with container:
        if container.format.name in NO_FILMS:
            raise ItemError(
                f"is no video, but {container.format.long_name!r}. Is it the right file?"
            )
        covers = av.stream.Disposition.attached_pic
        streams = [s for s in container.streams.video if not s.disposition & covers]
        if not streams:
            raise ItemError("has no moving pictures in it. Is it the right file?")
        stream = streams[0]
        if stream.codec_context is None:
            raise ItemError(f"is in a codec for which FFmpeg has no decoder. {_FIX}")
        stream.thread_type = "AUTO" if parallel else "SLICE"
        yield Film(container, stream, _info(container, stream))


def check_video(path: Path) -> VideoInfo:
    """Open a video and decode its first frame.

    Raises:
        ItemError: it cannot be opened, or its pictures cannot be decoded. The message does not name
            the file.
    """
    with open_film(path) as film:
        if next(film.frames(), None) is None:
            raise ItemError(
                "opens, but no frame of it can be decoded: FFmpeg has no decoder for its codec, or "
                f"it is damaged. {_FIX}"
            )
        return film.info


def reduced(frame: Any, height: int, like: Picture | None = None) -> Picture:
    """A decoded frame, halved as often as leaves it `height` high or higher once it is upright.

    Averaging two by two rows and columns is what a machine does fastest, and what is left is small
    enough to keep some hundred of. The last step to the exact size is for the few that are used.

    Args:
        frame: as decoded.
        height: how high the keyframes are to be.
        like: an earlier picture of the film; a film whose size changes on the way keeps its size.
    """
    import cv2

    wide, tall = frame.width, frame.height
    high = wide if round(frame.rotation / 90) % 2 else tall
    halvings = 0
    while (high >> (halvings + 1)) // 2 * 2 >= height:
        halvings += 1
    shape = (_even(tall >> halvings) * 3 // 2, _even(wide >> halvings))
    if halvings == 0:  # odd sizes get one more row and column, which `encode_jpeg` takes off again
        shape = ((tall + 1) // 2 * 3, (wide + 1) // 2 * 2)
    fits = not halvings or not (wide | tall) % (2 << halvings)
    if like is not None and like.shape != shape:
        shape, fits = (like.shape[0], like.shape[1]), False
    if not fits:
        frame = frame.reformat(shape[1], shape[0] * 2 // 3, "yuv420p", interpolation="AREA")
        halvings = 0
    elif frame.format.name not in _PLAIN:  # ten bits, other layouts
        frame = frame.reformat(format="yuv420p")
    planes = [_plane(frame, i) for i in range(3)]
    for _ in range(halvings):
        planes = [_halved(cv2, plane) for plane in planes]
    if planes[0].shape != (shape[0] * 2 // 3, shape[1]):
        more = [(0, n % 2) for n in planes[0].shape]
        planes[0] = np.pad(planes[0], more, mode="edge")
    return np.concatenate([plane.ravel() for plane in planes]).reshape(shape)


def planes_of(picture: Picture) -> list[npt.NDArray[np.uint8]]:
    """Brightness (height, width) and the two colour planes, half as high and wide."""
    tall, wide = picture.shape[0] * 2 // 3, picture.shape[1]
    colours = picture[tall:].reshape(2, tall // 2, wide // 2)
    return [picture[:tall], colours[0], colours[1]]


def encode_jpeg(picture: Picture, frame: "Look", height: int, quality: int) -> bytes:
    """A reduced picture as JPEG: upright, square pixels, made smaller to `height`, never larger."""
    import av
    import cv2

    yuv = av.VideoFrame.from_ndarray(picture, format="yuv420p")
    yuv.colorspace, yuv.color_range = frame.colorspace, frame.color_range
    bgr: npt.NDArray[Any] = yuv.reformat(format="bgr24").to_ndarray()
    wide, tall = frame.size
    if max(wide - bgr.shape[1], tall - bgr.shape[0]) <= 0:
        bgr = bgr[:tall, :wide]
    bgr = np.rot90(bgr, frame.rotation // 90)
    size = (max(1, round(wide * frame.pixel_aspect)), tall)
    size = size[::-1] if frame.rotation % 180 else size
    if size[1] > height:
        size = (max(1, round(size[0] * height / size[1])), height)
    bgr = np.ascontiguousarray(bgr)
    if size != bgr.shape[1::-1]:
        bgr = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return bytes(encoded)


class Look(NamedTuple):
    """How a film's pictures are to be shown."""

    size: tuple[int, int]
    """Width and height as stored."""
    rotation: int
    """Degrees, counter-clockwise: 0, 90, 180 or 270."""
    pixel_aspect: float
    """Width of a pixel over its height."""
    colorspace: int
    color_range: int

    @classmethod
    def of(cls, frame: Any, film: Film) -> "Look":
        """As a film's frame says."""
        aspect = film.stream.sample_aspect_ratio
        usable = aspect is not None and 0.1 <= float(aspect) <= 10
        return cls(
            size=(frame.width, frame.height),
            rotation=round(frame.rotation / 90) % 4 * 90,
            pixel_aspect=float(aspect) if usable else 1.0,
            colorspace=int(frame.colorspace),
            color_range=int(frame.color_range),
        )


def _info(container: Any, stream: Any) -> VideoInfo:
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate
    if not rate or not 0 < rate <= 1000:
        raise ItemError("has no usable frame rate. Re-encode it: ffmpeg -i IN -r 25 OUT.mp4")
    frames = stream.frames
    if not frames and stream.duration:
        frames = round(stream.duration * stream.time_base * rate)
    elif not frames and container.duration:
        # Some containers count from 0, whenever the film begins.
        microseconds = container.duration - max(0, container.start_time or 0)
        frames = round(microseconds / 1e6 * rate)
    return VideoInfo(int(frames) if 0 < frames < 1e9 else 0, float(rate))


def _rising(stamps: list[int | None]) -> list[int]:
    """The positions of the longest rising run of stamps, left out those that are missing.

    One stamp that jumps ahead must not make all that follow it look wrong, so it is the most that
    can be kept, not the first that come.
    """
    ends: list[int] = []  # the least last stamp of a run of each length, and where it stands
    at: list[int] = []
    before: list[int] = []
    for i, stamp in enumerate(stamps):
        before.append(-1)
        if stamp is None:
            continue
        length = bisect_left(ends, stamp)
        before[i] = at[length - 1] if length else -1
        ends[length:] = [stamp, *ends[length + 1 :]]
        at[length:] = [i, *at[length + 1 :]]
    run = []
    i = at[-1] if at else -1
    while i >= 0:
        run.append(i)
        i = before[i]
    return run[::-1]


def _filled(good: list[int], stamps: list[int], frames: int, usual: int) -> list[int]:
    """A stamp for each frame: in between, in proportion; at either end, as long as usual each."""
    inner = np.rint(np.interp(range(frames), good, stamps)).astype(np.int64)
    for i in range(good[0]):
        inner[i] = stamps[0] - (good[0] - i) * usual
    for i in range(good[-1] + 1, frames):
        inner[i] = stamps[-1] + (i - good[-1]) * usual
    return [int(stamp) for stamp in inner]


def _even(size: int) -> int:
    return max(2, size // 2 * 2)


def _plane(frame: Any, number: int) -> npt.NDArray[np.uint8]:
    plane = frame.planes[number]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]


def _halved(cv2: Any, plane: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    size = (plane.shape[1] // 2, plane.shape[0] // 2)
    halved: npt.NDArray[np.uint8] = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    return halved
