"""Image-text matching with DCPG: what it learns, and the verb `match`."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import baselines.dcpg.matching as matching
from baselines.dcpg.captions import END, Captioned, vocabulary
from baselines.dcpg.decoder import CaptionDecoder, decoding_loss
from baselines.dcpg.matching import (
    Matcher,
    MatchingConfig,
    MatchingNetwork,
    MatchingNetworkConfig,
    similarities,
)
from baselines.dcpg.retrieval import recalls
from baselines.learning.machine import Machine
from lrmovienet.cli import main

WORDS = ["ash", "bay", "cow", "dam", "elk", "fog"]


def corpus(images=12, seed=0) -> Captioned:
    """An image has a region for each of three words, and two captions that say them."""
    world = np.random.default_rng(99).normal(size=(len(WORDS), 8)).astype(np.float32)
    rng = np.random.default_rng(seed)
    regions, captions = [], []
    empty = np.zeros((1, 8), np.float32)
    triples = [(a, b, c) for a in range(6) for b in range(a + 1, 6) for c in range(b + 1, 6)]
    for i in rng.permutation(len(triples))[:images]:
        chosen = list(triples[i])
        # Some have a region of nothing too: images differ in length.
        regions.append(np.concatenate([world[chosen], *[empty] * int(i % 2)]))
        captions += [" ".join(WORDS[j] for j in rng.permutation(chosen)) for _ in range(2)]
    return Captioned(regions, tuple(captions), np.arange(len(captions)) // 2)


def config(**options) -> MatchingConfig:
    network = MatchingNetworkConfig(words=4 + len(WORDS), image_dim=8, word_dim=16, dim=32)
    usual = MatchingConfig(network=network, epochs=2, pairs_a_step=8)
    rate = replace(usual.optimisation, learning_rate=options.pop("learning_rate", 2e-3))
    return replace(usual, optimisation=rate, **options)


def matcher(**options) -> Matcher:
    return Matcher(config(**options), vocabulary(WORDS, 1))


def weights_of(it: Matcher) -> dict[str, torch.Tensor]:
    return it.model.state_dict()


def same(one: Matcher, other: Matcher) -> bool:
    theirs = weights_of(other)
    return all(torch.equal(tensor, theirs[name]) for name, tensor in weights_of(one).items())


def test_it_learns_which_caption_is_of_which_image(tmp_path):
    data = corpus()
    it = matcher(epochs=15, learning_rate=5e-3, pairs_a_step=6)
    it.fit(data, data, tmp_path)
    found = recalls(similarities(it.model, Machine(), data, it.words), data.image_of)
    assert found["caption_r@1"] >= 90 and found["image_r@1"] >= 90
    first, last = it.metrics[0], it.metrics[-1]
    for name in ("triplet", "instance", "decoding"):
        assert last[name] < 0.7 * first[name]
    assert last["reward"] > first["reward"] + 0.3
    assert max(entry["dev_recall_sum"] for entry in it.metrics) == found["recall_sum"]


def test_same_seed_same_weights_another_seed_others(tmp_path):
    data, found = corpus(8), []
    for i, seed in enumerate((0, 0, 1)):
        it = matcher(machine=Machine(seed=seed))
        it.fit(data, data, tmp_path / str(i))
        found.append(it)
    assert same(found[0], found[1]) and not same(found[0], found[2])


def test_killed_it_goes_on_and_gives_the_same_bytes(tmp_path, monkeypatch):
    data = corpus(8)
    whole = matcher()
    whole.fit(data, data, tmp_path / "whole")
    seen = []

    def stops(*args):
        seen.append(1)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return similarities(*args)

    it = matcher()
    with monkeypatch.context() as patched:
        patched.setattr(matching, "similarities", stops)
        with pytest.raises(KeyboardInterrupt):
            it.fit(data, data, tmp_path / "killed")
    assert (tmp_path / "killed" / "trainer_state.pt").exists()
    again = matcher()
    again.fit(data, data, tmp_path / "killed")
    assert same(whole, again) and whole.metrics == again.metrics
    assert len(seen) == 2


def test_similarities_are_the_same_alone_and_in_company_and_drawn_from_nothing(monkeypatch):
    torch.manual_seed(0)
    network, words, data = MatchingNetwork(config().network), vocabulary(WORDS, 1), corpus()
    together = similarities(network, Machine(), data, words)
    assert together.shape == (12, 24) and np.abs(together).max() <= 1 + 1e-6
    assert np.array_equal(together, similarities(network, Machine(), data, words))
    monkeypatch.setattr(matching, "AT_ONCE", 1)
    alone = similarities(network, Machine(), data, words)
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_the_decoder_sees_the_words_before_and_no_other():
    torch.manual_seed(0)
    decoder = CaptionDecoder(10, 8, layers=2, kernel=3)
    captions = torch.tensor([[4, 5, 6, 7, 8, END]])
    vectors = torch.randn(1, 8)
    before = decoder(vectors, captions)
    for place in range(6):
        changed = captions.clone()
        changed[0, place] = 9
        after = decoder(vectors, changed)
        assert torch.equal(before[0, : place + 1], after[0, : place + 1])
        if place < 5:
            assert not torch.equal(before[0, place + 1], after[0, place + 1])
    assert not torch.equal(before[0, 0], decoder(-vectors, captions)[0, 0])


def test_decoding_loss_is_the_mean_over_words_and_not_over_padding():
    logits = torch.zeros(2, 3, 5)
    logits[1, 1:] = torch.randn(2, 5)
    captions = torch.tensor([[1, 2, 3], [4, 0, 0]])
    mask = torch.tensor([[True, True, True], [True, False, False]])
    assert decoding_loss(logits, captions, mask).item() == pytest.approx(np.log(5))


@pytest.mark.parametrize(
    "option", [{"decoding_weight": 0.0}, {"instance_weight": 0.0}, {"policy_weight": 0.0}]
)
def test_every_weight_changes_what_is_learned(tmp_path, option):
    data = corpus(8)
    usual, other = matcher(), matcher(**option)
    usual.fit(data, data, tmp_path / "usual")
    other.fit(data, data, tmp_path / "other")
    assert not same(usual, other)


# --- The verb ------------------------------------------------------------------------------------


def write(folder, images=4):
    data = corpus(images)
    folder.mkdir(exist_ok=True)
    for split in ("train", "dev", "test"):
        stacked = np.stack([image[:3] for image in data.images])
        np.save(folder / f"{split}_ims.npy", stacked)
        lines = [data.captions[2 * i + k % 2] for i in range(images) for k in range(5)]
        (folder / f"{split}_caps.txt").write_text("\n".join(lines))
    return folder


def test_match_trains_evaluates_and_finds_its_result_again(tmp_path, capsys):
    workspace = tmp_path / "w"
    argv = ["match", "--data", str(write(tmp_path / "data")), "--workspace", str(workspace)]
    argv += ["--epochs", "2", "--dim", "16", "--folds", "2"]
    assert main(argv) == 0
    said = capsys.readouterr().out
    assert "4 test images" in said and "caption retrieval R@1/5/10" in said
    place = workspace / "matching" / "dcpg"
    metrics = json.loads((place / "metrics.json").read_bytes())
    assert metrics["sizes"]["test"] == {"images": 4, "captions": 20} and metrics["folds"] == 2
    assert {"model.safetensors", "vocabulary.json", "config.json", "manifest.json"} <= {
        path.name for path in place.iterdir()
    }
    before = (place / "manifest.json").read_bytes()
    assert main(argv) == 0
    assert "up to date" in capsys.readouterr().out
    assert (place / "manifest.json").read_bytes() == before
    assert main([*argv, "--reward", "ap"]) == 0
    assert (place / "manifest.json").read_bytes() != before


def test_match_reads_a_workspace(filled, tmp_path, capsys):
    """Of a copy, since the one that others read must stay as it is."""
    import shutil

    root = shutil.copytree(filled.root, tmp_path / "w")
    assert main(["match", "--workspace", str(root), "--epochs", "1", "--dim", "8"]) == 0
    assert "4 test images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--heads", "7"], "--heads 7"),
        (["--scale", "0"], "--scale 0"),
        (["--folds", "3"], "--folds 3: 4 test images"),
        (["--epochs", "0"], "--epochs 0"),
        (["--name", "../x"], "--name"),
        (["--seed", "-1"], "--seed -1"),
    ],
)
def test_match_says_what_is_wrong(tmp_path, capsys, options, message):
    folder = str(write(tmp_path / "data"))
    assert main(["match", "--data", folder, "--workspace", str(tmp_path / "w"), *options]) == 2
    assert message in capsys.readouterr().err
