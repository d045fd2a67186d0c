"""Workspaces and releases for the tests: of the generated corpus, and of people with names."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from lrmovienet.cli import main
from lrmovienet.files import json_bytes, sha256_file
from lrmovienet.release.build import BuildConfig, run
from lrmovienet.release.layout import MANIFEST, Release, digest_of
from lrmovienet.runner import Columns
from lrmovienet.runner.local import Job, run_table
from lrmovienet.workspace import Workspace

ANN, BOB = "Annabella.Quux@example.org", "bobbert zweistein"


def verb(name: str, root: Path, *options: str) -> None:
    """Run a verb of two words or one, as on the command line."""
    assert main([*name.split(), "--workspace", str(root), *options]) == 0, name


def generated(root: Path, *, processes: int = 1, shard_size: int = 8, split: tuple = ()) -> Path:
    """The tiny generated corpus, up to its records."""
    many = ("--processes", str(processes), "--shard_size", str(shard_size))
    verb("synth", root, "--size", "tiny", *many)
    verb("ingest", root, "--movienet", str(root / "movienet"), *many)
    verb("aggregate", root)
    verb("split", root, "--equal_grades", "drop", *split)
    return root


def copied(root: Path, to: Path) -> Path:
    """A workspace's tables elsewhere, without its films."""
    return shutil.copytree(root, to, ignore=shutil.ignore_patterns("movienet"))


def build(workspace: Path, out: Path, **options) -> Release:
    """Build a release with real code, and open it."""
    run(BuildConfig(workspace, out=out, **options))
    return Release.open(out)


def contents(root: Path) -> dict[str, bytes]:
    """Path -> bytes of everything in a folder."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(Path(root).rglob("*"))
        if path.is_file()
    }


def rows_of(root: Path, name: str) -> list[dict]:
    """The rows of one file of a release."""
    return pq.read_table(root / name, partitioning=None).to_pylist()


def keys(rows: list[dict], *columns: str) -> list[tuple]:
    """Some columns of each row."""
    return [tuple(row[name] for name in columns) for row in rows]


def refused(workspace: Path, out: Path, capsys, *options: str) -> str:
    """What a build that ends with exit code 2 says."""
    capsys.readouterr()
    command = ["release", "build", "--workspace", str(workspace), "--out", str(out), *options]
    assert main(command) == 2
    message = capsys.readouterr().err
    assert message.startswith("lrmovienet release build: error: ")
    assert message.count("error:") == 1
    assert "Traceback" not in message
    return message


def everything(folder: Path) -> tuple[dict[str, bytes], list[str]]:
    """What a folder holds, and its neighbours."""
    return contents(folder), sorted(path.name for path in folder.parent.iterdir())


def sealed(root: Path, **changed) -> Release:
    """Make a manifest say what its files are now, as an attacker would. `changed` goes into it."""
    manifest = json.loads((root / MANIFEST).read_bytes()) | changed
    for name, of in manifest["files"].items():
        if (root / name).is_file():
            of |= {"sha256": sha256_file(root / name), "bytes": (root / name).stat().st_size}
    manifest["digest"] = digest_of(manifest["files"])
    (root / MANIFEST).write_bytes(json_bytes(manifest))
    return Release.open(root)


@dataclass(frozen=True)
class Given:
    """A stage that gives the rows it was told."""

    version: str
    rows: tuple[dict, ...]

    def __call__(self, batch: Columns) -> Columns:
        names = self.rows[0]
        return {name: [row[name] for row in self.rows] for name in names}


def put(workspace: Workspace, table: str, rows: list[dict], version="given-1", **manifest) -> None:
    """Make a table of rows. `manifest`: its models, prompts, config or inputs."""
    job = {"config": {}, "inputs": {}} | manifest
    shard = {"made_from": [json.dumps(rows)]}
    run_table(workspace, Job(table, Given(version, tuple(rows)), [shard], "made_from", **job))


def people(
    root: Path,
    names=(ANN, BOB),
    head="Drama",
    tail="War",
    title="A film",
    models=None,
    grade=None,
    order=None,
) -> Workspace:
    """Twelve films of two clips, graded and compared by people who are not generated.

    Every third film is of the `tail` genre and shows tanks, mud and smoke, the others of `head`.
    `models` go into the manifest of image_labels; `grade(clip, label, annotator)` decides grades;
    `order` says in which order each table's rows lie.
    """
    workspace, order = Workspace(root), order or list
    grade = grade or (lambda clip, label, who: (len(label) + names.index(who)) % 3)
    clips, candidates, ratings, pairs = [], [], [], []
    common = {"lead_time_s": 2.5, "guidelines_version": "1", "position": 0}
    for number in range(24):
        film = f"tt{number // 2:04d}"
        clip_id = f"{film}_{number % 2:04d}"
        late = number // 2 % 3 == 0
        frame = {"ref": f"{film}/shot_0000_img_0.jpg", "sha256": f"{number:064x}"}
        clips.append({
            "clip_id": clip_id, "movie_id": film, "title": title,
            "genres": [tail] if late else [head],
            "description": f"Somebody does thing {number} at place {number * 7}.",
            "shot": [0, 1], "frame": [0, 9], "start_s": 1.5, "end_s": 2.5, "keyframes": [frame],
        })  # fmt: skip
        labels = ["tank", "mud", "a smoke"] + ([] if late else ["rain", "a house", "love"])
        for position, label in enumerate(labels):
            row = {"clip_id": clip_id, "label": label}
            source = {"kind": "event", "model": "m", "score": None}
            candidates.append({**row, "position": position, "sources": [source]})
            ratings += [{
                **row, **common, "annotator": who, "grade": grade(clip_id, label, who),
                "created_at": f"2026-03-0{1 + position}T23:59:58.1Z", "project": "grading",
                "preannotated": False,
            } for who in names]  # fmt: skip
        for a, b in (("tank", "mud"), ("a smoke", "tank"), ("mud", "a smoke")):
            pairs.append({
                **common, "clip_id": clip_id, "label_a": a, "label_b": b, "annotator": names[0],
                "choice": "a", "created_at": "2026-03-09T01:02:03Z", "project": "pairs",
            })  # fmt: skip
    tags = [{
        "clip_id": clip["clip_id"], "label": "tank", "score": None, "frames_hit": 1,
        "frame_scores": None, "threshold": None, "tagger": "t",
    } for clip in clips]  # fmt: skip
    put(workspace, "clips", order(clips))
    put(
        workspace,
        "image_labels",
        order(tags),
        models=models or {},
        config={"tags": str(root / "t.csv")},
    )
    put(workspace, "candidates", order(candidates))
    put(workspace, "ratings", order(ratings), version="pull-1")
    put(workspace, "pair_ratings", order(pairs), version="pull-1")
    verb("aggregate", root)
    verb("split", root, "--tail_genres", "1", "--equal_grades", "keep")
    return workspace
