"""CLIP, SigLIP and SigLIP 2 from a folder on disk: frames and texts as vectors in one space."""

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from baselines.data import Record
from lrmovienet.encode import spread
from lrmovienet.encoders import each_on_a_core, hash_model, loading
from lrmovienet.errors import ItemError, UserError, shorten
from lrmovienet.pictures import picture

log = logging.getLogger(__name__)

Vectors = npt.NDArray[np.float64]

KINDS = {"clip": "CLIPModel", "siglip": "SiglipModel", "siglip2": "Siglip2Model"}
"""Kind in a checkpoint's config.json -> the library's class."""
_TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("spiece.model",))
_PROCESSORS = (("preprocessor_config.json",), ("processor_config.json",))


class DualEncoder:
    """A frozen model with an image and a text side, in single precision.

    Each frame and each text goes through alone, and once: a vector does not hang on what was
    encoded beside it or before it. The model is loaded on first use.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        """`folder` is in the Hugging Face layout."""
        self.folder = folder
        self.device = device
        self._texts: dict[str, Vectors] = {}
        self._frames: dict[str, Vectors] = {}
        self._cut = False

    @cached_property
    def identity(self) -> dict[str, str]:
        """Name and sha256 of the checkpoint. Raises UserError where the folder holds none."""
        name = self.folder.resolve().name
        return {"name": name, "sha256": hash_model(self.folder, "checkpoint")}

    @property
    def temperature(self) -> float:
        """What the cosines were divided by in the softmax or sigmoid of training."""
        return float(self.model.logit_scale.detach().exp().reciprocal())

    @cached_property
    def kind(self) -> str:
        """``clip``, ``siglip`` or ``siglip2``. Raises UserError for a checkpoint of another."""
        return kind_of(self.folder)

    def texts(self, texts: Sequence[str]) -> Vectors:
        """(n_texts, dim), each of length one. What is too long for the model is cut at its end.

        Raises:
            UserError: the checkpoint cannot be loaded, or gives no numbers.
        """
        if self.kind != "clip":  # they saw lower-case letters only in training
            texts = [text.lower() for text in texts]
        new = [text for text in dict.fromkeys(texts) if text not in self._texts]
        ids = [self._ids(text) for text in new]

        def forward(one: Tensor) -> Vectors:
            with torch.inference_mode():
                found = self.model.get_text_features(input_ids=one.to(self.device))
            return self._unit(found.pooler_output)

        self._texts.update(zip(new, each_on_a_core(forward, ids, self.device), strict=True))
        return np.stack([self._texts[text] for text in texts])

    def frames(self, record: Record, most: int) -> Vectors:
        """(n_frames, dim) of up to `most` keyframes, evenly spread, each of length one.

        Raises:
            UserError: the checkpoint cannot be loaded, or a frame is not there or cannot be read.
        """

        def forward(data: bytes) -> Vectors:
            pixels = self.processor(images=[picture(data)], return_tensors="pt").to(self.device)
            with torch.inference_mode():
                return self._unit(self.model.get_image_features(**pixels).pooler_output)

        self.model, self.processor  # noqa: B018  loaded once, before there are threads
        return encode_frames(record, most, self._frames, forward, self.device)

    def _unit(self, features: Tensor) -> Vectors:
        vector: Vectors = features[0].double().cpu().numpy()
        length = float(np.linalg.norm(vector))
        if not np.isfinite(length) or length == 0:
            raise UserError(f"{self.folder}: gives vectors that are no numbers. Give another.")
        return vector / length

    def _ids(self, text: str) -> Tensor:
        """(1, n_tokens): for SigLIP filled up to the model's length, as in its training."""
        limit = self.model.config.text_config.max_position_embeddings
        full = len(self.tokenizer(text)["input_ids"])
        if full > limit and not self._cut:
            self._cut = True
            log.warning(
                "%s reads %d tokens; %s has %d and is cut at its end, as other long texts are.",
                self.folder.resolve().name, limit, shorten(text), full,
            )  # fmt: skip
        how: dict[str, Any] = {"truncation": True, "max_length": limit}
        if self.kind != "clip":
            how["padding"] = "max_length"
        ids = self.tokenizer(text, return_tensors="pt", **how)["input_ids"]
        found: Tensor = ids
        return found

    @cached_property
    def tokenizer(self) -> Any:
        """The checkpoint's. Raises UserError where it is missing or cannot be loaded."""
        return load_tokenizer(self.folder, self.model.config.text_config.vocab_size)

    @cached_property
    def processor(self) -> Any:
        """The checkpoint's image processor. Raises UserError where there is none."""
        require_files(self.folder, _PROCESSORS, "image processor")
        with loading(self.folder, "checkpoint"):
            from transformers import AutoImageProcessor

            return AutoImageProcessor.from_pretrained(
                self.folder, local_files_only=True, trust_remote_code=False, backend="pil"
            )

    @cached_property
    def model(self) -> Any:
        """The network. Raises UserError where it cannot be loaded, or lacks some weights."""
        return load_dual(self.folder, self.kind).to(self.device)


