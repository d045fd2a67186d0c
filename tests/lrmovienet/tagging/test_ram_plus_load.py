"""Checkpoints: what is right loads whole, and what is wrong ends in one message that says what."""

import argparse
import os
import pickle
from dataclasses import replace

import pytest
import torch

from lrmovienet.errors import UserError
from lrmovienet.tagging.ram_plus import RamPlus, RamSize, load, select
from lrmovienet.tagging.swin import SwinSize, relative_index, shift_mask

# Grids of 8 and 4 tokens a side: the first stage has four windows, the last has one.
TINY = RamSize(
    swin=SwinSize(image=32, width=4, depths=(2, 2), heads=(1, 2), window=4),
    tags=7,
    descriptions=3,
    shared=6,
    width=8,
    heads=2,
)
TINY_RAM = replace(TINY, descriptions=1)
IMAGES = torch.arange(2 * 3 * 32 * 32).remainder(251).to(torch.uint8).view(2, 3, 32, 32)


def random_state(size=TINY, seed=0):
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, value in RamPlus(size).state_dict().items():
        noise = torch.randn(value.shape, generator=generator)
        large = name in ("label_embed", "wordvec_proj.weight", "fc.weight")
        state[name] = noise * (2 if large else 0.3) + (noise.dim() == 1 and "norm" in name.lower())
    return state


def constants():
    block = "visual_encoder.layers.0.blocks.1"
    names = [f"visual_encoder.layers.{i}.blocks.{j}.attn" for i in range(2) for j in range(2)]
    indices = {f"{name}.relative_position_index": relative_index(4) for name in names}
    return indices | {f"{block}.attn_mask": shift_mask(8, 4)}


def plain(state, size=TINY):
    """The network itself, its weights put in without `load`."""
    model = RamPlus(size).eval().requires_grad_(False)
    model.load_state_dict(state)
    return model


def saved(tmp_path, content):
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    return path


def refused(path, size=TINY):
    """The one line that tells what is wrong with a file."""
    with pytest.raises(UserError) as caught:
        load(path, size)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < len(str(path)) + 400
    return message.removeprefix(f"{path}: ")


def refused_state(tmp_path, change, size=TINY):
    state = random_state(size)
    change(state)
    return refused(saved(tmp_path, {"model": state}), size)


@pytest.mark.parametrize("size", [TINY, TINY_RAM])
def test_a_saved_network_comes_back(tmp_path, size):
    state = random_state(size)
    model = load(saved(tmp_path, {"model": state}), size)
    assert not model.training
    assert not any(value.requires_grad for value in model.parameters())
    assert {k: v.tolist() for k, v in model.state_dict().items()} == {
        k: v.tolist() for k, v in state.items()
    }
    expected = plain(state, size)(IMAGES)
    torch.testing.assert_close(model(IMAGES), expected, rtol=0, atol=1e-5)
    assert expected.std(1).min() > 0.1  # the scores do differ


def test_constants_captions_older_names_and_the_state_of_training_are_passed_over(tmp_path):
    state = random_state()
    older = {k.replace("tagging_head", "vision_multi"): v for k, v in state.items()}
    assert older.keys() != state.keys()
    captions = {
        "tag_encoder.embeddings.position_ids": torch.arange(512)[None],
        "tag_encoder.encoder.layer.0.crossattention.self.query.weight": torch.ones(8, 8),
        "text_decoder.cls.predictions.bias": torch.ones(9),
    }
    weights = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([weights])
    weights.sum().backward()
    optimizer.step()
    content = {
        "model": constants() | captions | older,
        "optimizer": optimizer.state_dict(),
        "config": {"image_size": 384, "train_file": ["a.json"], "vit": "swin_l"},
        "epoch": 4,
    }
    model = load(saved(tmp_path, content), TINY)
    torch.testing.assert_close(model(IMAGES), plain(state)(IMAGES), rtol=0, atol=1e-5)


def test_weights_without_a_name_around_them_load_as_well(tmp_path):
    state = random_state()
    model = load(saved(tmp_path, state), TINY)
    assert torch.equal(model.fc.weight, state["fc.weight"])


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
@pytest.mark.parametrize("stored", [torch.float64, torch.float32, torch.float16])
def test_the_precision_is_the_wanted_one_whatever_the_file_has(tmp_path, precision, dtype, stored):
    state = {name: value.to(stored) for name, value in random_state().items()}
    model = load(saved(tmp_path, {"model": state}), TINY, precision)
    assert {value.dtype for value in model.state_dict().values()} == {dtype}
    assert torch.equal(model.fc.weight, state["fc.weight"].to(dtype))


def test_select_gives_the_networks_weights_in_its_order():
    state = random_state()
    shuffled = dict(sorted((constants() | state).items()))
    chosen = select({"model": shuffled}, RamPlus(TINY).state_dict(), TINY, "here")
    assert list(chosen) == list(state)
    assert all(chosen[name] is state[name] for name in state)


@pytest.mark.parametrize("name", ["fc.bias", "visual_encoder.norm.weight", "reweight_scale"])
def test_a_missing_weight_is_named(tmp_path, name):
    said = refused_state(tmp_path, lambda state: state.pop(name))
    assert said.startswith(f"{name} is missing. ")


