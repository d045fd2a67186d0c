"""`lrmovienet tag` with the packaged model: each frame once, whatever happens to the run."""

import functools
import hashlib
import io
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from tagged import (
    demo_frames,
    dropped,
    five_clips,
    labels,
    of_clip,
    put,
    tag,
    workspace_of,
    written,
)
from tagged import write_clips as rewrite_clips

from lrmovienet.runner.local import run_once
from lrmovienet.tagging import efficientnet_lite
from lrmovienet.tagging.efficientnet_lite import EfficientNetLite0
from lrmovienet.tagging.imagenet import TAGGER, ImageNetTagger, weights_sha256
from lrmovienet.workspace import Workspace

BLACK = io.BytesIO()
Image.new("RGB", (32, 18)).save(BLACK, "jpeg")
BLACK = BLACK.getvalue()


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # waiting threads slow each other down when a machine is busy
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def model(monkeypatch):
    """What the real model is asked: how often it is loaded, and the size of each batch."""
    forward, load = EfficientNetLite0.forward, efficientnet_lite.load_packaged
    asked = type("Asked", (), {"loads": 0, "batches": []})()

    def counted_load():
        asked.loads += 1
        return load()

    def counted(self, x):
        asked.batches.append(len(x))
        return forward(self, x)

    monkeypatch.setattr(EfficientNetLite0, "forward", counted)
    monkeypatch.setattr(efficientnet_lite, "load_packaged", counted_load)
    return asked


@pytest.fixture
def scored(model):
    """How many frames the model has scored since the last look; whether it was loaded."""

    def look():
        seen = (sum(model.batches), model.loads)
        model.batches, model.loads = [], 0
        return seen

    return look


@functools.cache
def model_scores():
    """Label -> score of each of the six frames, by the model alone."""
    tagger = ImageNetTagger("any")
    rows = [tagger.scores(tagger.pixels(jpeg)[None])[0] for jpeg in demo_frames()]
    return [dict(zip(tagger.labels, row.tolist(), strict=True)) for row in rows]


def test_the_table_by_hand_from_the_models_scores(tmp_path, capsys):
    five_clips(tmp_path)
    assert tag(tmp_path, "--floor", 0.03) == 0
    a, b, c, d, e, f = model_scores()
    clips = {"tt1_0001": [a, b], "tt2_0001": [d, e], "tt3_0001": [a, a], "tt1_0002": [c],
             "tt2_0002": [f, d]}  # fmt: skip
    rows = labels(tmp_path)
    assert capsys.readouterr().out.startswith(f"image_labels: {len(rows)} rows, ")
    assert list(dict.fromkeys(r["clip_id"] for r in rows)) == list(clips)
    for clip_id, frames in clips.items():
        of = {r["label"]: r for r in rows if r["clip_id"] == clip_id}
        assert set(of) == {x for x in a if max(frame[x] for frame in frames) >= 0.03}
        for label, row in of.items():
            expected = [frame[label] if frame[label] >= 0.03 else None for frame in frames]
            assert len(row["frame_scores"]) == len(frames)
            for given, wanted in zip(row["frame_scores"], expected, strict=True):
                assert (given is None) == (wanted is None)
                assert given is None or given == np.float32(round(wanted, 4))
            assert row["score"] == max(s for s in row["frame_scores"] if s is not None)
            assert row["frames_hit"] == sum(s is not None for s in expected)
            assert row["threshold"] == np.float32(0.05)
            assert row["tagger"] == TAGGER
        assert list(of) == sorted(of, key=lambda x: (-of[x]["score"], x))
    counts = {(len(r["frame_scores"]), r["frames_hit"]) for r in rows}
    assert counts == {(1, 1), (2, 1), (2, 2)}  # all occur, so the count is tested


def test_the_manifest_says_how(tmp_path):
    five_clips(tmp_path)
    tag(tmp_path)
    manifest = Workspace(tmp_path).require("image_labels")
    assert manifest.models == {TAGGER: weights_sha256()}
    assert manifest.inputs == {"clips": Workspace(tmp_path).require("clips").digest}
    assert manifest.config == {"tagger": "imagenet", "floor": 0.02, "precision": "fp32"}


