"""`lrmovienet merge --report`: every number is a count over the table."""

import re
from collections import Counter

import pytest
from finding import clip, put_clips, put_films, put_image_labels, put_text_labels

from lrmovienet.candidates.report import print_report
from lrmovienet.candidates.rules import RULES
from lrmovienet.cli import main
from lrmovienet.errors import UserError
from lrmovienet.workspace import Workspace

OPTIONS = ["--near", "1", "--most", "3", "--report"]


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    clips = [clip(f"tt1_{i}", description="Neo (Keanu Reeves) fights.") for i in range(4)]
    inputs = {"clips": put_clips(tmp_path, clips).digest}
    put_films(tmp_path, {"tt1": [("Keanu Reeves", "Neo")]})
    texts = {
        "tt1_0": ["red cars", "scene", "keanu reeves", "dog", "fight", "kiss", "run"],
        "tt1_1": ["red car", "scenes", "keanu reeves", "the", "old houses", "old house"],
        "tt1_2": ["red car", "reeves", "42", "old house"],
    }
    rows = [(c, x, "event", i) for c, own in texts.items() for i, x in enumerate(own)]
    put_text_labels(tmp_path, [*rows, ("tt1_0", "dog", "entity", 0)], inputs)
    tags = [("tt1_0", "dog", 0.9), ("tt1_1", "red car", 0.8), ("tt1_1", "cat", 0.1),
            ("tt1_2", "cat", 0.2), ("tt1_1", "bus", 0.2)]  # fmt: skip
    put_image_labels(tmp_path, [(*tag, 1, [tag[2]], 0.5) for tag in tags], inputs)
    return Workspace(tmp_path)


def report(workspace, capsys, *options):
    capsys.readouterr()
    assert main(["merge", "--workspace", str(workspace.root), *OPTIONS, *options]) == 0
    return capsys.readouterr().out


def rows_of(text):
    """rule -> labels, clips, why and examples, of the printed table."""
    lines = [[cell.strip() for cell in line[1:-1].split("│")] for line in text.splitlines()]
    return {cells[0]: cells[1:] for cells in lines if cells[0] in RULES}


def test_a_report_by_hand(workspace, capsys):
    """tt1_0 keeps dog, red car and fight; kiss and run are beyond the cap."""
    lines = report(workspace, capsys).splitlines()
    assert lines[0].startswith("candidates: 7 rows")
    assert lines[1:3] == [
        "7 candidates, 4 different labels, 0 to 3 a clip (median 2, 4 clips)",
        "found as event 7, entity 1, image 2; 2 by more than one kind",
    ]
    assert rows_of("\n".join(lines)) == {
        "form": ["3", "2", RULES["form"], "old houses → old house (1), "
                 "red cars → red car (1), scenes → scene (1)"],
        "no word": ["2", "2", RULES["no word"], "42 (1), the (1)"],
        "blocked": ["2", "2", RULES["blocked"], "scene (2)"],
        "actor": ["3", "3", RULES["actor"], "keanu reeves (2), reeves (1)"],
        "score": ["3", "2", RULES["score"], "cat (2), bus (1)"],
        "common": ["0", "0", RULES["common"], ""],
        "near": ["0", "0", RULES["near"], ""],
        "cap": ["2", "1", RULES["cap"], "kiss (1), run (1)"],
    }  # fmt: skip


def test_the_numbers_are_counts_over_the_table(workspace, capsys):
    text = report(workspace, capsys)
    table = workspace.read("candidates").to_pylist()
    gone = [r for r in workspace.read_dropped("candidates").to_pylist() if r["label"]]
    numbers = [int(n) for n in re.findall(r"\d+", text.splitlines()[1])]
    a_clip = Counter({f"tt1_{i}": 0 for i in range(4)})
    a_clip.update(r["clip_id"] for r in table)
    ordered = sorted(a_clip.values())
    assert numbers == [len(table), len({r["label"] for r in table}), ordered[0], ordered[-1],
                       (ordered[1] + ordered[2]) / 2, 4]  # fmt: skip
    kinds = [[s["kind"] for s in r["sources"]] for r in table]
    counts = [sum(kind in own for own in kinds) for kind in ("event", "entity", "image")]
    counts.append(sum(len(set(own)) > 1 for own in kinds))
    assert [int(n) for n in re.findall(r"\d+", text.splitlines()[2])] == counts
    for rule, (n_labels, n_clips, *_) in rows_of(text).items():
        own = [r for r in gone if r["reason"].startswith(f"{rule}: ")]
        assert (int(n_labels), int(n_clips)) == (len(own), len({r["clip_id"] for r in own}))
    assert sum(int(cells[0]) for cells in rows_of(text).values()) == len(gone)


