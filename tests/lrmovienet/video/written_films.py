"""Small films of known pictures, written by PyAV in many shapes; and what a film's frames are."""

import itertools
import struct
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

DARK, LIGHT, RED, GREEN, BLUE = (
    (30, 30, 30), (225, 225, 225), (200, 40, 40), (40, 180, 60), (40, 60, 200),
)  # fmt: skip
"""Red, green, blue. Any two are further apart than a detector's threshold."""
COLOURS = (DARK, LIGHT, RED, GREEN, BLUE)
SMALL = (96, 64)
BITS = 12


def plain(colour, size=SMALL):
    """One picture of one colour: (height, width, 3), red first."""
    return np.full((size[1], size[0], 3), colour, np.uint8)


def numbered(number, colour, size=SMALL):
    """A picture of one colour with its number in blocks along the top, in a Gray code: from one to
    the next a single block changes, which no detector takes for a cut.
    """
    picture = plain(colour, size)
    code, wide = number ^ (number >> 1), size[0] // BITS
    for bit in range(BITS):
        picture[:8, bit * wide : (bit + 1) * wide] = 255 if code >> bit & 1 else 0
    return picture


def number_in(picture):
    """The number that a picture, red first, shows."""
    tall, wide = picture.shape[0] / SMALL[1], picture.shape[1] / BITS
    code = number = 0
    for bit in range(BITS):
        code |= int(picture[int(4 * tall), int((bit + 0.5) * wide)].mean() > 128) << bit
    while code:
        number ^= code
        code >>= 1
    return number


def colour_in(picture):
    """Which of the colours the picture's middle is nearest to."""
    middle = picture[picture.shape[0] // 2, picture.shape[1] // 2].astype(int)
    return min(COLOURS, key=lambda colour: np.abs(middle - colour).sum())


def shots_of(lengths, size=SMALL, colours=COLOURS):
    """Numbered pictures of shots of such lengths, each of its own colour."""
    number = itertools.count()
    for colour, length in zip(itertools.cycle(colours), lengths, strict=False):
        for _ in range(length):
            yield numbered(next(number), colour, size)


def mixed(first, second, length, size=SMALL):
    """A dissolve of so many frames: each is a mixture, none is one of the two."""
    for i in range(1, length + 1):
        share = i / (length + 1)
        colour = [round(a * (1 - share) + b * share) for a, b in zip(first, second, strict=True)]
        yield plain(colour, size)


def write_film(
    path, pictures, *, codec=None, fps=25, form="yuv420p", stamps=None, tick=None, rotation=0,
    pixel_aspect=None, colorspace=None, full_range=False, options=None, sound=False, cover=False,
    mux=None,
):  # fmt: skip
    """A film of the pictures. `stamps`: the time of each in units of `tick`."""
    codec = codec or {".avi": "mjpeg"}.get(path.suffix, "libx264")
    if codec == "mjpeg":
        form, full_range = "yuvj420p", True
    path.parent.mkdir(parents=True, exist_ok=True)
    tick = tick or 1 / Fraction(fps)
    pictures = iter(pictures)
    first = next(pictures)
    quiet = {"libx264": {"crf": "4", "bf": "2"}, "libx265": {"x265-params": "log-level=none:crf=4"}}
    with av.open(str(path), "w", options=mux or {}) as container:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(100_000))
        tall, wide = _size(first)
        stream.height, stream.width = tall, wide
        stream.pix_fmt = form
        stream.options = quiet.get(codec, {}) | (options or {})
        if codec in ("mjpeg", "mpeg4"):
            stream.codec_context.qmin = stream.codec_context.qmax = 2
        stream.codec_context.time_base = tick
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if colorspace is not None:
            stream.codec_context.colorspace = colorspace
        if full_range:
            stream.codec_context.color_range = 2
        if rotation:
            stream.set_display_rotation(rotation)
        still = _add_cover(container) if cover else None
        tone = container.add_stream("aac", rate=8000, layout="mono") if sound else None
        if still is not None:
            still[0].disposition = av.stream.Disposition.attached_pic
            container.mux(still[1])
        if tone is not None:
            container.mux(tone.encode(_silence()))
            container.mux(tone.encode(None))
        for i, picture in enumerate(itertools.chain([first], pictures)):
            frame = picture
            if isinstance(picture, np.ndarray):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                    format=form, dst_colorspace=colorspace, dst_color_range=2 if full_range else 1
                )
            frame.pts, frame.time_base = (i if stamps is None else stamps[i]), tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def of_levels(levels, form, size=SMALL):
    """One picture of one brightness and two colour differences, in the numbers of `form`."""
    frame = av.VideoFrame(*size, form)
    for plane, level in zip(frame.planes, levels, strict=True):
        kind = "<u2" if "10" in form else "u1"
        plane.update(np.full(plane.buffer_size // np.dtype(kind).itemsize, level, kind).tobytes())
    return frame


def _size(picture):
    if isinstance(picture, np.ndarray):
        return picture.shape[:2]
    return picture.height, picture.width


def _silence():
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
    frame.rate, frame.pts = 8000, 0
    return frame


def _add_cover(container):
    ok, png = cv2.imencode(".png", plain(GREEN, (32, 32)))
    assert ok
    stream = container.add_stream("png", rate=1)
    stream.width = stream.height = 32
    stream.pix_fmt = "rgb24"
    packet = av.Packet(png.tobytes())
    packet.stream, packet.pts, packet.dts, packet.time_base = stream, 0, 0, Fraction(1)
    packet.is_keyframe = True
    return stream, packet


def frames_of(path, numbers=None):
    """Frame number -> decoded frame, by the plainest loop: every packet, and a flush at its end."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        return {
            number: frame
            for number, frame in enumerate(container.decode(stream))
            if numbers is None or number in numbers
        }


def opencv_frames(path):
    """All frames, blue first, by OpenCV."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(read[1])
    capture.release()
    return frames


def decoded(jpeg):
    """The picture in a JPEG, red first."""
    return cv2.cvtColor(
        cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB
    )


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


def cut_tail(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path
