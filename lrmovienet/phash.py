"""Perceptual hash: pictures that look alike have hashes that differ in few bits."""

import io
from collections.abc import Sequence

import numpy as np

SIZE = 32
BITS = 64
MAX_PIXELS = 50_000_000
"""A few bytes can claim to be a picture of billions."""


def phash(jpeg: bytes) -> int | None:
    """64 bits of a picture: which of its low frequencies are above their median.

    The picture is made grey and 32 x 32 pixels large; of its discrete cosine transform the 8 x 8
    lowest frequencies count (Zauner, Implementation and Benchmarking of Perceptual Image Hash
    Functions, 2010, section 3.2.1).

    Returns:
        None where the bytes are no picture that can be decoded.
    """
    import cv2
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(
            io.BytesIO(jpeg), formats=("JPEG", "PNG")
        ) as picture:  # reads the header only
            wide, tall = picture.size
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError):
        return None
    if wide * tall > MAX_PIXELS:
        return None
    # A quarter of each side is decoded: that leaves more than 32 pixels, at a fraction of the time.
    grey = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_4)
    if grey is None:
        return None
    small = cv2.resize(grey, (SIZE, SIZE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:8, :8].ravel()
    bits = low > np.median(np.asarray(low, np.float32))
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def distance(a: int, b: int) -> int:
    """In how many of the 64 bits two hashes differ."""
    return (a ^ b).bit_count()


def distinct(hashes: Sequence[int], bits: int) -> list[int]:
    """The positions left when each hash within `bits` bits of an earlier one that stays goes."""
    kept: list[int] = []
    for i, value in enumerate(hashes):
        if all(distance(value, hashes[j]) > bits for j in kept):
            kept.append(i)
    return kept
