"""Answers of every shape become labels or reasons; nothing raises."""

import json
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scripted import DOJO

from eval.labels import normal_form
from lrmovienet.text import parse
from lrmovienet.text.parse import clean, screen, stem


def kept(answer, complete=True):
    return [label.text for label in parse.parse(answer, complete) if label.reason is None]


def reasons(answer, complete=True):
    return {x.text: x.reason for x in parse.parse(answer, complete) if x.reason is not None}


@pytest.mark.parametrize(
    "answer",
    [
        "1. sword fight\n2. dojo\n3. Neo",
        "1) Sword Fight\n2) Dojo\n3) neo\n",
        "(1) sword fight (2) dojo (3) Neo",
        "1. sword fight 2. dojo 3. Neo",
        "1.sword fight 2.dojo 3.neo",
        "1: sword fight\n2: dojo\n3: Neo",
        "- sword fight\n- dojo\n- Neo",
        "* **Sword fight**\n* *dojo*\n* `Neo`",
        "• sword fight\n• dojo\n• Neo",
        "sword fight, dojo, Neo",
        "sword fight; dojo; Neo.",
        "Labels: sword fight, dojo, Neo",
        "Here are the tags:\nsword fight\ndojo\nNeo",
        "1. sword fight, dojo\n2. Neo",
        "1. sword fight - they train\n2. dojo (a hall)\n3. Neo: the hero",
        '["sword fight", "dojo", "Neo"]',
        '```json\n["sword fight", "dojo", "Neo"]\n```',
        '{"labels": ["sword fight", "dojo"], "people": ["Neo"]}',
        'Sure! [{"label": "sword fight", "type": "event"}, {"label": "dojo"}, {"tag": "Neo"}] Ok',
        "1. “sword fight”\n2. 'dojo'\n3. \"Neo\"",
        "1. a sword fight\n2. the dojo\n3. Neo",
        "1. sword_fight\n2. #dojo\n3. Neo",
        "1.   sword \t fight  \r\n2. dojo\r\n3. NEO",
        "1. sword fight\n2. dojo and Neo too\n"[:-5],
    ],
)
def test_shapes_of_answers(answer):
    assert kept(answer) == ["sword fight", "dojo", "neo"]


def test_talk_around_a_list_is_not_a_label():
    answer = "Sure, I can do that for you:\n1. fight\n2. dojo\nLet me know if you need more."
    assert kept(answer) == ["fight", "dojo"]
    assert set(reasons(answer).values()) == {parse.TOO_LONG}


def test_labels_have_less_than_three_words():
    assert kept("1. one two\n2. one two three\n3. one-two three") == ["one two", "one-two three"]
    assert reasons("1. one two three") == {"one two three": parse.TOO_LONG}


@pytest.mark.parametrize("answer", ["", " ", "\n\n", "1.", "1. \n2. ", "[]", "{}", "...", '"" ""'])
def test_empty_answers(answer):
    assert parse.parse(answer) == []


def test_other_reasons():
    assert reasons("1. 1985") == {"1985": parse.NO_LETTERS}
    assert reasons("1. of them") == {"of them": parse.STOP_WORDS_ONLY}
    assert reasons("1. " + "x" * 61) == {"x" * 61: parse.TOO_MANY_CHARACTERS}
    assert kept("1. " + "x" * 60) == ["x" * 60]
    assert kept("1. man of") == ["man of"]  # one word that says something is enough


def test_the_last_label_of_a_truncated_answer_is_dropped():
    assert kept("1. fight\n2. gree", complete=False) == ["fight"]
    assert reasons("1. fight\n2. gree", complete=False) == {"gree": parse.CUT_OFF}
    assert kept("1. fight\n2. gree") == ["fight", "gree"]


def test_a_runaway_answer_is_cut():
    answer = "1. fights\n" * 10_000
    labels = parse.parse(answer)
    assert len(labels) == parse.MAX_ANSWER // 10
    assert labels[-1].reason == parse.CUT_OFF


@pytest.mark.parametrize("end", ["\n3.", "\n3", "\n 3. ", "\n(3)", "\n- ", "\n*"])
def test_a_label_with_the_next_number_behind_it_is_whole(end):
    assert kept(f"1. fight\n2. dojo{end}", complete=False) == ["fight", "dojo"]
    assert kept("1. fight\n2. dojo 3", complete=False) == ["fight"]


def test_ranks_count_places_in_the_answer():
    labels = parse.parse("1. fight\n2. a much too long label\n3. dojo")
    assert [(x.text, x.rank) for x in labels if x.reason is None] == [("fight", 0), ("dojo", 2)]


