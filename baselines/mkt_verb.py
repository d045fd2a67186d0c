"""`lrmovienet train mkt`: MKT from its authors' checkpoints."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from baselines.prepare import prepare
from baselines.train import Job, TrainConfig, name_of, say, train
from lrmovienet.errors import UserError


@dataclass(frozen=True)
class TrainMkt(TrainConfig):
    """Options of `lrmovienet train mkt`."""

    clip: Path | None = None
    """Folder of OpenAI's CLIP ViT-B/16 in the Hugging Face layout. Needed."""
    image_tower: Path | None = None
    """The authors' checkpoint of stage 1, a .pth file. Needed."""
    text_tower: Path | None = None
    """The authors' checkpoint of stage 2, a .pth file. Needed."""
    top_k: int = 18
    """Patches that count, the best of each label: 18 in the authors' inference, 16 in training."""
    name_rows: Literal["original", "tuned"] = "original"
    """Vectors of the tokens in a label's name: CLIP's, as in the authors' training, or those of
    stage 2, as in their inference."""
    axis: Literal["clip", "vocabulary"] = "clip"
    """Labels over which scores are brought to length one: the clip's, or all of training too."""
    normalise: Literal["imagenet", "clip"] = "imagenet"
    """Mean and deviation of pixels; the authors have those of ImageNet."""
    max_frames: int = 16
    """Most keyframes a clip, evenly spread over it."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where the checkpoints are tried on one record; `predict --device` says where they score."""


def run(config: TrainMkt) -> None:
    """Write the ranker down, or say that it is there.

    Raises:
        UserError: a table or a checkpoint is missing, or an option is wrong.
    """
    from baselines.mkt import MktOptions, MktRanker
    from baselines.mkt_towers import WHERE
    from lrmovienet.encoders import require_device

    if config.clip is None or config.image_tower is None or config.text_tower is None:
        raise UserError(
            f"--clip FOLDER, --image_tower FILE and --text_tower FILE are needed. {WHERE}"
        )
    unusual = [
        value
        for value, usual in ((config.name_rows, "original"), (config.axis, "clip"))
        if value != usual
    ]
    name = name_of(config, "mkt", *unusual)
    options = MktOptions(
        str(config.clip.resolve()), str(config.image_tower.resolve()),
        str(config.text_tower.resolve()), config.top_k, config.name_rows, config.axis,
        config.normalise, config.max_frames,
    )  # fmt: skip
    require_device(config.device)
    made_of = {**asdict(options), "sha256": options.sha256}
    ranker = MktRanker(options, config.device)
    say(train(prepare(config), Job("mkt", name, "R0", lambda: ranker, made_of)))
