"""Video files -> shots -> keyframes, in MovieNet's own naming.

Frames are numbered from 0 in the order in which OpenCV decodes the file's first video stream; both
ends of a range belong to it. A film is decoded twice, to find the shots and to take their
keyframes, and never held in memory. Time is taken as frame number over frame rate.
"""

import hashlib
import io
import math
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lrmovienet.errors import ItemError
from lrmovienet.files import atomic_open, sha256_of, write_bytes
from lrmovienet.keyframes import evenly
from lrmovienet.runner import Columns

JPEG_QUALITY = 90
MIN_SHOT_FRAMES = 15
"""Cuts closer together than this are one (scenedetect's own default)."""
DETECT_WIDTH = 256
"""Width in pixels at which cuts are looked for; finer detail is noise to the detector."""
SHOT_FOLDER = "shot_detection"

Shot = tuple[int, int]
"""First and last frame."""


class VideoInfo(NamedTuple):
    """What a film's container says of it."""

    frames: int
    """0 where it does not say; in some containers an estimate."""
    fps: float

    @property
    def seconds(self) -> float:
        """Length of the film."""
        return self.frames / self.fps


class Keyframe(NamedTuple):
    """A picture in a film's tar."""

    frame: int
    ref: str
    sha256: str


def check_video(path: Path) -> VideoInfo:
    """Open a video and decode its first frame.

    Raises:
        ItemError: there is no such file, it is no video, or its pictures cannot be decoded. The
            message does not name the file; the caller knows by what name to call it.
    """
    if not path.is_file():
        raise ItemError("there is no such file.")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise ItemError(f"cannot be read: {error.strerror}.") from None
    if empty:
        raise ItemError("the file is empty. Copy it again.")
    cv2, capture = _open(path)
    try:
        info = _info(cv2, capture)
        if not capture.read()[0]:
            raise ItemError(
                "opens, but no frame of it can be decoded: OpenCV has no decoder for its codec, or "
                "it is damaged. Re-encode it: ffmpeg -i IN -c:v libx264 OUT.mp4"
            )
    finally:
        capture.release()
    return info


def find_shots(path: Path, threshold: float) -> tuple[list[Shot], float]:
    """Decode a film and cut it into shots where the picture changes at once.

    Args:
        path: the video.
        threshold: mean change of hue, saturation and brightness between two frames, 0 to 255, from
            which on it is a cut (PySceneDetect's content detector). Slow dissolves may be missed.

    Returns:
        The shots, which together are all frames that could be decoded, and frames a second.

    Raises:
        ItemError: it cannot be decoded, or ends well before its container says it should.
    """
    from scenedetect.common import FrameTimecode
    from scenedetect.detectors import ContentDetector

    cv2, capture = _open(path)
    try:
        info = _info(cv2, capture)
        detector = ContentDetector(threshold=threshold, min_scene_len=MIN_SHOT_FRAMES)
        cuts: set[int] = set()
        times = [0.0, 0.0]
        total = 0
        for total, frame in enumerate(_frames(capture), start=1):
            times[total > 1] = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            now = FrameTimecode(total - 1, info.fps)
            cuts.update(c.frame_num for c in detector.process_frame(now, _shrink(cv2, frame)))
        if total == 0:
            raise ItemError("no frame of it can be decoded.")
        cuts.update(c.frame_num for c in detector.post_process(FrameTimecode(total, info.fps)))
    finally:
        capture.release()
    _check_complete(info, total, max(times[1] - times[0], 0.0))
    starts = [0, *sorted(cuts - {0})]
    return list(zip(starts, [*(s - 1 for s in starts[1:]), total - 1], strict=True)), info.fps


def keyframes_of(shot: Shot) -> tuple[int, int, int]:
    """The three frames that stand for a shot: a quarter, a half and three quarters into it.

    The step is a whole number of frames, as in MovieNet's shot files: ``58 210`` -> 96 134 172.
    """
    first, last = shot
    step = (last - first) // 4
    return first + step, first + 2 * step, first + 3 * step


