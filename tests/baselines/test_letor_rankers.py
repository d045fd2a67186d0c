"""Every ranker that takes features, on queries whose documents are vectors with grades 0 to 4."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_stages import CONTROL, DISTILLATION, GRPO, PL_RANK, PPO, REWARD, counted, fit

import baselines.learning.loop as loop
import baselines.ltr.training as training
from baselines.data import Graded, Paired, Record, TrainingData, subset
from baselines.distillation import DistillationRanker
from baselines.grpo import GRPORanker
from baselines.lambdamart import LambdaMARTRanker
from baselines.learning.learner import Learner
from baselines.learning.machine import Machine, Optimisation
from baselines.lr2ppo.base import BaseRanker
from baselines.lr2ppo.pairs import graded_pairs
from baselines.lr2ppo.ppo import PPORanker
from baselines.lr2ppo.presets import ONE_TOKEN, BaseConfig, PairData
from baselines.lr2ppo.reward import RewardRanker
from baselines.ltr.context import ContextConfig
from baselines.ltr.dasalc import DASALCConfig
from baselines.ltr.dlcm import DLCMConfig
from baselines.ltr.gsf import GSFConfig
from baselines.ltr.listnet import ListNetConfig
from baselines.ltr.prm import PRMConfig
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
from baselines.ltr.rankformer import RankFormerConfig
from baselines.ltr.setrank import SetRankConfig
from baselines.ltr.training import CELLS, Items, scores_of
from baselines.pl_rank import PLRankRanker
from baselines.preference import PreferenceRanker
from baselines.tree_options import TreeOptions
from eval.ndcg import ndcg
from lrmovienet.errors import UserError

DIM = 12
RULE = np.random.default_rng(99).normal(size=DIM)
FAST = Optimisation(learning_rate=5e-3)
NETWORK = replace(ONE_TOKEN, width=16, text_hidden=16, head_hidden=16, pair_hidden=16, heads=2)
BASE = BaseConfig(network=NETWORK, optimisation=FAST, epochs=4, records_a_step=4)
GROUPED = PairData(grouped=True, pairs_a_step=60)
STAGE_2 = replace(REWARD, network=NETWORK, optimisation=FAST, pairs=GROUPED, epochs=3)
STAGE_3 = replace(PPO, optimisation=FAST, pairs=GROUPED, clips_an_iteration=0, pairs_a_clip=20)
LISTS = ListConfig(optimisation=FAST, epochs=8, lists_a_step=4)
SMALL = {"width": 16, "blocks": 1, "heads": 2, "hidden": 16, "dropout": 0.1}
TREES = TreeOptions(trees=30, patience=30, leaves=7, min_data=5, learning_rate=0.1)


def queries(domain: str, count: int, seed: int, lengths=()) -> list[Graded]:
    """Grades are fifths of a noisy linear rule; the last query has nothing relevant."""
    draw = np.random.default_rng([7, seed])
    found = []
    for i in range(count):
        n = lengths[i] if i < len(lengths) else int(draw.integers(3, 16))
        x = draw.normal(size=(n, DIM)).astype(np.float32)
        rule = (x @ RULE) / np.linalg.norm(RULE) + 0.3 * draw.normal(size=n)
        grades = np.digitize(rule, [-0.2, 0.3, 0.8, 1.4]).astype(np.int64)
        name = f"{domain}-{seed}-{i}"
        record = Record(
            name, domain, tuple(f"{name}-{j}" for j in range(n)), ("",) * n, (), "", vectors=x
        )
        found.append(Graded(record, grades * (i + 1 < count)))
    return found


SOURCE = queries("source", 30, 0, lengths=(1, 2))
DEV = queries("target", 10, 1, lengths=(1,))
PAIRED = [
    Paired(item.record, graded_pairs(item.grades)[::3])
    for item in queries("target", 11, 2)
    if item.grades.any()
]
UNLABELLED = [item.record for item in queries("target", 10, 3, lengths=(1,))]
DATA = TrainingData(tuple(SOURCE), tuple(DEV), tuple(PAIRED), tuple(UNLABELLED))
HELD_OUT = queries("target", 41, 4)


def with_holes(record: Record) -> Record:
    """A value in 6 is not known."""
    assert record.vectors is not None
    holes = np.random.default_rng([len(record.labels), 6]).random(record.vectors.shape) < 1 / 6
    return replace(record, vectors=np.where(holes, np.float32(np.nan), record.vectors))


HOLES = TrainingData(
    *(tuple(replace(item, record=with_holes(item.record)) for item in part)
      for part in (DATA.graded, DATA.dev, DATA.pairs))
)  # fmt: skip


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """The actor of stage 1 and the reward model of stage 2, from which others start."""
    folder = tmp_path_factory.mktemp("stages")
    base = BaseRanker(BASE)
    base.fit(DATA, folder / "base")
    reward = RewardRanker(STAGE_2, base.actor)
    reward.fit(DATA, folder / "reward")
    return base.actor, reward.model


def lists(kind, network, **changes):
    def make(actor, _):
        config = replace(LISTS, **changes)
        return kind(config, network, actor if kind.needs_base(config) else None)

    return make


def control(kind, config):
    return lambda actor, _: kind(config, actor)


def after_two(kind, config):
    def make(actor, reward):
        return kind(config, actor, [reward])

    return make


def of(config, **changes):
    return replace(config, optimisation=FAST, **changes)


CONTEXT = ContextConfig(**SMALL)
PRM_SMALL, LISTNET = PRMConfig(**SMALL), ListNetConfig()
RANKERS = {
    "base": lambda *_: BaseRanker(BASE),
    "classes": lambda *_: BaseRanker(replace(BASE, loss="classification")),
    "released": lambda *_: BaseRanker(
        replace(
            BASE,
            network=replace(NETWORK, width=DIM, text_hidden=0, attention_scale="released"),
        )
    ),
    "reward": lambda actor, _: RewardRanker(STAGE_2, actor),
    "reward alone": lambda *_: RewardRanker(replace(STAGE_2, start="scratch")),
    "ppo": after_two(PPORanker, STAGE_3),
    "ppo flip": after_two(
        PPORanker,
        replace(STAGE_3, start="reward", advantage="flip", pairs_a_clip=0, annotated_weight=1.0),
    ),
    "ranknet": control(PreferenceRanker, of(CONTROL, pairs=GROUPED)),
    "dpo": control(PreferenceRanker, of(CONTROL, pairs=GROUPED, loss="dpo")),
    "distillation": after_two(DistillationRanker, of(DISTILLATION)),
    "pl-rank": control(PLRankRanker, of(PL_RANK)),
    "grpo": control(GRPORanker, of(GRPO)),
    "listnet": lists(ListNetRanker, LISTNET),
    "listnet stage 1": lists(ListNetRanker, LISTNET, track="stage1"),
    "listnet trunk": lists(ListNetRanker, LISTNET, track="trunk", epochs=2),
    "dlcm": lists(DLCMRanker, DLCMConfig()),
    "prm": lists(PRMRanker, PRM_SMALL),
    "prm personal": lists(PRMRanker, PRM_SMALL, personal=True),
    "gsf": lists(GSFRanker, GSFConfig(width=16, layers=2)),
    "setrank": lists(SetRankRanker, SetRankConfig(**SMALL)),
    "rankformer": lists(RankFormerRanker, RankFormerConfig(**SMALL, levels=4)),
    "context": lists(ContextRanker, CONTEXT),
    "context ordinal": lists(ContextRanker, replace(CONTEXT, objective="ordinal", levels=4)),
    "dasalc": lists(DASALCRanker, DASALCConfig()),
    "lambdamart": lambda *_: LambdaMARTRanker(TREES),
}
"""Stage 1 and stage 2 -> an untrained ranker."""


def seen(name: str) -> TrainingData:
    return HOLES if name == "lambdamart" else DATA


def held_out(name: str) -> list[Graded]:
    if name != "lambdamart":
        return HELD_OUT
    return [replace(item, record=with_holes(item.record)) for item in HELD_OUT]


def worth(scores, items) -> float:
    """Mean NDCG@10 over the queries with something relevant."""
    offsets = np.cumsum([0, *(len(item.grades) for item in items)])
    grades = np.concatenate([item.grades for item in items])
    values = ndcg(np.concatenate(scores), grades, offsets, (10,), empty="skip")
    return float(np.nanmean(values))


def test_the_data_is_what_it_should_be():
    sizes = [len(part) for part in (DATA.graded, DATA.dev, DATA.pairs, DATA.unlabelled)]
    assert sizes == [30, 10, 10, 10]
    assert {int(grade) for item in SOURCE for grade in item.grades} == {0, 1, 2, 3, 4}
    for part in (SOURCE, DEV):
        assert any(len(item.grades) == 1 for item in part)
        assert any(not item.grades.any() for item in part)
    draw = np.random.default_rng(0)
    chance = [worth([draw.random(len(i.grades)) for i in HELD_OUT], HELD_OUT) for _ in range(100)]
    assert 0.58 < np.mean(chance) < 0.62 and np.max(chance) < 0.73


@pytest.mark.slow
@pytest.mark.parametrize("name", RANKERS)
def test_it_learns_and_is_kept(name, stages, tmp_path):
    ranker, items = RANKERS[name](*stages), held_out(name)
    files = fit(ranker, seen(name), tmp_path / "one")
    assert fit(RANKERS[name](*stages), seen(name), tmp_path / "two") == files
    loaded = type(ranker).load(tmp_path / "one" / "saved")
    scores = [ranker.score(item.record) for item in items]
    for item, found in zip(items, scores, strict=True):
        assert found.shape == (len(item.record.labels),) and found.dtype == np.float64
        assert np.isfinite(found).all()
        np.testing.assert_array_equal(loaded.score(item.record), found)
    order = np.random.default_rng(0).permutation(len(scores[0]))
    turned = ranker.score(subset(items[0].record, order))
    np.testing.assert_allclose(turned, scores[0][order], atol=1e-5)
    assert worth(scores, items) > 0.78


@pytest.mark.parametrize("name", ["base", "reward", "listnet trunk"])
def test_killed_it_goes_on_and_gives_the_same_bytes(name, stages, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SAVE_S", -1.0)
    monkeypatch.setattr(loop, "SAVE_SHARE", 0.0)
    with counted(Learner, "update") as every:
        whole = fit(RANKERS[name](*stages), DATA, tmp_path / "whole")
    with counted(Learner, "update", stop_in=5), pytest.raises(KeyboardInterrupt):
        fit(RANKERS[name](*stages), DATA, tmp_path / "killed")
    with counted(Learner, "update") as steps:
        assert fit(RANKERS[name](*stages), DATA, tmp_path / "killed") == whole
    assert len(steps) == len(every) - 4  # the rest alone


def test_steps_without_a_relevant_document_move_nothing(tmp_path):
    """One list a step; of two queries, of which the other has something relevant."""
    data = replace(DATA, graded=(SOURCE[4], SOURCE[-1]), pairs=())
    ranker = ListNetRanker(replace(LISTS, lists_a_step=1, epochs=3), LISTNET)
    weights = []
    real = Learner.update

    def update(learner, losses):
        before = [p.detach().clone() for p in learner.parameters]
        total = real(learner, losses)
        pairs = zip(before, learner.parameters, strict=True)
        weights.append((total, all(torch.equal(old, new) for old, new in pairs)))
        return total

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "update", update)
        ranker.fit(data, tmp_path)
    assert len(weights) == 6
    assert sorted(still for _, still in weights) == [False] * 3 + [True] * 3
    assert all((total == 0) == still for total, still in weights)


@pytest.mark.parametrize(
    ("kind", "network"),
    [
        (RankFormerRanker, RankFormerConfig(**SMALL, levels=2)),
        (ContextRanker, replace(CONTEXT, objective="ordinal", levels=3)),
    ],
)
def test_grades_above_the_networks_levels_are_refused(kind, network, tmp_path):
    with pytest.raises(UserError, match=rf"grade 4, but outputs for grades up to {network.levels}"):
        kind(LISTS, network).fit(DATA, tmp_path)


def test_a_cache_never_gives_the_vectors_of_other_documents(stages, tmp_path):
    """Same names, other vectors: what is kept by names alone would be taken over."""
    files = []
    for scale in (1, -1):
        graded = tuple(
            replace(item, record=replace(item.record, vectors=scale * item.record.vectors))
            for item in SOURCE
        )
        for cache in (tmp_path / "cache", None):
            ranker = RANKERS["prm personal"](*stages)
            ranker.config, ranker.cache = replace(ranker.config, epochs=1), cache
            files.append(fit(ranker, replace(DATA, graded=graded), tmp_path / str(len(files))))
    assert files[0] == files[1] and files[2] == files[3] and files[0] != files[2]


# --- Lists that are scored in one pass -----------------------------------------------------------


@given(st.lists(st.integers(1, 1500), min_size=1, max_size=200), st.integers(1, 70))
def test_a_pass_has_as_many_lists_as_fit(lengths, at_once):
    passes = list(training._passes(np.array(lengths), at_once, training.CELLS))
    assert np.concatenate(passes).tolist() == list(range(len(lengths)))

    def cells(chosen) -> int:
        return len(chosen) * max(lengths[i] for i in chosen) ** 2

    for chosen in passes:
        assert 1 <= len(chosen) <= at_once
        assert len(chosen) == 1 or cells(chosen) <= CELLS
        following = [*chosen, chosen[-1] + 1]
        full = len(chosen) == at_once or following[-1] == len(lengths)
        assert full or cells(following) > CELLS


@pytest.mark.parametrize("cells", [1, 300, 1000, CELLS])
def test_scores_do_not_hang_on_the_passes(cells, monkeypatch):
    torch.manual_seed(0)
    network = GSFRanker.network_class(GSFConfig(inputs=DIM, width=16, layers=2)).eval()
    x = np.concatenate([item.record.vectors for item in HELD_OUT])
    offsets = np.cumsum([0, *(len(item.grades) for item in HELD_OUT)])
    items = Items.of(x, np.zeros(len(x), np.float32), offsets)
    whole = scores_of(network, network, items, Machine())
    monkeypatch.setattr(training, "CELLS", cells)
    with counted(Items, "lists") as passes:
        found = scores_of(network, network, items, Machine())
    np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-6)
    assert (len(passes) == len(HELD_OUT)) == (cells == 1)
    assert (len(passes) == 1) == (cells == CELLS)
