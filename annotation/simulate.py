"""`lrmovienet annotate simulate`: generated people answer what was pushed, through the real server.

For demos, tests and rehearsals. What they say is generated, and every rating says so by the name of
the annotator it goes under: simulate only what was pushed for people who do not exist.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console

from annotation import projects
from annotation.forms import FORMS, GRADING, PAIRS
from annotation.pages import Question, drawn
from annotation.results import results
from annotation.server import Server, ServerConfig, connect
from annotation.store import Store, opened
from annotation.tasks import Project, Task
from lrmovienet.errors import UserError
from lrmovienet.progress import progress
from lrmovienet.workspace import Workspace

TIE_BELOW, SKIPPED, DROP_BELOW, CORRECTED = 0.25, 0.02, -0.4, 0.02
"""Pairs that seem nearer than this are equal; shares of pairs skipped and labels corrected; labels
that seem less relevant than this are dropped in screening."""


@dataclass(frozen=True)
class Person:
    """How somebody judges, on the scale of grades."""

    bias: float
    """Added to what is true."""
    noise: float
    """Standard deviation of what is added by chance."""
    slips: float
    """Share of answers given without looking."""


PEOPLE = {
    "careful": Person(0.0, 0.25, 0.0),
    "strict": Person(-0.35, 0.3, 0.01),
    "generous": Person(0.35, 0.3, 0.01),
    "careless": Person(0.0, 0.5, 0.3),
}


@dataclass(frozen=True)
class SimulateConfig(ServerConfig):
    """Options of `lrmovienet annotate simulate`."""

    truth: Path = Path("truth")
    """Workspace whose table `relevance` says what is true; labels not in it are low."""
    people: list[str] = field(default_factory=lambda: list(PEOPLE))
    """What the annotators are like, in the order of their projects, and over again: careful,
    strict, generous, careless."""
    seed: int = 0
    """Of all that is left to chance; 0 or more."""


def run(config: SimulateConfig) -> None:
    """Answer every page that has no answer yet.

    Raises:
        UserError: nothing was pushed, there is no truth, or the server cannot be used.
    """
    for name in config.people:
        if name not in PEOPLE:
            raise UserError(f"--people {name}: there are {', '.join(PEOPLE)}.")
    if not config.people or config.seed < 0:
        raise UserError("give at least one of --people, and a --seed of 0 or more.")
    rows = Workspace(config.truth).read("relevance", ["clip_id", "label", "grade"]).to_pylist()
    truth = {(row["clip_id"], row["label"]): row["grade"] for row in rows}
    with opened(Workspace(config.workspace)) as store:
        server = connect(config)
        names = list(dict.fromkeys(p.annotator for p in store.projects()))
        like = {name: config.people[i % len(config.people)] for i, name in enumerate(names)}
        done = 0
        with progress("simulate", sum(len(store.tasks(p)) for p in store.projects())) as advance:
            for project in store.projects():
                if project.on_server is not None:
                    done += _answer(server, store, project, PEOPLE[like[project.annotator]], truth,
                                    config.seed)  # fmt: skip
                advance(len(store.tasks(project)))
    said = ", ".join(f"{name} is {kind}" for name, kind in like.items())
    Console(emoji=False).print(
        f"{done} pages answered by generated people ({said})", markup=False, soft_wrap=True
    )


def _answer(
    server: Server,
    store: Store,
    project: Project,
    person: Person,
    truth: Mapping[tuple[str, str], int],
    seed: int,
) -> int:
    assert project.on_server is not None, "the caller leaves those out"
    projects.known(server, store, project)
    fields = "id,total_annotations,cancelled_annotations"
    open_ones = {
        task["id"]
        for task in server.tasks(project.on_server, fields)
        if not task["total_annotations"] and not task["cancelled_annotations"]
    }
    pages = {page.uid: page for page in store.pages()}
    todo = [task for task in store.tasks(project) if task.on_server in open_ones]
    for task in todo:
        given, texts = answers(project, task, pages[task.uid].clip_id, person, truth, seed)
        rng = np.random.default_rng(drawn(seed, "time", project.annotator, task.uid))
        lead_time = round(float(rng.lognormal(1.0, 0.4)) * len(task.questions), 2)

        def answered(task: Task = task) -> bool | None:
            found = server.sdk.annotations.list(id=task.on_server or 0)
            return True if found else None

        def say(
            task: Task = task,
            given: dict[int, str] = given,
            texts: dict[int, str] = texts,
            lead_time: float = lead_time,
        ) -> bool:
            server.sdk.annotations.create(
                id=task.on_server or 0, result=results(given, texts), lead_time=lead_time
            )
            return True

        server.settle(say, answered)
    return len(todo)


def answers(
    project: Project,
    task: Task,
    clip_id: str,
    person: Person,
    truth: Mapping[tuple[str, str], int],
    seed: int,
) -> tuple[dict[int, str], dict[int, str]]:
    """What a person says on a page: answers by slot, and texts by slot. The same every time."""
    form = FORMS[project.form]
    given, texts = {}, {}
    for slot, question in enumerate(task.questions):
        rng = np.random.default_rng(
            drawn(seed, project.form, project.round, project.annotator, clip_id, *question)
        )
        seen = [
            truth.get((clip_id, label), 0) + person.bias + rng.normal(0, person.noise)
            for label in question
        ]
        if rng.random() < person.slips:
            given[slot] = form.answers[rng.integers(len(form.answers) - form.corrects)].value
        elif form is GRADING:
            given[slot] = str(int(np.clip(np.floor(seen[0] + 0.5), 0, 2)))
        elif form is PAIRS:
            given[slot] = _choice(seen, rng)
        else:
            given[slot] = _verdict(seen[0], rng)
            if given[slot] == "correct":
                texts[slot] = _corrected(question)
    return given, texts


def _choice(seen: list[float], rng: np.random.Generator) -> str:
    if rng.random() < SKIPPED:
        return "skip"
    if abs(seen[0] - seen[1]) < TIE_BELOW:
        return "tie"
    return "a" if seen[0] > seen[1] else "b"


def _verdict(seen: float, rng: np.random.Generator) -> str:
    if rng.random() < CORRECTED:
        return "correct"
    return "drop" if seen < DROP_BELOW else "keep"


def _corrected(question: Question) -> str:
    return f"{question[0]} again"
