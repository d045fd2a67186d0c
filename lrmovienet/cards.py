"""`lrmovienet show`: each clip as a picture and in the terminal, with its labels."""

import difflib
import functools
import io
import itertools
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from lrmovienet.config import VerbConfig
from lrmovienet.errors import ItemError, UserError, shorten
from lrmovienet.files import write_bytes
from lrmovienet.keyframes import KeyframeReader, evenly, frames_root
from lrmovienet.pictures import picture
from lrmovienet.schema import GRADES
from lrmovienet.workspace import Workspace

if TYPE_CHECKING:
    from PIL.Image import Image

KINDS = ("event", "entity", "image")
INK, SOFT, LINE = "#1f2937", "#6b7280", "#e5e7eb"
COLOURS = {"event": "#c2410c", "entity": "#1d4ed8", "image": "#15803d"}
TINTS = {"event": "#fff1e6", "entity": "#e8f0fe", "image": "#e9f7ee", "other": "#f9fafb"}
TERMINAL = {"event": "dark_orange", "entity": "dodger_blue1", "image": "green3"}
GRADE_COLOURS = {"high": "#6b21a8", "medium": "#a855f7", "low": "#8b7aa8"}
GRADE_NAMES = {grade: name for name, grade in GRADES.items()}
MOST_FRAMES, MOST_LINES = 6, 14
"""Frames, and lines of description, on a card."""

WIDTH, MARGIN, INDENT, SCALE = 1000, 40, 116, 1.5
"""Width, margin and indent in layout units, and pixels a unit: a PNG is 1500 pixels wide."""


@dataclass(frozen=True)
class ShowConfig(VerbConfig):
    """Options of `lrmovienet show`."""

    clips: list[str] = field(default_factory=list)
    """Ids of the clips to show; without any, the first `limit`."""
    limit: int = 12
    """How many clips to show where none is named."""
    out: Path | None = None
    """Folder for the pictures. Default: `cards` in the workspace."""


@dataclass(frozen=True)
class Shown:
    """One label of a card."""

    label: str
    kinds: tuple[str, ...]
    """Where it was found: event, entity, image; each once."""
    score: float | None
    """The tagger's score, where it gave one."""
    grade: str | None
    """high, medium or low, where it was graded; pairs: the label is two, "better > worse"."""


@dataclass(frozen=True)
class Card:
    """What a card shows."""

    clip_id: str
    heading: str
    facts: str
    description: str
    labels: tuple[Shown, ...]
    frames: "tuple[Image | None, ...]"
    """Some of the keyframes, in order; None for one that cannot be read."""
    frames_in_all: int


def run(config: ShowConfig) -> None:
    """Write one PNG a clip and print the same in the terminal.

    Raises:
        UserError: there are no clips yet, or a clip that is asked for does not exist.
    """
    if config.limit < 1:
        raise UserError(f"--limit {config.limit}: give how many clips to show, 1 or more.")
    workspace = Workspace(config.workspace)
    folder = config.out or config.workspace / "cards"
    clips = {row["clip_id"]: row for row in workspace.read("clips").to_pylist()}
    chosen = choose(config.clips, list(clips), config.limit)
    labels = _labels(workspace, set(chosen))
    console = Console()
    reader, problems = None, list[str]()
    try:
        reader = KeyframeReader(frames_root(workspace))
    except UserError as error:  # a corpus without pictures has cards too
        problems.append(str(error))
    for clip_id in chosen:
        card = _card(reader, clips[clip_id], labels[clip_id], problems)
        console.print(panel(card))
        write_bytes(folder / f"{clip_id}.png", draw(card))
    if problems:
        more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
        console.print(f"frames are missing: {problems[0]}{more}", style="yellow", markup=False)
    rest = "" if config.clips or len(chosen) == len(clips) else f" of {len(clips)} (--limit)"
    console.print(f"{len(chosen)}{rest} cards in {folder}", markup=False)


