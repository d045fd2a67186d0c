"""The two towers of MKT: CLIP ViT-B/16, tuned, under the names of the official state dicts.

He et al., "Open-Vocabulary Multi-Label Classification via Multi-Modal Knowledge Transfer", AAAI
2023. The modules are named as the tensors in its checkpoints are, so that these are loaded strictly
and nothing has to be mapped.
"""

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.lr2ppo.tensors import read_tensors
from lrmovienet.errors import UserError, shorten

WHERE = (
    "The two checkpoints of MKT are on its authors' Google Drive, linked in the README of "
    "github.com/sunanhe/MKT; the CLIP model they started from is openai/clip-vit-base-patch16."
)
_PREFIX = "module."
"""Of names that were saved from several GPUs."""


@dataclass(frozen=True)
class Sizes:
    """Of a CLIP model. As it stands: ViT-B/16."""

    pixels: int = 224
    patch: int = 16
    width: int = 768
    layers: int = 12
    heads: int = 12
    text_width: int = 512
    text_layers: int = 12
    text_heads: int = 8
    tokens: int = 49408
    positions: int = 77
    dim: int = 512

    @property
    def patches(self) -> int:
        """Of a picture."""
        return (self.pixels // self.patch) ** 2


class ImageTower(nn.Module):
    """Pixels -> a vector of the picture and one of each patch, by the same projection."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width, patch = sizes.width, sizes.patch
        self.conv1 = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positional_embedding = nn.Parameter(torch.zeros(sizes.patches + 1, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = _Transformer(width, sizes.layers, sizes.heads, causal=False)
        self.ln_post = nn.LayerNorm(width)
        self.projection_dist = nn.Parameter(torch.zeros(width, sizes.dim))
        # In the checkpoint, and not used: the official forward has CLIP's projection for both.
        self.projection = nn.Sequential(
            OrderedDict(fc1=nn.Linear(width, sizes.dim), fc2=nn.Linear(sizes.dim, sizes.dim))
        )

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, pixels, pixels) -> (n, dim) of the pictures, (n, patches, dim) of the patches."""
        x = self.conv1(pixels).flatten(2).transpose(1, 2)
        start = self.class_embedding.expand(len(x), 1, -1)
        x = torch.cat([start, x], 1) + self.positional_embedding
        x = self.ln_post(self.transformer(self.ln_pre(x))) @ self.projection_dist
        return x[:, 0], x[:, 1:]


class TextTower(nn.Module):
    """Tokens -> a vector of the text, that of its last token."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.text_width
        self.token_embedding = nn.Embedding(sizes.tokens, width)
        self.positional_embedding = nn.Parameter(torch.zeros(sizes.positions, width))
        self.transformer = _Transformer(width, sizes.text_layers, sizes.text_heads, causal=True)
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.zeros(width, sizes.dim))

    def forward(self, rows: Tensor) -> Tensor:
        """(n, n_tokens, text_width) of unpadded texts, the end token last -> (n, dim)."""
        x = rows + self.positional_embedding[: rows.shape[1]]
        found: Tensor = self.ln_final(self.transformer(x))[:, -1] @ self.text_projection
        return found


class _Transformer(nn.Module):
    def __init__(self, width: int, layers: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.resblocks = nn.Sequential(*(_Block(width, heads, causal) for _ in range(layers)))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.resblocks(x)
        return found


class _Block(nn.Module):
    """Attention and a two-layer network, each on what was normalised first and added to it."""

    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = _Attention(width, heads, causal)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            OrderedDict(
                c_fc=nn.Linear(width, 4 * width),
                gelu=_QuickGELU(),
                c_proj=nn.Linear(4 * width, width),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        found: Tensor = x + self.mlp(self.ln_2(x))
        return found


class _Attention(nn.Module):
    """Several heads; the projections of query, key and value lie one above the other."""

    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.in_proj_weight = nn.Parameter(torch.zeros(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        parts = functional.linear(x, self.in_proj_weight, self.in_proj_bias)
        query, key, value = parts.view(n, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        found: Tensor = self.out_proj(mixed.transpose(1, 2).reshape(n, tokens, width))
        return found


class _QuickGELU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


T = TypeVar("T", ImageTower, TextTower)


def sizes_of(config: Any, folder: Path) -> Sizes:
    """Those of a CLIP model of the library, to which both checkpoints are held.

    Raises:
        UserError: it is a model with another activation than OpenAI's.
    """
    image, text = config.vision_config, config.text_config
    if {image.hidden_act, text.hidden_act} != {"quick_gelu"}:
        raise UserError(f"{folder}: not one of OpenAI's CLIP models (no quick_gelu). {WHERE}")
    return Sizes(
        image.image_size, image.patch_size, image.hidden_size, image.num_hidden_layers,
        image.num_attention_heads, text.hidden_size, text.num_hidden_layers,
        text.num_attention_heads, text.vocab_size, text.max_position_embeddings,
        config.projection_dim,
    )  # fmt: skip


def load_tower(path: Path, kind: type[T], sizes: Sizes) -> T:
    """A tower from a checkpoint, on the CPU, in single precision, every tensor accounted for.

    No code of the file is run.

    Raises:
        UserError: there is no such file, it cannot be read, or the first name that is missing,
            unknown or of another shape.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file. {WHERE}")
    with torch.device("meta"):  # no random weights that would be thrown away
        tower = kind(sizes)
    stored = read_tensors(path)
    if all(name.startswith(_PREFIX) for name in stored):
        stored = {name.removeprefix(_PREFIX): tensor for name, tensor in stored.items()}
    expected = {name: tuple(tensor.shape) for name, tensor in tower.state_dict().items()}
    for name, shape in expected.items():
        if name not in stored:
            raise UserError(f"{path}: {name} is missing. {WHERE}")
        if tuple(stored[name].shape) != shape:
            raise UserError(
                f"{path}: {name} has shape {tuple(stored[name].shape)}; with the CLIP model given, "
                f"it must be {shape}. {WHERE}"
            )
    unknown = sorted(stored.keys() - expected.keys())
    if unknown:
        raise UserError(f"{path}: {shorten(unknown[0])} is not part of this tower. {WHERE}")
    weights = {name: tensor.float().clone() for name, tensor in stored.items()}
    tower.load_state_dict(weights, strict=True, assign=True)
    return tower.eval().requires_grad_(False)
