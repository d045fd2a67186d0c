"""The guidelines: their version and how they are shown."""

import re
from dataclasses import replace

import pytest

from annotation import guidelines
from annotation.guidelines import Guidelines
from lrmovienet.errors import UserError


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Version: 1", "1"),
        ("# How\n\nVersion: 2\n\ntext\n", "2"),
        ("Version:3\r\ntext\r\n", "3"),
        ("Version:\t2026-11-draft  \n", "2026-11-draft"),
        ("Our Version: 1\nVersion: 2\nVersion: 3\n", "2"),
    ],
)
def test_the_version_is_read_from_its_line(tmp_path, text, version):
    path = tmp_path / "guide.md"
    path.write_bytes(text.encode())
    found = guidelines.read(path)
    assert (found.version, found.text) == (version, text.replace("\r\n", "\n"))


@pytest.mark.parametrize(
    "text",
    ["", "# How\n", "version: 1\n", "Version 1\n", "Version: 1 of 2\n", "Our Version: 1\n",
     "Version:\n", "Version:\n\nHigh\n"],
)  # fmt: skip
def test_a_text_without_a_version_is_refused(tmp_path, text):
    path = tmp_path / "guide.md"
    path.write_text(text)
    with pytest.raises(UserError, match=r"has no line such as `Version: 1`") as error:
        guidelines.read(path)
    assert str(path) in str(error.value)


def test_what_cannot_be_read_is_refused(tmp_path):
    binary = tmp_path / "guide.md"
    binary.write_bytes(b"Version: 1\n\xff\xfe")
    for path in (tmp_path / "missing.md", tmp_path, binary):
        with pytest.raises(UserError, match="not readable guidelines") as error:
            guidelines.read(path)
        assert str(path) in str(error.value)


def test_a_text_that_was_changed_is_read_anew(tmp_path):
    """Its version goes with every rating: an old one would tell something wrong."""
    path = tmp_path / "guide.md"
    path.write_text("Version: 1\n")
    assert guidelines.read(path).version == "1"
    path.write_text("Version: 2\n")
    assert guidelines.read(path).version == "2"


def test_html_in_the_text_is_shown_as_text():
    html = Guidelines(
        "1", "a <script>alert(1)</script> <b>b</b>\n\n<div onclick='x()'>c</div>"
    ).html
    assert re.findall(r"<[^>]*>", html) == ["<p>", "</p>", "<p>", "</p>"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_links_run_no_script():
    html = Guidelines("1", "[a](javascript:alert(1)) [b](data:text/html,x) [c](https://e.org)").html
    assert re.findall(r'href="([^"]*)"', html) == ["https://e.org"]


def test_markdown_becomes_html():
    html = Guidelines(
        "1", "## Keys\n\n*a* **b** `c`\n\n| x | y |\n|---|---|\n| 1 | 2 |\n\n- d"
    ).html
    for expected in ("<h2>Keys</h2>", "<em>a</em>", "<strong>b</strong>", "<code>c</code>",
                     "<th>x</th>", "<td>2</td>", "<li>d</li>"):  # fmt: skip
        assert expected in html


def test_the_shipped_guidelines_are_shown_whole():
    shipped = guidelines.read()
    assert shipped == guidelines.read(guidelines.PATH)
    assert shipped.version.isdigit()
    lines = shipped.text.splitlines()
    headings = [line.lstrip("# ") for line in lines if line.startswith("#")]
    assert re.findall(r"<h[12]>([^<]*)</h[12]>", shipped.html) == headings
    rows = sum(line.startswith("|") and not line.startswith("|---") for line in lines)
    assert shipped.html.count("<tr>") == rows > 10
    assert "|---" not in shipped.html
    assert replace(shipped, text="").html == ""


def test_the_examples_in_the_guidelines_are_graded_by_the_three_grades():
    rows = re.findall(r"^\| ([^|]+) \| (\w+) \| ", guidelines.read().text, re.MULTILINE)
    grades = [grade for label, grade in rows if label != "label"]
    assert set(grades) == {"high", "medium", "low"}
    headings = re.findall(r"^## (High|Medium|Low):", guidelines.read().text, re.MULTILINE)
    assert headings == ["High", "Medium", "Low"]
