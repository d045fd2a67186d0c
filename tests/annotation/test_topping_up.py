"""Further pushes: more clips, people and overlap, and people who leave."""

from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest
from handing_out import FOUR, answer, clips, deliver, of, options, planned, tasks, uids
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation import handout
from annotation.forms import GRADING
from annotation.pages import new_pages
from annotation.pull import current
from annotation.store import Store
from annotation.tasks import FIRST, Task

FIVE = [*FOUR, "eve"]


@pytest.fixture
def store(tmp_path: Path):
    store = Store(tmp_path / "annotation" / "store.sqlite")
    yield store
    store.close()


def asked(found: dict[str, list[Task]]) -> dict[str, list[str]]:
    """Page -> who is asked it, in alphabetical order."""
    people: dict[str, list[str]] = {}
    for name, some in sorted(found.items()):
        for task in some:
            people.setdefault(task.uid, []).append(name)
    return people


def test_more_clips_leave_what_was_asked_as_it_was(store):
    before, pages = planned(store, clips(0, 20), options()), store.pages()
    after = planned(store, clips(0, 50), options())
    assert store.pages()[: len(pages)] == pages
    for name in FOUR:
        assert after[name][: len(before[name])] == before[name]
        assert [task.place for task in after[name]] == list(range(25))


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


def test_a_larger_overlap_asks_further_people_of_what_was_given_out(store):
    """40 pages of two people each, then three: one more each, never somebody who has it."""
    before = planned(store, clips(0, 40), options())
    after = planned(store, clips(0, 40), options(overlap=3))
    for page, people in asked(before).items():
        assert set(people) < set(asked(after)[page])
    assert {len(people) for people in asked(after).values()} == {3}
    assert {name: len(some) for name, some in after.items()} == dict.fromkeys(FOUR, 30)
    for name in FOUR:
        assert after[name][:20] == before[name]
        assert [task.place for task in after[name]] == list(range(30))
    met = Counter(pair for people in asked(after).values() for pair in combinations(people, 2))
    # 120 meetings of six pairs.
    assert all(18 <= met[pair] <= 22 for pair in combinations(FOUR, 2)), met


def test_a_smaller_overlap_takes_nothing_back(store):
    before = planned(store, clips(0, 10), options(overlap=3))
    assert planned(store, clips(0, 10), options(overlap=1)) == before
    after = planned(store, clips(0, 14), options(overlap=1))
    assert Counter(len(people) for people in asked(after).values()) == {3: 10, 1: 4}


def test_a_person_added_gets_what_others_are_too_few_for(store):
    """One of two leaves before a page is answered: the third gets all of that person's pages."""
    planned(store, clips(0, 10), options("ann", "bob"))
    found = planned(store, clips(0, 10), options("ann", "cleo", forget=["bob"]))
    assert set(uids(found)["cleo"]) == set(uids(found)["ann"])
    assert (len(found["ann"]), found["bob"]) == (10, [])


def test_a_mistyped_name_of_a_push_that_stopped_is_withdrawn_by_the_next(store):
    planned(store, clips(0, 10), options("ann", "bbo"), made=False)
    assert len(tasks(store)["bbo"]) == 10
    found = planned(store, clips(0, 10), options("ann", "bob"))
    assert [project.annotator for project in store.projects()] == ["ann", "bob"]
    assert set(uids(found)["bob"]) == set(uids(found)["ann"])
    assert len(found["ann"]) == len(store.pages()) == 10


def test_what_is_on_the_server_is_not_withdrawn(store):
    """Not even a project without its tasks: somebody may have opened it."""
    before = planned(store, clips(0, 10), options("ann", "bob"), made=False)
    store.found_project(of(store, "bob"), 7, "http://s")
    assert planned(store, clips(0, 10), options("ann", "cleo"))["bob"] == before["bob"]


def test_other_forms_and_rounds_are_not_withdrawn(store):
    planned(store, clips(0, 3, form="screening"), options("zoe", form="screening", overlap=1),
            made=False)  # fmt: skip
    store.project("grading", "adjudication", "yan", "1", True, "http://s")
    planned(store, clips(0, 3), options("ann", "bob"))
    assert {p.annotator for p in store.projects()} == {"zoe", "yan", "ann", "bob"}
    assert len(tasks(store)["zoe"]) == 3


# Who leaves.


def forgotten(store: Store, *answered: int) -> dict[str, list[Task]]:
    """Bob answers some of ten pages (by place) and leaves; cleo comes."""
    planned(store, clips(0, 10), options("ann", "bob"))
    bob = of(store, "bob")
    answer(store, bob, *(1000 * bob.id + place for place in answered))
    return planned(store, clips(0, 10), options("ann", "cleo", forget=["bob"]))


def test_who_leaves_keeps_what_is_answered_and_others_are_asked_the_rest(store):
    found = forgotten(store, 0, 3, 4)
    assert [task.place for task in found["bob"]] == [0, 3, 4]
    assert len(found["cleo"]) == 7
    assert set(uids(found)["cleo"]).isdisjoint(uids(found)["bob"])
    assert {len(people) for people in asked(found).values()} == {2}
    assert [(p.annotator, p.closed) for p in store.projects()] == [
        ("ann", False), ("bob", True), ("cleo", False),
    ]  # fmt: skip
    assert len(store.annotations(store.projects()[1])) == 3


def test_who_is_forgotten_twice_loses_nothing_more(store):
    before = forgotten(store, 0, 3, 4)
    assert planned(store, clips(0, 10), options("ann", "cleo", forget=["bob"])) == before


