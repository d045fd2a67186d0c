"""`lrmovienet extract` from the command line: what it refuses, writes, and does not do twice."""

import json
import subprocess
import sys

import pytest
import yaml
from scripted import (
    DOJO,
    KISS,
    Scripted,
    dropped,
    everything_written,
    extract,
    kept,
    kind_of,
    make_clips,
    sentence_of,
    written,
)

from lrmovienet.cli import main
from lrmovienet.errors import ItemError, UserError
from lrmovienet.text.prompts import PROMPTS
from lrmovienet.text.transformers import PACKAGED, identify
from lrmovienet.workspace import Workspace

SAID = {
    ("event", DOJO): " fighting\n2. flying\n3. watching\n\nSentence: ",
    ("entity", DOJO): " Neo\n2. dojo",
    ("event", KISS): " kissing",
    ("entity", KISS): " they",
}


def answer(request):
    return SAID[kind_of(request.prompt), sentence_of(request.prompt)]


def manifest(root):
    return json.loads((root / "text_labels" / "manifest.json").read_bytes())


# --- what it writes ---


def test_labels_reasons_and_manifest(tmp_path, use, capsys, monkeypatch):
    monkeypatch.setenv("LRMOVIENET_API_KEY", "a-key-that-is-secret")
    make_clips(tmp_path, [DOJO, "They\n  kiss."])
    use(Scripted(answer))
    assert extract(tmp_path) == 0
    assert kept(tmp_path) == [
        ("tt0_0000", "event", "fighting", 0),
        ("tt0_0000", "event", "watching", 2),
        ("tt0_0000", "entity", "neo", 0),
        ("tt0_0000", "entity", "dojo", 1),
        ("tt1_0000", "event", "kissing", 0),
    ]
    assert dropped(tmp_path) == [
        ("tt0_0000", "flying", "event: not in the description"),
        ("tt1_0000", "they", "entity: stop words only"),
        ("tt1_0000", None, "no entity label: none of the answer's labels was kept; "
         "the answer: '1. they'"),
    ]  # fmt: skip
    assert capsys.readouterr().out.startswith("text_labels: 5 rows, 3 dropped")
    made = manifest(tmp_path)
    assert made["models"] == {"scripted": "no file"}
    assert made["prompts"] == {
        "fewshot-1/event": PROMPTS["fewshot-1"].event,
        "fewshot-1/entity": PROMPTS["fewshot-1"].entity,
    }
    assert made["inputs"] == {"clips": Workspace(tmp_path).require("clips").digest}
    assert set(made["config"]) == {
        "backend", "model", "server", "prompt", "require_evidence", "max_words", "context",
        "max_new_tokens", "temperature", "seed", "grammar", "ask_again", "timeout_s",
        "batch_size", "chat", "device",
    }  # fmt: skip
    assert b"a-key-that-is-secret" not in everything_written(tmp_path)


def test_a_failed_clip_is_a_dropped_row_and_asked_again(tmp_path, use, caplog):
    make_clips(tmp_path, [DOJO, KISS])
    ill = use(Scripted(lambda r: ItemError("too long") if KISS in r.prompt else answer(r)))
    assert extract(tmp_path) == 0
    reason = "tt1_0000: no answer about its event labels: too long"
    assert dropped(tmp_path)[-1] == ("tt1_0000", None, reason)
    assert len(ill.asked) == 4
    well = use(Scripted(answer))
    assert extract(tmp_path) == 0
    assert [sentence_of(r.prompt) for r in well.asked] == [KISS, KISS]
    assert ("tt1_0000", "event", "kissing", 0) in kept(tmp_path)
    assert reason not in {row[2] for row in dropped(tmp_path)}


def test_where_every_clip_fails_there_is_no_table(tmp_path, use, capsys):
    make_clips(tmp_path, [DOJO, KISS])
    use(Scripted(lambda r: ItemError("too long")))
    assert extract(tmp_path) == 2
    assert "2 of 2 failed; the table was not written" in capsys.readouterr().err
    assert not (tmp_path / "text_labels").exists()


