"""What a call of `letor bench` asks for: regimes, methods, folds, and what starts from what."""

from collections.abc import Sequence

from baselines.data import Regime
from baselines.letor.folds import Folds
from baselines.letor.methods import METHODS
from baselines.letor.released import PAIRS
from baselines.letor.verb import LetorBenchConfig
from baselines.letor.work import Job
from lrmovienet.errors import UserError


def waits(job: Job) -> set[Job]:
    """The jobs whose rankers a job starts from."""
    return {*job.starts_from.values()}


def before(job: Job) -> list[Job]:
    """All that a job starts from, directly or not; what is first needed first."""
    found: list[Job] = []
    for of in job.starts_from.values():
        found += [*before(of), of]
    return list(dict.fromkeys(found))


def regimes_of(config: LetorBenchConfig) -> list[Regime]:
    """The regimes that are asked for, or that the sets allow.

    Raises:
        UserError: an option is out of bounds, or does not go with another.
    """
    for name, least in (("seeds", 1), ("processes", 1), ("parts", 2), ("gpus", 1)):
        if not least <= getattr(config, name) <= 4096:
            raise UserError(f"--{name} {getattr(config, name)}: give {least} to 4096.")
    if not config.target:
        raise UserError("--target: say what is tested: a folder with Fold1 to Fold5, or files.")
    if config.device != "cpu":
        from lrmovienet.encoders import require_device

        require_device(config.device)
    asked: list[Regime] = list(config.regimes)
    if not config.source:
        wrong = [name for name in ("space", "percent") if getattr(config, name) is not None]
        wrong += ["protocol"] if config.protocol == "released" else []
        wrong += ["regimes"] if {"R1", "R2"} & set(asked) else []
        if wrong:
            raise UserError(
                f"--{wrong[0]}: is about two sets. Give the set whose grades are learned: --source."
            )
        return ["R0"]
    if config.protocol == "released":
        for name in ("space", "percent", "scaling"):
            if getattr(config, name) is not None:
                raise UserError(
                    f"--{name}: the released protocol has ways of its own: a network that maps "
                    f"features, and up to {PAIRS} pairs of every query. Leave it out."
                )
    if config.space == "layers" and "R0" in asked:
        raise UserError(
            "--space layers: in R0 nothing trains the target's layer. Give --regimes R1 R2, or "
            "another --space."
        )
    return asked or (["R1", "R2"] if config.space == "layers" else ["R0", "R1", "R2"])


def chosen(names: Sequence[str], regimes: Sequence[Regime]) -> list[str]:
    """The methods that are asked for; without names, all of the regimes.

    Raises:
        UserError: a name is unknown, or a method has none of the regimes.
    """
    if unknown := [name for name in names if name not in METHODS]:
        raise UserError(f"no method {unknown[0]!r}; there are: {', '.join(METHODS)}.")
    for name in names:
        if not set(METHODS[name].regimes) & set(regimes):
            raise UserError(
                f"{name}: is of {' and '.join(METHODS[name].regimes)}, not of "
                f"{' or '.join(regimes)}. Leave it out, or give another --regimes (R1 and R2 need "
                "a --source)."
            )
    return [
        name for name, method in METHODS.items()
        if (not names or name in names) and set(method.regimes) & set(regimes)
    ]  # fmt: skip


def folds_of(asked: Sequence[int], target: Folds) -> list[int]:
    """The folds that are tested. Raises UserError where one is not there."""
    if wrong := [fold for fold in asked if not 1 <= fold <= len(target)]:
        raise UserError(f"--folds {wrong[0]}: there are the folds 1 to {len(target)}.")
    return sorted(set(asked)) or list(range(1, len(target) + 1))
