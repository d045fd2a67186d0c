"""From items to one vector: graph reasoning (Eq. 1), attention, and fusion (Eqs. 11 and 12)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from baselines.dcpg.attention import POLICIES, AttentionConfig, Policy, uniform


class Embedded(NamedTuple):
    """Vectors of b sequences, and the log probabilities of the attention that made them."""

    vectors: Tensor
    """(b, dim)"""
    discrete: Tensor
    """(b,)"""
    continuous: Tensor
    """(b,)"""


class GraphReasoning(nn.Module):
    """One layer of reasoning over a fully connected graph of items (Eq. 1), with a residual.

    The released code has batch normalisation here, and keeps it in training mode at evaluation, so
    that a test score hangs on what else is in its batch. Layer normalisation looks at one item.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.value, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim)
        nn.init.zeros_(self.norm.weight)  # the layer begins as the identity, as in the code

    def forward(self, items: Tensor, mask: Tensor) -> Tensor:
        """(b, t, dim) items and (b, t) mask to (b, t, dim)."""
        affinity = self.query(items) @ self.key(items).transpose(1, 2)
        affinity = affinity * mask[:, None, :] / count(mask)[:, :, None]
        found: Tensor = items + self.norm(self.out(affinity @ self.value(items)))
        return found


def entrance(size: int, dim: int) -> nn.Sequential:
    """The layer through which features enter: (…, size) to (…, dim)."""
    return nn.Sequential(nn.Linear(size, dim), nn.LayerNorm(dim))


class Tower(nn.Module):
    """Attention over items and their fusion to one vector.

    Items should have about the length 1, as VSRN's have: with λ = 20, longer ones saturate GRU_gr.
    """

    def __init__(self, item_dim: int, dim: int, config: AttentionConfig) -> None:
        """Make a tower.

        Args:
            item_dim: of an item; a multiple of the number of heads.
            dim: of the vector, and of the policy's state.
            config: of the attention.

        Raises:
            ValueError: channels cannot be shared out among the heads.
        """
        super().__init__()
        if item_dim % config.heads:
            raise ValueError(f"{item_dim} channels cannot be shared out to {config.heads} heads")
        self.heads, self.pools = config.heads, config.mode == "none"
        drawn = config.mode in (*POLICIES, "soft")
        self.policy = Policy(item_dim, dim, config) if drawn else None
        self.gru = None if self.pools else nn.GRU(item_dim, dim, batch_first=True)
        # Eq. 12 adds a mean of 300-d word vectors to a 2048-d state; a linear map joins them.
        self.lift = nn.Identity() if item_dim == dim else nn.Linear(item_dim, dim, bias=False)

    def forward(self, items: Tensor, mask: Tensor) -> Embedded:
        """Eqs. 11 and 12: the last state of GRU_gr over weighted items, plus their mean.

        Args:
            items: (b, t, item_dim), padded behind.
            mask: (b, t) true where there is an item. A sequence without any gets zeros.
        """
        policy = self.policy
        attended = uniform(mask, self.heads) if policy is None else policy(items, mask)
        adjusted = weigh(items, attended.weights)
        vectors = self.lift(adjusted.sum(1) / count(mask))
        if self.gru is not None:
            vectors = vectors + last_state(self.gru(adjusted)[0], mask)
        return Embedded(vectors, attended.discrete, attended.continuous)


def weigh(items: Tensor, weights: Tensor) -> Tensor:
    """Each head's weight on its share of channels: (b, t, d), (b, t, heads) to (b, t, d)."""
    share = items.shape[2] // weights.shape[2]
    return items * weights.repeat_interleave(share, 2).to(items.dtype)


def last_state(states: Tensor, mask: Tensor) -> Tensor:
    """The state at the last item of each sequence: (b, t, d), (b, t) to (b, d); 0 of no items."""
    lengths = mask.sum(1)
    last = (lengths - 1).clamp(min=0)[:, None, None].expand(-1, 1, states.shape[2])
    return states.gather(1, last).squeeze(1) * (lengths > 0)[:, None]


def count(mask: Tensor) -> Tensor:
    """(b, t) to (b, 1): items, at least 1, to divide by."""
    return mask.sum(1, keepdim=True).clamp(min=1)


def unit(vectors: Tensor) -> Tensor:
    """Vectors of length 1, whose products are cosines."""
    return functional.normalize(vectors.float(), dim=-1)


def padded(sequences: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Sequences of (t_i, …) to one (b, t, …), padded behind with 0, and its (b, t) mask."""
    found = pad_sequence(list(sequences), batch_first=True)
    if not found.shape[1]:  # a GRU takes no sequence of length 0
        found = found.new_zeros(len(found), 1, *found.shape[2:])
    lengths = torch.tensor([len(sequence) for sequence in sequences], device=found.device)
    return found, torch.arange(found.shape[1], device=found.device) < lengths[:, None]
