"""What the networks of this room have in common: an MLP, exact heads, scores only at items."""

import torch
from torch import Tensor, nn


class Mlp(nn.Module):
    """Hidden layers, each half as wide as the one before, and a linear layer on top.

    A hidden layer is linear, LayerNorm, ELU, dropout. Where the papers' codes have batch
    normalisation, whose statistics would mix lists and padding, LayerNorm looks at one item alone.
    """

    def __init__(
        self, inputs: int, width: int, layers: int, outputs: int = 1, dropout: float = 0.0
    ) -> None:
        """`layers` hidden layers, 1 or more, the first `width` wide."""
        super().__init__()
        if layers < 1 or width >> (layers - 1) < 1:
            raise ValueError(f"{layers} hidden layers, halving from {width}, cannot be")
        widths = [width >> i for i in range(layers)]
        self.first = nn.Linear(inputs, width)
        parts: list[nn.Module] = []
        for i, size in enumerate(widths):
            if i:
                parts.append(nn.Linear(widths[i - 1], size))
            parts += [nn.LayerNorm(size), nn.ELU(), nn.Dropout(dropout)]
        self.hidden = nn.Sequential(*parts)
        self.out = nn.Linear(widths[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(…, inputs) -> (…, outputs), the last layer in single precision."""
        return self.rest(self.first(x))

    def rest(self, first: Tensor) -> Tensor:
        """What comes after the first linear layer: (…, width) -> (…, outputs)."""
        return exactly(self.out, self.hidden(first))


def exactly(layer: nn.Module, x: Tensor) -> Tensor:
    """A layer in the precision of its weights also under autocast, which would make scores tie."""
    with torch.autocast(x.device.type, enabled=False):
        out: Tensor = layer(x.to(next(layer.parameters()).dtype))
    return out


def at_items(scores: Tensor, mask: Tensor) -> Tensor:
    """(b, n) the scores, exactly 0 at padding."""
    return scores.masked_fill(~mask, 0.0)
