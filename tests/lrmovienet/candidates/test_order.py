"""The three orders by hand and as permutations, and domains that are `split`'s."""

import pytest
from finding import clip, entity, event, image, labels, put, put_clips
from hypothesis import given, settings
from hypothesis import strategies as st

from lrmovienet.candidates.order import Candidate, Found, in_order, target_domain
from lrmovienet.errors import UserError
from lrmovienet.splits import SplitConfig, make_records
from lrmovienet.workspace import Workspace

KINDS = ["event", "entity", "image"]


def candidates(*found):
    """One candidate a label."""
    result = {}
    for one in found:
        result.setdefault(one.label, Candidate(one.label)).sources.append(one)
    return list(result.values())


def ordered(order, *found, kinds=KINDS):
    return labels(in_order(candidates(*found), kinds, order))


FOUND = [
    image("dog", 0.3), image("cat", 0.9), entity("neo", 1), entity("dojo", 0),
    event("fight", 0), event("fall", 2), event("run", 1), event("jump", 3),
]  # fmt: skip


def test_the_kinds_take_turns_in_their_own_order():
    expected = ["fight", "dojo", "cat", "run", "neo", "dog", "fall", "jump"]
    assert ordered("turns", *FOUND) == expected
    assert ordered("turns", *FOUND, kinds=["image", "event", "entity"]) == [
        "cat", "fight", "dojo", "dog", "run", "neo", "fall", "jump",
    ]  # fmt: skip


def test_a_label_that_was_already_placed_costs_its_kind_no_turn():
    found = [event("dojo", 0), entity("dojo", 0), entity("neo", 1), image("cat", 0.5)]
    assert ordered("turns", *found) == ["dojo", "neo", "cat"]


def test_one_kind_after_the_other():
    assert ordered("kinds", *FOUND) == [
        "fight", "run", "fall", "jump", "dojo", "neo", "cat", "dog",
    ]  # fmt: skip
    again = [entity("fall", 0), *FOUND]  # a label stands with its first kind
    assert ordered("kinds", *again)[:5] == ["fight", "run", "fall", "jump", "dojo"]
    assert ordered("kinds", *again, kinds=["entity", "event", "image"])[:3] == [
        "dojo", "fall", "neo",
    ]  # fmt: skip


def test_what_more_kinds_found_comes_first():
    found = [
        event("a", 0), event("b", 1), event("c", 2), entity("b", 0), entity("d", 1),
        image("c", 0.9), image("d", 0.8), image("e", 0.7), entity("c", 2),
    ]  # fmt: skip
    # Turns are a, b, c, then d, e; c has three kinds, b and d have two.
    assert ordered("turns", *found) == ["a", "b", "c", "d", "e"]
    assert ordered("agreement", *found) == ["c", "b", "d", "a", "e"]


def test_two_sources_of_one_kind_do_not_agree():
    found = [event("a", 0), image("b", 0.9), image("b", 0.8), entity("c", 0), image("c", 0.1)]
    assert ordered("agreement", *found) == ["c", "a", "b"]


def test_equal_scores_go_by_name():
    assert ordered("turns", image("b"), image("a"), image("c", 0.6)) == ["c", "a", "b"]
    assert ordered("turns", image("b", None), image("a", None), image("c", 0.1)) == ["c", "a", "b"]
    assert ordered("turns", entity("b", 4), entity("a", 4), entity("c", 3)) == ["c", "a", "b"]


def test_the_best_of_two_sources_says_the_place():
    assert ordered("turns", image("a", 0.3), image("b", 0.5), image("a", 0.7)) == ["a", "b"]
    assert ordered("turns", event("a", 9), event("b", 5), event("a", 1)) == ["a", "b"]


NAMES = st.sampled_from("abcdefgh")
ANY = st.lists(
    st.one_of(
        st.builds(event, NAMES, st.integers(0, 4)),
        st.builds(entity, NAMES, st.integers(0, 4)),
        st.builds(image, NAMES, st.sampled_from([None, 0.0, 0.1, 0.5])),
    ),
    max_size=14,
)


def place(candidate, kind):
    """A candidate's place within a kind."""
    return min((-(s.score or 0), s.rank) for s in candidate.sources if s.kind == kind)


@given(ANY, st.permutations(KINDS), st.randoms(use_true_random=False))
def test_every_order_lists_each_candidate_once(found, kinds, random):
    given = candidates(*found)
    shuffled = random.sample(given, len(given))
    results = {order: in_order(given, kinds, order) for order in ("turns", "agreement", "kinds")}
    for order, result in results.items():
        assert sorted(labels(result)) == sorted(labels(given))
        assert labels(in_order(shuffled, kinds, order)) == labels(result)
    agreeing = [len({s.kind for s in c.sources}) for c in results["agreement"]]
    assert agreeing == sorted(agreeing, reverse=True)
    first = [min(kinds.index(s.kind) for s in c.sources) for c in results["kinds"]]
    assert first == sorted(first)
    # Turns, as a person would play them: each kind takes the best that is left to it.
    left, expected = list(given), []
    while left:
        for kind in kinds:
            own = [c for c in left if any(s.kind == kind for s in c.sources)]
            if own:
                best = min(own, key=lambda c, kind=kind: (place(c, kind), c.label))
                left.remove(best)
                expected.append(best.label)
    assert labels(results["turns"]) == expected


