"""`lrmovienet annotate pull`: answers from Label Studio -> ratings, pair_ratings, screenings.

Only tasks that changed since the last pull are fetched; when the server's count of annotations is
not ours afterwards, all of them are. Each version of each annotation is kept as it came
(`annotation.store`), and the tables are made of those that are there now.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console

from annotation import projects
from annotation.forms import FORMS, GRADING, PAIRS, SCREENING
from annotation.results import Unreadable, answers
from annotation.server import NotThere, Server, ServerConfig, connect
from annotation.store import Store, opened
from annotation.tasks import FIRST, Page, Project, Task
from eval.labels import normal_form
from lrmovienet.columns import MAX_LABEL_LENGTH
from lrmovienet.errors import UserError
from lrmovienet.files import sha256_of
from lrmovienet.progress import progress
from lrmovienet.runner import Columns
from lrmovienet.runner.local import run_once
from lrmovienet.schema import TABLES
from lrmovienet.workspace import Workspace

VERSION = "pull-1"
TABLE_OF = {GRADING.name: "ratings", PAIRS.name: "pair_ratings", SCREENING.name: "screenings"}
FIELDS = (
    "id,updated_at,annotations,result,completed_by,was_cancelled,ground_truth,created_at,"
    "draft_created_at,lead_time,import_id,last_action,bulk_created,task,project,updated_by,"
    "parent_prediction,parent_annotation,last_created_by"
)
"""Of a task, and of its annotations: all that they have but names to be shown."""
AT_ONCE = 500
"""Tasks kept in one transaction."""
OVERLAP = timedelta(seconds=5)
"""How far before the last change seen a pull begins: transactions may end out of order."""


@dataclass(frozen=True)
class PullConfig(ServerConfig):
    """Options of `lrmovienet annotate pull`."""

    full: bool = False
    """Fetch all annotations, not only those that changed since the last pull."""


@dataclass(frozen=True)
class Given:
    """One annotator's answers to one page, as they count now."""

    page: Page
    task: Task
    project: Project
    annotation: dict[str, Any]
    answers: dict[int, str]
    texts: dict[int, str]


def run(config: PullConfig) -> None:
    """Fetch what changed and make the tables of it.

    Raises:
        UserError: nothing was pushed yet, the server cannot be used, or a table is there that did
            not come from it.
    """
    workspace, console = Workspace(config.workspace), Console(emoji=False)
    with opened(workspace) as store:
        forms = {project.form for project in store.projects()}
        for form in forms:
            _not_others(workspace, TABLE_OF[form])
        server = connect(config)
        server.version()
        with workspace.locked():
            pushed = [p for p in store.projects() if p.on_server is not None]
            total = sum(len(store.tasks(p)) for p in pushed)
            with progress("pull", total, "pages") as advance:
                new = 0
                for project in pushed:
                    new += fetch(server, store, project, full=config.full)
                    advance(len(store.tasks(project)))
        console.print(f"{new} new or changed annotations")
        for form in sorted(forms, key=list(TABLE_OF).index):
            table = TABLE_OF[form]
            given, problems = current(store, form)
            columns = _TABLES[form](given, problems)
            outcome = run_once(
                workspace, table, lambda columns=columns: columns,  # type: ignore[misc]
                version=VERSION, inputs={"annotations": sha256_of(columns)}, config={},
            )  # fmt: skip
            console.print(str(outcome), markup=False, soft_wrap=True)
            _report(console, store, form, given, problems)


def _not_others(workspace: Workspace, table: str) -> None:
    manifest = workspace.manifest(table)
    if manifest is not None and not manifest.stage_version.startswith("pull-"):
        raise UserError(
            f"{workspace.folder(table)}: was not pulled from a server (it is by "
            f"{manifest.stage_version}), and would be replaced. Move it away, or pull into a "
            "workspace of its own."
        )


def fetch(server: Server, store: Store, project: Project, *, full: bool = False) -> int:
    """Bring the store up to date with one project. Returns how many versions are new to it."""
    try:
        # Asked for first: what is annotated from here on is found by the next pull.
        there = projects.known(server, store, project)
    except NotThere:
        Console(stderr=True, emoji=False).print(
            f"{project.annotator}'s project {project.on_server} is not on the server any more; "
            "its answers stay as they were pulled.",
            style="yellow",
        )
        return 0
    known = {task.on_server for task in store.tasks(project)} | store.copies(project).keys()
    if (there.task_number or 0) > len(known - {None}):
        _find_copies(server, store, project)
    expected = (there.total_annotations_number or 0) + (there.skipped_annotations_number or 0)
    new = 0
    if project.seen is not None and not full:
        new = _take(server, store, project, since=project.seen)
        if len(store.annotations(project)) == expected:
            return new
    return new + _take(server, store, project, since=None)


def _find_copies(server: Server, store: Store, project: Project) -> None:
    """Note tasks that show a page once more: a push's request was done twice, and came late."""
    assert project.on_server is not None
    tasks = {task.key: task for task in store.tasks(project)}
    found = {}
    for there in server.tasks(project.on_server, "id,data"):
        task = tasks.get(there["data"].get("lrm_uid", ""))
        if task is not None and task.on_server != there["id"]:
            found[there["id"]] = task.uid
    store.found_copies(project, found)


