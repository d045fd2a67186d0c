"""The trunk for labels that are one vector each, and lists of many labels and grades."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from plain_lr2ppo import block, layers_of, linear, mlp, renamed, standardised, unsettle
from test_lr2ppo_model import OURS
from tiny_stages import ALONE, BASE, NETWORK, USUAL, reward_model
from tiny_stages import record as clip

import baselines.lr2ppo.reward as reward
import baselines.lr2ppo.rewards as rewards
from baselines.data import Graded, Record, TrainingData
from baselines.learning.machine import Machine
from baselines.lr2ppo.base import BaseRanker, fitted
from baselines.lr2ppo.batch import collate
from baselines.lr2ppo.model import (
    RELEASED_NETWORK,
    Actor,
    Attention,
    NetworkConfig,
    PairModel,
    Trunk,
)
from baselines.lr2ppo.one_token import OneToken
from baselines.lr2ppo.presets import ONE_TOKEN
from baselines.lr2ppo.reward import dev_accuracy
from baselines.lr2ppo.rewards import reward_table, reward_tables
from baselines.lr2ppo.rollout import state_values
from lrmovienet.errors import UserError

TOKEN = NetworkConfig(
    text_dim=12, width=16, text_hidden=20, fusion_hidden=28, head_hidden=10, pair_hidden=18,
    heads=4, dropout=0.5, head="token", head_dropout=0.5,
)  # fmt: skip
RELEASED_ONE_TOKEN = replace(RELEASED_NETWORK, head="token", text_hidden=0)
"""That of the released scripts for documents, which are mapped to 768 numbers before."""


def made(kind=Actor, **changes):
    torch.manual_seed(0)
    model = kind(replace(TOKEN, **changes)).eval()
    unsettle(model)
    return model


def query(name: str, documents: int, dim: int = 12, seed: int = 0) -> Record:
    """A query whose documents are vectors drawn at random."""
    labels = tuple(f"{name}-{i}" for i in range(documents))
    x = np.random.default_rng(seed).normal(size=(documents, dim)).astype(np.float32)
    return Record(name, "target", labels, ("",) * documents, (), "", vectors=x)


RECORDS = [query("q1", 5, seed=1), query("q2", 1, seed=2), query("q3", 3, seed=3)]


# --- The trunk -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "expected"), [(Actor, 14_173_441), (PairModel, 21_267_457)])
def test_numbers_of_parameters_are_the_released_ones(kind, expected):
    with torch.device("meta"):
        model = kind(RELEASED_ONE_TOKEN)
    assert sum(parameter.numel() for parameter in model.parameters()) == expected
    # XiT; out 1536 -> 3072 -> 768; the linear layer 768 -> 1 of the actor.
    trunk = model.trunk
    assert sum(parameter.numel() for parameter in trunk.fusion.parameters()) == 7_090_944
    assert [tuple(p.shape) for n, p in trunk.out.named_parameters() if n.endswith("weight")] == [
        (3072, 1536), (768, 3072),
    ]  # fmt: skip
    assert {name.split(".")[0] for name, _ in trunk.named_parameters()} == {"fusion", "out"}


@pytest.mark.parametrize("hidden", [28, 0])
@pytest.mark.parametrize("scale", ["standard", "released"])
@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("text_hidden", [20, 0])
@torch.no_grad()
def test_it_equals_a_plain_restatement(text_hidden, normalise, scale, hidden):
    """One document at a time, in double precision."""
    dim = 12 if text_hidden else 16
    actor = made(
        text_dim=dim, text_hidden=text_hidden, normalise_inputs=normalise, attention_scale=scale,
        fusion_hidden=hidden,
    )  # fmt: skip
    record = query("q", 4, dim)
    layer = layers_of(actor.state_dict())
    of_block = renamed(layers_of(actor.state_dict(), "trunk.fusion."), OURS)
    found = actor(collate([record]))
    for vector, score in zip(record.vectors, found, strict=True):
        x = torch.from_numpy(vector)[None].double()
        x = standardised(x) if normalise else x
        if text_hidden:
            x = mlp(x, layer("trunk.text_mlp.hidden"), layer("trunk.text_mlp.out"))
        h = block(x, x, of_block, 4, scale, hidden=bool(hidden))
        out = mlp(torch.cat([h, x], 1), layer("trunk.out.hidden"), layer("trunk.out.out"))
        assert score.item() == pytest.approx(linear(out, layer("head")).item(), abs=2e-6)
    assert found.std() > 0.05


@pytest.mark.parametrize(("scale", "expected"), [("released", 1 / 27.712812921), ("standard", 1.0)])
@torch.no_grad()
def test_attention_over_one_key_is_its_value_and_released_a_28th_of_it(scale, expected):
    """√768 = 27.7128…; whatever queries and keys are."""
    attention = Attention(768, 8, scale)
    for layer in (attention.value, attention.out):
        layer.weight.copy_(torch.eye(768))
        layer.bias.zero_()
    x = torch.randn(3, 1, 768)
    torch.testing.assert_close(attention(x, x), x * expected, rtol=1e-6, atol=1e-7)


def unread(name: str) -> bool:
    """Whether weights have nothing to do: those by which one key would be told from others."""
    return any(part in name for part in ("fusion.norm_x.", "attention.query.", "attention.key."))


def test_gradients_reach_what_is_read_and_are_0_elsewhere():
    actor = made()
    actor(collate(RECORDS)).pow(2).sum().backward()
    for name, parameter in actor.named_parameters():
        largest = parameter.grad.abs().max().item()
        assert largest == 0 if unread(name) else largest > 1e-6, name


@torch.no_grad()
def test_what_weight_decay_makes_of_queries_and_keys_does_not_matter():
    actor, batch = made(), collate(RECORDS)
    before = actor(batch)
    for name, parameter in actor.named_parameters():
        if unread(name):
            parameter.mul_(1e-3)
    assert torch.equal(actor(batch), before)


@torch.no_grad()
def test_a_document_scores_alike_alone_and_in_any_company():
    actor = made()
    together = actor(collate(RECORDS))
    turned = actor(collate(RECORDS[::-1])).split([3, 1, 5])
    torch.testing.assert_close(torch.cat(turned[::-1]), together, rtol=0, atol=1e-6)
    alone = [actor(collate([replace(r, labels=r.labels[i : i + 1], vectors=r.vectors[i : i + 1])]))
             for r in RECORDS for i in range(len(r.labels))]  # fmt: skip
    torch.testing.assert_close(torch.cat(alone), together, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("rates", "random"), [((0.0, 0.0), False), ((0.5, 0.0), True), ((0.0, 0.5), True)]
)
@torch.no_grad()
def test_dropout_is_for_training_only(rates, random):
    actor, batch = made(dropout=rates[0], head_dropout=rates[1]), collate(RECORDS)
    calm = actor(batch)
    actor.train()
    assert (not torch.allclose(actor(batch), calm, atol=1e-6)) == random


@pytest.mark.parametrize("kind", [Actor, PairModel])
def test_what_is_saved_is_read_back(kind, tmp_path):
    model = made(kind, pair_scores=True)
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_bytes())["head"] == "token"
    loaded = kind.from_pretrained(tmp_path)
    assert loaded.config == model.config and isinstance(loaded.trunk, OneToken)
    assert loaded.state_dict().keys() == model.state_dict().keys()
    slots = () if kind is Actor else (torch.tensor([[0, 1, 1, 0]]),)
    assert torch.equal(loaded(collate(RECORDS), *slots), model(collate(RECORDS), *slots))


def test_the_preset_for_documents():
    network = fitted(ONE_TOKEN, query("q", 2, 46))
    assert asdict(network) == {**asdict(ONE_TOKEN), "text_dim": 46}
    assert PairModel(network).label_score is not None
    # Already scaled: a document that is larger in all features is another document.
    x = torch.from_numpy(query("q", 2, 46).vectors)
    trunk = Actor(network).eval().trunk
    assert (trunk.text_mlp(x) - trunk.text_mlp(3 * x)).abs().max() > 0.01


# --- Which features go with which head -----------------------------------------------------------


@pytest.mark.parametrize("head", ["pooled", "flatten"])
def test_vectors_with_another_head_are_refused(head, tmp_path):
    network = replace(TOKEN, head=head)
    message = rf"record q1: has one vector a label, .* head '{head}' .* Give it the head 'token'"
    with pytest.raises(UserError, match=message):
        fitted(network, RECORDS[0])
    data = TrainingData((Graded(RECORDS[0], np.array([0, 1, 2, 0, 4])),), ())
    with pytest.raises(UserError, match=message):
        BaseRanker(replace(BASE, network=network)).fit(data, tmp_path)
    with pytest.raises(ValueError, match="no frames"):  # where nobody asked `fitted`
        Trunk(network)(collate(RECORDS))


def test_texts_with_the_head_of_vectors_are_refused():
    record = clip("dog-rain", "fear", "king")
    with pytest.raises(UserError, match=r"record dog-rain: has texts and frames, .* 'pooled'"):
        fitted(TOKEN, record)
    with pytest.raises(ValueError, match="3 tokens a label, and the head reads one"):
        made()(collate([record]))
    assert fitted(NETWORK, record) == NETWORK


def test_without_an_mlp_vectors_must_be_as_wide_as_the_network():
    network = replace(RELEASED_ONE_TOKEN, width=16, head_hidden=8, fusion_hidden=8)
    with pytest.raises(UserError, match="vectors of 12 numbers and the network is 16 wide"):
        Actor(fitted(network, RECORDS[0]))
    assert Actor(fitted(network, query("q", 2, 16))).trunk(collate([query("q", 2, 16)])).ndim == 2


# --- Grades 0 to 4, and long lists ---------------------------------------------------------------


@pytest.mark.parametrize(("highest", "outputs"), [(1, 3), (2, 3), (3, 4), (4, 5)])
def test_classification_has_a_class_a_grade_and_three_at_least(highest, outputs, tmp_path):
    graded = tuple(
        Graded(query(f"q{i}", 3, seed=i), np.array([0, min(i, highest), 0])) for i in range(5)
    )
    ranker = BaseRanker(
        replace(BASE, network=TOKEN, loss="classification", epochs=1, optimisation=USUAL)
    )
    ranker.fit(TrainingData(graded, graded[1:]), tmp_path)
    assert ranker.actor.config.outputs == outputs == len(ranker.actor.head.weight)
    with torch.no_grad():
        batch = collate([graded[0].record])
        chances = ranker.actor.raw(batch).softmax(1).numpy()
    expected = chances @ np.arange(outputs)
    np.testing.assert_allclose(ranker.score(graded[0].record), expected, atol=1e-6)


def test_dev_accuracy_weighs_the_pairs_of_any_two_grades_alike(monkeypatch):
    """Grades 0, 3 and 4, of which no preset knows: 4-3 wrong, 4-0 right, 3-0 half; 1-0 right."""
    gains = {"x": [[9, -1, 5], [1, 9, 2], [-5, 2, 9]], "y": [[9, 3, 3], [-3, 9, 0], [-3, 0, 9]]}

    def table(model, record, machine):
        of = torch.tensor(gains[record.clip_id], dtype=torch.float64)
        return torch.stack([of, torch.zeros_like(of)], 2)

    monkeypatch.setattr(reward, "reward_table", table)
    dev = [
        Graded(query("x", 3), np.array([4, 3, 0])), Graded(query("y", 3), np.array([1, 0, 0])),
    ]  # fmt: skip
    found = dev_accuracy(reward_model(), dev, Machine(), ALONE)
    assert found == pytest.approx((0 + 1 + 0.5 + 1) / 4, abs=1e-12)


@pytest.mark.parametrize("pairs", [1, 7, 25, 26])
def test_a_table_in_runs_of_pairs_is_the_same_table(pairs, monkeypatch):
    model, record = made(PairModel, pair_scores=True), query("q", 5)
    vectors = model.trunk(collate([record])).detach()
    whole, values = reward_table(model, record, Machine()), state_values(model, vectors)
    sizes, value = [], model.value

    def noted(vectors):
        sizes.append(len(vectors))
        return value(vectors)

    monkeypatch.setattr(model, "value", noted)
    assert torch.equal(reward_table(model, record, Machine()), whole)
    assert sizes == [25, 25]  # a list so short is read in one run for each of the two actions
    sizes.clear()
    monkeypatch.setattr(rewards, "PAIRS_AT_ONCE", pairs)
    torch.testing.assert_close(reward_table(model, record, Machine()), whole, rtol=0, atol=2e-6)
    torch.testing.assert_close(state_values(model, vectors), values, rtol=0, atol=2e-6)
    assert max(sizes) == min(pairs, 25) and sum(sizes) == 3 * 25
    assert len(sizes) == 3 * math.ceil(25 / pairs)
    # Every pair has its place: what is said of it alone.
    for i, j in [(0, 1), (3, 2), (4, 4)]:
        for action, order in enumerate(([i, j, i, j], [i, j, j, i])):
            alone = value(vectors[None, order]).item()
            assert whole[i, j, action].item() == pytest.approx(alone, abs=2e-6)
        assert values[i, j].item() == pytest.approx(value(vectors[None, [i, j]]).item(), abs=2e-6)


def test_tables_of_documents_are_padded_behind():
    models = [made(PairModel), made(PairModel, attention_scale="released")]
    found = reward_tables(models, RECORDS, Machine(), ALONE)
    assert found.shape == (3, 5, 5, 2)
    for table, record in zip(found, RECORDS, strict=True):
        n = len(record.labels)
        tables = [reward_table(model, record, Machine()) for model in models]
        assert torch.equal(table[:n, :n], torch.stack(tables).mean(0))
        assert not table[n:].any() and not table[:, n:].any()


def test_a_stage_that_never_sees_a_relevant_document_says_so(tmp_path):
    graded = (Graded(RECORDS[0], np.zeros(5, np.int64)),)
    with pytest.raises(UserError, match="no record has a label above low"):
        BaseRanker(replace(BASE, network=TOKEN)).fit(TrainingData(graded, graded), tmp_path)
