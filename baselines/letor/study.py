"""What a ranker sees in each fold: the protocols ``honest`` and ``released``.

``honest``: whole lists; features scaled by training documents of the fold; of the target a share
of its training pairs, and no grade but those of the fold's vali part, by which weights are chosen;
the test part is scored once. ``released`` is what the official scripts of LR²PPO do, in
`baselines.letor.released`.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

from baselines.data import Record, Regime, TrainingData
from baselines.letor.documents import Documents
from baselines.letor.folds import Fold, Folds
from baselines.letor.queries import graded_of, grades_of, pairs_of, records_of
from baselines.letor.released import Mapper, pairs_of_all, resampled
from baselines.letor.scaling import Kind
from baselines.letor.spaces import Meeting, Space, alone, meet, usual_space
from lrmovienet.errors import UserError

Protocol = Literal["honest", "released"]
SEED = 0
"""Of the draw of target pairs: all trainings see the same."""


@dataclass(frozen=True)
class Setting:
    """All that decides what rankers see."""

    target: tuple[Path, ...]
    source: tuple[Path, ...]
    """Empty where methods learn the target's own training grades."""
    cache: Path | None
    protocol: Protocol
    space: Space | None
    """None: what is usual for such features. Not used by ``released``, nor without a source."""
    scaling: Kind
    """Not used by ``released``."""
    percent: int
    """Not used by ``released``, nor without a source."""
    parts: int

    @property
    def folds(self) -> Folds:
        """The target's."""
        return Folds(self.target, self.cache, self.parts)


class Seen(NamedTuple):
    """A fold, as rankers see it."""

    data: TrainingData
    """For all regimes; see `in_regime`."""
    test: tuple[Record, ...]
    """What is scored; `tested` has its grades."""


def in_regime(data: TrainingData, regime: Regime) -> TrainingData:
    """What of the data a regime allows."""
    if regime == "R0":
        return replace(data, pairs=(), unlabelled=())
    return data if regime == "R2" else replace(data, unlabelled=())


def fold_seen(setting: Setting, number: int, trees: bool) -> Seen:
    """A fold of the setting; the one that was asked for last is kept.

    Args:
        setting: what it is.
        number: of the fold, from 1.
        trees: whether values may stay as they are.

    Raises:
        UserError: files, features or grades are not those that are needed.
    """
    return _fold_seen(setting, number, trees and setting.protocol == "honest")


@lru_cache(maxsize=1)
def _fold_seen(setting: Setting, number: int, trees: bool) -> Seen:
    fold = setting.folds[number]
    if not setting.source:
        own = alone(fold.train, setting.scaling, trees)
        data = TrainingData(
            graded_of(own(fold.train), "source"), graded_of(own(fold.vali), "target")
        )
        return Seen(data, records_of(own(fold.test), "target"))
    source = Folds(setting.source, setting.cache).whole(number)
    require_apart(source, fold)
    if setting.protocol == "released":
        return _released(source, fold)
    space = setting.space or usual_space(source, fold.train)
    ways = meet(source, fold.train, space, setting.scaling, trees)
    data = _data(source, fold, ways, setting.percent)
    return Seen(data, records_of(ways.target(fold.test), "target"))


def _data(source: Documents, fold: Fold, ways: Meeting, percent: int) -> TrainingData:
    train = ways.target(fold.train)
    return TrainingData(
        graded_of(ways.source(source), "source"), graded_of(ways.target(fold.vali), "target"),
        pairs_of(train, "target", percent, SEED), records_of(train, "target"),
    )  # fmt: skip


def _released(source: Documents, fold: Fold) -> Seen:
    """Lists of 20, features of a network that saw the target's grades, chosen by the test part."""
    source, test = resampled(source), tested(fold, "released")
    train, vali = resampled(fold.train), resampled(fold.vali)
    mapper = Mapper.fit(source, (train, vali))
    train, test_mapped = mapper.target(train), mapper.target(test)
    data = TrainingData(
        graded_of(mapper.source(source), "source"), graded_of(test_mapped, "target"),
        pairs_of_all(train, "target"), records_of(train, "target"),
    )  # fmt: skip
    return Seen(data, records_of(test_mapped, "target"))


def require_apart(source: Documents, fold: Fold) -> None:
    """Refuse a source of which a file is one of the target's, with a UserError."""
    hashes = {word for part in (fold.train, fold.vali, fold.test) for word in part.sha256.split()}
    if hashes & {*source.sha256.split()}:
        raise UserError(
            f"{source.name}: a file of the source is one of the target too, so the target's grades "
            "would be learned. Give another --source, or none: then its training parts are learned."
        )


def tested(fold: Fold, protocol: Protocol) -> Documents:
    """A fold's test part as it is scored."""
    return resampled(fold.test) if protocol == "released" else fold.test


def levels_of(data: TrainingData) -> int:
    """The highest grade that is learned."""
    return max(2, *(int(item.grades.max()) for item in data.graded))


def grade_limit(documents: Documents) -> int:
    """The highest grade there may be: 4, as in MSLR, unless documents have a higher one."""
    return max(4, int(grades_of(documents).max()))
