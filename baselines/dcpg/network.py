"""The network of DCPG for labels: a clip's vector and its labels' vectors, compared by cosine.

Two variants. ``a`` is the original with a label in the place of a sentence: frames on one side, a
label together with its description on the other. All labels of a clip share their description, so
that their vectors hardly differ. ``b`` has the description on the clip's side, where it belongs,
and the label alone on the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from baselines.data import Record
from baselines.dcpg.attention import AttentionConfig
from baselines.dcpg.towers import GraphReasoning, Tower, entrance, padded, unit
from lrmovienet.encoders import Halfs

Variant = Literal["a", "b"]


@dataclass(frozen=True)
class NetworkConfig(AttentionConfig):
    """Dimensions of the network, and its attention."""

    variant: Variant = "b"
    """Which side reads the description: with the label (a), or with the frames (b)."""
    text_dim: int = 768
    """Of a token vector. Training takes it from the features."""
    frame_dim: int = 768
    """Of a frame vector. Training takes it from the features."""
    dim: int = 128
    """Of items, states and vectors."""
    graph_layers: int = 1
    """Layers of graph reasoning over frames. Paper: 4, over regions."""


class ClipFeatures(NamedTuple):
    """What the network reads of one clip."""

    frames: Tensor
    """(f, frame_dim), half precision as stored, like the others."""
    description: Tensor
    """(t, text_dim); without tokens in variant a."""
    labels: list[Tensor]
    """n of (t_i, text_dim): the label's own tokens, or in variant a the whole text."""


class Batch(NamedTuple):
    """Some clips and all of their labels, padded behind."""

    frames: Tensor
    """(c, f, frame_dim)"""
    frame_mask: Tensor
    """(c, f)"""
    description: Tensor
    """(c, t, text_dim)"""
    description_mask: Tensor
    """(c, t)"""
    labels: Tensor
    """(n, u, text_dim)"""
    label_mask: Tensor
    """(n, u)"""
    record: Tensor
    """(n,) which of the c clips a label belongs to."""

    def to(self, device: str) -> "Batch":
        """The batch on another device."""
        return Batch(*(tensor.to(device) for tensor in self))


class Compared(NamedTuple):
    """What came of a batch."""

    scores: Tensor
    """(n,) cosine of each label with its own clip."""
    clips: Tensor
    """(c, dim), of length 1."""
    labels: Tensor
    """(n, dim), of length 1."""
    log_probability: Tensor
    """(c,) of all that was drawn for a clip and its labels."""


class DCPGNetwork(nn.Module):
    """Towers for frames, description and labels."""

    config_class = NetworkConfig

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.frame_in = entrance(config.frame_dim, config.dim)
        # One for description and labels: what lies together in the encoder's space stays so.
        self.text_in = entrance(config.text_dim, config.dim)
        layers = [GraphReasoning(config.dim) for _ in range(config.graph_layers)]
        self.graph = nn.ModuleList(layers)
        self.frames = Tower(config.dim, config.dim, config)
        self.text = Tower(config.dim, config.dim, config)
        """Over the description (b), or over label and description (a)."""
        if config.variant == "b":
            # A label has one to six tokens: there is nothing to choose among.
            self.label = Tower(config.dim, config.dim, AttentionConfig("uniform", heads=1))
        self.log_sharpness = nn.Parameter(torch.tensor(10.0).log())
        """By what cosines are multiplied where they are read as log odds (R1)."""

    def forward(self, batch: Batch) -> Compared:
        """Embed clips and labels, and compare them."""
        config = self.config
        items = self.frame_in(batch.frames.float())
        for layer in self.graph:
            items = layer(items, batch.frame_mask)
        frames = self.frames(unit(items), batch.frame_mask)
        clips, log_probability = frames.vectors, frames.discrete + frames.continuous
        label_items = unit(self.text_in(batch.labels.float()))
        if config.variant == "b":
            items = unit(self.text_in(batch.description.float()))
            text = self.text(items, batch.description_mask)
            clips = clips + text.vectors
            log_probability = log_probability + text.discrete + text.continuous
            labels = self.label(label_items, batch.label_mask).vectors
        else:
            text = self.text(label_items, batch.label_mask)
            labels, drawn = text.vectors, text.discrete + text.continuous
            of_clip = batch.record[:, None] == torch.arange(len(clips), device=clips.device)
            log_probability = log_probability + drawn @ of_clip.to(drawn)
        clips, labels = unit(clips), unit(labels)
        scores = (clips[batch.record] * labels).sum(1)
        return Compared(scores, clips, labels, log_probability)


def read(record: Record, variant: Variant) -> ClipFeatures:
    """A record's features, as a variant wants them.

    A label is encoded together with its description, so that every text holds the description's
    tokens, in as many shades as there are labels. Taken are those beside the label that is first by
    alphabet: no order of the labels can change them.
    """
    texts = [record.text(i) for i in range(len(record.labels))]
    frames = _tensor(record.frames)
    if variant == "a":
        tokens = [_tensor(text.tokens) for text in texts]
        return ClipFeatures(frames, tokens[0][:0], tokens)
    first, start, end = texts[min(range(len(texts)), key=record.labels.__getitem__)]
    description = np.concatenate([first[:start], first[end:]])
    labels = [_tensor(tokens[start:end]) for tokens, start, end in texts]
    return ClipFeatures(frames, _tensor(description), labels)


def collate(clips: Sequence[ClipFeatures]) -> Batch:
    """Pad the features of some clips."""
    sizes = torch.tensor([len(clip.labels) for clip in clips])
    return Batch(
        *padded([clip.frames for clip in clips]),
        *padded([clip.description for clip in clips]),
        *padded([tokens for clip in clips for tokens in clip.labels]),
        torch.arange(len(clips)).repeat_interleave(sizes),
    )


def _tensor(array: Halfs) -> Tensor:
    return torch.from_numpy(np.array(array))  # a copy: what is stored is mapped into memory
