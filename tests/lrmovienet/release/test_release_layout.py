"""What a release on disk is: its manifest, configs, splits and files, and how they are read."""

import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from making import contents, keys, rows_of, sealed

from lrmovienet.errors import UserError
from lrmovienet.release.layout import (
    CONFIGS,
    MANIFEST,
    Release,
    digest_of,
    files_of,
    membership,
    path_of,
)
from lrmovienet.schema import SPLITS


def test_subsets_of_pairs_are_made_of_the_files_before_them():
    assert files_of("preferences") == {
        "pct5": ("pct5",), "pct10": ("pct5", "pct10"), "pct20": ("pct5", "pct10", "pct20"),
        "pct40": ("pct5", "pct10", "pct20", "pct40"),
    }  # fmt: skip
    assert files_of("relevance") == {split: (split,) for split in SPLITS}
    for config in ("clips", "ratings", "pair_ratings", "features"):
        assert files_of(config) == {"full": (config,)}
        assert path_of(config, config) == f"{config}/{config}.parquet"


def test_configs_are_those_whose_files_the_manifest_names(built):
    release = Release.open(built)
    assert release.configs == ["clips", "relevance", "preferences", "ratings", "pair_ratings"]
    assert all(release.has(config) for config in release.configs)
    assert not release.has("features")
    assert not release.has("relevanc")
    assert release.kind == "labels"
    assert [*release.splits("relevance")] == [*SPLITS]
    assert release.splits("features") == {}


def test_a_config_is_read_whole_or_by_split_or_by_column(built):
    release = Release.open(built)
    by_split = [row for split in SPLITS for row in rows_of(built, f"relevance/{split}.parquet")]
    assert release.read("relevance").to_pylist() == by_split
    columns = ["label", "clip_id"]
    some = release.read("relevance", "target_test", columns)
    assert some.column_names == columns
    assert some.to_pylist() == [
        {name: row[name] for name in columns}
        for row in rows_of(built, "relevance/target_test.parquet")
    ]
    # Of nested splits each row once.
    every = release.read("preferences")
    assert every.num_rows == release.read("preferences", "pct40").num_rows
    assert len({*keys(every.to_pylist(), "clip_id", "better", "worse")}) == every.num_rows


@pytest.mark.parametrize(
    ("config", "split", "said"),
    [
        ("features", None, "no config features"), ("nothing", None, "no config nothing"),
        ("relevance", "test", "no split test"), ("preferences", "pct30", "no split pct30"),
        ("clips", "target_test", "no split target_test"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_with_what_there_is(built, config, split, said):
    with pytest.raises(UserError, match=said) as error:
        Release.open(built).read(config, split)
    there = {"relevance": "target_pairs", "preferences": "pct5, pct10", "clips": "full"}
    assert there.get(config, "clips, relevance") in str(error.value)


def test_a_split_without_rows_has_no_file_and_is_no_split(release):
    """As target_dev of the paper's protocol."""
    (release.root / "relevance" / "target_dev.parquet").unlink()
    manifest = json.loads((release.root / MANIFEST).read_bytes())
    del manifest["files"]["relevance/target_dev.parquet"]
    left = sealed(release.root, files=manifest["files"])
    assert [*left.splits("relevance")] == [s for s in SPLITS if s != "target_dev"]
    with pytest.raises(UserError, match="no split target_dev"):
        left.read("relevance", "target_dev")
    (release.root / "preferences" / "pct10.parquet").unlink()
    del manifest["files"]["preferences/pct10.parquet"]
    left = sealed(release.root, files=manifest["files"])
    assert left.splits("preferences")["pct20"] == ("pct5", "pct20")


@pytest.mark.parametrize("name", ["clips/clips.parquet", "relevance/target_test.parquet"])
def test_damaged_files_are_not_read(release, name):
    config = name.split("/")[0]
    path = release.root / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"damaged \(its sha256"):
        release.read(config)
    path.unlink()
    with pytest.raises(UserError, match="named in the manifest but not there"):
        release.read(config)


def test_other_columns_are_not_read_though_the_hash_is_right(release):
    name = "preferences/pct5.parquet"
    table = pq.read_table(release.root / name)
    pq.write_table(table.rename_columns(["a", *table.column_names[1:]]), release.root / name)
    with pytest.raises(UserError, match="pct5"):
        sealed(release.root).read("preferences")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"3", b"\xff\xfe", b"{}", b'"a"'])
