"""Who is asked what, and in which order."""

from collections import Counter
from fractions import Fraction
from itertools import combinations
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.assign import balanced, gold_wanted, shuffled
from annotation.tasks import Page
from lrmovienet.errors import UserError

NAMES = ["ann", "bob", "cleo", "dan", "eve", "fay", "gus", "hal"]


def pages(number: int, *questions: tuple[str, ...]) -> list[Page]:
    return [
        Page(f"uid {i}", "grading", "first", f"clip {i}", questions or (("horse",),))
        for i in range(number)
    ]


def loads(given: dict[str, tuple[str, ...]], names: list[str]) -> dict[str, int]:
    counted = Counter(name for group in given.values() for name in group)
    return {name: counted[name] for name in names}


@st.composite
def tasks(draw):
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    return draw(st.integers(0, 60)), names, draw(st.integers(1, len(names))), draw(st.integers(0))


@given(tasks())
def test_each_page_goes_to_so_many_people_and_all_get_as_many(task):
    number, names, overlap, seed = task
    given = balanced(pages(number), names, overlap, seed)
    assert set(given) == {page.uid for page in pages(number)}
    assert all(len(set(group)) == len(group) == overlap for group in given.values())
    each = loads(given, names)
    assert sum(each.values()) == number * overlap
    assert max(each.values()) - min(each.values()) <= 1


@given(tasks(), st.data())
def test_those_who_had_less_get_more_until_all_have_as_many(task, data):
    number, names, overlap, seed = task
    had = {name: data.draw(st.integers(0, 20)) for name in names}
    given = balanced(pages(number), names, overlap, seed, had)
    each = loads(given, names)
    assert sum(each.values()) == number * overlap
    assert max(each.values()) <= number
    total = {name: had[name] + each[name] for name in names}
    for one in names:
        for other in names:
            # Nobody gets a page while somebody who could have it has two fewer.
            if each[one] and each[other] < number:
                assert total[one] - total[other] <= 1
    before = max(had.values()) - min(had.values())
    assert max(total.values()) - min(total.values()) <= max(before, 1)


@given(tasks(), st.randoms(use_true_random=False))
def test_the_order_in_which_pages_and_people_are_named_does_not_matter(task, random):
    number, names, overlap, seed = task
    shuffled_pages, shuffled_names = pages(number), list(names)
    random.shuffle(shuffled_pages)
    random.shuffle(shuffled_names)
    given = balanced(pages(number), names, overlap, seed)
    assert balanced(shuffled_pages, shuffled_names, overlap, seed) == given


def test_another_seed_makes_other_groups():
    given = [balanced(pages(30), NAMES, 2, seed) for seed in range(3)]
    assert given[0] != given[1] != given[2] != given[0]


def test_four_people_in_twos_meet_each_other_equally_often():
    given = balanced(pages(60), NAMES[:4], 2, seed=0)
    assert Counter(given.values()) == dict.fromkeys(combinations(NAMES[:4], 2), 10)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("people", "overlap"), [(3, 2), (4, 3), (5, 2), (5, 3), (6, 2), (6, 4), (7, 3), (8, 2), (8, 4)]
)
def test_each_two_meet_nearly_as_often_as_each_other_two(people, overlap, seed):
    """Within two of the mean, where groups drawn at random lie up to twelve from it."""
    given = balanced(pages(120), NAMES[:people], overlap, seed)
    met = Counter(pair for group in given.values() for pair in combinations(group, 2))
    mean = 120 * comb(overlap, 2) / comb(people, 2)
    assert len(met) == comb(people, 2)
    assert all(abs(number - mean) <= 2 for number in met.values()), met


@given(st.integers(2, 8), st.integers(0, 3))
def test_everybody_is_asked_everything_where_all_are_wanted(people, seed):
    given = balanced(pages(7), NAMES[:people], people, seed)
    assert set(given.values()) == {tuple(sorted(NAMES[:people]))}


