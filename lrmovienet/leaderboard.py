"""`lrmovienet leaderboard`: results -> tables, as `eval/leaderboard.py` makes them."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from lrmovienet.errors import UserError


@dataclass(frozen=True)
class LeaderboardConfig:
    """Options of `lrmovienet leaderboard`."""

    workspace: Path | None = None
    """Take the results of this workspace, results/*.json, unless --results is given."""
    results: list[str] = field(default_factory=list)
    """Files, folders or globs, with or without the option; default: the published ones."""
    markdown: Path | None = None
    """Write Markdown to this file."""
    html: Path | None = None
    """Write a page with drawn intervals to this file."""
    into: Path | None = None
    """Replace what stands between <!-- leaderboard --> and <!-- /leaderboard --> in this file."""
    check: bool = False
    """Write nothing; exit with code 1 if a file would change."""


def run(config: LeaderboardConfig) -> None:
    """Write the tables, or print them as Markdown where no file is named."""
    from eval.leaderboard import RESULTS, publish, said
    from eval.result import ResultError

    default = RESULTS if config.workspace is None else config.workspace / "results"
    try:
        text, files = publish(
            config.results or [str(default)], markdown_to=config.markdown, html_to=config.html,
            into=config.into, check=config.check,
        )  # fmt: skip
    except ResultError as error:
        raise UserError(str(error)) from None
    sys.stdout.write(said(text, files, check=config.check))
    if config.check and files:
        raise SystemExit(1)
