"""The actor of LR²PPO: frozen features in, one relevance score a label out (paper, section 3).

The paper fuses text and frames "through the cross attention module" and ends in a "regression
head". As in the released code, each modality passes an MLP first, and text tokens are the queries
on the frames. Unlike it, padding is masked, attention is scaled before the softmax, and the head
reads means over tokens rather than every token position. It also reads where in the description
the label is said, and how nearly, from the frozen vectors themselves: a small network cannot learn
that from a few thousand grades, and without it stage 1 ranks worse than matching words does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn
from torch.nn import functional

from baselines.data import Record

SHARPNESS = 10.0
"""Of the softmax over cosines in `said_in`; those of the packaged encoder span about .2 to .9."""


@dataclass(frozen=True)
class ActorConfig:
    """Dimensions of the actor. What each number comes from is said in `presets.BaseConfig`."""

    text_dim: int
    frame_dim: int
    width: int
    text_hidden: int
    frame_hidden: int
    head_hidden: int
    heads: int
    dropout: float


class Batch(NamedTuple):
    """The labels of some records. Frames are there once a record, however many labels it has.

    n labels of c records; t is the longest text, f the largest number of frames.
    """

    text: Tensor
    """(n, t, text_dim) token vectors, padded behind."""
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
        return Batch(*(tensor.to(device) for tensor in self))


def collate(records: Sequence[Record]) -> Batch:
    """Read the features of all labels of some records, and pad them."""
    texts = [record.text(i) for record in records for i in range(len(record.labels))]
    frames = [record.frames for record in records]
    text = np.zeros((len(texts), max(len(t.tokens) for t in texts), texts[0].tokens.shape[1]))
    text = text.astype(np.float32)
    text_mask = np.zeros(text.shape[:2], dtype=bool)
    label_mask = np.zeros(text.shape[:2], dtype=bool)
    for i, (tokens, start, end) in enumerate(texts):
        text[i, : len(tokens)] = tokens
        text_mask[i, : len(tokens)] = True
        label_mask[i, start:end] = True
    pictures = np.zeros((len(frames), max(map(len, frames)), frames[0].shape[1]), dtype=np.float32)
    frame_mask = np.zeros(pictures.shape[:2], dtype=bool)
    for i, of_record in enumerate(frames):
        pictures[i, : len(of_record)] = of_record
        frame_mask[i, : len(of_record)] = True
    owner = np.repeat(np.arange(len(records)), [len(record.labels) for record in records])
    return Batch(*map(torch.from_numpy, (text, text_mask, label_mask, pictures, frame_mask, owner)))


class CrossAttention(nn.Module):
    """Text tokens look at the frames of their clip: softmax(Q Kᵀ / √d) V a head."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, text: Tensor, frames: Tensor, frame_mask: Tensor, record: Tensor) -> Tensor:
        """(n, t, width), (c, f, width), (c, f), (n,) -> (n, t, width).

        Keys and values are made once a record and then handed to each of its labels.
        """
        n, t, width = text.shape
        q = self.query(text).view(n, t, self.heads, -1).transpose(1, 2)
        k = self._of_labels(self.key(frames), record)
        v = self._of_labels(self.value(frames), record)
        weights = q @ k.transpose(2, 3) / (width // self.heads) ** 0.5
        weights = weights.masked_fill(~frame_mask[record][:, None, None, :], float("-inf"))
        mixed = weights.softmax(dim=3) @ v
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(n, t, width))
        return out

    def _of_labels(self, frames: Tensor, record: Tensor) -> Tensor:
        c, f, _ = frames.shape
        return frames.view(c, f, self.heads, -1).transpose(1, 2)[record]


class Actor(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="lrmovienet",
    tags=["label-relevance-ranking"],
):
    """Scores each label of a clip by itself; a ranking is the order of the scores."""

    def __init__(self, config: ActorConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.text_mlp = _mlp(config.text_dim, config.text_hidden, width)
        self.frame_mlp = _mlp(config.frame_dim, config.frame_hidden, width)
        self.cross_attention = CrossAttention(width, config.heads)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(config.dropout)
        self.regression_head = nn.Sequential(
            nn.Linear(4 * width + 2, config.head_hidden),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.head_hidden, 1),
        )

    @classmethod
    def _from_pretrained(cls, **options: Any) -> "Actor":
        """The mixin's hook, made strict: missing or unknown weights are an error, not noise."""
        actor: Actor = super()._from_pretrained(**{**options, "strict": True})
        return actor

    def forward(self, batch: Batch) -> Tensor:
        """(n,) predicted relevance, around 0 (low) to 2 (high)."""
        return self.regress(self.pooled(batch))

    def pooled(self, batch: Batch) -> Tensor:
        """(n, 4 width + 2): what the head reads of each label.

        Means over the label's fused tokens, over all of them, over the frames; the fused tokens
        of the description where it says the label; two similarities (see `said_in`).
        """
        text, frames = self.text_mlp(batch.text), self.frame_mlp(batch.frames)
        seen = self.cross_attention(text, frames, batch.frame_mask, batch.record)
        fused = self.norm(text + self.dropout(seen))
        where, how_nearly = said_in(batch.text, batch.label_mask, batch.text_mask)
        return torch.cat(
            [
                masked_mean(fused, batch.label_mask),
                masked_mean(fused, batch.text_mask),
                masked_mean(frames, batch.frame_mask)[batch.record],
                (where[:, None, :] @ fused).squeeze(1),
                how_nearly,
            ],
            dim=1,
        )

    def regress(self, pooled: Tensor) -> Tensor:
        """(n, 4 width + 2) -> (n,)."""
        scores: Tensor = self.regression_head(pooled).squeeze(1)
        return scores


def said_in(text: Tensor, label_mask: Tensor, text_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Where the rest of a text says its label, and how nearly, by cosine of frozen vectors.

    Args:
        text: (n, t, dim) token vectors.
        label_mask: (n, t) true where the token is the label's; at least one a text.
        text_mask: (n, t) true where there is a token; at least one beside the label's.

    Returns:
        (n, t) weights that sum to 1 over the tokens that are not the label's, highest where the
        label is said; and (n, 2) similarities, scaled to about -1 to 1: the nearest token to each
        of the label's tokens, on average, and the nearest token to the label as a whole.
    """
    rest = text_mask & ~label_mask
    unit = functional.normalize(text, dim=2)
    of_pairs = (unit @ unit.transpose(1, 2)).masked_fill(~rest[:, None, :], -1.0)
    of_each = masked_mean(of_pairs.amax(2)[:, :, None], label_mask)
    label = functional.normalize(masked_mean(unit, label_mask), dim=1)
    of_whole = (unit @ label[:, :, None]).squeeze(2).masked_fill(~rest, -1.0)
    weights = (SHARPNESS * of_whole).masked_fill(~rest, float("-inf")).softmax(1)
    nearest = torch.cat([of_each, of_whole.amax(1, keepdim=True)], dim=1)
    return weights, 4 * nearest - 2


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over the places where the mask is true: (n, t, d), (n, t) -> (n, d)."""
    weights = mask.to(x.dtype)[:, :, None]
    return (x * weights).sum(1) / weights.sum(1)


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    # The first norm makes features of any encoder alike in scale. Without weights of its own, it
    # needs no gradient at the features, which saves a sixth of a training step.
    return nn.Sequential(
        nn.LayerNorm(inputs, elementwise_affine=False),
        nn.Linear(inputs, hidden),
        nn.GELU(),
        nn.Linear(hidden, outputs),
    )
