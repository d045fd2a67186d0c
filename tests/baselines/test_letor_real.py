"""Real files of learning to rank: two other parsers, and what is known of them."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from plain_letor import parse, same
from sklearn.datasets import load_svmlight_file

from baselines.letor.read import read

DATA = Path(os.environ.get("LRMOVIENET_EXTRA_DATA", ""))
real = pytest.mark.skipif(
    not (DATA / "mq2007_agg").is_dir(),
    reason="LRMOVIENET_EXTRA_DATA is unset: the ranking data are not here",
)
FILES = {
    "mq2007_agg/S1.txt": (14_013, 339, 21), "mq2007_agg/S2.txt": (14_290, 339, 21),
    "mq2007_agg/S3.txt": (13_855, 339, 21), "mq2007_agg/S4.txt": (13_813, 339, 21),
    "mq2008_fold1_part/vali_part.txt": (1_000, 69, 46),
    "mslr_tiny/search_tiny_train.txt": (582, 7, 136),
    "lightgbm_lambdarank/rank.train": (3_005, 201, 301),
    "lightgbm_lambdarank/rank.test": (768, 50, 301),
    "trec_news_2018/trec_news_2018.train": (782, 45, 5),
    "trec_news_2018/trec_news_2018.test": (41, 5, 5),
}  # fmt: skip


def lengths_of(path: Path) -> bytes | None:
    beside = path.with_name(f"{path.name}.query")
    return beside.read_bytes() if beside.exists() else None


@real
@pytest.mark.parametrize("name", FILES)
def test_real_files_as_a_plain_parser_reads_them(name, tmp_path):
    data, lengths = (DATA / name).read_bytes(), lengths_of(DATA / name)
    expected = parse(data, lengths)
    for cache in (None, tmp_path, tmp_path):
        same(read(DATA / name, cache), expected)
    found = read(DATA / name, _chunk=10_007)
    same(found, expected)
    assert (len(found.x), len(found), found.x.shape[1]) == FILES[name]
    packed = tmp_path / "rows.gz"
    packed.write_bytes(gzip.compress(data, 1))
    if lengths is not None:
        packed.with_suffix(".query").write_bytes(lengths)
    same(read(packed), expected)


@real
@pytest.mark.parametrize("name", [name for name in FILES if "agg" not in name])
def test_real_files_as_sklearn_reads_them(name):
    """It knows no NULL."""
    found = read(DATA / name)
    x, grades, queries = load_svmlight_file(
        str(DATA / name), n_features=found.x.shape[1], query_id=True,
        zero_based=not found.first_feature,
    )  # fmt: skip
    np.testing.assert_array_equal(found.x, x.toarray().astype(np.float32))
    assert found.grades.tolist() == grades.tolist()
    if found.first_feature:
        assert (
            np.repeat([int(q) for q in found.queries], found.lengths).tolist() == queries.tolist()
        )


@real
def test_known_facts_of_real_files():
    parts = [read(DATA / f"mq2007_agg/S{i}.txt") for i in range(1, 5)]
    assert sum(np.isnan(p.x).sum() for p in parts) / sum(p.x.size for p in parts) == pytest.approx(
        0.35, abs=0.005
    )
    for part in parts:
        placeholders = np.array([d == "GX000-00-0000000" for d in part.documents])
        assert 153 <= placeholders.sum() <= 185
        assert not part.grades[placeholders].any()
        assert 177 <= np.isnan(part.x).all(1).sum() <= 225
        assert 44 <= (np.maximum.reduceat(part.grades, part.offsets[:-1]) == 0).sum() <= 56
    part = read(DATA / "mq2008_fold1_part/vali_part.txt")
    assert (np.maximum.reduceat(part.grades, part.offsets[:-1]) == 0).sum() == 15
    assert (part.lengths.min(), part.lengths.max(), part.queries[-1]) == (3, 64, "16939")
    assert len(set(part.documents)) == 989
    ours = set(part.documents)
    assert [len(ours & set(p.documents)) for p in parts] == [14, 14, 20, 14]
    mslr = read(DATA / "mslr_tiny/search_tiny_train.txt")
    assert (round(float(mslr.x.min()), 1), float(f"{mslr.x.max():.1e}")) == (-71.7, 1.1e7)
    assert np.bincount(mslr.grades).tolist() == [338, 155, 77, 6, 6]
    assert mslr.queries == ("1", "16", "31", "46", "61", "76", "91")
    train = read(DATA / "lightgbm_lambdarank/rank.train")
    assert not train.x[:, 0].any()
    assert (train.lengths.min(), train.lengths.max()) == (1, 27)
    assert (np.maximum.reduceat(train.grades, train.offsets[:-1]) == 0).sum() == 3


@real
@pytest.mark.parametrize(
    ("name", "shape", "queries"),
    [("web10k_fold1_test_30q", (3_479, 136), 30), ("mq2008_fold1_vali_50q", (389, 46), 50)],
)
def test_real_npz(name, shape, queries):
    path = DATA / f"letor_unlabelled/{name}.npz"
    found = read(path)
    with np.load(path, allow_pickle=False) as arrays:
        assert np.array_equal(found.x, arrays["X"].astype(np.float32))
        ids = np.repeat([int(q) for q in found.queries], found.lengths)
        assert np.array_equal(ids, arrays["qid"])
    assert (found.x.shape, len(found), found.grades) == (shape, queries, None)
