"""What rankers see in a fold, and of what it hangs: change one thing in the files, and look."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_letor import content, made, regraded, wrote, wrote_official

from baselines.data import Graded, TrainingData
from baselines.letor.documents import Documents
from baselines.letor.folds import Folds
from baselines.letor.queries import graded_of, pairs_of
from baselines.letor.released import resampled
from baselines.letor.scaling import Scaling
from baselines.letor.study import (
    Seen,
    Setting,
    fold_seen,
    grade_limit,
    in_regime,
    levels_of,
)
from baselines.letor.study import (
    tested as as_scored,  # pytest takes what begins so for a test
)
from lrmovienet.errors import UserError

SHAPES = {"same": (5, 5), "named": (136, 46), "principal": (7, 4), "layers": (7, 4)}
SPACES = [(space, trees) for space in SHAPES for trees in (False, True)]
FOLD = 2


def sets(space: str | None) -> tuple[Documents, list[Documents]]:
    """A source, and a target in three parts."""
    width, other = SHAPES[space or "principal"]
    gaps = 0.0 if space == "named" else 0.1
    source = made(5, width, seed=1, levels=5, gaps=gaps)
    parts = [made(5, other, seed=10 + i, gaps=gaps, first_query=1 + 100 * i) for i in range(3)]
    return source, parts


def setting(
    folder: Path, source: Documents, parts: list[Documents], alone: bool = False, **changes
) -> Setting:
    """Write the sets into a folder of their own. `alone`: the target has no source."""
    place = folder / str(len(list(folder.iterdir())))
    target = tuple(wrote(place / f"T{i}.txt", part) for i, part in enumerate(parts))
    learned = () if alone else (wrote(place / "source.txt", source),)
    usual = Setting(target, learned, None, "honest", None, "log", 40, 5)
    return replace(usual, **changes)


def graded(items: tuple[Graded, ...]) -> list[list[int]]:
    return [item.grades.tolist() for item in items]


def parts_of(seen: Seen) -> dict[str, object]:
    """All that a ranker sees, and what it is scored by, each by its name."""
    data = seen.data
    return {
        "source": content([item.record for item in data.graded]),
        "source grades": graded(data.graded),
        "dev": content([item.record for item in data.dev]),
        "dev grades": graded(data.dev),
        "pairs": [(item.record.clip_id, item.pairs.tolist()) for item in data.pairs],
        "of pairs": [content([item.record]) for item in data.pairs],
        "unlabelled": content(data.unlabelled),
        "test": content(seen.test),
    }


def changed(one: Seen, other: Seen) -> set[str]:
    mine, theirs = parts_of(one), parts_of(other)
    return {name for name in mine if mine[name] != theirs[name]}


def split_of(chosen: Setting) -> dict[str, set[str]]:
    fold = chosen.folds[FOLD]
    return {
        "train": {*fold.train.queries}, "vali": {*fold.vali.queries}, "test": {*fold.test.queries}
    }  # fmt: skip


def with_grades(parts: list[Documents], queries: set[str]) -> list[Documents]:
    """Other grades for some queries."""
    found = []
    for i, part in enumerate(parts):
        mine = np.repeat([query in queries for query in part.queries], part.lengths)
        new = np.where(mine, regraded(part, seed=i).grades, part.grades)
        found.append(replace(part, grades=new))
    return found


def with_features(parts: list[Documents], queries: set[str]) -> list[Documents]:
    """Features far off for some queries."""
    found = []
    for part in parts:
        mine = np.repeat([query in queries for query in part.queries], part.lengths)
        found.append(replace(part, x=np.where(mine[:, None], part.x**3, part.x)))
    return found


@pytest.mark.parametrize(("space", "trees"), SPACES)
def test_honest_what_hangs_on_which_grades(space, trees, tmp_path):
    """Grades of a part reach what they may reach, and nothing else, to the last byte."""
    source, parts = sets(space)
    first = setting(tmp_path, source, parts, space=space)
    seen, split = fold_seen(first, FOLD, trees), split_of(first)
    others = {part: with_grades(parts, split[part]) for part in split}
    found = {
        part: changed(seen, fold_seen(setting(tmp_path, source, other, space=space), FOLD, trees))
        for part, other in others.items()
    }
    found["train"] -= {"of pairs"}  # a query may have lost its only pair
    assert found == {"test": set(), "vali": {"dev grades"}, "train": {"pairs"}}
    other = setting(tmp_path, regraded(source, levels=5), parts, space=space)
    assert changed(seen, fold_seen(other, FOLD, trees)) == {"source grades"}


@pytest.mark.parametrize(("space", "trees"), SPACES)
def test_honest_what_hangs_on_which_features(space, trees, tmp_path):
    """Scales and components are of training documents; vali and test are only seen through them."""
    source, parts = sets(space)
    first = setting(tmp_path, source, parts, space=space)
    seen, split = fold_seen(first, FOLD, trees), split_of(first)
    for part, reached in (("test", {"test"}), ("vali", {"dev"})):
        other = setting(tmp_path, source, with_features(parts, split[part]), space=space)
        assert changed(seen, fold_seen(other, FOLD, trees)) == reached
    other = setting(tmp_path, source, with_features(parts, split["train"]), space=space)
    found = changed(seen, fold_seen(other, FOLD, trees))
    fitted = not trees or space == "principal"
    assert found == {"of pairs", "unlabelled"} | ({"dev", "test"} if fitted else set())


def test_honest_which_queries_are_where(tmp_path):
    source, parts = sets("principal")
    chosen = setting(tmp_path, source, parts)
    for number in (1, 2, 3):
        seen, fold = fold_seen(chosen, number, False), chosen.folds[number]
        data = seen.data
        assert tuple(item.record.clip_id for item in data.graded) == source.queries
        assert graded(data.graded) == graded(graded_of(source, "source"))
        assert tuple(item.record.clip_id for item in data.dev) == fold.vali.queries
        assert graded(data.dev) == graded(graded_of(fold.vali, "target"))
        assert tuple(record.clip_id for record in data.unlabelled) == fold.train.queries
        assert {item.record.clip_id for item in data.pairs} <= {*fold.train.queries}
        assert tuple(record.clip_id for record in seen.test) == fold.test.queries
        assert seen.test[0].domain == "target" == data.dev[0].record.domain
        assert data.unlabelled[0].domain == "target" == data.pairs[0].record.domain
        assert data.graded[0].record.domain == "source"
        # Whole lists, in the file's order, scored against the file's grades.
        assert [len(record.labels) for record in seen.test] == fold.test.lengths.tolist()
        assert as_scored(fold, "honest") is fold.test
        unlabelled = {record.clip_id: content([record]) for record in data.unlabelled}
        for item in data.pairs:
            assert content([item.record]) == unlabelled[item.record.clip_id]


def test_honest_pairs_are_the_share_that_was_asked_for(tmp_path):
    source, parts = sets("principal")
    chosen = setting(tmp_path, source, parts)
    train = chosen.folds[1].train
    total = sum(int((g[:, None] > g).sum()) for g in np.split(train.grades, train.offsets[1:-1]))
    smaller: set[tuple[str, int, int]] = set()
    grades = dict(zip(train.queries, np.split(train.grades, train.offsets[1:-1]), strict=True))
    for percent in (5, 10, 20, 40):
        pairs = fold_seen(replace(chosen, percent=percent), 1, False).data.pairs
        told = {(item.record.clip_id, *pair) for item in pairs for pair in item.pairs.tolist()}
        assert len(told) == round(total * percent / 100)
        assert smaller < told
        assert all(grades[query][better] > grades[query][worse] for query, better, worse in told)
        smaller = told
        for number in (1, 2):  # one draw for all folds, trees or networks
            seen = fold_seen(replace(chosen, percent=percent), number, True)
            expected = pairs_of(chosen.folds[number].train, "target", percent, 0)
            assert [item.pairs.tolist() for item in seen.data.pairs] == [
                item.pairs.tolist() for item in expected
            ]


def test_what_a_regime_allows(tmp_path):
    data = fold_seen(setting(tmp_path, *sets(None)), 1, False).data
    assert data.pairs
    assert data.unlabelled
    for regime, pairs, unlabelled in (
        ("R0", (), ()), ("R1", data.pairs, ()), ("R2", data.pairs, data.unlabelled)
    ):  # fmt: skip
        found = in_regime(data, regime)
        assert found.pairs is pairs or (pairs, found.pairs) == ((), ())
        assert found.unlabelled is unlabelled or (unlabelled, found.unlabelled) == ((), ())
        assert found.graded is data.graded
        assert found.dev is data.dev


@pytest.mark.parametrize("space", [None, *SHAPES])
def test_the_space_that_is_usual(space, tmp_path):
    source, parts = sets(space)
    said = fold_seen(setting(tmp_path, source, parts, space=space), 1, False)
    if space != "layers":
        unsaid = fold_seen(setting(tmp_path, source, parts, space=None), 1, False)
        assert not changed(said, unsaid)
    other = fold_seen(setting(tmp_path, source, parts, space=space, scaling="standard"), 1, False)
    assert changed(said, other) == {"source", "dev", "of pairs", "unlabelled", "test"}


@pytest.mark.parametrize("trees", [False, True])
def test_without_a_source_the_own_training_part_is_learned(trees, tmp_path):
    source, parts = sets(None)
    chosen = setting(tmp_path, source, parts, alone=True)
    seen, fold = fold_seen(chosen, FOLD, trees), chosen.folds[FOLD]
    data, scale = seen.data, Scaling.fit(fold.train.x)
    for part, records in (
        (fold.train, [item.record for item in data.graded]),
        (fold.vali, [item.record for item in data.dev]),
        (fold.test, seen.test),
    ):
        x = part.x if trees else scale(part.x)
        assert tuple(record.clip_id for record in records) == part.queries
        assert b"".join(record.vectors.tobytes() for record in records) == x.tobytes()
    assert np.concatenate(graded(data.graded)).tolist() == fold.train.grades.tolist()
    assert np.concatenate(graded(data.dev)).tolist() == fold.vali.grades.tolist()
    assert (data.pairs, data.unlabelled) == ((), ())
    split = split_of(chosen)
    for part, reached in (
        ("test", set()), ("vali", {"dev grades"}), ("train", {"source grades"})
    ):  # fmt: skip
        other = setting(tmp_path, source, with_grades(parts, split[part]), alone=True)
        assert changed(seen, fold_seen(other, FOLD, trees)) == reached


def test_official_sets_meet_fold_by_fold(tmp_path):
    of_source = [made(2, 7, seed=i, first_query=1 + 10 * i, levels=5) for i in range(3)]
    of_target = [made(3, 4, seed=20 + i, first_query=1 + 10 * i) for i in range(5)]
    source = wrote_official(tmp_path / "source", of_source)
    target = wrote_official(tmp_path / "target", of_target)
    chosen = Setting((target,), (source,), tmp_path / "cache", "honest", None, "log", 40, 5)
    for number, learned in ((1, 1), (3, 3), (4, 1), (5, 2)):
        data = fold_seen(chosen, number, True).data
        expected = Folds([source], None)[learned].train
        assert tuple(item.record.clip_id for item in data.graded) == expected.queries
        assert graded(data.graded) == graded(graded_of(expected, "source"))
        fold = chosen.folds[number]
        assert tuple(record.clip_id for record in data.unlabelled) == fold.train.queries
        assert tuple(item.record.clip_id for item in data.dev) == fold.vali.queries


def test_released_what_hangs_on_which_grades(tmp_path):
    """Weights are chosen by the test part, and vectors know the target's grades: both are named."""
    source, parts = sets(None)
    kind = {"protocol": "released"}
    first = setting(tmp_path, source, parts, **kind)
    seen, fold = fold_seen(first, FOLD, False), first.folds[FOLD]
    data, test = seen.data, resampled(fold.test)
    assert content([item.record for item in data.dev]) == content(seen.test)
    assert graded(data.dev) == graded(graded_of(test, "target"))
    assert as_scored(fold, "released").grades.tolist() == test.grades.tolist()
    assert [len(record.labels) for record in seen.test] == [20] * len(fold.test)
    assert {len(item.grades) for item in data.graded} == {20}
    assert tuple(record.clip_id for record in data.unlabelled) == fold.train.queries
    assert {len(item.pairs) for item in data.pairs} == {20}
    widths = {record.vectors.shape for record in (*seen.test, *data.unlabelled)}
    assert widths == {item.record.vectors.shape for item in data.graded} == {(20, 64)}
    split = split_of(first)
    vectors = {"source", "dev", "of pairs", "unlabelled", "test"}
    for part, reached in (
        ("test", {"dev grades"}),
        ("vali", vectors),
        ("train", vectors | {"pairs"}),
    ):
        other = setting(tmp_path, source, with_grades(parts, split[part]), **kind)
        assert changed(seen, fold_seen(other, FOLD, False)) == reached
    # No share of the pairs, no space and no scaling is asked for.
    other = replace(first, percent=5, space="layers", scaling="standard")
    assert not changed(seen, fold_seen(other, FOLD, True))


