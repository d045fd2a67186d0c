"""Answers on a real server -> tables: changed, deleted, doubled, skipped, incomplete, hostile."""

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Running
from faulty_proxy import FaultyProxy
from real_server import Api, grade, marked, ratings, shown_labels, store, workspace_id

from annotation import pull, push
from lrmovienet.runner.local import run_once
from lrmovienet.workspace import Workspace

pytestmark = [pytest.mark.service, pytest.mark.timeout(400)]  # a first start takes minutes

TWO_CLIPS = {
    "tt1_0000": ["boat", "storm at sea", "man"],
    "tt1_0001": ["rain", "a kiss"],
}


@pytest.fixture
def api(studio: Running) -> Api:
    return Api(studio.url, studio.token)


def small(workspace: Path, labels: dict[str, list[str]], description: str | None = None) -> None:
    """Give a workspace these clips, with these candidates."""
    rows = Workspace(workspace).read("clips").to_pylist()[: len(labels)]
    for row, clip_id in zip(rows, labels, strict=True):
        row["clip_id"] = clip_id
        row["description"] = description or f"Something happens in {clip_id}."
    table(workspace, "clips", rows)
    source = Workspace(workspace).read("candidates").to_pylist()[0]["sources"]
    table(workspace, "candidates", [
        {"clip_id": clip_id, "label": label, "position": place, "sources": source}
        for clip_id, asked in labels.items()
        for place, label in enumerate(asked)
    ])  # fmt: skip


def table(workspace: Path, name: str, rows: list[dict[str, Any]]) -> None:
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    columns["drop_reason"] = [None] * len(rows)
    run_once(Workspace(workspace), name, lambda: columns, version="test", inputs={}, config={})


@pytest.fixture
def config(workspace: Path, studio: Running) -> push.PushConfig:
    return push.PushConfig(
        workspace=workspace, annotators=["ann"], overlap=1, pictures=False, **studio.options()
    )


@pytest.fixture
def pull_it(workspace: Path, studio: Running) -> Callable[..., None]:
    return lambda **more: pull.run(pull.PullConfig(workspace, **studio.options(), **more))


@pytest.fixture
def pages(workspace: Path, config: push.PushConfig, api: Api) -> dict[str, dict[str, Any]]:
    """Two clips that were pushed, each a page: clip -> the task on the server."""
    small(workspace, TWO_CLIPS)
    push.run(config)
    (project,) = api.projects(workspace_id(workspace))
    found = {
        task["data"]["description"].split()[-1][:-1]: task for task in api.tasks(project["id"])
    }
    assert {clip: sorted(shown_labels(task)) for clip, task in found.items()} == {
        clip: sorted(labels) for clip, labels in TWO_CLIPS.items()
    }
    return found


def answer(api: Api, task: dict[str, Any], grades: dict[str, str] | None = None) -> int:
    return api.answer(
        task["id"], [(grades or {}).get(label, grade(label)) for label in shown_labels(task)]
    )


def expected(clip: str, grades: dict[str, str] | None = None) -> list[tuple[str, str, str]]:
    return [(clip, label, (grades or {}).get(label, grade(label))) for label in TWO_CLIPS[clip]]


def dropped(workspace: Path) -> list[tuple[str, str]]:
    rows = Workspace(workspace).read_dropped("ratings").to_pylist()
    return [(row["clip_id"], row["reason"]) for row in rows]


def test_what_is_given_changed_and_taken_back_on_the_server_is_so_in_the_table(
    workspace: Path, pages: dict[str, Any], api: Api, pull_it: Callable[..., None]
) -> None:
    first, second = pages["tt1_0000"], pages["tt1_0001"]
    mine = answer(api, first)
    pull_it()
    assert Counter(ratings(workspace)) == Counter(expected("tt1_0000"))
    changed = {"boat": "2", "man": "2", "storm at sea": "0"}
    api(
        "PATCH", f"annotations/{mine}",
        {"result": marked([changed[label] for label in shown_labels(first)])},
    )  # fmt: skip
    other = answer(api, second)
    pull_it()
    both = [*expected("tt1_0000", changed), *expected("tt1_0001")]
    assert Counter(ratings(workspace)) == Counter(both)
    api("DELETE", f"annotations/{mine}")
    pull_it()
    assert Counter(ratings(workspace)) == Counter(expected("tt1_0001"))
    kept = store(workspace, "SELECT id, raw, gone_at FROM annotations ORDER BY id, updated_at")
    # Two versions of what was deleted, and what is there: all as they came.
    assert [(id, gone is None) for id, _, gone in kept] == [
        (mine, False), (mine, False), (other, True)
    ]  # fmt: skip
    said = [item["value"]["choices"][0] for item in json.loads(kept[1][1])["result"]]
    assert said == [changed[label] for label in shown_labels(first)]
    again = answer(api, first)
    assert again != mine
    pull_it()
    assert Counter(ratings(workspace)) == Counter([*expected("tt1_0000"), *expected("tt1_0001")])


