"""Text of others without what opens doors: tokens, passwords, signatures in addresses."""

import contextlib
import logging
import re
from collections.abc import Iterator

_SECRETS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[^\s'\",]+"), r"\1 …"),
    (re.compile(r"\b(hf|api_org)_[A-Za-z0-9_]{8,}"), r"\1_…"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@'\"]+@"), r"\1…@"),
    (re.compile(r"(?i)\b(https?://[^\s?#'\"]*)[?#][^\s'\"]*"), r"\1?…"),  # signed addresses
)


def hidden(text: str, token: str | None = None) -> str:
    """A text with an ellipsis for every secret in it.

    Args:
        text: what somebody else said.
        token: a token that must not show, however it looks.
    """
    if token:
        text = text.replace(token, "…")
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


@contextlib.contextmanager
def discreet(token: str | None) -> Iterator[None]:
    """Keep secrets out of the library's log lines, which quote the addresses that it asks."""
    import huggingface_hub

    def clean(record: logging.LogRecord) -> bool:
        record.msg, record.args = hidden(record.getMessage(), token), ()
        return True

    handlers = list(logging.getLogger(huggingface_hub.__name__).handlers)
    for handler in handlers:
        handler.addFilter(clean)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(clean)


def in_a_line(text: str, token: str | None = None) -> str:
    """The first 300 characters of `hidden`, in one line."""
    return " ".join(hidden(text, token).split())[:300]
