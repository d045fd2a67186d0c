"""Answers from a server: as many at a time as are wanted, each failure its own."""

import json
import socket
import threading
import time
from dataclasses import replace

import pytest
from completion_server import Reply, error, prompt_of, serving
from scripted import (
    DOJO,
    KISS,
    dropped,
    extract,
    kept,
    kind_of,
    make_clips,
    sentence_of,
)

from lrmovienet.errors import ItemError, UserError
from lrmovienet.text import openai_api
from lrmovienet.text.answers import Completion, Request
from lrmovienet.text.grammar import numbered_list
from lrmovienet.text.openai_api import GIVE_UP, OpenAIServer, check_url
from lrmovienet.workspace import Workspace

KEY = "sk-marker-4711-never-to-be-seen"
SAID = {("event", DOJO): " fighting\n2. watching", ("entity", DOJO): " Neo\n2. dojo",
        ("event", KISS): " kissing", ("entity", KISS): " they kiss"}  # fmt: skip
LABELS = [
    ("tt0_0000", "event", "fighting", 0), ("tt0_0000", "event", "watching", 1),
    ("tt0_0000", "entity", "neo", 0), ("tt0_0000", "entity", "dojo", 1),
    ("tt1_0000", "event", "kissing", 0), ("tt1_0000", "entity", "they kiss", 0),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("LRMOVIENET_API_KEY", KEY)


def say(request):
    prompt = prompt_of(request)
    return SAID[kind_of(prompt), sentence_of(prompt)]


def upper(request):
    return prompt_of(request).upper()


def answers(generator, *prompts, stop=()):
    """Prompt -> answer, of requests that are each answered once."""
    requests = [p if isinstance(p, Request) else Request(p) for p in prompts]
    pairs = [pair for some in generator.generate(requests, stop) for pair in some]
    assert len(pairs) == len(requests)
    return {request.prompt: answer for request, answer in pairs}


def run(root, url, *options):
    return extract(root, "--backend", "openai", "--model", "m", "--server", url, *options)


# --- what is sent, and what comes back ---


@pytest.mark.parametrize("chat", [False, True])
def test_a_request_and_its_answer(chat):
    with serving(upper) as (url, served):
        server = OpenAIServer(url, "m", 7, 0.5, 20, 2, chat)
        found = answers(server, Request("a dojo", seed=11), stop=("\n\n", "END"))
    assert found == {"a dojo": Completion("A DOJO", "stop", 3, 2)}
    asked = {"prompt": "a dojo"}
    if chat:
        asked = {"messages": [{"role": "user", "content": "a dojo"}]}
    assert served.requests == [
        {"model": "m", "max_tokens": 7, "temperature": 0.5, "seed": 11, "stop": ["\n\n", "END"],
         **asked}
    ]  # fmt: skip
    assert served.paths == ["/v1/chat/completions" if chat else "/v1/completions"]
    assert served.headers[0]["authorization"] == f"Bearer {KEY}"


def test_no_more_stop_strings_are_sent_than_the_protocol_allows():
    with serving(upper) as (url, served):
        answers(OpenAIServer(url, "m"), "a", stop=tuple("uvwxyz"))
        answers(OpenAIServer(url, "m"), "a")
    assert served.requests[0]["stop"] == ["u", "v", "w", "x"]
    assert served.requests[1].get("stop") is None


def test_a_grammar_is_sent_where_a_list_is_forced():
    with serving(upper) as (url, served):
        answers(OpenAIServer(url, "m", can_list=True, cue="1."), Request("a", listed=True), "b")
    by_prompt = {r["prompt"]: r for r in served.requests}
    assert by_prompt["a"]["grammar"] == numbered_list("1.")
    assert "grammar" not in by_prompt["b"]


def test_a_limit_is_told():
    with serving(lambda r: ("cut of", "length")) as (url, _):
        (answer,) = answers(OpenAIServer(url, "m"), "a").values()
    assert answer == Completion("cut of", "length", 3, 2)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_as_many_are_under_way_as_wanted(concurrency):
    """Each request waits until that many are there: fewer would never be answered."""
    together = threading.Barrier(concurrency)

    def answer(request):
        together.wait(10)
        return upper(request)

    with serving(answer) as (url, served):
        prompts = [f"p{i}" for i in range(4 * concurrency)]
        found = answers(OpenAIServer(url, "m", concurrency=concurrency), *prompts)
    assert {p: a.text for p, a in found.items()} == {p: p.upper() for p in prompts}
    assert served.most == concurrency


def test_answers_come_as_they_are_ready():
    """A slow one does not hold up those behind it."""
    others = threading.Event()

    def answer(request):
        if request["prompt"] == "slow":
            assert others.wait(10)
        return upper(request)

    with serving(answer) as (url, _):
        generator = OpenAIServer(url, "m", concurrency=2)
        order = []
        for some in generator.generate([Request(p) for p in ("slow", "a", "b")], ()):
            order += [request.prompt for request, _ in some]
            if set(order) == {"a", "b"}:
                others.set()
    assert order[2] == "slow"


# --- failures ---


@pytest.mark.parametrize(
    ("status", "headers"), [(429, {"Retry-After": "1"}), (500, {}), (503, {}), (408, {})]
)
def test_a_busy_server_is_asked_again(status, headers):
    refused = []

    def answer(request):
        if len(refused) < (1 if headers else 2):
            refused.append(time.monotonic())
            raise error(status, "busy", **(headers or {"retry-after-ms": "5"}))
        refused.append(time.monotonic())
        return upper(request)

    with serving(answer) as (url, _):
        found = answers(OpenAIServer(url, "m"), "a")
    assert found["a"] == Completion("A", "stop", 3, 2)
    if headers:
        assert refused[1] - refused[0] >= 1  # as long as the server wanted


def test_a_busy_server_is_not_asked_for_ever(monkeypatch):
    def answer(request):
        raise error(500, "always busy", **{"retry-after-ms": "1"})

    with serving(answer) as (url, served):
        (failure,) = answers(OpenAIServer(url, "m"), "a").values()
    assert isinstance(failure, ItemError)
    assert "always busy" in str(failure)
    assert len(served.requests) == openai_api.RETRIES + 1


def test_a_request_that_is_refused_fails_alone(tmp_path):
    """Such as a prompt that is longer than the server's context."""
    make_clips(tmp_path, [DOJO, KISS])

    def answer(request):
        if KISS in request["prompt"]:
            raise error(400, "prompt has 2000 tokens, the context 1024")
        return say(request)

    with serving(answer) as (url, served):
        assert run(tmp_path, url) == 0
        assert len(served.requests) == 4
        assert kept(tmp_path) == LABELS[:4]
        clip, label, reason = dropped(tmp_path)[-1]
        assert (clip, label) == ("tt1_0000", None)
        assert "no answer about its event labels: the server said: " in reason
        assert "prompt has 2000 tokens, the context 1024" in reason
        served.answer = say
        assert run(tmp_path, url) == 0
    assert len(served.requests) == 6
    assert kept(tmp_path) == LABELS


@pytest.mark.parametrize("status", [401, 403, 404, 422])
def test_what_no_request_can_mend_ends_the_run(tmp_path, capsys, status):
    make_clips(tmp_path, [DOJO, KISS])

    def answer(request):
        raise error(status, "not for you")

    with serving(answer) as (url, _):
        assert run(tmp_path, url) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"lrmovienet extract: error: {url}: ")
        assert "not for you" in said
        assert "Check --server and --model, and the key in the environment variable" in said
        assert len(said.splitlines()) == 1
    assert not (tmp_path / "text_labels").exists()


