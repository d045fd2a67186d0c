"""Answers from a server that speaks OpenAI's protocol: llama-server, vLLM, Ollama and others."""

import contextlib
import json
import os
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from eval.messages import printable
from lrmovienet.errors import ItemError, UserError, shorten
from lrmovienet.movienet.annotation import clean
from lrmovienet.text.answers import Answered, Completion, Finish, Request
from lrmovienet.text.grammar import numbered_list
from lrmovienet.text.llama_cpp import LISTED_PENALTY
from lrmovienet.text.parse import MAX_ANSWER

RETRIES = 4
"""Times that a request is sent again after a time-out, 429 or 5xx, each after a longer pause."""
GIVE_UP = 10
"""Requests in a row without an answer, after which the server is taken to be down."""
MOST_BYTES = 4_000_000
"""Of a reply; one of 100 tokens has some hundreds."""
MOST_STOPS = 4
"""Stop strings that the protocol allows."""


class _NoAnswer(ItemError):
    """The server's failure, not the prompt's."""


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
        todo, done = iter(requests), queue.SimpleQueue[tuple[Request, Any]]()
        taking, stopped = threading.Lock(), threading.Event()

        def work() -> None:
            while not stopped.is_set():
                with taking:
                    request = next(todo, None)
                if request is None:
                    return
                try:
                    done.put((request, self._answer(request, list(stop)[:MOST_STOPS])))
                except BaseException as error:  # raised again below, where it is waited for
                    done.put((request, error))

        # Daemons: Ctrl-C and errors do not wait for a server that hangs.
        for _ in range(min(self.concurrency, len(requests))):
            threading.Thread(target=work, daemon=True).start()
        left, failures = len(requests), 0
        try:
            while left:
                some = [done.get()]
                with contextlib.suppress(queue.Empty):
                    while True:
                        some.append(done.get_nowait())
                left -= len(some)
                yield [(r, a) for r, a in some if isinstance(a, Completion | ItemError)]
                for _, answer in some:
                    if isinstance(answer, BaseException) and not isinstance(answer, ItemError):
                        raise answer
                    failures = failures + 1 if isinstance(answer, _NoAnswer) else 0
                    if failures >= GIVE_UP:
                        raise UserError(
                            f"{self.url}: {GIVE_UP} requests in a row failed, the last with: "
                            f"{answer} What was answered is kept; run again when the server is "
                            "well."
                        )
        finally:
            stopped.set()

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
        if self.chat:
            options["messages"] = [{"role": "user", "content": request.prompt}]
            endpoint = self._client.chat.completions
        else:
            options["prompt"] = request.prompt
            endpoint = self._client.completions
        end = time.monotonic() + self.timeout_s
        try:
            with endpoint.with_streaming_response.create(**options) as response:
                data = bytearray()
                for part in response.iter_bytes():
                    data += part
                    if time.monotonic() > end:
                        return _NoAnswer(f"no whole answer within {self.timeout_s:g} s.")
                    if len(data) > MOST_BYTES:
                        return _NoAnswer(f"an answer of more than {MOST_BYTES} bytes.")
            return _completion(json.loads(data))
        except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError,
                openai.UnprocessableEntityError) as error:  # fmt: skip
            raise UserError(f"{self.url}: {_said(error)}. {_ADVICE}") from None
        except openai.APITimeoutError:
            return _NoAnswer(f"no answer within {self.timeout_s:g} s, {RETRIES + 1} times.")
        except openai.APIConnectionError as error:
            raise UserError(
                f"{self.url}: cannot be reached ({_said(error.__cause__ or error)}). Is the server "
                "running, and is this its address, ending in /v1? What was answered is kept."
            ) from None
        except openai.BadRequestError as error:  # this one prompt's fault
            return ItemError(f"the server said: {_said(error)}")
        except (KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
            return _NoAnswer(f"no completion came back ({_said(error)}); is --server right?")
        except Exception as error:  # 429 and 5xx for good, and what the HTTP client raises
            return _NoAnswer(f"the server said: {_said(error)}")

    @cached_property
    def _client(self) -> Any:
        from openai import DefaultHttpxClient, OpenAI

        # No redirects: descriptions go where the user said, and nowhere else.
        http = DefaultHttpxClient(follow_redirects=False, timeout=self.timeout_s)
        return OpenAI(
            base_url=self.url, api_key=_key(), max_retries=RETRIES, timeout=self.timeout_s,
            http_client=http,
        )  # fmt: skip


_ADVICE = (
    "Check --server and --model, and the key in the environment variable LRMOVIENET_API_KEY. What "
    "was answered is kept."
)


def _completion(reply: Any) -> Completion:
    """A reply as it is kept. Raises LookupError, TypeError or ValueError where it is damaged."""
    if isinstance(reply, dict) and reply.get("error"):
        raise ValueError(f"it says {shorten(reply['error'])}")
    choice = reply["choices"][0]
    text = choice["message"]["content"] if "message" in choice else choice["text"]
    if not isinstance(text, str | None):
        raise TypeError(f"its text is {shorten(text)}")
    usage = reply.get("usage") or {}
    counts = [usage.get("prompt_tokens"), usage.get("completion_tokens")]
    if not all(isinstance(count, int | None) for count in counts):
        raise TypeError(f"its usage is {shorten(usage)}")
    # What ended for another reason, or for none that is told, may be cut off.
    finish: Finish = "stop" if choice.get("finish_reason") == "stop" else "length"
    return Completion(clean(text or "")[:MAX_ANSWER], finish, *counts)


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
    if url != printable(url) or " " in url or "\n" in url:
        raise UserError("--server: the address holds blanks or control characters.")
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
    text, key = " ".join(str(error).split()), _key()
    if len(key) >= 8:  # a shorter one is none, and would blot out half of the message
        text = text.replace(key, "…")
    return printable(text)[:300] or type(error).__name__
