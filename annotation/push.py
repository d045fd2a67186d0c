"""`lrmovienet annotate push`: questions to a Label Studio server, one blind project an annotator.

What is going to be asked is written down first (`annotation.store`), then brought to the server in
chunks. When it is not certain whether a chunk arrived, the server's tasks are looked at before
anything is sent again. So pushing twice adds nothing, and a push that was killed goes on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from annotation import assign, guidelines, queue, storage
from annotation.forms import FORMS, Form
from annotation.label_configs import label_config, page_data
from annotation.pages import Question, drawn, new_pages, questions
from annotation.pictures import sheet_name, write_sheet
from annotation.results import results
from annotation.server import NotThere, Server, ServerConfig, connect
from annotation.store import Page, Project, Store, Task, opened
from lrmovienet.cards import choose
from lrmovienet.errors import ItemError, UserError
from lrmovienet.keyframes import KeyframeReader, frames_root
from lrmovienet.progress import progress
from lrmovienet.workspace import Workspace

FIRST, ADJUDICATION = "first", "adjudication"
"""The rounds: everybody's own judgement, and the last word on what they disagree about."""
CHUNK = 200
"""Tasks a request: .4 s on SQLite, far below any time-out."""


@dataclass(frozen=True)
class PushConfig(ServerConfig):
    """Options of `lrmovienet annotate push`."""

    form: Literal["screening", "grading", "pairs"] = "grading"
    """What to ask: screening (keep, drop, correct), grading (high, medium, low), or pairs."""
    annotators: list[str] = field(default_factory=list)
    """Names of those who are asked, one project each; any words without blanks."""
    overlap: int = 2
    """How many annotators are asked each question."""
    clips: list[str] = field(default_factory=list)
    """Ids of the clips to ask about; without any, `limit` of them or all."""
    limit: int | None = None
    """How many clips to ask about, drawn by the seed; a larger number adds clips to a smaller."""
    pairs_per_clip: int = 20
    """Form pairs: how many pairs of a clip's labels to ask about."""
    adjudicate: bool = False
    """Ask only what the first round left open, in projects of their own, for the last word."""
    disputed: queue.Disputed = "far"
    """What is open. far: high against low, or no majority of three or more; any: not unanimous."""
    gold: Path | None = None
    """Right grades (clip_id, label, grade), in any format of the scorer; hidden among others."""
    gold_share: float = 0.05
    """Share of an annotator's pages that are gold; everybody is asked those."""
    preannotations: Path | None = None
    """Grades to show as a suggestion (clip_id, label, grade). They pull answers towards them."""
    pictures: bool = True
    """Show the clips' keyframes; without, only descriptions."""
    files: Path = Path(".label-studio/files")
    """Folder that the server serves local files from, as seen from here."""
    files_on_server: str | None = None
    """The same folder as the server sees it, where that differs (a container)."""
    guidelines: Path = guidelines.PATH
    """The text that annotators are shown, with a line `Version: …`."""
    seed: int = 0
    """Of who is asked what, in which order."""


def run(config: PushConfig) -> None:
    """Push what was not pushed yet, check that it is all there, and say where.

    Raises:
        UserError: an option is wrong, candidates are missing, or the server cannot be used.
    """
    _check(config)
    workspace, form, console = Workspace(config.workspace), FORMS[config.form], Console()
    text = guidelines.read(config.guidelines)
    gold = _grades(config.gold, "gold") if config.gold else {}
    shown = _grades(config.preannotations, "preannotations") if config.preannotations else {}
    clips = {row["clip_id"]: row for row in workspace.read("clips").to_pylist()}
    workspace.require(workspace.candidates_table)
    server = connect(config)
    console.print(f"Label Studio {server.version()} at {server.url}")
    with workspace.locked(), opened(workspace, make=True) as store:
        round = ADJUDICATION if config.adjudicate else FIRST
        wanted = _wanted(config, workspace, form, store, clips)
        projects = [
            store.project(form.name, round, name, text.version, config.pictures, server.url)
            for name in config.annotators
        ]
        for project in projects:
            if project.server != server.url:
                raise UserError(
                    f"{project.annotator}'s project is on {project.server}, not on {server.url}. "
                    "Push there, or from a workspace of its own."
                )
        store.add_gold({key: grade for key, grade in gold.items() if key[0] in wanted})
        known = store.gold() if form.name == "grading" and not config.adjudicate else {}
        pages = new_pages(form, round, store.pages(), wanted, known)
        _plan(config, store, projects, pages, set(shown))
        push = _Push(config, workspace, server, store, form, clips, shown)
        push.projects([store.projects()[i] for i in _places(store, projects)], text)
    _report(console, config, workspace)


