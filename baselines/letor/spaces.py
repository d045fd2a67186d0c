"""Where two collections of other features meet: one space for documents of both.

``same``: as many features in both, which are taken to be the same. ``named``: the 45 that the 136
of MSLR and the 46 of LETOR 4.0 have in common (`names`), brought to 0 to 1 within each query, as
LETOR 4.0's are already. ``principal``: of each collection the principal components of its own,
scaled features; which answers to which is not known, so that what carries over before pairs of the
target are seen is luck. ``layers``: each collection's features in columns of their own, 0 where the
document is of the other one, and one more that says which. The first linear layer of a network is
then one layer a domain; the target's is trained by the target's pairs alone.

No grade is looked at. What is fitted is fitted on training documents.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from baselines.data import Ints
from baselines.letor.documents import Documents, Features
from baselines.letor.names import LETOR4, MSLR, SHARED
from baselines.letor.scaling import Kind, Scaling
from baselines.principal import Components, principal_components
from lrmovienet.errors import UserError

Space = Literal["same", "named", "principal", "layers"]
COMPONENTS = 32
"""Of ``principal``, at the most."""


@dataclass(frozen=True)
class Side:
    """The way of one collection's documents into the common space."""

    chosen: Ints | None = None
    """Features that are taken; None for all."""
    by_query: bool = False
    """Whether each feature is brought to 0 to 1 within its query."""
    scaling: Scaling | None = None
    """None leaves values as they are, and gaps as gaps, which trees can read."""
    components: tuple[Components, Features] | None = None
    """A projection, and (components,) what each is divided by."""
    before: int = 0
    """Columns of the other collection that stand before this one's."""
    after: int = 0
    """Columns of the other collection that stand behind."""
    says: tuple[float, ...] = ()
    """The columns that say which collection a document is of."""

    def __call__(self, documents: Documents) -> Documents:
        """The documents with the columns of the common space."""
        x = documents.x if self.chosen is None else documents.x[:, self.chosen]
        if self.by_query:
            x = _by_query(x, documents.offsets)
        if self.scaling is not None:
            x = self.scaling(x)
        if self.components is not None:
            project, spread = self.components
            x = project(x) / spread
        if self.before or self.after or self.says:
            own = x
            fill = np.nan if self.scaling is None else 0.0
            columns = self.before + own.shape[1] + self.after + len(self.says)
            x = np.full((len(own), columns), fill, np.float32)
            x[:, self.before : self.before + own.shape[1]] = own
            x[:, x.shape[1] - len(self.says) :] = self.says
        return replace(documents, x=np.ascontiguousarray(x, dtype=np.float32))


class Meeting(NamedTuple):
    """Both ways."""

    source: Side
    target: Side


def alone(training: Documents, kind: Kind, trees: bool) -> Side:
    """One collection by itself, scaled by its training documents; for trees as it is."""
    return Side() if trees else Side(scaling=Scaling.fit(training.x, kind))


def meet(source: Documents, target: Documents, space: Space, kind: Kind, trees: bool) -> Meeting:
    """Fit both ways into a common space on training documents.

    Args:
        source: training documents of the one collection.
        target: training documents of the other.
        space: see the module.
        kind: how features are scaled.
        trees: values stay as they are where the space allows it, and gaps stay gaps.

    Raises:
        UserError: the collections do not have the features that the space needs.
    """
    require(source, target, space)
    sides = [(source, Side()), (target, Side())]
    if space == "named":
        sides = [(part, Side(chosen=_places(part), by_query=True)) for part, _ in sides]
    shapes = [part.x.shape[1] for part, _ in sides]
    scaled = not trees or space == "principal"
    fitted = []
    for part, side in sides:
        x = side(part).x if space == "named" else part.x
        scaling = Scaling.fit(x, kind) if scaled else None
        fitted.append(replace(side, scaling=scaling))
    if scaled and space in ("same", "named"):
        fitted = _gaps_of_both(fitted)
    if space == "principal":
        return Meeting(*_principal([part for part, _ in sides], fitted))
    if space == "layers":
        widths = [
            side.scaling.columns if side.scaling is not None else shape
            for side, shape in zip(fitted, shapes, strict=True)
        ]
        first = replace(fitted[0], after=widths[1], says=(0.0,))
        return Meeting(first, replace(fitted[1], before=widths[0], says=(1.0,)))
    return Meeting(*fitted)


def require(source: Documents, target: Documents, space: Space) -> None:
    """Refuse collections that do not have the features that the space needs, with a UserError."""
    shapes = source.x.shape[1], target.x.shape[1]
    if space == "same" and shapes[0] != shapes[1]:
        raise UserError(
            f"--space same: {source.name} has {shapes[0]} features and {target.name} {shapes[1]}. "
            "Give --space principal, or layers; or named for 136 and 46."
        )
    if space == "named":
        _places(source)
        _places(target)


def usual_space(source: Documents, target: Documents) -> Space:
    """Where nothing is said: the same features, or named ones, or principal components."""
    shapes = source.x.shape[1], target.x.shape[1]
    if shapes[0] == shapes[1]:
        return "same"
    return "named" if set(shapes) == {len(MSLR), len(LETOR4)} else "principal"


def _places(part: Documents) -> Ints:
    """Columns of the features that MSLR and LETOR 4.0 share, in one order."""
    names = {len(MSLR): MSLR, len(LETOR4): LETOR4}.get(part.x.shape[1])
    if names is None or part.first_feature != 1:
        raise UserError(
            f"--space named: {part.name} has {part.x.shape[1]} features; what they are is known of "
            f"MSLR's {len(MSLR)} and LETOR 4.0's {len(LETOR4)}. Give --space principal, or layers."
        )
    return np.array([names.index(name) for name in SHARED])


def _by_query(x: Features, offsets: Ints) -> Features:
    """Each feature to 0 to 1 within its query; 0 where all documents have the same value."""
    out = np.zeros_like(x)
    for start, end in pairwise(offsets):
        rows = x[start:end]
        if np.isnan(rows).any():
            raise UserError("--space named: a value is NULL; MSLR and LETOR 4.0 have none.")
        least, most = rows.min(0), rows.max(0)
        np.divide(rows - least, most - least, out=out[start:end], where=most > least)
    return out


def _gaps_of_both(sides: list[Side]) -> list[Side]:
    """Columns for the gaps of either, so that both have the same columns."""
    scalings = [side.scaling for side in sides if side.scaling is not None]
    gaps = np.union1d(scalings[0].gaps, scalings[1].gaps)
    return [
        replace(side, scaling=replace(scaling, gaps=gaps))
        for side, scaling in zip(sides, scalings, strict=True)
    ]


def _principal(parts: list[Documents], sides: list[Side]) -> list[Side]:
    scaled = [side(part).x for part, side in zip(parts, sides, strict=True)]
    found = [principal_components(x, COMPONENTS) for x in scaled]
    kept = min(len(components.directions) for components in found)
    if not kept:
        names = " or ".join(part.name for part in parts)
        raise UserError(f"--space principal: all documents of {names} have the same features.")
    result = []
    for side, x, components in zip(sides, scaled, found, strict=True):
        mine = Components(components.mean, components.directions[:kept])
        result.append(replace(side, components=(mine, mine(x).std(0))))
    return result
