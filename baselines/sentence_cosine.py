"""A floor of the text alone: the cosine of label and description, each embedded by itself.

Unlike `text_cosine` it needs no feature store, and neither text has seen the other: what a sentence
encoder (Reimers and Gurevych, *Sentence-BERT*, EMNLP 2019) says without any training here.
"""

import json
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from baselines.data import Record, Regime, TrainingData
from baselines.ranker import Scores
from lrmovienet.errors import UserError
from lrmovienet.files import write_json
from lrmovienet.sentences import SentenceEncoder, sentence_encoder

_FILE = "sentence_cosine.json"


class SentenceCosineRanker:
    """Cosine of the mean token vectors of the label and of the description.

    The encoder reads the first 64 tokens of a text.
    """

    regimes: ClassVar[tuple[Regime, ...]] = ("R0",)
    uses_features: ClassVar[bool] = False

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` holds a text encoder in the Hugging Face layout; None: the packaged MiniLM."""
        self.folder = folder

    @cached_property
    def encoder(self) -> SentenceEncoder:
        """Loaded when it is first asked. Raises UserError where it is not there."""
        return sentence_encoder(self.folder)

    def fit(self, data: TrainingData, working: Path) -> None:
        """Nothing to learn."""

    def score(self, record: Record) -> Scores:
        """(n_labels,) -1 to 1. Raises UserError where the encoder cannot be loaded."""
        labels = self.encoder(record.labels).astype(np.float64)
        scores: Scores = labels @ self.encoder([record.description])[0].astype(np.float64)
        return scores

    def save(self, folder: Path) -> None:
        """Write where the encoder lies and what it is; not its weights."""
        where = None if self.folder is None else str(self.folder.resolve())
        write_json(folder / _FILE, {"folder": where, "encoder": self.encoder.identity})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The ranker that was saved in `folder`.

        Raises:
            UserError: it is damaged, or the encoder is not there any more or another one.
        """
        path = folder / _FILE
        try:
            raw = json.loads(path.read_bytes())
            where, identity = raw["folder"], raw["encoder"]
            ranker = cls(None if where is None else Path(where))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path}: not readable ({error}). Delete the folder {folder} and train again."
            ) from None
        if ranker.encoder.identity != identity:
            raise UserError(
                f"{ranker.encoder.folder}: not the text encoder that the ranker in {folder} was "
                "made with. Put that one back, or train again."
            )
        return ranker
