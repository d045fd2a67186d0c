import dataclasses
import hashlib
import io

import pytest
from PIL import Image
from rich.console import Console

from lrmovienet.cards import Card, Shown, draw, panel, sections
from lrmovienet.cli import main
from lrmovienet.runner.local import run_once
from lrmovienet.workspace import Workspace

LABELS = (
    Shown("fighting", ("event",), None, None),
    Shown("dojo", ("entity", "image"), 0.25, None),
    Shown("stage", ("image",), 0.5, None),
)
GRADED = tuple(
    dataclasses.replace(shown, grade=grade)
    for shown, grade in zip(LABELS, ("low", "high", None), strict=True)
)
CARD = Card(
    clip_id="tt1_0000",
    heading="The Film",
    facts="tt1_0000 · Drama",
    description="Neo and Morpheus fight in the dojo for $10 and $20.",
    labels=LABELS,
    frames=(Image.new("RGB", (320, 180), (200, 40, 40)), None),
    frames_in_all=5,
)


def opened(png):
    return Image.open(io.BytesIO(png)).convert("RGB")


def changed(**fields):
    return draw(dataclasses.replace(CARD, **fields))


def test_a_card_is_a_picture_of_the_expected_size():
    picture = opened(draw(CARD))
    assert picture.width == 1500
    assert 500 < picture.height < 1500
    # One more line of text is one line height more: 24 units at 1.5 pixels.
    longer = opened(changed(description="word " * 40))
    longest = opened(changed(description="word " * 60))
    assert longest.height > longer.height
    assert (longest.height - longer.height) % 36 == 0


def test_equal_cards_are_equal_bytes_without_metadata():
    png = draw(CARD)
    assert png == draw(CARD)
    assert set(Image.open(io.BytesIO(png)).info) <= {"dpi"}


@pytest.mark.parametrize(
    "fields",
    [
        {"labels": (*LABELS[:2], Shown("spotlight", ("image",), 0.5, None))},
        {"labels": (*LABELS[:2], Shown("stage", ("event",), 0.5, None))},
        {"labels": (*LABELS[:2], Shown("stage", ("image",), 0.49, None))},
        {"labels": GRADED},
        {"labels": ()},
        {"frames": (Image.new("RGB", (320, 180), (40, 40, 200)), None)},
        {"frames_in_all": 6},
        {"description": "Another scene."},
        {"heading": "Another film"},
    ],
)
def test_a_card_shows_what_it_is_given(fields):
    assert changed(**fields) != draw(CARD)


def test_the_frame_is_on_the_card():
    picture = opened(draw(CARD))
    assert picture.getpixel((300, 250)) == (200, 40, 40)
    assert picture.getpixel((1100, 400)) == (243, 244, 246)  # the place of the missing one


def test_chips_have_the_colour_of_their_source():
    picture = opened(draw(CARD))
    found = {colour for _, colour in picture.getcolors(maxcolors=1_000_000)}
    assert {(194, 65, 12), (29, 78, 216), (21, 128, 61)} <= found
    only_events = opened(changed(labels=LABELS[:1]))
    # Below the legend's line nothing is left; above it there is one green dot, that of the legend.
    green = sum(n for n, colour in only_events.getcolors(1_000_000) if colour == (21, 128, 61))
    green_of_all = sum(n for n, colour in picture.getcolors(1_000_000) if colour == (21, 128, 61))
    assert 0 < green < green_of_all


def test_grades_make_the_sections_where_there_are_any():
    assert [(name, [s.label for s in of]) for name, of in sections(LABELS)] == [
        ("event", ["fighting"]), ("entity", ["dojo"]), ("image", ["stage"]),
    ]  # fmt: skip
    assert [(name, [s.label for s in of]) for name, of in sections(GRADED)] == [
        ("high", ["dojo"]), ("low", ["fighting"]), ("not graded", ["stage"]),
    ]  # fmt: skip
    assert sections([]) == []
    assert sections([Shown("x", (), None, None)])[0][0] == "other"


def written(card, width=80):
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(panel(card))
    return console.file.getvalue()


def test_the_panel_says_what_the_card_says():
    text = written(CARD)
    for expected in ("The Film", "tt1_0000 · Drama", "dojo for $10", "event", "● fighting",
                     "●● dojo 0.25", "● stage 0.50"):  # fmt: skip
        assert expected in text
    graded = written(dataclasses.replace(CARD, labels=GRADED))
    assert graded.index("high") < graded.index("low") < graded.index("not graded")
    assert "no labels yet" in written(dataclasses.replace(CARD, labels=()))


@pytest.mark.parametrize("width", [20, 40, 200])
def test_hostile_texts_are_shown_as_they_are(width):
    strange = "[red]$x^2$ \\frac{1}{ \u2603 \U0001f3ac 電影 " + "w" * 300
    labels = tuple(Shown(f"{strange} {i}"[:200], ("event",), None, None) for i in range(25))
    card = dataclasses.replace(
        CARD, labels=labels, description=strange * 40, heading="$$ [/b] " * 90
    )
    picture = opened(draw(card))
    assert picture.width == 1500
    assert picture.height < 4000
    assert "[red]" in written(card, width)


# --- the verb ---


def put(root, table, columns, config=None):
    run_once(
        Workspace(root), table, lambda: columns, version="1", inputs={}, config=config or {}
    )  # fmt: skip


