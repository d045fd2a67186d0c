"""Which records are shown as cards, and what the cards say."""

import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from stats_releases import clip, label_rows, small_release

from lrmovienet.cards import sections
from lrmovienet.errors import UserError
from lrmovienet.keyframes import KeyframeReader
from lrmovienet.stats.samples import MOST_PAIRS, drawn, sampled, too_few, with_frames


def shown(sample):
    return [(name, [s.label for s in of]) for name, of in sections(sample.card.labels)]


def ids(samples, domain):
    return [sample.card.clip_id for sample in samples if sample.domain == domain]


def test_source_cards_show_grades_and_target_cards_pairs(release):
    samples = sampled(release, 4, 0)
    by_id = {(sample.domain, sample.card.clip_id): sample for sample in samples}
    assert set(by_id) == {("source", "f1_0000"), ("source", "f1_0001"), ("target", "f1_0001"),
                          ("target", "f2_0000")}  # fmt: skip
    assert shown(by_id["source", "f1_0000"]) == [
        ("high", ["rain"]), ("medium", ["car"]), ("low", ["dog"]),
    ]  # fmt: skip
    assert shown(by_id["source", "f1_0001"]) == [("low", ["rain", "house"])]
    assert shown(by_id["target", "f1_0001"]) == [("pairs", ["tank > helmet", "tank > mud"])]
    assert shown(by_id["target", "f2_0000"]) == [("pairs", ["mud > tank"])]
    card = by_id["target", "f1_0001"].card
    assert card.heading == "Film f1"
    assert card.facts == "f1_0001 · Drama · War · target record · 2 of 2 pairs"
    assert card.description == "What happens in f1_0001."
    kinds = [s.kinds for s in by_id["source", "f1_0000"].card.labels]
    assert kinds == [("event",), ("image",), ("image",)]


def test_no_card_shows_a_grade_of_the_test(release):
    samples = sampled(release, 20, 0)
    assert "f3_0000" not in {sample.card.clip_id for sample in samples}


@pytest.mark.parametrize(("wanted", "source", "target"), [(0, 0, 0), (1, 1, 0), (2, 1, 1),
                                                          (3, 2, 1), (4, 2, 2)])  # fmt: skip
def test_half_of_the_samples_are_source_records(release, wanted, source, target):
    samples = sampled(release, wanted, 0)
    assert [s.domain for s in samples] == ["source"] * source + ["target"] * target
    assert too_few(samples, wanted) == []


def test_too_few_records_are_said(release):
    samples = sampled(release, 9, 0)
    (note,) = too_few(samples, 9)
    assert note.startswith("4 samples, not 9: 2 graded source records and 2 records with pairs")


def test_a_release_without_source_or_pairs_has_what_it_has(tmp_path):
    rows = label_rows(
        "f3_0000 target target_test tank 2 event\nf3_0000 target target_test mud 0 image"
    )
    assert sampled(small_release(tmp_path, labels=rows, pairs=[]), 6, 0) == []


def test_many_pairs_are_drawn_from(tmp_path):
    labels = [f"l{i:02}" for i in range(12)]
    text = "\n".join(f"f2_0000 target target_pairs {label} none image" for label in labels)
    pairs = [("f2_0000", a, b, 5) for a in labels for b in labels if a < b]
    release = small_release(tmp_path, label_rows(text), pairs=pairs)
    (sample,) = sampled(release, 2, 0)
    texts = [s.label for s in sample.card.labels]
    assert len(set(texts)) == MOST_PAIRS
    assert set(texts) < {f"{a} > {b}" for _, a, b, _ in pairs}
    assert texts == sorted(texts)
    assert sample.card.facts.endswith("14 of 66 pairs")
    assert [s.label for s in sampled(release, 2, 1)[0].card.labels] != texts


# --- the draw ---

THINGS = st.lists(st.text(st.characters(codec="utf-8"), max_size=6), unique=True, max_size=12)


