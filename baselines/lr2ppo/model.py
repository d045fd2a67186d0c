"""The networks of LR²PPO: actor, reward model and critic (paper, section 3.2).

All three begin with the same trunk. It takes frozen features and makes one vector a label: an MLP
for each modality, one block of cross-attention (text tokens ask, frames answer), and an MLP over
what came of it. The actor turns a label's vector into its relevance. Reward model and critic read
the vectors of two or four labels in a row, which is what a state or a transition is.

The last MLP reads its tokens by one of two heads. ``flatten`` is the released code's: all token
positions side by side, 519,070,465 parameters, no padding mask. ``pooled`` is ours: means over the
tokens there are, so that padding cannot matter. It also reads where in the description the label is
said, and how nearly, from the frozen vectors themselves: a small network cannot learn that from a
few thousand grades, and without it stage 1 ranks worse than matching words does.

``token`` is a trunk of its own (`baselines.lr2ppo.one_token`), for labels that are one vector each
and have no frames.
"""

from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn
from torch.nn import functional

from baselines.lr2ppo.batch import Batch, masked_mean

SHARPNESS = 10.0
"""Of the softmax over cosines in `said_in`; those of the packaged encoder span about .2 to .9."""
SLOTS = 4
"""Labels in a transition: the pair in its initial order, then in its new order (Eq. 4)."""


@dataclass(frozen=True)
class NetworkConfig:
    """Dimensions and choices of one network. The defaults are those of the released code, but
    for the head, the attention's scale and the norm of the inputs.
    """

    text_dim: int = 768
    """Of a token vector; RoBERTa: 768. Training takes it from the features."""
    frame_dim: int = 768
    """Of a frame vector; ViT-B: 768. Training takes it from the features."""
    width: int = 768
    """Of a token after its MLP, and of a label's vector."""
    text_hidden: int = 3072
    """Hidden width of the text MLP; token only: 0 for none (released)."""
    frame_hidden: int = 3072
    """Hidden width of the image MLP."""
    fusion_hidden: int = 3072
    """Hidden width of the feed-forward layer behind the cross-attention; 0 for none."""
    head_hidden: int = 2048
    """Hidden width of the last MLP. Released: 3072."""
    pair_hidden: int = 3072
    """Hidden width of the feed-forward layer in reward model and critic."""
    heads: int = 8
    """Attention heads."""
    dropout: float = 0.1
    """Share of values dropped within blocks in training."""
    head: Literal["pooled", "flatten", "token"] = "pooled"
    """What the last MLP reads: masked means, or all positions side by side (released); or, of
    labels that are one vector each, this vector before and after the block (released)."""
    head_dropout: float = 0.1
    """Share of values dropped in the last MLP in training. Released: 0."""
    attention_scale: Literal["standard", "released"] = "standard"
    """standard: softmax(QKᵀ/√d) of a head's d; released: softmax(QKᵀ)/√width."""
    normalise_inputs: bool = True
    """Features are brought to mean 0 and variance 1 first, whatever encoder made them."""
    text_tokens: int = 196
    """flatten only: positions of a text; longer ones are cut, shorter ones end in zeros."""
    frames: int = 16
    """flatten only: frames of a clip; more are cut, fewer are repeated in turn."""
    pair_scores: bool = False
    """Reward model and critic: add how much higher a linear score of the last slot but one is than
    the last slot's, so that a pair's order is judged by its labels from the start. Released: no."""
    outputs: int = 1
    """Actor only: 1 for regression; for a class a grade (S1-CLS) 3, or more with more grades."""


RELEASED_NETWORK = NetworkConfig(
    head_hidden=3072, head="flatten", head_dropout=0.0, attention_scale="released",
    normalise_inputs=False,
)  # fmt: skip
"""The released network: 519,070,465 parameters as an actor, 526,164,481 as a reward model."""


