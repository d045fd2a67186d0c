"""`lrmovienet letor table`: results of `letor bench` -> Markdown."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from lrmovienet.errors import UserError

BEGIN, END = "<!-- letor -->", "<!-- /letor -->"


@dataclass(frozen=True)
class TableConfig:
    """Options of `lrmovienet letor table`."""

    results: list[str] = field(default_factory=list)
    """Files, folders or globs, with or without the option; default: the published ones."""
    into: Path | None = None
    """Replace what stands between <!-- letor --> and <!-- /letor --> in this file."""
    check: bool = False
    """Write nothing; exit with code 1 if the file would change."""


def run(config: TableConfig) -> None:
    """Write the tables, or print them where no file is named.

    Raises:
        UserError: a result is wrong, or the file lacks the marks.
    """
    from baselines.letor.table import markdown
    from eval.boards import find, load
    from eval.leaderboard import RESULTS, inserted, said
    from eval.result import ResultError, write

    if config.check and config.into is None:
        raise UserError("--check: needs a file to look at: --into FILE.")
    try:
        text = markdown(load(find(config.results or [str(RESULTS / "letor")])))
        files = (
            {} if config.into is None else {config.into: inserted(config.into, text, BEGIN, END)}
        )
        changed = [path for path, new in files.items() if path.read_bytes() != new]
        if not config.check:
            write(files)
    except ResultError as error:
        raise UserError(str(error)) from None
    sys.stdout.write(said(text, changed if config.check else list(files), check=config.check))
    if config.check and changed:
        raise SystemExit(1)