def test_a_manifest_that_is_none_is_refused(release, content):
    (release.root / MANIFEST).write_bytes(content)
    with pytest.raises(
        UserError, match=r"not a readable manifest|not a release's manifest"
    ) as error:
        Release.open(release.root)
    assert str(release.root / MANIFEST) in str(error.value)


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/passwd", "a/../../b", "a\\..\\b", "..", "clips/.."]
)
def test_a_manifest_that_names_files_elsewhere_is_refused(release, name):
    manifest = json.loads((release.root / MANIFEST).read_bytes())
    manifest["files"][name] = {"sha256": "0" * 64, "bytes": 1}
    (release.root / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="outside the folder"):
        Release.open(release.root)


@pytest.mark.parametrize("name", ["..parquet", "a..b/c", "clips/clips..parquet"])
def test_two_dots_within_a_name_are_no_way_out(release, name):
    manifest = json.loads((release.root / MANIFEST).read_bytes())
    manifest["files"][name] = {"sha256": "0" * 64, "bytes": 1}
    (release.root / MANIFEST).write_text(json.dumps(manifest))
    assert name in Release.open(release.root).manifest["files"]


def test_a_release_of_another_format_is_refused(release):
    manifest = json.loads((release.root / MANIFEST).read_bytes())
    (release.root / MANIFEST).write_text(json.dumps(manifest | {"format": 2}))
    with pytest.raises(UserError, match="of format 2; this program reads format 1"):
        Release.open(release.root)


@pytest.mark.parametrize("make", [False, True])
def test_a_folder_without_a_manifest_says_how_to_make_a_release(tmp_path, make):
    if make:
        (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match=r"no release here.*lrmovienet release build"):
        Release.open(tmp_path / "a")


def test_opening_and_reading_change_nothing(release):
    before = contents(release.root)
    for config in Release.open(release.root).configs:
        release.read(config)
    assert contents(release.root) == before


def test_the_digest_is_of_names_and_contents():
    files = {"b": {"sha256": "2", "bytes": 5}, "a": {"sha256": "1", "rows": 3}}
    digest = hashlib.sha256(b'[["a","1"],["b","2"]]').hexdigest()
    assert digest_of(files) == digest
    assert digest_of(dict(reversed(files.items()))) == digest
    assert digest_of({**files, "a": {"sha256": "3"}}) != digest
    assert digest_of({"b": files["b"], "c": files["a"]}) != digest


def test_membership_is_of_labels_in_their_order_and_not_of_grades(built, release):
    found = membership(Release.open(built))
    manifest = json.loads((built / MANIFEST).read_bytes())
    assert {split: of["membership"] for split, of in manifest["splits"].items()} == found
    for split in SPLITS:
        rows = rows_of(built, f"relevance/{split}.parquet")
        columns = [[row[name] for row in rows] for name in ("clip_id", "domain", "label")]
        text = json.dumps(columns, ensure_ascii=False, separators=(",", ":"))
        assert found[split] == hashlib.sha256(text.encode()).hexdigest()
    name = "relevance/target_test.parquet"
    table = pq.read_table(release.root / name)
    turned = table.set_column(
        table.schema.get_field_index("grade"), table.schema.field("grade"),
        pa.array([2 - grade for grade in table["grade"].to_pylist()], pa.int8()),
    )  # fmt: skip
    pq.write_table(turned, release.root / name)
    assert membership(sealed(release.root)) == found
    pq.write_table(turned.take(pa.array(range(turned.num_rows)[::-1])), release.root / name)
    moved = membership(sealed(release.root))
    assert {split for split in SPLITS if moved[split] != found[split]} == {"target_test"}


def test_every_config_has_its_key_and_says_what_is_expected():
    for config, table in CONFIGS.items():
        assert table.name == config
        assert {*table.key} <= {column.name for column in table.columns}
        assert all(column.expected for column in table.columns)
    # What no grade is to be known of is empty there, and nowhere else.
    may_be_empty = {c.name for c in CONFIGS["relevance"].columns if c.nullable}
    assert may_be_empty == {"grade", "n_ratings", "spread", "method"}
