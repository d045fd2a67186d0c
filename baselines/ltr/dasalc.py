"""DASALC (Qin et al. 2021, "Are neural rankers still outperformed by … boosted decision trees?").

Data-augmented self-attentive latent cross: features are transformed and, in training, blurred by
noise; an MLP reads each item, attention reads the list, and the two meet in a product.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.ltr.attention import PostNormBlock
from baselines.ltr.lists import Lists
from baselines.ltr.losses import softmax_cross_entropy
from baselines.ltr.mlp import at_items, exactly

CUTOFF = 30.0
"""Of the transformed features, as in the authors' code."""


@dataclass(frozen=True)
class DASALCConfig:
    """Dimensions of the network, and what happens to its inputs."""

    inputs: int = 0
    """Dimensions of an item; the trainer fills them in."""
    transform: Literal["none", "log1p"] = "none"
    """log1p: sign(x) log(1 + abs(x)), cut off at 30, for counts and sums as in LETOR. Paper: so."""
    noise: float = 0.1
    """Standard deviation of what is added to the inputs in training. Authors: 1.5."""
    width: int = 128
    """Of both hidden layers of the MLP. Authors: 512."""
    attention_width: int = 64
    """Of an item in the attention. Authors: 2 heads of 100 each."""
    blocks: int = 2
    """Attention layers, one after the other. Authors: 4."""
    heads: int = 2
    """Attention heads; the width is shared out among them. Authors: 2."""
    dropout: float = 0.3
    """Share of values dropped in training. Authors: 0.4."""


class DASALC(nn.Module):
    """An MLP and attention, joined as relu(h c + h), by softmax cross-entropy.

    Departures from the authors' code: LayerNorm for batch normalisation, whose statistics would
    mix padding in; noise is added once, to the inputs of both ways, and not behind a projection.
    """

    config_class = DASALCConfig

    def __init__(self, config: DASALCConfig) -> None:
        super().__init__()
        self.config = config
        width, dropout = config.width, config.dropout
        self.mlp = nn.Sequential(
            nn.Linear(config.inputs, width), nn.ReLU(), nn.LayerNorm(width), nn.Dropout(dropout),
            nn.Linear(width, width), nn.ReLU(), nn.LayerNorm(width), nn.Dropout(dropout),
            nn.Linear(width, width),
        )  # fmt: skip
        self.projection = nn.Linear(config.inputs, config.attention_width)
        self.attention = nn.ModuleList(
            PostNormBlock(config.attention_width, config.heads, 0, dropout)
            for _ in range(config.blocks)
        )
        self.of_list = nn.Linear(config.attention_width, width)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, 1)

    def forward(self, lists: Lists) -> Tensor:
        """(b, n) scores, 0 at padding."""
        x = self.transformed(lists.x)
        if self.training and self.config.noise:
            x = x + self.config.noise * torch.randn_like(x)
        context = functional.relu(self.projection(x))
        for layer in self.attention:
            context = layer(context, context, lists.mask)
        h, c = self.mlp(x), self.of_list(context)
        crossed = self.dropout(functional.relu(h * c + h))
        return at_items(exactly(self.head, crossed).squeeze(2), lists.mask)

    def transformed(self, x: Tensor) -> Tensor:
        """The inputs as they are, or their logarithms."""
        if self.config.transform == "none":
            return x
        return (x.sign() * x.abs().log1p()).clamp(-CUTOFF, CUTOFF)

    def loss(self, lists: Lists, grades: Tensor) -> Tensor:
        """−Σ y_i log softmax(s)_i; see `losses.softmax_cross_entropy`."""
        return softmax_cross_entropy(self(lists), grades, lists.mask)
