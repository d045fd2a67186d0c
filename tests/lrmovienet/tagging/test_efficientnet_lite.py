"""The packaged classifier: its network, its weights, and how a frame is made ready for it."""

import hashlib
import io

import numpy as np
import pytest
import torch
from PIL import Image
from tagged import demo_frames
from torch.nn import functional

from lrmovienet.errors import ItemError
from lrmovienet.tagging.efficientnet_lite import (
    EfficientNetLite0,
    SameConv2d,
    load_packaged,
    pixels,
    preprocess,
    weights_file,
)
from lrmovienet.tagging.imagenet import class_labels


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # waiting threads slow each other down when a machine is busy
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model():
    return load_packaged()[0]


@pytest.fixture(scope="module")
def frames():
    a, b, _, d, e, _ = demo_frames()
    return [a, b, d, e]


def probabilities(model, jpeg):
    with torch.inference_mode():
        return model(preprocess(jpeg)[None])[0].softmax(0)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "before", "after"),
    # TensorFlow's SAME by hand: out = ceil(size / stride); total = (out - 1) stride + kernel - size
    [(224, 3, 2, 0, 1), (7, 3, 2, 1, 1), (112, 5, 2, 1, 2), (9, 5, 1, 2, 2), (5, 1, 1, 0, 0)],
)
def test_padding_is_that_of_tensorflow(size, kernel, stride, before, after):
    generator = torch.Generator().manual_seed(0)
    conv = SameConv2d(2, 3, kernel, stride)
    x = torch.randn(1, 2, size, size, generator=generator)
    padded = functional.pad(x, (before, after, before, after))
    expected = functional.conv2d(padded, conv.weight, stride=stride)
    assert expected.shape[-1] == -(-size // stride)
    torch.testing.assert_close(conv(x), expected)


def test_padding_of_height_and_width_is_separate():
    x = torch.ones(1, 1, 6, 5)  # stride 2: the height is padded by 0 + 1, the width by 1 + 1
    conv = SameConv2d(1, 1, 3, 2)
    with torch.no_grad():
        conv.weight.fill_(1.0)
        counted = conv(x)[0, 0]
    assert counted.tolist() == [[6.0, 9.0, 6.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]


def test_the_network_is_lite0():
    network = EfficientNetLite0()
    # The published size of EfficientNet-lite0: 4.652 million weights, norms' statistics aside.
    assert sum(p.numel() for p in network.parameters()) == 4_652_008
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    stored = torch.load(weights_file(), weights_only=True)
    assert shapes == {name: tuple(value.shape) for name, value in stored.items()}


def test_packaged_weights_are_loaded_whole(model):
    sha256 = load_packaged()[1]
    assert sha256 == hashlib.sha256(weights_file().read_bytes()).hexdigest()
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    stored = torch.load(weights_file(), weights_only=True)
    assert all(torch.equal(value, stored[name]) for name, value in model.state_dict().items())


def test_logits_come_from_the_embedding(model, frames):
    x = torch.stack([preprocess(jpeg) for jpeg in frames[:2]])
    with torch.inference_mode():
        features = model.embed(x)
        logits = model(x)
    assert features.shape == (2, 1280)
    assert (features >= 0).all()
    assert (features <= 6).all()  # a mean of ReLU6
    weight, bias = model.state_dict()["_fc.weight"], model.state_dict()["_fc.bias"]
    torch.testing.assert_close(logits, features @ weight.T + bias)


def test_a_batch_is_its_images_one_by_one(model, frames):
    x = torch.stack([preprocess(jpeg) for jpeg in frames])
    with torch.inference_mode():
        together, alone = model(x), torch.cat([model(image[None]) for image in x])
    assert together.shape == (4, 1000)
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_real_photographs_are_named(model):
    """Two photographs that scikit-learn carries. Wrong channels or scaling lose both."""
    datasets = pytest.importorskip("sklearn.datasets")
    for name, expected in (("flower.jpg", "daisy"), ("china.jpg", "bell tower")):
        buffer = io.BytesIO()
        Image.fromarray(datasets.load_sample_image(name)).save(buffer, "jpeg", quality=95)
        best = probabilities(model, buffer.getvalue()).argmax()
        assert class_labels()[best] == expected


def test_demo_frames_golden(model, frames):
    best = [class_labels()[probabilities(model, jpeg).argmax()] for jpeg in frames]
    assert best == GOLDEN


GOLDEN = ["spotlight", "stage", "albatross", "albatross"]


def test_preprocess_values_by_hand():
    grey = Image.new("RGB", (64, 32), (127, 255, 0))
    buffer = io.BytesIO()
    grey.save(buffer, "png")
    tensor = preprocess(buffer.getvalue())
    assert tensor.shape == (3, 224, 224)
    assert tensor.dtype == torch.float32
    for channel, value in enumerate((0.0, 1.0, -127 / 128)):
        assert torch.all(tensor[channel] == value)


def test_preprocess_keeps_the_sides_of_a_wide_frame():
    pixels = np.zeros((90, 320, 3), np.uint8)
    pixels[:, :40] = 255  # an eighth on the left: a centre crop would not see it
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    tensor = preprocess(buffer.getvalue())
    white = (tensor[0] > 0).float().mean()
    assert abs(white - 1 / 8) < 0.01
    assert (tensor[:, :, :20] == 1).all()


@pytest.mark.parametrize("data", [b"", b"no image", b"\xff\xd8\xff\xe0" + b"\0" * 40])
def test_preprocess_refuses_what_is_no_image(data):
    with pytest.raises(ItemError, match="not a readable image"):
        preprocess(data)


def test_preprocess_refuses_cut_off_and_huge_images(frames):
    with pytest.raises(ItemError, match="not a readable image"):
        preprocess(frames[0][: len(frames[0]) // 2])
    buffer = io.BytesIO()
    Image.new("1", (9000, 9000)).save(buffer, "png")
    with pytest.raises(ItemError, match="9000 x 9000"):
        preprocess(buffer.getvalue())


def test_pixels_are_bytes_and_any_side(frames):
    whole = pixels(frames[0], 60, bicubic=False)
    assert whole.shape == (3, 60, 60)
    assert whole.dtype == torch.uint8
    expected = Image.open(io.BytesIO(frames[0])).convert("RGB")
    expected = np.asarray(expected.resize((60, 60), Image.Resampling.BILINEAR))
    assert np.array_equal(whole.permute(1, 2, 0).numpy(), expected)
    assert not torch.equal(whole, pixels(frames[0], 60))  # bicubic differs
    exact = (pixels(frames[0]).float() - 127) / 128
    assert torch.equal(preprocess(frames[0]), exact)
