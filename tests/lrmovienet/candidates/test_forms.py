"""Forms of one label are one label, written in one way; what only looks alike stays apart."""

import itertools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.labels import normal_form
from lrmovienet.candidates import MergeConfig
from lrmovienet.candidates.forms import (
    NO_LETTERS,
    STOP_WORDS_ONLY,
    fault,
    key,
    singular,
    tidy,
    written_forms,
)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("Café–Bar", "café-bar"), ("Red  CAR\t", "red car"), ("red_car", "red car"),
        ("driver’s seat", "driver's seat"), ("driver‘s", "driver's"), ("hawaiʼi", "hawai'i"),
        ("driver`s", "driver's"), ("driver´s seat", "driver's seat"),
        ("ＲＥＤ　ｃａｒ", "red car"), ("ﬁght", "fight"), ("cafe\u0301", "café"),
        ("“dojo”", "dojo"), ("'dojo'", "dojo"), ("(dojo).", "dojo"), ("#dojo!", "dojo"),
        ("…dojo…", "dojo"), ("-dojo-", "dojo"), ("*red car*", "red car"), ("__dojo__", "dojo"),
        ("rock 'n' roll", "rock 'n' roll"), ("mr. smith", "mr. smith"), ("9/11", "9/11"),
        ("red\u200bcar", "red car"), ("red\x00car", "red car"), ("\ufeffdojo", "dojo"),
        ("pho\u00adto", "photo"),  # a soft hyphen only says where a line may break
        ("!?", ""), ("", ""), ("  ", ""),
    ],
)  # fmt: skip
def test_tidy(label, expected):
    assert tidy(label) == expected


@pytest.mark.parametrize("dash", "-‐‑‒–—―−﹣－")
def test_all_dashes_are_one_with_or_without_blanks(dash):
    assert tidy(f"Red{dash}car") == "red-car"
    assert tidy(f"red {dash} car") == "red-car"


def test_letters_of_other_scripts_are_kept_whole():
    """A vowel sign is no mark around a word, a voiced letter no accent."""
    assert tidy("हिन्दी") == "हिन्दी"
    assert key("ガラス") != key("カラス")  # glass, crow


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("42", NO_LETTERS), ("", NO_LETTERS), ("9/11", NO_LETTERS), ("the", STOP_WORDS_ONLY),
        ("who is he", STOP_WORDS_ONLY), ("dojo", None), ("the end", None), ("b52", None),
        ("夜", None), ("on-off", None),
    ],
)  # fmt: skip
def test_fault(label, expected):
    assert fault(label) == expected


SAME = [
    ["Red Car", "red cars", "red-car", "red–car", "red_car", "a red car", "the red cars",
     "red  car", "“Red Car”", "ＲＥＤ ＣＡＲ", "RED‑CARS."],
    ["café", "cafe", "Cafés", "cafe\u0301", "the café"],
    ["man", "men", "a man", "The Men"],
    ["old wolf", "old wolves", "old-wolves"],
    ["driver's seat", "driver’s seats", "driver`s seat"],
    ["hour", "an hour", "hours"],
    ["movie", "movies"],
    ["zombie", "zombies"],
]  # fmt: skip


@pytest.mark.parametrize("forms", SAME, ids=lambda forms: forms[0])
def test_forms_of_one_label(forms):
    assert {key(form) for form in forms} == {key(forms[0])}


APART = [
    ("dress", "dres"), ("bus", "bu"), ("glasses", "glass"), ("news", "new"), ("left", "right"),
    ("gas", "ga"), ("therapist", "the rapist"), ("theme", "me"), ("another", "other"),
    ("ant", "t"), ("an", "a"), ("red car", "red"), ("car red", "red car"), ("cars chase", "car"),
    ("tennis", "tenni"), ("species", "specy"), ("man", "woman"), ("a", "the"),
    ("team", "a-team"), ("frame", "a-frame"),  # this a is no article
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), APART)
def test_labels_that_stay_apart(one, other):
    assert key(one) != key(other)
    assert len(set(written_forms([[tidy(one), tidy(other)]]).values())) == 2


@pytest.mark.parametrize("word", MergeConfig.__dataclass_fields__["block"].default_factory())
def test_a_blocked_word_is_blocked_in_the_plural(word):
    assert key(f"{word}s") == key(word)


@pytest.mark.parametrize(
    ("plural", "one"),
    [
        ("cars", "car"), ("red cars", "red car"), ("cities", "city"), ("boxes", "box"),
        ("churches", "church"), ("dishes", "dish"), ("glasses of", "glasses of"),
        ("dresses", "dress"), ("men", "man"), ("old wolves", "old wolf"), ("horses", "horse"),
        ("houses", "house"), ("children", "child"), ("police dogs", "police dog"),
        ("buzzes", "buzz"), ("people", "person"), ("sunglasses", "sunglasses"), ("ties", "tie"),
        # no plurals
        ("bus", "bus"), ("dress", "dress"), ("tennis", "tennis"), ("gas", "gas"),
        ("glasses", "glasses"), ("news", "news"), ("s", "s"), ("", ""), ("driver's", "driver's"),
        ("cars chase", "cars chase"),
    ],
)  # fmt: skip
def test_singular(plural, one):
    assert singular(plural) == one
    assert singular(one) == one


