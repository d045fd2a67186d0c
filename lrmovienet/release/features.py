"""The feature store as a config of a release, and back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lrmovienet.encoders import Halfs
from lrmovienet.features import FeatureStore
from lrmovienet.progress import progress
from lrmovienet.release.layout import CONFIGS
from lrmovienet.release.write import GROUP_BYTES, PICTURES_A_GROUP, write_stream
from lrmovienet.workspace import Workspace


def write_features(path: Path, workspace: Workspace, clips: pa.Table) -> int:
    """Write a row a clip: its frames' vectors, and for each label those of its tokens.

    Returns:
        The number of rows.

    Raises:
        UserError: the workspace has no store of its present records and clips.
    """
    store = FeatureStore.of(workspace)
    rows = pq.read_table(store.folder / "rows.parquet").to_pylist()
    texts: dict[str, dict[str, int]] = {}
    for row in rows:
        texts.setdefault(row["clip_id"], {})[row["label"]] = row["text"]
    ids = clips["clip_id"].to_pylist()

    def parts() -> Iterator[pa.Table]:
        waiting: list[pa.Table] = []
        with progress("features", len(ids), "clips") as advance:
            for clip_id in ids:
                waiting.append(_row(store, clip_id, texts[clip_id]))
                size = sum(table.nbytes for table in waiting)
                if size >= GROUP_BYTES or len(waiting) == PICTURES_A_GROUP:
                    yield pa.concat_tables(waiting).combine_chunks()
                    waiting.clear()
                advance(1)
        if waiting:
            yield pa.concat_tables(waiting).combine_chunks()

    return write_stream(path, CONFIGS["features"].schema, parts(), PICTURES_A_GROUP)


def _row(store: FeatureStore, clip_id: str, texts: dict[str, int]) -> pa.Table:
    labels = sorted(texts)
    shards = [store.text_shard(texts[label], texts[label] + 1) for label in labels]
    spans = np.concatenate([spans for spans, _ in shards])
    tokens = pa.ListArray.from_arrays(
        _ends(spans[:, 0]), _vectors(np.concatenate([tokens for _, tokens in shards]))
    )
    frames = _vectors(np.asarray(store.frames(clip_id)))
    one = {
        "frames": frames,
        "labels": pa.array(labels, pa.string()),
        "tokens": tokens,
        "label_span": pa.array(spans[:, 1:3].tolist(), pa.list_(pa.int32())),
        "tokens_cut": pa.array(spans[:, 3].tolist(), pa.int32()),
    }
    columns = [pa.ListArray.from_arrays(_ends([len(values)]), values) for values in one.values()]
    schema = CONFIGS["features"].schema
    return pa.table([pa.array([clip_id]), *columns], schema=schema)


def _vectors(array: Halfs) -> pa.ListArray:
    """(n, d) -> n lists of d numbers."""
    offsets = np.arange(len(array) + 1, dtype=np.int32) * array.shape[1]
    flat = pa.array(np.ascontiguousarray(array).reshape(-1), pa.float16())
    return pa.ListArray.from_arrays(pa.array(offsets), flat)


def _ends(lengths: Any) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
