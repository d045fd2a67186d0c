"""DLCM (Ai et al. 2018, "Learning a deep listwise context model for ranking refinement").

A GRU reads the list as an earlier ranking has it, the worst item first, so that the best is the
freshest in its final state. Each item's output is compared with that state.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from baselines.ltr.lists import Lists
from baselines.ltr.losses import attention_rank, ranks
from baselines.ltr.mlp import at_items


@dataclass(frozen=True)
class DLCMConfig:
    """Dimensions of the network, and how it compares."""

    inputs: int = 0
    """Dimensions of an item; the trainer fills them in."""
    expansion: int = 64
    """Values that a 2-layer ELU MLP adds to an item's own. Authors' code: an option; its MLP is
    half as wide as the inputs."""
    width: int = 64
    """Of the GRU. Authors' code: as wide as its inputs."""
    heads: int = 3
    """Local ranking functions whose mean is the score. Authors' code: 3."""
    compare: Literal["add", "multi"] = "add"
    """v · tanh(W1 o + W2 s), or o · tanh(W s), which the authors' README recommends."""
    dropout: float = 0.2
    """Share of the inputs' values dropped in training. Paper: none."""


class DLCM(nn.Module):
    """A GRU over the list, worst first, and local ranking, by the attention-rank loss.

    Items of equal initial score stand in the order of their places in the row, the first above.
    """

    config_class = DLCMConfig

    def __init__(self, config: DLCMConfig) -> None:
        super().__init__()
        self.config = config
        width, heads = config.width, config.heads
        self.dropout = nn.Dropout(config.dropout)
        self.expand = nn.Sequential(
            nn.Linear(config.inputs, 2 * config.expansion), nn.ELU(),
            nn.Linear(2 * config.expansion, config.expansion), nn.ELU(),
        )  # fmt: skip
        self.gru = nn.GRU(config.inputs + config.expansion, width, batch_first=True)
        self.of_state = nn.Linear(width, heads * width)
        if config.compare == "add":
            self.of_item = nn.Linear(width, heads * width, bias=False)
            bound = width**-0.5
            self.v = nn.Parameter(torch.empty(heads, width).uniform_(-bound, bound))

    def forward(self, lists: Lists) -> Tensor:
        """(b, n) scores, 0 at padding and for the list's worst item.

        All in single precision: a GRU's steps are not for autocast.
        """
        with torch.autocast(lists.x.device.type, enabled=False):
            x = self.dropout(lists.x)
            x = torch.cat([x, self.expand(x)], dim=2)
            order = worst_first(lists)
            fed = x.gather(1, order[:, :, None].expand_as(x))
            # Padding is fed last and cannot reach the items' outputs.
            outputs, _ = self.gru(fed)
            last = lists.mask.sum(1)[:, None, None] - 1
            state = outputs.gather(1, last.clamp(min=0).expand(-1, 1, outputs.shape[2])).squeeze(1)
            back = order.argsort(dim=1)[:, :, None].expand_as(outputs)
            scores = self.compared(outputs.gather(1, back), state)
        lowest = scores.masked_fill(~lists.mask, torch.inf).amin(1, keepdim=True)
        return at_items(scores - lowest, lists.mask)

    def compared(self, outputs: Tensor, state: Tensor) -> Tensor:
        """(b, n) the mean of the heads' local ranking functions.

        Args:
            outputs: (b, n, width) o of each item.
            state: (b, width) s, the final one.
        """
        b, n, width = outputs.shape
        of_state: Tensor = self.of_state(state).view(b, 1, self.config.heads, width)
        if self.config.compare == "multi":
            return (outputs[:, :, None] * of_state.tanh()).sum(3).mean(2)
        of_items: Tensor = self.of_item(outputs).view(b, n, self.config.heads, width)
        return ((of_items + of_state).tanh() * self.v).sum(3).mean(2)

    def loss(self, lists: Lists, grades: Tensor) -> Tensor:
        """Cross-entropy with e^y over the relevant items; see `losses.attention_rank`."""
        return attention_rank(self(lists), grades, lists.mask)


def worst_first(lists: Lists) -> Tensor:
    """(b, n) places of the row in the order in which they are read, padding last."""
    place = ranks(lists.initial, lists.mask)
    return (-place).masked_fill(~lists.mask, 1).argsort(dim=1, stable=True)
