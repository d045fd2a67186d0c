"""Answers from a server that speaks OpenAI's protocol: llama-server, vLLM, Ollama and others."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from lrmovienet.errors import ItemError, UserError, shorten
from lrmovienet.movienet.annotation import clean
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
        """Server, model, longest answer, temperature, and where a grammar begins."""
        return {
            "engine": "openai", "url": self.url, "model": self.name, "chat": self.chat,
            "max_new_tokens": self.max_new_tokens, "temperature": self.temperature,
            "cue": self.cue,
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
            return _completion(text, choice.finish_reason, reply.usage)
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

    @cached_property
    def _client(self) -> Any:
        from openai import OpenAI

        return OpenAI(
            base_url=self.url, api_key=_key(), max_retries=RETRIES, timeout=self.timeout_s
        )


_ADVICE = (
    "Check --server and --model, and the key in the environment variable LRMOVIENET_API_KEY. What "
    "was answered is kept."
)


def _completion(text: Any, finish: Any, usage: Any) -> Completion:
    """A reply as it is kept. Raises TypeError or AttributeError for one that is damaged."""
    if not isinstance(text, str | None):
        raise TypeError(f"its text is {shorten(text)}")
    counts = (usage.prompt_tokens, usage.completion_tokens) if usage is not None else (None, None)
    if not all(isinstance(count, int | None) for count in counts):
        raise TypeError(f"its usage is {shorten(usage)}")
    return Completion(clean(text or ""), "length" if finish == "length" else "stop", *counts)


def _key() -> str:
    """The key. Raises UserError where it cannot be sent; what it is, is said nowhere."""
    for name in ("LRMOVIENET_API_KEY", "OPENAI_API_KEY"):
        key = os.environ.get(name, "").strip()
        if key and not (key.isascii() and key.isprintable()):
            raise UserError(f"{name}: holds characters that no key has. Set it again.")
        if key:
            return key
    return "none"


def check_url(url: str) -> str:
    """A server's address as it is used.

    Raises:
        UserError: it is none, or holds a password or a query, where keys would be written down.
    """
    if "@" in url or "?" in url or "#" in url:
        raise UserError(
            "--server: the address holds a password or a query. Give the key in the environment "
            "variable LRMOVIENET_API_KEY, and the address without it."
        )
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018
    except ValueError as error:
        raise UserError(f"--server {url}: no address ({error}).") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"--server {url}: give an address such as http://127.0.0.1:8080/v1.")
    return url.rstrip("/")


def _said(error: BaseException) -> str:
    """What an error says, in a line, without the key: some servers repeat it."""
    text = " ".join(str(error).split()).replace(_key(), "…") if _key() != "none" else str(error)
    return " ".join(text.split())[:300] or type(error).__name__
