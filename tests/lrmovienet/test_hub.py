"""Model files by path or hub id: downloaded once, and whatever goes wrong is said in a line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import Hub, Repo

from lrmovienet.errors import UserError
from lrmovienet.hub import MODEL_FILES, model_file, model_folder

CLIENT = """
import json, sys, traceback
from lrmovienet.errors import UserError
from lrmovienet import hub
for line in sys.stdin:
    name, args = json.loads(line)
    try:
        answer = ["ok", str(getattr(hub, name)(*args))]
    except UserError as error:
        answer = ["UserError", str(error)]
    except BaseException:
        answer = ["defect", traceback.format_exc()]
    print("\\n>" + json.dumps(answer), flush=True)
"""
FILES = {
    "model.safetensors": b"weights" * 100, "config.json": b"{}", "vocab.txt": b"a\nb\n",
    "sub/part.json": b"[]", "pytorch_model.bin": b"runs code", "README.md": b"# model",
    "run.py": b"import os",
}  # fmt: skip


@pytest.fixture(scope="module")
def hub():
    with Hub().running() as hub:
        pass  # so that the port is known; each test starts it again
    return hub


@pytest.fixture(autouse=True)
def nothing_asked(hub):
    hub.asked.clear()


class Client:
    """A process of its own, for the library reads its environment when it is imported."""

    def __init__(self, url, home):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TRANSFORMERS_"))}
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            env.pop(name, None)
            env.pop(name.upper(), None)
        env |= {"HF_ENDPOINT": url, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLIENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, env=env, cwd=home,
        )  # fmt: skip

    def __call__(self, name, *args):
        self.process.stdin.write(json.dumps([name, args]) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith(">"):
                return json.loads(line[1:])
        raise AssertionError(f"the client ended with {self.process.wait()}")


@pytest.fixture(scope="module")
def client(hub, tmp_path_factory):
    client = Client(hub.url, tmp_path_factory.mktemp("hub"))
    yield client
    client.process.stdin.close()
    client.process.wait(20)


def refused(answer, *words):
    """A hub id that was refused in one line with all of these words."""
    kind, message = answer
    assert kind == "UserError", message
    assert len(message.splitlines()) == 1
    assert len(message) < 600
    for word in (*words, "Check the name, log in where the model asks for it, or download"):
        assert word in message
    return message


# --- paths ---


def test_a_path_is_taken_as_it_is(tmp_path, monkeypatch):
    (tmp_path / "ram.pth").write_bytes(b"w")
    assert model_file(str(tmp_path / "ram.pth"), "checkpoint") == tmp_path / "ram.pth"
    assert model_folder(str(tmp_path), "model") == tmp_path
    assert model_folder(str(tmp_path / "ram.pth"), "model") == tmp_path / "ram.pth"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert model_file("~/ram.pth", "checkpoint") == tmp_path / "ram.pth"
    assert model_folder("~", "model") == tmp_path


def test_a_path_goes_before_a_hub_id_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner").mkdir()
    (tmp_path / "owner/name").write_bytes(b"w")
    assert model_file("owner/name", "checkpoint", "x").read_bytes() == b"w"
    assert model_folder("owner/name", "model").read_bytes() == b"w"


@pytest.mark.parametrize(
    "given", ["ram.pth", "/no/such/ram.pth", "./owner/name", "a/b/c", "a b/c", "", "owner/", "/",
              "é/b", "owner/name@", "owner/name:", "owner/name@a b", "https://hub/owner/name"],
)  # fmt: skip
def test_what_is_neither_path_nor_id(given):
    with pytest.raises(UserError, match=r"--checkpoint .*no such file\. Give a path, or a hub id"):
        model_file(given, "checkpoint", "ram.pth")
    if given != "/":
        with pytest.raises(UserError, match=r"--model .*: no such folder or file, and no hub id"):
            model_folder(given, "model")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(UserError, match=r"no such file\. Give a path"):
        model_file(str(tmp_path), "checkpoint", "ram.pth")


def test_an_id_without_file_needs_one():
    with pytest.raises(UserError, match="hub id with the file's name, owner/name:file"):
        model_file("owner/name", "checkpoint")


# --- ids ---


def test_a_file_is_downloaded_once(hub, client):
    hub.repos["first/ram"] = Repo({"main": FILES | {"ram.pth": b"abc"}})
    with hub.running():
        kind, path = client("model_file", "first/ram", "checkpoint", "ram.pth")
        assert kind == "ok", path
        assert Path(path).read_bytes() == b"abc"
        assert hub.downloads() == ["main/ram.pth"]
        assert client("model_file", "first/ram:ram.pth", "checkpoint") == ["ok", path]
        assert hub.downloads() == []
    assert client("model_file", "first/ram", "checkpoint", "ram.pth") == ["ok", path]
    assert client("model_file", "first/ram:ram.pth", "checkpoint", "other") == ["ok", path]


def test_another_file_and_another_revision(hub, client):
    v1, main = {"a/b.bin": b"old"}, {"a/b.bin": b"new", "c-1.0_x.bin": b"c"}
    hub.repos["own.er/na_me-1.0"] = repo = Repo({"main": main, "v1.0": v1})
    with hub.running():
        for given, expected in (
            ("own.er/na_me-1.0:a/b.bin", b"new"),
            ("own.er/na_me-1.0@v1.0:a/b.bin", b"old"),
            (f"own.er/na_me-1.0@{repo.commit('v1.0')}:a/b.bin", b"old"),
            ("own.er/na_me-1.0@main:c-1.0_x.bin", b"c"),
        ):
            kind, path = client("model_file", given, "checkpoint", "default")
            assert kind == "ok", path
            assert Path(path).read_bytes() == expected
        kind, path = client("model_file", "own.er/na_me-1.0@v1.0", "checkpoint", "a/b.bin")
        assert Path(path).read_bytes() == b"old"
        answer = client("model_file", "own.er/na_me-1.0@v9:a/b.bin", "checkpoint")
        refused(answer, "--checkpoint own.er/na_me-1.0@v9:a/b.bin", "404")


def test_a_folder_is_downloaded_without_what_runs_code(hub, client):
    hub.repos["second/llm"] = Repo({"main": FILES})
    with hub.running():
        kind, path = client("model_folder", "second/llm", "model")
        assert kind == "ok", path
        found = {str(p.relative_to(path)) for p in Path(path).rglob("*") if p.is_file()}
        assert found == {"model.safetensors", "config.json", "vocab.txt", "sub/part.json"}
        assert len(hub.downloads()) == 4
        assert client("model_folder", "second/llm", "model") == ["ok", path]
        assert hub.downloads() == []
        kind, one = client("model_folder", "second/llm:run.py", "model")
        assert (kind, Path(one).read_bytes()) == ("ok", b"import os")
    assert client("model_folder", "second/llm", "model") == ["ok", path]
    assert not {"*.bin", "*.pt", "*.pth", "*.pkl", "*.py"} & set(MODEL_FILES)


@pytest.mark.parametrize("function", ["model_file", "model_folder"])
def test_what_the_hub_refuses_is_a_line(hub, client, function):
    hub.repos["third/there"] = Repo({"main": FILES})
    hub.repos["third/gated"] = Repo({"main": FILES}, refused=403)
    hub.repos["third/gone"] = Repo({"main": FILES}, refused=404)
    default = ["ram.pth"] if function == "model_file" else []
    with hub.running():
        for given, status in (
            ("third/unknown", "401"), ("third/gated", "403"), ("third/gone", "404"),
            ("third/there@nowhere", "404"),
        ):  # fmt: skip
            refused(client(function, given, "model", *default), f"--model {given}", status)
        answer = client(function, "third/there:absent.pth", "model")
        refused(answer, "--model third/there:absent.pth", "404")


@pytest.mark.parametrize(
    "function", [pytest.param("model_file", marks=pytest.mark.slow), "model_folder"]
)  # the library asks for a single file five times, in 23 s
def test_without_a_server_it_is_a_line(client, function):
    default = ["ram.pth"] if function == "model_file" else []
    refused(client(function, "fourth/never-seen", "checkpoint", *default), "fourth/never-seen")


@pytest.mark.parametrize("given", ["a--b/c", "a/b--c", "a/b..c", "a/-b", "a/" + "b" * 200])
def test_ids_that_the_hub_has_no_room_for(hub, client, given):
    with hub.running():
        refused(client("model_file", given, "checkpoint", "ram.pth"), given[:90])
    assert hub.downloads() == []


def test_a_file_out_of_its_folder_is_not_written(hub, client, tmp_path_factory):
    hub.repos["fifth/up"] = Repo({"main": {"../../../up.txt": b"up", "x.json": b"{}"}})
    with hub.running():
        kind, message = client("model_file", "fifth/up:../../../up.txt", "checkpoint")
    assert kind == "UserError", message
    base = tmp_path_factory.getbasetemp()
    assert not list(base.rglob("up.txt"))


@pytest.mark.slow
@pytest.mark.parametrize("function", ["model_file", "model_folder"])
def test_a_download_that_breaks_off_is_a_line_and_goes_on_later(hub, client, function):
    name = f"sixth/{function}"
    hub.repos[name] = Repo({"main": {"config.json": b"0123456789" * 1000}})
    default = ["config.json"] if function == "model_file" else []
    hub.cut_off = True
    try:
        with hub.running():
            refused(client(function, name, "model", *default), f"--model {name}")
    finally:
        hub.cut_off = False
    with hub.running():
        kind, path = client(function, name, "model", *default)
        assert kind == "ok", path
