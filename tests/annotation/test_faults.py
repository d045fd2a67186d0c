"""Push and pull through faults: each page is on the server once, each rating in the table once."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import label_studio_sdk
import pytest
from conftest import Running
from faulty_proxy import DONE, LATE, NOT_DONE, Exchange, Fault, FaultyProxy, each_once, nth
from real_server import (
    Api,
    answer_all,
    assert_each_page_once,
    assert_each_rating_once,
    grade,
    shown_labels,
    store,
    workspace_id,
)

from annotation import delivery, pull, push, server
from lrmovienet.workspace import Workspace

pytestmark = [pytest.mark.service, pytest.mark.timeout(400)]  # a first start takes minutes

ANN_AND_BOB = ["ann", "bob"]
IMPORT, PROJECT, STORAGE = r"/import\b", r"^/api/projects/(\?|$)", r"^/api/storages/localfiles"
GIVES_UP_S = 1.5
"""The client's time-out, where a test has a server that is silent."""


@pytest.fixture(autouse=True)
def several_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks, pages of a listing and transactions; short waits."""
    monkeypatch.setattr(delivery, "CHUNK", 2)
    monkeypatch.setattr(server, "PAGE_SIZE", 2)
    monkeypatch.setattr(pull, "AT_ONCE", 2)
    monkeypatch.setattr(server, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(server, "LONGEST_WAIT_S", 0.3)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that gives a request up soon."""
    real = label_studio_sdk.LabelStudio
    monkeypatch.setattr(
        label_studio_sdk, "LabelStudio", lambda **given: real(**given | {"timeout": GIVES_UP_S})
    )


@pytest.fixture
def proxy(studio: Running) -> Iterator[FaultyProxy]:
    with FaultyProxy(studio.url) as proxy:
        yield proxy


@pytest.fixture
def api(studio: Running) -> Api:
    return Api(studio.url, studio.token)


@pytest.fixture
def clips(workspace: Path) -> list[str]:
    """Clips with enough candidates for several pages each."""
    rows = Workspace(workspace).read("candidates").to_pylist()
    counted = Counter(row["clip_id"] for row in rows)
    return [clip for clip, _ in sorted(counted.items(), key=lambda c: (-c[1], c[0]))[:3]]


@pytest.fixture
def push_it(
    workspace: Path, clips: list[str], studio: Running, proxy: FaultyProxy
) -> Callable[[], None]:
    config = push.PushConfig(
        workspace=workspace, server=proxy.url, token_file=studio.folder / "token", clips=clips,
        files=studio.files, annotators=ANN_AND_BOB, overlap=1,
    )  # fmt: skip
    return partial(push.run, config)


@pytest.fixture
def pull_it(workspace: Path, studio: Running, proxy: FaultyProxy) -> Callable[[], None]:
    config = pull.PullConfig(
        workspace=workspace, server=proxy.url, token_file=studio.folder / "token"
    )
    return partial(pull.run, config)


def posts(proxy: FaultyProxy) -> Counter[tuple[str, bytes]]:
    return Counter((one.path, one.sent) for one in proxy.log if one.method == "POST")


@pytest.mark.parametrize("fault", NOT_DONE[1:], ids=lambda fault: fault.name)
def test_requests_that_are_refused_at_first_are_all_made_in_the_end(
    fault: Fault, proxy: FaultyProxy, api: Api, workspace: Path, clips: list[str],
    push_it: Callable[[], None], pull_it: Callable[[], None],
) -> None:  # fmt: skip
    proxy.plan = each_once(fault)
    push_it()
    assert_each_page_once(api, workspace, clips, people=2)
    # Two projects, a storage connection each, and at least two chunks each; each asked for twice.
    assert len(posts(proxy)) >= 8
    assert set(posts(proxy).values()) == {2}
    answer_all(api, workspace)
    proxy.log.clear()
    pull_it()
    assert_each_rating_once(workspace, clips)
    assert len([one for one in proxy.made("GET", r"/api/tasks") if one.fault]) >= 4


@pytest.mark.parametrize("fault", DONE, ids=lambda fault: fault.name)
@pytest.mark.usefixtures("impatient")
def test_what_was_done_though_the_answer_was_lost_is_not_asked_for_again(
    fault: Fault, proxy: FaultyProxy, api: Api, workspace: Path, clips: list[str],
    push_it: Callable[[], None], pull_it: Callable[[], None],
) -> None:  # fmt: skip
    proxy.plan = each_once(fault, methods=("POST",))
    push_it()
    assert_each_page_once(api, workspace, clips, people=2)
    assert len(posts(proxy)) >= 8
    assert set(posts(proxy).values()) == {1}
    answer_all(api, workspace)
    proxy.plan = each_once(fault, pattern=r"/api/tasks")
    pull_it()
    assert_each_rating_once(workspace, clips)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_fails_in_whatever_order_pages_and_ratings_are_there_once(
    seed: int, proxy: FaultyProxy, api: Api, workspace: Path, clips: list[str],
    push_it: Callable[[], None], pull_it: Callable[[], None],
) -> None:  # fmt: skip
    rng = random.Random(seed)
    quick = [fault for fault in (*NOT_DONE, *DONE) if not fault.silent]
    proxy.plan = lambda one: rng.choice(quick) if rng.random() < 0.4 else None
    push_it()
    assert sum(one.fault is not None for one in proxy.log) > 10
    assert_each_page_once(api, workspace, clips, people=2)
    answer_all(api, workspace)
    pull_it()
    assert_each_rating_once(workspace, clips)


