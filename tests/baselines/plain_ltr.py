"""The networks of learning to rank once more: one list, without padding, in plain sums.

Each takes the weights (a state dict in double precision), the network's config, the items' vectors
x (n, d) and the initial scores (n,), and gives (n,) scores as they are without dropout.
"""

import itertools
import math

import torch
from plain_lr2ppo import Layers, gelu, layers_of, linear, norm, softmax
from torch import Tensor

Weights = dict[str, Tensor]


def relu(x: Tensor) -> Tensor:
    return x * (x > 0)


def elu(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, x.clamp(max=0).exp() - 1)


def halving(weights: Weights, x: Tensor, layers: int) -> Tensor:
    """The MLP of ListNet and GSF: linear, norm, ELU, …, linear."""
    layer = layers_of(weights, "scorer.")
    x = elu(norm(linear(x, layer("first")), layer("hidden.0")))
    for i in range(1, layers):  # each is linear, norm, ELU, dropout; the first has no linear
        x = linear(x, layer(f"hidden.{4 * i - 1}"))
        x = elu(norm(x, layer(f"hidden.{4 * i}")))
    return linear(x, layer("out"))


def listnet(weights: Weights, config, x: Tensor, initial: Tensor) -> Tensor:
    return halving(weights, x, config.layers)[:, 0]


def gsf(weights: Weights, config, x: Tensor, initial: Tensor) -> Tensor:
    n, m = len(x), config.group
    scores = torch.zeros(n, dtype=torch.float64)
    for group in itertools.product(range(n), repeat=m):
        found = halving(weights, torch.cat([x[j] for j in group])[None], config.layers)[0]
        for position, item in enumerate(group):
            scores[item] += found[position]
    return scores


def dlcm(weights: Weights, config, x: Tensor, initial: Tensor) -> Tensor:
    layer, width = layers_of(weights), config.width
    more = elu(linear(elu(linear(x, layer("expand.0"))), layer("expand.2")))
    x = torch.cat([x, more], dim=1)
    of_input, of_hidden = (
        (weights[f"gru.weight_{kind}_l0"], weights[f"gru.bias_{kind}_l0"]) for kind in ("ih", "hh")
    )
    state, outputs = torch.zeros(1, width, dtype=torch.float64), {}
    # The worst first; of equal initial scores, the later is the worse.
    for item in sorted(range(len(x)), key=lambda i: (float(initial[i]), -i)):
        r, z, n = linear(x[item : item + 1], of_input).split(width, dim=1)
        hr, hz, hn = linear(state, of_hidden).split(width, dim=1)
        reset, update = torch.sigmoid(r + hr), torch.sigmoid(z + hz)
        state = (1 - update) * torch.tanh(n + reset * hn) + update * state
        outputs[item] = state
    scores = []
    for item in range(len(x)):
        of_heads = []
        for head in range(config.heads):
            part = slice(head * width, (head + 1) * width)
            of_state = linear(state, layer("of_state"))[0, part]
            if config.compare == "multi":
                of_heads.append((outputs[item][0] * torch.tanh(of_state)).sum())
            else:
                of_item = weights["of_item.weight"][part] @ outputs[item][0]
                of_heads.append((weights["v"][head] * torch.tanh(of_item + of_state)).sum())
        scores.append(sum(of_heads) / config.heads)
    return torch.stack(scores) - min(scores)


def attention(x: Tensor, y: Tensor, layer: Layers, heads: int, rectified: bool) -> Tensor:
    q, k, v = (
        linear(side, layer(f"attention.{name}"))
        for side, name in ((x, "query"), (y, "key"), (y, "value"))
    )
    if rectified:
        q, k, v = relu(q), relu(k), relu(v)
    size = x.shape[1] // heads
    found = []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        found.append(softmax(q[:, part] @ k[:, part].T / math.sqrt(size)) @ v[:, part])
    return linear(torch.cat(found, 1), layer("attention.out"))


def post_norm(x: Tensor, y: Tensor, layer: Layers, heads: int, rectified=False, hidden=True):
    x = norm(x + attention(x, y, layer, heads, rectified), layer("norm_attention"))
    if hidden:
        more = linear(relu(linear(x, layer("feed_forward.0"))), layer("feed_forward.3"))
        x = norm(x + more, layer("norm_hidden"))
    return x


