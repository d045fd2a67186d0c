"""The HDF5 file of features, written record by record."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow.parquet as pq

from lrmovienet.errors import UserError
from lrmovienet.features import FeatureStore
from lrmovienet.upstream.layout import DIM, FORMAT, OURS, TOKENS

Add = Callable[[str, str, Sequence[str]], None]
"""Takes an id, its clip and its labels."""


def check_store(store: FeatureStore, any_dimension: bool) -> None:
    """Refuse features that the official networks cannot take.

    Raises:
        UserError: a text has more than 196 tokens, or a vector has not 768 numbers and
            `any_dimension` does not allow it.
    """
    lengths = np.diff(np.load(store.folder / "text_offsets.npy"))
    longer = int((lengths > TOKENS).sum())
    if longer:
        raise UserError(
            f"{store.folder}: {longer} of {len(lengths)} texts have more than {TOKENS} tokens (the "
            f"longest has {lengths.max()}), and the official networks take {TOKENS}. Encode again: "
            f"lrmovienet encode --workspace {store.folder.parent} --max_tokens {TOKENS}"
        )
    wrong = [f"{kind} {e['dim']}" for kind, e in store.encoders.items() if e["dim"] != DIM]
    if wrong and not any_dimension:
        raise UserError(
            f"{store.folder}: the official networks are built for vectors of {DIM} numbers, and "
            f"these have {', '.join(wrong)} (the packaged encoders have text 384 and image 1280). "
            "Encode with RoBERTa and ViT (lrmovienet encode --text_model … --image_model …), or "
            "give --any_dimension to write them all the same."
        )


def bytes_needed(store: FeatureStore, labels: int, records: int) -> int:
    """About how large the file becomes: the texts of so many labels, frames and bookkeeping."""
    texts = labels * TOKENS * store.encoders["text"]["dim"] * 4
    frames = store.manifest["counts"]["frames"] * store.encoders["image"]["dim"] * 4
    return int(texts + frames + records * 4096)


@contextlib.contextmanager
def features_file(path: Path, store: FeatureStore, most_labels: int) -> Iterator[Add]:
    """Open a new HDF5 file. Yields a function that appends one record's features.

    Datasets are contiguous and not compressed: one record is one write, as fast as the disk. The
    records of a clip that are added one after the other share its pictures by a hard link.

    Args:
        path: the file, which must not exist.
        store: what is written, in single precision, padded with zeros.
        most_labels: the most labels that a record has.

    Raises:
        UserError: a label or clip is not in the store, or a clip has no frames.
        OSError: as the file system gives it, with the file's name.
    """
    import h5py

    rows = pq.read_table(store.folder / "rows.parquet").to_pydict()
    text_of: dict[tuple[str, str], int] = dict(
        zip(zip(rows["clip_id"], rows["label"], strict=True), rows["text"], strict=True)
    )
    dim = store.encoders["text"]["dim"]
    buffer = np.zeros((most_labels, TOKENS, dim), np.float32)
    filled = [0] * most_labels  # how far each row of it holds numbers; beyond are zeros
    last = ("", "")  # the last record's id and clip

    def add(item_id: str, clip_id: str, labels: Sequence[str]) -> None:
        nonlocal last
        spans = np.zeros((len(labels), 4), np.int32)
        for row, label in enumerate(labels):
            if (clip_id, label) not in text_of:
                store.text(clip_id, label)  # says what is missing
            text = text_of[clip_id, label]
            shapes, tokens = store.text_shard(text, text + 1)
            spans[row] = shapes[0]
            buffer[row, : len(tokens)] = tokens
            buffer[row, len(tokens) : filled[row]] = 0
            filled[row] = len(tokens)
        group = file.create_group(item_id)
        group.create_dataset("text_emb", data=buffer[: len(labels)]).attrs["spans"] = spans
        if last[1] == clip_id:
            group["img_emb"] = file[last[0]]["img_emb"]
        else:
            frames = store.frames(clip_id)
            if not len(frames):
                raise UserError(f"{store.folder}: clip {clip_id} has no frames.")
            group.create_dataset("img_emb", data=frames[None].astype(np.float32))
        last = (item_id, clip_id)
        disk.check()

    with path.open("x+b", buffering=0) as opened:
        disk = _Disk(opened, path)
        try:
            with h5py.File(disk, "w") as file:
                file.attrs["format"] = FORMAT
                file.attrs["encoders"] = json.dumps(store.encoders, sort_keys=True)
                manifest = json.dumps(store.manifest, sort_keys=True).encode()
                file.create_dataset(f"{OURS}/manifest", data=np.frombuffer(manifest, np.uint8))
                yield add
        finally:
            disk.check()
        os.fsync(opened.fileno())


class _Disk:
    """A file that HDF5 writes through.

    HDF5 cannot close a file that it cannot write, and leaves the process in a bad state. So it is
    told that all went well, and the first error is kept until `check`.
    """

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self.file, self.path = file, path
        self.error: OSError | None = None

    def check(self) -> None:
        """Raises OSError where a write failed."""
        if self.error is not None:
            raise self.error

    def write(self, data: Any) -> int:
        left = memoryview(data)
        while self.error is None and len(left):
            try:
                left = left[self.file.write(left) :]
            except OSError as error:
                error.filename = str(self.path)
                self.error = error
        return len(data)

    def truncate(self, size: int) -> int:
        if self.error is None:
            try:
                return self.file.truncate(size)
            except OSError as error:
                error.filename = str(self.path)
                self.error = error
        return size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def read(self, size: int = -1) -> bytes:
        """Not called: h5py asks whether a file has it."""
        return self.file.read(size)

    def readinto(self, data: Any) -> int:
        found = self.file.readinto(data)  # type: ignore[attr-defined]
        if self.error is not None:
            # HDF5 reads back what was never written.
            memoryview(data)[found:] = bytes(len(data) - found)
            return len(data)
        return int(found)

    def flush(self) -> None:
        """Nothing: the file is not buffered."""
