"""What a push writes down before it talks to a server: who is asked which page, and how."""

import io
from collections import Counter
from pathlib import Path

import pytest
from handing_out import FOUR, Wanted, clips, grades, of, options, planned, tasks
from rich.console import Console

from annotation.delivery import Delivery
from annotation.forms import FORMS, GRADING, PAIRS, UNUSED
from annotation.push import PushConfig, _report, _wanted
from annotation.results import answers
from annotation.store import Store
from annotation.tasks import ADJUDICATION, FIRST
from lrmovienet.workspace import Workspace


@pytest.fixture
def store(tmp_path: Path):
    store = Store(tmp_path / "annotation" / "store.sqlite")
    yield store
    store.close()


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
    planned(store, clips(0, 30, 6, "pairs"), options(form="pairs"), made=False)
    pages = {page.uid: page for page in store.pages()}
    for some in tasks(store).values():
        assert [task.place for task in some] == list(range(len(some)))
        for task in some:
            asked = sorted(tuple(sorted(pair)) for pair in task.questions)
            assert asked == sorted(pages[task.uid].questions)
            assert task.suggested == (None,) * len(task.questions)
            assert task.on_server is None


def test_planning_twice_adds_nothing(store):
    config, wanted = options(), clips(0, 40)
    gold = grades(clips(0, 10), "label 3")
    before = planned(store, wanted, config, gold), store.pages(), store.gold()
    assert (planned(store, wanted, config, gold), store.pages(), store.gold()) == before


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


def test_the_key_of_a_task_differs_where_its_order_does(store):
    """A task of somebody else's, or of another seed's order, must not be taken for this one."""
    found = planned(store, {**clips(0, 20), "one": [("label 0",)]}, options("ann", "bob"))
    of_uid = {task.uid: task for task in found["bob"]}
    for task in found["ann"]:
        same = of_uid[task.uid].questions == task.questions
        assert (of_uid[task.uid].key == task.key) == same
        assert same == (len(task.questions) == 1)
        assert task.key.startswith(f"{task.uid}-")
    assert len({task.key for some in found.values() for task in some}) == 2 * 20 + 1


# What is in other rounds and forms.


def test_rounds_and_forms_are_handed_out_for_themselves(store):
    """The same clips to the same people: loads and pages of one form say nothing of another."""
    planned(store, clips(0, 4), options("ann", "bob", overlap=1))
    planned(store, clips(0, 5, form="screening"), options("ann", form="screening", overlap=1))
    found = Counter((p.form, p.annotator) for p in store.projects() for _ in store.tasks(p))
    assert found == {("grading", "ann"): 2, ("grading", "bob"): 2, ("screening", "ann"): 5}


# Suggestions.


def delivery(store: Store, wanted: Wanted) -> Delivery:
    """What writes tasks as the server takes them; for that it asks no server."""
    rows = {clip: {"description": f"what happens in {clip}", "keyframes": []} for clip in wanted}
    return Delivery(Workspace(Path("w")), None, store, GRADING, rows, None)


def test_suggested_answers_stand_at_the_labels_that_they_are_for(store):
    """Although everybody sees the labels in another order."""
    wanted = clips(0, 6)
    shown = {(clip, f"label {i}"): (i + int(clip[-1])) % 3 for clip in wanted for i in range(19)}
    found = planned(store, wanted, options("ann", "bob"), shown=shown)
    sent, clip_of = delivery(store, wanted), {page.uid: page for page in store.pages()}
    for task in [*found["ann"], *found["bob"]]:
        page = clip_of[task.uid]
        expected = [shown[page.clip_id, label] for (label,) in task.questions]
        assert list(task.suggested) == expected
        made = sent.task(task, page)
        (prediction,) = made["predictions"]
        given, _ = answers(GRADING, prediction["result"], len(task.questions))
        assert [given[slot] for slot in range(19)] == [str(grade) for grade in expected]
        assert made["data"]["question_00"] == f"1. {task.questions[0][0]}"
        assert made["data"]["description"] == f"what happens in {page.clip_id}"
        assert made["data"]["lrm_uid"] == task.key


