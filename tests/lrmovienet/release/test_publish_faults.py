"""A Hub that fails at any request, in any way, and a client that is killed: the end is the same."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from publish_files import REPO, at_hub, contents, publish, small_release
from upload_server import WRITER, UploadHub

from lrmovienet.errors import UserError
from lrmovienet.release.remote import PAUSES, NoAnswer, again

pytestmark = pytest.mark.slow

HOWS = (503, "cut", "lost", "half")
STEPS = (
    "POST /api/repos/create", "POST .*/preupload/", "POST .*/objects/batch", "PUT /lfs/",
    "POST /lfs/.*/verify", "POST .*/commit/", "POST .*/tag/",
)  # fmt: skip

CLIENT = """
import sys, types
from pathlib import Path
from publish_files import PublishConfig, only_hashes, run

check = types.ModuleType("lrmovienet.release.check")
check.check = only_hashes
sys.modules[check.__name__] = check
run(PublishConfig(release=Path(sys.argv[1]), repo=sys.argv[2], dry_run=False), lambda _: None)
"""


@pytest.fixture(scope="module")
def hub():
    with UploadHub().running() as hub:
        yield hub


@pytest.fixture(autouse=True)
def pauses(hub, tmp_path, monkeypatch):
    return at_hub(hub, tmp_path, monkeypatch)


@pytest.fixture
def release(tmp_path):
    return small_release(tmp_path / "release")


def must_be_published(hub, root):
    """One commit with every file and one tag on it, whatever happened on the way."""
    repo = hub.repos[REPO]
    assert repo.files() == contents(root)
    assert len(repo.commits) == 2
    assert repo.tags == {"v1.0.0": repo.branches["main"]}
    assert repo.private
    # An object that is sent again is the same object; the rest is done once.
    assert [kind for kind, _ in hub.events if kind != "object"] == ["create", "commit", "tag"]
    assert len(repo.objects) == 2


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_fails_once_is_done_once(hub, release, step, how):
    hub.fail(step, how)
    publish(release)
    assert hub.met == hub.faults
    must_be_published(hub, release)


@pytest.mark.parametrize("status", [408, 409, 412, 429, 500, 502, 504, 524])
def test_what_may_pass_is_asked_again(hub, release, status):
    hub.fail("POST .*/commit/", status)
    publish(release)
    assert hub.met == hub.faults
    must_be_published(hub, release)


@pytest.mark.slow
@pytest.mark.parametrize("how", [429, 503, "cut", "lost", "half"])
def test_any_request_may_fail(hub, release, how, tmp_path, monkeypatch):
    publish(release)
    requests = len(hub.asked)
    assert requests > 12
    for nth in range(1, requests + 1):
        at_hub(hub, tmp_path, monkeypatch)
        hub.fail("", how, nth)
        publish(release)
        assert hub.met == hub.faults, nth
        must_be_published(hub, release)


@pytest.mark.slow
@pytest.mark.parametrize("how", [503, "cut", "lost"])
def test_any_two_writes_may_fail(hub, release, how, tmp_path, monkeypatch):
    for first in STEPS:
        for second in STEPS:
            at_hub(hub, tmp_path, monkeypatch)
            hub.fail(first, how)
            hub.fail(second, how, nth=2)
            publish(release)
            assert hub.faults[0] in hub.met
            must_be_published(hub, release)


@pytest.mark.parametrize("step", ["POST .*/commit/", "POST .*/tag/", "GET .*/refs"])
def test_after_six_attempts_it_is_left_to_the_user(hub, release, step):
    for nth in range(1, 7):
        hub.fail(step, 503, nth)
    waits = []
    with pytest.raises(UserError, match="503 Service Unavailable: made to fail") as error:
        publish(release, waits.append)
    assert "Run the same command again later" in str(error.value)
    assert waits == [1, 2, 4, 8, 16]
    assert hub.met == hub.faults  # six of them
    publish(release)
    must_be_published(hub, release)


def test_nobody_listens(release):
    with UploadHub().running() as gone:
        pass
    waits = []
    with pytest.raises(UserError, match=rf"no answer from 127\.0\.0\.1:{gone.port} \("):
        publish(release, waits.append, endpoint=gone.url)
    assert waits == list(PAUSES)


def test_a_hub_that_comes_back_is_found_again(release):
    hub = UploadHub()
    with hub.running():
        pass
    held = []

    def start_at_the_third(wait):
        held.append(wait)
        if len(held) == 3:
            started = hub.running()
            started.__enter__()
            held.append(started)

    try:
        publish(release, start_at_the_third, endpoint=hub.url)
        must_be_published(hub, release)
    finally:
        held[-1].__exit__(None, None, None)
    assert held[:3] == [1, 2, 4]


@pytest.mark.parametrize(
    ("status", "header", "expected"),
    [
        (429, ("Retry-After", "120"), 120),
        (503, ("Retry-After", "300"), 300),
        (503, ("Retry-After", "0"), 1),
        (503, ("Retry-After", "soon"), 1),
        (429, ("RateLimit", '"api";r=0;t=55'), 55),
        (429, ("RateLimit", '"api";r=9;t=55'), 1),
    ],
)
def test_the_hub_says_how_long_to_wait(hub, release, status, header, expected):
    hub.fail("POST .*/commit/", status, headers=[header])
    waits = []
    publish(release, waits.append)
    assert waits == [expected]
    must_be_published(hub, release)


def test_the_hub_names_a_date_to_wait_for(hub, release):
    stamp = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    hub.fail("POST .*/commit/", 503, headers=[("Retry-After", stamp)])
    waits = []
    publish(release, waits.append)
    assert 60 < waits[0] <= 100


def test_a_wait_of_more_than_five_minutes_is_the_user_s(hub, release):
    hub.fail("POST .*/commit/", 429, headers=[("Retry-After", "301")])
    waits = []
    with pytest.raises(UserError, match=r"asks to wait 301 s .* Run the same command then"):
        publish(release, waits.append)
    assert waits == []
    publish(release)
    must_be_published(hub, release)


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("step", ["POST .*/commit/", "PUT /lfs/"])
def test_what_is_refused_is_not_asked_again(hub, release, step, status):
    hub.fail(step, status)
    waits = []
    with pytest.raises(UserError, match=rf"the Hub refuses it \({status} .*: made to fail"):
        publish(release, waits.append)
    assert (waits, hub.met) == ([], hub.faults)
    assert sum("/commit/" in line for line in hub.asked) == (step == "POST .*/commit/")


def test_somebody_else_is_first(hub, release):
    """Their commit arrives while ours is on its way: ours follows it, and takes nothing away."""
    other, repo = [], hub.new_repo(REPO)
    hub.fail("POST .*/commit/", "hold")

    def meanwhile():
        hub.held.wait(30)
        with hub.lock:
            files = repo.commits[repo.branches["main"]][2]
            other.append(repo.add("main", files | {"LICENSE": files[".gitattributes"]}, "theirs"))
        hub.let_go.set()

    thread = threading.Thread(target=meanwhile)
    thread.start()
    publish(release)
    thread.join()
    parent, summary, _ = repo.commits[repo.branches["main"]]
    assert ([parent], summary) == (other, "LRMovieNet 1.0.0")
    assert len(repo.commits) == 3
    assert repo.files() == contents(release) | {"LICENSE": repo.files()["LICENSE"]}


def test_somebody_else_makes_the_dataset_first(hub, release):
    hub.fail("POST /api/repos/create", "hold")

    def meanwhile():
        hub.held.wait(30)
        with hub.lock:
            hub.new_repo(REPO, private=True)
        hub.let_go.set()

    thread = threading.Thread(target=meanwhile)
    thread.start()
    waits = []
    publish(release, waits.append)
    thread.join()
    assert waits == []
    assert hub.repos[REPO].files() == contents(release)
    assert [kind for kind, _ in hub.events if kind != "object"] == ["commit", "tag"]


def test_somebody_else_publishes_a_higher_version_first(hub, release, tmp_path):
    publish(release)
    later, latest = (small_release(tmp_path / v, v) for v in ("1.1.0", "1.2.0"))
    hub.fail("POST .*/commit/", "hold", nth=1)

    def meanwhile():
        hub.held.wait(30)
        publish(latest)
        hub.let_go.set()

    thread = threading.Thread(target=meanwhile)
    thread.start()
    with pytest.raises(UserError, match=r"version 1\.2\.0 is higher than 1\.1\.0"):
        publish(later)
    thread.join()
    assert hub.repos[REPO].files() == contents(latest)
    assert set(hub.repos[REPO].tags) == {"v1.0.0", "v1.2.0"}


# --- a process of its own ---


def client(hub, root, home):
    """A process that publishes, by the environment's endpoint."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        env.pop(name, None)
        env.pop(name.upper(), None)
    here = Path(__file__).parent
    env |= {
        "HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_TOKEN": WRITER, "HF_HUB_DISABLE_XET": "1",
        "PYTHONPATH": os.pathsep.join([str(here), str(here.parents[2])]),
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(root), REPO], env=env, cwd=home,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("done", [True, False], ids=["arrived", "did not arrive"])
@pytest.mark.parametrize("step", ["PUT /lfs/", "POST .*/commit/", "POST .*/tag/"])
@pytest.mark.slow
def test_a_client_that_is_killed_goes_on_from_there(hub, release, tmp_path, step, done):
    hub.fail(step, "hold" if done else "drop")
    process = client(hub, release, tmp_path)
    try:
        assert hub.held.wait(60)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
    hub.let_go.set()
    expected = {"PUT /lfs/": "object", "POST .*/commit/": "commit", "POST .*/tag/": "tag"}[step]
    if done:  # the server goes on with a request whose asker is dead
        deadline = time.monotonic() + 20
        while expected not in [kind for kind, _ in hub.events] and time.monotonic() < deadline:
            time.sleep(0.01)
    publish(release)
    must_be_published(hub, release)


def test_no_secret_reaches_the_terminal(hub, release, tmp_path):
    """Not even by the library, which logs the signed addresses that it asks again."""
    hub.fail("PUT /lfs/", 503)
    hub.fail("POST .*/commit/", 503)
    process = client(hub, release, tmp_path)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    assert "503" in printed
    assert "PUT " in printed  # the library's line
    assert hub.secret not in printed
    assert WRITER not in printed
    must_be_published(hub, release)


# --- attempts ---


def test_a_step_is_repeated_until_it_is_answered():
    waits, answers = [], [NoAnswer("a"), NoAnswer("b", wait_s=30), NoAnswer("c", wait_s=1), "done"]

    def step():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert again(step, waits.append) == "done"
    assert waits == [1, 30, 4]
    answers[:] = [NoAnswer("a", again=False), "never"]
    with pytest.raises(NoAnswer, match="a"):
        again(step, waits.append)
    assert (waits, answers) == ([1, 30, 4], ["never"])
    answers[:] = [NoAnswer(str(n)) for n in range(9)]
    with pytest.raises(NoAnswer, match="2"):
        again(step, waits.append, pauses=(7, 8))
    assert waits[3:] == [7, 8]