def test_who_comes_back_is_not_asked_again_what_was_answered(store):
    before = forgotten(store, 0, 3, 4)
    old = set(uids(before)["bob"])
    found = planned(store, clips(0, 14), options("ann", "bob", "cleo", overlap=3))
    new = [task.uid for task in store.tasks(of(store, "bob"))]
    assert old.isdisjoint(new)
    assert len(new) == 14 - 3
    assert not of(store, "bob").closed
    assert max(Counter(uids(found)["bob"]).values()) == 1
    keys = [p.nonce for p in store.projects() if p.annotator == "bob"]
    assert len(set(keys)) == 2


def test_an_answer_that_was_deleted_on_the_server_is_none(store):
    planned(store, clips(0, 10), options("ann", "bob"))
    bob = of(store, "bob")
    answer(store, bob, 1000 * bob.id, 1000 * bob.id + 1)
    store.forget_missing(bob, {1000 * bob.id}, "2026-11-22")
    found = planned(store, clips(0, 10), options("ann", "cleo", forget=["bob"]))
    assert [task.place for task in found["bob"]] == [0]
    assert len(found["cleo"]) == 9


def test_what_was_answered_on_a_copy_of_a_task_is_answered(store):
    """A request that was done twice shows a page as two tasks; the answer may be on the later."""
    planned(store, clips(0, 10), options("ann", "bob"))
    bob = of(store, "bob")
    first, second, *_ = store.tasks(bob)
    store.found_copies(bob, {9000: first.uid, 9001: second.uid})
    answer(store, bob, 9000)
    found = planned(store, clips(0, 10), options("ann", "cleo", forget=["bob"]))
    assert uids(found)["bob"] == [first.uid]
    assert first.uid not in uids(found)["cleo"]


def test_a_page_that_was_skipped_is_asked_of_others(store):
    """Nothing is made of it, so it is as if it had not been answered."""
    planned(store, clips(0, 10), options("ann", "bob"))
    bob = of(store, "bob")
    answer(store, bob, 1000 * bob.id, was_cancelled=True)
    assert current(store, "grading")[0] == []
    found = planned(store, clips(0, 10), options("ann", "cleo", forget=["bob"]))
    assert found["bob"] == []
    assert len(found["cleo"]) == 10


def test_only_the_form_and_round_of_the_push_are_forgotten(store):
    planned(store, clips(0, 3, form="screening"), options("bob", form="screening", overlap=1))
    planned(store, clips(0, 3), options("ann", "bob"))
    assert store.forget("grading", FIRST, "bob") == 3
    assert [len(store.tasks(p)) for p in store.projects()] == [3, 3, 0]
    assert [p.closed for p in store.projects()] == [False, False, True]


# Small pushes.


def test_any_two_meet_as_often_in_many_small_pushes_as_in_one(store):
    """300 pages in 30 pushes, five people, two a page: ten pairs of people, near 30 each."""
    for number in range(1, 31):
        found = planned(store, clips(0, 10 * number, labels=1), options(*FIVE), made=False)
        each = [len(some) for some in found.values()]
        assert max(each) - min(each) <= 1
    met = Counter(tuple(people) for people in asked(found).values())
    assert set(met) == set(combinations(FIVE, 2))
    assert all(27 <= number <= 33 for number in met.values()), met


def test_pushes_of_one_page_are_as_balanced(store):
    """60 pages one by one: the first of every push is nobody's by rule."""
    for number in range(1, 61):
        found = planned(store, clips(0, number, labels=1), options(), made=False)
    assert {len(some) for some in found.values()} == {30}
    met = Counter(tuple(people) for people in asked(found).values())
    assert all(8 <= met[pair] <= 12 for pair in combinations(FOUR, 2)), met


pushes = st.lists(
    st.tuples(
        st.integers(0, 8), st.lists(st.sampled_from(FIVE), unique=True, min_size=1),
        st.integers(1, 5), st.booleans(),
    ),
    min_size=1, max_size=4,
)  # fmt: skip


@given(pushes)
@settings(max_examples=12, deadline=None)
def test_whatever_is_pushed_nobody_is_asked_twice_and_no_page_of_too_few(tmp_path_factory, steps):
    """As far as people who were named suffice: the last push tops up all pages."""
    store = Store(tmp_path_factory.mktemp("pushes") / "store.sqlite")
    wanted = 0
    for more, names, overlap, made in steps:
        wanted += more
        overlap = min(overlap, len(names))
        before = asked(tasks(store))
        stay = {p.annotator for p in store.projects() if p.on_server is not None} | set(names)
        found = planned(
            store, clips(0, wanted, labels=2), options(*names, overlap=overlap), made=made
        )
        people = asked(found)
        assert len(store.pages()) == wanted == len(people)
        for page, who in people.items():
            assert len(set(who)) == len(who) >= overlap
            assert {name for name in before.get(page, ()) if name in stay} <= set(who)
        for some in found.values():
            assert len({task.place for task in some}) == len(some)
    store.close()


def test_a_project_of_newer_guidelines_is_not_asked_again_what_the_older_asked(store):
    planned(store, clips(0, 6), options("ann", "bob"))
    people = [store.project("grading", FIRST, n, "2", True, "http://s") for n in ("ann", "bob")]
    fresh = new_pages(GRADING, FIRST, store.pages(), clips(0, 9))
    handout.hand_out(store, people, fresh, 2, 0, {})
    for project in people:
        deliver(store, project)
        assert [task.place for task in store.tasks(project)] == [0, 1, 2]
    found = tasks(store)
    assert {name: len(set(uids(found)[name])) for name in found} == {"ann": 9, "bob": 9}
