"""Frames are scored once each, in order; a clip's rows by hand from its frames' scores."""

import hashlib
import threading
import time
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tagged import demo_frames, put

from lrmovienet.errors import ItemError
from lrmovienet.keyframes import KeyframeReader
from lrmovienet.schema import IMAGE_LABELS
from lrmovienet.tagging.frames import ENTRY, ClipLabels, FrameTags, side_by_side
from lrmovienet.tagging.imagenet import ImageNetTagger
from lrmovienet.validation import from_columns


@dataclass
class Told:
    """A tagger of three labels that finds its scores written in the frame itself."""

    weights: str = "w"
    name: str = "told"
    labels: tuple = ("dog", "cat", "sky")
    thresholds: tuple = (0.5, 0.6, 0.7)
    batches: list = field(default_factory=list)
    loaded: int = 0

    @property
    def identity(self):
        return {"name": self.name, "weights": self.weights}

    def load(self):
        self.loaded += 1

    def pixels(self, jpeg):
        try:
            scores = [float(word) for word in jpeg.split()]
        except ValueError:
            raise ItemError("no scores in it") from None
        return torch.tensor(scores[:3], dtype=torch.float32)

    def scores(self, batch):
        self.batches.append(len(batch))
        return batch.numpy()


def frame(root, number, text):
    return put(root / "frames", f"tt1/shot_{number:04d}_img_1.jpg", text.encode())


def made(root, frames, floor, batch_size=2, tagger=None):
    """Frames scored into a cache. Returns what is known of them, what failed, and the tagger."""
    tags = FrameTags(root / "cache" / "frames.sqlite", tagger or Told(), floor)
    reader = KeyframeReader(root / "frames")
    failed = tags.make(frames, reader, batch_size, "cpu", lambda n: None)
    return tags, failed


def clip_rows(tags, failed=None, **clips):
    stage = ClipLabels(tags, failed or {})
    columns = stage({"clip_id": list(clips), "keyframes": list(clips.values())})
    reasons = columns.pop("drop_reason")
    kept = [i for i, reason in enumerate(reasons) if reason is None]
    rows = from_columns(
        {k: [v[i] for i in kept] for k, v in columns.items()}, IMAGE_LABELS, "test"
    ).to_pylist()
    return rows, [(columns["clip_id"][i], r) for i, r in enumerate(reasons) if r is not None]


def short(rows):
    """Scores as they were before they became float32."""
    return [
        (
            row["clip_id"], row["label"], round(row["score"], 6), row["frames_hit"],
            [None if s is None else round(s, 6) for s in row["frame_scores"]],
            round(row["threshold"], 6), row["tagger"],
        )
        for row in rows
    ]  # fmt: skip


def test_rows_by_hand(tmp_path):
    one = frame(tmp_path, 1, "0.9 0.31 0.1")
    two = frame(tmp_path, 2, "0.2 0.4 0.1")
    three = frame(tmp_path, 3, "0.35 0.05 0.29")
    tags, failed = made(tmp_path, [one, two, three], 0.3)
    assert failed == {}
    rows, left_out = clip_rows(tags, a=[one, two, three], b=[two], c=[three, three])
    assert short(rows) == [
        ("a", "dog", 0.9, 2, [0.9, None, 0.35], 0.5, "told"),
        ("a", "cat", 0.4, 2, [0.31, 0.4, None], 0.6, "told"),
        ("b", "cat", 0.4, 1, [0.4], 0.6, "told"),
        ("c", "dog", 0.35, 2, [0.35, 0.35], 0.5, "told"),
    ]
    assert left_out == []


def test_a_score_at_the_floor_is_kept_and_ties_go_by_name(tmp_path):
    one = frame(tmp_path, 1, "0.3 0.3 0.29999")
    tags, _ = made(tmp_path, [one], 0.3)
    rows, _ = clip_rows(tags, a=[one])
    assert [(r["label"], r["frames_hit"]) for r in rows] == [("cat", 1), ("dog", 1)]


def test_the_best_below_the_floor_is_named_and_leaks_nowhere(tmp_path):
    nothing = frame(tmp_path, 1, "0.1 0.25 0.2")
    sure = frame(tmp_path, 2, "0.9 0.28 0.1")
    tags, _ = made(tmp_path, [nothing, sure], 0.3)
    rows, left_out = clip_rows(tags, a=[nothing, sure], b=[nothing], c=[sure, nothing])
    assert short(rows) == [
        ("a", "dog", 0.9, 1, [None, 0.9], 0.5, "told"),
        ("c", "dog", 0.9, 1, [0.9, None], 0.5, "told"),
    ]
    assert left_out == [("b", "no label reaches the floor 0.3 (best: 'cat', 0.2500)")]


