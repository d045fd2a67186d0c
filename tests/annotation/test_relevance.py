"""Ratings to one grade: tie rules by hand, the last word, and annotators whose errors are known."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from annotation.relevance import ADJUDICATION, dawid_skene, last_words, relevance

# What crowd-kit calls with words that pandas is going to drop.
pytestmark = pytest.mark.filterwarnings("ignore:The (inplace|copy) keyword")

METHODS = ("median", "majority", "dawid-skene")


def rated(*grades: int, label: str = "dog", project: str = "grading") -> list[dict]:
    name = "judge" if project == ADJUDICATION else "a"
    return [
        {"clip_id": "c", "label": label, "annotator": f"{name}{i}", "grade": g, "project": project}
        for i, g in enumerate(grades)
    ]


def last_word(*grades: int, label: str = "dog") -> list[dict]:
    return rated(*grades, label=label, project=ADJUDICATION)


@pytest.mark.parametrize(
    ("grades", "median", "majority"),
    [
        ((2,), 2, 2),
        ((0, 2), 0, 0),  # even: the lower of the two middle ones, not their mean
        ((1, 2), 1, 1),
        ((2, 1), 1, 1),
        ((0, 2, 2), 2, 2),
        ((0, 0, 2), 0, 0),  # the mean would round to 1
        ((0, 1, 2), 1, 0),  # here the two differ: all have one vote, the lowest wins
        ((0, 1, 2, 2), 1, 2),
        ((1, 1, 2, 2), 1, 1),
        ((2, 2, 1, 1, 0), 1, 1),
        ((0, 0, 1, 2, 2), 1, 0),
        ((0, 0, 0, 2, 2, 2), 0, 0),
    ],
)
def test_of_two_grades_as_good_the_lower_counts(grades, median, majority):
    for method, expected in (("median", median), ("majority", majority)):
        found = relevance(rated(*grades), method=method)
        assert found["grade"] == [expected]
        assert found["spread"] == [max(grades) - min(grades)]
        assert found["n_ratings"] == [len(grades)]
        assert found["method"] == [f"{method}-low"]


@pytest.mark.parametrize(
    ("grades", "grade"), [((2,), 2), ((1, 2), 1), ((2, 0), 0), ((0, 1, 2), 0), ((2, 1), 1)]
)
def test_dawid_skene_of_a_single_label_goes_by_votes(grades, grade):
    """Nothing is known of anybody: probabilities are the votes' shares."""
    found = relevance(rated(*grades), method="dawid-skene")
    assert (found["grade"], found["method"]) == ([grade], ["dawid-skene"])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("said", "grade", "spread", "n"),
    [
        (rated(0, 0, 2) + last_word(2), 2, 2, 4),
        (rated(2, 2, 2) + last_word(0), 0, 0, 4),  # the spread is that of the first round
        (rated(0, 0, 0) + last_word(2), 2, 0, 4),
        (last_word(1) + rated(0, 2), 1, 2, 3),
        (rated(0, 2) + last_word(1, 2), 1, 2, 4),  # two adjudicators: the lower middle
        (last_word(2), 2, 0, 1),
    ],
)
def test_an_adjudicator_has_the_last_word(method, said, grade, spread, n):
    found = relevance(said, method=method)
    assert (found["grade"], found["spread"], found["n_ratings"]) == ([grade], [spread], [n])
    assert found["method"] == ["adjudicated"]


@pytest.mark.parametrize(
    ("said", "word"),
    [((2,), 2), ((1, 2), 1), ((2, 1), 1), ((0, 2), 0), ((2, 0, 2), 2), ((2, 2, 0, 1), 1)],
)
def test_of_several_last_words_the_lower_middle_one_counts(said, word):
    """Of four the middle ones are 1 and 2. What the first round says has no part in it."""
    both = last_word(*said) + last_word(0, label="cat")
    for rows in (both, both + rated(0, 0, 0, 2) + rated(1, label="rain")):
        assert last_words(rows) == {("c", "dog"): word, ("c", "cat"): 0}
    assert last_words(rated(0, 2)) == {}
    assert last_words(row for row in both) == last_words(both[::-1])


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from("xy"), st.integers(0, 2), st.booleans()), max_size=9))
def test_the_last_words_are_the_grades_of_what_is_adjudicated(said):
    rows = [
        row
        for label, grade, last in said
        for row in (last_word if last else rated)(grade, label=label)
    ]
    found = relevance(rows)
    named = zip(found["label"], found["grade"], found["method"], strict=True)
    assert last_words(rows) == {("c", x): g for x, g, method in named if method == "adjudicated"}


@pytest.mark.parametrize("method", METHODS)
def test_a_last_word_is_of_its_label_alone(method):
    first = rated(0, 2, 2) + rated(0, 0, 1, label="cat") + rated(1, 1, 2, label="rain")
    plain = relevance(first, method=method)
    settled = relevance(first + last_word(0), method=method)
    assert settled["label"] == plain["label"] == ["cat", "dog", "rain"]
    for row in (0, 2):
        assert {name: settled[name][row] for name in settled} == {
            name: plain[name][row] for name in plain
        }
    assert settled["grade"][1] == 0


