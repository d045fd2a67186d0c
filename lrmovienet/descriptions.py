"""Descriptions of videos: a table (CSV or JSON Lines), or subtitles, one clip a stretch of them."""

import csv
import io
import json
import logging
import math
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lrmovienet.errors import UserError, shorten
from lrmovienet.movienet.annotation import clean

log = logging.getLogger(__name__)

REQUIRED_COLUMNS = ("video", "description")
OPTIONAL_COLUMNS = ("start_s", "end_s", "title", "genres")
COLUMNS = REQUIRED_COLUMNS + OPTIONAL_COLUMNS
MAX_BYTES = 100_000_000
MAX_CUE = 2000
"""Characters of a subtitle that are read; two lines have some 80."""
HEADER = "Its first line must be: " + ",".join(COLUMNS) + " (the last four may go)."


class Row(NamedTuple):
    """One clip: a video, or a stretch of it, and what is to be seen."""

    line: int
    video: str
    """The file's name without its folder."""
    description: str
    start_s: float | None
    end_s: float | None
    title: str | None
    genres: list[str]


def read_descriptions(path: Path) -> list[Row]:
    """Read a table of descriptions in UTF-8, one row a clip: CSV, or JSON Lines (``.jsonl``).

    Without ``start_s`` and ``end_s`` the whole video is one clip; a video of several clips needs
    both on every row. In JSON Lines ``genres`` may be a list.

    Raises:
        UserError: the file is missing, not UTF-8, or has rows that are wrong; up to ten of them
            are listed with their line.
    """
    rows: list[Row] = []
    problems: list[str] = []
    is_json = path.suffix.lower() in (".jsonl", ".ndjson")
    lines: Iterator[tuple[int, Any]] = _json_lines(path) if is_json else _csv_lines(path)
    for line, values in lines:
        try:
            rows.append(_row(line, _json_values(values) if is_json else values))
        except ValueError as error:
            problems.append(f"line {line}: {error}")
    if not rows and not problems:
        raise UserError(f"{path}: has no rows. Add one row a clip.")
    problems += _repeated(rows)
    if problems:
        more = f"\n  … and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise UserError(f"{path}: rows are wrong:\n  " + "\n  ".join(problems[:10]) + more)
    return rows


def read_subtitles(paths: Sequence[Path], videos: Sequence[Path], window_s: float) -> list[Row]:
    """Subtitles as descriptions: what is said in stretches of at most `window_s` seconds.

    A file belongs to the video of its name, ``film.srt`` or ``film.en.srt`` to ``film.mp4``. A
    stretch begins with a subtitle and ends with one, so that none is cut in two.

    Raises:
        UserError: a file is missing, has no subtitles, or belongs to no video or to several.
    """
    rows: list[Row] = []
    taken: dict[str, Path] = {}
    for path in paths:
        video = _video_of(path, videos)
        if video in taken:
            raise UserError(f"{path}: {taken[video]} is of {video} too; give one of them.")
        taken[video] = path
        for number, (start_s, end_s, text) in enumerate(_windows(path, window_s), start=1):
            rows.append(Row(number, video, text, start_s, end_s, None, []))
    return rows


def _windows(path: Path, window_s: float) -> Iterator[tuple[float, float, str]]:
    import pysubs2

    text = _text(path, "subtitles", "")
    try:
        events = pysubs2.SSAFile.from_string(text).events
    except (pysubs2.Pysubs2Error, ValueError, KeyError, IndexError) as error:
        raise UserError(f"{path}: not readable as subtitles ({shorten(str(error))}).") from None
    for event in events:
        event.text = event.text[:MAX_CUE]  # taking the tags out costs the square of the length
    spoken = [
        (event.start / 1000, event.end / 1000, said)
        for event in sorted(events, key=lambda e: (e.start, e.end))
        if not (event.is_comment or event.is_drawing)
        and 0 <= event.start < event.end
        and (said := " ".join(event.plaintext.split()))
    ]
    lost = sum(event.end <= event.start for event in events if not event.is_comment)
    if lost:
        log.warning("%s: %d subtitles last no time and are left out", path, lost)
    if not spoken:
        raise UserError(f"{path}: has no subtitles. Is it an SRT file?")
    begin, end, said = spoken[0]
    for start_s, end_s, line in spoken[1:]:
        if max(end, end_s) - begin > window_s:
            yield begin, end, said
            begin, end, said = start_s, end_s, line
        else:
            end, said = max(end, end_s), f"{said} {line}"
    yield begin, end, said


def _video_of(path: Path, videos: Sequence[Path]) -> str:
    stem = plain_name(path.stem)
    named = [(plain_name(video.stem), plain_name(video.name)) for video in videos]
    found = next(
        (f for s in (stem, stem.rpartition(".")[0]) if (f := [n for v, n in named if v == s])), []
    )
    if len(found) != 1:
        why = f"are all named like it: {', '.join(found)}" if found else "is named like it"
        raise UserError(f"{path}: {'videos' if found else 'no video'} {why}. Rename it.")
    return found[0]


def _csv_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    text = _text(path, "descriptions", HEADER)
    reader = csv.DictReader(io.StringIO(text, newline=""), restval="", strict=True)
    try:
        _check_header(path, list(reader.fieldnames or []))
        for values in reader:
            yield reader.line_num, values
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: not readable as CSV ({error}).") from None


