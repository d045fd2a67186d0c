"""The HDF5 file of features as it is read: nothing is followed out of it, nothing is trusted."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lrmovienet.errors import ItemError, UserError
from lrmovienet.upstream.layout import DIM, FORMAT, OURS, TOKENS

MOST_FRAMES = 10_000
MOST_CHUNK_BYTES = 1 << 28
MOST_TEXT_BYTES = 1 << 26
"""Of the attribute and the dataset that hold JSON."""
MOST_NUMBERS = 1 << 14
"""Of a vector; the largest encoders have some thousands."""

DAMAGED = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)
"""What h5py raises at damaged files."""

Floats = npt.NDArray[np.float32]


class Features:
    """An open file.

    Attributes:
        encoders: what made the features, where the file says it; else None.
        manifest: of the feature store that was written, or an empty one.
        dims: numbers a token, and numbers a frame.
        ids: how many there are.
    """

    def __init__(self, file: Any, path: Path) -> None:
        self.file, self.path = file, path
        self.encoders: dict[str, dict[str, Any]] | None = None
        self.manifest: dict[str, Any] = {}
        self.dims = (DIM, DIM)
        if "format" in file.attrs:
            self._read_ours()
        self.ids = len(file) - (self.encoders is not None)

    def check(self, name: str, labels: int) -> tuple[int, int]:
        """What an id has. Returns its rows of text and its frames.

        Raises:
            ItemError: a shape, type or place in the file that the official code cannot read, or
                that leads out of it.
        """
        with _damage():
            texts, frames = self._dataset(name, "text_emb"), self._dataset(name, "img_emb")
            dim, width = self.dims
            if texts.ndim != 3:
                raise ItemError(f"text_emb has the shape {texts.shape}, not ({labels}, …, …)")
            if texts.shape[0] < labels:
                raise ItemError(f"text_emb has {texts.shape[0]} rows for {labels} tags")
            if texts.shape[1] != TOKENS:
                raise ItemError(f"text_emb has {texts.shape[1]} tokens a text, not {TOKENS}")
            if texts.shape[2] != dim:
                raise ItemError(f"text_emb has the last dimension {texts.shape[2]}, not {dim}")
            if frames.ndim != 3 or frames.shape[0] != 1:
                raise ItemError(f"img_emb has the shape {frames.shape}, not (1, n_frames, {width})")
            if frames.shape[1] == 0:
                raise ItemError("img_emb has 0 frames")
            if frames.shape[1] > MOST_FRAMES:
                raise ItemError(f"img_emb has {frames.shape[1]} frames; {MOST_FRAMES} are the most")
            if frames.shape[2] != width:
                raise ItemError(f"img_emb has the last dimension {frames.shape[2]}, not {width}")
            self.spans(name, labels)
            return int(texts.shape[0]), int(frames.shape[1])

    def spans(self, name: str, labels: int) -> npt.NDArray[np.int64]:
        """(labels, 4) tokens of each text, begin and end of its label, tokens cut off.

        Where the file does not say it, a text is all 196 tokens, and all of them the label's.
        """
        texts = self._dataset(name, "text_emb")
        if "spans" not in texts.attrs:
            return np.tile(np.array([TOKENS, 0, TOKENS, 0]), (labels, 1))
        kept = texts.attrs.get_id("spans")
        if kept.shape != (texts.shape[0], 4) or kept.dtype.kind != "i":
            raise ItemError("the attribute spans of text_emb has not four whole numbers a row")
        spans: npt.NDArray[np.int64] = np.asarray(texts.attrs["spans"], np.int64)[:labels]
        n, start, end, cut = spans.T
        if not ((start >= 0) & (start < end) & (end <= n) & (n <= TOKENS) & (cut >= 0)).all():
            raise ItemError("the attribute spans of text_emb holds places outside the text")
        return spans

    def texts(self, name: str, lengths: Sequence[int]) -> Iterator[Floats]:
        """(length, dim) the vectors of each text of an id, one after the other."""
        with _damage():
            place = self.file[name]["text_emb"]
        for row, length in enumerate(lengths):
            with _damage():
                found: Floats = place[row, :length]
            yield found

    def frames(self, name: str) -> Floats:
        """(n_frames, dim) the vectors of the frames of an id."""
        with _damage():
            found: Floats = self.file[name]["img_emb"][0]
        return found

    def same_frames(self, one: str, other: str) -> bool:
        """Whether two ids have the same frames: as a rule they share one dataset."""
        with _damage():
            if self.file[one]["img_emb"] == self.file[other]["img_emb"]:
                return True
        return np.array_equal(self.frames(one), self.frames(other))

    def _dataset(self, name: str, kind: str) -> Any:
        """A dataset of single precision whose numbers lie in this file."""
        import h5py

        found = self._inside(name, kind)
        if found.dtype != np.dtype("<f4"):
            raise ItemError(f"{kind} is {found.dtype}; the official networks need float32")
        if found.chunks and float(np.prod(found.chunks, dtype=float)) * 4 > MOST_CHUNK_BYTES:
            raise ItemError(f"{kind} has chunks of more than {MOST_CHUNK_BYTES >> 20} MiB")
        if found.size and found.id.get_space_status() != h5py.h5d.SPACE_STATUS_ALLOCATED:
            raise ItemError(f"{kind} was never written, or not to its end")
        return found

    def _inside(self, name: str, kind: str) -> Any:
        """The dataset of a group, reached without leaving the file."""
        import h5py

        place = self.file
        for step, wanted in ((name, h5py.Group), (kind, h5py.Dataset)):
            link = place.get(step, getlink=True)
            if link is None:
                raise ItemError(
                    f"has no {kind}" if place is not self.file else "is not in the file"
                )
            if not isinstance(link, h5py.HardLink):
                raise ItemError(f"{step} is a link to another place, which is not followed")
            place = place[step]
            if not isinstance(place, wanted):
                raise ItemError(f"{step} is a {type(place).__name__.lower()}")
        if place.is_virtual or place.external:
            raise ItemError(f"{kind} has its numbers in another file, which is not read")
        return place

    def _read_ours(self) -> None:
        try:
            version = self.file.attrs["format"]
            if version != FORMAT:
                raise UserError(
                    f"{self.path}: written in format {version}; this program reads {FORMAT}."
                )
            encoders = json.loads(self.file.attrs["encoders"])
            self.dims = (int(encoders["text"]["dim"]), int(encoders["image"]["dim"]))
            if not all(1 <= dim <= MOST_NUMBERS for dim in self.dims):
                raise ValueError(f"vectors of {self.dims} numbers; at most {MOST_NUMBERS}")
            if any(
                not isinstance(e[k], str) for e in encoders.values() for k in ("name", "sha256")
            ):
                raise ValueError("an encoder without name and sha256")
            self.encoders = {kind: encoders[kind] for kind in ("text", "image")}
            kept = self._inside(OURS, "manifest")
            if kept.dtype != np.uint8 or kept.size > MOST_TEXT_BYTES:
                raise ValueError("the manifest is no text")
            self.manifest = dict(json.loads(kept[()].tobytes()))
        except (*DAMAGED, ItemError, RecursionError) as error:
            raise UserError(f"{self.path}: damaged attributes ({_first_line(error)}).") from None


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Features]:
    """Open a file of features.

    Raises:
        UserError: there is none, or it is no HDF5 file.
    """
    import h5py

    if not path.is_file():
        raise UserError(f"{path}: no such file. The features belong to the official files.")
    try:
        file = h5py.File(path, "r")
    except DAMAGED as error:
        raise UserError(f"{path}: not a readable HDF5 file ({_first_line(error)}).") from None
    with file:
        yield Features(file, path)


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except DAMAGED as error:
        raise ItemError(f"cannot be read ({_first_line(error)})") from None


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
