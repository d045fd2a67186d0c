"""LambdaMART: lists and pairs as LightGBM takes them, and the ranker made of its trees."""

import math
from dataclasses import replace

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.data import Record, TrainingData, training_data
from baselines.lambdamart import LambdaMARTRanker, Queries, TreeOptions, grow, with_pairs
from baselines.ltr.vectors import blocks, label_vectors
from eval.ndcg import ndcg
from lrmovienet.errors import UserError
from lrmovienet.features import FeatureStore

ONE_SPLIT = TreeOptions(trees=1, leaves=2, min_data=0, learning_rate=0.5)
SMALL = TreeOptions(trees=60, patience=20, min_data=2, leaves=8, components=5)


def queries(rows, lengths, grades, weights=None) -> Queries:
    return Queries(
        np.array(rows, np.float32).reshape(len(grades), -1), np.array(lengths), np.array(grades),
        None if weights is None else np.array(weights, float),
    )  # fmt: skip


def first_step(grades, weights, truncation=30):
    """Gradient and curvature of one list whose scores are all 0, in plain loops.

    The order is that of the items. Burges 2010, sections 2 and 4 to 6, with NDCG@truncation, and
    LightGBM's norm: a list's gradients are scaled by log2(1 + S) / S, S their sum without signs.
    """
    gain = [2.0**grade - 1 for grade in grades]
    discount = [1 / math.log2(2 + place) for place in range(len(grades))]
    best = sorted(gain, reverse=True)[:truncation]
    ideal = sum(g * d for g, d in zip(best, discount, strict=False))
    gradient, curvature, total = np.zeros(len(grades)), np.zeros(len(grades)), 0.0
    for i in range(min(truncation, len(grades))):
        for j in range(i + 1, len(grades)):
            if grades[i] == grades[j]:
                continue
            change = abs((gain[i] - gain[j]) * (discount[i] - discount[j])) / ideal
            up, down = (i, j) if grades[i] > grades[j] else (j, i)
            gradient[up] -= change / 2
            gradient[down] += change / 2
            curvature[[i, j]] += change / 4
            total += change
    if total:
        gradient, curvature = (a * math.log2(1 + total) / total for a in (gradient, curvature))
    return gradient * weights, curvature * weights


@settings(max_examples=60)
@given(st.data())
def test_the_first_tree_takes_newtons_step_of_the_weighted_lists(data):
    """Gains, truncation, groups and weights at once: any of them wrong moves the leaves."""
    lists = data.draw(
        st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=7), min_size=1, max_size=4)
    )
    truncation = data.draw(st.integers(1, 7))
    grades = np.concatenate(lists)
    side = np.array(data.draw(st.lists(st.booleans(), min_size=len(grades), max_size=len(grades))))
    weights = np.array([data.draw(st.sampled_from([1.0, 0.5, 3.0])) for _ in grades])
    ends = np.cumsum([len(one) for one in lists])[:-1]
    steps = [
        first_step(one, own, truncation)
        for one, own in zip(lists, np.split(weights, ends), strict=True)
    ]
    gradient, curvature = (np.concatenate(parts) for parts in zip(*steps, strict=True))
    # Three times the same is the same step, and enough of each value for a bin of its own.
    lengths = [len(one) for one in lists]
    train = queries(*(np.tile(part, 3) for part in (side, lengths, grades, weights)))
    trees, _ = grow(train, None, replace(ONE_SPLIT, truncation=truncation))
    found = trees.predict(train.x)[: len(side)]
    if len(set(found)) == 1:  # no split: LightGBM asks a leaf for curvature, and a split for gain
        sums = [(gradient[s].sum(), curvature[s].sum()) for s in (side, ~side)]
        gain = sum(g**2 / h for g, h in sums if h) - (
            gradient.sum() ** 2 / curvature.sum() if curvature.sum() else 0
        )
        assert gain < 1e-6 or min(h for _, h in sums) < 2e-3
        return
    for chosen in (side, ~side):
        expected = -0.5 * gradient[chosen].sum() / curvature[chosen].sum()
        assert found[chosen] == pytest.approx(np.full(chosen.sum(), expected), rel=1e-4, abs=1e-6)


def test_a_preference_weighs_as_it_is_told():
    """A list says that a is better, a pair of weight w that b is: the step is 2 (1 - w)/(1 + w)."""
    rows = [[1.0], [0.0]]
    for weight in (0.5, 3.0):
        source = queries(rows, [2], [1, 0])
        target = np.array([[5.0], [0.0], [1.0]], np.float32)
        both = with_pairs(source, target, [1, 2], [np.empty((0, 2), int), [[0, 1]]], weight)
        assert both.x.tolist() == [[1], [0], [0], [1]]
        assert both.lengths.tolist() == [2, 2] and both.grades.tolist() == [1, 0, 1, 0]
        assert both.weights.tolist() == [1, 1, weight, weight]
        trees, _ = grow(both, None, ONE_SPLIT)
        step = 0.5 * 2 * (1 - weight) / (1 + weight)
        assert trees.predict(source.x) == pytest.approx([step, -step], rel=1e-6)


