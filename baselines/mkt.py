"""MKT, zero-shot, from its authors' checkpoints: labels against the picture and its best patches.

He et al., "Open-Vocabulary Multi-Label Classification via Multi-Modal Knowledge Transfer", AAAI
2023. The paper of LRMovieNet has a row of it and says of it the prompt alone; what else is open is
an option.
"""

import json
import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from PIL.Image import Resampling
from torch import Tensor

from baselines.data import Record, Regime, TrainingData
from baselines.dual_encoder import encode_frames, kind_of, load_dual, load_tokenizer
from baselines.mkt_towers import WHERE, ImageTower, Sizes, TextTower, load_tower, sizes_of
from baselines.ranker import Scores
from lrmovienet.encoders import each_on_a_core, hash_model
from lrmovienet.errors import UserError, shorten
from lrmovienet.files import sha256_file, write_json
from lrmovienet.pictures import picture
from lrmovienet.progress import progress

log = logging.getLogger(__name__)

Matrix = npt.NDArray[np.float64]

_FILE = "mkt.json"
_BEFORE, _AFTER = "There is a", "in the scene"
STATISTICS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}
"""Mean and standard deviation of each colour."""
_AT_ONCE = 64
"""Labels between two signs of progress."""


@dataclass(frozen=True)
class MktOptions:
    """All that scores hang on, but for what is in the checkpoints."""

    clip: str
    """Folder of the CLIP model that MKT started from: tokens, and vectors of labels' names."""
    image_tower: str
    """File of stage 1."""
    text_tower: str
    """File of stage 2."""
    top_k: int = 18
    """Patches that count: 18 in the official inference, 16 in its training."""
    name_rows: Literal["original", "tuned"] = "original"
    """Whose vectors the tokens of a label's name have: as in training, or as in inference."""
    axis: Literal["clip", "vocabulary"] = "clip"
    """Over which labels each score vector is brought to length one."""
    normalise: Literal["imagenet", "clip"] = "imagenet"
    """Pixel statistics; the official code has ImageNet's, in training too."""
    max_frames: int = 16
    """Keyframes a clip, evenly spread."""

    def __post_init__(self) -> None:
        """Refuse what cannot be, with a UserError."""
        for name in ("top_k", "max_frames"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} {getattr(self, name)}: give 1 or more.")

    @cached_property
    def sha256(self) -> dict[str, str]:
        """Of the three parts. Raises UserError where one is not there."""
        for path in (self.image_tower, self.text_tower):
            if not Path(path).is_file():
                raise UserError(f"{path}: no such file. {WHERE}")
        if not Path(self.clip).is_dir():
            raise UserError(f"{self.clip}: no such folder. {WHERE}")
        return {
            "clip": hash_model(Path(self.clip), "clip"),
            "image_tower": sha256_file(Path(self.image_tower)),
            "text_tower": sha256_file(Path(self.text_tower)),
        }


class _Network(NamedTuple):
    """What is loaded from the three parts."""

    image: ImageTower
    text: TextTower
    names: Tensor
    """(tokens, text_width) vectors of the tokens of names."""
    tokenizer: Any
    sizes: Sizes


