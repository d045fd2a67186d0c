"""One command in several processes: torchrun starts the same words once a process."""

import os


def is_first() -> bool:
    """Whether this process is the one that speaks and writes; true where there is only one."""
    return "WORLD_SIZE" not in os.environ or os.environ.get("RANK", "0") == "0"