def _json_lines(path: Path) -> Iterator[tuple[int, str]]:
    header = f"Each line must be an object with {', '.join(COLUMNS)} (the last four may go)."
    text = _text(path, "descriptions", header)
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line


def _json_values(line: str) -> dict[str, str]:
    """One JSON object -> the cells that a CSV would have. Raises ValueError."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not readable as JSON ({error}).") from None
    if not isinstance(values, dict):
        raise ValueError(f"is {shorten(values)}; expected an object.")
    unknown = [n for n in values if n not in COLUMNS]
    if unknown:
        raise ValueError(f"unknown name {shorten(unknown[0])}; known are {', '.join(COLUMNS)}.")
    return {name: _cell(name, values.get(name)) for name in COLUMNS}


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "genres" and isinstance(value, list) and all(isinstance(g, str) for g in value):
        return clean("|".join(value))
    if name in ("start_s", "end_s") and isinstance(value, int | float) and value is not True:
        return repr(value)
    if not isinstance(value, str):
        raise ValueError(f"{name} is {shorten(value)}; expected text.")
    return clean(value)


def _text(path: Path, of: str, expected: str) -> str:
    if not path.is_file():
        raise UserError(f"{path}: no such file of {of}. {expected}".rstrip())
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"{path}: larger than {MAX_BYTES} bytes; is it the right file?")
    data = path.read_bytes()
    if not data.strip():
        raise UserError(f"{path}: the file is empty. {expected}".rstrip())
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise UserError(
                f"{path}: is UTF-16 text. Save it in UTF-8: iconv -f UTF-16 -t UTF-8 OLD > NEW"
            ) from None
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}, line {line}: not UTF-8 text (byte {data[error.start]:#04x}). Save the file "
            "in UTF-8; if it is Windows text: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW"
        ) from None


def _check_header(path: Path, names: list[str]) -> None:
    missing = [f"missing column {n!r}" for n in REQUIRED_COLUMNS if n not in names]
    unknown = [f"unknown column {shorten(n)}" for n in names if n not in COLUMNS]
    twice = [f"column {n!r} twice" for n in sorted(set(names)) if names.count(n) > 1]
    if len(names) == 1 and (mark := next((m for m in ";\t" if m in names[0]), None)):
        raise UserError(f"{path}: its columns are separated by {mark!r}; save it with commas.")
    if missing or unknown or twice:
        raise UserError(f"{path}: {'; '.join(missing + unknown + twice)}. {HEADER}")


def _row(line: int, values: dict[str, str]) -> Row:
    """One line -> one row. Raises ValueError saying what is wrong with it."""
    if None in values:
        raise ValueError("more values than columns. Put quotes around text with commas in it.")
    video = plain_name(Path(values["video"].strip()).name)
    if not video:
        raise ValueError("column 'video' is empty. Write the video's file name.")
    description = values["description"].strip()
    if not description:
        raise ValueError(f"the description of {video} is blank. Write what is to be seen.")
    start_s, end_s = _seconds(values, "start_s"), _seconds(values, "end_s")
    if (start_s is None) != (end_s is None):
        raise ValueError(f"{video} has only one of start_s and end_s. Give both or neither.")
    if start_s is not None and end_s is not None and start_s >= end_s:
        raise ValueError(f"{video}: start_s {start_s:g} is not before end_s {end_s:g}.")
    genres = [g.strip() for g in values.get("genres", "").split("|")]
    title = values.get("title", "").strip() or None
    return Row(line, video, description, start_s, end_s, title, [g for g in genres if g])


def _seconds(values: dict[str, str], name: str) -> float | None:
    text = values.get(name, "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"{name} is {shorten(text)}; expected seconds such as 12.5, 0 or more.")
    return seconds


def plain_name(name: str) -> str:
    """A file's name in one spelling: macOS writes an umlaut as two characters, others as one."""
    return unicodedata.normalize("NFC", name)


def film_facts(rows: Sequence[Row]) -> tuple[str | None, list[str], list[str]]:
    """Title and genres of a film, which one of its rows has to say; and what contradicts."""
    rows = sorted(rows, key=lambda row: row.line)
    titled = [row for row in rows if row.title is not None]
    sorted_in = [row for row in rows if row.genres]
    problems = [
        f"line {row.line}: title {row.title!r}, but {titled[0].title!r} on line {titled[0].line}."
        for row in titled
        if row.title != titled[0].title
    ]
    problems += [
        f"line {row.line}: genres {'|'.join(row.genres)}, but {'|'.join(sorted_in[0].genres)} on "
        f"line {sorted_in[0].line}."
        for row in sorted_in
        if row.genres != sorted_in[0].genres
    ]
    return titled[0].title if titled else None, sorted_in[0].genres if sorted_in else [], problems


def _repeated(rows: list[Row]) -> list[str]:
    """Rows that say the same stretch twice, or that leave open which part of a film they mean."""
    problems = []
    first: dict[tuple[str, float | None, float | None], int] = {}
    whole = {row.video: row.line for row in rows if row.start_s is None}
    for row in rows:
        line = first.setdefault((row.video, row.start_s, row.end_s), row.line)
        if line != row.line:
            problems.append(
                f"line {row.line}: duplicate clip, {row.video} with the times of line {line}. "
                "Remove one, or give different times."
            )
        elif whole.get(row.video, row.line) != row.line:
            problems.append(
                f"line {row.line}: line {whole[row.video]} makes the whole of {row.video} one "
                "clip. Give start_s and end_s on every row of a video with several."
            )
    return problems
