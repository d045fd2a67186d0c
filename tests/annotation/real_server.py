"""What a real server holds, seen without our own code; and a server that can be killed."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import urllib.request
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotation import local_server
from lrmovienet.workspace import Workspace

SPY = """
import json, os, sys
log = os.open(os.environ["SOCKETS_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
def hook(event, arguments):
    if event.startswith("socket.") and event != "socket.__new__":
        given = [a if isinstance(a, (str, int, list, tuple)) else str(a) for a in arguments]
        os.write(log, (json.dumps([event, given], default=str) + "\\n").encode())
sys.addaudithook(hook)
"""
"""Has a Python write down every name it looks up and every address it connects to."""


class OwnServer:
    """A real server of its own, which begins as a copy of another and can be killed."""

    def __init__(self, folder: Path, original: Path, **settings: str) -> None:
        shutil.copytree(original, folder, ignore=shutil.ignore_patterns("*.sqlite3*", "*.log"))
        database = "data/label_studio.sqlite3"
        with (
            contextlib.closing(sqlite3.connect(original / database)) as theirs,
            contextlib.closing(sqlite3.connect(folder / database)) as ours,
        ):
            theirs.backup(ours)
        self.folder, self.port = folder, local_server.free_port()
        self.url, self.token = f"http://127.0.0.1:{self.port}", (folder / "token").read_text()
        self.sockets_log = folder / "sockets"
        spy = folder / "spy"
        spy.mkdir()
        (spy / "sitecustomize.py").write_text(SPY)
        own = {"PYTHONPATH": str(spy), "SOCKETS_LOG": str(self.sockets_log)}
        self.environment = local_server.prepare(folder, self.port) | own | settings
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "OwnServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        log = self.folder / "server.log"
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                local_server.command(local_server.PROGRAM, self.port), env=self.environment,
                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        local_server.wait_until_up(self.process, self.port, log)

    def kill(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    def options(self) -> dict[str, Any]:
        return {"server": self.url, "token_file": self.folder / "token"}


@dataclass(frozen=True)
class Api:
    """The server as it is, asked with nothing of ours."""

    url: str
    token: str

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"{self.url}/api/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Token {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def projects(self, word: str) -> list[dict[str, Any]]:
        """The projects that have a word in their description."""
        found = self("GET", "projects/?page_size=1000")["results"]
        return [p for p in found if word in (p["description"] or "")]

    def tasks(self, project: int) -> list[dict[str, Any]]:
        """All tasks of a project, by id."""
        found = self("GET", f"tasks?project={project}&page_size=1000&fields=all")["tasks"]
        return sorted(found, key=lambda task: task["id"])

    def answer(self, task: int, grades: list[str], **more: Any) -> int:
        """Answer a page, slot by slot. Returns the annotation's id."""
        body = {"result": marked(grades), "lead_time": 10.0, **more}
        return int(self("POST", f"tasks/{task}/annotations/", body)["id"])


def marked(answers: list[str]) -> list[dict[str, Any]]:
    """What the page sends for these answers, slot by slot."""
    return [
        {
            "from_name": f"answer_{slot:02d}", "to_name": "description", "type": "choices",
            "value": {"choices": [answer]},
        }
        for slot, answer in enumerate(answers)
    ]  # fmt: skip


def shown_labels(task: dict[str, Any]) -> list[str]:
    """The labels that a page asks about, in the order of its slots."""
    asked = [task["data"][f"question_{slot:02d}"] for slot in range(20)]
    return [text.split(". ", 1)[1] for text in asked if text]


def store(workspace: Path, query: str) -> list[tuple[Any, ...]]:
    """Rows of a workspace's store."""
    with contextlib.closing(sqlite3.connect(workspace / "annotation" / "store.sqlite")) as db:
        return db.execute(query).fetchall()


def workspace_id(workspace: Path) -> str:
    return str(store(workspace, "SELECT value FROM about WHERE name = 'workspace'")[0][0])


def wanted(workspace: Path, clips: list[str]) -> Counter[tuple[str, str]]:
    """Each clip's candidates, as (description, label)."""
    tables = Workspace(workspace)
    shown = {row["clip_id"]: row["description"] for row in tables.read("clips").to_pylist()}
    candidates = tables.read("candidates").to_pylist()
    return Counter(
        (shown[row["clip_id"]], row["label"]) for row in candidates if row["clip_id"] in clips
    )


def assert_each_page_once(api: Api, workspace: Path, clips: list[str], people: int) -> None:
    """All that is to be asked is on the server, once, and the store knows where.

    For pushes that ask each question of one person.
    """
    projects = api.projects(workspace_id(workspace))
    assert len(projects) == people
    known = store(workspace, "SELECT on_server FROM projects")
    assert {p["id"] for p in projects} == {on_server for (on_server,) in known}
    tasks = {project["id"]: api.tasks(project["id"]) for project in projects}
    asked = Counter(
        (task["data"]["description"], label)
        for found in tasks.values()
        for task in found
        for label in shown_labels(task)
    )
    assert asked == wanted(workspace, clips)
    there = Counter(
        (p, t["data"]["lrm_uid"].split("-")[0], t["id"])
        for p, found in tasks.items()
        for t in found
    )
    noted = store(
        workspace,
        "SELECT projects.on_server, uid, tasks.on_server FROM tasks "
        "JOIN projects ON projects.id = tasks.project",
    )
    assert there == Counter(noted)


def grade(label: str) -> str:
    """What everybody says of a label."""
    return str(len(label) % 3)


def answer_all(api: Api, workspace: Path) -> None:
    """Answer each page that is on the server."""
    for project in api.projects(workspace_id(workspace)):
        for task in api.tasks(project["id"]):
            api.answer(task["id"], [grade(label) for label in shown_labels(task)])


def ratings(workspace: Path) -> list[tuple[str, str, str]]:
    """Clip, label and grade of each rating."""
    rows = Workspace(workspace).read("ratings").to_pylist()
    return [(row["clip_id"], row["label"], str(row["grade"])) for row in rows]


def assert_each_rating_once(workspace: Path, clips: list[str]) -> None:
    candidates = Workspace(workspace).read("candidates").to_pylist()
    assert Counter(ratings(workspace)) == Counter(
        (row["clip_id"], row["label"], grade(row["label"]))
        for row in candidates
        if row["clip_id"] in clips
    )
