"""Where two collections meet: each space by hand, and that no grade and no test row moves it."""

import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from tiny_letor import made, regraded

import baselines.letor.spaces as module
from baselines.letor.documents import Documents
from baselines.letor.names import LETOR4, MSLR, SHARED
from baselines.letor.read import read
from baselines.letor.scaling import Scaling
from baselines.letor.spaces import Meeting, Side, alone, meet, usual_space
from lrmovienet.errors import UserError

DATA = Path(os.environ.get("LRMOVIENET_EXTRA_DATA", ""))
NAN = np.nan
SPACES = ("same", "named", "principal", "layers")


def rows(x: list[list[float]], lengths: list[int], name: str = "rows.txt") -> Documents:
    return Documents(
        name, "-", np.array(x, np.float32), None, np.cumsum([0, *lengths]),
        tuple(map(str, range(len(lengths)))), None,
    )  # fmt: skip


def two(space: str, gaps: float = 0.0) -> tuple[Documents, Documents]:
    """Training documents of a source and a target that the space takes."""
    shapes = {"same": (5, 5), "named": (136, 46)}.get(space, (7, 4))
    gaps = 0.0 if space == "named" else gaps
    return (
        made(6, shapes[0], seed=1, levels=5, gaps=gaps, name="source.txt"),
        made(7, shapes[1], seed=2, gaps=gaps, name="target.txt"),
    )


def test_which_feature_is_which():
    """Off the two collections' pages, whose numbers start at 1."""
    assert (len(LETOR4), len(MSLR)) == (46, 136)
    assert (len(set(LETOR4)), len(set(MSLR))) == (46, 136)
    streams = ("body", "anchor", "title", "url", "whole document")
    blocks = [
        ("TF", 1, 21), ("IDF", 6, 16), ("TF*IDF", 11, 71), ("length", 16, 11), ("BM25", 21, 106),
        ("LMIR.ABS", 26, 111), ("LMIR.DIR", 31, 116), ("LMIR.JM", 36, 121),
    ]  # fmt: skip
    pairs = [
        (f"{name} of {stream}", letor + i, mslr + i)
        for name, letor, mslr in blocks for i, stream in enumerate(streams)
    ]  # fmt: skip
    pairs += [
        ("PageRank", 41, 130), ("inlinks", 42, 128), ("outlinks", 43, 129),
        ("slashes in URL", 44, 126), ("length of URL", 45, 127),
    ]  # fmt: skip
    assert [(SHARED[i], *at) for i, (_, *at) in enumerate(pairs)] == pairs
    assert [(LETOR4[letor - 1], MSLR[mslr - 1]) for _, letor, mslr in pairs] == [
        (name, name) for name, _, _ in pairs
    ]
    assert len(SHARED) == len(set(SHARED)) == 45
    assert set(LETOR4) - set(SHARED) == {"child pages"}
    for number, name in (
        (1, "covered query terms of body"), (10, "share of covered query terms of whole document"),
        (26, "least TF of body"), (35, "most TF of whole document"), (38, "mean TF of title"),
        (45, "variance of TF of whole document"), (46, "TF by length of body"),
        (70, "variance of TF by length of whole document"), (76, "least TF*IDF of body"),
        (95, "variance of TF*IDF of whole document"), (96, "boolean model of body"),
        (105, "vector space model of whole document"), (131, "SiteRank"),
        (133, "QualityScore2"), (134, "clicks of query and URL"), (136, "dwell time on URL"),
    ):  # fmt: skip
        assert MSLR[number - 1] == name


def test_named_features_stand_in_the_same_columns():
    """A document whose every feature is its number says where its columns came from."""
    source = rows([list(range(1, 137)), [0] * 136], [2])
    target = rows([[0] * 46, list(range(1, 47))], [2])
    ways = meet(source, target, "named", "standard", trees=True)
    assert (ways.source.chosen + 1).tolist() == [
        *range(21, 26), *range(16, 21), *range(71, 76), *range(11, 16), *range(106, 126),
        130, 128, 129, 126, 127,
    ]  # fmt: skip
    assert (ways.target.chosen + 1).tolist() == list(range(1, 46))
    # Trees read what is within the query, unscaled.
    assert ways.source(source).x.tolist() == [[1] * 45, [0] * 45]
    assert ways.target(target).x.tolist() == [[0] * 45, [1] * 45]


