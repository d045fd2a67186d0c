"""Each rule by hand, with its reason."""

import pytest
from finding import angles, clip, clips_of, entity, event, image, labels, one_clip

from lrmovienet.candidates.rules import Rules, select


def test_equal_labels_are_one_candidate_with_all_its_sources():
    kept, dropped = one_clip([image("dojo", 0.4), entity("dojo", 0), event("dojo", 2)])
    assert labels(kept) == ["dojo"]
    assert kept[0].sources == [image("dojo", 0.4), entity("dojo", 0), event("dojo", 2)]
    assert dropped == []


# --- form ---


def test_other_forms_go_under_the_form_of_most_clips():
    found = {
        "a": [event("red cars"), entity("red car"), image("red-car", 0.5)],
        "b": [entity("red car")],
        "c": [entity("red-car")],
    }
    kept, dropped = select(found, clips_of(found), Rules())
    assert {c: labels(x) for c, x in kept.items()} == {c: ["red car"] for c in "abc"}
    assert [s.label for s in kept["a"][0].sources] == ["red cars", "red car", "red-car"]
    said = "form: written as 'red car'"
    assert dropped == {
        "a": [("red cars", said), ("red-car", said)], "b": [], "c": [("red-car", said)],
    }  # fmt: skip


def test_a_form_that_two_kinds_found_is_dropped_once():
    kept, dropped = one_clip([event("cars"), entity("cars"), image("car"), image("car", 0.2)])
    assert len(kept[0].sources) == 4
    assert dropped == [("cars", "form: written as 'car'")]


def test_a_label_is_written_as_on_a_keyboard():
    _, dropped = one_clip([event("driver’s seat"), entity("“dojo”")])
    assert dropped == [
        ("driver’s seat", 'form: written as "driver\'s seat"'),
        ("“dojo”", "form: written as 'dojo'"),
    ]


def test_a_written_form_is_never_too_long_for_a_label():
    """One sign may stand for a whole sentence, which is what NFKC makes of it."""
    kept, dropped = one_clip([event("\ufdfa" * 20), event("dojo", 1)])
    assert [len(label) <= 200 for label in labels(kept)] == [True] * len(kept)
    assert len(kept) + len(dropped) == 2


# --- no word ---


def test_labels_without_a_word_go():
    kept, dropped = one_clip([event("42"), entity("who is he"), entity("!?"), event("the"),
                              entity("the end"), entity("b52")])  # fmt: skip
    assert sorted(labels(kept)) == ["b52", "the end"]
    assert dropped == [
        ("42", "no word: no letters"), ("who is he", "no word: stop words only"),
        ("!?", "no word: no letters"), ("the", "no word: stop words only"),
    ]  # fmt: skip


def test_a_label_that_two_kinds_found_is_dropped_once():
    _, dropped = one_clip([event("42"), entity("42"), event("scene"), entity("scene")],
                          Rules(block=frozenset({"scene"})))  # fmt: skip
    assert dropped == [("42", "no word: no letters"), ("scene", "blocked: of all clips")]


# --- blocked ---


def test_blocked_labels_go_in_any_form():
    rules = Rules(block=frozenset({"scene", "red car"}))
    kept, dropped = one_clip([event("scenes"), event("fight scene"), entity("the red-cars")], rules)
    assert labels(kept) == ["fight scene"]
    assert dropped == [
        ("scenes", "blocked: of all clips"), ("the red-cars", "blocked: of all clips"),
    ]  # fmt: skip


def test_labels_blocked_in_one_clip():
    found = {"a": [event("fight")], "b": [event("fights")]}
    rules = Rules(block_of_clip={"b": frozenset({"fight"}), "c": frozenset({"x"})})
    kept, dropped = select(found, clips_of(found), rules)
    assert {c: labels(x) for c, x in kept.items()} == {"a": ["fight"], "b": []}
    assert dropped["a"] == []
    assert dropped["b"] == [
        ("fights", "form: written as 'fight'"), ("fight", "blocked: of this clip"),
    ]  # fmt: skip


@pytest.mark.parametrize("blocked", ["screenshot", "screen shot"])
def test_a_blocked_word_goes_also_where_it_is_written_apart_or_joined(blocked):
    """Both are one label, whichever of them most clips have."""
    for common, rare in (("screenshot", "screen shot"), ("screen shot", "screenshot")):
        found = {"a": [event(common)], "b": [event(common)], "c": [event(rare)]}
        kept, _ = select(found, clips_of(found), Rules(block=frozenset({blocked})))
        assert kept == {"a": [], "b": [], "c": []}


# --- actor ---

CAST = {"tt1": [{"actor": "Keanu Reeves", "character": "Neo"}]}


