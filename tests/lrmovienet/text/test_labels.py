"""From answers to the rows of text_labels, by hand."""

from dataclasses import asdict

import pytest
from scripted import DOJO, KISS

from lrmovienet.errors import ItemError
from lrmovienet.runner.local import Job, run_table
from lrmovienet.text.labels import Answer, LabelReader
from lrmovienet.workspace import Workspace

READER = LabelReader("model", "fewshot-1")


def batch_of(*clips):
    """Clips as (id, sentence, words left out, event answer, entity answer)."""
    return {
        "clip_id": [c[0] for c in clips],
        "sentence": [c[1] for c in clips],
        "left_out": [c[2] for c in clips],
        "event": [asdict(c[3]) for c in clips],
        "entity": [asdict(c[4]) for c in clips],
    }


def rows_of(columns):
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


TWO = batch_of(
    (
        "a_0000", DOJO, 0,
        Answer("1. fighting\n2. flying\n3. watch\n4. fighting", True),
        Answer("1. Neo and Morpheus\n2. dojo\n3. green mon", False),
    ),
    ("b_0000", KISS, 0, Answer("1. I cannot help with that request", True), Answer("1.", True)),
)  # fmt: skip


def test_two_clips_by_hand():
    rows = rows_of(READER(TWO))
    good = [(r["clip_id"], r["kind"], r["label"], r["rank"]) for r in rows if not r["drop_reason"]]
    assert good == [
        ("a_0000", "event", "fighting", 0),
        ("a_0000", "event", "watch", 2),
        ("a_0000", "entity", "neo", 0),
        ("a_0000", "entity", "morpheus", 1),
        ("a_0000", "entity", "dojo", 2),
    ]
    dropped = [(r["clip_id"], r["label"], r["drop_reason"]) for r in rows if r["drop_reason"]]
    assert dropped == [
        ("a_0000", "flying", "event: not in the description"),
        ("a_0000", "fighting", "event: repeats an earlier label of the answer"),
        ("a_0000", "green mon", "entity: cut off at the end of the answer"),
        ("b_0000", "i cannot help with that request", "event: three words or more"),
        ("b_0000", None, "no event label: none of the answer's labels was kept; "
         "the answer: '1. I cannot help with that request'"),
        ("b_0000", None, "no entity label: the answer holds no label; the answer: '1.'"),
    ]  # fmt: skip
    assert {r["generator"] for r in rows if r["label"]} == {"model"}
    assert {r["prompt_version"] for r in rows if r["label"]} == {"fewshot-1"}


def test_labels_need_no_evidence_where_none_is_asked_for():
    rows = rows_of(LabelReader("model", "p", require_evidence=False)(TWO))
    assert [r["label"] for r in rows if r["clip_id"] == "a_0000" and not r["drop_reason"]] == [
        "fighting", "flying", "watch", "neo", "morpheus", "dojo",
    ]  # fmt: skip


def test_only_what_the_model_was_shown_is_evidence():
    """The rest of the description was left out of `sentence`: a word of it is not evidence."""
    said = Answer("1. kissing\n2. rains", True)
    rows = rows_of(READER(batch_of(("a_0000", KISS, 4, said, said))))
    assert rows[0]["drop_reason"] == (
        "the last 4 words of the description were not shown to the model"
    )
    assert [(r["kind"], r["label"]) for r in rows if not r["drop_reason"]] == [
        ("event", "kissing"), ("entity", "kissing"),
    ]  # fmt: skip
    assert [r["drop_reason"] for r in rows if r["label"] == "rains"] == [
        "event: not in the description", "entity: not in the description",
    ]  # fmt: skip
    assert len(rows) == 5


def test_the_answer_before_the_second_question_is_kept():
    second = Answer("1. kissing", True, first="1. I am\na model")
    rows = rows_of(READER(batch_of(("a_0000", KISS, 0, second, Answer("1. kiss", True)))))
    assert [(r["label"], r["drop_reason"]) for r in rows] == [
        (None, "event: asked once more, the first answer held no label: '1. I am\\na model'"),
        ("kissing", None),
        ("kiss", None),
    ]


@pytest.mark.parametrize("kind", ["event", "entity"])
def test_a_clip_without_an_answer_fails_with_its_reason(kind):
    answers = {"event": Answer("1. kiss", True), "entity": Answer("1. kiss", True)}
    answers[kind] = Answer("", False, failure="the server said: too long")
    with pytest.raises(ItemError) as raised:
        READER(batch_of(("a_0000", KISS, 0, answers["event"], answers["entity"])))
    assert str(raised.value) == (
        f"a_0000: no answer about its {kind} labels: the server said: too long"
    )


def test_hostile_answers_are_shortened_in_reasons():
    answer = Answer("\x1b[31m" + "of\n" * 5000, True)
    rows = rows_of(READER(batch_of(("a_0000", KISS, 0, answer, answer))))
    reasons = [r["drop_reason"] for r in rows if r["label"] is None]
    assert len(reasons) == 2
    assert all(len(reason) < 200 and "\x1b" not in reason for reason in reasons)


def test_version_changes_with_what_labels_hang_on():
    versions = {
        READER.version,
        LabelReader("model", "fewshot-1", False).version,
        LabelReader("model", "fewshot-1", True, "0123456789abcdef0").version,
        LabelReader("model", "fewshot-1", True, "1123456789abcdef0").version,
    }
    assert len(versions) == 4


def test_rows_are_a_valid_table(tmp_path):
    run_table(
        Workspace(tmp_path), Job("text_labels", READER, [TWO], "clip_id", inputs={}, config={})
    )
    rows = Workspace(tmp_path).read("text_labels")
    dropped = Workspace(tmp_path).read_dropped("text_labels").to_pylist()
    # Nine labels in the four answers, and two rows for answers without one.
    assert rows.num_rows == 5
    assert sum(row["label"] is not None for row in dropped) == 4
    assert sum(row["label"] is None for row in dropped) == 2


def test_one_failed_clip_leaves_the_others_of_its_shard(tmp_path):
    failed = Answer("", False, failure="none")
    shard = batch_of(
        ("a_0000", KISS, 0, Answer("1. kiss", True), Answer("1. kiss", True)),
        ("b_0000", KISS, 0, Answer("1. kiss", True), failed),
    )
    run_table(
        Workspace(tmp_path), Job("text_labels", READER, [shard], "clip_id", inputs={}, config={})
    )
    assert Workspace(tmp_path).read("text_labels")["clip_id"].to_pylist() == ["a_0000"] * 2
    dropped = Workspace(tmp_path).read_dropped("text_labels").to_pylist()
    assert [(r["clip_id"], r["reason"]) for r in dropped] == [
        ("b_0000", "b_0000: no answer about its entity labels: none")
    ]
