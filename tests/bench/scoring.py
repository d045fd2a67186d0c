"""How fast the judge is beside other tools: ``make bench``. Ratios within one run, never a test.

All data is generated, from a seed. Each figure is the median of several repeats; a first call,
which may compile or fill caches, is not counted.
"""

import argparse
import math
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from machine import ROOT, hardware, process, publish

from eval.measures import measure
from eval.ndcg import ndcg
from eval.runs import read_gold, read_run
from eval.significance import bootstrap

KS = (1, 3, 5, 10, 20)
LABELS = 20
TOOLS = ("pytrec-eval-terrier", "ranx", "numba")
SCRIPT = ROOT / "eval" / "score.py"


def median(work: Callable[[], object], repeats: int = 5) -> float:
    """Seconds of a call, after one that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def once(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def python_loop(scores: np.ndarray, grades: np.ndarray, clips: int) -> None:
    """NDCG as small research code has it: a loop over clips, tensors and positions."""
    import torch

    all_scores, all_grades = torch.from_numpy(scores), torch.from_numpy(grades)
    for c in range(clips):
        mine = slice(c * LABELS, (c + 1) * LABELS)
        order = torch.argsort(all_scores[mine], descending=True)
        ranked = all_grades[mine][order]
        ideal = torch.sort(all_grades[mine], descending=True).values
        for k in KS:
            reached = possible = torch.tensor(0.0)
            for i in range(min(k, LABELS)):
                reached = reached + (2 ** ranked[i] - 1) / math.log2(i + 2)
                possible = possible + (2 ** ideal[i] - 1) / math.log2(i + 2)
            _ = reached / possible if possible > 0 else torch.tensor(1.0)


def tensor_loop(scores: np.ndarray, grades: np.ndarray, clips: int) -> None:
    """The same with a loop over clips alone."""
    import torch

    all_scores, all_grades = torch.from_numpy(scores), torch.from_numpy(grades)
    discounts = 1 / torch.log2(torch.arange(LABELS) + 2.0)
    for c in range(clips):
        mine = slice(c * LABELS, (c + 1) * LABELS)
        gains = 2.0 ** all_grades[mine] - 1
        reached = gains[torch.argsort(all_scores[mine], descending=True)] * discounts
        possible = torch.sort(gains, descending=True).values * discounts
        for k in KS:
            _ = reached[:k].sum() / possible[:k].sum()


def write_tables(folder: Path, clips: int, scores: np.ndarray, grades: np.ndarray) -> None:
    """Gold and predictions as Parquet: 1,100 films, labels from a vocabulary of 4,000."""
    rng = np.random.default_rng(1)
    vocabulary = np.array([f"label {i}" for i in range(4000)])
    starts = rng.integers(0, 4000, clips)
    labels = vocabulary[(starts[:, None] + 7 * np.arange(LABELS)) % 4000].ravel()
    ids = np.array([f"tt{i % 1100:07d}_{i // 1100:04d}" for i in range(clips)])
    keys = {"clip_id": np.repeat(ids, LABELS), "label": labels}
    pq.write_table(pa.table(keys | {"grade": grades.astype(np.int8)}), folder / "gold.parquet")
    pq.write_table(pa.table(keys | {"score": scores}), folder / "run.parquet")
    shuffled = rng.permutation(len(scores))
    table = pa.table(keys | {"score": scores}).take(pa.array(shuffled))
    pq.write_table(table, folder / "shuffled.parquet")


def dictionaries(path: Path, column: str) -> dict[str, dict[str, float]]:
    """What trec_eval's and ranx's Python interfaces take."""
    table = pq.read_table(path)
    result: dict[str, dict[str, float]] = {}
    columns = (table[name].to_pylist() for name in ("clip_id", "label", column))
    for clip, label, value in zip(*columns, strict=True):
        result.setdefault(clip, {})[label] = value
    return result


def rows(clips: int, folder: Path) -> list[tuple[str, str, float, float | None]]:
    """(what, tool, seconds, ours in the same sense) of everything measured."""
    import pytrec_eval
    import ranx
    from sklearn.metrics import ndcg_score

    rng = np.random.default_rng(0)
    n = clips * LABELS
    scores, grades = rng.normal(size=n), rng.integers(0, 3, n)
    tied = scores.round(1)
    offsets = np.arange(clips + 1) * LABELS
    write_tables(folder, clips, scores, grades)
    gold, run = folder / "gold.parquet", folder / "run.parquet"
    found: list[tuple[str, str, float, float | None]] = []

    def add(what: str, tool: str, seconds: float, beside: float | None = None) -> float:
        found.append((what, tool, seconds, beside))
        print(f"{what}: {tool}: {seconds:.3f} s", file=sys.stderr)
        return seconds

    metric = "NDCG at five k of arrays in memory"
    matrix = scores.reshape(-1, LABELS)
    ours = add(metric, "ours", median(lambda: ndcg(scores, grades, offsets, KS)))
    add(metric, "ours, scores with many ties", median(lambda: ndcg(tied, grades, offsets, KS)))
    add(metric, "floor: one np.argsort of the scores", median(lambda: np.argsort(matrix, axis=1)))
    add(metric, "all our measures", median(lambda: measure(scores, grades, offsets, KS)))
    some = min(clips, 500)
    loops = {"clips, k and positions": python_loop, "clips and k": tensor_loop}
    for over, work in loops.items():
        work(scores, grades, 10)
        seconds = once(lambda work=work: work(scores, grades, some)) * clips / some
        add(metric, f"loop over {over} of tensors ({some} clips, multiplied)", seconds, ours)

    def scikit_learn() -> None:
        for k in KS:
            ndcg_score(grades.reshape(-1, LABELS), matrix, k=k)

    add(metric, "scikit-learn ndcg_score", once(scikit_learn), ours)

    def read_and_score(path: Path) -> None:
        graded = read_gold(gold)
        predicted = read_run(path, graded, "x")
        ndcg(predicted.scores, graded.grades[predicted.gold_rows], graded.offsets, KS)

    whole = "the same from two Parquet files"
    mine = add(whole, "ours, rows in gold's order", median(lambda: read_and_score(run), 3))
    add(
        whole, "ours, rows shuffled", median(lambda: read_and_score(folder / "shuffled.parquet"), 3)
    )

    def plain() -> None:
        pq.read_table(gold)
        pq.read_table(run)

    add(whole, "floor: pyarrow reading both", median(plain, 3))

    start = time.perf_counter()
    qrels, scored = dictionaries(gold, "grade"), dictionaries(run, "score")
    built = time.perf_counter() - start
    asked = {"ndcg_cut." + ",".join(map(str, KS))}
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, asked)
    evaluated = median(lambda: evaluator.evaluate(scored), 3)
    add(metric, "pytrec_eval, dictionaries built", evaluated, ours)
    add(whole, "pytrec_eval, building its dictionaries", built + evaluated, mine)
    add(whole, "pytrec_eval, against our metric alone", built + evaluated, ours)

    names = [f"ndcg_burges@{k}" for k in KS]
    few = dict(list(qrels.items())[:10])
    ranx.evaluate(ranx.Qrels(few), ranx.Run({c: scored[c] for c in few}), names)  # compiles
    start = time.perf_counter()
    theirs = ranx.Qrels(qrels), ranx.Run(scored)
    built += time.perf_counter() - start
    evaluated = median(lambda: ranx.evaluate(*theirs, names), 3)
    add(metric, "ranx ndcg_burges, compiled, Qrels and Run built", evaluated, ours)
    add(whole, "ranx, building its Qrels and Run", built + evaluated, mine)
    add(whole, "ranx, against our metric alone", built + evaluated, ours)

    sure = "10,000 bootstrap replicates"
    for films in (1100, 20_000):
        film_of = np.arange(clips) % films
        values = ndcg(scores, grades, offsets, KS)
        seconds = once(lambda v=values, f=film_of: bootstrap(v, f))
        add(sure, f"{films:,} films, five k", seconds, ours)
    return found


def whole_program(folder: Path) -> list[str]:
    """Lines about the program as a process, its start included."""
    lines = []
    for name in ("run", "shuffled"):
        command = [sys.executable, str(SCRIPT), "--gold", str(folder / "gold.parquet")]
        command += ["--predictions", str(folder / f"{name}.parquet"), "--markdown"]
        seconds, peak, _ = process(command)
        order = "in gold's order" if name == "run" else "shuffled"
        lines.append(
            f"- `eval/score.py`, rows {order}: {seconds:.1f} s and {peak / 2**20:.2f} GB at its "
            "peak, with every measure, intervals by 10,000 replicates and random, oracle and worst."
        )
    return lines


def growth(sizes: list[int]) -> list[str]:
    """Lines about the cost of the metric for more and more clips, each in its own process."""
    lines = [
        "| clips × 20 | NDCG at five k | per million labels | peak memory |",
        "|--:|--:|--:|--:|",
    ]
    for clips in sizes:
        code = f"""
