"""Queries as records: the right rows, no grade, and which pairs of documents are told."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_letor import content, made, regraded

from baselines.data import Record
from baselines.letor.documents import Documents
from baselines.letor.queries import graded_of, grades_of, pairs_of, records_of
from lrmovienet.errors import UserError


def of_lists(*lists: list[int]) -> Documents:
    """Lists of grades; a document's one feature is its row."""
    rows = sum(map(len, lists))
    return Documents(
        "lists.txt", "-", np.arange(rows, dtype=np.float32)[:, None],
        np.concatenate([np.array(one, np.int64) for one in lists]),
        np.cumsum([0, *map(len, lists)]), tuple(f"q{i}" for i in range(len(lists))), None,
    )  # fmt: skip


def every_pair(documents: Documents) -> set[tuple[str, int, int]]:
    """Query, better and worse document, by a plain loop."""
    found = set()
    for i, query in enumerate(documents.queries):
        grades = documents.grades[documents.offsets[i] : documents.offsets[i + 1]].tolist()
        found |= {
            (query, a, b)
            for a in range(len(grades)) for b in range(len(grades)) if grades[a] > grades[b]
        }  # fmt: skip
    return found


def told(documents: Documents, percent: int, seed: int = 0) -> list[tuple[str, int, int]]:
    return [
        (item.record.clip_id, better, worse)
        for item in pairs_of(documents, "target", percent, seed)
        for better, worse in item.pairs.tolist()
    ]


def test_a_record_is_a_query_with_its_rows():
    documents = of_lists([2, 0], [1], [0, 0, 1])
    records = records_of(documents, "target")
    assert [record.clip_id for record in records] == ["q0", "q1", "q2"]
    assert [record.labels for record in records] == [("1", "2"), ("1",), ("1", "2", "3")]
    assert [record.vectors.ravel().tolist() for record in records] == [[0, 1], [2], [3, 4, 5]]
    assert all(record.vectors.dtype == np.float32 for record in records)
    assert {record.domain for record in records} == {"target"}
    assert records[2].sources == ("document",) * 3
    graded = graded_of(documents, "source")
    assert [item.grades.tolist() for item in graded] == [[2, 0], [1], [0, 0, 1]]
    assert content([item.record for item in graded]) == content(records_of(documents, "source"))


def test_a_record_is_the_same_whatever_the_grades():
    documents = made(6, named=True)
    expected = content(records_of(documents, "target"))
    for other in (regraded(documents), replace(documents, grades=None)):
        assert content(records_of(other, "target")) == expected
    # All there is in a record was looked at, and ids of documents are not in it.
    assert len(expected[0]) == len(fields(Record))
    assert "D0-" not in str(expected)


def test_all_pairs_are_those_of_a_plain_loop():
    documents = of_lists([2, 0, 1, 0], [1], [0, 0], [0, 4, 4], [3, 0])
    found = told(documents, 100)
    assert len(found) == len(set(found)) == 5 + 2 + 1
    assert set(found) == every_pair(documents)
    paired = pairs_of(documents, "target", 100, 0)
    assert [item.record.clip_id for item in paired] == ["q0", "q3", "q4"]
    assert paired[1].record.vectors.ravel().tolist() == [7, 8, 9]
    assert paired[1].pairs.tolist() == [[1, 0], [2, 0]]
    assert paired[0].pairs.dtype == np.int64


@given(
    lists=st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=7), min_size=1, max_size=8),
    seed=st.integers(0, 9),
)
def test_shares_of_pairs_are_exact_and_hold_one_another(lists, seed):
    documents = of_lists(*lists)
    every = every_pair(documents)
    if not every:
        with pytest.raises(UserError, match="no query has documents of two grades"):
            pairs_of(documents, "target", 10, seed)
        return
    smaller: set[tuple[str, int, int]] = set()
    for percent in (5, 10, 20, 40, 100):
        found = told(documents, percent, seed)
        assert len(found) == max(1, round(percent * len(every) / 100))
        assert smaller <= set(found) <= every
        assert len(set(found)) == len(found)
        smaller = set(found)
    assert smaller == every


def test_pairs_are_drawn_over_all_queries_and_by_the_seed_alone():
    documents = made(40, seed=3)
    every = every_pair(documents)
    found = told(documents, 10)
    assert found == told(documents, 10)
    assert set(found) != set(told(documents, 10, seed=1))
    # Each query has its share: over many draws, as often as it has pairs.
    counts = dict.fromkeys(documents.queries, 0)
    for seed in range(200):
        for query, _, _ in told(documents, 10, seed):
            counts[query] += 1
    for query in documents.queries:
        expected = 200 * 0.1 * sum(of == query for of, _, _ in every)
        assert counts[query] == pytest.approx(expected, abs=6 * np.sqrt(expected) + 1)


def test_which_pairs_are_told_hangs_on_no_feature():
    documents = made(10)
    other = replace(documents, x=documents.x[::-1].copy())
    assert told(documents, 20) == told(other, 20)


def test_without_grades_there_is_nothing_to_learn():
    documents = made(3, graded=False, name="unlabelled.txt")
    for make in (grades_of, lambda d: graded_of(d, "target"), lambda d: pairs_of(d, "t", 10, 0)):
        with pytest.raises(UserError, match=r"unlabelled\.txt: has no grades"):
            make(documents)


def test_some_queries_are_taken_in_the_order_given():
    documents = made(5, named=True, lengths=(3, 1, 2))
    taken = documents.take([2, 0])
    assert taken.queries == ("3", "1")
    assert taken.offsets.tolist() == [0, 2, 5]
    assert taken.lengths.tolist() == [2, 3]
    assert taken.x.tobytes() == documents.x[[4, 5, 0, 1, 2]].tobytes()
    assert taken.grades.tolist() == documents.grades[[4, 5, 0, 1, 2]].tolist()
    assert taken.documents == ("D0-4", "D0-5", "D0-0", "D0-1", "D0-2")
    none = documents.take([])
    assert (len(none), none.x.shape, none.offsets.tolist()) == (0, (0, 5), [0])
