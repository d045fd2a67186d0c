"""`annotate agreement`: the report by hand, as JSON and as text."""

import json
from collections.abc import Iterable
from pathlib import Path

import krippendorff
import numpy as np
import pytest
from rich.console import Console
from sklearn.metrics import cohen_kappa_score

from annotation.agreement import ONE_CLIP, ONE_RATING, ONE_VALUE
from annotation.relevance import ADJUDICATION
from annotation.report import NO_INTERVAL, AgreementConfig, measure, run, show
from annotation.store import opened
from annotation.tasks import Page
from lrmovienet.cli import main
from lrmovienet.errors import UserError
from lrmovienet.runner.local import run_once
from lrmovienet.schema import TABLES
from lrmovienet.workspace import Workspace

COMMON = {"lead_time_s": None, "created_at": None, "guidelines_version": "1", "position": None}


def put(workspace: Workspace, table: str, rows: list[dict]) -> None:
    names = rows[0] if rows else TABLES[table].schema.names
    columns = {name: [row[name] for row in rows] for name in names}
    run_once(
        workspace, table, lambda: columns, version="pull-1", inputs={"n": repr(rows)}, config={}
    )


def rating(clip_id: str, label: str, annotator: str, grade: int, **more: object) -> dict:
    return {**COMMON, "clip_id": clip_id, "label": label, "annotator": annotator, "grade": grade,
            "project": "grading", "preannotated": False, **more}  # fmt: skip


def grades(**of_person: str) -> list[dict]:
    """One text a person, one letter a label of clips c0, c0, c1, c1, …; a dot where nothing is."""
    return [
        rating(f"c{i // 2}", f"l{i}", name, int(letter))
        for name, text in of_person.items()
        for i, letter in enumerate(text)
        if letter != "."
    ]


def clip(clip_id: str, *genres: str) -> dict:
    return {
        "clip_id": clip_id, "movie_id": "m", "title": None, "genres": list(genres),
        "description": "A scene.", "shot": [0, 1], "frame": [0, 9], "start_s": None, "end_s": None,
        "keyframes": [{"ref": "m/shot_0000_img_0.jpg", "sha256": "0" * 64}],
    }  # fmt: skip


def candidate(clip_id: str, label: str, position: int, *kinds: str) -> dict:
    sources = [{"kind": kind, "model": "m", "score": None} for kind in kinds]
    return {"clip_id": clip_id, "label": label, "position": position, "sources": sources}


def report_of(root: Path, rows: list[dict]) -> dict:
    put(Workspace(root), "ratings", rows)
    return measure(Workspace(root), AgreementConfig(root, resamples=200))["grading"]


def shown(report: dict, capsys: pytest.CaptureFixture) -> str:
    """What is printed of a report."""
    show(Console(width=200, emoji=False), report)
    return capsys.readouterr().out


def line_of(begin: str, root: Path, capsys: pytest.CaptureFixture) -> str:
    """The first line that begins so, of what is printed of a workspace."""
    said = shown(measure(Workspace(root), AgreementConfig(root, resamples=100)), capsys)
    return next(line.strip() for line in said.splitlines() if line.strip().startswith(begin))


def other_alpha(*people: str) -> float:
    table = [[float(x) if x != "." else np.nan for x in text] for text in people]
    return krippendorff.alpha(
        reliability_data=np.array(table), value_domain=range(3), level_of_measurement="ordinal"
    )


ANN, BOB, CLEO = "0012210121", "0112.20122", ".01.210.10"


def test_the_whole_is_the_alpha_of_all_first_ratings(tmp_path):
    rows = grades(ann=ANN, bob=BOB, cleo=CLEO)
    rows += [rating("c0", "l1", "judge", 2, project=ADJUDICATION, guidelines_version="2")]
    found = report_of(tmp_path, rows)
    assert found["alpha"]["value"] == pytest.approx(other_alpha(ANN, BOB, CLEO), abs=1e-9)
    assert (found["alpha"]["units"], found["alpha"]["clips"]) == (10, 5)
    assert (found["ratings"], found["labels"], found["clips"]) == (26, 10, 5)
    assert found["guidelines"] == ["1", "2"]


