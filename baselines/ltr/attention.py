"""Multi-head attention over the items of a list, and the two usual blocks around it."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from lrmovienet.errors import UserError


class Attention(nn.Module):
    """Multi-head attention of one set on another: softmax(Q Kᵀ / √(width / heads)) V."""

    def __init__(
        self, width: int, heads: int, dropout: float = 0.0, rectified: bool = False
    ) -> None:
        """`rectified`: a ReLU on queries, keys and values. `dropout`: of the weights.

        Raises:
            UserError: `heads` does not divide `width`.
        """
        super().__init__()
        if heads < 1 or width % heads:
            raise UserError(
                f"A width of {width} has no {heads} equal heads. Choose heads that divide it."
            )
        self.heads, self.rectified = heads, rectified
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """What each place of x finds in y.

        Args:
            x: (b, t, width) what asks.
            y: (b, s, width) what answers.
            mask: (b, s) true where y has something; default: everywhere.

        Returns:
            (b, t, width)
        """
        q, k = self._heads(self.query(x)), self._heads(self.key(y))
        energy = q @ k.transpose(2, 3) / q.shape[3] ** 0.5
        if mask is not None:
            # Not −∞: an empty list would turn into NaN.
            lowest = torch.finfo(energy.dtype).min
            energy = energy.masked_fill(~mask[:, None, None, :], lowest)
        weights = self.dropout(energy.softmax(dim=3))
        found = weights @ self._heads(self.value(y))
        out: Tensor = self.out(found.transpose(1, 2).flatten(2))
        return out

    def _heads(self, x: Tensor) -> Tensor:
        if self.rectified:
            x = functional.relu(x)
        b, n, width = x.shape
        return x.view(b, n, self.heads, width // self.heads).transpose(1, 2)


class PreNormBlock(nn.Module):
    """x + attention(norm(x)), then h + feed-forward(norm(h)), with dropout before each sum."""

    def __init__(
        self, width: int, heads: int, hidden: int, dropout: float, activation: nn.Module
    ) -> None:
        super().__init__()
        self.norm_attention, self.norm_hidden = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout)
        self.feed_forward = _feed_forward(width, hidden, dropout, activation)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(b, n, width) and (b, n) true where there is something -> (b, n, width)."""
        y = self.norm_attention(x)
        x = x + self.dropout(self.attention(y, y, mask))
        out: Tensor = x + self.dropout(self.feed_forward(self.norm_hidden(x)))
        return out


class PostNormBlock(nn.Module):
    """norm(x + attention(x, y)), then norm(h + feed-forward(h)), with dropout before each sum."""

    def __init__(
        self, width: int, heads: int, hidden: int, dropout: float, rectified: bool = False
    ) -> None:
        """`hidden`: of the feed-forward layer, with a ReLU; 0 for none and no second norm."""
        super().__init__()
        self.attention = Attention(width, heads, dropout, rectified)
        self.norm_attention = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.feed_forward = self.norm_hidden = None
        if hidden:
            self.feed_forward = _feed_forward(width, hidden, dropout, nn.ReLU())
            self.norm_hidden = nn.LayerNorm(width)

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """As `Attention.forward`."""
        x = self.norm_attention(x + self.dropout(self.attention(x, y, mask)))
        if self.feed_forward is not None and self.norm_hidden is not None:
            x = self.norm_hidden(x + self.dropout(self.feed_forward(x)))
        return x


def _feed_forward(width: int, hidden: int, dropout: float, activation: nn.Module) -> nn.Module:
    return nn.Sequential(
        nn.Linear(width, hidden), activation, nn.Dropout(dropout), nn.Linear(hidden, width)
    )
