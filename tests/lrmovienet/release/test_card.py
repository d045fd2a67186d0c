"""The card: numbers from the data, words of the publisher, nothing that hostile names can break."""

import json
import re
from collections import Counter

import pytest
import yaml
from making import build, contents, keys, people, rows_of
from markdown_it import MarkdownIt

from lrmovienet.cli import main
from lrmovienet.errors import UserError
from lrmovienet.release import card
from lrmovienet.release.check import check
from lrmovienet.release.layout import LEAKS, Release
from lrmovienet.schema import SPLITS
from lrmovienet.workspace import Workspace

BLOCKS = (
    "what it is", "splits", "genres", "pairs", "how labels were made", "agreement", "leaks", "files"
)  # fmt: skip
EVERY = "\n\n".join(f"<!-- data: {name} -->\n<!-- end of data -->" for name in BLOCKS) + "\n"


def block(root, name: str) -> str:
    text = (root / "README.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"<!-- data: {name} -->\n(.*?)\n<!-- end of data -->", text, re.DOTALL)
    return found


def table(text: str) -> list[list[str]]:
    """The cells of the first Markdown table, without its heading."""
    lines = [line for line in text.split("\n\n")[0].split("\n") if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def filled(template: str, root) -> str:
    return card.fill(template, Release.open(root), json.loads((root / LEAKS).read_bytes()))


def test_splits_are_counted_on_the_rows(built):
    expected = []
    for split in SPLITS:
        rows = rows_of(built, f"relevance/{split}.parquet")
        records, grades = {*keys(rows, "clip_id", "domain")}, Counter(r["grade"] for r in rows)
        shown = (
            "hidden" if split == "target_pairs" else " / ".join(str(grades[g]) for g in (0, 1, 2))
        )
        expected.append([
            f"`{split}`", str(len(records)), str(len({r["movie_id"] for r in rows})),
            str(len(rows)), str(len({r["label"] for r in rows})),
            f"{len(rows) / len(records):.1f}", shown,
        ])  # fmt: skip
    assert table(block(built, "splits")) == expected


def test_the_first_words_are_the_totals_and_that_it_is_generated(built):
    rows = [r for s in SPLITS for r in rows_of(built, f"relevance/{s}.parquet")]
    clips = rows_of(built, "clips/clips.parquet")
    said = block(built, "what it is")
    assert said.startswith("> **This is a generated corpus.**")
    assert (
        f"version 1.0.0: {len(clips)} clips of {len({r['movie_id'] for r in rows})} films, "
        f"{len(rows)} labels of clips, {len({r['label'] for r in rows})} different ones. Protocol "
        "`strict`."
    ) in said


def test_genres_have_their_side_clips_and_classes(tiny, built):
    clips = rows_of(built, "clips/clips.parquet")
    rows = [r for s in SPLITS for r in rows_of(built, f"relevance/{s}.parquet")]
    per_genre = Counter(genre for clip in clips for genre in clip["genres"])
    # Labels of a clip of a target genre are target labels; a source genre has some that are not.
    every = Workspace(tiny).read("clips").to_pylist()
    of = {genre: {c["clip_id"] for c in every if genre in c["genres"]} for genre in per_genre}
    source = {(r["clip_id"]) for r in rows if r["domain"] == "source"}
    shown = table(block(built, "genres"))
    assert [row[0] for row in shown] == sorted(per_genre, key=lambda g: (-per_genre[g], g))
    for genre, side, n, classes in shown:
        assert n == str(per_genre[genre])
        assert classes == str(len({r["label"] for r in rows if genre in r["genres"]}))
        assert side == ("target" if genre == "Romance" else "source")
        if side == "target":
            assert not of[genre] & source


def test_pairs_are_shares_of_all_pairs_of_their_records(built):
    sizes = Counter(r["clip_id"] for r in rows_of(built, "relevance/target_pairs.parquet"))
    possible = sum(n * (n - 1) // 2 for n in sizes.values())
    total, expected = 0, []
    for percent in (5, 10, 20, 40):
        total += len(rows_of(built, f"preferences/pct{percent}.parquet"))
        expected.append([f"`pct{percent}`", str(total), f"{total / possible:.1%}"])
    assert table(block(built, "pairs")) == expected
    assert f"have {possible:,} pairs of labels" in block(built, "pairs")


def test_how_labels_were_made_is_what_the_manifests_of_the_tables_say(tiny, built):
    shown = {row[0].strip("`"): row for row in table(block(built, "how labels were made"))}
    assert {*shown} >= {"clips", "candidates", "ratings", "relevance", "records", "pairs"}
    for name, (_, made, _, rows, dropped) in shown.items():
        manifest = Workspace(tiny).require(name)
        assert (rows, dropped) == (f"{manifest.rows:,}", f"{manifest.rows_dropped:,}")
        # In a code span a backslash is a backslash: what is shown is what stands there.
        assert made == f"`{manifest.stage_version}`"


def test_leaks_on_the_card_are_those_of_the_file(built):
    leaks = json.loads((built / LEAKS).read_bytes())
    shown = [row for row in block(built, "leaks").split("\n") if row.startswith("| `")]
    assert len(shown) == len(leaks["shared"]) == 6
    for line, of in zip(shown, leaks["shared"], strict=True):
        first, second = of["splits"]
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        assert cells[0] == f"`{first}`, `{second}`"
        films = {
            split: {r["movie_id"] for r in rows_of(built, f"relevance/{split}.parquet")}
            for split in (first, second)
        }
        assert cells[1] == f"{len(films[first] & films[second])} of {len(films[second])}"


def test_filling_a_card_again_changes_nothing(built):
    text = (built / "README.md").read_text(encoding="utf-8")
    assert filled(text, built) == text


WORDS = """---
license: other
language: [de, "no"]
tags:
- films
my_own: {deep: [1, 2.5, null, true], date: 2026-02-03}
---
<p align="center">Mine &amp; yours — ünïcode</p>

---

| a | b |
|---|---|
| 1 | \\| |

A rule `---` and YAML-like text:
key: value
"""


def test_the_publishers_own_words_stay_and_the_release_is_still_right(tiny, tmp_path):
    """What stands between, before and after the blocks, and what is in the YAML."""
    pieces = [
        f"<!-- data: {name} -->\nold text | of {name}\n<!-- end of data -->" for name in BLOCKS
    ]
    own = "\n\nMy words, {braces}, \\1 and \\g<name>, $HOME.\n\n"
    path = tmp_path / "card.md"
    path.write_text(WORDS + own.join(pieces) + "\nThe end, without a newline", encoding="utf-8")
    release = build(tiny, tmp_path / "out", card=path)
    text = (release.root / "README.md").read_text(encoding="utf-8")
    body = WORDS.split("---\n", 2)[2]
    assert text.split("---\n", 2)[2].startswith(body)
    assert text.count(own) == len(BLOCKS) - 1
    assert text.endswith("<!-- end of data -->\nThe end, without a newline")
    assert "old text" not in text
    front = yaml.safe_load(text.split("---\n")[1])
    given = yaml.safe_load(WORDS.split("---\n")[1])
    assert {name: front[name] for name in given} == given
    assert check(release) == []
    # Windows' line ends and their absence give the same card.
    windows = tmp_path / "windows.md"
    windows.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    again = build(tiny, tmp_path / "again", card=windows)
    assert contents(again.root) == contents(release.root)


def test_a_card_may_do_without_yaml_and_have_its_blocks_in_any_order(tiny, tmp_path):
    path = tmp_path / "card.md"
    path.write_text("\n\n".join(reversed(EVERY.strip().split("\n\n"))))
    release = build(tiny, tmp_path / "out", card=path)
    assert check(release) == []
    text = (release.root / "README.md").read_text()
    assert re.findall("<!-- data: (.*) -->", text) == [*reversed(BLOCKS)]


def test_a_card_with_a_mark_of_its_bytes_order_keeps_its_yaml(tiny, tmp_path):
    """Some editors put U+FEFF before a text."""
    path = tmp_path / "card.md"
    path.write_text("---\nlanguage: [de]\n---\n" + EVERY, encoding="utf-8-sig")
    release = build(tiny, tmp_path / "out", card=path)
    text = (release.root / "README.md").read_text(encoding="utf-8")
    assert yaml.safe_load(text.split("---\n")[1])["language"] == ["de"]


def test_a_licence_in_the_card_is_not_overwritten_without_a_word(tiny, tmp_path):
    """Two licences were given; which one holds is not for a program to decide in silence."""
    path = tmp_path / "card.md"
    path.write_text("---\nlicense: cc-by-nc-4.0\n---\n" + EVERY)
    try:
        release = build(tiny, tmp_path / "out", card=path)
    except UserError as error:
        assert "licen" in str(error)
        return
    text = (release.root / "README.md").read_text()
    assert yaml.safe_load(text.split("---\n")[1])["license"] == "cc-by-nc-4.0"


MISSING = EVERY.replace("<!-- data: leaks -->\n<!-- end of data -->\n\n", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MISSING, "each of these blocks once"),
        (EVERY + "<!-- data: leaks -->\n<!-- end of data -->\n", "each of these blocks once"),
        (EVERY + "<!-- data: my own -->\n<!-- end of data -->\n", "my own"),
        (EVERY.replace("<!-- end of data -->", "", 1), "each of these blocks once"),
        (EVERY.rstrip()[: -len("<!-- end of data -->")], "each of these blocks once"),
        ("", "each of these blocks once"),
        ("---\na: [1\n---\n" + EVERY, "YAML is not readable"),
        ("---\n!!python/object/apply:os.getcwd []\n---\n" + EVERY, "YAML is not readable"),
        ("---\n- a\n- list\n---\n" + EVERY, "list of names and values"),
        ("---\njust text\n---\n" + EVERY, "list of names and values"),
    ],
)
def test_a_card_that_cannot_be_filled_is_refused(tiny, release, tmp_path, capsys, text, said):
    (tmp_path / "card.md").write_text(text)
    before = contents(release.root)
    options = ["--workspace", str(tiny), "--out", str(release.root)]
    assert main(["release", "build", *options, "--card", str(tmp_path / "card.md")]) == 2
    message = capsys.readouterr().err
    assert said in message
    assert message.startswith("lrmovienet release build: error: ")
    assert contents(release.root) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["card.md", "release"]


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00---", "a folder"])
def test_a_card_that_is_no_text_is_refused(tiny, tmp_path, capsys, content):
    path = tmp_path / "card.md"
    if content == "a folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    options = ["--workspace", str(tiny), "--out", str(tmp_path / "out"), "--card", str(path)]
    assert main(["release", "build", *options]) == 2
    message = capsys.readouterr().err
    assert str(path) in message
    assert "Finished tables" not in message  # that would be about a disk
    assert not (tmp_path / "out").exists()


HOSTILE = (
    "A|B</td><script>alert(1)</script>\n\n# Heading\n<!-- end of data -->\n"
    "<!-- data: leaks -->\x1b[31m\u202e`x` **b** [l](javascript:0) ![i](http://e/x.png) \\| ---\r"
    "&lt;"
)


def cells_of(markdown: str) -> list[list[list[str]]]:
    """Rows of cells, as text that a reader sees, of each table, by another program."""
    tables: list = []
    for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(markdown):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type == "inline" and tables and tables[-1] and token.map is not None:
            seen = "".join(t.content for t in token.children if t.type in ("text", "code_inline"))
            tables[-1][-1].append(seen)
    return tables


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A release whose genres, titles, descriptions, models and stages are hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    models = {f"m{HOSTILE}": "ab" * 32}
    workspace = people(
        folder / "w", tail=HOSTILE, title=HOSTILE, head="Drama & | more", models=models
    )
    title = HOSTILE.replace("\n", " ")
    return build(workspace.root, folder / "out", title=title, description=title).root


def test_a_release_of_hostile_names_is_right_and_its_card_can_be_filled_again(hostile):
    assert check(Release.open(hostile)) == []
    text = (hostile / "README.md").read_text(encoding="utf-8")
    assert filled(text, hostile) == text


def test_hostile_names_leave_the_card_as_it_should_be(hostile):
    text = (hostile / "README.md").read_text(encoding="utf-8")
    body = text.split("---\n", 2)[2]
    assert sorted(re.findall("^<!-- data: (.*) -->\n", body, re.MULTILINE)) == sorted(BLOCKS)
    assert body.count("<!-- end of data -->") == len(BLOCKS)
    parsed = MarkdownIt("commonmark", {"html": True}).enable("table").parse(body)
    html = [
        t.content.strip()
        for token in parsed
        for t in [token, *(token.children or [])]
        if t.type in ("html_block", "html_inline")
    ]
    own = (
        MarkdownIt("commonmark", {"html": True})
        .enable("table")
        .parse(card.TEMPLATE.read_text(encoding="utf-8").split("---\n", 2)[2])
    )
    assert all(re.fullmatch("(?s)<!--.*-->", piece) for piece in html), html
    images = [t for token in parsed for t in token.children or [] if t.type == "image"]
    links = [t for token in parsed for t in token.children or [] if t.type == "link_open"]
    assert not images
    assert not links
    headings = sum(token.type == "heading_open" for token in parsed)
    assert headings == sum(token.type == "heading_open" for token in own)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f]", text)
    assert "\u202e" not in body  # in the YAML a title is what was given


