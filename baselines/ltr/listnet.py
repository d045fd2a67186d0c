"""ListNet (Cao et al. 2007): every item scored by itself, the list compared as a whole.

The original's network is linear and its optimizer gradient descent; here it is an MLP, the scorer
that `gsf` has for groups of one.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from baselines.ltr.lists import Lists
from baselines.ltr.losses import listnet_top_one
from baselines.ltr.mlp import Mlp, at_items


@dataclass(frozen=True)
class ListNetConfig:
    """Dimensions of the scorer."""

    inputs: int = 0
    """Dimensions of an item; the trainer fills them in."""
    width: int = 256
    """Of the first hidden layer; each further one is half as wide."""
    layers: int = 3
    """Hidden layers of the scorer. Paper: none, a linear scorer."""
    dropout: float = 0.2
    """Share of values dropped after each hidden layer in training."""


class ListNet(nn.Module):
    """An MLP over single items, by the top-one cross-entropy."""

    config_class = ListNetConfig

    def __init__(self, config: ListNetConfig) -> None:
        super().__init__()
        self.config = config
        self.scorer = Mlp(config.inputs, config.width, config.layers, dropout=config.dropout)

    def forward(self, lists: Lists) -> Tensor:
        """(b, n) scores, 0 at padding."""
        return at_items(self.scorer(lists.x).squeeze(2), lists.mask)

    def loss(self, lists: Lists, grades: Tensor) -> Tensor:
        """Top-one cross-entropy; see `losses.listnet_top_one`."""
        return listnet_top_one(self(lists), grades, lists.mask)