def test_each_picture_is_scored_once_over_clips_shards_and_runs(tmp_path, scored, capsys):
    keyframes = five_clips(tmp_path)
    tag(tmp_path, "--shard_size", 2)
    assert scored() == (6, 1)  # of nine
    tag(tmp_path, "--shard_size", 2)
    assert "up to date" in capsys.readouterr().out
    assert scored() == (0, 0)
    tag(tmp_path, "--shard_size", 3)  # other parts of the same clips
    assert scored() == (0, 0)
    new = io.BytesIO()
    Image.new("RGB", (99, 55), (200, 30, 30)).save(new, "jpeg")
    keyframes["tt4_0001"] = [
        keyframes["tt1_0001"][0],
        put(tmp_path / "frames", "tt4/shot_0000_img_1.jpg", new.getvalue()),
    ]
    rewrite_clips(tmp_path, keyframes)
    tag(tmp_path, "--shard_size", 2)
    assert scored() == (1, 1)
    assert of_clip(tmp_path, "tt4_0001")


def test_the_same_picture_in_two_films_is_scored_once(tmp_path, scored):
    a = demo_frames()[0]
    workspace_of(tmp_path, {"tt1_0001": [a], "tt2_0001": [a]})
    tag(tmp_path, "--shard_size", 1)
    assert scored() == (1, 1)
    assert [r["label"] for r in of_clip(tmp_path, "tt1_0001")] == [
        r["label"] for r in of_clip(tmp_path, "tt2_0001")
    ]


def test_another_floor_scores_anew_and_the_old_one_is_remembered(tmp_path, scored):
    five_clips(tmp_path)
    tag(tmp_path, "--floor", 0.02)
    low, first = labels(tmp_path), written(tmp_path)
    assert scored() == (6, 1)
    tag(tmp_path, "--floor", 0.2)
    assert scored() == (6, 1)
    assert 0 < len(labels(tmp_path)) < len(low)
    tag(tmp_path, "--floor", 0.02)
    assert scored() == (0, 0)
    assert written(tmp_path) == first


def test_other_weights_score_anew(tmp_path, monkeypatch, scored):
    five_clips(tmp_path)
    tag(tmp_path)
    old = labels(tmp_path)
    path = tmp_path / "other.pth"
    state = torch.load(efficientnet_lite.weights_file(), weights_only=True)
    state["_fc.bias"][457] += 9.0  # sees bow ties everywhere
    torch.save(state, path)
    monkeypatch.setattr(efficientnet_lite, "weights_file", lambda: path)
    scored()
    assert tag(tmp_path) == 0
    assert scored() == (6, 1)
    assert labels(tmp_path) != old
    assert {r["clip_id"] for r in labels(tmp_path) if r["label"] == "bow tie"} == {
        r["clip_id"] for r in old
    }
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert Workspace(tmp_path).require("image_labels").models == {TAGGER: sha256}


def test_a_cache_without_table_and_a_table_without_cache(tmp_path, scored):
    five_clips(tmp_path)
    tag(tmp_path, "--shard_size", 2)
    first, cache = written(tmp_path), tmp_path / "cache" / "frames.sqlite"
    scored()
    shutil.rmtree(tmp_path / "image_labels")
    assert tag(tmp_path, "--shard_size", 2) == 0
    assert scored() == (0, 0)
    assert written(tmp_path) == first
    cache.unlink()
    assert tag(tmp_path, "--shard_size", 2) == 0
    assert scored() == (0, 0)
    assert written(tmp_path) == first
    part = tmp_path / "image_labels" / "part-00001.parquet"
    part.write_bytes(part.read_bytes()[:-9])  # of which the frames are needed again
    assert tag(tmp_path, "--shard_size", 2) == 0
    assert scored()[0] == 2  # tt3_0001 shows a twice, tt1_0002 shows c
    assert written(tmp_path) == first


