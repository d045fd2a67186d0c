"""The actor: what must not change a score, what must, and that weights load whole or not at all."""

import json
import math

import numpy as np
import pytest
import safetensors.torch
import torch

from baselines.data import load_records, subset
from baselines.lr2ppo.base import BaseRanker, load_actor
from baselines.lr2ppo.model import Actor, ActorConfig, Batch, collate, masked_mean, said_in
from lrmovienet.errors import UserError
from lrmovienet.features import FeatureStore

CONFIG = ActorConfig(
    text_dim=12, frame_dim=8, width=16, text_hidden=20, frame_hidden=24, head_hidden=10, heads=4,
    dropout=0.5,
)  # fmt: skip


@pytest.fixture(scope="module")
def actor() -> Actor:
    torch.manual_seed(0)
    return Actor(CONFIG).eval()


@pytest.fixture(scope="module")
def records(filled):
    return load_records(filled, "target_test", FeatureStore.of(filled))


def score(actor: Actor, batch: Batch) -> np.ndarray:
    with torch.inference_mode():
        return actor(batch).numpy()


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


def test_pointwise_a_label_scores_alike_alone_and_in_any_company(actor, records):
    together = score(actor, collate(records))
    alone = [
        score(actor, collate([subset(record, [i])]))[0]
        for record in records
        for i in range(len(record.labels))
    ]
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert together.std() > 1e-3  # not all the same


def test_permuting_labels_permutes_scores(actor, records):
    record = records[0]
    order = np.random.default_rng(0).permutation(len(record.labels))
    expected = score(actor, collate([record]))[order]
    found = score(actor, collate([subset(record, order)]))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_order_of_frames_does_not_matter_but_frames_do(actor, records):
    record = next(r for r in records if len(r.frames) > 1)
    batch = collate([record])
    turned = batch._replace(frames=batch.frames.flip(1))
    np.testing.assert_allclose(score(actor, turned), score(actor, batch), atol=1e-6)
    other = batch._replace(frames=batch.frames + torch.arange(8.0))
    assert np.abs(score(actor, other) - score(actor, batch)).min() > 1e-4


def test_each_label_sees_the_frames_of_its_own_record(actor, records):
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


def test_collate_places_every_token(records):
    batch = collate(records[:2])
    row = 0
    for number, record in enumerate(records[:2]):
        for i, label in enumerate(record.labels):
            tokens, start, end = record.text(i)
            assert batch.text_mask[row].sum() == len(tokens)
            assert batch.label_mask[row].nonzero().flatten().tolist() == list(range(start, end))
            assert end - start == len(label.split())
            assert torch.equal(batch.text[row, : len(tokens)], torch.tensor(tokens).float())
            assert batch.record[row] == number
            row += 1
        frames = torch.tensor(np.asarray(record.frames)).float()
        assert torch.equal(batch.frames[number, : len(frames)], frames)
        assert batch.frame_mask[number].sum() == len(frames)
    assert row == len(batch.text)


def test_masked_mean_by_hand():
    x = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [100.0, 100.0]]])
    mask = torch.tensor([[True, True, False]])
    assert masked_mean(x, mask).tolist() == [[2.0, 4.0]]


def test_attention_by_hand():
    """One head, identity weights: softmax over the frames there are of q·k/√d, then their mean."""
    from baselines.lr2ppo.model import CrossAttention

    attention = CrossAttention(4, 1)
    for layer in (attention.query, attention.key, attention.value, attention.out):
        torch.nn.init.eye_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    text = torch.tensor([[[2.0, 0, 0, 0]]])
    frames = torch.tensor([[[3.0, 0, 0, 0], [1.0, 0, 0, 0], [9.0, 0, 0, 0]]])
    mask = torch.tensor([[True, True, False]])
    out = attention(text, frames, mask, torch.tensor([0]))
    weight = np.exp(6 / 2) / (np.exp(6 / 2) + np.exp(2 / 2))  # √4 = 2
    assert out[0, 0, 0].item() == pytest.approx(3 * weight + (1 - weight), rel=1e-6)


def test_weights_load_whole_or_not_at_all(actor, tmp_path, records):
    ranker = BaseRanker()
    ranker.actor = actor
    ranker.save(tmp_path)
    batch = collate(records)
    for loaded in (load_actor(tmp_path), Actor.from_pretrained(tmp_path)):
        assert np.array_equal(score(loaded, batch), score(actor, batch))
    weights = safetensors.torch.load_file(tmp_path / "model.safetensors")
    missing = {k: v for k, v in weights.items() if k != "norm.weight"}
    safetensors.torch.save_file(missing, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="not the files of a trained actor"):
        load_actor(tmp_path)
    with pytest.raises(RuntimeError, match=r"norm\.weight"):
        Actor.from_pretrained(tmp_path)  # the mixin alone would leave it random
    safetensors.torch.save_file({**weights, "other": torch.ones(1)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="train again"):
        load_actor(tmp_path)
    safetensors.torch.save_file(weights, tmp_path / "model.safetensors")
    config = json.loads((tmp_path / "config.json").read_bytes())
    (tmp_path / "config.json").write_text(json.dumps({**config, "width": 32}))
    with pytest.raises(UserError, match="train again"):
        load_actor(tmp_path)


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