def pre_norm(x: Tensor, layer: Layers, heads: int, activation) -> Tensor:
    y = norm(x, layer("norm_attention"))
    x = x + attention(y, y, layer, heads, False)
    y = linear(norm(x, layer("norm_hidden")), layer("feed_forward.0"))
    return x + linear(activation(y), layer("feed_forward.3"))


def prm(weights: Weights, config, x: Tensor, initial: Tensor) -> Tensor:
    layer = layers_of(weights)
    order = sorted(range(len(x)), key=lambda i: -float(initial[i]))
    places = [min(order.index(i), config.positions - 1) for i in range(len(x))]
    x = linear(x, layer("inputs")) + weights["positions"][places]
    for i in range(config.blocks):
        x = post_norm(x, x, layers_of(weights, f"blocks.{i}."), config.heads)
    return linear(x, layer("head"))[:, 0]


def setrank(weights: Weights, config, x: Tensor, initial: Tensor) -> Tensor:
    layer = layers_of(weights)
    x = linear(x, layer("inputs"))
    for i in range(config.blocks):
        items, points = layers_of(weights, f"blocks.{i}.items."), x
        if config.inducing:
            points, gather = (
                weights[f"blocks.{i}.points"],
                layers_of(weights, f"blocks.{i}.gather."),
            )
            points = post_norm(points, x, gather, config.heads, rectified=True)
        x = post_norm(x, points, items, config.heads, rectified=True)
    return linear(x, layer("head"))[:, 0]


def rankformer_tokens(weights: Weights, config, x: Tensor) -> Tensor:
    """(1 + n, width) the list's token, then the items."""
    x = torch.cat([weights["token"][None], linear(x, layers_of(weights)("inputs"))])
    for i in range(config.blocks):
        x = pre_norm(x, layers_of(weights, f"blocks.{i}."), config.heads, gelu)
    return x


def rankformer(weights: Weights, config, x: Tensor, initial: Tensor) -> Tensor:
    layer = layers_of(weights)
    token, *items = rankformer_tokens(weights, config, x)
    beside = torch.stack([torch.cat([item, token]) for item in items])
    return linear(relu(linear(beside, layer("item_head.0"))), layer("item_head.3"))[:, 0]


def list_logits(weights: Weights, config, x: Tensor) -> Tensor:
    """(K,) RankFormer's answers about the whole list."""
    layer = layers_of(weights)
    token = rankformer_tokens(weights, config, x)[:1]
    return linear(relu(linear(token, layer("list_head.0"))), layer("list_head.3"))[0]


def context_logits(weights: Weights, config, x: Tensor) -> Tensor:
    layer = layers_of(weights)
    x = linear(x, layer("inputs"))
    for i in range(config.blocks):
        x = pre_norm(x, layers_of(weights, f"blocks.{i}."), config.heads, relu)
    return linear(norm(x, layer("norm")), layer("head"))


def context(weights: Weights, config, x: Tensor, initial: Tensor) -> Tensor:
    logits = context_logits(weights, config, x)
    if config.objective == "ordinal":
        return (1 / (1 + (-logits).exp())).sum(1)
    return logits[:, 0]


def dasalc(weights: Weights, config, x: Tensor, initial: Tensor) -> Tensor:
    layer = layers_of(weights)
    if config.transform == "log1p":
        logs = [[math.log1p(abs(v)) * math.copysign(1, v) for v in row] for row in x.tolist()]
        x = torch.tensor(logs, dtype=torch.float64).clamp(-30, 30)
    c = relu(linear(x, layer("projection")))
    for i in range(config.blocks):
        layers = layers_of(weights, f"attention.{i}.")
        c = post_norm(c, c, layers, config.heads, hidden=False)
    c = linear(c, layer("of_list"))
    h = norm(relu(linear(x, layer("mlp.0"))), layer("mlp.2"))
    h = norm(relu(linear(h, layer("mlp.4"))), layer("mlp.6"))
    h = linear(h, layer("mlp.8"))
    return linear(relu(h * c + h), layer("head"))[:, 0]
