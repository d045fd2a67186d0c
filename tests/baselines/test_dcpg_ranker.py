"""DCPG as a ranker: what it scores, what it learns, and how it is kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_stages import data_of

import baselines.dcpg.ranker as room
from baselines.data import Graded, Record, TrainingData, subset, training_data
from baselines.dcpg.learner import ADAM, TwoRates
from baselines.dcpg.network import DCPGNetwork, NetworkConfig, collate, read
from baselines.dcpg.ranker import (
    DCPGConfig,
    DCPGRanker,
    Known,
    Steps,
    by_clip,
    fitted,
    pairs_of,
    predict,
)
from baselines.dcpg.towers import unit
from baselines.learning.machine import Machine
from baselines.learning.parallel import World
from baselines.learning.running import dev_ndcg
from baselines.prepare import open_features
from eval.ndcg import ndcg
from lrmovienet.cli import main
from lrmovienet.encoders import TokenFeatures
from lrmovienet.errors import UserError

SMALL = NetworkConfig(dim=16)


@pytest.fixture(scope="module")
def data(filled) -> TrainingData:
    return data_of(filled)


def config(**options) -> DCPGConfig:
    usual = DCPGConfig(network=SMALL, epochs=2, records_a_step=6, warm_epochs=0)
    rate = replace(usual.optimisation, learning_rate=options.pop("learning_rate", 1e-3))
    return replace(usual, optimisation=rate, **options)


def network_of(data, variant="b", **options) -> DCPGNetwork:
    torch.manual_seed(0)
    made = replace(SMALL, variant=variant, **options)
    return DCPGNetwork(fitted(made, data.graded[0].record)).eval()


def trained(data, folder, **options) -> DCPGRanker:
    ranker = DCPGRanker(config(**options))
    ranker.fit(data, folder)
    return ranker


def same(one: DCPGRanker, other: DCPGRanker) -> bool:
    theirs = other.model.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in one.model.state_dict().items())


# --- Scores --------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["a", "b"])
def test_shuffling_labels_permutes_scores(data, variant):
    network = network_of(data, variant)
    for item in data.dev:
        record = item.record
        order = np.random.default_rng(0).permutation(len(record.labels))
        scores = predict(network, Machine(), [read(record, variant)])
        shuffled = predict(network, Machine(), [read(subset(record, order), variant)])
        np.testing.assert_allclose(shuffled, scores[order], atol=1e-6)
        assert len(set(np.round(scores, 6))) > 1


@pytest.mark.parametrize("variant", ["a", "b"])
def test_scores_are_the_same_alone_and_in_company_and_drawn_from_nothing(data, variant):
    network = network_of(data, variant)
    clips = [read(item.record, variant) for item in data.graded]
    together = predict(network, Machine(), clips)
    alone = np.concatenate([predict(network, Machine(), [clip]) for clip in clips])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert np.array_equal(together, predict(network, Machine(), clips))
    assert np.abs(together).max() <= 1 + 1e-6


def test_scores_are_cosines_of_own_clip_and_label(data):
    network = network_of(data)
    records = [item.record for item in data.graded[:3]]
    compared = network(collate([read(record, "b") for record in records]))
    owner = np.repeat(np.arange(3), [len(record.labels) for record in records])
    clips, labels = compared.clips.detach().numpy(), compared.labels.detach().numpy()
    expected = [clips[c] @ label for c, label in zip(owner, labels, strict=True)]
    np.testing.assert_allclose(compared.scores.detach().numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(clips, axis=1), 1, atol=1e-6)


class Contextual:
    """Features in which the description's tokens say which label they were encoded with."""

    def text(self, clip_id, label):
        number = float(ord(label))
        tokens = np.array([[-1, 0], [-2, number], [1, number], [2, number]], np.float16)
        return TokenFeatures(tokens, 1, 2)

    def frames(self, clip_id):
        return np.zeros((1, 3), np.float16)


def test_the_description_is_read_beside_the_label_that_is_first_by_alphabet():
    record = Record("c", "source", ("d", "b", "e"), ("image",) * 3, (), "x y", Contextual())
    b = float(ord("b"))
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        features = read(subset(record, order), "b")
        assert features.description.tolist() == [[-1, 0], [1, b], [2, b]]
        labels = [float(ord(record.labels[i])) for i in order]
        assert [label.tolist() for label in features.labels] == [[[-2, n]] for n in labels]


def test_a_clip_is_the_sum_of_its_frames_and_its_description(data):
    network = network_of(data)
    batch = collate([read(item.record, "b") for item in data.graded[:3]])
    frames = unit(network.frame_in(batch.frames.float()))
    text = unit(network.text_in(batch.description.float()))
    vectors = network.frames(frames, batch.frame_mask).vectors
    vectors = vectors + network.text(text, batch.description_mask).vectors
    torch.testing.assert_close(network(batch).clips, unit(vectors))


def test_the_learning_rate_falls_to_a_tenth_after_half_of_the_steps():
    learner = TwoRates(torch.nn.Linear(1, 1), ADAM, 4, World(), "test")
    rates = []
    for _ in range(4):
        rates.append(learner.rate)
        learner.update([learner.model(torch.ones(1, 1)).sum()])
    assert rates == pytest.approx([4e-4, 4e-4, 4e-5, 4e-5])


