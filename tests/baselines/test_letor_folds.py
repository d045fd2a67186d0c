"""Folds: every query is tested once, and none is learned from, or chooses, where it is tested."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_letor import made, wrote, wrote_official

import baselines.letor.folds as module
from baselines.letor.documents import Documents
from baselines.letor.folds import Fold, Folds, joined
from baselines.letor.read import read
from lrmovienet.errors import UserError

DATA = Path(os.environ.get("LRMOVIENET_EXTRA_DATA", ""))


def three_parts(folder: Path) -> list[Path]:
    sizes = (7, 5, 9)
    return [
        wrote(folder / f"S{i}.txt", made(size, seed=i, first_query=100 * i, named=True))
        for i, size in enumerate(sizes, 1)
    ]


def rows_of(documents: Documents) -> dict[str, tuple[bytes, bytes, tuple[str, ...]]]:
    """Query -> its features, grades and ids of documents."""
    found = {}
    for i, query in enumerate(documents.queries):
        one = documents.take([i])
        found[query] = (one.x.tobytes(), one.grades.tobytes(), one.documents or ())
    return found


def check(folds: Folds, every: dict[str, tuple[bytes, bytes, tuple[str, ...]]]) -> list[Fold]:
    """Each query is in one part of each fold, with its own rows, and is tested once."""
    found = [folds[number] for number in range(1, len(folds) + 1)]
    tested: list[str] = []
    for number, fold in enumerate(found, 1):
        assert fold.number == number
        queries = [query for part in fold[1:] for query in part.queries]
        assert len(queries) == len(set(queries))
        assert set(queries) == set(every)
        assert {q: r for part in fold[1:] for q, r in rows_of(part).items()} == every
        tested += fold.test.queries
    assert sorted(tested) == sorted(every)
    return found


def test_files_are_parts_of_one_set(tmp_path):
    paths = three_parts(tmp_path)
    folds = Folds(paths, None, parts=5)
    assert len(folds) == 3
    assert folds.files(2) == paths
    parts = [read(path) for path in paths]
    found = check(folds, {q: rows for part in parts for q, rows in rows_of(part).items()})
    for fold, part in zip(found, parts, strict=True):
        assert fold.test.queries == part.queries
        assert fold.test.sha256 == part.sha256
        assert len(fold.vali) == round((21 - len(part)) / 5)
        for some in (fold.train, fold.vali):  # in the order of the files
            assert list(map(int, some.queries)) == sorted(map(int, some.queries))
    # Who chooses is drawn, from all the rest.
    assert {query[0] for fold in found for query in fold.vali.queries} == {"1", "2", "3"}


@pytest.mark.parametrize(("queries", "parts"), [(23, 5), (20, 5), (9, 2), (6, 6)])
def test_one_file_is_cut_by_query(queries, parts, tmp_path):
    path = wrote(tmp_path / "rows.txt", made(queries, named=True))
    folds = Folds([path], None, parts)
    assert len(folds) == parts
    found = check(folds, rows_of(read(path)))
    sizes = [len(fold.test) for fold in found]
    assert max(sizes) - min(sizes) <= 1
    for fold in found:
        assert len(fold.vali) == max(1, round((queries - len(fold.test)) / 5))
    # Files are often sorted by what matters: the cut is drawn.
    assert found[0].test.queries != tuple(map(str, range(1, sizes[0] + 1)))


def test_a_cut_is_the_same_each_time_and_hangs_on_no_number(tmp_path, monkeypatch):
    path = wrote(tmp_path / "rows.txt", made(20))
    other = wrote(tmp_path / "other.txt", made(20, seed=9))
    expected = [[part.queries for part in Folds([path], None)[i][1:]] for i in range(1, 6)]
    for same in (path, other):  # neither on features nor on grades
        for cache in (None, tmp_path / "cache", tmp_path / "cache"):
            folds = Folds([same], cache)
            assert [[part.queries for part in folds[i][1:]] for i in (5, 1)] == [
                expected[4], expected[0],
            ]  # fmt: skip
    monkeypatch.setattr(module, "SEED", 1)
    assert [part.queries for part in Folds([path], None)[1][1:]] != expected[0]


@given(queries=st.integers(4, 40), parts=st.integers(2, 8))
def test_any_cut_tests_each_query_once(queries, parts, tmp_path_factory):
    if parts > queries:
        return
    path = tmp_path_factory.getbasetemp() / "cut" / f"{queries}.txt"
    if not path.exists():
        wrote(path, made(queries, 2, lengths=[2] * queries))
    tested = []
    for number in range(1, parts + 1):
        _, train, vali, test = Folds([path], None, parts)[number]
        assert min(map(len, (train, vali, test))) > 0
        split = [set(part.queries) for part in (train, vali, test)]
        assert sum(map(len, split)) == len(set.union(*split)) == queries
        tested += test.queries
    assert sorted(tested) == sorted(map(str, range(1, queries + 1)))


def five(seed: int = 0) -> list[Documents]:
    return [made(3, 4, seed=seed + i, first_query=1 + 10 * i) for i in range(5)]


def test_an_official_set(tmp_path):
    parts = five()
    folds = Folds([wrote_official(tmp_path / "set", parts)], None, parts=3)
    assert len(folds) == 5
    found = check(folds, {q: rows for part in parts for q, rows in rows_of(part).items()})
    assert found[1].train.queries == ("11", "12", "13", "21", "22", "23", "31", "32", "33")
    assert found[1].vali.queries == ("41", "42", "43")
    assert found[1].test.queries == ("1", "2", "3")
    place = tmp_path / "set" / "Fold2"
    assert folds.files(2) == [place / "train.txt", place / "vali.txt", place / "test.txt"]
    assert folds.learned(2) == [place / "train.txt"]
    assert folds.learned(7) == folds.learned(2)  # the source of a set with more folds


@pytest.mark.parametrize("name", ["valid.txt", "val.txt", "vali.txt.gz", "valid.txt.gz"])
def test_other_names_of_official_files(name, tmp_path):
    folder = wrote_official(tmp_path, five())
    expected = Folds([folder], None)[4]
    old = folder / "Fold4" / "vali.txt"
    data = old.read_bytes()
    old.unlink()
    (folder / "Fold4" / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    (folder / "Fold4").rename(folder / "fold_4")
    (folder / "README.txt").write_text("not a fold")
    found = Folds([folder], None)[4]
    assert found.vali.x.tobytes() == expected.vali.x.tobytes()
    assert found.train.queries == expected.train.queries
    assert found.test.queries == expected.test.queries


@pytest.mark.parametrize("part", ["train", "vali", "test"])
def test_an_official_fold_without_a_file(part, tmp_path):
    folder = wrote_official(tmp_path, five())
    (folder / "Fold3" / f"{part}.txt").unlink()
    with pytest.raises(UserError, match=rf"Fold3: has no {part}\.txt \(nor {part}\.txt\.gz\)"):
        Folds([folder], None)


def test_folds_that_are_not_numbered_from_1(tmp_path):
    folder = wrote_official(tmp_path, five())
    (folder / "Fold2").rename(folder / "Fold7")
    with pytest.raises(UserError, match=r"has the folds \[1, 3, 4, 5, 7\]; they must count from 1"):
        Folds([folder], None)


def test_folders_that_hold_no_folds(tmp_path):
    folder = wrote_official(tmp_path, five())
    with pytest.raises(UserError, match="Give the folder that holds them"):
        Folds([folder / "Fold1"], None)
    with pytest.raises(UserError, match="give one folder, or files"):
        Folds([folder / "Fold1" / "test.txt", folder], None)


def test_a_query_in_two_files_of_a_set(tmp_path):
    """Two files are one fold's training and test: what they share would be learned."""
    paths = [wrote(tmp_path / "a.txt", made(6)), wrote(tmp_path / "b.txt", made(6, first_query=6))]
    paths.append(wrote(tmp_path / "c.txt", made(6, first_query=60)))
    for some in (paths[:2], paths, paths[::-1], [paths[0], paths[0]]):
        folds = Folds(some, None)
        for number in range(1, len(folds) + 1):
            with pytest.raises(UserError, match=r"query \d is in .\.txt too"):
                folds[number]
        with pytest.raises(UserError, match=r"query \d is in .\.txt too"):
            folds.whole(1)
    assert len(Folds(paths[1:], None)[1].test) == 6


