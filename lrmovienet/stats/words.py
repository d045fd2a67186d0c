"""Names and texts of others as a page, a figure and a terminal may show them."""

from eval.messages import printable


def one_line(text: str) -> str:
    """On one line, and without what moves a cursor or turns writing round."""
    return " ".join(printable(text).split())


def cut(text: str, most: int) -> str:
    """The text on one line, or its beginning and an ellipsis: `most` characters at most."""
    line = one_line(text)
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"
