"""What the rankers that end in an actor share: how they score, and how they are kept."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch

from baselines.data import Record
from baselines.learning.files import load_model, read_training, save_model
from baselines.learning.machine import Machine
from baselines.learning.running import autocast, reproducible
from baselines.lr2ppo.batch import collate
from baselines.lr2ppo.model import Actor
from baselines.ranker import Scores


class ActorRanker:
    """Stage 1, stage 3 and the control: each trains an actor in a way of its own."""

    uses_features: ClassVar[bool] = True
    config_class: ClassVar[type[Any]]
    """Of its options; they have a `machine`."""

    def __init__(self, config: Any) -> None:
        self.config = config
        self.actor: Actor | None = None
        self.watch: Callable[[dict[str, Any]], None] | None = None
        """Is told of every entry of `metrics` as it is made."""
        self.metrics: list[dict[str, Any]] = []
        """One entry an evaluation: what was measured since the one before, and on target_dev."""

    def score(self, record: Record) -> Scores:
        """(n_labels,) the actor's scores; grades are what stage 1 learns, around 0 to 2."""
        if self.actor is None:
            raise ValueError("the ranker was neither trained nor loaded")
        with reproducible(self.config.machine):
            return predict(self.actor, self.config.machine, [record])

    def save(self, folder: Path) -> None:
        """Write weights (safetensors), dimensions, training options and metrics."""
        if self.actor is None:
            raise ValueError("the ranker was neither trained nor loaded")
        save_model(folder, self.actor, self.config, self.metrics)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The ranker that was saved in `folder`. Raises UserError where it is damaged."""
        config, metrics = read_training(folder, cls.config_class)
        ranker = cls(config)
        ranker.metrics, ranker.actor = metrics, load_model(folder, Actor)
        return ranker


def predict(actor: Actor, machine: Machine, records: Sequence[Record]) -> Scores:
    """Scores of all labels of some records, one record after the other."""
    actor.eval()
    with torch.inference_mode(), autocast(machine):
        scores: Scores = actor(collate(records).to(machine.device)).double().cpu().numpy()
    return scores
