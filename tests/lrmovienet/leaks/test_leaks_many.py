"""Corpora in which nearly all is the same: what they cost is bounded by what differs."""

import random
import tracemalloc

import pytest
from leak_releases import release_of, shared

from lrmovienet.leaks import near as module
from lrmovienet.leaks.measure import measure
from lrmovienet.leaks.near import alike, near_texts

CLIPS = 3_000
MEGABYTE = 2**20


def peak(work):
    """Bytes that were allocated at once, at most, and what came of it."""
    tracemalloc.start()
    try:
        found = work()
        return tracemalloc.get_traced_memory()[1], found
    finally:
        tracemalloc.stop()


def many(root, frames):
    """A release of clips with one description, half of them training, half test."""
    clips = {
        f"f{i}_0000": ("It is dark and nothing is to be seen.", [frames(i)]) for i in range(CLIPS)
    }
    ids = list(clips)
    splits = {"source_train": ids[: CLIPS // 2], "target_test": ids[CLIPS // 2 :]}
    return release_of(
        root, clips, {split: {c: ["night"] for c in of} for split, of in splits.items()}
    )


@pytest.mark.parametrize(
    ("frames", "equal"),
    [
        (lambda i: (f"f{i}/1", "black", "0000000000000000"), 1),  # the same file everywhere
        (lambda i: (f"f{i}/1", f"black {i}", "0000000000000000"), 0),  # black files, all different
    ],
    ids=["one black frame", "black frames"],
)
def test_equal_descriptions_and_black_frames(tmp_path, frames, equal):
    """Every clip is near every other: that is one group, and not four million pairs."""
    release = many(tmp_path / "r", frames)
    used, report = peak(lambda: measure(release, 0.5, 4))
    assert shared(report, "source_train", "target_test") == {
        "films": 0, "clips": 0, "classes": 1, "descriptions": CLIPS // 2, "frames_equal": equal,
        "frames_alike": 1 if equal else CLIPS // 2,
    }  # fmt: skip
    assert used < 40 * MEGABYTE  # a pair takes some 100 bytes: 450 megabytes


def test_memory_for_texts_that_begin_alike_grows_with_their_number(monkeypatch):
    """All share a triple, none is near: what is held at once is a block of them by all."""
    monkeypatch.setattr(module, "_AT_ONCE", 64)
    words = [f"this is a {i} {i + 1} {i + 2} {i + 3} {i + 4}" for i in range(3_200)]
    assert [len(column) for column in near_texts(words[:50], 0.5)] == [0, 0, 0]
    small, large = (peak(lambda n=n: near_texts(words[:n], 0.5))[0] for n in (1_600, 3_200))
    assert large < 3 * small  # twice as many; with the square it would be four times


@pytest.mark.slow
def test_memory_for_many_different_frames_grows_with_their_number(monkeypatch):
    monkeypatch.setattr(module, "_AT_ONCE", 64)
    rng = random.Random(0)
    hashes = sorted({rng.getrandbits(64) for _ in range(6_000)})
    small, large = (peak(lambda n=n: alike(hashes[:n], 4))[0] for n in (3_000, 6_000))
    assert large < 3 * small