def test_an_unsure_import_is_looked_for_before_it_is_sent_again(
    proxy: FaultyProxy, push_it: Callable[[], None]
) -> None:
    proxy.plan = nth("POST", IMPORT, 2, NOT_DONE[2])
    push_it()
    first, again = (i for i, one in enumerate(proxy.log) if posts(proxy)[one.path, one.sent] == 2)
    between = proxy.log[first + 1 : again]
    assert [one.path for one in between if one.is_("GET", r"/api/tasks")]


@pytest.mark.parametrize(
    ("what", "when"),
    [
        (PROJECT, "before it is sent again"),
        (PROJECT, "at last"),
        (STORAGE, "after it was sent again"),
        (IMPORT, "before it is sent again"),
        (IMPORT, "after it was sent again"),
        (IMPORT, "at last"),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_a_request_done_after_the_client_has_looked_leaves_nothing_double(
    what: str, when: str, proxy: FaultyProxy, api: Api, workspace: Path, clips: list[str],
    push_it: Callable[[], None],
) -> None:  # fmt: skip
    """The server works on for as long as it likes when the client has given the request up."""
    held: list[Exchange] = []
    hold = nth("POST", what, 2, LATE)

    def plan(one: Exchange) -> Fault | None:
        if fault := hold(one):
            held.append(one)
            return fault
        if proxy.held:
            again = one.method == "POST" and one.path == held[0].path and one.sent == held[0].sent
            sent_again = posts(proxy)[held[0].path, held[0].sent] == 2 and not again
            if (again and when.startswith("before")) or (sent_again and when.startswith("after")):
                assert proxy.deliver() == 1
        return None

    proxy.plan = plan
    push_it()
    if when == "at last":
        assert proxy.deliver() == 1
        push_it()
    assert not proxy.held
    assert held[0].passed_on
    assert_each_page_once(api, workspace, clips, people=2)


@pytest.mark.parametrize("answered", ["both", "the one that came late"])
@pytest.mark.usefixtures("impatient")
def test_answers_to_a_page_that_came_twice_are_one_rating_a_label(
    answered: str, proxy: FaultyProxy, api: Api, workspace: Path, clips: list[str],
    push_it: Callable[[], None], pull_it: Callable[[], None],
) -> None:  # fmt: skip
    proxy.plan = nth("POST", IMPORT, 1, LATE)
    push_it()
    assert proxy.deliver() == 1
    known = {task for (task,) in store(workspace, "SELECT on_server FROM tasks")}
    projects = api.projects(workspace_id(workspace))
    tasks = [task for project in projects for task in api.tasks(project["id"])]
    by_uid = Counter(task["data"]["lrm_uid"] for task in tasks)
    assert sorted(by_uid.values())[-2:] == [2, 2]
    for task in tasks:
        twice = by_uid[task["data"]["lrm_uid"]] == 2
        late = task["id"] not in known
        if not twice or answered == "both" or late == (answered == "the one that came late"):
            api.answer(task["id"], [grade(label) for label in shown_labels(task)])
    pull_it()
    assert_each_rating_once(workspace, clips)
    push_it()  # takes away those of the two that have no answer
    pull_it()
    assert_each_rating_once(workspace, clips)


def test_a_pull_that_is_cut_off_has_changed_no_table_and_the_next_one_goes_on(
    proxy: FaultyProxy, api: Api, workspace: Path, clips: list[str],
    push_it: Callable[[], None], studio: Running,
) -> None:  # fmt: skip
    push_it()
    answer_all(api, workspace)
    config = pull.PullConfig(
        workspace=workspace, server=proxy.url, token_file=studio.folder / "token", patience_s=0.1
    )
    listed = 0

    def down_from_the_second_page(one: Exchange) -> Fault | None:
        nonlocal listed
        listed += one.is_("GET", r"/api/tasks")
        return NOT_DONE[3] if listed > 1 else None

    proxy.plan = down_from_the_second_page
    with pytest.raises(server.UserError, match=r"answers 503, for 0 s\. When it is up again, run"):
        pull.run(config)
    assert Workspace(workspace).manifest("ratings") is None
    kept = store(workspace, "SELECT COUNT(*) FROM annotations")[0][0]
    assert 0 < kept <= server.PAGE_SIZE
    proxy.plan = lambda one: None
    pull.run(config)
    assert_each_rating_once(workspace, clips)