def _check(config: PushConfig) -> None:
    if not config.annotators:
        raise UserError("say who is asked: --annotators ann bob cleo")
    for name in config.annotators:
        if not name.strip() or any(c.isspace() for c in name) or len(name) > 40:
            raise UserError(f"--annotators {name!r}: give names of 1 to 40 letters without blanks.")
    if len({name.casefold() for name in config.annotators}) < len(config.annotators):
        raise UserError("--annotators: a name stands there twice.")
    for option, least in (("overlap", 1), ("pairs_per_clip", 1), ("seed", 0), ("limit", 1)):
        value = getattr(config, option)
        if value is not None and value < least:
            raise UserError(f"--{option} {value}: give {least} or more.")
    if not 0 <= config.gold_share <= 0.5:
        raise UserError(f"--gold_share {config.gold_share}: give a share from 0 to 0.5.")
    if config.form == "screening" and (config.gold or config.preannotations or config.adjudicate):
        raise UserError("--gold, --preannotations and --adjudicate go with grading and pairs only.")
    if config.form == "pairs" and (config.gold or config.preannotations):
        raise UserError("--gold and --preannotations are grades, which go with the form grading.")
    if config.overlap > len(config.annotators):
        raise UserError(
            f"--overlap {config.overlap}: there are {len(config.annotators)} annotators. Name as "
            "many with --annotators, or ask fewer of them."
        )


def _grades(path: Path, option: str) -> dict[tuple[str, str], int]:
    """A file of grades."""
    from eval.runs import RunError, read_gold

    try:
        rows = read_gold(path)
    except RunError as error:
        raise UserError(f"--{option}: {error}") from None
    clip_ids = rows.clip_ids.to_pylist()
    return {
        (clip_ids[clip], label): int(grade)
        for clip, label, grade in zip(
            rows.clip_of, rows.labels.to_pylist(), rows.grades, strict=True
        )
    }


def _wanted(
    config: PushConfig,
    workspace: Workspace,
    form: Form,
    store: Store,
    clips: Mapping[str, Any],
) -> dict[str, list[Question]]:
    """Clip -> its questions, for all clips that are to be asked about."""
    labels: dict[str, list[tuple[int, str]]] = {}
    for row in workspace.read(workspace.candidates_table).to_pylist():
        if row["clip_id"] in clips:
            labels.setdefault(row["clip_id"], []).append((row["position"], row["label"]))
    if not labels:
        raise UserError(f"{workspace.root}: no clip has candidates.")
    in_order = sorted(labels, key=lambda clip_id: drawn(config.seed, "clip", clip_id))
    chosen = choose(config.clips, in_order, config.limit or len(in_order))
    wanted = {
        clip_id: questions(
            form, clip_id, [label for _, label in sorted(labels[clip_id])],
            config.pairs_per_clip, config.seed,
        )
        for clip_id in chosen
    }  # fmt: skip
    if not config.adjudicate:
        return wanted
    first = {p.annotator for p in store.projects() if (p.form, p.round) == (form.name, FIRST)}
    if both := first & set(config.annotators):
        raise UserError(
            f"{', '.join(sorted(both))} was asked in the first round; somebody else must have the "
            "last word. Give another name as --annotators."
        )
    open_ones = queue.undecided(workspace, form, config.disputed)
    return {
        clip_id: [q for q in asked if (clip_id, *q) in open_ones]
        for clip_id, asked in wanted.items()
    }


