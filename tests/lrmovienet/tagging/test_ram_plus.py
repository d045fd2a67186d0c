"""RAM++'s head against a plain reference in numpy, its tags, and its full size without memory."""

import math
import os
from ast import literal_eval
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from eval.labels import normal_form
from lrmovienet.tagging.ram_plus import (
    GEOMETRY,
    RAM,
    RAM_PLUS,
    DecoderLayer,
    RamPlus,
    RamSize,
    RamTagger,
    select,
    tags,
    thresholds,
)
from lrmovienet.tagging.swin import SwinSize

# No two sizes of the head are equal: an axis taken for another one shows.
TINY = RamSize(
    swin=SwinSize(image=32, width=4, depths=(2, 2), heads=(1, 2), window=4),
    tags=7,
    descriptions=5,
    shared=6,
    width=12,
    heads=3,
)
TINY_RAM = replace(TINY, descriptions=1)
erf = np.vectorize(math.erf)


def random_weights(model, seed=0):
    """Double precision; weights so large that every part shows and that the scores differ."""
    generator = torch.Generator().manual_seed(seed)
    model = model.double()
    for name, value in model.state_dict().items():
        noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
        large = name in ("label_embed", "wordvec_proj.weight", "image_proj.weight", "fc.weight")
        norm = name.endswith("weight") and value.dim() == 1
        value.copy_(noise * (1.5 if large else 0.4) + norm)
    if "reweight_scale" in model.state_dict():
        model.reweight_scale.data.fill_(0.7)
    return model.eval().requires_grad_(False)


def random_images(n, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, 32, 32), generator=generator, dtype=torch.uint8)


def dense(x, state, name):
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def layer_norm(x, state, name):
    centred = x - x.mean(-1, keepdims=True)
    unit = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
    return unit * state[f"{name}.weight"] + state[f"{name}.bias"]


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def reference_layer(state, q, m, heads):
    """One decoder layer for one image: queries (tags, width), its tokens m (tokens, shared)."""
    query = dense(q, state, "crossattention.self.query")
    key = dense(m, state, "crossattention.self.key")
    value = dense(m, state, "crossattention.self.value")
    width = q.shape[1] // heads
    attended = np.empty_like(q)
    for head in range(heads):
        own = slice(head * width, (head + 1) * width)
        share = softmax(query[:, own] @ key[:, own].T / math.sqrt(width))
        attended[:, own] = share @ value[:, own]
    h = layer_norm(
        q + dense(attended, state, "crossattention.output.dense"),
        state,
        "crossattention.output.LayerNorm",
    )
    inner = dense(h, state, "intermediate.dense")
    inner = inner * (1 + erf(inner / math.sqrt(2))) / 2
    return layer_norm(h + dense(inner, state, "output.dense"), state, "output.LayerNorm")


def reference_head(state, size, visual):
    """The logits of one image from its backbone's tokens (1 + tokens, features)."""
    m = dense(visual, state, "image_proj")
    c = m[0] / math.sqrt((m[0] ** 2).sum())
    mixed = np.zeros((size.tags, size.shared))
    for tag in range(size.tags):
        described = state["label_embed"][tag * size.descriptions : (tag + 1) * size.descriptions]
        weights = [1.0]
        if size.descriptions > 1:
            weights = softmax(math.exp(state["reweight_scale"]) * (described @ c))
        for weight, vector in zip(weights, described, strict=True):
            mixed[tag] += weight * vector
    q = np.maximum(dense(mixed, state, "wordvec_proj"), 0)
    for layer in range(size.layers):
        prefix = f"tagging_head.encoder.layer.{layer}."
        own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        q = reference_layer(own, q, m, size.heads)
    return dense(q, state, "fc")[:, 0]


def in_numpy(model):
    return {name: value.numpy() for name, value in model.state_dict().items()}


def seen_by(model, images):
    """What goes into the backbone, what comes out of it, and the logits."""
    seen = []
    handle = model.visual_encoder.register_forward_hook(
        lambda _, given, found: seen.extend([given[0], found])
    )
    logits = model(images)
    handle.remove()
    return *seen, logits


