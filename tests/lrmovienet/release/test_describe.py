"""Croissant and eval.yaml: valid to mlcroissant, and read back as the rows that are there."""

import hashlib
import json
import logging
import shutil
from pathlib import Path

import mlcroissant as mlc
import pytest
import yaml
from making import build, copied, rows_of, verb

from lrmovienet.release.describe import croissant, evaluation
from lrmovienet.release.layout import CONFIGS, Release


class Heard(logging.Handler):
    """Warnings of the library, which it logs."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())


def opened(root: Path) -> tuple[mlc.Dataset, list[str]]:
    """A release's Croissant as the library has it, and what it complained of. Errors raise."""
    heard = Heard()
    logger = logging.getLogger("absl")
    logger.addHandler(heard)
    try:
        dataset = mlc.Dataset(jsonld=str(root / "croissant.json"))
    finally:
        logger.removeHandler(heard)
    issues = dataset.metadata.ctx.issues
    return dataset, [*heard.said, *issues.warnings, *issues.errors]


@pytest.fixture(scope="module")
def dated(tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("dated") / "out"
    about = {
        "homepage": "https://example.org/films",
        "title": "Fílms",
        "description": "What it is.",
    }
    return build(tiny, out, date="2026-11-22", version="1.2.3", **about).root


def test_nothing_is_missing_but_the_date_that_was_not_given(built):
    _, said = opened(built)
    assert said
    assert all("datePublished" in message for message in said), said


def test_with_a_date_there_is_nothing_to_complain_of(dated):
    dataset, said = opened(dated)
    assert said == []
    about = dataset.metadata
    assert (about.name, about.version, about.url) == (
        "lrmovienet", "1.2.3", "https://example.org/films",
    )  # fmt: skip
    assert about.description == "What it is."
    assert str(about.date_published).startswith("2026-11-22")
    assert "ECCV 2024" in about.cite_as


def test_every_file_of_data_is_named_with_its_size_and_hash(built):
    files = {
        o["contentUrl"]: o
        for o in json.loads((built / "croissant.json").read_bytes())["distribution"]
    }
    there = {p.relative_to(built).as_posix(): p for p in built.rglob("*.parquet")}
    assert {*files} == {*there}
    for name, path in there.items():
        assert files[name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert files[name]["contentSize"] == f"{path.stat().st_size} B"


def test_columns_are_named_or_said_to_be_left_out(built):
    sets = json.loads((built / "croissant.json").read_bytes())["recordSet"]
    for of in sets:
        schema = CONFIGS[of["name"].split("/")[0]].schema
        named = [field["source"]["extract"]["column"] for field in of["field"]]
        others = [name for name in schema.names if name not in named]
        assert sorted([*named, *others]) == sorted(schema.names)
        assert all(name in of["description"] for name in others)
        assert others == (["keyframes"] if of["name"] == "clips" else [])
        assert all(field["description"] for field in of["field"])


def plain(value):
    """A value as Python has it: the library gives text as bytes."""
    if isinstance(value, bytes):
        return value.decode()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [plain(item) for item in value]
    return None if value is not None and value != value else value


@pytest.mark.parametrize(
    ("record_set", "file"),
    [
        ("clips", "clips/clips"), ("ratings", "ratings/ratings"),
        ("pair_ratings", "pair_ratings/pair_ratings"),
        ("relevance/target_test", "relevance/target_test"),
        ("relevance/target_pairs", "relevance/target_pairs"),
        ("preferences/pct20", "preferences/pct20"),
    ],
)  # fmt: skip
def test_records_are_the_rows_of_the_files(dated, record_set, file):
    """Also where a column is a list, and where all or some values are missing."""
    dataset, _ = opened(dated)
    records = [*dataset.records(record_set)]
    rows = rows_of(dated, f"{file}.parquet")
    assert len(records) == len(rows) > 0
    columns = [c for c in rows[0] if c != "keyframes"]
    assert {name.rpartition("/")[2] for name in records[0]} == {*columns}
    got = [
        {name.rpartition("/")[2]: plain(value) for name, value in record.items()}
        for record in records
    ]
    for mine, row in zip(got, rows, strict=True):
        assert mine == {name: row[name] for name in columns}


def test_a_changed_file_is_not_read(dated, tmp_path):
    """What the hashes are for, in the eyes of the library."""
    root = shutil.copytree(dated, tmp_path / "out")
    path = root / "clips" / "clips.parquet"
    path.write_bytes(path.read_bytes() + b" ")
    dataset, _ = opened(root)
    with pytest.raises(Exception, match=r"clips/clips\.parquet") as refused:
        list(dataset.records("clips"))
    assert "hash" in repr([refused.value, refused.value.__cause__]).lower()


def test_other_configs_and_splits_are_valid_too(tiny, tmp_path):
    """The paper's protocol without development split, without people, with perceptual hashes."""
    workspace = copied(tiny, tmp_path / "w")
    (workspace / "movienet").symlink_to(tiny / "movienet")
    verb("split", workspace, "--equal_grades", "drop", "--protocol", "paper", "--dev_share", "0")
    release = build(
        workspace, tmp_path / "out", ratings=False, hash_frames=True, date="2026-01-02"
    )  # fmt: skip
    dataset, said = opened(release.root)
    assert said == []
    names = [record_set.name for record_set in dataset.metadata.record_sets]
    assert names == [
        "clips", "relevance/source_train", "relevance/target_pairs", "relevance/target_test",
        "preferences/pct5", "preferences/pct10", "preferences/pct20", "preferences/pct40",
    ]  # fmt: skip


def test_features_and_pictures_have_columns_that_croissant_can_say(tmp_path):
    """Vectors and pictures have none; the text says where they are."""
    files = {"features/features.parquet": {"bytes": 1, "sha256": "0" * 64}}
    about = {"name": "n", "title": "T", "description": "D", "license": "other",
             "homepage": "https://example.org", "date": "2026-01-02"}  # fmt: skip
    release = Release(tmp_path, {"about": about, "version": "1.0.0", "files": files})
    (tmp_path / "croissant.json").write_text(json.dumps(croissant(release)))
    _, said = opened(tmp_path)
    assert said == []
    (of,) = croissant(release)["recordSet"]
    assert [f["source"]["extract"]["column"] for f in of["field"]] == [
        "clip_id", "labels", "tokens_cut",
    ]  # fmt: skip
    for name in ("frames", "tokens", "label_span"):
        assert name in of["description"]


def test_eval_names_the_test_and_nothing_that_is_not_there(built):
    release = Release.open(built)
    found = yaml.safe_load((built / "eval.yaml").read_text())
    assert yaml.safe_load(evaluation(release)) == found
    (task,) = found["tasks"]
    assert release.read(task["config"], task["split"]).num_rows > 0
    assert task["split"] == "target_test"
    assert found["name"] == "LRMovieNet"
    assert "NDCG" in found["description"]
