"""What a push writes down before it talks to a server: who is asked which page."""

import io
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from annotation.delivery import Delivery, LocalFiles
from annotation.forms import FORMS, GRADING, UNUSED
from annotation.pages import Question, new_pages, questions
from annotation.push import PushConfig, _check, _hidden, _plan, _report, _wanted
from annotation.results import answers
from annotation.store import Store
from annotation.tasks import FIRST, Task
from lrmovienet.workspace import Workspace

FOUR = ["ann", "bob", "cleo", "dan"]
Wanted = dict[str, list[Question]]
Grades = dict[tuple[str, str], int]


@pytest.fixture
def store(tmp_path: Path):
    store = Store(tmp_path / "annotation" / "store.sqlite")
    yield store
    store.close()


def clips(first: int, last: int, labels: int = 19, form: str = "grading") -> Wanted:
    """Clips, each with so many labels; one page each by default."""
    names = [f"label {i}" for i in range(labels)]
    return {
        clip: questions(FORMS[form], clip, names, 20, seed=0)
        for clip in (f"clip {i:03d}" for i in range(first, last))
    }


def grades(wanted: Wanted, *labels: str) -> Grades:
    return {(clip, label): 2 for clip in wanted for label in labels}


def planned(
    store: Store,
    wanted: Wanted,
    config: PushConfig,
    gold: Grades | None = None,
    shown: Grades | None = None,
) -> dict[str, list[Task]]:
    """Plan as `push.run` does. Returns all tasks of each annotator."""
    _check(config)
    form = FORMS[config.form]
    people = [
        store.project(form.name, FIRST, name, "1", True, "http://s") for name in config.annotators
    ]
    if gold:
        store.add_gold(_hidden(config, store, form, wanted, gold))
    pages = new_pages(form, FIRST, store.pages(), wanted, store.gold())
    _plan(config, store, people, pages, set(shown or {}))
    return tasks(store)


def tasks(store: Store) -> dict[str, list[Task]]:
    return {project.annotator: store.tasks(project) for project in store.projects()}


def gold_uids(store: Store) -> set[str]:
    return {page.uid for page in store.pages() if page.gold}


def options(*annotators: str, **more: object) -> PushConfig:
    return PushConfig(annotators=list(annotators or FOUR), **more)


# Who is asked.


@pytest.mark.parametrize("form", FORMS)
def test_each_page_is_asked_of_so_many_and_everybody_has_as_many_pages(store, form):
    found = planned(store, clips(0, 60, 10, form), options(form=form))
    of_page = Counter(task.uid for some in found.values() for task in some)
    assert set(of_page) == {page.uid for page in store.pages()}
    assert set(of_page.values()) == {2}
    pages = len(store.pages())
    assert pages == (120 if form == "pairs" else 60)
    assert {len(some) for some in found.values()} == {pages // 2}


def test_tasks_hold_the_questions_of_their_pages_in_places_from_zero(store):
    found = planned(store, clips(0, 30, 6, "pairs"), options(form="pairs"))
    pages = {page.uid: page for page in store.pages()}
    for some in found.values():
        assert [task.place for task in some] == list(range(len(some)))
        for task in some:
            asked = sorted(tuple(sorted(pair)) for pair in task.questions)
            assert asked == sorted(pages[task.uid].questions)
            assert (task.preannotated, task.on_server) == (False, None)


def test_planning_twice_adds_nothing(store):
    config, wanted = options(), clips(0, 40)
    gold = grades(clips(0, 10), "label 3")
    before = planned(store, wanted, config, gold), store.pages()
    assert (planned(store, wanted, config, gold), store.pages()) == before


def test_plans_do_not_depend_on_the_order_of_clips_and_names(tmp_path):
    found = []
    for turned in (False, True):
        store = Store(tmp_path / f"{turned}.sqlite")
        wanted = dict(sorted(clips(0, 40).items(), reverse=turned))
        names = FOUR[::-1] if turned else FOUR
        gold = grades(clips(0, 20), "label 3")
        plan = planned(store, wanted, options(*names), gold)
        found.append({name: [(t.uid, t.place, t.questions) for t in plan[name]] for name in FOUR})
        store.close()
    assert found[0] == found[1]


def test_another_seed_is_another_plan(tmp_path):
    found = []
    for seed in (0, 1):
        store = Store(tmp_path / f"{seed}.sqlite")
        plan = planned(store, clips(0, 40), options(seed=seed))
        found.append({name: [t.uid for t in some] for name, some in plan.items()})
        store.close()
    assert all(set(found[0][name]) != set(found[1][name]) for name in FOUR)


def test_everybody_has_the_pages_in_an_order_of_their_own(store):
    found = planned(store, clips(0, 20), options("ann", "bob"))
    orders = [[task.uid for task in some] for some in found.values()]
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]


