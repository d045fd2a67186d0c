"""The actor with the pooled head, what it is made of, and its files."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import safetensors.torch
import torch
from plain_lr2ppo import attention, block, layers_of, linear, mlp, renamed, standardised, unsettle

from baselines.data import load_records, subset
from baselines.lr2ppo.batch import Batch, collate, masked_mean
from baselines.lr2ppo.model import (
    RELEASED_NETWORK,
    Actor,
    Attention,
    Block,
    NetworkConfig,
    PairModel,
    said_in,
)
from lrmovienet.features import FeatureStore

CONFIG = NetworkConfig(
    text_dim=12, frame_dim=8, width=16, text_hidden=20, frame_hidden=24, fusion_hidden=28,
    head_hidden=10, pair_hidden=18, heads=4, dropout=0.5, head_dropout=0.5,
)  # fmt: skip
OURS = {
    "x": "norm_x", "y": "norm_y", "q": "attention.query", "k": "attention.key",
    "v": "attention.value", "o": "attention.out", "f": "norm_hidden", "f1": "feed_forward.hidden",
    "f2": "feed_forward.out", "n": "norm",
}  # fmt: skip


def made(kind=Actor, **changes):
    torch.manual_seed(0)
    model = kind(replace(CONFIG, **changes)).eval()
    unsettle(model)
    return model


@pytest.fixture(scope="module")
def actor() -> Actor:
    return made()


@pytest.fixture(scope="module")
def records(filled):
    return load_records(filled, "target_test", FeatureStore.of(filled))


@torch.inference_mode()
def score(actor, batch) -> np.ndarray:
    return actor(batch).numpy()


# --- Scores --------------------------------------------------------------------------------------


def test_padding_does_not_change_scores(actor, records):
    batch = collate(records)
    n, c = len(batch.text), len(batch.frames)
    padded = Batch(
        text=torch.cat([batch.text, torch.full((n, 7, 12), 3.0)], 1),
        text_mask=torch.cat([batch.text_mask, torch.zeros(n, 7, dtype=torch.bool)], 1),
        label_mask=torch.cat([batch.label_mask, torch.zeros(n, 7, dtype=torch.bool)], 1),
        frames=torch.cat([batch.frames, torch.full((c, 5, 8), -2.0)], 1),
        frame_mask=torch.cat([batch.frame_mask, torch.zeros(c, 5, dtype=torch.bool)], 1),
        record=batch.record,
    )
    np.testing.assert_allclose(score(actor, padded), score(actor, batch), atol=1e-6)


def test_what_stands_in_padding_does_not_change_scores(actor, records):
    batch = collate(records)
    assert not batch.text_mask.all()
    assert not batch.frame_mask.all()
    filled = batch._replace(
        text=batch.text.where(batch.text_mask[:, :, None], torch.full((), 5.0)),
        frames=batch.frames.where(batch.frame_mask[:, :, None], torch.full((), -5.0)),
    )
    np.testing.assert_allclose(score(actor, filled), score(actor, batch), atol=1e-6)


@pytest.mark.parametrize("head", ["pooled", "flatten"])
def test_features_of_half_precision_are_widened_before_anything_is_done_to_them(records, head):
    actor, batch = made(head=head, text_tokens=6, frames=2), collate(records)
    wide = batch._replace(text=batch.text.float(), frames=batch.frames.float())
    assert np.array_equal(score(actor, batch), score(actor, wide))


@pytest.mark.parametrize("head", ["pooled", "flatten"])
def test_a_label_scores_alike_alone_and_in_any_company(records, head):
    actor = made(head=head, text_tokens=6, frames=2)
    together = score(actor, collate(records))
    turned = score(actor, collate(records[::-1]))
    alone = [
        [score(actor, collate([subset(record, [i])]))[0] for i in range(len(record.labels))]
        for record in records
    ]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-6)
    np.testing.assert_allclose(turned, np.concatenate(alone[::-1]), atol=1e-6)
    assert together.std() > 1e-2  # not all the same


@pytest.mark.parametrize("head", ["pooled", "flatten"])
def test_permuting_labels_permutes_scores(records, head):
    actor, record = made(head=head, text_tokens=6, frames=2), records[0]
    order = np.random.default_rng(0).permutation(len(record.labels))
    expected = score(actor, collate([record]))[order]
    found = score(actor, collate([subset(record, order)]))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(np.diff(expected)).min() > 1e-4  # so that another order would be seen


def test_order_of_frames_does_not_matter_but_frames_do(actor, records):
    batch = collate([record for record in records if len(record.frames) > 1][:1])
    turned = batch._replace(frames=batch.frames.flip(1))
    np.testing.assert_allclose(score(actor, turned), score(actor, batch), atol=1e-6)
    other = batch._replace(frames=batch.frames + torch.arange(8.0))
    assert np.abs(score(actor, other) - score(actor, batch)).min() > 1e-4


@pytest.mark.parametrize("head", ["pooled", "flatten"])
def test_each_label_sees_the_frames_of_its_own_record(records, head):
    actor = made(head=head, text_tokens=6, frames=2)
    batch = collate(records[:2])
    changed = batch._replace(frames=batch.frames.clone())
    changed.frames[1] += torch.arange(8.0)
    difference = np.abs(score(actor, changed) - score(actor, batch))
    first = len(records[0].labels)
    assert difference[:first].max() == 0
    assert difference[first:].min() > 1e-4


def test_the_label_mask_tells_label_from_description(actor, records):
    batch = collate([records[0]])
    other = batch._replace(label_mask=batch.label_mask.roll(1, dims=1))
    assert np.abs(score(actor, other) - score(actor, batch)).min() > 1e-4


def plain_actor(actor, batch, i) -> float:
    """The pooled head's score of one label, restated."""
    config = actor.config
    layer = layers_of(actor.state_dict())
    ready = standardised if config.normalise_inputs else torch.clone
    raw = batch.text[i][batch.text_mask[i]].double()
    label = batch.label_mask[i][batch.text_mask[i]]
    own = batch.record[i]
    frames = ready(batch.frames[own][batch.frame_mask[own]].double())
    text = mlp(ready(raw), layer("trunk.text_mlp.hidden"), layer("trunk.text_mlp.out"))
    frames = mlp(frames, layer("trunk.frame_mlp.hidden"), layer("trunk.frame_mlp.out"))
    fused = block(
        text, frames, renamed(layers_of(actor.state_dict(), "trunk.fusion."), OURS),
        config.heads, config.attention_scale, hidden=config.fusion_hidden > 0,
    )  # fmt: skip
    unit = raw / (raw**2).sum(1, keepdim=True).sqrt()
    whole = unit[label].mean(0)
    likeness = unit[~label] @ (whole / (whole**2).sum().sqrt())
    said = (10 * likeness).softmax(0) @ fused[~label]
    nearest = (unit[label] @ unit[~label].T).max(1).values.mean()
    similarities = 4 * torch.stack([nearest, likeness.max()]) - 2
    read = torch.cat([fused[label].mean(0), fused.mean(0), frames.mean(0), said, similarities])
    vector = mlp(read[None], layer("trunk.out.hidden"), layer("trunk.out.out"))
    return linear(vector, layer("head")).item()


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("scale", ["standard", "released"])
@pytest.mark.parametrize("hidden", [28, 0])
def test_scores_equal_a_plain_restatement(records, normalise, scale, hidden):
    actor = made(normalise_inputs=normalise, attention_scale=scale, fusion_hidden=hidden)
    batch = collate(records[:2])
    expected = [plain_actor(actor, batch, i) for i in range(len(batch.text))]
    np.testing.assert_allclose(score(actor, batch), expected, atol=1e-5)
    assert np.std(expected) > 1e-2


