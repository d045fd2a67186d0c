"""What a person gives the benchmark for a method, and what it was made from."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from tiny_corpus import fill

from baselines.benchmark.bench import Bench
from baselines.benchmark.given import given
from baselines.benchmark.inputs import of_method
from baselines.benchmark.jobs import Job, chosen
from baselines.benchmark.methods import METHODS
from baselines.benchmark.verb import BenchConfig
from baselines.benchmark.work import config_of
from lrmovienet.errors import UserError
from lrmovienet.workspace import Workspace

ALL = ["R0", "R1", "R2"]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A workspace that is only read."""
    return fill(tmp_path_factory.mktemp("given") / "w").root


def test_given_options_are_taken_apart():
    assert given(["a.b=c", "a.d-e=f=g", "x.y="]) == {"a": {"b": "c", "d_e": "f=g"}, "x": {"y": ""}}
    for wrong in ("a", "a.b", "a=b", ".b=c", "a.=c", "=", ""):
        with pytest.raises(UserError, match=r"give METHOD\.OPTION=VALUE"):
            given([wrong])


@pytest.mark.parametrize(
    "text",
    [
        "preference.base=mine", "lr2ppo.reward=mine", "random.seed=3", "lambdamart.seed=3",
        "prior.name=x", "prior.workspace=/x", "prior.data=/x", "gsf.regime=R1", "gsf.group=1",
        "dlcm-stage1.track=trunk", "preference-dpo.loss=ipo",
    ],
)  # fmt: skip
def test_what_the_benchmark_says_itself_is_refused(text):
    option = text.partition("=")[0].partition(".")[2]
    with pytest.raises(UserError, match=f"--given {text}: the benchmark says {option} itself"):
        given([text])


@pytest.mark.parametrize("text", ["gsf.features=/x", "gsf.device=cuda"])
def test_what_is_the_same_for_all_methods_is_refused(text):
    option, _, value = text.partition(".")[2].partition("=")
    with pytest.raises(UserError, match=f"Give it to the benchmark: --{option} {value}"):
        given([text])


def test_no_share_is_another_regime():
    with pytest.raises(UserError, match=r"pl-rank\.percent=0: without pairs it is R0"):
        given(["pl-rank.percent=0"])
    assert given(["preference.percent=0"]) == {"preference": {"percent": "0"}}


def test_what_is_given_to_a_method_that_is_not_trained_is_refused():
    with pytest.raises(UserError, match=r"--given listnet\.…: listnet is not trained"):
        chosen(["prior"], ALL, {"listnet": {"epochs": "1"}})
    with pytest.raises(UserError, match="listnet is not trained"):
        chosen([], ["R2"], {"listnet": {"epochs": "1"}})
    # What a method starts from is trained.
    assert "lr2ppo-base" in chosen(["preference"], ALL, {"lr2ppo-base": {"epochs": "1"}})


@pytest.mark.parametrize("name", ["pl-rank", "grpo", "gsf"])
def test_a_given_share_wins_where_there_are_pairs(root, name):
    bench = Bench(BenchConfig(root, methods=[name], given=[f"{name}.percent=40"]))
    usual = Bench(BenchConfig(root, methods=[name]))

    def config(of, regime):
        return config_of(METHODS[name].verb, tuple(of.words(Job(name, regime, 0), {})))

    assert config(bench, "R1").percent == 40 and config(usual, "R1").percent == 10
    assert config(bench, "R0") == config(usual, "R0")
    needed = {"lr2ppo-base"} & set(bench.methods)
    for of in (bench, usual):
        of.ledger.keys |= {Job(method, "R0", 0): "k" for method in needed}
    told = {regime: bench._begin(Job(name, regime, 0)).facts for regime in ("R0", "R1")}
    assert (told["R0"]["options"], told["R1"]["options"]) == ({}, {"percent": "40"})
    key = {regime: usual._begin(Job(name, regime, 0)).facts["key"] for regime in ("R0", "R1")}
    assert told["R0"]["key"] == key["R0"] and told["R1"]["key"] != key["R1"]


def test_what_changes_no_ranker_can_be_given_and_is_not_told(root):
    of = [Bench(BenchConfig(root, methods=["gsf"], given=given)) for given in (
        [], ["gsf.workers=1", "gsf.records-at-once=2", "gsf.tensorboard=true"],
    )]  # fmt: skip
    usual, more = (bench._begin(Job("gsf", "R0", 0)) for bench in of)
    assert {"--workers=1", "--records_at_once=2", "--tensorboard=true"} <= set(more.words)
    assert usual.facts["key"] == more.facts["key"] and more.facts["options"] == {}


# What it was made from.


@dataclass(frozen=True)
class Config:
    """Options of a verb."""

    workspace: Path
    features: Path | None = None
    checkpoint: Path | None = None
    text: str = "x"


def test_files_behind_options_are_known_by_their_bytes(tmp_path):
    workspace = Workspace(tmp_path / "w")
    assert of_method(workspace, "train x", Config(tmp_path, tmp_path)) == {}
    file, folder = tmp_path / "a.bin", tmp_path / "model"
    file.write_bytes(b"1")
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "b.bin").write_bytes(b"1")

    def found(path):
        digests = of_method(workspace, "train x", Config(tmp_path, None, path))
        assert digests.keys() == {"--checkpoint"}
        return digests["--checkpoint"]

    first = found(file), found(folder)
    assert first == (found(file), found(folder))
    file.write_bytes(b"2")
    (folder / "inner" / "b.bin").write_bytes(b"2")
    second = found(file), found(folder)
    (folder / "inner" / "b.bin").rename(folder / "inner" / "c.bin")
    third = found(folder)
    assert len({*first, *second, third}) == 5
    with pytest.raises(UserError, match=r"--checkpoint .*nosuch: no such file or folder"):
        found(tmp_path / "nosuch")


def test_another_checkpoint_is_another_key(root, tmp_path):
    keys = []
    for content in ("1", "1", "2"):
        (tmp_path / "config.json").write_text(content)
        told = [f"sentence-cosine.text_model={tmp_path}"]
        bench = Bench(BenchConfig(root, methods=["sentence-cosine"], given=told))
        keys.append(bench._begin(Job("sentence-cosine", "R0", 0)).facts["key"])
    assert keys[0] == keys[1] != keys[2]


def test_keys_without_files_have_nothing_of_them(root):
    """So that results of earlier versions are kept."""
    bench = Bench(BenchConfig(root, methods=["sentence-cosine", "gsf"]))
    assert set(bench.inputs) == {"clips", "records", "pairs", "features"}
    assert bench.own_inputs == {"sentence-cosine": {}, "gsf": {}}


def test_image_tag_is_left_out_where_there_is_nothing_to_rank_by(root, capsys):
    bench = Bench(BenchConfig(root, seeds=1))
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("image-tag is left out: no table 'candidates' here")
    assert "image-tag" not in bench.methods and "prior" in bench.methods
    with pytest.raises(UserError, match="no table 'candidates' here"):
        Bench(BenchConfig(root, methods=["image-tag"]))
