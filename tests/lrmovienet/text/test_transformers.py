"""Answers by transformers: a batch is its prompts one by one, and limits are kept."""

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrmovienet.errors import ItemError, UserError
from lrmovienet.text.answers import Completion, Request, surely_fits
from lrmovienet.text.transformers import Transformers, identify


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Networks this small are slower on two threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tiny(tiny_model):
    return Transformers(tiny_model, "tiny", "sha", max_new_tokens=12, context=256, batch_size=2)


def answers(generator, requests, stop=()):
    """Request -> answer; each is given once."""
    given_back = [pair for some in generator.generate(requests, stop) for pair in some]
    assert sorted(r.prompt for r, _ in given_back) == sorted(r.prompt for r in requests)
    return dict(given_back)


def requests_of(*prompts, shared=0):
    return [Request(prompt, shared=shared) for prompt in prompts]


PROMPTS = ["a short one", "a rather longer prompt than the other", "x", "a longer prompt", "yy"]


def test_equal_requests_have_equal_answers_and_nothing_is_printed(tiny, capfd):
    requests = requests_of(*PROMPTS)
    first = answers(tiny, requests)
    assert answers(tiny, requests) == first
    assert answers(pickle.loads(pickle.dumps(tiny)), requests) == first
    assert len({answer.text for answer in first.values()}) > 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("shared", [0, 2])
@pytest.mark.parametrize("batch_size", [2, 3, 16])
def test_a_batch_is_its_prompts_one_by_one(tiny, batch_size, shared):
    """Also where the prompts' first characters are read once for all."""
    prompts = ["a " + prompt for prompt in PROMPTS]
    alone = {p: answers(replace(tiny, batch_size=1), requests_of(p)) for p in prompts}
    together = answers(replace(tiny, batch_size=batch_size), requests_of(*prompts, shared=shared))
    assert {r.prompt: a for r, a in together.items()} == {
        p: answer for p, of_p in alone.items() for answer in of_p.values()
    }


def test_what_was_asked_before_changes_nothing(tiny):
    """Prompts with other beginnings in between, and the same ones in another order."""
    generator = replace(tiny, batch_size=1)
    one = [Request("Do this: a dojo", shared=9), Request("Do this: they fight", shared=9)]
    two = [Request("See that: a dojo", shared=10), Request("See that: the crew", shared=10)]
    mixed = answers(generator, [one[0], two[0], one[1], two[1]])
    assert answers(generator, [two[1], two[0]]) | answers(generator, [one[1], one[0]]) == mixed
    plain = answers(tiny, requests_of(*(r.prompt for r in one + two)))
    assert {r.prompt: a for r, a in mixed.items()} == {r.prompt: a for r, a in plain.items()}


def test_a_whole_prompt_may_be_shared(tiny):
    """Then one of its tokens is left to read."""
    plain = answers(tiny, requests_of("the same"))[Request("the same")]
    assert answers(tiny, [Request("the same", shared=8)])[Request("the same", shared=8)] == plain
    assert answers(tiny, [Request("the same", shared=99)])[Request("the same", shared=99)] == plain


def test_the_seed_and_a_forced_list_are_without_effect(tiny):
    odd = Request("a short one", seed=7, listed=True)
    assert (
        answers(tiny, [odd])[odd]
        == answers(tiny, requests_of("a short one"))[Request("a short one")]
    )
    assert tiny.temperature == 0
    assert not tiny.can_list


def test_tokens_are_counted_by_hand(tiny):
    """One token a byte: é is two; the answer has as many as it may."""
    found = answers(tiny, requests_of("abc", "é", "x" * 244))
    counts = {r.prompt[:3]: (a.prompt_tokens, a.answer_tokens) for r, a in found.items()}
    assert counts == {"abc": (3, 12), "é": (2, 12), "xxx": (244, 12)}
    assert {a.finish for a in found.values()} == {"length"}
    # 256 kinds of bytes, no end: of what is no UTF-8 each byte is one replacement character.
    assert all(1 <= len(a.text) <= 12 for a in found.values())


def pieces(text):
    """Stop strings that would end an answer early: two letters that are a token each."""
    found = [text[i : i + 2] for i in range(len(text) - 4)]
    return [piece for piece in found if piece.isascii() and piece.isprintable()]


def test_an_answer_ends_behind_a_stop_string(tiny):
    """As many tokens as are needed for the stop string to be there, counted one by one."""
    found = answers(tiny, requests_of(*PROMPTS))
    request, stop = next((r, pieces(a.text)[0]) for r, a in found.items() if pieces(a.text))

    def first(n):
        return answers(replace(tiny, max_new_tokens=n), [request])[request].text

    needed = next(n for n in range(1, 13) if stop in first(n))
    cut = answers(tiny, [request], [stop, "never said"])[request]
    assert cut == Completion(first(needed), "stop", len(request.prompt), needed)
    assert needed < 12


def test_a_stop_string_in_one_answer_leaves_the_others_of_its_batch(tiny):
    """What ends early is filled up to the longest; the filling is no part of the answer."""
    generator = replace(tiny, batch_size=8)
    free = answers(generator, requests_of(*PROMPTS))
    texts = [answer.text for answer in free.values()]
    owner, stop = next(
        (request, piece)
        for request, answer in free.items()
        for piece in pieces(answer.text)
        if sum(piece in text for text in texts) == 1
    )
    cut = answers(generator, requests_of(*PROMPTS), [stop])
    assert cut.pop(owner) == answers(generator, [owner], [stop])[owner]
    del free[owner]
    assert cut == free


