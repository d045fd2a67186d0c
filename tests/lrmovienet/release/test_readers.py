"""A release is read as it lies there: by `datasets`, old and new, pandas, polars and DuckDB."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from making import build, copied, rows_of, verb

from lrmovienet.release.layout import Release, path_of

DATASETS_3 = Path(__file__).parents[3] / ".venv-datasets-3" / "bin" / "python"

SCRIPT = """
import json, sys
import datasets
from datasets import get_dataset_config_names, get_dataset_default_config_name, load_dataset
root, cache, out = sys.argv[1:]
found = {"version": datasets.__version__, "default": get_dataset_default_config_name(root)}
found["configs"] = {}
for config in get_dataset_config_names(root):
    loaded = load_dataset(root, config, cache_dir=cache)
    found["configs"][config] = {
        split: {
            "rows": rows.to_list(), "named": rows.info.splits[split].num_examples,
            "types": {name: str(field.type) for name, field in
                      zip(rows.features, rows.features.arrow_schema)},
        } for split, rows in loaded.items()}
loaded = load_dataset(root, cache_dir=cache)
found["by default"] = {split: rows.num_rows for split, rows in loaded.items()}
open(out, "w").write(json.dumps(found))
"""


def loaded_by(python: str, root: Path, folder: Path) -> dict:
    """What `datasets` of an environment makes of a folder, without a network and without trust."""
    environment = {
        **os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "home"),
        "HF_DATASETS_CACHE": str(folder / "cache"), "HF_DATASETS_TRUST_REMOTE_CODE": "0",
    }  # fmt: skip
    out = folder / "found.json"
    command = [python, "-c", SCRIPT, str(root), str(folder / "cache"), str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(out.read_text())


def expected(root: Path) -> dict:
    release = Release.open(root)
    return {
        config: {
            split: [row for f in files for row in rows_of(root, path_of(config, f))]
            for split, files in release.splits(config).items()
        }
        for config in release.configs
    }


def assert_reads(python: str, root: Path, folder: Path) -> str:
    found = loaded_by(python, root, folder)
    want = json.loads(json.dumps(expected(root)))  # as JSON: numbers of 32 bits come as they are
    assert found["default"] == "relevance"
    assert {c: [*splits] for c, splits in found["configs"].items()} == {
        c: [*splits] for c, splits in want.items()
    }
    for config, splits in want.items():
        schema = Release.open(root).read(config).schema
        for split, rows in splits.items():
            got = found["configs"][config][split]
            assert got["rows"] == rows, (config, split)
            assert got["named"] == len(rows)
            types = {f.name: str(f.type).replace("element:", "item:") for f in schema}
            assert got["types"] == types, (config, split)
    assert found["by default"] == {s: len(rows) for s, rows in want["relevance"].items()}
    return found["version"]


def test_the_installed_datasets_reads_every_row_of_every_config(built, tmp_path):
    assert int(assert_reads(sys.executable, built, tmp_path).split(".")[0]) >= 4


@pytest.mark.slow
def test_the_oldest_datasets_reads_every_row_of_every_config(built, tmp_path):
    if not DATASETS_3.is_file():
        pytest.skip("no environment with datasets 3.6: make .venv-datasets-3/.installed")
    assert assert_reads(str(DATASETS_3), built, tmp_path) == "3.6.0"


@pytest.mark.slow
def test_a_release_of_the_papers_protocol_with_hashes_and_no_people_is_read(tiny, tmp_path):
    """No target_dev, no ratings, but perceptual hashes, where the others have nothing."""
    workspace = copied(tiny, tmp_path / "w")
    (workspace / "movienet").symlink_to(tiny / "movienet")
    verb("split", workspace, "--equal_grades", "drop", "--protocol", "paper", "--dev_share", "0")
    release = build(workspace, tmp_path / "out", ratings=False, hash_frames=True)
    (tmp_path / "new").mkdir()
    assert_reads(sys.executable, release.root, tmp_path / "new")
    if DATASETS_3.is_file():
        (tmp_path / "old").mkdir()
        assert_reads(str(DATASETS_3), release.root, tmp_path / "old")


def test_pandas_reads_every_file(built):
    for path in sorted(built.rglob("*.parquet")):
        rows = rows_of(built, path.relative_to(built).as_posix())
        frame = pd.read_parquet(path, dtype_backend="pyarrow")
        assert [*frame.columns] == [*rows[0]]
        assert json.loads(frame.to_json(orient="records", double_precision=15)) == json.loads(
            pd.DataFrame(rows, columns=frame.columns, dtype=object).to_json(
                orient="records", double_precision=15
            )
        ), path


def test_polars_reads_every_file_and_all_of_a_folder(built):
    import polars as pl

    for path in sorted(built.rglob("*.parquet")):
        rows = rows_of(built, path.relative_to(built).as_posix())
        assert pl.read_parquet(path).to_dicts() == rows, path
    every = pl.read_parquet(built / "preferences" / "*.parquet")
    names = sorted(path.name for path in (built / "preferences").iterdir())
    assert every.to_dicts() == [
        row for name in names for row in rows_of(built, f"preferences/{name}")
    ]


def test_duckdb_reads_every_file_and_all_of_a_folder(built):
    import duckdb

    with duckdb.connect() as base:
        for path in sorted(built.rglob("*.parquet")):
            rows = rows_of(built, path.relative_to(built).as_posix())
            found = base.execute("SELECT * FROM read_parquet(?)", [str(path)])
            names = [column[0] for column in found.description]
            got = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
            assert got == rows, path
        # The sentence that a user would write: grades by split, over all files.
        counted = base.execute(
            "SELECT split, grade, count(*) FROM read_parquet(?) GROUP BY ALL ORDER BY ALL",
            [str(built / "relevance" / "*.parquet")],
        ).fetchall()
    want: dict = {}
    for path in (built / "relevance").iterdir():
        for row in rows_of(built, f"relevance/{path.name}"):
            key = (row["split"], row["grade"])
            want[key] = want.get(key, 0) + 1
    assert {(split, grade): n for split, grade, n in counted} == want
