"""`lrmovienet letor table`: where tables are written, and what is refused."""

from pathlib import Path

import pytest
from test_letor_table import ONE, result

from baselines.letor.table import markdown
from eval.boards import load
from lrmovienet.cli import main


@pytest.fixture
def one(tmp_path) -> Path:
    return result(tmp_path / "results", [[ONE, ONE], [ONE]])


def called(*words: str, capsys) -> tuple[int, str, str]:
    capsys.readouterr()
    try:
        code = main(["letor", "table", *words])
    except SystemExit as left:
        code = left.code
    said = capsys.readouterr()
    return code, said.out, said.err


def test_tables_are_printed_or_put_between_marks_alone(one, tmp_path, capsys):
    code, printed, err = called(str(one), capsys=capsys)
    assert (code, err) == (0, "") and printed == markdown(load([one]))
    page = tmp_path / "page.md"
    before, after = "# Ours\n\n<!-- letor -->", "<!-- /letor -->\nend, no newline é"
    page.write_text(f"{before}\nold\n{after}", encoding="utf-8")
    kept = page.read_bytes()
    words = [str(one), "--into", str(page)]
    assert called(*words, "--check", capsys=capsys) == (1, f"would change: {page}\n", "")
    assert page.read_bytes() == kept
    assert called(*words, capsys=capsys) == (0, f"written: {page}\n", "")
    assert page.read_text(encoding="utf-8") == f"{before}\n{printed}{after}"
    assert called(*words, "--check", capsys=capsys) == (0, "up to date\n", "")
    written = page.read_bytes()
    assert called(*words, capsys=capsys)[0] == 0
    assert page.read_bytes() == written


def test_line_ends_of_the_page_stay(one, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_bytes(b"a\r\n<!-- letor -->\r\n<!-- /letor -->\r\n")
    assert called(str(one), "--into", str(page), capsys=capsys)[0] == 0
    content = page.read_bytes()
    assert content.count(b"\n") == content.count(b"\r\n") > 5
    assert called(str(one), "--into", str(page), "--check", capsys=capsys)[0] == 0


@pytest.mark.parametrize(
    "content",
    [
        "nothing", "<!-- letor -->\n", "<!-- /letor -->\n", "<!-- /letor -->\n<!-- letor -->\n",
        "<!-- letor -->\n<!-- letor -->\n<!-- /letor -->\n",
        "<!-- letor -->\n<!-- /letor -->\n<!-- /letor -->\n",
        "<!-- leaderboard -->\n<!-- /leaderboard -->\n",
    ],
)  # fmt: skip
def test_a_page_without_the_marks_is_refused(one, tmp_path, content, capsys):
    page = tmp_path / "page.md"
    page.write_text(content)
    code, out, err = called(str(one), "--into", str(page), capsys=capsys)
    assert (code, out) == (2, "") and page.read_text() == content
    assert err.count("error:") == 1 and f"{page}: needs one line <!-- letor -->" in err


def test_what_is_no_result_is_refused(one, tmp_path, capsys):
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"runs": 3}')
    for words, message in [
        ([str(wrong)], f"{wrong}"),
        ([str(one), "--check"], "--check: needs a file to look at: --into FILE"),
        ([str(tmp_path / "none.json")], "none.json"),
        ([str(one), "--into", str(tmp_path / "nosuch.md")], "nosuch.md"),
    ]:
        code, out, err = called(*words, capsys=capsys)
        assert (code, out) == (2, ""), words
        assert err.count("error:") == 1 and message in err and "Traceback" not in err
    (tmp_path / "empty").mkdir()
    code, _, err = called(str(tmp_path / "empty"), capsys=capsys)
    assert code == 2 and "no results here" in err
