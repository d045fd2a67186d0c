"""A trained network on disk: weights, dimensions, options and metrics, each in a file of its own.

``model.safetensors`` and ``config.json`` are what `from_pretrained` of the Hub's mixin reads.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

import safetensors.torch
import torch
from torch import nn

from baselines.data import TrainingData
from baselines.learning.loop import METRICS, write_metrics
from baselines.learning.machine import options_of
from lrmovienet.errors import UserError
from lrmovienet.files import sha256_of, write_bytes, write_json

C = TypeVar("C")
M = TypeVar("M", bound=nn.Module)
_WEIGHTS, _NETWORK, _TRAINING = "model.safetensors", "config.json", "training.json"


def save_model(folder: Path, model: Any, training: Any, metrics: Iterable[dict[str, Any]]) -> None:
    """Write a network, its `config` (a dataclass), the options of its training and its metrics."""
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / _WEIGHTS, _bytes(model))
    write_json(folder / _NETWORK, asdict(model.config))
    write_json(folder / _TRAINING, options_of(training))
    write_metrics(folder / METRICS, list(metrics))


def read_training(folder: Path, kind: type[C]) -> tuple[C, list[dict[str, Any]]]:
    """The options and metrics of a trained network.

    Its device is the CPU, wherever it was trained: the machine that loads it may have no GPU.

    Raises:
        UserError: a file is missing or damaged.
    """
    try:
        raw = json.loads((folder / _TRAINING).read_bytes())
        config = from_dict(kind, {**raw, "machine": {**raw["machine"], "device": "cpu"}})
        lines = (folder / METRICS).read_text(encoding="utf-8").splitlines()
        return config, [json.loads(line) for line in lines]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{folder}: not a trained ranker ({error}). Delete it and train again."
        ) from None


def load_model(folder: Path, kind: type[M]) -> M:
    """The network in a folder, in evaluation mode, every weight in its place.

    `kind` is made of one argument, of the dataclass that is its `config_class`.

    Raises:
        UserError: a file is missing or damaged, or weights are missing, unknown or misshapen.
    """

    def build(raw: dict[str, Any]) -> M:
        network = cast(Any, kind).config_class
        return kind(network(**{f.name: raw[f.name] for f in fields(network)}))

    return load_network(folder, build)


def load_network(folder: Path, build: Callable[[dict[str, Any]], M]) -> M:
    """As `load_model`, where `build` makes the network from the content of ``config.json``."""
    try:
        raw = json.loads((folder / _NETWORK).read_bytes())
        with torch.device("meta"):  # no random weights that would be thrown away
            model = build(raw)
        # Copied: in the file weights lie at any address, and the last bits of a product hang on it.
        stored = safetensors.torch.load_file(folder / _WEIGHTS)
        weights = {name: weight.clone() for name, weight in stored.items()}
        model.load_state_dict(weights, strict=True, assign=True)
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
            f"{folder}: not the files of a trained network ({reason}). Delete it and train again."
        ) from None
    return model.eval()


def placed(ranker: Any, device: str) -> None:
    """Move a loaded ranker's network to a device, on which it scores from then on.

    A ranker without a `config` has no network; it stays on the CPU.
    """
    if not hasattr(ranker, "config"):
        return
    ranker.config = replace(ranker.config, machine=replace(ranker.config.machine, device=device))
    for name in ("actor", "model"):
        network = getattr(ranker, name, None)
        if network is not None:
            network.to(device)


def from_dict(kind: type[C], raw: dict[str, Any]) -> C:
    """A dataclass, and the dataclasses within it, from what `asdict` made of it."""
    hints = get_type_hints(kind)
    values = {
        name: from_dict(hints[name], value) if is_dataclass(hints[name]) else value
        for name, value in raw.items()
    }
    return kind(**values)


def fingerprint(data: TrainingData) -> str:
    """What the training data is, but for the features."""
    return sha256_of(
        [
            [[i.record.clip_id, i.record.labels, i.grades.tolist()] for i in data.graded],
            [[i.record.clip_id, i.record.labels, i.grades.tolist()] for i in data.dev],
            [[i.record.clip_id, i.record.labels, i.pairs.tolist()] for i in data.pairs],
            [[record.clip_id, record.labels] for record in data.unlabelled],
        ]
    )


def weights_digest(model: nn.Module) -> str:
    """A hash over a network's weights."""
    return hashlib.sha256(_bytes(model)).hexdigest()


def _bytes(model: nn.Module) -> bytes:
    weights = {name: tensor.contiguous().cpu() for name, tensor in model.state_dict().items()}
    data: bytes = safetensors.torch.save(weights)
    return data