def test_an_adjudicator_does_not_say_who_errs():
    """Taken as one more annotator, the adjudicator would lend weight to whom they agree with."""
    first = [row for i in range(9) for row in rated(0, 2, label=f"l{i}")]
    last = [row for i in range(6) for row in last_word(2, label=f"l{i}")]
    plain = relevance(first, method="dawid-skene")["grade"]
    settled = relevance(first + last, method="dawid-skene")["grade"]
    assert settled == [2] * 6 + plain[6:]
    as_one_more, _ = dawid_skene(first + last)
    assert max(as_one_more["c", "l8"], key=as_one_more["c", "l8"].get) != plain[8]


def test_too_few_ratings_are_dropped_with_a_reason():
    assert relevance(rated(2, 2), min_ratings=3)["drop_reason"] == ["rated 2 times, fewer than 3"]
    assert relevance(rated(2, 2, 2), min_ratings=3)["drop_reason"] == [None]
    assert relevance(rated(2, 2) + last_word(1), min_ratings=3)["drop_reason"] == [None]


@pytest.mark.parametrize("method", METHODS)
def test_clips_are_counted_apart_and_sorted(method):
    found = relevance(
        [{**row, "clip_id": clip} for clip in ("d", "c") for row in rated(2)], method=method
    )
    assert (found["clip_id"], found["n_ratings"]) == (["c", "d"], [1, 1])


@pytest.mark.parametrize("method", METHODS)
def test_no_ratings_are_no_grades(method):
    found = relevance([], method=method)
    assert set(map(len, found.values())) == {0}
    assert list(found)[-1] == "drop_reason"


@given(st.lists(st.integers(0, 2), min_size=1, max_size=9), st.randoms())
def test_one_of_the_given_grades_whoever_came_first(grades, random):
    votes = Counter(grades)
    mixed = random.sample(grades, len(grades))
    for method in ("median", "majority"):
        found = relevance(rated(*grades), method=method)
        assert relevance(rated(*mixed), method=method) == found
        assert found["grade"][0] in grades
    assert votes[found["grade"][0]] == max(votes.values())
    assert all(n < max(votes.values()) for grade, n in votes.items() if grade < found["grade"][0])
    median = relevance(rated(*grades))["grade"][0]
    # Half or more are at or below it, and more than half are above or at it.
    assert 2 * sum(g <= median for g in grades) >= len(grades)
    assert 2 * sum(g >= median for g in grades) > len(grades)


# How each of four people grades what is truly low, medium and high.
ERRORS = {
    "careful": [[0.92, 0.06, 0.02], [0.05, 0.90, 0.05], [0.02, 0.06, 0.92]],
    "strict": [[0.97, 0.02, 0.01], [0.35, 0.63, 0.02], [0.05, 0.35, 0.60]],
    "generous": [[0.60, 0.35, 0.05], [0.02, 0.63, 0.35], [0.01, 0.02, 0.97]],
    "careless": [[0.50, 0.25, 0.25], [0.25, 0.50, 0.25], [0.25, 0.25, 0.50]],
}
LABELS = 800


@pytest.fixture(scope="module")
def planted():
    """Labels of known grade, graded by all four, and what is estimated of that."""
    rng = np.random.default_rng(0)
    truth = rng.choice(3, size=LABELS, p=[0.4, 0.3, 0.3])
    rows = [
        {"clip_id": f"c{i // 20:03d}", "label": f"l{i:04d}", "annotator": name, "grade": int(grade),
         "project": "grading"}
        for name, shares in ERRORS.items()
        for i, grade in enumerate(
            (rng.random((LABELS, 1)) > np.cumsum(shares, axis=1)[truth][:, :2]).sum(axis=1)
        )
    ]  # fmt: skip
    return truth, rows, dawid_skene(rows)


def test_planted_errors_are_found(planted):
    """Within .1: of each grade there are 240 labels or more, so a share is off by .03 by chance."""
    _, _, (_, errors) = planted
    assert set(errors) == set(ERRORS)
    for name, shares in ERRORS.items():
        found = np.array([[errors[name][true][said] for said in range(3)] for true in range(3)])
        assert np.abs(found - shares).max() < 0.1
        assert found.sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-9)
    # Of what is truly high the strict one calls more medium than low, and hardly the other way.
    assert errors["strict"][2][1] > 0.25 > 0.1 > errors["strict"][0][1]


def test_weighing_people_beats_counting_votes(planted):
    truth, rows, (probabilities, _) = planted
    weighed = [max(of, key=of.get) for of in probabilities.values()]
    right = {
        method: np.mean(np.array(relevance(rows, method=method)["grade"]) == truth)
        for method in ("median", "majority")
    }
    assert np.mean(np.array(weighed) == truth) > max(right.values()) + 0.03
    for of in probabilities.values():
        assert abs(sum(of.values()) - 1) < 1e-9


def test_the_order_of_rows_does_not_matter_to_dawid_skene():
    rows = [row for i in range(12) for row in rated(i % 3, (i * 7) % 3, i % 3, label=f"l{i}")]
    assert dawid_skene(rows) == dawid_skene(rows[::-1])


@settings(max_examples=4)
@example([[2], [2], [0, 2]])
@example([[1]])
@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4), min_size=1, max_size=6))
def test_any_ratings_get_a_grade_that_somebody_gave_someone(grades):
    """Labels with one rating, people with one label, a grade that nobody gives: all get through."""
    rows = [row for i, given in enumerate(grades) for row in rated(*given, label=f"l{i}")]
    found = relevance(rows, method="dawid-skene")
    assert found["label"] == [f"l{i}" for i in range(len(grades))]
    assert set(found["grade"]) <= {grade for given in grades for grade in given}
