"""The three stages of LR²PPO, trained one after the other into the rankers of a workspace."""

import json
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, cast

from baselines.lr2ppo.verbs import TrainBase, TrainPPO, TrainReward
from baselines.options import (
    MachineOptions,
    PresetName,
    events_of,
    machine_of,
    preset_of,
    watched,
    with_options,
)
from baselines.prepare import Ready
from baselines.train import (
    Job,
    name_of,
    read_manifest,
    read_ranker,
    say,
    train,
    usual_name,
)
from lrmovienet.errors import UserError

if TYPE_CHECKING:
    from baselines.lr2ppo.model import Actor, PairModel
    from baselines.ranker import Ranker

APART = 1000
"""Between the seeds of the reward models of one run, so that those of neighbouring runs differ."""


def stage_of(config: Any) -> Any:
    """The config of the stage that a verb trains: its preset's, and the options that were given.

    Raises:
        UserError: an option is wrong.
    """
    part = {TrainBase: "base", TrainReward: "reward", TrainPPO: "ppo"}[type(config)]
    stage = with_options(getattr(preset_of(config.preset), part), config, machine_of(config))
    if part == "reward" and stage.start == "scratch" and config.base is not None:
        raise UserError(
            f"--base {config.base}: this stage starts from random weights; leave it out, or give "
            "--start base."
        )
    return stage


def train_base(at: Ready, config: TrainBase) -> str:
    """Stage 1. Returns the name of its ranker."""
    from baselines.learning.machine import options_of
    from baselines.lr2ppo.base import BaseRanker

    stage = stage_of(config)
    name = name_of(config, "lr2ppo-base", *unusual(config.preset))
    events = events_of(config, name)

    def make() -> "Ranker":
        return watched(BaseRanker(stage), events)

    say(train(at, Job("lr2ppo-base", name, "R0", make, options_of(stage), events=events)))
    return name


def train_reward(at: Ready, config: TrainReward) -> str:
    """Stage 2, after stage 1 where it starts from there. Returns the name of its ranker."""
    from baselines.learning.machine import options_of
    from baselines.lr2ppo.base import BaseRanker
    from baselines.lr2ppo.reward import RewardRanker

    stage = stage_of(config)
    named = _not_usual(config.base, config.seed, config.preset)
    name = name_of(config, "lr2ppo-reward", *unusual(config.preset, config.percent), *named)
    after: dict[str, str] = {}
    if stage.start == "base":
        base = given_or_own_base(at, config, name, config.preset)
        after[base] = digest_of(at, base, "lr2ppo-base", "--base")
    events = events_of(config, name)

    def make() -> "Ranker":
        bases = [cast(BaseRanker, read_ranker(at.workspace, base)[0]).actor for base in after]
        return watched(RewardRanker(stage, *bases), events)

    options = options_of(stage)
    job = Job("lr2ppo-reward", name, "R1", make, options, config.percent, after, events)
    say(train(at, job))
    return name


def train_ppo(at: Ready, config: TrainPPO) -> str:
    """Stage 3, after the two before it. Returns the name of its ranker."""
    from baselines.learning.machine import options_of
    from baselines.lr2ppo.ppo import PPORanker, require_whole_steps

    stage = stage_of(config)
    require_whole_steps(stage, at.world)
    own_network = preset_of(config.preset).reward.network
    if stage.start == "reward" and not config.reward and not own_network.pair_scores:
        raise UserError(
            f"--start reward: the reward model of the preset {config.preset} scores no single "
            "labels (pair_scores), so there is nothing to start from. Use --start base."
        )
    name = name_of(config, "lr2ppo", *unusual(config.preset, config.percent))
    base, rewards = given_or_own_stages(at, config, name, config.preset, stage.rewards)
    stage = replace(stage, rewards=len(rewards))
    after = digests_of(at, base, rewards)
    events = events_of(config, name)

    def make() -> "Ranker":
        actor, found = read_stages(at, base, rewards, config.device)
        return watched(PPORanker(stage, actor, found), events)

    job = Job("lr2ppo", name, "R2", make, options_of(stage), config.percent, after, events)
    say(train(at, job))
    return name


def given_or_own_stages(
    at: Ready, config: Any, name: str, preset: PresetName, rewards: int
) -> tuple[str, list[str]]:
    """Rankers of stages 1 and 2 to start from: those given, or else the preset's, made if need be.

    Args:
        at: where they are, or are made.
        config: options of what starts from them, with `base`, `reward` and `percent`.
        name: of what starts from them.
        preset: the preset.
        rewards: reward models to be made, where none is given.

    Raises:
        UserError: as `given_or_own_base`, for either stage; or a reward model is named twice.
    """
    if len(set(config.reward)) < len(config.reward):
        raise UserError(f"--reward {' '.join(config.reward)}: names one twice. Name each once.")
    for reward in config.reward:
        digest_of(at, reward, "lr2ppo-reward", "--reward")
    # What would be refused later is refused before stage 1 is trained.
    seeds = [] if config.reward else [config.seed + APART * i for i in range(rewards)]
    own = [_own_reward(at, config, seed, preset) for seed in seeds]
    require_another_name(name, [*config.reward, *(str(reward.name) for reward in own)])
    base = given_or_own_base(at, config, name, preset)
    return base, config.reward or [train_reward(at, reward) for reward in own]


