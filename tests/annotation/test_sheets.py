"""Sheets of keyframes, and the address under which they are served."""

import hashlib
import io
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image

from annotation.pictures import sheet, sheet_name, write_sheet
from annotation.storage import url
from lrmovienet.errors import ItemError
from lrmovienet.keyframes import KeyframeReader

COLOURS = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0), (0, 250, 250), (250, 0, 250)]
GROUND = (32, 32, 32)


def frame(colour=(250, 0, 0), size=(320, 240), kind="PNG", mode="RGB") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).convert(mode).save(file, kind)
    return file.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    assert image.format == "JPEG"
    return image.convert("RGB")


def is_colour(image: Image.Image, place: tuple[float, float], colour: tuple[int, ...]) -> bool:
    """Whether a point has a colour; JPEG is off by some steps of 256."""
    found = image.getpixel((int(place[0]), int(place[1])))
    return all(abs(a - b) <= 12 for a, b in zip(found, colour, strict=True))


@pytest.mark.parametrize(
    ("number", "columns", "size"),
    [
        (1, 1, (320, 240)),
        (2, 1, (320, 486)),
        (3, 1, (320, 732)),
        (4, 2, (646, 486)),
        (5, 2, (646, 732)),
        (6, 2, (646, 732)),
    ],
)
def test_frames_stand_in_reading_order(number, columns, size):
    image = opened(sheet([frame(colour) for colour in COLOURS[:number]]))
    assert image.size == size
    for place, colour in enumerate(COLOURS[:number]):
        row, column = divmod(place, columns)
        left, top = column * 326, row * 246
        for x, y in ((8, 8), (160, 120), (311, 231)):
            assert is_colour(image, (left + x, top + y), colour), (place, x, y)
    if number == 5:
        assert is_colour(image, (326 + 160, 492 + 120), GROUND)


def test_frames_are_made_as_high_as_each_other_and_stand_in_the_middle_of_their_column():
    """640 x 480 becomes 320 x 240, and 120 x 240 stays and has 100 pixels on either side."""
    image = opened(sheet([frame(COLOURS[0], (640, 480)), frame(COLOURS[1], (120, 240))]))
    assert image.size == (320, 486)
    for x, y, colour in (
        (8, 8, COLOURS[0]),
        (311, 231, COLOURS[0]),
        (92, 366, GROUND),
        (108, 366, COLOURS[1]),
        (212, 366, COLOURS[1]),
        (228, 366, GROUND),
    ):
        assert is_colour(image, (x, y), colour), (x, y)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((4000, 10), (960, 240)), ((10, 4000), (1, 240)), ((1, 1), (240, 240)), ((430, 240),) * 2],
)
def test_frames_of_any_shape_give_a_sheet_of_bounded_size(size, expected):
    assert opened(sheet([frame(size=size)])).size == expected


def test_a_sheet_of_six_of_the_widest_frames_is_bounded():
    assert opened(sheet([frame(size=(5000, 20))] * 6)).size == (2 * 960 + 6, 732)


@pytest.mark.parametrize(
    ("kind", "mode"), [("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "P"),
                       ("PNG", "1"), ("PNG", "RGBA"), ("WEBP", "RGB")]
)  # fmt: skip
def test_frames_of_all_kinds_are_shown(kind, mode):
    image = opened(sheet([frame((255, 255, 255), kind=kind, mode=mode)]))
    assert is_colour(image, (160, 120), (255, 255, 255))


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        ([], "no keyframes"),
        ([b""], "not a readable image"),
        ([b"no picture"], "not a readable image"),
        ([frame(), b"\xff\xd8\xff\xe0 broken"], "not a readable image"),
        ([frame(), frame(kind="JPEG")[:300]], "not a readable image"),
        ([frame(kind="GIF")], "not a readable image"),
    ],
)
def test_a_sheet_is_whole_or_not_made(frames, said):
    with pytest.raises(ItemError, match=said):
        sheet(frames)


def test_the_same_frames_make_the_same_bytes():
    frames = [frame(colour, (317, 211)) for colour in COLOURS]
    assert sheet(frames) == sheet(list(frames))
    assert sheet(frames) != sheet(frames[::-1])


def keyframes(number: int) -> list[dict]:
    return [
        {"ref": f"tt0000001/shot_{i:04d}_img_0.jpg", "sha256": f"{i:064x}"} for i in range(number)
    ]


