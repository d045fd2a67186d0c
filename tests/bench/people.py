"""What pushing and pulling cost, and how many keys twenty labels take: ``make bench``.

A real Label Studio server on SQLite, on this machine; requests are counted in a client of its own
program, which does what `lrmovienet annotate` does.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import ROOT, hardware, publish

sys.path.insert(0, str(ROOT / "tests" / "annotation"))

SIZES = (750, 1500, 3000)
LABELS = 20
VERB = """
import resource, sys, time
import httpx
requests = [0]
send = httpx.Client.send
def counted(self, *a, **k):
    requests[0] += 1
    return send(self, *a, **k)
httpx.Client.send = counted
from lrmovienet.cli import main
start = time.perf_counter()
code = main(sys.argv[1:])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print("MEASURED", time.perf_counter() - start, requests[0], peak, code)
"""


def corpus(root: Path, clips: int) -> None:
    """Clips without pictures and twenty candidates each, and a truth to answer by."""
    from lrmovienet.runner.local import run_once
    from lrmovienet.workspace import Workspace

    ids = [f"film_{i:04d}" for i in range(clips)]
    text = "A man in a raincoat crosses the street, looks up, and sees the light go out. " * 4
    run_once(Workspace(root), "clips", lambda: {
        "clip_id": ids, "movie_id": ["film"] * clips, "title": ["Film"] * clips,
        "genres": [["Drama"]] * clips, "description": [text] * clips, "shot": [[0, 1]] * clips,
        "frame": [[0, 9]] * clips, "start_s": [0.0] * clips, "end_s": [1.0] * clips,
        "keyframes": [[{"ref": "film/shot_0000_img_0.jpg", "sha256": "0" * 64}]] * clips,
    }, version="bench", inputs={}, config={})  # fmt: skip
    source = [{"kind": "event", "model": "bench", "score": None}]
    pairs = [(clip, i) for clip in ids for i in range(LABELS)]
    run_once(Workspace(root), "candidates", lambda: {
        "clip_id": [clip for clip, _ in pairs], "label": [f"label number {i}" for _, i in pairs],
        "position": [i for _, i in pairs], "sources": [source] * len(pairs),
    }, version="bench", inputs={}, config={})  # fmt: skip


def verb(*words: str) -> tuple[float, int, float]:
    """Seconds, requests and peak memory (MB) of one command."""
    done = subprocess.run(
        [sys.executable, "-c", VERB, *words], capture_output=True, text=True, cwd=ROOT
    )  # fmt: skip
    found = [line for line in done.stdout.splitlines() if line.startswith("MEASURED")]
    if not found or found[0].split()[-1] != "0":
        sys.exit(f"{' '.join(words)}:\n{done.stdout}{done.stderr}")
    seconds, requests, peak = found[0].split()[1:4]
    return float(seconds), int(requests), int(peak) / 1024


def answered_in_the_database(database: Path, project: int, results: list[dict]) -> None:
    """Answers to all tasks of a project, past the API, which would take minutes."""
    import sqlite3

    with sqlite3.connect(database, timeout=60) as db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(task_completion)")]
        tasks = [row[0] for row in db.execute("SELECT id FROM task WHERE project_id=?", (project,))]
        template = db.execute("SELECT * FROM task_completion WHERE project_id=?", (project,))
        row = dict(zip(columns, template.fetchone(), strict=True))
        last = db.execute("SELECT MAX(id) FROM task_completion").fetchone()[0]
        for number, task in enumerate(t for t in tasks if t != row["task_id"]):
            new = {**row, "id": last + 1 + number, "task_id": task, "unique_id": None}
            new["result"] = json.dumps(results)
            if "unique_id" in new:
                import uuid

                new["unique_id"] = uuid.uuid4().hex
            marks = ",".join("?" * len(columns))
            names = ",".join(f'"{name}"' for name in columns)
            db.execute(f"INSERT INTO task_completion ({names}) VALUES ({marks})",
                       [new[name] for name in columns])  # fmt: skip
        db.execute(
            # Answered one every few seconds, as people would, up to a minute ago.
            "UPDATE task SET total_annotations=1, is_labeled=1, updated_at=strftime("
            "'%Y-%m-%d %H:%M:%f', 'now', '-' || (60 + 3 * (id % 4000)) || ' seconds') "
            "WHERE project_id=?", (project,),
        )  # fmt: skip


def round_trip(folder: Path, url: str, token: Path, database: Path, pages: int) -> list[tuple]:
    """Push so many pages, push again, answer, pull, pull again."""
    from annotation.results import results
    from annotation.store import Store
    from lrmovienet.workspace import Workspace

    root = folder / f"w{pages}"
    corpus(root, pages)
    common = ("--workspace", str(root), "--server", url, "--token_file", str(token))
    push = ("annotate", "push", "grading", *common, "--annotators", "ann", "--overlap", "1",
            "--pictures", "false")  # fmt: skip
    rows = [("push", *verb(*push)), ("push again: nothing", *verb(*push))]
    project = Store(root / "annotation" / "store.sqlite").projects()[0]
    [first, *_] = Store(root / "annotation" / "store.sqlite").tasks(project)
    from annotation.server import Server

    said = results(dict.fromkeys(range(LABELS), "1"))
    Server(url, token.read_text()).sdk.annotations.create(
        id=first.on_server, result=said, lead_time=40.0
    )
    answered_in_the_database(database, project.on_server, said)
    pull = ("annotate", "pull", *common)
    rows += [("pull", *verb(*pull)), ("pull again: nothing new", *verb(*pull))]
    rated = Workspace(root).read("ratings").num_rows
    if rated != pages * LABELS:
        sys.exit(f"{rated} ratings of {pages * LABELS}")
    return rows


def import_alone(url: str, token: Path, pages: int) -> float:
    """Seconds that the server needs to take the same tasks in chunks, and nothing else."""
    from annotation.delivery import CHUNK
    from annotation.forms import GRADING
    from annotation.label_configs import label_config, page_data
    from annotation.server import Server

    sdk = Server(url, token.read_text()).sdk
    project = sdk.projects.create(title="floor", label_config=label_config(GRADING, False)).id
    text = "A man in a raincoat crosses the street, looks up, and sees the light go out. " * 4
    asked = [(f"label number {i}",) for i in range(LABELS)]
    tasks = [
        {"data": {"lrm_uid": str(i), **page_data(GRADING, text, asked, None)}} for i in range(pages)
    ]
    start = time.perf_counter()
    for begin in range(0, pages, CHUNK):
        sdk.projects.import_tasks(
            id=project, request=tasks[begin : begin + CHUNK], return_task_ids=True
        )
    return time.perf_counter() - start


def traffic(folder: Path, url: str, token: Path, database: Path) -> str:
    """The table of time, requests and memory."""
    lines = [
        f"Pages of {LABELS} labels, one annotator, one request of 200 pages at a time; SQLite.", "",
        "| what | " + " | ".join(f"{n:,} pages" for n in SIZES) + " | requests | peak memory |",
        "|---|" + "--:|" * (len(SIZES) + 2),
    ]  # fmt: skip
    floor = [import_alone(url, token, n) for n in SIZES]
    lines.append(
        "| floor of push: the server's import alone | "
        + " | ".join(f"{s:.1f} s" for s in floor) + " |  |  |"
    )  # fmt: skip
    found = [round_trip(folder, url, token, database, n) for n in SIZES]
    for rows in zip(*found, strict=True):
        requests = " / ".join(str(row[2]) for row in rows)
        peak = max(row[3] for row in rows)
        times = " | ".join(f"{row[1]:.1f} s" for row in rows)
        lines.append(f"| {rows[0][0]} | {times} | {requests} | {peak:.0f} MB |")
    push = [rows[0][1] for rows in found]
    pull = [rows[2][1] for rows in found]
    lines += ["", f"- Four times the pages: push {push[-1] / push[0]:.1f} times as long, pull "
              f"{pull[-1] / pull[0]:.1f} times; the program's start is in all of them.",
              f"- Of a push of {SIZES[-1]:,} pages {floor[-1] / push[-1]:.0%} is the server's "
              "import."]  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write the section of a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="the page whose section is replaced")
    given = parser.parse_args()
    from annotation import local_server

    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), local_server.free_port()
        with local_server.running(folder / "studio", port):
            studio = folder / "studio"
            database = studio / "data" / "label_studio.sqlite3"
            text = traffic(folder, f"http://127.0.0.1:{port}", studio / "token", database)
    head = hardware("label-studio-sdk", "httpx")
    publish(f"{head}\n\n{text}", "annotation", given.write)


if __name__ == "__main__":
    main()
