"""What is in a release: which rows, in which files, with which hashes."""

import hashlib
import json
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from making import build, contents, copied, keys, rows_of, verb

from lrmovienet.release.check import check
from lrmovienet.release.layout import CONFIGS, Release, path_of
from lrmovienet.schema import PAIR_PERCENTS, SPLITS
from lrmovienet.validation import validate
from lrmovienet.workspace import Workspace

MADE = {
    "README.md", "croissant.json", "eval.yaml", "leaks.json", "manifest.json",
    "clips/clips.parquet", "ratings/ratings.parquet", "pair_ratings/pair_ratings.parquet",
    *(f"relevance/{split}.parquet" for split in SPLITS),
    *(f"preferences/pct{percent}.parquet" for percent in PAIR_PERCENTS),
}  # fmt: skip


def test_a_release_has_these_files_and_its_manifest_their_hashes(built):
    there = contents(built)
    assert {*there} == MADE
    manifest = json.loads(there.pop("manifest.json"))
    assert {name: (of["sha256"], of["bytes"]) for name, of in manifest["files"].items()} == {
        name: (hashlib.sha256(data).hexdigest(), len(data)) for name, data in there.items()
    }
    rows = {name: of["rows"] for name, of in manifest["files"].items() if "rows" in of}
    assert rows == {n: pq.read_metadata(built / n).num_rows for n in there if n.endswith("parquet")}
    named = sorted([name, of["sha256"]] for name, of in manifest["files"].items())
    digest = hashlib.sha256(json.dumps(named, separators=(",", ":")).encode()).hexdigest()
    assert manifest["digest"] == digest


@pytest.mark.parametrize("name", sorted(n for n in MADE if n.endswith(".parquet")))
def test_each_file_is_valid_by_its_config_and_in_the_order_of_its_key(built, name):
    schema = CONFIGS[name.split("/")[0]]
    table = pq.read_table(built / name, partitioning=None)
    assert table.schema.equals(schema.schema)
    assert validate(table, schema, name).num_rows == table.num_rows > 0
    order = {"relevance": ("clip_id", "domain", "position")}.get(schema.name, schema.key)
    in_order = keys(table.to_pylist(), *order)
    assert all(a < b for a, b in pairwise(in_order))


@pytest.mark.parametrize("name", sorted(n for n in MADE if n.endswith(".parquet")))
def test_parquet_says_nothing_of_who_wrote_it_where(built, name):
    meta = pq.read_metadata(built / name)
    assert meta.created_by == f"parquet-cpp-arrow version {pa.__version__}"
    # Arrow's own schema is all that is there beside Parquet's: no pandas, no huggingface.
    assert {*(meta.metadata or {})} <= {b"ARROW:schema"}
    for group in range(meta.num_row_groups):
        for i in range(meta.num_columns):
            column = meta.row_group(group).column(i)
            assert column.compression == "ZSTD"
            assert column.has_offset_index
            assert column.has_column_index


def test_clips_are_those_of_the_records_with_all_their_columns(tiny, built):
    workspace = Workspace(tiny)
    used = {*workspace.read("records")["clip_id"].to_pylist()}
    expected = [row for row in workspace.read("clips").to_pylist() if row["clip_id"] in used]
    for row in expected:
        row["keyframes"] = [{**frame, "phash": None} for frame in row["keyframes"]]
    assert 0 < len(expected) < workspace.require("clips").rows
    got = rows_of(built, "clips/clips.parquet")
    assert got == sorted(expected, key=lambda r: r["clip_id"])


def test_relevance_is_records_with_how_each_grade_came_about(tiny, built):
    workspace = Workspace(tiny)
    how = {(r["clip_id"], r["label"]): r for r in workspace.read("relevance").to_pylist()}
    records = {
        (row["clip_id"], row["domain"], row["label"]): row
        for row in workspace.read("records").to_pylist()
    }
    seen = []
    for split in SPLITS:
        for row in rows_of(built, f"relevance/{split}.parquet"):
            record = records[row["clip_id"], row["domain"], row["label"]]
            assert row["split"] == record["split"] == split
            came = {name: row.pop(name) for name in ("n_ratings", "spread", "method")}
            assert row == record
            graded = how[row["clip_id"], row["label"]]
            if split == "target_pairs":
                assert row["grade"] is None
                assert came == {"n_ratings": None, "spread": None, "method": None}
            else:
                assert row["grade"] == graded["grade"]
                assert came == {name: graded[name] for name in came}
            seen.append((row["clip_id"], row["domain"], row["label"]))
    assert sorted(seen) == sorted(records)