@pytest.mark.parametrize(
    "answer", ["[" * 5000, '{"a":' * 5000, "[" + "9" * 5000 + "]", "1. " * 5000]
)
def test_hostile_answers_end(answer):
    for label in parse.parse(answer):
        assert label.text == normal_form(label.text)


@given(st.text(alphabet=st.characters(), max_size=300), st.booleans())
@example("İ. 1)\n1. İİ\n", True)
@example("1. \x1b[31mred\x00car\ud800", True)
@example("1. \u2028a\u0301\u00a0b", False)
def test_parse_never_raises_and_gives_normal_labels(answer, complete):
    labels = parse.parse(answer, complete)
    assert [label.rank for label in labels] == list(range(len(labels)))
    for label in labels:
        assert label.text == normal_form(label.text) != ""
        assert label.text.replace(" ", "").isprintable()
        if label.reason is None:
            assert 1 <= len(label.text.split()) < 3
            assert len(label.text) <= 60
            assert any(c.isalpha() for c in label.text)


WORDS = st.sampled_from(["fight", "dojo", "neo", "crew", "monitors", "sword", "cake", "the", "of"])


@given(st.lists(st.lists(WORDS, min_size=1, max_size=4).map(" ".join), max_size=12))
def test_a_list_that_was_written_is_read(labels):
    """Whatever the shape, the same labels in the same order."""
    lines = "\n".join(f"{i + 1}. {label}" for i, label in enumerate(labels))
    read = [label.text for label in parse.parse(lines)]
    assert read == [x for x in (clean(label) for label in labels) if x]
    if labels:
        bullets = "\n".join(f"- {label}" for label in labels)
        assert [x.text for x in parse.parse(bullets)] == read
        assert [x.text for x in parse.parse(json.dumps(labels))] == read


def screened(labels, description):
    return {
        x.text: x.reason
        for x in screen(parse.parse("\n".join(f"- {x}" for x in labels)), description)
    }


def test_labels_must_be_in_the_description():
    result = screened(
        ["fighting", "crew watching", "monitor", "Neo's crew", "screen", "sword fight"], DOJO
    )
    assert result == {
        "fighting": None, "crew watching": None, "monitor": None, "neo's crew": None,
        "screen": parse.NO_EVIDENCE, "sword fight": parse.NO_EVIDENCE,
    }  # fmt: skip


def test_evidence_can_be_turned_off():
    assert set(screened(["screen", "sword fight"], None).values()) == {None}


def test_stop_words_need_no_evidence():
    assert screened(["her dojo"], DOJO) == {"her dojo": None}


def test_repeats_are_dropped_but_the_first():
    labels = screen(parse.parse("- dojo\n- crew\n- dojo\n- Dojo"), DOJO)
    assert [(x.text, x.reason) for x in labels] == [
        ("dojo", None), ("crew", None), ("dojo", parse.REPEATED), ("dojo", parse.REPEATED),
    ]  # fmt: skip


def test_stop_words_do_not_make_another_label():
    labels = screen(parse.parse("- look\n- look at\n- look over\n- of them\n- at them"), None)
    assert [x.reason for x in labels] == [
        None, parse.REPEATED, parse.REPEATED, parse.STOP_WORDS_ONLY, parse.STOP_WORDS_ONLY,
    ]  # fmt: skip


@given(st.lists(st.lists(WORDS, min_size=1, max_size=4).map(" ".join), max_size=12))
def test_screening_loses_no_label(labels):
    parsed = parse.parse("\n".join(f"- {label}" for label in labels))
    result = screen(parsed, DOJO)
    assert [(x.text, x.rank) for x in result] == [(x.text, x.rank) for x in parsed]
    good = [x.text for x in result if x.reason is None]
    assert len(good) == len(set(good))


@pytest.mark.parametrize(
    "forms",
    [
        "fight fights fighting", "run runs running", "dance dances danced dancing",
        "kiss kisses kissed kissing", "cry cries cried crying", "box boxes boxing",
        "drive drives driver drivers driving", "celebrate celebrates celebration celebrating",
        "arrest arrests arrested", "car cars", "fall falls falling", "agree agrees agreed",
    ],
)  # fmt: skip
def test_forms_of_a_word_are_the_same(forms):
    assert len({stem(word) for word in forms.split()}) == 1


def test_different_words_stay_different():
    words = "fight dojo crew car card cat cast bus bed red read ride race king kin ring sing sin"
    assert len({stem(word) for word in words.split()}) == len(words.split())


