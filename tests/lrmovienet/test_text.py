import json
import pickle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eval.labels import normal_form
from lrmovienet.cli import main
from lrmovienet.errors import ItemError, UserError
from lrmovienet.runner.local import Job, run_once, run_table
from lrmovienet.text import LabelExtractor, parse
from lrmovienet.text.parse import clean, screen, stem
from lrmovienet.text.prompts import KINDS, PROMPTS, fit, one_line
from lrmovienet.text.transformers import (
    PACKAGED,
    Continuation,
    TransformersGenerator,
    identify,
)
from lrmovienet.workspace import Workspace

DOJO = "Neo and Morpheus fight in the dojo while the crew watches them on the green monitors."


def kept(answer, complete=True):
    return [label.text for label in parse.parse(answer, complete) if label.reason is None]


def reasons(answer, complete=True):
    return {x.text: x.reason for x in parse.parse(answer, complete) if x.reason is not None}


# --- parse: the shapes of answers ---


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
    answer = "1. fight\n" * 10_000
    labels = parse.parse(answer)
    assert len(labels) <= parse.MAX_ANSWER // 9 + 1
    assert labels[-1].reason == parse.CUT_OFF


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


# --- screen ---


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


# --- prompts ---


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


# --- the stage, with answers written down beforehand ---


class Written:
    """Answers by the sentence asked about; a model that is known to the last letter."""

    def __init__(self, answers):
        self.answers = answers

    def __call__(self, prompts, stop):
        return [self.answer(prompt) for prompt in prompts]

    def answer(self, prompt):
        kind = "event" if "Actions:" in prompt else "entity"
        sentence = prompt.rsplit("Sentence: ", 1)[1].partition("\n")[0]
        text, ended = self.answers[kind, sentence]
        return Continuation(text, ended)


ANSWERS = {
    ("event", DOJO): (" fighting\n2. flying\n3. watch\n4. fighting\n\nSentence: more", False),
    ("entity", DOJO): (" Neo and Morpheus\n2. dojo\n3. green mon", False),
    ("event", "They kiss."): (" I cannot help with that request", True),
    ("entity", "They kiss."): ("", True),
}
BATCH = {"clip_id": ["a_0000", "b_0000"], "description": [DOJO, "They \n kiss."]}


def rows_of(columns):
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def test_stage_by_hand():
    rows = rows_of(LabelExtractor(Written(ANSWERS), "model", "fewshot-1")(BATCH))
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
        ("b_0000", "i cannot help with that request", "event: three words or more"),
        ("b_0000", None, "no event label: none of the answer's labels was kept; "
         "the answer: '1. I cannot help with that request'"),
        ("a_0000", "green mon", "entity: cut off at the end of the answer"),
        ("b_0000", None, "no entity label: the answer holds no label; the answer: '1.'"),
    ]  # fmt: skip
    assert {r["generator"] for r in rows if r["label"]} == {"model"}
    assert {r["prompt_version"] for r in rows if r["label"]} == {"fewshot-1"}


def test_stage_says_what_the_model_was_not_shown():
    answers = {(kind, "They kiss."): (" kissing\n\n", True) for kind in KINDS}
    stage = LabelExtractor(Written(answers), "model", "fewshot-1", max_words=4)
    batch = {"clip_id": ["a_0000"], "description": ["They kiss. It rains on them."]}
    rows = rows_of(stage(batch))
    assert (
        rows[0]["drop_reason"] == "the last 4 words of the description were not shown to the model"
    )
    assert [r["label"] for r in rows if not r["drop_reason"]] == ["kissing", "kissing"]


def test_stage_output_is_a_valid_table(tmp_path):
    job = Job(
        "text_labels", LabelExtractor(Written(ANSWERS), "model", "fewshot-1"), [BATCH], "clip_id",
        inputs={}, config={},
    )  # fmt: skip
    run_table(Workspace(tmp_path), job)
    rows = Workspace(tmp_path).read("text_labels")
    dropped = Workspace(tmp_path).read_dropped("text_labels").to_pylist()
    # 9 labels in the four answers and no other row but the two "no label" rows.
    assert rows.num_rows == 5
    assert sum(row["label"] is not None for row in dropped) == 4
    assert sum(row["label"] is None for row in dropped) == 2