def test_actors_go_in_the_clips_of_their_film():
    clips = [clip("tt1_0", description="Neo (Keanu Reeves) fights."), clip("tt2_0")]
    found = {c["clip_id"]: [entity("keanu reeves"), entity("reeves", 1), entity("neo", 2)]
             for c in clips}  # fmt: skip
    kept, dropped = select(found, clips, Rules(), cast=CAST)
    assert labels(kept["tt1_0"]) == ["neo"]
    said = "actor: keanu reeves plays neo"
    assert dropped["tt1_0"] == [("keanu reeves", said), ("reeves", said)]
    assert labels(kept["tt2_0"]) == ["keanu reeves", "reeves", "neo"]
    assert labels(select(found, clips, Rules())[0]["tt1_0"])[0] == "keanu reeves"


def test_an_actor_goes_in_any_form_of_the_name():
    """The form is settled over all films, the cast has its own."""
    cast = {"tt1": [{"actor": "Penélope Cruz", "character": "Maria"}]}
    found = {"tt1_0": [entity("penélope cruz")], "tt2_0": [entity("penelope cruz")],
             "tt2_1": [entity("penelope cruz")]}  # fmt: skip
    kept, _ = select(found, clips_of(found), Rules(), cast=cast)
    assert kept["tt1_0"] == []
    assert labels(kept["tt2_0"]) == ["penelope cruz"]


def test_what_only_the_tagger_saw_is_no_actors_surname():
    """A tagger names no people: its label does not come from the description."""
    cast = {"tt1": [{"actor": "Elijah Wood", "character": "Frodo"}]}
    clips = [clip("tt1_0", description="Frodo (Elijah Wood) walks.")]
    assert labels(select({"tt1_0": [image("wood")]}, clips, Rules(), cast=cast)[0]["tt1_0"]) == [
        "wood"
    ]
    assert select({"tt1_0": [entity("wood")]}, clips, Rules(), cast=cast)[0]["tt1_0"] == []


# --- score ---


def test_weak_image_labels_go_unless_the_text_has_them():
    found = [
        image("dog", 0.049, False), image("cat", 0.05), image("neo", 0.01, False), entity("neo"),
        image("gun", None, False),
    ]  # fmt: skip
    kept, dropped = one_clip(found)
    assert labels(kept) == ["neo", "cat"]
    assert kept[0].sources == [image("neo", 0.01, False), entity("neo")]
    assert dropped == [("dog", "score: 0.05"), ("gun", "score: seen in too few frames")]


def test_the_best_of_two_forms_counts():
    kept, dropped = one_clip([image("dog", 0.04, False), image("dogs", 0.2)])
    assert labels(kept) == ["dog"]
    assert dropped == [("dogs", "form: written as 'dog'")]
    _, dropped = one_clip([image("dog", 0.04, False), image("dogs", 0.02, False)])
    assert dropped[1:] == [("dog", "score: 0.04")]


# --- common ---


def many(n, **in_clips):
    """n clips; each label in the first so many of them."""
    found = {f"c{i:03}": [event(x, 0) for x, m in in_clips.items() if i < m] for i in range(n)}
    return found, clips_of(found)


def common(n, ceiling, ceiling_from=20, **in_clips):
    found, clips = many(n, **in_clips)
    return select(found, clips, Rules(ceiling=ceiling, ceiling_from=ceiling_from))


def test_labels_in_more_than_a_share_of_the_clips_go():
    kept, dropped = common(100, 0.3, dog=30, cat=31, neo=1)
    assert labels(kept["c000"]) == ["dog", "neo"]
    assert dropped["c030"] == [("cat", "common: in 31 of 100 clips")]
    assert sum(map(len, dropped.values())) == 31


def test_but_not_labels_in_few_clips():
    kept, dropped = common(22, 0.3, dog=20, cat=21)
    assert labels(kept["c000"]) == ["dog"]
    assert dropped["c020"] == [("cat", "common: in 21 of 22 clips")]
    kept, _ = common(4, 0.5, ceiling_from=1, dog=2, cat=3)
    assert labels(kept["c000"]) == ["dog"]


def test_a_label_in_just_that_share_stays():
    """29 of 100 is 0.29, though 0.29 * 100 is 28.999999999999996."""
    kept, _ = common(100, 0.29, dog=29)
    assert labels(kept["c000"]) == ["dog"]
    assert common(100, 0.28, dog=29)[0]["c000"] == []


def test_a_ceiling_of_one_takes_nothing_and_of_nought_all_but_the_few():
    assert labels(common(30, 1.0, dog=30)[0]["c000"]) == ["dog"]
    assert labels(common(30, 0.0, dog=21, cat=20)[0]["c000"]) == ["cat"]


def test_a_common_label_takes_no_turn():
    found = {c: [event("dog", 0)] for c in "abc"}
    found["a"] += [event("fight", 1), entity("neo", 0)]
    kept, _ = select(found, clips_of(found), Rules(ceiling=0.5, ceiling_from=1))
    assert labels(kept["a"]) == ["fight", "neo"]  # not neo, as if the dog had had its turn


