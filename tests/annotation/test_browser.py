"""The whole way with a person at the keyboard: push, annotate in a browser, pull, make tables.

The films are the demo's; the labels are written for these tests. LRMOVIENET_SCREENSHOTS=DIR keeps
the screenshots.
"""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from browser import CHROMIUM, Person, at_the_keyboard
from conftest import Running

from annotation import aggregate, pull, push, report
from annotation.forms import FORMS, GRADING, PAIRS, SCREENING
from annotation.results import results
from annotation.store import Store
from annotation.tasks import Project
from lrmovienet.ingest import IngestConfig
from lrmovienet.ingest import run as ingest
from lrmovienet.runner.local import run_once
from lrmovienet.workspace import Workspace

pytestmark = [
    pytest.mark.service,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}"),
]

DEMO = Path(__file__).parents[2] / "demo"
CLIP = "bigbuckbunny_0000"
LABELS = {
    "rabbit": 2, "waking up": 2, "burrow": 1, "yawning": 1, "stretching": 1, "sunny morning": 1,
    "hill": 1, "grass": 0, "sky": 0, "tree": 0, "paw": 0, "tiredness": 1, "gorilla": 0,
    "animal film": 0, "shading his eyes": 1, "meadow": 0, "fur": 0, "climbing out": 1,
    "<b>bold</b> & \"quoted\" $description": 0, "خرگوش 🐇": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's rabbit with twenty labels, among them hostile ones."""
    folder = tmp_path_factory.mktemp("footage")
    root, texts = folder / "w", folder / "descriptions.csv"
    head, *rows = (DEMO / "descriptions.csv").read_text().splitlines()
    texts.write_text("\n".join([head, *(row for row in rows if "bigbuckbunny" in row)]))
    ingest(
        IngestConfig(
            workspace=root, videos=[str(DEMO / "bigbuckbunny.mp4")],
            descriptions=[str(texts)], frames_per_clip=6,
        )
    )  # fmt: skip
    source = [{"kind": "entity", "model": "by hand", "score": None}]
    n = len(LABELS)
    columns = {
        "clip_id": [CLIP] * n, "label": list(LABELS), "position": list(range(n)),
        "sources": [source] * n,
    }  # fmt: skip
    run_once(
        Workspace(root), "candidates", lambda: columns, version="by hand", inputs={}, config={}
    )
    return root


def pushed(footage: Path, studio: Running, form: str, **options) -> dict[str, Project]:
    """Push the rabbit to ann and bob; their projects."""
    push.run(
        push.PushConfig(
            workspace=footage, form=form, annotators=["ann", "bob"], files=studio.files,
            **studio.options(), **options,
        )
    )  # fmt: skip
    store = Store(footage / "annotation" / "store.sqlite")
    return {p.annotator: p for p in store.projects() if p.form == form}


def shown_to(footage: Path, project: Project) -> list[list[tuple[str, ...]]]:
    """The questions of each of a project's pages, in the order in which they are asked."""
    tasks = Store(footage / "annotation" / "store.sqlite").tasks(project)
    return [list(task.questions) for task in tasks]


def by_api(footage: Path, studio: Running, project: Project, say) -> None:
    """Answer a project's pages as a program would."""
    sdk = studio.connect().sdk
    for task in Store(footage / "annotation" / "store.sqlite").tasks(project):
        given = {slot: say(question) for slot, question in enumerate(task.questions)}
        sdk.annotations.create(id=task.on_server, result=results(given), lead_time=30.0)


def picture(person: Person, name: str) -> None:
    """Keep a screenshot where the environment says so."""
    folder = os.environ.get("LRMOVIENET_SCREENSHOTS")
    if folder:
        person.page.screenshot(path=Path(folder) / f"annotation-{name}.png")


def table(footage: Path, name: str) -> list[dict]:
    return Workspace(footage).read(name).to_pylist()


def test_grading_by_keyboard_takes_one_key_a_label_and_one_to_submit(footage, studio):
    projects = pushed(footage, studio, "grading")
    [questions] = shown_to(footage, projects["ann"])
    assert sorted(label for (label,) in questions) == sorted(LABELS)
    with at_the_keyboard(studio) as ann:
        ann.open(projects["ann"].on_server)
        assert ann.asked() == [f"{i + 1}. {label}" for i, (label,) in enumerate(questions)]
        assert ann.page.locator("canvas").count(), "the frames are drawn"
        assert ann.out_of_sight() == 0, "twenty labels fit on a small laptop's screen"
        before = ann.scroll_positions()
        ann.answer(GRADING, [2 - LABELS[label] for (label,) in questions][:-1])
        ann.press("Control+Enter")
        ann.page.get_by_text("Number 20 has no answer yet.").wait_for()
        ann.press("Space")
        ann.page.get_by_text("Number 20 has no answer yet.").wait_for(state="hidden")
        assert ann.chosen() == 19
        assert ann.scroll_positions() == before
        picture(ann, "grading")
        ann.press(GRADING.key(19, 2 - LABELS[questions[-1][0]]).replace("shift+", "Shift+"))
        ann.submit()
        assert ann.keys == 21 + 2, "20 labels, submit, and two for the one that was forgotten"
        assert ann.hosts == {studio.url.removeprefix("http://")}
    by_api(footage, studio, projects["bob"], lambda q: str(max(LABELS[q[0]] - 1, 0)))
    pull.run(pull.PullConfig(workspace=footage, **studio.options()))
    rows = table(footage, "ratings")
    assert {(r["annotator"], r["label"]): r["grade"] for r in rows} == {
        **{("ann", label): grade for label, grade in LABELS.items()},
        **{("bob", label): max(grade - 1, 0) for label, grade in LABELS.items()},
    }
    assert {r["guidelines_version"] for r in rows} == {"1"}
    by_place = {r["position"]: r["label"] for r in rows if r["annotator"] == "ann"}
    assert [by_place[i] for i in range(20)] == [label for (label,) in questions]
    bobs = {r["position"]: r["label"] for r in rows if r["annotator"] == "bob"}
    assert bobs != by_place, "each annotator has an order of their own"
    report.run(report.AgreementConfig(workspace=footage))
    found = json.loads((footage / "annotation" / "agreement.json").read_text())["grading"]
    assert found["annotators"]["bob"]["bias"] == pytest.approx(-11 / 20)
    aggregate.run(aggregate.AggregateConfig(workspace=footage))
    grades = {r["label"]: r["grade"] for r in table(footage, "relevance")}
    assert grades == {label: max(grade - 1, 0) for label, grade in LABELS.items()}


def test_pairs_by_keyboard(footage, studio):
    projects = pushed(footage, studio, "pairs", pairs_per_clip=25, overlap=2)
    pages = shown_to(footage, projects["ann"])
    assert [len(page) for page in pages] == [12, 13]

    def say(question: tuple[str, ...]) -> int:
        first, second = (LABELS[label] for label in question)
        return 2 if first == second else 0 if first > second else 1

    with at_the_keyboard(studio) as ann:
        ann.open(projects["ann"].on_server)
        for number, page in enumerate(pages):
            texts = ann.page.locator(".lrm-slot .ant-radio-wrapper").all_text_contents()
            for label in {label for question in page for label in question}:
                assert any(text.replace("⁠", "").startswith(label) for text in texts), label
            assert ann.out_of_sight() == 0
            answers = [say(question) for question in page]
            if number == 0:
                answers[0] = 3  # skipped
            ann.answer(PAIRS, answers)
            assert ann.chosen() == len(page)
            if number == 0:
                picture(ann, "pairs")
            ann.submit()
            if number == 0:
                first = ann.page.locator(".lrm-slot .ant-radio-wrapper").first
                shown = pages[1][0][0].replace("$", "$⁠")
                ann.page.wait_for_function(
                    "([e, text]) => e.textContent.startsWith(text)",
                    arg=[first.element_handle(), shown],
                )
        assert ann.keys == 25 + 2
    codes = ("a", "b", "tie")
    by_api(footage, studio, projects["bob"], lambda q: codes[say(q)])
    pull.run(pull.PullConfig(workspace=footage, **studio.options()))
    rows = table(footage, "pair_ratings")
    assert Counter(r["annotator"] for r in rows) == {"ann": 25, "bob": 25}
    for row in rows:
        expected = codes[say((row["label_a"], row["label_b"]))]
        first = (row["label_a"], row["label_b"]) == pages[0][0] and row["annotator"] == "ann"
        assert row["choice"] == ("skip" if first else expected)
    aggregate.run(aggregate.AggregateConfig(workspace=footage))
    for row in table(footage, "preferences"):
        assert LABELS[row["better"]] > LABELS[row["worse"]]
    strengths = {r["label"]: r["strength"] for r in table(footage, "strengths")}
    assert set(strengths) == set(LABELS)
    assert strengths["rabbit"] > strengths["sky"]


def test_screening_by_keyboard(footage, studio):
    projects = pushed(footage, studio, "screening")
    [questions] = shown_to(footage, projects["ann"])
    labels = [label for (label,) in questions]
    verdicts = ["correct" if x == "yawning" else "drop" if x == "sky" else "keep" for x in labels]
    places = [[a.value for a in SCREENING.answers].index(verdict) for verdict in verdicts]
    with at_the_keyboard(studio) as ann:
        ann.open(projects["ann"].on_server)
        ann.answer(SCREENING, places)
        ann.tab_to(f"text_{labels.index('yawning'):02d}")
        ann.page.keyboard.type("a great Yawn")
        ann.press("Enter")
        picture(ann, "screening")
        ann.submit()
    by_api(
        footage, studio, projects["bob"], lambda q: "drop" if q[0] in ("sky", "gorilla") else "keep"
    )
    pull.run(pull.PullConfig(workspace=footage, **studio.options()))
    said = {(r["annotator"], r["label"]): r for r in table(footage, "screenings")}
    assert said["ann", "yawning"]["verdict"] == "correct"
    assert said["ann", "yawning"]["correction"] == "a great yawn"
    assert said["bob", "gorilla"]["verdict"] == "drop"
    aggregate.run(aggregate.AggregateConfig(workspace=footage))
    left = {r["label"] for r in table(footage, "screened")}
    assert left == set(LABELS) - {"sky", "yawning"} | {"a great yawn"}


def test_what_the_browser_stores_is_what_the_golden_exports_hold(footage, studio):
    """Runs after the three above; a new server version that stores otherwise is seen here."""
    golden = json.loads((Path(__file__).parent / "golden" / "browser.json").read_text())
    store = Store(footage / "annotation" / "store.sqlite")
    for project in store.projects():
        if project.annotator == "ann":
            live = [raw for _, raw in store.annotations(project)]
            assert [shape(raw) for raw in live] == [shape(raw) for raw in golden[project.form]]
    assert golden.keys() == FORMS.keys()


def shape(annotation: dict) -> tuple[set, list]:
    """What an annotation is made of, without ids and times."""
    items = [
        (set(item), item["from_name"], item["type"], item["value"]) for item in annotation["result"]
    ]
    return set(annotation), sorted(items, key=lambda item: item[1])
