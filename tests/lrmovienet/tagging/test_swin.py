"""The backbone against transformers' Swin with the same weights, and its parts by hand."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import SwinConfig, SwinModel

from lrmovienet.tagging import swin
from lrmovienet.tagging.swin import (
    Block,
    PatchMerging,
    Swin,
    SwinSize,
    WindowAttention,
    from_windows,
    relative_index,
    shift_mask,
    to_windows,
)

TWO_STAGES = SwinSize(image=64, width=8, depths=(2, 2), heads=(2, 4), window=4)  # grids 16, 8
LAST_IS_ONE_WINDOW = SwinSize(image=64, width=8, depths=(2, 3, 2), heads=(1, 2, 4), window=4)
ODD_WINDOW = SwinSize(image=48, width=6, depths=(2, 2), heads=(3, 1), window=3)  # grids 12, 6
ONE_STAGE = SwinSize(image=32, width=4, depths=(3,), heads=(2,), window=4)
SIZES = [TWO_STAGES, LAST_IS_ONE_WINDOW, ODD_WINDOW, ONE_STAGE]


def random_weights(model, seed=0):
    """Weights so large that every part of the network shows in what comes out."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.state_dict().items():
        noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
        if value.dim() > 1 and "bias_table" not in name:
            noise *= value[0].numel() ** -0.5
        value.copy_(noise + (name.endswith("weight") and value.dim() == 1))
    return model.eval().requires_grad_(False)


def random_images(size, n=2, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 3, size.image, size.image, generator=generator, dtype=dtype)


def their_names(state):
    """Our parameters under the names that transformers has for them."""
    named = {}
    for name, value in state.items():
        for ours, theirs in [
            ("patch_embed.proj", "embeddings.patch_embeddings.projection"),
            ("patch_embed.norm", "embeddings.norm"),
            ("layers.", "encoder.layers."),
            ("norm1", "layernorm_before"),
            ("norm2", "layernorm_after"),
            ("attn.relative", "attention.relative_position_bias.relative"),
            ("attn.proj", "attention.o_proj"),
        ]:
            name = name.replace(ours, theirs)
        if name.startswith("norm."):
            name = "layer" + name
        if "attn.qkv" in name:
            for letter, part in zip("qkv", value.chunk(3), strict=True):
                named[name.replace("attn.qkv", f"attention.{letter}_proj")] = part
        else:
            named[name] = value
    return named


def oracle(model, size, images, attention="sdpa"):
    """What transformers' Swin makes of the images: the mean of the last tokens, then they."""
    config = SwinConfig(
        image_size=size.image,
        patch_size=4,
        embed_dim=size.width,
        depths=list(size.depths),
        num_heads=list(size.heads),
        window_size=size.window,
        attn_implementation=attention,
    )
    other = SwinModel(config).to(images.dtype).eval()
    other.load_state_dict(their_names(model.state_dict()), strict=True)
    with torch.no_grad():
        found = other(images)
    return torch.cat([found.pooler_output[:, None], found.last_hidden_state], 1)


