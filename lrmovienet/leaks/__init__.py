"""`lrmovienet leaks`: what the splits of a release share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lrmovienet.errors import UserError
from lrmovienet.files import json_bytes, write_if_changed

NEAR, BITS = 0.5, 4
KINDS = {
    "films": "films",
    "clips": "clips",
    "classes": "label classes",
    "descriptions": "clips with a near description",
    "frames_equal": "frames, the same file",
    "frames_alike": "frames that look alike",
}
"""What is counted -> how it is called."""


@dataclass(frozen=True)
class LeaksConfig:
    """Options of `lrmovienet leaks`."""

    release: Path = Path("release")
    """Folder of the release to look at."""
    near: float = NEAR
    """Two descriptions are near from this share of common word triples (above 0, up to 1)."""
    bits: int = BITS
    """Two frames look alike that differ in so many of 64 bits of their perceptual hash at most."""
    frames: Path | None = None
    """Where the frames lie (as for `hydrate`), to compare how they look. Without it, only what the
    release itself says of them is compared."""
    out: Path | None = None
    """A JSON file for the whole report, with examples."""


def run(config: LeaksConfig) -> None:
    """Print what splits share, and write it where asked.

    Raises:
        UserError: there is no release, it is damaged, or an option is wrong.
    """
    from lrmovienet.leaks.measure import measure
    from lrmovienet.release.layout import Release
    from lrmovienet.release.looks import perceptual_hashes

    if not (0 < config.near <= 1 and 0 <= config.bits <= 64):
        raise UserError("give --near above 0 and up to 1, and --bits from 0 to 64.")
    release, console = Release.open(config.release, "labels"), Console(emoji=False)
    hashes = None
    if config.frames is not None:
        clips = release.read("clips", columns=["keyframes"])["keyframes"].to_pylist()
        frames = {frame["ref"]: frame["sha256"] for of_clip in clips for frame in of_clip}
        hashes = perceptual_hashes(config.frames, frames, all_of_them=False)
    report = measure(release, config.near, config.bits, hashes)
    console.print(table(report))
    console.print(notes(report), markup=False, highlight=False, soft_wrap=True)
    if config.out is not None:
        write_if_changed(config.out, json_bytes(report))
        console.print(str(config.out), markup=False, soft_wrap=True)


def table(report: dict[str, Any]) -> Table:
    """A line for each two splits: of the second, what the first has, too."""
    title = "of the second split, what the first has, too"
    shown = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    shown.add_column("first, second")
    for name in ("films", "clips", "labels", "near texts", "same frames", "alike"):
        shown.add_column(name, justify="right")
    for entry in report["shared"]:
        cells = [of(report, entry, kind).replace(" of ", "/") for kind in KINDS]
        cells = [cell.replace("not looked at", "?") for cell in cells]
        shown.add_row(", ".join(entry["splits"]), *cells)
    return shown


def of(report: dict[str, Any], entry: dict[str, Any], kind: str) -> str:
    """Such as ``3 of 40``: of the second split's, those that the first shares."""
    if kind == "frames_alike" and not report["frames_hashed"]:
        return "not looked at"
    sizes = report["splits"][entry["splits"][1]]
    whole = {"descriptions": "clips", "frames_equal": "frames", "frames_alike": "frames"}
    return f"{entry[kind]['shared']} of {sizes[whole.get(kind, kind)]}"


def notes(report: dict[str, Any]) -> str:
    """What the numbers mean, and what was not looked at."""
    hashed, frames = report["frames_hashed"], report["frames"]
    looks = f"{hashed} of {frames} frames have a perceptual hash"
    if not hashed:
        looks += ": whether others look alike was not looked at"
    return (
        f"Near: {report['near']:g} of the word triples or more in common. Alike: at most "
        f"{report['bits']} of 64 bits differ; {looks}. A clip is not compared with itself."
    )
