"""Label Studio's results and the answers that they stand for."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.forms import FORMS, GRADING, PAIRS, SCREENING, UNUSED
from annotation.results import Unreadable, answers, results


def chosen(slot: int, *values: str, **more: object) -> dict:
    """A question's result, as the page writes it."""
    return {
        "id": f"r{slot}", "from_name": f"answer_{slot:02d}", "to_name": "description",
        "type": "choices", "origin": "manual", "value": {"choices": list(values)},
    } | more  # fmt: skip


def written(slot: int, *texts: str) -> dict:
    """A correction's result, as the page writes it."""
    return {
        "id": f"t{slot}", "from_name": f"text_{slot:02d}", "to_name": "description",
        "type": "textarea", "origin": "manual", "value": {"text": list(texts)},
    }  # fmt: skip


@st.composite
def filled_pages(draw):
    """A form, and what was answered on a page of it."""
    form = FORMS[draw(st.sampled_from(sorted(FORMS)))]
    values = st.sampled_from([answer.value for answer in form.answers])
    given = dict(enumerate(draw(st.lists(values, max_size=form.slots))))
    words = st.text(min_size=1).map(str.strip).filter(bool)
    texts = {slot: draw(words) for slot, value in given.items() if value == "correct"}
    return form, given, texts


@given(filled_pages(), st.randoms(use_true_random=False), st.booleans())
def test_answers_come_back_in_any_order_and_under_any_to_name(page, random, by_browser):
    form, given, texts = page
    made = json.loads(json.dumps(results(given, texts)))
    made += [chosen(slot, UNUSED) for slot in range(len(given), form.slots)]
    random.shuffle(made)
    if by_browser:
        made = [{**item, "to_name": item["from_name"], "id": "x"} for item in made]
    assert answers(form, made, len(given)) == (given, texts)


def test_results_as_the_api_takes_them():
    assert results({0: "correct", 11: "keep"}, {0: "horse"}) == [
        {
            "from_name": "answer_00", "to_name": "description", "type": "choices",
            "value": {"choices": ["correct"]},
        },
        {
            "from_name": "answer_11", "to_name": "description", "type": "choices",
            "value": {"choices": ["keep"]},
        },
        {
            "from_name": "text_00", "to_name": "description", "type": "textarea",
            "value": {"text": ["horse"]},
        },
    ]  # fmt: skip


def test_a_single_text_may_stand_for_a_list():
    """Label Studio's older versions and other clients write it so."""
    item = {"from_name": "answer_00", "value": {"choices": "1"}}
    assert answers(GRADING, [item], 1) == ({0: "1"}, {})
    correct = [chosen(0, "correct"), {"from_name": "text_00", "value": {"text": " a horse "}}]
    assert answers(SCREENING, correct, 1) == ({0: "correct"}, {0: "a horse"})


@pytest.mark.parametrize(
    ("form", "bad"),
    [
        (GRADING, []),
        (GRADING, [chosen(1)]),
        (GRADING, [chosen(1, UNUSED)]),
        (GRADING, [chosen(1, "2", "1")]),
        (GRADING, [chosen(1, "2"), chosen(1, "2")]),
        (GRADING, [chosen(1, "3")]),
        (GRADING, [chosen(1, "High")]),
        (GRADING, [chosen(1, "keep")]),
        (GRADING, [chosen(1, "")]),
        (GRADING, [chosen(1, "2", from_name="answer_1")]),
        (GRADING, [chosen(1, "2", from_name=None)]),
        (GRADING, [chosen(1, value={"rating": 2})]),
        (GRADING, [chosen(1, value={"choices": None})]),
        (GRADING, [chosen(1, value=None)]),
        (PAIRS, [chosen(1, "a horse")]),
        (SCREENING, [chosen(1, "2")]),
        (SCREENING, [chosen(1, "correct")]),
        (SCREENING, [chosen(1, "correct"), written(1, "  ")]),
        (SCREENING, [chosen(1, "correct"), written(1, "a horse", "a pony")]),
        (SCREENING, [chosen(1, "correct"), written(2, "a horse")]),
    ],
)
def test_what_is_no_answer_is_refused_with_the_number_of_its_question(form, bad):
    first = form.answers[0].value
    page = [chosen(0, first), chosen(2, first), *bad]
    with pytest.raises(Unreadable, match=r"^number 2 "):
        answers(form, page, 3)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ([], "number 1 has no answer"),
        ([chosen(0, UNUSED)], "number 1 has no answer"),
        ([chosen(0, "2", "1")], "number 1 has ['2', '1']"),
        ([chosen(0, "x" * 10_000)], f"number 1 has ['{'x' * 77}…"),
    ],
)
def test_a_refusal_shows_what_was_there(bad, said):
    with pytest.raises(Unreadable) as error:
        answers(GRADING, bad, 1)
    assert str(error.value) == said


@pytest.mark.parametrize(
    "extra",
    [
        {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"},
        {"id": "b", "from_name": "boxes", "type": "rectanglelabels", "value": {"x": 1}},
        chosen(1, "2"),
        chosen(19, "nonsense"),
        written(0, "a text that was written before the answer was changed"),
    ],
)
def test_what_answers_no_question_of_the_page_is_left_out(extra):
    """Relations, regions of other tags, unused questions, texts of labels not corrected."""
    assert answers(GRADING, [chosen(0, "2"), extra], 1) == ({0: "2"}, {})
    assert answers(SCREENING, [extra, chosen(0, "keep")], 1) == ({0: "keep"}, {})


def test_an_annotation_without_results_answers_nothing():
    """What the server has for an annotation that its API was given no results for."""
    with pytest.raises(Unreadable, match="number 1 has no answer"):
        answers(GRADING, None, 1)


def test_golden_exports_of_a_browser_are_read():
    """What Label Studio 1.23.2 stored of the pages that `test_browser` answers by keyboard."""
    path = Path(__file__).parent / "golden" / "browser.json"
    golden = json.loads(path.read_text(encoding="utf-8"))
    (page,) = golden["grading"]
    given, texts = answers(GRADING, page["result"], 20)
    assert (Counter(given.values()), texts) == ({"2": 3, "1": 8, "0": 9}, {})
    sizes = zip(golden["pairs"], (12, 13), strict=True)
    read = [answers(PAIRS, page["result"], n) for page, n in sizes]
    assert read[0][0][0] == "skip"
    assert Counter(answer for given, _ in read for answer in given.values())["skip"] == 1
    (page,) = golden["screening"]
    given, texts = answers(SCREENING, page["result"], 20)
    assert Counter(given.values()) == {"keep": 18, "drop": 1, "correct": 1}
    assert list(texts.values()) == ["a great Yawn"]
    with pytest.raises(Unreadable, match="number 13 has no answer"):
        answers(PAIRS, golden["pairs"][0]["result"], 13)  # the thirteenth was not used
