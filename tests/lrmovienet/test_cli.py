"""The command line: verbs in order, options from dataclasses, one message for a wrong word."""

import importlib
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from lrmovienet.candidates import MergeConfig
from lrmovienet.cli import main, parse
from lrmovienet.errors import UserError
from lrmovienet.ingest import IngestConfig
from lrmovienet.runner import split
from lrmovienet.status import StatusConfig
from lrmovienet.tagging import TagConfig
from lrmovienet.verbs import VERBS


def config_of(verb: str) -> type:
    return getattr(importlib.import_module(VERBS[verb].module), VERBS[verb].config)


def test_help_lists_the_verbs_in_the_datas_order(capsys):
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    out = capsys.readouterr().out
    places = [out.index(f"\n  {verb} ") for verb in VERBS]
    assert places == sorted(places)
    assert list(VERBS).index("ingest") < list(VERBS).index("merge") < list(VERBS).index("score")


WITHOUT_WORKSPACE = {
    "stats": "release", "leaks": "release", "diff": "releases", "publish": "repo",
    "upstream checkpoint": "out", "letor look": "files", "letor leaks": "files",
    "letor bench": "out", "letor table": "into",
}  # fmt: skip
"""Verbs that work on a release, a checkpoint or files of documents alone -> an option of each."""


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_a_field_with_help(verb, capsys):
    with pytest.raises(SystemExit) as left:
        main([verb, "--help"])
    assert left.value.code == 0
    out = " ".join(capsys.readouterr().out.split())
    for field in fields(config_of(verb)):
        after = out.split(f"--{field.name}")[-1]
        described = after.split("(type:")[0].split("(required")[0]
        assert len(described.split()) >= 4, f"--{field.name} has no help"
    assert "--config" in out and "--print_config" in out
    assert ("--workspace" in out) == (verb not in WITHOUT_WORKSPACE)


@pytest.mark.parametrize("verb", VERBS)
def test_the_printed_config_is_a_config(verb, capsys, tmp_path):
    option = WITHOUT_WORKSPACE.get(verb, "workspace")
    with pytest.raises(SystemExit) as left:
        main([verb, f"--{option}", "elsewhere", "--print_config"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    printed = yaml.safe_load(text)[verb]
    assert set(printed) == {field.name for field in fields(config_of(verb))}
    assert printed[option] in ("elsewhere", ["elsewhere"])
    path = tmp_path / "c.yaml"
    path.write_text(text)
    given = parse(verb, config_of(verb), ["--config", str(path)])
    assert given == parse(verb, config_of(verb), [f"--{option}", "elsewhere"])


def test_each_verb_takes_its_own_section_and_options_win(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("tag: {batch_size: 7, floor: 0.5}\nstatus: {reasons: 9}\n")
    assert parse("status", StatusConfig, [f"--config={path}"]).reasons == 9
    config, size = ["--config", str(path)], ["--batch_size", "3"]
    for words in (config + size, size + config):
        tag = parse("tag", TagConfig, words)
        assert (tag.batch_size, tag.floor) == (3, 0.5)


@pytest.mark.parametrize("form", ["--fail-fast", "--fail_fast", "--fail-fast=true"])
def test_dashes_and_bare_flags(form):
    assert parse("tag", TagConfig, [form]).fail_fast
    assert not parse("tag", TagConfig, ["--fail-fast", "false"]).fail_fast


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tagg: {}", "unknown section tagg"),
        ("- 1", "one section a verb"),
        ("a: [", "not a readable YAML file"),
        ("tag: 5", "section 'tag' must hold options"),
        ("tag: [1]", "section 'tag' must hold options"),
        ("tag: /etc/hostname", "section 'tag' must hold options"),  # a path is not opened
        ("tag: &a {floor: *a}", "section 'tag' contains itself"),
        ("? [1]\n: 2", "not a readable YAML file"),
    ],
)
def test_a_wrong_config_file_is_named(tmp_path, text, message):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        parse("tag", TagConfig, ["--config", str(path)])
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tagg"], "no verb 'tagg'. Did you mean 'tag'?"),
        (["tag", "--config", "nowhere.yaml"], "nowhere.yaml: no such config file"),
        (["tag", "--config"], "--config needs a file"),
        (["tag", "--workspace", "nowhere"], "no table 'clips' here yet"),
        (["tag", "--shard_size", "many"], "--shard_size many: give a whole number."),
        (["tag", "--color", "red"], "--color"),
        (["tag", "--fail-fast", "maybe"], "maybe"),
        (["predict", "--ranker"], "--ranker"),
        (["split", "--protocol", "loose"], "strict"),
        (["tag", "--config", "date.yaml"], "--shard_size 2020-01-01: give a whole number."),
        (["train"], "no verb 'train'. Did you mean 'train "),
        (["train", "--ranker", "prior"], "no verb 'train'. Did you mean 'train "),
        (["train", "lr2pp"], "no verb 'train lr2pp'. Did you mean 'train lr2ppo'?"),
        (["bench", "--regimes", "R0,R3"], "--regimes R3: give R0, R1 or R2."),
        (["train", "lr2ppo", "--preset", "best"], "give recommended, paper or released."),
        (["train", "lr2ppo", "--gamma", "nan"], "--gamma nan: give a number."),
        (["train", "lr2ppo", "--grouped=maybe"], "--grouped maybe: give true or false."),
        (["train", "lr2ppo", "--device", "tpu"], "--device tpu: give cpu or cuda."),
        (["tag", "--config", "odd.yaml"], "size"),
        (["tag", "--config", "."], "directory"),
    ],
)
def test_wrong_words_end_in_one_message_and_code_2(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "date.yaml").write_text("tag: {shard_size: 2020-01-01}")
    (tmp_path / "odd.yaml").write_text("tag: {size: 3}")
    try:
        code = main(words)
    except SystemExit as left:
        code = left.code
    err = capsys.readouterr().err
    assert code == 2
    assert message in err
    assert err.count("error:") == err.count("\n") == 1