def frames_between(start_s: float, end_s: float, fps: float) -> Shot:
    """First and last of the frames that are on screen between two times; the end is excluded."""
    first = math.floor(round(start_s * fps, 6))
    return first, max(first, math.ceil(round(end_s * fps, 6)) - 1)


def write_keyframes(
    path: Path, movie_id: str, shots: list[Shot], height: int, tar_path: Path
) -> list[Keyframe]:
    """Write three JPEGs a shot into a tar, the smaller of `height` and the film's own height high.

    Equal films give equal bytes: the tar has no dates, owners or padding of its own.

    Returns:
        The keyframes, in the order of the film; in very short shots a frame may occur twice.

    Raises:
        ItemError: a frame that was decoded before cannot be decoded now.
        OSError: the tar cannot be written; nothing is left under its name.
    """
    wanted = [
        (frame, f"{movie_id}/shot_{number:04d}_img_{image}.jpg")
        for number, shot in enumerate(shots)
        for image, frame in enumerate(keyframes_of(shot))
    ]
    written = []
    cv2, capture = _open(path)
    try:
        with atomic_open(tar_path) as file, tarfile.open(fileobj=file, mode="w") as tar:
            at, data = -1, b""
            for frame, ref in wanted:
                if frame != at:
                    # Seeking is inexact in many containers; counting is not.
                    grabbed = all(capture.grab() for _ in range(frame - at))
                    ok, picture = capture.retrieve() if grabbed else (False, None)
                    if not ok:
                        raise ItemError(f"frame {frame} could be decoded once but not again.")
                    at, data = frame, encode_jpeg(cv2, picture, height)
                member = tarfile.TarInfo(ref)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
                written.append(Keyframe(frame, ref, hashlib.sha256(data).hexdigest()))
    finally:
        capture.release()
    return written


def encode_jpeg(cv2: Any, picture: Any, height: int) -> bytes:
    """A picture (height, width, 3; BGR) as JPEG, made smaller to `height` but never larger."""
    tall, wide = picture.shape[:2]
    if tall > height:
        size = (max(1, round(wide * height / tall)), height)
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1])


@dataclass(frozen=True)
class VideoStage:
    """Films -> clips. Each film's frames go into `folder`, under a name made of all they hang on.

    Input rows are films: ``movie_id, file, sha256, clips``; a clip is a dict of ``description,
    title, genres, start_s, end_s``, the times being None where the whole film is the clip.
    """

    paths: dict[str, Path]
    """movie_id -> where the film lies on this machine."""
    folder: Path
    """Where frames wait until the table `clips` is whole."""
    threshold: float
    height: int
    frames_per_clip: int

    @property
    def version(self) -> str:
        """Changes with every option that changes the table."""
        options = [self.threshold, self.height, self.frames_per_clip]
        constants = [JPEG_QUALITY, MIN_SHOT_FRAMES, DETECT_WIDTH]
        return f"video-1:{sha256_of([options, constants])[:16]}"

    def __call__(self, batch: Columns) -> Columns:
        """Rows of films -> rows of clips. Raises ItemError for a film that cannot be read."""
        rows: list[dict[str, Any]] = []
        films = zip(*(batch[c] for c in ("movie_id", "file", "sha256", "clips")), strict=True)
        for movie_id, file, sha256, clips in films:
            try:
                rows += self._film(movie_id, sha256, clips)
            except ItemError as error:
                raise ItemError(f"{file}: {error}") from None
        return {name: [row[name] for row in rows] for name in rows[0]}

    def frames_of(self, movie_id: str, sha256: str) -> tuple[Path, Path]:
        """A film's tar and its list of shots, in `folder`."""
        folder = self.folder / sha256_of([self.version, movie_id, sha256])[:16]
        return folder / f"{movie_id}.tar", folder / f"{movie_id}.txt"

    def make_frames(self, movie_id: str, sha256: str) -> tuple[list[Shot], float, list[Keyframe]]:
        """Find a film's shots and write its tar and list of shots into `folder`."""
        path = self.paths[movie_id]
        check_video(path)
        shots, fps = find_shots(path, self.threshold)
        tar, listed = self.frames_of(movie_id, sha256)
        keyframes = write_keyframes(path, movie_id, shots, self.height, tar)
        lines = (" ".join(map(str, (*shot, *keyframes_of(shot)))) + "\n" for shot in shots)
        write_bytes(listed, "".join(lines).encode())
        return shots, fps, keyframes

    def _film(
        self, movie_id: str, sha256: str, clips: list[dict[str, Any]]
    ) -> Iterator[dict[str, Any]]:
        shots, fps, keyframes = self.make_frames(movie_id, sha256)
        total = shots[-1][1] + 1
        for number, clip in enumerate(clips):
            start_s, end_s = clip["start_s"], clip["end_s"]
            if start_s is None:
                start_s, end_s = 0.0, total / fps
            first, last = frames_between(start_s, end_s, fps)
            if last >= total + 1 or first >= total:
                raise ItemError(
                    f"a clip is to last from {start_s} s to {end_s} s, but only {total / fps:.2f} "
                    "s of the film can be decoded. Put the times right."
                )
            frames = (first, min(last, total - 1))
            overlapped = [n for n, shot in enumerate(shots) if _overlap(shot, frames)]
            yield {
                "clip_id": f"{movie_id}_{number:04d}",
                "movie_id": movie_id,
                "title": clip["title"],
                "genres": clip["genres"],
                "description": clip["description"],
                "shot": [overlapped[0], overlapped[-1]],
                "frame": list(frames),
                "start_s": start_s,
                "end_s": end_s,
                "keyframes": [
                    {"ref": k.ref, "sha256": k.sha256}
                    for k in evenly(_inside(keyframes, frames), self.frames_per_clip)
                ],
            }


