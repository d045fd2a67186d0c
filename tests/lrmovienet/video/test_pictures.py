import os
import tarfile
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from written_films import (
    DARK,
    GREEN,
    RED,
    SMALL,
    decoded,
    frames_of,
    number_in,
    of_levels,
    opencv_frames,
    plain,
    shots_of,
    write_film,
)

from lrmovienet.video.decode import Look, check_video, encode_jpeg, open_film, reduced
from lrmovienet.video.shots import Detection, cut_film

DEMO = Path(__file__).parents[3] / "demo"
REAL = ["nasa_13013.mp4", "bigbuckbunny.mp4"]
EXTRA = ["av1_video.mkv", "h265_video.mp4", "carphone_pristine.mp4", "carphone_distorted.mp4"]


def real(name):
    if name in REAL:
        return DEMO / name
    folder = os.environ.get("LRMOVIENET_EXTRA_DATA")
    if not folder:
        pytest.skip("LRMOVIENET_EXTRA_DATA is unset: no such film here")
    return Path(folder) / "open_video" / name


def keyframes(path, tmp_path, **detection):
    """The film's cut, and frame number -> JPEG."""
    cut = cut_film(path, "film", Detection(**detection), tmp_path / "film.tar")
    with tarfile.open(tmp_path / "film.tar") as tar:
        stored = [tar.extractfile(m).read() for m in tar.getmembers()]
    return cut, dict(zip([k.frame for k in cut.keyframes], stored, strict=True))


def by_opencv(picture, height, aspect=Fraction(1)):
    tall, wide = picture.shape[:2]
    if tall > height:
        size = (round(wide * aspect * height / tall), height)
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


@pytest.mark.parametrize("height", [240, 90])
@pytest.mark.parametrize("name", REAL + EXTRA)
def test_keyframes_are_the_frames_of_a_plain_loop(tmp_path, name, height):
    path = real(name)
    cut, made = keyframes(path, tmp_path, height=height)
    frames = frames_of(path, set(made))
    assert made
    assert cut.clock.frames == check_video(path).frames
    with open_film(path) as film:
        for number, data in made.items():
            look = Look.of(frames[number], film)
            assert data == encode_jpeg(reduced(frames[number], height), look, height, 90)


@pytest.mark.parametrize(
    ("name", "aspect"),
    [("nasa_13013.mp4", 1), ("h265_video.mp4", 1), ("carphone_pristine.mp4", Fraction(128, 117)),
     ("carphone_distorted.mp4", Fraction(128, 117))],
)  # fmt: skip
def test_keyframes_of_low_films_are_opencvs_bytes(tmp_path, name, aspect):
    """Nothing is halved in films lower than twice the height."""
    path = real(name)
    height = 100  # 180, 128 and 144 pixels high
    _, made = keyframes(path, tmp_path, height=height)
    frames = opencv_frames(path)
    if name == "nasa_13013.mp4" and int(cv2.__version__.split(".")[0]) < 5:
        # It is BT.709, which OpenCV's reader takes for BT.601 before version 5; PyAV does not.
        plain_loop = frames_of(path, set(made))
        frames = {n: frame.to_ndarray(format="bgr24") for n, frame in plain_loop.items()}
    assert made == {number: by_opencv(frames[number], height, aspect) for number in made}


@pytest.mark.parametrize(("name", "size"), [("bigbuckbunny.mp4", (240, 427)), ("h264", (60, 90))])
def test_keyframes_of_high_films_are_nearest_to_their_frame(tmp_path, name, size):
    path = (
        write_film(tmp_path / "a.mp4", shots_of([40, 30], (384, 256)))
        if name == "h264"
        else DEMO / name
    )
    _, made = keyframes(path, tmp_path, height=size[0])
    frames = opencv_frames(path)
    for number, data in made.items():
        picture = decoded(data)[..., ::-1].astype(int)
        assert picture.shape == (*size, 3)
        away = {
            n: np.abs(cv2.resize(frames[n], size[::-1], interpolation=cv2.INTER_AREA) - picture)
            .mean()
            for n in range(number - 2, number + 3)
        }  # fmt: skip
        assert min(away, key=away.__getitem__) == number
        assert away[number] < 3.5


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_turned_films_stand_upright_as_opencv_shows_them(tmp_path, rotation):
    picture = plain(DARK)
    picture[:32, :48], picture[32:, :48] = RED, GREEN
    path = write_film(tmp_path / "a.mp4", [picture] * 5, rotation=rotation)
    _, made = keyframes(path, tmp_path)
    shown = opencv_frames(path)[2]
    assert shown.shape == ((96, 64, 3) if rotation != 180 else (64, 96, 3))
    assert list(made.values()) == [by_opencv(shown, 240)] * len(made)


