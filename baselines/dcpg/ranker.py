"""DCPG as a ranker of labels: cosines of clip and label under attention that rewards have taught.

Beside the policy gradient it learns from a triplet loss between grades, a triplet loss between
clips and a classification of clips. The text decoding losses of the paper (Eq. 13) are left out: a
label is no sentence that could be decoded. In R1 the target's pairs enter through RankNet.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from baselines.data import Graded, Ints, Paired, Record, Regime, TrainingData
from baselines.dcpg.learner import ADAM, TwoRates
from baselines.dcpg.losses import (
    Bools,
    RankingReward,
    foreign_triplet,
    graded_triplet,
    instance_loss,
    policy_loss,
    ranking_rewards,
)
from baselines.dcpg.network import (
    Batch,
    ClipFeatures,
    Compared,
    DCPGNetwork,
    NetworkConfig,
    collate,
    read,
)
from baselines.dcpg.towers import padded
from baselines.learning.files import fingerprint, load_model, read_training, save_model
from baselines.learning.loop import Run, by_epochs
from baselines.learning.machine import Machine, Optimisation, options_of
from baselines.learning.parallel import World, join
from baselines.learning.running import (
    SELECT_AT,
    autocast,
    dev_ndcg,
    parts,
    reproducible,
    seed_of,
)
from baselines.lr2ppo.losses import pairwise_logistic
from baselines.ranker import Scores
from lrmovienet.errors import UserError
from lrmovienet.files import sha256_of

STAGE = 20
"""A part of every seed."""


@dataclass(frozen=True)
class DCPGConfig:
    """Options of a training."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    optimisation: Optimisation = ADAM
    machine: Machine = field(default_factory=Machine)
    epochs: int = 15
    """Times through the source records. Paper: 30."""
    records_a_step: int = 32
    """Source records a step. In R1, the target's are shared out to as many steps."""
    margin: float = 0.2
    """α of Eq. 14, a step of grade."""
    reward: RankingReward = "ndcg+ap"
    """What a clip's attention earns."""
    beta: float = 0.5
    """Share of the leave-one-out baseline (Eq. 10)."""
    policy_weight: float = 0.1
    """Of the policy gradient; 0 for none. Paper: 1, of larger sums."""
    warm_epochs: int = 3
    """Epochs in which that weight rises from 0."""
    foreign_weight: float = 0.1
    """Of the triplet loss against labels of other clips. It pulls labels to their clips whatever
    their grade, and with 1 it takes over: chosen on target_dev of a generated corpus."""
    instance_weight: float = 0.1
    """Of the classification of clips; as above."""
    pair_weight: float = 1.0
    """Of RankNet on the target's pairs (R1)."""


class Known(NamedTuple):
    """What is known of one clip of a step."""

    record: Record
    grades: Ints | None
    """(n,) of a source record."""
    instance: int
    """The source record's class."""
    pairs: Ints | None
    """(p, 2) of a target record."""


class Step(NamedTuple):
    """This process's part of a step, in forward passes, and what the step has of all processes."""

    passes: list[list[Known]]
    graded: int
    pairs: int
    weight: float
    """Of the policy gradient in this step."""


class Trained(nn.Module):
    """The network and the classifier that only training needs."""

    def __init__(self, network: DCPGNetwork, instances: int) -> None:
        super().__init__()
        self.network = network
        self.classifier = nn.Linear(network.config.dim, instances)
        """Shared between clips and labels (section 3.4)."""


