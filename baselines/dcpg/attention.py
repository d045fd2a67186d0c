"""The attention of DCPG: a policy whose actions weigh items (section 3.2, Eqs. 2 to 5).

A recurrent network reads the items (regions, frames or words). At each it draws one of n discrete
actions, which says where a normal distribution lies; a draw of that, through a sigmoid, is the
item's weight. No gradient passes through a weight that was drawn: the policy learns from what its
draws earned (Eqs. 7 and 8, `losses.policy_loss`).
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

Mode = Literal["both", "discrete", "continuous", "soft", "uniform", "none"]
POLICIES = ("both", "discrete", "continuous")
"""The modes that draw, and so have log probabilities to learn from."""
LEAST_STD = 0.01
"""Below it a draw's log density has a gradient that no step survives."""


@dataclass(frozen=True)
class AttentionConfig:
    """How items are weighted. The defaults are the paper's (section 4.2)."""

    mode: Mode = "both"
    """``both``: the paper's. ``discrete``: the action a is the weight, a / n. ``continuous``: one
    normal distribution with a predicted mean. ``soft``: softmax over items, no policy. ``uniform``:
    all weights 1. ``none``: all weights 1 and no recurrent fusion, which is mean pooling."""
    heads: int = 2
    """Weights an item; each weights its own share of the item's channels."""
    actions: int = 100
    """n, discrete actions 0 … n − 1. Code: 500."""
    scale: float = 20.0
    """λ of Eqs. 11 and 12."""
    temperature: float = 1.0
    """Of the Gumbel-softmax. Paper: none given. Code: 0.8."""
    log_probability: Literal["fixed", "official"] = "fixed"
    """Where the density of Eq. 5 is taken: at the draw that gave the weight, or, as in the released
    code, at a second draw that gave nothing. The expected gradient of the latter is zero."""

    def __post_init__(self) -> None:
        if min(self.heads, self.actions) < 1 or min(self.scale, self.temperature) <= 0:
            raise ValueError("heads, actions, scale and temperature must be above 0")


class Attended(NamedTuple):
    """Weights of b sequences of t items, and how likely they were."""

    weights: Tensor
    """(b, t, heads) λ Att; 0 where there is no item."""
    discrete: Tensor
    """(b,) Σ_t log a_g(a_s) over items and heads; 0 without discrete actions."""
    continuous: Tensor
    """(b,) Σ_t log N(x; μ, std) over items and heads; 0 without normal distributions."""


class Actions(NamedTuple):
    """Discrete actions that were drawn."""

    hard: Tensor
    """(…, n) one-hot in value; its gradient is that of the relaxed probabilities."""
    log_probability: Tensor
    """(…) log a_g(a_s), Eq. 2."""


class Policy(nn.Module):
    """GRU_mdp and its heads: items -> weights. Deterministic when the module is not training."""

    def __init__(self, item_dim: int, dim: int, config: AttentionConfig) -> None:
        """`item_dim` of an item, `dim` of the recurrent state, both above 0."""
        super().__init__()
        self.config = config
        self.gru = nn.GRU(item_dim, dim, batch_first=True)
        discrete = config.mode in ("both", "discrete")
        # W_μ and W_std of Eqs. 2 and 3 have no bias.
        self.mean = nn.Linear(dim, config.heads * (config.actions if discrete else 1), bias=False)
        if config.mode in ("both", "continuous"):
            self.std = nn.Linear(dim, config.heads, bias=False)

    def forward(self, items: Tensor, mask: Tensor) -> Attended:
        """Weigh items.

        Args:
            items: (b, t, item_dim), padded behind.
            mask: (b, t) true where there is an item.
        """
        states = self.gru(items)[0]
        with torch.autocast(items.device.type, enabled=False):  # densities want all their digits
            return self._weigh(states.float(), mask)

    def _weigh(self, states: Tensor, mask: Tensor) -> Attended:
        config, there = self.config, mask[:, :, None]
        none = states.new_zeros(len(states))
        means = self.mean(states).reshape(*mask.shape, config.heads, -1)  # (b, t, heads, n or 1)
        if config.mode == "soft":
            logits = means.squeeze(3).masked_fill(~there, -math.inf)
            # Of a sequence without items the softmax is not a number; its weights are 0.
            weights = logits.softmax(1).masked_fill(~there, 0.0)
            return Attended(config.scale * weights, none, none)
        discrete = continuous = none
        if config.mode == "continuous":
            mu = means.squeeze(3)
        else:
            actions = self._actions(means)
            values = torch.arange(config.actions, device=states.device, dtype=states.dtype)
            level = (actions.hard * values).sum(3) / config.actions
            mu = level.sigmoid()
            discrete = (actions.log_probability * there).sum((1, 2))
        if config.mode == "discrete":
            weights = level.detach()
        else:
            std = functional.softplus(self.std(states)) + LEAST_STD
            x = draw(mu, std) if self.training else mu.detach()
            weights = x.sigmoid()
            second = self.training and config.log_probability == "official"
            at = draw(mu, std) if second else x
            continuous = (log_normal(at, mu, std) * there).sum((1, 2))
        return Attended(config.scale * weights * there, discrete, continuous)

    def _actions(self, logits: Tensor) -> Actions:
        if self.training:
            return draw_actions(logits, self.config.temperature)
        hard = functional.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
        return Actions(hard, logits.log_softmax(-1).amax(-1))


def uniform(mask: Tensor, heads: int) -> Attended:
    """Weight 1 for every item: (b, t) mask to (b, t, heads)."""
    none = torch.zeros(len(mask), device=mask.device)
    return Attended(mask[:, :, None].float().expand(-1, -1, heads), none, none)


def draw_actions(logits: Tensor, temperature: float = 1.0) -> Actions:
    """Eq. 2: a_g = Gumbel-softmax(logits), a_s ~ Multinomial(a_g), log a_g(a_s).

    The action is one-hot in value and has the gradient of a_g (straight-through), so that what is
    made of it, μ, stays differentiable. Given the noise, a_s has exactly the probabilities a_g, and
    so its score is unbiased.

    Args:
        logits: (…, n), above n = 0.
        temperature: of the softmax, above 0.
    """
    log_relaxed = ((logits + gumbel(logits)) / temperature).log_softmax(-1)
    drawn = (log_relaxed.detach() + gumbel(logits)).argmax(-1, keepdim=True)
    relaxed = log_relaxed.exp()
    one_hot = torch.zeros_like(relaxed).scatter(-1, drawn, 1.0)
    hard = one_hot + (relaxed - relaxed.detach())
    return Actions(hard, log_relaxed.gather(-1, drawn).squeeze(-1))


def gumbel(like: Tensor) -> Tensor:
    """Draws of the standard Gumbel distribution in the shape of `like`."""
    return -torch.empty_like(like).exponential_().clamp_min(1e-30).log().detach()


def draw(mu: Tensor, std: Tensor) -> Tensor:
    """A draw of N(mu, std), as a constant. Shapes alike."""
    return (mu + std * torch.randn_like(std)).detach()


def log_normal(x: Tensor, mu: Tensor, std: Tensor) -> Tensor:
    """Eq. 5 of one draw: log N(x; mu, std²), before the sigmoid. Shapes alike.

    The paper writes the density at Att, which lies in (0, 1) and is not what was drawn; x is.
    """
    return -0.5 * ((x - mu) / std) ** 2 - std.log() - 0.5 * math.log(2 * math.pi)
