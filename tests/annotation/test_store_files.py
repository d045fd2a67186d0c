"""Files of the store that are not usable, or not there."""

import sqlite3
from pathlib import Path

import pytest

from annotation.store import VERSION, Store, opened
from annotation.tasks import Page
from lrmovienet.errors import UserError
from lrmovienet.workspace import Workspace


def garbage(path: Path) -> None:
    path.write_bytes(b"this is no database" * 500)


def folder(path: Path) -> None:
    path.mkdir()


def half(path: Path) -> None:
    filled(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damaged(path: Path) -> None:
    filled(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xff" * (len(whole) - 8192))


def of_others(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE about (recipe TEXT)")
    db.close()


def filled(path: Path) -> None:
    store = Store(path)
    pages = [Page(f"u{i}", "grading", "first", f"c{i}", (("x" * 200,),)) for i in range(500)]
    store.plan(pages, [])
    store.close()


@pytest.mark.parametrize("harm", [garbage, folder, half, damaged, of_others])
def test_a_file_that_is_not_usable_is_named_with_what_to_do(tmp_path, harm):
    path = tmp_path / "annotation" / "store.sqlite"
    path.parent.mkdir()
    harm(path)
    with pytest.raises(UserError, match=r"not usable .*Put a copy back") as error:  # noqa: SIM117
        with opened(Workspace(tmp_path)) as store:
            store.pages()
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize("version", [VERSION + 1, 99])
def test_a_store_of_another_version_is_left_alone(tmp_path, version):
    path = tmp_path / "store.sqlite"
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {version}")
    db.close()
    before = path.read_bytes()
    with pytest.raises(UserError, match=f"written as version {version}, this is version {VERSION}"):
        Store(path)
    assert path.read_bytes() == before


def test_without_a_push_there_is_nothing_to_open(tmp_path):
    with (
        pytest.raises(UserError, match="nothing was pushed from here yet") as error,
        opened(Workspace(tmp_path / "w")),
    ):
        pass
    assert "lrmovienet annotate push" in str(error.value)
    assert not (tmp_path / "w").exists()
    with opened(Workspace(tmp_path / "w"), make=True) as store:
        assert store.projects() == []
    with opened(Workspace(tmp_path / "w")) as again:
        assert again.workspace_id