class Mlp(nn.Module):
    """Two layers with a GELU between, the input brought to mean 0 and variance 1 if asked for."""

    def __init__(
        self, inputs: int, hidden: int, outputs: int, dropout: float = 0.0, norm: bool = False
    ) -> None:
        super().__init__()
        # Without weights of its own, the norm needs no gradient at the features: a sixth of a step.
        self.norm = nn.LayerNorm(inputs, elementwise_affine=False) if norm else nn.Identity()
        self.hidden = nn.Linear(inputs, hidden)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(…, inputs) -> (…, outputs)."""
        out: Tensor = self.out(self.dropout(functional.gelu(self.hidden(self.norm(x)))))
        return out


class Attention(nn.Module):
    """Multi-head attention of one sequence on another."""

    def __init__(
        self, width: int, heads: int, scale: Literal["standard", "released"] = "standard"
    ) -> None:
        super().__init__()
        self.heads, self.scale = heads, scale
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(
        self, x: Tensor, y: Tensor, mask: Tensor | None = None, owner: Tensor | None = None
    ) -> Tensor:
        """What each place of x finds in y.

        Args:
            x: (n, t, width) what asks.
            y: (c, s, width) what answers.
            mask: (c, s) true where y has something; default: everywhere.
            owner: (n,) which of the c sequences each x looks at; default: its own, c = n. Keys and
                values are made once a sequence, however many x look at it.

        Returns:
            (n, t, width)
        """
        n, t, width = x.shape
        q = self._heads(self.query(x))
        k, v = self._heads(self.key(y)), self._heads(self.value(y))
        if owner is not None:
            k, v = k[owner], v[owner]
            mask = None if mask is None else mask[owner]
        size = width // self.heads
        energy = q @ k.transpose(2, 3)
        if self.scale == "standard":
            energy = energy / size**0.5
        if mask is not None:
            energy = energy.masked_fill(~mask[:, None, None, :], float("-inf"))
        weights = energy.softmax(dim=3)
        if self.scale == "released":
            weights = weights / width**0.5
        out: Tensor = self.out((weights @ v).transpose(1, 2).reshape(n, t, width))
        return out

    def _heads(self, x: Tensor) -> Tensor:
        n, t, width = x.shape
        return x.view(n, t, self.heads, width // self.heads).transpose(1, 2)


class Block(nn.Module):
    """Attention and a feed-forward layer, each normed before and added after, and a norm at last.

    The released code's XiT; with `hidden` 0 there is no feed-forward layer.
    """

    def __init__(self, config: NetworkConfig, hidden: int) -> None:
        super().__init__()
        width = config.width
        self.norm_x, self.norm_y = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, config.heads, config.attention_scale)
        self.dropout = nn.Dropout(config.dropout)
        self.norm_hidden = nn.LayerNorm(width) if hidden else None
        self.feed_forward = Mlp(width, hidden, width, config.dropout) if hidden else None
        self.norm = nn.LayerNorm(width)

    def forward(
        self, x: Tensor, y: Tensor, mask: Tensor | None = None, owner: Tensor | None = None
    ) -> Tensor:
        """As `Attention.forward`."""
        x = x + self.dropout(self.attention(self.norm_x(x), self.norm_y(y), mask, owner))
        if self.norm_hidden is not None and self.feed_forward is not None:
            x = x + self.dropout(self.feed_forward(self.norm_hidden(x)))
        out: Tensor = self.norm(x)
        return out


class Trunk(nn.Module):
    """Frozen features in, one vector a label out."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        width, norm = config.width, config.normalise_inputs
        self.text_mlp = Mlp(config.text_dim, config.text_hidden, width, norm=norm)
        self.frame_mlp = Mlp(config.frame_dim, config.frame_hidden, width, norm=norm)
        self.fusion = Block(config, config.fusion_hidden)
        flat = (config.text_tokens + config.frames) * width
        inputs = flat if config.head == "flatten" else 4 * width + 2
        self.out = Mlp(inputs, config.head_hidden, width, config.head_dropout)

    def forward(self, batch: Batch) -> Tensor:
        """(n, width) one vector a label, each made by itself.

        Raises ValueError where there are no frames, of which a mean would not be a number.
        """
        if not batch.frames.shape[1]:
            raise ValueError("no frames: labels that are one vector each need the head 'token'")
        batch = batch._replace(text=batch.text.float(), frames=batch.frames.float())
        read = self.flattened(batch) if self.config.head == "flatten" else self.pooled(batch)
        out: Tensor = self.out(read)
        return out

    def pooled(self, batch: Batch) -> Tensor:
        """(n, 4 width + 2): what the pooled head reads of each label.

        Means over the label's fused tokens, over all of them, over the frames; the fused tokens
        of the description where it says the label; two similarities (see `said_in`).
        """
        text, frames = self.text_mlp(batch.text), self.frame_mlp(batch.frames)
        fused = self.fusion(text, frames, batch.frame_mask, batch.record)
        where, how_nearly = said_in(batch.text, batch.label_mask, batch.text_mask)
        return torch.cat(
            [
                masked_mean(fused, batch.label_mask),
                masked_mean(fused, batch.text_mask),
                masked_mean(frames, batch.frame_mask)[batch.record],
                (where[:, None, :].to(fused.dtype) @ fused).squeeze(1),
                how_nearly.to(fused.dtype),
            ],
            dim=1,
        )

    def flattened(self, batch: Batch) -> Tensor:
        """(n, (text_tokens + frames) width): all positions side by side, padding included."""
        tokens = self.config.text_tokens
        text = functional.pad(
            batch.text[:, :tokens], (0, 0, 0, max(0, tokens - batch.text.shape[1]))
        )
        there = batch.frame_mask.sum(1, keepdim=True)
        turn = torch.arange(self.config.frames, device=there.device)[None, :] % there
        frames = batch.frames.gather(1, turn[:, :, None].expand(-1, -1, batch.frames.shape[2]))
        text, frames = self.text_mlp(text), self.frame_mlp(frames)
        fused = self.fusion(text, frames, owner=batch.record)
        return torch.cat([fused, frames[batch.record]], dim=1).flatten(1)


