"""Small checkpoints of MKT, by official names, made of random CLIP models."""

from pathlib import Path

import torch
from tiny_dual import DIM, LAYERS, make_clip
from transformers import CLIPModel


def make_mkt(root: Path) -> Path:
    """CLIP, and the two towers: of CLIP models from other seeds, as though they were tuned."""
    for seed, name in enumerate(("clip", "one", "two")):
        make_clip(root / name, seed)
    torch.save(image_state(CLIPModel.from_pretrained(root / "one")), root / "stage1.pth")
    state = text_state(CLIPModel.from_pretrained(root / "two"))
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, root / "stage2.pth")
    return root


def blocks(weights, prefix):
    """Names of the library's layers -> the official ones."""
    found = {}
    for i in range(LAYERS):
        theirs, ours = f"transformer.resblocks.{i}", f"{prefix}.encoder.layers.{i}"
        for kind in ("weight", "bias"):
            heads = [weights[f"{ours}.self_attn.{x}_proj.{kind}"] for x in "qkv"]
            found[f"{theirs}.attn.in_proj_{kind}"] = torch.cat(heads)
            for name, other in (
                ("attn.out_proj", "self_attn.out_proj"), ("ln_1", "layer_norm1"),
                ("ln_2", "layer_norm2"), ("mlp.c_fc", "mlp.fc1"), ("mlp.c_proj", "mlp.fc2"),
            ):  # fmt: skip
                found[f"{theirs}.{name}.{kind}"] = weights[f"{ours}.{other}.{kind}"]
    return found


def image_state(model):
    weights = model.state_dict()
    at = "vision_model"
    found = {
        "class_embedding": weights[f"{at}.embeddings.class_embedding"],
        "positional_embedding": weights[f"{at}.embeddings.position_embedding.weight"],
        "projection_dist": weights["visual_projection.weight"].T.contiguous(),
        "conv1.weight": weights[f"{at}.embeddings.patch_embedding.weight"],
        "projection.fc1.weight": torch.randn(DIM, 32), "projection.fc1.bias": torch.randn(DIM),
        "projection.fc2.weight": torch.randn(DIM, DIM), "projection.fc2.bias": torch.randn(DIM),
    }  # fmt: skip
    for kind in ("weight", "bias"):
        found[f"ln_pre.{kind}"] = weights[f"{at}.pre_layrnorm.{kind}"]
        found[f"ln_post.{kind}"] = weights[f"{at}.post_layernorm.{kind}"]
    return found | blocks(weights, at)


def text_state(model):
    weights = model.state_dict()
    at = "text_model"
    found = {
        "positional_embedding": weights[f"{at}.embeddings.position_embedding.weight"],
        "text_projection": weights["text_projection.weight"].T.contiguous(),
        "token_embedding.weight": weights[f"{at}.embeddings.token_embedding.weight"],
    }
    for kind in ("weight", "bias"):
        found[f"ln_final.{kind}"] = weights[f"{at}.final_layer_norm.{kind}"]
    return found | blocks(weights, at)
