"""What is written down in the store, brought to the Label Studio server, each page once.

Tasks go in chunks. When it is not certain whether something arrived, the server is looked at before
it is sent again.
"""

import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotation import projects, storage
from annotation.forms import UNUSED, Form
from annotation.guidelines import Guidelines
from annotation.label_configs import label_config, page_data
from annotation.pictures import sheet_name, write_sheet
from annotation.results import results
from annotation.server import NotThere, Server, Unsure
from annotation.store import Store
from annotation.tasks import FIRST, Page, Project, Task
from lrmovienet.errors import ItemError, UserError
from lrmovienet.keyframes import KeyframeReader, frames_root
from lrmovienet.progress import progress
from lrmovienet.workspace import Workspace

SUGGESTION = "suggestion"
"""What Label Studio calls the model whose predictions it shows."""
LONGEST_TITLE = 50
"""Characters; Label Studio's limit. A project is known by its mark, so a title may be cut."""
CHUNK = 200
"""Tasks a request: .4 s on SQLite, far below any time-out."""


@dataclass(frozen=True)
class LocalFiles:
    """The folder that the server serves local files from."""

    here: Path
    """As seen from here."""
    there: str | None = None
    """As the server sees it, where that differs."""


@dataclass(frozen=True)
class Delivery:
    """What is written down for one form, brought to the server."""

    workspace: Workspace
    server: Server
    store: Store
    form: Form
    clips: Mapping[str, Any]
    """Rows of the table `clips`, by id."""
    files: LocalFiles | None
    """None: pages have no pictures."""

    @property
    def folder(self) -> str:
        """The workspace's folder among the server's local files."""
        return f"lrmovienet-{self.store.workspace_id}"

    def bring(self, people: Sequence[Project], text: Guidelines) -> dict[str, str]:
        """Bring projects and their tasks to the server.

        Returns:
            The clips, given out before, that cannot be shown now, and why; they wait.

        Raises:
            UserError: pictures are not served, or the server refuses something.
        """
        pages = {page.uid: page for page in self.store.pages()}
        missing = {p.id: [t for t in self.store.tasks(p) if not t.on_server] for p in people}
        bad = self.pictures({pages[t.uid].clip_id for tasks in missing.values() for t in tasks})
        with progress("push", sum(map(len, missing.values())), "pages") as advance:
            for project in people:
                tasks = self.store.tasks(project)
                if not tasks:
                    continue  # nobody needs an empty project
                ready = self.ensure(project, text)
                if self.files:
                    clip_ids = {pages[t.uid].clip_id for t in tasks} & self.clips.keys() - set(bad)
                    self.check_pictures(self.files, ready, clip_ids)
                todo = [t for t in missing[project.id] if pages[t.uid].clip_id not in bad]
                self.tasks(ready, todo, pages, advance)
        self.tidy(people)
        return bad

    def pictures(self, clip_ids: Collection[str]) -> dict[str, str]:
        """Write the clips' sheets of keyframes, where pages have pictures.

        Returns:
            The clips that cannot be shown, and why.

        Raises:
            UserError: the folder for them is not there.
        """
        bad = {c: f"{c}: is no longer among the clips" for c in clip_ids if c not in self.clips}
        if self.files is None or not clip_ids:
            return bad
        if not self.files.here.is_dir():
            raise UserError(
                f"--files {self.files.here}: no such folder. Give the folder that the server has "
                f"as {storage.ROOT_VARIABLE}, or --pictures false."
            )
        reader = KeyframeReader(frames_root(self.workspace))
        with progress("sheets", len(clip_ids), "clips") as advance:
            for clip_id in sorted(set(clip_ids) - set(bad)):
                frames = self.clips[clip_id]["keyframes"]
                try:
                    write_sheet(self.files.here / self.folder / sheet_name(frames), frames, reader)
                except ItemError as error:
                    bad[clip_id] = f"{clip_id}: {error}"
                advance(1)
        return bad

    def ensure(self, project: Project, text: Guidelines) -> Project:
        """Make an annotator's project on the server, or find that it is there."""
        sdk = self.server.sdk
        if project.on_server is not None:
            try:
                projects.known(self.server, self.store, project)
            except NotThere:
                raise projects.gone(self.server, project) from None
            self.store.found_project(project, _on_server(project), self.server.url)
            return project
        mark = projects.mark(self.store, project)
        title = f"{self.form.name} · {project.annotator}"
        if project.round != FIRST:
            title += f" · {project.round}"

        def existing() -> int | None:
            return projects.find(self.server, self.store, project)

        config = label_config(self.form, self.files is not None)

        def made() -> int:
            return int(
                sdk.projects.create(
                    title=title[:LONGEST_TITLE],
                    description=mark,
                    label_config=config,
                    expert_instruction=text.html,
                    show_instruction=True,
                    show_skip_button=True,
                    enable_empty_annotation=False,
                    show_collab_predictions=False,
                    maximum_annotations=1,
                    sampling="Sequential sampling",
                ).id
            )

        on_server = self.server.ask(existing)
        if on_server is None:
            on_server = self.server.settle(made, existing)
        self.store.found_project(project, on_server, self.server.url)
        return next(p for p in self.store.projects() if p.id == project.id)

    def check_pictures(self, files: LocalFiles, project: Project, clip_ids: set[str]) -> None:
        """Have a project's pictures served, and see that they are."""
        root = files.here.resolve()
        storage.connect_storage(self.server, project, files.there or str(root), self.folder)
        sheets = [
            root / self.folder / sheet_name(self.clips[clip_id]["keyframes"])
            for clip_id in clip_ids
        ]
        storage.check(self.server, self.folder, [path for path in sheets if path.exists()], root)

    def tasks(
        self, project: Project, todo: Sequence[Task], pages: Mapping[str, Page], advance: Any
    ) -> None:
        """Bring a project's tasks to the server, each once."""
        known = self.store.tasks(project)
        if any(_is_suggested(task) for task in todo):
            self.server.ask(
                lambda: self.server.sdk.projects.update(
                    id=_on_server(project), show_collab_predictions=True
                )
            )
        if todo and self.count(project) != sum(t.on_server is not None for t in known):
            # A push was cut off between the server's deed and our note of it.
            self.store.found_tasks(project, self.there(project))
            left = {t.uid for t in self.store.tasks(project) if t.on_server is None}
            advance(sum(t.uid not in left for t in todo))
            todo = [t for t in todo if t.uid in left]
        for begin in range(0, len(todo), CHUNK):
            chunk = todo[begin : begin + CHUNK]
            found: dict[str, int] = {}

            def send(chunk: Sequence[Task] = chunk, found: dict[str, int] = found) -> bool:
                left = [t for t in chunk if t.uid not in found]
                ids = self.server.sdk.projects.import_tasks(
                    id=_on_server(project),
                    request=[self.task(t, pages[t.uid]) for t in left],
                    return_task_ids=True,
                ).task_ids
                if len(ids or ()) != len(left):
                    raise Unsure(f"it took {len(ids or ())} of {len(left)} tasks")
                found.update({t.uid: i for t, i in zip(left, ids or (), strict=True)})
                return True

            def look(chunk: Sequence[Task] = chunk, found: dict[str, int] = found) -> bool | None:
                there = self.there(project)
                found.update({t.uid: there[t.uid] for t in chunk if t.uid in there})
                return len(found) == len(chunk) or None

            self.server.settle(send, look)
            self.store.found_tasks(project, found)
            advance(len(chunk))
        self.verify(project)

    def task(self, task: Task, page: Page) -> dict[str, Any]:
        """A page as the server takes it."""
        clip = self.clips[page.clip_id]
        picture = None
        if self.files:
            picture = storage.url(self.folder, sheet_name(clip["keyframes"]))
        data = page_data(self.form, clip["description"], task.questions, picture)
        made: dict[str, Any] = {"data": {"lrm_uid": task.key, **data}}
        if _is_suggested(task):
            made["predictions"] = [{"model_version": SUGGESTION, "result": self.suggested(task)}]
        return made

    def suggested(self, task: Task) -> list[dict[str, Any]]:
        """The suggested answers of a page, as results."""
        answers = {
            slot: str(grade) for slot, grade in enumerate(task.suggested) if grade is not None
        }
        # A page that begins with suggestions does not choose the answers of unused questions.
        unused = range(len(task.questions), self.form.slots)
        return results(answers | dict.fromkeys(unused, UNUSED))

    def count(self, project: Project) -> int:
        """How many tasks a project has on the server."""
        found = self.server.ask(lambda: self.server.sdk.projects.get(id=_on_server(project)))
        return int(found.task_number or 0)

    def there(self, project: Project) -> dict[str, int]:
        """Our tasks that a project has on the server: uid -> id, the oldest where there are two."""
        uids = {task.key: task.uid for task in self.store.tasks(project)}
        found: dict[str, int] = {}
        for task in self.server.tasks(_on_server(project), "id,data"):
            uid = uids.get(task["data"].get("lrm_uid", ""))
            if uid is not None:
                found.setdefault(uid, task["id"])
        return found

    def verify(self, project: Project) -> None:
        """See that each task is there once. One that came twice, and late, is taken away again."""
        known = {t.key: t.on_server for t in self.store.tasks(project) if t.on_server}
        if self.count(project) == len(known):
            return
        there: dict[int, tuple[str, int]] = {
            task["id"]: (task["data"].get("lrm_uid", ""), task["total_annotations"])
            for task in self.server.tasks(_on_server(project), "id,data,total_annotations")
        }
        gone = [key for key, id in known.items() if id not in there]
        if gone:
            raise UserError(
                f"{len(gone)} tasks of {project.annotator}'s project {project.on_server} were "
                f"deleted on {self.server.url}. Put them back from a backup; or pull, and push "
                f"with --forget {project.annotator}: what was not answered is asked of others."
            )
        uids = {t.key: t.uid for t in self.store.tasks(project)}
        copies = {
            id: uids[key] for id, (key, _) in there.items() if key in uids and known.get(key) != id
        }
        for id in [id for id in copies if not there[id][1]]:
            with contextlib.suppress(NotThere):  # the first answer got lost
                self.server.ask(lambda id=id: self.server.sdk.tasks.delete(id=str(id)))  # type: ignore[misc]
            del copies[id]
        self.store.found_copies(project, copies)  # answered: the answers count

    def tidy(self, people: Sequence[Project]) -> None:
        """Take away projects that were made twice, as the answer to the first request came late."""
        ours = {
            projects.mark(self.store, project): project.on_server
            for project in self.store.projects()
            if project.id in {p.id for p in people}
        }
        for found in self.server.ask(lambda: projects.listed(self.server)):
            noted = ours.get(found.description or "", found.id)
            if noted not in (None, found.id) and not found.task_number:
                with contextlib.suppress(NotThere):
                    self.server.ask(lambda id=found.id: self.server.sdk.projects.delete(id=id))  # type: ignore[misc]


def _is_suggested(task: Task) -> bool:
    return any(grade is not None for grade in task.suggested)


def _on_server(project: Project) -> int:
    assert project.on_server is not None, "a project is made before its tasks"
    return project.on_server
