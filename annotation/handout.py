"""New pages, and old ones that too few are asked, given to people; written down in the store."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from annotation import assign
from annotation.pages import drawn
from annotation.store import Store
from annotation.tasks import Page, Project, Task

Grades = Mapping[tuple[str, str], int]
"""Clip and label -> grade."""


def hide(
    store: Store,
    people: Sequence[Project],
    fresh: Sequence[Page],
    gold: Grades,
    overlap: int,
    share: float,
    seed: int,
) -> list[Page]:
    """Make gold of as many new pages as make up the share, and write down the right grades.

    Whole clips are taken: their pages look like all others, and those of their labels whose grade
    is known are what people are tested by. Of a clip that was asked about before no page is gold,
    as its pages would be smaller than others.

    Args:
        store: what was given out before; right grades are added to it.
        people: who is going to be asked.
        fresh: the new pages.
        gold: right grades; those known to the store already are corrected by it.
        overlap: how many are asked an ordinary page.
        share: of each one's pages.
        seed: of the draw.

    Returns:
        All new pages, some of them gold.
    """
    before = _pages(store, people)
    asked_before = {page.clip_id for page in before}
    gold_before = {page.uid for page in before if page.gold}
    names = {project.annotator for project in people}
    kind = (people[0].form, people[0].round)
    own = sum(
        task.uid not in gold_before
        for project in store.projects()
        if (project.form, project.round) == kind and project.annotator in names
        for task in store.tasks(project)
    )
    room = assign.gold_wanted(
        len(fresh), overlap, len(people), share, own=own, gold=len(gold_before)
    )
    pages_of: dict[str, int] = defaultdict(int)
    known: dict[str, dict[tuple[str, str], int]] = defaultdict(dict)
    for page in fresh:
        pages_of[page.clip_id] += 1
        for question in page.questions:
            key = (page.clip_id, question[0])
            if key in gold and page.clip_id not in asked_before:
                known[page.clip_id][key] = gold[key]
    hidden = {key: gold[key] for key in store.gold().keys() & gold.keys()}
    clips = set()
    for clip_id in sorted(known, key=lambda clip_id: drawn(seed, "gold", clip_id)):
        if room > 0:
            clips.add(clip_id)
            hidden.update(known[clip_id])
            room -= pages_of[clip_id]
    store.add_gold(hidden)
    return [replace(page, gold=page.clip_id in clips) for page in fresh]


def hand_out(
    store: Store,
    people: Sequence[Project],
    fresh: Sequence[Page],
    overlap: int,
    seed: int,
    suggested: Grades,
) -> None:
    """Give each page to `overlap` people, and gold to everybody; write it down.

    Args:
        store: what was given out before, which stays.
        people: who can be asked, as their projects.
        fresh: the new pages; pages of before get further people where they have too few.
        overlap: how many are asked an ordinary page.
        seed: of the draws.
        suggested: grades that are shown beforehand.
    """
    pages = [*_pages(store, people), *fresh]
    have: dict[str, list[str]] = {page.uid: [] for page in pages}
    for project in store.projects():
        for task in store.tasks(project):
            if task.uid in have and project.annotator not in have[task.uid]:
                have[task.uid].append(project.annotator)
    ordinary = [page for page in pages if not page.gold]
    names = [project.annotator for project in people]
    of_ordinary = {page.uid: have[page.uid] for page in ordinary}
    given = assign.balanced(ordinary, names, overlap, seed, of_ordinary)
    tasks = []
    for project in people:
        name = project.annotator
        own = [page for page in ordinary if name in given[page.uid]]
        own += [page for page in pages if page.gold and name not in have[page.uid]]
        own.sort(key=lambda page: drawn(seed, "order", name, page.uid))
        first = 1 + max((task.place for task in store.tasks(project)), default=-1)
        for place, page in enumerate(own, start=first):
            seen = assign.shuffled(page, name, seed)
            hints = tuple(
                suggested.get((page.clip_id, asked[0])) if len(asked) == 1 else None
                for asked in seen
            )
            tasks.append(Task(project.id, page.uid, place, seen, hints, None))
    store.plan(list(fresh), tasks)


def _pages(store: Store, people: Sequence[Project]) -> list[Page]:
    """All pages of the form and round that people are asked in."""
    kinds = {(project.form, project.round) for project in people}
    return [page for page in store.pages() if (page.form, page.round) in kinds]