def test_fail_fast_stops_at_a_failed_clip_but_keeps_the_answers(tmp_path, use, capsys):
    make_clips(tmp_path, [DOJO, KISS])
    use(Scripted(lambda r: ItemError("too long") if KISS in r.prompt else answer(r)))
    assert extract(tmp_path, "--fail_fast") == 2
    assert "tt1_0000: no answer about its event labels: too long" in capsys.readouterr().err
    well = use(Scripted(answer))
    assert extract(tmp_path, "--fail_fast") == 0
    assert len(well.asked) == 2


def test_an_engine_that_ends_leaves_its_answers(tmp_path, use, capsys):
    make_clips(tmp_path, [DOJO, KISS])

    def gone(request):
        if KISS in request.prompt:
            raise UserError("the server is gone")
        return answer(request)

    use(Scripted(gone))
    assert extract(tmp_path) == 2
    assert capsys.readouterr().err == "lrmovienet extract: error: the server is gone\n"
    assert not (tmp_path / "text_labels").exists()
    well = use(Scripted(answer))
    assert extract(tmp_path) == 0
    assert len(well.asked) == 2


def test_a_description_that_does_not_fit_is_cut_by_sentence(tmp_path, use):
    make_clips(tmp_path, [f"{KISS} {DOJO} The end."])
    longest = max(len(PROMPTS["fewshot-1"].text(k, KISS)) for k in ("event", "entity"))
    generator = use(Scripted(answer, room=longest + 5))
    assert extract(tmp_path) == 0
    assert {sentence_of(r.prompt) for r in generator.asked} == {KISS}
    assert dropped(tmp_path)[0][2] == (
        "the last 18 words of the description were not shown to the model"
    )


def test_another_run_is_refused_while_one_is_asking(tmp_path, use, capsys):
    make_clips(tmp_path, [DOJO])
    codes = []

    def answer_and_start_another(request):
        codes.append(extract(tmp_path))
        return answer(request)

    use(Scripted(answer_and_start_another))
    assert extract(tmp_path) == 0
    assert codes == [2, 2]
    assert "another lrmovienet run is writing here" in capsys.readouterr().err


# --- what it does not do twice ---


def test_a_second_run_asks_nothing_and_changes_nothing(tmp_path, use, capsys):
    make_clips(tmp_path, [DOJO, KISS])
    generator = use(Scripted(answer))
    assert extract(tmp_path) == 0
    before = written(tmp_path)
    capsys.readouterr()
    assert extract(tmp_path) == 0
    assert "up to date" in capsys.readouterr().out
    assert written(tmp_path) == before
    assert len(generator.asked) == 4


def test_a_deleted_cache_costs_questions_but_no_table(tmp_path, use):
    make_clips(tmp_path, [DOJO])
    generator = use(Scripted(answer))
    extract(tmp_path)
    before = written(tmp_path)
    (tmp_path / "cache" / "answers.sqlite").unlink()
    assert extract(tmp_path) == 0
    assert len(generator.asked) == 4
    assert written(tmp_path) == before


@pytest.mark.parametrize(
    ("option", "asked", "remade"),
    [
        (["--require_evidence", "false"], 0, True),
        (["--max_words", "6"], 4, True),  # shorter than either description
        (["--batch_size", "3"], 0, False),
        (["--timeout_s", "7"], 0, False),
        (["--shard_size", "1"], 0, True),
        (["--prompt", "paper-1"], 4, True),
        (["--seed", "3"], 0, False),
    ],
    ids=str,
)
def test_only_new_questions_are_asked(tmp_path, use, option, asked, remade):
    make_clips(tmp_path, [DOJO, f"{KISS} They dance in the rain."])
    generator = use(Scripted(lambda r: " kiss\n2. fly"))
    extract(tmp_path)
    before = manifest(tmp_path)
    generator.asked.clear()
    assert extract(tmp_path, *option) == 0
    assert len(generator.asked) == asked
    after = manifest(tmp_path)
    assert (after["key"] != before["key"]) == remade
    assert after["config"] != before["config"] or option[0] == "--shard_size"


def test_another_model_remakes_the_table(tmp_path, use):
    make_clips(tmp_path, [DOJO])
    use(Scripted(answer))
    extract(tmp_path)
    before = manifest(tmp_path)
    other = use(Scripted(lambda r: " dojo", about="two"))
    extract(tmp_path)
    assert len(other.asked) == 2
    assert manifest(tmp_path)["key"] != before["key"]
    assert {label for _, _, label, _ in kept(tmp_path)} == {"dojo"}


