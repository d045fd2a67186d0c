"""Rankers that a learned one has to beat: random, the label's prior, words in the description.

They use neither frames nor a language model. The expected NDCG of random order and that of the
oracle come with the scores (`eval.ndcg.reference_orders`); `random` here is one sampled order.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from baselines.data import Record, Regime, TrainingData
from baselines.ranker import Scores
from eval.labels import normal_form
from lrmovienet.errors import UserError
from lrmovienet.files import write_json

_FILE = "floor.json"


class RandomRanker:
    """A random order: each label of a clip gets a number drawn from the seed and its name."""

    regimes: ClassVar[tuple[Regime, ...]] = ("R0",)
    uses_features: ClassVar[bool] = False

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def fit(self, data: TrainingData, working: Path) -> None:
        """Nothing to learn."""

    def score(self, record: Record) -> Scores:
        """(n_labels,) uniform in [0, 1), whatever the order of the labels."""
        return np.array([self._draw(record.clip_id, label) for label in record.labels])

    def _draw(self, clip_id: str, label: str) -> float:
        digest = hashlib.sha256(f"{self.seed}\n{clip_id}\n{label}".encode()).digest()
        # 53 bits: as many as a double holds, so that 1 is never reached.
        return (int.from_bytes(digest[:8], "big") >> 11) / 2**53

    def save(self, folder: Path) -> None:
        """Write the seed."""
        write_json(folder / _FILE, {"seed": self.seed})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the seed."""
        return cls(int(_read(folder, "seed")["seed"]))


class PriorRanker:
    """The mean grade a label had in training, whatever the clip.

    A label that was not seen gets the mean grade of all labels from its source (image, event,
    entity); without such labels, the mean of all grades.
    """

    regimes: ClassVar[tuple[Regime, ...]] = ("R0",)
    uses_features: ClassVar[bool] = False

    def __init__(self) -> None:
        self.of_label: dict[str, float] = {}
        self.of_source: dict[str, float] = {}
        self.overall = 0.0

    def fit(self, data: TrainingData, working: Path) -> None:
        """Take the means."""
        seen = [
            (label, source, int(grade))
            for item in data.graded
            for label, source, grade in zip(
                item.record.labels, item.record.sources, item.grades, strict=True
            )
        ]
        self.of_label = _means((label, grade) for label, _, grade in seen)
        self.of_source = _means((source, grade) for _, source, grade in seen)
        self.overall = sum(grade for *_, grade in seen) / len(seen)

    def score(self, record: Record) -> Scores:
        """(n_labels,) mean grades, 0 to 2."""
        return np.array(
            [
                self.of_label.get(label, self.of_source.get(source, self.overall))
                for label, source in zip(record.labels, record.sources, strict=True)
            ]
        )

    def save(self, folder: Path) -> None:
        """Write the means."""
        write_json(folder / _FILE, vars(self))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the means."""
        ranker = cls()
        vars(ranker).update(_read(folder, "of_label", "of_source", "overall"))
        return ranker


class LexicalRanker:
    """How much of the label stands in the description.

    The share of the label's words that occur in the description, and 1 more where the whole label
    does, word for word. Words are compared as they are, without stemming.
    """

    regimes: ClassVar[tuple[Regime, ...]] = ("R0",)
    uses_features: ClassVar[bool] = False

    def fit(self, data: TrainingData, working: Path) -> None:
        """Nothing to learn."""

    def score(self, record: Record) -> Scores:
        """(n_labels,) 0 to 2."""
        description = _words(record.description)
        return np.array([_overlap(_words(label), description) for label in record.labels])

    def save(self, folder: Path) -> None:
        """Nothing to keep but that it was made."""
        write_json(folder / _FILE, {})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Check that it was made."""
        _read(folder)
        return cls()


def _overlap(label: list[str], description: list[str]) -> float:
    if not label:  # a label of signs only
        return 0.0
    present = sum(word in description for word in label) / len(label)
    places = range(len(description) - len(label) + 1)
    return present + any(description[i : i + len(label)] == label for i in places)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", normal_form(text))


def _means(values: Iterable[tuple[str, int]]) -> dict[str, float]:
    grades: dict[str, list[int]] = {}
    for name, grade in values:
        grades.setdefault(name, []).append(grade)
    return {name: sum(of_name) / len(of_name) for name, of_name in grades.items()}


def _read(folder: Path, *names: str) -> dict[str, Any]:
    path = folder / _FILE
    try:
        content = json.loads(path.read_bytes())
        return {name: content[name] for name in names}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not readable ({error}). Delete the folder {folder} and train again."
        ) from None
