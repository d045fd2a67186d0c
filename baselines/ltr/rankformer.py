"""RankFormer (Buyl et al. 2023, "RankFormer: listwide learning to rank").

A transformer over the items and one more token, which stands for the list. Items are scored beside
that token, and the token itself has to say the highest grade in the list.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.ltr.attention import PreNormBlock
from baselines.ltr.lists import Lists
from baselines.ltr.losses import ordinal_losses, over_lists, softmax_cross_entropy
from baselines.ltr.mlp import at_items, exactly


@dataclass(frozen=True)
class RankFormerConfig:
    """Dimensions of the network, and the weight of the list's own grade."""

    inputs: int = 0
    """Dimensions of an item; the trainer fills them in."""
    width: int = 64
    """Of a token. Authors' code: the inputs themselves, without a linear layer before."""
    blocks: int = 2
    """Transformer blocks. Authors' best: 3."""
    heads: int = 2
    """Attention heads. Authors' best: 1."""
    hidden: int = 128
    """Hidden width of the feed-forward layers. Authors' best: 512."""
    head_hidden: int = 64
    """Hidden width of both heads. Authors' best: 128."""
    dropout: float = 0.25
    """Share of values dropped in training. Authors' best: 0.25."""
    levels: int = 2
    """The highest grade there is, K."""
    strength: float = 1.0
    """Weight of the list's loss; 0 for none. Authors' best: 1."""


class RankFormer(nn.Module):
    """A pre-norm encoder with a list token, by softmax cross-entropy and a list's ordinal loss.

    The list's loss is meant for lists of different highest grades, also of 0. As every loss here
    it is taken over the lists with a relevant item; where nearly all of these have a label of the
    highest grade, it says next to nothing, and this is a plain listwise transformer.
    """

    config_class = RankFormerConfig

    def __init__(self, config: RankFormerConfig) -> None:
        super().__init__()
        self.config = config
        self.inputs = nn.Linear(config.inputs, config.width)
        self.token = nn.Parameter(torch.empty(config.width).uniform_(-1, 1))
        self.blocks = nn.ModuleList(
            PreNormBlock(config.width, config.heads, config.hidden, config.dropout, nn.GELU())
            for _ in range(config.blocks)
        )
        self.item_head = _head(config, 2 * config.width, 1)
        self.list_head = _head(config, config.width, config.levels) if config.strength else None

    def forward(self, lists: Lists) -> Tensor:
        """(b, n) scores, 0 at padding."""
        return self._scores(*self.encoded(lists), lists.mask)

    def loss(self, lists: Lists, grades: Tensor) -> Tensor:
        """−Σ y_i log softmax(s)_i / n + strength · the ordinal loss of the highest grade / K."""
        token, items = self.encoded(lists)
        scores = self._scores(token, items, lists.mask)
        loss = softmax_cross_entropy(scores, grades, lists.mask, over="items")
        if self.list_head is None:
            return loss
        highest = grades.masked_fill(~lists.mask, 0).amax(1)
        of_lists = ordinal_losses(exactly(self.list_head, token), highest) / self.config.levels
        return loss + self.config.strength * over_lists(of_lists, grades, lists.mask)

    def encoded(self, lists: Lists) -> tuple[Tensor, Tensor]:
        """(b, width) the list's token and (b, n, width) its items."""
        x = self.inputs(lists.x)
        x = torch.cat([self.token.to(x.dtype).expand(len(x), 1, -1), x], dim=1)
        mask = functional.pad(lists.mask, (1, 0), value=True)
        for block in self.blocks:
            x = block(x, mask)
        return x[:, 0], x[:, 1:]

    def _scores(self, token: Tensor, items: Tensor, mask: Tensor) -> Tensor:
        beside = torch.cat([items, token[:, None].expand_as(items)], dim=2)
        return at_items(exactly(self.item_head, beside).squeeze(2), mask)


def _head(config: RankFormerConfig, inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(inputs, config.head_hidden), nn.ReLU(), nn.Dropout(config.dropout),
        nn.Linear(config.head_hidden, outputs),
    )  # fmt: skip
