"""`lrmovienet upstream checkpoint`: a checkpoint of the official code as a network of ours."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console


@dataclass(frozen=True)
class CheckpointConfig:
    """Options of `lrmovienet upstream checkpoint`."""

    checkpoint: Path = Path("checkpoint.bin")
    """File that the official pointwise.py or ppo.py wrote."""
    out: Path = Path("official")
    """Folder for the actor in it, as `Actor.from_pretrained` reads it; one made before is
    replaced."""
    text_tokens: int = 196
    """Positions of a text in its training, the official --seq_length."""
    frames: int = 16
    """Frames of a clip in its training, the official --max_imgs."""


def run(config: CheckpointConfig) -> None:
    """Write the actor of a checkpoint into a folder.

    Raises:
        UserError: the file is damaged or holds something else, its sizes are not those given, or
            the folder holds other files.
    """
    from baselines.lr2ppo.upstream import import_checkpoint

    made = import_checkpoint(config.checkpoint, config.out, config.text_tokens, config.frames)
    heads = "a number" if made.outputs == 1 else f"{made.outputs} classes"
    Console().print(
        f"{config.out}: an actor of {made.text_dim} and {made.frame_dim} to {heads} a label",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip
