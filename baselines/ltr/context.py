"""Context-aware learning to rank (Pobrotyn et al. 2020), the network of allRank.

A linear layer, a pre-norm transformer without places, and a linear layer.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from baselines.ltr.attention import PreNormBlock
from baselines.ltr.lists import Lists
from baselines.ltr.losses import (
    LambdaWeights,
    approx_ndcg,
    lambda_loss,
    list_mle,
    neural_ndcg,
    ordinal,
    ranknet,
)
from baselines.ltr.mlp import at_items, exactly

Objective = LambdaWeights | Literal["ordinal", "ranknet", "list_mle", "approx_ndcg", "neural_ndcg"]


@dataclass(frozen=True)
class ContextConfig:
    """Dimensions of the network, and its loss."""

    inputs: int = 0
    """Dimensions of an item; the trainer fills them in."""
    width: int = 64
    """Of an item within the network. Authors: 128; with the ordinal loss 144."""
    blocks: int = 2
    """Transformer blocks. Authors: 4 with either loss."""
    heads: int = 2
    """Attention heads. Authors: 4; with the ordinal loss 2."""
    hidden: int = 128
    """Hidden width of the feed-forward layers. Authors: 512."""
    dropout: float = 0.3
    """Share of values dropped in training. Authors: 0.3; with the ordinal loss 0.4."""
    objective: Objective = "ndcg_loss2pp"
    """NDCGLoss2++ of LambdaLoss, binary cross-entropies of grades, or another of `losses`."""
    levels: int = 2
    """ordinal only: the highest grade there is, K."""


class ContextAware(nn.Module):
    """allRank's transformer, by NDCGLoss2++ or ordinal regression."""

    config_class = ContextConfig

    def __init__(self, config: ContextConfig) -> None:
        super().__init__()
        self.config = config
        self.inputs = nn.Linear(config.inputs, config.width)
        self.blocks = nn.ModuleList(
            PreNormBlock(config.width, config.heads, config.hidden, config.dropout, nn.ReLU())
            for _ in range(config.blocks)
        )
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.levels if config.objective == "ordinal" else 1)

    def forward(self, lists: Lists) -> Tensor:
        """(b, n) scores, 0 at padding; of the ordinal loss the sum of probabilities, 0 to K."""
        logits = self.logits(lists)
        scores = logits.sigmoid() if self.config.objective == "ordinal" else logits
        return at_items(scores.sum(2), lists.mask)

    def loss(self, lists: Lists, grades: Tensor) -> Tensor:
        """The loss that is called by the name of the objective in `losses`."""
        objective = self.config.objective
        if objective == "ordinal":
            return ordinal(self.logits(lists), grades, lists.mask)
        scores, mask = self(lists), lists.mask
        if objective == "list_mle":  # ties in the grades are broken anew in each step
            return list_mle(scores, grades, mask, torch.rand_like(scores))
        if objective == "ranknet":
            return ranknet(scores, grades, mask)
        if objective == "approx_ndcg":
            return approx_ndcg(scores, grades, mask)
        if objective == "neural_ndcg":
            return neural_ndcg(scores, grades, mask)
        return lambda_loss(scores, grades, mask, objective)

    def logits(self, lists: Lists) -> Tensor:
        """(b, n, 1 or K) what comes out at the end."""
        x = self.inputs(lists.x)
        for block in self.blocks:
            x = block(x, lists.mask)
        return exactly(self.head, self.norm(x))
