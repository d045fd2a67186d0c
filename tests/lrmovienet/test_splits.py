"""Domains by genre, splits by clip or film, nested pairs."""

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrmovienet.domains import genres_by_clips, tail_genres, target_labels
from lrmovienet.errors import UserError
from lrmovienet.runner.local import run_once
from lrmovienet.schema import PAIR_PERCENTS
from lrmovienet.splits import (
    SplitConfig,
    make_pairs,
    make_records,
    paper_splits,
    run,
    strict_splits,
)
from lrmovienet.workspace import Workspace


def clip(clip_id: str, *genres: str) -> dict:
    return {"clip_id": clip_id, "movie_id": clip_id.split("_")[0], "genres": list(genres)}


def labels(**of_clip: str) -> dict[str, list[dict]]:
    return {c: [{"label": x} for x in text.split()] for c, text in of_clip.items()}


CLIPS = [clip("f1_0", "Drama"), clip("f2_0", "Drama", "War"), clip("f3_0", "Drama", "Crime"),
         clip("f4_0", "Crime")]  # fmt: skip
LABELS = labels(f1_0="love rain", f2_0="tank rain", f3_0="gun car", f4_0="gun money")


def test_genres_are_ranked_by_clips_then_by_name():
    assert genres_by_clips(CLIPS) == ["Drama", "Crime", "War"]
    assert genres_by_clips([clip("a_0", "B"), clip("b_0", "A")]) == ["A", "B"]


def test_target_labels_are_those_of_clips_with_a_tail_genre():
    # f2 is a Drama too: what it shares with Drama ("rain") is still a target label.
    assert target_labels(CLIPS, LABELS, ["War"]) == {"tank", "rain"}


def test_the_cut_brings_the_papers_share():
    # Of 7 labels War has 2 (.29), War and Crime have 5 (.71); the paper has .318.
    assert tail_genres(CLIPS, LABELS, None) == ["War"]
    assert tail_genres(CLIPS, LABELS, 2) == ["Crime", "War"]


@pytest.mark.parametrize("wanted", [0, 3, -1])
def test_a_tail_must_leave_a_head(wanted):
    with pytest.raises(UserError, match="--tail_genres"):
        tail_genres(CLIPS, LABELS, wanted)


def test_one_genre_cannot_be_cut():
    with pytest.raises(UserError, match="needs at least two"):
        tail_genres([clip("a_0", "Drama")], LABELS, None)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 6), min_size=5, max_size=30), st.integers(0, 9))
def test_strict_keeps_films_whole_and_shares_near(sizes, seed):
    films = {
        f"f{i}": [clip(f"f{i}_{j}", "ABC"[i % 3]) for j in range(n)] for i, n in enumerate(sizes)
    }
    config = SplitConfig(seed=seed)
    splits = strict_splits(films, config)
    assert len(splits) == sum(sizes)
    for clips in films.values():
        assert len({splits[c["clip_id"]] for c in clips}) == 1
    test = sum(split == "target_test" for split in splits.values())
    assert abs(test - config.test_share * sum(sizes)) <= max(sizes)
    assert splits == strict_splits(dict(reversed(films.items())), config)


def test_paper_draws_the_papers_proportions():
    clip_ids = [f"c{i}" for i in range(3206)]
    drawn = paper_splits(clip_ids, SplitConfig())
    splits = list(drawn.values())
    assert splits.count("target_test") == 1000
    assert splits.count("target_dev") == 321
    assert splits.count("target_pairs") == 3206 - 1000 - 321
    assert paper_splits(clip_ids, SplitConfig(seed=1)) != drawn
    assert paper_splits(clip_ids, SplitConfig()) == drawn


def put(workspace: Workspace, table: str, rows: list[dict]) -> None:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    run_once(workspace, table, lambda: columns, version="1", inputs={}, config={})


@pytest.fixture
def corpus(tmp_path):
    """24 films of 2 clips with 4 head and 4 tail labels each; every fourth film is a War film."""
    workspace = Workspace(tmp_path)
    clips, candidates, relevance, preferences = [], [], [], []
    for film in range(24):
        for n in range(2):
            name = f"f{film:02d}_{n:04d}"
            war = film % 4 == 0
            clips.append({
                "clip_id": name, "movie_id": f"f{film:02d}", "title": None,
                "genres": ["Drama", "War"] if war else ["Drama"], "description": "A scene.",
                "shot": [0, 1], "frame": [0, 9], "start_s": None, "end_s": None,
                "keyframes": [{"ref": f"f{film:02d}/shot_0000_img_0.jpg", "sha256": "0" * 64}],
            })  # fmt: skip
            own = [f"tail {i}" for i in range(4)] + [f"head {i}" for i in range(0 if war else 4)]
            for position, label in enumerate(own):
                source = {"kind": "entity", "model": "m", "score": None}
                row = {"clip_id": name, "label": label}
                candidates.append({**row, "position": position, "sources": [source]})
                grade = {"grade": position % 3, "n_ratings": 1, "spread": 0, "method": "m"}
                relevance.append({**row, **grade})
            for i in range(3):
                pair = {"better": f"tail {i}", "worse": f"tail {i + 1}", "n": 1, "agreement": 1.0}
                preferences.append({"clip_id": name, **pair})
    for table, rows in (("clips", clips), ("candidates", candidates), ("relevance", relevance),
                        ("preferences", preferences)):  # fmt: skip
        put(workspace, table, rows)
    return workspace


