"""What every ranker keeps, and where each is found."""

import importlib
from pathlib import Path
from typing import ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from baselines.data import Record, Regime, TrainingData

Scores = npt.NDArray[np.float64]

RANKERS = {
    "random": "baselines.floors:RandomRanker",
    "prior": "baselines.floors:PriorRanker",
    "frequency": "baselines.floors:FrequencyRanker",
    "lexical": "baselines.floors:LexicalRanker",
    "bm25": "baselines.floors:BM25Ranker",
    "text-cosine": "baselines.text_cosine:TextCosineRanker",
    "sentence-cosine": "baselines.sentence_cosine:SentenceCosineRanker",
    "image-tag": "baselines.image_tag:ImageTagRanker",
    "lambdamart": "baselines.lambdamart:LambdaMARTRanker",
    "lr2ppo-base": "baselines.lr2ppo.base:BaseRanker",
    "lr2ppo-reward": "baselines.lr2ppo.reward:RewardRanker",
    "lr2ppo": "baselines.lr2ppo.ppo:PPORanker",
    "preference": "baselines.preference:PreferenceRanker",
    "distillation": "baselines.distillation:DistillationRanker",
    "pl-rank": "baselines.pl_rank:PLRankRanker",
    "grpo": "baselines.grpo:GRPORanker",
    "clip": "baselines.clip:ClipRanker",
    "mkt": "baselines.mkt:MktRanker",
    "dcpg": "baselines.dcpg.ranker:DCPGRanker",
    "listnet": "baselines.ltr.rankers:ListNetRanker",
    "dlcm": "baselines.ltr.rankers:DLCMRanker",
    "prm": "baselines.ltr.rankers:PRMRanker",
    "gsf": "baselines.ltr.rankers:GSFRanker",
    "setrank": "baselines.ltr.rankers:SetRankRanker",
    "rankformer": "baselines.ltr.rankers:RankFormerRanker",
    "context": "baselines.ltr.rankers:ContextRanker",
    "dasalc": "baselines.ltr.rankers:DASALCRanker",
}
"""Name -> where its class is. A module is imported when its ranker is asked for."""


class Ranker(Protocol):
    """Learns from what its regime allows, then scores the labels of any record."""

    regimes: ClassVar[tuple[Regime, ...]]
    """The regimes whose data it makes use of."""
    uses_features: ClassVar[bool]
    """Whether it reads `Record.text` and `Record.frames`."""

    def fit(self, data: TrainingData, working: Path) -> None:
        """Learn. `working` is a folder in which a long fit keeps its state, to go on after a kill.

        Raises:
            UserError: the data cannot be learned from, or training came to nothing.
        """
        ...

    def score(self, record: Record) -> Scores:
        """(n_labels,) one finite number a label, in the record's order; higher is more relevant."""
        ...

    def save(self, folder: Path) -> None:
        """Write everything `load` needs. Equal rankers write equal bytes."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The ranker that was saved in `folder`. Raises UserError where it is damaged."""
        ...


def ranker_class(name: str) -> type[Ranker]:
    """The class of a ranker in `RANKERS`."""
    module, _, attribute = RANKERS[name].partition(":")
    found: type[Ranker] = getattr(importlib.import_module(module), attribute)
    return found