# --- domains ---


def own(**labels_of_clips):
    return {
        clip_id: [Candidate(label, [Found(label, "event", "llm", 0)]) for label in text.split()]
        for clip_id, text in labels_of_clips.items()
    }


FOUR = [clip("a", ["drama"]), clip("b", ["drama", "war"]), clip("c", ["drama"]), clip("d", ["spy"])]


def test_target_labels_are_those_of_a_clip_of_a_tail_genre():
    """Genres by clips: drama 3, spy 1, war 1; the rarest is war, then spy."""
    labels_of = own(a="fight car dog", b="tank dog", c="kiss", d="gun car")
    assert target_domain(FOUR, labels_of, 1) == {"tank", "dog"}
    assert target_domain(FOUR, labels_of, 2) == {"tank", "dog", "gun", "car"}
    # 2 of 7 labels are nearer to the paper's 4,841 of 15,234 than 4 of 7.
    assert target_domain(FOUR, labels_of, None) == {"tank", "dog"}


@pytest.mark.parametrize("genres", [[], ["drama"]])
def test_with_fewer_than_two_genres_there_is_one_domain(genres):
    clips = [clip("a", genres), clip("b", genres), clip("c")]
    labels_of = own(a="fight", b="kiss", c="run")
    assert target_domain(clips, labels_of, None) == set()
    with pytest.raises(UserError, match=f"--tail_genres 1: the clips have {len(genres)} genres"):
        target_domain(clips, labels_of, 1)


def test_two_genres_are_enough():
    assert target_domain([clip("a", ["x", "y"])], own(a="fight"), None) == {"fight"}


@pytest.mark.parametrize("wanted", [0, -1, 3])
def test_not_that_many_tail_genres(wanted):
    with pytest.raises(UserError, match=rf"--tail_genres {wanted}: give 1 to 2\."):
        target_domain(FOUR, own(a="fight", b="", c="", d=""), wanted)


def test_clips_without_any_label_have_no_target_labels():
    assert target_domain(FOUR, own(a="", b="", c="", d=""), None) == set()
    assert target_domain(FOUR, own(a="", b="", c="", d=""), 1) == set()


GENRES = st.lists(st.sampled_from(["drama", "war", "spy", "noir"]), max_size=3, unique=True)
WORDS = st.lists(st.sampled_from("abcdefghijkl"), min_size=1, max_size=6, unique=True)


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.tuples(GENRES, WORDS), min_size=10, max_size=14), st.sampled_from([None, None, 1])
)
def test_the_target_domain_is_what_split_makes_of_it(tmp_path_factory, drawn, wanted):
    root = tmp_path_factory.mktemp("split")
    clips = [clip("tt0_0", ["drama", "war"]), clip("tt0_1", ["drama"])]
    clips += [clip(f"tt{i}_0", genres) for i, (genres, _) in enumerate(drawn, 1)]
    words = [["a", "b", "m"], ["c", "d", "n"], *(w for _, w in drawn)]
    labels_of = own(**{c["clip_id"]: " ".join(w) for c, w in zip(clips, words, strict=True)})
    put_clips(root, clips)
    rows = [(c, i, x) for c, listed in labels_of.items() for i, x in enumerate(listed)]
    columns = {"clip_id": [r[0] for r in rows], "label": [r[2].label for r in rows]}
    source = [{"kind": "event", "model": "llm", "score": None}]
    position = [r[1] for r in rows]
    put(root, "candidates", {**columns, "position": position, "sources": [source] * len(rows)}, {})
    n = len(rows)
    grades = {"grade": [1] * n, "n_ratings": [1] * n, "spread": [0] * n, "method": ["m"] * n}
    put(root, "relevance", {**columns, **grades}, {})
    config = SplitConfig(
        protocol="paper", tail_genres=wanted, test_share=0.3, dev_share=0.3, min_labels=1,
        no_genre="source", equal_grades="keep",
    )  # fmt: skip
    try:
        records = make_records(Workspace(root), config)
    except UserError as error:
        assert "would be empty" in str(error)
        return
    of_split = {
        label
        for label, domain in zip(records["label"], records["domain"], strict=True)
        if domain == "target"
    }
    assert target_domain(clips, labels_of, wanted) == of_split