@pytest.mark.parametrize("protocol", ["honest", "released"])
def test_the_target_is_no_source(protocol, tmp_path):
    """A file in both would teach the grades that are tested."""
    source, parts = sets("same")
    chosen = setting(tmp_path, source, parts, protocol=protocol)
    for some in (chosen.target[:1], chosen.target[2:]):
        with pytest.raises(UserError, match="a file of the source is one of the target too"):
            fold_seen(replace(chosen, source=some), 1, False)
    copy = tmp_path / "copy.txt"
    copy.write_bytes(chosen.target[0].read_bytes())
    with pytest.raises(UserError, match=r"copy\.txt: a file of the source"):
        fold_seen(replace(chosen, source=(copy,), target=chosen.target[:1]), 1, False)


def test_grades_that_are_not_there(tmp_path):
    source, parts = sets(None)
    chosen = setting(tmp_path, source, parts)
    bare = tmp_path / "bare.npz"
    owners = np.repeat(np.arange(len(source)), source.lengths)
    np.savez(bare, qid=owners, X=source.x)
    with pytest.raises(UserError, match=r"bare\.npz: has no grades"):
        fold_seen(replace(chosen, source=(bare,)), 1, False)


@pytest.mark.parametrize(
    ("highest", "expected", "limit"), [(0, 2, 4), (2, 2, 4), (3, 3, 4), (4, 4, 4), (6, 6, 6)]
)
def test_the_highest_grade(highest, expected, limit):
    documents = replace(made(2, lengths=(3, 3)), grades=np.array([0, 0, 0, highest, 0, 0]))
    assert grade_limit(documents) == limit
    assert levels_of(TrainingData(graded_of(documents, "source"), ())) == expected
    with pytest.raises(UserError, match="has no grades"):
        grade_limit(replace(documents, grades=None))
