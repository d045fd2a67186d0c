"""`lrmovienet train` of the floors: what a ranker that learns has to beat."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baselines.prepare import Ready, prepare
from baselines.train import Job, TrainConfig, name_of, require_seed, say, train
from lrmovienet.errors import UserError

if TYPE_CHECKING:
    from baselines.ranker import Ranker


@dataclass(frozen=True)
class TrainRandom(TrainConfig):
    """Options of `lrmovienet train random`."""

    seed: int = 0
    """Seed of the random order; 0 or more."""


@dataclass(frozen=True)
class TrainPrior(TrainConfig):
    """Options of `lrmovienet train prior`."""


@dataclass(frozen=True)
class TrainFrequency(TrainConfig):
    """Options of `lrmovienet train frequency`."""


@dataclass(frozen=True)
class TrainLexical(TrainConfig):
    """Options of `lrmovienet train lexical`."""


@dataclass(frozen=True)
class TrainBM25(TrainConfig):
    """Options of `lrmovienet train bm25`."""

    k1: float = 1.5
    """How much the repetition of a word counts; 0 or more."""
    b: float = 0.75
    """How much a long description counts against a word, 0 to 1."""


@dataclass(frozen=True)
class TrainTextCosine(TrainConfig):
    """Options of `lrmovienet train text-cosine`."""

    features: Path | None = None
    """Folder of a feature store. Default: the workspace's own."""


@dataclass(frozen=True)
class TrainSentenceCosine(TrainConfig):
    """Options of `lrmovienet train sentence-cosine`."""

    text_model: Path | None = None
    """Folder of a text encoder in the Hugging Face layout. Default: the packaged MiniLM."""


@dataclass(frozen=True)
class TrainImageTag(TrainConfig):
    """Options of `lrmovienet train image-tag`."""


Floor = (
    TrainRandom
    | TrainPrior
    | TrainFrequency
    | TrainLexical
    | TrainBM25
    | TrainTextCosine
    | TrainSentenceCosine
    | TrainImageTag
)


def run(config: Floor) -> None:
    """Train one of the floors, or say that it is there.

    Raises:
        UserError: a table is missing or an option is wrong.
    """
    kind, make, options = _floor(config)
    name = name_of(config, kind)
    say(train(_ready(config), Job(kind, name, "R0", make, options)))


def _floor(config: Floor) -> tuple[str, "Callable[[], Ranker]", dict[str, Any]]:
    """Its name in `RANKERS`, what makes it, and its options."""
    from baselines.floors import (
        BM25Ranker,
        FrequencyRanker,
        LexicalRanker,
        PriorRanker,
        RandomRanker,
    )
    from baselines.image_tag import ImageTagRanker
    from baselines.sentence_cosine import SentenceCosineRanker
    from baselines.text_cosine import TextCosineRanker

    match config:
        case TrainRandom(seed=seed):
            require_seed(seed)
            return "random", lambda: RandomRanker(seed), {"seed": seed}
        case TrainPrior():
            return "prior", PriorRanker, {}
        case TrainFrequency():
            return "frequency", FrequencyRanker, {}
        case TrainLexical():
            return "lexical", LexicalRanker, {}
        case TrainBM25(k1=k1, b=b):
            if not 0 <= k1 < math.inf:
                raise UserError(f"--k1 {k1}: give a number, 0 or more.")
            if not 0 <= b <= 1:
                raise UserError(f"--b {b}: give a number from 0 to 1.")
            return "bm25", lambda: BM25Ranker(k1, b), {"k1": k1, "b": b}
        case TrainTextCosine():
            return "text-cosine", TextCosineRanker, {}
        case TrainSentenceCosine(text_model=folder):
            where = None if folder is None else str(folder.resolve())
            found = {"text_model": where, **SentenceCosineRanker(folder).encoder.identity}
            return "sentence-cosine", lambda: SentenceCosineRanker(folder), found
        case TrainImageTag():
            return "image-tag", ImageTagRanker, {}


def _ready(config: Floor) -> Ready:
    if isinstance(config, TrainTextCosine):
        return prepare(config, features=config.features, device="cpu")
    at = prepare(config)
    if isinstance(config, TrainImageTag):
        from baselines.image_tag import tag_inputs

        tag_inputs(at.workspace)  # said now, not in `predict`
    return at
