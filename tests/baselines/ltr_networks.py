"""Small networks of learning to rank, one of every kind and variant, and lists for them."""

from collections.abc import Sequence

import numpy as np
import plain_ltr as plain
import plain_ltr_losses as plain_losses
import torch
from plain_lr2ppo import unsettle

from baselines.ltr.context import ContextAware, ContextConfig
from baselines.ltr.dasalc import DASALC, DASALCConfig
from baselines.ltr.dlcm import DLCM, DLCMConfig
from baselines.ltr.gsf import GSF, GSFConfig
from baselines.ltr.listnet import ListNet, ListNetConfig
from baselines.ltr.lists import Lists
from baselines.ltr.prm import PRM, PRMConfig
from baselines.ltr.rankformer import RankFormer, RankFormerConfig
from baselines.ltr.setrank import SetRank, SetRankConfig

INPUTS = 7
SMALL = {"inputs": INPUTS, "width": 16}


def losses_of(fn, **options):
    """The loss of one list, where it hangs on its scores alone."""
    return lambda weights, config, x, scores, grades: fn(scores, grades, **options)


def rankformer_loss(weights, config, x, scores, grades):
    loss = plain_losses.softmax_cross_entropy(scores, grades, over="items")
    if config.strength:
        logits = plain.list_logits(weights, config, x).tolist()
        of_list = plain_losses.ordinal([logits], [max(grades)])
        loss += config.strength * of_list / config.levels
    return loss


def context_loss(weights, config, x, scores, grades):
    if config.objective == "ordinal":
        return plain_losses.ordinal(plain.context_logits(weights, config, x).tolist(), grades)
    return plain_losses.lambda_loss(scores, grades, "ndcg_loss2pp", sigma=1, mu=10)


TOP_ONE = losses_of(plain_losses.listnet)
NORMALISED = losses_of(plain_losses.softmax_cross_entropy, over="grades")
RAW = losses_of(plain_losses.softmax_cross_entropy, over="one")
ATTENTION_RANK = losses_of(plain_losses.attention_rank)

NETWORKS = {
    "listnet": (ListNet, ListNetConfig(**SMALL), plain.listnet, TOP_ONE),
    "listnet of one layer": (ListNet, ListNetConfig(**SMALL, layers=1), plain.listnet, TOP_ONE),
    "gsf 1": (GSF, GSFConfig(**SMALL, group=1), plain.gsf, NORMALISED),
    "gsf 2": (GSF, GSFConfig(**SMALL, group=2), plain.gsf, NORMALISED),
    "gsf 3": (GSF, GSFConfig(**SMALL, group=3, layers=2), plain.gsf, NORMALISED),
    "dlcm": (DLCM, DLCMConfig(**SMALL, expansion=3), plain.dlcm, ATTENTION_RANK),
    "dlcm multi": (
        DLCM, DLCMConfig(**SMALL, expansion=3, heads=2, compare="multi"), plain.dlcm,
        ATTENTION_RANK,
    ),
    "prm": (PRM, PRMConfig(**SMALL, blocks=2, positions=4), plain.prm, RAW),
    "setrank": (SetRank, SetRankConfig(**SMALL), plain.setrank, ATTENTION_RANK),
    "setrank induced": (SetRank, SetRankConfig(**SMALL, inducing=3), plain.setrank, ATTENTION_RANK),
    "rankformer": (
        RankFormer, RankFormerConfig(**SMALL, head_hidden=9, strength=0.7), plain.rankformer,
        rankformer_loss,
    ),
    "rankformer of items": (
        RankFormer, RankFormerConfig(**SMALL, strength=0.0), plain.rankformer, rankformer_loss,
    ),
    "context": (ContextAware, ContextConfig(**SMALL), plain.context, context_loss),
    "context ordinal": (
        ContextAware, ContextConfig(**SMALL, objective="ordinal", levels=3), plain.context,
        context_loss,
    ),
    "dasalc": (DASALC, DASALCConfig(**SMALL, attention_width=8), plain.dasalc, RAW),
    "dasalc log1p": (
        DASALC, DASALCConfig(**SMALL, attention_width=8, transform="log1p"), plain.dasalc, RAW,
    ),
}  # fmt: skip
"""Class, config, restatement, and that of the loss."""
IN_ORDER = ("dlcm", "dlcm multi", "prm")
"""Those which read the list in the order of its initial scores."""


def made(name: str, seed: int = 0, **changes):
    """In evaluation mode and single precision, with weights that hide nothing."""
    kind, config, *_ = NETWORKS[name]
    torch.manual_seed(seed)
    network = kind(type(config)(**{**vars(config), **changes})).eval()
    unsettle(network, seed)
    return network


def some_lists(lengths: Sequence[int], seed: int = 0, ties: bool = False) -> list[Lists]:
    """One list each, unpadded. With ties, some initial scores are equal."""
    draw = np.random.default_rng(seed)
    found = []
    for n in lengths:
        initial = draw.integers(0, 3, n) if ties else draw.permutation(n) - n / 2
        found.append(
            Lists(
                torch.from_numpy(draw.normal(size=(1, n, INPUTS)).astype(np.float32)),
                torch.ones(1, n, dtype=torch.bool),
                torch.from_numpy(initial[None].astype(np.float32)),
            )
        )
    return found


def some_grades(lengths: Sequence[int], seed: int = 0) -> list[torch.Tensor]:
    """(1, n) each, 0 to 2, the highest 1 or 2."""
    draw = np.random.default_rng(seed)
    found = []
    for n in lengths:
        grades = draw.integers(0, 3, n)
        grades[draw.integers(n)] = draw.integers(1, 3)
        found.append(torch.from_numpy(grades)[None])
    return found


def doubled(lists: Lists) -> Lists:
    return Lists(lists.x.double(), lists.mask, lists.initial.double())


def padded(lists: Sequence[Lists], to: int, garbage: float = 0.0) -> Lists:
    """The lists side by side in rows of `to` places, the rest filled with `garbage`."""
    parts = []
    for x, mask, initial in lists:
        more = (0, to - mask.shape[1])
        parts.append(
            (
                torch.nn.functional.pad(x, (0, 0, *more), value=garbage),
                torch.nn.functional.pad(mask, more),
                torch.nn.functional.pad(initial, more, value=garbage),
            )
        )
    return Lists(*(torch.cat(side) for side in zip(*parts, strict=True)))


def padded_grades(grades: Sequence[torch.Tensor], to: int, garbage: int = 0) -> torch.Tensor:
    return torch.cat(
        [torch.nn.functional.pad(one, (0, to - one.shape[1]), value=garbage) for one in grades]
    )
