"""The store: whole or as it was, and every version of every answer."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from annotation.store import Store
from annotation.tasks import Page, Project, Task

PAGE = Page("u1", "grading", "first", "c1", (("horse",), ('a "quoted" 👩‍👩‍👧 label',)))
PAIR_PAGE = Page("u2", "pairs", "first", "c1", (("a", "b"),), gold=True)


@pytest.fixture
def store(tmp_path: Path):
    store = Store(tmp_path / "annotation" / "store.sqlite")
    yield store
    store.close()


def counts(store: Store, project: Project) -> tuple[int, int]:
    """How many versions of annotations are kept, and how many annotations are gone."""
    rows = store._db.execute(
        "SELECT id, gone_at FROM annotations WHERE project = ?", (project.id,)
    ).fetchall()
    return len(rows), len({id for id, gone_at in rows if gone_at is not None})


def begun(store: Store, annotator: str = "ann", **other: object) -> Project:
    """An annotator's project."""
    asked = {"form": "grading", "round": "first", "guidelines": "1", "pictures": True}
    return store.project(annotator=annotator, server="http://s", **(asked | other))


def task(project: Project, page: Page = PAGE, place: int = 0) -> Task:
    return Task(
        project.id, page.uid, place, page.questions[::-1], (None,) * len(page.questions), None
    )


# What was asked.


def test_what_is_written_down_is_read_again_after_a_restart(store):
    project = begun(store)
    shown = Task(project.id, "u1", 0, PAGE.questions, (0, None), None)
    store.plan([PAGE, PAIR_PAGE], [shown, task(project, PAIR_PAGE, place=1)])
    store.add_gold({("c1", "horse"): 2})
    name = store.workspace_id
    store.close()
    again = Store(store.path)
    assert again.workspace_id == name
    assert again.projects() == [project]
    assert again.pages() == [PAGE, PAIR_PAGE]
    assert again.tasks(project) == [shown, task(project, PAIR_PAGE, place=1)]
    assert again.gold() == {("c1", "horse"): 2}
    again.close()


def test_each_workspace_has_a_name_of_its_own(tmp_path):
    stores = [Store(tmp_path / f"{i}.sqlite") for i in range(3)]
    names = {store.workspace_id for store in stores}
    assert len(names) == 3
    assert all(len(name) == 16 and set(name) <= set("0123456789abcdef") for name in names)
    for store in stores:
        store.close()


def test_a_project_is_begun_once(store):
    one = begun(store)
    assert begun(store) == one
    assert (one.on_server, one.seen) == (None, None)
    other = [
        begun(store, "bob"),
        begun(store, form="pairs"),
        begun(store, round="adjudication"),
        begun(store, guidelines="2"),
        begun(store, pictures=False),
    ]
    assert [p.id for p in store.projects()] == [one.id, *(p.id for p in other)]
    assert len({p.id for p in other} | {one.id}) == 6
    assert begun(store, pictures=False) == other[-1]


def test_what_the_server_calls_things_is_written_down(store):
    one, two = begun(store), begun(store, "bob")
    store.plan([PAGE, PAIR_PAGE], [task(p, page, i) for p in (one, two)
                                   for i, page in enumerate((PAGE, PAIR_PAGE))])  # fmt: skip
    store.found_project(two, 70, "http://moved")
    store.found_tasks(two, {"u1": 101, "u2": 102})
    first, second = store.projects()
    assert (first.on_server, second.on_server) == (None, 70)
    assert (first.server, second.server) == ("http://s", "http://moved")
    assert [t.on_server for t in store.tasks(one)] == [None, None]
    assert [t.on_server for t in store.tasks(two)] == [101, 102]


def test_further_tasks_of_the_same_page_are_written_down_once(store):
    one, two = begun(store), begun(store, "bob")
    for found in ({101: "u1", 102: "u1"}, {102: "u1", 103: "u2"}, {}):
        store.found_copies(two, found)
    assert store.copies(two) == {101: "u1", 102: "u1", 103: "u2"}
    assert store.copies(one) == {}


