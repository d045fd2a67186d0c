"""What the packaged language model makes of real film descriptions, in numbers.

    LRMOVIENET_EXTRA_DATA=… python tests/bench/label_sample.py --write docs/candidates.md

The descriptions (Condensed Movies, research use) are read from the folder that the environment
variable names; none of them, and no label made of them, is written to the page.
"""

import argparse
import csv
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from machine import hardware, publish

from lrmovienet.cli import main as lrmovienet
from lrmovienet.runner.local import run_once
from lrmovienet.text.prompts import KINDS
from lrmovienet.workspace import Workspace

NAME = "movienet_cmd/movienet_cmd_clips.csv"


def make_clips(workspace: Workspace, rows: list[dict[str, str]]) -> None:
    """The table clips of some rows; it has no pictures, and needs none."""
    n = len(rows)
    columns = {
        "clip_id": [f"{row['imdbid']}_{i:04d}" for i, row in enumerate(rows)],
        "movie_id": [row["imdbid"] for row in rows], "title": [row["title"] for row in rows],
        "genres": [[g for g in row["genres"].split("|") if g] for row in rows],
        "description": [row["description"] for row in rows],
        "shot": [[0, 0]] * n, "frame": [[0, 0]] * n, "start_s": [None] * n, "end_s": [None] * n,
        "keyframes": [[{"ref": "none", "sha256": "none"}]] * n,
    }  # fmt: skip
    run_once(workspace, "clips", lambda: columns, version="sample", inputs={}, config={})


def main() -> None:
    """Draw, extract, merge, count."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--write", type=Path, help="the file whose section is replaced")
    options.add_argument("--clips", type=int, default=50, help="default: %(default)s")
    given = options.parse_args()
    data = Path(os.environ.get("LRMOVIENET_EXTRA_DATA", "")) / NAME
    if not data.is_file():
        sys.exit(f"{data}: not there; set LRMOVIENET_EXTRA_DATA")
    with data.open(encoding="utf-8", newline="") as file:
        rows = random.Random(0).sample(list(csv.DictReader(file)), given.clips)
    with tempfile.TemporaryDirectory() as name:
        workspace = Workspace(Path(name))
        make_clips(workspace, rows)
        started = time.perf_counter()
        for verb, *more in (("extract",), ("merge", "--kinds", "event", "entity")):
            if lrmovienet([verb, "--workspace", name, *more]):
                sys.exit(1)
        seconds = time.perf_counter() - started
        text = "\n".join(lines(workspace, given.clips, seconds))
    publish(f"{hardware('torch', 'transformers')}\n\n{text}", "sample", given.write)


def lines(workspace: Workspace, clips: int, seconds: float) -> list[str]:
    """The section."""
    kept = workspace.read("text_labels").to_pylist()
    gone = [r for r in workspace.read_dropped("text_labels").to_pylist() if r["label"]]
    candidates = workspace.read("candidates").to_pylist()
    merged = [r for r in workspace.read_dropped("candidates").to_pylist() if r["label"]]
    result = [
        f"{clips} descriptions drawn from 4,174, the packaged SmolLM2-135M, prompt `fewshot-1`; "
        f"`extract` and `merge` took {seconds:.0f} s.",
        "",
        "| | event | entity |",
        "|---|--:|--:|",
    ]
    of = {kind: [r for r in kept if r["kind"] == kind] for kind in KINDS}
    out = {k: [r for r in gone if r["reason"].startswith(f"{k}: ")] for k in KINDS}
    for what, value in (
        ("labels kept", lambda k: f"{len(of[k])}"),
        ("a clip", lambda k: f"{len(of[k]) / clips:.1f}"),
        ("clips with one at least", lambda k: f"{len({r['clip_id'] for r in of[k]}) / clips:.0%}"),
        ("of all items read, kept", lambda k: f"{len(of[k]) / (len(of[k]) + len(out[k])):.0%}"),
    ):
        result.append(f"| {what} | {' | '.join(value(kind) for kind in KINDS)} |")
    reasons = sorted({r["reason"].partition(": ")[2] for rows in out.values() for r in rows})
    for reason in reasons:
        counted = [sum(r["reason"].endswith(f": {reason}") for r in out[k]) for k in KINDS]
        result.append(f"| dropped: {reason} | {' | '.join(map(str, counted))} |")
    rules = Counter(row["reason"].partition(":")[0] for row in merged)
    result += [
        "",
        f"`merge` made {len(candidates)} candidates of them, {len(candidates) / clips:.1f} a clip; "
        + ", ".join(f"{rule} {n}" for rule, n in rules.most_common()) + " went.",
    ]  # fmt: skip
    return result


if __name__ == "__main__":
    main()
