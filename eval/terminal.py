"""What a program does about the terminal or the pipe that it writes to."""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn


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
