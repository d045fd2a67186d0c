"""Scenes: what is in a clip, which labels it gets in each world, and how relevant they truly are.

A label's utility is the weight of its concept's role in the scene, plus what is special to the
element, the clip and the label; two thresholds make it a grade. `Calibration` holds every number.
"""

import bisect
import functools
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lrmovienet.synthetic.calibration import CALIBRATION, Calibration, RoleWeights
from lrmovienet.synthetic.grammar import describe
from lrmovienet.synthetic.plan import SIZES, Film, SizeName, plan
from lrmovienet.synthetic.vocabulary import WORLDS, Concept, Kind, Label, World, listed, vocabulary
from lrmovienet.synthetic.words import GENRE_GROUPS

MAX_LABELS = 20
MAX_TRIES = 200
"""Draws of absent labels; in the small corpora a kind can run out of concepts."""
ROLES = tuple(f.name for f in fields(RoleWeights))
SCENES, RATINGS, PAIRS, FRAMES = 0, 1, 2, 3
"""What a film's random numbers are for: `film_rng(seed, film, RATINGS)` leaves the others alone."""

_PARTS: tuple[tuple[str, Kind, int, int], ...] = (
    ("theme", "event", 1, 2), ("secondary_event", "event", 1, 1),
    ("protagonist", "person", 1, 2), ("secondary_person", "person", 1, 1),
    ("setting", "setting", 1, 2), ("prop", "prop", 2, 1), ("background", "object", 3, 1),
    ("mood", "mood", 2, 1),
)  # fmt: skip
"""Role, kind, how many elements of a scene have it, and labels for each of them in a world."""

SourceKind = Literal["image", "event", "entity"]


@dataclass(frozen=True)
class Element:
    """Something in the scene (or, where absent, something a tagger only thinks is there)."""

    role: str
    concept: Concept
    prominence: float
    """0 to 1; the size of props and background objects in the picture."""
    in_text: bool
    in_picture: bool
    shift: float
    """What the utility of all its labels has beyond the role's weight."""
    word: str = ""
    """The name that the description uses."""
    adjective: str = ""
    """The adjective that the description uses, or nothing."""


@dataclass(frozen=True)
class SceneLabel:
    """A candidate label with the truth about it."""

    text: str
    world: World
    role: str
    utility: float
    grade: int
    kind: SourceKind
    """Who proposed it."""
    score: float | None
    """The tagger's, for image labels."""


@dataclass(frozen=True)
class Scene:
    """A clip as the generator knows it."""

    clip_id: str
    film: Film
    elements: tuple[Element, ...]
    labels: tuple[SceneLabel, ...]
    """In the order of the candidates."""
    description: str


def film_rng(seed: int, film: Film, purpose: int) -> np.random.Generator:
    """A film's own random numbers, independent of every other film's."""
    return np.random.default_rng([seed, film.index, purpose])


@functools.lru_cache(maxsize=256)  # each table asks for every film again
def scenes(film: Film, seed: int, calibration: Calibration = CALIBRATION) -> tuple[Scene, ...]:
    """All scenes of a film, equal for equal arguments wherever they are made."""
    rng = film_rng(seed, film, SCENES)
    casting = Casting(film, seed, calibration)
    return tuple(_scene(film, i, casting, calibration, rng) for i in range(film.clips))


def true_grades(
    size: SizeName, seed: int, calibration: Calibration = CALIBRATION
) -> dict[tuple[str, str], int]:
    """(clip_id, label) -> the grade without any annotator's error, for a whole corpus."""
    return {
        (scene.clip_id, label.text): label.grade
        for film in plan(size, seed)
        for scene in scenes(film, seed, calibration)
        for label in scene.labels
    }


@functools.cache
def tail_pool(size: SizeName, seed: int, calibration: Calibration = CALIBRATION) -> frozenset[str]:
    """All labels of the corpus' films with a long-tail genre.

    Other films draw their tail-world labels from these, so that the tail world is exactly the
    target domain: the labels that occur in a clip of a tail genre.
    """
    return frozenset(
        label.text
        for film in plan(size, seed)
        if film.is_tail
        for scene in scenes(film, seed, calibration)
        for label in scene.labels
    )