def test_more_clips_leave_what_was_asked_as_it_was(store):
    before, pages = planned(store, clips(0, 20), options()), store.pages()
    after = planned(store, clips(0, 50), options())
    assert store.pages()[: len(pages)] == pages
    for name in FOUR:
        assert after[name][: len(before[name])] == before[name]
        assert [task.place for task in after[name]] == list(range(25))


def of_limit(corpus: Path, store: Store, limit: int) -> Wanted:
    """What a push with such a limit asks about."""
    workspace, config = Workspace(corpus), options(workspace=corpus, limit=limit)
    rows = {row["clip_id"]: row for row in workspace.read("clips").to_pylist()}
    return _wanted(config, workspace, GRADING, store, rows)


def test_a_larger_limit_keeps_what_was_pushed(corpus, store):
    before = planned(store, of_limit(corpus, store, 6), options()), store.pages()
    after = planned(store, of_limit(corpus, store, 12), options())
    assert store.pages()[: len(before[1])] == before[1]
    assert len({page.clip_id for page in store.pages()}) == 12
    for name in FOUR:
        assert after[name][: len(before[0][name])] == before[0][name]


def test_more_labels_of_a_clip_are_asked_about_on_pages_of_their_own(store):
    planned(store, clips(0, 4, labels=19), options())
    planned(store, clips(0, 4, labels=22), options())
    assert Counter(len(page.questions) for page in store.pages()) == {19: 4, 3: 4}


def test_who_comes_later_is_asked_new_pages_first_and_takes_none_from_others(store):
    """Four clips to each of two; of eight more, the third gets all, and the others four each."""
    before = planned(store, clips(0, 4), options("ann", "bob"))
    after = planned(store, clips(0, 12), options("ann", "bob", "cleo"))
    assert [after[name][:4] for name in ("ann", "bob")] == [before["ann"], before["bob"]]
    assert {name: len(some) for name, some in after.items()} == {"ann": 8, "bob": 8, "cleo": 8}
    old = {task.uid for task in before["ann"]}
    assert old.isdisjoint(task.uid for task in after["cleo"])


def test_who_is_not_named_any_more_keeps_the_old_pages_and_gets_no_new_ones(store):
    before = planned(store, clips(0, 10), options("ann", "bob"))
    after = planned(store, clips(0, 20), options("bob", "cleo"))
    assert after["ann"] == before["ann"]
    assert (len(after["bob"]), len(after["cleo"])) == (20, 10)


# Gold.


def test_a_twentieth_of_everybodys_pages_is_gold_and_the_same_for_all(store):
    """190 clips, two people each of four: 95 ordinary pages and 5 gold ones."""
    found = planned(store, clips(0, 190), options(), grades(clips(0, 40), "label 3", "label 4"))
    gold = gold_uids(store)
    assert len(gold) == 5
    for some in found.values():
        assert len(some) == 100
        assert gold <= {task.uid for task in some}


@pytest.mark.parametrize(("share", "expected"), [(0, 0), (0.05, 2), (0.2, 8), (0.5, 9)])
def test_gold_is_as_much_as_was_asked_for_or_all_there_is(store, share, expected):
    """Of 31 and more ordinary pages each; nine clips have known grades."""
    wanted = clips(0, 62)
    found = planned(store, wanted, options(gold_share=share), grades(clips(0, 9), "label 0"))
    gold = gold_uids(store)
    assert len(gold) == expected
    for some in found.values():
        assert sum(task.uid in gold for task in some) == expected
        assert len(some) == 31 + expected


