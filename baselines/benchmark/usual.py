"""The options of a training where nothing is said: most verbs leave theirs to what they train."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from baselines.benchmark.methods import Method, Options
from baselines.benchmark.work import config_of, plain_options, word
from baselines.data import Regime

STAGES = {"lr2ppo-base": "base", "lr2ppo-reward": "reward", "lr2ppo": "ppo"}
"""Ranker -> its part of a preset."""


def usual_options(method: Method, regime: Regime) -> Mapping[str, Any]:
    """All options by name that a method is trained with in a regime, if none is drawn.

    Raises:
        SystemExit: 2 for a wrong option, as `config_of`.
    """
    told: Options = {**method.options, **method.regimes[regime]}
    return _usual(method.verb, tuple(f"--{name}={word(value)}" for name, value in told.items()))


@cache
def _usual(verb: str, words: tuple[str, ...]) -> Mapping[str, Any]:
    config = config_of(verb, words)
    said = {name: value for name, value in plain_options(config).items() if value is not None}
    found: dict[str, Any] = {}
    for part in _trained(verb.removeprefix("train "), config):
        found |= _flat(part)
    return MappingProxyType(found | said)


def _trained(kind: str, config: Any) -> list[Any]:
    """The configs of what a verb trains, as they are where nothing is said."""
    from baselines.ranker import ranker_class

    if kind in STAGES:
        from baselines.options import preset_of

        return [getattr(preset_of(config.preset), STAGES[kind])]
    if kind == "preference":
        from baselines.preference import RECOMMENDED

        return [RECOMMENDED[config.loss]]
    trained: Any = ranker_class(kind)
    if hasattr(trained, "network_class"):
        from baselines.ltr.ranker import ListConfig

        return [ListConfig(), trained.network_class.config_class()]
    if kind == "dcpg":
        from baselines.dcpg.ranker import DCPGConfig

        return [DCPGConfig()]
    # Of trees, the verb says all.
    return [trained.config_class()] if hasattr(trained, "config_class") else []


def _flat(part: Any) -> dict[str, Any]:
    """The fields of a config and of the configs in it, by their names."""
    found: dict[str, Any] = {}
    for field in fields(part):
        value = getattr(part, field.name)
        found |= _flat(value) if is_dataclass(value) else {field.name: value}
    return found
