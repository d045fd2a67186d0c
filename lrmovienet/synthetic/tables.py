"""Stages that make the corpus' tables. Each regenerates a film's scenes from the seed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from lrmovienet.files import sha256_of
from lrmovienet.runner import Columns
from lrmovienet.schema import CANDIDATES, TABLES
from lrmovienet.synthetic import words
from lrmovienet.synthetic.annotators import compare, rate
from lrmovienet.synthetic.calibration import CALIBRATION, Calibration
from lrmovienet.synthetic.plan import SizeName, plan
from lrmovienet.synthetic.world import Scene, scenes

GENERATOR_VERSION = "1"
"""Raised when the same seed gives other scenes for a reason that no hash below sees."""
MODEL = "generated"
TableName = Literal["candidates", "ratings", "pair_ratings"]


def fingerprint(size: SizeName, seed: int, calibration: Calibration) -> str:
    """A hash of everything that the scenes are made from."""
    vocabulary = {k: v for k, v in vars(words).items() if k.isupper()}
    return sha256_of([GENERATOR_VERSION, size, seed, asdict(calibration), vocabulary])


@dataclass(frozen=True)
class TableStage:
    """Films -> rows of one table.

    Input column: ``film``, the film's position in the plan (``movie_id`` names it in messages).
    """

    table: TableName
    size: SizeName
    seed: int
    calibration: Calibration = CALIBRATION

    @property
    def version(self) -> str:
        """The generator's name and the hash of everything that the scenes are made from."""
        return f"synthetic-{self.table}:{fingerprint(self.size, self.seed, self.calibration)[:16]}"

    def __call__(self, batch: Columns) -> Columns:
        """Rows of all films of the batch, in its order."""
        films = plan(self.size, self.seed)
        columns: Columns = {c.name: [] for c in TABLES[self.table].columns}
        for index in batch["film"]:
            for name, values in self._rows(
                scenes(films[index], self.seed, self.calibration)
            ).items():
                columns[name].extend(values)
        return columns

    def _rows(self, found: Sequence[Scene]) -> Columns:
        if self.table == "ratings":
            return rate(found, self.seed, self.calibration)
        if self.table == "pair_ratings":
            return compare(found, self.seed, self.calibration)
        return candidates(found)


def candidates(found: Sequence[Scene]) -> Columns:
    """Rows of `candidates`: a clip's labels of both worlds in their common order."""
    columns: Columns = {c.name: [] for c in CANDIDATES.columns}
    for scene in found:
        for position, label in enumerate(scene.labels):
            source: dict[str, Any] = {"kind": label.kind, "model": MODEL, "score": label.score}
            columns["clip_id"].append(scene.clip_id)
            columns["label"].append(label.text)
            columns["position"].append(position)
            columns["sources"].append([source])
    return columns
