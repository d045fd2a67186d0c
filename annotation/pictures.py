"""A clip's keyframes on one sheet, where the Label Studio server finds it.

One picture a page is one request, needs no key to leaf through, and keeps its place. It lies as a
file under the server's document root, because keyframes may lie in tars.
"""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lrmovienet.errors import ItemError
from lrmovienet.files import sha256_of, write_bytes
from lrmovienet.keyframes import KeyframeReader, evenly
from lrmovienet.pictures import picture

MOST_FRAMES, ONE_COLUMN = 6, 3
"""At most so many frames; up to so many one above the other, as the page has height to spare."""
HEIGHT, WIDEST, GAP, QUALITY = 240, 960, 6, 85
"""Pixels of a frame, at most so many wide, and between frames; JPEG quality."""
BACKGROUND = (32, 32, 32)
VERSION = "sheet-1"


def sheet_name(keyframes: Sequence[dict[str, Any]]) -> str:
    """The file name of a clip's sheet: by what is on it, so that a sheet is never out of date."""
    chosen = [[frame["ref"], frame["sha256"]] for frame in evenly(keyframes, MOST_FRAMES)]
    return sha256_of([VERSION, chosen])[:32] + ".jpg"


def write_sheet(path: Path, keyframes: Sequence[dict[str, Any]], reader: KeyframeReader) -> None:
    """Write a clip's sheet, unless it is there.

    Raises:
        ItemError: a keyframe cannot be read.
    """
    if path.exists():
        return
    chosen = evenly(keyframes, MOST_FRAMES)
    write_bytes(path, sheet([reader.read(frame["ref"], frame["sha256"]) for frame in chosen]))


def sheet(frames: Sequence[bytes]) -> bytes:
    """Image files -> one JPEG with all of them, in reading order.

    Raises:
        ItemError: there are none, or one is no picture.
    """
    from PIL import Image

    if not frames:
        raise ItemError("no keyframes")
    tiles = []
    for data in frames:
        tile = picture(data)
        width = min(max(1, round(tile.width * HEIGHT / tile.height)), WIDEST)
        tiles.append(tile.resize((width, HEIGHT), Image.Resampling.BICUBIC))
    columns = 1 if len(tiles) <= ONE_COLUMN else 2
    width, rows = max(tile.width for tile in tiles), math.ceil(len(tiles) / columns)
    size = (columns * width + (columns - 1) * GAP, rows * HEIGHT + (rows - 1) * GAP)
    whole = Image.new("RGB", size, BACKGROUND)
    for place, tile in enumerate(tiles):
        row, column = divmod(place, columns)
        left = column * (width + GAP) + (width - tile.width) // 2
        whole.paste(tile, (left, row * (HEIGHT + GAP)))
    file = io.BytesIO()
    whole.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
