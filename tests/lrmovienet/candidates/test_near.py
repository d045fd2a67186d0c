"""Near duplicates with vectors made by hand, and with those of the packaged MiniLM."""

import math
import sqlite3

import numpy as np
import pytest

from lrmovienet.candidates import MergeConfig
from lrmovienet.candidates.near import label_vectors, near_duplicates
from lrmovienet.sentences import sentence_encoder


def at(**degrees):
    """Vectors of length one in the plane, by their angles."""
    return {
        label: np.array([math.cos(math.radians(d)), math.sin(math.radians(d))], np.float32)
        for label, d in degrees.items()
    }


def cosine(degrees):
    return pytest.approx(math.cos(math.radians(degrees)), abs=1e-6)


def test_the_first_of_two_stays():
    vectors = at(a=0, b=10, c=90)
    assert near_duplicates(["a", "b", "c"], vectors, 0.9) == {"b": ("a", cosine(10))}
    assert near_duplicates(["c", "b", "a"], vectors, 0.9) == {"a": ("b", cosine(10))}
    assert near_duplicates(["a", "b", "c"], vectors, 0.99) == {}


def test_the_nearest_of_those_that_stay_is_named():
    vectors = at(a=0, b=30, c=20)
    assert near_duplicates(["a", "b", "c"], vectors, 0.9) == {"c": ("b", cosine(10))}
    assert near_duplicates(["b", "a", "c"], vectors, 0.9) == {"c": ("b", cosine(10))}


def test_equally_near_ones_go_to_the_first():
    vectors = at(a=20, b=-20, c=0)
    assert near_duplicates(["a", "b", "c"], vectors, 0.9)["c"][0] == "a"
    assert near_duplicates(["b", "a", "c"], vectors, 0.9)["c"][0] == "b"


def test_a_chain_does_not_hang_on_labels_that_went():
    """a ~ b and b ~ c, but c is not near a: c stays where b has gone."""
    vectors = at(a=0, b=20, c=40)
    assert near_duplicates(["a", "b", "c"], vectors, 0.9) == {"b": ("a", cosine(20))}
    both = near_duplicates(["b", "a", "c"], vectors, 0.9)
    assert both == {"a": ("b", cosine(20)), "c": ("b", cosine(20))}


def test_the_threshold_is_near_enough():
    vectors = {"a": np.array([1, 0], np.float32), "b": np.array([0.5, 0.5**0.5], np.float32)}
    assert near_duplicates(["a", "b"], vectors, 0.5) == {"b": ("a", 0.5)}
    assert near_duplicates(["a", "b"], vectors, 0.5000001) == {}


def test_opposites_are_not_near():
    assert near_duplicates(["a", "b"], at(a=0, b=180), 0.5) == {}
    assert near_duplicates([], {}, 0.5) == {}
    assert near_duplicates(["a"], at(a=0), 0.0) == {}


# --- the packaged MiniLM ---


@pytest.fixture(scope="module")
def minilm():
    return sentence_encoder(None)


NEAR = [
    ["t shirt", "t-shirt"], ["photo frame", "picture frame"], ["cellphone", "cell phone"],
    ["tv", "television"],
]  # fmt: skip
NOT_NEAR = [
    ["man", "woman"], ["boy", "girl"], ["red car", "blue car"], ["left", "right"], ["cat", "dog"],
    ["two men", "three men"], ["day", "night"], ["brother", "sister"],
]  # fmt: skip


def test_what_is_near_at_the_default(minilm, tmp_path):
    pairs = NEAR + NOT_NEAR
    vectors = label_vectors([x for pair in pairs for x in pair], minilm, tmp_path / "c.sqlite")
    found = [len(near_duplicates(pair, vectors, MergeConfig.near)) for pair in pairs]
    assert found == [1] * len(NEAR) + [0] * len(NOT_NEAR)


class Counting:
    """The encoder, and what it was asked for."""

    def __init__(self, encoder, **identity):
        self.encoder, self.identity = encoder, encoder.identity | identity
        self.asked = []

    def __call__(self, texts):
        self.asked.append(list(texts))
        return self.encoder(texts)


def test_vectors_are_made_once(minilm, tmp_path):
    path = tmp_path / "cache" / "labels.sqlite"
    first = Counting(minilm)
    made = label_vectors(["red car", "dog", "dog's bowl"], first, path)
    assert first.asked == [["red car", "dog", "dog's bowl"]]
    again = Counting(minilm)
    kept = label_vectors(["dog's bowl", "red car"], again, path)
    assert again.asked == []
    assert set(kept) == {"dog's bowl", "red car"}
    assert all(kept[x].tobytes() == made[x].tobytes() for x in kept)
    more = label_vectors(["cat", "dog", "a: b"], again, path)
    assert again.asked == [["cat", "a: b"]]
    expected = minilm(["cat", "dog", "a: b"])
    np.testing.assert_allclose(np.stack(list(more.values())), expected, atol=1e-5)
    assert list(more) == ["cat", "dog", "a: b"]
    label_vectors(["a: b"], again, path)
    assert again.asked == [["cat", "a: b"]]


def test_another_model_makes_its_own(minilm, tmp_path):
    path = tmp_path / "c.sqlite"
    label_vectors(["dog"], minilm, path)
    for change in ({"sha256": "0" * 64}, {"pooling": "first-1"}):
        other = Counting(minilm, **change)
        label_vectors(["dog"], other, path)
        assert other.asked == [["dog"]]


def test_labels_are_on_disk_a_few_hundred_at_a_time(tmp_path):
    """A killed run does not begin anew."""

    class Killed:
        identity = {"sha256": "0"}  # noqa: RUF012
        asked = 0

        def __call__(self, texts):
            self.asked += len(texts)
            if self.asked > 1000:
                raise InterruptedError
            return np.full((len(texts), 2), 0.5**0.5, np.float32)

    names, path = [f"label {i}" for i in range(1200)], tmp_path / "c.sqlite"
    with pytest.raises(InterruptedError):
        label_vectors(names, Killed(), path)
    again = Killed()
    assert len(label_vectors(names, again, path)) == 1200
    assert again.asked < 700
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM results").fetchone() == (1200,)


def test_nothing_to_compare(tmp_path, minilm):
    counting = Counting(minilm)
    assert label_vectors([], counting, tmp_path / "c.sqlite") == {}
    assert counting.asked == []
