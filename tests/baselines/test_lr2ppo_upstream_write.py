"""Networks of ours as official checkpoints, and official checkpoints as folders of ours."""

import json
from dataclasses import asdict, replace

import pytest
import safetensors.torch
import torch
from plain_lr2ppo import unsettle

from baselines.lr2ppo.batch import Batch
from baselines.lr2ppo.model import RELEASED_NETWORK, Actor, PairModel
from baselines.lr2ppo.upstream import (
    import_checkpoint,
    load_official,
    official_names,
    save_official,
)
from lrmovienet.errors import UserError

CONFIG = replace(
    RELEASED_NETWORK,
    text_dim=12, frame_dim=8, width=16, text_hidden=20, frame_hidden=24, fusion_hidden=64,
    pair_hidden=64, head_hidden=10, text_tokens=5, frames=3,
)  # fmt: skip


def network(kind=Actor, seed=0, config=CONFIG):
    torch.manual_seed(seed)
    model = kind(config).eval()
    unsettle(model, seed)
    return model


def same(found, expected):
    a, b = found.state_dict(), expected.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ours.bin"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "rankers" / "imported"


# --- Out -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), [(Actor, "actor"), (PairModel, "reward")])
def test_what_is_written_is_read_back_to_the_bit(path, kind, name):
    model = network(kind)
    save_official(model, path, any_dimension=True)
    found = load_official(path, name, 5, 3)
    assert same(found, model)
    assert found.config == model.config


def test_an_actor_and_its_critic_go_into_one_file(path):
    actor, critic = network(Actor, 1), network(PairModel, 2)
    save_official(actor, path, critic, any_dimension=True)
    names = set(torch.load(path, weights_only=True))
    assert names == {f"actor.{name}" for name in official_names(actor)} | {
        f"critic.{name}" for name in official_names(critic)
    }
    assert same(load_official(path, "actor", 5, 3), actor)
    assert same(load_official(path, "critic", 5, 3), critic)


def test_a_critic_goes_beside_an_actor_only(path):
    with pytest.raises(ValueError, match="beside an actor"):
        save_official(network(PairModel), path, network(PairModel), any_dimension=True)
    assert not path.exists()


def test_a_file_holds_the_tensors_and_nothing_else(path):
    actor = network()
    save_official(actor, path, any_dimension=True)
    found = torch.load(path, weights_only=True)
    assert list(found) == list(official_names(actor))
    assert {type(tensor) for tensor in found.values()} == {torch.Tensor}
    numbers = 4 * sum(tensor.numel() for tensor in found.values())
    assert path.stat().st_size < numbers + 500 * len(found)  # no storage larger than its tensor


def test_equal_networks_are_equal_bytes_wherever_they_came_from(path, tmp_path):
    save_official(network(), path, any_dimension=True)
    again = load_official(path, "actor", 5, 3)
    other = tmp_path / "elsewhere" / "other.bin"
    save_official(again, other, any_dimension=True)
    assert other.read_bytes() == path.read_bytes()


def test_a_checkpoint_may_be_written_over_itself(path):
    """What was loaded is mapped from the old file, which stays until the network is gone."""
    save_official(network(seed=1), path, any_dimension=True)
    model = load_official(path, "actor", 5, 3)
    with torch.no_grad():
        model.head.bias += 1
    save_official(model, path, any_dimension=True)
    assert same(load_official(path, "actor", 5, 3), model)
    save_official(network(seed=2), path, any_dimension=True)
    assert torch.equal(model.trunk.out.out.weight, network(seed=1).trunk.out.out.weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head": "pooled"}, "head 'pooled', and the official code 'flatten'"),
        ({"attention_scale": "standard"}, "attention_scale 'standard'"),
        ({"normalise_inputs": True}, "normalise_inputs True"),
        ({"heads": 4}, "heads 4, and the official code 8"),
        ({"fusion_hidden": 0}, "fusion_hidden 0, and the official code 3072"),
        ({"pair_scores": True}, "pair_scores True, and the official code False"),
    ],
)
def test_what_the_official_code_would_score_otherwise_is_refused(path, change, message):
    unlike = network(PairModel, config=replace(CONFIG, **change))
    for given in ((unlike, path), (network(), path, unlike)):  # alone, and as a critic
        with pytest.raises(UserError) as raised:
            save_official(*given, any_dimension=True)
        assert message in str(raised.value)
        assert "--preset released" in str(raised.value)
    if "pair_scores" not in change:  # which an actor has not
        with pytest.raises(UserError, match=r"ours\.bin: the network has"):
            save_official(network(config=replace(CONFIG, **change)), path, any_dimension=True)
    assert not path.exists()