def test_tasks_come_in_their_places(store):
    project, pages = begun(store), [Page(f"u{i}", "grading", "first", "c", ()) for i in range(5)]
    places = [3, 0, 4, 1, 2]
    store.plan(pages, [task(project, *at) for at in zip(pages, places, strict=True)])
    assert [t.place for t in store.tasks(project)] == [0, 1, 2, 3, 4]
    assert [t.uid for t in store.tasks(project)] == ["u1", "u3", "u4", "u0", "u2"]


def test_a_right_grade_that_is_known_is_corrected_and_others_stay(store):
    store.add_gold({("c1", "horse"): 2, ("c1", "hill"): 0})
    store.add_gold({("c1", "horse"): 1, ("c2", "horse"): 1})
    assert store.gold() == {("c1", "horse"): 1, ("c1", "hill"): 0, ("c2", "horse"): 1}


def test_the_key_of_a_task_is_its_page_and_the_order_of_its_questions(store):
    """It is on servers that were pushed to before: a change of it is no small one."""
    one = Task(1, "u1", 0, (("horse",), ("hill",)), (None, None), None)
    turned = Task(1, "u1", 0, (("hill",), ("horse",)), (None, None), None)
    assert one.key == "u1-391db126"
    assert turned.key != one.key
    assert Task(2, "u1", 7, one.questions, (2, 1), 99).key == one.key
    assert Task(1, "u2", 0, (("a", "b"),), (None,), None).key != Task(
        1, "u2", 0, (("b", "a"),), (None,), None
    ).key  # fmt: skip


def test_the_key_is_the_same_after_a_restart(store):
    project = begun(store)
    store.plan([PAGE], [task(project)])
    (again,) = Store(store.path).tasks(project)
    assert again.key == task(project).key


def test_every_project_has_a_nonce_of_its_own(store):
    nonces = [begun(store, name).nonce for name in ("ann", "bob", "cleo")]
    assert len(set(nonces)) == 3
    assert all(len(nonce) == 16 and set(nonce) <= set("0123456789abcdef") for nonce in nonces)
    assert begun(store, "ann").nonce == nonces[0]


# What is taken back.


def test_what_was_planned_for_projects_that_were_never_made_is_taken_back(store):
    kept, made, other, mistyped = (
        begun(store, "ann"), begun(store, "bob"), begun(store, "bbo", form="pairs"),
        begun(store, "bbo"),
    )  # fmt: skip
    store.plan([PAGE, PAIR_PAGE], [task(p) for p in (kept, made, other, mistyped)])
    store.found_project(made, 7, "http://s")
    store.withdraw("grading", "first", but=[kept.id])
    assert [p.id for p in store.projects()] == [kept.id, made.id, other.id]
    assert store.pages() == [PAGE, PAIR_PAGE]
    assert [len(store.tasks(p)) for p in (kept, made, other, mistyped)] == [1, 1, 1, 0]


def test_who_is_forgotten_keeps_what_is_answered_in_every_project(store):
    """Of every version of the guidelines; and how many pages are free is told."""
    one, two, bob = begun(store), begun(store, guidelines="2"), begun(store, "bob")
    store.plan([PAGE, PAIR_PAGE], [task(one), task(one, PAIR_PAGE, 1), task(two), task(bob)])
    for project in (one, two, bob):
        store.found_project(project, 7, "http://s")
        store.found_tasks(project, {"u1": 100, "u2": 101})
    store.keep(one, [on_server(100, annotation(8, 1))], None)
    store.keep(bob, [on_server(101, annotation(8, 1))], None)
    assert store.forget("grading", "first", "ann") == 2
    assert [t.uid for t in store.tasks(one)] == ["u1"]
    assert store.tasks(two) == []
    assert [t.uid for t in store.tasks(bob)] == ["u1"]
    assert [p.closed for p in store.projects()] == [True, True, False]
    assert [raw["id"] for _, raw in store.annotations(one)] == [8]
    assert store.forget("grading", "first", "ann") == 0
    assert store.forget("grading", "first", "nobody") == 0


