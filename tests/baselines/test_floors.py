"""The floors against values worked out by hand, and BM25 against another implementation."""

import math

import bm25s
import numpy as np
import pytest

from baselines.data import Graded, Record, TrainingData
from baselines.floors import (
    BM25Ranker,
    FrequencyRanker,
    LexicalRanker,
    PriorRanker,
    RandomRanker,
)
from baselines.ranker import RANKERS, ranker_class
from lrmovienet.errors import UserError


def record(labels, sources=None, description="A man runs.", clip_id="tt1_0000"):
    sources = sources or ["image"] * len(labels)
    return Record(clip_id, "source", tuple(labels), tuple(sources), (), description)


TRAIN = TrainingData(
    graded=(
        Graded(record(["dog", "run"], ["image", "event"]), np.array([2, 0])),
        Graded(record(["dog", "cat"], ["image", "image"]), np.array([1, 0])),
    ),
    dev=(Graded(record(["dog"]), np.array([0])),),
)


def test_prior_by_hand(tmp_path):
    prior = PriorRanker()
    prior.fit(TRAIN, tmp_path)
    target = record(
        ["dog", "cat", "run", "ship", "jump", "joy"],
        ["event", "image", "image", "image", "event", "entity"],
    )
    # dog (2+1)/2; cat 0; run 0; an unseen image (2+1+0)/3; an unseen event 0; of no seen
    # source (2+0+1+0)/4. Dev grades do not count, nor does the source of a label that was seen.
    assert prior.score(target).tolist() == [1.5, 0.0, 0.0, 1.0, 0.0, 0.75]


def test_frequency_by_hand(tmp_path):
    ranker = FrequencyRanker()
    ranker.fit(TRAIN, tmp_path)
    # Records that have the label, of any grade and from anywhere; not those of dev.
    assert ranker.score(record(["run", "ship", "dog", "cat"])).tolist() == [1, 0, 2, 1]


def described(*descriptions):
    """Graded records of these descriptions; their clips are tt0_0000, tt0_0001, …"""
    return tuple(
        Graded(record(["dog"], description=text, clip_id=f"tt0_{i:04d}"), np.array([1]))
        for i, text in enumerate(descriptions)
    )


def test_bm25_by_hand(tmp_path):
    ranker = BM25Ranker(k1=2.0, b=0.5)
    # Lengths 4, 2 and 6: 4 in the mean. The same clip in another record counts once; dev does not.
    graded = described("A dog, a cat.", "The dog", "a b c d e f")
    graded += (Graded(record(["cat"], description="A dog, a cat.", clip_id="tt0_0000"), [0]),)
    ranker.fit(TrainingData(graded, described("ship ship ship")), tmp_path)
    target = record(
        ["dog", "red DOG", "dog dog", "cat", "ship", "hot-dog", "…", "whale"],
        description="Dog sees dog, cat, ship; a dog barks!",  # 8 words
    )
    norm = 2.0 * (0.5 + 0.5 * 8 / 4)
    dog = math.log(1 + 1.5 / 2.5) * 3 / (3 + norm)  # in 2 of 3 descriptions
    cat = math.log(1 + 2.5 / 1.5) * 1 / (1 + norm)
    ship = math.log(1 + 3.5 / 0.5) * 1 / (1 + norm)  # in none of the source's
    expected = [dog, dog, 2 * dog, cat, ship, dog, 0.0, 0.0]
    assert ranker.score(target) == pytest.approx(expected, rel=1e-12)
    assert ranker.score(record(["dog"], description="…")).tolist() == [0.0]


WORDS = ["dog", "cat", "ship", "sea", "rain", "king", "fire", "snow", "night"]


@pytest.mark.parametrize(("k1", "b"), [(1.5, 0.75), (0.0, 0.3), (0.9, 0.0), (4.0, 1.0)])
def test_bm25_is_that_of_bm25s(k1, b, tmp_path):
    """On documents of its own collection, which are the only ones that bm25s scores."""
    draw = np.random.default_rng(3)
    texts = [" ".join(draw.choice(WORDS, draw.integers(1, 30))) for _ in range(40)]
    labels = [" ".join(draw.choice([*WORDS, "whale"], draw.integers(1, 4))) for _ in range(30)]
    labels = [label for label in labels if label != "whale"]
    ranker = BM25Ranker(k1, b)
    graded = described(*texts)
    ranker.fit(TrainingData(graded, ()), tmp_path)
    index = bm25s.BM25(k1=k1, b=b, method="lucene", dtype="float64")
    index.index([text.split() for text in texts], show_progress=False)
    expected = np.array([index.get_scores(label.split()) for label in labels])
    for i, text in enumerate(texts):
        found = ranker.score(record(labels, description=text))
        assert found == pytest.approx(expected[:, i], rel=1e-9, abs=1e-12)


def test_bm25_needs_a_word(tmp_path):
    with pytest.raises(UserError, match="no description has a word"):
        BM25Ranker().fit(TrainingData(described("…", "!"), ()), tmp_path)


def test_lexical_by_hand():
    found = LexicalRanker().score(
        record(
            ["man", "running man", "red car", "old car", "car red", "carpet", "…", "the red car"],
            description="The man sees a RED car, then another: the car is old.",
        )
    )
    # whole word for word: 1 + 1; half of the words: 0.5; both words, but not side by side in
    # this order: 1; a part of a word is no word.
    assert found.tolist() == [2.0, 0.5, 2.0, 1.0, 1.0, 0.0, 0.0, 1.0]


def test_random_is_seeded_uniform_and_of_the_label():
    labels = [f"label {i}" for i in range(4000)]
    scores = RandomRanker(0).score(record(labels))
    assert scores.min() >= 0 and scores.max() < 1
    assert len(set(scores)) == 4000
    # The mean of 4000 uniform numbers has a standard deviation of 0.0046.
    assert abs(scores.mean() - 0.5) < 0.02
    assert np.array_equal(RandomRanker(0).score(record(labels)), scores)
    assert np.array_equal(RandomRanker(0).score(record(labels[::-1])), scores[::-1])
    for other in (
        RandomRanker(1).score(record(labels)),
        RandomRanker(0).score(record(labels, clip_id="tt1_0001")),
    ):
        assert abs(np.corrcoef(other, scores)[0, 1]) < 0.08  # five standard deviations


@pytest.mark.parametrize(
    "ranker",
    [RandomRanker(7), PriorRanker(), FrequencyRanker(), LexicalRanker(), BM25Ranker(0.5, 0.1)],
)
def test_what_is_saved_scores_alike(ranker, tmp_path):
    ranker.fit(TRAIN, tmp_path)
    ranker.save(tmp_path / "saved")
    loaded = type(ranker).load(tmp_path / "saved")
    target = record(["dog", "man", "ship"], ["image", "event", "entity"])
    assert np.array_equal(loaded.score(target), ranker.score(target))
    (tmp_path / "saved" / "floor.json").write_text("[")
    with pytest.raises(UserError, match="train again"):
        type(ranker).load(tmp_path / "saved")


@pytest.mark.parametrize("name", RANKERS)
def test_every_name_leads_to_a_ranker(name):
    kind = ranker_class(name)
    assert kind.regimes and isinstance(kind.uses_features, bool)
    assert all(hasattr(kind, method) for method in ("fit", "score", "save", "load"))
