"""Which questions are put to a model, when one is put a second time, and which answer counts."""

from dataclasses import replace

import pytest
from scripted import DOJO, KISS, Scripted, kind_of, sentence_of

from lrmovienet.errors import ItemError
from lrmovienet.text import ask_all, parse
from lrmovienet.text.answers import Answers, Completion, seed_of
from lrmovienet.text.grammar import numbered_list
from lrmovienet.text.labels import Answer
from lrmovienet.text.prompts import KINDS, PROMPTS, Prompt

PLAIN = Prompt("plain", "Do: {sentence}", "See: {sentence}")
AGAIN = replace(PLAIN, again="\n1.")
PROSE = "I am a language model and I see nothing."


@pytest.fixture
def ask(tmp_path):
    """Ask about sentences, by clip; `ask.generator` notes what was asked."""

    def ask(prompt, answer, sentences, can_list=False, temperature=0.0, **options):
        ask.generator = Scripted(answer, temperature=temperature, can_list=can_list)
        answers = Answers(tmp_path / "c.sqlite", ask.generator, prompt.stop)
        return ask_all(sentences, prompt, answers, **options)

    return ask


def prompts(ask):
    return [request.prompt for request in ask.generator.asked]


def test_every_clip_is_asked_about_both_kinds(ask):
    answered = ask(PLAIN, lambda r: f"1. {r.prompt[:2]}", {"a": "x", "b": "y"})
    assert answered == {
        ("a", "event"): Answer("1. Do", True), ("a", "entity"): Answer("1. Se", True),
        ("b", "event"): Answer("1. Do", True), ("b", "entity"): Answer("1. Se", True),
    }  # fmt: skip
    assert prompts(ask) == ["Do: x", "See: x", "Do: y", "See: y"]


def test_what_prompts_share_is_said_of_each(ask):
    prompt = Prompt("p", "Do this: {sentence}!", "{sentence}", again=" >")
    ask(prompt, lambda r: PROSE, {"a": "x"})
    assert [(r.prompt, r.prompt[: r.shared]) for r in ask.generator.asked] == [
        ("Do this: x!", "Do this: "), ("x", ""), ("Do this: x! >", "Do this: "), ("x >", ""),
    ]  # fmt: skip


def test_no_clips_are_no_questions(ask):
    assert ask(PLAIN, lambda r: "1. x", {}) == {}
    assert prompts(ask) == []


def test_an_answer_is_the_cue_and_what_follows_up_to_a_stop_string(ask):
    prompt = Prompt("p", "Do: {sentence} 1.", "See: {sentence} 1.", cue="1.", stop=("END",))
    said = Completion(" fight\nEND 2. more", "length")
    answered = ask(prompt, lambda r: said, {"a": "x"})
    assert answered["a", "event"] == Answer("1. fight\n", True)


@pytest.mark.parametrize("finish", ["length", "timeout"])
def test_a_limit_leaves_an_answer_incomplete(ask, finish):
    answered = ask(PLAIN, lambda r: Completion("1. fight\n2. wat", finish), {"a": "x"})
    assert answered["a", "event"] == Answer("1. fight\n2. wat", False)


def test_the_second_question_begins_the_answer(ask):
    def answer(request):
        if request.prompt == "See: x":
            return "1. dojo"
        return " fight\n2. watch" if request.prompt.endswith("\n1.") else PROSE

    answered = ask(AGAIN, answer, {"a": "x"})
    assert prompts(ask) == ["Do: x", "See: x", "Do: x\n1."]
    assert answered["a", "event"] == Answer("\n1. fight\n2. watch", True, first=PROSE)
    assert answered["a", "entity"] == Answer("1. dojo", True)


@pytest.mark.parametrize("prompt", [PLAIN, PROMPTS["fewshot-1"]])
def test_the_second_question_forces_a_list_where_the_engine_can(ask, prompt):
    def answer(request):
        return "1. fight\n" if request.listed else PROSE

    answered = ask(prompt, answer, {"a": DOJO}, can_list=True)
    first, second = ask.generator.asked[:2], ask.generator.asked[2:]
    assert [r.prompt for r in second] == [r.prompt for r in first]
    assert [r.listed for r in first + second] == [False, False, True, True]
    assert answered["a", "event"].first == prompt.finish(PROSE, True)[0]