import time, numpy as np
from eval.ndcg import ndcg
rng, n, ks = np.random.default_rng(0), {clips}, {KS}
scores, grades = rng.normal(size=n * {LABELS}), rng.integers(0, 3, n * {LABELS})
offsets = np.arange(n + 1) * {LABELS}
ndcg(scores[:2000], grades[:2000], offsets[:101], ks)
start = time.perf_counter()
ndcg(scores, grades, offsets, ks)
print(time.perf_counter() - start)
"""
        _, peak, out = process([sys.executable, "-c", code])
        seconds = float(out)
        each = seconds / (clips * 20 / 1e6)
        lines.append(f"| {clips:,} | {seconds:.2f} s | {each:.3f} s | {peak / 2**20:.2f} GB |")
    return lines


def report(clips: int, folder: Path) -> str:
    """The section of docs/benchmarks.md."""
    found = rows(clips, folder)
    lines = [
        f"{clips:,} generated clips × {LABELS} labels, k = 1, 3, 5, 10, 20. Medians of one run of "
        "`make bench`; a ratio is that tool's time over ours in the same sense.",
        "",
        hardware("numpy", "pyarrow", "torch", "scikit-learn", *TOOLS),
        "",
        "| what | tool | seconds | times ours |",
        "|---|---|--:|--:|",
    ]
    for what, tool, seconds, beside in sorted(found, key=lambda row: row[0], reverse=True):
        ratio = "" if beside is None else f"{seconds / beside:,.1f}"
        lines.append(f"| {what} | {tool} | {seconds:.3f} | {ratio} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    lines += ["", *whole_program(folder), ""]
    lines += growth([clips // 5, clips * 2, clips * 20])
    print(f"peak of the benchmark itself {peak:.1f} GB", file=sys.stderr)
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write the section where it is asked for."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--write", type=Path, help="the file whose section is replaced")
    options.add_argument("--clips", type=int, default=100_000, help="default: %(default)s")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = report(given.clips, Path(folder))
    publish(text, "scoring", given.write)


if __name__ == "__main__":
    main()
