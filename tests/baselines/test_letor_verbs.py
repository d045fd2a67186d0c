"""`letor look` and `letor leaks`: files in, numbers, words and exit codes out."""

import hashlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from baselines.letor.documents import Documents
from baselines.letor.look import look
from baselines.letor.read import read
from lrmovienet.cli import main

ONE = """\
2 qid:10 1:5 2:NULL 3:7 #docid = GX001-00-0000001 inc = 1 prob = 0.5
0 qid:10 1:6 2:-3 3:7 #docid = GX002-00-0000002
0 qid:11 1:8 2:0.5 3:7 #docid = GX003-00-0000003
0 qid:11 1:NULL 2:NULL 3:7 #docid = GX000-00-0000000
1 qid:12 1:20000 2:1 3:7 # no id
1 qid:12 1:2 2:3 3:7
3 qid:12 1:1 2:2 3:7
"""
TWO = """\
1 qid:30 1:4 2:4 3:4 #docid = GX002-00-0000002
0 qid:30 1:4 2:5 3:4 #docid = GX009-00-0000009
1 qid:31 1:6 2:-3 3:7 #docid = GX008-00-0000008
1 qid:12 1:5 2:NULL 3:7
0 qid:32 1:2 2:3 3:7
1 qid:33 1:9 2:9 3:8 #docid = GX000-00-0000000
"""
OTHER = "0 qid:50 1:1 2:2\n1 qid:50 1:2 2:1\n"


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in (("one.txt", ONE), ("two.txt", TWO), ("other.txt", OTHER)):
        Path(name).write_text(text)
    return tmp_path


def run(capsys, *words):
    """The exit code, what was printed, and what was said of errors."""
    try:
        code = main(["letor", *words])
    except SystemExit as left:
        code = left.code
    return code, *capsys.readouterr()


def line(out, start):
    """The cells of a table's row."""
    rows = [text.split("│")[1:-1] for text in out.splitlines() if text.startswith("│")]
    (found,) = [row for row in rows if row[0].strip() == start]
    return [cell.strip() for cell in found[1:]]


def test_look_counts(files, capsys):
    code, out, err = run(capsys, "look", "one.txt", "other.txt", "--json", "look.json")
    assert (code, err) == (0, "")
    expected = {
        "queries": ["3", "1"], "documents": ["7", "2"], "features": ["3", "2"],
        "first feature": ["1", "1"], "constant features": ["1", "0"],
        "smallest value": ["-3 in 2", "1 in 1"], "largest value": ["20000 in 1", "2 in 1"],
        "NULL": ["14.3%", "0.0%"], "rows all NULL": ["0", "0"], "rows with an id": ["3", "0"],
        "placeholder ids": ["1", "0"], "grades": ["0 to 3", "0 to 1"], "grade 0": ["3", "1"],
        "grade 2": ["1", "0"], "without a relevant one": ["1", "0"],
        "their share p0": ["0.3333", "0.0000"], "queries of one grade": ["1", "0"],
        "a query: fewest": ["2", "2"], "a query: median": ["2", "2"], "a query: most": ["3", "2"],
    }  # fmt: skip
    assert {what: line(out, what) for what in expected} == expected
    assert "one.txt: raw features, from -3 in 2 to 20000 in 1 (beyond 10000): normalise" in out
    assert "one.txt: the same in every row, so of no use: features 3\n" in out
    assert "other.txt:" not in out

    one, other = json.loads(Path("look.json").read_text())["files"]
    assert one["sha256"] == hashlib.sha256(ONE.encode()).hexdigest()
    assert (one["name"], one["rows"], one["constant"]) == ("one.txt", 7, [3])
    assert one["null"] == 3 / 21
    assert one["grades"]["counts"] == {"0": 3, "1": 2, "2": 1, "3": 1}
    assert one["largest"] == {"value": 20000.0, "feature": 1}
    # Query 10 has gains 3, 0 and query 12 1, 1, 7; with two places, or three, for 3/2 and 3 each.
    two = 1 + 1 / math.log2(3)
    three = two + 1 / 2
    ideal = 7 + 1 / math.log2(3) + 1 / 2
    means = {1: [1 / 2, 3 / 7], 3: [two / 2, 3 * three / ideal], 20: [two / 2, 3 * three / ideal]}
    for k, values in means.items():
        random = {rule: of[f"ndcg@{k}"] for rule, of in one["grades"]["random"].items()}
        assert random == pytest.approx(
            {"skip": sum(values) / 2, "one": (sum(values) + 1) / 3, "zero": sum(values) / 3},
            abs=1e-12,
        )
    assert line(out, "NDCG@1, as 1")[0] == f"{(1 / 2 + 3 / 7 + 1) / 3:.4f}"
    assert other["grades"]["random"]["skip"]["ndcg@1"] == 0.5


