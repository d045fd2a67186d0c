"""What was asked of whom, and every answer that ever came: `<workspace>/annotation/store.sqlite`.

The server is asked for nothing that is not written down here first, and an answer is written down
here before anything is made of it. So a push or pull that was cut off, on either side, goes on.
"""

import contextlib
import json
import re
import secrets
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from annotation.tasks import Page, Project, Task
from lrmovienet.errors import UserError
from lrmovienet.workspace import Workspace

VERSION = 1
SYNCHRONOUS = "FULL"
"""What is written is on disk before the next thing is done."""
_TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE projects (
    id INTEGER PRIMARY KEY, form TEXT NOT NULL, round TEXT NOT NULL, annotator TEXT NOT NULL,
    guidelines TEXT NOT NULL, pictures INTEGER NOT NULL, server TEXT NOT NULL, on_server INTEGER,
    seen TEXT, closed INTEGER NOT NULL DEFAULT 0, nonce TEXT NOT NULL
);
CREATE UNIQUE INDEX open_projects ON projects (form, round, annotator, guidelines, pictures)
    WHERE NOT closed;
CREATE TABLE pages (
    uid TEXT PRIMARY KEY, form TEXT NOT NULL, round TEXT NOT NULL, clip_id TEXT NOT NULL,
    questions TEXT NOT NULL, gold INTEGER NOT NULL
);
CREATE TABLE tasks (
    project INTEGER NOT NULL REFERENCES projects (id), uid TEXT NOT NULL REFERENCES pages (uid),
    place INTEGER NOT NULL, questions TEXT NOT NULL, suggested TEXT NOT NULL,
    on_server INTEGER, PRIMARY KEY (project, uid), UNIQUE (project, on_server)
);
CREATE TABLE copies (
    project INTEGER NOT NULL REFERENCES projects (id), on_server INTEGER NOT NULL,
    uid TEXT NOT NULL, PRIMARY KEY (project, on_server)
);
CREATE TABLE gold (
    clip_id TEXT NOT NULL, label TEXT NOT NULL, grade INTEGER NOT NULL, PRIMARY KEY (clip_id, label)
);
CREATE TABLE annotations (
    project INTEGER NOT NULL REFERENCES projects (id), id INTEGER NOT NULL,
    updated_at TEXT NOT NULL, task INTEGER NOT NULL, raw TEXT NOT NULL, gone_at TEXT,
    PRIMARY KEY (project, id, updated_at)
);
CREATE INDEX annotations_of_task ON annotations (project, task);
"""


class Store:
    """The database of a workspace's annotation."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        try:
            self._db = sqlite3.connect(path, timeout=30, isolation_level=None)
            self._db.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
            self._db.execute("PRAGMA foreign_keys = ON")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                self._create()
            elif self._db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("it is damaged")
            elif version != VERSION:
                raise UserError(
                    f"{path}: written as version {version}, this is version {VERSION}. Use the "
                    "version of lrmovienet that wrote it."
                )
        except sqlite3.DatabaseError as error:
            raise _unusable(path, error) from None
        if not re.fullmatch("[0-9a-f]{16}", self.workspace_id):
            raise _unusable(path, "it was not written by lrmovienet")

    def _create(self) -> None:
        with self.writing():
            if self._db.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in _TABLES.split(";"):
                    self._db.execute(statement)
                self._db.execute(
                    "INSERT INTO about VALUES ('workspace', ?)", (secrets.token_hex(8),)
                )
                self._db.execute(f"PRAGMA user_version = {VERSION}")

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """A transaction: all that is written within is kept, or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    @property
    def workspace_id(self) -> str:
        """What tells this workspace's projects from others on the same server."""
        return str(self._db.execute("SELECT value FROM about WHERE name='workspace'").fetchone()[0])

    # What was asked.

    def projects(self) -> list[Project]:
        """All projects, in the order in which they were begun."""
        columns = (
            "id, form, round, annotator, guidelines, pictures, server, on_server, seen, closed, "
            "nonce"
        )
        rows = self._db.execute(f"SELECT {columns} FROM projects ORDER BY id")  # noqa: S608
        return [
            Project(
                id, form, round, name, version, bool(pictures), url, there, seen, bool(end), own
            )
            for id, form, round, name, version, pictures, url, there, seen, end, own in rows
        ]

    def project(
        self, form: str, round: str, annotator: str, guidelines: str, pictures: bool, server: str
    ) -> Project:
        """An annotator's open project, begun here if need be."""
        wanted = (form, round, annotator, guidelines, pictures)
        self._db.execute(
            "INSERT OR IGNORE INTO projects (form, round, annotator, guidelines, pictures, server, "
            "nonce) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*wanted, server, secrets.token_hex(8)),
        )
        return next(
            p
            for p in self.projects()
            if (p.form, p.round, p.annotator, p.guidelines, p.pictures) == wanted and not p.closed
        )

    def withdraw(self, form: str, round: str, but: Collection[int]) -> None:
        """Take back what was planned for projects that were never made, those named left out.

        A push that stopped early may have named somebody whom the next one does not.
        """
        with self.writing():
            rows = self._db.execute(
                "SELECT id FROM projects WHERE form = ? AND round = ? AND on_server IS NULL",
                (form, round),
            ).fetchall()
            for (project,) in rows:
                if project not in but:
                    self._db.execute("DELETE FROM tasks WHERE project = ?", (project,))
                    self._db.execute("DELETE FROM projects WHERE id = ?", (project,))

    def forget(self, form: str, round: str, annotator: str) -> int:
        """Close somebody's projects: what is not answered can be asked of others.

        Returns:
            How many pages that is.
        """
        freed = 0
        with self.writing():
            for project in self.projects():
                if (project.form, project.round, project.annotator) != (form, round, annotator):
                    continue
                answered = {
                    task for task, raw in self.annotations(project) if not raw.get("was_cancelled")
                }
                on_copies = {uid for id, uid in self.copies(project).items() if id in answered}
                free = [
                    (project.id, task.uid)
                    for task in self.tasks(project)
                    if task.on_server not in answered and task.uid not in on_copies
                ]
                self._db.executemany("DELETE FROM tasks WHERE project = ? AND uid = ?", free)
                self._db.execute("UPDATE projects SET closed = 1 WHERE id = ?", (project.id,))
                freed += len(free)
        return freed

    def found_project(self, project: Project, on_server: int, server: str) -> None:
        """A project exists under this id on the server, which has this address now."""
        self._db.execute(
            "UPDATE projects SET on_server = ?, server = ? WHERE id = ?",
            (on_server, server, project.id),
        )

    def pages(self) -> list[Page]:
        """All pages."""
        return [
            Page(uid, form, round, clip_id, _questions(text), bool(gold))
            for uid, form, round, clip_id, text, gold in self._db.execute(
                "SELECT uid, form, round, clip_id, questions, gold FROM pages ORDER BY rowid"
            )
        ]

    def tasks(self, project: Project) -> list[Task]:
        """A project's tasks, in their places."""
        return [
            Task(of, uid, place, _questions(text), tuple(json.loads(suggested)), on_server)
            for of, uid, place, text, suggested, on_server in self._db.execute(
                "SELECT project, uid, place, questions, suggested, on_server FROM tasks "
                "WHERE project = ? ORDER BY place",
                (project.id,),
            )
        ]

    def plan(self, pages: list[Page], tasks: list[Task]) -> None:
        """Write down what is going to be asked, before it is."""
        with self.writing():
            self._db.executemany(
                "INSERT OR IGNORE INTO pages VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (p.uid, p.form, p.round, p.clip_id, json.dumps(p.questions), p.gold)
                    for p in pages
                ],
            )
            self._db.executemany(
                "INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (
                        t.project,
                        t.uid,
                        t.place,
                        json.dumps(t.questions),
                        json.dumps(t.suggested),
                        None,
                    )
                    for t in tasks
                ],
            )

    def found_tasks(self, project: Project, found: dict[str, int]) -> None:
        """Pages (by uid) are on the server as these tasks."""
        with self.writing():
            self._db.executemany(
                "UPDATE tasks SET on_server = ? WHERE project = ? AND uid = ?",
                [(on_server, project.id, uid) for uid, on_server in found.items()],
            )

    def found_copies(self, project: Project, found: dict[int, str]) -> None:
        """Further tasks on the server show these pages (by uid): a request was done twice."""
        self._db.executemany(
            "INSERT OR IGNORE INTO copies VALUES (?, ?, ?)",
            [(project.id, on_server, uid) for on_server, uid in found.items()],
        )

    def copies(self, project: Project) -> dict[int, str]:
        """Those further tasks: their id on the server -> uid."""
        rows = self._db.execute(
            "SELECT on_server, uid FROM copies WHERE project = ?", (project.id,)
        )
        return dict(rows.fetchall())

    def gold(self) -> dict[tuple[str, str], int]:
        """The right grades that are known: clip and label -> grade."""
        rows = self._db.execute("SELECT clip_id, label, grade FROM gold")
        return {(clip_id, label): grade for clip_id, label, grade in rows}

    def add_gold(self, grades: Mapping[tuple[str, str], int]) -> None:
        """Write down right grades; one that is known already is corrected."""
        with self.writing():
            self._db.executemany(
                "INSERT OR REPLACE INTO gold VALUES (?, ?, ?)",
                [(*key, grade) for key, grade in grades.items()],
            )

    # What was answered.

    def keep(self, project: Project, found: list[dict[str, Any]], seen: str | None) -> int:
        """Keep annotations as they came, each version of them. Returns how many are new.

        Args:
            project: whose they are.
            found: tasks as the server gives them, each with all its annotations. What is known of
                a task and not among them was deleted on the server.
            seen: the latest change among them.
        """
        new = 0
        with self.writing():
            for task in found:
                for raw in task["annotations"]:
                    key = (project.id, raw["id"], raw["updated_at"])
                    text = json.dumps(raw, ensure_ascii=False, sort_keys=True)
                    new += self._db.execute(
                        "INSERT OR IGNORE INTO annotations VALUES (?, ?, ?, ?, ?, NULL)",
                        (*key, task["id"], text),
                    ).rowcount
                there = json.dumps([raw["id"] for raw in task["annotations"]])
                of_task = (project.id, task["id"], there)
                self._db.execute(
                    "UPDATE annotations SET gone_at = ? WHERE project = ? AND task = ? AND "
                    "gone_at IS NULL AND id NOT IN (SELECT value FROM json_each(?))",
                    (task["updated_at"], *of_task),
                )
                self._db.execute(
                    "UPDATE annotations SET gone_at = NULL WHERE project = ? AND task = ? AND "
                    "id IN (SELECT value FROM json_each(?))",
                    of_task,
                )
            if seen is not None:
                self._db.execute("UPDATE projects SET seen = ? WHERE id = ?", (seen, project.id))
        return new

    def forget_missing(self, project: Project, there: set[int], now: str) -> None:
        """Annotations of tasks that the server has no more are gone."""
        with self.writing():
            known = self._db.execute(
                "SELECT DISTINCT task FROM annotations WHERE project = ?", (project.id,)
            ).fetchall()
            self._db.executemany(
                "UPDATE annotations SET gone_at = ? WHERE project = ? AND task = ? "
                "AND gone_at IS NULL",
                [(now, project.id, task) for (task,) in known if task not in there],
            )

    def annotations(self, project: Project) -> list[tuple[int, dict[str, Any]]]:
        """The annotations that are on the server now, in their latest version, by id.

        Returns:
            The id of the task on the server, and the annotation as it came.
        """
        rows = self._db.execute(
            "SELECT task, raw, MAX(updated_at) FROM annotations WHERE project = ? "
            "AND gone_at IS NULL GROUP BY id ORDER BY id",
            (project.id,),
        )
        return [(task, json.loads(raw)) for task, raw, _ in rows]


def _unusable(path: Path, why: object) -> UserError:
    return UserError(
        f"{path}: not usable ({why}). Put a copy back; without one, move it away and push to new "
        "projects."
    )


def _questions(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(asked) for asked in json.loads(text))


@contextlib.contextmanager
def opened(workspace: Workspace, *, make: bool = False) -> Iterator[Store]:
    """The store of a workspace, closed at the end.

    Raises:
        UserError: nothing was pushed from this workspace yet.
    """
    path = workspace.root / "annotation" / "store.sqlite"
    if not make and not path.exists():
        raise UserError(
            f"{workspace.root}: nothing was pushed from here yet. Run first: lrmovienet annotate "
            f"push grading --workspace {workspace.root} --annotators NAME …"
        )
    store = Store(path)
    try:
        yield store
    except sqlite3.Error as error:
        raise _unusable(path, error) from None
    finally:
        store.close()