def written(*clips):
    return written_forms([clip.split(", ") for clip in clips])


def test_the_form_of_most_clips_is_written():
    assert written("red cars", "red-car", "red cars, red car") == {
        "red cars": "red cars", "red-car": "red cars", "red car": "red cars",
    }  # fmt: skip


def test_a_clip_counts_once_for_a_form():
    assert written("red-car, red-car, red-car", "red car", "red car")["red-car"] == "red car"


def test_of_equally_common_forms_the_singular_is_written():
    assert written("men, man")["men"] == "man"
    assert written("people, person")["people"] == "person"  # longer
    assert written("fast cars", "the fast car")["fast cars"] == "the fast car"  # longer


def test_the_singular_of_words_with_a_dash():
    """By the alphabet it would be the other."""
    assert written("wild-geese", "wild-goose")["wild-geese"] == "wild-goose"


def test_then_the_shortest_is_written():
    assert written("the dojo", "dojo")["the dojo"] == "dojo"
    assert written("photo frame", "photoframe")["photo frame"] == "photoframe"


def test_then_the_first_by_alphabet():
    assert written("red-car", "red car")["red-car"] == "red car"  # a blank comes before a dash
    assert written("café", "cafe")["café"] == "cafe"


def test_words_apart_joined_and_with_a_dash_are_one_where_two_of_them_occur():
    assert set(written("photo frame", "photo frame, photoframe").values()) == {"photo frame"}
    assert set(written("photo-frame", "photo frames").values()) == {"photo-frame"}
    assert set(written("t-shirt", "tshirts").values()) == {"t-shirt"}
    assert set(written("t-shirt", "tshirts", "tshirts").values()) == {"tshirts"}
    assert set(written("a hot dog", "hotdogs", "hot-dog, hotdogs").values()) == {"hotdogs"}
    # Neither of these two is the other's, and there is nothing to join them.
    assert len(set(written("now here", "no where").values())) == 2
    assert written("photo frame", "photo") == {"photo frame": "photo frame", "photo": "photo"}


def test_more_than_two_words_are_not_joined():
    assert len(set(written("old photo frame", "oldphotoframe").values())) == 2


LETTERS = st.characters(exclude_categories=["Cs"])
TEXTS = st.text(LETTERS | st.sampled_from("aA -–—'’`´_.\u0301\u0345İſßΣﬁ½\u00ad\u200dｅ"))


@settings(max_examples=400)
@given(TEXTS)
def test_tidying_twice_changes_nothing_and_gives_the_normal_form(text):
    once = tidy(text)
    assert tidy(once) == once == normal_form(once)
    assert key(once) == key(text)


GROUPS = {
    "red car": ["red car", "red cars", "red-car", "red-cars", "redcar", "redcars", "a red car"],
    "dress": ["dress", "dresses"],
    "glass": ["glass"],
    "glasses": ["glasses"],
    "man": ["man", "men", "the men"],
    "café": ["café", "cafe", "cafés", "cafes"],
    "t-shirt": ["t-shirt", "t-shirts", "tshirt", "t shirt"],
}
GROUP = {form: name for name, forms in GROUPS.items() for form in forms}
PLURALS = {
    "red cars", "red-cars", "redcars", "dresses", "men", "the men", "cafés", "cafes", "t-shirts",
}  # fmt: skip
CLIPS = st.lists(st.lists(st.sampled_from(sorted(GROUP)), max_size=6), max_size=8)


@given(CLIPS, st.randoms(use_true_random=False))
def test_written_forms_of_any_clips(clips, random):
    result = written_forms(clips)
    there = Counter(itertools.chain.from_iterable(map(set, clips)))
    assert set(result) == set(there)
    for label, form in result.items():
        rivals = [other for other in there if GROUP[other] == GROUP[label]]
        ranked = sorted(rivals, key=lambda f: (-there[f], f in PLURALS, len(f), f))
        assert form == ranked[0]
    shuffled = [random.sample(clip, len(clip)) for clip in clips]
    random.shuffle(shuffled)
    assert written_forms(shuffled) == result
    # What was written once is written so again.
    again = written_forms([{result[label] for label in clip} for clip in clips])
    assert again == {form: form for form in result.values()}


@given(st.lists(st.lists(TEXTS.map(tidy), max_size=4), max_size=4))
def test_a_written_form_is_written_as_itself(clips):
    result = written_forms(clips)
    assert all(result[form] == form for form in result.values())
    assert set(result.values()) <= set(result)