def test_a_turned_film_is_made_as_high_as_any_other(tmp_path):
    path = write_film(tmp_path / "a.mp4", shots_of([9], (192, 108)), rotation=90)
    _, made = keyframes(path, tmp_path, height=48)  # upright it has 108 x 192
    assert {decoded(data).shape for data in made.values()} == {(48, 27, 3)}


@pytest.mark.parametrize(
    ("aspect", "rotation", "height", "shape"),
    [
        (Fraction(4, 3), 0, 240, (64, 128)),
        (Fraction(1, 2), 0, 240, (64, 48)),
        (Fraction(4, 3), 90, 240, (128, 64)),
        (Fraction(4, 3), 0, 32, (32, 64)),
    ],
)
def test_pixels_are_made_square(tmp_path, aspect, rotation, height, shape):
    path = write_film(tmp_path / "a.mp4", shots_of([5]), pixel_aspect=aspect, rotation=rotation)
    _, made = keyframes(path, tmp_path, height=height)
    assert {decoded(data).shape[:2] for data in made.values()} == {shape}


@pytest.mark.parametrize(
    ("size", "height", "shape"),
    [
        ((96, 64), 240, (64, 96)),  # never made larger
        ((96, 64), 64, (64, 96)),
        ((96, 64), 63, (63, 94)),
        ((96, 64), 32, (32, 48)),
        ((96, 64), 31, (31, 46)),
        ((96, 54), 27, (27, 48)),  # half of it is odd
        ((96, 108), 27, (27, 24)),
        ((200, 100), 25, (25, 50)),
    ],
)
def test_keyframes_have_the_height_asked_for(tmp_path, size, height, shape):
    path = write_film(tmp_path / "a.mp4", shots_of([5], size))
    _, made = keyframes(path, tmp_path, height=height)
    assert {decoded(data).shape[:2] for data in made.values()} == {shape}


def test_odd_sizes_lose_a_row_and_a_column_at_most(tmp_path):
    path = write_film(tmp_path / "a.mp4", shots_of([20, 20], (97, 65)), form="yuv444p")
    cut, made = keyframes(path, tmp_path)
    assert cut.shots == [(0, 19), (20, 39)]
    for number, data in made.items():
        tall, wide = decoded(data).shape[:2]
        assert (tall, wide) in ((65, 97), (64, 96))
        assert number_in(decoded(data)) == number


LEVELS = [(81, 100, 180), (145, 60, 90), (200, 150, 120), (60, 170, 110), (235, 128, 128)]
WEIGHTS = {5: (0.299, 0.114), 1: (0.2126, 0.0722)}
"""ITU-R BT.601 and BT.709: the share of red and of blue in brightness."""


def rgb_of(levels, full_range, colorspace):
    """By the standards' formulas."""
    y, u, v = levels
    if full_range:
        u, v = u - 128, v - 128
    else:
        y, u, v = (y - 16) * 255 / 219, (u - 128) * 255 / 224, (v - 128) * 255 / 224
    kr, kb = WEIGHTS[colorspace]
    red, blue = y + 2 * (1 - kr) * v, y + 2 * (1 - kb) * u
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip([red, green, blue], 0, 255)


