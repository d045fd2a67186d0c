"""What is wrong with a server, a token or a folder is one message; and secrets stay secret."""

import http.server
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import jwt
import pytest
from conftest import Running
from faulty_proxy import JSON, Exchange, Fault, FaultyProxy
from real_server import Api, OwnServer, workspace_id

from annotation import local_server, storage
from lrmovienet.cli import main

pytestmark = [pytest.mark.service, pytest.mark.timeout(400)]  # a first start takes minutes

Refused = Callable[..., str]


@pytest.fixture
def push(workspace: Path, studio: Running) -> Callable[..., list[str]]:
    """A push that would work, with some options given otherwise."""

    def argv(**other: object) -> list[str]:
        options = {
            "workspace": workspace, "annotators": "ann", "overlap": 1, "limit": 2,
            "server": studio.url, "token_file": studio.folder / "token", "files": studio.files,
            "patience_s": 0, **other,
        }  # fmt: skip
        return ["annotate", "push", "grading", *[f"--{k}={v}" for k, v in options.items()]]

    return argv


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str]) -> Refused:
    """Run a command that is refused. Returns its one message."""

    def run(argv: list[str]) -> str:
        capfd.readouterr()
        assert main(argv) == 2
        said = capfd.readouterr().err
        heading = "lrmovienet annotate push: error: "
        assert said.startswith(heading)
        assert said.count("error: ") == 1
        assert len(said) < 1500
        return said.removeprefix(heading).strip()

    return run


class Other:
    """A server on loopback that is no Label Studio: answers everything in one way."""

    def __init__(self, status: int, content_type: str, body: bytes, **headers: str) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(status)
                for name, value in {"Content-Type": content_type, **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def __enter__(self) -> "Other":
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()
        self.http.server_close()


def test_a_port_where_nobody_listens(push: Callable[..., list[str]], refused: Refused) -> None:
    url = f"http://127.0.0.1:{local_server.free_port()}"
    assert refused(push(server=url)) == (
        f"{url}: no answer (ConnectError), for 0 s. When it is up again, run the same command: it "
        "goes on where it stopped."
    )


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:8080", "ftp://a", "http:///x", "http://me:secret@127.0.0.1", "http://[::1",
     "http://127.0.0.1:port", "http://127.0.0.1\x00", "", "http://"],
)  # fmt: skip
def test_what_is_no_address(url: str, push: Callable[..., list[str]], refused: Refused) -> None:
    said = refused(push(server=url))
    assert "--server" in said
    assert "secret" not in said


@pytest.fixture(params=["legacy", "personal"])
def token_file(request: pytest.FixtureRequest, studio: Running, tmp_path: Path) -> Iterator[Path]:
    """A token of each kind, in a file."""
    path = tmp_path / "token"
    api = Api(studio.url, studio.token)
    if request.param == "legacy":
        token = studio.token
    else:
        token = api("POST", "token/")["token"]
        assert jwt.decode(token, options={"verify_signature": False})["token_type"] == "refresh"
    path.write_text(token + "\n")
    path.chmod(0o600)
    yield path
    if request.param == "personal":
        api("POST", "token/blacklist/", {"refresh": token})  # the server allows one a person


