"""The leaderboard as Markdown and as a page, its files and its commands."""

import itertools
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from generated_results import (
    CLIPS,
    FILMS,
    WAVE,
    entries,
    generated_result,
    generated_run,
    level,
    marks,
    rows_of,
    saved,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from eval import leaderboard
from eval.boards import boards, find, load
from eval.leaderboard import BEGIN, END, html, main, markdown
from eval.result import (
    About,
    Estimate,
    ResultError,
)
from lrmovienet import cli


class Page(HTMLParser):
    """HTML by a parser that is not ours: its tags, balanced, and the text of each."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append([tag, dict(attributes), ""])
        if tag != "meta":
            self.open.append(self.found[-1])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_startendtag(self, tag, attributes):
        self.found.append([tag, dict(attributes), ""])

    def handle_data(self, data):
        for element in self.open:
            element[2] += data

    def all(self, *tags):
        return [element for element in self.found if element[0] in tags]


# Numbers and names as they are written.


@pytest.mark.parametrize(
    ("mean", "written"),
    [(0.7424, ".742"), (0.7426, ".743"), (0.0, ".000"), (1.0, "1.000"), (0.99951, "1.000")],
)
def test_three_decimals(mean, written):
    runs = [generated_run("a", level(mean), width=0), generated_run("b", level(0.0), width=None)]
    cells = {r[0]: r[2] for r in rows_of(markdown(boards(entries(generated_result(*runs)))))[0]}
    assert cells["a"] == f"{written} [{written}, {written}]"


def test_signs_in_both_forms():
    runs = [
        generated_run("best", 0.6 + 0.1 * WAVE),
        generated_run("close", 0.599 - 0.1 * WAVE),
        generated_run("alone", level(0.59), sums=False),
        generated_run("far", level(0.2)),
    ]
    made = boards(entries(generated_result(*runs)))
    text = markdown(made)
    assert "| best | 62657374 | **.600** [.570, .630] |" in text
    assert "| close | 636c6f73 | .599 [.569, .629] ≈ |" in text
    assert "| alone | 616c6f6e | .590 [.560, .620] ~ |" in text
    assert "| far | 66617200 | .200 [.170, .230] |" in text
    cells = [element[2] for element in Page(html(made)).all("td")]
    assert cells[:4] == [".600[.570, .630]", ".599≈[.569, .629]", ".590~[.560, .620]",
                         ".200[.170, .230]"]  # fmt: skip
    assert [element[2] for element in Page(html(made)).all("strong")] == [".600"]
    for sentence in leaderboard.LEGEND:
        assert f"\n- {sentence}\n" in text
        assert sentence in Page(html(made)).all("main")[0][2]
    for needed in ("≈", "~", "†", "–", "95%", "paired by film", "not corrected", "overlaps"):
        assert any(needed in sentence for sentence in leaderboard.LEGEND)


NASTY = [
    "a|b", "`code`", "**bold**", "_x_", "[a](http://evil)", "<script>alert(1)</script>", "a\nb",
    "a\r\n\r\n# b", "\u2028|", END, "--- | ---", "&lt;", "&#124;", "\\|", "\\", "http://evil.org",
    "www.evil.org", "![x](y)", "$x$", "\t", "", " ", "\u202etxt", "\x00", "~~x~~", "’”", "日本語",
    "'\"><img src=x onerror=alert(1)>", "</td></tr></table>", "<!--", "]]>", "{{x}}", "a" * 5000,
]  # fmt: skip


def seen(name):
    """What should be read, whatever the markup: one line of visible characters, not endless."""
    line = re.sub(r"\s+", " ", name).strip()
    line = re.sub("[\x00-\x1f\u202e\x7f-\x9f]", "\ufffd", line)
    return (line[:99] + "…" if len(line) > 100 else line) or "(no name)"


@pytest.mark.parametrize("name", NASTY)
def test_hostile_names_are_only_names(name):
    about = About(name, name, name, "R1")
    run = generated_run(name, level(0.6), sha256=name or "0")
    gold = replace(generated_result().gold, split=name, sha256=name, name=name)
    nasty = generated_result(run, about=about, gold=gold, scorer_version=name)
    usual = generated_result(generated_run("a", level(0.6)), generated_run("b", level(0.5)))
    made = boards(entries(nasty, usual))
    text = markdown(made)
    tables = rows_of(text)
    assert [len(table) for table in tables] == [1 + 2 + 3, 1 + 1 + 3]
    assert {len(row) for table in tables for row in table} == {3}
    assert tables[1][1][0] == seen(name)
    assert tables[1][1][2] == ".600 [.570, .630]"
    assert text.count(BEGIN) == text.count(END) == 0
    assert "http://evil" not in text
    assert "www.evil" not in text
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    assert not {"html_block", "fence", "code_block", "hr"} & {token.type for token in tokens}
    parts = {part.type for token in tokens for part in token.children or ()}
    assert parts <= {"text", "text_special", "strong_open", "strong_close", "em_open", "em_close"}

    page = Page(html(made))
    names = [e[2] for e in page.all("th") if e[1]["scope"] == "row"]
    assert names[5] == seen(name) + seen(name[:8] or "0")
    expected = {
        "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "p", "div",
        "table", "caption", "thead", "tbody", "tr", "th", "td", "small", "code", "strong", "span",
        "svg", "rect", "ul", "li",
    }  # fmt: skip
    assert {element[0] for element in page.found} == expected


@settings(max_examples=50)
@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=30))
def test_every_name_is_read_as_it_is(name):
    made = boards(entries(generated_result(generated_run(name, level(0.6)))))
    assert rows_of(markdown(made))[0][1][0] == name
    assert Page(html(made)).all("th")[2][2].startswith(name)


# The page.


def test_the_page_is_accessible_and_needs_nothing_else():
    runs = [generated_run(name, level(0.6), ks=(1, 5)) for name in "ab"]
    text = html(boards(entries(generated_result(*runs, ks=(1, 5)))))
    page = Page(text)
    (document,) = page.all("html")
    assert text.startswith("<!doctype html>")
    assert document[1] == {"lang": "en"}
    assert [e[2] for e in page.all("caption")] == [
        "R1: R0 and the target's preference pairs; sorted by NDCG@5"
    ]
    assert [e[1]["scope"] for e in page.all("th")] == ["col"] * 3 + ["row"] * 5
    assert all(e[1]["aria-hidden"] == "true" for e in page.all("svg"))
    (region,) = page.all("div")
    assert (region[1]["role"], region[1]["tabindex"]) == ("region", "0")
    assert "prefers-color-scheme: dark" in text
    assert "width=device-width" in text
    for outside in ("http:", "https:", "<script", "src=", "url(", "@import", "<link"):
        assert outside not in text
    # A style cannot be broken out of, and every class in the page has one.
    style = page.all("style")[0][2]
    classes = {e[1]["class"] for e in page.found if "class" in e[1]}
    assert classes == {"scroll", "floor", "axis", "bar", "mean"}
    assert all(f".{name} " in style for name in classes)


def test_bars_are_where_their_numbers_are():
    """.5 ± .1 and .7 ± .1: from .4 to .8 with 5 % of air, the axis is .38 to .82."""
    runs = [generated_run(name, level(x), width=0.1) for name, x in (("a", 0.5), ("b", 0.7))]
    page = Page(html(boards(entries(generated_result(*runs)))))
    assert page.all("th")[1][2] == "NDCG@5.380 to .820"

    def drawn(kind):
        found = [e[1] for e in page.all("rect") if e[1]["class"] == kind]
        return [(float(a["x"]), float(a["width"])) for a in found]

    # Sorted from best to worst: b, then a. 0.2 of 0.44 is 45.45 %.
    assert drawn("bar") == [(50.0, pytest.approx(45.5)), (4.5, pytest.approx(45.5))]
    # A mean is the middle of its tick, which is 2 wide; .7 is at 72.7 and .5 at 27.3.
    assert [x + width / 2 for x, width in drawn("mean")] == pytest.approx([72.7, 27.3])
    # Random order, .4, is at 4.5.
    assert [x + width / 2 for x, width in drawn("random")] == [pytest.approx(4.5)] * 2


def test_tables_of_a_board_have_the_same_axes():
    low = generated_result(generated_run("a", level(0.5), width=0.1), regime="R0")
    high = generated_result(generated_run("b", level(0.7), width=0.1), regime="R1")
    heads = [e[2] for e in Page(html(boards(entries(low, high)))).all("th") if "NDCG" in e[2]]
    assert heads == ["NDCG@5.380 to .820"] * 2


# Files.


def failed(capsys, *arguments):
    """The message of a call that must fail and write nothing."""
    before = {p: p.read_bytes() for p in sorted(Path.cwd().rglob("*")) if p.is_file()}
    assert main([*arguments]) == 2
    assert {p: p.read_bytes() for p in sorted(Path.cwd().rglob("*")) if p.is_file()} == before
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("leaderboard: error: ")
    return captured.err


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder, the current one, with results/a.json and results/b.json."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    saved(
        tmp_path / "results",
        a=generated_result(generated_run("a", level(0.6))),
        b=generated_result(generated_run("b", level(0.5)), regime="R0"),
    )
    return tmp_path


def test_files_folders_and_globs(folder):
    saved(folder / "results", c=generated_result(generated_run("c", level(0.5))))
    (folder / "results" / "notes.txt").write_text("not a result")
    (folder / "x[1].json").write_text("a name that looks like a glob")

    def names(*patterns):
        return [path.name for path in find(patterns)]

    assert names("results") == names("results/*.json") == ["a.json", "b.json", "c.json"]
    assert names("**/b.json", f"{folder}/results/[ab].json", "results/../results/a.json") == [
        "a.json", "b.json",
    ]  # fmt: skip
    assert names("x[1].json") == ["x[1].json"]
    (folder / "empty").mkdir()
    for nothing in ("empty", "results/*.parquet", "[q].json"):
        with pytest.raises(ResultError, match=re.escape(f"{nothing}: no results here")):
            find([nothing])


def test_what_cannot_be_read_is_all_named(folder, capsys):
    for i in range(12):
        (folder / "results" / f"wrong{i:02}.json").write_text("{}")
    message = failed(capsys, "results", "--html", "x.html", "--markdown", "x.md")
    assert message.startswith("leaderboard: error: 12 of 14 files cannot be used:\n")
    lines = message.splitlines()
    assert lines[1] == (
        "  results/wrong00.json: no result of eval/score.py: it has no schema_version."
    )
    assert [line.split(":")[0][-7:-5] for line in lines[1:-1]] == [f"{i:02}" for i in range(10)]
    assert lines[-1] == "  … and 2 more"


def changed(**change):
    return generated_result(replace(generated_run("a", level(0.6)), **change))


def in_gold(**change):
    return generated_result(
        generated_run("a", level(0.6)), gold=replace(generated_result().gold, **change)
    )


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (generated_result(), "no run"),
        (replace(changed(), k=()), "no k"),
        (replace(changed(), k=(0,)), "a k that cannot be"),
        (replace(changed(), k=(10**400,)), "a k that cannot be"),
        (in_gold(film_clips=(1,)), "film_clips"),
        (in_gold(film_clips=(-1, *[CLIPS] * (FILMS - 1))), "film_clips"),
        (in_gold(film_clips=(10**9,) * FILMS), "film_clips"),
        (in_gold(film_clips=(10**400,) * FILMS), "film_clips"),
        (in_gold(film_clips=(0,) * FILMS), "ndcg@5 of 'a' has not one sum for each film"),
        (in_gold(film_clips=(CLIPS + 1,) * FILMS), "ndcg@5 of 'a' is not the mean of its films"),
        (changed(by_film={"ndcg@5": (3.0,)}), "has not one sum for each film"),
        (changed(by_film={"ndcg@5": (3.001,) * FILMS}), "is not the mean of its films"),
        (changed(measures={"ndcg@5": Estimate(1.01)}), "is outside 0 to 1"),
        (changed(measures={"ndcg@5": Estimate(-0.01)}), "is outside 0 to 1"),
        (changed(measures={"ndcg@5": Estimate(0.6, 0.5, 1.5)}), "is outside 0 to 1"),
    ],
)
def test_results_that_contradict_themselves_are_refused(folder, capsys, result, message):
    saved(folder, odd=result)
    assert message in failed(capsys, "results", "odd.json")


def test_wrong_calls_are_refused(folder, capsys):
    (folder / "README.md").write_text("no place for it")
    (folder / "latin.md").write_bytes(b"\xe9")
    assert "absent.json: No such file" in failed(capsys, "absent.json")
    assert "x.md: is given twice" in failed(capsys, "results", "--html", "x.md", "--into", "./x.md")
    assert "one of the results" in failed(capsys, "results", "--html", "results/a.json")
    assert "--check needs a file" in failed(capsys, "results", "--check")
    assert "results: is a folder" in failed(
        capsys, "results", "--html", "results", "--markdown", "x.md"
    )
    assert "latin.md: not UTF-8" in failed(capsys, "results", "--into", "latin.md")
    assert "absent.md: No such file" in failed(capsys, "results", "--into", "absent.md")


@pytest.mark.parametrize(
    "text",
    ["", BEGIN, END, f"{END}\n{BEGIN}", f"{BEGIN}\n{BEGIN}\n{END}", f"{BEGIN}\n{END}\n{END}",
     f"{END}{BEGIN}{END}", f"{BEGIN}{END}{BEGIN}"],
)  # fmt: skip
def test_markers_must_stand_there_once(folder, capsys, text):
    (folder / "README.md").write_text(text)
    message = failed(capsys, "results", "--into", "README.md", "--html", "x.html")
    assert f"README.md: needs one line {BEGIN} and after it one line {END}" in message


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_what_stands_between_the_markers_is_replaced(folder, capsys, ending):
    before, after = f"# Title{ending}", f"{ending}{ending}end, no line feed"
    readme = folder / "README.md"
    readme.write_bytes(f"{before}{BEGIN}old{END}{after}".encode())
    assert main(["results", "--into", "README.md"]) == 0
    assert capsys.readouterr().out == "written: README.md\n"
    assert main(["results"]) == 0
    table = capsys.readouterr().out
    assert "| a | 61000000 | **.600** [.570, .630] |" in table
    body = f"\n{table}".replace("\n", ending)
    assert readme.read_bytes().decode() == f"{before}{BEGIN}{body}{END}{after}"
    new = readme.read_bytes()
    assert main(["results", "--into", "README.md"]) == 0
    assert readme.read_bytes() == new


def test_check_writes_nothing_and_says_what_would_change(folder, capsys):
    targets = ["--markdown", "x.md", "--html", "site/x.html", "--into", "README.md"]
    (folder / "README.md").write_text(f"{BEGIN}{END}")
    assert main(["results", *targets, "--check"]) == 1
    assert not (folder / "x.md").exists()
    assert not (folder / "site").exists()
    assert capsys.readouterr().out == (
        "would change: x.md\nwould change: site/x.html\nwould change: README.md\n"
    )
    assert main(["results", *targets]) == 0
    assert main(["results", *targets, "--check"]) == 0
    (folder / "x.md").write_text("by hand")
    assert main(["results", *targets, "--check"]) == 1
    assert (folder / "x.md").read_text() == "by hand"


def test_it_runs_alone_from_anywhere(folder):
    script = Path(leaderboard.__file__)
    command = [sys.executable, str(script), "results", "--html", "page.html"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "written: page.html\n", "")
    assert "</html>" in (folder / "page.html").read_text(encoding="utf-8")
    done = subprocess.run([*command, "absent"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 2
    assert "Traceback" not in done.stderr


def verb(*arguments):
    return cli.main(["leaderboard", *arguments])


def test_the_verb_does_the_same(folder, capsys):
    assert main(["results"]) == 0
    text = capsys.readouterr().out
    for words in (
        ("--results", "results/a.json", "--results", "results/b.json"),
        ("results/a.json", "results/b.json"),
        ("results/*.json",),
    ):
        assert verb(*words) == 0
        assert capsys.readouterr().out.strip() == text.strip()
    assert verb("--results", "results", "--html", "x.html") == 0
    assert capsys.readouterr().out == "written: x.html\n"
    assert verb("--results", "results", "--html", "x.html", "--check") == 0
    assert capsys.readouterr().out == "up to date\n"
    (folder / "x.html").write_text("")
    with pytest.raises(SystemExit) as stopped:
        verb("--results", "results", "--html", "x.html", "--check")
    assert stopped.value.code == 1
    assert capsys.readouterr().out == "would change: x.html\n"
    assert verb("--results", "absent") == 2
    assert "absent: No such file" in capsys.readouterr().err


def test_the_verb_takes_a_workspaces_results_or_the_published_ones(folder, capsys, monkeypatch):
    assert verb("--workspace", str(folder)) == 0
    assert "| a |" in capsys.readouterr().out
    published = folder / "published"
    published.mkdir()
    saved(published, c=generated_result(generated_run("published", level(0.5))))
    monkeypatch.setattr(leaderboard, "RESULTS", published)
    assert verb() == 0
    out = capsys.readouterr().out
    assert "| published |" in out
    assert "| a |" not in out


def test_the_default_is_the_folder_beside_the_program():
    assert Path(leaderboard.__file__).parent / "results" == leaderboard.RESULTS
    assert leaderboard.parser().parse_args([]).results == [str(leaderboard.RESULTS)]


def test_marks_are_those_of_the_scorers_comparisons(folder, capsys):
    """From files of labels to the table: scored, compared by the scorer, and then ranked here."""
    from eval import score

    rng = np.random.default_rng(1)
    noise = {"a": 0.8, "b": 0.82, "c": 0.9, "d": 1.8}
    lines = {name: [] for name in ("gold", *noise)}
    for film, clip, label in itertools.product(range(FILMS), range(4), range(6)):
        key = {"clip_id": f"tt{film}_{clip:04}", "label": f"label {label}"}
        grade = int(rng.integers(0, 3))
        lines["gold"].append(key | {"grade": grade})
        for name, sigma in noise.items():
            lines[name].append(key | {"score": grade + float(rng.normal(0, sigma))})
    for name, rows in lines.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    results = []
    for name in noise:  # a file for each, in which it is compared with all others
        others = [f"{other}.jsonl" for other in noise if other != name]
        arguments = ["--gold", "gold.jsonl", "--predictions", f"{name}.jsonl", "--compare", *others]
        assert score.main([*arguments, "--json", f"scored/{name}.json"]) == 0
        results += [entry.result for entry in load([folder / "scored" / f"{name}.json"])]
    (board,) = boards(load(find(["scored"])))
    compared = {(c.a, c.b, c.measure): c.difference for r in results for c in r.comparisons}
    told = set()
    for column, k in enumerate(board.ks):
        found = marks(board, column)
        (best,) = [name for name, mark in found.items() if mark == "best"]
        for name in found.keys() - {best}:
            difference = compared[best, name, f"ndcg@{k}"]
            assert found[name] == ("paired" if difference.low <= 0 <= difference.high else "")
            told.add(found[name])
    assert told == {"", "paired"}


def test_output_is_the_same_whatever_python_hashes(folder):
    code = "import sys; from eval.leaderboard import main; sys.exit(main(sys.argv[1:]))"
    outputs = set()
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code, "results"], cwd=folder, capture_output=True,
            env=environment, check=True,
        )  # fmt: skip
        outputs.add(done.stdout)
    assert len(outputs) == 1


def test_the_published_page_is_what_the_published_results_make():
    page = Path(leaderboard.RESULTS).parents[1] / "docs" / "leaderboard.md"
    assert leaderboard.main(["--into", str(page), "--check"]) == 0
