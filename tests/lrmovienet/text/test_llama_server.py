"""A real server, of llama.cpp's Python package, beside the engine that reads the file itself."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from scripted import DOJO, dropped, extract, kept, make_clips
from test_llama_cpp import INSTALL, SHOTS

from lrmovienet.text.answers import Request
from lrmovienet.text.llama_cpp import LlamaCpp
from lrmovienet.text.prompts import KINDS
from lrmovienet.text.transformers import packaged_model

pytestmark = [pytest.mark.llm, pytest.mark.timeout(600)]
SENTENCES = [
    DOJO,
    "The bride runs out of the church and drives into the fountain.",
    "Marta reads the letter from the bank and burns it over the sink.",
    "Two brothers race their old bikes down the hill.",
]
ENGINE = ["--max_new_tokens", "24", "--context", "1024"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Its address. It answers one request at a time."""
    pytest.importorskip("llama_cpp", reason=INSTALL)
    pytest.importorskip("uvicorn", reason=INSTALL)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "llama_cpp.server", "--model", packaged_model(), "--model_alias",
        "smollm2", "--host", "127.0.0.1", "--port", str(port), "--n_ctx", "1024",
        "--n_threads", "1", "--n_threads_batch", "1", "--verbose", "false",
    ]  # fmt: skip
    log = (tmp_path_factory.mktemp("server") / "log").open("wb")
    env = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    with log, subprocess.Popen(command, env=env, stdout=log, stderr=log) as process:
        try:
            url = f"http://127.0.0.1:{port}/v1"
            for _ in range(600):
                assert process.poll() is None, "the server has ended"
                try:
                    urllib.request.urlopen(f"{url}/models", timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.2)
            yield url
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture
def prompt(tmp_path):
    import yaml

    path = tmp_path / "short.yaml"
    path.write_text(
        yaml.safe_dump(
            {"version": "short", "event": SHOTS.event, "entity": SHOTS.entity, "cue": "1.",
             "stop": list(SHOTS.stop)}
        )
    )  # fmt: skip
    return ["--prompt", path]


def ask_server(root, server, *options):
    return extract(root, "--backend", "openai", "--server", server, "--model", "smollm2",
                   "--concurrency", "2", *ENGINE, *options)  # fmt: skip


def test_the_server_gives_the_labels_that_the_file_gives(tmp_path, server, prompt):
    """At temperature 0, with a forced list: then all that chooses words is in the request.

    Without, this server penalises repeated words by 1.1 on its own, and its answers are others.
    """
    for root in (tmp_path / "file", tmp_path / "served"):
        make_clips(root, SENTENCES)
    options = [*prompt, "--grammar", "--ask_again", "false"]
    llama = ["--backend", "llama_cpp", "--threads", "1", *ENGINE]
    assert extract(tmp_path / "file", *llama, *options) == 0
    assert ask_server(tmp_path / "served", server, *options) == 0
    assert kept(tmp_path / "served") == kept(tmp_path / "file")
    assert dropped(tmp_path / "served") == dropped(tmp_path / "file")
    assert len({clip for clip, *_ in kept(tmp_path / "file")}) == 4


def test_free_answers_are_the_same_where_the_servers_own_penalty_is_off(server):
    """It keeps what a prompt shares with the one before, and that may change no word."""
    llama = LlamaCpp(packaged_model(), "m", "sha", 24, 1024, threads=1, cue="1.")
    requests = [Request(SHOTS.text(kind, s)) for kind in KINDS for s in SENTENCES]
    for some in llama.generate(requests, SHOTS.stop):
        ((request, answer),) = some
        body = {"model": "smollm2", "prompt": request.prompt, "temperature": 0, "max_tokens": 24,
                "stop": list(SHOTS.stop), "repeat_penalty": 1.0}  # fmt: skip
        post = urllib.request.Request(
            f"{server}/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(post, timeout=120) as reply:
            choice = json.load(reply)["choices"][0]
        assert (choice["text"], choice["finish_reason"]) == (answer.text, answer.finish)


def test_a_list_can_be_forced_by_the_server(tmp_path, server, prompt):
    """Every answer has three labels or more, whether they are kept or not."""
    make_clips(tmp_path, ["!!! ??? 1985", "It rains."])
    options = ["--grammar", "--require_evidence", "false", "--max_new_tokens", "96"]
    assert ask_server(tmp_path, server, *prompt, *options) == 0
    items = [row[0] for row in kept(tmp_path)]
    items += [clip for clip, label, _ in dropped(tmp_path) if label]
    assert all(items.count(clip) >= 2 * 3 for clip in ("tt0_0000", "tt1_0000"))


def test_a_prompt_that_the_server_cannot_read_fails_alone(tmp_path, server, prompt):
    make_clips(tmp_path, ["word " * 1200, SENTENCES[3]])
    assert ask_server(tmp_path, server, *prompt, "--max_words", "2000") == 0
    assert {clip for clip, *_ in kept(tmp_path)} == {"tt1_0000"}
    reason = next(reason for clip, _, reason in dropped(tmp_path) if clip == "tt0_0000")
    assert "the server said: " in reason
    assert "1024" in reason
