"""The parts of LR²PPO's networks once more, one sequence at a time and as plain sums.

A layer is a pair of weight (outputs, inputs) and bias (outputs,). All is in double precision.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

Layer = tuple[Tensor, Tensor]
Layers = Callable[[str], Layer]
"""Name -> layer: the names are those of whoever asks."""


def layers_of(weights: dict[str, Tensor], prefix: str = "") -> Layers:
    def layer(name: str) -> Layer:
        found = [weights[f"{prefix}{name}.{part}"] for part in ("weight", "bias")]
        return found[0].double(), found[1].double()

    return layer


def linear(x: Tensor, layer: Layer) -> Tensor:
    weight, bias = layer
    return (x[:, None, :] * weight[None]).sum(2) + bias


def gelu(x: Tensor) -> Tensor:
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def standardised(x: Tensor) -> Tensor:
    centred = x - x.mean(1, keepdim=True)
    return centred / ((centred**2).mean(1, keepdim=True) + 1e-5).sqrt()


def norm(x: Tensor, layer: Layer) -> Tensor:
    return standardised(x) * layer[0] + layer[1]


def mlp(x: Tensor, first: Layer, second: Layer) -> Tensor:
    return linear(gelu(linear(x, first)), second)


def softmax(x: Tensor) -> Tensor:
    powers = (x - x.max(1, keepdim=True).values).exp()
    return powers / powers.sum(1, keepdim=True)


def attention(
    x: Tensor, y: Tensor, layers: tuple[Layer, Layer, Layer, Layer], heads: int, scale: str,
    may_see: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """x (t, width) asks y (s, width); `layers` are query, key, value, output; may_see is (t, s)."""
    q, k, v = (linear(side, layer) for side, layer in zip((x, y, y), layers[:3], strict=True))
    width = x.shape[1]
    size = width // heads
    found = []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        energy = q[:, part] @ k[:, part].T
        if scale == "standard":
            energy = energy / math.sqrt(size)
        if may_see is not None:
            energy = energy.masked_fill(~may_see, -math.inf)
        weights = softmax(energy)
        if scale == "released":
            weights = weights / math.sqrt(width)
        found.append(weights @ v[:, part])
    return linear(torch.cat(found, 1), layers[3])


def block(
    x: Tensor, y: Tensor, layer: Layers, heads: int, scale: str, may_see: Tensor | None = None,
    hidden: bool = True,
) -> Tensor:  # fmt: skip
    """Names of layers: x, y, q, k, v, o, f, f1, f2, n."""
    four = (layer("q"), layer("k"), layer("v"), layer("o"))
    x = x + attention(norm(x, layer("x")), norm(y, layer("y")), four, heads, scale, may_see)
    if hidden:
        x = x + mlp(norm(x, layer("f")), layer("f1"), layer("f2"))
    return norm(x, layer("n"))


def renamed(layer: Layers, names: dict[str, str]) -> Layers:
    return lambda name: layer(names[name])


def unsettle(model: torch.nn.Module, seed: int = 0) -> None:
    """Weights that hide nothing: no norm is the identity, no bias 0, no attention even."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(noise * (0.3 if parameter.ndim == 1 else 0.15))
