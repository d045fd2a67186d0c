"""The control that ranks by one feature: it finds the planted one, and its right end."""

import json
from dataclasses import replace

import numpy as np
import pytest
from tiny_letor import made

from baselines.data import TrainingData
from baselines.letor.best_feature import BestFeatureRanker, Choice
from baselines.letor.documents import Documents
from baselines.letor.queries import graded_of
from eval.ndcg import ndcg
from lrmovienet.errors import UserError


def lists(x: np.ndarray, documents: Documents) -> TrainingData:
    return TrainingData(graded_of(replace(documents, x=x.astype(np.float32)), "source"), ())


def planted(column: int, sign: int, grades: np.ndarray, noise: float = 0.3) -> np.ndarray:
    """Features of which one follows the grades."""
    draw = np.random.default_rng(8)
    x = draw.normal(size=(len(grades), 6))
    x[:, column] = sign * (grades + noise * draw.normal(size=len(grades)))
    return x


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("column", [0, 3, 5])
def test_best_feature_is_the_planted_one(column, sign, tmp_path):
    documents = made(30)
    data = lists(planted(column, sign, documents.grades), documents)
    ranker = BestFeatureRanker()
    ranker.fit(data, tmp_path)
    assert ranker.choice == Choice(column, sign)
    record = data.graded[3].record
    assert ranker.score(record).tolist() == (sign * record.vectors[:, column]).tolist()
    assert ranker.score(record).dtype == np.float64
    ranker.save(tmp_path / "kept")
    again = BestFeatureRanker.load(tmp_path / "kept")
    assert again.choice == ranker.choice
    assert again.score(record).tolist() == ranker.score(record).tolist()


def test_best_feature_reaches_most_within_queries(tmp_path):
    """Against a plain loop of NDCG@10, each query as much as another."""
    documents = made(40, lengths=(40, 30))
    grades = documents.grades * (np.repeat(np.arange(40), documents.lengths) != 5)  # one has none
    documents = replace(documents, grades=grades)
    x = planted(4, -1, grades, noise=2.0)
    # Between queries a feature may say all, and within them nothing.
    x[:, 1] = np.repeat([grades[a:b].mean() for a, b in zip(
        documents.offsets, documents.offsets[1:], strict=False)], documents.lengths)  # fmt: skip
    reached = {
        (column, sign): np.mean([
            value
            for a, b in zip(documents.offsets, documents.offsets[1:], strict=False)
            for value in [ndcg(sign * x[a:b, column], grades[a:b], [0, b - a], (10,))[0, 0]]
            if not np.isnan(value)
        ])
        for column in range(6) for sign in (1, -1)
    }  # fmt: skip
    ranker = BestFeatureRanker()
    ranker.fit(lists(x, documents), tmp_path)
    assert ranker.choice == Choice(*max(reached, key=reached.__getitem__))


def test_best_feature_is_chosen_by_the_first_ten(tmp_path):
    """One relevant document a list of 12: at 2 and 11, or at 4 twice.

    The former is more at 3 and at 20, either way up.
    """
    documents = made(2, lengths=(12, 12))
    grades = np.array([0] * 11 + [1] + [0] * 11 + [1])
    places = np.array([
        [place + 1 + (place + 1 >= of) for place in range(11)] + [of]
        for of in (2, 11, 4, 4)
    ])  # fmt: skip
    x = -np.stack([places[:2].ravel(), places[2:].ravel()], 1)
    ranker = BestFeatureRanker()
    ranker.fit(lists(x, replace(documents, grades=grades)), tmp_path)
    assert ranker.choice == Choice(1, 1)


def test_best_feature_takes_the_first_of_equal_ones(tmp_path):
    documents = made(10)
    x = planted(2, 1, documents.grades)
    x[:, 4], x[:, 5] = x[:, 2], -x[:, 2]
    ranker = BestFeatureRanker()
    ranker.fit(lists(x, documents), tmp_path)
    assert ranker.choice == Choice(2, 1)
    ranker.fit(lists(np.zeros((len(x), 3)), documents), tmp_path)
    assert ranker.choice == Choice(0, 1)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e20])
def test_best_feature_puts_what_is_not_known_last(sign, scale):
    record = lists(np.array([[2], [np.nan], [-3], [np.nan], [0.5]]) * scale,
                   made(1, lengths=(5,))).graded[0].record  # fmt: skip
    ranker = BestFeatureRanker()
    ranker.choice = Choice(0, sign)
    scores = ranker.score(record)
    order = [0, 4, 2] if sign == 1 else [2, 4, 0]
    assert scores[order[0]] > scores[order[1]] > scores[order[2]] > scores[1] == scores[3]
    nothing = lists(np.full((3, 1), np.nan), made(1, lengths=(3,))).graded[0].record
    assert len(set(ranker.score(nothing).tolist())) == 1


def test_best_feature_reads_gaps_as_last_when_it_chooses(tmp_path):
    """Feature 2 is known of relevant documents alone: known before unknown is all it says."""
    documents = made(20, levels=2)
    x = np.random.default_rng(0).normal(size=(len(documents.x), 3))
    x[:, 2] = np.where(documents.grades > 0, -5.0, np.nan)
    ranker = BestFeatureRanker()
    ranker.fit(lists(x, documents), tmp_path)
    assert ranker.choice == Choice(2, 1)


def test_best_feature_that_cannot_be(tmp_path):
    documents = made(3)
    bare = lists(documents.x, replace(documents, grades=0 * documents.grades))
    ranker = BestFeatureRanker()
    with pytest.raises(UserError, match="the source has no relevant document"):
        ranker.fit(bare, tmp_path)
    for use in (lambda: ranker.score(bare.graded[0].record), lambda: ranker.save(tmp_path / "x")):
        with pytest.raises(ValueError, match="was not trained"):
            use()
    assert not (tmp_path / "x").exists()
    for content_of in ("", "[]", json.dumps({"column": 1})):
        (tmp_path / "choice.json").write_text(content_of)
        with pytest.raises(UserError, match="not a trained ranker"):
            BestFeatureRanker.load(tmp_path)
