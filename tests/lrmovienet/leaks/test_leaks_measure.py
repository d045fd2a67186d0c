"""What splits share: a release worked out by hand, and random ones against the definitions."""

import itertools
import json
import tempfile
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from leak_releases import film_of, release_of, shared

from lrmovienet.leaks.measure import measure
from lrmovienet.schema import SPLITS

# fa and fb train; fb_0001 and fc_0000 are pairs; fd_0000 and fa_0001 are the test, so that of the
# test one film of two is trained on. fa_0001 stands in two splits with different labels.
CLIPS = {
    "fa_0000": ("He runs to the old car.", [("fa/1", "s1", "00"), ("fa/2", "s2", "f0")]),
    "fa_0001": ("Two women talk in a kitchen.", [("fa/3", "s3", "ffff"), ("fa/4", "s4", None)]),
    "fb_0000": ("He runs to the old house.", [("fb/1", "s1", "00")]),
    "fb_0001": ("Rain.", [("fb/2", "s5", "8000000000000000")]),
    "fc_0000": ("Rain!", [("fc/1", "s6", "ffffffffffffffff")]),
    "fd_0000": ("he RUNS to the old car", [("fd/1", "s7", "01"), ("fd/2", "s3", "ffff")]),
}
LABELS = {
    "source_train": {"fa_0000": ["car", "man"], "fa_0001": ["kitchen"], "fb_0000": ["house"]},
    "target_pairs": {"fb_0001": ["rain", "sky"], "fc_0000": ["rain", "car"]},
    "target_test": {"fa_0001": ["talk", "cup"], "fd_0000": ["talk", "man", "rain"]},
}


@pytest.fixture
def by_hand(tmp_path):
    return release_of(tmp_path / "r", CLIPS, LABELS)


def test_by_hand(by_hand):
    """Triples: fa_0000 and fd_0000 have the same four, of which fb_0000 has three: 3 of 5."""
    report = measure(by_hand, 0.6, 1)
    assert report["splits"] == {
        "source_train": {"films": 2, "clips": 3, "classes": 4, "frames": 4},
        "target_pairs": {"films": 2, "clips": 2, "classes": 3, "frames": 2},
        "target_test": {"films": 2, "clips": 2, "classes": 4, "frames": 3},
    }
    assert (report["frames"], report["frames_hashed"], report["bits"]) == (7, 6, 1)
    none = {"films": 0, "clips": 0, "classes": 0, "descriptions": 0, "frames_equal": 0,
            "frames_alike": 0}  # fmt: skip
    # fb is the common film; car the common label; s5 is one bit, the top one, from s1.
    assert shared(report, "source_train", "target_pairs") == none | {
        "films": 1, "classes": 1, "frames_alike": 1,
    }  # fmt: skip
    # fa_0001 is in both, but is not held against itself: its s3 counts as fd_0000 shows it. s7 is
    # one bit from s1; s4 has no hash and no other clip shows it.
    assert shared(report, "source_train", "target_test") == none | {
        "films": 1, "clips": 1, "classes": 1, "descriptions": 1, "frames_equal": 1,
        "frames_alike": 2,
    }  # fmt: skip
    # "Rain." and "Rain!" are in the same split, and no description of the test is like them.
    assert shared(report, "target_pairs", "target_test") == none | {"classes": 1}


def test_examples_name_what_is_shared_and_by_whom(by_hand):
    entry = measure(by_hand, 0.6, 1)["shared"][1]
    assert entry["splits"] == ["source_train", "target_test"]
    assert {kind: of["examples"] for kind, of in entry.items() if kind != "splits"} == {
        "films": ["fa"], "clips": ["fa_0001"], "classes": ["man"],
        "descriptions": [["fd_0000", "fa_0000"]], "frames_equal": [["fa/3", "fa_0001"]],
        "frames_alike": [["fa/3", "fa_0001"], ["fd/1", "fa_0000"]],
    }  # fmt: skip


def test_a_clip_of_both_splits_counts_only_through_another_clip(tmp_path):
    """Alone in two splits it is no leak of texts and frames; beside a double it is."""
    words = "a man walks home"
    frames = [("fa/1", "s1", "0f"), ("fa/2", "s2", "0e")]  # within the clip they are alike
    labels = {"source_train": {"fa_0000": ["x"]}, "target_test": {"fa_0000": ["y"]}}
    alone = measure(release_of(tmp_path / "1", {"fa_0000": (words, frames)}, labels), 0.5, 4)
    counts = shared(alone, "source_train", "target_test")
    assert counts == {
        "films": 1, "clips": 1, "classes": 0, "descriptions": 0, "frames_equal": 0,
        "frames_alike": 0,
    }  # fmt: skip
    clips = {"fa_0000": (words, frames), "fb_0000": (words, [("fb/1", "s1", "0f")])}
    labels["source_train"]["fb_0000"] = ["x"]
    beside = measure(release_of(tmp_path / "2", clips, labels), 0.5, 4)
    counts = shared(beside, "source_train", "target_test")
    # Its first frame is fb_0000's, its second is one bit from it.
    assert (counts["descriptions"], counts["frames_equal"], counts["frames_alike"]) == (1, 1, 2)


def test_without_hashes_nothing_is_said_of_looks(tmp_path):
    clips = {
        clip_id: (text, [(ref, sha256, None) for ref, sha256, _ in frames])
        for clip_id, (text, frames) in CLIPS.items()
    }
    report = measure(release_of(tmp_path / "r", clips, LABELS), 0.5, 64)
    assert report["frames_hashed"] == 0
    assert report["frames"] == 7
    assert all(entry["frames_alike"]["shared"] == 0 for entry in report["shared"])


