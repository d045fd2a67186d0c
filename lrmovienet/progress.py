"""Progress on standard error: a bar for a person, a line now and then for a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lrmovienet.torchrun import is_first

LOG_EVERY_S = 10.0


@contextmanager
def progress(what: str, total: int, unit: str = "items") -> Iterator[Callable[[int], None]]:
    """Show how far a piece of work is. Yields a function to call with the number of items done."""
    if not is_first():  # of several processes, one speaks
        yield lambda n: None
        return
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            Task,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.text import Text

        class Rate(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text(f"{task.speed:.3g}/s" if task.speed else "")

        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit),
            Rate(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
        )  # fmt: skip
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(what, total=total)
            yield lambda n: bar.advance(task, n)
        return
    started = last = time.monotonic()
    done = 0

    def advance(n: int) -> None:
        nonlocal done, last
        done += n
        now = time.monotonic()
        if now - last >= LOG_EVERY_S and done < total:
            last = now
            rate = done / (now - started)
            left = f", {rate:.3g}/s, about {(total - done) / rate:.0f} s left" if rate else ""
            sys.stderr.write(f"{what}: {done}/{total} {unit}{left}\n")
            sys.stderr.flush()

    yield advance
