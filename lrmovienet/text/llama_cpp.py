"""Answers from a GGUF file, by llama.cpp: how LLaMa2 runs without a server.

The extra `llm`; it is compiled when it is installed (docs/candidates.md has the command). One
process, one answer at a time: answers then hang on the prompt alone. The same machine and build
give the same answers; another processor or version may not.
"""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lrmovienet.errors import ItemError, UserError
from lrmovienet.text.answers import (
    Answered,
    Completion,
    Finish,
    Request,
    shared_tokens,
    surely_fits,
)
from lrmovienet.text.grammar import numbered_list

LISTED_PENALTY = 1.15
"""Divides the logits of words already written, under a grammar: it keeps a model from filling a
list with one word."""


@dataclass(frozen=True)
class LlamaCpp:
    """A GGUF file. Nothing of it is loaded before the first request."""

    path: Path
    name: str
    weights: str
    max_new_tokens: int = 96
    context: int = 2048
    """Tokens of prompt and answer together."""
    temperature: float = 0.0
    timeout_s: float = 300.0
    """Wall clock an answer may take; what is written by then is the answer."""
    gpu: bool = False
    """Give all layers to the GPU."""
    threads: int | None = None
    cue: str = ""
    """What prompts end with that belongs to the answer; the grammar begins behind it."""

    can_list = True

    @property
    def identity(self) -> dict[str, Any]:
        """Engine, weights, longest answer, temperature, and where the grammar begins."""
        return {
            "engine": "llama_cpp", "weights": self.weights, "temperature": self.temperature,
            "max_new_tokens": self.max_new_tokens, "cue": self.cue,
        }  # fmt: skip

    def fits(self, prompt: str) -> bool:
        """Whether the prompt leaves room for the longest answer."""
        room = self.context - self.max_new_tokens
        return surely_fits(prompt, room) or len(self.tokens(prompt)) <= room

    def tokens(self, prompt: str) -> list[int]:
        """A prompt's tokens, with the model's begin token once, where it wants one.

        What looks like a special token in a description is text.

        Raises:
            UserError: the model begins texts with two begin tokens.
        """
        model = self._model
        tokens: list[int] = model.tokenize(prompt.encode("utf-8", "replace"), True, False)
        if len(tokens) > 1 and tokens[0] == tokens[1] == model.token_bos():
            raise UserError(
                f"{self.path}: puts two begin tokens before a text, which spoils its answers. "
                "Convert the model anew."
            )
        return tokens

    def generate(self, requests: Sequence[Request], stop: Sequence[str]) -> Iterator[Answered]:
        """One answer after another, each from an empty memory.

        Raises:
            UserError: the package is not installed, or the file is no model that it can load.
        """
        for request in requests:
            tokens = self.tokens(request.prompt)
            if len(tokens) + self.max_new_tokens > self.context:
                error = ItemError(
                    f"{len(tokens)} tokens of prompt and {self.max_new_tokens} of answer are more "
                    f"than --context {self.context}."
                )
                yield [(request, error)]
                continue
            yield [(request, self._answer(tokens, request, list(stop)))]

    def _answer(self, tokens: list[int], request: Request, stop: list[str]) -> Completion:
        from llama_cpp import StoppingCriteriaList

        end = time.monotonic() + self.timeout_s
        late = False

        def is_late(*_: Any) -> bool:
            nonlocal late
            late = time.monotonic() > end
            return late

        self._begin(tokens, request)
        answer = self._model.create_completion(
            tokens,
            max_tokens=self.max_new_tokens,
            temperature=self.temperature,
            seed=request.seed,
            stop=stop,
            grammar=self._grammar if request.listed else None,
            repeat_penalty=LISTED_PENALTY if request.listed else 1.0,
            stopping_criteria=StoppingCriteriaList([is_late]),
        )
        choice = answer["choices"][0]
        finish: Finish = "stop" if choice["finish_reason"] == "stop" else "length"
        if late:  # which the package calls a stop
            finish = "timeout"
        usage = answer["usage"]
        return Completion(
            choice["text"], finish, usage["prompt_tokens"], usage["completion_tokens"]
        )

    def _begin(self, tokens: list[int], request: Request) -> None:
        """Have the model's memory hold what this prompt shares with others, and nothing else.

        The package would reuse whatever the last prompt happens to begin with too. That changes how
        a prompt is cut into batches, and so the last bits of an answer, with what was asked before.
        """
        model = self._model
        n = shared_tokens(tokens, self.tokens(request.prompt[: request.shared]))
        if n and model.n_tokens >= n and model.input_ids[:n].tolist() == tokens[:n]:
            model.n_tokens = n
            return
        model.reset()
        if n:
            model.eval(tokens[:n])

    @cached_property
    def _grammar(self) -> Any:
        from llama_cpp.llama_grammar import LlamaGrammar

        return LlamaGrammar.from_string(numbered_list(self.cue), verbose=False)

    @cached_property
    def _model(self) -> Any:
        # Read when the library is loaded: threads that wait by spinning bring a busy machine to a
        # crawl.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        from llama_cpp import Llama

        threads = self.threads or len(os.sched_getaffinity(0))
        try:
            return Llama(
                str(self.path), n_ctx=self.context, n_gpu_layers=-1 if self.gpu else 0,
                n_threads=threads, n_threads_batch=threads, verbose=False,
            )  # fmt: skip
        except MemoryError:
            raise
        except Exception as error:  # damage shows as whatever reads the damaged part
            raise UserError(f"{self.path}: no model that llama.cpp can load ({error}).") from None


def require_gpu() -> None:
    """Refuse to run where llama.cpp was built without a GPU: it would use the CPU without a word.

    Raises:
        UserError: it was.
    """
    if not can_offload():
        raise UserError(
            "--require_gpu: llama-cpp-python was built without a GPU. Build it again: "
            'CMAKE_ARGS="-DGGML_CUDA=on" pip install --no-cache-dir --force-reinstall '
            "llama-cpp-python"
        )


def can_offload() -> bool:
    """Whether this build of llama.cpp can use a GPU."""
    from llama_cpp import llama_supports_gpu_offload

    return bool(llama_supports_gpu_offload())