def test_a_prompt_whose_text_changes_under_its_name_remakes_the_table(tmp_path, use):
    own = {"version": "own", "event": "\nActions: Sentence: {sentence}",
           "entity": "Things: Sentence: {sentence}"}  # fmt: skip
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump(own))
    make_clips(tmp_path, [DOJO])
    generator = use(Scripted(answer))
    assert extract(tmp_path, "--prompt", path) == 0
    before = manifest(tmp_path)
    own["event"] = "\nActions: all. Sentence: {sentence}"
    path.write_text(yaml.safe_dump(own))
    assert extract(tmp_path, "--prompt", path) == 0
    assert len(generator.asked) == 3
    assert manifest(tmp_path)["key"] != before["key"]
    assert manifest(tmp_path)["prompts"]["own/event"] == own["event"]


def test_only_a_new_clip_is_asked_about(tmp_path, use):
    make_clips(tmp_path, [DOJO])
    generator = use(Scripted(answer))
    extract(tmp_path)
    generator.asked.clear()
    make_clips(tmp_path, [DOJO, KISS])
    assert extract(tmp_path) == 0
    assert [sentence_of(r.prompt) for r in generator.asked] == [KISS, KISS]


# --- with models from disk ---


def own_prompt(folder):
    path = folder / "short.yaml"
    path.write_text("version: short\nevent: 'Do {sentence}'\nentity: 'See {sentence}'\n")
    return path


LOADED = """
import sys
from lrmovienet.cli import main
assert main(sys.argv[1:]) == 0
sys.exit(3 if {"torch", "transformers", "llama_cpp", "openai"} & set(sys.modules) else 0)
"""


def test_a_folder_of_ones_own_is_run_and_not_loaded_again(tmp_path, tiny_model, capsys):
    make_clips(tmp_path / "w", [KISS, "Rain."])
    options = ["--model", tiny_model, "--prompt", own_prompt(tmp_path), "--max_new_tokens", "8"]
    assert extract(tmp_path / "w", *options) == 0
    assert capsys.readouterr().err == ""
    made = manifest(tmp_path / "w")
    assert made["models"] == dict([identify(tiny_model)])
    assert made["prompts"] == {"short/event": "Do {sentence}", "short/entity": "See {sentence}"}
    assert made["config"]["max_new_tokens"] == 8
    before = written(tmp_path / "w")
    command = [sys.executable, "-c", LOADED, "extract", "--workspace", tmp_path / "w", *options]
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr) == (0, "")
    assert "up to date" in again.stdout
    assert written(tmp_path / "w") == before


def test_a_prompt_that_the_model_cannot_read_fails_its_clips(tmp_path, tiny_model, capsys):
    make_clips(tmp_path, [DOJO, KISS])
    options = ["--model", tiny_model, "--prompt", "paper-1", "--max_new_tokens", "8"]
    assert extract(tmp_path, *options) == 2
    said = capsys.readouterr().err
    assert "2 of 2 failed" in said
    assert "more than the 256 that the model can read. Give --context 256" in said
    assert extract(tmp_path, *options, "--context", "256") == 2
    assert "prompt paper-1: longer than the model can read" in capsys.readouterr().err


@pytest.mark.llm
@pytest.mark.timeout(400)
def test_packaged_model_end_to_end(tmp_path, capsys):
    make_clips(tmp_path, [DOJO, "The bride runs out of the church and drives into the fountain."])
    assert main(["extract", "--workspace", str(tmp_path)]) == 0
    streams = capsys.readouterr()
    assert streams.out.startswith("text_labels: ")
    assert "error" not in streams.err  # on a busy machine there is progress to report
    found = {row[:3] for row in kept(tmp_path)}
    assert {
        ("tt0_0000", "event", "fighting"), ("tt0_0000", "entity", "dojo"),
        ("tt1_0000", "event", "running"), ("tt1_0000", "entity", "bride"),
    } <= found  # fmt: skip
    assert list(manifest(tmp_path)["models"]) == [PACKAGED]
    assert "{sentence}" in manifest(tmp_path)["prompts"]["fewshot-1/event"]
    assert main(["extract", "--workspace", str(tmp_path)]) == 0
    assert "up to date" in capsys.readouterr().out
