"""Official checkpoints: their names, the official forward pass once more, and what is refused."""

from pathlib import Path

import pytest
import torch
from plain_lr2ppo import block, layers_of, linear, mlp, renamed

from baselines.lr2ppo.batch import Batch
from baselines.lr2ppo.model import RELEASED_NETWORK, Actor, NetworkConfig, PairModel
from baselines.lr2ppo.upstream import load_official, official_names
from lrmovienet.errors import UserError

TOKENS, FRAMES = 5, 3
SMALL = {"text_dim": 12, "frame_dim": 8, "width": 16, "text": 20, "frame": 24, "xit": 64, "out": 10}
FULL = {
    "text_dim": 768, "frame_dim": 768, "width": 768, "text": 3072, "frame": 3072, "xit": 3072,
    "out": 3072,
}  # fmt: skip


def shapes(kind, size, flat, outputs=1):
    """Names and shapes as the released classes have them (written down from an instance)."""
    width = size["width"]
    found = {}

    def layer(name, out, inputs=None):
        found[f"{name}.weight"] = (out,) if inputs is None else (out, inputs)
        found[f"{name}.bias"] = (out,)

    def xit(name):
        for norm in ("0.0.0.fn.0.ln_x", "0.0.0.fn.0.ln_y"):
            layer(f"{name}.{norm}", width)
        for part in ("keys", "queries", "values", "projection"):
            layer(f"{name}.0.0.0.fn.1.{part}", width, width)
        layer(f"{name}.0.0.1.fn.0", width)
        layer(f"{name}.0.0.1.fn.1.0", size["xit"], width)
        layer(f"{name}.0.0.1.fn.1.3", width, size["xit"])
        layer(f"{name}.1.0", width)

    layer("text_proj.fc1", size["text"], size["text_dim"])
    layer("text_proj.fc2", width, size["text"])
    layer("img_proj.fc1", size["frame"], size["frame_dim"])
    layer("img_proj.fc2", width, size["frame"])
    if kind != "actor":
        found["pos_emb.weight"] = (4, width)
    xit("xit")
    if kind != "actor":
        xit("xitt")
    layer("out_layer.fc1", size["out"], flat * width)
    layer("out_layer.fc2", width, size["out"])
    layer("head", outputs, width)
    return found


def tensors(kind, seed=0, outputs=1, size=SMALL):
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, shape in shapes(kind, size, TOKENS + FRAMES, outputs).items():
        # Queries and keys so large that the attention is uneven.
        spread = 1.0 if "queries" in name or "keys" in name else 0.3
        found[name] = torch.randn(shape, generator=generator) * spread
    return found


def save(path, found):
    torch.save(found, path)
    return path


def load(path, kind="actor"):
    return load_official(path, kind, TOKENS, FRAMES)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "finetuned_model.bin"


@pytest.fixture(scope="module")
def batch():
    """Two records, of two frames and of five; texts of four tokens, of five and of seven."""
    generator = torch.Generator().manual_seed(7)
    lengths, frames = torch.tensor([4, 7, 5, 4]), torch.tensor([2, 5])
    text_mask = torch.arange(7)[None] < lengths[:, None]
    frame_mask = torch.arange(5)[None] < frames[:, None]
    return Batch(
        text=torch.randn(4, 7, 12, generator=generator) * text_mask[:, :, None],
        text_mask=text_mask,
        label_mask=text_mask & (torch.arange(7)[None] < 1),
        frames=torch.randn(2, 5, 8, generator=generator) * frame_mask[:, :, None],
        frame_mask=frame_mask,
        record=torch.tensor([0, 0, 1, 1]),
    )


# What the official data loader makes of the batch: 5 tokens a text; 3 frames a clip, repeated in
# turn (frames 0, 1, 0 of the first clip) or cut (0, 1, 2 of the second).
FRAMES_OF = [[0, 1, 0], [0, 1, 0], [0, 1, 2], [0, 1, 2]]
XIT = {
    "x": "0.0.0.fn.0.ln_x", "y": "0.0.0.fn.0.ln_y", "q": "0.0.0.fn.1.queries",
    "k": "0.0.0.fn.1.keys", "v": "0.0.0.fn.1.values", "o": "0.0.0.fn.1.projection",
    "f": "0.0.1.fn.0", "f1": "0.0.1.fn.1.0", "f2": "0.0.1.fn.1.3", "n": "1.0",
}  # fmt: skip


def official_vectors(weights, batch):
    """(n, width), by the official names."""
    layer = layers_of(weights)
    found = []
    for i in range(len(batch.text)):
        frames = batch.frames[batch.record[i]][FRAMES_OF[i]].double()
        images = mlp(frames, layer("img_proj.fc1"), layer("img_proj.fc2"))
        text = batch.text[i, :TOKENS].double()
        text = mlp(text, layer("text_proj.fc1"), layer("text_proj.fc2"))
        fused = block(text, images, renamed(layers_of(weights, "xit."), XIT), 8, "released")
        flat = torch.cat([fused, images]).reshape(1, -1)
        found.append(mlp(flat, layer("out_layer.fc1"), layer("out_layer.fc2")))
    return torch.cat(found)