class Casting:
    """Draws concepts as often as a film's genres ask for them, and labels by their frequency."""

    def __init__(self, film: Film, seed: int, calibration: Calibration) -> None:
        self._calibration = calibration
        self._vocabulary = vocabulary()
        self._pool = None if film.is_tail else tail_pool(film.size, seed, calibration)
        favoured = {g for genre in film.genres for g in listed(GENRE_GROUPS[genre])}
        self._chances: dict[Kind, list[float]] = {}
        self._concepts: dict[Kind, tuple[Concept, ...]] = {}
        for kind, every in self._vocabulary.concepts.items():
            concepts = every[: max(12, round(len(every) * SIZES[film.size].concepts))]
            self._concepts[kind] = concepts
            weights = _zipf(len(concepts), calibration.concept_zipf)
            boosts = [calibration.genre_boost if c.group in favoured else 1.0 for c in concepts]
            self._chances[kind] = list(np.cumsum(weights * boosts))

    def concept(
        self, kind: Kind, rng: np.random.Generator, used: set[int], group: str = ""
    ) -> Concept | None:
        """A concept that is not used yet, of a group where one is asked for and has any left.

        None where all of the kind are used.
        """
        concepts = self._concepts[kind]
        if all(c.index in used for c in concepts):
            return None
        if group:
            left = [c for c in concepts if c.group == group and c.index not in used]
            if left:
                used.add((chosen := left[int(rng.integers(len(left)))]).index)
                return chosen
        while True:
            chosen = concepts[_draw(self._chances[kind], rng)]
            if chosen.index not in used:
                used.add(chosen.index)
                return chosen

    def label(
        self, world: World, concept: Concept, rng: np.random.Generator, taken: Sequence[Label]
    ) -> Label | None:
        """A label of a concept that goes with those it has; None where chance finds none."""
        labels = self._vocabulary.labels[world][concept.index]
        if world == "tail" and self._pool is not None:
            labels = tuple(x for x in labels if x.text in self._pool)
        if not labels:  # a long name that takes no adjective, or none that a tail film uses
            return None
        exponent = self._calibration.head_zipf if world == "head" else self._calibration.tail_zipf
        chances = _cumulative_zipf(len(labels), exponent)
        slots = {x.slot for x in taken if x.slot}
        texts = {x.text for x in taken}
        for _ in range(8):
            label = labels[_draw(chances, rng)]
            if label.slot not in slots and label.text not in texts:
                return label
        return None


def _zipf(count: int, exponent: float) -> npt.NDArray[np.floating[Any]]:
    return np.arange(1, count + 1) ** -exponent


@functools.cache
def _cumulative_zipf(count: int, exponent: float) -> list[float]:
    return list(np.cumsum(_zipf(count, exponent)))


def _draw(cumulative: list[float], rng: np.random.Generator) -> int:
    return bisect.bisect_right(cumulative, rng.random() * cumulative[-1])


def _scene(
    film: Film, index: int, casting: Casting, calibration: Calibration, rng: np.random.Generator
) -> Scene:
    used: set[int] = set()
    elements = _elements(casting, calibration, rng, used)
    emphasised = _emphasised(elements, rng)
    elements[emphasised] = replace(
        elements[emphasised], shift=elements[emphasised].shift + calibration.emphasis
    )
    clip_shift = float(rng.normal(0, calibration.clip_sd))
    worlds: tuple[World, ...] = ("tail",) if film.is_tail else WORLDS
    labels: list[SceneLabel] = []
    named: dict[int, list[Label]] = {e.concept.index: [] for e in elements}
    for world in worlds:
        labels += _labels(world, elements, named, used, clip_shift, casting, calibration, rng)
    elements = [_worded(e, named[e.concept.index], calibration, rng) for e in elements]
    order = rng.permutation(len(labels))
    return Scene(
        clip_id=f"{film.movie_id}_{index:04d}",
        film=film,
        elements=tuple(elements),
        labels=tuple(labels[i] for i in order),
        description=describe(elements, emphasised, rng),
    )


def _elements(
    casting: Casting, calibration: Calibration, rng: np.random.Generator, used: set[int]
) -> list[Element]:
    elements = []
    for (role, kind, number, _), in_text in zip(_PARTS, calibration.in_text, strict=True):
        for _ in range(number):
            prominence = float(rng.random()) if kind in ("prop", "object") else 0.5
            concept = casting.concept(kind, rng, used)
            assert concept is not None, f"a scene needs more {kind} concepts than there are"
            elements.append(
                Element(
                    role=role,
                    concept=concept,
                    prominence=prominence,
                    in_text=bool(rng.random() < in_text * (0.6 + 0.8 * prominence)),
                    in_picture=kind not in ("event",),
                    shift=float(rng.normal(0, calibration.element_sd))
                    + calibration.prominence * (prominence - 0.5),
                )
            )
    return elements