def test_a_decoder_layer_is_the_reference_one():
    layer = random_weights(DecoderLayer(12, 6, 3))
    generator = torch.Generator().manual_seed(2)
    q = torch.randn(2, 7, 12, generator=generator, dtype=torch.float64)
    m = torch.randn(2, 17, 6, generator=generator, dtype=torch.float64)
    expected = [reference_layer(in_numpy(layer), q[i].numpy(), m[i].numpy(), 3) for i in range(2)]
    np.testing.assert_allclose(layer(q, m).numpy(), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("size", [TINY, TINY_RAM, replace(TINY, layers=1, heads=1)])
def test_the_head_is_the_reference_one(size):
    model = random_weights(RamPlus(size))
    _, visual, logits = seen_by(model, random_images(3))
    expected = [reference_head(in_numpy(model), size, image.numpy()) for image in visual]
    np.testing.assert_allclose(logits.numpy(), expected, rtol=0, atol=1e-10)
    assert logits.std(1).min() > 0.1  # the scores do differ


def test_the_tags_do_not_look_at_each_other():
    model = random_weights(RamPlus(TINY))
    before = model(random_images(1))[0]
    model.label_embed[2 * TINY.descriptions : 3 * TINY.descriptions] += 1
    after = model(random_images(1))[0]
    changed = [i for i in range(TINY.tags) if before[i] != after[i]]
    assert changed == [2]


def test_one_description_far_better_than_the_rest_stands_alone():
    model = random_weights(RamPlus(TINY))
    model.reweight_scale.fill_(math.log(1e4))
    frame = torch.tensor([[3.0, 0, 0, 0, 0, 4.0]], dtype=torch.float64)  # length 5
    model.wordvec_proj.weight.zero_()
    model.wordvec_proj.weight[:6] = torch.eye(6)
    model.wordvec_proj.bias.zero_()
    best = (model.label_embed @ (frame[0] / 5)).view(7, 5).argmax(1)
    own = model.label_embed.view(7, 5, 6)[torch.arange(7), best]
    queries = model.queries(frame)
    assert queries.shape == (1, 7, 12)
    torch.testing.assert_close(queries[0, :, :6], own.clamp(min=0), rtol=0, atol=1e-12)
    assert len(set(best.tolist())) > 1


def test_equal_descriptions_weigh_the_same_whatever_the_scale():
    model = random_weights(RamPlus(TINY))
    model.label_embed.copy_(model.label_embed[::5].repeat_interleave(5, 0))
    ram = RamPlus(TINY_RAM).double()
    state = {k: v for k, v in model.state_dict().items() if k != "reweight_scale"}
    ram.load_state_dict(state | {"label_embed": model.label_embed[::5]})
    images = random_images(2)
    torch.testing.assert_close(model(images), ram(images).detach(), rtol=0, atol=1e-11)


@pytest.mark.parametrize("size", [TINY, TINY_RAM])
def test_a_batch_is_its_images_one_by_one(size):
    model = random_weights(RamPlus(size))
    images = random_images(4)
    alone = torch.cat([model(image[None]) for image in images])
    torch.testing.assert_close(model(images), alone, rtol=0, atol=1e-10)
    assert (alone[0] - alone[1]).abs().max() > 0.01


def test_pixels_are_normalised_by_channel():
    images = torch.zeros(3, 3, 32, 32, dtype=torch.uint8)
    images[1] = 255
    images[2, 0], images[2, 1], images[2, 2] = 51, 102, 204
    pixels, _, _ = seen_by(random_weights(RamPlus(TINY)), images)
    assert (pixels == pixels[:, :, :1, :1]).all()
    np.testing.assert_allclose(
        pixels[:, :, 0, 0],
        [
            [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225],
            [2.2489083, 2.4285714, 2.64],
            [-0.285 / 0.229, -0.056 / 0.224, 0.394 / 0.225],
        ],
        rtol=0,
        atol=1e-6,
    )


def test_a_tagger_gives_sigmoids_in_single_precision(tmp_path):
    model = random_weights(RamPlus(TINY))
    path = tmp_path / "weights.pth"
    torch.save({"model": model.state_dict()}, path)
    tagger = RamTagger("ram_plus", path, "0" * 64, size=TINY)
    tagger.load()
    images = random_images(2)
    scores = tagger.scores(images)
    assert scores.dtype == np.float32
    expected = 1 / (1 + np.exp(-model.float()(images).numpy()))
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-6)
    assert tagger.labels == tags()
    assert tagger.thresholds == thresholds()


