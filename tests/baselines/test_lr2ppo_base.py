"""Stage 1: it learns the grades, dev chooses, and a killed training ends with the same bytes."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import tiny_stages
import torch
from tiny_corpus import Words, fill
from tiny_stages import (
    ALONE,
    BASE,
    EPOCHS,
    NETWORK,
    NO_STEP,
    STILL,
    USUAL,
    check_at_once,
    check_bytes,
    check_killed,
    check_killed_between,
    check_state,
    check_torch,
    counted,
    data_of,
    fit,
    made_up,
    stage,
    weights_of,
)

import baselines.lr2ppo.base as base
from baselines.data import TrainingData
from baselines.learning.files import fingerprint
from baselines.learning.learner import Learner
from baselines.learning.running import dev_ndcg, reproducible
from baselines.lr2ppo.actor_ranker import predict
from baselines.lr2ppo.base import BaseRanker
from lrmovienet.errors import UserError


@pytest.fixture(scope="module")
def data(filled) -> TrainingData:
    return data_of(filled)


# --- What every stage keeps ----------------------------------------------------------------------


def test_same_seed_same_bytes_another_seed_others_and_cores_do_not_matter(data, tmp_path):
    check_bytes("base", data, tmp_path)


def test_torch_is_made_deterministic_and_left_as_it_was(data, tmp_path):
    check_torch("base", data, tmp_path)


@pytest.mark.parametrize("before", [(False, False), (True, True), (True, False)])
def test_torch_gets_its_own_settings_back_also_after_an_error(before):
    def settings():
        strict = torch.are_deterministic_algorithms_enabled()
        return strict, torch.is_deterministic_algorithms_warn_only_enabled()

    torch.use_deterministic_algorithms(before[0], warn_only=before[1])
    try:
        with pytest.raises(KeyError), reproducible(BASE.machine):
            assert settings() == (True, False)
            raise KeyError
        assert settings() == before
    finally:
        torch.use_deterministic_algorithms(False)


def test_killed_in_a_step_it_goes_on_and_gives_the_same_bytes(data, tmp_path):
    check_killed_between("base", data, tmp_path)


def test_killed_while_it_is_judged_it_goes_on_after_the_last_whole_epoch(data, tmp_path):
    assert check_killed("base", data, tmp_path, base, "dev_ndcg", [1, 2]) == [6, 3]


def test_without_a_state_in_between_an_epoch_is_done_again(data, tmp_path):
    assert check_killed("base", data, tmp_path, Learner, "update", [5]) == [3]


def test_state_of_another_training_is_not_taken_over_and_a_damaged_one_is_named(data, tmp_path):
    check_state("base", data, tmp_path)


@pytest.mark.parametrize("loss", ["regression", "classification"])
def test_any_number_of_records_at_once_gives_the_same_weights(data, tmp_path, loss):
    check_at_once("base", data, tmp_path, loss=loss)


@pytest.mark.slow
def test_killed_processes_leave_no_trace(filled, data, tmp_path):
    """SIGKILL at whatever moment, again and again, while states are written all the time."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import tiny_stages as t, pathlib\n"
        "from lrmovienet.workspace import Workspace\n"
        "t.loop.SAVE_S, t.loop.SAVE_SHARE = -1.0, 0.0\n"
        "data = t.data_of(Workspace(pathlib.Path(sys.argv[2])))\n"
        "for kind in t.STAGES:\n"
        "    t.fit(t.stage(kind), data, pathlib.Path(sys.argv[3]) / kind)\n"
    )
    here = os.path.dirname(tiny_stages.__file__)  # noqa: PTH120
    command = [sys.executable, "-c", code, here, str(filled.root), str(tmp_path / "killed")]
    rng = np.random.default_rng(0)
    kills = 0
    while True:
        process = subprocess.Popen(command)
        try:
            # Importing torch takes longer than training; the clock starts with the first file.
            known = _states(tmp_path / "killed")
            started = time.monotonic()
            while process.poll() is None and _states(tmp_path / "killed") == known:
                assert time.monotonic() - started < 100
                time.sleep(0.001)
            process.wait(timeout=rng.uniform(0, 0.06) if kills < 6 else 100)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            continue
        break
    assert process.returncode == 0
    assert kills >= 2
    for kind in tiny_stages.STAGES:
        whole = fit(stage(kind), data, tmp_path / "whole" / kind)
        saved = sorted((tmp_path / "killed" / kind / "saved").iterdir())
        assert {path.name: path.read_bytes() for path in saved} == whole


def _states(folder) -> list[tuple[str, int]]:
    paths = sorted(folder.glob("*/working/trainer_state.pt"))
    return [(str(path), path.stat().st_mtime_ns) for path in paths]


