"""Verbs of two words: `lrmovienet annotate push` and the like."""

import importlib
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from annotation.export import ExportConfig
from annotation.plan import PlanConfig
from annotation.push import PushConfig
from annotation.simulate import SimulateConfig
from lrmovienet.cli import main, parse
from lrmovienet.errors import UserError
from lrmovienet.verbs import VERBS

ANNOTATE = [verb for verb in VERBS if verb.startswith("annotate ")]


def left(words: list[str], capsys: pytest.CaptureFixture) -> tuple[int, str, str]:
    """Exit code, output and messages."""
    try:
        code = main(words)
    except SystemExit as over:
        code = over.code
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return code, said.out, said.err


def config_of(verb: str) -> type:
    return getattr(importlib.import_module(VERBS[verb].module), VERBS[verb].config)


def test_six_verbs_in_the_datas_order_between_merge_and_aggregate():
    assert [verb.split()[1] for verb in ANNOTATE] == [
        "plan", "push", "simulate", "pull", "agreement", "export",
    ]  # fmt: skip
    order = list(VERBS)
    assert order.index("merge") < order.index("annotate push") < order.index("aggregate")


@pytest.mark.parametrize("verb", ANNOTATE)
def test_each_tells_its_options(verb, capsys):
    code, out, _ = left([*verb.split(), "--help"], capsys)
    assert code == 0
    assert out.startswith(f"usage: lrmovienet {verb} [")
    said = " ".join(out.split())
    assert VERBS[verb].help in said
    for field in fields(config_of(verb)):
        described = said.split(f"--{field.name}")[-1].split("(type:")[0].split("(required")[0]
        assert len(described.split()) >= 4, f"--{field.name} has no help"


@pytest.mark.parametrize("verb", ANNOTATE)
def test_the_printed_config_is_one_and_is_named_like_the_verb(verb, capsys, tmp_path):
    code, out, _ = left([*verb.split(), "--workspace", "my films", "--print_config"], capsys)
    assert code == 0
    printed = yaml.safe_load(out)
    assert list(printed) == [verb]
    assert set(printed[verb]) == {field.name for field in fields(config_of(verb))}
    assert printed[verb]["workspace"] == "my films"
    path = tmp_path / "c.yaml"
    path.write_text(out)
    again = parse(verb, config_of(verb), ["--config", str(path)])
    assert again == parse(verb, config_of(verb), ["--workspace", "my films"])


@pytest.mark.parametrize("verb", ANNOTATE)
def test_a_verb_in_quotes_is_the_verb_with_its_options(verb, capsys):
    """One word with a blank in it, as section names and shell scripts have it: nothing is lost."""
    code, out, _ = left([verb, "--workspace", "elsewhere", "--print_config"], capsys)
    assert code == 0
    assert yaml.safe_load(out)[verb]["workspace"] == "elsewhere"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["annotate"], "no verb 'annotate'. Did you mean 'annotate "),
        (["annotate", "pussh"], "no verb 'annotate pussh'. Did you mean 'annotate push'?"),
        (["annotate", "agrement"], "Did you mean 'annotate agreement'?"),
        (["annotate", "aggregate"], "no verb 'annotate aggregate'."),
        (["annotate", "Push"], "Did you mean 'annotate push'?"),
        (["annotate", ""], "no verb 'annotate '."),
        (["push"], "no verb 'push'."),
        (["pull", "annotate"], "no verb 'pull'."),
        (["anotate", "push"], "no verb 'anotate'. Did you mean 'annotate "),
    ],
)
def test_an_unknown_verb_is_one_message_that_lists_all(words, message, capsys):
    code, out, err = left(words, capsys)
    assert code == 2
    assert out == ""
    assert err.startswith("lrmovienet: error: no verb ")
    assert message in err
    assert all(verb in err for verb in ANNOTATE)


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_on_annotate_lists_its_verbs(word, capsys):
    code, out, _ = left(["annotate", word], capsys)
    assert code == 0
    assert all(f"{verb} " in out and VERBS[verb].help in out for verb in ANNOTATE)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plan", "--overlap", "many"], "--overlap"),
        (["plan", "ranking"], "screening"),
        (["plan", "--colour", "red"], "--colour"),
        (["plan", "pairs", "grading"], "grading"),  # one form at a time
        (["pull", "grading"], "grading"),  # takes no word
        (["agreement", "--config"], "--config needs a file"),
        (["export", "--config", "nowhere.yaml"], "nowhere.yaml: no such config file"),
    ],
)
def test_wrong_words_name_the_verb(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = left(["annotate", *words], capsys)
    assert code == 2
    assert f"lrmovienet annotate {words[0]}" in err
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_a_word_without_an_option_goes_where_the_verb_says():
    assert parse("annotate plan", PlanConfig, ["pairs"]).form == "pairs"
    push = parse("annotate push", PushConfig, ["screening", "--annotators", "ann", "bob"])
    assert (push.form, push.annotators) == ("screening", ["ann", "bob"])
    # Names are taken up to the next option, so a form after them would be a name.
    assert parse("annotate push", PushConfig, ["--annotators", "a", "pairs"]).form == "grading"
    assert parse("annotate export", ExportConfig, ["my folder"]).out == Path("my folder")
    people = parse("annotate simulate", SimulateConfig, ["--people", "strict", "careless"]).people
    assert people == ["strict", "careless"]


def test_sections_of_two_words_and_options_that_win(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(
        "annotate push: {annotators: [ann, bob], overlap: 1}\n"
        "annotate plan: {overlap: 3, limit: 7}\n"
        "aggregate: {method: majority}\n"
    )
    push = parse("annotate push", PushConfig, ["--config", str(path)])
    assert (push.annotators, push.overlap, push.limit) == (["ann", "bob"], 1, None)
    plan = parse("annotate plan", PlanConfig, ["--limit", "2", "--config", str(path)])
    assert (plan.overlap, plan.limit) == (3, 2)
    assert parse("annotate export", ExportConfig, ["--config", str(path)]) == ExportConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("annotate: {push: {overlap: 1}}", "unknown section annotate; sections are verbs: .*push"),
        ("push: {overlap: 1}", "unknown section push"),
        ("annotate  push: {overlap: 1}", "unknown section annotate  push"),
        ("annotate push: 5", "section 'annotate push' must hold options, such as `annotate push:"),
    ],
)
def test_a_wrong_section_is_named(text, message, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        parse("annotate push", PushConfig, ["--config", str(path)])
    assert str(error.value).startswith(f"{path}: ")


def test_an_unknown_option_in_a_section_is_code_2(tmp_path, capsys):
    path = tmp_path / "c.yaml"
    path.write_text("annotate push: {overlaps: 1}")
    code, _, err = left(["annotate", "push", "--config", str(path)], capsys)
    assert code == 2
    assert "overlaps" in err
