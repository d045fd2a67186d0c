"""The guidelines that annotators are shown; their version goes with every rating."""

import re
from dataclasses import dataclass
from pathlib import Path

from lrmovienet.errors import UserError

PATH = Path(__file__).parent / "GUIDELINES.md"


@dataclass(frozen=True)
class Guidelines:
    """A text and its version, which must be raised whenever the text asks for something else."""

    version: str
    text: str
    """Markdown."""

    @property
    def html(self) -> str:
        """As Label Studio shows it; HTML within the text is shown as text."""
        from markdown_it import MarkdownIt

        return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(self.text))


def read(path: Path = PATH) -> Guidelines:
    """Read guidelines: a Markdown file with a line ``Version: 2``.

    Raises:
        UserError: there is no such file, or no such line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable guidelines ({error}).") from None
    version = re.search(r"^Version:[ \t]*(\S+)[ \t]*$", text, re.MULTILINE)
    if version is None:
        raise UserError(
            f"{path}: has no line such as `Version: 1`, which each rating is kept with."
        )
    return Guidelines(version[1], text)
