"""What is left to an adjudicator, by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.forms import GRADING, PAIRS, SCREENING
from annotation.queue import is_disputed, undecided
from annotation.relevance import ADJUDICATION
from lrmovienet.errors import UserError
from lrmovienet.runner.local import run_once
from lrmovienet.workspace import Workspace


def put(workspace: Workspace, table: str, rows: list[dict]) -> None:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    run_once(workspace, table, lambda: columns, version="pull-1", inputs={}, config={})


COMMON = {"lead_time_s": None, "created_at": None, "guidelines_version": "1", "position": None}


@pytest.mark.parametrize(
    ("grades", "far", "some"),
    [
        ([1], False, False),
        ([2, 2, 2], False, False),
        ([0, 1], False, True),
        ([1, 2], False, True),
        ([0, 2], True, True),
        ([2, 2, 2, 0], True, True),  # one voice that says the opposite is enough
        ([1, 1, 2], False, True),
        ([1, 1, 2, 2], True, True),  # four, and none has more than half
        ([0, 0, 1, 1], True, True),
        ([1, 1, 1, 2, 2], False, True),
        ([0, 1, 2], True, True),
    ],
)
def test_a_dispute_by_hand(grades, far, some):
    for order in (grades, grades[::-1]):
        assert is_disputed(order, "far") is far
        assert is_disputed(order, "any") is some


@given(st.lists(st.integers(0, 2), min_size=1, max_size=7))
def test_what_is_far_is_never_unanimous(grades):
    assert is_disputed(grades, "any") or not is_disputed(grades, "far")
    assert is_disputed([2 - g for g in grades], "far") == is_disputed(grades, "far")


def test_labels_are_told_by_clip_and_the_last_word_is_no_vote(tmp_path):
    workspace, rows = Workspace(tmp_path), []
    for clip, label, grades in (
        ("c", "dog", [0, 2]), ("c", "cat", [1, 2]), ("d", "dog", [1, 1]), ("d", "rain", [2]),
    ):  # fmt: skip
        rows += [
            {"clip_id": clip, "label": label, "annotator": f"a{i}", "grade": grade,
             "project": "grading", "preannotated": False, **COMMON}
            for i, grade in enumerate(grades)
        ]  # fmt: skip
    # Said by the adjudicator, against what the first round said.
    rows += [
        {**row, "annotator": "judge", "grade": 2 - row["grade"], "project": ADJUDICATION}
        for row in rows
        if row["annotator"] == "a0" and (row["clip_id"], row["label"]) != ("c", "cat")
    ]
    put(workspace, "ratings", rows)
    assert undecided(workspace, GRADING, "far") == {("c", "dog")}
    assert undecided(workspace, GRADING, "any") == {("c", "dog"), ("c", "cat")}


def test_pairs_with_as_many_voices_for_either_are_open(tmp_path):
    workspace, rows = Workspace(tmp_path), []
    for a, b, choices in (
        ("x", "y", ["a", "b"]),  # open
        ("z", "x", ["a", "tie", "b", "skip"]),  # open; told in alphabetical order
        ("x", "w", ["a", "a", "b"]),
        ("y", "w", ["tie", "skip"]),  # nobody prefers either: there is nothing to decide
    ):
        rows += [
            {"clip_id": "c", "label_a": a, "label_b": b, "annotator": f"a{i}", "choice": choice,
             "project": "pairs", **COMMON}
            for i, choice in enumerate(choices)
        ]  # fmt: skip
    rows.append({**rows[0], "annotator": "judge", "project": "pairs-adjudication"})
    put(workspace, "pair_ratings", rows)
    assert undecided(workspace, PAIRS, "far") == {("c", "x", "y"), ("c", "x", "z")}


def test_screening_has_no_queue_and_nothing_pulled_is_said(tmp_path):
    with pytest.raises(UserError, match="screening decides by most voices"):
        undecided(Workspace(tmp_path), SCREENING, "far")
    for form, table in ((GRADING, "ratings"), (PAIRS, "pair_ratings")):
        with pytest.raises(UserError, match=f"no table '{table}' here yet.*annotate pull"):
            undecided(Workspace(tmp_path), form, "far")
