"""ImageNet's classes as labels, and scores that are sums of class probabilities."""

import hashlib
import pickle

import numpy as np
import pytest
import torch
from tagged import demo_frames

from eval.labels import normal_form
from lrmovienet.errors import ItemError
from lrmovienet.tagging.efficientnet_lite import load_packaged, preprocess, weights_file
from lrmovienet.tagging.imagenet import TAGGER, ImageNetTagger, class_labels, weights_sha256


@pytest.fixture(scope="module")
def tagger():
    return ImageNetTagger("w")


def test_class_labels_are_readable():
    labels = class_labels()
    assert len(labels) == 1000
    assert all(label == normal_form(label) and label for label in labels)
    assert not [label for label in labels if set(label) & set("()/,")]
    assert not [label for label in labels if " or " in label]
    assert labels[0] == "tench"
    assert labels[457] == "bow tie"
    assert labels[281:283] == ("tabby cat", "tiger cat")
    assert sorted({x for x in labels if labels.count(x) > 1}) == ["missile", "sunglasses"]


def test_labels_are_each_class_once_in_order(tagger):
    labels = tagger.labels
    assert len(labels) == len(set(labels)) == 998
    assert labels == tuple(x for i, x in enumerate(class_labels()) if x not in class_labels()[:i])
    assert len(tagger.thresholds) == 998
    assert set(tagger.thresholds) == {0.05}


def test_scores_are_the_sums_of_their_classes_probabilities(tagger):
    frames = demo_frames()[:3]
    scores = tagger.scores(torch.stack([tagger.pixels(jpeg) for jpeg in frames]))
    assert scores.shape == (3, 998)
    assert scores.dtype == np.float32
    model = load_packaged()[0]
    for jpeg, row in zip(frames, scores, strict=True):
        with torch.inference_mode():
            every = model(preprocess(jpeg)[None])[0].double().softmax(0).tolist()
        expected = dict.fromkeys(tagger.labels, 0.0)
        for label, value in zip(class_labels(), every, strict=True):
            expected[label] += value
        assert row == pytest.approx(list(expected.values()), abs=1e-6)
        assert row.sum() == pytest.approx(1.0, abs=1e-5)


def test_classes_of_one_name_are_one_label():
    twice = [i for i, label in enumerate(class_labels()) if label == "sunglasses"]
    assert len(twice) == 2
    tagger = ImageNetTagger("w")
    with torch.no_grad():  # a last layer that is sure of sunglasses, half of each class
        tagger._model._fc.weight.zero_()
        tagger._model._fc.bias.zero_()
        tagger._model._fc.bias[twice] = 50.0
    (row,) = tagger.scores(tagger.pixels(demo_frames()[0])[None])
    assert row[tagger.labels.index("sunglasses")] == 1.0
    assert np.count_nonzero(row > 1e-9) == 1


def test_it_is_light_to_make_and_to_send(tagger):
    tagger.load()
    fresh = ImageNetTagger("w")
    assert len(pickle.dumps(fresh)) < 1000
    assert fresh == tagger
    assert fresh.name == TAGGER == "imagenet-efficientnet-lite0"


def test_what_identifies_it():
    sha256 = hashlib.sha256(weights_file().read_bytes()).hexdigest()
    assert weights_sha256() == sha256
    identity = ImageNetTagger(sha256).identity
    assert (identity["name"], identity["weights"]) == (TAGGER, sha256)
    assert identity != ImageNetTagger("other").identity


def test_pixels_refuse_what_is_no_image(tagger):
    with pytest.raises(ItemError, match="not a readable image"):
        tagger.pixels(b"no image")