def test_what_is_read_of_a_record(data):
    """Tokens of the small corpus: the label's, then the description's."""
    record = data.graded[0].record
    features = read(record, "b")
    words = len(record.description.split())
    assert [len(label) for label in features.labels] == [len(x.split()) for x in record.labels]
    assert features.description.shape[0] == words
    for i, label in enumerate(features.labels):
        assert np.array_equal(label.numpy(), record.text(i).tokens[: len(label)])
    whole = read(record, "a")
    assert len(whole.description) == 0 and len(whole.labels[0]) == 1 + words


@pytest.mark.parametrize("variant", ["a", "b"])
def test_the_policys_gradient_reaches_every_stream_of_its_own_clip(data, variant):
    network = network_of(data, variant).train()
    clips = [read(item.record, variant) for item in data.graded[:2]]
    compared = network(collate(clips))
    assert compared.log_probability.shape == (2,)
    compared.log_probability[0].backward()
    for tower in (network.frames, network.text):
        assert tower.policy.mean.weight.grad.abs().max() > 0


def test_in_variant_a_a_clips_draws_are_those_of_all_its_labels(data):
    """With the frames' policy silent, the sum over labels, clip by clip."""
    network = network_of(data, "a", mode="discrete")  # in evaluation nothing is drawn
    clips = [read(item.record, "a") for item in data.graded[:3]]
    batch = collate(clips)
    compared = network(batch)
    frames = unit(network.frame_in(batch.frames.float()))
    of_frames = network.frames(frames, batch.frame_mask).discrete
    of_text = network.text(unit(network.text_in(batch.labels.float())), batch.label_mask).discrete
    for c in range(3):
        expected = of_frames[c] + of_text[batch.record == c].sum()
        torch.testing.assert_close(compared.log_probability[c], expected)


# --- Learning ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["both", "none"])
def test_it_learns_ten_records_by_heart(filled, tmp_path, mode):
    ten = training_data(filled, "R0", 0, open_features(filled, None)).graded[:10]
    ranker = trained(
        TrainingData(ten * 8, ten), tmp_path, epochs=6, learning_rate=1e-2, records_a_step=8,
        network=replace(SMALL, dim=32, mode=mode), foreign_weight=0.0, instance_weight=0.0,
    )  # fmt: skip
    scores = np.concatenate([ranker.score(item.record) for item in ten])
    grades = np.concatenate([item.grades for item in ten])
    offsets = np.cumsum([0, *(len(item.grades) for item in ten)])
    assert np.nanmean(ndcg(scores, grades, offsets, [20])) >= 0.99


def test_pairs_of_the_target_alone_are_learned(data, tmp_path):
    """R1 with little else that has a weight but RankNet's. Eightfold, so that epochs are few."""
    eightfold = replace(data, graded=data.graded * 8, pairs=data.pairs * 8)
    ranker = trained(
        eightfold, tmp_path, epochs=5, learning_rate=1e-2, pair_weight=1000.0,
        foreign_weight=0.0, instance_weight=0.0, policy_weight=0.0,
    )  # fmt: skip
    gaps = []
    network = ranker.model
    for item in data.pairs:
        scores = predict(network, Machine(), [read(item.record, "b")])
        gaps += (scores[item.pairs[:, 0]] - scores[item.pairs[:, 1]]).tolist()
    untrained = network_of(data)
    before = []
    for item in data.pairs:
        scores = predict(untrained, Machine(), [read(item.record, "b")])
        before += (scores[item.pairs[:, 0]] - scores[item.pairs[:, 1]]).tolist()
    assert np.mean(np.array(gaps) > 0) > max(0.85, np.mean(np.array(before) > 0))


@pytest.mark.parametrize(
    "option",
    [
        {"policy_weight": 0.0}, {"reward": "ap"}, {"beta": 0.0}, {"margin": 0.1},
        {"foreign_weight": 0.0}, {"instance_weight": 0.0}, {"pair_weight": 0.0}, {"warm_epochs": 3},
        {"network": replace(SMALL, log_probability="official")},
        {"network": replace(SMALL, heads=1)}, {"network": replace(SMALL, scale=10.0)},
    ],
)  # fmt: skip
def test_every_option_changes_what_is_learned(data, tmp_path, option):
    usual = trained(data, tmp_path / "usual", policy_weight=0.5) if "beta" in option else None
    usual = usual or trained(data, tmp_path / "usual")
    more = {"policy_weight": 0.5} if "beta" in option else {}
    assert not same(usual, trained(data, tmp_path / "other", **more, **option))


