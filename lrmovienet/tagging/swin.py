"""Swin Transformer: Z. Liu et al., *Swin Transformer* (ICCV 2021), the backbone of RAM and RAM++.

Written from the paper and from the shapes of RAM's checkpoint, whose parameter names it has.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

REGION_PENALTY = -100.0
"""Added to the attention between two tokens that only the cyclic shift has made neighbours."""


@dataclass(frozen=True)
class SwinSize:
    """Sizes of a Swin Transformer; the default is Swin-L for images of 384 x 384 pixels."""

    image: int = 384
    width: int = 192
    """Channels of the first stage; they double from stage to stage."""
    depths: tuple[int, ...] = (2, 2, 18, 2)
    heads: tuple[int, ...] = (6, 12, 24, 48)
    window: int = 12
    """Tokens a side of a window; every stage's grid must be a multiple of it."""

    @property
    def features(self) -> int:
        """Channels of the last stage."""
        return self.width << len(self.depths) - 1


@lru_cache
def relative_index(window: int) -> Tensor:
    """(window^2, window^2): the row of the bias table for each pair of query and key.

    It is ``(dy + window - 1) * (2 window - 1) + dx + window - 1``, query minus key.
    """
    with torch.inference_mode(False):  # kept for later calls, which may want gradients
        side = torch.arange(window, device="cpu")
        y, x = side.repeat_interleave(window), side.repeat(window)
        dy, dx = y[:, None] - y[None, :], x[:, None] - x[None, :]
        return (dy + window - 1) * (2 * window - 1) + dx + window - 1


@lru_cache
def shift_mask(grid: int, window: int) -> Tensor:
    """(windows, window^2, window^2) for a grid rolled by half a window: 0 or `REGION_PENALTY`."""
    with torch.inference_mode(False):
        part = torch.zeros(grid, dtype=torch.int64, device="cpu")
        part[grid - window :] = 1
        part[grid - window // 2 :] = 2
        region = to_windows((3 * part[:, None] + part[None, :])[None, :, :, None], window)[..., 0]
        return (region[:, :, None] != region[:, None, :]) * REGION_PENALTY


def to_windows(x: Tensor, window: int) -> Tensor:
    """(n, side, side, d) -> (n * windows, window^2, d), windows row by row."""
    n, side, _, d = x.shape
    x = x.view(n, side // window, window, side // window, window, d)
    return x.transpose(2, 3).reshape(-1, window * window, d)


def from_windows(x: Tensor, side: int, window: int) -> Tensor:
    """The reverse of `to_windows`."""
    across = side // window
    x = x.view(-1, across, across, window, window, x.shape[-1])
    return x.transpose(2, 3).reshape(-1, side, side, x.shape[-1])


class WindowAttention(nn.Module):
    """Self-attention inside each window, with a learned bias for each relative position."""

    def __init__(self, width: int, heads: int, window: int):
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(n * windows, window^2, d), and a mask (windows, window^2, window^2) -> as `x`."""
        total, tokens, width = x.shape
        windows = 1 if mask is None else len(mask)
        index = relative_index(self.window).to(x.device)
        bias = self.relative_position_bias_table[index].permute(2, 0, 1)[None]
        if mask is not None:
            bias = bias + mask.to(x)[:, None]
        q, k, v = (
            part.reshape(total // windows, windows, tokens, self.heads, -1)
            .transpose(2, 3)
            .flatten(1, 2)  # a window's heads and the next window's, side by side
            for part in self.qkv(x).chunk(3, -1)
        )
        y = functional.scaled_dot_product_attention(q, k, v, bias.flatten(0, 1)[None])
        y = y.view(-1, windows, self.heads, tokens, width // self.heads).transpose(2, 3)
        projected: Tensor = self.proj(y.reshape(total, tokens, width))
        return projected


class Mlp(nn.Module):
    """Two layers with an exact GELU between them."""

    def __init__(self, width: int):
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., d) -> (..., d)."""
        y: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return y


class Block(nn.Module):
    """``x + attention(norm(x))``, then ``x + mlp(norm(x))``; odd ones on a shifted grid."""

    def __init__(self, width: int, heads: int, window: int, grid: int, shifted: bool):
        super().__init__()
        self.grid, self.window = grid, window
        # A grid of one window has no neighbours to shift to.
        self.shift = window // 2 if shifted and grid > window else 0
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, heads, window)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, grid^2, d) -> (n, grid^2, d)."""
        n, tokens, width = x.shape
        y = self.norm1(x).view(n, self.grid, self.grid, width)
        if self.shift:
            y = y.roll((-self.shift, -self.shift), (1, 2))
        mask = shift_mask(self.grid, self.window) if self.shift else None
        y = from_windows(self.attn(to_windows(y, self.window), mask), self.grid, self.window)
        if self.shift:
            y = y.roll((self.shift, self.shift), (1, 2))
        x = x + y.reshape(n, tokens, width)
        mixed: Tensor = self.mlp(self.norm2(x))
        return x + mixed


class PatchMerging(nn.Module):
    """Four neighbours become one token of twice the width."""

    def __init__(self, width: int, grid: int):
        super().__init__()
        self.grid = grid
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, grid^2, d) -> (n, grid^2 / 4, 2 d)."""
        n, _, width = x.shape
        x = x.view(n, self.grid // 2, 2, self.grid // 2, 2, width)
        # The checkpoint's order: (even row, even column), (odd, even), (even, odd), (odd, odd).
        x = x.permute(0, 1, 3, 4, 2, 5).reshape(n, -1, 4 * width)
        merged: Tensor = self.reduction(self.norm(x))
        return merged


class Stage(nn.Module):
    """Blocks on one grid, and the merging that leads to the next."""

    def __init__(self, width: int, depth: int, heads: int, window: int, grid: int, last: bool):
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(width, heads, window, grid, shifted=i % 2 == 1) for i in range(depth)
        )
        self.downsample = None if last else PatchMerging(width, grid)

    def forward(self, x: Tensor) -> Tensor:
        """(n, grid^2, d) -> (n, grid^2 / 4, 2 d), or as it came from the last stage."""
        for block in self.blocks:
            x = block(x)
        if self.downsample is not None:
            x = self.downsample(x)
        return x


class PatchEmbedding(nn.Module):
    """Patches of 4 x 4 pixels -> tokens."""

    def __init__(self, width: int):
        super().__init__()
        self.proj = nn.Conv2d(3, width, 4, 4)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, side, side) -> (n, (side / 4)^2, d)."""
        tokens: Tensor = self.norm(self.proj(x).flatten(2).transpose(1, 2))
        return tokens


class Swin(nn.Module):
    """The backbone: its last tokens, with their mean before them."""

    def __init__(self, size: SwinSize):
        super().__init__()
        last = len(size.depths) - 1
        self.patch_embed = PatchEmbedding(size.width)
        self.layers = nn.ModuleList(
            Stage(size.width * 2**i, depth, heads, size.window, size.image // 4 // 2**i, i == last)
            for i, (depth, heads) in enumerate(zip(size.depths, size.heads, strict=True))
        )
        self.norm = nn.LayerNorm(size.features)

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, 3, image, image), normalised -> (n, 1 + tokens, features).

        For Swin-L that is (n, 145, 1536): the mean of the 144 tokens, then they.
        """
        x = self.patch_embed(x)
        for layer in self.layers:
            x = layer(x)
        x = self.norm(x)
        return torch.cat([x.mean(1, keepdim=True), x], 1)