# --- Batches -------------------------------------------------------------------------------------


def test_collate_places_every_token(records):
    batch = collate(records[:2])
    row = 0
    for number, record in enumerate(records[:2]):
        for i, label in enumerate(record.labels):
            tokens, start, end = record.text(i)
            assert batch.text_mask[row].nonzero().flatten().tolist() == list(range(len(tokens)))
            assert batch.label_mask[row].nonzero().flatten().tolist() == list(range(start, end))
            assert end - start == len(label.split())
            assert torch.equal(batch.text[row, : len(tokens)], torch.tensor(tokens).float())
            assert (batch.text[row, len(tokens) :] == 0).all()
            assert batch.record[row] == number
            row += 1
        frames = torch.tensor(np.asarray(record.frames)).float()
        assert torch.equal(batch.frames[number, : len(frames)], frames)
        assert (batch.frames[number, len(frames) :] == 0).all()
        there = batch.frame_mask[number].nonzero().flatten().tolist()
        assert there == list(range(len(frames)))
    assert row == len(batch.text) == len(batch.record)
    assert batch.text.shape[1] == batch.text_mask.sum(1).max()  # no longer than need be
    assert batch.frames.shape[1] == batch.frame_mask.sum(1).max()
    assert batch.text.dtype == batch.frames.dtype == torch.float16  # as they are stored


