"""Fixtures of the rankers' tests."""

import pytest
from tiny_corpus import fill

from lrmovienet.workspace import Workspace


@pytest.fixture(scope="session")
def filled(tmp_path_factory) -> Workspace:
    """A workspace for tests that only read it."""
    return fill(tmp_path_factory.mktemp("filled"))
