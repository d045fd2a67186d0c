"""The page: all numbers, figures and samples of a release in one file that can be sent on."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lrmovienet.cards import sections
from lrmovienet.stats.figures import Plate
from lrmovienet.stats.samples import Sample
from lrmovienet.stats.words import one_line

TEMPLATE = "page.html.jinja"


def page(
    report: Mapping[str, Any],
    sets: Mapping[str, str],
    plates: Sequence[tuple[Plate, bytes]],
    samples: Sequence[tuple[Sample, bytes]],
    notes: Sequence[str],
) -> bytes:
    """The page as HTML. It loads nothing, runs nothing, and shows texts of others as text.

    Args:
        report: the content of ``stats.json``.
        sets: genre -> head or tail; empty where the release does not say.
        plates: the figures, each with its SVG.
        samples: the records that are shown, each with its card as PNG.
        notes: what is to be said of the samples.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {"line": one_line, "grouped": lambda n: f"{n:,}"}
    html = environment.get_template(TEMPLATE).render(
        report=report,
        sets=sets,
        plates=[(plate, _data("image/svg+xml", svg)) for plate, svg in plates],
        samples=[
            (sample, _data("image/png", png), sections(sample.card.labels))
            for sample, png in samples
        ],
        notes=notes,
    )
    return html.encode()


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