def _inside(keyframes: list[Keyframe], frames: Shot) -> list[Keyframe]:
    """The keyframes within a clip; for one shorter than that, the keyframe nearest its middle."""
    inside = [k for k in keyframes if frames[0] <= k.frame <= frames[1]]
    return inside or [min(keyframes, key=lambda k: abs(2 * k.frame - sum(frames)))]


def _overlap(a: Shot, b: Shot) -> bool:
    return a[0] <= b[1] and b[0] <= a[1]


def _open(path: Path) -> tuple[Any, Any]:
    """OpenCV and an opened film."""
    # Both libraries write to standard error on their own; what is wrong is said once, by us. A
    # playlist that calls itself a film must not make FFmpeg open network addresses.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "protocol_whitelist;file")
    import cv2

    capture = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise ItemError(
            "not a video that can be opened: another kind of file, a codec that OpenCV lacks, or "
            "cut off so that its index is missing. Copy it again, or re-encode it: "
            "ffmpeg -i IN -c:v libx264 OUT.mp4"
        )
    return cv2, capture


def _info(cv2: Any, capture: Any) -> VideoInfo:
    fps = capture.get(cv2.CAP_PROP_FPS)
    if not (math.isfinite(fps) and 0 < fps <= 1000):
        raise ItemError("has no usable frame rate. Re-encode it: ffmpeg -i IN -r 25 OUT.mp4")
    frames = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return VideoInfo(int(frames) if 0 < frames < 1e9 else 0, fps)


def _frames(capture: Any) -> Iterator[Any]:
    while True:
        ok, frame = capture.read()
        if not ok:
            return
        yield frame


def _shrink(cv2: Any, frame: Any) -> Any:
    tall, wide = frame.shape[:2]
    if wide <= DETECT_WIDTH:
        return frame
    size = (DETECT_WIDTH, max(1, round(tall * DETECT_WIDTH / wide)))
    return cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR)


def _check_complete(info: VideoInfo, total: int, seconds: float) -> None:
    """Raise ItemError where both frames and time fall short of what the container says.

    Either alone may: containers without an index estimate the number of frames from the length,
    and streams without time stamps have no time.
    """
    slack = max(2, info.frames / 50)
    if info.frames - total > slack and (info.seconds - seconds) * info.fps - 1 > slack:
        raise ItemError(
            f"cut off or damaged: {total} of {info.frames} frames can be decoded. Copy it again; "
            "to use what is there, re-encode it: ffmpeg -i IN -c:v libx264 OUT.mp4"
        )