def test_a_fingerprint_is_of_all_the_data_and_of_what_it_is_for(data):
    first, *rest = data.graded
    other = replace(first, grades=2 - first.grades)
    turned = replace(data.pairs[0], pairs=data.pairs[0].pairs[:, ::-1])
    variants = [
        data,
        replace(data, graded=(other, *rest)),
        replace(data, graded=tuple(rest)),
        replace(data, graded=tuple(rest), dev=(*data.dev, first)),
        replace(data, graded=data.graded + data.dev[:1], dev=data.dev[1:]),  # the same in a row
        replace(data, dev=data.dev[::-1]),
        replace(data, pairs=(turned, *data.pairs[1:])),
        replace(data, pairs=data.pairs[1:]),
        replace(data, unlabelled=data.unlabelled[1:]),
        replace(data, unlabelled=()),
    ]
    assert len({fingerprint(variant) for variant in variants}) == len(variants)
    again = replace(first, grades=first.grades.copy())
    assert fingerprint(replace(data, graded=(again, *rest))) == fingerprint(data)


# --- What is chosen ------------------------------------------------------------------------------


def test_keeps_the_epoch_that_is_best_on_dev(data, tmp_path):
    """The second of four epochs is best, and the fourth only equal."""
    ranker = stage("base", epochs=4)
    with made_up("base", [0.3, 0.6, 0.5, 0.6]) as seen:
        ranker.fit(data, tmp_path)
    kept = weights_of(ranker)
    assert all(torch.equal(kept[k], seen[1][k]) for k in kept)
    assert not all(torch.equal(kept[k], seen[3][k]) for k in kept)
    assert not ranker.actor.training


def plain_ndcg(scores, grades, k: int) -> float:
    """C.1 to C.3 of the paper for one list without ties."""
    gains = [2.0 ** int(grades[i]) - 1 for i in np.argsort(-np.asarray(scores))]
    ideal = sorted(gains, reverse=True)
    dcg, best = (
        sum(g / math.log2(rank + 2) for rank, g in enumerate(found[:k])) for found in (gains, ideal)
    )
    return dcg / best


def test_dev_ndcg_is_that_of_the_papers_formula(data, tmp_path):
    """Over the records that have a relevant label; the chosen value is that of the kept weights."""
    low = replace(data.dev[0], grades=np.zeros_like(data.dev[0].grades))
    ranker = stage("base")
    ranker.fit(replace(data, dev=(data.dev[0], low, *data.dev[1:])), tmp_path)
    best = max(ranker.metrics, key=lambda entry: entry["dev_ndcg@20"])
    lists = [(ranker.score(item.record), item.grades) for item in data.dev]
    for k in (1, 3, 5, 10, 20):
        expected = np.mean([plain_ndcg(scores, grades, k) for scores, grades in lists])
        assert best[f"dev_ndcg@{k}"] == pytest.approx(expected, abs=1e-12)


def test_dev_ndcg_does_not_hang_on_how_many_are_judged_at_once(data):
    actor = tiny_stages.actor(STILL)
    expected = dev_ndcg(partial(predict, actor, BASE.machine), data.dev, ALONE, 1)
    assert 0 < expected["dev_ndcg@5"] < 1
    for at_once in (2, 0):
        found = dev_ndcg(partial(predict, actor, BASE.machine), data.dev, ALONE, at_once)
        assert found == pytest.approx(expected, abs=1e-12)


def test_dev_without_a_relevant_label(data, tmp_path):
    low = tuple(replace(item, grades=np.zeros_like(item.grades)) for item in data.dev)
    with pytest.raises(UserError, match="target_dev: no record has a label above low"):
        stage("base").fit(replace(data, dev=low), tmp_path)


# --- What is learned -----------------------------------------------------------------------------


def epoch_loss(ranker, data, folder, loss_of) -> tuple[float, float]:
    """The loss that the first epoch says, and the mean over its steps by `loss_of(scores, y)`."""
    steps = []
    with counted(base, "_batch") as batches:
        ranker.fit(data, folder)
    an_epoch = math.ceil(len(data.graded) / BASE.records_a_step)
    ranker.actor.eval()
    for batch, grades in batches[:an_epoch]:
        with torch.no_grad():
            steps.append(loss_of(ranker.actor.raw(batch).double(), grades.double()))
    return ranker.metrics[0]["loss"], float(np.mean(steps))


def test_the_loss_is_smooth_l1_over_the_labels_of_a_step(data, tmp_path):
    """Eq. 3 with β 0.3, written out; no step is taken, so that all epochs see the same network."""

    def smooth_l1(raw, y):
        d = (raw[:, 0] - y).abs()
        return float(sum(x * x / 0.6 if x < 0.3 else x - 0.15 for x in d.tolist()) / len(d))

    ranker = stage("base", STILL, optimisation=NO_STEP)
    found, expected = epoch_loss(ranker, data, tmp_path, smooth_l1)
    assert found == pytest.approx(expected, rel=1e-5)
    assert len({entry["loss"] for entry in ranker.metrics}) > 1  # steps are put together anew


