"""What every training needs before it begins: a workspace, and in it the tables and features.

All that can be seen to be wrong is said here, before the first of several stages is trained.
"""

import atexit
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from baselines.data import Regime
from lrmovienet.errors import UserError
from lrmovienet.workspace import Workspace

if TYPE_CHECKING:
    from baselines.learning.parallel import World
    from baselines.train import TrainConfig
    from lrmovienet.features import FeatureStore


@dataclass(frozen=True)
class Ready:
    """Where a ranker is trained, and by which of how many processes."""

    workspace: Workspace
    store: "FeatureStore | None"
    """None for rankers without features."""
    world: "World"


def prepare(
    config: "TrainConfig",
    regime: Regime = "R0",
    percent: int = 0,
    features: Path | None = None,
    device: str | None = None,
) -> Ready:
    """Make the workspace of the release that ``--data`` names, if it does, and look into it.

    Args:
        config: the verb's options.
        regime: decides which tables and records are needed.
        percent: share of the target's pairs, of which there must be some; 0 for none.
        features: folder of a feature store; None for the workspace's own.
        device: where a network is trained; None for rankers without features.

    Raises:
        UserError: there is no release, the workspace is of something else, a table or the features
            are missing, features of some labels are, or there are no pairs.
    """
    from baselines.learning.parallel import join

    world = join(device or "cpu")
    if world.size > 1:
        import torch.distributed as dist

        atexit.register(dist.destroy_process_group)
    workspace = Workspace(config.workspace)
    if config.data is not None:
        from lrmovienet.release.hydrate import hydrate_once

        release = config.data
        by_first(world, lambda: hydrate_once(workspace, release))
    for table in ("clips", "records"):
        workspace.require(table)
    splits = ["source_train", "target_dev"]
    if regime != "R0":
        splits.append("target_pairs")
        _require_pairs(workspace, percent)
    store = None
    if device is not None:
        store = open_features(workspace, features)
        require_features(store, workspace, splits)
    return Ready(workspace, store, world)


def by_first(world: "World", act: Callable[[], object]) -> None:
    """Have the first process do something. Where it fails there, all processes fail.

    Raises:
        UserError: it failed; in all other processes, with the message of the first.
        OSError: it failed; in the first process.
    """
    failed: UserError | OSError | None = None
    if world.rank == 0:
        try:
            act()
        except (UserError, OSError) as error:
            failed = error
    said = world.gather([] if failed is None else [str(failed)])[0]
    if failed is not None:
        raise failed
    if said:
        raise UserError(said[0])


def open_features(workspace: Workspace, folder: Path | None) -> "FeatureStore":
    """The workspace's feature store, or the one in `folder`.

    Raises:
        UserError: there is none, it is damaged, or the workspace's is of other records or clips.
    """
    from lrmovienet.features import FeatureStore

    if folder is not None:
        if not (folder / "manifest.json").is_file():
            raise UserError(
                f"--features {folder}: no feature store here (it has no manifest.json). Give the "
                "folder features/ of a workspace in which lrmovienet encode was run."
            )
        return FeatureStore(folder)
    own = workspace.root / "features"
    if "release" in workspace.require("clips").inputs and not (own / "manifest.json").exists():
        raise UserError(
            f"{own}: no features here, and the release that this workspace was made of has none. "
            "Give a store of them with --features, or make them of your own frames: lrmovienet "
            f"hydrate RELEASE --frames ROOT --workspace {workspace.root}, then lrmovienet encode "
            f"--workspace {workspace.root}"
        )
    return FeatureStore.of(workspace)


def require_features(store: "FeatureStore", workspace: Workspace, splits: Iterable[str]) -> None:
    """Refuse a store without the features of some labels or clips in these splits.

    Raises:
        UserError: naming the first of them.
    """
    wanted = set(splits)
    rows = workspace.read("records", ["clip_id", "label", "split"]).to_pylist()
    store.require_labels((row["clip_id"], row["label"]) for row in rows if row["split"] in wanted)


def _require_pairs(workspace: Workspace, percent: int) -> None:
    workspace.require("pairs")
    shares = workspace.read("pairs", ["percent"])["percent"].to_pylist()
    if percent and not any(share <= percent for share in shares):
        raise UserError(
            f"{workspace.folder('pairs')}: no pair of the target's labels to learn from at "
            f"--percent {percent} (of {len(shares)} in all). Have labels compared (lrmovienet "
            f"annotate push pairs), then: lrmovienet split --workspace {workspace.root}. Or give "
            "--percent 0, to learn from pairs of the source's grades alone."
        )