def test_what_an_adjudicator_settled_is_settled(tmp_path):
    # Far: l0 (0 and 2), l1 (all three). Not unanimous: l3 as well. Adjudicated: l1 and l3.
    rows = grades(ann="0012", bob="2112", cleo=".211")
    rows += [rating("c0", "l1", "judge", 1, project=ADJUDICATION),
             rating("c1", "l3", "judge", 2, project=ADJUDICATION)]  # fmt: skip
    found = report_of(tmp_path, rows)
    assert found["disputed"] == {
        "labels_rated_twice_or_more": 4, "not_unanimous": 3, "far_apart": 2,
        "far_apart_and_adjudicated": 1,
    }  # fmt: skip
    assert found["alpha"]["value"] == pytest.approx(other_alpha("0012", "2112", ".211"), abs=1e-9)
    after = found["alpha_after_adjudication"]["value"]
    assert after == pytest.approx(other_alpha("0112", "2112", ".112"), abs=1e-9)
    # ann is right on l3 and one off on l1, bob on both, cleo on neither: 1 off twice.
    people = found["annotators"]
    assert [people[name]["adjudicated"] for name in ("ann", "bob", "cleo")] == [
        {"n": 2, "right": 1, "one_off": 1, "far": 0},
        {"n": 2, "right": 2, "one_off": 0, "far": 0},
        {"n": 2, "right": 0, "one_off": 2, "far": 0},
    ]
    assert "judge" not in people


def test_after_adjudication_is_of_the_data_and_has_no_interval(tmp_path, capsys):
    """An interval would be read as one of people, of whom what was overruled says nothing."""
    rows = [*grades(ann=ANN, bob=BOB), rating("c2", "l5", "judge", 0, project=ADJUDICATION)]
    after = report_of(tmp_path, rows)["alpha_after_adjudication"]
    assert (after["low"], after["high"], after["why"]) == (None, None, NO_INTERVAL)
    settled = (ANN[:5] + "0" + ANN[6:], BOB[:5] + "0" + BOB[6:])
    assert after["value"] == pytest.approx(other_alpha(*settled), abs=1e-9)
    line = line_of("after adjudication", tmp_path, capsys)
    assert f"{after['value']:.3f} {NO_INTERVAL} " in line
    assert "[" not in line


def test_a_last_word_that_leaves_nothing_to_differ_on_says_so(tmp_path, capsys):
    rows = [*grades(ann="11", bob="12"), rating("c0", "l1", "judge", 1, project=ADJUDICATION)]
    after = report_of(tmp_path, rows)["alpha_after_adjudication"]
    assert (after["value"], after["low"], after["high"]) == (None, None, None)
    assert after["why"] == ONE_VALUE
    assert NO_INTERVAL not in line_of("after adjudication", tmp_path, capsys)


def test_without_a_last_word_there_is_no_after(tmp_path):
    assert "alpha_after_adjudication" not in report_of(tmp_path, grades(ann="01", bob="02"))


def test_people_by_hand(tmp_path):
    rows = grades(ann="0122", bob="00.1", cleo="....")
    for row, seconds in zip(rows, (2.0, None, 4.0, 10.0, 1.0, 1.0, 1.0), strict=True):
        row["lead_time_s"] = seconds
    found = report_of(tmp_path, rows)["annotators"]
    assert list(found) == ["ann", "bob"]
    ann = found["ann"]
    assert ann["grades"] == {"low": 1, "medium": 1, "high": 2}
    assert (ann["ratings"], ann["bias_rests_on"]) == (4, 3)
    assert ann["bias"] == pytest.approx((0 + 1 + 1) / 3, abs=1e-12)
    assert found["bob"]["bias"] == pytest.approx(-2 / 3, abs=1e-12)
    # Of 2, 4 and 10 s the longest is cut at 4 + 0.9 * 6. Of the fourth rating nothing is known: it
    # adds no time.
    assert ann["seconds_a_label_median"] == 4.0
    assert ann["hours"] == pytest.approx((2 + 4 + 9.4) / 3600, abs=1e-12)
    assert found["bob"]["hours"] == pytest.approx(3 / 3600, abs=1e-12)


