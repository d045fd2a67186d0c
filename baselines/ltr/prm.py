"""PRM (Pei et al. 2019, "Personalized re-ranking for recommendation").

A transformer over the list, told at which place an earlier ranking has each item. There are no
users here, so the paper's personalised vector is whatever the item's features hold.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from baselines.ltr.attention import PostNormBlock
from baselines.ltr.lists import Lists
from baselines.ltr.losses import ranks, softmax_cross_entropy
from baselines.ltr.mlp import at_items, exactly


@dataclass(frozen=True)
class PRMConfig:
    """Dimensions of the network."""

    inputs: int = 0
    """Dimensions of an item; the trainer fills them in."""
    width: int = 64
    """Of an item within the network. Paper: 64 (e-commerce) and 1024 (Yahoo), not verified."""
    blocks: int = 1
    """Transformer blocks. Paper: 4, not verified."""
    heads: int = 2
    """Attention heads. Paper: 3, not verified."""
    hidden: int = 128
    """Hidden width of the feed-forward layers."""
    dropout: float = 0.2
    """Share of values dropped within blocks in training."""
    positions: int = 64
    """Places that have a vector of their own; all further places share the last one."""


class PRM(nn.Module):
    """A transformer with places, by the log loss of a softmax over the list.

    The paper adds the places' vectors to the inputs and then brings both to the width; here they
    have the width from the start, which gives the same functions with fewer weights.
    """

    config_class = PRMConfig

    def __init__(self, config: PRMConfig) -> None:
        super().__init__()
        self.config = config
        self.inputs = nn.Linear(config.inputs, config.width)
        # As large as what the inputs become.
        places = torch.empty(config.positions, config.width).uniform_(-1, 1)
        self.positions = nn.Parameter(places)
        self.blocks = nn.ModuleList(
            PostNormBlock(config.width, config.heads, config.hidden, config.dropout)
            for _ in range(config.blocks)
        )
        self.head = nn.Linear(config.width, 1)

    def forward(self, lists: Lists) -> Tensor:
        """(b, n) scores before the softmax over the list, which keeps their order; 0 at padding."""
        place = (ranks(lists.initial, lists.mask) - 1).clamp(max=self.config.positions - 1)
        x = self.inputs(lists.x) + self.positions[place]
        for block in self.blocks:
            x = block(x, x, lists.mask)
        return at_items(exactly(self.head, x).squeeze(2), lists.mask)

    def loss(self, lists: Lists, grades: Tensor) -> Tensor:
        """−Σ y_i log softmax(s)_i; the paper's y are clicks, here grades."""
        return softmax_cross_entropy(self(lists), grades, lists.mask)
