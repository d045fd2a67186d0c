"""`lrmovienet annotate push`: questions to a Label Studio server, one blind project an annotator.

What is going to be asked, and of whom, is written down first (`annotation.store`), then brought to
the server (`annotation.delivery`). Pushing twice adds nothing, and a push that was killed goes on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from annotation import assign, guidelines, queue
from annotation.delivery import Delivery, LocalFiles
from annotation.forms import FORMS, GRADING, Form
from annotation.pages import Question, drawn, new_pages, questions
from annotation.server import ServerConfig, connect
from annotation.store import ADJUDICATION, FIRST, Page, Project, Store, Task, opened
from lrmovienet.cards import choose
from lrmovienet.errors import UserError
from lrmovienet.workspace import Workspace


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
    workspace, form, console = Workspace(config.workspace), FORMS[config.form], Console(emoji=False)
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
        people = [
            store.project(form.name, round, name, text.version, config.pictures, server.url)
            for name in config.annotators
        ]
        if gold:
            store.add_gold(_hidden(config, store, form, wanted, gold))
        known = store.gold() if form is GRADING and not config.adjudicate else {}
        pages = new_pages(form, round, store.pages(), wanted, known)
        _plan(config, store, people, pages, set(shown))
        files = LocalFiles(config.files, config.files_on_server) if config.pictures else None
        Delivery(workspace, server, store, form, clips, shown, files).bring(people, text)
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


def _hidden(
    config: PushConfig,
    store: Store,
    form: Form,
    wanted: Mapping[str, Sequence[Question]],
    gold: Mapping[tuple[str, str], int],
) -> dict[tuple[str, str], int]:
    """The known answers to hide among the new pages: those of as many clips as make up the share.

    All other clips are asked as if nothing were known of them.
    """
    before = [page for page in store.pages() if (page.form, page.round) == (form.name, FIRST)]
    fresh = new_pages(form, FIRST, before, wanted, {})
    ordinary = sum(not page.gold for page in before) + len(fresh)
    each = ordinary * config.overlap / len(config.annotators)
    room = assign.gold_wanted(each, config.gold_share) - sum(page.gold for page in before)
    known: dict[str, list[tuple[str, str]]] = {}
    for page in fresh:
        of_page = [(page.clip_id, *q) for q in page.questions]
        known.setdefault(page.clip_id, []).extend(
            (clip_id, label) for clip_id, label in of_page if (clip_id, label) in gold
        )
    hidden = {}
    for clip_id in sorted(known, key=lambda clip_id: drawn(config.seed, "gold", clip_id)):
        if room > 0 and known[clip_id]:
            hidden.update({key: gold[key] for key in known[clip_id]})
            room -= -(-len(known[clip_id]) // form.slots)
    return hidden


def _plan(
    config: PushConfig,
    store: Store,
    people: Sequence[Project],
    pages: Sequence[Page],
    suggested: set[tuple[str, str]],
) -> None:
    """Decide who is asked the new pages, and write it down. Gold goes to everybody."""
    kind = (people[0].form, people[0].round)
    gold = [p for p in store.pages() if p.gold and (p.form, p.round) == kind]
    gold += [page for page in pages if page.gold]
    gold_uids = {page.uid for page in gold}
    asked: dict[str, set[str]] = {name: set() for name in config.annotators}
    for project in store.projects():
        if (project.form, project.round) == kind and project.annotator in asked:
            asked[project.annotator].update(task.uid for task in store.tasks(project))
    load = {name: len(uids - gold_uids) for name, uids in asked.items()}
    ordinary = [page for page in pages if not page.gold]
    given = assign.balanced(ordinary, config.annotators, config.overlap, config.seed, load)
    tasks = []
    for project in people:
        name = project.annotator
        own = [page for page in ordinary if name in given[page.uid]]
        own += [page for page in gold if page.uid not in asked[name]]
        own.sort(key=lambda page: drawn(config.seed, "order", name, page.uid))
        first = 1 + max((task.place for task in store.tasks(project)), default=-1)
        for place, page in enumerate(own, start=first):
            seen = assign.shuffled(page, name, config.seed)
            hinted = any((page.clip_id, *q) in suggested for q in seen)
            tasks.append(Task(project.id, page.uid, place, seen, hinted, None))
    store.plan(list(pages), tasks)


def _report(console: Console, config: PushConfig, workspace: Workspace) -> None:
    """Say who is asked how much, and where."""
    with opened(workspace) as store:
        gold = {page.uid for page in store.pages() if page.gold}
        round = ADJUDICATION if config.adjudicate else FIRST
        for project in store.projects():
            if (project.form, project.round) == (config.form, round):
                tasks = store.tasks(project)
                known = sum(t.uid in gold for t in tasks)
                console.print(
                    f"  {project.annotator}: {len(tasks)} pages, "
                    f"{sum(len(t.questions) for t in tasks)} questions"
                    + (f", {known} pages of gold" if known else "")
                    + f": {config.server.rstrip('/')}/projects/{project.on_server}/data?labeling=1",
                    markup=False, soft_wrap=True,
                )  # fmt: skip
