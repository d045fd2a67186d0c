"""RAM++ at full size with random weights: 1.3 GB on disk, 4 GB of memory, a minute."""

from ast import literal_eval
from pathlib import Path

import pytest
import torch

from lrmovienet.tagging.ram_plus import GEOMETRY, RAM_PLUS, load

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def random_state(seed=0):
    """The listed 402 tensors; matrices keep what passes through them at about its size."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for line in (Path(__file__).parent / "ram_plus_keys.txt").read_text().splitlines():
        name, shape, dtype = line.split("\t")
        shape = literal_eval(shape)
        if dtype == "torch.int64":
            state[name] = torch.zeros(shape, dtype=torch.int64)
            continue
        value = torch.randn(shape, generator=generator)
        if name == "label_embed":  # vectors of about length one, as CLIP's
            value *= shape[1] ** -0.5
        elif name == "reweight_scale":
            value.fill_(2.6592)
        elif name == "wordvec_proj.weight":  # the mean of 51 vectors is short
            value *= 6
        elif "bias" in name:
            value *= 0.5 if "bias_table" in name else 0.02
        elif value.dim() > 1:
            value *= value[0].numel() ** -0.5 * (3 if name == "fc.weight" else 1)
        else:
            value.mul_(0.1).add_(1)
        state[name] = value
    return state


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("ram") / "ram_plus_random.pth"
    torch.save({"model": random_state()}, path)
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(3, 3, 24, 24, generator=generator) * 255
    return torch.nn.functional.interpolate(coarse, (384, 384), mode="bicubic").clamp(0, 255).byte()


@pytest.fixture(scope="module")
def network(path):
    return load(path, RAM_PLUS)


@pytest.fixture(scope="module")
def single(network, images):
    """Logits of the images one by one, in single precision."""
    with torch.inference_mode():
        logits = torch.cat([network(image[None]) for image in images])
    assert logits.std(1).min() > 1  # a real network's are no closer together
    return logits


def test_all_402_tensors_load_and_each_weight_is_the_stored_one(path, network):
    stored = torch.load(path, weights_only=True, mmap=True)["model"]
    assert len(stored) == 402
    weights = network.state_dict()
    unused = {name.rpartition(".")[2] for name in stored.keys() - weights.keys()}
    assert unused == set(GEOMETRY)
    assert all(torch.equal(value, stored[name]) for name, value in weights.items())


def test_a_batch_is_its_images_one_by_one(network, images, single):
    with torch.inference_mode():
        batch = network(images)
    assert batch.shape == (3, 4585)
    torch.testing.assert_close(batch, single, rtol=0, atol=2e-5)
    assert (single[0] - single[1]).abs().max() > 1


def test_bf16_finds_the_same_top_20_up_to_ties(path, images, single):
    """Ties are what rounding may turn round.

    A number of bf16 is off by at most 2^-9 of itself, evenly spread: sd 2^-9 / sqrt(3). On its way
    a token is rounded about ten times in each of 24 blocks and 30 times outside them, each time
    independently: an error of sd sqrt(270) * 2^-9 / sqrt(3) = .019 of the spread of the logits. The
    difference of two logits has sqrt(2) of it, and four times that is a tie.
    """
    model = load(path, RAM_PLUS, "bf16")
    with torch.inference_mode():
        half = model(images).float()
    rounding = (270 / 3) ** 0.5 * 2**-9 * single.std(1)
    assert ((half - single).square().mean(1).sqrt() < 2 * rounding).all()
    for exact, rounded, tie in zip(single, half, 4 * 2**0.5 * rounding, strict=True):
        found = set(rounded.topk(20).indices.tolist())
        twentieth = exact.topk(20).values[-1]
        assert set(torch.nonzero(exact > twentieth + tie)[:, 0].tolist()) <= found
        assert found <= set(torch.nonzero(exact > twentieth - tie)[:, 0].tolist())
