"""Prompts -> a language model's answers, each asked for once and kept on disk.

Three engines give answers: `transformers`, `llama_cpp` and `openai_api`. They are told the same
thing, a list of requests, and give answers back as they have them, so that a killed run loses only
what was under way.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from lrmovienet.cache import Cache, damaged
from lrmovienet.errors import ItemError
from lrmovienet.files import sha256_of

Finish = Literal["stop", "length", "timeout"]


@dataclass(frozen=True)
class Request:
    """A text to go on with."""

    prompt: str
    seed: int = 0
    """Of what is drawn; without effect at temperature 0."""
    listed: bool = False
    """Whether the answer is forced to be a numbered list, by a grammar."""
    shared: int = 0
    """Characters at the prompt's beginning that others begin with too: a model need not read them
    each time. They change no answer."""


@dataclass(frozen=True)
class Completion:
    """What a model wrote behind a prompt."""

    text: str
    finish: Finish
    """stop: it ended by itself or at a stop string; length and timeout: a limit ended it."""
    prompt_tokens: int | None = None
    answer_tokens: int | None = None

    @property
    def ended(self) -> bool:
        """Whether it came to its end."""
        return self.finish == "stop"


Answered = list[tuple[Request, Completion | ItemError]]


class Generator(Protocol):
    """A language model. It is light to make; the model is loaded when it is first asked."""

    @property
    def name(self) -> str:
        """Stands in the table as ``generator``."""
        ...

    @property
    def weights(self) -> str:
        """Sha256 of the model's files, or who serves it."""
        ...

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything besides the request that changes an answer."""
        ...

    @property
    def temperature(self) -> float:
        """0: the likeliest word each time; above, words are drawn."""
        ...

    @property
    def can_list(self) -> bool:
        """Whether `Request.listed` can be kept."""
        ...

    def fits(self, prompt: str) -> bool:
        """Whether the model can read a prompt and still has room for its answer."""
        ...

    def generate(self, requests: Sequence[Request], stop: Sequence[str]) -> Iterator[Answered]:
        """Answers in any order, as many at a time as come at once.

        Args:
            requests: different requests.
            stop: strings at which an answer ends. They may be in the text, or be cut off.

        Raises:
            UserError: the model is not there, or the server is not to be reached.
        """
        ...


@dataclass(frozen=True)
class Answers:
    """A model's answers, kept in the workspace."""

    path: Path
    """The cache's file."""
    generator: Generator
    stop: tuple[str, ...] = ()

    def known(self, requests: Sequence[Request]) -> dict[Request, Completion]:
        """The answers that are there."""
        keys = self._keys(requests)
        found = Cache(self.path).get(keys.values())
        try:
            known = {
                request: Completion(**json.loads(found[key]))
                for request, key in keys.items()
                if key in found
            }
            if not all(isinstance(answer.text, str) for answer in known.values()):
                raise TypeError("an answer that is no text")
            return known
        except (ValueError, TypeError) as error:
            raise damaged(self.path, error) from None

    def ask(
        self, requests: Sequence[Request], advance: Callable[[int], None]
    ) -> dict[Request, str]:
        """Ask what is not known yet; equal questions once.

        Returns:
            Request -> why there is no answer to it; it is asked again by the next run.
        """
        keys = self._keys(requests)
        cache = Cache(self.path)
        there = cache.get(keys.values())
        todo = {key: request for request, key in keys.items() if key not in there}
        failed: dict[str, str] = {}
        for answered in self.generator.generate(list(todo.values()), self.stop):
            new = {}
            for request, answer in answered:
                if isinstance(answer, ItemError):
                    failed[keys[request]] = str(answer)
                else:
                    text = json.dumps(asdict(answer), ensure_ascii=True, sort_keys=True)
                    new[keys[request]] = text.encode()
            cache.put(new)
            advance(len(answered))
        return {request: failed[key] for request, key in keys.items() if key in failed}

    def missing(self, requests: Sequence[Request]) -> int:
        """How many different questions are still to be asked."""
        keys = set(self._keys(requests).values())
        return len(keys) - len(Cache(self.path).get(keys))

    def _keys(self, requests: Sequence[Request]) -> dict[Request, str]:
        about = sha256_of([self.generator.identity, list(self.stop)])
        drawn = self.generator.temperature > 0

        def key(request: Request) -> str:
            seed = request.seed if drawn else None
            return sha256_of([about, request.prompt, request.listed, seed])

        return {request: key(request) for request in requests}


def seed_of(run: int, clip_id: str, prompt: str) -> int:
    """A request's seed, from 0 to 2^31 - 1: the same on every machine and in any order."""
    digest = hashlib.sha256(f"{run}\n{clip_id}\n{prompt}".encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def shared_tokens(tokens: Sequence[int], beginning: Sequence[int]) -> int:
    """How many tokens of a prompt can be read once for all.

    It hangs on the prompt alone, so that what was asked before changes nothing. The last token of
    what is shared is left out: with the next character it may be another one. One token at least
    is left to read.

    Args:
        tokens: of the whole prompt.
        beginning: of its shared characters alone.
    """
    most = min(len(tokens), len(beginning)) - 1
    return next((i for i in range(most) if tokens[i] != beginning[i]), max(most, 0))


def surely_fits(prompt: str, room: int) -> bool:
    """Whether a prompt has at most `room` tokens without counting them.

    Every token of a byte-level or byte-fallback vocabulary stands for a byte at least; eight are
    left for what a tokenizer puts around a text.
    """
    return len(prompt.encode("utf-8", "replace")) + 8 <= room