def test_a_step_has_its_share_of_both_domains_and_an_epoch_has_each_once(data):
    steps = Steps(data, config(epochs=3, warm_epochs=2, policy_weight=0.4), World())
    assert steps.an_epoch == -(-len(data.graded) // 6)
    for epoch in (0, 1):
        known = [
            one
            for step in range(epoch * steps.an_epoch, (epoch + 1) * steps.an_epoch)
            for run in steps(step).passes
            for one in run
        ]
        graded = [one.instance for one in known if one.grades is not None]
        assert sorted(graded) == list(range(len(data.graded)))
        paired = [one.record.clip_id for one in known if one.pairs is not None]
        assert sorted(paired) == sorted(item.record.clip_id for item in data.pairs)
        for one in known:
            if one.grades is not None:
                assert one.record == data.graded[one.instance].record
    weights = [steps(i).weight for i in range(3 * steps.an_epoch)]
    rising = 2 * steps.an_epoch
    np.testing.assert_allclose(weights[:rising], 0.4 * np.arange(rising) / rising)
    assert set(weights[rising:]) == {0.4}
    first, again = ([k.instance for k in steps(0).passes[0]] for _ in range(2))
    assert first == again
    assert first != [k.instance for k in steps(steps.an_epoch).passes[0]]


def test_scores_by_clip_and_places_of_pairs(data):
    scores = torch.arange(7.0)
    record = torch.tensor([0, 0, 1, 2, 2, 2, 2])
    table, y = by_clip(scores, record, [0, 2], [np.array([1, 2]), np.array([0, 0, 1, 2])])
    assert table.tolist() == [[0, 1, 0, 0], [3, 4, 5, 6]]
    assert y.tolist() == [[1, 2, -1, -1], [0, 0, 1, 2]]
    one = data.graded[0].record
    known = [
        Known(one, np.array([1, 2]), 0, None),
        Known(one, None, -1, np.zeros((0, 2), int)),
        Known(one, None, -1, np.array([[1, 0], [3, 2]])),
    ]
    better, worse = pairs_of(known, record)
    assert better.tolist() == [4, 6] and worse.tolist() == [3, 5]


# --- How it is kept ------------------------------------------------------------------------------


def test_keeps_the_best_epoch_on_dev_and_what_is_saved_scores_alike(data, tmp_path):
    ranker = trained(data, tmp_path / "work", epochs=4)
    best = max(entry["dev_ndcg@20"] for entry in ranker.metrics)

    def score(records):
        return predict(ranker.model, Machine(), [read(record, "b") for record in records])

    assert dev_ndcg(score, data.dev, World())["dev_ndcg@20"] == best
    ranker.save(tmp_path / "saved")
    ranker.save(tmp_path / "twice")
    for path in (tmp_path / "saved").iterdir():
        assert path.read_bytes() == (tmp_path / "twice" / path.name).read_bytes()
    loaded = DCPGRanker.load(tmp_path / "saved")
    assert loaded.config == ranker.config and loaded.metrics == ranker.metrics
    for item in data.dev:
        assert np.array_equal(loaded.score(item.record), ranker.score(item.record))
    for use in (lambda r: r.score(data.dev[0].record), lambda r: r.save(tmp_path)):
        with pytest.raises(ValueError, match="neither trained nor loaded"):
            use(DCPGRanker())


def test_same_seed_same_weights_another_seed_others(data, tmp_path):
    one, again, other = (
        trained(data, tmp_path / str(i), machine=Machine(seed=seed))
        for i, seed in enumerate((3, 3, 4))
    )
    assert same(one, again) and not same(one, other)


def test_killed_it_goes_on_and_gives_the_same_bytes(data, tmp_path, monkeypatch):
    whole = trained(data, tmp_path / "whole")
    calls = []

    def stops(*args):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return dev_ndcg(*args)

    with monkeypatch.context() as patched:
        patched.setattr(room, "dev_ndcg", stops)
        with pytest.raises(KeyboardInterrupt):
            trained(data, tmp_path / "killed")
    again = trained(data, tmp_path / "killed")
    assert same(whole, again) and whole.metrics == again.metrics


def test_divergence_is_said(data, tmp_path):
    with pytest.raises(UserError, match="learning_rate"):
        trained(data, tmp_path, learning_rate=1e30)


def test_records_without_a_high_label_do_no_harm(data, tmp_path):
    low = tuple(Graded(item.record, 0 * item.grades) for item in data.graded)
    ranker = trained(TrainingData(low, data.dev), tmp_path)
    assert np.isfinite(ranker.score(data.dev[0].record)).all()


def test_train_dcpg_and_predict(filled, tmp_path, capsys):
    import shutil

    root = str(shutil.copytree(filled.root, tmp_path / "w"))
    argv = ["train", "dcpg", "--workspace", root, "--epochs", "1"]
    assert main(argv) == 0 and main([*argv, "--regime", "R1", "--variant", "a"]) == 0
    assert main(["predict", "--workspace", root, "--ranker", "dcpg-R1"]) == 0
    capsys.readouterr()
    for options, message in (
        (["--heads", "3"], "--heads 3"),
        (["--temperature", "0"], "--temperature 0"),
        (["--regime", "R1", "--percent", "0"], "--percent 0"),
        (["--percent", "7"], "--percent 7"),
        (["--compile", "true"], "--compile"),
        (["--learning_rate", "0"], "--learning_rate 0"),
    ):
        assert main([*argv, *options]) == 2
        assert message in capsys.readouterr().err