def test_where_no_time_is_known_no_hours_are_told(tmp_path, capsys):
    found = report_of(tmp_path, grades(ann="01", bob="02"))["annotators"]["ann"]
    assert (found["seconds_a_label_median"], found["hours"]) == (None, None)
    assert line_of("ann ", tmp_path, capsys).split()[:5] == ["ann", "2", "-0.50", "–", "–"]


def test_kappas_of_each_two(tmp_path):
    found = report_of(tmp_path, grades(ann=ANN, bob=BOB, cleo=CLEO, dan="1" + "." * 9))
    pairs = {(p["a"], p["b"]): p for p in found["pairs_of_annotators"]}
    assert list(pairs) == [("ann", "bob"), ("ann", "cleo"), ("ann", "dan"), ("bob", "cleo"),
                           ("bob", "dan"), ("cleo", "dan")]  # fmt: skip
    for (a, b), texts in ((("ann", "bob"), (ANN, BOB)), (("bob", "cleo"), (BOB, CLEO))):
        both = [(x, y) for x, y in zip(*texts, strict=True) if "." not in (x, y)]
        assert pairs[a, b]["labels"] == len(both)
        assert pairs[a, b]["same"] == sum(x == y for x, y in both)
        assert pairs[a, b]["weighted_kappa"] == pytest.approx(
            cohen_kappa_score(*zip(*both, strict=True), labels=list("012"), weights="quadratic"),
            abs=1e-9,
        )
        assert "why" not in pairs[a, b]
    assert pairs["cleo", "dan"]["weighted_kappa"] is None
    assert pairs["cleo", "dan"]["why"] == "undefined: no label was graded by both"


def test_the_same_grade_throughout_has_no_kappa(tmp_path):
    (pair,) = report_of(tmp_path, grades(ann="110", bob="11."))["pairs_of_annotators"]
    assert (pair["labels"], pair["same"], pair["weighted_kappa"]) == (2, 2, None)
    assert pair["why"] == "undefined: both gave one and the same grade throughout"


def test_genres_sources_and_suggestions_by_hand(tmp_path):
    workspace = Workspace(tmp_path)
    put(workspace, "clips", [clip("c0", "Drama", "War"), clip("c1", "War"), clip("c2")])
    put(workspace, "candidates", [
        candidate("c0", "l0", 0, "image", "event", "event"), candidate("c0", "l1", 1, "image"),
        candidate("c1", "l2", 0, "event"), candidate("c1", "typo", 1, "entity"),
    ])  # fmt: skip
    put(workspace, "screened", [candidate("c1", "l3", 1, "entity")])  # as screening corrected it
    rows = grades(ann="0122012", bob="0221011")
    for row in rows:
        row["preannotated"] = {"l1": True, "l2": True, "l5": None}.get(row["label"], False)
    found = report_of(tmp_path, rows)

    def expected(*labels: int) -> float:
        return other_alpha(*("".join(text[i] for i in labels) for text in ("0122012", "0221011")))

    for name, groups in (
        ("by_genre", {"Drama": (0, 1), "War": (0, 1, 2, 3), "no genre": (4, 5, 6)}),
        ("by_source", {"image": (0, 1), "event": (0, 2), "entity": (3,), "unknown": (4, 5, 6)}),
        ("by_suggestion", {"suggestion shown": (1, 2), "no suggestion": (0, 3, 4, 5, 6)}),
    ):
        assert set(found[name]) == set(groups)
        for group, labels in groups.items():
            assert found[name][group]["units"] == len(labels)
            assert found[name][group]["value"] == pytest.approx(expected(*labels), abs=1e-9)


