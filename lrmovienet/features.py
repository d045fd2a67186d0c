"""The feature store: frozen features of every label of every record, read row by row.

``<workspace>/features/`` holds::

    text.npy          (all tokens, d) half precision, one text after the other
    text_offsets.npy  (n_texts + 1,) text i owns the rows offsets[i]:offsets[i + 1]
    text_spans.npy    (n_texts, 3) where the label's tokens begin and end within the text, and how
                      many tokens at the end of the description were cut off
    frames.npy        (n_frames, d) half precision, one row a different picture
    rows.parquet      clip_id, label, text: which text belongs to a label of a clip
    clips.parquet     clip_id, frames: which pictures belong to a clip, in their order
    manifest.json     the encoders, what was encoded, the sha256 of each file

The arrays are memory-mapped: reading one label's features touches nothing else.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lrmovienet.encoders import Halfs, TokenFeatures
from lrmovienet.errors import UserError, shorten
from lrmovienet.files import atomic_open, sha256_file
from lrmovienet.workspace import Workspace, write_rows

STORE_VERSION = 1
FILES = (
    "text.npy", "text_offsets.npy", "text_spans.npy", "frames.npy", "rows.parquet", "clips.parquet",
)  # fmt: skip


class FeatureStore:
    """Features of labels and clips, opened without reading them.

    Attributes:
        manifest: the content of ``manifest.json``.
        encoders: identity of the text and of the image encoder, with their dimensions.
    """

    def __init__(self, folder: Path) -> None:
        """Open the store in `folder`.

        Raises:
            UserError: there is none, or its files are damaged.
        """
        self.folder = folder
        self.manifest = read_manifest(folder)
        self.encoders: dict[str, dict[str, Any]] = self.manifest["encoders"]
        try:
            self._text = _open(folder / "text.npy")
            self._frames = _open(folder / "frames.npy")
            self._offsets = _open(folder / "text_offsets.npy")
            self._spans = _open(folder / "text_spans.npy")
            rows = pq.read_table(folder / "rows.parquet").to_pydict()
            clips = pq.read_table(folder / "clips.parquet").to_pydict()
            whole = len(self._offsets) == len(self._spans) + 1 and self._offsets[-1] == len(
                self._text
            )
        except (OSError, ValueError) as error:
            reason = (str(error).splitlines() or [""])[0]
            raise UserError(f"{folder}: damaged ({reason}). {_again(folder)}") from None
        if not whole:
            raise UserError(f"{folder}: damaged (its files do not fit together). {_again(folder)}")
        self._row_of = dict(
            zip(zip(rows["clip_id"], rows["label"], strict=True), rows["text"], strict=True)
        )
        self._frames_of = dict(zip(clips["clip_id"], clips["frames"], strict=True))

    @classmethod
    def of(cls, workspace: Workspace) -> "FeatureStore":
        """The store of a workspace, made from its present records and clips.

        Raises:
            UserError: there is none, or records or clips have changed since.
        """
        store = cls(workspace.root / "features")
        for table, digest in store.manifest["inputs"].items():
            if workspace.require(table).digest != digest:
                raise UserError(
                    f"{store.folder}: made for another table {table!r} than the present one. "
                    f"Run: lrmovienet encode --workspace {workspace.root}"
                )
        return store

    @property
    def digest(self) -> str:
        """Hash over the files: the features in one number."""
        return str(self.manifest["digest"])

    def text(self, clip_id: str, label: str) -> TokenFeatures:
        """The token vectors of one label with its clip's description.

        Raises:
            UserError: the store does not hold this label of this clip.
        """
        row = self._row_of.get((clip_id, label))
        if row is None:
            raise UserError(
                f"{self.folder}: no features of label {shorten(label)} of clip {shorten(clip_id)}. "
                f"{_again(self.folder)}"
            )
        start, end = self._offsets[row : row + 2]
        label_start, label_end, _ = self._spans[row]
        return TokenFeatures(self._text[start:end], int(label_start), int(label_end))

    def frames(self, clip_id: str) -> Halfs:
        """(n_frames, dim) the vectors of a clip's keyframes, in their order.

        Raises:
            UserError: the store does not hold this clip.
        """
        rows = self._frames_of.get(clip_id)
        if rows is None:
            raise UserError(
                f"{self.folder}: no frames of clip {shorten(clip_id)}. {_again(self.folder)}"
            )
        features: Halfs = self._frames[rows]
        return features

    def require_labels(self, labels: Iterable[tuple[str, str]]) -> None:
        """Refuse a store that lacks labels or clips that are going to be read.

        Args:
            labels: (clip_id, label) of each.

        Raises:
            UserError: some are not here; the first ten are named.
        """
        wanted = list(dict.fromkeys(labels))
        clips = list(dict.fromkeys(clip_id for clip_id, _ in wanted))
        lacking = [f"clip {shorten(c)}: its frames" for c in clips if c not in self._frames_of]
        lacking += [
            f"clip {shorten(clip_id)}: label {shorten(label)}"
            for clip_id, label in wanted
            if (clip_id, label) not in self._row_of
        ]
        if lacking:
            raise UserError(
                f"{self.folder}: features are missing of {len(lacking)} of the {len(wanted)} "
                f"labels and {len(clips)} clips of the records. Give the store that was made of "
                "these records (--features), or make one: lrmovienet encode. Missing:"
                + "".join(f"\n  {one}" for one in lacking[:10])
                + (f"\n  … and {len(lacking) - 10} more" if len(lacking) > 10 else "")
            )

    def text_shard(self, start: int, stop: int) -> tuple[npt.NDArray[np.int64], Halfs]:
        """The texts `start` to `stop`: (n, 4) lengths and spans, and their tokens."""
        lengths = np.diff(self._offsets[start : stop + 1])
        tokens: Halfs = np.asarray(self._text[self._offsets[start] : self._offsets[stop]])
        return np.column_stack([lengths, self._spans[start:stop]]), tokens

    def frame_shard(self, start: int, stop: int) -> Halfs:
        """The vectors of the frames `start` to `stop`."""
        return np.asarray(self._frames[start:stop])

    def require(self, encoders: dict[str, dict[str, Any]], wanted_by: str) -> None:
        """Refuse features that another encoder made than the one they are wanted of.

        Raises:
            UserError: naming both encoders and the command to run.
        """
        for kind, wanted in encoders.items():
            made = self.encoders[kind]
            if made != wanted:
                raise UserError(
                    f"{self.folder}: the {kind} features were made by {describe(made)}, but "
                    f"{wanted_by} wants {describe(wanted)}. Run lrmovienet encode --workspace "
                    f"{self.folder.parent} with that encoder, or train again on these features."
                )


def describe(encoder: dict[str, Any]) -> str:
    """An encoder's identity in words."""
    options = ", ".join(f"{name} {encoder[name]}" for name in sorted(encoder.keys() - {"name"}))
    return f"{encoder['name']} ({options.replace(encoder['sha256'], encoder['sha256'][:12])})"


