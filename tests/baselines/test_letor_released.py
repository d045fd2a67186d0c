"""What the official scripts do: lists of 20, a mapper that saw the grades, pairs of all queries."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_letor import content, made, regraded

import baselines.letor.released as module
from baselines.letor.documents import Documents
from baselines.letor.released import Mapper, pairs_of_all, resampled
from lrmovienet.errors import UserError


def own_rows(documents: Documents) -> Documents:
    """A feature that says which row a document is."""
    return replace(documents, x=np.arange(len(documents.x), dtype=np.float32)[:, None])


def test_every_list_has_20_documents():
    lengths = (1, 3, 19, 20, 21, 45)
    documents = own_rows(made(6, lengths=lengths, named=True))
    found = resampled(documents)
    assert found.offsets.tolist() == [0, 20, 40, 60, 80, 100, 120]
    assert found.queries == documents.queries
    chosen = found.x[:, 0].astype(int)
    assert found.grades.tolist() == documents.grades[chosen].tolist()
    assert found.documents == tuple(documents.documents[row] for row in chosen)
    for i, length in enumerate(lengths):
        mine = chosen[20 * i : 20 * i + 20] - documents.offsets[i]
        assert mine.min() >= 0
        assert mine.max() < length
        # Repeats only where there are fewer than 20.
        assert (len(set(mine.tolist())) == 20) == (length >= 20)
    # A bootstrap, which may leave some out, and not all of them and then more.
    assert len(set(chosen[40:60].tolist())) < 19


def test_a_bootstrap_draws_each_document_alike():
    documents = own_rows(made(400, lengths=[4] * 400))
    found = resampled(documents).x[:, 0].astype(int) % 4
    counts = Counter(found.tolist())
    assert set(counts) == {0, 1, 2, 3}
    for count in counts.values():
        assert count == pytest.approx(2000, abs=6 * np.sqrt(8000 * 3 / 16))
    kept = Counter(
        (resampled(own_rows(made(200, lengths=[40] * 200))).x[:, 0].astype(int) % 40).tolist()
    )
    for place in range(40):
        assert kept[place] == pytest.approx(100, abs=6 * np.sqrt(50))


def test_lists_are_drawn_the_same_each_time_and_by_no_grade():
    documents = made(5, lengths=(4, 30), named=True)
    expected = resampled(documents)
    for other in (documents, regraded(documents), replace(documents, grades=None)):
        found = resampled(other)
        assert found.x.tobytes() == expected.x.tobytes()
        assert found.documents == expected.documents
    assert resampled(replace(documents, grades=None)).grades is None
    assert resampled(made(2)).documents is None


def test_pairs_of_all_queries():
    """Up to 20 of each, where there are as many; no share of them."""
    documents = resampled(made(12, seed=3, levels=4, lengths=(30, 1, 2, 25)))
    found = pairs_of_all(documents, "target")
    assert [item.record.clip_id for item in found] == [q for q in documents.queries if q != "2"]
    of = dict(zip(documents.queries, documents.offsets.tolist(), strict=False))
    for item in found:
        start = of[item.record.clip_id]
        grades = documents.grades[start : start + 20]
        assert item.record.vectors.tobytes() == documents.x[start : start + 20].tobytes()
        assert len(item.pairs) == min(20, int((grades[:, None] > grades).sum())) == 20
        assert len({tuple(pair) for pair in item.pairs.tolist()}) == len(item.pairs)
        assert (grades[item.pairs[:, 0]] > grades[item.pairs[:, 1]]).all()
    again = pairs_of_all(documents, "target")
    for item, other in zip(found, again, strict=True):
        assert item.pairs.tolist() == other.pairs.tolist()
    # Drawn, and not the first 20.
    assert any(item.pairs[:, 0].max() > 15 for item in found)
    few = pairs_of_all(made(1, lengths=(2,)), "target")
    assert len(few[0].pairs) == 1


@pytest.fixture(scope="module")
def sets() -> tuple[Documents, Documents, Documents, Documents]:
    """Source; train, vali and test of the target."""
    source = made(6, 7, seed=1, levels=5, gaps=0.1, name="source.txt")
    train = made(6, 4, seed=2, gaps=0.1, name="train.txt")
    vali = replace(made(3, 4, seed=2, first_query=50), name="vali.txt")
    return source, train, vali, made(3, 4, seed=3, first_query=90, gaps=0.3)


def vectors(mapper: Mapper, sets: tuple[Documents, ...]) -> list[bytes]:
    return [mapper.source(sets[0]).x.tobytes(), *(mapper.target(s).x.tobytes() for s in sets[1:])]


@pytest.fixture(scope="module")
def mapper(sets) -> Mapper:
    return Mapper.fit(sets[0], sets[1:3])


def test_vectors_of_either_set(sets, mapper):
    source, *target = sets
    for part, found in [
        (source, mapper.source(source)), *((part, mapper.target(part)) for part in target)
    ]:  # fmt: skip
        assert found.x.shape == (len(part.x), module.WIDTH) == (len(part.x), 64)
        assert found.x.dtype == np.float32
        assert np.isfinite(found.x).all()
        assert found.x.std(0).min() > 0
        assert (found.queries, found.name) == (part.queries, part.name)
        assert found.grades is part.grades
        assert found.offsets.tolist() == part.offsets.tolist()


def test_equal_sets_give_equal_vectors_and_leave_torch_alone(sets, mapper):
    expected = vectors(mapper, sets)
    torch.manual_seed(123)
    before = torch.random.get_rng_state()
    assert vectors(Mapper.fit(sets[0], sets[1:3]), sets) == expected
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("changed", [0, 1, 2])
def test_the_targets_grades_are_in_the_vectors(changed, sets, mapper):
    """The leak: other grades of the target's train or vali part, other vectors everywhere.

    The source's vectors hang on the target's grades too, since both share a head.
    """
    others = list(sets[:3])
    others[changed] = regraded(others[changed])
    found = vectors(Mapper.fit(others[0], others[1:]), sets)
    for mine, expected in zip(found, vectors(mapper, sets), strict=True):
        assert mine != expected


def test_the_mapper_learns_grades_from_scaled_features(sets, mapper):
    """After ten epochs of one step it is better than the mean, which no raw 10⁸ would allow."""
    documents = made(60, 4, seed=2, gaps=0.1)
    huge = replace(documents, x=documents.x * np.float32(1e6))
    for part in (documents, huge):
        learned = Mapper.fit(sets[0], (part,))
        with torch.no_grad():
            x = torch.from_numpy(learned.target(part).x)
            predicted = learned.network.head(x)[:, 0].numpy()
        assert np.corrcoef(predicted, part.grades)[0, 1] > 0.5
    assert not mapper.network.training


def test_test_rows_are_no_part_of_the_fit(sets, mapper):
    """Of the test part the mapper sees nothing: one of its rows maps as it does alone."""
    test = sets[3]
    one = mapper.target(test.take([1]))
    assert one.x == pytest.approx(mapper.target(test).take([1]).x, abs=1e-5)


def test_every_document_is_seen_once_an_epoch():
    sizes = [1300, 40]
    for epoch in (0, 1):
        steps = module._steps(sizes, epoch)
        for domain, size in enumerate(sizes):
            rows = [some for of, some in steps if of == domain]
            assert sorted(np.concatenate(rows).tolist()) == list(range(size))
            assert max(map(len, rows)) <= module.DOCUMENTS
            assert rows[0].tolist() != sorted(rows[0].tolist())
        assert len(steps) == 4
    orders = [[(of, rows.tolist()) for of, rows in module._steps(sizes, e)] for e in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


def test_sets_without_grades(sets):
    source, train, vali, _ = sets
    bare = replace(train, grades=None)
    with pytest.raises(UserError, match="has no grades"):
        Mapper.fit(source, (bare, vali))
    with pytest.raises(UserError, match=r"source\.txt: has no grades"):
        Mapper.fit(replace(source, grades=None), (train, vali))
    with pytest.raises(UserError, match="has no grades"):
        pairs_of_all(bare, "target")
    assert content([item.record for item in pairs_of_all(train, "target")])
