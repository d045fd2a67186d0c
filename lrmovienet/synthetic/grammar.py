"""Scene descriptions: a few clauses about what is in the text, the emphasised element first."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lrmovienet.synthetic.vocabulary import listed
from lrmovienet.synthetic.words import WATCHING

if TYPE_CHECKING:
    from lrmovienet.synthetic.world import Element

LONGEST = 45
SHORTEST = 20
_WATCHING = listed(WATCHING)
_NO_ARTICLE = frozenset(
    listed(
        """boots, scissors, spectacles, handcuffs, gravel, sand, mud, snow, moss, water, smoke,
        mist, rubble, wheat, ivy, cheese, grass, moonlight, lightning, spectators, passers-by,
        mourners, passengers, guests, protesters, villagers, students, prisoners, workers, men,
        couples, playing, ash, wire, traffic, sweets"""
    )
)
_FILLERS = (
    "Nobody says a word for a while", "It all happens within minutes",
    "What comes next is still open", "Everything seems to hang in the balance",
    "There is no way back from here", "The others only learn of it much later",
)  # fmt: skip


def noun_phrase(word: str, adjective: str = "", article: str = "a") -> str:
    """A noun and its adjective, with "a", "an", "the" or nothing before them."""
    phrase = f"{adjective} {word}".strip()
    if article == "a":
        if word.split()[-1] in _NO_ARTICLE:
            return phrase
        article = "an" if phrase[0] in "aeiou" and not phrase.startswith("uni") else "a"
    return f"{article} {phrase}".strip()


def describe(elements: Sequence["Element"], emphasised: int, rng: np.random.Generator) -> str:
    """A description of 20 to 45 words.

    Args:
        elements: what is in the scene, with the words chosen for it; only ``in_text`` is told.
        emphasised: position of the element that the first sentence opens with.
        rng: chooses among sentence forms and their order.
    """
    told = {r: [e for e in elements if e.in_text and e.role == r] for r in _ROLES}
    opening = elements[emphasised]
    main = _main_clause(told, opening, rng)
    rest = _rest(told, opening, rng)
    rest = [rest[i] for i in rng.permutation(len(rest))]
    sentences = [main]
    for clause in rest:
        if sum(len(s.split()) for s in (*sentences, clause)) <= LONGEST:
            sentences.append(clause)
    fillers = [_FILLERS[i] for i in rng.permutation(len(_FILLERS))]
    while sum(len(s.split()) for s in sentences) < SHORTEST:
        sentences.append(fillers.pop())
    return " ".join(s[0].upper() + s[1:] + "." for s in sentences)


_ROLES = (
    "theme", "secondary_event", "protagonist", "secondary_person", "setting", "prop", "background",
    "mood",
)  # fmt: skip


def _phrase(element: "Element", article: str = "a") -> str:
    return noun_phrase(element.word, element.adjective, article)


def _choose(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def _event(element: "Element", rng: np.random.Generator) -> tuple[str, str]:
    """An event as a finite clause and as a gerund, or by its name with the label's adjective."""
    if element.adjective or rng.random() < 0.4:
        name = _phrase(element)
        finite = _choose(("takes part in", "is caught up in", "faces", "lives through"), rng)
        gerund = _choose(("dealing with", "thinking of", "caught up in"), rng)
        return f"{finite} {name}", f"{gerund} {name}"
    return element.concept.finite, element.concept.gerund


def _main_clause(
    told: dict[str, list["Element"]], opening: "Element", rng: np.random.Generator
) -> str:
    """Who does what, begun by the emphasised element."""
    person = _phrase(told["protagonist"][0])
    finite, gerund = _event(told["theme"][0], rng)
    place = f"in {_phrase(told['setting'][0])}" if told["setting"] else ""
    does = f"{person} {finite}"
    if opening.role == "theme":
        forms = (
            f"{gerund}, {person} stops at nothing",
            f"{gerund} is all that {person} has in mind",
            f"{_phrase(opening, 'the')} is what this is about: {does}",
        )
        begun = _choose(forms, rng)
        return f"{begun} {place}".strip()
    if opening.role == "protagonist":
        return _choose((f"{does} {place}", f"{person} is {gerund} {place}"), rng).strip()
    if opening.role == "setting":
        return _choose((f"{place}, {does}", f"{_phrase(opening)} is where {does}"), rng)
    if opening.role == "prop":
        holding = f"{_choose(('holding', 'with', 'reaching for'), rng)} {_phrase(opening)}"
        return f"{holding}, {does} {place}".strip()
    return f"{_mood(opening, rng)}, {does} {place}".strip()


def _mood(element: "Element", rng: np.random.Generator) -> str:
    words = f"{element.adjective} {element.word}".strip()
    if element.concept.group in ("feeling", "atmosphere"):
        return f"{_choose(('with', 'in a moment of', 'filled by'), rng)} {words}"
    return f"{_choose(('in', 'during'), rng)} the {words}"


def _rest(
    told: dict[str, list["Element"]], opening: "Element", rng: np.random.Generator
) -> list[str]:
    """One clause for everything else that is told."""
    clauses = []
    others = [_phrase(e) for e in told["secondary_person"]]
    events = [_event(e, rng) for e in told["secondary_event"]]
    if others and events:
        finite, gerund = events[0]
        looks_on = f"{others[0]} {_choose(_WATCHING, rng)} while {gerund}"
        clauses.append(_choose((f"meanwhile {others[0]} {finite}", looks_on), rng))
    elif others:
        clauses.append(f"{others[0]} {_choose(_WATCHING, rng)}")
    elif events:
        clauses.append(f"all this leads to {_phrase(told['secondary_event'][0])}")
    for role, forms in _FORMS.items():
        for element in told[role]:
            if element is not opening:
                article = "" if role == "mood" else "a"
                clauses.append(_choose(forms, rng).format(_phrase(element, article)))
    return clauses


_FORMS = {
    "prop": (
        "{} plays a part in it", "there is {} at hand", "{} changes hands", "somebody picks up {}",
    ),
    "background": ("in the background one sees {}", "nearby there is {}"),
    "mood": ("{} hangs over it all", "it is a scene of {}", "everything tells of {}"),
}  # fmt: skip
