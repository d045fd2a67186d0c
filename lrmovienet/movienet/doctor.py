"""`lrmovienet doctor ROOT`: what a copy of MovieNet holds, what it is good for, what is missing."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval.messages import printable
from lrmovienet.config import VerbConfig
from lrmovienet.errors import UserError
from lrmovienet.movienet.inventory import FilmInventory, Inventory, take_inventory


@dataclass(frozen=True)
class DoctorConfig(VerbConfig):
    """Options of `lrmovienet doctor`. It changes nothing and reads no frame."""

    root: Path | None = None
    """The folder that holds MovieNet, with or without the option."""
    rows: int = 30
    """How many films to list, those with problems first; 0 lists all."""
    json: bool = False
    """Print everything as JSON instead."""


def run(config: DoctorConfig) -> None:
    """Print the inventory of a folder."""
    if config.root is None:
        raise UserError("give the folder that holds your MovieNet: lrmovienet doctor ROOT")
    inventory = take_inventory(config.root)
    if config.json:
        json.dump(inventory.as_json(), sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
        return
    console = Console()
    _print_parts(console, inventory)
    _print_films(console, inventory, config.rows)
    _print_totals(console, inventory, config.workspace)


def _print_parts(console: Console, inventory: Inventory) -> None:
    parts = Table(title=_text(inventory.root), title_justify="left")
    parts.add_column("part")
    parts.add_column("found in")
    for name, places in inventory.parts.items():
        parts.add_row(name, _text(", ".join(places) or "-"))
    console.print(parts)


def _print_films(console: Console, inventory: Inventory, rows: int) -> None:
    films = sorted(
        inventory.films, key=lambda f: (not f.problems, not f.stories, not f.keyframes, f.movie_id)
    )
    shown = films[: rows or None]
    if not shown:
        return
    table = Table(title="films", title_justify="left")
    for heading in ("film", "split", "clips", "shots", "frames", "keyframes", "meta", "shot file"):
        right = heading in ("clips", "shots", "frames")
        table.add_column(heading, justify="right" if right else "left", no_wrap=right)
    for film in shown:
        table.add_row(
            _text(film.movie_id), _text(film.split or "-"), _of(film.clips, film.stories or None),
            _of(film.shots_with_frames, film.shots), _of(film.frames, None), _holder(film),
            "yes" if film.meta else "-", "yes" if film.shot_file else "-",
        )  # fmt: skip
    console.print(table)
    if len(films) > len(shown):
        console.print(f"… and {len(films) - len(shown)} more films (--rows 0 lists all)")


def _print_totals(console: Console, inventory: Inventory, workspace: Path) -> None:
    def lines(title: str, texts: list[str]) -> None:
        if texts:
            console.print(f"\n[bold]{title}[/bold]")
        for text in texts:
            console.print(_text(f"  {text}"), soft_wrap=True)

    totals = inventory.totals
    lines("totals", [f"{number:>9,}  {what}" for what, number in totals.items()])
    ranges = inventory.ranges_include_end
    if any(ranges.values()):
        console.print(
            f"  ranges include their ends: {ranges['yes']} films say yes, {ranges['no']} no, "
            f"{ranges['undecided']} do not tell"
        )
    lines(
        "stories that lack something", [f"{n:>9,}  {why}" for why, n in inventory.not_clips.items()]
    )
    problems = [f"{f.movie_id}: {p}" for f in inventory.films for p in f.problems]
    lines("cannot be read", [*inventory.problems, *problems[:20]])
    if len(problems) > 20:
        console.print(f"  … and {len(problems) - 20} more")
    lines("not there", inventory.missing)
    if totals["clips with frames"]:
        lines(
            "what can be built",
            [
                f"{totals['clips with frames']:,} clips of {totals['films with clips']:,} films:",
                f"lrmovienet ingest --workspace {workspace} --movienet {inventory.root}",
            ],
        )
    else:
        lines("what can be built", ["no clip: that takes an annotated story and its keyframes"])


def _of(there: int | None, wanted: int | None) -> str:
    """How many there are, of how many there should be."""
    if wanted is None:
        return "-" if there is None else str(there)
    return f"{'-' if there is None else there}/{wanted}"


def _holder(film: FilmInventory) -> str:
    """What holds a film's keyframes, in a word."""
    if film.keyframes is None:
        return "-"
    if not film.keyframes.endswith(".tar"):
        return "folder"
    return "tar in zip" if ".zip, " in film.keyframes else "tar"


def _text(text: str) -> Text:
    """Names come from archives: no markup, and nothing that moves a cursor."""
    return Text(printable(text))