def trunk_of(config: NetworkConfig) -> nn.Module:
    """The trunk that goes with the head."""
    if config.head != "token":
        return Trunk(config)
    from baselines.lr2ppo.one_token import OneToken  # it is made of what this module has

    return OneToken(config)


class _Saved(
    PyTorchModelHubMixin,
    library_name="lrmovienet",
    tags=["label-relevance-ranking"],
    paper_url="https://arxiv.org/abs/2407.13221",
):
    """The Hub's mixin, made strict: missing or unknown weights are an error, not noise."""

    @classmethod
    def _from_pretrained(cls, **options: Any) -> Self:
        model: Self = super()._from_pretrained(**{**options, "strict": True})
        return model


class Actor(nn.Module, _Saved):
    """Scores each label of a clip by itself; a ranking is the order of the scores."""

    config_class = NetworkConfig

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = trunk_of(config)
        self.head = nn.Linear(config.width, config.outputs)

    def forward(self, batch: Batch) -> Tensor:
        """(n,) predicted relevance, around 0 (low) to 2 (high), in single precision.

        With an output a grade it is the expected grade, the sum of grade times probability. The
        paper speaks of weighted logits (appendix C.4); the released code weights the logits
        themselves where it evaluates, which can rank otherwise, and probabilities in stage 3.
        """
        return self.relevance(self.raw(batch))

    def relevance(self, raw: Tensor) -> Tensor:
        """(n, outputs) of the head -> (n,) relevance."""
        if self.config.outputs == 1:
            return raw.squeeze(1)
        grades = torch.arange(self.config.outputs, dtype=raw.dtype, device=raw.device)
        return (raw.softmax(1) * grades).sum(1)  # a product of matrices would be halved by autocast

    def raw(self, batch: Batch) -> Tensor:
        """(n, outputs) as the head gives them."""
        out: Tensor = _exactly(self.head, self.trunk(batch))
        return out


class PairModel(nn.Module, _Saved):
    """Reward model and critic: a number for the labels of some slots, in their order (Eq. 4).

    The reward model reads four slots, the initial pair and the new order of it; the critic reads
    two, the state.
    """

    config_class = NetworkConfig

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = trunk_of(config)
        self.positions = nn.Embedding(SLOTS, config.width)
        self.block = Block(config, config.pair_hidden)
        self.head = nn.Linear(config.width, 1)
        self.label_score = nn.Linear(config.width, 1, bias=False) if config.pair_scores else None

    def forward(self, batch: Batch, slots: Tensor) -> Tensor:
        """(b,) from features and (b, 2 or 4) positions among the batch's labels.

        Every label is encoded once, however many slots it stands in.
        """
        return self.value(self.trunk(batch)[slots])

    def value(self, vectors: Tensor) -> Tensor:
        """(b, 2 or 4, width) vectors of the labels in the slots -> (b,), in single precision.

        Only the last slot is read in the end, so in a single block only it need ask: the causal
        mask that the released code means to apply, and does not, would change nothing.
        """
        x = vectors + self.positions.weight[: vectors.shape[1]]
        out = _exactly(self.head, self.block(x[:, -1:], x).squeeze(1)).squeeze(1)
        if self.label_score is not None:
            scores = _exactly(self.label_score, vectors[:, -2:]).squeeze(2)
            out = out + scores[:, 0] - scores[:, 1]
        return out


def _exactly(layer: nn.Module, x: Tensor) -> Tensor:
    """A layer in single precision also under autocast.

    Around 1, neighbouring numbers of bfloat16 are .0078 apart: scores would tie.
    """
    with torch.autocast(x.device.type, enabled=False):
        out: Tensor = layer(x.float())
    return out


def said_in(text: Tensor, label_mask: Tensor, text_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Where the rest of a text says its label, and how nearly, by cosine of frozen vectors.

    Args:
        text: (n, t, dim) token vectors.
        label_mask: (n, t) true where the token is the label's; at least one a text.
        text_mask: (n, t) true where there is a token. Where the label's span is the whole text, as
            with features whose makers did not say it, the whole text counts as its rest too.

    Returns:
        (n, t) weights that sum to 1 over the tokens that are not the label's, highest where the
        label is said; and (n, 2) similarities, scaled to about -1 to 1: the nearest token to each
        of the label's tokens, on average, and the nearest token to the label as a whole.
    """
    rest = text_mask & ~label_mask
    rest = torch.where(rest.any(1, keepdim=True), rest, text_mask)  # whose label is not known
    unit = functional.normalize(text, dim=2)
    of_pairs = (unit @ unit.transpose(1, 2)).masked_fill(~rest[:, None, :], -1.0)
    of_each = masked_mean(of_pairs.amax(2)[:, :, None], label_mask)
    label = functional.normalize(masked_mean(unit, label_mask), dim=1)
    of_whole = (unit @ label[:, :, None]).squeeze(2).masked_fill(~rest, -1.0)
    weights = (SHARPNESS * of_whole).masked_fill(~rest, float("-inf")).softmax(1)
    nearest = torch.cat([of_each, of_whole.amax(1, keepdim=True)], dim=1)
    return weights, 4 * nearest - 2
