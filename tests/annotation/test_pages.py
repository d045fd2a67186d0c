"""What is asked: pairs of a clip's labels, and pages of what was not asked before."""

from collections import Counter
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.forms import FORMS, GRADING, PAIRS, SCREENING
from annotation.pages import (
    Question,
    chosen_clips,
    drawn,
    new_pages,
    page_uid,
    pairs,
    questions,
)
from annotation.tasks import Page

names = st.lists(st.text(min_size=1, max_size=3), unique=True, max_size=25)
seeds = st.integers(0, 5)


def connected(labels: list[str], compared: list[Question]) -> bool:
    """Whether every label can be reached from the first by way of pairs."""
    reached, before = set(labels[:1]), set()
    while reached != before:
        before = set(reached)
        for a, b in compared:
            if a in reached or b in reached:
                reached |= {a, b}
    return reached >= set(labels)


@given(names, seeds)
def test_as_many_pairs_as_labels_connect_all_of_them_and_compare_each_twice(labels, seed):
    ring = pairs("clip", labels, len(labels), seed)
    if len(labels) > 1:
        assert connected(labels, ring)
    if len(labels) > 2:
        assert Counter(label for pair in ring for label in pair) == dict.fromkeys(labels, 2)


@given(names, seeds)
def test_one_pair_less_than_labels_connects_them_too(labels, seed):
    assert connected(labels, pairs("clip", labels, max(len(labels) - 1, 0), seed))


@given(names, seeds, st.integers(1, 60))
def test_no_pair_comes_twice_or_is_of_other_labels(labels, seed, at_most):
    found = pairs("clip", labels, at_most, seed)
    possible = {tuple(sorted(pair)) for pair in combinations(labels, 2)}
    assert len(set(found)) == len(found) == min(at_most, len(possible))
    assert set(found) <= possible


@given(names, seeds, st.integers(1, 40), st.integers(1, 40))
def test_more_pairs_begin_with_the_fewer(labels, seed, some, more):
    many = pairs("clip", labels, some + more, seed)
    assert many[:some] == pairs("clip", labels, some, seed)


@given(st.permutations("abcdefgh"), seeds)
def test_pairs_do_not_depend_on_the_order_of_the_labels(labels, seed):
    assert pairs("clip", labels, 20, seed) == pairs("clip", sorted(labels), 20, seed)


def test_pairs_depend_on_the_clip_and_the_seed():
    labels = list("abcdefgh")
    one = pairs("clip", labels, 8, 0)
    assert one != pairs("clip", labels, 8, 1)
    assert one != pairs("other", labels, 8, 0)


def test_pairs_beyond_the_ring_are_drawn_from_all_labels():
    """Not in alphabetical order: over many clips each of the other pairs comes about as often."""
    labels, counted = list("abcdef"), Counter()
    for clip in range(300):
        counted.update(pairs(f"clip {clip}", labels, 9, seed=0))
    # 9 of 15 pairs: each in 180 of 300 clips, give or take 8.5.
    assert len(counted) == 15
    assert all(140 < number < 220 for number in counted.values()), counted


def test_pairs_beyond_the_ring_favour_no_label_of_a_clip():
    """Twelve of them, each of twelve labels in two on average, and never in all nine it can be."""
    labels = list("abcdefghijkl")
    for clip in range(50):
        beyond = pairs(f"clip {clip}", labels, 24, seed=0)[12:]
        assert max(Counter(label for pair in beyond for label in pair).values()) < 8


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([], []),
        (["x"], []),
        (["x", "x"], []),
        (["y", "x"], [("x", "y")]),
        (["z", "y", "x"], [("x", "y"), ("x", "z"), ("y", "z")]),
    ],
)
def test_pairs_of_few_labels(labels, expected):
    assert sorted(pairs("clip", labels, 20, seed=0)) == expected


@pytest.mark.parametrize("form", [GRADING, SCREENING])
def test_labels_are_asked_about_one_by_one(form):
    assert questions(form, "clip", ["b", "a"], 1, 0) == [("b",), ("a",)]
    assert questions(form, "clip", ["b", "a"], None, 0) == [("b",), ("a",)]
    assert questions(PAIRS, "clip", ["b", "a"], 1, 0) == [("a", "b")]


@given(names, seeds)
def test_without_a_number_there_are_as_many_pairs_as_labels(labels, seed):
    found = questions(PAIRS, "clip", labels, None, seed)
    assert found == pairs("clip", labels, len(labels), seed)
    assert len(found) == (len(labels) if len(labels) > 2 else max(len(labels) - 1, 0))
    assert questions(PAIRS, "clip", labels, 3, seed) == pairs("clip", labels, 3, seed)


@given(st.permutations([f"clip {i}" for i in range(12)]), st.integers(1, 15), seeds)
def test_clips_are_drawn_by_the_seed_and_a_larger_limit_only_adds(clip_ids, limit, seed):
    everything = chosen_clips(clip_ids, None, seed)
    assert sorted(everything) == sorted(clip_ids)
    assert chosen_clips(clip_ids, limit, seed) == everything[:limit]
    assert chosen_clips(sorted(clip_ids), limit, seed) == everything[:limit]


def test_clips_come_in_another_order_for_another_seed():
    clip_ids = [f"clip {i:02d}" for i in range(50)]
    orders = [chosen_clips(clip_ids, None, seed) for seed in range(3)]
    assert clip_ids not in orders
    assert len({tuple(order) for order in orders}) == 3


def test_a_clip_that_is_added_leaves_the_order_of_the_others():
    clip_ids = [f"clip {i:02d}" for i in range(50)]
    order = chosen_clips(clip_ids[1:], None, 0)
    assert [c for c in chosen_clips(clip_ids, None, 0) if c != clip_ids[0]] == order


