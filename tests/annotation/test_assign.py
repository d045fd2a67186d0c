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
    """Of other pages, that is: what somebody was asked of these is counted too."""
    number, names, overlap, seed = task
    had = {name: data.draw(st.integers(0, 20)) for name in names}
    have = {f"other {i}": [n for n in names if had[n] > i] for i in range(20)}
    given = balanced(pages(number), names, overlap, seed, have)
    assert set(given) == {page.uid for page in pages(number)}
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


@given(tasks(), st.data())
def test_pages_are_topped_up_and_nobody_is_asked_twice(task, data):
    """Whoever had a page counts, those included who cannot be asked any more."""
    number, names, overlap, seed = task
    groups = st.lists(st.sampled_from([*names, "gone", "left"]), unique=True)
    have = {page.uid: data.draw(groups) for page in pages(number) if data.draw(st.booleans())}
    given = balanced(pages(number), names, overlap, seed, have)
    for page in pages(number):
        old, new = have.get(page.uid, []), given[page.uid]
        assert new == tuple(sorted(set(new) - set(old)))
        assert set(new) <= set(names)
        missing = max(overlap - len(old), 0)
        assert len(new) == min(missing, len(set(names) - set(old)))


def test_pages_that_have_enough_are_given_to_nobody():
    have = {"uid 0": ["ann", "bob"], "uid 1": ["ann", "gone", "left"]}
    assert balanced(pages(2), NAMES, 2, 0, have) == {"uid 0": (), "uid 1": ()}


def test_who_met_before_meets_others_first():
    """Ann and bob had ten pages together, cleo and dan ten: now each page has one of both."""
    have = {f"old {i}": ("ann", "bob") if i < 10 else ("cleo", "dan") for i in range(20)}
    given = balanced(pages(20), NAMES[:4], 2, 0, have)
    met = Counter(given.values())
    assert met[("ann", "bob")] == met[("cleo", "dan")] == 0
    assert sum(met.values()) == 20


def test_the_one_who_is_added_is_whom_those_before_met_least():
    """Ann and bob have had as many pages as cleo; ann met bob on all of hers."""
    have = {"old 0": ["ann", "bob"], "old 1": ["cleo"], "uid 0": ["ann"], "old 2": ["bob"]}
    have["old 3"] = ["cleo"]
    assert balanced(pages(1), ["ann", "bob", "cleo"], 2, 0, have) == {"uid 0": ("cleo",)}


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


def test_where_there_are_too_few_people_all_of_them_are_asked():
    assert balanced(pages(1), ["ann", "bob"], 3, 0) == {"uid 0": ("ann", "bob")}
    assert balanced(pages(1), ["ann", "bob"], 3, 0, {"uid 0": ["bob"]}) == {"uid 0": ("ann",)}
    assert balanced(pages(1), [], 2, 0) == {"uid 0": ()}


@pytest.mark.parametrize("people", [5, 6])
def test_meetings_are_balanced_over_many_small_calls(people):
    """300 pages, ten a call, two people each: 30 or 20 meetings of any two."""
    names, have = NAMES[:people], {}
    for first in range(0, 300, 10):
        have |= balanced(pages(300)[first : first + 10], names, 2, 0, have)
    met = Counter(have.values())
    mean = 300 / comb(people, 2)
    assert all(abs(met[pair] - mean) <= 3 for pair in combinations(names, 2)), met


@pytest.mark.parametrize(
    ("fresh", "overlap", "people", "share", "expected"),
    [
        (62, 2, 4, 0.5, 21),  # 21 and (62 - 21) / 2 = 20.5 ordinary ones each
        (62, 2, 4, 0.2, 7),  # 7 and 27.5: a fifth of 34.5
        (40, 4, 4, 0.2, 8),  # everybody is asked everything: 8 of 40
        (1000, 2, 3, 0.0, 0),
        (0, 2, 3, 0.05, 0),
    ],
)
def test_gold_pages_for_a_share_of_everybodys_pages(fresh, overlap, people, share, expected):
    assert gold_wanted(fresh, overlap, people, share) == expected


def test_what_people_have_already_counts():
    # 20 pages each, one of them gold; of 40 new ones (20 each, were none gold) one more.
    assert gold_wanted(40, 2, 4, 0.05, own=4 * 19, gold=1) == 1
    assert gold_wanted(40, 2, 4, 0.05, own=4 * 19, gold=5) == 0


@given(st.integers(0, 2000), st.data(), st.integers(0, 50))
def test_no_other_number_of_gold_pages_comes_nearer_to_the_share(fresh, data, percent):
    people = data.draw(st.integers(1, 8))
    overlap = data.draw(st.integers(1, people))
    own, gold = data.draw(st.integers(0, 500)), data.draw(st.integers(0, 20))

    def away(more: int) -> Fraction:
        """How many pages somebody's gold is off what the share asks for."""
        ordinary = Fraction(own + (fresh - more) * overlap, people)
        return abs(gold + more - Fraction(percent, 100) * (ordinary + gold + more))

    found = gold_wanted(fresh, overlap, people, percent / 100, own=own, gold=gold)
    assert 0 <= found <= fresh
    tolerance = Fraction(1, 10**9)
    assert all(
        away(found) <= away(other) + tolerance
        for other in (found - 1, found + 1)
        if 0 <= other <= fresh
    )


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
