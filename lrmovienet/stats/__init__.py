"""`lrmovienet stats`: a release in numbers, figures and samples, as files and as one page."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lrmovienet.errors import UserError
from lrmovienet.files import write_bytes
from lrmovienet.stats.words import cut, one_line

if TYPE_CHECKING:
    from lrmovienet.release.layout import Release

PAGE, NUMBERS, FIGURES, CARDS = "index.html", "stats.json", "figures", "cards"
NO_FRAMES = ": give --frames ROOT, the folder that holds the films' keyframes"
_CARD = re.compile(r"\d{2,}-(source|target)\.png")


@dataclass(frozen=True)
class StatsConfig:
    """Options of `lrmovienet stats`."""

    release: Path = Path("release")
    """Folder of the release to describe; it stays as it is."""
    out: Path | None = None
    """Folder for what is written. Default: beside the release, with `-stats` after its name."""
    frames: Path | None = None
    """Folder that holds the films' keyframes, such as a MovieNet tree, for the sample cards."""
    samples: int = 6
    """Records to show as cards, half of each domain; 0 for none."""
    seed: int = 0
    """Seed of the draw of samples; 0 or more."""


def run(config: StatsConfig) -> None:
    """Count, draw and write; print the splits and the folder.

    Raises:
        UserError: there is no release, it is damaged, or an option is wrong. Nothing is written
            then.
    """
    from lrmovienet.release.layout import Release

    for name in ("samples", "seed"):
        if getattr(config, name) < 0:
            raise UserError(f"--{name} {getattr(config, name)}: give a number, 0 or more.")
    if config.frames is not None and not config.frames.is_dir():
        raise UserError(f"--frames {config.frames}: no such folder.")
    release = Release.open(config.release, "labels")
    out = _folder(config)
    report, files, notes = make(release, config)
    _clear(out / CARDS, files)
    for name, content in files.items():
        write_bytes(out / name, content)
    console = Console(emoji=False)
    console.print(table(report))
    for line in (*notes, str(out)):
        console.print(Text(one_line(line)), soft_wrap=True)


def make(
    release: "Release", config: StatsConfig
) -> tuple[dict[str, Any], dict[str, bytes], list[str]]:
    """The numbers of a release, every file by its name, and what is to be said beside them.

    Raises:
        UserError: a file of the release is missing or damaged.
    """
    from lrmovienet.cards import draw
    from lrmovienet.keyframes import KeyframeReader
    from lrmovienet.progress import progress
    from lrmovienet.stats.figures import PLATES, plates, saved, settled
    from lrmovienet.stats.measure import measure
    from lrmovienet.stats.page import page
    from lrmovienet.stats.samples import sampled, too_few, with_frames

    report = {**identity(release), **measure(release)}
    sets = genre_sets(release)
    samples = sampled(release, config.samples, config.seed)
    reader = KeyframeReader(config.frames) if config.frames is not None else None
    # Not sorted by name: genres stand by their clips, counts as numbers.
    numbers = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    files = {NUMBERS: numbers.encode()}
    figures, cards, problems = [], [], list[str]()
    missing = 0
    with progress("drawing", PLATES + len(samples), "pictures") as advance:
        for plate in plates(report, sets):
            png, svg = saved(plate.figure)
            files |= {f"{FIGURES}/{plate.name}.png": png, f"{FIGURES}/{plate.name}.svg": svg}
            figures.append((plate, svg))
            advance(1)
        for number, sample in enumerate(samples, 1):
            card, unread = with_frames(sample, reader)
            problems += unread
            missing += card.frames.count(None)
            with settled():
                png = draw(card)
            files[f"{CARDS}/{number:02}-{sample.domain}.png"] = png
            cards.append((sample, png))
            advance(1)
    notes = too_few(samples, config.samples)
    if missing:
        frames = sum(len(sample.keyframes) for sample in samples)
        notes.append(f"{missing} of {frames} frames are not shown")
    files[PAGE] = page(report, sets, figures, cards, notes)
    if missing:  # the reason is for the terminal: a page that is sent on names no folders of ours
        notes[-1] += f": {problems[0]}" if problems else NO_FRAMES
    return report, files, notes


def identity(release: "Release") -> dict[str, Any]:
    """What a release is called: by its manifest, or where that says nothing, by its folder."""
    about = release.manifest.get("about")
    title = about.get("title") if isinstance(about, dict) else None
    return {
        "name": one_line(str(title or release.root.resolve().name)),
        "version": one_line(release.version),
        "digest": one_line(release.digest),
        "generated": release.manifest.get("generated") is True,
    }


def genre_sets(release: "Release") -> dict[str, str]:
    """Genre -> head or tail, as the manifest says; empty where it says nothing.

    Raises:
        UserError: what it says is not two lists of names.
    """
    said = release.manifest.get("genres")
    if said is None:
        return {}
    head, tail = (said.get("head"), said.get("tail")) if isinstance(said, dict) else (None, None)
    if not isinstance(head, list) or not isinstance(tail, list):
        raise UserError(
            f"{release.root}: its manifest's 'genres' are not two lists, head and tail. Get the "
            "release again, or build it again."
        )
    return {str(name): "head" for name in head} | {str(name): "tail" for name in tail}


def table(report: dict[str, Any]) -> Table:
    """A line a split, and one of all: 80 columns for a release of the paper's size."""
    clips = report["totals"]["clips"]
    title = f"{cut(report['name'], 60)} {report['version']}: {clips:,} clips"
    shown = Table(title=Text(title), title_justify="left", pad_edge=False)
    shown.add_column("split", no_wrap=True)
    columns, words = ("records", "films", "labels", "classes"), ("high", "medium", "low")
    for name in (*columns, *words):
        shown.add_column(name, justify="right")
    for split, of in report["splits"].items():
        given = any(of["grades"].values())
        shown.add_row(
            Text(split), *(f"{of[name]:,}" for name in columns),
            *(f"{of['grades'][word]:,}" if given else "–" for word in words),
        )  # fmt: skip
    splits = report["splits"].values()
    totals = {**report["totals"], "records": sum(of["records"] for of in splits)}
    shown.add_section()
    shown.add_row(
        "all", *(f"{totals[name]:,}" for name in columns),
        *(f"{sum(of['grades'][word] for of in splits):,}" for word in words),
    )  # fmt: skip
    return shown


def _folder(config: StatsConfig) -> Path:
    """Where to write; never into a release, every file of which is accounted for."""
    from lrmovienet.release.layout import MANIFEST

    root = config.release.resolve()
    out = config.out or root.with_name(f"{root.name}-stats")
    place = out.resolve()
    if place.exists() and not place.is_dir():
        raise UserError(f"--out {out}: is a file; give a folder.")
    for folder in (place, *place.parents):
        if (folder / MANIFEST).is_file():
            raise UserError(
                f"--out {out}: lies in {folder}, whose {MANIFEST} accounts for every file in it. "
                "Give a folder outside."
            )
    return out


def _clear(folder: Path, files: dict[str, bytes]) -> None:
    """Remove cards of an earlier run that this one does not write again."""
    for path in folder.glob("*.png"):
        if _CARD.fullmatch(path.name) and f"{CARDS}/{path.name}" not in files:
            path.unlink()
