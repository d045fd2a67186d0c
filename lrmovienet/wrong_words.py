"""What is said of an option's value that cannot be, in one line and without names of types."""

import re
from types import NoneType
from typing import Any, Literal, get_args, get_origin

_REFUSED = re.compile(r'Parser key "(\w+)":\n.*?(?:Got|Given) value: ([^\n]*)', re.DOTALL)
_WANTED = {int: "a whole number", float: "a number", bool: "true or false"}


def said(error: str, types: dict[str, Any]) -> str:
    """The parser's message in plain words.

    Args:
        error: what the parser says.
        types: option -> the type of its value.
    """
    refused = _REFUSED.match(error)
    wanted = _wanted(types.get(refused[1])) if refused else ""
    if not refused or not wanted:
        return " ".join(error.split())
    return f"--{refused[1]} {refused[2]}: give {wanted}."


def _wanted(hint: Any) -> str:
    """What a type stands for; nothing where that takes more than a few words."""
    if get_origin(hint) is Literal:
        *others, last = map(str, get_args(hint))
        return f"{', '.join(others)} or {last}" if others else last
    if get_origin(hint) is list:
        return _wanted(get_args(hint)[0])
    parts = [part for part in get_args(hint) if part is not NoneType]
    if NoneType in get_args(hint) and len(parts) == 1:
        return _wanted(parts[0])
    return _WANTED.get(hint, "") if isinstance(hint, type) else ""
