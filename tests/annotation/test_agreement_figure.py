"""The report of agreement as a picture: of anything, and nothing in it that the report lacks."""

import io

import numpy as np
import pytest
from PIL import Image, ImageColor

from annotation.figure import LINE, MOST_GROUPS, draw

HOSTILE = ["[/]", "$x^2$", "\\frac{", "_hidden", "a\nb", "x" * 3000, "名前", "\u202eabc"]
ONE = {"ratings": 4, "grades": {"low": 1, "medium": 1, "high": 2}, "bias": 0.25}
NOTHING = {"ratings": 0, "grades": {"low": 0, "medium": 0, "high": 0}, "bias": None}


def alpha(value: float | None, beside: float | None = 0.1) -> dict:
    """An alpha, and how far the ends of its interval lie from it."""
    around = (None, None)
    if value is not None and beside is not None:
        around = (value - beside, value + beside)
    return {"value": value, "low": around[0], "high": around[1], "units": 5, "clips": 2}


def pixels(grading: dict) -> np.ndarray:
    png = draw(grading)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


@pytest.mark.parametrize(
    ("grading", "height"),
    [
        ({"alpha": alpha(None), "annotators": {}}, 275),
        ({"alpha": alpha(-5.0), "annotators": {"ann": NOTHING}, "by_genre": {}}, 275),
        ({"alpha": alpha(0.5), "annotators": {f"p{i}": ONE for i in range(12)}}, 924),
        (
            {
                "alpha": alpha(0.5),
                "annotators": dict.fromkeys(HOSTILE, ONE),
                "by_genre": dict.fromkeys(HOSTILE, alpha(0.1)),
            },
            660,
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:Glyph")
def test_a_picture_of_anything(grading, height):
    """Nobody, nothing, many people, and names that are formulas, lines or far too long. Each person
    has .6 inches of 110 pixels, and 1.2 inches go to titles and legends."""
    found = pixels(grading)
    assert found.shape[1] == 1210
    assert found.shape[0] == pytest.approx(height, abs=3)
    assert (found < 250).any(axis=2).sum() > 2000


def test_without_an_interval_there_is_a_point_and_no_line():
    """As after adjudication, and where all labels are of one clip."""

    def columns(beside: float | None) -> int:
        grading = {"alpha": alpha(0.5, None), "annotators": {}}
        found = pixels({**grading, "alpha_after_adjudication": alpha(0.5, beside)})
        return (found == ImageColor.getrgb(LINE)).all(axis=2).any(axis=0).sum()

    assert 3 < columns(None) < 12
    assert columns(0.1) > 50


MANY = {f"genre {i:02d}": alpha(0.5) for i in range(60)}
LAST_SHOWN = MOST_GROUPS - 2  # the first of all is the whole


def of_sixty(*changed: int) -> np.ndarray:
    """A picture of sixty genres, of which some have another alpha."""
    others = {f"genre {number:02d}": alpha(-0.9) for number in changed}
    return pixels({"alpha": alpha(0.5), "annotators": {"ann": ONE}, "by_genre": {**MANY, **others}})


@pytest.fixture(scope="module")
def sixty() -> np.ndarray:
    return of_sixty()


def test_of_sixty_genres_the_first_are_shown(sixty):
    assert sixty.shape[0] < 1000
    assert (of_sixty(*range(LAST_SHOWN + 1, 60)) == sixty).all()
    assert (of_sixty(LAST_SHOWN) != sixty).any()


def test_titles_stand_apart_also_when_groups_are_left_out(sixty):
    """Columns with ink in the topmost line, parted where 15 of them are white."""
    ink = np.flatnonzero((sixty[:24] < 250).any(axis=(0, 2)))
    assert 1 + (np.diff(ink) > 15).sum() == 3
    assert ink[0] > 2