def test_who_is_forgotten_may_begin_anew(store):
    old = begun(store)
    store.forget("grading", "first", "ann")
    new = begun(store)
    assert (new.id == old.id, new.closed, new.nonce == old.nonce) == (False, False, False)
    assert begun(store) == new


@pytest.mark.parametrize("wrong", ["the same task twice", "a task of no page"])
def test_a_plan_is_written_down_whole_or_not_at_all(store, wrong):
    project = begun(store)
    one = task(project)
    other = one if wrong == "the same task twice" else Task(project.id, "u9", 1, (), (), None)
    with pytest.raises(sqlite3.IntegrityError):
        store.plan([PAGE, PAIR_PAGE], [one, other])
    assert store.pages() == []
    assert store.tasks(project) == []
    store.plan([PAGE], [one])
    assert store.tasks(project) == [one]


KILLED = """
import os, signal, sys
from pathlib import Path
from annotation.store import Store
from annotation.tasks import Page

store = Store(Path(sys.argv[1]))
store.add_gold({("c1", "kept"): 1})
with store.writing():
    for i in range(20_000):
        store._db.execute("INSERT INTO gold VALUES ('c1', ?, 2)", (f"lost {i}" * 50,))
    print("writing", flush=True)
    sys.stdin.read()
"""


def test_a_run_killed_within_a_transaction_leaves_nothing_of_it(tmp_path):
    """Twenty megabytes: more than is held in memory, so some of it is in the file already."""
    path = tmp_path / "store.sqlite"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"writing\n"
        assert path.stat().st_size > 2**20
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    store = Store(path)
    assert store.gold() == {("c1", "kept"): 1}
    store.add_gold({("c1", "after"): 0})
    assert store.gold() == {("c1", "kept"): 1, ("c1", "after"): 0}
    store.close()


def test_an_error_within_a_transaction_leaves_nothing_of_it(store):
    project = begun(store)
    with pytest.raises(KeyboardInterrupt), store.writing():
        store.found_project(project, 5, "http://s")
        raise KeyboardInterrupt
    assert store.projects()[0].on_server is None


# What was answered.


def annotation(id: int, second: int, answer: str = "2") -> dict:
    return {
        "id": id,
        "updated_at": f"2026-11-21T10:00:{second:02d}.123456Z",
        "result": [{"from_name": "answer_00", "value": {"choices": [answer]}}],
        "note": "“été” 👩‍👩‍👧",
    }


def on_server(id: int, *annotations: dict, second: int = 59) -> dict:
    """A task with all its annotations, as the server gives it."""
    at = f"2026-11-21T10:00:{second:02d}.654321Z"
    return {"id": id, "updated_at": at, "annotations": list(annotations)}


def test_annotations_come_back_as_they_came(store):
    project = begun(store)
    raw = annotation(8, 1)
    assert store.keep(project, [on_server(100, raw), on_server(101)], "2026-11-21") == 1
    assert store.annotations(project) == [(100, raw)]
    assert store.projects()[0].seen == "2026-11-21"


def test_the_same_annotations_are_kept_once(store):
    project = begun(store)
    found = [on_server(100, annotation(8, 1)), on_server(101, annotation(9, 1))]
    assert [store.keep(project, found, None) for _ in range(3)] == [2, 0, 0]
    assert counts(store, project) == (2, 0)
    assert store.projects()[0].seen is None


def test_every_version_is_kept_and_the_latest_counts(store):
    """In whatever order they come."""
    project = begun(store)
    versions = [annotation(8, 1, "0"), annotation(8, 3, "2"), annotation(8, 2, "1")]
    for raw in versions:
        assert store.keep(project, [on_server(100, raw)], None) == 1
    assert counts(store, project) == (3, 0)
    assert store.annotations(project) == [(100, versions[1])]
    assert store.keep(project, [on_server(100, versions[0])], None) == 0
    assert store.annotations(project) == [(100, versions[1])]


