"""Checkpoints of the official LR2PPO code, and the same numbers as networks of ours.

A checkpoint is a flat dict of tensors by `torch.save`. Stage 1 saves an actor, stage 2 a reward
model, stage 3 an actor and a critic in one dict, behind ``actor.`` and ``critic.``. The tables
below are all that differs between its names and ours; sizes are read from the tensors.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal, overload

import torch
from torch import Tensor

from baselines.lr2ppo.model import RELEASED_NETWORK, Actor, NetworkConfig, PairModel
from baselines.lr2ppo.tensors import read_tensors
from lrmovienet.errors import UserError, shorten
from lrmovienet.files import atomic_open
from lrmovienet.folders import replacing

Kind = Literal["actor", "reward", "critic"]

_HEADS = RELEASED_NETWORK.heads
"""Of the attention. The one size that no tensor tells."""
_FREE = {"frames", "dropout", "head_dropout", "outputs"}
"""Options of the official code, or of training alone."""
_CALLED = {"actor": "an actor", "reward": "a reward model", "critic": "a critic"}
_WRITTEN = {"README.md", "config.json", "model.safetensors"}
"""What `save_pretrained` writes."""
_ADVICE = (
    "Give a file that the official pointwise.py, reward_pair_dataloader.py or ppo.py wrote (those "
    "of …_trad.py are other networks)."
)

_BLOCK = {
    "norm_x": "0.0.0.fn.0.ln_x",
    "norm_y": "0.0.0.fn.0.ln_y",
    "attention.query": "0.0.0.fn.1.queries",
    "attention.key": "0.0.0.fn.1.keys",
    "attention.value": "0.0.0.fn.1.values",
    "attention.out": "0.0.0.fn.1.projection",
    "norm_hidden": "0.0.1.fn.0",
    "feed_forward.hidden": "0.0.1.fn.1.0",
    "feed_forward.out": "0.0.1.fn.1.3",
    "norm": "1.0",
}
_NAMES = {
    "trunk.text_mlp.hidden": "text_proj.fc1",
    "trunk.text_mlp.out": "text_proj.fc2",
    "trunk.frame_mlp.hidden": "img_proj.fc1",
    "trunk.frame_mlp.out": "img_proj.fc2",
    **{f"trunk.fusion.{ours}": f"xit.{theirs}" for ours, theirs in _BLOCK.items()},
    "trunk.out.hidden": "out_layer.fc1",
    "trunk.out.out": "out_layer.fc2",
    "positions": "pos_emb",
    **{f"block.{ours}": f"xitt.{theirs}" for ours, theirs in _BLOCK.items()},
    "head": "head",
}
"""Layers of ours -> theirs; each has a weight, and but for the embedding a bias."""


@overload
def load_official(
    path: Path, kind: Literal["actor"], text_tokens: int = 196, frames: int = 16
) -> Actor: ...
@overload
def load_official(
    path: Path, kind: Literal["reward", "critic"], text_tokens: int = 196, frames: int = 16
) -> PairModel: ...
def load_official(
    path: Path, kind: Kind, text_tokens: int = 196, frames: int = 16
) -> Actor | PairModel:
    """A network of an official checkpoint, in single precision and evaluation mode.

    Its tensors stay where they are, mapped from the file, and no second copy is made; the file
    must not be written to while the network is in use (it may be replaced or deleted).

    Args:
        path: the checkpoint; names may stand behind ``module.``, as DistributedDataParallel has it.
        kind: the network wanted: of stages 1 and 3 the actor, of 2 the reward model, of 3 the
            critic.
        text_tokens: positions of a text, the official ``--seq_length``.
        frames: frames of a clip, the official ``--max_imgs``. Only the sum of both can be checked.

    Raises:
        UserError: the file is damaged, holds other things than tensors or another kind of network,
            or a tensor is missing, unknown, misshapen or not finite; the first one is named.
    """
    tensors = _part(path, read_tensors(path), kind)
    config = _config(path, tensors, kind, text_tokens, frames)
    with torch.device("meta"):  # takes no memory: the checkpoint's tensors take these places
        model = Actor(config) if kind == "actor" else PairModel(config)
    _check(path, tensors, official_names(model))
    weights = {name: tensors[_official(name)].float() for name in model.state_dict()}
    for name, tensor in weights.items():
        if not all(bound.isfinite() for bound in tensor.aminmax()):  # no mask of the tensor's size
            raise UserError(
                f"{path}: {_official(name)} has numbers that are not finite in single precision, "
                "so its training failed. Give another checkpoint."
            )
    model.load_state_dict(weights, strict=True, assign=True)
    return model.eval()


def import_checkpoint(
    path: Path, folder: Path, text_tokens: int = 196, frames: int = 16
) -> NetworkConfig:
    """Write the actor of an official checkpoint as `Actor.from_pretrained` reads it.

    The folder appears whole or not at all. One that this wrote before is replaced.

    Args:
        path: the checkpoint, of stage 1 or 3.
        folder: gets model.safetensors, config.json and README.md.
        text_tokens: as for `load_official`.
        frames: as for `load_official`.

    Returns:
        The dimensions of the network.

    Raises:
        UserError: as `load_official` and `replacing`, or `folder` holds other files.
    """
    actor = load_official(path, "actor", text_tokens, frames)
    needed = sum(tensor.nbytes for tensor in actor.state_dict().values())
    with replacing(folder, needed, _refuse_others) as beside:
        actor.save_pretrained(beside)
        for written in beside.iterdir():
            with written.open("rb") as file:
                os.fsync(file.fileno())
    return actor.config


def save_official(
    model: Actor | PairModel,
    path: Path,
    critic: PairModel | None = None,
    any_dimension: bool = False,
) -> None:
    """Write a checkpoint that the official code loads, whole or not at all.

    An actor alone is what its stage 3 starts from, a reward model likewise; its evaluation
    (``ppo_eval.py``) wants an actor and a critic.

    Args:
        model: an actor, a reward model or a critic, with the released code's choices.
        path: of the file.
        critic: written beside the actor, as stage 3 does.
        any_dimension: write sizes too that the official code, as it stands, cannot load.

    Raises:
        UserError: the official networks cannot compute what one of the networks computes, or have
            not its sizes.
    """
    for network in (model, critic):
        if network is not None:
            _refuse_unlike(path, network, any_dimension)
    tensors = official_names(model)
    if critic is not None:
        if not isinstance(model, Actor):
            raise ValueError("a critic stands beside an actor, not beside a reward model")
        tensors = {f"actor.{name}": tensor for name, tensor in tensors.items()} | {
            f"critic.{name}": tensor for name, tensor in official_names(critic).items()
        }
    with atomic_open(path) as file:
        torch.save({name: tensor.cpu() for name, tensor in tensors.items()}, file)


def official_names(model: Actor | PairModel) -> dict[str, Tensor]:
    """A network's tensors, not copied, by the names that the official code has for them.

    Raises:
        KeyError: a layer that the official networks have not.
    """
    return {_official(name): tensor for name, tensor in model.state_dict().items()}


def _official(name: str) -> str:
    layer, _, parameter = name.rpartition(".")
    return f"{_NAMES[layer]}.{parameter}"


def _part(path: Path, tensors: dict[str, Tensor], kind: Kind) -> dict[str, Tensor]:
    """The tensors of one network, by the names that the official code has for them."""
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    if {name.partition(".")[0] for name in tensors} == {"actor", "critic"}:
        if kind == "reward":
            raise UserError(
                f"{path}: this is a checkpoint of stage 3, an actor and a critic. Give the one of "
                "stage 2, or ask for one of these."
            )
        start = f"{kind}."
        return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
    is_pair_model = any(name.startswith(("pos_emb.", "xitt.")) for name in tensors)
    if is_pair_model and kind != "reward":
        raise UserError(
            f"{path}: this is a reward model (it has pos_emb and xitt), not {_CALLED[kind]}. Give "
            f"the checkpoint of stage {'1 or 3' if kind == 'actor' else '3'}."
        )
    if not is_pair_model and kind != "actor" and "text_proj.fc1.weight" in tensors:
        raise UserError(
            f"{path}: this is an actor (it has neither pos_emb nor xitt), not {_CALLED[kind]}. "
            f"Give the checkpoint of stage {'2' if kind == 'reward' else '3'}."
        )
    return tensors


def _config(
    path: Path, tensors: Mapping[str, Tensor], kind: Kind, text_tokens: int, frames: int
) -> NetworkConfig:
    """The dimensions of a network, from its matrices."""

    def size(name: str, axis: int) -> int:
        if name not in tensors:
            raise UserError(f"{path}: {name} is missing. {_ADVICE}")
        shape = tensors[name].shape
        if len(shape) != 2 or 0 in shape:
            raise UserError(
                f"{path}: {name} has the shape {tuple(shape)}, and should be a matrix. {_ADVICE}"
            )
        return int(shape[axis])

    width = size("text_proj.fc2.weight", 0)
    if width % _HEADS:
        raise UserError(
            f"{path}: text_proj.fc2.weight makes vectors of {width} numbers, which {_HEADS} heads "
            "cannot share. The official code's have 768: give a file that it wrote."
        )
    flat = size("out_layer.fc1.weight", 1)
    if text_tokens < 1 or frames < 1 or (text_tokens + frames) * width != flat:
        raise UserError(
            f"{path}: out_layer.fc1.weight reads {flat} numbers, {flat / width:g} positions of "
            f"{width}; {text_tokens} text tokens and {frames} frames were given. Give the two "
            "numbers (--seq_length and --max_imgs) that the checkpoint was trained with."
        )
    outputs = size("head.weight", 0)
    if kind == "actor" and outputs not in (1, 3):  # --mode reg, --mode cls
        raise UserError(
            f"{path}: head.weight makes {outputs} numbers a label. Give an actor that makes 1 "
            "(regression) or 3 (a class a grade)."
        )
    hidden = size(f"xit.{_BLOCK['feed_forward.hidden']}.weight", 0)
    return replace(
        RELEASED_NETWORK,
        text_dim=size("text_proj.fc1.weight", 1),
        frame_dim=size("img_proj.fc1.weight", 1),
        width=width,
        text_hidden=size("text_proj.fc1.weight", 0),
        frame_hidden=size("img_proj.fc1.weight", 0),
        fusion_hidden=hidden,
        head_hidden=size("out_layer.fc1.weight", 0),
        pair_hidden=hidden,  # both blocks are of one class there
        text_tokens=text_tokens,
        frames=frames,
        outputs=outputs if kind == "actor" else 1,
    )


def _check(path: Path, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuse the first tensor that is missing, misshapen or unknown."""
    for name, tensor in expected.items():
        if name not in tensors:
            raise UserError(f"{path}: {name} is missing. {_ADVICE}")
        if tensors[name].shape != tensor.shape:
            raise UserError(
                f"{path}: {name} has the shape {tuple(tensors[name].shape)}, and should have "
                f"{tuple(tensor.shape)} beside the other tensors. {_ADVICE}"
            )
    for name in tensors:
        if name not in expected:
            raise UserError(f"{path}: {shorten(name)} is no tensor of this network. {_ADVICE}")


def _refuse_unlike(path: Path, network: Actor | PairModel, any_dimension: bool) -> None:
    """Refuse a network that the official classes, as they stand, are not."""
    for name, theirs in asdict(RELEASED_NETWORK).items():
        if name in _FREE or (name.startswith("pair_") and isinstance(network, Actor)):
            continue
        ours = getattr(network.config, name)
        is_size = type(theirs) is int and name != "heads"
        if ours != theirs and not (is_size and ours and any_dimension):
            raise UserError(
                f"{path}: the network has {name} {ours!r}, and the official code {theirs!r}, so it "
                "would not load there, or score otherwise. Train one with --preset released, on "
                "features of 768 numbers."
            )


def _refuse_others(folder: Path) -> None:
    others = sorted({path.name for path in folder.iterdir()} - _WRITTEN)
    if others:
        raise UserError(
            f"{folder}: holds other files ({shorten(others[0])}). Give a new or empty folder."
        )