@given(THINGS, st.integers(0, 12), st.integers(0, 99), st.randoms())
def test_a_draw_hangs_on_seed_and_thing_alone(things, n, seed, random):
    first = drawn(things, n, seed, "x")
    assert len(first) == len(set(first)) == min(n, len(things))
    assert set(first) <= set(things)
    shuffled = random.sample(things, len(things))
    assert drawn(shuffled, n, seed, "x") == first
    assert drawn(things, n + 1, seed, "x")[: len(first)] == first  # more leave the first ones
    if others := [thing for thing in things if thing not in first]:
        assert drawn([t for t in things if t != others[0]], n, seed, "x") == first


def test_seeds_and_purposes_draw_differently_and_evenly():
    things = list(range(10))
    assert len({tuple(drawn(things, 10, seed, "x")) for seed in range(20)}) == 20
    assert drawn(things, 10, 0, "x") != drawn(things, 10, 0, "y")
    first = [drawn(things, 1, seed, "x")[0] for seed in range(2000)]
    # 200 expected each, a standard deviation of 13.4.
    assert all(140 < first.count(thing) < 260 for thing in things)


def test_the_seed_chooses_the_records(generated):
    release, _ = generated
    chosen = {tuple(ids(sampled(release, 4, seed), "source")) for seed in range(8)}
    assert len(chosen) > 1
    assert ids(sampled(release, 4, 3), "source") == ids(sampled(release, 8, 3), "source")[:2]


# --- frames and texts ---


def test_frames_are_read_and_held_against_their_sha256(tmp_path):
    jpeg = io.BytesIO()
    Image.new("RGB", (64, 36), (200, 40, 40)).save(jpeg, "JPEG")
    folder = tmp_path / "frames" / "240P" / "f1"
    folder.mkdir(parents=True)
    for i in range(2):
        (folder / f"shot_0000_img_{i}.jpg").write_bytes(jpeg.getvalue())
    right, wrong = hashlib.sha256(jpeg.getvalue()).hexdigest(), "0" * 64
    frames = [
        {"ref": f"f1/shot_0000_img_{i}.jpg", "sha256": sha256}
        for i, sha256 in enumerate([right, wrong, right])
    ]
    clips = [clip("f1_0000", ["Drama"], frames)]
    rows = [row for row in label_rows() if row["clip_id"] == "f1_0000"]
    (sample,) = sampled(small_release(tmp_path / "rel", rows, clips, []), 2, 0)
    card, problems = with_frames(sample, KeyframeReader(tmp_path / "frames"))
    first, second, third = card.frames
    assert first.size == (64, 36)
    assert second is None
    assert third is None
    assert "sha256" in problems[0]
    assert len(problems) == 2
    card, problems = with_frames(sample, None)
    assert card.frames == (None, None, None)
    assert problems == []


def test_a_generated_corpus_has_its_frames(generated):
    release, frames = generated
    for sample in sampled(release, 4, 0):
        card, problems = with_frames(sample, KeyframeReader(frames))
        assert problems == []
        assert len(card.frames) == min(card.frames_in_all, 6)
        assert all(frame.width > 100 for frame in card.frames)


def test_hostile_texts_are_put_on_one_line(tmp_path):
    strange = "\x1b[2J\u202eevil\nsecond\u2028line\x00"
    clips = [clip("f2_0000", [strange], title=strange, description=strange * 3)]
    rows = label_rows(
        "f2_0000 target target_pairs a none image\nf2_0000 target target_pairs b none image"
    )
    hostile = "evil <b>[/] $_x$ `&`"  # no label can hold what a terminal obeys
    for row, label in zip(rows, ("x" * 150, hostile), strict=True):
        row["label"] = label
    pairs = [("f2_0000", hostile, "x" * 150, 5)]
    (sample,) = sampled(small_release(tmp_path, rows, clips, pairs), 2, 0)
    card = sample.card
    texts = [card.heading, card.facts, card.description, *(s.label for s in card.labels)]
    for text in texts:
        assert "evil" in text
        assert text.replace("\ufffd", "").isprintable()
    assert len(card.labels[0].label) <= 83


def test_a_record_of_no_clip_is_an_error(tmp_path):
    release = small_release(tmp_path, clips=[clip("f1_0000", [])])
    with pytest.raises(UserError, match="records are of clips that it does not hold"):
        sampled(release, 4, 0)
