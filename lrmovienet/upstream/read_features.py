"""From the HDF5 file to a feature store, record by record."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval.messages import short
from lrmovienet.encode import spread
from lrmovienet.encoders import Halfs
from lrmovienet.errors import ItemError
from lrmovienet.features import write_arrays, write_index
from lrmovienet.store_writer import Pile
from lrmovienet.upstream.gather import Files
from lrmovienet.upstream.hdf5 import Features, Floats
from lrmovienet.upstream.layout import FEATURES, Problems


def make_arrays(
    files: Files,
    features: Features,
    building: Path,
    whole: Path,
    advance: Callable[[int], None],
) -> dict[str, int]:
    """Write the arrays and the index of a feature store; equal features are kept once.

    Texts are numbered as `lrmovienet encode` numbers them: by film, clip and label.

    Args:
        files: the records whose features are wanted.
        features: where they are read.
        building: an empty folder for pieces.
        whole: an empty folder for the store.
        advance: called with the number of clips done.

    Returns:
        What `lrmovienet.features.write_arrays` returns, and the frames without features.

    Raises:
        UserError: numbers are not finite in half precision, or a label has two features; ten are
            listed.
    """
    texts, frames = Pile(building, "text"), Pile(building, "frames")
    rows: list[tuple[str, str, int]] = []
    frames_of: list[tuple[str, list[int]]] = []
    problems, left_out = Problems(), 0
    most = (features.encoders or {}).get("image", {}).get("max_frames")
    for clip_id, names in files.in_order():
        entry = files.entries[names[0]]
        try:
            for label, text in sorted(_texts(files, features, names).items()):
                key = _hash(label, entry.description, text.span.tobytes(), text.tokens.tobytes())
                rows.append((clip_id, label, texts.add(key, text.tokens, text.span)))
            for other in names[1:]:
                if not features.same_frames(names[0], other):
                    raise ItemError(f"{other} has other frames than {names[0]}")
            vectors = _halfs(features.frames(names[0]), "img_emb", files.counts)
        except ItemError as error:
            problems.add(f"{FEATURES}, {short(names[0])}", str(error))
            continue
        finally:
            advance(1)
        left_out += max(0, len(entry.frames) - len(vectors))
        known = _hashes_of(entry.frames, len(vectors), most)
        numbers = [
            frames.add(_hash(sha256, vector.tobytes()), vector[None])
            for sha256, vector in zip(known, vectors, strict=True)
        ]
        frames_of.append((clip_id, numbers))
    problems.stop(f"{features.path}: numbers that cannot be used", "Nothing was changed.")
    counts = write_arrays(whole, texts.shards(), [tokens for _, tokens in frames.shards()])
    write_index(whole, rows, frames_of)
    return {**counts, "frames_left_out": left_out}


@dataclass(frozen=True)
class _Text:
    tokens: Halfs
    span: np.ndarray[Any, np.dtype[np.int64]]
    """(4,) its length, begin and end of its label, tokens cut off."""


def _texts(files: Files, features: Features, names: list[str]) -> dict[str, _Text]:
    """The features of a clip's labels, over the records that it has."""
    found: dict[str, _Text] = {}
    for name in names:
        labels = files.entries[name].labels
        spans = features.spans(name, len(labels))
        given = features.texts(name, spans[:, 0].tolist())
        for label, span, tokens in zip(labels, spans, given, strict=True):
            text = _Text(_halfs(tokens, f"text_emb of {short(label)}", files.counts), span)
            before = found.setdefault(label, text)
            if before is not text and not (
                np.array_equal(before.tokens, text.tokens) and (before.span == span).all()
            ):
                raise ItemError(f"{short(label)} has other features than in another record")
    return found


def _halfs(given: Floats, what: str, counts: Counter[str]) -> Halfs:
    """Numbers in half precision. Raises ItemError where they are not finite there."""
    with np.errstate(over="ignore"):
        halfs = given.astype(np.float16)
    if not np.isfinite(halfs).all():
        why = "beyond half precision (65504)" if np.isfinite(given).all() else "NaN or infinite"
        raise ItemError(f"{what} holds numbers that are {why}")
    counts["numbers rounded to half precision"] += int((halfs != given).sum())
    return halfs


def _hashes_of(frames: tuple[tuple[str, str | None], ...], vectors: int, most: object) -> list[str]:
    """The picture's sha256 of each vector, where both are known: equal pictures are kept once."""
    chosen = spread(len(frames), most) if isinstance(most, int) and most > 0 else []
    if len(chosen) != vectors:
        return [""] * vectors
    return [frames[i][1] or "" for i in chosen]


def _hash(*parts: str | bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.digest()
