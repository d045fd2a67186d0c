"""What the Hub and `datasets` want to know of a release: configs, columns, splits, sizes."""

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lrmovienet.release.layout import CONFIGS, Release, path_of

_NAMES = {"halffloat": "float16", "float": "float32", "double": "float64"}
"""Names of types that Arrow and the Hub call differently."""
DEFAULT = "relevance"
"""The config that is loaded where none is named."""


def configs(release: Release) -> list[dict[str, Any]]:
    """Each config's splits and their files."""
    return [
        {
            "config_name": config,
            **({"default": True} if config == DEFAULT else {}),
            "data_files": [
                {"split": split, "path": [path_of(config, file) for file in files]}
                for split, files in release.splits(config).items()
            ],
        }
        for config in release.configs
    ]


def dataset_infos(release: Release) -> list[dict[str, Any]]:
    """Each config's columns, and the rows and bytes of its splits."""
    found = []
    for config in release.configs:
        splits = release.splits(config)
        sizes = {f: _size(release, config, f) for files in splits.values() for f in files}
        entries: list[dict[str, Any]] = [
            {
                "name": split,
                "num_bytes": sum(sizes[file][1] for file in files),
                "num_examples": sum(sizes[file][0] for file in files),
            }
            for split, files in splits.items()
        ]
        on_disk = release.manifest["files"]
        found.append(
            {
                "config_name": config,
                "features": [_feature(field) for field in CONFIGS[config].schema],
                "splits": entries,
                "download_size": sum(on_disk[path_of(config, f)]["bytes"] for f in sizes),
                "dataset_size": sum(entry["num_bytes"] for entry in entries),
            }
        )
    return found


def size_category(release: Release) -> str:
    """The Hub's word for how many rows the default config has."""
    rows = sum(
        _size(release, DEFAULT, file)[0]
        for files in release.splits(DEFAULT).values()
        for file in files
    )
    ends = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
    return next((name for end, name in ends.items() if rows < end), "1M<n<10M")


def _size(release: Release, config: str, file: str) -> tuple[int, int]:
    """Rows, and bytes before compression."""
    meta = pq.read_metadata(release.root / path_of(config, file))
    groups = (meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
    return meta.num_rows, sum(groups)


def _feature(field: pa.Field) -> dict[str, Any]:
    return {"name": field.name, **_type(field.type)}


def _type(type_: pa.DataType) -> dict[str, Any]:
    """A type as the Hub's YAML has it."""
    if pa.types.is_list(type_):
        inner = _type(type_.value_type)
        return {"list": inner["dtype"] if set(inner) == {"dtype"} else inner.get("struct", inner)}
    if pa.types.is_struct(type_):
        if {field.name for field in type_} == {"bytes", "path"}:
            return {"dtype": "image"}
        return {"struct": [_feature(field) for field in type_]}
    return {"dtype": _NAMES.get(str(type_), str(type_))}
