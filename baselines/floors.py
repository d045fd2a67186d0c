"""Rankers that a learned one has to beat: random, a label's prior, words in the description.

They use neither frames nor a language model. The expected NDCG of random order and those of the
oracle and of its reverse come with the scores (`eval.ndcg.reference_scores`); `random` here is one
sampled order.
"""

import hashlib
import json
import math
import re
from collections import Counter
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


class FrequencyRanker:
    """In how many source records a label was among those to be graded, whatever the grade.

    The control of `PriorRanker`: what it reaches is due to which labels are common, not to grades.
    A label that was not seen gets 0.
    """

    regimes: ClassVar[tuple[Regime, ...]] = ("R0",)
    uses_features: ClassVar[bool] = False

    def __init__(self) -> None:
        self.records: dict[str, int] = {}

    def fit(self, data: TrainingData, working: Path) -> None:
        """Count."""
        self.records = dict(Counter(label for item in data.graded for label in item.record.labels))

    def score(self, record: Record) -> Scores:
        """(n_labels,) numbers of records, 0 or more."""
        return np.array([self.records.get(label, 0) for label in record.labels], dtype=np.float64)

    def save(self, folder: Path) -> None:
        """Write the counts."""
        write_json(folder / _FILE, vars(self))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the counts."""
        ranker = cls()
        vars(ranker).update(_read(folder, "records"))
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


class BM25Ranker:
    """BM25 of the label, as a query, in the clip's description, as a document.

    Σ over the label's words w of idf(w) · tf / (tf + k1 · (1 − b + b · length / mean length)), with
    idf(w) = ln(1 + (N − df + ½) / (df + ½)): Robertson and Zaragoza, "The Probabilistic Relevance
    Framework: BM25 and Beyond", 2009, with the idf of Lucene, which is never negative. N, df and
    the mean length are those of the source's descriptions, each clip's once; a word in none of them
    has df = 0. Descriptions of the target are scored with these and change none of them.

    Own arithmetic, because a library's index scores only the documents it was made of.
    """

    regimes: ClassVar[tuple[Regime, ...]] = ("R0",)
    uses_features: ClassVar[bool] = False

    def __init__(self, k1: float = 1.5, b: float = 0.75) -> None:
        """`k1`, 0 or more: how much a word's repetition counts; `b`, 0 to 1: how much length."""
        self.k1, self.b = k1, b
        self.documents = 0
        self.mean_length = 0.0
        self.containing: dict[str, int] = {}

    def fit(self, data: TrainingData, working: Path) -> None:
        """Count words in the source's descriptions.

        Raises:
            UserError: there is no word in any of them.
        """
        described = {item.record.clip_id: item.record.description for item in data.graded}
        words = [_words(description) for description in described.values()]
        self.documents = len(words)
        self.mean_length = sum(map(len, words)) / len(words)
        if not self.mean_length:
            raise UserError("source_train: no description has a word, so BM25 cannot count any.")
        self.containing = dict(Counter(word for document in words for word in set(document)))

    def score(self, record: Record) -> Scores:
        """(n_labels,) 0 or more; 0 where no word of the label occurs."""
        words = _words(record.description)
        times = Counter(words)
        norm = self.k1 * (1 - self.b + self.b * len(words) / self.mean_length)
        worth = {word: self._idf(word) * tf / (tf + norm) for word, tf in times.items()}
        return np.array(
            [sum(worth.get(word, 0.0) for word in _words(label)) for label in record.labels]
        )

    def _idf(self, word: str) -> float:
        df = self.containing.get(word, 0)
        return math.log(1 + (self.documents - df + 0.5) / (df + 0.5))

    def save(self, folder: Path) -> None:
        """Write the counts and both constants."""
        write_json(folder / _FILE, vars(self))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read them."""
        ranker = cls()
        vars(ranker).update(_read(folder, *vars(ranker)))
        return ranker


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
