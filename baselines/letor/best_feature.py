"""A control that learns next to nothing: the one feature that ranks the source best, up or down."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from baselines.data import Record, Regime, TrainingData
from baselines.ranker import Scores
from eval.ndcg import ndcg
from lrmovienet.errors import UserError
from lrmovienet.files import write_json

AT = 10
"""NDCG@10 of the source's lists decides."""


@dataclass(frozen=True)
class Choice:
    """The feature, and which end of it comes first."""

    column: int
    sign: int


class BestFeatureRanker:
    """Ranks by one feature; a value that is not known comes last."""

    regimes: ClassVar[tuple[Regime, ...]] = ("R0",)
    uses_features: ClassVar[bool] = True

    def __init__(self) -> None:
        self.choice: Choice | None = None

    def fit(self, data: TrainingData, working: Path) -> None:
        """Look at each feature in both directions; of equal ones the first is taken."""
        x = np.concatenate([item.record.vectors for item in data.graded])
        grades = np.concatenate([item.grades for item in data.graded])
        offsets = np.cumsum([0, *(len(item.grades) for item in data.graded)])
        if not (grades > 0).any():
            raise UserError("the source has no relevant document, so no feature can be chosen.")
        choices = [Choice(column, sign) for column in range(x.shape[1]) for sign in (1, -1)]
        reached = [
            np.nanmean(ndcg(_scores(x[:, one.column], one.sign), grades, offsets, (AT,)))
            for one in choices
        ]
        self.choice = choices[int(np.argmax(reached))]

    def score(self, record: Record) -> Scores:
        """(documents,) the feature, the right way up."""
        if self.choice is None or record.vectors is None:
            raise ValueError("the ranker was not trained, or the record has no vectors")
        return _scores(record.vectors[:, self.choice.column], self.choice.sign)

    def save(self, folder: Path) -> None:
        """Write the choice."""
        if self.choice is None:
            raise ValueError("the ranker was not trained")
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "choice.json", asdict(self.choice))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The ranker that was saved in `folder`. Raises UserError where it is damaged."""
        ranker = cls()
        try:
            ranker.choice = Choice(**json.loads((folder / "choice.json").read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"{folder}: not a trained ranker ({error}). Train again.") from None
        return ranker


def _scores(column: Any, sign: int) -> Scores:
    scores = sign * column.astype(np.float64)
    known = scores[~np.isnan(scores)]
    least = known.min() if len(known) else 0.0
    # Below it however large it is: 1e20 − 1 is 1e20.
    return np.where(np.isnan(scores), least - abs(least) - 1.0, scores)