def official_actor(weights, batch):
    """(n, outputs)"""
    return linear(official_vectors(weights, batch), layers_of(weights)("head"))


def official_pairs(weights, batch, slots):
    """(b,): all slots attend to all, and the last is read."""
    vectors = official_vectors(weights, batch)
    found = []
    for places in slots:
        x = vectors[places] + weights["pos_emb.weight"][: len(places)].double()
        x = block(x, x, renamed(layers_of(weights, "xitt."), XIT), 8, "released")
        found.append(linear(x, layers_of(weights)("head"))[-1, 0])
    return torch.stack(found)


def assert_same(found, expected):
    """To 1e-5 of a score, between scores that are not all alike."""
    assert found.shape == expected.shape
    assert (found.double() - expected).abs().max() < 1e-5
    assert expected.std() > 0.01


# --- The same scores -----------------------------------------------------------------------------


@torch.inference_mode()
def test_an_actor_scores_as_the_official_forward_pass_does(path, batch):
    weights = tensors("actor")
    actor = load(save(path, weights))
    assert_same(actor(batch), official_actor(weights, batch)[:, 0])
    assert not actor.training


@torch.inference_mode()
def test_an_actor_of_three_classes_gives_the_official_logits(path, batch):
    weights = tensors("actor", outputs=3)
    actor = load(save(path, weights))
    logits = official_actor(weights, batch)
    assert_same(actor.raw(batch), logits)
    powers = logits.exp()
    expected = (powers[:, 1] + 2 * powers[:, 2]) / powers.sum(1)
    assert_same(actor(batch), expected)


@torch.inference_mode()
def test_a_reward_model_values_as_the_official_forward_pass_does(path, batch):
    weights = tensors("reward")
    slots = [[0, 1, 1, 0], [0, 1, 0, 1], [3, 2, 2, 3]]
    model = load(save(path, weights), "reward")
    assert_same(model(batch, torch.tensor(slots)), official_pairs(weights, batch, slots))


@torch.inference_mode()
def test_stage_three_holds_an_actor_and_a_critic_of_two_slots(path, batch):
    actor, critic = tensors("actor", seed=1), tensors("critic", seed=2)
    both = {f"critic.{n}": t for n, t in critic.items()} | {
        f"actor.{n}": t for n, t in actor.items()
    }
    save(path, both)
    assert_same(load(path)(batch), official_actor(actor, batch)[:, 0])
    slots = [[0, 1], [1, 0], [3, 2]]
    found = load(path, "critic")(batch, torch.tensor(slots))
    assert_same(found, official_pairs(critic, batch, slots))


def test_names_may_stand_behind_what_data_parallel_training_adds(path):
    weights = tensors("actor")
    actor = load(save(path, {f"module.{name}": tensor for name, tensor in weights.items()}))
    assert all(torch.equal(weights[n], t) for n, t in official_names(actor).items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_single(path, dtype):
    weights = {name: tensor.to(dtype) for name, tensor in tensors("actor").items()}
    actor = load(save(path, weights))
    for name, tensor in official_names(actor).items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, weights[name].float())


def test_sizes_are_those_of_the_tensors(path):
    actor = load(save(path, tensors("actor", outputs=3)))
    assert actor.config == NetworkConfig(
        text_dim=12, frame_dim=8, width=16, text_hidden=20, frame_hidden=24, fusion_hidden=64,
        head_hidden=10, pair_hidden=64, heads=8, dropout=0.1, head="flatten", head_dropout=0.0,
        attention_scale="released", normalise_inputs=False, text_tokens=5, frames=3, outputs=3,
    )  # fmt: skip
    assert load(save(path, tensors("reward")), "reward").config.outputs == 1


def test_the_released_network_has_the_released_names_and_shapes():
    with torch.device("meta"):
        networks = {"actor": Actor(RELEASED_NETWORK), "reward": PairModel(RELEASED_NETWORK)}
    for kind, network in networks.items():
        found = {name: tuple(tensor.shape) for name, tensor in official_names(network).items()}
        assert found == shapes(kind, FULL, 196 + 16)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="asks Linux")
def test_tensors_stay_in_the_file(path):
    """Else the released networks would take 2 GB of memory twice."""
    actor = load(save(path, tensors("actor")))
    assert str(path) in Path("/proc/self/maps").read_text()
    del actor
    assert str(path) not in Path("/proc/self/maps").read_text()


