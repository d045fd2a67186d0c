"""GSF (Ai et al. 2019, "Learning groupwise multivariate scoring functions using DNNs").

A shared MLP g reads m items side by side and gives m scores. An item's score is the sum of what it
gets in all ordered groups of m, repeats included:

    s_i = Σ over (j_1, …, j_m) and positions r with j_r = i of g_r([x_{j_1}; …; x_{j_m}])

A list of n items has n^m groups. The paper samples groups in training; lists of 20 need not.
"""

from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.ltr.lists import Lists
from baselines.ltr.losses import softmax_cross_entropy
from baselines.ltr.mlp import Mlp, at_items
from lrmovienet.errors import UserError


@dataclass(frozen=True)
class GSFConfig:
    """Dimensions of the scorer."""

    inputs: int = 0
    """Dimensions of an item; the trainer fills them in."""
    group: int = 2
    """Items scored together, m. Time and memory grow with n^m."""
    width: int = 128
    """Of the first hidden layer; each further one is half as wide. Paper: 512."""
    layers: int = 3
    """Hidden layers of the scorer. Paper: 3."""
    dropout: float = 0.2
    """Share of values dropped after each hidden layer in training."""


class GSF(nn.Module):
    """An MLP over groups of items, by softmax cross-entropy with grades that sum to 1."""

    config_class = GSFConfig

    def __init__(self, config: GSFConfig) -> None:
        super().__init__()
        if config.group < 1:
            raise UserError(f"A group of {config.group} items scores nothing: take 1 or more.")
        self.config = config
        m = config.group
        self.scorer = Mlp(m * config.inputs, config.width, config.layers, m, config.dropout)

    def forward(self, lists: Lists) -> Tensor:
        """(b, n) scores, 0 at padding.

        The first layer is linear in the group: each item goes through each of its m parts once, and
        the n^m groups are sums of these.
        """
        (b, n), m, first = lists.mask.shape, self.config.group, self.scorer.first
        weights = first.weight.view(-1, m, self.config.inputs).unbind(1)
        parts = [functional.linear(lists.x, weight) for weight in weights]
        groups = reduce(torch.add, (_along(part, r, m) for r, part in enumerate(parts)))
        # A group counts where all of its items are items.
        whole = reduce(torch.mul, (_along(lists.mask[:, :, None], r, m) for r in range(m)))
        found = self.scorer.rest(groups + first.bias) * whole
        # An item's dimension to the front, and the sum over all others of its groups.
        scores = (found[..., r].movedim(r + 1, 1).reshape(b, n, -1).sum(2) for r in range(m))
        return at_items(reduce(torch.add, scores), lists.mask)

    def loss(self, lists: Lists, grades: Tensor) -> Tensor:
        """−Σ y_i log softmax(s)_i / Σ y_i; see `losses.softmax_cross_entropy`."""
        return softmax_cross_entropy(self(lists), grades, lists.mask, over="grades")


def _along(x: Tensor, position: int, m: int) -> Tensor:
    """(b, n, d) with the items along dimension `position` of m: (b, 1, …, n, …, 1, d)."""
    b, n, d = x.shape
    shape = [1] * m
    shape[position] = n
    return x.view(b, *shape, d)