def test_batches_threads_and_shards_make_the_same_rows(tmp_path):
    five_clips(tmp_path)
    before = torch.get_num_threads()
    tables, bytes_of = [], []
    try:
        for threads, batch_size, shard_size in ((1, 1, 64), (2, 1, 64), (3, 4, 64), (2, 50, 1)):
            torch.set_num_threads(threads)
            shutil.rmtree(tmp_path / "cache", ignore_errors=True)
            shutil.rmtree(tmp_path / "image_labels", ignore_errors=True)
            options = ("--batch_size", batch_size, "--shard_size", shard_size)
            assert tag(tmp_path, *options) == 0
            assert torch.get_num_threads() == threads
            tables.append(labels(tmp_path))
            bytes_of.append(written(tmp_path))
    finally:
        torch.set_num_threads(before)
    assert tables[1:] == tables[:1] * 3
    assert bytes_of[0] == bytes_of[1] == bytes_of[2]


def test_batch_size_is_what_the_model_gets(tmp_path, model):
    five_clips(tmp_path)
    tag(tmp_path, "--batch_size", 4)
    assert sorted(model.batches) == [2, 4]


def test_a_clip_without_any_label_says_so(tmp_path, scored):
    five_clips(tmp_path)
    assert tag(tmp_path, "--floor", 0.99) == 0
    assert labels(tmp_path) == []
    best = [max(s.items(), key=lambda x: x[1]) for s in model_scores()]
    expected = {"tt1_0001": max(best[:2], key=lambda x: x[1]), "tt1_0002": best[2]}
    reasons = dict(dropped(tmp_path))
    assert set(reasons) == {"tt1_0001", "tt2_0001", "tt3_0001", "tt1_0002", "tt2_0002"}
    for clip_id, (label, score) in expected.items():
        assert reasons[clip_id] == (
            f"no label reaches the floor 0.99 (best: {label!r}, {score:.4f})"
        )
    scored()
    tag(tmp_path, "--floor", 0.99)  # said once; it is no failure that is tried again
    assert scored() == (0, 0)


