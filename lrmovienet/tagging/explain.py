"""`lrmovienet tag --explain CLIP`: the frames of a clip with what the tagger saw in them."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lrmovienet.errors import ItemError
from lrmovienet.files import write_bytes
from lrmovienet.keyframes import KeyframeReader
from lrmovienet.pictures import picture
from lrmovienet.tagging.frames import Frame, Tagger

MOST = 12
"""Labels of a frame that are shown."""
ON, OFF, INK = "#15803d", "#cbd5e1", "#1f2937"


def explain(
    clip_id: str,
    frames: Sequence[Frame],
    tags: Sequence[npt.NDArray[Any]],
    tagger: Tagger,
    reader: KeyframeReader,
    png: Path,
) -> None:
    """Print each frame's best labels, and draw them beside the frame.

    Args:
        clip_id: the clip.
        frames: its keyframes.
        tags: the entries of each keyframe.
        tagger: what the entries' numbers mean.
        reader: where the keyframes are.
        png: the picture to write.
    """
    best = [sorted(entries.tolist(), key=lambda e: (-e[1], e[0]))[:MOST] for entries in tags]
    console = Console()
    for frame, entries, every in zip(frames, best, tags, strict=True):
        table = Table(title=Text(frame["ref"]), title_justify="left")
        for heading in ("label", "score", "threshold", "counts"):
            table.add_column(heading, justify="left" if heading == "label" else "right")
        for number, score in entries:
            threshold = tagger.thresholds[number]
            counts = "yes" if _counts(score, threshold) else ""
            label = Text(tagger.labels[number])
            table.add_row(label, f"{score:.3f}", f"{threshold:.2f}", counts)
        console.print(table)
        if len(every) > MOST:
            console.print(f"  and {len(every) - MOST} more above the floor")
    write_bytes(png, _draw(clip_id, frames, best, tagger, reader))
    console.print(f"picture: {png}", markup=False, highlight=False, soft_wrap=True)


def _counts(score: float, threshold: float) -> bool:
    """As in the table, where scores are rounded."""
    return round(score, 4) > threshold


def _draw(
    clip_id: str,
    frames: Sequence[Frame],
    best: Sequence[Sequence[tuple[int, float]]],
    tagger: Tagger,
    reader: KeyframeReader,
) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.1 * len(frames) + 0.6), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    title = f"{clip_id}: what {tagger.name} saw (green: above the label's threshold, the tick)"
    figure.suptitle(title, x=0.01, ha="left", color=INK, parse_math=False)
    axes = figure.subplots(len(frames), 2, squeeze=False, width_ratios=(1.6, 1))
    for (left, right), frame, entries in zip(axes, frames, best, strict=True):
        left.axis("off")
        left.set_title(frame["ref"], fontsize=9, color=INK, loc="left", parse_math=False)
        try:
            left.imshow(picture(reader.read(frame["ref"], frame["sha256"])))
        except ItemError as error:
            left.text(0, 0.5, str(error)[:80], wrap=True, parse_math=False)
        places = range(len(entries))
        limits = [tagger.thresholds[number] for number, _ in entries]
        colours = [
            ON if _counts(score, limit) else OFF
            for (_, score), limit in zip(entries, limits, strict=True)
        ]  # fmt: skip
        right.barh(places, [score for _, score in entries], color=colours, height=0.8)
        right.vlines(
            limits, [p - 0.4 for p in places], [p + 0.4 for p in places], color=INK, lw=1.2
        )
        labels = [tagger.labels[number] for number, _ in entries]
        right.set_yticks(places, labels, fontsize=8, color=INK, parse_math=False)
        right.set_xlim(0, max(1e-3, *(score for _, score in entries), *limits) * 1.05)
        right.tick_params(axis="x", labelsize=7)
        right.invert_yaxis()
        right.spines[["top", "right"]].set_visible(False)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110, metadata={"Software": None})
    return png.getvalue()