def test_a_batch_moves_whole(records):
    moved = collate(records[:1]).to("meta")
    assert isinstance(moved, Batch)
    assert {tensor.device.type for tensor in moved} == {"meta"}


def test_masked_mean_by_hand():
    x = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [100.0, 100.0]], [[7.0, 8.0], [0, 0], [9.0, 0]]])
    mask = torch.tensor([[True, True, False], [False, False, True]])
    assert masked_mean(x, mask).tolist() == [[2.0, 4.0], [9.0, 0.0]]


# --- Attention and block -------------------------------------------------------------------------


@pytest.mark.parametrize(("scale", "inside", "behind"), [("standard", 2, 1), ("released", 1, 2)])
def test_attention_by_hand(scale, inside, behind):
    """One head of 4, identity weights. √4 divides q·k (standard) or what the softmax gives."""
    found = Attention(4, 1, scale)
    for layer in (found.query, found.key, found.value, found.out):
        torch.nn.init.eye_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    text = torch.tensor([[[2.0, 0, 0, 0]]])
    frames = torch.tensor([[[1.5, 0, 0, 0], [1.0, 0, 0, 0], [9.0, 0, 0, 0]]])
    mask = torch.tensor([[True, True, False]])
    out = found(text, frames, mask, torch.tensor([0]))
    first = math.exp(3 / inside) / (math.exp(3 / inside) + math.exp(2 / inside))
    expected = (1.5 * first + 1.0 * (1 - first)) / behind
    assert out[0, 0].tolist() == pytest.approx([expected, 0, 0, 0], rel=1e-6)


@pytest.mark.parametrize("scale", ["standard", "released"])
def test_attention_of_several_heads_equals_plain_sums(scale):
    found = Attention(16, 4, scale)
    unsettle(found)
    layer = layers_of(found.state_dict())
    four = tuple(layer(name) for name in ("query", "key", "value", "out"))
    x, y = torch.randn(2, 3, 16), torch.randn(2, 5, 16)
    mask = torch.tensor([[True, False, True, True, False], [True] * 5])
    out = found(x, y, mask)
    for i in range(2):
        may_see = mask[i].expand(3, 5)
        expected = attention(x[i].double(), y[i].double(), four, 4, scale, may_see)
        assert (out[i] - expected).abs().max() < 1e-5


def test_owners_share_keys_and_values_of_a_sequence():
    found = Attention(16, 4)
    x, y = torch.randn(4, 3, 16), torch.randn(2, 5, 16)
    mask = torch.tensor([[True, False, True, True, False], [True] * 5])
    owner = torch.tensor([1, 0, 0, 1])
    torch.testing.assert_close(found(x, y, mask, owner), found(x, y[owner], mask[owner]))
    torch.testing.assert_close(found(x, y, owner=owner), found(x, y[owner]))


@pytest.mark.parametrize("hidden", [28, 0])
def test_a_block_norms_before_and_adds_after_and_norms_at_last(hidden):
    found = Block(CONFIG, hidden).eval()
    unsettle(found)
    x, y = torch.randn(1, 3, 16), torch.randn(1, 5, 16)
    layer = renamed(layers_of(found.state_dict()), OURS)
    expected = block(x[0].double(), y[0].double(), layer, 4, "standard", hidden=hidden > 0)
    assert (found(x, y)[0] - expected).abs().max() < 1e-5
    assert ("feed_forward.hidden.weight" in found.state_dict()) == (hidden > 0)


