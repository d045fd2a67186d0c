"""A push without a server: what it writes down about who is asked what."""

from annotation import handout
from annotation.forms import FORMS
from annotation.pages import Question, new_pages, questions
from annotation.push import PushConfig, _check
from annotation.store import Store
from annotation.tasks import FIRST, Project, Task

FOUR = ["ann", "bob", "cleo", "dan"]
Wanted = dict[str, list[Question]]
Grades = dict[tuple[str, str], int]


def clips(first: int, last: int, labels: int = 19, form: str = "grading") -> Wanted:
    """Clips, each with so many labels; one page each by default."""
    names = [f"label {i}" for i in range(labels)]
    return {
        clip: questions(FORMS[form], clip, names, 20, seed=0)
        for clip in (f"clip {i:03d}" for i in range(first, last))
    }


def grades(wanted: Wanted, *labels: str) -> Grades:
    return {(clip, label): 2 for clip in wanted for label in labels}


def options(*annotators: str, **more: object) -> PushConfig:
    return PushConfig(annotators=list(annotators or FOUR), **more)


def planned(
    store: Store,
    wanted: Wanted,
    config: PushConfig,
    gold: Grades | None = None,
    shown: Grades | None = None,
    made: bool = True,
) -> dict[str, list[Task]]:
    """Hand out as `push.run` does. Returns all tasks of each annotator.

    Args:
        store: where it is written down.
        wanted: clip -> its questions.
        config: the options of the push.
        gold: right grades.
        shown: suggested grades.
        made: whether the server has made the projects in the end, and all tasks.
    """
    _check(config)
    form = FORMS[config.form]
    for name in config.forget:
        store.forget(form.name, FIRST, name)
    fresh = new_pages(form, FIRST, store.pages(), wanted)
    people = [
        store.project(form.name, FIRST, name, "1", True, "http://s") for name in config.annotators
    ]
    store.withdraw(form.name, FIRST, but=[project.id for project in people])
    if gold:
        fresh = handout.hide(
            store, people, fresh, gold, config.overlap, config.gold_share, config.seed
        )
    handout.hand_out(store, people, fresh, config.overlap, config.seed, shown or {})
    if made:
        for project in people:
            deliver(store, project)
    return tasks(store)


def deliver(store: Store, project: Project) -> None:
    """Note that the server has a project and its tasks: task 7 of project 3 is 3,007 there."""
    store.found_project(project, 40 + project.id, "http://s")
    store.found_tasks(
        project, {task.uid: 1000 * project.id + task.place for task in store.tasks(project)}
    )


def answer(store: Store, project: Project, *answered: int, **more: object) -> None:
    """Note that somebody answered these tasks of the server."""
    store.keep(
        project,
        [
            {
                "id": task,
                "updated_at": "2026-11-21T10:00:00Z",
                "annotations": [
                    {"id": task + 500, "updated_at": "2026-11-21T10:00:00Z", "result": [],
                     "was_cancelled": False} | more
                ],
            }
            for task in answered
        ],
        None,
    )  # fmt: skip


def of(store: Store, annotator: str) -> Project:
    """Somebody's project, the latest of several."""
    return [p for p in store.projects() if p.annotator == annotator][-1]


def tasks(store: Store) -> dict[str, list[Task]]:
    """Annotator -> tasks, of all that annotator's projects."""
    found: dict[str, list[Task]] = {}
    for project in store.projects():
        found.setdefault(project.annotator, []).extend(store.tasks(project))
    return found


def uids(found: dict[str, list[Task]]) -> dict[str, list[str]]:
    return {name: [task.uid for task in some] for name, some in found.items()}


def gold_uids(store: Store) -> set[str]:
    return {page.uid for page in store.pages() if page.gold}
