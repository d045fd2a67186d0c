"""A dataset in which nobody has compared labels: grades make a release, too."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from making import copied

from lrmovienet.cli import main
from lrmovienet.release.check import check
from lrmovienet.release.layout import Release
from lrmovienet.workspace import Workspace

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def grades_only(tiny, tmp_path_factory):
    workspace = copied(tiny, tmp_path_factory.mktemp("grades") / "w")
    for table in ("preferences", "pair_ratings", "strengths", "pairs"):
        shutil.rmtree(workspace / table)
    assert main(split(workspace)) == 0
    return workspace


def split(workspace):
    return ["split", "--workspace", str(workspace), "--equal_grades", "drop"]


def test_split_makes_records_and_no_pairs(grades_only, capsys):
    assert Workspace(grades_only).read("pairs").num_rows == 0
    assert main(split(grades_only)) == 0
    assert "nobody has compared labels" in capsys.readouterr().out


def test_the_release_has_no_preferences_and_is_whole(grades_only, tmp_path):
    out = tmp_path / "release"
    assert main(["release", "build", "--workspace", str(grades_only), "--out", str(out)]) == 0
    release = Release.open(out)
    assert release.configs == ["clips", "relevance", "ratings"]
    assert check(release) == []
    assert "| `pct5` | 0 | 0.0% |" in (out / "README.md").read_text(encoding="utf-8")
    hydrated = tmp_path / "h"
    assert main(["hydrate", str(out), "--workspace", str(hydrated)]) == 0
    assert Workspace(hydrated).read("pairs").num_rows == 0


def test_what_is_trained_on_grades_is_scored_on_the_workspace_and_on_the_release(
    grades_only, tmp_path
):
    """The folder of a workspace is gold as it is, with everything else that lies in it."""
    out, predictions = tmp_path / "release", tmp_path / "p.csv"
    assert main(["release", "build", "--workspace", str(grades_only), "--out", str(out)]) == 0
    rows = Workspace(grades_only).read("records").to_pylist()
    lines = [
        f"{row['clip_id']},{row['label']},{len(row['label'])}"
        for row in rows
        if row["split"] == "target_test"
    ]
    predictions.write_text("\n".join(["clip_id,label,score", *lines]), encoding="utf-8")
    said = []
    for gold in (grades_only, out):
        done = subprocess.run(
            [sys.executable, ROOT / "eval" / "score.py", "--gold", gold, "--split", "target_test",
             "--predictions", predictions, "--json", tmp_path / f"{gold.name}.json"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        said.append([line for line in done.stdout.splitlines() if "NDCG@" in line])
    assert (grades_only / "runs.jsonl").exists()
    assert said[0] == said[1] != []
