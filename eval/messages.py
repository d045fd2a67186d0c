"""How the texts of others are said: cut, listed, and without what a terminal would obey."""

import unicodedata
from collections.abc import Sequence

LISTED = 10
"""How many wrong rows, or files, a message lists."""


def short(value: object) -> str:
    """`repr` of a value, cut so that a hostile cell cannot flood the terminal."""
    text = repr(value[:200] if isinstance(value, str) else value)
    return text if len(text) <= 100 else text[:99] + "…"


def listed(heading: str, lines: Sequence[str], total: int) -> str:
    """A heading, and the first lines under it."""
    more = f"\n  … and {total - LISTED} more" if total > LISTED else ""
    return heading + ":\n  " + "\n  ".join(lines[:LISTED]) + more


def printable(text: str) -> str:
    """Text without what moves a cursor, turns writing round or cannot be written; lines stay."""
    return "".join(c if c == "\n" or _is_seen(c) else "\ufffd" for c in text)


def _is_seen(c: str) -> bool:
    category = unicodedata.category(c)
    return category[0] != "C" and category not in ("Zl", "Zp")
