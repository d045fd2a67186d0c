"""Results that cost much to make (a model's answers, a frame's tags), kept by what they hang on.

One SQLite file in the workspace. A result is on disk as soon as it was put: a killed run makes none
of them twice. Nothing in it is needed once the tables are made; deleting it only costs the work.
"""

import contextlib
import errno
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from lrmovienet.errors import UserError

_AT_ONCE = 500
"""Keys a query; SQLite allows some tens of thousands at most."""


class Cache:
    """Text keys to bytes. Equal keys must mean equal results, so the first one put stays."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, keys: Iterable[str]) -> dict[str, bytes]:
        """What is known of the given keys.

        Raises:
            UserError: the file is damaged, or no cache.
        """
        found: dict[str, bytes] = {}
        if not self.path.exists():
            return found
        wanted = list(dict.fromkeys(keys))
        with self._open() as database:
            for start in range(0, len(wanted), _AT_ONCE):
                some = wanted[start : start + _AT_ONCE]
                marks = ",".join("?" * len(some))
                query = f"SELECT key, value FROM results WHERE key IN ({marks})"  # noqa: S608
                found.update(database.execute(query, some))
        if not all(isinstance(value, bytes) for value in found.values()):
            raise damaged(self.path, ValueError("a result that is not bytes"))
        return found

    def put(self, results: Mapping[str, bytes]) -> None:
        """Keep results; all of them are on disk when this returns, or none is.

        Raises:
            UserError: the file is damaged, or no cache.
            OSError: the folder cannot be made.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as database:
            database.executemany("INSERT OR IGNORE INTO results VALUES (?, ?)", results.items())

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            # Closed at the end, and before that one transaction.
            with contextlib.closing(sqlite3.connect(self.path, timeout=60)) as database, database:
                database.execute(
                    "CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, value BLOB)"
                )
                yield database
        except sqlite3.OperationalError as error:
            if "no such column" in str(error) or "has no column" in str(error):
                raise damaged(self.path, error) from None
            # No disk, no permission, somebody else's lock: the machine's doing, not the file's.
            raise OSError(errno.EIO, str(error), str(self.path)) from None
        except sqlite3.ProgrammingError:
            raise  # ours
        except sqlite3.DatabaseError as error:
            raise damaged(self.path, error) from None


def damaged(path: Path, error: Exception) -> UserError:
    """What to say of a cache that does not hold what was put there."""
    return UserError(f"{path}: damaged ({error}). Delete it: it only saves work that was done.")
