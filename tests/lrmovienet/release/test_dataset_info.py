"""The YAML of a card beside what `datasets` itself would write there."""

from fractions import Fraction

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from making import build

from lrmovienet.release.dataset_info import configs, dataset_infos, size_category
from lrmovienet.release.layout import CONFIGS, Release, path_of


def front(root) -> dict:
    text = (root / "README.md").read_text(encoding="utf-8")
    assert text.startswith("---\n")
    return yaml.safe_load(text.split("---\n")[1])


def test_the_card_says_what_is_counted(built):
    release = Release.open(built)
    on_card = front(built)
    assert on_card["configs"] == configs(release)
    assert on_card["dataset_info"] == dataset_infos(release)
    assert on_card["size_categories"] == ["n<1K"]
    assert on_card["license"] == "other"
    assert on_card["pretty_name"] == "LRMovieNet"
    assert "text-ranking" in on_card["task_categories"]


def test_every_file_of_data_is_named_by_its_config_and_nothing_else_is(built):
    named = {
        path: config["config_name"]
        for config in front(built)["configs"]
        for split in config["data_files"]
        for path in split["path"]
    }
    there = {p.relative_to(built).as_posix() for p in built.rglob("*.parquet")}
    assert {*named} == there
    assert all(path.split("/")[0] == config for path, config in named.items())
    (default,) = [c["config_name"] for c in front(built)["configs"] if c.get("default")]
    assert default == "relevance"


def test_splits_have_the_rows_and_bytes_of_their_files(built):
    for config, info in zip(front(built)["configs"], front(built)["dataset_info"], strict=True):
        assert config["config_name"] == info["config_name"]
        files = {s["split"]: s["path"] for s in config["data_files"]}
        assert [s["name"] for s in info["splits"]] == [*files]
        for split in info["splits"]:
            metas = [pq.read_metadata(built / path) for path in files[split["name"]]]
            assert split["num_examples"] == sum(meta.num_rows for meta in metas)
            groups = [m.row_group(i) for m in metas for i in range(m.num_row_groups)]
            assert split["num_bytes"] == sum(group.total_byte_size for group in groups)
        every = {path for paths in files.values() for path in paths}
        assert info["download_size"] == sum((built / path).stat().st_size for path in every)
        assert info["dataset_size"] == sum(s["num_bytes"] for s in info["splits"])


@pytest.mark.parametrize("config", CONFIGS)
def test_columns_are_named_as_datasets_names_them(config):
    """Of every config, also of features and pictures, from the Arrow schema and back."""
    from datasets import Features, Image, List

    from lrmovienet.release.dataset_info import _feature

    schema = CONFIGS[config].schema
    features = Features.from_arrow_schema(schema)
    if config == "frames":  # a picture is more than its bytes and path; it says so itself
        features["frames"] = List(Image())
    wanted = features._to_yaml_list()
    written = [_feature(field) for field in schema]
    assert written == wanted
    assert Features._from_yaml_list(written) == features


def test_datasets_reads_the_card_as_its_own(built):
    from datasets import Features
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    infos = DatasetInfosDict.from_dataset_card_data(DatasetCardData(**front(built)))
    release = Release.open(built)
    assert [*infos] == release.configs
    for config, info in infos.items():
        assert info.features == Features.from_arrow_schema(release.read(config).schema)
        for split, of in info.splits.items():
            assert of.num_examples == release.read(config, split).num_rows
    data = DatasetCardData()
    infos.to_dataset_card_data(data)  # by name of the config
    mine = sorted(front(built)["dataset_info"], key=lambda info: info["config_name"])
    assert data.to_dict()["dataset_info"] == mine


def test_the_card_is_a_valid_card_to_the_hubs_library(built):
    """Without asking the Hub, whose own check of a card needs a network."""
    from huggingface_hub import DatasetCard
    from huggingface_hub.utils import yaml_dump

    card = DatasetCard.load(built / "README.md")
    assert card.data.license == "other"
    assert yaml.safe_load(yaml_dump(card.data.to_dict())) == front(built)
    assert card.text.lstrip().startswith("# Dataset card")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (0, "n<1K"), (999, "n<1K"), (1_000, "1K<n<10K"), (9_999, "1K<n<10K"),
        (10_000, "10K<n<100K"), (99_999, "10K<n<100K"), (100_000, "100K<n<1M"),
        (999_999, "100K<n<1M"), (1_000_000, "1M<n<10M"),
    ],
)  # fmt: skip
def test_sizes_have_the_hubs_words(tmp_path, rows, said):
    """Over all files of the default config, each once."""
    parts = {"source_train": rows - rows // 3, "target_test": rows // 3}
    for split, n in parts.items():
        path = tmp_path / path_of("relevance", split)
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({"x": pa.nulls(n, pa.int8())}), path)
    files = {path_of("relevance", split): {} for split in parts}
    assert size_category(Release(tmp_path, {"files": files})) == said


def test_what_the_options_say_is_in_the_yaml(tiny, tmp_path):
    title = "Fílms: »yes«, #1 - 'quoted' \"twice\" [x]"
    release = build(tiny, tmp_path / "out", title=title, license="cc-by-nc-4.0")
    assert front(release.root)["pretty_name"] == title
    assert front(release.root)["license"] == "cc-by-nc-4.0"


def test_shares_of_nested_subsets_are_those_of_their_names(built):
    """pct5 is an eighth of pct40, and so on, as far as whole pairs allow."""
    info = next(i for i in front(built)["dataset_info"] if i["config_name"] == "preferences")
    sizes = {s["name"]: s["num_examples"] for s in info["splits"]}
    whole = sizes["pct40"]
    for percent in (5, 10, 20, 40):
        assert sizes[f"pct{percent}"] == int(Fraction(percent, 40) * whole)