@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_records_hold_what_the_protocol_promises(corpus, protocol):
    run(SplitConfig(corpus.root, protocol=protocol, tail_genres=1, max_labels=3))
    rows = corpus.read("records").to_pylist()
    films = {s: {r["movie_id"] for r in rows if r["split"] == s} for s in
             ("source_train", "target_pairs", "target_dev", "target_test")}  # fmt: skip
    assert all(films.values())
    if protocol == "strict":
        for held in ("target_dev", "target_test"):
            for other in films:
                assert other == held or not films[held] & films[other]
    else:
        assert films["source_train"] == {f"f{i:02d}" for i in range(24) if i % 4}
    for row in rows:
        assert row["label"].startswith("tail" if row["domain"] == "target" else "head")
        assert (row["grade"] is None) == (row["split"] == "target_pairs")
        # The place within the record, not among all candidates of the clip.
        assert row["position"] == int(row["label"][-1]) < 3
    reasons = corpus.read_dropped("records")["reason"].to_pylist()
    assert "beyond the 3 labels of a target record" in reasons
    everything = corpus.require("records")
    assert everything.rows + everything.rows_dropped == corpus.require("candidates").rows


def test_pairs_are_nested_and_within_target_pairs(corpus):
    run(SplitConfig(corpus.root, tail_genres=1))
    rows = corpus.read("pairs").to_pylist()
    records = corpus.read("records").to_pylist()
    allowed = {r["clip_id"] for r in records if r["split"] == "target_pairs"}
    assert {r["clip_id"] for r in rows} == allowed
    within = [sum(r["percent"] <= p for r in rows) for p in PAIR_PERCENTS]
    assert within == [len(rows) * p // 40 for p in PAIR_PERCENTS]
    manifest = corpus.require("pairs")
    assert manifest.rows + manifest.rows_dropped == corpus.require("preferences").rows


def test_the_seed_decides_and_nothing_else(corpus):
    digests = []
    for seed in (0, 1, 0):
        run(SplitConfig(corpus.root, tail_genres=1, seed=seed))
        digests.append(corpus.require("records").digest)
    assert digests[0] == digests[2] != digests[1]


@pytest.mark.parametrize("shares", [(0, 0.1), (0.5, 0.5), (0.3, 0), (float("nan"), 0.1)])
def test_shares_that_leave_nothing_are_refused(corpus, shares):
    with pytest.raises(UserError, match="leave something for training"):
        run(SplitConfig(corpus.root, test_share=shares[0], dev_share=shares[1]))


def test_an_empty_split_is_refused_and_leaves_no_table(corpus):
    with pytest.raises(UserError, match="split target_dev would be empty"):
        run(SplitConfig(corpus.root, tail_genres=1, dev_share=1e-9))
    assert corpus.manifest("records") is None


@st.composite
def corpora(draw):
    """Clips of three genres or none, with labels of one alphabet, in any films; War is rare."""
    genres = st.sampled_from([["Drama"], ["Drama", "Crime"], ["Crime"], []])
    own = st.lists(st.sampled_from("abcdefghijklmnopqrst"), min_size=1, max_size=12, unique=True)
    films = [[(draw(genres), draw(own)) for _ in range(draw(st.integers(1, 3)))] for _ in range(9)]
    films[draw(st.integers(0, 8))].append((["War"], draw(own)))
    return films, draw(st.sampled_from(["strict", "paper"])), draw(st.integers(0, 5))


@settings(max_examples=40, deadline=None)
@given(corpora())
def test_any_corpus_is_parted_without_loss_or_overlap(corpus):
    films, protocol, seed = corpus
    clips, candidates, relevance = [], [], []
    for film, scenes in enumerate(films):
        for n, (genres, own) in enumerate(scenes):
            name = f"f{film}_{n}"
            clips.append({**clip(name, *genres)})
            for position, label in enumerate(own):
                source = [{"kind": "event", "model": "m", "score": None}]
                row = {"clip_id": name, "label": label}
                candidates.append({**row, "position": position, "sources": source})
                relevance.append({**row, "grade": 1})
    tables = {"clips": clips, "candidates": candidates, "relevance": relevance}
    config = SplitConfig(
        protocol=protocol, seed=seed, max_labels=5, test_share=0.3, dev_share=0.2,
        no_genre="source", equal_grades="keep",
    )  # fmt: skip
    candidates.reverse()  # their place is in `position`, not in the order of rows
    try:
        columns = make_records(Tables(tables), config)
    except UserError as error:  # too few genres or too small: said, not made
        assert "genres" in str(error) or "would be empty" in str(error)
        return
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    assert sorted((r["clip_id"], r["label"]) for r in rows) == sorted(
        (r["clip_id"], r["label"]) for r in candidates
    )
    of_domain = {d: {r["label"] for r in rows if r["domain"] == d} for d in ("source", "target")}
    assert not of_domain["source"] & of_domain["target"]
    kept = [r for r in rows if r["drop_reason"] is None]
    order = {(r["clip_id"], r["label"]): r["position"] for r in candidates}
    records: dict[tuple[str, str], list[dict]] = {}
    for row in kept:
        records.setdefault((row["clip_id"], row["domain"]), []).append(row)
    whole = Counter((r["clip_id"], r["domain"]) for r in rows)
    split_of = {r["clip_id"]: r["split"] for r in rows if r["domain"] == "target"}
    for (clip_id, domain), n in whole.items():
        held_out = domain == "source" and split_of.get(clip_id) in ("target_dev", "target_test")
        if n < 2 or (protocol == "strict" and held_out):
            assert (clip_id, domain) not in records
        elif domain == "target" or protocol == "paper" or clip_id in split_of:
            assert len(records[clip_id, domain]) == min(n, 5)
    for of_record in records.values():
        assert len({r["split"] for r in of_record}) == 1
        assert [r["position"] for r in of_record] == list(range(len(of_record)))
        places = [order[r["clip_id"], r["label"]] for r in of_record]
        assert places == sorted(places)
    if protocol == "strict":
        for held in ("target_dev", "target_test"):
            inside = {r["movie_id"] for r in kept if r["split"] == held}
            assert not inside & {r["movie_id"] for r in kept if r["split"] != held}
    else:
        of_target = [r for r in kept if r["domain"] == "target"]
        assert all(r["split"] != "source_train" for r in of_target)
    assert make_records(Tables(tables), config) == columns


class Tables:
    """Tables in memory, read as a workspace's are."""

    root = "memory"

    candidates_table = "candidates"

    def __init__(self, tables: dict[str, list[dict]]) -> None:
        self.tables = tables

    def read(self, table: str, columns: object = None) -> pa.Table:
        return pa.Table.from_pylist(self.tables[table])

    def manifest(self, table: str) -> bool:
        return table in self.tables


@pytest.mark.parametrize(
    ("n", "within"), [(8, [1, 2, 4, 8]), (80, [10, 20, 40, 80]), (3, [0, 0, 1, 3])]
)
def test_nested_subsets_have_their_shares(n, within):
    """The pairs at hand are the 40 %: an eighth, a quarter and a half of them lie inside."""
    place = {"domain": "target", "split": "target_pairs"}
    tables = {
        "records": [{"clip_id": f"c{i}", "label": x, **place} for i in range(n) for x in "xy"],
        "preferences": [{"clip_id": f"c{i}", "better": "x", "worse": "y"} for i in range(n)],
    }
    drawn = make_pairs(Tables(tables), seed=0)
    assert [sum(p <= percent for p in drawn["percent"]) for percent in PAIR_PERCENTS] == within
    assert make_pairs(Tables(tables), seed=0) == drawn
    other = make_pairs(Tables(tables), seed=1)
    assert n < 80 or [other["clip_id"][i] for i, p in enumerate(other["percent"]) if p == 5] != [
        drawn["clip_id"][i] for i, p in enumerate(drawn["percent"]) if p == 5
    ]


def test_a_pair_is_seen_only_inside_a_record_of_target_pairs():
    def row(clip_id: str, label: str, split: str) -> dict:
        domain = "source" if split == "source_train" else "target"
        return {"clip_id": clip_id, "label": label, "domain": domain, "split": split}

    def pair(clip_id: str, better: str, worse: str) -> dict:
        return {"clip_id": clip_id, "better": better, "worse": worse}

    tables = {
        "records": [
            row("c", "x", "target_pairs"), row("c", "y", "target_pairs"),
            row("c", "head", "source_train"),
            row("t", "x", "target_test"), row("t", "y", "target_test"),
        ],
        "preferences": [
            pair("c", "y", "x"), pair("c", "x", "head"), pair("t", "x", "y"),
            pair("c", "x", "gone"),
        ],
    }  # fmt: skip
    found = make_pairs(Tables(tables), seed=0)
    outside = "not two labels of a target record"
    assert dict(
        zip(zip(found["clip_id"], found["worse"], strict=True), found["drop_reason"], strict=True)
    ) == {
        ("c", "x"): None,
        ("c", "head"): outside,
        ("t", "y"): "held out: the record is in target_test",
        ("c", "gone"): outside,
    }
    tables["preferences"] = tables["preferences"][1:]
    with pytest.raises(UserError, match="no preference lies within"):
        make_pairs(Tables(tables), seed=0)


def test_what_screening_left_takes_the_place_of_candidates(corpus):
    run(SplitConfig(workspace=corpus.root, tail_genres=1))
    everything = {(r["clip_id"], r["label"]) for r in corpus.read("records").to_pylist()}
    kept = [r for r in corpus.read("candidates").to_pylist() if r["position"] != 0]
    put(corpus, "screened", kept)
    run(SplitConfig(workspace=corpus.root, tail_genres=1))
    left = {(r["clip_id"], r["label"]) for r in corpus.read("records").to_pylist()}
    assert left < everything
    assert left <= {(r["clip_id"], r["label"]) for r in kept}
