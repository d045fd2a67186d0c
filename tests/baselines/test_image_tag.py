"""The image tagger's scores as a ranker, from the table of candidates to predictions."""

import shutil

import numpy as np
import pytest
from tiny_corpus import write_table

from baselines.data import Record, load_records, subset
from baselines.image_tag import NOT_SEEN, ImageTagRanker, with_tag_scores
from lrmovienet.cli import main
from lrmovienet.errors import UserError
from lrmovienet.workspace import Workspace


def image(score, model="tagger"):
    return {"kind": "image", "model": model, "score": score}


def text(kind="event", score=None):
    return {"kind": kind, "model": "writer", "score": score}


@pytest.fixture
def workspace(filled, tmp_path) -> Workspace:
    return Workspace(shutil.copytree(filled.root, tmp_path / "w"))


def give(workspace, sources, table="candidates"):
    """A table of candidates with these sources of each label of each clip."""
    rows = {(row["clip_id"], row["label"]) for row in workspace.read("records").to_pylist()}
    write_table(workspace, table, [
        {"clip_id": clip_id, "label": label, "position": i, "sources": sources(clip_id, label)}
        for i, (clip_id, label) in enumerate(sorted(rows))
    ])  # fmt: skip


def score_of(clip_id, label):
    """Some number that is the label's own in the clip, exact in single precision."""
    return (sum(map(ord, clip_id + label)) % 64) / 64


def test_the_best_of_the_image_and_nothing_of_the_text(workspace):
    cases = {
        "dog": [image(0.25)],
        "car": [image(0.25), text(score=0.99), image(0.5, "another")],
        "rain": [text("entity", 0.875), image(0.0)],
        "fear": [text(score=0.75)],
        "man": [image(None), image(0.125)],
    }
    expected = {"dog": 0.25, "car": 0.5, "rain": 0.0, "fear": NOT_SEEN, "man": 0.125}
    give(workspace, lambda _, label: cases.get(label, [image(1.0)]))
    records = load_records(workspace, "source_train", None)
    seen = set()
    for before, record in zip(records, with_tag_scores(workspace, records), strict=True):
        assert (record.labels, before.tag_scores) == (before.labels, None)
        scores = ImageTagRanker().score(record)
        assert scores.dtype == np.float64
        assert scores.tolist() == [expected.get(label, 1.0) for label in record.labels]
        seen |= {*record.labels}
    assert seen >= {*cases}


def test_a_part_of_a_record_keeps_its_scores(workspace):
    give(workspace, lambda clip_id, label: [image(score_of(clip_id, label))])
    record = with_tag_scores(workspace, load_records(workspace, "target_test", None))[0]
    part = subset(record, [2, 0])
    assert part.labels == (record.labels[2], record.labels[0])
    assert part.tag_scores == (record.tag_scores[2], record.tag_scores[0])


def test_screened_candidates_come_before_all(workspace):
    give(workspace, lambda *_: [image(0.25)])
    give(workspace, lambda *_: [image(0.75)], "screened")
    found = with_tag_scores(workspace, load_records(workspace, "target_dev", None))
    assert {score for record in found for score in record.tag_scores} == {0.75}


def test_tags_without_scores_and_labels_that_are_not_there_are_refused(workspace):
    records = load_records(workspace, "target_test", None)
    clip_id, label = records[0].clip_id, records[0].labels[0]

    def odd(*name):
        return [image(None if name == (clip_id, label) else 0.5)]

    give(workspace, odd)
    with pytest.raises(UserError, match=f"'{label}' of clip {clip_id} was tagged without a score"):
        with_tag_scores(workspace, records)
    other = Record(clip_id, "target", ("unheard of",), ("image",), (), "")
    with pytest.raises(UserError, match=r"'unheard of' of clip .* is not there"):
        with_tag_scores(workspace, [other])
    with pytest.raises(ValueError, match="without the taggers' scores"):
        ImageTagRanker().score(other)


def test_verbs_follow_the_table(workspace, capsys):
    root = str(workspace.root)
    train = ["train", "image-tag", "--workspace", root]
    predict = ["predict", "--ranker", "image-tag", "--workspace", root]
    assert main(train) == 2
    assert "releases do not carry it" in capsys.readouterr().err
    assert not (workspace.root / "rankers" / "image-tag").exists()
    give(workspace, lambda clip_id, label: [image(score_of(clip_id, label))])
    assert main(train) == 0 and main(predict) == 0
    rows = workspace.read("predictions/target_test/image-tag").to_pylist()
    assert len(rows) > 10
    assert all(row["score"] == score_of(row["clip_id"], row["label"]) for row in rows)
    capsys.readouterr()
    assert main(predict) == 0 and "up to date" in capsys.readouterr().out
    # Other scores of the same candidates: the records are the same, the predictions are not.
    give(workspace, lambda clip_id, label: [image(1 - score_of(clip_id, label))])
    assert main(train) == 0 and "up to date" in capsys.readouterr().out
    assert main(predict) == 0
    again = workspace.read("predictions/target_test/image-tag").to_pylist()
    assert [row["score"] for row in again] == [1 - row["score"] for row in rows]


def test_what_is_saved_can_be_loaded(tmp_path):
    ImageTagRanker().save(tmp_path / "saved")
    ImageTagRanker.load(tmp_path / "saved")
    with pytest.raises(UserError, match="train again"):
        ImageTagRanker.load(tmp_path / "none")
