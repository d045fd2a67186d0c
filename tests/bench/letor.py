"""How fast files of learning to rank are read, in what memory, beside scikit-learn.

    python tests/bench/letor.py --write docs/benchmarks.md
    python tests/bench/letor.py --megabytes 1200        # as large as a training file of MSLR-WEB30K

The file is made up: rows in the shape of MSLR-WEB, 136 features each, of counts, shares and
scores; none of them is of the real data.
"""

import argparse
import functools
import hashlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from machine import hardware, process, publish
from sklearn.datasets import load_svmlight_file

from baselines.letor.read import read

FEATURES = 136
BODIES = 5_000
SAMPLE = "1 qid:1 1:1\n"

MEMORY = """
import json, resource, sys
from pathlib import Path
from baselines.letor.read import read
small, rows, cache = (Path(name) if name else None for name in sys.argv[1:])
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
read(small, cache)
before = peak()
found = read(rows, cache)
print(json.dumps([peak() - before, found.x.nbytes, found.x.shape]))
"""
FIRST = """
import sys, time
from pathlib import Path
from baselines.letor.read import read
started = time.perf_counter()
read(Path(sys.argv[1]))
print(time.perf_counter() - started)
"""


def bodies(rng: np.random.Generator) -> list[str]:
    """Features of some rows, as text."""
    columns = []
    for i in range(FEATURES):
        kind = i % 10
        if kind < 5:  # counts, many of them 0
            values = map(str, rng.poisson(rng.choice([0.3, 1, 4, 150]), BODIES).tolist())
        elif kind < 7:  # shares
            values = (f"{v:.6f}" for v in rng.random(BODIES).tolist())
        elif kind < 9:  # scores
            values = (f"{v:.6f}" for v in rng.gamma(2, 5, BODIES).tolist())
        else:  # logarithms
            values = (f"{v:.6f}" for v in (-rng.gamma(4, 3, BODIES)).tolist())
        columns.append([f"{i + 1}:{v}" for v in values])
    return [" ".join(words) for words in zip(*columns, strict=True)]


def generate(path: Path, megabytes: float) -> None:
    """Write about so many megabytes of rows; each list has 40 to 200."""
    rng = np.random.default_rng(0)
    some, size, query = bodies(rng), 0, 0
    with path.open("w") as file:
        while size < megabytes * 1e6:
            query += 15
            drawn = rng.integers(0, BODIES, rng.integers(40, 201))
            grades = rng.choice(5, len(drawn), p=[0.52, 0.32, 0.13, 0.02, 0.01])
            size += file.write(
                "".join(f"{g} qid:{query} {some[i]} \n" for g, i in zip(grades, drawn, strict=True))
            )


def fastest(times: int, act: Callable[[], object], before: Callable[[], object] = int) -> float:
    """Seconds of the fastest of some runs."""
    found = []
    for _ in range(times):
        before()
        started = time.perf_counter()
        act()
        found.append(time.perf_counter() - started)
    return min(found)


def bytes_of(path: Path) -> None:
    """Read a file to its end."""
    with path.open("rb", buffering=0) as file:
        buffer = bytearray(2**23)
        while file.readinto(buffer):
            pass


def hash_of(path: Path) -> None:
    """Read a file and hash it."""
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")


def main() -> None:
    """Generate, read, compare."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--write", type=Path, help="the file whose section is replaced")
    options.add_argument("--megabytes", type=float, default=300, help="default: %(default)s")
    options.add_argument("--times", type=int, default=3, help="runs of each; default: %(default)s")
    options.add_argument(
        "--folder", type=Path, help="where files are made; default: a temporary one"
    )
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        text = "\n".join(lines(Path(name), given.megabytes, given.times))
    publish(f"{hardware('numba', 'scikit-learn', 'numpy')}\n\n{text}", "letor", given.write)


def lines(folder: Path, megabytes: float, times: int) -> list[str]:
    """The section."""
    path, small, cache = folder / "train.txt", folder / "small.txt", folder / "cache"
    generate(path, megabytes)
    small.write_text(SAMPLE)
    megabytes = path.stat().st_size / 1e6
    read(small)
    found, (x, grades, queries) = read(path), load_svmlight_file(str(path), query_id=True)
    n = 10_000
    same = (
        np.array_equal(found.x[:n], x[:n].toarray().astype(np.float32))
        and np.array_equal(found.grades, grades)
        and np.array_equal(np.repeat(np.array(found.queries, np.int64), found.lengths), queries)
    )
    if not same:
        sys.exit("scikit-learn reads something else")
    shape = found.x.shape
    del found, x, grades, queries
    gone = functools.partial(shutil.rmtree, cache, ignore_errors=True)
    measured = {
        "floor: reading the bytes": fastest(times, lambda: bytes_of(path)),
        "floor: reading and hashing them": fastest(times, lambda: hash_of(path)),
        "scikit-learn: `load_svmlight_file`, sparse": fastest(
            1, lambda: load_svmlight_file(str(path), query_id=True)
        ),
        "`read`, in memory": fastest(times, lambda: read(path)),
        "`read`, into the cache": fastest(times, lambda: read(path, cache), gone),
        "`read`, from the cache": fastest(times, lambda: read(path, cache)),
    }
    other = next(seconds for what, seconds in measured.items() if what.startswith("scikit"))
    result = [
        f"A generated file of {megabytes:,.0f} MB: {shape[0]:,} rows of {shape[1]} features.",
        "",
        "| what | seconds | MB/s | times scikit-learn's speed |",
        "|---|--:|--:|--:|",
    ]
    for what, seconds in measured.items():
        speed = f"{other / seconds:.1f}" if what.startswith("`") else ""
        result.append(f"| {what} | {seconds:.2f} | {megabytes / seconds:,.0f} | {speed} |")
    gone()
    peaks = []
    for where in ("", str(cache)):
        command = [sys.executable, "-c", MEMORY, str(small), str(path), where]
        added, array, _ = json.loads(process(command)[2])
        peaks.append(f"{added / 1e6:,.0f} MB ({added / array:.2f} times the array)")
    start = float(process([sys.executable, "-c", FIRST, str(small)])[2])
    return [
        *result,
        "",
        f"- The array takes {array / 1e6:,.0f} MB. Peak memory that reading adds: {peaks[0]}; "
        f"into the cache {peaks[1]}.",
        f"- The first file of a process takes {start:.1f} s more: the compiled code is loaded.",
    ]


if __name__ == "__main__":
    main()
