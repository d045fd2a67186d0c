"""The demo as a whole: a second run does nothing, a killed one ends in an unbroken one's bytes."""

import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from annotation import local_server

ROOT = Path(__file__).parent.parent
CONFIG = """
ingest: {frames_per_clip: 3}
synth: {size: tiny}
annotate push: {limit: 4, overlap: 3}
split: {tail_genres: 4}
"""
# Not compared: the log of runs, which holds the clock; hidden names, which are the lock and what a
# killed write had begun (never read again); the server's own files; and of what its people said,
# all that holds moments or the server's numbers. Everything else must be equal.
LOG = "runs.jsonl"
STUDIO = "label-studio"
TIMED = ("people/annotation", "people/ratings", "people/relevance/manifest.json")

pytestmark = [
    pytest.mark.slow, pytest.mark.llm, pytest.mark.service, pytest.mark.timeout(1500),
    pytest.mark.skipif(
        not local_server.PROGRAM.exists(),
        reason="Label Studio is not installed in .venv-label-studio: make label-studio",
    ),
]  # fmt: skip


def start(out: Path, config: Path) -> subprocess.Popen[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        [ROOT / "demo" / "run.sh", out, config],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def finish(out: Path, config: Path) -> str:
    process = start(out, config)
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    return printed


def content(out: Path) -> dict[str, str]:
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != LOG
        if not any(part.startswith(".") for part in path.relative_to(out).parts)
        if path.relative_to(out).parts[0] != STUDIO
        if not str(path.relative_to(out)).startswith(TIMED)
    }


def test_killed_at_three_moments_it_ends_in_the_same_bytes(tmp_path):
    config = tmp_path / "tiny.yaml"
    config.write_text(CONFIG)
    printed = finish(tmp_path / "unbroken", config)
    assert re.search(r"lr2ppo-base.*0\.\d{4}", printed), "no line of scores in the table"
    whole = content(tmp_path / "unbroken")
    for needed in (
        "films/candidates/part-00000.parquet",
        "corpus/results/target_test.json",
        "people/relevance/part-00000.parquet",
    ):
        assert needed in whole

    again = finish(tmp_path / "unbroken", config)
    assert content(tmp_path / "unbroken") == whole
    made = [line for line in again.splitlines() if re.match(r"[a-z_/0-9-]+: \d+ rows", line)]
    assert made == [], "the second run made something again"

    # Moments begin with a line of output, so that they fall into the run on any machine.
    moments = random.Random()
    broken = tmp_path / "broken"
    for lines in sorted(moments.sample(range(1, 30), 3)):
        process = start(broken, config)
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        time.sleep(moments.uniform(0, 3))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    finish(broken, config)
    assert content(broken) == whole
