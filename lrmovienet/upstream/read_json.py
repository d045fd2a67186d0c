"""Items of a JSON list, one at a time, from files of any size."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from eval.messages import short
from lrmovienet.errors import UserError

CHUNK = 1 << 20
MOST_CHARACTERS = 1 << 22
"""Of one item. A record with 20 labels has some thousand."""

_BLANK = re.compile(r"[ \t\n\r]*")


def items_of(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON list, in order. No more than one item and a chunk is in memory.

    Raises:
        UserError: the file is missing, is not a list of objects in UTF-8, or an item is absurdly
            long or nested.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file.")
    with path.open(encoding="utf-8-sig") as file:
        text = _Text(path, file)
        if text.next() != "[":
            text.fail("expected a list of items, which begins with [")
        text.at += 1
        number = 0
        if text.next() == "]":
            text.at += 1
        else:
            while True:
                yield text.item(number)
                number += 1
                mark = text.next()
                text.at += 1
                if mark == "]":
                    break
                if mark != ",":
                    text.fail(f"expected , or ] behind item {number - 1}, found {mark!r}")
        if text.next():
            text.fail(f"something stands behind the end of the list: {text.next()!r}")


class _Text:
    """A window into a file: the characters from `at` on are not used yet."""

    def __init__(self, path: Path, file: Any) -> None:
        self.path, self.file = path, file
        self.window, self.at = "", 0
        self.decoder = json.JSONDecoder(parse_constant=_no_number)

    def next(self) -> str:
        """The next character that is not blank, which stays; nothing at the end of the file."""
        while True:
            blank = _BLANK.match(self.window, self.at)
            self.at = blank.end() if blank else self.at
            if self.at < len(self.window):
                return self.window[self.at]
            if not self.more():
                return ""

    def item(self, number: int) -> dict[str, Any]:
        """Take the object that begins here."""
        if self.next() != "{":
            self.fail(f"item {number} is no object: it begins with {self.next()!r}")
        while True:
            try:
                item, self.at = self.decoder.raw_decode(self.window, self.at)
            except json.JSONDecodeError as error:
                # It may only be cut off at the window's end.
                if len(self.window) - self.at > MOST_CHARACTERS:
                    self.fail(f"item {number} is not readable within {MOST_CHARACTERS} characters")
                if not self.more():
                    self.fail(f"item {number} is no JSON ({error.msg})")
            except RecursionError:
                self.fail(f"item {number} is nested too deeply")
            except ValueError as error:  # NaN, or a number of thousands of digits
                self.fail(f"item {number}: {short(str(error))}")
            else:
                found: dict[str, Any] = item
                return found

    def more(self) -> bool:
        """Read on; what was used is let go."""
        self.window = self.window[self.at :]
        self.at = 0
        try:
            chunk = self.file.read(max(CHUNK, len(self.window)))
        except UnicodeDecodeError as error:
            self.fail(f"not UTF-8 ({error.reason})")
        self.window += chunk
        return bool(chunk)

    def fail(self, what: str) -> NoReturn:
        raise UserError(f"{self.path}: {what}. It must be a JSON list of items.")


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
