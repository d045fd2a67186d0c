"""What the official scripts of LR²PPO do to MSLR-WEB10K and MQ2008, named as what it is.

Read off the released code, commit 67d7a86 (``convert_to_h5py.py``, ``*_trad.py``): every query, of
the test too, is resampled to 20 documents; a network that regresses the grades of both sets makes
the vectors that all later stages read, so the target's grades are in its features; up to 20 pairs
of each target query are annotated, of all queries; weights are chosen by the test part; a query
without a relevant document counts as 1. None of this is a fair measure, and numbers are
comparable with the paper's table 2 in protocol alone.

What differs here:

- Features are scaled before the mapper reads them; the scripts feed it raw values up to 10⁸.
- The mapper gives 64 numbers by an MLP a domain, with an MLP as head, not 768 with the actor's own
  block. It sees grades of the fold's training and vali parts and of all of the source's training
  part, not of the next fold's training parts (of the source's, the first 50,000 rows).
- Networks, and how they are trained, are those of ``honest``: the test part chooses among a dozen
  states of a network, where the scripts' stages look at it some 1,300 times. Ours gains less by it.
- Stage 3 draws its pairs from the target alone, where the scripts join both sets.
- Each query is resampled by a draw of its own, not by one run of draws over queries in an order
  that hangs on an unstable sort; and all folds are tested, unless told otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from baselines.data import Ints, Paired
from baselines.learning.machine import Machine
from baselines.learning.running import reproducible, seed_of
from baselines.letor.documents import Documents, Features
from baselines.letor.folds import joined
from baselines.letor.queries import graded_of, grades_of
from baselines.letor.scaling import Scaling
from baselines.lr2ppo.losses import smooth_l1
from baselines.lr2ppo.model import Mlp
from baselines.lr2ppo.pairs import graded_pairs

LENGTH = 20
"""Documents of every list."""
PAIRS = 20
"""Annotated pairs of a query, at the most."""
WIDTH, HIDDEN, EPOCHS, DOCUMENTS = 64, 256, 10, 512
"""Of the mapper: its vectors, hidden layers, times through the documents, documents a step."""
SEED = 0


def resampled(documents: Documents) -> Documents:
    """Every query with 20 documents: some of them where there are more, repeats where fewer."""
    rows = []
    for i, length in enumerate(documents.lengths):
        draw = np.random.default_rng([SEED, i])
        rows.append(documents.offsets[i] + draw.choice(length, LENGTH, replace=length < LENGTH))
    chosen = np.concatenate(rows)
    named = documents.documents
    return replace(
        documents,
        x=documents.x[chosen],
        grades=None if documents.grades is None else documents.grades[chosen],
        offsets=np.arange(len(documents) + 1) * LENGTH,
        documents=None if named is None else tuple(named[i] for i in chosen),
    )


def pairs_of_all(documents: Documents, domain: str) -> tuple[Paired, ...]:
    """Up to 20 pairs of each query with documents of two grades, drawn at random."""
    found = []
    for i, item in enumerate(graded_of(documents, domain)):
        pairs = graded_pairs(item.grades)
        if len(pairs):
            drawn = np.random.default_rng([SEED, 1, i]).permutation(len(pairs))[:PAIRS]
            found.append(Paired(item.record, pairs[np.sort(drawn)]))
    return tuple(found)


class _Network(nn.Module):
    """An MLP a domain, and one head that regresses the grades of both."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.domains = nn.ModuleList(Mlp(size, HIDDEN, WIDTH) for size in sizes)
        self.head = Mlp(WIDTH, HIDDEN, 1)

    def forward(self, x: Tensor, domain: int) -> Tensor:
        """(n, features of the domain) -> (n,) grades."""
        found: Tensor = self.head(self.domains[domain](x)).squeeze(1)
        return found


@dataclass(frozen=True)
class Mapper:
    """Vectors of 64 numbers for documents of either set, by a network that saw grades of both."""

    scalings: tuple[Scaling, Scaling]
    network: nn.Module

    @classmethod
    def fit(cls, source: Documents, target: Sequence[Documents]) -> Self:
        """Regress the grades of both sets (SmoothL1, β .3) for some epochs.

        Raises:
            UserError: one of them has no grades.
        """
        sets = source, joined(list(target))
        scalings = Scaling.fit(sets[0].x), Scaling.fit(sets[1].x)
        with reproducible(Machine()):
            torch.manual_seed(seed_of(SEED, 7))
            network = _Network([scaling.columns for scaling in scalings])
            x = [torch.from_numpy(s(part.x)) for s, part in zip(scalings, sets, strict=True)]
            y = [torch.from_numpy(grades_of(part)).float() for part in sets]
            optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
            for epoch in range(EPOCHS):
                for domain, rows in _steps([len(part) for part in x], epoch):
                    optimizer.zero_grad()
                    loss = smooth_l1(network(x[domain][rows], domain), y[domain][rows])
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimizer.step()
        return cls(scalings, network.eval())

    def source(self, documents: Documents) -> Documents:
        """Documents of the source with their vectors."""
        return self._mapped(documents, 0)

    def target(self, documents: Documents) -> Documents:
        """Documents of the target with their vectors."""
        return self._mapped(documents, 1)

    def _mapped(self, documents: Documents, domain: int) -> Documents:
        layers = self.network.domains
        with reproducible(Machine()), torch.inference_mode():
            x = torch.from_numpy(self.scalings[domain](documents.x))
            vectors: Features = layers[domain](x).numpy()  # type: ignore[index, operator]
        return replace(documents, x=vectors)


def _steps(sizes: Sequence[int], epoch: int) -> list[tuple[int, Ints]]:
    """(domain, rows) of an epoch's steps, in a random order."""
    draw = np.random.default_rng([SEED, 7, epoch])
    steps = []
    for domain, size in enumerate(sizes):
        order = draw.permutation(size)
        steps += [(domain, rows) for rows in np.array_split(order, -(-size // DOCUMENTS))]
    return [steps[i] for i in draw.permutation(len(steps))]
