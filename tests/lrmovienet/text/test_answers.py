"""Every question is put to a model once; what was answered is kept, whatever happened then."""

import json
import os
import pickle
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import DOJO, Scripted, extract, make_clips

from lrmovienet.errors import ItemError, UserError
from lrmovienet.text.answers import (
    Answers,
    Completion,
    Request,
    seed_of,
    shared_tokens,
    surely_fits,
)


def echo(request):
    return Completion(f"{request.prompt}/{request.seed}/{request.listed}", "length", 3, 4)


def ask(answers, *requests):
    """Ask; returns the failures. `requests` may be texts."""
    return answers.ask([r if isinstance(r, Request) else Request(r) for r in requests], int)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "answers.sqlite"


def test_answers_come_back_as_they_were(path):
    answers = Answers(path, Scripted(echo))
    odd = [Request("a"), Request(" a"), Request("a\n"), Request("ä"), Request("é"),
           Request("e\u0301"), Request("a\x00b"), Request(""), Request("x" * 100_000)]  # fmt: skip
    assert ask(answers, *odd) == {}
    assert answers.known(odd) == {request: echo(request) for request in odd}


def test_equal_questions_are_asked_once(path):
    generator = Scripted(echo)
    answers = Answers(path, generator)
    ask(answers, "a", "b", "a", "a")
    ask(answers, "b", "c")
    ask(Answers(path, generator), "c", "a")
    assert [r.prompt for r in generator.asked] == ["a", "b", "c"]
    assert answers.missing([Request("a"), Request("d"), Request("d"), Request("e")]) == 2


def test_progress_counts_questions_that_were_asked(path):
    counts = []
    answers = Answers(path, Scripted(echo, batch=2))
    ask(answers, "a")
    requests = [Request(x) for x in "abbcdef"]
    assert answers.missing(requests) == 5
    answers.ask(requests, counts.append)
    assert counts == [2, 2, 1]


def test_without_drawing_the_seed_makes_no_difference(path):
    generator = Scripted(echo)
    answers = Answers(path, generator)
    one, two = Request("a", seed=1), Request("a", seed=2)
    ask(answers, one, two)
    ask(answers, Request("a", seed=3))
    assert len(generator.asked) == 1
    known = answers.known([one, two])
    assert known[one] == known[two]


def test_what_is_drawn_hangs_on_the_seed(path):
    generator = Scripted(echo, temperature=0.8)
    answers = Answers(path, generator)
    one, two = Request("a", seed=1), Request("a", seed=2)
    ask(answers, one, two, one)
    assert generator.asked == [one, two]
    assert answers.known([one, two]) == {one: echo(one), two: echo(two)}
    assert answers.known([Request("a", seed=3)]) == {}


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_forced_list_is_another_question(path, temperature):
    generator = Scripted(echo, temperature=temperature)
    answers = Answers(path, generator)
    free, listed = Request("a"), Request("a", listed=True)
    ask(answers, free, listed)
    assert answers.known([free, listed]) == {free: echo(free), listed: echo(listed)}


def test_what_prompts_share_makes_no_other_question(path):
    generator = Scripted(echo)
    answers = Answers(path, generator)
    ask(answers, Request("abc", shared=2))
    ask(answers, Request("abc"), Request("abc", shared=1))
    assert len(generator.asked) == 1


def test_another_model_or_stop_string_is_another_question(path):
    ask(Answers(path, Scripted(echo)), "a")
    assert Answers(path, Scripted(echo, about="two")).missing([Request("a")]) == 1
    assert Answers(path, Scripted(echo), ("END",)).missing([Request("a")]) == 1
    assert Answers(path, Scripted(echo)).missing([Request("a")]) == 0


def test_failures_are_not_kept_and_asked_again(path):
    well = []

    def answer(request):
        return echo(request) if well or request.prompt != "b" else ItemError("too long")

    generator = Scripted(answer, batch=2)
    answers = Answers(path, generator)
    one, two = Request("b", seed=1), Request("b", seed=2)
    assert ask(answers, "a", one, "c", two) == {one: "too long", two: "too long"}
    assert set(answers.known([Request("a"), one, Request("c")])) == {Request("a"), Request("c")}
    well.append(True)
    generator.asked.clear()
    assert ask(answers, "a", one, "c") == {}
    assert [r.prompt for r in generator.asked] == ["b"]
    assert ask(answers, "a", one, "c") == {}
    assert len(generator.asked) == 1


@pytest.mark.parametrize("error", [UserError("the server is gone"), KeyError("oh")])
@pytest.mark.parametrize("batch", [1, 2])
def test_what_came_before_an_error_is_kept(path, error, batch):
    def answer(request):
        if request.prompt == "f":
            raise error
        return echo(request)

    generator = Scripted(answer, batch=batch)
    answers = Answers(path, generator)
    with pytest.raises(type(error)):
        ask(answers, *"abcdefgh")
    # "f" is the sixth: of batches of two, the third, with "e", was not given back.
    assert "".join(r.prompt for r in answers.known([Request(x) for x in "abcdefgh"])) == (
        "abcde" if batch == 1 else "abcd"
    )


