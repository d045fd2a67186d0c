"""What a program does about the terminal or the pipe that it writes to."""

import io
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

_UNSEEN = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    """Text of somebody else without what moves a terminal's cursor or turns its writing round."""
    return _UNSEEN.sub("\ufffd", text)


def leave(main: Callable[[], int]) -> NoReturn:
    """Run a program and exit with its code.

    Quietly where the reader of its output has gone (``| head``), with a line where the output
    cannot be written, and without a traceback where it is closed or its encoding lacks a character.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        code = main()
        sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"error: standard output cannot be written ({error.strerror}).\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)