@pytest.mark.parametrize("colorspace", [5, 1])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(
    ("form", "size"),
    [("yuv420p", SMALL), ("yuv422p", SMALL), ("yuv444p", SMALL), ("yuv444p", (97, 65)),
     ("yuv420p10le", SMALL), ("yuv420p", (192, 128))],
)  # fmt: skip
def test_colours_are_those_of_the_standards(tmp_path, form, size, full_range, colorspace):
    for levels in LEVELS:
        given = levels
        if form.endswith("10le"):
            given = tuple(round(n * 1023 / 255) if full_range else 4 * n for n in levels)
        path = write_film(
            tmp_path / "a.mkv", [of_levels(given, form, size)] * 3, form=form,
            full_range=full_range, colorspace=colorspace, options={"qp": "0"},
        )  # fmt: skip
        _, made = keyframes(path, tmp_path, height=64)
        for data in made.values():
            picture = decoded(data).astype(int)
            expected = np.round(rgb_of(levels, full_range, colorspace))
            assert np.abs(picture - expected).max() <= (3 if "10" in form else 2)  # dithered


@pytest.mark.parametrize(
    ("name", "codec", "form"),
    [("a.mp4", "libx265", "yuv420p"), ("a.mkv", "libsvtav1", "yuv420p"),
     ("b.mkv", "libvpx-vp9", "yuv420p"), ("a.avi", "mjpeg", "yuvj420p"),
     ("b.avi", "mpeg4", "yuv420p"), ("c.mkv", "ffv1", "bgr0"), ("d.mkv", "ffv1", "yuv420p")],
)  # fmt: skip
def test_every_codec_gives_each_frame_once_and_in_order(tmp_path, name, codec, form):
    path = write_film(tmp_path / name, shots_of([20, 33]), codec=codec, form=form)
    cut, made = keyframes(path, tmp_path)
    assert cut.clock.frames == 53
    assert cut.shots == [(0, 19), (20, 52)]
    assert {number: number_in(decoded(data)) for number, data in made.items()} == {
        n: n for n in (4, 8, 12, 28, 36, 44)
    }


@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv"])
def test_films_of_a_few_frames(tmp_path, name, length):
    path = write_film(tmp_path / name, shots_of([length]))
    cut, made = keyframes(path, tmp_path)
    assert cut.shots == [(0, length - 1)]
    assert len(cut.keyframes) == 3
    assert {n: number_in(decoded(d)) for n, d in made.items()} == {n: n for n in made}
    assert set(made) == ({1, 2, 3} if length == 5 else {0})
    assert cut.notes == []


def test_a_cover_picture_is_not_the_film(tmp_path):
    path = write_film(tmp_path / "a.mp4", shots_of([20, 20]), cover=True, sound=True)
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 2
    cut, made = keyframes(path, tmp_path)
    assert cut.clock.frames == 40
    assert {n: number_in(decoded(d)) for n, d in made.items()} == {n: n for n in made}


def test_sound_changes_nothing(tmp_path):
    silent = write_film(tmp_path / "silent.mp4", shots_of([20, 20]))
    loud = write_film(tmp_path / "loud.mp4", shots_of([20, 20]), sound=True)
    assert keyframes(silent, tmp_path) == keyframes(loud, tmp_path)


def test_a_film_whose_size_changes_keeps_its_first(tmp_path):
    """As broadcasts do between programmes: one stream of pictures, two sizes."""
    first = write_film(tmp_path / "1.h264", shots_of([20]))
    second = write_film(tmp_path / "2.h264", [plain(RED, (192, 128))] * 20)
    third = write_film(tmp_path / "3.h264", [plain(GREEN, (48, 32))] * 20)
    path = tmp_path / "film.h264"
    path.write_bytes(first.read_bytes() + second.read_bytes() + third.read_bytes())
    cut, made = keyframes(path, tmp_path)
    assert cut.shots == [(0, 19), (20, 39), (40, 59)]
    assert {decoded(data).shape for data in made.values()} == {(64, 96, 3)}
    for number, data in made.items():
        expected = DARK if number < 20 else RED if number < 40 else GREEN
        assert np.abs(decoded(data)[32, 48].astype(int) - expected).max() <= 3