@pytest.mark.parametrize("how", ["missing", "no image", "another image", "no film"])
def test_a_bad_frame_costs_its_clip_until_it_is_mended(tmp_path, scored, how, capsys):
    a, b, _, d, e, _ = demo_frames()
    workspace_of(tmp_path, {"tt1_0001": [a, b], "tt2_0001": [d, e], "tt3_0001": [b]})
    good = tmp_path / "unbroken"
    shutil.copytree(tmp_path, good)
    tag(good)
    bad = tmp_path / "frames/240P/tt2/shot_0001_img_1.jpg"
    assert bad.read_bytes() == e
    if how == "missing":
        bad.unlink()
    elif how == "no film":
        bad.parent.rename(tmp_path / "away")
    elif how == "another image":
        bad.write_bytes(a)
    else:
        keyframes = [put(tmp_path / "frames", "tt2/shot_0001_img_1.jpg", e[: len(e) // 2])]
        clips = Workspace(tmp_path).read("clips").to_pydict()
        old = dict(zip(clips["clip_id"], clips["keyframes"], strict=True))
        rewrite_clips(tmp_path, {**old, "tt2_0001": [old["tt2_0001"][0], *keyframes]})
    assert tag(tmp_path) == 0
    scored()
    assert {r["clip_id"] for r in labels(tmp_path)} == {"tt1_0001", "tt3_0001"}
    assert of_clip(tmp_path, "tt1_0001") == of_clip(good, "tt1_0001")
    ((clip_id, reason),) = dropped(tmp_path)
    assert clip_id == "tt2_0001"
    assert "tt2" in reason and len(reason) < 400
    assert "Traceback" not in capsys.readouterr().err
    assert tag(tmp_path) == 0  # tried again, the frames that are known are not scored again
    assert scored()[0] == 0
    if how == "no film":
        (tmp_path / "away").rename(bad.parent)
    elif how == "no image":
        rewrite_clips(tmp_path, old)
    bad.write_bytes(e)
    assert tag(tmp_path) == 0
    assert labels(tmp_path) == labels(good)
    assert dropped(tmp_path) == []


def test_a_clip_whose_own_frames_are_in_place_is_kept(tmp_path):
    """Black frames are alike: that one film lacks its own is nothing to another film."""
    for lacking, whole in (("tt1", "tt2"), ("tt2", "tt1")):
        root = tmp_path / lacking
        workspace_of(root, {"tt1_0001": [BLACK], "tt2_0001": [BLACK]})
        (root / f"frames/240P/{lacking}/shot_0001_img_0.jpg").unlink()
        assert tag(root, "--floor", 0.001) == 0
        assert of_clip(root, f"{whole}_0001")


def test_if_no_frame_is_there_no_table_is_made(tmp_path, capsys):
    workspace_of(tmp_path, {"tt1_0001": demo_frames()[:1]})
    shutil.rmtree(tmp_path / "frames/240P/tt1")
    assert tag(tmp_path) == 2
    assert "1 of 1 failed; the table was not written" in capsys.readouterr().err
    assert not (tmp_path / "image_labels").exists()


def test_fail_fast_stops_at_the_clip(tmp_path, capsys):
    workspace_of(tmp_path, {"tt1_0001": demo_frames()[:1], "tt2_0001": demo_frames()[1:2]})
    (tmp_path / "frames/240P/tt2/shot_0001_img_0.jpg").unlink()
    assert tag(tmp_path, "--fail_fast") == 2
    err = capsys.readouterr().err
    assert "tt2_0001: " in err and "Traceback" not in err
    assert not (tmp_path / "image_labels").exists()


def test_a_damaged_cache_is_named(tmp_path, capsys):
    five_clips(tmp_path)
    tag(tmp_path)
    shutil.rmtree(tmp_path / "image_labels")
    (tmp_path / "cache/frames.sqlite").write_bytes(b"no cache " * 1000)
    assert tag(tmp_path) == 2
    err = capsys.readouterr().err
    assert "frames.sqlite: damaged" in err and "Delete it" in err


def test_a_cache_that_cannot_be_opened_is_one_message(tmp_path, capsys):
    five_clips(tmp_path)
    (tmp_path / "cache/frames.sqlite").mkdir(parents=True)
    assert tag(tmp_path) == 2
    err = capsys.readouterr().err
    assert "cache/frames.sqlite" in err and "Traceback" not in err
    assert not (tmp_path / "image_labels").exists()


def test_nobody_else_writes_meanwhile(tmp_path, capsys):
    five_clips(tmp_path)
    with Workspace(tmp_path).locked():
        assert tag(tmp_path) == 2
    assert "another lrmovienet run is writing here" in capsys.readouterr().err


def test_equal_rows_are_equal_bytes_and_the_columns_are_typed(tmp_path):
    five_clips(tmp_path / "one")
    five_clips(tmp_path / "two")
    tag(tmp_path / "one")
    tag(tmp_path / "two")
    assert written(tmp_path / "one") == written(tmp_path / "two")
    schema = pq.read_schema(tmp_path / "one/image_labels/part-00000.parquet")
    assert str(schema.field("frame_scores").type) in ("list<item: float>", "list<element: float>")
    assert str(schema.field("threshold").type) == "float"


def test_clips_without_pictures_are_refused(tmp_path, capsys):
    columns = {"clip_id": ["tt1_0001"], "movie_id": ["tt1"], "title": [None], "genres": [[]],
               "description": ["A."], "shot": [[0, 1]], "frame": [[0, 9]], "start_s": [None],
               "end_s": [None], "keyframes": [[{"ref": "tt1/x", "sha256": "0"}]]}  # fmt: skip
    run_once(Workspace(tmp_path), "clips", lambda: columns, version="1", inputs={}, config={})
    assert tag(tmp_path) == 2
    assert "made without pictures" in capsys.readouterr().err
