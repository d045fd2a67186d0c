"""A ranker of learning to rank on records: its three tracks, stage 1 within, its files."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tiny_stages
import torch
from test_ltr_training import Linear
from tiny_corpus import FRAME_DIM, TEXT_DIM
from tiny_stages import NETWORK, NO_STEP, USUAL, counted, data_of, fit, three_threads

from baselines.data import TrainingData, subset
from baselines.learning.learner import Learner
from baselines.learning.machine import Machine
from baselines.lr2ppo.actor_ranker import predict
from baselines.lr2ppo.batch import collate
from baselines.ltr.ranker import ListConfig, ListRanker
from baselines.ltr.vectors import SCALARS, label_vectors
from lrmovienet.errors import UserError

SMALL = ListConfig(optimisation=USUAL, epochs=2, lists_a_step=3)
WIDTH = NETWORK.width
PLAIN = 3 * TEXT_DIM + FRAME_DIM + len(SCALARS)


class LinearRanker(ListRanker):
    network_class = Linear


class Reranker(ListRanker):
    """Adds to stage 1's scores."""

    network_class = Linear
    reads_initial = True


@pytest.fixture(scope="module")
def data(filled) -> TrainingData:
    return data_of(filled)


def ranker(kind=LinearRanker, cache=None, **changes) -> ListRanker:
    config = replace(SMALL, **changes)
    base = tiny_stages.actor() if kind.needs_base(config) else None
    return kind(config, base=base, cache=cache)


CASES = [
    (LinearRanker, {}, PLAIN), (LinearRanker, {"personal": True}, PLAIN + WIDTH),
    (LinearRanker, {"track": "stage1"}, WIDTH), (LinearRanker, {"track": "trunk"}, WIDTH),
    (Reranker, {}, PLAIN),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "changes", "inputs"), CASES)
def test_saved_and_loaded_it_scores_alike_and_nothing_of_the_base_changes(
    kind, changes, inputs, data, tmp_path
):
    one = ranker(kind, **changes)
    files = fit(one, data, tmp_path / "a")
    with three_threads():
        assert fit(ranker(kind, tmp_path / "cache", **changes), data, tmp_path / "b") == files
    loaded = kind.load(tmp_path / "a" / "saved")
    assert loaded.model.config.inputs == inputs == loaded.model.network.config.inputs
    for item in data.dev:
        np.testing.assert_array_equal(loaded.score(item.record), one.score(item.record))
    again = tmp_path / "again"
    loaded.save(again)
    assert {path.name: path.read_bytes() for path in again.iterdir()} == files
    if one.base is not None:
        trained = dict(one.model.base.named_parameters())
        moved = [not torch.equal(trained[n], w) for n, w in tiny_stages.actor().named_parameters()]
        assert any(moved) == (changes.get("track") == "trunk")
        assert all(torch.equal(w, one.base.state_dict()[n])
                   for n, w in tiny_stages.actor().state_dict().items())  # fmt: skip


