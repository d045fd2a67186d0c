"""The XML of the forms, and the data of their pages."""

import json
import re
from itertools import product
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from label_studio_sdk.label_interface import LabelInterface

from annotation.forms import FORMS, GRADING, PAIRS, SCREENING, UNUSED, Form
from annotation.label_configs import label_config, page_data, shown_as_is
from annotation.results import results

HOSTILE = [
    "</View><Choices name='x'>",
    "]]> &amp; &#x41; <!--",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"quotes\" 'of' `both` kinds",
    "$description",
    "$answers_00[0].value $$ {{idx}} {{description}}",
    "👩‍👩‍👧‍👦 family é",
    "\u202eright to left\u202c שלום",
    "none",
    "__proto__",
    "back\\slash\nline\ttab",
    "x" * 10_000,
]
"""Labels that a page must show as they are."""

every_page = pytest.mark.parametrize(
    ("form", "pictures"),
    list(product(FORMS.values(), (False, True))),
    ids=[f"{name}-{pictures}" for name, pictures in product(FORMS, (False, True))],
)
any_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda text: text == text.rstrip()
)


def asked(form: Form, labels: list[str]) -> list[tuple[str, ...]]:
    """One question a label; in pairs, each label beside another."""
    return [(label, f"not {label}") if form is PAIRS else (label,) for label in labels]


def variables(xml: str) -> set[str]:
    """The names of the data that an XML asks for."""
    values = [element.get("value", "") for element in ElementTree.fromstring(xml).iter()]
    return {value.removeprefix("$") for value in values if value.startswith("$")}


@every_page
@pytest.mark.parametrize("number", [0, 1, 13, 14])
def test_a_page_brings_exactly_the_data_that_its_config_asks_for(form, pictures, number):
    """Whatever the number of questions: the server refuses a task that lacks a variable."""
    data = page_data(
        form,
        "a scene",
        asked(form, [f"label {i}" for i in range(number)]),
        "/data/local-files/?d=a.jpg" if pictures else None,
    )
    assert variables(label_config(form, pictures)) == set(data)


@every_page
def test_every_question_must_be_answered_with_one_answer(form, pictures):
    xml = ElementTree.fromstring(label_config(form, pictures))
    choices = list(xml.iter("Choices"))
    assert [c.get("name") for c in choices] == [f"answer_{i:02d}" for i in range(form.slots)]
    for slot, question in enumerate(choices):
        assert question.get("value") == f"$answers_{slot:02d}"
        assert question.get("choice") == "single-radio"
        assert question.get("required") == "true"
        assert question.get("requiredMessage") == f"Number {slot + 1} has no answer yet."
        assert list(question) == []
    assert [t.get("value") for t in xml.iter("Image")] == ["$frames"] * pictures


def test_a_text_is_asked_for_where_a_label_is_corrected_and_nowhere_else():
    xml = ElementTree.fromstring(label_config(SCREENING, True))
    shown_when = {
        view.find("TextArea").get("name"): (view.get("whenTagName"), view.get("whenChoiceValue"))
        for view in xml.iter("View")
        if view.get("visibleWhen") == "choice-selected"
    }
    assert shown_when == {f"text_{i:02d}": (f"answer_{i:02d}", "Correct") for i in range(20)}
    assert all(t.get("required") == "true" for t in xml.iter("TextArea"))
    for form in (GRADING, PAIRS):
        assert list(ElementTree.fromstring(label_config(form, True)).iter("TextArea")) == []


@every_page
def test_nothing_is_repeated_by_the_server_and_names_are_unique(form, pictures):
    xml = label_config(form, pictures)
    assert "Repeater" not in xml
    assert "{{" not in xml
    names = [e.get("name") for e in ElementTree.fromstring(xml).iter() if e.get("name")]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_made_results_fit_the_config_by_the_servers_own_library(form):
    """Its check of names and types; that it is one is shown by wrong ones."""
    interface = LabelInterface(label_config(form, pictures=False))
    value = form.answers[-1].value
    made = results({0: value, form.slots - 1: value}, {0: "horse"} if form.corrects else None)
    assert interface.validate_annotation({"result": made})
    assert not interface.validate_annotation({"result": results({form.slots: value})})
    assert not interface.validate_annotation({"result": [{**made[0], "type": "textarea"}]})
    assert not interface.validate_annotation({"result": [{**made[0], "to_name": "answer_00"}]})


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:20])
@pytest.mark.parametrize("form", [SCREENING, GRADING], ids=["screening", "grading"])
def test_any_label_and_description_is_data_as_it_stands(form, text):
    data = page_data(form, text, [("first",), (text,)], "/f.jpg")
    assert data["description"] == text
    assert data["question_01"] == f"2. {text}"
    assert json.loads(json.dumps(data)) == data
    others = page_data(form, "", [("first",), ("second",)], "/f.jpg")
    same = set(data) - {"description", "question_01"}
    assert {key: data[key] for key in same} == {key: others[key] for key in same}


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:20])
def test_any_pair_is_shown_as_two_answers_that_are_stored_as_a_and_b(text):
    data = page_data(PAIRS, "a scene", [("first", "second"), ("left", text)], None)
    assert data["question_01"] == "2."
    shown = data["answers_01"]
    assert [answer["alias"] for answer in shown] == ["a", "b", "tie", "skip"]
    assert [answer["value"] for answer in shown[::2]] == ["left", "Equal"]
    assert shown[3]["value"] == "Skip"
    assert shown[1]["value"] == text.replace("$", "$\u2060")


@given(any_text)
@example("$description")
@example("$$")
def test_no_variable_is_found_in_a_shown_answer_and_nothing_else_is_changed(text):
    shown = shown_as_is(text)
    parts = text.split("$")
    assert shown == "$\u2060".join(parts)
    assert re.search(r"\$\w", shown) is None


@given(st.data(), st.sampled_from(sorted(FORMS)))
def test_questions_keep_their_places_and_the_others_have_one_unseen_answer(data, name):
    form = FORMS[name]
    label = st.lists(any_text, min_size=2, max_size=2) if form is PAIRS else st.tuples(any_text)
    questions = data.draw(st.lists(label, max_size=form.slots))
    page = page_data(form, "a scene", questions, None)
    for slot in range(form.slots):
        shown, answers = page[f"question_{slot:02d}"], page[f"answers_{slot:02d}"]
        if slot >= len(questions):
            assert shown == ""
            assert answers == [{"value": UNUSED, "selected": True, "style": "display: none"}]
            continue
        assert shown == (f"{slot + 1}." if form is PAIRS else f"{slot + 1}. {questions[slot][0]}")
        assert [a["alias"] for a in answers] == [a.value for a in form.answers]
        assert [a["hotkey"] for a in answers] == [
            form.key(slot, i) for i in range(len(form.answers))
        ]
        assert not any("selected" in a for a in answers), "an answer is chosen beforehand"


def test_a_page_without_pictures_names_no_picture():
    assert "frames" not in page_data(GRADING, "a scene", [("horse",)], None)
    assert page_data(GRADING, "a scene", [("horse",)], "/f.jpg")["frames"] == "/f.jpg"