class DCPGRanker:
    """Discrete-continuous policy-gradient attention (Yan et al., CVPR 2021) over labels."""

    regimes: ClassVar[tuple[Regime, ...]] = ("R0", "R1")
    uses_features: ClassVar[bool] = True

    def __init__(self, config: DCPGConfig | None = None) -> None:
        self.config = config or DCPGConfig()
        self.model: DCPGNetwork | None = None
        self.watch: Callable[[dict[str, Any]], None] | None = None
        """Is told of every entry of `metrics` as it is made."""
        self.metrics: list[dict[str, Any]] = []
        """One entry an epoch."""

    def score(self, record: Record) -> Scores:
        """(n_labels,) cosines, from −1 to 1, without any draw."""
        if self.model is None:
            raise ValueError("the ranker was neither trained nor loaded")
        variant = self.model.config.variant
        with reproducible(self.config.machine):
            return predict(self.model, self.config.machine, [read(record, variant)])

    def save(self, folder: Path) -> None:
        """Write weights (safetensors), dimensions, training options and metrics."""
        if self.model is None:
            raise ValueError("the ranker was neither trained nor loaded")
        save_model(folder, self.model, self.config, self.metrics)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The ranker that was saved in `folder`. Raises UserError where it is damaged."""
        config, metrics = read_training(folder, DCPGConfig)
        ranker = cls(config)
        ranker.metrics, ranker.model = metrics, load_model(folder, DCPGNetwork)
        return ranker

    def fit(self, data: TrainingData, working: Path) -> None:
        """Train, and keep the weights of the best epoch on `data.dev`.

        The state goes to ``working/trainer_state.pt`` after each epoch and now and then between; a
        run that finds it goes on from there and ends with the same bytes.

        Raises:
            UserError: training diverges, or no dev record has a relevant label.
        """
        with reproducible(self.config.machine):
            self._fit(data, working, join(self.config.machine.device))

    def _fit(self, data: TrainingData, working: Path, world: World) -> None:
        config, machine = self.config, self.config.machine
        torch.manual_seed(seed_of(machine.seed, STAGE))
        network = DCPGNetwork(fitted(config.network, data.graded[0].record)).to(machine.device)
        model = Trained(network, len(data.graded)).to(machine.device)
        steps = Steps(data, config, world)
        learner = TwoRates(
            model, config.optimisation, config.epochs * steps.an_epoch, world, "DCPG"
        )
        made_from = sha256_of([options_of(config), fingerprint(data), world.size])
        run = Run(working, made_from, learner, network, self.watch)
        features = Features(network.config)

        def score(records: Sequence[Record]) -> Scores:
            return predict(network, machine, [features(record) for record in records])

        def measure(sums: dict[str, float]) -> tuple[dict[str, float], float]:
            dev = dev_ndcg(score, data.dev, world)
            found = {name: total / steps.an_epoch for name, total in sums.items()}
            return {**found, **dev}, dev[SELECT_AT]

        losses = partial(self._losses, model, run, features)
        by_epochs(run, machine, STAGE, steps.an_epoch, steps, losses, measure)
        self.model, self.metrics = network, run.metrics

    def _losses(
        self, model: Trained, run: Run, features: "Features", step: Step
    ) -> Iterator[Tensor]:
        machine = self.config.machine
        for known in step.passes:
            batch = collate([features(one.record) for one in known]).to(machine.device)
            with autocast(machine):
                compared = model.network(batch)
            yield self._loss(model, run, step, known, batch, compared)

    def _loss(
        self, model: Trained, run: Run, step: Step, known: list[Known], batch: Batch,
        compared: Compared,
    ) -> Tensor:  # fmt: skip
        """All losses of one forward pass, each with its part of the whole step."""
        config, total = self.config, compared.scores.sum() * 0
        graded = [i for i, one in enumerate(known) if one.grades is not None]
        if graded:
            grades = [one.grades for one in known if one.grades is not None]
            table, y = by_clip(compared.scores, batch.record, graded, grades)
            rewards = ranking_rewards(_numbers(table), y.cpu().numpy(), config.reward)
            share = len(graded) / step.graded
            triplet = graded_triplet(table, y, config.margin)
            foreign = self._foreign(known, batch, compared)
            drawn = policy_loss(compared.log_probability[graded], rewards, config.beta)
            run.add(
                reward=float(rewards.sum()) / step.graded, triplet=triplet.item() * share,
                foreign=foreign.item() * share,
            )  # fmt: skip
            total = total + share * (
                triplet + config.foreign_weight * foreign + step.weight * drawn
                + config.instance_weight * self._instance(model, known, batch, compared)
            )  # fmt: skip
        better, worse = pairs_of(known, batch.record)
        if len(better):
            scores = compared.scores * model.network.log_sharpness.exp()
            share = len(better) / step.pairs
            total = total + config.pair_weight * share * pairwise_logistic(
                scores[better], scores[worse]
            )
        return total

    def _foreign(self, known: list[Known], batch: Batch, compared: Compared) -> Tensor:
        """The triplet loss between clips; a label that a clip also has is no negative of it."""
        labels = [label for one in known for label in one.record.labels]
        own = np.array([[label in set(one.record.labels) for label in labels] for one in known])
        high = np.concatenate([_high(one) for one in known])
        mine = batch.record.cpu().numpy() == np.arange(len(known))[:, None]
        device = compared.scores.device
        return foreign_triplet(
            compared.clips @ compared.labels.T,
            torch.from_numpy(mine & high).to(device),
            torch.from_numpy(~own).to(device),
            self.config.margin,
        )

    def _instance(
        self, model: Trained, known: list[Known], batch: Batch, compared: Compared
    ) -> Tensor:
        """Clips and their high labels, each classified as the clip it is of."""
        classes = torch.tensor([one.instance for one in known], device=batch.record.device)
        source = classes >= 0
        high = torch.from_numpy(np.concatenate([_high(one) for one in known])).to(source.device)
        # Of length 1, a vector cannot tell one class of hundreds from all others.
        sharp = model.network.log_sharpness.exp()
        vectors = torch.cat([compared.clips[source], compared.labels[high]]) * sharp
        return instance_loss(
            model.classifier(vectors), torch.cat([classes[source], classes[batch.record[high]]])
        )


class Features:
    """Features of records; those of variant b, which are small, stay in memory."""

    def __init__(self, config: NetworkConfig) -> None:
        self.variant = config.variant
        self.known: dict[tuple[str, str, tuple[str, ...]], ClipFeatures] = {}

    def __call__(self, record: Record) -> ClipFeatures:
        """The features of one record."""
        if self.variant == "a":
            return read(record, "a")
        key = (record.clip_id, record.domain, record.labels)
        if key not in self.known:
            self.known[key] = read(record, "b")
        return self.known[key]


class Steps:
    """Which records a step has: a function of the seed and of the step's number alone."""

    def __init__(self, data: TrainingData, config: DCPGConfig, world: World) -> None:
        self.config, self.world = config, world
        self.graded, self.paired = data.graded, data.pairs
        self.an_epoch = math.ceil(len(data.graded) / config.records_a_step)
        self._order = lru_cache(maxsize=2)(self._drawn)

    def __call__(self, step: int) -> Step:
        """This process's part of a step."""
        config, world = self.config, self.world
        epoch, index = divmod(step, self.an_epoch)
        size = config.records_a_step
        chosen = self._order(epoch, 0)[index * size : (index + 1) * size]
        pairs = np.array_split(self._order(epoch, 1), self.an_epoch)[index]
        known = [_graded(self.graded[i], int(i)) for i in chosen]
        known += [_paired(self.paired[i]) for i in pairs]
        ramp = min(1.0, step / (config.warm_epochs * self.an_epoch)) if config.warm_epochs else 1.0
        return Step(
            [list(run) for run in parts(world.share(known), config.machine.records_at_once)],
            len(chosen),
            sum(len(self.paired[i].pairs) for i in pairs),
            config.policy_weight * ramp,
        )

    def _drawn(self, epoch: int, which: int) -> Ints:
        number = len(self.paired if which else self.graded)
        draw = np.random.default_rng([self.config.machine.seed, STAGE, which, epoch])
        return draw.permutation(number)


