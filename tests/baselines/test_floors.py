"""The floors against values worked out by hand."""

import numpy as np
import pytest

from baselines.data import Graded, Record, TrainingData
from baselines.floors import LexicalRanker, PriorRanker, RandomRanker
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


@pytest.mark.parametrize("ranker", [RandomRanker(7), PriorRanker(), LexicalRanker()])
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
