"""What each regime lets a ranker see."""

import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_corpus import fill, grade_of, write_table

from baselines.data import load_graded, load_records, subset, training_data
from lrmovienet.errors import UserError
from lrmovienet.features import FeatureStore


def table(workspace, name):
    return workspace.read(name).to_pylist()


def test_records_in_the_order_of_positions(filled):
    graded = load_graded(filled, "source_train", None)
    assert len(graded) == 16
    assert [g.record.clip_id for g in graded] == sorted(g.record.clip_id for g in graded)
    rows = {(r["clip_id"], r["domain"], r["position"]): r for r in table(filled, "records")}
    for item in graded:
        record = item.record
        assert record.domain == "source"
        assert item.grades.shape == (len(record.labels),)
        for i, label in enumerate(record.labels):
            row = rows[record.clip_id, "source", i]
            assert (label, record.sources[i]) == (row["label"], row["source"])
            assert item.grades[i] == row["grade"] == grade_of(label, record.description)


def test_order_of_rows_does_not_matter(filled, tmp_path):
    workspace = fill(tmp_path)
    rows = table(workspace, "records")
    write_table(workspace, "records", rows[::-1])
    for one, other in zip(
        load_graded(filled, "source_train", None),
        load_graded(workspace, "source_train", None),
        strict=True,
    ):
        assert one.record == other.record
        assert np.array_equal(one.grades, other.grades)


def test_features_are_those_of_the_label(filled):
    store = FeatureStore.of(filled)
    record = load_records(filled, "target_test", store)[0]
    for i, label in enumerate(record.labels):
        assert np.array_equal(record.text(i).tokens, store.text(record.clip_id, label).tokens)
    assert np.array_equal(record.frames, store.frames(record.clip_id))
    part = subset(record, [2, 0])
    assert part.labels == (record.labels[2], record.labels[0])
    assert np.array_equal(part.text(0).tokens, record.text(2).tokens)
    with pytest.raises(ValueError, match="without a feature store"):
        load_records(filled, "target_test", None)[0].text(0)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32))
def test_r0_does_not_change_with_the_targets_grades(tmp_path_factory, seed):
    """Whatever the target's grades and pairs are, R0 stays; dev grades stand apart."""
    root = tmp_path_factory.mktemp("r0")
    workspace = fill(root)
    before = training_data(workspace, "R0", 10, None)
    rng = np.random.default_rng(seed)
    rows = table(workspace, "records")
    for row in rows:
        if row["domain"] == "target":
            row["grade"] = int(rng.integers(0, 3))
    write_table(workspace, "records", rows)
    shutil.rmtree(root / "pairs")  # R0 does not even look for it
    after = training_data(workspace, "R0", 10, None)
    assert (after.pairs, after.unlabelled) == ((), ())
    assert [g.record for g in after.graded] == [g.record for g in before.graded]
    assert all(
        np.array_equal(a.grades, b.grades) for a, b in zip(after.graded, before.graded, strict=True)
    )
    assert {g.record.domain for g in after.graded} == {"source"}
    assert {g.record.clip_id for g in after.dev} == {
        r["clip_id"] for r in rows if r["split"] == "target_dev"
    }


def test_r1_has_the_pairs_up_to_its_percent(filled):
    rows = table(filled, "pairs")
    for percent in (5, 10, 20, 40):
        data = training_data(filled, "R1", percent, None)
        found = {
            (p.record.clip_id, p.record.labels[better], p.record.labels[worse])
            for p in data.pairs
            for better, worse in p.pairs
        }
        assert found == {
            (r["clip_id"], r["better"], r["worse"]) for r in rows if r["percent"] <= percent
        }
        assert data.unlabelled == ()
    with pytest.raises(UserError, match="--percent 15"):
        training_data(filled, "R1", 15, None)


def test_r2_adds_target_records_without_grades(filled):
    data = training_data(filled, "R2", 10, None)
    rows = table(filled, "records")
    assert {r.clip_id for r in data.unlabelled} == {
        r["clip_id"] for r in rows if r["split"] == "target_pairs"
    }
    assert data.pairs and not hasattr(data.unlabelled[0], "grades")


def test_wrong_tables(tmp_path):
    workspace = fill(tmp_path)
    with pytest.raises(UserError, match="in target_pairs has no grade"):
        load_graded(workspace, "target_pairs", None)
    with pytest.raises(UserError, match="no records in the split 'nonsense'"):
        load_records(workspace, "nonsense", None)
    rows = table(workspace, "pairs")
    rows[0]["worse"] = "elephant"
    write_table(workspace, "pairs", rows)
    with pytest.raises(UserError, match=r"'elephant'.* is no label of a record in target_pairs"):
        training_data(workspace, "R1", 40, None)
    rows = table(workspace, "records")
    rows[0]["clip_id"] = "tt99_0000"
    write_table(workspace, "records", rows)
    with pytest.raises(UserError, match="clip tt99_0000 is not in the table clips"):
        load_graded(workspace, "source_train", None)