def test_more_overlap_than_people_is_refused():
    with pytest.raises(UserError, match="--overlap 3: there are 2 annotators"):
        balanced(pages(1), ["ann", "bob"], 3, 0)


@pytest.mark.parametrize(
    ("ordinary", "share", "expected"),
    [
        (95, 0.05, 5),
        (19, 0.05, 1),
        (9, 0.05, 0),  # 0.47
        (10, 0.05, 1),  # 0.53
        (0, 0.05, 0),
        (1000, 0, 0),
        (30, 0.25, 10),
        (10, 0.5, 10),
    ],
)
def test_gold_pages_for_a_share_of_all_pages(ordinary, share, expected):
    assert gold_wanted(ordinary, share) == expected


@given(st.integers(0, 10_000), st.integers(0, 50))
def test_no_other_number_of_gold_pages_comes_nearer_to_the_share(ordinary, percent):
    """Of all pages, gold ones counted, not of the ordinary ones."""
    gold = gold_wanted(ordinary, percent / 100)
    exact = ordinary * Fraction(percent, 100 - percent)
    assert abs(gold - exact) <= Fraction(1, 2) + Fraction(1, 10**9)


LABELS = tuple((f"label {i}",) for i in range(10))
TWOS = tuple((f"a {i}", f"b {i}") for i in range(10))


@given(st.sampled_from(NAMES), st.integers(0, 1000))
def test_everybody_sees_all_questions_of_a_page_once(name, seed):
    (page,) = pages(1, *LABELS)
    assert sorted(shuffled(page, name, seed)) == sorted(LABELS)
    (page,) = pages(1, *TWOS)
    assert sorted(tuple(sorted(pair)) for pair in shuffled(page, name, seed)) == sorted(TWOS)


def test_a_page_looks_the_same_to_one_person_however_its_questions_were_ordered():
    (page,), (turned,) = pages(1, *TWOS), pages(1, *reversed(TWOS))
    assert shuffled(page, "ann", 0) == shuffled(turned, "ann", 0)


def test_everybody_has_an_order_of_their_own():
    (page,) = pages(1, *LABELS)
    assert len({shuffled(page, name, 0) for name in NAMES}) == len(NAMES)
    assert shuffled(page, "ann", 0) != shuffled(page, "ann", 1)
    assert len({shuffled(page, "ann", 0) for page in pages(8, *LABELS)}) == 8


def test_no_place_is_any_questions():
    """Each of 10 questions at each of 10 places in about 80 of 800 orders, give or take 8.5."""
    counted = Counter(
        (place, question)
        for name in NAMES
        for page in pages(100, *LABELS)
        for place, question in enumerate(shuffled(page, name, 0))
    )
    assert len(counted) == 100
    assert all(45 < number < 115 for number in counted.values()), counted


def test_pairs_are_swapped_for_half_and_for_each_person_anew():
    """Of 1,000 pairs 500, give or take 16; and as many where two people see the same side."""
    seen = {
        name: {
            (page.uid, *sorted(pair)): pair[0].startswith("b")
            for page in pages(100, *TWOS)
            for pair in shuffled(page, name, 0)
        }
        for name in ("ann", "bob")
    }
    swapped, other = (list(seen[name].values()) for name in ("ann", "bob"))
    same = sum(seen["bob"][key] == value for key, value in seen["ann"].items())
    assert [420 < n < 580 for n in (sum(swapped), sum(other), same)] == [True] * 3


def test_where_a_pair_stands_does_not_tell_whether_it_is_swapped():
    """Swapped pairs in each of the ten places: 80 of 160, give or take 6.3."""
    at = Counter(
        place
        for name in NAMES
        for page in pages(20, *TWOS)
        for place, pair in enumerate(shuffled(page, name, 0))
        if pair[0].startswith("b")
    )
    assert all(50 < at[place] < 110 for place in range(10)), at