def test_without_suggestions_nothing_is_said_of_them(tmp_path):
    assert "by_suggestion" not in report_of(tmp_path, grades(ann="01", bob="01"))


def test_gold_counts_where_it_was_asked_as_gold(tmp_path):
    workspace = Workspace(tmp_path)
    with opened(workspace, make=True) as store:
        asked = Page("u", "grading", "first", "c0", (("l0",), ("l1",)), gold=True)
        openly = Page("v", "grading", "first", "c1", (("l2",),))
        store.plan([asked, openly], [])
        store.add_gold({("c0", "l0"): 2, ("c0", "l1"): 0, ("c1", "l2"): 1, ("c9", "l9"): 1})
    found = report_of(tmp_path, grades(ann="200", bob="01.", cleo="..1"))["annotators"]
    assert [found[name]["gold"] for name in ("ann", "bob", "cleo")] == [
        {"n": 2, "right": 2, "one_off": 0, "far": 0},
        {"n": 2, "right": 0, "one_off": 1, "far": 1},
        {"n": 0, "right": 0, "one_off": 0, "far": 0},
    ]


# Pairs and screening.


def choices(annotator: str, *said: tuple[str, str, str], project: str = "pairs") -> list[dict]:
    return [
        {**COMMON, "clip_id": "c", "label_a": a, "label_b": b, "annotator": annotator,
         "choice": choice, "project": project}
        for a, b, choice in said
    ]  # fmt: skip


PAIRS = (
    choices("ann", ("x", "y", "a"), ("x", "z", "tie"), ("y", "z", "b"), ("z", "w", "skip"))
    + choices("bob", ("y", "x", "b"), ("z", "x", "a"), ("y", "z", "b"), ("z", "w", "a"))
)  # fmt: skip


def nominal(root: Path) -> dict:
    return measure(Workspace(root), AgreementConfig(root, resamples=100))["pairs"]["alpha"]


def test_alpha_of_pairs_is_nominal_whatever_was_shown_first(tmp_path):
    """x over y by both, tie against z over x, z over y by both; a skip is no judgement."""
    put(Workspace(tmp_path), "pair_ratings", PAIRS)
    found = nominal(tmp_path)
    other = krippendorff.alpha(
        reliability_data=np.array([[0.0, 2, 1], [0, 1, 1]]),
        value_domain=range(3),
        level_of_measurement="nominal",
    )
    assert found["value"] == pytest.approx(other, abs=1e-9)
    assert (found["units"], found["why"]) == (3, ONE_CLIP)


def test_the_last_word_on_pairs_is_no_agreement(tmp_path):
    """An adjudicator sees only what is disputed: asked about agreement, they would lower it."""
    put(Workspace(tmp_path), "pair_ratings", PAIRS)
    before = nominal(tmp_path)
    last = choices("judge", ("x", "z", "b"), project="pairs-adjudication")
    put(Workspace(tmp_path), "pair_ratings", PAIRS + last)
    assert nominal(tmp_path) == before


def test_alpha_of_screening(tmp_path):
    said = {"ann": ("keep", "drop", "correct", "keep"), "bob": ("keep", "keep", "correct", "keep")}
    rows = [
        {**COMMON, "clip_id": f"c{i}", "label": "x", "annotator": name, "verdict": verdict,
         "correction": "y" if verdict == "correct" else None, "project": "screening"}
        for name, verdicts in said.items()
        for i, verdict in enumerate(verdicts)
    ]  # fmt: skip
    put(Workspace(tmp_path), "screenings", rows)
    found = measure(Workspace(tmp_path), AgreementConfig(tmp_path, resamples=100))
    assert set(found) == {"resamples", "seed", "made_from", "screening"}
    # 8 values: 5 keep, 1 drop, 2 correct; 2 disagree. 1 - 7 * 2 / (64 - 25 - 1 - 4).
    assert found["screening"]["alpha"]["value"] == pytest.approx(1 - 14 / 34, abs=1e-12)
    assert found["screening"]["alpha"]["clips"] == 4


