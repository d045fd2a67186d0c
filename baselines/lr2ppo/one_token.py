"""The trunk for labels that are one vector each, such as documents: that of the ``_trad`` scripts.

    h = Block(x, x),  vector = MLP([h; x])

Attention over one key is softmax 1: what it adds is linear in the normed x (with the released
scale, divided by √width), and queries and keys never matter and are never moved by a gradient.
"""

import torch
from torch import Tensor, nn

from baselines.lr2ppo.batch import Batch
from baselines.lr2ppo.model import Block, Mlp, NetworkConfig
from lrmovienet.errors import UserError


class OneToken(nn.Module):
    """One frozen vector a label in, one vector a label out."""

    def __init__(self, config: NetworkConfig) -> None:
        """Raises UserError where there is no MLP to bring vectors to the width."""
        super().__init__()
        width, norm = config.width, config.normalise_inputs
        if not config.text_hidden and config.text_dim != width:
            raise UserError(
                f"The labels are vectors of {config.text_dim} numbers and the network is {width} "
                "wide: with text_hidden 0 both must be the same. Give text_hidden or that width."
            )
        self.text_mlp: nn.Module
        if config.text_hidden:
            self.text_mlp = Mlp(config.text_dim, config.text_hidden, width, norm=norm)
        else:
            self.text_mlp = nn.LayerNorm(width, elementwise_affine=False) if norm else nn.Identity()
        self.fusion = Block(config, config.fusion_hidden)
        self.out = Mlp(2 * width, config.head_hidden, width, config.head_dropout)

    def forward(self, batch: Batch) -> Tensor:
        """(n, width) one vector a label, each made by itself.

        Raises ValueError where a label has more than one token.
        """
        if batch.text.shape[1] != 1:
            raise ValueError(f"{batch.text.shape[1]} tokens a label, and the head reads one")
        x = self.text_mlp(batch.text.float())
        fused = self.fusion(x, x)
        out: Tensor = self.out(torch.cat([fused, x], dim=2).squeeze(1))
        return out