def test_each_pair_is_a_list_of_its_own():
    x = np.arange(14, dtype=np.float32).reshape(7, 2)
    source = queries([[0, 0], [1, 1], [2, 2]], [3], [2, 0, 1])
    pairs = [np.array([[2, 0], [2, 1]]), np.array([[1, 3]])]
    both = with_pairs(source, x, [3, 4], pairs, 0.25)
    assert both.lengths.tolist() == [3, 2, 2, 2]
    assert both.grades.tolist() == [2, 0, 1, 1, 0, 1, 0, 1, 0]
    assert np.array_equal(both.x[3:], x[[2, 0, 2, 1, 4, 6]])
    assert both.weights.tolist() == [1, 1, 1] + [0.25] * 6


def made_up(n_lists=40, noise=0.1, seed=0) -> Queries:
    """Lists of 1 to 12 items, whose grade is that of the first of five columns."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(1, 13, n_lists)
    x = draw.normal(size=(lengths.sum(), 5)).astype(np.float32)
    worth = x[:, 0] + noise * draw.normal(size=len(x))
    return Queries(x, lengths, np.digitize(worth, [0.3, 1.0]))


def mean_ndcg(trees, of: Queries, k: int) -> float:
    values = ndcg(trees.predict(of.x), of.grades, np.cumsum([0, *of.lengths]), [k])
    return float(np.nanmean(values))


@pytest.mark.parametrize("objective", ["lambdarank", "xendcg"])
def test_trees_end_where_dev_was_best(objective):
    train, dev = made_up(), made_up(20, 1.0, 1)
    options = replace(SMALL, objective=objective, trees=80, patience=15)
    trees, metrics = grow(train, dev, options)
    values = [entry["dev_ndcg@5"] for entry in metrics]
    best = int(np.argmax(values)) + 1
    assert [entry["trees"] for entry in metrics] == list(range(1, len(metrics) + 1))
    assert len(metrics) == min(best + 15, 80)
    kept = lgb.Booster(model_str=trees.model_to_string())
    assert kept.num_trees() == best
    for k in (1, 5, 20):
        found = metrics[best - 1][f"dev_ndcg@{k}"]
        assert found == pytest.approx(mean_ndcg(kept, dev, k), abs=1e-15)
    # What dev does not decide: without it, all trees stay.
    every, none = grow(train, None, options)
    assert (every.num_trees(), none) == (80, [])
    assert mean_ndcg(every, train, 5) > 0.97


def test_both_objectives_and_seeds_give_trees_of_their_own():
    train = made_up()
    drawn = replace(SMALL, column_share=0.4, trees=10)
    texts = {
        grow(train, None, options)[0].model_to_string()
        for options in (drawn, replace(drawn, seed=1), replace(drawn, objective="xendcg"))
    }
    assert len(texts) == 3
    again = grow(train, None, replace(drawn, seed=1))[0].model_to_string()
    assert again in texts


def test_lists_that_do_not_fit_are_refused():
    good = made_up(3)
    for wrong in (
        good._replace(lengths=good.lengths + 1),
        good._replace(grades=good.grades[1:]),
        good._replace(x=good.x[:, 0]),
        good._replace(weights=np.ones(3)),
        good._replace(lengths=np.array([0, *good.lengths])),
    ):
        with pytest.raises(ValueError, match=r"in lists|its weight"):
            grow(wrong, None, SMALL)
        with pytest.raises(ValueError, match=r"in lists|its weight"):
            grow(good, wrong, SMALL)
    with pytest.raises(UserError, match="target_dev"):
        grow(good, good._replace(grades=0 * good.grades), SMALL)


@pytest.fixture(scope="module")
def data(filled) -> TrainingData:
    return training_data(filled, "R1", 40, FeatureStore.of(filled))


def without_pairs(data: TrainingData) -> TrainingData:
    return TrainingData(data.graded, data.dev)


def fitted(data, tmp_path, options=SMALL) -> LambdaMARTRanker:
    ranker = LambdaMARTRanker(options)
    ranker.fit(data, tmp_path)
    return ranker


def files_of(ranker, folder) -> dict[str, bytes]:
    ranker.save(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_it_learns_ten_records_by_heart(data, tmp_path):
    ten = TrainingData(data.graded[:10], data.graded[:10])
    ranker = fitted(ten, tmp_path, replace(SMALL, trees=300, patience=300, min_data=1))
    scores = np.concatenate([ranker.score(item.record) for item in ten.graded])
    grades = np.concatenate([item.grades for item in ten.graded])
    offsets = np.cumsum([0, *(len(item.grades) for item in ten.graded)])
    assert np.nanmin(ndcg(scores, grades, offsets, [20])) > 0.99


def test_what_is_saved_is_equal_bytes_and_scores_alike(data, tmp_path):
    ranker = fitted(data, tmp_path)
    first = files_of(ranker, tmp_path / "a")
    assert set(first) == {"trees.txt", "components.safetensors", "training.json"}
    assert files_of(fitted(data, tmp_path), tmp_path / "b") == first
    loaded = LambdaMARTRanker.load(tmp_path / "a")
    assert files_of(loaded, tmp_path / "c") == first
    assert loaded.options == SMALL and loaded.metrics == ranker.metrics
    for item in (*data.dev, *data.graded):
        scores = ranker.score(item.record)
        assert np.array_equal(loaded.score(item.record), scores)
        assert len(set(scores)) > 1
    best = max(entry["dev_ndcg@5"] for entry in ranker.metrics)
    scores = np.concatenate([loaded.score(item.record) for item in data.dev])
    grades = np.concatenate([item.grades for item in data.dev])
    offsets = np.cumsum([0, *(len(item.grades) for item in data.dev)])
    assert np.nanmean(ndcg(scores, grades, offsets, [5])) == pytest.approx(best, abs=1e-12)


def test_what_trees_read(data, tmp_path):
    """Each block's components, of training, and the scalars as they are; each under its name."""
    ranker = fitted(without_pairs(data), tmp_path)
    record = data.dev[0].record
    parts = blocks(12, 8)
    train = np.concatenate([label_vectors(item.record) for item in data.graded])
    vectors = label_vectors(record)
    expected = []
    for name in ("label", "text", "frames", "product"):
        block = train[:, parts[name]].astype(np.float64)
        centred = block - block.mean(0)
        directions = np.linalg.svd(centred, full_matrices=False)[2][:5]
        signs = np.sign(directions[np.arange(5), np.abs(directions).argmax(1)])
        own = vectors[:, parts[name]] - block.mean(0)
        expected.append(own @ (directions * signs[:, None]).T)
    expected.append(vectors[:, parts["scalars"]])
    x = np.concatenate(expected, axis=1).astype(np.float32)
    assert ranker._reduced(vectors, parts) == pytest.approx(x, abs=1e-4)
    names = [f"{name}_{i}" for name in ("label", "text", "frames", "product") for i in range(5)]
    assert ranker.trees.feature_name() == names + [f"scalars_{i}" for i in range(9)]


