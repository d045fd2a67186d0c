"""What a person gives the benchmark for a method: ``METHOD.OPTION=VALUE``."""

from collections.abc import Collection, Mapping

from baselines.benchmark.methods import METHODS, Method, Options, Value
from baselines.data import Regime
from lrmovienet.errors import UserError

OWN = ("workspace", "data", "name", "regime", "seed")
"""Options of verbs that the benchmark says itself."""
SHARED = ("features", "device")
"""Options of verbs that are the benchmark's, too, and the same for all methods."""


def given(texts: list[str]) -> dict[str, dict[str, Value]]:
    """``METHOD.OPTION=VALUE`` … -> method -> option -> value.

    Raises:
        UserError: one is of another form, or is not for a person to say.
    """
    found: dict[str, dict[str, Value]] = {}
    for text in texts:
        left, equals, value = text.partition("=")
        method, dot, option = left.partition(".")
        if not (method and dot and option and equals):
            raise UserError(
                f"--given {text}: give METHOD.OPTION=VALUE, such as lr2ppo-base.epochs=3."
            )
        option = option.replace("-", "_")
        if method in METHODS:
            _require_free(text, METHODS[method], option, value)
        found.setdefault(method, {})[option] = value
    return found


def _require_free(text: str, method: Method, option: str, value: str) -> None:
    """Refuse what the benchmark says itself, with a UserError."""
    if option in SHARED:
        raise UserError(
            f"--given {text}: is the same for all methods. Give it to the benchmark: "
            f"--{option} {value}"
        )
    if option in (*OWN, *method.starts_from, *method.options):
        raise UserError(
            f"--given {text}: the benchmark says {option} itself. Leave it out, or train by hand: "
            f"lrmovienet {method.verb} --{option} {value}"
        )
    if option == "percent" and value == "0" and "percent" in method.regimes.get("R1", {}):
        raise UserError(f"--given {text}: without pairs it is R0. Leave it out; use --regimes R0.")


def require_trained(options: Mapping[str, Options], trained: Collection[str]) -> None:
    """Refuse options of a method that is not trained, with a UserError."""
    for method in options:
        if method not in trained:
            raise UserError(
                f"--given {method}.…: {method} is not trained by this call. Name it among the "
                "methods, or leave its options out."
            )


def in_regime(method: Method, regime: Regime, options: Options) -> Options:
    """What is given to a method, as far as it is for a regime: without pairs none are a share."""
    if regime == "R0" and len(method.regimes) > 1:
        return {option: value for option, value in options.items() if option != "percent"}
    return options
