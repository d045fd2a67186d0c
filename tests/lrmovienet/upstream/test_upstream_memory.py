"""Memory does not grow with the number of records, in either direction."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from upstream_files import clip, features, put, record

from lrmovienet.workspace import Workspace

pytestmark = pytest.mark.slow

PEAK = """
import re, sys, threading, time
from lrmovienet.cli import main

peak = 0

def watch():
    global peak
    while True:  # what is mapped from files is not counted: it can be let go at any time
        text = open("/proc/self/status").read()
        peak = max(peak, int(re.search(r"RssAnon:\\s+(\\d+)", text)[1]))
        time.sleep(0.002)

threading.Thread(target=watch, daemon=True).start()
code = main(sys.argv[1:])
assert code == 0, code
sys.stderr.write(str(peak))
"""


def peak_mib(*words: str) -> float:
    """Peak memory of a verb in its own process."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *words], capture_output=True, text=True, check=True
    )
    return int(done.stderr.splitlines()[-1]) / 1024


def corpus(root: Path, n: int) -> Workspace:
    """n clips of 20 labels, with texts of their own of 196 tokens: 5.7 MiB a record as stored."""
    clips = [clip(f"f{i:03d}_0", 1) for i in range(n)]
    rows = [
        r for c in clips for r in record(c, "source_train", [f"l{i}" for i in range(20)], [1] * 20)
    ]
    workspace = put(root, clips, rows, [])
    counter = iter(range(10**6))

    def text(*_: object):
        return np.full((196, 768), next(counter) % 2048, np.float16), (0, 1, 0)

    features(workspace, (768, 768), text)
    return workspace


def test_peak_memory_is_flat(tmp_path):
    peaks = {}
    for n in (10, 40):
        root, out, back = (str(tmp_path / f"{what}{n}") for what in ("w", "out", "back"))
        corpus(Path(root), n)
        peaks[n] = (
            peak_mib("upstream", "write", out, "--workspace", root),
            peak_mib("upstream", "read", out, "--workspace", back),
        )
        assert (tmp_path / f"out{n}/clean_feat.h5").stat().st_size > n * 20 * 196 * 768 * 4
        text = "features/text.npy"
        assert (Path(back) / text).read_bytes() == (Path(root) / text).read_bytes()
    # 30 records more are 345 MiB more of the file, and 172 MiB of the store.
    grown = np.array(peaks[40]) - np.array(peaks[10])
    assert (grown < 20).all(), peaks
