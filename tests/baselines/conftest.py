"""Fixtures of the rankers' tests."""

import shutil
from pathlib import Path

import letor_bench
import pytest
import torch
from tiny_corpus import fill

from lrmovienet.cli import main
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


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """A folder in which methods were trained on both folds of some queries. It is only read."""
    root = letor_bench.fill(tmp_path_factory.mktemp("letor") / "w")
    assert main(letor_bench.pair(root, *letor_bench.NAMES, "--dataset", "tiny")) == 0
    return root


@pytest.fixture
def root(trained, tmp_path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(trained, tmp_path / "w"))


@pytest.fixture
def files(tmp_path) -> Path:
    """The same queries, of which nothing was made yet."""
    return letor_bench.fill(tmp_path / "files")
