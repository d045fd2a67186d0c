"""What every verb's options begin with."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class VerbConfig:
    """Options that every verb has."""

    workspace: Path = Path("workspace")
    """Folder of the tables; made where it does not exist."""


@dataclass(frozen=True)
class StageConfig(VerbConfig):
    """Options of verbs that run a stage over shards."""

    shard_size: int = 64
    """Items (films, clips) a part of the table; a killed run loses at most the parts under way."""
    processes: int = 1
    """Worker processes. The result is the same for any number."""
    fail_fast: bool = False
    """Stop at the first item that fails, instead of keeping it in the dropped rows."""