def test_hashes_that_were_read_now_take_the_place_of_the_releases(by_hand):
    looks = dict.fromkeys((ref for _, frames in CLIPS.values() for ref, _, _ in frames), None)
    looks |= {"fb/2": "0f", "fd/1": "0f"}
    report = measure(by_hand, 0.5, 0, looks)
    assert report["frames_hashed"] == 2
    assert shared(report, "target_pairs", "target_test")["frames_alike"] == 1
    assert shared(report, "source_train", "target_test")["frames_alike"] == 0


# Clips of three films with few words, frames and labels, so that there is something to share.
FRAMES = [("0", "0000000000000000"), ("1", "8000000000000000"), ("2", "0000000000000001"),
          ("3", "c000000000000000"), ("4", None), ("5", "ffffffffffffffff")]  # fmt: skip
CLIP = st.tuples(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=6).map(" ".join),
    st.lists(st.sampled_from(FRAMES), min_size=1, max_size=3, unique=True),
)
RECORDS = st.dictionaries(
    st.tuples(st.sampled_from(SPLITS), st.integers(0, 5)),
    st.lists(st.sampled_from("xyz"), min_size=1, max_size=2, unique=True),
    min_size=1,
)
RELEASES = st.tuples(st.lists(CLIP, min_size=6, max_size=6), RECORDS)


def named(made):
    """Clips and splits of `release_of`. A frame's reference goes with its content."""
    clips, records = made
    found = {
        f"f{i % 3}_{i:04d}": (text, [(f"f/{n}", f"s{n}", look) for n, look in frames])
        for i, (text, frames) in enumerate(clips)
    }
    splits = {split: {} for split, _ in records}
    for (split, i), labels in sorted(records.items(), key=str):
        splits[split][f"f{i % 3}_{i:04d}"] = labels
    return found, splits


def report_of(clips, splits, near, bits):
    with tempfile.TemporaryDirectory() as folder:
        return measure(release_of(Path(folder), clips, splits), near, bits)


def by_definition(clips, splits, near, bits):
    """Each count, by looking at every clip of the one and every other clip of the other split."""

    def triples(text):
        words = text.split()
        return {tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))}

    def is_near(c, d):
        a, b = triples(clips[c][0]), triples(clips[d][0])
        return Fraction(len(a & b), len(a | b)) >= near

    found = {}
    for first, second in itertools.combinations([s for s in SPLITS if s in splits], 2):
        a, b = splits[first], splits[second]
        texts, equal, looks = set(), set(), set()
        for c, d in itertools.product(b, a):
            if c == d:
                continue
            if is_near(c, d):
                texts.add(c)
            for (_, mine, look), (_, theirs, other) in itertools.product(clips[c][1], clips[d][1]):
                if mine == theirs:
                    equal.add(mine)
                if None not in (look, other) and (
                    bin(int(look, 16) ^ int(other, 16)).count("1") <= bits
                ):
                    looks.add(mine)
        found[first, second] = {
            "films": len({*map(film_of, a)} & {*map(film_of, b)}), "clips": len({*a} & {*b}),
            "classes": len({x for of in a.values() for x in of} & {x for of in b.values()
                                                                   for x in of}),
            "descriptions": len(texts), "frames_equal": len(equal), "frames_alike": len(looks),
        }  # fmt: skip
    return found


@settings(max_examples=40)
@given(RELEASES, st.sampled_from([0.25, 0.5, 1.0]), st.sampled_from([0, 1, 2, 64]))
def test_every_count_is_what_its_definition_says(made, near, bits):
    clips, splits = named(made)
    report = report_of(clips, splits, near, bits)
    counted = {tuple(entry["splits"]): shared(report, *entry["splits"]) for entry in
               report["shared"]}  # fmt: skip
    assert counted == by_definition(clips, splits, near, bits)
    for entry in report["shared"]:
        for kind, of in entry.items():
            if kind != "splits":
                assert len(of["examples"]) == min(of["shared"], 10)


@settings(max_examples=15)
@given(RELEASES)
def test_looser_thresholds_find_more_and_equal_frames_are_alike_where_they_have_a_hash(made):
    clips, splits = named(made)
    reports = [report_of(clips, splits, *how) for how in ((1, 0), (0.5, 1), (0.2, 64))]
    for tight, middle, loose in zip(*(r["shared"] for r in reports), strict=True):
        for kind in ("descriptions", "frames_alike"):
            counts = [entry[kind]["shared"] for entry in (tight, middle, loose)]
            assert counts == sorted(counts)
        for kind in ("films", "clips", "classes", "frames_equal"):
            assert tight[kind] == middle[kind] == loose[kind]


@settings(max_examples=15)
@given(RELEASES, st.randoms(use_true_random=False))
def test_the_order_of_rows_and_which_of_two_splits_is_which_do_not_matter(made, random):
    clips, splits = named(made)
    report = report_of(clips, splits, 0.5, 1)
    shuffled = random.sample(sorted(clips.items()), len(clips))
    assert json.dumps(report_of(dict(shuffled), splits, 0.5, 1)) == json.dumps(report)
    swapped = dict(splits)
    for a, b in (("target_dev", "target_test"), ("target_test", "target_dev")):
        swapped.pop(b, None)
        if a in splits:
            swapped[b] = splits[a]
    if not {"target_dev", "target_test"} <= {*splits}:
        return
    one = shared(report, "target_dev", "target_test")
    other = shared(report_of(clips, swapped, 0.5, 1), "target_dev", "target_test")
    for kind in ("films", "clips", "classes", "frames_equal"):
        assert one[kind] == other[kind]
    for kind in ("descriptions", "frames_alike"):  # of the second's, some have one in the first
        assert (one[kind] > 0) == (other[kind] > 0)
