"""The options of a push, and the questions that they stand for."""

from pathlib import Path

import pytest

from annotation.forms import FORMS
from annotation.pages import Question
from annotation.push import PushConfig, _check, _grades, _wanted, run
from annotation.store import Store, opened
from annotation.tasks import FIRST, Page, Task
from lrmovienet.errors import UserError
from lrmovienet.runner.local import run_once
from lrmovienet.schema import TABLES
from lrmovienet.workspace import Workspace


@pytest.fixture
def store(tmp_path: Path):
    store = Store(tmp_path / "annotation" / "store.sqlite")
    yield store
    store.close()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"annotators": []}, "--annotators"),
        ({"annotators": ["ann", ""]}, "--annotators ''"),
        ({"annotators": ["ann", "bob b"]}, "--annotators 'bob b'"),
        ({"annotators": ["ann", "b\tb"]}, "--annotators"),
        ({"annotators": ["ann", "b\u2003b"]}, "--annotators"),
        ({"annotators": ["ann", "b" * 41]}, "up to 40 letters"),
        ({"annotators": ["ann", "[red]b"]}, "--annotators '[red]b'"),
        ({"annotators": ["ann", ":cat:"]}, "--annotators ':cat:'"),
        ({"annotators": ["ann", "b/c"]}, "--annotators 'b/c'"),
        ({"annotators": ["ann", "bob\n"]}, "--annotators"),
        ({"annotators": ["ann", "b\u202eb"]}, "--annotators"),
        ({"annotators": ["ann", "bob", "Ann"]}, "twice"),
        ({"annotators": ["straße", "STRASSE"]}, "twice"),
        ({"annotators": ["ann", "ａｎｎ"]}, "twice"),
        ({"forget": ["cleo", "bob"]}, "bob: is to be asked and forgotten at once"),
        ({"clips": ["tt1_0"], "limit": 5}, "--clips and --limit"),
        ({"adjudicate": True, "gold": Path("g.csv")}, "--gold goes with the first round"),
        ({"form": "pairs", "adjudicate": True, "disputed": "any"}, "--disputed any"),
        ({"overlap": 0}, "--overlap 0: give 1 or more"),
        ({"overlap": 3}, "--overlap 3: there are 2 annotators"),
        ({"pairs_per_clip": 0}, "--pairs_per_clip 0"),
        ({"seed": -1}, "--seed -1: give 0 or more"),
        ({"limit": 0}, "--limit 0"),
        ({"gold_share": -0.01}, "--gold_share -0.01"),
        ({"gold_share": 0.51}, "--gold_share 0.51"),
        ({"gold_share": float("nan")}, "--gold_share nan"),
        ({"form": "screening", "gold": Path("g.csv")}, "--gold"),
        ({"form": "screening", "adjudicate": True}, "--adjudicate"),
        ({"form": "screening", "preannotations": Path("g.csv")}, "--preannotations"),
        ({"form": "pairs", "gold": Path("g.csv")}, "--gold"),
        ({"form": "pairs", "preannotations": Path("g.csv")}, "--preannotations"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused_by_its_name(given, said):
    with pytest.raises(UserError) as error:
        _check(PushConfig(**{"annotators": ["ann", "bob"], **given}))
    assert said in str(error.value)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"overlap": 1, "limit": 1, "pairs_per_clip": 1, "seed": 2**70},
        {"gold_share": 0, "gold": Path("g.csv"), "preannotations": Path("p.csv")},
        {"gold_share": 0.5, "adjudicate": True, "disputed": "any"},
        {"clips": ["tt1_0"], "forget": ["cleo"]},
        {"form": "pairs", "adjudicate": True},
        {"annotators": ["أحمد", "b" * 40]},
        {"annotators": ["José", "ann.b-c_d@e+f.org"]},
        {"annotators": ["ann", "अमित"]},  # its vowels are marks, no letters by themselves
        {"annotators": ["ann", "Jose\u0301"]},
    ],
)
def test_options_at_their_limits_are_taken(given):
    _check(PushConfig(**{"annotators": ["ann", "bob"], **given}))


@pytest.mark.service
def test_the_longest_name_that_is_taken_is_taken_by_the_server_too(studio, workspace):
    """Its titles of projects have at most 50 characters."""
    config = PushConfig(
        workspace=workspace, form="screening", annotators=["b" * 40], overlap=1, limit=1,
        pictures=False, **studio.options(),
    )  # fmt: skip
    run(config)
    with opened(Workspace(workspace)) as store:
        (project,) = store.projects()
        assert [task.on_server is not None for task in store.tasks(project)] == [True, True]


def test_grades_are_read_by_labels_as_candidates_have_them(tmp_path):
    path = tmp_path / "gold.csv"
    path.write_text("clip_id,label,grade\nc1,Horse  Riding,2\nc1,hill,0\nc2,hill,1\n")
    assert _grades(path, "gold") == {
        ("c1", "horse riding"): 2,
        ("c1", "hill"): 0,
        ("c2", "hill"): 1,
    }
    path.write_text("clip_id,label,grade\nc1,hill,3\n")
    with pytest.raises(UserError, match=r"^--gold: ") as error:
        _grades(path, "gold")
    assert "gold.csv" in str(error.value)


