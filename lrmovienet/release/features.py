"""The feature store as a config of a release, and back."""

import contextlib
import hashlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lrmovienet.encoders import Halfs
from lrmovienet.errors import UserError
from lrmovienet.features import FeatureStore, is_whole, write_arrays, write_index
from lrmovienet.files import sha256_file
from lrmovienet.progress import progress
from lrmovienet.release.layout import CONFIGS, Release
from lrmovienet.release.write import GROUP_BYTES, PICTURES_A_GROUP, write_stream
from lrmovienet.store_writer import Pile, put_store
from lrmovienet.workspace import Workspace


def write_features(path: Path, workspace: Workspace, clips: pa.Table) -> tuple[int, dict[str, Any]]:
    """Write a row a clip: its frames' vectors, and for each label those of its tokens.

    Returns:
        The number of rows, and what the release's manifest says of the features.

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

    written = write_stream(path, CONFIGS["features"].schema, parts(), PICTURES_A_GROUP)
    left_out = store.manifest["counts"].get("frames_left_out", 0)
    kept = ("digest", "text_shards", "frame_shards")
    return written, {
        "encoders": store.encoders,
        "frames_left_out": left_out,
        **{name: store.manifest[name] for name in kept},
    }


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


def read_features(release: Release, workspace: Workspace) -> str:
    """Make the workspace's feature store of the one that a release holds. Returns what came of it.

    Raises:
        UserError: the release is damaged.
    """
    started = time.monotonic()
    path = release.path("features", "features")
    with workspace.locked():
        with contextlib.suppress(UserError):  # none yet, or for other tables: made again below
            store = FeatureStore.of(workspace)
            if is_whole(store.folder, store.manifest):
                if store.manifest.get("release") == release.digest:
                    return "features: up to date"
                if "release" not in store.manifest:
                    return "features: those that were encoded here stay (delete them for others)"
        building = workspace.root / ".building" / "features.pieces"
        whole = workspace.root / ".building" / "features.whole"
        for folder in (building, whole):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        if sha256_file(path) != release.manifest["files"][f"features/{path.name}"]["sha256"]:
            raise UserError(f"{path}: damaged (its sha256 is not the manifest's). Get it again.")
        about = release.manifest.get("features")
        file = pq.ParquetFile(path)
        if not isinstance(about, dict) or not file.schema_arrow.equals(CONFIGS["features"].schema):
            raise UserError(f"{path}: not the features of a release. Get it again.")
        texts, frames = Pile(building, "text"), Pile(building, "frames")
        rows: list[tuple[str, str, int]] = []
        frames_of: list[tuple[str, list[int]]] = []
        with progress("features", file.metadata.num_rows, "clips") as advance:
            for batch in file.iter_batches(batch_size=8):
                for i in range(batch.num_rows):
                    row = batch.slice(i, 1)
                    clip_id = row["clip_id"][0].as_py()
                    for label, span, tokens in _texts(row, f"{path}: {clip_id}"):
                        key = _hash(span.tobytes(), tokens.tobytes())
                        rows.append((clip_id, label, texts.add(key, tokens, span)))
                    vectors = _halfs(row["frames"].flatten(), f"{path}: {clip_id}")
                    numbers = [frames.add(_hash(v.tobytes()), v[None]) for v in vectors]
                    frames_of.append((clip_id, numbers))
                    advance(1)
        counts = write_arrays(whole, texts.shards(), [made for _, made in frames.shards()])
        write_index(whole, rows, frames_of)
        counts["frames_left_out"] = about["frames_left_out"]
        made_of = {"release": release.digest}
        put_store(workspace, whole, counts, about["encoders"], started, like=about, made_of=made_of)
        shutil.rmtree(building)
    return f"features: {counts['texts']} texts, {counts['frames']} frames"


def _texts(row: pa.RecordBatch, where: str) -> Iterator[tuple[str, Any, Halfs]]:
    """Label, span (its length, begin and end of the label, tokens cut off) and tokens."""
    labels = row["labels"].flatten().to_pylist()
    spans = row["label_span"].flatten().to_pylist()
    cut = row["tokens_cut"].flatten().to_pylist()
    tokens = row["tokens"].flatten()
    for i, label in enumerate(labels):
        vectors = _halfs(tokens.slice(i, 1).flatten(), where)
        if len(spans[i]) != 2 or not 0 <= spans[i][0] <= spans[i][1] <= len(vectors) or cut[i] < 0:
            raise UserError(f"{where}: a label lies outside of its text. Get the release again.")
        yield label, np.array([len(vectors), *spans[i], cut[i]], np.int64), vectors


def _halfs(lists: pa.ListArray, where: str) -> Halfs:
    """Lists of d finite numbers -> (n, d). Raises UserError where they are something else."""
    flat: Halfs = lists.flatten().to_numpy(zero_copy_only=False).astype(np.float16)
    lengths = {*lists.value_lengths().to_pylist()}
    if len(lengths) != 1 or None in lengths or not np.isfinite(flat).all():
        raise UserError(
            f"{where}: its features are no finite vectors of one length. Get the release again."
        )
    return flat.reshape(len(lists), -1)


def _hash(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()
