"""Genres of films from a file of one's own, such as IMDb's list of titles."""

import csv
from collections.abc import Callable
from pathlib import Path

from lrmovienet.errors import UserError

ID_COLUMNS = ("movie_id", "imdb_id", "imdbid", "tconst")


def genres_from(path: Path) -> Callable[[str], list[str] | None]:
    """Read a CSV or TSV: a column with the film's id, and one with its genres by ``|`` or ``,``.

    The id's column is called movie_id, imdb_id, imdbid or tconst; rows of one film may repeat.

    Returns:
        movie_id -> its genres, or None where the file does not know the film.

    Raises:
        UserError: the file is missing, not UTF-8, or has no such columns.
    """
    found: dict[str, list[str]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            heading = file.readline()
            tabs = "\t" in heading
            file.seek(0)
            # IMDb's own list has quotes inside of titles that close nowhere.
            rows = csv.DictReader(
                file, delimiter="\t" if tabs else ",", restval="",
                quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL,
            )  # fmt: skip
            names = rows.fieldnames or []
            key = next((name for name in ID_COLUMNS if name in names), None)
            if key is None or "genres" not in names:
                raise UserError(
                    f"{path}: its first line is {heading.strip()[:80]!r}; it needs a column "
                    f"'genres' and one of {', '.join(ID_COLUMNS)}."
                )
            for row in rows:
                text = (row["genres"] or "").replace("\\N", "")
                genres = [g.strip() for g in text.replace("|", ",").split(",")]
                known = found.setdefault((row[key] or "").strip(), [])
                known += [g for g in genres if g and g not in known]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not readable as a table in UTF-8 ({error}).") from None
    return lambda movie_id: found.get(movie_id) or None
