"""Errors that a person can act on.

Everything a user can cause ends in a `UserError`: the command line prints its one message and
leaves with exit code 2. Any other exception is a defect of ours and keeps its traceback.
"""


class UserError(Exception):
    """Something the user gave is wrong. The message says what, where and what to do."""


class Diverged(UserError):
    """Training has come to nothing; with other options it may not."""


class ItemError(UserError):
    """One item (a film, a clip) cannot be processed; the others can."""


def shorten(value: object, limit: int = 80) -> str:
    """`repr` of a value, cut so that a hostile cell cannot flood the terminal."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
