"""The program's outputs of every kind, and what people call their files."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from written import SCORES, gold_rows, score_rows, write

import eval.score
from eval.messages import printable
from eval.result import SCORER_VERSION
from eval.score import main

SCRIPT = Path(eval.score.__file__)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with gold.jsonl and mine.jsonl, which is also the current one."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "gold.jsonl", gold_rows())
    write(tmp_path / "mine.jsonl", score_rows())
    return tmp_path


def program(*arguments, redirect="", **environment):
    """The script as a shell starts it."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirect}', "sh", sys.executable, str(SCRIPT),
         "--gold", "gold.jsonl", *arguments],
        capture_output=True, env=os.environ | environment,
    )  # fmt: skip


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_an_encoding_that_lacks_a_sign_is_no_error(files, encoding):
    arguments = ("--predictions", "mine.jsonl", "--compare", "same=mine.jsonl")
    done = program(*arguments, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"mine ? same" in done.stdout


def test_output_that_cannot_be_written_is_said(files):
    done = program("--predictions", "mine.jsonl", redirect=">/dev/full")
    assert done.returncode == 1
    assert done.stderr == (b"error: standard output cannot be written (No space left on device).\n")


def test_closed_streams(files):
    done = program("--predictions", "mine.jsonl", "--json", "o.json", redirect=">&-")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(Path("o.json").read_text())["runs"][0]["name"] == "mine"
    done = program("--predictions", "-", redirect="<&-")
    assert done.returncode == 2
    assert done.stderr == b"score: error: -: standard input is closed.\n"


def test_a_reader_that_has_gone(files):
    done = program("--predictions", "mine.jsonl", "--full", redirect="| true")
    assert b"Traceback" not in done.stderr


def test_names_that_are_too_long(files, capsys):
    long = "a" * 300
    gold = ["--gold", "gold.jsonl", "--predictions"]
    assert main([*gold, f"{long}=mine.jsonl", "--json", "o.json"]) == 0
    assert json.loads(Path("o.json").read_text())["runs"][0]["name"] == long
    capsys.readouterr()
    for arguments in ([long], ["mine.jsonl", "--json", long], ["mine.jsonl", "--per-clip", long]):
        assert main([*gold, *arguments]) == 2
        assert "File name too long" in capsys.readouterr().err


def test_file_names_that_are_not_utf_8(files):
    gold, mine = (os.fsdecode(b"\xff" + name) for name in (b"gold.jsonl", b"mine.jsonl"))
    Path("gold.jsonl").rename(gold)
    Path("mine.jsonl").rename(mine)
    arguments = ["--gold", gold, "--predictions", mine, "--json", "o.json", "--per-clip", "o.pq"]
    assert main(arguments) == 0
    result = json.loads(Path("o.json").read_text())
    assert result["gold"]["name"] == "\ufffdgold.jsonl"
    assert result["runs"][0]["name"] == "\ufffdmine"
    assert set(pq.read_table("o.pq")["run"].to_pylist()) == {"\ufffdmine"}


def test_what_moves_a_cursor_is_not_printed(files, capsys):
    rows = [row | {"genres": ["\x1b]0;x\x1b\\Drama"], "source": "im\x9bage"} for row in gold_rows()]
    write(files / "gold.jsonl", rows)
    for output in ("--full", "--markdown", "--tex"):
        arguments = ["--gold", "gold.jsonl", "--predictions", "a\x1b[31mb=mine.jsonl", output]
        assert main([*arguments, "--allow-missing"]) == 0
        printed = "".join(capsys.readouterr())
        assert not {"\x1b", "\x9b"} & set(printed)
        assert "[31mb" in printed


def test_what_is_printable_stays():
    assert printable("a\n日本\u3000’”é") == "a\n日本\u3000’”é"
    assert printable("\t\r\x7f\u202e\u2028\ud800") == "\ufffd" * 6


@pytest.mark.parametrize("output", ["--json", "--per-clip"])
@pytest.mark.parametrize(
    ("gold", "out"),
    [("parts/*.jsonl", "parts/b.jsonl"), ("parts", "parts/b.jsonl"), ("parts", "./parts/../link"),
     ("parts", "mine.jsonl"), ("parts", "./parts/../mine.jsonl")],
)  # fmt: skip
def test_an_output_never_falls_on_an_input(files, capsys, gold, out, output):
    Path("parts").mkdir()
    write(files / "parts" / "a.jsonl", gold_rows()[:3])
    write(files / "parts" / "b.jsonl", gold_rows()[3:])
    Path("link").symlink_to("parts/b.jsonl")
    before = {path: path.read_bytes() for path in files.rglob("*.jsonl")}
    assert main(["--gold", gold, "--predictions", "mine.jsonl", output, out]) == 2
    assert f"{Path(out)}: is given twice" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in files.rglob("*.jsonl")} == before


