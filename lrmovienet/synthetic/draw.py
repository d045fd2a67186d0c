"""Keyframes: a setting as backdrop, people as figures, things as coloured shapes.

The pictures are no photographs, but what the labels say can be seen in them: equal concepts look
equal everywhere, and a prop is as large as it is prominent.
"""

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lrmovienet.synthetic.plan import Film
from lrmovienet.synthetic.vocabulary import listed
from lrmovienet.synthetic.world import Element, Scene

if TYPE_CHECKING:
    from cv2.typing import MatLike

JPEG_QUALITY = 70
_COLOURS = {
    "red": (40, 40, 200), "blue": (200, 90, 40), "green": (60, 150, 50), "yellow": (60, 210, 230),
    "black": (20, 20, 20), "white": (240, 240, 240), "golden": (50, 170, 220),
    "grey": (130, 130, 130), "silver": (190, 190, 185), "brown": (40, 70, 110),
    "purple": (140, 50, 120), "pink": (180, 150, 240), "orange": (30, 130, 240),
    "crimson": (50, 20, 160), "turquoise": (190, 190, 60),
}  # fmt: skip
"""Blue, green, red of the adjectives that are colours."""
_DARK = frozenset(
    listed(
        """night, midnight, dusk, twilight, moonlight, candlelight, storm, gale, thunder, fog,
        gloom, grief, sorrow, fear, dread, menace, horror, despair, evening, halloween"""
    )
)


def look(text: str) -> npt.NDArray[np.uint8]:
    """Sixteen numbers from 0 to 255 that belong to a word, on every machine."""
    return np.frombuffer(hashlib.sha256(text.encode()).digest()[:16], np.uint8)


def _colour(element: Element) -> tuple[int, int, int]:
    if element.adjective in _COLOURS:
        return _COLOURS[element.adjective]
    b, g, r = (int(v) for v in look(element.concept.names[0])[:3])
    return b, g, r