def test_labels_without_a_suggestion_are_not_marked_as_suggested(store):
    """Nor those beside them on the page; a suggested low (0) is a suggestion."""
    wanted = clips(0, 10)
    shown = {
        ("clip 003", "label 7"): 1,
        ("clip 003", "label 8"): 0,
        ("clip 005", "no candidate"): 2,
    }
    found = planned(store, wanted, options("ann", "bob"), shown=shown)
    clip_of = {page.uid: page for page in store.pages()}
    marked = {
        (clip_of[task.uid].clip_id, *asked): grade
        for task in found["ann"]
        for asked, grade in zip(task.questions, task.suggested, strict=True)
        if grade is not None
    }
    assert marked == {("clip 003", "label 7"): 1, ("clip 003", "label 8"): 0}


def test_only_pages_with_a_suggestion_are_sent_with_one(store):
    """With the answers of the slots that the page does not use, and of no other question."""
    wanted = clips(0, 10)
    found = planned(store, wanted, options("ann", "bob"), shown={("clip 003", "label 7"): 0})
    sent, clip_of = delivery(store, wanted), {page.uid: page for page in store.pages()}
    for task in found["ann"]:
        made = sent.task(task, clip_of[task.uid])
        assert ("predictions" in made) == (clip_of[task.uid].clip_id == "clip 003")
        if "predictions" in made:
            one, *unused = made["predictions"][0]["result"]
            assert [r["value"] for r in unused] == [{"choices": [UNUSED]}]
            assert [r["from_name"] for r in unused] == ["answer_19"]
            assert task.questions[int(one["from_name"][-2:])] == ("label 7",)
            assert one["value"] == {"choices": ["0"]}


def test_what_was_suggested_stays_as_it_was_and_later_people_see_the_later_suggestion(store):
    """What is written down is what was shown."""
    wanted = clips(0, 1)
    planned(store, wanted, options("ann", overlap=1), shown=grades(wanted, "label 0"))
    found = planned(
        store, wanted, options("ann", "bob"), shown={("clip 000", "label 0"): 1}
    )  # fmt: skip
    seen = {
        name: dict(zip(task.questions, task.suggested, strict=True))[("label 0",)]
        for name, (task,) in found.items()
    }
    assert seen == {"ann": 2, "bob": 1}


def test_pairs_have_no_suggestions(store):
    wanted = clips(0, 3, 4, PAIRS.name)
    shown = grades(wanted, *(f"label {i}" for i in range(4)))
    found = planned(store, wanted, options("ann", "bob", form="pairs"), shown=shown)
    assert {grade for some in found.values() for t in some for grade in t.suggested} == {None}


# What a push says in the end.


def said(store: Store, config: PushConfig, round: str = FIRST) -> list[str]:
    console = Console(file=io.StringIO(), width=200)
    _report(console, config, store, round)
    return console.file.getvalue().splitlines()


AT = "http://s/projects"


def test_everybodys_pages_questions_and_gold_pages_are_counted(store):
    config = options("ann", "bob", gold_share=0.2)
    planned(store, clips(0, 8), config, grades(clips(0, 8), "label 3"))
    # Eight pages of 19 labels, all asked of both; two of them are a fifth, or the nearest to it.
    assert said(store, config) == [
        f"  ann: 8 pages, 152 questions, 2 gold pages: {AT}/41/data?labeling=1",
        f"  bob: 8 pages, 152 questions, 2 gold pages: {AT}/42/data?labeling=1",
    ]


def test_only_what_is_on_the_server_is_counted(store):
    planned(store, clips(0, 8), options("ann", "bob"), made=False)
    assert said(store, options("ann", "bob")) == ["  there is nothing to ask"]
    store.found_project(of(store, "ann"), 7, "http://s")
    store.found_tasks(of(store, "ann"), {store.tasks(of(store, "ann"))[0].uid: 70})
    expected = [f"  ann: 1 pages, 19 questions: {AT}/7/data?labeling=1"]
    assert said(store, options("ann", "bob")) == expected
    assert said(store, options("ann", "bob"), ADJUDICATION) == ["  there is nothing to ask"]
    assert said(store, options("ann", form="pairs")) == ["  there is nothing to ask"]


# From a workspace's tables.


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
