"""The jobs of a benchmark: what there is to train, what waits for what, and in which order."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from baselines.benchmark.given import in_regime, require_trained
from baselines.benchmark.methods import METHODS, Method, Options, Value
from baselines.benchmark.usual import usual_options
from baselines.data import Regime
from lrmovienet.errors import UserError
from lrmovienet.files import sha256_of


@dataclass(frozen=True)
class Job:
    """One training: a run of the benchmark, or a trial by which a run's options are found."""

    method: str
    regime: Regime
    seed: int
    trial: int | None = None
    """The number of the draw; None for a run."""

    @property
    def name(self) -> str:
        """The ranker's folder is called ``bench.`` and this."""
        last = f"s{self.seed}" if self.trial is None else f"t{self.trial}"
        return f"{self.method}.{self.regime}.{last}"

    @property
    def ranker(self) -> str:
        """The ranker's folder under rankers/."""
        return f"bench.{self.name}"

    @property
    def said(self) -> str:
        """The job in words."""
        what = f"seed {self.seed}" if self.trial is None else f"trial {self.trial}"
        return f"{self.method} {self.regime} {what}"


def chosen(
    names: Sequence[str], regimes: Sequence[Regime], given: Mapping[str, Options]
) -> dict[str, Method]:
    """The methods that are trained, with those they start from; without names, all that can be.

    Args:
        names: of `METHODS`.
        regimes: those that are asked for.
        given: method -> options that a person gave; they win against those of a regime.

    Raises:
        UserError: a name is unknown, a method has none of the regimes, or lacks what it needs; or
            something is given to a method that is not trained.
    """
    unknown = [name for name in (*names, *given) if name not in METHODS]
    if unknown:
        raise UserError(f"no method {unknown[0]!r}; there are: {', '.join(METHODS)}.")
    wanted = []
    for name in dict.fromkeys(names or METHODS):
        method = METHODS[name]
        lacking = [option for option in method.needs if option not in given.get(name, {})]
        if names and lacking:
            what = " ".join(f"{name}.{option}=…" for option in lacking)
            raise UserError(f"{name}: has to be told more: --given {what}")
        if names and not set(method.regimes) & set(regimes):
            raise UserError(
                f"{name}: is of {' and '.join(method.regimes)}, not of {' or '.join(regimes)}. "
                "Give another --regimes, or leave it out."
            )
        if not lacking and set(method.regimes) & set(regimes):
            wanted.append(name)
    # A method's own beginnings come before it in METHODS; from the last to the first all are found.
    needed = set(wanted)
    for name in reversed(METHODS):
        if name in needed:
            needed |= set(METHODS[name].starts_from.values())
    found: dict[str, Method] = {}
    for name, method in METHODS.items():
        if name not in needed:
            continue
        own = method.regimes
        if name in wanted:
            own = {regime: own[regime] for regime in own if regime in regimes}
        told = given.get(name, {})
        regimes_told = {at: {**own[at], **in_regime(method, at, told)} for at in own}
        # What a person has set is not looked for.
        search = {option: values for option, values in method.search.items() if option not in told}
        found[name] = replace(method, regimes=regimes_told, search=search)
    require_trained(given, found)
    return found


def jobs(methods: Mapping[str, Method], seeds: int, trials: int) -> list[Job]:
    """All jobs, in the order in which they are begun where nothing is waited for.

    What others start from comes first, then the longest.
    """
    found = []
    for name, method in methods.items():
        for regime in method.regimes:
            drawn = range(len(draws(name, regime, method, trials)))
            found += [Job(name, regime, 0, trial) for trial in drawn]
            found += [Job(name, regime, seed) for seed in range(seeds if method.seeded else 1)]
    begun = {of for method in methods.values() for of in method.starts_from.values()}
    return sorted(found, key=lambda job: (job.method not in begun, -methods[job.method].cost))


def draws(name: str, regime: Regime, method: Method, trials: int) -> list[dict[str, Value]]:
    """What each trial is told: first nothing, the usual options, then options drawn from the space.

    None is drawn twice, nor what the usual options are. The draw hangs on the names of the method
    and the regime alone, so that fewer trials are the first of more.

    Returns:
        As many as there are trials, or as the space holds; none without a space.
    """
    if not method.search or not trials:
        return []
    names, usual = sorted(method.search), usual_options(method, regime)
    space = [dict(zip(names, values, strict=True)) for values in
             itertools.product(*(method.search[option] for option in names))]  # fmt: skip
    space.sort(key=lambda drawn: sha256_of([name, regime, drawn]))
    others = [drawn for drawn in space if any(usual.get(o) != v for o, v in drawn.items())]
    return [{}, *others[: trials - 1]]


def waits_for(job: Job, methods: Mapping[str, Method], everyone: Sequence[Job]) -> set[Job]:
    """The jobs that must be done before this one: its tuning, and what it starts from."""
    method = methods[job.method]
    found = {starting_point(of, job.seed, methods) for of in method.starts_from.values()}
    if job.trial is None:
        found |= {
            other
            for other in everyone
            if other.trial is not None and (other.method, other.regime) == (job.method, job.regime)
        }
    return found


def starting_point(name: str, seed: int, methods: Mapping[str, Method]) -> Job:
    """The run whose ranker others of this seed start from."""
    (regime,) = methods[name].regimes
    return Job(name, regime, seed if methods[name].seeded else 0)
