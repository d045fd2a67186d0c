"""Score predictions against graded labels: ``python eval/score.py --gold … --predictions …``.

What every number means is in `docs/scoring.md`, in the lines under the table and in the JSON.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

if not __package__:
    # Run as a script, Python looks for modules in this folder; they are in the one above it.
    here = Path(__file__).resolve().parent
    sys.path[:] = [str(here.parent), *(p for p in sys.path if Path(p).resolve() != here)]

import numpy as np

from eval.ndcg import Empty, Floats, Ties, ndcg, reference_orders, tied_pairs
from eval.runs import Gold, Run, RunError, read_gold, read_run

SCHEMA_VERSION = 1
"""Raised when a field of the JSON changes meaning, name or type."""

SCORER_VERSION = "1"
"""Raised when the same files would give another number."""

KS = (1, 3, 5, 10, 20)
"""The cut-offs of the paper's tables."""

TIES = {
    "mean": "expectation over all orders of equal scores",
    "stable": "equal scores keep the order of the predictions file",
    "optimistic": "of equal scores, the more relevant label first",
    "pessimistic": "of equal scores, the less relevant label first",
}
EMPTY = {"skip": "left out of the mean", "one": "count as 1", "zero": "count as 0"}


def clip_ndcg(
    gold: Gold, run: Run, ks: Sequence[int], *, ties: Ties = "mean", empty: Empty = "skip"
) -> Floats:
    """NDCG@k of each clip, (n_clips, n_k) in the order of ``gold.clip_ids``; NaN where skipped."""
    return ndcg(run.scores, gold.grades[run.gold_rows], gold.offsets, ks, ties=ties, empty=empty)


def score(
    gold: Gold,
    runs: Sequence[Run],
    ks: Sequence[int] = KS,
    *,
    ties: Ties = "mean",
    empty: Empty = "skip",
) -> dict[str, Any]:
    """Score runs against one gold.

    Args:
        gold: graded labels of one split.
        runs: predictions set beside that gold.
        ks: cut-offs, 1 or more.
        ties: what equal scores are worth, see `eval.ndcg.Ties`.
        empty: what clips without a relevant label are worth, see `eval.ndcg.Empty`.

    Returns:
        What the JSON holds: conventions, gold, floors (random, oracle, worst) and one entry a run
        with NDCG@k, mean over clips, and the same on a scale from random (0) to oracle (1).

    Raises:
        RunError: every clip would be skipped.
    """
    irrelevant = np.maximum.reduceat(gold.grades, gold.offsets[:-1]) == 0
    skipped = int(irrelevant.sum()) if empty == "skip" else 0
    if skipped == len(irrelevant):
        raise RunError(f"{gold.rows.path}: no clip has a relevant label, so nothing can be scored.")
    floors = {
        name: np.nanmean(values, axis=0)
        for name, values in reference_orders(gold.grades, gold.offsets, ks, empty=empty).items()
    }

    def by_k(values: Floats) -> dict[str, float | None]:
        numbers = zip(ks, values.tolist(), strict=True)
        return {str(k): None if np.isnan(value) else value for k, value in numbers}

    def entry(run: Run) -> dict[str, Any]:
        mean = np.nanmean(clip_ndcg(gold, run, ks, ties=ties, empty=empty), axis=0)
        room = floors["oracle"] - floors["random"]
        normalised = np.full_like(mean, np.nan)
        np.divide(mean - floors["random"], room, out=normalised, where=room > 1e-12)
        tied, pairs = tied_pairs(run.scores, gold.offsets)
        return {
            "name": run.name,
            "sha256": run.sha256,
            "ndcg": by_k(mean),
            "normalised": by_k(normalised),
            "tied_pairs": float(tied.sum() / max(pairs.sum(), 1)),
            "missing_labels": run.missing,
            "labels_matched_in_normal_form_only": run.normalised,
        }

    return {
        "schema_version": SCHEMA_VERSION,
        "scorer": {"name": "eval/score.py", "version": SCORER_VERSION},
        "measure": f"nDCG(gain=exp2,ties={ties},empty={empty})@k",
        "conventions": {
            "gain": "2^grade - 1 (low 0, medium 1, high 3)",
            "discount": "1 / log2(position + 1), position from 1",
            "ties": f"{ties}: {TIES[ties]}",
            "empty": f"{empty}: clips without a relevant label {EMPTY[empty]}",
            "k": "a k beyond a clip's labels takes all of them",
            "mean": "over clips, each counted once",
            "normalised": "(NDCG - random) / (oracle - random), of the means",
        },
        "gold": {
            "name": gold.rows.path.resolve().name,
            "sha256": gold.rows.sha256,
            "split": gold.split,
            "clips": len(irrelevant),
            "labels": len(gold.grades),
            "clips_without_relevant_label": int(irrelevant.sum()),
            "clips_skipped": skipped,
        },
        "k": list(ks),
        "floors": {name: by_k(values) for name, values in floors.items()},
        "runs": [entry(run) for run in runs],
    }