@pytest.mark.parametrize(
    ("predictions", "what"),
    [("a=", "a=: no path; give NAME=PATH"), ("(random)=mine.jsonl", "called '(random)'"),
     (" =mine.jsonl", "called ' '")],
)  # fmt: skip
def test_names_that_would_be_misread(files, capsys, predictions, what):
    assert main(["--gold", "gold.jsonl", "--predictions", predictions]) == 2
    assert what in capsys.readouterr().err


def test_rows_for_a_paper_come_with_warnings_and_differences(files, capsys):
    write(files / "some.jsonl", score_rows(SCORES[:2]))
    arguments = ["--predictions", "mine.jsonl", "--compare", "some.jsonl", "--allow-missing"]
    for output, name in (("--markdown", "| mine − some |"), ("--tex", "mine $-$ some &")):
        assert main(["--gold", "gold.jsonl", *arguments, "--k", "1", output]) == 0
        printed = capsys.readouterr()
        (row,) = [line for line in printed.out.splitlines() if line.startswith(name)]
        # Both have medium first in c1. In c2 mine ties high and low, (3 + 0) / 2 of 3, and some has
        # high first: (1/2 - 1) / 2 over both clips.
        assert "-0.2500 p 1.000" in row.replace("$-$", "-").replace(r"{\scriptsize ", "")
        assert "p 1.000" in row
        assert "some: 3 of 5 gold labels had no prediction" in printed.err


def test_the_script_alone_runs_from_anywhere(files):
    # A checkout that is not installed, of another version than the one that may be.
    shutil.copytree(SCRIPT.parent, files / "checkout" / "eval")
    script = files / "checkout" / "eval" / "score.py"
    copy = script.parent / "result.py"
    version = f'SCORER_VERSION = "{SCORER_VERSION}"'
    copy.write_text(copy.read_text().replace(version, 'SCORER_VERSION = "copy"'))
    arguments = ["--gold", "gold.jsonl", "--predictions", "mine.jsonl", "--json", "out.json"]
    for python in ([sys.executable], [sys.executable, "-P"]):
        done = subprocess.run(
            [*python, script, *arguments], capture_output=True, text=True, check=True
        )
        assert "mine" in done.stdout
        assert done.stderr == ""
        assert json.loads(Path("out.json").read_text())["scorer_version"] == "copy"
        Path("out.json").unlink()


def test_as_a_module_its_exit_code_and_no_traceback(files):
    arguments = ["--gold", "gold.jsonl", "--predictions", "nowhere.jsonl"]
    done = subprocess.run(
        [sys.executable, "-m", "eval.score", *arguments],
        cwd=SCRIPT.parents[1], capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "score: error: gold.jsonl: no such file or folder.\n"


def test_the_judge_loads_nothing_heavy_and_nothing_of_ours():
    code = "import eval.score, sys; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SCRIPT.parents[1], capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    loaded = set(done.stdout.split())
    assert "pyarrow" in loaded
    assert not loaded & {"lrmovienet", "annotation", "baselines", "torch", "sklearn", "scipy"}