def made(x, grades=None, lengths=None, ids=None, first=1):
    x = np.array(x, np.float32)
    lengths = lengths or [len(x)]
    names = tuple(str(i) for i in range(len(lengths)))
    grades = None if grades is None else np.array(grades)
    return Documents("f", "s", x, grades, np.cumsum([0, *lengths]), names, ids, first)


def test_look_at_null_and_features_from_0():
    found = look(made([[np.nan] * 3, [np.nan, 1, 2], [np.nan, 1, 2]], first=0))
    assert (found.null, found.null_rows, found.constant) == (5 / 9, 1, (0,))  # 1 or NULL says much
    assert (found.smallest.feature, found.largest.feature) == (1, 2)
    assert (found.first_feature, found.grades, found.raw) == (0, None, False)
    empty = look(made([[np.nan, np.nan]]))
    assert (empty.smallest, empty.largest, empty.constant, empty.raw) == (None, None, (1, 2), False)


@pytest.mark.parametrize(
    ("value", "raw"), [(1e4, False), (1.1e4, True), (-1.1e4, True), (-1e4, False)]
)
def test_raw_features_are_far_from_0(value, raw):
    assert look(made([[0, value], [1, 2]])).raw == raw


def test_look_at_queries_of_one_grade():
    grades = look(made([[1]] * 8, [0, 0, 2, 2, 1, 0, 3, 0], [2, 2, 1, 1, 2])).grades
    assert (grades.queries_without_relevant, grades.queries_all_equal) == (2, 4)
    assert grades.share_without_relevant == 2 / 5
    alone = look(made([[1]], [0])).grades
    assert alone.random["skip"]["ndcg@5"] is None
    assert (alone.random["one"]["ndcg@5"], alone.random["zero"]["ndcg@5"]) == (1, 0)


def test_leaks_in_words(files, capsys):
    code, out, err = run(capsys, "leaks", "one.txt", "two.txt", "--json", "leaks.json")
    assert (code, err) == (0, "")
    assert line(out, "one.txt") == ["two.txt", "1", "1", "2", "0", "1, 1", "3/5"]
    for words in (
        "1 query is in both: a model that learned from one.txt has seen it: 12\n",
        "1 document is in both: a model that learned from one.txt has seen it: GX002-00-0000002\n",
        "rows of the second equal to rows of the first: 2, 2 with other grades, such as\n",
        "one.txt, query 10, document 1 (GX001-00-0000001), grade 2 = two.txt, query 12, "
        "document 1, grade 1\n",
        "rows of the second that only look like other documents: 1, no leak\n",
        "the placeholder GX000-00-0000000 is no document: it is in 1 and 1 rows\n",
    ):
        assert words in out
    report = json.loads(Path("leaks.json").read_text())
    assert [file["name"] for file in report["files"]] == ["one.txt", "two.txt"]
    assert report["files"][1] == {
        "name": "two.txt", "sha256": hashlib.sha256(TWO.encode()).hexdigest(), "queries": 5,
        "rows": 6, "features": 3,
    }  # fmt: skip
    (entry,) = report["shared"]
    examples = entry["equal_rows"].pop("examples")
    assert entry == {
        "first": ["one.txt"], "second": ["two.txt"], "queries": {"shared": 1, "ids": ["12"]},
        "documents": {"shared": 1, "ids": ["GX002-00-0000002"]}, "placeholder_rows": [1, 1],
        "rows": [7, 6], "rows_compared": [7, 6], "rows_saying_nothing": [0, 1],
        "equal_rows": {
            "shared": 2, "same_grade": 0, "other_grade": 2, "only_of_other_documents": 1,
        },
        "second_rows_touched": 3, "second_queries": 5, "second_queries_touched": 3,
    }  # fmt: skip
    assert examples[1] == [
        {"file": "one.txt", "query": "12", "place": 2, "document": None, "grade": 1},
        {"file": "two.txt", "query": "32", "place": 1, "document": None, "grade": 0},
    ]