def test_a_full_disk_is_one_message(capsys, monkeypatch):
    def full(config):
        raise OSError(28, "No space left on device", "w/x.parquet")

    monkeypatch.setattr("lrmovienet.status.run", full)
    assert main(["status"]) == 2
    err = capsys.readouterr().err
    assert "w/x.parquet: No space left on device. Finished tables are as they were" in err


def test_an_interrupt_is_said_and_130(capsys, monkeypatch):
    def interrupt(config):
        raise KeyboardInterrupt

    monkeypatch.setattr("lrmovienet.status.run", interrupt)
    assert main(["status"]) == 130
    assert "run the same command to go on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--videos", "a.mp4", "--videos", "b.mp4"], ["a.mp4", "b.mp4"]),
        (["--videos=a.mp4", "--videos=b.mp4", "--videos", "c.mp4"], ["a.mp4", "b.mp4", "c.mp4"]),
        (["--videos", "[a.mp4, b.mp4]", "--videos", "c.mp4"], ["a.mp4", "b.mp4", "c.mp4"]),
        (["--videos", "a.mp4"], ["a.mp4"]),
    ],
)
def test_an_option_of_several_values_may_be_repeated(words, expected):
    assert parse("ingest", IngestConfig, words).videos == expected


def test_a_given_list_replaces_the_default_and_the_files(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("merge: {kinds: [event], block: [rain, sun]}\n")
    merge = parse("merge", MergeConfig, ["--kinds", "image", "--config", str(path)])
    assert merge.kinds == ["image"]
    assert merge.block == ["rain", "sun"]
    assert parse("merge", MergeConfig, ["--block=[]"]).block == []


def test_words_of_a_fixed_set_may_be_joined_by_commas_and_names_not():
    from baselines.benchmark.verb import BenchConfig

    found = [parse("bench", BenchConfig, words).regimes for words in (
        ["--regimes", "R0,R2"], ["--regimes=R0,R2"], ["--regimes", "R0", "R2"],
    )]  # fmt: skip
    assert found == [["R0", "R2"]] * 3
    assert parse("merge", MergeConfig, ["--block", "rain, sun"]).block == ["rain, sun"]


@pytest.mark.parametrize("name", ["2001", "[cut] a.mp4", "a: b.mp4", "a b.mp4", "-", "é*.mp4"])
def test_a_files_name_stays_as_it_is(name):
    assert parse("ingest", IngestConfig, ["--videos", name, "--videos=x"]).videos == [name, "x"]


def test_a_flag_that_may_be_left_to_a_preset_can_stand_alone():
    from baselines.lr2ppo.verbs import TrainPPO

    parsed = [parse("train lr2ppo", TrainPPO, words) for words in (
        [], ["--grouped"], ["--grouped", "false"], ["--grouped", "--passes", "2"],
    )]  # fmt: skip
    assert [options.grouped for options in parsed] == [None, True, False, True]
    assert parsed[3].passes == 2


def test_values_keep_their_dashes():
    config = parse("status", StatusConfig, ["--workspace", "my-films-2"])
    assert config.workspace == Path("my-films-2")


def test_a_shard_holds_something():
    with pytest.raises(UserError, match="--shard_size 0: give 1 or more"):
        split({"clip_id": ["c"]}, 0)
