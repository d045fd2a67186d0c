"""Fixtures of the rankers' tests."""

import pytest
import torch
from tiny_corpus import fill

from lrmovienet.workspace import Workspace


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Networks this small are slower on two threads, far slower where another process has one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def filled(tmp_path_factory) -> Workspace:
    """A workspace for tests that only read it."""
    return fill(tmp_path_factory.mktemp("filled"))
