"""Frames -> scores, each frame once; and the scores of a clip's frames -> its image labels.

A frame is known by its sha256: one that several clips show, or that an earlier run has seen, is not
run again. What is kept of a frame is every label of at least `floor`; which of them count is
decided when candidates are merged.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from lrmovienet.cache import Cache, damaged
from lrmovienet.errors import ItemError, UserError
from lrmovienet.files import sha256_of
from lrmovienet.keyframes import KeyframeReader
from lrmovienet.runner import Columns

if TYPE_CHECKING:
    from torch import Tensor

Floats = npt.NDArray[np.float32]
Frame = dict[str, str]
"""``ref`` and ``sha256`` of a keyframe."""

ENTRY = np.dtype([("label", "<u2"), ("score", "<f4")])
"""What is kept of a frame: the number of each label at or above the floor, and its score."""

AHEAD = 3
"""Batches that are read and decoded ahead of the one that the model is at."""


class Tagger(Protocol):
    """A model that scores frames. It is light to make; `load` reads its weights."""

    @property
    def name(self) -> str:
        """Stands in the table as ``tagger``."""
        ...

    @property
    def labels(self) -> Sequence[str]:
        """What it can see, each once, in normal form."""
        ...

    @property
    def thresholds(self) -> Sequence[float]:
        """For each label the score that it must exceed by the tagger's own rule."""
        ...

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that changes scores: name, sha256 of the weights, precision."""
        ...

    def load(self) -> None:
        """Read the weights. Called once, before any thread scores."""
        ...

    def pixels(self, jpeg: bytes) -> "Tensor":
        """One frame, decoded. Called from several threads. Raises ItemError."""
        ...

    def scores(self, batch: "Tensor") -> Floats:
        """Frames as `pixels` gives them, stacked -> (frames, labels), from 0 to 1."""
        ...


@dataclass(frozen=True)
class FrameTags:
    """The kept scores of frames, for one tagger and floor."""

    path: Path
    """The cache's file."""
    tagger: Tagger
    floor: float

    @cached_property
    def key(self) -> str:
        """Begins the cache's keys: frames are scored anew when it changes."""
        return sha256_of([self.tagger.identity, list(self.tagger.labels), self.floor])[:16]

    def read(self, frames: Iterable[Frame]) -> dict[str, npt.NDArray[Any]]:
        """Sha256 of a frame -> its `ENTRY` rows, for the frames that are known."""
        shas = [frame["sha256"] for frame in frames]
        found = Cache(self.path).get(f"{self.key}:{sha}" for sha in shas)
        entries = {}
        try:
            for key, value in found.items():
                entry = entries[key.partition(":")[2]] = np.frombuffer(value, ENTRY)
                if not len(entry) or entry["label"].max() >= len(self.tagger.labels):
                    raise ValueError("a frame without labels, or with one that there is not")
                if not np.isfinite(entry["score"]).all():
                    raise ValueError("a score that is no number")
        except ValueError as error:
            raise damaged(self.path, error) from None
        return entries

    def make(
        self,
        frames: Sequence[Frame],
        reader: KeyframeReader,
        batch_size: int,
        device: str,
        advance: Callable[[int], None],
    ) -> dict[str, str]:
        """Score frames and keep the results, a batch at a time.

        Args:
            frames: frames that are not known yet, each sha256 once.
            reader: where their bytes are.
            batch_size: frames a forward pass.
            device: where the tagger runs: it decides how many batches run side by side.
            advance: told how many frames are done.

        Returns:
            Sha256 of each frame that cannot be scored -> why.
        """
        failed: dict[str, str] = {}
        cache = Cache(self.path)

        def pixels(frame: Frame) -> "Tensor | ItemError":
            try:
                return self.tagger.pixels(reader.read(frame["ref"], frame["sha256"]))
            except ItemError as error:
                return ItemError(f"keyframe {frame['ref']}: {error}")

        for batch, scores in side_by_side(self.tagger, frames, pixels, batch_size, device):
            results = {}
            for frame, row in zip(batch, scores, strict=True):
                if isinstance(row, ItemError):
                    failed[frame["sha256"]] = str(row)
                else:
                    results[f"{self.key}:{frame['sha256']}"] = self._entry(row)
            cache.put(results)
            advance(len(batch))
        return failed

    def _entry(self, scores: Floats) -> bytes:
        if not np.isfinite(scores).all():
            raise UserError(
                f"{self.tagger.name}: a score is not a number. Give --precision fp32 (or bf16), or "
                "another checkpoint."
            )
        kept = np.flatnonzero(scores >= self.floor)
        if not len(kept):
            kept = np.array([scores.argmax()])  # so that a message can name it
        rows = np.empty(len(kept), ENTRY)
        rows["label"], rows["score"] = kept, scores[kept]
        return rows.tobytes()


