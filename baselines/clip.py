"""Zero-shot ranking by CLIP, SigLIP or SigLIP 2: how near a label's prompt is to the clip.

The paper has a row "CLIP" and says of it the prompt alone. Which frames, how they are pooled and
whether the description was read are open, so each is an option here.
"""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from baselines.data import Record, Regime, TrainingData
from baselines.dual_encoder import DualEncoder
from baselines.ranker import Scores
from lrmovienet.errors import UserError
from lrmovienet.files import write_json

Matrix = npt.NDArray[np.float64]
Channel = Literal["v", "t", "vt"]
Pooling = Literal["mean", "max", "top-k", "query", "softmax"]

_FILE = "clip.json"
_QUERY_TEMPERATURE = 0.1


@dataclass(frozen=True)
class ClipOptions:
    """All that scores hang on, but for the checkpoint's weights."""

    checkpoint: str
    """Its folder."""
    prompt: str = "There is a {label} in the scene"
    """The paper's."""
    channel: Channel = "v"
    """Frames, description, or both."""
    pooling: Pooling = "mean"
    top_k: int = 3
    """Frames of ``top-k``."""
    temperature: float | None = None
    """Of ``query`` (0.1 where it is None) and ``softmax`` (the checkpoint's own)."""
    sentences: Literal["max", "mean"] = "max"
    max_frames: int = 16
    """Keyframes a clip, evenly spread."""

    def __post_init__(self) -> None:
        """Refuse what cannot be, with a UserError."""
        if self.prompt.count("{label}") != 1:
            raise UserError(
                f"--prompt {self.prompt!r}: write {{label}} once, where the label goes."
            )
        for name in ("top_k", "max_frames"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} {getattr(self, name)}: give 1 or more.")
        if self.temperature is not None and not 0 < self.temperature < np.inf:
            raise UserError(f"--temperature {self.temperature}: give a finite number above 0.")
        for name, kinds in (("channel", Channel), ("pooling", Pooling)):
            if getattr(self, name) not in get_args(kinds):
                raise ValueError(f"{name} {getattr(self, name)!r}")


class ClipRanker:
    """The cosine of a label's prompt with the frames, with the description's sentences, or both."""

    regimes: ClassVar[tuple[Regime, ...]] = ("R0",)
    uses_features: ClassVar[bool] = False

    def __init__(self, options: ClipOptions, device: str = "cpu") -> None:
        """The checkpoint is loaded on first use."""
        self.options = options
        self.encoder = DualEncoder(Path(options.checkpoint), device)

    def score_on(self, device: str) -> None:
        """Where the checkpoint is loaded to; to be said before the first score."""
        self.encoder.device = device

    def fit(self, data: TrainingData, working: Path) -> None:
        """Nothing to learn. One record is scored, so that what is missing is said now.

        Raises:
            UserError: the checkpoint cannot be loaded, or there are no frames.
        """
        self.score(data.dev[0].record)

    def score(self, record: Record) -> Scores:
        """(n_labels,) cosines, -1 to 1; shares, 0 to 1, for ``softmax``; z-scores for ``vt``.

        Raises:
            UserError: the checkpoint cannot be loaded, or a frame cannot be read.
        """
        options = self.options
        labels = self.encoder.texts([prompted(options.prompt, label) for label in record.labels])
        channels: list[Scores] = []
        if "v" in options.channel:
            cosines = self.encoder.frames(record, options.max_frames) @ labels.T
            channels.append(pool(cosines, options.pooling, options.top_k, self._temperature))
        if "t" in options.channel:
            cosines = self.encoder.texts(sentences(record.description)) @ labels.T
            channels.append(cosines.max(0) if options.sentences == "max" else cosines.mean(0))
        if len(channels) == 1:
            return channels[0]
        return (standardised(channels[0]) + standardised(channels[1])) / 2

    @property
    def _temperature(self) -> float:
        if self.options.temperature is not None:
            return self.options.temperature
        own = self.options.pooling == "softmax"
        return self.encoder.temperature if own else _QUERY_TEMPERATURE

    def save(self, folder: Path) -> None:
        """Write the options and which checkpoint it is; not its weights."""
        content = {"options": asdict(self.options), "checkpoint": self.encoder.identity}
        write_json(folder / _FILE, content)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The ranker, where its checkpoint still lies at its place, unchanged.

        Raises:
            UserError: the file is damaged, or the checkpoint is gone or another.
        """
        path = folder / _FILE
        try:
            content = json.loads(path.read_bytes())
            ranker = cls(ClipOptions(**content["options"]))
            wanted = content["checkpoint"]["sha256"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path}: not readable ({error}). Delete the folder {folder} and train again."
            ) from None
        checkpoint = Path(ranker.options.checkpoint)
        if not checkpoint.is_dir() or ranker.encoder.identity["sha256"] != wanted:
            raise UserError(
                f"{checkpoint}: the checkpoint of the ranker {folder.name} is not there, or was "
                "changed. Put it back as it was, or train again with the present one: lrmovienet "
                f"train clip --checkpoint FOLDER --name {folder.name}"
            )
        return ranker


def prompted(prompt: str, label: str) -> str:
    """The prompt of a label, in which braces mean nothing."""
    return prompt.replace("{label}", label)


def pool(cosines: Matrix, pooling: Pooling, top_k: int, temperature: float) -> Scores:
    """Scores of labels from their cosines with each frame.

    ``mean``: over frames. The cosine with the frames' mean vector would rank a clip's labels
    equally. ``max``: the best frame of each label. ``top-k``: the mean of its k best, or of all
    where there are fewer. ``query``: the mean weighted by the softmax over frames of
    cosine/temperature (Bain et al., "A CLIP-Hitchhiker's Guide to Long Video Retrieval", 2022); the
    weighted mean of the frames' vectors is not brought to length one again. ``softmax``: the
    softmax over labels of cosine/temperature in each frame, then the mean.

    Args:
        cosines: (n_frames, n_labels).
        pooling: one of the above.
        top_k: frames of ``top-k``, 1 or more.
        temperature: of ``query`` and ``softmax``, above 0.

    Returns:
        (n_labels,).
    """
    found: Scores
    if pooling == "mean":
        found = cosines.mean(0)
    elif pooling == "max":
        found = cosines.max(0)
    elif pooling == "top-k":
        found = np.sort(cosines, 0)[-top_k:].mean(0)
    elif pooling == "query":
        found = (_softmax(cosines / temperature, 0) * cosines).sum(0)
    else:
        found = _softmax(cosines / temperature, 1).mean(0)
    return found


def _softmax(logits: Matrix, axis: int) -> Matrix:
    powers: Matrix = np.exp(logits - logits.max(axis, keepdims=True))
    shares: Matrix = powers / powers.sum(axis, keepdims=True)
    return shares


def standardised(scores: Scores) -> Scores:
    """Z-scores over a clip's labels, with the standard deviation of all of them (not n - 1).

    A channel that gives all labels the same score says nothing: zeros.
    """
    if np.ptp(scores) == 0:
        return np.zeros_like(scores)
    found: Scores = (scores - scores.mean()) / scores.std()
    return found


_SENTENCE_END = re.compile(
    r"(?<!\bMr\.)(?<!\bMrs\.)(?<!\bMs\.)(?<!\bDr\.)(?<!\bSt\.)(?<!\b[A-Z]\.)"
    r"(?:(?<=[.!?…])|(?<=[.!?…][\"'”’)\]]))\s+"
)


def sentences(text: str) -> list[str]:
    """A description's sentences, at least one. None ends in "Mr." or in an initial."""
    return [part for part in _SENTENCE_END.split(text.strip()) if part] or [text]
