"""RAM++ and RAM: which of 4,585 tags a frame shows.

Y. Zhang et al., *Recognize Anything* (2306.03514) and X. Huang et al., *Open-Set Image Tagging with
Multi-Grained Text Supervision* (2310.15200). The network is written from the papers and from the
shapes of the published checkpoints; the tag list, its thresholds and the weights are those of
github.com/xinyu1205/recognize-anything (Apache-2.0, see ``ram_tags/LICENSE``), whose own package
does not run beside current libraries.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from eval.labels import normal_form
from lrmovienet.errors import UserError, shorten
from lrmovienet.tagging.efficientnet_lite import pixels
from lrmovienet.tagging.frames import Floats
from lrmovienet.tagging.swin import Swin, SwinSize

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

UNUSED = ("tag_encoder.", "text_decoder.")
"""Parts of RAM's checkpoint that write captions."""
GEOMETRY = ("relative_position_index", "attn_mask")
"""Constants that the checkpoint stores and `swin` computes."""


@dataclass(frozen=True)
class RamSize:
    """Sizes of RAM++ (the default) and, with one description a tag, of RAM."""

    swin: SwinSize = field(default_factory=SwinSize)
    tags: int = 4585
    descriptions: int = 51
    """Descriptions a tag. RAM has one: the tag's name, and nothing to weigh."""
    shared: int = 512
    """Width of the space that frames and descriptions share, CLIP's."""
    width: int = 768
    heads: int = 4
    layers: int = 2


RAM_PLUS = RamSize()
RAM = replace(RAM_PLUS, descriptions=1)


@cache
def tags() -> tuple[str, ...]:
    """The 4,585 tags in the model's order, in `eval.labels.normal_form`."""
    return tuple(normal_form(line) for line in _lines("ram_tag_list.txt"))


@cache
def thresholds() -> tuple[float, ...]:
    """For each tag the probability that it must exceed, as published; a tag of 1.0 is never on."""
    return tuple(float(line) for line in _lines("ram_tag_list_threshold.txt"))


def _lines(name: str) -> list[str]:
    folder = files("lrmovienet.tagging") / "ram_tags"
    return (folder / name).read_text(encoding="utf-8").splitlines()


class _Linear(nn.Module):
    """Where the checkpoint has ``dense`` under a name of its own."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.dense = nn.Linear(inputs, outputs)


class _Normed(_Linear):
    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs)
        self.LayerNorm = nn.LayerNorm(outputs, eps=1e-12)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        y: Tensor = self.LayerNorm(residual + self.dense(x))
        return y


class _Projections(nn.Module):
    def __init__(self, width: int, memory: int):
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(memory, width)
        self.value = nn.Linear(memory, width)


class _CrossAttention(nn.Module):
    def __init__(self, width: int, memory: int, heads: int):
        super().__init__()
        self.heads = heads
        self.self = _Projections(width, memory)
        self.output = _Normed(width, width)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.self.query(x), self.self.key(memory), self.self.value(memory))
        )
        y = functional.scaled_dot_product_attention(q, k, v)
        attended: Tensor = self.output(y.transpose(1, 2).flatten(2), x)
        return attended


class DecoderLayer(nn.Module):
    """Tags attend to the frame's tokens, not to each other; norms come last (Query2Label)."""

    def __init__(self, width: int, memory: int, heads: int):
        super().__init__()
        self.crossattention = _CrossAttention(width, memory, heads)
        self.intermediate = _Linear(width, 4 * width)
        self.output = _Normed(4 * width, width)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """Queries (n, tags, width) and frame tokens (n, tokens, memory) -> as the queries."""
        h = self.crossattention(x, memory)
        y: Tensor = self.output(functional.gelu(self.intermediate.dense(h)), h)
        return y


class _Layers(nn.Module):
    def __init__(self, size: RamSize):
        super().__init__()
        self.layer = nn.ModuleList(
            DecoderLayer(size.width, size.shared, size.heads) for _ in range(size.layers)
        )


class _Head(nn.Module):
    def __init__(self, size: RamSize):
        super().__init__()
        self.encoder = _Layers(size)


class RamPlus(nn.Module):
    """The whole network; its parameters have the names of the published checkpoint."""

    def __init__(self, size: RamSize = RAM_PLUS):
        super().__init__()
        self.size = size
        self.visual_encoder = Swin(size.swin)
        self.image_proj = nn.Linear(size.swin.features, size.shared)
        self.label_embed = nn.Parameter(torch.zeros(size.tags * size.descriptions, size.shared))
        if size.descriptions > 1:
            self.reweight_scale = nn.Parameter(torch.tensor(2.6592))  # ln(1 / .07)
        self.wordvec_proj = nn.Linear(size.shared, size.width)
        self.tagging_head = _Head(size)
        self.fc = nn.Linear(size.width, 1)

    def queries(self, frame: Tensor) -> Tensor:
        """Class tokens of frames (n, shared) -> what is asked of them, (n, tags, width).

        RAM++ mixes the descriptions of each tag by how well they match the frame: a softmax over
        ``exp(reweight_scale) * description . frame`` (2310.15200, §3.3), the frame's vector of
        length one. RAM has one description a tag.
        """
        size = self.size
        described = self.label_embed.view(size.tags, size.descriptions, size.shared)
        if size.descriptions == 1:
            mixed = described.squeeze(1).expand(len(frame), -1, -1)
        else:
            unit = frame / frame.norm(dim=-1, keepdim=True)
            match = (self.reweight_scale.exp() * unit) @ self.label_embed.t()
            weights = match.view(-1, size.tags, size.descriptions).softmax(-1)
            mixed = torch.bmm(weights.transpose(0, 1), described).transpose(0, 1)
        return functional.relu(self.wordvec_proj(mixed))

    def forward(self, images: Tensor) -> Tensor:
        """Frames (n, 3, 384, 384), RGB 0 to 255 -> logits (n, tags); their sigmoid is a score."""
        weight = self.image_proj.weight
        constants = torch.tensor([MEAN, STD], device=images.device)[:, None, :, None, None]
        pixels = (images.float() / 255 - constants[0]) / constants[1]
        memory = self.image_proj(self.visual_encoder(pixels.to(weight.dtype)))
        x = self.queries(memory[:, 0])
        for layer in self.tagging_head.encoder.layer:
            x = layer(x, memory)
        logits: Tensor = self.fc(x).squeeze(-1)
        return logits