def test_a_label_is_counted_where_it_still_stands():
    """What went before, as too weak or as blocked in a clip, does not make a label common."""
    found = {"a": [image("dog", 0.9)], "b": [image("dog", 0.1, False)], "c": [event("dog")],
             "d": [event("dogs"), entity("dog")]}  # fmt: skip
    rules = Rules(ceiling=0.5, ceiling_from=1, block_of_clip={"c": frozenset({"dog"})})
    kept, _ = select(found, clips_of(found), rules)
    assert {c: labels(x) for c, x in kept.items()} == {"a": ["dog"], "b": [], "c": [], "d": ["dog"]}


# --- near ---


def test_near_labels_go_under_the_first():
    found = [event("sofa"), entity("couch"), entity("neo", 1), image("couch", 0.7)]
    kept, dropped = one_clip(found, Rules(near=0.9), vectors_of=angles(sofa=0, couch=10))
    assert labels(kept) == ["sofa", "neo"]
    assert kept[0].sources == [event("sofa"), entity("couch"), image("couch", 0.7)]
    assert dropped == [("couch", "near: 'sofa' (0.98)")]


def test_the_first_is_the_first_of_that_clip():
    found = {"a": [event("sofa"), event("couch", 1)], "b": [event("couch"), event("sofa", 1)]}
    kept, _ = select(found, clips_of(found), Rules(near=0.9), vectors_of=angles(sofa=0, couch=10))
    assert {c: labels(x) for c, x in kept.items()} == {"a": ["sofa"], "b": ["couch"]}


def test_one_compares_nothing():
    found = [event("sofa"), entity("couch")]

    def none(asked):
        raise AssertionError(asked)

    assert labels(one_clip(found, Rules(near=1.0), vectors_of=none)[0]) == ["sofa", "couch"]


def test_only_what_is_left_is_compared():
    asked = []

    def vectors_of(names):
        asked.extend(names)
        return angles()(names)

    found = [
        event("scene"),
        event("dog", 1),
        event("cats", 2),
        image("cat"),
        image("gun", 0, False),
    ]
    one_clip(found, Rules(near=0.9, block=frozenset({"scene"})), vectors_of=vectors_of)
    assert asked == ["cat", "dog"]


# --- cap ---

DRAMA_AND_WAR = [clip("a", ["drama"]), clip("b", ["drama"]), clip("c", ["war"])]


def test_no_more_than_the_cap():
    found = [event(f"e{i}", i) for i in range(4)] + [entity(f"n{i}", i) for i in range(2)]
    kept, dropped = one_clip(found, Rules(cap=3))
    assert labels(kept) == ["e0", "n0", "e1"]
    assert dropped == [(x, "cap: beyond the first 3") for x in ("n1", "e2", "e3")]


def test_source_and_target_labels_are_cut_apart():
    """The tail genre is war: what occurs in c is the target domain, wherever it stands."""
    found = {
        "a": [event(x, i) for i, x in enumerate(["tank", "kiss", "gun", "dog", "cat", "bomb"])],
        "b": [],
        "c": [event(x, i) for i, x in enumerate(["tank", "gun", "bomb"])],
    }
    rules = Rules(cap=2, tail_genres=1)
    kept, dropped = select(found, DRAMA_AND_WAR, rules)
    assert labels(kept["a"]) == ["tank", "kiss", "gun", "dog"]
    assert dropped["a"] == [
        ("cat", "cap: beyond the first 2 of the source domain"),
        ("bomb", "cap: beyond the first 2 of the target domain"),
    ]
    assert labels(kept["c"]) == ["tank", "gun"]
    together = Rules(cap=2, tail_genres=1, by_domain=False)
    kept, dropped = select(found, DRAMA_AND_WAR, together)
    assert labels(kept["a"]) == ["tank", "kiss"]
    assert dropped["a"][0] == ("gun", "cap: beyond the first 2")


def test_what_is_dropped_takes_no_place():
    found = [event("scene", 0), event("fight", 1), event("couch", 2), image("dog", 0.01, False),
             image("cat", 0.2), entity("sofa"), entity("cats", 1), event("42", 0)]  # fmt: skip
    rules = Rules(cap=3, block=frozenset({"scene"}), near=0.9)
    kept, dropped = one_clip(found, rules, vectors_of=angles(sofa=0, couch=10))
    assert labels(kept) == ["fight", "sofa", "cat"]
    assert [why.partition(":")[0] for _, why in dropped].count("cap") == 0


def test_a_clip_without_labels():
    assert select({}, [clip("a")], Rules()) == ({"a": []}, {"a": []})
    assert select({}, [], Rules()) == ({}, {})