def test_a_score_is_the_labels_own(data, tmp_path):
    ranker = fitted(data, tmp_path)
    record = data.dev[0].record
    turned = replace(record, labels=record.labels[::-1], sources=record.sources[::-1])
    assert np.array_equal(ranker.score(turned), ranker.score(record)[::-1])


def share_right(ranker, data) -> float:
    right = []
    for item in data.pairs:
        better, worse = ranker.score(item.record)[item.pairs].T
        right += (better > worse).tolist()
    return float(np.mean(right))


def test_pairs_of_the_target_are_learned(data, tmp_path):
    # The pairs turned round, so that the source's grades say the opposite.
    turned = [replace(item, pairs=item.pairs[:, ::-1]) for item in data.pairs]
    against = replace(data, pairs=tuple(turned), dev=data.graded)
    options = replace(SMALL, patience=60)
    without = share_right(fitted(without_pairs(against), tmp_path, options), against)
    light, heavy = (
        share_right(
            fitted(against, tmp_path, replace(options, trees=40, pair_weight=weight)), against
        )
        for weight in (1e-3, 1e3)
    )
    assert without < 0.5 and light < 0.5 and heavy > 0.9


@pytest.mark.parametrize("name", ["trees.txt", "components.safetensors", "training.json"])
@pytest.mark.parametrize("damage", ["none", "cut", "changed", "empty"])
def test_a_damaged_ranker_is_named(name, damage, data, tmp_path):
    folder = tmp_path / "saved"
    fitted(data, tmp_path, replace(SMALL, trees=3)).save(folder)
    path = folder / name
    content = path.read_bytes()
    if damage == "none":
        path.unlink()
    elif damage == "changed":
        path.write_bytes(content.replace(b"o", b"p", 1))
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    with pytest.raises(UserError, match=r"saved: not a trained ranker .* train again"):
        LambdaMARTRanker.load(folder)


def test_untrained_it_neither_scores_nor_saves(tmp_path):
    record = Record("tt1_0000", "target", ("dog",), ("image",), (), "")
    with pytest.raises(ValueError, match="neither trained"):
        LambdaMARTRanker().score(record)
    with pytest.raises(ValueError, match="neither trained"):
        LambdaMARTRanker().save(tmp_path)
