"""What a release of the paper's size costs, and writing the official files: ``make bench``.

The corpus is generated (3,206 clips, drawn pictures), the features of the second table are random.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from machine import hardware, process, publish

SIZES = (150, 600)
"""Records of 20 labels; each takes 12 MB of text features in the official file."""
TOKENS, DIM, FRAMES = 40, 768, 6


def run(*words: str) -> tuple[float, float]:
    """Seconds and peak memory (MB) of one verb."""
    code = f"import sys; from lrmovienet.cli import main; sys.exit(main({list(words)!r}))"
    seconds, peak, _ = process([sys.executable, "-c", code])
    return seconds, peak / 1024


def floor(root: Path, out: Path) -> float:
    """Seconds to read the tables that a release is made of and to write their rows again, alone."""
    code = f"""
import pathlib, pyarrow.parquet as pq
root, out = pathlib.Path({str(root)!r}), pathlib.Path({str(out)!r})
out.mkdir()
for name in ("clips", "records", "pairs", "relevance", "preferences", "ratings", "pair_ratings"):
    for part in sorted((root / name).glob("part-*.parquet")):
        pq.write_table(pq.read_table(part), out / f"{{name}}-{{part.name}}", compression="zstd")
"""
    return process([sys.executable, "-c", code])[0]


def building(folder: Path) -> str:
    """The table of a release of the paper's size."""
    root, out = folder / "paper", folder / "release"
    for words in (
        ("synth", "--size", "paper", "--processes", str(os.cpu_count())),
        ("ingest", "--movienet", str(root / "movienet")),
        ("aggregate",),
        ("split", "--protocol", "paper"),
    ):
        run(words[0], "--workspace", str(root), *words[1:])
    least = floor(root, folder / "floor")
    build = ("release", "build", "--workspace", str(root), "--out", str(out))
    rows = [
        ("floor: pyarrow reads the same tables and writes them again", least, None),
        ("`release build`", *run(*build)),
        ("`release build --ratings false`", *run(*build, "--ratings", "false")),
        ("`release build --hash_frames true`", *run(*build, "--hash_frames", "true")),
        ("`leaks`", *run("leaks", str(out))),
        ("`stats`", *run("stats", str(out), "--out", str(folder / "stats"))),
        ("`diff` with itself", *run("diff", str(out), str(out))),
        (
            "`hydrate` with its frames",
            *run("hydrate", str(out), "--frames", str(root / "movienet"),
                 "--workspace", str(folder / "hydrated")),
        ),
    ]  # fmt: skip
    from lrmovienet.release.layout import Release

    release = Release.open(out)
    counts = {name: of["rows"] for name, of in release.manifest["files"].items() if "rows" in of}
    labels = sum(n for name, n in counts.items() if name.startswith("relevance/"))
    size = sum(of["bytes"] for of in release.manifest["files"].values())
    lines = [
        f"Generated corpus, 3,206 clips: {labels:,} rows of relevance, {sum(counts.values()):,} "
        f"rows in all, {size / 1e6:.1f} MB of files.", "",
        "| what | seconds | peak memory |", "|---|--:|--:|",
    ]  # fmt: skip
    for what, seconds, peak in rows:
        lines.append(f"| {what} | {seconds:.1f} | {f'{peak:.0f} MB' if peak else ''} |")
    return "\n".join(
        [*lines, "", f"- `release build` takes {rows[1][1] / least:.1f} times its floor."]
    )


