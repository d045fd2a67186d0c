"""One step of training: gradients in, weights changed, the learning rate on its schedule."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from baselines.learning.machine import Optimisation
from baselines.learning.parallel import World
from lrmovienet.errors import Diverged

_UNCORRECTED = 1e9
"""A step at which AdamW's bias corrections are 1."""


class Learner:
    """A network with its optimizer and schedule: gradients in, steps out."""

    def __init__(
        self, model: nn.Module, optimisation: Optimisation, steps: int, world: World, stage: str
    ) -> None:
        self.model, self.config, self.steps = model, optimisation, steps
        self.world, self.stage = world, stage
        self.step = 0
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        self.parameters = [p for _, p in named]
        decayed = [p for name, p in named if not name.endswith("bias")]
        others = [p for name, p in named if name.endswith("bias")]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": optimisation.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=optimisation.learning_rate, eps=optimisation.eps, fused=True,
        )  # fmt: skip
        if not optimisation.bias_correction:
            for parameter in (*decayed, *others):
                self.optimizer.state[parameter] = {
                    "step": torch.tensor(_UNCORRECTED, device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return learning_rate(self.config, self.step, self.steps)

    def update(self, losses: Iterable[Tensor]) -> float:
        """One step down the sum of `losses`, each of which is let go before the next is made.

        Every loss is already divided by what the step has of all processes. Returns their sum in
        this process.

        Raises:
            Diverged: a loss or a gradient is not finite.
        """
        self.optimizer.zero_grad()
        total = 0.0
        for loss in losses:
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        self.world.sum_gradients(self.parameters)
        limit = self.config.clip_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, limit)
        if not (math.isfinite(total) and math.isfinite(norm.item())):
            raise Diverged(
                f"{self.stage}: the loss is {total} and its gradient's norm {norm.item()} in step "
                f"{self.step + 1} of {self.steps}. Try a lower --learning_rate (now "
                f"{self.rate:.3g}), "
                "--precision fp32, and see that the features are those of a trained encoder."
            )
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
        self.optimizer.step()
        self.step += 1
        return total

    def state(self) -> dict[str, Any]:
        """What `restore` needs."""
        return {
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]


def learning_rate(config: Optimisation, step: int, steps: int) -> float:
    """The learning rate of a step, from 0: a linear rise, then constant, cosine or linear.

    `steps` are run; ``config.horizon`` times as many are planned.
    """
    planned = config.horizon * steps
    rising = config.warmup * planned
    if step + 1 < rising:
        return config.learning_rate * (step + 1) / rising
    passed = min(max((step - rising) / max(planned - rising, 1), 0.0), 1.0)
    if config.schedule == "cosine":
        return config.learning_rate * 0.5 * (1 + math.cos(math.pi * passed))
    return config.learning_rate * (1 - passed if config.schedule == "linear" else 1)