def test_a_loaded_network_can_be_trained_on(path, batch):
    weights = tensors("actor")
    actor = load(save(path, weights)).train()
    before = path.read_bytes()
    optimizer = torch.optim.SGD(actor.parameters(), lr=0.1)
    actor(batch).sum().backward()
    optimizer.step()
    assert not torch.equal(actor.head.weight, weights["head.weight"])
    assert path.read_bytes() == before  # it is mapped, and stays as it was


# --- What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("holds", "wanted", "message"),
    [
        ("actor", "reward", r"this is an actor \(.*\), not a reward model\. .* stage 2"),
        ("actor", "critic", r"this is an actor \(.*\), not a critic\. .* stage 3"),
        ("reward", "actor", r"this is a reward model \(.*\), not an actor\. .* stage 1 or 3"),
        ("reward", "critic", r"this is a reward model \(.*\), not a critic\. .* stage 3"),
    ],
)
def test_a_checkpoint_of_the_other_kind_is_told_apart(path, holds, wanted, message):
    save(path, tensors(holds))
    with pytest.raises(UserError, match=f"finetuned_model.bin: {message}"):
        load(path, wanted)


def test_stage_three_holds_no_reward_model(path):
    save(path, {f"{kind}.{n}": t for kind in ("actor", "critic") for n, t in tensors(kind).items()})
    with pytest.raises(UserError, match=r"stage 3, an actor and a critic.*stage 2"):
        load(path, "reward")


def test_each_missing_tensor_is_named(path):
    whole = tensors("reward")
    for name in whole:
        save(path, {n: t for n, t in whole.items() if n != name})
        with pytest.raises(UserError) as raised:
            load(path, "reward")
        assert f"finetuned_model.bin: {name} is missing. Give a file" in str(raised.value)


def test_each_misshapen_tensor_is_refused_and_shapes_are_in_the_message(path):
    whole = tensors("reward")
    for name, tensor in whole.items():
        longer = torch.cat([tensor, tensor[:1]])
        with pytest.raises(UserError, match=r"finetuned_model\.bin: .*(shape|numbers)"):
            load(save(path, {**whole, name: longer}), "reward")
    for name in ("xit.0.0.0.fn.1.keys.weight", "head.bias", "text_proj.fc2.bias"):
        longer = torch.cat([whole[name], whole[name][:1]])
        with pytest.raises(UserError) as raised:
            load(save(path, {**whole, name: longer}), "reward")
        was, now = tuple(whole[name].shape), tuple(longer.shape)
        assert f"{name} has the shape {now}, and should have {was}" in str(raised.value)


@pytest.mark.parametrize("name", ["vit.cls", "head.weight2", "text_proj3.fc1.weight", "n" * 999])
def test_an_unknown_tensor_is_named(path, name):
    save(path, {**tensors("actor"), name: torch.zeros(1)})
    with pytest.raises(UserError) as raised:
        load(path)
    assert f"'{name[:70]}" in str(raised.value)
    assert "is no tensor of this network" in str(raised.value)
    assert len(str(raised.value)) < 500 + len(str(path))


def test_checkpoints_of_the_letor_experiment_are_other_networks(path):
    """They have no projections: features go straight into the attention."""
    names = ("xit.", "out_layer.", "head.")
    save(path, {n: t for n, t in tensors("actor").items() if n.startswith(names)})
    with pytest.raises(UserError, match=r"text_proj.* is missing.*_trad\.py"):
        load(path)


@pytest.mark.parametrize(("tokens", "frames"), [(196, 16), (5, 4), (8, 0), (0, 8), (9, -1)])
def test_positions_must_be_those_of_the_checkpoint(path, tokens, frames):
    save(path, tensors("actor"))
    with pytest.raises(UserError, match=rf"128 numbers, 8 positions of 16; {tokens} text tokens"):
        load_official(path, "actor", tokens, frames)


def test_positions_by_default_are_the_released_ones(path):
    save(path, tensors("actor"))
    with pytest.raises(UserError, match="196 text tokens and 16 frames"):
        load_official(path, "actor")


def test_heads_and_classes_that_the_official_code_has_not_are_refused(path):
    save(path, tensors("actor", size={**SMALL, "width": 12}))
    with pytest.raises(UserError, match="12 numbers, which 8 heads"):
        load(path)
    save(path, tensors("actor", outputs=2))
    with pytest.raises(UserError, match=r"head\.weight makes 2 numbers"):
        load(path)
    save(path, tensors("reward", outputs=3))
    with pytest.raises(UserError, match=r"head\.weight has the shape \(3, 16\)"):
        load(path, "reward")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_refused(path, value):
    weights = tensors("actor")
    weights["xit.1.0.bias"][3] = value
    with pytest.raises(UserError, match=r"xit\.1\.0\.bias has numbers that are not finite"):
        load(save(path, weights))
    weights["xit.1.0.bias"][3] = 0
    large = {**weights, "head.bias": torch.full((1,), 1e300, dtype=torch.float64)}
    with pytest.raises(UserError, match=r"head\.bias has numbers that are not finite in single"):
        load(save(path, large))