def test_of_two_annotations_of_a_page_the_one_changed_last_counts_and_the_other_is_told(
    workspace: Path, pages: dict[str, Any], api: Api, pull_it: Callable[..., None]
) -> None:
    task = pages["tt1_0001"]
    all_high, all_low = dict.fromkeys(TWO_CLIPS["tt1_0001"], "2"), dict.fromkeys(
        TWO_CLIPS["tt1_0001"], "0"
    )  # fmt: skip
    older = answer(api, task, all_high)
    newer = answer(api, task, all_low)
    pull_it()
    assert Counter(ratings(workspace)) == Counter(expected("tt1_0001", all_low))
    reason = "ann: annotation {} is older than {} of the same page"
    assert dropped(workspace) == [("tt1_0001", reason.format(older, newer))]
    api("PATCH", f"annotations/{older}", {"result": marked(["1", "1"])})
    pull_it()
    medium = dict.fromkeys(TWO_CLIPS["tt1_0001"], "1")
    assert Counter(ratings(workspace)) == Counter(expected("tt1_0001", medium))
    assert dropped(workspace) == [("tt1_0001", reason.format(newer, older))]


def test_skipped_pages_drafts_and_incomplete_answers_are_no_ratings_and_harm_no_others(
    workspace: Path, pages: dict[str, Any], api: Api, pull_it: Callable[..., None],
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    first, second = pages["tt1_0000"], pages["tt1_0001"]
    body = {"result": marked(["2", "2", "2"]), "lead_time": 3.0}
    api("POST", f"tasks/{first['id']}/drafts", body)
    answer(api, second)
    pull_it()
    assert Counter(ratings(workspace)) == Counter(expected("tt1_0001"))
    assert dropped(workspace) == []
    api.answer(first["id"], ["2", "1", "0"], was_cancelled=True)
    pull_it()
    assert dropped(workspace) == [("tt1_0000", "ann: skipped the page")]
    incomplete = api.answer(first["id"], ["2", "1"])
    capfd.readouterr()
    pull_it()
    reason = f"ann: annotation {incomplete}: number 3 has no answer"
    assert dropped(workspace) == [("tt1_0000", reason)]
    assert reason in " ".join(capfd.readouterr().out.split())
    assert Counter(ratings(workspace)) == Counter(expected("tt1_0001"))
    api("PATCH", f"annotations/{incomplete}", {"result": marked(["2", "1", "high"])})
    pull_it()
    assert dropped(workspace) == [
        ("tt1_0000", f"ann: annotation {incomplete}: number 3 has ['high']")
    ]


def test_a_deleted_task_takes_its_ratings_and_a_deleted_project_leaves_them(
    workspace: Path, pages: dict[str, Any], api: Api, pull_it: Callable[..., None],
    config: push.PushConfig, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for task in pages.values():
        answer(api, task)
    pull_it()
    api("DELETE", f"tasks/{pages['tt1_0000']['id']}/")
    pull_it()
    assert Counter(ratings(workspace)) == Counter(expected("tt1_0001"))
    with pytest.raises(push.UserError, match=r"^1 tasks of ann's project \d+ were deleted on"):
        push.run(config)
    (project,) = api.projects(workspace_id(workspace))
    api("DELETE", f"projects/{project['id']}/")
    before = store(workspace, "SELECT * FROM annotations")
    capfd.readouterr()
    pull_it(full=True)
    said = " ".join(capfd.readouterr().err.split())
    assert f"ann's project {project['id']} is not on the server any more; its answers stay" in said
    assert Counter(ratings(workspace)) == Counter(expected("tt1_0001"))
    assert store(workspace, "SELECT * FROM annotations") == before
    with pytest.raises(push.UserError, match=rf"ann's project {project['id']} is not on"):
        push.run(config)
    assert api.projects(workspace_id(workspace)) == []


HOSTILE = [
    "</view><header value=\"$description\"/>", "<script>alert(1)</script>", "a & b &amp; c",
    "$description", "$answers_00[0].value", "{{7*7}} ${7*7} %s \\n \\u0041", "none", "2", "-",
    "🎬 film 👩‍👩‍👧", "שלום עולם", "\u202egnirts\u202c", "'; drop table task; --", "1. first",
    "x" * 200, "e\u0301".encode().decode(), "null", "[1, 2]", "a,b;c\"d'e`f",
]  # fmt: skip
DESCRIPTION = (
    "<View><Style>* { display: none }</Style></View> $description $frames {{description}} "
    "<img src=x onerror=alert(1)> \"quoted\" 'too' 🎬 مرحبا \u202e\u200f `x`\n\nnew\tline & &lt; "
)


@pytest.mark.parametrize("form", ["grading", "pairs"])
def test_hostile_labels_and_descriptions_come_back_as_they_went(
    form: Any, workspace: Path, config: push.PushConfig, api: Api, pull_it: Callable[..., None]
) -> None:
    from eval.labels import normal_form

    labels = [normal_form(label) for label in HOSTILE]
    assert len(set(labels)) == len(HOSTILE)
    description = DESCRIPTION + "long " * 2000
    assert len(description) > 10_000
    small(workspace, {"c": labels}, description)
    push.run(replace(config, form=form, pairs_per_clip=14))
    (project,) = api.projects(workspace_id(workspace))
    (task,) = api.tasks(project["id"])
    assert task["data"]["description"] == description
    if form == "grading":
        assert sorted(shown_labels(task)) == sorted(labels)
        answer(api, task)
        pull_it()
        assert Counter(ratings(workspace)) == Counter((("c", x, grade(x))) for x in labels)
        return
    # The two labels of a pair are the texts of its first two answers; an unseen word joiner keeps
    # `$` from being the start of a variable's name.
    shown = [
        tuple(one["value"].replace("\u2060", "") for one in task["data"][f"answers_{slot:02d}"][:2])
        for slot in range(14)
    ]
    assert all(set(pair) <= set(labels) for pair in shown)
    said = ["a" if len(a) >= len(b) else "b" for a, b in shown]
    api.answer(task["id"], said)
    pull_it()
    rows = Workspace(workspace).read("pair_ratings").to_pylist()
    assert Counter((r["label_a"], r["label_b"], r["choice"]) for r in rows) == Counter(
        (a, b, choice) for (a, b), choice in zip(shown, said, strict=True)
    )


def test_a_pull_asks_for_what_changed_and_a_full_one_for_all(
    workspace: Path, config: push.PushConfig, studio: Running, api: Api
) -> None:
    clips = [f"c{i:02d}" for i in range(20)]
    small(workspace, {clip: ["boat", "rain"] for clip in clips})
    push.run(config)
    (project,) = api.projects(workspace_id(workspace))
    tasks = api.tasks(project["id"])
    for task in tasks[:-2]:
        answer(api, task)
    time.sleep(pull.OVERLAP.total_seconds() + 0.5)
    last = answer(api, tasks[-2])
    with FaultyProxy(studio.url) as proxy:
        options = {"server": proxy.url, "token_file": studio.folder / "token"}

        def pulled(**more: Any) -> tuple[set[int], int]:
            """The tasks that were fetched, and the bytes of all answers."""
            proxy.log.clear()
            pull.run(pull.PullConfig(workspace, **options, **more))
            listed = [json.loads(one.received)["tasks"] for one in proxy.made("GET", "/api/tasks")]
            assert len(listed) == 1
            return {task["id"] for task in listed[0]}, sum(len(one.received) for one in proxy.log)

        everything = {task["id"] for task in tasks}
        ids, bytes_first = pulled()
        assert ids == everything
        api("PATCH", f"annotations/{last}", {"result": marked(["2", "2"])})
        ids, bytes_changed = pulled()
        assert ids == {tasks[-2]["id"]}
        assert bytes_changed < bytes_first - 18 * 100
        ids, _ = pulled()
        assert ids == {tasks[-2]["id"]}  # what changed within the overlap is asked for again
        ids, bytes_full = pulled(full=True)
        assert ids == everything
        assert bytes_full > bytes_changed + 18 * 100
    assert len(ratings(workspace)) == 2 * 19


def test_an_annotation_deleted_where_no_time_stamp_tells_is_found_by_the_count(
    workspace: Path, pages: dict[str, Any], api: Api, studio: Running,
    pull_it: Callable[..., None],
) -> None:  # fmt: skip
    """A task that is gone has no time of change; the counts differ, so all is fetched."""
    for task in pages.values():
        answer(api, task)
    pull_it()
    api("DELETE", f"tasks/{pages['tt1_0001']['id']}/")
    with FaultyProxy(studio.url) as proxy:
        options = {"server": proxy.url, "token_file": studio.folder / "token"}
        pull.run(pull.PullConfig(workspace, **options))
        assert len(proxy.made("GET", "/api/tasks")) == 2
    assert Counter(ratings(workspace)) == Counter(expected("tt1_0000"))