PAGE = b"<!doctype html>\n<html><title>Welcome</title>\n<body>" + b"<p>hello</p>\n" * 99
ANSWERS = {
    "a page": (200, "text/html", PAGE),
    "a page not found": (404, "text/html", PAGE),
    "a page without rights": (405, "text/html", PAGE),
    "another service": (200, "application/json", b'{"hello": "world", "items": []}'),
    "a list": (200, "application/json", b"[1, 2]"),
    "null": (200, "application/json", b"null"),
    "nothing": (204, "text/plain", b""),
    "noise": (200, "application/json", bytes(range(128, 256))),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_server_that_is_another_one(
    answer: str, push: Callable[..., list[str]], refused: Refused, token_file: Path
) -> None:
    with Other(*ANSWERS[answer]) as other:
        said = refused(push(server=other.url, token_file=token_file))
    assert said.startswith(other.url)
    assert "<" not in said  # a page is not quoted


def test_a_server_that_sends_on(push: Callable[..., list[str]], refused: Refused) -> None:
    with Other(301, "text/html", b"", Location="https://127.0.0.1/") as other:
        said = refused(push(server=other.url))
    assert said == (
        f"{other.url}: sends on to another address. Give that one as --server (https?)."
    )


def test_a_path_too_many_in_the_address(
    studio: Running, push: Callable[..., list[str]], refused: Refused
) -> None:
    said = refused(push(server=f"{studio.url}/projects"))
    assert said.startswith(f"{studio.url}/projects: ")
    assert "<" not in said


def written(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def expired() -> bytes:
    return jwt.encode({"token_type": "refresh", "exp": 1_000_000_000}, "k" * 40).encode()


def test_tokens_that_cannot_be_used(
    studio: Running, push: Callable[..., list[str]], refused: Refused, tmp_path: Path
) -> None:
    path = tmp_path / "t"
    assert "no access token: set LABEL_STUDIO_API_KEY" in refused(push(token_file=path))
    right = studio.token.encode()
    said = refused(push(token_file=written(path, right, 0o644)))
    assert said == f"{path}: others can read this access token. Run: chmod 600 {path}"
    assert "is empty" in refused(push(token_file=written(path, b" \n")))
    wrong = refused(push(token_file=written(path, b"0" * 40)))
    assert wrong.startswith(f"{studio.url}: refuses the access token (401)")
    assert "blanks or other strange" in refused(push(token_file=written(path, b"two words")))
    assert "expired" in refused(push(token_file=written(path, expired())))


def test_a_token_file_that_is_no_text(
    push: Callable[..., list[str]], refused: Refused, tmp_path: Path
) -> None:
    path = written(tmp_path / "t", b"\xff\xfe\x00secret")
    assert str(path) in refused(push(token_file=path))


def test_a_token_in_the_environment_wins(
    push: Callable[..., list[str]], studio: Running, refused: Refused, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "0" * 40)
    assert "refuses the access token (401)" in refused(push())
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", studio.token)
    assert main(push(token_file=tmp_path / "none", pictures="false")) == 0


def test_which_of_root_path_and_address_of_the_files_is_wrong(
    studio: Running, workspace: Path, push: Callable[..., list[str]], refused: Refused,
    tmp_path: Path,
) -> None:  # fmt: skip
    none = tmp_path / "none"
    assert refused(push(files=none)).startswith(f"--files {none}: no such folder. ")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    root = refused(push(files=elsewhere))
    assert root.startswith("the ROOT is wrong: ")
    assert "--files_on_server" in root
    below = studio.files / f"below-{workspace_id(workspace)}"
    below.mkdir()
    address = refused(push(files=below))
    assert address.startswith("the URL is wrong: ")
    assert f"is {studio.files.resolve()}, not {below.resolve()}" in address
    assert address.endswith(f"Give --files {studio.files.resolve()}.")
    # The server's own folder exists and lacks the files, or has others.
    ours = studio.files / f"lrmovienet-{workspace_id(workspace)}"
    ours.mkdir(exist_ok=True)
    there = studio.files.resolve()
    path = refused(push(files=elsewhere, files_on_server=there))
    assert path.startswith("the PATH is wrong: the server has a storage connection on ")
    assert "does not find" in path
    for sheet in (elsewhere / ours.name).iterdir():
        (ours / sheet.name).write_bytes(b"another picture")
    other = refused(push(files=elsewhere, files_on_server=there))
    assert other.startswith("the PATH is wrong: under /data/local-files/?d=")
    assert "has another file than" in other
    shutil.rmtree(ours)
    assert main(push()) == 0  # and the right one works after all the wrong ones
    assert storage.ROOT_VARIABLE in root


def test_a_server_that_does_not_serve_local_files(
    studio: Running, push: Callable[..., list[str]], refused: Refused, tmp_path: Path
) -> None:
    off = {"LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "false"}
    with OwnServer(tmp_path / "own", studio.folder, **off) as own:
        files = own.folder / "files"
        said = refused(push(**own.options(), files=files))
        assert "Start the server with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true" in said
        assert f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={files.resolve()}" in said
        assert main(push(**own.options(), pictures="false")) == 0


def test_both_kinds_of_token_work_and_no_secret_is_told_or_kept(
    token_file: Path, studio: Running, workspace: Path, push: Callable[..., list[str]],
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    capfd.readouterr()
    with FaultyProxy(studio.url) as proxy:
        options = {"server": proxy.url, "token_file": token_file}
        assert main(push(**options)) == 0
        pulling = ["annotate", "pull", f"--workspace={workspace}", f"--server={proxy.url}"]
        assert main([*pulling, f"--token_file={token_file}"]) == 0
        for status in (400, 401, 404, 418, 500):
            # A server that says back what it was sent, as pages for developers do.
            def echo(one: Exchange, status: int = status) -> Fault:
                token = one.headers.get("Authorization", one.sent.decode())
                body = json.dumps({"detail": f"sent: {token}"}).encode()
                return Fault("echo", status=status, headers=JSON, body=body)

            proxy.plan = echo
            assert main(push(**options)) == 2
        secrets = {token_file.read_text().strip()}
        for one in proxy.log:
            secrets.add(one.headers.get("Authorization", "").split(" ")[-1])
            secrets.update(c.strip().split(";")[0].split("=", 1)[1] for c in one.cookies)
    secrets.discard("")
    # The token, the cookies of sessions and, for a personal token, the access token.
    assert len(secrets) > 2
    told = capfd.readouterr()
    for name, text in (("out", told.out), ("err", told.err)):
        assert not [s for s in secrets if s in text], name
    files = [Path(folder) / name for folder, _, names in os.walk(workspace) for name in names]
    assert workspace / "annotation" / "store.sqlite" in files
    assert workspace / "runs.jsonl" in files
    for path in files:
        content = path.read_bytes()
        assert not [s for s in secrets if s.encode() in content], path
