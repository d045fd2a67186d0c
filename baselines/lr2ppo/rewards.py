"""What the reward model says of every pair of a record's labels, encoded once (Eq. 4)."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from baselines.data import Record
from baselines.learning.machine import Machine
from baselines.learning.parallel import World
from baselines.learning.running import autocast
from baselines.lr2ppo.batch import collate
from baselines.lr2ppo.model import PairModel
from lrmovienet.errors import UserError
from lrmovienet.progress import progress

KEEP, TURN = 0, 1
"""The two actions on a pair, as places in the last dimension of a table of rewards."""
PAIRS_AT_ONCE = 16384
"""Pairs a forward pass: all of a list of up to 128 labels, or a part of a longer one's."""
LARGEST = 32 * 2**30
"""Bytes of the tables of all records; more is refused before hours are spent on it."""


def reward_table(model: PairModel, record: Record, machine: Machine) -> Tensor:
    """(n, n, 2) R([ij, ij]) and R([ij, ji]) of every ordered pair of a record's n labels.

    The reward model is frozen and each label's vector is its own, so a table stands for all that
    stage 3 will ever ask about the record. The diagonal means nothing. Beside the table, memory is
    that of `PAIRS_AT_ONCE` pairs, however long the list is.
    """
    model.eval()
    with torch.inference_mode(), autocast(machine):
        vectors = model.trunk(collate([record]).to(machine.device))
        both = [values_of_pairs(model, vectors, order) for order in ([0, 1, 0, 1], [0, 1, 1, 0])]
    return torch.stack(both, 2).float()


def values_of_pairs(model: PairModel, vectors: Tensor, order: Sequence[int]) -> Tensor:
    """(n, n) a model's values of every ordered pair of some labels, on the CPU.

    Args:
        model: a reward model or a critic.
        vectors: (n, width) its trunk's, of the labels.
        order: which of the pair's two, 0 or 1, stands in each of the model's slots.
    """
    n = len(vectors)
    i, j = (grid.flatten() for grid in torch.meshgrid(*[torch.arange(n)] * 2, indexing="ij"))
    slots = torch.stack([i, j], 1)[:, order]
    values = [model.value(vectors[part]).cpu() for part in torch.split(slots, PAIRS_AT_ONCE)]
    return torch.cat(values).view(n, n)


def reward_tables(
    models: Sequence[PairModel], records: Sequence[Record], machine: Machine, world: World
) -> Tensor:
    """(c, n, n, 2) mean rewards of all pairs of all records, padded to the largest; made once.

    These are 8 c n² bytes, and what the records' own tables take beside it: with a thousand lists
    of up to 120 labels 115 MB, twice.

    Raises:
        UserError: that would be more than `LARGEST`.
    """
    most = max(len(record.labels) for record in records)
    if 8 * len(records) * most**2 > LARGEST:
        raise UserError(
            f"rewards of all pairs of {len(records):,} lists of up to {most:,} would take "
            f"{8 * len(records) * most**2 / 2**30:.0f} GiB. Give fewer or shorter lists."
        )
    found = torch.zeros(len(records), most, most, 2)
    tables = _of_each(models, records, machine, world, lambda table: table)
    for of_record, table in zip(found, tables, strict=True):
        of_record[: len(table), : len(table)] = table
    return found


def reward_scores(
    models: Sequence[PairModel], records: Sequence[Record], machine: Machine, world: World
) -> list[Tensor]:
    """(n,) `borda` of each record's mean rewards, in double precision; no table is kept."""
    return _of_each(models, records, machine, world, lambda table: borda(table.double()))


def _of_each(
    models: Sequence[PairModel], records: Sequence[Record], machine: Machine, world: World,
    of: Callable[[Tensor], Tensor],
) -> list[Tensor]:  # fmt: skip
    """`of` the (n, n, 2) mean rewards of each record, in every process."""
    for model in models:
        model.to(machine.device)
    numbered = world.share(list(enumerate(records)))
    made = []
    with progress("rewards", len(numbered), "records") as advance:
        for i, record in numbered:
            of_models = [reward_table(model, record, machine) for model in models]
            made.append((i, of(torch.stack(of_models).mean(0))))
            advance(1)
    by_place = dict(pair for share in world.gather(made) for pair in share)
    return [by_place[i] for i in range(len(records))]


def preference(table: Tensor) -> Tensor:
    """(n, n) by how much i before j is rewarded over j before i, on average over initial orders.

    Antisymmetric; above 0 where the reward model puts i first.
    """
    of_order = table[:, :, KEEP] - table[:, :, TURN]
    return (of_order - of_order.T) / 2


def borda(table: Tensor) -> Tensor:
    """(n,) a label's mean preference over the others: the reward model alone as a ranker."""
    wins = preference(table)
    return wins.sum(1) / max(len(wins) - 1, 1)


def right_shares(table: Tensor, better: Tensor, worse: Tensor) -> Tensor:
    """(m,) share of the two initial orders in which better before worse gets the higher reward.

    A tie counts half.
    """
    of_order = table[:, :, KEEP] - table[:, :, TURN]
    gains = torch.stack([of_order[better, worse], -of_order[worse, better]])
    return ((gains > 0).float() + 0.5 * (gains == 0).float()).mean(0)