def test_annotations_come_in_the_order_of_their_ids(store):
    project = begun(store)
    store.keep(project, [on_server(100, annotation(30, 1), annotation(4, 2))], None)
    store.keep(project, [on_server(99, annotation(12, 3))], None)
    assert [(task, raw["id"]) for task, raw in store.annotations(project)] == [
        (100, 4), (99, 12), (100, 30),
    ]  # fmt: skip


def test_what_was_deleted_on_the_server_is_gone_and_still_kept(store):
    project = begun(store)
    store.keep(project, [on_server(100, annotation(8, 1), annotation(9, 1))], None)
    store.keep(project, [on_server(100, annotation(8, 2), annotation(9, 1))], None)
    store.keep(project, [on_server(101, annotation(10, 1))], None)
    assert store.keep(project, [on_server(100, annotation(9, 1))], None) == 0
    assert [raw["id"] for _, raw in store.annotations(project)] == [9, 10]
    assert counts(store, project) == (4, 1)
    store.keep(project, [on_server(100)], None)
    assert [raw["id"] for _, raw in store.annotations(project)] == [10]
    assert counts(store, project) == (4, 2)


def test_the_first_pull_that_missed_it_says_when_it_went(store):
    project = begun(store)
    store.keep(project, [on_server(100, annotation(8, 1))], None)
    for second in (10, 20):
        store.keep(project, [on_server(100, second=second)], None)
    store.forget_missing(project, set(), "2026-11-22")
    with sqlite3.connect(store.path) as db:
        (gone_at,) = db.execute("SELECT gone_at FROM annotations").fetchone()
    db.close()
    assert gone_at == on_server(100, second=10)["updated_at"]


def test_what_appears_again_is_not_gone(store):
    """In its latest version, although an earlier one was gone too."""
    project = begun(store)
    store.keep(project, [on_server(100, annotation(8, 1))], None)
    store.keep(project, [on_server(100, annotation(8, 2))], None)
    store.keep(project, [on_server(100)], None)
    assert store.annotations(project) == []
    assert store.keep(project, [on_server(100, annotation(8, 2))], None) == 0
    assert store.annotations(project) == [(100, annotation(8, 2))]
    assert counts(store, project) == (2, 0)


def test_projects_do_not_touch_each_others_annotations(store):
    """Two servers may give the same ids."""
    one, two = begun(store), begun(store, "bob")
    store.keep(one, [on_server(100, annotation(8, 1, "0"))], "a")
    store.keep(two, [on_server(100, annotation(8, 1, "2"))], "b")
    store.keep(two, [on_server(100)], None)
    assert store.annotations(one) == [(100, annotation(8, 1, "0"))]
    assert store.annotations(two) == []
    assert [p.seen for p in store.projects()] == ["a", "b"]


def test_annotations_of_tasks_that_are_no_more_are_gone(store):
    one, two = begun(store), begun(store, "bob")
    for project in (one, two):
        store.keep(project, [on_server(100, annotation(8, 1)), on_server(101, annotation(9, 1))],
                   None)  # fmt: skip
    store.forget_missing(one, {101, 555}, "2026-11-22")
    assert [raw["id"] for _, raw in store.annotations(one)] == [9]
    assert [raw["id"] for _, raw in store.annotations(two)] == [8, 9]
    store.forget_missing(one, set(), "2026-11-23")
    assert counts(store, one) == (2, 2)
    store.keep(one, [on_server(100, annotation(8, 1))], None)
    assert [raw["id"] for _, raw in store.annotations(one)] == [8]


def test_annotations_are_kept_whole_or_not_at_all(store):
    """One that is not as it should be keeps the others, and the mark of the last pull, out."""
    project = begun(store)
    store.keep(project, [on_server(100, annotation(8, 1))], "2026-11-21")
    with pytest.raises(KeyError):
        store.keep(project, [on_server(100), on_server(101, annotation(9, 1), {"id": 10})], "later")
    assert store.annotations(project) == [(100, annotation(8, 1))]
    assert counts(store, project) == (1, 0)
    assert store.projects()[0].seen == "2026-11-21"