@pytest.mark.parametrize("version", PROMPTS)
def test_a_list_that_was_forced_is_numbered_once(ask, version):
    """With the cue or `again` before it, the grammar's own "1." must not come on top."""
    prompt = PROMPTS[version]
    begin = "1." if 'root ::= "1."' in numbered_list(prompt.cue) else ""

    def answer(request):
        return f"{begin} fight\n2. dojo\n3. crew\n" if request.listed else PROSE

    answered = ask(prompt, answer, {"a": DOJO}, can_list=True)
    for kind in KINDS:
        assert answered["a", kind].first is not None
        text = answered["a", kind].text
        assert [x.text for x in parse.parse(text)] == ["fight", "dojo", "crew"], text


def test_without_another_question_none_is_asked(ask):
    answered = ask(PLAIN, lambda r: PROSE, {"a": "x"})
    assert prompts(ask) == ["Do: x", "See: x"]
    assert answered["a", "event"] == Answer(PROSE, True)


def test_a_list_that_was_forced_already_is_not_forced_again(ask):
    answered = ask(PLAIN, lambda r: "1. of\n", {"a": "x"}, can_list=True, listed=True)
    assert [r.listed for r in ask.generator.asked] == [True, True]
    assert answered["a", "event"] == Answer("1. of\n", True)


def test_no_second_question_where_none_is_wanted(ask):
    ask(AGAIN, lambda r: PROSE, {"a": "x"}, can_list=True, ask_again=False)
    assert len(prompts(ask)) == 2


@pytest.mark.parametrize("bad", [PROSE, "", "1.", "of them", "1985", "one two three four"])
def test_never_a_third_question_and_the_first_answer_counts(ask, bad):
    answered = ask(AGAIN, lambda r: bad, {"a": "x", "b": "y"}, can_list=True)
    assert len(ask.generator.asked) == 2 * 2 * 2
    assert len({r.prompt + str(r.listed) for r in ask.generator.asked}) == 8
    assert set(answered.values()) == {Answer(bad, True)}


@pytest.mark.parametrize("good", ["fight", "1. fight", '["dojo"]', "1. one two three\n2. dojo"])
def test_one_label_is_enough(ask, good):
    ask(AGAIN, lambda r: good, {"a": "x"}, can_list=True)
    assert len(ask.generator.asked) == 2


def test_a_label_that_was_cut_off_is_none(ask):
    """The only label of an answer that a limit ended may be half a word."""
    answered = ask(
        AGAIN,
        lambda r: " fight\n" if r.prompt.endswith("\n1.") else Completion("1. fig", "length"),
        {"a": "x"},
    )
    assert answered["a", "event"] == Answer("\n1. fight\n", True, first="1. fig")


@pytest.mark.parametrize("fails", ["first", "second"])
def test_a_failure_is_that_clips_alone(ask, fails):
    def answer(request):
        if "bad" in request.prompt and request.prompt.endswith("\n1.") == (fails == "second"):
            return ItemError(f"{fails} question: too long")
        return " fight" if request.prompt.endswith("\n1.") else PROSE

    answered = ask(AGAIN, answer, {"a": "x", "b": "bad", "c": "y"})
    for kind in KINDS:
        assert answered["b", kind].failure == f"{fails} question: too long"
        assert answered["a", kind] == answered["c", kind] == Answer("\n1. fight", True, PROSE)
    assert len(prompts(ask)) == (6 + 4 if fails == "first" else 6 + 6)


def test_equal_descriptions_are_one_question(ask):
    answered = ask(AGAIN, lambda r: PROSE, {"a": "x", "b": "x", "c": "x"})
    assert prompts(ask) == ["Do: x", "See: x", "Do: x\n1.", "See: x\n1."]
    assert len(answered) == 6


def test_where_words_are_drawn_each_clip_has_its_own_seed(ask):
    sentences = {"a": "x", "b": "x"}
    ask(AGAIN, lambda r: PROSE, sentences, temperature=0.8, seed=5)
    assert [(r.prompt, r.seed) for r in ask.generator.asked[:4]] == [
        (p, seed_of(5, clip, p)) for clip in sentences for p in ("Do: x", "See: x")
    ]
    asked = set(ask.generator.asked)
    assert len({r.seed for r in asked}) == 8
    ask(AGAIN, lambda r: PROSE, sentences, temperature=0.8, seed=6)
    assert len(ask.generator.asked) == 8
    assert not asked & set(ask.generator.asked)
    ask(AGAIN, lambda r: PROSE, dict(reversed(sentences.items())), temperature=0.8, seed=5)
    assert ask.generator.asked == []


def test_helpers_read_the_built_in_prompts():
    for prompt in PROMPTS.values():
        for kind in KINDS:
            text = prompt.text(kind, KISS)
            assert (kind_of(text), sentence_of(text)) == (kind, KISS)
