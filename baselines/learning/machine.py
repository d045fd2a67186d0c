"""What every training of a network is told beside its method: its optimizer and its machine.

"Code" is the released code of LR²PPO.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Optimisation:
    """AdamW and its learning rate."""

    learning_rate: float = 1e-3
    """At its highest."""
    schedule: Literal["constant", "cosine", "linear"] = "cosine"
    """After the warm-up: as it is, or half a cosine or a line down to 0. Code: linear."""
    warmup: float = 0.1
    """Share of the planned steps in which the learning rate rises from 0. Code: 0.1."""
    horizon: float = 1.0
    """Planned steps for each that is run. Code: 4 in stages 1 and 2 (the steps of four processes
    planned, those of one run), 828 in stage 3 (minibatches planned, updates counted)."""
    weight_decay: float = 0.01
    """Of AdamW, not on biases. Code: 0.01, also on the weights of norms."""
    eps: float = 1e-8
    """Of AdamW. Code: 1e-6."""
    bias_correction: bool = True
    """Of AdamW's moments. Code: none, so that the first steps are three to six times larger."""
    clip_norm: float = 1.0
    """Largest norm of a gradient; 0 for no limit. Code: no limit."""


@dataclass(frozen=True)
class Machine:
    """What a training runs on. Of these only the seed is meant to change its result."""

    seed: int = 0
    """Of the initial weights, all orders and draws, and dropout."""
    device: str = "cpu"
    """cpu or cuda. The same seed gives the same bytes on one device, not across devices."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of the trunk and the blocks; score heads and losses are in fp32 always."""
    threads: int = 1
    """CPU threads of a step. Another number can change the last bits, so it is not left to the
    machine; one is enough for a small network, and no slower where other work is done beside it."""
    compile: bool = False
    """Compile the trunk (torch.compile); worth it on a GPU and for long runs."""
    records_at_once: int = 0
    """Clips a forward pass; a step's gradient is summed over as many as it takes. 0: the step's."""
    workers: int = 0
    """Processes that read features ahead in stages 1 and 2; 0: none."""


def options_of(stage: Any) -> dict[str, Any]:
    """All of a stage's config that can change a bit of the ranker: not who reads features ahead."""
    options = asdict(stage)
    del options["machine"]["workers"]
    return options
