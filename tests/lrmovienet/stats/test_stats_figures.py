"""What the figures of a release show: their artists, not their pixels."""

import io
import xml.etree.ElementTree as ET
from itertools import pairwise

import matplotlib
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from lrmovienet.stats.figures import (
    MOST_LETTERS,
    MOST_ROWS,
    PLATES,
    SETS,
    SHADES,
    bars,
    frequencies,
    grades,
    plates,
    saved,
    sizes,
)
from lrmovienet.stats.measure import measure

HOSTILE = "$x^{ \\frac{1}\x1b[2J\u202e<svg onload=alert(1)>&amp;--> \x00\n\u0085" + "w" * 300


def names(axes):
    return [text.get_text() for text in axes.get_yticklabels()]


def said(axes):
    return [text.get_text() for text in axes.texts]


def colours(axes):
    return [to_hex(bar.get_facecolor()) for bar in axes.patches]


# --- bars ---


def test_the_longest_bar_is_on_top_and_equal_ones_go_by_name():
    figure = bars({"War": 3, "Drama": 200, "Crime": 3, "Sport": 7}, {}, "clips")
    (axes,) = figure.axes
    assert names(axes) == ["Drama", "Sport", "Crime", "War"]
    assert [bar.get_width() for bar in axes.patches] == [200, 7, 3, 3]
    rows = [bar.get_y() + bar.get_height() / 2 for bar in axes.patches]
    assert rows == pytest.approx(list(axes.get_yticks()))
    assert axes.yaxis.get_inverted()  # row 0 is on top
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "clips"
    assert said(axes) == ["200", "7", "3", "3"]


def test_every_bar_and_its_count_lie_within_the_axes():
    for counts in ({"a": 1}, {"a": 3, "b": 0}, {"a": 123_456, "b": 1}):
        (axes,) = bars(counts, {}, "clips").axes
        low, high = axes.get_xlim()
        assert 0 < low < 1
        assert high > 1.2 * max(counts.values())
    assert said(axes) == ["123,456", "1"]


def test_head_and_tail_have_their_colours():
    sets = {"Drama": "head", "War": "tail"}
    figure = bars({"Drama": 9, "Other": 5, "War": 2}, sets, "clips")
    assert colours(figure.axes[0]) == [SETS["head"], SETS["neither"], SETS["tail"]]
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert shown == ["head genres", "tail genres", "in neither set"]
    of_legend = [to_hex(patch.get_facecolor()) for patch in figure.legends[0].get_patches()]
    assert of_legend == list(SETS.values())
    two = bars({"Drama": 9, "War": 2}, sets, "clips")
    assert len(two.legends[0].get_texts()) == 2


def test_without_sets_all_bars_are_alike_and_there_is_no_legend():
    figure = bars({"Drama": 9, "War": 2}, {}, "clips")
    assert len(set(colours(figure.axes[0]))) == 1
    assert not figure.legends


def test_rows_that_are_left_out_are_counted():
    counts = {f"g{i:03}": 1000 - i for i in range(MOST_ROWS + 5)}
    (axes,) = bars(counts, {}, "clips").axes
    assert names(axes) == [f"g{i:03}" for i in range(MOST_ROWS)]
    assert "(5 rows more" in axes.get_xlabel()
    (axes,) = bars(dict(list(counts.items())[:MOST_ROWS]), {}, "clips").axes
    assert "more" not in axes.get_xlabel()


# --- frequencies and sizes ---


def test_frequencies_are_points_on_two_log_scales():
    (axes,) = frequencies({"1": 950, "2": 30, "117": 1}).axes
    (line,) = axes.lines
    assert list(line.get_xdata()) == [1, 2, 117]
    assert list(line.get_ydata()) == [950, 30, 1]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert axes.get_xlim()[0] < 1 < 117 < axes.get_xlim()[1]
    assert axes.get_ylim()[0] < 1 < 950 < axes.get_ylim()[1]


def test_sizes_have_a_panel_a_domain():
    source, target = sizes({"source": {"3": 2, "20": 5}, "target": {"7": 1}}).axes
    centres = [bar.get_x() + bar.get_width() / 2 for bar in source.patches]
    assert centres == pytest.approx([3, 20])
    assert [bar.get_height() for bar in source.patches] == [2, 5]
    assert [bar.get_height() for bar in target.patches] == [1]
    assert source.get_title() == "source: 7 records"
    assert target.get_title() == "target: 1 records"


# --- grades ---


