"""One frozen vector a label: the features track, for methods that take vectors and not sequences.

Blocks, one after the other, for text vectors of t and frame vectors of f dimensions:

=========  ==========  ============================================================================
label      t           mean of the label's tokens
text       t           mean of the description's tokens, as they stand beside this label
frames     f           mean over the clip's keyframes
product    t           label times text, element by element
scalars    9           see `SCALARS`
=========  ==========  ============================================================================

Nothing here is learned, and nothing is known of grades.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from baselines.data import Record
from baselines.floors import LexicalRanker
from baselines.lr2ppo.batch import collate, masked_mean
from baselines.lr2ppo.model import said_in
from lrmovienet.files import atomic_open, sha256_of
from lrmovienet.progress import progress

Vectors = npt.NDArray[np.float32]

VERSION = 1
"""Raised when the same features would give other vectors."""
SOURCES = ("image", "event", "entity")
SCALARS = (
    "cosine of label and text", "nearest token to each of the label's tokens",
    "nearest token to the label", "share of its words in the description",
    "whole in the description", "words",
    *(f"from {source}" for source in SOURCES),
)  # fmt: skip
"""What the last block holds; the second and third are `said_in`'s similarities."""


def blocks(text_dim: int, frame_dim: int) -> dict[str, slice]:
    """Where each block stands in a vector."""
    sizes = {
        "label": text_dim, "text": text_dim, "frames": frame_dim, "product": text_dim,
        "scalars": len(SCALARS),
    }  # fmt: skip
    ends = np.cumsum(list(sizes.values())).tolist()
    return {
        name: slice(end - size, end) for (name, size), end in zip(sizes.items(), ends, strict=True)
    }


def label_vectors(record: Record) -> Vectors:
    """(n_labels, 3 t + f + 9) the vectors of a record's labels, in their order.

    Of a record whose labels come as vectors, these.
    """
    if record.vectors is not None:
        return record.vectors
    batch = collate([record])
    text = batch.text.float()
    rest = batch.text_mask & ~batch.label_mask
    # Features whose makers did not say where the label stands: the whole text is both.
    rest = torch.where(rest.any(1, keepdim=True), rest, batch.text_mask)
    label, described = masked_mean(text, batch.label_mask), masked_mean(text, rest)
    frames = masked_mean(batch.frames.float(), batch.frame_mask)
    how_nearly = said_in(text, batch.label_mask, batch.text_mask)[1]
    cosine = functional.cosine_similarity(label, described)[:, None]
    vectors: Vectors = np.concatenate(
        [
            label.numpy(), described.numpy(), frames.expand(len(label), -1).numpy(),
            (label * described).numpy(), cosine.numpy(), how_nearly.numpy(), _of_words(record),
        ],
        axis=1,
    ).astype(np.float32)  # fmt: skip
    return vectors


def _of_words(record: Record) -> npt.NDArray[np.float64]:
    overlap = LexicalRanker().score(record)  # a share, and 1 more where the whole label occurs
    words = [len(label.split()) for label in record.labels]
    sources = [[source == one for one in SOURCES] for source in record.sources]
    return np.column_stack([overlap.clip(max=1), overlap > 1, words, np.array(sources)])


def vectors_of(
    records: Sequence[Record],
    make: Callable[[Record], Vectors] = label_vectors,
    cache: Path | None = None,
    made_by: str = "features",
) -> Vectors:
    """(all labels, d) the vectors of some records, read from `cache` where they were made before.

    Args:
        records: whose labels; one after the other.
        make: a record -> (n_labels, d) vectors.
        cache: folder of earlier results, which trainings share; None for none.
        made_by: what `make` is, with the digest of its weights.
    """
    path = None
    if cache is not None and records[0].vectors is None:  # of which a cache would know no digest
        store = records[0].features
        names = [[record.clip_id, record.labels, record.sources] for record in records]
        words = [record.description for record in records]
        made_from = [VERSION, made_by, store.digest if store else "", names, words]
        path = cache / f"{sha256_of(made_from)}.npy"
        found = _kept(path, sum(len(record.labels) for record in records))
        if found is not None:
            return found
    parts = []
    with progress("vectors", len(records), "records") as advance:
        for record in records:
            parts.append(make(record))
            advance(1)
    vectors = np.concatenate(parts)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_open(path) as file:
            np.save(file, vectors, allow_pickle=False)
    return vectors


def _kept(path: Path, rows: int) -> Vectors | None:
    """The vectors in a file; None where there is none, or another thing than was written there."""
    try:
        found: Vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):  # they can be made again
        return None
    whole = found.dtype == np.float32 and found.ndim == 2 and len(found) == rows
    return found if whole else None