@dataclass
class MktRanker:
    """The mean over frames of MKT's score, that of the picture and that of its best patches."""

    options: MktOptions
    device: str = "cpu"
    vocabulary: list[str] = field(default_factory=list)
    """Labels seen in training, sorted; with ``vocabulary`` alone."""

    regimes: ClassVar[tuple[Regime, ...]] = ("R0",)
    uses_features: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """The checkpoints are loaded on first use."""
        self._labels: dict[str, Matrix] = {}

    def score_on(self, device: str) -> None:
        """Where the checkpoints are loaded to; to be said before the first score."""
        self.device = device

    def fit(self, data: TrainingData, working: Path) -> None:
        """Note the vocabulary. One record is scored, so that what is missing is said now.

        Raises:
            UserError: a checkpoint is missing or another, or there are no frames.
        """
        if self.options.axis == "vocabulary":
            records = [item.record for item in (*data.graded, *data.dev)]
            self.vocabulary = sorted({label for record in records for label in record.labels})
        self.score(data.dev[0].record)

    def score(self, record: Record) -> Scores:
        """(n_labels,) -1 to 1.

        Raises:
            UserError: a checkpoint is missing or another, or a frame cannot be read.
        """
        names = list(dict.fromkeys([*record.labels, *self.vocabulary]))
        labels = self._encode(names)
        frames = encode_frames(record, self.options.max_frames, {}, self._look, self.device)
        found = np.mean([frame_scores(x[0], x[1:], labels, self.options.top_k) for x in frames], 0)
        place = {name: i for i, name in enumerate(names)}
        return np.array([found[place[label]] for label in record.labels])

    def _look(self, data: bytes) -> Matrix:
        """(1 + patches, dim): the vectors of a picture and of its patches."""
        sizes = self._network.sizes
        pixels = pixels_of(data, sizes.pixels, *STATISTICS[self.options.normalise])
        with torch.inference_mode():
            whole, patches = self._network.image(pixels.to(self.device))
        vectors: Matrix = torch.cat([whole[:, None], patches], 1)[0].double().cpu().numpy()
        return vectors

    def _encode(self, names: Sequence[str]) -> Matrix:
        """(n_names, dim), not brought to length one: so do the authors."""
        new = [name for name in names if name not in self._labels]
        rows = [self._rows(name) for name in new]

        def forward(one: Tensor) -> Matrix:
            with torch.inference_mode():
                vector: Matrix = self._network.text(one)[0].double().cpu().numpy()
            return vector

        many = len(new) > _AT_ONCE  # a clip's own take no time worth showing
        with progress("labels", len(new), "labels") if many else nullcontext(int) as advance:
            for start in range(0, len(new), _AT_ONCE):
                some = slice(start, start + _AT_ONCE)
                found = each_on_a_core(forward, rows[some], self.device)
                self._labels.update(zip(new[some], found, strict=True))
                advance(len(found))
        return np.stack([self._labels[name] for name in names])

    def _rows(self, name: str) -> Tensor:
        """(1, n_tokens, text_width): tuned vectors, but for the name's where they are original."""
        network = self._network
        prompt = f"{_BEFORE} {name} {_AFTER}"
        limit = network.sizes.positions
        ids = network.tokenizer(prompt, truncation=True, max_length=limit)["input_ids"]
        parts = [
            network.tokenizer(text, add_special_tokens=False)["input_ids"]
            for text in (_BEFORE, name)
        ]
        start = 1 + len(parts[0])
        end = min(start + len(parts[1]), len(ids) - 1)
        if ids[start:end] != parts[1]:
            log.warning("mkt: the label %s is too long and is cut at its end.", shorten(name))
        rows = network.text.token_embedding.weight[torch.tensor(ids, device=self.device)]
        if self.options.name_rows == "original":
            rows[start:end] = network.names[torch.tensor(ids[start:end], device=self.device)]
        return rows[None]

    @cached_property
    def _network(self) -> _Network:
        options, folder = self.options, Path(self.options.clip)
        _ = options.sha256  # says which part is not there
        if kind_of(folder) != "clip":
            raise UserError(f"{folder}: not a CLIP model. {WHERE}")
        start = load_dual(folder, "clip")
        sizes = sizes_of(start.config, folder)
        if options.top_k > sizes.patches:
            raise UserError(
                f"--top_k {options.top_k}: a picture has {sizes.patches} patches; give no more."
            )
        image = load_tower(Path(options.image_tower), ImageTower, sizes).to(self.device)
        text = load_tower(Path(options.text_tower), TextTower, sizes).to(self.device)
        names = start.text_model.embeddings.token_embedding.weight.clone().to(self.device)
        return _Network(image, text, names, load_tokenizer(folder, sizes.tokens), sizes)

    def save(self, folder: Path) -> None:
        """Write the options, the vocabulary, and which checkpoints they are; not their weights."""
        content = {
            "options": asdict(self.options), "sha256": self.options.sha256,
            "vocabulary": self.vocabulary,
        }  # fmt: skip
        write_json(folder / _FILE, content)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The ranker, where its checkpoints still lie at their places, unchanged.

        Raises:
            UserError: the file is damaged, or a checkpoint is gone or another.
        """
        path = folder / _FILE
        try:
            content = json.loads(path.read_bytes())
            ranker = cls(MktOptions(**content["options"]), vocabulary=content["vocabulary"])
            wanted = dict(content["sha256"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path}: not readable ({error}). Delete the folder {folder} and train again."
            ) from None
        for part, sha256 in ranker.options.sha256.items():
            if sha256 != wanted.get(part):
                raise UserError(
                    f"{getattr(ranker.options, part)}: another file than the ranker {folder.name} "
                    "was made with. Put that one back, or train again: lrmovienet train mkt"
                )
        return ranker


def frame_scores(whole: Matrix, patches: Matrix, labels: Matrix, top_k: int) -> Scores:
    """Scores of labels for one frame.

    Of the picture, ``g . t``; of its patches, the mean of the `top_k` largest ``p_j . t``. Either
    is divided by its length over the labels, then they are averaged. No vector of a picture, patch
    or label is brought to length one.

    Args:
        whole: (dim,) g, of the picture.
        patches: (n_patches, dim) p, of each patch.
        labels: (n_labels, dim) t.
        top_k: at most n_patches.

    Returns:
        (n_labels,).
    """
    of_picture: Scores = labels @ whole
    of_patches: Scores = np.sort(patches @ labels.T, 0)[-top_k:].mean(0)
    return (_of_length_one(of_picture) + _of_length_one(of_patches)) / 2


def _of_length_one(scores: Scores) -> Scores:
    return scores / (float(np.linalg.norm(scores)) or 1.0)


def pixels_of(data: bytes, size: int, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """An image file as (1, 3, size, size): what official inference makes of it.

    The shorter side becomes ``size / 0.875`` pixels (256 for 224), bicubic; the middle is cut out.

    Raises:
        ItemError: the bytes are no image.
    """
    image = picture(data)
    short = int(size / 0.875)
    width, height = (short * side // min(image.size) for side in image.size)
    image = image.resize((width, height), Resampling.BICUBIC)
    left, top = (round((side - size) / 2) for side in image.size)
    image = image.crop((left, top, left + size, top + size))
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
    return ((pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None])[None]
