"""The forms of a label: which are the same label, and which of them is written.

"Red Car", "red cars", "red-car" and "red–car" are one label, in every clip. The form that most
clips have is the one that is written; the others are recorded as dropped, so that a form can always
be found again.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from eval.labels import normal_form
from lrmovienet.columns import MAX_LABEL_LENGTH
from lrmovienet.text.parse import STOP_WORDS, words

IRREGULAR = {
    "buses": "bus", "children": "child", "feet": "foot", "gases": "gas", "geese": "goose",
    "headaches": "headache", "heroes": "hero", "knives": "knife", "leaves": "leaf",
    "lives": "life", "men": "man", "mice": "mouse", "mustaches": "mustache", "people": "person",
    "policemen": "policeman", "potatoes": "potato", "teeth": "tooth", "thieves": "thief",
    "tomatoes": "tomato", "wives": "wife", "wolves": "wolf", "women": "woman",
}  # fmt: skip
ALWAYS_PLURAL = {
    "binoculars", "clothes", "glasses", "goggles", "jeans", "news", "pajamas", "pants", "pyjamas",
    "scissors", "series", "shears", "shorts", "species", "sunglasses", "tights", "tongs",
    "trousers",
}  # fmt: skip
"""Without the s they are no word, or another one."""

_IN_IE = {
    "birdies", "brownies", "calories", "collies", "cookies", "cuties", "genies", "goalies",
    "hippies", "hoodies", "junkies", "movies", "pies", "pixies", "prairies", "rookies", "selfies",
    "smoothies", "ties", "veggies", "zombies",
}  # fmt: skip
"""Plurals of words that end in -ie."""

NO_LETTERS = "no letters"
STOP_WORDS_ONLY = "stop words only"

_DASHES = re.compile(r"\s*[-‐‑‒–—―−]\s*")
_PLAIN = str.maketrans({**dict.fromkeys("’‘ʼ´`′", "'"), "_": " ", "\u00ad": None})
_ACCENT = re.compile(r"([a-z\u0370-\u03ff])[\u0300-\u036f]+", re.IGNORECASE)
"""Marks on Latin and Greek letters. In other scripts a mark makes another letter."""


# Corpora have some ten thousand different labels and millions of rows.
_remember = lru_cache(2**18)


@_remember
def tidy(label: str) -> str:
    """A label in the characters of a keyboard where Unicode has several: NFKC, one dash, one quote.

    Quotes and marks around it go, accents stay: "Café–Bar" is "café-bar".
    """
    text = plain_marks(unicodedata.normalize("NFKC", plain_marks(label)))
    text = normal_form("".join(c if c.isprintable() else " " for c in text))
    return _trimmed(_DASHES.sub("-", text))


def plain_marks(text: str) -> str:
    """A text with one kind of quote, blanks for underscores, and no soft hyphens."""
    return text.translate(_PLAIN)


def _trimmed(text: str) -> str:
    """Without what is neither letter, digit nor a mark on one, at both ends."""
    inside = [i for i, c in enumerate(text) if unicodedata.category(c)[0] in "LNM"]
    return text[inside[0] : inside[-1] + 1] if inside else ""


@_remember
def fault(label: str) -> str | None:
    """Why a tidy label is none, or None."""
    if not any(c.isalpha() for c in label):
        return NO_LETTERS
    if len(label) > MAX_LABEL_LENGTH:
        return f"more than {MAX_LABEL_LENGTH} characters"
    if all(word in STOP_WORDS for word in words(label)):
        return STOP_WORDS_ONLY
    return None


@_remember
def key(label: str) -> str:
    """What the forms of a label have in common: no accents, no dashes, no article, the singular."""
    plain = re.sub(r"^(?:an?|the) (?=\S)", "", tidy(label))
    plain = unicodedata.normalize("NFC", without_accents(plain)).replace("-", " ")
    return singular(" ".join(plain.split()))


def block_key(label: str) -> str:
    """As `key`, whether words are written apart, with a dash or as one."""
    return key(label).replace(" ", "")


def without_accents(text: str) -> str:
    """Latin and Greek letters without their marks, decomposed; other scripts as they are."""
    return _ACCENT.sub(r"\1", unicodedata.normalize("NFKD", text))


def written_forms(labels_of_clips: Iterable[Iterable[str]]) -> dict[str, str]:
    """Each tidy label -> the form it is written in, over all clips.

    That is the form in most clips; of equally common ones the singular, then the shortest, then the
    first by alphabet. Words that are written apart, with a dash and as one are one label where
    at least two of the three occur.

    Args:
        labels_of_clips: for each clip its tidy labels.
    """
    clips = Counter(label for labels in labels_of_clips for label in set(labels))
    keys = {label: key(label) for label in clips}
    solid = {k for k in keys.values() if " " not in k}
    groups: dict[str, list[str]] = {}
    for label, of in keys.items():
        joined = of.replace(" ", "")
        groups.setdefault(joined if of.count(" ") == 1 and joined in solid else of, []).append(
            label
        )
    return {
        label: min(forms, key=lambda f: (-clips[f], _is_plural(f), len(f), f))
        for forms in groups.values()
        for label in forms
    }


def _is_plural(label: str) -> bool:
    plain = label.replace("-", " ")
    return singular(plain) != plain


def singular(label: str) -> str:
    """A label with its last word in the singular, by spelling alone.

    ``-ies`` becomes ``-y`` (not of "movies") and ``-ches, -shes, -sses, -xes, -zzes`` lose ``es``;
    a final ``s`` goes, unless it follows ``s``, ``u`` or ``i`` or leaves fewer than three letters
    ("dress", "bus").
    """
    head, _, word = label.rpartition(" ")
    if word in IRREGULAR or word in ALWAYS_PLURAL:
        word = IRREGULAR.get(word, word)
    elif word.endswith("ies") and len(word) > 4 and word not in _IN_IE:
        word = word[:-3] + "y"
    elif word.endswith(("ches", "shes", "sses", "xes", "zzes")):
        word = word[:-2]
    elif word.endswith("s") and word[-2:-1] not in ("s", "u", "i", "'") and len(word) > 3:
        word = word[:-1]
    return f"{head} {word}" if head else word