def test_ten_thousand_known_answers_come_back_right(path):
    requests = [Request(f"question {i}") for i in range(10_000)]
    generator = Scripted(echo, batch=10_000)
    answers = Answers(path, generator)
    ask(answers, *requests)
    known = answers.known([*requests, Request("another")])
    assert len(known) == 10_000
    assert all(known[request] == echo(request) for request in requests)
    assert ask(answers, *requests) == {}
    assert len(generator.asked) == 10_000


CHILD = """
import sys
from pathlib import Path
from scripted import Scripted
from lrmovienet.text.answers import Answers, Request
answers = Answers(Path(sys.argv[1]), Scripted(lambda r: r.prompt + "!"))
answers.ask([Request("ä"), Request("b")], int)
"""


def test_answers_of_another_process_are_known(path):
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    subprocess.run([sys.executable, "-c", CHILD, path], env=env, check=True)
    answers = Answers(path, Scripted(echo))
    assert {r.prompt: c.text for r, c in answers.known([Request("ä"), Request("b")]).items()} == {
        "ä": "ä!", "b": "b!",
    }  # fmt: skip


# --- seeds ---


def test_seeds_differ_by_run_clip_and_prompt():
    seeds = {seed_of(run, clip, prompt) for run in (0, 1) for clip in "ab" for prompt in "xy"}
    assert len(seeds) == 8
    assert seed_of(0, "a", "x") == seed_of(0, "a", "x")


@given(st.integers(), st.text(), st.text(alphabet=st.characters()))
def test_seeds_are_31_bits(run, clip_id, prompt):
    assert 0 <= seed_of(run, clip_id, prompt) < 2**31


def test_seeds_are_the_same_everywhere():
    """First 31 bits of the sha256 of "0\\ntt1_0000\\nprompt"."""
    assert seed_of(0, "tt1_0000", "prompt") == 0x30E91B8E >> 1


@given(st.text(alphabet=st.characters(), max_size=50), st.integers(0, 100))
def test_a_text_surely_fits_only_where_its_bytes_do(text, room):
    if surely_fits(text, room):
        assert len(text.encode("utf-8", "replace")) <= room - 8


@pytest.mark.parametrize(
    ("tokens", "beginning", "expected"),
    [
        ([1, 2, 3, 4], [1, 2, 3], 2),  # the last shared token may grow into another
        ([1, 2, 9, 4], [1, 2, 3], 2),
        ([1, 9, 3, 4], [1, 2, 3], 1),
        ([9, 2, 3, 4], [1, 2, 3], 0),
        ([1, 2, 3], [1, 2, 3], 2),  # one is left to read
        ([1, 2], [1, 2, 3], 1),
        ([1], [1], 0),
        ([1, 2], [1], 0),
        ([1, 2], [], 0),
        ([], [], 0),
    ],
)
def test_tokens_that_are_read_once(tokens, beginning, expected):
    assert shared_tokens(tokens, beginning) == expected


# --- the file ---


def test_pickled_requests_are_the_same_question(tmp_path):
    generator = Scripted(echo)
    ask(Answers(tmp_path / "c", generator), Request("a"))
    ask(Answers(tmp_path / "c", generator), pickle.loads(pickle.dumps(Request("a"))))
    assert len(generator.asked) == 1


@pytest.mark.parametrize(
    "content", [b"no database at all " * 100, b"SQLite format 3\x00" + b"x" * 99]
)
def test_a_damaged_file_is_one_message(tmp_path, use, capsys, content):
    make_clips(tmp_path, [DOJO])
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "answers.sqlite").write_bytes(content)
    generator = use(Scripted(lambda r: " fight"))
    assert extract(tmp_path) == 2
    said = capsys.readouterr().err
    assert "answers.sqlite: damaged" in said
    assert "Delete it: it only saves work" in said
    assert len(said.splitlines()) == 1
    assert generator.asked == []


def test_a_cache_that_cannot_be_opened_is_one_message(tmp_path, use, capsys):
    make_clips(tmp_path, [DOJO])
    (tmp_path / "cache" / "answers.sqlite").mkdir(parents=True)
    use(Scripted(lambda r: " fight"))
    assert extract(tmp_path) == 2
    said = capsys.readouterr().err
    assert "answers.sqlite" in said
    assert len(said.splitlines()) == 1


def test_the_file_is_plain_sqlite_with_json(path):
    """Somebody else can read what a model said."""
    ask(Answers(path, Scripted(echo)), "a")
    with sqlite3.connect(path) as database:
        ((key, value),) = database.execute("SELECT key, value FROM results")
    assert len(key) == 64
    assert json.loads(value)["text"] == "a/0/False"