def predict(model: DCPGNetwork, machine: Machine, clips: Sequence[ClipFeatures]) -> Scores:
    """Scores of all labels of some clips, one clip after the other."""
    model.eval()
    with torch.inference_mode(), autocast(machine):
        scores: Scores = model(collate(clips).to(machine.device)).scores.double().cpu().numpy()
    return scores


def fitted(network: NetworkConfig, record: Record) -> NetworkConfig:
    """The network for features such as a record's."""
    text, frames = record.text(0).tokens, record.frames
    return replace(network, text_dim=text.shape[1], frame_dim=frames.shape[1])


def by_clip(
    scores: Tensor, record: Tensor, graded: list[int], grades: list[Ints]
) -> tuple[Tensor, Tensor]:
    """Scores and grades of some clips' labels, one row a clip: (c, n) each, grades −1 behind."""
    table, mask = padded([scores[record == i] for i in graded])
    y, _ = padded([torch.from_numpy(one).to(scores.device) for one in grades])
    return table, y.masked_fill(~mask, -1)


def pairs_of(known: list[Known], record: Tensor) -> tuple[Tensor, Tensor]:
    """Places in the batch of the better and of the worse label of all pairs, (p,) each."""
    starts = np.searchsorted(record.cpu().numpy(), np.arange(len(known)))
    found = [
        one.pairs + start for one, start in zip(known, starts, strict=True) if one.pairs is not None
    ]
    places = np.concatenate([np.zeros((0, 2), np.int64), *found])
    better, worse = torch.from_numpy(places).to(record.device).unbind(1)
    return better, worse


def _graded(item: Graded, instance: int) -> Known:
    return Known(item.record, item.grades, instance, None)


def _paired(item: Paired) -> Known:
    return Known(item.record, None, -1, item.pairs)


def _high(one: Known) -> Bools:
    grades = np.zeros(len(one.record.labels)) if one.grades is None else one.grades
    high: Bools = grades == 2
    return high


def _numbers(scores: Tensor) -> Scores:
    numbers: Scores = scores.detach().double().cpu().numpy()
    if not np.isfinite(numbers).all():
        raise UserError("DCPG: scores are no longer numbers. Try a lower --learning_rate.")
    return numbers