# What is written.


def of_one_label(annotators: Iterable[str]) -> list[dict]:
    return [rating("c", "dog", name, i % 3) for i, name in enumerate(annotators)]


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (grades(ann=ANN, bob=BOB, cleo=CLEO), None),
        (grades(ann="0011", bob="...."), ONE_RATING),
        (grades(ann="1111", bob="1111"), ONE_VALUE),
        (grades(ann="01", bob="02"), ONE_CLIP),
        (of_one_label(f"p{i:02d}" for i in range(30)), ONE_CLIP),
        ([rating("c", "dog", "judge", 1, project=ADJUDICATION)], ONE_RATING),
        ([], ONE_RATING),  # pulled before anybody answered
    ],
)
def test_any_ratings_make_a_report_without_nan(rows, why, tmp_path, capsys):
    put(Workspace(tmp_path), "ratings", rows)
    report = measure(Workspace(tmp_path), AgreementConfig(tmp_path, resamples=100))
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    alpha = report["grading"]["alpha"]
    assert alpha.get("why") == why
    assert (why or f"{alpha['value']:.3f} [{alpha['low']:.3f}, ") in shown(report, capsys)


@pytest.mark.parametrize(
    "name", ["[/]", "[/red]", "[bold]", "[red]ann[/red]", "[link=x]", ":smile:"]
)
def test_a_name_is_shown_as_it_is(name, tmp_path, capsys):
    """Names of people and genres are texts, not marks for the terminal."""
    workspace = Workspace(tmp_path)
    put(workspace, "clips", [clip("c0", f"genre{name}")])
    put(workspace, "ratings", grades(**{name: "01", "bob": "01"}))
    said = shown(measure(workspace, AgreementConfig(tmp_path, resamples=100)), capsys)
    assert f"genre{name}" in said
    rows = [line for line in said.splitlines() if line.split()[:1] == [name]]
    assert len(rows) == 2, "among the annotators, and as one of two"


def test_the_same_ratings_are_the_same_files(tmp_path):
    rows = grades(ann=ANN, bob=BOB, cleo=CLEO)
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder, some in zip(folders, (rows, rows[::-1]), strict=True):
        put(Workspace(folder), "ratings", some)
        run(AgreementConfig(folder, resamples=100))
    first, second = ((f / "annotation" / "agreement.png").read_bytes() for f in folders)
    assert first == second
    one, other = (json.loads((f / "annotation" / "agreement.json").read_bytes()) for f in folders)
    # Another order of rows is another table, and the report says which it was made from.
    assert one.pop("made_from") != other.pop("made_from")
    assert one == other


def test_out_is_where_it_goes_and_the_picture_is_of_grading_alone(tmp_path, capsys):
    put(Workspace(tmp_path / "w"), "pair_ratings", PAIRS)
    run(AgreementConfig(tmp_path / "w", resamples=100, out=tmp_path / "o"))
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["agreement.json"]
    assert not (tmp_path / "w" / "annotation").exists()
    assert "pairs: nominal alpha 0." in capsys.readouterr().out


def test_nobody_said_anything_yet(tmp_path):
    with pytest.raises(UserError, match="no table 'ratings' here yet"):
        measure(Workspace(tmp_path), AgreementConfig(tmp_path))


@pytest.mark.parametrize("wrong", [["--resamples", "99"], ["--seed", "-1"], ["--resamples", "x"]])
def test_wrong_options_end_in_one_message(wrong, tmp_path, capsys):
    put(Workspace(tmp_path), "ratings", grades(ann="01", bob="02"))
    try:
        code = main(["annotate", "agreement", "--workspace", str(tmp_path), *wrong])
    except SystemExit as left:
        code = left.code
    err = capsys.readouterr().err
    assert code == 2
    assert wrong[0] in err
    assert "Traceback" not in err
    assert not (tmp_path / "annotation").exists()