def asked_of(form, number: int, clip: str = "clip") -> dict[str, list[Question]]:
    labels = [(f"label {i:02d}",) for i in range(number)]
    return {clip: [("a", label) for (label,) in labels] if form is PAIRS else labels}


@pytest.mark.parametrize(
    ("form", "number", "sizes"),
    [
        (GRADING, 0, []),
        (GRADING, 1, [1]),
        (GRADING, 20, [20]),
        (GRADING, 21, [10, 11]),
        (GRADING, 41, [13, 14, 14]),
        (PAIRS, 14, [14]),
        (PAIRS, 20, [10, 10]),
        (PAIRS, 45, [11, 11, 11, 12]),
    ],
)
def test_questions_are_spread_evenly_over_as_few_pages_as_hold_them(form, number, sizes):
    made = new_pages(form, "first", [], asked_of(form, number))
    assert [len(page.questions) for page in made] == sizes


wanted = st.dictionaries(
    st.sampled_from(["c1", "c2", "c3"]),
    st.lists(st.sampled_from([(f"label {i}",) for i in range(50)]), unique=True),
)


@given(wanted, wanted)
def test_each_question_is_asked_once_however_often_it_is_wanted(first, more):
    old = new_pages(GRADING, "first", [], first)
    new = new_pages(GRADING, "first", old, more)
    once = Counter((p.clip_id, q) for p in [*old, *new] for q in p.questions)
    assert set(once.values()) <= {1}
    assert set(once) == {(c, q) for some in (first, more) for c, asked in some.items()
                         for q in asked}  # fmt: skip
    uids = [page.uid for page in [*old, *new]]
    assert len(set(uids)) == len(uids)
    assert new_pages(GRADING, "first", [*old, *new], more) == []
    for page in [*old, *new]:
        assert 1 <= len(page.questions) <= GRADING.slots
        assert not page.gold


@given(st.permutations([(f"label {i}",) for i in range(45)]))
@settings(max_examples=20)
def test_pages_do_not_depend_on_the_order_of_the_candidates(order):
    in_order = new_pages(GRADING, "first", [], {"clip": sorted(order)})
    assert new_pages(GRADING, "first", [], {"clip": order}) == in_order


def test_which_labels_share_a_page_does_not_hang_on_where_they_stand():
    """Each two of 22 labels in two pages of 11: together in 10 of 21 clips, of 420 in 200."""
    together, labels = Counter(), [(f"label {i:02d}",) for i in range(22)]
    for clip in range(420):
        for page in new_pages(GRADING, "first", [], {f"clip {clip}": labels}):
            assert len(page.questions) == 11
            together.update(combinations(sorted(page.questions), 2))
    assert len(together) == 231
    # Give or take 10.2; the furthest of 231 lies some 3 of those from the mean.
    assert all(155 < number < 245 for number in together.values())


def test_more_labels_of_a_clip_are_pages_of_the_new_ones_alone():
    old = new_pages(GRADING, "first", [], asked_of(GRADING, 20))
    (page,) = new_pages(GRADING, "first", old, asked_of(GRADING, 23))
    assert sorted(page.questions) == [("label 20",), ("label 21",), ("label 22",)]
    assert (page.form, page.round, page.clip_id, page.gold) == ("grading", "first", "clip", False)


def test_other_rounds_forms_and_clips_ask_for_themselves():
    old = new_pages(GRADING, "first", [], asked_of(GRADING, 3))
    for form, round, clip in (
        (GRADING, "adjudication", "clip"),
        (SCREENING, "first", "clip"),
        (GRADING, "first", "other"),
    ):
        (page,) = new_pages(form, round, old, asked_of(form, 3, clip))
        assert len(page.questions) == 3
        assert page.uid != old[0].uid


def test_pages_of_gold_count_as_asked_like_others():
    old = [replace(p, gold=True) for p in new_pages(GRADING, "first", [], asked_of(GRADING, 6))]
    assert new_pages(GRADING, "first", old, asked_of(GRADING, 6)) == []


@given(st.permutations([(f"label {i}",) for i in range(6)]))
def test_a_pages_name_depends_on_what_is_asked_and_not_on_its_order(order):
    name = page_uid("grading", "first", "clip", order)
    assert name == page_uid("grading", "first", "clip", sorted(order))
    others = [
        page_uid("screening", "first", "clip", order),
        page_uid("grading", "adjudication", "clip", order),
        page_uid("grading", "first", "clip 2", order),
        page_uid("grading", "first", "clip", order[1:]),
    ]
    assert len({name, *others}) == 5


def test_a_pages_name_is_twenty_hexadecimal_digits():
    for page in new_pages(GRADING, "first", [], asked_of(GRADING, 100)):
        assert len(page.uid) == 20
        assert set(page.uid) <= set("0123456789abcdef")


def test_names_stay_the_same_between_versions():
    """Pages are found by them on servers that were pushed to before: a change is no small one."""
    asked = (("horse",), ("riding",))
    assert page_uid("grading", "first", "tt0000001_0000", asked) == "6f487232cd50ab74b0f1"
    assert drawn(0, "clip", "tt0000001_0000") == 1815263401227619648


def test_draws_tell_their_parts_apart():
    assert drawn("a", "bc") != drawn("ab", "c")
    assert drawn(1, "2") == drawn("1", 2)
    numbers = [drawn(seed, "x") for seed in range(1000)]
    assert len(set(numbers)) == 1000
    assert 0 <= min(numbers) < 2**60 < 2**63 < max(numbers) < 2**64


def test_a_page_holds_no_more_than_its_form_has_slots():
    for form in FORMS.values():
        made = new_pages(form, "first", [], asked_of(form, 100))
        assert max(len(page.questions) for page in made) <= form.slots
        assert all(isinstance(page, Page) for page in made)