def test_every_question_is_asked_once_and_hidden_ones_on_pages_of_their_own(store):
    """Of ten clips with known grades two make up the share; the others are asked like all."""
    wanted, gold = clips(0, 80), grades(clips(0, 10), "label 3", "label 4")
    planned(store, wanted, options(), gold)
    asked = Counter((page.clip_id, *q) for page in store.pages() for q in page.questions)
    assert asked == Counter({(clip, *q): 1 for clip, some in wanted.items() for q in some})
    hidden = store.gold()
    assert len(hidden) == 4
    assert hidden.items() <= gold.items()
    for page in store.pages():
        assert {(page.clip_id, label) in hidden for (label,) in page.questions} == {page.gold}


def test_more_clips_bring_more_gold(store):
    gold = grades(clips(0, 190), "label 3")
    assert planned(store, clips(0, 76), options(), gold).keys() == set(FOUR)
    first = gold_uids(store)
    found = planned(store, clips(0, 190), options(), gold)
    assert (len(first), len(gold_uids(store))) == (2, 5)
    assert first < gold_uids(store)
    assert {len(some) for some in found.values()} == {100}


@pytest.mark.parametrize(
    ("later", "clips_known"), [(["cleo", "dan"], 5), (FOUR, 10), (["cleo", "dan"], 190)]
)
def test_who_comes_later_is_asked_gold_too(store, later, clips_known):
    """--gold_share is of each annotator's pages; everybody has 95 ordinary ones in the end."""
    wanted, gold = clips(0, 190), grades(clips(0, clips_known), "label 3")
    planned(store, clips(0, 95), options("ann", "bob"), gold)
    found = planned(store, wanted, options(*later), gold)
    known = gold_uids(store)
    share = {name: sum(t.uid in known for t in some) / len(some) for name, some in found.items()}
    assert share == pytest.approx(dict.fromkeys(FOUR, 0.05), abs=0.01)


def test_gold_pages_lie_anywhere_among_the_others(store):
    """Not first or last: their mean place is near the middle, give or take four of 100."""
    gold = grades(clips(0, 60), "label 3")
    found = planned(store, clips(0, 150), options(gold_share=0.4), gold)
    known, places = gold_uids(store), []
    for some in found.values():
        places += [task.place / (len(some) - 1) for task in some if task.uid in known]
    assert len(places) == 4 * 50
    assert 0.42 < sum(places) / len(places) < 0.58
    assert min(places) < 0.05 < 0.95 < max(places)
    orders = {tuple(t.uid for t in some if t.uid in known) for some in found.values()}
    assert len(orders) == len(FOUR), "gold comes in another order for everybody"


def delivery(store: Store, wanted: Wanted, shown: Grades, *, pictures: bool = True) -> Delivery:
    """What writes tasks as the server takes them; for that it asks no server."""
    rows = {
        clip: {
            "description": f"what happens in {clip}",
            "keyframes": [{"ref": f"tt0000001/shot_{i:04d}_img_0.jpg", "sha256": f"{i:064x}"}],
        }
        for i, clip in enumerate(wanted)
    }
    files = LocalFiles(Path("files")) if pictures else None
    return Delivery(Workspace(Path("w")), None, store, GRADING, rows, shown, files)


def test_nothing_that_annotators_are_sent_says_what_is_gold(store):
    """Told by the names of what is sent, and by a known answer that stands nowhere."""
    wanted, gold = clips(0, 60), grades(clips(0, 20), "label 3", "label 4")
    found = planned(store, wanted, options(gold_share=0.2), gold)
    sent, pages = delivery(store, wanted, {}), {page.uid: page for page in store.pages()}
    shapes: dict[bool, set] = {True: set(), False: set()}
    for task in found["ann"]:
        page = pages[task.uid]
        made = sent.task(task, page)
        shapes[page.gold].add((tuple(made), tuple(made["data"])))
        assert made == sent.task(task, replace(page, gold=not page.gold))
    assert shapes[True] == shapes[False]
    assert len(shapes[True]) == 1


