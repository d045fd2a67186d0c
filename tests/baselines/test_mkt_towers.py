"""Checkpoints of MKT: every name and shape is held to the official ones."""

import numpy as np
import pytest
import torch
from tiny_dual import DIM, HEADS, LAYERS, PATCH, PIXELS
from tiny_mkt import make_mkt

from baselines.mkt_towers import ImageTower, Sizes, TextTower, load_tower
from lrmovienet.errors import UserError

TINY = Sizes(PIXELS, PATCH, 32, LAYERS, HEADS, 32, LAYERS, HEADS, tokens=514, positions=77, dim=DIM)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_mkt(tmp_path_factory.mktemp("mkt"))


def test_names_and_sizes_of_the_official_checkpoints():
    with torch.device("meta"):
        image = {n: tuple(t.shape) for n, t in ImageTower(Sizes()).state_dict().items()}
        text = {n: tuple(t.shape) for n, t in TextTower(Sizes()).state_dict().items()}

    def block(i, width):
        at = f"transformer.resblocks.{i}"
        return {
            f"{at}.attn.in_proj_weight": (3 * width, width),
            f"{at}.attn.in_proj_bias": (3 * width,),
            f"{at}.attn.out_proj.weight": (width, width), f"{at}.attn.out_proj.bias": (width,),
            f"{at}.ln_1.weight": (width,), f"{at}.ln_1.bias": (width,),
            f"{at}.ln_2.weight": (width,), f"{at}.ln_2.bias": (width,),
            f"{at}.mlp.c_fc.weight": (4 * width, width), f"{at}.mlp.c_fc.bias": (4 * width,),
            f"{at}.mlp.c_proj.weight": (width, 4 * width), f"{at}.mlp.c_proj.bias": (width,),
        }  # fmt: skip

    wanted = {
        "class_embedding": (768,), "positional_embedding": (197, 768),
        "projection_dist": (768, 512), "conv1.weight": (768, 3, 16, 16),
        "ln_pre.weight": (768,), "ln_pre.bias": (768,), "ln_post.weight": (768,),
        "ln_post.bias": (768,), "projection.fc1.weight": (512, 768), "projection.fc1.bias": (512,),
        "projection.fc2.weight": (512, 512), "projection.fc2.bias": (512,),
    }  # fmt: skip
    for i in range(12):
        wanted |= block(i, 768)
    assert image == wanted
    wanted = {
        "positional_embedding": (77, 512), "text_projection": (512, 512),
        "token_embedding.weight": (49408, 512), "ln_final.weight": (512,), "ln_final.bias": (512,),
    }  # fmt: skip
    for i in range(12):
        wanted |= block(i, 512)
    assert text == wanted
    # OpenAI's ViT-B/16 has 149,620,737 numbers, one of them the temperature.
    count = sum(int(np.prod(shape)) for shape in [*image.values(), *text.values()])
    added = 768 * 512 + 512 + 512 * 512 + 512
    assert count == 149_620_737 - 1 + added


def test_a_tower_is_loaded_strictly(root, tmp_path):
    state = torch.load(root / "stage1.pth", weights_only=True)

    def said(changed):
        torch.save(changed, tmp_path / "x.pth")
        with pytest.raises(UserError) as error:
            load_tower(tmp_path / "x.pth", ImageTower, TINY)
        assert "Google Drive" in str(error.value) and "sunanhe/MKT" in str(error.value)
        return str(error.value).removeprefix(f"{tmp_path}/x.pth: ")

    assert load_tower(root / "stage1.pth", ImageTower, TINY).training is False
    lacking = {n: t for n, t in state.items() if n != "transformer.resblocks.1.ln_2.bias"}
    assert said(lacking).startswith("transformer.resblocks.1.ln_2.bias is missing")
    more = said({**state, "head.bias": torch.zeros(1)})
    assert more.startswith("'head.bias' is not part of this tower")
    other = said({**state, "conv1.weight": torch.zeros(32, 3, 16, 16)})
    assert other.startswith("conv1.weight has shape (32, 3, 16, 16)") and "(32, 3, 8, 8)" in other
    mixed = {f"module.{n}" if n == "conv1.weight" else n: t for n, t in state.items()}
    assert said(mixed).startswith("conv1.weight is missing")
    with pytest.raises(UserError, match=r"positional_embedding has shape \(17, 32\)"):
        load_tower(root / "stage1.pth", TextTower, TINY)
    torch.save(state["conv1.weight"], tmp_path / "x.pth")
    with pytest.raises(UserError, match="holds no dict of tensors"):
        load_tower(tmp_path / "x.pth", ImageTower, TINY)


def test_half_precision_becomes_single(root, tmp_path):
    state = torch.load(root / "stage2.pth", weights_only=True)
    torch.save({n: t.half() for n, t in state.items()}, tmp_path / "half.pth")
    tower = load_tower(tmp_path / "half.pth", TextTower, TINY)
    assert {p.dtype for p in tower.parameters()} == {torch.float32}
    assert torch.equal(tower.ln_final.weight, state["module.ln_final.weight"].half().float())


def test_a_file_with_code_is_not_run(tmp_path):
    class Bad:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"conv1.weight": Bad()}, tmp_path / "x.pth")
    with pytest.raises(UserError, match="not a readable checkpoint"):
        load_tower(tmp_path / "x.pth", ImageTower, TINY)
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_checkpoints_of_the_official_size(tmp_path):
    torch.manual_seed(0)
    for kind, name in ((ImageTower, "stage1.pth"), (TextTower, "stage2.pth")):
        state = {
            f"module.{n}": torch.randn(t.shape) * 0.02
            for n, t in kind(Sizes()).state_dict().items()
        }
        torch.save(state, tmp_path / name)
        tower = load_tower(tmp_path / name, kind, Sizes())
        assert all(torch.equal(t, state[f"module.{n}"]) for n, t in tower.state_dict().items())
    with torch.inference_mode():
        whole, patches = load_tower(tmp_path / "stage1.pth", ImageTower, Sizes())(
            torch.randn(1, 3, 224, 224)
        )
        text = tower(torch.randn(1, 9, 512))
    assert (whole.shape, patches.shape, text.shape) == ((1, 512), (1, 196, 512), (1, 512))
    assert all(torch.isfinite(found).all() for found in (whole, patches, text))
