"""An HTTP proxy on loopback that fails when it is told to.

It stands between a client and the real server. Whatever it does to an answer, what the server did
is real.
"""

import contextlib
import http.client
import itertools
import json
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Exchange:
    """A request and what became of it."""

    number: int
    method: str
    path: str
    sent: bytes
    headers: dict[str, str]
    fault: "Fault | None" = None
    status: int | None = None
    """What the client was answered; None: nothing."""
    received: bytes = b""
    cookies: list[str] = field(default_factory=list)
    passed_on: bool = False

    def is_(self, method: str, pattern: str) -> bool:
        return self.method == method and re.search(pattern, self.path) is not None


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a request."""

    name: str
    deed: str = "none"
    """What the server does of it: none; done; begun (it may do it or not); late (when told)."""
    status: int | None = None
    """What is answered; None: the connection is cut."""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    silent: bool = False
    """Nothing is answered until the client gives up."""
    half: bool = False
    """The true answer, cut in the middle."""
    meanwhile: Callable[[], None] | None = None
    """Called once the server has done its part, before the client is answered."""

    @property
    def done(self) -> bool:
        return self.deed == "done"


HTML = (("Content-Type", "text/html"),)
SERVER_ERROR = b"<!doctype html><title>Server Error (500)</title><h1>Server Error (500)</h1>"
LOCKED = json.dumps({"detail": "database is locked", "exc_info": "OperationalError"}).encode()
JSON = (("Content-Type", "application/json"),)
NOT_DONE = (
    Fault("429", status=429, body=b"{}"),
    Fault("429 with Retry-After", status=429, headers=(("Retry-After", "1"),), body=b"{}"),
    Fault("500", status=500, headers=HTML, body=SERVER_ERROR),
    Fault("503", status=503, headers=HTML, body=b"<h1>Service Unavailable</h1>"),
    Fault("locked", status=500, headers=JSON, body=LOCKED),
    Fault("cut"),
)
DONE = (
    Fault("done, then 500", "done", status=500, headers=HTML, body=SERVER_ERROR),
    Fault("done, then cut", "done"),
    Fault("done, then half an answer", "done", half=True),
    Fault("done, then silence", "done", silent=True),
)
LATE = Fault("late", "late", silent=True)
Plan = Callable[[Exchange], Fault | None]


def nth(method: str, pattern: str, n: int, fault: Fault) -> Plan:
    """The n-th such request fails, from 1."""
    counter = itertools.count(1)
    return lambda one: fault if one.is_(method, pattern) and next(counter) == n else None


def each_once(fault: Fault, pattern: str = "", methods: tuple[str, ...] = ("GET", "POST")) -> Plan:
    """Each request fails when it is made for the first time."""
    seen: set[tuple[str, str, bytes]] = set()

    def plan(one: Exchange) -> Fault | None:
        key = (one.method, one.path, one.sent)
        if one.method not in methods or not re.search(pattern, one.path) or key in seen:
            return None
        seen.add(key)
        return fault

    return plan


class FaultyProxy:
    """A proxy to one server, at `url`."""

    def __init__(self, server: str) -> None:
        self.server = urlsplit(server).netloc
        self.plan: Plan = lambda one: None
        self.log: list[Exchange] = []
        self.held: list[Exchange] = []
        self._lock, self.closed = threading.Lock(), threading.Event()
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._http = _Quiet(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> "FaultyProxy":
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closed.set()
        self._http.shutdown()
        self._http.server_close()

    def made(self, method: str, pattern: str) -> list[Exchange]:
        """Such requests, so far."""
        return [one for one in self.log if one.is_(method, pattern)]

    def deliver(self) -> int:
        """Bring to the server what was held back. Returns how many requests it did."""
        held, self.held = self.held, []
        for one in held:
            status, _, _ = self.pass_on(one)
            assert status < 300, (one.path, status)
        return len(held)

    def begin(self, one: Exchange) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self.server, timeout=60)
        headers = {k: v for k, v in one.headers.items() if k.lower() not in ("host", "connection")}
        connection.request(one.method, one.path, one.sent, {**headers, "Connection": "close"})
        one.passed_on = True
        return connection

    def pass_on(self, one: Exchange) -> tuple[int, list[tuple[str, str]], bytes]:
        with contextlib.closing(self.begin(one)) as connection:
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()

    def take(self, method: str, path: str, sent: bytes, headers: dict[str, str]) -> Exchange:
        """Write a request down, and decide what goes wrong with it."""
        with self._lock:
            one = Exchange(len(self.log) + 1, method, path, sent, headers)
            self.log.append(one)
            one.fault = self.plan(one)
            return one


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no error of ours."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: FaultyProxy

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        one = self.proxy.take(self.command, self.path, sent, dict(self.headers))
        fault = one.fault
        if fault is None:
            try:
                answer = self.proxy.pass_on(one)
            except (OSError, http.client.HTTPException):
                return self.cut()  # the server is down
            return self.answer(one, *answer)
        if fault.deed == "late":
            self.proxy.held.append(one)
        if fault.deed == "done":
            status, headers, body = self.proxy.pass_on(one)
        if fault.deed == "begun":
            connection = self.proxy.begin(one)
        if fault.meanwhile is not None:
            fault.meanwhile()
        if fault.deed == "begun":
            connection.close()
        if fault.silent:
            return self.wait()
        if fault.half:
            return self.answer(one, status, headers, body, len(body) // 2)
        if fault.status is None:
            return self.cut()
        return self.answer(one, fault.status, list(fault.headers), fault.body)

    do_POST = do_PATCH = do_DELETE = do_PUT = do_GET

    def answer(
        self,
        one: Exchange,
        status: int,
        headers: list[tuple[str, str]],
        body: bytes,
        cut_at: int | None = None,
    ) -> None:
        one.status, one.received = status, body
        one.cookies = [v for k, v in headers if k.lower() == "set-cookie"]
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "connection", "transfer-encoding", "date"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:cut_at])
        if cut_at is not None:
            self.cut()

    def cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def wait(self) -> None:
        """Until the client hangs up."""
        self.connection.settimeout(0.2)
        while not self.proxy.closed.is_set():
            try:
                if not self.connection.recv(1):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        self.cut()