def choose(asked: list[str], existing: list[str], limit: int) -> list[str]:
    """The clips that are asked for, or the first `limit`. Raises UserError for one that is not."""
    known = set(existing)
    for clip_id in asked:
        if clip_id not in known:
            close = difflib.get_close_matches(clip_id, existing, n=3, cutoff=0.5)
            hint = f"Did you mean {', '.join(close)}?" if close else f"There are {len(existing)}."
            raise UserError(f"no clip {shorten(clip_id)} in this workspace. {hint}")
    return list(dict.fromkeys(asked)) or existing[:limit]


def _labels(workspace: Workspace, chosen: set[str]) -> dict[str, list[Shown]]:
    """Candidates of each chosen clip in their order, graded ones first and by grade."""
    result: dict[str, list[Shown]] = {clip_id: [] for clip_id in chosen}
    grades: dict[tuple[str, str], int] = {}
    if workspace.manifest("relevance"):
        rows = workspace.read("relevance", ["clip_id", "label", "grade"]).to_pylist()
        grades = {(r["clip_id"], r["label"]): r["grade"] for r in rows if r["clip_id"] in chosen}
    rows = workspace.read("candidates").to_pylist() if workspace.manifest("candidates") else []
    rows = [row for row in rows if row["clip_id"] in chosen]
    for row in sorted(rows, key=lambda row: (row["clip_id"], row["position"])):
        grade = grades.pop((row["clip_id"], row["label"]), None)
        scores = [s["score"] for s in row["sources"] if s["score"] is not None]
        kinds = {s["kind"] for s in row["sources"]}
        shown = Shown(
            row["label"],
            tuple(kind for kind in KINDS if kind in kinds),
            max(scores, default=None),
            None if grade is None else GRADE_NAMES[grade],
        )
        result[row["clip_id"]].append(shown)
    for (clip_id, label), grade in grades.items():  # graded, but not among the candidates
        result[clip_id].append(Shown(label, (), None, GRADE_NAMES[grade]))
    return result


def _card(
    reader: KeyframeReader | None, clip: dict[str, Any], labels: list[Shown], problems: list[str]
) -> Card:
    frames: list[Image | None] = []
    for frame in evenly(clip["keyframes"], MOST_FRAMES):
        frames.append(None)
        if reader is not None:
            try:
                frames[-1] = picture(reader.read(frame["ref"], frame["sha256"]))
            except (ItemError, OSError) as error:
                problems.append(f"{clip['clip_id']}: {error}")
    shots = "shot {0}" if clip["shot"][0] == clip["shot"][1] else "shots {0}-{1}"
    facts = [clip["clip_id"], *clip["genres"], shots.format(*clip["shot"])]
    if clip["start_s"] is not None and clip["end_s"] is not None:
        facts.append(f"{clip['start_s']:.1f}-{clip['end_s']:.1f} s")
    return Card(
        clip_id=clip["clip_id"],
        heading=_printable(clip["title"] or clip["movie_id"]),
        facts=_printable(" · ".join(facts)),
        description=_printable(clip["description"]),
        labels=tuple(labels),
        frames=tuple(frames),
        frames_in_all=len(clip["keyframes"]),
    )


def _printable(text: str) -> str:
    """On one line and without control characters, which could move a terminal's cursor."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def sections(labels: Iterable[Shown]) -> list[tuple[str, list[Shown]]]:
    """Labels under headings: by grade where any is graded, else by where they were found."""
    labels = list(labels)
    if any(shown.grade for shown in labels):
        names = [*GRADES, "pairs", "not graded"]
        named = [(shown.grade or "not graded", shown) for shown in labels]
    else:
        names = [*KINDS, "other"]
        named = [(shown.kinds[0] if shown.kinds else "other", shown) for shown in labels]
    found = [(name, [shown for of, shown in named if of == name]) for name in names]
    return [(name, members) for name, members in found if members]


def panel(card: Card) -> Panel:
    """The card for a terminal: the description, then a line a section."""
    lines = Table.grid(padding=(0, 2))
    lines.add_column(justify="right")
    lines.add_column()
    for name, members in sections(card.labels):
        line = Text()
        for i, shown in enumerate(members):
            line.append("   " if i else "")
            for kind in shown.kinds:
                line.append("●", style=TERMINAL[kind])
            line.append(f" {_printable(shown.label)}")
            if shown.score is not None:
                line.append(f" {shown.score:.2f}", style="dim")
        lines.add_row(Text(name, style=f"bold {GRADE_COLOURS.get(name, '')}".strip()), line)
    legend = Text("no labels yet" if not card.labels else "", style="dim")
    for kind in KINDS if card.labels else ():
        legend.append("●", style=TERMINAL[kind]).append(f" {kind}   ")
    lines.add_row("", legend)
    body = Group(Text(card.facts, style="dim"), Text(card.description), Text(""), lines)
    return Panel(body, title=Text(card.heading, style="bold"), title_align="left")


def draw(card: Card) -> bytes:
    """The card as PNG, `WIDTH * SCALE` pixels wide and as high as it needs; the same every time."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a box stands in its place
        return _Drawing().card(card)


