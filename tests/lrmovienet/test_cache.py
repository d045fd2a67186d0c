"""Results stay as they were put, whoever puts them, and a damaged file is said."""

import contextlib
import itertools
import multiprocessing
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrmovienet.cache import Cache
from lrmovienet.errors import UserError
from lrmovienet.files import sha256_of


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "deep" / "er" / "results.sqlite")


def test_nothing_is_known_of_a_cache_that_is_not_there(cache):
    assert cache.get(["a"]) == {}
    assert not cache.path.parent.exists()  # and looking makes none


def test_what_was_put_is_got(cache):
    cache.put({"a": b"1", "b": b"", "é\0 夜": bytes(range(256))})
    expected = {"a": b"1", "b": b"", "é\0 夜": bytes(range(256))}
    assert cache.get(["b", "a", "é\0 夜", "c", "a"]) == expected
    assert Cache(cache.path).get(iter(["a"])) == {"a": b"1"}
    assert cache.get([]) == {}
    assert cache.get(["A", "a ", "%", "*"]) == {}  # no patterns, no other case


def test_the_first_one_put_stays(cache):
    cache.put({"a": b"first"})
    cache.put({"a": b"second", "b": b"new"})
    assert cache.get(["a", "b"]) == {"a": b"first", "b": b"new"}


def test_nothing_to_put_is_fine(cache):
    cache.put({})
    assert cache.get(["a"]) == {}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.binary())))
def test_it_is_a_dict_in_which_the_first_stays(tmp_path_factory, puts):
    cache, expected = Cache(tmp_path_factory.mktemp("any") / "c.sqlite"), {}
    for results in puts:
        cache.put(results)
        expected = results | expected
    asked = [*expected, "unknown" * 9]
    assert cache.get(asked) == expected
    assert cache.get(asked[:1]) == {k: v for k, v in expected.items() if k == asked[0]}


@pytest.mark.parametrize("n", [499, 500, 501, 10_000])
def test_any_number_of_keys(cache, n):
    results = {f"key {i}": i.to_bytes(4, "big") for i in range(n)}
    cache.put(results)
    assert cache.get(results) == results
    assert cache.get(f"key {i}" for i in range(n - 1, 2 * n)) == {
        f"key {n - 1}": (n - 1).to_bytes(4, "big")
    }


def test_more_keys_than_a_query_may_have(cache):
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        most = database.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
    cache.put({"last": b"1"})
    asked = itertools.chain(map(str, range(most)), ["last"])
    assert cache.get(asked) == {"last": b"1"}


class BreaksOff(dict):
    def items(self):
        yield "b", b"2"
        raise KeyError("oh")


def test_all_of_a_put_is_kept_or_none(cache):
    cache.put({"a": b"1"})
    with pytest.raises(KeyError, match="oh"):
        cache.put(BreaksOff())
    assert cache.get(["a", "b"]) == {"a": b"1"}


def put_many(path, name, start):
    start.wait()
    cache = Cache(Path(path))
    for i in range(40):
        cache.put({f"{name} {i}": b"own", f"shared {i}": name.encode()})
        assert cache.get([f"{name} {i}"])