@pytest.mark.parametrize(
    ("change", "kind", "fits"),
    [
        ({}, Actor, True),
        ({}, PairModel, True),
        ({"frames": 20}, Actor, True),  # an option there: --max_imgs
        ({"outputs": 3}, Actor, True),  # --mode cls
        ({"dropout": 0.0, "head_dropout": 0.5}, Actor, True),  # no tensor
        ({"pair_hidden": 256, "pair_scores": True}, Actor, True),  # an actor has none
        ({"pair_hidden": 256}, PairModel, False),
        *(({name: 384}, Actor, False) for name in ("text_dim", "frame_dim", "width")),
        *(
            ({name: 2048}, Actor, False)
            for name in ("text_hidden", "frame_hidden", "fusion_hidden", "head_hidden")
        ),
        ({"text_tokens": 64}, Actor, False),
    ],
    ids=str,
)
def test_sizes_that_stand_in_the_official_code_must_fit(path, monkeypatch, change, kind, fits):
    """At full size, where writing would take 2 GB: what is asked is whether it would come to it."""
    with torch.device("meta"):
        model = kind(replace(RELEASED_NETWORK, **change))

    class WouldWriteError(Exception):
        pass

    def write(*_):
        raise WouldWriteError

    monkeypatch.setattr(torch, "save", write)
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: tensor)
    if fits:
        with pytest.raises(WouldWriteError):
            save_official(model, path)
    else:
        (name,) = change
        with pytest.raises(UserError, match=f"ours.bin: the network has {name} {change[name]}"):
            save_official(model, path)
    assert list(path.parent.iterdir()) == []


# --- In ------------------------------------------------------------------------------------------


def test_an_imported_folder_is_what_from_pretrained_reads(path, folder):
    actor = network()
    save_official(actor, path, any_dimension=True)
    assert import_checkpoint(path, folder, 5, 3) == CONFIG
    found = Actor.from_pretrained(folder)
    assert same(found, actor)
    assert found.config == CONFIG
    assert sorted(p.name for p in folder.iterdir()) == [
        "README.md", "config.json", "model.safetensors",
    ]  # fmt: skip
    assert json.loads((folder / "config.json").read_bytes()) == asdict(CONFIG)
    path.unlink()  # the folder stands by itself
    generator = torch.Generator().manual_seed(3)
    batch = Batch(
        torch.randn(2, 5, 12, generator=generator), *torch.ones(2, 2, 5, dtype=torch.bool),
        torch.randn(1, 3, 8, generator=generator), torch.ones(1, 3, dtype=torch.bool),
        torch.tensor([0, 0]),
    )  # fmt: skip
    assert torch.equal(found(batch), actor(batch))


def test_a_checkpoint_of_stage_three_gives_its_actor(path, folder):
    actor = network(seed=1)
    save_official(actor, path, network(PairModel, 2), any_dimension=True)
    import_checkpoint(path, folder, 5, 3)
    assert same(Actor.from_pretrained(folder), actor)


def test_an_import_is_the_same_bytes_again_and_replaces_the_older_one(path, folder):
    save_official(network(seed=1), path, any_dimension=True)
    import_checkpoint(path, folder, 5, 3)
    first = {p.name: p.read_bytes() for p in folder.iterdir()}
    import_checkpoint(path, folder, 5, 3)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == first
    save_official(network(seed=2), path, any_dimension=True)
    import_checkpoint(path, folder, 5, 3)
    assert same(Actor.from_pretrained(folder), network(seed=2))
    assert [p.name for p in folder.parent.iterdir()] == ["imported"]  # nothing left beside it


def test_a_folder_of_something_else_stays_as_it_is(path, folder):
    save_official(network(), path, any_dimension=True)
    folder.mkdir(parents=True)
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match=r"holds other files \('thesis\.tex'\)"):
        import_checkpoint(path, folder, 5, 3)
    assert [p.name for p in folder.iterdir()] == ["thesis.tex"]


def test_a_checkpoint_that_is_refused_leaves_the_older_import(path, folder):
    save_official(network(), path, any_dimension=True)
    import_checkpoint(path, folder, 5, 3)
    first = (folder / "model.safetensors").read_bytes()
    for model in (network(PairModel), network(config=replace(CONFIG, text_tokens=6))):
        save_official(model, path, any_dimension=True)
        with pytest.raises(UserError, match=r"ours\.bin: "):
            import_checkpoint(path, folder, 5, 3)
    assert (folder / "model.safetensors").read_bytes() == first


def test_an_import_of_other_precision_is_single(path, folder):
    torch.save({n: t.half() for n, t in official_names(network()).items()}, path)
    import_checkpoint(path, folder, 5, 3)
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