def test_named_values_are_from_0_to_1_within_each_query():
    x = np.zeros((7, 46), np.float32)
    x[:, 0] = [2, 4, 3, -5, -5, 100, 0]
    x[:, 1] = [7, 7, 7, 1, 0, 3, 5]
    target = rows(x.tolist(), [3, 2, 1, 1])
    side = meet(made(3, 136), target, "named", "log", trees=True).target
    found = side(target).x
    assert found[:, 0].tolist() == [0, 1, 0.5, 0, 0, 0, 0]
    assert found[:, 1].tolist() == [0, 0, 0, 1, 0, 0, 0]
    assert not found[:, 2:].any()
    assert not np.signbit(found).any()
    # In LETOR 4.0, which is so already, nothing is changed by it.
    again = side(replace(target, x=np.hstack([found, x[:, 45:]])))
    assert again.x.tobytes() == found.tobytes()


def test_named_values_are_scaled_after_the_queries_range():
    source, target = two("named")
    ways = meet(source, target, "named", "standard", trees=False)
    raw = meet(source, target, "named", "standard", trees=True)
    for part, side, unscaled in zip((source, target), ways, raw, strict=True):
        x = unscaled(part).x.astype(np.float64)
        assert side(part).x == pytest.approx((x - x.mean(0)) / x.std(0), abs=1e-5)


def test_named_wants_the_two_collections():
    source, target = two("named")
    for one, other, wrong in (
        (made(3, 45, name="odd.txt"), target, r"odd\.txt has 45 features"),
        (source, made(3, 5, name="odd.txt"), r"odd\.txt has 5 features"),
        (source, replace(target, first_feature=0), r"target\.txt has 46 features"),
    ):
        with pytest.raises(UserError, match=f"--space named: {wrong}"):
            meet(one, other, "named", "log", trees=False)
    holed = target.x.copy()
    holed[3, 4] = NAN
    with pytest.raises(UserError, match="a value is NULL"):
        meet(source, replace(target, x=holed), "named", "log", trees=False)


def test_the_same_features_are_scaled_each_by_their_own():
    source = rows([[1, 10], [3, 30]], [2])
    target = rows([[100, 0], [300, 4], [500, 8]], [3])
    ways = meet(source, target, "same", "standard", trees=False)
    assert ways.source(source).x.tolist() == [[-1, -1], [1, 1]]
    far = math.sqrt(3 / 2)
    assert ways.target(target).x == pytest.approx(
        np.array([[-far, -far], [0, 0], [far, far]]), abs=1e-6
    )
    for part, side in zip((source, target), meet(source, target, "same", "log", True), strict=True):
        assert side(part).x.tobytes() == part.x.tobytes()
    with pytest.raises(UserError, match=r"source\.txt has 7 features and target\.txt 4"):
        meet(*two("layers"), "same", "log", trees=True)


def test_gaps_of_either_have_a_column_in_both():
    source = rows([[1, NAN, 5], [3, 2, 5]], [2])
    target = rows([[NAN, 1, 1], [2, 3, 1]], [2])
    ways = meet(source, target, "same", "standard", trees=False)
    assert ways.source(source).x.tolist() == [[-1, 0, 0, 0, 1], [1, 0, 0, 0, 0]]
    assert ways.target(target).x.tolist() == [[0, -1, 0, 1, 0], [0, 1, 0, 0, 0]]
    trees = meet(source, target, "same", "standard", trees=True)
    assert trees.source(source).x.tobytes() == source.x.tobytes()


