"""A real Label Studio server for the tests that need one, and workspaces to push from."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from annotation import local_server, store
from annotation.server import Server
from lrmovienet.ingest import IngestConfig
from lrmovienet.ingest import run as ingest
from lrmovienet.synthetic import SynthConfig
from lrmovienet.synthetic import run as synth


@dataclass(frozen=True)
class Running:
    """A server that is up."""

    url: str
    folder: Path
    token: str

    @property
    def files(self) -> Path:
        """Its document root."""
        return self.folder / "files"

    @property
    def password(self) -> str:
        return (self.folder / "password").read_text()

    def options(self) -> dict:
        """What verbs that talk to it need."""
        return {"server": self.url, "token_file": self.folder / "token"}

    def connect(self, patience_s: float = 60) -> Server:
        return Server(self.url, self.token, patience_s)


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk() -> None:
    """Kills of a process lose nothing without; only a machine that goes down would."""
    store.SYNCHRONOUS = "OFF"


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all tests of a session; its first start takes most of a minute."""
    if not local_server.PROGRAM.exists():
        pytest.skip("Label Studio is not installed in .venv-label-studio: make label-studio")
    folder, port = tmp_path_factory.mktemp("studio"), local_server.free_port()
    with local_server.running(folder, port):
        yield Running(f"http://127.0.0.1:{port}", folder, (folder / "token").read_text())


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny generated corpus with pictures, clips and candidates, without ratings. Read only."""
    root = tmp_path_factory.mktemp("corpus") / "corpus"
    synth(SynthConfig(workspace=root, size="tiny"))
    ingest(IngestConfig(workspace=root, movienet=root / "movienet"))
    for table in ("ratings", "pair_ratings"):
        shutil.rmtree(root / table)
    return root


@pytest.fixture
def workspace(corpus: Path, tmp_path: Path) -> Path:
    """A copy of `corpus` to push from."""
    return Path(shutil.copytree(corpus, tmp_path / "w"))
