"""A few rows of gold and of predictions, written in every format."""

import csv
import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eval.formats import quote_trec
from eval.runs import RunError

GOLD = [
    ("c1", "dog", 2),
    ("c1", "cat", 0),
    ("c1", "old man", 1),
    ("c2", "dog", 0),
    ("c2", "car", 2),
]
SCORES = [("c2", "car", 0.5), ("c1", "old man", 3.0), ("c1", "cat", -1.0), ("c1", "dog", 2.5),
          ("c2", "dog", 0.5)]  # fmt: skip


def gold_rows(rows=GOLD):
    return [dict(zip(("clip_id", "label", "grade"), row, strict=True)) for row in rows]


def score_rows(rows=SCORES):
    return [dict(zip(("clip_id", "label", "score"), row, strict=True)) for row in rows]


def to_parquet(rows, **options):
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink, **options)
    return sink.getvalue()


def to_jsonl(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def to_csv(rows):
    text = io.StringIO(newline="")
    writer = csv.writer(text)  # RFC 4180: comma, CRLF, quotes doubled
    writer.writerow(rows[0])
    for row in rows:
        cells = ["|".join(v) if isinstance(v, list) else v for v in row.values()]
        writer.writerow(cells)
    return text.getvalue().encode()


def to_trec(rows):
    lines = []
    for i, row in enumerate(rows):
        clip, label = quote_trec(row["clip_id"]), quote_trec(row["label"])
        if "grade" in row:
            lines.append(f"{clip} 0 {label} {row['grade']}\n")
        else:
            lines.append(f"{clip} Q0 {label} {i + 1} {row['score']} me\n")
    return "".join(lines).encode()


def to_official(rows):
    items = {}
    for row in rows:
        item = items.setdefault(row["clip_id"], {"id": row["clip_id"], "image": [], "tags": []})
        item["tags"].append({"tag": row["label"], "target": row["grade"]})
    return json.dumps(list(items.values())).encode()


WRITERS = {".parquet": to_parquet, ".jsonl": to_jsonl, ".csv": to_csv, ".trec": to_trec}
TEXTS = (".jsonl", ".csv", ".trec")
SUFFIXES = [suffix + gz for suffix in WRITERS for gz in ("", ".gz")]


def write(path, rows):
    """The rows in the format that the name asks for."""
    data = WRITERS[Path(path.name.removesuffix(".gz")).suffix](rows)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def refused(read, *arguments, **options):
    with pytest.raises(RunError) as error:
        read(*arguments, **options)
    message = str(error.value)
    assert message.strip(), "a refusal says something"
    return message


def meaning(gold):
    """Gold as plain values."""
    return {
        "clips": gold.clip_ids.to_pylist(),
        "offsets": gold.offsets.tolist(),
        "clip_of": gold.clip_of.tolist(),
        "labels": gold.labels.to_pylist(),
        "grades": gold.grades.tolist(),
        "films": [gold.film_ids[i].as_py() for i in gold.film_of.tolist()],
        "genres": None if gold.genres is None else [g or [] for g in gold.genres.to_pylist()],
        "sources": None if gold.sources is None else gold.sources.to_pylist(),
    }
