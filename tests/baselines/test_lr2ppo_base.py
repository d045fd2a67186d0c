"""Stage 1: it learns, it chooses by dev, and a killed training ends with the same bytes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_corpus import Words, fill

import baselines.lr2ppo.base as base
from baselines.data import TrainingData, training_data
from baselines.lr2ppo.base import BaseRanker, dev_ndcg, learning_rate
from baselines.lr2ppo.presets import PAPER, SMALL
from eval.ndcg import ndcg
from lrmovienet.errors import UserError
from lrmovienet.features import FeatureStore

TINY = replace(SMALL, width=16, text_hidden=32, frame_hidden=16, head_hidden=16, epochs=4)


@pytest.fixture(scope="module")
def data(filled) -> TrainingData:
    return training_data(filled, "R0", 10, FeatureStore.of(filled))


def files(folder) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def trained(data, folder, config=TINY) -> dict[str, bytes]:
    (folder / "working").mkdir(parents=True, exist_ok=True)
    ranker = BaseRanker(config)
    ranker.fit(data, folder / "working")
    ranker.save(folder / "saved")
    return files(folder / "saved")


@pytest.mark.slow
def test_overfits_five_records(data, tmp_path):
    """The loss falls to next to nothing, and every label stands above those of a lower grade."""
    five = TrainingData(data.graded[:5], data.graded[:5])
    config = replace(TINY, epochs=50, learning_rate=1e-2, dropout=0.0, batch_size=5)
    ranker = BaseRanker(config)
    ranker.fit(five, tmp_path)
    assert ranker.metrics[-1]["loss"] < 0.01 < ranker.metrics[0]["loss"]
    for item in five.graded:
        found = ranker.score(item.record)
        assert found.dtype == np.float64
        higher = item.grades[:, None] > item.grades
        assert ((found[:, None] > found) | ~higher).all()


def test_same_seed_same_bytes_other_seed_other_bytes(data, tmp_path):
    one = trained(data, tmp_path / "one")
    assert trained(data, tmp_path / "two") == one
    other = trained(data, tmp_path / "other", replace(TINY, seed=1))
    assert other["model.safetensors"] != one["model.safetensors"]


def test_the_number_of_cores_does_not_change_a_bit(data, tmp_path):
    before = torch.get_num_threads()
    found = []
    for cores in (1, 3):
        torch.set_num_threads(cores)
        found.append(trained(data, tmp_path / str(cores), replace(SMALL, epochs=1)))
        assert torch.get_num_threads() == cores
    torch.set_num_threads(before)
    assert found[0] == found[1]


def test_torch_is_left_as_it_was(data, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    trained(data, tmp_path)
    assert torch.equal(torch.rand(3), expected)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("killed_in", [1, 3])
def test_killed_training_goes_on_and_gives_the_same_bytes(data, tmp_path, monkeypatch, killed_in):
    whole = trained(data, tmp_path / "whole")
    calls = []

    def killed(*arguments):
        calls.append(1)
        if len(calls) == killed_in:
            raise KeyboardInterrupt
        return dev_ndcg(*arguments)

    monkeypatch.setattr(base, "dev_ndcg", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(data, tmp_path / "killed")
    monkeypatch.setattr(base, "dev_ndcg", lambda *a: calls.append(1) or dev_ndcg(*a))
    calls.clear()
    assert trained(data, tmp_path / "killed") == whole
    assert len(calls) == TINY.epochs - (killed_in - 1)  # finished epochs are not done again


def test_state_of_another_training_is_not_taken_over(data, tmp_path):
    trained(data, tmp_path / "one")
    whole = trained(data, tmp_path / "whole", replace(TINY, epochs=2))
    assert trained(data, tmp_path / "one", replace(TINY, epochs=2)) == whole
    (tmp_path / "one" / "working" / "trainer_state.pt").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"trainer_state\.pt: damaged .*Delete it"):
        trained(data, tmp_path / "one")


def test_keeps_the_epoch_that_is_best_on_dev(data, tmp_path, monkeypatch):
    """With dev values made up, the second of four epochs is best, and the fourth only equal."""
    made_up = iter([0.3, 0.6, 0.5, 0.6])
    seen = []

    def fake(actor, dev, config):
        seen.append({k: v.clone() for k, v in actor.state_dict().items()})
        return next(made_up)

    monkeypatch.setattr(base, "dev_ndcg", fake)
    ranker = BaseRanker(TINY)
    ranker.fit(data, tmp_path)
    kept = ranker.actor.state_dict()
    assert all(torch.equal(kept[k], seen[1][k]) for k in kept)
    assert not all(torch.equal(kept[k], seen[3][k]) for k in kept)


def test_dev_ndcg_is_the_judges(data, tmp_path):
    ranker = BaseRanker(TINY)
    ranker.fit(data, tmp_path)
    values = []
    for item in data.dev:
        scores = ranker.score(item.record)
        values.append(ndcg(scores, item.grades, [0, len(scores)], [20])[0, 0])
    best = max(entry["dev_ndcg@20"] for entry in ranker.metrics)
    assert best == pytest.approx(np.nanmean(values), abs=1e-6)


def test_what_is_saved_scores_alike(data, tmp_path):
    trained(data, tmp_path)
    ranker = BaseRanker(TINY)
    ranker.fit(data, tmp_path / "working")
    loaded = BaseRanker.load(tmp_path / "saved")
    record = data.dev[0].record
    assert np.array_equal(loaded.score(record), ranker.score(record))
    assert loaded.config == TINY and loaded.metrics == ranker.metrics
    lines = (tmp_path / "saved" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3, 4]
    (tmp_path / "saved" / "training.json").write_text('{"speed": 3}')
    with pytest.raises(UserError, match="train again"):
        BaseRanker.load(tmp_path / "saved")


def test_a_loss_that_is_not_finite(data, tmp_path):
    config = replace(TINY, learning_rate=1e30, clip_norm=0.0, warmup=0.0)
    with pytest.raises(UserError, match=r"loss is (nan|inf) in epoch \d.*lower --learning_rate"):
        BaseRanker(config).fit(data, tmp_path)


def test_dev_without_a_relevant_label(data, tmp_path):
    low = tuple(replace(item, grades=np.zeros_like(item.grades)) for item in data.dev)
    with pytest.raises(UserError, match="target_dev: no record has a label above low"):
        BaseRanker(TINY).fit(replace(data, dev=low), tmp_path)


def test_learning_rate_by_hand():
    config = replace(SMALL, learning_rate=1.0, warmup=0.2, schedule="constant")
    assert [learning_rate(config, s, 10) for s in range(4)] == [0.5, 1.0, 1.0, 1.0]
    config = replace(config, schedule="cosine")
    # Behind the two steps of warm-up, half a cosine over the other eight: cos(π k / 8).
    expected = [0.5, 1.0] + [0.5 * (1 + np.cos(np.pi * k / 8)) for k in range(8)]
    found = [learning_rate(config, s, 10) for s in range(10)]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert learning_rate(replace(config, warmup=0.0), 0, 10) == 1.0


def test_the_papers_numbers():
    """Appendix C.3: β 0.3, 2e-5, 15 epochs. The learning rate does not fall."""
    assert (PAPER.beta, PAPER.learning_rate, PAPER.epochs) == (0.3, 2e-5, 15)
    assert learning_rate(PAPER, 999, 1000) == 2e-5


@pytest.mark.slow
def test_learns_what_decides_the_grades(tmp_path):
    """A rule of label and description, learned on 60 films, holds on clips never seen."""
    workspace = fill(tmp_path, films=60, words=Words())
    data = training_data(workspace, "R0", 10, FeatureStore.of(workspace))
    ranker = BaseRanker(replace(SMALL, width=64, epochs=12, learning_rate=2e-3))
    ranker.fit(data, tmp_path)
    assert max(entry["dev_ndcg@20"] for entry in ranker.metrics) > 0.9
