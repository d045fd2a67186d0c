"""Small random CLIP, SigLIP and SigLIP 2 checkpoints with tokenizers, made without a network."""

import io
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tiny_corpus import write_table
from tokenizers import pre_tokenizers, processors
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTokenizer,
    Siglip2Config,
    Siglip2ImageProcessorPil,
    Siglip2Model,
    Siglip2Tokenizer,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
)

from baselines.data import Pictures, Record
from lrmovienet.files import write_bytes
from lrmovienet.workspace import Workspace

PIXELS, PATCH, LAYERS, HEADS = 32, 8, 2, 4
SIZES = {
    "hidden_size": 32, "intermediate_size": 128, "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
}  # fmt: skip
DIM = 24


def make_clip(folder: Path, seed: int = 0, patch: int = PATCH, act: str = "quick_gelu") -> Path:
    """A whole checkpoint of CLIP, whose tokens are bytes."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: i for i, word in enumerate(words)}
    CLIPTokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder)
    CLIPImageProcessorPil(
        size={"shortest_edge": PIXELS}, crop_size={"height": PIXELS, "width": PIXELS}
    ).save_pretrained(folder)
    text = {
        **SIZES, "vocab_size": len(words), "bos_token_id": len(words) - 2, "hidden_act": act,
        "eos_token_id": len(words) - 1, "pad_token_id": len(words) - 1,
        "max_position_embeddings": 77,
    }  # fmt: skip
    image = {**SIZES, "image_size": PIXELS, "patch_size": patch, "hidden_act": act}
    torch.manual_seed(seed)
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=image, projection_dim=DIM))
    _save(model, folder)
    return folder


def make_siglip(folder: Path, kind: str, seed: int = 0) -> Path:
    """A whole checkpoint of the kind ``siglip`` or ``siglip2``, whose tokens are letters."""
    letters = [chr(i) for i in range(33, 127)] + ["▁"]
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *letters]
    words += [f"<0x{i:02X}>" for i in range(256)]
    tokenizer = Siglip2Tokenizer(vocab={word: i for i, word in enumerate(words)}, merges=[])
    # As published checkpoints have it: the end token behind every text.
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", 1)]
    )
    tokenizer.save_pretrained(folder)
    text = {
        **SIZES, "vocab_size": len(words), "max_position_embeddings": 64, "projection_size": 32,
        "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0,
    }  # fmt: skip
    torch.manual_seed(seed)
    if kind == "siglip":
        SiglipImageProcessorPil(size={"height": PIXELS, "width": PIXELS}).save_pretrained(folder)
        image = {**SIZES, "image_size": PIXELS, "patch_size": PATCH}
        model = SiglipModel(SiglipConfig(text_config=text, vision_config=image))
    else:
        Siglip2ImageProcessorPil(patch_size=PATCH, max_num_patches=20).save_pretrained(folder)
        image = {**SIZES, "num_patches": 16, "patch_size": PATCH}
        model = Siglip2Model(Siglip2Config(text_config=text, vision_config=image))
    _save(model, folder)
    return folder


def pictures(count: int) -> list[bytes]:
    """Image files of noise, no two of one size."""
    found = []
    for i in range(count):
        noise = np.random.default_rng(i).integers(0, 256, (40 + 3 * i, 64, 3), dtype=np.uint8)
        data = io.BytesIO()
        Image.fromarray(noise).save(data, "PNG")
        found.append(data.getvalue())
    return found


def record_of(root: Path, images: list[bytes], labels: tuple[str, ...], text: str) -> Record:
    """A record of a workspace of its own, in which these are the keyframes."""
    frames = []
    for i, data in enumerate(images):
        frames.append({"ref": f"tt0/shot_0000_img_{i}.jpg", "sha256": sha256(data).hexdigest()})
        write_bytes(root / "frames" / "240P" / frames[-1]["ref"], data)
    workspace = Workspace(root)
    row = {
        "clip_id": "tt0_0000", "movie_id": "tt0", "title": None, "genres": [], "description": text,
        "shot": [0, 1], "frame": [0, 9], "start_s": None, "end_s": None, "keyframes": frames,
    }  # fmt: skip
    write_table(workspace, "clips", [row])
    named = tuple((frame["ref"], frame["sha256"]) for frame in frames)
    sources = ("image",) * len(labels)
    at = Pictures(workspace, named)
    return Record("tt0_0000", "target", labels, sources, (), text, pictures=at)


def _save(model: torch.nn.Module, folder: Path) -> None:
    with torch.no_grad():
        for parameter in model.parameters():  # far from symmetric, so that every part matters
            parameter.add_(torch.randn_like(parameter) * 0.05)
    model.save_pretrained(folder)
