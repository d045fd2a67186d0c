"""Replies that are none: each is one clip's failure, whatever a server writes."""

import pytest
from completion_server import Reply, prompt_of, serving
from scripted import DOJO, KISS, dropped, extract, kept, kind_of, make_clips

SAID = {"event": " fighting\n2. watching", "entity": " Neo\n2. dojo"}
LABELS = [
    ("tt0_0000", "event", "fighting", 0), ("tt0_0000", "event", "watching", 1),
    ("tt0_0000", "entity", "neo", 0), ("tt0_0000", "entity", "dojo", 1),
]  # fmt: skip


def say(request):
    return SAID[kind_of(prompt_of(request))]


def run(root, url, *options):
    return extract(root, "--backend", "openai", "--model", "m", "--server", url, *options)


BODIES = {
    "no JSON": Reply(200, "{'choices': "),
    "half": Reply(200, '{"choices": [{"text": "a'),
    "nothing": Reply(200, ""),
    "no answers": Reply(200, '{"choices": []}'),
    "no choices": Reply(200, "{}"),
    "null choices": Reply(200, '{"choices": null, "usage": null}'),
    "a list": Reply(200, "[]"),
    "a number": Reply(200, "7"),
    "a choice that is text": Reply(200, '{"choices": ["a"]}'),
    "an empty choice": Reply(200, '{"choices": [{}]}'),
    "a page": Reply(200, "<html>Sign in</html>", kind="text/html"),
    "no UTF-8": Reply(200, b'{"choices": [{"text": "\xff", "finish_reason": "stop"}]}'),
    "a number as text": Reply(200, '{"choices": [{"text": 5, "finish_reason": "stop"}]}'),
    "odd usage": Reply(
        200, '{"choices": [{"text": "a", "finish_reason": "stop"}], "usage": "much"}'
    ),
    "empty usage": Reply(200, '{"choices": [{"text": "a", "finish_reason": "stop"}], "usage": {}}'),
    "no usage": Reply(200, '{"choices": [{"text": "a", "finish_reason": "stop"}]}'),
    "no finish": Reply(200, '{"choices": [{"text": "a"}]}'),
    "null text": Reply(200, '{"choices": [{"text": null, "finish_reason": "stop"}]}'),
    "half a character": Reply(
        200, '{"choices": [{"text": " kissing\\n2. \\ud83d", "finish_reason": "stop"}]}'
    ),
    "not found, as a page": Reply(400, "<html>\n" * 1000, kind="text/html"),
}


@pytest.mark.parametrize("name", BODIES)
def test_whatever_a_server_says_is_an_answer_or_that_clips_failure(tmp_path, name):
    """Nothing raises, and the other clip has its labels."""
    make_clips(tmp_path, [DOJO, KISS])

    def answer(request):
        if KISS in request["prompt"]:
            raise BODIES[name]
        return say(request)

    with serving(answer) as (url, _):
        assert run(tmp_path, url) == 0
    assert kept(tmp_path)[:4] == LABELS
    reasons = [reason for clip, _, reason in dropped(tmp_path) if clip == "tt1_0000"]
    assert reasons or name == "half a character"
    assert all(len(reason) < 500 for reason in reasons)