def test_the_tags_and_their_thresholds_are_the_published_ones():
    folder = os.environ.get("LRMOVIENET_EXTRA_DATA")
    if folder is None:
        pytest.skip("LRMOVIENET_EXTRA_DATA is unset: RAM's lists are not here")
    lists = Path(folder) / "ram_taglists"
    names = (lists / "ram_tag_list.txt").read_text(encoding="utf-8").splitlines()
    limits = (lists / "ram_tag_list_threshold.txt").read_text(encoding="utf-8").split()
    assert tags() == tuple(normal_form(name) for name in names)
    assert thresholds() == tuple(map(float, limits))


def test_the_lists_have_the_published_counts():
    assert len(tags()) == len(set(tags())) == len(thresholds()) == RAM_PLUS.tags == 4585
    counts = Counter(thresholds())
    assert (counts[0.65], counts[0.8]) == (3414, 735)
    assert (min(counts), max(counts)) == (0.45, 1.0)
    assert all(tag == normal_form(tag) and 1 <= len(tag.split()) <= 4 for tag in tags())
    assert tags()[:2] == ("3d cg rendering", "3d glasses")


def listed():
    """Names, shapes and types of RAM++'s 402 tensors, on no memory."""
    found = {}
    for line in (Path(__file__).parent / "ram_plus_keys.txt").read_text().splitlines():
        name, shape, dtype = line.split("\t")
        dtype = getattr(torch, dtype.removeprefix("torch."))
        found[name] = torch.empty(literal_eval(shape), dtype=dtype, device="meta")
    assert len(found) == 402
    return found


def meta(size):
    with torch.device("meta"):
        return RamPlus(size)


def test_the_full_network_has_the_listed_names_and_shapes():
    expected = {
        name: tuple(value.shape)
        for name, value in listed().items()
        if name.rpartition(".")[2] not in GEOMETRY
    }
    assert len(expected) == 402 - 24 - 11  # an index for each block, a mask for each shifted one
    assert {k: tuple(v.shape) for k, v in meta(RAM_PLUS).state_dict().items()} == expected


def test_the_numbers_of_heads_which_no_shape_shows_are_the_published_ones():
    model = meta(RAM_PLUS)
    assert [layer.crossattention.heads for layer in model.tagging_head.encoder.layer] == [4, 4]
    heads = [{block.attn.heads for block in stage.blocks} for stage in model.visual_encoder.layers]
    assert heads == [{6}, {12}, {24}, {48}]


def test_every_listed_tensor_is_accounted_for():
    state = meta(RAM_PLUS).state_dict()
    chosen = select({"model": listed()}, state, RAM_PLUS, "list")
    assert list(chosen) == list(state)
    assert {k: v.shape for k, v in chosen.items()} == {k: v.shape for k, v in state.items()}


def test_the_networks_have_the_published_sizes():
    plus, ram = (sum(v.numel() for v in meta(s).state_dict().values()) for s in (RAM_PLUS, RAM))
    assert round(plus / 1e6, 1) == 329.5
    assert (
        plus - ram == 50 * 4585 * 512 + 1
    )  # 50 more descriptions a tag, and how sharply to choose


def test_the_full_network_scores_every_tag():
    images = torch.zeros(2, 3, 384, 384, dtype=torch.uint8, device="meta")
    for size in (RAM_PLUS, RAM):
        assert meta(size)(images).shape == (2, 4585)