def test_several_processes_put_at_once(cache):
    context = multiprocessing.get_context("spawn")
    names, start = ["p", "q", "r"], context.Barrier(3)
    processes = [
        context.Process(target=put_many, args=(str(cache.path), name, start)) for name in names
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    own = {f"{name} {i}": b"own" for name in names for i in range(40)}
    assert cache.get(own) == own
    shared = cache.get(f"shared {i}" for i in range(40))
    assert len(shared) == 40
    assert set(shared.values()) <= {name.encode() for name in names}


def damage(path, how):
    data = path.read_bytes()
    if how == "text":
        path.write_text("these are no results\n" * 500)
    elif how == "cut off":
        path.write_bytes(data[: len(data) // 2])
    elif how == "overwritten":
        page = 4096
        path.write_bytes(data[:page] + b"\xaa" * (len(data) - page))


@pytest.mark.parametrize("how", ["text", "cut off", "overwritten"])
def test_a_damaged_file_is_said(cache, how):
    cache.put({f"key {i}": bytes(300) for i in range(200)})
    damage(cache.path, how)
    new = {f"new {i}": b"" for i in range(99)}
    for use in (lambda: cache.get(["key 7"]), lambda: cache.put(new)):
        with pytest.raises(UserError, match=r"damaged \(.*Delete it") as error:
            use()
        assert str(cache.path) in str(error.value)
        assert len(str(error.value).splitlines()) == 1
    cache.path.unlink()  # as it says
    cache.put({"a": b"1"})
    assert cache.get(["a"]) == {"a": b"1"}


def test_an_empty_file_is_an_empty_cache(cache):
    cache.path.parent.mkdir(parents=True)
    cache.path.touch()
    assert cache.get(["a"]) == {}
    cache.put({"a": b"1"})
    assert cache.get(["a"]) == {"a": b"1"}


def test_a_folder_that_cannot_be_made_is_an_oserror(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        Cache(tmp_path / "file" / "c.sqlite").put({"a": b"1"})


def test_what_cannot_be_opened_is_an_oserror_that_the_command_line_can_say(tmp_path):
    """It says one of these with a number in one line; one without is taken for a defect."""
    (tmp_path / "c.sqlite").mkdir()
    cache = Cache(tmp_path / "c.sqlite")
    for use in (lambda: cache.get(["a"]), lambda: cache.put({"a": b"1"})):
        with pytest.raises(OSError, match=r"c\.sqlite") as error:
            use()
        assert error.value.filename == str(cache.path)
        assert error.value.errno is not None


READ_ONLY = """
import os, sys
from pathlib import Path
from lrmovienet.cache import Cache
if os.geteuid() == 0:
    os.setuid(65534)  # whom permissions hold back
cache = Cache(Path(sys.argv[1]))
print(cache.get(["a", "b"]))
try:
    cache.put({"b": b"2"})
except OSError as error:
    print("OSError", error.filename, "|", error)
"""


def test_in_a_read_only_folder_it_can_be_read():
    folder = Path(tempfile.mkdtemp())  # tmp_path's parents are the owner's alone
    try:
        cache = Cache(folder / "c.sqlite")
        cache.put({"a": b"1"})
        cache.path.chmod(0o444)
        folder.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY, str(cache.path)],
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.stderr == ""
        first, second = done.stdout.splitlines()
        assert first == "{'a': b'1'}"
        assert second.startswith(f"OSError {cache.path} | ")
        assert "readonly" in second
        assert cache.get(["a", "b"]) == {"a": b"1"}
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


@pytest.mark.parametrize("garbage", [b"", b"abc", b"[1, 2]", b'{"text": "x"}', b"\xff" * 12])
def test_garbage_in_the_cache_is_said_and_not_read(tmp_path, garbage):
    from lrmovienet.candidates.near import label_vectors
    from lrmovienet.sentences import sentence_encoder
    from lrmovienet.tagging.frames import FrameTags
    from lrmovienet.tagging.imagenet import ImageNetTagger
    from lrmovienet.text.answers import Answers, Request
    from lrmovienet.text.openai_api import OpenAIServer

    path = tmp_path / "c.sqlite"
    answers = Answers(path, OpenAIServer("http://127.0.0.1:1/v1", "m"))
    tags = FrameTags(path, ImageNetTagger("w"), 0.1)
    encoder = sentence_encoder(None)
    about = sha256_of(encoder.identity)[:16]
    request, frame = Request("p"), {"ref": "r", "sha256": "s"}
    Cache(path).put(
        {
            **dict.fromkeys(answers._keys([request]).values(), garbage),
            f"{tags.key}:s": garbage,
            f"{about}:a": garbage,
            f"{about}:b": b"\0" * 1536,
        }
    )
    for read in (
        lambda: answers.known([request]),
        lambda: tags.read([frame]),
        lambda: label_vectors(["a", "b"], encoder, path),
    ):
        with pytest.raises(UserError, match=r"c\.sqlite: damaged .*Delete it"):
            read()
