"""What the rankers of learning to rank share: three tracks of inputs, training, files.

``features``: a frozen vector a label (`vectors`). ``stage1``: the vector that the trained stage 1
of LR²PPO makes of it, frozen. ``trunk``: the same, and the trunk that makes it is trained along,
so that only head and loss are other than stage 1's.

Where a method reads a list in an order, the order is stage 1's (methods such as DLCM and PRM
rerank); in the features track stage 1 is then a part of the ranker.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn

from baselines.data import Graded, Ints, Record, Regime, TrainingData
from baselines.learning.files import (
    fingerprint,
    load_network,
    read_training,
    save_model,
    weights_digest,
)
from baselines.learning.learner import Learner
from baselines.learning.loop import Run
from baselines.learning.machine import options_of
from baselines.learning.parallel import World, join
from baselines.learning.running import autocast, reproducible, seed_of
from baselines.lr2ppo.base import compile_trunk
from baselines.lr2ppo.batch import collate
from baselines.lr2ppo.model import Actor, NetworkConfig
from baselines.ltr.training import Items, ListTraining, Task, learn, scores_of
from baselines.ltr.vectors import Vectors, label_vectors, vectors_of
from baselines.ranker import Scores
from lrmovienet.files import sha256_of

Track = Literal["features", "stage1", "trunk"]


@dataclass(frozen=True)
class ListConfig(ListTraining):
    """Options of a ranker of this room, beside those of its network."""

    track: Track = "features"
    """What the network reads of a label."""
    personal: bool = False
    """features only: stage 1's vector beside it, as PRM's pre-trained vector."""


@dataclass(frozen=True)
class ListModelConfig:
    """Dimensions of a whole ranker's networks."""

    network: dict[str, Any]
    """Of the method's own network."""
    inputs: int
    """Dimensions of a label's vector."""
    base: dict[str, Any] | None
    """Of stage 1's network, where it is a part."""


class ListModel(nn.Module):
    """A method's network, the scale of its inputs, and stage 1 where it is needed."""

    def __init__(self, network: nn.Module, inputs: int, base: Actor | None) -> None:
        super().__init__()
        self.network, self.base = network, base
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))
        options: Any = network.config
        self.config = ListModelConfig(
            asdict(options), inputs, asdict(base.config) if base is not None else None
        )

    def standardise(self, x: Vectors) -> None:
        """Take the mean and spread of (items, inputs) training vectors as what inputs come in."""
        mean, spread = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
        self.mean = torch.from_numpy(mean).float()
        # What hardly moves in training says nothing; it must not shout where it moves later.
        constant = spread < 1e-4 * np.maximum(1.0, np.abs(mean))
        self.scale = torch.from_numpy(np.where(constant, 1.0, spread)).float()

    def forward(self, x: Tensor) -> Tensor:
        """(items, inputs) vectors in the network's scale."""
        return (x - self.mean) / self.scale