def digests_of(at: Ready, base: str, rewards: Iterable[str]) -> dict[str, str]:
    """The digests of stages 1 and 2, by name, in the order in which they are taken."""
    found = {base: digest_of(at, base, "lr2ppo-base", "--base")}
    return found | {name: digest_of(at, name, "lr2ppo-reward", "--reward") for name in rewards}


def read_stages(
    at: Ready, base: str, rewards: Iterable[str], device: str
) -> "tuple[Actor | None, list[PairModel]]":
    """The actor of stage 1, and the reward models on the device that asks them."""
    from baselines.lr2ppo.base import BaseRanker
    from baselines.lr2ppo.reward import RewardRanker

    actor = cast(BaseRanker, read_ranker(at.workspace, base)[0]).actor
    models = [cast(RewardRanker, read_ranker(at.workspace, of, device)[0]).model for of in rewards]
    return actor, [model for model in models if model is not None]


def given_or_own_base(at: Ready, config: Any, name: str, preset: PresetName) -> str:
    """The ranker of stage 1 that ``--base`` names, or else the preset's, made if need be.

    Args:
        at: where it is, or is made.
        config: options of what starts from it.
        name: of what starts from it.
        preset: the preset.

    Raises:
        UserError: there is none of that name, it is of another kind or of features of another
            encoder, or was trained with other options than the preset's.
    """
    if config.base is not None:
        require_another_name(name, [config.base])
        digest_of(at, config.base, "lr2ppo-base", "--base")
        return str(config.base)
    own = TrainBase(preset=preset, **_shared(config), seed=config.seed)
    own = replace(own, name=usual_name(own, "lr2ppo-base", *unusual(preset)))
    require_another_name(name, [str(own.name)])
    _refuse_others(at, own, "--base", [])
    return train_base(at, own)


def _own_reward(at: Ready, config: Any, seed: int, preset: PresetName) -> TrainReward:
    """Options of stage 2 of a preset and the same data, from the same stage 1.

    Raises:
        UserError: there is another ranker of its name.
    """
    base = config.base or usual_name(config, "lr2ppo-base", *unusual(preset))
    scratch = preset_of(preset).reward.start == "scratch"
    own = TrainReward(
        preset=preset, percent=config.percent, base=None if scratch else base, seed=seed,
        **_shared(config),
    )  # fmt: skip
    # Its stage 1 is that of stage 3, and so of stage 3's seed.
    named = _not_usual(own.base, config.seed, preset)
    parts = [*unusual(preset, config.percent), *named]
    own = replace(own, name=usual_name(own, "lr2ppo-reward", *parts))
    _refuse_others(at, own, "--reward", [] if scratch else [base])
    return own


def _shared(config: MachineOptions) -> dict[str, Any]:
    """The options that a stage takes over from the one that wants it."""
    names = [f.name for f in fields(MachineOptions) if f.name not in ("data", "name", "seed")]
    return {name: getattr(config, name) for name in names}


def _refuse_others(at: Ready, own: Any, option: str, after: list[str]) -> None:
    """Leave a ranker alone that has the name of the one that is wanted, and is another.

    Raises:
        UserError: saying which of its options differ, and what to give instead.
    """
    from baselines.learning.machine import options_of

    try:
        path = at.workspace.root / "rankers" / own.name / "manifest.json"
        there = json.loads(path.read_bytes())
        other = differing(there["options"], json.loads(json.dumps(options_of(stage_of(own)))))
        if there["after"] != after:
            other.append(f"--base {' '.join(there['after']) or 'none'}")
    except (OSError, ValueError, KeyError, TypeError):  # none there, or one that is made again
        return
    if other:
        raise UserError(
            f"rankers/{own.name}: was trained with other options than it would be now "
            f"({', '.join(other)}), and is left as it is. Start from it with {option} {own.name}, "
            "or train another with the verb of its stage and a --name, or delete it."
        )


def differing(there: Any, wanted: Any, name: str = "") -> list[str]:
    """Options that are not as wanted, by name, with the value that they have."""
    if not (isinstance(there, dict) and isinstance(wanted, dict)):
        return [] if there == wanted else [f"{name} {there}"]
    found = []
    for key in sorted(there.keys() | wanted.keys()):
        found += differing(there.get(key), wanted.get(key), key)
    return found


def require_another_name(name: str, others: Iterable[str]) -> None:
    """Refuse to put a ranker in the place of one that it starts from, with a UserError."""
    if name in others:
        raise UserError(f"--name {name}: is the ranker that this one starts from. Give another.")


def digest_of(at: Ready, name: str, kind: str, option: str) -> str:
    """The digest of a ranker to start from.

    Raises:
        UserError: there is none of that name, it is of another kind, or it was trained on features
            of another encoder.
    """
    manifest = read_manifest(at.workspace, name)
    if manifest["ranker"] != kind:
        raise UserError(
            f"{option} {name}: is a ranker of {manifest['ranker']}; give one of {kind}."
        )
    if at.store is not None:
        at.store.require(manifest["encoders"], f"the ranker {name!r}")
    return str(manifest["digest"])


def unusual(preset: str, percent: int = 10) -> list[str]:
    """What a ranker's name says beside its kind: a preset and a share that are not the usual."""
    parts = [preset] if preset != "recommended" else []
    return parts + ([f"pct{percent}"] if percent != 10 else [])


def _not_usual(base: str | None, seed: int, preset: str) -> list[str]:
    """The name of a stage 1, where it is not the one that is usual with a seed and preset."""
    usual = usual_name(TrainBase(seed=seed), "lr2ppo-base", *unusual(preset))
    return [] if base in (None, usual) else [str(base)]
