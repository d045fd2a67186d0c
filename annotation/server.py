"""A Label Studio server: calls that wait for it, and messages that a person can act on.

Calls go through Label Studio's own library, which knows both kinds of token. Its errors hold
headers with session cookies, so they are never shown as they are.
"""

import os
import random
import re
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from eval.messages import printable
from lrmovienet.config import VerbConfig
from lrmovienet.errors import UserError, shorten

VARIABLE = "LABEL_STUDIO_API_KEY"
"""The environment variable for a token; the name is the library's."""
PAGE_SIZE = 500
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 15.0
BUSY = (408, 409, 425, 429)
"""Answers of a server that may do the same thing a moment later, besides all from 500 on."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class ServerConfig(VerbConfig):
    """Options of verbs that talk to Label Studio."""

    server: str = "http://127.0.0.1:8080"
    """Address of the Label Studio server; `make label-studio` starts one there."""
    token_file: Path = Path(".label-studio/token")
    """File with your access token, of either kind; LABEL_STUDIO_API_KEY in the environment wins."""
    patience_s: float = 120.0
    """How many seconds to wait for a server that does not answer, or answers that it is busy."""


class NotThere(UserError):
    """The server has no such thing."""


class Refused(UserError):
    """The server will not do what it was asked to, and says why."""


class Unsure(Exception):
    """The server did not say whether it has done what it was asked to."""


class Server:
    """One Label Studio server."""

    def __init__(self, url: str, token: str, patience_s: float = 120.0) -> None:
        import httpx
        from label_studio_sdk import LabelStudio
        from label_studio_sdk.core.api_error import ApiError

        _check_url(url)
        self.url, self.patience_s = url.rstrip("/"), patience_s
        self._lost, self._refused, self._token = httpx.TransportError, ApiError, token
        self._met = False
        try:
            self.sdk = LabelStudio(
                base_url=self.url, api_key=token, timeout=60, max_retries=0, follow_redirects=False
            )
        except ApiError as error:
            raise UserError(f"the access token is not usable: {self._said(error.body)}") from None

    def ask(self, call: Callable[[], Result]) -> Result:
        """Call until the server answers. Only for calls that may be done twice.

        Raises:
            NotThere: what the call is about does not exist.
            UserError: no answer within `patience_s`, a refused token, or a refused request.
        """
        return self.settle(call, lambda: None)

    def settle(self, call: Callable[[], Result], done: Callable[[], Result | None]) -> Result:
        """Call once; whenever it is unsure what came of it, look first and call again only then.

        Args:
            call: what must be done exactly once.
            done: looks whether it was done after all; its result if so, else None.
        """
        started, wait, unsure = time.monotonic(), FIRST_WAIT_S, False
        while True:
            try:
                if unsure and (found := self._once(done)) is not None:
                    return found
                return self._once(call)
            except Unsure as error:
                if time.monotonic() - started + wait > self.patience_s:
                    raise UserError(
                        f"{self.url}: {error}, for {time.monotonic() - started:.0f} s. When it is "
                        "up again, run the same command: it goes on where it stopped."
                    ) from None
                unsure = True
                time.sleep(wait * random.uniform(0.75, 1.25))  # noqa: S311 - spreads clients
                wait = min(2 * wait, LONGEST_WAIT_S)

    def _once(self, call: Callable[[], Result]) -> Result:
        try:
            return call()
        except self._lost as error:
            raise Unsure(f"no answer ({type(error).__name__})") from None
        except self._refused as error:
            status = error.status_code or 0
            if status >= 500 or status in BUSY:
                raise Unsure(f"it answers {status}") from None
            if status in (401, 403):
                raise UserError(
                    f"{self.url}: refuses the access token ({status}). Copy it anew from Account & "
                    f"Settings, into {VARIABLE} or the file given as --token_file; where the "
                    "server allows one kind of token only, take that kind."
                ) from None
            if status == 404:
                raise NotThere(f"{self.url}: not found: {self._said(error.body)}") from None
            if 300 <= status < 400:
                raise UserError(
                    f"{self.url}: sends on to another address. Give that one as --server (https?)."
                ) from None
            if status == 400:
                raise Refused(f"{self.url}: {self._said(error.body)}") from None
            raise UserError(f"{self._strange()} ({status}: {self._said(error.body)}).") from None
        except (ValueError, TypeError, AttributeError):
            # Of the library, about an answer that it cannot read.
            if self._met:  # a proxy's page while the server restarts
                raise Unsure("it answers something strange") from None
            raise UserError(f"{self._strange()}.") from None

    def _strange(self) -> str:
        return f"{self.url}: does not answer as Label Studio does"

    def _said(self, body: Any) -> str:
        """What a refusal says, without a token that it may repeat."""
        text = _detail(body).replace(self._token, "[token]")
        return re.sub(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "[token]", text)

    def version(self) -> str:
        """The server's release, which shows that there is one and that the token is good."""
        release = getattr(self.ask(self.sdk.versions.get), "release", None)
        if not isinstance(release, str):
            raise UserError(f"{self._strange()}.")
        self.ask(self.sdk.users.whoami)
        self._met = True
        return release

    def tasks(
        self, project: int, fields: str, filters: list[dict[str, Any]] | None = None
    ) -> Iterator[dict[str, Any]]:
        """A project's tasks in the order of their ids, page by page.

        Args:
            project: its id on the server.
            fields: names of a task's fields, joined by commas; others are not sent.
            filters: Label Studio's filters of the data manager, all of which must hold.
        """
        import json

        last = 0
        while True:
            # By ids, not by page numbers: a task deleted meanwhile would move the others up.
            after = {
                "filter": "filter:tasks:id", "operator": "greater", "type": "Number", "value": last,
            }  # fmt: skip
            query = {
                "filters": {"conjunction": "and", "items": [after, *(filters or [])]},
                "ordering": ["tasks:id"],
            }
            found = self.ask(
                lambda query=query: self.sdk.tasks.list(  # type: ignore[misc]
                    project=project, page=1, page_size=PAGE_SIZE, fields="all", include=fields,
                    query=json.dumps(query), resolve_uri=False,
                ).items
            )  # fmt: skip
            for task in found or ():
                if task.id <= last:
                    raise UserError(f"{self._strange()}: it gives tasks again that it gave before.")
                last = task.id
                yield task.model_dump(mode="json")
            if len(found or ()) < PAGE_SIZE:
                return