def side_by_side(
    tagger: Tagger,
    frames: Sequence[Frame],
    pixels: "Callable[[Frame], Tensor | ItemError]",
    batch_size: int,
    device: str,
) -> "Iterator[tuple[Sequence[Frame], list[Floats | ItemError]]]":
    """Score batches in order, while the next ones are read and decoded.

    On a CPU each core runs a batch of its own: sums then come out alike on any number of cores. On
    a GPU two batches are under way, so that one is copied while the other is computed.

    Yields:
        Each batch's frames, and for each frame its scores or why there are none.
    """
    import torch

    cores = torch.get_num_threads()
    workers = cores if device == "cpu" else 2

    def run(images: "list[Future[Tensor | ItemError]]") -> list[Floats | ItemError]:
        decoded = [image.result() for image in images]
        good = [image for image in decoded if not isinstance(image, ItemError)]
        scores = iter(tagger.scores(torch.stack(good)) if good else ())
        return [image if isinstance(image, ItemError) else next(scores) for image in decoded]

    if frames:
        tagger.load()
    if device == "cpu":
        torch.set_num_threads(1)
    waiting: deque[tuple[Sequence[Frame], Future[list[Floats | ItemError]]]] = deque()
    try:
        with ThreadPoolExecutor(cores) as decoding, ThreadPoolExecutor(workers) as computing:
            try:
                for start in range(0, len(frames), batch_size):
                    batch = frames[start : start + batch_size]
                    images = [decoding.submit(pixels, frame) for frame in batch]
                    waiting.append((batch, computing.submit(run, images)))
                    if len(waiting) >= workers + AHEAD:
                        batch, scores = waiting.popleft()
                        yield batch, scores.result()
                while waiting:
                    batch, scores = waiting.popleft()
                    yield batch, scores.result()
            finally:  # an error or Ctrl-C does not wait for what nobody will read
                decoding.shutdown(wait=False, cancel_futures=True)
                computing.shutdown(wait=False, cancel_futures=True)
    finally:
        torch.set_num_threads(cores)


@dataclass(frozen=True)
class ClipLabels:
    """Stage: clip_id, keyframes -> the rows of image_labels.

    A label's `score` is its best over the clip's frames, rounded to 4 decimals; `frame_scores` has
    one a frame, none where it is below the floor, and `frames_hit` counts those that are not.
    """

    tags: FrameTags
    failed: Mapping[str, str] = field(default_factory=dict)
    """Frames that cannot be scored, and why."""

    @property
    def version(self) -> str:
        """Changes with the tagger and the floor."""
        return f"tags-2:{self.tags.key}"

    def __call__(self, batch: Columns) -> Columns:
        """Raises ItemError for a clip with a frame that has no scores."""
        known = self.tags.read(frame for frames in batch["keyframes"] for frame in frames)
        rows: list[dict[str, Any]] = []
        for clip_id, keyframes in zip(batch["clip_id"], batch["keyframes"], strict=True):
            for frame in keyframes:
                if frame["sha256"] not in known:
                    reason = self.failed.get(frame["sha256"], f"{frame['ref']} was not tagged")
                    raise ItemError(f"{clip_id}: {reason}")
            rows += self._clip(clip_id, [known[frame["sha256"]] for frame in keyframes])
        names = ("clip_id", "label", "score", "frames_hit", "frame_scores", "threshold", "tagger")
        return {n: [row.get(n) for row in rows] for n in (*names, "drop_reason")}

    def _clip(self, clip_id: str, frames: Sequence[npt.NDArray[Any]]) -> list[dict[str, Any]]:
        tagger, floor = self.tags.tagger, self.tags.floor
        found: dict[int, list[float | None]] = {}
        for place, entries in enumerate(frames):
            for number, score in entries[entries["score"] >= floor].tolist():
                found.setdefault(number, [None] * len(frames))[place] = round(min(score, 1.0), 4)
        if not found:
            number, score = max(np.concatenate(frames).tolist(), key=lambda entry: entry[1])
            reason = f"no label reaches the floor {floor} (best: {tagger.labels[number]!r}, "
            return [{"clip_id": clip_id, "drop_reason": f"{reason}{score:.4f})"}]
        best = {n: max(s for s in scores if s is not None) for n, scores in found.items()}
        return [
            {
                "clip_id": clip_id,
                "label": tagger.labels[n],
                "score": best[n],
                "frames_hit": sum(score is not None for score in found[n]),
                "frame_scores": found[n],
                "threshold": tagger.thresholds[n],
                "tagger": tagger.name,
            }
            for n in sorted(best, key=lambda n: (-best[n], tagger.labels[n]))
        ]
