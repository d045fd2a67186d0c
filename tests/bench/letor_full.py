"""What the classic track costs at the sizes of MSLR-WEB10K and MQ2008, on generated sets.

    python tests/bench/letor_full.py FOLDER [METHOD ...]

FOLDER takes 3 GB. It is told for each training of one fold and one seed how long it took, and how
much memory its process had at most. Hours for all methods; what is there is kept.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

FEATURES = 136
WEB = {"train": (6000, 1251), "vali": (2000, 908), "test": (2000, 908)}
"""MSLR-WEB10K, Fold1: queries of each part, and its longest list."""
GOV = {"train": (471, 119), "vali": (157, 119), "test": (156, 119)}
"""MQ2008, likewise."""


def write(
    path: Path,
    queries: int,
    mean: float,
    longest: int,
    features: int,
    cuts: list[float],
    first: int,
) -> None:
    """Write lists whose lengths are log-normal, and whose grades a sum of features decides."""
    rng = np.random.default_rng(first)
    weights = np.random.default_rng(0).normal(size=FEATURES)[:features] / 12
    words = " ".join(f"{i}:%g" for i in range(1, features + 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        for query in range(queries):
            length = int(np.clip(rng.lognormal(np.log(mean) - 0.2, 0.6), 5, longest))
            z = rng.normal(size=(longest if query == 0 else length, features))
            said = z @ weights + 0.8 * rng.normal(size=len(z))
            grades = np.digitize(said, np.quantile(said, cuts))
            rows = zip(grades, np.round(np.exp(z), 3), strict=True)
            row = f" qid:{first + query} {words}\n"
            file.write("".join(str(grade) + row % tuple(values) for grade, values in rows))


def generate(root: Path) -> None:
    """Both sets, unless they are there."""
    done = root / "generated"
    if done.exists():
        return
    for i, (part, (queries, longest)) in enumerate(WEB.items()):
        path = root / "MSLR-WEB10K" / "Fold1" / f"{part}.txt"
        write(path, queries, 120, longest, FEATURES, [0.52, 0.84, 0.97, 0.99], 10_000 * i + 1)
    for i, (part, (queries, longest)) in enumerate(GOV.items()):
        path = root / "MQ2008" / "Fold1" / f"{part}.txt"
        write(path, queries, 19.4, longest, 46, [0.8, 0.93], 100_000 + 10_000 * i)
    done.touch()


def main() -> None:
    """Generate, train, tell."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path)
    options.add_argument("methods", nargs="*", default=["lambdamart", "listnet", "lr2ppo"])
    asked = options.parse_args()
    root: Path = asked.folder
    generate(root)
    print("| method | seconds | GB |\n|---|--:|--:|")
    for method in asked.methods:
        out = root / "out"
        before = {*(out / "scores").glob("*.json")}
        command = [
            sys.executable, "-m", "lrmovienet", "letor", "bench", method, "--folds", "1",
            "--seeds", "1", "--source", str(root / "MSLR-WEB10K"), "--target", str(root / "MQ2008"),
            "--out", str(out),
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, code, used = os.wait4(process.pid, 0)
        if code:
            raise SystemExit(f"{method}: exit code {os.waitstatus_to_exitcode(code)}")
        for path in sorted({*(out / "scores").glob("*.json")} - before):
            seconds = json.loads(path.read_bytes())["seconds"]
            name = path.stem.removesuffix(".s0.fold1").replace(".", ", ")
            print(f"| {name} | {seconds:.0f} | {used.ru_maxrss / 2**20:.1f} |", flush=True)


if __name__ == "__main__":
    main()
