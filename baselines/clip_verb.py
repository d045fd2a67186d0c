"""`lrmovienet train clip`: zero-shot ranking by CLIP, SigLIP or SigLIP 2."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from baselines.prepare import prepare
from baselines.train import Job, TrainConfig, name_of, say, train
from lrmovienet.errors import UserError


@dataclass(frozen=True)
class TrainClip(TrainConfig):
    """Options of `lrmovienet train clip`."""

    checkpoint: Path | None = None
    """Folder of a CLIP, SigLIP or SigLIP 2 checkpoint in the Hugging Face layout. Needed."""
    prompt: str = "There is a {label} in the scene"
    """What is asked of a label; {label} stands for it."""
    channel: Literal["v", "t", "vt"] = "v"
    """What labels are compared with: v the frames, t the description's sentences, vt both (the
    mean of the z-scores of either)."""
    pooling: Literal["mean", "max", "top-k", "query", "softmax"] = "mean"
    """How the scores of a clip's frames become one."""
    top_k: int = 3
    """Frames that count in --pooling top-k, the best of each label."""
    temperature: float | None = None
    """Of --pooling query (default 0.1) and softmax (default: the checkpoint's own)."""
    sentences: Literal["max", "mean"] = "max"
    """How the scores of a description's sentences become one."""
    max_frames: int = 16
    """Most keyframes a clip, evenly spread over it."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where the checkpoint is tried on one record; `predict --device` says where it scores."""


def run(config: TrainClip) -> None:
    """Write the ranker down, or say that it is there.

    Raises:
        UserError: a table or the checkpoint is missing, or an option is wrong.
    """
    from baselines.clip import ClipOptions, ClipRanker
    from lrmovienet.encoders import require_device

    if config.checkpoint is None:
        raise UserError(
            "--checkpoint FOLDER is needed: a CLIP, SigLIP or SigLIP 2 checkpoint on this machine "
            "(config.json, *.safetensors, tokenizer and preprocessor_config.json). Nothing is "
            "downloaded."
        )
    unusual = [v for v, usual in ((config.channel, "v"), (config.pooling, "mean")) if v != usual]
    name = name_of(config, "clip", *unusual)
    options = ClipOptions(
        str(config.checkpoint.resolve()), config.prompt, config.channel, config.pooling,
        config.top_k, config.temperature, config.sentences, config.max_frames,
    )  # fmt: skip
    require_device(config.device)
    ranker = ClipRanker(options, config.device)
    made_of = {**asdict(options), "sha256": ranker.encoder.identity["sha256"]}
    say(train(prepare(config), Job("clip", name, "R0", lambda: ranker, made_of)))
