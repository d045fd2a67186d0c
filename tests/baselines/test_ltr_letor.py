"""Every network on real ranking data: web search, 201 and 50 queries, grades 0 to 4."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_svmlight_file
from tiny_stages import ALONE

from baselines.learning.loop import Run
from baselines.learning.machine import Machine, Optimisation
from baselines.learning.running import ndcg_of, reproducible
from baselines.ltr.ranker import ListModel
from baselines.ltr.rankers import (
    ContextRanker,
    DASALCRanker,
    DLCMRanker,
    GSFRanker,
    ListNetRanker,
    PRMRanker,
    RankFormerRanker,
    SetRankRanker,
)
from baselines.ltr.training import Items, ListTraining, Task, learn, scores_of
from eval.ndcg import ndcg

FOLDER = Path(os.environ.get("LRMOVIENET_EXTRA_DATA", "")) / "lightgbm_lambdarank"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (FOLDER / "rank.train").exists(),
        reason="LRMOVIENET_EXTRA_DATA is unset: the ranking data are not here",
    ),
]
COLUMNS = 301
METHODS = [
    (ListNetRanker, {}), (DLCMRanker, {}), (PRMRanker, {}), (GSFRanker, {"group": 1}),
    (GSFRanker, {"group": 2}), (SetRankRanker, {}), (SetRankRanker, {"inducing": 20}),
    (RankFormerRanker, {"levels": 4}), (ContextRanker, {}),
    (ContextRanker, {"objective": "ordinal", "levels": 4}), (DASALCRanker, {}),
]  # fmt: skip


def read(part: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n, 301) features, (n,) grades and (queries + 1,) offsets."""
    x, grades = load_svmlight_file(
        str(FOLDER / f"rank.{part}"), n_features=COLUMNS, zero_based=True
    )
    lengths = np.loadtxt(FOLDER / f"rank.{part}.query", dtype=np.int64)
    return x.toarray().astype(np.float32), grades.astype(np.int64), np.cumsum([0, *lengths])


def some(data, chosen):
    """The lists of some queries."""
    x, grades, offsets = data
    rows = np.concatenate([np.arange(offsets[i], offsets[i + 1]) for i in chosen])
    return x[rows], grades[rows], np.cumsum([0, *np.diff(offsets)[chosen]])


@pytest.fixture(scope="module")
def data():
    """Training queries, every fifth of them held out to choose weights by, and test queries."""
    whole = read("train")
    held = np.arange(len(whole[2]) - 1) % 5 == 4
    return some(whole, np.flatnonzero(~held)), some(whole, np.flatnonzero(held)), read("test")


def best_feature(train) -> np.ndarray:
    """(301,) the sign at the one feature by which training queries are ranked best."""
    x, grades, offsets = train
    found = [
        sign * np.nanmean(ndcg(sign * x[:, i], grades, offsets, (10,), empty="skip"))
        for i in range(COLUMNS) for sign in (1, -1)
    ]  # fmt: skip
    best = int(np.argmax(np.abs(found)))
    weights = np.zeros(COLUMNS, np.float32)
    weights[best // 2] = np.sign(found[best])
    return weights


@pytest.mark.parametrize(("kind", "options"), METHODS)
def test_reaches_what_is_known_to_be_reachable(kind, options, data, tmp_path):
    """NDCG@10 on the test queries; a random order gives .58, the best single feature .69.

    The mean of three seeds: one of them moves by .01 with the last bits of a processor.
    """
    weights = best_feature(data[0])
    found = [trained(kind, options, seed, data, weights, tmp_path) for seed in range(3)]
    print(kind.__name__, options, np.round(found, 3))
    assert np.mean(found) >= 0.70


def trained(kind, options, seed, data, weights, folder) -> float:
    """NDCG@10 on the test queries after one training."""
    train, dev, test = data
    machine = Machine(seed=seed)
    with reproducible(machine):
        torch.manual_seed(seed)
        network = kind.network_class(
            replace(kind.network_class.config_class(), inputs=COLUMNS, **options)
        )
        model = ListModel(network, COLUMNS, None)
        model.standardise(train[0])

        def items(part):
            x = model(torch.from_numpy(part[0])).numpy()
            return Items.of(x, part[0] @ weights, part[2])

        config = ListTraining(
            Optimisation(learning_rate=1e-3, weight_decay=0.1), machine, epochs=30
        )
        task = Task(items(train), train[1], items(dev), dev[1])
        learn(network, model, task, config, ALONE, lambda learner: Run(
            folder, f"seed {seed}", learner, model), "it")  # fmt: skip
        scores = scores_of(network, model, items(test), machine)
    return ndcg_of(scores, test[1], test[2])["dev_ndcg@10"]
