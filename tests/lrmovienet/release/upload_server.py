"""A small dataset hub on loopback that can be written to, by what huggingface_hub asks of one.

It holds repositories with commits, branches and tags in memory, looks hard at what it is sent, and
fails where a test says so. Large files go the way of Git LFS (batch, PUT, verify). The real Hub
keeps them in Xet: a client that has the package hf_xet and no HF_HUB_DISABLE_XET asks it for
``xet-write-token`` when `preupload` answers ``lfs``, and sends chunks by a protocol of its own.
That way is not here (404), so tests switch Xet off, and nothing they show holds for it.
"""

import contextlib
import fnmatch
import hashlib
import json
import re
import socket
import struct
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from upload_repo import (
    ATTRIBUTES,
    Blob,
    Fault,
    Refused,
    Repo,
    checked_path,
    fields,
    from_base64,
    is_large,
    validate_card,
)  # fmt: skip

WRITER, READER, STRANGER = "hf_writerwriterwriter", "hf_readerreaderreader", "hf_strangerstranger"
OWNER = "films"
PAGE = 4  # files a page of a listing, so that clients turn pages


@dataclass
class UploadHub:
    repos: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)  # "METHOD path" of every request
    events: list = field(default_factory=list)  # what was written: ("commit", sha), …
    faults: list = field(default_factory=list)
    secret: str = "X-Amz-Signature=5ignature"
    port: int = 0

    def __post_init__(self):
        self.lock, self.held, self.let_go = threading.RLock(), threading.Event(), threading.Event()
        self.seen, self.met = {}, []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def fail(self, match, how, nth=1, headers=()):
        self.faults.append(Fault(match, how, nth, tuple(headers)))

    def reset(self):
        """As after the start. Repositories go as well."""
        for of in (self.repos, self.asked, self.events, self.faults, self.seen, self.met):
            of.clear()
        self.held.clear()
        self.let_go.clear()

    def new_repo(self, name, private=True):
        repo = self.repos[name] = Repo(private)
        repo.add("main", {".gitattributes": Blob(ATTRIBUTES, False)}, "initial commit")
        return repo

    def fault(self, line):
        """The fault that is meant for this request. Counts matching requests."""
        with self.lock:
            matched = {fault.match for fault in self.faults if re.search(fault.match, line)}
            for match in matched:
                self.seen[match] = self.seen.get(match, 0) + 1
            for fault in self.faults:
                if fault.match in matched and fault.nth == self.seen[fault.match]:
                    self.met.append(fault)
                    return fault
        return None

    @contextlib.contextmanager
    def running(self):
        handler = type("Bound", (_Handler,), {"hub": self})
        server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        server.daemon_threads = True
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            self.let_go.set()
            server.shutdown()
            server.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: UploadHub

    def log_message(self, *_):
        pass

    def answer(self):
        self.path_asked = unquote(urlsplit(self.path).path)
        line = f"{self.command} {self.path_asked}"
        self.query = {k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()}
        self.hub.asked.append(line)
        fault = self.hub.fault(line)
        how = fault.how if fault else None
        if how == "cut":
            self.rfile.read(int(self.headers.get("Content-Length", 0)) // 2)
            return self.reset_connection()
        self.body = self.read_body()
        if how in ("hold", "drop"):
            self.hub.held.set()
            self.hub.let_go.wait(60)
        if how == "drop":
            return self.reset_connection()
        if isinstance(how, int):
            return self.send(how, {"error": "made to fail"}, dict(fault.headers))
        try:
            with self.hub.lock:
                status, content, headers = self.route()
        except Refused as error:
            headers = {"X-Error-Message": str(error)}
            if error.code:
                headers["X-Error-Code"] = error.code
            status, content = error.status, {"error": str(error), **error.more}
        if how == "lost":
            return self.reset_connection()
        return self.send(status, content, headers, half=how == "half")

    do_GET = do_HEAD = do_POST = do_PUT = answer

    def reset_connection(self):
        """End it the hard way, as a machine that goes down does."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True

    def read_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            size = int(self.headers.get("Content-Length", 0))
            data = self.rfile.read(size)
            if len(data) != size:  # the client is gone
                self.close_connection = True
            return data
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def send(self, status, content, headers, half=False):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(data) + half))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if half else data)
        self.close_connection = True

    # --- who asks ---

    def token(self):
        given = self.headers.get("Authorization")
        if given is None:
            return None
        token = given.removeprefix("Bearer ")
        if token not in (WRITER, READER, STRANGER):
            raise Refused(401, "Invalid credentials in Authorization header")
        return token

    def must_write(self, owner=OWNER):
        token = self.token()
        if token is None:
            raise Refused(401, "Invalid username or password.")
        if token != WRITER or owner != OWNER:
            raise Refused(403, "You don't have the rights to do this under this namespace")

    def repo(self, name):
        token, repo = self.token(), self.hub.repos.get(name)
        if repo is None or (repo.private and token not in (WRITER, READER)):
            if token is None:
                raise Refused(401, "Invalid username or password.")
            raise Refused(404, "Repository not found", "RepoNotFound")
        return repo

    def json(self, needed, optional=()):
        """The body, with these fields and no others."""
        try:
            value = json.loads(self.body)
        except ValueError:
            raise Refused(400, "not JSON") from None
        return fields(value, needed, optional)

    # --- what is asked ---

    def route(self):
        path = self.path_asked
        if path == "/api/repos/create":
            return self.create()
        if path == "/api/validate-yaml":
            value = self.json({"content", "repoType"})
            validate_card(value["content"])
            return 200, {"errors": [], "warnings": []}, {}
        if path == "/api/whoami-v2":
            if self.token() is None:
                raise Refused(401, "Invalid username or password.")
            return 200, {"name": OWNER, "type": "user", "orgs": []}, {}
        if match := re.fullmatch(r"/lfs/([^/]+/[^/]+)/(verify|[0-9a-f]{64})", path):
            return self.store(*match.groups())
        if match := re.fullmatch(r"/datasets/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            return self.batch(match[1])
        if match := re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self.resolve(*match.groups())
        match = re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(?:/(\w+)(?:/([^/]+))?)?", path)
        what = f"{self.command} {match[2] or 'revision'}" if match else ""
        handlers = {
            "GET revision": self.info, "GET refs": self.refs, "GET tree": self.tree,
            "POST preupload": self.preupload, "POST commit": self.commit, "POST tag": self.tag,
        }  # fmt: skip
        if what not in handlers:
            raise Refused(404, f"nothing at {path}")
        repo = self.repo(match[1])
        if self.command == "POST":
            self.must_write(match[1].split("/")[0])
        return 200, *handlers[what](repo, match[1], match[3] or "main")

    def create(self):
        value = self.json({"name", "organization", "type"}, {"visibility", "private"})
        self.must_write(value["organization"])
        name = f"{value['organization']}/{value['name']}"
        where = {"url": f"{self.hub.url}/datasets/{name}", "name": name}
        if value["type"] != "dataset":
            raise Refused(400, "only datasets here")
        if name in self.hub.repos:
            raise Refused(409, "You already created this dataset repo", **where)
        private = value.get("visibility") == "private" or value.get("private") is True
        self.hub.new_repo(name, private)
        self.hub.events.append(("create", name))
        return 200, where, {}

    def found(self, repo, revision):
        sha = repo.find(revision)
        if sha is None:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return sha

    def info(self, repo, name, revision):
        sha = self.found(repo, revision)
        siblings = [{"rfilename": path} for path in repo.commits[sha][2]]
        return {"id": name, "sha": sha, "private": repo.private, "gated": False, "tags": [],
                "siblings": siblings, "downloads": 0, "disabled": False}, {}  # fmt: skip

    def refs(self, repo, *_):
        def listed(kind, refs):
            return [{"name": n, "ref": f"refs/{kind}/{n}", "targetCommit": c}
                    for n, c in refs.items()]  # fmt: skip

        return {"branches": listed("heads", repo.branches), "tags": listed("tags", repo.tags),
                "converts": []}, {}  # fmt: skip

    def tree(self, repo, name, revision):
        files = sorted(repo.commits[self.found(repo, revision)][2].items())
        if self.query.get("recursive", "").lower() != "true":
            files = [(path, blob) for path, blob in files if "/" not in path]
        start = int(self.query.get("cursor", 0))
        page = []
        for path, blob in files[start : start + PAGE]:
            item = {"type": "file", "path": path, "size": len(blob.data), "oid": blob.oid}
            if blob.large:
                item["lfs"] = {"oid": blob.sha256, "size": len(blob.data), "pointerSize": 130}
            page.append(item)
        headers = {}
        if start == 0:
            folders = sorted({p.split("/")[0] for p, _ in files if "/" in p})
            page += [{"type": "directory", "path": f, "size": 0, "oid": "0" * 40} for f in folders]
        if start + PAGE < len(files):
            after = f"{self.hub.url}/api/datasets/{name}/tree/{revision}?cursor={start + PAGE}"
            headers["Link"] = f'<{after}&recursive=True>; rel="next"'
        return page, headers

    def preupload(self, repo, _, revision):
        value = self.json({"files"}, {"gitIgnore"})
        there = repo.commits[self.found(repo, revision)][2]
        ignored = there[".gitignore"].data.decode().split() if ".gitignore" in there else []
        answers = []
        for item in value["files"]:
            fields(item, {"path", "sample", "size"})
            sample, path = from_base64(item["sample"]), checked_path(item["path"])
            large = is_large(path, sample, item["size"])
            oid = there[path].sha256 if large and path in there else None
            oid = there[path].oid if not large and path in there else oid
            answers.append({
                "path": path, "uploadMode": "lfs" if large else "regular", "oid": oid,
                "shouldIgnore": any(fnmatch.fnmatch(path, p) for p in ignored),
            })  # fmt: skip
        return {"files": answers, "commitOid": repo.find(revision)}, {}

    def batch(self, name):
        repo = self.repo(name)
        self.must_write(name.split("/")[0])
        value = self.json({"operation", "transfers", "objects", "hash_algo"}, {"ref"})
        if value["operation"] != "upload" or value["hash_algo"] != "sha256":
            raise Refused(422, "only uploads by sha256")
        answers = []
        for item in value["objects"]:
            fields(item, {"oid", "size"})
            answer = dict(item)
            if item["oid"] not in repo.objects:
                where = f"{self.hub.url}/lfs/{name}"
                put = {"href": f"{where}/{item['oid']}?{self.hub.secret}&size={item['size']}"}
                answer["actions"] = {"upload": put, "verify": {"href": f"{where}/verify"}}
            answers.append(answer)
        return 200, {"transfer": "basic", "objects": answers}, {}

    def store(self, name, what):
        """An object by its signed address, which needs no token; or whether one is there."""
        objects = self.hub.repos[name].objects
        if what == "verify":
            self.must_write(name.split("/")[0])
            value = self.json({"oid", "size"})
            if len(objects.get(value["oid"], b"")) != value["size"]:
                raise Refused(404, "no such object")
            return 200, {}, {}
        if self.command != "PUT" or "X-Amz-Signature" not in self.query:
            raise Refused(403, "no signature")
        if "Authorization" in self.headers:
            raise Refused(400, "Only one auth mechanism allowed")
        if hashlib.sha256(self.body).hexdigest() != what:
            raise Refused(400, "the sha256 is another")
        if len(self.body) != int(self.query["size"]):
            raise Refused(400, "the size is another")
        objects[what] = self.body
        self.hub.events.append(("object", what))
        return 200, b"", {"ETag": f'"{what}"'}

    def commit(self, repo, name, branch):
        if branch not in repo.branches:
            raise Refused(404, f"no branch {branch}", "RevisionNotFound")
        if self.headers["Content-Type"] != "application/x-ndjson":
            raise Refused(400, "expected NDJSON")
        lines = [fields(json.loads(line), {"key", "value"}) for line in self.body.splitlines()]
        header = fields(lines[0]["value"], {"summary", "description"}, {"parentCommit"})
        if lines[0]["key"] != "header" or not header["summary"]:
            raise Refused(400, "expected a header")
        if header.get("parentCommit") not in (None, repo.branches[branch]):
            raise Refused(412, "A commit has happened since. Please refresh and try again.")
        files = dict(repo.commits[repo.branches[branch]][2])
        for line in lines[1:]:
            self.operate(repo, files, line["key"], line["value"])
        sha = repo.add(branch, files, header["summary"])
        self.hub.events.append(("commit", sha))
        where = f"{self.hub.url}/datasets/{name}/commit/{sha}"
        return {"success": True, "commitOid": sha, "commitUrl": where, "hookOutput": ""}, {}

    def operate(self, repo, files, key, value):
        path = checked_path(value.get("path"))
        if key == "deletedFile":
            fields(value, {"path"})
            if path not in files:
                raise Refused(404, "A file with this name doesn't exist", "EntryNotFound")
            del files[path]
        elif key == "lfsFile":
            fields(value, {"path", "algo", "oid", "size"})
            if len(repo.objects.get(value["oid"], b"")) != value["size"]:
                raise Refused(400, "an LFS pointer pointed to a file that does not exist")
            files[path] = Blob(repo.objects[value["oid"]], True)
        elif key == "file":
            fields(value, {"path", "content", "encoding"})
            data = from_base64(value["content"])
            if is_large(path, data[:512], len(data)):
                raise Refused(400, f"{path} is too large, or binary: use LFS")
            if path == "README.md":
                validate_card(data.decode())
            files[path] = Blob(data, False)
        else:
            raise Refused(400, f"unknown operation {key}")

    def tag(self, repo, _, revision):
        value, sha = self.json({"tag"}, {"message"}), self.found(repo, revision)
        if value["tag"] in repo.tags:
            raise Refused(409, f"Tag {value['tag']} already exists")
        repo.tags[value["tag"]] = sha
        self.hub.events.append(("tag", value["tag"]))
        return b"", {}

    def resolve(self, name, revision, path):
        repo = self.repo(name)
        sha = self.found(repo, revision)
        headers = {"X-Repo-Commit": sha, "Accept-Ranges": "bytes"}
        if path not in repo.commits[sha][2]:
            raise Refused(404, "Entry not found", "EntryNotFound")
        blob = repo.commits[sha][2][path]
        headers["ETag"] = f'"{blob.sha256 if blob.large else blob.oid}"'
        if ranged := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            rest = blob.data[int(ranged[1]) :]
            whole = f"bytes {ranged[1]}-{len(blob.data) - 1}/{len(blob.data)}"
            return 206, rest, headers | {"Content-Range": whole}
        return 200, blob.data, headers
