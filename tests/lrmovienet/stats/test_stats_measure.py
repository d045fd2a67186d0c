"""The numbers of a release: by hand, against pandas, and how they hang together."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stats_releases import GENRES, clip, label_rows, small_release

from lrmovienet.errors import UserError
from lrmovienet.stats.measure import measure


def test_the_numbers_of_a_small_release_by_hand(release):
    # f4_0000 has no record at all, and no genre; f1_0001 is in both domains.
    found = measure(release)
    assert found["totals"] == {"clips": 5, "films": 3, "labels": 12, "classes": 8}
    assert found["without_genre"] == 1
    # Drama: f1_0000, f1_0001, f3_0000; War: f1_0001, f2_0000, f3_0000. Equal counts go by name.
    # Drama's labels: rain car dog house tank mud helmet smoke; War's: all but car and dog.
    assert list(found["genres"].items()) == [
        ("Drama", {"clips": 3, "classes": 8}), ("War", {"clips": 3, "classes": 6}),
    ]  # fmt: skip
    # tank: 3 times; rain, mud: twice; car, dog, house, helmet, smoke: once.
    assert found["frequencies"] == {"1": 5, "2": 2, "3": 1}
    assert found["labels_per_record"] == {"source": {"2": 1, "3": 1}, "target": {"2": 2, "3": 1}}


def test_the_splits_by_hand(release):
    splits = measure(release)["splits"]
    assert list(splits) == ["source_train", "target_pairs", "target_test"]  # an empty one is no row
    assert splits["source_train"] == {
        "records": 2, "clips": 2, "films": 1, "labels": 5, "classes": 4,
        "labels_a_record": {"least": 2, "mean": 2.5, "most": 3},
        "grades": {"low": 3, "medium": 1, "high": 1},
    }  # fmt: skip
    assert splits["target_pairs"] == {
        "records": 2, "clips": 2, "films": 2, "labels": 5, "classes": 3,
        "labels_a_record": {"least": 2, "mean": 2.5, "most": 3},
        "grades": {"low": 0, "medium": 0, "high": 0},
    }  # fmt: skip


def test_the_grades_by_hand(release):
    found = measure(release)
    # Of f1_0001, seen in both sets, only the source labels have grades: rain 0 and house 0.
    assert found["grades_by_genre"] == {
        "Drama": {"low": 3, "medium": 2, "high": 2}, "War": {"low": 2, "medium": 1, "high": 1},
    }  # fmt: skip
    assert found["grades_by_source"] == {
        "entity": {"low": 1, "medium": 0, "high": 0},
        "event": {"low": 0, "medium": 0, "high": 2},
        "image": {"low": 2, "medium": 2, "high": 0},
    }


def test_the_pairs_by_hand(release):
    # Records of target_pairs: one of three labels, one of two: 3 + 1 pairs. Subsets are nested.
    assert measure(release)["pairs"] == {
        "possible": 4,
        "pairs": {"pct5": 1, "pct10": 2, "pct20": 2, "pct40": 3},
        "share": {"pct5": 0.25, "pct10": 0.5, "pct20": 0.5, "pct40": 0.75},
    }


def test_a_release_without_pairs_has_none(tmp_path):
    rows = [row for row in label_rows() if row["split"] == "source_train"]
    pairs = measure(small_release(tmp_path, labels=rows, pairs=[]))["pairs"]
    assert pairs["possible"] == 0
    assert set(pairs["pairs"].values()) == {0}
    assert set(pairs["share"].values()) == {None}


def test_more_clips_go_first_whatever_their_name(tmp_path):
    clips = [clip("f1_0000", ["Zebra"]), clip("f2_0000", ["Zebra", "Ant"])]
    rows = label_rows("f1_0000 source source_train rain 1 image", {"f1_0000": ["Zebra"]})
    assert list(measure(small_release(tmp_path, rows, clips, []))["genres"]) == ["Zebra", "Ant"]


def test_a_damaged_file_is_an_error(release):
    path = release.root / "relevance" / "source_train.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(UserError, match=r"source_train\.parquet: damaged"):
        measure(release)


def test_pandas_counts_the_same_on_a_generated_corpus(generated):
    release, _ = generated
    found = measure(release)
    rows = pd.concat(
        [pd.read_parquet(path) for path in sorted((release.root / "relevance").glob("*.parquet"))]
    )
    clips = pd.read_parquet(release.root / "clips" / "clips.parquet")
    assert found["totals"] == {
        "clips": clips["clip_id"].nunique(), "films": rows["movie_id"].nunique(),
        "labels": len(rows), "classes": rows["label"].nunique(),
    }  # fmt: skip
    by_genre = rows.explode("genres")
    counted = pd.DataFrame(
        {
            "clips": clips.explode("genres").groupby("genres")["clip_id"].nunique(),
            "classes": by_genre.groupby("genres")["label"].nunique(),
        }
    )
    assert found["genres"] == counted.to_dict("index")
    assert len(found["genres"]) > 5
    times = rows["label"].value_counts().value_counts()
    assert found["frequencies"] == {str(n): count for n, count in sorted(times.items())}
    names = {0: "low", 1: "medium", 2: "high"}
    for column, key in (("genres", "grades_by_genre"), ("source", "grades_by_source")):
        graded = pd.crosstab(by_genre[column] if column == "genres" else rows[column],
                             (by_genre if column == "genres" else rows)["grade"])  # fmt: skip
        graded = graded.reindex(columns=[0, 1, 2], fill_value=0).rename(columns=names)
        given_ = {name: of for name, of in found[key].items() if any(of.values())}
        assert given_ == graded.to_dict("index")
    for split, of in rows.groupby("split"):
        sizes = of.groupby(["clip_id", "domain"]).size()
        one = found["splits"][split]
        assert (one["records"], one["labels"]) == (len(sizes), sizes.sum())
        assert one["films"] == of["movie_id"].nunique()
        assert one["classes"] == of["label"].nunique()
        assert one["labels_a_record"] == {
            "least": sizes.min(), "mean": round(sizes.mean(), 2), "most": sizes.max(),
        }  # fmt: skip
    sizes = rows[rows["split"] == "target_pairs"].groupby("clip_id").size()
    assert found["pairs"]["possible"] == int(np.sum(sizes * (sizes - 1) / 2))


SPLITS = st.sampled_from(
    [("source", "source_train"), ("target", "target_dev"), ("target", "target_test")]
)
LABEL = st.tuples(SPLITS, st.sampled_from(list(GENRES)), st.sampled_from("abcdefg"),
                  st.integers(0, 2), st.sampled_from(["image", "event", "entity"]))  # fmt: skip


@given(st.lists(LABEL, min_size=1, max_size=40, unique_by=lambda x: (x[0][0], x[1], x[2])))
@settings(max_examples=25)
def test_the_parts_sum_to_the_whole(tmp_path_factory, labels):
    text = "\n".join(
        f"{clip_id} {domain} {split} {label} {grade} {source}"
        for (domain, split), clip_id, label, grade, source in labels
    )
    found = measure(small_release(tmp_path_factory.mktemp("rel"), label_rows(text)))
    splits = found["splits"].values()
    assert sum(of["labels"] for of in splits) == found["totals"]["labels"] == len(labels)
    assert sum(sum(of["grades"].values()) for of in splits) == len(labels)
    assert sum(sum(of.values()) for of in found["grades_by_source"].values()) == len(labels)
    weights = sum(len(GENRES[clip_id]) for _, clip_id, *_ in labels)
    assert sum(sum(of.values()) for of in found["grades_by_genre"].values()) == weights
    assert sum(found["frequencies"].values()) == found["totals"]["classes"]
    assert sum(int(n) * k for n, k in found["frequencies"].items()) == len(labels)
    sizes = found["labels_per_record"].values()
    assert sum(int(n) * k for of in sizes for n, k in of.items()) == len(labels)
    counts = [of["clips"] for of in found["genres"].values()]
    assert counts == sorted(counts, reverse=True)
    assert all(of["classes"] <= found["totals"]["classes"] for of in found["genres"].values())
