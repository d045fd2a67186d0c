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
from lrmovienet.text.parse import STOP_WORDS, words

IRREGULAR = {
    "children": "child", "feet": "foot", "geese": "goose", "knives": "knife", "leaves": "leaf",
    "lives": "life", "men": "man", "mice": "mouse", "people": "person", "policemen": "policeman",
    "teeth": "tooth", "thieves": "thief", "wives": "wife", "wolves": "wolf", "women": "woman",
    "glasses": "glasses", "news": "news", "series": "series", "species": "species",
}  # fmt: skip

NO_LETTERS = "no letters"
STOP_WORDS_ONLY = "stop words only"

_DASHES = re.compile(r"\s*[-‐‑‒–—−]\s*")
_QUOTES = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "´": "'", "`": "'", "_": " "})


# Corpora have some ten thousand different labels and millions of rows.
_remember = lru_cache(2**18)


@_remember
def tidy(label: str) -> str:
    """A label in the characters of a keyboard where Unicode has several: NFKC, one dash, one quote.

    Quotes and marks around it go, accents stay: "Café–Bar" is "café-bar".
    """
    text = unicodedata.normalize("NFKC", label).translate(_QUOTES)
    text = normal_form("".join(c if c.isprintable() else " " for c in text))
    return re.sub(r"^[\W_]+|[\W_]+$", "", _DASHES.sub("-", text))


@_remember
def fault(label: str) -> str | None:
    """Why a tidy label is none, or None."""
    if not any(c.isalpha() for c in label):
        return NO_LETTERS
    if all(word in STOP_WORDS for word in words(label)):
        return STOP_WORDS_ONLY
    return None


@_remember
def key(label: str) -> str:
    """What the forms of a label have in common: no accents, no dashes, no article, the singular."""
    plain = unicodedata.normalize("NFKD", tidy(label))
    plain = "".join(c for c in plain if not unicodedata.combining(c)).replace("-", " ")
    plain = re.sub(r"^(?:an?|the) (?=\S)", "", plain)
    return singular(" ".join(plain.split()))


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
        label: min(forms, key=lambda f: (-clips[f], singular(f) != f, len(f), f))
        for forms in groups.values()
        for label in forms
    }


def singular(label: str) -> str:
    """A label with its last word in the singular, by spelling alone.

    ``-ies`` becomes ``-y`` and ``-ches, -shes, -sses, -xes, -zzes`` lose ``es``; a final ``s``
    goes, unless it follows ``s``, ``u`` or ``i`` or leaves fewer than three letters ("dress",
    "bus").
    """
    head, _, word = label.rpartition(" ")
    if word in IRREGULAR:
        word = IRREGULAR[word]
    elif word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith(("ches", "shes", "sses", "xes", "zzes")):
        word = word[:-2]
    elif word.endswith("s") and word[-2:-1] not in ("s", "u", "i", "'") and len(word) > 3:
        word = word[:-1]
    return f"{head} {word}" if head else word
