"""LambdaMART: gradient-boosted trees on the vectors of the features track, by LightGBM.

Burges, "From RankNet to LambdaRank to LambdaMART: An Overview", MSR-TR-2010-82. The gradient of a
pair of items is RankNet's times the change in NDCG that swapping the two would make (lambdarank);
`xendcg` is the listwise cross-entropy of Bruch, "An Alternative Cross Entropy Loss for
Learning-to-Rank", 2021. What trees read: the scalars as they are, and of each block of embeddings
its principal components in training.

In R1 each preferred pair of the target is a list of its own, of two items with the grades 1 and 0:
a preference says nothing of the clip's other labels.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from baselines.data import Graded, Ints, Record, Regime, TrainingData
from baselines.learning.machine import Machine
from baselines.learning.running import KS, ndcg_of, reproducible, require_relevant, seed_of
from baselines.ltr.vectors import Vectors, blocks, label_vectors, vectors_of
from baselines.principal import Components, principal_components
from baselines.ranker import Scores
from baselines.tree_options import TreeOptions
from eval.ndcg import gains
from lrmovienet.errors import UserError
from lrmovienet.files import write_bytes, write_json

if TYPE_CHECKING:
    from lightgbm import Booster

_TREES, _COMPONENTS, _TRAINING = "trees.txt", "components.safetensors", "training.json"
STOP_AT = 5
"""NDCG@5 on dev says when to stop."""
WHOLE = "scalars"
"""The block that is read as it is."""


class Queries(NamedTuple):
    """Lists of items with grades: labels of clips, or documents of queries."""

    x: Vectors
    """(items, d), one list after the other; NaN where a value is not known."""
    lengths: Ints
    """(lists,) items of each."""
    grades: Ints
    """(items,) 0 or more."""
    weights: npt.NDArray[np.float64] | None = None
    """(items,) factors of their gradients; None: 1 each."""


def grow(
    train: Queries, dev: Queries | None, options: TreeOptions, names: Sequence[str] | None = None
) -> tuple["Booster", list[dict[str, Any]]]:
    """Grow trees on lists, as many as NDCG@5 on `dev` was best with.

    Args:
        train: the lists to learn.
        dev: the lists that say how many trees to keep; None keeps all.
        options: how they are grown.
        names: of the columns, as they stand in the file of the trees.

    Returns:
        The trees, and NDCG@k on dev after each that was grown.

    Raises:
        ValueError: shapes do not fit.
        UserError: no dev list has something relevant.
    """
    import lightgbm as lgb

    _require(train)
    data = lgb.Dataset(
        train.x, train.grades, group=train.lengths, weight=train.weights,
        feature_name=list(names) if names else "auto", params={"verbosity": -1},
    )  # fmt: skip
    metrics: list[dict[str, Any]] = []
    if dev is None:
        return lgb.train(_parameters(train, options), data, options.trees), metrics
    _require(dev)
    require_relevant(dev.grades)
    offsets, grades = np.cumsum([0, *dev.lengths]), dev.grades

    def measure(scores: Scores, _: Any) -> list[tuple[str, float, bool]]:
        found = ndcg_of(scores, grades, offsets)
        metrics.append({"trees": len(metrics) + 1, **found})
        # The first is what stopping looks at.
        ks = sorted(KS, key=lambda k: k != STOP_AT)
        return [(f"dev_ndcg@{k}", found[f"dev_ndcg@{k}"], True) for k in ks]

    stop = lgb.early_stopping(options.patience, first_metric_only=True, verbose=False)
    trees = lgb.train(
        _parameters(train, options), data, options.trees,
        valid_sets=[lgb.Dataset(dev.x, dev.grades, group=dev.lengths, reference=data)],
        feval=measure, callbacks=[stop],
    )  # fmt: skip
    return trees, metrics


def _require(queries: Queries) -> None:
    x, lengths, grades, weights = queries
    if x.ndim != 2 or grades.shape != x.shape[:1] or lengths.sum() != len(x):
        raise ValueError(f"{x.shape} vectors, {grades.shape} grades, {lengths.sum()} in lists")
    if (lengths < 1).any() or (weights is not None and weights.shape != grades.shape):
        raise ValueError("each list must have an item, and each item its weight")


def _parameters(train: Queries, options: TreeOptions) -> dict[str, Any]:
    own: dict[str, Any] = {"objective": "rank_xendcg"}
    if options.objective == "lambdarank":
        own = {
            "objective": "lambdarank", "lambdarank_norm": True,
            "lambdarank_truncation_level": options.truncation,
            "label_gain": gains(np.arange(train.grades.max() + 1)).tolist(),
        }  # fmt: skip
    return own | {
        "metric": "None", "learning_rate": options.learning_rate, "num_leaves": options.leaves,
        "min_data_in_leaf": options.min_data, "feature_fraction": options.column_share,
        "num_threads": options.threads, "seed": seed_of(options.seed, 6) % 2**31,
        "deterministic": True, "force_row_wise": True, "verbosity": -1,
    }  # fmt: skip


class LambdaMARTRanker:
    """Boosted trees that rank a clip's labels."""

    regimes: ClassVar[tuple[Regime, ...]] = ("R0", "R1")
    uses_features: ClassVar[bool] = True

    def __init__(self, options: TreeOptions | None = None, cache: Path | None = None) -> None:
        """`cache` is a folder in which trainings share the vectors they read; None for none."""
        self.options, self.cache = options or TreeOptions(), cache
        self.components: dict[str, Components] = {}
        """Of each block of embeddings."""
        self.trees: Booster | None = None
        self.metrics: list[dict[str, Any]] = []
        """NDCG@k on dev after each tree."""

    def fit(self, data: TrainingData, working: Path) -> None:
        """Grow trees on the source's grades and, in R1, on the target's pairs.

        Raises:
            UserError: no dev record has a relevant label.
        """
        with reproducible(Machine(threads=self.options.threads)):
            self._fit(data)

    def _fit(self, data: TrainingData) -> None:
        source = self._vectors([item.record for item in data.graded])
        parts = self._blocks(data.graded[0].record)
        self.components = {
            name: principal_components(source[:, where], self.options.components)
            for name, where in parts.items()
            if name != WHOLE
        }
        train = Queries(self._reduced(source, parts), *_lists(data.graded))
        if data.pairs:
            target = self._vectors([item.record for item in data.pairs])
            lengths = [len(item.record.labels) for item in data.pairs]
            pairs = [item.pairs for item in data.pairs]
            train = with_pairs(
                train, self._reduced(target, parts), lengths, pairs, self.options.pair_weight
            )
        of_dev = self._vectors([item.record for item in data.dev])
        dev = Queries(self._reduced(of_dev, parts), *_lists(data.dev))
        self.trees, self.metrics = grow(train, dev, self.options, self._names(parts))

    def score(self, record: Record) -> Scores:
        """(n_labels,) sums over the trees; only their order means something."""
        if self.trees is None:
            raise ValueError("the ranker was neither trained nor loaded")
        with reproducible(Machine(threads=self.options.threads)):
            x = self._reduced(label_vectors(record), self._blocks(record))
        # One record is less work than waking threads; the sum is the same.
        return np.asarray(self.trees.predict(x, num_threads=1), dtype=np.float64)

    def _vectors(self, records: Sequence[Record]) -> Vectors:
        return vectors_of(records, cache=self.cache)

    def _blocks(self, record: Record) -> dict[str, slice]:
        if record.vectors is not None:
            return {WHOLE: slice(0, record.vectors.shape[1])}
        return blocks(record.text(0).tokens.shape[1], record.frames.shape[1])

    def _reduced(self, x: Vectors, parts: dict[str, slice]) -> Vectors:
        columns = [self.components[name](x[:, parts[name]]) for name in self.components]
        return np.concatenate([*columns, x[:, parts[WHOLE]]], axis=1)

    def _names(self, parts: dict[str, slice]) -> list[str]:
        """Of the columns that trees read, in order."""
        sizes = {name: len(found.directions) for name, found in self.components.items()}
        sizes[WHOLE] = parts[WHOLE].stop - parts[WHOLE].start
        return [f"{name}_{i}" for name, size in sizes.items() for i in range(size)]

    def save(self, folder: Path) -> None:
        """Write LightGBM's text file, the components (safetensors), options and metrics."""
        if self.trees is None:
            raise ValueError("the ranker was neither trained nor loaded")
        import safetensors.numpy

        arrays = {
            f"{block}.{name}": array
            for block, found in self.components.items()
            for name, array in found._asdict().items()
        }
        files = {
            _TREES: self.trees.model_to_string().encode(),
            _COMPONENTS: safetensors.numpy.save(arrays),
        }
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_bytes(folder / name, content)
        training = {
            "options": asdict(self.options), "metrics": self.metrics,
            "blocks": list(self.components), "files": {n: _sha256(c) for n, c in files.items()},
        }  # fmt: skip
        write_json(folder / _TRAINING, training)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The ranker that was saved in `folder`. Raises UserError where it is damaged."""
        import lightgbm as lgb
        import safetensors.numpy

        try:
            training = json.loads((folder / _TRAINING).read_bytes())
            files = {name: (folder / name).read_bytes() for name in training["files"]}
            for name, content in files.items():
                # LightGBM reads some damaged files to other trees, and may crash on others.
                if _sha256(content) != training["files"][name]:
                    raise ValueError(f"{name} is not as it was written")
            ranker = cls(TreeOptions(**training["options"]))
            ranker.metrics = training["metrics"]
            arrays = safetensors.numpy.load(files[_COMPONENTS])
            ranker.components = {
                block: Components(arrays[f"{block}.mean"], arrays[f"{block}.directions"])
                for block in training["blocks"]
            }
            ranker.trees = lgb.Booster(model_str=files[_TREES].decode())
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{folder}: not a trained ranker ({error}). Delete it and train again."
            ) from None
        return ranker


def with_pairs(
    train: Queries, x: Vectors, lengths: Sequence[int], pairs: Sequence[Ints], weight: float
) -> Queries:
    """Lists and, behind them, each pair as a list of two with the grades 1 and 0.

    Args:
        train: the lists.
        x: (items, d) vectors of the items of other lists, one list after the other.
        lengths: items of each of those.
        pairs: (m, 2) of each, places in the list of the better and of the worse item.
        weight: of a pair's two items; those of `train` weigh 1.
    """
    starts = np.cumsum([0, *lengths])[:-1]
    places = np.concatenate([start + of for start, of in zip(starts, pairs, strict=True)])
    rows = places.ravel()
    return Queries(
        np.concatenate([train.x, x[rows]]),
        np.concatenate([train.lengths, np.full(len(places), 2)]),
        np.concatenate([train.grades, np.tile([1, 0], len(places))]),
        np.concatenate([np.ones(len(train.grades)), np.full(len(rows), weight)]),
    )


def _lists(items: Sequence[Graded]) -> tuple[Ints, Ints]:
    """Lengths and grades."""
    lengths = np.array([len(item.grades) for item in items])
    return lengths, np.concatenate([item.grades for item in items])


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
