"""`lrmovienet annotate push`: questions to a Label Studio server, one blind project an annotator.

What is going to be asked, and of whom, is written down first (`annotation.store`), then brought to
the server (`annotation.delivery`). Pushing twice adds nothing, and a push that was killed goes on.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from annotation import guidelines, handout, queue
from annotation.delivery import Delivery, LocalFiles
from annotation.forms import FORMS, Form
from annotation.pages import Question, candidates_for, chosen_clips, new_pages, questions
from annotation.server import ServerConfig, connect
from annotation.store import Store, opened
from annotation.tasks import ADJUDICATION, FIRST
from eval.messages import printable
from lrmovienet.cards import choose
from lrmovienet.errors import UserError, shorten
from lrmovienet.workspace import Workspace


@dataclass(frozen=True)
class PushConfig(ServerConfig):
    """Options of `lrmovienet annotate push`."""

    form: Literal["screening", "grading", "pairs"] = "grading"
    """What to ask: screening (keep, drop, correct), grading (high, medium, low), or pairs."""
    annotators: list[str] = field(default_factory=list)
    """Names of those who are asked, one project each: letters, digits and . _ - @ +."""
    overlap: int = 2
    """How many annotators are asked each question. A larger number adds people to what was given
    out."""
    forget: list[str] = field(default_factory=list)
    """Names of people who will not go on: what they have not answered, as of the last pull, is
    asked of others."""
    clips: list[str] = field(default_factory=list)
    """Ids of the clips to ask about; without any, `limit` of them or all."""
    limit: int | None = None
    """How many clips to ask about, drawn by the seed; a larger number adds clips to a smaller."""
    pairs_per_clip: int | None = None
    """Form pairs: how many pairs of a clip's labels to ask about. Default: as many as labels, which
    compares each of them with two others."""
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
    config = replace(
        config,
        annotators=[unicodedata.normalize("NFC", name) for name in config.annotators],
        forget=[unicodedata.normalize("NFC", name) for name in config.forget],
    )
    workspace, form, console = Workspace(config.workspace), FORMS[config.form], Console(emoji=False)
    text = guidelines.read(config.guidelines)
    gold = _grades(config.gold, "gold") if config.gold else {}
    shown = _grades(config.preannotations, "preannotations") if config.preannotations else {}
    clips = {row["clip_id"]: row for row in workspace.read("clips").to_pylist()}
    workspace.require(workspace.candidates_table)
    server = connect(config)
    console.print(
        f"Label Studio {printable(server.version())} at {server.url}", markup=False, soft_wrap=True
    )
    with workspace.locked(), opened(workspace, make=True) as store:
        round = ADJUDICATION if config.adjudicate else FIRST
        wanted = _wanted(config, workspace, form, store, clips)
        _check_names(config, store, round)
        for name in config.forget:
            freed = store.forget(form.name, round, name)
            console.print(f"{name}: {freed} pages are free for others", markup=False)
        fresh = new_pages(form, round, store.pages(), wanted)
        files = LocalFiles(config.files, config.files_on_server) if config.pictures else None
        delivery = Delivery(workspace, server, store, form, clips, files)
        # Before anything is given out: a wrong --files, a frame that cannot be read.
        bad = delivery.pictures({page.clip_id for page in fresh})
        fresh = [page for page in fresh if page.clip_id not in bad]
        people = [
            store.project(form.name, round, name, text.version, config.pictures, server.url)
            for name in config.annotators
        ]
        store.withdraw(form.name, round, but=[project.id for project in people])
        if gold:
            fresh = handout.hide(store, people, fresh, gold, config.overlap, config.gold_share,
                                 config.seed)  # fmt: skip
            _report_gold(console, store, gold)
        handout.hand_out(store, people, fresh, config.overlap, config.seed, shown)
        bad |= delivery.bring(people, text)
        _report(console, config, store, round)
    if bad:
        listed = "\n  ".join(list(bad.values())[:10])
        raise UserError(
            f"{len(bad)} clips were not pushed. All others are; push again when these are mended:"
            f"\n  {listed}"
        )


def _check(config: PushConfig) -> None:
    if not config.annotators:
        raise UserError("say who is asked: --annotators ann bob cleo")
    for name in config.annotators:
        if not 0 < len(name) <= 40 or not all(map(_belongs, name)):
            raise UserError(
                f"--annotators {shorten(name)}: give names of up to 40 letters, digits and . _ - @ "
                "+, with blanks between them."
            )
    if len({_same(name) for name in config.annotators}) < len(config.annotators):
        raise UserError("--annotators: a name stands there twice.")
    if both := set(config.forget) & set(config.annotators):
        raise UserError(f"{', '.join(sorted(both))}: is to be asked and forgotten at once.")
    if config.clips and config.limit:
        raise UserError("--clips and --limit: give the clips, or how many of them.")
    for option, least in (("overlap", 1), ("pairs_per_clip", 1), ("seed", 0), ("limit", 1)):
        value = getattr(config, option)
        if value is not None and value < least:
            raise UserError(f"--{option} {value}: give {least} or more.")
    if not 0 <= config.gold_share <= 0.5:
        raise UserError(f"--gold_share {config.gold_share}: give a share from 0 to 0.5.")
    if config.form != "grading" and (config.gold or config.preannotations):
        raise UserError("--gold and --preannotations are grades, which go with the form grading.")
    if config.adjudicate and config.form == "screening":
        raise UserError("--adjudicate goes with grading and pairs: screening is by most voices.")
    if config.adjudicate and config.gold:
        raise UserError("--gold goes with the first round: who adjudicates is not tested.")
    if config.disputed == "any" and config.form == "pairs":
        raise UserError("--disputed any goes with grading; of pairs those are open that are even.")
    if config.overlap > len(config.annotators):
        raise UserError(
            f"--overlap {config.overlap}: there are {len(config.annotators)} annotators. Name as "
            "many with --annotators, or ask fewer of them."
        )


def _check_names(config: PushConfig, store: Store, round: str) -> None:
    """Raise UserError for a name to forget that nobody has, and for one that is written anew."""
    kind = (config.form, round)
    there = {p.annotator for p in store.projects() if (p.form, p.round) == kind and not p.closed}
    for name in config.forget:
        if name not in there:
            raise UserError(
                f"--forget {name}: nobody of that name is asked. There are: "
                f"{', '.join(sorted(there)) or 'none yet'}."
            )
    for name in config.annotators:
        for other in there - {name}:
            if _same(name) == _same(other) and other not in config.forget:
                raise UserError(f"--annotators {name}: is asked as {other} already; write it so.")


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
    for row in workspace.read(candidates_for(workspace, form)).to_pylist():
        if row["clip_id"] in clips:
            labels.setdefault(row["clip_id"], []).append((row["position"], row["label"]))
    if not labels:
        raise UserError(f"{workspace.root}: no clip has candidates.")
    in_order = chosen_clips(labels, config.limit, config.seed)
    wanted = {
        clip_id: questions(
            form, clip_id, [label for _, label in sorted(labels[clip_id])],
            config.pairs_per_clip, config.seed,
        )
        for clip_id in (choose(config.clips, list(labels), 0) if config.clips else in_order)
    }  # fmt: skip
    if not config.adjudicate:
        return wanted
    first = {
        _same(p.annotator)
        for p in store.projects()
        if (p.form, p.round) == (form.name, FIRST)
        and any(task.on_server for task in store.tasks(p))
    }
    if both := [name for name in config.annotators if _same(name) in first]:
        raise UserError(
            f"{', '.join(both)} was asked in the first round; somebody else must have the last "
            "word. Give another name as --annotators."
        )
    open_ones = queue.undecided(workspace, form, config.disputed)
    return {
        clip_id: [q for q in asked if (clip_id, *q) in open_ones]
        for clip_id, asked in wanted.items()
    }


def _belongs(character: str) -> bool:
    """Whether a character may be in a name: letters with their marks, digits, and a few others."""
    return character in "._-@+" or unicodedata.category(character)[0] in "LMN"


def _same(name: str) -> str:
    """A name as it is compared with others."""
    return unicodedata.normalize("NFKC", name).casefold()


def _report_gold(console: Console, store: Store, gold: Mapping[tuple[str, str], int]) -> None:
    used = store.gold().keys() & gold.keys()
    console.print(
        f"gold: {len(used)} of {len(gold)} grades are hidden on pages that everybody is asked; the "
        "others are of what is not asked, was asked before, or is more than the share",
        markup=False, soft_wrap=True,
    )  # fmt: skip


def _report(console: Console, config: PushConfig, store: Store, round: str) -> None:
    """Say who is asked how much, and where."""
    gold = {page.uid for page in store.pages() if page.gold}
    nobody = True
    for project in store.projects():
        tasks = [task for task in store.tasks(project) if task.on_server is not None]
        if (project.form, project.round) != (config.form, round) or not tasks:
            continue
        nobody, known = False, sum(task.uid in gold for task in tasks)
        console.print(
            f"  {project.annotator}: {len(tasks)} pages, "
            f"{sum(len(task.questions) for task in tasks)} questions"
            + (f", {known} gold pages" if known else "")
            + (", forgotten" if project.closed else "")
            + f": {project.server}/projects/{project.on_server}/data?labeling=1",
            markup=False, soft_wrap=True,
        )  # fmt: skip
    if nobody:
        console.print("  there is nothing to ask")