def test_a_report_again_and_without_being_asked(workspace, capsys):
    first = report(workspace, capsys).splitlines()
    again = report(workspace, capsys).splitlines()
    assert again[0] == "candidates: up to date (7 rows, 16 dropped)"
    assert again[1:] == first[1:]
    assert report(workspace, capsys, "--report", "false").splitlines() == again[:1]


def test_a_report_of_some_kinds(workspace, capsys):
    lines = report(workspace, capsys, "--kinds", "image").splitlines()
    assert lines[1:3] == [
        "2 candidates, 2 different labels, 0 to 1 a clip (median 0.5, 4 clips)",
        "found as image 2; 0 by more than one kind",
    ]


def test_a_label_with_an_apostrophe_stands_without_quotes(workspace, capsys):
    inputs = {"clips": workspace.require("clips").digest}
    rows = [("tt1_0", "driver's seat", "event", 0), ("tt1_1", "driver's seats", "event", 0)]
    put_text_labels(workspace.root, rows, inputs)
    text = report(workspace, capsys, "--kinds", "event")
    assert rows_of(text)["form"][3] == "driver's seats → driver's seat (1)"


def test_near_ones_are_shown_with_what_they_are_near_to(workspace, capsys):
    inputs = {"clips": workspace.require("clips").digest}
    names = ["photo frame", "picture frame"]
    put_text_labels(workspace.root, [("tt1_3", x, "event", i) for i, x in enumerate(names)], inputs)
    text = report(workspace, capsys, "--kinds", "event", "--near", "0.9")
    assert rows_of(text)["near"][:2] == ["1", "1"]
    assert rows_of(text)["near"][3] == "picture frame → photo frame (1)"


def test_brackets_are_no_markup(workspace, capsys):
    inputs = {"clips": workspace.require("clips").digest}
    names = ["[red]cars[/red]", "[/] x", "[bold] 42"]
    put_text_labels(workspace.root, [("tt1_3", x, "event", i) for i, x in enumerate(names)], inputs)
    text = report(workspace, capsys, "--kinds", "event")
    assert rows_of(text)["form"][3].startswith("[/] x → x (1), [bold] 42 → bold] 42 (1), [red]cars")


def test_nothing_moves_the_cursor(workspace, capsys):
    inputs = {"clips": workspace.require("clips").digest}
    names = ["\x1b[2jdog", "cat\u202e", "[1] 2 \x1b[h"]
    put_text_labels(workspace.root, [("tt1_3", x, "event", i) for i, x in enumerate(names)], inputs)
    text = report(workspace, capsys, "--kinds", "event")
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_report_of_no_candidates_at_all(workspace, capsys):
    put_text_labels(workspace.root, [], {"clips": workspace.require("clips").digest})
    lines = report(workspace, capsys, "--kinds", "event").splitlines()
    assert lines[1] == "0 candidates, 0 different labels, 0 to 0 a clip (median 0, 4 clips)"


def test_a_report_of_no_clips(workspace, capsys):
    inputs = {"clips": put_clips(workspace.root, []).digest}
    put_text_labels(workspace.root, [], inputs)
    assert "0 candidates" in report(workspace, capsys, "--kinds", "event")


def test_no_candidates_yet(tmp_path):
    with pytest.raises(UserError, match="Run first: lrmovienet merge"):
        print_report(Workspace(tmp_path), ["event"])
