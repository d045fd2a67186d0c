"""Perceptual hashes of frames, read from the user's own copy."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lrmovienet.errors import ItemError, UserError
from lrmovienet.keyframes import KeyframeReader
from lrmovienet.phash import phash
from lrmovienet.progress import progress

THREADS = 4
_AT_ONCE = 256


def perceptual_hashes(
    root: Path, frames: Mapping[str, str], *, all_of_them: bool = True
) -> dict[str, str | None]:
    """How each frame looks, as 16 hexadecimal digits; None where it cannot be decoded.

    Args:
        root: the keyframes' folder or tree.
        frames: reference -> sha256.
        all_of_them: refuse a copy in which one is missing or another picture; otherwise such a
            frame has no hash.

    Raises:
        UserError: there is no such folder, a frame is not there or is another picture than the one
            referred to.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder of frames.")
    reader, refs = KeyframeReader(root), sorted(frames)
    found: dict[str, str | None] = {}

    def look(ref: str) -> str | None:
        try:
            value = phash(reader.read(ref, frames[ref]))
        except ItemError:
            if all_of_them:
                raise
            value = None
        return None if value is None else f"{value:016x}"

    with (
        progress("looking at", len(refs), "frames") as advance,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        for start in range(0, len(refs), _AT_ONCE):
            some = refs[start : start + _AT_ONCE]
            try:
                found |= dict(zip(some, pool.map(look, some), strict=True))
            except ItemError as error:
                raise UserError(
                    f"{error}. See what of the release is in your copy: lrmovienet hydrate"
                ) from None
            advance(len(some))
    if frames and not any(found.values()):
        raise UserError(f"{root}: none of the frames is here. Give the folder that holds 240P/.")
    return found
