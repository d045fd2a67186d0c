"""SetRank (Pang et al. 2020, "SetRank: learning a permutation-invariant ranking model").

Self-attention blocks without places: the order in which items come cannot matter. The paper's
variant with ordinal embeddings of an earlier ranking gives that up, and is not here.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from baselines.ltr.attention import PostNormBlock
from baselines.ltr.lists import Lists
from baselines.ltr.losses import attention_rank
from baselines.ltr.mlp import at_items, exactly


@dataclass(frozen=True)
class SetRankConfig:
    """Dimensions of the network."""

    inputs: int = 0
    """Dimensions of an item; the trainer fills them in."""
    width: int = 64
    """Of an item within the network. Authors' code: 256."""
    blocks: int = 2
    """Self-attention blocks, one after the other. Authors' code: 6."""
    heads: int = 4
    """Attention heads. Authors' code: 8."""
    hidden: int = 256
    """Hidden width of the feed-forward layers. Authors' code: 4 times the width."""
    dropout: float = 0.2
    """Share of values dropped within blocks in training. Authors' code: 0."""
    inducing: int = 0
    """Learned points through which items attend to each other (IMSAB); 0: directly (MSAB).
    Authors' code: 20."""


class SetRank(nn.Module):
    """Multi-head self-attention blocks, by the attention-rank loss.

    As in the authors' code, queries, keys and values pass a ReLU. Their code has no linear layer
    behind the attention; this has one, as the paper.
    """

    config_class = SetRankConfig

    def __init__(self, config: SetRankConfig) -> None:
        super().__init__()
        self.config = config
        self.inputs = nn.Linear(config.inputs, config.width)
        kind = InducedBlock if config.inducing else SelfBlock
        self.blocks = nn.ModuleList(kind(config) for _ in range(config.blocks))
        self.head = nn.Linear(config.width, 1)

    def forward(self, lists: Lists) -> Tensor:
        """(b, n) scores, 0 at padding."""
        x = self.inputs(lists.x)
        for block in self.blocks:
            x = block(x, lists.mask)
        return at_items(exactly(self.head, x).squeeze(2), lists.mask)

    def loss(self, lists: Lists, grades: Tensor) -> Tensor:
        """Cross-entropy with e^y over the relevant items; see `losses.attention_rank`."""
        return attention_rank(self(lists), grades, lists.mask)


class SelfBlock(nn.Module):
    """MSAB: items attend to items."""

    def __init__(self, config: SetRankConfig) -> None:
        super().__init__()
        self.items = _block(config)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(b, n, width) and (b, n) true at items -> (b, n, width)."""
        out: Tensor = self.items(x, x, mask)
        return out


class InducedBlock(nn.Module):
    """IMSAB: learned points attend to items, then items to what the points became."""

    def __init__(self, config: SetRankConfig) -> None:
        super().__init__()
        self.points = nn.Parameter(torch.empty(config.inducing, config.width).uniform_(-1, 1))
        self.gather, self.items = _block(config), _block(config)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(b, n, width) and (b, n) true at items -> (b, n, width)."""
        points = self.gather(self.points.expand(len(x), -1, -1), x, mask)
        out: Tensor = self.items(x, points)
        return out


def _block(config: SetRankConfig) -> PostNormBlock:
    return PostNormBlock(config.width, config.heads, config.hidden, config.dropout, rectified=True)
