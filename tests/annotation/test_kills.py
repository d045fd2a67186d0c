"""Clients and servers that are killed in the middle: the next run, or the same one, goes on."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Running
from faulty_proxy import Exchange, Fault, FaultyProxy
from real_server import (
    Api,
    OwnServer,
    answer_all,
    assert_each_page_once,
    assert_each_rating_once,
)

from annotation import delivery, pull, server
from lrmovienet.cli import main
from lrmovienet.workspace import Workspace

pytestmark = [pytest.mark.service, pytest.mark.timeout(400)]  # a first start takes minutes

CLIENT = """
import sys
from annotation import delivery, pull, server
delivery.CHUNK, server.PAGE_SIZE, pull.AT_ONCE = 2, 2, 1
from lrmovienet.cli import main
sys.exit(main())
"""


@pytest.fixture(autouse=True)
def several_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "CHUNK", 2)
    monkeypatch.setattr(server, "PAGE_SIZE", 2)
    monkeypatch.setattr(pull, "AT_ONCE", 1)


@pytest.fixture
def clips(workspace: Path) -> list[str]:
    """Two clips with enough candidates for two pages each."""
    rows = Workspace(workspace).read("candidates").to_pylist()
    counted = Counter(row["clip_id"] for row in rows)
    return [clip for clip, _ in sorted(counted.items(), key=lambda c: (-c[1], c[0]))[:2]]


@pytest.fixture(scope="module")
def own(studio: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    with OwnServer(tmp_path_factory.mktemp("own") / "server", studio.folder) as own:
        yield own


def pushing(workspace: Path, clips: list[str], folder: Path, url: str) -> list[str]:
    return [
        "annotate", "push", "grading", "--workspace", str(workspace), "--annotators", "ann",
        "--overlap", "1", "--clips", *clips, "--server", url, "--token_file", str(folder / "token"),
        "--files", str(folder / "files"),
    ]  # fmt: skip


def pulling(workspace: Path, folder: Path, url: str) -> list[str]:
    return [
        "annotate", "pull", "--workspace", str(workspace), "--server", url,
        "--token_file", str(folder / "token"),
    ]  # fmt: skip


def run_and_kill(
    proxy: FaultyProxy, argv: list[str], method: str, path: str, n: int, deed: str
) -> int:
    """Run a client of its own, and kill it while its n-th such request is with the server.

    Returns:
        Its exit status: -9 if it was killed.
    """
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, *argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    seen = 0

    def plan(one: Exchange) -> Fault | None:
        nonlocal seen
        seen += one.is_(method, path)
        killed = one.is_(method, path) and seen == n
        return Fault("the client is killed", deed, meanwhile=client.kill) if killed else None

    proxy.plan = plan
    try:
        return client.wait(60)
    finally:
        client.kill()
        client.wait()
        proxy.plan = lambda one: None


def test_a_push_killed_at_each_thing_that_the_server_has_done_goes_on(
    studio: Running, workspace: Path, clips: list[str]
) -> None:
    """Killed between the server's deed and the note of it: a project, its storage, each chunk."""
    with FaultyProxy(studio.url) as proxy:
        argv, killed = pushing(workspace, clips, studio.folder, proxy.url), 0
        while (status := run_and_kill(proxy, argv, "POST", "", 1, "done")) == -9:
            killed += 1
            made = Counter((one.path, one.sent) for one in proxy.made("POST", ""))
            # Nothing is asked for twice: each run finds what the killed one had done.
            assert set(made.values()) == {1}, made.most_common(1)
        assert status == 0
    assert killed == 4  # a project, its storage, two chunks
    assert_each_page_once(Api(studio.url, studio.token), workspace, clips, people=1)


def test_a_push_killed_before_the_server_has_done_anything_more_goes_on(
    studio: Running, workspace: Path, clips: list[str]
) -> None:
    with FaultyProxy(studio.url) as proxy:
        argv = pushing(workspace, clips, studio.folder, proxy.url)
        for n in (1, 2):
            assert run_and_kill(proxy, argv, "POST", "", n, "none") == -9
        for n in (3, 6):
            assert run_and_kill(proxy, argv, "GET", "", n, "none") == -9
        assert main(argv) == 0
    assert_each_page_once(Api(studio.url, studio.token), workspace, clips, people=1)


def test_a_pull_killed_at_any_page_goes_on(
    studio: Running, workspace: Path, clips: list[str]
) -> None:
    assert main(pushing(workspace, clips, studio.folder, studio.url)) == 0
    answer_all(Api(studio.url, studio.token), workspace)
    with FaultyProxy(studio.url) as proxy:
        argv = pulling(workspace, studio.folder, proxy.url)
        for n in (1, 2, 3):
            assert run_and_kill(proxy, argv, "GET", "/api/tasks", n, "done") == -9
        assert main(argv) == 0
    assert_each_rating_once(workspace, clips)