@pytest.mark.parametrize("part", ["train", "vali"])
def test_a_query_that_is_tested_and_learned_in_an_official_fold(part, tmp_path):
    folder = wrote_official(tmp_path, five())
    place = folder / "Fold1"
    (place / f"{part}.txt").write_text(
        (place / f"{part}.txt").read_text() + (place / "test.txt").read_text()
    )
    with pytest.raises(UserError, match=rf"test\.txt: query 41 is in {part}\.txt too"):
        Folds([folder], None)[1]


def test_files_with_other_features(tmp_path):
    first = wrote(tmp_path / "a.txt", made(5, 4))
    second = wrote(tmp_path / "b.txt", made(5, 3, first_query=50))
    for number in (1, 2):
        with pytest.raises(UserError, match=r"b\.txt: has 3 features, a\.txt 4"):
            Folds([first, second], None)[number]
    folder = wrote_official(tmp_path / "set", five())
    wrote(folder / "Fold1" / "test.txt", made(3, 3, first_query=900))
    with pytest.raises(UserError, match=r"test\.txt: has 3 features, train\.txt 4"):
        Folds([folder], None)[1]


def test_too_few_queries(tmp_path):
    path = wrote(tmp_path / "rows.txt", made(4))
    with pytest.raises(UserError, match=r"rows\.txt: 4 queries cannot be cut into 5 parts"):
        Folds([path], None)[1]
    assert len(Folds([path], None, parts=4)[1].test) == 1
    two = wrote(tmp_path / "two.txt", made(2))
    with pytest.raises(UserError, match="1 queries are left to learn and to choose from"):
        Folds([two], None, parts=2)[1]
    with pytest.raises(UserError, match="no such file"):
        Folds([tmp_path / "none.txt"], None)[1]