def test_of_several_frames_below_the_floor_the_best_is_named(tmp_path):
    frames = [frame(tmp_path, 1, "0.1 0.2 0.15"), frame(tmp_path, 2, "0.1 0.01 0.27")]
    tags, _ = made(tmp_path, frames, 0.3)
    for order in (frames, frames[::-1]):
        assert clip_rows(tags, a=order) == (
            [], [("a", "no label reaches the floor 0.3 (best: 'sky', 0.2700)")],
        )  # fmt: skip


def test_a_probability_a_hair_above_one_is_one(tmp_path):
    one = frame(tmp_path, 1, "1.0000001 0.99996 0.99994")
    tags, _ = made(tmp_path, [one], 0.3)
    assert [row[2] for row in short(clip_rows(tags, a=[one])[0])] == [1.0, 1.0, 0.9999]


def test_what_is_kept_of_a_frame(tmp_path):
    one = frame(tmp_path, 1, "0.9 0.2 0.30001")
    tags, _ = made(tmp_path, [one], 0.3)
    (entry,) = tags.read([one]).values()
    assert entry.dtype == ENTRY
    assert entry["label"].tolist() == [0, 2]
    assert entry["score"].tolist() == np.array([0.9, 0.30001], np.float32).tolist()
    assert tags.read([]) == {}
    assert tags.read([{"ref": "x", "sha256": "0" * 64}]) == {}


def test_another_tagger_weights_labels_or_floor_know_nothing_of_it(tmp_path):
    one = frame(tmp_path, 1, "0.9 0.2 0.1")
    tags, _ = made(tmp_path, [one], 0.3)
    others = [
        FrameTags(tags.path, Told(), 0.2),
        FrameTags(tags.path, Told(weights="v"), 0.3),
        FrameTags(tags.path, Told(name="other"), 0.3),
        FrameTags(tags.path, Told(labels=("cat", "dog", "sky")), 0.3),
    ]
    assert [other.read([one]) for other in others] == [{}] * 4
    versions = {ClipLabels(t).version for t in (tags, *others)}
    assert len(versions) == 5
    again = FrameTags(tmp_path / "elsewhere", Told(), 0.3)
    assert ClipLabels(again).version == ClipLabels(tags).version


def test_a_frame_that_cannot_be_scored_costs_its_clips_only(tmp_path):
    good, bad = frame(tmp_path, 1, "0.9 0.2 0.1"), frame(tmp_path, 2, "no numbers")
    gone = {"ref": "tt1/shot_0009_img_1.jpg", "sha256": "0" * 64}
    tags, failed = made(tmp_path, [bad, good, gone], 0.3, batch_size=3)
    assert failed[bad["sha256"]] == "keyframe tt1/shot_0002_img_1.jpg: no scores in it"
    assert gone["ref"] in failed[gone["sha256"]]
    assert set(failed) == {bad["sha256"], gone["sha256"]}
    assert len(clip_rows(tags, failed, a=[good])[0]) == 1
    with pytest.raises(ItemError, match=r"^b: keyframe tt1/shot_0002_img_1.jpg: no scores in it$"):
        clip_rows(tags, failed, b=[good, bad])
    with pytest.raises(ItemError, match=r"^c: tt1/shot_0009_img_1.jpg was not tagged$"):
        clip_rows(tags, {}, c=[gone])


def test_without_frames_no_model_is_loaded(tmp_path):
    tagger = Told()
    made(tmp_path, [], 0.3, tagger=tagger)
    assert (tagger.loaded, tagger.batches) == (0, [])