def test_hostile_genres_are_read_as_they_are_and_break_no_row(hostile):
    (genres,) = [t for t in cells_of((hostile / "README.md").read_text()) if t[0][0] == "genre"]
    genres[-1] = genres[-1][:4]  # what is said below the table
    assert [len(row) for row in genres] == [4, 4, 4], genres
    # What a cursor would obey is replaced by U+FFFD, and lines are one line.
    plain = re.sub("[\x1b\u202e\r]", "\ufffd", HOSTILE)
    seen = {row[0] for row in genres[1:]}
    assert "Drama & | more" in seen
    other = (seen - {"Drama & | more"}).pop()
    assert other.replace("&lt;", "<") == " ".join(plain.split()).replace("&lt;", "<")


def test_hostile_text_goes_whole_into_the_files_for_machines(hostile):
    title = HOSTILE.replace("\n", " ")
    front = yaml.safe_load((hostile / "README.md").read_text().split("---\n")[1])
    assert front["pretty_name"] == title
    assert yaml.safe_load((hostile / "eval.yaml").read_text())["name"] == title
    assert json.loads((hostile / "croissant.json").read_bytes())["description"] == title
    clips = rows_of(hostile, "clips/clips.parquet")
    assert {clip["title"] for clip in clips} == {HOSTILE}
    assert {g for clip in clips for g in clip["genres"]} == {HOSTILE, "Drama & | more"}