def _plan(
    config: PushConfig,
    store: Store,
    projects: Sequence[Project],
    pages: Sequence[Page],
    suggested: set[tuple[str, str]],
) -> None:
    """Decide who is asked the new pages, and write it down."""
    have = {p.annotator: store.tasks(p) for p in projects}
    gold_uids = {page.uid for page in store.pages() if page.gold}
    load = {name: sum(t.uid not in gold_uids for t in tasks) for name, tasks in have.items()}
    ordinary = [page for page in pages if not page.gold]
    given = assign.balanced(ordinary, config.annotators, config.overlap, config.seed, load)
    most = max(load.values()) + -(-len(ordinary) * config.overlap // len(projects))
    room = assign.gold_wanted(most, config.gold_share) - len(
        {t.uid for tasks in have.values() for t in tasks} & gold_uids
    )
    gold = sorted((p for p in pages if p.gold), key=lambda p: drawn(config.seed, "gold", p.uid))
    chosen = gold[: max(room, 0)]
    tasks = []
    for project in projects:
        own = [p for p in ordinary if project.annotator in given[p.uid]]
        own = sorted(
            own + chosen, key=lambda p: drawn(config.seed, "order", project.annotator, p.uid)
        )
        first = 1 + max((t.place for t in have[project.annotator]), default=-1)
        for place, page in enumerate(own, start=first):
            seen = assign.shuffled(page, project.annotator, config.seed)
            hinted = not page.gold and any((page.clip_id, *q) in suggested for q in seen)
            tasks.append(Task(project.id, page.uid, place, seen, hinted, None))
    store.plan(ordinary + chosen, tasks)


def _places(store: Store, projects: Sequence[Project]) -> list[int]:
    ids = [p.id for p in store.projects()]
    return [ids.index(p.id) for p in projects]


@dataclass
class _Push:
    """One push: what is written down, brought to the server."""

    config: PushConfig
    workspace: Workspace
    server: Server
    store: Store
    form: Form
    clips: Mapping[str, Any]
    shown: Mapping[tuple[str, str], int]

    @property
    def folder(self) -> str:
        """The workspace's folder among the server's local files."""
        return f"lrmovienet-{self.store.workspace_id}"

    def projects(self, projects: Sequence[Project], text: guidelines.Guidelines) -> None:
        """Bring projects and their tasks to the server."""
        pages = {page.uid: page for page in self.store.pages()}
        missing = {p.id: [t for t in self.store.tasks(p) if not t.on_server] for p in projects}
        clip_ids = {pages[t.uid].clip_id for tasks in missing.values() for t in tasks}
        bad = self.sheets(sorted(clip_ids)) if self.config.pictures else {}
        total = sum(map(len, missing.values()))
        with progress("push", total, "pages") as advance:
            for project in projects:
                ready = self.ensure(project, text)
                if self.config.pictures and (tasks := self.store.tasks(ready)):
                    self.check_pictures(ready, {pages[t.uid].clip_id for t in tasks} - set(bad))
                todo = [t for t in missing[project.id] if pages[t.uid].clip_id not in bad]
                self.tasks(ready, todo, pages, advance)
        if bad:
            listed = "\n  ".join(list(bad.values())[:10])
            raise UserError(
                f"{len(bad)} clips were not pushed, as their keyframes cannot be read. All others "
                f"are; push again when these are mended:\n  {listed}"
            )

    def sheets(self, clip_ids: Sequence[str]) -> dict[str, str]:
        """Write the clips' sheets of keyframes. Returns the clips that have none, and why."""
        reader, bad = KeyframeReader(frames_root(self.workspace)), {}
        folder = self.config.files / self.folder
        if not self.config.files.is_dir():
            raise UserError(
                f"--files {self.config.files}: no such folder. Give the folder that the server "
                f"has as {storage.ROOT_VARIABLE}, or --pictures false."
            )
        with progress("sheets", len(clip_ids), "clips") as advance:
            for clip_id in clip_ids:
                frames = self.clips[clip_id]["keyframes"]
                try:
                    write_sheet(folder / sheet_name(frames), frames, reader)
                except ItemError as error:
                    bad[clip_id] = f"{clip_id}: {error}"
                advance(1)
        return bad

    def ensure(self, project: Project, text: guidelines.Guidelines) -> Project:
        """Make an annotator's project on the server, or find that it is there."""
        sdk = self.server.sdk
        if project.on_server is not None:
            try:
                self.count(project)
            except NotThere:
                raise UserError(
                    f"{project.annotator}'s project {project.on_server} is not on {self.server.url}"
                    " any more. Put it back from a backup; or move the folder "
                    f"{self.store.path.parent} away, and everybody is asked everything anew."
                ) from None
            return project
        # What the project is known by, should the answer to its making get lost.
        mark = f"lrmovienet {self.store.workspace_id} {project.id}"
        title = f"{self.form.name} · {project.annotator}"

        def existing() -> int | None:
            return next(
                (p.id for p in sdk.projects.list(page_size=100, include="id,description")
                 if (p.description or "").endswith(mark)), None,
            )  # fmt: skip

        def made() -> int:
            return int(
                sdk.projects.create(
                    title=title if project.round == FIRST else f"{title} · {project.round}",
                    description=mark,
                    label_config=label_config(self.form, self.config.pictures),
                    expert_instruction=text.html,
                    show_instruction=True,
                    show_skip_button=True,
                    enable_empty_annotation=False,
                    show_collab_predictions=bool(self.shown),
                    maximum_annotations=1,
                    sampling="Sequential sampling",
                ).id
            )

        on_server = self.server.ask(existing)
        if on_server is None:
            on_server = self.server.settle(made, existing)
        self.store.found_project(project, on_server)
        return next(p for p in self.store.projects() if p.id == project.id)

    def check_pictures(self, project: Project, clip_ids: set[str]) -> None:
        """Have a project's pictures served, and see that they are."""
        config, root = self.config, self.config.files.resolve()
        on_server = config.files_on_server or str(root)
        storage.connect_storage(self.server, self.store, project, on_server, self.folder)
        files = [
            root / self.folder / sheet_name(self.clips[clip_id]["keyframes"])
            for clip_id in clip_ids
            if clip_id in self.clips
        ]
        files = [path for path in files if path.exists()]
        storage.check(self.server, self.folder, files, root, config.seed)

    def tasks(
        self, project: Project, todo: Sequence[Task], pages: Mapping[str, Page], advance: Any
    ) -> None:
        """Bring a project's tasks to the server, each once."""
        known = self.store.tasks(project)
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
        if self.config.pictures:
            picture = storage.url(self.folder, sheet_name(clip["keyframes"]))
        data = page_data(self.form, clip["description"], task.questions, picture)
        made: dict[str, Any] = {"data": {"lrm_uid": task.uid, **data}}
        if task.preannotated:
            made["predictions"] = [
                {"model_version": "suggestion", "result": self.suggested(task, page.clip_id)}
            ]
        return made

    def suggested(self, task: Task, clip_id: str) -> list[dict[str, Any]]:
        """The suggested answers of a page, as results."""
        answers = {
            slot: str(self.shown[clip_id, label])
            for slot, (label,) in enumerate(task.questions)
            if (clip_id, label) in self.shown
        }
        return results(answers)

    def count(self, project: Project) -> int:
        """How many tasks a project has on the server."""
        found = self.server.ask(lambda: self.server.sdk.projects.get(id=_on_server(project)))
        return int(found.task_number or 0)

    def there(self, project: Project) -> dict[str, int]:
        """The tasks that a project has on the server: uid -> id, the oldest where there are two."""
        found: dict[str, int] = {}
        for task in self.server.tasks(_on_server(project), "id,data"):
            found.setdefault(task["data"].get("lrm_uid", ""), task["id"])
        return found

    def verify(self, project: Project) -> None:
        """See that each task is there once. One that came twice, and late, is taken away again."""
        known = {t.uid: t.on_server for t in self.store.tasks(project) if t.on_server}
        if self.count(project) == len(known):
            return
        there: dict[int, tuple[str, int]] = {
            task["id"]: (task["data"].get("lrm_uid", ""), task["total_annotations"])
            for task in self.server.tasks(_on_server(project), "id,data,total_annotations")
        }
        gone = [uid for uid, id in known.items() if id not in there]
        if gone:
            raise UserError(
                f"{len(gone)} tasks of {project.annotator}'s project {project.on_server} were "
                f"deleted on {self.server.url}. Put them back from a backup; or move the folder "
                f"{self.store.path.parent} away, and everybody is asked everything anew."
            )
        for id, (uid, answered) in there.items():
            if known.get(uid, id) != id and not answered:
                self.server.ask(lambda id=id: self.server.sdk.tasks.delete(id=str(id)))  # type: ignore[misc]


def _on_server(project: Project) -> int:
    assert project.on_server is not None, "a project is made before its tasks"
    return project.on_server


def _report(console: Console, config: PushConfig, workspace: Workspace) -> None:
    """Say who is asked how much, and where."""
    table = Table("annotator", "pages", "questions", "gold pages", box=None)
    table.add_column("where", overflow="fold")
    with opened(workspace) as store:
        gold = {page.uid for page in store.pages() if page.gold}
        round = ADJUDICATION if config.adjudicate else FIRST
        for project in store.projects():
            if (project.form, project.round) == (config.form, round):
                tasks = store.tasks(project)
                table.add_row(
                    project.annotator, str(len(tasks)), str(sum(len(t.questions) for t in tasks)),
                    str(sum(t.uid in gold for t in tasks)),
                    f"{project.server}/projects/{project.on_server}/data",
                )  # fmt: skip
    console.print(table)