def random_workspace(root: Path, records: int) -> None:
    """Records of 20 labels with features of the official size: 768 numbers a token and a frame."""
    import numpy as np

    from lrmovienet.features import save, write_arrays, write_index
    from lrmovienet.runner.local import run_once
    from lrmovienet.store_writer import put_store
    from lrmovienet.workspace import Workspace

    workspace, rng = Workspace(root), np.random.default_rng(0)
    clips = [f"film_{i:04d}" for i in range(records)]
    labels = [f"label {i:02d}" for i in range(20)]
    frames = [{"ref": f"film/shot_{i:04d}_img_0.jpg", "sha256": f"{i:064x}"} for i in range(FRAMES)]
    each = [(clip, i) for clip in clips for i in range(20)]
    run_once(workspace, "clips", lambda: {
        "clip_id": clips, "movie_id": ["film"] * records, "title": [None] * records,
        "genres": [["Drama"]] * records, "description": ["A scene."] * records,
        "shot": [[0, 1]] * records, "frame": [[0, 9]] * records, "start_s": [None] * records,
        "end_s": [None] * records, "keyframes": [frames] * records,
    }, version="bench", inputs={}, config={})  # fmt: skip
    n = len(each)
    run_once(workspace, "records", lambda: {
        "clip_id": [clip for clip, _ in each], "domain": ["source"] * n,
        "split": ["source_train"] * n, "position": [i for _, i in each],
        "label": [labels[i] for _, i in each], "grade": [i % 3 for _, i in each],
        "movie_id": ["film"] * n, "genres": [["Drama"]] * n, "source": ["event"] * n,
    }, version="bench", inputs={}, config={})  # fmt: skip
    run_once(workspace, "pairs", lambda: {
        "clip_id": [], "better": [], "worse": [], "percent": [],
    }, version="bench", inputs={}, config={})  # fmt: skip
    pieces, whole = root / "pieces", root / "whole"
    shards = []
    for start in range(0, records, 10):
        texts = 20 * (min(start + 10, records) - start)
        spans, tokens = pieces / f"{start}.spans.npy", pieces / f"{start}.npy"
        save(spans, np.tile(np.array([TOKENS, 1, 3, 0]), (texts, 1)))
        save(tokens, rng.standard_normal((texts * TOKENS, DIM), np.float32).astype(np.float16))
        shards.append((spans, tokens))
    save(pieces / "frames.npy", rng.standard_normal((FRAMES, DIM), np.float32).astype(np.float16))
    counts = write_arrays(whole, shards, [pieces / "frames.npy"])
    rows = [(clip, labels[i], 20 * k + i) for k, clip in enumerate(clips) for i in range(20)]
    write_index(whole, rows, [(clip, [*range(FRAMES)]) for clip in clips])
    encoder = {"name": "random", "sha256": "0" * 64, "dim": DIM}
    encoders = {"text": encoder, "image": {**encoder, "max_frames": 16}}
    with workspace.locked():
        counts["frames_left_out"] = 0
        put_store(workspace, whole, counts, encoders, time.monotonic())


def plain(path: Path, size: int) -> float:
    """Seconds to write so many bytes from one end to the other, and to have them on the disk."""
    block = os.urandom(1 << 22)
    start = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for _ in range(size >> 22):
            file.write(block)
        os.fsync(file.fileno())
    seconds = time.perf_counter() - start
    path.unlink()
    return seconds


def official(folder: Path) -> str:
    """The table of the official project's HDF5 file."""
    lines = ["| records | bytes | plain writing | `upstream write` | of its speed | peak memory |",
             "|--:|--:|--:|--:|--:|--:|"]  # fmt: skip
    for records in SIZES:
        root, out = folder / f"w{records}", folder / f"official{records}"
        random_workspace(root, records)
        seconds, peak = run("upstream", "write", "--workspace", str(root), "--out", str(out))
        size = (out / "clean_feat.h5").stat().st_size
        (out / "clean_feat.h5").unlink()
        least = plain(folder / "plain", size)
        lines.append(
            f"| {records} | {size / 1e9:.2f} GB | {least:.1f} s, {size / least / 1e6:.0f} MB/s | "
            f"{seconds:.1f} s, {size / seconds / 1e6:.0f} MB/s | {least / seconds:.0%} | "
            f"{peak:.0f} MB |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write the sections of a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="the page whose sections are replaced")
    parser.add_argument("--only", choices=["release", "official"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if given.only != "official":
            text = building(Path(name))
            publish(f"{hardware('pyarrow')}\n\n{text}", "release", given.write)
        if given.only != "release":
            text = official(Path(name))
            publish(f"{hardware('h5py', 'numpy')}\n\n{text}", "official", given.write)


if __name__ == "__main__":
    main()