def kill_and_start(own: OwnServer) -> threading.Thread:
    """Kill the server at once and have it come back while the client waits."""
    own.kill()
    thread = threading.Thread(target=own.start)
    thread.start()
    return thread


def test_a_client_with_patience_outlives_its_server(
    own: OwnServer, workspace: Path, clips: list[str]
) -> None:
    """The server is killed while it works on a chunk, and again while it lists annotations."""
    starts: list[threading.Thread] = []
    api = Api(own.url, own.token)
    with FaultyProxy(own.url) as proxy:

        def kill_at(method: str, path: str, n: int) -> Any:
            left = [n]

            def plan(one: Exchange) -> Fault | None:
                left[0] -= one.is_(method, path)
                if left[0] or not one.is_(method, path):
                    return None
                left[0] = -1
                return Fault(
                    "killed", "begun", meanwhile=lambda: starts.append(kill_and_start(own))
                )

            return plan

        proxy.plan = kill_at("POST", r"/import\b", 2)
        assert main(pushing(workspace, clips, own.folder, proxy.url)) == 0
        starts[0].join()
        assert_each_page_once(api, workspace, clips, people=1)
        answer_all(api, workspace)
        proxy.plan = kill_at("GET", "/api/tasks", 2)
        assert main(pulling(workspace, own.folder, proxy.url)) == 0
        starts[1].join()
    assert_each_rating_once(workspace, clips)


def test_without_patience_there_is_one_message_and_the_next_run_goes_on(
    own: OwnServer, workspace: Path, clips: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    argv = pushing(workspace, clips, own.folder, own.url)
    with FaultyProxy(own.url) as proxy:
        through = pushing(workspace, clips, own.folder, proxy.url)

        def plan(one: Exchange) -> Fault | None:
            down = len(proxy.made("POST", r"/import\b")) >= 2 and own.process is not None
            if down and own.process.poll() is None:  # type: ignore[union-attr]
                own.kill()
            return None

        proxy.plan = plan
        assert main([*through, "--patience_s", "1"]) == 2
    error = capfd.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    assert "no answer" in error
    assert "run the same command" in error
    assert main([*argv, "--patience_s", "0"]) == 2
    assert "no answer (ConnectError)" in capfd.readouterr().err
    own.start()
    assert main(argv) == 0
    assert_each_page_once(Api(own.url, own.token), workspace, clips, people=1)


LOOPBACK = ("127.0.0.1", "::1", "localhost")


def listening(port: int) -> set[str]:
    """The sockets (inodes) that listen on a port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[9] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A"}


def remote_addresses(pid: int) -> set[str]:
    """Where the sockets of a process lead to, in hexadecimal."""
    held = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            held.add(str(link.readlink()))
        except OSError:
            continue
    found = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            row = line.split()
            if f"socket:[{row[9]}]" in held:
                found.add(row[2].rpartition(":")[0])
    return found


def test_neither_client_nor_server_asks_anybody_outside_this_machine(
    own: OwnServer, workspace: Path, clips: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    real_connect, real_lookup = socket.socket.connect, socket.getaddrinfo

    def connect(self: socket.socket, address: Any) -> None:
        asked.append(address[0])
        assert address[0] in LOOPBACK, address
        real_connect(self, address)

    def lookup(host: Any, *rest: Any, **more: Any) -> Any:
        assert host in LOOPBACK, host
        return real_lookup(host, *rest, **more)

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    remote: set[str] = set()
    over = threading.Event()
    assert own.process is not None
    pid = own.process.pid

    def watch() -> None:
        while not over.is_set():
            remote.update(remote_addresses(pid))
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        assert listening(own.port)
        assert main(pushing(workspace, clips, own.folder, own.url)) == 0
        answer_all(Api(own.url, own.token), workspace)
        assert main(pulling(workspace, own.folder, own.url)) == 0
    finally:
        over.set()
        watcher.join()
    assert_each_rating_once(workspace, clips)
    assert "127.0.0.1" in asked
    # 127.0.0.1, and nothing at all (a socket that listens).
    assert "0100007F" in remote
    assert remote <= {"0100007F", "00000000", "0" * 32, "0" * 24 + "01000000"}
    # All that the server's Python did with sockets since it began, starts and restarts included.
    events = [json.loads(line) for line in own.sockets_log.read_text().splitlines()]
    connected = {given[-1][0] for name, given in events if name == "socket.connect"}
    looked_up = {given[0] for name, given in events if name == "socket.getaddrinfo"}
    sent_to = {given[-1][0] for name, given in events if name == "socket.sendto"}
    assert any(name == "socket.bind" for name, _ in events)
    assert connected | sent_to <= set(LOOPBACK)
    assert looked_up <= {*LOOPBACK, None, socket.gethostname()}
