"""What the model is asked: the prompts, one's own prompts, and descriptions cut to fit."""

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from scripted import extract

from lrmovienet.errors import UserError
from lrmovienet.text import parse
from lrmovienet.text.parse import screen
from lrmovienet.text.prompts import KINDS, PROMPTS, Prompt, fit, fit_model, load_prompt, one_line


def test_prompts_put_the_description_in():
    for prompt in PROMPTS.values():
        for kind in KINDS:
            text = prompt.text(kind, "A {brace} and a \\1.")
            assert "A {brace} and a \\1." in text
            assert "{sentence}" not in text
            assert text.endswith(prompt.cue)
        assert prompt.text("event", "x") != prompt.text("entity", "x")


def test_the_papers_prompts_word_for_word():
    event = PROMPTS["paper-1"].text("event", "S.")
    assert event == (
        "Below is an instruction that describes a task. Write a response that appropriately "
        "completes the request. ### Instruction: Use descriptive language tags consisting of less "
        "than three words each to capture events without entities in the following sentence: S. "
        "Please separate the labels by numbers and DO NOT return sentence. ### Response:"
    )
    entity = event.replace("events without entities", "entities")
    assert PROMPTS["paper-1"].text("entity", "S.") == entity


def test_examples_pass_the_checks_they_teach():
    """Every example label is found in its example sentence, in the form that is asked for."""
    for kind in KINDS:
        blocks = PROMPTS["fewshot-1"].text(kind, "End.").split("\n\n")[1:-1]
        assert len(blocks) == 3
        for block in blocks:
            sentence, _, answer = block.removeprefix("Sentence: ").partition("\n")
            labels = screen(parse.parse(answer.partition("\n")[2]), sentence)
            assert len(labels) >= 3
            assert [x for x in labels if x.reason] == []


def test_answers_end_at_the_next_example():
    prompt = PROMPTS["fewshot-1"]
    assert prompt.finish(" fight\n2. dojo\n\nSentence: x", False) == ("1. fight\n2. dojo", True)
    assert prompt.finish(" fight\nSentence: x\n\n", False) == ("1. fight\n", True)
    assert prompt.finish(" fight\n2. do", False) == ("1. fight\n2. do", False)
    assert prompt.finish(" fight", True) == ("1. fight", True)
    assert PROMPTS["paper-1"].finish("a\n\nb", True) == ("a\n\nb", True)


def test_long_descriptions_are_cut_behind_a_sentence():
    text = "One two three. Four five! Six seven eight nine."
    assert fit(text, 9) == (text, 0)
    assert fit(text, 8) == ("One two three. Four five!", 4)
    assert fit(text, 4) == ("One two three.", 6)
    assert fit(text, 2) == ("One two", 7)
    assert one_line("a\n\n b\tc ") == "a b c"


@given(st.lists(st.sampled_from(["a", "b.", 'c?"', "d!", "e"]), max_size=30), st.integers(1, 30))
def test_no_word_is_lost_uncounted(words, most):
    shown, left_out = fit(" ".join(words), most)
    assert len(shown.split()) <= most
    assert len(shown.split()) + left_out == len(words)
    assert " ".join(words).startswith(shown)


# --- prompts of one's own ---

OWN = {"version": "mine-1", "event": "Do: {sentence} 1.", "entity": "See: {sentence} 1."}


def write(path, content):
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_prompt_of_ones_own(tmp_path):
    path = write(tmp_path / "p.yaml", {**OWN, "cue": "1.", "stop": ["\n\n", "END"], "again": " -"})
    prompt = load_prompt(str(path))
    assert prompt == Prompt("mine-1", OWN["event"], OWN["entity"], "1.", ("\n\n", "END"), " -")
    assert prompt.text("entity", "A dojo.") == "See: A dojo. 1."
    assert prompt.finish(" hall\nEND", False) == ("1. hall\n", True)
    assert prompt.finish(" hall", False, again=True) == ("1. - hall", False)
    least = load_prompt(str(write(tmp_path / "q.yaml", OWN)))
    assert (least.cue, least.stop, least.again) == ("", (), "")


@pytest.mark.parametrize("version", PROMPTS)
def test_built_in_prompts_are_named(version):
    assert load_prompt(version) is PROMPTS[version]


WRONG = {
    "just text": "expected version, event and entity",
    "": "expected version, event and entity",
    "- version\n- event": "expected version, event and entity",
    "version: [": "not a readable YAML file",
    "a: 1\n---\nb: 2": "not a readable YAML file",
    "!!python/object/apply:os.getcwd []": "not a readable YAML file",
    'version: "\\x00"\x00': "not a readable YAML file",
    "version: 2026-99-99": "not a readable YAML file",
    "{}": "'version' is missing",
}
WRONG_FIELDS = [
    ({"version": None}, "'version' is None; expected text"),
    ({"version": 1.0}, "'version' is 1.0; expected text"),
    ({"version": ""}, "give your own name as 'version', not ''"),
    ({"version": "  "}, "give your own name as 'version', not '  '"),
    ({"version": "paper-1"}, "give your own name as 'version', not 'paper-1'"),
    ({"version": " fewshot-1 "}, "give your own name as 'version'"),
    ({"event": "no place"}, "'event' does not hold {sentence}"),
    ({"entity": "a {Sentence}"}, "'entity' does not hold {sentence}"),
    ({"entity": ["{sentence}"]}, "'entity' is list; expected text"),
    ({"event": {"a": "{sentence}"}}, "expected text"),
    ({"cue": "2."}, "'event' does not end in the cue '2.'"),
    ({"cue": None}, "'cue' is None; expected text"),
    ({"again": 1}, "'again' is 1; expected text"),
    ({"stop": "END"}, "'stop' is 'END'; expected a list of texts"),
    ({"stop": [1]}, "'stop' is list; expected a list of texts"),
    ({"stop": ["a", ""]}, "'stop' holds an empty text"),
    ({"temperature": 1}, "unknown temperature; known are version, event, entity, cue, stop, again"),
    ({7: "x"}, "unknown 7"),
]


