"""Pairs put into steps: every pair once, no clip torn apart, nothing encoded without need."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_stages import ALONE, record

import baselines.lr2ppo.pairs as module
from baselines.data import Graded, Paired, TrainingData
from baselines.learning.machine import Machine
from baselines.learning.parallel import World
from baselines.lr2ppo.pairs import (
    Pairs,
    PairSteps,
    all_pairs,
    graded_pairs,
    into_steps,
    needed,
    shares,
    training_pairs,
)
from baselines.lr2ppo.presets import PairData
from lrmovienet.errors import UserError

LABELS = ("a", "b", "c", "d", "e")


def ints(*values) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def pairs_of(owners) -> Pairs:
    """One pair an owner; the pair's number stands in for its first label."""
    owners = np.array(owners, dtype=np.int64)
    return Pairs(owners, np.arange(len(owners)), np.arange(len(owners)) + 1)


owners = st.lists(st.integers(0, 6), min_size=1, max_size=40)
limits = st.integers(1, 45)


def draw_of(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- Steps ---------------------------------------------------------------------------------------


@given(owners, limits, st.booleans(), st.integers(0, 99))
def test_steps_take_every_pair_once(owners, limit, grouped, seed):
    steps = into_steps(pairs_of(owners), PairData(grouped, limit), draw_of(seed))
    assert sorted(np.concatenate(steps).tolist()) == list(range(len(owners)))
    assert all(len(step) for step in steps)


@given(owners, limits, st.integers(0, 99))
def test_a_grouped_step_never_tears_a_clip_apart(owners, limit, seed):
    """Clips are dealt out evenly: as many to each step as to any other, or one more."""
    pairs = pairs_of(owners)
    steps = into_steps(pairs, PairData(True, limit), draw_of(seed))
    clips = [set(pairs.record[step].tolist()) for step in steps]
    assert sum(map(len, clips)) == len(set(owners))
    sizes = [len(of_step) for of_step in clips]
    assert max(sizes) - min(sizes) <= 1


@given(owners, limits, st.integers(0, 99))
def test_an_ungrouped_step_has_just_as_many_pairs_as_asked_for(owners, limit, seed):
    steps = into_steps(pairs_of(owners), PairData(False, limit), draw_of(seed))
    assert all(len(step) == limit for step in steps[:-1]) and 0 < len(steps[-1]) <= limit


@given(owners, limits, st.booleans(), st.integers(0, 99))
def test_the_number_of_steps_does_not_hang_on_the_draw(owners, limit, grouped, seed):
    """As many as pairs need at `limit` a step, but, grouped, no more than there are clips."""
    steps = into_steps(pairs_of(owners), PairData(grouped, limit), draw_of(seed))
    count = (len(owners) + limit - 1) // limit
    assert len(steps) == (min(count, len(set(owners))) if grouped else count)


@pytest.mark.parametrize("grouped", [True, False])
def test_steps_are_drawn(grouped):
    """The same from the same draw; another draw puts other clips, or pairs, together."""
    pairs = pairs_of([i for i in range(12) for _ in range(3)])
    options = PairData(grouped, 9)
    found = [
        [sorted(step.tolist()) for step in into_steps(pairs, options, draw_of(seed))]
        for seed in (0, 0, 1)
    ]
    assert found[0] == found[1] != found[2]
    assert found[0] != [list(range(i, i + 9)) for i in range(0, 36, 9)]


# --- Shares of processes -------------------------------------------------------------------------


@given(owners, st.integers(1, 5), st.integers(0, 4), st.data())
def test_shares_are_disjoint_and_together_the_step(owners, size, at_once, data):
    pairs = pairs_of(owners)
    count = len(owners)
    rows = np.array(data.draw(st.permutations(range(count)))[: data.draw(st.integers(0, count))])
    rows = rows.astype(np.int64)
    of_ranks = [list(shares(pairs, rows, rank, size, at_once)) for rank in range(size)]
    runs = [run for of_rank in of_ranks for run in of_rank]
    together = np.concatenate([*runs, ints()])
    assert sorted(together.tolist()) == sorted(rows.tolist())
    clips = [set(pairs.record[run].tolist()) for run in runs]
    assert sum(map(len, clips)) == len(set(pairs.record[rows].tolist()))  # no clip in two of them
    assert all(0 < len(of_run) <= (at_once or 9) for of_run in clips)
    sizes = [sum(len(set(pairs.record[run].tolist())) for run in of_rank) for of_rank in of_ranks]
    assert max(sizes) - min(sizes) <= 1
    if not at_once:
        assert all(len(of_rank) <= 1 for of_rank in of_ranks)


def test_shares_by_hand():
    """Clips 2, 5, 7 and 8 of two processes: 2 and 7 go to the first, 5 and 8 to the second."""
    pairs = pairs_of([2, 5, 7, 8, 2, 9])
    rows = ints(4, 3, 2, 1, 0)
    assert [r.tolist() for r in shares(pairs, rows, 0, 2, 0)] == [[4, 2, 0]]
    assert [r.tolist() for r in shares(pairs, rows, 1, 2, 1)] == [[1], [3]]
    assert list(shares(pairs, rows, 4, 5, 0)) == []


# --- What has to be encoded ----------------------------------------------------------------------


def test_needed_by_hand():
    """Of clip 0 the labels c and a, of clip 2 the labels d, b and a, each once."""
    records = [record("x", *LABELS), record("y", *LABELS), record("z", *LABELS)]
    pairs = Pairs(ints(2, 0, 2, 0), ints(3, 2, 1, 0), ints(1, 0, 0, 2))
    found, places = needed(records, pairs)
    assert [(r.clip_id, r.labels) for r in found] == [("x", ("a", "c")), ("z", ("a", "b", "d"))]
    # Among a, c of x and then a, b, d of z.
    assert places.tolist() == [[4, 3], [1, 0], [3, 2], [0, 1]]


@given(st.data())
def test_places_are_those_of_the_pairs_own_labels(data):
    sizes = data.draw(st.lists(st.integers(2, 6), min_size=1, max_size=5))
    records = [
        record(str(i), *(f"{i}-{j}" for j in data.draw(st.permutations(range(n)))))
        for i, n in enumerate(sizes)
    ]
    drawn = []
    for _ in range(data.draw(st.integers(1, 12))):
        i = data.draw(st.integers(0, len(sizes) - 1))
        both = data.draw(st.permutations(range(sizes[i])))[:2]
        drawn.append((i, *both))
    pairs = Pairs(*np.array(drawn, dtype=np.int64).T)
    found, places = needed(records, pairs)
    flat = [label for of_record in found for label in of_record.labels]
    expected = [[records[i].labels[a], records[i].labels[b]] for i, a, b in drawn]
    assert [[flat[a], flat[b]] for a, b in places] == expected
    assert sorted(flat) == sorted({label for both in expected for label in both})


# --- Pairs to learn from -------------------------------------------------------------------------


def test_pairs_join_and_are_taken_by_hand():
    pairs = Pairs.join([(4, ints([0, 1], [2, 0])), (1, ints()), (3, ints([1, 2]))])
    assert [part.tolist() for part in pairs] == [[4, 4, 3], [0, 2, 1], [1, 0, 2]]
    assert [part.tolist() for part in pairs.take(ints(2, 0))] == [[3, 4], [1, 0], [2, 1]]


def test_all_pairs_and_graded_pairs_by_hand():
    every = [[0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]]
    assert all_pairs(3).tolist() == every
    assert graded_pairs(ints(1, 2, 0, 1)).tolist() == [[0, 2], [1, 0], [1, 2], [1, 3], [3, 2]]
    assert graded_pairs(ints(1, 1)).tolist() == []


GRADES = (ints(0, 2, 1, 0), ints(1, 1, 1), ints(2, 0))
TARGET_PAIRS = (ints([0, 3], [1, 3]), ints([2, 1]))
DATA = TrainingData(
    graded=tuple(
        Graded(record(f"s{i}", *LABELS[: len(grades)]), grades) for i, grades in enumerate(GRADES)
    ),
    dev=(),
    pairs=tuple(Paired(record(f"t{i}", *LABELS), pairs) for i, pairs in enumerate(TARGET_PAIRS)),
)


def triples(pairs: Pairs) -> list[tuple[int, int, int]]:
    return list(zip(*(part.tolist() for part in pairs), strict=True))


def test_training_pairs_by_hand():
    """Source record 0 has five ordered pairs, 1 none, 2 one; the target's, 3 and 4, all come."""
    target = [(3, 0, 3), (3, 1, 3), (4, 2, 1)]
    every = [(0, 1, 0), (0, 1, 2), (0, 1, 3), (0, 2, 0), (0, 2, 3), (2, 0, 1)]
    assert triples(training_pairs(DATA, 20, draw_of(0))) == [*every, *target]
    assert triples(training_pairs(DATA, 0, draw_of(0))) == target
    drawn = [triples(training_pairs(DATA, 2, draw_of(seed))) for seed in range(60)]
    for found in drawn:
        assert found[2:] == [(2, 0, 1), *target]
        assert set(found[:2]) < set(every[:5]) and len(set(found[:2])) == 2
    # Each of the five comes about 24 times in 60 draws of two.
    counts = [sum(pair in found for found in drawn) for pair in every[:5]]
    assert min(counts) > 10


def test_without_any_pair_there_is_nothing_to_learn():
    with pytest.raises(UserError, match=r"there are no pairs to learn from: .*--source_pairs is 0"):
        training_pairs(replace(DATA, pairs=()), 0, draw_of(0))


class Named:
    """Steps of pairs by the names of their labels, for where nothing needs to be encoded."""

    def __init__(self, monkeypatch, data=DATA, redrawn=True, world=ALONE, machine=None, limit=3):
        monkeypatch.setattr(module, "collate", lambda subsets: subsets)
        options = PairData(grouped=True, pairs_a_step=limit)
        self.steps = PairSteps(data, options, 3, redrawn, machine or Machine(), world)

    def step(self, number: int) -> list[tuple[str, str, str, bool]]:
        """(clip, better, worse, coin) of each pair."""
        found = []
        for subsets, places, coins in self.steps(number).parts:
            flat = [(r.clip_id, label) for r in subsets for label in r.labels]
            for (better, worse), coin in zip(places, coins, strict=True):
                assert flat[better][0] == flat[worse][0]
                found.append((*flat[better], flat[worse][1], bool(coin)))
        return found

    def epoch(self, number: int) -> list[list[tuple[str, str, str, bool]]]:
        first = number * self.steps.an_epoch
        return [self.step(first + i) for i in range(self.steps.an_epoch)]


def flattened(epoch):
    return sorted(pair for step in epoch for pair in step)


TARGET = {("t0", "a", "d"), ("t0", "b", "d"), ("t1", "c", "b")}


def test_every_epoch_has_the_targets_pairs_and_draws_the_sources_anew(monkeypatch):
    named = Named(monkeypatch)
    epochs = [flattened(named.epoch(e)) for e in range(20)]
    assert named.steps.an_epoch == 3  # seven pairs at three a step, of four clips
    for found in epochs:
        of_target = [pair[:3] for pair in found if pair[0] in ("t0", "t1")]
        assert len(of_target) == 3 and set(of_target) == TARGET
        assert [pair[:3] for pair in found if pair[0] == "s2"] == [("s2", "a", "b")]
        of_first = {pair[:3] for pair in found if pair[0] == "s0"}
        assert len(of_first) == 3 and len(found) == 7
    assert len({tuple(pair[:3] for pair in found) for found in epochs}) > 5
    # Coins fall both ways, and for one and the same pair anew in each epoch.
    assert {coin for found in epochs for *pair, coin in found if pair[0] == "t1"} == {True, False}


def test_a_fixed_initial_order_fixes_pairs_and_coins_but_not_the_steps(monkeypatch):
    """The released code draws both once, when it loads its data, and shuffles in each epoch."""
    named = Named(monkeypatch, redrawn=False)
    epochs = [named.epoch(e) for e in range(6)]
    assert all(flattened(epoch) == flattened(epochs[0]) for epoch in epochs)
    assert {coin for *_, coin in flattened(epochs[0])} == {True, False}
    assert len({str([sorted(step) for step in epoch]) for epoch in epochs}) > 1


def test_a_step_is_made_from_its_number_alone(monkeypatch):
    one, other = Named(monkeypatch), Named(monkeypatch)
    assert one.step(7) == [other.step(number) for number in (2, 9, 0, 7)][-1]
    another_seed = Named(monkeypatch, machine=Machine(seed=1))
    assert flattened(another_seed.epoch(0)) != flattened(one.epoch(0))


def test_processes_share_a_step_and_know_how_much_it_has(monkeypatch):
    alone = Named(monkeypatch, limit=99)
    whole = alone.step(0)
    assert alone.steps(0).pairs == len(whole) == 7
    ranks = [Named(monkeypatch, world=World(rank, 5), limit=99) for rank in range(5)]
    parts = [named.step(0) for named in ranks]
    assert sorted(pair for part in parts for pair in part) == sorted(whole)
    assert sorted(len({pair[0] for pair in part}) for part in parts) == [0, 1, 1, 1, 1]
    assert all(named.steps(0).pairs == 7 for named in ranks)


def test_at_most_so_many_clips_at_once(monkeypatch):
    named = Named(monkeypatch, machine=Machine(records_at_once=3), limit=99)
    parts = named.steps(0).parts
    assert [len(subsets) for subsets, *_ in parts] == [3, 1]
    assert sum(len(places) for _, places, _ in parts) == 7