def test_suggestions_do_not_say_what_is_gold(store):
    """Where every page comes with a suggestion, one without would be known as gold."""
    wanted = clips(0, 60)
    gold, shown = (
        grades(clips(0, 20), "label 3"),
        grades(wanted, *(f"label {i}" for i in range(19))),
    )
    found = planned(store, wanted, options(gold_share=0.2), gold, shown)
    known = gold_uids(store)
    has = {task.uid in known: task.preannotated for task in found["ann"]}
    assert has[True] == has[False]


# Suggestions.


def test_suggested_answers_stand_at_the_labels_that_they_are_for(store):
    """Although everybody sees the labels in another order."""
    wanted = clips(0, 6)
    shown = {(clip, f"label {i}"): (i + int(clip[-1])) % 3 for clip in wanted for i in range(19)}
    found = planned(store, wanted, options("ann", "bob"), shown=shown)
    sent, pages = delivery(store, wanted, shown, pictures=False), store.pages()
    clip_of = {page.uid: page for page in pages}
    for task in [*found["ann"], *found["bob"]]:
        assert task.preannotated
        page = clip_of[task.uid]
        made = sent.task(task, page)
        (prediction,) = made["predictions"]
        given, _ = answers(GRADING, prediction["result"], len(task.questions))
        expected = [str(shown[page.clip_id, label]) for (label,) in task.questions]
        assert [given[slot] for slot in range(19)] == expected
        assert made["data"]["question_00"] == f"1. {task.questions[0][0]}"
        assert made["data"]["description"] == f"what happens in {page.clip_id}"
        assert made["data"]["lrm_uid"] == task.uid


def test_pages_of_which_no_label_has_a_suggestion_are_not_marked_as_suggested(store):
    wanted = clips(0, 10)
    shown = {("clip 003", "label 7"): 1, ("clip 005", "no candidate"): 2}
    found = planned(store, wanted, options("ann", "bob"), shown=shown)
    clip_of = {page.uid: page for page in store.pages()}
    marked = {clip_of[task.uid].clip_id for task in found["ann"] if task.preannotated}
    assert marked == {"clip 003"}
    sent = delivery(store, wanted, shown)
    for task in found["ann"]:
        made = sent.task(task, clip_of[task.uid])
        assert ("predictions" in made) == task.preannotated
        if task.preannotated:
            one, *unused = made["predictions"][0]["result"]
            assert [r["value"] for r in unused] == [{"choices": [UNUSED]}]
            assert task.questions[int(one["from_name"][-2:])] == ("label 7",)
            assert one["value"] == {"choices": ["1"]}


# What a push says in the end.


def said(store: Store, root: Path, config: PushConfig) -> str:
    console = Console(file=io.StringIO(), width=200)
    _report(console, config, Workspace(root))
    return console.file.getvalue()


def test_everybodys_pages_questions_and_gold_pages_are_counted(store, tmp_path):
    config = options("ann", "bob", gold_share=0.2)
    planned(store, clips(0, 8), config, grades(clips(0, 8), "label 3"))
    for project in store.projects():
        store.found_project(project, 40 + project.id, "http://s")
    at = "http://127.0.0.1:8080/projects"
    # Six pages of 19 labels, two of 18, and two gold ones of one.
    assert said(store, tmp_path, config).splitlines() == [
        f"  ann: 10 pages, 152 questions, 2 pages of gold: {at}/41/data?labeling=1",
        f"  bob: 10 pages, 152 questions, 2 pages of gold: {at}/42/data?labeling=1",
    ]


def test_names_are_shown_as_they_are(store, tmp_path):
    config = options("[/ann]", "[red]bob")
    planned(store, clips(0, 2), config)
    shown = said(store, tmp_path, config)
    assert "[/ann]" in shown
    assert "[red]bob" in shown