# --- models from disk ---


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory):
    """A folder in the Hugging Face layout: a byte-level tokenizer and a random two-layer model."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "tiny"
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {letter: i for i, letter in enumerate([*letters, "<end>"])}
    tokenizer = Tokenizer(models.BPE(vocab, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocab), hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=256, eos_token_id=256, bos_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def test_generation_from_a_folder_is_greedy_and_bounded(tiny_model, capfd):
    prompts = ["a short one", "a rather longer prompt than the other", "x"]
    generate = TransformersGenerator(tiny_model, 12, 2)
    first = generate(prompts)
    assert len(first) == 3
    assert first == generate(prompts)
    assert [x.ended for x in first] == [False] * 3
    # Left padding: the short prompt's answer is the one it gets alone.
    assert TransformersGenerator(tiny_model, 12, 1)(prompts) == first
    assert pickle.loads(pickle.dumps(TransformersGenerator(tiny_model, 12, 2)))(prompts) == first
    assert capfd.readouterr() == ("", "")


def test_generation_stops_behind_a_stop_string(tiny_model):
    free = TransformersGenerator(tiny_model, 12, 1)(["a prompt"])[0].text
    stop = free[2:4]
    cut = TransformersGenerator(tiny_model, 12, 1)(["a prompt"], [stop])[0]
    assert cut.ended
    assert cut.text == free[: free.index(stop) + len(stop)]


def test_a_prompt_longer_than_the_model_reads(tiny_model):
    with pytest.raises(ItemError, match=r"300 tokens of prompt and 12 of answer.*the 256 that"):
        TransformersGenerator(tiny_model, 12, 1)(["x" * 300])


def test_a_model_is_known_by_its_files(tiny_model, tmp_path):
    import shutil

    copy = tmp_path / "tiny"
    shutil.copytree(tiny_model, copy)
    assert identify(copy) == identify(tiny_model)
    assert identify(copy)[0] == "tiny"
    (copy / "notes.md").write_text("not part of the model")
    assert identify(copy) == identify(tiny_model)
    (copy / "generation_config.json").write_text("{}")
    assert identify(copy)[1] != identify(tiny_model)[1]


def test_models_that_are_none(tmp_path, tiny_model):
    import shutil

    for path in (tmp_path, tmp_path / "nothing", tmp_path / "x.bin"):
        with pytest.raises(UserError, match="no language model here"):
            identify(path)
    broken = tmp_path / "broken"
    shutil.copytree(tiny_model, broken)
    (broken / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(UserError, match="this language model cannot be loaded"):
        TransformersGenerator(broken, 4, 1)(["x"])
    (broken / "model.safetensors").unlink()
    (broken / "pytorch_model.bin").write_bytes(b"a pickle would be run")
    with pytest.raises(UserError, match="this language model cannot be loaded"):
        TransformersGenerator(broken, 4, 1)(["x"])


def make_clips(root, descriptions):
    n = len(descriptions)
    columns = {
        "clip_id": [f"tt{i}_0000" for i in range(n)],
        "movie_id": [f"tt{i}" for i in range(n)],
        "title": [None] * n, "genres": [[]] * n, "description": descriptions,
        "shot": [[0, 1]] * n, "frame": [[0, 9]] * n, "start_s": [None] * n, "end_s": [None] * n,
        "keyframes": [[{"ref": f"tt{i}/shot_0000_img_0.jpg", "sha256": ""}] for i in range(n)],
    }  # fmt: skip
    run_once(Workspace(root), "clips", lambda: columns, version="1", inputs={}, config={})


def test_command_line_with_a_model_of_ones_own(tmp_path, tiny_model, capsys):
    make_clips(tmp_path, [DOJO, "They kiss."])
    arguments = ["extract", "--workspace", str(tmp_path), "--model", str(tiny_model),
                 "--prompt", "paper-1", "--max_new_tokens", "8"]  # fmt: skip
    assert main(arguments) == 2  # the paper's prompt has more bytes than this model reads
    assert "2 of 2 failed" in capsys.readouterr().err
    assert main([*arguments, "--max_words", "0"]) == 2
    assert "--max_words 0: give 1 or more" in capsys.readouterr().err
    assert main([*arguments[:3], "--model", str(tmp_path / "gone")]) == 2
    assert "no language model here" in capsys.readouterr().err


@pytest.mark.llm
@pytest.mark.timeout(400)
def test_packaged_model_end_to_end(tmp_path, capsys):
    make_clips(tmp_path, [DOJO, "The bride runs out of the church and drives into the fountain."])
    assert main(["extract", "--workspace", str(tmp_path)]) == 0
    streams = capsys.readouterr()
    assert streams.out.startswith("text_labels: ")
    assert streams.err == ""
    workspace = Workspace(tmp_path)
    found = {
        (r["clip_id"], r["kind"], r["label"]) for r in workspace.read("text_labels").to_pylist()
    }
    assert {
        ("tt0_0000", "event", "fighting"), ("tt0_0000", "entity", "dojo"),
        ("tt1_0000", "event", "running"), ("tt1_0000", "entity", "bride"),
    } <= found  # fmt: skip
    manifest = workspace.require("text_labels")
    assert list(manifest.models) == [PACKAGED]
    assert "{sentence}" in manifest.prompts["fewshot-1/event"]
    assert main(["extract", "--workspace", str(tmp_path)]) == 0
    assert "up to date" in capsys.readouterr().out