def test_grades_are_stacked_shares_low_first_with_their_counts():
    figure = grades({"b": {"low": 6, "medium": 3, "high": 1}, "a": {"low": 0, "medium": 0,
                                                                    "high": 4}})  # fmt: skip
    (axes,) = figure.axes
    assert names(axes) == ["b", "a"]  # the order that was given
    low, medium, high = axes.containers
    assert [bar.get_width() for bar in low] == pytest.approx([0.6, 0])
    assert [bar.get_width() for bar in medium] == pytest.approx([0.3, 0])
    assert [bar.get_width() for bar in high] == pytest.approx([0.1, 1])
    assert [bar.get_x() for bar in medium] == pytest.approx([0.6, 0])
    assert [bar.get_x() for bar in high] == pytest.approx([0.9, 0])
    shades = [to_hex(bars[0].get_facecolor()) for bars in axes.containers]
    assert shades == [SHADES["low"], SHADES["medium"], SHADES["high"]]
    assert sorted(said(axes)) == sorted(["6", "3", "1", "4", "10", "4"])  # and the totals
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["low", "medium", "high"]


def test_the_shades_darken_from_low_to_high():
    lightness = [sum(bytes.fromhex(shade[1:])) for shade in SHADES.values()]
    assert list(SHADES) == ["low", "medium", "high"]
    assert all(light > dark for light, dark in pairwise(lightness))


def test_a_count_that_would_not_fit_is_left_out_and_the_total_is_not():
    (axes,) = grades({"a": {"low": 99_000, "medium": 990, "high": 10}}).axes
    assert said(axes) == ["99,000", "100,000"]


def test_a_group_without_grades_says_so():
    (axes,) = grades({"a": {"low": 0, "medium": 0, "high": 0}}).axes
    assert said(axes) == ["no grades shown"]


# --- all of them ---


def test_a_release_has_its_figures(release):
    report = measure(release)
    made = list(plates(report, {"Drama": "head", "War": "tail"}))
    assert len(made) == PLATES == len({plate.name for plate in made})
    by_name = {plate.name: plate.figure.axes[0] for plate in made}
    assert [bar.get_width() for bar in by_name["clips_per_genre"].patches] == [3, 3]
    assert [bar.get_width() for bar in by_name["classes_per_genre"].patches] == [8, 6]
    assert list(by_name["label_frequencies"].lines[0].get_ydata()) == [5, 2, 1]
    assert names(by_name["grades_by_genre"]) == ["Drama", "War"]
    assert names(by_name["grades_by_source"]) == ["entity", "event", "image"]


NOTHING = (bars({}, {}, "clips"), frequencies({}), grades({}), sizes({"source": {}, "target": {}}))


@pytest.mark.parametrize("figure", NOTHING)
def test_nothing_to_show_is_said(figure):
    assert all(any("no " in text for text in said(axes)) for axes in figure.axes)
    png, svg = saved(figure)
    assert png
    assert svg


def test_hostile_names_are_drawn_as_they_are_and_cut():
    counts = {HOSTILE: 5, "電影\ufdfa": 3, "Drama\u202e": 2, "$$": 1}
    grade = dict.fromkeys(("low", "medium", "high"), 1)
    for figure in (bars(counts, {}, "clips"), grades(dict.fromkeys(counts, grade))):
        shown = names(figure.axes[0])
        assert all(len(name) <= MOST_LETTERS for name in shown)
        assert shown[0].startswith("$x^{ \\frac{1}")
        assert not any(label.get_parse_math() for label in figure.axes[0].get_yticklabels())
        png, svg = saved(figure)
        assert Image.open(io.BytesIO(png)).size[0] == round(4.9 * 180)
        root = ET.fromstring(svg)  # well-formed; names are comments at most
        assert not [e for e in root.iter() if any("onload" in name for name in e.attrib)]
        assert "\x1b" not in svg.decode()
        assert "\u202e" not in svg.decode()


def test_equal_numbers_are_equal_bytes_whatever_the_user_has_set():
    def files():
        return saved(bars({"Drama": 9, "War": 2}, {"War": "tail"}, "clips"))

    first = files()
    with matplotlib.rc_context(
        {"font.size": 20, "svg.fonttype": "none", "axes.facecolor": "black", "savefig.dpi": 40}
    ):
        before = dict(matplotlib.rcParams)
        assert files() == first
        assert dict(matplotlib.rcParams) == before  # and leaves it so
    assert b"<dc:date>" not in first[1]
    assert set(Image.open(io.BytesIO(first[0])).info) <= {"dpi"}


def test_figures_need_no_fonts_and_nothing_from_elsewhere():
    _, svg = saved(bars({"Drama": 9}, {}, "clips"))
    root = ET.fromstring(svg)
    assert not [e for e in root.iter() if e.tag.endswith(("}text", "}image", "}script"))]
    links = [v for e in root.iter() for name, v in e.attrib.items() if name.endswith("href")]
    assert links
    assert all(link.startswith("#") for link in links)
