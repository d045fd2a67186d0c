"""Same inputs, same bytes: whoever builds, wherever and whenever; and Parquet as it should be."""

import hashlib
import json
import os
import random
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from making import build, contents, copied, generated, people

from lrmovienet.release.layout import CONFIGS
from lrmovienet.release.write import ROWS_A_GROUP, write_config, write_stream

pytestmark = pytest.mark.slow


def parquet_of(root):
    return {name: data for name, data in contents(root).items() if name.endswith(".parquet")}


def test_building_again_changes_nothing(tiny, built, tmp_path):
    for _ in range(2):  # the second time over the first
        assert contents(build(tiny, tmp_path / "out").root) == contents(built)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_another_folder_process_clock_and_language_give_the_same_bytes(tiny, built, tmp_path):
    """A copy of the workspace, named by a relative path from its own folder."""
    copied(tiny, tmp_path / "Ärger mit Leerzeichen" / "w")
    environment = {
        **os.environ, "PYTHONHASHSEED": "4711", "TZ": "Pacific/Kiritimati", "LC_ALL": "C",
        "LANG": "tr_TR.UTF-8", "COLUMNS": "40",
    }  # fmt: skip
    command = [
        sys.executable, "-c", "from lrmovienet.cli import entry; entry()",
        "release", "build", "--workspace", "w", "--out", "new/out",
    ]  # fmt: skip
    where = tmp_path / "Ärger mit Leerzeichen"
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert contents(where / "new" / "out") == contents(built)


@pytest.mark.slow
def test_stages_run_by_one_or_two_processes_give_the_same_bytes(built, tmp_path):
    workspace = generated(tmp_path / "two", processes=2)
    assert contents(build(workspace, tmp_path / "out").root) == contents(built)


@pytest.mark.slow
def test_tables_in_other_parts_give_the_same_rows_files(built, tmp_path):
    """Where tables were cut is of no account; only the hashes of those tables tell."""
    workspace = generated(tmp_path / "parts", shard_size=1)
    release = build(workspace, tmp_path / "out")
    assert parquet_of(release.root) == parquet_of(built)
    other, mine = release.manifest, json.loads((built / "manifest.json").read_bytes())
    for manifest in (other, mine):
        for of in manifest["provenance"].values():
            del of["digest"]
    assert other == mine


def test_the_order_of_rows_in_the_tables_is_of_no_account(tmp_path):
    def shuffled(rows):
        return random.Random(7).sample(rows, len(rows))

    found = []
    for name, order in (("a", list), ("b", shuffled)):
        workspace = people(tmp_path / name, order=order)
        (workspace.root / "annotation").mkdir(exist_ok=True)
        (workspace.root / "annotation" / "pseudonyms.key").write_bytes(b"k" * 32)
        release = build(workspace.root, tmp_path / f"{name}-out")
        for of in release.manifest["provenance"].values():
            del of["digest"]
        files = contents(release.root)
        del files["manifest.json"]
        found.append((files, release.manifest))
    assert found[0] == found[1]


def label_rows(n: int, added=()) -> pa.Table:
    """Rows of relevance by clip, as of a large release; `added` clips have one label more."""
    rng = np.random.default_rng(0)
    words = [f"{word:06x}" for word in rng.integers(0, 2**24, 20_000)]
    drawn = rng.integers(0, len(words), (n, 2)).tolist()
    rows, added = [], {*added}
    for i, (first, second) in enumerate(drawn):
        film, clip_id = f"tt{i // 300:07d}", f"tt{i // 300:07d}_{i % 300 // 20:04d}"
        row = {
            "clip_id": clip_id, "domain": "source", "split": "source_train", "position": i % 20,
            "label": f"{words[first]} {words[second]}", "grade": int(first % 3), "movie_id": film,
            "genres": ["Drama"], "source": "event", "n_ratings": 3, "spread": 1, "method": "median",
        }  # fmt: skip
        rows.append(row)
        if i in added:
            rows.append({**row, "position": 20, "label": "added by hand"})
    return pa.Table.from_pylist(rows, schema=CONFIGS["relevance"].schema)


def test_row_groups_are_small_and_all_pages_have_an_index(tmp_path):
    rows = label_rows(ROWS_A_GROUP + 1)
    write_config(tmp_path / "rows.parquet", rows)
    meta = pq.read_metadata(tmp_path / "rows.parquet")
    groups = [meta.row_group(i) for i in range(meta.num_row_groups)]
    assert sum(group.num_rows for group in groups) == rows.num_rows
    assert max(group.num_rows for group in groups) <= ROWS_A_GROUP
    # The Hub's viewer refuses groups of some 286 MiB; it reads pages of smaller ones.
    assert max(group.total_byte_size for group in groups) < 32 * 2**20
    for group in groups:
        for i in range(meta.num_columns):
            assert group.column(i).has_column_index
            assert group.column(i).has_offset_index
    assert pq.read_table(tmp_path / "rows.parquet").equals(rows)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_parts_are_written_one_after_the_other(tmp_path):
    rows = label_rows(25)
    path = tmp_path / "rows.parquet"
    assert write_stream(path, rows.schema, iter([rows[:7], rows[7:10], rows[10:]]), 6) == 25
    meta = pq.read_metadata(path)
    assert [meta.row_group(i).num_rows for i in range(meta.num_row_groups)] == [6, 1, 3, 6, 6, 3]
    assert pq.read_table(path).equals(rows)


def test_a_file_without_rows_is_a_file(tmp_path):
    rows = label_rows(3)[:0]
    write_config(tmp_path / "rows.parquet", rows)
    assert pq.read_table(tmp_path / "rows.parquet").equals(rows)


def chunks(data: bytes) -> list[bytes]:
    """Bytes cut where a hash of the 32 before is 0 in 13 bits: some 8 KiB each, wherever they lie.

    A storage that knows chunks works so, with larger ones.
    """
    values = np.frombuffer(data, np.uint8).astype(np.uint64)
    rolling = np.zeros(max(len(values) - 31, 0), np.uint64)
    with np.errstate(over="ignore"):
        for back in range(32):
            rolling = rolling * np.uint64(0x9E3779B97F4A7C15) + values[back : len(rolling) + back]
    cuts = [0, *(np.flatnonzero(rolling >> np.uint64(51) == 0) + 32).tolist(), len(data)]
    return [data[a:b] for a, b in pairwise(cuts)]


def shared(old: bytes, new: bytes) -> float:
    """The share of `new` that a storage of chunks has from `old`."""
    known = {hashlib.sha256(chunk).digest() for chunk in chunks(old)}
    again = [c for c in chunks(new) if hashlib.sha256(c).digest() in known]
    return sum(map(len, again)) / len(new)


def test_the_measure_of_sharing_sees_what_moved():
    data = random.Random(0).randbytes(400_000)
    assert [len(c) for c in chunks(b"")] == [0]
    assert b"".join(chunks(data)) == data
    others = (b"in front" + data, data[:200_000] + b"within" + data[200_000:])
    assert [shared(data, other) > 0.8 for other in others] == [True, True]
    nothing = shared(data, random.Random(1).randbytes(400_000))
    assert nothing == 0


def test_a_version_with_a_few_labels_more_shares_most_of_its_bytes(tmp_path):
    """What pages that are cut by content are for: what comes after an added row stays as it was."""
    old, new = tmp_path / "old.parquet", tmp_path / "new.parquet"
    write_config(old, label_rows(40_000))
    write_config(new, label_rows(40_000, added=[1_019]))
    share = shared(old.read_bytes(), new.read_bytes())
    assert share > 0.5
