"""Training by several processes, started by torchrun: each takes a share of every step.

Gradients are summed over all of them before each step, so that all hold one and the same model;
the released code trained four that never met.
"""

import datetime
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # rankers without a network train without torch
    from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """Which of how many processes this is."""

    rank: int = 0
    size: int = 1

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's part of a step: every `size`-th item."""
        return items[self.rank :: self.size]

    def sum_gradients(self, parameters: "Iterable[Tensor]") -> None:
        """Add up the gradients of all processes. A share without items counts as zeros."""
        if self.size == 1:
            return
        import torch
        import torch.distributed as dist

        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)

    def gather(self, items: Sequence[T]) -> list[list[T]]:
        """What every process has, by rank."""
        if self.size == 1:
            return [list(items)]
        import torch.distributed as dist

        found: list[list[T]] = [[] for _ in range(self.size)]
        dist.all_gather_object(found, list(items))
        return found

    def sum_of(self, sums: dict[str, float]) -> dict[str, float]:
        """Named sums over all processes."""
        found: dict[str, float] = {}
        for share in self.gather(sorted(sums.items())):
            for name, value in share:
                found[name] = found.get(name, 0.0) + value
        return found

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            import torch.distributed as dist

            dist.barrier()


def join(device: str) -> World:
    """The world that torchrun made, or a world of one process.

    With device cuda, each process takes the GPU of its local rank.
    """
    if "WORLD_SIZE" not in os.environ or "RANK" not in os.environ:
        return World()
    import torch
    import torch.distributed as dist

    if not dist.is_initialized():
        if device == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        # One process may prepare a whole release while the others wait.
        patience = datetime.timedelta(hours=6)
        dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=patience)
    return World(dist.get_rank(), dist.get_world_size())