class ListRanker:
    """Scores a clip's labels by a network over lists."""

    regimes: ClassVar[tuple[Regime, ...]] = ("R0", "R1")
    uses_features: ClassVar[bool] = True
    network_class: ClassVar[type[Any]]
    """The method's network; made of one argument, of its `config_class`, with a field `inputs`."""
    reads_initial: ClassVar[bool] = False
    """Whether it reads a list in the order of stage 1."""

    def __init__(
        self,
        config: ListConfig,
        network: Any = None,
        base: Actor | None = None,
        cache: Path | None = None,
    ) -> None:
        """A ranker to be trained.

        Args:
            config: how it is trained.
            network: the network's dimensions; `inputs` is filled in.
            base: stage 1, where `needs_base`; it is not changed.
            cache: folder in which trainings share the vectors they read.
        """
        self.config, self.base, self.cache = config, base, cache
        self.network_config = network or self.network_class.config_class()
        self.model: ListModel | None = None
        self.watch: Callable[[dict[str, Any]], None] | None = None
        self.metrics: list[dict[str, Any]] = []

    @classmethod
    def needs_base(cls, config: ListConfig) -> bool:
        """Whether stage 1 is a part of it."""
        return config.track != "features" or cls.reads_initial or config.personal

    def fit(self, data: TrainingData, working: Path) -> None:
        """Train, and keep the weights of the epoch that is best on `data.dev`.

        Raises:
            UserError: training diverges, or no dev record has a relevant label.
        """
        with reproducible(self.config.machine):
            self._fit(data, working, join(self.config.machine.device))

    def _fit(self, data: TrainingData, working: Path, world: World) -> None:
        config, machine = self.config, self.config.machine
        if self.needs_base(config) and self.base is None:
            raise ValueError("this ranker starts from stage 1, which was not given")
        torch.manual_seed(seed_of(machine.seed, 5))
        base = None
        if self.needs_base(config) and self.base is not None:
            base = Actor(self.base.config)
            base.load_state_dict(self.base.state_dict())
            base.eval().to(machine.device)
            base.requires_grad_(config.track == "trunk")
            compile_trunk(base, machine)
        source = Source(config, base, self.reads_initial, self.cache)
        model = _model(self.network_class, self.network_config, source.inputs(data), base)
        source.model = model.to(machine.device)
        graded = source.items([item.record for item in data.graded], scale=True)
        dev = source.items([item.record for item in data.dev])
        paired = source.items([item.record for item in data.pairs]) if data.pairs else None
        task = Task(
            graded, _grades(data.graded), dev, _grades(data.dev), paired,
            [item.pairs for item in data.pairs],
        )  # fmt: skip
        made_from = sha256_of(
            [options_of(config), asdict(model.config), fingerprint(data), world.size,
             weights_digest(base) if base else ""]
        )  # fmt: skip
        name = self.network_class.__name__

        def run_of(learner: Learner) -> Run:
            return Run(working, made_from, learner, model, self.watch)

        run = learn(model.network, model, task, config, world, run_of, name)
        self.model, self.metrics = model, run.metrics

    def score(self, record: Record) -> Scores:
        """(n_labels,) the network's scores."""
        if self.model is None:
            raise ValueError("the ranker was neither trained nor loaded")
        machine = self.config.machine
        with reproducible(machine):
            source = Source(self.config, self.model.base, self.reads_initial, None, self.model)
            return scores_of(self.model.network, self.model, source.items([record]), machine)

    def save(self, folder: Path) -> None:
        """Write weights (safetensors), dimensions, training options and metrics."""
        if self.model is None:
            raise ValueError("the ranker was neither trained nor loaded")
        save_model(folder, self.model, self.config, self.metrics)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The ranker that was saved in `folder`. Raises UserError where it is damaged."""
        config, metrics = read_training(folder, ListConfig)

        def build(raw: dict[str, Any]) -> ListModel:
            base = Actor(NetworkConfig(**raw["base"])) if raw["base"] else None
            options = cls.network_class.config_class(**raw["network"])
            return _model(cls.network_class, options, int(raw["inputs"]), base)

        model = load_network(folder, build)
        ranker = cls(config, cls.network_class.config_class(**model.config.network))
        ranker.metrics, ranker.model = metrics, model
        return ranker


class Source:
    """Where the network's inputs come from."""

    def __init__(
        self,
        config: ListConfig,
        base: Actor | None,
        reads_initial: bool,
        cache: Path | None,
        model: ListModel | None = None,
    ) -> None:
        """`model` may be given later, before `items` is called."""
        self.config, self.base, self.reads_initial = config, base, reads_initial
        self.cache, self.model = cache, model
        machine = config.machine
        of = weights_digest(base) if base and cache else ""
        self.made_by = f"stage 1 {of} {machine.precision} {machine.device}"

    def inputs(self, data: TrainingData) -> int:
        """Dimensions of a label's vector."""
        width = self.base.config.width if self.base is not None else 0
        if self.config.track != "features":
            return width
        size = label_vectors(data.graded[0].record).shape[1]
        return int(size) + (width if self.config.personal else 0)

    def items(self, records: Sequence[Record], scale: bool = False) -> Items:
        """The labels of some records; with `scale`, the model takes their scale as its inputs'."""
        model = self.model
        if model is None:
            raise ValueError("the source has no model yet")
        lengths = [len(record.labels) for record in records]
        offsets = np.cumsum([0, *lengths])
        if self.config.track == "trunk":
            return Items(offsets, lambda chosen: self._live([records[i] for i in chosen]))
        parts, initial = [], np.zeros(offsets[-1], np.float32)
        if self.config.track == "features":
            parts.append(vectors_of(records, label_vectors, self.cache))
        if self.base is not None:
            made = vectors_of(records, self._of_base, self.cache, self.made_by)
            initial = made[:, -1].copy() if self.reads_initial else initial
            if self.config.track == "stage1" or self.config.personal:
                parts.append(made[:, :-1])
        x = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        device = self.config.machine.device
        if scale:
            model.standardise(x)
            model.to(device)
        items = Items.of(x, initial, offsets, device)

        def read(chosen: Ints) -> tuple[Tensor, Tensor]:
            vectors, scores = items.read(chosen)
            return model(vectors), scores

        return Items(offsets, read)

    def _of_base(self, record: Record) -> Vectors:
        """(n_labels, width + 1): stage 1's vectors, and its scores."""
        vectors, scores = self._live([record], learned=False)
        return torch.cat([vectors, scores[:, None]], 1).cpu().numpy()

    def _live(self, records: Sequence[Record], learned: bool = True) -> tuple[Tensor, Tensor]:
        base, machine = self.base, self.config.machine
        if base is None:
            raise ValueError("there is no stage 1 to ask")
        if learned and self.model is not None:
            base.train(self.model.training)
        with torch.set_grad_enabled(learned and torch.is_grad_enabled()), autocast(machine):
            vectors = base.trunk(collate(records).to(machine.device))
        with torch.no_grad(), torch.autocast(machine.device, enabled=False):
            scores = base.relevance(base.head(vectors.float()))
        return vectors.float(), scores if self.reads_initial else torch.zeros_like(scores)


def _model(network_class: type[Any], options: Any, inputs: int, base: Actor | None) -> ListModel:
    return ListModel(network_class(replace(options, inputs=inputs)), inputs, base)


def _grades(items: Sequence[Graded]) -> Ints:
    return np.concatenate([item.grades for item in items])