@pytest.mark.parametrize(
    "name",
    [
        "head.weight",
        "visual_encoder.layers.0.blocks.2.norm1.weight",
        "fc.weight.more",
        "attn_mask",
        "relative_position_index",
        "visual_encoder.layers.9.blocks.0.attn.relative_position_index",
        "visual_encoder.layers.0.blocks.0.relative_position_index",
        "visual_encoder.layers.0.blocks.1.attn_mask.attn_mask",
        "tagging_head.encoder.layer.0.attn_mask",
        "my_tag_encoder.weight",
        "x" * 5000,
        "two\nlines",
    ],
)
def test_an_unknown_weight_is_named(tmp_path, name):
    said = refused_state(tmp_path, lambda state: state.update({name: torch.ones(2)}))
    assert "is not part of this network. " in said
    assert name[:20].partition("\n")[0] in said


def test_a_weight_of_another_shape_is_named_with_both_shapes(tmp_path):
    said = refused_state(tmp_path, lambda state: state.update({"fc.weight": torch.ones(8, 1)}))
    assert said.startswith("fc.weight has shape (8, 1)")
    assert "expected (1, 8)" in said


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.complex64])
def test_weights_that_are_not_floating_point_are_refused(tmp_path, dtype):
    said = refused_state(
        tmp_path, lambda state: state.update({"fc.bias": state["fc.bias"].to(dtype)})
    )
    assert said.startswith("fc.bias has shape (1,) ")
    assert str(dtype) in said


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("visual_encoder.layers.1.blocks.0.attn.relative_position_index", (9, 9), (16, 16)),
        ("visual_encoder.layers.0.blocks.1.attn_mask", (1, 16, 16), (4, 16, 16)),
        ("visual_encoder.layers.0.blocks.1.attn_mask", (4, 9, 9), (4, 16, 16)),
    ],
)
def test_a_constant_of_another_shape_is_another_network(tmp_path, name, shape, expected):
    said = refused_state(tmp_path, lambda state: state.update({name: torch.zeros(shape)}))
    assert name in said
    assert f"has shape {shape}, expected {expected}" in said


def test_a_checkpoint_of_the_other_model_names_the_option_to_give(tmp_path):
    ram = saved(tmp_path, {"model": random_state(TINY_RAM)})
    assert refused(ram, TINY).endswith("for RAM's checkpoint give --tagger ram.")
    plus = saved(tmp_path, {"model": random_state(TINY)})
    assert refused(plus, TINY_RAM).endswith("for RAM++'s checkpoint give --tagger ram_plus.")


@pytest.mark.parametrize(
    "content",
    [
        {"model": {"fc.weight": [1.0, 2.0]}},
        {"model": None},
        {"model": torch.ones(3)},
        {"state_dict": {}, "epoch": 3},
        torch.ones(3),
        [1, 2],
        None,
        "text",
    ],
)
def test_a_checkpoint_of_another_make_is_refused(tmp_path, content):
    assert refused(saved(tmp_path, content)).startswith("holds no weights under 'model'. ")


@pytest.mark.parametrize("content", [{}, {"model": {}}])
def test_an_empty_checkpoint_lacks_the_first_weight(tmp_path, content):
    assert " is missing. " in refused(saved(tmp_path, content))


class Harmful:
    """Makes a folder when it is unpickled."""

    def __init__(self, flag):
        self.flag = flag

    def __reduce__(self):
        return os.mkdir, (str(self.flag),)


def pickled(path, content):
    path.write_bytes(pickle.dumps(content))


@pytest.mark.parametrize("write", [lambda path, content: torch.save(content, path), pickled])
def test_no_code_of_a_checkpoint_runs(tmp_path, write):
    flag, path = tmp_path / "flag", tmp_path / "weights.pth"
    write(path, {"model": random_state() | {"fc.bias": Harmful(flag)}})
    assert refused(path).startswith("not a readable checkpoint (")
    assert not flag.exists()
    # The test is sharp: whoever trusts the file does run it.
    if write is pickled:
        pickle.loads(path.read_bytes())
    else:
        torch.load(path, weights_only=False)
    assert flag.exists()


def test_objects_beside_the_weights_are_refused(tmp_path):
    path = saved(tmp_path, {"model": random_state(), "args": argparse.Namespace(lr=1.0)})
    assert refused(path).startswith("not a readable checkpoint (")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"version https://git-lfs.github.com/spec/v1\n",
        b"<!DOCTYPE html>",
        b"PK\x03\x04",
        b"\x80",
    ],
    ids=["empty", "git-lfs", "html", "zip", "pickle"],
)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    assert refused(path).startswith("not a readable checkpoint (")


def test_a_download_that_broke_off_is_refused(tmp_path):
    path = saved(tmp_path, {"model": random_state()})
    whole = path.read_bytes()
    for share in (0.1, 0.5, 0.99):
        path.write_bytes(whole[: int(share * len(whole))])
        assert refused(path).startswith("not a readable checkpoint (")


def test_a_folder_and_no_file_at_all_are_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none.pth"):
        assert refused(path).startswith("not a readable checkpoint (")
