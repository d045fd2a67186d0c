"""Whatever is trained by gradient on records can learn ten of them by heart.

Lists of numbers are in test_ltr_networks, trees in test_lambdamart, DCPG in test_dcpg_ranker.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tiny_stages import (
    CONTROL,
    NETWORK,
    PPO,
    REWARD,
    STILL,
    USUAL,
    actor,
    stage,
)

from baselines.data import Paired, TrainingData, training_data
from baselines.lr2ppo.pairs import graded_pairs
from baselines.lr2ppo.ppo import PPORanker
from baselines.ltr.ranker import ListConfig
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
from baselines.preference import RECOMMENDED
from eval.ndcg import ndcg
from lrmovienet.features import FeatureStore

pytestmark = pytest.mark.slow
STEEP = replace(USUAL, learning_rate=1e-2)
WIDE = replace(STILL, width=32, text_hidden=32, frame_hidden=32, head_hidden=32, pair_hidden=32)
assert NETWORK.width < WIDE.width


@pytest.fixture(scope="module")
def ten(filled) -> TrainingData:
    """Ten records as source, as dev, and as the target with all of its pairs."""
    found = training_data(filled, "R2", 40, FeatureStore.of(filled))
    graded = found.graded[:10]
    pairs = tuple(Paired(item.record, graded_pairs(item.grades)) for item in graded)
    return TrainingData(graded, graded, pairs, tuple(item.record for item in graded))


def reached(ranker: Any, data: TrainingData, folder: Any) -> tuple[float, float]:
    """NDCG@20 on the ten records, before anything is learned and in the end."""
    ranker.fit(data, folder)
    scores = np.concatenate([ranker.score(item.record) for item in data.graded])
    grades = np.concatenate([item.grades for item in data.graded])
    offsets = np.cumsum([0, *(len(item.grades) for item in data.graded)])
    return ranker.metrics[0].get("dev_ndcg@20", 0.0), float(
        np.nanmean(ndcg(scores, grades, offsets, (20,), empty="skip"))
    )


def preference(loss: str) -> dict[str, Any]:
    options = {**vars(RECOMMENDED[loss]), "optimisation": STEEP, "pairs": CONTROL.pairs,
               "source_pairs": 20, "epochs": 40}  # fmt: skip
    # IPO moves each pair by 1 / (2 beta) from where a random stage 1 has it, and no farther.
    return options | ({"beta": 0.05} if loss == "ipo" else {})


FROM_STAGE_1 = [
    *(("preference", preference(loss)) for loss in RECOMMENDED),
    ("pl-rank", {"epochs": 60}), ("grpo", {"epochs": 60}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "options"), FROM_STAGE_1)
def test_what_goes_on_from_stage_1(kind, options, ten, tmp_path):
    before, after = reached(stage(kind, WIDE, **{"optimisation": STEEP, **options}), ten, tmp_path)
    assert before < 0.9 < 0.99 <= after


@pytest.fixture(scope="module")
def judge(ten, tmp_path_factory):
    """A reward model that knows the ten records by heart."""
    ranker = stage("reward", WIDE, optimisation=STEEP, epochs=60, source_pairs=20,
                   pairs=replace(REWARD.pairs, pairs_a_step=60))  # fmt: skip
    _, after = reached(ranker, ten, tmp_path_factory.mktemp("reward"))
    assert after >= 0.99
    return ranker.model


def test_the_reward_models_students(judge, ten, tmp_path):
    distilled = stage("distillation", WIDE, optimisation=STEEP, epochs=60, start="base")
    distilled.rewards = [judge]
    _, after = reached(distilled, ten, tmp_path / "distillation")
    assert after >= 0.99
    ppo = PPORanker(
        replace(PPO, optimisation=STEEP, iterations=20, clips_an_iteration=0, pairs_a_clip=0,
                advantage="flip", delta=0.0, pairs=replace(PPO.pairs, pairs_a_step=100)),
        actor(WIDE), [judge],
    )  # fmt: skip
    before, after = reached(ppo, ten, tmp_path / "ppo")
    assert before < 0.9 < 0.99 <= after


@pytest.mark.parametrize("track", ["features", "stage1", "trunk"])
@pytest.mark.parametrize(
    "kind",
    [ListNetRanker, DLCMRanker, PRMRanker, GSFRanker, SetRankRanker, RankFormerRanker,
     ContextRanker, DASALCRanker],
)  # fmt: skip
def test_rankers_over_lists(kind, track, ten, tmp_path):
    network = replace(kind.network_class.config_class(), dropout=0.0)
    config = ListConfig(
        optimisation=replace(STEEP, learning_rate=5e-3), epochs=40, lists_a_step=10, track=track
    )
    data = TrainingData(ten.graded, ten.dev)
    _, after = reached(kind(config, network, actor(WIDE)), data, tmp_path)
    assert after >= 0.99
