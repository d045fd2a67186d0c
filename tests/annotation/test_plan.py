"""`annotate plan`: hours and cost by hand, and the same questions as `annotate push` asks."""

import re

import pytest

from annotation import handout
from annotation.forms import FORMS
from annotation.pages import new_pages
from annotation.plan import STATED, PlanConfig, run
from annotation.push import PushConfig, _wanted
from annotation.store import opened
from annotation.tasks import FIRST
from lrmovienet.cli import main
from lrmovienet.runner.local import run_once
from lrmovienet.workspace import Workspace

COMMON = {"created_at": None, "guidelines_version": "1", "position": None}


def put(workspace: Workspace, table: str, rows: list[dict], version: str = "1") -> None:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    made_of = workspace.manifest("candidates") if table == "screened" else None
    inputs = {"candidates": made_of.digest} if made_of else {}
    run_once(workspace, table, lambda: columns, version=version, inputs=inputs, config={})


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
    """30 labels asked of two are 60 answers on 6 pages: 60 at 0.1 h and 6 at 1 h are 12 h."""
    said = plan(seconds_per_question=360, seconds_per_page=3600, wage=12.5)
    assert "2 clips, 30 questions on 3 pages; each asked of 2 of 3 annotators" in said
    assert "60 answers on 6 pages 360.0 s a question and 3600 s a page (as given)" in said
    assert said.endswith("12.0 hours, 4.0 an annotator, 150 at 12.5 an hour")


def test_without_gold_and_wage_neither_is_spoken_of(plan):
    said = plan(annotators=4, seconds_per_question=3600, seconds_per_page=0)
    assert "60 answers on 6 pages 3600.0 s a question" in said
    assert "gold" not in said
    assert said.endswith("60.0 hours, 15.0 an annotator")


@pytest.mark.parametrize("form", ["pairs", "screening"])
def test_other_forms_have_no_gold_and_their_own_guesses(plan, form):
    """25 labels, or as many pairs, are two pages of either form, and five are one."""
    said = plan(form=form, gold_share=0.5)
    assert "2 clips, 30 questions on 3 pages; each asked of 2 of 3 annotators" in said
    assert "60 answers on 6 pages" in said
    assert "gold" not in said
    question, page = STATED[form]
    assert f"{question:.1f} s a question and {page:.0f} s a page (guessed" in said
    assert f"{(60 * question + 6 * page) / 3600:.1f} hours" in said


@pytest.mark.parametrize(
    ("number", "asked"),
    [
        (None, "2 clips, 11 questions on 2 pages"),  # 8 + 3, of 28 + 3 that there are
        (3, "2 clips, 6 questions on 2 pages"),
        (20, "2 clips, 23 questions on 3 pages"),
        (99, "2 clips, 31 questions on 3 pages"),
    ],
)
def test_as_many_pairs_as_labels_or_as_said(number, asked, tmp_path, capsys):
    put(Workspace(tmp_path), "candidates", candidates(8, 3))
    run(PlanConfig(tmp_path, form="pairs", pairs_per_clip=number))
    assert capsys.readouterr().out.startswith(asked)


def test_clips_have_their_limit(plan):
    assert plan(limit=1).startswith("1 clips, ")
    assert plan(limit=9).startswith("2 clips, 30 questions on 3 pages")


# The same as push.


@pytest.fixture
def powers(tmp_path):
    """Clips of 1, 2, 4, … 64 labels: the number of questions tells which of them are asked about.
    Screening left the first half of each clip's labels, and of the first nothing."""
    workspace = Workspace(tmp_path / "powers")
    put(workspace, "candidates", candidates(*(2**i for i in range(7))))
    put(workspace, "screened", candidates(*(2**i // 2 for i in range(7))))
    return workspace


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", [0, 7])
def test_plan_asks_what_push_asks(form, seed, powers, capsys):
    clips, sums = {f"c{i}": {} for i in range(7)}, []
    with opened(powers, make=True) as store:
        for limit in (1, 2, 3, 5, None):
            options = {"workspace": powers.root, "form": form, "limit": limit, "seed": seed}
            push = PushConfig(annotators=["ann", "bob", "cleo"], **options)
            wanted = _wanted(push, powers, FORMS[form], store, clips)
            pages = new_pages(FORMS[form], FIRST, [], wanted)
            sums.append(sum(map(len, wanted.values())))
            run(PlanConfig(**options))
            assert capsys.readouterr().out.startswith(
                f"{len(wanted)} clips, {sums[-1]} questions on {len(pages)} pages;"
            )
    assert sums == sorted(set(sums)), "a higher limit asks more"


def test_another_seed_is_of_other_clips(powers, capsys):
    """Of three clips of seven there are 35 choices; the number of questions tells them apart."""
    asked = set()
    for seed in range(12):
        run(PlanConfig(powers.root, limit=3, seed=seed))
        asked.add(capsys.readouterr().out.split(" questions")[0])
    assert len(asked) > 4


def test_gold_takes_what_it_takes_when_it_is_handed_out(tmp_path, capsys):
    """40 clips of a page each, of four people two each: 20 for everybody, so gold is one page. It
    is one of the 40: 39 pages of 10 go to two people, and one to all four."""
    workspace, names = Workspace(tmp_path), ["ann", "bob", "cleo", "dan"]
    rows = candidates(*[10] * 40)
    put(workspace, "candidates", rows)
    wanted: dict[str, list[tuple[str]]] = {}
    for row in rows:
        wanted.setdefault(row["clip_id"], []).append((row["label"],))
    with opened(workspace, make=True) as store:
        people = [store.project("grading", FIRST, n, "1", False, "http://s") for n in names]
        fresh = new_pages(FORMS["grading"], FIRST, [], wanted)
        gold = {(row["clip_id"], row["label"]): 1 for row in rows}
        fresh = handout.hide(store, people, fresh, gold, 2, 0.05, 0)
        handout.hand_out(store, people, fresh, 2, 0, {})
        tasks = [task for project in people for task in store.tasks(project)]
    assert (len(tasks), sum(len(task.questions) for task in tasks)) == (82, 820)
    run(PlanConfig(tmp_path, annotators=4, gold_share=0.05))
    said = capsys.readouterr().out
    assert "820 answers on 82 pages, gold pages of each annotator among them: 1" in said


# Measured times.


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
    said = plan()
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
        ["--seed", "-1"],  # which push refuses
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
