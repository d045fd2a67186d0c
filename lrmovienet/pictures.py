"""An image file's bytes -> pixels, for every model that looks at frames."""

import io
from typing import TYPE_CHECKING

from lrmovienet.errors import ItemError

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "WEBP")
"""What is decoded. The library knows others, one of which starts a program."""
MAX_PIXELS = 64 * 2**20
"""A larger frame is refused before it is decoded: 64 megapixels are far beyond any film."""


def picture(data: bytes, square: int | None = None, *, bicubic: bool = True) -> "Image":
    """Decode an image as RGB.

    Args:
        data: the image file's bytes.
        square: pixels a side to resize the whole picture to (with smoothing). Nothing is cropped:
            what stands at the sides of a wide film frame belongs to the scene.
        bicubic: how to resize; otherwise bilinear.

    Raises:
        ItemError: the bytes are no image, or one of more than `MAX_PIXELS`.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ItemError(
                    f"an image of {image.width} x {image.height} pixels is too large for a frame"
                )
            rgb = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ItemError(f"not a readable image ({error})") from None
    if square is None:
        return rgb
    how = Image.Resampling.BICUBIC if bicubic else Image.Resampling.BILINEAR
    return rgb.resize((square, square), how)