# --- Where a label is said -----------------------------------------------------------------------


def test_said_in_finds_the_label_in_the_description():
    """Tokens: label, then description of an unlike, a like and a padding token (by hand)."""
    text = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [3.0, 4.0], [9.0, 0.0]]])
    label = torch.tensor([[True, False, False, False]])
    there = torch.tensor([[True, True, True, False]])
    weights, nearest = said_in(text, label, there)
    # Cosines to the label: 0 and 3/5; the label itself and the padding do not count.
    like = math.exp(10 * 0.6)
    assert weights[0].tolist() == pytest.approx([0, 1 / (1 + like), like / (1 + like), 0])
    assert nearest[0].tolist() == pytest.approx([4 * 0.6 - 2, 4 * 0.6 - 2])


def test_said_in_averages_over_the_labels_tokens():
    """Two label tokens, orthogonal: each finds its own; as a whole they are half-way (cos 45°)."""
    text = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [0.6, 0.8]]])
    label = torch.tensor([[True, True, False, False]])
    _, nearest = said_in(text, label, torch.ones(1, 4, dtype=torch.bool))
    whole = (0.6 + 0.8) / math.sqrt(2)
    assert nearest[0].tolist() == pytest.approx([4 * (1 + 0.8) / 2 - 2, 4 * whole - 2], rel=1e-5)


# --- Sizes and files -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "kind", "expected"),
    [
        (RELEASED_NETWORK, Actor, 519_070_465),
        (RELEASED_NETWORK, PairModel, 526_164_481),
        (NetworkConfig(), Actor, 24_407_809),
        (NetworkConfig(), PairModel, 31_501_825),
    ],
)
def test_numbers_of_parameters(config, kind, expected):
    with torch.device("meta"):
        model = kind(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


EVERYTHING = replace(
    CONFIG, head="flatten", attention_scale="released", normalise_inputs=False, text_tokens=5,
    frames=3, pair_scores=True, outputs=3,
)  # fmt: skip


@pytest.mark.parametrize("kind", [Actor, PairModel])
def test_what_is_saved_is_read_back(tmp_path, kind, records):
    model = made(kind, **asdict(EVERYTHING))
    plain = asdict(NetworkConfig())  # nothing is as it would be if it were not written
    assert [name for name, value in asdict(model.config).items() if value == plain[name]] == []
    model.save_pretrained(tmp_path)
    loaded = kind.from_pretrained(tmp_path)
    assert loaded.config == EVERYTHING
    assert json.loads((tmp_path / "config.json").read_bytes()) == asdict(EVERYTHING)
    assert not loaded.training
    assert loaded.state_dict().keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    batch, slots = collate(records[:1]), torch.tensor([[0, 1, 1, 0]])
    given = (batch,) if kind is Actor else (batch, slots)
    assert torch.equal(loaded(*given), model(*given))


def test_weights_load_whole_or_not_at_all(tmp_path, actor):
    actor.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    weights = safetensors.torch.load_file(path)
    name = "trunk.fusion.norm.weight"
    for changed in (
        {n: tensor for n, tensor in weights.items() if n != name},
        {**weights, "trunk.fusion.norm.other": torch.ones(1)},
        {**weights, name: torch.ones(17)},
    ):
        safetensors.torch.save_file(changed, path)
        with pytest.raises(RuntimeError, match=r"trunk\.fusion\.norm\."):
            Actor.from_pretrained(tmp_path)  # the mixin alone would leave some random
    safetensors.torch.save_file(weights, path)
    Actor.from_pretrained(tmp_path)


def test_a_model_of_another_kind_or_size_does_not_load(tmp_path, actor):
    actor.save_pretrained(tmp_path)
    with pytest.raises(RuntimeError, match=r"positions\.weight"):
        PairModel.from_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_bytes())
    for change in ({"width": 32}, {"head": "flatten"}, {"fusion_hidden": 0}, {"outputs": 3}):
        (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(RuntimeError, match="state_dict"):
            Actor.from_pretrained(tmp_path)