def connect(config: ServerConfig) -> Server:
    """The server that the options name, with its token.

    Raises:
        UserError: there is no token, or the server does not take it.
    """
    token = os.environ.get(VARIABLE, "").strip() or _token_in(config.token_file)
    if not token.isascii() or any(c.isspace() for c in token):
        raise UserError("the access token has blanks or other strange characters in it.")
    return Server(config.server, token, config.patience_s)


def _check_url(url: str) -> None:
    """Raise UserError for what is no server's address, without repeating a password in it."""
    import httpx

    try:
        parts = urlsplit(url)
        httpx.URL(url)
        good = (
            not re.search(r"\s", url)
            and parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and not parts.username
        )
        _ = parts.port
    except (ValueError, httpx.InvalidURL):
        good = False
    if not good:
        shown = "…" if "@" in url else shorten(url)
        raise UserError(
            f"--server {shown}: give an address such as http://127.0.0.1:8080, without a name or "
            "password in it."
        )


def _token_in(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise UserError(
            f"no access token: set {VARIABLE}, or give --token_file (there is no {path}). You find "
            "it in Label Studio under Account & Settings; `make label-studio` writes one."
        ) from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not text; it should hold an access token.") from None
    if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        raise UserError(f"{path}: others can read this access token. Run: chmod 600 {path}")
    if not token:
        raise UserError(f"{path}: is empty; it should hold an access token.")
    return token


def _detail(body: Any) -> str:
    """What a refusal says, from its body alone."""
    if isinstance(body, dict):
        errors = body.get("validation_errors")
        if isinstance(errors, dict):
            said = [
                f"{name}: {' '.join(map(str, texts)) if isinstance(texts, list) else texts}"
                for name, texts in errors.items()
            ]
            return printable("; ".join(said))[:600].replace("non_field_errors: ", "")
        body = body.get("detail", body)
    if "<html" in str(body)[:2000].lower() or "<!doctype" in str(body)[:2000].lower():
        return "a web page"
    return printable(str(body))[:300]
