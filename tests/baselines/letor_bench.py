"""A small set of queries, its benchmark from the command line, and what came of it."""

import itertools
import json
from pathlib import Path

import numpy as np

from lrmovienet.cli import main

NAMES = ["best-feature", "lambdamart", "listnet", "lr2ppo"]
RUNS = {"best-feature.R0.s0", "lambdamart.R0.s0", "lambdamart.R1.s0", "listnet.R0.s0",
        "listnet.R1.s0", "lr2ppo.R2.s0"}  # fmt: skip
JOBS = RUNS | {"lr2ppo-base.R0.s0", "lr2ppo-reward.R1.s0"}


def lines(seed: int, first: int, queries: int, features: int, levels: int = 2) -> str:
    """Rows of LETOR whose first feature says most of the grade, the second some."""
    draw = np.random.default_rng(seed)
    found = []
    for query in range(first, first + queries):
        x = draw.normal(size=(draw.integers(5, 10), features))
        grades = np.clip(np.rint(x[:, 0] + 0.4 * x[:, 1] + 0.7), 0, levels).astype(int)
        for grade, values in zip(grades, x, strict=True):
            said = " ".join(f"{i}:{value:.5g}" for i, value in enumerate(values, 1))
            found.append(f"{grade} qid:{query} {said}\n")
    return "".join(found)


def fill(root: Path) -> Path:
    """A source of 12 queries with 6 features, and a target of two files with 4, 8 and 6 queries.

    One query of the second file has no relevant document.
    """
    root.mkdir(exist_ok=True)
    (root / "source.txt").write_text(lines(1, 101, 12, 6, levels=4))
    (root / "a.txt").write_text(lines(2, 1, 8, 4))
    none = "0 qid:14 1:1 2:0 3:0 4:.5\n0 qid:14 1:.25 2:0 3:0 4:0\n"
    (root / "b.txt").write_text(lines(3, 9, 5, 4) + none)
    return root


def bench(root: Path, *words: str, out: str = "out") -> list[str]:
    target = ["--target", str(root / "a.txt"), str(root / "b.txt")]
    names = list(itertools.takewhile(lambda word: not word.startswith("--"), words))
    usual = ["--seeds", "1", *target, "--out", str(root / out)]
    return ["letor", "bench", *names, *usual, *words[len(names) :]]


def pair(root: Path, *words: str, out: str = "out") -> list[str]:
    return bench(root, *words, "--source", str(root / "source.txt"), out=out)


def official(folder: Path, *words: str) -> list[str]:
    """A benchmark of two sets of official folds."""
    sides = ["--target", str(folder / "target"), "--source", str(folder / "source")]
    return ["letor", "bench", *words, "--regimes", "R0", "--seeds", "1", "--out",
            str(folder / "out"), *sides]  # fmt: skip


MORE = "0 qid:9999 1:1 2:2 3:3 4:4 5:5\n"


def grow(path: Path) -> None:
    path.write_text(path.read_text() + MORE)


def rewrite(path: Path, **changes: object) -> None:
    """Other facts of a result's training."""
    content = json.loads(path.read_bytes())
    content["runs"][0]["training"] |= changes
    path.write_text(json.dumps(content))


def contents(out: Path) -> dict[str, bytes]:
    """All that a benchmark made, but for logs."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != ".lock" and path.parent.name != "logs"
    }


def results(out: Path) -> dict[str, object]:
    """What came of a benchmark, but for what the clock says."""
    found: dict[str, object] = {}
    for path in sorted(out.glob("*.json")):
        content = json.loads(path.read_bytes())
        for run in content["runs"]:
            for name in ("seconds", "seconds_before", "date"):
                del run["training"][name]
        found[path.name] = content
    for path in sorted([*out.glob("predictions/*"), *out.glob("scores/*.npy"),
                        *out.glob("rankers/*/*"), *out.glob("*.parquet")]):  # fmt: skip
        found[str(path.relative_to(out))] = path.read_bytes()
    return found


def kept(words: list[str], capsys) -> str:
    """How many trainings were there, of a benchmark that goes on."""
    capsys.readouterr()
    assert main(words) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "were done before" in line]
    return said[0].removesuffix(" trainings were done before") if said else "0"


def said(words: list[str], capsys) -> str:
    """What a benchmark prints."""
    capsys.readouterr()
    assert main(words) == 0
    return capsys.readouterr().out


def same(root: Path, trained: Path, but: tuple[str, ...] = ()) -> bool:
    """Whether all that was made in `trained` is in a copy of it, byte for byte."""
    there = contents(root / "out")
    return all(
        there.get(name) == content
        for name, content in contents(trained / "out").items()
        if not name.startswith(but)
    )


def made(words: list[str], capsys) -> set[str]:
    """The trainings that were done now, as they are told."""
    capsys.readouterr()
    assert main(words) == 0
    said = capsys.readouterr().out.splitlines()
    return {line.split(":")[0] for line in said if ": " in line and "trained in" in line}


def refused(words: list[str], capsys, empty: bool = True) -> str:
    """A benchmark that must not begin, and its one message."""
    capsys.readouterr()
    try:
        code = main(words)
    except SystemExit as left:
        code = left.code
    said = capsys.readouterr()
    assert (code, said.out) == (2, ""), said.err
    assert said.err.count("error:") == 1 and "Traceback" not in said.err
    out = Path(words[words.index("--out") + 1])
    assert not empty or (not list(out.glob("*.json")) and not list(out.glob("rankers/*")))
    return said.err