def asked(corpus: Path, store: Store, **more: object) -> dict[str, list[Question]]:
    """The questions that options stand for, from the tables of a workspace."""
    workspace, config = (
        Workspace(corpus),
        PushConfig(annotators=["ann", "bob"], workspace=corpus, **more),
    )
    rows = {row["clip_id"]: row for row in workspace.read("clips").to_pylist()}
    return _wanted(config, workspace, FORMS[config.form], store, rows)


def test_a_larger_limit_adds_clips_to_a_smaller(corpus, store):
    all_of_them = list(asked(corpus, store))
    assert sorted(all_of_them) == sorted(Workspace(corpus).read("clips")["clip_id"].to_pylist())
    assert all_of_them != sorted(all_of_them)
    for limit in (1, 5, 12, 24, 100):
        assert list(asked(corpus, store, limit=limit)) == all_of_them[:limit]
    assert list(asked(corpus, store, seed=1, limit=5)) != all_of_them[:5]


def test_clips_are_asked_about_by_their_candidates(corpus, store):
    rows = Workspace(corpus).read("candidates").to_pylist()
    clip_id = rows[0]["clip_id"]
    labels = [row["label"] for row in sorted(rows, key=lambda row: row["position"])
              if row["clip_id"] == clip_id]  # fmt: skip
    assert asked(corpus, store, clips=[clip_id]) == {clip_id: [(label,) for label in labels]}
    (pairs,) = asked(corpus, store, clips=[clip_id], form="pairs", pairs_per_clip=7).values()
    assert len(pairs) == 7
    assert {label for pair in pairs for label in pair} <= set(labels)


def test_a_clip_that_is_not_there_is_refused(corpus, store):
    with pytest.raises(UserError, match="no clip 'tt1'"):
        asked(corpus, store, clips=["tt1"])


def first_asked(store: Store, name: str) -> None:
    project = store.project("grading", FIRST, name, "1", True, "http://s")
    page = Page(f"uid {name}", "grading", FIRST, "tt1", (("horse",),))
    store.plan([page], [Task(project.id, page.uid, 0, page.questions, (None,), None)])
    store.found_tasks(project, {page.uid: 1})


@pytest.mark.parametrize("was", ["bob", "Bob", "ＢＯＢ"])
def test_the_last_word_has_somebody_who_was_not_asked_before(corpus, store, was):
    first_asked(store, was)
    with pytest.raises(UserError, match=r"^bob was asked in the first round"):
        asked(corpus, store, adjudicate=True)


def test_who_was_asked_nothing_may_have_the_last_word(corpus, store):
    """Or was asked another form."""
    store.project("grading", FIRST, "bob", "1", True, "http://s")
    store.project("screening", FIRST, "ann", "1", True, "http://s")
    first_asked(store, "cleo")
    with pytest.raises(UserError, match="ratings"):  # past the names: nothing was pulled yet
        asked(corpus, store, adjudicate=True)


def screened(workspace: Workspace) -> set[tuple[str, str]]:
    """Keep the first three candidates of each clip."""
    rows = [row for row in workspace.read("candidates").to_pylist() if row["position"] < 3]
    columns = {column.name: [row.get(column.name) for row in rows]
               for column in TABLES["screened"].columns}  # fmt: skip
    run_once(
        workspace, "screened", lambda: {**columns, "drop_reason": [None] * len(rows)},
        version="1", inputs={"candidates": workspace.require("candidates").digest}, config={},
    )  # fmt: skip
    return {(row["clip_id"], row["label"]) for row in rows}


def test_screening_asks_about_candidates_and_grading_about_what_is_left(workspace, store):
    left = screened(Workspace(workspace))
    graded = asked(workspace, store)
    assert {(clip, label) for clip, some in graded.items() for (label,) in some} == left
    rows = Workspace(workspace).read("candidates").to_pylist()
    again = asked(workspace, store, form="screening")
    found = {(clip, label) for clip, some in again.items() for (label,) in some}
    assert found == {(row["clip_id"], row["label"]) for row in rows} > left


def test_what_was_screened_before_candidates_were_made_anew_is_refused(workspace, store):
    at = Workspace(workspace)
    screened(at)
    rows = at.read("candidates").to_pylist()[:-1]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    run_once(
        at, "candidates", lambda: {**columns, "drop_reason": [None] * len(rows)},
        version="2", inputs={}, config={},
    )  # fmt: skip
    for form in ("grading", "pairs"):
        with pytest.raises(UserError, match="candidates were made anew since") as error:
            asked(workspace, store, form=form)
        assert "lrmovienet aggregate" in str(error.value)
    assert asked(workspace, store, form="screening")