def test_the_network_reads_standardised_vectors(data, tmp_path):
    one = ranker(optimisation=NO_STEP)
    one.fit(data, tmp_path)
    x = np.concatenate([label_vectors(item.record) for item in data.graded]).astype(np.float64)
    spread = x.std(0)
    assert (spread > 1e-3).any()
    scale = np.where(spread < 1e-4 * np.maximum(1, np.abs(x.mean(0))), 1.0, spread)
    weight = np.linspace(1.0, -0.5, PLAIN)
    for item in data.dev:
        expected = (label_vectors(item.record) - x.mean(0)) / scale @ weight
        np.testing.assert_allclose(one.score(item.record), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("track", ["stage1", "trunk"])
def test_the_network_reads_stage_1s_vectors(track, data, tmp_path):
    one = ranker(track=track, optimisation=NO_STEP)
    one.fit(data, tmp_path)
    base = tiny_stages.actor()
    with torch.no_grad():
        made = [base.trunk(collate([item.record])).double().numpy() for item in data.graded]
        x = np.concatenate(made)
        own = base.trunk(collate([data.dev[0].record])).double().numpy()
    if track == "stage1":
        own = (own - x.mean(0)) / x.std(0)
    expected = own @ np.linspace(1.0, -0.5, WIDTH)
    np.testing.assert_allclose(one.score(data.dev[0].record), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("outputs", [1, 3])
def test_a_reranker_starts_from_stage_1s_scores(outputs, data, tmp_path):
    base = tiny_stages.actor(replace(NETWORK, outputs=outputs))
    one = Reranker(replace(SMALL, optimisation=NO_STEP), base=base)
    one.fit(data, tmp_path)
    with torch.no_grad():
        one.model.network.weight.zero_()
    for item in data.dev:
        expected = predict(base, Machine(), [item.record])
        np.testing.assert_allclose(one.score(item.record), expected, rtol=1e-5, atol=1e-6)


def test_the_trunk_is_trained_by_the_pairs_too(data, tmp_path):
    with_pairs, without = ranker(track="trunk"), ranker(track="trunk", pair_weight=0.0)
    with_pairs.fit(data, tmp_path / "with")
    without.fit(data, tmp_path / "without")
    assert with_pairs.metrics[0]["loss"] > without.metrics[0]["loss"]
    weights = [r.model.base.state_dict() for r in (with_pairs, without)]
    assert any(not torch.equal(weights[0][n], weights[1][n]) for n in weights[0])


def test_in_passes_of_two_lists_it_learns_the_same(data, tmp_path):
    found = []
    for at_once in (0, 2):
        machine = Machine(records_at_once=at_once)
        one = ranker(track="trunk", machine=machine, optimisation=tiny_stages.SMOOTH)
        one.base = tiny_stages.actor(tiny_stages.STILL)
        one.fit(data, tmp_path / str(at_once))
        found.append(one.metrics)
    for entry, expected in zip(*found, strict=True):
        assert entry == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("kind", "changes", "inputs"), CASES)
def test_killed_it_ends_with_the_bytes_of_a_whole_run(kind, changes, inputs, data, tmp_path):
    whole = fit(ranker(kind, **changes), data, tmp_path / "whole")
    with counted(Learner, "update", stop_in=4), pytest.raises(KeyboardInterrupt):
        fit(ranker(kind, **changes), data, tmp_path / "killed")
    with counted(Learner, "update") as steps:
        assert fit(ranker(kind, **changes), data, tmp_path / "killed") == whole
    assert len(steps) == 3  # those of the second epoch


def test_scores_belong_to_labels_whatever_their_order(data, tmp_path):
    one = ranker()
    one.fit(data, tmp_path)
    record = data.dev[0].record
    order = np.random.default_rng(0).permutation(len(record.labels))
    np.testing.assert_allclose(
        one.score(subset(record, order)), one.score(record)[order], rtol=1e-6, atol=1e-7
    )


def test_a_damaged_ranker_is_named(data, tmp_path):
    fit(ranker(), data, tmp_path)
    config = tmp_path / "saved" / "config.json"
    for damage in (
        lambda raw: raw.pop("inputs"), lambda raw: raw.update(inputs=3),
        lambda raw: raw["network"].update(unknown=1), lambda raw: raw.update(base={}),
    ):  # fmt: skip
        raw = json.loads(config.read_bytes())
        kept = config.read_bytes()
        damage(raw)
        config.write_text(json.dumps(raw))
        if raw.get("base") == {}:
            assert LinearRanker.load(tmp_path / "saved")  # empty is none
        else:
            with pytest.raises(UserError, match="not the files of a trained network"):
                LinearRanker.load(tmp_path / "saved")
        config.write_bytes(kept)


def test_untrained(data):
    for act in (lambda r: r.score(data.dev[0].record), lambda r: r.save(None)):
        with pytest.raises(ValueError, match="neither trained nor loaded"):
            act(ranker())
    with pytest.raises(ValueError, match="starts from stage 1"):
        LinearRanker(replace(SMALL, track="stage1")).fit(data, None)


def test_vectors_of_another_precision_are_not_taken_over(data, tmp_path):
    cache, found = tmp_path / "cache", []
    for precision, name in (("bf16", "a"), ("fp32", "b")):
        one = ranker(track="stage1", machine=Machine(precision=precision), cache=cache)
        found.append(fit(one, data, tmp_path / name))
    assert fit(ranker(track="stage1"), data, tmp_path / "alone") == found[1]
    assert found[0]["model.safetensors"] != found[1]["model.safetensors"]