def _emphasised(elements: list[Element], rng: np.random.Generator) -> int:
    """The element that the description opens with: one of those in the text."""
    can = ("theme", "protagonist", "setting", "prop", "mood")
    open_with = [i for i, e in enumerate(elements) if e.in_text and e.role in can]
    return open_with[int(rng.integers(len(open_with)))]


def _labels(
    world: World, elements: list[Element], named: dict[int, list[Label]], used: set[int],
    clip_shift: float, casting: Casting, calibration: Calibration, rng: np.random.Generator,
) -> list[SceneLabel]:  # fmt: skip
    """A clip's labels in one world: those of its elements, filled up with absent ones."""
    wanted = int(rng.binomial(MAX_LABELS, calibration.labels_per_record / MAX_LABELS))
    each = {role: number for role, _, _, number in _PARTS}
    pairs: list[tuple[Element, Label]] = []
    for element in elements:
        for _ in range(each[element.role]):
            if rng.random() < calibration.present:
                taken = named[element.concept.index]
                label = casting.label(world, element.concept, rng, taken)
                if label and label.text not in {x.text for _, x in pairs}:
                    taken.append(label)
                    pairs.append((element, label))
    pairs = [pairs[i] for i in sorted(rng.permutation(len(pairs))[:wanted])]
    groups = {e.concept.group for e in elements}
    for _ in range(MAX_TRIES):
        if len(pairs) >= wanted:
            break
        like = elements[int(rng.integers(len(elements)))].concept
        near = like.group if rng.random() < calibration.near_absent else ""
        concept = casting.concept(like.kind, rng, used, near)
        if concept is None:
            continue
        absent = Element("absent", concept, float(rng.random()), False, False, 0.0)
        label = casting.label(world, concept, rng, [])
        if label and not (label.generic and label.text in groups):
            groups.add(label.text)  # a generic label once a record
            pairs.append((absent, label))
    return [_judged(world, e, x, clip_shift, calibration, rng) for e, x in pairs]


def _judged(
    world: World, element: Element, label: Label, clip_shift: float, calibration: Calibration,
    rng: np.random.Generator,
) -> SceneLabel:  # fmt: skip
    weights = calibration.head if world == "head" else calibration.tail
    utility = getattr(weights, element.role) + element.shift + clip_shift
    utility += calibration.generic * label.generic + float(rng.normal(0, calibration.label_sd))
    kind, score = _proposed(element, rng)
    grade = int(utility >= calibration.medium_from) + int(utility >= calibration.high_from)
    return SceneLabel(label.text, world, element.role, utility, grade, kind, score)


def _proposed(element: Element, rng: np.random.Generator) -> tuple[SourceKind, float | None]:
    """Who proposed a label, and with which score: taggers are surer of what is prominent."""
    kind = element.concept.kind
    if kind == "event":
        return "event", None
    absent = element.role == "absent"
    from_text = rng.random() < 0.35 if absent else element.in_text and rng.random() < 0.7
    if from_text:
        return "entity", None
    middle = 0.45 if absent else 0.45 + 0.4 * element.prominence
    return "image", round(float(np.clip(rng.normal(middle, 0.12), 0.05, 0.99)), 3)


def _worded(
    element: Element, labels: list[Label], calibration: Calibration, rng: np.random.Generator
) -> Element:
    """Choose the words for an element: a label's name or another, with an adjective or none."""
    names = element.concept.names
    said = [x for x in labels if not x.generic]
    word = said[int(rng.integers(len(said)))].name if said else names[0]
    others = [name for name in names if name != word]
    if others and rng.random() < calibration.synonym:
        word = others[int(rng.integers(len(others)))]
    adjectives = [x.adjective for x in said if x.adjective]
    adjective = ""
    if adjectives and rng.random() < 0.6:
        adjective = adjectives[int(rng.integers(len(adjectives)))]
    return replace(element, word=word, adjective=adjective)
