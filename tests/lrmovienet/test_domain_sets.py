"""The algebra of domains: partitions, shares, films, for any corpus."""

from collections import Counter

from drawn_tables import Tables, records
from hypothesis import given, settings
from hypothesis import strategies as st

from lrmovienet.domains import genres_by_clips, tail_genres, target_labels
from lrmovienet.errors import UserError
from lrmovienet.schema import SPLITS


@st.composite
def corpora(draw):
    """Lines as of `Tables`: clips of up to three of four genres, with labels of one alphabet."""
    lines = []
    for i in range(draw(st.integers(4, 14))):
        genres = draw(st.lists(st.sampled_from("PQRS"), min_size=1, max_size=3, unique=True))
        own = draw(st.lists(st.sampled_from("abcdefghijkl"), min_size=1, max_size=8, unique=True))
        grades = " ".join(f"{label}={draw(st.integers(0, 2))}" for label in own)
        lines.append(f"f{i // 2}_{i % 2} {','.join(genres)} {grades}")
    return "\n".join(lines)


@settings(max_examples=60)
@given(corpora(), st.sampled_from(["strict", "paper"]), st.integers(0, 3), st.data())
def test_domains_are_a_partition_by_the_clips_of_the_tail(text, protocol, seed, data):
    """Target: labels of clips with a tail genre. Source: all others. Nothing is lost or doubled."""
    tables = Tables(text).tables
    there = genres_by_clips(tables["clips"])
    wanted = data.draw(st.lists(st.sampled_from(there), min_size=1, unique=True))
    try:
        rows = records(
            text, protocol=protocol, seed=seed, target_genres=wanted, equal_grades="keep",
            test_share=0.3, dev_share=0.2,
        )  # fmt: skip
    except UserError as error:
        assert "would be empty" in str(error) or "leave some for the source" in str(error)
        return
    of_tail = {c["clip_id"] for c in tables["clips"] if {*wanted} & {*c["genres"]}}
    graded = [(row["clip_id"], row["label"]) for row in tables["relevance"]]
    target = {label for clip_id, label in graded if clip_id in of_tail}
    assert sorted((r["clip_id"], r["label"]) for r in rows) == sorted(graded)
    for row in rows:
        assert row["domain"] == ("target" if row["label"] in target else "source")
        assert (row["split"] == "source_train") == (row["domain"] == "source")
    if protocol == "strict":
        use = [r for r in rows if r["drop_reason"] is None]
        films = {split: {r["movie_id"] for r in use if r["split"] == split} for split in SPLITS}
        training = films["source_train"] | films["target_pairs"]
        assert not training & films["target_dev"]
        assert not training & films["target_test"]
        assert not films["target_dev"] & films["target_test"]
    else:
        target_splits: dict[str, set] = {}
        for row in rows:
            if row["domain"] == "target":
                target_splits.setdefault(row["clip_id"], set()).add(row["split"])
        assert all(len(splits) == 1 for splits in target_splits.values())


@settings(max_examples=60)
@given(corpora(), st.integers(1, 3))
def test_more_tail_genres_give_more_target_labels(text, n):
    tables = Tables(text).tables
    labels: dict[str, list[dict]] = {}
    for row in tables["relevance"]:
        labels.setdefault(row["clip_id"], []).append(row)
    ranked = genres_by_clips(tables["clips"])
    if n + 1 >= len(ranked):
        return
    few, many = (tail_genres(tables["clips"], labels, k) for k in (n, n + 1))
    assert few == many[1:] == ranked[-n:]
    assert target_labels(tables["clips"], labels, few) <= target_labels(
        tables["clips"], labels, many
    )
    counted = Counter(g for c in tables["clips"] for g in c["genres"])
    assert max(counted[g] for g in many) <= min(counted[g] for g in ranked if g not in many)
    # By default the cut that comes nearest to the paper's share, and none comes nearer.
    chosen = tail_genres(tables["clips"], labels, None)
    classes = len({row["label"] for row in tables["relevance"]})

    def off(tail):
        share = len(target_labels(tables["clips"], labels, tail)) / classes
        return abs(share - 4841 / 15234)

    assert off(chosen) == min(off(ranked[-k:]) for k in range(1, len(ranked)))
