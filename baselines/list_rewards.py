"""What a ranking of a clip is worth to the controls that learn by policy gradient.

Of a source record its NDCG@10, by the grades; of a target record the share of its annotated pairs
that stand right. No reward model is asked.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from baselines.data import Ints, Record, TrainingData, subset
from baselines.plackett_luce import agreement, discounts, ndcg_of, normalised_gains
from lrmovienet.errors import UserError

DEPTH = 10
"""NDCG is taken of so many places."""


class Rewarded(NamedTuple):
    """A record and what its rankings are worth: by gains, or by pairs."""

    record: Record
    """Of a target record, the labels of its pairs alone: the order of others is worth nothing."""
    rho: Tensor | None
    """(n_labels,) gains divided by the ideal DCG."""
    pairs: Tensor | None
    """(n_pairs, 2) positions of the better and of the worse label."""

    @property
    def depth(self) -> int:
        """Places of a ranking on which its worth hangs."""
        labels = len(self.record.labels)
        return labels if self.rho is None else min(labels, DEPTH)

    @property
    def theta(self) -> Tensor:
        """(n_labels,) what each place is worth in NDCG."""
        return discounts(len(self.record.labels), DEPTH)

    def worth(self, rankings: Tensor) -> Tensor:
        """(N,) rewards from 0 to 1 of (N, n_labels) rankings."""
        if self.rho is not None:
            return ndcg_of(rankings, self.rho, self.theta)
        assert self.pairs is not None
        return agreement(rankings, self.pairs)


def rewarded(data: TrainingData) -> list[Rewarded]:
    """All records that can be learned from: source records with a relevant label, target pairs.

    A record of one label has one ranking only, and one without a relevant label has no NDCG.

    Raises:
        UserError: there are none.
    """
    found = [
        Rewarded(item.record, normalised_gains(item.grades, DEPTH), None)
        for item in data.graded
        if len(item.grades) > 1 and (item.grades > 0).any()
    ]
    for paired in data.pairs:
        labels, places = _among(paired.pairs)
        found.append(Rewarded(subset(paired.record, labels), None, torch.from_numpy(places)))
    if not found:
        raise UserError(
            "source_train: no record has two labels and one above low, and there are no target "
            "pairs, so that no ranking is worth more than another."
        )
    return found


def _among(pairs: Ints) -> tuple[Ints, Ints]:
    """The labels that pairs name, and the pairs as places among these."""
    labels, places = np.unique(pairs, return_inverse=True)
    return labels, places.reshape(pairs.shape)