def score_files(
    gold: Path,
    predictions: Sequence[tuple[str, Path]],
    *,
    split: str | None = None,
    ks: Sequence[int] = KS,
    ties: Ties = "mean",
    empty: Empty = "skip",
    allow_missing: bool = False,
    out: Path | None = None,
) -> dict[str, Any]:
    """Read, check and score files, and write the JSON; nothing is written when anything is wrong.

    Args:
        gold: as `eval.runs.read_gold` takes it.
        predictions: name and path of each run, as `eval.runs.read_run` takes them.
        split: the split of gold to score on.
        ks: cut-offs, 1 or more.
        ties: as in `score`.
        empty: as in `score`.
        allow_missing: rank labels without a prediction last.
        out: where the JSON goes, if anywhere.

    Raises:
        RunError: a file, a name or a cut-off is wrong, or the JSON cannot be written.
    """
    names = [name for name, _ in predictions]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RunError(
            f"two predictions are called {twice[0]!r}; name them: --predictions A=PATH B=PATH."
        )
    if not names:
        raise RunError("no predictions were given.")
    if not ks or min(ks) < 1 or len(set(ks)) < len(ks):
        raise RunError(f"--k {' '.join(map(str, ks))}: give different whole numbers, 1 or more.")
    if out is not None and out.resolve() in [
        p.resolve() for p in (gold, *(p for _, p in predictions))
    ]:
        raise RunError(f"{out}: is one of the inputs; give another file for the JSON.")
    graded = read_gold(gold, split)
    runs = [read_run(path, graded, name, allow_missing=allow_missing) for name, path in predictions]
    result = score(graded, runs, ks, ties=ties, empty=empty)
    if out is not None:
        write(result, out)
    return result


def named(predictions: Sequence[str]) -> list[tuple[str, Path]]:
    """``NAME=PATH`` or ``PATH`` -> (name, path); without a name, the file's or folder's own."""
    pairs = []
    for text in predictions:
        name, equals, path = text.partition("=")
        if equals and name and not Path(text).exists():
            pairs.append((name, Path(path)))
        else:
            whole = Path(text).resolve()
            pairs.append((whole.name if whole.is_dir() else whole.stem, Path(text)))
    return pairs


def write(result: dict[str, Any], path: Path) -> None:
    """Write a result as JSON, whole or not at all. Raises RunError where that fails."""
    text = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".score-") as folder:
            temporary = Path(folder) / "result.json"
            with temporary.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror}).") from None


def show(result: dict[str, Any], *, floors: bool = False) -> None:
    """Print a result as a table, one row a run, and what its numbers mean under it."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    ks = [str(k) for k in result["k"]]
    table = Table()
    table.add_column("predictions", overflow="fold")
    for heading in (*(f"NDCG@{k}" for k in ks), "tied pairs"):
        table.add_column(heading, justify="right")
    rows = [(run["name"], run["ndcg"], f"{run['tied_pairs']:.1%}") for run in result["runs"]]
    if floors:
        rows += [(f"({name})", values, "") for name, values in result["floors"].items()]
    for name, values, tied in rows:
        table.add_row(Text(name), *(f"{values[k]:.4f}" for k in ks), tied)
    gold = result["gold"]
    lines = [
        f"clips: {gold['clips']} of {gold['name']}"
        + (f", split {gold['split']}" if gold["split"] else "")
        + f"; {gold['clips_without_relevant_label']} have no relevant label, "
        f"{gold['clips_skipped']} skipped"
    ]
    lines += [f"{name}: {text}" for name, text in result["conventions"].items()]
    for run in result["runs"]:
        if run["missing_labels"]:
            lines.append(
                f"{run['name']}: {run['missing_labels']} of {gold['labels']} gold labels had no "
                "prediction and were ranked last"
            )
        if run["labels_matched_in_normal_form_only"]:
            lines.append(
                f"{run['name']}: {run['labels_matched_in_normal_form_only']} labels matched only "
                "in lower case, NFC and single-spaced"
            )
    # A pipe has no width; a table cut to a terminal's would lose numbers.
    console = Console(width=None if sys.stdout.isatty() else 10_000)
    console.print(table)
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def parser() -> argparse.ArgumentParser:
    """The options of the program."""
    options = argparse.ArgumentParser(
        prog="score", description="NDCG@k of predictions against graded labels (docs/scoring.md)."
    )
    add = options.add_argument
    add(
        "--gold",
        type=Path,
        required=True,
        metavar="PATH",
        help="graded labels: a folder of Parquet parts (a workspace's records), .parquet or .jsonl",
    )
    add(
        "--predictions",
        nargs="+",
        action="extend",
        required=True,
        metavar="[NAME=]PATH",
        help="predictions in the same formats: clip_id, label, score; several give one table",
    )
    add("--split", help="score on this split of gold, such as target_test")
    add("--k", type=int, nargs="+", default=list(KS), help="cut-offs (default: %(default)s)")
    add("--ties", choices=get_args(Ties), default="mean", help="default: %(default)s")
    add(
        "--empty",
        choices=get_args(Empty),
        default="skip",
        help="what clips without a relevant label are worth (default: %(default)s)",
    )
    add(
        "--allow-missing",
        "--allow_missing",
        action="store_true",
        help="rank gold labels without a prediction last instead of refusing the file",
    )
    add(
        "--floors",
        action="store_true",
        help="add rows for random order (expected), the oracle and the worst order",
    )
    add("--json", type=Path, metavar="FILE", help="write the result here")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program. Returns 0, or 2 when an input is wrong."""
    given = parser().parse_args(argv)
    try:
        result = score_files(
            given.gold, named(given.predictions), split=given.split, ks=given.k, ties=given.ties,
            empty=given.empty, allow_missing=given.allow_missing, out=given.json,
        )  # fmt: skip
    except RunError as error:
        sys.stderr.write(f"score: error: {error}\n")
        return 2
    show(result, floors=given.floors)
    return 0


if __name__ == "__main__":
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has gone (``| head``)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)