REALISTIC = [
    "1. sword fight\n2. dojo\n3. Neo\n4. green monitors",
    "1) Neo\n2) Morpheus\n3) the crew\n4) a dojo",
    "- fighting\n- watching the fight\n- training\n",
    "* **Sword fight**: the two train\n* **Dojo** (a hall)\n* Crew - they watch",
    "sword fight, dojo, Neo, Morpheus, the green monitors",
    '["sword fight", "dojo", "Neo"]',
    '```json\n{"events": ["fighting", "watching"], "entities": ["Neo", {"label": "crew"}]}\n```',
    "Sure! Here are the labels you asked for:\n\n1. fighting\n2. watching\n\nAnything else?",
    "I'm sorry, but I cannot help with that request.",
    "sword sword sword sword\nsword sword sword\nsword",
    "1. fight\n2. fight\n3. fight\n4. fight\n5. fight\n6. fight\n7. fight",
    "1. sword fight\n2. dojo\n3. gree",
    " Neo fights Morpheus in the dojo while the crew watches. Neo fights Morpheus in the do",
    "Tags: café owner; naïve détective; Zoë’s car; 東京 tower",
    "1.\n2.\n3.",
    "",
]
PIECES = st.sampled_from(
    ["1. ", "\n", ", ", "- ", '"', "[", "]", "{", ":", "(", "and ", "\x00", "\u2028", "İ", "…",
     "```", "\ud800", "Sentence:", "the ", "9" * 40, "\\u0041", "e\u0301", " / ", "|"],
)  # fmt: skip
MUTATION = st.tuples(
    st.sampled_from(["delete", "insert", "swap", "cut", "repeat"]),
    st.integers(0, 120), st.integers(0, 30), PIECES,
)  # fmt: skip


def mutated(answer, changes):
    for how, at, length, piece in changes:
        at %= len(answer) + 1
        end = at + length
        if how == "delete":
            answer = answer[:at] + answer[end:]
        elif how == "insert":
            answer = answer[:at] + piece + answer[at:]
        elif how == "swap":
            answer = answer[at:end] + answer[:at] + answer[end:]
        elif how == "cut":
            answer = answer[:at]
        else:
            answer = answer[:at] + answer[at:end] * 5 + answer[end:]
    return answer


@settings(max_examples=1000)
@given(st.sampled_from(REALISTIC), st.lists(MUTATION, max_size=6), st.booleans())
def test_damaged_answers_become_labels_or_reasons(answer, changes, complete):
    answer = mutated(answer, changes)
    labels = parse.parse(answer, complete)
    assert [label.rank for label in labels] == list(range(len(labels)))
    for label in labels:
        assert label.text == normal_form(label.text) != ""
        assert label.reason is not None or len(label.text.split()) < 3
    if not complete and labels and answer[-1:].isalpha():
        assert labels[-1].reason == parse.CUT_OFF
    judged = screen(labels, DOJO)
    assert [(x.text, x.rank) for x in judged] == [(x.text, x.rank) for x in labels]
    assert all(after.reason for after, x in zip(judged, labels, strict=True) if x.reason)
    good = [x.text for x in judged if x.reason is None]
    assert len(good) == len(set(good))
    if not re.search(r"[:(){}\[\]*`–—]|\S\s+-+\s", answer):
        # Nothing is said of anything, so nothing may be taken out but articles and "and".
        said = set(re.findall(r"[a-z]+", normal_form(answer))) - {"a", "an", "the", "and"}
        assert said <= set(re.findall(r"[a-z]+", " ".join(label.text for label in labels)))


@pytest.mark.parametrize("answer", [x for x in REALISTIC if re.match(r"\d|-|sword", x)])
def test_what_a_truncated_answer_keeps_the_whole_one_keeps_too(answer):
    """Cut anywhere, a list gives no label that it would not give whole."""
    whole = set(kept(answer))
    for end in range(len(answer)):
        assert set(kept(answer[:end], complete=False)) <= whole, answer[:end]


@pytest.mark.parametrize("label", ["7:30 train", "9.11 attack", "3-d film", "2nd row"])
def test_numbers_that_belong_to_a_label_stay(label):
    assert [x.text for x in parse.parse(f"1. {label}")] == [label]
    assert [x.text for x in parse.parse(f"1.1. {label}")] == [label]


def test_a_long_item_is_cut_between_words():
    item = "dojo and " * 300 + "x"
    assert {x.text for x in parse.parse(item)} == {"dojo", "dojo and"}
    assert [x.reason for x in parse.parse("y" * 5000)] == [parse.TOO_MANY_CHARACTERS]