def test_a_sheet_is_named_by_the_frames_on_it():
    """Of twelve frames, those at 1, 3, 5, 7, 9 and 11 are on it."""
    twelve = keyframes(12)
    name = sheet_name(twelve)
    stem, dot, suffix = name.partition(".")
    assert (len(stem), dot, suffix) == (32, ".", "jpg")
    assert set(stem) <= set("0123456789abcdef")
    assert sheet_name(twelve[1::2]) == name
    for changed in range(12):
        for key, value in (("sha256", "f" * 64), ("ref", "tt0000002/shot_0000_img_0.jpg")):
            other = [dict(f) | ({key: value} if i == changed else {}) for i, f in enumerate(twelve)]
            assert (sheet_name(other) == name) == (changed % 2 == 0), (changed, key)
    assert sheet_name(keyframes(6)[::-1]) != sheet_name(keyframes(6))


@pytest.fixture
def film(tmp_path: Path) -> tuple[KeyframeReader, list[dict]]:
    """A film's keyframes in a folder."""
    folder, found = tmp_path / "240P" / "tt0000001", []
    folder.mkdir(parents=True)
    for place, one in enumerate(keyframes(12)):
        data = frame((20 * place, 0, 0), kind="JPEG")
        (folder / Path(one["ref"]).name).write_bytes(data)
        found.append({"ref": one["ref"], "sha256": hashlib.sha256(data).hexdigest()})
    return KeyframeReader(tmp_path), found


def test_a_sheet_shows_six_frames_spread_over_the_clip(film, tmp_path):
    reader, frames = film
    path = tmp_path / "sheets" / sheet_name(frames)
    write_sheet(path, frames, reader)
    image = opened(path.read_bytes())
    assert image.size == (646, 732)
    for place, shown in enumerate((1, 3, 5, 7, 9, 11)):
        row, column = divmod(place, 2)
        assert is_colour(image, (column * 326 + 160, row * 246 + 120), (20 * shown, 0, 0))
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_sheet_that_is_there_is_not_made_again(film, tmp_path):
    reader, frames = film
    path = tmp_path / "sheet.jpg"
    write_sheet(path, frames, reader)
    stamp = path.stat()
    (tmp_path / "240P" / "tt0000001" / "shot_0001_img_0.jpg").unlink()
    write_sheet(path, frames, reader)
    assert path.stat() == stamp


@pytest.mark.parametrize("harm", ["missing", "another", "no picture"])
def test_a_frame_that_cannot_be_read_leaves_no_sheet(film, tmp_path, harm):
    reader, frames = film
    broken = tmp_path / "240P" / "tt0000001" / "shot_0011_img_0.jpg"
    if harm == "missing":
        broken.unlink()
    else:
        broken.write_bytes(b"no picture" if harm == "no picture" else frame(kind="JPEG"))
    if harm == "no picture":
        frames[11]["sha256"] = hashlib.sha256(b"no picture").hexdigest()
    path = tmp_path / "sheets" / "sheet.jpg"
    with pytest.raises(ItemError):
        write_sheet(path, frames, reader)
    assert not path.parent.exists() or list(path.parent.iterdir()) == []


def test_a_clip_without_frames_has_no_sheet(film, tmp_path):
    with pytest.raises(ItemError, match="no keyframes"):
        write_sheet(tmp_path / "sheet.jpg", [], film[0])


@pytest.mark.parametrize(
    ("folder", "name", "expected"),
    [
        ("lrmovienet-1a", "2b.jpg", "/data/local-files/?d=lrmovienet-1a/2b.jpg"),
        ("a b", "c&d#e?.jpg", "/data/local-files/?d=a%20b/c%26d%23e%3F.jpg"),
        ("a+b", "100%.jpg", "/data/local-files/?d=a%2Bb/100%25.jpg"),
        ("é", "x.jpg", "/data/local-files/?d=%C3%A9/x.jpg"),
    ],
)
def test_the_address_of_a_file_is_read_back_as_its_path(folder, name, expected):
    assert url(folder, name) == expected
    parts = urlsplit(url(folder, name))
    assert (parts.netloc, parts.path, parts.fragment) == ("", "/data/local-files/", "")
    assert parse_qs(parts.query, strict_parsing=True) == {"d": [f"{folder}/{name}"]}