def test_an_end_token_ends_an_answer_and_counts(tiny_model, tmp_path):
    """A model that was made to say its end token first."""
    from transformers import AutoModelForCausalLM

    folder = tmp_path / "ending"
    shutil.copytree(tiny_model, folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.lm_head.weight[:] = 0
        model.lm_head.weight[256] = model.model.embed_tokens.weight[65] * 0
        model.lm_head.bias = None
        # Every logit is 0 but the end token's, which points where the last state points.
        state = model.model(torch.tensor([[65, 66]])).last_hidden_state[0, -1]
        model.lm_head.weight[256] = state
    model.save_pretrained(folder)
    generator = Transformers(folder, "ending", "sha", max_new_tokens=5, context=64)
    text = generator._tokenizer.decode([65, 66])
    found = answers(generator, requests_of(text))
    assert list(found.values()) == [Completion("", "stop", 2, 1)]


def test_a_prompt_that_is_too_long_fails_alone(tiny):
    """244 bytes and 12 of answer are the 256 that this model reads."""
    generator = replace(tiny, batch_size=8)
    fine, long = ["short", "y" * 244], ["x" * 245, "x" * 300]
    found = answers(generator, requests_of(*long, *fine))
    for prompt in fine:
        assert found[Request(prompt)] == answers(generator, requests_of(prompt))[Request(prompt)]
    for prompt in long:
        error = found[Request(prompt)]
        assert isinstance(error, ItemError)
        assert str(error).startswith(
            f"{len(prompt)} tokens of prompt and 12 of answer are more than the 256 that the model"
        )
    small = replace(tiny, context=64)  # the option's limit, where it is lower than the model's
    error = answers(small, requests_of("x" * 53))[Request("x" * 53)]
    assert "more than the 64 that" in str(error)
    assert isinstance(answers(small, requests_of("x" * 52))[Request("x" * 52)], Completion)


def test_nothing_is_loaded_before_the_first_request():
    generator = Transformers(Path("gone"), "gone", "sha", max_new_tokens=4, context=64)
    assert generator.fits("x" * 52)  # of 60, eight less for what a tokenizer may put around
    assert list(generator.generate([], [])) == []
    with pytest.raises(UserError, match="gone: this language model cannot be loaded"):
        list(generator.generate([Request("x")], []))


def test_fits_counts_tokens(tiny):
    """256 less 12 of answer are 244 bytes."""
    assert tiny.fits("x" * 244)
    assert not tiny.fits("x" * 245)
    assert tiny.fits("é" * 122)
    assert not tiny.fits("é" * 122 + "x")


@settings(max_examples=200)
@given(st.text(max_size=60), st.integers(1, 200))
def test_what_surely_fits_has_no_more_tokens(tiny, text, room):
    """For this tokenizer every byte is a token: the bound could not be lower."""
    tokens = len(tiny._tokenizer(text)["input_ids"])
    assert tokens == len(text.encode())
    if surely_fits(text, room):
        assert tokens <= room
    generator = replace(tiny, context=room + 12)
    assert generator.fits(text) == (tokens <= room)


# --- files ---


def test_a_model_is_known_by_its_files(tiny_model, tmp_path):
    copy = tmp_path / "tiny"
    shutil.copytree(tiny_model, copy)
    assert identify(copy) == identify(tiny_model)
    assert identify(copy)[0] == "tiny"
    (copy / "notes.md").write_text("not part of the model")
    assert identify(copy) == identify(tiny_model)
    (copy / "generation_config.json").write_text("{}")
    assert identify(copy)[1] != identify(tiny_model)[1]


def test_an_answer_hangs_on_weights_and_length_alone(tiny, tmp_path):
    same = replace(tiny, path=tmp_path, name="other", context=9, batch_size=5)
    assert same.identity == tiny.identity
    assert replace(tiny, weights="other").identity != tiny.identity
    assert replace(tiny, max_new_tokens=13).identity != tiny.identity


def test_models_that_are_none(tmp_path, tiny_model):
    for path in (tmp_path, tmp_path / "nothing", tmp_path / "x.bin"):
        with pytest.raises(UserError, match="no language model here"):
            identify(path)
    broken = tmp_path / "broken"
    shutil.copytree(tiny_model, broken)

    def load():
        list(Transformers(broken, "broken", "sha", 4, 64).generate([Request("x")], []))

    (broken / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(UserError, match="this language model cannot be loaded"):
        load()
    (broken / "model.safetensors").unlink()
    (broken / "pytorch_model.bin").write_bytes(b"a pickle would be run")
    with pytest.raises(UserError, match="this language model cannot be loaded"):
        load()
    (broken / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="this language model cannot be loaded"):
        load()
    (tmp_path / "fake.gguf").write_bytes(b"GGUF and nothing more")
    with pytest.raises(UserError, match=r"fake\.gguf: "):
        list(Transformers(tmp_path / "fake.gguf", "f", "s", 4, 64).generate([Request("x")], []))


def test_a_models_folder_never_runs_its_own_program(tiny_model, tmp_path):
    """A folder may say that its model is a program beside it. It is neither run nor asked about."""
    folder = tmp_path / "tiny"
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {
        "AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model", "AutoTokenizer": "own.T",
    }}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(UserError, match="cannot be loaded"):
        list(Transformers(folder, "m", "w").generate([Request("p")], ()))
    assert not (tmp_path / "ran").exists()
