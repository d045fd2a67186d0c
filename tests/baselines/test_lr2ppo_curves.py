"""Training curves: which rankers are one curve, its numbers, and what is refused."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from curve_rankers import groups_of, log_tables, ppo, put
from hypothesis import given
from hypothesis import strategies as st

from baselines.lr2ppo.curves import CurvesConfig, run
from baselines.lr2ppo.curves_groups import common_name, grouped, running_mean
from baselines.lr2ppo.curves_legend import labels, seeds_said
from baselines.lr2ppo.curves_read import read_runs
from baselines.lr2ppo.curves_released import read_released
from lrmovienet.errors import UserError


def numbers(curve):
    return [list(part) for part in (curve.x, curve.mean, curve.low, curve.high, curve.n)]


# --- numbers ---


def test_means_and_bands_by_iteration_with_seeds_of_different_lengths(tmp_path):
    """By index, seed 1's 3 would be averaged with seed 0's 1."""
    put(tmp_path, "a-seed0", ppo({1: 1.0, 2: 2.0, 3: 3.0}), seed=0)
    put(tmp_path, "a-seed1", ppo({2: 3.0, 3: 4.0, 5: 0.5}), seed=1)
    put(tmp_path, "a-seed2", ppo({2: 7.0}), seed=2)
    (group,) = groups_of(tmp_path)
    assert numbers(group.curves["reward"]) == [
        [1, 2, 3, 5], [1.0, 4.0, 3.5, 0.5], [1.0, 2.0, 3.0, 0.5], [1.0, 7.0, 4.0, 0.5],
        [1, 3, 2, 1],
    ]  # fmt: skip
    assert (group.name, group.rankers, group.seeds) == (
        "a",
        ("a-seed0", "a-seed1", "a-seed2"),
        (0, 1, 2),
    )
    assert seeds_said(group) == "3 seeds, 1 to 3 at a point"


def test_what_is_null_or_absent_is_no_value(tmp_path):
    rows = ppo({1: 1.0, 2: None, 3: 3.0}, value=None)
    del rows[2]["dev_ndcg@20"]
    put(tmp_path, "a", rows)
    put(tmp_path, "b", ppo({1: 5.0, 2: 6.0}), seed=1)
    (group,) = groups_of(tmp_path)
    assert numbers(group.curves["reward"])[:2] == [[1, 2, 3], [3.0, 6.0, 3.0]]
    assert group.curves["dev_ndcg@20"].n == (2, 2)
    assert sorted(group.curves) == ["dev_ndcg@20", "reward"]  # positions are no quantities


def test_a_running_mean_is_of_each_seed_before_the_mean_over_seeds(tmp_path):
    """The other way round, iteration 2 would be the mean of 2 and 6, which is 4."""
    put(tmp_path, "a", ppo({1: 0.0, 2: 6.0, 3: 2.0, 4: 4.0}), seed=0)
    put(tmp_path, "b", ppo({1: 4.0}), seed=1)
    (group,) = groups_of(tmp_path, smooth=2)
    assert numbers(group.curves["reward"])[1:4] == [
        [2.0, 3.0, 4.0, 3.0], [0.0, 3.0, 4.0, 3.0], [4.0, 3.0, 4.0, 3.0],
    ]  # fmt: skip


@given(st.lists(st.floats(-1e6, 1e6), max_size=12), st.integers(1, 15))
def test_running_means_are_those_of_the_last_few(values, smooth):
    expected = [np.mean(values[: i + 1][-smooth:]) for i in range(len(values))]
    assert running_mean(values, smooth) == pytest.approx(expected, rel=1e-12, abs=1e-9)
    assert running_mean(values, 1) == values


# --- groups ---


def test_one_curve_is_what_differs_by_its_seed_and_the_seeds_it_builds_on(tmp_path):
    for seed in (0, 1):
        base, reward = f"base-{seed}", f"reward-{seed}"
        put(tmp_path, base, "", "lr2ppo-base", seed)
        after = {f"rankers/{base}": f"digest of {base}"}
        put(tmp_path, reward, "", "lr2ppo-reward", seed + 1000, after)
        after |= {f"rankers/{reward}": f"digest of {reward}", "records": "r"}
        put(tmp_path, f"x-{seed}", ppo({1: 1.0}), seed=seed, inputs=after, delta=-0.1)
    put(tmp_path, "y-other-delta", ppo({1: 1.0}), seed=2, inputs=after, delta=0.0)
    put(
        tmp_path,
        "y-other-data",
        ppo({1: 1.0}),
        seed=3,
        inputs={**after, "records": "s"},
        delta=-0.1,
    )
    put(tmp_path, "y-other-share", ppo({1: 1.0}), seed=4, inputs=after, delta=-0.1, percent=40)
    put(tmp_path, "other", "", "lr2ppo-base", 0, wide=True)
    after["rankers/other"] = "digest of other"
    put(tmp_path, "y-other-base", ppo({1: 1.0}), seed=5, inputs=after, delta=-0.1)
    old = {**after, "rankers/base-1": "of before it was trained anew"}
    put(tmp_path, "y-stale-base", ppo({1: 1.0}), seed=6, inputs=old, delta=-0.1)
    found = [group.rankers for group in groups_of(tmp_path)]
    assert found == [("x-0", "x-1"), *[(f"y-{of}",) for of in (
        "other-base", "other-data", "other-delta", "other-share", "stale-base"
    )]]  # fmt: skip


def test_the_same_training_under_two_names_counts_once_and_is_said(tmp_path):
    """Twice, it would narrow nothing and yet be called two seeds."""
    put(tmp_path, "a", ppo({1: 1.0}))
    put(tmp_path, "copy", ppo({1: 3.0}))
    runs, _ = read_runs(tmp_path / "rankers", ["copy", "a", "copy"])
    (group,), notes = grouped(runs)
    assert (group.rankers, group.curves["reward"].mean) == (("copy",), (3.0,))
    assert notes == ["a: left out, for it has the seed and the options of copy"]


@pytest.mark.parametrize(
    ("names", "shared"),
    [
        (["lr2ppo-seed3"], "lr2ppo-seed3"),
        (["lr2ppo", "lr2ppo-seed1"], "lr2ppo"),
        (["x-seed10", "x-seed11"], "x"),
        (["delta-0.1-s0", "delta-0.1-s1"], "delta-0.1"),
        (["a-seed-0", "a-seed-1"], "a"),
        (["reseed-1", "reseed-2"], "reseed"),
        (["first", "second"], "first …"),
    ],
)
def test_the_name_of_a_group_is_what_names_share_in_whole_words(names, shared):
    assert common_name(names) == shared


def test_labels_say_the_options_that_set_groups_apart(tmp_path):
    put(tmp_path, "a", ppo({1: 1.0}), delta=-0.1, ratio="partial", c1=1.0)
    put(tmp_path, "b", ppo({1: 1.0}), delta=0.0, ratio="partial", c1=1.0)
    put(tmp_path, "base", [{"stage": 1, "step": 1}], "lr2ppo-base", width=9, beta=0.3)
    assert labels(groups_of(tmp_path)) == ["a (delta −0.1)", "b (delta 0)", "base"]
    put(tmp_path, "c", ppo({1: 1.0}), delta=0.0, ratio="original", c1=0.0)
    assert labels(groups_of(tmp_path)) == ["a", "b", "base", "c"]  # three options: names tell


def test_a_long_name_leaves_room_for_what_sets_it_apart(tmp_path):
    for delta in (0.0, 0.5):
        put(tmp_path, "n" * 90 + str(delta), ppo({1: 1.0}), delta=delta, mode="m" * 90)
    assert labels(groups_of(tmp_path)) == [
        "n" * 37 + "… (delta 0)", "n" * 35 + "… (delta 0.5)",
    ]  # fmt: skip


def test_equal_labels_are_told_apart_by_a_ranker(tmp_path):
    for data in ("r", "s"):
        for seed in (0, 1):
            put(tmp_path, f"a-{data}{seed}", ppo({1: 1.0}), seed=seed, inputs={"records": data})
    assert labels(groups_of(tmp_path)) == ["a [a-r0]", "a [a-s0]"]


def test_seeds_that_end_early_are_said(tmp_path):
    for seed, last in ((0, 4), (1, 4), (2, 3), (3, 1)):
        put(tmp_path, f"a{seed}", ppo(dict.fromkeys(range(last + 1), 1.0)), seed=seed)
    (group,) = groups_of(tmp_path)
    assert seeds_said(group) == "4 seeds, 3 after iteration 1, 2 after iteration 3"
    assert seeds_said(groups_of(tmp_path, ["a3"])[0]) == "seed 3"


# --- what is wrong, and what is left out ---


def test_a_last_line_cut_by_a_kill_is_left_out_with_a_note(tmp_path):
    whole = "".join(json.dumps(row) + "\n" for row in ppo({0: 1.0, 1: 2.0}))
    put(tmp_path, "cut", whole + whole.splitlines()[1][:-5])
    put(tmp_path, "whole", whole.rstrip("\n"), seed=1)
    runs, notes = read_runs(tmp_path / "rankers", [])
    assert [len(run.rows) for run in runs] == [2, 2]
    assert notes == ["cut: the last line of metrics.jsonl was cut off, and is left out"]


def test_rankers_without_a_curve_are_left_out_by_default_and_refused_by_name(tmp_path):
    put(tmp_path, "a", ppo({1: 1.0}))
    put(tmp_path, "killed", '{"stage": 3, "iter', seed=1)
    put(tmp_path, "older", '{"epoch": 1, "loss": 0.5}\n', "lr2ppo-base")
    put(tmp_path, "preference", '{"stage": 4, "step": 0}\n', "preference")
    put(tmp_path, "prior", "", "prior")
    (tmp_path / "rankers/prior/metrics.jsonl").unlink()
    runs, notes = read_runs(tmp_path / "rankers", [])
    assert [run.name for run in runs] == ["a"]
    assert notes == [
        "without a curve: killed (no evaluation yet), older (its metrics are of no stage, and "
        "LR²PPO has 1, 2 and 3), preference (its metrics are of stage 4, and LR²PPO has 1, 2 and "
        "3), prior (no metrics.jsonl)"
    ]
    for name in ("killed", "older", "preference", "prior"):
        with pytest.raises(UserError, match=rf"rankers/{name}: .*no curve of it\. Leave it out"):
            read_runs(tmp_path / "rankers", ["a", name])


ROW = '{"stage": 3, "iteration": 1, "reward": 1.0}\n'


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (ROW + "{oops}\n" + ROW, "line 2: not a JSON object"),
        (ROW + "[1]\n", "line 2: not a JSON object"),
        (ROW + "{oops}\n", "line 2: not a JSON object"),  # its end is there: not cut by a kill
        (ROW + "\xff\n", "line 2: not a JSON object"),
        (ROW + ROW, "line 2: iteration 1 after 1"),
        ('{"stage": 3, "step": 1}\n', "line 1: iteration None"),
        ('{"stage": 3, "iteration": true}\n', "line 1: iteration True"),
        ('{"stage": 1, "step": -1}\n', "line 1: step -1"),
        ('{"stage": "3", "iteration": 1}\n', "line 1: stage '3'"),
        (ROW + '{"stage": 1, "step": 9}\n', "line 2: stage 1; the lines before are of stage 3"),
        (ROW.replace("1.0", "NaN"), "line 1: 'reward' is nan, no number"),
        (ROW.replace("1.0", "1e999"), "line 1: 'reward' is inf, no number"),
        (ROW.replace("1.0", "1" + "0" * 400), "line 1: 'reward' is 1000.*, no number"),
        (ROW.replace("1.0", "true"), "line 1: 'reward' is True, no number"),
        (ROW.replace("1.0", '"1.0"'), "line 1: 'reward' is '1.0', no number"),
        (ROW.replace("1.0", "[1.0]"), r"line 1: 'reward' is \[1.0\], no number"),
    ],
)
def test_damaged_metrics_are_refused_with_their_line(tmp_path, lines, said):
    put(tmp_path, "a", "")
    (tmp_path / "rankers/a/metrics.jsonl").write_bytes(lines.encode("latin-1"))
    with pytest.raises(UserError, match=rf"rankers/a/metrics\.jsonl, {said}"):
        read_runs(tmp_path / "rankers", [])


@pytest.mark.parametrize("text", ["{", "[]", '{"ranker": "lr2ppo"}', '{"ranker": 1, "seed": 0}'])
def test_a_damaged_manifest_is_refused(tmp_path, text):
    put(tmp_path, "a", ROW)
    (tmp_path / "rankers/a/manifest.json").write_text(text)
    with pytest.raises(UserError, match=r"rankers/a/manifest\.json: damaged"):
        read_runs(tmp_path / "rankers", [])


def test_wrong_options_are_refused_and_nothing_is_written(tmp_path):
    empty = CurvesConfig(workspace=tmp_path)
    with pytest.raises(
        UserError, match=r"rankers: no ranker with training curves here\. Run first"
    ):
        run(empty)
    put(tmp_path, "killed", "")
    with pytest.raises(UserError, match=r"here; without a curve: killed \(no evaluation yet\)"):
        run(empty)
    put(tmp_path, "a", ROW)
    for name in ("b", "../rankers/a", ""):
        with pytest.raises(UserError, match=r"no ranker '.*' here \(there are: a, killed\)"):
            run(replace(empty, rankers=[name]))
    with pytest.raises(UserError, match=r"--smooth 0: give a number of evaluations, 1 or more"):
        run(replace(empty, smooth=0))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--out .*file: is a file; give a folder"):
        run(replace(empty, out=tmp_path / "file"))
    with pytest.raises(UserError, match=r"--released .*: no stage1_pointwise\.csv, stage2_reward"):
        run(replace(empty, released=tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "rankers"]


# --- the released logs ---


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("kl_penalty", "kl", "has no column kl_penalty "),
        ("update", "evaluation", "has no column update "),
        ("2.25", "", "line 3: policy_loss is '', no number"),
        ("2.25", "nan", "line 3: policy_loss is 'nan', no number"),
        ("7,2", "7,1", "line 3: update 1 after 1"),
        ("7,1", "7,1.5", "line 2: update 1.5 after nothing"),
    ],
)
def test_tables_that_are_not_the_released_ones_are_refused(tmp_path, old, new, said):
    folder = log_tables(tmp_path / "logs")
    path = folder / "stage3_ppo.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=rf"stage3_ppo\.csv(:|,) {said}"):
        read_released(folder)


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"update,policy_loss\n"])
def test_files_that_are_no_tables_are_refused(tmp_path, text):
    folder = log_tables(tmp_path / "logs", rows=0)
    with pytest.raises(UserError, match=r"stage1_pointwise\.csv: has no rows"):
        read_released(folder)
    (folder / "stage1_pointwise.csv").write_bytes(text)
    with pytest.raises(UserError, match=r"stage1_pointwise\.csv: (has no column|not a CSV file)"):
        read_released(folder)


def test_the_released_logs_are_read_whole_and_under_our_names():
    """What lr2ppo's logs say of each stage's best and last evaluations."""
    extra = os.environ.get("LRMOVIENET_EXTRA_DATA")
    if extra is None:
        pytest.skip("LRMOVIENET_EXTRA_DATA is unset: the released curves are not here")
    logs = read_released(Path(extra) / "lr2ppo_released_curves")
    assert {stage: len(log.x) for stage, log in logs.items()} == {1: 30, 2: 30, 3: 412}
    assert all(log.x == tuple(range(1, len(log.x) + 1)) for log in logs.values())
    assert {len(v) for v in logs[3].values.values()} == {412}

    def row(stage: int, number: int) -> list[float]:
        return [logs[stage].values[f"dev_ndcg@{k}"][number - 1] for k in (1, 3, 5, 10, 20)]

    assert row(1, 24) == [0.6330, 0.6018, 0.6061, 0.6667, 0.8021]
    assert row(3, 269) == [0.6890, 0.6731, 0.6954, 0.7606, 0.8479]
    assert max(logs[2].values["dev_accuracy"]) == pytest.approx(0.7762, abs=5e-5)
    assert logs[2].values["train_accuracy"][-1] == pytest.approx(0.81, abs=5e-3)
    of = logs[3].values
    assert (of["old_value"][0], of["value_loss"][0]) == pytest.approx((-0.2436, 0.459), abs=5e-4)
    assert (of["policy_loss"][0], of["advantage"][0]) == pytest.approx((0.096, 0.52), abs=1e-3)
    assert max(of["reward"]) == pytest.approx(0.470, abs=5e-4)
    assert max(of["kl"]) == pytest.approx(4.15e-4, abs=1e-6)
    kept = [abs(a - b) for a, b in zip(of["reward"], of["penalised_reward"], strict=True)]
    assert 0 < max(kept) <= 6e-7
