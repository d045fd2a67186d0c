"""`lrmovienet annotate plan`: what annotating would take, before anybody is asked."""

from dataclasses import dataclass, field
from typing import Literal

from rich.console import Console

from annotation import assign
from annotation.agreement import seconds
from annotation.forms import FORMS
from annotation.pages import candidates_for, chosen_clips, new_pages, questions
from annotation.pull import TABLE_OF
from annotation.tasks import FIRST
from lrmovienet.config import VerbConfig
from lrmovienet.errors import UserError
from lrmovienet.workspace import Workspace

STATED = {"screening": (2.0, 10.0), "grading": (3.0, 20.0), "pairs": (3.0, 20.0)}
"""Form -> seconds a question and seconds a page (to read and look), for as long as nothing was
measured: guesses, to be replaced by a trial of some twenty pages."""


@dataclass(frozen=True)
class PlanConfig(VerbConfig):
    """Options of `lrmovienet annotate plan`."""

    form: Literal["screening", "grading", "pairs"] = "grading"
    """What would be asked: screening, grading, or pairs."""
    annotators: int = 3
    """How many people would be asked."""
    overlap: int = 2
    """How many of them each question would go to."""
    limit: int | None = None
    """How many clips to ask about; all of them by default."""
    pairs_per_clip: int | None = None
    """Form pairs: how many pairs of a clip's labels to ask about. Default: as many as labels."""
    seed: int = 0
    """The seed of the push, which decides which clips come first."""
    gold_share: float = 0.0
    """Share of an annotator's pages that would be gold, which everybody is asked."""
    seconds_per_question: float | None = None
    """Seconds a question takes. Default: what was measured here, else a stated guess."""
    seconds_per_page: float | None = None
    """Seconds a page takes besides its questions, to read and look."""
    wage: float = field(default=0.0)
    """What an hour costs, in any currency; without it, only hours are told."""


def run(config: PlanConfig) -> None:
    """Print pages, questions, hours and cost.

    Raises:
        UserError: there are no candidates yet, or an option is wrong.
    """
    for option, least in (
        ("annotators", 1),
        ("overlap", 1),
        ("pairs_per_clip", 1),
        ("limit", 1),
        ("seed", 0),
    ):
        value = getattr(config, option)
        if value is not None and value < least:
            raise UserError(f"--{option} {value}: give {least} or more.")
    if config.overlap > config.annotators:
        raise UserError(
            f"--overlap {config.overlap} is more than --annotators {config.annotators}."
        )
    if not 0 <= config.gold_share <= 0.5:
        raise UserError(f"--gold_share {config.gold_share}: give a share from 0 to 0.5.")
    for option in ("seconds_per_question", "seconds_per_page", "wage"):
        value = getattr(config, option)
        if value is not None and not 0 <= value < 1e6:
            raise UserError(f"--{option} {value}: give a number, 0 or more.")
    workspace, console, form = Workspace(config.workspace), Console(emoji=False), FORMS[config.form]
    labels: dict[str, list[str]] = {}
    for row in workspace.read(candidates_for(workspace, form), ["clip_id", "label"]).to_pylist():
        labels.setdefault(row["clip_id"], []).append(row["label"])
    clips = chosen_clips(labels, config.limit, config.seed)
    wanted = {
        clip_id: questions(form, clip_id, labels[clip_id], config.pairs_per_clip, config.seed)
        for clip_id in clips
    }
    pages = new_pages(form, FIRST, [], wanted)
    gold = 0
    if config.form == "grading":
        gold = assign.gold_wanted(len(pages), config.overlap, config.annotators, config.gold_share)
    per_page = sum(map(len, wanted.values())) / max(len(pages), 1)
    pages_in_all = (len(pages) - gold) * config.overlap + gold * config.annotators
    questions_in_all = pages_in_all * per_page
    per_question, per_page_s, source = _seconds(config, workspace)
    hours = (questions_in_all * per_question + pages_in_all * per_page_s) / 3600
    console.print(
        f"{len(clips)} clips, {sum(map(len, wanted.values()))} questions on {len(pages)} pages; "
        f"each asked of {config.overlap} of {config.annotators} annotators",
        markup=False,
    )
    console.print(
        f"  {questions_in_all:.0f} answers on {pages_in_all} pages"
        + (f", gold pages of each annotator among them: {gold}" if gold else "")
    )
    console.print(
        f"  {per_question:.1f} s a question and {per_page_s:.0f} s a page ({source})",
        markup=False,
        soft_wrap=True,
    )
    cost = f", {hours * config.wage:,.0f} at {config.wage:g} an hour" if config.wage else ""
    console.print(
        f"  {hours:,.1f} hours, {hours / config.annotators:,.1f} an annotator{cost}", style="bold"
    )


def _seconds(config: PlanConfig, workspace: Workspace) -> tuple[float, float, str]:
    """Seconds a question and a page, and where they are from."""
    question, page = STATED[config.form]
    source = "guessed; after a trial, what was measured counts"
    table = TABLE_OF[config.form]
    manifest = workspace.manifest(table)
    if manifest is not None and manifest.stage_version.startswith("pull-"):
        times = workspace.read(table, ["lead_time_s"])["lead_time_s"].to_pylist()
        median, _ = seconds(times)
        if median is not None:
            # The time of a page is shared out among its questions, reading and looking included.
            question, page = median, 0.0
            source = f"median of {sum(t is not None for t in times)} answers measured here"
    given = (config.seconds_per_question, config.seconds_per_page)
    if given == (None, None):
        return question, page, source
    guess_question, guess_page = STATED[config.form]
    return (
        guess_question if given[0] is None else given[0],
        guess_page if given[1] is None else given[1],
        "as given" if None not in given else "as given, the other guessed",
    )
