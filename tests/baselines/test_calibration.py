"""The generated corpus is as hard as the paper's data: random, source-only, and what is reachable.

Slow: encodes the whole ``small`` corpus with the packaged encoders and trains three times. Prints
the figures of docs/synthetic.md (run with ``-s``).
"""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from baselines.data import Graded, load_graded, load_records, training_data
from baselines.lr2ppo.base import BaseRanker
from baselines.lr2ppo.presets import RECOMMENDED
from eval.ndcg import ndcg
from lrmovienet.cli import main
from lrmovienet.features import FeatureStore
from lrmovienet.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
KS = (1, 5, 10, 20)


def pair_accuracy(ranker, records: tuple[Graded, ...]) -> float:
    """Share of pairs in the right order; low-medium, medium-high and low-high weigh the same."""
    right = {(0, 1): [], (1, 2): [], (0, 2): []}
    for item in records:
        scores = ranker.score(item.record)
        for i, j in combinations(range(len(scores)), 2):
            low, high = sorted((i, j), key=lambda n: item.grades[n])
            grades = (int(item.grades[low]), int(item.grades[high]))
            if grades in right:
                right[grades].append(scores[high] > scores[low])
    return float(np.mean([np.mean(of_kind) for of_kind in right.values()]))


def test_the_corpus_is_as_hard_as_the_papers_data(tmp_path):
    root = ["--workspace", str(tmp_path)]
    for words in (
        ["synth", "--size", "small", "--processes", "2"],
        ["ingest", "--movienet", str(tmp_path / "movienet"), "--frames_per_clip", "3"],
        ["aggregate"],
        ["split"],
        ["encode"],
    ):
        assert main([words[0], *root, *words[1:]]) == 0
    workspace = Workspace(tmp_path)
    store = FeatureStore.of(workspace)
    test = load_graded(workspace, "target_test", store)
    grades = np.concatenate([item.grades for item in test])
    offsets = np.cumsum([0, *(len(item.grades) for item in test)])
    random = np.nanmean(ndcg(np.zeros(len(grades)), grades, offsets, KS), axis=0)
    print(f"\nrandom {random.round(3)}")

    # What target labels are worth at most: the grades of the films that only give pairs.
    rows = workspace.read("relevance").to_pylist()
    known = {(row["clip_id"], row["label"]): row["grade"] for row in rows}
    target = tuple(
        Graded(record, np.array([known[record.clip_id, label] for label in record.labels]))
        for record in load_records(workspace, "target_pairs", store)
    )
    data = training_data(workspace, "R0", 0, store)
    found = {}
    sources = {"source": data.graded, "target": target, "both": data.graded + target}
    for name, graded in sources.items():
        ranker = BaseRanker(RECOMMENDED.base)
        working = tmp_path / "working" / name
        working.mkdir(parents=True)
        ranker.fit(replace(data, graded=graded), working)
        scores = np.concatenate([ranker.score(item.record) for item in test])
        values = np.nanmean(ndcg(scores, grades, offsets, KS), axis=0)
        found[name] = values[-1], pair_accuracy(ranker, test)
        print(f"{name} {values.round(3)}, pair accuracy {found[name][1]:.3f}")

    assert 0.62 <= random[-1] <= 0.70
    assert 0.77 <= found["source"][0] <= 0.83
    assert found["both"][0] >= found["source"][0] + 0.03
    assert 0.75 <= found["both"][1] <= 0.83