@pytest.mark.parametrize("trees", [False, True])
def test_principal_components_are_each_collections_own(trees):
    source, target = two("principal", gaps=0.2)
    ways = meet(source, target, "principal", "log", trees)
    widths = [Scaling.fit(part.x).columns for part in (source, target)]
    kept = min(widths)
    assert widths[0] > widths[1] > 4
    for part, side in zip((source, target), ways, strict=True):
        x = Scaling.fit(part.x)(part.x).astype(np.float64)
        theirs = PCA(kept, whiten=True, svd_solver="full").fit(x)
        expected = theirs.transform(x) * math.sqrt(len(x) / (len(x) - 1))  # theirs is of n − 1
        found = side(part).x
        assert found.shape == (len(part.x), kept)
        assert found.std(0) == pytest.approx(np.ones(kept), abs=1e-4)
        signs = np.sign((found * expected).sum(0))
        assert found == pytest.approx(expected * signs, abs=5e-3)


def test_no_more_principal_components_than_asked_for(monkeypatch):
    monkeypatch.setattr(module, "COMPONENTS", 2)
    source, target = two("principal")
    few = meet(source, target, "principal", "log", trees=False)
    monkeypatch.undo()
    assert module.COMPONENTS == 32
    more = meet(source, target, "principal", "log", trees=False)
    for part, side, other in zip((source, target), few, more, strict=True):
        assert side(part).x.shape[1] == 2
        assert other(part).x.shape[1] == 4
        assert side(part).x.tobytes() == np.ascontiguousarray(other(part).x[:, :2]).tobytes()


def test_principal_components_of_documents_that_are_all_the_same():
    still = rows([[1, 2]] * 4, [2, 2], "still.txt")
    with pytest.raises(UserError, match=r"all documents of made\.txt or still\.txt"):
        meet(made(3), still, "principal", "log", trees=False)


def test_layers_stand_side_by_side():
    source = rows([[1, NAN], [3, 4]], [2])
    target = rows([[5, 6, 7], [7, 6, 9]], [2])
    ways = meet(source, target, "layers", "standard", trees=False)
    assert ways.source(source).x.tolist() == [
        [-1, 0, 1, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0],
    ]
    assert ways.target(target).x.tolist() == [
        [0, 0, 0, -1, 0, -1, 1],
        [0, 0, 0, 1, 0, 1, 1],
    ]
    trees = meet(source, target, "layers", "standard", trees=True)
    found = [trees.source(source).x, trees.target(target).x]
    assert np.array_equal(found[0], [[1, NAN, NAN, NAN, NAN, 0], [3, 4, NAN, NAN, NAN, 0]], True)
    assert np.array_equal(found[1], [[NAN, NAN, 5, 6, 7, 1], [NAN, NAN, 7, 6, 9, 1]], True)


def test_one_linear_layer_over_layers_is_a_layer_a_domain():
    source, target = two("layers", gaps=0.2)
    ways = meet(source, target, "layers", "log", trees=False)
    own = [alone(part, "log", trees=False)(part).x for part in (source, target)]
    torch.manual_seed(0)
    layer = torch.nn.Linear(own[0].shape[1] + own[1].shape[1] + 1, 3)
    weight, bias = layer.weight.detach(), layer.bias.detach()
    cut = own[0].shape[1]
    of_source = torch.from_numpy(own[0]) @ weight[:, :cut].T + bias
    of_target = torch.from_numpy(own[1]) @ weight[:, cut:-1].T + bias + weight[:, -1]
    with torch.no_grad():
        for part, side, expected in zip(
            (source, target), ways, (of_source, of_target), strict=True
        ):
            assert torch.allclose(layer(torch.from_numpy(side(part).x)), expected, atol=1e-5)
    # The source's documents give no gradient to the target's columns.
    layer(torch.from_numpy(ways.source(source).x)).sum().backward()
    assert not layer.weight.grad[:, cut:].any()
    assert layer.weight.grad[:, :cut].any()


@pytest.mark.parametrize("trees", [False, True])
@pytest.mark.parametrize("space", SPACES)
def test_no_grade_is_read(space, trees):
    """Other grades, and none at all: the same bytes."""
    parts = two(space, gaps=0.1)
    expected = seen(meet(*parts, space, "log", trees), parts)
    for change in (regraded, lambda part: replace(part, grades=None)):
        others = tuple(map(change, parts))
        assert seen(meet(*others, space, "log", trees), others) == expected
        assert seen(meet(*others, space, "log", trees), parts) == expected


