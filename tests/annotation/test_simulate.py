"""What generated people answer: as they are, the same every time, whatever else is on the page."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.forms import FORMS, GRADING, PAIRS, SCREENING
from annotation.results import answers as read
from annotation.results import results
from annotation.simulate import CORRECTED, PEOPLE, SKIPPED, Person, answers
from annotation.tasks import Project, Task
from lrmovienet.cli import main
from lrmovienet.runner.local import run_once
from lrmovienet.workspace import Workspace

EXACT = Person(bias=0.0, noise=0.0, slips=0.0)


def project(form: str, annotator: str = "ann") -> Project:
    return Project(
        1, form, "first", annotator, "1", False, "http://127.0.0.1", 1, None, False, "0" * 16
    )


def page(*questions: tuple[str, ...]) -> Task:
    return Task(1, "uid", 0, questions, (None,) * len(questions), 1)


def said(
    form: str, questions: list[tuple[str, ...]], person: Person, truth: dict, **more: object
) -> list[str]:
    who = project(form, more.pop("annotator", "ann"))
    given, _ = answers(who, page(*questions), "c", person, truth, more.pop("seed", 0))
    assert list(given) == list(range(len(questions)))
    return list(given.values())


def labels(n: int) -> list[tuple[str, ...]]:
    return [(f"label {i}",) for i in range(n)]


MANY = 2000
TRUTH = {("c", f"label {i}"): i % 3 for i in range(MANY)}


def test_who_sees_what_is_true_says_it():
    assert said("grading", labels(9), EXACT, TRUTH) == ["0", "1", "2"] * 3
    assert said("grading", [("unheard of",)], EXACT, TRUTH) == ["0"]
    # The truth of another clip is not this one's.
    assert said("grading", [("x",)], EXACT, {("d", "x"): 2}) == ["0"]


@pytest.mark.parametrize(
    ("bias", "grades"),
    [(0.49, "012"), (0.5, "122"), (-0.5, "012"), (-0.51, "001"), (9.0, "222"), (-9.0, "000")],
)
def test_bias_is_added_and_the_nearest_grade_said(bias, grades):
    """Of two as near the higher, and never beyond the scale."""
    assert said("grading", labels(3), Person(bias, 0.0, 0.0), TRUTH) == list(grades)


def test_pairs_by_hand():
    """Choices go by which label is shown first; what is as relevant is a tie. Some are skipped."""
    pairs = [(f"label {i}", f"label {i + 1}") for i in range(300)]
    found = said("pairs", pairs, EXACT, TRUTH)
    # 0 against 1 and 1 against 2 are for the second, 2 against 0 for the first.
    expected = ["b", "b", "a"] * 100
    assert {a for a, b in zip(found, expected, strict=True) if a != b} <= {"skip"}
    assert set(found) == {"a", "b", "skip"}
    swapped = said("pairs", [pair[::-1] for pair in pairs], EXACT, TRUTH)
    assert {a for a, b in zip(swapped, expected, strict=True) if a == b} == set()
    equal = said("pairs", [("label 0", f"label {3 * i}") for i in range(1, 200)], EXACT, TRUTH)
    assert set(equal) == {"tie", "skip"}


def test_screening_drops_what_seems_less_than_low_and_corrects_a_few():
    truth = {("c", f"label {i}"): 0 for i in range(MANY)}
    assert set(said("screening", labels(MANY), EXACT, truth)) == {"keep", "correct"}
    assert set(said("screening", labels(MANY), Person(-0.5, 0, 0), truth)) == {"drop", "correct"}
    given, texts = answers(project("screening"), page(*labels(MANY)), "c", EXACT, truth, 0)
    corrected = {slot for slot, verdict in given.items() if verdict == "correct"}
    assert set(texts) == corrected
    assert {texts[slot] for slot in corrected} == {f"label {slot} again" for slot in corrected}


def near(found: float, share: float, of: int) -> bool:
    """Within four standard deviations of a share."""
    return abs(found - share) < 4 * np.sqrt(share * (1 - share) / of)


@pytest.mark.parametrize(
    ("form", "rare", "share"), [("pairs", "skip", SKIPPED), ("screening", "correct", CORRECTED)]
)
def test_rare_answers_are_as_rare_as_stated(form, rare, share):
    questions = labels(MANY) if form == "screening" else [(f"{i}", f"x{i}") for i in range(MANY)]
    assert near(said(form, questions, EXACT, {}).count(rare) / MANY, share, MANY)


@pytest.mark.parametrize(
    ("form", "answered"),
    [
        ("grading", ["2", "1", "0"]),
        ("pairs", ["a", "b", "tie", "skip"]),
        ("screening", ["keep", "drop"]),  # a slip corrects nothing: there would be no text
    ],
)
def test_slips_are_any_answer_with_equal_chance(form, answered):
    questions = labels(MANY) if form != "pairs" else [(f"{i}", f"x{i}") for i in range(MANY)]
    found = said(form, questions, Person(0.0, 0.0, 1.0), TRUTH)
    assert set(found) == set(answered)
    for answer in answered:
        assert near(found.count(answer) / MANY, 1 / len(answered), MANY)


def test_people_are_what_they_are_called():
    """On medium labels: a share of right, and of too low and too high, from the normal law."""
    truth = dict.fromkeys(TRUTH, 1)

    def shares(kind: str) -> list[float]:
        found = said("grading", labels(MANY), PEOPLE[kind], truth)
        return [found.count(grade) / MANY for grade in "012"]

    # Half a grade is two standard deviations for the careful one, one for the careless one, who
    # gives a tenth of all answers to each grade without looking.
    assert near(shares("careful")[1], 0.9545, MANY)
    assert near(shares("careless")[1], 0.7 * 0.6827 + 0.1, MANY)
    # (0.5 - 0.35) / 0.3 is half a standard deviation: .3085 lie beyond.
    assert near(shares("strict")[0], 0.99 * 0.3085 + 0.01 / 3, MANY)
    assert near(shares("generous")[2], 0.99 * 0.3085 + 0.01 / 3, MANY)


def test_seed_person_clip_and_form_decide():
    def grades(**more: object) -> list[str]:
        return said("grading", labels(200), PEOPLE["careless"], TRUTH, **more)

    assert grades() == grades()
    assert grades(seed=1) != grades() != grades(annotator="bob")
    other, _ = answers(project("grading"), page(*labels(200)), "d", PEOPLE["careless"], {}, 0)
    same, _ = answers(project("grading"), page(*labels(200)), "c", PEOPLE["careless"], {}, 0)
    assert other != same


@settings(max_examples=40)
@given(st.sampled_from(sorted(FORMS)), st.data())
def test_an_answer_does_not_depend_on_what_else_is_asked(form, data):
    words = st.sampled_from("abcdefghijkl")
    question = st.tuples(words, words) if form == "pairs" else st.tuples(words)
    questions = data.draw(st.lists(question, min_size=1, max_size=10, unique=True))
    some = data.draw(st.permutations(questions))[: len(questions) // 2 + 1]
    truth = {("c", label): i % 3 for i, label in enumerate("abcdefghijkl")}
    everything = dict(zip(questions, said(form, questions, PEOPLE["careless"], truth), strict=True))
    assert said(form, some, PEOPLE["careless"], truth) == [everything[asked] for asked in some]


@pytest.mark.parametrize("form", [GRADING, PAIRS, SCREENING], ids=lambda form: form.name)
def test_what_they_say_is_what_the_form_takes(form):
    questions = [(f"label {i}", f"x {i}")[: 2 if form is PAIRS else 1] for i in range(form.slots)]
    for seed in range(40):
        task = page(*questions)
        given, texts = answers(
            project(form.name), task, "c", PEOPLE["careless"], TRUTH, seed
        )  # fmt: skip
        assert read(form, results(given, texts), len(questions)) == (given, texts)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--people", "careful", "lazy"], "--people lazy: there are careful, strict"),
        (["--people=[]"], "give at least one of --people"),
        (["--seed", "-1"], "--seed of 0 or more"),
        ([], "no table 'relevance' here yet"),
        (["--truth", "TRUE"], "nothing was pushed from here yet. Run first: lrmovienet annotate"),
    ],
)
def test_what_is_wrong_is_said_before_a_server_is_asked(words, message, tmp_path, capsys):
    grade = {"clip_id": ["c"], "label": ["x"], "grade": [1], "n_ratings": [1], "spread": [0],
             "method": ["m"]}  # fmt: skip
    true = Workspace(tmp_path / "true")
    run_once(true, "relevance", lambda: grade, version="1", inputs={}, config={})
    words = [str(true.root) if word == "TRUE" else word for word in words]
    base = ["annotate", "simulate", "--workspace", str(tmp_path / "w")]
    if "--truth" not in words:
        base += ["--truth", str(tmp_path / "nowhere")]
    assert main([*base, *words]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
