"""Stage 2 of LR²PPO: the reward model learns which order of a pair people prefer (Eq. 4).

It sees a few annotated pairs of the target domain and pairs made of the source's grades. Which
epoch's weights are kept is chosen by its accuracy on pairs of target_dev.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from baselines.data import Graded, Ints, Record, Regime, TrainingData
from baselines.learning.files import (
    fingerprint,
    load_model,
    read_training,
    save_model,
    weights_digest,
)
from baselines.learning.learner import Learner
from baselines.learning.loop import Run, by_epochs
from baselines.learning.machine import Machine, options_of
from baselines.learning.parallel import World, join
from baselines.learning.running import autocast, reproducible, seed_of
from baselines.lr2ppo.base import compile_trunk, fitted
from baselines.lr2ppo.losses import reward_margin
from baselines.lr2ppo.model import Actor, PairModel
from baselines.lr2ppo.pairs import PairStep, PairSteps
from baselines.lr2ppo.presets import RECOMMENDED, RewardConfig
from baselines.lr2ppo.rewards import borda, reward_table, right_shares
from baselines.ranker import Scores
from lrmovienet.errors import UserError
from lrmovienet.files import sha256_of


class RewardRanker:
    """The reward model; as a ranker it puts labels in the order of their mean preference."""

    regimes: ClassVar[tuple[Regime, ...]] = ("R1",)
    uses_features: ClassVar[bool] = True

    def __init__(
        self, config: RewardConfig = RECOMMENDED.reward, base: Actor | None = None
    ) -> None:
        """`base` is the actor of stage 1; needed where ``config.start`` says so."""
        self.config, self.base = config, base
        self.model: PairModel | None = None
        self.watch: Callable[[dict[str, Any]], None] | None = None
        """Is told of every entry of `metrics` as it is made."""
        self.metrics: list[dict[str, Any]] = []
        """One entry an epoch: loss, accuracy in training and on dev, learning rate."""

    def fit(self, data: TrainingData, working: Path) -> None:
        """Train, and keep the weights of the epoch with the best accuracy on pairs of `data.dev`.

        State and resuming are as in stage 1.

        Raises:
            UserError: training diverges, there are no pairs, or dev has no labels of two grades.
        """
        with reproducible(self.config.machine):
            self._fit(data, working, join(self.config.machine.device))

    def _fit(self, data: TrainingData, working: Path, world: World) -> None:
        config, machine = self.config, self.config.machine
        torch.manual_seed(seed_of(machine.seed, 2))
        first = data.graded[0].record
        if config.start == "base":
            if self.base is None:
                raise ValueError("stage 2 starts from stage 1, which was not given")
            network = replace(
                self.base.config, outputs=1, pair_hidden=config.network.pair_hidden,
                pair_scores=config.network.pair_scores,
            )  # fmt: skip
            model = PairModel(network)
            model.trunk.load_state_dict(self.base.trunk.state_dict())
            if model.label_score is not None and self.base.config.outputs == 1:
                model.label_score.weight.data.copy_(self.base.head.weight.data)
        else:
            model = PairModel(fitted(config.network, first))
        model.to(machine.device)
        compile_trunk(model, machine)
        make = PairSteps(
            data,
            config.pairs,
            config.source_pairs,
            config.initial_order == "redrawn",
            machine,
            world,
        )
        steps = config.epochs * make.an_epoch
        learner = Learner(model, config.optimisation, steps, world, "stage 2")
        made_from = sha256_of(
            [
                options_of(config), asdict(model.config), fingerprint(data), weights_digest(model),
                world.size,
            ]
        )  # fmt: skip
        run = Run(working, made_from, learner, model, self.watch)

        def measure(sums: dict[str, float]) -> tuple[dict[str, float], float]:
            accuracy = dev_accuracy(model, data.dev, machine, world)
            found = {
                "loss": sums["loss"] / make.an_epoch,
                "train_accuracy": sums["right"] / sums["pairs"], "dev_accuracy": accuracy,
            }  # fmt: skip
            return found, accuracy

        losses = partial(self._losses, model, run)
        by_epochs(run, machine, 2, make.an_epoch, make, losses, measure)
        self.model, self.metrics = model, run.metrics

    def _losses(self, model: PairModel, run: Run, step: PairStep) -> Iterator[Tensor]:
        machine = self.config.machine
        for batch, places, coins in step.parts:
            slots = transitions(places, coins).to(machine.device)
            with autocast(machine):
                vectors = model.trunk(batch.to(machine.device))
                chosen, flipped = (model.value(vectors[slots[:, i]]) for i in (0, 1))
            run.add(right=(chosen > flipped).sum().item(), pairs=len(slots))
            yield reward_margin(chosen, flipped, self.config.margin) * (len(slots) / step.pairs)

    def score(self, record: Record) -> Scores:
        """(n_labels,) each label's mean preference over the others, by the reward model alone."""
        if self.model is None:
            raise ValueError("the ranker was neither trained nor loaded")
        with reproducible(self.config.machine):
            table = reward_table(self.model, record, self.config.machine)
        scores: Scores = borda(table.double()).numpy()
        return scores

    def save(self, folder: Path) -> None:
        """Write weights (safetensors), dimensions, training options and metrics."""
        if self.model is None:
            raise ValueError("the ranker was neither trained nor loaded")
        save_model(folder, self.model, self.config, self.metrics)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The ranker that was saved in `folder`. Raises UserError where it is damaged."""
        config, metrics = read_training(folder, RewardConfig)
        ranker = cls(config)
        ranker.metrics = metrics
        ranker.model = load_model(folder, PairModel).to(config.machine.device)
        return ranker


def transitions(places: Ints, kept: npt.NDArray[np.bool_]) -> Tensor:
    """(n, 2, 4) slots of [g_ini, g_c] and [g_ini, flip(g_c)] for pairs in ground-truth order.

    Args:
        places: (n, 2) the better and the worse label of each pair.
        kept: (n,) true where the initial order is the true one.
    """
    right, wrong = places, places[:, ::-1]
    initial = np.where(kept[:, None], right, wrong)
    both = [np.concatenate([initial, order], 1) for order in (right, wrong)]
    return torch.from_numpy(np.stack(both, 1))


def dev_accuracy(model: PairModel, dev: Sequence[Graded], machine: Machine, world: World) -> float:
    """Share of dev's pairs that the reward model puts right.

    Low-medium, medium-high and low-high pairs weigh the same, as in the released evaluation; so do
    the pairs of any two grades, where there are others.

    Raises:
        UserError: no record has labels of two grades.
    """
    found = []
    for item in world.share(dev):
        table = reward_table(model, item.record, machine)
        for low, high in combinations(np.unique(item.grades).tolist(), 2):
            better, worse = np.nonzero(
                (item.grades[:, None] == high) & (item.grades[None, :] == low)
            )
            shares_ = right_shares(table, torch.from_numpy(better), torch.from_numpy(worse))
            found.append((low, high, float(shares_.sum()), len(better)))
    kinds: dict[tuple[int, int], list[float]] = {}
    for share in world.gather(found):
        for low, high, right, count in share:
            sums = kinds.setdefault((low, high), [0.0, 0.0])
            sums[0] += right
            sums[1] += count
    if not kinds:
        raise UserError("target_dev: no record has labels of two grades, so nothing can be chosen.")
    return float(np.mean([right / count for right, count in kinds.values()]))