def test_a_server_that_is_not_there(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(openai_api, "RETRIES", 0)
    make_clips(tmp_path, [DOJO, KISS])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    assert run(tmp_path, url) == 2
    said = capsys.readouterr().err
    assert f"{url}: cannot be reached (" in said
    assert "Is the server running" in said
    assert len(said.splitlines()) == 1
    assert KEY not in said


def test_no_answer_in_time_is_that_requests_failure(monkeypatch):
    monkeypatch.setattr(openai_api, "RETRIES", 1)
    gone = threading.Event()

    def answer(request):
        if request["prompt"] == "slow":
            gone.wait(10)
        return upper(request)

    with serving(answer) as (url, served):
        found = answers(OpenAIServer(url, "m", timeout_s=0.4), "slow", "a")
        gone.set()
    assert found["a"].text == "A"
    assert str(found["slow"]) == "no answer within 0.4 s, 2 times."
    assert served.prompts().count("slow") == 2


def test_a_server_that_dies_leaves_what_it_answered(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(openai_api, "RETRIES", 0)
    make_clips(tmp_path, [DOJO, KISS])

    def answer(request):
        if len(served.requests) == 4:
            raise error(401, "the key has expired")
        return say(request)

    with serving(answer) as (url, served):
        assert run(tmp_path, url, "--concurrency", "1") == 2
        assert "the key has expired" in capsys.readouterr().err
        served.answer = say
        served.requests.clear()
        assert run(tmp_path, url) == 0
    assert len(served.requests) == 1
    assert kept(tmp_path) == LABELS


def test_after_many_failures_in_a_row_the_run_ends(tmp_path, capsys):
    """Ten, wherever in the run they begin; one answer in between begins the count anew."""
    sentences = [f"Person {i} dances." for i in range(20)]
    make_clips(tmp_path, sentences)
    count = []

    def answer(request):
        count.append(1)
        if len(count) in (1, 11):
            return " dancing"
        raise Reply(200, '{"error": {"message": "overloaded"}}')

    with serving(answer) as (url, served):
        assert run(tmp_path, url, "--concurrency", "1") == 2
        said = capsys.readouterr().err
    assert f"{url}: {GIVE_UP} requests in a row failed" in said
    assert "What was answered is kept" in said
    # The first and the eleventh were answered: nine failures, then ten; one more is under way.
    assert 21 <= len(served.requests) <= 22


def test_prompts_that_a_server_refuses_do_not_end_the_run(tmp_path):
    """Twenty that are too long for it, before the first that is not."""
    make_clips(tmp_path, [f"Person {i} dances." for i in range(25)])

    def answer(request):
        if int(prompt_of(request).rsplit("Person ", 1)[1].split()[0]) < 20:
            raise error(400, "maximum context length")
        return " dances"

    with serving(answer) as (url, _):
        assert run(tmp_path, url, "--concurrency", "1") == 0
    dropped = Workspace(tmp_path).read_dropped("text_labels").to_pylist()
    assert sum("maximum context length" in row["reason"] for row in dropped) == 20
    rows = Workspace(tmp_path).read("text_labels").to_pylist()
    assert {row["clip_id"] for row in rows} == {f"tt{i}_0000" for i in range(20, 25)}


def test_a_reply_that_drips_or_swells_is_a_failure(monkeypatch):
    monkeypatch.setattr(openai_api, "MOST_BYTES", 1000)
    with serving(lambda request: " dog" * 2000) as (url, _):
        [[(_, answer)]] = OpenAIServer(url, "m").generate([Request("p")], ())
    assert isinstance(answer, ItemError)
    assert "more than 1000 bytes" in str(answer)


def test_a_chat_that_begins_its_own_list_is_numbered_once(tmp_path):
    """The default prompt ends in "1."; what answers a message begins anew."""
    make_clips(tmp_path, [DOJO])
    with serving(lambda r: "1. fighting\n2. watching") as (url, _):
        assert run(tmp_path, url, "--chat", "--require_evidence", "false") == 0
    assert {label for _, _, label, _ in kept(tmp_path)} == {"fighting", "watching"}


# --- addresses, identity, the manifest ---


@pytest.mark.parametrize(
    ("url", "used"),
    [
        ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1"),
        ("https://models.example/v1/", "https://models.example/v1"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1"),
    ],
)
def test_addresses(url, used):
    assert check_url(url) == used


@pytest.mark.parametrize(
    "url", ["", "localhost:8080", "127.0.0.1:8080/v1", "ftp://h/v1", "http://", "http:///v1",
            "http://h:port/v1", "http://h:99999/v1", "http://[::1/v1"],
)  # fmt: skip
def test_addresses_that_are_none(url):
    with pytest.raises(UserError, match="--server"):
        check_url(url)


def test_what_an_answer_hangs_on():
    """The cue among it: behind another one a forced list begins otherwise."""
    server = OpenAIServer("http://h/v1", "m", can_list=True, cue="1.")
    for change in ({"url": "http://i/v1"}, {"name": "n"}, {"chat": True}, {"temperature": 0.5},
                   {"max_new_tokens": 7}, {"cue": ""}):  # fmt: skip
        assert replace(server, **change).identity != server.identity, change
    assert replace(server, concurrency=1, timeout_s=5).identity == server.identity
    assert server.fits("word " * 10**5)


def test_the_manifest_says_who_served_it(tmp_path):
    make_clips(tmp_path, [DOJO, KISS])
    with serving(say) as (url, served):
        assert run(tmp_path, url) == 0
        assert run(tmp_path, url, "--concurrency", "2") == 0
    assert len(served.requests) == 4
    assert kept(tmp_path) == LABELS
    manifest = json.loads((tmp_path / "text_labels" / "manifest.json").read_bytes())
    assert manifest["models"] == {"m": f"served at {url.removeprefix('http://')[:-3]}"}
    assert manifest["config"]["server"] == url
    assert "key" not in json.dumps(manifest["config"])
