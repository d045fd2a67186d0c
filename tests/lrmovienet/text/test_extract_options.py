"""Options that `lrmovienet extract` refuses: one message, and nothing is asked or written."""

import sys

import pytest
from scripted import DOJO, Scripted, extract, make_clips

WRONG = [
    (["--max_words", "0"], "--max_words 0: give 1 or more."),
    (["--max_new_tokens", "0"], "--max_new_tokens 0: give 1 or more."),
    (["--max_new_tokens", "-5"], "--max_new_tokens -5: give 1 or more."),
    (["--batch_size", "0"], "--batch_size 0: give 1 or more."),
    (["--concurrency", "0"], "--concurrency 0: give 1 or more."),
    (["--timeout_s", "-1"], "--timeout_s -1.0: give "),
    (["--context", "96"], "--context 96: prompt and answer together; give more than --max_new"),
    (["--temperature", "-0.1"], "--temperature -0.1: give a number from 0 to 5."),
    (["--temperature", "5.1"], "--temperature 5.1: give a number from 0 to 5."),
    (["--temperature", "0.5"], "--temperature is of llama_cpp and openai, not of transformers."),
    (["--grammar"], "--grammar is of llama_cpp and openai, not of transformers."),
    (["--server", "http://127.0.0.1/v1"], "--server is of openai, not of transformers."),
    (["--chat"], "--chat is of openai, not of transformers."),
    (["--chat", "--backend", "llama_cpp"], "--chat is of openai, not of llama_cpp."),
    (["--require_gpu"], "--require_gpu is of llama_cpp, not of transformers."),
    (["--threads", "2"], "--threads is of llama_cpp, not of transformers."),
    (["--threads", "0", "--backend", "llama_cpp"], "--threads 0: give 1 to 512."),
    (["--backend", "openai"], "--backend openai needs --server URL and --model NAME."),
    (["--backend", "openai", "--model", "m"], "--backend openai needs --server URL and --model"),
    (["--backend", "openai", "--model", "m", "--server", "localhost"], "--server localhost: give"),
    (["--prompt", "paper-9"], "--prompt paper-9: no such version or file."),
    (["--model", "gone/there/x.gguf"], "--model gone/there/x.gguf: no such folder or file"),
    (["--model", "FOLDER"], "no language model here. Give a folder in the Hugging Face layout"),
    (["--model", "TEXT"], "no language model here. Give a folder in the Hugging Face layout"),
    (["--backend", "llama_cpp", "--model", "FOLDER"], "FOLDER: "),
    (["--backend", "llama_cpp", "--model", "gone/there/x.gguf"], "x.gguf: no such file."),
    (["--device", "banana"], "banana"),
    (["--device", "banana", "--backend", "llama_cpp"], "banana"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "message"), WRONG, ids=lambda x: str(x)[:50])
def test_wrong_options_are_one_message(tmp_path, capsys, options, message):
    places = {"FOLDER": tmp_path / "folder", "TEXT": tmp_path / "notes.txt"}
    places["FOLDER"].mkdir()
    places["TEXT"].write_text("no model")
    root = tmp_path / "w"
    make_clips(root, [DOJO])
    assert extract(root, *(places.get(option, option) for option in options)) == 2
    streams = capsys.readouterr()
    assert message.replace("FOLDER", str(places["FOLDER"])) in streams.err
    assert streams.err.startswith("lrmovienet extract: error: ")
    assert len(streams.err.splitlines()) == 1
    assert streams.out == ""
    assert not (root / "text_labels").exists()
    assert not (root / "cache" / "answers.sqlite").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--backend", "vllm"],
        ["--max_words", "many"],
        ["--nonsense", "1"],
        ["--temperature", "nan"],
        ["--timeout_s", "nan"],
    ],
)
def test_options_that_do_not_exist(tmp_path, capsys, options):
    with pytest.raises(SystemExit) as ended:
        extract(tmp_path / "w", *options)
    assert ended.value.code == 2
    assert options[0].lstrip("-") in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def test_a_shard_of_nothing_is_refused_before_the_model_is_asked(tmp_path, use, capsys):
    make_clips(tmp_path, [DOJO])
    generator = use(Scripted(lambda r: " fight"))
    assert extract(tmp_path, "--shard_size", "0") == 2
    assert "--shard_size 0: give 1 or more." in capsys.readouterr().err
    assert generator.asked == []


def test_without_clips_the_message_says_what_to_run(tmp_path, capsys):
    assert extract(tmp_path / "w") == 2
    assert "no table 'clips'" in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def test_a_package_that_is_not_installed_is_named_with_its_command(tmp_path, capsys, monkeypatch):
    make_clips(tmp_path, [DOJO])
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    monkeypatch.setitem(sys.modules, "openai", None)
    assert extract(tmp_path, "--backend", "llama_cpp", "--require_gpu") == 2
    said = capsys.readouterr().err
    assert "'llama_cpp', which is not installed" in said
    assert "[demo]" not in said  # it would not bring the package
    assert "llm" in said
    server = ["--backend", "openai", "--model", "m", "--server", "http://127.0.0.1:9/v1"]
    assert extract(tmp_path, *server) == 2
    assert "'openai', which is not installed. Install: pip install" in capsys.readouterr().err
