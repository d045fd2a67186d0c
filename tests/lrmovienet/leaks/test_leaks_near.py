"""Which texts are near and which pictures are alike: by hand, and against all pairs one by one."""

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrmovienet.leaks import near as module
from lrmovienet.leaks.near import shingles

# Few words, so that texts share triples; punctuation, which does not count.
TEXTS = st.lists(
    st.lists(st.sampled_from("ab,cd"), max_size=9).map(" ".join), max_size=8, unique=True
)
HASHES = st.lists(
    st.integers(0, 2**64 - 1)
    | st.sampled_from([0, 1, 2**63, 2**63 + 1, 2**64 - 1, 0xFF << 56, 0xFF]),
    max_size=10,
    unique=True,
)
SHARES = st.sampled_from([Fraction(1, n) for n in range(1, 9)] + [Fraction(2, 3), Fraction(3, 5)])


def near_texts(texts, near):
    return as_tuples(module.near_texts(texts, near))


def alike(hashes, bits):
    return as_tuples(module.alike(hashes, bits))


def as_tuples(found):
    return list(zip(*(column.tolist() for column in found), strict=True))


def triples(text):
    """The triples of a text of one-letter words and commas, by hand."""
    words = [word for word in text.split(" ") if word.isalpha()]
    if len(words) < 3:
        return {tuple(words)} if words else set()
    return set(zip(words, words[1:], words[2:], strict=False))


def index(a, b):
    """Triples of both over triples of either, exactly."""
    either = triples(a) | triples(b)
    return Fraction(len(triples(a) & triples(b)), len(either)) if either else Fraction(0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A man walks away.", {("a", "man", "walks"), ("man", "walks", "away")}),
        ("a man, a man, a man", {("a", "man", "a"), ("man", "a", "man")}),
        ("A man walks", {("a", "man", "walks")}),
        ("A man", {("a", "man")}),
        ("man", {("man",)}),
        ("…!", set()),
        ("", set()),
        ("Été à Paris", {("été", "à", "paris")}),
    ],
)
def test_the_triples_of_a_text(text, expected):
    assert shingles(text) == expected


@pytest.mark.parametrize(
    ("a", "b", "share"),
    [
        ("a b c d", "a b c e", Fraction(1, 3)),
        ("a b c d", "a b c", Fraction(1, 2)),
        ("a b c d e", "a b c d", Fraction(2, 3)),
        # Contained in the other is not near: of the shorter's triples all, of either's a quarter.
        ("a b c", "a b c d e f", Fraction(1, 4)),
        # A triple that a text has twice counts once.
        ("a b c a b c", "a b c a b", Fraction(1)),
        ("A b, c!", "a B C", Fraction(1)),
        ("a b", "A B.", Fraction(1)),
    ],
)
def test_a_pair_counts_from_its_share_on_and_not_above_it(a, b, share):
    value = float(share)
    assert near_texts([a, b], value) == [(0, 1, value)]
    if value < 1:
        assert near_texts([a, b], math.nextafter(value, 1)) == []


@pytest.mark.parametrize(
    ("a", "b"), [("a b c", "c b a"), ("a b c", "a b"), ("a b c", "c d a b"), ("...", "a")]
)
def test_texts_without_a_common_triple_are_not_near_however_low_the_share(a, b):
    assert near_texts([a, b], 1e-9) == []


def test_no_texts_or_one_give_no_pair():
    assert near_texts([], 0.5) == near_texts(["a b c"], 0.5) == []
    assert alike([], 64) == alike([5], 64) == []


@given(TEXTS, SHARES, st.sampled_from([1, 2, 3, 4096]))
def test_near_texts_are_those_that_a_look_at_every_pair_finds(texts, share, at_once):
    expected = [
        (i, j, float(index(texts[i], texts[j])))
        for i, j in itertools.combinations(range(len(texts)), 2)
        if index(texts[i], texts[j]) >= share
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_AT_ONCE", at_once)
        assert near_texts(texts, float(share)) == expected


@given(HASHES, st.sampled_from([0, 1, 4, 31, 32, 63, 64]), st.sampled_from([1, 2, 3, 4096]))
def test_alike_hashes_are_those_that_a_look_at_every_pair_finds(hashes, bits, at_once):
    differ = {
        (i, j): bin(hashes[i] ^ hashes[j]).count("1")
        for i, j in itertools.combinations(range(len(hashes)), 2)
    }
    expected = [(i, j, n) for (i, j), n in differ.items() if n <= bits]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_AT_ONCE", at_once)
        assert alike(hashes, bits) == expected


def test_the_top_bit_is_one_bit_and_all_bits_are_64():
    hashes = [0, 1, 2**63, 2**64 - 1]
    assert alike(hashes, 0) == []
    assert alike(hashes, 1) == [(0, 1, 1), (0, 2, 1)]
    assert alike(hashes, 2) == [(0, 1, 1), (0, 2, 1), (1, 2, 2)]
    assert alike(hashes, 63) == [*alike(hashes, 2), (1, 3, 63), (2, 3, 63)]
    assert alike(hashes, 64) == [
        (0, 1, 1), (0, 2, 1), (0, 3, 64), (1, 2, 2), (1, 3, 63), (2, 3, 63),
    ]  # fmt: skip
