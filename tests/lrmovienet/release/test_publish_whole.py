"""The whole way, by the command line: films, a release, the Hub, and back as a release."""

import shutil

import huggingface_hub
import pytest
from publish_files import REPO, at_hub, contents
from upload_server import UploadHub

from lrmovienet.cli import main
from lrmovienet.release.check import check
from lrmovienet.release.layout import Release

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def hub():
    with UploadHub().running() as hub:
        yield hub


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A release of a small generated corpus, and one whose splits are others."""
    folder = tmp_path_factory.mktemp("built")
    work = f"--workspace={folder / 'workspace'}"
    for verb in (
        ["synth", "--size=tiny"],
        ["ingest", f"--movienet={folder / 'workspace/movienet'}"],
        ["aggregate"],
        ["split", "--equal_grades=keep"],
        ["release", "build", f"--out={folder / 'first'}"],
        ["split", "--equal_grades=keep", "--protocol=paper"],
        ["release", "build", f"--out={folder / 'moved'}", "--version=1.1.0"],
        ["release", "build", f"--out={folder / 'second'}", "--version=2.0.0"],
    ):
        assert main([*verb, work]) == 0
    return folder


@pytest.fixture(autouse=True)
def fresh(hub, tmp_path, monkeypatch):
    at_hub(hub, tmp_path, monkeypatch, checked=True)


def published(folder, *options):
    return main(["publish", str(folder), f"--repo={REPO}", *options])


def test_a_release_comes_back_whole(hub, built, tmp_path, capsys):
    assert published(built / "first") == 0
    assert hub.repos == {}
    assert published(built / "first", "--dry_run=false") == 0
    assert hub.repos[REPO].files() == contents(built / "first")
    assert f"{hub.url}/datasets/{REPO}/tree/v1.0.0" in capsys.readouterr().out
    again = tmp_path / "again"
    huggingface_hub.snapshot_download(
        REPO, repo_type="dataset", revision="v1.0.0", endpoint=hub.url, local_dir=again
    )
    assert check(Release.open(again)) == []
    assert Release.open(again).manifest == Release.open(built / "first").manifest
    assert published(again, "--dry_run=false") == 0  # what came back is what is there
    assert len(hub.repos[REPO].commits) == 2


def test_splits_that_moved_take_a_new_major_version(hub, built, capsys):
    assert published(built / "first", "--dry_run=false") == 0
    assert published(built / "moved", "--dry_run=false") == 2
    error = capsys.readouterr().err
    assert "published numbers could not be compared" in error
    assert "2.0.0" in error
    assert hub.repos[REPO].files() == contents(built / "first")
    assert published(built / "second", "--dry_run=false") == 0
    assert hub.repos[REPO].files() == contents(built / "second")
    assert set(hub.repos[REPO].tags) == {"v1.0.0", "v2.0.0"}


def test_an_edited_card_is_not_sent(hub, built, tmp_path, capsys):
    edited = shutil.copytree(built / "first", tmp_path / "edited")
    card = edited / "README.md"
    card.write_text(card.read_text().replace("license: other", "license: mit"))
    assert published(edited, "--dry_run=false") == 2
    error = capsys.readouterr().err
    assert "README.md: " in error
    assert "nothing was sent" in error
    assert hub.asked == []
