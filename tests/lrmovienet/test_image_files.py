"""An image file's bytes become RGB pixels, or one message that says why not."""

import io
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lrmovienet.errors import ItemError
from lrmovienet.pictures import MAX_PIXELS, picture


def encoded(image, kind="png", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def gradient(width=8, height=4):
    values = np.arange(width * height * 3, dtype=np.uint8).reshape(height, width, 3)
    return Image.fromarray(values * 2)


def test_pixels_are_those_of_the_file():
    image = picture(encoded(gradient()))
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), np.asarray(gradient()))


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 77, (77, 77, 77)),
        ("1", 1, (255, 255, 255)),
        ("P", 0, (0, 0, 0)),
        ("RGBA", (10, 20, 30, 0), (10, 20, 30)),
        ("CMYK", (0, 0, 0, 255), (0, 0, 0)),
    ],
)
def test_every_mode_becomes_rgb(mode, colour, expected):
    kind = "jpeg" if mode == "CMYK" else "png"
    image = picture(encoded(Image.new(mode, (3, 2), colour), kind))
    assert (image.mode, image.size) == ("RGB", (3, 2))
    assert image.getpixel((2, 1)) == expected


def test_a_square_holds_the_whole_picture_bicubic_or_bilinear():
    data, rgb = encoded(gradient(32, 8)), gradient(32, 8)
    for bicubic, how in ((True, Image.Resampling.BICUBIC), (False, Image.Resampling.BILINEAR)):
        image = picture(data, 5, bicubic=bicubic)
        assert np.array_equal(np.asarray(image), np.asarray(rgb.resize((5, 5), how)))
    assert picture(data, 5).tobytes() != picture(data, 5, bicubic=False).tobytes()
    assert picture(data, 5).tobytes() == picture(data, 5, bicubic=True).tobytes()


def test_a_palette_is_turned_into_colours_before_it_is_resized():
    """Numbers of a palette have no mean: red (0) and blue (2) do not make green (1)."""
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 2])
    assert picture(encoded(image), 1).getpixel((0, 0))[1] == 0


@pytest.mark.parametrize("side", [(8192, 8192), (8192, 8193)])
def test_the_largest_picture(side):
    width, height = side
    data = encoded(Image.new("1", side))
    if width * height <= MAX_PIXELS:
        assert picture(data, 4).size == (4, 4)
    else:
        with pytest.raises(ItemError, match="an image of 8192 x 8193 pixels is too large"):
            picture(data, 4)


def test_a_bomb_is_refused_before_it_is_decoded():
    """Of a size at which the library itself refuses: 60,000 x 60,000 pixels in a short file."""
    data = bytearray(encoded(Image.new("1", (8, 8))))
    data[16:24] = (60_000).to_bytes(4, "big") * 2  # width and height in the header
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    with pytest.raises(ItemError, match=r"too large|not a readable image"):
        picture(bytes(data))


@pytest.mark.parametrize("data", [b"", b"no image", b"\xff\xd8\xff\xe0" + b"\0" * 40, b"GIF89a"])
def test_what_is_no_image(data):
    with pytest.raises(ItemError, match=r"^not a readable image \(.+\)$"):
        picture(data)


def test_no_other_program_is_started(tmp_path, monkeypatch):
    """Pillow hands EPS, which is a program, to Ghostscript; a frame is never one."""
    from PIL import EpsImagePlugin

    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # look for it anew
    with pytest.raises(ItemError, match="not a readable image"):
        picture(encoded(gradient(), "eps"))
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_a_picture_that_is_cut_off(kind):
    data = encoded(gradient(64, 64), kind)
    for length in (3, len(data) // 3, len(data) // 2):
        with pytest.raises(ItemError, match="not a readable image"):
            picture(data[:length])


@pytest.mark.filterwarnings("ignore::UserWarning")  # of a damaged TIFF
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["jpeg", "png", "gif", "bmp", "tiff", "webp", "ppm"]), st.data())
def test_any_bytes_are_a_picture_or_refused(kind, data):
    whole = bytearray(encoded(gradient(9, 7), kind))
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = picture(bytes(whole), 6)
    except ItemError as error:
        assert str(error)
    else:
        assert (image.mode, image.size) == ("RGB", (6, 6))
