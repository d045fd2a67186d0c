"""The perceptual hash, by hand on pictures whose frequencies are known, and what it ignores."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrmovienet.phash import distance, distinct, phash


def jpeg(picture, quality=95):
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return data.tobytes()


def wave(u, v, size=32):
    """The cosine that is u half-waves across and v half-waves down."""
    x = np.cos((2 * np.arange(size) + 1) * u * np.pi / (2 * size))
    y = np.cos((2 * np.arange(size) + 1) * v * np.pi / (2 * size))
    return np.outer(y, x)


def drawn(signs):
    """A picture, 256 x 256, whose 8 x 8 lowest frequencies have these signs."""
    small = sum(signs[v][u] * wave(u, v) for v in range(8) for u in range(8) if (u, v) != (0, 0))
    small = 128 + small * 100 / np.abs(small).max()
    return np.round(np.kron(small, np.ones((8, 8)))).astype(np.uint8)


def scene(seed, size=(64, 96)):
    """A picture with a few large shapes, as films have."""
    rng = np.random.default_rng(seed)
    picture = np.full((*size, 3), rng.integers(40, 200, 3), np.uint8)
    for _ in range(6):
        where = tuple(int(v) for v in rng.integers(0, (size[1], size[0])))
        colour = tuple(int(v) for v in rng.integers(20, 220, 3))
        cv2.circle(picture, where, int(rng.integers(8, 26)), colour, -1)
    return cv2.GaussianBlur(picture, (0, 0), 2)


@pytest.mark.parametrize("seed", range(4))
def test_the_bits_are_the_signs_of_the_lowest_frequencies_row_by_row(seed):
    """With the mean, which is above all, half of the 64 are above the median: those above zero."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(np.repeat([1, -1], [31, 32]))
    signs = np.concatenate([[1], order]).reshape(8, 8)
    expected = int("".join("1" if s > 0 else "0" for s in signs.ravel()), 2)
    assert phash(jpeg(drawn(signs), 100)) == expected


def test_the_first_row_is_of_waves_across():
    """Bits 63 to 56 are the first row; across and down are told apart."""
    picture = 128 + 50 * np.kron(
        wave(3, 0) + 0.02 * sum(wave(0, v) for v in range(1, 8)), np.ones((8, 8))
    )
    across = phash(jpeg(np.round(picture).astype(np.uint8), 100))
    down = phash(jpeg(np.round(picture.T).astype(np.uint8), 100))
    assert across >> (63 - 3) & 1
    assert down >> (63 - 8 * 3) & 1
    assert across != down


@pytest.mark.parametrize("seed", range(5))
def test_near_pictures(seed):
    picture = scene(seed)
    base = phash(jpeg(picture))
    changed = {
        "encoded again": jpeg(picture, 60),
        "brighter": jpeg(cv2.convertScaleAbs(picture, alpha=1.0, beta=15)),
        "more contrast": jpeg(cv2.convertScaleAbs(picture, alpha=1.1)),
        "larger": jpeg(cv2.resize(picture, (192, 128), interpolation=cv2.INTER_CUBIC)),
        "wider": jpeg(cv2.resize(picture, (192, 64), interpolation=cv2.INTER_CUBIC)),
        "grey": jpeg(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)),
    }
    assert {
        name: distance(base, phash(data)) <= 8 for name, data in changed.items()
    } == dict.fromkeys(changed, True)


def test_other_pictures_are_far():
    hashes = [phash(jpeg(scene(seed))) for seed in range(12)]
    assert min(distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]) > 12
    for seed, value in enumerate(hashes):
        assert distance(value, phash(jpeg(scene(seed)[:, ::-1]))) > 8, "mirrored"
        assert distance(value, phash(jpeg(255 - scene(seed)))) > 40, "negative"


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (7, 5), (3000, 2000)])
def test_any_size(size):
    value = phash(jpeg(np.full(size, 90, np.uint8)))
    assert 0 <= value < 2**64
    assert phash(jpeg(np.zeros(size, np.uint8))) == 0, "black has no frequency above another"


def sized(height, width):
    """A JPEG of a few bytes that says that it is so large."""
    data = bytearray(jpeg(np.zeros((16, 16), np.uint8)))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(data)


SIGNATURES = [
    b"\x89PNG\r\n\x1a\n", b"BM", b"GIF89a", b"II*\0", b"MM\0*", b"v/1\1", b"RIFF\0\0\0\0WEBPVP8 ",
    b"\0\0\0\x0cjP  \r\n\x87\n", b"P5\n9 9\n255\n", b"#?RADIANCE\n", b"\x59\xa6\x6a\x95", b"PF\n",
    b"\xff\xd8\xff", b"\0\0\0\x1cftypavif",
]  # fmt: skip


@given(st.sampled_from(["", *SIGNATURES]), st.binary(max_size=200))
def test_what_is_no_picture_has_no_hash(signature, data):
    assert phash((signature or b"no picture") + data) is None or signature


@pytest.mark.parametrize("size", [(0, 0), (65535, 65535), (65535, 1)])
def test_pictures_that_say_they_are_huge(size):
    phash(sized(*size))  # any hash or none: no error ends the film


@given(st.data())
def test_a_cut_or_changed_jpeg_is_no_error(data):
    good = bytearray(jpeg(scene(1)))
    for _ in range(3):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    phash(bytes(good[: data.draw(st.integers(0, len(good)))]))


def test_distance_and_distinct_by_hand():
    assert distance(0, 0) == 0
    assert distance(0b1011, 0b0110) == 3
    assert distance(0, 2**64 - 1) == 64
    assert distinct([], 5) == []
    assert distinct([0, 0b1, 0b11, 0b111], 0) == [0, 1, 2, 3]
    assert distinct([7, 8, 7], 0) == [0, 1]
    # 0b1 is near to 0 and goes; 0b11 is near to 0b1, but that one is gone, and 2 away from 0.
    assert distinct([0, 0b1, 0b11, 0b111], 1) == [0, 2]
    assert distinct([0, 0b1, 0b11, 0b111], 2) == [0, 3]
    assert distinct([5, 2**64 - 1, 0], 64) == [0]


@given(st.lists(st.integers(0, 2**8 - 1), max_size=12), st.integers(0, 8))
def test_what_stays_is_far_apart_and_what_goes_is_near_to_one_before(hashes, bits):
    kept = distinct(hashes, bits)
    assert kept == sorted(set(kept))
    for i in range(len(hashes)):
        near = [j for j in kept if j < i and bin(hashes[i] ^ hashes[j]).count("1") <= bits]
        assert (i in kept) == (not near)
