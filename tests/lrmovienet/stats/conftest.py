"""A generated corpus with pictures, and its release."""

import pytest
from stats_releases import SETS, small_release, write_release

from lrmovienet.release.tables import collect
from lrmovienet.workspace import Workspace


@pytest.fixture
def release(tmp_path):
    """The release of `stats_releases.LABELS`."""
    return small_release(tmp_path / "rel", genres=SETS, about={"title": "Tiny"})


@pytest.fixture(scope="session")
def generated(tmp_path_factory):
    """A release of a generated corpus, and the folder of its frames. Read only."""
    from lrmovienet.cli import main

    folder = tmp_path_factory.mktemp("stats")
    root = folder / "ws"
    for verb, *options in (
        ("synth", "--size", "tiny"),
        ("ingest", "--movienet", str(root / "movienet")),
        ("aggregate",),
        ("split", "--equal_grades", "drop"),
    ):
        assert main([verb, "--workspace", str(root), *options]) == 0
    return write_release(folder / "rel", collect(Workspace(root), False).files), root / "movienet"
