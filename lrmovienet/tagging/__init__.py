"""`lrmovienet tag`: keyframes -> image labels."""

from dataclasses import dataclass
from typing import Literal

from rich.console import Console

from lrmovienet.config import StageConfig
from lrmovienet.errors import UserError
from lrmovienet.runner import split
from lrmovienet.runner.local import Job, run_table
from lrmovienet.workspace import Workspace


@dataclass(frozen=True)
class TagConfig(StageConfig):
    """Options of `lrmovienet tag`."""

    tagger: Literal["imagenet"] = "imagenet"
    """What names the things in a frame: the packaged ImageNet classifier, 1000 classes."""
    floor: float = 0.02
    """Lowest probability of a label, in its best frame. Keep it low: `merge` has its own threshold,
    which can be changed without tagging again."""
    top: int = 20
    """Most labels a clip."""


def run(config: TagConfig) -> None:
    """Make the table image_labels.

    Raises:
        UserError: there are no clips yet, an option is out of range, or the model's package is
            not installed.
    """
    if not 0 < config.floor <= 1:
        raise UserError(f"--floor {config.floor}: give a probability above 0, up to 1.")
    if config.top < 1:
        raise UserError(f"--top {config.top}: give the most labels a clip, 1 or more.")
    from lrmovienet.keyframes import frames_root
    from lrmovienet.tagging.imagenet import TAGGER, ImageNetTagger, weights_sha256

    workspace = Workspace(config.workspace)
    clips = workspace.require("clips")
    weights = weights_sha256()
    rows = workspace.read("clips", ["clip_id", "keyframes"]).to_pydict()
    job = Job(
        table="image_labels",
        stage=ImageNetTagger(frames_root(workspace), config.floor, config.top, weights),
        shards=split(rows, config.shard_size),
        item="clip_id",
        inputs={"clips": clips.digest},
        config={"tagger": config.tagger, "floor": config.floor, "top": config.top},
        models={TAGGER: weights},
        processes=config.processes,
        fail_fast=config.fail_fast,
    )
    Console().print(str(run_table(workspace, job)))
