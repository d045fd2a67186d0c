"""A floor with features: the cosine between the vectors of the label and of the description.

No training and no frames: what the frozen text encoder alone knows. The vectors are those of the
feature store, which encodes a label together with its clip's description; each has already seen
the other. That makes all labels of a clip alike: `sentence_cosine`, which embeds them apart, is the
higher floor.
"""

from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from baselines.data import Record, Regime, TrainingData
from baselines.ranker import Scores
from lrmovienet.errors import UserError, shorten
from lrmovienet.files import write_json

_FILE = "text_cosine.json"


class TextCosineRanker:
    """Cosine of the label's mean token vector with that of all tokens behind it.

    Behind the label stand its description and the encoder's separators, which the store does not
    tell apart.
    """

    regimes: ClassVar[tuple[Regime, ...]] = ("R0",)
    uses_features: ClassVar[bool] = True

    def fit(self, data: TrainingData, working: Path) -> None:
        """Nothing to learn.

        Raises:
            UserError: the features do not say where a label ends and its description begins.
        """
        self.score(data.graded[0].record)  # or it would be seen in `predict` only

    def score(self, record: Record) -> Scores:
        """(n_labels,) -1 to 1. Raises UserError as `fit` does."""
        return np.array([_cosine(record, i) for i in range(len(record.labels))])

    def save(self, folder: Path) -> None:
        """Nothing to keep but that it was made."""
        write_json(folder / _FILE, {})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Check that it was made. Raises UserError where it was not."""
        if not (folder / _FILE).is_file():
            raise UserError(f"{folder / _FILE}: missing. Delete the folder and train again.")
        return cls()


def _cosine(record: Record, position: int) -> float:
    tokens, start, end = record.text(position)
    vectors = tokens.astype(np.float64)
    label, behind = vectors[start:end], vectors[end:]
    if not len(label) or not len(behind):
        raise UserError(
            f"features: the text of label {shorten(record.labels[position])} of clip "
            f"{record.clip_id} has no tokens behind the label's (features of other makers do not "
            "say where the label ends). Make them with lrmovienet encode to use text-cosine."
        )
    a, b = label.mean(0), behind.mean(0)
    length = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / length) if length else 0.0