def test_preferences_are_the_pairs_each_in_the_smallest_subset_that_has_it(tiny, built):
    workspace = Workspace(tiny)
    names = ("clip_id", "better", "worse")
    pairs = {k: r for r in workspace.read("pairs").to_pylist() for k in keys([r], *names)}
    agreed = {k: r for r in workspace.read("preferences").to_pylist() for k in keys([r], *names)}
    seen = []
    for percent in PAIR_PERCENTS:
        for row in rows_of(built, f"preferences/pct{percent}.parquet"):
            key = keys([row], *names)[0]
            assert row["percent"] == pairs[key]["percent"] == percent
            assert (row["n"], row["agreement"]) == (agreed[key]["n"], agreed[key]["agreement"])
            seen.append(key)
    assert sorted(seen) == sorted(pairs)


def test_subsets_of_pairs_lie_within_each_other(built):
    release = Release.open(built)
    before, sizes = set(), []
    for percent in PAIR_PERCENTS:
        rows = release.read("preferences", f"pct{percent}").to_pylist()
        assert {row["percent"] for row in rows} <= {p for p in PAIR_PERCENTS if p <= percent}
        now = {*keys(rows, "clip_id", "better", "worse")}
        assert len(now) == len(rows)
        assert before < now
        before = now
        sizes.append(len(now))
    assert [round(40 * n / sizes[-1]) for n in sizes] == [5, 10, 20, 40]


def test_perceptual_hashes_are_taken_in_when_asked(tiny, built, tmp_path):
    release = build(tiny, tmp_path / "out", hash_frames=True)
    clips = release.read("clips").to_pylist()
    looks = [frame["phash"] for clip in clips for frame in clip["keyframes"]]
    assert len({*looks}) > 100
    assert all(len(look) == 16 and int(look, 16) >= 0 for look in looks)
    for clip in clips:
        for frame in clip["keyframes"]:
            frame["phash"] = None
    assert clips == rows_of(built, "clips/clips.parquet")
    assert "not looked at" not in (release.root / "README.md").read_text()


def test_the_papers_protocol_without_a_development_split(tiny, tmp_path):
    workspace = copied(tiny, tmp_path / "w")
    verb("split", workspace, "--equal_grades", "keep", "--protocol", "paper", "--dev_share", "0")
    release = build(workspace, tmp_path / "out")
    splits = [split for split in SPLITS if split != "target_dev"]
    assert [*release.splits("relevance")] == splits
    assert release.manifest["protocol"] == "paper"
    assert release.manifest["split_options"]["dev_share"] == 0
    assert (
        "target_dev`"
        not in (release.root / "README.md")
        .read_text()
        .split("<!-- data: spl")[1]
        .split("<!-- end")[0]
    )
    assert check(release) == []
    assert not (release.root / path_of("relevance", "target_dev")).exists()


def test_agreement_is_on_the_card_while_it_is_that_of_these_ratings(tiny, tmp_path):
    workspace = copied(tiny, tmp_path / "w")
    verb("annotate agreement", workspace, "--resamples", "100")
    report = json.loads((workspace / "annotation" / "agreement.json").read_bytes())
    release = build(workspace, tmp_path / "out")
    alpha = report["grading"]["alpha"]
    assert release.manifest["agreement"]["grading"] == {
        name: alpha[name] for name in ("value", "low", "high", "units")
    }
    line = f"| grading | {alpha['value']:.3f} | [{alpha['low']:.3f}, {alpha['high']:.3f}] |"
    assert line in (release.root / "README.md").read_text()
    report["made_from"]["ratings"] = "0" * 64
    (workspace / "annotation" / "agreement.json").write_text(json.dumps(report))
    release = build(workspace, tmp_path / "out")
    assert release.manifest["agreement"] == {}
    assert "Agreement was not measured" in (release.root / "README.md").read_text()