def _take(server: Server, store: Store, project: Project, since: str | None) -> int:
    """Keep all tasks, or those changed since a moment."""
    assert project.on_server is not None
    filters = None
    if since is not None:
        begin = _moment(since) - OVERLAP
        filters = [
            {
                "filter": "filter:tasks:updated_at", "operator": "greater", "type": "Datetime",
                "value": begin.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            }
        ]  # fmt: skip
    new, latest = 0, project.seen or ""
    ids: set[int] = set()
    for some in _portions(server.tasks(project.on_server, FIELDS, filters)):
        for task in some:
            if not isinstance(task.get("annotations"), list) or not task.get("updated_at"):
                raise UserError(
                    f"{server.url}: gives tasks without their annotations. It is not a Label "
                    "Studio that this was made for (1.23)."
                )
        new += store.keep(project, some, None)
        latest = max(latest, *(task["updated_at"] for task in some))
        ids.update(task["id"] for task in some)
    if since is None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        store.forget_missing(project, ids, now)
    store.keep(project, [], latest or None)
    return new


def _portions(tasks: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    some: list[dict[str, Any]] = []
    for task in tasks:
        some.append(task)
        if len(some) == AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def current(store: Store, form: str) -> tuple[list[Given], list[tuple[str, str]]]:
    """The answers that count now, and what does not: clip and reason.

    Of several annotations of a task, the one changed last counts, unless it skips the page.
    """
    pages, given, problems = {page.uid: page for page in store.pages()}, [], []
    for project in store.projects():
        if project.form != form:
            continue
        of_task: dict[int, list[dict[str, Any]]] = {}
        first = {task.uid: task.on_server or -1 for task in store.tasks(project)}
        same = {copy: first[uid] for copy, uid in store.copies(project).items()}
        for on_server, annotation in store.annotations(project):
            of_task.setdefault(same.get(on_server, on_server), []).append(annotation)
        for task in store.tasks(project):
            page = pages[task.uid]
            found = of_task.get(task.on_server or -1, [])
            found = sorted(found, key=lambda a: (a["updated_at"], a["id"]))
            kept = [a for a in found if not a["was_cancelled"]]
            problems += [
                (page.clip_id, f"{project.annotator}: annotation {old['id']} is older than "
                 f"{kept[-1]['id']} of the same page")
                for old in kept[:-1]
            ]  # fmt: skip
            if found and not kept:
                problems.append((page.clip_id, f"{project.annotator}: skipped the page"))
            if not kept:
                continue
            try:
                found_answers, texts = answers(FORMS[form], kept[-1]["result"], len(task.questions))
            except Unreadable as error:
                problems.append(
                    (page.clip_id, f"{project.annotator}: annotation {kept[-1]['id']}: {error}")
                )
                continue
            given.append(Given(page, task, project, kept[-1], found_answers, texts))
    return given, problems


def _common(one: Given, slot: int) -> dict[str, Any]:
    """The columns that all three tables have."""
    lead = one.annotation.get("lead_time")
    name = one.project.form if one.project.round == FIRST else f"{one.project.form}-adjudication"
    return {
        "clip_id": one.page.clip_id,
        "annotator": one.project.annotator,
        "lead_time_s": None if lead is None else max(lead, 0.0) / len(one.task.questions),
        "created_at": one.annotation["created_at"],
        "guidelines_version": one.project.guidelines,
        "project": name,
        "position": slot,
        "drop_reason": None,
    }


def _ratings(given: list[Given], problems: list[tuple[str, str]]) -> Columns:
    return _columns("ratings", problems, [
        {
            **_common(one, slot), "label": label, "grade": int(one.answers[slot]),
            "preannotated": one.task.suggested[slot] is not None,
        }
        for one in given
        for slot, (label,) in enumerate(one.task.questions)
    ])  # fmt: skip


def _pair_ratings(given: list[Given], problems: list[tuple[str, str]]) -> Columns:
    return _columns("pair_ratings", problems, [
        {**_common(one, slot), "label_a": a, "label_b": b, "choice": one.answers[slot]}
        for one in given
        for slot, (a, b) in enumerate(one.task.questions)
    ])  # fmt: skip


def _screenings(given: list[Given], problems: list[tuple[str, str]]) -> Columns:
    rows = []
    for one in given:
        for slot, (label,) in enumerate(one.task.questions):
            corrected = normal_form(one.texts[slot]) if slot in one.texts else None
            row = {
                **_common(one, slot), "label": label, "verdict": one.answers[slot],
                "correction": corrected,
            }  # fmt: skip
            if corrected is not None and len(corrected) > MAX_LABEL_LENGTH:
                row["drop_reason"] = (
                    f"{one.project.annotator}: a correction of {len(corrected)} characters; a label"
                    f" has at most {MAX_LABEL_LENGTH}"
                )
            rows.append(row)
    return _columns("screenings", problems, rows)


_TABLES = {
    GRADING.name: _ratings,
    PAIRS.name: _pair_ratings,
    SCREENING.name: _screenings,
}


def _columns(table: str, problems: list[tuple[str, str]], rows: list[dict[str, Any]]) -> Columns:
    """Rows in the order of the table's key, and a dropped row for each problem."""
    names = [column.name for column in TABLES[table].columns]
    rows.sort(key=lambda row: [row[name] for name in TABLES[table].key])
    for clip_id, reason in problems:
        rows.append(dict.fromkeys(names) | {"clip_id": clip_id, "drop_reason": reason})
    return {name: [row[name] for row in rows] for name in (*names, "drop_reason")}


def _report(
    console: Console,
    store: Store,
    form: str,
    given: list[Given],
    problems: list[tuple[str, str]],
) -> None:
    """How far each annotator is."""
    done = Counter(one.project.id for one in given)
    for project in store.projects():
        if project.form == form:
            total = len(store.tasks(project))
            round = "" if project.round == FIRST else f" ({project.round})"
            console.print(
                f"  {project.annotator}{round}: {done[project.id]} of {total} pages", markup=False
            )
    for clip_id, reason in problems[:10]:
        console.print(f"  {clip_id}: {reason}", style="yellow", markup=False, soft_wrap=True)
    if len(problems) > 10:
        console.print(f"  … and {len(problems) - 10} more: lrmovienet status", style="yellow")