def test_as_a_classifier_it_learns_a_class_a_grade(data, tmp_path):
    def cross_entropy(raw, y):
        chances = (raw.exp() / raw.exp().sum(1, keepdim=True)).tolist()
        return -sum(math.log(row[int(g)]) for row, g in zip(chances, y, strict=True)) / len(y)

    ranker = stage("base", STILL, optimisation=NO_STEP, loss="classification")
    found, expected = epoch_loss(ranker, data, tmp_path, cross_entropy)
    assert found == pytest.approx(expected, rel=1e-5)
    assert ranker.actor.config.outputs == 3


def test_every_epoch_takes_every_record_once_in_an_order_of_its_own(data, tmp_path):
    orders: list[str] = []
    real = base.collate

    def noted(records):
        orders.extend(record.clip_id for record in records)
        return real(records)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "collate", noted)
        stage("base").fit(data, tmp_path)
    n = len(data.graded)
    epochs = [orders[i : i + n] for i in range(0, len(orders), n)]
    assert len(epochs) == EPOCHS
    assert all(sorted(e) == sorted(item.record.clip_id for item in data.graded) for e in epochs)
    assert epochs[0] != epochs[1]


def test_its_dimensions_are_those_of_the_features(data, tmp_path):
    ranker = stage("base", replace(NETWORK, text_dim=768, frame_dim=768))
    ranker.fit(data, tmp_path)
    assert (ranker.actor.config.text_dim, ranker.actor.config.frame_dim) == (12, 8)


def test_what_is_saved_scores_alike(data, tmp_path):
    ranker = stage("base")
    fit(ranker, data, tmp_path)
    loaded = BaseRanker.load(tmp_path / "saved")
    record = data.dev[0].record
    found = loaded.score(record)
    assert found.dtype == np.float64 and found.shape == (len(record.labels),)
    assert np.array_equal(found, ranker.score(record))
    assert loaded.config == ranker.config and loaded.metrics == ranker.metrics
    lines = [json.loads(x) for x in (tmp_path / "saved/metrics.jsonl").read_text().splitlines()]
    assert [(x["stage"], x["epoch"], x["step"]) for x in lines] == [(1, 1, 3), (1, 2, 6)]
    rates = [x["learning_rate"] for x in lines]
    # Of the last step of each epoch, the third and the sixth: 6 steps, of which 0.6 rise.
    by_hand = [0.5e-3 * (1 + math.cos(math.pi * (step - 0.6) / 5.4)) for step in (2, 5)]
    assert rates == pytest.approx(by_hand, rel=1e-12)
    (tmp_path / "saved" / "training.json").write_text('{"speed": 3}')
    with pytest.raises(UserError, match="train again"):
        BaseRanker.load(tmp_path / "saved")


def test_an_untrained_ranker_neither_scores_nor_saves(data, tmp_path):
    for use in (lambda r: r.score(data.dev[0].record), lambda r: r.save(tmp_path)):
        with pytest.raises(ValueError, match="neither trained nor loaded"):
            use(stage("base"))


def test_a_training_that_diverges_is_stopped(data, tmp_path):
    steep = replace(USUAL, learning_rate=1e30, clip_norm=0.0, warmup=0.0)
    with pytest.raises(UserError, match=r"stage 1: the loss is (nan|inf).*in step \d of 6.*lower"):
        stage("base", optimisation=steep).fit(data, tmp_path)
    # After its only step, nobody has seen a loss; the scores say it.
    once = replace(BASE, optimisation=steep, epochs=1, records_a_step=99)
    with pytest.raises(UserError, match=r"diverged: scores reach .* grades are 0 to 2"):
        BaseRanker(once).fit(data, tmp_path / "once")


def test_overfits_five_records(data, tmp_path):
    """The loss falls to next to nothing, and every label stands above those of a lower grade."""
    five = TrainingData(data.graded[:5], data.graded[:5])
    steep = replace(USUAL, learning_rate=1e-2)
    ranker = stage("base", STILL, epochs=60, records_a_step=5, optimisation=steep)
    ranker.fit(five, tmp_path)
    assert ranker.metrics[-1]["loss"] < 0.01 < ranker.metrics[0]["loss"]
    for item in five.graded:
        found = ranker.score(item.record)
        higher = item.grades[:, None] > item.grades
        assert ((found[:, None] > found) | ~higher).all()


@pytest.mark.slow
def test_learns_what_decides_the_grades(tmp_path):
    """A rule of label and description, learned on 60 films, holds on clips never seen."""
    data = data_of(fill(tmp_path, films=60, words=Words()))
    wide = replace(NETWORK, width=64, text_hidden=64, frame_hidden=32, head_hidden=64)
    ranker = stage("base", wide, epochs=12, optimisation=replace(USUAL, learning_rate=2e-3))
    ranker.fit(data, tmp_path)
    assert max(entry["dev_ndcg@20"] for entry in ranker.metrics) > 0.9
