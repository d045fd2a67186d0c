"""`annotate plan`: hours and cost by hand."""

import re

import pytest

from annotation.plan import STATED, PlanConfig, run
from lrmovienet.cli import main
from lrmovienet.runner.local import run_once
from lrmovienet.workspace import Workspace

COMMON = {"created_at": None, "guidelines_version": "1", "position": None}


def put(workspace: Workspace, table: str, rows: list[dict], version: str = "1") -> None:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    run_once(workspace, table, lambda: columns, version=version, inputs={}, config={})


def candidates(*counts: int) -> list[dict]:
    """As many labels of clips c0, c1, …"""
    source = {"kind": "event", "model": "m", "score": None}
    return [
        {"clip_id": f"c{clip}", "label": f"label {i}", "position": i, "sources": [source]}
        for clip, n in enumerate(counts)
        for i in range(n)
    ]


@pytest.fixture
def workspace(tmp_path):
    """25 labels of one clip and 5 of another: three pages of at most 20."""
    workspace = Workspace(tmp_path)
    put(workspace, "candidates", candidates(25, 5))
    return workspace


@pytest.fixture
def plan(workspace, capsys):
    """What is printed, in one line."""

    def printed(**options: object) -> str:
        run(PlanConfig(workspace.root, **options))
        return " ".join(capsys.readouterr().out.split())

    return printed


def test_hours_and_cost_by_hand(plan):
    """30 labels asked of two are 60 answers on 6 pages, 2 an annotator. Half of all pages are gold:
    2 more each, of 10 labels as the others: 120 answers, 12 pages. 120 at 0.1 h, 12 at 1 h: 24 h.
    """
    said = plan(gold_share=0.5, seconds_per_question=360, seconds_per_page=3600, wage=12.5)
    assert "2 clips, 30 questions on 3 pages; each asked of 2 of 3 annotators" in said
    assert "120 answers on 12 pages, of them 2 gold pages an annotator" in said
    assert "360.0 s a question and 3600 s a page (as given)" in said
    assert said.endswith("24.0 hours, 8.0 an annotator, 300 at 12.5 an hour")


def test_without_gold_and_wage(plan):
    said = plan(gold_share=0.0, annotators=4, seconds_per_question=3600, seconds_per_page=0)
    assert "60 answers on 6 pages, of them 0 gold pages an annotator" in said
    assert said.endswith("60.0 hours, 15.0 an annotator")


@pytest.mark.parametrize(
    ("form", "asked"),
    [
        # 20 of the 300 pairs of 25 labels, on two pages of 14; all 10 pairs of five, on one.
        ("pairs", "2 clips, 30 questions on 3 pages; each asked of 2 of 3 annotators"),
        ("screening", "2 clips, 30 questions on 3 pages; each asked of 2 of 3 annotators"),
    ],
)
def test_other_forms_have_no_gold_and_their_own_guesses(plan, form, asked):
    said = plan(form=form, gold_share=0.5)
    assert asked in said
    assert "60 answers on 6 pages, of them 0 gold pages" in said
    question, page = STATED[form]
    assert f"{question:.1f} s a question and {page:.0f} s a page (guessed" in said
    assert f"{(60 * question + 6 * page) / 3600:.1f} hours" in said


def test_pairs_and_clips_have_their_limits(plan):
    assert "2 clips, 6 questions on 2 pages" in plan(form="pairs", pairs_per_clip=3)
    assert "1 clips, 25 questions on 2 pages" in plan(limit=1)
    assert "2 clips, 30 questions on 3 pages" in plan(limit=9)


def test_what_screening_left_is_what_is_asked(workspace, plan):
    put(workspace, "screened", candidates(4, 0))
    assert "1 clips, 4 questions on 1 pages" in plan()


def measured(workspace: Workspace, times: list[float | None], version: str = "pull-1") -> None:
    put(workspace, "ratings", [
        {**COMMON, "clip_id": "c0", "label": f"label {i}", "annotator": "ann", "grade": 1,
         "project": "grading", "preannotated": False, "lead_time_s": time}
        for i, time in enumerate(times)
    ], version)  # fmt: skip


def test_a_measured_median_takes_the_place_of_guesses(workspace, plan):
    """Reading and looking are in it: a page takes nothing besides."""
    measured(workspace, [36.0, 30.0, 9000.0])
    said = plan(gold_share=0.0)
    assert "36.0 s a question and 0 s a page (median of 3 answers measured here)" in said
    assert said.endswith("0.6 hours, 0.2 an annotator")
    # Of another form nothing was measured.
    assert "guessed" in plan(form="pairs")
    # A time that is given is not mixed with what was measured, which holds both.
    one = plan(seconds_per_question=7)
    assert "7.0 s a question and 20 s a page (as given, the other guessed)" in one
    both = plan(seconds_per_question=7, seconds_per_page=0)
    assert "7.0 s a question and 0 s a page (as given)" in both


def test_answers_without_a_time_are_not_counted_as_measured(workspace, plan):
    measured(workspace, [36.0, None, 30.0, None])
    assert "33.0 s a question and 0 s a page (median of 2 answers" in plan()


@pytest.mark.parametrize(("times", "version"), [([1.0, 2.0], "synth-1"), ([None, None], "pull-1")])
def test_generated_or_missing_times_measure_nothing(workspace, plan, times, version):
    measured(workspace, times, version)
    assert "3.0 s a question and 20 s a page (guessed" in plan()


def test_no_candidates_need_no_hours(tmp_path, capsys):
    columns = {"clip_id": [], "label": [], "position": [], "sources": []}
    run_once(Workspace(tmp_path), "candidates", lambda: columns, version="1", inputs={}, config={})
    run(PlanConfig(tmp_path))
    assert "0.0 hours, 0.0 an annotator" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["--annotators", "0"],
        ["--annotators", "two"],
        ["--overlap", "0"],
        ["--overlap", "4"],  # of three annotators
        ["--limit", "0"],
        ["--pairs_per_clip", "0"],
        ["--gold_share", "0.6"],
        ["--gold_share", "-0.1"],
        ["--gold_share", "nan"],
        ["--seconds_per_question", "-1"],
        ["--seconds_per_page", "inf"],
        ["--wage", "nan"],
        ["--form", "ranking"],
        ["--colour", "red"],
    ],
)
def test_a_wrong_option_ends_in_one_message_and_code_2(words, workspace, capsys):
    try:
        code = main(["annotate", "plan", "--workspace", str(workspace.root), *words])
    except SystemExit as left:
        code = left.code
    said = capsys.readouterr()
    assert code == 2
    assert words[0] in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


def test_nothing_to_ask_yet(tmp_path, capsys):
    assert main(["annotate", "plan", "--workspace", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert re.search(r"no table 'candidates' here yet. Run first: lrmovienet merge", said)