scores = st.lists(
    st.tuples(*[st.sampled_from([0.0, 0.1, 0.3, 0.30004, 0.45, 0.7, 1.0])] * 3),
    min_size=1, max_size=9,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(scores, st.sampled_from([0.1, 0.3, 0.7]), st.integers(1, 10), st.integers(1, 3))
def test_rows_are_those_of_the_plain_rule(tmp_path_factory, shown, floor, batch_size, threads):
    """Against the definition, label by label, for batches and threads of any number."""
    root = tmp_path_factory.mktemp("any")
    keyframes = [frame(root, i, " ".join(map(str, s))) for i, s in enumerate(shown)]
    different = list({f["sha256"]: f for f in keyframes}.values())
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        tags, failed = made(root, different, floor, batch_size)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert not failed
    assert sum(tags.tagger.batches) == len(different)
    assert max(tags.tagger.batches) <= batch_size
    rows, left_out = clip_rows(tags, a=keyframes)
    expected = {}
    for number, label in enumerate(Told.labels):
        of_label = [round(s[number], 4) if s[number] >= floor else None for s in shown]
        if any(s is not None for s in of_label):
            expected[label] = of_label
    assert {row[1]: row[4] for row in short(rows)} == expected
    for _, label, score, hit, of_frame, threshold, _ in short(rows):
        assert score == max(s for s in of_frame if s is not None)
        assert hit == len(of_frame) - of_frame.count(None)
        assert threshold == Told.thresholds[Told.labels.index(label)]
    order = [(-row[2], row[1]) for row in short(rows)]
    assert order == sorted(order)
    assert len(left_out) == (not expected)


class Slow(Told):
    """Its first frames take longest, so that later batches are done before earlier ones."""

    def scores(self, batch):
        time.sleep(0.03 * max(0.0, 1 - float(batch[0, 0])))
        return super().scores(batch)


def numbered(n):
    return [{"ref": str(i), "sha256": str(i)} for i in range(n)]


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("batch_size", [1, 3, 8, 50])
def test_batches_come_in_order_whichever_is_done_first(device, batch_size):
    frames = numbered(8)

    def pixels(one):
        number = int(one["ref"])
        return torch.full((3,), number / 10) if number != 5 else ItemError("five")

    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        batches = list(side_by_side(Slow(), frames, pixels, batch_size, device))
    finally:
        torch.set_num_threads(threads)
    assert [f for batch, _ in batches for f in batch] == frames
    assert all(len(batch) == batch_size for batch, _ in batches[:-1])
    rows = [row for _, rows in batches for row in rows]
    assert isinstance(rows.pop(5), ItemError)
    assert [round(float(row[0]) * 10) for row in rows] == [0, 1, 2, 3, 4, 6, 7]


def test_only_a_few_batches_are_read_ahead():
    """Of a film of any length only so many frames are in memory as are soon computed."""
    read, most = [], 0

    def pixels(one):
        read.append(one["ref"])
        return torch.zeros(3)

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for done, _ in enumerate(side_by_side(Told(), numbered(200), pixels, 2, "cpu")):
            most = max(most, len(read) - 2 * done)
    finally:
        torch.set_num_threads(threads)
    assert len(read) == 200
    assert most <= 2 * (2 + 3)  # two under way and AHEAD, two frames each


@pytest.mark.parametrize("where", ["pixels", "scores"])
def test_an_error_nobody_foresaw_ends_it_and_leaves_no_thread(where):
    class Broken(Told):
        def scores(self, batch):
            raise KeyError("oh")

    def pixels(one):
        if where == "pixels":
            raise KeyError("oh")
        return torch.zeros(3)

    threads, running = torch.get_num_threads(), threading.active_count()
    with pytest.raises(KeyError, match="oh"):
        list(side_by_side(Broken(), numbered(100), pixels, 1, "cpu"))
    assert torch.get_num_threads() == threads
    assert threading.active_count() == running


def test_what_was_scored_before_an_interrupt_is_kept(tmp_path):
    frames = [frame(tmp_path, i, f"0.9 0.{i} 0.1") for i in range(9)]
    tags = FrameTags(tmp_path / "cache" / "frames.sqlite", Told(), 0.3)
    done = []

    def advance(n):
        done.append(n)
        if len(done) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tags.make(frames, KeyframeReader(tmp_path / "frames"), 2, "cpu", advance)
    assert set(tags.read(frames)) == {f["sha256"] for f in frames[:6]}


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_the_real_model_in_batches_and_threads(tmp_path, batch_size):
    """Its rows of six real frames are those of each frame run alone, on one thread."""
    keyframes = [
        put(tmp_path / "frames", f"tt1/shot_{i:04d}_img_1.jpg", jpeg)
        for i, jpeg in enumerate(demo_frames())
    ]
    assert len({hashlib.sha256(jpeg).digest() for jpeg in demo_frames()}) == 6
    tagger = ImageNetTagger("w")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = [tagger.scores(tagger.pixels(jpeg)[None])[0] for jpeg in demo_frames()]
        torch.set_num_threads(3)
        tags, failed = made(tmp_path, keyframes, 0.02, batch_size, tagger)
    finally:
        torch.set_num_threads(before)
    assert not failed
    for one, expected in zip(keyframes, alone, strict=True):
        entry = tags.read([one])[one["sha256"]]
        assert entry["label"].tolist() == np.flatnonzero(expected >= 0.02).tolist()
        np.testing.assert_allclose(entry["score"], expected[entry["label"]], atol=2e-6)
        if batch_size == 1:
            assert np.array_equal(entry["score"], expected[entry["label"]])
