"""What the verbs of LR²PPO share: the machine's options, and what stands instead of a preset's."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from baselines.data import Regime
from baselines.prepare import Ready, prepare
from baselines.train import TrainConfig, require_seed
from lrmovienet.errors import UserError
from lrmovienet.schema import PAIR_PERCENTS
from lrmovienet.torchrun import is_first

if TYPE_CHECKING:
    from baselines.learning.machine import Machine
    from baselines.lr2ppo.presets import Preset

C = TypeVar("C")
R = TypeVar("R", bound="Watched")


class Watched(Protocol):
    """A ranker that tells what it measures."""

    watch: "Callable[[dict[str, Any]], None] | None"


PresetName = Literal["recommended", "paper", "released"]


@dataclass(frozen=True)
class MachineOptions(TrainConfig):
    """Where and how a network is trained, and on which features."""

    features: Path | None = None
    """Folder of a feature store. Default: the workspace's own."""
    seed: int = 0
    """Seed of everything random in training; 0 or more."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where the network is trained; under torchrun, each process takes a GPU of its own."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Numbers of the large layers; score heads and losses are in fp32 always."""
    threads: int = 1
    """CPU threads of a step. Another number can change the last bits."""
    compile: bool = False
    """Compile the network first (torch.compile): minutes, worth it for long runs on a GPU."""
    records_at_once: int = 0
    """Clips a forward pass, to save memory; gradients are summed. 0: all of a step."""
    workers: int = 0
    """Processes that read features ahead in stages 1 and 2; 0 for none."""
    tensorboard: bool = False
    """Also write what is measured to <workspace>/tensorboard/, for TensorBoard."""


def machine_of(config: MachineOptions) -> "Machine":
    """The options as the trainers take them.

    Raises:
        UserError: the device is not there, or a number is out of bounds.
    """
    from baselines.learning.machine import Machine
    from lrmovienet.encoders import require_device

    require_seed(config.seed)
    for name, least in (("threads", 1), ("records_at_once", 0), ("workers", 0)):
        if not least <= getattr(config, name) <= 4096:
            raise UserError(f"--{name} {getattr(config, name)}: give {least} to 4096.")
    require_device(config.device)
    names = [field.name for field in fields(Machine)]
    return Machine(**{name: getattr(config, name) for name in names})


def ready(config: MachineOptions, regime: Regime, percent: int = 0) -> Ready:
    """The workspace, with all that a network of this regime is trained on.

    Raises:
        UserError: a table, features or pairs are missing.
    """
    return prepare(config, regime, percent, config.features, config.device)


def preset_of(name: str) -> "Preset":
    """A preset by its name."""
    from baselines.lr2ppo.presets import PRESETS

    return PRESETS[name]


def require_percent(percent: int) -> None:
    """Refuse a share that is no subset of the pairs, with a UserError."""
    shares = (0, *PAIR_PERCENTS)
    if percent not in shares:
        listed = ", ".join(map(str, shares[:-1]))
        raise UserError(f"--percent {percent}: give {listed} or {shares[-1]}.")


def percent_in(regime: str, percent: int) -> int:
    """The share of the target's pairs that a ranker with the regimes R0 and R1 learns from.

    Raises:
        UserError: it is no subset, or there would be none in R1.
    """
    require_percent(percent)
    if regime == "R0":
        return 0
    if not percent:
        raise UserError("--percent 0: with --regime R1 give 5, 10, 20 or 40; or use --regime R0.")
    return percent


def with_options(stage: C, options: object, machine: "Machine") -> C:
    """A stage's config, with the options that were given in the place of the preset's.

    An option that is None was not given. Those of the learning rate belong to the optimisation,
    those of steps to how pairs are drawn, the others to the stage itself.

    Raises:
        UserError: a number is out of bounds.
    """
    changes: dict[str, Any] = {"machine": machine}
    parts = {
        name: getattr(stage, name) for name in ("optimisation", "pairs") if hasattr(stage, name)
    }
    for field in fields(options):  # type: ignore[arg-type]
        value = getattr(options, field.name)
        if value is None:
            continue
        if field.name in BOUNDS:
            _require(field.name, value)
        owner = next((name for name, part in parts.items() if hasattr(part, field.name)), None)
        if owner is not None:
            parts[owner] = replace(parts[owner], **{field.name: value})
        elif hasattr(stage, field.name):
            changes[field.name] = value
    return replace(stage, **changes, **parts)  # type: ignore[type-var]


MOST = 10**9
"""Of whatever is counted."""
ABOVE_ZERO = {"learning_rate", "beta", "pool_share", "temperature"}
BOUNDS = {
    "learning_rate": (0, math.inf), "beta": (0, math.inf), "epochs": (1, MOST),
    "records_a_step": (1, MOST), "pairs_a_step": (1, MOST), "source_pairs": (0, MOST),
    "margin": (0, math.inf), "iterations": (1, MOST), "clips_an_iteration": (0, MOST),
    "pairs_a_clip": (0, MOST), "pool_share": (0, 1), "passes": (1, MOST),
    "timesteps": (1, MOST), "gamma": (0, 1), "delta": (-math.inf, math.inf),
    "clip": (0, math.inf), "c1": (0, math.inf), "c2": (0, math.inf), "c3": (0, math.inf),
    "value_clip": (0, math.inf), "annotated_weight": (0, math.inf),
    "evaluate_every": (1, MOST), "lists_a_step": (1, MOST), "weight_decay": (0, math.inf),
    "pair_weight": (0, math.inf),
    "clips_a_step": (1, MOST), "samples": (2, MOST), "temperature": (0, math.inf),
    "label_smoothing": (0, 0.49), "kl_weight": (0, math.inf),
}  # fmt: skip
"""The least and the most that each number may be. None may be infinite."""


def _require(name: str, value: float) -> None:
    least, most = BOUNDS[name]
    if not math.isfinite(value) or not least <= value <= most or (
        value == 0 and name in ABOVE_ZERO
    ):  # fmt: skip
        wanted = f"{least:g} or more" if math.isfinite(least) else "a finite number"
        if name in ABOVE_ZERO:
            wanted = "a number above 0"
        if math.isfinite(most):
            wanted += f", {most:g} at most"
        raise UserError(f"--{name} {value}: give {wanted}.")


def require_tensorboard(config: MachineOptions) -> None:
    """Fail now where ``--tensorboard`` is asked for and not installed, not after a training.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    if config.tensorboard:
        from torch.utils.tensorboard import SummaryWriter  # noqa: F401


def events_of(config: MachineOptions, name: str) -> Path | None:
    """The folder of a ranker's events for TensorBoard; None where none are asked for."""
    return config.workspace / "tensorboard" / name if config.tensorboard else None


def watched(ranker: R, events: Path | None) -> R:
    """The ranker, told to write what it measures into a folder, for TensorBoard; None for none."""
    if events is not None and is_first():
        from torch.utils.tensorboard import SummaryWriter

        writer = SummaryWriter(events)

        def note(entry: dict[str, Any]) -> None:
            step = entry.get("iteration", entry["step"])
            for key, value in entry.items():
                if isinstance(value, float):
                    writer.add_scalar(key, value, step)
            writer.flush()

        ranker.watch = note
    return ranker