def encode_frames(
    record: Record,
    most: int,
    known: dict[str, Vectors],
    forward: Callable[[bytes], Vectors],
    device: str,
) -> Vectors:
    """What `forward` makes of up to `most` keyframes of a record, evenly spread over the clip.

    Args:
        record: of `load_records`, which says where its keyframes are.
        most: frames, 1 or more.
        known: what was made of frames before, by their sha256; it is added to.
        forward: an image file's bytes -> an array; several may run at once on a CPU.
        device: where `forward` runs.

    Returns:
        The arrays of the frames, one above the other.

    Raises:
        UserError: there are no frames, or one cannot be read.
    """
    if record.pictures is None:
        raise ValueError(f"record {record.clip_id} was made without keyframes")
    chosen = [record.pictures.frames[i] for i in spread(len(record.pictures.frames), most)]
    keys = [sha256 or "" for _, sha256 in chosen]
    new: dict[str, tuple[str, bytes]] = {}
    if not all(key in known for key in keys):
        reader = record.pictures.reader
        for i, (ref, sha256) in enumerate(chosen):
            if keys[i] not in known:
                data = reader.read(ref, sha256)
                keys[i] = keys[i] or hashlib.sha256(data).hexdigest()
                new[keys[i]] = ref, data
    todo = [(key, *new[key]) for key in new if key not in known]

    def one(item: tuple[str, str, bytes]) -> Vectors:
        try:
            return forward(item[2])
        except ItemError as error:
            raise ItemError(f"{item[1]}: {error}") from None

    for (key, *_), vectors in zip(todo, each_on_a_core(one, todo, device), strict=True):
        known[key] = vectors
    return np.stack([known[key] for key in keys])


def kind_of(folder: Path) -> str:
    """Which of `KINDS` a checkpoint is. Raises UserError for another, or none."""
    path = folder / "config.json"
    try:
        kind = json.loads(path.read_bytes())["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not a checkpoint's config ({error}). Give the folder of a CLIP or SigLIP "
            "checkpoint in the Hugging Face layout."
        ) from None
    if kind not in KINDS:
        raise UserError(
            f"{folder}: holds a model of the kind {shorten(kind)}. Give a checkpoint with an image "
            f"and a text side: {', '.join(KINDS)}."
        )
    return str(kind)


def load_dual(folder: Path, kind: str) -> Any:
    """The network in a folder, on the CPU, in evaluation mode, every weight from its files.

    Raises:
        UserError: a file is damaged, or some weights are missing.
    """
    hash_model(folder, "checkpoint")  # says so where there is no model at all
    with loading(folder, "checkpoint"):
        import transformers

        model, info = getattr(transformers, KINDS[kind]).from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, use_safetensors=True,
            output_loading_info=True,
        )  # fmt: skip
    missing = sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]]))
    if missing:  # the library would go on with random numbers
        raise UserError(
            f"{folder}: {len(missing)} weights are missing or of another shape, such as "
            f"{shorten(missing[0])}. Give a whole checkpoint, with its image and its text side."
        )
    return model.eval().requires_grad_(False)


def load_tokenizer(folder: Path, tokens: int) -> Any:
    """The tokenizer in the folder of a model that has vectors for `tokens` kinds of tokens.

    Raises:
        UserError: it is missing, cannot be loaded, or is not that of the model.
    """
    require_files(folder, _TOKENIZERS, "tokenizer")
    with loading(folder, "checkpoint"):
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    # Where a file cannot be read, the library may make up a tokenizer that knows no word.
    known = tokenizer.get_vocab()
    if len(known) < tokens / 2 or max(known.values()) >= tokens:
        raise UserError(
            f"{folder}: its tokenizer, of {len(known)} tokens up to number {max(known.values())}, "
            f"is not its model's, which has {tokens}. Put the checkpoint's tokenizer.json there; "
            "without one, install sentencepiece."
        )
    tokenizer.padding_side = tokenizer.truncation_side = "right"
    tokenizer.model_max_length = int(1e9)  # we cut ourselves; keeps its warning quiet
    return tokenizer


def require_files(folder: Path, any_of: Sequence[Sequence[str]], what: str) -> None:
    """Refuse a folder that lacks a part, which the library would make up.

    Raises:
        UserError: none of the sets of files is there.
    """
    if not any(all((folder / name).is_file() for name in names) for names in any_of):
        wanted = ", or ".join(" and ".join(names) for names in any_of)
        raise UserError(f"{folder}: no {what} here (looked for {wanted}). Put it beside the model.")
