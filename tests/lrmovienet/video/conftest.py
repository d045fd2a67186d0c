import shutil

import pytest
from ingesting import ingest, make_video


@pytest.fixture(scope="session")
def films(tmp_path_factory):
    """Two films of two seconds, a.avi of two shots and b.avi of one, and a CSV of both."""
    folder = tmp_path_factory.mktemp("films")
    make_video(folder / "a.avi", [25, 25])
    make_video(folder / "b.avi", [50])
    (folder / "d.csv").write_text("video,description\na.avi,Dark then bright.\nb.avi,Dark.\n")
    return folder


@pytest.fixture(scope="session")
def made_before(tmp_path_factory, films):
    folder = tmp_path_factory.mktemp("before")
    (folder / "before.csv").write_text("video,description\na.avi,As it was before.\n")
    assert ingest(folder / "w", films / "a.avi", folder / "before.csv") == 0
    return folder


@pytest.fixture
def workspace(tmp_path, made_before):
    """A workspace with finished clips of one film, and the CSV they were made with beside it."""
    shutil.copytree(made_before, tmp_path, dirs_exist_ok=True)
    return tmp_path / "w"
