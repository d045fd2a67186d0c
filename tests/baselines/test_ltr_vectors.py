"""One vector a label: what stands in it, and that it is read once."""

import numpy as np
import pytest
from tiny_corpus import FRAME_DIM, TEXT_DIM, vector

from baselines.data import Record, load_records
from baselines.ltr.vectors import SCALARS, blocks, label_vectors, vectors_of
from lrmovienet.encoders import TokenFeatures
from lrmovienet.features import FeatureStore


class Said:
    """Features of words: each word its vector, whatever stands beside it."""

    def __init__(self, spanless: bool = False) -> None:
        self.spanless, self.digest = spanless, "0"
        self.pictures = np.array([vector(name, FRAME_DIM) for name in "xyz"], np.float16)

    def text(self, clip_id: str, label: str) -> TokenFeatures:
        words = [*label.split(), "dog", "in", "rain"]
        tokens = np.array([vector(word, TEXT_DIM) for word in words], np.float16)
        return TokenFeatures(tokens, 0, len(words) if self.spanless else len(label.split()))

    def frames(self, clip_id: str) -> np.ndarray:
        return self.pictures


def record(*labels: str, spanless: bool = False) -> Record:
    sources = tuple(("image", "event", "entity")[i % 3] for i in range(len(labels)))
    return Record("c", "source", labels, sources, (), "Dog, in rain!", Said(spanless))


def mean(*words: str) -> np.ndarray:
    return np.array([vector(w, TEXT_DIM) for w in words], np.float16).astype(np.float64).mean(0)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_every_block_holds_what_it_is_called():
    labels = ("sea", "rain", "big dog", "in rain", "rain in")
    found = label_vectors(record(*labels))
    at = blocks(TEXT_DIM, FRAME_DIM)
    assert found.dtype == np.float32
    assert found.shape == (5, 3 * TEXT_DIM + FRAME_DIM + len(SCALARS))
    assert [s.stop for s in at.values()][-1] == found.shape[1]
    text = mean("dog", "in", "rain")
    for row, label in zip(found, labels, strict=True):
        own = mean(*label.split())
        np.testing.assert_allclose(row[at["label"]], own, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(row[at["text"]], text, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(row[at["frames"]], Said().pictures.astype(float).mean(0), 1e-5)
        np.testing.assert_allclose(row[at["product"]], own * text, rtol=1e-4, atol=1e-6)
        scalars = dict(zip(SCALARS, row[at["scalars"]], strict=True))
        assert scalars["cosine of label and text"] == pytest.approx(cosine(own, text), abs=1e-5)
        nearest = [
            max(cosine(mean(w), mean(t)) for t in ("dog", "in", "rain")) for w in label.split()
        ]
        expected = 4 * np.mean(nearest) - 2
        assert scalars["nearest token to each of the label's tokens"] == pytest.approx(
            expected, abs=1e-4
        )
    of_words = found[:, at["scalars"]][:, 3:]
    np.testing.assert_allclose(
        of_words,
        [  # share, whole, words, image, event, entity
            [0, 0, 1, 1, 0, 0],
            [1, 1, 1, 0, 1, 0],
            [0.5, 0, 2, 0, 0, 1],
            [1, 1, 2, 1, 0, 0],
            [1, 0, 2, 0, 1, 0],
        ],
    )


def test_a_text_whose_label_is_not_known_counts_as_both():
    found = label_vectors(record("sea", spanless=True))[0]
    at = blocks(TEXT_DIM, FRAME_DIM)
    whole = mean("sea", "dog", "in", "rain")
    np.testing.assert_allclose(found[at["label"]], whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[at["text"]], whole, rtol=1e-5, atol=1e-6)
    assert np.isfinite(found).all()


def test_vectors_are_made_once_and_again_for_other_records_or_another_maker(filled, tmp_path):
    store = FeatureStore.of(filled)
    records = load_records(filled, "source_train", store)
    made = []

    def make(record: Record) -> np.ndarray:
        made.append(record.clip_id)
        return label_vectors(record)

    first = vectors_of(records, make, tmp_path)
    assert made == [record.clip_id for record in records]
    again = vectors_of(records, make, tmp_path)
    assert len(made) == len(records)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, np.concatenate([label_vectors(r) for r in records]))
    vectors_of(records[1:], make, tmp_path)
    assert len(made) == 2 * len(records) - 1
    vectors_of(records, make, tmp_path, "something else")
    assert len(made) == 3 * len(records) - 1
    vectors_of(records, make)
    assert len(made) == 4 * len(records) - 1
    assert len(list(tmp_path.iterdir())) == 3


def test_a_damaged_file_is_made_again(filled, tmp_path):
    records = load_records(filled, "source_train", FeatureStore.of(filled))
    whole = vectors_of(records, label_vectors, tmp_path)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    for damage in (b"", content[:50], content[:-8]):
        path.write_bytes(damage)
        np.testing.assert_array_equal(vectors_of(records, label_vectors, tmp_path), whole)
        assert path.read_bytes() == content
    for other in (whole[1:], whole.astype(np.float64)):
        np.save(path, other)
        np.testing.assert_array_equal(vectors_of(records, label_vectors, tmp_path), whole)
