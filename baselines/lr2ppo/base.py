"""Stage 1 of LR²PPO: the actor learns the source's grades (paper, section 3, Eq. 3).

Which epoch's weights are kept is chosen by NDCG@20 on target_dev. The released code chose, and
reported, on one and the same set.
"""

import contextlib
import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import safetensors.torch
import torch

from baselines.data import Graded, Record, Regime, TrainingData
from baselines.lr2ppo.losses import smooth_l1
from baselines.lr2ppo.model import Actor, ActorConfig, collate
from baselines.lr2ppo.presets import SMALL, BaseConfig
from baselines.ranker import Scores
from eval.ndcg import ndcg
from lrmovienet.errors import UserError
from lrmovienet.files import atomic_open, sha256_of, write_bytes, write_json
from lrmovienet.progress import progress

SELECT_AT = 20
"""The k of the NDCG@k that chooses the epoch; the paper's lists have 20 labels."""
_WEIGHTS, _ACTOR, _TRAINING, _METRICS = (
    "model.safetensors", "config.json", "training.json", "metrics.jsonl",
)  # fmt: skip


class BaseRanker:
    """The base model, ``LR²PPO (S1)`` in the paper's tables."""

    regimes: ClassVar[tuple[Regime, ...]] = ("R0",)
    uses_features: ClassVar[bool] = True

    def __init__(self, config: BaseConfig = SMALL) -> None:
        self.config = config
        self.actor: Actor | None = None
        self.metrics: list[dict[str, Any]] = []
        """One entry an epoch: loss, dev NDCG@20, learning rate at its end."""

    def fit(self, data: TrainingData, working: Path) -> None:
        """Train, and keep the weights of the best epoch on `data.dev`.

        After each epoch the whole state goes to ``working/trainer_state.pt``; a run that finds it
        goes on from there and ends with the same bytes.

        Raises:
            UserError: the loss is not finite, or no dev record has a relevant label.
        """
        with reproducible(self.config.device, self.config.threads):
            self._fit(data, working)

    def _fit(self, data: TrainingData, working: Path) -> None:
        config = self.config
        first = data.graded[0].record
        torch.manual_seed(_seed(config.seed, 0))
        actor = Actor(
            ActorConfig(
                text_dim=first.text(0).tokens.shape[1], frame_dim=first.frames.shape[1],
                width=config.width, text_hidden=config.text_hidden,
                frame_hidden=config.frame_hidden, head_hidden=config.head_hidden,
                heads=config.heads, dropout=config.dropout,
            )
        ).to(config.device)  # fmt: skip
        optimizer = torch.optim.AdamW(
            actor.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        made_from = sha256_of([asdict(config), asdict(actor.config), _fingerprint(data)])
        state = _resume(working / "trainer_state.pt", made_from)
        best: dict[str, torch.Tensor] = {}
        if state:
            actor.load_state_dict(state["actor"])
            optimizer.load_state_dict(state["optimizer"])
            best, self.metrics = state["best"], state["metrics"]
        done = len(self.metrics)
        steps = math.ceil(len(data.graded) / config.batch_size)
        left = (config.epochs - done) * len(data.graded)
        with progress("stage 1", left, "records") as advance:
            for epoch in range(done, config.epochs):
                loss = self._epoch(actor, optimizer, data.graded, epoch, steps, advance)
                dev = dev_ndcg(actor, data.dev, config)
                if not self.metrics or dev > max(entry["dev_ndcg@20"] for entry in self.metrics):
                    best = {k: v.detach().cpu().clone() for k, v in actor.state_dict().items()}
                rate = learning_rate(config, (epoch + 1) * steps - 1, config.epochs * steps)
                self.metrics.append(
                    {"epoch": epoch + 1, "loss": loss, "dev_ndcg@20": dev, "learning_rate": rate}
                )
                _save_state(
                    working / "trainer_state.pt",
                    {
                        "made_from": made_from, "actor": actor.state_dict(),
                        "optimizer": optimizer.state_dict(), "best": best,
                        "metrics": self.metrics,
                    },
                )  # fmt: skip
        actor.load_state_dict(best)
        self.actor = actor.eval()

    def _epoch(
        self,
        actor: Actor,
        optimizer: torch.optim.Optimizer,
        graded: Sequence[Graded],
        epoch: int,
        steps: int,
        advance: Any,
    ) -> float:
        """One time through the records in an order of its own. Returns the mean loss of a label.

        Order and dropout depend on the seed and the epoch alone, so nothing else need be saved.
        """
        config = self.config
        actor.train()
        torch.manual_seed(_seed(config.seed, epoch + 1))
        order = np.random.default_rng([config.seed, epoch]).permutation(len(graded))
        total, labels = 0.0, 0
        for step in range(steps):
            chosen = order[step * config.batch_size : (step + 1) * config.batch_size]
            items = [graded[i] for i in chosen]
            rate = learning_rate(config, epoch * steps + step, config.epochs * steps)
            for group in optimizer.param_groups:
                group["lr"] = rate
            batch = collate([item.record for item in items]).to(config.device)
            y = torch.from_numpy(np.concatenate([item.grades for item in items]))
            loss = smooth_l1(actor(batch), y.to(config.device, torch.float32), config.beta)
            if not torch.isfinite(loss):
                raise UserError(
                    f"stage 1: the loss is {loss.item()} in epoch {epoch + 1}, step {step + 1} of "
                    f"{steps}. Try a lower --learning_rate (now {config.learning_rate}), and see "
                    "that the features are those of a trained encoder."
                )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if config.clip_norm:
                torch.nn.utils.clip_grad_norm_(actor.parameters(), config.clip_norm)
            optimizer.step()
            total, labels = total + loss.item() * len(y), labels + len(y)
            advance(len(items))
        return total / labels

    def score(self, record: Record) -> Scores:
        """(n_labels,) predicted relevance, around 0 (low) to 2 (high)."""
        if self.actor is None:
            raise ValueError("the ranker was neither trained nor loaded")
        with reproducible(self.config.device, self.config.threads):
            return predict(self.actor, [record], self.config.device)

    def save(self, folder: Path) -> None:
        """Write weights (safetensors), dimensions, training options and metrics."""
        if self.actor is None:
            raise ValueError("the ranker was neither trained nor loaded")
        folder.mkdir(parents=True, exist_ok=True)
        weights = {k: v.contiguous().cpu() for k, v in self.actor.state_dict().items()}
        write_bytes(folder / _WEIGHTS, safetensors.torch.save(weights))
        write_json(folder / _ACTOR, asdict(self.actor.config))
        write_json(folder / _TRAINING, asdict(self.config))
        lines = [json.dumps(entry, sort_keys=True) + "\n" for entry in self.metrics]
        write_bytes(folder / _METRICS, "".join(lines).encode())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The ranker that was saved in `folder`. Raises UserError where it is damaged."""
        try:
            ranker = cls(BaseConfig(**json.loads((folder / _TRAINING).read_bytes())))
            lines = (folder / _METRICS).read_text(encoding="utf-8").splitlines()
            ranker.metrics = [json.loads(line) for line in lines]
        except (OSError, ValueError, TypeError) as error:
            raise UserError(
                f"{folder}: not a trained ranker ({error}). Delete it and train again."
            ) from None
        ranker.actor = load_actor(folder).to(ranker.config.device)
        return ranker


def load_actor(folder: Path) -> Actor:
    """The actor in a folder, in evaluation mode, every weight in its place.

    Raises:
        UserError: a file is missing or damaged, or weights are missing, unknown or misshapen.
    """
    try:
        raw = json.loads((folder / _ACTOR).read_bytes())
        actor = Actor(ActorConfig(**{f.name: raw[f.name] for f in fields(ActorConfig)}))
        actor.load_state_dict(safetensors.torch.load_file(folder / _WEIGHTS), strict=True)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RuntimeError,
        safetensors.SafetensorError,
    ) as e:
        reason = (str(e).splitlines() or [type(e).__name__])[0]
        raise UserError(
            f"{folder}: not the files of a trained actor ({reason}). Delete it and train again."
        ) from None
    return actor.eval()


def predict(actor: Actor, records: Sequence[Record], device: str) -> Scores:
    """Scores of all labels of some records, one record after the other."""
    actor.eval()
    with torch.inference_mode():
        scores: Scores = actor(collate(records).to(device)).double().cpu().numpy()
    return scores


def dev_ndcg(actor: Actor, dev: Sequence[Graded], config: BaseConfig) -> float:
    """Mean NDCG@20 over the records that have a relevant label.

    Raises:
        UserError: there is none.
    """
    scores = [
        predict(actor, [item.record for item in dev[i : i + config.batch_size]], config.device)
        for i in range(0, len(dev), config.batch_size)
    ]
    grades = np.concatenate([item.grades for item in dev])
    offsets = np.cumsum([0, *(len(item.grades) for item in dev)])
    if not (grades > 0).any():
        raise UserError("target_dev: no record has a label above low, so no epoch can be chosen.")
    values = ndcg(np.concatenate(scores), grades, offsets, [SELECT_AT], empty="skip")
    return float(np.nanmean(values))


def learning_rate(config: BaseConfig, step: int, steps: int) -> float:
    """The learning rate of a step, from 0: a linear rise, then constant or half a cosine to 0."""
    rising = config.warmup * steps
    if step + 1 < rising:
        return config.learning_rate * (step + 1) / rising
    if config.schedule == "constant":
        return config.learning_rate
    passed = (step - rising) / max(steps - rising, 1)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(max(passed, 0.0), 1.0)))


@contextlib.contextmanager
def reproducible(device: str, threads: int) -> Iterator[None]:
    """Torch made deterministic; its settings and generator are given back as they were."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else CUDA refuses
    before, cores = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(range(torch.cuda.device_count()) if device != "cpu" else []):
            yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.set_num_threads(cores)


def _seed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> 1)


def _fingerprint(data: TrainingData) -> str:
    """What the training data is, but for the features."""
    return sha256_of(
        [
            [item.record.clip_id, item.record.labels, item.grades.tolist()]
            for item in (*data.graded, *data.dev)
        ]
    )


def _save_state(path: Path, state: dict[str, Any]) -> None:
    with atomic_open(path) as file:
        torch.save(state, file)


def _resume(path: Path, made_from: str) -> dict[str, Any] | None:
    """The state of a killed run of the same training, or None."""
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except Exception as error:  # torch names a dozen kinds of damage
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: damaged ({reason}). Delete it and train again.") from None
    return state if state.get("made_from") == made_from else None
