"""The key of a server stands in nothing that is said or written."""

import pytest
from completion_server import error, prompt_of, serving
from scripted import (
    DOJO,
    KISS,
    dropped,
    everything_written,
    extract,
    kind_of,
    make_clips,
)

from lrmovienet.errors import UserError
from lrmovienet.text import openai_api
from lrmovienet.text.answers import Request
from lrmovienet.text.openai_api import OpenAIServer, check_url

KEY = "sk-marker-4711-never-to-be-seen"


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("LRMOVIENET_API_KEY", KEY)


def say(request):
    return " fighting" if kind_of(prompt_of(request)) == "event" else " dojo"


def run(root, url, *options):
    return extract(root, "--backend", "openai", "--model", "m", "--server", url, *options)


@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_the_key_stands_nowhere(tmp_path, capsys, caplog, monkeypatch, status):
    """Also where the server says it back, as some do when it is wrong."""
    monkeypatch.setattr(openai_api, "RETRIES", 0)
    make_clips(tmp_path, [DOJO, KISS])

    def answer(request):
        if status != 200 and KISS in request["prompt"]:
            raise error(status, f"Incorrect API key provided: {KEY}")
        return say(request)

    with serving(answer) as (url, served):
        assert run(tmp_path, url) == (2 if status == 401 else 0)
        assert {h["authorization"] for h in served.headers} == {f"Bearer {KEY}"}
    streams = capsys.readouterr()
    reasons = [] if status == 401 else [reason for _, _, reason in dropped(tmp_path)]
    assert KEY not in streams.out + streams.err + caplog.text + "".join(reasons)
    assert KEY.encode() not in everything_written(tmp_path)


@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY} é", f"{KEY}\r\nX: y"])
def test_a_key_that_is_none_is_not_shown(tmp_path, capsys, caplog, monkeypatch, key):
    """Such as one that was read from a file, with its line end."""
    monkeypatch.setattr(openai_api, "RETRIES", 0)
    monkeypatch.setenv("LRMOVIENET_API_KEY", key)
    make_clips(tmp_path, [DOJO])
    with serving(say) as (url, _):
        assert run(tmp_path, url) in (0, 2)
    streams = capsys.readouterr()
    assert KEY not in streams.out + streams.err + caplog.text
    assert KEY.encode() not in everything_written(tmp_path)


def test_which_key_is_sent(monkeypatch):
    def sent():
        with serving(say) as (url, served):
            list(OpenAIServer(url, "m").generate([Request("a")], ()))
        return served.headers[0]["authorization"]

    monkeypatch.setenv("OPENAI_API_KEY", "other")
    assert sent() == f"Bearer {KEY}"
    monkeypatch.delenv("LRMOVIENET_API_KEY")
    assert sent() == "Bearer other"
    monkeypatch.delenv("OPENAI_API_KEY")
    assert sent() == "Bearer none"


@pytest.mark.parametrize(
    "url", ["http://me:hidden@h/v1", "http://:hidden@h/v1", "ftp://me:hidden@h/v1",
            "http://me:hidden@h:port/v1", "me:hidden@h/v1"],
)  # fmt: skip
def test_a_password_in_an_address_is_refused_and_not_shown(url):
    with pytest.raises(UserError, match="--server") as raised:
        check_url(url)
    assert "hidden" not in str(raised.value)
