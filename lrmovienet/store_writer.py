"""A feature store out of features that are there already: read from a release, or from elsewhere.

`lrmovienet encode` makes a store of films and encoders; this puts one together from arrays, so that
equal ones are kept once and memory holds a piece at a time.
"""

import os
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lrmovienet import __version__
from lrmovienet.encoders import Halfs
from lrmovienet.features import FILES, STORE_VERSION, save
from lrmovienet.files import sha256_file, sha256_of, write_json
from lrmovienet.workspace import Workspace

PIECE_BYTES = 1 << 25


@dataclass
class Pile:
    """Arrays, of which equal ones are kept once, in files of limited size."""

    building: Path
    """An empty folder for the files."""
    name: str
    numbers: dict[bytes, int] = field(default_factory=dict)
    waiting: list[Halfs] = field(default_factory=list)
    spans: list[Any] = field(default_factory=list)
    files: list[tuple[Path, Path]] = field(default_factory=list)
    size: int = 0

    def add(self, key: bytes, array: Halfs, span: Any = None) -> int:
        """The number of an array: of the one that came with this key before, or a new one.

        Args:
            key: what equal arrays share, such as a hash of them.
            array: (n, d).
            span: (4,) for a text: its length, begin and end of its label, tokens cut off.
        """
        if key in self.numbers:
            return self.numbers[key]
        self.numbers[key] = len(self.numbers)
        self.waiting.append(array)
        self.spans.append(span)
        self.size += array.nbytes
        if self.size >= PIECE_BYTES:
            self._write()
        return self.numbers[key]

    def shards(self) -> list[tuple[Path, Path]]:
        """Of each file of arrays: the file of their spans, and the file itself."""
        if self.waiting:
            self._write()
        return self.files

    def _write(self) -> None:
        number = len(self.files)
        spans = self.building / f"{self.name}-{number:05d}.spans.npy"
        arrays = self.building / f"{self.name}-{number:05d}.npy"
        if self.spans[0] is not None:
            save(spans, np.array(self.spans, dtype=np.int64))
        save(arrays, np.concatenate(self.waiting))
        self.files.append((spans, arrays))
        self.waiting.clear()
        self.spans.clear()
        self.size = 0


def put_store(
    workspace: Workspace,
    whole: Path,
    counts: dict[str, int],
    encoders: dict[str, Any],
    started: float,
    *,
    like: dict[str, Any] | None = None,
    made_of: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Give a folder of arrays its manifest and make it the workspace's store.

    Args:
        workspace: locked by the caller; its records and clips are those the features are of.
        whole: holds what `write_arrays` and `write_index` wrote.
        counts: what `write_arrays` returned, and ``frames_left_out``.
        encoders: identity of the text and of the image encoder.
        started: `time.monotonic` when the work began.
        like: manifest of the store that these features were in. Where the arrays came out the same,
            its ``text_shards`` and ``frame_shards`` are kept, by which `encode` goes on with them.
        made_of: more to be kept in the manifest.

    Returns:
        The manifest.
    """
    files = {name: sha256_file(whole / name) for name in FILES}
    inputs = {name: workspace.require(name).digest for name in ("records", "clips")}
    sizes = {name: n for name, n in counts.items() if name not in ("text_dim", "frame_dim")}
    manifest: dict[str, Any] = {
        "store_version": STORE_VERSION, "code_version": __version__,
        "key": sha256_of([files, inputs]), "inputs": inputs, "files": files,
        "digest": sha256_of(files), "counts": sizes, "encoders": encoders,
        "text_shards": [], "frame_shards": [], **(made_of or {}),
    }  # fmt: skip
    if like and like.get("digest") == manifest["digest"]:
        for name, total in (("text_shards", sizes["texts"]), ("frame_shards", sizes["frames"])):
            manifest[name] = _shards(like.get(name), total)
    write_json(whole / "manifest.json", manifest)
    workspace.put_in_place(whole, "features")
    workspace.log_run(
        table="features", digest=manifest["digest"],
        wall_s=round(time.monotonic() - started, 3),
        finished=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        python=platform.python_version(), platform=platform.platform(), cores=os.cpu_count(),
    )  # fmt: skip
    return manifest


def _shards(given: object, total: int) -> list[list[Any]]:
    """The shards of a manifest, where they are a key and a size each and make up the whole."""
    if not isinstance(given, list) or any(
        not isinstance(one, list) or [*map(type, one)] != [str, int] or one[1] < 1 for one in given
    ):
        return []
    return given if sum(size for _, size in given) == total else []