def read_manifest(folder: Path) -> dict[str, Any]:
    """A store's manifest. Raises UserError where there is none or it is not readable."""
    path = folder / "manifest.json"
    if not path.exists():
        raise UserError(f"{folder}: no features here yet. {_again(folder)}")
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        version = manifest["store_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a readable manifest ({error}). {_again(folder)}") from None
    if version != STORE_VERSION:
        raise UserError(
            f"{path}: version {version} of the store, this is {STORE_VERSION}. {_again(folder)}"
        )
    return manifest


def is_whole(folder: Path, manifest: dict[str, Any]) -> bool:
    """Whether every file is there with the sha256 the manifest says."""
    return all(
        (folder / name).exists() and sha256_file(folder / name) == manifest["files"].get(name)
        for name in FILES
    )


def write_arrays(
    folder: Path, text_shards: Sequence[tuple[Path, Path]], frame_shards: Sequence[Path]
) -> dict[str, int]:
    """Join shards into the store's arrays, without holding more than one shard in memory.

    Args:
        folder: where the arrays go.
        text_shards: for each shard a file of (n, 4) lengths and spans, and one of its tokens.
        frame_shards: files of (n, d) frame features.

    Returns:
        Number of texts, tokens, tokens cut off, texts that were cut, frames; text and frame
        dimension.
    """
    shapes = np.concatenate([np.load(shape) for shape, _ in text_shards])
    offsets = np.concatenate([[0], np.cumsum(shapes[:, 0])]).astype(np.int64)
    save(folder / "text_offsets.npy", offsets)
    save(folder / "text_spans.npy", shapes[:, 1:].astype(np.int32))
    _, text_dim = _join(folder / "text.npy", [tokens for _, tokens in text_shards])
    frames, frame_dim = _join(folder / "frames.npy", frame_shards)
    return {
        "texts": len(shapes),
        "tokens": int(offsets[-1]),
        "tokens_cut": int(shapes[:, 3].sum()),
        "texts_cut": int((shapes[:, 3] > 0).sum()),
        "frames": frames,
        "text_dim": text_dim,
        "frame_dim": frame_dim,
    }


def write_index(
    folder: Path, rows: Sequence[tuple[str, str, int]], frames_of: Sequence[tuple[str, list[int]]]
) -> None:
    """Write which text belongs to (clip_id, label), and which frames to a clip_id."""
    clip_ids, labels, texts = zip(*rows, strict=True)
    write_rows(
        folder / "rows.parquet",
        pa.table({"clip_id": clip_ids, "label": labels, "text": pa.array(texts, pa.int32())}),
    )
    clip_ids, frames = zip(*frames_of, strict=True)
    numbers = pa.array(frames, pa.list_(pa.int32()))
    write_rows(folder / "clips.parquet", pa.table({"clip_id": clip_ids, "frames": numbers}))


def _join(path: Path, shards: Sequence[Path]) -> tuple[int, int]:
    """Write arrays one below the other as one ``.npy`` file. Returns its shape."""
    # One shard is open at a time: a corpus may have more of them than a process may open files.
    shapes = [_open(shard).shape for shard in shards]
    rows, columns = sum(shape[0] for shape in shapes), shapes[0][1]
    header = {"descr": "<f2", "fortran_order": False, "shape": (rows, columns)}
    with atomic_open(path) as file:
        np.lib.format.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call,unused-ignore]
        for shard in shards:
            file.write(_open(shard).astype("<f2").tobytes())
    return rows, columns


def save(path: Path, array: npt.NDArray[Any]) -> None:
    """Write one array, atomically."""
    with atomic_open(path) as file:
        np.save(file, array, allow_pickle=False)


def _open(path: Path) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _again(folder: Path) -> str:
    return (
        f"Delete the folder if it is there, and run: lrmovienet encode --workspace {folder.parent}"
    )
