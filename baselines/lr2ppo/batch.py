"""Features of some records, padded to one size: what every network of LR²PPO takes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from baselines.data import Record


class Batch(NamedTuple):
    """The labels of some records. Frames are there once a record, however many labels it has.

    n labels of c records; t is the longest text, f the largest number of frames.
    """

    text: Tensor
    """(n, t, text_dim) token vectors, padded behind; half precision, where they are stored so."""
    text_mask: Tensor
    """(n, t) true where there is a token."""
    label_mask: Tensor
    """(n, t) true where the token is the label's."""
    frames: Tensor
    """(c, f, frame_dim) frame vectors, padded behind."""
    frame_mask: Tensor
    """(c, f) true where there is a frame."""
    record: Tensor
    """(n,) which of the c records a label belongs to."""

    def to(self, device: str) -> "Batch":
        """The batch on another device."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in self))


def collate(records: Sequence[Record]) -> Batch:
    """Read the features of all labels of some records, and pad them.

    Where a label is one vector, that is the one token of its text, in single precision as it came,
    and there are no frames.
    """
    owner = torch.from_numpy(
        np.repeat(np.arange(len(records)), [len(record.labels) for record in records])
    )
    if records[0].vectors is not None:
        rows = np.concatenate([record.vectors for record in records if record.vectors is not None])
        here = torch.ones(len(rows), 1, dtype=torch.bool)
        none = torch.zeros(len(records), 0)
        return Batch(
            torch.from_numpy(rows)[:, None], here, here, none[:, :, None], none.bool(), owner
        )
    texts = [record.text(i) for record in records for i in range(len(record.labels))]
    frames = [record.frames for record in records]
    longest, dim = max(len(t.tokens) for t in texts), texts[0].tokens.shape[1]
    text = torch.zeros(len(texts), longest, dim, dtype=torch.float16)
    text_mask = torch.zeros(text.shape[:2], dtype=torch.bool)
    label_mask = torch.zeros(text.shape[:2], dtype=torch.bool)
    halves = text.numpy()
    for i, (tokens, start, end) in enumerate(texts):
        halves[i, : len(tokens)] = tokens
        text_mask[i, : len(tokens)] = True
        label_mask[i, start:end] = True
    most, dim = max(map(len, frames)), frames[0].shape[1]
    pictures = torch.zeros(len(frames), most, dim, dtype=torch.float16)
    frame_mask = torch.zeros(pictures.shape[:2], dtype=torch.bool)
    for i, of_record in enumerate(frames):
        pictures[i, : len(of_record)] = torch.from_numpy(np.asarray(of_record))
        frame_mask[i, : len(of_record)] = True
    return Batch(text, text_mask, label_mask, pictures, frame_mask, owner)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over the places where the mask is true: (n, t, d), (n, t) -> (n, d)."""
    weights = mask.to(x.dtype)[:, :, None]
    return (x * weights).sum(1) / weights.sum(1)
