"""Concepts, and the two vocabularies of labels that name them.

A concept (a warehouse, a robbery) has labels in two worlds that share no label: the *head world* is
used only in films without a long-tail genre, the *tail world* in all films. After the paper's
partition by genre they are the source and the target labels. Both worlds are made of the same
words (one may hold "dusty warehouse", the other "empty storehouse"), so what is learnt about
meaning in one carries over to the other.
"""

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np

from eval.labels import normal_form
from lrmovienet.synthetic import words

World = Literal["head", "tail"]
WORLDS: tuple[World, World] = ("head", "tail")
Kind = Literal["event", "person", "setting", "prop", "object", "mood"]

MAX_WORDS = 3
TAIL_SHARE = 0.4
"""Share of the possible labels that belong to the tail world."""
_SEED = 20240
"""The vocabularies are the same for every corpus; a corpus' seed only draws from them."""


@dataclass(frozen=True)
class Concept:
    """Something a scene can hold."""

    index: int
    kind: Kind
    group: str
    names: tuple[str, ...]
    finite: str = ""
    """Events: what somebody does, "robs a bank"."""
    gerund: str = ""
    """Events: "robbing a bank"."""


@dataclass(frozen=True)
class Label:
    """A way to name a concept."""

    text: str
    name: str
    """The noun in it; the group's name where it says no more than that."""
    adjective: str = ""
    slot: str = ""
    """What the adjective tells (colour, age, …); an element has one adjective a slot."""
    generic: bool = False
    """Names only the group ("weapon")."""


@dataclass(frozen=True)
class Vocabulary:
    """All concepts, and for each world and concept its labels, commonest first."""

    concepts: dict[Kind, tuple[Concept, ...]]
    labels: dict[World, tuple[tuple[Label, ...], ...]]
    """By world, then by `Concept.index`."""


@functools.cache
def vocabulary() -> Vocabulary:
    """The two vocabularies, built once a process (about 0.3 s)."""
    rng = np.random.default_rng(_SEED)
    concepts = _concepts(rng)
    taken: set[str] = set()
    worlds_of_groups: dict[str, World] = {}
    labels: dict[World, list[tuple[Label, ...]]] = {"head": [], "tail": []}
    # Plain names first, so that "old mill" is the mill of that name and not an adjective's.
    plain = [_plain(c, rng, taken, worlds_of_groups) for c in concepts]
    for concept, (head, tail) in zip(concepts, plain, strict=True):
        qualified = [x for x in _qualified(concept) if x.text not in taken]
        taken.update(x.text for x in qualified)
        qualified = list({x.text: x for x in qualified}.values())
        order = rng.permutation(len(qualified))
        cut = round(len(qualified) * TAIL_SHARE)
        labels["tail"].append((*tail, *(qualified[i] for i in order[:cut])))
        labels["head"].append((*head, *(qualified[i] for i in order[cut:])))
    by_kind: dict[Kind, list[Concept]] = {}
    for concept in concepts:
        by_kind.setdefault(concept.kind, []).append(concept)
    return Vocabulary(
        {kind: tuple(found) for kind, found in by_kind.items()},
        {world: tuple(labels[world]) for world in WORLDS},
    )


def listed(text: str, separator: str = ",") -> list[str]:
    """The entries of a list in `lrmovienet.synthetic.words`, single-spaced."""
    return [" ".join(entry.split()) for entry in text.split(separator) if entry.strip()]


def _concepts(rng: np.random.Generator) -> list[Concept]:
    """Concepts of all kinds; within a kind in a fixed random order, which is their frequency's."""
    sources: tuple[tuple[Kind, dict[str, str]], ...] = (
        ("person", words.PERSONS), ("setting", words.SETTINGS), ("prop", words.PROPS),
        ("object", words.OBJECTS), ("mood", words.MOODS),
    )  # fmt: skip
    found: list[tuple[Kind, str, tuple[str, ...], str, str]] = []
    seen: set[str] = set()
    for kind, groups in sources:
        entries = [(g, e.split("/")) for g, text in groups.items() for e in listed(text)]
        for i in rng.permutation(len(entries)):
            group, names = entries[i]
            fresh = tuple(n for n in names if n not in seen)
            seen.update(names)
            if fresh:
                found.append((kind, group, fresh, "", ""))
    events = [(g, listed(e, ":")) for g, text in words.EVENTS.items() for e in listed(text, ";")]
    for i in rng.permutation(len(events)):
        group, (name, finite, gerund, rest) = events[i]
        names = tuple(n for n in name.split("/") if n not in seen)
        seen.update(names)
        if names:
            found.append(("event", group, names, f"{finite} {rest}", f"{gerund} {rest}"))
    return [Concept(i, *parts) for i, parts in enumerate(found)]


def _plain(
    concept: Concept, rng: np.random.Generator, taken: set[str], groups: dict[str, World]
) -> tuple[list[Label], list[Label]]:
    """Names, the short gerund and the group's name, dealt to the worlds in turn."""
    found = [Label(normal_form(name), name) for name in concept.names]
    gerund = _short(concept.gerund)
    if gerund:
        found.append(Label(normal_form(gerund), concept.names[0]))
    found = [x for x in found if x.text not in taken]
    taken.update(x.text for x in found)
    first = int(rng.integers(2))
    dealt: tuple[list[Label], list[Label]] = ([], [])
    for i, label in enumerate(found):
        dealt[(first + i) % 2].append(label)
    if concept.group not in taken:
        groups[concept.group] = WORLDS[int(rng.integers(2))]
        taken.add(concept.group)
    if concept.group in groups:
        generic = Label(concept.group, concept.group, generic=True)
        dealt[WORLDS.index(groups[concept.group])].append(generic)
    return dealt


def _qualified(concept: Concept) -> list[Label]:
    """Every adjective that can stand before one of the concept's names."""
    kind: str = "object" if concept.kind == "prop" else concept.kind
    if concept.group in listed(words.NATURE):
        kind = "nature"
    found = []
    for slot, text in words.ADJECTIVES[kind].items():
        for adjective in listed(text):
            for name in concept.names:
                label = f"{adjective} {name}"
                repeats = set(adjective.split()) & set(name.split())
                if len(label.split()) <= MAX_WORDS and not repeats:
                    found.append(Label(normal_form(label), name, adjective, slot))
    return found


def _short(gerund: str) -> str:
    """A gerund phrase in three words at most, without its articles where they do not fit."""
    parts = gerund.split()
    if len(parts) > MAX_WORDS:
        parts = [p for p in parts if p not in ("a", "an", "the")]
    return " ".join(parts) if len(parts) <= MAX_WORDS else ""