def test_each_with_each_or_one_side_against_the_other(files, capsys):
    code, out, _ = run(capsys, "leaks", "one.txt", "two.txt", "other.txt")
    assert code == 0
    headings = [text for text in out.splitlines() if "->" in text]
    assert headings == [
        "one.txt -> two.txt:", "one.txt -> other.txt:", "two.txt -> other.txt:",
    ]  # fmt: skip
    assert out.count("no query, document or row is in both") == 2
    assert out.count("rows are not comparable") == out.count("a side has no ids") == 2

    words = ["other.txt", "one.txt", "--against", "two.txt", "--json", "leaks.json"]
    code, out, _ = run(capsys, "leaks", *words)
    assert code == 0
    assert [text for text in out.splitlines() if "->" in text] == ["other.txt, one.txt -> two.txt:"]
    assert "only 7 and 6 rows are comparable" in out
    (entry,) = json.loads(Path("leaks.json").read_text())["shared"]
    assert entry["equal_rows"]["examples"][0][0]["file"] == "one.txt"
    assert entry["equal_rows"]["examples"][0][0]["place"] == 1

    code, out, _ = run(capsys, "leaks", "two.txt", "--against", "one.txt", "other.txt")
    assert [text for text in out.splitlines() if "->" in text] == ["two.txt -> one.txt, other.txt:"]


def test_fail(files, capsys):
    assert run(capsys, "leaks", "--fail", "one.txt", "two.txt", "--json", "l.json")[0] == 1
    assert Path("l.json").exists()
    assert run(capsys, "leaks", "--fail", "one.txt", "other.txt")[0] == 0
    Path("query.txt").write_text("0 qid:50 1:3 2:4\n")  # its id is all that is shared
    assert run(capsys, "leaks", "--fail", "other.txt", "query.txt")[0] == 1
    Path("apart.txt").write_text(  # the placeholder, a row of NULL and looks are no leaks
        "0 qid:90 1:1 2:1 3:1 #docid = GX000-00-0000000\n0 qid:90 1:NULL 2:NULL 3:NULL\n"
        "0 qid:91 1:6 2:-3 3:7 #docid = GX777-00-0000001\n"
    )
    code, out, _ = run(capsys, "leaks", "--fail", "one.txt", "apart.txt")
    assert code == 0
    assert "no query, document or row is in both" in out


def test_a_copy_is_named(files, capsys):
    Path("copy.txt").write_text(ONE)
    code, out, _ = run(capsys, "leaks", "one.txt", "copy.txt", "--fail")
    assert code == 1
    assert "copy.txt is one.txt, byte for byte" in out
    assert (
        "3 queries are in both: a model that learned from one.txt has seen them: 10, 11, 12" in out
    )


def test_lists_without_ids(files, capsys):
    for name, text in (("a", "1 0:1 1:2\n0 0:3\n"), ("b", "1 0:5 1:2\n0 0:6\n")):
        Path(name).write_text(text)
        Path(f"{name}.query").write_text("1\n1\n")
    code, out, _ = run(capsys, "leaks", "a", "b", "--fail")
    assert code == 0
    assert line(out, "a") == ["b", "–", "–", "0", "0", "0, 0", "0/2"]
    assert "queries without ids, numbered from 1 in both, are not compared" in out


def test_files_of_one_name_are_told_apart(files, capsys):
    for fold in ("Fold1", "Fold2"):
        Path(fold).mkdir()
        Path(fold, "test.txt").write_text(ONE)
    _, out, _ = run(capsys, "leaks", "Fold1/test.txt", "Fold2/test.txt", "--json", "a.json")
    assert "Fold1/test.txt -> Fold2/test.txt:" in out
    _, out, _ = run(capsys, "look", "Fold1/test.txt", "Fold2/test.txt")
    assert "│ Fold1/test.txt ┃ Fold2/test.txt │".replace("│", "┃") in out
    # Where a file lies is nobody's business.
    assert str(files) not in out + Path("a.json").read_text()


