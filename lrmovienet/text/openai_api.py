"""Answers from a server that speaks OpenAI's protocol: llama-server, vLLM, Ollama and others."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from lrmovienet.errors import ItemError, UserError
from lrmovienet.text.answers import Answered, Completion, Request
from lrmovienet.text.grammar import numbered_list
from lrmovienet.text.llama_cpp import LISTED_PENALTY

RETRIES = 4
"""Times that a request is sent again after a time-out, 429 or 5xx, each after a longer pause."""
GIVE_UP = 10
"""Requests in a row without an answer, after which the server is taken to be down."""
MOST_STOPS = 4
"""Stop strings that the protocol allows."""


@dataclass(frozen=True)
class OpenAIServer:
    """A model on a server.

    The key is read from the environment, LRMOVIENET_API_KEY or OPENAI_API_KEY, and stands in no
    table, manifest or message.
    """

    url: str
    """Where the protocol begins, such as ``http://127.0.0.1:8080/v1``."""
    name: str
    """The model, as the server calls it."""
    max_new_tokens: int = 96
    temperature: float = 0.0
    timeout_s: float = 300.0
    concurrency: int = 8
    """Requests under way at a time."""
    chat: bool = False
    """Send prompts as a user's message, for servers without plain completions."""
    can_list: bool = False
    """Whether the server takes llama.cpp's grammars; others ignore or refuse them."""
    cue: str = ""

    @property
    def weights(self) -> str:
        """Who serves it: a server does not say what it runs."""
        return f"served at {urlsplit(self.url).netloc}"

    @property
    def identity(self) -> dict[str, Any]:
        """Server, model, longest answer, temperature."""
        return {
            "engine": "openai", "url": self.url, "model": self.name, "chat": self.chat,
            "max_new_tokens": self.max_new_tokens, "temperature": self.temperature,
        }  # fmt: skip

    def fits(self, prompt: str) -> bool:
        """Always: only the server knows. One that is too long comes back as a failure."""
        return True

    def generate(self, requests: Sequence[Request], stop: Sequence[str]) -> Iterator[Answered]:
        """Answers as they come.

        Raises:
            UserError: the server cannot be reached, wants a key, does not know the model, or has
                failed `GIVE_UP` times in a row.
        """
        failures = 0
        pool = ThreadPoolExecutor(self.concurrency)
        try:
            waiting = {pool.submit(self._answer, r, list(stop)[:MOST_STOPS]): r for r in requests}
            for future in as_completed(waiting):
                answer = future.result()
                failures = failures + 1 if isinstance(answer, ItemError) else 0
                yield [(waiting[future], answer)]
                if failures >= GIVE_UP:
                    raise UserError(
                        f"{self.url}: {GIVE_UP} requests in a row failed, the last with: {answer} "
                        "What was answered is kept; run again when the server is well."
                    )
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _answer(self, request: Request, stop: list[str]) -> Completion | ItemError:
        import openai

        options: dict[str, Any] = {
            "model": self.name, "max_tokens": self.max_new_tokens, "temperature": self.temperature,
            "seed": request.seed, "stop": stop or None,
        }  # fmt: skip
        if request.listed:
            options["extra_body"] = {
                "grammar": numbered_list(self.cue), "repeat_penalty": LISTED_PENALTY,
            }  # fmt: skip
        try:
            if self.chat:
                message = {"role": "user", "content": request.prompt}
                reply = self._client.chat.completions.create(messages=[message], **options)
                choice = reply.choices[0]
                text = choice.message.content
            else:
                reply = self._client.completions.create(prompt=request.prompt, **options)
                choice = reply.choices[0]
                text = choice.text
        except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError,
                openai.UnprocessableEntityError) as error:  # fmt: skip
            raise UserError(f"{self.url}: {_said(error)}. {_ADVICE}") from None
        except openai.APITimeoutError:
            return ItemError(f"no answer within {self.timeout_s:g} s, {RETRIES + 1} times.")
        except openai.APIConnectionError as error:
            raise UserError(
                f"{self.url}: cannot be reached ({_said(error.__cause__ or error)}). Is the server "
                "running, and is this its address, ending in /v1? What was answered is kept."
            ) from None
        except (openai.APIError, IndexError, AttributeError, TypeError, ValueError) as error:
            return ItemError(f"the server said: {_said(error)}")
        usage = reply.usage
        return Completion(
            text or "",
            "length" if choice.finish_reason == "length" else "stop",
            usage.prompt_tokens if usage else None,
            usage.completion_tokens if usage else None,
        )

    @cached_property
    def _client(self) -> Any:
        from openai import OpenAI

        key = os.environ.get("LRMOVIENET_API_KEY") or os.environ.get("OPENAI_API_KEY") or "none"
        return OpenAI(base_url=self.url, api_key=key, max_retries=RETRIES, timeout=self.timeout_s)


_ADVICE = (
    "Check --server and --model, and the key in the environment variable LRMOVIENET_API_KEY. What "
    "was answered is kept."
)


def check_url(url: str) -> str:
    """A server's address as it is used. Raises UserError where it is none, or holds a password."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018
    except ValueError as error:
        raise UserError(f"--server {url}: no address ({error}).") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"--server {url}: give an address such as http://127.0.0.1:8080/v1.")
    if parts.username or parts.password:
        raise UserError("--server: the address holds a password. Give LRMOVIENET_API_KEY instead.")
    return url.rstrip("/")


def _said(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