def seen(ways: Meeting, parts: tuple[Documents, ...]) -> list[tuple[object, ...]]:
    found = [side(part) for side, part in zip(ways, parts, strict=True)]
    assert len({each.x.shape[1] for each in found}) == 1
    assert {each.x.dtype for each in found} == {np.dtype(np.float32)}
    return [(each.x.shape, each.x.tobytes(), each.queries, each.sha256) for each in found]


@pytest.mark.parametrize("trees", [False, True])
@pytest.mark.parametrize("space", SPACES)
def test_a_way_is_fitted_once_and_each_query_goes_it_alone(space, trees):
    """A query comes out the same whatever stands beside it, and training is left as it was."""
    parts = two(space, gaps=0.1)
    before = [part.x.tobytes() for part in parts]
    ways = meet(*parts, space, "log", trees)
    assert [part.x.tobytes() for part in parts] == before
    for side, part in zip(ways, parts, strict=True):
        other = made(4, part.x.shape[1], seed=77, lengths=(1, 5))
        whole = side(other)
        assert np.isnan(whole.x).any() == (space == "layers" and trees)
        for i in range(len(other)):
            one = side(other.take([i]))
            assert one.x.tobytes() == whole.take([i]).x.tobytes()
        assert whole.grades is other.grades
        assert whole.queries == other.queries


@pytest.mark.parametrize("space", SPACES)
def test_a_target_is_no_matter_to_the_source(space):
    """But for the columns: each way is of its own collection."""
    source, target = two(space)
    other = made(9, target.x.shape[1], seed=8)
    found = [
        meet(source, each, space, "log", trees=False).source(source).x for each in (target, other)
    ]
    assert found[0].tobytes() == found[1].tobytes()


def test_one_collection_alone():
    part = made(5, gaps=0.2)
    other = made(5, seed=4, gaps=0.5)
    for kind in ("log", "standard"):
        expected = Scaling.fit(part.x, kind)(other.x)
        assert alone(part, kind, trees=False)(other).x.tobytes() == expected.tobytes()
    assert alone(part, "log", trees=True) == Side()
    assert alone(part, "log", trees=True)(other).x.tobytes() == other.x.tobytes()


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ((136, 46), "named"), ((46, 136), "named"), ((46, 46), "same"), ((136, 136), "same"),
        ((136, 45), "principal"), ((21, 46), "principal"), ((5, 5), "same"),
    ],
)  # fmt: skip
def test_what_is_usual(shapes, expected):
    assert usual_space(made(1, shapes[0]), made(1, shapes[1])) == expected


@pytest.mark.skipif(
    not (DATA / "mslr_tiny").is_dir(),
    reason="LRMOVIENET_EXTRA_DATA is unset: the ranking data are not here",
)
def test_real_sets_meet_in_named_features():
    source = read(DATA / "mslr_tiny" / "search_tiny_train.txt")
    target = read(DATA / "mq2008_fold1_part" / "vali_part.txt")
    assert usual_space(source, target) == "named"
    ways = meet(source, target, "named", "log", trees=True)
    for part, side in zip((source, target), ways, strict=True):
        found = side(part).x
        assert found.shape == (len(part.x), 45)
        assert found.min() == 0
        assert found.max() == 1
        still = [SHARED[i] for i in np.flatnonzero(~found.any(0))]
        # How rare a word is, is the same for all documents of a query.
        assert {name for name in SHARED if name.startswith("IDF of")} <= set(still)
        assert len(still) < 12
    # LETOR 4.0 is from 0 to 1 within each query as it comes; the file ends within the last one.
    whole = target.offsets[-2]
    assert ways.target(target).x[:whole] == pytest.approx(target.x[:whole, :45], abs=1e-5)
    assert not np.allclose(ways.target(target).x[whole:], target.x[whole:, :45])
    scaled = meet(source, target, "named", "log", trees=False)
    for part, side in zip((source, target), scaled, strict=True):
        assert np.abs(side(part).x.mean(0)).max() < 1e-4
