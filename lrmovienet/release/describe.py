"""A release for machines: Croissant (MLCommons) and the Hub's description of a benchmark."""

from typing import Any

import pyarrow as pa
import yaml

from lrmovienet.release.layout import CONFIGS, Release, path_of

CITATION = (
    "Taian Guo, Taolin Zhang, Haoqian Wu, Hanjun Li, Ruizhi Qiao, Xing Sun. Multimodal Label "
    "Relevance Ranking via Reinforcement Learning. ECCV 2024."
)
_TYPES = {
    "string": "sc:Text", "bool": "sc:Boolean", "float": "cr:Float32", "double": "cr:Float64",
    "halffloat": "cr:Float16", "int8": "cr:Int8", "int32": "cr:Int32", "int64": "cr:Int64",
}  # fmt: skip
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that the specification (version 1.0, appendix) gives."""


def croissant(release: Release) -> dict[str, Any]:
    """A release as Croissant 1.0: each file with its sha256, each config and file a record set."""
    about = release.manifest["about"]
    files = release.manifest["files"]
    objects, sets = [], []
    for config in release.configs:
        names = dict.fromkeys(f for fs in release.splits(config).values() for f in fs)
        for file in names:
            path = path_of(config, file)
            objects.append(
                {
                    "@type": "cr:FileObject",
                    "@id": path,
                    "name": path,
                    "contentUrl": path,
                    "encodingFormat": "application/x-parquet",
                    "contentSize": f"{files[path]['bytes']} B",
                    "sha256": files[path]["sha256"],
                }
            )
            sets.append(_record_set(config, file, path))
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": about["name"],
        "description": about["description"],
        "license": about["license"],
        "url": about["homepage"],
        "version": release.version,
        **({"datePublished": about["date"]} if about["date"] else {}),
        "citeAs": CITATION,
        "distribution": objects,
        "recordSet": sets,
    }


def _record_set(config: str, file: str, path: str) -> dict[str, Any]:
    name = config if file == config else f"{config}/{file}"
    schema = CONFIGS[config].schema
    fields = [_field(name, path, field) for field in schema if _has_a_name(field.type)]
    others = [field.name for field in schema if not _has_a_name(field.type)]
    found = {"@type": "cr:RecordSet", "@id": name, "name": name, "field": fields}
    if others:
        found["description"] = (
            f"The columns {', '.join(others)} hold lists of lists or of several values each, for "
            "which Croissant 1.0 has no field; read them from the file."
        )
    return {**found, "key": [{"@id": f"{name}/{column}"} for column in CONFIGS[config].key]}


def _has_a_name(type_: pa.DataType) -> bool:
    """Whether Croissant can say what a column holds: a value, or a list of values."""
    return str(type_.value_type if pa.types.is_list(type_) else type_) in _TYPES


def _field(record_set: str, path: str, field: pa.Field) -> dict[str, Any]:
    """A column; a list of values is a repeated one."""
    expected = {c.name: c.expected for columns in CONFIGS.values() for c in columns.columns}
    repeated = pa.types.is_list(field.type)
    type_ = field.type.value_type if repeated else field.type
    found: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{record_set}/{field.name}",
        "name": f"{record_set}/{field.name}",
        "description": expected[field.name],
        "dataType": _TYPES[str(type_)],
        "source": {"fileObject": {"@id": path}, "extract": {"column": field.name}},
    }
    if repeated:
        found["repeated"] = True
    return found


def evaluation(release: Release) -> str:
    """The Hub's ``eval.yaml``: which config and split are the benchmark's test."""
    about = release.manifest["about"]
    return yaml.safe_dump(
        {
            "name": about["title"],
            "description": f"{about['description']} Scored by NDCG@k: see the card.",
            "tasks": [
                {"id": "label_relevance_ranking", "config": "relevance", "split": "target_test"}
            ],
        },
        sort_keys=False, allow_unicode=True, width=100,
    )  # fmt: skip
