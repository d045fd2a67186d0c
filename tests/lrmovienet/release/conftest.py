"""The tiny generated corpus and its release, made once for all tests that only read them."""

import shutil
from pathlib import Path

import pytest
from making import build, generated

from lrmovienet.release.layout import Release


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """A workspace of the tiny corpus, protocol strict. Read only: `making.copied` gives another."""
    return generated(tmp_path_factory.mktemp("tiny") / "w")


@pytest.fixture(scope="session")
def built(tiny, tmp_path_factory) -> Path:
    """Its release. Read only."""
    return build(tiny, tmp_path_factory.mktemp("built") / "release").root


@pytest.fixture
def release(built, tmp_path) -> Release:
    """A copy of its release, to be changed."""
    return Release.open(shutil.copytree(built, tmp_path / "release"))
