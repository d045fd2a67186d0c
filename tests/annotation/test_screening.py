"""What people say of candidates before grading: the rules by hand, and what is never lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.screening import screened

KEEP, DROP = ("keep", None), ("drop", None)


def correct(form: str) -> tuple[str, str]:
    return ("correct", form)


def source(kind: str) -> dict:
    return {"kind": kind, "model": f"{kind} model", "score": None}


def candidates(*labels: str, clip_id: str = "c") -> list[dict]:
    return [
        {"clip_id": clip_id, "label": label, "position": i, "sources": [source(f"of {label}")]}
        for i, label in enumerate(labels)
    ]


def say(label: str, *verdicts: tuple[str, str | None], clip_id: str = "c") -> list[dict]:
    return [
        {"clip_id": clip_id, "label": label, "annotator": f"a{i}", "verdict": v, "correction": form}
        for i, (v, form) in enumerate(verdicts)
    ]


@pytest.mark.parametrize(
    ("verdicts", "label", "reason"),
    [
        ([], "dgo", None),  # nobody screened it
        ([KEEP], "dgo", None),
        ([DROP], "dgo", "screening: dropped by 1 of 1"),
        ([KEEP, DROP], "dgo", None),  # a tie is for keeping
        ([DROP, DROP, KEEP], "dgo", "screening: dropped by 2 of 3"),
        ([DROP, DROP, KEEP, correct("dog")], "dog", None),  # two of four are not most
        ([DROP, DROP, DROP, KEEP, correct("dog")], "dgo", "screening: dropped by 3 of 5"),
        ([correct("dog")], "dog", None),
        ([KEEP, correct("dog")], "dog", None),  # as many correct it as keep it
        ([KEEP, KEEP, correct("dog")], "dgo", None),
        ([correct("dog"), correct("god")], "dgo", None),  # neither form has more than half
        ([correct("god"), correct("dog"), correct("dog")], "dog", None),
        ([correct("dog"), correct("dog"), correct("god"), correct("god")], "dgo", None),
        ([correct("dog"), correct("dog"), correct("god"), KEEP, KEEP, KEEP], "dog", None),
        ([correct("dog"), DROP], "dog", None),
        ([correct("dgo")], "dgo", None),
    ],
)
def test_a_verdict_by_hand(verdicts, label, reason):
    for order in (verdicts, verdicts[::-1]):
        found = screened(candidates("dgo"), say("dgo", *order))
        assert (found["label"], found["drop_reason"]) == ([label], [reason])
        assert found["sources"] == [[source("of dgo")]]


@pytest.mark.parametrize(("first", "second"), [("dog", "dgo"), ("dgo", "dog")])
def test_a_form_that_is_there_already_is_merged(first, second):
    """Whichever of the two comes first: it stays in its place, with the sources of both."""
    rows = candidates("cat", first, second, "rain")
    found = screened(rows[::-1], say("dgo", correct("dog")))
    kept = [
        label for label, why in zip(found["label"], found["drop_reason"], strict=True) if not why
    ]
    assert kept == ["cat", "dog", "rain"]
    assert found["position"] == [0, 1, 2, 3]
    assert found["sources"][1] == [source(f"of {first}"), source(f"of {second}")]
    assert found["label"][2] == second
    assert found["drop_reason"][2] == f"screening: {second!r} is 'dog', which the clip has already"


def test_a_source_that_both_have_is_told_once():
    rows = candidates("dog", "dgo")
    rows[1]["sources"] = [source("of dog"), source("event")]
    found = screened(rows, say("dgo", correct("dog")))
    assert found["sources"][0] == [source("of dog"), source("event")]
    assert rows[0]["sources"] == [source("of dog")]  # what was given is left as it was


def test_a_dropped_label_does_not_take_a_corrected_one_with_it():
    found = screened(candidates("dog", "dgo"), say("dog", DROP) + say("dgo", correct("dog")))
    assert found["label"] == ["dog", "dog"]
    assert found["drop_reason"] == ["screening: dropped by 1 of 1", None]


def test_clips_are_screened_apart():
    rows = candidates("dog", clip_id="d") + candidates("dog", clip_id="c")
    found = screened(rows, say("dog", DROP, clip_id="d"))
    assert found["clip_id"] == ["c", "d"]
    assert found["drop_reason"] == [None, "screening: dropped by 1 of 1"]


@pytest.mark.parametrize("others", [[], [correct("dog")], [correct("dog"), correct("dog"), KEEP]])
def test_a_correction_to_nothing_gives_no_label_called_none(others):
    """A table may have the verdict without a form: it is no form that anybody agrees on."""
    found = screened(candidates("dgo"), say("dgo", ("correct", None), *others))
    assert found["label"] == ["dog" if len(others) > 1 else "dgo"]
    assert found["drop_reason"] == [None]


LABELS = ("ab", "ac", "bc", "ba")
verdict = st.one_of(st.just(KEEP), st.just(DROP), st.sampled_from(LABELS).map(correct))


@given(
    st.permutations(LABELS),
    st.lists(st.tuples(st.sampled_from(LABELS), verdict), max_size=16),
    st.randoms(),
)
def test_every_candidate_is_told_once_and_kept_labels_differ(labels, said, random):
    rows = candidates(*labels)
    screenings = [row for label, one in said for row in say(label, one)]
    found = screened(rows, screenings)
    assert screened(rows, random.sample(screenings, len(screenings))) == found
    assert found["position"] == [0, 1, 2, 3]
    kept = [i for i, reason in enumerate(found["drop_reason"]) if reason is None]
    assert len({found["label"][i] for i in kept}) == len(kept)
    # The sources of all but what most dropped are in what is kept, each once.
    dropped = {
        i for i, reason in enumerate(found["drop_reason"]) if (reason or "").find("dropped by") > 0
    }
    expected = sorted(f"of {label}" for i, label in enumerate(labels) if i not in dropped)
    assert sorted(s["kind"] for i in kept for s in found["sources"][i]) == expected
    for i in set(range(4)) - set(kept):
        assert found["label"][i] == labels[i]