def load(path: Path, size: RamSize, precision: str = "fp32", device: str = "cpu") -> RamPlus:
    """A published checkpoint as a network in evaluation mode.

    Raises:
        UserError: the file cannot be read without running code from it, or it is not this network:
            the first name that is missing, unknown or of another shape is in the message.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch names a dozen kinds of damage, and advises what is unsafe
        raise UserError(
            f"{path}: not a readable checkpoint ({type(error).__name__}): damaged, something "
            "else, from torch before 1.6, or one that would run code when it is loaded. Download "
            "it again from its authors."
        ) from None
    with torch.device("meta"):
        model = RamPlus(size)
    weights = select(checkpoint, model.state_dict(), size, str(path))
    model.load_state_dict(weights, strict=True, assign=True)
    return model.to(device, PRECISIONS[precision]).eval().requires_grad_(False)


def select(
    checkpoint: Any, expected: Mapping[str, Tensor], size: RamSize, where: str
) -> dict[str, Tensor]:
    """The network's weights out of a checkpoint, every name and shape of which is accounted for.

    Raises:
        UserError: as `load`.
    """
    stored = checkpoint.get("model", checkpoint) if isinstance(checkpoint, Mapping) else None
    if not isinstance(stored, Mapping) or not all(isinstance(v, Tensor) for v in stored.values()):
        raise UserError(f"{where}: holds no weights under 'model'. {_which(size)}")
    # Older checkpoints have another name for the head.
    given, stored = stored, {}
    for name, value in given.items():
        new = str(name).replace("vision_multi", "tagging_head")
        if new in stored:
            raise UserError(f"{where}: {new} is there twice, under two names. {_which(size)}")
        stored[new] = value
    for name, value in expected.items():
        if name not in stored:
            raise UserError(f"{where}: {name} is missing. {_which(size)}")
        found, wanted = stored[name], tuple(value.shape)
        if tuple(found.shape) != wanted or not found.is_floating_point():
            raise UserError(
                f"{where}: {name} has shape {tuple(found.shape)} ({found.dtype}), expected "
                f"{wanted} of floating point. {_which(size)}"
            )
    for name, value in stored.items():
        if name in expected or name.startswith(UNUSED):
            continue
        if name.rpartition(".")[2] not in GEOMETRY:
            raise UserError(f"{where}: {shorten(name)} is not part of this network. {_which(size)}")
        problem = _geometry(name, tuple(value.shape), expected, size.swin)
        if problem:
            raise UserError(f"{where}: {shorten(name)} {problem}. {_which(size)}")
    return {name: stored[name] for name in expected}


def _geometry(
    name: str, shape: tuple[int, ...], expected: Mapping[str, Tensor], swin: SwinSize
) -> str | None:
    """What is wrong with a stored constant, if anything is."""
    block, _, constant = name.removesuffix(".attn.relative_position_index").partition(".attn_mask")
    parts = block.split(".")
    if f"{block}.norm1.weight" not in expected or constant:
        return "is not part of this network"
    tokens = swin.window**2
    across = swin.image // 4 // 2 ** int(parts[2]) // swin.window
    wanted = (across**2, tokens, tokens) if name.endswith("attn_mask") else (tokens, tokens)
    return None if shape == wanted else f"has shape {shape}, expected {wanted}"


def _which(size: RamSize) -> str:
    if size.descriptions > 1:
        return (
            "Expected RAM++ (ram_plus_swin_large_14m.pth); for RAM's checkpoint give --tagger ram."
        )
    return "Expected RAM (ram_swin_large_14m.pth); for RAM++'s checkpoint give --tagger ram_plus."


@dataclass(frozen=True)
class RamTagger:
    """RAM++ or RAM as a tagger."""

    name: str
    """ram_plus or ram."""
    checkpoint: Path
    weights: str
    """Sha256 of the checkpoint."""
    precision: str = "fp32"
    device: str = "cpu"
    size: RamSize = RAM_PLUS

    @property
    def labels(self) -> tuple[str, ...]:
        """The 4,585 tags."""
        return tags()

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The published ones."""
        return thresholds()

    @property
    def identity(self) -> dict[str, Any]:
        """The name, the weights and the precision. The device is left out on purpose."""
        return {"name": self.name, "weights": self.weights, "precision": self.precision}

    def load(self) -> None:
        """Read the checkpoint. Raises UserError."""
        self._model  # noqa: B018

    @cached_property
    def _model(self) -> RamPlus:
        return load(self.checkpoint, self.size, self.precision, self.device)

    def pixels(self, jpeg: bytes) -> Tensor:
        """One frame, (3, 384, 384), 0 to 255, resized as upstream does. Raises ItemError."""
        return pixels(jpeg, self.size.swin.image, bicubic=False)

    def scores(self, batch: Tensor) -> Floats:
        """Frames (n, 3, 384, 384), 0 to 255 -> (n, 4585), the sigmoid of the logits."""
        with torch.inference_mode():
            logits = self._model(batch.to(self.device, non_blocking=True))
            scores: Floats = logits.float().sigmoid().cpu().numpy()
        return scores
