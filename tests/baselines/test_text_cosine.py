"""The cosine of label and description against values worked out by hand."""

import numpy as np
import pytest
from tiny_corpus import vector

from baselines.data import Graded, Record, TrainingData, load_records
from baselines.text_cosine import TextCosineRanker
from lrmovienet.encoders import TokenFeatures
from lrmovienet.errors import UserError
from lrmovienet.features import FeatureStore


class Store:
    """Token vectors that a test gives."""

    def __init__(self, **texts):
        self.texts = texts

    def text(self, clip_id, label):
        tokens, start, end = self.texts[label]
        return TokenFeatures(np.array(tokens, np.float16), start, end)


def record(**texts):
    return Record(
        "tt1_0000", "target", tuple(texts), ("image",) * len(texts), (), "", Store(**texts)
    )


def test_by_hand():
    found = TextCosineRanker().score(
        record(
            # A token before the label does not count, whatever it says.
            same=([[-9, 5], [1, 0], [2, 0]], 1, 2),
            # Label (3, 0) and (0, 4) -> (1.5, 2); behind it (1, 0) and (1, 2) -> (1, 1).
            means=([[7, 7], [3, 0], [0, 4], [1, 0], [1, 2]], 1, 3),
            opposite=([[1, 1], [-2, -2]], 0, 1),
            apart=([[0, 3], [5, 0]], 0, 1),
            nothing=([[0, 0], [5, 0]], 0, 1),
        )
    )
    expected = [1.0, 3.5 / (2.5 * 2**0.5), -1.0, 0.0, 0.0]
    assert found == pytest.approx(expected, abs=1e-15)


def test_large_vectors_do_not_overflow():
    """65504 is the largest half; its square is none."""
    assert TextCosineRanker().score(record(far=([[60000, 0], [60000, 0]], 0, 1))) == [1.0]


@pytest.mark.parametrize("span", [(0, 2), (1, 1)])
def test_a_text_without_label_or_description_is_refused(span, tmp_path):
    """Features of LR2PPO's own files do not say where the label ends."""
    whole = record(dog=([[1, 0], [0, 1]], *span))
    with pytest.raises(UserError, match="label 'dog' of clip tt1_0000"):
        TextCosineRanker().score(whole)
    data = TrainingData((Graded(whole, np.array([1])),), ())
    with pytest.raises(UserError, match="lrmovienet encode"):
        TextCosineRanker().fit(data, tmp_path)


def test_on_a_feature_store(filled):
    records = load_records(filled, "target_test", FeatureStore.of(filled))
    ranker = TextCosineRanker()
    for one in records:
        words = one.description.split()
        behind = np.mean([vector(word, 12).astype(np.float16) for word in words], 0, np.float64)
        for label, score in zip(one.labels, ranker.score(one), strict=True):
            own = vector(label, 12).astype(np.float16).astype(np.float64)
            expected = own @ behind / np.sqrt((own @ own) * (behind @ behind))
            assert score == pytest.approx(expected, abs=1e-12)


def test_what_is_saved_can_be_loaded(tmp_path):
    TextCosineRanker().save(tmp_path / "saved")
    TextCosineRanker.load(tmp_path / "saved")
    with pytest.raises(UserError, match="train again"):
        TextCosineRanker.load(tmp_path / "none")