def refused(path):
    """The one message with which a prompt is refused."""
    with pytest.raises(UserError) as raised:
        load_prompt(str(path))
    return str(raised.value)


def test_a_wrong_prompt_ends_the_command_before_anything_is_written(tmp_path, capsys):
    path = write(tmp_path / "p.yaml", {**OWN, "stop": "END"})
    assert extract(tmp_path / "workspace", "--prompt", path) == 2
    streams = capsys.readouterr()
    assert streams.err == f"lrmovienet extract: error: {refused(path)}\n"
    assert streams.out == ""
    assert not (tmp_path / "workspace").exists()


@pytest.mark.parametrize("content", WRONG)
def test_files_that_hold_no_prompt(tmp_path, content):
    said = refused(write(tmp_path / "p.yaml", content))
    assert said.startswith(f"{tmp_path / 'p.yaml'}: {WRONG[content]}")


@pytest.mark.parametrize(("change", "message"), WRONG_FIELDS, ids=str)
def test_fields_that_are_wrong(tmp_path, change, message):
    path = write(tmp_path / "p.yaml", {**OWN, **change})
    said = refused(path)
    assert f"{path}: " in said
    assert message in said


@pytest.mark.parametrize("name", ["version", "event", "entity"])
def test_fields_that_are_missing(tmp_path, name):
    path = write(tmp_path / "p.yaml", {k: v for k, v in OWN.items() if k != name})
    assert f"{name!r} is missing" in refused(path)


def test_files_that_cannot_be_read(tmp_path):
    assert "no such version or file. Give paper-1, fewshot-1" in refused(tmp_path / "p")
    (tmp_path / "latin.yaml").write_bytes("version: caf\xe9".encode("latin-1"))
    assert "not a readable YAML file" in refused(tmp_path / "latin.yaml")
    (tmp_path / "folder.yaml").mkdir()
    assert "no such version or file" in refused(tmp_path / "folder.yaml")


def test_half_a_character_in_a_prompt_is_refused(tmp_path):
    """It could not be written to a manifest or sent to a model."""
    text = 'version: v\nevent: "\\ud83d {sentence}"\nentity: "{sentence}"\n'
    assert "p.yaml" in refused(write(tmp_path / "p.yaml", text))


# --- descriptions that a model cannot read whole ---


def ends_sentence(word):
    return word.rstrip("\"'”’)")[-1:] in (".", "!", "?")


def beginnings(words):
    """Each beginning that may be shown: up to a sentence's end, or any before the first end."""
    first = next((i + 1 for i, word in enumerate(words) if ends_sentence(word)), len(words) + 1)
    return [n for n in range(len(words) + 1) if n < first or n == len(words) or
            ends_sentence(words[n - 1])]  # fmt: skip


TEXT = st.lists(
    st.sampled_from(["a", "bb", "b.", 'c?"', "dddd!", "e.g", "Mr", "(end.)", "ff", "ggg"]),
    min_size=1, max_size=25,
)  # fmt: skip


@given(TEXT, st.integers(1, 30), st.integers(0, 120), st.integers(0, 9), st.integers(0, 9))
@example(["a", "b.", "a", "a"], 4, 6, 0, 2)
@example(["a", "a"], 1, 0, 0, 0)
def test_the_longest_beginning_that_fits_is_shown(words, most, room, event, entity):
    """Both prompts must fit: each is longer than the other in turn."""
    prompt = Prompt("own", "x" * event + "{sentence}", "y" * entity + "{sentence}")

    def fits(text):
        return len(text) <= room

    longest = max(event, entity)
    description = " ".join(words)
    if longest > room:
        with pytest.raises(UserError, match="prompt own: longer than the model can read"):
            fit_model(description, most, prompt, fits)
        return
    fitting = [
        n for n in beginnings(words) if n <= most and len(" ".join(words[:n])) + longest <= room
    ]
    expected = " ".join(words[: fitting[-1]])
    if not expected:  # not one word: as many of its letters as fit
        expected = words[0][: room - longest]
    assert fit_model(description, most, prompt, fits) == (expected, len(words) - fitting[-1])


def test_fitting_by_hand():
    prompt = Prompt("own", "12345{sentence}", "{sentence}")
    text = "One two. Three four. Five."

    def shown(room, words=300):
        return fit_model(text, words, prompt, lambda t: len(t) <= room)

    assert shown(31) == (text, 0)
    assert shown(30) == ("One two. Three four.", 1)
    assert shown(24) == ("One two.", 3)
    assert shown(12) == ("One", 4)
    assert shown(31, words=3) == ("One two.", 3)


def test_a_model_is_asked_about_few_lengths():
    """Counting tokens costs time: a description of 300 words is not tried word by word."""
    asked = []

    def fits(text):
        asked.append(text)
        return len(text) <= 700

    prompt = Prompt("own", "{sentence}", "{sentence}")
    assert len(fit_model("abc " * 300, 300, prompt, fits)[0]) == 699
    assert len(asked) <= 2 * 11


def test_a_script_without_blanks_is_cut_between_letters():
    prompt = Prompt("own", "12345{sentence}", "{sentence}")
    assert fit_model("一二三四五六七八", 300, prompt, lambda text: len(text) <= 9) == (
        "一二三四",
        1,
    )