def test_what_is_written_is_the_same_each_time(files, capsys):
    found = []
    for folder in ("x", "y"):
        for verb in ("look", "leaks"):
            words = ["one.txt", "two.txt", "--json", f"{folder}/{verb}.json", "--cache", "cache"]
            assert run(capsys, verb, *words)[0] == 0
        found.append([Path(folder, f"{verb}.json").read_bytes() for verb in ("look", "leaks")])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["look"], "give a file: lrmovienet letor look FILE FILE …"),
        (["look", "nowhere.txt"], "nowhere.txt: no such file."),
        (["look", "."], ".: no such file."),
        (["look", "one.txt", "link.txt"], "link.txt: the same file twice. Give each once."),
        (["look", "bad.txt"], "bad.txt, line 1: "),
        (["leaks"], "give two files or more, to compare each with each, or FILE … --against FILE"),
        (["leaks", "one.txt"], "give two files or more"),
        (["leaks", "--against", "one.txt"], "give two files or more"),
        (["leaks", "one.txt", "--against", "one.txt"], "one.txt: the same file twice."),
        (["leaks", "one.txt", "nowhere.txt"], "nowhere.txt: no such file."),
        (["leaks", "one.txt", "bad.txt"], "bad.txt, line 1: "),
    ],
)
def test_wrong_words_end_in_one_message_and_code_2(files, capsys, words, message):
    Path("bad.txt").write_text("0 qid:1 1:many\n")
    Path("link.txt").symlink_to("one.txt")
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("error:") == err.count("\n") == 1


def test_the_command_line_opens_them_quickly():
    code = (
        "import sys, baselines.letor.look_verb, baselines.letor.leaks_verb; "
        "sys.exit(len({'numpy', 'torch', 'numba', 'pandas'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


REAL = [
    ("lightgbm_lambdarank/rank.test", 50, 50, (0.354, 0.417, 0.473, 0.583, 0.701)),
    ("mq2007_agg/S4.txt", 295, 339, (0.246, 0.257, 0.268, 0.304, 0.382)),
    ("mq2008_fold1_part/vali_part.txt", 54, 69, (0.248, 0.310, 0.380, 0.508, 0.570)),
    ("mslr_tiny/search_tiny_train.txt", 7, 7, (0.114, 0.142, 0.160, 0.190, 0.243)),
    ("trec_news_2018/trec_news_2018.test", 5, 5, (0.430, 0.535, 0.649, 0.700, 0.735)),
]  # fmt: skip
"""File -> queries that count, all of them, and NDCG@1, 3, 5, 10 and 20 of a random order."""


@pytest.fixture(scope="module")
def data():
    folder = os.environ.get("LRMOVIENET_EXTRA_DATA")
    if not folder:
        pytest.skip("LRMOVIENET_EXTRA_DATA is unset: the ranking data are not here")
    return Path(folder)


@pytest.mark.parametrize(("name", "counted", "queries", "expected"), REAL)
def test_real_files(data, name, counted, queries, expected):
    """Measured without this code; the values are rounded to three digits."""
    found = look(read(data / name))
    assert found.queries == queries
    assert found.grades.queries_without_relevant == queries - counted
    assert [*found.grades.random["skip"].values()] == pytest.approx(expected, abs=0.0006)
    assert found.raw == name.startswith("mslr")


def test_real_traps(data):
    third = look(read(data / "mq2007_agg/S3.txt"))
    assert third.grades.queries_all_equal == third.grades.queries_without_relevant + 1
    assert (third.null_rows, third.placeholders) == (225, 185)
    assert third.null == pytest.approx(0.35, abs=0.005)
    mslr = look(read(data / "mslr_tiny/search_tiny_train.txt"))
    assert mslr.smallest.value == pytest.approx(-71.7, abs=0.05)
    assert mslr.largest.value == pytest.approx(1.1e7, rel=0.01)
    trees = look(read(data / "lightgbm_lambdarank/rank.test"))
    assert (trees.features, trees.first_feature, trees.constant[0]) == (301, 0, 0)
    assert look(read(data / "letor_unlabelled/mq2008_fold1_vali_50q.npz")).grades is None
