"""The three forms: their answers, and the keys that give them."""

import re
from typing import get_type_hints

import pyarrow as pa
import pytest

from annotation import guidelines
from annotation.forms import FORMS, GRADING, PAIRS, SCREENING, UNUSED, Form
from annotation.plan import STATED, PlanConfig
from annotation.pull import TABLE_OF
from annotation.push import PushConfig
from lrmovienet.schema import GRADES, TABLES

KEYBOARD = ("1234567890", "qwertyuiop", "asdfghjkl;", "zxcvbnm,./")
"""A US keyboard, row by row; the keys of a column lie one above the other."""


def keys(form: Form) -> list[tuple[str, ...]]:
    """Slot -> the keys of its answers."""
    return [
        tuple(form.key(slot, answer) for answer in range(len(form.answers)))
        for slot in range(form.slots)
    ]


@pytest.mark.parametrize(
    ("form", "slot", "expected"),
    [
        (GRADING, 0, ("1", "q", "a")),
        (GRADING, 1, ("2", "w", "s")),
        (GRADING, 9, ("0", "p", "m")),
        (GRADING, 10, ("shift+1", "shift+q", "shift+a")),
        (GRADING, 19, ("shift+0", "shift+p", "shift+m")),
        (SCREENING, 4, ("5", "t", "g")),
        (PAIRS, 0, ("1", "q", "a", "z")),
        (PAIRS, 6, ("7", "u", "j", "m")),
        (PAIRS, 7, ("shift+1", "shift+q", "shift+a", "shift+z")),
        (PAIRS, 13, ("shift+7", "shift+u", "shift+j", "shift+m")),
    ],
)
def test_keys(form, slot, expected):
    assert keys(form)[slot] == expected


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_no_key_gives_two_answers(form):
    given = [key for of_slot in keys(form) for key in of_slot]
    assert len(set(given)) == len(given) == form.slots * len(form.answers)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_keys_of_a_question_lie_one_above_the_other(form):
    """Of the tenth column, the lowest is m: right of l, keyboards differ."""
    bank = form.slots // 2
    for slot, of_slot in enumerate(keys(form)):
        for row, key in enumerate(of_slot):
            shift, letter = re.fullmatch(r"(shift\+)?([a-z0-9])", key).groups()
            assert (shift is not None) == (slot >= bank)
            expected = KEYBOARD[row][slot % bank]
            assert letter == ("m" if expected == ";" else expected)


def test_the_guidelines_name_the_keys_of_the_grades():
    text = " ".join(guidelines.read().text.split())
    first, second = (" ".join(of_slot) for of_slot in keys(GRADING)[:2])
    names = [answer.shown.lower() for answer in GRADING.answers]
    in_words = f"`{first}` are {names[0]}, {names[1]} and {names[2]} of the first label"
    assert in_words in text
    assert f"`{second}` of the second" in text
    assert "The second ten have the same keys with Shift" in text
    assert keys(GRADING)[10] == tuple(f"shift+{key}" for key in keys(GRADING)[0])


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_guidelines_explain_every_answer(form):
    text = guidelines.read().text.casefold()
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    emphasised = re.findall(r"(?<!\*)\*(\w+)\*(?!\*)", text)
    for answer in form.answers:
        word = answer.shown.casefold()
        explained = word in emphasised or any(line.startswith(f"{word}:") for line in headings)
        assert explained or not word, f"{answer.shown} is not explained"


def test_a_shown_grade_is_stored_as_the_number_of_its_name():
    assert {a.shown.lower(): int(a.value) for a in GRADING.answers} == GRADES


@pytest.mark.parametrize(
    ("form", "table", "column"),
    [(PAIRS, "pair_ratings", "choice"), (SCREENING, "screenings", "verdict")],
)
def test_every_answer_has_a_place_in_its_table(form, table, column):
    values = [answer.value for answer in form.answers]
    assert len(set(values)) == len(values)
    (of_table,) = (c for c in TABLES[table].columns if c.name == column)
    assert of_table.ok(pa.array(values)).to_pylist() == [True] * len(values)
    assert of_table.ok(pa.array([UNUSED])).to_pylist() == [False]


def test_what_is_chosen_in_unused_questions_is_no_answer():
    values = {answer.value for form in FORMS.values() for answer in form.answers}
    assert UNUSED not in values
    assert UNUSED not in {answer.shown for form in FORMS.values() for answer in form.answers}


def test_only_the_last_answer_of_screening_asks_for_a_text():
    assert [form.name for form in FORMS.values() if form.corrects] == ["screening"]
    assert SCREENING.answers[-1].value == "correct"


@pytest.mark.parametrize("config", [PushConfig, PlanConfig])
def test_all_forms_can_be_asked_for(config):
    assert set(get_type_hints(config)["form"].__args__) == set(FORMS) == set(TABLE_OF)
    assert set(STATED) == set(FORMS)