@pytest.mark.parametrize("size", SIZES)
def test_the_same_as_transformers_swin(size):
    model = random_weights(Swin(size).double())
    images = random_images(size)
    ours = model(images)
    assert ours.shape == (
        2,
        1 + (size.image // 4 // 2 ** (len(size.depths) - 1)) ** 2,
        size.features,
    )
    torch.testing.assert_close(ours, oracle(model, size, images), rtol=0, atol=1e-11)


@pytest.mark.parametrize("size", SIZES)
def test_the_same_in_single_precision_as_transformers_attention_written_out(size):
    model = random_weights(Swin(size))
    images = random_images(size, dtype=torch.float32)
    theirs = oracle(model, size, images, "eager")
    torch.testing.assert_close(model(images), theirs, rtol=0, atol=1e-5)


def row_by_row(self, x):
    n, _, width = x.shape
    x = x.view(n, self.grid // 2, 2, self.grid // 2, 2, width)
    return self.reduction(self.norm(x.transpose(2, 3).reshape(n, -1, 4 * width)))


def roll_the_other_way(model):
    for stage in model.layers:
        for block in stage.blocks:
            block.shift = -block.shift


def shift_one_window(model):
    block = model.layers[-1].blocks[1]
    block.shift = block.window // 2


def shift_nothing(model):
    for stage in model.layers:
        for block in stage.blocks:
            block.shift = 0


@pytest.mark.parametrize("wrong", [roll_the_other_way, shift_one_window, shift_nothing])
def test_the_comparison_sees_a_wrong_shift(wrong):
    size = LAST_IS_ONE_WINDOW
    model = random_weights(Swin(size).double())
    images = random_images(size)
    wrong(model)
    assert (model(images) - oracle(model, size, images)).abs().max() > 0.01


@pytest.mark.parametrize(
    ("where", "name", "wrong"),
    [
        (PatchMerging, "forward", row_by_row),
        (swin, "relative_index", lambda window: relative_index(window).t()),
        (swin, "shift_mask", lambda *sizes: torch.zeros_like(shift_mask(*sizes))),
    ],
    ids=["merging row by row", "key minus query", "no mask"],
)
def test_the_comparison_sees_a_wrong_part(monkeypatch, where, name, wrong):
    size = TWO_STAGES
    model = random_weights(Swin(size).double())
    images = random_images(size)
    monkeypatch.setattr(where, name, wrong)
    assert (model(images) - oracle(model, size, images)).abs().max() > 0.01


def test_windows_go_row_by_row():
    numbers = torch.arange(32).view(2, 4, 4, 1)
    assert to_windows(numbers, 2)[..., 0].tolist() == [
        [0, 1, 4, 5],
        [2, 3, 6, 7],
        [8, 9, 12, 13],
        [10, 11, 14, 15],
        [16, 17, 20, 21],
        [18, 19, 22, 23],
        [24, 25, 28, 29],
        [26, 27, 30, 31],
    ]


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
def test_windows_put_back_are_the_grid(n, across, window, width):
    side = across * window
    x = torch.arange(n * side * side * width).view(n, side, side, width)
    windows = to_windows(x, window)
    assert windows.shape == (n * across**2, window**2, width)
    assert torch.equal(from_windows(windows, side, window), x)


def test_relative_index_of_a_window_of_two():
    # Tokens (0,0) (0,1) (1,0) (1,1); row (dy + 1) * 3 + dx + 1, query minus key.
    assert relative_index(2).tolist() == [
        [4, 3, 1, 0],
        [5, 4, 2, 1],
        [7, 6, 4, 3],
        [8, 7, 5, 4],
    ]


def test_the_bias_of_one_offset_draws_each_token_to_its_left_neighbour():
    attention = WindowAttention(2, 2, 2).requires_grad_(False)
    for value in attention.state_dict().values():
        value.zero_()
    attention.qkv.weight[4:] = torch.eye(2)  # the values are the tokens
    attention.proj.weight.copy_(torch.eye(2))
    # Head 0, dy = 0, dx = 1: the query stands one to the right of the key.
    attention.relative_position_bias_table[5, 0] = 200
    tokens = torch.tensor([[[1.0, 1.0], [2.0, 3.0], [4.0, 6.0], [9.0, 2.0]]])
    # Tokens (0,0) and (1,0) have no left neighbour: the mean of all, as head 1 has everywhere.
    assert attention(tokens, None).tolist() == [[[4.0, 3.0], [1.0, 3.0], [4.0, 3.0], [4.0, 3.0]]]


def test_attention_is_scaled_by_the_width_of_one_head():
    attention = WindowAttention(8, 2, 2).double().requires_grad_(False)
    for value in attention.state_dict().values():
        value.zero_()
    for part in range(3):
        attention.qkv.weight[8 * part : 8 * part + 8] = torch.eye(8)
    attention.proj.weight.copy_(torch.eye(8))
    tokens = torch.zeros(1, 4, 8, dtype=torch.float64)
    tokens[0, 0, 0] = 2.0
    # Token 0 meets itself with 2 * 2 / sqrt(4) = 2 and the others with 0.
    share = torch.tensor(2.0, dtype=torch.float64).exp()
    assert attention(tokens, None)[0, 0, 0].item() == pytest.approx(2 * share / (share + 3))
    assert attention(tokens, None)[0, 1, 0].item() == pytest.approx(2 / 4)


def test_shift_mask_of_a_grid_of_four():
    apart = [[int(value) for value in row] for window in shift_mask(4, 2) for row in window]
    o, x = 0, -100
    # Rows and columns 0 1 | 2 | 3: windows at the right and below hold two regions, the last four.
    assert apart[0:4] == [[o, o, o, o]] * 4
    assert apart[4:8] == [[o, x, o, x], [x, o, x, o], [o, x, o, x], [x, o, x, o]]
    assert apart[8:12] == [[o, o, x, x], [o, o, x, x], [x, x, o, o], [x, x, o, o]]
    assert apart[12:16] == [[o, x, x, x], [x, o, x, x], [x, x, o, x], [x, x, x, o]]


@given(st.integers(2, 4), st.integers(2, 5))
@settings(max_examples=12)
def test_the_mask_parts_just_the_tokens_that_the_roll_alone_brought_together(across, window):
    side, shift = across * window, window // 2
    origin = torch.arange(side**2).view(1, side, side, 1).roll((-shift, -shift), (1, 2))
    for tokens, mask in zip(
        to_windows(origin, window)[..., 0].tolist(), shift_mask(side, window), strict=True
    ):
        for (i, a), (j, b) in itertools.product(enumerate(tokens), repeat=2):
            near = max(abs(a // side - b // side), abs(a % side - b % side)) < window
            assert mask[i, j] == (0 if near else -100)


def test_a_shifted_block_mixes_windows_that_begin_half_a_window_later():
    block = Block(1, 1, window=2, grid=4, shifted=True).double().requires_grad_(False)
    block.norm1 = block.norm2 = nn.Identity()
    for value in block.state_dict().values():
        value.zero_()
    block.attn.qkv.weight[2] = block.attn.proj.weight[0] = 1.0
    x = torch.arange(16.0, dtype=torch.float64).view(4, 4)
    # Queries and keys are zero: a token takes the mean of its region. Rows 0 | 1 2 | 3, so columns.
    mean = torch.tensor(
        [
            [0.0, 1.5, 1.5, 3.0],
            [6.0, 7.5, 7.5, 9.0],
            [6.0, 7.5, 7.5, 9.0],
            [12.0, 13.5, 13.5, 15.0],
        ],
        dtype=torch.float64,
    )
    torch.testing.assert_close(block(x.view(1, 16, 1)).view(4, 4), x + mean, rtol=0, atol=1e-12)


def test_patch_merging_takes_the_lower_neighbour_before_the_right_one():
    merging = PatchMerging(2, 4)
    merging.norm = merging.reduction = nn.Identity()
    row, column = torch.arange(4.0)[:, None], torch.arange(4.0)[None, :]
    token = 10 * row + column
    x = torch.stack([token, token + 100], -1).view(1, 16, 2)
    assert merging(x)[0].tolist() == [
        [0, 100, 10, 110, 1, 101, 11, 111],
        [2, 102, 12, 112, 3, 103, 13, 113],
        [20, 120, 30, 130, 21, 121, 31, 131],
        [22, 122, 32, 132, 23, 123, 33, 133],
    ]


def test_swin_l_shifts_every_second_block_by_six_but_in_the_last_stage_none():
    with torch.device("meta"):
        model = Swin(SwinSize())
    shifts = [[block.shift for block in stage.blocks] for stage in model.layers]
    assert shifts == [[0, 6], [0, 6], [0, 6] * 9, [0, 0]]
    assert [stage.blocks[0].grid for stage in model.layers] == [96, 48, 24, 12]
    assert [stage.downsample is None for stage in model.layers] == [False, False, False, True]


def test_swin_l_has_the_published_size_and_output():
    with torch.device("meta"):
        model = Swin(SwinSize())
    # The paper's 197M (table 1) counts a classifier of 1,000 classes as well.
    parameters = sum(value.numel() for value in model.parameters())
    assert round((parameters + 1536 * 1000 + 1000) / 1e6) == 197
    assert model(torch.zeros(2, 3, 384, 384, device="meta")).shape == (2, 145, 1536)


def test_the_first_token_is_the_mean_of_the_others():
    model = random_weights(Swin(TWO_STAGES).double())
    tokens = model(random_images(TWO_STAGES))
    torch.testing.assert_close(tokens[:, 0], tokens[:, 1:].mean(1), rtol=0, atol=1e-12)


def test_an_image_does_not_depend_on_its_neighbours_in_the_batch():
    model = random_weights(Swin(TWO_STAGES).double())
    images = random_images(TWO_STAGES, n=3)
    alone = torch.cat([model(image[None]) for image in images])
    torch.testing.assert_close(model(images), alone, rtol=0, atol=1e-11)
    assert (alone[0] - alone[1]).abs().max() > 0.01