@functools.cache
def _advance(character: str, weight: str) -> float:
    """A character's width at size 1."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family="DejaVu Sans", size=100, weight=weight)
    return float(text_to_path.get_text_width_height_descent(character, font, False)[0]) / 100


def _width(text: str, size: float, weight: str = "normal") -> float:
    """Width of one line in layout units, kerning aside."""
    return size * sum(_advance(character, weight) for character in text)


def _fitting(text: str, size: float, room: float, weight: str = "normal") -> int:
    """How many characters of a text fit."""
    ends = itertools.accumulate(size * _advance(character, weight) for character in text)
    return sum(1 for _ in itertools.takewhile(lambda end: end <= room, ends))


class _Drawing:
    """A card in the making: artists in layout units (points), from the top down."""

    def __init__(self) -> None:
        self.artists: list[Any] = []
        self.pictures: list[tuple[Any, tuple[float, float, float, float]]] = []
        self.y = float(MARGIN)

    def card(self, card: Card) -> bytes:
        """Lay out the whole card and render it."""
        inner = WIDTH - 2 * MARGIN
        self.y += 22
        self.text(MARGIN, self.y, self.fitted(card.heading, 24, inner, "bold"), 24, INK, "bold")
        self.y += 24
        self.text(MARGIN, self.y, self.fitted(card.facts, 12.5, inner), 12.5, SOFT)
        self.y += 18
        self.strip(card)
        lines = list(itertools.islice(self.wrapped(card.description, 16, inner), MOST_LINES + 1))
        if len(lines) > MOST_LINES:
            shown = sum(len(line) + 1 for line in lines[:MOST_LINES])
            lines[-1] = f"… and {len(card.description) - shown} more characters"
        for line in lines:
            self.y += 24
            self.text(MARGIN, self.y, line, 16, INK)
        self.y += 30
        for name, members in sections(card.labels):
            self.section(name, members)
        self.legend(card.labels)
        return self.render(self.y + MARGIN - 16)

    def strip(self, card: Card) -> None:
        """The frames side by side, as high as the width allows, up to 300 units."""
        gap, inner = 8, WIDTH - 2 * MARGIN
        shapes = [f.width / f.height if f else 16 / 9 for f in card.frames]
        height = min(300.0, (inner - gap * (len(shapes) - 1)) / sum(shapes))
        x = float(MARGIN)
        for frame, shape in zip(card.frames, shapes, strict=True):
            if frame is None:
                self.box(x, self.y, shape * height, height, "#f3f4f6", LINE, 4)
                self.text(x + 10, self.y + height / 2, "no frame", 12, SOFT)
            else:
                self.pictures.append((frame, (x, x + shape * height, self.y + height, self.y)))
            x += shape * height + gap
        self.y += height
        if card.frames_in_all > len(card.frames):
            self.y += 18
            note = f"{len(card.frames)} of {card.frames_in_all} keyframes"
            self.text(MARGIN, self.y, note, 11.5, SOFT)
        self.y += 10

    def section(self, name: str, members: Sequence[Shown]) -> None:
        """A heading on the left and its labels beside it, in as many lines as they need."""
        left, height, top = MARGIN + INDENT, 28, self.y
        colour = GRADE_COLOURS.get(name, COLOURS.get(name, SOFT))
        x = float(left)
        for shown in members:
            text = self.fitted(_printable(shown.label), 14, 560)
            score = "" if shown.score is None else f"{shown.score:.2f}"
            dots = 13 * len(shown.kinds)
            at_score = 12 + dots + _width(text, 14) + 8
            width = at_score + (_width(score, 11.5) + 12 if score else 4)
            if x + width > WIDTH - MARGIN and x > left:
                x = float(left)
                self.y += height + 8
            first = shown.kinds[0] if shown.kinds else "other"
            self.box(x, self.y, width, height, TINTS[first], COLOURS.get(first, SOFT), 14)
            for i, of in enumerate(shown.kinds):
                self.dot(x + 16 + 13 * i, self.y + height / 2, COLOURS[of])
            self.text(x + 12 + dots, self.y + 19, text, 14, INK)
            self.text(x + at_score, self.y + 19, score, 11.5, SOFT)
            x += width + 8
        self.y += height
        self.box(MARGIN, top + 2, 4, self.y - top - 4, colour, colour, 2)
        self.text(MARGIN + 14, top + 19, name, 14, colour, "bold")
        self.y += 16

    def legend(self, labels: Sequence[Shown]) -> None:
        """What the dots' colours and the numbers mean, where there are any."""
        x = float(MARGIN + INDENT if labels else MARGIN)
        self.y += 8
        for kind, colour in COLOURS.items() if any(shown.kinds for shown in labels) else ():
            self.dot(x + 4, self.y - 4, colour)
            self.text(x + 13, self.y, kind, 11.5, SOFT)
            x += 13 + _width(kind, 11.5) + 18
        scored = any(shown.score is not None for shown in labels)
        last = "the number is the tagger's score" if scored else "" if labels else "no labels yet"
        self.text(x, self.y, last, 11.5, SOFT)
        self.y += 8

    def text(
        self, x: float, y: float, text: str, size: float, colour: str, weight: str = "normal"
    ) -> None:
        """One line; `y` is its base line."""
        from matplotlib.font_manager import FontProperties
        from matplotlib.text import Text as Artist

        font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
        # A dollar sign is a dollar sign, not the beginning of a formula.
        self.artists.append(Artist(x, y, text, color=colour, fontproperties=font, parse_math=False))

    def box(
        self, x: float, y: float, width: float, height: float, face: str, edge: str, radius: float
    ) -> None:
        """A rectangle with round corners."""
        from matplotlib.patches import FancyBboxPatch

        style = f"round,pad=0,rounding_size={min(radius, width / 2, height / 2)}"
        self.artists.append(
            FancyBboxPatch((x, y), width, height, style, facecolor=face, edgecolor=edge, lw=0.8)
        )

    def dot(self, x: float, y: float, colour: str) -> None:
        """A small disc around (x, y)."""
        self.box(x - 4, y - 4, 8, 8, colour, colour, 4)

    def fitted(self, text: str, size: float, room: float, weight: str = "normal") -> str:
        """The text, or as much of its beginning as fits, with an ellipsis."""
        if _width(text, size, weight) <= room:
            return text
        return text[: _fitting(text, size, room - _width("…", size, weight), weight)] + "…"

    def wrapped(self, text: str, size: float, room: float) -> Iterator[str]:
        """The text in lines; a word that is longer than a line is broken."""
        line = ""
        for word in text.split():
            longer = f"{line} {word}" if line else word
            if _width(longer, size) <= room:
                line = longer
                continue
            if line:
                yield line
            line = word
            while _width(line, size) > room:
                fits = max(_fitting(line, size, room), 1)
                yield line[:fits]
                line = line[fits:]
        yield line

    def render(self, height: float) -> bytes:
        """Everything so far as PNG."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(WIDTH / 72, round(height) / 72), dpi=72 * SCALE, facecolor="white")
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        for image, extent in self.pictures:
            axes.imshow(image, extent=extent, aspect="auto", interpolation="antialiased")
        axes.set_xlim(0, WIDTH)
        axes.set_ylim(round(height), 0)
        axes.axis("off")
        for artist in self.artists:
            axes.add_artist(artist)
        png = io.BytesIO()
        figure.savefig(png, format="png", metadata={"Software": None})
        return png.getvalue()