@pytest.mark.parametrize("number", [0, -1, 4])
def test_a_fold_that_is_not_there(number, tmp_path):
    """Counted from the end, as lists are, fold 0 would be tested on what it learns."""
    with pytest.raises(ValueError, match=f"fold {number} of 3"):
        Folds(three_parts(tmp_path), None)[number]
    with pytest.raises(ValueError, match="fold 6 of 5"):
        Folds([wrote_official(tmp_path / "set", five())], None)[6]


def test_what_another_sets_fold_learns_from(tmp_path):
    paths = three_parts(tmp_path)
    files = Folds(paths, None)
    for number in (1, 4):
        whole = files.whole(number)
        assert [len(read(path)) for path in paths] == [7, 5, 9]
        assert rows_of(whole) == {q: r for path in paths for q, r in rows_of(read(path)).items()}
    official = Folds([wrote_official(tmp_path / "set", five())], None)
    for number, fold in ((1, 1), (5, 5), (6, 1), (12, 2)):
        whole = official.whole(number)
        assert whole.x.tobytes() == official[fold].train.x.tobytes()
        assert whole.sha256 == read(official.learned(fold)[0]).sha256
    one = Folds([paths[0]], None).whole(3)
    assert rows_of(one) == rows_of(read(paths[0]))


def test_several_as_one():
    first = made(3, named=True, name="a.txt")
    second = made(2, seed=1, first_query=10, named=True, name="b.txt")
    both = joined([first, second])
    assert both.name == "a.txt, b.txt"
    assert both.queries == ("1", "2", "3", "10", "11")
    assert rows_of(both) == rows_of(first) | rows_of(second)
    assert both.lengths.tolist() == [*first.lengths, *second.lengths]
    assert joined([first]) is first
    ungraded = made(2, seed=1, first_query=10, graded=False)
    assert joined([first, ungraded]).grades is None
    assert joined([first, ungraded]).documents is None


@pytest.mark.skipif(
    not (DATA / "mq2007_agg").is_dir(),
    reason="LRMOVIENET_EXTRA_DATA is unset: the ranking data are not here",
)
def test_real_parts_test_each_query_once(tmp_path):
    folds = Folds(sorted((DATA / "mq2007_agg").glob("S?.txt")), tmp_path)
    assert len(folds) == 4
    tested: list[str] = []
    for number in range(1, 5):
        _, train, vali, test = folds[number]
        assert (len(train), len(vali), len(test)) == (814, 203, 339)
        assert not {*test.queries} & {*train.queries, *vali.queries}
        assert not {*train.queries} & {*vali.queries}
        tested += test.queries
    assert len(tested) == len(set(tested)) == 1356
    assert np.isnan(folds[1].train.x).any()