class Drawing:
    """One shot of a scene, from which its three keyframes are drawn."""

    def __init__(
        self, resolution: tuple[int, int], scene: Scene | None, film: Film, scale: str,
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self._width, self._height = resolution
        self._film = film
        self._zoom = {"long": 0.75, "full": 0.9, "medium": 1.0}.get(scale, 1.2)
        self._shown = [e for e in scene.elements if e.in_picture] if scene else []
        self._places = rng.uniform(0.08, 0.92, len(self._shown))
        self._moves = rng.uniform(-0.04, 0.04, len(self._shown))
        self._backdrop = self._make_backdrop(rng)

    def jpeg(self, image: int) -> bytes:
        """The JPEG bytes of keyframe 0, 1 or 2: people and things move a little."""
        import cv2

        picture = self._backdrop.copy()
        order = {"background": 0, "prop": 1, "secondary_person": 2, "protagonist": 3}
        todo = [i for i, e in enumerate(self._shown) if e.role in order]
        for i in sorted(todo, key=lambda i: order[self._shown[i].role]):
            x = int((self._places[i] + self._moves[i] * image) * self._width)
            self._draw_element(picture, self._shown[i], x)
        if not self._shown:
            text = f"GENERATED FILM {self._film.index + 1}"
            cv2.putText(picture, text, (50, 125), cv2.FONT_HERSHEY_SIMPLEX, 1, (220,) * 3, 2)
        _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        return bytes(encoded)

    def _make_backdrop(self, rng: np.random.Generator) -> "MatLike":
        """Sky and ground in the setting's colours, with the shapes of its group."""
        import cv2

        setting = next((e for e in self._shown if e.role == "setting"), None)
        picture: npt.NDArray[np.uint8] = np.zeros((self._height, self._width, 3), np.uint8)
        if setting is None:
            picture[:] = 30
            return picture
        own, group = look(setting.concept.names[0]), look(setting.concept.group)
        horizon = self._height // 2 + int(own[3]) % 50
        ramp = np.linspace(0.6, 1.0, horizon)[:, None, None]
        picture[:horizon] = ramp * (own[:3] * 0.5 + group[:3] * 0.3 + 40)
        picture[horizon:] = group[4:7] * 0.5 + own[4:7] * 0.2 + 25
        tone = tuple(int(v) for v in own[7:10] * 0.7)
        step = 24 + int(group[8]) % 40
        for n, x in enumerate(range(-step, self._width + step, step)):
            tall = 20 + int(own[(n * 5) % 16]) % 90
            base, tip = (x, horizon), (x + step, horizon - tall)
            match int(group[9]) % 4:
                case 0:  # walls and houses
                    cv2.rectangle(picture, base, tip, tone, -1 if n % 2 else 2)
                case 1:  # trees, tents, mountains
                    corners = [base, (x + step // 2, horizon - tall), (x + step, horizon)]
                    cv2.fillPoly(picture, [np.array(corners, np.int32)], tone)
                case 2:  # arches
                    cv2.ellipse(picture, base, (step // 2, tall), 0, 180, 360, tone, -1)
                case _:  # pillars and stripes
                    cv2.line(picture, base, (x, horizon - tall), tone, 3 + int(own[10]) % 8)
        mood = {name for e in self._shown if e.role == "mood" for name in e.concept.names}
        if mood & _DARK:
            picture = np.asarray(picture * np.array([0.55, 0.4, 0.35]), np.uint8)
        for e in (e for e in self._shown if e.role == "mood"):
            tint = look(e.concept.names[0])[:3].astype(float)
            picture = np.asarray(picture * 0.88 + tint * 0.12, np.uint8)
        return picture

    def _draw_element(self, picture: "MatLike", element: Element, x: int) -> None:
        colour, own = _colour(element), look(element.concept.names[0])
        if element.role in ("protagonist", "secondary_person"):
            tall = (150 if element.role == "protagonist" else 95) * self._zoom
            _figure(picture, x, self._height - 8, int(tall), colour, own)
            return
        least = 14 if element.role == "prop" else 8
        size = int(
            (least + (44 if element.role == "prop" else 16) * element.prominence) * self._zoom
        )
        y = self._height - 20 - size // 2 if element.role == "prop" else self._height // 2 + 10
        _shape(picture, x, y, size, colour, int(own[5]) % 6)


def _figure(
    picture: "MatLike",
    x: int,
    feet: int,
    tall: int,
    colour: tuple[int, int, int],
    own: npt.NDArray[np.uint8],
) -> None:
    """A person: head, body and legs in the clothes of the concept."""
    import cv2

    head = max(4, tall // 8)
    skin = (120 + int(own[6]) % 90, 150 + int(own[6]) % 80, 190 + int(own[6]) % 60)
    hips, shoulders = feet - tall // 2, feet - tall + 2 * head
    for side in (-1, 1):
        cv2.line(picture, (x, hips), (x + side * tall // 8, feet), (40, 40, 40), max(2, tall // 14))
        cv2.line(
            picture, (x, shoulders + head), (x + side * tall // 5, hips), colour, max(2, tall // 18)
        )
    cv2.ellipse(
        picture,
        (x, (shoulders + hips) // 2),
        (tall // 9, (hips - shoulders) // 2 + 3),
        0,
        0,
        360,
        colour,
        -1,
    )
    cv2.circle(picture, (x, shoulders - head // 2), head, skin, -1)
    if own[7] % 2:  # a hat
        top = shoulders - head // 2 - head
        cv2.rectangle(picture, (x - head, top - head // 2), (x + head, top + 2), colour, -1)


def _shape(
    picture: "MatLike", x: int, y: int, size: int, colour: tuple[int, int, int], form: int
) -> None:
    """One of six forms, with a dark outline."""
    import cv2

    half, edge = max(3, size // 2), (25, 25, 25)
    if form == 0:
        cv2.circle(picture, (x, y), half, colour, -1)
        cv2.circle(picture, (x, y), half, edge, 1)
        return
    if form == 5:
        cv2.ellipse(picture, (x, y), (half, max(2, half // 2)), 0, 0, 360, colour, -1)
        cv2.ellipse(picture, (x, y), (half, max(2, half // 2)), 0, 0, 360, edge, 1)
        return
    turns = {1: 4, 2: 3, 3: 10, 4: 6}[form]
    angles = np.arange(turns) * 2 * np.pi / turns - np.pi / 2
    radii = np.where(np.arange(turns) % 2, half * 0.45, half) if form == 3 else np.full(turns, half)
    corners = np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], axis=1)
    cv2.fillPoly(picture, [np.round(corners).astype(np.int32)], colour)
    cv2.polylines(picture, [np.round(corners).astype(np.int32)], True, edge, 1)
