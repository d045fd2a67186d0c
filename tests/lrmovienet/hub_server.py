"""A small model hub on loopback that speaks what huggingface_hub asks of one."""

import contextlib
import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


@dataclass
class Repo:
    """A model's files, by revision; `refused` is the status that all of it answers with."""

    revisions: dict[str, dict[str, bytes]]
    refused: int = 0

    def commit(self, revision):
        """The revision's commit: a hash of its files."""
        files = self.revisions[revision]
        content = [[name, hashlib.sha256(data).hexdigest()] for name, data in sorted(files.items())]
        return hashlib.sha1(json.dumps(content).encode()).hexdigest()

    def files(self, revision):
        """Commit and files of a revision, given by its name or commit; None for neither."""
        for name in self.revisions:
            if revision in (name, self.commit(name)):
                return self.commit(name), self.revisions[name]
        return None


@dataclass
class Hub:
    """Repositories, and a log of what was asked: ``GET /owner/name/resolve/main/file``."""

    repos: dict[str, Repo] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    cut_off: bool = False
    """End each body in its middle."""
    port: int = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def downloads(self):
        """What was downloaded since the last look, by the files' names."""
        asked, self.asked[:] = list(self.asked), []
        return [line.split("/resolve/")[1] for line in asked if line.startswith("GET") and
                "/resolve/" in line]  # fmt: skip

    @contextlib.contextmanager
    def running(self):
        """Serve; on the same port again after a pause."""
        handler = type("Bound", (_Handler,), {"hub": self})
        server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        server.daemon_threads = True
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        words = path.strip("/").split("/")
        if words[:2] == ["api", "models"]:
            self.describe(words[2:])
        elif len(words) > 4 and words[2] == "resolve":
            self.file(words[:2], words[3], "/".join(words[4:]))
        else:
            self.send(404, {})

    def find(self, words, revision):
        """Commit and files; None where an error was sent."""
        repo = self.hub.repos.get("/".join(words))
        if repo is None:
            self.send(401, {"X-Error-Message": "Invalid username or password."})
        elif repo.refused:
            code = {403: "GatedRepo", 404: "RepoNotFound"}.get(repo.refused, "")
            self.send(repo.refused, {"X-Error-Code": code} if code else {})
        elif (found := repo.files(revision)) is None:
            self.send(404, {"X-Error-Code": "RevisionNotFound"})
        else:
            return found
        return None

    def file(self, words, revision, name):
        if (found := self.find(words, revision)) is None:
            return
        commit, files = found
        headers = {"X-Repo-Commit": commit}
        if name not in files:
            self.send(404, headers | {"X-Error-Code": "EntryNotFound"})
            return
        data = files[name]
        self.send(200, headers | {"ETag": f'"{hashlib.sha1(data).hexdigest()}"'}, data)

    def describe(self, words):
        """``/api/models/owner/name``, with ``/revision/R`` or ``/tree/R`` behind it."""
        what, revision = words[2:4] if len(words) == 4 else ("revision", "main")
        if (found := self.find(words[:2], revision)) is None:
            return
        commit, files = found
        if what == "tree":
            answer = [
                {"type": "file", "path": name, "size": len(data),
                 "oid": hashlib.sha1(data).hexdigest()}
                for name, data in files.items()
            ]  # fmt: skip
        else:
            siblings = [{"rfilename": name} for name in files]
            answer = {"id": "/".join(words[:2]), "sha": commit, "siblings": siblings,
                      "private": False, "tags": [], "downloads": 0}  # fmt: skip
        self.send(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())

    def send(self, status, headers, data=b""):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data[: len(data) // 2] if self.hub.cut_off else data)
            if self.hub.cut_off:
                self.close_connection = True