@pytest.fixture
def root(tmp_path):
    keyframes = []
    for clip in ("tt1", "tt2"):
        buffer = io.BytesIO()
        Image.new("RGB", (64, 36), (200, 40, 40)).save(buffer, "jpeg")
        path = tmp_path / "frames" / "240P" / clip / "shot_0000_img_0.jpg"
        path.parent.mkdir(parents=True)
        path.write_bytes(buffer.getvalue())
        sha256 = hashlib.sha256(buffer.getvalue()).hexdigest()
        keyframes.append([{"ref": f"{clip}/shot_0000_img_0.jpg", "sha256": sha256}])
    clips = {
        "clip_id": ["tt1_0000", "tt2_0000"], "movie_id": ["tt1", "tt2"],
        "title": ["One", None], "genres": [["Drama"], []], "description": ["A fight.", "A kiss."],
        "shot": [[0, 1], [2, 2]], "frame": [[0, 9]] * 2, "start_s": [0.0, None],
        "end_s": [2.5, None], "keyframes": keyframes,
    }  # fmt: skip
    put(tmp_path, "clips", clips, {"frames_root": "frames"})
    candidates = {
        "clip_id": ["tt1_0000"] * 2, "label": ["fight", "dojo"], "position": [1, 0],
        "sources": [
            [{"kind": "event", "model": "m", "score": None}],
            [{"kind": "image", "model": "t", "score": 0.25},
             {"kind": "entity", "model": "m", "score": None}],
        ],
    }  # fmt: skip
    put(tmp_path, "candidates", candidates)
    return tmp_path


def show(root, *arguments):
    return main(["show", "--workspace", str(root), *arguments])


def test_show_writes_and_prints_every_clip(root, capsys):
    assert show(root) == 0
    out = capsys.readouterr().out
    assert "2 cards in" in out
    assert "tt1_0000 · Drama · shots 0-1 · 0.0-2.5 s" in out
    assert "tt2_0000 · shot 2" in out
    assert out.index("fight") < out.index("●● dojo 0.25")
    assert "no labels yet" in out
    assert sorted(p.name for p in (root / "cards").iterdir()) == ["tt1_0000.png", "tt2_0000.png"]
    picture = Image.open(root / "cards" / "tt1_0000.png").convert("RGB")
    r, g, b = picture.getpixel((400, 250))
    assert abs(r - 200) < 8
    assert abs(g - 40) < 8
    assert abs(b - 40) < 8


def test_show_again_writes_the_same(root):
    assert show(root) == 0
    before = (root / "cards" / "tt1_0000.png").read_bytes()
    assert show(root, "--out", str(root / "again")) == 0
    assert (root / "again" / "tt1_0000.png").read_bytes() == before


def test_show_grades(root, capsys):
    relevance = {
        "clip_id": ["tt1_0000"] * 2, "label": ["fight", "added"], "grade": [2, 0],
        "n_ratings": [1, 1], "spread": [0, 0], "method": ["m"] * 2,
    }  # fmt: skip
    put(root, "relevance", relevance)
    assert show(root, "--clips", "[tt1_0000]") == 0
    out = capsys.readouterr().out
    lines = [" ".join(line.strip("│ \n").split()) for line in out.splitlines()]
    assert "high ● fight" in lines
    assert "low added" in lines
    assert "not graded ●● dojo 0.25" in lines


def test_show_some(root, capsys):
    assert show(root, "--limit", "1") == 0
    assert "1 of 2 (--limit) cards in" in capsys.readouterr().out
    assert show(root, "--clips", "[tt2_0000,tt2_0000]") == 0
    assert "1 cards in" in capsys.readouterr().out
    assert show(root, "--limit", "0") == 2


def test_show_an_unknown_clip(root, capsys):
    assert show(root, "--clips", "[tt1_000]") == 2
    assert "no clip 'tt1_000' in this workspace. Did you mean tt1_0000" in capsys.readouterr().err
    assert not (root / "cards").exists()


def test_show_without_frames_says_so(root, capsys):
    (root / "frames" / "240P" / "tt1" / "shot_0000_img_0.jpg").write_bytes(b"changed")
    assert show(root) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "frames are missing: tt1_0000: " in out
    assert (root / "cards" / "tt1_0000.png").exists()


def test_show_keeps_control_characters_off_the_terminal(root, capsys):
    clips = Workspace(root).read("clips").to_pydict()
    clips["description"] = ["A \x1b[2Jfight\x07.\nNew\u202eline.", "A kiss."]
    put(root, "clips", clips, {"frames_root": "frames", "changed": True})
    assert show(root) == 0
    out = capsys.readouterr().out
    assert not set(out) & {"\x1b", "\x07", "\u202e"}
    assert "A [2Jfight . New line." in out


def test_show_a_corpus_without_pictures(root, capsys):
    put(root, "clips", Workspace(root).read("clips").to_pydict(), {"no": "frames"})
    assert show(root) == 0
    assert "made without pictures" in " ".join(capsys.readouterr().out.split())
    assert (root / "cards" / "tt2_0000.png").exists()


def test_a_keyframe_of_a_kind_that_starts_programs_is_no_frame(tmp_path):
    """The library would hand such a picture to another program; frames are JPEG, PNG or WebP."""
    import hashlib

    from lrmovienet.cards import _card
    from lrmovienet.keyframes import KeyframeReader

    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
    path = tmp_path / "240P" / "tt9" / "shot_0000_img_0.jpg"
    path.parent.mkdir(parents=True)
    path.write_bytes(eps)
    frame = {"ref": "tt9/shot_0000_img_0.jpg", "sha256": hashlib.sha256(eps).hexdigest()}
    clip = {
        "clip_id": "tt9_0000", "movie_id": "tt9", "title": None, "genres": [], "shot": [0, 0],
        "description": "A scene.", "start_s": None, "end_s": None, "keyframes": [frame],
    }  # fmt: skip
    problems = []
    assert _card(KeyframeReader(tmp_path), clip, [], problems).frames == (None,)
    assert len(problems) == 1
    assert "not a readable image" in problems[0]
