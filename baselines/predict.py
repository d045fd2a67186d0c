"""`lrmovienet predict`: trained rankers -> the tables ``predictions/<split>/<name>``."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from lrmovienet.config import VerbConfig
from lrmovienet.errors import UserError
from lrmovienet.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from baselines.data import Record
    from baselines.ranker import Ranker
    from lrmovienet.runner import Columns
    from lrmovienet.runner.local import Outcome


@dataclass(frozen=True)
class PredictConfig(VerbConfig):
    """Options of `lrmovienet predict`."""

    ranker: list[str] = field(default_factory=list)
    """Names under rankers/; default: all of them."""
    split: Literal["target_test", "target_dev", "target_pairs", "source_train"] = "target_test"
    """The split whose records are scored."""
    features: Path | None = None
    """Folder of a feature store. Default: the workspace's own."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where rankers score, wherever they were trained. Another can change the last bits."""


def run(config: PredictConfig) -> None:
    """Make one table of predictions a ranker.

    Raises:
        UserError: there is no such ranker, the features are not those it was trained on, or the
            device is not there.
    """
    from baselines.train import trained

    if config.device != "cpu":
        from lrmovienet.encoders import require_device

        require_device(config.device)
    workspace = Workspace(config.workspace)
    names = config.ranker or trained(workspace)
    if not names:
        raise UserError(
            f"{workspace.root / 'rankers'}: no rankers here yet. Run first: lrmovienet train "
            f"lr2ppo --workspace {workspace.root}, or another `train` verb."
        )
    console = Console()
    for name in names:
        outcome = predict(workspace, name, config.split, config.features, config.device)
        console.print(str(outcome), markup=False, highlight=False, soft_wrap=True)


def predict(
    workspace: Workspace,
    name: str,
    split: str,
    features: Path | None = None,
    device: str = "cpu",
) -> "Outcome":
    """Score the records of a split with one ranker, unless that is done.

    Args:
        workspace: holds the ranker and the records.
        name: of the ranker.
        split: of the records.
        features: folder of a feature store; None for the workspace's own.
        device: where the ranker scores.

    Raises:
        UserError: there is no such ranker or split, or the features are not those it was trained
            on, or lack some labels.
    """
    from baselines.data import load_records
    from baselines.image_tag import ImageTagRanker, tag_inputs, with_tag_scores
    from baselines.prepare import open_features, require_features
    from baselines.train import read_ranker
    from lrmovienet.runner.local import run_once

    ranker, manifest = read_ranker(workspace, name, device)
    inputs = {table: workspace.require(table).digest for table in ("clips", "records")}
    inputs[f"rankers/{name}"] = manifest["digest"]
    config = {"ranker": manifest["ranker"], "split": split}
    store = None
    if ranker.uses_features:
        store = open_features(workspace, features)
        store.require(manifest["encoders"], f"the ranker {name!r}")
        require_features(store, workspace, [split])
        inputs["features"] = store.digest
        config["device"] = device
    if hasattr(ranker, "score_on"):  # it brings an encoder of its own
        ranker.score_on(device)
        config["device"] = device
    tags = isinstance(ranker, ImageTagRanker)
    if tags:
        inputs |= tag_inputs(workspace)

    def make() -> "Columns":
        records = load_records(workspace, split, store)
        return score_all(ranker, with_tag_scores(workspace, records) if tags else records)

    return run_once(
        workspace,
        f"predictions/{split}/{name}",
        make,
        version=f"predict-1:{manifest['ranker']}",
        inputs=inputs,
        config=config,
    )


def score_all(ranker: "Ranker", records: "Sequence[Record]") -> "Columns":
    """Columns clip_id, label, score of all labels of some records."""
    from lrmovienet.progress import progress

    columns: dict[str, list[Any]] = {"clip_id": [], "label": [], "score": []}
    with progress("predictions", len(records), "records") as advance:
        for record in records:
            scores = ranker.score(record)
            columns["clip_id"] += [record.clip_id] * len(record.labels)
            columns["label"] += record.labels
            columns["score"] += scores.tolist()
            advance(1)
    return columns
