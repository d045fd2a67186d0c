"""Gold: whole clips whose right grades are known, asked of everybody and told to nobody."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from handing_out import FOUR, Grades, clips, gold_uids, grades, options, planned, tasks, uids

from annotation.delivery import Delivery, LocalFiles
from annotation.forms import GRADING
from annotation.store import Store
from annotation.tasks import Task
from lrmovienet.workspace import Workspace


@pytest.fixture
def store(tmp_path: Path):
    store = Store(tmp_path / "annotation" / "store.sqlite")
    yield store
    store.close()


def shares(store: Store, found: dict[str, list[Task]]) -> dict[str, float]:
    """Annotator -> share of gold pages among all of that annotator's."""
    known = gold_uids(store)
    return {name: sum(t.uid in known for t in some) / len(some) for name, some in found.items()}


# How much.


def test_a_twentieth_of_everybodys_pages_is_gold_and_the_same_for_all(store):
    """195 clips, two of four people each: with five gold ones 95 ordinary pages each."""
    found = planned(store, clips(0, 195), options(), grades(clips(0, 60), "label 3", "label 4"))
    gold = gold_uids(store)
    assert len(gold) == 5
    for some in found.values():
        assert len(some) == 100
        assert gold <= {task.uid for task in some}


@pytest.mark.parametrize(
    ("share", "clips_known", "expected"),
    [
        (0, 62, 0),
        (0.05, 62, 2),  # 2 of 2 + 30
        (0.2, 62, 7),  # 7 of 7 + 27.5
        (0.5, 62, 21),  # 21 of 21 + 20.5
        (0.5, 9, 9),  # all there is
    ],
)
def test_gold_is_as_much_as_was_asked_for_or_all_there_is(store, share, clips_known, expected):
    """62 clips; what is gold is asked of four, and what is not of two."""
    gold = grades(clips(0, clips_known), "label 0")
    found = planned(store, clips(0, 62), options(gold_share=share), gold)
    assert len(gold_uids(store)) == expected
    for some in found.values():
        assert sum(task.uid in gold_uids(store) for task in some) == expected
        assert len(some) - expected in ((62 - expected) // 2, (63 - expected) // 2)


def test_clips_of_several_pages_are_no_more_gold_than_others(store):
    """45 labels are three pages a clip: the share is of pages, and met to the clip."""
    found = planned(store, clips(0, 130, labels=45), options(), grades(clips(0, 60), "label 3"))
    of_clip = Counter(page.clip_id for page in store.pages() if page.gold)
    assert set(of_clip.values()) == {3}
    # 390 pages: ten gold ones are a twentieth of everybody's 200, twelve of 201.
    assert len(of_clip) in (3, 4)
    assert shares(store, found) == pytest.approx(dict.fromkeys(FOUR, 0.05), abs=0.012)


def test_where_everybody_is_asked_everything_gold_takes_nobodys_time(store):
    """One of twenty clips is gold, and nobody has more pages than there are."""
    found = planned(store, clips(0, 20), options(overlap=4), grades(clips(0, 20), "label 0"))
    assert len(gold_uids(store)) == 1
    assert {len(some) for some in found.values()} == {20}


# Whole clips.


@pytest.mark.parametrize("labels", [1, 19, 20, 21, 45])
def test_gold_pages_are_as_large_as_those_of_other_clips(store, labels):
    """However few of a clip's labels are known."""
    planned(store, clips(0, 60, labels), options(gold_share=0.2), grades(clips(0, 60), "label 0"))
    sizes: dict[bool, dict[str, list[int]]] = {True: {}, False: {}}
    for page in store.pages():
        sizes[page.gold].setdefault(page.clip_id, []).append(len(page.questions))
    assert sizes[True].keys().isdisjoint(sizes[False])
    kinds = [{tuple(sorted(some)) for some in sizes[gold].values()} for gold in (True, False)]
    assert kinds[0] == kinds[1]
    assert len(kinds[0]) == 1


def test_every_question_is_asked_on_one_page(store):
    wanted, gold = clips(0, 80), grades(clips(0, 10), "label 3", "label 4")
    planned(store, wanted, options(), gold)
    asked = Counter((page.clip_id, *q) for page in store.pages() for q in page.questions)
    assert asked == Counter({(clip, *q): 1 for clip, some in wanted.items() for q in some})


def test_the_known_labels_of_gold_clips_alone_are_tested(store):
    """Of ten clips with known grades two make up the share; the others are asked like all."""
    gold = grades(clips(0, 10), "label 3", "label 4") | {("clip 000", "no candidate"): 2}
    planned(store, clips(0, 80), options(), gold)
    chosen = {page.clip_id for page in store.pages() if page.gold}
    assert len(chosen) == 2
    assert store.gold() == {(clip, f"label {i}"): 2 for clip in chosen for i in (3, 4)}


def test_clips_without_a_known_label_are_never_gold(store):
    known = clips(0, 3)
    gold = grades(known, "label 3") | grades(clips(3, 40), "no candidate")
    planned(store, clips(0, 40), options(gold_share=0.5), gold)
    assert {page.clip_id for page in store.pages() if page.gold} == set(known)


def test_gold_is_drawn_by_the_seed(tmp_path):
    chosen = []
    for seed in (0, 1, 0):
        store = Store(tmp_path / f"{len(chosen)}.sqlite")
        planned(store, clips(0, 195), options(seed=seed), grades(clips(0, 195), "label 3"))
        chosen.append(gold_uids(store))
        store.close()
    assert chosen[0] == chosen[2] != chosen[1]


# Later.


def test_more_clips_bring_more_gold(store):
    gold = grades(clips(0, 195), "label 3")
    planned(store, clips(0, 78), options(), gold)
    first = gold_uids(store)
    found = planned(store, clips(0, 195), options(), gold)
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
    assert shares(store, found) == pytest.approx(dict.fromkeys(FOUR, 0.05), abs=0.012)
    for name in later:
        assert gold_uids(store) <= set(uids(found)[name])


def test_who_comes_later_is_asked_gold_of_a_push_without_the_option(store):
    """It is known to the store."""
    planned(store, clips(0, 95), options("ann", "bob"), grades(clips(0, 95), "label 3"))
    found = planned(store, clips(0, 190), options("cleo", "dan"))
    known = gold_uids(store)
    assert len(known) == 5
    assert known <= set(uids(found)["cleo"]) & set(uids(found)["dan"])
    assert shares(store, found) == pytest.approx(dict.fromkeys(FOUR, 0.05), abs=0.012)


def test_the_share_holds_over_many_small_pushes(store):
    """Twenty of ten clips: gold comes when it is due, and not in each of them."""
    gold = grades(clips(0, 200), "label 1")
    for number in range(1, 21):
        found = planned(store, clips(0, 10 * number, 2), options(), gold, made=False)
        due = 5 * 10 * number * 0.05 / 0.975 / 2 / 5  # s n o / p / (1 - s + s o / p)
        assert abs(len(gold_uids(store)) - due) <= 1
    assert shares(store, found) == pytest.approx(dict.fromkeys(FOUR, 0.05), abs=0.01)


def test_gold_that_is_given_late_is_hidden_among_what_is_new(store):
    """What was asked before is never made gold: its clips' further pages would be smaller."""
    planned(store, clips(0, 100), options())
    before = tasks(store), store.pages()
    gold = grades(clips(0, 200), "label 3", "label 20")
    assert planned(store, clips(0, 100), options(), gold) == before[0]
    assert (gold_uids(store), store.gold()) == (set(), {})
    found = planned(store, clips(0, 200, labels=22), options(), gold)
    assert store.pages()[: len(before[1])] == before[1]
    chosen = {page.clip_id for page in store.pages() if page.gold}
    assert chosen < set(clips(100, 200))
    assert chosen == {clip for clip, _ in store.gold()}
    assert shares(store, found) == pytest.approx(dict.fromkeys(FOUR, 0.05), abs=0.012)


def test_further_labels_of_a_gold_clip_are_ordinary(store):
    """The clip was asked before; its new labels are not what people are tested by."""
    gold = grades(clips(0, 1), "label 3")
    planned(store, clips(0, 2), options("ann", "bob", gold_share=0.5), gold)
    later = gold | grades(clips(0, 1), "label 20")
    wanted = clips(0, 1, labels=21) | clips(1, 10)
    planned(store, wanted, options("ann", "bob", gold_share=0.5), later)
    sizes = [(page.gold, len(page.questions)) for page in store.pages()]
    assert sizes == [(True, 19), (False, 19), (False, 2), *[(False, 19)] * 8]
    assert store.gold() == gold


def test_gold_that_was_wrong_is_corrected_without_a_new_page(store):
    gold = grades(clips(0, 195), "label 3", "label 4")
    found = planned(store, clips(0, 195), options(), gold)
    before, pages = store.gold(), store.pages()
    (clip, label), *others = sorted(before)
    assert planned(store, clips(0, 195), options(), {(clip, label): 0}) == found
    assert store.gold() == before | {(clip, label): 0}
    assert set(others) == set(before) - {(clip, label)}
    assert store.pages() == pages


# Nobody is told.


def test_gold_pages_lie_anywhere_among_the_others(store):
    """Not first or last: their mean place is near the middle, give or take four of 100."""
    gold = grades(clips(0, 60), "label 3")
    found = planned(store, clips(0, 150), options(gold_share=0.4), gold)
    known, places = gold_uids(store), []
    for some in found.values():
        places += [task.place / (len(some) - 1) for task in some if task.uid in known]
    assert len(places) == 4 * len(known) > 120
    assert 0.42 < sum(places) / len(places) < 0.58
    assert min(places) < 0.05 < 0.95 < max(places)
    orders = {tuple(t.uid for t in some if t.uid in known) for some in found.values()}
    assert len(orders) == len(FOUR), "gold comes in another order for everybody"


def sent(store: Store, wanted: object) -> Delivery:
    """What writes tasks as the server takes them; for that it asks no server."""
    rows = {
        clip: {
            "description": f"what happens in {clip}",
            "keyframes": [{"ref": f"tt0000001/shot_{i:04d}_img_0.jpg", "sha256": f"{i:064x}"}],
        }
        for i, clip in enumerate(wanted)
    }
    return Delivery(Workspace(Path("w")), None, store, GRADING, rows, LocalFiles(Path("files")))


@pytest.mark.parametrize("suggested", [False, True])
def test_nothing_that_annotators_are_sent_says_what_is_gold(store, suggested):
    """Told by the names of what is sent, and by a flag that changes nothing of it."""
    wanted, gold = clips(0, 60), grades(clips(0, 60), "label 3", "label 4")
    shown: Grades = grades(wanted, *(f"label {i}" for i in range(15))) if suggested else {}
    found = planned(store, wanted, options(gold_share=0.2), gold, shown)
    delivery, pages = sent(store, wanted), {page.uid: page for page in store.pages()}
    shapes: dict[bool, set] = {True: set(), False: set()}
    for task in found["ann"]:
        page = pages[task.uid]
        made = delivery.task(task, page)
        hints = made["predictions"][0]["result"] if suggested else ()
        shapes[page.gold].add((tuple(made), tuple(made["data"]), len(hints)))
        assert made == delivery.task(task, replace(page, gold=not page.gold))
    assert shapes[True] == shapes[False]
    assert len(shapes[True]) == 1


def test_pages_have_the_same_names_and_orders_whether_they_are_gold_or_not(tmp_path):
    seen = []
    for gold in ({}, grades(clips(0, 40), "label 3")):
        store = Store(tmp_path / f"{len(seen)}.sqlite")
        found = planned(store, clips(0, 40), options(overlap=4, gold_share=0.2), gold)
        seen.append({n: [(t.key, t.place, t.questions) for t in some] for n, some in found.items()})
        assert len(gold_uids(store)) == (8 if gold else 0)
        store.close()
    assert seen[0] == seen[1]


def test_suggestions_on_gold_are_the_suggested_grades_and_not_the_right_ones(store):
    wanted = clips(0, 40)
    shown = {(clip, f"label {i}"): i % 2 for clip in wanted for i in range(19)}
    found = planned(store, wanted, options(gold_share=0.2), grades(wanted, "label 3"), shown)
    for task in found["ann"]:
        assert list(task.suggested) == [int(label[6:]) % 2 for (label,) in task.questions]
